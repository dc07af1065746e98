//! Files of pages for programs: a token of read scope opens them as its owner would, by the same policy and with the same
//! money. Pages themselves are for people who are signed in.

use super::error::{self, Error};
use super::{AppState, Policy, beside, session};
use crate::api;
use crate::store::tokens::TokenScope;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{self, HeaderName};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What files end with. A workbook is asked for as a CSV by the time it comes here, and so is JSON, but for receipts.
const SUFFIXES: [&str; 3] = [".csv", ".csv.gz", ".json"];

/// Whether a request without a session is that of a program with a token. A proxy may send one of its own with all that a
/// browser asks for: that still has to sign in.
pub(super) fn is_of_program(request: &Request) -> bool {
    let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let scheme = text(header::AUTHORIZATION).and_then(|value| value.split_once(' ')).map(|(scheme, _)| scheme);
    let is_browser = text(header::ACCEPT).is_some_and(|kinds| kinds.contains("text/html"));
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer")) && (asks_for_file(request) || !is_browser)
}

/// Answers it: with the file, or in JSON why not.
pub(super) async fn answer(app: &AppState, policy: Policy, mut request: Request, next: Next) -> Response {
    if !asks_for_file(&request) {
        return api::Error::NoPage.into_response();
    }
    let principal = match session::authenticate_token(app, request.headers(), TokenScope::Read).await {
        Ok(principal) => principal,
        Err(refused) => return refused.into_response(),
    };
    if !policy.allows(&principal) {
        return api::Error::from(Error::Forbidden).into_response();
    }
    request.extensions_mut().insert(principal);
    let answer = error::as_json(beside::for_program(next.run(request)).await).await;
    // A name may end like a file and its address be a page.
    if answer.status().is_success() && !is_file(answer.headers()) {
        return api::Error::NoPage.into_response();
    }
    answer
}

fn asks_for_file(request: &Request) -> bool {
    let path = request.uri().path();
    request.method().is_safe() && SUFFIXES.iter().any(|suffix| path.ends_with(suffix))
}

fn is_file(headers: &HeaderMap) -> bool {
    let begins =
        |name: HeaderName, with: &[u8]| headers.get(name).is_some_and(|value| value.as_bytes().starts_with(with));
    begins(header::CONTENT_DISPOSITION, b"attachment") || begins(header::CONTENT_TYPE, b"application/json")
}
