//! Stores what senders post, many requests in one statement, which is a transaction by itself: whether their sources are
//! still as they were when the requests were proven, the deliveries, the job that reads them, and what is remembered of
//! the sources take one way to the database and back.

use super::event_deliveries::{self, Columns, NewDelivery, Stored};
use super::event_sources::{EventSource, RECEIPT_SECONDS};
use super::jobs::READ_EVENTS;
use crate::events::Headers;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::BTreeMap;

/// A request whose sender is proven.
#[derive(Debug, Clone)]
pub struct Incoming<'a> {
    /// What came.
    pub new: NewDelivery<'a>,
    /// Its source as it was when the proof was made.
    pub source: &'a EventSource,
    /// It carries a signature where a plain token would do.
    pub is_signed: bool,
}

/// Sources as they were when something was proven, each once.
#[derive(Debug, Default)]
struct Proofs<'a> {
    sources: Vec<&'a EventSource>,
    /// When the first came that was signed.
    signed_at: Vec<Option<DateTime<Utc>>>,
    /// When the last came.
    last_at: Vec<DateTime<Utc>>,
}

impl<'a> Proofs<'a> {
    // Its place among them as PostgreSQL counts, from one.
    fn place(&mut self, incoming: &Incoming<'a>) -> i64 {
        let is_same = |known: &&EventSource| {
            std::ptr::eq(*known, incoming.source)
                || known.event_source_id == incoming.source.event_source_id && known.takes_like(incoming.source)
        };
        let at = incoming.new.received_at;
        let signed_at = incoming.is_signed.then_some(at);
        let index = match self.sources.iter().position(is_same) {
            Some(index) => {
                self.last_at[index] = self.last_at[index].max(at);
                // Of two times the earlier, of one that one.
                self.signed_at[index] = self.signed_at[index].into_iter().chain(signed_at).min();
                index
            }
            None => {
                self.sources.push(incoming.source);
                self.last_at.push(at);
                self.signed_at.push(signed_at);
                self.sources.len() - 1
            }
        };
        i64::try_from(index + 1).unwrap_or(i64::MAX)
    }

    fn of_each<T>(&self, value: impl Fn(&'a EventSource) -> T) -> Vec<T> {
        self.sources.iter().copied().map(value).collect()
    }
}

/// What came with one key of one source, by which proof.
type Group<'a> = (i64, &'a str, i64);

/// Stores requests as [`super::event_deliveries::insert`] stores one, asks for their reading, and remembers that they came.
/// Committed when it returns; `conn` must be in no transaction. Answers in the same order, `None` for one whose source has
/// changed since: nothing of it is stored.
pub async fn store(conn: &mut PgConnection, all: &[Incoming<'_>]) -> sqlx::Result<Vec<Option<Stored>>> {
    let mut proofs = Proofs::default();
    let mut places = Vec::new();
    let mut groups: BTreeMap<Group<'_>, Vec<usize>> = BTreeMap::new();
    let mut by_source: Vec<(usize, &Incoming<'_>)> = all.iter().enumerate().collect();
    by_source.sort_by_key(|(_, incoming)| incoming.source.event_source_id);
    for (index, incoming) in by_source {
        let place = proofs.place(incoming);
        groups.entry((incoming.source.event_source_id, incoming.new.dedupe_key, place)).or_default().push(index);
    }
    let mut columns = Columns::default();
    for ((_, _, place), indexes) in &groups {
        places.push(*place);
        columns.push(indexes.iter().map(|index| &all[*index].new));
    }
    let rows = insert(conn, &proofs, &places, &columns).await?;
    let of_each = rows.iter().map(|row| event_deliveries::Row {
        event_delivery_id: row.event_delivery_id,
        body_sha256: &row.body_sha256,
        is_new: row.is_new,
        is_unread: row.is_unread,
        of: &groups[&(row.event_source_id, row.dedupe_key.as_str(), row.place)],
    });
    Ok(event_deliveries::answers(of_each, all.len(), |index| all[index].new.body_sha256))
}

struct Row {
    place: i64,
    event_source_id: i64,
    dedupe_key: String,
    event_delivery_id: i64,
    body_sha256: String,
    is_new: bool,
    is_unread: bool,
}

// `known` are the proofs that still hold: it compares what `EventSource::takes_like` compares. Two of one source that
// differ in that cannot both hold, so that no key is inserted twice. No source is changed in its key or goes away while it
// is looked at: no constraint asks for the source of a delivery.
//
// Rows are locked in the same order by all who write: sources, to be there, which keeps nobody from writing; deliveries by
// their keys; the job; sources, to be changed. Each part counts the rows of the one before, and thereby waits for all of
// them: one that only asked whether there is any would lock the job between two deliveries. Of sources to be changed the
// order is that of the plan: two who meet there in different orders are told so, and the caller tries again.
//
// Whoever changes a source while this waits comes after it: the proof holds as of the beginning of the statement. What is
// remembered goes into the row as it is by then.
//
// A running job may have read its input already, and another must follow it; one that waits has not. Either way its row
// stays locked until the commit, so that it neither begins nor ends meanwhile. What comes again and waits to be read asks
// too: the job of the first may have failed for good.
async fn insert(
    conn: &mut PgConnection,
    proofs: &Proofs<'_>,
    places: &[i64],
    columns: &Columns<'_>,
) -> sqlx::Result<Vec<Row>> {
    // All rows are fetched: that waits for the commit, which follows them.
    sqlx::query_as!(
        Row,
        r#"WITH known AS (
             SELECT p.place, s.event_source_id, p.signed_at, p.last_at
             FROM unnest($1::bigint[], $2::text[], $3::boolean[], $4::bytea[], $5::bytea[], $6::timestamptz[],
                         $7::boolean[], $8::timestamptz[], $9::timestamptz[]) WITH ORDINALITY
                 AS p(event_source_id, kind, enabled, secret_current, secret_previous, previous_valid_until,
                      requires_signature, signed_at, last_at, place)
             JOIN event_source s ON s.event_source_id = p.event_source_id
             WHERE s.kind = p.kind AND s.enabled = p.enabled
               AND s.secret_current_sealed IS NOT DISTINCT FROM p.secret_current
               AND s.secret_previous_sealed IS NOT DISTINCT FROM p.secret_previous
               AND s.secret_previous_valid_until IS NOT DISTINCT FROM p.previous_valid_until
               AND (s.signed_since IS NOT NULL AND NOT s.plain_token_allowed) = p.requires_signature
             FOR KEY SHARE OF s
         ), stored AS (
             INSERT INTO event_delivery (event_source_id, dedupe_key, event_name, headers, body, body_sha256, received_at,
                                         state, repeat_count, repeated_at)
             SELECT n.event_source_id, n.dedupe_key, n.event_name, n.headers, n.body, n.body_sha256, n.received_at, 'new',
                    n.repeat_count, n.repeated_at
             FROM unnest($10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::jsonb[], $15::bytea[], $16::text[],
                         $17::timestamptz[], $18::integer[], $19::timestamptz[]) WITH ORDINALITY
                 AS n(place, event_source_id, dedupe_key, event_name, headers, body, body_sha256, received_at,
                      repeat_count, repeated_at, turn)
             WHERE n.place = ANY (ARRAY(SELECT k.place FROM known k))
             ORDER BY n.turn
             ON CONFLICT (event_source_id, dedupe_key)
             DO UPDATE SET repeat_count = event_delivery.repeat_count + 1 + excluded.repeat_count,
                           repeated_at = greatest(event_delivery.repeated_at, excluded.received_at, excluded.repeated_at)
             RETURNING event_source_id, dedupe_key, event_delivery_id, body_sha256, (xmax = 0) AS is_new,
                       state = 'new' AS is_unread
         ), asked AS (
             INSERT INTO job (kind, key, payload, state, run_after)
             SELECT $20::text, '', '{}'::jsonb, 'waiting', now() FROM stored HAVING bool_or(stored.is_unread)
             ON CONFLICT (kind, key) WHERE state IN ('waiting', 'running')
             DO UPDATE SET payload = jsonb_set(job.payload, '{again}', 'true')
                 WHERE job.state = 'running' AND NOT job.payload ? 'again'
             RETURNING job_id
         ), remembered AS (
             UPDATE event_source s
             SET signed_since = coalesce(s.signed_since, k.signed_at),
                 last_received_at = greatest(s.last_received_at, k.last_at), last_error = NULL
             FROM known k CROSS JOIN (SELECT count(*) FROM asked) AS asking
             WHERE s.event_source_id = k.event_source_id
               AND ((s.signed_since IS NULL AND k.signed_at IS NOT NULL) OR s.last_error IS NOT NULL
                    OR s.last_received_at IS NULL
                    OR s.last_received_at < k.last_at - $21::bigint * interval '1 second')
         )
         SELECT k.place AS "place!", s.event_source_id AS "event_source_id!", s.dedupe_key AS "dedupe_key!",
                s.event_delivery_id AS "event_delivery_id!", s.body_sha256 AS "body_sha256!", s.is_new AS "is_new!",
                s.is_unread AS "is_unread!"
         FROM stored s JOIN known k ON k.event_source_id = s.event_source_id"#,
        &proofs.of_each(|source| source.event_source_id),
        &proofs.of_each(|source| source.kind.as_str()) as &[&str],
        &proofs.of_each(|source| source.enabled),
        &proofs.of_each(|source| source.secret_current_sealed.as_deref()) as &[Option<&[u8]>],
        &proofs.of_each(|source| source.secret_previous_sealed.as_deref()) as &[Option<&[u8]>],
        &proofs.of_each(|source| source.secret_previous_valid_until) as &[Option<DateTime<Utc>>],
        &proofs.of_each(EventSource::requires_signature),
        &proofs.signed_at as &[Option<DateTime<Utc>>],
        &proofs.last_at,
        places,
        &columns.event_source_ids,
        &columns.dedupe_keys as &[&str],
        &columns.event_names as &[&str],
        &columns.headers as &[Json<&Headers>],
        &columns.bodies as &[&[u8]],
        &columns.body_sha256s as &[&str],
        &columns.received_at,
        &columns.repeat_counts,
        &columns.repeated_at as &[Option<DateTime<Utc>>],
        READ_EVENTS,
        RECEIPT_SECONDS,
    )
    .fetch_all(conn)
    .await
}
