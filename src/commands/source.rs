//! `costwake source`: where bills are read from, from the command line.

use super::database::{self, Database};
use crate::config::Config;
use crate::jobs::Worker;
use crate::normalize::Format;
use crate::sources::kind::{Kind, LateBills, Layout, Restatement};
use crate::sources::place::{Credentials, Place};
use crate::sources::schedule::Schedule;
use crate::sources::setting::Setting;
use crate::store::jobs::{self, Lane};
use crate::store::source_reads::{self, READ_SOURCE, ReadRow};
use crate::store::source_settings::{self, SourceSetting};
use crate::store::temporary_files;
use crate::store::{deliveries, sealed, sources};
use crate::web::moments;
use crate::web::source_change::{self, By};
use anyhow::{Context, bail};
use chrono::Utc;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const ACTOR: &str = "command line";
/// A credentials file is a few kilobytes.
const CREDENTIALS_BYTES_MAX: u64 = 64 * 1024;

/// What to do.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List the sources that are set up.
    List,
    /// Set a source up.
    Add(Box<Options>),
    /// Change a source: what is not named stays.
    Change(Box<Options>),
    /// Let a source wait.
    Pause {
        /// Its name.
        name: String,
    },
    /// Let a source go on.
    Resume {
        /// Its name.
        name: String,
    },
    /// Ask the place of a source whether it can be read.
    Test {
        /// Its name.
        name: String,
    },
    /// Read a source now, and wait until that is done. Ends with 2 where a delivery was refused or waits for a decision, or
    /// not all is whole.
    Read {
        /// Its name.
        name: String,
    },
    /// Read a source no more and forget its credentials. Its bills and receipts stay. Where no bill of it counts, it goes
    /// from every list; so does one that nobody set up.
    Remove {
        /// Its name.
        name: String,
        /// Needed: there is no way back but setting it up again.
        #[arg(long)]
        yes: bool,
    },
}

/// How a source is set up.
#[derive(clap::Args)]
struct Options {
    /// Its name: on receipts and for programs.
    name: String,
    /// Where the files come from.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// How they lie there [default: files].
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// What a file does to those before it [default: the usual one of the layout].
    #[arg(long, value_enum)]
    rule: Option<Restatement>,
    /// What the files are, where their columns do not show it.
    #[arg(long, value_parser = clap::value_parser!(Format))]
    format: Option<Format>,
    /// Bucket, or container of Azure.
    #[arg(long)]
    bucket: Option<String>,
    /// Prefix of the export, or the folder of the server.
    #[arg(long)]
    prefix: Option<String>,
    /// Region of Amazon S3.
    #[arg(long)]
    region: Option<String>,
    /// Address of the service, where it is not the provider's own.
    #[arg(long)]
    endpoint: Option<String>,
    /// Storage account of Azure.
    #[arg(long)]
    account: Option<String>,
    /// Address of Entra ID, where it is not that of the public cloud.
    #[arg(long)]
    authority: Option<String>,
    /// "every 30 minutes", "every 6 hours", "daily at 06:00" (UTC); "never": only when asked.
    #[arg(long, value_parser = schedule)]
    schedule: Option<When>,
    /// Late after so many hours without something new; 0: never.
    #[arg(long)]
    expected_every_hours: Option<i32>,
    /// What happens to a delivery that changes a closed month: it waits for finance, or is booked to the open month by
    /// itself [default: hold].
    #[arg(long, value_enum)]
    late_bills: Option<LateBills>,
    /// File with the credentials as JSON: access_key_id, secret_access_key, session_token; sas; tenant_id, client_id,
    /// client_secret; for Google Cloud the key file of the service account itself. "-" reads them from the input.
    #[arg(long)]
    credentials_file: Option<PathBuf>,
}

#[derive(Clone, Copy)]
enum When {
    Never,
    At(Schedule),
}

fn schedule(text: &str) -> Result<When, String> {
    if text == "never" {
        return Ok(When::Never);
    }
    text.parse().map(When::At).map_err(str::to_owned)
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    temporary_files::keep_in(&config.data_dir());
    let database = database::open(config).await?;
    let done = act(arguments.action, &database, config).await;
    database.close().await;
    done
}

async fn act(action: Action, database: &Database, config: &Config) -> anyhow::Result<ExitCode> {
    let by = By { actor: ACTOR.into(), from: String::new(), now: Utc::now() };
    let mut transaction = database.pools.jobs.begin().await?;
    match action {
        Action::List => {
            for source in source_settings::list(&mut *transaction).await? {
                println!("{}", line(&source));
            }
        }
        Action::Add(options) => {
            let setting = options.apply_to(None)?;
            source_change::check_folder(config, &setting).await?;
            let credentials = options.credentials(setting.kind)?.unwrap_or_default();
            let key = sealed::key(&mut *transaction, &config.key_file()).await?;
            let source_id = source_change::add(&mut transaction, &key, &setting, &credentials, &by).await?;
            println!("source {source_id}: {} is set up", setting.name);
            if credentials.is_empty() {
                tell_keyless(&setting);
            }
        }
        Action::Change(options) => {
            let source = find(&mut transaction, &options.name).await?;
            let setting = options.apply_to(Some(&source.setting))?;
            source_change::check_folder(config, &setting).await?;
            let credentials = options.credentials(setting.kind)?;
            let key = sealed::key(&mut *transaction, &config.key_file()).await?;
            let change = source_change::change(&mut transaction, &key, &source, &setting, credentials.as_ref(), &by);
            change.await?;
            println!("{} is changed", setting.name);
            if credentials.as_ref().map_or(!source.has_credentials(), Credentials::is_empty) {
                tell_keyless(&setting);
            }
        }
        Action::Pause { name } => {
            let source = find(&mut transaction, &name).await?;
            source_change::pause(&mut transaction, &source, true, &by).await?;
            println!("{name} waits");
        }
        Action::Resume { name } => {
            let source = find(&mut transaction, &name).await?;
            source_change::pause(&mut transaction, &source, false, &by).await?;
            println!("{name} goes on");
        }
        Action::Test { name } => {
            let source = find(&mut transaction, &name).await?;
            let key = sealed::key(&mut *transaction, &config.key_file()).await?;
            match source_change::test(config, &key, &source).await {
                Ok(count) => println!("{name} can be read: {count} objects"),
                Err(error) => bail!("{} {}", error.sentence, error.remedy),
            }
        }
        Action::Read { name } => {
            let source = find(&mut transaction, &name).await?;
            let job_id = source_change::read_now(&mut transaction, &source, &by).await?;
            transaction.commit().await?;
            return read(database, config, &source, job_id).await;
        }
        Action::Remove { name, yes } => remove(&mut transaction, &name, yes, &by).await?,
    }
    transaction.commit().await?;
    Ok(ExitCode::SUCCESS)
}

// Meant by few: a file with the wrong content, or none, looks the same.
fn tell_keyless(setting: &Setting) {
    if setting.kind.is_object_store() {
        println!("  no credentials are kept for it (--credentials-file): it is read with the rights of this machine");
    }
}

async fn remove(conn: &mut sqlx::PgConnection, name: &str, yes: bool, by: &By) -> anyhow::Result<()> {
    // One that files were handed in for, and nobody set up, has no credentials.
    let is_set_up = source_settings::find(&mut *conn, name).await?.is_some();
    let named = sources::id(conn, name).await?;
    if let Some(source_id) = named.filter(|_| !is_set_up) {
        if !yes {
            bail!("{name} would be in no list any more, and its receipts stay: say so with --yes");
        }
        source_change::remove_unused(conn, source_id, by).await?;
        println!("{name} is removed; its receipts stay");
        return Ok(());
    }
    let source = find(conn, name).await?;
    if !yes {
        bail!("{name} would be read no more, and its credentials forgotten: say so with --yes");
    }
    source_change::remove(conn, &source, by).await?;
    println!("{name} is removed; its bills and receipts stay");
    Ok(())
}

async fn find(conn: &mut sqlx::PgConnection, name: &str) -> anyhow::Result<SourceSetting> {
    let source = source_settings::find(conn, name).await?;
    source.with_context(|| format!("no source “{name}” is set up: costwake source list names those that are"))
}

// A running server may take the job first; then its end is waited for.
async fn read(database: &Database, config: &Config, source: &SourceSetting, job_id: i64) -> anyhow::Result<ExitCode> {
    let (lane, stop) = (Lane::Imports, CancellationToken::new());
    let worker = Worker { pools: database.pools.clone(), config: config.clone(), lane, stop };
    let key = source.source_id.to_string();
    if !worker.take(job_id).await? {
        while jobs::find(&database.pools.jobs, READ_SOURCE, &key)
            .await?
            .is_some_and(|job| job.job_id == job_id && matches!(job.state.as_str(), "running" | "waiting"))
        {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    let last = source_reads::list(&database.pools.jobs, source.source_id, 1).await?.into_iter().next();
    let last = last.context("the source was removed meanwhile")?;
    print!("{}", words(&last));
    let counts_all = !deliveries::any_not_counted(&database.pools.jobs, &last.delivery_ids).await?;
    Ok(match last.result.as_str() {
        "new" | "nothing-new" if counts_all => ExitCode::SUCCESS,
        // As an import ends: something that came does not count.
        "new" | "nothing-new" => ExitCode::from(2),
        "partial" => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    })
}

fn words(read: &ReadRow) -> String {
    let ids: Vec<String> = read.delivery_ids.iter().map(|id| format!("delivery {id}")).collect();
    let mut text = format!("{}: {} objects", read.result, read.object_count);
    if !ids.is_empty() {
        text.push_str(&format!(", {}", ids.join(", ")));
    }
    text.push('\n');
    for more in [&read.message, &read.remedy].into_iter().flatten() {
        text.push_str(&format!("  {more}\n"));
    }
    text
}

fn line(source: &SourceSetting) -> String {
    let setting = &source.setting;
    let when = match (source.is_paused, setting.schedule) {
        (true, _) => "paused".to_owned(),
        (false, None) => "when asked".to_owned(),
        (false, Some(schedule)) => {
            format!("{schedule}, next {}", moments::moment_or(&source.next_read_at, "at no certain time"))
        }
    };
    format!("{}\t{}\t{}\t{}\t{when}", setting.name, setting.kind, setting.layout, setting.place.words(setting.kind))
}

impl Options {
    // What is named, on top of what is there.
    fn apply_to(&self, before: Option<&Setting>) -> anyhow::Result<Setting> {
        let kind = self.kind.or(before.map(|before| before.kind)).context("name the kind of the source: --kind")?;
        let layout = self.layout.or(before.map(|before| before.layout)).unwrap_or(Layout::Files);
        let kept = before.map(|before| before.restatement).filter(|rule| layout.restatements().contains(rule));
        let place = before.map(|before| before.place.clone()).unwrap_or_default();
        let text = |given: &Option<String>, kept: String| given.clone().unwrap_or(kept);
        let place = Place {
            bucket: text(&self.bucket, place.bucket),
            prefix: text(&self.prefix, place.prefix),
            region: text(&self.region, place.region),
            endpoint: text(&self.endpoint, place.endpoint),
            account: text(&self.account, place.account),
            authority: text(&self.authority, place.authority),
        };
        let schedule = match self.schedule {
            None => before.and_then(|before| before.schedule),
            Some(When::Never) => None,
            Some(When::At(schedule)) => Some(schedule),
        };
        let expected = self.expected_every_hours.or(before.and_then(|before| before.expected_every_hours));
        let format = self.format.map(|format| format.name().to_owned());
        Ok(Setting {
            name: self.name.trim().to_owned(),
            kind,
            layout,
            restatement: self.rule.or(kept).unwrap_or(layout.restatements()[0]),
            format: format.or(before.and_then(|before| before.format.clone())),
            place: place.trimmed(kind),
            schedule,
            expected_every_hours: expected.filter(|hours| *hours != 0),
            late_bills: self.late_bills.or(before.map(|before| before.late_bills)).unwrap_or_default(),
        })
    }

    // From a file: what stands on a command line is read by everyone on the machine.
    fn credentials(&self, kind: Kind) -> anyhow::Result<Option<Credentials>> {
        let Some(path) = &self.credentials_file else { return Ok(None) };
        let mut text = String::new();
        if path.as_os_str() == "-" {
            std::io::stdin()
                .take(CREDENTIALS_BYTES_MAX)
                .read_to_string(&mut text)
                .context("reading the credentials")?;
        } else {
            let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            file.take(CREDENTIALS_BYTES_MAX).read_to_string(&mut text).context("reading the credentials")?;
        }
        if kind == Kind::Gcs {
            return Ok(Some(Credentials { service_account_key: text, ..Credentials::default() }.trimmed()));
        }
        Credentials::from_json(&text, kind).map(Some).map_err(anyhow::Error::msg)
    }
}
