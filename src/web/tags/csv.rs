//! The tables of `/tags` as files: what is asked for, who has it, how that went over months, and what lacks it.

use super::super::csv::{Cell, Table};
use super::super::{AppState, Principal, Result};
use super::{Read, of_months, read, sums_of, team_of};
use crate::rollup::tag_coverage::{Coverage, CoverageKey};
use crate::store::tag_rules::StoredTagRule;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;

/// `/tags.csv`: all cost that lacks a tag, of which the page shows the dearest.
pub(super) async fn offenders(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let Read { coverage, .. } = read(&app, &principal, query.as_deref()).await?;
    let mut table = Table::new(&[
        "TagKey",
        "State",
        "Value",
        "Team",
        "Service",
        "SubAccountId",
        "ServiceName",
        "BillingCurrency",
        "EffectiveCost",
    ]);
    for (one, cost) in &coverage.offenders {
        table.row(&[
            (&one.tag_key).into(),
            one.state.label().into(),
            (&one.value).into(),
            (&one.team).into(),
            (&one.service).into(),
            (&one.sub_account_id).into(),
            (&one.provider_service).into(),
            (&one.currency).into(),
            Cell::Amount(cost),
        ]);
    }
    Ok(table.into_response("tags.csv"))
}

/// `/tags/required.csv`: each tag that is asked for, and the cost of the recent days by how it meets that. A tag has a
/// row a currency, and one without money where it is asked of no cost.
pub(super) async fn required(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let Read { coverage, recent, .. } = read(&app, &principal, query.as_deref()).await?;
    let mut table = Table::new(&[
        "TagKey",
        "EnvironmentKinds",
        "Reason",
        "ChangedBy",
        "FirstDay",
        "LastDay",
        "BillingCurrency",
        "RightEffectiveCost",
        "WrittenOtherwiseEffectiveCost",
        "NotAllowedEffectiveCost",
        "MissingEffectiveCost",
    ]);
    let (first, last) = (recent.start(), recent.last_day());
    for rule in &coverage.rules {
        let sums = sums_of(&coverage, rule);
        if sums.is_empty() {
            table.row(&[rule_cells(rule, first, last), vec![Cell::Empty; 5]].concat());
        }
        for (currency, sums) in &sums {
            let amounts = sums.iter().map(Cell::Amount);
            let cells = [Cell::from(*currency)].into_iter().chain(amounts).collect();
            table.row(&[rule_cells(rule, first, last), cells].concat());
        }
    }
    Ok(table.into_response("tags-required.csv"))
}

fn rule_cells(rule: &StoredTagRule, first: NaiveDate, last: NaiveDate) -> Vec<Cell<'_>> {
    vec![
        (&rule.values.tag_key).into(),
        rule.values.environment_kinds.join(", ").into(),
        (&rule.reason).into(),
        (&rule.changed_by).into(),
        first.to_string().into(),
        last.to_string().into(),
    ]
}

/// `/tags/teams.csv`: the cost of the recent days by tag, team and how it meets what is asked.
pub(super) async fn teams(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let Read { coverage, recent, .. } = read(&app, &principal, query.as_deref()).await?;
    let mut table = Table::new(&["TagKey", "Team", "State", "BillingCurrency", "EffectiveCost", "FirstDay", "LastDay"]);
    for (key, cost) in &coverage.recent {
        let days = [recent.start(), recent.last_day()].map(|day| Cell::from(day.to_string()));
        table.row(&[sum_cells(&coverage, key, cost), days.to_vec()].concat());
    }
    Ok(table.into_response("tags-teams.csv"))
}

/// `/tags/months.csv`: the same by charge month, of the team that is asked for or of all.
pub(super) async fn months(
    State(app): State<AppState>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let Read { coverage, view, .. } = read(&app, &principal, query.as_deref()).await?;
    let mut table = Table::new(&["TagKey", "Team", "State", "BillingCurrency", "EffectiveCost", "ChargeMonth"]);
    for (key, cost) in &of_months(&coverage, &view)? {
        let month = Cell::from(key.month.format("%Y-%m").to_string());
        table.row(&[sum_cells(&coverage, key, cost), vec![month]].concat());
    }
    Ok(table.into_response("tags-months.csv"))
}

fn sum_cells<'a>(coverage: &'a Coverage, key: &'a CoverageKey, cost: &'a BigDecimal) -> Vec<Cell<'a>> {
    let rule = coverage.rules.iter().find(|rule| rule.tag_rule_id == key.tag_rule_id);
    vec![
        rule.map_or(Cell::Empty, |rule| (&rule.values.tag_key).into()),
        team_of(key).into(),
        key.state.label().into(),
        (&key.currency).into(),
        cost.into(),
    ]
}
