//! Durable webhooks a second, beside the single-row commits that the same PostgreSQL reaches with as many connections;
//! then more of them than fit, at a fixed rate: what is acknowledged must be there once, the rest must be told at once.

use crate::server::Server;
use anyhow::{Context, ensure};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sqlx::{Connection, PgConnection};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

/// Senders at once, and connections of the commits beside them.
const CONNECTIONS: u64 = 64;
const MEASURED: Duration = Duration::from_secs(10);
const FLOOD_FOR: Duration = Duration::from_secs(60);
/// Senders of the flood: so many wait for an answer at once.
const FLOOD_CONNECTIONS: u64 = 256;
const SOURCE: &str = "bench";
const SECRET: &str = "a secret for a benchmark";

/// What a status of a deployment looks like, of the usual size.
fn body() -> String {
    let repository = serde_json::json!({
        "id": 1, "full_name": "example/shop", "html_url": "https://github.example/example/shop",
        "description": "x".repeat(3_000),
    });
    serde_json::json!({
        "action": "created",
        "deployment_status": { "id": 2, "state": "success", "environment": "production",
            "created_at": "2026-11-24T10:00:00Z", "updated_at": "2026-11-24T10:00:00Z", "description": "" },
        "deployment": { "id": 3, "sha": "0123456789012345678901234567890123456789", "ref": "main", "task": "deploy",
            "environment": "production", "created_at": "2026-11-24T09:59:00Z", "updated_at": "2026-11-24T10:00:00Z" },
        "repository": repository,
    })
    .to_string()
}

/// A request as bytes, but for the delivery's id.
struct Post {
    before: String,
    after: String,
}

impl Post {
    fn new(server: &Server) -> Self {
        let body = body();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length is a key");
        mac.update(body.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let host = server.url().trim_start_matches("http://").to_owned();
        let before = format!("POST /webhooks/github/{SOURCE} HTTP/1.1\r\nHost: {host}\r\nX-GitHub-Delivery: ");
        let after = format!(
            "\r\nX-GitHub-Event: deployment_status\r\nX-Hub-Signature-256: sha256={signature}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { before, after }
    }
}

/// One sender's connection.
struct Sender {
    stream: BufStream<TcpStream>,
    post: Arc<Post>,
}

impl Sender {
    async fn open(server: &Server, post: &Arc<Post>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server.url().trim_start_matches("http://")).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufStream::with_capacity(16 << 10, 16 << 10, stream), post: Arc::clone(post) })
    }

    /// Sends one and reads the answer; its status.
    async fn send(&mut self, id: &str) -> anyhow::Result<u16> {
        for part in [&self.post.before, id, &self.post.after] {
            self.stream.write_all(part.as_bytes()).await?;
        }
        self.stream.flush().await?;
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok()).context("no status line")?;
        let mut length = 0;
        loop {
            line.clear();
            ensure!(self.stream.read_line(&mut line).await? > 0, "the connection ended in an answer's head");
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut rest = vec![0; length];
        self.stream.read_exact(&mut rest).await?;
        Ok(status)
    }
}

/// Measures, the flood at `offered` a second, and prints.
pub async fn run(folder: &Path, offered: u64, as_json: bool) -> anyhow::Result<()> {
    let server = Server::start(folder).await?;
    server.add_github_source(SOURCE, SECRET).await?;
    let post = Arc::new(Post::new(&server));
    let commits = single_commits(&server, &post).await?;
    eprintln!("{commits:.0} single-row commits a second with {CONNECTIONS} connections");
    let webhooks = as_fast_as_it_goes(&server, &post).await?;
    eprintln!("{webhooks:.0} durable webhooks a second from {CONNECTIONS} senders");
    let flood = flood(&server, &post, offered).await?;
    let (lost, doubled) = lost_and_doubled(&server, &flood.accepted_ids).await?;
    let object = serde_json::json!({
        "commits_per_s": commits.round(),
        "webhooks_per_s": webhooks.round(),
        "webhooks_vs_commits": (webhooks / commits * 100.0).round() / 100.0,
        "offered_per_s": offered,
        "offered_for_s": FLOOD_FOR.as_secs(),
        "sent": flood.sent,
        "accepted": flood.accepted,
        "told_to_come_again": flood.refused,
        "other_answers": flood.other,
        "accepted_p50_ms": flood.p50_ms,
        "accepted_p99_ms": flood.p99_ms,
        "acknowledged_and_lost": lost,
        "stored_twice": doubled,
    });
    server.stop()?;
    if as_json {
        println!("{object}");
    } else {
        for (name, value) in object.as_object().context("an object")? {
            println!("{name:34}{value}");
        }
    }
    ensure!(lost == 0 && doubled == 0, "{lost} acknowledged webhooks are not there, {doubled} are there twice");
    Ok(())
}

// Rows of the same size into a table of the same keys, each a transaction.
async fn single_commits(server: &Server, post: &Post) -> anyhow::Result<f64> {
    server.psql(&[
        "CREATE TABLE single_row (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source bigint NOT NULL, \
                   dedupe_key text NOT NULL, body bytea NOT NULL, received_at timestamptz NOT NULL, \
                   UNIQUE (source, dedupe_key))",
    ])?;
    let count = Arc::new(AtomicU64::new(0));
    let body = Arc::new(post.after.clone().into_bytes());
    let until = Instant::now() + MEASURED;
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let mut conn = PgConnection::connect_with(&server.connect_options()).await?;
        let (count, body) = (count.clone(), body.clone());
        tasks.spawn(async move {
            let mut number = 0;
            while Instant::now() < until {
                sqlx::query("INSERT INTO single_row (source, dedupe_key, body, received_at) VALUES (1, $1, $2, now())")
                    .bind(format!("{connection}-{number}"))
                    .bind(body.as_slice())
                    .execute(&mut conn)
                    .await?;
                number += 1;
                count.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    server.psql(&["DROP TABLE single_row", "CHECKPOINT"])?;
    Ok(count.load(Ordering::Relaxed) as f64 / MEASURED.as_secs_f64())
}

async fn as_fast_as_it_goes(server: &Server, post: &Arc<Post>) -> anyhow::Result<f64> {
    let until = Instant::now() + MEASURED;
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let mut sender = Sender::open(server, post).await?;
        tasks.spawn(async move {
            let mut count = 0_u64;
            while Instant::now() < until {
                let status = sender.send(&format!("fast-{connection}-{count}")).await?;
                ensure!(status == 202, "a webhook was answered with {status}");
                count += 1;
            }
            Ok(count)
        });
    }
    let mut count = 0;
    while let Some(done) = tasks.join_next().await {
        count += done??;
    }
    Ok(count as f64 / MEASURED.as_secs_f64())
}

// How many of these are not there, and how many are there more than once.
async fn lost_and_doubled(server: &Server, ids: &[String]) -> anyhow::Result<(i64, i64)> {
    let mut conn = PgConnection::connect_with(&server.connect_options()).await?;
    let row: (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE n = 0), count(*) FILTER (WHERE n > 1) FROM (
             SELECT count(e.event_delivery_id) AS n
             FROM unnest($1::text[]) AS a(id) LEFT JOIN event_delivery e ON e.dedupe_key = a.id GROUP BY a.id) c",
    )
    .bind(ids)
    .fetch_one(&mut conn)
    .await?;
    Ok(row)
}

struct Flood {
    sent: u64,
    accepted: u64,
    refused: u64,
    other: u64,
    p50_ms: f64,
    p99_ms: f64,
    accepted_ids: Vec<String>,
}

// Each sender has its share of the rate. One that falls behind sends at once: its requests wait at our side then, and
// what is measured is from when it was sent.
async fn flood(server: &Server, post: &Arc<Post>, offered: u64) -> anyhow::Result<Flood> {
    let every = Duration::from_secs_f64(FLOOD_CONNECTIONS as f64 / offered as f64);
    let start = Instant::now() + Duration::from_millis(200);
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..FLOOD_CONNECTIONS {
        let mut sender = Sender::open(server, post).await?;
        tasks.spawn(async move {
            let mut answers: Vec<(String, u16, f64)> = Vec::new();
            let first = start + every.mul_f64(connection as f64 / FLOOD_CONNECTIONS as f64);
            for number in 0.. {
                let due = first + every * number;
                if due >= start + FLOOD_FOR || Instant::now() >= start + FLOOD_FOR {
                    break;
                }
                tokio::time::sleep_until(due.into()).await;
                let (id, sent) = (format!("flood-{connection}-{number}"), Instant::now());
                let status = sender.send(&id).await?;
                answers.push((id, status, sent.elapsed().as_secs_f64() * 1000.0));
            }
            anyhow::Ok(answers)
        });
    }
    let mut flood =
        Flood { sent: 0, accepted: 0, refused: 0, other: 0, p50_ms: 0.0, p99_ms: 0.0, accepted_ids: Vec::new() };
    let (mut times, mut others) = (Vec::new(), HashMap::new());
    while let Some(done) = tasks.join_next().await {
        for (id, status, milliseconds) in done?? {
            flood.sent += 1;
            match status {
                200 | 202 => {
                    flood.accepted += 1;
                    times.push(milliseconds);
                    flood.accepted_ids.push(id);
                }
                429 => flood.refused += 1,
                status => *others.entry(status).or_insert(0_u64) += 1,
            }
        }
    }
    flood.other = others.values().sum();
    if !others.is_empty() {
        eprintln!("other answers: {others:?}");
    }
    (flood.p50_ms, flood.p99_ms) = (crate::pages::percentile(&mut times, 50), crate::pages::percentile(&mut times, 99));
    Ok(flood)
}
