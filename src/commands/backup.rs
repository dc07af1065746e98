//! `costwake backup FILE`: the database, the key and uploads that wait to be read in one file, also while the server
//! runs.

use super::database::{self, Database};
use super::{archive, postgres_tools};
use crate::config::Config;
use crate::store::{backup, private_file, pushes, sealed, uploads};
use anyhow::{Context, bail, ensure};
use chrono::Utc;
use serde_json::json;
use sqlx::{Postgres, Transaction};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

/// The names in the archive.
pub const ABOUT: &str = "about.json";
/// The key file.
pub const KEY: &str = "key";
/// What `pg_dump` wrote.
pub const DUMP: &str = "database.dump";
/// What uploaded files that wait to be read begin with.
pub const SPOOL: &str = "spool/";

const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// Views of the database that are tried for one whose files are all there.
const TRIES_MAX: u32 = 5;

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
    // With a name of its own, which nothing else has; it goes whatever happens.
    let key_problem = sealed::problem(&database.pools.jobs, &config.key_file()).await;
    let partial = tempfile::Builder::new().prefix(".costwake-backup-").tempfile_in(private_file::folder_of(&path));
    let written = match partial.with_context(|| format!("could not write {}", path.display())) {
        Ok(mut partial) => {
            let written = write(partial.as_file_mut(), &database, config).await;
            written.map(|written| (partial, written))
        }
        Err(error) => Err(error),
    };
    database.close().await;
    let (partial, written) = written?;
    partial.persist_noclobber(&path).with_context(|| format!("could not name {}", path.display()))?;
    println!("Wrote {} ({} KiB).", path.display(), written.bytes.div_ceil(1024));
    if written.spooled_count > 0 {
        println!("{} files of deliveries that wait to be read are in it.", written.spooled_count);
    }
    if written.has_key {
        println!("It holds the key that secrets are sealed with: keep it where only you can read it.");
    } else {
        println!("There is no key file, so that it holds the database only.");
    }
    if let Some(problem) = key_problem? {
        eprintln!("costwake: {problem}");
    }
    Ok(ExitCode::SUCCESS)
}

struct Written {
    bytes: u64,
    spooled_count: usize,
    has_key: bool,
}

async fn write(file: &mut File, database: &Database, config: &Config) -> anyhow::Result<Written> {
    let now = Utc::now();
    let about = json!({"costwake": env!("CARGO_PKG_VERSION"), "made_at": now});
    archive::add(file, ABOUT, format!("{about}\n").as_bytes(), now.timestamp())?;
    let key = match fs::read(config.key_file()) {
        Ok(key) => Some(key),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("could not read {}", config.key_file().display())),
    };
    if let Some(key) = &key {
        archive::add(file, KEY, key, now.timestamp())?;
    }
    let spooled = Spooled::open(database).await?;
    for (path, from) in &spooled.files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        archive::copy(file, &format!("{SPOOL}{name}"), from, now.timestamp())?;
    }
    let at = archive::begin(file, DUMP, now.timestamp())?;
    dump(file, database, config, &spooled.snapshot_id).await?;
    spooled.snapshot.rollback().await?;
    let bytes = archive::end(file, at, DUMP, now.timestamp())?;
    file.sync_all()?;
    Ok(Written { bytes, spooled_count: spooled.files.len(), has_key: key.is_some() })
}

/// Files of deliveries that were answered for and are not read yet, as one view of the database knows them. They are
/// open: a server that is done with one while the backup goes on takes nothing away.
struct Spooled {
    files: Vec<(PathBuf, File)>,
    snapshot: Transaction<'static, Postgres>,
    snapshot_id: String,
}

impl Spooled {
    async fn open(database: &Database) -> anyhow::Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            let mut snapshot = database.pools.jobs.begin_with(begin).await?;
            let snapshot_id = backup::export_snapshot(&mut snapshot).await?;
            let mut wanted: Vec<PathBuf> =
                uploads::wanted(&mut *snapshot).await?.iter().flat_map(uploads::files).collect();
            wanted.extend(pushes::wanted(&mut *snapshot).await?);
            let (mut files, mut has_all) = (Vec::new(), true);
            for path in wanted {
                match File::open(&path) {
                    Ok(file) => files.push((path, file)),
                    Err(error) if error.kind() == ErrorKind::NotFound => has_all = false,
                    Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
                }
            }
            // One may have been read in between: a newer view says so. One that is not there at all has a receipt.
            if has_all || tries == TRIES_MAX {
                return Ok(Self { files, snapshot, snapshot_id });
            }
            snapshot.rollback().await?;
        }
    }
}

async fn dump(file: &mut File, database: &Database, config: &Config, snapshot_id: &str) -> anyhow::Result<()> {
    let mut command = postgres_tools::command("pg_dump", "costwake-backup", database, config).await?;
    command.args(["--format=custom", "--no-owner", "--no-privileges", "--exclude-schema=restore_key_waits"]);
    // How columns are packed depends on how a server was built: what is restored is packed as its server does.
    command.arg("--no-toast-compression");
    command.arg(format!("--snapshot={snapshot_id}"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
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
