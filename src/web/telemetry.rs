//! Logs and metrics. Neither carries bodies, tokens or anything that a sender can make up in any number.

use super::AppState;
use crate::config::{Config, LogFormat};
use crate::store::{Pools, event_deliveries};
use anyhow::Context;
use axum::Router;
use axum::http::{Method, header};
use axum::routing::get;
use metrics::SharedString;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// What is logged unless `RUST_LOG` chooses: by what keeps running, which has no other output.
pub const SERVER_LOG: &str = "info,sqlx=warn";
/// By a command, whose output is its answer: what it waits for, and what somebody has to do something about.
pub const COMMAND_LOG: &str = "costwake=warn,costwake::patience=info";

const LATENCY_BUCKETS_SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Starts logging to standard error; `RUST_LOG` chooses what, else `unless_told` does. A second call does nothing.
///
/// # Errors
/// Where `RUST_LOG` is no filter: what somebody looks for would be missing from the log, and nobody would know why.
pub fn init(config: &Config, unless_told: &str) -> anyhow::Result<()> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(told) if !told.trim().is_empty() => EnvFilter::try_new(&told)
            .with_context(|| format!("RUST_LOG is {told}, which is no filter like info,sqlx=warn"))?,
        _ => EnvFilter::new(unless_told),
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(OneLine).with_ansi(false);
    // Only the first subscriber counts: a test may have set one.
    let _ = match config.log_format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).try_init(),
    };
    Ok(())
}

/// Standard error, one line an event: what a sender put into a name cannot begin a line of its own or move a
/// terminal's cursor.
struct OneLine;

impl<'a> MakeWriter<'a> for OneLine {
    type Writer = OneLine;

    fn make_writer(&'a self) -> OneLine {
        OneLine
    }
}

impl Write for OneLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(&one_line(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn one_line(bytes: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(bytes.len() + 8);
    for byte in bytes.strip_suffix(b"\n").unwrap_or(bytes) {
        match byte {
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            0..=8 | 11..=31 | 127 => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            _ => line.push(*byte),
        }
    }
    line.push(b'\n');
    line
}

/// The label of a method: a made-up one is not a label of its own.
pub fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// Counts an answered request.
pub fn count_request(method: &'static str, route: SharedString, status: u16, took: Duration) {
    let status = status.to_string();
    metrics::counter!("costwake_http_requests_total", "method" => method, "route" => route.clone(), "status" => status)
        .increment(1);
    metrics::histogram!("costwake_http_request_seconds", "method" => method, "route" => route).record(took);
}

/// The listener that metrics are served on; none where the setting is "off".
pub async fn listen(address: &str) -> anyhow::Result<Option<TcpListener>> {
    if address == "off" {
        return Ok(None);
    }
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("could not serve metrics on {address}: set COSTWAKE_METRICS_LISTEN to a free address, or to off")
    })?;
    Ok(Some(listener))
}

/// Serves `/metrics` until the service drains.
pub fn serve_metrics(app: AppState, listener: TcpListener) -> anyhow::Result<()> {
    let metrics = recorder()?;
    let (pools, draining) = (app.pools.clone(), app.draining.clone());
    let upkeep = metrics.clone();
    tokio::spawn(async move {
        while draining.run_until_cancelled(tokio::time::sleep(Duration::from_secs(5))).await.is_some() {
            upkeep.run_upkeep();
        }
    });
    let page = move || {
        let (metrics, pools) = (metrics.clone(), pools.clone());
        async move {
            // While the database is away the gauges keep what they were; readiness says that it is.
            let _ = count_events(&pools).await;
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render(&metrics, &pools))
        }
    };
    let router = Router::new().route("/metrics", get(page));
    tokio::spawn(super::server::run(router, listener, app.draining.clone()));
    Ok(())
}

/// The metrics as Prometheus reads them, with the state of the pools as it is now.
pub fn render(metrics: &PrometheusHandle, pools: &Pools) -> String {
    for (name, pool) in pools.by_name() {
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        metrics::gauge!("costwake_database_connections", "pool" => name).set(f64::from(pool.size()));
        metrics::gauge!("costwake_database_connections_idle", "pool" => name).set(f64::from(idle));
    }
    metrics.render()
}

/// Sets the gauges of events to what the database holds now.
pub async fn count_events(pools: &Pools) -> sqlx::Result<()> {
    let counts = event_deliveries::counts(&mut *pools.health.acquire().await?).await?;
    for (state, count) in [("unread", counts.unread), ("failed", counts.failed)] {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        metrics::gauge!("costwake_events", "state" => state).set(f64::from(count));
    }
    Ok(())
}

/// The process's metrics; installed once.
pub fn recorder() -> anyhow::Result<PrometheusHandle> {
    if let Some(handle) = METRICS.get() {
        return Ok(handle.clone());
    }
    let latency = Matcher::Full("costwake_http_request_seconds".into());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(latency, &LATENCY_BUCKETS_SECONDS)?
        .install_recorder()
        .context("could not install the metrics recorder")?;
    describe();
    Ok(METRICS.get_or_init(|| handle).clone())
}

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("costwake_http_requests_total", "Requests answered, by route and status.");
    describe_histogram!("costwake_http_request_seconds", "Time until the answer's first byte.");
    describe_gauge!("costwake_database_connections", "Open database connections, by pool.");
    describe_gauge!("costwake_database_connections_idle", "Open database connections that nobody uses.");
    describe_counter!("costwake_sign_in_failures_total", "Sign-ins with a wrong password or login.");
    describe_gauge!("costwake_events", "Events of senders that wait to be read, or could not be, by state.");
    describe_counter!("costwake_deliveries_total", "Bills handed in, by how it ended.");
    describe_counter!("costwake_charges_read_total", "Charges read from bills.");
    describe_counter!("costwake_uploads_expired_total", "Failed uploads whose files were deleted after a month.");
}

/// Counts a sign-in with a wrong password or login.
pub fn count_sign_in_failure() {
    metrics::counter!("costwake_sign_in_failures_total").increment(1);
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        assert_eq!(one_line(b"name=a\nINFO forged\r\x1b[2J end\n"), b"name=a\\nINFO forged\\r\\x1b[2J end\n");
        assert_eq!(one_line("Käse ✓\n".as_bytes()), "Käse ✓\n".as_bytes());
    }
}
