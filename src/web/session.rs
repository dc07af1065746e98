//! Who sends a request: the session of a cookie, or the owner of an API token.

use super::{AppState, Error, Principal, preferences, secret, transport};
use crate::api;
use crate::config::Config;
use crate::store::tokens::{self, TokenScope};
use crate::store::{known_browsers, sessions};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::AppendHeaders;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// A session that is not used for this long has ended.
pub const IDLE: TimeDelta = TimeDelta::hours(8);
/// A session ends this long after signing in, used or not.
pub const LIFETIME: TimeDelta = TimeDelta::hours(24);
/// A browser is known for this long after signing in; browsers keep no cookie for longer.
const BROWSER_LIFETIME: TimeDelta = TimeDelta::days(400);
/// "Last seen" is written at most this often.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

/// Who sends this request.
pub async fn authenticate(app: &AppState, headers: &HeaderMap) -> Result<Option<Principal>, Error> {
    let Some(sha256) = current_sha256(&app.config, headers) else { return Ok(None) };
    let now = app.now();
    let mut conn = app.pools.web.acquire().await?;
    let Some(owner) = sessions::find(&mut conn, &sha256, now, IDLE).await? else { return Ok(None) };
    drop(conn);
    if now - owner.last_seen_at > TOUCH_EVERY {
        let pools = app.pools.clone();
        super::detached(async move { sessions::touch(&mut *pools.web.acquire().await?, &sha256, now).await }).await?;
    }
    Ok(Some(Principal {
        user_id: owner.user_id,
        login: owner.login,
        role: owner.role,
        also_finance: owner.also_finance,
        team_ids: owner.team_ids,
        theme: preferences::theme(headers).into(),
    }))
}

/// The owner of the request's bearer token, when it is for `wanted`. A token is never read from a query string.
pub async fn authenticate_token(
    app: &AppState,
    headers: &HeaderMap,
    wanted: TokenScope,
) -> Result<Principal, api::Error> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| token.len() <= 200)
        .ok_or(api::Error::NoToken)?;
    let now = app.now();
    let mut conn = app.pools.web.acquire().await?;
    let owner = tokens::find(&mut conn, &secret::sha256(token), now).await?.ok_or(api::Error::NoToken)?;
    drop(conn);
    if owner.last_used_at.is_none_or(|used| now - used > TOUCH_EVERY) {
        let (pools, id) = (app.pools.clone(), owner.api_token_id);
        super::detached(async move { tokens::touch(&mut *pools.web.acquire().await?, id, now).await }).await?;
    }
    if !owner.scope.includes(wanted) {
        return Err(api::Error::Scope { has: owner.scope.as_str(), wants: wanted.as_str() });
    }
    Ok(Principal {
        user_id: owner.user_id,
        login: owner.login,
        role: owner.role,
        also_finance: owner.also_finance,
        team_ids: owner.team_ids,
        theme: String::new(),
    })
}

/// The cookies of an answer.
pub type Cookies = AppendHeaders<[(HeaderName, HeaderValue); 2]>;

/// Starts a session in place of the one that the browser had, and remembers the browser; the answer must set the cookies
/// that come back.
pub async fn start(
    conn: &mut PgConnection,
    config: &Config,
    headers: &HeaderMap,
    user_id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Cookies> {
    if let Some(old) = current_sha256(config, headers) {
        sessions::delete(&mut *conn, &old).await?;
    }
    let token = secret::random();
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let user_agent: String = user_agent.chars().take(200).collect();
    sessions::insert(&mut *conn, &secret::sha256(&token), user_id, now, LIFETIME, &user_agent).await?;
    // One that nobody has signed in with may have been planted.
    let known = match cookie(headers, browser_cookie_name(config)).filter(|value| value.len() == 64) {
        Some(browser) => known_browsers::is_known(&mut *conn, &secret::sha256(browser)).await?.then_some(browser),
        None => None,
    };
    let browser = known.map_or_else(secret::random, str::to_owned);
    known_browsers::remember(conn, &secret::sha256(&browser), user_id, now).await?;
    let session = set_cookie(config, cookie_name(config), &token, LIFETIME);
    let browser = set_cookie(config, browser_cookie_name(config), &browser, BROWSER_LIFETIME);
    Ok(AppendHeaders([(header::SET_COOKIE, session), (header::SET_COOKIE, browser)]))
}

/// What is stored of the browser in which somebody signed in, where this request names one.
pub fn browser_sha256(config: &Config, headers: &HeaderMap) -> Option<Vec<u8>> {
    cookie(headers, browser_cookie_name(config)).filter(|value| value.len() == 64).map(secret::sha256)
}

/// What is stored of the session in this request's cookie, whether it counts or not.
pub fn current_sha256(config: &Config, headers: &HeaderMap) -> Option<Vec<u8>> {
    cookie(headers, cookie_name(config)).filter(|value| value.len() == 64).map(secret::sha256)
}

/// Takes the cookie out of the browser.
pub fn removed_cookie(config: &Config) -> HeaderValue {
    set_cookie(config, cookie_name(config), "", TimeDelta::zero())
}

/// `__Host-` binds the cookie to this host and to HTTPS; browsers refuse it over plain HTTP, which is left for
/// this machine alone.
pub fn cookie_name(config: &Config) -> &'static str {
    if transport::is_https(config) { "__Host-session" } else { "session" }
}

fn browser_cookie_name(config: &Config) -> &'static str {
    if transport::is_https(config) { "__Host-browser" } else { "browser" }
}

fn set_cookie(config: &Config, name: &str, value: &str, lifetime: TimeDelta) -> HeaderValue {
    let max_age_seconds = lifetime.num_seconds();
    let secure = if transport::is_https(config) { " Secure;" } else { "" };
    let line = format!("{name}={value}; Path=/;{secure} HttpOnly; SameSite=Lax; Max-Age={max_age_seconds}");
    HeaderValue::try_from(line).expect("a name, hexadecimal digits and attributes are visible ASCII")
}

/// The first cookie of this name.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}
