//! `/v1/metrics`: OTLP over HTTP, where exporters send it. Protobuf or JSON, plain or as gzip.

use super::error::{Error, ErrorBody, Result};
use crate::rollup::otlp::{self as rollup, OtlpReport};
use crate::usage::otlp;
use crate::web::metrics::from_usage;
use crate::web::{ApiPolicy, AppState, Policy, Routes, detached};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use serde_json::json;
use std::io::Read;

/// A request as it is sent.
const BODY_BYTES_MAX: usize = 4 << 20;
/// A request unpacked.
const UNPACKED_BYTES_MAX: u64 = 32 << 20;
const PROTOBUF: &str = "application/x-protobuf";

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.api_post_sized("/v1/metrics", ApiPolicy::ingest(Policy::SignedIn), BODY_BYTES_MAX, export)
}

/// Send metrics by OTLP. A value belongs to the service that the attributes of its resource name, as `service.name`
/// and `deployment.environment.name`; what cannot be taken is answered as rejected, with the reason, and counted on
/// the page of metrics. What comes again counts once, and what comes late counts as long as it is known that it did
/// not come before.
#[utoipa::path(post, operation_id = "export_otlp_metrics", path = "/v1/metrics", tag = "metrics", request_body(
    content = String, content_type = "application/x-protobuf", description = "ExportMetricsServiceRequest"), responses(
    (status = 200, description = "ExportMetricsServiceResponse"), (status = 415, body = ErrorBody),
    (status = 400, body = ErrorBody)))]
pub async fn export(State(app): State<AppState>, headers: HeaderMap, body: Bytes) -> Result<Response> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = kind == "application/json";
    if !is_json && kind != PROTOBUF {
        let words = format!("Send OTLP as {PROTOBUF} or application/json, not as “{kind}”.");
        return Ok((StatusCode::UNSUPPORTED_MEDIA_TYPE, Json(ErrorBody { error: words })).into_response());
    }
    let body = unpacked(&headers, body)?;
    let decoded = if is_json { otlp::json(&body) } else { otlp::protobuf(&body) };
    let decoded = decoded.map_err(undecodable)?;
    let report = detached(async move { rollup::take(&app.pools, &decoded, app.now()).await }).await;
    Ok(answer(is_json, &report.map_err(from_usage)?))
}

// OTLP wants 400 for what cannot be decoded: a sender does not try it again.
fn undecodable(words: String) -> Error {
    Error::Web(crate::web::Error::Invalid(words))
}

fn unpacked(headers: &HeaderMap, body: Bytes) -> Result<Vec<u8>> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|encoding| encoding.to_str().unwrap_or("?"));
    match encoding {
        None | Some("identity") => Ok(body.into()),
        Some("gzip") => {
            let mut unpacked = Vec::new();
            let read = GzDecoder::new(&*body).take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut unpacked);
            read.map_err(|_| undecodable("The body is not gzip.".into()))?;
            if unpacked.len() as u64 > UNPACKED_BYTES_MAX {
                let mebibytes = UNPACKED_BYTES_MAX >> 20;
                return Err(undecodable(format!("The body unpacks to more than {mebibytes} MiB.")));
            }
            Ok(unpacked)
        }
        Some(_) => Err(undecodable("Send the body plain or as gzip.".into())),
    }
}

// What came before is no fault: a sender that tries again is told that all is well.
fn answer(is_json: bool, report: &OtlpReport) -> Response {
    let count = report.lost_count();
    let reasons: Vec<String> =
        report.lost.iter().map(|(reason, count)| format!("{count}: {}", reason.sentence())).collect();
    let message = match count {
        0 => String::new(),
        1 => format!("One value was not taken. {} See the page of metrics.", reasons.join(" ")),
        _ => format!("{count} values were not taken. {} See the page of metrics.", reasons.join(" ")),
    };
    if !is_json {
        return ([(header::CONTENT_TYPE, PROTOBUF)], otlp::answer(count, &message)).into_response();
    }
    let body = match count {
        0 => json!({}),
        // OTLP writes 64-bit numbers as text.
        _ => json!({ "partialSuccess": { "rejectedDataPoints": count.to_string(), "errorMessage": message } }),
    };
    Json(body).into_response()
}
