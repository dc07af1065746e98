//! Deliveries that tell of several things at once.

use crate::senders::Doors;
use crate::support::count;
use axum::http::StatusCode;
use costwake::events::Sender;
use costwake::rollup::events::{Reading, read_new};
use costwake::store::Role;
use serde_json::{Value, json};
use sqlx::PgPool;

fn event(kind: &str, subject: Value, minute: i64) -> Value {
    json!({"context": {"id": format!("{kind}{minute}"), "source": "/ci", "type": format!("dev.cdevents.{kind}.0.3.0"),
        "timestamp": crate::webhooks::minute(minute)}, "subject": subject})
}

/// One bad event of a batch takes no other with it: the good ones count, and the page says which was not read and why.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_bad_event_of_a_batch_takes_no_other_with_it(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let sender = Sender::of("cdevents").unwrap();
    let content = json!({"environment": {"id": "production"}, "artifactId": "pkg:oci/checkout@sha256%3Aaa?tag=1"});
    let batch = json!([
        event("service.deployed", json!({"id": "checkout", "content": content.clone()}), 0),
        event("service.deployed", json!({"content": content}), 1),
        event("change.merged", json!({"id": "7", "content": {}}), 2),
        event("build.started", json!({"id": "t"}), 3),
    ]);
    assert_eq!(doors.send(sender, &[], batch.to_string().as_bytes()).await.status, StatusCode::ACCEPTED);
    for _ in 0..2 {
        assert_eq!(read_new(&pool).await.unwrap(), Reading { done: 0, ignored: 0, failed: 1 });
        assert_eq!(count(&pool, "SELECT count(*) FROM deployment WHERE service_raw = '{checkout}'").await, 1);
        assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, 1);
        // Read again, for example after an upgrade, it is the same.
        sqlx::query("UPDATE event_delivery SET state = 'new'").execute(&pool).await.unwrap();
    }
    read_new(&pool).await.unwrap();
    let browser = doors.app.browser(Role::Admin, false, &[]).await;
    let page = browser.get("/settings/event-sources?state=error").await.body;
    let reason = "Not read, while the rest counts: part 2: subject.id is missing; \
                  part 3: subject.content.repository.id is missing.";
    assert!(page.contains(reason), "{page}");

    // Where nothing can be read, the delivery says why, as one with a single event does.
    let bad = json!([event("service.deployed", json!({}), 0)]);
    assert_eq!(doors.send(sender, &[], bad.to_string().as_bytes()).await.status, StatusCode::ACCEPTED);
    assert_eq!(read_new(&pool).await.unwrap().failed, 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM event_delivery WHERE error = 'subject.id is missing'").await, 1);
    // What is not of use is no error.
    let other = json!([event("build.started", json!({"id": "t"}), 0), event("build.queued", json!({"id": "b"}), 1)]);
    doors.send(sender, &[], other.to_string().as_bytes()).await;
    assert_eq!(read_new(&pool).await.unwrap(), Reading { done: 0, ignored: 1, failed: 0 });
}

const STANDING: &str = "SELECT string_agg(version || ' ' || standing, ', ' ORDER BY finished_at) FROM deployment";

/// A service that was removed runs no longer, whichever was told first, and a preview without any ends; what comes
/// afterwards stands.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_was_removed_stands_no_longer(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let sender = Sender::of("cdevents").unwrap();
    let of = |kind: &str, version: &str, minute: i64| {
        let artifact = format!("pkg:oci/checkout@sha256%3A{version}{version}?tag={version}");
        let mut content = json!({"environment": {"id": "pr-7"}});
        if !version.is_empty() {
            content["artifactId"] = json!(artifact);
        }
        event(kind, json!({"id": "checkout", "content": content}), minute).to_string()
    };
    let standing = async || {
        let standing: Option<String> = sqlx::query_scalar(STANDING).fetch_one(&pool).await.unwrap();
        standing.unwrap_or_default()
    };
    let ended = "SELECT count(*) FROM environment_end e JOIN environment USING (environment_id)
                 WHERE slug = 'pr-7' AND told_at = '2026-03-01T10:30:00Z'";
    let (first, second) = (of("service.deployed", "1", 0), of("service.upgraded", "2", 10));
    // Of the old version, once the new one runs; then of the service.
    let (old, all) = (of("service.removed", "1", 11), of("service.removed", "", 30));
    // At first the catalogue has neither the service nor the environment.
    for order in [[3, 2, 1, 0], [0, 1, 2, 3], [2, 0, 3, 1], [1, 3, 0, 2]] {
        crate::senders::emptied(&pool).await;
        let bodies = [&first, &second, &old, &all];
        for index in order {
            doors.send(sender, &[], bodies[index].as_bytes()).await;
            read_new(&pool).await.unwrap();
            sqlx::query("UPDATE environment SET kind = 'preview' WHERE slug = 'pr-7'").execute(&pool).await.unwrap();
        }
        assert_eq!(standing().await, "1 superseded, 2 superseded", "{order:?}");
        assert_eq!(count(&pool, ended).await, 1, "{order:?}");
        let until =
            "SELECT (extract(epoch FROM superseded_at - finished_at) / 60)::bigint FROM deployment WHERE version = '2'";
        assert_eq!(count(&pool, until).await, 20, "{order:?}");
    }
    // Read again as something else, it takes nothing away any more.
    sqlx::query(
        "UPDATE event_delivery SET state = 'new',
             body = convert_to(replace(convert_from(body, 'UTF8'), 'service.removed', 'build.started'), 'UTF8')
         WHERE dedupe_key LIKE '%service.removed30'",
    )
    .execute(&pool)
    .await
    .unwrap();
    read_new(&pool).await.unwrap();
    assert_eq!(standing().await, "1 superseded, 2 succeeded");
    assert_eq!(count(&pool, ended).await, 0);
    // A new version stands after the service was removed.
    doors.send(sender, &[], of("service.removed", "", 40).as_bytes()).await;
    doors.send(sender, &[], of("service.deployed", "3", 50).as_bytes()).await;
    read_new(&pool).await.unwrap();
    assert_eq!(standing().await, "1 superseded, 2 superseded, 3 succeeded");
}

/// A published artifact is a version of its repository.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_artifact_that_was_published_is_a_release(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let subject = json!({"id": "pkg:oci/acme/shop@sha256%3Aaa?tag=1.4", "content": {}});
    let body = event("artifact.published", subject, 0).to_string();
    doors.send(Sender::of("cdevents").unwrap(), &[], body.as_bytes()).await;
    assert_eq!(read_new(&pool).await.unwrap().done, 1);
    let release = "SELECT count(*) FROM release WHERE repo = 'acme/shop' AND tag = '1.4' AND state = 'published'
                   AND published_at = '2026-03-01T10:00:00Z'";
    assert_eq!(count(&pool, release).await, 1);
}

/// Tasks are jobs of their run: they have a start and an end, and name what they are part of.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_task_is_a_job_of_its_run(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let task = json!({"id": "t", "content": {"taskName": "train", "pipelineRun": {"id": "r"}, "outcome": "success"}});
    let run = json!({"id": "r", "content": {"pipelineName": "nightly", "outcome": "success"}});
    let batch = json!([
        event("taskrun.finished", task.clone(), 40),
        event("pipelinerun.finished", run, 45),
        event("taskrun.started", task, 10),
    ]);
    doors.send(Sender::of("cdevents").unwrap(), &[], batch.to_string().as_bytes()).await;
    assert_eq!(read_new(&pool).await.unwrap().done, 1);
    let met = "SELECT count(*) FROM pipeline_run j
               JOIN pipeline_run r ON r.external_id = j.facts -> 'attributes' ->> 'run' AND r.name = 'nightly'
               WHERE j.facts -> 'attributes' ->> 'job' = 'train'
                 AND j.finished_at - j.started_at = interval '30 minutes'";
    assert_eq!(count(&pool, met).await, 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM pipeline_run").await, 2);
}
