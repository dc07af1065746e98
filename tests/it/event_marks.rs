//! Operational events that charts mark: counted by the bars, they are the events that lasted into the days, each once.

use crate::ledger::{Line, bill, import_as_of};
use crate::support::{self, count};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use costwake::store::Role;
use costwake::store::operational_event_marks::{self, CountedEvents, EventCounts, NamedEvent, Steps};
use costwake::store::operational_events::{self, Filter};
use sqlx::PgPool;

const NAMED: usize = 5;
const NEWEST_MAX: i64 = 10_000;

// Half a year of all that there is: alerts whose end was never told and that were mentioned for some time or never again,
// markers, what lasts for weeks, what is open; of one service, of two and of none, in each environment and in none.
const EVENTS: [&str; 6] = [
    "INSERT INTO service (slug, name) VALUES ('checkout', 'checkout'), ('search', 'search')",
    "INSERT INTO environment (slug, name, kind) VALUES ('production', 'Production', 'production'),
         ('staging', 'Staging', 'staging')",
    "INSERT INTO event_source (name, kind) VALUES ('alerts', 'alertmanager')",
    "INSERT INTO operational_event
         (event_source_id, external_id, kind, status, title, started_at, ended_at, time_is_received, environment_id)
     SELECT s.event_source_id, n,
         CASE n % 5 WHEN 0 THEN 'incident' WHEN 3 THEN 'environment' WHEN 4 THEN 'incident' ELSE 'marker' END,
         'told', 'Event ' || n, at,
         CASE n % 5 WHEN 1 THEN at WHEN 2 THEN at + interval '40 days' WHEN 4 THEN at + interval '2 hours' END, false,
         (SELECT environment_id FROM environment WHERE slug = CASE n % 3 WHEN 1 THEN 'production' WHEN 2 THEN 'staging' END)
     FROM (SELECT n, '2026-01-01T01:00:00Z'::timestamptz + n * interval '11 hours' AS at
           FROM generate_series(0, 399) n) x
     JOIN event_source s ON s.name = CASE WHEN n % 5 = 0 THEN 'alerts' ELSE 'api' END",
    "WITH told AS (
         INSERT INTO event_delivery
             (event_source_id, dedupe_key, event_name, headers, body, body_sha256, received_at, state, repeated_at)
         SELECT o.event_source_id, o.external_id, 'firing', '{}', '', '', o.started_at, 'done',
             o.started_at + o.external_id::integer % 50 * interval '1 day'
         FROM operational_event o JOIN event_source s USING (event_source_id)
         WHERE s.name = 'alerts' AND o.external_id::integer % 15 > 0
         RETURNING event_source_id, event_delivery_id, dedupe_key, received_at)
     INSERT INTO operational_event_status (operational_event_id, event_delivery_id, occurred_at, received_at, facts)
     SELECT o.operational_event_id, t.event_delivery_id, o.started_at, t.received_at, '{}'
     FROM told t JOIN operational_event o ON o.event_source_id = t.event_source_id AND o.external_id = t.dedupe_key",
    "INSERT INTO operational_event_service (operational_event_id, service_id, started_at)
     SELECT operational_event_id, service_id, started_at FROM operational_event
     JOIN service ON slug = CASE WHEN external_id::integer % 2 = 0 THEN 'checkout' END
         OR slug = CASE WHEN external_id::integer % 3 = 0 THEN 'search' END",
];

fn midnight(day: &str) -> DateTime<Utc> {
    format!("{day}T00:00:00Z").parse().unwrap()
}

// All that lasts into these days, the oldest first, by what the words say: nothing here knows of an index.
async fn lasting(pool: &PgPool, filter: &Filter<'_>) -> Vec<NamedEvent> {
    let rows: Vec<(i64, String, String, DateTime<Utc>)> = sqlx::query_as(
        "SELECT o.operational_event_id, o.kind, o.title, o.started_at FROM operational_event o
         WHERE ($1 IS NULL OR EXISTS (SELECT FROM operational_event_service os
                                      WHERE os.operational_event_id = o.operational_event_id AND os.service_id = ANY($1)))
           AND ($2 IS NULL OR o.environment_id IS NULL OR o.environment_id = $2) AND o.started_at < $4
           AND coalesce(o.ended_at, lost_end_of(o.operational_event_id, $5), 'infinity') >= $3
         ORDER BY o.started_at, o.operational_event_id",
    )
    .bind(filter.service_ids.map(<[i64]>::to_vec))
    .bind(filter.environment_id)
    .bind(filter.from)
    .bind(filter.until)
    .bind(operational_events::silent_since(filter.now))
    .fetch_all(pool)
    .await
    .unwrap();
    let named =
        |(operational_event_id, kind, title, started_at)| NamedEvent { operational_event_id, kind, title, started_at };
    rows.into_iter().map(named).collect()
}

// Those of the chart step by step, then all others.
fn counted(events: &[NamedEvent], steps: Steps) -> Vec<CountedEvents> {
    let step_of = |one: &NamedEvent| {
        let is_on_chart = steps.from <= one.started_at && one.started_at < steps.until;
        is_on_chart.then(|| (one.started_at - steps.origin).num_days() / i64::from(steps.day_count))
    };
    let (on_chart, others): (Vec<&NamedEvent>, Vec<&NamedEvent>) =
        events.iter().partition(|one| step_of(one).is_some());
    let mut groups: Vec<Vec<&NamedEvent>> =
        on_chart.chunk_by(|left, right| step_of(left) == step_of(right)).map(<[_]>::to_vec).collect();
    groups.push(others);
    groups.retain(|group| !group.is_empty());
    let step = |group: Vec<&NamedEvent>| CountedEvents {
        count: group.len(),
        first_at: group[0].started_at,
        last_at: group[group.len() - 1].started_at,
        named: group.into_iter().take(NAMED).cloned().collect(),
    };
    groups.into_iter().map(step).collect()
}

/// Whosever they are, in whichever environment, by days and by weeks, on charts that hold all days and on those that do
/// not: the counts are those of the events one by one, and the list has the newest of them.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn events_are_counted_as_they_last(pool: PgPool) {
    for statement in EVENTS {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let checkout = count(&pool, "SELECT service_id FROM service WHERE slug = 'checkout'").await;
    let search = count(&pool, "SELECT service_id FROM service WHERE slug = 'search'").await;
    let production = count(&pool, "SELECT environment_id FROM environment WHERE slug = 'production'").await;
    let (both, one) = ([checkout, search], [checkout]);
    let mut conn = pool.acquire().await.unwrap();
    let mut seen = 0;
    for service_ids in [Some(one.as_slice()), Some(both.as_slice()), None] {
        for environment_id in [None, Some(production)] {
            for (days, chart, origin, day_count) in [
                (["2026-03-01", "2026-04-01"], ["2026-03-01", "2026-04-01"], "2026-03-01", 1),
                (["2026-03-01", "2026-05-01"], ["2026-03-01", "2026-03-20"], "2026-03-01", 1),
                (["2026-01-10", "2026-06-20"], ["2026-01-10", "2026-06-20"], "2026-01-07", 7),
                (["2026-02-01", "2026-06-20"], ["2026-02-01", "2026-02-01"], "2026-02-01", 1),
            ] {
                let [from, until] = days.map(midnight);
                let filter = Filter { service_ids, environment_id, from, until, now: midnight("2026-05-01") };
                let steps =
                    Steps { from: midnight(chart[0]), until: midnight(chart[1]), origin: midnight(origin), day_count };
                let all = lasting(&pool, &filter).await;
                for newest in [NEWEST_MAX, 40] {
                    let kept = &all[all.len().saturating_sub(newest as usize)..];
                    let expected = EventCounts { steps: counted(kept, steps), is_cut: kept.len() < all.len() };
                    let counts = operational_event_marks::counts(&mut conn, &filter, steps, newest, NAMED as i32);
                    let counts = counts.await.unwrap();
                    assert_eq!(counts, expected, "{filter:?} {steps:?} {newest}");
                    assert_eq!(counts.count(), kept.len());
                    let list = operational_events::list(&mut conn, &filter, newest).await.unwrap();
                    let listed: Vec<i64> = list.iter().rev().map(|one| one.operational_event_id).collect();
                    assert_eq!(listed, kept.iter().map(|one| one.operational_event_id).collect::<Vec<_>>());
                    seen += usize::from(counts.is_cut);
                }
            }
        }
    }
    assert!(seen > 12, "most have more than 40: {seen}");
}

/// The start beside the services of an event is the event's, and goes with it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_earlier_start_is_known_of_all_services(pool: PgPool) {
    for statement in EVENTS {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let moved = "UPDATE operational_event SET started_at = started_at - interval '1 hour' WHERE external_id = '6'";
    sqlx::query(moved).execute(&pool).await.unwrap();
    let same = "SELECT count(*) FROM operational_event_service os JOIN operational_event o USING (operational_event_id)
                WHERE o.external_id = '6' AND os.started_at = o.started_at";
    assert_eq!(count(&pool, same).await, 2);
    sqlx::query("DELETE FROM operational_event WHERE external_id = '6'").execute(&pool).await.unwrap();
    let left = "SELECT count(*) FROM operational_event_service WHERE operational_event_id NOT IN
                (SELECT operational_event_id FROM operational_event)";
    assert_eq!(count(&pool, left).await, 0);
}

/// A service's events are found by the service and their time together, and a deployment's incidents by its own hours: not
/// by looking at all of them.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn events_of_a_service_are_found_by_their_time(pool: PgPool) {
    let plan = async |question: &'static str| -> String {
        let lines: Vec<String> = sqlx::query_scalar(question).fetch_all(&pool).await.unwrap();
        lines.join("\n")
    };
    let of_days = plan(
        "EXPLAIN SELECT * FROM operational_events_of(ARRAY[1]::bigint[], NULL, '2026-01-01', '2026-02-01', '2026-01-20', 51)",
    )
    .await;
    assert!(of_days.contains("operational_event_service_by_time"), "{of_days}");
    assert!(!of_days.contains("Function Scan on operational_events_of"), "{of_days}");
    let failures = plan("EXPLAIN SELECT * FROM change_failures_of(ARRAY[1]::bigint[], '2026-01-01')").await;
    let index = failures.split("operational_event_service_by_time").nth(1).unwrap_or_else(|| panic!("{failures}"));
    assert!(index.lines().nth(1).is_some_and(|line| line.contains("started_at < LEAST(")), "{failures}");
    let plans = plan(
        "EXPLAIN SELECT FROM operational_event o
         WHERE o.kind = 'marker' AND replace(lower(o.status), '_', '-') IN ('launch', 'redesign', 'release-window')",
    )
    .await;
    assert!(plans.contains("operational_event_of_plan"), "{plans}");
}

// How many events the marks of a page stand for.
fn marked(body: &str) -> i64 {
    let marks = body.split("class=\"marker event\"").skip(1).map(|rest| rest.split("</svg>").next().unwrap());
    let number = |mark: &str| {
        let count = mark.split("y=\"16\">").nth(1).and_then(|rest| rest.split('<').next());
        count.map_or(1, |text| text.parse::<i64>().unwrap())
    };
    marks.map(number).sum()
}

/// More than a page lists are counted on its chart: marks name the first of theirs, count all, and lead to their days.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_not_listed_is_counted_on_the_chart(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let lines: Vec<Line> = (1..=31).map(|day| Line::of("2026-03", day, "checkout", "1")).collect();
    import_as_of(&pool, "acme", &bill(&lines), 2).await;
    for statement in [
        "INSERT INTO service (slug, name) VALUES ('checkout', 'checkout') ON CONFLICT DO NOTHING",
        "INSERT INTO environment (slug, name, kind) VALUES ('production', 'Production', 'production') ON CONFLICT DO NOTHING",
        "INSERT INTO team (slug, name) VALUES ('shop', 'Shop')",
        "UPDATE service SET team_id = (SELECT team_id FROM team WHERE slug = 'shop') WHERE slug = 'checkout'",
        "INSERT INTO operational_event
             (event_source_id, external_id, kind, status, title, started_at, ended_at, time_is_received)
         SELECT (SELECT min(event_source_id) FROM event_source), n, 'marker', 'done', 'Marker ' || n, at, at, false
         FROM (SELECT n, '2026-03-01T00:00:00Z'::timestamptz + n * interval '3 hours' AS at
               FROM generate_series(1, 120) n) x",
        "INSERT INTO operational_event_service (operational_event_id, service_id, started_at)
         SELECT operational_event_id, service_id, started_at FROM operational_event, service WHERE slug = 'checkout'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let finance = app.browser(Role::Finance, false, &[]).await;
    let note = "These are the newest 50 of 120";
    for path in ["/services/checkout", "/teams/shop"] {
        let page = finance.get(&format!("{path}?period=2026-03-01..2026-03-31")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        assert!(page.body.contains(note), "{path}: {}", page.body);
        assert_eq!(marked(&page.body), 120, "{path}: {}", page.body);
        // Two days are one mark; on the first of them the first seven began.
        let first = "aria-label=\"15 events: 1 Mar 03:00, marker: Marker 1; 1 Mar 06:00, marker: Marker 2; ";
        assert!(page.body.contains(first) && page.body.contains("; and 10 more\""), "{path}: {}", page.body);
        let days = "/events?service=checkout&#38;period=2026-03-01..2026-03-02";
        assert!(page.body.contains(days), "{path}: {}", page.body);
    }
    let environment = finance.get("/environments/production?period=2026-03-01..2026-03-31").await;
    assert!(environment.body.contains(note), "{}", environment.body);
    // As few as are listed are marked as they are listed.
    sqlx::query("DELETE FROM operational_event WHERE external_id::integer > 15").execute(&pool).await.unwrap();
    let page = finance.get("/services/checkout?period=2026-03-01..2026-03-31").await.body;
    assert_eq!(marked(&page), 15, "{page}");
    let first = "aria-label=\"15 events: 1 Mar 03:00, marker: Marker 1; 1 Mar 06:00, marker: Marker 2; ";
    assert!(page.contains(first) && page.contains("By which rules each was placed"), "{page}");
}
