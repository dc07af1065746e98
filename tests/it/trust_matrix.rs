//! Every route against every kind of person and token (S19), cross-site requests (S17), the description of the
//! API.
//! The table is reviewed by people: a route that is not in it fails the test, and so does a policy that changed.

use super::support::{self, Page, TestApp};
use super::trust_routes::TABLE;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use chrono::Utc;
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, accounts};
use costwake::web::{self, Policy, RouteEntry};
use sqlx::PgPool;
use std::collections::BTreeMap;

/// What a row asks for, in words of its own: nothing of the code decides what is expected here.
fn may(who: &str, asked: &str) -> bool {
    let people: &[&str] = match asked {
        "public" => return true,
        "signed-in" => &["viewer", "member A", "member B", "finance", "admin", "admin with finance"],
        "money" => &["viewer", "member A", "member B", "finance", "admin with finance"],
        "organisation" => &["viewer", "finance", "admin with finance"],
        "review" => &["member A", "member B", "finance", "admin with finance"],
        "finance" => &["finance", "admin with finance"],
        "bills" => &["finance", "admin", "admin with finance"],
        "admin" => &["admin", "admin with finance"],
        other => panic!("{other} is not a word of the table"),
    };
    people.contains(&who)
}

/// Whether a token of this scope is let in where the table asks for another or the same.
fn token_may(has: &str, asked: &str) -> bool {
    has == asked || has == "admin"
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
const OWNERS: [&str; 6] = ["viewer", "member A", "member B", "finance", "admin", "admin with finance"];
const SCOPES: [TokenScope; 3] = [TokenScope::Ingest, TokenScope::Read, TokenScope::Admin];

/// Who asks: with a browser, or with a token of a scope that somebody owns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asker {
    Browser(&'static str),
    Token(&'static str, &'static str),
}

impl Asker {
    fn all() -> impl Iterator<Item = Self> {
        let tokens = SCOPES.into_iter().flat_map(|scope| OWNERS.map(|owner| Self::Token(scope.as_str(), owner)));
        BROWSERS.into_iter().map(Self::Browser).chain(tokens)
    }

    fn name(self) -> String {
        match self {
            Self::Browser(who) => who.into(),
            Self::Token(scope, owner) => format!("{scope} token of {owner}"),
        }
    }
}

struct People {
    app: TestApp,
    user_ids: BTreeMap<&'static str, i64>,
    tokens: BTreeMap<Asker, String>,
}

impl People {
    async fn new(pool: &PgPool) -> Self {
        let app = support::app(pool.clone()).await;
        let mut user_ids = BTreeMap::new();
        for (who, role, also_finance, team) in [
            ("viewer", Role::Viewer, false, ""),
            ("member A", Role::Member, false, "alpha"),
            ("member B", Role::Member, false, "beta"),
            ("finance", Role::Finance, false, ""),
            ("admin", Role::Admin, false, ""),
            ("admin with finance", Role::Admin, true, ""),
            ("disabled user", Role::Admin, true, ""),
            ("expired session", Role::Admin, true, ""),
        ] {
            let teams = team_ids(pool, team).await;
            user_ids.insert(who, app.person(role, also_finance, &teams).await);
        }
        let mut conn = pool.acquire().await.unwrap();
        accounts::set_disabled(&mut conn, user_ids["disabled user"], true, Utc::now()).await.unwrap();
        let mut tokens = BTreeMap::new();
        for scope in SCOPES {
            for owner in OWNERS {
                let token = app.token_of(user_ids[owner], scope).await;
                tokens.insert(Asker::Token(scope.as_str(), owner), token);
            }
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

    async fn ask(&self, who: Asker, method: &str, path: &str) -> Page {
        let browser = match who {
            Asker::Browser(who) => self.browser(who).await,
            Asker::Token(..) => self.app.clone(),
        };
        let mut request = browser.request(method.parse().unwrap(), &filled(path));
        if let Some(token) = self.tokens.get(&who) {
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

// The team of this name, made where it is missing; none for no name.
async fn team_ids(pool: &PgPool, slug: &str) -> Vec<i64> {
    if slug.is_empty() {
        return Vec::new();
    }
    let id = sqlx::query_scalar(
        "INSERT INTO team (slug, name) VALUES ($1, $1) ON CONFLICT (slug) DO UPDATE SET name = $1 RETURNING team_id",
    );
    vec![id.bind(slug).fetch_one(pool).await.unwrap()]
}

/// Names and numbers of things that do not exist.
pub fn filled(path: &str) -> String {
    let part = |part: &str| match part {
        "{month}" => "2019-01".to_owned(),
        part if part.starts_with('{') && part.contains("slug") => "no-such-thing".to_owned(),
        part if part.starts_with('{') => "999999999".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A line of the table.
pub struct Row {
    pub method: &'static str,
    pub path: &'static str,
    pub asked: &'static str,
    pub scope: Option<&'static str>,
}

/// The lines of the table.
pub fn table() -> Vec<Row> {
    let row = |line: &'static str| {
        let mut words = line.split_whitespace();
        let (method, path, asked) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        Row { method, path, asked, scope: words.next() }
    };
    TABLE.lines().map(str::trim).filter(|line| !line.is_empty()).map(row).collect()
}

// "in", "sign in", "401", "403", or "fault".
fn outcome(page: &Page, is_api: bool) -> &'static str {
    match page.status {
        status if status.is_server_error() => "fault",
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

fn is_file(row: &Row) -> bool {
    row.method == "GET" && [".csv", ".csv.gz"].iter().any(|suffix| row.path.ends_with(suffix))
}

fn expected(row: &Row, who: Asker) -> &'static str {
    let in_if = |allowed| if allowed { "in" } else { "403" };
    let is_nobody = |who| matches!(who, "anonymous" | "disabled user" | "expired session");
    match (row.scope, who) {
        (None, _) if row.asked == "public" => "in",
        (Some(scope), Asker::Token(has, owner)) => in_if(token_may(has, scope) && may(owner, row.asked)),
        // A cookie counts for reading only; a token opens the files of pages and never a page.
        (Some("read"), Asker::Browser(who)) if !is_nobody(who) && row.method == "GET" => in_if(may(who, row.asked)),
        (Some(_), _) => "401",
        (None, Asker::Token(has, owner)) if is_file(row) => in_if(token_may(has, "read") && may(owner, row.asked)),
        (None, Asker::Token(..)) => "401",
        (None, Asker::Browser(who)) if is_nobody(who) => "sign in",
        (None, Asker::Browser(who)) => in_if(may(who, row.asked)),
    }
}

// What the code says of a route, in the words of the table.
fn words(entry: &RouteEntry) -> (&'static str, Option<&'static str>) {
    let asked = match entry.policy {
        Policy::Public => "public",
        Policy::SignedIn => "signed-in",
        Policy::Money => "money",
        Policy::OrganisationMoney => "organisation",
        Policy::Review => "review",
        Policy::Finance => "finance",
        Policy::Bills => "bills",
        Policy::Admin => "admin",
    };
    (asked, entry.token_scope.map(TokenScope::as_str))
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
        let Some(entry) = routes.entries().iter().find(|entry| entry.method == row.method && entry.path == row.path)
        else {
            wrong.push(format!("{} {} is no route any more", row.method, row.path));
            continue;
        };
        if words(entry) != (row.asked, row.scope) {
            wrong.push(format!("{} {} is {:?} in the code", row.method, row.path, words(entry)));
        }
        for who in Asker::all() {
            let page = people.ask(who, row.method, row.path).await;
            let (is, should) = (outcome(&page, row.scope.is_some()), expected(row, who));
            // Signing in and webhooks answer 401 by themselves: whoever comes is looked at.
            let is_own = row.asked == "public" && page.status == StatusCode::UNAUTHORIZED;
            if is != should && !is_own {
                let who = who.name();
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
            assert!(page.body.contains("site"), "no word of a role that is not at fault: {}", page.body);
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
    assert!(page.body.contains("POST /api/v1/deployments") && page.body.contains("/docs/api/deployments#"));
    // Each operation stands on the page of its subject, with each body that its answers name; none is too heavy.
    for (path, item) in spec["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let subject = operation["tags"][0].as_str().unwrap();
            let page = app.get(&format!("/docs/api/{subject}")).await;
            let heading = format!("<code>{} {path}</code></h2>", method.to_uppercase());
            assert!(page.body.contains(&heading), "{heading} is not on the page of {subject}");
            assert!(page.body.len() <= 80 * 1024, "{subject} has {} bytes", page.body.len());
            for link in page.body.split("href=\"#schema-").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(page.body.contains(&format!("id=\"schema-{link}\"")), "{subject} names {link}");
            }
        }
    }
    assert!(app.get("/docs/api/deployments").await.body.contains("curl -X POST"));
    assert_eq!(app.get("/docs/api/moon").await.status, StatusCode::NOT_FOUND);
}
