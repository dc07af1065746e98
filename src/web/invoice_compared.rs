//! An invoice beside its lines: those that name it, or those of its issuer and month where they name none.

use super::display::money_exact;
use super::query::NONE;
use crate::analyze::invoices::{Comparison, InvoiceState, compare};
use crate::focus::BillingPeriod;
use crate::store::Scope;
use crate::store::invoice_deliveries::InvoiceLines;
use crate::store::invoice_issuers::{self, IssuerMonth};
use crate::store::invoice_items::{self, InvoiceItem};
use crate::store::invoices::{self, InvoiceRow};
use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::Sign;
use chrono::NaiveDate;
use sqlx::PgConnection;
use std::collections::HashMap;

/// An invoice with what became of it.
#[derive(Debug)]
pub struct Compared {
    /// Both sides. Of several totals of an issuer that are compared together the first has the lines.
    pub row: InvoiceRow,
    /// State, difference, rest and tolerance. Of several together the first has difference and rest.
    pub comparison: Comparison,
    /// Days since it was issued, else since the end of its month.
    pub age_days: Option<i64>,
    /// Named parts of the difference.
    pub items: Vec<InvoiceItem>,
    /// Where it is compared with the lines of its issuer and month.
    pub issuer_month: Option<IssuerInvoices>,
}

/// What an issuer whose lines name no invoice billed in a month, and its invoices of it.
#[derive(Debug, Clone)]
pub struct IssuerInvoices {
    /// The lines.
    pub month: IssuerMonth,
    /// The totals that are compared with them together; empty where none is recorded.
    pub totals: Vec<IssuerTotal>,
    /// Named parts of the difference, of all of these totals.
    pub items: Vec<InvoiceItem>,
    /// Of all of them together.
    pub comparison: Comparison,
}

/// One of these totals.
#[derive(Debug, Clone)]
pub struct IssuerTotal {
    /// Its number.
    pub invoice_key: i64,
    /// FOCUS InvoiceId.
    pub invoice_id: String,
    /// What it says.
    pub invoiced: BigDecimal,
}

impl IssuerInvoices {
    fn new(
        month: IssuerMonth,
        totals: Vec<IssuerTotal>,
        items: &HashMap<i64, Vec<InvoiceItem>>,
        today: NaiveDate,
    ) -> Self {
        let of_totals = totals.iter().filter_map(|total| items.get(&total.invoice_key));
        let items: Vec<InvoiceItem> = of_totals.flatten().cloned().collect();
        let invoiced = totals.iter().map(|total| &total.invoiced).sum::<BigDecimal>();
        let invoiced = Some(&invoiced).filter(|_| !totals.is_empty());
        let comparison = compare(invoiced, false, Some(&month.billed), month.charge_count, &month.billing_currency);
        let mut comparison = comparison.explained_by(&amounts(&items));
        let is_over = BillingPeriod::containing(month.month).days().last_day() < today;
        if comparison.state == InvoiceState::MissingInvoice && !(month.is_expected && is_over) {
            comparison.state = InvoiceState::NotEntered;
        }
        Self { month, totals, items, comparison }
    }
}

impl Compared {
    fn new(row: InvoiceRow, items: Vec<InvoiceItem>, today: NaiveDate) -> Self {
        let (invoiced, billed) = (row.invoiced.as_ref(), row.billed.as_ref());
        let comparison = compare(invoiced, is_voided(&row), billed, row.charge_count, &row.billing_currency);
        let comparison = comparison.explained_by(&amounts(&items));
        Self { age_days: age_days(&row, today), row, comparison, items, issuer_month: None }
    }

    fn of_issuer(mut row: InvoiceRow, of: IssuerInvoices, is_first: bool, today: NaiveDate) -> Self {
        let mut comparison = of.comparison.clone();
        if is_first {
            row.billed = Some(of.month.billed.clone());
            row.charge_count = of.month.charge_count;
            row.lines_issuer = Some(of.month.invoice_issuer_name.clone());
        } else {
            comparison.difference = None;
            comparison.rest = None;
        }
        let age_days = age_days(&row, today);
        Self { row, comparison, age_days, items: of.items.clone(), issuer_month: Some(of) }
    }

    fn not_recorded(of: IssuerInvoices, today: NaiveDate) -> Self {
        let row = InvoiceRow {
            invoice_key: None,
            invoice_id: String::new(),
            invoice_issuer_name: of.month.invoice_issuer_name.clone(),
            recorded_issuer: None,
            recorded_issuer_key: None,
            lines_issuer: None,
            billing_currency: of.month.billing_currency.clone(),
            invoiced: None,
            billed: None,
            charge_count: 0,
            month: Some(of.month.month),
            issue_date: None,
            due_date: None,
            issue_status: None,
            origin: None,
            recorded_by: None,
        };
        Self::of_issuer(row, of, true, today)
    }

    /// Its billing month, where one is known.
    pub fn month(&self) -> Option<BillingPeriod> {
        self.row.month.map(BillingPeriod::containing)
    }

    /// Whether it is an invoice; else it is the lines of an issuer, of which no invoice is recorded.
    pub fn is_invoice(&self) -> bool {
        !self.row.invoice_id.is_empty()
    }

    /// What stands for it in a sentence.
    pub(super) fn name(&self) -> String {
        let month = self.month().map(|month| month.label()).unwrap_or_default();
        if self.is_invoice() {
            self.row.invoice_id.clone()
        } else {
            format!("{} for {month}", self.row.invoice_issuer_name)
        }
    }

    /// Whether there is an invoice and there are lines: only then both are added up.
    pub(super) fn has_both_sides(&self) -> bool {
        let has_totals = |of: &IssuerInvoices| !of.totals.is_empty();
        self.comparison.difference.is_some() || self.issuer_month.as_ref().is_some_and(has_totals)
    }

    /// The InvoiceIds of the others that are compared together with it.
    pub fn together_with(&self) -> Vec<String> {
        let totals = self.issuer_month.iter().flat_map(|of| &of.totals);
        let others = totals.filter(|total| Some(total.invoice_key) != self.row.invoice_key);
        others.map(|total| total.invoice_id.clone()).collect()
    }

    /// The word for which lines it is compared with.
    pub fn compared_by(&self) -> &'static str {
        if self.issuer_month.is_some() { "issuer-and-month" } else { "invoice" }
    }

    /// State, difference and rest of all that are compared together with it.
    pub fn whole(&self) -> &Comparison {
        self.issuer_month.as_ref().map_or(&self.comparison, |of| &of.comparison)
    }

    /// What the invoice says, with those that are compared together with it; nothing where it is voided or not recorded.
    pub(super) fn invoiced(&self) -> Option<BigDecimal> {
        match &self.issuer_month {
            Some(of) if of.totals.is_empty() => None,
            Some(of) => Some(of.totals.iter().map(|total| &total.invoiced).sum()),
            None => self.row.invoiced.clone().filter(|_| !self.is_voided()),
        }
    }

    /// Σ of all that explains the difference.
    pub fn explained(&self) -> Option<BigDecimal> {
        let amounts = amounts(&self.items);
        (!amounts.is_empty() && self.comparison.difference.is_some()).then(|| amounts.into_iter().sum())
    }

    /// Whether it asks for nothing.
    pub(super) fn is_voided(&self) -> bool {
        is_voided(&self.row)
    }

    /// Whether lines name it though it is voided.
    pub(super) fn is_voided_with_lines(&self) -> bool {
        self.is_voided() && self.comparison.state != InvoiceState::Voided
    }

    /// Which side is larger and by how much, in words; empty where one is missing.
    pub fn difference_words(&self) -> String {
        let words = |difference| difference_words(difference, &self.row.billing_currency);
        self.whole().difference.as_ref().map(words).unwrap_or_default()
    }

    /// The lines that it is compared with.
    pub(super) fn lines(&self) -> InvoiceLines<'_> {
        let billing_currency = &self.row.billing_currency;
        match &self.issuer_month {
            Some(of) => InvoiceLines {
                invoice_id: "",
                issuer: &of.month.issuer_key,
                billing_currency,
                month: Some(of.month.month),
            },
            None => InvoiceLines {
                invoice_id: &self.row.invoice_id,
                issuer: self.row.lines_issuer.as_deref().unwrap_or(&self.row.invoice_issuer_name),
                billing_currency,
                month: None,
            },
        }
    }

    /// The page of its lines.
    pub(super) fn lines_href(&self) -> String {
        let lines = self.lines();
        let mut query = Vec::new();
        if let Some(month) = lines.month {
            query.push(("billing", BillingPeriod::containing(month).to_string()));
        }
        let or_none = |text: &str| if text.is_empty() { NONE.to_owned() } else { text.to_owned() };
        query.extend([
            ("invoice", or_none(lines.invoice_id)),
            ("issuer", or_none(lines.issuer)),
            ("cur", lines.billing_currency.to_owned()),
            ("basis", "billed".to_owned()),
        ]);
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
        let query: Vec<_> = query.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        format!("/finance/invoices?{}#enter", serde_urlencoded::to_string(query).unwrap_or_default())
    }
}

fn is_voided(row: &InvoiceRow) -> bool {
    row.issue_status.as_deref() == Some("Voided")
}

fn age_days(row: &InvoiceRow, today: NaiveDate) -> Option<i64> {
    let end = |month| BillingPeriod::containing(month).days().last_day();
    let since = row.issue_date.or_else(|| row.month.map(end));
    since.map(|since| (today - since).num_days()).filter(|days| *days >= 0)
}

fn amounts(items: &[InvoiceItem]) -> Vec<&BigDecimal> {
    items.iter().map(|item| &item.amount).collect()
}

/// Which side is larger and by how much: a sign alone does not say it.
pub(super) fn difference_words(difference: &BigDecimal, currency: &str) -> String {
    let amount = money_exact(&difference.abs(), currency);
    match difference.sign() {
        Sign::Minus => format!("invoiced more than billed by {amount}"),
        Sign::NoSign => "invoiced and billed alike".to_owned(),
        Sign::Plus => format!("billed more than invoiced by {amount}"),
    }
}

/// Every invoice of a month, or of all months, and the months of issuers that name none.
pub(super) async fn all(
    conn: &mut PgConnection,
    scope: &Scope,
    month: Option<BillingPeriod>,
    today: NaiveDate,
) -> sqlx::Result<Vec<Compared>> {
    let rows = invoices::list(&mut *conn, scope, month).await?;
    let months = invoice_issuers::months(&mut *conn, scope, month).await?;
    let keys: Vec<i64> = rows.iter().filter_map(|row| row.invoice_key).collect();
    let items = invoice_items::of(conn, &keys).await?;
    Ok(compared(rows, months, &items, today))
}

/// One recorded invoice. `None` where there is no such total.
pub async fn one(
    conn: &mut PgConnection,
    scope: &Scope,
    invoice_key: i64,
    today: NaiveDate,
) -> sqlx::Result<Option<Compared>> {
    let Some(month) = invoice_items::month_of(&mut *conn, invoice_key).await? else { return Ok(None) };
    let rows = all(conn, scope, month.map(BillingPeriod::containing), today).await?;
    Ok(rows.into_iter().find(|one| one.row.invoice_key == Some(invoice_key)))
}

// Totals that no line names, of issuers whose lines name none, are compared with the lines of their month.
fn compared(
    rows: Vec<InvoiceRow>,
    months: Vec<IssuerMonth>,
    items: &HashMap<i64, Vec<InvoiceItem>>,
    today: NaiveDate,
) -> Vec<Compared> {
    let places = places(&rows, &months);
    let mut totals: Vec<Vec<IssuerTotal>> = vec![Vec::new(); months.len()];
    for (row, place) in rows.iter().zip(&places) {
        if let (Some(place), Some(invoice_key), Some(invoiced)) = (*place, row.invoice_key, &row.invoiced) {
            let (invoice_id, invoiced) = (row.invoice_id.clone(), invoiced.clone());
            totals[place].push(IssuerTotal { invoice_key, invoice_id, invoiced });
        }
    }
    let of_months = months.into_iter().zip(totals);
    let of_months: Vec<IssuerInvoices> =
        of_months.map(|(month, totals)| IssuerInvoices::new(month, totals, items, today)).collect();
    let mut is_told = vec![false; of_months.len()];
    let mut out = Vec::with_capacity(rows.len());
    for (row, place) in rows.into_iter().zip(places) {
        out.push(match place {
            Some(place) => {
                let is_first = !std::mem::replace(&mut is_told[place], true);
                Compared::of_issuer(row, of_months[place].clone(), is_first, today)
            }
            None => {
                let items = row.invoice_key.and_then(|key| items.get(&key)).cloned().unwrap_or_default();
                Compared::new(row, items, today)
            }
        });
    }
    let rest = of_months.into_iter().zip(is_told).filter(|(_, is_told)| !is_told);
    out.extend(rest.map(|(of, _)| Compared::not_recorded(of, today)));
    out
}

// For each row its place among the months that it is compared with, where it is compared with one.
fn places(rows: &[InvoiceRow], months: &[IssuerMonth]) -> Vec<Option<usize>> {
    let key = |month: &IssuerMonth| (month.month, month.issuer_key.clone(), month.billing_currency.clone());
    let places: HashMap<(NaiveDate, String, String), usize> =
        months.iter().enumerate().map(|(place, month)| (key(month), place)).collect();
    let place = |row: &InvoiceRow| {
        if row.billed.is_some() || is_voided(row) {
            return None;
        }
        places.get(&(row.month?, row.recorded_issuer_key.clone()?, row.billing_currency.clone())).copied()
    };
    rows.iter().map(place).collect()
}
