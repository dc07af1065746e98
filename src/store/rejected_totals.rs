//! What can be read of the amounts of lines that could not be counted: what is missing at least.

use bigdecimal::BigDecimal;
use serde::Serialize;
use sqlx::PgConnection;

/// Sums of rejected lines in one currency.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[expect(non_snake_case, reason = "the names of FOCUS, as the JSON has them")]
pub struct RejectedTotal {
    /// `None` where the lines have none.
    pub billing_currency: Option<String>,
    /// Lines with an amount that can be read.
    pub rows: i64,
    /// Σ BilledCost.
    #[serde(serialize_with = "super::receipts::plain_amount")]
    #[schema(value_type = String, example = "12.5")]
    pub BilledCost: BigDecimal,
    /// Σ EffectiveCost.
    #[serde(serialize_with = "super::receipts::plain_amount")]
    #[schema(value_type = String, example = "12.5")]
    pub EffectiveCost: BigDecimal,
}

/// Keeps the sums of one currency.
pub async fn insert(
    conn: &mut PgConnection,
    delivery_id: i64,
    currency: &str,
    row_count: i64,
    billed: &BigDecimal,
    effective: &BigDecimal,
) -> sqlx::Result<()> {
    // As text: a number of many digits must arrive as it is.
    sqlx::query!(
        "INSERT INTO delivery_rejected_total (delivery_id, billing_currency, row_count, billed_cost, effective_cost)
         VALUES ($1, $2, $3, $4::text::numeric, $5::text::numeric)
         ON CONFLICT (delivery_id, billing_currency) DO UPDATE SET row_count = excluded.row_count,
             billed_cost = excluded.billed_cost, effective_cost = excluded.effective_cost",
        delivery_id,
        currency.replace('\0', "\u{fffd}"),
        row_count,
        billed.to_plain_string(),
        effective.to_plain_string()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The sums of a delivery.
pub async fn of(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<Vec<RejectedTotal>> {
    sqlx::query_as!(
        RejectedTotal,
        r#"SELECT nullif(billing_currency, '') AS billing_currency, row_count AS rows, billed_cost AS "BilledCost",
                  effective_cost AS "EffectiveCost"
           FROM delivery_rejected_total WHERE delivery_id = $1 ORDER BY billing_currency"#,
        delivery_id
    )
    .fetch_all(conn)
    .await
}
