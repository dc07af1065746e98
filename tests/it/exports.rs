//! Long downloads: a slow reader holds no connection of the database, and one that takes nothing is given up (F26).

use crate::ledger::{Line, bill, import_as_of};
use crate::support::{self, TestApp};
use axum::http::StatusCode;
use costwake::store::Role;
use costwake::web::server::{self, Limits};
use costwake::web::session;
use sqlx::PgPool;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LINES: usize = 6_000;
const PATH: &str = "/charges.csv?billing=2026-10";

struct Running {
    app: TestApp,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

// More than the buffers of a connection hold: 6000 lines of 2 KB.
async fn running(pool: &PgPool, limits: Limits) -> Running {
    let lines: Vec<Line> = (0..LINES).map(|n| Line::of("2026-10", 1 + n as u32 % 28, "checkout", "0.25")).collect();
    let text = bill(&lines).replace("Some use", &"x".repeat(2000));
    assert_eq!(import_as_of(pool, "acme", &text, 2).await.state, "published");
    let folder = tempfile::tempdir().unwrap();
    let config = support::config(&["--data-dir", folder.path().to_str().unwrap()]);
    let app = support::app_with(pool.clone(), config).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(server::serve_with(app.state.clone(), listener, std::future::pending(), limits));
    Running { app, address, _folder: folder }
}

impl Running {
    // A download that has begun: its first bytes are there.
    async fn begin(&self, browser: &TestApp) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let cookie = format!("{}={}", session::cookie_name(&self.app.state.config), browser.session.as_ref().unwrap());
        let head = format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 512];
        let count = stream.read(&mut first).await.unwrap();
        (stream, String::from_utf8_lossy(&first[..count]).into_owned())
    }
}

// The body of an answer in chunks; fails where its end is missing.
fn body(answer: &[u8]) -> String {
    let text = std::str::from_utf8(answer).unwrap();
    let (_, mut rest) = text.split_once("\r\n\r\n").unwrap();
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
}

async fn in_transaction(pool: &PgPool) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
    support::count(pool, sql).await
}

async fn within(seconds: u64, mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(seconds) {
        if is_so().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn slow_readers_hold_no_connection_and_get_their_whole_file(pool: PgPool) {
    // Slow, but not given up within this test.
    let limits = Limits { pause: Duration::from_secs(600), ..Limits::default() };
    let running = running(&pool, limits).await;
    let mut slow = Vec::new();
    for _ in 0..6 {
        let person = running.app.browser(Role::Viewer, false, &[]).await;
        for _ in 0..3 {
            let (stream, head) = running.begin(&person).await;
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            slow.push((stream, head));
        }
        let (_, head) = running.begin(&person).await;
        assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: 30"), "{head}");
    }
    assert_eq!(running.app.state.exports.under_way(), 18);
    let reader = running.app.browser(Role::Viewer, false, &[]).await;
    assert_eq!(reader.get("/services").await.status, StatusCode::OK);
    assert!(within(20, async || in_transaction(&pool).await == 0).await, "a reader holds a connection");
    // Nobody lost anything by being slow.
    let (mut last, first) = slow.pop().unwrap();
    drop(slow);
    let mut answer = first.into_bytes();
    last.read_to_end(&mut answer).await.unwrap();
    assert_eq!(body(&answer).lines().count(), 1 + LINES);
    assert!(within(5, async || running.app.state.exports.under_way() == 0).await, "places are given back");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_reader_who_takes_a_little_now_and_then_is_given_up(pool: PgPool) {
    let pause = Duration::from_millis(500);
    let limits = Limits { pause, response_bytes_per_second_min: 2 << 20, ..Limits::default() };
    let running = running(&pool, limits).await;
    let person = running.app.browser(Role::Viewer, false, &[]).await;
    let (mut stream, head) = running.begin(&person).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let dribble = tokio::spawn(async move {
        let mut some = vec![0; 40_000];
        while stream.read(&mut some).await.is_ok_and(|count| count > 0) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert!(within(15, async || running.app.state.exports.under_way() == 0).await, "it went on and on");
    dribble.abort();
}

/// 4,500 deployments, many of them at one instant: each of them once, the newest first.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn deployments_beyond_one_page_are_in_the_file(pool: PgPool) {
    for statement in [
        "INSERT INTO event_source (name, kind) VALUES ('many', 'api')",
        "INSERT INTO deployment (event_source_id, external_id, status, status_at, created_at, finished_at, version)
         SELECT event_source_id, 'many' || n, 'succeeded', t, t, t, 'w' || n
         FROM event_source, generate_series(1, 4500) n,
             LATERAL (SELECT '2026-08-01T10:00Z'::timestamptz + n / 1500 * interval '1 day' AS t) x
         WHERE name = 'many'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let config = support::config(&["--data-dir", folder.path().to_str().unwrap()]);
    let app = support::app_with(pool, config).await;
    let csv = app.browser(Role::Viewer, false, &[]).await.get("/deployments.csv").await;
    assert_eq!(csv.status, StatusCode::OK, "{}", csv.body);
    let ids: Vec<i64> = csv.body.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(ids.len(), 4500);
    assert!(ids.is_sorted_by(|newer, older| newer > older), "in order, each once");
}
