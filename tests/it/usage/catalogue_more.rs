//! What the catalogue says of a service beyond its row, environments that end, and runs of pipelines as usage.

use super::shop;
use crate::support::{TestApp, count, pools};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use costwake::jobs::ask_for_due_counts;
use costwake::rollup::pipeline_usage;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

async fn admin_token(app: &TestApp) -> String {
    app.token(TokenScope::Admin, Role::Finance).await
}

/// The form and the API keep product, cost center, repositories and runbook, and refuse what becomes no link.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn details_of_a_service_are_entered(pool: PgPool) {
    let app = shop(&pool).await;
    let fields = [
        ("name", "Shop"),
        ("slug", "shop"),
        ("lifecycle", "production"),
        ("tier", "2"),
        ("product", "Web shop"),
        ("cost_center", "4711"),
        ("repositories", "https://github.com/acme/shop.git\r\nacme/shop-web"),
        ("runbook", "https://wiki.example.com/shop"),
    ];
    let saved = app.post_form("/catalogue/services/shop", &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    let form = app.get("/catalogue/services/shop").await;
    for text in ["value=\"Web shop\"", "value=\"4711\"", "acme/shop\nacme/shop-web", "https://wiki.example.com/shop"] {
        assert!(form.body.contains(text), "{text}: {}", form.body);
    }
    let token = admin_token(&app).await;
    let listed = app.api("GET", "/api/v1/services", &token, Value::Null).await.json();
    let of = |list: &Value| list.as_array().unwrap().iter().find(|one| one["slug"] == "shop").unwrap().clone();
    assert_eq!(of(&listed)["repositories"], json!(["acme/shop", "acme/shop-web"]));
    let changed = app.api("PATCH", "/api/v1/services/shop", &token, json!({ "product": "Store" })).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    assert_eq!((&changed.json()["product"], &changed.json()["runbook"]), (&json!("Store"), &of(&listed)["runbook"]));
    for wrong in ["javascript:alert(1)", "wiki", "https://me:secret@wiki.example.com"] {
        let refused = app.api("PATCH", "/api/v1/services/shop", &token, json!({ "runbook": wrong })).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        let refused =
            app.post_form("/catalogue/services/shop", &[("name", "Shop"), ("slug", "shop"), ("runbook", wrong)]).await;
        assert!(
            refused.status == StatusCode::BAD_REQUEST && refused.body.contains("A runbook is the address"),
            "{wrong}"
        );
        assert!(refused.body.contains(wrong), "what was filled in stays");
    }
    assert_eq!(
        count(&pool, "SELECT count(*) FROM service_detail WHERE product = 'Store' AND described_by IS NULL").await,
        1
    );
    // The page of the service links to it, to a page outside.
    let page = app.get("/services/shop?period=2026-10").await;
    let link = page.body.split("<a ").find(|link| link.contains("https://wiki.example.com/shop")).unwrap_or_default();
    assert!(link.contains("noopener"), "{link}");
}

async fn environment(pool: &PgPool, slug: &str, kind: &str) {
    sqlx::query("INSERT INTO environment (slug, name, kind) VALUES ($1, $1, $2)")
        .bind(slug)
        .bind(kind)
        .execute(pool)
        .await
        .unwrap();
    let move_all = "UPDATE daily_cost SET environment_id = (SELECT environment_id FROM environment WHERE slug = $1)";
    sqlx::query(move_all).bind(slug).execute(pool).await.unwrap();
}

/// An environment ends on a day that somebody names, and what it costs afterwards is listed and adds up.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_environment_ends_on_a_day(pool: PgPool) {
    let app = shop(&pool).await;
    environment(&pool, "pr-12", "preview").await;
    let page = app.get("/environments/pr-12?period=2026-10").await;
    assert!(!page.body.contains("Costs after its end"), "{}", page.body);
    let token = admin_token(&app).await;
    let fields = [("name", "pr-12"), ("slug", "pr-12"), ("kind", "preview"), ("last_day", "2026-13-40")];
    let refused = app.post_form("/catalogue/environments/pr-12", &fields).await;
    assert!(refused.status == StatusCode::BAD_REQUEST && refused.body.contains("2026-11-30"), "{}", refused.body);
    sqlx::query("UPDATE environment SET last_day = '2026-10-29' WHERE slug = 'pr-12'").execute(&pool).await.unwrap();
    let page = app.get("/environments/pr-12?period=2026-10").await;
    // The 30th and 31st: 60 and 90 of shop, 5 and 5 of search.
    for text in ["It ended on 29 Oct 2026, as the catalogue says.", "$150", "$10", "$160 after its end"] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    assert!(app.get("/environments?period=2026-10").await.body.contains("$160 after its end on 29 Oct 2026"));
    let nobody = app.browser(Role::Member, false, &[]).await;
    assert!(!nobody.get("/environments/pr-12?period=2026-10").await.body.contains("$160"));
    let listed = app.api("GET", "/api/v1/environments", &token, Value::Null).await.json();
    assert_eq!(listed.as_array().unwrap().iter().find(|one| one["slug"] == "pr-12").unwrap()["last_day"], "2026-10-29");
    let changed = app.api("PATCH", "/api/v1/environments/pr-12", &token, json!({ "last_day": null })).await;
    assert_eq!((changed.status, &changed.json()["last_day"]), (StatusCode::OK, &Value::Null), "{}", changed.body);
}

/// The days without use that are told are a policy of the environment: entered, bounded, written down.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_environment_has_a_policy_of_idle_days(pool: PgPool) {
    let app = shop(&pool).await;
    let token = admin_token(&app).await;
    let added = app.api("POST", "/api/v1/environments", &token, json!({ "name": "lab", "kind": "test" })).await;
    assert_eq!((added.status, &added.json()["idle_days"]), (StatusCode::CREATED, &json!(7)), "{}", added.body);
    let form = app.get("/catalogue/environments/lab").await;
    assert!(form.body.contains("name=\"idle_days\" value=\"7\""), "{}", form.body);
    let path = "/catalogue/environments/lab";
    let fields = |days| [("name", "lab"), ("slug", "lab"), ("kind", "test"), ("idle_days", days)];
    let saved = app.post_form(path, &fields("30")).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(count(&pool, "SELECT idle_days::bigint FROM environment WHERE slug = 'lab'").await, 30);
    let audited = "SELECT count(*) FROM audit_log WHERE action = 'environment.changed' AND subject = 'lab'
                   AND details->'before'->'idle_days' = '7' AND details->'after'->'idle_days' = '30'";
    assert_eq!(count(&pool, audited).await, 1);
    for wrong in ["0", "91", "soon"] {
        let refused = app.post_form(path, &fields(wrong)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(refused.body.contains("1 to 90 days"), "{}", refused.body);
        assert!(refused.body.contains(&format!("name=\"idle_days\" value=\"{wrong}\"")), "what was filled in stays");
    }
    let changed = app.api("PATCH", "/api/v1/environments/lab", &token, json!({ "idle_days": 21 })).await;
    assert_eq!((changed.status, &changed.json()["idle_days"]), (StatusCode::OK, &json!(21)), "{}", changed.body);
    let changed = app.api("PATCH", "/api/v1/environments/lab", &token, json!({ "kind": "staging" })).await;
    assert_eq!(changed.json()["idle_days"], 21, "what is absent stays");
    let refused = app.api("PATCH", "/api/v1/environments/lab", &token, json!({ "idle_days": 0 })).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    let added = app.api("POST", "/api/v1/environments", &token, json!({ "name": "qa", "idle_days": 2 })).await;
    assert_eq!((added.status, &added.json()["idle_days"]), (StatusCode::CREATED, &json!(2)), "{}", added.body);
    // Left empty it is the usual.
    assert_eq!(app.post_form(path, &fields("")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(count(&pool, "SELECT idle_days::bigint FROM environment WHERE slug = 'lab'").await, 7);
}

/// A preview whose sender took it away ends then, and lives again once something goes live in it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_preview_ends_when_its_sender_says_so(pool: PgPool) {
    let app = shop(&pool).await;
    environment(&pool, "pr-12", "preview").await;
    let deployment = "INSERT INTO deployment (event_source_id, external_id, environment_id, status, status_at, created_at, finished_at)
        SELECT (SELECT min(event_source_id) FROM event_source), $1, environment_id, $2, $3, $3, $3 FROM environment WHERE slug = 'pr-12'";
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let down = at("2026-10-30T09:00:00Z");
    sqlx::query(deployment).bind("1").bind("superseded").bind(down).execute(&pool).await.unwrap();
    let path = "/environments/pr-12?period=2026-10";
    let page = app.get(path).await;
    for text in ["It ended on 30 Oct 2026, as its sender told.", "$95.00 after its end"] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    sqlx::query(deployment).bind("2").bind("succeeded").bind(at("2026-10-31T09:00:00Z")).execute(&pool).await.unwrap();
    assert!(!app.get(path).await.body.contains("Costs after its end"));
    // A later one takes the place of an earlier one whose end was never told, where nobody knows a service.
    let third = at("2026-10-31T10:00:00Z");
    sqlx::query(deployment).bind("3").bind("superseded").bind(third).execute(&pool).await.unwrap();
    assert!(app.get(path).await.body.contains("It ended on 31 Oct 2026, as its sender told."));
    sqlx::query("DELETE FROM deployment WHERE external_id = '3'").execute(&pool).await.unwrap();
    // Production does not end because a deployment was taken down.
    sqlx::query("DELETE FROM deployment WHERE external_id = '2'").execute(&pool).await.unwrap();
    sqlx::query("UPDATE environment SET kind = 'production'").execute(&pool).await.unwrap();
    assert!(!app.get(path).await.body.contains("Costs after its end"));
}

/// Somebody who knows better lets it run on; that is written down, can be taken back, and holds until its sender tells of
/// another end.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_person_knows_better_than_the_sender(pool: PgPool) {
    let app = shop(&pool).await;
    environment(&pool, "pr-12", "preview").await;
    let (path, token) = ("/environments/pr-12?period=2026-10", admin_token(&app).await);
    let refused = app.post_form("/catalogue/environments/pr-12/still-runs", &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    let down = |at: DateTime<Utc>| {
        sqlx::query(
            "INSERT INTO deployment (event_source_id, external_id, environment_id, status, status_at, created_at, finished_at)
             SELECT (SELECT min(event_source_id) FROM event_source), $1::text, environment_id, 'superseded', $1, $1, $1
             FROM environment WHERE slug = 'pr-12'",
        )
        .bind(at)
        .execute(&pool)
    };
    down("2026-10-30T09:00:00Z".parse().unwrap()).await.unwrap();
    assert!(app.get(path).await.body.contains("It still runs</button>"));
    let still_runs = async || {
        let listed = app.api("GET", "/api/v1/environments", &token, Value::Null).await.json();
        let one = listed.as_array().unwrap().iter().find(|one| one["slug"] == "pr-12").unwrap();
        (one["told_last_day"].clone(), one["still_runs"].clone())
    };
    assert_eq!(still_runs().await, (json!("2026-10-30"), json!(false)));
    let answered = app.post_form("/catalogue/environments/pr-12/still-runs", &[]).await;
    assert_eq!(answered.status, StatusCode::SEE_OTHER, "{}", answered.body);
    let page = app.get(path).await.body;
    assert!(page.contains("that it still runs.") && page.contains("It did end</button>"), "{page}");
    assert!(!page.contains("after its end"), "{page}");
    assert!(!app.get("/environments?period=2026-10").await.body.contains("after its end"));
    assert_eq!(still_runs().await, (json!("2026-10-30"), json!(true)));
    // Taken back, and said again by a script.
    let back = app.post_form("/catalogue/environments/pr-12/ended", &[]).await;
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.body);
    assert!(app.get(path).await.body.contains("$95.00 after its end"));
    let changed = app.api("PATCH", "/api/v1/environments/pr-12", &token, json!({ "still_runs": true })).await;
    assert_eq!((changed.status, &changed.json()["still_runs"]), (StatusCode::OK, &json!(true)), "{}", changed.body);
    let audited =
        "SELECT count(*) FROM audit_log WHERE action IN ('environment.end_refused', 'environment.end_accepted')";
    assert_eq!(count(&pool, audited).await, 3);
    // What is told from now on counts again.
    down(Utc::now() + chrono::TimeDelta::days(1)).await.unwrap();
    assert_eq!(still_runs().await.1, json!(false));
    let nobody = app.browser(Role::Viewer, false, &[]).await;
    assert_eq!(nobody.post_form("/catalogue/environments/pr-12/still-runs", &[]).await.status, StatusCode::FORBIDDEN);
}

/// A run that ended then is stored.
pub(super) async fn run(pool: &PgPool, id: &str, repo: &str, end: &str, seconds: i64, attributes: Value) {
    let source = "INSERT INTO event_source (name, kind) VALUES ('ci', 'github') ON CONFLICT DO NOTHING";
    sqlx::query(source).execute(pool).await.unwrap();
    let delivery: i64 = sqlx::query_scalar(
        "INSERT INTO event_delivery (event_source_id, dedupe_key, event_name, headers, body, body_sha256, received_at, state)
         SELECT event_source_id, $1, 'workflow_run', '{}', '', '', now(), 'done' FROM event_source WHERE name = 'ci'
         RETURNING event_delivery_id",
    )
    .bind(id)
    .fetch_one(pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO pipeline_run (event_source_id, external_id, run_id, attempt, repo, status, started_at, finished_at,
             event_delivery_id, received_at, status_rank, facts)
         SELECT event_source_id, $1, $1, 1, $2, 'succeeded', $3 - make_interval(secs => $4), $3, $5, now(), 2, $6
         FROM event_source WHERE name = 'ci'",
    )
    .bind(id)
    .bind(repo)
    .bind(end.parse::<DateTime<Utc>>().unwrap())
    .bind(seconds as f64)
    .bind(delivery)
    .bind(json!({ "kind": "pipeline_run", "repo": repo, "attributes": attributes }))
    .execute(pool)
    .await
    .unwrap();
}

/// All days of all metrics.
pub(super) async fn values(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT s.slug || ' ' || p.metric || ' ' || p.charge_date || ' ' || trim_scale(p.value)
         FROM metric_point p JOIN service s USING (service_id) ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// Runs are counted by service and day with their minutes; jobs of a run count with it, what belongs to nobody is told,
/// and counting again changes nothing. A day without a run is a zero where its sender told of a run after it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn runs_of_pipelines_become_usage(pool: PgPool) {
    let app = shop(&pool).await;
    let now: DateTime<Utc> = "2026-11-02T08:00:00Z".parse().unwrap();
    let repositories = "INSERT INTO service_detail (service_id, repositories, changed_by, changed_at)
        SELECT service_id, '{acme/storefront}', 'ann', now() FROM service WHERE slug = 'shop'";
    sqlx::query(repositories).execute(&pool).await.unwrap();
    run(&pool, "1", "acme/Storefront", "2026-10-30T10:00:00Z", 90, json!({})).await;
    run(&pool, "2", "acme/storefront", "2026-10-30T23:59:59Z", 60, json!({})).await;
    run(&pool, "2/jobs/1", "acme/storefront", "2026-10-30T23:59:59Z", 50, json!({ "job": "deploy" })).await;
    run(&pool, "3", "acme/search", "2026-10-31T10:00:00Z", 30, json!({})).await;
    run(&pool, "4", "acme/unheard-of", "2026-10-31T10:00:00Z", 30, json!({})).await;
    let told = "UPDATE pipeline_run SET received_at = '2026-11-01T12:00:00Z'";
    sqlx::query(told).execute(&pool).await.unwrap();
    assert!(ask_for_due_counts(&pools(&pool), now).await.unwrap());
    assert!(!ask_for_due_counts(&pools(&pool), now).await.unwrap(), "once a quarter of an hour");
    let expected = [
        "search pipeline_minutes 2026-10-31 0.5",
        "search pipeline_runs 2026-10-31 1",
        "shop pipeline_minutes 2026-10-30 2.5",
        "shop pipeline_minutes 2026-10-31 0",
        "shop pipeline_runs 2026-10-30 2",
        "shop pipeline_runs 2026-10-31 0",
    ];
    for _ in 0..2 {
        let counted = pipeline_usage::count(&pools(&pool), now).await.unwrap();
        assert_eq!(counted.run_count, 3);
        assert_eq!(values(&pool).await, expected);
        let lost = "SELECT sum(value_count)::bigint FROM usage_unmapped WHERE service_raw = 'acme/unheard-of'";
        assert_eq!(count(&pool, lost).await, 1, "told once");
    }
    let later = now + chrono::TimeDelta::hours(1);
    assert!(!ask_for_due_counts(&pools(&pool), later).await.unwrap(), "nothing came");
    // A run that comes later, and a repository that belongs to another service now: counted anew.
    run(&pool, "5", "acme/storefront", "2026-10-30T11:00:00Z", 30, json!({})).await;
    sqlx::query("UPDATE service_detail SET service_id = (SELECT service_id FROM service WHERE slug = 'search')")
        .execute(&pool)
        .await
        .unwrap();
    assert!(ask_for_due_counts(&pools(&pool), later).await.unwrap());
    pipeline_usage::count(&pools(&pool), later).await.unwrap();
    let shop_left = values(&pool).await.into_iter().filter(|value| value.starts_with("shop")).count();
    assert_eq!(shop_left, 0, "its days without a run went with its runs");
    assert!(values(&pool).await.contains(&"search pipeline_runs 2026-10-30 3".to_owned()));
    // So a run has a unit cost: 5 of search on the 30th for 3 runs.
    let set = app.post_form("/services/search/unit-metric", &[("metric", "pipeline_runs")]).await;
    assert_eq!(set.status, StatusCode::SEE_OTHER, "{}", set.body);
    let page = app.get("/services/search?period=2026-10-30..2026-10-31").await;
    assert!(page.body.contains("pipeline_runs"), "{}", page.body);
}

/// A run of which a job was tried again two days later worked no longer for that: its sender says for how long.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_run_took_as_long_as_its_sender_says(pool: PgPool) {
    let _app = shop(&pool).await;
    let now: DateTime<Utc> = "2026-11-02T08:00:00Z".parse().unwrap();
    run(&pool, "1", "acme/search", "2026-10-31T10:00:00Z", 172_800, json!({})).await;
    run(&pool, "2", "acme/search", "2026-10-31T11:00:00Z", 60, json!({})).await;
    sqlx::query("UPDATE pipeline_run SET received_at = '2026-11-01T12:00:00Z'").execute(&pool).await.unwrap();
    let told = r#"UPDATE pipeline_run SET facts = facts || '{"seconds": 90}' WHERE external_id = '1'"#;
    sqlx::query(told).execute(&pool).await.unwrap();
    pipeline_usage::count(&pools(&pool), now).await.unwrap();
    assert_eq!(values(&pool).await, ["search pipeline_minutes 2026-10-31 2.5", "search pipeline_runs 2026-10-31 2"]);
}

/// A pipeline with two jobs ran once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn jobs_are_no_runs_of_the_queue(pool: PgPool) {
    let app = shop(&pool).await;
    for (id, attributes) in
        [("9", json!({})), ("9/jobs/1", json!({ "job": "build" })), ("9/jobs/2", json!({ "job": "test" }))]
    {
        run(&pool, id, "acme/mono", "2026-10-30T10:00:00Z", 60, attributes).await;
    }
    let csv = app.get("/unmapped/pipelines.csv").await.body;
    let rows: Vec<&str> = csv.lines().skip(1).collect();
    assert!(rows.len() == 1 && rows[0].contains("acme/mono,,1,"), "{csv}");
}
