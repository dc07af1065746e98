//! What every answer carries, errors and panics too: security headers, a request id, compression, a log line and
//! its place in the metrics. More requests at once than the service can work on are turned away early. Webhooks have
//! less around them: of what they need not, a flood would pay for each.

use super::slots::Slots;
use super::{AppState, Error, error, request_id, telemetry, transport, webhooks};
use crate::api;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use metrics::SharedString;
use std::any::Any;
use std::sync::Arc;
use std::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::timeout::TimeoutLayer;
use tracing::{Instrument, Level, Span};

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

/// Puts around a place that other systems post to what it has instead of the layers of pages. It counts its requests by
/// itself, reads their bodies only so far as it has room, and answers with few bytes of JSON.
pub fn wrap_webhook(route: MethodRouter<AppState>, app: &AppState, time_limit: TimeoutLayer) -> MethodRouter<AppState> {
    let mut carried = HeaderMap::new();
    secure(&mut carried, transport::is_https(&app.config));
    // Replaced in each answer, in a map that has room for them.
    carried.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    carried.insert(REQUEST_ID, HeaderValue::from_static(""));
    let around = from_fn_with_state(Arc::new(carried), around_webhook);
    route.layer((around, CatchPanicLayer::custom(panicked_at_webhook), time_limit))
}

// The panic itself is in the log by the panic hook; the reader gets the neutral sentence.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Error::Internal(anyhow::anyhow!("a handler panicked")).into_response()
}

fn panicked_at_webhook(_: Box<dyn Any + Send + 'static>) -> Response {
    api::Error::from(Error::Internal(anyhow::anyhow!("a handler panicked"))).into_response()
}

/// A request while it is answered.
struct Asked {
    began: Instant,
    id: String,
    method: &'static str,
    /// The path as the registry writes it: what stands in the place of {link} is a secret.
    route: SharedString,
}

impl Asked {
    fn new(method: &Method, route: SharedString) -> Self {
        Self { began: Instant::now(), id: request_id::new(), method: telemetry::method_label(method), route }
    }

    fn is_health(&self) -> bool {
        matches!(&*self.route, "/healthz" | "/readyz")
    }

    fn span(&self) -> Span {
        let Self { id, method, route, .. } = self;
        tracing::info_span!("request", request.id = %id, http.method = method, http.route = %route)
    }

    // The answer with its number, counted and told.
    fn answered(self, mut response: Response, span: impl FnOnce(&Self) -> Span) -> Response {
        let (status, took) = (response.status().as_u16(), self.began.elapsed());
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let is_told = is_told(&self.route, status);
        if is_told || tracing::enabled!(Level::DEBUG) {
            let _entered = span(&self).entered();
            let (method, route) = (self.method, &self.route);
            if is_told {
                tracing::info!(http.status = status, duration_ms, "{method} {route} {status} in {duration_ms} ms");
            } else {
                tracing::debug!(http.status = status, duration_ms, "{method} {route} {status} in {duration_ms} ms");
            }
        }
        let Self { id, method, route, .. } = self;
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        telemetry::count_request(method, route, status, took);
        response
    }
}

// Most webhooks have no line in the log, and those no span: what is logged while one is answered makes its own, by the id
// that the task carries. What each answer carries is one map, copied, instead of headers that are put in one by one.
async fn around_webhook(State(carried): State<Arc<HeaderMap>>, request: Request, next: Next) -> Response {
    let asked = Asked::new(request.method(), SharedString::const_str(webhooks::PATH));
    let answer = async { error::as_json(next.run(request).await).await };
    let mut response = request_id::with(asked.id.clone(), false, answer).await;
    let own = std::mem::replace(response.headers_mut(), HeaderMap::clone(&carried));
    response.headers_mut().extend(own);
    asked.answered(response, Asked::span)
}

async fn around(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let asked = Asked::new(request.method(), route.into());
    let (span, is_read) = (asked.span(), request.method().is_safe());
    let answer = request_id::with(asked.id.clone(), is_read, async {
        let Some(slot) = guard.slots.take() else {
            if asked.is_health() {
                return next.run(request).await;
            }
            return busy();
        };
        let response = next.run(slot.left_while_body_comes(request)).await;
        if slot.is_turned_away() { busy() } else { response }
    });
    let mut response = answer.instrument(span.clone()).await;
    secure(response.headers_mut(), guard.is_https);
    asked.answered(response, |_| span)
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
