//! Operational events page by page, each with the rules that placed it.

use super::catalogue::ENTRY_READ_MAX;
use super::limits;
use super::operational_event_rows::{event_and_matching, select_matched};
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
    let rows = select_matched!(
        [r#"coalesce((SELECT array_agg(v.name ORDER BY v.name)
                            FROM operational_event_service os JOIN service v USING (service_id)
                            WHERE os.operational_event_id = o.operational_event_id), '{}') AS "service_names!""#],
        [r#"($2::bigint[] IS NULL
                  OR EXISTS (SELECT FROM operational_event_service os
                             WHERE os.operational_event_id = o.operational_event_id AND os.service_id = ANY($2)))
             AND ($3::bigint IS NULL OR o.environment_id IS NULL OR o.environment_id = $3)
             -- Few days are found by the span, many by the time; the latter says the same once more.
             AND tstzrange(o.started_at, o.ended_at, '[]') && tstzrange($4, $5)
             -- Of what began before these days it is asked whether it lasts, of each by itself: an alert that is mentioned no
             -- more lasts no longer.
             AND ($4::timestamptz IS NULL OR o.started_at >= $4 OR o.ended_at IS NOT NULL OR o.kind <> 'incident'
                  OR coalesce((SELECT lost.at FROM lost_ends(o.operational_event_id, $1) lost), 'infinity') >= $4)
             AND ($5::timestamptz IS NULL OR o.started_at < $5)
             AND ($6::timestamptz IS NULL OR (o.started_at, o.operational_event_id) < ($6, $7::bigint))
           ORDER BY o.started_at DESC, o.operational_event_id DESC LIMIT $8"#],
        silent_since(filter.now),
        filter.service_ids.as_deref(),
        filter.environment_id,
        filter.from,
        filter.until,
        older_than.map(|(at, _)| at),
        older_than.map(|(_, id)| id),
        limit,
    )
    .fetch_all(conn)
    .await?;
    let matched = rows.into_iter().map(|row| {
        let service_names = row.service_names;
        let (event, matching) = event_and_matching!(row);
        MatchedEvent { event, service_names, matching }
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
