//! How sources are set up. Credentials are sealed; nothing here gives them out but [`SourceSetting::credentials`].

use super::limits;
use super::seal::{Key, Place as SealedPlace, SealError};
use crate::sources::kind::{Kind, Restatement};
use crate::sources::place::{Credentials, Place};
use crate::sources::setting::Setting;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use std::fmt;

const TABLE: &str = "source_setting";
const COLUMN: &str = "credentials_sealed";
/// Sources that are set up at most, as many as [`list`] reads.
pub const SOURCES_MAX: i64 = 500;

/// A source that was set up.
#[derive(Clone)]
pub struct SourceSetting {
    /// The source.
    pub source_id: i64,
    /// How it is set up.
    pub setting: Setting,
    /// When it is read next by itself.
    pub next_read_at: Option<DateTime<Utc>>,
    /// Whether it waits until someone lets it go on.
    pub is_paused: bool,
    /// When it was set up.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
    credentials_sealed: Option<Vec<u8>>,
}

impl fmt::Debug for SourceSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSetting")
            .field("source_id", &self.source_id)
            .field("setting", &self.setting)
            .finish_non_exhaustive()
    }
}

impl SourceSetting {
    /// Whether a program hands files in.
    pub fn is_push(&self) -> bool {
        self.setting.kind == Kind::Push
    }

    /// Whether credentials are kept.
    pub fn has_credentials(&self) -> bool {
        self.credentials_sealed.is_some()
    }

    /// The credentials; empty ones where none are kept.
    pub fn credentials(&self, key: &Key) -> Result<Credentials, SealError> {
        let Some(sealed) = &self.credentials_sealed else { return Ok(Credentials::default()) };
        let opened = key.open(sealed_place(self.source_id), sealed)?;
        serde_json::from_slice(&opened).map_err(|_| SealError::Broken)
    }
}

fn sealed_place(source_id: i64) -> SealedPlace<'static> {
    SealedPlace { table: TABLE, row: source_id, column: COLUMN }
}

struct Row {
    source_id: i64,
    name: String,
    kind: String,
    layout: String,
    restatement: String,
    format: Option<String>,
    place: serde_json::Value,
    credentials_sealed: Option<Vec<u8>>,
    schedule: Option<String>,
    next_read_at: Option<DateTime<Utc>>,
    expected_every_hours: Option<i32>,
    late_bills: String,
    is_paused: bool,
    created_at: DateTime<Utc>,
    created_by: String,
}

impl TryFrom<Row> for SourceSetting {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let decode = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
        let place: Place = serde_json::from_value(row.place).map_err(|error| decode(error.into()))?;
        let schedule = row.schedule.map(|text| text.parse()).transpose().map_err(|text: &str| decode(text.into()))?;
        let setting = Setting {
            name: row.name,
            kind: row.kind.parse().map_err(|error| decode(Box::new(error)))?,
            layout: row.layout.parse().map_err(|error| decode(Box::new(error)))?,
            restatement: row.restatement.parse().map_err(|error| decode(Box::new(error)))?,
            format: row.format,
            place,
            schedule,
            expected_every_hours: row.expected_every_hours,
            late_bills: row.late_bills.parse().map_err(|error| decode(Box::new(error)))?,
        };
        Ok(Self {
            source_id: row.source_id,
            setting,
            next_read_at: row.next_read_at,
            is_paused: row.is_paused,
            created_at: row.created_at,
            created_by: row.created_by,
            credentials_sealed: row.credentials_sealed,
        })
    }
}

/// The set-up of a source; `None` where files are only handed in.
pub async fn get(db: impl PgExecutor<'_>, source_id: i64) -> sqlx::Result<Option<SourceSetting>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT s.source_id, s.name, kind, layout, restatement, format, place, credentials_sealed, schedule,
            next_read_at, expected_every_hours, late_bills, is_paused, o.created_at, created_by
         FROM source_setting o JOIN source s USING (source_id) WHERE s.source_id = $1",
        source_id
    )
    .fetch_optional(db)
    .await?;
    row.map(SourceSetting::try_from).transpose()
}

/// The same by name.
pub async fn find(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<SourceSetting>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT s.source_id, s.name, kind, layout, restatement, format, place, credentials_sealed, schedule,
            next_read_at, expected_every_hours, late_bills, is_paused, o.created_at, created_by
         FROM source_setting o JOIN source s USING (source_id) WHERE s.name = $1",
        name
    )
    .fetch_optional(db)
    .await?;
    row.map(SourceSetting::try_from).transpose()
}

/// All that are set up, by name.
pub async fn list(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<SourceSetting>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT s.source_id, s.name, kind, layout, restatement, format, place, credentials_sealed, schedule,
            next_read_at, expected_every_hours, late_bills, is_paused, o.created_at, created_by
         FROM source_setting o JOIN source s USING (source_id) ORDER BY s.name LIMIT $1",
        SOURCES_MAX
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(SourceSetting::try_from).collect()
}

/// Whether anything of a source counts or waits, so that what its files mean must stay.
pub async fn has_bills(db: impl PgExecutor<'_>, source_id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM generation WHERE source_id = $1 AND state IN ('loading', 'ready', 'current'))
            AS "exists!""#,
        source_id
    )
    .fetch_one(db)
    .await
}

/// Sets a source up, and adds it where its name is new. `None` where it is set up already.
pub async fn insert(
    conn: &mut PgConnection,
    setting: &Setting,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM source_setting"#).fetch_one(&mut *conn).await?;
    limits::room(count, SOURCES_MAX, "sources")?;
    sqlx::query!("INSERT INTO source (name) VALUES ($1) ON CONFLICT (name) DO NOTHING", setting.name)
        .execute(&mut *conn)
        .await?;
    // Where files add up, one belongs here only if it says so or is read from here.
    let source_id = sqlx::query_scalar!(
        "UPDATE source SET is_named_by_file = is_named_by_file AND $2 WHERE name = $1 RETURNING source_id",
        setting.name,
        setting.restatement != Restatement::AppendByObject,
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query_scalar!(
        "INSERT INTO source_setting (source_id, kind, layout, restatement, format, place, schedule, next_read_at,
            expected_every_hours, created_at, created_by, changed_at, late_bills)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $10, $12)
         ON CONFLICT (source_id) DO NOTHING RETURNING source_id",
        source_id,
        setting.kind.key(),
        setting.layout.key(),
        setting.restatement.key(),
        setting.format,
        serde_json::to_value(&setting.place).map_err(|error| sqlx::Error::Encode(error.into()))?,
        setting.schedule.map(|schedule| schedule.to_string()),
        // The first look comes at once.
        setting.schedule.map(|_| now),
        setting.expected_every_hours,
        now,
        by,
        setting.late_bills.key(),
    )
    .fetch_optional(conn)
    .await
}

/// Changes a set-up. Its credentials stay as they are.
pub async fn update(
    conn: &mut PgConnection,
    source_id: i64,
    setting: &Setting,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE source_setting SET kind = $2, layout = $3, restatement = $4, format = $5, place = $6,
            next_read_at = CASE WHEN schedule IS NOT DISTINCT FROM $7 THEN next_read_at ELSE $8 END, schedule = $7,
            expected_every_hours = $9, changed_at = $10, late_bills = $11
         WHERE source_id = $1",
        source_id,
        setting.kind.key(),
        setting.layout.key(),
        setting.restatement.key(),
        setting.format,
        serde_json::to_value(&setting.place).map_err(|error| sqlx::Error::Encode(error.into()))?,
        setting.schedule.map(|schedule| schedule.to_string()),
        setting.schedule.map(|_| now),
        setting.expected_every_hours,
        now,
        setting.late_bills.key(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Seals and keeps credentials; empty ones are forgotten.
pub async fn set_credentials(
    conn: &mut PgConnection,
    key: &Key,
    source_id: i64,
    credentials: &Credentials,
) -> sqlx::Result<()> {
    let text = serde_json::to_vec(credentials).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let sealed = (!credentials.is_empty()).then(|| key.seal(sealed_place(source_id), &text));
    sqlx::query!("UPDATE source_setting SET credentials_sealed = $2 WHERE source_id = $1", source_id, sealed)
        .execute(conn)
        .await?;
    Ok(())
}

/// Lets a source wait, or go on: then it is read at once where it has a schedule. False where nothing changed.
pub async fn set_paused(
    conn: &mut PgConnection,
    source_id: i64,
    is_paused: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        "UPDATE source_setting SET is_paused = $2, next_read_at = CASE WHEN schedule IS NOT NULL THEN $3::timestamptz END
         WHERE source_id = $1 AND is_paused <> $2",
        source_id,
        is_paused,
        now,
    )
    .execute(conn)
    .await?;
    Ok(updated.rows_affected() == 1)
}

/// Sources that are due, locked until the transaction ends; those that another process looks at are left out.
pub async fn take_due(conn: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<Vec<(i64, String)>> {
    let rows = sqlx::query!(
        r#"SELECT source_id, schedule AS "schedule!" FROM source_setting
         WHERE NOT is_paused AND schedule IS NOT NULL AND next_read_at <= $1
         ORDER BY next_read_at LIMIT 50 FOR UPDATE SKIP LOCKED"#,
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.source_id, row.schedule)).collect())
}

/// Says when a source is read next.
pub async fn set_next_read(
    conn: &mut PgConnection,
    source_id: i64,
    next_read_at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!("UPDATE source_setting SET next_read_at = $2 WHERE source_id = $1", source_id, next_read_at)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets the set-up of a source, its credentials and what was seen at its place. Its bills and receipts stay. False
/// where there was none.
pub async fn delete(conn: &mut PgConnection, source_id: i64) -> sqlx::Result<bool> {
    let deleted =
        sqlx::query!("DELETE FROM source_setting WHERE source_id = $1", source_id).execute(&mut *conn).await?;
    if deleted.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!("DELETE FROM source_find WHERE source_id = $1", source_id).execute(&mut *conn).await?;
    sqlx::query!("DELETE FROM source_read WHERE source_id = $1", source_id).execute(conn).await?;
    Ok(true)
}

/// The deliveries of a source of which something counts or that wait for a decision, newest first.
pub async fn standing_deliveries(db: impl PgExecutor<'_>, source_id: i64) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "SELECT delivery_id FROM delivery d WHERE source_id = $1 AND (state IN ('published', 'quarantined')
            OR EXISTS (SELECT FROM generation g WHERE g.delivery_id = d.delivery_id AND g.state = 'current'))
         ORDER BY delivery_id DESC",
        source_id
    )
    .fetch_all(db)
    .await
}
