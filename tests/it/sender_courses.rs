//! How one object goes at senders that tell of it more than once: begun and ended, tried again, told otherwise. And that
//! it is no matter when a sender's requests come, where each says when what it tells happened.

use crate::senders::{Doors, Given, deliver, emptied, own_bodies, timeline};
use crate::webhooks::minute;
use chrono::{DateTime, TimeDelta, Utc};
use costwake::events::{self, Event, EventKind, Headers, WEBHOOK_SENDERS};
use costwake::rollup::events::read_new;
use proptest::strategy::{Just, Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::BTreeSet;

/// The requests of a sender, in the order in which they would come.
pub fn of(sender: &str) -> Vec<Value> {
    match sender {
        "azure_devops" => azure(),
        "circleci" => circleci(),
        "bitbucket" => bitbucket(),
        "spinnaker" => spinnaker(),
        "devlake" => devlake(),
        "atlantis" => atlantis(),
        "launchdarkly" => launchdarkly(),
        _ => Vec::new(),
    }
}

// Milliseconds, as some senders write times.
fn millis(number: i64) -> i64 {
    1_772_359_200_000 + number * 60_000
}

// A run whose stage fails, and goes through when it is tried again.
fn azure() -> Vec<Value> {
    let run = json!({"id": 7, "name": "2026.7", "createdDate": minute(0), "pipeline": {"id": 1, "name": "shop-ci"},
        "resources": {"repositories": {"self": {"version": "a".repeat(40), "refName": "refs/heads/main"}}}});
    let stage = |attempt: i64, result: Option<&str>| {
        let state = if result.is_some() { "completed" } else { "inProgress" };
        let start = attempt * 10;
        json!({"eventType": "ms.vss-pipelines.stage-state-changed-event", "resource": {"run": run, "stage": {
            "id": "s1", "name": "Deploy", "attempt": attempt, "state": state, "result": result,
            "startTime": minute(start), "finishTime": result.map(|_| minute(start + 5))}}})
    };
    let of_run = |state: &str, result: Option<&str>, end: Option<i64>| {
        let mut run = run.clone();
        (run["state"], run["result"], run["finishedDate"]) = (json!(state), json!(result), json!(end.map(minute)));
        json!({"eventType": "ms.vss-pipelines.run-state-changed-event", "resource": {"run": run}})
    };
    vec![
        of_run("inProgress", None, None),
        stage(1, None),
        stage(1, Some("failed")),
        of_run("completed", Some("failed"), Some(16)),
        stage(2, None),
        stage(2, Some("succeeded")),
        of_run("completed", Some("succeeded"), Some(26)),
    ]
}

// A workflow that ended is told again with another end, and a job of it.
fn circleci() -> Vec<Value> {
    let told = |status: &str, end: i64| {
        json!({"type": "workflow-completed", "id": format!("{status}{end}"), "project": {"name": "shop"},
            "workflow": {"id": "w1", "name": "deploy", "status": status, "created_at": minute(0),
                "stopped_at": minute(end)},
            "pipeline": {"vcs": {"origin_repository_url": "https://github.com/acme/shop", "revision": "a".repeat(40)}}})
    };
    let job = json!({"type": "job-completed", "id": "j", "workflow": {"id": "w1", "name": "deploy"},
        "job": {"id": "j1", "name": "test", "status": "success", "started_at": minute(1), "stopped_at": minute(4)}});
    vec![job, told("failed", 5), told("success", 9)]
}

fn bitbucket() -> Vec<Value> {
    let status = |state: &str, at: i64| {
        json!({"repository": {"full_name": "acme/shop"}, "commit_status": {"key": "build", "name": "Build",
            "state": state, "commit": {"hash": "a".repeat(40)}, "created_on": minute(0), "updated_on": minute(at)}})
    };
    let deployment = |state: Value| {
        json!({"type": "deployment", "uuid": "{d1}", "environment": {"name": "Production"}, "state": state,
            "release": {"name": "#7", "created_on": minute(5), "url": "https://bitbucket.org/acme/shop/addon/x",
                "commit": {"hash": "a".repeat(40)}}})
    };
    let ended = json!({"name": "COMPLETED", "status": {"name": "SUCCESSFUL"}, "started_on": minute(6),
        "completed_on": minute(9)});
    vec![
        status("INPROGRESS", 0),
        status("SUCCESSFUL", 4),
        deployment(json!({"name": "IN_PROGRESS", "started_on": minute(6)})),
        deployment(ended),
    ]
}

// A pipeline, and a build that Igor sees twice. Times are texts.
fn spinnaker() -> Vec<Value> {
    let pipeline = |kind: &str, status: &str, end: Option<i64>| {
        json!({"details": {"type": format!("orca:pipeline:{kind}"), "application": "shop"}, "content": {
            "executionId": "01H", "execution": {"id": "01H", "application": "shop", "name": "Deploy", "status": status,
                "startTime": millis(0).to_string(), "endTime": end.map(|end| millis(end).to_string())}}})
    };
    let build = |is_building: bool, result: Option<&str>, duration_ms: i64| {
        json!({"details": {"type": "build"}, "content": {"master": "ci", "project": {"name": "shop", "lastBuild": {
            "building": is_building, "number": 5, "result": result, "timestamp": millis(0).to_string(),
            "duration": duration_ms}}}})
    };
    vec![
        build(true, None, 0),
        build(false, Some("SUCCESS"), 240_000),
        pipeline("starting", "RUNNING", None),
        pipeline("complete", "SUCCEEDED", Some(9)),
    ]
}

// Posted when it begins, when it has ended, and again with another result.
fn devlake() -> Vec<Value> {
    let told = |result: &str, end: Option<i64>| {
        json!({"id": "d1", "environment": "PRODUCTION", "result": result, "startedDate": minute(6),
            "finishedDate": end.map(minute), "deploymentCommits": [{"repoUrl": "https://github.com/acme/shop",
                "commitSha": "a".repeat(40), "refName": "main"}]})
    };
    vec![told("IN_PROGRESS", None), told("SUCCESS", Some(9)), told("FAILURE", Some(12))]
}

// An apply that fails and is tried again, and one of another workspace. None says when.
fn atlantis() -> Vec<Value> {
    let told = |workspace: &str, success: bool| {
        json!({"Workspace": workspace, "Directory": "infra", "Success": success, "User": {"Username": "ada"},
            "Repo": {"FullName": "acme/shop"}, "Pull": {"Num": 7, "HeadCommit": "a".repeat(40), "BaseBranch": "main"}})
    };
    vec![told("production", false), told("staging", true), told("production", true)]
}

// A flag on and off, and two that were told of one moment without an id.
fn launchdarkly() -> Vec<Value> {
    let resource = "proj/default:env/production:flag/new-checkout";
    let told = |verb: &str, at: i64, id: Option<&str>| {
        json!({"kind": "flag", "name": "New checkout", "titleVerb": verb, "title": format!("Ada {verb}"),
            "date": millis(at), "_id": id, "accesses": [{"action": "updateOn", "resource": resource}]})
    };
    vec![
        told("turned on the flag", 0, Some("1")),
        told("turned off the flag", 5, Some("2")),
        told("turned on the flag", 9, None),
        told("changed the targets of the flag", 9, None),
    ]
}

fn read(sender: &str, body: &Value) -> Vec<Event> {
    let received_at = "2026-11-24T10:00:00Z".parse().unwrap();
    events::read(sender, &Headers::default(), body.to_string().as_bytes(), received_at).unwrap()
}

// Where everything that is told has an object of its own, no order could matter.
#[test]
fn each_course_tells_of_one_object_more_than_once() {
    let senders = ["azure_devops", "circleci", "bitbucket", "spinnaker", "devlake", "atlantis", "launchdarkly"];
    for sender in senders {
        let told: Vec<Event> = of(sender).iter().flat_map(|body| read(sender, body)).collect();
        assert!(told.iter().all(|event| event.kind != EventKind::Ignore), "{sender}: {told:?}");
        let keys: BTreeSet<Option<&str>> = told.iter().map(Event::key).collect();
        assert!(!keys.contains(&None) && keys.len() < told.len(), "{sender}: {keys:?}");
    }
}

// Without when something came, and in an order that does not know it.
fn without_receipts(mut rows: Vec<Value>) -> Vec<Value> {
    for fields in rows.iter_mut().filter_map(Value::as_object_mut) {
        fields.retain(|name, _| !matches!(name.as_str(), "received_at" | "facts_received_at"));
    }
    rows.sort_by_key(Value::to_string);
    rows
}

/// Requests that were held up come later than others: where each tells its own time, that changes nothing.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn it_is_no_matter_when_what_tells_its_time_comes(pool: PgPool) {
    let _doors = Doors::new(&pool).await;
    sqlx::query("INSERT INTO service (slug, name) VALUES ('checkout', 'checkout')").execute(&pool).await.unwrap();
    let start: DateTime<Utc> = "2026-11-24T10:00:00Z".parse().unwrap();
    let mut runner = TestRunner::deterministic();
    let mut tried = BTreeSet::new();
    for sender in WEBHOOK_SENDERS.iter().map(|sender| sender.key) {
        let bodies = own_bodies(sender);
        let tells_its_time = |body: &Value| read(sender, body).iter().all(|event| !event.time_is_received);
        if bodies.is_empty() || !bodies.iter().all(tells_its_time) {
            continue;
        }
        tried.insert(sender);
        let mut expected = None;
        for round in 0..4 {
            emptied(&pool).await;
            let order: Vec<usize> = (0..bodies.len()).chain(0..bodies.len().div_ceil(2)).collect();
            let mixed = Just(order.clone()).prop_shuffle().new_tree(&mut runner).unwrap().current();
            let come = if round == 0 { order } else { mixed };
            for (place, number) in come.iter().enumerate() {
                let body = bodies[*number].to_string().into_bytes();
                let received_at = start + TimeDelta::minutes(place as i64 * 7);
                deliver(&pool, sender, &place.to_string(), &Given { headers: Headers::default(), body, received_at })
                    .await;
                if place % (round + 1) == 1 {
                    read_new(&pool).await.unwrap();
                }
            }
            read_new(&pool).await.unwrap();
            let found = without_receipts(timeline(&pool).await);
            assert_eq!(&found, expected.get_or_insert_with(|| found.clone()), "{sender} in round {round}");
        }
    }
    assert!(tried.len() >= 15 && !tried.contains("atlantis"), "{tried:?}");
}
