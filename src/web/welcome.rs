//! One-time links: the first administrator, an invitation, a lost password. Opening a link changes nothing (mail
//! programs open links too); setting the password uses it up.

use super::{AppState, ClientAddress, Error, Policy, Result, Routes};
use super::{password, preferences, secret, session, sign_in, transport, unknown_keys};
use crate::config::Config;
use crate::store::{Pools, Role, accounts, audit, sign_in_links};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;
use sqlx::PgConnection;
use std::path::PathBuf;

/// The first administrator's link works this long.
pub const BOOTSTRAP_LIFETIME: TimeDelta = TimeDelta::hours(1);
/// Every other link works this long.
pub const INVITATION_LIFETIME: TimeDelta = TimeDelta::hours(24);
const FIRST_LOGIN: &str = "admin";

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/welcome/{link}", Policy::Public, show).post("/welcome/{link}", Policy::Public, set_password)
}

#[derive(Template, WebTemplate)]
#[template(path = "welcome.html")]
struct WelcomePage {
    theme: &'static str,
    link: String,
    login: String,
    message: String,
    /// Names the keys of the address: the page knows none.
    note: String,
}

impl WelcomePage {
    fn new(headers: &HeaderMap, link: String, login: String, message: String) -> Self {
        Self { theme: preferences::theme(headers), link, login, message, note: unknown_keys::note(&[]) }
    }
}

async fn show(
    State(app): State<AppState>,
    Path(link): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<WelcomePage> {
    transport::may_sign_in(&app.config, &uri, &headers)?;
    let mut conn = app.pools.web.acquire().await?;
    let login = sign_in_links::find(&mut conn, &secret::sha256(&link), app.now()).await?.ok_or(Error::NotFound)?;
    Ok(WelcomePage::new(&headers, link, login, String::new()))
}

#[derive(Deserialize)]
struct PasswordForm {
    password: String,
    password_again: String,
}

async fn set_password(
    State(app): State<AppState>,
    Path(link): Path<String>,
    address: ClientAddress,
    uri: Uri,
    headers: HeaderMap,
    Form(form): Form<PasswordForm>,
) -> Result<Response> {
    transport::may_sign_in(&app.config, &uri, &headers)?;
    let sha256 = secret::sha256(&link);
    let mut conn = app.pools.web.acquire().await?;
    let login = sign_in_links::find(&mut conn, &sha256, app.now()).await?.ok_or(Error::NotFound)?;
    drop(conn);
    let problem = match password::check(&form.password, &login) {
        Err(error) => Some(error.to_string()),
        Ok(()) if form.password != form.password_again => Some("The two passwords differ.".into()),
        Ok(()) => None,
    };
    if let Some(message) = problem {
        let page = WelcomePage::new(&headers, link, login, message);
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let hash = password::hash(form.password).await?;
    super::detached(async move {
        let now = app.now();
        let mut tx = app.pools.web.begin().await?;
        let (user_id, login) = sign_in_links::consume(&mut tx, &sha256, now).await?.ok_or(Error::NotFound)?;
        accounts::set_password(&mut tx, user_id, &hash, now).await?;
        let cookies = session::start(&mut tx, &app.config, &headers, user_id, now).await?;
        accounts::signed_in(&mut tx, user_id, now).await?;
        let from = address.to_string();
        audit::insert(&mut tx, now, &login, &from, "password_set_by_link", &login, json!({})).await?;
        audit::insert(&mut tx, now, &login, &from, "sign_in", &login, json!({})).await?;
        let account = accounts::get(&mut tx, user_id).await?;
        tx.commit().await?;
        // The first link is used up; the file that carried it has no more use.
        let _ = tokio::fs::remove_file(bootstrap_file(&app.config)).await;
        let home = account.map_or("/", |account| sign_in::home(account.role, account.also_finance));
        Ok((cookies, Redirect::to(home)).into_response())
    })
    .await
}

/// Makes a link for a person and returns its path; older links of theirs no longer work.
pub async fn new_link(
    conn: &mut PgConnection,
    user_id: i64,
    now: DateTime<Utc>,
    lifetime: TimeDelta,
) -> sqlx::Result<String> {
    let link = secret::random();
    sign_in_links::insert(conn, &secret::sha256(&link), user_id, now, lifetime).await?;
    Ok(format!("/welcome/{link}"))
}

/// On a new installation (nobody has a password) the path of a link for the first administrator, with finance;
/// works for an hour. Each start makes a new one until one is used.
pub async fn bootstrap_link(pools: &Pools, now: DateTime<Utc>) -> anyhow::Result<Option<String>> {
    let mut tx = pools.web.begin().await?;
    if !accounts::is_new_installation(&mut tx).await? {
        return Ok(None);
    }
    let user_id = match accounts::find(&mut tx, FIRST_LOGIN).await? {
        Some(user_id) => user_id,
        None => {
            let first = accounts::NewAccount {
                login: FIRST_LOGIN.into(),
                display_name: "Administrator".into(),
                role: Role::Admin,
                also_finance: true,
                team_ids: Vec::new(),
            };
            accounts::insert(&mut tx, &first, now).await?
        }
    };
    let path = new_link(&mut tx, user_id, now, BOOTSTRAP_LIFETIME).await?;
    audit::insert(&mut tx, now, audit::PROGRAM, "", "link_created", FIRST_LOGIN, json!({"for": "first sign-in"}))
        .await?;
    tx.commit().await?;
    Ok(Some(path))
}

/// What `serve` does at start: makes the first link when one is needed, writes it to a file that only this
/// user can read, and returns the whole address to be printed once.
pub async fn announce_bootstrap(app: &AppState) -> anyhow::Result<Option<String>> {
    let Some(path) = bootstrap_link(&app.pools, app.now()).await? else { return Ok(None) };
    let address = address_of(&app.config, &path);
    write_private(bootstrap_file(&app.config), format!("{address}\n")).await?;
    Ok(Some(address))
}

/// Notes where the pages are served, for commands beside the server that print links.
pub async fn note_address(config: &Config) -> std::io::Result<()> {
    tokio::fs::write(address_file(config), address_of(config, "")).await
}

/// A path as a reader opens it, for a command beside the server: where that serves, or served last.
pub fn address_beside(config: &Config, path: &str) -> String {
    let noted = std::fs::read_to_string(address_file(config)).ok().filter(|_| config.public_url.is_none());
    match noted.as_deref().map(str::trim).filter(|noted| noted.starts_with("http://")) {
        Some(noted) => format!("{noted}{path}"),
        None => address_of(config, path),
    }
}

fn address_file(config: &Config) -> PathBuf {
    config.data_dir().join("address")
}

/// A path as a reader opens it.
pub fn address_of(config: &Config, path: &str) -> String {
    match &config.public_url {
        Some(url) => format!("{}{path}", url.trim_end_matches('/')),
        None => format!("http://{}{path}", config.listen),
    }
}

/// Where the first link lies until it is used.
pub fn bootstrap_file(config: &Config) -> PathBuf {
    config.data_dir().join("first-sign-in-link")
}

async fn write_private(path: PathBuf, text: String) -> anyhow::Result<()> {
    use anyhow::Context;
    use tokio::io::AsyncWriteExt;
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await.with_context(|| format!("making {}", folder.display()))?;
    }
    // A file left from before may have other rights: it is made anew.
    let _ = tokio::fs::remove_file(&path).await;
    let mut options = tokio::fs::OpenOptions::new();
    let written = async {
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path).await?;
        file.write_all(text.as_bytes()).await?;
        file.sync_all().await
    };
    written.await.with_context(|| format!("writing {}", path.display()))
}
