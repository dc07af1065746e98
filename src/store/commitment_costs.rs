//! Commitments: what was bought ahead, what of it was used, and how much of the usage it covers.

use super::Scope;
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// Rows of a list at most.
pub const ROW_COUNT_MAX: i64 = 2_000;

/// One commitment in one currency, amortized over the days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitmentCost {
    /// `CommitmentDiscountId`; `None` where the bill does not name it.
    pub commitment_id: Option<String>,
    /// `ProviderName`.
    pub provider_name: Option<String>,
    /// `BillingCurrency`.
    pub currency: String,
    /// `EffectiveCost` of what was used.
    pub used: BigDecimal,
    /// `EffectiveCost` of what was left unused.
    pub unused: BigDecimal,
    /// `BilledCost` of purchases on these days.
    pub purchased: BigDecimal,
}

/// Every commitment with cost on these days, the dearest unused part first.
pub async fn commitments(conn: &mut PgConnection, scope: &Scope, days: DateRange) -> sqlx::Result<Vec<CommitmentCost>> {
    sqlx::query_as!(
        CommitmentCost,
        r#"SELECT commitment_id, provider_name, billing_currency AS "currency!",
                  coalesce(sum(effective_cost) FILTER (WHERE commitment_discount_status = 'Used'), 0) AS "used!",
                  coalesce(sum(effective_cost) FILTER (WHERE commitment_discount_status = 'Unused'), 0) AS "unused!",
                  coalesce(sum(billed_cost) FILTER (WHERE charge_category = 'Purchase'), 0) AS "purchased!"
           FROM commitment_day
           WHERE charge_date >= $2 AND charge_date < $3
             AND (commitment_discount_status IN ('Used', 'Unused') OR commitment_id IS NOT NULL)
             AND ($1::bigint[] IS NULL OR team_id = ANY($1))
           GROUP BY 1, 2, 3
           ORDER BY 5 DESC, 4 DESC, 1, 2, 3 LIMIT $4"#,
        scope.team_ids(),
        days.start(),
        days.end(),
        ROW_COUNT_MAX,
    )
    .fetch_all(conn)
    .await
}

/// How much of one kind of usage was under commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitmentCoverage {
    /// `ProviderName`.
    pub provider_name: Option<String>,
    /// `ServiceName`.
    pub service_name: Option<String>,
    /// `BillingCurrency`.
    pub currency: String,
    /// `ListCost` of usage under commitment.
    pub covered: BigDecimal,
    /// `ListCost` of all usage.
    pub usage: BigDecimal,
}

/// Coverage of every provider's service that commitments cover, also where none covers it on these days.
pub async fn coverage(
    conn: &mut PgConnection,
    scope: &Scope,
    days: DateRange,
) -> sqlx::Result<Vec<CommitmentCoverage>> {
    sqlx::query_as!(
        CommitmentCoverage,
        r#"SELECT provider_name, service_name, billing_currency AS "currency!",
                  coalesce(sum(list_cost) FILTER (WHERE is_covered), 0) AS "covered!", sum(list_cost) AS "usage!"
           FROM commitment_day d
           WHERE charge_date >= $2 AND charge_date < $3 AND is_usage AND ($1::bigint[] IS NULL OR team_id = ANY($1))
             AND (coalesce(provider_name, ''), coalesce(service_name, '')) IN
                 (SELECT provider_name, service_name FROM committed_service)
           GROUP BY 1, 2, 3
           ORDER BY 5 DESC, 1, 2, 3 LIMIT $4"#,
        scope.team_ids(),
        days.start(),
        days.end(),
        ROW_COUNT_MAX,
    )
    .fetch_all(conn)
    .await
}

/// Commitments on one day in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitmentDay {
    /// The day.
    pub day: NaiveDate,
    /// `BillingCurrency`.
    pub currency: String,
    /// `EffectiveCost` of what was used.
    pub used: BigDecimal,
    /// `EffectiveCost` of what was left unused.
    pub unused: BigDecimal,
    /// `ListCost` of usage under commitment.
    pub covered: BigDecimal,
    /// `ListCost` of all usage of services that commitments cover.
    pub usage: BigDecimal,
    /// `BilledCost` of purchases.
    pub purchased: BigDecimal,
}

/// The same sums as [`commitments`] and [`coverage`], day by day; days and currencies without any have no row.
pub async fn by_day(conn: &mut PgConnection, scope: &Scope, days: DateRange) -> sqlx::Result<Vec<CommitmentDay>> {
    sqlx::query_as!(
        CommitmentDay,
        r#"SELECT charge_date AS "day!", billing_currency AS "currency!",
                  coalesce(sum(effective_cost) FILTER (WHERE commitment_discount_status = 'Used'), 0) AS "used!",
                  coalesce(sum(effective_cost) FILTER (WHERE commitment_discount_status = 'Unused'), 0) AS "unused!",
                  coalesce(sum(list_cost) FILTER (WHERE is_covered), 0) AS "covered!",
                  coalesce(sum(list_cost) FILTER (WHERE is_usage AND is_committed), 0) AS "usage!",
                  coalesce(sum(billed_cost) FILTER (WHERE charge_category = 'Purchase' AND is_of_commitment), 0)
                    AS "purchased!"
           FROM commitment_day d
           CROSS JOIN LATERAL (SELECT
               commitment_discount_status IN ('Used', 'Unused') OR commitment_id IS NOT NULL AS is_of_commitment,
               (coalesce(provider_name, ''), coalesce(service_name, '')) IN
                   (SELECT provider_name, service_name FROM committed_service) AS is_committed) c
           WHERE charge_date >= $2 AND charge_date < $3 AND ($1::bigint[] IS NULL OR team_id = ANY($1))
           GROUP BY 1, 2
           HAVING bool_or(is_of_commitment OR is_usage AND is_committed)
           ORDER BY 1, 2"#,
        scope.team_ids(),
        days.start(),
        days.end(),
    )
    .fetch_all(conn)
    .await
}

/// Who bears what was left unused, before splits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedCost {
    /// The service; 0 for what is not allocated.
    pub service_id: i64,
    /// Its address; empty for what is not allocated.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// `SubAccountId`: who bought it.
    pub sub_account_id: Option<String>,
    /// `SubAccountName`.
    pub sub_account_name: Option<String>,
    /// `BillingCurrency`.
    pub currency: String,
    /// `EffectiveCost`.
    pub unused: BigDecimal,
    /// Whether a split divides the service's cost.
    pub is_divided: bool,
}

/// Unused cost of these days by buyer and by the service that a rule gives it to.
pub async fn unused(conn: &mut PgConnection, scope: &Scope, days: DateRange) -> sqlx::Result<Vec<UnusedCost>> {
    sqlx::query_as!(
        UnusedCost,
        r#"SELECT service_id AS "service_id!", coalesce(slug, '') AS "slug!", coalesce(name, 'Not allocated') AS "name!",
                  sub_account_id, sub_account_name, billing_currency AS "currency!", sum(effective_cost) AS "unused!",
                  EXISTS (SELECT FROM split WHERE split.source_service_id = c.service_id) AS "is_divided!"
           FROM commitment_day c
           WHERE charge_date >= $2 AND charge_date < $3 AND commitment_discount_status = 'Unused'
             AND ($1::bigint[] IS NULL OR team_id = ANY($1))
           GROUP BY 1, 2, 3, 4, 5, 6
           ORDER BY 7 DESC, 3, 4, 6 LIMIT $4"#,
        scope.team_ids(),
        days.start(),
        days.end(),
        ROW_COUNT_MAX,
    )
    .fetch_all(conn)
    .await
}
