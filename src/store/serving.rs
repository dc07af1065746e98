//! What a running server holds in its database, so that others know of it: a restore would replace the data under it,
//! and a server beside it with another data directory would look in vain for uploads that wait there, and for the key.
//!
//! The locks are the session's: they end with the connection that holds them.

use sqlx::PgConnection;

/// Shared by every server, alone for a restore: "serving" in ASCII.
const SERVING_LOCK: i64 = 0x0073_6572_7669_6e67;
/// The first half of the lock by which a server tells which data directory it has; the second is the directory's number.
const DATA_DIR_LOCKS: i32 = 6;

/// A server on the same database.
#[derive(Debug)]
pub struct Server {
    /// Its connection, as the database names it.
    pub pid: i32,
    /// Where it connects from; empty where that is a socket of the database's machine, or not told to this role.
    pub address: String,
}

/// Keeps servers out for as long as the connection lives. False where one runs.
pub async fn keep_out(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "is_free!""#, SERVING_LOCK).fetch_one(conn).await
}

/// Tells that a server with this data directory runs, for as long as the connection lives. False while a restore keeps
/// servers out.
pub async fn tell(conn: &mut PgConnection, data_dir_number: i32) -> sqlx::Result<bool> {
    let shared = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock_shared($1) AS "is_free!""#, SERVING_LOCK);
    if !shared.fetch_one(&mut *conn).await? {
        return Ok(false);
    }
    sqlx::query!("SELECT pg_advisory_lock_shared($1::int, $2::int)", DATA_DIR_LOCKS, data_dir_number)
        .execute(conn)
        .await?;
    Ok(true)
}

/// A server whose data directory is not this one; of a number that no directory has, any server.
pub async fn other(conn: &mut PgConnection, data_dir_number: i32) -> sqlx::Result<Option<Server>> {
    // A lock of two numbers in pg_locks: classid holds the first, objid the second.
    sqlx::query_as!(
        Server,
        r#"SELECT l.pid AS "pid!", coalesce(host(a.client_addr), '') AS "address!"
           FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
           WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND l.classid::bigint = $1::int AND l.objid::bigint <> $2::int
           ORDER BY l.pid LIMIT 1"#,
        DATA_DIR_LOCKS,
        data_dir_number
    )
    .fetch_optional(conn)
    .await
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address.as_str() {
            "" => write!(f, "connection {}", self.pid),
            address => write!(f, "connection {} from {address}", self.pid),
        }
    }
}
