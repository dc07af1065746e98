//! API tokens: only the SHA-256 of a token is stored.

use super::Role;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

/// What a token may be used for; its owner's role applies as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum TokenScope {
    /// Sending deployments and bills.
    Ingest,
    /// Reading what the owner may read.
    Read,
    /// Both, and changing the catalogue and the rules.
    Admin,
}

impl TokenScope {
    /// Whether a token of this scope serves where `wanted` is asked for.
    pub fn includes(self, wanted: Self) -> bool {
        self == wanted || self == Self::Admin
    }

    /// `ingest`, `read`, `admin`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// A token that counts, with the person it stands for.
#[derive(Debug, Clone)]
pub struct TokenOwner {
    /// The token.
    pub api_token_id: i64,
    /// What it may be used for.
    pub scope: TokenScope,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// The owner.
    pub user_id: i64,
    /// The owner's login.
    pub login: String,
    /// The owner's role now.
    pub role: Role,
    /// Whether the owner is an administrator with finance.
    pub also_finance: bool,
    /// The owner's teams now.
    pub team_ids: Vec<i64>,
}

/// The token with this hash, unless it is revoked, expired, void or its owner disabled.
pub async fn find(conn: &mut PgConnection, sha256: &[u8], now: DateTime<Utc>) -> sqlx::Result<Option<TokenOwner>> {
    sqlx::query_as!(
        TokenOwner,
        r#"SELECT t.api_token_id, t.scope AS "scope: TokenScope", t.last_used_at, u.user_id, u.login,
                  u.role AS "role: Role", u.also_finance,
                  ARRAY(SELECT team_id FROM user_team WHERE user_team.user_id = u.user_id) AS "team_ids!"
           FROM api_token t JOIN user_account u USING (user_id)
           WHERE t.token_sha256 = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $2)
             AND u.disabled_at IS NULL AND t.created_at >= u.credentials_valid_from"#,
        sha256,
        now
    )
    .fetch_optional(conn)
    .await
}

/// Notes that a token was used; called at most once a minute a token.
pub async fn touch(conn: &mut PgConnection, api_token_id: i64, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE api_token SET last_used_at = $2 WHERE api_token_id = $1", api_token_id, now)
        .execute(conn)
        .await?;
    Ok(())
}

/// A token that was just made: the only time that its secret is known.
#[derive(Clone)]
pub struct NewToken {
    /// The key.
    pub api_token_id: i64,
    /// What the program sends.
    pub secret: String,
}

/// Makes a token.
pub async fn insert(
    conn: &mut PgConnection,
    name: &str,
    scope: TokenScope,
    user_id: i64,
    now: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
) -> sqlx::Result<NewToken> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    // The prefix lets secret scanners find a token that was committed by mistake.
    let secret = format!("costwake_{}_{}", scope.as_str(), hex::encode(bytes));
    let shown = secret.chars().take("costwake__".len() + scope.as_str().len() + 6).collect::<String>();
    let sha256 = Sha256::digest(&secret);
    let api_token_id = sqlx::query_scalar!(
        "INSERT INTO api_token (token_sha256, token_prefix, name, scope, user_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING api_token_id",
        sha256.as_slice(),
        shown,
        name,
        scope as TokenScope,
        user_id,
        now,
        expires_at
    )
    .fetch_one(conn)
    .await?;
    Ok(NewToken { api_token_id, secret })
}

/// A token in a list.
#[derive(Debug, Clone)]
pub struct TokenRow {
    /// The key.
    pub api_token_id: i64,
    /// How it begins.
    pub token_prefix: String,
    /// What it is for, in its owner's words.
    pub name: String,
    /// What it may be used for.
    pub scope: TokenScope,
    /// Whose it is.
    pub login: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Whether it no longer counts because its owner's password, role or state changed since.
    pub is_void: bool,
}

impl TokenRow {
    /// Why it no longer works, or "active".
    pub fn state(&self, now: DateTime<Utc>) -> &'static str {
        match self {
            Self { revoked_at: Some(_), .. } => "revoked",
            Self { expires_at: Some(end), .. } if *end <= now => "expired",
            Self { is_void: true, .. } => "ended by a change of the account",
            _ => "active",
        }
    }
}

/// The tokens of a person, or of everyone; newest first.
pub async fn list(conn: &mut PgConnection, user_id: Option<i64>, limit: i64) -> sqlx::Result<Vec<TokenRow>> {
    sqlx::query_as!(
        TokenRow,
        r#"SELECT t.api_token_id, t.token_prefix, t.name, t.scope AS "scope: TokenScope", u.login, t.created_at,
                  t.expires_at, t.last_used_at, t.revoked_at,
                  (u.disabled_at IS NOT NULL OR t.created_at < u.credentials_valid_from) AS "is_void!"
           FROM api_token t JOIN user_account u USING (user_id)
           WHERE $1::bigint IS NULL OR t.user_id = $1
           ORDER BY t.api_token_id DESC LIMIT $2"#,
        user_id,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Ends a token, when it is this person's (or anyone's, when none is given). Says whose and which it was.
pub async fn revoke(
    conn: &mut PgConnection,
    api_token_id: i64,
    user_id: Option<i64>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<(String, String)>> {
    let row = sqlx::query!(
        "UPDATE api_token t SET revoked_at = coalesce(revoked_at, $3) FROM user_account u
         WHERE u.user_id = t.user_id AND t.api_token_id = $1 AND ($2::bigint IS NULL OR t.user_id = $2)
         RETURNING u.login, t.name",
        api_token_id,
        user_id,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.login, row.name)))
}
