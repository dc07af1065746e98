//! Items that explain what an invoice and its lines differ by: each in one transaction with its line in the audit log.

use super::Person;
use super::invoices::InvoiceError;
use crate::focus::Decimal;
use crate::store::audit;
use crate::store::invoice_items::{self, InvoiceItem, RecordedInvoice};
use bigdecimal::{BigDecimal, Zero};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

/// Longer reasons are refused.
const REASON_CHARS_MAX: usize = 1000;

/// An item as a form has it.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ItemForm {
    /// Signed as the difference is, in the invoice's currency.
    pub amount: String,
    /// What it is.
    pub reason: String,
}

impl ItemForm {
    fn read(&self) -> Result<(BigDecimal, &str), InvoiceError> {
        let field = |text: String| InvoiceError::Field(text);
        // As pages write it.
        let text = self.amount.trim().replace('\u{2212}', "-");
        let amount = Decimal::parse(&text)
            .map_err(|error| field(format!("The amount {:?} {error}.", self.amount.trim())))?
            .to_big_decimal();
        if amount.is_zero() {
            return Err(field("An item of nothing explains nothing: give an amount.".into()));
        }
        let reason = self.reason.trim();
        if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX || reason.contains('\0') {
            return Err(field("Say what it is: a reason of at most 1,000 characters.".into()));
        }
        Ok((amount, reason))
    }
}

/// Adds an item to a recorded total.
pub async fn add(
    pool: &PgPool,
    invoice_key: i64,
    form: &ItemForm,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<(), InvoiceError> {
    let (amount, reason) = form.read()?;
    let mut transaction = pool.begin().await?;
    let invoice = invoice_items::recorded(&mut transaction, invoice_key).await?.ok_or(InvoiceError::NotRecorded)?;
    let item = invoice_items::add(&mut transaction, invoice_key, (&amount, reason), by.login, now).await?;
    let details = details(&invoice, item, &amount, reason);
    audit::insert(&mut transaction, now, by.login, by.address, "invoice.item_added", &invoice.invoice_id, details)
        .await?;
    Ok(transaction.commit().await?)
}

/// Takes an item back.
pub async fn remove(
    pool: &PgPool,
    invoice_key: i64,
    invoice_item_id: i64,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<(), InvoiceError> {
    let mut transaction = pool.begin().await?;
    if take_back(&mut transaction, invoice_key, Some(invoice_item_id), by, now).await?.is_empty() {
        return Err(InvoiceError::NoItem);
    }
    Ok(transaction.commit().await?)
}

/// Takes one item of a total back, or all, in the transaction of the caller.
pub(super) async fn take_back(
    conn: &mut PgConnection,
    invoice_key: i64,
    invoice_item_id: Option<i64>,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<InvoiceItem>, InvoiceError> {
    let invoice = invoice_items::recorded(&mut *conn, invoice_key).await?.ok_or(InvoiceError::NotRecorded)?;
    let removed = invoice_items::remove(&mut *conn, invoice_key, invoice_item_id).await?;
    for item in &removed {
        let details = details(&invoice, item.invoice_item_id, &item.amount, &item.reason);
        audit::insert(conn, now, by.login, by.address, "invoice.item_removed", &invoice.invoice_id, details).await?;
    }
    Ok(removed)
}

// `costwake verify` reads `item` and `amount`.
fn details(invoice: &RecordedInvoice, item: i64, amount: &BigDecimal, reason: &str) -> serde_json::Value {
    json!({
        "item": item,
        "issuer": invoice.invoice_issuer_name,
        "billing_currency": invoice.billing_currency,
        "amount": amount.normalized().to_plain_string(),
        "reason": reason,
    })
}
