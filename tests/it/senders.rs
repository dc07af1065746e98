//! `/webhooks/{sender}/{source}`: each sender proves in its own way who it is, and what it tells is the same in any
//! order and however often it comes.

use crate::support::{self, Page, TestApp};
use crate::webhooks::rows;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, TimeDelta, Utc};
use costwake::events::{self, Headers, Proof, Sender, WEBHOOK_SENDERS};
use costwake::rollup::events::read_new;
use costwake::store::event_deliveries::{self, NewDelivery};
use costwake::store::event_sources;
use costwake::store::seal::Key;
use hmac::{Hmac, KeyInit, Mac};
use proptest::strategy::{Just, Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// The service with a source of every kind.
pub struct Doors {
    /// The service.
    pub app: TestApp,
    secrets: BTreeMap<&'static str, String>,
    _folder: TempDir,
}

impl Doors {
    /// The service with a source of every kind, named after it.
    pub async fn new(pool: &PgPool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let app = support::app_with(pool.clone(), support::config(&["--key-file", path.to_str().unwrap()])).await;
        let key = Key::load_or_create(&path).unwrap();
        let mut conn = pool.acquire().await.unwrap();
        let mut secrets = BTreeMap::new();
        for sender in &WEBHOOK_SENDERS {
            let secret = events::new_secret(sender.proof, &[7; 32]);
            let created = event_sources::create(&mut conn, &key, sender.key, sender.key, &secret, Utc::now()).await;
            assert!(created.unwrap().is_some(), "{}", sender.key);
            secrets.insert(sender.key, secret);
        }
        Self { app, secrets, _folder: folder }
    }

    async fn post(&self, sender: &Sender, headers: &[(String, String)], body: &[u8]) -> Page {
        let uri = format!("/webhooks/{0}/{0}", sender.key);
        let mut request = Request::builder().method(Method::POST).uri(uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.app.send(request.body(Body::from(body.to_vec())).unwrap()).await
    }

    /// Sends a body with what proves its sender.
    pub async fn send(&self, sender: &Sender, more: &[(&str, &str)], body: &[u8]) -> Page {
        let mut headers = proof(sender, &self.secrets[sender.key], body);
        headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.post(sender, &headers, body).await
    }
}

fn hmac256(secret: &[u8], body: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}

// As each sender's documentation says.
fn proof(sender: &Sender, secret: &str, body: &[u8]) -> Vec<(String, String)> {
    let digits = hex::encode(hmac256(secret.as_bytes(), body));
    let one = |name: &str, value: String| vec![(name.to_owned(), value)];
    match sender.proof {
        Proof::Sha256Prefixed(name) | Proof::NamedAlgorithm(name) => one(name, format!("sha256={digits}")),
        Proof::Versioned(name) => one(name, format!("v1={digits}")),
        Proof::Sha256Plain(name) => one(name, digits),
        Proof::Sha512Plain(name) => {
            let mut mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).unwrap();
            mac.update(body);
            one(name, hex::encode(mac.finalize().into_bytes()))
        }
        Proof::Gitlab => {
            let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
            let (id, time) = (hex::encode(&Sha256::digest(body)[..8]), Utc::now().timestamp().to_string());
            let signature = hmac256(&key, &[format!("{id}.{time}.").as_bytes(), body].concat());
            vec![
                ("webhook-id".into(), id),
                ("webhook-timestamp".into(), time),
                ("webhook-signature".into(), format!("v1,{}", BASE64.encode(signature))),
            ]
        }
        Proof::Token => one("authorization", format!("Bearer {secret}")),
        Proof::HoneycombTeam => one("x-honeycomb-team", secret.to_owned()),
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_sender_proves_itself_and_is_stored_before_it_is_answered(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    for sender in &WEBHOOK_SENDERS {
        let body = br#"{"object_kind": "other", "clone": "https://bot:hush@example.com/x"}"#;
        let header = [("x-github-event", "star"), ("x-costwake-trial", "1")];
        let unsigned = doors.post(sender, &[], body).await;
        assert_eq!(unsigned.status, StatusCode::UNAUTHORIZED, "{}", sender.key);
        let forged = proof(sender, &events::new_secret(sender.proof, &[8; 32]), body);
        let refused = doors.post(sender, &forged, body).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{}", sender.key);
        let sentence = refused.json()["error"].as_str().unwrap().to_lowercase();
        // It says what it may be: each header, and the clock where the time is signed.
        for header in forged.iter().map(|(name, _)| name).filter(|name| *name != "webhook-id") {
            assert!(sentence.contains(header.as_str()), "{}: {header} is not in {sentence}", sender.key);
        }
        let stored = "SELECT count(*) FROM event_delivery";
        let before = support::count(&pool, stored).await;
        let taken = doors.send(sender, &header, body).await;
        assert_eq!(taken.status, StatusCode::ACCEPTED, "{}: {}", sender.key, taken.body);
        assert_eq!(support::count(&pool, stored).await, before + 1);
        // Another sender's address does not take it.
        let other = Request::builder().method(Method::POST).uri(format!("/webhooks/jenkins/{}", sender.key));
        assert_eq!(doors.app.send(other.body(Body::empty()).unwrap()).await.status, StatusCode::NOT_FOUND);
    }
    // Nothing that proves anything, and no credentials, are kept.
    let kept: Vec<String> =
        sqlx::query_scalar("SELECT headers::text || convert_from(body, 'UTF8') FROM event_delivery")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(kept.len(), WEBHOOK_SENDERS.len());
    for (text, secret) in kept.iter().flat_map(|text| doors.secrets.values().map(move |secret| (text, secret))) {
        assert!(!text.contains("hush") && !text.contains(secret.as_str()), "{text}");
    }
    // Whatever it was, reading it ends, and says why where it told nothing.
    read_new(&pool).await.unwrap();
    let silent = "SELECT count(*) FROM event_delivery WHERE state NOT IN ('ignored', 'error') OR error IS NULL";
    assert_eq!(support::count(&pool, silent).await, 0);
}

/// S15: what GitLab signed and somebody sends once more, as it was, changes nothing; with another body it is not taken.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_signed_delivery_of_gitlab_that_is_replayed_changes_nothing(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let gitlab = Sender::of("gitlab").unwrap();
    let told = |status: &str| {
        json!({"object_kind": "deployment", "status": status, "status_changed_at": "2026-03-01T10:00:00Z",
            "deployment_id": 7, "environment": "production", "environment_tier": "production",
            "project": {"path_with_namespace": "acme/web", "web_url": "https://gitlab.example.com/acme/web"},
            "commit_url": format!("https://gitlab.example.com/acme/web/-/commit/{}", "a".repeat(40))})
        .to_string()
    };
    let body = told("success");
    let signed = proof(gitlab, &doors.secrets["gitlab"], body.as_bytes());
    assert_eq!(doors.post(gitlab, &signed, body.as_bytes()).await.status, StatusCode::ACCEPTED);
    assert_eq!(read_new(&pool).await.unwrap().done, 1);
    let before = rows(&pool).await;
    assert_eq!(before.len(), 1);
    let again = doors.post(gitlab, &signed, body.as_bytes()).await;
    assert_eq!(again.status, StatusCode::OK, "{}", again.body);
    let forged = doors.post(gitlab, &signed, told("failed").as_bytes()).await;
    assert_eq!(forged.status, StatusCode::UNAUTHORIZED, "{}", forged.body);
    let read = read_new(&pool).await.unwrap();
    assert_eq!((read.done, read.ignored, read.failed), (0, 0, 0));
    assert_eq!(rows(&pool).await, before);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM event_delivery WHERE repeat_count = 1").await, 1);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM event_delivery").await, 1);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_delivery_that_comes_again_is_known_by_its_own_id(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let Some(folder) = folder() else { return };
    let body = fs::read(folder.join("circleci/workflow_completed_github_success.json")).unwrap();
    let sender = Sender::of("circleci").unwrap();
    assert_eq!(doors.send(sender, &[], &body).await.status, StatusCode::ACCEPTED);
    let again = doors.send(sender, &[], &body).await;
    assert_eq!(again.status, StatusCode::OK);
    let key: String = sqlx::query_scalar("SELECT dedupe_key FROM event_delivery").fetch_one(&pool).await.unwrap();
    assert_eq!(key, "3888f21b-eaa7-38e3-8f3d-75a63bba8895");
    // A body that is not JSON is kept too, and its state says so: a refusal may switch the sender's hook off.
    assert_eq!(doors.send(sender, &[], b"not json").await.status, StatusCode::ACCEPTED);
    assert_eq!(read_new(&pool).await.unwrap().failed, 1);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn both_secrets_of_a_token_sender_are_valid_while_one_replaces_the_other(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let browser = doors.app.browser(costwake::store::Role::Admin, false, &[]).await;
    let sender = Sender::of("argocd").unwrap();
    let id = support::count(&pool, "SELECT event_source_id FROM event_source WHERE name = 'argocd'").await;
    let path = format!("/settings/event-sources/{id}/rotate");
    let short = browser.post_form(&path, &[("secret", "short")]).await;
    assert_eq!(short.status, StatusCode::BAD_REQUEST);
    let rotated = browser.post_form(&path, &[("secret", "a-secret-of-its-own")]).await;
    assert!(rotated.body.contains("a-secret-of-its-own") && rotated.body.contains("href=\"/docs/connect/argocd.md\""));
    let guide = browser.get("/docs/connect/argocd.md").await;
    assert!(guide.status == StatusCode::OK && guide.body.contains("template.costwake-deployment"), "{}", guide.body);
    for secret in [doors.secrets["argocd"].as_str(), "a-secret-of-its-own"] {
        let headers = [("authorization".to_owned(), format!("Basic {}", BASE64.encode(format!("x:{secret}"))))];
        let page = doors.post(sender, &headers, secret.as_bytes()).await;
        assert_eq!(page.status, StatusCode::ACCEPTED, "{secret}");
    }
    assert_eq!(
        browser.post_form(&format!("/settings/event-sources/{id}/end-old-secret"), &[]).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(doors.send(sender, &[], b"{}").await.status, StatusCode::UNAUTHORIZED);
}

// Whoever reads GitLab's plain token on the way must not send in its name once it signs.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn after_the_first_signature_the_plain_token_is_refused_until_it_is_allowed(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let gitlab = Sender::of("gitlab").unwrap();
    let token = [("x-gitlab-token".to_owned(), doors.secrets["gitlab"].clone())];
    let id = support::count(&pool, "SELECT event_source_id FROM event_source WHERE name = 'gitlab'").await;
    let path = format!("/settings/event-sources/{id}");
    let browser = doors.app.browser(costwake::store::Role::Admin, false, &[]).await;
    let early = browser.post_form(&format!("{path}/plain-token/allow"), &[]).await;
    assert_eq!(early.status, StatusCode::CONFLICT, "it has not signed yet");
    assert!(!browser.get(&path).await.body.contains("Signs what it sends"));
    assert_eq!(doors.post(gitlab, &token, b"{\"a\": 1}").await.status, StatusCode::ACCEPTED);
    // A signature that is wrong teaches nothing.
    let forged = proof(gitlab, &events::new_secret(gitlab.proof, &[8; 32]), b"{}");
    assert_eq!(doors.post(gitlab, &forged, b"{}").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(doors.post(gitlab, &token, b"{\"a\": 2}").await.status, StatusCode::ACCEPTED);

    assert_eq!(doors.send(gitlab, &[], b"{\"a\": 3}").await.status, StatusCode::ACCEPTED);
    let refused = doors.post(gitlab, &token, b"{\"a\": 4}").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(refused.body.contains("This source signs what it sends"), "{}", refused.body);
    let page = browser.get(&path).await.body;
    assert!(page.contains("Signs what it sends since") && page.contains("Allow the plain token again"), "{page}");
    assert!(page.contains("Last refusal: This source signs what it sends"), "{page}");
    assert_eq!(doors.send(gitlab, &[], b"{\"a\": 5}").await.status, StatusCode::ACCEPTED);

    assert_eq!(browser.post_form(&format!("{path}/plain-token/allow"), &[]).await.status, StatusCode::SEE_OTHER);
    for body in [b"{\"a\": 6}", b"{\"a\": 7}"] {
        assert_eq!(doors.post(gitlab, &token, body).await.status, StatusCode::ACCEPTED);
        assert_eq!(doors.send(gitlab, &[], &[body.as_slice(), b" "].concat()).await.status, StatusCode::ACCEPTED);
    }
    assert!(browser.get(&path).await.body.contains("Require the signature again"));
    assert_eq!(browser.post_form(&format!("{path}/plain-token/refuse"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(doors.post(gitlab, &token, b"{\"a\": 8}").await.status, StatusCode::UNAUTHORIZED);
    let audited = "SELECT count(*) FROM audit_log WHERE action LIKE 'event_source.plain_token_%'";
    assert_eq!(support::count(&pool, audited).await, 2);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_kind_of_source_can_be_added_with_the_steps_to_connect_it(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    let mut app = support::app_with(pool.clone(), support::config(&["--key-file", key_file.to_str().unwrap()])).await;
    app.sign_in(costwake::store::Role::Admin).await;
    for sender in &WEBHOOK_SENDERS {
        let name = format!("my-{}", sender.key);
        let made = app.post_form("/settings/event-sources", &[("name", &name), ("kind", sender.key)]).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        assert!(made.body.contains(&format!("/webhooks/{}/{name}", sender.key)), "{}", sender.key);
        assert!(made.body.contains(&format!("<td data-label=\"Kind\">{}<", sender.label)), "{}", sender.key);
    }
    let unknown = app.post_form("/settings/event-sources", &[("name", "x"), ("kind", "jenkins")]).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
}

fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("COSTWAKE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let events = shared.join("data/events");
    if !events.is_dir() {
        support::skipped(&format!("{} is not there", events.display()));
        return None;
    }
    Some(events)
}

fn argo(version: &str, revision: &str, minute: i64) -> Value {
    let at = |minute: i64| crate::webhooks::minute(minute);
    json!({"schema": "argocd.v1", "app": "checkout", "uid": "u1", "project": "shop", "namespace": "checkout",
        "cluster": "in-cluster", "labels": {"env": "production"}, "phase": "Succeeded", "health": "Healthy",
        "revision": revision, "images": [format!("registry/checkout:{version}"), "registry/sidecar:1"],
        "startedAt": at(minute), "finishedAt": at(minute + 1), "by": {"username": "ada"}})
}

fn alert(status: &str, minute: i64) -> Value {
    json!({"version": "4", "status": status, "alerts": [{"status": status, "fingerprint": "f1",
        "labels": {"alertname": "High latency", "service": "checkout", "env": "production", "severity": "page"},
        "startsAt": crate::webhooks::minute(3), "endsAt": crate::webhooks::minute(minute)}]})
}

fn incident(kind: &str, status: &str, minute: i64) -> Value {
    json!({"event": {"id": format!("{kind}{minute}"), "event_type": format!("incident.{kind}"),
        "resource_type": "incident", "occurred_at": crate::webhooks::minute(minute),
        "data": {"id": "P1", "type": "incident", "status": status, "title": "Orders fail",
            "html_url": "https://acme.example.com/incidents/P1", "service": {"summary": "checkout"}, "urgency": "high"}}})
}

// Another one, which is mentioned again long after it was over.
fn mentioned_again() -> Vec<Value> {
    let of = |kind: &str, status: &str, minute: i64| {
        let mut body = incident(kind, status, minute);
        body["event"]["id"] = json!(format!("P2{kind}{minute}"));
        body["event"]["data"]["id"] = json!("P2");
        body["event"]["data"]["title"] = json!("Search fails");
        body
    };
    vec![of("triggered", "triggered", -60), of("resolved", "resolved", -30), of("priority_updated", "resolved", 21_000)]
}

fn cdevent(predicate: &str, artifact: &str, minute: i64) -> Value {
    json!({"context": {"specversion": "0.6.0", "id": format!("{minute}"), "source": "/ci",
        "type": format!("dev.cdevents.service.{predicate}.0.3.0"), "timestamp": crate::webhooks::minute(minute)},
        "subject": {"id": "checkout", "content": {"environment": {"id": "production"}, "artifactId": artifact}}})
}

/// Bodies beside those of the data set: courses with an order that matters.
pub fn own_bodies(sender: &str) -> Vec<Value> {
    match sender {
        "argocd" => vec![argo("1", "a", 0), argo("1", "b", 10), argo("2", "c", 20), argo("1", "d", 30)],
        "alertmanager" => vec![alert("firing", 0), alert("resolved", 9)],
        "pagerduty" => [
            vec![
                incident("triggered", "triggered", 1),
                incident("acknowledged", "acknowledged", 2),
                incident("resolved", "resolved", 8),
                incident("reopened", "triggered", 9),
            ],
            mentioned_again(),
        ]
        .concat(),
        "cdevents" => vec![
            cdevent("deployed", "pkg:oci/checkout@sha256%3Aaa?tag=1", 0),
            cdevent("upgraded", "pkg:oci/checkout@sha256%3Abb?tag=2", 10),
            cdevent("rolledback", "pkg:oci/checkout@sha256%3Aaa?tag=1", 20),
            cdevent("published", "pkg:oci/checkout@sha256%3Aaa?tag=1", 21),
            cdevent("removed", "pkg:oci/checkout@sha256%3Abb?tag=2", 22),
            cdevent("removed", "pkg:oci/checkout@sha256%3Aaa?tag=1", 30),
        ],
        "terraform" => ["pending", "planning", "applying", "applied"]
            .iter()
            .enumerate()
            .map(|(number, status)| {
                json!({"run_id": "run-1", "workspace_name": "checkout", "run_created_at": crate::webhooks::minute(0),
                    "run_url": "https://app.example.com/run-1", "notifications": [{"run_status": status,
                    "trigger": format!("run:{status}"), "run_updated_at": crate::webhooks::minute(number as i64)}]})
            })
            .collect(),
        "kubernetes" => (1..4)
            .map(|count| {
                json!({"metadata": {"uid": "u"}, "reason": "SuccessfulRescale", "count": count,
                    "message": format!("New size: {count}; reason: cpu"), "lastTimestamp": crate::webhooks::minute(count),
                    "involvedObject": {"name": "checkout", "namespace": "shop"}})
            })
            .collect(),
        "grafana" => vec![json!({"time": 1_772_359_200_000_i64, "timeEnd": 1_772_359_800_000_i64,
            "tags": ["service:checkout", "env:production"], "text": "Load test"})],
        "honeycomb" => vec![json!({"message": "deploy 7", "type": "deploy", "start_time": 1_772_359_200,
            "service": "checkout"})],
        "flux" => crate::flux::course(),
        _ => crate::sender_courses::of(sender),
    }
}

/// A body as its sender sends it.
pub struct Given {
    /// With it.
    pub headers: Headers,
    /// Itself.
    pub body: Vec<u8>,
    /// When it comes.
    pub received_at: DateTime<Utc>,
}

// The bodies of a sender, in the order in which they would come.
fn given(sender: &str, folder: &std::path::Path) -> Vec<Given> {
    let entries: Vec<Value> = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let is_of = |entry: &&Value| {
        let source = entry["source"].as_str().unwrap();
        source == sender || source.strip_suffix("_api") == Some(sender)
    };
    let shared = entries.iter().filter(is_of).map(|entry| {
        let headers = entry["headers"].as_object().unwrap();
        let headers = Headers::redacted(headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
        (headers, fs::read(folder.join(entry["file"].as_str().unwrap())).unwrap())
    });
    let own = own_bodies(sender).into_iter().map(|body| (Headers::default(), body.to_string().into_bytes()));
    let start: DateTime<Utc> = "2026-11-24T10:00:00Z".parse().unwrap();
    let received = (0..).map(|number| start + TimeDelta::seconds(number));
    shared.chain(own).zip(received).map(|((headers, body), received_at)| Given { headers, body, received_at }).collect()
}

/// Stores a delivery as the front door does.
pub async fn deliver(pool: &PgPool, sender: &str, key: &str, given: &Given) {
    let mut conn = pool.acquire().await.unwrap();
    let source = event_sources::find(&mut conn, sender).await.unwrap().unwrap();
    let new = NewDelivery {
        event_source_id: source.event_source_id,
        dedupe_key: key,
        event_name: "",
        headers: &given.headers,
        body: &given.body,
        body_sha256: "",
        received_at: given.received_at,
    };
    event_deliveries::insert(&mut conn, &new).await.unwrap();
}

const TABLES: &str = "deployment, deployment_service, deployment_status, operational_event, operational_event_status,
    pipeline_run, release, change, event_delivery, job";

/// Nothing was told.
pub async fn emptied(pool: &PgPool) {
    sqlx::query(sqlx::AssertSqlSafe(format!("TRUNCATE {TABLES} CASCADE"))).execute(pool).await.unwrap();
}

/// All that is known, without numbers that depend on the order of arrival.
pub async fn timeline(pool: &PgPool) -> Vec<Value> {
    sqlx::query_scalar(
        "SELECT to_jsonb(d) - 'deployment_id' - 'environment_id' || jsonb_build_object('services',
             (SELECT jsonb_agg(to_jsonb(ds) - 'deployment_id' - 'service_id' || jsonb_build_object('slug', v.slug)
                               ORDER BY v.slug)
              FROM deployment_service ds JOIN service v USING (service_id) WHERE ds.deployment_id = d.deployment_id))
         FROM deployment d
         UNION ALL SELECT to_jsonb(o) - 'operational_event_id' - 'environment_id' || jsonb_build_object('services',
             (SELECT jsonb_agg(v.slug ORDER BY v.slug) FROM operational_event_service os JOIN service v USING (service_id)
              WHERE os.operational_event_id = o.operational_event_id))
         FROM operational_event o
         UNION ALL SELECT to_jsonb(p) - 'pipeline_run_id' - 'event_delivery_id' FROM pipeline_run p
         UNION ALL SELECT to_jsonb(r) - 'release_id' FROM release r
         UNION ALL SELECT to_jsonb(c) - 'change_id' FROM change c
         ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// F36 for every sender: its bodies in any order, repeated, read in one go or piece by piece, give the same timeline.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_bodies_of_each_sender_give_the_same_timeline_in_any_order(pool: PgPool) {
    let Some(folder) = folder() else { return };
    let _doors = Doors::new(&pool).await;
    // Context adds nothing to the catalogue: the service is there before.
    sqlx::query("INSERT INTO service (slug, name) VALUES ('checkout', 'checkout')").execute(&pool).await.unwrap();
    let mut runner = TestRunner::deterministic();
    for sender in &WEBHOOK_SENDERS {
        let all = given(sender.key, &folder);
        assert!(!all.is_empty(), "{}", sender.key);
        emptied(&pool).await;
        for (number, given) in all.iter().enumerate() {
            deliver(&pool, sender.key, &number.to_string(), given).await;
        }
        let reading = read_new(&pool).await.unwrap();
        assert_eq!(reading.failed, 0, "{}", sender.key);
        let expected = timeline(&pool).await;
        assert!(!expected.is_empty(), "{}", sender.key);
        for round in 0..4 {
            emptied(&pool).await;
            let order: Vec<usize> = (0..all.len()).chain(0..all.len().div_ceil(2)).collect();
            let mixed = Just(order).prop_shuffle().new_tree(&mut runner).unwrap().current();
            for (place, number) in mixed.iter().enumerate() {
                deliver(&pool, sender.key, &format!("{place}"), &all[*number]).await;
                if place % (round + 1) == 1 {
                    read_new(&pool).await.unwrap();
                }
            }
            read_new(&pool).await.unwrap();
            assert_eq!(timeline(&pool).await, expected, "{} in round {round}", sender.key);
        }
        // Read again after an adapter was mended: the same.
        let mut conn = pool.acquire().await.unwrap();
        event_deliveries::read_all_again(&mut conn, None, None).await.unwrap();
        read_new(&pool).await.unwrap();
        assert_eq!(timeline(&pool).await, expected, "{} read again", sender.key);
    }
}

/// Stores and reads the courses of these senders.
pub async fn courses(pool: &PgPool, senders: &[&str]) {
    for sender in senders {
        for (number, body) in own_bodies(sender).into_iter().enumerate() {
            let body = body.to_string().into_bytes();
            let given = Given { headers: Headers::default(), body, received_at: Utc::now() };
            deliver(pool, sender, &number.to_string(), &given).await;
        }
    }
    assert_eq!(read_new(pool).await.unwrap().failed, 0);
}

/// What each course comes to.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn syncs_rollbacks_and_incidents_are_told_apart(pool: PgPool) {
    let _doors = Doors::new(&pool).await;
    sqlx::query("INSERT INTO service (slug, name) VALUES ('checkout', 'checkout')").execute(&pool).await.unwrap();
    courses(&pool, &["argocd", "alertmanager", "pagerduty"]).await;
    let kinds: Vec<String> = sqlx::query_scalar("SELECT version || ' ' || kind FROM deployment ORDER BY finished_at")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(kinds, ["1 deploy", "1 config_sync", "2 deploy", "1 rollback"]);
    let events: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', title, status, to_char(started_at AT TIME ZONE 'UTC', 'HH24:MI'),
             coalesce(to_char(ended_at AT TIME ZONE 'UTC', 'HH24:MI'), 'lasts'))
         FROM operational_event ORDER BY title",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(
        events,
        [
            "High latency resolved 10:03 10:09",
            "Orders fail triggered 10:01 lasts",
            // When it was resolved, not when it was mentioned last.
            "Search fails resolved 09:00 09:30"
        ]
    );
    // The first deployment had two incidents within a day and before the next one; the third was gone back from.
    let failures: Vec<String> = sqlx::query_scalar(
        "SELECT d.version || ' ' || f.reason FROM change_failure f JOIN deployment d USING (deployment_id)
         ORDER BY d.finished_at, f.reason",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(failures, ["1 incident", "1 incident", "2 rollback"]);
}
