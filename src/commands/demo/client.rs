//! A browser's and a program's requests to the demo's own server.

use anyhow::{Context, ensure};
use reqwest::{Client, Method, RequestBuilder, Response, redirect};
use serde_json::Value;
use std::time::Duration;

/// Sends requests to one server.
#[derive(Clone)]
pub struct Caller {
    client: Client,
    address: String,
}

impl Caller {
    /// For the server at this address.
    pub fn new(address: String) -> anyhow::Result<Self> {
        // A second call finds the first one's provider in place.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(Duration::from_secs(60)).no_proxy().redirect(redirect::Policy::none());
        Ok(Self { client: client.build().context("could not set up the HTTP client")?, address })
    }

    /// A request that is not yet sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.address)).header("Origin", &self.address)
    }

    /// Posts JSON to the API and expects success, with the body of which it answers.
    pub async fn post_json(&self, path: &str, token: &str, body: &Value) -> anyhow::Result<String> {
        self.send_json(Method::POST, path, token, body).await
    }

    /// The same by another method.
    pub async fn send_json(&self, method: Method, path: &str, token: &str, body: &Value) -> anyhow::Result<String> {
        let response = self.request(method, path).bearer_auth(token).json(body).send().await?;
        succeeded(response, path).await
    }
}

/// The body of a success; the reason of a failure.
pub async fn succeeded(response: Response, path: &str) -> anyhow::Result<String> {
    let status = response.status();
    let body = response.text().await?;
    let shown: String = body.chars().take(300).collect();
    ensure!(status.is_success(), "{path} answered {status}: {shown}");
    Ok(body)
}
