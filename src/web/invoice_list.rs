//! Invoices compared with their lines: what the page, its CSV and the API show.

use super::invoice_compared::all;
pub use super::invoice_compared::{Compared, one};
use super::query::{Accepts, View};
use super::{AppState, Error, Principal, Result};
use crate::analyze::invoices::InvoiceState;
use crate::focus::BillingPeriod;
use crate::store::invoices::{self, WithoutInvoice};
use crate::store::{Scope, Snapshot};
use chrono::NaiveDate;
use std::collections::BTreeMap;

const ACCEPTS: Accepts = Accepts { texts: &["month", "state", "invoice", "issuer"], by: &[], sort: &[] };

/// How the invoices of a month stand: for its statement.
pub(super) async fn states(
    conn: &mut sqlx::PgConnection,
    scope: &Scope,
    month: BillingPeriod,
    today: NaiveDate,
) -> sqlx::Result<Vec<(InvoiceState, usize)>> {
    let mut counts: BTreeMap<InvoiceState, usize> = BTreeMap::new();
    for one in all(conn, scope, Some(month), today).await? {
        *counts.entry(one.comparison.state).or_default() += 1;
    }
    Ok(counts.into_iter().collect())
}

/// The invoices of a month that need someone: before it is closed.
pub(super) async fn open(
    conn: &mut sqlx::PgConnection,
    scope: &Scope,
    month: BillingPeriod,
    today: NaiveDate,
) -> sqlx::Result<Vec<Compared>> {
    let mut rows = all(conn, scope, Some(month), today).await?;
    rows.retain(|one| one.comparison.state.is_open());
    rows.sort_by_key(|one| one.comparison.state);
    Ok(rows)
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
    let mut rows = all(snapshot, &scope, month, today).await?;
    let read_count = rows.iter().filter(|one| one.is_invoice()).count();
    let mut without = invoices::without_invoice(snapshot, &scope, month).await?;
    let own = rows.iter().map(|one| &one.row.billing_currency).chain(without.iter().map(|row| &row.billing_currency));
    let own = own.cloned().collect();
    let currency = view.currency_among(snapshot, own).await?;
    let is_asked = |own: &str| currency.as_deref().is_none_or(|asked| asked == own);
    rows.retain(|one| is_asked(&one.row.billing_currency));
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
