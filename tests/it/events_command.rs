//! `costwake events`: every sender's payloads read from a file, and stored deliveries read again.

use crate::events_conformance::shared;
use crate::senders::{Doors, Given, deliver, own_bodies};
use crate::support::{count, said};
use chrono::{DateTime, Utc};
use costwake::events::{self, Headers, SENDERS};
use costwake::rollup::events::read_new;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tokio::process::Command;

struct Payload {
    sender: String,
    file: PathBuf,
    headers: Vec<(String, String)>,
}

fn shared_payloads(folder: &Path) -> Vec<Payload> {
    let entries: Vec<Value> = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let payload = |entry: &Value| {
        let headers = entry["headers"].as_object().unwrap().iter();
        Payload {
            sender: entry["source"].as_str().unwrap().to_owned(),
            file: folder.join(entry["file"].as_str().unwrap()),
            headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
        }
    };
    entries.iter().map(payload).collect()
}

// Of senders that the data set has nothing of.
fn own_payloads(folder: &Path) -> Vec<Payload> {
    let deployment = json!({"id": "r1", "service": "checkout", "environment": "production",
        "finished_at": "2026-03-01T10:00:00Z"});
    let bodies = ["argocd", "kubernetes", "grafana", "honeycomb"].map(|sender| (sender, own_bodies(sender).remove(0)));
    let payload = |(sender, body): (&str, Value)| {
        let file = folder.join(format!("{sender}.json"));
        fs::write(&file, body.to_string()).unwrap();
        Payload { sender: sender.to_owned(), file, headers: Vec::new() }
    };
    bodies.into_iter().chain([("api", deployment)]).map(payload).collect()
}

async fn read(payload: &Payload) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.args(["events", "read", &payload.sender]).arg(&payload.file).arg("--json").env_clear();
    for (name, value) in &payload.headers {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    command.output().await.unwrap()
}

// Where a body tells no time, the report has the time of reading.
fn comparable(report: &Value) -> Value {
    let is_told = report["time_is_received"] == json!(false);
    if is_told { report.clone() } else { json!([report["kind"], report["external_id"], report["status"]]) }
}

#[tokio::test]
async fn each_sender_s_payload_is_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut payloads = own_payloads(folder.path());
    let shared = shared();
    payloads.extend(shared.iter().flat_map(|folder| shared_payloads(folder)));
    for payload in &payloads {
        let name = payload.file.display();
        let output = read(payload).await;
        assert!(output.status.success(), "{name}: {}", said(&output));
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        let headers = payload.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let body = fs::read(&payload.file).unwrap();
        let read = events::read(&payload.sender, &Headers::redacted(headers), &body, Utc::now()).unwrap();
        assert_eq!(comparable(&printed), comparable(&events::report(&read)), "{name}");
    }
    let seen: BTreeSet<&str> = payloads.iter().map(|payload| payload.sender.as_str()).collect();
    assert!(shared.is_none() || seen == BTreeSet::from(SENDERS), "{seen:?}");
    let other = Payload { sender: "nobody".into(), file: payloads[0].file.clone(), headers: Vec::new() };
    let refused = read(&other).await;
    assert_eq!(refused.status.code(), Some(1));
    let sentence = "\"nobody\" is not a sender that can be read; these can: github, gitlab,";
    assert!(said(&refused).contains(sentence), "{}", said(&refused));
}

async fn replay(pool: &PgPool, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string());
    command.env("COSTWAKE_DATA_DIR", folder.path()).args(["events", "replay"]).args(more);
    command.output().await.unwrap()
}

async fn ended(pool: &PgPool, sender: &str, id: &str, received_at: &str) {
    let run = match sender {
        "circleci" => json!({"type": "workflow-completed", "id": id, "workflow": {"id": id, "name": "build",
            "status": "success", "created_at": "2026-11-01T10:00:00Z", "stopped_at": "2026-11-01T10:05:00Z"}}),
        _ => json!({"id": id, "eventType": "build.complete", "resource": {"id": id, "status": "completed",
            "result": "succeeded", "startTime": "2026-11-01T10:00:00Z", "finishTime": "2026-11-01T10:05:00Z"}}),
    };
    let received_at: DateTime<Utc> = received_at.parse().unwrap();
    let given = Given { headers: Headers::default(), body: run.to_string().into_bytes(), received_at };
    deliver(pool, sender, id, &given).await;
}

/// As an older adapter might have left them, all rows; what is read again is mended, and nothing else.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn replay_reads_what_it_is_asked_for(pool: PgPool) {
    let _doors = Doors::new(&pool).await;
    ended(&pool, "circleci", "w1", "2026-11-02T10:00:00Z").await;
    ended(&pool, "circleci", "w2", "2026-11-04T10:00:00Z").await;
    ended(&pool, "azure_devops", "b1", "2026-11-04T12:00:00Z").await;
    assert_eq!(read_new(&pool).await.unwrap().done, 3);
    let wrong = "SELECT count(*) FROM pipeline_run WHERE name = 'Wrong'";
    for (arguments, again) in [
        (vec![], 3),
        (vec!["--source", "circleci"], 2),
        (vec!["--source", "circleci", "--since", "2026-11-04"], 1),
        (vec!["--since", "2026-11-04"], 2),
        (vec!["--since", "2026-11-04T13:00:00+02:00"], 1),
        (vec!["--since", "2026-11-05"], 0),
    ] {
        sqlx::query("UPDATE pipeline_run SET name = 'Wrong', told_at = 'infinity'").execute(&pool).await.unwrap();
        let output = replay(&pool, &arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed, format!("{again} read, 0 of no use, 0 could not be read.\n"), "{arguments:?}");
        assert_eq!(count(&pool, wrong).await, 3 - again, "{arguments:?}");
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn replay_says_by_its_exit_code_that_something_is_not_readable(pool: PgPool) {
    let _doors = Doors::new(&pool).await;
    ended(&pool, "circleci", "w1", "2026-11-02T10:00:00Z").await;
    ended(&pool, "circleci", "w2", "2026-11-04T10:00:00Z").await;
    read_new(&pool).await.unwrap();
    let unknown = replay(&pool, &["--source", "nobody"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(said(&unknown).contains("there is no event source \"nobody\""), "{}", said(&unknown));
    let no_time = replay(&pool, &["--since", "yesterday"]).await;
    assert!(!no_time.status.success() && said(&no_time).contains("write a day as 2026-11-24"), "{}", said(&no_time));
    // Neither took anything up.
    assert_eq!(count(&pool, "SELECT count(*) FROM event_delivery WHERE state = 'done'").await, 2);

    sqlx::query("UPDATE event_delivery SET body = 'not JSON' WHERE dedupe_key = 'w1'").execute(&pool).await.unwrap();
    let output = replay(&pool, &[]).await;
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("1 read, 0 of no use, 1 could not be read."), "{}", said(&output));
}
