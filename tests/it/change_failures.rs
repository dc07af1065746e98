//! Which deployments failed though they went live: what takes a deployment's place, whose an incident is, and what reverts
//! and labels tell.

use crate::senders::{Doors, Given, deliver};
use crate::support::{TestApp, app, count};
use crate::webhooks::{Github, minute, repository};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use costwake::events::Headers;
use costwake::rollup::events::read_new;
use costwake::store::impact_series::{self, Environments};
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, change_failures, live_deployments};
use serde_json::{Value, json};
use sqlx::PgPool;

async fn deploy(app: &TestApp, token: &str, id: &str, at: i64, more: Value) {
    let mut body = json!({"id": id, "service": "checkout", "environment": "production", "finished_at": minute(at)});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = app.api("POST", "/api/v1/deployments", token, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
}

// Minutes after ten at which the failed ones went live, why, and when those did that are the evidence.
async fn failures(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws(' ', e.slug, to_char(d.finished_at AT TIME ZONE 'UTC', 'MI'), f.reason,
             to_char(r.finished_at AT TIME ZONE 'UTC', 'MI'))
         FROM change_failure f JOIN deployment d ON d.deployment_id = f.deployment_id
         JOIN environment e ON e.environment_id = d.environment_id
         LEFT JOIN deployment r ON r.deployment_id = f.evidence_deployment_id ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

// Of the service, in no environment that anybody told.
async fn incident(pool: &PgPool, at: i64) {
    sqlx::query(
        "WITH o AS (INSERT INTO operational_event (event_source_id, external_id, kind, status, title, started_at,
                        time_is_received)
                    SELECT min(event_source_id), $1, 'incident', 'triggered', 'Orders fail', $1::timestamptz, false
                    FROM event_source RETURNING operational_event_id, started_at)
         INSERT INTO operational_event_service (operational_event_id, service_id, started_at)
         SELECT operational_event_id, service_id, started_at FROM o, service WHERE slug = 'checkout'",
    )
    .bind(minute(at))
    .execute(pool)
    .await
    .unwrap();
}

/// Of two that went live at one instant the sender's id tells which was later, whichever arrived first.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn deployments_of_one_instant_are_in_an_order_of_their_own(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    for id in ["b", "c", "a"] {
        deploy(&app, &token, id, 5, json!({"version": id})).await;
    }
    let mut conn = pool.acquire().await.unwrap();
    let day = minute(0).parse::<DateTime<Utc>>().unwrap().date_naive();
    let live = live_deployments::in_production(&mut conn, None, None, day).await.unwrap();
    let told: Vec<i64> =
        sqlx::query_scalar("SELECT deployment_id FROM deployment ORDER BY version").fetch_all(&pool).await.unwrap();
    assert_eq!(live.iter().map(|one| one.deployment_id).collect::<Vec<_>>(), told);
}

/// What brings nothing new stands between: the version that was live fails by what follows it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_repetition_and_a_sync_take_nobodys_place(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    deploy(&app, &token, "a", 0, json!({"version": "1"})).await;
    deploy(&app, &token, "b", 10, json!({"version": "2"})).await;
    deploy(&app, &token, "c", 20, json!({"version": "2"})).await;
    deploy(&app, &token, "d", 30, json!({"kind": "config_sync"})).await;
    deploy(&app, &token, "e", 40, json!({"version": "1"})).await;
    assert_eq!(failures(&pool).await, ["production 10 rollback 40"]);
    incident(&pool, 25).await;
    incident(&pool, 35).await;
    let all = ["production 10 incident", "production 10 incident", "production 10 rollback 40"];
    assert_eq!(failures(&pool).await, all);
    // Once the next is live, it is that one's.
    incident(&pool, 45).await;
    assert_eq!(failures(&pool).await.last().unwrap(), "production 40 incident");
    pages_tell_the_same(&pool).await;
    // The list says when each was followed by another, whatever that brought.
    let followed = "SELECT count(*) FROM deployment WHERE superseded_at IS NOT NULL";
    assert_eq!(count(&pool, followed).await, 4);
}

// Pages ask about some services and from some time on.
async fn pages_tell_the_same(pool: &PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    let all: Vec<(i64, Vec<String>)> = sqlx::query_as(
        "SELECT d.deployment_id, coalesce(array_agg(f.reason ORDER BY f.failed_at) FILTER (WHERE f.reason <> ''), '{}')
         FROM deployment d LEFT JOIN change_failure f USING (deployment_id) GROUP BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    for (deployment_id, reasons) in all {
        let told = change_failures::of_deployment(&mut conn, deployment_id).await.unwrap();
        assert_eq!(told.into_iter().map(|one| one.reason).collect::<Vec<_>>(), reasons, "{deployment_id}");
    }
    let day = minute(0).parse::<DateTime<Utc>>().unwrap().date_naive();
    let now = Utc::now();
    let of = live_deployments::failures(&mut conn, None, None, day, now).await.unwrap();
    assert_eq!(of.len(), 3);
    assert!(live_deployments::failures(&mut conn, Some(0), None, day, now).await.unwrap().is_empty());
    let tomorrow = day.succ_opt().unwrap();
    assert!(live_deployments::failures(&mut conn, None, None, tomorrow, now).await.unwrap().is_empty());
    // What is asked about is all that is looked at: the function becomes a part of the query.
    let plan: Vec<String> = sqlx::query_scalar("EXPLAIN SELECT * FROM change_failures_of('{1}', '2026-01-01') f")
        .fetch_all(pool)
        .await
        .unwrap();
    let plan = plan.join("\n");
    assert!(
        plan.contains("service_id = ANY ('{1}'::bigint[])") && !plan.contains("Scan on change_failures_of"),
        "{plan}"
    );
}

/// Of two services one goes back; then both do, by their sender's word, to what was never told of.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn who_went_back_is_known_by_service_and_by_the_senders_word(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    deploy(&app, &token, "a", 0, json!({"version": "1"})).await;
    deploy(&app, &token, "b", 5, json!({"version": "7", "service": "search"})).await;
    deploy(&app, &token, "c", 10, json!({"version": "2"})).await;
    deploy(&app, &token, "d", 20, json!({"version": "1", "services": ["search"]})).await;
    assert_eq!(failures(&pool).await, ["production 10 rollback 20"], "version 1 is new to the other service");
    deploy(&app, &token, "e", 30, json!({"version": "0", "services": ["search"], "kind": "rollback"})).await;
    let all = ["production 10 rollback 20", "production 20 rollback 30", "production 20 rollback 30"];
    assert_eq!(failures(&pool).await, all);
    // Figures of delivery count the same ones, and none of these as a change.
    let mut conn = pool.acquire().await.unwrap();
    let day = minute(0).parse::<DateTime<Utc>>().unwrap().date_naive();
    let live = live_deployments::in_production(&mut conn, None, None, day).await.unwrap();
    let back = live.iter().filter(|one| one.is_rollback).map(|one| one.at.to_rfc3339());
    let [twenty, thirty] = [20, 30].map(|at| minute(at).parse::<DateTime<Utc>>().unwrap().to_rfc3339());
    assert_eq!(back.collect::<Vec<_>>(), [twenty, thirty.clone(), thirty]);
}

/// A branch's name as the version, as the snippet for GitHub Actions sends it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn commits_tell_deployments_of_a_branch_apart(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    let of = |sha: &str| json!({"version": "main", "commits": [{"repo": "acme/shop", "sha": sha}]});
    for (id, at, sha) in [("a", 0, "aaaaaaaa1"), ("b", 10, "bbbbbbbb1"), ("c", 20, "bbbbbbbb1"), ("d", 30, "aaaaaaaa1")]
    {
        deploy(&app, &token, id, at, of(sha)).await;
    }
    let noops: Vec<String> = sqlx::query_scalar(
        "SELECT to_char(d.finished_at AT TIME ZONE 'UTC', 'MI') FROM deployment_service ds
         JOIN deployment d USING (deployment_id) WHERE ds.is_noop",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(noops, ["20"]);
    assert_eq!(failures(&pool).await, ["production 10 rollback 30"]);
    // What it went back to is what was of that commit, not what has the same name.
    let mut conn = pool.acquire().await.unwrap();
    let releases = impact_series::releases(&mut conn, Environments::Production).await.unwrap();
    let back: Vec<_> = releases.iter().filter_map(|release| release.went_back_to).collect();
    assert_eq!(back, [minute(0).parse::<DateTime<Utc>>().unwrap()]);
}

/// PagerDuty knows no environments: what it tells is of production.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_incident_without_an_environment_is_of_production(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    deploy(&app, &token, "a", 0, json!({"version": "1"})).await;
    deploy(&app, &token, "b", 10, json!({"version": "2", "environment": "staging"})).await;
    incident(&pool, 20).await;
    assert_eq!(failures(&pool).await, ["production 00 incident"]);
    // One that names an environment is of that one, whichever it is.
    sqlx::query(
        "UPDATE operational_event SET environment_id = (SELECT environment_id FROM environment WHERE slug = 'staging')",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(failures(&pool).await, ["staging 10 incident"]);
}

fn request(number: i64, title: &str, at: i64, more: Value) -> Value {
    let mut body = json!({"number": number, "merged": true, "merge_commit_sha": format!("{number:040x}"),
        "title": title, "merged_at": minute(at), "user": {"login": "octo"}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"action": "closed", "repository": repository(), "pull_request": body})
}

fn push(sha: i64, message: &str, at: i64) -> Value {
    let commit = json!({"id": format!("{sha:040x}"), "message": message, "timestamp": minute(at), "distinct": true});
    json!({"ref": "refs/heads/main", "after": format!("{sha:040x}"), "repository": repository(), "head_commit": commit,
           "commits": [commit]})
}

fn live(commit: i64, environment: &str, at: i64) -> Value {
    json!({"repository": repository(),
        "deployment": {"id": commit * 100 + at, "environment": environment, "sha": format!("{commit:040x}"),
            "created_at": minute(at), "payload": {"service": "checkout"}},
        "deployment_status": {"id": commit * 1000 + at, "state": "success", "created_at": minute(at)}})
}

async fn tell(github: &Github, pool: &PgPool, all: &[(&str, Value)]) {
    for (number, (event, body)) in all.iter().enumerate() {
        github.signed(event, &number.to_string(), body).await;
    }
    assert_eq!(read_new(pool).await.unwrap().failed, 0);
}

/// By its title, with numbers or without, and by the commit that it names, each reason once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn reverts_are_known_by_title_and_by_commit(pool: PgPool) {
    let github = Github::new(&pool).await;
    let names = |sha: i64| format!("Old again\n\nThis reverts commit {sha:040x}.");
    let told = [
        ("deployment_status", live(21, "production", 1)),
        ("push", push(21, "Add x (#12)", 0)),
        ("deployment_status", live(22, "production", 2)),
        ("pull_request", request(34, "Add y", 0, json!({"merge_commit_sha": format!("{:040x}", 22)}))),
        // Of the same title, and another change.
        ("deployment_status", live(23, "production", 3)),
        ("push", push(23, "Add y (#35)", 0)),
        ("deployment_status", live(24, "production", 4)),
        ("deployment_status", live(25, "production", 5)),
        ("push", push(41, "Revert \"Add x (#12)\" (#13)", 20)),
        ("pull_request", request(42, "Revert \"Add y (#34)\"", 20, json!({}))),
        ("push", push(42, "Revert \"Add y (#34)\" (#42)", 20)),
        // Of commits that no repository told of.
        ("push", push(43, &names(24), 20)),
        ("pull_request", request(44, "Old z", 20, json!({"body": names(25)}))),
    ];
    tell(&github, &pool, &told).await;
    let all = [1, 2, 4, 5].map(|at| format!("production 0{at} revert"));
    assert_eq!(failures(&pool).await, all);
}

/// The buttons of senders name what they revert by its number; people change the title. Numbers are of one repository.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn reverts_are_known_by_the_number_of_the_request(pool: PgPool) {
    let github = Github::new(&pool).await;
    let told = [
        ("pull_request", request(51, "Cache prices", 0, json!({}))),
        ("deployment_status", live(51, "production", 1)),
        ("pull_request", request(52, "Cache names", 5, json!({}))),
        ("deployment_status", live(52, "production", 10)),
        ("pull_request", request(53, "Fresh prices", 20, json!({"body": "Too stale.\r\n\r\nReverts acme/shop#51"}))),
        ("pull_request", request(54, "Port a fix", 21, json!({"body": "Reverts other/shop#52"}))),
        ("push", push(55, "Reverts #99", 22)),
    ];
    tell(&github, &pool, &told).await;
    assert_eq!(failures(&pool).await, ["production 01 revert"]);
}

/// What took the place of a deployment to production was labelled as mending it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_hotfix_tells_that_what_it_replaced_failed(pool: PgPool) {
    let github = Github::new(&pool).await;
    let labels = |name: &str| json!({"labels": [{"name": "area/api"}, {"name": name}]});
    let told = [
        ("deployment_status", live(51, "staging", 0)),
        ("deployment_status", live(51, "production", 1)),
        ("pull_request", request(52, "Mend it", 10, labels("hotfix"))),
        ("deployment_status", live(52, "staging", 11)),
        ("deployment_status", live(52, "production", 12)),
        ("pull_request", request(53, "Next", 20, labels("feature"))),
        ("deployment_status", live(53, "production", 21)),
    ];
    tell(&github, &pool, &told).await;
    assert_eq!(failures(&pool).await, ["production 01 hotfix 12"]);
    let failed = count(&pool, "SELECT deployment_id FROM change_failure").await;
    let page = github.app.browser(Role::Viewer, false, &[]).await.get(&format!("/deployments/{failed}")).await.body;
    assert!(page.contains("It counts as a failed change") && page.contains("Mended by a hotfix: Mend it"), "{page}");
}

/// An incident beside a deployment need not be its doing: somebody says so, and it counts no more. What comes later does.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_did_not_fail_is_said_and_taken_back(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    let read = app.token(TokenScope::Read, Role::Finance).await;
    deploy(&app, &token, "a", 0, json!({"version": "1"})).await;
    let id = count(&pool, "SELECT deployment_id FROM deployment").await;
    let path = format!("/deployments/{id}");
    let person = app.browser(Role::Finance, false, &[]).await;
    let early = person.post_form(&format!("{path}/failure/dispute"), &[("note", "It stands")]).await;
    assert_eq!(early.status, StatusCode::CONFLICT, "nothing says that it failed");
    incident(&pool, 5).await;
    let page = person.get(&path).await.body;
    assert!(page.contains("It counts as a failed change") && page.contains("It did not fail"), "{page}");
    assert!(!page.contains("Mark as a failed change"), "{page}");

    let empty = person.post_form(&format!("{path}/failure/dispute"), &[("note", " ")]).await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST);
    let said = person.post_form(&format!("{path}/failure/dispute"), &[("note", "Their network was down")]).await;
    assert_eq!(said.status, StatusCode::SEE_OTHER, "{}", said.body);
    assert!(failures(&pool).await.is_empty());
    let page = person.get(&path).await.body;
    assert!(!page.contains("It counts as a failed change") && page.contains("Mark as a failed change"), "{page}");
    for part in ["Their network was down", "Incident within a day: Orders fail", "Let it count again"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let told = app.api("GET", &format!("/api/v1/deployments/{id}"), &read, Value::Null).await.json();
    let told = &told["change_failure"];
    assert_eq!((&told["failed"], &told["evidence"][0]["is_disputed"]), (&json!(false), &json!(true)), "{told}");

    // It was about what was known by then.
    sqlx::query("UPDATE deployment_failure_dispute SET disputed_at = $1::timestamptz")
        .bind(minute(6))
        .execute(&pool)
        .await
        .unwrap();
    incident(&pool, 8).await;
    assert_eq!(failures(&pool).await, ["production 00 incident"]);
    assert_eq!(person.post_form(&format!("{path}/failure/dispute/remove"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(failures(&pool).await.len(), 2);
    let audited = "SELECT count(*) FROM audit_log WHERE action LIKE 'deployment.failure_dispute%'";
    assert_eq!(count(&pool, audited).await, 2);
}

/// The hotfix need not be the commit that was deployed: it came with what was merged since the deployment before.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_hotfix_among_the_changes_of_a_deployment_counts(pool: PgPool) {
    let github = Github::new(&pool).await;
    let hotfix = || json!({"labels": [{"name": "hotfix"}]});
    let told = [
        ("push", push(61, "First", 0)),
        ("deployment_status", live(61, "production", 1)),
        ("pull_request", request(62, "Mend it", 10, hotfix())),
        ("pull_request", request(63, "Next", 20, json!({}))),
        ("deployment_status", live(63, "production", 21)),
        // Merged before this went live, and after what it was built of.
        ("push", push(64, "Older", 25)),
        ("pull_request", request(65, "Mend that", 30, hotfix())),
        ("deployment_status", live(64, "production", 31)),
    ];
    tell(&github, &pool, &told).await;
    assert_eq!(failures(&pool).await, ["production 01 hotfix 21"]);
    let failed = count(&pool, "SELECT deployment_id FROM change_failure").await;
    let mut conn = pool.acquire().await.unwrap();
    let told = change_failures::of_deployment(&mut conn, failed).await.unwrap();
    assert_eq!(told.iter().map(|one| one.title.as_deref()).collect::<Vec<_>>(), [Some("Mend it")]);
}

/// What was reverted need not be the commit that was deployed: the deployment that brought it failed, and none before or
/// after it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_revert_of_one_change_of_a_deployment_counts(pool: PgPool) {
    let github = Github::new(&pool).await;
    let reverts = format!("Old again\n\nThis reverts commit {:040x}.", 72);
    let told = [
        ("push", push(71, "First", 0)),
        ("deployment_status", live(71, "production", 1)),
        ("push", push(72, "Cache prices", 5)),
        ("push", push(73, "Next", 6)),
        ("deployment_status", live(73, "production", 10)),
        ("push", push(74, "Other", 12)),
        ("deployment_status", live(74, "production", 13)),
        ("push", push(75, &reverts, 20)),
        ("push", push(76, "Add z (#80)", 30)),
        ("push", push(77, "More", 31)),
        ("deployment_status", live(77, "production", 32)),
        ("push", push(78, "Revert \"Add z (#80)\" (#81)", 40)),
        // A first deployment did not bring all of history.
        ("push", push(79, "Revert \"First\"", 41)),
        ("deployment_status", live(74, "staging", 42)),
        ("push", push(80, "Revert \"Cache prices\"", 50)),
    ];
    tell(&github, &pool, &told).await;
    // The head of the first is known by itself; the change of the second was reverted twice.
    let all = ["production 01 revert", "production 10 revert", "production 10 revert", "production 32 revert"];
    assert_eq!(failures(&pool).await, all);
    pages_know_all(&pool, all.len()).await;
}

// What was live before a deployment counts, also where a page asks about that deployment alone.
async fn pages_know_all(pool: &PgPool, failure_count: usize) {
    let mut conn = pool.acquire().await.unwrap();
    let ids: Vec<i64> = sqlx::query_scalar("SELECT deployment_id FROM deployment").fetch_all(pool).await.unwrap();
    let mut told = 0;
    for deployment_id in ids {
        told += change_failures::of_deployment(&mut conn, deployment_id).await.unwrap().len();
    }
    assert_eq!(told, failure_count);
}

/// A label that is set or taken away after the merge makes or unmakes a hotfix, in whatever order it is told.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_label_after_the_merge_counts_as_the_last_was_told(pool: PgPool) {
    let github = Github::new(&pool).await;
    let told = [("deployment_status", live(51, "production", 1)), ("deployment_status", live(52, "production", 12))];
    tell(&github, &pool, &told).await;
    let request = |action: &str, at: i64, labels: Value| {
        let mut body = request(52, "Mend it", 10, json!({"updated_at": minute(at), "labels": labels}));
        body["action"] = json!(action);
        body
    };
    let (labeled, unlabeled) =
        (request("labeled", 15, json!([{"name": "hotfix"}])), request("unlabeled", 20, json!([])));
    let none: [&str; 0] = [];
    let hotfix = ["production 01 hotfix 12"];
    let steps = [
        (&labeled, &hotfix[..]),
        (&request("closed", 10, json!([])), &hotfix[..]),
        (&unlabeled, &none[..]),
        // Sent again by hand.
        (&labeled, &none[..]),
        (&request("labeled", 25, json!([{"name": "hotfix"}])), &hotfix[..]),
    ];
    for (step, (body, expected)) in steps.into_iter().enumerate() {
        github.signed("pull_request", &format!("label-{step}"), body).await;
        assert_eq!(read_new(&pool).await.unwrap().failed, 0);
        assert_eq!(failures(&pool).await, expected, "step {step}");
    }
}

/// GitLab tells with each label when the request was changed last, and not when it was merged.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_label_after_the_merge_does_not_move_the_merge(pool: PgPool) {
    let _doors = Doors::new(&pool).await;
    let request = |number: i64, action: &str, at: i64, labels: Value| {
        json!({"object_kind": "merge_request", "project": {"path_with_namespace": "acme/web"},
            "object_attributes": {"iid": number, "state": "merged", "action": action, "title": "Mend it",
                "merge_commit_sha": format!("{number:040x}"), "updated_at": minute(at), "labels": labels.clone()},
            "labels": labels, "changes": {"labels": {"previous": [], "current": labels}}})
    };
    let labels = || json!([{"title": "type::hotfix"}]);
    let bodies = [
        request(1, "merge", 10, json!([])),
        request(1, "update", 30, labels()),
        request(2, "update", 30, labels()),
        request(2, "merge", 10, json!([])),
    ];
    for (number, body) in bodies.iter().enumerate() {
        let given = Given { headers: Headers::default(), body: body.to_string().into_bytes(), received_at: Utc::now() };
        deliver(&pool, "gitlab", &number.to_string(), &given).await;
        assert_eq!(read_new(&pool).await.unwrap().done, 1);
    }
    let known: Vec<(bool, DateTime<Utc>)> =
        sqlx::query_as("SELECT is_hotfix, happened_at FROM change ORDER BY external_id")
            .fetch_all(&pool)
            .await
            .unwrap();
    let merged_at = minute(10).parse::<DateTime<Utc>>().unwrap();
    assert_eq!(known, [(true, merged_at), (true, merged_at)]);
}
