//! Which source holds a bill. Two sources hold the same one where billing account, billing period and somebody who
//! provides or invoices are the same; a bill that names nobody could be anyone's.

use chrono::NaiveDate;
use sqlx::{PgConnection, PgExecutor};

/// Finds a source by name, or adds it.
pub async fn source(
    conn: &mut PgConnection,
    name: &str,
    provider_name: Option<&str>,
    is_named_by_file: bool,
) -> sqlx::Result<i64> {
    sqlx::query!(
        "INSERT INTO source (name, provider_name, is_named_by_file) VALUES ($1, $2, $3)
         ON CONFLICT (name) DO NOTHING",
        name,
        provider_name,
        is_named_by_file,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar!("SELECT source_id FROM source WHERE name = $1", name).fetch_one(conn).await
}

/// The source, among those that files named and nobody removed, that has held most of these billing accounts of these
/// billers.
pub async fn source_of(
    db: impl PgExecutor<'_>,
    billing_account_ids: &[String],
    biller_names: &[String],
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "SELECT g.source_id FROM generation g JOIN source s USING (source_id)
         WHERE s.is_named_by_file AND g.billing_account_id = ANY($1)
           AND (s.removed_at IS NULL OR NOT is_removed(s.source_id))
           AND (g.biller_names && $2 OR g.biller_names = '{}' OR $2::text[] = '{}')
         GROUP BY g.source_id ORDER BY count(DISTINCT g.billing_account_id) DESC, g.source_id LIMIT 1",
        billing_account_ids,
        biller_names,
    )
    .fetch_optional(db)
    .await
}

/// A billing account that the source knows, whose id differs from this one by leading zeros or letter case only.
pub async fn alike(
    db: impl PgExecutor<'_>,
    source_id: i64,
    billing_account_id: &str,
    billing_period_start: NaiveDate,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT billing_account_id FROM generation
         WHERE source_id = $1 AND billing_period_start = $3 AND state = 'current' AND billing_account_id <> $2
           AND ltrim(lower(billing_account_id), '0') = ltrim(lower($2), '0')
         LIMIT 1",
        source_id,
        billing_account_id,
        billing_period_start,
    )
    .fetch_optional(db)
    .await
}

/// The same bill, counted from another source.
#[derive(Debug, Clone)]
pub struct Beside {
    /// This delivery's generation.
    pub generation_id: i64,
    /// `BillingAccountId`.
    pub billing_account_id: String,
    /// The provider's label.
    pub billing_period_start: NaiveDate,
    /// The other source.
    pub source_name: String,
    /// The delivery that is counted there.
    pub delivery_id: i64,
    /// Its generation.
    pub other_generation_id: i64,
}

/// What other sources count of the bills in this delivery, but for those that someone accepted beside it already.
pub async fn beside(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<Vec<Beside>> {
    sqlx::query_as!(
        Beside,
        r#"SELECT g.generation_id, g.billing_account_id, g.billing_period_start, s.name AS source_name, o.delivery_id,
             o.generation_id AS other_generation_id
         FROM generation g
         JOIN generation o ON o.billing_account_id = g.billing_account_id
             AND o.billing_period_start = g.billing_period_start
             AND o.source_id <> g.source_id AND o.state = 'current' AND o.charge_count > 0
             AND (o.biller_names && g.biller_names OR o.biller_names = '{}' OR g.biller_names = '{}')
         JOIN source s ON s.source_id = o.source_id
         WHERE g.delivery_id = $1 AND g.billing_account_id <> ''
           AND NOT is_accepted_beside(g.generation_id, o.generation_id)
         ORDER BY g.billing_period_start, g.billing_account_id, s.name"#,
        delivery_id,
    )
    .fetch_all(db)
    .await
}

/// A bill that a file which was handed in together with another one holds.
#[derive(Debug, Clone)]
pub struct HandedIn {
    /// `BillingAccountId`.
    pub billing_account_id: String,
    /// The provider's label.
    pub billing_period_start: NaiveDate,
    /// The delivery of that file.
    pub delivery_id: i64,
}

/// Which bills of these generations one of those deliveries counts, or holds while it waits for a decision. Of two
/// joined exports only the one of the same side is meant, and the same bytes are no other file.
pub async fn handed_in_together(
    db: impl PgExecutor<'_>,
    generation_ids: &[i64],
    delivery_ids: &[i64],
) -> sqlx::Result<Vec<HandedIn>> {
    sqlx::query_as!(
        HandedIn,
        r#"SELECT DISTINCT g.billing_account_id AS "billing_account_id!", g.billing_period_start AS "billing_period_start!",
             other.delivery_id AS "delivery_id!"
         FROM generation g
         JOIN delivery own ON own.delivery_id = g.delivery_id
         JOIN generation o ON o.source_id = g.source_id AND o.billing_account_id = g.billing_account_id
             AND o.billing_period_start = g.billing_period_start AND o.append_object = g.append_object
             AND o.delivery_id <> g.delivery_id AND o.state IN ('ready', 'current')
         LEFT JOIN joined_export side ON side.generation_id = g.generation_id AND side.delivery_id = g.delivery_id
         LEFT JOIN joined_export same ON same.generation_id = o.generation_id AND same.side = side.side
         JOIN delivery other ON other.delivery_id = coalesce(same.delivery_id, o.delivery_id)
         WHERE g.generation_id = ANY($1) AND other.delivery_id = ANY($2)
           AND (o.state = 'current' OR other.state = 'quarantined')
           AND (side.side IS NULL OR same.side IS NOT NULL
                OR NOT EXISTS (SELECT FROM joined_export e WHERE e.generation_id = o.generation_id))
           AND other.content_sha256 IS DISTINCT FROM own.content_sha256
         ORDER BY g.billing_period_start, g.billing_account_id, other.delivery_id"#,
        generation_ids,
        delivery_ids,
    )
    .fetch_all(db)
    .await
}
