//! Versions that exist. A release never goes live by itself.

use crate::events::Event;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Records what happened to a release. Of two actions the later one holds; an edit changes what is shown of it
/// and not how it stands.
pub async fn upsert(conn: &mut PgConnection, repo: &str, event: &Event, state_at: DateTime<Utc>) -> sqlx::Result<()> {
    let action = event.status_raw.as_deref().unwrap_or("edited");
    let is_edit = action == "edited";
    let state = match (is_edit, event.draft) {
        (false, _) => action,
        (true, true) => "created",
        (true, false) => "published",
    };
    sqlx::query!(
        "INSERT INTO release (repo, tag, external_id, sha, state, prerelease, state_at, published_at, title, url)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (repo, external_id) DO UPDATE SET tag = excluded.tag, sha = excluded.sha,
             state = CASE WHEN $11 THEN release.state ELSE excluded.state END, prerelease = excluded.prerelease,
             state_at = excluded.state_at, published_at = excluded.published_at, title = excluded.title,
             url = excluded.url
         WHERE excluded.state_at >= release.state_at",
        repo,
        event.version.as_deref().unwrap_or_default(),
        event.external_id,
        event.sha,
        state,
        event.prerelease,
        state_at,
        event.finished_at,
        event.title,
        event.url,
        is_edit,
    )
    .execute(conn)
    .await
    .map(drop)
}
