//! One-time links, passwords, throttling (S04, S06-S09).

use super::support::{self, TestApp};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use chrono::{DateTime, TimeDelta, Utc};
use costwake::store::{Role, accounts};
use costwake::web::telemetry;
use costwake::web::welcome::{announce_bootstrap, bootstrap_file, bootstrap_link, new_link};
use futures_util::future::join_all;
use sqlx::PgPool;
use std::os::unix::fs::PermissionsExt;
use std::sync::LazyLock;

const PASSWORD: &str = "four random words here";

async fn set_password(app: &TestApp, link: &str) -> support::Page {
    app.post_form(link, &[("password", PASSWORD), ("password_again", PASSWORD)]).await
}

async fn person_with_password(app: &TestApp, role: Role) -> (i64, String) {
    let user_id = app.person(role, false, &[]).await;
    let mut conn = app.state.pools.web.acquire().await.unwrap();
    let link = new_link(&mut conn, user_id, Utc::now(), TimeDelta::hours(24)).await.unwrap();
    assert_eq!(set_password(app, &link).await.status, StatusCode::SEE_OTHER);
    let account = accounts::get(&mut conn, user_id).await.unwrap().unwrap();
    (user_id, account.login)
}

async fn sign_in(app: &TestApp, login: &str, password: &str) -> support::Page {
    app.post_form("/sign-in", &[("login", login), ("password", password)]).await
}

fn cookie_of(page: &support::Page) -> String {
    page.headers[header::SET_COOKIE].to_str().unwrap().to_owned()
}

fn with_cookie(app: &TestApp, page: &support::Page) -> TestApp {
    let line = cookie_of(page);
    let value = line.split_once('=').unwrap().1.split(';').next().unwrap().to_owned();
    TestApp { session: Some(value), ..app.clone() }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn of_fifty_who_open_the_first_link_at_once_one_becomes_administrator(pool: PgPool) {
    let app = support::app(pool).await;
    let link = bootstrap_link(&app.state.pools, Utc::now()).await.unwrap().unwrap();
    for _ in 0..3 {
        assert_eq!(app.get(&link).await.status, StatusCode::OK, "looking does not use it up");
    }
    let answers = join_all((0..50).map(|_| set_password(&app, &link))).await;
    let won = answers.iter().filter(|page| page.status == StatusCode::SEE_OTHER).count();
    let late = answers.iter().filter(|page| page.status == StatusCode::NOT_FOUND).count();
    assert_eq!((won, late), (1, 49));
    assert_eq!(app.get(&link).await.status, StatusCode::NOT_FOUND);
    assert_eq!(bootstrap_link(&app.state.pools, Utc::now()).await.unwrap(), None, "never again");
    let admin = with_cookie(&app, answers.iter().find(|page| page.status == StatusCode::SEE_OTHER).unwrap());
    assert_eq!(admin.get("/settings/users").await.status, StatusCode::OK);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_first_link_ends_after_an_hour_and_a_new_start_makes_a_new_one(pool: PgPool) {
    let app = support::app(pool).await;
    let old = bootstrap_link(&app.state.pools, Utc::now() - TimeDelta::minutes(61)).await.unwrap().unwrap();
    assert_eq!(set_password(&app, &old).await.status, StatusCode::NOT_FOUND);
    let first = bootstrap_link(&app.state.pools, Utc::now()).await.unwrap().unwrap();
    let second = bootstrap_link(&app.state.pools, Utc::now()).await.unwrap().unwrap();
    assert_eq!(app.get(&first).await.status, StatusCode::NOT_FOUND, "an older link is void");
    assert_eq!(app.get(&second).await.status, StatusCode::OK);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_file_with_the_first_link_is_private_and_goes_when_it_is_used(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let app = support::app_with(pool, support::config(&["--data-dir", folder.path().to_str().unwrap()])).await;
    let file = bootstrap_file(&app.state.config);
    // One left from before may have other rights.
    std::fs::write(&file, "old").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let address = announce_bootstrap(&app.state).await.unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), address);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let link = &address[address.find("/welcome/").unwrap()..];
    assert_eq!(set_password(&app, link).await.status, StatusCode::SEE_OTHER);
    assert!(!file.exists());
    assert_eq!(announce_bootstrap(&app.state).await.unwrap(), None);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_weak_password_leaves_the_link_as_it_was(pool: PgPool) {
    let app = support::app(pool).await;
    let link = bootstrap_link(&app.state.pools, Utc::now()).await.unwrap().unwrap();
    let short = app.post_form(&link, &[("password", "short"), ("password_again", "short")]).await;
    assert_eq!(short.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(short.body.contains("at least 12 characters"), "{}", short.body);
    let typo = app.post_form(&link, &[("password", PASSWORD), ("password_again", "four random words hera")]).await;
    assert!(typo.body.contains("The two passwords differ."));
    assert_eq!(set_password(&app, &link).await.status, StatusCode::SEE_OTHER);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn signing_in_makes_a_new_session_and_signing_out_ends_it(pool: PgPool) {
    let app = support::app(pool).await;
    let (_, login) = person_with_password(&app, Role::Viewer).await;
    let planted = TestApp { session: Some("a".repeat(64)), ..app.clone() };
    let page = sign_in(&planted, &login, PASSWORD).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(!cookie_of(&page).contains(&"a".repeat(64)), "an id that was planted before is not taken over");
    let cookie = cookie_of(&page);
    assert!(cookie.starts_with("session=") && cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
    let signed_in = with_cookie(&app, &page);
    assert_eq!(signed_in.get("/settings/profile").await.status, StatusCode::OK);
    let again = sign_in(&signed_in, &login, PASSWORD).await;
    assert_eq!(signed_in.get("/settings/profile").await.status, StatusCode::SEE_OTHER, "the old id is void");
    let signed_in = with_cookie(&app, &again);
    assert_eq!(signed_in.post_form("/sign-out", &[]).await.location(), "/sign-in");
    assert_eq!(signed_in.get("/settings/profile").await.location(), "/sign-in?return_to=%2Fsettings%2Fprofile");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn over_https_the_cookie_is_bound_to_the_host(pool: PgPool) {
    let config = support::config(&["--public-url", "https://costs.example.com"]);
    let app = support::app_with(pool, config).await;
    let (_, login) = person_with_password(&app, Role::Viewer).await;
    let cookie = cookie_of(&sign_in(&app, &login, PASSWORD).await);
    assert!(cookie.starts_with("__Host-session=") && cookie.contains("; Path=/; Secure; HttpOnly; SameSite=Lax"));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_wrong_password_an_unknown_login_and_a_disabled_account_look_the_same(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let (_, login) = person_with_password(&app, Role::Viewer).await;
    let (gone_id, gone) = person_with_password(&app, Role::Viewer).await;
    accounts::set_disabled(&mut pool.acquire().await.unwrap(), gone_id, true, Utc::now()).await.unwrap();
    let same = |page: support::Page, login: &str| (page.status, page.body.replace(login, "LOGIN"));
    let wrong = same(sign_in(&app, &login, "not the password").await, &login);
    assert_eq!(wrong.0, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong, same(sign_in(&app, "nobody-at-all", PASSWORD).await, "nobody-at-all"));
    assert_eq!(wrong, same(sign_in(&app, &gone, PASSWORD).await, &gone));
    let kept =
        support::count(&pool, "SELECT count(*) FROM audit_log WHERE audit_log::text LIKE '%nobody-at-all%'").await;
    assert_eq!(kept, 0, "what was typed may be a password");
}

fn standing() -> DateTime<Utc> {
    static NOW: LazyLock<DateTime<Utc>> = LazyLock::new(Utc::now);
    *NOW
}

/// After the free tries too: what waits and how long says nothing about who exists.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn known_and_unknown_logins_wait_alike(pool: PgPool) {
    let mut app = support::app(pool.clone()).await;
    // The clock stands still, so that nothing depends on how fast this runs.
    app.state = app.state.with(|parts| parts.clock = standing);
    app.router = costwake::web::router(app.state.clone());
    let (_, known) = person_with_password(&app, Role::Viewer).await;
    let (gone_id, gone) = person_with_password(&app, Role::Viewer).await;
    accounts::set_disabled(&mut pool.acquire().await.unwrap(), gone_id, true, Utc::now()).await.unwrap();
    let logins = [known.as_str(), gone.as_str(), "nobody-1", "nobody-2"];
    for round in 0..7 {
        let mut seen = Vec::new();
        for (number, login) in logins.into_iter().enumerate() {
            // Each from an address of its own, so that only the login counts.
            let from = TestApp { peer: ([198, 51, 100, number as u8 + 1], 4000).into(), ..app.clone() };
            seen.push(sign_in(&from, login, "not the password").await.status);
        }
        let expected = if round < 5 { StatusCode::UNAUTHORIZED } else { StatusCode::TOO_MANY_REQUESTS };
        assert_eq!(seen, [expected; 4], "round {round}");
    }
    // What was tried on others does not hold up another one, known or not, from the same address.
    for login in ["nobody-3", "nobody-4"] {
        let from = TestApp { peer: ([198, 51, 100, 3], 4000).into(), ..app.clone() };
        assert_eq!(sign_in(&from, login, "not the password").await.status, StatusCode::UNAUTHORIZED);
    }
    let kept = support::count(&pool, "SELECT count(*) FROM sign_in_failure f WHERE f::text LIKE '%nobody%'").await;
    assert_eq!(kept, 0, "what was typed may be a password");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_owner_on_ipv6_is_not_shut_out_either(pool: PgPool) {
    let app = support::app(pool).await;
    let (_, login) = person_with_password(&app, Role::Admin).await;
    let from = |address: &str| TestApp { peer: address.parse().unwrap(), ..app.clone() };
    let home = from("[2001:db8:1:2::9]:4000");
    assert_eq!(sign_in(&home, &login, PASSWORD).await.status, StatusCode::SEE_OTHER);
    for number in 0..14 {
        let attacker = from(&format!("[2001:db8:{number:x}:f::1]:4000"));
        sign_in(&attacker, &login, "not the password").await;
    }
    let stranger = from("[2001:db8:ffff::1]:4000");
    assert_eq!(sign_in(&stranger, &login, PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    // Another address of the network from which they signed in before.
    let at_home = from("[2001:db8:1:2:aaaa::1]:4000");
    assert_eq!(sign_in(&at_home, &login, PASSWORD).await.status, StatusCode::SEE_OTHER);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn guessing_is_slowed_down_and_the_owner_is_not_shut_out(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let (_, login) = person_with_password(&app, Role::Admin).await;
    let attacker = TestApp { peer: ([203, 0, 113, 9], 4000).into(), ..app.clone() };
    let answers = join_all((0..60).map(|_| sign_in(&attacker, &login, "not the password"))).await;
    let looked_at = answers.iter().filter(|page| page.status == StatusCode::UNAUTHORIZED).count();
    assert!((5..=8).contains(&looked_at), "{looked_at} of 60 tries at once were looked at");
    let refused = answers.iter().find(|page| page.status == StatusCode::TOO_MANY_REQUESTS).unwrap();
    assert!(refused.headers[header::RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() > 0);
    let failures = support::count(&pool, "SELECT count(*) FROM sign_in_failure").await;
    assert!(failures <= 8, "{failures} rows");
    // The owner, where they have signed in before, is looked at at once.
    assert_eq!(sign_in(&app, &login, PASSWORD).await.status, StatusCode::SEE_OTHER);
    let audited = support::count(&pool, "SELECT count(*) FROM audit_log WHERE action = 'sign_in_failed'").await;
    assert_eq!(audited, looked_at as i64);
}

async fn sign_in_in(browser: &str, app: &TestApp, login: &str, password: &str) -> support::Page {
    let body = serde_urlencoded::to_string([("login", login), ("password", password)]).unwrap();
    let request = app
        .request(Method::POST, "/sign-in")
        .header(header::COOKIE, browser)
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    app.send(request.body(Body::from(body)).unwrap()).await
}

/// Behind a proxy that the settings do not name, everyone has its address: whoever floods the page with wrong passwords
/// keeps nobody out of a browser in which they have signed in before.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_known_browser_is_not_shut_out_with_its_address(pool: PgPool) {
    let mut app = support::app(pool.clone()).await;
    // The clock stands still, so that nothing depends on how fast this runs.
    app.state = app.state.with(|parts| parts.clock = standing);
    app.router = costwake::web::router(app.state.clone());
    let (_, login) = person_with_password(&app, Role::Viewer).await;
    let page = sign_in(&app, &login, PASSWORD).await;
    let cookies = page.headers.get_all(header::SET_COOKIE).iter().map(|line| line.to_str().unwrap());
    let browser = cookies.filter_map(|line| line.split(';').next()).find(|pair| pair.starts_with("browser="));
    let browser = browser.unwrap().to_owned();
    for number in 0..20 {
        let wrong = sign_in(&app, &format!("nobody-{number}"), "not the password").await;
        assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{number}");
    }
    assert_eq!(sign_in(&app, &login, PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS, "another browser waits");
    assert_eq!(sign_in_in(&browser, &app, "nobody", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    let planted = format!("browser={}", "a".repeat(64));
    assert_eq!(sign_in_in(&planted, &app, &login, PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(sign_in_in(&browser, &app, &login, PASSWORD).await.status, StatusCode::SEE_OTHER);
    // Nor is it a way to guess.
    for number in 0..6 {
        let expected = if number < 5 { StatusCode::UNAUTHORIZED } else { StatusCode::TOO_MANY_REQUESTS };
        assert_eq!(sign_in_in(&browser, &app, &login, "not the password").await.status, expected, "{number}");
    }
    // Who holds the cookie holds nothing else.
    let known = TestApp { session: browser.strip_prefix("browser=").map(str::to_owned), ..app.clone() };
    assert_eq!(known.get("/settings/profile").await.status, StatusCode::SEE_OTHER);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn after_signing_in_only_a_path_of_this_site_is_opened(pool: PgPool) {
    let app = support::app(pool).await;
    let (_, login) = person_with_password(&app, Role::Viewer).await;
    for (wanted, opened) in [("/services?x=1", "/services?x=1"), ("//evil.example", "/"), ("https://evil.example", "/")]
    {
        let fields = [("login", login.as_str()), ("password", PASSWORD), ("return_to", wanted)];
        assert_eq!(app.post_form("/sign-in", &fields).await.location(), opened);
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn idle_old_and_void_sessions_are_refused(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let open = |app: TestApp| async move { app.get("/settings/profile").await.status };
    for (what, change) in [
        ("idle", "UPDATE session SET last_seen_at = now() - interval '8 hours 1 minute'"),
        ("old", "UPDATE session SET expires_at = now() - interval '1 second'"),
        ("disabled", "UPDATE user_account SET disabled_at = now()"),
        ("changed", "UPDATE user_account SET credentials_valid_from = now() + interval '1 second'"),
    ] {
        let browser = app.browser(Role::Viewer, false, &[]).await;
        assert_eq!(open(browser.clone()).await, StatusCode::OK, "{what}");
        sqlx::query(change).execute(&pool).await.unwrap();
        assert_eq!(open(browser).await, StatusCode::SEE_OTHER, "{what}");
        sqlx::query("DELETE FROM user_account").execute(&pool).await.unwrap();
    }
}

/// Other tests sign in at the same time: the counter has grown by two at least.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn failed_sign_ins_are_counted_for_who_watches_the_server(pool: PgPool) {
    let app = support::app(pool).await;
    let (_, login) = person_with_password(&app, Role::Viewer).await;
    let metrics = telemetry::recorder().unwrap();
    let count = || -> u64 {
        let text = telemetry::render(&metrics, &app.state.pools);
        let line = text.lines().find_map(|line| line.strip_prefix("costwake_sign_in_failures_total "));
        line.map_or(0, |value| value.parse().unwrap())
    };
    let before = count();
    for login in [login.as_str(), "nobody"] {
        sign_in(&app, login, "not the password of anyone").await;
    }
    assert!(count() >= before + 2, "{before} and then {}", count());
}
