//! `costwake serve` in a process of its own, on a fresh data directory.

use anyhow::{Context, bail, ensure};
use costwake::config::Config;
use costwake::store::embedded::Cluster;
use costwake::store::event_sources;
use costwake::store::seal::Key;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The settings of a data directory.
pub fn config(data_dir: &Path) -> Config {
    #[derive(clap::Parser)]
    struct Settings {
        #[command(flatten)]
        config: Config,
    }
    let arguments = [OsStr::new("bench"), OsStr::new("--data-dir"), data_dir.as_os_str()];
    <Settings as clap::Parser>::parse_from(arguments).config
}

const START_MAX: Duration = Duration::from_secs(60);
/// What follows a bill: effects, anomalies, forecasts.
const IDLE_WITHIN: Duration = Duration::from_secs(600);

/// A running server with its own cluster.
pub struct Server {
    process: Child,
    /// The server's cluster, joined.
    cluster: Cluster,
    data_dir: PathBuf,
    address: SocketAddr,
}

impl Server {
    /// Starts the server and waits until it is ready.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let data_dir = folder.join("data");
        // Taken and given back at once: free for the moment that the server needs.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = Command::new(env!("CARGO_BIN_EXE_costwake"))
            .args(["serve", "--metrics-listen", "off", "--listen", &address.to_string(), "--data-dir"])
            .arg(&data_dir)
            .env_remove("DATABASE_URL")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("serve.log"))?)
            .spawn()
            .context("costwake serve did not start")?;
        let ready = format!("http://{address}/readyz");
        let start = Instant::now();
        while !matches!(reqwest::get(&ready).await, Ok(answer) if answer.status().is_success()) {
            ensure!(start.elapsed() < START_MAX, "the server is not ready after {START_MAX:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let joined = data_dir.clone();
        let cluster = tokio::task::spawn_blocking(move || Cluster::open(&joined, None)).await??;
        Ok(Self { process, cluster, data_dir, address })
    }

    /// `http://127.0.0.1:…`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where server and cluster keep their files.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Sets the first administrator's password by the one-time link and returns the session cookie.
    pub async fn sign_in(&self) -> anyhow::Result<String> {
        let link = std::fs::read_dir(&self.data_dir)?
            .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok())
            .find_map(|text| text.split_whitespace().find(|word| word.contains("/welcome/")).map(str::to_owned))
            .context("the server wrote no one-time link")?;
        let path = &link[link.find("/welcome/").context("no link")?..];
        let password = "a long password for a benchmark";
        let answer = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()?
            .post(format!("{}{path}", self.url()))
            .header("Origin", self.url())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(serde_urlencoded::to_string([("password", password), ("password_again", password)])?)
            .send()
            .await?;
        let cookie = answer.headers().get("set-cookie").context("signing in set no cookie")?.to_str()?;
        Ok(cookie.split(';').next().unwrap_or_default().to_owned())
    }

    /// A token of the first administrator, for all that the API offers.
    pub fn admin_token(&self) -> anyhow::Result<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_costwake"))
            .args(["token", "create", "bench", "--scope", "admin", "--user", "admin", "--data-dir"])
            .arg(&self.data_dir)
            .env_remove("DATABASE_URL")
            .output()
            .context("costwake token did not start")?;
        ensure!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// How to connect to the server's cluster.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.cluster.connect_options()
    }

    /// Waits until nothing is left to do in the background.
    pub async fn idle(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut conn = PgConnection::connect_with(&self.connect_options()).await?;
        let count = "SELECT count(*) FROM job WHERE state = 'running' OR state = 'waiting' AND run_after <= now()";
        while sqlx::query_scalar::<_, i64>(count).fetch_one(&mut conn).await? > 0 {
            ensure!(start.elapsed() < IDLE_WITHIN, "work in the background did not end within {IDLE_WITHIN:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        eprintln!("background work ended {:.1} s later", start.elapsed().as_secs_f64());
        Ok(())
    }

    /// Adds a sender of GitHub's webhooks with this secret.
    pub async fn add_github_source(&self, name: &str, secret: &str) -> anyhow::Result<()> {
        let key = Key::load_or_create(&config(&self.data_dir).key_file())?;
        let mut conn = PgConnection::connect_with(&self.connect_options()).await?;
        let added = event_sources::create(&mut conn, &key, name, "github", secret, chrono::Utc::now()).await?;
        added.context("the name of the source is taken").map(drop)
    }

    /// Runs statements with `psql` in the server's cluster.
    pub fn psql(&self, statements: &[&str]) -> anyhow::Result<()> {
        let options = self.cluster.connect_options();
        let mut psql = Command::new("psql");
        psql.args(["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1"])
            .args(["--username", options.get_username(), "--dbname", options.get_database().unwrap_or_default()])
            .args(["--port", &options.get_port().to_string(), "--host"])
            .arg(self.cluster.socket_folder());
        for statement in statements {
            psql.args(["--command", statement]);
        }
        let output = psql.output().context("psql is not installed")?;
        if !output.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Stops server and cluster as a service manager would.
    pub fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.process.id().to_string()).status()?;
        self.process.wait()?;
        Ok(())
    }
}
