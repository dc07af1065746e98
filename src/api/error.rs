//! The JSON face of [`crate::web::Error`]: `{"error": "sentence"}`.

use crate::web::{self, request_id};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The result of an API handler.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What an API handler can fail with. `?` takes everything that a page takes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What a page fails with too.
    #[error(transparent)]
    Web(web::Error),
    /// The token is missing, unknown, expired or revoked.
    #[error("Send a valid API token as \"Authorization: Bearer …\".")]
    NoToken,
    /// A token where only people who are signed in are let in.
    #[error(
        "This is a page for people who are signed in. A token opens /api/v1/…, and files of pages: the same address with .csv, .xlsx or .json at its end."
    )]
    NoPage,
    /// The token is valid but not for this.
    #[error("This token has scope {has}; {wants} is needed.")]
    Scope {
        /// What the token has.
        has: &'static str,
        /// What the route asks for.
        wants: &'static str,
    },
    /// Well-formed, but a value is not acceptable. The message names the field.
    #[error("{0}")]
    Unprocessable(String),
}

impl<E: Into<web::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Web(error.into())
    }
}

impl Error {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Web(error) => error.status(),
            Self::NoToken | Self::NoPage => StatusCode::UNAUTHORIZED,
            Self::Scope { .. } => StatusCode::FORBIDDEN,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

/// The body of every error.
#[derive(serde::Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// What was wrong, in a sentence.
    pub error: String,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Self::Web(web::Error::Internal(error)) = &self {
            request_id::told(|| tracing::error!(error = format!("{error:#}"), "request failed"));
        }
        let status = self.status();
        let sentence = match &self {
            Self::Web(web::Error::NotFound) => "There is no such thing here, or none that this token may read.".into(),
            Self::Web(web::Error::Forbidden) => "The role of this token's owner does not include this.".into(),
            other => other.to_string(),
        };
        let mut response = (status, Json(ErrorBody { error: sentence })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::Web(error) = &self
            && let Some(seconds) = error.retry_after_seconds()
        {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
