//! `/settings/tokens`: secrets for programs, shown once.

use super::account_changes::By;
use super::users::by;
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes};
use crate::store::tokens::{self, NewToken, TokenRow, TokenScope};
use crate::store::{Role, audit};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;

const TOKENS_SHOWN_MAX: i64 = 500;
/// The longest that a token with an end may live.
pub const DAYS_MAX: i64 = 3650;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/settings/tokens", Policy::SignedIn, list).post("/settings/tokens", Policy::SignedIn, add).post(
        "/settings/tokens/{token_id}/revoke",
        Policy::SignedIn,
        revoke,
    )
}

/// Whether a person of this role may hold a token of this scope. The role still decides what it can do.
pub fn may_hold(role: Role, scope: TokenScope) -> bool {
    match scope {
        TokenScope::Read => true,
        TokenScope::Ingest => role != Role::Viewer,
        TokenScope::Admin => matches!(role, Role::Finance | Role::Admin),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "tokens.html")]
struct TokensPage {
    page: Page,
    rows: Vec<TokenRow>,
    shows_everyones: bool,
    scopes: Vec<(TokenScope, &'static str)>,
    now: DateTime<Utc>,
}

const SCOPES: [(TokenScope, &str); 3] = [
    (TokenScope::Read, "read: ask for what you may see"),
    (TokenScope::Ingest, "ingest: send deployments and bills"),
    (TokenScope::Admin, "admin: both, and change catalog and rules"),
];

async fn list(State(app): State<AppState>, principal: Principal) -> Result<TokensPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let owner = if principal.is_admin() { None } else { Some(principal.user_id) };
    let rows = tokens::list(&mut snapshot, owner, TOKENS_SHOWN_MAX).await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Tokens", NavItem::Tokens).await?;
    let scopes = SCOPES.into_iter().filter(|(scope, _)| may_hold(principal.role, *scope)).collect();
    Ok(TokensPage { page, rows, shows_everyones: principal.is_admin(), scopes, now: app.now() })
}

#[derive(Deserialize)]
struct TokenForm {
    name: String,
    scope: TokenScope,
    #[serde(default)]
    expires_days: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "token.html")]
struct TokenPage {
    page: Page,
    name: String,
    scope: TokenScope,
    secret: String,
}

async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<TokenForm>,
) -> Result<TokenPage> {
    let expires_days = match form.expires_days.trim() {
        "" => None,
        days => Some(days.parse().unwrap_or(0)),
    };
    let wanted = Wanted { name: &form.name, scope: form.scope, expires_days };
    let owner = (principal.user_id, principal.role);
    let (name, made) = make(&app, by(&app, &principal, address), owner, wanted).await?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "New token", NavItem::Tokens).await?;
    Ok(TokenPage { page, name, scope: form.scope, secret: made.secret })
}

/// A token that somebody wants.
pub struct Wanted<'a> {
    /// What uses it.
    pub name: &'a str,
    /// What it may do.
    pub scope: TokenScope,
    /// Days until it ends; none for no end.
    pub expires_days: Option<i64>,
}

/// Makes a token of this owner, who is a person and a role; gives its name as it is kept.
pub async fn make(app: &AppState, by: By, owner: (i64, Role), wanted: Wanted<'_>) -> Result<(String, NewToken)> {
    let (name, scope, (user_id, role)) = (valid_name(wanted.name)?, wanted.scope, owner);
    if !may_hold(role, scope) {
        return Err(Error::Invalid(format!("Your role cannot have a token of scope {}.", scope.as_str())));
    }
    let expires_at = wanted.expires_days.map(|days| ends_at(by.now, days)).transpose()?;
    let (pools, kept_name) = (app.pools.clone(), name.clone());
    let made = super::detached(async move {
        let mut tx = pools.web.begin().await?;
        let made = tokens::insert(&mut tx, &kept_name, scope, user_id, by.now, expires_at).await?;
        let details = json!({"token_id": made.api_token_id, "scope": scope.as_str(), "expires_at": expires_at});
        audit::insert(&mut tx, by.now, &by.actor, &by.address, "token_created", &kept_name, details).await?;
        tx.commit().await?;
        Ok::<_, Error>(made)
    })
    .await?;
    Ok((name, made))
}

/// The name of a token, or why it cannot be one.
pub fn valid_name(text: &str) -> Result<String> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(Error::Invalid("name: 1 to 100 characters that say what uses the token.".into()));
    }
    Ok(name.to_owned())
}

/// When a token that lives for so many days ends.
pub fn ends_at(now: DateTime<Utc>, days: i64) -> Result<DateTime<Utc>> {
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(Error::Invalid(format!("expires_days: a number from 1 to {DAYS_MAX}, or nothing for no end.")));
    }
    Ok(now + TimeDelta::days(days))
}

async fn revoke(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(token_id): Path<i64>,
) -> Result<Redirect> {
    let owner = if principal.is_admin() { None } else { Some(principal.user_id) };
    end(&app, by(&app, &principal, address), owner, token_id).await?;
    Ok(Redirect::to("/settings/tokens"))
}

/// Ends a token, of this owner only where one is given.
pub async fn end(app: &AppState, by: By, owner: Option<i64>, token_id: i64) -> Result<()> {
    let pools = app.pools.clone();
    super::detached(async move {
        let mut tx = pools.web.begin().await?;
        // Someone else's token and none at all look the same.
        let (login, name) = tokens::revoke(&mut tx, token_id, owner, by.now).await?.ok_or(Error::NotFound)?;
        let details = json!({"token_id": token_id, "owner": login});
        audit::insert(&mut tx, by.now, &by.actor, &by.address, "token_revoked", &name, details).await?;
        tx.commit().await?;
        Ok(())
    })
    .await
}
