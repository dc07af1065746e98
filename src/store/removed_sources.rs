//! Sources that nobody needs any more, such as mistyped ones: what keeps them, and taking them out of every list. Their
//! deliveries and receipts stay as history.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

/// What a source still holds.
#[derive(Debug, Clone)]
pub struct Held {
    /// Its name.
    pub name: String,
    /// Whether it was removed, and nothing came since.
    pub is_removed: bool,
    /// Bills that count.
    pub bill_count: i64,
    /// Deliveries that wait for a decision, or to be read.
    pub waiting_count: i64,
    /// Deliveries, all told.
    pub delivery_count: i64,
}

impl Held {
    /// Why it cannot be removed; `None` where it can.
    pub fn obstacle(&self) -> Option<String> {
        match (self.bill_count, self.waiting_count) {
            (0, 0) => None,
            (0, 1) => Some("One of its deliveries waits: decide about it first, or let it be read.".into()),
            (0, count) => {
                Some(format!("{count} of its deliveries wait: decide about them first, or let them be read."))
            }
            (1, _) => Some("One bill of it counts: withdraw it first, and remove the source then.".into()),
            (count, _) => Some(format!("{count} bills of it count: withdraw them first, and remove the source then.")),
        }
    }
}

/// What a source holds; `None` where there is no such source.
pub async fn held(db: impl PgExecutor<'_>, source_id: i64) -> sqlx::Result<Option<Held>> {
    sqlx::query_as!(
        Held,
        r#"SELECT s.name, is_removed(s.source_id) AS "is_removed!",
             (SELECT count(*) FROM generation g WHERE g.source_id = s.source_id AND g.state = 'current')
                 AS "bill_count!",
             (SELECT count(*) FROM delivery d
              WHERE (d.source_id = s.source_id OR d.source_id IS NULL AND d.named_source = s.name)
                AND d.state IN ('waiting', 'loading', 'quarantined')) AS "waiting_count!",
             (SELECT count(*) FROM delivery d WHERE d.source_id = s.source_id) AS "delivery_count!"
           FROM source s WHERE s.source_id = $1"#,
        source_id
    )
    .fetch_optional(db)
    .await
}

/// Takes a source out of every list; one that never had a delivery goes as a whole.
pub async fn remove(conn: &mut PgConnection, source_id: i64, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM source s WHERE source_id = $1
           AND NOT EXISTS (SELECT FROM delivery d WHERE d.source_id = s.source_id OR d.named_source = s.name)
           AND NOT EXISTS (SELECT FROM generation g WHERE g.source_id = s.source_id)
           AND NOT EXISTS (SELECT FROM push_delivery p WHERE p.source_id = s.source_id)",
        source_id
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!("UPDATE source SET removed_at = $2 WHERE source_id = $1", source_id, now).execute(conn).await?;
    Ok(())
}
