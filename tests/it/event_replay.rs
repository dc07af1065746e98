//! Reading stored deliveries again: what an older adapter made of them is mended, whatever it was.

use crate::senders::{Doors, Given, deliver};
use crate::webhooks::{Github, minute, repository};
use chrono::{DateTime, TimeDelta, Utc};
use costwake::events::{self, Commit, Event, EventKind, Headers, Status};
use costwake::rollup::events::{lock, read_new, record};
use costwake::store::event_deliveries;
use serde_json::{Value, json};
use sqlx::PgPool;

// A run, a merged pull request, pushed commits, a release, and something of no use.
fn told() -> Vec<(&'static str, Value)> {
    let run = |status: &str, conclusion: Value, at: i64| {
        json!({"action": status, "repository": repository(), "workflow_run": {"id": 6, "run_attempt": 1, "status": status,
               "conclusion": conclusion, "name": "Deploy", "run_started_at": minute(0), "updated_at": minute(at),
               "head_sha": "a".repeat(40)}})
    };
    vec![
        ("workflow_run", run("in_progress", Value::Null, 1)),
        ("workflow_run", run("completed", json!("success"), 5)),
        (
            "pull_request",
            json!({"action": "closed", "repository": repository(), "number": 7, "pull_request": {"number": 7,
                   "title": "Faster", "merged": true, "merged_at": minute(2), "merge_commit_sha": "b".repeat(40),
                   "base": {"ref": "main"}}}),
        ),
        (
            "push",
            json!({"ref": "refs/heads/main", "after": "c".repeat(40), "repository": repository(),
                   "head_commit": {"timestamp": minute(3), "message": "Second"}, "commits": [
                       {"id": "d".repeat(40), "message": "First", "timestamp": minute(1)},
                       {"id": "c".repeat(40), "message": "Second", "timestamp": minute(3)}]}),
        ),
        (
            "release",
            json!({"action": "published", "repository": repository(), "release": {"id": 5, "tag_name": "v1",
                   "name": "One", "target_commitish": "main", "published_at": minute(0), "draft": false,
                   "prerelease": false}}),
        ),
        ("star", json!({"action": "created", "repository": repository()})),
    ]
}

// As an older adapter might have read it: late, under another title, and a run in what tells of none.
fn misread(event: Event) -> Event {
    let late = |at: Option<DateTime<Utc>>| at.map(|at| at + TimeDelta::days(1));
    let wrong = Some("Wrong".to_owned());
    match event.kind {
        EventKind::Ignore => Event {
            kind: EventKind::PipelineRun,
            external_id: Some("77".into()),
            status: Some(Status::Succeeded),
            ..event
        },
        EventKind::PipelineRun => Event {
            status: Some(Status::Failed),
            pipeline: wrong,
            finished_at: late(event.occurred_at),
            occurred_at: late(event.occurred_at),
            ..event
        },
        _ => {
            let misread = |commit: &Commit| Commit {
                title: wrong.clone(),
                happened_at: late(commit.happened_at),
                ..commit.clone()
            };
            Event {
                commits: event.commits.iter().map(misread).collect(),
                finished_at: late(event.finished_at),
                occurred_at: late(event.occurred_at),
                title: wrong.clone(),
                ..event
            }
        }
    }
}

async fn deliveries(pool: &PgPool) -> Vec<i64> {
    let ids = "SELECT event_delivery_id FROM event_delivery ORDER BY event_delivery_id";
    sqlx::query_scalar(ids).fetch_all(pool).await.unwrap()
}

// Writes down what an older adapter would have made of a delivery.
async fn spoil(pool: &PgPool, event_delivery_id: i64) {
    record_as(pool, "github", event_delivery_id, misread).await;
}

async fn record_as(pool: &PgPool, sender: &str, event_delivery_id: i64, made_of: fn(Event) -> Event) {
    let stored: (i64, Value, Vec<u8>, DateTime<Utc>) = sqlx::query_as(
        "SELECT event_source_id, headers, body, received_at FROM event_delivery WHERE event_delivery_id = $1",
    )
    .bind(event_delivery_id)
    .fetch_one(pool)
    .await
    .unwrap();
    let (event_source_id, headers, body, received_at) = stored;
    let headers: Headers = serde_json::from_value(headers).unwrap();
    let read = events::read(sender, &headers, &body, received_at).unwrap();
    let read: Vec<Event> = read.into_iter().map(made_of).collect();
    let mut transaction = pool.begin().await.unwrap();
    lock(&mut transaction).await.unwrap();
    record(&mut transaction, event_source_id, event_delivery_id, received_at, &read).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn rows(pool: &PgPool) -> Vec<Value> {
    sqlx::query_scalar(
        "SELECT to_jsonb(p) - 'pipeline_run_id' FROM pipeline_run p
         UNION ALL SELECT to_jsonb(r) - 'release_id' FROM release r
         UNION ALL SELECT to_jsonb(c) - 'change_id' FROM change c ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// One delivery that was read wrongly, beside others that tell of the same, and all of them at once: read again, they
/// come to what a first reading comes to.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_was_read_wrongly_is_mended(pool: PgPool) {
    let github = Github::new(&pool).await;
    for (number, (event, body)) in told().iter().enumerate() {
        github.signed(event, &number.to_string(), body).await;
    }
    assert_eq!(read_new(&pool).await.unwrap().failed, 0);
    let expected = rows(&pool).await;
    assert_eq!(expected.len(), 5, "a run, a release, a pull request, two commits: {expected:?}");
    let mut conn = pool.acquire().await.unwrap();
    let ids = deliveries(&pool).await;
    for id in &ids {
        spoil(&pool, *id).await;
        assert_ne!(rows(&pool).await, expected, "delivery {id}");
        assert!(event_deliveries::read_again(&mut conn, *id).await.unwrap());
        read_new(&pool).await.unwrap();
        assert_eq!(rows(&pool).await, expected, "delivery {id}");
    }
    for id in &ids {
        spoil(&pool, *id).await;
    }
    assert_eq!(event_deliveries::read_all_again(&mut conn, None, None).await.unwrap(), ids.len() as u64);
    read_new(&pool).await.unwrap();
    assert_eq!(rows(&pool).await, expected);
}

/// Rows that say something else than what was told of them are made anew.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn spoiled_rows_are_mended(pool: PgPool) {
    let github = Github::new(&pool).await;
    for (number, (event, body)) in told().iter().enumerate() {
        github.signed(event, &number.to_string(), body).await;
    }
    read_new(&pool).await.unwrap();
    let expected = rows(&pool).await;
    for statement in [
        "UPDATE change SET title = 'Wrong', happened_at = happened_at + interval '1 year'",
        "UPDATE release SET title = 'Wrong', state = 'deleted', state_rank = 7, facts_at = 'infinity'",
        "UPDATE pipeline_run SET status = 'failed', finished_at = finished_at + interval '1 year', told_at = 'infinity'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let mut conn = pool.acquire().await.unwrap();
    event_deliveries::read_all_again(&mut conn, None, None).await.unwrap();
    read_new(&pool).await.unwrap();
    assert_eq!(rows(&pool).await, expected);
}

/// Runs of two sources that have one number, kept as one by an older adapter: read again, one after the other or all at
/// once, each has its own start and end, and nothing is left of the one.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn runs_of_two_sources_are_keyed_anew(pool: PgPool) {
    let _doors = Doors::new(&pool).await;
    let told = |source: &str, predicate: &str, at: i64| {
        json!({"context": {"id": predicate, "source": source, "timestamp": minute(at),
                "type": format!("dev.cdevents.pipelinerun.{predicate}.0.3.0")},
            "subject": {"id": "7", "content": {"pipelineName": source, "outcome": "success"}}})
    };
    let all = [
        told("/ci/a", "started", 0),
        told("/ci/b", "started", 1),
        told("/ci/a", "finished", 5),
        told("/ci/b", "finished", 9),
    ];
    for (number, body) in all.iter().enumerate() {
        let given = Given {
            headers: Headers::default(),
            body: body.to_string().into_bytes(),
            received_at: "2026-03-01T12:00:00Z".parse().unwrap(),
        };
        deliver(&pool, "cdevents", &number.to_string(), &given).await;
    }
    assert_eq!(read_new(&pool).await.unwrap().done, 4);
    let expected = rows(&pool).await;
    let minutes = "SELECT string_agg(name || ' ' || (extract(epoch FROM finished_at - started_at) / 60)::bigint, ', '
                                     ORDER BY name) FROM pipeline_run";
    let told: String = sqlx::query_scalar(minutes).fetch_one(&pool).await.unwrap();
    assert_eq!((expected.len(), told.as_str()), (2, "/ci/a 5, /ci/b 8"));
    let ids = deliveries(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    for at_once in [true, false] {
        for id in &ids {
            record_as(&pool, "cdevents", *id, |event| Event { object_key: None, ..event }).await;
        }
        assert_eq!(rows(&pool).await.len(), 1);
        if at_once {
            event_deliveries::read_all_again(&mut conn, None, None).await.unwrap();
            read_new(&pool).await.unwrap();
        } else {
            for id in &ids {
                assert!(event_deliveries::read_again(&mut conn, *id).await.unwrap());
                read_new(&pool).await.unwrap();
            }
        }
        assert_eq!(rows(&pool).await, expected, "at once: {at_once}");
    }
}

/// A commit that is pushed, and that another sender knows a merged change by: read again, neither loses what the other
/// told.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_change_that_two_senders_tell_of_stays_whole(pool: PgPool) {
    let _doors = Doors::new(&pool).await;
    let sha = "d".repeat(40);
    let pushed = json!({"ref": "refs/heads/main", "after": sha, "repository": repository(),
        "head_commit": {"timestamp": minute(3), "message": "Second"},
        "commits": [{"id": sha, "message": "Second", "timestamp": minute(3)}]});
    let merged = json!({"context": {"id": "1", "source": "/scm", "type": "dev.cdevents.change.merged.0.2.0",
            "timestamp": minute(9)},
        "subject": {"id": sha, "content": {"repository": {"id": repository()["full_name"]}, "description": "Reviewed"}}});
    let push = Headers::redacted([("X-GitHub-Event", "push")]);
    for (sender, headers, body) in [("github", push, pushed), ("cdevents", Headers::default(), merged)] {
        let given = Given { headers, body: body.to_string().into_bytes(), received_at: Utc::now() };
        deliver(&pool, sender, "1", &given).await;
    }
    assert_eq!(read_new(&pool).await.unwrap().done, 2);
    let expected = rows(&pool).await;
    assert_eq!(
        (expected.len(), &expected[0]["state"], &expected[0]["title"]),
        (1, &json!("merged"), &json!("Reviewed"))
    );
    let mut conn = pool.acquire().await.unwrap();
    for id in deliveries(&pool).await {
        assert!(event_deliveries::read_again(&mut conn, id).await.unwrap());
        read_new(&pool).await.unwrap();
        assert_eq!(rows(&pool).await, expected, "delivery {id}");
    }
}

// What is left of what was told of each: deployments, operational events and changes.
async fn left(pool: &PgPool) -> [i64; 3] {
    let mut counts = [0; 3];
    for (place, table) in ["deployment", "operational_event", "change"].into_iter().enumerate() {
        let statement = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        counts[place] = sqlx::query_scalar(statement).fetch_one(pool).await.unwrap();
    }
    counts
}

// An adapter reads nothing of these any more.
async fn make_unreadable(pool: &PgPool, event_delivery_ids: &[i64]) {
    sqlx::query("UPDATE event_delivery SET body = 'not JSON' WHERE event_delivery_id = ANY($1)")
        .bind(event_delivery_ids)
        .execute(pool)
        .await
        .unwrap();
    let mut conn = pool.acquire().await.unwrap();
    for event_delivery_id in event_delivery_ids {
        assert!(event_deliveries::read_again(&mut conn, *event_delivery_id).await.unwrap());
    }
    assert_eq!(read_new(pool).await.unwrap().failed, event_delivery_ids.len() as u64);
}

/// What cannot be read any more takes back what it told, and leaves what another delivery told too, as that one's.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_not_readable_any_more_takes_back_its_rows(pool: PgPool) {
    let _doors = Doors::new(&pool).await;
    sqlx::query("INSERT INTO service (slug, name) VALUES ('checkout', 'checkout')").execute(&pool).await.unwrap();
    let deployed = json!({"repository": repository(),
        "deployment": {"id": 1, "environment": "production", "created_at": minute(0),
            "payload": {"service": "checkout"}},
        "deployment_status": {"id": 2, "state": "success", "created_at": minute(1)}});
    let merged = told().swap_remove(2).1;
    let marker = json!({"message": "deploy 7", "type": "deploy", "start_time": 1_772_359_200, "service": "checkout"});
    for round in ["first", "second"] {
        for (sender, event, body) in [
            ("github", "deployment_status", &deployed),
            ("github", "pull_request", &merged),
            ("honeycomb", "", &marker),
        ] {
            let headers = Headers::redacted([("X-GitHub-Event", event)]);
            let given = Given { headers, body: body.to_string().into_bytes(), received_at: Utc::now() };
            deliver(&pool, sender, &format!("{round} {event}"), &given).await;
        }
    }
    assert_eq!(read_new(&pool).await.unwrap().done, 6);
    let expected = rows(&pool).await;
    assert_eq!(left(&pool).await, [1, 1, 1]);
    let ids = deliveries(&pool).await;
    make_unreadable(&pool, &ids[..3]).await;
    assert_eq!(left(&pool).await, [1, 1, 1], "the second deliveries told it too");
    let titles = |rows: &[Value]| rows.iter().map(|row| row["title"].clone()).collect::<Vec<_>>();
    assert_eq!(titles(&rows(&pool).await), titles(&expected));
    // One that is of no use now is like one that cannot be read.
    sqlx::query("UPDATE event_delivery SET body = '{}' WHERE event_delivery_id = $1")
        .bind(ids[4])
        .execute(&pool)
        .await
        .unwrap();
    assert!(event_deliveries::read_again(&mut pool.acquire().await.unwrap(), ids[4]).await.unwrap());
    assert_eq!(read_new(&pool).await.unwrap().ignored, 1);
    assert_eq!(left(&pool).await, [1, 1, 0]);
    make_unreadable(&pool, &[ids[3], ids[5]]).await;
    assert_eq!(left(&pool).await, [0, 0, 0]);
    let reasons = "SELECT count(*) FROM event_delivery WHERE state = 'error' AND error LIKE 'the body is not JSON%'";
    assert_eq!(crate::support::count(&pool, reasons).await, 5);
}
