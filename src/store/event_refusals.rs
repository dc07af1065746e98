//! Requests to event sources that did not prove who sent them: how many a day, and why the last. Anyone can cause one, so
//! they are counted before they come here, and a day of a source is one row.

use crate::events::Unproven;
use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::PgConnection;

/// Days that pages tell of, today among them.
pub const DAYS_SHOWN: u64 = 7;

/// Requests of one source and day that were refused since they were written last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// To which source.
    pub event_source_id: i64,
    /// On which day, in UTC.
    pub day: NaiveDate,
    /// How many.
    pub count: i64,
    /// When the first came.
    pub first_at: DateTime<Utc>,
    /// When the last came.
    pub last_at: DateTime<Utc>,
    /// Why the last was refused.
    pub last_reason: Unproven,
}

/// What was refused lately of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// Which source.
    pub event_source_id: i64,
    /// How many requests.
    pub count: i64,
    /// When the first of them came.
    pub first_at: DateTime<Utc>,
    /// When the last came.
    pub last_at: DateTime<Utc>,
    /// Why the last was refused, as [`Unproven::key`] says it.
    pub last_reason: String,
}

/// Adds what was counted. A source that is gone meanwhile is left out.
pub async fn add(conn: &mut PgConnection, all: &[Refused]) -> sqlx::Result<()> {
    let ids: Vec<i64> = all.iter().map(|one| one.event_source_id).collect();
    let days: Vec<NaiveDate> = all.iter().map(|one| one.day).collect();
    let counts: Vec<i64> = all.iter().map(|one| one.count).collect();
    let first_at: Vec<DateTime<Utc>> = all.iter().map(|one| one.first_at).collect();
    let last_at: Vec<DateTime<Utc>> = all.iter().map(|one| one.last_at).collect();
    let reasons: Vec<&str> = all.iter().map(|one| one.last_reason.key()).collect();
    // In the order of the keys, so that two processes that write at once wait for each other and never both.
    sqlx::query!(
        "INSERT INTO event_source_refusal AS r (event_source_id, day, refusal_count, first_at, last_at, last_reason)
         SELECT n.event_source_id, n.day, n.refusal_count, n.first_at, n.last_at, n.last_reason
         FROM unnest($1::bigint[], $2::date[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::text[])
             AS n (event_source_id, day, refusal_count, first_at, last_at, last_reason)
         JOIN event_source s ON s.event_source_id = n.event_source_id
         ORDER BY n.event_source_id, n.day
         ON CONFLICT (event_source_id, day) DO UPDATE SET
             refusal_count = r.refusal_count + excluded.refusal_count,
             first_at = least(r.first_at, excluded.first_at),
             last_reason = CASE WHEN excluded.last_at >= r.last_at THEN excluded.last_reason ELSE r.last_reason END,
             last_at = greatest(r.last_at, excluded.last_at)",
        &ids,
        &days,
        &counts,
        &first_at,
        &last_at,
        &reasons as &[&str],
    )
    .execute(conn)
    .await
    .map(drop)
}

/// What was refused in the last [`DAYS_SHOWN`] days, of one source or of each that has any.
pub async fn recent(
    conn: &mut PgConnection,
    event_source_id: Option<i64>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Recent>> {
    let today = now.date_naive();
    let first_day = today.checked_sub_days(Days::new(DAYS_SHOWN - 1)).unwrap_or(today);
    sqlx::query_as!(
        Recent,
        r#"SELECT event_source_id, sum(refusal_count)::bigint AS "count!", min(first_at) AS "first_at!",
                  max(last_at) AS "last_at!", (array_agg(last_reason ORDER BY day DESC))[1] AS "last_reason!"
           FROM event_source_refusal
           WHERE day >= $1 AND ($2::bigint IS NULL OR event_source_id = $2)
           GROUP BY event_source_id ORDER BY event_source_id"#,
        first_day,
        event_source_id
    )
    .fetch_all(conn)
    .await
}
