//! Versions that exist. A release never goes live by itself.

use crate::events::Event;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Records what happened to a release, so that the order in which it came is no matter. Of two actions the later
/// one holds; without times, as older payloads come, the one that is further along. An edit changes what is shown of
/// it and not how it stands.
pub async fn upsert(
    conn: &mut PgConnection,
    repo: &str,
    event: &Event,
    received_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (state, rank) = standing(event);
    let told_at = event.occurred_at.filter(|_| !event.time_is_received);
    let state_at = told_at.filter(|_| !is_edit(event));
    let release_id = sqlx::query_scalar!(
        "INSERT INTO release (repo, tag, external_id, sha, state, prerelease, state_at, state_rank, facts_at,
             facts_received_at, published_at, title, url)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (repo, external_id) DO UPDATE SET repo = excluded.repo RETURNING release_id",
        repo,
        event.version.as_deref().unwrap_or_default(),
        event.external_id,
        event.sha,
        state,
        event.prerelease,
        state_at,
        rank,
        told_at,
        received_at,
        event.finished_at,
        event.title,
        event.url,
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE release SET state = $2, state_at = $3, state_rank = $4
         WHERE release_id = $1
           AND (coalesce(state_at, '-infinity'), state_rank) < (coalesce($3::timestamptz, '-infinity'), $4::smallint)",
        release_id,
        state,
        state_at,
        rank,
    )
    .execute(&mut *conn)
    .await?;
    write_facts(conn, release_id, event, told_at, received_at).await
}

/// Deletes the rows of these releases, repository and id by repository and id.
pub async fn delete(conn: &mut PgConnection, repos: &[String], external_ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM release r USING unnest($1::text[], $2::text[]) AS gone (repo, external_id)
         WHERE r.repo = gone.repo AND r.external_id = gone.external_id",
        repos,
        external_ids
    )
    .execute(conn)
    .await
    .map(drop)
}

async fn write_facts(
    conn: &mut PgConnection,
    release_id: i64,
    event: &Event,
    told_at: Option<DateTime<Utc>>,
    received_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE release SET tag = $2, sha = $3, prerelease = $4, facts_at = $5, facts_received_at = $6,
             published_at = coalesce($7, published_at), title = $8, url = $9
         WHERE release_id = $1
           AND (coalesce(facts_at, '-infinity'), facts_received_at) <= (coalesce($5::timestamptz, '-infinity'), $6::timestamptz)",
        release_id,
        event.version.as_deref().unwrap_or_default(),
        event.sha,
        event.prerelease,
        told_at,
        received_at,
        event.finished_at,
        event.title,
        event.url,
    )
    .execute(conn)
    .await
    .map(drop)
}

fn is_edit(event: &Event) -> bool {
    event.status_raw.as_deref().is_none_or(|action| matches!(action, "edited" | "update"))
}

// How a release stands by this action, and how far along that is.
fn standing(event: &Event) -> (&str, i16) {
    let action = event.status_raw.as_deref().unwrap_or("edited");
    match action {
        "edited" if event.draft => ("created", 0),
        "edited" => ("published", 1),
        // GitLab's words: what it calls "create" is published at once.
        "create" => ("published", 3),
        "update" => ("published", 1),
        "delete" => ("deleted", 7),
        "created" => (action, 2),
        "published" => (action, 3),
        "prereleased" => (action, 4),
        "released" => (action, 5),
        "unpublished" => (action, 6),
        "deleted" => (action, 7),
        _ => (action, 1),
    }
}
