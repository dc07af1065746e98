//! `/settings/audit`: who did what, newest first.

use super::csv::{Cell, Table};
use super::paged_file::{PAGE_ROW_COUNT, Pages, Turn};
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes, moments, unknown_keys};
use crate::store::Snapshot;
use crate::store::audit::{self, AuditRow};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

const ROWS_ON_A_PAGE: i64 = 100;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/settings/audit", Policy::Admin, list).get("/settings/audit.csv", Policy::Admin, export)
}

#[derive(Deserialize)]
struct AuditQuery {
    before: Option<String>,
}

/// Of the file, which has all lines between two.
#[derive(Deserialize)]
struct FileQuery {
    before: Option<String>,
    after: Option<String>,
}

/// The line that only older ones, or only newer ones, are asked for of.
fn line(key: &str, text: Option<String>) -> Result<Option<i64>> {
    let line = text.filter(|text| !text.is_empty()).map(|text| text.parse::<i64>()).transpose();
    line.map_err(|_| Error::Invalid(format!("{key}: the number of a line of the log.")))
}

#[derive(Template, WebTemplate)]
#[template(path = "audit.html")]
struct AuditPage {
    page: Page,
    rows: Vec<AuditRow>,
    is_first: bool,
    older: Option<i64>,
}

async fn list(State(app): State<AppState>, principal: Principal, Query(query): Query<AuditQuery>) -> Result<AuditPage> {
    let before = line("before", query.before)?;
    let mut snapshot = app.pools.snapshot().await?;
    let mut rows = audit::list(&mut snapshot, before, ROWS_ON_A_PAGE + 1).await?;
    if !principal.scope().is_everything() {
        rows.iter_mut().for_each(|row| hide_money(&mut row.details));
    }
    let page = Page::new(&app, &principal, &mut snapshot, "Audit log", NavItem::Audit).await?;
    let page = page.noting(unknown_keys::of::<AuditQuery>());
    let has_older = rows.len() > usize::try_from(ROWS_ON_A_PAGE).unwrap_or(usize::MAX);
    if has_older {
        rows.pop();
    }
    let older = rows.last().filter(|_| has_older).map(|row| row.audit_log_id);
    Ok(AuditPage { page, rows, is_first: before.is_none(), older })
}

/// All lines; with `before` those that are older, as on the page, and with `after` those that are newer: a log that is
/// longer than a file may be has several.
async fn export(State(app): State<AppState>, principal: Principal, Query(query): Query<FileQuery>) -> Result<Response> {
    let (before, after) = (line("before", query.before)?, line("after", query.after)?);
    let turn = Turn::take(&app, &principal).await?;
    let snapshot = app.pools.snapshot().await?;
    let log = Log { snapshot, before, after, shows_money: principal.scope().is_everything() };
    let columns = ["Line", "HappenedAt", "Actor", "ClientAddress", "Action", "Subject", "Details"];
    turn.answer(&app, Table::new(&columns), log, "audit.csv").await
}

/// The log from its newest line on.
struct Log {
    snapshot: Snapshot,
    /// The last line that was read.
    before: Option<i64>,
    /// Lines up to this one are left out.
    after: Option<i64>,
    shows_money: bool,
}

impl Pages for Log {
    async fn next(&mut self, table: &mut Table) -> anyhow::Result<usize> {
        let mut rows = audit::list(&mut self.snapshot, self.before, PAGE_ROW_COUNT as i64).await?;
        rows.retain(|row| self.after.is_none_or(|after| row.audit_log_id > after));
        for row in &mut rows {
            if !self.shows_money {
                hide_money(&mut row.details);
            }
            table.row(&[
                Cell::from(row.audit_log_id),
                moments::machine(&row.happened_at).into(),
                (&row.actor).into(),
                (&row.client_address).into(),
                (&row.action).into(),
                (&row.subject).into(),
                row.details.to_string().into(),
            ]);
        }
        self.before = rows.last().map(|row| row.audit_log_id).or(self.before);
        Ok(rows.len())
    }

    fn how_to_narrow(&self) -> &'static str {
        "ask for fewer lines with before and after: numbers of lines"
    }
}

// What a decision about a bill moved is money: an administrator sees it only with finance.
fn hide_money(details: &mut serde_json::Value) {
    if let Some(totals) = details.get_mut("totals") {
        *totals = "open to finance".into();
    }
}

/// `user_role_changed` as "user role changed".
pub fn action_words(action: &str) -> String {
    action.replace(['_', '.'], " ")
}

/// The details as `scope read, token_id 3`; nested ones stay JSON.
pub fn detail_words(details: &serde_json::Value) -> String {
    let Some(fields) = details.as_object() else { return String::new() };
    let word = |(key, value): (&String, &serde_json::Value)| match value {
        serde_json::Value::String(text) => format!("{key} {text}"),
        other => format!("{key} {other}"),
    };
    fields.iter().filter(|(_, value)| !value.is_null()).map(word).collect::<Vec<_>>().join(", ")
}
