//! The database that a command works on: `DATABASE_URL`, else the own cluster for as long as it is needed.

use super::cut_restore::{self, Ending};
use crate::config::Config;
use crate::patience::Patience;
use crate::rollup::retention;
use crate::store::embedded::{Cluster, OLDEST_MAJOR};
use crate::store::{MIGRATIONS, Pools, backup, fitness, full_disk};
use anyhow::{Context, bail, ensure};
use chrono::Utc;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a server has to answer at first.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the own cluster is looked for: cheap, and what a death costs readers before anything is done about it.
const CLUSTER_LOOK_EVERY: Duration = Duration::from_millis(200);
/// Why nothing else is done with the database.
pub const RESTORE_UNDER_WAY: &str = "a backup is being restored into this database: wait until that has ended";

/// An open database. The own cluster stops with the last process that lets go of it.
#[derive(Debug)]
pub struct Database {
    /// Connections.
    pub pools: Pools,
    /// How `pg_dump` and others reach it.
    pub options: PgConnectOptions,
    /// The own cluster, where there is one.
    pub cluster: Option<Arc<Cluster>>,
}

/// Opens the database and brings its schema up to this build's.
pub async fn open(config: &Config) -> anyhow::Result<Database> {
    let database = open_as_it_is(config).await?;
    make_ready(&database, config).await?;
    Ok(database)
}

/// Ends what a killed restore left, and brings the schema up to this build's.
pub async fn make_ready(database: &Database, config: &Config) -> anyhow::Result<()> {
    end_cut_restore(&database.pools, &config.key_file()).await?;
    migrate(&database.pools).await
}

/// Opens the database and leaves its schema alone.
pub async fn open_as_it_is(config: &Config) -> anyhow::Result<Database> {
    let database = match &config.database_url {
        Some(address) => {
            let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| address.starts_with(scheme));
            ensure!(is_postgres, "DATABASE_URL is not a PostgreSQL address, which begins with postgres://");
            let options: PgConnectOptions = address.parse().context("DATABASE_URL is not a PostgreSQL address")?;
            Database { pools: Pools::connect_lazy(options.clone()), options, cluster: None }
        }
        None => {
            let (data_dir, postgres_bin) = (config.data_dir(), config.postgres_bin.clone());
            let open = move || Cluster::open(&data_dir, postgres_bin.as_deref());
            let cluster = Arc::new(tokio::task::spawn_blocking(open).await??);
            if let Err(error) = cluster.create_database().await {
                let full_disk = cluster.full_disk(&error).map(anyhow::Error::from);
                let other = || anyhow::Error::from(error).context("could not connect to the database cluster");
                return Err(full_disk.unwrap_or_else(other));
            }
            let options = cluster.connect_options();
            Database { pools: Pools::of_own_cluster(options.clone()), options, cluster: Some(cluster) }
        }
    };
    if database.cluster.is_none() {
        refuse_unfit(&database.options).await?;
    }
    Ok(database)
}

/// What is not enough for a server under load: it does not stop it from starting.
pub async fn warn_of_few_connections(database: &Database) -> anyhow::Result<()> {
    if database.cluster.is_some() {
        return Ok(());
    }
    let mut conn = database.pools.jobs.acquire().await.context("could not reach the database")?;
    let (limit, wanted) = (fitness::connection_limit(&mut conn).await?, fitness::SERVER_CONNECTIONS);
    if limit < wanted {
        tracing::warn!(
            "The database allows this role at most {limit} connections at once, and the server uses up to {wanted}: \
             under load pages will say that the database does not answer. Raise the limit"
        );
    }
    Ok(())
}

/// Before the schema meets a server that does not understand it, or a database that cannot hold every name.
async fn refuse_unfit(options: &PgConnectOptions) -> anyhow::Result<()> {
    // By a connection of its own: a pool would try until its time is over, and not say what was wrong.
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(options)).await;
    let unreachable = || {
        format!(
            "could not reach the database at {}:{}, which DATABASE_URL names: see that it runs and lets this machine in",
            options.get_host(),
            options.get_port()
        )
    };
    let connected = connecting.with_context(unreachable)?;
    if let Err(sqlx::Error::Database(refusal)) = &connected {
        bail!(
            "the server at {}:{}, which DATABASE_URL names, answers “{}”: correct the name, the password or the \
             database in it, or what the server allows",
            options.get_host(),
            options.get_port(),
            refusal.message()
        );
    }
    let mut conn = connected.with_context(unreachable)?;
    let major = backup::server_major(&mut conn).await.with_context(unreachable)?;
    ensure!(
        major >= OLDEST_MAJOR,
        "DATABASE_URL names a server of PostgreSQL {major}, and Costwake needs {OLDEST_MAJOR} or newer: upgrade it, \
         or name another server"
    );
    let encoding = fitness::encoding(&mut conn).await.with_context(unreachable)?;
    ensure!(
        encoding == "UTF8",
        "the database that DATABASE_URL names was made with the encoding {encoding}, and Costwake needs UTF8: make one \
         with CREATE DATABASE costwake ENCODING 'UTF8' TEMPLATE template0, and name that"
    );
    let limit = fitness::connection_limit(&mut conn).await.with_context(unreachable)?;
    ensure!(
        limit >= fitness::CONNECTIONS_MIN,
        "the server that DATABASE_URL names allows {} at most {limit} connections at once, and Costwake needs {}, \
         costwake serve up to {}: raise the limit of the role, of the database or of the server",
        options.get_username(),
        fitness::CONNECTIONS_MIN,
        fitness::SERVER_CONNECTIONS
    );
    Ok(())
}

/// A restore that was killed left aside what it was to replace, which is the database again, or its key unnamed.
async fn end_cut_restore(pools: &Pools, key_file: &Path) -> anyhow::Result<()> {
    let mut conn = pools.jobs.acquire().await.context("could not reach the database")?;
    if !cut_restore::is_cut(&mut conn).await? {
        cut_restore::warn_of_foreign_key(key_file);
        return Ok(());
    }
    let mut conn = conn.detach();
    ensure!(backup::claim(&mut conn).await?, RESTORE_UNDER_WAY);
    // The restore may have ended since, or another command may have settled it.
    let ending = cut_restore::settle(&mut conn, key_file).await?;
    conn.close().await?;
    match ending {
        Some(Ending::TakenBack) => {
            tracing::warn!("A restore was cut off. The database is what it was before that: restore again");
        }
        Some(Ending::Finished) => {
            tracing::warn!("A restore was cut off when all of the backup was in. Its key is in place now: it is done");
        }
        None => {}
    }
    Ok(())
}

/// Applies the migrations that the database lacks.
pub async fn migrate(pools: &Pools) -> anyhow::Result<()> {
    use sqlx::migrate::MigrateError;
    let _patience = Patience::logged("Bringing the schema of the database up to this version's");
    match MIGRATIONS.run(&pools.jobs).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => anyhow::bail!(
            "the database was migrated by a newer Costwake (it has {version}, which this build does not know): \
             run that version again, or restore a backup made before"
        ),
        Err(error) if full_disk::is_told(&error.to_string()) => anyhow::bail!(
            "the disk that holds the database is full: free some space on it and start again; nothing is half done"
        ),
        Err(MigrateError::Execute(error)) => Err(error).context("could not reach the database"),
        Err(error) => Err(error).context("could not migrate the database"),
    }
}

/// Clears up after imports that were killed; a command goes on where that fails.
pub async fn sweep(database: &Database) {
    match retention::sweep(&database.pools, Utc::now()).await {
        Ok(0) => {}
        Ok(failed) => eprintln!("costwake: {failed} earlier imports were interrupted; nothing of them is counted"),
        Err(error) => tracing::warn!("What interrupted imports left could not be cleared up: {error}"),
    }
}

/// Starts the own cluster again whenever its server dies, until `stop`. A start that has begun is ended first,
/// so that the server can be stopped after it.
pub async fn keep_running(cluster: Arc<Cluster>, stop: CancellationToken) {
    let mut was_reported = false;
    while stop.run_until_cancelled(tokio::time::sleep(CLUSTER_LOOK_EVERY)).await.is_some() {
        let checked = cluster.clone();
        match tokio::task::spawn_blocking(move || checked.ensure_running()).await {
            Ok(Err(error)) if !was_reported => {
                tracing::error!("The database cluster does not run: {error}");
                was_reported = true;
            }
            Ok(Ok(())) => was_reported = false,
            _ => {}
        }
    }
}

impl Database {
    /// Closes the connections and lets go of the cluster, which stops where nobody else holds it.
    pub async fn close(self) {
        let Self { pools, cluster, .. } = self;
        tokio::join!(pools.web.close(), pools.jobs.close(), pools.intake.close(), pools.health.close());
        // Dropping it waits for the server to stop.
        let _ = tokio::task::spawn_blocking(move || drop(cluster)).await;
    }
}
