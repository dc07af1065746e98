//! `/api/v1/sources/{name}/deliveries/{delivery}`: a program hands a bill in part by part.
//!
//! A part is answered once its file and its row are on disk; sending it again changes nothing. A commit names every
//! part with its hash, so that what is read is what was meant; sending it again gives the same answer, and one that says
//! anything else is refused.

use super::catalogue::DeletedName;
use super::error::{Error, ErrorBody, Result};
use super::push_commit::{Commit, fingerprint, parts_fault, says_the_same};
use crate::store::pushes::{self, Part, Push};
use crate::store::source_settings::{self, SourceSetting};
use crate::store::sources::{self, Upload};
use crate::store::{audit, jobs};
use crate::web::spool::{self, Spooled};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes, detached};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::PathBuf;

/// The largest part.
const PART_BYTES_MAX: usize = 5 << 30;
/// Parts of a delivery.
const PARTS_MAX: i32 = 1000;
/// Deliveries of a source that are not committed.
const OPEN_MAX: i64 = 50;
const NAME_BYTES_MAX: usize = 200;
const DELIVERY_PATH: &str = "/api/v1/sources/{name}/deliveries/{delivery}";

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let ingest = ApiPolicy::ingest(Policy::Bills);
    routes
        .api_get(DELIVERY_PATH, ingest, show)
        .api_delete(DELIVERY_PATH, ingest, discard)
        .api_put_upload("/api/v1/sources/{name}/deliveries/{delivery}/parts/{number}", ingest, PART_BYTES_MAX, put)
        .api_post("/api/v1/sources/{name}/deliveries/{delivery}/commit", ingest, commit)
}

/// A part that is stored.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct StoredPart {
    /// From 1.
    pub number: i32,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: i64,
    /// When it was stored.
    pub received_at: DateTime<Utc>,
}

/// A delivery that is handed in, as it stands.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct PushedDelivery {
    /// The source.
    pub source: String,
    /// What its sender calls it.
    pub delivery: String,
    /// Whether it was committed.
    pub is_committed: bool,
    /// The parts that are stored: one that is missing here must be sent (again).
    pub parts: Vec<StoredPart>,
    /// The number of its receipt, once it is committed.
    pub delivery_id: Option<i64>,
    /// `waiting`, `loading`, `published`, `unchanged`, `quarantined`, `refused`, `failed`, `withdrawn` or `superseded`,
    /// once it is committed.
    pub state: Option<String>,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// The page of its receipt.
    pub receipt: Option<String>,
}

/// The hash that a part must have.
#[derive(Debug, Deserialize)]
pub struct Expected {
    sha256: Option<String>,
}

async fn push_source(app: &AppState, name: &str, delivery: &str) -> Result<SourceSetting> {
    let is_good = !delivery.trim().is_empty()
        && delivery.len() <= NAME_BYTES_MAX
        && !delivery.chars().any(|c| c.is_control() || c == '/');
    if !is_good {
        return Err(Error::Unprocessable(format!(
            "The name of a delivery is plain text of 1 to {NAME_BYTES_MAX} bytes without a slash."
        )));
    }
    let mut conn = app.pools.web.acquire().await?;
    let source = source_settings::find(&mut *conn, name).await?.ok_or(web::Error::NotFound)?;
    if !source.is_push() {
        return Err(
            web::Error::Conflict("This source is not one of the kind push: set up another for it.".into()).into()
        );
    }
    if source.is_paused {
        return Err(web::Error::Conflict("This source is paused: nothing is taken until it goes on.".into()).into());
    }
    Ok(source)
}

/// A delivery that is handed in: which parts are stored, and what became of it.
#[utoipa::path(get, path = "/api/v1/sources/{name}/deliveries/{delivery}", tag = "bills",
    params(("name" = String, Path, description = "The source"), ("delivery" = String, Path, description = "The sender's name for the delivery")),
    responses((status = 200, body = PushedDelivery), (status = 404, body = ErrorBody)))]
pub async fn show(
    State(app): State<AppState>,
    Path((name, delivery)): Path<(String, String)>,
) -> Result<Json<PushedDelivery>> {
    let source = push_source(&app, &name, &delivery).await?;
    Ok(Json(described(&app, &source, &delivery).await?))
}

async fn described(app: &AppState, source: &SourceSetting, delivery: &str) -> Result<PushedDelivery> {
    let mut conn = app.pools.web.acquire().await?;
    let push = pushes::find(&mut *conn, source.source_id, delivery).await?.ok_or(web::Error::NotFound)?;
    let parts = pushes::parts(&mut *conn, push.push_delivery_id).await?;
    let stored = |part: Part| StoredPart {
        number: part.number,
        sha256: part.sha256,
        bytes: part.file_bytes,
        received_at: part.received_at,
    };
    Ok(PushedDelivery {
        source: source.setting.name.clone(),
        delivery: push.name,
        is_committed: push.committed_at.is_some(),
        parts: parts.into_iter().map(stored).collect(),
        delivery_id: push.delivery_id,
        state: push.state,
        reason: push.reason,
        receipt: push.delivery_id.map(|id| format!("/deliveries/{id}")),
    })
}

/// Store a part. The body is the file's bytes, plain or packed; sending the same part again changes nothing, another
/// one of its number takes its place until the delivery is committed. To go on after a break, ask which parts are
/// stored and send the others.
#[utoipa::path(put, path = "/api/v1/sources/{name}/deliveries/{delivery}/parts/{number}", tag = "bills",
    params(("name" = String, Path, description = "The source, of the kind push"),
        ("delivery" = String, Path, description = "The sender's name for the delivery, for example the period and the run"),
        ("number" = i32, Path, description = "From 1 to 1000"),
        ("sha256" = String, Query, description = "SHA-256 of the body in hexadecimal; a body with another is refused")),
    request_body(content = String, content_type = "application/octet-stream", description = "A bill or a part of one, at most 5 GiB"),
    responses((status = 200, description = "It was stored already", body = PushedDelivery),
        (status = 201, description = "Stored", body = PushedDelivery), (status = 404, body = ErrorBody),
        (status = 409, description = "The delivery is committed, or the source is paused", body = ErrorBody),
        (status = 507, description = "The disk of the server does not take it; nothing of it was kept", body = ErrorBody),
        (status = 422, description = "The body is another one than the hash says", body = ErrorBody)))]
pub async fn put(
    State(app): State<AppState>,
    principal: Principal,
    Path((name, delivery, number)): Path<(String, String, i32)>,
    Query(expected): Query<Expected>,
    body: Body,
) -> Result<Response> {
    let source = push_source(&app, &name, &delivery).await?;
    if !(1..=PARTS_MAX).contains(&number) {
        return Err(Error::Unprocessable(format!("Parts have numbers from 1 to {PARTS_MAX}.")));
    }
    let sha256 = expected.sha256.as_deref().map(str::to_ascii_lowercase).filter(|text| is_sha256(text));
    let sha256 = sha256
        .ok_or_else(|| Error::Unprocessable("Say the SHA-256 of the body in hexadecimal: …?sha256=9f86d0…".into()))?;
    allowed(&app, &source, &delivery, number, &sha256).await?;
    let folder = app.config.data_dir().join("spool");
    let (spooled, found) = spool::receive_body(&folder, &format!("{delivery}-{number}"), body).await?;
    if found != sha256 {
        return Err(Error::Unprocessable(format!(
            "The body has the SHA-256 {found}, not {sha256}: nothing of it was kept. Send the part again."
        )));
    }
    if spooled.file_bytes == 0 {
        return Err(Error::Unprocessable("The body is empty: a part is a file.".into()));
    }
    let (state, by, kept_source, kept_name) = (app.clone(), principal.login, source.clone(), delivery.clone());
    let is_new = detached(keep(state, by, kept_source, kept_name, number, sha256, spooled)).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(described(&app, &source, &delivery).await?)).into_response())
}

// Before a body of gigabytes is read; it is looked at again when it is kept.
async fn allowed(app: &AppState, source: &SourceSetting, delivery: &str, number: i32, sha256: &str) -> Result<()> {
    let mut conn = app.pools.web.acquire().await?;
    match pushes::find(&mut *conn, source.source_id, delivery).await? {
        None if pushes::open_count(&mut *conn, source.source_id).await? >= OPEN_MAX => Err(web::Error::Conflict(
            format!("{OPEN_MAX} deliveries of this source are not committed: commit or delete one first."),
        )
        .into()),
        Some(push) if push.committed_at.is_some() => {
            let parts = pushes::parts(&mut *conn, push.push_delivery_id).await?;
            let is_same = parts.iter().any(|part| part.number == number && part.sha256 == sha256);
            if is_same { Ok(()) } else { Err(committed(&push)) }
        }
        _ => Ok(()),
    }
}

fn committed(push: &Push) -> Error {
    web::Error::Conflict(format!(
        "The delivery “{}” is committed, and what was handed in stays: withdraw it on its receipt, or send a correction under \
         another name.",
        push.name
    ))
    .into()
}

fn committed_otherwise(push: &Push) -> Error {
    web::Error::Conflict(format!(
        "The delivery “{}” was committed with other parts, another as_of or other expected totals, and stays so: nothing of \
         this commit was taken. Hand it in under another name.",
        push.name
    ))
    .into()
}

// The file is on disk; now its row. Gives whether it is new.
async fn keep(
    app: AppState,
    by: String,
    source: SourceSetting,
    delivery: String,
    number: i32,
    sha256: String,
    mut spooled: Spooled,
) -> Result<bool> {
    let now = app.now();
    let mut transaction = app.pools.web.begin().await?;
    let push = pushes::open(&mut transaction, source.source_id, &delivery, &by, now).await?;
    let push = push.ok_or(web::Error::NotFound)?;
    let parts = pushes::parts(&mut *transaction, push.push_delivery_id).await?;
    let before = parts.into_iter().find(|part| part.number == number);
    if before.as_ref().is_some_and(|part| part.sha256 == sha256) {
        return Ok(false);
    }
    if push.committed_at.is_some() {
        return Err(committed(&push));
    }
    let path = spooled.path.to_string_lossy().into_owned();
    let part = Part { number, sha256, file_bytes: spooled.file_bytes, path, received_at: now };
    pushes::keep_part(&mut transaction, push.push_delivery_id, &part).await?;
    // A commit whose answer is lost may have happened: then the row needs its file.
    spooled.keep();
    transaction.commit().await?;
    if let Some(before) = before {
        // One that stays is found by the sweep.
        let _ = tokio::fs::remove_file(before.path).await;
    }
    Ok(true)
}

/// Complete a delivery. All parts are named with their hashes; it is read afterwards, and its receipt says what came of
/// it. Sending the same again gives the same answer.
#[utoipa::path(post, path = "/api/v1/sources/{name}/deliveries/{delivery}/commit", tag = "bills", request_body = Commit,
    params(("name" = String, Path, description = "The source, of the kind push"), ("delivery" = String, Path, description = "The sender's name for the delivery")),
    responses((status = 202, description = "Stored, and waiting to be read", body = PushedDelivery),
        (status = 200, description = "It was committed already", body = PushedDelivery), (status = 404, body = ErrorBody),
        (status = 409, description = "It was committed with other parts, another as_of or other totals: nothing of this was taken", body = ErrorBody),
        (status = 422, description = "Parts are missing or are other ones", body = ErrorBody)))]
pub async fn commit(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path((name, delivery)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response> {
    let source = push_source(&app, &name, &delivery).await?;
    let meant: Commit = super::body::parse(&body)?;
    if let Some(fault) = meant.as_of.and_then(|as_of| crate::rollup::version_fault(as_of, app.now())) {
        return Err(Error::Unprocessable(fault));
    }
    if let Some(fault) = meant.expected.fault() {
        return Err(Error::Unprocessable(fault));
    }
    let (state, kept_source, kept_name) = (app.clone(), source.clone(), delivery.clone());
    let is_new = detached(complete(state, principal, address, kept_source, kept_name, meant)).await?;
    let status = if is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(described(&app, &source, &delivery).await?)).into_response())
}

async fn complete(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    source: SourceSetting,
    delivery: String,
    meant: Commit,
) -> Result<bool> {
    let now = app.now();
    let mut transaction = app.pools.web.begin().await?;
    pushes::lock(&mut transaction, source.source_id, &delivery).await?;
    let push = pushes::find(&mut *transaction, source.source_id, &delivery).await?.ok_or(web::Error::NotFound)?;
    let parts = pushes::parts(&mut *transaction, push.push_delivery_id).await?;
    let sha256 = fingerprint(&meant);
    if push.committed_at.is_some() {
        let is_same = push.committed_sha256.as_deref().is_some_and(|before| says_the_same(before, &meant));
        return if is_same { Ok(false) } else { Err(committed_otherwise(&push)) };
    }
    if let Some(fault) = parts_fault(&parts, &meant.parts) {
        return Err(Error::Unprocessable(fault));
    }
    let upload = Upload {
        file_name: &delivery,
        file_bytes: parts.iter().map(|part| part.file_bytes).sum(),
        named_source: Some(&source.setting.name),
        received_by: &principal.login,
        version_at: meant.as_of.unwrap_or(now),
        version_basis: if meant.as_of.is_some() { "as-of" } else { "receipt" },
        now,
    };
    let delivery_id = sources::insert_upload(&mut transaction, &upload).await?;
    let paths: Vec<PathBuf> = parts.iter().map(|part| PathBuf::from(&part.path)).collect();
    let payload = json!({
        "path": paths[0],
        "more_parts": paths[1..],
        "file_name": delivery,
        "source": source.setting.name,
        "as_of": meant.as_of,
        "received_by": principal.login,
        "delivery_id": delivery_id,
        "format": source.setting.format,
        "control": meant.expected,
    });
    jobs::enqueue(&mut transaction, "import_upload", &delivery_id.to_string(), &payload).await?;
    pushes::commit(&mut transaction, push.push_delivery_id, &sha256, delivery_id, now).await?;
    let subject = format!("delivery {delivery_id}");
    let details = json!({ "source": source.setting.name, "delivery": delivery, "parts": parts.len() });
    let from = address.to_string();
    audit::insert(&mut transaction, now, &principal.login, &from, "delivery.pushed", &subject, details).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Throw away a delivery that is not committed, with its parts.
#[utoipa::path(delete, path = "/api/v1/sources/{name}/deliveries/{delivery}", tag = "bills",
    params(("name" = String, Path, description = "The source"), ("delivery" = String, Path, description = "The sender's name for the delivery")),
    responses((status = 200, description = "Thrown away", body = DeletedName), (status = 404, body = ErrorBody),
        (status = 409, description = "It is committed: withdraw it on its receipt", body = ErrorBody)))]
pub async fn discard(
    State(app): State<AppState>,
    Path((name, delivery)): Path<(String, String)>,
) -> Result<Json<DeletedName>> {
    let source = push_source(&app, &name, &delivery).await?;
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        pushes::lock(&mut transaction, source.source_id, &delivery).await?;
        let push = pushes::find(&mut *transaction, source.source_id, &delivery).await?.ok_or(web::Error::NotFound)?;
        if push.committed_at.is_some() {
            return Err(committed(&push));
        }
        let paths = pushes::discard(&mut transaction, push.push_delivery_id).await?;
        transaction.commit().await?;
        for path in paths {
            let _ = tokio::fs::remove_file(path).await;
        }
        Ok(Json(DeletedName { deleted: delivery }))
    })
    .await
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
