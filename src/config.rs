//! Every setting, its unit and its default. Each is an environment variable and a flag of the same name.

use crate::sources::objects::{Guard, Reach};
use anyhow::ensure;
use clap::builder::{OsStringValueParser, TypedValueParser};
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

const LISTEN: &str = "127.0.0.1:8080";
const METRICS_LISTEN: &str = "127.0.0.1:9090";

/// The settings that every command takes.
#[derive(Clone, clap::Args)]
pub struct Config {
    /// PostgreSQL to use. Without it Costwake runs its own cluster in the data directory.
    #[arg(long, env = "DATABASE_URL", global = true, hide_env_values = true)]
    pub database_url: Option<String>,

    /// Where the embedded cluster, the key file and uploads in progress lie [default: $XDG_DATA_HOME/costwake, else ~/.local/share/costwake].
    #[arg(long, env = "COSTWAKE_DATA_DIR", global = true, value_parser = path())]
    pub data_dir: Option<PathBuf>,

    /// Address that pages, API and webhooks are served on.
    #[arg(long, env = "COSTWAKE_LISTEN", default_value = LISTEN, global = true, value_parser = listen)]
    pub listen: SocketAddr,

    /// Address that Prometheus metrics are served on; "off" serves none.
    #[arg(long, env = "COSTWAKE_METRICS_LISTEN", default_value = METRICS_LISTEN, global = true)]
    pub metrics_listen: String,

    /// The address readers use, for example <https://costs.example.com>; decides links and cookies.
    #[arg(long, env = "COSTWAKE_PUBLIC_URL", global = true)]
    pub public_url: Option<String>,

    /// Proxies whose X-Forwarded-For is believed: addresses or networks, separated by commas.
    #[arg(long, env = "COSTWAKE_TRUSTED_PROXIES", default_value = "", global = true)]
    pub trusted_proxies: String,

    /// File with the key that secrets are sealed with [default: key in the data directory].
    #[arg(long, env = "COSTWAKE_KEY_FILE", global = true, value_parser = path())]
    pub key_file: Option<PathBuf>,

    /// Private networks that sources may reach: addresses or networks, separated by commas. All others of a private
    /// network, of this machine and of cloud metadata are refused.
    #[arg(long, env = "COSTWAKE_OUTGOING_NETWORKS", default_value = "", global = true)]
    pub outgoing_networks: String,

    /// Folders below which sources may read files, separated by commas [default: bills in the data directory].
    #[arg(long, env = "COSTWAKE_SOURCE_FOLDERS", default_value = "", global = true)]
    pub source_folders: String,

    /// Folder with initdb, postgres and pg_ctl [default: the newest installed].
    #[arg(long, env = "COSTWAKE_POSTGRES_BIN", global = true, value_parser = path())]
    pub postgres_bin: Option<PathBuf>,

    /// Form of the log lines.
    #[arg(long, env = "COSTWAKE_LOG_FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For reading in a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Settings that are given and empty, as files of an environment have them, are not set.
    pub fn without_empty(mut self) -> Self {
        let is_said = |text: &String| !text.trim().is_empty();
        let is_path = |path: &PathBuf| !path.as_os_str().is_empty();
        self.database_url = self.database_url.filter(is_said);
        self.public_url = self.public_url.filter(is_said);
        self.data_dir = self.data_dir.filter(is_path);
        self.key_file = self.key_file.filter(is_path);
        self.postgres_bin = self.postgres_bin.filter(is_path);
        if !is_said(&self.metrics_listen) {
            METRICS_LISTEN.clone_into(&mut self.metrics_listen);
        }
        self
    }

    /// The data directory: the setting, else `$XDG_DATA_HOME/costwake`, else `~/.local/share/costwake`.
    pub fn data_dir(&self) -> PathBuf {
        if let Some(folder) = &self.data_dir {
            return folder.clone();
        }
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".local/share");
        std::env::var_os("XDG_DATA_HOME").map_or_else(home, PathBuf::from).join("costwake")
    }

    /// What places sources may reach; a network that is none is named.
    pub fn reach(&self) -> anyhow::Result<Reach> {
        let words = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let mut networks = Vec::new();
        for word in words(&self.outgoing_networks) {
            let network = word.parse::<IpNet>().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
            networks.push(network.map_err(|_| {
                anyhow::anyhow!("COSTWAKE_OUTGOING_NETWORKS: {word} is no address and no network like 10.1.0.0/16")
            })?);
        }
        let folders: Vec<PathBuf> = words(&self.source_folders).into_iter().map(PathBuf::from).collect();
        for folder in &folders {
            let path = folder.display();
            ensure!(folder.is_absolute(), "COSTWAKE_SOURCE_FOLDERS: {path} is not a whole path like /srv/bills");
        }
        let folders = if folders.is_empty() { vec![self.data_dir().join("bills")] } else { folders };
        Ok(Reach { guard: Guard::new(&networks), folders })
    }

    /// Folders of the setting that are not there; they may come later.
    pub fn missing_source_folders(&self) -> Vec<&Path> {
        let folders = self.source_folders.split(',').map(str::trim).filter(|word| !word.is_empty()).map(Path::new);
        folders.filter(|folder| !folder.is_dir()).collect()
    }

    /// The key file: the setting, else `key` in the data directory.
    pub fn key_file(&self) -> PathBuf {
        self.key_file.clone().unwrap_or_else(|| self.data_dir().join("key"))
    }
}

fn listen(text: &str) -> Result<SocketAddr, std::net::AddrParseError> {
    if text.trim().is_empty() { LISTEN.parse() } else { text.parse() }
}

// An empty one is left out by whoever knows the default.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

// The database address may carry a password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("database_url", &self.database_url.as_ref().map(|_| "****"))
            .field("data_dir", &self.data_dir())
            .field("listen", &self.listen)
            .field("metrics_listen", &self.metrics_listen)
            .field("public_url", &self.public_url)
            .field("trusted_proxies", &self.trusted_proxies)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Config {
    /// As a command line sets it.
    pub(crate) fn of(arguments: &[&str]) -> Self {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            config: Config,
        }
        <Line as clap::Parser>::parse_from([&["costwake"], arguments].concat()).config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(arguments: &[&str]) -> Config {
        Config::of(arguments).without_empty()
    }

    #[test]
    fn what_is_empty_is_not_set() {
        let empty =
            ["--database-url=", "--data-dir=", "--listen=", "--metrics-listen=", "--public-url=", "--key-file="];
        let config = config(&empty);
        assert_eq!((config.database_url.as_deref(), config.public_url.as_deref()), (None, None));
        assert_eq!((config.data_dir.as_deref(), config.key_file.as_deref()), (None, None));
        assert_eq!((config.listen.to_string(), config.metrics_listen.as_str()), (LISTEN.to_owned(), METRICS_LISTEN));
    }

    #[test]
    fn places_that_sources_may_reach_are_checked() {
        let refused = |arguments: &[&str]| config(arguments).reach().err().unwrap().to_string();
        assert!(refused(&["--outgoing-networks", "10.0.0.0/8,foo"]).contains("COSTWAKE_OUTGOING_NETWORKS: foo"));
        assert!(refused(&["--source-folders", "/srv/bills,rel"]).contains("rel is not a whole path"));
        let missing = config(&["--source-folders", "/, /nowhere/at/all"]);
        assert_eq!(missing.missing_source_folders(), [Path::new("/nowhere/at/all")]);
        assert!(config(&["--data-dir", "rel"]).reach().is_ok(), "the own folder lies where the data directory does");
    }
}
