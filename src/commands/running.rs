//! The running service: what `serve` and `demo` start and stop.

use super::database::{self, Database};
use crate::config::Config;
use crate::web::{AppState, server, telemetry, welcome};
use anyhow::Context;
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A job that is cut gets its lease back after this.
const JOBS_DRAIN: Duration = Duration::from_secs(30);

/// Which halves of the service run in this process.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    /// Pages, API and webhooks.
    pub pages: bool,
    /// The work in the background.
    pub jobs: bool,
}

/// The addresses that the service is reached on, taken before anything that lasts.
pub struct Ports {
    pages: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Ports {
    /// Takes them; with port 0 the system chooses one, and the settings then carry that.
    pub async fn take(config: &mut Config, parts: Parts) -> anyhow::Result<Self> {
        let pages = match parts.pages {
            true => Some(listen(config).await?),
            false => None,
        };
        Ok(Self { pages, metrics: telemetry::listen(&config.metrics_listen).await? })
    }

    /// The same for somebody who wants to look at the pages: an address of metrics that is taken is no reason to stop.
    pub async fn take_for_show(config: &mut Config, parts: Parts) -> anyhow::Result<Self> {
        if let Err(error) = telemetry::listen(&config.metrics_listen).await {
            let is_taken = error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::AddrInUse);
            if !is_taken {
                return Err(error);
            }
            eprintln!("  {} is taken, so metrics are not served", config.metrics_listen);
            config.metrics_listen = "off".to_owned();
        }
        Self::take(config, parts).await
    }
}

/// The service while it runs.
pub struct Running {
    app: AppState,
    stop: CancellationToken,
    pages: Option<JoinHandle<anyhow::Result<()>>>,
    jobs: Option<JoinHandle<()>>,
    cluster: Option<JoinHandle<()>>,
}

/// Starts it.
pub async fn start(database: &Database, config: &Config, parts: Parts, ports: Ports) -> anyhow::Result<Running> {
    let app = AppState::new(config.clone(), database.pools.clone())?;
    if ports.pages.is_some()
        && let Err(error) = welcome::note_address(config).await
    {
        tracing::warn!("Commands will not know where the pages are served: {error}");
    }
    let stop = CancellationToken::new();
    let running = Running {
        pages: ports.pages.map(|listener| {
            let stopped = stop.clone().cancelled_owned();
            tokio::spawn(server::serve(app.clone(), listener, stopped))
        }),
        jobs: parts
            .jobs
            .then(|| tokio::spawn(crate::jobs::run(app.pools.clone(), (*app.config).clone(), stop.clone()))),
        cluster: database.cluster.clone().map(|own| tokio::spawn(database::keep_running(own, stop.clone()))),
        app: app.clone(),
        stop,
    };
    let Some(metrics) = ports.metrics else { return Ok(running) };
    match telemetry::serve_metrics(app, metrics) {
        Ok(()) => Ok(running),
        Err(error) => {
            running.stop().await?;
            Err(error)
        }
    }
}

async fn listen(config: &mut Config) -> anyhow::Result<TcpListener> {
    let address = config.listen;
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("could not listen on {address}: stop what uses it, or set COSTWAKE_LISTEN to a free address")
    })?;
    config.listen = listener.local_addr()?;
    Ok(listener)
}

impl Running {
    /// What handlers see.
    pub fn app(&self) -> &AppState {
        &self.app
    }

    /// Where it is reached.
    pub fn address(&self) -> String {
        welcome::address_of(&self.app.config, "")
    }

    /// A link for the first administrator, on a new installation.
    pub async fn first_sign_in_link(&self) -> anyhow::Result<Option<String>> {
        welcome::announce_bootstrap(&self.app).await
    }

    /// Waits until the pages end by themselves, which they do only by a fault.
    pub async fn ended(&mut self) {
        match &mut self.pages {
            Some(pages) if !pages.is_finished() => {
                while !pages.is_finished() {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            Some(_) => {}
            None => std::future::pending().await,
        }
    }

    /// Finishes what is open, within limits.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.app.draining.cancel();
        let served = match self.pages {
            Some(pages) => pages.await?,
            None => Ok(()),
        };
        if let Some(jobs) = self.jobs
            && tokio::time::timeout(JOBS_DRAIN, jobs).await.is_err()
        {
            tracing::warn!("Stopped while a job was running; it is taken up again at the next start");
        }
        if let Some(cluster) = self.cluster {
            let _ = cluster.await;
        }
        served
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_demo_goes_on_without_metrics_where_their_address_is_taken() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let mut config = Config::of(&["--listen", "127.0.0.1:0", "--metrics-listen", address.as_str()]);
        let parts = Parts { pages: true, jobs: true };
        let error = Ports::take(&mut config, parts).await.err().unwrap().to_string();
        assert!(error.contains("COSTWAKE_METRICS_LISTEN"), "{error}");
        let ports = Ports::take_for_show(&mut config, parts).await.unwrap();
        assert!(ports.pages.is_some() && ports.metrics.is_none());
    }
}
