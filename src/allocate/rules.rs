//! Rules made ready to be asked a million times.

use super::attributes::tag_key;
use super::names::Names;
use super::rule::{AppliesTo, Condition, NAME_CHARS_MAX, Operator, Rule, RuleError, TargetRule};
use super::{RESOURCE_ID, slug};
use globset::GlobMatcher;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

/// What is being mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Charges of bills.
    Charges,
    /// Deployments.
    Deployments,
}

/// The names that a rule's "named by" is looked up in.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Services by slug, name and alias.
    pub services: Names,
    /// Environments by slug, name and alias.
    pub environments: Names,
}

/// The rules for one subject, in order, compiled.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<CompiledRule>,
    catalogue: Catalogue,
}

/// What a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// An entry of the catalogue.
    Known(i64),
    /// A name that the rule adds to the catalogue.
    Add(String),
    /// A name that the catalogue lacks and that the rule does not add: unmapped, and this is why.
    NotFound(String),
}

/// Who something belongs to. An absent target means that no rule names one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The service.
    pub service: Option<Target>,
    /// The rule that named the service.
    pub service_rule_id: Option<i64>,
    /// The environment.
    pub environment: Option<Target>,
    /// The rule that named the environment.
    pub environment_rule_id: Option<i64>,
}

#[derive(Debug, Clone)]
struct CompiledRule {
    mapping_rule_id: i64,
    conditions: Vec<(String, Test)>,
    service: TargetRule,
    environment: TargetRule,
    adds_to_catalogue: bool,
}

// Values to compare with are lower case here.
#[derive(Debug, Clone)]
enum Test {
    Equals(String),
    Prefix(String),
    Glob(Box<GlobMatcher>),
    OneOf(HashSet<String>),
    Present,
}

impl Rules {
    /// The rules of `subject` in the order given, or the first thing that is wrong with one.
    pub fn compile(rules: &[Rule], subject: Subject, catalogue: Catalogue) -> Result<Self, RuleError> {
        let other = match subject {
            Subject::Charges => AppliesTo::Deployments,
            Subject::Deployments => AppliesTo::Charges,
        };
        let rules = rules.iter().filter(|rule| rule.applies_to != other).map(compile_rule).collect::<Result<_, _>>()?;
        Ok(Self { rules, catalogue })
    }

    /// The keys of the tags that any rule looks at.
    pub fn tag_keys(&self) -> BTreeSet<String> {
        self.attributes().filter_map(tag_key).map(str::to_owned).collect()
    }

    /// Whether any rule looks at this resource: only such resources are kept apart in rollups.
    pub fn looks_at_resource(&self, resource_id: &str) -> bool {
        let conditions = self.rules.iter().flat_map(|rule| &rule.conditions);
        conditions.filter(|(attribute, _)| attribute == RESOURCE_ID).any(|(_, test)| test.holds(resource_id))
    }

    /// Whether any rule looks at resources at all.
    pub fn looks_at_resources(&self) -> bool {
        self.attributes().any(|attribute| attribute == RESOURCE_ID)
    }

    /// The rules with a condition on this attribute.
    pub fn looking_at(&self, attribute: &str) -> HashSet<i64> {
        let looks = |rule: &&CompiledRule| rule.conditions.iter().any(|(looked_at, _)| looked_at == attribute);
        self.rules.iter().filter(looks).map(|rule| rule.mapping_rule_id).collect()
    }

    /// Whether any rule may leave something unmapped because the catalogue lacks its name.
    pub fn may_miss_names(&self) -> bool {
        let is_named = |target: &TargetRule| matches!(target, TargetRule::NamedBy(_));
        self.rules
            .iter()
            .any(|rule| !rule.adds_to_catalogue && (is_named(&rule.service) || is_named(&rule.environment)))
    }

    fn attributes(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| {
            let targets = [&rule.service, &rule.environment].into_iter().filter_map(|target| match target {
                TargetRule::NamedBy(attribute) => Some(attribute.as_str()),
                _ => None,
            });
            rule.conditions.iter().map(|(attribute, _)| attribute.as_str()).chain(targets)
        })
    }
}

/// Who something with these attributes belongs to: for the service and for the environment each, the first rule
/// that matches and names one. A rule whose naming attribute is blank names nothing, and the next is asked.
pub fn assign<'a>(rules: &Rules, attribute: impl Fn(&str) -> Option<Cow<'a, str>>) -> Assignment {
    let mut assignment = Assignment::default();
    for rule in &rules.rules {
        let asks_service = assignment.service.is_none() && rule.service != TargetRule::Nothing;
        let asks_environment = assignment.environment.is_none() && rule.environment != TargetRule::Nothing;
        if !(asks_service || asks_environment) || !rule.matches(&attribute) {
            continue;
        }
        if asks_service && let Some(target) = rule.target(&rule.service, &rules.catalogue.services, &attribute) {
            assignment.service = Some(target);
            assignment.service_rule_id = Some(rule.mapping_rule_id);
        }
        if asks_environment
            && let Some(target) = rule.target(&rule.environment, &rules.catalogue.environments, &attribute)
        {
            assignment.environment = Some(target);
            assignment.environment_rule_id = Some(rule.mapping_rule_id);
        }
        if assignment.service.is_some() && assignment.environment.is_some() {
            break;
        }
    }
    assignment
}

fn compile_rule(rule: &Rule) -> Result<CompiledRule, RuleError> {
    rule.check()?;
    let compiled = |condition: &Condition| Ok((condition.attribute.clone(), compile_test(condition)?));
    Ok(CompiledRule {
        mapping_rule_id: rule.mapping_rule_id,
        conditions: rule.conditions.iter().map(compiled).collect::<Result<_, RuleError>>()?,
        service: rule.service.clone(),
        environment: rule.environment.clone(),
        adds_to_catalogue: rule.adds_to_catalogue,
    })
}

fn compile_test(condition: &Condition) -> Result<Test, RuleError> {
    let lower = condition.value.trim().to_lowercase();
    Ok(match condition.operator {
        Operator::Equals => Test::Equals(lower),
        Operator::Prefix => Test::Prefix(lower),
        Operator::Glob => Test::Glob(Box::new(condition.glob()?.compile_matcher())),
        Operator::OneOf => Test::OneOf(condition.values().map(str::to_lowercase).collect()),
        Operator::Present => Test::Present,
    })
}

impl CompiledRule {
    fn matches<'a>(&self, attribute: &impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
        self.conditions.iter().all(|(name, test)| attribute(name).is_some_and(|value| test.holds(&value)))
    }

    fn target<'a>(
        &self,
        target: &TargetRule,
        names: &Names,
        attribute: &impl Fn(&str) -> Option<Cow<'a, str>>,
    ) -> Option<Target> {
        let by = match target {
            TargetRule::Nothing => return None,
            TargetRule::Fixed(id) => return Some(Target::Known(*id)),
            TargetRule::NamedBy(by) => by,
        };
        let value = attribute(by)?;
        let name = value.trim();
        if name.is_empty() {
            return None;
        }
        Some(match names.find(name) {
            Some(id) => Target::Known(id),
            None if self.adds_to_catalogue && is_fit_to_add(name) => Target::Add(name.to_owned()),
            None => Target::NotFound(name.to_owned()),
        })
    }
}

fn is_fit_to_add(name: &str) -> bool {
    name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control)
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        let value = value.trim();
        if value.is_empty() {
            return false;
        }
        if let Self::Present = self {
            return true;
        }
        // Most values are lower case already; only the others cost a copy.
        let has_capitals = value.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii());
        let lower = if has_capitals { Cow::Owned(value.to_lowercase()) } else { Cow::Borrowed(value) };
        match self {
            Self::Equals(wanted) => *lower == **wanted,
            Self::Prefix(wanted) => lower.starts_with(wanted.as_str()),
            Self::Glob(pattern) => pattern.is_match(&*lower),
            Self::OneOf(wanted) => wanted.contains(&*lower),
            Self::Present => true,
        }
    }
}

impl Target {
    /// The entry, where there is one already.
    pub fn known(&self) -> Option<i64> {
        match self {
            Self::Known(id) => Some(*id),
            _ => None,
        }
    }

    /// Two spellings of one new name are one entry.
    pub fn slug(&self) -> Option<String> {
        match self {
            Self::Add(name) => Some(slug::slug(name)),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "rules_test.rs"]
mod tests;
