//! The reporting currency and the dated rates into it.
//!
//! A billing month has one rate a currency: the one that was entered for it, else that of the last day of the month
//! on which the market's reference rates name both currencies. While a month is closed, nothing of this can change.

use super::limits;
use crate::focus::{BillingPeriod, Rate, RateOrigin, Rates, cross_rate};
use crate::normalize::ReferenceRate;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgExecutor};

/// More months than any ledger has.
const RATE_COUNT_MAX: i64 = 100_000;

/// The currency that figures are also shown in, where one is set.
pub async fn reporting_currency(db: impl PgExecutor<'_>) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT currency FROM reporting_currency").fetch_optional(db).await
}

/// Sets the reporting currency, or takes it away. Gives what it was.
pub async fn set_reporting_currency(
    conn: &mut PgConnection,
    currency: Option<&str>,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<String>> {
    let before = reporting_currency(&mut *conn).await?;
    sqlx::query!("DELETE FROM reporting_currency").execute(&mut *conn).await?;
    if let Some(currency) = currency {
        sqlx::query!(
            "INSERT INTO reporting_currency (currency, changed_at, changed_by) VALUES ($1, $2, $3)",
            currency,
            now,
            by
        )
        .execute(conn)
        .await?;
    }
    Ok(before)
}

/// The rates of the months `first` to `last`, both included, into the reporting currency; `None` where none is set.
pub async fn reporting(
    conn: &mut PgConnection,
    first: BillingPeriod,
    last: BillingPeriod,
) -> sqlx::Result<Option<Rates>> {
    match reporting_currency(&mut *conn).await? {
        Some(currency) => Ok(Some(into(conn, &currency, first, last).await?)),
        None => Ok(None),
    }
}

/// The rates of these months into a currency.
pub async fn into(
    conn: &mut PgConnection,
    reporting_currency: &str,
    first: BillingPeriod,
    last: BillingPeriod,
) -> sqlx::Result<Rates> {
    let (start, end) = (first.first_day(), last.next().first_day());
    let mut rates = Rates::into_currency(reporting_currency);
    let market = sqlx::query!(
        r#"SELECT DISTINCT ON (1, b.currency) date_trunc('month', b.rate_date::timestamp)::date AS "month!",
                  b.currency, b.rate_date, b.units_per_euro, r.units_per_euro AS reporting_per_euro
           FROM market_rate b JOIN market_rate r ON r.rate_date = b.rate_date AND r.currency = $1
           WHERE b.rate_date >= $2 AND b.rate_date < $3 AND b.currency <> $1
           ORDER BY 1, b.currency, b.rate_date DESC LIMIT $4"#,
        reporting_currency,
        start,
        end,
        RATE_COUNT_MAX + 1,
    )
    .fetch_all(&mut *conn)
    .await?;
    let market = limits::within(market, RATE_COUNT_MAX, "rates of months")?;
    for row in market {
        let value = cross_rate(&row.units_per_euro.normalized(), &row.reporting_per_euro.normalized());
        let origin = RateOrigin::Market(row.rate_date);
        rates.add(BillingPeriod::containing(row.month), &row.currency, Rate { value, origin });
    }
    for row in entered(conn, reporting_currency, first, last).await? {
        let rate = Rate { value: row.rate, origin: RateOrigin::Entered };
        rates.add(BillingPeriod::containing(row.month), &row.billing_currency, rate);
    }
    Ok(rates)
}

/// A rate that someone entered.
#[derive(Debug, Clone)]
pub struct EnteredRate {
    /// First day of the billing month.
    pub month: NaiveDate,
    /// The currency of the bills.
    pub billing_currency: String,
    /// The currency that it leads to.
    pub reporting_currency: String,
    /// Units of the reporting currency for one of the billing currency.
    pub rate: BigDecimal,
    /// Why it stands before the market's.
    pub reason: String,
    /// When it was entered.
    pub entered_at: DateTime<Utc>,
    /// By whom.
    pub entered_by: String,
}

impl EnteredRate {
    /// The billing month.
    pub fn billing_month(&self) -> BillingPeriod {
        BillingPeriod::containing(self.month)
    }
}

/// The entered rates of months into a currency, newest month first.
pub async fn entered(
    conn: &mut PgConnection,
    reporting_currency: &str,
    first: BillingPeriod,
    last: BillingPeriod,
) -> sqlx::Result<Vec<EnteredRate>> {
    let rows = sqlx::query_as!(
        EnteredRate,
        "SELECT month, billing_currency, reporting_currency, rate, reason, entered_at, entered_by
         FROM entered_rate WHERE reporting_currency = $1 AND month >= $2 AND month <= $3
         ORDER BY month DESC, billing_currency LIMIT $4",
        reporting_currency,
        first.first_day(),
        last.first_day(),
        RATE_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, RATE_COUNT_MAX, "entered rates of months")
}

/// The entered rates by which no bill is converted: their month has none in that currency, newest month first.
pub async fn entered_for_nothing(conn: &mut PgConnection, reporting_currency: &str) -> sqlx::Result<Vec<EnteredRate>> {
    let rows = sqlx::query_as!(
        EnteredRate,
        "SELECT month, billing_currency, reporting_currency, rate, reason, entered_at, entered_by
         FROM entered_rate e
         WHERE reporting_currency = $1
           AND NOT EXISTS (SELECT FROM statement_cost s
                           WHERE s.month = e.month AND s.billing_currency = e.billing_currency)
         ORDER BY month DESC, billing_currency LIMIT $2",
        reporting_currency,
        RATE_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, RATE_COUNT_MAX, "entered rates of months")
}

/// Enters a rate in place of an earlier one. Gives the earlier. The caller holds the ledger's lock and has seen that
/// the month is open.
pub async fn enter(conn: &mut PgConnection, rate: &EnteredRate) -> sqlx::Result<Option<BigDecimal>> {
    let before = remove(conn, rate.month, &rate.billing_currency, &rate.reporting_currency).await?;
    sqlx::query!(
        "INSERT INTO entered_rate
             (month, billing_currency, reporting_currency, rate, reason, entered_at, entered_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        rate.month,
        rate.billing_currency,
        rate.reporting_currency,
        rate.rate,
        rate.reason,
        rate.entered_at,
        rate.entered_by
    )
    .execute(conn)
    .await?;
    Ok(before)
}

/// Takes an entered rate away: the market's counts again. Gives what it was.
pub async fn remove(
    conn: &mut PgConnection,
    month: NaiveDate,
    billing_currency: &str,
    reporting_currency: &str,
) -> sqlx::Result<Option<BigDecimal>> {
    sqlx::query_scalar!(
        "DELETE FROM entered_rate WHERE month = $1 AND billing_currency = $2 AND reporting_currency = $3
         RETURNING rate",
        month,
        billing_currency,
        reporting_currency
    )
    .fetch_optional(conn)
    .await
}

/// What became of a file of reference rates.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ImportedRates {
    /// Rates of days that had none.
    pub new: i64,
    /// Rates that replaced others.
    pub changed: i64,
    /// Rates that were there already.
    pub unchanged: i64,
    /// Rates of closed months, which stay as they are.
    pub of_closed_months: i64,
}

/// "120 new rates, 3 changed, 40 known already; 22 of closed months were left as they are."
impl std::fmt::Display for ImportedRates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { new, changed, unchanged, of_closed_months } = self;
        write!(f, "{new} new rates, {changed} changed, {unchanged} known already")?;
        match of_closed_months {
            0 => write!(f, "."),
            count => write!(f, "; {count} of closed months were left as they are."),
        }
    }
}

/// Stores reference rates. Those that kept rates of closed months come from are counted and left out. The caller holds the
/// ledger's lock.
pub async fn import_market(conn: &mut PgConnection, rates: &[ReferenceRate]) -> sqlx::Result<ImportedRates> {
    let mut days: Vec<NaiveDate> = rates.iter().map(|rate| rate.day).collect();
    let currencies: Vec<String> = rates.iter().map(|rate| rate.currency.clone()).collect();
    let values: Vec<BigDecimal> = rates.iter().map(|rate| rate.units_per_euro.clone()).collect();
    let row = sqlx::query!(
        r#"WITH given AS (
               SELECT * FROM unnest($1::date[], $2::text[], $3::numeric[]) AS g (rate_date, currency, units_per_euro)
           ), sorted AS (
               SELECT given.*, known.units_per_euro AS known,
                      EXISTS (SELECT FROM month_closing k JOIN closed_rate r USING (closing_id)
                              WHERE k.reopened_at IS NULL AND given.currency IN (r.billing_currency, r.reporting_currency)
                                AND k.month = date_trunc('month', given.rate_date::timestamp)::date) AS is_closed
               FROM given LEFT JOIN market_rate known USING (rate_date, currency)
           ), stored AS (
               INSERT INTO market_rate (rate_date, currency, units_per_euro)
               SELECT rate_date, currency, units_per_euro FROM sorted
               WHERE NOT is_closed AND known IS DISTINCT FROM units_per_euro
               ON CONFLICT (currency, rate_date) DO UPDATE SET units_per_euro = excluded.units_per_euro
           )
           SELECT count(*) FILTER (WHERE NOT is_closed AND known IS NULL) AS "new!",
                  count(*) FILTER (WHERE NOT is_closed AND known <> units_per_euro) AS "changed!",
                  count(*) FILTER (WHERE known = units_per_euro) AS "unchanged!",
                  count(*) FILTER (WHERE is_closed AND known IS DISTINCT FROM units_per_euro) AS "of_closed_months!"
           FROM sorted"#,
        &days,
        &currencies,
        &values
    )
    .fetch_one(&mut *conn)
    .await?;
    days.dedup();
    // The euro itself, so that it stands on both sides of a rate like any other currency.
    sqlx::query!(
        "INSERT INTO market_rate (rate_date, currency, units_per_euro)
         SELECT DISTINCT day, 'EUR', 1 FROM unnest($1::date[]) AS day
         WHERE EXISTS (SELECT FROM market_rate m WHERE m.rate_date = day)
         ON CONFLICT (currency, rate_date) DO NOTHING",
        &days
    )
    .execute(conn)
    .await?;
    Ok(ImportedRates {
        new: row.new,
        changed: row.changed,
        unchanged: row.unchanged,
        of_closed_months: row.of_closed_months,
    })
}

/// How far the stored reference rates reach.
#[derive(Debug, Clone)]
pub struct MarketReach {
    /// Days with rates.
    pub day_count: i64,
    /// The first of them.
    pub first_day: NaiveDate,
    /// The last of them.
    pub last_day: NaiveDate,
}

/// How far the stored reference rates reach; `None` before the first import.
pub async fn market_reach(conn: &mut PgConnection) -> sqlx::Result<Option<MarketReach>> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "day_count!", min(rate_date) AS first_day, max(rate_date) AS last_day
           FROM market_rate WHERE currency = 'EUR'"#
    )
    .fetch_one(conn)
    .await?;
    Ok(row.first_day.zip(row.last_day).map(|(first_day, last_day)| MarketReach {
        day_count: row.day_count,
        first_day,
        last_day,
    }))
}

/// A billing month and a currency that some current bill has: what a rate is needed for. Says nothing of money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededRate {
    /// First day of the month.
    pub month: NaiveDate,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Whether the month is closed.
    pub is_closed: bool,
}

/// Months and currencies of the bills, newest first.
pub async fn needed(conn: &mut PgConnection) -> sqlx::Result<Vec<NeededRate>> {
    let rows = sqlx::query_as!(
        NeededRate,
        r#"SELECT DISTINCT s.month AS "month!", s.billing_currency AS "billing_currency!",
                  EXISTS (SELECT FROM month_closing k WHERE k.reopened_at IS NULL AND k.month = s.month)
                      AS "is_closed!"
           FROM statement_cost s ORDER BY 1 DESC, 2 LIMIT $1"#,
        RATE_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, RATE_COUNT_MAX, "months of bills in currencies")
}
