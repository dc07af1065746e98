//! `/api/v1/deployments/{id}/impact`: what a deployment did to cost, as its page says it.

use super::error::{ErrorBody, Result};
use crate::analyze::impact::smallest_claimed;
use crate::store::effect_runs::StoredCalibration;
use crate::store::effects::{self, EffectRow, LineDay, ServiceLine};
use crate::store::impact_series::Environments;
use crate::store::{deployment_costs, deployment_lists, deployment_notes, effect_runs};
use crate::web::{self, ApiPolicy, AppState, Policy, Principal, Routes};
use axum::Json;
use axum::extract::{Path, State};
use bigdecimal::{BigDecimal, FromPrimitive, RoundingMode};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

/// Digits after the point of a day of the line: far finer than it is sure.
const LINE_DIGITS: i64 = 6;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.api_get("/api/v1/deployments/{id}/impact", ApiPolicy::read(Policy::Money), show)
}

/// What a deployment did to cost.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Impact {
    /// The deployment.
    pub deployment_id: i64,
    /// The answer that stands, one a service and currency that you may see; empty where nothing is known yet.
    pub answers: Vec<Answer>,
    /// Answers that were given before, the newest first.
    pub history: Vec<Answer>,
    /// What reviewers wrote, the newest first.
    pub notes: Vec<Note>,
    /// How often the method claims a change on days without a release; `null` before it was tried here.
    pub placebos: Option<Placebos>,
}

/// One answer. Amounts are estimates in units of the currency a day.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Answer {
    /// Slug of the service.
    pub service: String,
    /// Name of the environment.
    pub environment: String,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// The day of the release, UTC.
    pub release_date: NaiveDate,
    /// The last complete day of the bills that it was made from.
    pub bills_complete_to: NaiveDate,
    /// When it was worked out.
    pub computed_at: DateTime<Utc>,
    /// The publication that it was made from.
    pub publication_id: i64,
    /// measuring, provisional, settled, revised.
    pub phase: String,
    /// increase, decrease, no-material-change, cannot-tell. While `phase` is measuring nothing is told yet: cannot-tell.
    pub finding: String,
    /// Why: clear-effect, within-a-tenth, too-few-days-after, short-history, no-cost-before, too-uncertain,
    /// likely-not-certain, too-small-to-claim, neighbour-too-near, undoes-a-shift, bill-missing, cost-gone (no bill
    /// tells of that cost any more).
    pub reason: String,
    /// The answer in a sentence.
    pub sentence: String,
    /// Complete days before the release that it rests on.
    pub days_before: i32,
    /// Complete days after it.
    pub days_after: i32,
    /// The effect; `null` where nothing can be estimated.
    #[schema(example = "137.33")]
    pub per_day: Option<String>,
    /// Lower end of the 90% interval. Where the interval leaves out zero and the finding claims no change, it is only true
    /// if there is an effect at all; beside "no material change" it holds zero since `impact-17`.
    pub per_day_low: Option<String>,
    /// Upper end of it.
    pub per_day_high: Option<String>,
    /// What the effect adds up to in 30 days: on the days asked, and on the others at what of it is there at their end. Of
    /// a lasting one 30 times `per_day`, less of one that is over. `null` where nothing can be estimated, and of answers
    /// from before `impact-13`.
    #[schema(example = "4119.9")]
    pub per_30_days: Option<String>,
    /// Lower end of the 90% interval over 30 days.
    pub per_30_days_low: Option<String>,
    /// Upper end of it.
    pub per_30_days_high: Option<String>,
    /// Mean cost a day of the two weeks before.
    pub before_per_day: Option<String>,
    /// The smallest lasting change that could have been seen in the noise of these days. Of answers from before `impact-16`
    /// never less than 5% of cost.
    pub smallest_visible: Option<String>,
    /// 5% of `before_per_day`: a smaller effect is never claimed, however well it could have been seen.
    pub smallest_claimed: Option<String>,
    /// The probability that the release did anything, 0 to 1.
    pub probability: Option<f64>,
    /// Of a claimed increase or decrease that stands: how many days without a release were claimed at least as strongly, of
    /// those that `placebos` counts. `null` otherwise.
    pub placebos_as_strong: Option<i64>,
    /// Effect for one unit of what the traffic of the service is counted in: metric, unit, unit_cost_per (pages tell the
    /// cost of so many), per_unit, low, high, before, units_per_day. Of a shared answer (`joint`) it is of all that share
    /// it, as the answer is.
    pub per_unit: Option<serde_json::Value>,
    /// What else may explain it: kind, amount_per_day, day, deployment_ids, and of traffic the metric that tells it. Of
    /// another release (neighbour) the amount is what this estimate takes off for it, told together with this one: what it
    /// did is what its own answer says.
    pub flags: serde_json::Value,
    /// Where other deployments share this one answer, since daily bills cannot tell them apart: days of their releases,
    /// deployment_ids of the others, and own_per_day, own_low, own_high: what the days say of this release alone. The
    /// answers of all of them are the same; count it once.
    pub joint: Option<serde_json::Value>,
    /// Of a rollback: whether the cost came back (answer: yes, partly, no, cannot-tell; same-day where it took back a
    /// release of its own day, which daily bills cannot tell), its share, and deployment_ids of what it took back: all
    /// since the version that it went back to, whose effects are added up.
    pub came_back: Option<serde_json::Value>,
    /// Where the bill is by the hour and the hour of the release is known: since when the effect is counted (at), and the
    /// share of what such a day usually costs that comes after it (share_after). `null` otherwise, and where releases of
    /// several days share the answer.
    pub hourly_start: Option<serde_json::Value>,
    /// What is different from the answer before.
    pub what_changed: String,
    /// The way of working it out.
    pub method: String,
    /// Of an answer that stands: what each day cost, and what it would have cost without the release, as the chart of its
    /// page shows it. Empty where nothing can be estimated, and in `history`.
    pub days: Vec<ExpectedDay>,
}

/// A day around the release. Estimates in units of the currency.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ExpectedDay {
    /// The day, UTC.
    pub day: NaiveDate,
    /// The usage cost that the answer was made from; `null` where there is none.
    #[schema(example = "1154.02")]
    pub actual: Option<String>,
    /// What it would have cost without the release.
    #[schema(example = "1016.69")]
    pub expected: String,
    /// Lower end of its 90% band.
    pub low: String,
    /// Upper end of it.
    pub high: String,
}

impl From<&LineDay> for ExpectedDay {
    fn from(day: &LineDay) -> Self {
        Self {
            day: day.day,
            actual: day.actual.map(estimate),
            expected: estimate(day.expected),
            low: estimate(day.low),
            high: estimate(day.high),
        }
    }
}

fn estimate(value: f64) -> String {
    let rounded = BigDecimal::from_f64(value).unwrap_or_default().with_scale_round(LINE_DIGITS, RoundingMode::HalfUp);
    rounded.normalized().to_plain_string()
}

impl Answer {
    /// An answer that stands, with its days.
    pub fn standing(row: &EffectRow, lines: &[ServiceLine]) -> Self {
        let own = lines
            .iter()
            .find(|line| (line.service_id, &line.billing_currency) == (row.service_id, &row.billing_currency));
        let days = own.map(|line| line.days.iter().map(ExpectedDay::from).collect()).unwrap_or_default();
        Self { days, ..Self::from(row) }
    }

    /// The same with how many days without a release were claimed as strongly, by what was learnt in its environments.
    pub fn ranked(self, learnt: Option<&StoredCalibration>) -> Self {
        let probability = self.probability.filter(|_| matches!(self.finding.as_str(), "increase" | "decrease"));
        let placebos_as_strong =
            learnt.zip(probability).map(|(learnt, probability)| learnt.claimed_as_strongly(probability));
        Self { placebos_as_strong, ..self }
    }
}

/// What a reviewer wrote.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Note {
    /// The text.
    pub note: String,
    /// By whom.
    pub written_by: String,
    /// When.
    pub written_at: DateTime<Utc>,
}

/// The same question, asked on days without a release.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Placebos {
    /// Days asked.
    pub count: i64,
    /// Of them, claimed to be an increase or a decrease.
    pub claimed: i64,
    /// Of them, with an interval that leaves out zero.
    pub interval_without_zero: i64,
}

impl From<&EffectRow> for Answer {
    fn from(row: &EffectRow) -> Self {
        let text = |amount: &Option<BigDecimal>| amount.as_ref().map(|amount| amount.normalized().to_plain_string());
        Self {
            service: row.service_slug.clone(),
            environment: row.environment_name.clone(),
            billing_currency: row.billing_currency.clone(),
            release_date: row.release_date,
            bills_complete_to: row.asked_on,
            computed_at: row.computed_at,
            publication_id: row.publication_id,
            phase: row.phase.clone(),
            finding: row.finding.clone(),
            reason: row.reason.clone(),
            sentence: web::effects::Answer::from(row).sentence(&row.service_name),
            days_before: row.days_before,
            days_after: row.days_after,
            per_day: text(&row.per_day),
            per_day_low: text(&row.per_day_low),
            per_day_high: text(&row.per_day_high),
            per_30_days: text(&row.per_30_days),
            per_30_days_low: text(&row.per_30_days_low),
            per_30_days_high: text(&row.per_30_days_high),
            before_per_day: text(&row.before_per_day),
            smallest_visible: text(&row.smallest_visible),
            smallest_claimed: text(&row.before_per_day.as_ref().map(smallest_claimed)),
            probability: row.probability,
            placebos_as_strong: None,
            per_unit: row.per_unit.clone(),
            flags: row.flags.clone(),
            joint: row.joint.clone(),
            came_back: row.came_back.clone(),
            hourly_start: row.hourly_start.clone(),
            what_changed: row.what_changed.clone(),
            method: row.method.clone(),
            days: Vec::new(),
        }
    }
}

/// What a deployment did to cost.
#[utoipa::path(
    get, operation_id = "show_impact", path = "/api/v1/deployments/{id}/impact", tag = "deployments",
    params(("id" = i64, Path, description = "Its number")),
    responses(
        (status = 200, description = "The answers of the services that you may see", body = Impact),
        (status = 403, description = "None of its services is yours", body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub async fn show(State(app): State<AppState>, principal: Principal, Path(id): Path<String>) -> Result<Json<Impact>> {
    let id: i64 = id.parse().map_err(|_| web::Error::NotFound)?;
    let mut snapshot = app.pools.snapshot().await?;
    let deployment = deployment_lists::get(&mut snapshot, id).await?.ok_or(web::Error::NotFound)?;
    let scope = principal.scope();
    let services = deployment_costs::services(&mut snapshot, id).await?;
    if !services.is_empty() && !services.iter().any(|service| scope.has_team(service.team_id)) {
        return Err(web::Error::Forbidden.into());
    }
    let rows = effects::of_deployment(&mut snapshot, &scope, id).await?;
    let standing: Vec<i64> = web::deployment::standing(&rows).iter().map(|row| row.deployment_effect_id).collect();
    let lines = effects::lines(&mut snapshot, &scope, id).await?;
    let environments = Environments::of_kind(deployment.environment_kind.as_deref());
    let learnt = effect_runs::calibration(&mut snapshot, environments).await?;
    let (mut answers, mut history) = (Vec::new(), Vec::new());
    for row in &rows {
        if standing.contains(&row.deployment_effect_id) {
            answers.push(Answer::standing(row, &lines).ranked(learnt.as_ref()));
        } else {
            history.push(Answer::from(row));
        }
    }
    let notes = deployment_notes::of_deployment(&mut snapshot, id).await?;
    let notes = notes.into_iter().map(|note| Note {
        note: note.note,
        written_by: note.written_by,
        written_at: note.written_at,
    });
    let placebos = learnt.map(|learnt| Placebos {
        count: learnt.placebo_count,
        claimed: learnt.claimed_count,
        interval_without_zero: learnt.outside_count,
    });
    Ok(Json(Impact { deployment_id: id, answers, history, notes: notes.collect(), placebos }))
}
