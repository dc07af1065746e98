//! The contents of scopes: one generation a delivery and scope, of which at most one is current.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgExecutor};

/// Generations of one delivery at most: what its range of ids and its partition have room for.
pub const GENERATIONS_PER_DELIVERY_MAX: i64 = 4096;

/// First id of the range that belongs to a delivery.
pub fn first_id(delivery_id: i64) -> i64 {
    delivery_id * GENERATIONS_PER_DELIVERY_MAX
}

/// A generation that was loaded aside.
#[derive(Debug)]
pub struct NewGeneration<'a> {
    /// `delivery_id * 4096 + ordinal`.
    pub generation_id: i64,
    /// The file that brought it.
    pub delivery_id: i64,
    /// Its source.
    pub source_id: i64,
    /// `BillingAccountId`.
    pub billing_account_id: &'a str,
    /// The provider's label.
    pub billing_period_start: NaiveDate,
    /// Exclusive.
    pub billing_period_end: NaiveDate,
    /// Its lines.
    pub charge_count: i64,
    /// Day of the earliest line; `None` where there are no lines.
    pub first_charge_date: Option<NaiveDate>,
    /// Day of the latest line.
    pub last_charge_date: Option<NaiveDate>,
    /// `ProviderName` and `InvoiceIssuerName` of its lines, in lower case.
    pub biller_names: &'a [String],
    /// The object that it stands for where the source appends, else its export.
    pub append_object: &'a str,
    /// Whether some of its usage is charged by the hour.
    pub has_hourly_charges: bool,
}

/// Adds a generation that is loaded completely and counted nowhere yet.
pub async fn insert_ready(db: impl PgExecutor<'_>, new: &NewGeneration<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO generation
            (generation_id, delivery_id, source_id, billing_account_id, billing_period_start, billing_period_end,
             state, charge_count, first_charge_date, last_charge_date, biller_names, append_object, has_hourly_charges)
         VALUES ($1, $2, $3, $4, $5, $6, 'ready', $7, $8, $9, $10, $11, $12)",
        new.generation_id,
        new.delivery_id,
        new.source_id,
        new.billing_account_id,
        new.billing_period_start,
        new.billing_period_end,
        new.charge_count,
        new.first_charge_date,
        new.last_charge_date,
        new.biller_names,
        new.append_object,
        new.has_hourly_charges,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// One generation of a delivery beside the current one of its scope.
#[derive(Debug, Clone)]
pub struct Scoped {
    /// This generation.
    pub generation_id: i64,
    /// `ready`, `current`, `superseded` or `withdrawn`.
    pub state: String,
    /// `BillingAccountId`.
    pub billing_account_id: String,
    /// The provider's label.
    pub billing_period_start: NaiveDate,
    /// Whether its lines are still there.
    pub has_charges: bool,
    /// What its scope shows now.
    pub current_generation_id: Option<i64>,
    /// The file that the current one came with.
    pub current_delivery_id: Option<i64>,
    /// The file that this one is to be compared with: of two joined exports that of the same side, else the same.
    pub compared_delivery_id: Option<i64>,
    /// That file's version.
    pub current_version_at: Option<DateTime<Utc>>,
    /// That file's bytes.
    pub current_sha256: Option<String>,
    /// Whether the current one holds the other one of two exports only: nothing there is to be compared.
    pub is_of_other_side: bool,
}

/// The generations of a delivery.
pub async fn of_delivery(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<Vec<Scoped>> {
    sqlx::query_as!(
        Scoped,
        r#"SELECT g.generation_id, g.state, g.billing_account_id, g.billing_period_start, g.has_charges,
            c.generation_id AS "current_generation_id?", c.delivery_id AS "current_delivery_id?",
            d.delivery_id AS "compared_delivery_id?",
            coalesce(e.version_at, c.version_at, d.version_at) AS "current_version_at?",
            d.content_sha256 AS current_sha256,
            (own.side IS NOT NULL AND e.side IS NULL
             AND EXISTS (SELECT FROM joined_export o WHERE o.generation_id = c.generation_id)) AS "is_of_other_side!"
         FROM generation g
         LEFT JOIN generation c ON c.source_id = g.source_id AND c.billing_account_id = g.billing_account_id
             AND c.billing_period_start = g.billing_period_start AND c.append_object = g.append_object
             AND c.state = 'current'
         LEFT JOIN LATERAL (
             SELECT min(o.side) AS side FROM joined_export o
             WHERE o.generation_id = g.generation_id AND o.delivery_id = g.delivery_id HAVING count(*) = 1
         ) own ON true
         LEFT JOIN joined_export e ON e.generation_id = c.generation_id AND e.side = own.side
         LEFT JOIN delivery d ON d.delivery_id = coalesce(e.delivery_id, c.delivery_id)
         WHERE g.delivery_id = $1
         ORDER BY g.generation_id"#,
        delivery_id,
    )
    .fetch_all(db)
    .await
}

impl Scoped {
    /// What its scope shows now, where it shows anything that this one takes the place of.
    pub fn current(&self) -> Option<Current> {
        if self.is_of_other_side {
            return None;
        }
        Some(Current {
            generation_id: self.current_generation_id?,
            delivery_id: self.compared_delivery_id?,
            version_at: self.current_version_at?,
            content_sha256: self.current_sha256.clone(),
        })
    }
}

/// The current generation of one scope.
#[derive(Debug, Clone)]
pub struct Current {
    /// The generation.
    pub generation_id: i64,
    /// The file that it came with.
    pub delivery_id: i64,
    /// That file's version, or the newer one with which the same bytes were handed in again.
    pub version_at: DateTime<Utc>,
    /// That file's bytes.
    pub content_sha256: Option<String>,
}

impl Current {
    /// Whether it stays what counts beside a delivery of this version. Of two with the same version the one whose bytes
    /// have the greater hash is newer, and the last one in where nobody gave them one; the same bytes are not newer.
    pub fn is_newer_than(&self, version_at: DateTime<Utc>, version_basis: &str, sha256: Option<&str>) -> bool {
        let own = self.content_sha256.as_deref();
        if own.is_some() && own == sha256 {
            return false;
        }
        match version_basis {
            "receipt" => self.version_at > version_at,
            _ => (self.version_at, own) > (version_at, sha256),
        }
    }
}

/// What a scope shows now, of the side of a bill that a file holds where it is one of two exports.
pub async fn current(
    db: impl PgExecutor<'_>,
    source_id: i64,
    billing_account_id: &str,
    billing_period_start: NaiveDate,
    append_object: &str,
    side: Option<&str>,
) -> sqlx::Result<Option<Current>> {
    sqlx::query_as!(
        Current,
        r#"SELECT g.generation_id, d.delivery_id, coalesce(e.version_at, g.version_at, d.version_at) AS "version_at!",
             d.content_sha256
         FROM generation g
         LEFT JOIN joined_export e ON e.generation_id = g.generation_id AND e.side = $5
         JOIN delivery d ON d.delivery_id = coalesce(e.delivery_id, g.delivery_id)
         WHERE g.source_id = $1 AND g.billing_account_id = $2 AND g.billing_period_start = $3
           AND g.append_object = $4 AND g.state = 'current'
           AND ($5::text IS NULL OR e.side IS NOT NULL
                OR NOT EXISTS (SELECT FROM joined_export o WHERE o.generation_id = g.generation_id))"#,
        source_id,
        billing_account_id,
        billing_period_start,
        append_object,
        side,
    )
    .fetch_optional(db)
    .await
}

/// A bill that counts and that a complete export leaves out.
#[derive(Debug, Clone)]
pub struct Gone {
    /// `BillingAccountId`.
    pub billing_account_id: String,
    /// The provider's label.
    pub billing_period_start: NaiveDate,
    /// Exclusive.
    pub billing_period_end: NaiveDate,
    /// The file that brought what counts.
    pub delivery_id: i64,
    /// Its lines.
    pub charge_count: i64,
    /// `ProviderName` and `InvoiceIssuerName` of its lines, in lower case.
    pub biller_names: Vec<String>,
}

/// What an export of a source counts in a month, but for these accounts. Of an Azure bill that comes as two exports
/// only what this side brought by itself.
pub async fn gone(
    db: impl PgExecutor<'_>,
    source_id: i64,
    export: &str,
    billing_period_start: NaiveDate,
    but_accounts: &[String],
    side: Option<&str>,
) -> sqlx::Result<Vec<Gone>> {
    sqlx::query_as!(
        Gone,
        "SELECT billing_account_id, billing_period_start, billing_period_end, delivery_id, charge_count, biller_names
         FROM generation g
         WHERE source_id = $1 AND append_object = $2 AND billing_period_start = $3 AND state = 'current'
           AND charge_count > 0 AND billing_account_id <> ALL($4)
           AND NOT EXISTS (SELECT FROM joined_export e
                           WHERE e.generation_id = g.generation_id AND e.side IS DISTINCT FROM $5)
         ORDER BY billing_account_id",
        source_id,
        export,
        billing_period_start,
        but_accounts,
        side,
    )
    .fetch_all(db)
    .await
}

/// Takes a generation out of what readers see.
pub async fn retire(db: impl PgExecutor<'_>, generation_id: i64, state: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE generation SET state = $2, superseded_at = $3 WHERE generation_id = $1 AND state = 'current'",
        generation_id,
        state,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Makes a generation what readers see. Its scope must have none.
pub async fn make_current(
    db: impl PgExecutor<'_>,
    generation_id: i64,
    replaced_generation_id: Option<i64>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE generation SET state = 'current', published_at = $3, superseded_at = NULL,
            replaced_generation_id = coalesce($2, replaced_generation_id)
         WHERE generation_id = $1",
        generation_id,
        replaced_generation_id,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A published delivery of which nothing is current any more is superseded; one of which something is, is published.
pub async fn settle_delivery_states(conn: &mut PgConnection, delivery_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE delivery d SET state = CASE
            WHEN EXISTS (SELECT FROM generation g WHERE g.delivery_id = d.delivery_id AND g.state = 'current')
            THEN 'published' ELSE 'superseded' END
         WHERE delivery_id = ANY($1) AND state IN ('published', 'superseded')",
        delivery_ids
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The same bytes were handed in again: where that was with a newer version, it orders these scopes from now on.
/// Gives how many of them are still current.
pub async fn renew(db: impl PgExecutor<'_>, generation_ids: &[i64], version_at: DateTime<Utc>) -> sqlx::Result<usize> {
    let renewed = sqlx::query!(
        "UPDATE generation g SET version_at = greatest(g.version_at, d.version_at, $2)
         FROM delivery d WHERE d.delivery_id = g.delivery_id AND g.generation_id = ANY($1) AND g.state = 'current'",
        generation_ids,
        version_at,
    )
    .execute(db)
    .await?;
    Ok(renewed.rows_affected() as usize)
}

/// The same for all that a delivery has current.
pub async fn renew_delivery(db: impl PgExecutor<'_>, delivery_id: i64, version_at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE generation g SET version_at = greatest(g.version_at, d.version_at, $2)
         FROM delivery d WHERE d.delivery_id = g.delivery_id AND g.delivery_id = $1 AND g.state = 'current'",
        delivery_id,
        version_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A person took the delivery back: what it held counts nowhere, and nothing goes back to it.
pub async fn withdraw_all(db: impl PgExecutor<'_>, delivery_id: i64, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE generation SET state = 'withdrawn', superseded_at = coalesce(superseded_at, $2)
         WHERE delivery_id = $1 AND state IN ('current', 'superseded')",
        delivery_id,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What a scope goes back to.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// The generation.
    pub generation_id: i64,
    /// Whether its lines are still there.
    pub has_charges: bool,
}

/// What was counted before this delivery in the scopes where it is current, without what was taken back since.
pub async fn earlier(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<Vec<Earlier>> {
    sqlx::query_as!(
        Earlier,
        r#"SELECT generation_id AS "generation_id!", has_charges AS "has_charges!" FROM counted_before($1)
         ORDER BY generation_id"#,
        delivery_id,
    )
    .fetch_all(db)
    .await
}

/// Whether all lines of a delivery are still there to be counted.
pub async fn has_lines(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(bool_and(has_charges), false) AS "has_lines!" FROM generation WHERE delivery_id = $1"#,
        delivery_id
    )
    .fetch_one(db)
    .await
}

/// Keeps what is to be checked of a bill that is much smaller than the one whose place it takes.
pub async fn note_size(db: impl PgExecutor<'_>, generation_id: i64, note: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE generation SET size_note = $2 WHERE generation_id = $1", generation_id, note)
        .execute(db)
        .await
        .map(drop)
}

/// Forgets what was to be checked of the bills of a delivery.
pub async fn forget_sizes(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<()> {
    sqlx::query!("UPDATE generation SET size_note = NULL WHERE delivery_id = $1 AND size_note IS NOT NULL", delivery_id)
        .execute(db)
        .await
        .map(drop)
}

/// A bill that counts and is to be checked.
#[derive(Debug, Clone)]
pub struct SmallerBill {
    /// The file that brought it.
    pub delivery_id: i64,
    /// What is to be checked, without amounts.
    pub note: String,
}

/// Bills that are to be checked and that a page of a source lists.
const SMALLER_SHOWN_MAX: i64 = 50;

/// The bills of a source that count and are much smaller than what they replaced, the newest fifty.
pub async fn smaller(db: impl PgExecutor<'_>, source_id: i64) -> sqlx::Result<Vec<SmallerBill>> {
    sqlx::query_as!(
        SmallerBill,
        r#"SELECT delivery_id, size_note AS "note!" FROM generation
           WHERE source_id = $1 AND state = 'current' AND size_note IS NOT NULL
           ORDER BY generation_id DESC LIMIT $2"#,
        source_id,
        SMALLER_SHOWN_MAX,
    )
    .fetch_all(db)
    .await
}
