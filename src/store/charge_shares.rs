//! What splits made of the rows that one line of a bill is part of.

use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// A row of the rollup beside the line: the own cost of a service, or what a split moved to or from it.
#[derive(Debug, Clone)]
pub struct ShareRow {
    /// The service; 0 for what is not allocated.
    pub service_id: i64,
    /// 0 for own cost.
    pub split_id: i64,
    /// `BilledCost`.
    pub billed_cost: BigDecimal,
    /// `EffectiveCost`.
    pub effective_cost: BigDecimal,
}

/// What a line is part of.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each is the column of that name")]
pub struct Place<'a> {
    pub generation_id: i64,
    pub charge_date: NaiveDate,
    pub environment_id: i64,
    pub provider_name: &'a str,
    pub charge_category: &'a str,
    pub billing_currency: &'a str,
}

/// The rows there. They are only weights: what a reader may see of them is decided where the line's parts are shown.
pub async fn rows(conn: &mut PgConnection, place: Place<'_>, service_ids: &[i64]) -> sqlx::Result<Vec<ShareRow>> {
    sqlx::query_as!(
        ShareRow,
        "SELECT service_id, split_id, billed_cost, effective_cost FROM daily_cost
         WHERE generation_id = $1 AND charge_date = $2 AND environment_id = $3 AND provider_name = $4
           AND charge_category = $5 AND billing_currency = $6 AND (split_id <> 0 OR service_id = ANY($7))
         ORDER BY split_id, service_id",
        place.generation_id,
        place.charge_date,
        place.environment_id,
        place.provider_name,
        place.charge_category,
        place.billing_currency,
        service_ids,
    )
    .fetch_all(conn)
    .await
}

/// A service as a line's part names it, and whether the scope includes it.
#[derive(Debug, Clone)]
pub struct Payer {
    /// The service.
    pub service_id: i64,
    /// Its address.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// The team that pays.
    pub team_name: Option<String>,
    /// Whether the reader may see its money.
    pub is_in_scope: bool,
}

/// The services with these ids.
pub async fn payers(conn: &mut PgConnection, scope: &super::Scope, service_ids: &[i64]) -> sqlx::Result<Vec<Payer>> {
    sqlx::query_as!(
        Payer,
        r#"SELECT s.service_id AS "service_id!", s.slug AS "slug!", s.name AS "name!", t.name AS "team_name?",
                  ($1::bigint[] IS NULL OR coalesce(s.team_id = ANY($1), false)) AS "is_in_scope!"
           FROM service s LEFT JOIN team t ON t.team_id = s.team_id WHERE s.service_id = ANY($2)"#,
        scope.team_ids(),
        service_ids,
    )
    .fetch_all(conn)
    .await
}
