//! Removing a source: it is no longer read, and, where finance says so, its bills count no more.

use super::super::source_change::{self, By};
use super::super::{AppState, ClientAddress, Error, NavItem, Page, Principal, Result, detached};
use super::by;
use crate::rollup::{self, LedgerError, Person};
use crate::store::{removed_sources, source_settings};
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
    source_id: i64,
    name: String,
    /// Whether it was set up, and so is read and may have credentials.
    is_set_up: bool,
    /// Deliveries that count or wait.
    standing_count: usize,
    /// Deliveries, all told.
    delivery_count: i64,
    /// Why it cannot be removed.
    obstacle: Option<String>,
    /// Whether this person may withdraw bills.
    is_finance: bool,
}

pub(super) async fn ask(
    State(app): State<AppState>,
    principal: Principal,
    Path(source_id): Path<i64>,
) -> Result<SourceRemovePage> {
    let mut snapshot = app.pools.snapshot().await?;
    let held = removed_sources::held(&mut *snapshot, source_id).await?;
    let held = held.filter(|held| !held.is_removed).ok_or(Error::NotFound)?;
    let is_set_up = source_settings::get(&mut *snapshot, source_id).await?.is_some();
    let standing_count = source_settings::standing_deliveries(&mut *snapshot, source_id).await?.len();
    let page = Page::new(&app, &principal, &mut snapshot, "Remove a source", NavItem::Sources).await?;
    Ok(SourceRemovePage {
        page,
        source_id,
        is_set_up,
        standing_count,
        delivery_count: held.delivery_count,
        // What was set up can go while its bills stay: it is read no more then.
        obstacle: held.obstacle().filter(|_| !is_set_up),
        name: held.name,
        is_finance: principal.is_finance(),
    })
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
    let Some(source) = source_settings::get(&app.pools.web, source_id).await? else {
        return remove_unused(&app, source_id, by(&app, &principal, &address)).await;
    };
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
            source_change::take_off(&mut *app.pools.web.acquire().await?, source_id, &by).await?;
        }
        Ok(Redirect::to("/sources"))
    })
    .await
}

// One that files were handed in for, and nobody set up: it goes where nothing of it counts.
async fn remove_unused(app: &AppState, source_id: i64, by: By) -> Result<Redirect> {
    let app = app.clone();
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        source_change::remove_unused(&mut transaction, source_id, &by).await?;
        transaction.commit().await?;
        Ok(Redirect::to("/sources"))
    })
    .await
}
