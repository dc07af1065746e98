//! `/rules`: the ordered rules that say whose a cost or a deployment is, and what each takes.

mod change;
pub(super) mod csv;
pub(crate) mod edit;
pub(crate) mod form;
mod history;
mod saved;

use super::mapping_change::{self, MappingChange};
use super::moves;
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, unknown_keys};
use crate::allocate::{self, Condition, DimensionTarget, Operator, Validity};
use crate::focus::DateRange;
use crate::store::mapping_rule_versions::{self, Action, Author, TargetNames};
use crate::store::mapping_rules::{self, DeletedRule, Place, RuleValues};
use crate::store::unmapped::{self, Taken};
use crate::store::{Snapshot, locks};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::Response;
use chrono::{DateTime, Days, Utc};
use saved::{Asked, Saved};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;

/// Complete days that lists and previews show the money of.
pub(super) const RECENT_DAYS: u32 = 30;
/// The longer look of a preview.
pub(super) const LONG_DAYS: u32 = 90;

/// The routes of this folder. Everyone may read the rules; the money beside them is within the reader's scope.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/rules", Policy::SignedIn, show)
        .get("/rules.csv", Policy::SignedIn, csv::show)
        .get("/rules/new", Policy::Bills, edit::new_form)
        .get("/rules/preview", Policy::Bills, edit::preview)
        .post("/rules", Policy::Bills, edit::save)
        .get("/rules/{id}", Policy::Bills, edit::edit_form)
        .get("/rules/{id}/history", Policy::SignedIn, history::show)
        .post("/rules/{id}/history/restore", Policy::Bills, history::restore)
        .get("/rules/{id}/change", Policy::Bills, change::preview)
        .post("/rules/{id}/move", Policy::Bills, change::shift)
        .post("/rules/{id}/delete", Policy::Bills, change::delete)
        .post("/rules/restore", Policy::Bills, restore)
}

/// A rule as the list shows it.
struct RuleRow {
    id: i64,
    number: usize,
    applies_to: String,
    conditions: Vec<String>,
    targets: Vec<String>,
    /// The service that it names as such.
    service_name: Option<String>,
    note: String,
    validity: Validity,
    version: i32,
    changed_by: String,
    changed_at: DateTime<Utc>,
    taken: Taken,
    costs: Vec<String>,
}

impl RuleRow {
    /// The days that it holds on; empty where it always does.
    fn days(&self) -> String {
        self.validity.in_words()
    }
}

/// The rules, and the days that the money beside them is of.
struct RuleList {
    page: Page,
    rows: Vec<RuleRow>,
    recent: DateRange,
    shows_money: bool,
}

#[derive(Template, WebTemplate)]
#[template(path = "rules.html")]
struct RulesPage {
    page: Page,
    rows: Vec<RuleRow>,
    deleted: Vec<DeletedRule>,
    saved: Option<Saved>,
    can_edit: bool,
    shows_money: bool,
    last_day: String,
    /// What a change that is being worked in does just now.
    progress: Option<String>,
}

async fn show(State(app): State<AppState>, principal: Principal, Query(asked): Query<Asked>) -> Result<RulesPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let RuleList { page, rows, recent, shows_money } = read(&app, &principal, &mut snapshot).await?;
    let page = page.noting(unknown_keys::of::<Asked>());
    let saved = saved::read(&mut snapshot, &asked, &rows).await?;
    let can_edit = Policy::Bills.allows(&principal);
    let deleted = if can_edit { mapping_rules::recently_deleted(&mut snapshot).await? } else { Vec::new() };
    let progress = locks::mapping_progress(&mut snapshot).await?;
    let last_day = recent.last_day().format("%-d %b %Y").to_string();
    Ok(RulesPage { page, rows, deleted, saved, can_edit, shows_money, last_day, progress })
}

async fn read(app: &AppState, principal: &Principal, snapshot: &mut Snapshot) -> Result<RuleList> {
    let page = Page::new(app, principal, snapshot, "Rules", NavItem::Rules).await?;
    let (recent, _) = ranges(&page);
    let mut taken = unmapped::taken_by_rules(snapshot, &principal.scope(), recent).await?;
    let rules = mapping_rules::list(snapshot).await?;
    let latest = mapping_rule_versions::latest(snapshot).await?.into_iter();
    let latest: HashMap<i64, _> = latest.map(|(id, version, by, at)| (id, (version, by, at))).collect();
    let rows = rules.iter().zip(1..).map(|(rule, number)| {
        let taken = taken.remove(&rule.mapping_rule_id).unwrap_or_default();
        let latest = latest.get(&rule.mapping_rule_id).cloned();
        let (version, changed_by, changed_at) = latest.unwrap_or_else(|| (1, rule.created_by.clone(), rule.created_at));
        RuleRow {
            id: rule.mapping_rule_id,
            number,
            applies_to: rule.values.applies_to.clone(),
            conditions: conditions_in_words(&rule.values),
            targets: targets_in_words(&rule.values, &TargetNames::of(rule)),
            service_name: rule.service_name.clone(),
            note: rule.values.note.clone(),
            validity: validity(&rule.values),
            version,
            changed_by,
            changed_at,
            costs: taken.cost.iter().map(|money| moves::text(&money.amount, &money.currency)).collect(),
            taken,
        }
    });
    Ok(RuleList { rows: rows.collect(), recent, shows_money: Policy::Money.allows(principal), page })
}

/// The complete days that figures beside rules are of: shorter and longer, with the same end.
pub(super) fn ranges(page: &Page) -> (DateRange, DateRange) {
    let last_day = page.bills.complete_to().unwrap_or_else(|| page.now.date_naive() - Days::new(1));
    (DateRange::days_to(last_day, RECENT_DAYS), DateRange::days_to(last_day, LONG_DAYS))
}

/// Each condition as a sentence's part: `tag “service” is there`.
pub(super) fn conditions_in_words(values: &RuleValues) -> Vec<String> {
    let conditions: Vec<Condition> = serde_json::from_value(values.conditions.clone()).unwrap_or_default();
    let in_words = |condition: &Condition| {
        let attribute = allocate::label(&condition.attribute);
        match condition.operator {
            Operator::Present => format!("{attribute} is there"),
            operator => format!("{attribute} {} “{}”", operator.label(), condition.value),
        }
    };
    conditions.iter().map(in_words).collect()
}

/// What the rule names: `service checkout-api`, `environment named by tag “env”`.
pub(super) fn targets_in_words(values: &RuleValues, names: &TargetNames) -> Vec<String> {
    let added = if values.adds_to_catalogue { ", added where new" } else { "" };
    let mut targets = Vec::new();
    if let Some(name) = &names.service_name {
        targets.push(format!("service {name}"));
    }
    if let Some(attribute) = &values.service_from_attribute {
        targets.push(format!("service named by {}{added}", allocate::label(attribute)));
    }
    if let Some(name) = &names.environment_name {
        targets.push(format!("environment {name}"));
    }
    if let Some(attribute) = &values.environment_from_attribute {
        targets.push(format!("environment named by {}{added}", allocate::label(attribute)));
    }
    if let Some(name) = &names.team_name {
        targets.push(format!("team {name}, where no rule names a service"));
    }
    if let Some(attribute) = &values.team_from_attribute {
        targets.push(format!("team named by {}, where no rule names a service", allocate::label(attribute)));
    }
    let dimensions: Vec<DimensionTarget> = serde_json::from_value(values.dimensions.clone()).unwrap_or_default();
    for one in dimensions {
        let label = allocate::dimension_label(&one.dimension);
        match (one.value, one.from_attribute) {
            (Some(value), _) => targets.push(format!("{label} {value}")),
            (None, Some(by)) => targets.push(format!("{label} named by {}", allocate::label(&by))),
            (None, None) => {}
        }
    }
    targets
}

/// The charge days that the rule holds on; empty where it always does.
pub(super) fn days_in_words(values: &RuleValues) -> String {
    validity(values).in_words()
}

fn validity(values: &RuleValues) -> Validity {
    Validity { first_day: values.first_day, last_day: values.last_day }
}

/// Takes a rule away; the audit log keeps what is needed to put it back.
pub(crate) async fn delete_rule(change: &mut MappingChange, id: i64, reason: &str) -> Result<()> {
    let rules = mapping_rules::list(change.conn()).await?;
    let number = rules.iter().position(|rule| rule.mapping_rule_id == id).ok_or(Error::NotFound)? + 1;
    let rule = &rules[number - 1];
    let targets = targets_in_words(&rule.values, &TargetNames::of(rule));
    let conditions = conditions_in_words(&rule.values);
    let taken = if conditions.is_empty() { "everything that is left".to_owned() } else { conditions.join(" and ") };
    let summary = format!("{taken} → {}", targets.join(", "));
    let deleted = rule.clone();
    let (login, now) = (change.actor().to_owned(), change.now());
    let author = Author { login: &login, now, reason };
    mapping_rule_versions::keep(change.conn(), &deleted, Action::Deleted, author).await?;
    mapping_rules::delete(change.conn(), id).await?;
    let details = json!({ "number": number, "rule": rule.values, "summary": summary, "created_by": rule.created_by,
        "reason": reason });
    change.audit(mapping_rules::DELETED, &id.to_string(), details).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RestoreForm {
    audit_log_id: i64,
}

async fn restore(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<RestoreForm>,
) -> Result<Response> {
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let deleted = mapping_rules::recently_deleted(change.conn()).await?;
        let wanted = deleted.into_iter().find(|rule| rule.audit_log_id == form.audit_log_id);
        let rule = wanted.ok_or_else(|| {
            Error::Conflict("That rule is back already, or was deleted too long ago. Load the rules again.".into())
        })?;
        if !mapping_rules::targets_exist(change.conn(), &rule.values).await? {
            let gone = "The service or environment that the rule names is gone. Make a new rule for another.";
            return Err(Error::Conflict(gone.into()));
        }
        let (actor, now) = (change.actor().to_owned(), change.now());
        let place = Place::Number(rule.number);
        let id = mapping_rules::insert(change.conn(), &rule.values, place, &actor, now).await?;
        let reason = format!("Put back after {} deleted it.", rule.deleted_by);
        edit::keep_version(&mut change, id, Action::Restored, &reason).await?;
        let details = json!({ "deleted_audit_log_id": form.audit_log_id });
        change.audit(mapping_rules::RESTORED, &id.to_string(), details).await?;
        change.finish().await.map(|_| id)
    });
    Ok(done.await?.redirect(|id| format!("/rules#rule-{id}")))
}

/// What rules may look at, for the list beside the field: columns first, then the tags that keys carry.
async fn attribute_choices(snapshot: &mut Snapshot) -> Result<Vec<(String, String)>> {
    let known = allocate::CHARGE_ATTRIBUTES.iter().chain(allocate::DEPLOYMENT_ATTRIBUTES);
    let mut choices: Vec<(String, String)> =
        known.map(|(name, label)| ((*name).to_owned(), (*label).to_owned())).collect();
    for key in mapping_rules::tag_keys(snapshot).await? {
        choices.push((format!("{}{key}", allocate::TAG_PREFIX), format!("Tag “{key}”")));
    }
    Ok(choices)
}
