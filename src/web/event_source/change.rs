//! Changes of how an event source is read, for the page and the API: checked, kept and written into the audit log.

use crate::events::listed::Api;
use crate::focus::repository_name;
use crate::store::event_reads::{self, READ_EVENT_SOURCE, REPOSITORIES_MAX, ReadValues};
use crate::store::event_sources::{self, EventSource};
use crate::store::{audit, jobs};
use crate::web::webhooks::key;
use crate::web::{AppState, Error, Result, detached};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use std::collections::BTreeSet;

const ADDRESS_CHARS_MAX: usize = 500;
const TOKEN_CHARS_MAX: usize = 1000;
/// Minutes between reads.
const MINUTES: std::ops::RangeInclusive<i32> = 5..=10_080;

/// What somebody wants to be read.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Of the API; empty for the one that everyone uses.
    pub address: String,
    /// As they are named, or as the addresses of their pages.
    pub repositories: Vec<String>,
    /// From one read to the next.
    pub every_minutes: i32,
    /// `None` leaves the one that is kept, an empty one forgets it.
    pub token: Option<String>,
}

fn checked(api: Api, wanted: &Wanted) -> Result<ReadValues> {
    let refuse = |text: String| Err(Error::Invalid(text));
    let address = wanted.address.trim().trim_end_matches('/');
    let address = if address.is_empty() { api.public_address() } else { address };
    let url = reqwest::Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(url) = url.filter(|_| address.len() <= ADDRESS_CHARS_MAX) else {
        return refuse(format!("Write the address of the API as {}.", api.public_address()));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("Leave name and password out of the address: the token has a field of its own.".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("Write the address only up to where the paths of repositories begin.".into());
    }
    let mut repositories = BTreeSet::new();
    for written in &wanted.repositories {
        // People copy the address of the page, or what they clone.
        let Some(name) = repository_name(written).filter(|name| api.is_repository(name)) else {
            let shown: String = written.chars().take(200).collect();
            return refuse(format!("“{shown}” is no repository: write owner/name, one a line."));
        };
        repositories.insert(name);
    }
    if repositories.is_empty() || repositories.len() > REPOSITORIES_MAX {
        return refuse(format!("Name 1 to {REPOSITORIES_MAX} repositories, one a line."));
    }
    if !MINUTES.contains(&wanted.every_minutes) {
        return refuse("It is read every 5 to 10,080 minutes, a week.".into());
    }
    if let Some(token) = &wanted.token
        && (token.len() > TOKEN_CHARS_MAX || token.chars().any(|c| !c.is_ascii_graphic()))
    {
        return refuse("A token is up to 1,000 letters, digits and signs without spaces.".into());
    }
    let repositories = repositories.into_iter().collect();
    Ok(ReadValues { address: address.to_owned(), repositories, every_minutes: wanted.every_minutes })
}

// A change of one source: nobody else changes it meanwhile, and it happens with its line in the audit log or not at all.
struct Change {
    transaction: Transaction<'static, Postgres>,
    source: EventSource,
    by: String,
    from: String,
    now: DateTime<Utc>,
}

impl Change {
    async fn begin(app: &AppState, by: &str, from: &str, id: i64) -> Result<Self> {
        let mut transaction = app.pools.web.begin().await?;
        let source = event_sources::get_for_update(&mut transaction, id).await?.ok_or(Error::NotFound)?;
        Ok(Self { transaction, source, by: by.to_owned(), from: from.to_owned(), now: app.now() })
    }

    async fn finish(mut self, action: &str, details: Value) -> Result<()> {
        let Self { transaction, source, by, from, now } = &mut self;
        audit::insert(transaction, *now, by, from, action, &source.name, details).await?;
        Ok(self.transaction.commit().await?)
    }
}

/// Lets a source be read, or changes how; it is read at once. Gives what is kept.
pub async fn save(app: &AppState, by: &str, from: &str, id: i64, wanted: Wanted) -> Result<ReadValues> {
    let mut conn = app.pools.web.acquire().await?;
    let source = event_sources::get(&mut conn, id).await?.ok_or(Error::NotFound)?;
    drop(conn);
    let Some(api) = Api::of(&source.kind) else {
        return Err(Error::Conflict(format!("{} has no API that is read: it sends what there is.", source.name)));
    };
    let values = checked(api, &wanted)?;
    let key = key(app).await?;
    let (app, by, from) = (app.clone(), by.to_owned(), from.to_owned());
    detached(async move {
        let mut change = Change::begin(&app, &by, &from, id).await?;
        let token = wanted.token.as_deref();
        event_reads::put(&mut change.transaction, &key, id, &values, token, &by, change.now).await?;
        let details = json!({ "address": values.address, "repositories": values.repositories,
            "every_minutes": values.every_minutes, "token_changed": wanted.token.is_some() });
        change.finish("event_source.reading_changed", details).await?;
        Ok(values)
    })
    .await
}

/// Lets a source that signs show its plain token too, or no longer.
pub async fn allow_plain_token(app: &AppState, by: &str, from: &str, id: i64, is_allowed: bool) -> Result<()> {
    let (app, by, from) = (app.clone(), by.to_owned(), from.to_owned());
    detached(async move {
        let mut change = Change::begin(&app, &by, &from, id).await?;
        let Some(since) = change.source.signed_since else {
            return Err(Error::Conflict(format!("{} has not signed anything yet.", change.source.name)));
        };
        event_sources::allow_plain_token(&mut change.transaction, id, is_allowed).await?;
        let action = if is_allowed { "event_source.plain_token_allowed" } else { "event_source.plain_token_refused" };
        change.finish(action, json!({ "signed_since": since })).await
    })
    .await
}

/// Asks for a read at once.
pub async fn read_now(app: &AppState, by: &str, from: &str, id: i64) -> Result<()> {
    let (app, by, from) = (app.clone(), by.to_owned(), from.to_owned());
    detached(async move {
        let mut change = Change::begin(&app, &by, &from, id).await?;
        let name = &change.source.name;
        if event_reads::get(&mut *change.transaction, id).await?.is_none() {
            return Err(Error::Conflict(format!("{name} is not read yet: say first what of it.")));
        }
        if !change.source.enabled {
            return Err(Error::Conflict(format!("{name} is switched off: switch it on first.")));
        }
        let payload = json!({ "event_source_id": id, "asked_by": by });
        jobs::enqueue(&mut change.transaction, READ_EVENT_SOURCE, &id.to_string(), &payload).await?;
        change.finish("event_source.read_asked_for", json!({})).await
    })
    .await
}

/// Lets reading wait, or go on.
pub async fn set_paused(app: &AppState, by: &str, from: &str, id: i64, is_paused: bool) -> Result<()> {
    let (app, by, from) = (app.clone(), by.to_owned(), from.to_owned());
    detached(async move {
        let mut change = Change::begin(&app, &by, &from, id).await?;
        if !event_reads::set_paused(&mut change.transaction, id, is_paused, change.now).await? {
            return Err(Error::NotFound);
        }
        let action = if is_paused { "event_source.reading_paused" } else { "event_source.reading_resumed" };
        change.finish(action, json!({})).await
    })
    .await
}

/// Ends reading and forgets the token; what was read stays.
pub async fn stop(app: &AppState, by: &str, from: &str, id: i64) -> Result<()> {
    let (app, by, from) = (app.clone(), by.to_owned(), from.to_owned());
    detached(async move {
        let mut change = Change::begin(&app, &by, &from, id).await?;
        if !event_reads::delete(&mut change.transaction, id).await? {
            return Err(Error::NotFound);
        }
        change.finish("event_source.reading_stopped", json!({})).await
    })
    .await
}
