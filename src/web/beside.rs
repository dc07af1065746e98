//! `.xlsx` and `.json` beside every `.csv`: one layer around all routes. The table of the same address with `.csv` is
//! made, by the same handler, for the same person, and its cells are written into a workbook or a JSON object.

use super::error::{self, Error};
use super::{AppState, csv, json_table, workbook};
use crate::focus::CostBasis;
use crate::store::freshness::Freshness;
use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use tokio::sync::Semaphore;
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};
use tower::Layer;

/// Tables that are written at once; each takes a core.
static WRITTEN: Semaphore = Semaphore::const_new(2);
/// Names of things may end like a file there; of the API only one is a table.
const NO_TABLES: [&str; 3] = ["/api/", "/webhooks/", "/static/"];
const API_TABLE: &str = "/api/v1/costs";
/// The JSON of a delivery is its whole receipt, of which the CSV has the rejected lines.
const RECEIPTS: &str = "/deliveries/";

tokio::task_local! {
    static FORM: Form;
}

/// What the reader asked for, where the handler sees another address.
#[derive(Debug, Clone)]
pub struct Asked(pub String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Workbook,
    Json,
}

impl Form {
    const ALL: [Self; 2] = [Self::Workbook, Self::Json];

    fn suffix(self) -> &'static str {
        match self {
            Self::Workbook => ".xlsx",
            Self::Json => ".json",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Workbook => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Json => "application/json",
        }
    }

    /// The address beside that of a CSV.
    fn href(self, csv: &str) -> String {
        let (path, query) = csv.split_once('?').map_or((csv, None), |(path, query)| (path, Some(query)));
        let (path, suffix) = (path.strip_suffix(".csv").unwrap_or(path), self.suffix());
        query.map_or_else(|| format!("{path}{suffix}"), |query| format!("{path}{suffix}?{query}"))
    }
}

/// The address of the workbook beside that of a CSV.
pub fn xlsx(csv: impl AsRef<str>) -> String {
    Form::Workbook.href(csv.as_ref())
}

/// The address of the JSON beside that of a CSV.
pub fn json(csv: impl AsRef<str>) -> String {
    Form::Json.href(csv.as_ref())
}

/// Whether the reader of what is being answered is a program: what goes wrong is told in JSON too.
pub fn is_json() -> bool {
    FORM.try_with(|form| *form == Form::Json).unwrap_or_default()
}

/// Makes an answer for a program, whatever form it asked for: what goes wrong is told in JSON.
pub async fn for_program<T>(answering: impl Future<Output = T>) -> T {
    FORM.scope(Form::Json, answering).await
}

/// Puts the layer around the finished routes.
pub fn around(router: Router, app: &AppState) -> Router {
    Router::new().fallback_service(from_fn_with_state(app.clone(), answer).layer(router))
}

fn csv_address(method: &Method, uri: &Uri) -> Option<(Form, Uri)> {
    let path = uri.path();
    let cut = |form: Form| Some((form, path.strip_suffix(form.suffix()).filter(|stem| !stem.ends_with('/'))?));
    let (form, stem) = Form::ALL.into_iter().find_map(cut)?;
    let is_table = stem == API_TABLE || !NO_TABLES.iter().any(|prefix| path.starts_with(prefix));
    let is_receipt = form == Form::Json && path.starts_with(RECEIPTS);
    if !is_table || is_receipt || !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some((form, format!("{stem}.csv{query}").parse().ok()?))
}

async fn answer(State(app): State<AppState>, request: Request, next: Next) -> Response {
    match csv_address(request.method(), request.uri()) {
        Some((form, address)) => FORM.scope(form, table(app, request, form, address, next)).await,
        None => next.run(request).await,
    }
}

async fn table(app: AppState, mut request: Request, form: Form, address: Uri, next: Next) -> Response {
    let asked = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let before = version(&app).await;
    request.extensions_mut().insert(Asked(asked.clone()));
    *request.uri_mut() = address;
    // The body of a HEAD is left out further outside; its length is that of what is written.
    *request.method_mut() = Method::GET;
    request.headers_mut().remove(header::ACCEPT_ENCODING);
    let response = csv::typed(next.run(request)).await;
    if !response.headers().contains_key(csv::TYPED_CELLS) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let folder = app.config.data_dir().join("spool");
    let mut notes = notes(&app, &asked, before, version(&app).await);
    let cut = parts.headers.get(csv::CUT).and_then(|note| note.to_str().ok());
    notes.before.extend(cut.map(|note| ("Cut".to_owned(), note.to_owned())));
    match written(form, body, notes, folder).await {
        Ok(file) => {
            dress(form, &mut parts.headers, &file);
            let stream = ReaderStream::new(tokio::fs::File::from_std(file));
            Response::from_parts(parts, Body::from_stream(stream))
        }
        Err(failed) => {
            let answer = Error::Internal(failed.context("writing a table")).into_response();
            let (failed, body) = error::as_page(answer).await.into_parts();
            parts.status = failed.status;
            for name in [header::CONTENT_DISPOSITION, header::CONTENT_LENGTH] {
                parts.headers.remove(name);
            }
            parts.headers.remove(csv::TYPED_CELLS);
            parts.headers.extend(failed.headers);
            Response::from_parts(parts, body)
        }
    }
}

fn dress(form: Form, headers: &mut HeaderMap, file: &File) {
    headers.remove(csv::TYPED_CELLS);
    headers.remove(header::CONTENT_LENGTH);
    if let Ok(metadata) = file.metadata() {
        headers.insert(header::CONTENT_LENGTH, metadata.len().into());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    let name = headers.get(header::CONTENT_DISPOSITION).and_then(|value| value.to_str().ok());
    let name = name.map(|name| name.replace(".csv\"", &format!("{}\"", form.suffix())));
    if let Some(value) = name.and_then(|name| HeaderValue::from_str(&name).ok()) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
}

// The bytes of the table are taken as they come: neither they nor what is written are in memory as a whole.
async fn written(form: Form, body: Body, notes: Notes, folder: PathBuf) -> anyhow::Result<File> {
    let _turn = WRITTEN.acquire().await?;
    let stream = Box::pin(body.into_data_stream().map_err(io::Error::other));
    let reader = SyncIoBridge::new(StreamReader::new(stream));
    tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder).with_context(|| format!("writing to {}", folder.display()))?;
        let mut reader = io::BufReader::new(reader);
        let basis = basis(io::BufRead::fill_buf(&mut reader)?, notes.basis);
        let mut rows = notes.before;
        rows.extend(basis.map(|basis| ("Basis".to_owned(), basis)));
        rows.extend(notes.filters);
        match form {
            Form::Workbook => workbook::write(reader, rows, &folder),
            Form::Json => json_table::write(reader, rows, &folder),
        }
    })
    .await?
}

/// What is known before the first cell is read.
struct Notes {
    before: workbook::Notes,
    filters: workbook::Notes,
    /// The cost column of the page, where its address names one.
    basis: CostBasis,
}

fn notes(app: &AppState, asked: &str, before: Option<Freshness>, after: Option<Freshness>) -> Notes {
    let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
    let page = Form::ALL.into_iter().find_map(|form| path.strip_suffix(form.suffix())).unwrap_or(path);
    let made = app.now().format("%Y-%m-%d %H:%M:%S UTC").to_string();
    let mut rows = vec![("Page".into(), page.to_owned()), ("Made".into(), made)];
    if let (Some(before), Some(after)) = (before, after) {
        let (first, last) = (before.publication_id, after.publication_id);
        let publication = if first == last { last.to_string() } else { format!("between {first} and {last}") };
        rows.push(("Publication".into(), publication));
        let day = after.complete_to().map_or_else(|| "no bill yet".to_owned(), |day| day.to_string());
        rows.push(("Bills complete to".into(), day));
    }
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    let named = pairs.iter().find(|(key, _)| key == "basis").map(|(_, word)| word.as_str());
    let basis = CostBasis::ALL.into_iter().find(|basis| Some(basis.key()) == named).unwrap_or_default();
    let mut filters: workbook::Notes =
        pairs.into_iter().map(|(key, value)| (format!("Filter: {key}"), value)).collect();
    if filters.is_empty() {
        filters.push(("Filters".into(), "none but what the page has by itself".into()));
    }
    Notes { before: rows, filters, basis }
}

// The cost columns of the header, in words: by their own names, or what the page calls cost.
fn basis(begin: &[u8], of_page: CostBasis) -> Option<String> {
    let header = String::from_utf8_lossy(begin.split(|byte| *byte == b'\n').next().unwrap_or_default());
    let mut columns = CostBasis::ALL.to_vec();
    columns.retain(|basis| header.contains(basis.focus_column()));
    if columns.is_empty() && header.contains("Cost") {
        columns.push(of_page);
    }
    let words = columns.iter().map(|basis| format!("{} ({})", basis.label(), basis.focus_column()));
    (!columns.is_empty()).then(|| words.collect::<Vec<_>>().join("; "))
}

async fn version(app: &AppState) -> Option<Freshness> {
    let mut snapshot = app.pools.snapshot().await.ok()?;
    app.bills(&mut snapshot).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_and_one_table_of_the_api_have_other_forms() {
        let address = |path: &str| {
            let found = csv_address(&Method::GET, &path.parse().unwrap());
            found.map(|(form, uri)| (form, uri.to_string()))
        };
        for (form, suffix) in [(Form::Workbook, "xlsx"), (Form::Json, "json")] {
            let of = |csv: &str| Some((form, csv.to_owned()));
            assert_eq!(address(&format!("/services.{suffix}?period=60d")), of("/services.csv?period=60d"));
            assert_eq!(address(&format!("/api/v1/costs.{suffix}")), of("/api/v1/costs.csv"));
            for other in ["/api/v1/sources/a/deliveries/b", "/api/v1/openapi", "/", "/static/x"] {
                assert_eq!(address(&format!("{other}.{suffix}")), None, "{other}");
            }
            assert_eq!(csv_address(&Method::POST, &format!("/upload.{suffix}").parse().unwrap()), None);
        }
        assert_eq!(address("/services.csv"), None);
        assert_eq!(address("/deliveries/7.json"), None, "a receipt is what it always was");
        assert_eq!(address("/deliveries/7.xlsx"), Some((Form::Workbook, "/deliveries/7.csv".into())));
        assert_eq!(xlsx("/services.csv?q=a.csv"), "/services.xlsx?q=a.csv");
        assert_eq!(json("/tags.csv"), "/tags.json");
    }

    #[test]
    fn the_basis_is_that_of_the_cost_columns() {
        let told = |header: &[u8]| basis(header, CostBasis::List);
        assert_eq!(told(b"TName,TBilledCost 2026-09\r\nTx,N1").as_deref(), Some("As billed (BilledCost)"));
        assert_eq!(told(b"TName,TCost\r\n").as_deref(), Some("List price (ListCost)"));
        assert_eq!(told(b"TName\r\nTEffectiveCost"), None);
    }
}
