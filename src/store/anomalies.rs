//! Anomalies as the work in the background keeps them, and what people answer.

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;
use sqlx::PgConnection;

/// Rows that are read at most.
const ROW_COUNT_MAX: i64 = 1_000_000;
/// The longest reason, in characters.
pub const REASON_LENGTH_MAX: usize = 4000;

/// Whose an anomaly or a series is: a service in an environment, or one kind of cost of a team. 0 where there is none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The service; 0 for a team's.
    pub service_id: i64,
    /// The environment; 0 for cost without one and for a team's.
    pub environment_id: i64,
    /// The team; 0 for a service's.
    pub team_id: i64,
    /// FOCUS ServiceCategory; empty for all usage.
    pub service_category: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
}

/// An anomaly as far as the next look must know it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "columns of the table, described there")]
pub struct KeptAnomaly {
    pub anomaly_id: i64,
    pub subject: Subject,
    pub kind: String,
    pub state: String,
    pub close_reason: Option<String>,
    pub start_date: NaiveDate,
    pub end_date: NaiveDate,
    pub found_on: NaiveDate,
    pub planned_until: Option<NaiveDate>,
    /// Of the usual cost of a day: 0.3 is 30 % more.
    pub share: f64,
    /// Units of the currency, above or below what was expected.
    pub amount_per_day: f64,
    /// Of an idle environment: units of traffic a day up to which nobody uses it.
    pub no_use_units: Option<f64>,
    /// Of an idle environment: what a day cost before, in units of the currency.
    pub usual_cost: Option<f64>,
}

/// Anomalies that end on this day or later, and all that are not closed. No person reads this.
pub async fn kept(conn: &mut PgConnection, from: NaiveDate) -> sqlx::Result<Vec<KeptAnomaly>> {
    let rows = sqlx::query!(
        r#"SELECT anomaly_id, coalesce(service_id, 0) AS "service_id!", coalesce(environment_id, 0) AS "environment_id!",
                  coalesce(team_id, 0) AS "team_id!", service_category, billing_currency, kind, state, close_reason,
                  start_date, end_date, found_on, planned_until,
                  coalesce((evidence->>'share')::double precision, 0) AS "share!",
                  ((actual_total - expected_total) / day_count)::double precision AS "amount_per_day!",
                  (evidence->>'no_use_units')::double precision AS no_use_units,
                  (evidence->>'usual_cost')::double precision AS usual_cost
           FROM anomaly WHERE end_date >= $1 OR state IN ('open', 'acknowledged', 'planned')
           ORDER BY anomaly_id LIMIT $2"#,
        from,
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await?;
    let kept = rows.into_iter().map(|row| KeptAnomaly {
        anomaly_id: row.anomaly_id,
        subject: Subject {
            service_id: row.service_id,
            environment_id: row.environment_id,
            team_id: row.team_id,
            service_category: row.service_category,
            billing_currency: row.billing_currency,
        },
        kind: row.kind,
        state: row.state,
        close_reason: row.close_reason,
        start_date: row.start_date,
        end_date: row.end_date,
        found_on: row.found_on,
        planned_until: row.planned_until,
        share: row.share,
        amount_per_day: row.amount_per_day,
        no_use_units: row.no_use_units,
        usual_cost: row.usual_cost,
    });
    Ok(kept.collect())
}

/// An anomaly to be written. Amounts of days and parts are text within the JSON.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "columns of the table, described there")]
pub struct WrittenAnomaly {
    pub subject: Subject,
    pub kind: &'static str,
    pub state: &'static str,
    pub close_reason: Option<&'static str>,
    pub start_date: NaiveDate,
    pub end_date: NaiveDate,
    pub found_on: NaiveDate,
    pub publication_id: i64,
    pub day_count: i32,
    pub actual_total: BigDecimal,
    pub expected_total: BigDecimal,
    pub expected_low: Option<BigDecimal>,
    pub expected_high: Option<BigDecimal>,
    pub evidence: Value,
    pub parts: Value,
    pub days: Value,
}

/// Adds an anomaly and gives its number.
pub async fn insert(conn: &mut PgConnection, one: &WrittenAnomaly, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO anomaly (service_id, environment_id, team_id, service_category, billing_currency, kind, state,
            close_reason, start_date, end_date, found_on, opened_at, changed_at, publication_id, day_count, actual_total,
            expected_total, expected_low, expected_high, evidence, parts, days)
         VALUES (nullif($1::bigint, 0), nullif($2::bigint, 0), nullif($3::bigint, 0), $4, $5, $6, $7, $8, $9, $10, $11,
            $12, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21) RETURNING anomaly_id",
        one.subject.service_id,
        one.subject.environment_id,
        one.subject.team_id,
        one.subject.service_category,
        one.subject.billing_currency,
        one.kind,
        one.state,
        one.close_reason,
        one.start_date,
        one.end_date,
        one.found_on,
        now,
        one.publication_id,
        one.day_count,
        one.actual_total,
        one.expected_total,
        one.expected_low,
        one.expected_high,
        one.evidence,
        one.parts,
        one.days
    )
    .fetch_one(conn)
    .await
}

/// Brings an anomaly up to date, unless somebody answered it meanwhile. Gives whether it did.
pub async fn update(
    conn: &mut PgConnection,
    anomaly_id: i64,
    state_before: &str,
    one: &WrittenAnomaly,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE anomaly SET kind = $3, state = $4, close_reason = $5, start_date = $6, end_date = $7,
            publication_id = $8, day_count = $9, actual_total = $10, expected_total = $11, expected_low = $12,
            expected_high = $13, evidence = $14, parts = $15, days = $16,
            changed_at = CASE WHEN state = $4 THEN changed_at ELSE $17 END
         WHERE anomaly_id = $1 AND state = $2",
        anomaly_id,
        state_before,
        one.kind,
        one.state,
        one.close_reason,
        one.start_date,
        one.end_date,
        one.publication_id,
        one.day_count,
        one.actual_total,
        one.expected_total,
        one.expected_low,
        one.expected_high,
        one.evidence,
        one.parts,
        one.days,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Closes an anomaly as it is, unless somebody answered it meanwhile. Gives whether it did.
pub async fn close(
    conn: &mut PgConnection,
    anomaly_id: i64,
    state_before: &str,
    close_reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE anomaly SET state = 'closed', close_reason = $3, changed_at = $4 WHERE anomaly_id = $1 AND state = $2",
        anomaly_id,
        state_before,
        close_reason,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What happened to an anomaly.
#[derive(Debug, Clone)]
pub struct AnomalyEvent {
    /// The state after it.
    pub state: String,
    /// What happened, in a sentence.
    pub sentence: String,
    /// What a person gave as the reason.
    pub reason: String,
    /// Empty where nobody did it.
    pub done_by: String,
    /// When.
    pub happened_at: DateTime<Utc>,
}

/// Notes what happened.
pub async fn add_event(conn: &mut PgConnection, anomaly_id: i64, event: &AnomalyEvent) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO anomaly_event (anomaly_id, state, sentence, reason, done_by, happened_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        anomaly_id,
        event.state,
        event.sentence,
        event.reason,
        event.done_by,
        event.happened_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What happened, the newest first.
pub async fn events(conn: &mut PgConnection, anomaly_id: i64) -> sqlx::Result<Vec<AnomalyEvent>> {
    sqlx::query_as!(
        AnomalyEvent,
        "SELECT state, sentence, reason, done_by, happened_at FROM anomaly_event WHERE anomaly_id = $1
         ORDER BY anomaly_event_id DESC LIMIT 1000",
        anomaly_id
    )
    .fetch_all(conn)
    .await
}

/// The state of an anomaly, held until the transaction ends; `None` where there is no such anomaly.
pub async fn lock(conn: &mut PgConnection, anomaly_id: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT state FROM anomaly WHERE anomaly_id = $1 FOR UPDATE", anomaly_id)
        .fetch_optional(conn)
        .await
}

/// Writes what a person answered. Why it was closed before stays: taking the answer back closes it again.
pub async fn answer(
    conn: &mut PgConnection,
    anomaly_id: i64,
    state: &str,
    planned_until: Option<NaiveDate>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE anomaly SET state = $2, planned_until = $3, changed_at = $4 WHERE anomaly_id = $1",
        anomaly_id,
        state,
        planned_until,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
