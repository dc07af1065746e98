//! The tags that an organisation asks for, and whether a charge has them.

use super::environment_kind::EnvironmentKind;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;

const KEY_CHARS_MAX: usize = 200;
const LIST_COUNT_MAX: usize = 200;

/// A value that is allowed, and how it is written too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowedValue {
    /// As it should be.
    pub value: String,
    /// Other ways to write it that count.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// A tag that charges must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRule {
    /// Its row.
    pub tag_rule_id: i64,
    /// The key. Keys are taken in any case of letters.
    pub tag_key: String,
    /// Other keys that count.
    pub aliases: Vec<String>,
    /// The kinds of environment that it is asked of; none means everywhere.
    pub kinds: Vec<EnvironmentKind>,
    /// The allowed values; none means any.
    pub allowed: Vec<AllowedValue>,
    /// Whether a value has to be written in the very letters.
    pub is_exact_case: bool,
}

/// How a charge meets a tag rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TagState {
    /// As it should be.
    Right,
    /// Under another key, in other letters, or under another way to write the value: it counts.
    WrittenOtherwise,
    /// It has a value that is not allowed.
    NotAllowed,
    /// It has no value.
    Missing,
}

impl TagState {
    /// Every state, the best first.
    pub const ALL: [Self; 4] = [Self::Right, Self::WrittenOtherwise, Self::NotAllowed, Self::Missing];

    /// In an address.
    pub fn key(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::WrittenOtherwise => "written-otherwise",
            Self::NotAllowed => "not-allowed",
            Self::Missing => "missing",
        }
    }

    /// As it reads on pages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::WrittenOtherwise => "written otherwise",
            Self::NotAllowed => "not allowed",
            Self::Missing => "missing",
        }
    }

    /// Whether it counts as covered.
    pub fn is_covered(self) -> bool {
        matches!(self, Self::Right | Self::WrittenOtherwise)
    }
}

/// Why a tag rule cannot be kept.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TagRuleError {
    #[error("“{0}” cannot be a tag's key: write 1 to {KEY_CHARS_MAX} visible characters, no @ in front.")]
    BadKey(String),
    #[error("“{0}” stands twice among keys or values.")]
    Twice(String),
    #[error("A list has at most {LIST_COUNT_MAX} entries.")]
    TooMany,
    #[error("“{0}” cannot be a value: write 1 to {KEY_CHARS_MAX} visible characters.")]
    BadValue(String),
}

impl TagRule {
    /// Whether the rule can be kept.
    pub fn check(&self) -> Result<(), TagRuleError> {
        if self.aliases.len() > LIST_COUNT_MAX || self.allowed.len() > LIST_COUNT_MAX {
            return Err(TagRuleError::TooMany);
        }
        let fits = |text: &str| {
            !text.trim().is_empty() && text.chars().count() <= KEY_CHARS_MAX && !text.chars().any(char::is_control)
        };
        let short = |text: &str| text.chars().take(60).collect::<String>();
        let mut keys = BTreeSet::new();
        for key in std::iter::once(&self.tag_key).chain(&self.aliases) {
            if !fits(key) || key.starts_with('@') {
                return Err(TagRuleError::BadKey(short(key)));
            }
            if !keys.insert(key.to_lowercase()) {
                return Err(TagRuleError::Twice(short(key)));
            }
        }
        let mut values = BTreeSet::new();
        for value in self.allowed.iter().flat_map(|one| std::iter::once(&one.value).chain(&one.aliases)) {
            if !fits(value) {
                return Err(TagRuleError::BadValue(short(value)));
            }
            if !values.insert(value.to_lowercase()) {
                return Err(TagRuleError::Twice(short(value)));
            }
        }
        Ok(())
    }

    /// Whether it is asked of what runs in this kind of environment; `None` for no environment.
    pub fn asks(&self, kind: Option<EnvironmentKind>) -> bool {
        self.kinds.is_empty() || kind.is_some_and(|kind| self.kinds.contains(&kind))
    }

    /// How a charge with these tags meets the rule, and the value that it has.
    pub fn judge<'a>(&self, tag: impl Fn(&str) -> Option<Cow<'a, str>>) -> (TagState, Option<Cow<'a, str>>) {
        let present = |key: &str| tag(key).filter(|value| !value.trim().is_empty());
        let (value, is_own_key) = match present(&self.tag_key) {
            Some(value) => (value, true),
            None => match self.aliases.iter().find_map(|key| present(key)) {
                Some(value) => (value, false),
                None => return (TagState::Missing, None),
            },
        };
        let text = value.trim();
        let same = |wanted: &str| wanted.to_lowercase() == text.to_lowercase();
        let is_as_it_should_be = |one: &AllowedValue| one.value == text || (!self.is_exact_case && same(&one.value));
        let state = if self.allowed.is_empty() || self.allowed.iter().any(is_as_it_should_be) {
            if is_own_key { TagState::Right } else { TagState::WrittenOtherwise }
        } else if self.allowed.iter().any(|one| same(&one.value) || one.aliases.iter().any(|alias| same(alias))) {
            TagState::WrittenOtherwise
        } else {
            TagState::NotAllowed
        };
        (state, Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TagState::{Missing, NotAllowed, Right, WrittenOtherwise};

    fn rule() -> TagRule {
        let allowed = |value: &str, aliases: &[&str]| AllowedValue {
            value: value.into(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        };
        TagRule {
            tag_rule_id: 1,
            tag_key: "stage".into(),
            aliases: vec!["env".into()],
            kinds: vec![EnvironmentKind::Production],
            allowed: vec![allowed("prod", &["production"]), allowed("dev", &[])],
            is_exact_case: true,
        }
    }

    #[test]
    fn a_charge_meets_the_rule_or_says_how_not() {
        let judge = |rule: &TagRule, key: &str, value: &str| {
            rule.judge(|asked| (asked == key).then(|| Cow::Owned(value.to_owned()))).0
        };
        let exact = rule();
        for (key, value, state) in [
            ("stage", "prod", Right),
            ("stage", " prod ", Right),
            ("stage", "Prod", WrittenOtherwise),
            ("stage", "PRODUCTION", WrittenOtherwise),
            ("env", "prod", WrittenOtherwise),
            ("stage", "test", NotAllowed),
            ("stage", " ", Missing),
            ("other", "prod", Missing),
        ] {
            assert_eq!(judge(&exact, key, value), state, "{key}={value}");
        }
        let any_case = TagRule { is_exact_case: false, ..rule() };
        assert_eq!(judge(&any_case, "stage", "Prod"), Right);
        let any_value = TagRule { allowed: Vec::new(), ..rule() };
        assert_eq!(judge(&any_value, "stage", "whatever"), Right);
        assert!(exact.asks(Some(EnvironmentKind::Production)) && !exact.asks(Some(EnvironmentKind::Test)));
        assert!(!exact.asks(None) && TagRule { kinds: Vec::new(), ..rule() }.asks(None));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(rule().check(), Ok(()));
        let bad = TagRule { tag_key: "@x".into(), ..rule() };
        assert!(matches!(bad.check(), Err(TagRuleError::BadKey(_))));
        let twice = TagRule { aliases: vec!["Stage".into()], ..rule() };
        assert_eq!(twice.check(), Err(TagRuleError::Twice("Stage".into())));
        let mut values = rule();
        values.allowed[1].aliases.push("PROD".into());
        assert_eq!(values.check(), Err(TagRuleError::Twice("PROD".into())));
    }
}
