//! `/settings/audit`: who did what, newest first.

use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes, unknown_keys};
use crate::store::audit::{self, AuditRow};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use serde::Deserialize;

const ROWS_ON_A_PAGE: i64 = 100;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/settings/audit", Policy::Admin, list)
}

#[derive(Deserialize)]
struct AuditQuery {
    before: Option<String>,
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
    let before = query.before.filter(|text| !text.is_empty()).map(|text| text.parse::<i64>()).transpose();
    let before = before.map_err(|_| Error::Invalid("before: the number of a line of the log.".into()))?;
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
