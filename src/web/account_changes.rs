//! Changes to people, each with its line in the audit log in one transaction: pages and the command line use the
//! same ones.

use super::welcome::{INVITATION_LIFETIME, new_link};
use super::{Error, Result};
use crate::store::accounts::{self, Account, NewAccount};
use crate::store::{Role, audit};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{Connection, PgConnection};

/// Who makes a change, from where, when.
#[derive(Debug, Clone)]
pub struct By {
    /// A login, or "command line".
    pub actor: String,
    /// The address; empty on the command line.
    pub address: String,
    /// When.
    pub now: DateTime<Utc>,
}

/// What a person may do, as it is chosen.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// Finance beside administrator.
    pub also_finance: bool,
    /// The teams of a member.
    pub team_ids: Vec<i64>,
}

impl Grant {
    // Finance counts beside administrator only, teams for members only.
    fn normal(self) -> Self {
        let also_finance = self.also_finance && self.role == Role::Admin;
        let team_ids = if self.role == Role::Member { self.team_ids } else { Vec::new() };
        Self { also_finance, team_ids, ..self }
    }
}

/// `viewer`, `member`, `finance`, `admin`, `admin with finance`.
pub fn role_name(role: Role, also_finance: bool) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Member => "member",
        Role::Finance => "finance",
        Role::Admin if also_finance => "admin with finance",
        Role::Admin => "admin",
    }
}

/// A login as it is stored, or why it cannot be one.
pub fn valid_login(text: &str) -> Result<String> {
    let login = text.trim().to_ascii_lowercase();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@+-".contains(c);
    if login.is_empty() || login.len() > 100 || !login.chars().all(fits) {
        return Err(Error::Invalid(
            "A login has 1 to 100 letters, digits and . _ @ + -, for example sam or sam@example.com.".into(),
        ));
    }
    Ok(login)
}

/// Adds a person; gives the path of a link to choose a password.
pub async fn add(conn: &mut PgConnection, by: &By, login: &str, name: &str, grant: Grant) -> Result<(i64, String)> {
    let login = valid_login(login)?;
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(100).collect();
    let grant = grant.normal();
    let mut tx = conn.begin().await?;
    if accounts::find(&mut tx, &login).await?.is_some() {
        return Err(Error::Conflict(format!("There is a person with the login {login} already.")));
    }
    let details = json!({"role": role_name(grant.role, grant.also_finance), "team_ids": grant.team_ids});
    let new = NewAccount {
        display_name: if name.is_empty() { login.clone() } else { name },
        login: login.clone(),
        role: grant.role,
        also_finance: grant.also_finance,
        team_ids: grant.team_ids,
    };
    let user_id = accounts::insert(&mut tx, &new, by.now).await.map_err(unknown_team)?;
    let link = new_link(&mut tx, user_id, by.now, INVITATION_LIFETIME).await?;
    audit::insert(&mut tx, by.now, &by.actor, &by.address, "user_added", &login, details).await?;
    tx.commit().await?;
    Ok((user_id, link))
}

/// Changes role and teams; ends the person's sessions and tokens.
pub async fn change_grant(conn: &mut PgConnection, by: &By, user_id: i64, grant: Grant) -> Result<()> {
    let grant = grant.normal();
    let mut tx = conn.begin().await?;
    let account = existing(&mut tx, user_id).await?;
    if account.role == Role::Admin && grant.role != Role::Admin {
        require_another_admin(&mut tx, &account).await?;
    }
    accounts::set_role(&mut tx, user_id, grant.role, grant.also_finance, &grant.team_ids, by.now)
        .await
        .map_err(unknown_team)?;
    let details = json!({
        "before": {"role": role_name(account.role, account.also_finance), "team_ids": account.team_ids},
        "after": {"role": role_name(grant.role, grant.also_finance), "team_ids": grant.team_ids},
    });
    audit::insert(&mut tx, by.now, &by.actor, &by.address, "user_role_changed", &account.login, details).await?;
    tx.commit().await?;
    Ok(())
}

/// Shuts a person out, or lets them in again. What they had before has ended either way.
pub async fn set_disabled(conn: &mut PgConnection, by: &By, user_id: i64, disabled: bool) -> Result<()> {
    let mut tx = conn.begin().await?;
    let account = existing(&mut tx, user_id).await?;
    if account.disabled_at.is_some() == disabled {
        return Ok(());
    }
    if disabled && account.role == Role::Admin {
        require_another_admin(&mut tx, &account).await?;
    }
    accounts::set_disabled(&mut tx, user_id, disabled, by.now).await?;
    let action = if disabled { "user_disabled" } else { "user_enabled" };
    audit::insert(&mut tx, by.now, &by.actor, &by.address, action, &account.login, json!({})).await?;
    tx.commit().await?;
    Ok(())
}

/// The path of a new link to choose a password.
pub async fn make_link(conn: &mut PgConnection, by: &By, user_id: i64) -> Result<String> {
    let mut tx = conn.begin().await?;
    let account = existing(&mut tx, user_id).await?;
    if account.disabled_at.is_some() {
        return Err(Error::Conflict(format!("{} is disabled. Enable the account first.", account.login)));
    }
    let link = new_link(&mut tx, user_id, by.now, INVITATION_LIFETIME).await?;
    audit::insert(&mut tx, by.now, &by.actor, &by.address, "link_created", &account.login, json!({})).await?;
    tx.commit().await?;
    Ok(link)
}

async fn existing(conn: &mut PgConnection, user_id: i64) -> Result<Account> {
    accounts::get(conn, user_id).await?.ok_or(Error::NotFound)
}

async fn require_another_admin(conn: &mut PgConnection, account: &Account) -> Result<()> {
    if accounts::another_admin_remains(conn, account.user_id).await? {
        return Ok(());
    }
    let last = match account.has_password {
        true => "This is the last administrator who can sign in. Make another person administrator first.",
        false => "This is the only administrator. Make another person administrator first.",
    };
    Err(Error::Conflict(last.into()))
}

fn unknown_team(error: sqlx::Error) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("user_team_team_id_fkey") => Error::Invalid("One of the chosen teams no longer exists.".into()),
        _ => error.into(),
    }
}
