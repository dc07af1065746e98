//! `costwake token`: secrets for programs, from the command line.

use super::database::{self, Database};
use crate::config::Config;
use crate::store::tokens::{self, TokenScope};
use crate::store::{accounts, audit};
use crate::web::{moments, tokens as rules};
use anyhow::Context;
use chrono::Utc;
use serde_json::json;
use std::process::ExitCode;

const ACTOR: &str = "command line";
const TOKENS_LISTED_MAX: i64 = 10_000;

/// What to do.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Make a token and print its secret, which is not kept.
    Create {
        /// What uses it.
        name: String,
        /// What it may be used for.
        #[arg(long, value_enum)]
        scope: TokenScope,
        /// Whose role and teams apply to it.
        #[arg(long)]
        user: String,
        /// It ends after so many days [default: never].
        #[arg(long)]
        expires_days: Option<i64>,
    },
    /// List all tokens.
    List,
    /// End a token.
    Revoke {
        /// Its number in the list.
        token_id: i64,
    },
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    let database = database::open(config).await?;
    let done = act(arguments.action, &database).await;
    database.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn act(action: Action, database: &Database) -> anyhow::Result<()> {
    let now = Utc::now();
    let mut tx = database.pools.jobs.begin().await?;
    match action {
        Action::Create { name, scope, user, expires_days } => {
            let name = rules::valid_name(&name)?;
            let found = accounts::find(&mut tx, &user.trim().to_lowercase()).await?;
            let user_id = found.with_context(|| format!("nobody has the login {user}"))?;
            let owner = accounts::get(&mut tx, user_id).await?.context("the account was just removed")?;
            anyhow::ensure!(
                rules::may_hold(owner.role, scope),
                "the role of {user} cannot have a token of scope {}",
                scope.as_str()
            );
            let expires_at = expires_days.map(|days| rules::ends_at(now, days)).transpose()?;
            let made = tokens::insert(&mut tx, &name, scope, user_id, now, expires_at).await?;
            let details = json!({"token_id": made.api_token_id, "scope": scope.as_str(), "owner": owner.login});
            audit::insert(&mut tx, now, ACTOR, "", "token_created", &name, details).await?;
            println!("{}", made.secret);
        }
        Action::List => {
            for row in tokens::list(&mut tx, None, TOKENS_LISTED_MAX).await? {
                let last = moments::moment_or(&row.last_used_at, "never");
                let (id, scope, state) = (row.api_token_id, row.scope.as_str(), row.state(now));
                println!(
                    "{id}\t{}\t{}…\t{scope}\t{}\t{state}\tlast used {last}",
                    row.name, row.token_prefix, row.login
                );
            }
        }
        Action::Revoke { token_id } => {
            let revoked = tokens::revoke(&mut tx, token_id, None, now).await?;
            let (login, name) = revoked.with_context(|| format!("there is no token {token_id}"))?;
            let details = json!({"token_id": token_id, "owner": login});
            audit::insert(&mut tx, now, ACTOR, "", "token_revoked", &name, details).await?;
            println!("token {token_id} ({name}) of {login} is revoked");
        }
    }
    tx.commit().await?;
    Ok(())
}
