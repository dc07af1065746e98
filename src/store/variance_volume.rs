//! Daily usage cost and traffic of services before a change of spend, from which the part of cost is told that follows
//! traffic.

use super::cost_conditions::select_daily;
use super::service_measures::Measure;
use super::variance_costs::Question;
use super::{Scope, limits};
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// Days of services that are read at most.
const DAY_COUNT_MAX: i64 = 1_000_000;

/// What the usage of a service cost on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDay {
    /// The service.
    pub service_id: i64,
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// The day.
    pub charge_date: NaiveDate,
    /// In the basis of the question.
    pub cost: BigDecimal,
}

/// Usage of these services by day, in the basis and within the filter of the question, but on these days: without
/// corrections, unused commitments and what splits moved.
pub async fn usage_days(
    conn: &mut PgConnection,
    scope: &Scope,
    question: Question<'_>,
    service_ids: &[i64],
    days: DateRange,
) -> sqlx::Result<Vec<UsageDay>> {
    let filter = question.filter;
    let rows = select_daily!(
        UsageDay,
        scope,
        filter,
        [r#"
        SELECT d.service_id AS "service_id!", d.billing_currency AS "currency!", d.charge_date AS "charge_date!",
            sum(cost_in($8::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
        FROM daily_cost d
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
        LEFT JOIN service ON service.service_id = d.service_id
        WHERE d.is_used AND d.split_id = 0 AND d.service_id = ANY($9)
          AND d.charge_date >= $10 AND d.charge_date < $11"#],
        [r#"
        GROUP BY d.service_id, d.billing_currency, d.charge_date
        ORDER BY d.service_id, d.billing_currency, d.charge_date
        LIMIT $12
        "#],
        service_ids,
        days.start(),
        days.end(),
        DAY_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, DAY_COUNT_MAX, "days of services")
}

/// The traffic of a service on a day.
#[derive(Debug, Clone, PartialEq)]
pub struct TrafficDay {
    /// The service.
    pub service_id: i64,
    /// The day.
    pub charge_date: NaiveDate,
    /// By the metric that tells its volume. Not money.
    pub value: f64,
}

/// Traffic of these services by day, as [`traffic`](super::variance_costs::traffic) averages it.
pub async fn traffic_days(
    conn: &mut PgConnection,
    question: Question<'_>,
    service_ids: &[i64],
    days: DateRange,
) -> sqlx::Result<Vec<TrafficDay>> {
    let rows = sqlx::query_as!(
        TrafficDay,
        r#"
        SELECT p.service_id AS "service_id!", p.charge_date AS "charge_date!",
            sum(p.value)::double precision AS "value!"
        FROM service_measure told
        JOIN metric_value p ON p.service_id = told.service_id AND p.metric = told.metric
        WHERE told.measure = $1 AND told.service_id = ANY($2) AND p.charge_date >= $3 AND p.charge_date < $4
          AND ($5::bigint IS NULL OR p.environment_id IN ($5, 0))
        GROUP BY p.service_id, p.charge_date
        ORDER BY p.service_id, p.charge_date
        LIMIT $6
        "#,
        Measure::Volume.key(),
        service_ids,
        days.start(),
        days.end(),
        question.filter.environment_id,
        DAY_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, DAY_COUNT_MAX, "days of traffic")
}
