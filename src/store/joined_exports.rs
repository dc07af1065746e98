//! Which exports of an Azure bill the lines of a generation hold: actual, amortized, or both joined.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgExecutor};

/// What a generation holds of one export.
#[derive(Debug, Clone)]
pub struct Held {
    /// The generation, which counts now.
    pub generation_id: i64,
    /// `BillingAccountId`.
    pub billing_account_id: String,
    /// The provider's label.
    pub billing_period_start: NaiveDate,
    /// The delivery that brought the export.
    pub delivery_id: i64,
    /// Its version.
    pub version_at: DateTime<Utc>,
    /// Whether the generation holds the other export too.
    pub is_joined: bool,
    /// Its lines, of both.
    pub charge_count: i64,
}

/// The source of this name, where there is one.
pub async fn source_named(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("SELECT source_id FROM source WHERE name = $1", name).fetch_optional(db).await
}

/// What counts now of one side (`actual` or `amortized`) of these bills of a source's export: accounts and months, pair
/// by pair.
pub async fn held(
    db: impl PgExecutor<'_>,
    source_id: i64,
    export: &str,
    side: &str,
    billing_account_ids: &[String],
    billing_period_starts: &[NaiveDate],
) -> sqlx::Result<Vec<Held>> {
    sqlx::query_as!(
        Held,
        r#"SELECT g.generation_id, g.billing_account_id, g.billing_period_start, e.delivery_id, e.version_at,
             g.charge_count, EXISTS (SELECT FROM joined_export o
                     WHERE o.generation_id = g.generation_id AND o.side <> e.side) AS "is_joined!"
           FROM unnest($3::text[], $4::date[]) AS b (account, month)
           JOIN generation g ON g.billing_account_id = b.account AND g.billing_period_start = b.month
           JOIN joined_export e ON e.generation_id = g.generation_id
           WHERE g.source_id = $1 AND e.side = $2 AND g.state = 'current' AND g.append_object = $5
           ORDER BY g.generation_id"#,
        source_id,
        side,
        billing_account_ids,
        billing_period_starts,
        export,
    )
    .fetch_all(db)
    .await
}

/// The names of the other costs and quantities of these lines, in order.
pub async fn measure_names(db: impl PgExecutor<'_>, generation_ids: &[i64]) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT json_object_keys(measures::json) AS "name!" FROM charge
           WHERE generation_id = ANY($1) AND measures IS NOT NULL ORDER BY 1"#,
        generation_ids,
    )
    .fetch_all(db)
    .await
}

/// Says that the lines of a generation hold an export.
pub async fn insert(
    db: impl PgExecutor<'_>,
    generation_id: i64,
    side: &str,
    delivery_id: i64,
    version_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO joined_export (generation_id, side, delivery_id, version_at) VALUES ($1, $2, $3, $4)",
        generation_id,
        side,
        delivery_id,
        version_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The same bytes were handed in again: where that was with a newer version, it orders this side of what counts now.
pub async fn renew(db: impl PgExecutor<'_>, content_sha256: &str, version_at: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE joined_export e SET version_at = greatest(e.version_at, $2)
         FROM generation g, delivery d
         WHERE g.generation_id = e.generation_id AND g.state = 'current'
           AND d.delivery_id = e.delivery_id AND d.content_sha256 = $1",
        content_sha256,
        version_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether a delivery that was loaded aside was joined with another export than the one that counts now: one came, or
/// was taken back, while it was read.
pub async fn is_overtaken(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"WITH own AS (
             SELECT g.generation_id, min(e.side) AS side, c.generation_id AS current_id
             FROM generation g
             JOIN joined_export e ON e.generation_id = g.generation_id AND e.delivery_id = g.delivery_id
             LEFT JOIN generation c ON c.source_id = g.source_id AND c.billing_account_id = g.billing_account_id
                 AND c.billing_period_start = g.billing_period_start AND c.append_object = g.append_object
                 AND c.state = 'current' AND c.generation_id <> g.generation_id
             WHERE g.delivery_id = $1 AND g.state <> 'current'
             GROUP BY g.generation_id, c.generation_id HAVING count(*) = 1
           )
           SELECT EXISTS (
             SELECT FROM own
             LEFT JOIN joined_export joined ON joined.generation_id = own.generation_id AND joined.side <> own.side
             LEFT JOIN joined_export counted ON counted.generation_id = own.current_id AND counted.side <> own.side
             WHERE joined.delivery_id IS DISTINCT FROM counted.delivery_id) AS "is_overtaken!""#,
        delivery_id,
    )
    .fetch_one(conn)
    .await
}
