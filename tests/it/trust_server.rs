//! The accept loop: slow clients and stopping (F26, F39, S01).

use super::ledger::{import_as_of, october};
use super::support;
use axum::body::Body;
use axum::http::StatusCode;
use costwake::store::Role;
use costwake::web::server::{self, Limits};
use costwake::web::session;
use sqlx::{ConnectOptions, PgPool};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

fn quick() -> Limits {
    Limits {
        header: Duration::from_millis(400),
        pause: Duration::from_millis(400),
        body_bytes_per_second_min: 100_000,
        drain: Duration::from_secs(2),
        ..Limits::default()
    }
}

struct Running {
    app: support::TestApp,
    address: SocketAddr,
    serving: JoinHandle<anyhow::Result<()>>,
}

async fn running(pool: PgPool, limits: Limits) -> Running {
    let app = support::app(pool).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let state = app.state.clone();
    let stop = state.draining.clone().cancelled_owned();
    Running { app, address, serving: tokio::spawn(server::serve_with(state, listener, stop, limits)) }
}

// How long until the server closes the connection, and what it had said.
async fn until_closed(mut stream: TcpStream) -> (Duration, String) {
    let began = Instant::now();
    let mut said = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await;
    (began.elapsed(), String::from_utf8_lossy(&said).into_owned())
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_client_that_sends_nothing_or_a_header_byte_by_byte_is_closed(pool: PgPool) {
    let running = running(pool, quick()).await;
    for beginning in ["", "P", "PRI * HTTP", "GET /healthz HTTP/1.1\r\nHost: loc"] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let (took, said) = until_closed(stream).await;
        assert!(took < Duration::from_secs(2), "{beginning:?} was open for {took:?}: {said}");
    }
    let (mut reader, mut writer) = TcpStream::connect(running.address).await.unwrap().into_split();
    let began = Instant::now();
    let dribble = tokio::spawn(async move {
        for byte in "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: yes\r\n\r\n".bytes() {
            if writer.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut said = String::new();
    let _ = reader.read_to_string(&mut said).await;
    assert!(began.elapsed() < Duration::from_secs(2), "dribbled for {:?}", began.elapsed());
    assert!(!said.contains("200 OK"), "{said}");
    dribble.abort();
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_body_that_dribbles_is_given_up(pool: PgPool) {
    let running = running(pool, quick()).await;
    let head = "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 10000\r\n\r\n";
    let (mut reader, mut writer) = TcpStream::connect(running.address).await.unwrap().into_split();
    writer.write_all(head.as_bytes()).await.unwrap();
    let began = Instant::now();
    let dribble = tokio::spawn(async move {
        while writer.write_all(b"login=a&").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut said = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), reader.read_to_end(&mut said)).await;
    assert!(began.elapsed() < Duration::from_secs(3), "dribbled for {:?}", began.elapsed());
    assert!(String::from_utf8_lossy(&said).starts_with("HTTP/1.1 4"), "{}", String::from_utf8_lossy(&said));
    dribble.abort();
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_request_has_at_most_a_hundred_headers(pool: PgPool) {
    let running = running(pool, quick()).await;
    for (count, status) in [(98, "HTTP/1.1 200"), (99, "HTTP/1.1 431")] {
        let more: String = (0..count).map(|number| format!("X-{number}: x\r\n")).collect();
        let request = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
        let said = send(running.address, &request).await;
        assert!(said.starts_with(status), "{count}: {said}");
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_form_that_anyone_may_send_is_small(pool: PgPool) {
    let app = support::app(pool).await;
    let long = "a".repeat(20 << 10);
    let refused = app.post_form("/sign-in", &[("login", &long), ("password", "of nobody")]).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", refused.body);
    let tried = app.post_form("/sign-in", &[("login", "nobody"), ("password", "of nobody")]).await;
    assert_eq!(tried.status, StatusCode::UNAUTHORIZED, "{}", tried.body);
}

/// The request of a signed-in browser. Of HTTP/1.0, so that the body is what comes until the connection is closed.
pub fn page_of(browser: &support::TestApp, path: &str) -> String {
    let name = session::cookie_name(&browser.state.config);
    let session = browser.session.as_deref().unwrap_or_default();
    format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nCookie: {name}={session}\r\n\r\n")
}

/// What the server answers somebody who is not signed in.
pub async fn ask(address: SocketAddr, path: &str) -> String {
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
}

/// What the server answers, until it closes the connection.
pub async fn send(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said).await;
    said
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn stopping_finishes_what_runs_and_closes_what_idles(pool: PgPool) {
    let running = running(pool, Limits { drain: Duration::from_secs(5), ..Limits::default() }).await;
    // One that idles after an answer, one that never asked, one in the middle of a header.
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 4096];
    assert!(idle.read(&mut answer).await.unwrap() > 0);
    let _silent = TcpStream::connect(running.address).await.unwrap();
    let mut half = TcpStream::connect(running.address).await.unwrap();
    half.write_all(b"GET /healthz HT").await.unwrap();
    // One whose body is under way when the service is told to stop.
    let mut busy = TcpStream::connect(running.address).await.unwrap();
    let body = "login=nobody&password=not-the-password";
    let head = format!(
        "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;

    let began = Instant::now();
    running.app.state.draining.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(ask(running.address, "/readyz").await.contains("503"), "not ready at once");
    busy.write_all(body.as_bytes()).await.unwrap();
    let (_, said) = until_closed(busy).await;
    assert!(said.starts_with("HTTP/1.1 401"), "{said}");
    running.serving.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "drained for {:?}", began.elapsed());
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens any more");
}

/// F39: fifty requests are under way when the service is told to stop, and each gets its whole answer.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn stopping_answers_fifty_busy_requests(pool: PgPool) {
    let running = running(pool, Limits { drain: Duration::from_secs(10), ..Limits::default() }).await;
    let body = "theme=dark&return_to=%2F";
    let head = format!(
        "POST /preferences HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut busy = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body.as_bytes()[..5]).await.unwrap();
        busy.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = Instant::now();
    running.app.state.draining.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for mut stream in busy {
        stream.write_all(&body.as_bytes()[5..]).await.unwrap();
        let (_, said) = until_closed(stream).await;
        assert!(said.starts_with("HTTP/1.1 303") && said.contains("set-cookie"), "{said}");
    }
    running.serving.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "drained for {:?}", began.elapsed());
}

/// The process itself, on the test's database; a test that failed half-way does not leave it behind.
pub async fn serve_process(pool: &PgPool, data_dir: &Path, metrics: &str) -> (tokio::process::Child, SocketAddr) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string());
    command.env("COSTWAKE_DATA_DIR", data_dir).env_remove("COSTWAKE_PUBLIC_URL");
    command.args(["serve", "--no-jobs", "--listen", "127.0.0.1:0", "--metrics-listen", metrics]);
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address: SocketAddr = loop {
        let line = lines.next_line().await.unwrap().expect("the server says where it is");
        if let Some((_, address)) = line.split_once("serves on http://") {
            break address.trim().trim_end_matches('/').parse().unwrap();
        }
    };
    // The rest is read away, so that the server never waits for us.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, address)
}

/// F39: the process is told to stop while a slow reader takes a file: the file ends whole, and the exit code is 0.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_slow_download_ends_whole_before_the_process_does(pool: PgPool) {
    const LINES: u32 = 40_000;
    import_as_of(&pool, "acme", &october("1.00", LINES), 1).await;
    let browser = support::app(pool.clone()).await.browser(Role::Finance, false, &[]).await;
    let data_dir = tempfile::tempdir().unwrap();
    let (mut serving, address) = serve_process(&pool, data_dir.path(), "off").await;
    // Small, so that the file waits in the server and not in the system's buffers.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(page_of(&browser, "/charges.csv?billing=2026-10").as_bytes()).await.unwrap();
    let mut said = vec![0; 8 << 10];
    let first = stream.read(&mut said).await.unwrap();
    said.truncate(first);

    let pid = serving.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let began = Instant::now();
    // Two seconds of taking little, then the rest.
    while began.elapsed() < Duration::from_secs(2) {
        let mut part = vec![0; 16 << 10];
        let count = stream.read(&mut part).await.unwrap();
        assert!(count > 0, "the file ended before it was slow: {} bytes", said.len());
        said.extend_from_slice(&part[..count]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(serving.try_wait().unwrap().is_none(), "the process waits for its reader");
    tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut said)).await.unwrap().unwrap();
    let said = String::from_utf8(said).unwrap();
    let (head, file) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("200 OK"), "{head}");
    let rows = csv::Reader::from_reader(file.as_bytes()).records().filter(Result::is_ok).count();
    assert_eq!(rows, LINES as usize);
    let ended = tokio::time::timeout(Duration::from_secs(35), serving.wait()).await.expect("it ends within its limit");
    assert_eq!(ended.unwrap().code(), Some(0));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn stopping_cuts_what_does_not_end(pool: PgPool) {
    let limits = Limits { drain: Duration::from_millis(700), ..Limits::default() };
    let running = running(pool, limits).await;
    let mut stuck = TcpStream::connect(running.address).await.unwrap();
    let head = "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nlogin";
    stuck.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    running.app.state.draining.cancel();
    running.serving.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "took {:?}", began.elapsed());
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn it_does_not_start_where_passwords_would_travel_in_the_clear(pool: PgPool) {
    let app = support::app_with(pool, support::config(&["--listen", "0.0.0.0:8080"])).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = server::serve(app.state.clone(), listener, std::future::pending()).await.unwrap_err();
    assert!(refused.to_string().contains("COSTWAKE_PUBLIC_URL=https://"), "{refused}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn without_any_setting_nothing_is_open_but_sign_in(pool: PgPool) {
    let app = support::app(pool).await;
    for path in ["/settings/users", "/settings/profile", "/docs/api"] {
        assert!(app.get(path).await.location().starts_with("/sign-in"), "{path}");
    }
    assert_eq!(app.get("/api/v1/openapi.json").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.get("/sign-in").await.status, StatusCode::OK);
    assert_eq!(app.get("/healthz").await.body, "ok");
    assert_eq!(app.get("/readyz").await.status, StatusCode::OK);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn health_answers_and_readiness_says_no_while_the_database_is_away(pool: PgPool) {
    let app = support::app(pool.clone()).await.browser(Role::Viewer, false, &[]).await;
    pool.close().await;
    assert_eq!(app.get("/healthz").await.status, StatusCode::OK);
    let ready = app.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.json()["reason"], "database does not answer");
    let page = app.get("/settings/profile").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.body.contains("try again in a moment"), "{}", page.body);
    let request = app.request(axum::http::Method::GET, "/sign-in").body(Body::empty()).unwrap();
    assert_eq!(app.send(request).await.status, StatusCode::OK, "a page without data is shown");
}
