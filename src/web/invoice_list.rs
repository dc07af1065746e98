//! Invoices compared with their lines: what the page, its CSV and the API show.

use super::query::{Accepts, NONE, View};
use super::{AppState, Error, Principal, Result};
use crate::analyze::invoices::{Comparison, InvoiceState, compare};
use crate::focus::BillingPeriod;
use crate::store::invoices::{self, InvoiceRow, WithoutInvoice};
use crate::store::{Scope, Snapshot};
use chrono::NaiveDate;
use std::collections::BTreeMap;

const ACCEPTS: Accepts = Accepts { texts: &["month", "state", "invoice", "issuer"], by: &[], sort: &[] };

/// An invoice with what became of it.
#[derive(Debug)]
pub struct Compared {
    /// Both sides.
    pub row: InvoiceRow,
    /// State, difference and tolerance.
    pub comparison: Comparison,
    /// Days since it was issued, else since the end of its month.
    pub age_days: Option<i64>,
}

impl Compared {
    fn new(row: InvoiceRow, today: NaiveDate) -> Self {
        let is_voided = is_voided(&row);
        let (invoiced, billed) = (row.invoiced.as_ref(), row.billed.as_ref());
        let comparison = compare(invoiced, is_voided, billed, row.charge_count, &row.billing_currency);
        let since =
            row.issue_date.or_else(|| row.month.map(|month| BillingPeriod::containing(month).days().last_day()));
        let age_days = since.map(|since| (today - since).num_days()).filter(|days| *days >= 0);
        Self { row, comparison, age_days }
    }

    /// Its billing month, where one is known.
    pub fn month(&self) -> Option<BillingPeriod> {
        self.row.month.map(BillingPeriod::containing)
    }

    /// Whether it asks for nothing.
    pub(super) fn is_voided(&self) -> bool {
        is_voided(&self.row)
    }

    /// Whether lines name it though it is voided.
    pub(super) fn is_voided_with_lines(&self) -> bool {
        self.is_voided() && self.comparison.state != InvoiceState::Voided
    }

    /// The page of its lines.
    pub(super) fn lines_href(&self) -> String {
        let issuer = self.row.lines_issuer.as_deref().filter(|issuer| !issuer.is_empty()).unwrap_or(NONE);
        let query = [
            ("invoice", self.row.invoice_id.as_str()),
            ("issuer", issuer),
            ("cur", &self.row.billing_currency),
            ("basis", "billed"),
        ];
        format!("/charges?{}", serde_urlencoded::to_string(query).unwrap_or_default())
    }

    /// The form with what is known of it.
    pub(super) fn enter_href(&self) -> String {
        let month = self.month().map(|month| month.to_string()).unwrap_or_default();
        let query = [
            ("invoice", self.row.invoice_id.as_str()),
            ("issuer", &self.row.invoice_issuer_name),
            ("cur", &self.row.billing_currency),
            ("month", &month),
        ];
        format!("/finance/invoices?{}#enter", serde_urlencoded::to_string(query).unwrap_or_default())
    }
}

fn is_voided(row: &InvoiceRow) -> bool {
    row.issue_status.as_deref() == Some("Voided")
}

/// How the invoices of a month stand: for its statement.
pub(super) async fn states(
    conn: &mut sqlx::PgConnection,
    scope: &Scope,
    month: BillingPeriod,
    today: NaiveDate,
) -> sqlx::Result<Vec<(InvoiceState, usize)>> {
    let rows = invoices::list(conn, scope, Some(month)).await?;
    let mut counts: BTreeMap<InvoiceState, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(Compared::new(row, today).comparison.state).or_default() += 1;
    }
    Ok(counts.into_iter().collect())
}

/// Invoices that an address asks for.
#[derive(Debug)]
pub struct List {
    /// The address.
    pub view: View,
    /// The billing month, where it asks for one.
    pub month: Option<BillingPeriod>,
    /// The currency, where it asks for one, as its rows write it.
    pub currency: Option<String>,
    /// What needs someone first.
    pub rows: Vec<Compared>,
    /// Of all rows before the state narrowed them.
    pub counts: Vec<(InvoiceState, usize)>,
    /// Lines that name no invoice.
    pub without: Vec<WithoutInvoice>,
    /// Invoices that were read before currency and state narrowed them.
    pub read_count: usize,
}

/// Reads the invoices that an address asks for (`month`, `state`, `cur`).
pub async fn read(app: &AppState, snapshot: &mut Snapshot, who: &Principal, query: Option<&str>) -> Result<List> {
    let view = View::parse(query, ACCEPTS)?;
    let month = match view.text("month") {
        None => None,
        Some(text) => Some(
            text.parse::<BillingPeriod>()
                .map_err(|_| Error::Invalid(format!("month={text} is not known. Give a month like 2026-10.")))?,
        ),
    };
    let wanted = match view.text("state") {
        None => None,
        Some(text) => Some(InvoiceState::ALL.into_iter().find(|state| state.key() == text).ok_or_else(|| {
            let allowed = InvoiceState::ALL.map(InvoiceState::key).join(", ");
            Error::Invalid(format!("state={text} is not known. Allowed: {allowed}."))
        })?),
    };
    let (scope, today) = (who.scope(), app.now().date_naive());
    let rows = invoices::list(snapshot, &scope, month).await?;
    let read_count = rows.len();
    let mut without = invoices::without_invoice(snapshot, &scope, month).await?;
    let own = rows.iter().map(|row| &row.billing_currency).chain(without.iter().map(|row| &row.billing_currency));
    let own = own.cloned().collect();
    let currency = view.currency_among(snapshot, own).await?;
    let is_asked = |own: &str| currency.as_deref().is_none_or(|asked| asked == own);
    let mut rows: Vec<Compared> =
        rows.into_iter().filter(|row| is_asked(&row.billing_currency)).map(|row| Compared::new(row, today)).collect();
    let counts = InvoiceState::ALL
        .into_iter()
        .map(|state| (state, rows.iter().filter(|row| row.comparison.state == state).count()))
        .filter(|(_, count)| *count > 0)
        .collect();
    rows.retain(|row| wanted.is_none_or(|state| row.comparison.state == state));
    rows.sort_by_key(|row| row.comparison.state);
    without.retain(|row| is_asked(&row.billing_currency));
    Ok(List { view, month, currency, rows, counts, without, read_count })
}
