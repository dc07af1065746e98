//! One operational event with all that was told of it, and how it came to its services and environment.

use super::operational_event_lists::NamedService;
use super::operational_event_rows::{event_and_matching, select_matched};
use super::operational_events::{Listed, silent_since};
use super::pins::Matching;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// An operational event for its own page.
#[derive(Debug, Clone)]
pub struct EventDetail {
    /// The event.
    pub event: Listed,
    /// By which rules it was matched, and whether somebody pinned that.
    pub matching: Matching,
    /// Its services, by name.
    pub services: Vec<NamedService>,
    /// The address of its environment.
    pub environment_slug: Option<String>,
    /// Services as the sender names them.
    pub service_raw: Vec<String>,
    /// The environment as the sender names it.
    pub environment_raw: Option<String>,
    /// `owner/name`.
    pub repo: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// What the sender told beside that.
    pub attributes: serde_json::Value,
}

/// The event with this number, as it is known at this time; none where there is no such.
pub async fn get(
    conn: &mut PgConnection,
    operational_event_id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<EventDetail>> {
    let row = select_matched!(
        [r#"e.slug AS "environment_slug?", o.service_raw AS "service_raw!", o.environment_raw, o.repo, o.actor,
                  o.attributes AS "attributes!""#],
        ["o.operational_event_id = $2"],
        silent_since(now),
        operational_event_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (event, matching) = event_and_matching!(row);
    Ok(Some(EventDetail {
        event,
        matching,
        services: services(conn, operational_event_id).await?,
        environment_slug: row.environment_slug,
        service_raw: row.service_raw,
        environment_raw: row.environment_raw,
        repo: row.repo,
        actor: row.actor,
        attributes: row.attributes,
    }))
}

async fn services(conn: &mut PgConnection, operational_event_id: i64) -> sqlx::Result<Vec<NamedService>> {
    sqlx::query_as!(
        NamedService,
        "SELECT s.service_id, s.slug, s.name
         FROM operational_event_service os JOIN service s USING (service_id)
         WHERE os.operational_event_id = $1 ORDER BY s.name, s.service_id",
        operational_event_id
    )
    .fetch_all(conn)
    .await
}
