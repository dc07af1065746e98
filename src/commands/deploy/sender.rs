//! The client of `costwake deploy`: it carries a token, so that it is careful where to.

use super::path_segment;
use crate::api::deployment_body::{DeploymentUpdate, NewDeployment};
use anyhow::{Context, ensure};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde::Serialize;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
const TRIES: u32 = 4;
/// An answer is a deployment or a sentence.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const SENTENCE_CHARS_MAX: usize = 500;

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Recorded, under this number.
    Recorded(i64),
    /// Stored; it is recorded once the server's rules stand again.
    Accepted,
    /// A mistake in the call, in a sentence.
    Refused(String),
}

/// Sends to one server.
pub(super) struct Sender {
    client: Client,
    server: String,
    token: String,
}

impl Sender {
    /// For this server. Plain HTTP would show the token to everyone on the way, so that only this machine is reached
    /// by it, unless the caller says that the way is safe.
    pub fn new(server: &str, token: String, allows_http: bool) -> anyhow::Result<Self> {
        let server = server.trim_end_matches('/').to_owned();
        let url = Url::parse(&server).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.context("--server must be an address that begins with http:// or https://")?;
        let is_plain = url.scheme() == "http";
        ensure!(
            !is_plain || allows_http || is_loopback(&url),
            "--server {server} is plain HTTP, over which others can read the token. Use https://, or add --allow-http \
             where nobody can listen in."
        );
        // A second call finds one installed; that is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A redirect would hand the token to another address, and so would a proxy for plain HTTP.
        let mut client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("costwake/", env!("CARGO_PKG_VERSION")));
        if is_plain {
            client = client.no_proxy();
        }
        Ok(Self { client: client.build().context("could not set up the HTTP client")?, server, token })
    }

    /// Records it. A deployment of this id that is there with other details is brought up to date instead.
    pub async fn record(&self, body: &NewDeployment) -> anyhow::Result<Outcome> {
        let (status, answer) = self.send(Method::POST, "/api/v1/deployments", body).await?;
        let (status, answer) = match &body.id {
            Some(id) if status == StatusCode::CONFLICT => {
                let path = format!("/api/v1/deployments/{}", path_segment(&format!("id:{id}")));
                // Where there is nothing to bring up to date, the first answer says what is wrong.
                match self.send(Method::PATCH, &path, &update(body)).await? {
                    (StatusCode::NOT_FOUND, _) => (status, answer),
                    updated => updated,
                }
            }
            _ => (status, answer),
        };
        let sentence = answer.get("error").and_then(serde_json::Value::as_str).map(plain);
        let sentence = sentence.unwrap_or_else(|| "no reason was given".into());
        match answer.get("deployment_id").and_then(serde_json::Value::as_i64) {
            Some(number) if status.is_success() => Ok(Outcome::Recorded(number)),
            _ if status == StatusCode::ACCEPTED => Ok(Outcome::Accepted),
            _ if status.is_client_error() => Ok(Outcome::Refused(sentence)),
            _ => anyhow::bail!("{} answered {status}: {sentence}", self.server),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<(StatusCode, serde_json::Value)> {
        // The same for every try, so that one that was recorded and not answered is not recorded twice.
        let key = uuid::Uuid::from_bytes(crate::store::seal::random()).to_string();
        let mut failure = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(500 << attempt)).await;
            }
            let request = self
                .client
                .request(method.clone(), format!("{}{path}", self.server))
                .bearer_auth(&self.token)
                .header("Idempotency-Key", &key)
                .json(body);
            match request.send().await {
                Ok(response)
                    if response.status().is_server_error() || response.status() == StatusCode::TOO_MANY_REQUESTS =>
                {
                    failure = Some(anyhow::anyhow!("{} answered {}", self.server, response.status()));
                }
                Ok(response) => return Ok((response.status(), answer(response).await)),
                Err(error) => {
                    failure = Some(
                        anyhow::Error::from(error.without_url()).context(format!("could not reach {}", self.server)),
                    )
                }
            }
        }
        Err(failure.unwrap_or_else(|| anyhow::anyhow!("nothing was sent")))
    }
}

fn update(body: &NewDeployment) -> DeploymentUpdate {
    DeploymentUpdate {
        services: body.service.iter().chain(&body.services).cloned().collect(),
        environment: Some(body.environment.clone()),
        status: body.status.clone(),
        version: body.version.clone(),
        steps: body.steps.clone(),
        commits: body.commits.clone(),
        started_at: body.started_at.clone(),
        finished_at: body.finished_at.clone(),
        actor: body.actor.clone(),
        url: body.url.clone(),
        title: body.title.clone(),
        strategy: body.strategy.clone(),
        kind: body.kind.clone(),
        attributes: body.attributes.clone(),
    }
}

// What is not JSON, or too long, says nothing.
async fn answer(mut response: Response) -> serde_json::Value {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            return serde_json::Value::Null;
        }
    }
    serde_json::from_slice(&bytes).unwrap_or_default()
}

// A terminal would act on control characters.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SENTENCE_CHARS_MAX).collect()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_travel_in_the_clear() {
        let may = |server: &str, allows_http: bool| Sender::new(server, "t".into(), allows_http).map(drop);
        for server in ["http://127.0.0.1:8080", "http://localhost/", "http://[::1]:9", "https://costs.example.com/a/"] {
            assert!(may(server, false).is_ok(), "{server}");
        }
        for server in ["http://costs.example.com", "http://127.0.0.1@costs.example.com", "http://localhost.example.com"]
        {
            let error = may(server, false).unwrap_err().to_string();
            assert!(error.contains("--allow-http"), "{server}: {error}");
            assert!(may(server, true).is_ok(), "{server}");
        }
        for server in ["costs.example.com", "ftp://costs.example.com", "http://", ""] {
            assert!(may(server, true).unwrap_err().to_string().contains("must be an address"), "{server}");
        }
    }

    #[test]
    fn what_is_printed_is_plain() {
        assert_eq!(plain("no\u{1b}[31m\r\nway"), "no[31mway");
        assert_eq!(plain(&"x".repeat(10_000)).len(), SENTENCE_CHARS_MAX);
    }
}
