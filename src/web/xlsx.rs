//! `.xlsx` beside every `.csv`: one layer around all routes. The table of the same address with `.csv` is made, by the
//! same handler, for the same person, and its cells are written into a workbook.

use super::error::{self, Error};
use super::{AppState, csv, workbook};
use crate::focus::CostBasis;
use crate::store::freshness::{self, Freshness};
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

/// Workbooks that are written at once; each takes a core.
static WORKBOOKS: Semaphore = Semaphore::const_new(2);
const CONTENT_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// Names of things may end like a file there; of the API only this is a table.
const NO_TABLES: [&str; 3] = ["/api/", "/webhooks/", "/static/"];
const API_TABLE: &str = "/api/v1/costs.xlsx";

/// What the reader asked for, where the handler sees another address.
#[derive(Debug, Clone)]
pub struct Asked(pub String);

/// The address of the workbook beside that of a CSV.
pub fn href(csv: impl AsRef<str>) -> String {
    let csv = csv.as_ref();
    let (path, query) = csv.split_once('?').map_or((csv, None), |(path, query)| (path, Some(query)));
    let path = path.strip_suffix(".csv").unwrap_or(path);
    query.map_or_else(|| format!("{path}.xlsx"), |query| format!("{path}.xlsx?{query}"))
}

/// Puts the layer around the finished routes.
pub fn beside(router: Router, app: &AppState) -> Router {
    Router::new().fallback_service(from_fn_with_state(app.clone(), answer).layer(router))
}

fn csv_address(method: &Method, uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let stem = path.strip_suffix(".xlsx").filter(|stem| !stem.ends_with('/'))?;
    let is_table = path == API_TABLE || !NO_TABLES.iter().any(|prefix| path.starts_with(prefix));
    if !is_table || !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{stem}.csv{query}").parse().ok()
}

async fn answer(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let Some(address) = csv_address(request.method(), request.uri()) else { return next.run(request).await };
    let asked = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let before = version(&app).await;
    request.extensions_mut().insert(Asked(asked.clone()));
    *request.uri_mut() = address;
    // The body of a HEAD is left out further outside; its length is that of the workbook.
    *request.method_mut() = Method::GET;
    request.headers_mut().remove(header::ACCEPT_ENCODING);
    let response = csv::typed(next.run(request)).await;
    if !response.headers().contains_key(csv::TYPED_CELLS) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let folder = app.config.data_dir().join("spool");
    let notes = notes(&app, &asked, before, version(&app).await);
    match written(body, notes, folder).await {
        Ok(file) => {
            dress(&mut parts.headers, &file);
            let stream = ReaderStream::new(tokio::fs::File::from_std(file));
            Response::from_parts(parts, Body::from_stream(stream))
        }
        Err(failed) => {
            let answer = Error::Internal(failed.context("writing a workbook")).into_response();
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

fn dress(headers: &mut HeaderMap, file: &File) {
    headers.remove(csv::TYPED_CELLS);
    headers.remove(header::CONTENT_LENGTH);
    if let Ok(metadata) = file.metadata() {
        headers.insert(header::CONTENT_LENGTH, metadata.len().into());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    let name = headers.get(header::CONTENT_DISPOSITION).and_then(|value| value.to_str().ok());
    let name = name.map(|name| name.replace(".csv\"", ".xlsx\""));
    if let Some(value) = name.and_then(|name| HeaderValue::from_str(&name).ok()) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
}

// The bytes of the table are taken as they come: neither they nor the workbook are in memory as a whole.
async fn written(body: Body, notes: Notes, folder: PathBuf) -> anyhow::Result<File> {
    let _turn = WORKBOOKS.acquire().await?;
    let stream = Box::pin(body.into_data_stream().map_err(io::Error::other));
    let reader = SyncIoBridge::new(StreamReader::new(stream));
    tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder).with_context(|| format!("writing to {}", folder.display()))?;
        let mut reader = io::BufReader::new(reader);
        let basis = basis(io::BufRead::fill_buf(&mut reader)?, notes.basis);
        let mut rows = notes.before;
        rows.extend(basis.map(|basis| ("Basis".to_owned(), basis)));
        rows.extend(notes.filters);
        workbook::write(reader, rows, &folder)
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
    let made = app.now().format("%Y-%m-%d %H:%M:%S UTC").to_string();
    let mut rows = vec![("Page".into(), path.trim_end_matches(".xlsx").to_owned()), ("Made".into(), made)];
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
    freshness::read(&mut snapshot).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_and_one_table_of_the_api_have_workbooks() {
        let address = |path: &str| csv_address(&Method::GET, &path.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(address("/services.xlsx?period=60d"), Some("/services.csv?period=60d".into()));
        assert_eq!(address("/api/v1/costs.xlsx"), Some("/api/v1/costs.csv".into()));
        for other in ["/services.csv", "/api/v1/sources/a/deliveries/b.xlsx", "/.xlsx", "/static/x.xlsx"] {
            assert_eq!(address(other), None, "{other}");
        }
        assert_eq!(csv_address(&Method::POST, &Uri::from_static("/upload.xlsx")), None);
        assert_eq!(href("/services.csv?q=a.csv"), "/services.xlsx?q=a.csv");
        assert_eq!(href("/tags.csv"), "/tags.xlsx");
    }

    #[test]
    fn the_basis_is_that_of_the_cost_columns() {
        let told = |header: &[u8]| basis(header, CostBasis::List);
        assert_eq!(told(b"TName,TBilledCost 2026-09\r\nTx,N1").as_deref(), Some("As billed (BilledCost)"));
        assert_eq!(told(b"TName,TCost\r\n").as_deref(), Some("List price (ListCost)"));
        assert_eq!(told(b"TName\r\nTEffectiveCost"), None);
    }
}
