//! Dimensions beside service, environment and team: product, cost center, and an organisation's own (virtual tags).

use super::rule::NAME_CHARS_MAX;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The dimension that finance books by; without a rule it is the cost center of the service's team.
pub const COST_CENTER: &str = "cost_center";
/// The dimension of products.
pub const PRODUCT: &str = "product";

const KEY_CHARS_MAX: usize = 40;
const DIMENSION_COUNT_MAX: usize = 20;

/// What a rule says of one dimension: a value, or the attribute whose value it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DimensionTarget {
    /// `product`, `cost_center`, or a name of your own: a-z, 0-9 and _.
    pub dimension: String,
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The attribute whose value it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_attribute: Option<String>,
}

/// Why what a rule says of dimensions cannot be kept.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum DimensionError {
    #[error("“{0}” is not a name of a dimension: use a-z, 0-9 and _, a letter first, at most {KEY_CHARS_MAX}.")]
    BadKey(String),
    #[error("“{0}” is not a free dimension: choose the service, environment or team of the rule instead.")]
    Reserved(String),
    #[error("The dimension {0} needs a value, or the attribute that names it, and not both.")]
    NotOneAnswer(String),
    #[error("A value of the dimension {0} has at most {NAME_CHARS_MAX} characters, all of them visible.")]
    BadValue(String),
    #[error("A rule says one thing of the dimension {0}, not two.")]
    Twice(String),
    #[error("A rule names at most {DIMENSION_COUNT_MAX} dimensions.")]
    TooMany,
}

/// The name of a dimension as it is stored: `Cost Center` is `cost_center`.
pub fn dimension_key(text: &str) -> Result<String, DimensionError> {
    let key = text.trim().to_lowercase().replace([' ', '-'], "_");
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let fits = key.len() <= KEY_CHARS_MAX && key.starts_with(|c: char| c.is_ascii_lowercase());
    if !fits || !key.chars().all(is_plain) {
        return Err(DimensionError::BadKey(text.chars().take(60).collect()));
    }
    if ["service", "environment", "team"].contains(&key.as_str()) {
        return Err(DimensionError::Reserved(key));
    }
    Ok(key)
}

/// The dimension in words: `cost center`.
pub fn dimension_label(key: &str) -> String {
    key.replace('_', " ")
}

/// Whether a text can be a value.
pub(super) fn is_fit_as_value(value: &str) -> bool {
    !value.is_empty() && value.chars().count() <= NAME_CHARS_MAX && !value.chars().any(char::is_control)
}

pub(super) fn check(targets: &[DimensionTarget]) -> Result<(), DimensionError> {
    if targets.len() > DIMENSION_COUNT_MAX {
        return Err(DimensionError::TooMany);
    }
    let mut seen = BTreeSet::new();
    for target in targets {
        let key = dimension_key(&target.dimension)?;
        if key != target.dimension {
            return Err(DimensionError::BadKey(target.dimension.clone()));
        }
        if target.value.is_some() == target.from_attribute.is_some() {
            return Err(DimensionError::NotOneAnswer(key));
        }
        if target.value.as_deref().is_some_and(|value| !is_fit_as_value(value)) {
            return Err(DimensionError::BadValue(key));
        }
        if !seen.insert(key.clone()) {
            return Err(DimensionError::Twice(key));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_dimensions() {
        assert_eq!(dimension_key(" Cost-Center ").unwrap(), COST_CENTER);
        assert!(matches!(dimension_key("team"), Err(DimensionError::Reserved(_))));
        for bad in ["", "1st", "größe", "a.b", &"x".repeat(41)] {
            assert!(matches!(dimension_key(bad), Err(DimensionError::BadKey(_))), "{bad}");
        }
    }

    #[test]
    fn one_answer_a_dimension() {
        let target = |dimension: &str, value: Option<&str>, from: Option<&str>| DimensionTarget {
            dimension: dimension.into(),
            value: value.map(str::to_owned),
            from_attribute: from.map(str::to_owned),
        };
        assert_eq!(check(&[target("product", Some("Shop"), None), target("stage", None, Some("tag:stage"))]), Ok(()));
        assert!(matches!(check(&[target("product", None, None)]), Err(DimensionError::NotOneAnswer(_))));
        assert!(matches!(check(&[target("product", Some("a"), Some("b"))]), Err(DimensionError::NotOneAnswer(_))));
        assert!(matches!(check(&[target("product", Some("\n"), None)]), Err(DimensionError::BadValue(_))));
        let twice = [target("product", Some("a"), None), target("product", Some("b"), None)];
        assert!(matches!(check(&twice), Err(DimensionError::Twice(_))));
    }
}
