//! Which rules a deployment was matched by, and matches that somebody pinned: rules do not move these any more.

use super::pins::{Matching, Pin};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// How this deployment was matched; none where there is no such.
pub async fn matching(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<Option<Matching>> {
    sqlx::query_as!(
        Matching,
        r#"SELECT d.service_rule_id, s.note AS "service_rule_note?", d.environment_rule_id,
                  e.note AS "environment_rule_note?", p.pinned_by AS "pinned_by?", p.pinned_at AS "pinned_at?"
           FROM deployment d
           LEFT JOIN mapping_rule s ON s.mapping_rule_id = d.service_rule_id
           LEFT JOIN mapping_rule e ON e.mapping_rule_id = d.environment_rule_id
           LEFT JOIN deployment_pin p ON p.deployment_id = d.deployment_id
           WHERE d.deployment_id = $1"#,
        deployment_id
    )
    .fetch_optional(conn)
    .await
}

/// Keeps a match as it is, whatever rules say from now on. False where it was pinned already.
pub async fn pin(conn: &mut PgConnection, deployment_id: i64, by: &str, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let pinned = sqlx::query!(
        "INSERT INTO deployment_pin (deployment_id, pinned_by, pinned_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        deployment_id,
        by,
        now
    );
    Ok(pinned.execute(conn).await?.rows_affected() == 1)
}

/// Lets rules decide again. False where nobody pinned it.
pub async fn unpin(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<bool> {
    let gone = sqlx::query!("DELETE FROM deployment_pin WHERE deployment_id = $1", deployment_id);
    Ok(gone.execute(conn).await?.rows_affected() == 1)
}

// The macro takes the name of a type without arguments.
type DeploymentPin = Pin<i64>;

/// What is pinned, the latest first.
pub async fn list(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Pin<i64>>> {
    sqlx::query_as!(
        DeploymentPin,
        r#"SELECT d.deployment_id AS subject_id, d.external_id, s.name AS source_name, e.slug AS "environment_slug?",
                  coalesce((SELECT array_agg(v.slug ORDER BY v.slug)
                            FROM deployment_service ds JOIN service v USING (service_id)
                            WHERE ds.deployment_id = d.deployment_id), '{}') AS "service_slugs!",
                  p.pinned_by, p.pinned_at
           FROM deployment_pin p JOIN deployment d USING (deployment_id) JOIN event_source s USING (event_source_id)
           LEFT JOIN environment e USING (environment_id)
           ORDER BY p.pinned_at DESC, d.deployment_id DESC LIMIT $1"#,
        limit
    )
    .fetch_all(conn)
    .await
}
