//! Every setting, its unit and its default. Each is an environment variable and a flag of the same name.

use crate::sources::objects::{Guard, Reach};
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// The settings that every command takes.
#[derive(Clone, clap::Args)]
pub struct Config {
    /// PostgreSQL to use. Without it Costwake runs its own cluster in the data directory.
    #[arg(long, env = "DATABASE_URL", global = true, hide_env_values = true)]
    pub database_url: Option<String>,

    /// Where the embedded cluster, the key file and uploads in progress lie [default: $XDG_DATA_HOME/costwake, else ~/.local/share/costwake].
    #[arg(long, env = "COSTWAKE_DATA_DIR", global = true)]
    pub data_dir: Option<PathBuf>,

    /// Address that pages, API and webhooks are served on.
    #[arg(long, env = "COSTWAKE_LISTEN", default_value = "127.0.0.1:8080", global = true)]
    pub listen: SocketAddr,

    /// Address that Prometheus metrics are served on; "off" serves none.
    #[arg(long, env = "COSTWAKE_METRICS_LISTEN", default_value = "127.0.0.1:9090", global = true)]
    pub metrics_listen: String,

    /// The address readers use, for example <https://costs.example.com>; decides links and cookies.
    #[arg(long, env = "COSTWAKE_PUBLIC_URL", global = true)]
    pub public_url: Option<String>,

    /// Proxies whose X-Forwarded-For is believed: addresses or networks, separated by commas.
    #[arg(long, env = "COSTWAKE_TRUSTED_PROXIES", default_value = "", global = true)]
    pub trusted_proxies: String,

    /// File with the key that secrets are sealed with [default: key in the data directory].
    #[arg(long, env = "COSTWAKE_KEY_FILE", global = true)]
    pub key_file: Option<PathBuf>,

    /// Private networks that sources may reach: addresses or networks, separated by commas. All others of a private
    /// network, of this machine and of cloud metadata are refused.
    #[arg(long, env = "COSTWAKE_OUTGOING_NETWORKS", default_value = "", global = true)]
    pub outgoing_networks: String,

    /// Folders below which sources may read files, separated by commas [default: bills in the data directory].
    #[arg(long, env = "COSTWAKE_SOURCE_FOLDERS", default_value = "", global = true)]
    pub source_folders: String,

    /// Folder with initdb, postgres and pg_ctl [default: the newest installed].
    #[arg(long, env = "COSTWAKE_POSTGRES_BIN", global = true)]
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
        let folders = if folders.is_empty() { vec![self.data_dir().join("bills")] } else { folders };
        Ok(Reach { guard: Guard::new(&networks), folders })
    }

    /// The key file: the setting, else `key` in the data directory.
    pub fn key_file(&self) -> PathBuf {
        self.key_file.clone().unwrap_or_else(|| self.data_dir().join("key"))
    }
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
