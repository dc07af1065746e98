//! Real payloads of the senders in which any one value is another: whatever comes, it is read or refused with a reason.

use crate::events_conformance::shared;
use crate::senders::{Doors, Given, deliver};
use crate::support::count;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use costwake::events::{self, Event, EventError, Headers, Status};
use costwake::rollup::events::read_new;
use costwake::store::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Of so many changes of each payload it is looked at what becomes of them.
const STORED_EACH: usize = 8;
/// Addresses that are read of GitHub's bodies, whose dozens of others say where each thing has its API.
const GITHUB_ADDRESSES: [&str; 4] = ["html_url", "target_url", "log_url", "environment_url"];

struct Payload {
    file: String,
    sender: String,
    headers: Headers,
    body: Value,
}

fn received_at() -> DateTime<Utc> {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

fn payloads(folder: &Path) -> Vec<Payload> {
    let entries: Vec<Value> = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let payload = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        let headers = entry["headers"].as_object().unwrap();
        Payload {
            file: text("file"),
            sender: text("source"),
            headers: Headers::redacted(headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()))),
            body: serde_json::from_slice(&fs::read(folder.join(text("file"))).unwrap()).unwrap(),
        }
    };
    entries.iter().map(payload).collect()
}

impl Payload {
    fn read(&self, body: &[u8]) -> Result<Vec<Event>, EventError> {
        events::read(&self.sender, &self.headers, body, received_at())
    }

    // Each value of it in turn, as something else: where it stands, and the whole body then.
    fn changed(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let mut pointers = Vec::new();
        collect(&self.body, &mut String::new(), &mut pointers);
        if self.sender == "github" {
            let is_read = |key: &str| !key.ends_with("_url") || GITHUB_ADDRESSES.contains(&key);
            pointers.retain(|pointer| pointer.rsplit('/').next().is_none_or(is_read));
        }
        let others = [json!(null), json!("defenestrated"), json!(-1), json!([]), json!({}), json!("javascript://x")];
        pointers.into_iter().flat_map(move |pointer| {
            let changed = others.iter().map(|other| {
                let mut changed = self.body.clone();
                *changed.pointer_mut(&pointer).unwrap() = other.clone();
                (pointer.clone(), serde_json::to_vec(&changed).unwrap())
            });
            changed.collect::<Vec<_>>()
        })
    }
}

#[test]
fn words_that_are_not_known_are_unknown_and_nothing_panics() {
    let Some(folder) = shared() else { return };
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    for payload in payloads(&folder) {
        for (pointer, body) in payload.changed() {
            for event in payload.read(&body).unwrap_or_default() {
                *unknown.entry(payload.sender.clone()).or_default() +=
                    usize::from(event.status == Some(Status::Unknown));
                for link in [&event.url, &event.api_url, &event.environment_url, &event.repo_url].into_iter().flatten()
                {
                    let is_web = link.starts_with("https://") || link.starts_with("http://");
                    assert!(is_web, "{} {pointer}: {link}", payload.file);
                }
            }
        }
    }
    assert!(unknown.values().sum::<usize>() > 20 && unknown["github"] > 0, "{unknown:?}");
}

// Some of the changes that are read as something else than the payload is.
fn sample(payload: &Payload) -> Vec<Vec<u8>> {
    let usual = payload.read(&serde_json::to_vec(&payload.body).unwrap());
    let telling: Vec<Vec<u8>> =
        payload.changed().map(|(_, body)| body).filter(|body| payload.read(body) != usual).collect();
    let step = telling.len().div_ceil(STORED_EACH).max(1);
    telling.into_iter().step_by(step).collect()
}

/// A sample goes all the way: it is stored, read, mapped and shown. An error is what the adapter, or what is written
/// down, has a sentence for.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_has_odd_values_is_stored_and_shown(pool: PgPool) {
    let Some(folder) = shared() else { return };
    let doors = Doors::new(&pool).await;
    let mut reasons: BTreeMap<String, Option<String>> = BTreeMap::new();
    for payload in payloads(&folder) {
        let source = payload.sender.trim_end_matches("_api");
        for (number, body) in sample(&payload).into_iter().enumerate() {
            let reason = match payload.read(&body) {
                Ok(read) => events::unreadable_parts(&read),
                Err(error) => Some(error.to_string()),
            };
            let key = format!("{} {number}", payload.file);
            let given = Given { headers: payload.headers.clone(), body, received_at: received_at() };
            deliver(&pool, source, &key, &given).await;
            reasons.insert(key, reason);
        }
    }
    assert!(reasons.len() > 200, "only {} were stored", reasons.len());
    read_new(&pool).await.unwrap();
    assert_eq!(count(&pool, "SELECT count(*) FROM event_delivery WHERE state = 'new'").await, 0);
    let failed: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT dedupe_key, error FROM event_delivery WHERE state = 'error'")
            .fetch_all(&pool)
            .await
            .unwrap();
    let mut failed: BTreeMap<String, Option<String>> = failed.into_iter().collect();
    for (key, reason) in reasons {
        match (reason, failed.remove(&key).flatten()) {
            (None, None) => {}
            (None, Some(said)) => assert_eq!(said, "the repository is not named", "{key}"),
            (reason, said) => assert_eq!(said, reason, "{key}"),
        }
    }
    let mut paths: Vec<String> = [
        "/",
        "/deployments",
        "/events",
        "/unmapped",
        "/unmapped?show=deployments",
        "/unmapped?show=events",
        "/environments",
        "/settings/event-sources?state=error",
    ]
    .map(str::to_owned)
    .to_vec();
    let ids: Vec<i64> = sqlx::query_scalar("SELECT deployment_id FROM deployment").fetch_all(&pool).await.unwrap();
    assert!(ids.len() > 5, "{ids:?}");
    paths.extend(ids.iter().step_by(5).map(|id| format!("/deployments/{id}")));
    let events = "SELECT operational_event_id FROM operational_event ORDER BY 1";
    let events: Vec<i64> = sqlx::query_scalar(events).fetch_all(&pool).await.unwrap();
    paths.extend(events.iter().step_by(5).map(|id| format!("/events/{id}")));
    let browser = doors.app.browser(Role::Admin, true, &[]).await;
    for path in paths {
        assert_eq!(browser.get(&path).await.status, StatusCode::OK, "{path}");
    }
}

fn collect(value: &Value, at: &mut String, pointers: &mut Vec<String>) {
    pointers.push(at.clone());
    let length = at.len();
    let mut visit = |key: String, member: &Value| {
        at.push('/');
        at.push_str(&key.replace('~', "~0").replace('/', "~1"));
        collect(member, at, pointers);
        at.truncate(length);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, member)| visit(key.clone(), member)),
        Value::Array(members) => {
            members.iter().enumerate().for_each(|(index, member)| visit(index.to_string(), member))
        }
        _ => {}
    }
}
