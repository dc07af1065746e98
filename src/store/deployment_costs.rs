//! What the page of one deployment reads: its services, their cost around it, and what else happened then.

use super::{Scope, limits, own_plan};
use crate::focus::{CostBasis, DateRange};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// Services of one deployment that are read at once.
const SERVED_COUNT_MAX: i64 = 20_000;
/// Days of its services in currencies that are read at once.
const DAY_COUNT_MAX: i64 = 400_000;

/// A service that a deployment serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedService {
    /// The service.
    pub service_id: i64,
    /// Its address.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// The team that owns it.
    pub team_id: Option<i64>,
}

/// The services of a deployment and the id of its environment. No money, so no scope.
pub async fn services(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<Vec<ServedService>> {
    let rows = sqlx::query_as!(
        ServedService,
        "SELECT s.service_id, s.slug, s.name, s.team_id
         FROM deployment_service ds JOIN service s ON s.service_id = ds.service_id
         WHERE ds.deployment_id = $1 ORDER BY s.name, s.service_id LIMIT $2",
        deployment_id,
        SERVED_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, SERVED_COUNT_MAX, "services of the deployment")
}

/// The environment of a deployment that rules gave it.
pub async fn environment_id(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("SELECT environment_id FROM deployment WHERE deployment_id = $1", deployment_id)
        .fetch_optional(conn)
        .await
        .map(Option::flatten)
}

/// One service on one day in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceDayCost {
    /// The charge day.
    pub charge_date: NaiveDate,
    /// The service.
    pub service_id: i64,
    /// `BillingCurrency`.
    pub currency: String,
    /// Exact.
    pub cost: BigDecimal,
}

/// Daily cost of some services, in one environment where one is named.
pub async fn days(
    conn: &mut PgConnection,
    scope: &Scope,
    service_ids: &[i64],
    environment_id: Option<i64>,
    days: DateRange,
    basis: CostBasis,
) -> sqlx::Result<Vec<ServiceDayCost>> {
    let rows = sqlx::query_as!(
        ServiceDayCost,
        r#"
        SELECT d.charge_date AS "charge_date!", d.service_id AS "service_id!", d.billing_currency AS "currency!",
            sum(cost_in($5::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
        FROM daily_cell($8::boolean) d
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
        JOIN service ON service.service_id = d.service_id
        WHERE d.service_id = ANY($1) AND d.charge_date >= $3 AND d.charge_date < $4
          AND ($2::bigint IS NULL OR d.environment_id = $2)
          AND ($6::bigint[] IS NULL OR service.team_id = ANY($6))
        GROUP BY 1, 2, 3
        ORDER BY 1, 2, 3
        LIMIT $7
        "#,
        service_ids,
        environment_id,
        days.start(),
        days.end(),
        basis.key(),
        scope.team_ids(),
        DAY_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, DAY_COUNT_MAX, "days of the services of the deployment")
}

/// A resource on both sides of a deployment, summed over the days of each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceCost {
    /// `ResourceId`; empty for charges that name none.
    pub resource_id: String,
    /// `ResourceName`, where the bill gives it.
    pub resource_name: Option<String>,
    /// `ServiceName` of the provider: what it is.
    pub service_name: Option<String>,
    /// `BillingCurrency`.
    pub currency: String,
    /// Before.
    pub cost_before: BigDecimal,
    /// After.
    pub cost_after: BigDecimal,
}

/// Which resources: those of these services, on both sides.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// The services.
    pub service_ids: &'a [i64],
    /// Their environment, where one is named.
    pub environment_id: Option<i64>,
    /// The days before.
    pub before: DateRange,
    /// The complete days after.
    pub after: DateRange,
    /// The cost column.
    pub basis: CostBasis,
}

/// The resources whose average cost a day changed most, at most `limit` a currency. Read from the lines, whose
/// index finds the charge groups of the services.
pub async fn resources(
    conn: &mut PgConnection,
    scope: &Scope,
    sides: Sides<'_>,
    limit: i64,
) -> sqlx::Result<Vec<ResourceCost>> {
    let generations = sqlx::query_scalar!(
        "SELECT generation_id FROM generation
         WHERE state = 'current' AND has_charges AND first_charge_date < $2 AND last_charge_date >= $1",
        sides.before.start(),
        sides.after.end(),
    )
    .fetch_all(&mut *conn)
    .await?;
    own_plan::begin(&mut *conn).await?;
    let rows = sqlx::query_as!(
        ResourceCost,
        r#"
        SELECT resource_id AS "resource_id!", resource_name, service_name, currency AS "currency!",
            cost_before AS "cost_before!", cost_after AS "cost_after!"
        FROM (
            SELECT r.*, row_number() OVER (PARTITION BY r.currency
                ORDER BY abs(r.cost_after / $9::integer - r.cost_before / $10::integer) DESC, r.resource_id) AS rank
            FROM (
                SELECT coalesce(cg.resource_id, '') AS resource_id, max(cg.resource_name) AS resource_name,
                    max(k.service_name) AS service_name, c.billing_currency AS currency,
                    coalesce(sum(a.cost) FILTER (WHERE c.charge_period_start < $5::date::timestamp AT TIME ZONE 'UTC'), 0)
                        AS cost_before,
                    coalesce(sum(a.cost) FILTER (WHERE c.charge_period_start >= $6::date::timestamp AT TIME ZONE 'UTC'), 0)
                        AS cost_after
                FROM key_mapping m
                JOIN rollup_key k USING (sub_account_key, rollup_key_id)
                JOIN service ON service.service_id = m.service_id
                JOIN charge_group cg
                    ON cg.rollup_key_id = k.rollup_key_id AND cg.sub_account_key = k.sub_account_key
                JOIN charge c ON c.group_id = cg.group_id AND c.sub_account_key = cg.sub_account_key
                CROSS JOIN LATERAL (SELECT coalesce(cost_in($8::text, c.billed_cost, c.effective_cost, c.list_cost, c.contracted_cost), 0) AS cost) a
                WHERE m.service_id = ANY($1) AND ($2::bigint IS NULL OR m.environment_id = $2)
                  AND (c.charge_period_start AT TIME ZONE 'UTC')::date >= m.first_day
                  AND (c.charge_period_start AT TIME ZONE 'UTC')::date < m.end_day
                  AND ($11::bigint[] IS NULL OR service.team_id = ANY($11))
                  AND c.generation_id = ANY($3)
                  AND ($13::boolean AND is_commitment_purchase(k.charge_category, k.mapping_tags)) IS NOT TRUE
                  AND ((c.charge_period_start >= $4::date::timestamp AT TIME ZONE 'UTC'
                        AND c.charge_period_start < $5::date::timestamp AT TIME ZONE 'UTC')
                    OR (c.charge_period_start >= $6::date::timestamp AT TIME ZONE 'UTC'
                        AND c.charge_period_start < $7::date::timestamp AT TIME ZONE 'UTC'))
                GROUP BY coalesce(cg.resource_id, ''), c.billing_currency
            ) r
        ) ranked
        WHERE rank <= $12
        ORDER BY currency, rank
        "#,
        sides.service_ids,
        sides.environment_id,
        &generations,
        sides.before.start(),
        sides.before.end(),
        sides.after.start(),
        sides.after.end(),
        sides.basis.key(),
        i32::try_from(sides.after.day_count()).unwrap_or(i32::MAX),
        i32::try_from(sides.before.day_count()).unwrap_or(i32::MAX),
        scope.team_ids(),
        limit,
        sides.basis.is_before_commitments(),
    )
    .fetch_all(&mut *conn)
    .await?;
    own_plan::end(conn).await?;
    Ok(rows)
}

/// A visible change of the figures that was not a day's usual delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FigureChange {
    /// The publication.
    pub publication_id: i64,
    /// `publish` (a closed month restated), `accept`, `revert`, `withdraw`, `remap`, `split`.
    pub kind: String,
    /// When it became visible.
    pub published_at: DateTime<Utc>,
    /// The delivery behind it.
    pub delivery_id: Option<i64>,
    /// Where that came from.
    pub source_name: Option<String>,
    /// The first day of the oldest month that was replaced.
    pub billing_period_start: Option<NaiveDate>,
}

/// Changes of the figures in a window. A month that is still open is delivered again every day; only one that
/// had ended a week before counts as restated.
pub async fn figure_changes(conn: &mut PgConnection, window: DateRange) -> sqlx::Result<Vec<FigureChange>> {
    sqlx::query_as!(
        FigureChange,
        r#"
        SELECT p.publication_id, p.kind, p.published_at, p.delivery_id, s.name AS "source_name?", r.start AS billing_period_start
        FROM publication p
        LEFT JOIN delivery d ON d.delivery_id = p.delivery_id
        LEFT JOIN source s ON s.source_id = d.source_id
        LEFT JOIN LATERAL (
            SELECT min(g.billing_period_start) AS start FROM generation g
            WHERE g.delivery_id = p.delivery_id AND g.replaced_generation_id IS NOT NULL
              AND g.billing_period_end + 7 < p.published_at::date
        ) r ON true
        WHERE p.published_at >= $1::date::timestamp AT TIME ZONE 'UTC'
          AND p.published_at < $2::date::timestamp AT TIME ZONE 'UTC'
          AND (p.kind IN ('accept', 'revert', 'withdraw', 'remap', 'split') OR r.start IS NOT NULL)
        ORDER BY p.published_at, p.publication_id
        LIMIT 100
        "#,
        window.start(),
        window.end(),
    )
    .fetch_all(conn)
    .await
}
