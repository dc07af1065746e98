//! "Restated since you last looked": what a person saw on a page, and what bills say of the same days now.

use super::display::{Delta, minor_units};
use super::{AppState, Principal, Result, detached};
use crate::focus::{BillingPeriod, CostBasis};
use crate::store::history::{self, Restated, RestatedOf};
use crate::store::visits::{self, Visit};
use askama::Template;
use sqlx::PgConnection;

/// The notice of a page. Written into a template as it is.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/restated.html")]
pub struct RestatedNotice {
    since: String,
    publication_id: i64,
    rows: Vec<Row>,
    shows_history: bool,
}

impl askama::filters::HtmlSafe for RestatedNotice {}

#[derive(Debug, Clone)]
struct Row {
    month: BillingPeriod,
    change: Delta,
}

/// What a page is about.
#[derive(Debug, Clone, Copy)]
pub struct Looked<'a> {
    /// The page's own word, unique among pages: "overview", "statement 2026-10", or one for all of a kind: "services".
    pub page: &'a str,
    /// The publication that it shows.
    pub publication_id: i64,
    /// The cost column.
    pub basis: CostBasis,
    /// The month, service, team or environment that it is about.
    pub of: RestatedOf,
}

impl RestatedNotice {
    /// Looks up what was restated since the person's visit before this one, and notes this visit. The write happens
    /// beside the page: where it fails, the page is shown all the same.
    pub async fn read(
        app: &AppState,
        principal: &Principal,
        conn: &mut PgConnection,
        looked: Looked<'_>,
    ) -> Result<Option<Self>> {
        let Looked { page, publication_id, basis, of } = looked;
        let Visit { before, note } = visits::look(conn, principal.user_id, page, publication_id, app.now()).await?;
        if let Some(note) = note {
            let (app, user_id, page) = (app.clone(), principal.user_id, page.to_owned());
            let work = async move {
                let mut conn = app.pools.web.acquire().await?;
                visits::note(&mut conn, user_id, &page, &note).await
            };
            if let Err(error) = detached(work).await {
                tracing::warn!("A visit could not be noted: {error}");
            }
        }
        let Some(before) = before.filter(|before| before.publication_id < publication_id) else { return Ok(None) };
        let scope = principal.scope();
        let rows = history::restated_since(conn, &scope, basis, before.publication_id, of).await?;
        let rows: Vec<Row> = rows.iter().map(Row::new).collect();
        Ok((!rows.is_empty()).then(|| Self {
            since: before.at.format("%-d %b %Y %H:%M UTC").to_string(),
            publication_id: before.publication_id,
            rows,
            shows_history: scope.is_everything(),
        }))
    }
}

impl Row {
    fn new(row: &Restated) -> Self {
        let currency = &row.billing_currency;
        Self {
            month: BillingPeriod::containing(row.month),
            change: Delta::between(&row.after, &row.before, currency, minor_units(currency)),
        }
    }
}
