//! Releases and pipeline runs on pages: beside deployments, and never as one.

use crate::support::count;
use crate::webhooks::{Github, minute, repository, status};
use axum::http::StatusCode;
use costwake::rollup::events::read_new;
use costwake::store::Role;
use serde_json::{Value, json};
use sqlx::PgPool;

fn release(id: i64, tag: &str, url: &str) -> Value {
    json!({"action": "published", "repository": repository(), "release": {"id": id, "tag_name": tag, "name": "Faster",
           "target_commitish": "main", "published_at": minute(id), "html_url": url, "draft": false, "prerelease": false}})
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn releases_and_runs_stand_beside_deployments(pool: PgPool) {
    let github = Github::new(&pool).await;
    github.signed("deployment_status", "1", &status(1, "1", 0, "success", 4)).await;
    github.signed("release", "2", &release(5, "v1", "https://example.com/acme/shop/releases/v1")).await;
    github.signed("release", "3", &release(6, "v2", "javascript:alert(1)")).await;
    let run = json!({"action": "completed", "repository": repository(), "workflow_run": {"id": 6, "run_attempt": 2,
        "status": "completed", "conclusion": "failure", "name": "Check prices", "run_started_at": minute(0),
        "updated_at": minute(3), "head_sha": format!("{:040x}", 1), "html_url": "https://example.com/run/6"}});
    github.signed("workflow_run", "4", &run).await;
    read_new(&pool).await.unwrap();
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, 1);
    let id = count(&pool, "SELECT deployment_id FROM deployment").await;

    let browser = github.app.browser(Role::Finance, false, &[]).await;
    let service = browser.get("/services/checkout").await;
    assert_eq!(service.status, StatusCode::OK);
    assert!(service.body.contains("Not deployments: a release says nothing about where it runs"), "{}", service.body);
    assert!(service.body.contains("https://example.com/acme/shop/releases/v1") && service.body.contains(">v2<"));
    assert!(!service.body.contains("javascript:"));
    let section = service.body.split("id=\"h-rel\"").nth(1).unwrap();
    assert_eq!(
        section.matches(&format!("<a href=\"/deployments/{id}\">Deployed</a>")).count(),
        1,
        "v1 only: {section}"
    );

    let deployment = browser.get(&format!("/deployments/{id}")).await;
    assert!(deployment.body.contains("Release of this version") && !deployment.body.contains(">v2<"));
    assert!(deployment.body.contains("Check prices") && deployment.body.contains("failed, attempt 2, 3 min"));

    let found = browser.get("/search?q=v1").await;
    assert!(found.body.contains("Releases") && found.body.contains("acme/shop, published"), "{}", found.body);
    let found = browser.get("/search?q=v2").await;
    assert!(found.body.contains("/services/checkout#h-rel"), "{}", found.body);
    assert!(found.body.contains("no deployment of it was seen"));
    // Whoever sees no money finds the version and no page of a service.
    let admin = github.app.browser(Role::Admin, false, &[]).await;
    assert!(!admin.get("/search?q=v2").await.body.contains("/services/"));
}

/// GitHub names a tag by its plain name, and a release that was made from a branch without a commit: they meet by the tag.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_release_is_found_by_the_tag_that_was_deployed(pool: PgPool) {
    let github = Github::new(&pool).await;
    for (id, reference, tag) in [(1, "v1.4.2", "v1.4.2"), (2, "checkout-7", "checkout-7"), (3, "main", "v9.0")] {
        let mut body = status(id, "", 0, "success", id);
        body["deployment"]["ref"] = json!(reference);
        body["deployment"]["payload"] = json!({"service": "checkout"});
        body["deployment"]["sha"] = json!(format!("{id:040x}"));
        github.signed("deployment_status", &format!("d{id}"), &body).await;
        github.signed("release", &format!("r{id}"), &release(id + 10, tag, "https://example.com/r")).await;
    }
    read_new(&pool).await.unwrap();
    let versions: Vec<Option<String>> =
        sqlx::query_scalar("SELECT version FROM deployment ORDER BY external_id").fetch_all(&pool).await.unwrap();
    assert_eq!(versions, [Some("v1.4.2".to_owned()), None, None]);
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT deployment_id FROM deployment ORDER BY external_id").fetch_all(&pool).await.unwrap();
    let browser = github.app.browser(Role::Finance, false, &[]).await;
    for (id, has_release) in ids.iter().zip([true, true, false]) {
        let page = browser.get(&format!("/deployments/{id}")).await;
        assert_eq!(page.body.contains("https://example.com/r"), has_release, "{id}: {}", page.body);
    }
}

/// What a page read is kept until anything is written: the next view shows it, and nobody sees what another may.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_service_looked_at_twice_shows_what_was_written_between(pool: PgPool) {
    let github = Github::new(&pool).await;
    github.signed("deployment_status", "1", &status(1, "1", 0, "success", 4)).await;
    github.signed("release", "2", &release(5, "v1", "https://example.com/1")).await;
    read_new(&pool).await.unwrap();
    let finance = github.app.browser(Role::Finance, false, &[]).await;
    let stranger = github.app.browser(Role::Member, false, &[]).await;
    for _ in 0..2 {
        let page = finance.get("/services/checkout").await;
        assert!(page.body.contains(">v1<") && !page.body.contains(">v2<"), "{}", page.body);
        assert!(!page.body.contains("is open to its team and to finance"), "{}", page.body);
        let page = stranger.get("/services/checkout").await;
        assert!(page.body.contains("is open to its team and to finance"), "{}", page.body);
    }
    github.signed("release", "3", &release(6, "v2", "https://example.com/2")).await;
    read_new(&pool).await.unwrap();
    for browser in [&finance, &stranger] {
        let page = browser.get("/services/checkout").await;
        assert!(page.body.contains(">v2<"), "{}", page.body);
    }
}
