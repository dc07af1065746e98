//! Deployments: every status that was told is kept, and the row is what all of them together say.

use crate::events::{self, Derived, Event, Status, Told};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use sqlx::types::Json;

/// A deployment of which a status was told, or is told no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched {
    /// The deployment.
    pub deployment_id: i64,
    /// When it came to stand so.
    pub occurred_at: DateTime<Utc>,
}

/// Writes down what a sender told of a deployment, once: as told by the delivery that came first. Returns the deployment;
/// [`refresh`] it afterwards.
pub async fn tell(
    conn: &mut PgConnection,
    event_source_id: i64,
    event_delivery_id: i64,
    event: &Event,
    received_at: DateTime<Utc>,
) -> sqlx::Result<Touched> {
    let occurred_at = event.occurred_at.unwrap_or(received_at);
    let status = event.status.unwrap_or(Status::Unknown).as_str();
    let deployment_id = sqlx::query_scalar!(
        "INSERT INTO deployment (event_source_id, external_id, status, status_at, created_at, object)
         VALUES ($1, $2, $3, $4, $4, $5)
         ON CONFLICT (event_source_id, external_id) DO UPDATE SET external_id = excluded.external_id
         RETURNING deployment_id",
        event_source_id,
        event.key(),
        status,
        occurred_at,
        event.object,
    )
    .fetch_one(&mut *conn)
    .await?;
    // Of an object it may have been put to another of its deployments.
    sqlx::query!(
        "WITH same AS (
             SELECT s.deployment_status_id, s.event_delivery_id, s.received_at FROM deployment_status s
             WHERE s.deployment_id = $1 AND s.status_raw = $4 AND s.sequence = $5 AND s.occurred_at = $6 AND s.facts = $8
             UNION ALL
             SELECT s.deployment_status_id, s.event_delivery_id, s.received_at
             FROM deployment_status s JOIN deployment o USING (deployment_id)
             WHERE s.facts ->> 'object' = $10 AND o.event_source_id = $9
               AND s.status_raw = $4 AND s.sequence = $5 AND s.occurred_at = $6 AND s.facts = $8
             LIMIT 1),
         added AS (
             INSERT INTO deployment_status
                 (deployment_id, event_delivery_id, status, status_raw, sequence, occurred_at, received_at, facts)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE NOT EXISTS (SELECT FROM same)),
         taken AS (
             UPDATE deployment_status s SET event_delivery_id = $2, received_at = $7 FROM same
             WHERE s.deployment_status_id = same.deployment_status_id
               AND ($7, $2) < (same.received_at, same.event_delivery_id)
             RETURNING same.event_delivery_id)
         INSERT INTO deployment_status_repeat (deployment_status_id, event_delivery_id)
         SELECT deployment_status_id, coalesce((SELECT event_delivery_id FROM taken), $2)
         FROM same WHERE event_delivery_id <> $2 ON CONFLICT DO NOTHING",
        deployment_id,
        event_delivery_id,
        status,
        event.status_raw.as_deref().unwrap_or(status),
        event.sequence,
        occurred_at,
        received_at,
        facts(event),
        event_source_id,
        event.object,
    )
    .execute(conn)
    .await?;
    Ok(Touched { deployment_id, occurred_at })
}

/// Forgets what deliveries told, so that they can be read again; what another told too is that one's. Returns what they
/// told.
pub async fn forget_deliveries(conn: &mut PgConnection, event_delivery_ids: &[i64]) -> sqlx::Result<Vec<Touched>> {
    let mut touched = hand_over(conn, event_delivery_ids).await?;
    let forgotten = sqlx::query_as!(
        Touched,
        "DELETE FROM deployment_status WHERE event_delivery_id = ANY($1) RETURNING deployment_id, occurred_at",
        event_delivery_ids
    )
    .fetch_all(conn)
    .await?;
    touched.extend(forgotten);
    Ok(touched)
}

async fn hand_over(conn: &mut PgConnection, event_delivery_ids: &[i64]) -> sqlx::Result<Vec<Touched>> {
    sqlx::query!("DELETE FROM deployment_status_repeat WHERE event_delivery_id = ANY($1)", event_delivery_ids)
        .execute(&mut *conn)
        .await?;
    sqlx::query_as!(
        Touched,
        "WITH next AS (
             SELECT DISTINCT ON (r.deployment_status_id) r.deployment_status_id, r.event_delivery_id, e.received_at
             FROM deployment_status s JOIN deployment_status_repeat r USING (deployment_status_id)
             JOIN event_delivery e ON e.event_delivery_id = r.event_delivery_id
             WHERE s.event_delivery_id = ANY($1)
             ORDER BY r.deployment_status_id, e.received_at, r.event_delivery_id),
         taken AS (
             DELETE FROM deployment_status_repeat r USING next n
             WHERE r.deployment_status_id = n.deployment_status_id AND r.event_delivery_id = n.event_delivery_id)
         UPDATE deployment_status s SET event_delivery_id = n.event_delivery_id, received_at = n.received_at
         FROM next n WHERE s.deployment_status_id = n.deployment_status_id
         RETURNING s.deployment_id, s.occurred_at",
        event_delivery_ids
    )
    .fetch_all(conn)
    .await
}

/// Forgets what was told of one attempt at a deployment. Returns that.
pub async fn forget_attempt(
    conn: &mut PgConnection,
    event_source_id: i64,
    external_id: &str,
    sequence: i64,
) -> sqlx::Result<Vec<Touched>> {
    sqlx::query_as!(
        Touched,
        "DELETE FROM deployment_status s USING deployment d
         WHERE d.deployment_id = s.deployment_id AND d.event_source_id = $1 AND d.external_id = $2 AND s.sequence = $3
         RETURNING s.deployment_id, s.occurred_at",
        event_source_id,
        external_id,
        sequence
    )
    .fetch_all(conn)
    .await
}

/// Makes the row what its statuses say; one without any is removed. False where it was.
pub async fn refresh(conn: &mut PgConnection, deployment_id: i64) -> sqlx::Result<bool> {
    let told = sqlx::query!(
        r#"SELECT facts AS "facts: Json<Event>", received_at FROM deployment_status WHERE deployment_id = $1"#,
        deployment_id
    )
    .fetch_all(&mut *conn)
    .await?;
    let told: Vec<Told> =
        told.into_iter().map(|row| Told { event: row.facts.0, received_at: row.received_at }).collect();
    let Some(derived) = events::derive(&told) else {
        sqlx::query!("DELETE FROM deployment WHERE deployment_id = $1", deployment_id).execute(conn).await?;
        return Ok(false);
    };
    write(conn, deployment_id, &derived).await?;
    write_commits(conn, deployment_id, &derived.facts).await?;
    Ok(true)
}

async fn write(conn: &mut PgConnection, deployment_id: i64, derived: &Derived) -> sqlx::Result<()> {
    let facts = &derived.facts;
    sqlx::query!(
        "UPDATE deployment SET repo = $2, environment_raw = $3, service_raw = $4, attributes = $5, status = $6,
             status_at = $7, created_at = $8, started_at = $9, finished_at = $10, time_is_received = $11,
             attempts = $12, version = $13, sha = $14, ref = $15, title = $16, actor = $17, url = $18,
             environment_url = $19, kind_told = $20, strategy = $21, group_id = $22, artifact = $23, steps = $24
         WHERE deployment_id = $1",
        deployment_id,
        facts.repo,
        facts.environment,
        &facts.services,
        attributes(facts),
        derived.status.as_str(),
        derived.status_at,
        derived.created_at,
        derived.started_at,
        derived.finished_at,
        derived.time_is_received,
        derived.attempts,
        facts.version,
        facts.sha,
        facts.reference,
        facts.title,
        facts.actor,
        facts.url.as_ref().or(facts.api_url.as_ref()),
        facts.environment_url,
        facts.deployment_kind,
        facts.strategy,
        facts.group_id,
        facts.artifact,
        json!(facts.steps),
    )
    .execute(conn)
    .await
    .map(drop)
}

// A sender that tells of one commit does so beside the list.
async fn write_commits(conn: &mut PgConnection, deployment_id: i64, facts: &Event) -> sqlx::Result<()> {
    let (mut repos, mut shas): (Vec<String>, Vec<String>) =
        facts.commits.iter().map(|commit| (commit.repo.clone(), commit.sha.clone())).unzip();
    if let Some(sha) = facts.sha.as_ref().filter(|sha| !shas.contains(sha)) {
        repos.push(facts.repo.clone().unwrap_or_default());
        shas.push(sha.clone());
    }
    sqlx::query!(
        "DELETE FROM deployment_commit WHERE deployment_id = $1
           AND (repo, sha) NOT IN (SELECT * FROM unnest($2::text[], $3::text[]))",
        deployment_id,
        &repos,
        &shas
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO deployment_commit (deployment_id, repo, sha)
         SELECT $1, repo, sha FROM unnest($2::text[], $3::text[]) AS c (repo, sha) ON CONFLICT DO NOTHING",
        deployment_id,
        &repos,
        &shas
    )
    .execute(conn)
    .await
    .map(drop)
}

// Mapping rules look at the pipeline, its path and the kind of environment like at what the sender added.
pub(super) fn attributes(facts: &Event) -> Value {
    let mut attributes: Map<String, Value> =
        facts.attributes.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let own =
        [("pipeline", &facts.pipeline), ("path", &facts.path), (events::ENVIRONMENT_KIND, &facts.environment_kind)];
    for (key, value) in own {
        if let Some(value) = value {
            attributes.insert(key.into(), json!(value));
        }
    }
    Value::Object(attributes)
}

// Without what was not said: most of an event is empty.
pub(super) fn facts(event: &Event) -> Value {
    match json!(event) {
        Value::Object(mut fields) => {
            fields.retain(|_, value| !matches!(value, Value::Null | Value::Bool(false)));
            Value::Object(fields)
        }
        other => other,
    }
}
