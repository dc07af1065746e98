//! Refuses changes that another site made a reader's browser send.

use axum::http::{HeaderMap, Method, header};
use tower_http::csrf::CsrfLayer;

/// The check by Sec-Fetch-Site and Origin; the public address counts as this site, whatever a proxy writes into Host.
pub fn layer(public_url: Option<&str>) -> CsrfLayer {
    let origin = public_url.and_then(origin_of);
    let layer = CsrfLayer::new();
    match origin.map(|origin| CsrfLayer::new().add_trusted_origin(origin)) {
        Some(Ok(trusting)) => trusting,
        // A public address that is no origin is reported at start; nothing more is trusted because of it.
        Some(Err(_)) | None => layer,
    }
}

/// The layer lets a request pass that carries neither header, for the sake of programs. Programs use tokens
/// here; on pages both missing is a sign of something old or made up.
pub fn names_its_site(method: &Method, headers: &HeaderMap) -> bool {
    method.is_safe() || headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN)
}

/// `https://costs.example.com/x` → `https://costs.example.com`.
pub fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
    Some(format!("{}://{}", scheme.to_ascii_lowercase(), authority.to_ascii_lowercase()))
}
