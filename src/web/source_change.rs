//! Setting sources up and changing them: the same for pages and the command line. Each change leaves a line in the
//! audit log, without anything secret.

use super::{Error, Result};
use crate::config::Config;
use crate::rollup::source_name_fault;
use crate::sources::kind::{Kind, Restatement};
use crate::sources::objects::{Opened, PlaceError};
use crate::sources::place::Credentials;
use crate::sources::setting::Setting;
use crate::store::seal::Key;
use crate::store::source_reads::READ_SOURCE;
use crate::store::source_settings::{self, SourceSetting};
use crate::store::{audit, jobs, removed_sources, source_finds};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::time::Duration;

/// Shorter than a request may take.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Who changes something, from where, and when.
#[derive(Debug, Clone)]
pub struct By {
    /// The login.
    pub actor: String,
    /// The address; empty on the command line.
    pub from: String,
    /// The time.
    pub now: DateTime<Utc>,
}

impl By {
    async fn record(&self, conn: &mut PgConnection, action: &str, source_id: i64, details: Value) -> Result<()> {
        let subject = format!("source {source_id}");
        Ok(audit::insert(conn, self.now, &self.actor, &self.from, action, &subject, details).await?)
    }
}

fn checked(setting: &Setting, credentials: Option<&Credentials>) -> Result<()> {
    let fault = setting.fault().or_else(|| credentials.and_then(|credentials| credentials.fault(setting.kind)));
    match fault {
        Some(fault) => Err(Error::Invalid(fault)),
        None => Ok(()),
    }
}

// What the log keeps of a set-up: all but credentials.
fn details(setting: &Setting, credentials: Option<&Credentials>) -> Value {
    json!({
        "name": setting.name,
        "kind": setting.kind.key(),
        "place": setting.place.words(setting.kind),
        "layout": setting.layout.key(),
        "rule": setting.restatement.key(),
        "late_bills": setting.late_bills.key(),
        "schedule": setting.schedule.map(|schedule| schedule.to_string()),
        "credentials_changed": credentials.is_some(),
    })
}

/// Whether a folder of the server may be read: what never can be is said at once, and not at the first read.
///
/// # Errors
/// Where the folder is not there, or lies in none that sources may read.
pub async fn check_folder(config: &Config, setting: &Setting) -> Result<()> {
    if setting.kind != Kind::Directory || setting.fault().is_some() {
        return Ok(());
    }
    let reach = config.reach().map_err(|error| Error::Invalid(format!("{error}.")))?;
    match Opened::new(setting.kind, &setting.place, &Credentials::default(), &reach).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Invalid(format!("{} {}", error.sentence, error.remedy))),
    }
}

/// Adds a source, or sets up one that files were handed in for so far. Gives its number.
pub async fn add(
    conn: &mut PgConnection,
    key: &Key,
    setting: &Setting,
    credentials: &Credentials,
    by: &By,
) -> Result<i64> {
    let name = &setting.name;
    if let Some(fault) = source_name_fault(&mut *conn, name).await? {
        return Err(Error::Invalid(fault));
    }
    checked(setting, Some(credentials))?;
    let added = source_settings::insert(conn, setting, &by.actor, by.now).await?;
    let Some(source_id) = added else {
        return Err(Error::Conflict(format!(
            "The source “{name}” is set up already: change it, or take another name."
        )));
    };
    if setting.restatement == Restatement::AppendByObject && source_settings::has_bills(&mut *conn, source_id).await? {
        return Err(Error::Conflict(format!(
            "Bills of the source “{name}” count already, and files that add up would count them twice: take another name."
        )));
    }
    source_settings::set_credentials(conn, key, source_id, credentials).await?;
    by.record(conn, "source.added", source_id, details(setting, Some(credentials))).await?;
    Ok(source_id)
}

/// Changes a source. Without credentials the present ones stay.
pub async fn change(
    conn: &mut PgConnection,
    key: &Key,
    source: &SourceSetting,
    setting: &Setting,
    credentials: Option<&Credentials>,
    by: &By,
) -> Result<()> {
    checked(setting, credentials)?;
    let before = &source.setting;
    if setting.name != before.name {
        return Err(Error::Invalid("The name of a source stays: receipts and programs refer to it.".into()));
    }
    let keeps = credentials.is_none() && source.has_credentials();
    if keeps && (setting.kind != before.kind || !setting.place.has_same_host(&before.place)) {
        return Err(Error::Invalid(
            "The credentials are for another host than this: enter them again for the new one.".into(),
        ));
    }
    let appends = |setting: &Setting| setting.restatement == Restatement::AppendByObject;
    if appends(setting) != appends(before) && source_settings::has_bills(&mut *conn, source.source_id).await? {
        return Err(Error::Conflict(
            "Bills of this source count, and with the other rule they would count twice: withdraw them first, or add \
             another source."
                .into(),
        ));
    }
    source_settings::update(conn, source.source_id, setting, by.now).await?;
    if (setting.kind, setting.layout, &setting.place) != (before.kind, before.layout, &before.place) {
        source_finds::forget_all(conn, source.source_id).await?;
    }
    if let Some(credentials) = credentials {
        source_settings::set_credentials(conn, key, source.source_id, credentials).await?;
    }
    by.record(conn, "source.changed", source.source_id, details(setting, credentials)).await
}

/// Lets a source wait, or go on.
pub async fn pause(conn: &mut PgConnection, source: &SourceSetting, is_paused: bool, by: &By) -> Result<()> {
    if source_settings::set_paused(conn, source.source_id, is_paused, by.now).await? {
        let action = if is_paused { "source.paused" } else { "source.resumed" };
        by.record(conn, action, source.source_id, json!({ "name": source.setting.name })).await?;
    }
    Ok(())
}

/// Asks for a look at the source's place now. Gives the job.
pub async fn read_now(conn: &mut PgConnection, source: &SourceSetting, by: &By) -> Result<i64> {
    if !source.setting.kind.is_read() {
        return Err(Error::Conflict("Files of this source are handed in: upload one, or push it.".into()));
    }
    let payload = json!({ "source_id": source.source_id, "asked_by": by.actor });
    let job_id = jobs::enqueue(conn, READ_SOURCE, &source.source_id.to_string(), &payload).await?;
    by.record(conn, "source.read", source.source_id, json!({ "name": source.setting.name })).await?;
    Ok(job_id)
}

/// Forgets the set-up and the credentials. Bills and receipts stay; where nothing counts or waits, the source goes.
pub async fn remove(conn: &mut PgConnection, source: &SourceSetting, by: &By) -> Result<()> {
    source_settings::delete(conn, source.source_id).await?;
    take_off(conn, source.source_id, by).await?;
    by.record(conn, "source.removed", source.source_id, details(&source.setting, None)).await
}

/// Takes a source out of every list, where nothing of it counts or waits.
pub async fn take_off(conn: &mut PgConnection, source_id: i64, by: &By) -> Result<()> {
    let held = removed_sources::held(&mut *conn, source_id).await?;
    if held.is_some_and(|held| held.obstacle().is_none()) {
        removed_sources::remove(conn, source_id, by.now).await?;
    }
    Ok(())
}

/// Removes a source of which nothing counts or waits, set up or not. Receipts stay as history.
///
/// # Errors
/// Where it is not there any more, or holds something that counts or waits.
pub async fn remove_unused(conn: &mut PgConnection, source_id: i64, by: &By) -> Result<()> {
    let held = removed_sources::held(&mut *conn, source_id).await?;
    let held = held.filter(|held| !held.is_removed).ok_or(Error::NotFound)?;
    if let Some(obstacle) = held.obstacle() {
        return Err(Error::Conflict(format!("The source “{}” stays. {obstacle}", held.name)));
    }
    source_settings::delete(conn, source_id).await?;
    removed_sources::remove(conn, source_id, by.now).await?;
    let details = json!({ "name": held.name, "deliveries": held.delivery_count });
    by.record(conn, "source.removed", source_id, details).await
}

/// Asks the place for its first objects. Gives how many there are, up to a thousand.
pub async fn test(config: &Config, key: &Key, source: &SourceSetting) -> Result<usize, PlaceError> {
    let credentials = source.credentials(key).map_err(|error| {
        PlaceError::lasting(
            format!("The credentials cannot be opened: {error}."),
            "Put the right key file back, or enter the credentials again.",
        )
    })?;
    let reach = config
        .reach()
        .map_err(|error| PlaceError::lasting(format!("{error}."), "Mend the setting and start Costwake again."))?;
    let setting = &source.setting;
    let probe = async {
        let opened = Opened::new(setting.kind, &setting.place, &credentials, &reach).await?;
        opened.probe().await
    };
    tokio::time::timeout(TEST_TIMEOUT, probe).await.unwrap_or_else(|_| {
        let seconds = TEST_TIMEOUT.as_secs();
        Err(PlaceError::passing(
            format!("There was no answer for {seconds} seconds."),
            "Check the endpoint and the region, and that the server may connect there.",
        ))
    })
}
