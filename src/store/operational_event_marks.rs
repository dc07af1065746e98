//! Operational events as charts mark them: counted by the bars of a chart, and only those read that a mark names. However
//! many there are, what is read of them grows with the bars alone.

use super::operational_events::{Filter, silent_since};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// How a chart divides time. All times lie on midnights, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// The start of its first bar.
    pub from: DateTime<Utc>,
    /// The end of its last bar; with `from`, where nothing is on the chart.
    pub until: DateTime<Utc>,
    /// Where a step begins, at `from` or before it.
    pub origin: DateTime<Utc>,
    /// Days of a step. A bar is a step, a part of one, or several.
    pub day_count: i32,
}

/// An event that a mark names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedEvent {
    /// Its number.
    pub operational_event_id: i64,
    /// `incident`, `feature_flag` and so on.
    pub kind: String,
    /// One line.
    pub title: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
}

/// The events that began in one step of a chart; or those that did not begin on it, but last into it or began since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedEvents {
    /// How many.
    pub count: usize,
    /// When the first of them began.
    pub first_at: DateTime<Utc>,
    /// When the last of them began.
    pub last_at: DateTime<Utc>,
    /// The first of them, in order of time.
    pub named: Vec<NamedEvent>,
}

/// Events counted by the steps of a chart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Those on the chart in order of time, then all others as one; no step without any.
    pub steps: Vec<CountedEvents>,
    /// There are older ones that are not counted.
    pub is_cut: bool,
}

impl EventCounts {
    /// How many were counted.
    pub fn count(&self) -> usize {
        self.steps.iter().map(|one| one.count).sum()
    }
}

/// Counts the newest, at most `limit`, and names so many of each step.
pub async fn counts(
    conn: &mut PgConnection,
    filter: &Filter<'_>,
    steps: Steps,
    limit: i64,
    named_count_max: i32,
) -> sqlx::Result<EventCounts> {
    let rows = sqlx::query!(
        // One more than are counted only says that there is one. Each is looked at once, and nothing but its place in the
        // index; what is read of an event is read of those that are named.
        r#"WITH newest AS MATERIALIZED (
               SELECT operational_event_id, started_at FROM operational_events_of($1, $2, $3, $4, $5, $6::bigint + 1)
           ), counted AS (
               SELECT kept.step_at, count(*) AS event_count, min(kept.started_at) AS first_at,
                   max(kept.started_at) AS last_at,
                   (array_agg(kept.operational_event_id ORDER BY kept.started_at, kept.operational_event_id))[:$11::integer]
                       AS named
               FROM (
                   SELECT operational_event_id, started_at,
                       CASE WHEN started_at >= $7 AND started_at < $8
                            THEN date_bin(make_interval(days => $9::integer), started_at, $10::timestamptz) END AS step_at
                   FROM newest ORDER BY started_at DESC, operational_event_id DESC LIMIT $6::bigint) kept
               GROUP BY kept.step_at
           )
           SELECT c.event_count AS "event_count!", c.first_at AS "first_at!", c.last_at AS "last_at!",
                  (SELECT count(*) FROM newest) > $6::bigint AS "is_cut!", named.place AS "place!",
                  o.operational_event_id AS "operational_event_id!", o.kind AS "kind!", o.title AS "title!",
                  o.started_at AS "started_at!"
           FROM counted c
           CROSS JOIN LATERAL unnest(c.named) WITH ORDINALITY AS named (operational_event_id, place)
           JOIN operational_event o ON o.operational_event_id = named.operational_event_id
           ORDER BY c.step_at NULLS LAST, named.place"#,
        filter.service_ids,
        filter.environment_id,
        filter.from,
        filter.until,
        silent_since(filter.now),
        limit,
        steps.from,
        steps.until,
        steps.day_count,
        steps.origin,
        named_count_max,
    )
    .fetch_all(conn)
    .await?;
    let mut counts = EventCounts::default();
    for row in rows {
        counts.is_cut = row.is_cut;
        if row.place == 1 {
            counts.steps.push(CountedEvents {
                count: row.event_count as usize,
                first_at: row.first_at,
                last_at: row.last_at,
                named: Vec::new(),
            });
        }
        let named = NamedEvent {
            operational_event_id: row.operational_event_id,
            kind: row.kind,
            title: row.title,
            started_at: row.started_at,
        };
        if let Some(step) = counts.steps.last_mut() {
            step.named.push(named);
        }
    }
    Ok(counts)
}
