//! Daily usage cost and traffic of services in environments before a change of spend, from which the part of cost is told that follows
//! traffic.

use super::cost_conditions::select_daily;
use super::service_measures::Measure;
use super::variance_costs::{PlaceLists, Question};
use super::{Scope, limits};
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// Days of services that are read at most.
const DAY_COUNT_MAX: i64 = 1_000_000;

/// What the usage of a service in an environment cost on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDay {
    /// The service.
    pub service_id: i64,
    /// The environment, 0 for none.
    pub environment_id: i64,
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
        SELECT d.service_id AS "service_id!", d.environment_id AS "environment_id!", d.billing_currency AS "currency!",
            d.charge_date AS "charge_date!",
            sum(cost_in($8::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
        FROM daily_cost d
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
        LEFT JOIN service ON service.service_id = d.service_id
        WHERE d.is_used AND d.split_id = 0 AND d.service_id = ANY($9)
          AND d.charge_date >= $10 AND d.charge_date < $11"#],
        [r#"
        GROUP BY d.service_id, d.environment_id, d.billing_currency, d.charge_date
        ORDER BY d.service_id, d.environment_id, d.billing_currency, d.charge_date
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

/// The traffic of a service in an environment on a day.
#[derive(Debug, Clone, PartialEq)]
pub struct TrafficDay {
    /// The service.
    pub service_id: i64,
    /// The environment, 0 for cost that has none.
    pub environment_id: i64,
    /// The day.
    pub charge_date: NaiveDate,
    /// By the metric that tells its volume. Not money.
    pub value: f64,
}

/// Traffic of these places by day, as [`traffic`](super::variance_costs::traffic) averages it.
pub async fn traffic_days(
    conn: &mut PgConnection,
    places: &PlaceLists,
    days: DateRange,
) -> sqlx::Result<Vec<TrafficDay>> {
    let rows = sqlx::query_as!(
        TrafficDay,
        r#"
        SELECT place.service_id AS "service_id!", place.environment_id AS "environment_id!",
            p.charge_date AS "charge_date!", sum(p.value)::double precision AS "value!"
        FROM unnest($2::bigint[], $3::bigint[]) AS place(service_id, environment_id)
        JOIN service_measure told ON told.service_id = place.service_id
        JOIN metric_value p ON p.service_id = told.service_id AND p.metric = told.metric
            AND (place.environment_id = 0 OR p.environment_id IN (place.environment_id, 0))
        WHERE told.measure = $1 AND p.charge_date >= $4 AND p.charge_date < $5
        GROUP BY place.service_id, place.environment_id, p.charge_date
        ORDER BY place.service_id, place.environment_id, p.charge_date
        LIMIT $6
        "#,
        Measure::Volume.key(),
        &places.service_ids,
        &places.environment_ids,
        days.start(),
        days.end(),
        DAY_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, DAY_COUNT_MAX, "days of traffic")
}
