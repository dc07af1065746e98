//! What people change about rates: each in one transaction under the ledger's lock, with its line in the audit log.

use super::Person;
use super::close_month::keep_late_rates;
use crate::focus::{BillingPeriod, Decimal, is_iso_currency};
use crate::normalize::{self, ReferenceRatesError};
use crate::sources::{self, ArchiveError};
use crate::store::rates::{self, EnteredRate, ImportedRates};
use crate::store::{audit, locks, month_closing};
use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::Sign;
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgPool, Postgres, Transaction};

/// A file of rates, unpacked. The whole history has less than 2 MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Longer reasons are refused.
const REASON_CHARS_MAX: usize = 1000;
/// Digits of an entered rate at most.
const RATE_DIGITS_MAX: u64 = 40;

/// Why a change of rates was not made.
#[derive(Debug, thiserror::Error)]
pub enum RateError {
    /// Not a month.
    #[error("{0:?} is not a month like 2026-10.")]
    Month(String),
    /// Not a currency that reports can be in.
    #[error("{0:?} is not a currency code of ISO 4217 like EUR.")]
    Currency(String),
    /// Not a rate.
    #[error("The rate {0:?} is not a number above zero, without exponent, like 0.92017.")]
    Rate(String),
    /// A rate stands before the market's, so somebody must be able to see why.
    #[error("Say why this rate is used: a reason of at most 1,000 characters.")]
    Reason,
    /// There is nothing to convert into.
    #[error("Set a reporting currency first: a rate leads from the currency of bills to it.")]
    NoReportingCurrency,
    /// One of a currency into itself.
    #[error("{0} is the reporting currency itself: it needs no rate.")]
    SameCurrency(String),
    /// Its rates are frozen.
    #[error("{} is closed, and its rates with it. Reopen the month to change them.", .0.label())]
    MonthClosed(BillingPeriod),
    /// There is none to remove.
    #[error("No rate was entered for {currency} in {}.", month.label())]
    NotEntered {
        /// The month.
        month: BillingPeriod,
        /// The currency of bills.
        currency: String,
    },
    /// The file holds no rates.
    #[error(transparent)]
    File(#[from] ReferenceRatesError),
    /// The file cannot be opened.
    // The sentence holds the archive's own: as a source it would be said twice.
    #[error("The file holds no rates that can be read: {0}.")]
    Archive(ArchiveError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<ArchiveError> for RateError {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

// An earlier version kept no rates behind what is booked to closed months: they are kept before one changes.
async fn begin(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut transaction = pool.begin().await?;
    locks::lock_ledger(&mut transaction).await?;
    keep_late_rates(&mut transaction).await?;
    Ok(transaction)
}

/// Sets the currency that figures are also shown in; an empty text takes it away. Gives the one before.
pub async fn set_reporting_currency(
    pool: &PgPool,
    currency: &str,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<Option<String>, RateError> {
    let currency = currency.trim().to_ascii_uppercase();
    if !currency.is_empty() && !is_iso_currency(&currency) {
        return Err(RateError::Currency(currency));
    }
    let currency = Some(currency).filter(|currency| !currency.is_empty());
    let mut transaction = begin(pool).await?;
    let before = rates::set_reporting_currency(&mut transaction, currency.as_deref(), by.login, now).await?;
    if before != currency {
        let details = json!({ "before": before, "after": currency });
        let (action, subject) = ("reporting_currency.changed", currency.as_deref().unwrap_or("none"));
        audit::insert(&mut transaction, now, by.login, by.address, action, subject, details).await?;
        keep_late_rates(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(before)
}

/// Enters the rate of a month and a currency of bills into the reporting currency: it stands before the market's.
pub async fn enter(
    pool: &PgPool,
    month: &str,
    billing_currency: &str,
    rate: &str,
    reason: &str,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<(), RateError> {
    let (month, billing_currency) = (month_of(month)?, currency_of(billing_currency)?);
    let rate = rate_of(rate)?;
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX || reason.contains('\0') {
        return Err(RateError::Reason);
    }
    let mut transaction = begin(pool).await?;
    let reporting_currency =
        rates::reporting_currency(&mut *transaction).await?.ok_or(RateError::NoReportingCurrency)?;
    if let Some(closing) = month_closing::current(&mut transaction, month).await? {
        let of = (closing.closing_id, &billing_currency, &reporting_currency);
        if month_closing::keeps_rate(&mut transaction, of.0, of.1, of.2).await? {
            return Err(RateError::MonthClosed(month));
        }
    }
    if billing_currency == reporting_currency {
        return Err(RateError::SameCurrency(billing_currency));
    }
    let entered = EnteredRate {
        month: month.first_day(),
        billing_currency,
        reporting_currency,
        rate,
        reason: reason.to_owned(),
        entered_at: now,
        entered_by: by.login.to_owned(),
    };
    let before = rates::enter(&mut transaction, &entered).await?;
    keep_late_rates(&mut transaction).await?;
    let subject = format!("{} to {} in {month}", entered.billing_currency, entered.reporting_currency);
    let details = json!({
        "before": before.map(|rate| rate.to_plain_string()),
        "after": entered.rate.to_plain_string(),
        "reason": entered.reason,
    });
    audit::insert(&mut transaction, now, by.login, by.address, "rate.entered", &subject, details).await?;
    Ok(transaction.commit().await?)
}

/// Takes an entered rate away, so that the market's counts again.
pub async fn remove(
    pool: &PgPool,
    month: &str,
    billing_currency: &str,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<(), RateError> {
    let (month, currency) = (month_of(month)?, currency_of(billing_currency)?);
    let mut transaction = begin(pool).await?;
    let reporting_currency = open_reporting(&mut transaction, month).await?;
    let removed = rates::remove(&mut transaction, month.first_day(), &currency, &reporting_currency).await?;
    let Some(rate) = removed else { return Err(RateError::NotEntered { month, currency }) };
    let subject = format!("{currency} to {reporting_currency} in {month}");
    let details = json!({ "before": rate.to_plain_string() });
    audit::insert(&mut transaction, now, by.login, by.address, "rate.removed", &subject, details).await?;
    Ok(transaction.commit().await?)
}

/// Takes in a file of reference rates, packed or not: all of it or nothing, but for the rates of closed months.
pub async fn import(
    pool: &PgPool,
    file_name: &str,
    bytes: Vec<u8>,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<ImportedRates, RateError> {
    let reading = tokio::task::spawn_blocking(move || -> Result<_, RateError> {
        let content = sources::unpacked(bytes, FILE_BYTES_MAX)?;
        Ok(normalize::reference_rates(&content)?)
    });
    let read = reading.await.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))??;
    let mut transaction = begin(pool).await?;
    let imported = rates::import_market(&mut transaction, &read).await?;
    keep_late_rates(&mut transaction).await?;
    let (first, last) = (read.first().map(|rate| rate.day), read.last().map(|rate| rate.day));
    let details = json!({ "file": file_name, "first_day": first, "last_day": last, "rates": imported });
    audit::insert(&mut transaction, now, by.login, by.address, "rates.imported", "reference rates", details).await?;
    transaction.commit().await?;
    Ok(imported)
}

async fn open_reporting(
    transaction: &mut Transaction<'_, Postgres>,
    month: BillingPeriod,
) -> Result<String, RateError> {
    if month_closing::current(&mut *transaction, month).await?.is_some() {
        return Err(RateError::MonthClosed(month));
    }
    rates::reporting_currency(&mut **transaction).await?.ok_or(RateError::NoReportingCurrency)
}

fn month_of(text: &str) -> Result<BillingPeriod, RateError> {
    let month: BillingPeriod = text.trim().parse().map_err(|_| RateError::Month(text.to_owned()))?;
    let (first, last) = BillingPeriod::supported();
    if (first..=last).contains(&month) { Ok(month) } else { Err(RateError::Month(text.to_owned())) }
}

// Bills may be in a provider's own currency: any short word that a bill can have.
fn currency_of(text: &str) -> Result<String, RateError> {
    let text = text.trim();
    let fits = !text.is_empty() && text.len() <= 40 && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(RateError::Currency(text.chars().take(80).collect())) }
}

fn rate_of(text: &str) -> Result<BigDecimal, RateError> {
    let wrong = || RateError::Rate(text.chars().take(80).collect());
    // 1e3 in the place of 1.3 would make figures a thousand times as large.
    if text.contains(['e', 'E']) {
        return Err(wrong());
    }
    let rate = Decimal::parse(text.trim()).map_err(|_| wrong())?.to_big_decimal().normalized();
    let is_bounded = rate.digits() <= RATE_DIGITS_MAX && rate.fractional_digit_count().abs() <= RATE_DIGITS_MAX as i64;
    if rate.sign() == Sign::Plus && is_bounded { Ok(rate) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_above_zero() {
        assert_eq!(rate_of(" 0.920 ").unwrap().to_plain_string(), "0.92");
        for wrong in ["", "0", "-1", "1,5", "1e99", "1e3", "1E-1", "NaN"] {
            assert!(rate_of(wrong).is_err(), "{wrong}");
        }
        assert!(month_of("2026-10").is_ok() && month_of("9999-01").is_err() && month_of("Oct").is_err());
        assert!(currency_of("DBU").is_ok() && currency_of(" ").is_err());
    }
}
