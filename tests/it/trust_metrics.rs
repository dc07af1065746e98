//! Metrics are served at an address of their own, which is not that of the pages.

use super::support;
use super::trust_server::{ask, page_of, send, serve_process};
use costwake::store::Role;
use sqlx::PgPool;

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn metrics_are_told_at_their_own_address_and_at_no_other(pool: PgPool) {
    let browser = support::app(pool.clone()).await.browser(Role::Admin, true, &[]).await;
    let data_dir = tempfile::tempdir().unwrap();
    // Taken and given back at once: free for the moment that the server needs.
    let metrics = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_serving, address) = serve_process(&pool, data_dir.path(), &metrics.to_string()).await;
    assert!(ask(address, "/sign-in").await.contains("200 OK"));

    let told = ask(metrics, "/metrics").await;
    let (head, text) = told.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    for line in [
        "# HELP costwake_http_requests_total Requests answered, by route and status.",
        "# TYPE costwake_http_requests_total counter",
        "# HELP costwake_database_connections Open database connections, by pool.",
        "# TYPE costwake_database_connections gauge",
        "costwake_events{state=\"unread\"} 0",
    ] {
        assert!(text.lines().any(|told| told == line), "no line {line:?} in {text}");
    }
    let counted = text.lines().find(|line| line.starts_with("costwake_http_requests_total{")).unwrap();
    assert!(counted.contains("route=\"/sign-in\"") && counted.ends_with(" 1"), "{counted}");
    assert!(ask(metrics, "/services").await.starts_with("HTTP/1.1 404"), "nothing else is there");

    let stranger = ask(address, "/metrics").await;
    assert!(stranger.starts_with("HTTP/1.1 303") && stranger.contains("location: /sign-in"), "{stranger}");
    // A page of the same name shows what services are measured by.
    let page = send(address, &page_of(&browser, "/metrics")).await;
    assert!(page.contains("200 OK"), "{page}");
    for said in [stranger, page, ask(address, "/metrics/").await, ask(address, "/api/v1/metrics").await] {
        assert!(!said.contains("# TYPE") && !said.contains("costwake_http_requests_total"), "{said}");
    }
}
