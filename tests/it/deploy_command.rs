//! `costwake deploy` as a CI job runs it, against a running server; and `costwake events read`.

use crate::support::{self, TestApp};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use costwake::web::server::{self, Limits};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::process::Output;
use tokio::net::TcpListener;
use tokio::process::Command;

struct Server {
    app: TestApp,
    address: String,
    token: String,
}

impl Server {
    async fn new(pool: &PgPool) -> Self {
        let app = support::app(pool.clone()).await;
        let token = app.token(TokenScope::Ingest, Role::Viewer).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let stop = app.state.draining.clone().cancelled_owned();
        tokio::spawn(server::serve_with(app.state.clone(), listener, stop, Limits::default()));
        Self { app, address, token }
    }

    async fn deploy(&self, more: &[&str]) -> Output {
        let base = ["deploy", "--service", "checkout", "--server", &self.address, "--token", &self.token];
        run(&[&base, more].concat()).await
    }

    async fn shown(&self, id: &str) -> Value {
        let token = self.app.token(TokenScope::Read, Role::Viewer).await;
        self.app.api("GET", &format!("/api/v1/deployments/id:{id}"), &token, Value::Null).await.json()
    }
}

// Without the variables of the CI system that runs these tests.
async fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.args(arguments).env_clear().env("HTTP_PROXY", "http://127.0.0.1:9").env("http_proxy", "http://127.0.0.1:9");
    command.output().await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_job_records_a_deployment_and_says_what_became_of_it(pool: PgPool) {
    let server = Server::new(&pool).await;
    let start = ["--environment", "production", "--id", "run-1", "--status", "in_progress"];
    let started = server.deploy(&[&start[..], &["--started-at", "2026-03-01T10:00:00Z"]].concat()).await;
    // The proxy of the environment is not asked: it is not there.
    assert!(started.status.success() && said(&started).contains("Recorded as deployment"), "{}", said(&started));
    let end = ["--environment", "production", "--id", "run-1", "--version", "2.0"];
    let times = ["--started-at", "2026-03-01T09:58:00Z", "--finished-at", "2026-03-01T10:05:00Z"];
    let ended = server.deploy(&[&end[..], &times].concat()).await;
    assert!(ended.status.success(), "{}", said(&ended));
    let shown = server.shown("run-1").await;
    assert_eq!(
        (&shown["status"], &shown["version"], &shown["attempts"]),
        (&json!("succeeded"), &json!("2.0"), &json!(1))
    );
    assert_eq!(
        (&shown["started_at"], &shown["finished_at"]),
        (&json!("2026-03-01T09:58:00Z"), &json!("2026-03-01T10:05:00Z"))
    );

    // Another environment or service is another deployment, and nothing of it is dropped in silence.
    let other = server.deploy(&["--environment", "staging", "--id", "run-1", "--status", "failed"]).await;
    assert!(!other.status.success());
    assert!(said(&other).contains("is a deployment of environment production, not staging"), "{}", said(&other));
    let other = server.deploy(&["--environment", "production", "--service", "cart", "--id", "run-1"]).await;
    assert!(
        !other.status.success() && said(&other).contains("of service checkout, not checkout, cart"),
        "{}",
        said(&other)
    );
    assert_eq!(server.shown("run-1").await["status"], "succeeded");
    // Nothing tells a second call from another deployment, and that is said.
    let nameless = server.deploy(&["--environment", "production"]).await;
    assert!(nameless.status.success() && said(&nameless).contains("unless --id names it"), "{}", said(&nameless));
    assert!(!said(&ended).contains("--id"), "{}", said(&ended));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_refusal_fails_the_job_and_an_outage_does_not(pool: PgPool) {
    let server = Server::new(&pool).await;
    let refused = server.deploy(&["--environment", "production", "--status", "done"]).await;
    assert!(!refused.status.success());
    assert!(said(&refused).contains("status \"done\" is not known"), "{}", said(&refused));
    let away = ["deploy", "--service", "a", "--environment", "p", "--token", "t", "--server", "http://127.0.0.1:1"];
    let unreachable = run(&away).await;
    assert!(unreachable.status.success(), "{}", said(&unreachable));
    assert!(said(&unreachable).contains("WARNING: the deployment was not recorded"), "{}", said(&unreachable));
    let strict = run(&[&away[..], &["--strict"]].concat()).await;
    assert!(!strict.status.success() && said(&strict).contains("could not reach"), "{}", said(&strict));
    let elsewhere = ["deploy", "--service", "a", "--environment", "p", "--token", "t", "--server", "http://192.0.2.1"];
    let plain = run(&elsewhere).await;
    assert!(!plain.status.success() && said(&plain).contains("--allow-http"), "{}", said(&plain));
}

#[tokio::test]
async fn an_event_is_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body.json");
    let body = json!({"deployment": {"id": 7, "environment": "production", "created_at": "2026-03-01T10:00:00Z"},
                      "deployment_status": {"id": 9, "state": "success", "created_at": "2026-03-01T10:05:00Z"},
                      "repository": {"full_name": "acme/shop"}});
    std::fs::write(&path, body.to_string()).unwrap();
    let file = path.to_str().unwrap();
    let inferred = run(&["events", "read", "github", file, "--json"]).await;
    assert!(inferred.status.success(), "{}", said(&inferred));
    assert!(String::from_utf8_lossy(&inferred.stderr).contains("looks like \"deployment_status\""));
    let report: Value = serde_json::from_slice(&inferred.stdout).unwrap();
    assert!(report.to_string().contains("succeeded"), "{report}");
    let named = run(&["events", "read", "github", file, "--header", "X-GitHub-Event: deployment"]).await;
    assert!(named.status.success() && named.stderr.is_empty(), "{}", said(&named));
    assert!(String::from_utf8_lossy(&named.stdout).contains("pending"));
    std::fs::write(&path, "{}").unwrap();
    let unknown = run(&["events", "read", "github", file]).await;
    assert!(!unknown.status.success() && said(&unknown).contains("which event is it?"), "{}", said(&unknown));
}
