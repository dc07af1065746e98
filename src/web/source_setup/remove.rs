//! Removing a source: it is no longer read, and, where finance says so, its bills count no more.

use super::super::source_change;
use super::super::{AppState, ClientAddress, Error, NavItem, Page, Principal, Result, detached};
use super::{by, source};
use crate::rollup::{self, LedgerError, Person};
use crate::store::source_settings::{self, SourceSetting};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use serde::Deserialize;

#[derive(Template, WebTemplate)]
#[template(path = "source_remove.html")]
pub(super) struct SourceRemovePage {
    page: Page,
    source: SourceSetting,
    /// Deliveries that count or wait.
    standing_count: usize,
    /// Whether this person may withdraw bills.
    is_finance: bool,
}

pub(super) async fn ask(
    State(app): State<AppState>,
    principal: Principal,
    Path(source_id): Path<i64>,
) -> Result<SourceRemovePage> {
    let source = source(&app, source_id).await?;
    let mut snapshot = app.pools.snapshot().await?;
    let standing_count = source_settings::standing_deliveries(&mut *snapshot, source_id).await?.len();
    let page = Page::new(&app, &principal, &mut snapshot, "Remove a source", NavItem::Sources).await?;
    Ok(SourceRemovePage { page, source, standing_count, is_finance: principal.is_finance() })
}

/// What becomes of the bills.
#[derive(Debug, Deserialize)]
pub(super) struct RemoveForm {
    /// `keep` or `withdraw`.
    #[serde(default)]
    bills: String,
}

pub(super) async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(source_id): Path<i64>,
    Form(form): Form<RemoveForm>,
) -> Result<Redirect> {
    let source = source(&app, source_id).await?;
    let withdraws = match form.bills.as_str() {
        "keep" => false,
        "withdraw" if principal.is_finance() => true,
        "withdraw" => return Err(Error::Forbidden),
        _ => return Err(Error::Invalid("Choose what becomes of the bills: keep or withdraw.".into())),
    };
    let by = by(&app, &principal, &address);
    detached(async move {
        // First it is read no more, so that nothing new comes while bills are taken back.
        let mut transaction = app.pools.web.begin().await?;
        source_change::remove(&mut transaction, &source, &by).await?;
        transaction.commit().await?;
        if withdraws {
            let standing = source_settings::standing_deliveries(&app.pools.web, source_id).await?;
            for delivery_id in standing {
                let person = Person { login: &by.actor, address: &by.from };
                match rollup::withdraw(&app.pools, delivery_id, person, by.now).await {
                    Ok(()) => {}
                    Err(LedgerError::Database(error)) => return Err(error.into()),
                    Err(error) => return Err(Error::Conflict(error.to_string())),
                }
            }
        }
        Ok(Redirect::to("/sources"))
    })
    .await
}
