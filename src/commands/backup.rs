//! `costwake backup FILE`: the database and the key in one file, also while the server runs.

use super::database::{self, Database};
use super::{archive, postgres_tools};
use crate::config::Config;
use anyhow::{Context, bail, ensure};
use chrono::Utc;
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

/// The names in the archive.
pub const ABOUT: &str = "about.json";
/// The key file.
pub const KEY: &str = "key";
/// What `pg_dump` wrote.
pub const DUMP: &str = "database.dump";

const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// The file holds the key that secrets are sealed with: whoever has it can read them. Its mode is 600.
#[derive(clap::Args)]
pub struct Arguments {
    /// The file to write; one that exists is kept.
    file: PathBuf,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let path = arguments.file;
    ensure!(!path.exists(), "{} exists: name another file", path.display());
    let database = database::open(config).await?;
    let partial = path.with_extension("partial");
    let written = write(&partial, &database, config).await;
    database.close().await;
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    let (bytes, has_key) = written?;
    fs::rename(&partial, &path).with_context(|| format!("could not name {}", path.display()))?;
    println!("Wrote {} ({} KiB).", path.display(), bytes.div_ceil(1024));
    if has_key {
        println!("It holds the key that secrets are sealed with: keep it where only you can read it.");
    } else {
        println!("There is no key file yet, so that it holds the database only.");
    }
    Ok(ExitCode::SUCCESS)
}

async fn write(path: &Path, database: &Database, config: &Config) -> anyhow::Result<(u64, bool)> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("could not write {}", path.display()))?;
    let now = Utc::now();
    let about = json!({"costwake": env!("CARGO_PKG_VERSION"), "made_at": now});
    archive::add(&mut file, ABOUT, format!("{about}\n").as_bytes(), now.timestamp())?;
    let key = match fs::read(config.key_file()) {
        Ok(key) => Some(key),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("could not read {}", config.key_file().display())),
    };
    if let Some(key) = &key {
        archive::add(&mut file, KEY, key, now.timestamp())?;
    }
    let at = archive::begin(&mut file, DUMP, now.timestamp())?;
    dump(&mut file, database, config).await?;
    let bytes = archive::end(&mut file, at, DUMP, now.timestamp())?;
    file.sync_all()?;
    Ok((bytes, key.is_some()))
}

async fn dump(file: &mut File, database: &Database, config: &Config) -> anyhow::Result<()> {
    let mut command = postgres_tools::command("pg_dump", database, config).await?;
    command.args(["--format=custom", "--no-owner", "--no-privileges"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("could not run pg_dump")?;
    let (mut output, mut errors) =
        (child.stdout.take().context("no output")?, child.stderr.take().context("no output")?);
    let said = tokio::spawn(async move {
        let mut said = String::new();
        let _ = errors.read_to_string(&mut said).await;
        said
    });
    let (mut buffer, mut bytes, mut told) = (vec![0; 1 << 20], 0, Instant::now());
    loop {
        let read = output.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        file.write_all(&buffer[..read])?;
        bytes += read;
        if told.elapsed() >= PROGRESS_EVERY {
            eprintln!("  {} MiB written", bytes >> 20);
            told = Instant::now();
        }
    }
    if !child.wait().await?.success() {
        bail!("pg_dump failed: {}", said.await?.trim());
    }
    Ok(())
}
