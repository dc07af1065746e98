//! The command line: one file a command, each a thin wrapper around what the server does too.

/// Prints a line as the macro of the library does, but is quiet where the reader has gone (`costwake impact | head`): a
/// command ends its work and tells its exit code instead of panicking. All commands below print with it.
macro_rules! println {
    () => { $crate::commands::output::write(format_args!("\n")) };
    ($($words:tt)*) => { $crate::commands::output::write(format_args!("{}\n", format_args!($($words)*))) };
}

/// The same without the end of a line.
macro_rules! print {
    ($($words:tt)*) => { $crate::commands::output::write(format_args!($($words)*)) };
}

pub mod database;

mod archive;
mod backup;
mod clusters;
mod cut_restore;
mod delivery;
mod demo;
mod deploy;
mod events;
mod export;
mod health;
mod impact;
mod import;
mod invoices;
mod metrics;
mod migrate;
mod month;
mod output;
mod postgres_tools;
mod rates;
mod rebuild;
mod restore;
mod running;
mod serve;
mod serving;
mod source;
mod stop_signal;
mod token;
mod upgrade_database;
mod user;
mod verify;

use crate::config::Config;
use crate::web::telemetry;
use std::process::ExitCode;
use stop_signal::StopSignal;

/// Links cost changes to releases.
#[derive(clap::Parser)]
#[command(name = "costwake", version, arg_required_else_help = true, next_help_heading = "Settings")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Settings.
    #[command(flatten)]
    pub config: Config,
}

/// What to do.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Serve pages, API and webhooks, and do the work in the background.
    Serve(serve::Arguments),
    /// Make up an organisation in a fresh data directory, take it in, and serve it.
    Demo(demo::Arguments),
    /// Ask the server on this machine whether it is ready.
    Health(health::Arguments),
    /// Take bills in: files into deliveries, a receipt each.
    Import(import::Arguments),
    /// Show the receipt of a delivery, and decide about it.
    Delivery(delivery::Arguments),
    /// Take in how clusters were used, and show the cost of their machines by namespace.
    Clusters(clusters::Arguments),
    /// Check that every sum is what the files said, from the lines to the pages.
    Verify(verify::Arguments),
    /// Set the reporting currency, and take in or list the rates into it.
    Rates(rates::Arguments),
    /// Take in totals of invoices.
    Invoices(invoices::Arguments),
    /// Close a billing month, or open it again.
    Month(month::Arguments),
    /// Write lines of bills as a FOCUS file, from which they can be imported again.
    Export(Box<export::Arguments>),
    /// Add all rollups up again from the lines.
    Rebuild(rebuild::Arguments),
    /// Write the database, the key and uploads that wait into one file, also while the server runs.
    Backup(backup::Arguments),
    /// Build a database and the key file from a backup, and verify every total.
    Restore(restore::Arguments),
    /// Bring the database schema up to this version's; every command does it too.
    Migrate(migrate::Arguments),
    /// Move the own database cluster to a newer PostgreSQL, and verify every total.
    UpgradeDatabase(upgrade_database::Arguments),
    /// Set up where bills are read from, and read them.
    Source(source::Arguments),
    /// Make, list and revoke tokens for programs.
    Token(token::Arguments),
    /// Add people, change their roles, and make sign-in links.
    User(user::Arguments),
    /// Record a deployment, from a CI job.
    Deploy(Box<deploy::Arguments>),
    /// Say what deployments did to cost: one of them, or the newest.
    Impact(impact::Arguments),
    /// Take in usage metrics that shared costs are divided by.
    Metrics(metrics::Arguments),
    /// Read events of senders: print what a payload tells, or read stored ones again.
    Events(events::Arguments),
}

/// Runs a command.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = &arguments.config.without_empty();
    let keeps_running = matches!(arguments.command, Command::Serve(_) | Command::Demo(_));
    telemetry::init(config, if keeps_running { telemetry::SERVER_LOG } else { telemetry::COMMAND_LOG })?;
    match arguments.command {
        Command::Serve(arguments) => serve::run(arguments, config).await,
        Command::Demo(arguments) => demo::run(arguments, config).await,
        Command::Health(arguments) => health::run(arguments, config).await,
        Command::Import(arguments) => import::run(arguments, config).await,
        Command::Delivery(arguments) => until_interrupted(delivery::run(arguments, config)).await,
        Command::Clusters(arguments) => until_interrupted(clusters::run(arguments, config)).await,
        Command::Verify(arguments) => until_interrupted(verify::run(arguments, config)).await,
        Command::Rates(arguments) => until_interrupted(rates::run(arguments, config)).await,
        Command::Invoices(arguments) => until_interrupted(invoices::run(arguments, config)).await,
        Command::Month(arguments) => until_interrupted(month::run(arguments, config)).await,
        Command::Export(arguments) => until_interrupted(export::run(*arguments, config)).await,
        Command::Rebuild(arguments) => until_interrupted(rebuild::run(arguments, config)).await,
        Command::Backup(arguments) => until_interrupted(backup::run(arguments, config)).await,
        Command::Restore(arguments) => until_interrupted(restore::run(arguments, config)).await,
        Command::Migrate(arguments) => until_interrupted(migrate::run(arguments, config)).await,
        Command::UpgradeDatabase(arguments) => upgrade_database::run(arguments, config).await,
        Command::Source(arguments) => until_interrupted(source::run(arguments, config)).await,
        Command::Token(arguments) => until_interrupted(token::run(arguments, config)).await,
        Command::User(arguments) => until_interrupted(user::run(arguments, config)).await,
        Command::Deploy(arguments) => deploy::run(*arguments).await,
        Command::Impact(arguments) => until_interrupted(impact::run(arguments, config)).await,
        Command::Metrics(arguments) => until_interrupted(metrics::run(arguments, config)).await,
        Command::Events(arguments) => until_interrupted(events::run(arguments, config)).await,
    }
}

/// Ends a command that is told to stop the way it ends by itself, so that it lets go of the database.
async fn until_interrupted(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let mut told_to_stop = StopSignal::listen()?;
    tokio::select! {
        result = command => result,
        () = told_to_stop.wait() => anyhow::bail!("stopped before it was done"),
    }
}
