//! Commitments: what was bought ahead, what of it was used, and how much of the usage it covers.

use super::Scope;
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use sqlx::PgConnection;

const ROW_COUNT_MAX: i64 = 2_000;

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
        r#"SELECT k.mapping_tags ->> '@column:CommitmentDiscountId' AS commitment_id, k.provider_name,
                  d.billing_currency AS currency,
                  coalesce(sum(d.effective_cost) FILTER (WHERE k.commitment_discount_status = 'Used'), 0) AS "used!",
                  coalesce(sum(d.effective_cost) FILTER (WHERE k.commitment_discount_status = 'Unused'), 0) AS "unused!",
                  coalesce(sum(d.billed_cost) FILTER (WHERE k.charge_category = 'Purchase'), 0) AS "purchased!"
           FROM daily_cost_by_key d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
           JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
               AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
           LEFT JOIN service ON service.service_id = m.service_id
           WHERE d.charge_date >= $2 AND d.charge_date < $3
             AND (k.commitment_discount_status IN ('Used', 'Unused') OR k.mapping_tags ? '@column:CommitmentDiscountId')
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
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

/// Coverage of every provider's service with usage under commitment on these days.
pub async fn coverage(
    conn: &mut PgConnection,
    scope: &Scope,
    days: DateRange,
) -> sqlx::Result<Vec<CommitmentCoverage>> {
    sqlx::query_as!(
        CommitmentCoverage,
        r#"SELECT k.provider_name, k.service_name, d.billing_currency AS currency,
                  coalesce(sum(d.list_cost) FILTER (WHERE k.commitment_discount_status = 'Used'
                      OR k.pricing_category = 'Committed'), 0) AS "covered!",
                  sum(d.list_cost) AS "usage!"
           FROM daily_cost_by_key d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
           JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
               AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
           LEFT JOIN service ON service.service_id = m.service_id
           WHERE d.charge_date >= $2 AND d.charge_date < $3 AND k.charge_category = 'Usage'
             AND k.commitment_discount_status IS DISTINCT FROM 'Unused'
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
           GROUP BY 1, 2, 3
           HAVING bool_or(k.commitment_discount_status = 'Used' OR k.pricing_category = 'Committed')
           ORDER BY 5 DESC, 1, 2, 3 LIMIT $4"#,
        scope.team_ids(),
        days.start(),
        days.end(),
        ROW_COUNT_MAX,
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
        r#"SELECT m.service_id, coalesce(service.slug, '') AS "slug!", coalesce(service.name, 'Not allocated') AS "name!",
                  k.sub_account_id, k.sub_account_name, d.billing_currency AS currency,
                  sum(d.effective_cost) AS "unused!",
                  EXISTS (SELECT FROM split WHERE split.source_service_id = m.service_id) AS "is_divided!"
           FROM daily_cost_by_key d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
           JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
               AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
           LEFT JOIN service ON service.service_id = m.service_id
           WHERE d.charge_date >= $2 AND d.charge_date < $3 AND k.commitment_discount_status = 'Unused'
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
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
