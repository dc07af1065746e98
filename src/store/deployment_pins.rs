//! Which rules a deployment was matched by, and matches that somebody pinned: rules do not move these any more.

use super::pins::{Matching, Pin, PinPlace};
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

/// Where this deployment belongs now; none where there is no such.
pub async fn place(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<Option<PinPlace>> {
    sqlx::query_as!(
        PinPlace,
        r#"SELECT coalesce((SELECT array_agg(ds.service_id ORDER BY ds.service_id) FROM deployment_service ds
                            WHERE ds.deployment_id = d.deployment_id), '{}') AS "service_ids!",
                  d.environment_id
           FROM deployment d WHERE d.deployment_id = $1"#,
        deployment_id
    )
    .fetch_optional(conn)
    .await
}

/// Keeps a match as it is, whatever rules say from now on. Whoever pins it elsewhere moves it there first.
pub async fn pin(conn: &mut PgConnection, deployment_id: i64, by: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    let pinned = sqlx::query!(
        "INSERT INTO deployment_pin (deployment_id, pinned_by, pinned_at) VALUES ($1, $2, $3)
         ON CONFLICT (deployment_id) DO UPDATE SET pinned_by = excluded.pinned_by, pinned_at = excluded.pinned_at",
        deployment_id,
        by,
        now
    );
    pinned.execute(conn).await.map(drop)
}

/// Lets rules decide again. False where nobody pinned it.
pub async fn unpin(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<bool> {
    let gone = sqlx::query!("DELETE FROM deployment_pin WHERE deployment_id = $1", deployment_id);
    Ok(gone.execute(conn).await?.rows_affected() == 1)
}

/// Lets rules decide again about what is pinned to this service alone, which is about to go: a pin names one at least.
pub async fn forget_service(conn: &mut PgConnection, service_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM deployment_pin p USING deployment_service gone
         WHERE gone.service_id = $1 AND gone.deployment_id = p.deployment_id
           AND NOT EXISTS (SELECT FROM deployment_service other
                           WHERE other.deployment_id = p.deployment_id AND other.service_id <> $1)",
        service_id
    )
    .execute(conn)
    .await
    .map(drop)
}

// The macro takes the name of a type without arguments.
type DeploymentPin = Pin<i64>;

/// What is pinned, or the pin of this deployment alone, the latest first.
pub async fn list(conn: &mut PgConnection, of: Option<i64>, limit: i64) -> sqlx::Result<Vec<Pin<i64>>> {
    sqlx::query_as!(
        DeploymentPin,
        r#"SELECT d.deployment_id AS subject_id, d.external_id, s.name AS source_name, e.slug AS "environment_slug?",
                  coalesce((SELECT array_agg(v.slug ORDER BY v.slug)
                            FROM deployment_service ds JOIN service v USING (service_id)
                            WHERE ds.deployment_id = d.deployment_id), '{}') AS "service_slugs!",
                  p.pinned_by, p.pinned_at
           FROM deployment_pin p JOIN deployment d USING (deployment_id) JOIN event_source s USING (event_source_id)
           LEFT JOIN environment e USING (environment_id)
           WHERE $1::bigint IS NULL OR d.deployment_id = $1
           ORDER BY p.pinned_at DESC, d.deployment_id DESC LIMIT $2"#,
        of,
        limit
    )
    .fetch_all(conn)
    .await
}
