//! What a sender tells, in one shape: bytes in, [`Event`]s out. Pure, one file a sender, so that everything
//! received can be read again after an adapter was mended.
//!
//! Nothing here decides whether an event counts: a pipeline that succeeded is not a deployment, and a release
//! does not go live by itself.

mod api;
mod body;
mod clean;
mod event;
mod github;
mod headers;
mod history;
mod report;
mod signature;
mod state;

pub use api::{EVENT_HEADER, EXTERNAL_ID_HEADER};
pub use body::{plain_body, without_credentials};
pub use clean::{TEXT_LENGTH_MAX, text as clean_text, time as clean_time, url as clean_url};
pub use event::{Commit, Event, EventKind, Status};
pub use headers::Headers;
pub use history::{Live, Verdict, judge};
pub use report::report;
pub use signature::is_signed_by;
pub use state::{Derived, Told, derive, is_stale};

use chrono::{DateTime, Utc};

/// The senders that can be read.
pub const SENDERS: [&str; 2] = ["github", "api"];

/// Why a body could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EventError {
    /// No adapter of that name.
    #[error("\"{0}\" is not a sender that can be read; these can: {senders}", senders = SENDERS.join(", "))]
    UnknownSender(String),
    /// Neither JSON nor a form with JSON in it.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// JSON, but not what the sender's documentation says.
    #[error("{0}")]
    Unfit(String),
}

/// Reads one delivery. An uninteresting one gives a single event of kind `ignore` that says why.
pub fn read(
    sender: &str,
    headers: &Headers,
    body: &[u8],
    received_at: DateTime<Utc>,
) -> Result<Vec<Event>, EventError> {
    if !SENDERS.contains(&sender) {
        return Err(EventError::UnknownSender(sender.to_owned()));
    }
    let plain = plain_body(body)?;
    let root = serde_json::from_slice(&plain).map_err(|error| EventError::NotJson(error.to_string()))?;
    match sender {
        "github" => github::read(headers, &root, received_at),
        _ => api::read(headers, &root, received_at),
    }
}

/// The event's name that a GitHub body without an `X-GitHub-Event` header looks like.
pub fn infer_github_event(body: &[u8]) -> Option<&'static str> {
    github::infer(&serde_json::from_slice(&plain_body(body).ok()?).ok()?)
}
