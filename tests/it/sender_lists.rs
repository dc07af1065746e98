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
        event("taskrun.started", json!({"id": "t"}), 3),
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
    let other = json!([event("taskrun.started", json!({"id": "t"}), 0), event("build.queued", json!({"id": "b"}), 1)]);
    doors.send(sender, &[], other.to_string().as_bytes()).await;
    assert_eq!(read_new(&pool).await.unwrap(), Reading { done: 0, ignored: 1, failed: 0 });
}
