//! `/api/v1/tag-coverage`: how much of the cost has the tags that the organisation asks for.

use super::error::Result;
use crate::allocate::TagState;
use crate::focus::DateRange;
use crate::rollup::tag_coverage;
use crate::web::{ApiPolicy, AppState, Policy, Principal, Routes, tags};
use axum::Json;
use axum::extract::State;
use chrono::{Days, NaiveDate};
use serde::Serialize;
use std::collections::HashMap;

const RECENT_DAYS: u32 = 30;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.api_get("/api/v1/tag-coverage", ApiPolicy::read(Policy::Money), coverage)
}

/// Cost of one team and month that meets a tag rule in one way.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TagCoverageBody {
    /// The key that is asked for.
    pub tag_key: String,
    /// The first day of the charge month.
    pub month: NaiveDate,
    /// Who pays; null without a team.
    pub team: Option<String>,
    /// `BillingCurrency`.
    pub currency: String,
    /// `right` and `written-otherwise` count as covered.
    pub state: TagState,
    /// `EffectiveCost` of usage and purchases.
    pub effective_cost: String,
}

/// Cost of the last six months by required tag, month, team and how it meets the rule.
#[utoipa::path(get, path = "/api/v1/tag-coverage", tag = "tags",
    responses((status = 200, body = Vec<TagCoverageBody>)))]
pub async fn coverage(State(app): State<AppState>, principal: Principal) -> Result<Json<Vec<TagCoverageBody>>> {
    let mut snapshot = app.pools.snapshot().await?;
    let bills = app.bills(&mut snapshot).await?;
    let last_day = bills.complete_to().unwrap_or_else(|| app.now().date_naive() - Days::new(1));
    let (months, recent) = tags::ranges(DateRange::days_to(last_day, RECENT_DAYS));
    let coverage = tag_coverage::read(&mut snapshot, &principal.scope(), months, recent).await?;
    let keys: HashMap<i64, String> =
        coverage.rules.iter().map(|rule| (rule.tag_rule_id, rule.values.tag_key.clone())).collect();
    let body = |(key, cost): (tag_coverage::CoverageKey, bigdecimal::BigDecimal)| TagCoverageBody {
        tag_key: keys.get(&key.tag_rule_id).cloned().unwrap_or_default(),
        month: key.month,
        team: key.team,
        currency: key.currency,
        state: key.state,
        effective_cost: cost.to_plain_string(),
    };
    Ok(Json(coverage.by_month.into_iter().map(body).collect()))
}
