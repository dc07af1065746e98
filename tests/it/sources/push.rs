//! The push API: durable, repeatable, and one delivery of all its parts.

use super::{Home, assert_counts, by, delivery, folder_setting, october};
use crate::ledger::assert_clean;
use crate::support::{self, Page, TestApp};
use axum::body::Body;
use axum::http::{StatusCode, header};
use costwake::jobs::Worker;
use costwake::sources::kind::{Kind, Layout};
use costwake::sources::place::{Credentials, Place};
use costwake::sources::setting::Setting;
use costwake::store::jobs::{self, Lane};
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, source_settings};
use costwake::web::source_change;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

struct Sender {
    app: TestApp,
    token: String,
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Sender {
    async fn new(home: &Home, pool: &PgPool) -> Self {
        let setting = Setting {
            kind: Kind::Push,
            place: Place::default(),
            ..folder_setting("pipeline one", Layout::Files, &home.bills())
        };
        home.add(pool, &setting, &Credentials::default()).await;
        let app = support::app_with(pool.clone(), home.config.clone()).await;
        let token = app.token(TokenScope::Ingest, Role::Finance).await;
        Self { app, token }
    }

    async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> Page {
        let path = format!("/api/v1/sources/pipeline%20one/deliveries/{path}");
        let request = self.app.request(method.parse().unwrap(), &path);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        self.app.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn part(&self, name: &str, number: u32, text: &str) -> Page {
        let bytes = text.as_bytes();
        self.send("PUT", &format!("{name}/parts/{number}?sha256={}", sha256(bytes)), bytes.to_vec()).await
    }

    async fn commit(&self, name: &str, texts: &[&str]) -> Page {
        let part = |(number, text): (u32, &&str)| json!({ "number": number, "sha256": sha256(text.as_bytes()) });
        let parts: Vec<_> = (1..).zip(texts).map(part).collect();
        self.send("POST", &format!("{name}/commit"), json!({ "parts": parts }).to_string().into_bytes()).await
    }
}

fn spooled(home: &Home) -> usize {
    std::fs::read_dir(home.folder.path().join("spool")).map_or(0, |entries| entries.count())
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn parts_become_one_delivery_and_repeating_changes_nothing(pool: PgPool) {
    let home = Home::new();
    let sender = Sender::new(&home, &pool).await;
    let (one, two) = (october("1.5"), october("2"));
    assert_eq!(sender.part("2026-10.1", 1, &one).await.status, StatusCode::CREATED);
    assert_eq!(sender.part("2026-10.1", 1, &one).await.status, StatusCode::OK);
    let missing = sender.commit("2026-10.1", &[&one, &two]).await;
    assert_eq!(missing.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(missing.body.contains("Part 2 is not here: send it."), "{}", missing.body);

    // After a break the sender asks what is there, and sends the rest.
    let stored = sender.send("GET", "2026-10.1", Vec::new()).await.json();
    assert_eq!(stored["parts"].as_array().unwrap().len(), 1);
    assert_eq!(stored["parts"][0]["sha256"], sha256(one.as_bytes()));
    assert_eq!(sender.part("2026-10.1", 2, "another").await.status, StatusCode::CREATED);
    assert_eq!(sender.part("2026-10.1", 2, &two).await.status, StatusCode::CREATED, "it takes its place");
    assert_eq!(spooled(&home), 2);

    let committed = sender.commit("2026-10.1", &[&one, &two]).await;
    assert_eq!(committed.status, StatusCode::ACCEPTED, "{}", committed.body);
    assert_eq!(committed.json()["state"], "waiting");
    let again = sender.commit("2026-10.1", &[&one, &two]).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, committed.json()));
    assert_eq!(sender.part("2026-10.1", 2, &two).await.status, StatusCode::OK);
    assert_eq!(sender.part("2026-10.1", 2, &one).await.status, StatusCode::CONFLICT);
    assert_eq!(sender.commit("2026-10.1", &[&one]).await.status, StatusCode::CONFLICT);
    assert_eq!(sender.send("DELETE", "2026-10.1", Vec::new()).await.status, StatusCode::CONFLICT);

    assert!(home.worker(&pool).take_one().await.unwrap());
    assert!(!home.worker(&pool).take_one().await.unwrap(), "one job, however often it was committed");
    assert_counts(&pool, "pipeline one", 2, "3.5").await;
    let done = sender.send("GET", "2026-10.1", Vec::new()).await.json();
    assert_eq!(done["state"], "published");
    assert_eq!(spooled(&home), 0);
    assert_clean(&pool).await;
}

/// N19: what the sender announces is held against what came; a difference waits for a decision, and what counted stays.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn n19_a_bill_that_is_not_what_was_announced_waits(pool: PgPool) {
    let home = Home::new();
    let sender = Sender::new(&home, &pool).await;
    let deliver = async |name: &str, text: &str, expected: serde_json::Value| {
        sender.part(name, 1, text).await;
        let parts = json!([{ "number": 1, "sha256": sha256(text.as_bytes()) }]);
        let body = json!({ "parts": parts, "expected": expected }).to_string().into_bytes();
        let committed = sender.send("POST", &format!("{name}/commit"), body).await;
        assert_eq!(committed.status, StatusCode::ACCEPTED, "{}", committed.body);
        assert!(home.worker(&pool).take_one().await.unwrap());
        sender.send("GET", name, Vec::new()).await.json()
    };
    let announced = |rows: i64, cost: &str| json!({ "rows": rows, "billed_cost": { "USD": cost } });
    let first = deliver("first", &october("1.5"), announced(1, "1.50")).await;
    assert_eq!(first["state"], "published", "{first}");
    let second = deliver("second", &october("2"), announced(2, "2.01")).await;
    assert_eq!(second["state"], "quarantined", "{second}");
    let reason = second["reason"].as_str().unwrap();
    assert!(reason.contains("2 rows were announced, and the files hold 1."), "{reason}");
    assert!(reason.contains("A BilledCost of 2.01 USD was announced, and the files hold 2: 0.01 less."), "{reason}");
    // The same fault again is asked about once.
    let again = deliver("again", &october("3"), announced(2, "3")).await;
    assert_eq!(again["state"], "quarantined", "{again}");
    assert_eq!(delivery(&pool, second["delivery_id"].as_i64().unwrap()).await.0, "refused");
    assert_counts(&pool, "pipeline one", 1, "1.5").await;
    // What counts, announced otherwise: it counts on, and the sender does not take it for what was announced.
    let same = deliver("same", &october("1.5"), announced(7, "1.50")).await;
    assert_eq!(same["state"], "refused", "{same}");
    assert_counts(&pool, "pipeline one", 1, "1.5").await;
    let reason = same["reason"].as_str().unwrap();
    assert!(
        reason.ends_with("are counted already: delivery 1. 7 rows were announced, and the files hold 1."),
        "{reason}"
    );
    let right = deliver("right", &october("1.5"), announced(1, "1.5")).await;
    assert_eq!(right["state"], "unchanged", "{right}");
    sender.part("third", 1, "x").await;
    let parts = json!([{ "number": 1, "sha256": sha256(b"x") }]);
    let wrong = json!({ "parts": parts, "expected": { "billed_cost": { "USD": "1,5" } } }).to_string().into_bytes();
    let refused = sender.send("POST", "third/commit", wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_not_what_was_meant_is_not_kept(pool: PgPool) {
    let home = Home::new();
    let sender = Sender::new(&home, &pool).await;
    let hash = sha256(b"whole");
    for (path, body, status, told) in [
        (format!("d/parts/1?sha256={hash}"), "half", 422, "nothing of it was kept"),
        ("d/parts/1".to_owned(), "x", 422, "Say the SHA-256"),
        ("d/parts/1?sha256=abc".to_owned(), "x", 422, "Say the SHA-256"),
        (format!("d/parts/0?sha256={hash}"), "whole", 422, "numbers from 1"),
        (format!("d/parts/1001?sha256={hash}"), "whole", 422, "numbers from 1"),
        (format!("{}/parts/1?sha256={hash}", "x".repeat(201)), "whole", 422, "name of a delivery"),
    ] {
        let page = sender.send("PUT", &path, body.into()).await;
        assert_eq!(page.status.as_u16(), status, "{path}: {}", page.body);
        assert!(page.body.contains(told), "{path}: {}", page.body);
    }
    assert_eq!(spooled(&home), 0);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM push_delivery").await, 0);
    assert_eq!(sender.commit("unknown", &["x"]).await.status, StatusCode::NOT_FOUND);

    assert_eq!(sender.part("d", 1, "whole").await.status, StatusCode::CREATED);
    assert_eq!(sender.send("DELETE", "d", Vec::new()).await.status, StatusCode::OK);
    assert_eq!(sender.send("GET", "d", Vec::new()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(spooled(&home), 0);

    // Only to a source of this kind, and not while it is paused.
    let source = source_settings::find(&pool, "pipeline one").await.unwrap().unwrap();
    source_change::pause(&mut pool.acquire().await.unwrap(), &source, true, &by()).await.unwrap();
    assert_eq!(sender.part("d", 1, "whole").await.status, StatusCode::CONFLICT);
}

/// Answered is durable: the rows and the files are there although nothing of this process goes on.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_was_answered_outlives_the_process_and_the_sweep(pool: PgPool) {
    let home = Home::new();
    let sender = Sender::new(&home, &pool).await;
    let text = october("1.5");
    sender.part("d", 1, &text).await;
    let path: String = sqlx::query_scalar("SELECT path FROM push_part").fetch_one(&pool).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let sweep = async || {
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 86_400);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        jobs::enqueue(&mut pool.acquire().await.unwrap(), "sweep", "", &json!({})).await.unwrap();
        assert!(Worker { lane: Lane::Others, ..home.worker(&pool) }.take_one().await.unwrap());
    };
    sweep().await;
    assert!(std::path::Path::new(&path).exists(), "a part of an open delivery is wanted");
    sender.commit("d", &[&text]).await;
    sweep().await;
    assert!(std::path::Path::new(&path).exists(), "and of one that waits to be read");
    assert!(home.worker(&pool).take_one().await.unwrap());
    assert_counts(&pool, "pipeline one", 1, "1.5").await;

    sender.part("never", 1, &text).await;
    sqlx::query("UPDATE push_delivery SET changed_at = now() - interval '8 days' WHERE name = 'never'")
        .execute(&pool)
        .await
        .unwrap();
    jobs::enqueue(&mut pool.acquire().await.unwrap(), "sweep", "", &json!({})).await.unwrap();
    assert!(Worker { lane: Lane::Others, ..home.worker(&pool) }.take_one().await.unwrap());
    assert_eq!(sender.send("GET", "never", Vec::new()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(spooled(&home), 0);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_pushed_bill_that_another_source_counts_waits(pool: PgPool) {
    let home = Home::new();
    home.put("a.csv", october("1.5"));
    let folder = home.add_folder(&pool, "folder", Layout::Files).await;
    home.read(&pool, folder).await;
    let sender = Sender::new(&home, &pool).await;
    let text = october("7");
    sender.part("d", 1, &text).await;
    let delivery_id = sender.commit("d", &[&text]).await.json()["delivery_id"].as_i64().unwrap();
    assert!(home.worker(&pool).take_one().await.unwrap());
    let (state, reason) = delivery(&pool, delivery_id).await;
    assert_eq!(state, "quarantined");
    assert!(reason.contains("Source “folder” counts this bill already"), "{reason}");
    assert_clean(&pool).await;
}
