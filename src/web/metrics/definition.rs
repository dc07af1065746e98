//! What a metric means, as the form and the API take it.

use super::super::{Error, Result};
use crate::rollup::usage_point::metric_name;
use crate::store::metric_points;
use crate::store::metrics::{self, COMBINATIONS, MEANINGS, Metric};
use serde::Deserialize;
use sqlx::PgConnection;

const TEXT_CHARS_MAX: usize = 500;
const UNIT_CHARS_MAX: usize = 40;
const OTLP_NAMES_MAX: usize = 20;

/// The form as it was filled in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DefinitionForm {
    pub name: String,
    pub meaning: String,
    pub unit: String,
    pub over_hours: String,
    pub over_services: String,
    pub unit_cost_per: String,
    pub description: String,
    pub otlp_names: String,
}

impl DefinitionForm {
    pub fn of(metric: &Metric) -> Self {
        Self {
            name: metric.metric.clone(),
            meaning: metric.meaning.clone(),
            unit: metric.unit.clone(),
            over_hours: metric.over_hours.clone(),
            over_services: metric.over_services.clone(),
            unit_cost_per: metric.unit_cost_per.to_string(),
            description: metric.description.clone(),
            otlp_names: metric.otlp_names.join("\n"),
        }
    }

    /// The metric that it says, or what is wrong with it.
    pub fn metric(&self, by: &str, now: chrono::DateTime<chrono::Utc>) -> Result<Metric> {
        let per = self.unit_cost_per.trim();
        let unit_cost_per = if per.is_empty() { Ok(1) } else { per.replace(',', "").parse() };
        let names = self.otlp_names.lines().map(str::trim).filter(|name| !name.is_empty());
        check(Metric {
            metric: self.name.clone(),
            meaning: self.meaning.clone(),
            unit: self.unit.clone(),
            over_hours: self.over_hours.clone(),
            over_services: self.over_services.clone(),
            unit_cost_per: unit_cost_per.unwrap_or_default(),
            description: self.description.clone(),
            otlp_names: names.map(str::to_owned).collect(),
            is_assumed: false,
            changed_by: by.to_owned(),
            changed_at: now,
        })
    }
}

/// The same without blanks around its words, or what is wrong with it.
pub(crate) fn check(mut metric: Metric) -> Result<Metric> {
    let refuse = |text: &str| Err(Error::Invalid(text.to_owned()));
    metric.metric =
        metric_name(&metric.metric).map_err(|fault| Error::Invalid(format!("The name: {fault}")))?.to_owned();
    metric.unit = metric.unit.trim().to_owned();
    metric.description = metric.description.trim().to_owned();
    if !MEANINGS.iter().any(|(key, _)| *key == metric.meaning) {
        let known: Vec<&str> = MEANINGS.iter().map(|(key, _)| *key).collect();
        return Err(Error::Invalid(format!("A meaning is one of {}.", known.join(", "))));
    }
    if [&metric.over_hours, &metric.over_services].iter().any(|way| !COMBINATIONS.contains(&way.as_str())) {
        return refuse("Values are combined as sum, mean or max.");
    }
    if !(1..=1_000_000_000).contains(&metric.unit_cost_per) {
        return refuse("The unit cost is that of a whole number of units, from 1 to 1,000,000,000.");
    }
    if metric.unit.chars().count() > UNIT_CHARS_MAX || metric.unit.chars().any(char::is_control) {
        return Err(Error::Invalid(format!("A unit has at most {UNIT_CHARS_MAX} visible characters.")));
    }
    if metric.description.chars().count() > TEXT_CHARS_MAX {
        return Err(Error::Invalid(format!("A description has at most {TEXT_CHARS_MAX} characters.")));
    }
    let is_long = |name: &String| name.chars().count() > 255;
    if metric.otlp_names.len() > OTLP_NAMES_MAX || metric.otlp_names.iter().any(is_long) {
        return Err(Error::Invalid(format!("A metric has at most {OTLP_NAMES_MAX} OTLP names of 255 characters.")));
    }
    Ok(metric)
}

/// Keeps it. No two metrics have one OTLP name, and days are made anew where hours combine in another way now. Gives
/// what it was before.
pub(crate) async fn put(conn: &mut PgConnection, metric: &Metric) -> Result<Option<Metric>> {
    let others = metrics::list(&mut *conn).await?;
    for other in others.iter().filter(|other| other.metric != metric.metric) {
        let is_theirs = |name: &&String| other.otlp_names.contains(name) || other.metric == **name;
        if let Some(name) = metric.otlp_names.iter().find(is_theirs) {
            return Err(Error::Conflict(format!("The OTLP name “{name}” stands for {} already.", other.metric)));
        }
    }
    if others.len() as i64 >= metrics::METRICS_MAX && !others.iter().any(|other| other.metric == metric.metric) {
        return Err(Error::Conflict(format!("There are {} metrics already.", metrics::METRICS_MAX)));
    }
    let before = metrics::put(&mut *conn, metric).await?;
    if before.as_ref().is_some_and(|before| before.over_hours != metric.over_hours) {
        metric_points::make_all_days(conn, &metric.metric).await?;
    }
    Ok(before)
}
