//! F36: streams of GitHub, GitLab and Argo CD in any order, repeated and days late, give the sorted unique set of what was
//! told, as plain code works it out from the streams; and previews end when their sender says so.

use crate::senders::{Doors, Given, deliver, emptied};
use crate::webhooks::minute;
use chrono::{DateTime, TimeDelta, Utc};
use costwake::events::Headers;
use costwake::rollup::events::read_new;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::BTreeSet;

const ROUNDS: usize = 14;
const LATE_MAX: TimeDelta = TimeDelta::days(3);

/// A deployment as it went. Minutes after the beginning; each sender has its own.
#[derive(Debug, Clone)]
struct Course {
    begin: i64,
    is_success: bool,
    // GitHub: when it was said to be inactive.
    down: Option<i64>,
}

impl Course {
    fn end(&self) -> i64 {
        self.begin + 4
    }
}

#[derive(Debug, Clone)]
struct World {
    github: Vec<Course>,
    gitlab: Vec<Course>,
    // When a job of GitLab stopped the environment.
    stops: Vec<i64>,
    argo: Vec<Course>,
}

fn courses() -> impl Strategy<Value = Vec<Course>> {
    let one = (0i64..3, prop::bool::weighted(0.75), prop::option::weighted(0.6, 6i64..9));
    prop::collection::vec(one, 1..5).prop_map(|all| {
        let course = |(number, (shift, is_success, down)): (usize, (i64, bool, Option<i64>))| {
            let begin = number as i64 * 10 + shift;
            Course { begin, is_success, down: down.map(|down| begin + down) }
        };
        all.into_iter().enumerate().map(course).collect()
    })
}

fn world() -> impl Strategy<Value = World> {
    (courses(), courses(), prop::collection::vec(0i64..60, 0..3), courses())
        .prop_map(|(github, gitlab, stops, argo)| World { github, gitlab, stops, argo })
}

fn given(headers: &[(&str, &str)], body: &Value) -> Given {
    Given {
        headers: Headers::redacted(headers.iter().copied()),
        body: body.to_string().into_bytes(),
        received_at: Utc::now(),
    }
}

fn github(number: usize, course: &Course) -> Vec<Given> {
    let sha = format!("{number:040x}");
    let status = |state: &str, at: i64| {
        let body = json!({"repository": {"full_name": "acme/shop"}, "sender": {"login": "ada"},
            "deployment": {"id": number, "environment": "pr-7", "sha": sha, "created_at": minute(course.begin),
                "payload": {"service": "checkout", "version": number.to_string()}},
            "deployment_status": {"id": at + 1000, "state": state, "created_at": minute(at)}});
        given(&[("x-github-event", "deployment_status")], &body)
    };
    let end = if course.is_success { "success" } else { "failure" };
    let down = course.down.map(|at| status("inactive", at));
    [status("in_progress", course.begin + 1), status(end, course.end())].into_iter().chain(down).collect()
}

fn gitlab_project() -> Value {
    json!({"path_with_namespace": "acme/web", "web_url": "https://gitlab.example.com/acme/web", "default_branch": "main"})
}

fn gitlab(number: usize, course: &Course) -> Vec<Given> {
    let sha = format!("{number:040x}");
    let status = |word: &str, at: i64| {
        let body = json!({"object_kind": "deployment", "status": word, "status_changed_at": minute(at),
            "deployment_id": number, "environment": "review/a", "environment_tier": "development",
            "project": gitlab_project(), "user": {"username": "ada"}, "short_sha": &sha[..8],
            "commit_url": format!("https://gitlab.example.com/acme/web/-/commit/{sha}")});
        given(&[], &body)
    };
    let end = if course.is_success { "success" } else { "failed" };
    vec![status("running", course.begin + 1), status(end, course.end())]
}

// GitLab tells of the job that stops an environment in the pipeline's event, and in one of the job where these are sent.
fn gitlab_stop(number: usize, at: i64) -> Vec<Given> {
    let environment = json!({"name": "review/a", "action": "stop", "deployment_tier": "development"});
    let job = |id: usize, status: &str| {
        json!({"id": id, "name": "stop_review", "stage": "cleanup", "status": status, "created_at": minute(at - 1),
            "started_at": minute(at - 1), "finished_at": minute(at), "environment": environment})
    };
    let pipeline = json!({"object_kind": "pipeline", "project": gitlab_project(), "user": {"username": "ada"},
        "object_attributes": {"id": 900 + number, "status": "success", "sha": "c".repeat(40), "ref": "a",
            "created_at": minute(at - 2), "finished_at": minute(at)},
        "builds": [job(1, "success"), {"id": 2, "name": "test", "status": "success"}]});
    let alone = json!({"object_kind": "build", "project": gitlab_project(), "user": {"username": "ada"}, "build_id": 1,
        "build_name": "stop_review", "build_status": "success", "build_finished_at": minute(at), "environment": environment});
    // A stop that nobody ran, and one that failed, stop nothing.
    let waiting = json!({"object_kind": "pipeline", "project": gitlab_project(), "builds": [job(3, "manual")],
        "object_attributes": {"id": 800 + number, "status": "success", "created_at": minute(at - 30)}});
    let failed = json!({"object_kind": "build", "project": gitlab_project(), "build_id": 4, "build_status": "failed",
        "build_finished_at": minute(at + 50), "environment": environment});
    [pipeline, alone, waiting, failed].iter().map(|body| given(&[], body)).collect()
}

fn argo(number: usize, course: &Course) -> Given {
    let phase = if course.is_success { "Succeeded" } else { "Failed" };
    let body = json!({"schema": "argocd.v1", "app": "checkout", "uid": "u1", "project": "shop", "namespace": "checkout",
        "labels": {"env": "production"}, "phase": phase, "health": "Healthy", "revision": format!("{number:040x}"),
        "images": [format!("registry/checkout:{number}")], "startedAt": minute(course.begin),
        "finishedAt": minute(course.end())});
    given(&[], &body)
}

impl World {
    fn bodies(&self) -> Vec<(&'static str, Given)> {
        let of = |sender: &'static str, all: Vec<Given>| all.into_iter().map(move |one| (sender, one));
        let mut bodies = Vec::new();
        for (number, course) in self.github.iter().enumerate() {
            bodies.extend(of("github", github(number + 1, course)));
        }
        for (number, course) in self.gitlab.iter().enumerate() {
            bodies.extend(of("gitlab", gitlab(number + 1, course)));
        }
        for (number, at) in self.stops.iter().enumerate() {
            bodies.extend(of("gitlab", gitlab_stop(number + 1, *at)));
        }
        for (number, course) in self.argo.iter().enumerate() {
            bodies.push(("argocd", argo(number + 1, course)));
        }
        bodies
    }

    // What was told, each thing once: sender, when it ended, how it stands.
    fn timeline(&self) -> BTreeSet<String> {
        let row = |sender: &str, course: &Course, is_down: bool| {
            let status = match (course.is_success, is_down) {
                (true, true) => "superseded",
                (true, false) => "succeeded",
                (false, _) => "failed",
            };
            format!("{sender} {} {status}", minute(course.end()))
        };
        let github = self.github.iter().map(|course| row("github", course, course.down.is_some()));
        let gitlab = self.gitlab.iter().map(|course| row("gitlab", course, false));
        let argo = self.argo.iter().map(|course| row("argocd", course, false));
        github.chain(gitlab).chain(argo).collect()
    }

    fn ends(&self) -> BTreeSet<String> {
        let live = |courses: &[Course]| courses.iter().filter(|course| course.is_success).map(Course::end).max();
        // A stop after whatever went live last; the first of these.
        let live_at = live(&self.gitlab).unwrap_or(i64::MIN);
        // Before anything was tried there, nobody knows the environment.
        let stopped = self.stops.iter().copied().filter(|at| *at >= live_at).min();
        // The last one that went live is down; those before it were replaced by it.
        let last = self.github.iter().filter(|course| course.is_success).max_by_key(|course| course.end());
        let downs = self.github.iter().filter(|course| course.is_success).filter_map(|course| course.down);
        let down = last.and_then(|course| course.down).and(downs.max());
        let text = |name: &str, at: Option<i64>| at.map(|at| format!("{name} {}", minute(at)));
        text("review/a", stopped).into_iter().chain(text("pr-7", down)).collect()
    }
}

async fn texts(pool: &PgPool, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(pool).await.unwrap()
}

const TIMELINE: &str = r#"SELECT s.name || ' ' || to_char(d.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    || ' ' || d.status FROM deployment d JOIN event_source s USING (event_source_id)"#;
const ENDS: &str = r#"SELECT e.name || ' ' || to_char(n.told_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    FROM environment_end n JOIN environment e USING (environment_id)"#;

/// F36: any order, with repetitions, up to three days late, read in one go or piece by piece.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn f36_permuted_streams_give_the_sorted_unique_set(pool: PgPool) {
    let _doors = Doors::new(&pool).await;
    sqlx::query("INSERT INTO service (slug, name) VALUES ('checkout', 'checkout')").execute(&pool).await.unwrap();
    let mut runner = TestRunner::deterministic();
    let start: DateTime<Utc> = "2026-11-20T10:00:00Z".parse().unwrap();
    let mut ended = 0;
    for round in 0..ROUNDS {
        emptied(&pool).await;
        // Whoever adds the environments to the catalogue may come last.
        sqlx::query("DELETE FROM environment").execute(&pool).await.unwrap();
        let world = world().new_tree(&mut runner).unwrap().current();
        let bodies = world.bodies();
        let order: Vec<usize> = (0..bodies.len()).chain(0..bodies.len().div_ceil(2)).collect();
        let order = Just(order).prop_shuffle().new_tree(&mut runner).unwrap().current();
        for (place, number) in order.iter().enumerate() {
            let (sender, one) = &bodies[*number];
            let received_at = start + LATE_MAX * i32::try_from(place).unwrap() / i32::try_from(order.len()).unwrap();
            let one = Given { headers: one.headers.clone(), body: one.body.clone(), received_at };
            deliver(&pool, sender, &format!("{round}-{place}"), &one).await;
            if place % (round + 1) == 1 {
                read_new(&pool).await.unwrap();
            }
        }
        assert_eq!(read_new(&pool).await.unwrap().failed, 0);
        let timeline: Vec<String> = texts(&pool, TIMELINE).await;
        let expected = world.timeline();
        assert_eq!(timeline.len(), expected.len(), "round {round}: {timeline:?}");
        assert_eq!(BTreeSet::from_iter(timeline), expected, "round {round}: {world:?}");
        let ends = BTreeSet::from_iter(texts(&pool, ENDS).await);
        assert_eq!(ends, world.ends(), "round {round}: {world:?}");
        ended += ends.len();
    }
    assert!(ended >= 5, "{ended} ends in {ROUNDS} rounds show too little");
}
