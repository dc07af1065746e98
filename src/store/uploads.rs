//! Uploaded files that wait, and those that could not be read: what was acknowledged is kept until it is read, or
//! until nobody has asked for it for a month.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use std::path::PathBuf;

/// Days for which the file of a failed upload is kept.
pub const FAILED_KEPT_DAYS: i32 = 30;
/// What a receipt says of such a file.
pub const FILE_IS_KEPT: &str = "The uploaded file is kept for 30 days: try again.";
const FILE_IS_GONE: &str = "The uploaded file was deleted after 30 days: upload it again.";

/// The files that a job knows.
pub fn files(payload: &Value) -> Vec<PathBuf> {
    let more = payload.get("more_parts").and_then(Value::as_array).into_iter().flatten();
    payload.get("path").into_iter().chain(more).filter_map(Value::as_str).map(PathBuf::from).collect()
}

/// What the jobs know whose files are still wanted: they are open, or failed and may be tried again.
pub async fn wanted(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Value>> {
    sqlx::query_scalar!(
        "SELECT payload FROM job WHERE kind = 'import_upload' AND state IN ('waiting', 'running', 'failed')"
    )
    .fetch_all(db)
    .await
}

/// An upload failed at its last try.
pub async fn fail(db: impl PgExecutor<'_>, delivery_id: i64, error: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    let reason = format!("The import failed at every try: {error}. {FILE_IS_KEPT}");
    sqlx::query!(
        "UPDATE delivery SET state = 'failed', reason = $2, finished_at = $3,
             source_id = coalesce(source_id, (SELECT s.source_id FROM source s WHERE s.name = named_source))
         WHERE delivery_id = $1 AND state IN ('waiting', 'loading', 'failed')",
        delivery_id,
        reason,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Puts the failed upload of a delivery back into the queue. False where there is none.
pub async fn try_again(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<bool> {
    let asked = sqlx::query_scalar!(
        "UPDATE job SET state = 'waiting', attempts = 0, run_after = now(), finished_at = NULL, progress = ''
         WHERE kind = 'import_upload' AND key = $1 AND state = 'failed'
           AND NOT EXISTS (SELECT FROM job o WHERE o.kind = 'import_upload' AND o.key = $1
                           AND o.state IN ('waiting', 'running'))
           AND EXISTS (SELECT FROM delivery WHERE delivery_id = $2 AND state = 'failed')
         RETURNING job_id",
        delivery_id.to_string(),
        delivery_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if asked.is_none() {
        return Ok(false);
    }
    sqlx::query!(
        "UPDATE delivery SET state = 'waiting', reason = NULL, finished_at = NULL WHERE delivery_id = $1",
        delivery_id
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// Failed uploads that nobody asked for any more: their receipts say that the files go. Gives what the jobs know.
pub async fn expire(conn: &mut PgConnection) -> sqlx::Result<Vec<Value>> {
    let payloads = sqlx::query_scalar!(
        "DELETE FROM job WHERE kind = 'import_upload' AND state = 'failed'
           AND finished_at < now() - make_interval(days => $1)
         RETURNING payload",
        FAILED_KEPT_DAYS
    )
    .fetch_all(&mut *conn)
    .await?;
    let delivery_ids: Vec<i64> = payloads.iter().filter_map(|payload| payload.get("delivery_id")?.as_i64()).collect();
    sqlx::query!(
        "UPDATE delivery SET reason = replace(reason, $2, $3) WHERE delivery_id = ANY($1)",
        &delivery_ids,
        FILE_IS_KEPT,
        FILE_IS_GONE,
    )
    .execute(conn)
    .await?;
    Ok(payloads)
}
