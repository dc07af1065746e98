//! Event sources that are read through their API: what webhooks did not bring is filled in, once.

mod bounds;
pub mod fake;

use crate::support::{self, TestApp, count};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use costwake::jobs::{Worker, ask_for_due_event_reads};
use costwake::store::Role;
use costwake::store::jobs::Lane;
use costwake::store::tokens::TokenScope;
use fake::{FakeApi, TOKEN};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

struct Place {
    app: TestApp,
    pool: PgPool,
    folder: TempDir,
    id: i64,
    secret: String,
}

/// A source of this kind that is set up and read, and a worker that does what waits.
impl Place {
    async fn new(pool: &PgPool, kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["--data-dir", folder.path().to_str().unwrap(), "--outgoing-networks", "127.0.0.0/8"];
        let mut app = support::app_with(pool.clone(), support::config(&arguments)).await;
        app.sign_in(Role::Admin).await;
        let secret = "a-secret-of-the-hook".to_owned();
        let fields = [("name", "shop"), ("kind", kind), ("secret", secret.as_str())];
        assert_eq!(app.post_form("/settings/event-sources", &fields).await.status, StatusCode::OK);
        let id = count(pool, "SELECT event_source_id FROM event_source WHERE name = 'shop'").await;
        Self { app, pool: pool.clone(), folder, id, secret }
    }

    fn path(&self) -> String {
        format!("/settings/event-sources/{}", self.id)
    }

    async fn set_up(&self, api: &FakeApi, repositories: &str, token: &str) {
        let fields = [
            ("address", api.address.as_str()),
            ("repositories", repositories),
            ("every_minutes", "60"),
            ("token", token),
        ];
        let saved = self.app.post_form(&format!("{}/reading", self.path()), &fields).await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    }

    async fn work(&self, networks: &str) {
        for lane in [Lane::Imports, Lane::Others] {
            self.work_in(lane, networks).await;
        }
    }

    async fn work_in(&self, lane: Lane, networks: &str) {
        let arguments = ["--data-dir", self.folder.path().to_str().unwrap(), "--outgoing-networks", networks];
        let (config, stop) = (support::config(&arguments), CancellationToken::new());
        let worker = Worker { pools: support::pools(&self.pool), config, lane, stop };
        while worker.take_one().await.unwrap() {}
    }

    /// Lets the schedule ask, and does what it asks for.
    async fn read(&self) {
        self.ask().await;
        self.work("127.0.0.0/8").await;
    }

    async fn ask(&self) {
        sqlx::query("UPDATE event_read SET next_read_at = now() - interval '1 minute'")
            .execute(&self.pool)
            .await
            .unwrap();
        assert_eq!(ask_for_due_event_reads(&support::pools(&self.pool), Utc::now()).await.unwrap(), 1);
        // Another process that looks at the same time finds nothing left to ask for.
        assert_eq!(ask_for_due_event_reads(&support::pools(&self.pool), Utc::now()).await.unwrap(), 0);
    }

    async fn webhook(&self, event: &str, body: &Value) {
        let body = body.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        let request = self
            .app
            .request(Method::POST, "/webhooks/github/shop")
            .header("x-github-event", event)
            .header("x-github-delivery", hex::encode(Sha256::digest(body.as_bytes())))
            .header("x-hub-signature-256", signature)
            .header(header::CONTENT_TYPE, "application/json");
        let sent = self.app.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(sent.status, StatusCode::ACCEPTED, "{}", sent.body);
        self.work("").await;
    }

    async fn last(&self, column: &str) -> String {
        let row: Value =
            sqlx::query_scalar("SELECT to_jsonb(r) FROM event_read_run r ORDER BY event_read_run_id DESC LIMIT 1")
                .fetch_one(&self.pool)
                .await
                .unwrap();
        match &row[column] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// `external_id status finished` of all deployments.
    async fn deployments(&self) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT external_id || ' ' || status || coalesce(' ' || to_char(finished_at AT TIME ZONE 'UTC', 'DD HH24:MI'), '')
             FROM deployment ORDER BY external_id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }
}

fn at(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn day() -> DateTime<Utc> {
    (Utc::now() - Duration::days(3)).date_naive().and_hms_opt(10, 0, 0).unwrap().and_utc()
}

fn finished(id: i64, status: &str, moment: DateTime<Utc>) -> String {
    format!("{id} {status} {}", moment.format("%d %H:%M"))
}

fn repository() -> Value {
    json!({ "full_name": "acme/shop", "html_url": "https://github.com/acme/shop", "default_branch": "main" })
}

fn row(id: i64, made: DateTime<Utc>, changed: DateTime<Utc>) -> Value {
    json!({ "id": id, "environment": "production", "sha": format!("{id:040x}"), "ref": "main", "payload": {"service": "checkout"},
            "created_at": at(made), "updated_at": at(changed), "creator": {"login": "octo"} })
}

fn status(id: i64, state: &str, made: DateTime<Utc>) -> Value {
    json!({ "id": id, "state": state, "created_at": at(made) })
}

/// Three deployments: one whose webhooks came, one whose last status was lost, one of which nothing came; and one that is
/// older than the first read goes back.
async fn github(place: &Place) -> FakeApi {
    let (api, day) = (FakeApi::start().await, day());
    api.put("/repos/acme/shop", repository());
    let minute = Duration::minutes(1);
    let rows = [
        row(3, day + Duration::hours(2), day + Duration::hours(2) + minute * 5),
        row(2, day + Duration::hours(1), day + Duration::hours(1) + minute * 5),
        row(1, day, day + minute * 5),
        row(0, day - Duration::days(40), day - Duration::days(40)),
    ];
    api.put("/repos/acme/shop/deployments", json!(rows));
    for (id, made) in [(1, day), (2, day + Duration::hours(1)), (3, day + Duration::hours(2))] {
        let statuses =
            [status(id * 10 + 1, "success", made + minute * 5), status(id * 10, "in_progress", made + minute)];
        api.put(&format!("/repos/acme/shop/deployments/{id}/statuses"), json!(statuses));
    }
    let pull = |number: i64, merged: Value| {
        json!({ "number": number, "title": "Faster", "merged_at": merged, "closed_at": at(day), "updated_at": at(day),
                "merge_commit_sha": format!("{number:040x}"), "user": {"login": "ann"}, "base": {"ref": "main"} })
    };
    api.put("/repos/acme/shop/pulls", json!([pull(5, json!(at(day))), pull(4, Value::Null)]));
    let commit = |digit: &str| {
        json!({ "sha": digit.repeat(40), "html_url": "https://github.com/acme/shop/commit/1", "author": {"login": "ann"},
                "commit": {"message": "Faster", "author": {"name": "Ann"}, "committer": {"date": at(day)}} })
    };
    api.put("/repos/acme/shop/commits", json!([commit("c"), commit("b"), commit("a")]));
    for (id, told) in
        [(1, vec![(10, "in_progress", minute), (11, "success", minute * 5)]), (2, vec![(20, "in_progress", minute)])]
    {
        let made = day + Duration::hours(id - 1);
        for (number, state, after) in told {
            let body = json!({ "deployment": row(id, made, made), "deployment_status": status(number, state, made + after),
                "repository": repository() });
            place.webhook("deployment_status", &body).await;
        }
    }
    api
}

/// What a webhook brought is not doubled, what lacks is filled in, and the next read asks for nothing twice.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_read_of_github_fills_in_what_webhooks_did_not_bring(pool: PgPool) {
    let place = Place::new(&pool, "github").await;
    let api = github(&place).await;
    let (day, minute) = (day(), Duration::minutes(1));
    let before = place.deployments().await;
    assert_eq!(before, [finished(1, "succeeded", day + minute * 5), "2 in_progress".to_owned()]);
    api.set_page_rows(2);
    place.set_up(&api, "https://github.com/acme/shop.git", TOKEN).await;
    place.read().await;
    let live = |id: i64| finished(id, "succeeded", day + Duration::hours(id - 1) + minute * 5);
    assert_eq!(place.deployments().await, [live(1), live(2), live(3)], "{}", place.last("error").await);
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment_status").await, 6, "each status once");
    let told = ["deployment_count", "status_count", "change_count", "commit_count", "error"];
    let mut last = Vec::new();
    for column in told {
        last.push(place.last(column).await);
    }
    assert_eq!(last, ["1", "3", "1", "3", "null"]);
    let changes: Vec<String> =
        sqlx::query_scalar("SELECT external_id || ' ' || state FROM change ORDER BY 1").fetch_all(&pool).await.unwrap();
    let shas = ["a", "b", "c"].map(|digit| format!("{} pushed", digit.repeat(40)));
    assert_eq!(changes, [shas[0].clone(), "acme/shop#5 merged".into(), shas[1].clone(), shas[2].clone()]);
    let asked = api.taken();
    let pages =
        |list: &str| asked.iter().filter(|(path, ..)| path.starts_with(&format!("/repos/acme/shop/{list}?"))).count();
    assert_eq!((pages("deployments"), pages("commits")), (2, 2), "page by page: {asked:?}");
    assert!(!asked.iter().any(|(path, ..)| path.contains("/1/statuses")), "its last status is known: {asked:?}");
    // Nothing changed over there: the same again is not modified, and stores nothing.
    let stored = count(&pool, "SELECT count(*) FROM event_delivery").await;
    // The second read looks at fewer days than the first: its addresses are others. The third has the marks of all.
    place.read().await;
    api.taken();
    place.read().await;
    let asked = api.taken();
    assert!(asked.iter().all(|(_, mark, status)| mark.is_some() && *status == 304), "{asked:?}");
    assert_eq!(place.last("unchanged_count").await, "4");
    assert_eq!(count(&pool, "SELECT count(*) FROM event_delivery").await, stored);
    // The page says what was filled in, and tells no secret; neither does the database.
    let page = place.app.get(&place.path()).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    for words in ["1 deployment, 3 statuses, 1 merged request, 3 commits", "nothing lacked", "acme/shop", "Read now"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    assert!(!page.body.contains(TOKEN));
    let sealed: Vec<u8> = sqlx::query_scalar("SELECT token_sealed FROM event_read").fetch_one(&pool).await.unwrap();
    assert!(!sealed.windows(TOKEN.len()).any(|bytes| bytes == TOKEN.as_bytes()));
}

/// What a read stored and nobody read, since who was to do so failed for good, is read where the next read finds it again.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_nobody_read_is_read_where_it_is_found_again(pool: PgPool) {
    let place = Place::new(&pool, "github").await;
    let api = github(&place).await;
    place.set_up(&api, "acme/shop", TOKEN).await;
    place.ask().await;
    place.work_in(Lane::Imports, "127.0.0.0/8").await;
    let (unread, all) =
        ("SELECT count(*) FROM event_delivery WHERE state = 'new'", "SELECT count(*) FROM event_delivery");
    assert!(count(&pool, unread).await > 0);
    let stored = count(&pool, all).await;
    for forgotten in [
        "DELETE FROM job WHERE kind = 'normalize_events'",
        "DELETE FROM event_read_mark",
        "UPDATE event_read_repository SET read_through = NULL",
    ] {
        sqlx::query(forgotten).execute(&pool).await.unwrap();
    }
    place.read().await;
    assert_eq!((count(&pool, all).await, count(&pool, unread).await), (stored, 0));
    assert_eq!(place.deployments().await.len(), 3);
}

/// Of a deployment whose end came by a webhook the start is filled in; then nothing is asked about it any more.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_start_that_was_lost_is_filled_in(pool: PgPool) {
    let place = Place::new(&pool, "github").await;
    let (api, day, minute) = (FakeApi::start().await, day(), Duration::minutes(1));
    api.put("/repos/acme/shop", repository());
    api.put("/repos/acme/shop/deployments", json!([row(1, day, day + minute * 5)]));
    let statuses = json!([status(11, "success", day + minute * 5), status(10, "in_progress", day + minute)]);
    api.put("/repos/acme/shop/deployments/1/statuses", statuses);
    for list in ["pulls", "commits"] {
        api.put(&format!("/repos/acme/shop/{list}"), json!([]));
    }
    let body = json!({ "deployment": row(1, day, day), "deployment_status": status(11, "success", day + minute * 5),
        "repository": repository() });
    place.webhook("deployment_status", &body).await;
    let started = "SELECT extract(epoch FROM started_at)::bigint FROM deployment";
    assert_eq!(count(&pool, started).await, day.timestamp());
    place.set_up(&api, "acme/shop", TOKEN).await;
    for _ in 0..2 {
        place.read().await;
        assert_eq!(count(&pool, started).await, (day + minute).timestamp(), "{}", place.last("error").await);
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment_status").await, 2);
    let asked = api.taken();
    assert_eq!(asked.iter().filter(|(path, ..)| path.contains("/1/statuses")).count(), 1, "{asked:?}");
}

/// A webhook that comes after all, late, changes nothing that the read filled in.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_late_webhook_doubles_nothing(pool: PgPool) {
    let place = Place::new(&pool, "github").await;
    let api = github(&place).await;
    place.set_up(&api, "acme/shop", TOKEN).await;
    place.read().await;
    let before = place.deployments().await;
    let made = day() + Duration::hours(1);
    let body = json!({ "deployment": row(2, made, made), "repository": repository(),
        "deployment_status": status(21, "success", made + Duration::minutes(5)) });
    place.webhook("deployment_status", &body).await;
    assert_eq!(place.deployments().await, before);
    assert_eq!(count(&pool, "SELECT max(attempts)::bigint FROM deployment").await, 1);
}

/// A limit is kept: the read stops before it is used up, says until when, and goes on then without asking twice.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rate_limit_is_kept(pool: PgPool) {
    let place = Place::new(&pool, "github").await;
    let api = github(&place).await;
    place.set_up(&api, "acme/shop", TOKEN).await;
    let resets_at = Utc::now() + Duration::minutes(20);
    api.limit(4, resets_at.timestamp());
    place.read().await;
    assert_eq!(api.taken().len(), 4, "none after the last that was left");
    assert!(place.last("error").await.contains("limits how often it is asked"), "{}", place.last("error").await);
    let next: DateTime<Utc> = sqlx::query_scalar("SELECT next_read_at FROM event_read").fetch_one(&pool).await.unwrap();
    assert_eq!(next.timestamp(), resets_at.timestamp());
    let page = place.app.get(&place.path()).await;
    assert!(page.body.contains("The last read waits") && page.body.contains("goes on by itself"), "{}", page.body);
    // Without a warning before it, the refusal itself says when.
    api.limit(0, resets_at.timestamp());
    place.read().await;
    assert_eq!(api.taken().iter().map(|(.., status)| *status).collect::<Vec<_>>(), [403]);
    api.lift_limit();
    api.retry_after(600);
    place.read().await;
    let next: DateTime<Utc> = sqlx::query_scalar("SELECT next_read_at FROM event_read").fetch_one(&pool).await.unwrap();
    assert!((next - Utc::now() - Duration::minutes(10)).num_seconds().abs() < 60, "{next}");
    api.lift_limit();
    place.read().await;
    assert_eq!((place.last("error").await, place.deployments().await.len()), ("null".into(), 3));
}

/// What is wrong is said with what to do; one repository that is gone keeps no other out.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_wrong_is_said_with_its_remedy(pool: PgPool) {
    let place = Place::new(&pool, "github").await;
    let api = github(&place).await;
    place.set_up(&api, "acme/shop\nacme/gone\nacme/moved", "wrong-token").await;
    place.read().await;
    assert!(place.last("error").await.contains("answers 401"), "{}", place.last("error").await);
    assert!(place.last("remedy").await.contains("fine-grained token"));
    assert_eq!(api.taken().len(), 1, "a wrong token is not tried again and again");
    api.refuse("/repos/acme/moved", StatusCode::MOVED_PERMANENTLY);
    place.set_up(&api, "acme/shop\nacme/gone\nacme/moved", TOKEN).await;
    place.read().await;
    assert_eq!(place.deployments().await.len(), 3, "the one that is there was read");
    let error = place.last("error").await;
    assert!(error.starts_with("2 of 3 repositories could not be read. "), "{error}");
    let page = place.app.get(&place.path()).await;
    for words in ["answers 404", "answers 301", "Enter the new name of the repository"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    api.put("/repos/acme/shop", json!("neither"));
    place.read().await;
    assert!(place.last("error").await.contains("is not what this API answers"), "{}", place.last("error").await);
    for (fields, sentence) in [
        (("ftp://a.example", "acme/shop"), "Write the address of the API as"),
        (("https://me:secret@a.example", "acme/shop"), "Leave name and password out"),
        (("https://a.example", "acme"), "is no repository"),
        (("https://a.example", "acme/../x"), "is no repository"),
        (("https://a.example", ""), "Name 1 to 200 repositories"),
    ] {
        let fields = [("address", fields.0), ("repositories", fields.1), ("every_minutes", "60")];
        let refused = place.app.post_form(&format!("{}/reading", place.path()), &fields).await;
        assert!(refused.status == StatusCode::BAD_REQUEST && refused.body.contains(sentence), "{}", refused.body);
    }
}

/// An address of a private network is asked only where the settings allow it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn private_addresses_are_not_read(pool: PgPool) {
    let place = Place::new(&pool, "github").await;
    let api = FakeApi::start().await;
    place.set_up(&api, "acme/shop", TOKEN).await;
    ask_for_due_event_reads(&support::pools(&pool), Utc::now() + Duration::minutes(1)).await.unwrap();
    place.work("").await;
    assert!(place.last("error").await.contains("COSTWAKE_OUTGOING_NETWORKS"), "{}", place.last("error").await);
    assert!(api.taken().is_empty(), "nobody dialled");
}

/// GitLab and Bitbucket, in the shapes of their APIs.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn gitlab_is_read(pool: PgPool) {
    let place = Place::new(&pool, "gitlab").await;
    let (api, day) = (FakeApi::start().await, day());
    let project = "/projects/acme%2Fgroup%2Fshop";
    api.put(project, json!({ "path_with_namespace": "acme/group/shop", "default_branch": "main", "web_url": "https://gitlab.com/acme/group/shop" }));
    let deployment = |id: i64, state: &str| {
        json!({ "id": id, "iid": id, "status": state, "ref": "main", "sha": format!("{id:040x}"), "created_at": at(day),
            "updated_at": at(day + Duration::minutes(9)), "environment": {"name": "production", "tier": "production"},
            "user": {"username": "ann"}, "deployable": {"name": "deploy", "stage": "deploy", "started_at": at(day + Duration::minutes(1)),
            "finished_at": at(day + Duration::minutes(5)), "web_url": "https://gitlab.com/acme/group/shop/-/jobs/1"} })
    };
    api.put(
        &format!("{project}/deployments"),
        json!([deployment(7, "success"), deployment(8, "failed"), deployment(9, "success")]),
    );
    api.set_page_rows(2);
    api.put(&format!("{project}/merge_requests"), json!([{ "iid": 3, "state": "merged", "title": "Faster", "sha": "d".repeat(40),
        "merge_commit_sha": "e".repeat(40), "merged_at": at(day), "updated_at": at(day), "author": {"username": "ann"}, "target_branch": "main" }]));
    api.put(
        &format!("{project}/repository/commits"),
        json!([{ "id": "e".repeat(40), "message": "Merge", "committed_date": at(day),
        "author_name": "Ann", "web_url": "https://gitlab.com/acme/group/shop/-/commit/1" }]),
    );
    let stopped = |id: i64, name: &str, moment: DateTime<Utc>| {
        json!({ "id": id, "name": name, "slug": name, "state": "stopped", "tier": "development", "external_url": null,
            "created_at": at(day), "updated_at": at(moment) })
    };
    // The second one was stopped before anything is read.
    let environments = json!([stopped(1, "review/a", day), stopped(2, "review/old", day - Duration::days(300))]);
    api.put(&format!("{project}/environments"), environments);
    place.set_up(&api, "acme/group/shop", TOKEN).await;
    for _ in 0..3 {
        place.read().await;
        let told: Vec<String> =
            sqlx::query_scalar("SELECT status || ' ' || title FROM operational_event").fetch_all(&pool).await.unwrap();
        assert_eq!(told, ["stopped review/a was stopped"]);
        let live = |id, status| finished(id, status, day + Duration::minutes(5));
        let expected = [live(7, "succeeded"), live(8, "failed"), live(9, "succeeded")];
        assert_eq!(place.deployments().await, expected, "{}", place.last("error").await);
        assert_eq!(count(&pool, "SELECT count(*) FROM change").await, 2);
    }
    assert_eq!(place.last("unchanged_count").await, "5");
    let asked = api.taken();
    assert!(asked.iter().any(|(path, ..)| path.contains("updated_after=") && path.contains("order_by=updated_at")));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn bitbucket_is_read_and_the_api_sets_it_up(pool: PgPool) {
    let place = Place::new(&pool, "bitbucket").await;
    let (api, day) = (FakeApi::start().await, day());
    let repository = "/repositories/acme/shop";
    let page = |rows: Value| json!({ "values": rows, "pagelen": 100 });
    api.put(repository, json!({ "full_name": "acme/shop", "mainbranch": {"name": "main"} }));
    let hash = "f".repeat(40);
    api.put(&format!("{repository}/deployments/"), page(json!([{ "type": "deployment", "uuid": "{1-2}",
        "environment": {"name": "Production", "environment_type": {"name": "Production"}},
        "release": {"name": "#12", "commit": {"hash": hash, "links": {"html": {"href": "https://bitbucket.org/acme/shop/commits/1"}}}, "created_on": at(day)},
        "state": {"name": "COMPLETED", "status": {"name": "SUCCESSFUL"}, "started_on": at(day), "completed_on": at(day + Duration::minutes(5))} }])));
    api.put(&format!("{repository}/pullrequests"), page(json!([{ "id": 3, "state": "MERGED", "title": "Faster", "updated_on": at(day),
        "created_on": at(day), "merge_commit": {"hash": &hash[..12]}, "destination": {"branch": {"name": "main"}}, "author": {"nickname": "ann"} }])));
    api.put(
        &format!("{repository}/commits/main"),
        page(json!([{ "hash": hash, "date": at(day), "message": "Merge",
        "author": {"user": {"nickname": "ann"}} }])),
    );
    let token = place.app.token(TokenScope::Admin, Role::Admin).await;
    let path = "/api/v1/event-sources/shop/reading";
    let refused = place.app.api("PUT", path, &token, json!({ "repositories": ["acme"] })).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert_eq!(place.app.api("POST", &format!("{path}/now"), &token, Value::Null).await.status, StatusCode::CONFLICT);
    let body = json!({ "address": api.address, "repositories": ["acme/shop"], "every_minutes": 30, "token": TOKEN });
    let set = place.app.api("PUT", path, &token, body).await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "{}", set.body);
    assert_eq!(place.app.api("POST", &format!("{path}/now"), &token, Value::Null).await.status, StatusCode::ACCEPTED);
    place.work("127.0.0.0/8").await;
    assert_eq!(place.deployments().await.len(), 1, "{}", place.last("error").await);
    assert!(place.deployments().await[0].starts_with("{1-2} succeeded"));
    assert_eq!(count(&pool, "SELECT count(*) FROM change").await, 2);
    let listed = place.app.api("GET", "/api/v1/event-sources", &token, Value::Null).await;
    let shop = listed.json().as_array().unwrap().iter().find(|source| source["name"] == "shop").unwrap().clone();
    assert_eq!(shop["reading"]["last_read"]["deployments"], 1, "{shop}");
    assert_eq!(shop["reading"]["has_token"], true);
    assert!(!listed.body.contains(TOKEN));
    assert_eq!(place.app.api("DELETE", path, &token, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(count(&pool, "SELECT count(*) FROM event_read").await, 0, "the token is forgotten");
    assert_eq!(place.deployments().await.len(), 1, "what was read stays");
}
