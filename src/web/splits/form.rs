//! A split as a form and an address carry it.

use super::super::rules::form::service_id;
use super::super::{Error, Result};
use crate::allocate::split::NOT_ALLOCATED;
use crate::rollup::splits::{StoredTarget, split_of};
use crate::store::splits::SplitValues;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;
use std::collections::HashMap;

/// What stands for what is not allocated where a service is chosen.
pub(crate) const NOBODY: &str = "none";
const TARGET_ROWS_MIN: usize = 6;
const PERCENT_CHARS_MAX: usize = 40;

/// The fields, as they were filled in. Targets come as two fields each, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SplitForm {
    /// The split that is changed; none for a new one.
    pub id: Option<i64>,
    pub name: String,
    /// The slug of the service, or `none`.
    pub source: String,
    pub method: String,
    pub metric: String,
    pub targets: Vec<TargetFields>,
    pub by_environment: bool,
    pub first_day: String,
    pub last_day: String,
    /// Why the split is made or changed.
    pub reason: String,
}

/// Who gets a share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TargetFields {
    /// The slug of the service.
    pub service: String,
    pub percent: String,
}

impl SplitForm {
    /// Reads the fields of a form or an address; one that no split has is refused.
    pub fn read(fields: Vec<(String, String)>) -> Result<Self> {
        let mut form = Self { method: "direct-cost".into(), ..Self::default() };
        for (name, value) in fields {
            match name.as_str() {
                "id" if value.is_empty() => form.id = None,
                "id" => {
                    form.id = Some(value.parse().map_err(|_| Error::Invalid("id is the number of a split.".into()))?);
                }
                "name" => form.name = value,
                "source" => form.source = value,
                "method" => form.method = value,
                "metric" => form.metric = value,
                "target" => form.targets.push(TargetFields { service: value, percent: String::new() }),
                "percent" => {
                    let target = form.targets.last_mut();
                    let missing = || Error::Invalid("A share starts with its service.".into());
                    target.ok_or_else(missing)?.percent = value;
                }
                "by_environment" => form.by_environment = true,
                "first_day" => form.first_day = value,
                "last_day" => form.last_day = value,
                "reason" => form.reason = value,
                other => {
                    let other: String = other.chars().take(60).collect();
                    return Err(Error::Invalid(format!("A split has no field “{other}”.")));
                }
            }
        }
        form.targets.retain(|one| !one.service.trim().is_empty() || !one.percent.trim().is_empty());
        Ok(form)
    }

    /// The fields of a stored split.
    pub fn of(split_id: i64, values: &SplitValues, slugs: &HashMap<i64, String>) -> Self {
        let targets: Vec<StoredTarget> = serde_json::from_value(values.targets.clone()).unwrap_or_default();
        let day = |day: Option<NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
        let target = |one: StoredTarget| TargetFields {
            service: slugs.get(&one.service_id).cloned().unwrap_or_default(),
            percent: one.percent.map(|percent| percent.normalized().to_plain_string()).unwrap_or_default(),
        };
        let source = match values.source_service_id {
            NOT_ALLOCATED => NOBODY.to_owned(),
            id => slugs.get(&id).cloned().unwrap_or_default(),
        };
        Self {
            id: Some(split_id),
            name: values.name.clone(),
            source,
            method: values.method.clone(),
            metric: values.metric.clone().unwrap_or_default(),
            targets: targets.into_iter().map(target).filter(|one| !one.service.is_empty()).collect(),
            by_environment: values.by_environment,
            first_day: day(values.first_day),
            last_day: day(values.last_day),
            reason: String::new(),
        }
    }

    /// The fields as hidden fields carry them; the reason is asked for where the split is saved.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        if let Some(id) = self.id {
            fields.push(("id", id.to_string()));
        }
        fields.push(("method", self.method.clone()));
        let texts = [
            ("name", &self.name),
            ("source", &self.source),
            ("metric", &self.metric),
            ("first_day", &self.first_day),
            ("last_day", &self.last_day),
        ];
        fields.extend(texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, text.clone())));
        for target in &self.targets {
            fields.push(("target", target.service.clone()));
            fields.push(("percent", target.percent.clone()));
        }
        if self.by_environment {
            fields.push(("by_environment", "yes".into()));
        }
        fields
    }

    /// `/splits/new?…` with everything filled in.
    pub fn url(&self, path: &str) -> String {
        let mut fields = self.fields();
        if !self.reason.is_empty() {
            fields.push(("reason", self.reason.clone()));
        }
        format!("{path}?{}", serde_urlencoded::to_string(fields).unwrap_or_default())
    }

    /// The shares with empty rows behind them to fill in.
    pub fn rows(&self) -> Vec<TargetFields> {
        let mut rows = self.targets.clone();
        rows.resize((rows.len() + 2).max(TARGET_ROWS_MIN), TargetFields::default());
        rows
    }

    /// The split that these fields stand for, checked by itself.
    pub async fn values(&self, conn: &mut PgConnection) -> Result<SplitValues> {
        let source = match self.source.trim() {
            "" => return Err(Error::Invalid("Choose the service whose cost is divided.".into())),
            NOBODY => NOT_ALLOCATED,
            slug => service_id(conn, slug).await?,
        };
        let mut targets = Vec::new();
        for one in &self.targets {
            let percent = match one.percent.trim() {
                "" => None,
                text => Some(percent(text)?),
            };
            targets.push(StoredTarget { service_id: service_id(conn, one.service.trim()).await?, percent });
        }
        let metric = Some(self.metric.trim().to_owned()).filter(|_| self.method == "metric");
        checked(SplitValues {
            name: self.name.trim().to_owned(),
            source_service_id: source,
            method: self.method.clone(),
            metric,
            targets: serde_json::to_value(targets).map_err(|error| Error::Internal(error.into()))?,
            by_environment: self.by_environment,
            first_day: day(&self.first_day)?,
            last_day: day(&self.last_day)?,
        })
    }
}

/// The split, or the sentence that says what is wrong with it.
pub(crate) fn checked(values: SplitValues) -> Result<SplitValues> {
    if !["even", "fixed", "direct-cost", "metric"].contains(&values.method.as_str()) {
        return Err(Error::Invalid("A split divides by even, fixed, direct-cost or metric.".into()));
    }
    split_of(0, &values)?.check().map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(values)
}

fn percent(text: &str) -> Result<BigDecimal> {
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || c == '.') && text.chars().count() <= PERCENT_CHARS_MAX;
    let parsed = is_plain.then(|| text.parse().ok()).flatten();
    parsed.ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        Error::Invalid(format!("“{text}” is not a percentage. Write it as 12.5."))
    })
}

fn day(text: &str) -> Result<Option<NaiveDate>> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let text: String = text.chars().take(40).collect();
            Error::Invalid(format!("“{text}” is not a day. Write it as 2026-10-31."))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_form_say_the_same() {
        let fields = [
            ("name", "Network & more"),
            ("source", "network"),
            ("method", "fixed"),
            ("target", "shop"),
            ("percent", "33.3"),
            ("target", ""),
            ("percent", ""),
            ("by_environment", "yes"),
            ("first_day", "2026-10-01"),
        ];
        let fields: Vec<(String, String)> = fields.map(|(name, value)| (name.into(), value.into())).into();
        let form = SplitForm::read(fields).unwrap();
        assert_eq!(form.targets.len(), 1, "an empty row is no share");
        let url = form.url("/splits/new");
        let again: Vec<(String, String)> = serde_urlencoded::from_str(url.split_once('?').unwrap().1).unwrap();
        assert_eq!(SplitForm::read(again).unwrap(), form);
        assert!(SplitForm::read(vec![("created_by".into(), "me".into())]).is_err());
        assert!(SplitForm::read(vec![("percent".into(), "1".into())]).is_err());
        for wrong in ["1e5", "-3", "12,5", "NaN", &"1".repeat(41)] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }
}
