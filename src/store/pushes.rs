//! Deliveries that programs hand in part by part. A part is on disk before its row is here.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use std::path::PathBuf;

/// Days after which a delivery that nobody completed is thrown away.
pub const OPEN_KEPT_DAYS: i32 = 7;

/// A delivery in the making, or one that was committed.
#[derive(Debug, Clone)]
pub struct Push {
    /// Its number.
    pub push_delivery_id: i64,
    /// What its sender calls it.
    pub name: String,
    /// When its first part came.
    pub created_at: DateTime<Utc>,
    /// When it was committed.
    pub committed_at: Option<DateTime<Utc>>,
    /// The hash of what the commit said.
    pub committed_sha256: Option<String>,
    /// The delivery that it became.
    pub delivery_id: Option<i64>,
    /// What became of that.
    pub state: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// A part that is stored.
#[derive(Debug, Clone)]
pub struct Part {
    /// From 1.
    pub number: i32,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Its size.
    pub file_bytes: i64,
    /// Its file.
    pub path: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
}

/// The push delivery of this name.
pub async fn find(db: impl PgExecutor<'_>, source_id: i64, name: &str) -> sqlx::Result<Option<Push>> {
    sqlx::query_as!(
        Push,
        r#"SELECT push_delivery_id, name, created_at, committed_at, committed_sha256, p.delivery_id, d.state AS "state?",
            d.reason
         FROM push_delivery p LEFT JOIN delivery d USING (delivery_id) WHERE p.source_id = $1 AND name = $2"#,
        source_id,
        name
    )
    .fetch_optional(db)
    .await
}

/// Locks the push delivery of this name until the transaction ends; adds it where it is new.
pub async fn open(
    conn: &mut PgConnection,
    source_id: i64,
    name: &str,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Push>> {
    sqlx::query!(
        "INSERT INTO push_delivery (source_id, name, created_at, created_by, changed_at) VALUES ($1, $2, $3, $4, $3)
         ON CONFLICT (source_id, name) DO NOTHING",
        source_id,
        name,
        now,
        by,
    )
    .execute(&mut *conn)
    .await?;
    lock(&mut *conn, source_id, name).await?;
    find(conn, source_id, name).await
}

/// Locks the push delivery of this name until the transaction ends.
pub async fn lock(conn: &mut PgConnection, source_id: i64, name: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT push_delivery_id FROM push_delivery WHERE source_id = $1 AND name = $2 FOR UPDATE",
        source_id,
        name
    )
    .fetch_optional(conn)
    .await?;
    Ok(())
}

/// Deliveries of a source that are not committed.
pub async fn open_count(db: impl PgExecutor<'_>, source_id: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM push_delivery WHERE source_id = $1 AND committed_at IS NULL"#,
        source_id
    )
    .fetch_one(db)
    .await
}

/// Its parts, in order.
pub async fn parts(db: impl PgExecutor<'_>, push_delivery_id: i64) -> sqlx::Result<Vec<Part>> {
    sqlx::query_as!(
        Part,
        "SELECT number, sha256, file_bytes, path, received_at FROM push_part WHERE push_delivery_id = $1 ORDER BY number",
        push_delivery_id
    )
    .fetch_all(db)
    .await
}

/// Keeps a part, in the place of the one with its number.
pub async fn keep_part(conn: &mut PgConnection, push_delivery_id: i64, part: &Part) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO push_part (push_delivery_id, number, sha256, file_bytes, path, received_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (push_delivery_id, number) DO UPDATE SET sha256 = excluded.sha256, path = excluded.path,
            file_bytes = excluded.file_bytes, received_at = excluded.received_at",
        push_delivery_id,
        part.number,
        part.sha256,
        part.file_bytes,
        part.path,
        part.received_at,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE push_delivery SET changed_at = $2 WHERE push_delivery_id = $1",
        push_delivery_id,
        part.received_at
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A delivery is whole: it is the one that a job reads.
pub async fn commit(
    conn: &mut PgConnection,
    push_delivery_id: i64,
    sha256: &str,
    delivery_id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE push_delivery SET committed_at = $2, committed_sha256 = $3, delivery_id = $4, changed_at = $2
         WHERE push_delivery_id = $1",
        push_delivery_id,
        now,
        sha256,
        delivery_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Throws a delivery away that is not committed; gives the files of its parts.
pub async fn discard(conn: &mut PgConnection, push_delivery_id: i64) -> sqlx::Result<Vec<PathBuf>> {
    let paths = sqlx::query_scalar!("SELECT path FROM push_part WHERE push_delivery_id = $1", push_delivery_id)
        .fetch_all(&mut *conn)
        .await?;
    sqlx::query!("DELETE FROM push_delivery WHERE push_delivery_id = $1 AND committed_at IS NULL", push_delivery_id)
        .execute(conn)
        .await?;
    Ok(paths.into_iter().map(PathBuf::from).collect())
}

/// Throws away what nobody completed for days; gives the files.
pub async fn expire(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<PathBuf>> {
    let old = sqlx::query_scalar!(
        "SELECT push_delivery_id FROM push_delivery
         WHERE committed_at IS NULL AND changed_at < $1::timestamptz - make_interval(days => $2)
         FOR UPDATE SKIP LOCKED",
        now,
        OPEN_KEPT_DAYS
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut paths = Vec::new();
    for push_delivery_id in old {
        paths.extend(discard(&mut *conn, push_delivery_id).await?);
    }
    Ok(paths)
}

/// The files of parts that are not committed: nobody may clear them away.
pub async fn wanted(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<PathBuf>> {
    let paths = sqlx::query_scalar!(
        "SELECT path FROM push_part JOIN push_delivery USING (push_delivery_id) WHERE committed_at IS NULL"
    )
    .fetch_all(db)
    .await?;
    Ok(paths.into_iter().map(PathBuf::from).collect())
}
