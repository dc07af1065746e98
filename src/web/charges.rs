//! `/charges`: the lines of the bills that make a figure, with their total on top.

use super::charge_filter::{Condition, filter};
use super::charges_focus;
use super::closed_lines::{self, ClosedLines};
use super::csv::{Cell, Table};
use super::export::{self, Place, Spool};
use super::line_turns::NARROW;
use super::moved_lines::{BOUGHT, Moved};
use super::query::{Accepts, View};
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes, display, filters};
use crate::focus::CostBasis;
use crate::store::charges::{self, ChargeFilter, ChargeRow, ChargeTotal, Cursor};
use crate::store::moved_lines::{self, MovedRow};
use crate::store::{Scope, Snapshot, focus_export};
use anyhow::ensure;
use askama::Template;
use askama_web::WebTemplate;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bigdecimal::{BigDecimal, Zero};
use futures_util::{FutureExt, TryStreamExt};
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// Lines a page.
const PAGE_LINE_COUNT: i64 = 100;
/// Lines of a CSV file, which is whole: it holds a connection while it is read, and lies on the disk while it is taken.
const CSV_LINE_COUNT_MAX: i64 = 200_000;
/// Lines that are handed on at once.
const CHUNK_LINE_COUNT: usize = 5_000;
const FILE_NAME: &str = "charges.csv";

pub(super) const ACCEPTS: Accepts = Accepts {
    texts: &[
        "day",
        "billing",
        "service",
        "env",
        "team",
        "provider",
        "charge",
        "source",
        "delivery",
        "resource",
        "account",
        "group",
        "bought",
        "service_category",
        "pricing",
        "region",
        "sku",
        "class",
        "part",
        "center",
        "allocated",
        "invoice",
        "issuer",
        "tags",
        "tag",
        "gap",
        "dimension",
        "commitment",
        "commitment_status",
        "page",
    ],
    by: &[],
    sort: &[],
};

/// The routes of the page.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/charges", Policy::Money, show).get("/charges.csv", Policy::Money, download)
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<ChargesPage> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let turns = app.line_turns.clone();
    turns.read(async move { read(&app, &principal, view).await }).await
}

async fn read(app: &AppState, principal: &Principal, view: View) -> Result<ChargesPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::of_view(app, principal, &mut snapshot, "Lines", NavItem::None, &view).await?;
    let scope = principal.scope();
    let (filter, conditions) = filter(&mut snapshot, &view, &page.bills).await?;
    let after = view.text("page").map(cursor).transpose()?;
    // Lines that no rollup is kept by are looked for in whole bills.
    focus_export::take_time(&mut snapshot).await?;
    let totals = charges::totals(&mut snapshot, &scope, &filter, view.basis).await.map_err(too_much)?;
    let sums = moved_lines::sums(&mut snapshot, &scope, &filter, view.basis).await.map_err(too_much)?;
    let moved = Moved::new(&view, &filter, &totals, &sums);
    let closed = closed_lines::notice(&mut snapshot, &scope, &view, &filter, (&totals, &sums)).await?;
    let mut rows = charges::lines(&mut snapshot, &scope, &filter, view.basis, after.as_ref(), PAGE_LINE_COUNT + 1)
        .await
        .map_err(too_much)?;
    let has_more = rows.len() > PAGE_LINE_COUNT as usize;
    rows.truncate(PAGE_LINE_COUNT as usize);
    let next = rows.last().filter(|_| has_more).map(cursor_text);
    let shows_receipts = Policy::Bills.allows(principal);
    let lede = lede(&totals) + &moved.sentence();
    let is_first = after.is_none();
    Ok(ChargesPage { page, view, conditions, closed, totals, moved, lede, rows, next, is_first, shows_receipts })
}

async fn download(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let (place, reader) = app.exports.enter(principal.user_id).await?;
    let mut snapshot = app.pools.snapshot().await?;
    let (scope, basis) = (principal.scope(), view.basis);
    let bills = view.bills(&app, &mut snapshot, &scope).await?;
    let (filter, _) = filter(&mut snapshot, &view, &bills).await?;
    focus_export::take_time(&mut snapshot).await?;
    let totals = charges::totals(&mut snapshot, &scope, &filter, basis).await.map_err(too_much)?;
    let moved = moved(&mut snapshot, &scope, &filter, basis).await.map_err(too_much)?;
    fits(&totals, &moved)?;
    let lines = Lines { snapshot, scope, filter, basis, totals, moved, table: header(basis) };
    let (sender, chunks) = mpsc::channel(1);
    let own = sender.clone();
    read_aside(reader, sender, async move { lines.read(&own).await });
    Ok(super::csv::response(body(&app, place, chunks).await?, FILE_NAME))
}

async fn moved(
    conn: &mut Snapshot,
    scope: &Scope,
    filter: &ChargeFilter,
    basis: CostBasis,
) -> sqlx::Result<Vec<MovedRow>> {
    if filter.is_of_lines_only() {
        return Ok(Vec::new());
    }
    moved_lines::rows(conn, scope, filter, basis, None).await
}

// A file that ended early would be added up as if it were whole.
fn fits(totals: &[ChargeTotal], moved: &[MovedRow]) -> Result<()> {
    let count: i64 = totals.iter().map(|total| total.charge_count).sum();
    let moved_count = i64::try_from(moved.len()).unwrap_or(i64::MAX);
    let grouped = |count: i64| filters::grouped(&count.into(), 0);
    let what = if count > CSV_LINE_COUNT_MAX {
        format!("These are {} lines, and a file of them has at most {}", grouped(count), grouped(CSV_LINE_COUNT_MAX))
    } else if moved_count >= moved_lines::ROW_COUNT_MAX {
        let most = grouped(moved_lines::ROW_COUNT_MAX);
        format!("What splits moved to or from these lines is more than the {most} rows that a file has of it")
    } else {
        return Ok(());
    };
    Err(Error::Conflict(format!("{what}, so that it is whole. {NARROW}")))
}

/// Reads a file in a task of its own, and gives the turn back before its client has all of it. What the reading fails
/// with, a panic too, is the last that is handed on: a part must not look like the whole.
pub(super) fn read_aside(
    reader: OwnedSemaphorePermit,
    chunks: mpsc::Sender<Chunk>,
    reading: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) {
    tokio::spawn(async move {
        let ended = AssertUnwindSafe(reading).catch_unwind().await;
        if let Err(error) = ended.unwrap_or_else(|_| Err(anyhow::anyhow!("the reading of a file panicked"))) {
            let _ = chunks.send(Err(error)).await;
        }
        drop(reader);
    });
}

/// A part of a file, or why there is no more of it.
pub(super) type Chunk = anyhow::Result<Vec<u8>>;

/// What is read in chunks, as a body: through the disk where it is more than one, so that a slow client holds nothing
/// else. It breaks off at an error.
pub(super) async fn body(app: &AppState, place: Place, mut chunks: mpsc::Receiver<Chunk>) -> Result<Body> {
    let failed = |error: anyhow::Error| error.downcast().map_or_else(Error::Internal, too_much);
    let first = chunks.recv().await.transpose().map_err(failed)?.unwrap_or_default();
    let Some(second) = chunks.recv().await else { return Ok(first.into()) };
    let (spool, body) = Spool::create(&app.config.data_dir().join("spool"), place).await?;
    tokio::spawn(async move {
        if let Err(error) = spool_chunks(first, second, chunks, spool).await {
            tracing::warn!("A file of charges broke off: {error:#}");
        }
    });
    Ok(body)
}

async fn spool_chunks(
    first: Vec<u8>,
    second: Chunk,
    mut chunks: mpsc::Receiver<Chunk>,
    mut spool: Spool,
) -> anyhow::Result<()> {
    spool.write(&first).await?;
    let mut next = Some(second);
    while let Some(chunk) = next {
        spool.write(&chunk?).await?;
        next = chunks.recv().await;
    }
    spool.finish();
    Ok(())
}

/// The lines of a CSV file, in one snapshot from first to last; a chunk at a time, so that memory stays small.
struct Lines {
    snapshot: Snapshot,
    scope: Scope,
    filter: ChargeFilter,
    basis: CostBasis,
    /// What the lines add up to.
    totals: Vec<ChargeTotal>,
    /// What splits moved to or from them.
    moved: Vec<MovedRow>,
    table: Table,
}

impl Lines {
    // Ends where nobody takes the chunks any more.
    async fn read(mut self, chunks: &mpsc::Sender<Chunk>) -> anyhow::Result<()> {
        let Self { snapshot, scope, filter, basis, table, .. } = &mut self;
        let (mut sent, mut byte_count) = (0, 0);
        let mut rows = charges::stream(snapshot, scope, filter, *basis, CSV_LINE_COUNT_MAX).await?;
        while let Some(row) = rows.try_next().await? {
            write(table, &row);
            sent += 1;
            if sent % CHUNK_LINE_COUNT == 0 {
                let chunk = table.take();
                byte_count += chunk.len();
                ensure!(byte_count <= export::BYTES_MAX, "it is longer than any export may be");
                if chunks.send(Ok(chunk)).await.is_err() {
                    return Ok(());
                }
            }
        }
        drop(rows);
        self.end();
        let _ = chunks.send(Ok(self.table.take())).await;
        Ok(())
    }

    // What was bought for commitments and what splits moved make the file add up to the figure that led to it.
    fn end(&mut self) {
        if self.basis.is_before_commitments() {
            let bought = self.totals.iter().filter(|total| !total.bought.is_zero());
            bought.for_each(|total| write_bought(&mut self.table, total));
        }
        self.moved.iter().for_each(|row| write_moved(&mut self.table, row));
    }
}

fn header(basis: CostBasis) -> Table {
    Table::new(&[
        "BillingPeriodStart",
        "ChargePeriodStart",
        "ChargePeriodEnd",
        "ProviderName",
        "SubAccountId",
        "ServiceName",
        "ChargeCategory",
        "ResourceId",
        "ChargeDescription",
        "Service",
        "Environment",
        "PricingQuantity",
        "BillingCurrency",
        basis.focus_column(),
        "DeliveryId",
        "Line",
    ])
}

fn write(table: &mut Table, row: &ChargeRow) {
    let time = |at: chrono::DateTime<chrono::Utc>| Cell::from(at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
    table.row(&[
        row.billing_period_start.to_string().into(),
        time(row.charge_period_start),
        time(row.charge_period_end),
        (&row.provider_name).into(),
        (&row.sub_account_id).into(),
        (&row.service_name).into(),
        (&row.charge_category).into(),
        (&row.resource_id).into(),
        (&row.charge_description).into(),
        (&row.catalogue_service).into(),
        (&row.environment).into(),
        (&row.pricing_quantity).into(),
        (&row.billing_currency).into(),
        (&row.cost).into(),
        row.delivery_id.into(),
        row.line.into(),
    ]);
}

// What the use of commitments has in its cost already is taken off in one row: each line shows its own cost.
fn write_bought(table: &mut Table, total: &ChargeTotal) {
    let cost = -&total.bought;
    table.row(&[
        Cell::Empty,
        Cell::Empty,
        Cell::Empty,
        Cell::Empty,
        Cell::Empty,
        Cell::Empty,
        "Purchase".into(),
        Cell::Empty,
        BOUGHT.into(),
        Cell::Empty,
        Cell::Empty,
        Cell::Empty,
        (&total.billing_currency).into(),
        (&cost).into(),
        Cell::Empty,
        Cell::Empty,
    ]);
}

// A row of shared cost has no line: it stands for a day of a bill, and says which split moved it.
fn write_moved(table: &mut Table, row: &MovedRow) {
    let origin = row.origin_name.as_deref().unwrap_or("what is not allocated");
    let next = row.charge_date.succ_opt().unwrap_or(row.charge_date);
    table.row(&[
        row.billing_period_start.to_string().into(),
        format!("{}T00:00:00Z", row.charge_date).into(),
        format!("{next}T00:00:00Z").into(),
        (&row.provider_name).into(),
        Cell::Empty,
        Cell::Empty,
        (&row.charge_category).into(),
        Cell::Empty,
        format!("Shared cost: {}, from {origin}", row.split_name).into(),
        (&row.service_name).into(),
        (&row.environment).into(),
        Cell::Empty,
        (&row.billing_currency).into(),
        (&row.cost).into(),
        row.delivery_id.into(),
        Cell::Empty,
    ]);
}

// A filter over too many lines is stopped by the database; the reader can do something about it.
pub(super) fn too_much(error: sqlx::Error) -> Error {
    let is_timeout = error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "57014");
    if is_timeout {
        tracing::warn!("Lines took too long to find: {error}");
        return Error::TooMuch(format!("Finding these lines takes longer than a page may. {NARROW}"));
    }
    error.into()
}

fn cursor_text(row: &ChargeRow) -> String {
    format!("{}~{}~{}", row.cost.to_plain_string(), row.generation_id, row.line)
}

fn cursor(text: &str) -> Result<Cursor> {
    let wrong = || Error::Invalid(format!("page={text} is not a page of this list. Begin at the first."));
    let mut parts = text.split('~');
    let (Some(cost), Some(generation), Some(line), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong());
    };
    let cost: BigDecimal = cost.parse().map_err(|_| wrong())?;
    // Written out, no cost is longer than this; a power of ten would be too much for the database.
    if cost.fractional_digit_count().unsigned_abs() > 100 || cost.digits() > 200 {
        return Err(wrong());
    }
    Ok(Cursor {
        cost,
        generation_id: generation.parse().map_err(|_| wrong())?,
        line: line.parse().map_err(|_| wrong())?,
    })
}

fn lede(totals: &[ChargeTotal]) -> String {
    let lines: i64 = totals.iter().map(|total| total.charge_count).sum();
    let amounts: Vec<String> = totals.iter().map(|total| exact(&total.cost, &total.billing_currency)).collect();
    let count = filters::grouped(&lines.into(), 0);
    match lines {
        0 => String::new(),
        1 => format!("One line makes {}.", amounts.join(" and ")),
        _ => format!("{count} lines add up to {}.", amounts.join(" and ")),
    }
}

/// Every digit of an amount, with its currency.
fn exact(amount: &BigDecimal, currency: &str) -> String {
    display::money_exact(amount, currency)
}

#[derive(Template, WebTemplate)]
#[template(path = "charges.html")]
struct ChargesPage {
    page: Page,
    view: View,
    conditions: Vec<Condition>,
    /// Where the lines are of a closed month.
    closed: Option<ClosedLines>,
    totals: Vec<ChargeTotal>,
    moved: Moved,
    lede: String,
    rows: Vec<ChargeRow>,
    next: Option<String>,
    is_first: bool,
    shows_receipts: bool,
}

impl ChargesPage {
    fn without(&self, key: &'static str) -> String {
        self.view.link("/charges", &[(key, "")])
    }

    fn next_page(&self, cursor: &str) -> String {
        self.view.link("/charges", &[("page", cursor)])
    }

    fn csv(&self) -> String {
        self.view.link("/charges.csv", &[("page", "")])
    }

    fn focus(&self) -> String {
        self.view.link(charges_focus::PATH, &[("page", ""), ("basis", "")])
    }

    fn amount(&self, row: &ChargeRow) -> String {
        exact(&row.cost, &row.billing_currency)
    }

    fn total(&self, total: &ChargeTotal) -> String {
        exact(&total.cost, &total.billing_currency)
    }

    fn is_zero_shown(&self) -> bool {
        self.rows.is_empty() && self.moved.tables.is_empty()
    }

    fn what<'a>(&self, row: &'a ChargeRow) -> impl Display + use<'a> {
        let text = row.charge_description.as_deref().or(row.service_name.as_deref()).unwrap_or("Line");
        let is_long = text.chars().count() > 90;
        let short: String = text.chars().take(90).collect();
        if is_long { format!("{short}…") } else { short }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_exactly() {
        let seen = cursor("-0.000000000123~4096~17").unwrap();
        assert_eq!((seen.cost.to_plain_string(), seen.generation_id, seen.line), ("-0.000000000123".into(), 4096, 17));
        for wrong in ["", "1", "1~2", "a~1~2", "1~2~3~4", "1e999999~1~1", "1e-999999~1~1"] {
            assert!(cursor(wrong).is_err(), "{wrong}");
        }
    }
    fn total(charge_count: i64) -> ChargeTotal {
        ChargeTotal { billing_currency: "USD".into(), charge_count, cost: 0.into(), bought: 0.into() }
    }

    #[test]
    fn a_file_that_would_not_be_whole_is_refused_before_it_begins() {
        assert!(fits(&[total(CSV_LINE_COUNT_MAX - 1), total(1)], &[]).is_ok());
        let refused = fits(&[total(CSV_LINE_COUNT_MAX), total(1)], &[]).unwrap_err();
        assert_eq!(refused.status().as_u16(), 409);
        let text = refused.to_string();
        assert!(text.starts_with("These are 200,001 lines") && text.contains("Narrow them"), "{text}");
    }
}
