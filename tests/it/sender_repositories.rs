//! A repository has one name, whatever its senders write.

use crate::senders::Doors;
use crate::support::count;
use crate::webhooks::minute;
use axum::http::StatusCode;
use costwake::events::Sender;
use costwake::rollup::events::read_new;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::json;
use sqlx::PgPool;

/// CircleCI, DevLake, CDEvents and callers of the API write addresses: what they tell meets what others tell of the same
/// repository, in change lists, lead times and rules.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn addresses_and_names_of_a_repository_meet(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let sha = "a".repeat(40);
    let run = json!({"type": "workflow-completed", "id": "c1", "project": {"name": "shop", "slug": "github/acme/shop"},
        "workflow": {"id": "w1", "name": "deploy", "status": "success", "created_at": minute(0), "stopped_at": minute(5)},
        "pipeline": {"vcs": {"origin_repository_url": "https://github.com/acme/shop", "revision": sha}}});
    let deployed = json!({"id": "d1", "environment": "PRODUCTION", "result": "SUCCESS", "startedDate": minute(6),
        "finishedDate": minute(9),
        "deploymentCommits": [{"repoUrl": "https://github.com/acme/shop", "commitSha": sha, "refName": "main"}]});
    let merged = json!({"context": {"id": "m1", "source": "/git", "type": "dev.cdevents.change.merged.0.3.0",
            "timestamp": minute(1)}, "customData": {"sha": sha},
        "subject": {"id": "7", "content": {"repository": {"id": "git@github.com:acme/shop.git"}}}});
    for (sender, body) in [("circleci", run), ("devlake", deployed), ("cdevents", merged)] {
        let taken = doors.send(Sender::of(sender).unwrap(), &[], body.to_string().as_bytes()).await;
        assert_eq!(taken.status, StatusCode::ACCEPTED, "{sender}");
    }
    read_new(&pool).await.unwrap();
    let token = doors.app.token(TokenScope::Ingest, Role::Viewer).await;
    let posted = json!({"service": "checkout", "environment": "production", "version": "1",
        "commits": [{"repo": "https://bot:hu'sh@github.com/acme/shop.git", "sha": sha}]});
    let posted = doors.app.api("POST", "/api/v1/deployments", &token, posted).await;
    assert_eq!(posted.status, StatusCode::CREATED, "{}", posted.body);

    assert_eq!(count(&pool, "SELECT count(*) FROM pipeline_run WHERE repo = 'acme/shop'").await, 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment WHERE repo = 'acme/shop'").await, 2);
    let met =
        "SELECT count(*) FROM deployment_commit k JOIN change c ON c.repo = k.repo AND is_same_commit(c.sha, k.sha)
               WHERE k.repo = 'acme/shop'";
    assert_eq!(count(&pool, met).await, 2);
    // What stands in an address is not kept, neither in what came nor in what it was read as.
    let kept = "SELECT (SELECT count(*) FROM event_delivery WHERE convert_from(body, 'UTF8') LIKE '%bot%')
                     + (SELECT count(*) FROM deployment_status WHERE facts::text LIKE '%bot%')";
    assert_eq!(count(&pool, kept).await, 0);
}
