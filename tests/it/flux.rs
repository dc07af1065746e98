//! Flux tells how its objects stand: which of it are deployments, of which cluster, and what came back.

use crate::senders::{Doors, Given, courses, deliver};
use crate::support::count;
use crate::webhooks::minute;
use chrono::Utc;
use costwake::events::Headers;
use costwake::rollup::events::read_new;
use serde_json::{Value, json};
use sqlx::PgPool;

fn event(object: [&str; 3], metadata: &Value, reason: &str, message: &str, at: i64) -> Value {
    let [kind, name, uid] = object;
    json!({"involvedObject": {"kind": kind, "name": name, "namespace": "shop", "uid": uid}, "metadata": metadata,
        "severity": "info", "reason": reason, "message": message, "timestamp": minute(at)})
}

fn kustomization(uid: &str, environment: &str, commit: &str, reason: &str, at: i64) -> Value {
    let metadata = json!({"revision": format!("main@sha1:{}", commit.repeat(40)), "env": environment});
    event(["Kustomization", "checkout", uid], &metadata, reason, "", at)
}

// Newer controllers number the release, older ones do not.
fn chart(name: &str, version: &str, number: Option<i64>, at: i64) -> Value {
    let metadata = json!({"revision": version, "env": "production"});
    let message = match number {
        Some(number) => format!("Helm upgrade succeeded for release shop/{name}.v{number} with chart {name}@{version}"),
        None => "Helm upgrade succeeded".to_owned(),
    };
    event(["HelmRelease", name, name], &metadata, "UpgradeSucceeded", &message, at)
}

/// What two clusters and two generations of controllers tell, some of it more than once.
pub fn course() -> Vec<Value> {
    let success = "ReconciliationSucceeded";
    vec![
        kustomization("u1", "production", "a", "Progressing", 0),
        kustomization("u1", "production", "a", success, 1),
        kustomization("u2", "staging", "a", success, 2),
        kustomization("u1", "production", "b", "Progressing", 9),
        kustomization("u1", "production", "b", success, 10),
        kustomization("u1", "production", "b", success, 15),
        kustomization("u1", "production", "a", success, 20),
        kustomization("u1", "production", "a", success, 25),
        chart("prices", "1.0.0", Some(1), 0),
        chart("prices", "1.1.0", Some(2), 10),
        chart("prices", "1.0.0", Some(3), 20),
        // The chart is as before, its values are others.
        chart("prices", "1.0.0", Some(4), 30),
        chart("search", "1.0.0", None, 0),
        chart("search", "1.1.0", None, 10),
        chart("search", "1.0.0", None, 20),
    ]
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_comes_back_and_other_clusters_are_deployments_of_their_own(pool: PgPool) {
    let _doors = Doors::new(&pool).await;
    courses(&pool, &["flux"]).await;
    let told: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', s.slug, e.slug, coalesce(d.version, left(d.sha, 1)), d.status, d.attempts,
             to_char(d.finished_at AT TIME ZONE 'UTC', 'MI'), d.kind, CASE WHEN ds.is_noop THEN 'nothing new' END)
         FROM deployment d JOIN deployment_service ds USING (deployment_id) JOIN service s USING (service_id)
         JOIN environment e ON e.environment_id = d.environment_id ORDER BY s.slug, e.slug, d.finished_at",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(
        told,
        [
            "checkout production a succeeded 1 01 deploy",
            "checkout production b succeeded 1 10 deploy",
            "checkout production a succeeded 1 20 rollback",
            "checkout staging a succeeded 1 02 deploy",
            "prices production 1.0.0 succeeded 1 00 deploy",
            "prices production 1.1.0 succeeded 1 10 deploy",
            "prices production 1.0.0 succeeded 1 20 rollback",
            "prices production 1.0.0 succeeded 1 30 deploy",
            "search production 1.0.0 succeeded 1 00 deploy",
            "search production 1.1.0 succeeded 1 10 deploy",
            "search production 1.0.0 succeeded 1 20 rollback",
        ]
    );
    // Flux says it once more, after it was put to the second deployment of that commit.
    let statuses = "SELECT count(*) FROM deployment_status";
    let count_before = count(&pool, statuses).await;
    let again = kustomization("u1", "production", "a", "ReconciliationSucceeded", 25).to_string().into_bytes();
    let given = Given { headers: Headers::default(), body: again, received_at: Utc::now() };
    deliver(&pool, "flux", "again", &given).await;
    assert_eq!(read_new(&pool).await.unwrap().done, 1);
    assert_eq!(count(&pool, statuses).await, count_before);
}

// Commit, moment and round of each deployment.
async fn deployed(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws(' ', left(sha, 1), to_char(finished_at AT TIME ZONE 'UTC', 'MI'),
             substring(external_id FROM '#([0-9]+)$'))
         FROM deployment ORDER BY finished_at",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

async fn tell(pool: &PgPool, commit: &str, at: i64) {
    let body = kustomization("u1", "production", commit, "ReconciliationSucceeded", at).to_string().into_bytes();
    let given = Given { headers: Headers::default(), body, received_at: Utc::now() };
    deliver(pool, "flux", &format!("{commit} {at}"), &given).await;
    assert_eq!(read_new(pool).await.unwrap().done, 1);
}

/// Only what came after what is told now is looked at; it comes to the same as all of it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_came_late_or_goes_moves_what_came_after_it(pool: PgPool) {
    let _doors = Doors::new(&pool).await;
    for (commit, at) in [("a", 0), ("b", 10), ("a", 20), ("b", 30), ("a", 40)] {
        tell(&pool, commit, at).await;
    }
    let expected = ["a 00", "b 10", "a 20 2", "b 30 2", "a 40 3"];
    assert_eq!(deployed(&pool).await, expected);
    // A commit between two of the same one parts them, and all that came after is one round further.
    tell(&pool, "a", 12).await;
    assert_eq!(deployed(&pool).await, ["a 00", "b 10", "a 12 2", "b 30 2", "a 40 3"]);
    tell(&pool, "b", 15).await;
    assert_eq!(deployed(&pool).await, ["a 00", "b 10", "a 12 2", "b 15 2", "a 20 3", "b 30 3", "a 40 4"]);
    // Both go again.
    sqlx::query("UPDATE event_delivery SET body = '[]', state = 'new' WHERE dedupe_key IN ('a 12', 'b 15')")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(read_new(&pool).await.unwrap().failed, 2);
    assert_eq!(deployed(&pool).await, expected);
}
