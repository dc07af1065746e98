//! `/upload`: a bill by hand. The file is on disk and on the list of deliveries before the answer goes out.

use super::spool::{self, Spooled};
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, detached, unknown_keys};
use crate::rollup::{self, Format};
use crate::store::{audit, jobs, sources};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Multipart, Query, State};
use axum::response::Redirect;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use serde_json::json;
use std::path::Path;

/// Larger bills come by the command line or in parts.
const UPLOAD_BYTES_MAX: usize = 8 << 30;
/// Files of one form.
const FILE_COUNT_MAX: usize = 50;
/// A field that is no file.
const TEXT_BYTES_MAX: usize = 4096;

/// The routes of the page.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/upload", Policy::Bills, show).post_upload("/upload", Policy::Bills, UPLOAD_BYTES_MAX, receive)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Prefill {
    source: String,
}

async fn show(State(app): State<AppState>, principal: Principal, Query(prefill): Query<Prefill>) -> Result<UploadPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Upload a bill", NavItem::Sources).await?;
    let page = page.noting(unknown_keys::of::<Prefill>());
    let names = sources::list(&mut snapshot).await?.into_iter().map(|source| source.name).collect();
    Ok(UploadPage { page, source: prefill.source, names })
}

/// What a form brought.
#[derive(Default)]
struct Form {
    files: Vec<Spooled>,
    source: Option<String>,
    as_of: Option<DateTime<Utc>>,
    format: Option<Format>,
    is_counted_elsewhere_too: bool,
    /// Whether the files are parts of one bill; otherwise each is one of its own.
    are_parts: bool,
}

impl Form {
    /// The files of each delivery.
    fn deliveries(&self) -> Vec<&[Spooled]> {
        if self.are_parts { vec![&self.files] } else { self.files.chunks(1).collect() }
    }
}

async fn receive(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    multipart: Multipart,
) -> Result<Redirect> {
    let form = read(&app, multipart).await?;
    if let Some(fault) = form.as_of.and_then(|as_of| rollup::version_fault(as_of, app.now())) {
        return Err(Error::Invalid(fault));
    }
    if form.files.is_empty() {
        return Err(Error::Invalid("No file was chosen. Choose a FOCUS export (CSV, .gz, .zst or Parquet).".into()));
    }
    let ids = detached(enqueue(app, principal, address, form)).await?;
    match ids.as_slice() {
        [one] => Ok(Redirect::to(&format!("/deliveries/{one}"))),
        _ => Ok(Redirect::to("/sources")),
    }
}

async fn read(app: &AppState, mut multipart: Multipart) -> Result<Form> {
    let folder = app.config.data_dir().join("spool");
    let mut form = Form::default();
    while let Some(field) = multipart.next_field().await.map_err(|error| spool::form_error(&error))? {
        match field.name() {
            Some("file") => {
                if form.files.len() == FILE_COUNT_MAX {
                    return Err(Error::Invalid(format!("Send at most {FILE_COUNT_MAX} files at once.")));
                }
                let is_chosen = field.file_name().is_some_and(|name| !name.is_empty());
                let spooled = spool::receive(&folder, field).await?;
                match (is_chosen, spooled.file_bytes) {
                    // An empty file input is sent as a file without a name.
                    (false, 0) => {}
                    (_, 0) => return Err(Error::Invalid(format!("{} is empty.", spooled.file_name))),
                    _ => form.files.push(spooled),
                }
            }
            Some("source") => form.source = source(app, &text(field).await?).await?,
            Some("as_of") => form.as_of = as_of(&text(field).await?)?,
            Some("format") => form.format = format(&text(field).await?)?,
            Some("parts") => form.are_parts = !text(field).await?.is_empty(),
            Some("counted_elsewhere_too") => form.is_counted_elsewhere_too = !text(field).await?.is_empty(),
            _ => {}
        }
    }
    Ok(form)
}

// The limit of the whole form is that of its files.
async fn text(mut field: axum::extract::multipart::Field<'_>) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| spool::form_error(&error))? {
        if bytes.len() + chunk.len() > TEXT_BYTES_MAX {
            return Err(Error::Invalid(format!("A field of the form is longer than {TEXT_BYTES_MAX} bytes.")));
        }
        bytes.extend_from_slice(&chunk);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Error::Invalid("A field of the form is not text.".into()))?;
    Ok(text.trim().to_owned())
}

async fn source(app: &AppState, text: &str) -> Result<Option<String>> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut conn = app.pools.web.acquire().await?;
    if let Some(fault) = rollup::source_name_fault(&mut conn, text).await? {
        return Err(Error::Invalid(fault));
    }
    Ok(Some(text.to_owned()))
}

fn as_of(text: &str) -> Result<Option<DateTime<Utc>>> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc());
    let instant = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
    day.or(instant).map(Some).map_err(|_| {
        Error::Invalid(format!(
            "As of \"{text}\" is not a day like 2026-11-03 or an instant like 2026-11-03T06:00:00Z."
        ))
    })
}

fn format(text: &str) -> Result<Option<Format>> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| Error::Invalid(format!("Format “{text}”: {error}.")))
}

// The list, the queue and the audit log change together or not at all; only then are the files kept.
async fn enqueue(app: AppState, principal: Principal, address: ClientAddress, mut form: Form) -> Result<Vec<i64>> {
    let now = app.now();
    let mut transaction = app.pools.web.begin().await?;
    let mut ids = Vec::new();
    for files in form.deliveries() {
        let file_name = names(files);
        let upload = sources::Upload {
            file_name: &file_name,
            file_bytes: files.iter().map(|file| file.file_bytes).sum(),
            named_source: form.source.as_deref(),
            received_by: &principal.login,
            version_at: form.as_of.unwrap_or(now),
            version_basis: if form.as_of.is_some() { "as-of" } else { "receipt" },
            now,
        };
        ids.push(sources::insert_upload(&mut transaction, &upload).await?);
    }
    for (files, delivery_id) in form.deliveries().into_iter().zip(&ids) {
        let paths: Vec<&Path> = files.iter().map(|file| file.path.as_path()).collect();
        let payload = json!({
            "path": paths[0],
            "more_parts": paths[1..],
            "file_name": names(files),
            "source": form.source,
            "as_of": form.as_of,
            "received_by": principal.login,
            "delivery_id": delivery_id,
            "format": form.format.map(Format::name),
            "is_counted_elsewhere_too": form.is_counted_elsewhere_too,
            "together": ids,
        });
        jobs::enqueue(&mut transaction, "import_upload", &delivery_id.to_string(), &payload).await?;
        let subject = format!("delivery {delivery_id}");
        let bytes: i64 = files.iter().map(|file| file.file_bytes).sum();
        let details = json!({ "file": names(files), "bytes": bytes });
        let from = address.to_string();
        audit::insert(&mut transaction, now, &principal.login, &from, "delivery.uploaded", &subject, details).await?;
    }
    // A commit whose answer is lost may have happened: then the job needs its files.
    form.files.iter_mut().for_each(Spooled::keep);
    transaction.commit().await?;
    Ok(ids)
}

// What a delivery is called, as on the command line.
fn names(files: &[Spooled]) -> String {
    files.iter().map(|file| file.file_name.as_str()).collect::<Vec<_>>().join(" + ")
}

#[derive(Template, WebTemplate)]
#[template(path = "upload.html")]
struct UploadPage {
    page: Page,
    source: String,
    names: Vec<String>,
}

impl UploadPage {
    fn formats(&self) -> [Format; 6] {
        Format::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_day_or_an_instant() {
        assert_eq!(as_of("2026-11-03").unwrap(), "2026-11-03T00:00:00Z".parse().ok());
        assert_eq!(as_of("2026-11-03T07:00:00+01:00").unwrap(), "2026-11-03T06:00:00Z".parse().ok());
        assert_eq!(as_of("").unwrap(), None);
        assert!(as_of("3 Nov").unwrap_err().to_string().contains("2026-11-03"));
    }
}
