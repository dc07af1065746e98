//! A rule as a form and an address carry it.

use super::super::{Error, Result};
use crate::allocate::{self, AppliesTo, Condition, DimensionTarget, Operator};
use crate::rollup::mapper;
use crate::store::catalogue;
use crate::store::mapping_rules::{MappingRule, Place, RuleValues};
use chrono::NaiveDate;
use sqlx::PgConnection;

const CONDITION_ROWS_MIN: usize = 4;
const DIMENSION_ROWS_MIN: usize = 2;
const NOTE_CHARS_MAX: usize = 1_000;

/// The fields, as they were filled in. Conditions come as three fields each, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RuleForm {
    /// The rule that is changed; none for a new one.
    pub id: Option<i64>,
    pub applies_to: String,
    pub conditions: Vec<ConditionFields>,
    /// The slug of the fixed service.
    pub service: String,
    pub service_by: String,
    /// The slug of the fixed environment.
    pub environment: String,
    pub environment_by: String,
    /// The slug of the fixed team.
    pub team: String,
    pub team_by: String,
    pub dimensions: Vec<DimensionFields>,
    pub first_day: String,
    pub last_day: String,
    pub adds: bool,
    pub note: String,
    /// Why the rule is made or changed.
    pub reason: String,
    /// `first`, `last`, or empty: as it is.
    pub place: String,
}

/// What the rule says of one dimension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DimensionFields {
    pub dimension: String,
    pub value: String,
    pub by: String,
}

/// One condition's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConditionFields {
    pub attribute: String,
    pub operator: String,
    pub value: String,
}

impl RuleForm {
    /// Reads the fields of a form or an address; one that no rule has is refused.
    pub fn read(fields: Vec<(String, String)>) -> Result<Self> {
        let mut form = Self { applies_to: "charges".into(), ..Self::default() };
        for (name, value) in fields {
            match name.as_str() {
                "id" if value.is_empty() => form.id = None,
                "id" => {
                    form.id = Some(value.parse().map_err(|_| Error::Invalid("id is the number of a rule.".into()))?)
                }
                "applies_to" => form.applies_to = value,
                "attribute" => form.conditions.push(ConditionFields { attribute: value, ..Default::default() }),
                "operator" => form.last_condition()?.operator = value,
                "value" => form.last_condition()?.value = value,
                "service" => form.service = value,
                "service_by" => form.service_by = value,
                "environment" => form.environment = value,
                "environment_by" => form.environment_by = value,
                "team" => form.team = value,
                "team_by" => form.team_by = value,
                "dimension" => form.dimensions.push(DimensionFields { dimension: value, ..Default::default() }),
                "dimension_value" => form.last_dimension()?.value = value,
                "dimension_by" => form.last_dimension()?.by = value,
                "first_day" => form.first_day = value,
                "last_day" => form.last_day = value,
                "adds" => form.adds = true,
                "note" => form.note = value,
                "reason" => form.reason = value,
                "place" => form.place = value,
                other => {
                    let other: String = other.chars().take(60).collect();
                    return Err(Error::Invalid(format!("A rule has no field “{other}”.")));
                }
            }
        }
        form.conditions.retain(|condition| !condition.is_unused());
        form.dimensions.retain(|one| [&one.dimension, &one.value, &one.by].iter().any(|text| !text.trim().is_empty()));
        if form.id.is_none() && form.place.is_empty() {
            form.place = "last".into();
        }
        Ok(form)
    }

    /// The fields of a stored rule.
    pub fn of(rule: &MappingRule, service: Option<&str>, environment: Option<&str>, team: Option<&str>) -> Self {
        let dimensions: Vec<DimensionTarget> =
            serde_json::from_value(rule.values.dimensions.clone()).unwrap_or_default();
        let of_dimension = |one: DimensionTarget| DimensionFields {
            dimension: one.dimension,
            value: one.value.unwrap_or_default(),
            by: one.from_attribute.unwrap_or_default(),
        };
        let day = |day: Option<NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
        let conditions: Vec<Condition> = serde_json::from_value(rule.values.conditions.clone()).unwrap_or_default();
        let fields = |condition: Condition| ConditionFields {
            attribute: condition.attribute,
            operator: condition.operator.key().to_owned(),
            value: condition.value,
        };
        Self {
            id: Some(rule.mapping_rule_id),
            applies_to: rule.values.applies_to.clone(),
            conditions: conditions.into_iter().map(fields).collect(),
            service: service.unwrap_or_default().to_owned(),
            service_by: rule.values.service_from_attribute.clone().unwrap_or_default(),
            environment: environment.unwrap_or_default().to_owned(),
            environment_by: rule.values.environment_from_attribute.clone().unwrap_or_default(),
            team: team.unwrap_or_default().to_owned(),
            team_by: rule.values.team_from_attribute.clone().unwrap_or_default(),
            dimensions: dimensions.into_iter().map(of_dimension).collect(),
            first_day: day(rule.values.first_day),
            last_day: day(rule.values.last_day),
            adds: rule.values.adds_to_catalogue,
            note: rule.values.note.clone(),
            reason: String::new(),
            place: String::new(),
        }
    }

    /// The fields as an address and as hidden fields carry them; the reason is asked for where the rule is saved.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        if let Some(id) = self.id {
            fields.push(("id", id.to_string()));
        }
        fields.push(("applies_to", self.applies_to.clone()));
        for condition in &self.conditions {
            fields.push(("attribute", condition.attribute.clone()));
            fields.push(("operator", condition.operator.clone()));
            fields.push(("value", condition.value.clone()));
        }
        for one in &self.dimensions {
            fields.push(("dimension", one.dimension.clone()));
            fields.push(("dimension_value", one.value.clone()));
            fields.push(("dimension_by", one.by.clone()));
        }
        let texts = [
            ("service", &self.service),
            ("service_by", &self.service_by),
            ("environment", &self.environment),
            ("environment_by", &self.environment_by),
            ("team", &self.team),
            ("team_by", &self.team_by),
            ("first_day", &self.first_day),
            ("last_day", &self.last_day),
            ("note", &self.note),
            ("place", &self.place),
        ];
        fields.extend(texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, text.clone())));
        if self.adds {
            fields.push(("adds", "yes".into()));
        }
        fields
    }

    /// `/rules/new?…` with everything filled in.
    pub fn url(&self, path: &str) -> String {
        let mut fields = self.fields();
        if !self.reason.is_empty() {
            fields.push(("reason", self.reason.clone()));
        }
        format!("{path}?{}", serde_urlencoded::to_string(fields).unwrap_or_default())
    }

    /// The conditions with empty rows behind them to fill in.
    pub fn rows(&self) -> Vec<ConditionFields> {
        let mut rows = self.conditions.clone();
        rows.resize((rows.len() + 1).max(CONDITION_ROWS_MIN), ConditionFields::default());
        rows
    }

    /// The dimensions with empty rows behind them to fill in.
    pub fn dimension_rows(&self) -> Vec<DimensionFields> {
        let mut rows = self.dimensions.clone();
        rows.resize((rows.len() + 1).max(DIMENSION_ROWS_MIN), DimensionFields::default());
        rows
    }

    /// Where a saved rule goes; none for where it is.
    pub fn place(&self) -> Option<Place> {
        match self.place.as_str() {
            "first" => Some(Place::First),
            "last" => Some(Place::Last),
            _ => None,
        }
    }

    /// The rule that these fields stand for, checked.
    pub async fn values(&self, conn: &mut PgConnection) -> Result<RuleValues> {
        let conditions = self.conditions.iter().map(ConditionFields::condition).collect::<Result<Vec<_>>>()?;
        let service_id = match self.service.as_str() {
            "" => None,
            slug => Some(service_id(conn, slug).await?),
        };
        let environment_id = match self.environment.as_str() {
            "" => None,
            slug => Some(environment_id(conn, slug).await?),
        };
        let team_id = match self.team.as_str() {
            "" => None,
            slug => Some(team_id(conn, slug).await?),
        };
        let dimensions = self.dimensions.iter().map(DimensionFields::target).collect::<Result<Vec<_>>>()?;
        checked(RuleValues {
            team_id,
            team_from_attribute: attribute(&self.team_by),
            dimensions: serde_json::to_value(dimensions).map_err(|error| Error::Internal(error.into()))?,
            first_day: day(&self.first_day)?,
            last_day: day(&self.last_day)?,
            applies_to: self.applies_to.clone(),
            conditions: serde_json::to_value(conditions).map_err(|error| Error::Internal(error.into()))?,
            service_id,
            environment_id,
            service_from_attribute: attribute(&self.service_by),
            environment_from_attribute: attribute(&self.environment_by),
            adds_to_catalogue: self.adds,
            note: self.note.trim().to_owned(),
        })
    }

    fn last_dimension(&mut self) -> Result<&mut DimensionFields> {
        self.dimensions.last_mut().ok_or_else(|| Error::Invalid("A dimension starts with its name.".into()))
    }

    fn last_condition(&mut self) -> Result<&mut ConditionFields> {
        self.conditions.last_mut().ok_or_else(|| Error::Invalid("A condition starts with its attribute.".into()))
    }
}

impl DimensionFields {
    fn target(&self) -> Result<DimensionTarget> {
        let dimension = allocate::dimension_key(&self.dimension).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(DimensionTarget { dimension, value: attribute(&self.value), from_attribute: attribute(&self.by) })
    }
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

impl ConditionFields {
    // An empty row of the form still sends its operator.
    fn is_unused(&self) -> bool {
        self.attribute.trim().is_empty() && self.value.trim().is_empty()
    }

    fn condition(&self) -> Result<Condition> {
        let operator = Operator::from_key(&self.operator)
            .ok_or_else(|| Error::Invalid("Choose how a condition compares: is, starts with, …".into()))?;
        let value = if operator == Operator::Present { String::new() } else { self.value.trim().to_owned() };
        Ok(Condition { attribute: self.attribute.trim().to_owned(), operator, value })
    }
}

/// The rule, or the sentence that says what is wrong with it.
pub(crate) fn checked(values: RuleValues) -> Result<RuleValues> {
    let both = "Choose a fixed one or the attribute that names it, not both.";
    if values.service_id.is_some() && values.service_from_attribute.is_some() {
        return Err(Error::Invalid(format!("The service has two answers. {both}")));
    }
    if values.environment_id.is_some() && values.environment_from_attribute.is_some() {
        return Err(Error::Invalid(format!("The environment has two answers. {both}")));
    }
    if values.team_id.is_some() && values.team_from_attribute.is_some() {
        return Err(Error::Invalid(format!("The team has two answers. {both}")));
    }
    if values.note.chars().count() > NOTE_CHARS_MAX {
        return Err(Error::Invalid(format!("A note has at most {NOTE_CHARS_MAX} characters.")));
    }
    if AppliesTo::from_key(&values.applies_to).is_none() {
        return Err(Error::Invalid("A rule applies to charges, deployments or both.".into()));
    }
    let rule = mapper::rule_of(0, &values)?;
    rule.check().map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(values)
}

pub(crate) async fn service_id(conn: &mut PgConnection, slug: &str) -> Result<i64> {
    let found = catalogue::service::get(conn, slug).await?;
    found.map(|service| service.service_id).ok_or_else(|| {
        let slug: String = slug.chars().take(60).collect();
        Error::Invalid(format!("There is no service “{slug}”. Add it to the catalogue first."))
    })
}

pub(crate) async fn team_id(conn: &mut PgConnection, slug: &str) -> Result<i64> {
    let teams = catalogue::team::list(conn).await?;
    teams.into_iter().find(|team| team.slug == slug).map(|team| team.team_id).ok_or_else(|| {
        let slug: String = slug.chars().take(60).collect();
        Error::Invalid(format!("There is no team “{slug}”. Add it to the catalogue first."))
    })
}

/// Which version of a rule or a split to go back to, and why.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreForm {
    /// The version.
    pub version: i32,
    /// As [`checked_reason`] wants it.
    pub reason: String,
}

/// Why a rule or a split goes.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteForm {
    /// As [`checked_reason`] wants it.
    pub reason: String,
}

/// Why a rule is made or changed: never blank, never longer than a page shows.
pub(crate) fn checked_reason(reason: &str) -> Result<String> {
    let reason = reason.trim();
    match reason.chars().count() {
        0 => Err(Error::Invalid("Say why: every change of what is allocated keeps its reason.".into())),
        1..=NOTE_CHARS_MAX => Ok(reason.to_owned()),
        _ => Err(Error::Invalid(format!("A reason has at most {NOTE_CHARS_MAX} characters."))),
    }
}

pub(crate) async fn environment_id(conn: &mut PgConnection, slug: &str) -> Result<i64> {
    let found = catalogue::environment::get(conn, slug).await?;
    found.map(|environment| environment.environment_id).ok_or_else(|| {
        let slug: String = slug.chars().take(60).collect();
        Error::Invalid(format!("There is no environment “{slug}”. Add it to the catalogue first."))
    })
}

fn attribute(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_form_say_the_same() {
        let fields = [
            ("applies_to", "both"),
            ("attribute", "tag:team"),
            ("operator", "equals"),
            ("value", "a&b=c"),
            ("attribute", ""),
            ("operator", "equals"),
            ("value", ""),
            ("service_by", "tag:team"),
            ("adds", "yes"),
            ("place", "first"),
        ];
        let fields: Vec<(String, String)> = fields.map(|(name, value)| (name.into(), value.into())).into();
        let form = RuleForm::read(fields).unwrap();
        assert_eq!(form.conditions.len(), 1, "an empty row is no condition");
        assert_eq!((form.adds, form.place()), (true, Some(Place::First)));
        let url = form.url("/rules/new");
        let again: Vec<(String, String)> = serde_urlencoded::from_str(url.split_once('?').unwrap().1).unwrap();
        assert_eq!(RuleForm::read(again).unwrap(), form);
        assert!(RuleForm::read(vec![("created_by".into(), "me".into())]).is_err());
        assert!(RuleForm::read(vec![("value".into(), "x".into())]).is_err());
    }
}
