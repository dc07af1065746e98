//! `costwake events`: what an adapter reads from a payload, and reading stored deliveries again.

use super::database;
use crate::config::Config;
use crate::events::{self, Headers};
use crate::rollup;
use crate::store::{event_deliveries, event_sources};
use anyhow::Context;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use std::path::PathBuf;
use std::process::ExitCode;

/// Reads events.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print what is read from a payload; nothing is stored.
    Read(ReadArguments),
    /// Read stored deliveries again, for example after an upgrade.
    Replay(ReplayArguments),
}

#[derive(clap::Args)]
struct ReadArguments {
    /// Who sent it: github, gitlab, argocd, cdevents and so on; an unknown one is answered with the list.
    sender: String,
    /// The request's body.
    file: PathBuf,
    /// A header of the request, "Name: value"; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// One line of JSON instead of an indented object.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct ReplayArguments {
    /// Only of this event source.
    #[arg(long)]
    source: Option<String>,
    /// Only what came since this day, or this time in RFC 3339.
    #[arg(long, value_name = "DAY OR TIME", value_parser = moment)]
    since: Option<DateTime<Utc>>,
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    let time = || Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc());
    day().or_else(time).ok_or_else(|| "write a day as 2026-11-24, or a time as 2026-11-24T10:00:00Z".into())
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Read(arguments) => read(&arguments),
        Command::Replay(arguments) => replay(&arguments, config).await,
    }
}

fn read(arguments: &ReadArguments) -> anyhow::Result<ExitCode> {
    let body =
        std::fs::read(&arguments.file).with_context(|| format!("could not read {}", arguments.file.display()))?;
    let mut headers = Headers::default();
    for header in &arguments.headers {
        let (name, value) = header
            .split_once(':')
            .with_context(|| format!("--header \"{header}\" is not of the form \"Name: value\""))?;
        headers.insert(name, value);
    }
    if arguments.sender == "github" && headers.get("x-github-event").is_none() {
        let name = events::infer_github_event(&body)
            .context("which event is it? Add --header \"X-GitHub-Event: …\"; the body does not tell")?;
        eprintln!("No X-GitHub-Event header was given; the body looks like \"{name}\".");
        headers.insert("X-GitHub-Event", name);
    }
    let events = events::read(&arguments.sender, &headers, &body, Utc::now())?;
    let report = events::report(&events);
    println!("{}", if arguments.json { report.to_string() } else { serde_json::to_string_pretty(&report)? });
    if let Some(reason) = events::unreadable_parts(&events) {
        eprintln!("{reason}");
        return Ok(ExitCode::from(2));
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(arguments: &ReplayArguments, config: &Config) -> anyhow::Result<ExitCode> {
    let database = database::open(config).await?;
    let result = replay_in(&database, arguments).await;
    database.close().await;
    result
}

async fn replay_in(database: &database::Database, arguments: &ReplayArguments) -> anyhow::Result<ExitCode> {
    let mut connection = database.pools.jobs.acquire().await?;
    let event_source_id = match &arguments.source {
        Some(name) => {
            let source = event_sources::find(&mut connection, name).await?;
            Some(source.with_context(|| format!("there is no event source \"{name}\""))?.event_source_id)
        }
        None => None,
    };
    let marked = event_deliveries::read_all_again(&mut connection, event_source_id, arguments.since).await?;
    drop(connection);
    eprintln!("Reading {marked} deliveries again …");
    let reading = rollup::events::read_new(&database.pools.jobs).await?;
    println!("{} read, {} of no use, {} could not be read.", reading.done, reading.ignored, reading.failed);
    Ok(if reading.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}
