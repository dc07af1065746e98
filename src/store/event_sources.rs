//! Senders of events and their secrets, which are sealed. Two are valid while one replaces the other.

use super::limits;
use super::seal::{Key, Place, SealError};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// How long the secret before is still valid after a change.
pub const GRACE_HOURS: i64 = 24;
/// What was posted to the API belongs to the source of this name.
pub const API_SOURCE: &str = "api";
/// Remembering this often that something came is enough, and keeps a flood from waiting for one row.
pub(super) const RECEIPT_SECONDS: i64 = 10;
const TABLE: &str = "event_source";
/// Senders that are kept at most, as many as [`list`] reads.
pub const SOURCES_MAX: i64 = 500;

/// A sender.
#[derive(Debug, Clone)]
pub struct EventSource {
    /// Its number.
    pub event_source_id: i64,
    /// Its name, part of the address it sends to.
    pub name: String,
    /// The sender: `github`, `gitlab` and so on; `api` for what is posted to the API.
    pub kind: String,
    /// The secret, sealed.
    pub secret_current_sealed: Option<Vec<u8>>,
    /// The one before, sealed.
    pub secret_previous_sealed: Option<Vec<u8>>,
    /// Until when the one before is valid.
    pub secret_previous_valid_until: Option<DateTime<Utc>>,
    /// When it signed first, of a sender that may show a plain token instead.
    pub signed_since: Option<DateTime<Utc>>,
    /// Somebody allows the plain token though it signs.
    pub plain_token_allowed: bool,
    /// Whether what it sends is taken.
    pub enabled: bool,
    /// When it was set up.
    pub created_at: DateTime<Utc>,
    /// When something well-signed came last.
    pub last_received_at: Option<DateTime<Utc>>,
    /// What was wrong with the last request, if it was not taken.
    pub last_error: Option<String>,
}

/// The secrets of a source as they are kept, the current one and the one before, where there are such.
pub type SealedSecrets<T> = [Option<T>; 2];

impl EventSource {
    /// The sealed secrets that are valid now.
    pub fn sealed_secrets(&self, now: DateTime<Utc>) -> SealedSecrets<&[u8]> {
        let previous = self.previous_valid_until(now).and(self.secret_previous_sealed.as_deref());
        [self.secret_current_sealed.as_deref(), previous]
    }

    /// The secrets that are valid now, the current one first.
    pub fn secrets(&self, key: &Key, now: DateTime<Utc>) -> Result<Vec<Vec<u8>>, SealError> {
        let [current, previous] = self.sealed_secrets(now);
        let open = |column, sealed| key.open(self.place(column), sealed);
        let current = current.map(|sealed| open("secret_current_sealed", sealed));
        let previous = previous.map(|sealed| open("secret_previous_sealed", sealed));
        current.into_iter().chain(previous).collect()
    }

    /// Whether a request that was taken for this one is taken for the other too: both on, with the same secrets. The
    /// statement of [`super::event_intake`] compares the same with what the database holds by then.
    pub fn takes_like(&self, other: &Self) -> bool {
        self.enabled == other.enabled
            && self.secret_current_sealed == other.secret_current_sealed
            && self.secret_previous_sealed == other.secret_previous_sealed
            && self.secret_previous_valid_until == other.secret_previous_valid_until
            && self.kind == other.kind
            && self.requires_signature() == other.requires_signature()
    }

    /// Whether the plain token is refused: it signed before, and who only knows the token may have read it on the way.
    pub fn requires_signature(&self) -> bool {
        self.signed_since.is_some() && !self.plain_token_allowed
    }

    /// Until when the secret before is valid, if it still is.
    pub fn previous_valid_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.secret_previous_valid_until.filter(|until| now < *until)
    }

    fn place<'a>(&self, column: &'a str) -> Place<'a> {
        Place { table: TABLE, row: self.event_source_id, column }
    }
}

/// A source by name.
pub async fn find(conn: &mut PgConnection, name: &str) -> sqlx::Result<Option<EventSource>> {
    sqlx::query_as!(EventSource, "SELECT * FROM event_source WHERE name = $1", name).fetch_optional(conn).await
}

/// A source by number.
pub async fn get(conn: &mut PgConnection, event_source_id: i64) -> sqlx::Result<Option<EventSource>> {
    sqlx::query_as!(EventSource, "SELECT * FROM event_source WHERE event_source_id = $1", event_source_id)
        .fetch_optional(conn)
        .await
}

/// A source by number; locked until the transaction ends.
pub async fn get_for_update(conn: &mut PgConnection, event_source_id: i64) -> sqlx::Result<Option<EventSource>> {
    sqlx::query_as!(EventSource, "SELECT * FROM event_source WHERE event_source_id = $1 FOR UPDATE", event_source_id)
        .fetch_optional(conn)
        .await
}

/// The name of a source; rules look at it.
pub async fn name(conn: &mut PgConnection, event_source_id: i64) -> sqlx::Result<String> {
    sqlx::query_scalar!("SELECT name FROM event_source WHERE event_source_id = $1", event_source_id)
        .fetch_one(conn)
        .await
}

/// The kind of a source.
pub async fn kind(conn: &mut PgConnection, event_source_id: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT kind FROM event_source WHERE event_source_id = $1", event_source_id)
        .fetch_optional(conn)
        .await
}

/// All sources, by name.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<EventSource>> {
    sqlx::query_as!(EventSource, "SELECT * FROM event_source ORDER BY name LIMIT $1", SOURCES_MAX).fetch_all(conn).await
}

/// Adds a source with its secret. `None` where the name is taken.
pub async fn create(
    conn: &mut PgConnection,
    key: &Key,
    name: &str,
    kind: &str,
    secret: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM event_source"#).fetch_one(&mut *conn).await?;
    limits::room(count, SOURCES_MAX, "senders of events")?;
    let event_source_id = sqlx::query_scalar!(
        "INSERT INTO event_source (name, kind, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (name) DO NOTHING RETURNING event_source_id",
        name,
        kind,
        now
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(event_source_id) = event_source_id else { return Ok(None) };
    // The row's number is part of what is sealed, so that it is known only now.
    let sealed =
        key.seal(Place { table: TABLE, row: event_source_id, column: "secret_current_sealed" }, secret.as_bytes());
    sqlx::query!(
        "UPDATE event_source SET secret_current_sealed = $2 WHERE event_source_id = $1",
        event_source_id,
        sealed
    )
    .execute(conn)
    .await?;
    Ok(Some(event_source_id))
}

/// Gives a source another secret; the present one stays valid for [`GRACE_HOURS`]. One that does not open any
/// more (the key file was lost) is dropped.
pub async fn rotate(
    conn: &mut PgConnection,
    key: &Key,
    source: &EventSource,
    secret: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let present = source.secret_current_sealed.as_deref();
    let present = present.and_then(|sealed| key.open(source.place("secret_current_sealed"), sealed).ok());
    let previous = present.map(|secret| key.seal(source.place("secret_previous_sealed"), &secret));
    let valid_until = previous.as_ref().map(|_| now + TimeDelta::hours(GRACE_HOURS));
    let current = key.seal(source.place("secret_current_sealed"), secret.as_bytes());
    sqlx::query!(
        "UPDATE event_source SET secret_current_sealed = $2, secret_previous_sealed = $3,
             secret_previous_valid_until = $4 WHERE event_source_id = $1",
        source.event_source_id,
        current,
        previous,
        valid_until
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Ends the secret before the present one at once: it may be in wrong hands.
pub async fn end_previous(conn: &mut PgConnection, event_source_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE event_source SET secret_previous_sealed = NULL, secret_previous_valid_until = NULL
         WHERE event_source_id = $1",
        event_source_id
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Lets a source that signs show the plain token too, or no longer.
pub async fn allow_plain_token(conn: &mut PgConnection, event_source_id: i64, is_allowed: bool) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE event_source SET plain_token_allowed = $2 WHERE event_source_id = $1",
        event_source_id,
        is_allowed
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Takes what it sends, or no longer. False where there is no such source.
pub async fn set_enabled(conn: &mut PgConnection, event_source_id: i64, enabled: bool) -> sqlx::Result<bool> {
    let updated =
        sqlx::query!("UPDATE event_source SET enabled = $2 WHERE event_source_id = $1", event_source_id, enabled)
            .execute(conn)
            .await?;
    Ok(updated.rows_affected() == 1)
}

/// Remembers that something came from these, where that is due: several processes may remember it at once.
pub async fn received(conn: &mut PgConnection, ids: &[i64], now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE event_source SET last_received_at = $2, last_error = NULL WHERE event_source_id = ANY($1)
           AND (last_received_at IS NULL OR last_received_at < $3 OR last_error IS NOT NULL)",
        ids,
        now,
        now - TimeDelta::seconds(RECEIPT_SECONDS),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Remembers why a request was not taken. Anyone can cause one, so the same sentence is written once.
pub async fn refused(conn: &mut PgConnection, event_source_id: i64, error: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE event_source SET last_error = $2 WHERE event_source_id = $1 AND last_error IS DISTINCT FROM $2",
        event_source_id,
        error
    )
    .execute(conn)
    .await
    .map(drop)
}
