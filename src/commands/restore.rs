//! `costwake restore FILE`: builds a database and the key file from a backup, and verifies every total.

use super::backup::{DUMP, KEY};
use super::database::{self, Database};
use super::{archive, postgres_tools};
use crate::config::Config;
use crate::patience::Patience;
use crate::rollup::verify;
use crate::store::embedded::{ServeLock, make_data_dir};
use crate::store::{audit, backup, tokens};
use anyhow::{Context, bail, ensure};
use chrono::Utc;
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const KEY_BYTES_MAX: u64 = 4096;
/// Tokens that are looked through for live ones.
const TOKENS_MAX: i64 = 100_000;

/// Stops at a database or a key file that is already there.
#[derive(clap::Args)]
pub struct Arguments {
    /// A file that `costwake backup` wrote.
    file: PathBuf,
    /// Replace what is there. It is lost.
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let file = File::open(&arguments.file).with_context(|| format!("could not open {}", arguments.file.display()))?;
    let mut file = BufReader::new(file);
    // Looked at before anything is touched.
    ensure!(archive::next(&mut file)?.is_some(), "{} is empty", arguments.file.display());
    drop(file);
    let _lock = ServeLock::take(&config.data_dir(), true, true)?;
    let database = database::open_as_it_is(config).await?;
    let restored = restore(&arguments, &database, config).await;
    database.close().await;
    restored
}

async fn restore(arguments: &Arguments, database: &Database, config: &Config) -> anyhow::Result<ExitCode> {
    let mut conn = database.pools.jobs.acquire().await.context("could not reach the database")?;
    if !backup::is_empty(&mut conn).await? {
        ensure!(arguments.force, "the database is not empty: restore into another one, or replace it with --force");
        backup::clear(&mut conn).await?;
    }
    drop(conn);
    let mut file = BufReader::new(File::open(&arguments.file)?);
    let mut has_dump = false;
    while let Some((name, size)) = archive::next(&mut file)? {
        match name.as_str() {
            KEY => write_key(&config.key_file(), read_key(&mut file, size)?, arguments.force)?,
            DUMP => {
                load(&mut file, size, database, config).await?;
                has_dump = true;
            }
            // What a newer version added is of no use to this one.
            _ => drop(std::io::copy(&mut (&mut file).take(size), &mut std::io::sink())?),
        }
        archive::skip_padding(&mut file, size)?;
    }
    ensure!(has_dump, "the backup holds no database");
    database::migrate(&database.pools).await?;
    end_access(database).await?;
    verified(database).await
}

// A backup is older than what was revoked since: what lets people in is not taken from it unseen.
async fn end_access(database: &Database) -> anyhow::Result<()> {
    let now = Utc::now();
    let mut transaction = database.pools.jobs.begin().await?;
    let ended = backup::end_access(&mut transaction).await?;
    let details = json!({ "sessions_and_links_ended": ended });
    audit::insert(&mut transaction, now, "command line", "", "backup_restored", "all data", details).await?;
    let tokens = tokens::list(&mut transaction, None, TOKENS_MAX).await?;
    transaction.commit().await?;
    println!("Everyone has to sign in again; links of the backup that nobody had used do not work.");
    let mut live = tokens.iter().filter(|token| token.state(now) == "active").peekable();
    if live.peek().is_some() {
        println!(
            "These API tokens work. Revoke those that were revoked after the backup (costwake token revoke NUMBER):"
        );
    }
    for token in live {
        let (id, scope) = (token.api_token_id, token.scope.as_str());
        println!("  {id}  {}…  {} of {}, scope {scope}", token.token_prefix, token.name, token.login);
    }
    Ok(())
}

fn read_key(file: &mut impl Read, size: u64) -> anyhow::Result<Vec<u8>> {
    ensure!(size <= KEY_BYTES_MAX, "the backup is damaged: its key has {size} bytes");
    let mut key = Vec::new();
    file.take(size).read_to_end(&mut key)?;
    ensure!(key.len() as u64 == size, "the file ends half-way: it is no whole backup");
    Ok(key)
}

fn write_key(path: &Path, key: Vec<u8>, force: bool) -> anyhow::Result<()> {
    match fs::read(path) {
        Ok(present) if present == key => return Ok(()),
        Ok(_) if !force => {
            bail!("{} is another key than the backup's: move it away, or replace it with --force", path.display())
        }
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    if let Some(folder) = path.parent() {
        make_data_dir(folder)?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("could not write {}", path.display()))?;
    file.write_all(&key)?;
    Ok(file.sync_all()?)
}

async fn load(file: &mut impl Read, size: u64, database: &Database, config: &Config) -> anyhow::Result<()> {
    let mut command = postgres_tools::command("pg_restore", database, config).await?;
    command.args(["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("could not run pg_restore")?;
    let (mut input, mut errors) = (child.stdin.take().context("no input")?, child.stderr.take().context("no output")?);
    let said = tokio::spawn(async move {
        let mut said = String::new();
        let _ = errors.read_to_string(&mut said).await;
        said
    });
    let mut buffer = vec![0; 1 << 20];
    let mut left = size;
    let given = Arc::new(AtomicU64::new(0));
    let _patience = Patience::new({
        let given = given.clone();
        move |lasted| eprintln!("  {}: {} s", loading(given.load(Ordering::Relaxed), size), lasted.as_secs())
    });
    while left > 0 {
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = file.read(&mut buffer[..wanted])?;
        ensure!(read > 0, "the file ends half-way: it is no whole backup");
        left -= read as u64;
        given.store(size - left, Ordering::Relaxed);
        // Where pg_restore gave up, its own words say more than a broken pipe.
        if input.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    drop(input);
    if !child.wait().await?.success() {
        bail!("pg_restore failed: {}", said.await?.trim());
    }
    Ok(())
}

/// Indexes are made after all rows are in.
fn loading(given: u64, size: u64) -> String {
    if given < size {
        format!("Loading, {} of {} MiB read", given >> 20, size >> 20)
    } else {
        "Loading, everything is read and indexes are made".to_owned()
    }
}

async fn verified(database: &Database) -> anyhow::Result<ExitCode> {
    let patience = Patience::shown("Checking all totals");
    let mut snapshot = database.pools.jobs.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let checks = verify::verify(&mut snapshot).await?;
    snapshot.commit().await?;
    drop(patience);
    let mut differences = checks.iter().flat_map(|check| check.differences.iter()).peekable();
    if differences.peek().is_none() {
        println!("Restored. All {} checks of its totals hold.", checks.len());
        return Ok(ExitCode::SUCCESS);
    }
    println!("Restored, but its totals do not tie:");
    differences.for_each(|difference| println!("  {difference}"));
    Ok(ExitCode::FAILURE)
}
