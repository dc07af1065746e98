//! Operational events whose services and environment somebody pinned: rules do not move these any more.
//!
//! A pin is known by the source and the sender's key and says itself where the event belongs, so that it holds where
//! deliveries are read again: the event's row may be made anew then.

use super::pins::{Pin, PinPlace};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Where this event belongs now; none where there is no such.
pub async fn place(conn: &mut PgConnection, operational_event_id: i64) -> sqlx::Result<Option<PinPlace>> {
    sqlx::query_as!(
        PinPlace,
        r#"SELECT coalesce((SELECT array_agg(os.service_id ORDER BY os.service_id) FROM operational_event_service os
                            WHERE os.operational_event_id = o.operational_event_id), '{}') AS "service_ids!",
                  o.environment_id
           FROM operational_event o WHERE o.operational_event_id = $1"#,
        operational_event_id
    )
    .fetch_optional(conn)
    .await
}

/// Keeps an event at this place, whatever rules say from now on. False where it was pinned to it already. Whoever calls it
/// maps the event afterwards.
pub async fn pin(
    conn: &mut PgConnection,
    operational_event_id: i64,
    place: &PinPlace,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    if pinned_place(&mut *conn, operational_event_id).await?.as_ref() == Some(place) {
        return Ok(false);
    }
    sqlx::query!(
        "INSERT INTO operational_event_pin (event_source_id, external_id, environment_id, pinned_by, pinned_at)
         SELECT o.event_source_id, o.external_id, $2::bigint, $3::text, $4::timestamptz
         FROM operational_event o WHERE o.operational_event_id = $1
         ON CONFLICT (event_source_id, external_id) DO UPDATE
             SET environment_id = excluded.environment_id, pinned_by = excluded.pinned_by,
                 pinned_at = excluded.pinned_at",
        operational_event_id,
        place.environment_id,
        by,
        now,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM operational_event_pin_service ps USING operational_event o
         WHERE o.operational_event_id = $1 AND ps.event_source_id = o.event_source_id
           AND ps.external_id = o.external_id AND NOT ps.service_id = ANY($2)",
        operational_event_id,
        &place.service_ids,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO operational_event_pin_service (event_source_id, external_id, service_id)
         SELECT o.event_source_id, o.external_id, unnest($2::bigint[])
         FROM operational_event o WHERE o.operational_event_id = $1 ON CONFLICT DO NOTHING",
        operational_event_id,
        &place.service_ids,
    )
    .execute(conn)
    .await?;
    Ok(true)
}

async fn pinned_place(conn: &mut PgConnection, operational_event_id: i64) -> sqlx::Result<Option<PinPlace>> {
    sqlx::query_as!(
        PinPlace,
        r#"SELECT coalesce((SELECT array_agg(ps.service_id ORDER BY ps.service_id) FROM operational_event_pin_service ps
                            WHERE ps.event_source_id = p.event_source_id AND ps.external_id = p.external_id), '{}')
                      AS "service_ids!",
                  p.environment_id
           FROM operational_event_pin p
           JOIN operational_event o ON o.event_source_id = p.event_source_id AND o.external_id = p.external_id
           WHERE o.operational_event_id = $1"#,
        operational_event_id
    )
    .fetch_optional(conn)
    .await
}

/// Lets rules decide again. False where nobody pinned it. Whoever calls it maps the event afterwards.
pub async fn unpin(conn: &mut PgConnection, operational_event_id: i64) -> sqlx::Result<bool> {
    let gone = sqlx::query!(
        "DELETE FROM operational_event_pin p USING operational_event o
         WHERE o.operational_event_id = $1 AND p.event_source_id = o.event_source_id AND p.external_id = o.external_id",
        operational_event_id
    );
    Ok(gone.execute(conn).await?.rows_affected() == 1)
}

/// Lets rules decide again about what is pinned to this service alone, which is about to go: a pin names one at least.
pub async fn forget_service(conn: &mut PgConnection, service_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM operational_event_pin p USING operational_event_pin_service gone
         WHERE gone.service_id = $1 AND gone.event_source_id = p.event_source_id AND gone.external_id = p.external_id
           AND NOT EXISTS (SELECT FROM operational_event_pin_service other
                           WHERE other.event_source_id = p.event_source_id AND other.external_id = p.external_id
                             AND other.service_id <> $1)",
        service_id
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes a pin away whose event nothing tells of any more. False where there is none, and where its event is there again.
pub async fn remove_waiting(conn: &mut PgConnection, source_name: &str, external_id: &str) -> sqlx::Result<bool> {
    let gone = sqlx::query!(
        "DELETE FROM operational_event_pin p USING event_source s
         WHERE s.name = $1 AND p.event_source_id = s.event_source_id AND p.external_id = $2
           AND NOT EXISTS (SELECT FROM operational_event o
                           WHERE o.event_source_id = p.event_source_id AND o.external_id = p.external_id)",
        source_name,
        external_id
    );
    Ok(gone.execute(conn).await?.rows_affected() == 1)
}

/// Which pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// That of the event with this number.
    Of(i64),
    /// Those whose event nothing tells of any more: each holds again once something does.
    Waiting,
}

// The macro takes the name of a type without arguments.
type EventPin = Pin<Option<i64>>;

/// What is pinned, the latest first.
pub async fn list(conn: &mut PgConnection, which: Which, limit: i64) -> sqlx::Result<Vec<Pin<Option<i64>>>> {
    let id = match which {
        Which::Of(id) => Some(id),
        Which::All | Which::Waiting => None,
    };
    sqlx::query_as!(
        EventPin,
        r#"SELECT o.operational_event_id AS "subject_id?", p.external_id AS "external_id!", s.name AS "source_name!",
                  e.slug AS "environment_slug?",
                  coalesce((SELECT array_agg(v.slug ORDER BY v.slug)
                            FROM operational_event_pin_service ps JOIN service v USING (service_id)
                            WHERE ps.event_source_id = p.event_source_id AND ps.external_id = p.external_id), '{}')
                      AS "service_slugs!",
                  p.pinned_by AS "pinned_by!", p.pinned_at AS "pinned_at!"
           FROM operational_event_pin p
           JOIN event_source s ON s.event_source_id = p.event_source_id
           LEFT JOIN operational_event o ON o.event_source_id = p.event_source_id AND o.external_id = p.external_id
           LEFT JOIN environment e ON e.environment_id = p.environment_id
           WHERE ($1::bigint IS NULL OR o.operational_event_id = $1)
             AND (NOT $2::boolean OR o.operational_event_id IS NULL)
           ORDER BY p.pinned_at DESC, o.operational_event_id DESC, p.external_id LIMIT $3"#,
        id,
        which == Which::Waiting,
        limit
    )
    .fetch_all(conn)
    .await
}
