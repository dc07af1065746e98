//! Descriptions that are fetched every night: set up, fetched at once, and forgotten.

use super::super::webhooks::key;
use super::super::{AppState, ClientAddress, Error, Principal, Result, detached};
use super::import::{ImportPage, with_refresh};
use crate::described;
use crate::store::catalogue_sources::{self, KINDS, NewSource, REFRESH_CATALOGUE, SOURCES_MAX};
use crate::store::{audit, jobs};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

const PAGE_PATH: &str = "/catalogue/import";
const ADDRESS_CHARS_MAX: usize = 1000;
const NAME_CHARS_MAX: usize = 100;
const TOKEN_CHARS_MAX: usize = 1000;

/// The form as it was filled in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RefreshForm {
    pub kind: String,
    pub name: String,
    pub repository: String,
    pub address: String,
    pub token: String,
}

impl RefreshForm {
    fn checked(&self) -> Result<NewSource> {
        let refuse = |text: &str| Err(Error::Invalid(text.into()));
        let (name, address, token) = (self.name.trim(), self.address.trim(), self.token.trim());
        if !KINDS.contains(&self.kind.as_str()) {
            return refuse("Choose what the file is.");
        }
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return refuse("Name the description with 1 to 100 visible characters.");
        }
        let url = reqwest::Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url.filter(|_| address.len() <= ADDRESS_CHARS_MAX) else {
            return refuse(
                "Write where the file is as https://api.github.com/repos/acme/shop/contents/catalog-info.yaml.",
            );
        };
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return refuse("Leave name and password out of the address: the token has a field of its own.");
        }
        if self.kind == "codeowners" && described::repository(&self.repository).is_none() {
            return refuse("Say which repository the CODEOWNERS are of, as owner/name.");
        }
        if token.len() > TOKEN_CHARS_MAX || token.chars().any(|c| !c.is_ascii_graphic()) {
            return refuse("A token is up to 1,000 letters, digits and signs without spaces.");
        }
        Ok(NewSource {
            name: name.to_owned(),
            kind: self.kind.clone(),
            repository: self.repository.trim().to_owned(),
            address: address.to_owned(),
            token: token.to_owned(),
        })
    }
}

pub(super) async fn add(
    State(app): State<AppState>,
    principal: Principal,
    from: ClientAddress,
    Form(form): Form<RefreshForm>,
) -> Result<Response> {
    match keep(&app, &principal, from, &form).await {
        Ok(()) => Ok(Redirect::to(PAGE_PATH).into_response()),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let status = error.status();
            // A secret is not written into a page again.
            let form = RefreshForm { token: String::new(), ..form };
            let page: ImportPage = with_refresh(&app, &principal, form, error.to_string()).await?;
            Ok((status, page).into_response())
        }
        Err(error) => Err(error),
    }
}

async fn keep(app: &AppState, principal: &Principal, from: ClientAddress, form: &RefreshForm) -> Result<()> {
    let new = form.checked()?;
    let key = key(app).await?;
    let (app, by) = (app.clone(), principal.login.clone());
    detached(async move {
        let now = app.now();
        let mut transaction = app.pools.web.begin().await?;
        if catalogue_sources::list(&mut *transaction).await?.len() as i64 >= SOURCES_MAX {
            return Err(Error::Conflict(format!("{SOURCES_MAX} descriptions are fetched already.")));
        }
        if catalogue_sources::insert(&mut transaction, &key, &new, &by, now).await?.is_none() {
            return Err(Error::Conflict(format!("A description called “{}” is fetched already.", new.name)));
        }
        let details = json!({ "kind": new.kind, "address": new.address, "repository": new.repository });
        let action = "catalogue.refresh_added";
        audit::insert(&mut transaction, now, &by, &from.to_string(), action, &new.name, details).await?;
        transaction.commit().await?;
        Ok(())
    })
    .await
}

pub(super) async fn now(State(app): State<AppState>, Path(id): Path<i64>) -> Result<Redirect> {
    detached(async move {
        let mut conn = app.pools.web.acquire().await?;
        catalogue_sources::get(&mut *conn, id).await?.ok_or(Error::NotFound)?;
        let payload = json!({ "catalogue_source_id": id });
        jobs::enqueue(&mut conn, REFRESH_CATALOGUE, &id.to_string(), &payload).await?;
        Ok(Redirect::to(PAGE_PATH))
    })
    .await
}

pub(super) async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    from: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    detached(async move {
        let now = app.now();
        let mut transaction = app.pools.web.begin().await?;
        let source = catalogue_sources::get(&mut *transaction, id).await?.ok_or(Error::NotFound)?;
        catalogue_sources::delete(&mut transaction, id).await?;
        let (by, from, action) = (&principal.login, from.to_string(), "catalogue.refresh_removed");
        audit::insert(&mut transaction, now, by, &from, action, &source.name, json!({})).await?;
        transaction.commit().await?;
        Ok(Redirect::to(PAGE_PATH))
    })
    .await
}
