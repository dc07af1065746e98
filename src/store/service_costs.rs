//! What the service page reads: the service, its cost by day, and what was bought.

use super::catalogue::ENTRY_READ_MAX;
use super::costs::CostFilter;
use super::{Scope, limits, own_plan};
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// Sums that are read at once: of days, of weeks, or of services.
const SUM_COUNT_MAX: i64 = 200_000;
/// What was bought, in kinds and currencies, that is read at once.
const BOUGHT_COUNT_MAX: i64 = 100_000;

/// A service as its page names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceHead {
    /// The service.
    pub service_id: i64,
    /// Its address.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// The team that owns it.
    pub team_id: Option<i64>,
    /// The team's address.
    pub team_slug: Option<String>,
    /// What people call the team.
    pub team_name: Option<String>,
    /// The team's cost center.
    pub cost_center: Option<String>,
    /// 1 is the most important.
    pub tier: Option<i16>,
    /// `experimental`, `production`, `deprecated`.
    pub lifecycle: String,
}

/// The service with this address. No money, so no scope.
pub async fn head(conn: &mut PgConnection, slug: &str) -> sqlx::Result<Option<ServiceHead>> {
    sqlx::query_as!(
        ServiceHead,
        r#"
        SELECT s.service_id, s.slug, s.name, s.team_id, t.slug AS "team_slug?", t.name AS "team_name?",
            t.cost_center, s.tier, s.lifecycle
        FROM service s LEFT JOIN team t ON t.team_id = s.team_id
        WHERE s.slug = $1
        "#,
        slug
    )
    .fetch_optional(conn)
    .await
}

/// One service, one day, one environment, one charge category, one provider, one currency, the bills of one month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceDay {
    /// The charge day.
    pub charge_date: NaiveDate,
    /// 0 where no rule names one.
    pub environment_id: i64,
    /// `ProviderName`.
    pub provider_name: String,
    /// `ChargeCategory`.
    pub charge_category: String,
    /// `BillingCurrency`.
    pub currency: String,
    /// First day of the month of the bills: its rate converts the cost.
    pub billing_month: NaiveDate,
    /// Exact.
    pub cost: BigDecimal,
}

/// The service's cost on these days and, where they lie apart, on those that they are compared with.
///
/// The service stands in the condition by itself, so that the primary key finds its days.
pub async fn days(
    conn: &mut PgConnection,
    scope: &Scope,
    service_id: i64,
    filter: &CostFilter,
    compared: DateRange,
) -> sqlx::Result<Vec<ServiceDay>> {
    let rows = sqlx::query_as!(
        ServiceDay,
        r#"
        SELECT
            d.charge_date AS "charge_date!", d.environment_id AS "environment_id!", d.provider_name AS "provider_name!",
            d.charge_category AS "charge_category!", d.billing_currency AS "currency!",
            date_trunc('month', g.billing_period_start::timestamp)::date AS "billing_month!",
            sum(cost_in($6::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
        FROM daily_cell($13::boolean) d
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
        JOIN service ON service.service_id = d.service_id
        WHERE d.service_id = $1
          AND d.charge_date >= least($2::date, $4::date) AND d.charge_date < greatest($3::date, $5::date)
          AND ((d.charge_date >= $2 AND d.charge_date < $3) OR (d.charge_date >= $4 AND d.charge_date < $5))
          AND ($7::bigint[] IS NULL OR service.team_id = ANY($7))
          AND ($8::bigint IS NULL OR d.environment_id = $8)
          AND ($9::text IS NULL OR d.provider_name = $9)
          AND ($10::text IS NULL OR d.charge_category = $10)
          AND ($11::text IS NULL OR d.billing_currency = $11)
        GROUP BY 1, 2, 3, 4, 5, 6
        ORDER BY 1, 2, 3, 4, 5, 6
        LIMIT $12
        "#,
        service_id,
        filter.days.start(),
        filter.days.end(),
        compared.start(),
        compared.end(),
        filter.basis.key(),
        scope.team_ids(),
        filter.environment_id,
        filter.provider_name,
        filter.charge_category,
        filter.currency,
        SUM_COUNT_MAX + 1,
        filter.basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, SUM_COUNT_MAX, "days of the service by environment, provider and charge category")
}

/// What was bought, now and in the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bought {
    /// `ChargeCategory`.
    pub charge_category: String,
    /// `ServiceCategory`.
    pub service_category: Option<String>,
    /// `PricingCategory`.
    pub pricing_category: Option<String>,
    /// `CommitmentDiscountStatus`.
    pub commitment_discount_status: Option<String>,
    /// `BillingCurrency`.
    pub currency: String,
    /// On the filter's days.
    pub cost: BigDecimal,
    /// On the compared days.
    pub cost_before: BigDecimal,
    /// The split that moved it here or away; 0 for the service's own cost.
    pub split_id: i64,
    /// What people call the split.
    pub split_name: Option<String>,
}

/// The service's own cost by what was bought and how it was priced (rollup level 2), and what each split moved.
pub async fn bought(
    conn: &mut PgConnection,
    scope: &Scope,
    service_id: i64,
    filter: &CostFilter,
    compared: DateRange,
) -> sqlx::Result<Vec<Bought>> {
    let rows = sqlx::query_as!(
        Bought,
        r#"
        SELECT
            coalesce(k.charge_category, '') AS "charge_category!", k.service_category, k.pricing_category,
            k.commitment_discount_status, d.billing_currency AS "currency!",
            coalesce(sum(cost_in($6::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost))
                FILTER (WHERE d.charge_date >= $2 AND d.charge_date < $3), 0) AS "cost!",
            coalesce(sum(cost_in($6::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost))
                FILTER (WHERE d.charge_date >= $4 AND d.charge_date < $5), 0) AS "cost_before!",
            0::bigint AS "split_id!", NULL::text AS split_name
        FROM key_mapping m
        JOIN rollup_key k USING (sub_account_key, rollup_key_id)
        JOIN service ON service.service_id = m.service_id
        JOIN daily_cost_by_key d
            ON d.rollup_key_id = k.rollup_key_id AND d.sub_account_key = k.sub_account_key
            AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
            AND g.first_charge_date < greatest($3::date, $5::date) AND g.last_charge_date >= least($2::date, $4::date)
        WHERE m.service_id = $1
          AND d.charge_date >= least($2::date, $4::date) AND d.charge_date < greatest($3::date, $5::date)
          AND ((d.charge_date >= $2 AND d.charge_date < $3) OR (d.charge_date >= $4 AND d.charge_date < $5))
          AND ($7::bigint[] IS NULL OR service.team_id = ANY($7))
          AND ($8::bigint IS NULL OR m.environment_id = $8)
          AND ($9::text IS NULL OR coalesce(k.provider_name, '') = $9)
          AND ($10::text IS NULL OR coalesce(k.charge_category, '') = $10)
          AND ($11::text IS NULL OR d.billing_currency = $11)
          AND ($13::boolean AND is_commitment_purchase(k.charge_category, k.mapping_tags)) IS NOT TRUE
        GROUP BY 1, 2, 3, 4, 5
        UNION ALL
        SELECT '', NULL, NULL, NULL, d.billing_currency,
            coalesce(sum(cost_in($6::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost))
                FILTER (WHERE d.charge_date >= $2 AND d.charge_date < $3), 0),
            coalesce(sum(cost_in($6::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost))
                FILTER (WHERE d.charge_date >= $4 AND d.charge_date < $5), 0),
            d.split_id, max(split.name)
        FROM daily_cell($13::boolean) d
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
        JOIN service ON service.service_id = d.service_id
        LEFT JOIN split ON split.split_id = d.split_id
        WHERE d.service_id = $1 AND d.split_id <> 0
          AND d.charge_date >= least($2::date, $4::date) AND d.charge_date < greatest($3::date, $5::date)
          AND ((d.charge_date >= $2 AND d.charge_date < $3) OR (d.charge_date >= $4 AND d.charge_date < $5))
          AND ($7::bigint[] IS NULL OR service.team_id = ANY($7))
          AND ($8::bigint IS NULL OR d.environment_id = $8)
          AND ($9::text IS NULL OR d.provider_name = $9)
          AND ($10::text IS NULL OR d.charge_category = $10)
          AND ($11::text IS NULL OR d.billing_currency = $11)
        GROUP BY d.billing_currency, d.split_id
        ORDER BY 6 DESC, 1, 2, 3, 4, 5
        LIMIT $12
        "#,
        service_id,
        filter.days.start(),
        filter.days.end(),
        compared.start(),
        compared.end(),
        filter.basis.key(),
        scope.team_ids(),
        filter.environment_id,
        filter.provider_name,
        filter.charge_category,
        filter.currency,
        BOUGHT_COUNT_MAX + 1,
        filter.basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, BOUGHT_COUNT_MAX, "kinds of what the service bought")
}

/// An environment, for labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentLabel {
    /// The environment.
    pub environment_id: i64,
    /// Its address.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// `production`, `staging`, …
    pub kind: String,
}

/// The environments with these ids.
pub async fn environment_labels(conn: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<EnvironmentLabel>> {
    sqlx::query_as!(
        EnvironmentLabel,
        "SELECT environment_id, slug, name, kind FROM environment WHERE environment_id = ANY($1) ORDER BY name",
        ids
    )
    .fetch_all(conn)
    .await
}

/// One service in one currency, now and in the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCost {
    /// 0 is what no rule maps to a service.
    pub service_id: i64,
    /// Its address; empty for what is not allocated.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// The team that owns it.
    pub team_slug: Option<String>,
    /// What people call the team.
    pub team_name: Option<String>,
    /// `BillingCurrency`.
    pub currency: String,
    /// Charges behind the cost.
    pub charge_count: i64,
    /// On the filter's days.
    pub cost: BigDecimal,
    /// On the compared days.
    pub cost_before: BigDecimal,
}

/// The environments and providers to choose from, and the teams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// Address and name.
    pub teams: Vec<(String, String)>,
    /// Address and name.
    pub environments: Vec<(String, String)>,
}

/// Previews that a list can be narrowed to, the newest ones: there may be one for each change. All are on their own list.
const PREVIEW_CHOICE_COUNT_MAX: i64 = 12;

/// What a list can be narrowed to.
pub async fn choices(conn: &mut PgConnection) -> sqlx::Result<Choices> {
    let rows = sqlx::query!(
        r#"
        (SELECT 'team' AS "what!", slug AS "slug!", name AS "name!" FROM team ORDER BY name LIMIT 1000)
        UNION ALL
        (SELECT 'env', slug, name FROM environment WHERE kind <> 'preview' ORDER BY name LIMIT 1000)
        UNION ALL
        (SELECT 'env', slug, name FROM environment WHERE kind = 'preview' ORDER BY environment_id DESC LIMIT $1)
        "#,
        PREVIEW_CHOICE_COUNT_MAX
    )
    .fetch_all(conn)
    .await?;
    let mut choices = Choices::default();
    for row in rows {
        let list = if row.what == "team" { &mut choices.teams } else { &mut choices.environments };
        list.push((row.slug, row.name));
    }
    Ok(choices)
}

/// Every service that the filter has cost for, on the filter's days or on those they are compared with.
pub async fn by_service(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &CostFilter,
    compared: DateRange,
) -> sqlx::Result<Vec<ServiceCost>> {
    own_plan::begin(&mut *conn).await?;
    let rows = sqlx::query_as!(
        ServiceCost,
        r#"
        SELECT
            c.service_id AS "service_id!", coalesce(s.slug, '') AS "slug!",
            coalesce(s.name, CASE WHEN c.service_id = 0 THEN 'Not allocated' ELSE 'Removed service' END) AS "name!",
            t.slug AS "team_slug?", t.name AS "team_name?",
            c.currency AS "currency!", c.charge_count AS "charge_count!", c.cost AS "cost!", c.cost_before AS "cost_before!"
        FROM (
            SELECT
                d.service_id, d.billing_currency AS currency,
                coalesce(sum(d.charge_count) FILTER (WHERE d.charge_date >= $1 AND d.charge_date < $2), 0)::bigint
                    AS charge_count,
                coalesce(sum(cost_in($5::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost))
                    FILTER (WHERE d.charge_date >= $1 AND d.charge_date < $2), 0) AS cost,
                coalesce(sum(cost_in($5::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost))
                    FILTER (WHERE d.charge_date >= $3 AND d.charge_date < $4), 0) AS cost_before
            FROM daily_cell($13::boolean) d
            JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
            LEFT JOIN service ON service.service_id = d.service_id
            WHERE d.charge_date >= least($1::date, $3::date) AND d.charge_date < greatest($2::date, $4::date)
              AND ((d.charge_date >= $1 AND d.charge_date < $2) OR (d.charge_date >= $3 AND d.charge_date < $4))
              AND ($6::bigint[] IS NULL OR service.team_id = ANY($6))
              AND ($7::bigint IS NULL OR d.environment_id = $7)
              AND ($8::bigint IS NULL OR coalesce(service.team_id, 0) = $8)
              AND ($9::text IS NULL OR d.provider_name = $9)
              AND ($10::text IS NULL OR d.charge_category = $10)
              AND ($11::text IS NULL OR d.billing_currency = $11)
            GROUP BY d.service_id, d.billing_currency
        ) c
        LEFT JOIN service s ON s.service_id = c.service_id
        LEFT JOIN team t ON t.team_id = s.team_id
        ORDER BY c.cost DESC, 3, 1
        LIMIT $12
        "#,
        filter.days.start(),
        filter.days.end(),
        compared.start(),
        compared.end(),
        filter.basis.key(),
        scope.team_ids(),
        filter.environment_id,
        filter.team_id,
        filter.provider_name,
        filter.charge_category,
        filter.currency,
        SUM_COUNT_MAX + 1,
        filter.basis.is_before_commitments(),
    )
    .fetch_all(&mut *conn)
    .await?;
    own_plan::end(conn).await?;
    limits::within(rows, SUM_COUNT_MAX, "services in currencies")
}

/// A service of the catalogue and when it was last deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueService {
    /// The service.
    pub service_id: i64,
    /// Its address.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// The team that owns it.
    pub team_slug: Option<String>,
    /// What people call the team.
    pub team_name: Option<String>,
    /// Its last deployment that went live.
    pub last_deployment_id: Option<i64>,
    /// When.
    pub last_deployed_at: Option<DateTime<Utc>>,
    /// Which version.
    pub last_version: Option<String>,
}

/// The services of a team and with a text in their name, all where neither is given; of a restricted scope
/// only its own.
pub async fn catalogue(
    conn: &mut PgConnection,
    scope: &Scope,
    team_id: Option<i64>,
    text: Option<&str>,
) -> sqlx::Result<Vec<CatalogueService>> {
    let rows = sqlx::query_as!(
        CatalogueService,
        r#"
        SELECT s.service_id, s.slug, s.name, t.slug AS "team_slug?", t.name AS "team_name?",
            l.deployment_id AS "last_deployment_id?", l.at AS "last_deployed_at?", l.version AS last_version
        FROM service s
        LEFT JOIN team t ON t.team_id = s.team_id
        LEFT JOIN LATERAL (
            SELECT p.deployment_id, coalesce(p.finished_at, p.started_at, p.created_at) AS at, p.version
            FROM deployment_service ds JOIN deployment p ON p.deployment_id = ds.deployment_id
            WHERE ds.service_id = s.service_id AND p.status IN ('succeeded', 'superseded')
            ORDER BY 2 DESC, 1 DESC LIMIT 1
        ) l ON true
        WHERE ($1::bigint IS NULL OR coalesce(s.team_id, 0) = $1)
          AND ($2::text IS NULL OR strpos(lower(s.name), lower($2)) > 0 OR strpos(s.slug, lower($2)) > 0)
          AND ($3::bigint[] IS NULL OR s.team_id = ANY($3))
        ORDER BY s.name, s.service_id
        LIMIT $4
        "#,
        team_id,
        text,
        scope.team_ids(),
        ENTRY_READ_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ENTRY_READ_MAX, "services")
}

/// One week of one service in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeekCost {
    /// The service.
    pub service_id: i64,
    /// 0 is the first week.
    pub week: i32,
    /// `BillingCurrency`.
    pub currency: String,
    /// Exact.
    pub cost: BigDecimal,
}

/// Weekly cost of some services over whole weeks that end with `days`.
pub async fn weekly(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &CostFilter,
    service_ids: &[i64],
) -> sqlx::Result<Vec<WeekCost>> {
    let rows = sqlx::query_as!(
        WeekCost,
        r#"
        SELECT
            d.service_id AS "service_id!", (d.charge_date - $1::date) / 7 AS "week!", d.billing_currency AS "currency!",
            sum(cost_in($3::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
        FROM daily_cell($7::boolean) d
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
        LEFT JOIN service ON service.service_id = d.service_id
        WHERE d.service_id = ANY($4) AND d.charge_date >= $1 AND d.charge_date < $2
          AND ($5::bigint[] IS NULL OR service.team_id = ANY($5))
        GROUP BY 1, 2, 3
        ORDER BY 1, 3, 2
        LIMIT $6
        "#,
        filter.days.start(),
        filter.days.end(),
        filter.basis.key(),
        service_ids,
        scope.team_ids(),
        SUM_COUNT_MAX + 1,
        filter.basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, SUM_COUNT_MAX, "weeks of services in currencies")
}

/// Which sources bill these services on these days.
pub async fn sources(conn: &mut PgConnection, days: DateRange, service_ids: &[i64]) -> sqlx::Result<Vec<(i64, i64)>> {
    let rows = sqlx::query!(
        "SELECT DISTINCT d.service_id, g.source_id
         FROM daily_cost d JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
         WHERE d.service_id = ANY($1) AND d.charge_date >= $2 AND d.charge_date < $3",
        service_ids,
        days.start(),
        days.end(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.service_id, row.source_id)).collect())
}
