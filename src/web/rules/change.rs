//! Moving and deleting a rule: see what would change hands, say why, do it.

use super::super::mapping_change::{self, MappingChange};
use super::super::moves::{self, Labels, Moves};
use super::super::{AppState, ClientAddress, Error, NavItem, Page, Principal, Result, unknown_keys};
use super::edit;
use super::form::{DeleteForm, checked_reason};
use super::{conditions_in_words, delete_rule, ranges, targets_in_words};
use crate::focus::CostBasis;
use crate::rollup::{mapper, what_if};
use crate::store::costs::{self, CostFilter};
use crate::store::mapping_rule_versions::{Action, TargetNames};
use crate::store::mapping_rules::{self, Place};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

/// What would be done.
#[derive(Deserialize)]
pub(super) struct ChangeQuery {
    /// `up`, `down`, `first`, `last` or `delete`.
    to: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "rule_change.html")]
pub(super) struct RuleChangePage {
    page: Page,
    id: i64,
    to: String,
    is_delete: bool,
    title: String,
    conditions: Vec<String>,
    targets: Vec<String>,
    moves: Moves,
    totals: Vec<String>,
    shows_money: bool,
}

/// What a move, or the end of the rule, would change; nothing is written.
pub(super) async fn preview(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<i64>,
    Query(asked): Query<ChangeQuery>,
) -> Result<RuleChangePage> {
    let mut snapshot = app.pools.snapshot().await?;
    let stored = mapping_rules::list(&mut snapshot).await?;
    let at = stored.iter().position(|rule| rule.mapping_rule_id == id).ok_or(Error::NotFound)?;
    let is_delete = asked.to == "delete";
    let mut rules = mapper::rules_of(&stored)?;
    if is_delete {
        rules.remove(at);
    } else {
        rules = mapping_rules::order_after(rules, at, place(&asked.to)?);
    }
    let title =
        if is_delete { format!("Delete rule {}", at + 1) } else { format!("Move rule {} {}", at + 1, asked.to) };
    let page = Page::new(&app, &principal, &mut snapshot, title.clone(), NavItem::Rules).await?;
    let page = page.noting(unknown_keys::of::<ChangeQuery>());
    let (recent, long) = ranges(&page);
    let (scope, catalogue) = (principal.scope(), mapper::catalogue_names(&mut snapshot).await?);
    let question = what_if::Question { rules: &rules, catalogue, rule_id: None, removed_service: None, recent, long };
    let answer = what_if::ask(&mut snapshot, &scope, question).await?;
    let days = answer.other_days.map_or(recent, |(_, long)| long);
    let totals = costs::totals(&mut snapshot, &scope, &CostFilter::new(days, CostBasis::Amortized)).await?;
    let rule = &stored[at];
    Ok(RuleChangePage {
        page,
        id,
        to: asked.to,
        is_delete,
        title,
        conditions: conditions_in_words(&rule.values),
        targets: targets_in_words(&rule.values, &TargetNames::of(rule)),
        moves: moves::tables(&answer, &Labels::load(&mut snapshot).await?),
        totals: totals.iter().map(|money| moves::text(&money.amount, &money.currency)).collect(),
        shows_money: scope.is_everything(),
    })
}

fn place(to: &str) -> Result<Place> {
    match to {
        "up" => Ok(Place::Up),
        "down" => Ok(Place::Down),
        "first" => Ok(Place::First),
        "last" => Ok(Place::Last),
        _ => Err(Error::Invalid("A rule moves up, down, first or last.".into())),
    }
}

/// Where it goes, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveForm {
    to: String,
    reason: String,
}

pub(super) async fn shift(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<MoveForm>,
) -> Result<Response> {
    let (place, reason) = (place(&form.to)?, checked_reason(&form.reason)?);
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        if !mapping_rules::shift(change.conn(), id, place).await? {
            return Err(Error::NotFound);
        }
        edit::keep_version(&mut change, id, Action::Moved, &reason).await?;
        change.audit("rule.moved", &id.to_string(), json!({ "to": form.to, "reason": reason })).await?;
        change.finish().await
    });
    Ok(done.await?.redirect(|_| format!("/rules#rule-{id}")))
}

pub(super) async fn delete(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<DeleteForm>,
) -> Result<Response> {
    let reason = checked_reason(&form.reason)?;
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        delete_rule(&mut change, id, &reason).await?;
        change.finish().await
    });
    Ok(done.await?.redirect(|_| "/rules#deleted".into()))
}
