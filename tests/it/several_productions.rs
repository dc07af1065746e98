//! Several environments of production, as regions have: each has a history of its own, delivery is counted over all.

use crate::support::{TestApp, app, count};
use crate::webhooks::{Github, minute, repository};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use costwake::rollup::events::read_new;
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, live_deployments};
use serde_json::json;
use sqlx::PgPool;

fn days_ago(days: i64, hour: u32) -> DateTime<Utc> {
    (Utc::now() - TimeDelta::days(days)).date_naive().and_hms_opt(hour, 0, 0).unwrap().and_utc()
}

async fn deploy(app: &TestApp, token: &str, id: &str, version: &str, at: DateTime<Utc>) {
    let environment = if id.starts_with("eu") { "prod-eu" } else { "prod-us" };
    let body = json!({"id": id, "service": "checkout", "environment": environment, "version": version,
        "finished_at": at});
    let made = app.api("POST", "/api/v1/deployments", token, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
}

// One line a row, in the order of the statement.
async fn lines(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

/// A version comes back in one region while the other goes on, and an incident is of the other.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn each_production_has_its_own_history_and_delivery_counts_both(pool: PgPool) {
    let app = app(pool.clone()).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    sqlx::query(
        "INSERT INTO environment (slug, name, kind)
         VALUES ('prod-eu', 'Europe', 'production'), ('prod-us', 'America', 'production')",
    )
    .execute(&pool)
    .await
    .unwrap();
    for (id, version, at) in [
        ("eu-1", "1", days_ago(9, 8)),
        ("us-1", "1", days_ago(9, 9)),
        ("eu-2", "2", days_ago(5, 8)),
        ("us-2", "2", days_ago(5, 9)),
        ("eu-3", "1", days_ago(4, 8)),
        ("us-3", "3", days_ago(3, 8)),
    ] {
        deploy(&app, &token, id, version, at).await;
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM environment").await, 2, "none was made beside them");

    let back = "SELECT d.external_id FROM deployment_service ds JOIN deployment d USING (deployment_id)
                WHERE ds.is_rollback";
    assert_eq!(lines(&pool, back).await, ["eu-3"]);
    let repeated = "SELECT count(*) FROM deployment_service WHERE is_noop";
    assert_eq!(count(&pool, repeated).await, 0, "a version that is new here may be live elsewhere");
    let followed = "SELECT d.external_id || ' by ' || n.external_id FROM deployment d
                    JOIN deployment n ON n.finished_at = d.superseded_at ORDER BY 1";
    assert_eq!(lines(&pool, followed).await, ["eu-1 by eu-2", "eu-2 by eu-3", "us-1 by us-2", "us-2 by us-3"]);

    sqlx::query(
        "WITH o AS (INSERT INTO operational_event (event_source_id, external_id, kind, status, title, started_at,
                        time_is_received, environment_id)
                    SELECT (SELECT min(event_source_id) FROM event_source), 'i', 'incident', 'triggered',
                        'Orders fail', $1, false, environment_id
                    FROM environment WHERE slug = 'prod-us' RETURNING operational_event_id, started_at)
         INSERT INTO operational_event_service (operational_event_id, service_id, started_at)
         SELECT operational_event_id, service_id, started_at FROM o, service WHERE slug = 'checkout'",
    )
    .bind(days_ago(3, 9))
    .execute(&pool)
    .await
    .unwrap();
    let failed = "SELECT d.external_id || ' ' || f.reason FROM change_failure f JOIN deployment d USING (deployment_id)
                  ORDER BY 1";
    assert_eq!(lines(&pool, failed).await, ["eu-2 rollback", "us-3 incident"]);

    // Going back is no change; the five others are, of both.
    let page = app.browser(Role::Viewer, false, &[]).await.get("/services/checkout").await.body;
    let row = |name: &str| page.split(name).nth(1).unwrap_or_else(|| panic!("{name}: {page}")).split("</tr>").next();
    assert!(row("Deployment frequency").is_some_and(|row| row.contains("5, 1.2 a week")), "{page}");
    assert!(row("Change failure rate").is_some_and(|row| row.contains(", 2 of 5")), "{page}");
}

/// An environment for each customer: its name says nothing, the sender says what it is for.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_sender_says_what_an_environment_is_for_where_its_name_does_not(pool: PgPool) {
    let github = Github::new(&pool).await;
    let told = [
        ("customer-a", true, false),
        ("customer-b", true, false),
        ("login-form", false, true),
        ("lab", false, false),
        ("staging-eu", true, false),
    ];
    for (number, (environment, is_production, is_transient)) in told.iter().enumerate() {
        let body = json!({"repository": repository(),
            "deployment": {"id": number, "environment": environment, "sha": format!("{:040x}", number + 1),
                "created_at": minute(number as i64), "payload": {"service": "checkout"},
                "production_environment": is_production, "transient_environment": is_transient},
            "deployment_status": {"id": number, "state": "success", "created_at": minute(number as i64)}});
        github.signed("deployment_status", &number.to_string(), &body).await;
    }
    assert_eq!(read_new(&pool).await.unwrap().failed, 0);
    let kinds = "SELECT name || ' ' || kind FROM environment ORDER BY name";
    assert_eq!(
        lines(&pool, kinds).await,
        ["customer-a production", "customer-b production", "lab other", "login-form preview", "staging-eu staging"]
    );
    let mut conn = pool.acquire().await.unwrap();
    let day = minute(0).parse::<DateTime<Utc>>().unwrap().date_naive();
    assert_eq!(live_deployments::in_production(&mut conn, None, None, day).await.unwrap().len(), 2);
}
