//! What stands beside deployments and cost: all that was told is kept, and the row is what it says together.

use super::deployments::{attributes, facts};
use crate::events::{self, Context, Event, Told};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

/// An alert that its sender has not mentioned for so many days is over, whether or not that was told. Alertmanager repeats
/// what fires every four hours, or as `repeat_interval` says, and after five days at the latest: then it has forgotten
/// that it sent it (`--data.retention`).
const SILENT_DAYS: i64 = 7;

/// What was mentioned last before this is over.
pub fn silent_since(now: DateTime<Utc>) -> DateTime<Utc> {
    now - TimeDelta::days(SILENT_DAYS)
}

/// Writes down what a sender told of an operational event, once: as told by the delivery that came first. Returns the
/// event; [`refresh`] it afterwards.
pub async fn tell(
    conn: &mut PgConnection,
    event_source_id: i64,
    event_delivery_id: i64,
    event: &Event,
    received_at: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let occurred_at = event.occurred_at.unwrap_or(received_at);
    let operational_event_id = sqlx::query_scalar!(
        "INSERT INTO operational_event
             (event_source_id, external_id, kind, status, title, started_at, time_is_received)
         VALUES ($1, $2, $3, 'unknown', '', $4, false)
         ON CONFLICT (event_source_id, external_id) DO UPDATE SET external_id = excluded.external_id
         RETURNING operational_event_id",
        event_source_id,
        event.key(),
        event.kind.as_str(),
        occurred_at,
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        "WITH same AS (
             SELECT operational_event_status_id, event_delivery_id, received_at FROM operational_event_status
             WHERE operational_event_id = $1 AND occurred_at = $3 AND facts = $5 LIMIT 1),
         added AS (
             INSERT INTO operational_event_status
                 (operational_event_id, event_delivery_id, occurred_at, received_at, facts)
             SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT FROM same)),
         taken AS (
             UPDATE operational_event_status s SET event_delivery_id = $2, received_at = $4 FROM same
             WHERE s.operational_event_status_id = same.operational_event_status_id
               AND ($4, $2) < (same.received_at, same.event_delivery_id)
             RETURNING same.event_delivery_id)
         INSERT INTO operational_event_status_repeat (operational_event_status_id, event_delivery_id)
         SELECT operational_event_status_id, coalesce((SELECT event_delivery_id FROM taken), $2)
         FROM same WHERE event_delivery_id <> $2 ON CONFLICT DO NOTHING",
        operational_event_id,
        event_delivery_id,
        occurred_at,
        received_at,
        facts(event),
    )
    .execute(conn)
    .await?;
    Ok(operational_event_id)
}

/// Forgets what deliveries told, so that they can be read again; what another told too is that one's. Returns the events
/// that they told of.
pub async fn forget_deliveries(conn: &mut PgConnection, event_delivery_ids: &[i64]) -> sqlx::Result<Vec<i64>> {
    let mut touched = hand_over(conn, event_delivery_ids).await?;
    let forgotten = sqlx::query_scalar!(
        "DELETE FROM operational_event_status WHERE event_delivery_id = ANY($1) RETURNING operational_event_id",
        event_delivery_ids
    )
    .fetch_all(conn)
    .await?;
    touched.extend(forgotten);
    Ok(touched)
}

async fn hand_over(conn: &mut PgConnection, event_delivery_ids: &[i64]) -> sqlx::Result<Vec<i64>> {
    sqlx::query!("DELETE FROM operational_event_status_repeat WHERE event_delivery_id = ANY($1)", event_delivery_ids)
        .execute(&mut *conn)
        .await?;
    sqlx::query_scalar!(
        "WITH next AS (
             SELECT DISTINCT ON (r.operational_event_status_id) r.operational_event_status_id, r.event_delivery_id,
                    e.received_at
             FROM operational_event_status s JOIN operational_event_status_repeat r USING (operational_event_status_id)
             JOIN event_delivery e ON e.event_delivery_id = r.event_delivery_id
             WHERE s.event_delivery_id = ANY($1)
             ORDER BY r.operational_event_status_id, e.received_at, r.event_delivery_id),
         taken AS (
             DELETE FROM operational_event_status_repeat r USING next n
             WHERE r.operational_event_status_id = n.operational_event_status_id
               AND r.event_delivery_id = n.event_delivery_id)
         UPDATE operational_event_status s SET event_delivery_id = n.event_delivery_id, received_at = n.received_at
         FROM next n WHERE s.operational_event_status_id = n.operational_event_status_id
         RETURNING s.operational_event_id",
        event_delivery_ids
    )
    .fetch_all(conn)
    .await
}

/// Makes the row what was told; one of which nothing is left is removed. False where it was.
pub async fn refresh(conn: &mut PgConnection, operational_event_id: i64) -> sqlx::Result<bool> {
    let told = sqlx::query!(
        r#"SELECT facts AS "facts: Json<Event>", received_at FROM operational_event_status
           WHERE operational_event_id = $1"#,
        operational_event_id
    )
    .fetch_all(&mut *conn)
    .await?;
    let told: Vec<Told> =
        told.into_iter().map(|row| Told { event: row.facts.0, received_at: row.received_at }).collect();
    match events::derive_context(&told) {
        Some(context) => write(conn, operational_event_id, &context).await.map(|()| true),
        None => {
            sqlx::query!("DELETE FROM operational_event WHERE operational_event_id = $1", operational_event_id)
                .execute(conn)
                .await?;
            Ok(false)
        }
    }
}

async fn write(conn: &mut PgConnection, operational_event_id: i64, context: &Context) -> sqlx::Result<()> {
    let facts = &context.facts;
    // Where no service is named, the pipeline, workspace or project stands for it: rules may know it.
    let services = if facts.services.is_empty() { facts.service_hint.as_slice() } else { facts.services.as_slice() };
    sqlx::query!(
        "UPDATE operational_event SET kind = $2, status = $3, severity = $4, title = $5, started_at = $6,
             ended_at = $7, time_is_received = $8, actor = $9, url = $10, repo = $11, environment_raw = $12,
             service_raw = $13, attributes = $14
         WHERE operational_event_id = $1",
        operational_event_id,
        context.kind.as_str(),
        context.status,
        context.severity,
        context.title,
        context.started_at,
        context.ended_at,
        context.time_is_received,
        facts.actor,
        facts.url.as_ref().or(facts.api_url.as_ref()),
        facts.repo,
        facts.environment,
        services,
        attributes(facts),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Which operational events. Those without an environment are of all of them.
#[derive(Debug, Clone)]
pub struct Filter<'a> {
    /// Of these services; of any and of none where nothing is given.
    pub service_ids: Option<&'a [i64]>,
    /// Of this environment; of any where none is given.
    pub environment_id: Option<i64>,
    /// That last into this time.
    pub from: DateTime<Utc>,
    /// That began before this time.
    pub until: DateTime<Utc>,
    /// As it is known at this time: an alert that is mentioned no more lasts no longer.
    pub now: DateTime<Utc>,
}

/// An operational event in a list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its number.
    pub operational_event_id: i64,
    /// `incident`, `feature_flag` and so on.
    pub kind: String,
    /// The sender's word.
    pub status: String,
    /// Of an incident.
    pub severity: Option<String>,
    /// One line.
    pub title: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was over.
    pub ended_at: Option<DateTime<Utc>>,
    /// Of an alert whose end was never told: when it was mentioned last.
    pub last_mention_at: Option<DateTime<Utc>>,
    /// The time is that of receipt.
    pub time_is_received: bool,
    /// Its page at the sender.
    pub url: Option<String>,
    /// Who told of it.
    pub source_name: String,
    /// Where a rule found one.
    pub environment_name: Option<String>,
}

impl Listed {
    /// `incident`, `feature flag`, …
    pub fn kind_in_words(&self) -> &'static str {
        kind_in_words(&self.kind)
    }
}

/// `incident`, `feature flag`, …
pub fn kind_in_words(kind: &str) -> &'static str {
    match kind {
        "incident" => "incident",
        "feature_flag" => "feature flag",
        "infra_change" => "infrastructure change",
        "scale" => "autoscaling",
        "environment" => "environment",
        _ => "marker",
    }
}

/// The events, the latest first.
pub async fn list(conn: &mut PgConnection, filter: &Filter<'_>, limit: i64) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        r#"SELECT o.operational_event_id AS "operational_event_id!", o.kind AS "kind!", o.status AS "status!", o.severity,
                  o.title AS "title!", o.started_at AS "started_at!", o.ended_at,
                  CASE WHEN o.ended_at IS NULL AND o.kind = 'incident'
                       THEN (SELECT lost.at FROM lost_ends(o.operational_event_id, $6) lost) END AS "last_mention_at?",
                  o.time_is_received AS "time_is_received!", o.url, s.name AS "source_name!", e.name AS "environment_name?"
           FROM operational_events_of($1, $2, $3, $4, $6, $5) own
           JOIN operational_event o ON o.operational_event_id = own.operational_event_id
           JOIN event_source s ON s.event_source_id = o.event_source_id
           LEFT JOIN environment e ON e.environment_id = o.environment_id
           ORDER BY o.started_at DESC, o.operational_event_id DESC"#,
        filter.service_ids,
        filter.environment_id,
        filter.from,
        filter.until,
        limit,
        silent_since(filter.now),
    )
    .fetch_all(conn)
    .await
}

/// How many there are, and how many of these belong to no service yet.
pub async fn counts(conn: &mut PgConnection) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "all!", count(*) FILTER (WHERE NOT EXISTS (
                      SELECT FROM operational_event_service os
                      WHERE os.operational_event_id = o.operational_event_id)) AS "unmapped!"
           FROM operational_event o"#
    )
    .fetch_one(conn)
    .await?;
    Ok((row.all, row.unmapped))
}
