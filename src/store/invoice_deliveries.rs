//! The deliveries whose lines make an invoice, and those that made it before they were replaced.

use super::{Scope, limits};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// Deliveries of one invoice that are read at once.
const DELIVERY_COUNT_MAX: i64 = 20_000;

/// The lines of an invoice.
#[derive(Debug, Clone, Copy)]
pub struct InvoiceLines<'a> {
    /// FOCUS InvoiceId; empty for the lines that name none.
    pub invoice_id: &'a str,
    /// FOCUS InvoiceIssuerName of the lines, in any letter case.
    pub issuer: &'a str,
    /// FOCUS BillingCurrency.
    pub billing_currency: &'a str,
    /// First day of the billing month, where the lines of one month only are meant.
    pub month: Option<NaiveDate>,
}

/// What a delivery says of an invoice.
#[derive(Debug, Clone)]
pub struct InvoiceDelivery {
    /// The source.
    pub source_id: i64,
    /// Its name.
    pub source_name: String,
    /// The delivery.
    pub delivery_id: i64,
    /// Whether some of it counts.
    pub is_current: bool,
    /// Whether some of it was replaced.
    pub is_replaced: bool,
    /// The lines that count.
    pub charge_count: i64,
    /// Σ BilledCost of the lines that count.
    pub counted: BigDecimal,
    /// Σ BilledCost of all its lines.
    pub billed: BigDecimal,
}

/// The deliveries that hold, or held, lines of an invoice, the newest first. Organisation only, as invoices are.
pub async fn list(
    conn: &mut PgConnection,
    scope: &Scope,
    lines: InvoiceLines<'_>,
) -> sqlx::Result<Vec<InvoiceDelivery>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        InvoiceDelivery,
        r#"SELECT g.source_id, source.name AS source_name, g.delivery_id,
                  bool_or(g.state = 'current') AS "is_current!", bool_or(g.state = 'superseded') AS "is_replaced!",
                  coalesce(sum(c.charge_count) FILTER (WHERE g.state = 'current'), 0)::bigint AS "charge_count!",
                  coalesce(sum(c.billed_cost) FILTER (WHERE g.state = 'current'), 0) AS "counted!",
                  sum(c.billed_cost) AS "billed!"
           FROM invoice_cost c
           JOIN generation g ON g.generation_id = c.generation_id AND g.state IN ('current', 'superseded')
           JOIN source ON source.source_id = g.source_id
           WHERE c.invoice_id = $1 AND lower(btrim(c.invoice_issuer_name)) = lower(btrim($2::text))
             AND c.billing_currency = $3
             AND ($4::date IS NULL OR date_trunc('month', g.billing_period_start::timestamp)::date = $4)
           GROUP BY g.source_id, source.name, g.delivery_id ORDER BY g.delivery_id DESC LIMIT $5"#,
        lines.invoice_id,
        lines.issuer,
        lines.billing_currency,
        lines.month,
        DELIVERY_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, DELIVERY_COUNT_MAX, "deliveries of the invoice")
}
