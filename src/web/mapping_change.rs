//! A change of rules or catalogue: made, written to the audit log and worked into the figures in one transaction.

use super::{AppState, ClientAddress, Error, Principal, Result, detached};
use crate::rollup::remap::{self, RemapReport};
use crate::store::audit;
use crate::store::catalogue::CatalogueError;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, Transaction};
use std::time::Duration;

/// A reader waits this long for a change; after that the page says that it is still being worked in.
const PATIENCE: Duration = Duration::from_secs(20);

/// A change that is being made. Dropped without [`Self::finish`], it never happened.
pub struct MappingChange {
    transaction: Transaction<'static, Postgres>,
    actor: String,
    client_address: String,
    now: DateTime<Utc>,
}

impl MappingChange {
    /// Waits until nobody else changes rules or publishes bills.
    pub async fn begin(app: &AppState, principal: &Principal, address: ClientAddress) -> Result<Self> {
        let mut transaction = app.pools.jobs.begin().await?;
        remap::begin(&mut transaction).await?;
        let (actor, client_address) = (principal.login.clone(), address.to_string());
        Ok(Self { transaction, actor, client_address, now: app.now() })
    }

    /// The transaction.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Who makes the change.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// When.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Writes down what was done to what.
    pub async fn audit(&mut self, action: &str, subject: &str, details: serde_json::Value) -> Result<()> {
        let Self { transaction, actor, client_address, now } = self;
        Ok(audit::insert(transaction, *now, actor, client_address, action, subject, details).await?)
    }

    /// Maps everything again and makes change and effect visible together.
    pub async fn finish(mut self) -> Result<RemapReport> {
        let report = remap::remap_within(&mut self.transaction, &self.actor, self.now).await?;
        self.transaction.commit().await?;
        Ok(report)
    }

    /// Works shared costs out anew and makes change and effect visible together.
    pub async fn finish_splits(mut self) -> Result<()> {
        remap::work_out_splits(&mut self.transaction, &self.actor, self.now).await?;
        Ok(self.transaction.commit().await?)
    }

    /// Makes a change visible that moves no cost between services.
    pub async fn finish_without_remap(mut self) -> Result<()> {
        remap::publish_without_cost(&mut self.transaction, &self.actor, self.now).await?;
        Ok(self.transaction.commit().await?)
    }
}

/// Runs a change to its end whatever the client does. Where it takes long, the reader is sent to the page that tells
/// how far it is.
pub async fn run<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<Done<T>> {
    match tokio::time::timeout(PATIENCE, detached(work)).await {
        Ok(result) => result.map(Done::Now),
        Err(_) => Ok(Done::Later),
    }
}

/// Whether a change is in the figures already.
pub enum Done<T> {
    /// It is.
    Now(T),
    /// It is being worked in.
    Later,
}

impl<T> Done<T> {
    /// The same with another value.
    pub fn map<U>(self, to: impl FnOnce(T) -> U) -> Done<U> {
        match self {
            Self::Now(value) => Done::Now(to(value)),
            Self::Later => Done::Later,
        }
    }

    /// To this page, or to the one that shows the progress.
    pub fn redirect(self, to: impl FnOnce(T) -> String) -> Response {
        match self {
            Self::Now(value) => Redirect::to(&to(value)).into_response(),
            Self::Later => Redirect::to("/rules").into_response(),
        }
    }
}

impl From<CatalogueError> for Error {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::Database(error) => error.into(),
            CatalogueError::NameTaken { .. } | CatalogueError::Full(_) => Self::Conflict(error.to_string()),
            other => Self::Invalid(other.to_string()),
        }
    }
}

/// The sentence of an error that the reader can mend, for showing it beside the form.
pub fn sentence(error: Error) -> Result<String> {
    match error {
        Error::Invalid(message) | Error::Conflict(message) => Ok(message),
        other => Err(other),
    }
}
