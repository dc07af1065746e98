//! A rule as a person writes it, and what is wrong with one.

use super::attributes::{RESOURCE_ID, instead_of, instead_of_column, is_of_charges, is_of_deployments, is_resource};
use super::dimension::{self, DimensionTarget};
use super::validity::Validity;
use globset::{Glob, GlobBuilder};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// Longest name that a rule may add to the catalogue.
pub const NAME_CHARS_MAX: usize = 200;
const CONDITION_COUNT_MAX: usize = 20;
const VALUE_CHARS_MAX: usize = 4_000;
const ATTRIBUTE_CHARS_MAX: usize = 300;
/// Longest regular expression.
const EXPRESSION_CHARS_MAX: usize = 500;
/// What a compiled expression, and what matching it remembers, may take in memory.
const EXPRESSION_BYTES_MAX: usize = 256 * 1024;
/// How deep the groups of an expression may lie in each other.
const EXPRESSION_NEST_MAX: u32 = 20;

/// How a condition compares. Letters are compared in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Operator {
    /// The whole value.
    Equals,
    /// How the value starts.
    Prefix,
    /// `*` stands for anything, `?` for one character.
    Glob,
    /// One of several: one a line where there are several lines, else separated by commas.
    OneOf,
    /// A regular expression is found somewhere in the value; `^` and `$` tie it to the ends. Matching takes time in
    /// proportion to the value, and a value longer than 16 KiB is not matched.
    Regex,
    /// There is a value that is not blank.
    Present,
}

impl Operator {
    /// Every operator with its words, in the order of a menu.
    pub const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Equals, "equals", "is"),
        (Self::Prefix, "prefix", "starts with"),
        (Self::Glob, "glob", "matches pattern"),
        (Self::OneOf, "one-of", "is one of"),
        (Self::Regex, "regex", "matches expression"),
        (Self::Present, "present", "is there"),
    ];

    /// The word that rules are stored with.
    pub fn key(self) -> &'static str {
        Self::ALL.iter().find(|(operator, ..)| *operator == self).map_or("", |(_, key, _)| key)
    }

    /// The operator of that word.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == key).map(|(operator, ..)| *operator)
    }

    /// As it reads in a sentence.
    pub fn label(self) -> &'static str {
        Self::ALL.iter().find(|(operator, ..)| *operator == self).map_or("", |(.., label)| label)
    }
}

/// One comparison. All conditions of a rule must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// `tag:service`, `sub_account_id`, `repo`, …
    pub attribute: String,
    /// How to compare.
    pub operator: Operator,
    /// With what; empty for `present`.
    #[serde(default)]
    pub value: String,
}

/// What a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is the word itself")]
pub enum AppliesTo {
    Charges,
    Deployments,
    Both,
}

impl AppliesTo {
    /// The word that rules are stored with.
    pub fn key(self) -> &'static str {
        match self {
            Self::Charges => "charges",
            Self::Deployments => "deployments",
            Self::Both => "both",
        }
    }

    /// What that word stands for.
    pub fn from_key(key: &str) -> Option<Self> {
        [Self::Charges, Self::Deployments, Self::Both].into_iter().find(|one| one.key() == key)
    }
}

/// What a rule says of the service, or of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetRule {
    /// Nothing: a later rule may.
    Nothing,
    /// This entry of the catalogue.
    Fixed(i64),
    /// The entry that is named by the value of this attribute.
    NamedBy(String),
}

/// A rule. Its place in the list is its precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its row.
    pub mapping_rule_id: i64,
    /// What it is for.
    pub applies_to: AppliesTo,
    /// All must hold; none means that it takes everything that is left.
    pub conditions: Vec<Condition>,
    /// What it says of the service.
    pub service: TargetRule,
    /// What it says of the environment.
    pub environment: TargetRule,
    /// What it says of the team, for what no rule gives to a service: a service's cost is its own team's.
    pub team: TargetRule,
    /// What it says of products, cost centers and dimensions of the organisation's own.
    pub dimensions: Vec<DimensionTarget>,
    /// The charge days that it holds on.
    pub validity: Validity,
    /// Whether a name that the catalogue lacks is added to it.
    pub adds_to_catalogue: bool,
}

/// Why a rule cannot be kept. Each message says what to do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RuleError {
    #[error("A rule has to name a service, an environment, a team or a value of a dimension.")]
    NamesNothing,
    #[error("A rule has at most {CONDITION_COUNT_MAX} conditions.")]
    TooManyConditions,
    #[error("“{attribute}” is not an attribute that {what} have. {instead}")]
    UnknownAttribute { attribute: String, what: &'static str, instead: String },
    #[error("“{0}…” is longer than {ATTRIBUTE_CHARS_MAX} characters.")]
    AttributeTooLong(String),
    #[error("The condition on {0} needs a value to compare with.")]
    NoValue(String),
    #[error("The value of the condition on {0} is longer than {VALUE_CHARS_MAX} characters.")]
    ValueTooLong(String),
    #[error("“{0}” is not a pattern: {1}. Use * for anything and ? for one character.")]
    BadPattern(String, String),
    #[error("Nothing can be named by the resource id. Name it by a tag, or choose a fixed one.")]
    NamedByResource,
    #[error("The expression “{0}” cannot be used: {1}.")]
    BadExpression(String, String),
    #[error("An expression has at most {EXPRESSION_CHARS_MAX} characters.")]
    ExpressionTooLong,
    #[error("The last day of a rule lies before its first day.")]
    EndsBeforeItStarts,
    #[error(
        "Only a rule for charges can have a first and a last day: deployments are mapped by rules that always hold."
    )]
    DatedDeployments,
    #[error("Only a rule for charges can name a team or a value of a dimension.")]
    DimensionOfDeployments,
    #[error("{0}")]
    Dimension(#[from] dimension::DimensionError),
}

impl Rule {
    /// Whether the rule can be saved: it can be kept, and names columns as bills do. One that was saved before is not
    /// asked again.
    pub fn check(&self) -> Result<(), RuleError> {
        if self.naming_attributes().any(is_resource) {
            return Err(RuleError::NamedByResource);
        }
        self.check_kept()?;
        let looked_at = self.conditions.iter().map(|condition| condition.attribute.as_str());
        looked_at.chain(self.naming_attributes()).try_for_each(|attribute| self.check_column(attribute))
    }

    /// Whether the rule can be kept as it is stored, and asked: another release may have let more be saved.
    pub(super) fn check_kept(&self) -> Result<(), RuleError> {
        let targets = [&self.service, &self.environment, &self.team];
        if targets.iter().all(|target| **target == TargetRule::Nothing) && self.dimensions.is_empty() {
            return Err(RuleError::NamesNothing);
        }
        self.check_what_only_charges_have()?;
        if self.conditions.len() > CONDITION_COUNT_MAX {
            return Err(RuleError::TooManyConditions);
        }
        for condition in &self.conditions {
            self.check_attribute(&condition.attribute)?;
            condition.check()?;
        }
        dimension::check(&self.dimensions)?;
        for attribute in self.naming_attributes() {
            self.check_attribute(attribute)?;
            if attribute == RESOURCE_ID {
                return Err(RuleError::NamedByResource);
            }
        }
        Ok(())
    }

    /// The attributes whose values name what the rule says.
    pub(super) fn naming_attributes(&self) -> impl Iterator<Item = &str> {
        let targets = [&self.service, &self.environment, &self.team].into_iter().filter_map(|target| match target {
            TargetRule::NamedBy(attribute) => Some(attribute.as_str()),
            _ => None,
        });
        targets.chain(self.dimensions.iter().filter_map(|target| target.from_attribute.as_deref()))
    }

    fn check_what_only_charges_have(&self) -> Result<(), RuleError> {
        if !self.validity.is_in_order() {
            return Err(RuleError::EndsBeforeItStarts);
        }
        if self.applies_to == AppliesTo::Charges {
            return Ok(());
        }
        if self.validity != Validity::default() {
            return Err(RuleError::DatedDeployments);
        }
        if self.team != TargetRule::Nothing || !self.dimensions.is_empty() {
            return Err(RuleError::DimensionOfDeployments);
        }
        Ok(())
    }

    fn check_attribute(&self, attribute: &str) -> Result<(), RuleError> {
        let fits = match self.applies_to {
            AppliesTo::Charges => is_of_charges(attribute),
            AppliesTo::Deployments => is_of_deployments(attribute),
            AppliesTo::Both => is_of_charges(attribute) || is_of_deployments(attribute),
        };
        if attribute.chars().count() > ATTRIBUTE_CHARS_MAX {
            return Err(RuleError::AttributeTooLong(shortened(attribute)));
        }
        if fits { Ok(()) } else { Err(self.unknown(attribute, instead_of(attribute, self.applies_to))) }
    }

    // A column that bills have by another name, or that is read into an attribute, a cost or a time, finds nothing.
    fn check_column(&self, attribute: &str) -> Result<(), RuleError> {
        let instead = instead_of_column(attribute, self.applies_to);
        instead.map_or(Ok(()), |instead| Err(self.unknown(attribute, instead)))
    }

    fn unknown(&self, attribute: &str, instead: String) -> RuleError {
        let what = match self.applies_to {
            AppliesTo::Charges => "charges",
            AppliesTo::Deployments => "deployments",
            AppliesTo::Both => "charges or deployments",
        };
        RuleError::UnknownAttribute { attribute: shortened(attribute), what, instead }
    }
}

fn shortened(attribute: &str) -> String {
    attribute.chars().take(60).collect()
}

impl Condition {
    /// Whether the condition can be kept, its attribute aside.
    pub fn check(&self) -> Result<(), RuleError> {
        if self.value.chars().count() > VALUE_CHARS_MAX {
            return Err(RuleError::ValueTooLong(self.attribute.clone()));
        }
        match self.operator {
            Operator::Present => Ok(()),
            Operator::OneOf if self.values().next().is_none() => Err(RuleError::NoValue(self.attribute.clone())),
            _ if self.value.trim().is_empty() => Err(RuleError::NoValue(self.attribute.clone())),
            Operator::Glob => self.glob().map(drop),
            Operator::Regex => self.regex().map(drop),
            _ => Ok(()),
        }
    }

    /// The values of `one-of`. A list of several lines may hold values with commas in them.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        let list = self.value.trim();
        let ends: &[char] = if list.contains(['\n', '\r']) { &['\n', '\r'] } else { &[','] };
        list.split(ends).map(str::trim).filter(|value| !value.is_empty())
    }

    pub(super) fn glob(&self) -> Result<Glob, RuleError> {
        // A star crosses slashes: values are names, paths and ARNs, not files to be listed.
        GlobBuilder::new(&self.value.trim().to_lowercase())
            .literal_separator(false)
            .build()
            .map_err(|error| RuleError::BadPattern(self.value.clone(), error.kind().to_string()))
    }

    /// The expression, bounded in size: one that would take more memory is refused.
    pub(super) fn regex(&self) -> Result<Regex, RuleError> {
        let expression = self.value.trim();
        if expression.chars().count() > EXPRESSION_CHARS_MAX {
            return Err(RuleError::ExpressionTooLong);
        }
        RegexBuilder::new(expression)
            .case_insensitive(true)
            .size_limit(EXPRESSION_BYTES_MAX)
            .dfa_size_limit(EXPRESSION_BYTES_MAX)
            .nest_limit(EXPRESSION_NEST_MAX)
            .build()
            .map_err(|error| RuleError::BadExpression(expression.to_owned(), reason(&error)))
    }
}

// The parser draws the place of the fault on lines of its own; its last line says what is wrong.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too large; repeat less or shorten it".into(),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").trim_end_matches('.').to_owned()
        }
    }
}
