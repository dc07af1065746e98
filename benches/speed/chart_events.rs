//! What a year of operational events costs on the page of their service: as a whole, and in the database.

use crate::pages::{SLUG, Target, opened, percentile};
use crate::server::Server;
use anyhow::Context;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use costwake::store::operational_event_marks::{self, Steps};
use costwake::store::operational_events::{self, Filter};
use sqlx::{Connection, PgConnection};
use std::fmt;
use std::time::Instant;

/// Years that nobody looked at before, each a day earlier than the one before.
const YEAR_COUNT: u64 = 25;
const YEAR_DAYS: u64 = 365;
/// 6,000 events of the service, every 87 minutes of a year. Every tenth is an alert whose end was never told: since
/// when it is mentioned no more is looked up for each page.
const EVENTS: [&str; 5] = [
    "INSERT INTO event_source (name, kind) VALUES ('bench-alerts', 'alertmanager')",
    "INSERT INTO operational_event
         (event_source_id, external_id, kind, status, title, started_at, ended_at, time_is_received)
     SELECT s.event_source_id, 'bench-' || n, CASE WHEN is_alert THEN 'incident' ELSE 'marker' END,
         CASE WHEN is_alert THEN 'firing' ELSE 'done' END, 'Event number ' || n, at,
         CASE WHEN NOT is_alert THEN at END, false
     FROM (SELECT n, n % 10 = 0 AS is_alert, '2025-11-01T00:00:00Z'::timestamptz + n * interval '87 minutes' AS at
           FROM generate_series(0, 5999) n) x
     JOIN event_source s ON s.name = CASE WHEN is_alert THEN 'bench-alerts' ELSE 'api' END",
    "INSERT INTO event_delivery
         (event_source_id, dedupe_key, event_name, headers, body, body_sha256, received_at, state, repeated_at)
     SELECT event_source_id, external_id, 'firing', '{}', '', '', started_at, 'done', started_at + interval '4 hours'
     FROM operational_event WHERE external_id LIKE 'bench-%' AND kind = 'incident'",
    "INSERT INTO operational_event_status (operational_event_id, event_delivery_id, occurred_at, received_at, facts)
     SELECT o.operational_event_id, d.event_delivery_id, o.started_at, d.received_at, '{}'
     FROM operational_event o
     JOIN event_delivery d ON d.event_source_id = o.event_source_id AND d.dedupe_key = o.external_id
     WHERE o.external_id LIKE 'bench-%' AND o.kind = 'incident'",
    "INSERT INTO operational_event_service (operational_event_id, service_id, started_at)
     SELECT operational_event_id, service_id, started_at FROM operational_event, service
     WHERE external_id LIKE 'bench-%' AND slug = 'app000'",
];

/// What the page asks for: the newest it lists and one more, all that it counts, and those that a mark names.
const LISTED_COUNT: i64 = 51;
const COUNTED_MAX: i64 = 10_000;
const NAMED_MAX: i32 = 5;

/// What was measured of pages that are read anew; times in milliseconds, the middle of several.
pub struct ChartEvents {
    /// The page of a year without any event.
    pub without_ms: f64,
    /// The page of a year with all of them.
    pub with_ms: f64,
    /// Of that, the database's part: listing the newest and counting all by weeks.
    pub queries_ms: f64,
    /// Bytes of HTML without any event.
    pub bytes_without: usize,
    /// With all of them.
    pub bytes_with: usize,
}

impl ChartEvents {
    /// What they add, from the database to the rendered marks.
    pub fn added_ms(&self) -> f64 {
        self.with_ms - self.without_ms
    }
}

impl fmt::Display for ChartEvents {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a year of 6,000 events adds {:.2} ms: {:.2} ms with them, {:.2} ms without; their queries take {:.2} ms; {} \
             bytes of HTML with them, {} without",
            self.added_ms(),
            self.with_ms,
            self.without_ms,
            self.queries_ms,
            self.bytes_with,
            self.bytes_without
        )
    }
}

/// Measures the page of a year without events, writes them, and measures it with all of them.
pub async fn measure(server: &Server, target: &Target) -> anyhow::Result<ChartEvents> {
    let (mut without, bytes_without) = years(target, 0).await?;
    server.psql(&EVENTS)?;
    let (mut with, bytes_with) = years(target, YEAR_COUNT).await?;
    let mut queries = queries(server).await?;
    Ok(ChartEvents {
        without_ms: percentile(&mut without, 50),
        with_ms: percentile(&mut with, 50),
        queries_ms: percentile(&mut queries, 50),
        bytes_without,
        bytes_with,
    })
}

// The first and the last day of a year that ends with the bill, so many days longer at its start.
fn year(days_more: u64) -> anyhow::Result<(NaiveDate, NaiveDate)> {
    let last = NaiveDate::from_ymd_opt(2026, 10, 31).context("no such day")?;
    Ok((last - Days::new(YEAR_DAYS - 1 + days_more), last))
}

// How long each page takes, and how large the last is.
async fn years(target: &Target, days_back: u64) -> anyhow::Result<(Vec<f64>, usize)> {
    let (mut times, mut bytes) = (Vec::new(), 0);
    for back in days_back..days_back + YEAR_COUNT {
        let (first, last) = year(back)?;
        let url = format!("{}?period={first}..{last}", target.url);
        let (time, page_bytes) = opened(&Target { url, ..target.clone() }).await?;
        times.push(time);
        bytes = page_bytes;
    }
    Ok((times, bytes))
}

async fn queries(server: &Server) -> anyhow::Result<Vec<f64>> {
    let mut conn = PgConnection::connect_with(&server.connect_options()).await?;
    let service: i64 =
        sqlx::query_scalar("SELECT service_id FROM service WHERE slug = $1").bind(SLUG).fetch_one(&mut conn).await?;
    let own = [service];
    let mut times = Vec::new();
    for back in 0..YEAR_COUNT {
        let (first, last) = year(back)?;
        let (from, until) = (midnight(first), midnight(last + Days::new(1)));
        let filter = Filter { service_ids: Some(own.as_slice()), environment_id: None, from, until, now: Utc::now() };
        let steps = Steps { from, until, origin: from, day_count: 7 };
        let start = Instant::now();
        operational_events::list(&mut conn, &filter, LISTED_COUNT).await?;
        operational_event_marks::counts(&mut conn, &filter, steps, COUNTED_MAX, NAMED_MAX).await?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}
