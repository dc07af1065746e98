//! Stored PromQL, asked of a real Prometheus where there is one, and of nobody where the address is not allowed.

use super::{days, ingest, point, send, shop};
use crate::support::{self, TestApp, count};
use axum::http::StatusCode;
use chrono::{DateTime, Duration, Timelike, Utc};
use costwake::jobs::{Worker, ask_for_due_pulls};
use costwake::rollup::promql;
use costwake::store::jobs::Lane;
use costwake::store::{Role, metric_queries};
use costwake::usage::prometheus;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::fmt::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tokio_util::sync::CancellationToken;

/// A Prometheus with hours of the past; it ends with the value.
struct Prometheus {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Requests of each service, counted in the middle of each hour: the number of the hour, from 1.
fn past(until: DateTime<Utc>, hours: i64) -> String {
    let mut text = String::from("# TYPE handled gauge\n");
    for service in ["shop", "search", "unheard-of"] {
        for hour in 1..=hours {
            let at = until - Duration::hours(hours - hour) - Duration::minutes(30);
            writeln!(text, "handled{{app=\"{service}\",stage=\"prod\"}} {hour} {}", at.timestamp()).unwrap();
        }
    }
    text + "# EOF\n"
}

async fn start(until: DateTime<Utc>, hours: i64) -> Prometheus {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("past.txt"), past(until, hours)).unwrap();
    std::fs::write(path("prometheus.yml"), "global: {}\n").unwrap();
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([path("past.txt"), path("data")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", support::said(&made));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let process = Command::new("prometheus")
        .arg(format!("--config.file={}", path("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", path("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let prometheus = Prometheus { process, address: format!("http://127.0.0.1:{port}"), _folder: folder };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for _ in 0..300 {
        let ready = client.get(format!("{}/-/ready", prometheus.address)).send().await;
        if ready.is_ok_and(|answer| answer.status().is_success()) {
            return prometheus;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("Prometheus did not start");
}

async fn administrator(pool: &PgPool) -> TestApp {
    let mut app = shop(pool).await;
    app.sign_in(Role::Admin).await;
    app
}

async fn add(app: &TestApp, address: &str, promql: &str) {
    let fields = [
        ("metric", "requests"),
        ("address", address),
        ("promql", promql),
        ("service_label", "app"),
        ("environment_label", "stage"),
        ("bearer_token", "very-secret"),
    ];
    let added = app.post_form("/settings/metric-queries", &fields).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
}

/// Asks all that is due and takes the answers in.
async fn pull(pool: &PgPool, key_folder: &Path, networks: &str) {
    let arguments = ["--data-dir", key_folder.to_str().unwrap(), "--outgoing-networks", networks];
    sqlx::query("UPDATE metric_query SET next_pull_at = now() - interval '1 minute'").execute(pool).await.unwrap();
    assert_eq!(ask_for_due_pulls(&support::pools(pool), Utc::now()).await.unwrap(), 1);
    let (config, stop) = (support::config(&arguments), CancellationToken::new());
    let worker = Worker { pools: support::pools(pool), config, lane: Lane::Others, stop };
    while worker.take_one().await.unwrap() {}
}

async fn error(pool: &PgPool) -> String {
    let error: Option<String> =
        sqlx::query_scalar("SELECT last_error FROM metric_query").fetch_one(pool).await.unwrap();
    error.unwrap_or_default()
}

/// Each time the last 48 hours are read: what is there already is replaced, the same again changes nothing.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_last_hours_of_a_real_prometheus_are_read(pool: PgPool) {
    if !has("prometheus") || !has("promtool") {
        return support::skipped("pulling metrics, because no Prometheus is installed (Debian's package prometheus)");
    }
    let mut app = administrator(&pool).await;
    let folder = tempfile::tempdir().unwrap();
    let config = std::sync::Arc::new(support::config(&["--data-dir", folder.path().to_str().unwrap()]));
    app.state = app.state.with(|parts| parts.config = config);
    app.router = costwake::web::router(app.state.clone());
    sqlx::query("INSERT INTO environment (slug, name, kind) VALUES ('prod', 'prod', 'production')")
        .execute(&pool)
        .await
        .unwrap();
    let now = Utc::now();
    let until = now.with_minute(0).unwrap().with_second(0).unwrap().with_nanosecond(0).unwrap();
    let prometheus = start(until, 60).await;
    add(&app, &prometheus.address, "sum by (app, stage) (sum_over_time(handled[1h]))").await;
    for _ in 0..2 {
        pull(&pool, folder.path(), "127.0.0.0/8").await;
        assert_eq!(error(&pool).await, "");
        // The hours 13 to 60 of both services that are known: the oldest of the 60 are older than 48 hours.
        assert_eq!(count(&pool, "SELECT count(*) FROM metric_hour").await, 2 * 48);
        assert_eq!(count(&pool, "SELECT sum(value)::bigint FROM metric_hour").await, 2 * (13..=60).sum::<i64>());
        assert_eq!(count(&pool, "SELECT sum(value)::bigint FROM metric_point").await, 2 * (13..=60).sum::<i64>());
    }
    let last: DateTime<Utc> = sqlx::query_scalar("SELECT max(hour) FROM metric_hour").fetch_one(&pool).await.unwrap();
    let reach: DateTime<Utc> =
        sqlx::query_scalar("SELECT max(complete_through) FROM metric_reach").fetch_one(&pool).await.unwrap();
    assert_eq!((last, reach), (until - Duration::hours(1), until));
    let lost =
        "SELECT sum(value_count)::bigint FROM usage_unmapped WHERE service_raw = 'unheard-of' AND reason = 'service'";
    assert_eq!(count(&pool, lost).await, 48, "the same hours were read twice");
    // A value that was sent in the meantime gives way to what the server says.
    sqlx::query("UPDATE metric_hour SET value = 1e6").execute(&pool).await.unwrap();
    pull(&pool, folder.path(), "127.0.0.0/8").await;
    assert_eq!(count(&pool, "SELECT sum(value)::bigint FROM metric_hour").await, 2 * (13..=60).sum::<i64>());
    let page = app.get("/settings/metric-queries").await;
    assert!(page.body.contains("96 values") && !page.body.contains("very-secret"), "{}", page.body);
    // A query that the server refuses is told beside it, and what was read stays.
    sqlx::query("UPDATE metric_query SET promql = 'sum(('").execute(&pool).await.unwrap();
    pull(&pool, folder.path(), "127.0.0.0/8").await;
    assert!(error(&pool).await.contains("Prometheus refuses the query"), "{}", error(&pool).await);
    assert_eq!(count(&pool, "SELECT count(*) FROM metric_hour").await, 2 * 48);
}

/// An address of a private network is asked only where the settings allow it; the token never shows.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn private_addresses_are_not_asked(pool: PgPool) {
    let mut app = administrator(&pool).await;
    let folder = tempfile::tempdir().unwrap();
    let config = std::sync::Arc::new(support::config(&["--data-dir", folder.path().to_str().unwrap()]));
    app.state = app.state.with(|parts| parts.config = config);
    app.router = costwake::web::router(app.state.clone());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    add(&app, &format!("http://{}", listener.local_addr().unwrap()), "up").await;
    pull(&pool, folder.path(), "").await;
    assert!(error(&pool).await.contains("COSTWAKE_OUTGOING_NETWORKS"), "{}", error(&pool).await);
    assert!(listener.accept().is_err(), "nobody dialled");
    assert!(days(&pool, "requests").await.is_empty());
    let page = app.get("/settings/metric-queries").await;
    assert!(page.body.contains("COSTWAKE_OUTGOING_NETWORKS") && !page.body.contains("very-secret"));
    for (address, sentence) in [
        ("prometheus", "Write the address as"),
        ("ftp://a.example", "Write the address as"),
        ("https://me:secret@a.example", "Leave name and password out"),
        ("https://a.example/api/v1/query_range", "only up to where"),
    ] {
        let fields = [("metric", "requests"), ("address", address), ("promql", "up"), ("service_label", "app")];
        let refused = app.post_form("/settings/metric-queries", &fields).await;
        assert!(refused.status == StatusCode::BAD_REQUEST && refused.body.contains(sentence), "{}", refused.body);
    }
    let id: i64 = sqlx::query_scalar("SELECT metric_query_id FROM metric_query").fetch_one(&pool).await.unwrap();
    for (action, left) in [("pause", 1), ("resume", 1), ("delete", 0)] {
        let done = app.post_form(&format!("/settings/metric-queries/{id}/{action}"), &[]).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
        assert_eq!(count(&pool, "SELECT count(*) FROM metric_query").await, left);
    }
}

/// Takes an answer in that was asked for at eight: who had how much in each of these hours.
async fn take(pool: &PgPool, series: &[(&str, &[(&str, i64)])]) {
    let result: Vec<Value> = series
        .iter()
        .map(|(app, hours)| {
            // A value stands at the end of its hour.
            let end = |hour: &str| hour.parse::<DateTime<Utc>>().unwrap().timestamp() + 3600;
            let values: Vec<Value> = hours.iter().map(|(hour, value)| json!([end(hour), value.to_string()])).collect();
            json!({ "metric": { "app": app }, "values": values })
        })
        .collect();
    let body = json!({ "status": "success", "data": { "resultType": "matrix", "result": result } }).to_string();
    let found = prometheus::hours(body.as_bytes()).unwrap();
    let query = metric_queries::list(pool).await.unwrap().remove(0);
    let until = "2026-10-31T08:00:00Z".parse().unwrap();
    promql::take(&support::pools(pool), &query, &found, until, Utc::now()).await.unwrap();
}

async fn reach(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT s.slug || to_char(r.complete_through AT TIME ZONE 'UTC', ' DD HH24:MI')
         FROM metric_reach r JOIN service s USING (service_id) ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// What a query brought and no longer brings goes with its days: usage that is another service's now would count for
/// both. What others sent stays, and so do hours that the server says nothing of at all.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_a_query_no_longer_brings_goes(pool: PgPool) {
    const EVENING: &str = "2026-10-29T23:00:00Z";
    const NIGHT: &str = "2026-10-30T00:00:00Z";
    const MORNING: &str = "2026-10-31T06:00:00Z";
    let app = shop(&pool).await;
    for statement in [
        "INSERT INTO metric_query (metric, address, promql, service_label, next_pull_at, changed_by, changed_at)
         VALUES ('requests', 'https://prometheus.example.com', 'handled', 'app', now(), 'test', now())",
        "INSERT INTO service_alias (alias, service_id) SELECT 'x', service_id FROM service WHERE slug = 'shop'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    take(&pool, &[("x", &[(EVENING, 5), (NIGHT, 7), (MORNING, 9)]), ("search", &[(MORNING, 1)])]).await;
    let token = ingest(&app).await;
    let sent = json!({ "points": [point("shop", "2026-10-31T05:00:00Z", json!(2))] });
    send(&app, &token, "requests", sent).await;
    let before = [
        "search 2026-10-31 1 of 1 hours",
        "shop 2026-10-29 5 of 1 hours",
        "shop 2026-10-30 7 of 1 hours",
        "shop 2026-10-31 11 of 2 hours",
    ];
    assert_eq!(days(&pool, "requests").await, before);
    // An empty answer says nothing of any hour.
    take(&pool, &[]).await;
    assert_eq!(days(&pool, "requests").await, before);
    sqlx::query(
        "UPDATE service_alias SET service_id = (SELECT service_id FROM service WHERE slug = 'search')
         WHERE alias = 'x'",
    )
    .execute(&pool)
    .await
    .unwrap();
    // The evening is older than the hours that are asked for now.
    let moved: [(&str, &[(&str, i64)]); 1] = [("x", &[(NIGHT, 7), (MORNING, 9)])];
    for _ in 0..2 {
        take(&pool, &moved).await;
        let after = [
            "search 2026-10-30 7 of 1 hours",
            "search 2026-10-31 9 of 1 hours",
            "shop 2026-10-29 5 of 1 hours",
            "shop 2026-10-31 2 of 1 hours",
        ];
        assert_eq!(days(&pool, "requests").await, after);
        assert_eq!(reach(&pool).await, ["search 31 08:00", "shop 31 06:00"]);
    }
    // Without a service it is nobody's, and no longer the one's that it was.
    sqlx::query("DELETE FROM service_alias WHERE alias = 'x'").execute(&pool).await.unwrap();
    take(&pool, &moved).await;
    assert_eq!(days(&pool, "requests").await, ["shop 2026-10-29 5 of 1 hours", "shop 2026-10-31 2 of 1 hours"]);
    assert_eq!(reach(&pool).await, ["shop 31 06:00"]);
    // What belongs to nothing is counted as the last answer leaves it, however often it was asked for.
    let lost = "SELECT coalesce(sum(value_count), 0)::bigint FROM usage_unmapped";
    take(&pool, &moved).await;
    assert_eq!(count(&pool, lost).await, 2);
    take(&pool, &[]).await;
    assert_eq!(count(&pool, lost).await, 2);
    let again = "INSERT INTO service_alias (alias, service_id) SELECT 'x', service_id FROM service WHERE slug = 'shop'";
    sqlx::query(again).execute(&pool).await.unwrap();
    take(&pool, &moved).await;
    assert_eq!(count(&pool, lost).await, 0);
}
