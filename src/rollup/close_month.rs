//! Closing and reopening a billing month: its figures and rates stay as they are, and what arrives late is booked to
//! the first open month after it.

use super::publish::{Person, announce};
use crate::focus::BillingPeriod;
use crate::store::month_closing::{self, Closing};
use crate::store::{Pools, audit, locks, rates};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use sqlx::PgConnection;

/// Longer reasons are refused.
const REASON_CHARS_MAX: usize = 1000;

/// Why a month was not closed or reopened.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Everybody must be able to see why.
    #[error("Say why: a reason of at most 1,000 characters.")]
    Reason,
    /// Its bills cannot be complete.
    #[error("{} is not over yet: it can be closed from {} on.", .0.label(), .0.next().first_day().format("%-d %b %Y"))]
    NotOver(BillingPeriod),
    /// There is nothing to close.
    #[error("No current bill is for {}: there is nothing to close.", .0.label())]
    NoBills(BillingPeriod),
    /// It is.
    #[error("{} is closed already.", .0.label())]
    AlreadyClosed(BillingPeriod),
    /// It is not.
    #[error("{} is not closed.", .0.label())]
    NotClosed(BillingPeriod),
    /// Closed figures elsewhere rest on it.
    #[error(
        "What arrived late for {} is booked in {}, which is closed too. Reopen that first.",
        .month.label(),
        labels(.holders)
    )]
    BookedInClosed {
        /// The month.
        month: BillingPeriod,
        /// First days of the closed months that hold its adjustments.
        holders: Vec<NaiveDate>,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

fn labels(months: &[NaiveDate]) -> String {
    let labels: Vec<String> = months.iter().map(|month| BillingPeriod::containing(*month).label()).collect();
    labels.join(" and ")
}

/// Why a month cannot be closed on this day; `None` where it can.
pub async fn close_obstacle(
    conn: &mut PgConnection,
    month: BillingPeriod,
    today: NaiveDate,
) -> sqlx::Result<Option<CloseError>> {
    if month.next().first_day() > today {
        return Ok(Some(CloseError::NotOver(month)));
    }
    if month_closing::current(&mut *conn, month).await?.is_some() {
        return Ok(Some(CloseError::AlreadyClosed(month)));
    }
    let has_bills = month_closing::has_bills(conn, month).await?;
    Ok((!has_bills).then_some(CloseError::NoBills(month)))
}

/// Why a month cannot be reopened; `None` where it can.
pub async fn reopen_obstacle(conn: &mut PgConnection, month: BillingPeriod) -> sqlx::Result<Option<CloseError>> {
    let Some(closing) = month_closing::current(&mut *conn, month).await? else {
        return Ok(Some(CloseError::NotClosed(month)));
    };
    let holders = month_closing::closed_months_with_adjustments(conn, closing.closing_id).await?;
    Ok((!holders.is_empty()).then_some(CloseError::BookedInClosed { month, holders }))
}

/// Closes a month that is over with the figures and rates that it has now.
pub async fn close(
    pools: &Pools,
    month: BillingPeriod,
    reason: &str,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<(), CloseError> {
    let reason = checked(reason)?;
    let mut transaction = pools.jobs.begin().await?;
    locks::lock_ledger(&mut transaction).await?;
    if let Some(obstacle) = close_obstacle(&mut transaction, month, now.date_naive()).await? {
        return Err(obstacle);
    }
    let closing_id = month_closing::close(&mut transaction, month, reason, by.login, now).await?;
    // Also those behind what is booked to it: it is converted by the rate of the month that it arrived too late for.
    keep_late_rates(&mut transaction).await?;
    announce(&mut transaction, "close", None, by.login, now).await?;
    let details = json!({ "reason": reason, "closing_id": closing_id });
    audit::insert(&mut transaction, now, by.login, by.address, "month.closed", &month.to_string(), details).await?;
    Ok(transaction.commit().await?)
}

/// Keeps the rates into the reporting currency that a closed month has: from then on they do not change. Those that are
/// kept already stay.
async fn keep_rates(conn: &mut PgConnection, closing_id: i64, month: BillingPeriod) -> sqlx::Result<()> {
    let Some(rates) = rates::reporting(&mut *conn, month, month).await? else { return Ok(()) };
    for currency in month_closing::currencies(&mut *conn, closing_id).await? {
        if let Some(rate) = rates.get(month, &currency) {
            let into = rates.reporting_currency();
            month_closing::keep_rate(&mut *conn, closing_id, &currency, into, &rate.value).await?;
        }
    }
    Ok(())
}

/// Keeps the rates that figures of closed months rest on and that are not kept yet. Some come after the closing: a month
/// that was closed without one can have one later, once. The caller holds the ledger's lock.
pub(super) async fn keep_late_rates(conn: &mut PgConnection) -> sqlx::Result<()> {
    for closing in month_closing::closed(&mut *conn).await? {
        keep_rates(&mut *conn, closing.closing_id, BillingPeriod::containing(closing.month)).await?;
    }
    Ok(())
}

/// Opens a closed month again: it shows its bills as they are now, and what was booked elsewhere for it counts there
/// no longer.
pub async fn reopen(
    pools: &Pools,
    month: BillingPeriod,
    reason: &str,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<(), CloseError> {
    let reason = checked(reason)?;
    let mut transaction = pools.jobs.begin().await?;
    locks::lock_ledger(&mut transaction).await?;
    if let Some(obstacle) = reopen_obstacle(&mut transaction, month).await? {
        return Err(obstacle);
    }
    let Some(Closing { closing_id, .. }) = month_closing::current(&mut transaction, month).await? else {
        return Err(CloseError::NotClosed(month));
    };
    month_closing::reopen(&mut transaction, closing_id, reason, by.login, now).await?;
    announce(&mut transaction, "reopen", None, by.login, now).await?;
    let details = json!({ "reason": reason, "closing_id": closing_id });
    audit::insert(&mut transaction, now, by.login, by.address, "month.reopened", &month.to_string(), details).await?;
    Ok(transaction.commit().await?)
}

fn checked(reason: &str) -> Result<&str, CloseError> {
    let reason = reason.trim();
    let fits = !reason.is_empty() && reason.chars().count() <= REASON_CHARS_MAX && !reason.contains('\0');
    if fits { Ok(reason) } else { Err(CloseError::Reason) }
}
