//! Of which unit and in which groups unit costs are told, where nobody says.

use super::catalogue_more::run;
use super::{now, opened, shop};
use crate::finance::World;
use crate::ledger::Line;
use crate::support::pools;
use crate::units::{day, filled};
use axum::http::StatusCode;
use costwake::focus::{CostBasis, DateRange};
use costwake::rollup::{metrics_import, pipeline_usage};
use costwake::store::costs::CostFilter;
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, Scope, metrics};
use serde_json::{Value, json};
use sqlx::PgPool;

// Takes usage in, and says what it is: no cost is divided by what nobody said the meaning of.
async fn import_stated(pool: &PgPool, text: &[u8]) {
    metrics_import::import(&pools(pool), text, "test", "", now()).await.unwrap();
    sqlx::query("UPDATE metric SET is_assumed = false").execute(pool).await.unwrap();
}

async fn usage_by_environment(world: &World, metric: &str) -> Vec<String> {
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = format!("/api/v1/unit-costs?by=env&metric={metric}&period=2026-10");
    let told = world.app.api("GET", &path, &token, Value::Null).await.json();
    let groups = told["groups"].as_array().unwrap_or_else(|| panic!("{told}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all: Vec<String> =
        groups.iter().map(|one| format!("{} {}", text(&one["group"]), text(&one["after"]["usage"]))).collect();
    all.sort();
    all
}

/// Usage without an environment is that of environments in which its service costs something, and of no other; what was
/// told of an environment is its own, whoever costs something there.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn usage_without_an_environment_counts_where_its_service_is(db: PgPool) {
    let world = filled(&db).await;
    let mut text = String::from("metric,service,day,value,environment\n");
    for at in day("2026-10-01").iter_days().take(31) {
        text.push_str(&format!("visits,checkout,{at},1,\nvisits,search,{at},10,\nviews,search,{at},3,staging\n"));
    }
    import_stated(&db, text.as_bytes()).await;
    // The search costs nothing in staging, and neither does anything in test.
    assert_eq!(usage_by_environment(&world, "visits").await, ["production 341", "staging 31"]);
    assert_eq!(usage_by_environment(&world, "views").await, ["staging 93"]);
}

/// More services have builds than requests: what a request costs is told all the same.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_best_unit_is_told_where_nobody_chooses(pool: PgPool) {
    let app = shop(&pool).await;
    for (id, repo) in [("1", "acme/shop"), ("2", "acme/search")] {
        run(&pool, id, repo, "2026-10-30T10:00:00Z", 120, json!({})).await;
    }
    pipeline_usage::count(&pools(&pool), now()).await.unwrap();
    let token = app.token(TokenScope::Read, Role::Finance).await;
    for (text, expected) in [
        ("metric,service,day,value\nfilms,shop,2026-10-30,5\n", "films"),
        ("metric,service,day,value\nrequests,shop,2026-10-30,10000\n", "requests"),
    ] {
        import_stated(&pool, text.as_bytes()).await;
        let told = app.api("GET", "/api/v1/unit-costs?period=2026-10", &token, Value::Null).await.json();
        assert_eq!(told["metric"], expected, "{told}");
    }
}

/// Requests that are all zero have no unit cost: the next best unit is told, where there is one.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_unit_without_a_cost_is_not_told_where_another_has_one(pool: PgPool) {
    let app = shop(&pool).await;
    let token = app.token(TokenScope::Read, Role::Finance).await;
    let path = "/api/v1/unit-costs?period=2026-10";
    for (usage, expected) in [
        ("requests,shop,2026-10-30,0\nrequests,search,2026-10-30,0\n", "requests"),
        ("films,shop,2026-10-30,5\n", "films"),
    ] {
        let text = format!("metric,service,day,value\n{usage}");
        import_stated(&pool, text.as_bytes()).await;
        let told = app.api("GET", path, &token, Value::Null).await.json();
        assert_eq!(told["metric"], expected, "{told}");
    }
    let page = app.get("/unit-costs?period=2026-10").await.body;
    assert!(page.contains("What films cost"), "{page}");
    let told = app.api("GET", &format!("{path}&metric=requests"), &token, Value::Null).await.json();
    assert_eq!((&told["metric"], told["groups"].as_array().unwrap().len()), (&json!("requests"), 2), "{told}");
}

/// Requests that ended before the period have a cost of before alone: a unit that is used now is told first.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_unit_of_the_period_goes_before_one_that_ended(pool: PgPool) {
    let app = shop(&pool).await;
    let token = app.token(TokenScope::Read, Role::Finance).await;
    let path = "/api/v1/unit-costs?period=2026-10-30..2026-10-30";
    let product = "INSERT INTO service_detail (service_id, product, changed_by, changed_at)
         SELECT service_id, 'Shop', 'test', now() FROM service WHERE slug = 'shop'";
    sqlx::query(product).execute(&pool).await.unwrap();
    // The first is the best unit and has no cost in either period.
    for (usage, expected) in [
        ("orders,shop,2026-10-30,0\norders,shop,2026-10-29,0\n", "orders"),
        ("calls,shop,2026-10-29,100\n", "calls"),
        ("films,shop,2026-10-30,5\n", "films"),
    ] {
        let text = format!("metric,service,day,value\n{usage}");
        import_stated(&pool, text.as_bytes()).await;
        for by in ["service", "product"] {
            let told = app.api("GET", &format!("{path}&by={by}"), &token, Value::Null).await.json();
            assert_eq!(told["metric"], expected, "{by}: {told}");
        }
    }
}

/// The best units are those of what is asked for: what others count hides none, and stands in no menu of a team.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_best_unit_is_that_of_the_part_that_is_asked_for(pool: PgPool) {
    let app = shop(&pool).await;
    let made = "WITH made AS (INSERT INTO team (slug, name) VALUES ('find', 'Find') RETURNING team_id)
         UPDATE service SET team_id = made.team_id FROM made WHERE slug = 'search' RETURNING service.team_id";
    let team: i64 = sqlx::query_scalar(made).fetch_one(&pool).await.unwrap();
    let mut text = String::from("metric,service,day,value\n");
    for metric in ["requests", "orders", "calls", "carts", "clicks"] {
        text.push_str(&format!("{metric},shop,2026-10-30,5\n"));
    }
    text.push_str("films,search,2026-10-30,5\n");
    import_stated(&pool, text.as_bytes()).await;
    let token = app.token(TokenScope::Read, Role::Finance).await;
    for (asked, expected) in [
        ("", "orders"),
        ("&service=search", "films"),
        ("&team=find", "films"),
        ("&team=find&by=env", "films"),
        ("&team=find&metric=orders", "orders"),
        ("&team=none", "orders"),
    ] {
        let path = format!("/api/v1/unit-costs?period=2026-10{asked}");
        let told = app.api("GET", &path, &token, Value::Null).await.json();
        assert_eq!(told["metric"], expected, "{asked}: {told}");
    }
    let page = app.browser(Role::Member, false, &[team]).await.get("/unit-costs?period=2026-10").await.body;
    assert!(page.contains("What films cost") && !page.contains("requests</option>"), "{page}");
}

/// Whoever makes a rule for a kind of jobs describes the metrics of the kind: their minutes are no unit all the same.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_minutes_of_jobs_are_no_unit(pool: PgPool) {
    let app = opened(&pool, &[Line::of("2026-10", 30, "shop", "30")]).await;
    run(&pool, "1", "acme/shop", "2026-10-30T10:00:00Z", 120, json!({ "pipeline": "e2e" })).await;
    let fields = [("attribute", "repo"), ("operator", "equals"), ("value", "acme/shop"), ("kind", "e2e")];
    let added = app.post_form("/settings/job-kinds", &fields).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
    pipeline_usage::count(&pools(&pool), now()).await.unwrap();
    let calls = b"metric,service,day,value\ncall_minutes,shop,2026-10-30,7\n";
    import_stated(&pool, calls).await;

    let mut conn = pool.acquire().await.unwrap();
    let expected = ["call_minutes", "e2e_jobs", "pipeline_runs", "e2e_minutes", "pipeline_minutes"];
    let days = DateRange::days_to(day("2026-10-30"), 1);
    let (all, filter) = (Scope::everything(), CostFilter::new(days, CostBasis::default()));
    assert_eq!(metrics::units_of_all(&mut conn, &all, &filter, days).await.unwrap(), expected);
    let service: i64 =
        sqlx::query_scalar("SELECT service_id FROM service WHERE slug = 'shop'").fetch_one(&pool).await.unwrap();
    let job_minutes = metrics::job_minutes(&mut conn).await.unwrap();
    assert_eq!(metrics::units(&mut conn, service, days, &job_minutes).await.unwrap(), expected);
    let all = metrics::list(&mut conn).await.unwrap();
    let units: Vec<&str> = all
        .iter()
        .filter(|one| one.is_unit(&job_minutes) && expected.contains(&one.metric.as_str()))
        .map(|one| one.metric.as_str())
        .collect();
    assert_eq!(units, ["call_minutes", "e2e_jobs"]);
    let minutes = metrics::get(&mut conn, "e2e_minutes").await.unwrap().unwrap();
    assert!(!minutes.is_unit(&job_minutes) && minutes.changed_by.starts_with("person"), "{minutes:?}");
}

/// A rule that was taken away says no more what minutes are, but of those that were counted with it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn minutes_are_those_of_jobs_as_long_as_a_rule_counts_them(pool: PgPool) {
    let app = opened(&pool, &[Line::of("2026-10", 30, "shop", "30")]).await;
    run(&pool, "1", "acme/shop", "2026-10-30T10:00:00Z", 120, json!({ "pipeline": "e2e" })).await;
    let calls = b"metric,service,day,value\ncall_minutes,shop,2026-10-30,7\n";
    import_stated(&pool, calls).await;
    // Of the second kind there is no run: its minutes are what somebody sent.
    for (kind, repo) in [("e2e", "acme/shop"), ("call", "acme/phone")] {
        let fields = [("attribute", "repo"), ("operator", "equals"), ("value", repo), ("kind", kind)];
        let added = app.post_form("/settings/job-kinds", &fields).await;
        assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
    }
    pipeline_usage::count(&pools(&pool), now()).await.unwrap();
    let units = async || {
        let mut conn = pool.acquire().await.unwrap();
        let job_minutes = metrics::job_minutes(&mut conn).await.unwrap();
        let all = metrics::list(&mut conn).await.unwrap().into_iter();
        let units = all.filter(|one| one.metric.ends_with("_minutes") && one.is_unit(&job_minutes));
        units.map(|one| one.metric).collect::<Vec<_>>()
    };
    assert!(units().await.is_empty(), "{:?}", units().await);
    let rules: Vec<i64> =
        sqlx::query_scalar("SELECT job_kind_rule_id FROM job_kind_rule").fetch_all(&pool).await.unwrap();
    for rule in rules {
        let gone = app.post_form(&format!("/settings/job-kinds/{rule}/delete"), &[]).await;
        assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.body);
    }
    assert_eq!(units().await, ["call_minutes"]);
    // Counted anew there are no minutes of the first kind either.
    pipeline_usage::count(&pools(&pool), now()).await.unwrap();
    assert_eq!(units().await, ["call_minutes", "e2e_minutes"]);
}

/// Requests that were known for three hours have no unit cost, and hide none.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_unit_without_a_cost_hides_none(pool: PgPool) {
    let app = shop(&pool).await;
    for (id, end) in [("1", "2026-10-29"), ("2", "2026-10-30")] {
        run(&pool, id, "acme/shop", &format!("{end}T10:00:00Z"), 120, json!({})).await;
    }
    pipeline_usage::count(&pools(&pool), now()).await.unwrap();
    let requests = b"metric,service,day,value\nrequests,shop,2026-10-29,0\nrequests,shop,2026-10-30,0\n";
    import_stated(&pool, requests).await;
    let url = "/services/shop?period=2026-10-29..2026-10-31";
    let page = app.get(url).await.body;
    assert!(page.contains("Unit cost, per unit of runs"), "{page}");
    let requests = b"metric,service,day,value\nrequests,shop,2026-10-29,1000\n";
    import_stated(&pool, requests).await;
    let page = app.get(url).await.body;
    assert!(page.contains("Unit cost, per 1,000 requests") && !page.contains("per unit of runs"), "{page}");
}
