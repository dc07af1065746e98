//! `costwake serve` is killed while it takes in bills. Nothing is counted twice or in part, nothing stays behind once it
//! runs again, and what was answered is there.

use super::push_sockets::{Server, source_with_token};
use super::{Home, assert_counts};
use crate::ledger::{Line, assert_clean, bill};
use crate::support;
use costwake::store::Role;
use costwake::web::session;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const WAIT_MAX: Duration = Duration::from_secs(120);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < WAIT_MAX, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn text(lines: u32) -> String {
    bill(&(0..lines).map(|n| Line::of("2026-10", 1 + n % 28, "shop", "0.25")).collect::<Vec<_>>())
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

// The bytes of all files that lie there.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
}

fn count_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count())
}

fn put(server: &Server, token: &str, text: &str) -> u16 {
    server.ask("PUT", &format!("october/parts/1?sha256={}", sha256(text)), token, text).0
}

fn commit(server: &Server, token: &str, text: &str) -> u16 {
    let parts = json!({"parts": [{"number": 1, "sha256": sha256(text)}]});
    server.ask("POST", "october/commit", token, &parts.to_string()).0
}

fn until_published(server: &Server, token: &str) {
    until("the delivery was not published", || server.ask("GET", "october", token, "").1["state"] == "published");
}

/// F01: the server dies while it has half of a pushed part, and of a form of two files one and a half. Nothing of it
/// counts; nothing of it stays once the server runs again; the same delivery then goes in.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn f01_half_an_upload_leaves_nothing_and_goes_in_again(pool: PgPool) {
    let home = Home::new();
    let token = source_with_token(&home, &pool).await;
    let app = support::app_with(pool.clone(), home.config.clone()).await.browser(Role::Finance, false, &[]).await;
    let cookie = format!("{}={}", session::cookie_name(&home.config), app.session.unwrap());
    let (spool, other) = (home.folder.path().join("spool"), pool.clone());
    let runs = tokio::task::spawn_blocking(move || {
        let text = text(2_000);
        let half = &text[..text.len() / 2];
        let server = Server::start(&home, &other);
        let length = format!("Content-Length: {}\r\n", text.len());
        let mut push = server.open("PUT", &format!("october/parts/1?sha256={}", sha256(&text)), &token, &length);
        push.write_all(half.as_bytes()).unwrap();
        let file = |name: &str, text: &str| {
            format!("--line\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{text}\r\n")
        };
        let form = format!("{}{}", file("one.csv", &text), file("two.csv", half));
        let headers = format!(
            "Cookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\nContent-Length: {}\r\n\
             Content-Type: multipart/form-data; boundary=line\r\n",
            form.len() + half.len()
        );
        let mut upload = server.send("POST", "/upload", &headers);
        upload.write_all(form.as_bytes()).unwrap();
        // The last bytes may still stand in a buffer of the form's reader.
        let expected = (text.len() + 2 * half.len()) as u64;
        until("the halves were not received", || count_in(&spool) == 3 && bytes_in(&spool) + 65_536 > expected);
        drop(server);
        assert_eq!(count_in(&spool), 3, "a killed process takes nothing away");

        let server = Server::start(&home, &other);
        until("what the dead server had received stayed", || count_in(&spool) == 0);
        assert_eq!(server.ask("GET", "october", &token, "").0, 404, "nothing of it is there");
        assert_eq!(put(&server, &token, &text), 201);
        assert_eq!(commit(&server, &token, &text), 202);
        until_published(&server, &token);
        (home, server)
    });
    let _running = runs.await.unwrap();
    assert_eq!(support::count(&pool, "SELECT count(*) FROM delivery").await, 1, "of the form nothing was taken");
    assert_counts(&pool, "pipeline", 2_000, "500").await;
    assert_clean(&pool).await;
}

/// F02: the server dies between its answer and the reading of what it answered for. That is there, is read by the next
/// server, and counts once, however often it is sent again.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn f02_what_was_answered_counts_once_after_a_kill(pool: PgPool) {
    let home = Home::new();
    let token = source_with_token(&home, &pool).await;
    let other = pool.clone();
    let runs = tokio::task::spawn_blocking(move || {
        let text = text(2_000);
        let mut without_jobs = Command::new("bash");
        without_jobs.args(["-c", "exec \"$0\" \"$@\" --no-jobs", env!("CARGO_BIN_EXE_costwake")]);
        let server = Server::of(without_jobs, &home, &other);
        assert_eq!((put(&server, &token, &text), commit(&server, &token, &text)), (201, 202));
        drop(server);
        let server = Server::start(&home, &other);
        assert_eq!((put(&server, &token, &text), commit(&server, &token, &text)), (200, 200), "it is there already");
        until_published(&server, &token);
        assert_eq!(commit(&server, &token, &text), 200);
        let spool = home.folder.path().join("spool");
        until("what was read is not kept", || count_in(&spool) == 0);
        (home, server)
    });
    let _running = runs.await.unwrap();
    assert_eq!(support::count(&pool, "SELECT count(*) FROM delivery").await, 1);
    assert_counts(&pool, "pipeline", 2_000, "500").await;
    assert_clean(&pool).await;
}
