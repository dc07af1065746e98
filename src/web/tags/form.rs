//! A tag rule as a form carries it.

use super::super::{Error, Result};
use crate::allocate::{AllowedValue, EnvironmentKind};
use crate::rollup::tag_coverage::rule_of;
use crate::store::tag_rules::TagRuleValues;

/// The fields, as they were filled in.
#[derive(Debug, Clone, Default)]
pub(super) struct TagForm {
    pub id: Option<i64>,
    pub key: String,
    /// Separated by commas.
    pub aliases: String,
    pub kinds: Vec<String>,
    /// One a line: `prod = production, prd`.
    pub values: String,
    pub exact: bool,
    pub reason: String,
}

impl TagForm {
    /// Reads the fields; one that no tag rule has is refused.
    pub fn read(fields: Vec<(String, String)>) -> Result<Self> {
        let mut form = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "id" if value.is_empty() => form.id = None,
                "id" => form.id = Some(value.parse().map_err(|_| Error::Invalid("id is a number.".into()))?),
                "key" => form.key = value,
                "aliases" => form.aliases = value,
                "kind" => form.kinds.push(value),
                "values" => form.values = value,
                "exact" => form.exact = true,
                "reason" => form.reason = value,
                other => {
                    let other: String = other.chars().take(60).collect();
                    return Err(Error::Invalid(format!("A tag rule has no field “{other}”.")));
                }
            }
        }
        Ok(form)
    }

    /// The fields of a stored rule.
    pub fn of(id: i64, values: &TagRuleValues) -> Self {
        let allowed: Vec<AllowedValue> = serde_json::from_value(values.allowed_values.clone()).unwrap_or_default();
        let line = |one: &AllowedValue| match one.aliases.as_slice() {
            [] => one.value.clone(),
            aliases => format!("{} = {}", one.value, aliases.join(", ")),
        };
        Self {
            id: Some(id),
            key: values.tag_key.clone(),
            aliases: values.aliases.join(", "),
            kinds: values.environment_kinds.clone(),
            values: allowed.iter().map(line).collect::<Vec<_>>().join("\n"),
            exact: values.is_exact_case,
            reason: String::new(),
        }
    }

    /// Whether a kind of environment is chosen.
    pub fn has(&self, kind: &EnvironmentKind) -> bool {
        self.kinds.iter().any(|one| one == kind.key())
    }

    /// The rule that these fields stand for, checked.
    pub fn values(&self) -> Result<TagRuleValues> {
        let listed = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
        };
        let allowed = self.values.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| {
            let (value, aliases) = line.split_once('=').unwrap_or((line, ""));
            AllowedValue { value: value.trim().to_owned(), aliases: listed(aliases) }
        });
        let allowed: Vec<AllowedValue> = allowed.collect();
        checked(TagRuleValues {
            tag_key: self.key.trim().to_owned(),
            aliases: listed(&self.aliases),
            environment_kinds: self.kinds.clone(),
            allowed_values: serde_json::to_value(allowed).map_err(|error| Error::Internal(error.into()))?,
            is_exact_case: self.exact,
        })
    }
}

/// The rule, or the sentence that says what is wrong with it.
pub(super) fn checked(values: TagRuleValues) -> Result<TagRuleValues> {
    if values.environment_kinds.iter().any(|kind| EnvironmentKind::from_key(kind).is_none()) {
        let kinds = "A kind is production, staging, test, development, preview or other.";
        return Err(Error::Invalid(kinds.into()));
    }
    rule_of(0, &values)?.check().map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(values)
}
