//! Requests of senders as they came. Committed before they are answered; read into events afterwards, and again
//! whenever an adapter was mended.

use super::jobs::{self, COUNT_PIPELINES};
use crate::events::Headers;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::BTreeMap;

/// A request about to be stored.
#[derive(Debug, Clone)]
pub struct NewDelivery<'a> {
    /// Who sent it.
    pub event_source_id: i64,
    /// Same key, same delivery.
    pub dedupe_key: &'a str,
    /// The sender's name of the event.
    pub event_name: &'a str,
    /// Without secrets.
    pub headers: &'a Headers,
    /// Without credentials in addresses.
    pub body: &'a [u8],
    /// Hexadecimal SHA-256 of the body as it came.
    pub body_sha256: &'a str,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its number, or that of the first of its key.
    pub event_delivery_id: i64,
    /// False where one of this key was there.
    pub is_new: bool,
    /// The first of this key has the same body.
    pub is_same_body: bool,
    /// It waits to be read, new or not: whoever stores it has it read, since who was to read the first may have failed.
    pub is_unread: bool,
}

/// Stores a request, or counts it as a repetition of the first with its key, with the time at which it came. What the
/// first brought is never changed.
pub async fn insert(conn: &mut PgConnection, new: &NewDelivery<'_>) -> sqlx::Result<Stored> {
    insert_all(conn, std::slice::from_ref(new)).await?.pop().ok_or(sqlx::Error::RowNotFound)
}

/// What is bound of requests that are stored together: of each key the first, and how often it came again among them.
#[derive(Debug, Default)]
pub(super) struct Columns<'a> {
    pub(super) event_source_ids: Vec<i64>,
    pub(super) dedupe_keys: Vec<&'a str>,
    pub(super) event_names: Vec<&'a str>,
    pub(super) headers: Vec<Json<&'a Headers>>,
    pub(super) bodies: Vec<&'a [u8]>,
    pub(super) body_sha256s: Vec<&'a str>,
    pub(super) received_at: Vec<DateTime<Utc>>,
    pub(super) repeat_counts: Vec<i32>,
    pub(super) repeated_at: Vec<Option<DateTime<Utc>>>,
}

impl<'a> Columns<'a> {
    /// Adds those of one key, in the order in which they came.
    pub(super) fn push<'b>(&mut self, mut of_one_key: impl Iterator<Item = &'b NewDelivery<'a>>)
    where
        'a: 'b,
    {
        let Some(first) = of_one_key.next() else { return };
        let again: Vec<DateTime<Utc>> = of_one_key.map(|new| new.received_at).collect();
        self.event_source_ids.push(first.event_source_id);
        self.dedupe_keys.push(first.dedupe_key);
        self.event_names.push(first.event_name);
        self.headers.push(Json(first.headers));
        self.bodies.push(first.body);
        self.body_sha256s.push(first.body_sha256);
        self.received_at.push(first.received_at);
        self.repeat_counts.push(i32::try_from(again.len()).unwrap_or(i32::MAX));
        self.repeated_at.push(again.into_iter().max());
    }
}

/// Stores all of them as [`insert`] stores one; answers in the same order. Of several with one key the first is kept.
pub async fn insert_all(conn: &mut PgConnection, all: &[NewDelivery<'_>]) -> sqlx::Result<Vec<Stored>> {
    // In the order of the keys, so that two who write at once wait for each other and never both.
    let mut by_key: BTreeMap<(i64, &str), Vec<usize>> = BTreeMap::new();
    for (place, new) in all.iter().enumerate() {
        by_key.entry((new.event_source_id, new.dedupe_key)).or_default().push(place);
    }
    let mut columns = Columns::default();
    for places in by_key.values() {
        columns.push(places.iter().map(|place| &all[*place]));
    }
    // `event_intake` has these words too: a function for both, which writes, is not inlined and would slow that one.
    let rows = sqlx::query!(
        r#"INSERT INTO event_delivery (event_source_id, dedupe_key, event_name, headers, body, body_sha256, received_at,
                                       state, repeat_count, repeated_at)
           SELECT n.event_source_id, n.dedupe_key, n.event_name, n.headers, n.body, n.body_sha256, n.received_at, 'new',
                  n.repeat_count, n.repeated_at
           FROM unnest($1::bigint[], $2::text[], $3::text[], $4::jsonb[], $5::bytea[], $6::text[], $7::timestamptz[],
                       $8::integer[], $9::timestamptz[])
               AS n(event_source_id, dedupe_key, event_name, headers, body, body_sha256, received_at, repeat_count,
                    repeated_at)
           ON CONFLICT (event_source_id, dedupe_key)
           DO UPDATE SET repeat_count = event_delivery.repeat_count + 1 + excluded.repeat_count,
                         repeated_at = greatest(event_delivery.repeated_at, excluded.received_at, excluded.repeated_at)
           RETURNING event_source_id, dedupe_key, event_delivery_id, body_sha256, (xmax = 0) AS "is_new!",
                     (state = 'new') AS "is_unread!""#,
        &columns.event_source_ids,
        &columns.dedupe_keys as &[&str],
        &columns.event_names as &[&str],
        &columns.headers as &[Json<&Headers>],
        &columns.bodies as &[&[u8]],
        &columns.body_sha256s as &[&str],
        &columns.received_at,
        &columns.repeat_counts,
        &columns.repeated_at as &[Option<DateTime<Utc>>],
    )
    .fetch_all(conn)
    .await?;
    let of_each = rows.iter().map(|row| Row {
        event_delivery_id: row.event_delivery_id,
        body_sha256: &row.body_sha256,
        is_new: row.is_new,
        is_unread: row.is_unread,
        of: &by_key[&(row.event_source_id, row.dedupe_key.as_str())],
    });
    let stored = answers(of_each, all.len(), |place| all[place].body_sha256);
    stored.into_iter().map(|one| one.ok_or(sqlx::Error::RowNotFound)).collect()
}

/// The row of a key, and the requests that came with it.
#[derive(Debug)]
pub(super) struct Row<'r> {
    pub(super) event_delivery_id: i64,
    pub(super) body_sha256: &'r str,
    pub(super) is_new: bool,
    pub(super) is_unread: bool,
    /// The places of the requests, in the order in which they came: only the first of them can be new.
    pub(super) of: &'r [usize],
}

/// What became of each of so many requests; `None` for one whose key has no row.
pub(super) fn answers<'r, 'n>(
    rows: impl Iterator<Item = Row<'r>>,
    count: usize,
    body_sha256: impl Fn(usize) -> &'n str,
) -> Vec<Option<Stored>> {
    let mut stored = vec![None; count];
    for row in rows {
        for (turn, place) in row.of.iter().enumerate() {
            stored[*place] = Some(Stored {
                event_delivery_id: row.event_delivery_id,
                is_new: row.is_new && turn == 0,
                is_same_body: row.body_sha256 == body_sha256(*place),
                is_unread: row.is_unread,
            });
        }
    }
    stored
}

/// A stored request, to be read.
#[derive(Debug, Clone)]
pub struct Unread {
    /// Its number.
    pub event_delivery_id: i64,
    /// Who sent it.
    pub event_source_id: i64,
    /// `github`, `gitlab`, `api` and so on: which adapter reads it.
    pub sender: String,
    /// As stored.
    pub headers: serde_json::Value,
    /// As stored.
    pub body: Vec<u8>,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// From which end of what waits to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// What waits longest.
    Oldest,
    /// What came last.
    Newest,
}

struct Size {
    event_delivery_id: i64,
    bytes: i64,
}

/// Those at one end of what was not read yet and nobody else is reading, without those that were put off: at most so
/// many, and at most so many bytes of bodies, but one at least. The oldest of them first. Locked until the transaction
/// ends.
pub async fn next_unread(
    conn: &mut PgConnection,
    end: End,
    put_off: &[i64],
    count_max: i64,
    bytes_max: i64,
) -> sqlx::Result<Vec<Unread>> {
    let sizes = sizes(conn, end, put_off, count_max).await?;
    let mut bytes = 0;
    let fitting = sizes.iter().enumerate().take_while(|(place, row)| {
        bytes += row.bytes;
        *place == 0 || bytes <= bytes_max
    });
    let ids: Vec<i64> = fitting.map(|(_, row)| row.event_delivery_id).collect();
    sqlx::query_as!(
        Unread,
        "SELECT e.event_delivery_id, e.event_source_id, s.kind AS sender, e.headers, e.body, e.received_at
         FROM event_delivery e JOIN event_source s USING (event_source_id)
         WHERE e.event_delivery_id = ANY($1) ORDER BY e.event_delivery_id",
        &ids
    )
    .fetch_all(conn)
    .await
}

async fn sizes(conn: &mut PgConnection, end: End, put_off: &[i64], count_max: i64) -> sqlx::Result<Vec<Size>> {
    match end {
        End::Oldest => {
            sqlx::query_as!(
                Size,
                r#"SELECT event_delivery_id, octet_length(body)::bigint AS "bytes!" FROM event_delivery
                   WHERE state = 'new' AND NOT event_delivery_id = ANY($1)
                   ORDER BY event_delivery_id LIMIT $2 FOR UPDATE SKIP LOCKED"#,
                put_off,
                count_max
            )
            .fetch_all(conn)
            .await
        }
        End::Newest => {
            sqlx::query_as!(
                Size,
                r#"SELECT event_delivery_id, octet_length(body)::bigint AS "bytes!" FROM event_delivery
                   WHERE state = 'new' AND NOT event_delivery_id = ANY($1)
                   ORDER BY event_delivery_id DESC LIMIT $2 FOR UPDATE SKIP LOCKED"#,
                put_off,
                count_max
            )
            .fetch_all(conn)
            .await
        }
    }
}

/// Since when the last so many came, by their numbers, of which those that came again take some too. Two rows are looked
/// at, however many there are. `None` where there were never so many.
pub async fn last_came_since(conn: &mut PgConnection, count: i64) -> sqlx::Result<Option<TimeDelta>> {
    let microseconds = sqlx::query_scalar!(
        r#"SELECT (extract(epoch FROM clock_timestamp() - received_at) * 1000000)::bigint AS "microseconds!"
           FROM event_delivery
           WHERE event_delivery_id <= (SELECT max(event_delivery_id) FROM event_delivery) - $1
           ORDER BY event_delivery_id DESC LIMIT 1"#,
        count
    );
    Ok(microseconds.fetch_optional(conn).await?.map(TimeDelta::microseconds))
}

/// Whether this one waits to be read; it is the caller's until the transaction ends.
pub async fn lock_unread(conn: &mut PgConnection, event_delivery_id: i64) -> sqlx::Result<bool> {
    let waits = sqlx::query_scalar!(
        "SELECT event_delivery_id FROM event_delivery WHERE event_delivery_id = $1 AND state = 'new' FOR UPDATE",
        event_delivery_id
    )
    .fetch_optional(conn)
    .await?;
    Ok(waits.is_some())
}

/// Whether something that tells of a new deployment of this id waits to be read.
pub async fn is_waiting(conn: &mut PgConnection, event_source_id: i64, external_id: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM event_delivery
               WHERE state = 'new' AND event_source_id = $1 AND event_name = 'deployment'
                 AND headers ->> $2 = $3) AS "exists!""#,
        event_source_id,
        crate::events::EXTERNAL_ID_HEADER,
        external_id
    )
    .fetch_one(conn)
    .await
}

/// Forgets a request that is refused after all and told nothing.
pub async fn delete(conn: &mut PgConnection, event_delivery_id: i64) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM event_delivery WHERE event_delivery_id = $1", event_delivery_id)
        .execute(conn)
        .await
        .map(drop)
}

/// Counts a failure to read one, and says how many there were.
pub async fn count_failure(conn: &mut PgConnection, event_delivery_id: i64) -> sqlx::Result<i32> {
    sqlx::query_scalar!(
        "UPDATE event_delivery SET failure_count = failure_count + 1 WHERE event_delivery_id = $1
         RETURNING failure_count",
        event_delivery_id
    )
    .fetch_one(conn)
    .await
}

/// Writes down how reading went: `done`, `ignored` or `error`, which is also of a part, and why.
pub async fn set_state(
    conn: &mut PgConnection,
    event_delivery_id: i64,
    state: &str,
    error: Option<&str>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE event_delivery SET state = $2, error = $3 WHERE event_delivery_id = $1",
        event_delivery_id,
        state,
        error
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Marks one delivery to be read again, and has runs of pipelines counted again. False where there is no such.
pub async fn read_again(conn: &mut PgConnection, event_delivery_id: i64) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        "UPDATE event_delivery SET state = 'new', failure_count = 0 WHERE event_delivery_id = $1",
        event_delivery_id
    )
    .execute(&mut *conn)
    .await?;
    count_runs_again(conn, updated.rows_affected()).await?;
    Ok(updated.rows_affected() == 1)
}

/// Marks all deliveries of a source, or of all, that came since a time, or ever, to be read again, and has runs of
/// pipelines counted again. Says how many.
pub async fn read_all_again(
    conn: &mut PgConnection,
    event_source_id: Option<i64>,
    since: Option<DateTime<Utc>>,
) -> sqlx::Result<u64> {
    let updated = sqlx::query!(
        "UPDATE event_delivery SET state = 'new', failure_count = 0
         WHERE state <> 'new' AND ($1::bigint IS NULL OR event_source_id = $1)
           AND ($2::timestamptz IS NULL OR received_at >= $2)",
        event_source_id,
        since
    )
    .execute(&mut *conn)
    .await?;
    count_runs_again(conn, updated.rows_affected()).await?;
    Ok(updated.rows_affected())
}

// What is read again came long ago: nothing else tells of a run in it that a mended adapter finds. A count that finds it
// waiting is followed by another one. Through the queue, since a page would wait for the row that a count holds.
async fn count_runs_again(conn: &mut PgConnection, delivery_count: u64) -> sqlx::Result<()> {
    if delivery_count > 0 {
        jobs::enqueue(conn, COUNT_PIPELINES, "", &json!({})).await?;
    }
    Ok(())
}

/// What somebody should know of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Waiting to be read.
    pub unread: i64,
    /// Could not be read, or a part of them.
    pub failed: i64,
}

/// How many wait to be read, and how many could not be.
pub async fn counts(conn: &mut PgConnection) -> sqlx::Result<Counts> {
    sqlx::query_as!(
        Counts,
        r#"SELECT count(*) FILTER (WHERE state = 'new') AS "unread!", count(*) FILTER (WHERE state = 'error') AS "failed!"
           FROM event_delivery WHERE state IN ('new', 'error')"#
    )
    .fetch_one(conn)
    .await
}

/// `new`, `done`, `ignored`, `error`: what a delivery can be.
pub const STATES: [&str; 4] = ["new", "done", "ignored", "error"];

/// A delivery in a list.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its number.
    pub event_delivery_id: i64,
    /// Who sent it.
    pub source_name: String,
    /// The sender's name of the event.
    pub event_name: String,
    /// The key that repetitions share.
    pub dedupe_key: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// `new`, `done`, `ignored` or `error`.
    pub state: String,
    /// Why it was ignored or could not be read.
    pub error: Option<String>,
    /// How often it came again.
    pub repeat_count: i32,
}

/// The latest, newest first.
pub async fn latest(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Shown>> {
    list(conn, None, None, limit).await
}

/// Those of a state (or of any) that came before another one (or all), newest first.
pub async fn list(
    conn: &mut PgConnection,
    state: Option<&str>,
    before: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<Shown>> {
    sqlx::query_as!(
        Shown,
        "SELECT e.event_delivery_id, s.name AS source_name, e.event_name, e.dedupe_key, e.received_at, e.state,
                e.error, e.repeat_count
         FROM event_delivery e JOIN event_source s USING (event_source_id)
         WHERE ($1::text IS NULL OR e.state = $1) AND ($2::bigint IS NULL OR e.event_delivery_id < $2)
         ORDER BY e.event_delivery_id DESC LIMIT $3",
        state,
        before,
        limit
    )
    .fetch_all(conn)
    .await
}
