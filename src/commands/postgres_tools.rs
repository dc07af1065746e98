//! `pg_dump` and `pg_restore` for the database in use.

use super::database::Database;
use crate::config::Config;
use crate::store::backup;
use crate::store::embedded::Binaries;
use anyhow::Context;
use reqwest::Url;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::Command;

/// The program, told how to reach the database and what to call itself there. A password goes by the environment,
/// where others cannot see it.
pub async fn command(program: &str, name: &str, database: &Database, config: &Config) -> anyhow::Result<Command> {
    let mut command = Command::new(path(program, database, config).await?);
    command.env("LC_ALL", "C").env("PGAPPNAME", name).stdin(Stdio::null()).kill_on_drop(true);
    match (&database.cluster, &config.database_url) {
        (Some(cluster), _) => {
            command.arg("--host").arg(cluster.socket_folder()).args(["--username", "costwake", "--dbname", "costwake"]);
        }
        (None, Some(address)) => {
            let mut url = Url::parse(address).context("DATABASE_URL is not a PostgreSQL address")?;
            if let Some(password) = url.password() {
                command.env("PGPASSWORD", percent_decoded(password));
                let _ = url.set_password(None);
            }
            // The last one counts, also before the environment.
            url.query_pairs_mut().append_pair("application_name", name);
            command.arg(format!("--dbname={url}"));
        }
        (None, None) => anyhow::bail!("there is no database"),
    }
    Ok(command)
}

async fn path(program: &str, database: &Database, config: &Config) -> anyhow::Result<PathBuf> {
    if let Some(cluster) = &database.cluster {
        return Ok(cluster.binaries().program(program));
    }
    let mut conn = database.pools.jobs.acquire().await.context("could not reach the database")?;
    let major = backup::server_major(&mut conn).await?;
    Ok(Binaries::for_server(config.postgres_bin.as_deref(), major)?.program(program))
}

fn percent_decoded(text: &str) -> String {
    let field = format!("x={}", text.replace('+', "%2B"));
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(&field).unwrap_or_default();
    pairs.into_iter().next().map_or_else(|| text.to_owned(), |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn passwords_are_decoded() {
        assert_eq!(percent_decoded("a%40b+c%2Fé"), "a@b+c/é");
    }
}
