//! What splits moved within a filter of lines: the rows of shared cost beside the lines of the bills. In prices before
//! commitments what is bought for them is not divided, as the view `commitment_purchase` has it.

use super::charges::ChargeFilter;
use super::{Scope, limits};
use crate::focus::CostBasis;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// Rows of shared cost that are listed at most.
pub const ROW_COUNT_MAX: i64 = 100_000;
/// Sums by split, currency and direction that are read at once.
const SUM_COUNT_MAX: i64 = 100_000;

/// What one split moved to, or away from, the services of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedSum {
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The split.
    pub split_id: i64,
    /// What people call the split.
    pub split_name: String,
    /// Whose cost it divides: its address; `None` for what is not allocated and for a service that was removed.
    pub origin_slug: Option<String>,
    /// What people call the origin.
    pub origin_name: Option<String>,
    /// Whether it is what left the origin; otherwise what the others got.
    pub is_origin: bool,
    /// In the asked basis, exactly.
    pub cost: BigDecimal,
}

/// The sums by split, currency and direction. Conditions that shared cost is not kept by are not looked at:
/// see [`ChargeFilter::is_of_lines_only`].
pub async fn sums(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
    basis: CostBasis,
) -> sqlx::Result<Vec<MovedSum>> {
    let generations = filter.generations(conn).await?;
    let rows = sqlx::query_as!(
        MovedSum,
        r#"SELECT d.billing_currency, d.split_id, last.name AS "split_name!", origin.slug AS "origin_slug?",
                  origin.name AS "origin_name?", (d.service_id = last.source_id) AS "is_origin!",
                  sum(cost_in($2::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
           FROM daily_cost d
           JOIN (SELECT DISTINCT ON (split_id) split_id, content->>'name' AS name,
                        (content->>'source_service_id')::bigint AS source_id
                 FROM split_version ORDER BY split_id, version DESC) last ON last.split_id = d.split_id
           LEFT JOIN service origin ON origin.service_id = last.source_id
           LEFT JOIN service ON service.service_id = d.service_id
           LEFT JOIN team ON team.team_id = service.team_id
           WHERE d.generation_id = ANY($3::bigint[]) AND d.split_id <> 0
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
             AND ($4::date IS NULL OR d.charge_date >= $4)
             AND ($5::date IS NULL OR d.charge_date < $5)
             AND ($6::bigint IS NULL OR d.service_id = $6)
             AND ($7::bigint IS NULL OR d.environment_id = $7)
             AND ($8::bigint IS NULL OR coalesce(service.team_id, 0) = $8)
             AND ($9::text IS NULL OR d.provider_name = $9)
             AND ($10::text IS NULL OR d.charge_category = $10)
             AND ($11::text IS NULL OR d.billing_currency = $11)
             AND ($12::text IS NULL OR coalesce(team.cost_center, '') = $12)
             AND ($13::bool IS NULL OR (d.service_id <> 0) = $13)
             AND NOT ($15::boolean AND d.charge_category = 'Purchase' AND EXISTS (
                 SELECT FROM commitment_purchase p
                 WHERE NOT p.is_shared AND p.generation_id = d.generation_id AND p.charge_date = d.charge_date
                   AND p.billing_currency = d.billing_currency AND p.provider_name = d.provider_name))
           GROUP BY d.billing_currency, d.split_id, last.name, origin.slug, origin.name, 6
           ORDER BY d.billing_currency, d.split_id, 6 LIMIT $14"#,
        scope.team_ids(),
        basis.key(),
        &generations,
        filter.first_day,
        filter.end_day,
        filter.service_id,
        filter.environment_id,
        filter.team_id,
        filter.provider_name,
        filter.charge_category,
        filter.billing_currency,
        filter.cost_center,
        filter.is_allocated,
        SUM_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, SUM_COUNT_MAX, "sums of what splits moved")
}

/// A row of shared cost: what a split moved to or from a service on one day of one bill.
#[derive(Debug, Clone)]
pub struct MovedRow {
    /// FOCUS BillingPeriodStart of the bill whose cost it is.
    pub billing_period_start: NaiveDate,
    /// The charge day.
    pub charge_date: NaiveDate,
    /// The split.
    pub split_id: i64,
    /// What people call the split.
    pub split_name: String,
    /// Whose cost it divides; `None` for what is not allocated and for a service that was removed.
    pub origin_name: Option<String>,
    /// The service; 0 for what is not allocated.
    pub service_id: i64,
    /// Its address; `None` for what is not allocated and for a service that was removed.
    pub service_slug: Option<String>,
    /// What people call it.
    pub service_name: Option<String>,
    /// Name of the environment.
    pub environment: Option<String>,
    /// FOCUS ProviderName.
    pub provider_name: String,
    /// FOCUS ChargeCategory.
    pub charge_category: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The delivery that brought the bill.
    pub delivery_id: i64,
    /// In the asked basis, exactly: below zero where it came from.
    pub cost: BigDecimal,
}

/// The rows behind [`sums`], of all splits or of one, in order of days.
pub async fn rows(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
    basis: CostBasis,
    split_id: Option<i64>,
) -> sqlx::Result<Vec<MovedRow>> {
    let generations = filter.generations(conn).await?;
    sqlx::query_as!(
        MovedRow,
        r#"SELECT g.billing_period_start, d.charge_date, d.split_id, last.name AS "split_name!",
                  origin.name AS "origin_name?", d.service_id, service.slug AS "service_slug?",
                  service.name AS "service_name?", environment.name AS "environment?", d.provider_name,
                  d.charge_category, d.billing_currency, g.delivery_id,
                  (cost_in($2::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
           FROM daily_cost d
           JOIN generation g ON g.generation_id = d.generation_id
           JOIN (SELECT DISTINCT ON (split_id) split_id, content->>'name' AS name,
                        (content->>'source_service_id')::bigint AS source_id
                 FROM split_version ORDER BY split_id, version DESC) last ON last.split_id = d.split_id
           LEFT JOIN service origin ON origin.service_id = last.source_id
           LEFT JOIN service ON service.service_id = d.service_id
           LEFT JOIN team ON team.team_id = service.team_id
           LEFT JOIN environment ON environment.environment_id = d.environment_id
           WHERE d.generation_id = ANY($3::bigint[]) AND d.split_id <> 0
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
             AND ($4::date IS NULL OR d.charge_date >= $4)
             AND ($5::date IS NULL OR d.charge_date < $5)
             AND ($6::bigint IS NULL OR d.service_id = $6)
             AND ($7::bigint IS NULL OR d.environment_id = $7)
             AND ($8::bigint IS NULL OR coalesce(service.team_id, 0) = $8)
             AND ($9::text IS NULL OR d.provider_name = $9)
             AND ($10::text IS NULL OR d.charge_category = $10)
             AND ($11::text IS NULL OR d.billing_currency = $11)
             AND ($12::bigint IS NULL OR d.split_id = $12)
             AND ($14::text IS NULL OR coalesce(team.cost_center, '') = $14)
             AND ($15::bool IS NULL OR (d.service_id <> 0) = $15)
             AND NOT ($16::boolean AND d.charge_category = 'Purchase' AND EXISTS (
                 SELECT FROM commitment_purchase p
                 WHERE NOT p.is_shared AND p.generation_id = d.generation_id AND p.charge_date = d.charge_date
                   AND p.billing_currency = d.billing_currency AND p.provider_name = d.provider_name))
           ORDER BY d.charge_date, d.split_id, d.generation_id, d.service_id, d.environment_id, d.provider_name,
                    d.charge_category, d.billing_currency
           LIMIT $13"#,
        scope.team_ids(),
        basis.key(),
        &generations,
        filter.first_day,
        filter.end_day,
        filter.service_id,
        filter.environment_id,
        filter.team_id,
        filter.provider_name,
        filter.charge_category,
        filter.billing_currency,
        split_id,
        ROW_COUNT_MAX,
        filter.cost_center,
        filter.is_allocated,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await
}
