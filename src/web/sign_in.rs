//! Signing in and out.

use super::session::Cookies;
use super::{AppState, ClientAddress, Error, Policy, Principal, Result, Routes};
use super::{password, preferences, session, throttle, transport, unknown_keys};
use crate::store::{Role, accounts, audit, known_browsers, sessions, sign_in_failures};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::sync::Semaphore;

pub use super::welcome::{announce_bootstrap, bootstrap_link};

/// More sign-ins than this at once wait, so that a flood of them leaves connections for the pages.
static SLOTS: Semaphore = Semaphore::const_new(4);
const SLOT_TIMEOUT: Duration = Duration::from_secs(5);
const WRONG: &str = "Login or password is wrong.";

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/sign-in", Policy::Public, show).post("/sign-in", Policy::Public, sign_in).post(
        "/sign-out",
        Policy::SignedIn,
        sign_out,
    )
}

#[derive(Template, WebTemplate)]
#[template(path = "sign_in.html")]
struct SignInPage {
    theme: &'static str,
    login: String,
    return_to: String,
    message: &'static str,
    /// Names the keys of the address that the page does not know.
    note: String,
}

#[derive(Deserialize)]
struct ShowQuery {
    #[serde(default)]
    return_to: String,
}

impl SignInPage {
    fn new(theme: &'static str, login: String, return_to: String, message: &'static str) -> Self {
        Self { theme, login, return_to, message, note: unknown_keys::of::<ShowQuery>() }
    }
}

async fn show(headers: HeaderMap, Query(query): Query<ShowQuery>) -> SignInPage {
    SignInPage::new(preferences::theme(&headers), String::new(), query.return_to, "")
}

#[derive(Deserialize)]
struct SignInForm {
    login: String,
    password: String,
    #[serde(default)]
    return_to: String,
}

async fn sign_in(
    State(app): State<AppState>,
    address: ClientAddress,
    uri: Uri,
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Result<Response> {
    transport::may_sign_in(&app.config, &uri, &headers)?;
    let login = form.login.trim().to_lowercase();
    match try_password(&app, address, &headers, &login, form.password).await? {
        Some((cookies, home)) => {
            let target = local_path(&form.return_to).unwrap_or(home);
            Ok((cookies, Redirect::to(target)).into_response())
        }
        None => {
            let theme = preferences::theme(&headers);
            let page = SignInPage::new(theme, form.login, form.return_to, WRONG);
            Ok((StatusCode::UNAUTHORIZED, page).into_response())
        }
    }
}

// The cookies and the page to open, or none when login and password do not fit.
async fn try_password(
    app: &AppState,
    address: ClientAddress,
    headers: &HeaderMap,
    login: &str,
    password: String,
) -> Result<Option<(Cookies, &'static str)>> {
    let slot = tokio::time::timeout(SLOT_TIMEOUT, SLOTS.acquire()).await;
    let Ok(Ok(_slot)) = slot else { return Err(Error::TooMany { retry_after_seconds: SLOT_TIMEOUT.as_secs() }) };
    let mut conn = app.pools.web.acquire().await?;
    let is_known = accounts::find(&mut conn, login).await?.is_some();
    let account = accounts::password_hash(&mut conn, login).await?;
    drop(conn);
    // What somebody types into the wrong field is not kept: it may be a password.
    let subject = if is_known { login.to_owned() } else { "unknown account".to_owned() };
    let throttled_as = reserve(app, login, address, headers).await?;
    let (user_id, hash) = account.map_or((None, None), |(user_id, hash)| (Some(user_id), Some(hash)));
    let fits = password::fits(password, hash).await?;
    let (app, headers) = (app.clone(), headers.clone());
    super::detached(async move {
        let now = app.now();
        let mut tx = app.pools.web.begin().await?;
        let (Some(user_id), true) = (user_id, fits) else {
            let from = address.to_string();
            audit::insert(&mut tx, now, &subject, &from, "sign_in_failed", &subject, json!({})).await?;
            tx.commit().await?;
            super::telemetry::count_sign_in_failure();
            return Ok(None);
        };
        sign_in_failures::forget(&mut tx, &throttle::account_key(&subject), &throttled_as).await?;
        let cookies = session::start(&mut tx, &app.config, &headers, user_id, now).await?;
        accounts::signed_in(&mut tx, user_id, now).await?;
        audit::insert(&mut tx, now, &subject, &address.to_string(), "sign_in", &subject, json!({})).await?;
        let home =
            accounts::get(&mut tx, user_id).await?.map_or("/", |account| home(account.role, account.also_finance));
        tx.commit().await?;
        Ok(Some((cookies, home)))
    })
    .await
}

/// Enters the try as failed, unless it has to wait. Gives what it was entered under: the address, or the browser where
/// this login has signed in in it before.
///
/// A login that nobody has waits exactly like one that somebody has: otherwise the waits would tell them apart.
pub(super) async fn reserve(
    app: &AppState,
    login: &str,
    address: ClientAddress,
    headers: &HeaderMap,
) -> Result<String> {
    let (app, login) = (app.clone(), login.to_owned());
    let browser = session::browser_sha256(&app.config, headers);
    super::detached(async move {
        let (now, account) = (app.now(), throttle::account_key(&login));
        let mut tx = app.pools.web.begin().await?;
        let known = match browser {
            Some(browser) => known_browsers::is_of(&mut *tx, &browser, &login).await?.then_some(browser),
            None => None,
        };
        let from = known.as_deref().map_or_else(|| address.throttle_key(), throttle::browser_key);
        let history = match known {
            Some(_) => sign_in_failures::history_of_browser(&mut tx, &account, &from, now, throttle::WINDOW).await?,
            None => sign_in_failures::history(&mut tx, &login, &account, &from, now, throttle::WINDOW).await?,
        };
        if let Some(retry_after_seconds) = throttle::wait_seconds(&history, now) {
            return Err(Error::TooMany { retry_after_seconds });
        }
        sign_in_failures::insert(&mut tx, &account, &from, now).await?;
        tx.commit().await?;
        Ok(from)
    })
    .await
}

async fn sign_out(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    headers: HeaderMap,
) -> Result<Response> {
    let cookie = session::removed_cookie(&app.config);
    super::detached(async move {
        let mut tx = app.pools.web.begin().await?;
        if let Some(sha256) = session::current_sha256(&app.config, &headers) {
            sessions::delete(&mut tx, &sha256).await?;
        }
        let (login, from) = (&principal.login, address.to_string());
        audit::insert(&mut tx, app.now(), login, &from, "sign_out", login, json!({})).await?;
        tx.commit().await
    })
    .await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/sign-in")).into_response())
}

/// The first page that this role may see.
pub fn home(role: Role, also_finance: bool) -> &'static str {
    match role {
        Role::Viewer | Role::Finance => "/",
        Role::Member => "/services",
        Role::Admin if also_finance => "/",
        Role::Admin => "/settings/users",
    }
}

/// The path when it is one of this site; anything else would send a reader who signs in elsewhere.
pub fn local_path(path: &str) -> Option<&str> {
    let is_local = path.starts_with('/')
        && !path.starts_with("//")
        && path.chars().all(|c| c.is_ascii_graphic() && c != '\\')
        && path.len() <= 2000;
    is_local.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn only_paths_of_this_site_are_returned_to() {
        assert_eq!(local_path("/services?days=28"), Some("/services?days=28"));
        for foreign in [
            "",
            "services",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nSet-Cookie: b",
            "/\t/e",
        ] {
            assert_eq!(local_path(foreign), None, "{foreign:?}");
        }
    }
}
