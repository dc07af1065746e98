//! Daily cost and usage by service, environment or product: what unit costs are made of.

use super::costs::CostFilter;
use super::{Scope, limits};
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// Rows that are read at most.
const ROW_COUNT_MAX: i64 = 400_000;

/// Whose unit costs are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnitGroup {
    /// One row a service.
    #[default]
    Service,
    /// One row an environment.
    Environment,
    /// One row a product, as the catalogue names it.
    Product,
}

impl UnitGroup {
    /// Every way, in the order of a menu, with the words that people read.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Service, "Service"), (Self::Environment, "Environment"), (Self::Product, "Product")];

    /// The word in an address.
    pub fn key(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Environment => "env",
            Self::Product => "product",
        }
    }

    /// The way of an address's word.
    pub fn from_key(key: &str) -> Self {
        Self::ALL.iter().map(|(group, _)| *group).find(|group| group.key() == key).unwrap_or_default()
    }
}

/// Cost of one group on one day in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCost {
    /// Slug or name of the group.
    pub key: String,
    /// What people call it.
    pub label: String,
    /// The charge day.
    pub charge_date: NaiveDate,
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// In the basis of the filter.
    pub cost: BigDecimal,
}

/// Daily cost of the groups in these days, of services that the metric is told for; by environment and product of all
/// services in them, since what one service counts others work for.
pub async fn costs(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &CostFilter,
    metric: &str,
    group: UnitGroup,
    days: DateRange,
) -> sqlx::Result<Vec<GroupCost>> {
    let rows = sqlx::query_as!(
        GroupCost,
        r#"
        SELECT g.key AS "key!", max(g.label) AS "label!", g.charge_date AS "charge_date!", g.currency AS "currency!",
            sum(g.cost) AS "cost!"
        FROM (
            SELECT CASE $1 WHEN 'service' THEN s.slug WHEN 'env' THEN e.slug ELSE detail.product END AS key,
                CASE $1 WHEN 'service' THEN s.name WHEN 'env' THEN e.name ELSE detail.product END AS label,
                d.charge_date, d.billing_currency AS currency,
                cost_in($2::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost) AS cost
            FROM daily_cell($12::boolean) d
            JOIN generation ON generation.generation_id = d.generation_id AND generation.state = 'current'
            JOIN service s ON s.service_id = d.service_id
            LEFT JOIN environment e ON e.environment_id = d.environment_id
            LEFT JOIN service_detail detail ON detail.service_id = d.service_id
            WHERE d.charge_date >= $3 AND d.charge_date < $4
              AND ($5::bigint[] IS NULL OR s.team_id = ANY($5))
              AND ($6::bigint IS NULL OR d.environment_id = $6)
              AND ($7::bigint IS NULL OR d.service_id = $7)
              AND ($8::bigint IS NULL OR coalesce(s.team_id, 0) = $8)
              AND ($9::text IS NULL OR d.billing_currency = $9)
              AND ($1 <> 'service' OR EXISTS (SELECT FROM metric_point p WHERE p.metric = $10
                   AND p.service_id = d.service_id AND p.charge_date >= $3 AND p.charge_date < $4))
        ) g
        WHERE coalesce(g.key, '') <> ''
        GROUP BY g.key, g.charge_date, g.currency ORDER BY g.key, g.currency, g.charge_date LIMIT $11
        "#,
        group.key(),
        filter.basis.key(),
        days.start(),
        days.end(),
        scope.team_ids(),
        filter.environment_id,
        filter.service_id,
        filter.team_id,
        filter.currency,
        metric,
        ROW_COUNT_MAX + 1,
        filter.basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ROW_COUNT_MAX, "days of groups with cost")
}

/// Usage of one group on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupUsage {
    /// Slug or name of the group.
    pub key: String,
    /// The day.
    pub charge_date: NaiveDate,
    /// In the metric's unit.
    pub value: BigDecimal,
    /// Whether the whole day is in it, for every service.
    pub is_whole: bool,
    /// Services that it adds up: fewer than on other days is a day that is not known.
    pub service_count: i64,
}

/// Daily usage of the groups: of services that the scope allows, so that cost and usage are of the same ones. What is not
/// told apart by environment counts for each that is asked for; with environments as groups, for each that the service costs
/// something in on these days.
pub async fn usage(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &CostFilter,
    metric: &str,
    group: UnitGroup,
    days: DateRange,
) -> sqlx::Result<Vec<GroupUsage>> {
    let rows = sqlx::query_as!(
        GroupUsage,
        r#"
        SELECT g.key AS "key!", g.charge_date AS "charge_date!", sum(g.value) AS "value!",
            bool_and(g.is_whole) AS "is_whole!", count(DISTINCT g.service_id) AS "service_count!"
        FROM (
            SELECT CASE $1 WHEN 'service' THEN s.slug WHEN 'env' THEN e.slug ELSE detail.product END AS key,
                p.charge_date, p.value, p.service_id,
                (p.hour_count IS NULL OR p.hour_count = 24)
                    AND coalesce(r.complete_through, 'infinity') >= (p.charge_date + 1)::timestamp AT TIME ZONE 'UTC'
                    AS is_whole
            FROM metric_value p
            JOIN service s ON s.service_id = p.service_id
            LEFT JOIN (SELECT DISTINCT d.service_id, d.environment_id FROM daily_cost d
                       JOIN generation ON generation.generation_id = d.generation_id AND generation.state = 'current'
                       WHERE $1 = 'env' AND d.charge_date >= $3 AND d.charge_date < $4 AND d.environment_id IS NOT NULL
                         AND ($6::bigint IS NULL OR d.environment_id = $6)) place
                ON place.service_id = p.service_id AND p.environment_id = 0
            LEFT JOIN environment e ON $1 = 'env' AND e.environment_id = coalesce(place.environment_id, p.environment_id)
            LEFT JOIN service_detail detail ON detail.service_id = p.service_id
            LEFT JOIN metric_reach r ON r.metric = p.metric AND r.service_id = p.service_id
            WHERE p.metric = $2 AND p.charge_date >= $3 AND p.charge_date < $4
              AND ($5::bigint[] IS NULL OR s.team_id = ANY($5))
              AND ($6::bigint IS NULL OR p.environment_id IN ($6, 0))
              AND ($7::bigint IS NULL OR p.service_id = $7)
              AND ($8::bigint IS NULL OR coalesce(s.team_id, 0) = $8)
        ) g
        WHERE coalesce(g.key, '') <> ''
        GROUP BY g.key, g.charge_date ORDER BY g.key, g.charge_date LIMIT $9
        "#,
        group.key(),
        metric,
        days.start(),
        days.end(),
        scope.team_ids(),
        filter.environment_id,
        filter.service_id,
        filter.team_id,
        ROW_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ROW_COUNT_MAX, "days of groups with usage")
}

/// The services that each group's cost is of in these days: what a late bill leaves out of a group is known by them.
pub async fn services(conn: &mut PgConnection, group: UnitGroup, days: DateRange) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT CASE $1 WHEN 'service' THEN s.slug WHEN 'env' THEN e.slug ELSE detail.product END AS key,
               s.service_id
           FROM (SELECT DISTINCT d.service_id, d.environment_id FROM daily_cost d
                 JOIN generation ON generation.generation_id = d.generation_id AND generation.state = 'current'
                 WHERE d.charge_date >= $2 AND d.charge_date < $3) places
           JOIN service s ON s.service_id = places.service_id
           LEFT JOIN environment e ON e.environment_id = places.environment_id
           LEFT JOIN service_detail detail ON detail.service_id = places.service_id
           LIMIT $4"#,
        group.key(),
        days.start(),
        days.end(),
        ROW_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    let rows = limits::within(rows, ROW_COUNT_MAX, "services of groups")?;
    Ok(rows.into_iter().filter_map(|row| Some((row.key?, row.service_id))).collect())
}

/// A service that has values of a metric, with what else it counts and what was said of its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedBeside {
    /// The service.
    pub service_id: i64,
    /// Another metric that it has values above zero of.
    pub beside: String,
    /// Whether somebody chose the metric as its unit, or stated a goal for it.
    pub is_named: bool,
}

/// What the services of a metric in this part of all cost count beside it on whole days of these.
pub async fn counted_beside(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &CostFilter,
    metric: &str,
    days: DateRange,
) -> sqlx::Result<Vec<CountedBeside>> {
    let rows = sqlx::query_as!(
        CountedBeside,
        r#"SELECT DISTINCT p.service_id AS "service_id!", p.metric AS "beside!",
               (EXISTS (SELECT FROM service_unit_metric u WHERE u.service_id = p.service_id AND u.metric = $1::text)
                OR EXISTS (SELECT FROM workload_goal g WHERE g.service_id = p.service_id AND g.metric = $1::text))
                   AS "is_named!"
           FROM metric_point p
           JOIN service s ON s.service_id = p.service_id
           LEFT JOIN metric_reach r ON r.metric = p.metric AND r.service_id = p.service_id
           WHERE p.charge_date >= $2 AND p.charge_date < $3 AND p.metric <> $1::text AND p.value > 0
             AND (p.hour_count IS NULL OR p.hour_count = 24)
             AND coalesce(r.complete_through, 'infinity') >= (p.charge_date + 1)::timestamp AT TIME ZONE 'UTC'
             AND EXISTS (SELECT FROM metric_point own WHERE own.metric = $1::text AND own.service_id = p.service_id
                         AND own.charge_date >= $2 AND own.charge_date < $3)
             AND ($4::bigint[] IS NULL OR s.team_id = ANY($4))
             AND ($5::bigint IS NULL OR p.environment_id IN ($5, 0))
             AND ($6::bigint IS NULL OR p.service_id = $6)
             AND ($7::bigint IS NULL OR coalesce(s.team_id, 0) = $7)
           LIMIT $8"#,
        metric,
        days.start(),
        days.end(),
        scope.team_ids(),
        filter.environment_id,
        filter.service_id,
        filter.team_id,
        ROW_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ROW_COUNT_MAX, "metrics of services")
}
