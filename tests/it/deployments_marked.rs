//! More deployments than pages list: charts mark all of their days, figures count all of them, change sets find all of the
//! day. What took days is told and shaded, and its days are on neither side of it.

use crate::pages_explore::seed;
use crate::support::{app, count};
use costwake::store::Role;
use sqlx::PgPool;

/// Deployments of a service into the environment 1, each some hours after the one before.
async fn deploy(pool: &PgPool, service_id: i64, name: &str, start: &str, hours: i32, count: i32) {
    let made = "WITH made AS (
            INSERT INTO deployment (event_source_id, external_id, environment_id, status, status_at, created_at,
                finished_at, version)
            SELECT 1, $1 || '-' || n, 1, 'succeeded', t, t, t, $1 || '-' || n
            FROM (SELECT n, $2::timestamptz + n * make_interval(hours => $3) AS t FROM generate_series(0, $4 - 1) n) x
            RETURNING deployment_id)
        INSERT INTO deployment_service (deployment_id, service_id) SELECT deployment_id, $5 FROM made";
    let start: chrono::DateTime<chrono::Utc> = start.parse().unwrap();
    sqlx::query(made).bind(name).bind(start).bind(hours).bind(count).bind(service_id).execute(pool).await.unwrap();
}

/// A month long ago has its own deployments on the chart and in the list, whatever was deployed since; and where there are
/// more than the list shows, chart and figure have all of them.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn charts_mark_and_figures_count_more_than_is_listed(pool: PgPool) {
    seed(&pool).await;
    deploy(&pool, 1, "september", "2026-09-01T18:00:00Z", 12, 40).await;
    deploy(&pool, 1, "november", "2026-11-01T01:00:00Z", 1, 250).await;
    let finance = app(pool).await.browser(Role::Finance, false, &[]).await;
    for (path, rows) in [("/services/checkout-api", 25), ("/teams/payments", 20), ("/environments/production", 20)] {
        let september = finance.get(&format!("{path}?period=2026-09")).await.body;
        assert!(september.contains("with 40 deployments marked"), "{path}: {september}");
        let note = format!("The newest {rows} of 40 from 1 to 30 Sep 2026.");
        assert!(september.contains(&note), "{path}: {september}");
        assert!(september.contains("september-39") && !september.contains("november-"), "{path}: {september}");
        // The cluster at the start of the month leads to the days that it stands for.
        assert!(september.contains("period=2026-09-01..2026-09-0"), "{path}: {september}");
        // In November one failed and one went live beside the 250.
        let november = finance.get(&format!("{path}?period=2026-11")).await.body;
        assert!(november.contains("with 251 deployments marked"), "{path}: {november}");
        assert!(november.contains(&format!("The newest {rows} of 252 from 1")), "{path}: {november}");
        if path != "/environments/production" {
            assert!(november.contains("<dt>Deployments</dt><dd class=\"value\">251</dd>"), "{path}: {november}");
        }
    }
    let overview = finance.get("/?period=2026-09").await.body;
    assert!(overview.contains("<dt>Deployments gone live</dt><dd class=\"value\">40</dd>"), "{overview}");
}

/// Beside what went live anywhere, how much of it went to production: the chart of a team and "Delivery" count only that.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_count_of_deployments_says_how_many_went_to_production(pool: PgPool) {
    seed(&pool).await;
    deploy(&pool, 1, "september", "2026-09-01T18:00:00Z", 12, 15).await;
    let moved = "UPDATE deployment SET environment_id = (SELECT environment_id FROM environment WHERE kind <> 'production' LIMIT 1) \
                 WHERE version IN ('september-3', 'september-4', 'september-5', 'september-6', 'september-7')";
    assert_eq!(sqlx::query(moved).execute(&pool).await.unwrap().rows_affected(), 5);
    let finance = app(pool).await.browser(Role::Finance, false, &[]).await;
    for path in ["/services/checkout-api", "/teams/payments"] {
        let page = finance.get(&format!("{path}?period=2026-09")).await.body;
        assert!(page.contains("<dt>Deployments</dt><dd class=\"value\">15</dd>"), "{path}: {page}");
        assert!(page.contains("that went live in all environments, 10 of them to production"), "{path}: {page}");
    }
}

/// A team's table of speed and unit cost says how many services it leaves out.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn services_without_a_row_are_counted(pool: PgPool) {
    seed(&pool).await;
    for statement in [
        "INSERT INTO service (slug, name, team_id) SELECT 'extra-' || n, 'extra-' || n, 2 FROM generate_series(1, 70) n",
        "INSERT INTO daily_cost SELECT service_id, '2026-11-10', 1, 4096, 'Cloud', 'Usage', 'USD', 1, 1, 1, 1, 1
         FROM service WHERE slug LIKE 'extra-%'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    deploy(&pool, 3, "search", "2026-11-10T06:00:00Z", 24, 3).await;
    let finance = app(pool).await.browser(Role::Finance, false, &[]).await;
    let page = finance.get("/teams/search").await.body;
    assert!(page.contains("Speed and unit cost by service"), "{page}");
    assert!(page.contains("Of the 60 services that cost most in these days. 11 more are left out here"), "{page}");
}

/// A deployment of many services, of which the last is deployed so often that lists of the newest end after that day.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_change_set_is_found_however_busy_its_services_are(pool: PgPool) {
    for statement in [
        "INSERT INTO environment (slug, name, kind) VALUES ('production', 'Production', 'production'), ('qa', 'QA', 'test')",
        "INSERT INTO service (slug, name) SELECT 's' || n, 'service ' || lpad(n::text, 2, '0') FROM generate_series(1, 12) n",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    deploy(&pool, 1, "own", "2026-10-10T08:00:00Z", 1, 1).await;
    sqlx::query("INSERT INTO deployment_service (deployment_id, service_id) SELECT 1, n FROM generate_series(2, 12) n")
        .execute(&pool)
        .await
        .unwrap();
    deploy(&pool, 12, "beside", "2026-10-10T09:00:00Z", 1, 1).await;
    deploy(&pool, 12, "later", "2026-10-11T00:00:00Z", 2, 150).await;
    deploy(&pool, 12, "elsewhere", "2026-10-10T07:00:00Z", 1, 1).await;
    sqlx::query("UPDATE deployment SET environment_id = 2 WHERE version = 'elsewhere-0'").execute(&pool).await.unwrap();
    assert_eq!(count(&pool, "SELECT deployment_id FROM deployment WHERE version = 'own-0'").await, 1);
    let viewer = app(pool.clone()).await.browser(Role::Viewer, false, &[]).await;
    let page = viewer.get("/deployments/1").await.body;
    assert!(page.contains("2 deployments of these services went live here on this billing day"), "{page}");
    assert!(page.contains("one change set with <a href=\"/deployments/2\">beside-0</a>."), "{page}");
    assert!(page.contains("Of other deployments: The newest 100 of 152 from"), "{page}");

    deploy(&pool, 11, "crowd", "2026-10-10T00:00:00Z", 0, 70).await;
    let page = viewer.get("/deployments/1").await.body;
    assert!(page.contains("72 deployments of these services went live here on this billing day"), "{page}");
    let more = "and 21 more, which are on <a href=\"/deployments?env=production&#38;period=2026-10-10..2026-10-10\">";
    assert!(page.contains(more), "{page}");
}

/// A canary over days: the page says when it began and how long it took, charts shade its days and say them.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_took_days_is_told_and_shaded(pool: PgPool) {
    seed(&pool).await;
    let finance = app(pool.clone()).await.browser(Role::Finance, false, &[]).await;
    let paths = ["/deployments/2", "/services/checkout-api", "/environments/production", "/teams/payments"];
    for path in paths {
        let page = finance.get(path).await.body;
        assert!(!page.contains("class=\"rollout\"") && !page.contains("<span>started "), "{path}: {page}");
    }
    sqlx::query("UPDATE deployment SET started_at = finished_at - interval '49 hours' WHERE external_id = '2'")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("UPDATE deployment SET started_at = finished_at - interval '10 minutes' WHERE external_id = '1'")
        .execute(&pool)
        .await
        .unwrap();
    // Another service, which has kept nothing that it read before.
    let finance = app(pool).await.browser(Role::Finance, false, &[]).await;
    for path in paths {
        let page = finance.get(path).await.body;
        assert!(page.contains("<rect class=\"rollout\" x=\""), "{path}: {page}");
        assert!(page.contains("deployment from start to finish"), "{path}: {page}");
    }
    let page = finance.get("/deployments/2").await.body;
    assert!(page.contains("<span>started 28 Oct 2026 09:00 UTC, took 2 d 1 h</span>"), "{page}");
    assert!(page.contains("It began on 28 October; the days from then on are shaded, and on neither side."), "{page}");
    assert!(page.contains("the days from its start to its finish are on neither side"), "{page}");
    let file = finance.get("/deployments/2.csv").await.body;
    let days_of = |side: &str| {
        let own = file.lines().filter(|line| line.contains(&format!(",{side},")));
        own.map(|line| line[..10].to_owned()).collect::<std::collections::BTreeSet<String>>()
    };
    assert_eq!(days_of("rollout").into_iter().collect::<Vec<_>>(), ["2026-10-28", "2026-10-29"], "{file}");
    assert_eq!(days_of("before").last().map(String::as_str), Some("2026-10-27"), "{file}");
    assert_eq!(days_of("after").first().map(String::as_str), Some("2026-10-31"), "{file}");
    assert!(page.contains("this deployment, 28 Oct to 30 Oct 2026"), "{page}");
    let short = finance.get("/deployments/1").await.body;
    assert!(short.contains("<span>started 20 Oct 2026 09:50 UTC, took 10 min</span>"), "{short}");
    let service = finance.get("/services/checkout-api").await.body;
    assert!(service.contains("28 Oct 09:00 to 30 Oct 10:00 UTC"), "{service}");
    assert!(service.contains("One deployment is shaded from its start to its finish."), "{service}");
}
