//! People and what they may do.

use super::Role;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Rows of [`list`] at most.
pub const ACCOUNTS_MAX: i64 = 1000;

/// A person.
#[derive(Debug, Clone)]
pub struct Account {
    /// The key.
    pub user_id: i64,
    /// What they sign in with; lower case.
    pub login: String,
    /// How pages call them.
    pub display_name: String,
    /// What they may do.
    pub role: Role,
    /// An administrator who was granted finance too.
    pub also_finance: bool,
    /// The teams of a member.
    pub team_ids: Vec<i64>,
    /// Whether a password was ever set.
    pub has_password: bool,
    /// Since when they cannot sign in.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When they last did.
    pub last_signed_in_at: Option<DateTime<Utc>>,
}

/// What an administrator says about a new person.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// What they sign in with; lower case.
    pub login: String,
    /// How pages call them.
    pub display_name: String,
    /// What they may do.
    pub role: Role,
    /// Finance beside administrator.
    pub also_finance: bool,
    /// The teams of a member.
    pub team_ids: Vec<i64>,
}

/// All people by login.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<Account>> {
    sqlx::query_as!(
        Account,
        r#"SELECT user_id, login, display_name, role AS "role: Role", also_finance,
                  ARRAY(SELECT team_id FROM user_team t WHERE t.user_id = u.user_id ORDER BY 1) AS "team_ids!",
                  password_hash IS NOT NULL AS "has_password!", disabled_at, last_signed_in_at
           FROM user_account u ORDER BY login LIMIT $1"#,
        ACCOUNTS_MAX
    )
    .fetch_all(conn)
    .await
}

/// One person.
pub async fn get(conn: &mut PgConnection, user_id: i64) -> sqlx::Result<Option<Account>> {
    sqlx::query_as!(
        Account,
        r#"SELECT user_id, login, display_name, role AS "role: Role", also_finance,
                  ARRAY(SELECT team_id FROM user_team t WHERE t.user_id = u.user_id ORDER BY 1) AS "team_ids!",
                  password_hash IS NOT NULL AS "has_password!", disabled_at, last_signed_in_at
           FROM user_account u WHERE user_id = $1"#,
        user_id
    )
    .fetch_optional(conn)
    .await
}

/// The key of a login.
pub async fn find(conn: &mut PgConnection, login: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("SELECT user_id FROM user_account WHERE login = $1", login).fetch_optional(conn).await
}

/// What a password is compared with: none where the account is unknown, disabled or has none.
pub async fn password_hash(conn: &mut PgConnection, login: &str) -> sqlx::Result<Option<(i64, String)>> {
    let row = sqlx::query!(
        r#"SELECT user_id, password_hash AS "password_hash!" FROM user_account
           WHERE login = $1 AND disabled_at IS NULL AND password_hash IS NOT NULL"#,
        login
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.user_id, row.password_hash)))
}

/// Adds a person who has no password yet.
pub async fn insert(conn: &mut PgConnection, new: &NewAccount, now: DateTime<Utc>) -> sqlx::Result<i64> {
    let user_id = sqlx::query_scalar!(
        "INSERT INTO user_account (login, display_name, role, also_finance, credentials_valid_from, created_at)
         VALUES ($1, $2, $3, $4, $5, $5) RETURNING user_id",
        new.login,
        new.display_name,
        new.role as Role,
        new.also_finance,
        now
    )
    .fetch_one(&mut *conn)
    .await?;
    set_teams(conn, user_id, &new.team_ids).await?;
    Ok(user_id)
}

/// Sets a password; every session and token made before is void.
pub async fn set_password(conn: &mut PgConnection, user_id: i64, hash: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE user_account SET password_hash = $2, credentials_valid_from = $3 WHERE user_id = $1",
        user_id,
        hash,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Sets role and teams; every session and token made before is void.
pub async fn set_role(
    conn: &mut PgConnection,
    user_id: i64,
    role: Role,
    also_finance: bool,
    team_ids: &[i64],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE user_account SET role = $2, also_finance = $3, credentials_valid_from = $4 WHERE user_id = $1",
        user_id,
        role as Role,
        also_finance,
        now
    )
    .execute(&mut *conn)
    .await?;
    set_teams(conn, user_id, team_ids).await
}

async fn set_teams(conn: &mut PgConnection, user_id: i64, team_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM user_team WHERE user_id = $1", user_id).execute(&mut *conn).await?;
    sqlx::query!("INSERT INTO user_team (user_id, team_id) SELECT $1, unnest($2::bigint[])", user_id, team_ids)
        .execute(conn)
        .await?;
    Ok(())
}

/// Shuts a person out, or lets them in again; either way what they had before is void.
pub async fn set_disabled(
    conn: &mut PgConnection,
    user_id: i64,
    disabled: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE user_account SET disabled_at = CASE WHEN $2 THEN $3::timestamptz END, credentials_valid_from = $3
         WHERE user_id = $1",
        user_id,
        disabled,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes a sign-in.
pub async fn signed_in(conn: &mut PgConnection, user_id: i64, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE user_account SET last_signed_in_at = $2 WHERE user_id = $1", user_id, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether an administrator other than this person can sign in; where this one never could, whether there is another one
/// at all. Other changes of administrators wait until the
/// transaction ends, so that two of them cannot take each other away at once.
pub async fn another_admin_remains(conn: &mut PgConnection, user_id: i64) -> sqlx::Result<bool> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('costwake administrators'))").execute(&mut *conn).await?;
    let others = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM user_account
           WHERE role = 'admin' AND disabled_at IS NULL AND user_id <> $1
             AND (password_hash IS NOT NULL
                  OR EXISTS (SELECT FROM user_account own WHERE own.user_id = $1 AND own.password_hash IS NULL))"#,
        user_id
    )
    .fetch_one(conn)
    .await?;
    Ok(others > 0)
}

/// Whether nobody has ever set a password: the service is new. Concurrent starts wait for each other.
pub async fn is_new_installation(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('costwake administrators'))").execute(&mut *conn).await?;
    sqlx::query_scalar!(r#"SELECT NOT EXISTS (SELECT FROM user_account WHERE password_hash IS NOT NULL) AS "new!""#)
        .fetch_one(conn)
        .await
}

/// A team to choose.
#[derive(Debug, Clone)]
pub struct TeamChoice {
    /// The key.
    pub team_id: i64,
    /// As in addresses.
    pub slug: String,
    /// As on pages.
    pub name: String,
}

/// The teams that a member can be in.
pub async fn team_choices(conn: &mut PgConnection) -> sqlx::Result<Vec<TeamChoice>> {
    sqlx::query_as!(TeamChoice, "SELECT team_id, slug, name FROM team ORDER BY name, team_id LIMIT 1000")
        .fetch_all(conn)
        .await
}

/// The stored hash of a person's password, for asking it again.
pub async fn own_password_hash(conn: &mut PgConnection, user_id: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT password_hash FROM user_account WHERE user_id = $1", user_id).fetch_one(conn).await
}
