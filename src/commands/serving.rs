//! What a running server holds in a database that is not its own, where the locks of a data directory tell nothing to
//! somebody who has another one.

use super::database::{Database, RESTORE_UNDER_WAY};
use crate::config::Config;
use crate::store::embedded::data_dir_number;
use crate::store::serving::{self, Server};
use anyhow::{Context, bail};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::time::Duration;

/// How often it is looked whether the database still knows.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A connection that does not answer for this long is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// After these the database lets go of a server whose machine is gone: in a minute and a half.
const KEEPALIVES: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "60"), ("tcp_keepalives_interval", "10"), ("tcp_keepalives_count", "3")];
/// Zero is the number of no data directory.
const NO_DATA_DIR: i32 = 0;

/// Held by `costwake serve` for as long as it runs.
pub struct Serving {
    conn: PgConnection,
    options: PgConnectOptions,
    data_dir_number: i32,
}

impl Serving {
    /// Tells others of this server; refuses beside a restore, and beside a server with another data directory. `None`
    /// in an own cluster, which nobody reaches without its data directory.
    pub async fn begin(database: &Database, config: &Config) -> anyhow::Result<Option<Self>> {
        if database.cluster.is_some() {
            return Ok(None);
        }
        let data_dir_number = data_dir_number(&config.data_dir())?;
        let options = database.options.clone().application_name("costwake-serve").options(KEEPALIVES);
        let mut conn = PgConnection::connect_with(&options).await.context("could not reach the database")?;
        match problem(&mut conn, data_dir_number).await.context("could not reach the database")? {
            Some(problem) => bail!(problem),
            None => Ok(Some(Self { conn, options, data_dir_number })),
        }
    }

    // A database that was away has forgotten it, and another one may have come in between.
    async fn look(&mut self) -> Option<String> {
        if matches!(tokio::time::timeout(ANSWER_TIMEOUT, self.conn.ping()).await, Ok(Ok(()))) {
            return None;
        }
        let again = async {
            let mut conn = PgConnection::connect_with(&self.options).await?;
            let problem = problem(&mut conn, self.data_dir_number).await?;
            Ok::<_, sqlx::Error>((conn, problem))
        };
        // Pages and jobs say that there is no database.
        let Ok(Ok((conn, problem))) = tokio::time::timeout(ANSWER_TIMEOUT, again).await else { return None };
        self.conn = conn;
        problem
    }
}

/// Ends, with the reason, where a server may not go on: a restore or another server has the database now.
pub async fn lost(serving: Option<Serving>) -> String {
    let Some(mut serving) = serving else { return std::future::pending().await };
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(problem) = serving.look().await {
            return problem;
        }
    }
}

/// Keeps servers out while a backup is restored, for as long as the connection lives; refuses where one runs.
pub async fn keep_out(conn: &mut PgConnection) -> anyhow::Result<()> {
    if serving::keep_out(&mut *conn).await? {
        return Ok(());
    }
    let server = serving::other(conn, NO_DATA_DIR).await?;
    let server = server.map(|server| format!(" ({server})")).unwrap_or_default();
    bail!("costwake serve runs on this database{server}: stop it, restore, and start it again")
}

async fn problem(conn: &mut PgConnection, data_dir_number: i32) -> sqlx::Result<Option<String>> {
    if !serving::tell(&mut *conn, data_dir_number).await? {
        return Ok(Some(RESTORE_UNDER_WAY.to_owned()));
    }
    let other = serving::other(conn, data_dir_number).await?;
    Ok(other.map(|server| another_data_dir(&server)))
}

fn another_data_dir(server: &Server) -> String {
    format!(
        "another costwake serve with another data directory runs on this database ({server}): uploads that wait and \
         the key lie in that directory, so that all servers of a database need the same one. Stop that server, or give \
         this one its data directory (COSTWAKE_DATA_DIR)"
    )
}
