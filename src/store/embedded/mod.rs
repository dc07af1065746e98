//! The own PostgreSQL cluster: what Costwake runs on where `DATABASE_URL` is not set.
//!
//! It lies in `<data directory>/postgres` and listens on a unix socket only, in a folder that nobody else may
//! enter. Every process that uses it holds a shared lock; the last one out stops it. The locks are the
//! kernel's, so that a killed process leaves nothing behind but a running server, which the next one joins.

mod binaries;
mod error;
mod locks;
mod owner;
mod process;
mod server;
mod server_log;
mod settings_file;
mod upgrade;

pub use binaries::{Binaries, OLDEST_MAJOR};
pub use error::EmbeddedError;
pub use locks::{ServeLock, data_dir_number, works_in_background};
pub use upgrade::{Upgraded, old_folders, remove_old, upgrade};

use super::full_disk;
use error::Doing;
use locks::{Gate, Holder};
use owner::Owner;
use process::Process;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The superuser and the database of the cluster.
const NAME: &str = "costwake";

/// A running cluster; dropping it lets go, and stops the server where nobody else holds it.
#[derive(Debug)]
pub struct Cluster {
    data_dir: PathBuf,
    owner: Owner,
    binaries: Binaries,
    holder: Option<Holder>,
}

impl Cluster {
    /// Makes the cluster where there is none, starts it where it does not run, and joins it. Blocks.
    pub fn open(data_dir: &Path, postgres_bin: Option<&Path>) -> Result<Self, EmbeddedError> {
        make_data_dir(data_dir)?;
        let data_dir = fs::canonicalize(data_dir).doing("open", data_dir)?;
        let folder = data_dir.join("postgres");
        let gate = Gate::enter(&data_dir)?;
        upgrade::take_back(&data_dir)?;
        let owner = Owner::of(&data_dir, &folder)?;
        let major = existing_major(&folder)?;
        let binaries = Binaries::find(postgres_bin, major, &folder)?;
        if major.is_none() {
            server::create(&data_dir, &owner, &binaries)?;
        }
        let holder = Holder::join(&data_dir)?;
        let cluster = Self { data_dir, owner, binaries, holder: Some(holder) };
        let started = server::start(&cluster.folder(), &cluster.socket_folder(), &cluster.owner, &cluster.binaries);
        // A cluster that is let go of enters the gate itself.
        drop(gate);
        started.map(|()| cluster)
    }

    /// Starts the server again where it died. Blocks.
    pub fn ensure_running(&self) -> Result<(), EmbeddedError> {
        if Process::seems(&self.folder(), &self.owner) == Process::Server {
            return server_log::shorten(&self.folder());
        }
        let _gate = Gate::enter(&self.data_dir)?;
        server::start(&self.folder(), &self.socket_folder(), &self.owner, &self.binaries)
    }

    /// How to connect to a database of the cluster.
    pub fn connect_options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.socket_folder())
            .port(server::PORT)
            .username(NAME)
            .database(NAME)
    }

    /// Makes the database where the cluster is new.
    pub async fn create_database(&self) -> sqlx::Result<()> {
        const NO_SUCH_DATABASE: &str = "3D000";
        // Another command makes it at the same moment: it is there already, or its template is in use.
        const MADE_BY_ANOTHER: [&str; 3] = ["23505", "42P04", "55006"];
        const TRIES_MAX: u32 = 50;
        let has_code = |error: &sqlx::Error, codes: &[&str]| {
            let code = error.as_database_error().and_then(|error| error.code());
            code.is_some_and(|code| codes.contains(&code.as_ref()))
        };
        let mut tries = 0;
        loop {
            match self.connect_options().connect().await {
                Ok(connection) => return connection.close().await,
                Err(error) if has_code(&error, &[NO_SUCH_DATABASE]) => {}
                Err(error) => return Err(error),
            }
            let mut connection = self.connect_options().database("postgres").connect().await?;
            let made = sqlx::query!("CREATE DATABASE costwake").execute(&mut connection).await;
            connection.close().await?;
            tries += 1;
            match made {
                Ok(_) => return Ok(()),
                Err(error) if tries < TRIES_MAX && has_code(&error, &MADE_BY_ANOTHER) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// That the disk of the cluster is full, where this error tells of it, or the server's log, or it is: a server that
    /// ended for want of room breaks the connection off without a word.
    pub fn full_disk(&self, error: &sqlx::Error) -> Option<EmbeddedError> {
        let folder = self.folder();
        let is_full = full_disk::is_told(&error.to_string())
            || server_log::tells_of_full_disk(&folder)
            || matches!(server::room_in(&folder), Err(EmbeddedError::DiskFull { .. }));
        is_full.then_some(EmbeddedError::DiskFull { path: folder })
    }

    /// Collects what queries are planned by.
    pub async fn analyze(&self) -> sqlx::Result<()> {
        let mut connection = self.connect_options().connect().await?;
        connection.execute("ANALYZE").await?;
        connection.close().await
    }

    /// The programs that the cluster is run with.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The folder of the unix socket.
    pub fn socket_folder(&self) -> PathBuf {
        server::socket_folder(&self.folder())
    }

    /// The cluster's own folder.
    pub fn folder(&self) -> PathBuf {
        self.data_dir.join("postgres")
    }

    fn leave(&mut self) -> Result<(), EmbeddedError> {
        let Some(holder) = self.holder.take() else { return Ok(()) };
        let _gate = Gate::enter(&self.data_dir)?;
        if holder.was_last() && Process::of(&self.folder(), &self.owner) == Process::Server {
            server::stop(&self.folder(), &self.owner, &self.binaries)?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!("Could not stop the database cluster: {error}");
        }
    }
}

/// Makes the data directory, which only its owner may enter.
pub fn make_data_dir(data_dir: &Path) -> Result<(), EmbeddedError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).doing("create", data_dir)
}

/// The major version that wrote the cluster, if there is one.
fn existing_major(folder: &Path) -> Result<Option<u32>, EmbeddedError> {
    let path = folder.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(_) => Err(EmbeddedError::NotACluster { folder: folder.to_owned() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let is_empty = fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
            if is_empty { Ok(None) } else { Err(EmbeddedError::NotACluster { folder: folder.to_owned() }) }
        }
        Err(error) => Err(EmbeddedError::io("read", &path, &error)),
    }
}
