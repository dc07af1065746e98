//! S26: every address that comes from outside and becomes a link is one of the web, and opens a page that knows nothing of
//! this one.

use crate::senders::{Doors, courses};
use crate::support;
use axum::http::StatusCode;
use costwake::events::clean_url;
use costwake::store::Role;
use sqlx::PgPool;

/// What somebody outside can call an address.
const HOSTILE: [&str; 12] = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "\tjavascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "file:///etc/passwd",
    "//evil.example/x",
    "\\\\evil.example\\x",
    "/sign-out",
    "ftp://evil.example/x",
];
const GOOD: &str = "https://outside.example/page?a=1&b=2";

/// Where each address is kept, and the pages that show it.
const LINKS: [(&str, &str, &[&str]); 6] = [
    ("a deployment", "UPDATE deployment SET url = $1", &["/deployments/{id}"]),
    ("a change", "UPDATE change SET url = $1", &["/deployments/{id}"]),
    ("a release", "UPDATE release SET url = $1", &["/services/checkout", "/search?q=v-of-outside"]),
    ("a pipeline's run", "UPDATE pipeline_run SET url = $1", &["/deployments/{id}"]),
    (
        "an incident",
        "UPDATE operational_event SET url = $1",
        &["/deployments/{id}", "/services/checkout?period=2026-02-20..2026-03-20", "/events", "/events/{event}"],
    ),
    ("a runbook", "UPDATE service_detail SET runbook = $1", &["/services/checkout"]),
];

// The attributes of each link of a page.
fn links(body: &str) -> impl Iterator<Item = &str> {
    body.split("<a ").skip(1).filter_map(|rest| rest.split('>').next())
}

async fn outside(pool: &PgPool) -> i64 {
    // The second one: what it brought is listed from the first on.
    let id = "SELECT deployment_id FROM deployment ORDER BY finished_at LIMIT 1 OFFSET 1";
    let id: i64 = sqlx::query_scalar(id).fetch_one(pool).await.unwrap();
    for statement in [
        "UPDATE deployment SET repo = 'acme/shop', artifact = NULL,
             sha = repeat(CASE WHEN finished_at = (SELECT min(finished_at) FROM deployment) THEN 'b' ELSE 'a' END, 40)",
        "DELETE FROM deployment_commit",
        "INSERT INTO deployment_commit SELECT deployment_id, repo, sha FROM deployment",
        "INSERT INTO change (repo, external_id, sha, title, state, happened_at)
         SELECT 'acme/shop', 'acme/shop#1', repeat('a', 40), 'A change', 'merged', min(finished_at) + interval '5 minutes' FROM deployment",
        "INSERT INTO release (repo, tag, external_id, sha, state, state_rank, facts_received_at, published_at, title)
         SELECT 'acme/shop', 'v-of-outside', '1', repeat('a', 40), 'published', 1, now(), min(finished_at), 'v-of-outside' FROM deployment",
        "INSERT INTO pipeline_run (event_source_id, external_id, run_id, attempt, repo, name, status, sha, finished_at,
             event_delivery_id, received_at, status_rank, facts)
         SELECT event_source_id, '1', '1', 1, 'acme/shop', 'A pipeline', 'succeeded', repeat('a', 40), d.received_at,
             event_delivery_id, d.received_at, 2, '{}' FROM event_delivery d LIMIT 1",
        "INSERT INTO service_detail (service_id, repositories, changed_by, changed_at)
         SELECT service_id, '{acme/shop}', 'ann', now() FROM service WHERE slug = 'checkout'",
        // The database would not keep another one; pages do not count on it.
        "ALTER TABLE service_detail DROP CONSTRAINT service_detail_runbook_check",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
    id
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn s26_links_from_outside_are_of_the_web_and_know_nothing_of_this_page(pool: PgPool) {
    let doors = Doors::new(&pool).await;
    sqlx::query("INSERT INTO service (slug, name) VALUES ('checkout', 'checkout')").execute(&pool).await.unwrap();
    courses(&pool, &["argocd", "alertmanager", "pagerduty"]).await;
    let id = outside(&pool).await;
    let event = support::count(&pool, "SELECT min(operational_event_id) FROM operational_event").await;
    let browser = doors.app.browser(Role::Admin, true, &[]).await;
    for (what, statement, paths) in LINKS {
        for address in HOSTILE.into_iter().chain([GOOD]) {
            // An address that came in before this was checked, too.
            sqlx::query(statement).bind(address).execute(&pool).await.unwrap();
            let mut is_linked = false;
            for path in paths {
                let path = path.replace("{id}", &id.to_string()).replace("{event}", &event.to_string());
                let page = browser.get(&path).await;
                assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
                for link in links(&page.body) {
                    let href = link.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
                    let is_own = href.starts_with('/') && !href.starts_with("//")
                        || href.starts_with(['#', '?'])
                        || href.is_empty();
                    let is_web = href.starts_with("https://") || href.starts_with("http://");
                    assert!(is_own || is_web, "{what} is linked as {href} on {path}");
                    assert!(href != "/sign-out", "{what} is linked as {href} on {path}");
                    assert!(
                        is_own || (link.contains("noopener") && link.contains("noreferrer")),
                        "{what} on {path}: {link}"
                    );
                    is_linked |= href.starts_with("https://outside.example/page");
                }
            }
            assert_eq!(is_linked, address == GOOD, "{what}: {address}");
        }
        sqlx::query(statement).bind(None::<String>).execute(&pool).await.unwrap();
    }
    // What comes in by an event is stored only where it is such an address, and without a name and password.
    for address in HOSTILE {
        assert_eq!(clean_url(address), None, "{address}");
    }
    assert_eq!(clean_url("https://bot:hush@outside.example/x").as_deref(), Some("https://outside.example/x"));
    // A person's runbook is refused with what to write instead.
    for address in HOSTILE {
        let fields = [("name", "checkout"), ("slug", "checkout"), ("lifecycle", "production"), ("runbook", address)];
        let refused = browser.post_form("/catalogue/services/checkout", &fields).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{address}: {}", refused.body);
        assert!(refused.body.contains("https://wiki.example.com/checkout"), "{}", refused.body);
    }
}
