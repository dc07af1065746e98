//! What senders of events make up (titles, branches, people, addresses) stays text on every page (S25), and credentials
//! that they send along are not stored, however they are wrapped up.

use crate::senders::Doors;
use crate::support::count;
use crate::webhooks::{Github, minute};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use costwake::events::Sender;
use costwake::rollup::events::read_new;
use costwake::store::Role;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

const SCRIPT: &str = "<script>alert(1)</script>";
const IMAGE: &str = "\"'><img src=x onerror=alert(1)>";

fn events() -> Vec<(&'static str, Value)> {
    let repository =
        json!({"full_name": "acme/<img src=x>", "html_url": "javascript:alert(1)", "default_branch": "main"});
    let sha = "a".repeat(40);
    let commit = json!({"id": sha, "message": format!("{SCRIPT} commit\n\nbody {IMAGE}"), "distinct": true,
        "timestamp": "2026-03-01T10:00:00Z", "author": {"name": IMAGE, "username": IMAGE}, "url": "javascript:alert(1)"});
    let pull = json!({"number": 7, "merged": true, "merge_commit_sha": sha, "title": format!("{SCRIPT} pull"),
        "merged_at": "2026-03-01T10:01:00Z", "html_url": "javascript:alert(1)", "user": {"login": IMAGE},
        "head": {"ref": IMAGE}});
    let deployment = |id: i64, sha: &str, at: &str, title: &str| {
        json!({"action": "created", "repository": repository, "sender": {"login": IMAGE},
            "deployment": {"id": id, "environment": format!("prod {SCRIPT}"), "sha": sha, "ref": IMAGE, "created_at": at,
                "description": title, "creator": {"login": IMAGE},
                "payload": {"service": "checkout", "version": format!("v{id} {SCRIPT}")}},
            "deployment_status": {"id": id * 10, "state": "success", "created_at": at, "target_url": "javascript:alert(1)",
                "environment_url": "javascript:alert(1)", "description": title}})
    };
    vec![
        ("deployment_status", deployment(1, &"b".repeat(40), "2026-03-01T09:00:00Z", IMAGE)),
        (
            "push",
            json!({"ref": "refs/heads/main", "after": sha, "repository": repository, "head_commit": commit,
            "commits": [commit], "pusher": {"name": IMAGE}}),
        ),
        ("pull_request", json!({"action": "closed", "repository": repository, "pull_request": pull})),
        (
            "deployment_status",
            deployment(2, &sha, "2026-03-01T11:00:00Z", "=HYPERLINK(\"https://evil.example\",\"x\")"),
        ),
        ("<script>alert(2)</script>", json!({"action": SCRIPT})),
        ("deployment", json!({"deployment": {"id": SCRIPT}})),
    ]
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_senders_make_up_stays_text(pool: PgPool) {
    let github = Github::new(&pool).await;
    for (number, (event, body)) in events().iter().enumerate() {
        github.signed(event, &format!("{number}{IMAGE}"), body).await;
    }
    let reading = read_new(&pool).await.unwrap();
    assert!(reading.done >= 4, "{reading:?}");
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT deployment_id FROM deployment ORDER BY 1").fetch_all(&pool).await.unwrap();
    assert_eq!(ids.len(), 3);
    let browser = github.app.browser(Role::Admin, true, &[]).await;
    let mut paths: Vec<String> = ids.iter().map(|id| format!("/deployments/{id}")).collect();
    for path in [
        "/",
        "/deployments",
        "/events",
        "/unmapped?show=deployments",
        "/settings/event-sources",
        "/settings/event-sources?state=error",
        "/search?q=%3Cscript%3E",
        "/search?q=checkout",
        "/services/checkout",
        "/environments",
        "/catalogue",
        "/settings/audit",
    ] {
        paths.push(path.to_owned());
    }
    let mut shown = String::new();
    for path in &paths {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        for raw in ["<script>alert", "<img src=x", "href=\"javascript:"] {
            assert!(!page.body.contains(raw), "{path} shows {raw}: {}", page.body);
        }
        shown.push_str(&page.body);
    }
    assert!(shown.contains("&#60;script&#62;alert(1)"), "it is shown, as text");
    let csv = browser.get("/deployments.csv").await;
    assert!(csv.body.contains("\"'=HYPERLINK"), "{}", csv.body);
}

/// What is stored is not what came then; its hash is, so that the same again is known, and it is read all the same.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn credentials_in_base64_are_not_stored(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let deployed = json!({
        "context": {"id": "1", "source": "/ci", "type": "dev.cdevents.service.deployed.0.3.0",
            "timestamp": "2026-03-01T10:00:00Z"},
        "subject": {"id": "checkout", "content": {"environment": {"id": "production"}}},
        "customData": {"clone": "https://bot:hush@example.com/acme/shop.git"},
    });
    let body = json!({"specversion": "1.0", "id": "1", "source": "/ci", "type": "dev.cdevents.service.deployed.0.3.0",
        "data_base64": BASE64.encode(deployed.to_string())});
    let (sender, body) = (Sender::of("cdevents").unwrap(), body.to_string());
    assert_eq!(doors.send(sender, &[], body.as_bytes()).await.status, StatusCode::ACCEPTED);
    assert_eq!(doors.send(sender, &[], body.as_bytes()).await.status, StatusCode::OK, "the same again");
    let (stored, body_sha256): (Vec<u8>, String) =
        sqlx::query_as("SELECT body, body_sha256 FROM event_delivery").fetch_one(&pool).await.unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    let data = BASE64.decode(stored["data_base64"].as_str().unwrap()).unwrap();
    let data = String::from_utf8(data).unwrap();
    assert!(data.contains("https://example.com/acme/shop.git") && !data.contains("hush"), "{data}");
    assert_eq!(body_sha256, hex::encode(Sha256::digest(body.as_bytes())));
    assert_eq!(read_new(&pool).await.unwrap().done, 1);
}

/// What identifies a CDEvent may hold characters that no column takes: it is stored all the same, once.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_nul_in_source_or_id_keeps_no_event_out(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    let sender = Sender::of("cdevents").unwrap();
    let subject = json!({"id": "checkout", "content": {"environment": {"id": "production"},
        "artifactId": "pkg:oci/checkout@sha256%3Aaa?tag=1"}});
    let (accepted, known) = (StatusCode::ACCEPTED, StatusCode::OK);
    for (source, id, status) in [("/ci\0", "1", accepted), ("/ci", "2\0\u{1}", accepted), ("/ci", "2\0\u{1}", known)] {
        let event = json!({"context": {"id": id, "source": source, "type": "dev.cdevents.service.deployed.0.3.0",
            "timestamp": minute(0)}, "subject": subject});
        let sent = doors.send(sender, &[], event.to_string().as_bytes()).await;
        assert_eq!(sent.status, status, "{}", sent.body);
    }
    let keys: Vec<String> =
        sqlx::query_scalar("SELECT dedupe_key FROM event_delivery ORDER BY 1").fetch_all(&pool).await.unwrap();
    assert_eq!(keys, ["/ci/1", "/ci/2"]);
    assert_eq!(read_new(&pool).await.unwrap().failed, 0);
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment").await, 1);
}
