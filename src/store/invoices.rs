//! Invoices: what they total, and what the lines of current bills that name them add up to.

use super::{Scope, limits};
use crate::focus::BillingPeriod;
use crate::normalize::InvoiceTotal;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgExecutor};
use std::collections::HashMap;

/// More invoices than a page of a year has.
pub const INVOICE_COUNT_MAX: i64 = 20_000;
/// Months in currencies that are read at once.
const MONTH_COUNT_MAX: i64 = 50_000;

/// An invoice and the lines that name it; one of both may be missing.
#[derive(Debug, Clone)]
pub struct InvoiceRow {
    /// The stored total, where there is one.
    pub invoice_key: Option<i64>,
    /// FOCUS InvoiceId.
    pub invoice_id: String,
    /// FOCUS InvoiceIssuerName as the invoice has it, else as its lines have it; may be empty.
    pub invoice_issuer_name: String,
    /// The same as the recorded total has it.
    pub recorded_issuer: Option<String>,
    /// That in small letters, without blanks around it: issuers are the same by it.
    pub recorded_issuer_key: Option<String>,
    /// The same as its lines have it.
    pub lines_issuer: Option<String>,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// What the invoice says.
    pub invoiced: Option<BigDecimal>,
    /// Σ BilledCost of the lines of current bills.
    pub billed: Option<BigDecimal>,
    /// Those lines.
    pub charge_count: i64,
    /// First day of the billing month: the invoice's, else the first of its lines.
    pub month: Option<NaiveDate>,
    /// When it was issued, where known.
    pub issue_date: Option<NaiveDate>,
    /// When it is to be paid, where known.
    pub due_date: Option<NaiveDate>,
    /// `Open`, `Issued` or `Voided`.
    pub issue_status: Option<String>,
    /// `entered`, `imported` or `invoice detail`.
    pub origin: Option<String>,
    /// Who recorded the total.
    pub recorded_by: Option<String>,
}

/// Every invoice of a month, or of all months. Issuers are the same whatever their letter case and the blanks around
/// them; where one side names none, and both sides have one invoice with that id and currency, it is the same invoice.
/// Organisation only: an invoice belongs to no team, so a restricted scope
/// sees none.
pub async fn list(
    conn: &mut PgConnection,
    scope: &Scope,
    month: Option<BillingPeriod>,
) -> sqlx::Result<Vec<InvoiceRow>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        InvoiceRow,
        r#"WITH lines AS (
             SELECT c.invoice_id, lower(btrim(c.invoice_issuer_name)) AS issuer, min(btrim(c.invoice_issuer_name)) AS name,
                    c.billing_currency, sum(c.charge_count)::bigint AS charge_count, sum(c.billed_cost) AS billed_cost,
                    min(date_trunc('month', g.billing_period_start::timestamp)::date) AS first_month,
                    bool_or(date_trunc('month', g.billing_period_start::timestamp)::date = $1) AS is_of_month,
                    count(*) OVER (PARTITION BY c.invoice_id, c.billing_currency) AS issuer_count
             FROM invoice_cost c
             JOIN generation g ON g.generation_id = c.generation_id AND g.state = 'current'
             WHERE c.invoice_id <> '' GROUP BY 1, 2, 4
         ), totals AS (
             SELECT i.*, lower(btrim(i.invoice_issuer_name)) AS issuer,
                    count(*) OVER (PARTITION BY i.invoice_id, i.billing_currency) AS issuer_count
             FROM invoice i
         ), unnamed AS (
             SELECT l.invoice_id, l.billing_currency
             FROM lines l JOIN totals i ON i.invoice_id = l.invoice_id AND i.billing_currency = l.billing_currency
             WHERE l.issuer_count = 1 AND i.issuer_count = 1 AND (l.issuer = '' OR i.issuer = '')
         ), l AS (
             SELECT lines.*, CASE WHEN u.invoice_id IS NULL THEN issuer ELSE '' END AS matched
             FROM lines LEFT JOIN unnamed u
                 ON u.invoice_id = lines.invoice_id AND u.billing_currency = lines.billing_currency
         ), i AS (
             SELECT totals.*, CASE WHEN u.invoice_id IS NULL THEN issuer ELSE '' END AS matched
             FROM totals LEFT JOIN unnamed u
                 ON u.invoice_id = totals.invoice_id AND u.billing_currency = totals.billing_currency
         )
         SELECT i.invoice_key AS "invoice_key?", coalesce(i.invoice_id, l.invoice_id) AS "invoice_id!",
                coalesce(nullif(i.invoice_issuer_name, ''), l.name, '') AS "invoice_issuer_name!", l.name AS "lines_issuer?",
                i.invoice_issuer_name AS "recorded_issuer?", i.issuer AS "recorded_issuer_key?",
                coalesce(i.billing_currency, l.billing_currency) AS "billing_currency!",
                i.billed_cost AS "invoiced?", l.billed_cost AS "billed?", coalesce(l.charge_count, 0) AS "charge_count!",
                coalesce(i.month, l.first_month) AS month, i.issue_date AS "issue_date?", i.due_date AS "due_date?",
                i.issue_status AS "issue_status?", i.origin AS "origin?", i.recorded_by AS "recorded_by?"
         FROM i
         FULL JOIN l ON l.invoice_id = i.invoice_id AND l.billing_currency = i.billing_currency AND l.matched = i.matched
         WHERE $1::date IS NULL OR i.month = $1 OR l.is_of_month
         ORDER BY month DESC NULLS FIRST, 2, 3, 4 LIMIT $2"#,
        month.map(BillingPeriod::first_day),
        INVOICE_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}

/// Lines of current bills that name no invoice.
#[derive(Debug, Clone)]
pub struct WithoutInvoice {
    /// First day of the billing month.
    pub month: NaiveDate,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The lines.
    pub charge_count: i64,
    /// Σ BilledCost.
    pub billed: BigDecimal,
}

/// What no invoice is named for, by month and currency. Organisation only.
pub async fn without_invoice(
    conn: &mut PgConnection,
    scope: &Scope,
    month: Option<BillingPeriod>,
) -> sqlx::Result<Vec<WithoutInvoice>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        WithoutInvoice,
        r#"SELECT date_trunc('month', g.billing_period_start::timestamp)::date AS "month!", c.billing_currency,
                  sum(c.charge_count)::bigint AS "charge_count!", sum(c.billed_cost) AS "billed!"
           FROM invoice_cost c
           JOIN generation g ON g.generation_id = c.generation_id AND g.state = 'current'
           WHERE c.invoice_id = ''
             AND ($1::date IS NULL OR date_trunc('month', g.billing_period_start::timestamp)::date = $1)
           GROUP BY 1, 2 ORDER BY 1 DESC, 2 LIMIT $2"#,
        month.map(BillingPeriod::first_day),
        MONTH_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, MONTH_COUNT_MAX, "months with lines that name no invoice")
}

/// What became of totals that were stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoredInvoices {
    /// Those that were not known.
    pub new: u64,
    /// Those that replaced another.
    pub replaced: u64,
    /// Of these, those that took the place of one without an issuer.
    pub named: u64,
}

/// Stores totals; one that is known already is replaced, also one without an issuer by one that names it.
pub async fn store(
    conn: &mut PgConnection,
    totals: &[InvoiceTotal],
    origin: &str,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<StoredInvoices> {
    let mut stored = StoredInvoices::default();
    let mut counts: HashMap<(&str, &str), usize> = HashMap::new();
    for total in totals {
        *counts.entry((total.invoice_id.as_str(), total.billing_currency.as_str())).or_default() += 1;
    }
    for total in totals {
        // Of several with one number, nobody can tell which the earlier one was.
        let is_only = counts[&(total.invoice_id.as_str(), total.billing_currency.as_str())] == 1;
        let is_named = is_only && name_issuer(&mut *conn, total).await?;
        let is_new = sqlx::query_scalar!(
            r#"INSERT INTO invoice (invoice_id, invoice_issuer_name, billing_currency, billed_cost, month, issue_date,
                   due_date, issue_status, origin, detail_count, recorded_at, recorded_by)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
               ON CONFLICT (invoice_id, lower(btrim(invoice_issuer_name)), billing_currency) DO UPDATE SET
                   invoice_issuer_name = excluded.invoice_issuer_name, billed_cost = excluded.billed_cost, month = coalesce(excluded.month, invoice.month),
                   issue_date = coalesce(excluded.issue_date, invoice.issue_date),
                   due_date = coalesce(excluded.due_date, invoice.due_date), issue_status = excluded.issue_status,
                   origin = excluded.origin, detail_count = excluded.detail_count,
                   recorded_at = excluded.recorded_at, recorded_by = excluded.recorded_by
               RETURNING (xmax = 0) AS "is_new!""#,
            total.invoice_id,
            total.invoice_issuer_name,
            total.billing_currency,
            total.billed_cost,
            total.month.map(BillingPeriod::first_day),
            total.issue_date,
            total.due_date,
            total.issue_status,
            origin,
            total.detail_count,
            now,
            by
        )
        .fetch_one(&mut *conn)
        .await?;
        stored.new += u64::from(is_new && !is_named);
        stored.replaced += u64::from(!is_new || is_named);
        stored.named += u64::from(is_named);
    }
    Ok(stored)
}

// Gives the total without an issuer this one's, so that this one replaces it. Not where the number may be another
// issuer's too: another total has it, or lines of another issuer name it.
async fn name_issuer(conn: &mut PgConnection, total: &InvoiceTotal) -> sqlx::Result<bool> {
    if total.invoice_issuer_name.trim().is_empty() {
        return Ok(false);
    }
    let done = sqlx::query!(
        "UPDATE invoice SET invoice_issuer_name = $2::text
         WHERE invoice_id = $1 AND billing_currency = $3 AND btrim(invoice_issuer_name) = ''
           AND NOT EXISTS (SELECT FROM invoice o
                           WHERE o.invoice_id = $1 AND o.billing_currency = $3 AND o.invoice_key <> invoice.invoice_key)
           AND NOT EXISTS (SELECT FROM invoice_cost c
                           JOIN generation g ON g.generation_id = c.generation_id AND g.state = 'current'
                           WHERE c.invoice_id = $1 AND c.billing_currency = $3
                             AND lower(btrim(c.invoice_issuer_name)) NOT IN ('', lower(btrim($2::text))))",
        total.invoice_id,
        total.invoice_issuer_name,
        total.billing_currency
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A removed total, for the audit log.
#[derive(Debug, Clone)]
pub struct RemovedInvoice {
    /// FOCUS InvoiceId.
    pub invoice_id: String,
    /// FOCUS InvoiceIssuerName.
    pub invoice_issuer_name: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// What it said.
    pub billed_cost: BigDecimal,
}

/// Takes a total away; the lines that name the invoice stay. `None` where there is none.
pub async fn remove(db: impl PgExecutor<'_>, invoice_key: i64) -> sqlx::Result<Option<RemovedInvoice>> {
    sqlx::query_as!(
        RemovedInvoice,
        "DELETE FROM invoice WHERE invoice_key = $1
         RETURNING invoice_id, invoice_issuer_name, billing_currency, billed_cost",
        invoice_key
    )
    .fetch_optional(db)
    .await
}

/// What the lines of one generation add up to by invoice.
#[derive(Debug, Clone)]
pub struct InvoiceSum {
    /// The generation.
    pub generation_id: i64,
    /// FOCUS InvoiceId; empty where the lines have none.
    pub invoice_id: String,
    /// FOCUS InvoiceIssuerName; empty where the lines have none.
    pub invoice_issuer_name: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The lines.
    pub charge_count: i64,
    /// Σ BilledCost.
    pub billed_cost: BigDecimal,
}

/// Keeps the sums of generations that were just loaded aside.
pub async fn insert_sums(conn: &mut PgConnection, sums: &[InvoiceSum]) -> sqlx::Result<()> {
    // A statement has room for so many without growing large.
    for sums in sums.chunks(10_000) {
        let generation_ids: Vec<i64> = sums.iter().map(|sum| sum.generation_id).collect();
        let invoice_ids: Vec<String> = sums.iter().map(|sum| sum.invoice_id.clone()).collect();
        let issuers: Vec<String> = sums.iter().map(|sum| sum.invoice_issuer_name.clone()).collect();
        let currencies: Vec<String> = sums.iter().map(|sum| sum.billing_currency.clone()).collect();
        let counts: Vec<i64> = sums.iter().map(|sum| sum.charge_count).collect();
        let costs: Vec<BigDecimal> = sums.iter().map(|sum| sum.billed_cost.clone()).collect();
        sqlx::query!(
            "INSERT INTO invoice_cost
                 (generation_id, invoice_id, invoice_issuer_name, billing_currency, charge_count, billed_cost)
             SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::numeric[])",
            &generation_ids,
            &invoice_ids,
            &issuers,
            &currencies,
            &counts,
            &costs
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
