//! `/settings/profile`: the own password and sessions.

use super::users::by;
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, unknown_keys};
use super::{password, session, sign_in, throttle};
use crate::store::accounts::{self, TeamChoice};
use crate::store::sessions::{self, SessionRow};
use crate::store::{audit, sign_in_failures};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/settings/profile", Policy::SignedIn, show)
        .post("/settings/profile/password", Policy::SignedIn, change_password)
        .post("/settings/profile/end-sessions", Policy::SignedIn, end_sessions)
}

#[derive(Template, WebTemplate)]
#[template(path = "profile.html")]
struct ProfilePage {
    page: Page,
    role: &'static str,
    teams: String,
    sessions: Vec<SessionRow>,
    message: String,
    done: &'static str,
}

#[derive(Deserialize)]
struct ProfileQuery {
    #[serde(default)]
    done: String,
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    headers: HeaderMap,
    Query(query): Query<ProfileQuery>,
) -> Result<ProfilePage> {
    let done = match query.done.as_str() {
        "password" => "Your password is changed; other sessions and all your tokens have ended.",
        "sessions" => "Your other sessions have ended.",
        _ => "",
    };
    page(&app, &principal, &headers, String::new(), done).await
}

async fn page(
    app: &AppState,
    principal: &Principal,
    headers: &HeaderMap,
    message: String,
    done: &'static str,
) -> Result<ProfilePage> {
    let mut snapshot = app.pools.snapshot().await?;
    let this = session::current_sha256(&app.config, headers).unwrap_or_default();
    let sessions = sessions::list(&mut snapshot, principal.user_id, &this, app.now(), session::IDLE).await?;
    let teams = accounts::team_choices(&mut snapshot).await?;
    let is_own = |team: &&TeamChoice| principal.team_ids.contains(&team.team_id);
    let teams: Vec<&str> = teams.iter().filter(is_own).map(|team| team.name.as_str()).collect();
    let teams = teams.join(", ");
    let role = super::account_changes::role_name(principal.role, principal.also_finance);
    let page = Page::new(app, principal, &mut snapshot, "Profile", NavItem::None).await?;
    let page = page.noting(unknown_keys::of::<ProfileQuery>());
    Ok(ProfilePage { page, role, teams, sessions, message, done })
}

#[derive(Deserialize)]
struct PasswordForm {
    current: String,
    password: String,
    password_again: String,
}

async fn change_password(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    headers: HeaderMap,
    Form(form): Form<PasswordForm>,
) -> Result<Response> {
    // A stolen session must not be a way to guess the password: tries count as sign-ins do.
    let throttled_as = sign_in::reserve(&app, &principal.login, address, &headers).await?;
    let mut conn = app.pools.web.acquire().await?;
    let hash = accounts::own_password_hash(&mut conn, principal.user_id).await?;
    drop(conn);
    let problem = if !password::fits(form.current, hash).await? {
        Some("The current password is wrong.".to_owned())
    } else if form.password != form.password_again {
        Some("The two new passwords differ.".to_owned())
    } else {
        password::check(&form.password, &principal.login).err().map(|error| error.to_string())
    };
    if let Some(message) = problem {
        let page = page(&app, &principal, &headers, message, "").await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    let hash = password::hash(form.password).await?;
    let by = by(&app, &principal, address);
    let cookies = super::detached(async move {
        let mut tx = app.pools.web.begin().await?;
        accounts::set_password(&mut tx, principal.user_id, &hash, by.now).await?;
        sign_in_failures::forget(&mut tx, &throttle::account_key(&principal.login), &throttled_as).await?;
        let cookies = session::start(&mut tx, &app.config, &headers, principal.user_id, by.now).await?;
        let login = &principal.login;
        audit::insert(&mut tx, by.now, login, &by.address, "password_changed", login, json!({})).await?;
        tx.commit().await?;
        Ok::<_, Error>(cookies)
    })
    .await?;
    Ok((cookies, Redirect::to("/settings/profile?done=password")).into_response())
}

async fn end_sessions(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    headers: HeaderMap,
) -> Result<Redirect> {
    let by = by(&app, &principal, address);
    super::detached(async move {
        let mut tx = app.pools.web.begin().await?;
        let this = session::current_sha256(&app.config, &headers).unwrap_or_default();
        let ended = sessions::delete_others(&mut tx, principal.user_id, &this).await?;
        let (login, details) = (&principal.login, json!({"ended": ended}));
        audit::insert(&mut tx, by.now, login, &by.address, "sessions_ended", login, details).await?;
        tx.commit().await
    })
    .await?;
    Ok(Redirect::to("/settings/profile?done=sessions"))
}
