//! What every answer carries, errors and panics too: security headers, a request id, compression, a log line and
//! its place in the metrics. More requests at once than the service can work on are turned away early.

use super::slots::Slots;
use super::{AppState, Error, error, request_id, telemetry, transport, webhooks};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use std::any::Any;
use std::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tracing::Instrument;

/// Requests that are worked on at once; each page needs one of a few database connections.
const REQUESTS_MAX: usize = 512;
/// Requests whose bodies are waited for at once: as many connections as there may be from four addresses.
const COMING_BODIES_MAX: usize = 2_048;

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

#[derive(Clone)]
struct Guard {
    slots: Slots,
    is_https: bool,
}

/// Puts the layers around the routes.
pub fn wrap(router: Router, app: &AppState) -> Router {
    let guard =
        Guard { slots: Slots::new(REQUESTS_MAX, COMING_BODIES_MAX), is_https: transport::is_https(&app.config) };
    // A file that is packed twice is unpacked once by some browsers.
    let not_packed = NotForContentType::const_new("application/gzip");
    let compression = CompressionLayer::new().compress_when(DefaultPredicate::new().and(not_packed));
    // As one: each layer that is put around routes by itself costs every request a box and a copy of what it carries.
    router.layer((from_fn_with_state(guard, around), compression, CatchPanicLayer::custom(panicked)))
}

// The panic itself is in the log by the panic hook; the reader gets the neutral sentence.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Error::Internal(anyhow::anyhow!("a handler panicked")).into_response()
}

async fn around(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id::new();
    // The path as the registry writes it: what stands in the place of {link} is a secret.
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let method = telemetry::method_label(request.method());
    let span = tracing::info_span!("request", request.id = %id, http.method = method, http.route = %route);
    let is_read = request.method().is_safe();
    let answer = request_id::with(id.clone(), is_read, async {
        let is_health = matches!(route.as_str(), "/healthz" | "/readyz");
        let Some(slot) = guard.slots.take() else {
            if is_health {
                return next.run(request).await;
            }
            return busy();
        };
        let response = next.run(slot.left_while_body_comes(request)).await;
        if slot.is_turned_away() { busy() } else { response }
    });
    let mut response = answer.instrument(span.clone()).await;
    secure(response.headers_mut(), guard.is_https);
    if let Ok(id) = HeaderValue::try_from(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let status = response.status().as_u16();
    telemetry::count_request(method, &route, status, began.elapsed());
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let _entered = span.enter();
    if is_told(&route, status) {
        tracing::info!(http.status = status, duration_ms, "{method} {route} {status} in {duration_ms} ms");
    } else {
        tracing::debug!(http.status = status, duration_ms, "{method} {route} {status} in {duration_ms} ms");
    }
    response
}

// A webhook that was stored is a row with its time, sender and headers: in a flood a line beside it, written while others
// wait, costs more than checking its signature. All else is told.
fn is_told(route: &str, status: u16) -> bool {
    route != webhooks::PATH || !(200..300).contains(&status)
}

fn busy() -> Response {
    let sentence = "Too many requests are being worked on just now. Try again in a moment.".to_owned();
    let mut response = error::page(StatusCode::SERVICE_UNAVAILABLE, sentence);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

fn secure(headers: &mut HeaderMap, is_https: bool) {
    // All of these, an id, and what the server adds.
    headers.reserve(12);
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "same-origin");
    set(CROSS_ORIGIN_OPENER_POLICY, "same-origin");
    set(CROSS_ORIGIN_RESOURCE_POLICY, "same-origin");
    set(PERMISSIONS_POLICY, "camera=(), geolocation=(), microphone=(), payment=(), usb=()");
    if is_https {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
}

#[cfg(test)]
mod tests {
    use super::{is_told, webhooks};

    #[test]
    fn only_webhooks_that_were_taken_have_no_line() {
        assert!(!is_told(webhooks::PATH, 202) && !is_told(webhooks::PATH, 200));
        assert!(is_told(webhooks::PATH, 401) && is_told(webhooks::PATH, 429) && is_told(webhooks::PATH, 503));
        assert!(is_told("/overview", 200));
    }
}
