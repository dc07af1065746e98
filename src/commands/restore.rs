//! `costwake restore FILE`: builds a database and the key file from a backup, and verifies every total.

use super::archive::{self, CUT, Member};
use super::backup::{DUMP, KEY, SPOOL};
use super::database::{self, Database, RESTORE_UNDER_WAY};
use super::{cut_restore, postgres_tools, serving};
use crate::config::Config;
use crate::patience::Patience;
use crate::rollup::verify;
use crate::store::embedded::{ServeLock, make_data_dir};
use crate::store::tokens::{self, TokenRow};
use crate::store::{audit, backup, private_file};
use anyhow::{Context, bail, ensure};
use chrono::Utc;
use serde_json::json;
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const KEY_BYTES_MAX: u64 = 4096;
/// Tokens that are looked through for live ones.
const TOKENS_MAX: i64 = 100_000;

/// Stops at a database or a key file that is already there.
#[derive(clap::Args)]
pub struct Arguments {
    /// A file that `costwake backup` wrote.
    file: PathBuf,
    /// Replace what is there. It is lost once all of the backup is in, but for another key, which is kept beside it.
    #[arg(long)]
    force: bool,
}

/// What a backup holds, known before anything is touched.
struct Contents {
    file: BufReader<File>,
    key: Option<Vec<u8>>,
    dump: Member,
    spooled: Vec<Member>,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let mut contents = Contents::of(&arguments.file)?;
    if let Some(key) = &contents.key {
        check_key(&config.key_file(), key, arguments.force)?;
    }
    let _lock = ServeLock::take(&config.data_dir(), true, true)?;
    let database = database::open_as_it_is(config).await?;
    let restored = restore(&arguments, &mut contents, &database, config).await;
    database.close().await;
    restored
}

impl Contents {
    fn of(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("could not open {}", path.display()))?;
        let mut file = BufReader::new(file);
        let members = archive::members(&mut file)?;
        let find = |name: &str| members.iter().find(|member| member.name == name);
        let dump = find(DUMP).context("the backup holds no database")?.clone();
        let key = find(KEY).map(|member| read_key(&mut file, member)).transpose()?;
        // What a newer version added is of no use to this one.
        let spooled: Vec<Member> = members.into_iter().filter(|member| member.name.starts_with(SPOOL)).collect();
        for member in &spooled {
            let name = &member.name[SPOOL.len()..];
            let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            ensure!(is_plain && !name.starts_with('.') && !name.is_empty(), "the backup is damaged: {}", member.name);
        }
        Ok(Self { file, key, dump, spooled })
    }
}

// What is there is put aside, and goes only when the backup is in: until then one or the other is whole, also where
// this is killed (`cut_restore`).
async fn restore(
    arguments: &Arguments,
    contents: &mut Contents,
    database: &Database,
    config: &Config,
) -> anyhow::Result<ExitCode> {
    let conn = database.pools.jobs.acquire().await.context("could not reach the database")?;
    let mut claim = conn.detach();
    ensure!(backup::claim(&mut claim).await?, RESTORE_UNDER_WAY);
    serving::keep_out(&mut claim).await?;
    let key_file = config.key_file();
    cut_restore::settle(&mut claim, &key_file).await?;
    cut_restore::refuse_foreign_key(&key_file)?;
    let replaces = !backup::is_empty(&mut claim).await?;
    let may_replace = arguments.force || !replaces;
    ensure!(may_replace, "the database is not empty: restore into another one, or replace it with --force");
    let key = contents.key.as_deref().map(|key| prepare_key(&key_file, key)).transpose()?.flatten();
    let noted = key.as_ref().and(contents.key.as_deref()).map(cut_restore::fingerprint);
    backup::set_aside(&mut claim, noted.as_deref()).await?;
    let waits = key.map_or(Ok(()), |key| cut_restore::let_key_wait(key, &key_file));
    let brought = match waits {
        Ok(()) => bring_in(contents, database, config).await,
        Err(error) => Err(error),
    };
    let tokens = match brought {
        Ok(tokens) => tokens,
        Err(error) => {
            cut_restore::settle(&mut claim, &key_file).await.with_context(|| format!("{error:#}"))?;
            return Err(error.context("the backup could not be restored; what was there is there again"));
        }
    };
    backup::finish(&mut claim, noted.as_deref()).await?;
    if noted.is_some() {
        cut_restore::name_key(&key_file)?;
        backup::key_is_named(&mut claim).await?;
    }
    tell_access(&tokens);
    verified(database).await
}

// Gives the tokens of the backup. Nothing of what lets people in is left to a step that a killed restore never takes.
async fn bring_in(contents: &mut Contents, database: &Database, config: &Config) -> anyhow::Result<Vec<TokenRow>> {
    contents.file.seek(SeekFrom::Start(contents.dump.at))?;
    load(&mut contents.file, contents.dump.size, database, config).await?;
    database::migrate(&database.pools).await?;
    let tokens = end_access(database).await?;
    let spool = config.data_dir().join("spool");
    if !contents.spooled.is_empty() {
        make_data_dir(&spool)?;
        private_file::give(&File::open(&spool)?, private_file::folder_of(&spool))?;
    }
    for member in &contents.spooled {
        let path = spool.join(&member.name[SPOOL.len()..]);
        contents.file.seek(SeekFrom::Start(member.at))?;
        let file = private_file::write_aside(&path, &mut (&mut contents.file).take(member.size));
        let file = file.with_context(|| format!("could not write {}", path.display()))?;
        file.persist(&path).with_context(|| format!("could not write {}", path.display()))?;
    }
    let mut conn = database.pools.jobs.acquire().await?;
    backup::move_spooled(&mut conn, &spool).await?;
    if !contents.spooled.is_empty() {
        println!("{} files that wait to be read are back; costwake serve reads them.", contents.spooled.len());
    }
    Ok(tokens)
}

// A backup is older than what was revoked since: what lets people in is not taken from it unseen.
async fn end_access(database: &Database) -> anyhow::Result<Vec<TokenRow>> {
    let now = Utc::now();
    let mut transaction = database.pools.jobs.begin().await?;
    let ended = backup::end_access(&mut transaction).await?;
    let details = json!({ "sessions_and_links_ended": ended });
    audit::insert(&mut transaction, now, "command line", "", "backup_restored", "all data", details).await?;
    let tokens = tokens::list(&mut transaction, None, TOKENS_MAX).await?;
    transaction.commit().await?;
    Ok(tokens)
}

fn tell_access(tokens: &[TokenRow]) {
    let now = Utc::now();
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
}

fn read_key(file: &mut (impl Read + Seek), member: &Member) -> anyhow::Result<Vec<u8>> {
    ensure!(member.size <= KEY_BYTES_MAX, "the backup is damaged: its key has {} bytes", member.size);
    file.seek(SeekFrom::Start(member.at))?;
    let mut key = Vec::new();
    file.take(member.size).read_to_end(&mut key)?;
    Ok(key)
}

fn check_key(path: &Path, key: &[u8], force: bool) -> anyhow::Result<()> {
    match fs::read(path) {
        Ok(present) if present != key && !force => {
            bail!("{} is another key than the backup's: move it away, or replace it with --force", path.display())
        }
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not read {}", path.display()))
        }
        _ => Ok(()),
    }
}

// On disk beside the one that is there, which it takes the place of in one step. None where it is the same.
fn prepare_key(path: &Path, mut key: &[u8]) -> anyhow::Result<Option<NamedTempFile>> {
    if fs::read(path).is_ok_and(|present| present == key) {
        return Ok(None);
    }
    make_data_dir(private_file::folder_of(path))?;
    let file = private_file::write_aside(path, &mut key);
    file.map(Some).with_context(|| format!("could not write {}", path.display()))
}

async fn load(file: &mut impl Read, size: u64, database: &Database, config: &Config) -> anyhow::Result<()> {
    let mut command = postgres_tools::command("pg_restore", backup::LOADER, database, config).await?;
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
        ensure!(read > 0, CUT);
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
