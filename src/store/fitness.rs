//! What a server that others run has to give: asked before anything is stored there.

use sqlx::PgConnection;

/// Connections that a server of Costwake holds at most: those of its pools, two each of two imports at a time, and the
/// one by which others know that it runs.
pub const SERVER_CONNECTIONS: i32 = 34;
/// Below this an import waits for connections that it holds itself.
pub const CONNECTIONS_MIN: i32 = 6;

/// How the database writes characters down.
pub async fn encoding(conn: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar!(r#"SELECT current_setting('server_encoding') AS "encoding!""#).fetch_one(conn).await
}

/// How many connections this role may have to this database at once.
pub async fn connection_limit(conn: &mut PgConnection) -> sqlx::Result<i32> {
    // Limits of a role and of a database are not for superusers, and -1 is none.
    sqlx::query_scalar!(
        r#"SELECT least(
             current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
             CASE WHEN NOT r.rolsuper THEN nullif(r.rolconnlimit, -1) END,
             CASE WHEN NOT r.rolsuper THEN nullif(d.datconnlimit, -1) END) AS "limit!"
           FROM pg_roles r, pg_database d
           WHERE r.rolname = session_user AND d.datname = current_database()"#
    )
    .fetch_one(conn)
    .await
}
