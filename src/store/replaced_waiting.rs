//! Which deliveries wait no longer because a newer one holds their bills anew. What they waited with is not kept: once
//! the newer one is taken back, only their files bring it again.

use sqlx::{PgConnection, PgExecutor};

/// A delivery that waited before a newer one did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// Its number.
    pub delivery_id: i64,
    /// The file to hand in again.
    pub file_name: String,
}

/// Keeps that a delivery took the place of these, in any bill.
pub async fn note(db: impl PgExecutor<'_>, delivery_id: i64, older_delivery_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO replaced_waiting (delivery_id, older_delivery_id)
         SELECT $1::bigint, older.delivery_id FROM unnest($2::bigint[]) AS older (delivery_id)
         ON CONFLICT DO NOTHING",
        delivery_id,
        older_delivery_ids
    )
    .execute(db)
    .await
    .map(drop)
}

/// Whose place a delivery took, newest first, but for those whose file came again since.
pub async fn of(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<Vec<Older>> {
    sqlx::query_as!(
        Older,
        "SELECT o.delivery_id, o.file_name
         FROM replaced_waiting r JOIN delivery o ON o.delivery_id = r.older_delivery_id
         WHERE r.delivery_id = $1
           AND NOT EXISTS (SELECT FROM delivery again
                           WHERE again.source_id = o.source_id AND again.content_sha256 = o.content_sha256
                             AND again.delivery_id > r.delivery_id AND again.state NOT IN ('failed', 'refused'))
         ORDER BY o.delivery_id DESC",
        delivery_id
    )
    .fetch_all(conn)
    .await
}
