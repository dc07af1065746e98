//! What a page can fail with, and the page that each failure shows.

use super::request_id;
use crate::api::error::ErrorBody;
use crate::store::limits::{self, LimitError};
use crate::store::locks;
use askama::Template;
use axum::http::response::Parts;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};

/// The result of a handler.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a handler can fail with. `api::Error` is its JSON face.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such page, or none that this person may know of.
    #[error("That page does not exist.")]
    NotFound,
    /// A query or form value is wrong. The message names the field and what it accepts.
    #[error("{0}")]
    Invalid(String),
    /// The request is well-formed but cannot be done now. The message says why and what to do.
    #[error("{0}")]
    Conflict(String),
    /// The server's disk does not take what was sent. The message says what to do.
    #[error("{0}")]
    NoRoom(String),
    /// Not signed in.
    #[error("You need to sign in.")]
    Unauthorized,
    /// Signed in, but not allowed.
    #[error("Your role does not include this page.")]
    Forbidden,
    /// A change that does not say that it comes from a page of this service.
    #[error("This request did not say from which site it came, so nothing was changed. Use the form on its page.")]
    OtherSite,
    /// Too many tries.
    #[error("Too many tries. Wait {retry_after_seconds} seconds.")]
    TooMany {
        /// Seconds until the next try is looked at.
        retry_after_seconds: u64,
    },
    /// As many of these as there may be at once are under way.
    #[error("Too much of this is under way just now. Try again in a moment.")]
    Busy {
        /// Seconds until it is worth another try.
        retry_after_seconds: u64,
    },
    /// As many of these as there may be at once are under way, and each may take a while. The message says how to ask for
    /// less.
    #[error("{message}")]
    Crowded {
        /// What to do.
        message: String,
        /// Seconds until it is worth another try.
        retry_after_seconds: u64,
    },
    /// The database cannot be reached just now.
    #[error("The database does not answer. Your figures are safe; try again in a moment.")]
    Unavailable,
    /// Somebody else's change took longer than a request may wait.
    #[error("A longer change is under way and this had to wait too long. Nothing was changed; try again in a moment.")]
    WaitedTooLong,
    /// What was asked for takes longer than a page may, or is more than is read at once. The message says how to ask
    /// for less.
    #[error("{0}")]
    TooMuch(String),
    /// Logged in full, shown as one neutral sentence.
    #[error("Something went wrong on our side. The log has the details.")]
    Internal(#[source] anyhow::Error),
}

impl Error {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::NoRoom(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::OtherSite => StatusCode::FORBIDDEN,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy { .. } | Self::Crowded { .. } | Self::WaitedTooLong | Self::TooMuch(_) | Self::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What Retry-After says, where it makes sense to try again.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::TooMany { retry_after_seconds }
            | Self::Busy { retry_after_seconds }
            | Self::Crowded { retry_after_seconds, .. } => Some(*retry_after_seconds),
            Self::Unavailable | Self::WaitedTooLong => Some(5),
            _ => None,
        }
    }
}

/// PostgreSQL's text has no NUL; the sentence for a sender who gives one.
pub const UNSTORABLE: &str = "A value has the character NUL in it, which no name and no text may have.";

// 22021: a NUL in a text. 22P05: the same, escaped, in a JSON value.
fn is_unstorable_text(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "22021" | "22P05"))
}

impl From<LimitError> for Error {
    fn from(limit: LimitError) -> Self {
        let sentence = limit.to_string();
        match limit {
            LimitError::TooMany { .. } => {
                request_id::told(|| tracing::warn!("A request asked for too much: {sentence}"));
                Self::TooMuch(sentence)
            }
            LimitError::Full { .. } => Self::Conflict(sentence),
        }
    }
}

// A missing row is never a 404 by itself: a handler that expects one says `ok_or(Error::NotFound)`.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let Some(limit) = limits::of(&error) {
            return limit.into();
        }
        match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::PoolClosed => Self::Unavailable,
            other if is_unstorable_text(&other) => Self::Invalid(UNSTORABLE.into()),
            other if locks::is_busy(&other) => {
                request_id::told(|| tracing::warn!("A request waited too long: {other}"));
                Self::WaitedTooLong
            }
            other => Self::Internal(other.into()),
        }
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        let cause = error.downcast_ref::<sqlx::Error>();
        if let Some(limit) = cause.and_then(limits::of) {
            return limit.into();
        }
        // The context around it stays in the log only where something is broken.
        match cause {
            Some(cause) if locks::is_busy(cause) => {
                request_id::told(|| tracing::warn!("A request waited too long: {error:#}"));
                Self::WaitedTooLong
            }
            _ => Self::Internal(error),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Self::Unauthorized = self {
            return Redirect::to("/sign-in").into_response();
        }
        if let Self::Internal(error) = &self {
            tracing::error!(error = format!("{error:#}"), "request failed");
        }
        let mut response = page(self.status(), self.to_string());
        if let Some(seconds) = self.retry_after_seconds() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// An error page, or the same sentence as JSON where a table was asked for in that form.
pub fn page(status: StatusCode, message: String) -> Response {
    if super::beside::is_json() {
        return (status, axum::Json(ErrorBody { error: message })).into_response();
    }
    let request_id = if status.is_server_error() { request_id::current() } else { String::new() };
    // What is wrong with an address stays wrong; what the server could not do just now may work.
    let may_pass = status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT);
    let is_read = request_id::is_read();
    let is_role = message == Error::Forbidden.to_string();
    let page =
        ErrorPage { can_try_again: may_pass && is_read, is_form: !is_read, is_role, status, message, request_id };
    match page.render() {
        Ok(html) => (page.status, Html(html)).into_response(),
        Err(_) => (page.status, page.message).into_response(),
    }
}

/// Gives an error that axum or a layer made (a form that does not fit, a body too large) the error page.
pub async fn as_page(response: Response) -> Response {
    match plain_error(response).await {
        Ok(dressed) => dressed,
        Err((mut parts, message)) => {
            let (page_parts, body) = page(parts.status, message).into_parts();
            parts.headers.extend(page_parts.headers);
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, body)
        }
    }
}

/// The same for the API.
pub async fn as_json(response: Response) -> Response {
    match plain_error(response).await {
        Ok(dressed) => dressed,
        Err((mut parts, message)) => {
            let body = axum::Json(ErrorBody { error: message }).into_response();
            parts.headers.extend(body.headers().clone());
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, body.into_body())
        }
    }
}

// An error that is not yet a page or JSON comes back as its parts and a sentence.
async fn plain_error(response: Response) -> Result<Response, (Parts, String)> {
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !is_error || content_type.is_some_and(|value| !value.starts_with("text/plain")) {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, 4096).await.unwrap_or_default();
    let message = match parts.status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY if !text.is_empty() => {
            let text = String::from_utf8_lossy(&text);
            no_number(&text).unwrap_or_else(|| text.into_owned())
        }
        StatusCode::FORBIDDEN => "This request came from another site, so nothing was changed.".into(),
        StatusCode::NOT_FOUND => Error::NotFound.to_string(),
        StatusCode::METHOD_NOT_ALLOWED => "This address cannot be used that way.".into(),
        StatusCode::PAYLOAD_TOO_LARGE => "That is larger than this address accepts.".into(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The body has the wrong content type.".into(),
        StatusCode::SERVICE_UNAVAILABLE => "This took too long and was stopped. Try again in a moment.".into(),
        status if status.is_server_error() => "Something went wrong on our side. The log has the details.".into(),
        _ => "The request could not be read.".into(),
    };
    Err((parts, message))
}

// What axum says of a part of the path that is no number names types of Rust: "Invalid URL: Cannot parse `abc` to a `i64`".
fn no_number(text: &str) -> Option<String> {
    let (told, kind) = text.strip_prefix("Invalid URL: Cannot parse ")?.rsplit_once(" to a `")?;
    kind.strip_prefix(['i', 'u'])?.strip_suffix('`')?.parse::<u32>().ok()?;
    let value = told.split_once(" with value `").map(|(_, value)| value).or_else(|| told.strip_prefix('`'))?;
    let value = value.strip_suffix('`')?;
    Some(format!("In the address, “{value}” stands where a number is expected, such as 12."))
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    status: StatusCode,
    message: String,
    request_id: String,
    can_try_again: bool,
    /// A form was sent: the browser still has what was entered.
    is_form: bool,
    /// The reader lacks a role: who gives it is said.
    is_role: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_said_in_words() {
        let said = "In the address, “abc” stands where a number is expected, such as 12.";
        for told in
            ["`abc` to a `i64`", "`id` with value `abc` to a `u32`", "value at index 2 with value `abc` to a `i32`"]
        {
            assert_eq!(no_number(&format!("Invalid URL: Cannot parse {told}")).as_deref(), Some(said), "{told}");
        }
        assert_eq!(no_number("Invalid URL: Cannot parse `abc` to a `Uuid`"), None);
        assert_eq!(no_number("Failed to deserialize query string: unknown field `x`"), None);
    }

    #[test]
    fn more_than_is_read_at_once_is_said_so_and_is_no_fault_of_the_server() {
        let error = || limits::within(vec![1, 2], 1, "things").unwrap_err();
        for error in [Error::from(error()), Error::from(anyhow::Error::from(error()).context("reading things"))] {
            assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(error.to_string().starts_with("There are more than 1 things."), "{error}");
        }
        let full = Error::from(limits::room(1, 1, "things").unwrap_err());
        assert_eq!(full.status(), StatusCode::CONFLICT);
        assert!(matches!(Error::from(sqlx::Error::RowNotFound), Error::Internal(_)));
    }
}
