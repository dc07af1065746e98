//! `/rules/{id}/history`: every state that a rule was in, and the way back to one.

use super::super::mapping_change::{self, MappingChange};
use super::super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result};
use super::form::{RestoreForm, checked_reason};
use super::{conditions_in_words, days_in_words, targets_in_words};
use crate::store::mapping_rule_versions::{self, Action, RuleVersion};
use crate::store::mapping_rules::{self, RuleValues};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::json;

/// A version as the page shows it.
struct VersionRow {
    version: i32,
    action: String,
    place: i32,
    conditions: Vec<String>,
    targets: Vec<String>,
    days: String,
    note: String,
    changed_by: String,
    changed_at: DateTime<Utc>,
    reason: String,
    /// What is different from the version before it.
    differences: Vec<&'static str>,
    is_now: bool,
}

#[derive(Template, WebTemplate)]
#[template(path = "rule_history.html")]
pub(super) struct RuleHistoryPage {
    page: Page,
    id: i64,
    /// False where the rule is deleted.
    is_there: bool,
    /// What puts a deleted one back, while that can be done.
    deleted_audit_log_id: Option<i64>,
    /// The rule that a deleted one came back as.
    put_back_as: Option<i64>,
    can_edit: bool,
    rows: Vec<VersionRow>,
}

pub(super) async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<i64>,
) -> Result<RuleHistoryPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "History of a rule", NavItem::Rules).await?;
    let versions = mapping_rule_versions::list(&mut snapshot, id).await?;
    if versions.is_empty() {
        return Err(Error::NotFound);
    }
    let is_there = mapping_rules::get(&mut snapshot, id).await?.is_some();
    let rows = versions.iter().enumerate().map(|(index, version)| {
        let before = versions.get(index + 1).map(|before| &before.values);
        row(version, before, is_there && index == 0)
    });
    let can_edit = Policy::Bills.allows(&principal);
    let put_back_as = if is_there { None } else { mapping_rules::put_back_as(&mut snapshot, id).await? };
    let deleted = match put_back_as {
        None if can_edit && !is_there => mapping_rules::recently_deleted(&mut snapshot).await?,
        _ => Vec::new(),
    };
    let deleted = deleted.into_iter().find(|rule| rule.mapping_rule_id == id);
    let deleted_audit_log_id = deleted.map(|rule| rule.audit_log_id);
    Ok(RuleHistoryPage { page, id, is_there, deleted_audit_log_id, put_back_as, can_edit, rows: rows.collect() })
}

fn row(version: &RuleVersion, before: Option<&RuleValues>, is_now: bool) -> VersionRow {
    VersionRow {
        version: version.version,
        action: version.action.clone(),
        place: version.place,
        conditions: conditions_in_words(&version.values),
        targets: targets_in_words(&version.values, &version.names),
        days: days_in_words(&version.values),
        note: version.values.note.clone(),
        changed_by: version.changed_by.clone(),
        changed_at: version.changed_at,
        reason: version.reason.clone(),
        differences: before.map(|before| differences(before, &version.values)).unwrap_or_default(),
        is_now,
    }
}

fn differences(before: &RuleValues, after: &RuleValues) -> Vec<&'static str> {
    let targets = |values: &RuleValues| {
        let fixed = (values.service_id, values.environment_id, values.team_id);
        let named = (
            values.service_from_attribute.clone(),
            values.environment_from_attribute.clone(),
            values.team_from_attribute.clone(),
        );
        (fixed, named, values.dimensions.clone(), values.adds_to_catalogue)
    };
    let all = [
        ("conditions", before.conditions != after.conditions),
        ("targets", targets(before) != targets(after)),
        ("days", (before.first_day, before.last_day) != (after.first_day, after.last_day)),
        ("what it is for", before.applies_to != after.applies_to),
        ("note", before.note != after.note),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
}

pub(super) async fn restore(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<RestoreForm>,
) -> Result<Response> {
    let reason = checked_reason(&form.reason)?;
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let before = mapping_rules::get(change.conn(), id).await?.ok_or_else(|| {
            Error::Conflict("The rule is deleted. Put it back on the rules page first, then restore a version.".into())
        })?;
        let versions = mapping_rule_versions::list(change.conn(), id).await?;
        let wanted = versions.into_iter().find(|one| one.version == form.version).ok_or(Error::NotFound)?;
        if !mapping_rules::targets_exist(change.conn(), &wanted.values).await? {
            let gone = "What that version names is gone from the catalogue. Change the rule to name another.";
            return Err(Error::Conflict(gone.into()));
        }
        mapping_rules::update(change.conn(), id, &wanted.values).await?;
        super::edit::keep_version(&mut change, id, Action::Restored, &reason).await?;
        let details = json!({ "before": before.values, "after": wanted.values, "version": form.version,
            "reason": reason });
        change.audit("rule.version_restored", &id.to_string(), details).await?;
        change.finish().await
    });
    Ok(done.await?.redirect(|_| format!("/rules/{id}/history")))
}
