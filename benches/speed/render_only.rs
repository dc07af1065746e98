//! The limit of the service page: read once, then made and rendered for every request without a database, in a
//! process of its own.

use crate::pages::{SLUG, Target};
use crate::server::Server;
use anyhow::Context;
use askama::Template;
use axum::response::Html;
use costwake::store::{Pools, Role};
use costwake::web::{AppState, Principal, service};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// The argument that makes this program be that process.
pub const ARGUMENT: &str = "--render-only";

/// The running process; stopped when dropped.
pub struct RenderOnly {
    process: Child,
    url: String,
}

impl RenderOnly {
    /// Starts it and waits until it listens.
    pub async fn start(server: &Server) -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .arg(server.data_dir())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut url)?;
        Ok(Self { process, url: url.trim().to_owned() })
    }

    /// Its page.
    pub fn target(&self) -> Target {
        Target { client: reqwest::Client::new(), url: self.url.clone(), cookie: String::new() }
    }
}

impl Drop for RenderOnly {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the process does.
pub async fn run(data_dir: &std::path::Path) -> anyhow::Result<()> {
    let joined = data_dir.to_owned();
    let open = move || costwake::store::embedded::Cluster::open(&joined, None);
    let cluster = tokio::task::spawn_blocking(open).await??;
    let config = crate::server::config(data_dir);
    let app = AppState::new(config, Pools::connect_lazy(cluster.connect_options()))?;
    let principal = Principal {
        user_id: 1,
        login: "admin".into(),
        role: Role::Finance,
        also_finance: false,
        team_ids: Vec::new(),
        theme: String::new(),
    };
    let material = service::read(&app, &principal, SLUG, None).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let material = Arc::new(material);
    let render = move || {
        let material = service::Material::clone(&material);
        async move { material.into_page().render().map(Html).map_err(|error| error.to_string()) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    Ok(axum::serve(listener, axum::Router::new().route("/", axum::routing::get(render))).await?)
}
