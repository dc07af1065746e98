//! OTLP over HTTP: growth through restarts, readings of gauges, and what belongs to nothing.

use super::{days, ingest, shop};
use crate::support::{Page, TestApp, count};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::io::Write;

/// The 31st of October 2026, midnight, in seconds.
const DAY: u64 = 1_793_404_800;

fn nanoseconds(second: u64) -> String {
    format!("{}000000000", DAY + second)
}

fn resource(service: &str, environment: &str, metrics: Value) -> Value {
    let attribute = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let attributes = [attribute("service.name", service), attribute("deployment.environment.name", environment)];
    let attributes: Vec<&Value> = attributes.iter().take(if environment.is_empty() { 1 } else { 2 }).collect();
    json!({ "resource": { "attributes": attributes }, "scopeMetrics": [{ "metrics": metrics }] })
}

fn sum(name: &str, temporality: u8, start: u64, at: u64, value: u64) -> Value {
    json!({ "name": name, "sum": { "aggregationTemporality": temporality, "isMonotonic": true, "dataPoints": [
        { "startTimeUnixNano": nanoseconds(start), "timeUnixNano": nanoseconds(at), "asInt": value.to_string() }] } })
}

fn gauge(name: &str, at: u64, value: f64) -> Value {
    json!({ "name": name, "gauge": { "dataPoints": [{ "timeUnixNano": nanoseconds(at), "asDouble": value }] } })
}

async fn export(app: &TestApp, token: &str, kind: &str, body: Vec<u8>, encoding: Option<&str>) -> Page {
    let mut request = app
        .request(Method::POST, "/v1/metrics")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, kind);
    if let Some(encoding) = encoding {
        request = request.header(header::CONTENT_ENCODING, encoding);
    }
    app.send(request.body(Body::from(body)).unwrap()).await
}

async fn send(app: &TestApp, token: &str, resources: &[Value]) -> Value {
    let body = json!({ "resourceMetrics": resources }).to_string();
    let answer = export(app, token, "application/json", body.into_bytes(), None).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.json()
}

/// A count that runs is growth, through a restart and a repetition; one that says what is new is added once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn counts_grow_through_restarts_and_repetitions(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    for (start, at, value) in [
        (0, 60, 10),
        (0, 120, 25),
        (0, 120, 25),   // comes twice
        (0, 90, 20),    // comes late
        (200, 260, 4),  // began anew
        (200, 3660, 9), // the next hour
    ] {
        let answer = send(&app, &token, &[resource("shop", "", json!([sum("requests", 2, start, at, value)]))]).await;
        assert_eq!(answer, json!({}));
    }
    assert_eq!(days(&pool, "requests").await, ["shop 2026-10-31 34 of 2 hours"]);
    assert_eq!(
        count(&pool, "SELECT sum(value)::bigint FROM metric_hour WHERE extract(hour FROM hour AT TIME ZONE 'UTC') = 0")
            .await,
        29
    );
    for at in [60, 60, 120] {
        send(&app, &token, &[resource("shop", "", json!([sum("orders", 1, at - 60, at, 3)]))]).await;
    }
    assert_eq!(days(&pool, "orders").await, ["shop 2026-10-31 6 of 1 hours"]);
    // Requests are what the histogram of their durations counts.
    let histogram = json!({ "name": "http.server.request.duration", "histogram": { "aggregationTemporality": 1,
        "dataPoints": [{ "timeUnixNano": nanoseconds(7300), "count": "6", "sum": 1.5 }] } });
    send(&app, &token, &[resource("shop", "", json!([histogram]))]).await;
    assert_eq!(days(&pool, "requests").await, ["shop 2026-10-31 40 of 3 hours"]);
    let reach: String = sqlx::query_scalar(
        "SELECT to_char(complete_through AT TIME ZONE 'UTC', 'DD HH24:MI') FROM metric_reach WHERE metric = 'requests'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(reach, "31 02:00", "the running hour is not known to its end");
}

/// Readings of a gauge are averaged over all of its hour, whoever sends them; environments are told apart.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn readings_are_averaged_by_hour_and_environment(pool: PgPool) {
    let app = shop(&pool).await;
    sqlx::query("INSERT INTO environment (slug, name, kind) VALUES ('prod', 'Production', 'production')")
        .execute(&pool)
        .await
        .unwrap();
    let token = ingest(&app).await;
    for (at, value) in [(60, 10.0), (120, 40.5), (180, 0.5), (180, 0.5)] {
        send(&app, &token, &[resource("Shop", "production", json!([gauge("utilization", at, value)]))]).await;
    }
    assert_eq!(days(&pool, "utilization").await, ["shop/prod 2026-10-31 17 of 1 hours"]);
}

/// What belongs to nothing is answered as rejected, counted by name, and shown; the rest of the request is taken.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_belongs_to_nothing_is_counted_and_shown(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let known = resource("shop", "", json!([sum("requests", 1, 0, 60, 3), sum("jvm.gc", 1, 0, 60, 3)]));
    let lost = resource("unheard-of", "", json!([sum("requests", 1, 0, 60, 3)]));
    let nowhere = resource("shop", "mars", json!([sum("requests", 1, 0, 60, 3), gauge("requests", 60, 1.0)]));
    for _ in 0..2 {
        let answer = send(&app, &token, &[known.clone(), lost.clone(), nowhere.clone()]).await;
        assert_eq!(answer["partialSuccess"]["rejectedDataPoints"], "4", "{answer}");
    }
    assert_eq!(days(&pool, "requests").await, ["shop 2026-10-31 3 of 1 hours"]);
    assert_eq!(count(&pool, "SELECT count(*) FROM service WHERE slug = 'unheard-of'").await, 0, "names are not added");
    let page = app.get("/metrics").await;
    for part in ["8 values came", "jvm.gc", "unheard-of", "mars", "No metric has this name"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let cleared = app.post_form("/metrics/forget-unmapped", &[]).await;
    assert_eq!(cleared.status, StatusCode::SEE_OTHER);
    assert_eq!(count(&pool, "SELECT count(*) FROM usage_unmapped").await, 0);
}

/// A rule compares an attribute to its end: what only begins like its value is another service's, and is rejected.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_long_attribute_is_compared_whole(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    sqlx::query(
        "INSERT INTO mapping_rule (position, applies_to, conditions, service_id, created_by)
         SELECT 1, 'deployments', jsonb_build_array(jsonb_build_object('attribute', 'tag:process.command_line',
                'operator', 'equals', 'value', repeat('x', 1000))), service_id, 'test'
         FROM service WHERE slug = 'shop'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let of = |command: String| {
        let mut one = resource("unheard-of", "", json!([sum("requests", 1, 0, 60, 3)]));
        let attribute = json!({ "key": "process.command_line", "value": { "stringValue": command } });
        one["resource"]["attributes"].as_array_mut().unwrap().push(attribute);
        one
    };
    let (own, other) = (of("x".repeat(1000)), of(format!("{}y", "x".repeat(1000))));
    let answer = send(&app, &token, &[own, other]).await;
    assert_eq!(answer["partialSuccess"]["rejectedDataPoints"], "1", "{answer}");
    assert_eq!(days(&pool, "requests").await, ["shop 2026-10-31 3 of 1 hours"]);
}

/// What is still to come is rejected and counted as other values that cannot be taken, and makes nothing known.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_still_to_come_is_rejected(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let ahead = sum("requests", 1, 0, 5 * 365 * 86_400, 3);
    let answer = send(&app, &token, &[resource("shop", "", json!([ahead]))]).await;
    assert_eq!(answer["partialSuccess"]["rejectedDataPoints"], "1", "{answer}");
    assert_eq!(count(&pool, "SELECT count(*) FROM usage_unmapped WHERE reason = 'value'").await, 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM metric_reach").await, 0);
}

/// Protobuf, plain and as gzip, is what exporters send; what is none of it is refused.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn protobuf_is_read_as_exporters_send_it(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let field = |tag: u8, inside: Vec<u8>| [vec![tag << 3 | 2, inside.len() as u8], inside].concat();
    let message = |at: u64, value: u64| {
        let time = [vec![0x19], (nanoseconds(at).parse::<u64>().unwrap()).to_le_bytes().to_vec()].concat();
        let amount = [vec![0x31], value.to_le_bytes().to_vec()].concat();
        let sum = [field(1, [time, amount].concat()), vec![0x10, 1, 0x18, 1]].concat();
        let metric = [field(1, b"requests".to_vec()), field(7, sum)].concat();
        let value = field(2, field(1, b"shop".to_vec()));
        let attribute = field(1, [field(1, b"service.name".to_vec()), value].concat());
        field(1, [field(1, attribute), field(2, field(2, metric))].concat())
    };
    let protobuf = "application/x-protobuf";
    let answer = export(&app, &token, protobuf, message(60, 5), None).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ""), "nothing was rejected");
    assert_eq!(answer.headers[header::CONTENT_TYPE], protobuf);
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&message(120, 7)).unwrap();
    let answer = export(&app, &token, protobuf, packed.finish().unwrap(), Some("gzip")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(days(&pool, "requests").await, ["shop 2026-10-31 12 of 1 hours"]);
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![0; 40 << 20]).unwrap();
    for (kind, body, encoding, status) in [
        ("text/plain", message(180, 1), None, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (protobuf, b"\xff\xff".to_vec(), None, StatusCode::BAD_REQUEST),
        (protobuf, message(180, 1), Some("gzip"), StatusCode::BAD_REQUEST),
        (protobuf, bomb.finish().unwrap(), Some("gzip"), StatusCode::BAD_REQUEST),
        ("application/json", b"{".to_vec(), None, StatusCode::BAD_REQUEST),
    ] {
        let answer = export(&app, &token, kind, body, encoding).await;
        assert_eq!(answer.status, status, "{kind}: {}", answer.body);
    }
    let anonymous = export(&app, "wrong", protobuf, message(180, 1), None).await;
    assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED);
}

/// An exporter that tries again sends an older interval after a newer one: it counts, once. What is so late that nobody
/// can tell whether it came before is rejected with the reason, and counted.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_comes_late_counts_once_or_is_rejected(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let delta = |at: u64| [resource("shop", "", json!([sum("requests", 1, at - 60, at, 3)]))];
    for at in [120, 60, 120, 60] {
        assert_eq!(send(&app, &token, &delta(at)).await, json!({}), "{at}");
    }
    assert_eq!(days(&pool, "requests").await, ["shop 2026-10-31 6 of 1 hours"]);
    for (at, value) in [(120, 40.0), (60, 20.0), (60, 20.0)] {
        send(&app, &token, &[resource("shop", "", json!([gauge("utilization", at, value)]))]).await;
    }
    assert_eq!(days(&pool, "utilization").await, ["shop 2026-10-31 30 of 1 hours"]);
    for minute in 3..=40 {
        assert_eq!(send(&app, &token, &delta(minute * 60)).await, json!({}));
    }
    let refused = send(&app, &token, &delta(60)).await;
    assert_eq!(refused["partialSuccess"]["rejectedDataPoints"], "1", "{refused}");
    let reason = refused["partialSuccess"]["errorMessage"].as_str().unwrap();
    assert!(reason.contains("whether it came before"), "{reason}");
    assert_eq!(days(&pool, "requests").await, ["shop 2026-10-31 120 of 1 hours"]);
    assert_eq!(count(&pool, "SELECT value_count FROM usage_unmapped WHERE reason = 'late'").await, 1);
    assert!(app.get("/metrics").await.body.contains("whether it came before"));
}

/// Times have nanoseconds, of which the database keeps thousands: the same value again is not a later one.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_repetition_is_known_to_the_nanosecond(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    let point = json!({ "timeUnixNano": format!("{}000000789", DAY + 60), "asInt": "3" });
    let orders = json!([{ "name": "orders", "sum": { "aggregationTemporality": 1, "isMonotonic": true,
        "dataPoints": [point] } }]);
    for _ in 0..2 {
        assert_eq!(send(&app, &token, &[resource("shop", "", orders.clone())]).await, json!({}));
    }
    assert_eq!(days(&pool, "orders").await, ["shop 2026-10-31 3 of 1 hours"]);
}

/// Two replicas of equal attributes count at the same time: each grows by its own, told apart by when it began.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn replicas_of_equal_attributes_are_not_counted_as_restarts(pool: PgPool) {
    let app = shop(&pool).await;
    let token = ingest(&app).await;
    for (start, at, value) in [(0, 60, 100), (5, 65, 40), (0, 120, 110), (5, 125, 45), (0, 180, 120), (5, 185, 50)] {
        send(&app, &token, &[resource("shop", "", json!([sum("requests", 2, start, at, value)]))]).await;
    }
    assert_eq!(days(&pool, "requests").await, ["shop 2026-10-31 170 of 1 hours"]);
    assert_eq!(count(&pool, "SELECT count(*) FROM otlp_series").await, 1);
}
