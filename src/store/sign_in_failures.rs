//! Sign-ins that failed, for throttling. A try is entered as failed before the password is looked at and taken
//! out again when it was right, so that a thousand tries at once are not all "the first".

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// More rows than this are never kept.
const ROWS_MAX: i64 = 100_000;

/// How often it failed lately, and when last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Failures {
    /// How often.
    pub count: i64,
    /// When last.
    pub last: Option<DateTime<Utc>>,
}

/// What is known before a try.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// This account from this address.
    pub pair: Failures,
    /// This address, any account.
    pub address: Failures,
    /// This account, any address.
    pub account: Failures,
    /// Whether this person has signed in from this address before.
    pub known_address: bool,
}

/// Reads the history; other tries on this account or from this address wait until the transaction ends. Failures
/// know an account by its key, sign-ins by its login. An IPv6 `address` is a network, and having signed in from
/// anywhere in it counts.
pub async fn history(
    conn: &mut PgConnection,
    login: &str,
    account_key: &str,
    address: &str,
    now: DateTime<Utc>,
    window: TimeDelta,
) -> sqlx::Result<History> {
    // Always the address first: no two tries can wait for each other.
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('sign-in from ' || $1))", address).execute(&mut *conn).await?;
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('sign-in of ' || $1))", account_key)
        .execute(&mut *conn)
        .await?;
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE account_key = $1 AND client_address = $2) AS "pair!",
                  max(failed_at) FILTER (WHERE account_key = $1 AND client_address = $2) AS pair_last,
                  count(*) FILTER (WHERE client_address = $2) AS "address!",
                  max(failed_at) FILTER (WHERE client_address = $2) AS address_last,
                  count(*) FILTER (WHERE account_key = $1) AS "account!",
                  max(failed_at) FILTER (WHERE account_key = $1) AS account_last,
                  EXISTS (SELECT FROM audit_log
                          WHERE action = 'sign_in' AND actor = $4
                            AND CASE WHEN client_address ~ '^[0-9a-f.:]+$'
                                THEN client_address::inet <<= $2::text::inet ELSE false END) AS "known!"
           FROM sign_in_failure WHERE (account_key = $1 OR client_address = $2) AND failed_at > $3"#,
        account_key,
        address,
        now - window,
        login
    )
    .fetch_one(conn)
    .await?;
    Ok(History {
        pair: Failures { count: row.pair, last: row.pair_last },
        address: Failures { count: row.address, last: row.address_last },
        account: Failures { count: row.account, last: row.account_last },
        known_address: row.known,
    })
}

/// The same for a browser in which this account has signed in before: what others try, at its address too, is not its
/// doing. `browser` stands for it among the addresses.
pub async fn history_of_browser(
    conn: &mut PgConnection,
    account_key: &str,
    browser: &str,
    now: DateTime<Utc>,
    window: TimeDelta,
) -> sqlx::Result<History> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('sign-in of ' || $1))", account_key)
        .execute(&mut *conn)
        .await?;
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!", max(failed_at) AS last FROM sign_in_failure
           WHERE account_key = $1 AND client_address = $2 AND failed_at > $3"#,
        account_key,
        browser,
        now - window
    )
    .fetch_one(conn)
    .await?;
    let pair = Failures { count: row.count, last: row.last };
    Ok(History { pair, address: Failures::default(), account: Failures::default(), known_address: true })
}

/// Enters a try as failed. Old rows, and all beyond a bound, go.
pub async fn insert(conn: &mut PgConnection, account_key: &str, address: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    let id = sqlx::query_scalar!(
        "INSERT INTO sign_in_failure (account_key, client_address, failed_at) VALUES ($1, $2, $3)
         RETURNING sign_in_failure_id",
        account_key,
        address,
        now
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM sign_in_failure
         WHERE sign_in_failure_id <= $1 OR (account_key = $2 AND failed_at < $4) OR (client_address = $3 AND failed_at < $4)",
        id - ROWS_MAX,
        account_key,
        address,
        now - TimeDelta::days(1)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The password was right: what failed before on this account from this address no longer counts.
pub async fn forget(conn: &mut PgConnection, account_key: &str, address: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM sign_in_failure WHERE account_key = $1 AND client_address = $2", account_key, address)
        .execute(conn)
        .await?;
    Ok(())
}
