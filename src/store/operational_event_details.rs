//! One operational event with all that was told of it, and how it came to its services and environment.

use super::operational_event_lists::NamedService;
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
    let row = sqlx::query!(
        r#"SELECT o.kind AS "kind!", o.status AS "status!", o.severity, o.title AS "title!",
                  o.started_at AS "started_at!", o.ended_at, lost.at AS "last_mention_at?",
                  o.time_is_received AS "time_is_received!", o.url, s.name AS "source_name!",
                  e.name AS "environment_name?", e.slug AS "environment_slug?", o.service_raw AS "service_raw!",
                  o.environment_raw, o.repo, o.actor, o.attributes AS "attributes!",
                  o.service_rule_id, sr.note AS "service_rule_note?",
                  o.environment_rule_id, er.note AS "environment_rule_note?",
                  p.pinned_by AS "pinned_by?", p.pinned_at AS "pinned_at?"
           FROM operational_event o JOIN event_source s USING (event_source_id)
           LEFT JOIN environment e USING (environment_id)
           LEFT JOIN mapping_rule sr ON sr.mapping_rule_id = o.service_rule_id
           LEFT JOIN mapping_rule er ON er.mapping_rule_id = o.environment_rule_id
           LEFT JOIN operational_event_pin p
               ON p.event_source_id = o.event_source_id AND p.external_id = o.external_id
           LEFT JOIN LATERAL (
               SELECT known.at FROM lost_ends(o.operational_event_id, $2) known
               WHERE o.ended_at IS NULL AND o.kind = 'incident') lost ON true
           WHERE o.operational_event_id = $1"#,
        operational_event_id,
        silent_since(now),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(EventDetail {
        event: Listed {
            operational_event_id,
            kind: row.kind,
            status: row.status,
            severity: row.severity,
            title: row.title,
            started_at: row.started_at,
            ended_at: row.ended_at,
            last_mention_at: row.last_mention_at,
            time_is_received: row.time_is_received,
            url: row.url,
            source_name: row.source_name,
            environment_name: row.environment_name,
        },
        matching: Matching {
            service_rule_id: row.service_rule_id,
            service_rule_note: row.service_rule_note,
            environment_rule_id: row.environment_rule_id,
            environment_rule_note: row.environment_rule_note,
            pinned_by: row.pinned_by,
            pinned_at: row.pinned_at,
        },
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
