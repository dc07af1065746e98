//! What came from one event source lately. No index tells a source's deliveries in order, which a flood would pay for: they
//! are looked for among the newest of all.

use super::event_deliveries::Shown;
use sqlx::PgConnection;

/// The newest deliveries of all sources that are looked at.
pub const LOOKED_AT_MAX: i64 = 10_000;

/// How many of those that are looked at came from a source, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CountsOfSource {
    /// All of them.
    pub all: i64,
    /// Waiting to be read.
    pub waiting: i64,
    /// Read.
    pub read: i64,
    /// Not of use.
    pub ignored: i64,
    /// Could not be read, or a part of them.
    pub failed: i64,
    /// How often one came again.
    pub repeated: i64,
}

impl Shown {
    /// What its state is called.
    pub fn state_label(&self) -> &'static str {
        match self.state.as_str() {
            "new" => "Waiting",
            "done" => "Read",
            "ignored" => "Not of use",
            _ => "Could not be read",
        }
    }
}

/// The latest of a source, newest first.
pub async fn latest(conn: &mut PgConnection, event_source_id: i64, limit: i64) -> sqlx::Result<Vec<Shown>> {
    sqlx::query_as!(
        Shown,
        "SELECT e.event_delivery_id, s.name AS source_name, e.event_name, e.dedupe_key, e.received_at, e.state,
                e.error, e.repeat_count
         FROM event_delivery e JOIN event_source s USING (event_source_id)
         WHERE e.event_source_id = $1
           AND e.event_delivery_id > (SELECT coalesce(max(event_delivery_id), 0) FROM event_delivery) - $2::bigint
         ORDER BY e.event_delivery_id DESC LIMIT $3",
        event_source_id,
        LOOKED_AT_MAX,
        limit
    )
    .fetch_all(conn)
    .await
}

/// How many came from a source.
pub async fn counts(conn: &mut PgConnection, event_source_id: i64) -> sqlx::Result<CountsOfSource> {
    sqlx::query_as!(
        CountsOfSource,
        r#"SELECT count(*) AS "all!", count(*) FILTER (WHERE state = 'new') AS "waiting!",
                  count(*) FILTER (WHERE state = 'done') AS "read!",
                  count(*) FILTER (WHERE state = 'ignored') AS "ignored!",
                  count(*) FILTER (WHERE state = 'error') AS "failed!",
                  coalesce(sum(repeat_count), 0)::bigint AS "repeated!"
           FROM event_delivery
           WHERE event_source_id = $1
             AND event_delivery_id > (SELECT coalesce(max(event_delivery_id), 0) FROM event_delivery) - $2::bigint"#,
        event_source_id,
        LOOKED_AT_MAX
    )
    .fetch_one(conn)
    .await
}
