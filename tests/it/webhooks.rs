//! `/webhooks/github/{source}`: signed, stored before it is answered, read in any order.

use crate::support::{self, Page, TestApp};
use crate::trust_headers::is_safe;
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use costwake::rollup::events::{Reading, read_new};
use costwake::store::seal::Key;
use costwake::store::{Pools, changes, deployment_lists, event_deliveries, event_sources};
use costwake::web;
use hmac::{Hmac, KeyInit, Mac};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::PgPool;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use tempfile::TempDir;

const SECRET: &str = "first-secret";

/// A source "shop" that GitHub sends to.
pub struct Github {
    /// The service.
    pub app: TestApp,
    key: Key,
    source_id: i64,
    folder: TempDir,
}

impl Github {
    /// The source, and the service with it.
    pub async fn new(pool: &PgPool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let app = support::app_with(pool.clone(), support::config(&["--key-file", path.to_str().unwrap()])).await;
        let key = Key::load_or_create(&path).unwrap();
        let mut conn = pool.acquire().await.unwrap();
        let created = event_sources::create(&mut conn, &key, "shop", "github", SECRET, Utc::now()).await.unwrap();
        Self { app, key, source_id: created.unwrap(), folder }
    }

    /// The same with the pools that it has in service instead of the test's own one.
    pub async fn in_service(pool: &PgPool) -> Self {
        let mut github = Self::new(pool).await;
        let pools = Pools::connect_lazy((*pool.connect_options()).clone());
        github.app.state = github.app.state.with(|parts| parts.pools = pools);
        github.app.router = web::router(github.app.state.clone());
        github
    }

    async fn send(&self, event: &str, delivery: &str, body: &[u8], signature: Option<String>) -> Page {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/webhooks/github/shop")
            .header("X-GitHub-Event", event)
            .header("X-GitHub-Delivery", delivery)
            .header("Authorization", "Basic c2VjcmV0");
        if let Some(signature) = signature {
            request = request.header("X-Hub-Signature-256", signature);
        }
        self.app.send(request.body(Body::from(body.to_vec())).unwrap()).await
    }

    /// Sends a body as GitHub signs it.
    pub async fn signed(&self, event: &str, delivery: &str, body: &Value) -> Page {
        let body = body.to_string().into_bytes();
        let signature = sign(SECRET, &body);
        self.send(event, delivery, &body, Some(signature)).await
    }
}

/// What GitHub sends to prove a body.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// A time, so many minutes after ten.
pub fn minute(number: i64) -> String {
    let start: DateTime<Utc> = "2026-03-01T10:00:00Z".parse().unwrap();
    (start + TimeDelta::minutes(number)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// The repository of every payload here.
pub fn repository() -> Value {
    json!({"full_name": "acme/shop", "html_url": "https://example.com/acme/shop", "default_branch": "main"})
}

/// A deployment was created. A version is built from one commit.
pub fn deployment(id: i64, version: &str, created: i64) -> Value {
    let commit = version.parse().unwrap_or(id);
    json!({
        "action": "created", "repository": repository(), "sender": {"login": "octo"},
        "deployment": {
            "id": id, "environment": "production", "sha": format!("{commit:040x}"), "ref": "main",
            "created_at": minute(created), "payload": {"service": "checkout", "version": version}
        }
    })
}

/// A status of a deployment.
pub fn status(id: i64, version: &str, created: i64, state: &str, at: i64) -> Value {
    let mut body = deployment(id, version, created);
    body["deployment_status"] = json!({"id": id * 1000 + at, "state": state, "created_at": minute(at)});
    body
}

/// S15: without a signature, with another's, of another body, of another kind, nothing is taken and one sentence is said.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn only_what_is_signed_is_taken(pool: PgPool) {
    let github = Github::new(&pool).await;
    let body = deployment(1, "1", 0).to_string().into_bytes();
    let changed = deployment(2, "1", 0).to_string().into_bytes();
    let refused = [
        None,
        Some(sign("another", &body)),
        Some(sign(SECRET, &changed)),
        Some(sign(SECRET, &body).replace("sha256=", "sha1=")),
        Some("sha256=".into()),
    ];
    for signature in refused {
        let page = github.send("deployment", "d1", &body, signature.clone()).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{signature:?}");
        let error = page.json()["error"].as_str().unwrap().to_owned();
        let expected =
            if signature.is_none() { "is missing" } else { "does not fit this source's secret and the body" };
        assert!(error.starts_with(&format!("X-Hub-Signature-256 {expected}.")), "{error}");
    }
    assert_eq!(support::count(&pool, "SELECT count(*) FROM event_delivery").await, 0);
    assert_eq!(github.send("deployment", "d1", &body, Some(sign(SECRET, &body))).await.status, StatusCode::ACCEPTED);
}

/// S15: two secrets.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn two_secrets_are_valid_while_one_replaces_the_other(pool: PgPool) {
    let github = Github::new(&pool).await;
    let body = deployment(1, "1", 0).to_string().into_bytes();
    let now = Utc::now();
    let mut conn = pool.acquire().await.unwrap();
    let source = event_sources::find(&mut conn, "shop").await.unwrap().unwrap();
    event_sources::rotate(&mut conn, &github.key, &source, "second-secret", now).await.unwrap();
    for secret in [SECRET, "second-secret"] {
        let page = github.send("deployment", secret, &body, Some(sign(secret, &body))).await;
        assert_eq!(page.status, StatusCode::ACCEPTED);
    }
    let source = event_sources::find(&mut conn, "shop").await.unwrap().unwrap();
    assert_eq!(source.secrets(&github.key, now + TimeDelta::hours(23)).unwrap().len(), 2);
    assert_eq!(source.secrets(&github.key, now + TimeDelta::hours(25)).unwrap(), [b"second-secret".to_vec()]);
    // With another key file nothing opens, and the source says what to do.
    std::fs::write(github.folder.path().join("key"), [1; 32]).unwrap();
    let page = github.send("deployment", "k", &body, Some(sign(SECRET, &body))).await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    let source = event_sources::find(&mut conn, "shop").await.unwrap().unwrap();
    assert!(source.last_error.unwrap().contains("put the right key file back"));
}

/// S15: what is sent again has no effect.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_answer_means_that_it_is_stored_and_a_repetition_changes_nothing(pool: PgPool) {
    let github = Github::new(&pool).await;
    let first = github.signed("deployment", "guid-1", &deployment(1, "1", 0)).await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    let id = first.json()["delivery"].as_i64().unwrap();
    let row: (String, String, Value) =
        sqlx::query_as("SELECT state, event_name, headers FROM event_delivery WHERE event_delivery_id = $1")
            .bind(id)
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!((row.0.as_str(), row.1.as_str()), ("new", "deployment"));
    assert_eq!(row.2["authorization"], "[redacted]");
    assert_eq!(row.2["x-hub-signature-256"], "[redacted]");
    assert_eq!(support::count(&pool, "SELECT count(*) FROM job WHERE kind = 'normalize_events'").await, 1);

    let again = github.signed("deployment", "guid-1", &deployment(1, "1", 0)).await;
    assert_eq!((again.status, again.json()["delivery"].as_i64()), (StatusCode::OK, Some(id)));
    // The same id with another body: the first is kept.
    let other = github.signed("deployment", "guid-1", &deployment(2, "1", 0)).await;
    assert_eq!((other.status, other.json()["delivery"].as_i64()), (StatusCode::OK, Some(id)));
    assert_eq!(read_new(&pool).await.unwrap(), Reading { done: 1, ..Reading::default() });
    assert_eq!(support::count(&pool, "SELECT repeat_count::bigint FROM event_delivery").await, 2);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM deployment WHERE external_id = '1'").await, 1);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM deployment").await, 1);
}

/// What every answer carries, a webhook's has too, with a number of its own.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn webhooks_are_answered_as_all_else_is(pool: PgPool) {
    let github = Github::new(&pool).await;
    let mut ids = HashSet::new();
    for (key, expected) in [("1", StatusCode::ACCEPTED), ("1", StatusCode::OK), ("2", StatusCode::ACCEPTED)] {
        let page = github.signed("deployment", key, &deployment(1, "1", 0)).await;
        assert_eq!(page.status, expected);
        is_safe(&page, key);
        assert_eq!(page.headers.get_all("content-type").iter().collect::<Vec<_>>(), ["application/json"]);
        assert!(ids.insert(page.headers["x-request-id"].to_str().unwrap().to_owned()));
    }
    let refused = github.send("deployment", "3", b"{}", None).await;
    is_safe(&refused, "refused");
    assert!(refused.json()["error"].is_string());
    assert!(!ids.contains(refused.headers["x-request-id"].to_str().unwrap()));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_of_no_use_or_not_readable_is_stored_and_says_so(pool: PgPool) {
    let github = Github::new(&pool).await;
    assert_eq!(github.signed("ping", "p", &json!({"zen": "x", "hook": {}})).await.status, StatusCode::OK);
    assert_eq!(github.signed("star", "s", &json!({"action": "created"})).await.status, StatusCode::ACCEPTED);
    assert_eq!(github.signed("deployment", "b", &json!({"deployment": {}})).await.status, StatusCode::ACCEPTED);
    let text = b"payload=%7B%22zen%22%3A%22x%22%7D".to_vec();
    assert_eq!(github.send("ping", "f", &text, Some(sign(SECRET, &text))).await.status, StatusCode::OK);
    assert_eq!(read_new(&pool).await.unwrap(), Reading { done: 0, ignored: 3, failed: 1 });
    let mut conn = pool.acquire().await.unwrap();
    let latest = event_deliveries::latest(&mut conn, 10).await.unwrap();
    let failed = latest.iter().find(|delivery| delivery.state == "error").unwrap();
    assert_eq!(failed.error.as_deref(), Some("deployment.id is missing"));
    // Nothing that cannot be read holds up what comes after it.
    github.signed("deployment", "d", &deployment(1, "1", 0)).await;
    assert_eq!(read_new(&pool).await.unwrap().done, 1);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn unknown_switched_off_and_other_sources_are_not_found(pool: PgPool) {
    let github = Github::new(&pool).await;
    let post = |path: &str| Request::builder().method(Method::POST).uri(path).body(Body::from("{}")).unwrap();
    for path in ["/webhooks/github/other", "/webhooks/github/api"] {
        assert_eq!(github.app.send(post(path)).await.status, StatusCode::NOT_FOUND);
    }
    let mut conn = pool.acquire().await.unwrap();
    event_sources::set_enabled(&mut conn, github.source_id, false).await.unwrap();
    let off = github.signed("deployment", "d", &deployment(1, "1", 0)).await;
    let unknown = github.app.send(post("/webhooks/github/other")).await;
    assert_eq!((off.status, off.body), (unknown.status, unknown.body));
    event_sources::set_enabled(&mut conn, github.source_id, true).await.unwrap();
    let large = vec![b' '; (5 << 20) + 1];
    assert_eq!(
        github.send("push", "l", &large, Some(sign(SECRET, &large))).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

/// A body that never ends, and whether anyone asked for it.
pub fn endless() -> (Body, Arc<AtomicBool>) {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    let stream = futures_util::stream::poll_fn(move |_| {
        seen.store(true, Ordering::Relaxed);
        Poll::<Option<std::io::Result<Bytes>>>::Pending
    });
    (Body::from_stream(stream), asked)
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn nothing_of_a_body_is_read_before_the_sender_is_known(pool: PgPool) {
    let github = Github::new(&pool).await;
    for (path, signature, expected) in [
        ("/webhooks/github/other", Some("sha256=00"), StatusCode::NOT_FOUND),
        ("/webhooks/github/%00", Some("sha256=00"), StatusCode::BAD_REQUEST),
        ("/webhooks/github/shop", None, StatusCode::UNAUTHORIZED),
    ] {
        let (body, was_asked) = endless();
        let mut request = Request::builder().method(Method::POST).uri(path);
        if let Some(signature) = signature {
            request = request.header("X-Hub-Signature-256", signature);
        }
        let page = github.app.send(request.body(body).unwrap()).await;
        assert_eq!(page.status, expected, "{path} {signature:?}");
        assert!(!was_asked.load(Ordering::Relaxed), "{path} {signature:?}");
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn credentials_in_addresses_are_not_stored(pool: PgPool) {
    let github = Github::new(&pool).await;
    let mut body = deployment(1, "1", 0);
    body["repository"]["clone_url"] = json!("https://bot:hush@example.com/acme/shop.git");
    assert_eq!(github.signed("deployment", "d", &body).await.status, StatusCode::ACCEPTED);
    let stored: Vec<u8> = sqlx::query_scalar("SELECT body FROM event_delivery").fetch_one(&pool).await.unwrap();
    let stored = String::from_utf8(stored).unwrap();
    assert!(stored.contains("https://example.com/acme/shop.git") && !stored.contains("hush"));
}

fn stream() -> Vec<(&'static str, Value)> {
    vec![
        ("deployment", deployment(1, "1", 0)),
        ("deployment_status", status(1, "1", 0, "in_progress", 1)),
        ("deployment_status", status(1, "1", 0, "success", 4)),
        ("deployment_status", status(1, "1", 0, "inactive", 22)),
        ("deployment", deployment(2, "2", 10)),
        ("deployment_status", status(2, "2", 10, "in_progress", 11)),
        ("deployment_status", status(2, "2", 10, "failure", 13)),
        ("deployment_status", status(2, "2", 10, "queued", 18)),
        ("deployment_status", status(2, "2", 10, "in_progress", 19)),
        ("deployment_status", status(2, "2", 10, "success", 22)),
        ("deployment_status", status(3, "2", 30, "success", 33)),
        ("deployment_status", status(4, "1", 40, "success", 44)),
        ("deployment", deployment(5, "3", 50)),
        // What failed is called inactive too, once another is live; it never was.
        ("deployment_status", status(6, "9", 14, "failure", 16)),
        ("deployment_status", status(6, "9", 14, "inactive", 22)),
    ]
}

/// All deployments with their services and statuses, without numbers that depend on the order of arrival.
pub async fn rows(pool: &PgPool) -> Vec<Value> {
    sqlx::query_scalar(
        "SELECT to_jsonb(d) - 'deployment_id' - 'environment_id' || jsonb_build_object('services',
             (SELECT jsonb_agg(to_jsonb(ds) - 'deployment_id' - 'service_id') FROM deployment_service ds
              WHERE ds.deployment_id = d.deployment_id),
             'statuses', (SELECT jsonb_agg(s.status || ' ' || s.occurred_at ORDER BY s.occurred_at, s.sequence)
                          FROM deployment_status s WHERE s.deployment_id = d.deployment_id))
         FROM deployment d ORDER BY external_id",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// Nothing was told.
pub async fn empty(pool: &PgPool) {
    sqlx::query("TRUNCATE deployment, deployment_service, deployment_status, event_delivery, job CASCADE")
        .execute(pool)
        .await
        .unwrap();
}

/// F36: a stream in any order, with repetitions, read in one go or piece by piece, gives the same rows.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_order_of_arrival_does_not_matter(pool: PgPool) {
    let github = Github::new(&pool).await;
    for (number, (event, body)) in stream().iter().enumerate() {
        github.signed(event, &number.to_string(), body).await;
    }
    read_new(&pool).await.unwrap();
    let expected = rows(&pool).await;
    let brief: Vec<_> = expected
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            let service = &row["services"][0];
            format!(
                "{} {} {} attempts {} {} noop {}",
                text("version"),
                text("status"),
                text("kind"),
                row["attempts"],
                service["superseded_at"].as_str().unwrap_or("-"),
                service["is_noop"]
            )
        })
        .collect();
    insta::assert_snapshot!(brief.join("\n"), @r"
    1 superseded deploy attempts 1 2026-03-01T10:22:00+00:00 noop false
    2 succeeded deploy attempts 2 2026-03-01T10:33:00+00:00 noop false
    2 succeeded deploy attempts 1 2026-03-01T10:44:00+00:00 noop true
    1 succeeded rollback attempts 1 - noop false
    3 pending deploy attempts 1 - noop false
    9 failed deploy attempts 1 - noop false
    ");
    let mut runner = TestRunner::deterministic();
    for round in 0..12 {
        empty(&pool).await;
        let repeated: Vec<_> = stream().into_iter().chain(stream().into_iter().take(6)).collect();
        let mixed = proptest::strategy::Just(repeated).prop_shuffle().new_tree(&mut runner).unwrap().current();
        for (number, (event, body)) in mixed.iter().enumerate() {
            github.signed(event, &format!("{round}-{number}"), body).await;
            if number % (round + 2) == 0 {
                read_new(&pool).await.unwrap();
            }
        }
        read_new(&pool).await.unwrap();
        assert_eq!(rows(&pool).await, expected, "round {round}");
    }
    // Reading everything again changes nothing either.
    let mut conn = pool.acquire().await.unwrap();
    event_deliveries::read_all_again(&mut conn, None, None).await.unwrap();
    read_new(&pool).await.unwrap();
    assert_eq!(rows(&pool).await, expected);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_deployment_lists_what_changed_since_the_one_before(pool: PgPool) {
    let github = Github::new(&pool).await;
    let pull = |number: i64, title: &str, at: i64| {
        json!({"action": "closed", "repository": repository(), "pull_request": {
            "number": number, "merged": true, "merge_commit_sha": format!("{number:040x}"), "title": title,
            "merged_at": minute(at), "html_url": "https://example.com/p", "user": {"login": "octo"}}})
    };
    let push = |sha: i64, message: &str, at: i64, branch: &str| {
        let commit =
            json!({"id": format!("{sha:040x}"), "message": message, "timestamp": minute(at), "distinct": true});
        json!({"ref": format!("refs/heads/{branch}"), "after": format!("{sha:040x}"), "repository": repository(),
               "head_commit": commit, "commits": [commit]})
    };
    let events = [
        ("pull_request", pull(100, "Before", 1)),
        ("deployment_status", status(1, "1", 2, "success", 4)),
        ("pull_request", pull(101, "Cache prices", 5)),
        ("push", push(101, "Cache prices (#101)", 5, "main")),
        ("push", push(102, "Fix typo", 6, "main")),
        ("push", push(103, "Elsewhere", 6, "feature")),
        ("deployment_status", status(2, "2", 8, "success", 9)),
        ("pull_request", pull(104, "After", 20)),
    ];
    for (number, (event, body)) in events.iter().enumerate() {
        github.signed(event, &number.to_string(), body).await;
    }
    read_new(&pool).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let filter = deployment_lists::Filter::default();
    let ids: Vec<i64> =
        deployment_lists::list(&mut conn, &filter, 10).await.unwrap().iter().map(|row| row.deployment_id).collect();
    let list = changes::changes_of(&mut conn, ids[0]).await.unwrap();
    let titles: Vec<_> = list.changes.iter().map(|change| change.title.as_str()).collect();
    assert_eq!(titles, ["Fix typo", "Cache prices"]);
    assert_eq!(list.previous_deployment_id, Some(ids[1]));
    // The first deployment did not bring all of history.
    assert!(changes::changes_of(&mut conn, ids[1]).await.unwrap().changes.is_empty());
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn releases_and_pipelines_are_no_deployments(pool: PgPool) {
    let github = Github::new(&pool).await;
    let release = |action: &str| {
        json!({"action": action, "repository": repository(), "release": {"id": 5, "tag_name": "v1",
               "target_commitish": "main", "published_at": minute(0), "draft": false, "prerelease": false}})
    };
    let run = |status: &str, conclusion: Value| {
        json!({"action": "completed", "repository": repository(), "workflow_run": {"id": 6, "run_attempt": 2,
               "status": status, "conclusion": conclusion, "name": "Deploy", "run_started_at": minute(0),
               "updated_at": minute(1), "head_sha": "a".repeat(40)}})
    };
    github.signed("release", "1", &release("published")).await;
    github.signed("release", "2", &release("edited")).await;
    github.signed("workflow_run", "3", &run("completed", json!("success"))).await;
    github.signed("workflow_run", "4", &run("in_progress", Value::Null)).await;
    assert_eq!(read_new(&pool).await.unwrap().done, 4);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM deployment").await, 0);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM release WHERE state = 'published'").await, 1);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM pipeline_run WHERE status = 'succeeded'").await, 1);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_pipeline_is_a_deployment_where_a_rule_says_so(pool: PgPool) {
    let github = Github::new(&pool).await;
    let run = |id: i64, attempt: i64, name: &str, conclusion: &str, at: i64| {
        json!({"action": "completed", "repository": repository(), "workflow_run": {"id": id, "run_attempt": attempt,
               "status": "completed", "conclusion": conclusion, "name": name, "run_started_at": minute(at),
               "updated_at": minute(at + 3), "head_sha": "a".repeat(40), "head_branch": "main"}})
    };
    github.signed("workflow_run", "1", &run(6, 1, "Deploy", "failure", 0)).await;
    github.signed("workflow_run", "2", &run(6, 2, "Deploy", "success", 60)).await;
    github.signed("workflow_run", "3", &run(7, 1, "Test", "success", 60)).await;
    read_new(&pool).await.unwrap();
    assert_eq!(support::count(&pool, "SELECT count(*) FROM deployment").await, 0);
    sqlx::query(
        "WITH s AS (INSERT INTO service (slug, name) VALUES ('checkout', 'checkout') RETURNING service_id),
              e AS (INSERT INTO environment (slug, name, kind) VALUES ('live', 'live', 'production')
                    RETURNING environment_id)
         INSERT INTO mapping_rule (position, applies_to, conditions, service_id, environment_id, created_by)
         SELECT 1, 'deployments', '[{\"attribute\":\"pipeline\",\"operator\":\"equals\",\"value\":\"Deploy\"}]',
                service_id, environment_id, 'test' FROM s, e",
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut conn = pool.acquire().await.unwrap();
    event_deliveries::read_all_again(&mut conn, None, None).await.unwrap();
    read_new(&pool).await.unwrap();
    let list = deployment_lists::list(&mut conn, &deployment_lists::Filter::default(), 10).await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!((list[0].status.as_str(), list[0].attempts), ("succeeded", 2));
    assert_eq!(list[0].finished_at.unwrap().to_rfc3339(), "2026-03-01T11:03:00+00:00");
    assert_eq!((list[0].services.0[0].slug.as_str(), list[0].environment_slug.as_deref()), ("checkout", Some("live")));
    // Without the rule it is none again.
    sqlx::query("DELETE FROM mapping_rule WHERE position = 1").execute(&pool).await.unwrap();
    event_deliveries::read_all_again(&mut conn, None, None).await.unwrap();
    read_new(&pool).await.unwrap();
    assert_eq!(support::count(&pool, "SELECT count(*) FROM deployment").await, 0);
}

/// Connections that the database ended while nobody used them cost no webhook: some senders send but once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn connections_that_were_ended_lose_no_webhook(pool: PgPool) {
    // Those pools ask nothing of a connection that was used a moment ago.
    let github = Github::in_service(&pool).await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for turn in 0..5 {
        let sent = github.signed("deployment_status", &turn.to_string(), &status(1, "1", 0, "success", turn)).await;
        assert_eq!(sent.status, StatusCode::ACCEPTED, "{turn}: {}", sent.body);
        sqlx::query(end).execute(&pool).await.unwrap();
    }
}
