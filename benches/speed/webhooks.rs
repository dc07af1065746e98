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
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Senders at once, and connections of the commits beside them.
const CONNECTIONS: u64 = 64;
const MEASURED: Duration = Duration::from_secs(10);
const FLOOD_FOR: Duration = Duration::from_secs(60);
/// Senders of the flood: so many wait for an answer at once.
const FLOOD_CONNECTIONS: u64 = 256;
/// As [`id`] writes them.
const ID_LENGTH: usize = 21;
/// Ours are far shorter.
const ANSWER_BYTES_MAX: usize = 16 << 10;
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

/// A request as bytes, but for the delivery's id. Its signature is of the body alone: it is worked out here, once.
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
        let host = address(server);
        let before = format!("POST /webhooks/github/{SOURCE} HTTP/1.1\r\nHost: {host}\r\nX-GitHub-Delivery: ");
        let after = format!(
            "\r\nX-GitHub-Event: deployment_status\r\nX-Hub-Signature-256: sha256={signature}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { before, after }
    }
}

fn address(server: &Server) -> String {
    server.url().trim_start_matches("http://").to_owned()
}

/// One sender's connection. It costs little beside the server, whose cores it shares: the request is one buffer in which
/// the id alone is written anew, and of the answer only its status and its end are looked for.
struct Sender {
    stream: TcpStream,
    request: Vec<u8>,
    id_at: usize,
    answer: Vec<u8>,
}

impl Sender {
    async fn open(address: &str, post: &Post) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = [post.before.as_str(), &"0".repeat(ID_LENGTH), &post.after].concat().into_bytes();
        Ok(Self { stream, request, id_at: post.before.len(), answer: vec![0; ANSWER_BYTES_MAX] })
    }

    /// Sends one and reads the answer; its status.
    async fn send(&mut self, id: &str) -> anyhow::Result<u16> {
        ensure!(id.len() == ID_LENGTH, "the id {id} is not {ID_LENGTH} characters long");
        self.request[self.id_at..self.id_at + ID_LENGTH].copy_from_slice(id.as_bytes());
        self.stream.write_all(&self.request).await?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.answer[filled..]).await?;
            ensure!(read > 0, "the connection ended in an answer, or the answer is too long");
            filled += read;
            if let Some(status) = status_of(&self.answer[..filled])? {
                return Ok(status);
            }
        }
    }
}

/// The status of an answer, once all of it is there.
fn status_of(answer: &[u8]) -> anyhow::Result<Option<u16>> {
    let Some(head_length) = memchr::memmem::find(answer, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..head_length])?;
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).context("no status line")?;
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let length = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value).next();
    let length: usize = length.context("an answer tells no length")?.trim().parse()?;
    Ok((answer.len() >= head_length + 4 + length).then_some(status))
}

/// An id of its own for each request, of one length.
fn id(kind: &str, connection: u64, number: u64) -> String {
    format!("{kind}-{connection:04}-{number:010}")
}

/// Senders share one thread: they wait most of the time, and threads that wake each other would take the server's cores.
async fn on_one_thread<T: Send + 'static>(
    work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> anyhow::Result<T> {
    let thread = move || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work);
    tokio::task::spawn_blocking(thread).await?
}

/// Measures, the flood at `offered` a second, and prints.
pub async fn run(folder: &Path, offered: u64, as_json: bool) -> anyhow::Result<()> {
    let server = Server::start(folder).await?;
    server.add_github_source(SOURCE, SECRET).await?;
    let post = Arc::new(Post::new(&server));
    let commits = single_commits(&server, &post).await?;
    eprintln!("{commits:.0} single-row commits a second with {CONNECTIONS} connections");
    let webhooks = on_one_thread(as_fast_as_it_goes(address(&server), Arc::clone(&post))).await?;
    eprintln!("{webhooks:.0} durable webhooks a second from {CONNECTIONS} senders");
    let flood = on_one_thread(flood(address(&server), post, offered)).await?;
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
        "sent_late_p99_ms": flood.late_p99_ms,
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
    ensure!(flood.other == 0, "{} webhooks were neither taken nor told to come again", flood.other);
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

async fn as_fast_as_it_goes(address: String, post: Arc<Post>) -> anyhow::Result<f64> {
    let until = Instant::now() + MEASURED;
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let mut sender = Sender::open(&address, &post).await?;
        tasks.spawn(async move {
            let mut count = 0_u64;
            while Instant::now() < until {
                let status = sender.send(&id("quick", connection, count)).await?;
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

#[derive(Default)]
struct Flood {
    sent: u64,
    accepted: u64,
    refused: u64,
    other: u64,
    p50_ms: f64,
    p99_ms: f64,
    // How much later than due one was sent: what the senders themselves could not keep up with.
    late_p99_ms: f64,
    accepted_ids: Vec<String>,
}

struct Answer {
    id: String,
    status: u16,
    took: Duration,
    late: Duration,
}

// Each sender has its share of the rate. One that falls behind sends at once: its requests wait at our side then, and
// what is measured is from when it was sent.
async fn flood(address: String, post: Arc<Post>, offered: u64) -> anyhow::Result<Flood> {
    let every = Duration::from_secs_f64(FLOOD_CONNECTIONS as f64 / offered as f64);
    let start = Instant::now() + Duration::from_millis(200);
    let mut tasks = tokio::task::JoinSet::new();
    for connection in 0..FLOOD_CONNECTIONS {
        let mut sender = Sender::open(&address, &post).await?;
        tasks.spawn(async move {
            let mut answers = Vec::new();
            let first = start + every.mul_f64(connection as f64 / FLOOD_CONNECTIONS as f64);
            for number in 0_u32.. {
                let due = first + every * number;
                if due >= start + FLOOD_FOR || Instant::now() >= start + FLOOD_FOR {
                    break;
                }
                tokio::time::sleep_until(due.into()).await;
                let (id, sent) = (id("flood", connection, number.into()), Instant::now());
                let late = sent.saturating_duration_since(due);
                let status = sender.send(&id).await?;
                answers.push(Answer { id, status, took: sent.elapsed(), late });
            }
            anyhow::Ok(answers)
        });
    }
    let mut flood = Flood::default();
    let (mut times, mut lateness, mut others) = (Vec::new(), Vec::new(), HashMap::new());
    while let Some(done) = tasks.join_next().await {
        for Answer { id, status, took, late } in done?? {
            flood.sent += 1;
            lateness.push(late.as_secs_f64() * 1000.0);
            match status {
                200 | 202 => {
                    flood.accepted += 1;
                    times.push(took.as_secs_f64() * 1000.0);
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
    flood.late_p99_ms = crate::pages::percentile(&mut lateness, 99);
    Ok(flood)
}
