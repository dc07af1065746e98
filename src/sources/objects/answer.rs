//! A question to a server of somebody's own, by the guarded client: its address is checked, its answer is bounded.

use super::guard::{Guard, Refused, client};
use reqwest::Url;
use std::error::Error as _;
use std::time::Duration;

/// A whole answer takes no longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no answer. Each message says what to do, and none holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The address may not be reached.
    #[error("{0}.")]
    Refused(#[from] Refused),
    /// It is no address.
    #[error("“{0}” is no address: write it as https://prometheus.example.com.")]
    NoAddress(String),
    /// Nobody answers there.
    #[error("{host} does not answer: {why}.")]
    Silent {
        /// Who was asked.
        host: String,
        /// What the system says.
        why: String,
    },
    /// It answers that it will not.
    #[error("{host} answers {status}: {text}")]
    Status {
        /// Who was asked.
        host: String,
        /// The number.
        status: u16,
        /// The beginning of what it says.
        text: String,
    },
    /// The next page lies elsewhere: the token is not sent there.
    #[error("{host} names a next page on another server, {other}: it was not asked.")]
    Elsewhere {
        /// The server that was asked.
        host: String,
        /// The one that it names.
        other: String,
    },
    /// It says too much.
    #[error("{host} answers with more than {mebibytes} MiB: ask for less.")]
    TooLarge {
        /// Who was asked.
        host: String,
        /// The bound.
        mebibytes: usize,
    },
}

/// Asks this address with these parameters, and with a bearer token where there is one.
pub async fn ask(
    guard: &Guard,
    address: &str,
    parameters: &[(&str, String)],
    bearer_token: Option<&str>,
    bytes_max: usize,
) -> Result<Vec<u8>, AnswerError> {
    let no_address = || AnswerError::NoAddress(address.chars().take(200).collect());
    let mut url = Url::parse(address).map_err(|_| no_address())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(no_address());
    }
    url.query_pairs_mut().extend_pairs(parameters);
    let host = url.host_str().unwrap_or_default().to_owned();
    let silent = |error: reqwest::Error| AnswerError::Silent { host: host.clone(), why: deepest(&error) };
    guard.check(&url).await?;
    let mut request = client(guard).map_err(silent)?.get(url).timeout(ANSWER_TIMEOUT);
    if let Some(token) = bearer_token {
        request = request.bearer_auth(token);
    }
    let mut response = request.send().await.map_err(silent)?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(silent)? {
        if body.len() + piece.len() > bytes_max {
            return Err(AnswerError::TooLarge { host, mebibytes: bytes_max >> 20 });
        }
        body.extend_from_slice(&piece);
    }
    let status = response.status();
    // Prometheus says what is wrong with a query in the body of a 400 or 422.
    if !status.is_success() && !matches!(status.as_u16(), 400 | 422) {
        let text: String = String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(AnswerError::Status { host, status: status.as_u16(), text });
    }
    Ok(body)
}

// The innermost cause: those around it repeat the address, which may hold more than a log should.
pub(super) fn deepest(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = if error.is_timeout() { "it takes too long".to_owned() } else { "the connection failed".to_owned() };
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}
