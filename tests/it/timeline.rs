//! What the timeline says of a deployment: that another followed it, that it brought nothing new, which commits of which
//! repositories it brought, and whose it is where nobody named it.

use crate::senders::Doors;
use crate::support::{TestApp, app, count};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use costwake::events::Sender;
use costwake::rollup::events::read_new;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

const DEPLOYMENTS: &str = "/api/v1/deployments";

fn days_ago(days: i64, hour: u32) -> DateTime<Utc> {
    (Utc::now() - TimeDelta::days(days)).date_naive().and_hms_opt(hour, 0, 0).unwrap().and_utc()
}

async fn deploy(app: &TestApp, token: &str, id: &str, at: DateTime<Utc>, more: Value) -> i64 {
    let mut body = json!({"id": id, "service": "checkout", "environment": "production", "finished_at": at});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = app.api("POST", DEPLOYMENTS, token, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.json()["deployment_id"].as_i64().unwrap()
}

fn ids(listed: &Value) -> Vec<&str> {
    listed["deployments"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

/// One of version 1, the same again, and version 2 on one day: the first two are superseded in every list, the second
/// says that it brought nothing, and two make the change set.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_was_followed_is_superseded_and_the_same_version_says_so(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    let read = app.token(TokenScope::Read, Role::Viewer).await;
    let first = deploy(&app, &token, "a", days_ago(3, 8), json!({"version": "1"})).await;
    let again = deploy(&app, &token, "b", days_ago(3, 9), json!({"version": "1"})).await;
    let last = deploy(&app, &token, "c", days_ago(3, 10), json!({"version": "2"})).await;

    let list = async |status: &str| app.api("GET", &format!("{DEPLOYMENTS}?status={status}"), &read, Value::Null).await;
    let superseded = list("superseded").await.json();
    assert_eq!(ids(&superseded), ["b", "a"]);
    assert_eq!(superseded["deployments"][1]["status_at"], json!(days_ago(3, 9)), "since the next went live");
    assert_eq!(ids(&list("succeeded").await.json()), ["c"]);
    let unknown = list("live").await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    assert!(unknown.body.contains("status=live is not known. Allowed: pending"), "{}", unknown.body);

    let finance = app.browser(Role::Finance, false, &[]).await;
    let page = finance.get("/deployments?status=superseded").await.body;
    assert!(
        page.contains(&format!("/deployments/{first}\"")) && !page.contains(&format!("/deployments/{last}\"")),
        "{page}"
    );
    assert!(page.contains("the same version again"), "{page}");
    let page = finance.get("/deployments?status=succeeded").await.body;
    assert!(
        page.contains(&format!("/deployments/{last}\"")) && !page.contains(&format!("/deployments/{first}\"")),
        "{page}"
    );
    let csv = finance.get("/deployments.csv?status=superseded").await.body;
    assert_eq!(csv.matches(",superseded,deploy,true,").count(), 1, "{csv}");
    assert_eq!(csv.matches(",superseded,deploy,false,").count(), 1, "{csv}");
    let service = finance.get("/services/checkout").await.body;
    assert_eq!(service.matches("the same version again").count(), 1, "{service}");

    let page = finance.get(&format!("/deployments/{last}")).await.body;
    assert!(page.contains("2 deployments of these services went live here on this billing day"), "{page}");
    assert!(!page.contains("superseded ") && !page.contains("the same version again"), "{page}");
    let page = finance.get(&format!("/deployments/{again}")).await.body;
    assert!(page.contains("<span>the same version again</span>") && page.contains("<span>superseded "), "{page}");
    assert!(!page.contains("one change set"), "{page}");
}

/// Of several services one may run the version already: the page says which.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_version_that_is_new_to_one_of_two_services_is_no_repetition(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    deploy(&app, &token, "a", days_ago(3, 8), json!({"version": "1"})).await;
    let both = deploy(&app, &token, "b", days_ago(2, 8), json!({"version": "1", "services": ["search"]})).await;
    let viewer = app.browser(Role::Viewer, false, &[]).await;
    let page = viewer.get(&format!("/deployments/{both}")).await.body;
    assert!(page.contains("the same version again for checkout"), "{page}");
    assert!(!viewer.get("/deployments").await.body.contains("the same version again"));
}

/// Commits of two repositories, one of them cut to eight characters: both on the page and in the list, what shipped of
/// each repository since the deployment before, and a lead time from the first commit that was new.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn commits_of_several_repositories_are_shown_and_counted(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    let change = "INSERT INTO change (repo, external_id, sha, title, state, happened_at, url)
                  VALUES ($1, $2, $3, $2, 'merged', $4, 'https://example.com/' || $2)";
    for (repo, title, sha, at) in [
        ("acme/api", "Oldest-api", "aaaaaaaa1", days_ago(20, 8)),
        ("acme/web", "Oldest-web", "bbbbbbbb1", days_ago(20, 9)),
        ("acme/web", "Between-web", "bbbbbbbb2", days_ago(9, 8)),
        ("acme/web", "Newest-web", "bbbbbbbb3", days_ago(3, 5)),
        ("acme/web", "Not-deployed-web", "bbbbbbbb4", days_ago(3, 7)),
        ("acme/api", "Not-deployed-api", "aaaaaaaa2", days_ago(8, 7)),
    ] {
        sqlx::query(change)
            .bind(repo)
            .bind(title)
            .bind(format!("{sha}{}", "0".repeat(31)))
            .bind(at)
            .execute(&pool)
            .await
            .unwrap();
    }
    let commits = |web: &str| json!({"commits": [{"repo": "acme/api", "sha": "aaaaaaaa10000"}, {"repo": "acme/web", "sha": web}]});
    deploy(&app, &token, "a", days_ago(19, 9), commits("bbbbbbbb1")).await;
    let second = deploy(&app, &token, "b", days_ago(3, 9), commits("bbbbbbbb3")).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    let page = finance.get(&format!("/deployments/{second}")).await.body;
    let shipped = page.split("id=\"h-ship\"").nth(1).unwrap().split("</section>").next().unwrap();
    let (changes, deployed) = shipped.split_once("Commits that were deployed").unwrap();
    assert!(changes.contains("Newest-web") && changes.contains("Between-web"), "{changes}");
    for absent in ["Oldest-web", "Oldest-api", "Not-deployed"] {
        assert!(!changes.contains(absent), "{absent}: {changes}");
    }
    for text in ["acme/api", "acme/web", "Oldest-api", "Newest-web", "https://example.com/Newest-web", "bbbbbbbb3"] {
        assert!(deployed.contains(text), "{text}: {deployed}");
    }
    assert!(finance.get("/deployments").await.body.contains("acme/api, acme/web"));
    assert!(finance.get("/deployments.csv").await.body.contains("acme/api@aaaaaaaa10000 acme/web@bbbbbbbb3"));
    // Four hours since the merge in acme/web: the commit of acme/api was live before. The first took a day and an hour.
    let service = finance.get("/services/checkout?period=7d").await.body;
    let lead = service.split("Lead time for changes").nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(lead.contains("<td class=\"n\">4 h</td>"), "{lead}");
    let service = finance.get("/services/checkout?period=60d").await.body;
    let lead = service.split("Lead time for changes").nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(!lead.contains("left out"), "{lead}");
    // Fewer than eight characters are only known when they are all there is.
    for (told, is_same) in [("bbbbbbbb", 1), ("bbbbbbb", 0), ("bbbbbbbb2", 0)] {
        let sql = "SELECT count(*) FROM change WHERE title = 'Newest-web' AND is_same_commit(sha, $1)";
        let found: i64 = sqlx::query_scalar(sql).bind(told).fetch_one(&pool).await.unwrap();
        assert_eq!(found, is_same, "{told}");
    }
}

/// A deployment of two repositories failed where a change of either was reverted, and the reason stands there once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_revert_of_any_commit_of_a_deployment_is_a_failure(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    let commits =
        json!({"commits": [{"repo": "acme/api", "sha": "aaaaaaaa1"}, {"repo": "acme/web", "sha": "bbbbbbbb1"}]});
    let deployed = deploy(&app, &token, "a", days_ago(5, 9), commits).await;
    let change = "INSERT INTO change (repo, external_id, sha, title, state, happened_at)
                  VALUES ($1, $1 || $2, $2, $3, $4, $5)";
    for (repo, sha, title, state, at) in [
        ("acme/web", "bbbbbbbb10000", "Faster checkout", "merged", days_ago(5, 8)),
        ("acme/web", "bbbbbbbb10000f", "Faster checkout", "pushed", days_ago(5, 8)),
        ("acme/web", "cccccccc1", "Revert \"Faster checkout\"", "merged", days_ago(4, 8)),
        // Of another repository is another change.
        ("acme/docs", "bbbbbbbb10000", "Typo", "merged", days_ago(5, 8)),
        ("acme/docs", "dddddddd1", "Revert \"Typo\"", "merged", days_ago(4, 8)),
    ] {
        sqlx::query(change).bind(repo).bind(sha).bind(title).bind(state).bind(at).execute(&pool).await.unwrap();
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM change_failure WHERE reason = 'revert'").await, 1);
    let page = app.browser(Role::Viewer, false, &[]).await.get(&format!("/deployments/{deployed}")).await.body;
    assert_eq!(page.matches("Reverted: ").count(), 1, "{page}");
}

/// Runs tell whole hashes, deployments cut ones, or the other way round.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_short_commit_finds_its_pipelines(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    let commits =
        json!({"commits": [{"repo": "acme/api", "sha": "aaaaaaaa1"}, {"repo": "acme/web", "sha": "bbbbbbbb10000"}]});
    let deployed = deploy(&app, &token, "a", days_ago(5, 9), commits).await;
    let run = "WITH told AS (
                   INSERT INTO event_delivery (event_source_id, dedupe_key, event_name, headers, body, body_sha256,
                       received_at, state)
                   SELECT event_source_id, $1, 'workflow_run', '{}', '', '', now(), 'done'
                   FROM event_source WHERE name = 'api'
                   RETURNING event_source_id, event_delivery_id, received_at)
               INSERT INTO pipeline_run (event_source_id, external_id, run_id, attempt, name, status, sha,
                   event_delivery_id, received_at, status_rank, facts)
               SELECT event_source_id, $1, $1, 1, $1, 'succeeded', $2, event_delivery_id, received_at, 2, '{}' FROM told";
    for (name, sha) in [
        ("Build-api", "aaaaaaaa10000000"),
        ("Build-web", "bbbbbbbb1"),
        ("Other", "aaaaaaaa2"),
        ("Too-short", "aaaaaaa"),
    ] {
        sqlx::query(run).bind(name).bind(sha).execute(&pool).await.unwrap();
    }
    let page = app.browser(Role::Viewer, false, &[]).await.get(&format!("/deployments/{deployed}")).await.body;
    let runs = page.split("Pipelines of this commit").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(runs.contains("Build-api") && runs.contains("Build-web"), "{runs}");
    assert!(!runs.contains("Other") && !runs.contains("Too-short"), "{runs}");
}

/// Before the first bill, the figures of delivery are those of the last 30 days, for the service and its team.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn delivery_needs_no_bill(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    for number in 0..10 {
        deploy(&app, &token, &format!("r{number}"), days_ago(25 - number, 8), json!({"version": format!("{number}")}))
            .await;
    }
    let team = "WITH t AS (INSERT INTO team (slug, name) VALUES ('web', 'Web') RETURNING team_id)
                UPDATE service SET team_id = (SELECT team_id FROM t)";
    sqlx::query(team).execute(&pool).await.unwrap();
    // Whoever sees no money sees how often a team delivers.
    for role in [Role::Finance, Role::Member] {
        let browser = app.browser(role, false, &[]).await;
        for path in ["/services/checkout", "/teams/web"] {
            let page = browser.get(path).await.body;
            assert!(
                page.contains("10, 2.3 a week") && page.contains("30 days against the 30 days before"),
                "{path}: {page}"
            );
            assert!(!page.contains("No change went live in production"), "{path}");
        }
    }
}

/// The fields of the rule that a row's link fills in, of the row whose link has this text in it.
fn rule_url(page: &str, text: &str) -> String {
    let mut links = page.split("/rules/new?").skip(1).map(|rest| rest.split('"').next().unwrap());
    let found = links.find(|link| link.contains(text)).unwrap_or_else(|| panic!("{text}: {page}"));
    found.replace("&amp;", "&").replace("&#38;", "&")
}

fn incident(id: &str, service_id: &str, service: &str) -> Value {
    json!({"event": {"id": id, "event_type": "incident.triggered", "resource_type": "incident", "occurred_at": days_ago(1, 9),
        "data": {"id": id, "type": "incident", "status": "triggered", "title": "Orders fail", "created_at": days_ago(1, 9),
            "service": {"id": service_id, "summary": service}}}})
}

const OF_CHECKOUT: &str = "SELECT count(*) FROM operational_event_service os JOIN service s USING (service_id)
                           WHERE s.slug = 'checkout'";

/// Operational events without a service are listed as they were sent, and one click away from a rule, which counts at
/// the end of the list too.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn operational_events_without_a_service_are_listed_and_mapped(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    sqlx::query("INSERT INTO service (slug, name) VALUES ('checkout', 'checkout')").execute(&pool).await.unwrap();
    let pagerduty = Sender::of("pagerduty").unwrap();
    for (id, service_id, service) in
        [("I1", "P1", "Checkout (24x7)"), ("I2", "P1", "Checkout (24x7)"), ("I3", "P2", "Others")]
    {
        let sent = doors.send(pagerduty, &[], incident(id, service_id, service).to_string().as_bytes()).await;
        assert_eq!(sent.status, StatusCode::ACCEPTED, "{}", sent.body);
    }
    read_new(&pool).await.unwrap();
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    let page = finance.get("/unmapped").await.body;
    assert!(page.contains("3 operational events") && page.contains("/unmapped?show=events"), "{page}");
    let page = finance.get("/unmapped?show=events").await.body;
    for text in [
        "Checkout (24x7)",
        "from pagerduty",
        "incident",
        "no service named “Checkout (24x7)”",
        "Orders fail",
        "data-label=\"Events\">2</td>",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let url = rule_url(&page, "24x7");
    let mut fields: Vec<(String, String)> = serde_urlencoded::from_str(&url).unwrap();
    fields.extend([("service".into(), "checkout".into()), ("reason".into(), "PagerDuty calls it so.".into())]);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let saved = finance.post_form("/rules", &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(count(&pool, OF_CHECKOUT).await, 2);
    let rules = finance.get(saved.location().split('#').next().unwrap()).await.body;
    assert!(rules.contains("is saved: 2 operational events are checkout&#39;s now."), "{rules}");
    let page = finance.get("/unmapped?show=events").await.body;
    assert!(!page.contains("24x7") && page.contains("Others"), "{page}");
    let viewer = doors.app.browser(Role::Viewer, false, &[]).await;
    assert!(!viewer.get("/unmapped?show=events").await.body.contains("Make a rule"));
}

/// By PagerDuty's id of the service, as Backstage writes it down: whatever it is called there, until the catalogue has
/// that very name.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_incident_is_known_by_the_id_of_its_service(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    let text = "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: checkout\n  annotations:\n    \
                pagerduty.com/service-id: P1\nspec: {type: service, lifecycle: production, owner: web}\n";
    let described = costwake::described::read("backstage", text, "", &Default::default()).unwrap();
    let rule = &described.services[0].rules[0];
    let (attribute, value) = &rule.conditions[0];
    sqlx::query("INSERT INTO service (slug, name) VALUES ('checkout', 'checkout')").execute(&pool).await.unwrap();
    let saved = finance
        .post_form(
            "/rules",
            &[
                ("applies_to", rule.applies_to.as_str()),
                ("attribute", attribute),
                ("operator", "equals"),
                ("value", value),
                ("service", "checkout"),
                ("place", "last"),
                ("reason", "Backstage says so."),
            ],
        )
        .await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    doors.send(Sender::of("pagerduty").unwrap(), &[], incident("I1", "P1", "Orders desk").to_string().as_bytes()).await;
    read_new(&pool).await.unwrap();
    assert_eq!(count(&pool, OF_CHECKOUT).await, 1);
    // A deployment adds a service of that name: it was meant, in whatever order both came.
    let token = doors.app.token(TokenScope::Ingest, Role::Finance).await;
    deploy(&doors.app, &token, "a", days_ago(1, 8), json!({"service": "Orders desk"})).await;
    assert_eq!(count(&pool, OF_CHECKOUT).await, 0);
    assert_eq!(count(&pool, "SELECT count(*) FROM operational_event_service").await, 1);
}

fn stage(run: i64, name: &str) -> Value {
    json!({"subscriptionId": "s", "notificationId": run * 10 + name.len() as i64, "id": format!("{run}{name}"),
        "eventType": "ms.vss-pipelines.stage-state-changed-event", "resource": {"projectId": "p",
        "stage": {"id": name, "name": name, "attempt": 1, "state": "completed", "result": "succeeded",
            "startTime": days_ago(1, 8), "finishTime": days_ago(1, 9)},
        "run": {"id": run, "name": format!("2026.{run}"), "createdDate": days_ago(1, 8), "pipeline": {"id": 1, "name": "shop-ci"},
            "resources": {"repositories": {"self": {"repository": {"id": "487e28f0"}, "version": "a".repeat(40),
                "refName": "refs/heads/main"}}}}}})
}

/// The stages of a pipeline are rows of their own, and a rule about one leaves the others alone.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn stages_of_a_pipeline_are_told_apart(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let azure = Sender::of("azure_devops").unwrap();
    for (run, name) in [(1, "Build"), (2, "Build"), (1, "Deploy")] {
        let sent = doors.send(azure, &[], stage(run, name).to_string().as_bytes()).await;
        assert_eq!(sent.status, StatusCode::ACCEPTED, "{}", sent.body);
    }
    read_new(&pool).await.unwrap();
    sqlx::query("INSERT INTO service (slug, name) VALUES ('checkout', 'checkout')").execute(&pool).await.unwrap();
    sqlx::query("INSERT INTO environment (slug, name, kind) VALUES ('production', 'production', 'production')")
        .execute(&pool)
        .await
        .unwrap();
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    let page = finance.get("/unmapped?show=deployments").await.body;
    for text in ["<div>pipeline: shop-ci</div>", "<div>stage: Build</div>", "<div>stage: Deploy</div>"] {
        assert_eq!(page.matches(text).count(), if text.contains("pipeline") { 2 } else { 1 }, "{text}: {page}");
    }
    let url = rule_url(&page, "Deploy");
    let mut fields: Vec<(String, String)> = serde_urlencoded::from_str(&url).unwrap();
    for (name, value) in [("service", "checkout"), ("environment", "production"), ("reason", "It deploys.")] {
        fields.push((name.into(), value.into()));
    }
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let saved = finance.post_form("/rules", &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment WHERE environment_id IS NOT NULL").await, 1);
    let id = count(&pool, "SELECT deployment_id FROM deployment WHERE environment_id IS NOT NULL").await;
    let page = finance.get(&format!("/deployments/{id}")).await.body;
    let matched = page.split("id=\"h-match\"").nth(1).unwrap();
    assert!(matched.contains("stage: Deploy") && matched.contains("pipeline: shop-ci"), "{matched}");
    let page = finance.get("/unmapped?show=deployments").await.body;
    assert!(page.contains("stage: Build") && !page.contains("stage: Deploy"), "{page}");
}

// A stage that deployed this commit, and a pull request that was merged as one, as Azure DevOps tells them.
fn deployed(run: i64, sha: &str, at: DateTime<Utc>) -> Value {
    let mut body = stage(run, "Deploy");
    let of = &mut body["resource"];
    (of["stage"]["startTime"], of["stage"]["finishTime"]) = (json!(at), json!(at));
    of["run"]["createdDate"] = json!(at);
    of["run"]["resources"]["repositories"]["self"]["version"] = json!(sha);
    let address = "https://acme@dev.azure.com/acme/web/_git/shop";
    of["repositories"] = json!([{"alias": "self", "id": "487e28f0", "type": "Git", "url": address}]);
    body
}

fn merged(number: i64, sha: &str, title: &str, at: DateTime<Utc>) -> Value {
    let repository = json!({"id": "487e28f0", "name": "shop", "project": {"name": "web"},
        "remoteUrl": "https://dev.azure.com/acme/web/_git/shop"});
    json!({"id": format!("request{number}"), "eventType": "git.pullrequest.merged", "resource": {
        "repository": repository, "pullRequestId": number, "status": "completed", "title": title, "closedDate": at,
        "lastMergeCommit": {"commitId": sha}}})
}

/// A stage tells of the repository that pull requests tell of: what shipped, how long it took, and what was reverted.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn stages_and_pull_requests_of_azure_repos_meet(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    sqlx::query("INSERT INTO service (slug, name) VALUES ('checkout', 'checkout')").execute(&pool).await.unwrap();
    sqlx::query("INSERT INTO environment (slug, name, kind) VALUES ('production', 'production', 'production')")
        .execute(&pool)
        .await
        .unwrap();
    let shas = ["a", "b", "c"].map(|digit| digit.repeat(40));
    for body in [
        merged(1, &shas[0], "Oldest-change", days_ago(20, 8)),
        deployed(1, &shas[0], days_ago(20, 9)),
        merged(2, &shas[1], "Faster checkout", days_ago(3, 5)),
        deployed(2, &shas[1], days_ago(3, 9)),
        merged(3, &shas[2], "Revert \"Faster checkout\"", days_ago(2, 8)),
    ] {
        let sent = doors.send(Sender::of("azure_devops").unwrap(), &[], body.to_string().as_bytes()).await;
        assert_eq!(sent.status, StatusCode::ACCEPTED, "{}", sent.body);
    }
    assert_eq!(read_new(&pool).await.unwrap().failed, 0);
    let finance = doors.app.browser(Role::Finance, false, &[]).await;
    let rule = [
        ("applies_to", "deployments"),
        ("attribute", "tag:stage"),
        ("operator", "equals"),
        ("value", "Deploy"),
        ("service", "checkout"),
        ("environment", "production"),
        ("place", "last"),
        ("reason", "It deploys."),
    ];
    let saved = finance.post_form("/rules", &rule).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment WHERE repo = 'web/shop'").await, 2);
    let second = count(&pool, "SELECT max(deployment_id) FROM deployment WHERE version = '2026.2'").await;
    let page = finance.get(&format!("/deployments/{second}")).await.body;
    let shipped = page.split("id=\"h-ship\"").nth(1).unwrap().split("Commits that were deployed").next().unwrap();
    assert!(shipped.contains("Faster checkout") && !shipped.contains("Oldest-change"), "{shipped}");
    let service = finance.get("/services/checkout?period=7d").await.body;
    let lead = service.split("Lead time for changes").nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(lead.contains("<td class=\"n\">4 h</td>"), "{lead}");
    assert_eq!(count(&pool, "SELECT count(*) FROM change_failure WHERE reason = 'revert'").await, 1);
}

/// There is one metric of each meaning that is counted by itself.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn runs_of_pipelines_are_one_metric(pool: PgPool) {
    let metrics = "SELECT count(*) FROM metric WHERE meaning IN ('pipeline-runs', 'training-jobs')";
    assert_eq!(count(&pool, metrics).await, 2);
    let counted = "SELECT count(*) FROM metric WHERE metric IN ('pipeline_runs', 'training_jobs')";
    assert_eq!(count(&pool, counted).await, 2);
}
