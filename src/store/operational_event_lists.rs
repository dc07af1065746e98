//! Operational events page by page, each with the rules that placed it.

use super::catalogue::ENTRY_READ_MAX;
use super::limits;
use super::operational_events::{Listed, silent_since};
use super::pins::Matching;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Which operational events. Those without an environment are of all of them.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Of these services; of any and of none where nothing is given.
    pub service_ids: Option<Vec<i64>>,
    /// Of this environment; of any where none is given.
    pub environment_id: Option<i64>,
    /// That last into this time.
    pub from: Option<DateTime<Utc>>,
    /// That began before this time.
    pub until: Option<DateTime<Utc>>,
    /// As it is known at this time: an alert that is mentioned no more lasts no longer.
    pub now: DateTime<Utc>,
}

/// An operational event, and how it came to its services and environment.
#[derive(Debug, Clone)]
pub struct MatchedEvent {
    /// The event.
    pub event: Listed,
    /// Services that it belongs to.
    pub service_names: Vec<String>,
    /// By which rules.
    pub matching: Matching,
}

/// The events that come after this place, or all, the latest first.
pub async fn list(
    conn: &mut PgConnection,
    filter: &ListFilter,
    older_than: Option<(DateTime<Utc>, i64)>,
    limit: i64,
) -> sqlx::Result<Vec<MatchedEvent>> {
    let rows = sqlx::query!(
        r#"SELECT o.operational_event_id AS "operational_event_id!", o.kind AS "kind!", o.status AS "status!", o.severity,
                  o.title AS "title!", o.started_at AS "started_at!", o.ended_at,
                  CASE WHEN o.ended_at IS NULL AND o.kind = 'incident'
                       THEN (SELECT lost.at FROM lost_ends(o.operational_event_id, $8) lost) END AS "last_mention_at?",
                  o.time_is_received AS "time_is_received!", o.url, s.name AS "source_name!",
                  e.name AS "environment_name?", o.service_rule_id, sr.note AS "service_rule_note?",
                  o.environment_rule_id, er.note AS "environment_rule_note?", p.pinned_by AS "pinned_by?",
                  p.pinned_at AS "pinned_at?",
                  coalesce((SELECT array_agg(v.name ORDER BY v.name)
                            FROM operational_event_service os JOIN service v USING (service_id)
                            WHERE os.operational_event_id = o.operational_event_id), '{}') AS "service_names!"
           FROM operational_event o JOIN event_source s USING (event_source_id)
           LEFT JOIN environment e USING (environment_id)
           LEFT JOIN mapping_rule sr ON sr.mapping_rule_id = o.service_rule_id
           LEFT JOIN mapping_rule er ON er.mapping_rule_id = o.environment_rule_id
           LEFT JOIN operational_event_pin p
               ON p.event_source_id = o.event_source_id AND p.external_id = o.external_id
           WHERE ($1::bigint[] IS NULL
                  OR EXISTS (SELECT FROM operational_event_service os
                             WHERE os.operational_event_id = o.operational_event_id AND os.service_id = ANY($1)))
             AND ($2::bigint IS NULL OR o.environment_id IS NULL OR o.environment_id = $2)
             -- Few days are found by the span, many by the time; the latter says the same once more.
             AND tstzrange(o.started_at, o.ended_at, '[]') && tstzrange($3, $4)
             -- Of what began before these days it is asked whether it lasts, of each by itself: an alert that is mentioned no
             -- more lasts no longer.
             AND ($3::timestamptz IS NULL OR o.started_at >= $3 OR o.ended_at IS NOT NULL OR o.kind <> 'incident'
                  OR coalesce((SELECT lost.at FROM lost_ends(o.operational_event_id, $8) lost), 'infinity') >= $3)
             AND ($4::timestamptz IS NULL OR o.started_at < $4)
             AND ($5::timestamptz IS NULL OR (o.started_at, o.operational_event_id) < ($5, $6::bigint))
           ORDER BY o.started_at DESC, o.operational_event_id DESC LIMIT $7"#,
        filter.service_ids.as_deref(),
        filter.environment_id,
        filter.from,
        filter.until,
        older_than.map(|(at, _)| at),
        older_than.map(|(_, id)| id),
        limit,
        silent_since(filter.now),
    )
    .fetch_all(conn)
    .await?;
    let matched = rows.into_iter().map(|row| MatchedEvent {
        event: Listed {
            operational_event_id: row.operational_event_id,
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
        service_names: row.service_names,
        matching: Matching {
            service_rule_id: row.service_rule_id,
            service_rule_note: row.service_rule_note,
            environment_rule_id: row.environment_rule_id,
            environment_rule_note: row.environment_rule_note,
            pinned_by: row.pinned_by,
            pinned_at: row.pinned_at,
        },
    });
    Ok(matched.collect())
}

/// How many events there are on all pages, counted up to a bound: each page says it, and there may be very many. In the
/// order of the list, so that they are found as its rows are.
pub async fn count(conn: &mut PgConnection, filter: &ListFilter, count_max: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT FROM operational_event o
               WHERE ($1::bigint[] IS NULL
                      OR EXISTS (SELECT FROM operational_event_service os
                                 WHERE os.operational_event_id = o.operational_event_id AND os.service_id = ANY($1)))
                 AND ($2::bigint IS NULL OR o.environment_id IS NULL OR o.environment_id = $2)
                 AND tstzrange(o.started_at, o.ended_at, '[]') && tstzrange($3, $4)
                 AND ($3::timestamptz IS NULL OR o.started_at >= $3 OR o.ended_at IS NOT NULL OR o.kind <> 'incident'
                      OR coalesce((SELECT lost.at FROM lost_ends(o.operational_event_id, $6) lost), 'infinity') >= $3)
                 AND ($4::timestamptz IS NULL OR o.started_at < $4)
               ORDER BY o.started_at DESC LIMIT $5) counted"#,
        filter.service_ids.as_deref(),
        filter.environment_id,
        filter.from,
        filter.until,
        count_max,
        silent_since(filter.now),
    )
    .fetch_one(conn)
    .await
}

/// A service that a list is of.
#[derive(Debug, Clone)]
pub struct NamedService {
    /// Its number.
    pub service_id: i64,
    /// Its address.
    pub slug: String,
    /// What people call it.
    pub name: String,
}

/// The services with these addresses, by name; those that do not exist are left out.
pub async fn services(conn: &mut PgConnection, slugs: &[String]) -> sqlx::Result<Vec<NamedService>> {
    sqlx::query_as!(
        NamedService,
        "SELECT service_id, slug, name FROM service WHERE slug = ANY($1) ORDER BY name",
        slugs
    )
    .fetch_all(conn)
    .await
}

/// The services of a team, by name.
pub async fn services_of_team(conn: &mut PgConnection, team_id: i64) -> sqlx::Result<Vec<NamedService>> {
    let rows = sqlx::query_as!(
        NamedService,
        "SELECT service_id, slug, name FROM service WHERE team_id = $1 ORDER BY name, service_id LIMIT $2",
        team_id,
        ENTRY_READ_MAX + 1
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ENTRY_READ_MAX, "services of a team")
}
