//! Advisory locks: what must not happen at the same time. All are held to the end of the transaction.
//!
//! Taken in this order where more than one is needed: ledger, then mapping, then keys, then events.

use sqlx::PgConnection;
use std::time::Duration;

/// Whoever changes which figures are visible: publish, accept, revert, withdraw, remap, rebuild.
pub const LEDGER_LOCK: i64 = 0x636f_7374_0001;
/// Shared by whoever maps new deployments, alone for whoever changes the rules or the catalogue's names.
pub const MAPPING_LOCK: i64 = 0x636f_7374_0002;
/// Whoever writes down what senders told: each deployment's neighbors in time are judged with it.
pub const EVENTS_LOCK: i64 = 0x636f_7374_0003;

/// Shared by loads from a look at what rules keep apart to the commit of what was keyed by it (each chunk of charge
/// groups, and the load as a whole), alone for whoever changes that.
pub const KEYS_LOCK: i64 = 0x636f_7374_0004;

/// A wait for a lock in this transaction fails after `at_most`; [`is_busy`] tells.
pub async fn wait_at_most(conn: &mut PgConnection, at_most: Duration) -> sqlx::Result<()> {
    sqlx::query!("SELECT set_config('lock_timeout', $1, true)", format!("{}ms", at_most.as_millis()))
        .fetch_one(conn)
        .await
        .map(drop)
}

/// Whether a statement failed because others stood in the way: it waited too long (55P03 for a lock, 57014 in all), or
/// the database took the transaction back (40001 what cannot be put in an order, 40P01 a deadlock). Nothing was changed.
pub fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "55P03" | "57014" | "40001" | "40P01"))
}

/// Waits until nobody else stores something of the deployment with this id.
pub async fn lock_deployment_id(conn: &mut PgConnection, external_id: &str) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(1, hashtext($1))", external_id).execute(conn).await.map(drop)
}

/// Waits until nobody else reads one of two exports of a bill. Held until the connection is closed.
pub async fn lock_azure_exports(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_lock(4, 0)").execute(conn).await.map(drop)
}

/// Waits until nobody else changes what is visible.
pub async fn lock_ledger(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LEDGER_LOCK).execute(conn).await.map(drop)
}

/// Waits until nobody maps by the present rules.
pub async fn lock_mapping(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", MAPPING_LOCK).execute(conn).await.map(drop)
}

/// Waits until nobody else learns from the history of this source.
pub async fn lock_learning(conn: &mut PgConnection, source_id: i64) -> sqlx::Result<()> {
    let source = source_id as i32;
    sqlx::query!("SELECT pg_advisory_xact_lock(2, $1)", source).execute(conn).await.map(drop)
}

/// Waits until nobody else counts what has grown since the last values of series.
pub async fn lock_usage_series(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(3, 0)").execute(conn).await.map(drop)
}

/// Waits until nobody else takes in how a cluster was used.
pub async fn lock_cluster_reports(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock(5, 0)").execute(conn).await.map(drop)
}

/// Waits until nobody changes the rules.
pub async fn share_mapping(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock_shared($1)", MAPPING_LOCK).execute(conn).await.map(drop)
}

/// Waits until no load is about to commit what it keyed by the present rules.
pub async fn lock_keys(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", KEYS_LOCK).execute(conn).await.map(drop)
}

/// Waits until nobody changes what rules keep apart.
pub async fn share_keys(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock_shared($1)", KEYS_LOCK).execute(conn).await.map(drop)
}

/// Waits until nobody else writes down events.
pub async fn lock_events(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", EVENTS_LOCK).execute(conn).await.map(drop)
}

/// What the holder of the mapping lock tells of its progress, while there is one.
pub async fn mapping_progress(conn: &mut PgConnection) -> sqlx::Result<Option<String>> {
    // A two-part key in pg_locks: classid holds the upper, objid the lower 32 bits.
    sqlx::query_scalar!(
        r#"SELECT a.application_name AS "progress!"
           FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
           WHERE l.locktype = 'advisory' AND l.mode = 'ExclusiveLock' AND l.granted AND l.objsubid = 1
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND (l.classid::bigint << 32) | l.objid::bigint = $1
           LIMIT 1"#,
        MAPPING_LOCK
    )
    .fetch_optional(conn)
    .await
}

/// Tells how far a change of the mapping is; the text goes away with the transaction.
pub async fn tell_progress(conn: &mut PgConnection, progress: &str) -> sqlx::Result<()> {
    sqlx::query!("SELECT set_config('application_name', $1, true)", progress).fetch_one(conn).await.map(drop)
}
