//! Issuers whose lines name no invoice: what they billed by month, which their invoices are compared with.

use super::{Scope, limits};
use crate::focus::BillingPeriod;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// Months of issuers that are read at once.
const MONTH_COUNT_MAX: i64 = 50_000;

/// The lines of an issuer in a month and currency in which none of its lines names an invoice.
#[derive(Debug, Clone)]
pub struct IssuerMonth {
    /// First day of the billing month.
    pub month: NaiveDate,
    /// FOCUS InvoiceIssuerName in small letters, without blanks around it.
    pub issuer_key: String,
    /// FOCUS InvoiceIssuerName.
    pub invoice_issuer_name: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The lines.
    pub charge_count: i64,
    /// Σ BilledCost.
    pub billed: BigDecimal,
    /// Whether a total of the issuer that no line names is recorded for another month: then this one has one too.
    pub is_expected: bool,
}

/// Months of issuers whose lines name no invoice, the newest first; of one month where it is asked for. Organisation
/// only, as invoices are.
pub async fn months(
    conn: &mut PgConnection,
    scope: &Scope,
    month: Option<BillingPeriod>,
) -> sqlx::Result<Vec<IssuerMonth>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        IssuerMonth,
        r#"WITH lines AS (
             SELECT date_trunc('month', g.billing_period_start::timestamp)::date AS month,
                    lower(btrim(c.invoice_issuer_name)) AS issuer, min(btrim(c.invoice_issuer_name)) AS name,
                    c.billing_currency, sum(c.charge_count)::bigint AS charge_count, sum(c.billed_cost) AS billed
             FROM invoice_cost c
             JOIN generation g ON g.generation_id = c.generation_id AND g.state = 'current'
             WHERE btrim(c.invoice_issuer_name) <> ''
               AND ($1::date IS NULL OR date_trunc('month', g.billing_period_start::timestamp)::date = $1)
             GROUP BY 1, 2, 4 HAVING bool_and(c.invoice_id = '')
         )
         SELECT l.month AS "month!", l.issuer AS "issuer_key!", l.name AS "invoice_issuer_name!",
                l.billing_currency AS "billing_currency!", l.charge_count AS "charge_count!", l.billed AS "billed!",
                EXISTS (SELECT FROM invoice i
                        WHERE lower(btrim(i.invoice_issuer_name)) = l.issuer
                          AND i.billing_currency = l.billing_currency
                          AND i.month <> l.month AND i.issue_status <> 'Voided'
                          AND NOT EXISTS (SELECT FROM invoice_cost n
                                          JOIN generation m ON m.generation_id = n.generation_id AND m.state = 'current'
                                          WHERE n.invoice_id = i.invoice_id
                                            AND n.billing_currency = i.billing_currency)) AS "is_expected!"
         FROM lines l ORDER BY l.month DESC, l.name, l.billing_currency LIMIT $2"#,
        month.map(BillingPeriod::first_day),
        MONTH_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, MONTH_COUNT_MAX, "months of issuers that name no invoice")
}
