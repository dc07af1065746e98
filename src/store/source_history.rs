//! How a source delivered so far: how long days take to arrive, what its files said beside what counts, and which
//! columns came and went.

use super::Scope;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgExecutor};

/// Ages of a day that are looked at, in days after it.
pub const AGE_DAYS_MAX: i32 = 14;
/// Charge days that are looked at.
const LOOK_BACK_DAYS: i32 = 60;
const TOTALS_MAX: i64 = 200;

/// How much of a charge day has arrived at an age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// Days after the charge day: 0 is the end of the day itself.
    pub age_days: i32,
    /// Share of the lines that are there now, in percent: of half of the days at least so much.
    pub median_percent: i32,
    /// Charge days that it was seen of.
    pub day_count: i64,
}

/// The lag curve of a source. Days of before its first delivery are history that came at once, and left out.
pub async fn lag_curve(conn: &mut PgConnection, source_id: i64, now: DateTime<Utc>) -> sqlx::Result<Vec<Arrived>> {
    sqlx::query_as!(
        Arrived,
        r#"WITH arrived AS (
             SELECT c.charge_date, sum(c.charge_count) AS lines, d.received_at, g.superseded_at
             FROM generation g JOIN delivery d USING (delivery_id) JOIN daily_cost c USING (generation_id)
             WHERE g.source_id = $1 AND g.state IN ('current', 'superseded')
               AND c.charge_date >= ($2 AT TIME ZONE 'UTC')::date - $3::integer
               AND c.charge_date < ($2 AT TIME ZONE 'UTC')::date
               AND c.charge_date >= (SELECT (min(f.received_at) AT TIME ZONE 'UTC')::date FROM delivery f
                                     WHERE f.source_id = $1 AND f.state NOT IN ('refused', 'failed'))
             GROUP BY g.generation_id, c.charge_date, d.received_at, g.superseded_at
         ), whole AS (
             SELECT charge_date, sum(lines) AS lines FROM arrived WHERE superseded_at IS NULL GROUP BY charge_date
         ), seen AS (
             SELECT age, w.charge_date, w.lines AS whole, coalesce(sum(a.lines) FILTER (
                 WHERE a.received_at < day_end AND (a.superseded_at IS NULL OR a.superseded_at >= day_end)), 0) AS lines
             FROM whole w CROSS JOIN generate_series(0, $4::integer) AS age
             CROSS JOIN LATERAL (SELECT (w.charge_date + age + 1)::timestamp AT TIME ZONE 'UTC' AS day_end) d
             LEFT JOIN arrived a ON a.charge_date = w.charge_date
             WHERE day_end <= $2
             GROUP BY age, w.charge_date, w.lines
         )
         SELECT age AS "age_days!", count(*) AS "day_count!",
            percentile_disc(0.5) WITHIN GROUP (ORDER BY least(100, round(100 * lines / whole))::integer)
                AS "median_percent!"
         FROM seen WHERE whole > 0 GROUP BY age ORDER BY age"#,
        source_id,
        now,
        LOOK_BACK_DAYS,
        AGE_DAYS_MAX,
    )
    .fetch_all(conn)
    .await
}

/// What a file said of a bill that counts, beside what counts.
#[derive(Debug, Clone)]
pub struct ControlTotal {
    /// The delivery.
    pub delivery_id: i64,
    /// FOCUS BillingAccountId.
    pub billing_account_id: String,
    /// FOCUS BillingPeriodStart.
    pub billing_period_start: NaiveDate,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Readable rows of the file.
    pub told_rows: i64,
    /// Rows that count.
    pub counted_rows: i64,
    /// BilledCost of the file.
    pub told_billed: BigDecimal,
    /// BilledCost that counts.
    pub counted_billed: BigDecimal,
    /// EffectiveCost of the file.
    pub told_effective: BigDecimal,
    /// EffectiveCost that counts.
    pub counted_effective: BigDecimal,
}

/// The control totals of a source's current bills, newest period first.
pub async fn control_totals(conn: &mut PgConnection, scope: &Scope, source_id: i64) -> sqlx::Result<Vec<ControlTotal>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        ControlTotal,
        r#"SELECT g.delivery_id, g.billing_account_id, g.billing_period_start, t.billing_currency,
            t.row_count AS told_rows, coalesce(m.rows, 0)::bigint AS "counted_rows!",
            t.billed_cost AS told_billed, coalesce(m.billed, 0) AS "counted_billed!",
            t.effective_cost AS told_effective, coalesce(m.effective, 0) AS "counted_effective!"
         FROM generation g
         JOIN delivery_total t ON t.delivery_id = g.delivery_id AND t.billing_account_id = g.billing_account_id
             AND t.billing_period_start = g.billing_period_start
         LEFT JOIN LATERAL (
             SELECT sum(charge_count) AS rows, sum(billed_cost) AS billed, sum(effective_cost) AS effective
             FROM monthly_cost c WHERE c.generation_id = g.generation_id AND c.billing_currency = t.billing_currency
         ) m ON true
         WHERE g.source_id = $1 AND g.state = 'current'
         ORDER BY g.billing_period_start DESC, g.billing_account_id, g.delivery_id DESC, t.billing_currency LIMIT $2"#,
        source_id,
        TOTALS_MAX,
    )
    .fetch_all(conn)
    .await
}

/// The columns of a delivery.
#[derive(Debug, Clone)]
pub struct Columns {
    /// The delivery.
    pub delivery_id: i64,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// Its columns under their FOCUS names.
    pub columns: Vec<String>,
    /// What tells its export from others of the source; empty where all of them are one.
    pub export: String,
    /// First day of the newest billing period that it holds.
    pub period: Option<NaiveDate>,
    /// Whether it counts, or did until a later one took its place. What waits, was refused or was taken back does not.
    pub counted: bool,
}

/// The columns of the last deliveries of a source, oldest first.
pub async fn columns(db: impl PgExecutor<'_>, source_id: i64, limit: i64) -> sqlx::Result<Vec<Columns>> {
    let mut rows = sqlx::query_as!(
        Columns,
        r#"SELECT delivery_id, received_at, columns,
             CASE WHEN EXISTS (SELECT FROM source_setting t
                               WHERE t.source_id = $1 AND t.restatement = 'append-by-object')
                  THEN '' ELSE append_object END AS "export!",
             (SELECT max(t.billing_period_start) FROM delivery_total t WHERE t.delivery_id = d.delivery_id) AS period,
             state IN ('published', 'superseded') AS "counted!"
         FROM delivery d
         WHERE source_id = $1 AND columns <> '{}' AND state NOT IN ('unchanged', 'failed')
         ORDER BY delivery_id DESC LIMIT $2"#,
        source_id,
        limit
    )
    .fetch_all(db)
    .await?;
    rows.reverse();
    Ok(rows)
}
