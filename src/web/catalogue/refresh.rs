//! Descriptions that are fetched every night: set up, fetched at once, and forgotten.

use super::super::mapping_change::{self, MappingChange};
use super::super::rules::delete_rule;
use super::super::webhooks::key;
use super::super::{AppState, ClientAddress, Error, Principal, Result, detached};
use super::import::{ImportPage, with_refresh};
use crate::focus::repository_name;
use crate::store::catalogue_sources::{self, KINDS, NewSource, REFRESH_CATALOGUE, SOURCES_MAX};
use crate::store::{audit, jobs, mapping_rules};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashSet;

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
    fn wanted(&self) -> Wanted {
        Wanted {
            name: self.name.clone(),
            kind: self.kind.clone(),
            repository: self.repository.clone(),
            address: self.address.clone(),
            token: Some(self.token.clone()),
        }
    }
}

/// What somebody wants to be fetched.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it is called.
    pub name: String,
    /// `backstage`, `table` or `codeowners`.
    pub kind: String,
    /// Of CODEOWNERS: the repository that they lie in.
    pub repository: String,
    /// Where it is.
    pub address: String,
    /// `None` leaves the token that is kept, an empty one forgets it.
    pub token: Option<String>,
}

impl Wanted {
    fn checked(&self) -> Result<NewSource> {
        let refuse = |text: &str| Err(Error::Invalid(text.into()));
        let (name, address) = (self.name.trim(), self.address.trim());
        let token = self.token.as_deref().map(str::trim);
        if !KINDS.contains(&self.kind.as_str()) {
            return refuse("Choose what the file is: backstage, table or codeowners.");
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
        if self.kind == "codeowners" && repository_name(&self.repository).is_none() {
            return refuse("Say which repository the CODEOWNERS are of, as owner/name.");
        }
        if token.is_some_and(|token| token.len() > TOKEN_CHARS_MAX || token.chars().any(|c| !c.is_ascii_graphic())) {
            return refuse("A token is up to 1,000 letters, digits and signs without spaces.");
        }
        Ok(NewSource {
            name: name.to_owned(),
            kind: self.kind.clone(),
            repository: self.repository.trim().to_owned(),
            address: address.to_owned(),
            token: token.map(str::to_owned),
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
    save(app, &principal.login, &from.to_string(), form.wanted(), false).await.map(drop)
}

/// Lets a description be fetched every night, and at once. One of the same name is changed where that is allowed. Whether it
/// is a new one.
pub async fn save(app: &AppState, by: &str, from: &str, wanted: Wanted, may_change: bool) -> Result<bool> {
    let new = wanted.checked()?;
    let key = key(app).await?;
    let (app, by, from) = (app.clone(), by.to_owned(), from.to_owned());
    detached(async move {
        let now = app.now();
        let mut transaction = app.pools.web.begin().await?;
        let known = catalogue_sources::find_for_update(&mut transaction, &new.name).await?;
        if known.is_some() && !may_change {
            return Err(Error::Conflict(format!("A description called “{}” is fetched already.", new.name)));
        }
        if known.is_none() && catalogue_sources::list(&mut *transaction).await?.len() as i64 >= SOURCES_MAX {
            return Err(Error::Conflict(format!("{SOURCES_MAX} descriptions are fetched already.")));
        }
        // It is due at once.
        catalogue_sources::put(&mut transaction, &key, &new, &by, now).await?;
        let details = json!({ "kind": new.kind, "address": new.address, "repository": new.repository,
            "token_changed": new.token.is_some() });
        let action = if known.is_some() { "catalogue.refresh_changed" } else { "catalogue.refresh_added" };
        audit::insert(&mut transaction, now, &by, &from, action, &new.name, details).await?;
        transaction.commit().await?;
        Ok(known.is_none())
    })
    .await
}

/// Fetches a description at once.
pub async fn fetch_now(app: &AppState, id: i64) -> Result<()> {
    let app = app.clone();
    detached(async move {
        let mut conn = app.pools.web.acquire().await?;
        catalogue_sources::get(&mut *conn, id).await?.ok_or(Error::NotFound)?;
        let payload = json!({ "catalogue_source_id": id });
        Ok(jobs::enqueue(&mut conn, REFRESH_CATALOGUE, &id.to_string(), &payload).await.map(drop)?)
    })
    .await
}

/// Fetches a description no more, and forgets its token; what it brought stays.
pub async fn forget(app: &AppState, by: &str, from: &str, id: i64) -> Result<()> {
    let (app, by, from) = (app.clone(), by.to_owned(), from.to_owned());
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        let source = catalogue_sources::get(&mut *transaction, id).await?.ok_or(Error::NotFound)?;
        catalogue_sources::delete(&mut transaction, id).await?;
        let action = "catalogue.refresh_removed";
        audit::insert(&mut transaction, app.now(), &by, &from, action, &source.name, json!({})).await?;
        Ok(transaction.commit().await?)
    })
    .await
}

pub(super) async fn now(State(app): State<AppState>, Path(id): Path<i64>) -> Result<Redirect> {
    fetch_now(&app, id).await?;
    Ok(Redirect::to(PAGE_PATH))
}

pub(super) async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    from: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Redirect> {
    forget(&app, &principal.login, &from.to_string(), id).await?;
    Ok(Redirect::to(PAGE_PATH))
}

/// The rules that were looked at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GoneRulesForm {
    /// Their numbers, with commas between.
    rules: String,
}

/// Takes rules away that a description says no longer: of those that were looked at, the ones of which that still
/// holds.
pub(super) async fn remove_rules(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<GoneRulesForm>,
) -> Result<Response> {
    let wanted: HashSet<i64> = form.rules.split(',').filter_map(|number| number.trim().parse().ok()).collect();
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let source = catalogue_sources::get(change.conn(), id).await?.ok_or(Error::NotFound)?;
        let described = mapping_rules::described(change.conn()).await?;
        let is_gone = |rule: &&i64| wanted.contains(*rule) && described.get(*rule).is_some_and(|by| *by == source.name);
        let gone: Vec<i64> = source.gone_rule_ids.iter().filter(is_gone).copied().collect();
        if gone.is_empty() {
            let words = "These rules are gone, were changed, or are described again. Load the page anew.";
            return Err(Error::Conflict(words.into()));
        }
        let reason = format!("{} does not say so any more.", source.name);
        for rule in gone {
            delete_rule(&mut change, rule, &reason).await?;
        }
        change.finish().await
    });
    Ok(done.await?.redirect(|_| PAGE_PATH.into()))
}
