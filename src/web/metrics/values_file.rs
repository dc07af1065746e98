//! `/metrics/{name}.csv`: all values of a metric as they were given, as another service reads them.

use crate::allocate::{END_DAY, FIRST_DAY};
use crate::store::metric_lists::{self, StoredPoint};
use crate::store::{Snapshot, focus_export, metrics};
use crate::web::csv::Table;
use crate::web::paged_file::{PAGE_ROW_COUNT, Pages, Turn};
use crate::web::{AppState, Error, Principal, Result};
use anyhow::Context;
use axum::response::Response;
use futures_util::{StreamExt, TryStreamExt};
use std::pin::pin;
use tokio::sync::mpsc;

/// Values that were read at once; the last ones are fewer than others, or none.
type ReadPage = sqlx::Result<Vec<StoredPoint>>;

/// The file, in order of time.
pub(super) async fn download(app: &AppState, principal: &Principal, name: &str) -> Result<Response> {
    let turn = Turn::take(app, principal).await?;
    let mut snapshot = app.pools.snapshot().await?;
    metrics::get(&mut snapshot, name).await?.ok_or(Error::NotFound)?;
    let (sender, read) = mpsc::channel(1);
    tokio::spawn(read_all(snapshot, name.to_owned(), sender));
    let table = Table::new(&["metric", "service", "environment", "hour", "value"]);
    let values = Values { metric: name.to_owned(), read };
    turn.answer(app, table, values, &format!("metric-{name}.csv")).await
}

// One statement for all of them: hours are not stored in order of time, so that every page would sort them anew.
async fn read_all(mut snapshot: Snapshot, metric: String, pages: mpsc::Sender<ReadPage>) {
    if let Err(error) = send_all(&mut snapshot, &metric, &pages).await {
        let _ = pages.send(Err(error)).await;
    }
}

// Ends where nobody takes the pages any more.
async fn send_all(snapshot: &mut Snapshot, metric: &str, pages: &mpsc::Sender<ReadPage>) -> sqlx::Result<()> {
    focus_export::take_time(snapshot).await?;
    let points = metric_lists::point_stream(snapshot, metric, None, (FIRST_DAY, END_DAY), None);
    let mut points = pin!(points);
    loop {
        let page: Vec<StoredPoint> = points.as_mut().take(PAGE_ROW_COUNT).try_collect().await?;
        let is_last = page.len() < PAGE_ROW_COUNT;
        if pages.send(Ok(page)).await.is_err() || is_last {
            return Ok(());
        }
    }
}

/// The values of a metric.
struct Values {
    metric: String,
    read: mpsc::Receiver<ReadPage>,
}

impl Pages for Values {
    async fn next(&mut self, table: &mut Table) -> anyhow::Result<usize> {
        // Whoever reads says with a short page that there are no more: to end without one is to break off.
        let points = self.read.recv().await.context("the values of a metric broke off")??;
        for point in &points {
            table.row(&[
                self.metric.as_str().into(),
                (&point.service).into(),
                (&point.environment).into(),
                metric_lists::time_text(point).into(),
                (&point.value).into(),
            ]);
        }
        Ok(points.len())
    }

    fn how_to_narrow(&self) -> &'static str {
        "GET /api/v1/metrics/{name}/points has them by days, with from and to"
    }
}
