//! `/charges.focus.csv.gz`: the lines of `/charges` as a FOCUS 1.2 file, from which they can be imported again, with whose
//! each is by the rules. What splits moved is no line and not in it: the page says so.
//!
//! Texts are as the bills have them, or what is read back would not be the same. So they are not guarded against
//! spreadsheets, and the file is packed: none opens it by a click. It is whole, or it breaks off.

use super::charge_filter::filter;
use super::charges::{ACCEPTS, Chunk, body, read_aside, too_much};
use super::export;
use super::query::View;
use super::{AppState, Error, Policy, Principal, Result, Routes, filters};
use crate::rollup::focus_row::{Columns, Sums};
use crate::store::charges::ChargeFilter;
use crate::store::focus_export::{self, ExportTotal};
use crate::store::{Scope, Snapshot};
use anyhow::ensure;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::TryStreamExt;
use std::io::Write;
use tokio::sync::mpsc;

/// Beside the page of the same lines.
pub(super) const PATH: &str = "/charges.focus.csv.gz";
/// Lines of a file: more are for the command line.
const LINE_COUNT_MAX: i64 = 200_000;
/// Lines that are handed on at once.
const CHUNK_LINE_COUNT: i64 = 5_000;

/// The route of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get(PATH, Policy::Money, download)
}

async fn download(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let (place, reader) = app.exports.enter(principal.user_id).await?;
    let mut snapshot = app.pools.snapshot().await?;
    let scope = principal.scope();
    let bills = view.bills(&app, &mut snapshot, &scope).await?;
    let (filter, _) = filter(&mut snapshot, &view, &bills).await?;
    focus_export::take_time(&mut snapshot).await?;
    let generation_ids = focus_export::generations(&mut snapshot, &filter).await?;
    let totals = focus_export::totals(&mut snapshot, &scope, &filter, &generation_ids).await.map_err(too_much)?;
    fits(&totals)?;
    let extra = focus_export::extra_columns(&mut snapshot, &scope, &generation_ids).await.map_err(too_much)?;
    let file = FocusFile { snapshot, scope, filter, generation_ids, columns: Columns::with_allocation(&extra), totals };
    let (sender, chunks) = mpsc::channel(1);
    let own = sender.clone();
    read_aside(reader, sender, async move { file.read(&own).await });
    let headers = [
        (header::CONTENT_TYPE, "application/gzip"),
        (header::CACHE_CONTROL, "private, no-store"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"charges.focus.csv.gz\""),
    ];
    Ok((headers, body(&app, place, chunks).await?).into_response())
}

// A part of a bill would be taken for the whole where it is imported.
fn fits(totals: &[ExportTotal]) -> Result<()> {
    let count: i64 = totals.iter().map(|total| total.charge_count).sum();
    if count <= LINE_COUNT_MAX {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "These are {} lines, and a FOCUS file from here has at most {}. Narrow them to a month, a service or a day, or \
         run costwake export focus on the server.",
        filters::grouped(&count.into(), 0),
        filters::grouped(&LINE_COUNT_MAX.into(), 0)
    )))
}

/// The lines of a file, in one snapshot from first to last; a chunk at a time, so that memory stays small.
struct FocusFile {
    snapshot: Snapshot,
    scope: Scope,
    filter: ChargeFilter,
    generation_ids: Vec<i64>,
    columns: Columns,
    /// What the pages say that the lines add up to.
    totals: Vec<ExportTotal>,
}

impl FocusFile {
    // Ends where nobody takes the chunks any more.
    async fn read(mut self, chunks: &mpsc::Sender<Chunk>) -> anyhow::Result<()> {
        let Self { snapshot, scope, filter, generation_ids, columns, totals } = &mut self;
        focus_export::plan_for_each(snapshot).await?;
        let mut file = Packed::new();
        file.write(columns.header())?;
        let (mut sums, mut row) = (Sums::default(), Vec::new());
        let (mut line_count, mut byte_count) = (0, 0);
        for generation_id in generation_ids.iter() {
            let mut charges = std::pin::pin!(focus_export::charges(snapshot, scope, filter, *generation_id));
            while let Some(charge) = charges.try_next().await? {
                columns.row(&charge, &mut row)?;
                file.write(&row)?;
                sums.add(&charge)?;
                line_count += 1;
                if line_count % CHUNK_LINE_COUNT == 0 {
                    let chunk = file.take()?;
                    byte_count += chunk.len();
                    ensure!(byte_count <= export::BYTES_MAX, "it is longer than any export may be");
                    if chunks.send(Ok(chunk)).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        ensure!(sums.into_totals() == *totals, "the lines do not add up to what the pages show: run costwake verify");
        let _ = chunks.send(Ok(file.finish()?)).await;
        Ok(())
    }
}

/// A CSV file that is packed while it is written.
struct Packed {
    rows: csv::Writer<Vec<u8>>,
    gzip: GzEncoder<Vec<u8>>,
}

impl Packed {
    fn new() -> Self {
        Self { rows: csv::Writer::from_writer(Vec::new()), gzip: GzEncoder::new(Vec::new(), Compression::fast()) }
    }

    fn write(&mut self, cells: impl IntoIterator<Item = impl AsRef<[u8]>>) -> anyhow::Result<()> {
        Ok(self.rows.write_record(cells)?)
    }

    // What is packed of the rows so far, but for what the next ones are packed with.
    fn take(&mut self) -> anyhow::Result<Vec<u8>> {
        let rows = std::mem::replace(&mut self.rows, csv::Writer::from_writer(Vec::new()));
        self.gzip.write_all(&rows.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?)?;
        Ok(std::mem::take(self.gzip.get_mut()))
    }

    fn finish(mut self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = self.take()?;
        bytes.extend(self.gzip.finish()?);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn total(charge_count: i64) -> ExportTotal {
        ExportTotal {
            billing_currency: "USD".into(),
            charge_count,
            billed_cost: 0.into(),
            effective_cost: 0.into(),
            list_cost: 0.into(),
            contracted_cost: 0.into(),
        }
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_begins() {
        assert!(fits(&[total(LINE_COUNT_MAX - 1), total(1)]).is_ok());
        let error = fits(&[total(LINE_COUNT_MAX), total(1)]).unwrap_err();
        assert!(error.to_string().starts_with("These are 200,001 lines"), "{error}");
    }

    #[test]
    fn chunks_are_one_packed_file() {
        let mut file = Packed::new();
        let mut bytes = Vec::new();
        for row in [["a", "b"], ["x, y", ""], ["=1", "2"]] {
            file.write(row).unwrap();
            bytes.extend(file.take().unwrap());
        }
        bytes.extend(file.finish().unwrap());
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "a,b\n\"x, y\",\n=1,2\n");
    }
}
