//! Reconciling items: named parts of what an invoice and its lines differ by.

use super::limits;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use std::collections::HashMap;

/// Items of one invoice; people write them.
const ITEM_COUNT_MAX: i64 = 100;

/// A named part of a difference.
#[derive(Debug, Clone)]
pub struct InvoiceItem {
    /// Its number.
    pub invoice_item_id: i64,
    /// The recorded total that it is of.
    pub invoice_key: i64,
    /// In the invoice's currency, signed as the difference is: lines less invoice.
    pub amount: BigDecimal,
    /// What it is.
    pub reason: String,
    /// Who says so.
    pub added_by: String,
    /// Since when.
    pub added_at: DateTime<Utc>,
}

/// The items of these recorded totals, the earliest first.
pub async fn of(conn: &mut PgConnection, invoice_keys: &[i64]) -> sqlx::Result<HashMap<i64, Vec<InvoiceItem>>> {
    let rows = sqlx::query_as!(
        InvoiceItem,
        "SELECT invoice_item_id, invoice_key, amount, reason, added_by, added_at
         FROM invoice_item WHERE invoice_key = ANY($1) ORDER BY invoice_item_id",
        invoice_keys
    )
    .fetch_all(conn)
    .await?;
    let mut items: HashMap<i64, Vec<InvoiceItem>> = HashMap::new();
    for row in rows {
        items.entry(row.invoice_key).or_default().push(row);
    }
    Ok(items)
}

/// The billing month of a recorded total, where known; the outer `None` where there is no such total.
pub async fn month_of(conn: &mut PgConnection, invoice_key: i64) -> sqlx::Result<Option<Option<NaiveDate>>> {
    sqlx::query_scalar!("SELECT month FROM invoice WHERE invoice_key = $1", invoice_key).fetch_optional(conn).await
}

/// What a recorded total is of.
#[derive(Debug, Clone)]
pub struct RecordedInvoice {
    /// FOCUS InvoiceId.
    pub invoice_id: String,
    /// FOCUS InvoiceIssuerName.
    pub invoice_issuer_name: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
}

/// A recorded total, which stays until the transaction ends. `None` where there is none.
pub async fn recorded(conn: &mut PgConnection, invoice_key: i64) -> sqlx::Result<Option<RecordedInvoice>> {
    sqlx::query_as!(
        RecordedInvoice,
        "SELECT invoice_id, invoice_issuer_name, billing_currency FROM invoice WHERE invoice_key = $1 FOR UPDATE",
        invoice_key
    )
    .fetch_optional(conn)
    .await
}

/// Adds an item to a total that [`recorded`] holds, and gives its number.
pub async fn add(
    conn: &mut PgConnection,
    invoice_key: i64,
    (amount, reason): (&BigDecimal, &str),
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let count =
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM invoice_item WHERE invoice_key = $1"#, invoice_key)
            .fetch_one(&mut *conn)
            .await?;
    limits::room(count, ITEM_COUNT_MAX, "items of this invoice")?;
    sqlx::query_scalar!(
        "INSERT INTO invoice_item (invoice_key, amount, reason, added_by, added_at) VALUES ($1, $2, $3, $4, $5)
         RETURNING invoice_item_id",
        invoice_key,
        amount,
        reason,
        by,
        now
    )
    .fetch_one(conn)
    .await
}

/// Takes items of a total back: one, or all of them. Gives what they were.
pub async fn remove(
    conn: &mut PgConnection,
    invoice_key: i64,
    invoice_item_id: Option<i64>,
) -> sqlx::Result<Vec<InvoiceItem>> {
    sqlx::query_as!(
        InvoiceItem,
        "DELETE FROM invoice_item WHERE invoice_key = $1 AND ($2::bigint IS NULL OR invoice_item_id = $2)
         RETURNING invoice_item_id, invoice_key, amount, reason, added_by, added_at",
        invoice_key,
        invoice_item_id
    )
    .fetch_all(conn)
    .await
}
