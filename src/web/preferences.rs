//! What a reader chose for this browser: light or dark, kept in a cookie.

use super::session::cookie;
use super::sign_in::local_path;
use super::{AppState, Error, Policy, Result, Routes, transport};
use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

const COOKIE: &str = "theme";
const A_YEAR_SECONDS: i64 = 365 * 24 * 3600;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.post("/preferences", Policy::Public, save)
}

/// The chosen theme: `light`, `dark`, or empty for the system's.
pub fn theme(headers: &HeaderMap) -> &'static str {
    match cookie(headers, COOKIE) {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "",
    }
}

#[derive(Deserialize)]
struct PreferencesForm {
    theme: String,
}

async fn save(State(app): State<AppState>, headers: HeaderMap, Form(form): Form<PreferencesForm>) -> Result<Response> {
    let theme = match (form.theme.as_str(), theme(&headers)) {
        ("light", _) | ("toggle", "dark") => "light",
        ("dark", _) | ("toggle", _) => "dark",
        ("auto", _) => "",
        _ => return Err(Error::Invalid("theme: light, dark, toggle or auto.".into())),
    };
    let max_age = if theme.is_empty() { 0 } else { A_YEAR_SECONDS };
    let secure = if transport::is_https(&app.config) { " Secure;" } else { "" };
    let line = format!("{COOKIE}={theme}; Path=/;{secure} HttpOnly; SameSite=Lax; Max-Age={max_age}");
    Ok(([(header::SET_COOKIE, line)], Redirect::to(&came_from(&headers))).into_response())
}

// Only the path of the page before is used: whatever host it names, the reader stays here.
fn came_from(headers: &HeaderMap) -> String {
    let referer = headers.get(header::REFERER).and_then(|value| value.to_str().ok()).unwrap_or("/");
    let path = referer.split_once("://").map_or(referer, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    local_path(path).unwrap_or("/").to_owned()
}
