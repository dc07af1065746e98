//! What people record about invoices: each in one transaction with its line in the audit log.

use super::{Person, invoice_items};
use crate::focus::{BillingPeriod, Decimal, is_iso_currency};
use crate::normalize::{self, InvoiceTotal, InvoicesError};
use crate::sources::{self, ArchiveError};
use crate::store::invoices::{self, StoredInvoices};
use crate::store::{audit, billed_names};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

/// A list of invoices, unpacked.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Longer values are no names of invoices.
const TEXT_BYTES_MAX: usize = 500;

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum InvoiceError {
    /// A field of the form.
    #[error("{0}")]
    Field(String),
    /// It was removed already, or never was.
    #[error("There is no recorded total of this invoice.")]
    NotRecorded,
    /// It was taken back already, or never was.
    #[error("There is no such item of this invoice.")]
    NoItem,
    /// The file holds no totals.
    #[error(transparent)]
    File(#[from] InvoicesError),
    /// The file cannot be opened.
    // The sentence holds the archive's own: as a source it would be said twice.
    #[error("The file holds no invoices that can be read: {0}.")]
    Archive(ArchiveError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<ArchiveError> for InvoiceError {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

/// An invoice as a form has it.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InvoiceForm {
    /// FOCUS InvoiceId.
    pub invoice_id: String,
    /// FOCUS InvoiceIssuerName; may be empty.
    pub issuer: String,
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// What it totals.
    pub total: String,
    /// `2026-10`; may be empty.
    pub month: String,
    /// `2026-11-03`; may be empty.
    pub issue_date: String,
    /// `2026-12-03`; may be empty.
    pub due_date: String,
}

impl InvoiceForm {
    fn read(&self) -> Result<InvoiceTotal, InvoiceError> {
        let field = |text: String| InvoiceError::Field(text);
        let name = |label: &str, text: &str, is_needed: bool| {
            let text = text.trim();
            let fits = text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
            if fits && !(is_needed && text.is_empty()) {
                Ok(text.to_owned())
            } else {
                Err(field(format!("{label} is needed and has at most 500 bytes.")))
            }
        };
        let (first, last) = BillingPeriod::supported();
        let day = |label: &str, text: &str| -> Result<Option<NaiveDate>, InvoiceError> {
            if text.trim().is_empty() {
                return Ok(None);
            }
            let day: Option<NaiveDate> = text.trim().parse().ok();
            let day = day.filter(|day| (first.first_day()..last.next().first_day()).contains(day));
            day.map(Some).ok_or_else(|| field(format!("{label} {text:?} is not a day like 2026-11-03.")))
        };
        let month = match self.month.trim() {
            "" => None,
            text => Some(
                text.parse::<BillingPeriod>()
                    .ok()
                    .filter(|month| (first..=last).contains(month))
                    .ok_or_else(|| field(format!("The billing month {text:?} is not a month like 2026-10.")))?,
            ),
        };
        let total = Decimal::parse(self.total.trim())
            .map_err(|error| field(format!("The total {:?} {error}.", self.total.trim())))?
            .to_big_decimal();
        Ok(InvoiceTotal {
            invoice_id: name("The InvoiceId", &self.invoice_id, true)?,
            invoice_issuer_name: name("The issuer", &self.issuer, false)?,
            billing_currency: name("The currency", &self.currency, true)?,
            billed_cost: total,
            month,
            issue_date: day("The issue date", &self.issue_date)?,
            due_date: day("The due date", &self.due_date)?,
            issue_status: "Issued".into(),
            detail_count: None,
        })
    }
}

/// Records what an invoice totals, in place of what was recorded before.
pub async fn enter(pool: &PgPool, form: &InvoiceForm, by: Person<'_>, now: DateTime<Utc>) -> Result<(), InvoiceError> {
    let total = form.read()?;
    let mut transaction = pool.begin().await?;
    known_currency(&mut transaction, &total.billing_currency).await?;
    let stored = invoices::store(&mut transaction, std::slice::from_ref(&total), "entered", by.login, now).await?;
    let details = json!({
        "issuer": total.invoice_issuer_name,
        "billing_currency": total.billing_currency,
        "BilledCost": total.billed_cost.to_plain_string(),
        "replaced": stored.replaced == 1,
        "issuer_was_missing": stored.named == 1,
    });
    audit::insert(&mut transaction, now, by.login, by.address, "invoice.entered", &total.invoice_id, details).await?;
    Ok(transaction.commit().await?)
}

// Bills may be in a provider's own currency, such as units of compute; what neither is there nor of ISO 4217 is mistyped.
async fn known_currency(conn: &mut PgConnection, currency: &str) -> Result<(), InvoiceError> {
    if is_iso_currency(currency) || billed_names::read(conn).await?.currencies.contains(currency) {
        return Ok(());
    }
    let short: String = currency.chars().take(40).collect();
    Err(InvoiceError::Field(format!(
        "The currency “{short}” is no currency code of ISO 4217 like EUR, and no bill is in it."
    )))
}

/// Takes a recorded total away, and with it the items that explain what it differs by.
pub async fn remove(pool: &PgPool, invoice_key: i64, by: Person<'_>, now: DateTime<Utc>) -> Result<(), InvoiceError> {
    let mut transaction = pool.begin().await?;
    invoice_items::take_back(&mut transaction, invoice_key, None, by, now).await?;
    let removed = invoices::remove(&mut *transaction, invoice_key).await?.ok_or(InvoiceError::NotRecorded)?;
    let details = json!({
        "issuer": removed.invoice_issuer_name,
        "billing_currency": removed.billing_currency,
        "BilledCost": removed.billed_cost.to_plain_string(),
    });
    audit::insert(&mut transaction, now, by.login, by.address, "invoice.removed", &removed.invoice_id, details).await?;
    Ok(transaction.commit().await?)
}

/// What became of a file of invoices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportedInvoices {
    /// Totals that were not known.
    pub new: u64,
    /// Totals that replaced others.
    pub replaced: u64,
    /// Of these, totals that took the place of one without an issuer.
    pub named: u64,
}

impl std::fmt::Display for ImportedInvoices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} new invoices, {} replaced", self.new, self.replaced)?;
        match self.named {
            0 => write!(f, "."),
            named => write!(f, ", {named} of them recorded without an issuer before."),
        }
    }
}

/// Takes in a file of totals, packed or not: FOCUS 1.4 InvoiceDetail, or a row an invoice. All of it or nothing.
pub async fn import(
    pool: &PgPool,
    file_name: &str,
    bytes: Vec<u8>,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<ImportedInvoices, InvoiceError> {
    let reading = tokio::task::spawn_blocking(move || -> Result<_, InvoiceError> {
        let content = sources::unpacked(bytes, FILE_BYTES_MAX)?;
        Ok(normalize::invoices(&content)?)
    });
    let totals = reading.await.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))??;
    let origin = if totals.iter().any(|total| total.detail_count.is_some()) { "invoice detail" } else { "imported" };
    let mut transaction = pool.begin().await?;
    let StoredInvoices { new, replaced, named } =
        invoices::store(&mut transaction, &totals, origin, by.login, now).await?;
    let details =
        json!({ "file": file_name, "origin": origin, "new": new, "replaced": replaced, "issuer_was_missing": named });
    audit::insert(&mut transaction, now, by.login, by.address, "invoices.imported", "invoices", details).await?;
    transaction.commit().await?;
    Ok(ImportedInvoices { new, replaced, named })
}
