//! Every route against every kind of person and token (S19), cross-site requests (S17), objects of others (S20).
//! The table is reviewed by people: a route that is not in it fails the test, and so does a policy that changed.

use super::support::{self, Page, TestApp};
use super::trust_routes::TABLE;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use chrono::Utc;
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, accounts};
use costwake::web;
use sqlx::{AssertSqlSafe, PgPool};
use std::collections::BTreeMap;

/// What a row asks for, in words of its own: nothing of the code decides what is expected here.
fn may(who: &str, asked: &str) -> bool {
    let people: &[&str] = match asked {
        "public" => return true,
        "signed-in" => &["viewer", "member A", "member B", "finance", "admin", "admin with finance"],
        "money" => &["viewer", "member A", "member B", "finance", "admin with finance"],
        "organisation" => &["viewer", "finance", "admin with finance"],
        "finance" => &["finance", "admin with finance"],
        "bills" => &["finance", "admin", "admin with finance"],
        "admin" => &["admin", "admin with finance"],
        other => panic!("{other} is not a word of the table"),
    };
    people.contains(&who)
}

/// The tokens of the test belong to an administrator with finance, so that only their scope decides.
fn token_may(who: &str, scope: &str) -> bool {
    match who {
        "ingest token" => scope == "ingest",
        "read token" => scope == "read",
        "admin token" => true,
        _ => false,
    }
}

const BROWSERS: [&str; 9] = [
    "anonymous",
    "viewer",
    "member A",
    "member B",
    "finance",
    "admin",
    "admin with finance",
    "disabled user",
    "expired session",
];
const TOKENS: [&str; 3] = ["ingest token", "read token", "admin token"];

struct People {
    app: TestApp,
    user_ids: BTreeMap<&'static str, i64>,
    tokens: BTreeMap<&'static str, String>,
}

impl People {
    async fn new(pool: &PgPool) -> Self {
        let app = support::app(pool.clone()).await;
        let mut user_ids = BTreeMap::new();
        for (who, role, also_finance) in [
            ("viewer", Role::Viewer, false),
            ("member A", Role::Member, false),
            ("member B", Role::Member, false),
            ("finance", Role::Finance, false),
            ("admin", Role::Admin, false),
            ("admin with finance", Role::Admin, true),
            ("disabled user", Role::Admin, true),
            ("expired session", Role::Admin, true),
        ] {
            user_ids.insert(who, app.person(role, also_finance, &[]).await);
        }
        let mut conn = pool.acquire().await.unwrap();
        accounts::set_disabled(&mut conn, user_ids["disabled user"], true, Utc::now()).await.unwrap();
        let mut tokens = BTreeMap::new();
        for (who, scope) in TOKENS.into_iter().zip([TokenScope::Ingest, TokenScope::Read, TokenScope::Admin]) {
            tokens.insert(who, app.token_of(user_ids["admin with finance"], scope).await);
        }
        Self { app, user_ids, tokens }
    }

    // A session of its own for each request: signing out is one of the routes.
    async fn browser(&self, who: &str) -> TestApp {
        let Some(user_id) = self.user_ids.get(who) else { return self.app.clone() };
        let browser = self.app.browser_of(*user_id).await;
        if who == "expired session" {
            let expire = "UPDATE session SET expires_at = now() - interval '1 second' WHERE user_id = $1";
            sqlx::query(expire).bind(user_id).execute(&self.app.state.pools.web).await.unwrap();
        }
        browser
    }

    async fn ask(&self, who: &str, method: &str, path: &str) -> Page {
        let browser = self.browser(who).await;
        let mut request = browser.request(method.parse().unwrap(), &filled(path));
        if let Some(token) = self.tokens.get(who) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if method != "GET" {
            request = request.header("sec-fetch-site", "same-origin");
        }
        let is_api = path.starts_with("/api/");
        let (kind, body) = if is_api { ("application/json", "{}") } else { ("application/x-www-form-urlencoded", "") };
        browser.send(request.header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap()).await
    }
}

// Names and numbers of things that do not exist.
fn filled(path: &str) -> String {
    let part = |part: &str| match part {
        "{month}" => "2019-01".to_owned(),
        part if part.starts_with('{') && part.contains("slug") => "no-such-thing".to_owned(),
        part if part.starts_with('{') => "999999999".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

struct Row {
    method: &'static str,
    path: &'static str,
    asked: &'static str,
    scope: Option<&'static str>,
}

fn table() -> Vec<Row> {
    let row = |line: &'static str| {
        let mut words = line.split_whitespace();
        let (method, path, asked) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        Row { method, path, asked, scope: words.next() }
    };
    TABLE.lines().map(str::trim).filter(|line| !line.is_empty()).map(row).collect()
}

// "in", "sign in", "401" or "403".
fn outcome(page: &Page, is_api: bool) -> &'static str {
    match page.status {
        // Signing out leads there too, but takes the cookie away.
        StatusCode::SEE_OTHER
            if page.location().starts_with("/sign-in") && !is_api && !page.headers.contains_key(header::SET_COOKIE) =>
        {
            "sign in"
        }
        StatusCode::UNAUTHORIZED => "401",
        StatusCode::FORBIDDEN => "403",
        _ => "in",
    }
}

fn expected(row: &Row, who: &str) -> &'static str {
    let is_token = TOKENS.contains(&who);
    let is_nobody = matches!(who, "anonymous" | "disabled user" | "expired session");
    match row.scope {
        // A cookie counts for reading only; a token never opens a page.
        Some(scope) if is_token => {
            if token_may(who, scope) {
                "in"
            } else {
                "403"
            }
        }
        Some("read") if !is_nobody && row.method == "GET" => {
            if may(who, row.asked) {
                "in"
            } else {
                "403"
            }
        }
        Some(_) => "401",
        None if row.asked == "public" => "in",
        None if is_nobody || is_token => "sign in",
        None => {
            if may(who, row.asked) {
                "in"
            } else {
                "403"
            }
        }
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn every_route_lets_in_whom_the_table_says(pool: PgPool) {
    let people = People::new(&pool).await;
    let table = table();
    let routes = web::routes(people.app.state.clone());
    let missing: Vec<String> = routes
        .entries()
        .iter()
        .filter(|entry| !table.iter().any(|row| row.method == entry.method && row.path == entry.path))
        .map(|entry| format!("{} {} ({:?} {:?})", entry.method, entry.path, entry.policy, entry.token_scope))
        .collect();
    assert!(missing.is_empty(), "not in the reviewed table of tests/it/trust_routes.rs:\n{}", missing.join("\n"));
    let mut wrong = Vec::new();
    for row in &table {
        if !routes.entries().iter().any(|entry| entry.method == row.method && entry.path == row.path) {
            wrong.push(format!("{} {} is no route any more", row.method, row.path));
            continue;
        }
        // Signing in and webhooks answer 401 and 404 by themselves: whoever comes is looked at.
        if row.asked == "public" {
            continue;
        }
        for who in BROWSERS.into_iter().chain(TOKENS) {
            let page = people.ask(who, row.method, row.path).await;
            let (is, should) = (outcome(&page, row.scope.is_some()), expected(row, who));
            if is != should {
                wrong.push(format!("{} {} as {who}: {is} ({}), not {should}", row.method, row.path, page.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn other_sites_change_nothing(pool: PgPool) {
    let people = People::new(&pool).await;
    let mut wrong = Vec::new();
    for row in table() {
        if row.method == "GET" || row.scope.is_some() || row.path.starts_with("/webhooks/") {
            continue;
        }
        let attacks: [&[(&str, &str)]; 6] = [
            &[],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8080")],
        ];
        for headers in attacks {
            let browser = people.browser("admin with finance").await;
            let mut request = browser.request(row.method.parse().unwrap(), &filled(row.path));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            let page = browser.send(request.body(Body::empty()).unwrap()).await;
            if page.status != StatusCode::FORBIDDEN {
                wrong.push(format!("{} {} with {headers:?}: {}", row.method, row.path, page.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let browser = people.browser("viewer").await;
    let own = browser.request(Method::POST, "/preferences").header("origin", "http://localhost:8080");
    let own = own.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let page = browser.send(own.body(Body::from("theme=dark")).unwrap()).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "an old browser names its origin only");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn opening_every_page_changes_nothing(pool: PgPool) {
    let people = People::new(&pool).await;
    let browser = people.browser("admin with finance").await;
    let before = contents(&pool).await;
    for row in table().iter().filter(|row| row.method == "GET") {
        browser.get(&filled(row.path)).await;
    }
    let after = contents(&pool).await;
    let changed: Vec<&String> = before.keys().filter(|table| before[*table] != after[*table]).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

async fn contents(pool: &PgPool) -> BTreeMap<String, String> {
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.unwrap();
    let mut contents = BTreeMap::new();
    for table in tables {
        // The names come from the catalog of a test's own database.
        let sql = format!("SELECT coalesce(md5(string_agg(t::text, '' ORDER BY t::text)), '') FROM \"{table}\" t");
        let sum: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap();
        contents.insert(table, sum);
    }
    contents
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_description_of_the_api_is_complete(pool: PgPool) {
    let mut app = support::app(pool).await;
    app.sign_in(Role::Viewer).await;
    let spec = app.get("/api/v1/openapi.json").await.json();
    let routes = web::routes(app.state.clone());
    for entry in routes.entries().iter().filter(|entry| entry.token_scope.is_some() && !entry.path.ends_with(".csv")) {
        let operation = &spec["paths"][entry.path][entry.method.to_lowercase()];
        assert!(operation.is_object(), "{} {} is not in src/api/openapi.rs", entry.method, entry.path);
    }
    let mut ids: Vec<String> = Vec::new();
    for item in spec["paths"].as_object().unwrap().values() {
        let operations = item.as_object().unwrap().values();
        ids.extend(operations.map(|operation| operation["operationId"].as_str().unwrap().to_owned()));
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "an operation id is used twice");
    let page = app.get("/docs/api").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("POST /api/v1/deployments") && page.body.contains("curl -X POST"));
}
