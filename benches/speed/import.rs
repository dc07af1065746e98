//! The import beside a plain copy of the same file.

use crate::focus_file::COLUMNS;
use crate::server::Server;
use anyhow::{Context, ensure};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// An import end to end.
pub struct Imported {
    pub duration: Duration,
    /// Highest resident memory of the process.
    pub peak_mib: u64,
    /// Part of the time spent on rollups.
    pub rollup_share: f64,
}

/// `psql \copy` into 55 text columns without index, in the same cluster.
pub fn plain_copy(server: &Server, bill: &Path) -> anyhow::Result<Duration> {
    let columns = COLUMNS.map(|column| format!("\"{column}\" text")).join(", ");
    server.psql(&[&format!("CREATE TABLE plain_copy ({columns})")])?;
    let start = Instant::now();
    server.psql(&[&format!("\\copy plain_copy FROM '{}' WITH (FORMAT csv, HEADER true)", bill.display())])?;
    let duration = start.elapsed();
    server.psql(&["DROP TABLE plain_copy", "CHECKPOINT"])?;
    Ok(duration)
}

/// `costwake import` as a user runs it, in a process of its own that joins the running cluster.
pub fn import(server: &Server, source: &str, bill: &Path) -> anyhow::Result<Imported> {
    let start = Instant::now();
    let mut process = Command::new(env!("CARGO_BIN_EXE_costwake"))
        .args(["import", "--json", "--counted-elsewhere-too", "--source", source, "--data-dir"])
        .arg(server.data_dir())
        .arg(bill)
        .env("COSTWAKE_LOG_FORMAT", "json")
        .env("RUST_LOG", "costwake::rollup=debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("costwake import did not start")?;
    let status_file = format!("/proc/{}/status", process.id());
    let mut peak_kib = 0;
    while process.try_wait()?.is_none() {
        peak_kib = peak_kib.max(resident_peak_kib(&status_file));
        std::thread::sleep(Duration::from_millis(5));
    }
    let duration = start.elapsed();
    let output = process.wait_with_output()?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "the import failed: {}{log}", String::from_utf8_lossy(&output.stdout));
    Ok(Imported { duration, peak_mib: peak_kib.div_ceil(1024), rollup_share: rollup_share(&log)? })
}

fn resident_peak_kib(status_file: &str) -> u64 {
    let Ok(status) = std::fs::read_to_string(status_file) else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

// The import logs how long each phase took. Rollups are the sums kept while reading, their rows by key and day,
// and the two tables by service.
fn rollup_share(log: &str) -> anyhow::Result<f64> {
    let mut phases = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let fields = phases.find(|line| !line["rollup_ms"].is_null());
    let fields = fields.with_context(|| format!("the import did not log its phases: {log}"))?;
    let milliseconds = |name: &str| fields[name].as_f64().with_context(|| format!("{name} is missing: {fields}"));
    let rollups = milliseconds("adding_up_ms")? + milliseconds("daily_sums_ms")? + milliseconds("rollup_ms")?;
    Ok(rollups / milliseconds("total_ms")?)
}
