//! What the pages of environments and the overview read.

use super::catalogue::ENTRY_READ_MAX;
use super::cost_conditions::select_daily;
use super::costs::CostFilter;
use super::{Scope, limits};
use crate::focus::{CostBasis, DateRange};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// Sums that are read at once: environments, or days of sources, in currencies.
const SUM_COUNT_MAX: i64 = 400_000;

/// An environment of the catalogue, with its first and last signs of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEnvironment {
    /// The environment.
    pub environment_id: i64,
    /// Its address.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// `production`, …
    pub kind: String,
    /// Its newest deployment that went live.
    pub last_deployment_id: Option<i64>,
    /// When.
    pub last_deployed_at: Option<DateTime<Utc>>,
}

/// Every environment, the one with this address where one is given. No money, so no scope.
pub async fn environments(conn: &mut PgConnection, slug: Option<&str>) -> sqlx::Result<Vec<ListedEnvironment>> {
    let rows = sqlx::query_as!(
        ListedEnvironment,
        r#"
        SELECT e.environment_id, e.slug, e.name, e.kind,
            l.deployment_id AS "last_deployment_id?", l.at AS "last_deployed_at?"
        FROM environment e
        LEFT JOIN LATERAL (
            SELECT d.deployment_id, d.finished_at AS at FROM deployment d
            WHERE d.environment_id = e.environment_id AND d.status IN ('succeeded', 'superseded')
              AND d.finished_at IS NOT NULL
            ORDER BY d.finished_at DESC LIMIT 1
        ) l ON true
        WHERE $1::text IS NULL OR e.slug = $1
        ORDER BY e.name, e.environment_id
        LIMIT $2
        "#,
        slug,
        ENTRY_READ_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ENTRY_READ_MAX, "environments")
}

/// One environment in one currency, now and in the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentCost {
    /// 0 is what no rule maps to an environment.
    pub environment_id: i64,
    /// `BillingCurrency`.
    pub currency: String,
    /// Charges behind the cost.
    pub charge_count: i64,
    /// On the filter's days.
    pub cost: BigDecimal,
    /// On the compared days.
    pub cost_before: BigDecimal,
}

/// Every environment that the filter has cost for.
pub async fn by_environment(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &CostFilter,
    compared: DateRange,
) -> sqlx::Result<Vec<EnvironmentCost>> {
    let rows = select_daily!(
        EnvironmentCost,
        scope,
        filter,
        [r#"
        SELECT
            d.environment_id AS "environment_id!", d.billing_currency AS "currency!",
            coalesce(sum(d.charge_count) FILTER (WHERE d.charge_date >= $9 AND d.charge_date < $10), 0)::bigint
                AS "charge_count!",
            coalesce(sum(cost_in($8::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost))
                FILTER (WHERE d.charge_date >= $9 AND d.charge_date < $10), 0) AS "cost!",
            coalesce(sum(cost_in($8::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost))
                FILTER (WHERE d.charge_date >= $11 AND d.charge_date < $12), 0) AS "cost_before!"
        FROM daily_cell($14::boolean) d
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
        LEFT JOIN service ON service.service_id = d.service_id
        WHERE d.charge_date >= least($9::date, $11::date) AND d.charge_date < greatest($10::date, $12::date)
          AND ((d.charge_date >= $9 AND d.charge_date < $10) OR (d.charge_date >= $11 AND d.charge_date < $12))"#],
        [r#"
        GROUP BY d.environment_id, d.billing_currency
        ORDER BY 4 DESC, 1, 2
        LIMIT $13
        "#],
        filter.days.start(),
        filter.days.end(),
        compared.start(),
        compared.end(),
        SUM_COUNT_MAX + 1,
        filter.basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, SUM_COUNT_MAX, "environments in currencies")
}

/// When an environment had cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentLife {
    /// The environment.
    pub environment_id: i64,
    /// Its first charge day in the current bills.
    pub first_charge_date: NaiveDate,
    /// Its last.
    pub last_charge_date: NaiveDate,
}

/// First and last charge day of each environment, as far as the scope may know; of one where one is given.
pub async fn lives(
    conn: &mut PgConnection,
    scope: &Scope,
    environment_id: Option<i64>,
) -> sqlx::Result<Vec<EnvironmentLife>> {
    let rows = sqlx::query_as!(
        EnvironmentLife,
        r#"
        SELECT d.environment_id, min(d.charge_date) AS "first_charge_date!", max(d.charge_date) AS "last_charge_date!"
        FROM daily_cost d
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
        LEFT JOIN service ON service.service_id = d.service_id
        WHERE ($1::bigint[] IS NULL OR service.team_id = ANY($1))
          AND ($2::bigint IS NULL OR d.environment_id = $2)
        GROUP BY d.environment_id
        ORDER BY d.environment_id
        LIMIT $3
        "#,
        scope.team_ids(),
        environment_id,
        SUM_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, SUM_COUNT_MAX, "environments with cost")
}

/// One source on one day in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceDay {
    /// The source.
    pub source_id: i64,
    /// The charge day.
    pub charge_date: NaiveDate,
    /// `BillingCurrency`.
    pub currency: String,
    /// Exact.
    pub cost: BigDecimal,
}

/// What each source brought on each of these days. Bills belong to no team: a restricted scope sees none.
pub async fn by_source(
    conn: &mut PgConnection,
    scope: &Scope,
    days: DateRange,
    basis: CostBasis,
) -> sqlx::Result<Vec<SourceDay>> {
    let rows = sqlx::query_as!(
        SourceDay,
        r#"
        SELECT g.source_id, d.charge_date AS "charge_date!", d.billing_currency AS "currency!",
            sum(cost_in($3::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
        FROM daily_cell($6::boolean) d
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
        WHERE d.charge_date >= $1 AND d.charge_date < $2 AND $4::bigint[] IS NULL
        GROUP BY 1, 2, 3
        ORDER BY 1, 2, 3
        LIMIT $5
        "#,
        days.start(),
        days.end(),
        basis.key(),
        scope.team_ids(),
        SUM_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, SUM_COUNT_MAX, "days of sources in currencies")
}

/// What waits for someone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenItems {
    /// Deliveries that are not counted until someone accepts them.
    pub quarantined_count: i64,
    /// Deliveries, beside those, that change a closed month and wait for finance.
    pub late_count: i64,
    /// The newest of those.
    pub late_delivery_id: Option<i64>,
    /// Deployments of the last 90 days that no rule maps to a service.
    pub unmapped_deployment_count: i64,
    /// Events that could not be read.
    pub failed_event_count: i64,
}

/// Counts what waits for someone.
pub async fn open_items(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<OpenItems> {
    sqlx::query_as!(
        OpenItems,
        r#"
        SELECT
            (SELECT count(*) FROM delivery
             WHERE state = 'quarantined' AND NOT waits_for_closed_month) AS "quarantined_count!",
            (SELECT count(*) FROM delivery WHERE state = 'quarantined' AND waits_for_closed_month) AS "late_count!",
            (SELECT max(delivery_id) FROM delivery
             WHERE state = 'quarantined' AND waits_for_closed_month) AS late_delivery_id,
            (SELECT count(*) FROM deployment d
             WHERE coalesce(d.finished_at, d.started_at, d.created_at) >= $1::timestamptz - interval '90 days'
               AND NOT EXISTS (SELECT 1 FROM deployment_service ds WHERE ds.deployment_id = d.deployment_id))
                AS "unmapped_deployment_count!",
            (SELECT count(*) FROM event_delivery WHERE state = 'error') AS "failed_event_count!"
        "#,
        now
    )
    .fetch_one(conn)
    .await
}
