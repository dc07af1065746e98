//! Files of bills that could not be read: what is said of them until they are mended, beyond the look that met them.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// The warning on the receipt of a file that is refused in its middle.
pub const INCOMPLETE: &str =
    "The file could not be read to its end: rows, totals and rejected lines are those up to there, and incomplete.";
/// Days for which they are pointed out; the list of deliveries has them for good.
pub const POINTED_OUT_DAYS: i32 = 30;
/// Files that are read at once.
const COUNT_MAX: i64 = 1_000;

/// A file of which nothing counts because it could not be read.
#[derive(Debug, Clone)]
pub struct UnreadFile {
    /// The source that it was handed in for, where that is there.
    pub source_id: Option<i64>,
    /// Its delivery.
    pub delivery_id: i64,
    /// Its name.
    pub file_name: String,
    /// Why.
    pub reason: Option<String>,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// Those of the last [`POINTED_OUT_DAYS`], by name and once each, of one source or of all. One whose name was read since
/// is mended.
pub async fn list(
    db: impl PgExecutor<'_>,
    source_id: Option<i64>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<UnreadFile>> {
    sqlx::query_as!(
        UnreadFile,
        "SELECT DISTINCT ON (d.source_id, d.file_name) d.source_id, d.delivery_id, d.file_name, d.reason, d.received_at
         FROM delivery d
         WHERE ($1::bigint IS NULL OR d.source_id = $1)
           AND d.state IN ('refused', 'failed')
           AND (d.state = 'failed' OR d.row_count = d.rejected_row_count OR $3::text = ANY (d.warnings))
           AND d.received_at > $2::timestamptz - make_interval(days => $4)
           AND NOT EXISTS (SELECT FROM delivery o
                           WHERE o.file_name = d.file_name AND o.source_id IS NOT DISTINCT FROM d.source_id
                             AND o.delivery_id > d.delivery_id AND o.state NOT IN ('refused', 'failed'))
         ORDER BY d.source_id, d.file_name, d.delivery_id DESC LIMIT $5",
        source_id,
        now,
        INCOMPLETE,
        POINTED_OUT_DAYS,
        COUNT_MAX,
    )
    .fetch_all(db)
    .await
}
