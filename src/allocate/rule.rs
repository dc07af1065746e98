//! A rule as a person writes it, and what is wrong with one.

use super::attributes::{RESOURCE_ID, is_of_charges, is_of_deployments};
use globset::{Glob, GlobBuilder};
use serde::{Deserialize, Serialize};

/// Longest name that a rule may add to the catalogue.
pub const NAME_CHARS_MAX: usize = 200;
const CONDITION_COUNT_MAX: usize = 20;
const VALUE_CHARS_MAX: usize = 4_000;
const ATTRIBUTE_CHARS_MAX: usize = 300;

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
    /// One of several, separated by commas or line ends.
    OneOf,
    /// There is a value that is not blank.
    Present,
}

impl Operator {
    /// Every operator with its words, in the order of a menu.
    pub const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Equals, "equals", "is"),
        (Self::Prefix, "prefix", "starts with"),
        (Self::Glob, "glob", "matches pattern"),
        (Self::OneOf, "one-of", "is one of"),
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
    /// Whether a name that the catalogue lacks is added to it.
    pub adds_to_catalogue: bool,
}

/// Why a rule cannot be kept. Each message says what to do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RuleError {
    #[error("A rule has to name a service, an environment, or both.")]
    NamesNothing,
    #[error("A rule has at most {CONDITION_COUNT_MAX} conditions.")]
    TooManyConditions,
    #[error("“{0}” is not an attribute that {1} have. Choose one of the list, or write tag: and the key of a tag.")]
    UnknownAttribute(String, &'static str),
    #[error("The condition on {0} needs a value to compare with.")]
    NoValue(String),
    #[error("The value of the condition on {0} is longer than {VALUE_CHARS_MAX} characters.")]
    ValueTooLong(String),
    #[error("“{0}” is not a pattern: {1}. Use * for anything and ? for one character.")]
    BadPattern(String, String),
    #[error("A service or environment cannot be named by the resource id. Name it by a tag, or choose a fixed one.")]
    NamedByResource,
}

impl Rule {
    /// Whether the rule can be kept.
    pub fn check(&self) -> Result<(), RuleError> {
        if self.service == TargetRule::Nothing && self.environment == TargetRule::Nothing {
            return Err(RuleError::NamesNothing);
        }
        if self.conditions.len() > CONDITION_COUNT_MAX {
            return Err(RuleError::TooManyConditions);
        }
        for condition in &self.conditions {
            self.check_attribute(&condition.attribute)?;
            condition.check()?;
        }
        for target in [&self.service, &self.environment] {
            if let TargetRule::NamedBy(attribute) = target {
                self.check_attribute(attribute)?;
                if attribute == RESOURCE_ID {
                    return Err(RuleError::NamedByResource);
                }
            }
        }
        Ok(())
    }

    fn check_attribute(&self, attribute: &str) -> Result<(), RuleError> {
        let (fits, what) = match self.applies_to {
            AppliesTo::Charges => (is_of_charges(attribute), "charges"),
            AppliesTo::Deployments => (is_of_deployments(attribute), "deployments"),
            AppliesTo::Both => (is_of_charges(attribute) || is_of_deployments(attribute), "charges or deployments"),
        };
        if fits && attribute.chars().count() <= ATTRIBUTE_CHARS_MAX {
            return Ok(());
        }
        Err(RuleError::UnknownAttribute(attribute.chars().take(60).collect(), what))
    }
}

impl Condition {
    fn check(&self) -> Result<(), RuleError> {
        if self.value.chars().count() > VALUE_CHARS_MAX {
            return Err(RuleError::ValueTooLong(self.attribute.clone()));
        }
        match self.operator {
            Operator::Present => Ok(()),
            Operator::OneOf if self.values().next().is_none() => Err(RuleError::NoValue(self.attribute.clone())),
            _ if self.value.trim().is_empty() => Err(RuleError::NoValue(self.attribute.clone())),
            Operator::Glob => self.glob().map(drop),
            _ => Ok(()),
        }
    }

    /// The values of `one-of`.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.value.split([',', '\n', '\r']).map(str::trim).filter(|value| !value.is_empty())
    }

    pub(super) fn glob(&self) -> Result<Glob, RuleError> {
        // A star crosses slashes: values are names, paths and ARNs, not files to be listed.
        GlobBuilder::new(&self.value.trim().to_lowercase())
            .literal_separator(false)
            .build()
            .map_err(|error| RuleError::BadPattern(self.value.clone(), error.kind().to_string()))
    }
}
