//! What the finance team of the demo organisation does: invoices, exchange rates, closed months.

use super::bill_line::ONE;
use super::{DemoBill, first_of_month};
use chrono::{Datelike, Days, Months, NaiveDate};
use std::collections::BTreeSet;

/// The currency that the organisation reports in.
pub const REPORTING_CURRENCY: &str = "EUR";
/// Months that are over and stay open: providers restate them still.
const OPEN_MONTH_COUNT: u32 = 2;
/// Providers issue an invoice so many days after the month, and want it paid so many days later.
const ISSUED_AFTER_DAYS: u64 = 3;
const DUE_AFTER_DAYS: u64 = 30;
/// What a provider invoices beside its bill, once.
const WORKSHOP: i128 = 1_200 * ONE;

/// What an invoice of a provider totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoInvoice {
    /// FOCUS InvoiceId.
    pub invoice_id: String,
    /// FOCUS InvoiceIssuerName.
    pub invoice_issuer_name: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// In whole cents, as invoices are.
    pub total: String,
    /// First day of the billing month.
    pub month: NaiveDate,
    /// When it was issued.
    pub issue_date: NaiveDate,
    /// When it is to be paid.
    pub due_date: NaiveDate,
    /// What it holds that no bill does, which finance says of the difference.
    pub item: Option<DemoInvoiceItem>,
}

/// An item that explains what an invoice and its lines differ by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoInvoiceItem {
    /// Signed as the difference is: below zero where more is invoiced.
    pub amount: String,
    /// What it is.
    pub reason: String,
}

/// How a shared cost is divided among all services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoSplit {
    /// What people call it.
    pub name: String,
    /// The service whose cost is divided.
    pub source_slug: String,
    /// `even` or `direct-cost`.
    pub method: String,
    /// Why.
    pub reason: String,
}

/// A rate of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoRate {
    /// First day of the billing month.
    pub month: NaiveDate,
    /// The currency of bills.
    pub billing_currency: String,
    /// Units of [`REPORTING_CURRENCY`] for one of it.
    pub rate: String,
}

/// The invoices of months that are over. One says what the first version of its bill said, before it was restated;
/// the newest of the smaller provider has not come yet, and the one before that has a workshop on it.
pub fn invoices(bills: &[DemoBill], last_day: NaiveDate) -> Vec<DemoInvoice> {
    let mut seen = BTreeSet::new();
    let newest = first_of_month(last_day) - Months::new(1);
    let mut invoices = Vec::new();
    for bill in bills {
        let Some(invoice_id) = &bill.invoice_id else { continue };
        let issue_date = bill.month + Months::new(1) + Days::new(ISSUED_AFTER_DAYS);
        let is_late = bill.month == newest && bill.source.starts_with("datadog");
        if issue_date > last_day || is_late || !seen.insert(invoice_id.clone()) {
            continue;
        }
        let has_workshop = bill.month == newest - Months::new(1) && bill.source.starts_with("datadog");
        invoices.push(DemoInvoice {
            invoice_id: invoice_id.clone(),
            invoice_issuer_name: bill.invoice_issuer_name.clone(),
            billing_currency: bill.billing_currency.clone(),
            total: cents(if has_workshop { bill.billed + WORKSHOP } else { bill.billed }),
            month: bill.month,
            issue_date,
            due_date: issue_date + Days::new(DUE_AFTER_DAYS),
            item: has_workshop.then(|| DemoInvoiceItem {
                amount: cents(-WORKSHOP),
                reason: "Workshop of two days, ordered apart: it is on no bill.".into(),
            }),
        });
    }
    invoices
}

/// A rate a month, like those of a bank: near 0.9, and another each month.
pub fn rates(first_day: NaiveDate, last_day: NaiveDate) -> Vec<DemoRate> {
    let rate = |month: NaiveDate| {
        let number = month.year() as u32 * 12 + month.month();
        let millionths = 880_000 + number * 7_919 % 60_000;
        let text = format!("0.{millionths:06}");
        DemoRate { month, billing_currency: "USD".into(), rate: text.trim_end_matches('0').to_owned() }
    };
    months(first_day, first_of_month(last_day)).map(rate).collect()
}

/// Every month but the running one and the newest that are over.
pub fn closed_months(first_day: NaiveDate, last_day: NaiveDate) -> Vec<NaiveDate> {
    months(first_day, first_of_month(last_day) - Months::new(OPEN_MONTH_COUNT + 1)).collect()
}

fn months(first: NaiveDate, last: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    (0..).map(move |count| first_of_month(first) + Months::new(count)).take_while(move |month| *month <= last)
}

/// To the nearest cent, halves away from zero.
fn cents(amount: i128) -> String {
    let cent = ONE / 100;
    let rounded = (amount.abs() + cent / 2) / cent;
    let sign = if amount < 0 && rounded > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", rounded / 100, rounded % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn invoices_are_in_cents_and_each_stands_once() {
        assert_eq!(cents(ONE * 3 + ONE / 200), "3.01");
        assert_eq!(cents(-ONE / 400), "0.00");
        let bill = |source: &str, month: &str, billed: i128, id: Option<&str>| DemoBill {
            path: source.into(),
            source: source.into(),
            as_of: chrono::DateTime::UNIX_EPOCH,
            row_count: 1,
            month: day(month),
            invoice_issuer_name: source.into(),
            billing_currency: "USD".into(),
            invoice_id: id.map(str::to_owned),
            billed,
        };
        let bills = [
            bill("aws", "2026-01-01", ONE, Some("AWS-202601")),
            bill("aws", "2026-01-01", 2 * ONE, Some("AWS-202601")),
            bill("google", "2026-01-01", ONE, None),
            bill("datadog", "2026-02-01", ONE, Some("DATADOG-202602")),
            bill("aws", "2026-03-01", ONE, Some("AWS-202603")),
        ];
        let told = invoices(&bills, day("2026-03-15"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].total.as_str(), told[0].issue_date), ("1.00", day("2026-02-04")));
        assert_eq!(told[0].item, None);
        // A month later the one that was late is there.
        let later = invoices(&bills, day("2026-04-15"));
        let datadog = later.iter().find(|invoice| invoice.invoice_id == "DATADOG-202602").unwrap();
        assert_eq!((datadog.total.as_str(), datadog.item.as_ref().unwrap().amount.as_str()), ("1201.00", "-1200.00"));
    }

    #[test]
    fn months_that_are_restated_still_stay_open() {
        let closed = closed_months(day("2025-03-01"), day("2026-03-01"));
        assert_eq!((closed.len(), closed.last()), (10, Some(&day("2025-12-01"))));
        let rates = rates(day("2025-03-01"), day("2026-03-01"));
        assert_eq!(rates.len(), 13);
        assert!(rates.iter().all(|rate| rate.rate.starts_with("0.8") || rate.rate.starts_with("0.9")));
    }
}
