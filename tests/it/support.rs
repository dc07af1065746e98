//! A service on a test's own database, and a browser that talks to its router.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use chrono::{NaiveDate, Utc};
use clap::Parser;
use costwake::config::Config;
use costwake::store::accounts::{self, NewAccount};
use costwake::store::tokens::{self, TokenScope};
use costwake::store::{Pools, Role, sessions};
use costwake::web::{self, AppState, secret, session};
use sqlx::{AssertSqlSafe, PgPool};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use tower::ServiceExt;

static PEOPLE: AtomicU32 = AtomicU32::new(1);

/// One browser: the service, and the cookie that it holds.
#[derive(Clone)]
pub struct TestApp {
    /// What handlers reach.
    pub state: AppState,
    /// The service.
    pub router: Router,
    /// The value of the session cookie.
    pub session: Option<String>,
    /// The address that requests come from.
    pub peer: SocketAddr,
}

/// What came back.
#[derive(Debug)]
pub struct Page {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
}

impl Page {
    /// Where it redirects to; empty when it does not.
    pub fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    config: Config,
}

/// The settings of the command line `costwake <arguments>`.
pub fn config(arguments: &[&str]) -> Config {
    Line::parse_from([&["costwake"], arguments].concat()).config
}

/// All pools on a test's database.
pub fn pools(pool: &PgPool) -> Pools {
    Pools { web: pool.clone(), jobs: pool.clone(), intake: pool.clone(), health: pool.clone() }
}

/// The service with its default settings and a browser that is not signed in.
pub async fn app(pool: PgPool) -> TestApp {
    app_with(pool, config(&[])).await
}

/// The same with other settings.
pub async fn app_with(pool: PgPool, config: Config) -> TestApp {
    let state = AppState::new(config, pools(&pool)).unwrap();
    let router = web::router(state.clone());
    TestApp { state, router, session: None, peer: ([127, 0, 0, 1], 50_000).into() }
}

/// Says that a test could not look at something here: in its output, and in the file that `COSTWAKE_SKIPPED` names,
/// because the output of a test that passes is not shown.
pub fn skipped(what: &str) {
    println!("skipped: {what}");
    if let Some(file) = std::env::var_os("COSTWAKE_SKIPPED") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(file, "skipped: {what}").unwrap();
    }
}

/// Tells figures of a method, which no test holds to the digit: in its output, and in the file that `COSTWAKE_FIGURES`
/// names, which `scripts/test` shows at its end.
pub fn figures(what: &str) {
    println!("{what}");
    if let Some(file) = std::env::var_os("COSTWAKE_FIGURES") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(file, "{what}").unwrap();
    }
}

/// A checksum of the rows of each table, without these columns: table, column.
pub async fn table_contents(pool: &PgPool, left_out: &[(&str, &str)]) -> BTreeMap<String, String> {
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.unwrap();
    let mut contents = BTreeMap::new();
    for table in tables {
        let columns = left_out.iter().filter(|(of, _)| *of == table).map(|(_, column)| (*column).to_owned());
        // The names come from the catalog of a test's own database.
        let sql = format!(
            "SELECT coalesce(md5(string_agg(line, '' ORDER BY line)), '')
             FROM (SELECT (to_jsonb(whole) - $1::text[])::text AS line FROM \"{table}\" whole) lines"
        );
        let sum = sqlx::query_scalar(AssertSqlSafe(sql)).bind(columns.collect::<Vec<String>>());
        contents.insert(table, sum.fetch_one(pool).await.unwrap());
    }
    contents
}

/// The one number that a statement gives.
pub async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

impl TestApp {
    /// Signs in as a new person of this role. An administrator gets no finance, a member no team.
    pub async fn sign_in(&mut self, role: Role) {
        *self = self.browser(role, false, &[]).await;
    }

    /// Another browser, signed in as a new person.
    pub async fn browser(&self, role: Role, also_finance: bool, team_ids: &[i64]) -> TestApp {
        let user_id = self.person(role, also_finance, team_ids).await;
        self.browser_of(user_id).await
    }

    /// Another browser, signed in as this person.
    pub async fn browser_of(&self, user_id: i64) -> TestApp {
        let session = secret::random();
        let mut conn = self.state.pools.web.acquire().await.unwrap();
        let hash = secret::sha256(&session);
        sessions::insert(&mut conn, &hash, user_id, Utc::now(), session::LIFETIME, "test").await.unwrap();
        TestApp { session: Some(session), ..self.clone() }
    }

    /// A new person who has no password.
    pub async fn person(&self, role: Role, also_finance: bool, team_ids: &[i64]) -> i64 {
        let login = format!("person-{}", PEOPLE.fetch_add(1, Ordering::Relaxed));
        let new = NewAccount { display_name: login.clone(), login, role, also_finance, team_ids: team_ids.to_vec() };
        let mut conn = self.state.pools.web.acquire().await.unwrap();
        accounts::insert(&mut conn, &new, Utc::now()).await.unwrap()
    }

    /// A token of a new person of this role.
    pub async fn token(&self, scope: TokenScope, role: Role) -> String {
        let user_id = self.person(role, false, &[]).await;
        self.token_of(user_id, scope).await
    }

    /// A token of this person.
    pub async fn token_of(&self, user_id: i64, scope: TokenScope) -> String {
        let mut conn = self.state.pools.web.acquire().await.unwrap();
        let made = tokens::insert(&mut conn, "test", scope, user_id, Utc::now(), None).await.unwrap();
        made.secret
    }

    /// Opens a page.
    pub async fn get(&self, path: &str) -> Page {
        self.send(self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    /// What is at this address, byte by byte.
    pub async fn download(&self, path: &str) -> (HeaderMap, Vec<u8>) {
        let mut request = self.request(Method::GET, path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let (parts, body) = response.into_parts();
        (parts.headers, axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec())
    }

    /// Sends a form, as a browser on a page of the service does.
    pub async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = serde_urlencoded::to_string(fields).unwrap();
        let request = self
            .request(Method::POST, path)
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Asks the API with a token; a body that is null is left out.
    pub async fn api(&self, method: &str, path: &str, token: &str, body: serde_json::Value) -> Page {
        let mut request =
            self.request(method.parse().unwrap(), path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let mut bytes = String::new();
        if !body.is_null() {
            request = request.header(header::CONTENT_TYPE, "application/json");
            bytes = body.to_string();
        }
        self.send(request.body(Body::from(bytes)).unwrap()).await
    }

    /// A request with host and cookie, to be completed.
    pub fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost:8080");
        if let Some(session) = &self.session {
            let name = session::cookie_name(&self.state.config);
            request = request.header(header::COOKIE, format!("{name}={session}"));
        }
        request
    }

    /// Sends a request as it is.
    pub async fn send(&self, mut request: Request<Body>) -> Page {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Page { status: parts.status, headers: parts.headers, body }
    }
}

/// Runs a command on a data directory, with the own cluster there.
pub fn costwake(data_dir: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.args(arguments).env_remove("DATABASE_URL").env("COSTWAKE_DATA_DIR", data_dir);
    command.output().unwrap()
}

/// What a command printed, errors last.
pub fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What was last answered about a deployment.
#[derive(Debug, sqlx::FromRow)]
pub struct Answer {
    /// Whether it is measured still, provisional or settled.
    pub phase: String,
    /// What is found.
    pub finding: String,
    /// Why nothing can be told.
    pub reason: String,
    /// Where hours placed its start.
    pub hourly_start: Option<serde_json::Value>,
    /// Of a rollback: whether the cost came back.
    pub came_back: Option<serde_json::Value>,
    /// The effect for one unit of traffic.
    pub per_unit: Option<serde_json::Value>,
    /// What is another since the answer before.
    pub what_changed: String,
}

/// The last answer about a deployment.
pub async fn last_answer(pool: &PgPool, deployment_id: i64) -> Answer {
    sqlx::query_as(
        "SELECT phase, finding, reason, hourly_start, came_back, per_unit, what_changed FROM deployment_effect
         WHERE deployment_id = $1 ORDER BY deployment_effect_id DESC LIMIT 1",
    )
    .bind(deployment_id)
    .fetch_one(pool)
    .await
    .unwrap()
}

/// Cents that a service of a made organisation costs on a day: a weekday profile and noise that is the same in every run.
pub fn usual_cents(service: usize, at: NaiveDate) -> i64 {
    let days = at.signed_duration_since(NaiveDate::from_ymd_opt(2026, 1, 1).unwrap()).num_days();
    let weekday = [0, 150, 180, 170, 120, -400, -500][usize::try_from(days.rem_euclid(7)).unwrap()];
    let noise = (days * 7919 + service as i64 * 104_729).rem_euclid(401) - 200;
    10_000 + weekday + noise
}
