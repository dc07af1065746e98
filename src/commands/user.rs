//! `costwake user`: people, from the command line. A lost administrator gets a new link here.

use super::database::{self, Database};
use crate::config::Config;
use crate::store::Role;
use crate::store::accounts::{self, Account};
use crate::web::account_changes::{self, By, Grant, role_name};
use crate::web::{moments, welcome};
use anyhow::Context;
use chrono::Utc;
use sqlx::PgConnection;
use std::process::ExitCode;

/// What to do.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Add a person and print a link with which they choose a password.
    Add {
        /// What they sign in with.
        login: String,
        #[command(flatten)]
        grant: GrantArguments,
        /// How pages call them [default: the login].
        #[arg(long)]
        name: Option<String>,
    },
    /// List everyone.
    List,
    /// Print a new link with which a person chooses a password; older ones no longer work.
    Link {
        /// Whose.
        login: String,
    },
    /// Change what a person may do; their sessions and tokens end.
    Role {
        /// Whose.
        login: String,
        #[command(flatten)]
        grant: GrantArguments,
    },
    /// Shut a person out; their sessions and tokens end.
    Disable {
        /// Whom.
        login: String,
    },
    /// Let a person in again.
    Enable {
        /// Whom.
        login: String,
    },
}

#[derive(clap::Args)]
struct GrantArguments {
    /// What they may do.
    #[arg(long, value_enum)]
    role: RoleArgument,
    /// Finance beside administrator: an administrator sees money only with it.
    #[arg(long)]
    finance: bool,
    /// A team of a member; may be repeated.
    #[arg(long = "team", value_name = "SLUG")]
    teams: Vec<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum RoleArgument {
    Viewer,
    Member,
    Finance,
    Admin,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let database = database::open(config).await?;
    let done = act(arguments.action, &database, config).await;
    database.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn act(action: Action, database: &Database, config: &Config) -> anyhow::Result<()> {
    let mut conn = database.pools.jobs.acquire().await?;
    let by = By { actor: "command line".into(), address: String::new(), now: Utc::now() };
    match action {
        Action::Add { login, grant, name } => {
            let grant = grant.resolve(&mut conn).await?;
            let name = name.unwrap_or_else(|| login.clone());
            let (_, path) = account_changes::add(&mut conn, &by, &login, &name, grant).await?;
            print_link(config, &path);
        }
        Action::List => {
            let accounts = accounts::list(&mut conn).await?;
            if accounts.is_empty() {
                eprintln!("Nobody is there yet: costwake serve makes the first administrator.");
            }
            for account in accounts {
                println!("{}", line(&account));
            }
        }
        Action::Link { login } => {
            let user_id = find(&mut conn, &login).await?;
            print_link(config, &account_changes::make_link(&mut conn, &by, user_id).await?);
        }
        Action::Role { login, grant } => {
            let user_id = find(&mut conn, &login).await?;
            let grant = grant.resolve(&mut conn).await?;
            account_changes::change_grant(&mut conn, &by, user_id, grant).await?;
            println!("{login} has a new role; sessions and tokens of before have ended");
        }
        Action::Disable { login } => {
            let user_id = find(&mut conn, &login).await?;
            account_changes::set_disabled(&mut conn, &by, user_id, true).await?;
            println!("{login} is disabled");
        }
        Action::Enable { login } => {
            let user_id = find(&mut conn, &login).await?;
            account_changes::set_disabled(&mut conn, &by, user_id, false).await?;
            println!("{login} is enabled");
        }
    }
    Ok(())
}

impl GrantArguments {
    async fn resolve(self, conn: &mut PgConnection) -> anyhow::Result<Grant> {
        let role = match self.role {
            RoleArgument::Viewer => Role::Viewer,
            RoleArgument::Member => Role::Member,
            RoleArgument::Finance => Role::Finance,
            RoleArgument::Admin => Role::Admin,
        };
        anyhow::ensure!(!self.finance || role == Role::Admin, "--finance goes with --role admin");
        anyhow::ensure!(self.teams.is_empty() || role == Role::Member, "--team goes with --role member");
        let known = accounts::team_choices(conn).await?;
        let team_id = |slug: &String| {
            let found = known.iter().find(|team| team.slug == *slug).map(|team| team.team_id);
            found.with_context(|| format!("there is no team {slug}; the catalogue page lists them"))
        };
        let team_ids = self.teams.iter().map(team_id).collect::<anyhow::Result<_>>()?;
        Ok(Grant { role, also_finance: self.finance, team_ids })
    }
}

async fn find(conn: &mut PgConnection, login: &str) -> anyhow::Result<i64> {
    let login = account_changes::valid_login(login)?;
    let found = accounts::find(conn, &login).await?;
    found.with_context(|| format!("nobody has the login {login}; costwake user list shows everyone"))
}

fn line(account: &Account) -> String {
    let state = match account {
        Account { disabled_at: Some(_), .. } => "disabled",
        Account { has_password: false, .. } => "invited",
        _ => "active",
    };
    let role = role_name(account.role, account.also_finance);
    let last = moments::moment_or(&account.last_signed_in_at, "never");
    format!("{}\t{role}\t{state}\tlast sign-in {last}", account.login)
}

fn print_link(config: &Config, path: &str) {
    println!("{}", welcome::address_beside(config, path));
    eprintln!("The link works once, for 24 hours.");
}
