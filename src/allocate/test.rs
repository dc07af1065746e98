//! One condition made ready to be asked a million times.

use super::attributes::is_detail;
use super::rule::{Condition, Operator, Rule, RuleError};
use globset::GlobMatcher;
use regex::Regex;
use std::borrow::Cow;
use std::collections::HashSet;

/// Longest value that a regular expression is tried on, in bytes.
const EXPRESSION_VALUE_BYTES_MAX: usize = 16 * 1024;

// Values to compare with are lower case here.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Equals(String),
    Prefix(String),
    Glob(Box<GlobMatcher>),
    OneOf(HashSet<String>),
    Regex(Box<Regex>),
    Present,
}

impl Test {
    pub fn compile(condition: &Condition) -> Result<Self, RuleError> {
        let lower = condition.value.trim().to_lowercase();
        Ok(match condition.operator {
            Operator::Equals => Self::Equals(lower),
            Operator::Prefix => Self::Prefix(lower),
            Operator::Glob => Self::Glob(Box::new(condition.glob()?.compile_matcher())),
            Operator::OneOf => Self::OneOf(condition.values().map(str::to_lowercase).collect()),
            Operator::Regex => Self::Regex(Box::new(condition.regex()?)),
            Operator::Present => Self::Present,
        })
    }

    pub fn holds(&self, value: &str) -> bool {
        let value = value.trim();
        if value.is_empty() {
            return false;
        }
        match self {
            Self::Present => return true,
            Self::Regex(expression) => return value.len() <= EXPRESSION_VALUE_BYTES_MAX && expression.is_match(value),
            _ => {}
        }
        // Most values are lower case already; only the others cost a copy.
        let has_capitals = value.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii());
        let lower = if has_capitals { Cow::Owned(value.to_lowercase()) } else { Cow::Borrowed(value) };
        match self {
            Self::Equals(wanted) => *lower == **wanted,
            Self::Prefix(wanted) => lower.starts_with(wanted.as_str()),
            Self::Glob(pattern) => pattern.is_match(&*lower),
            Self::OneOf(wanted) => wanted.contains(&*lower),
            Self::Regex(_) | Self::Present => true,
        }
    }
}

impl Rule {
    /// What the rule looks at beyond the attributes that every rollup key carries.
    pub(super) fn details(&self) -> impl Iterator<Item = Condition> {
        let conditions = self.conditions.iter().filter(|condition| is_detail(&condition.attribute)).cloned();
        let named_by = self.naming_attributes().filter(|attribute| is_detail(attribute)).map(|attribute| Condition {
            attribute: attribute.to_owned(),
            operator: Operator::Present,
            value: String::new(),
        });
        conditions.chain(named_by)
    }
}

/// What rules look at, or looked at, beyond the attributes that every rollup key carries: of single lines, the values
/// that are kept apart in rollups.
#[derive(Debug, Clone, Default)]
pub struct Details(Vec<(String, Test)>);

impl Details {
    /// Made ready; one that cannot be read any more is an error.
    pub fn compile(conditions: &[Condition]) -> Result<Self, RuleError> {
        let compiled = |condition: &Condition| Ok((condition.attribute.clone(), Test::compile(condition)?));
        Ok(Self(conditions.iter().map(compiled).collect::<Result<_, RuleError>>()?))
    }

    /// The attributes, each once.
    pub fn attributes(&self) -> Vec<&str> {
        let mut attributes: Vec<&str> = self.0.iter().map(|(attribute, _)| attribute.as_str()).collect();
        attributes.sort_unstable();
        attributes.dedup();
        attributes
    }

    /// Whether this value of the attribute is kept apart.
    pub fn keep(&self, attribute: &str, value: &str) -> bool {
        self.0.iter().any(|(looked_at, test)| looked_at == attribute && test.holds(value))
    }
}
