//! Many requests of senders in one transaction: one commit to disk for all that came while the last was written.

use super::event_deliveries::{NewDelivery, Stored};
use super::event_sources::EventSource;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashMap};

/// Stores all of them as [`super::event_deliveries::insert`] stores one; answers in the same order. Of several with one
/// key the first is kept.
pub async fn insert(conn: &mut PgConnection, all: &[NewDelivery<'_>]) -> sqlx::Result<Vec<Stored>> {
    // In the order of the keys, so that two who write at once wait for each other and never both.
    let mut by_key: BTreeMap<(i64, &str), Vec<usize>> = BTreeMap::new();
    for (place, new) in all.iter().enumerate() {
        by_key.entry((new.event_source_id, new.dedupe_key)).or_default().push(place);
    }
    let firsts: Vec<&NewDelivery<'_>> = by_key.values().map(|places| &all[places[0]]).collect();
    let repeats: Vec<i32> = by_key.values().map(|places| i32::try_from(places.len() - 1).unwrap_or(i32::MAX)).collect();
    let rows = sqlx::query!(
        r#"INSERT INTO event_delivery (event_source_id, dedupe_key, event_name, headers, body, body_sha256, received_at,
                                       state, repeat_count)
           SELECT n.event_source_id, n.dedupe_key, n.event_name, n.headers, n.body, n.body_sha256, n.received_at, 'new',
                  n.repeat_count
           FROM unnest($1::bigint[], $2::text[], $3::text[], $4::jsonb[], $5::bytea[], $6::text[], $7::timestamptz[],
                       $8::integer[])
               AS n(event_source_id, dedupe_key, event_name, headers, body, body_sha256, received_at, repeat_count)
           ON CONFLICT (event_source_id, dedupe_key)
           DO UPDATE SET repeat_count = event_delivery.repeat_count + 1 + excluded.repeat_count
           RETURNING event_source_id, dedupe_key, event_delivery_id, body_sha256, (xmax = 0) AS "is_new!""#,
        &firsts.iter().map(|new| new.event_source_id).collect::<Vec<_>>(),
        &firsts.iter().map(|new| new.dedupe_key.to_owned()).collect::<Vec<_>>(),
        &firsts.iter().map(|new| new.event_name.to_owned()).collect::<Vec<_>>(),
        &firsts.iter().map(|new| new.headers.clone()).collect::<Vec<_>>(),
        &firsts.iter().map(|new| new.body.to_vec()).collect::<Vec<_>>(),
        &firsts.iter().map(|new| new.body_sha256.to_owned()).collect::<Vec<_>>(),
        &firsts.iter().map(|new| new.received_at).collect::<Vec<_>>(),
        &repeats,
    )
    .fetch_all(conn)
    .await?;
    let mut stored: Vec<Option<Stored>> = vec![None; all.len()];
    for row in rows {
        for (turn, place) in by_key[&(row.event_source_id, row.dedupe_key.as_str())].iter().enumerate() {
            stored[*place] = Some(Stored {
                event_delivery_id: row.event_delivery_id,
                is_new: row.is_new && turn == 0,
                is_same_body: row.body_sha256 == all[*place].body_sha256,
            });
        }
    }
    stored.into_iter().map(|one| one.ok_or(sqlx::Error::RowNotFound)).collect()
}

/// The sources of these numbers as they are now. What was proven against older secrets is proven again by the caller.
pub async fn sources(conn: &mut PgConnection, ids: &[i64]) -> sqlx::Result<HashMap<i64, EventSource>> {
    let rows = sqlx::query_as!(EventSource, "SELECT * FROM event_source WHERE event_source_id = ANY($1)", ids)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|source| (source.event_source_id, source)).collect())
}

/// Remembers that something came from these sources, as [`super::event_sources::received`].
pub async fn received(conn: &mut PgConnection, ids: &[i64], now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE event_source SET last_received_at = $2, last_error = NULL WHERE event_source_id = ANY($1)
           AND (last_received_at IS NULL OR last_received_at + interval '10 seconds' < $2 OR last_error IS NOT NULL)",
        ids,
        now
    )
    .execute(conn)
    .await
    .map(drop)
}
