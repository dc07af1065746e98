//! More webhooks than fit (F37), slow ones among them, and all of three days at once after an outage (F36).

use crate::support::{Page, TestApp, count};
use crate::webhooks::{Github, deployment, empty, endless, minute, rows, status};
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use costwake::rollup::events::read_new;
use costwake::web::webhook_bodies::ADDRESS_KIB;
use costwake::web::webhooks::TURNS_MAX;
use futures_util::StreamExt;
use futures_util::future::join_all;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;
use sqlx::PgPool;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Requests at once, twice as many as find a turn.
const AT_ONCE: i64 = 400;
const DAY: i64 = 24 * 60;

/// Each answer says that a webhook is stored or that it is to come again, and what is said is so: what was accepted is
/// there once, and what was refused is not there, so that sending it again stores it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_accepted_is_there_once_and_the_rest_is_told_to_come_again(pool: PgPool) {
    let github = Github::new(&pool).await;
    let send = |number: i64| {
        let github = &github;
        async move {
            let body = status(number, "1", 0, "success", 5);
            (number, github.signed("deployment_status", &format!("flood-{number}"), &body).await)
        }
    };
    let (mut accepted, mut refused) = (0, Vec::new());
    for (number, answer) in join_all((0..AT_ONCE).map(&send)).await {
        match answer.status {
            StatusCode::ACCEPTED => accepted += 1,
            StatusCode::TOO_MANY_REQUESTS => {
                assert!(answer.headers.contains_key("retry-after"));
                refused.push(number);
            }
            other => panic!("{other}: {}", answer.body),
        }
    }
    assert!(accepted > 0 && accepted + refused.len() as i64 == AT_ONCE);
    let stored = "SELECT count(*) FROM event_delivery WHERE repeat_count = 0";
    assert_eq!(count(&pool, stored).await, accepted);
    // GitHub does not, but whoever reads Retry-After comes again, and so does the read through the API.
    for number in refused {
        assert_eq!(send(number).await.1.status, StatusCode::ACCEPTED);
    }
    assert_eq!(count(&pool, stored).await, AT_ONCE);
    read_new(&pool).await.unwrap();
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment WHERE status = 'succeeded'").await, AT_ONCE);
}

// Sends a body that its sender does not prove, from another task.
fn unproven(app: &TestApp, body: Body) -> JoinHandle<Page> {
    let request = Request::builder().method(Method::POST).uri("/webhooks/github/shop");
    let request = request.header("X-Hub-Signature-256", "sha256=00").body(body).unwrap();
    let app = app.clone();
    tokio::spawn(async move { app.send(request).await })
}

async fn until_taken(app: &TestApp, kib: usize) {
    for _ in 0..500 {
        if app.state.webhook_bodies.taken_kib() >= kib {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not all of the bodies are being read");
}

/// Whoever knows the name of a source can begin to send, twice as many as find a turn: others do not notice.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn those_who_send_slowly_keep_nobody_waiting(pool: PgPool) {
    let github = Github::new(&pool).await;
    assert_eq!(github.signed("deployment", "first", &deployment(1, "1", 0)).await.status, StatusCode::ACCEPTED);
    let slow: Vec<_> = (0..2 * TURNS_MAX).map(|_| unproven(&github.app, endless().0)).collect();
    until_taken(&github.app, slow.len()).await;
    for number in 0..20_i64 {
        let sent = github.signed("deployment", &number.to_string(), &deployment(2 + number, "1", 0)).await;
        assert_eq!(sent.status, StatusCode::ACCEPTED, "{}", sent.body);
    }
    for slow in slow {
        assert_eq!(slow.await.unwrap().status, StatusCode::REQUEST_TIMEOUT);
    }
    assert_eq!(github.app.state.webhook_bodies.taken_kib(), 0);
}

/// Bodies that came nearly whole and do not end take the part of their address, and no more.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_address_takes_only_its_part_of_the_room(pool: PgPool) {
    let github = Github::new(&pool).await;
    assert_eq!(github.signed("deployment", "first", &deployment(1, "1", 0)).await.status, StatusCode::ACCEPTED);
    let mut other = github.app.clone();
    other.peer = ([198, 51, 100, 7], 50_000).into();
    let large = || {
        let came = Bytes::from(vec![b' '; ADDRESS_KIB / 4 * 1024]);
        let stream = futures_util::stream::once(async move { Ok::<_, std::io::Error>(came) });
        Body::from_stream(stream.chain(futures_util::stream::pending()))
    };
    let slow: Vec<_> = (0..4).map(|_| unproven(&other, large())).collect();
    until_taken(&github.app, ADDRESS_KIB).await;
    let refused = unproven(&other, endless().0).await.unwrap();
    assert_eq!((refused.status, refused.headers.contains_key("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, true));
    assert_eq!(github.signed("deployment", "second", &deployment(2, "1", 0)).await.status, StatusCode::ACCEPTED);
    for slow in slow {
        assert_eq!(slow.await.unwrap().status, StatusCode::REQUEST_TIMEOUT);
    }
}

static NOW: AtomicI64 = AtomicI64::new(0);

fn clock() -> DateTime<Utc> {
    minute(0).parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(NOW.load(Ordering::Relaxed))
}

// Ten deployments a day for three days, one of them failed and tried again, one going back.
fn three_days() -> Vec<(i64, Value)> {
    let mut told = Vec::new();
    for number in 0..30 {
        let (id, begin) = (number + 1, number * DAY / 10);
        let version = if number == 17 { "15".to_owned() } else { number.to_string() };
        let mut tell = |state: &str, after: i64| {
            told.push((begin + after, status(id, &version, begin, state, begin + after)));
        };
        tell("in_progress", 1);
        if number % 7 == 3 {
            tell("failure", 4);
            tell("in_progress", 20);
        }
        tell("success", 30);
        if number % 3 == 0 {
            tell("inactive", DAY / 10 + 40);
        }
    }
    told.sort_by_key(|(at, _)| *at);
    told
}

/// What was kept from coming for three days, and comes then in any order and more than once, ends in the timeline that it
/// would have made day by day.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn three_days_at_once_end_in_the_same_timeline(pool: PgPool) {
    let mut github = Github::new(&pool).await;
    github.app.state = github.app.state.with(|parts| parts.clock = clock);
    github.app.router = costwake::web::router(github.app.state.clone());
    for (number, (at, body)) in three_days().iter().enumerate() {
        NOW.store(at + 1, Ordering::Relaxed);
        assert_eq!(github.signed("deployment_status", &number.to_string(), body).await.status, StatusCode::ACCEPTED);
        read_new(&pool).await.unwrap();
    }
    let expected = rows(&pool).await;
    assert_eq!(expected.len(), 30);
    let mut runner = TestRunner::deterministic();
    for round in 0..4 {
        empty(&pool).await;
        NOW.store(6 * DAY + round, Ordering::Relaxed);
        let told: Vec<Value> = three_days().into_iter().map(|(_, body)| body).collect();
        let repeated: Vec<Value> = told.iter().chain(told.iter().step_by(3)).cloned().collect();
        let mixed = proptest::strategy::Just(repeated).prop_shuffle().new_tree(&mut runner).unwrap().current();
        for (number, body) in mixed.iter().enumerate() {
            github.signed("deployment_status", &format!("{round}-{number}"), body).await;
        }
        read_new(&pool).await.unwrap();
        assert_eq!(rows(&pool).await, expected, "round {round}");
    }
}
