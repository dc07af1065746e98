//! Files that were handed in: one row an attempt, with what it held and what became of it.

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgExecutor};
use std::collections::BTreeMap;

/// What is known of a file before it is read.
#[derive(Debug)]
pub struct NewDelivery<'a> {
    /// The name under which it was handed in.
    pub file_name: &'a str,
    /// Its size as handed in.
    pub file_bytes: i64,
    /// The source that was named, `None` where the file tells it.
    pub named_source: Option<&'a str>,
    /// Orders deliveries of one scope.
    pub version_at: DateTime<Utc>,
    /// Who gave the version: `manifest`, `object`, `as-of`, or `receipt` where the time of receipt stands for it.
    pub version_basis: &'a str,
    /// What tells its export from others of the source; empty where it names none.
    pub export: &'a str,
    /// When it was handed in.
    pub received_at: DateTime<Utc>,
    /// By whom.
    pub received_by: &'a str,
}

/// Records that a file was handed in; its load is under way. Gives its number, and what sets its scopes apart: the
/// object where its source appends, else its export.
pub async fn insert(db: impl PgExecutor<'_>, new: &NewDelivery<'_>) -> sqlx::Result<(i64, String)> {
    let row = sqlx::query!(
        "INSERT INTO delivery (file_name, file_bytes, named_source, version_at, version_basis, received_at,
            received_by, state, append_object)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'loading',
            CASE WHEN EXISTS (SELECT FROM source s JOIN source_setting USING (source_id)
                              WHERE s.name = $3 AND restatement = 'append-by-object') THEN $1 ELSE $8 END)
         RETURNING delivery_id, append_object",
        new.file_name,
        new.file_bytes,
        new.named_source,
        new.version_at,
        new.version_basis,
        new.received_at,
        new.received_by,
        new.export,
    )
    .fetch_one(db)
    .await?;
    Ok((row.delivery_id, row.append_object))
}

/// What reading the file found.
#[derive(Debug, Default)]
pub struct Content<'a> {
    /// Where it belongs; `None` where no row tells.
    pub source_id: Option<i64>,
    /// SHA-256 of the bytes.
    pub content_sha256: &'a str,
    /// As recognised: `FOCUS 1.2 CSV`.
    pub format: Option<&'a str>,
    /// Data rows, the rejected ones among them.
    pub row_count: i64,
    /// Rows that could not be read.
    pub rejected_row_count: i64,
    /// Mandatory columns that it lacks.
    pub missing_columns: &'a [String],
    /// Columns that FOCUS does not know.
    pub extra_columns: &'a [String],
    /// All columns, under their FOCUS names where they have one.
    pub columns: &'a [String],
    /// What is odd but readable.
    pub warnings: &'a [String],
}

/// Keeps what reading the file found.
pub async fn set_content(db: impl PgExecutor<'_>, delivery_id: i64, content: &Content<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE delivery SET source_id = $2, content_sha256 = $3, format = $4, row_count = $5,
            rejected_row_count = $6, missing_columns = $7, extra_columns = $8, warnings = $9, columns = $10
         WHERE delivery_id = $1",
        delivery_id,
        content.source_id,
        content.content_sha256,
        content.format,
        content.row_count,
        content.rejected_row_count,
        content.missing_columns,
        content.extra_columns,
        content.warnings,
        content.columns,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Says what became of a delivery. A decision about one that was read before does not change when that was done. A file
/// that could not be read told no source: it belongs to the one that it was handed in for, where that is there.
pub async fn finish(
    db: impl PgExecutor<'_>,
    delivery_id: i64,
    state: &str,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE delivery SET state = $2, reason = $3,
             source_id = coalesce(source_id, (SELECT s.source_id FROM source s WHERE s.name = named_source)),
             finished_at = CASE WHEN state IN ('waiting', 'loading') THEN $4 ELSE coalesce(finished_at, $4) END
         WHERE delivery_id = $1",
        delivery_id,
        state,
        reason,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that a delivery waits because of what it lacks, or holds otherwise than was announced.
pub async fn note_faulty(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<()> {
    sqlx::query!("UPDATE delivery SET is_faulty = true WHERE delivery_id = $1", delivery_id).execute(db).await.map(drop)
}

/// Marks a delivery as failed unless it came to an end. Gives whether it had not.
pub async fn fail_unfinished(
    db: impl PgExecutor<'_>,
    delivery_id: i64,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let failed = sqlx::query!(
        "UPDATE delivery SET state = 'failed', reason = $2, finished_at = $3,
             source_id = coalesce(source_id, (SELECT s.source_id FROM source s WHERE s.name = named_source))
         WHERE delivery_id = $1 AND state IN ('waiting', 'loading')",
        delivery_id,
        reason,
        now,
    )
    .execute(db)
    .await?;
    Ok(failed.rows_affected() > 0)
}

/// Forgets what an unfinished try found.
pub async fn start_again(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM delivery_total WHERE delivery_id = $1", delivery_id).execute(&mut *conn).await?;
    sqlx::query!("DELETE FROM delivery_rejection WHERE delivery_id = $1", delivery_id).execute(&mut *conn).await?;
    sqlx::query!(
        "UPDATE delivery SET state = 'loading', reason = NULL, finished_at = NULL WHERE delivery_id = $1",
        delivery_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Which of these deliveries have one of these names, with their names.
pub async fn named(
    db: impl PgExecutor<'_>,
    delivery_ids: &[i64],
    file_names: &[String],
) -> sqlx::Result<Vec<(i64, String)>> {
    if delivery_ids.is_empty() || file_names.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        "SELECT delivery_id, file_name FROM delivery
         WHERE delivery_id = ANY($1) AND file_name = ANY($2) AND version_basis = 'object' ORDER BY delivery_id",
        delivery_ids,
        file_names,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.delivery_id, row.file_name)).collect())
}

/// What decides whether a delivery may be published.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Its number.
    pub delivery_id: i64,
    /// Where it belongs.
    pub source_id: Option<i64>,
    /// As stored.
    pub state: String,
    /// Orders deliveries of one scope.
    pub version_at: DateTime<Utc>,
    /// `manifest`, `object`, `as-of` or `receipt`.
    pub version_basis: String,
    /// SHA-256 of the bytes.
    pub content_sha256: Option<String>,
    /// Mandatory columns that it lacks.
    pub missing_columns: Vec<String>,
    /// The object that it stands for where its source appends, else its export.
    pub append_object: String,
    /// Whether it waits for finance because it changes a closed month, or did.
    pub waits_for_closed_month: bool,
}

/// Reads and locks a delivery for a change of its state.
pub async fn lock(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<Option<Standing>> {
    sqlx::query_as!(
        Standing,
        "SELECT delivery_id, source_id, state, version_at, version_basis, content_sha256, missing_columns,
            append_object, waits_for_closed_month
         FROM delivery WHERE delivery_id = $1 FOR UPDATE",
        delivery_id,
    )
    .fetch_optional(db)
    .await
}

/// Whether any of these deliveries was refused, failed or waits for a decision.
pub async fn any_not_counted(db: impl PgExecutor<'_>, delivery_ids: &[i64]) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM delivery WHERE delivery_id = ANY($1)
                          AND state IN ('refused', 'failed', 'quarantined')) AS "exists!""#,
        delivery_ids
    )
    .fetch_one(db)
    .await
}

/// Whether some delivery of the same size has been counted: only then can a file be an old acquaintance.
pub async fn any_of_size(db: impl PgExecutor<'_>, file_bytes: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM delivery WHERE file_bytes = $1 AND state = 'published') AS "exists!""#,
        file_bytes
    )
    .fetch_one(db)
    .await
}

/// The delivery with the same bytes, from the same source and of the same object where that appends, whose every
/// scope is current. Bytes without a line say nothing of the month that they are all of: only one of the same month is
/// the same.
pub async fn current_with_same_bytes(
    db: impl PgExecutor<'_>,
    content_sha256: &str,
    named_source: Option<&str>,
    append_object: &str,
    snapshot_of: Option<NaiveDate>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "SELECT delivery_id FROM delivery d
         WHERE content_sha256 = $1 AND named_source IS NOT DISTINCT FROM $2 AND state IN ('published', 'superseded')
           AND append_object = $3
           AND EXISTS (SELECT FROM generation g
                       WHERE g.delivery_id = d.delivery_id
                         AND (g.billing_period_start = $4
                              OR EXISTS (SELECT FROM delivery_total t WHERE t.delivery_id = d.delivery_id)))
           AND NOT EXISTS (SELECT FROM generation g
                           WHERE g.delivery_id = d.delivery_id AND g.charge_count = 0 AND g.state <> 'current')
           AND NOT EXISTS (
               SELECT FROM delivery_total t WHERE t.delivery_id = d.delivery_id AND NOT EXISTS (
                   SELECT FROM generation g
                   WHERE (g.delivery_id = t.delivery_id
                          OR EXISTS (SELECT FROM joined_export e
                                     WHERE e.generation_id = g.generation_id AND e.delivery_id = t.delivery_id))
                     AND g.billing_account_id = t.billing_account_id
                     AND g.billing_period_start = t.billing_period_start AND g.state = 'current'))
         ORDER BY delivery_id DESC LIMIT 1",
        content_sha256,
        named_source,
        append_object,
        snapshot_of,
    )
    .fetch_optional(db)
    .await
}

/// Gives a delivery what another one with the same bytes was found to hold.
pub async fn copy_content(conn: &mut PgConnection, from: i64, to: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE delivery d SET source_id = o.source_id, content_sha256 = o.content_sha256, format = o.format,
            row_count = o.row_count, rejected_row_count = o.rejected_row_count,
            missing_columns = o.missing_columns, extra_columns = o.extra_columns, warnings = o.warnings,
            columns = o.columns
         FROM delivery o WHERE d.delivery_id = $2 AND o.delivery_id = $1",
        from,
        to
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO delivery_total
            (delivery_id, billing_account_id, billing_period_start, billing_currency, row_count, billed_cost,
             effective_cost, list_cost, contracted_cost)
         SELECT $2, billing_account_id, billing_period_start, billing_currency, row_count, billed_cost,
             effective_cost, list_cost, contracted_cost
         FROM delivery_total WHERE delivery_id = $1",
        from,
        to
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO delivery_rejection (delivery_id, line, column_name, value, reason)
         SELECT $2, line, column_name, value, reason FROM delivery_rejection WHERE delivery_id = $1",
        from,
        to
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The rows of a delivery, and by currency the BilledCost of those that could be read.
pub async fn held(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<(i64, BTreeMap<String, BigDecimal>)> {
    let row_count = sqlx::query_scalar!("SELECT row_count FROM delivery WHERE delivery_id = $1", delivery_id)
        .fetch_one(&mut *conn)
        .await?;
    let totals = sqlx::query!(
        r#"SELECT billing_currency, sum(billed_cost) AS "billed_cost!" FROM delivery_total
           WHERE delivery_id = $1 GROUP BY billing_currency"#,
        delivery_id
    )
    .fetch_all(conn)
    .await?;
    Ok((row_count, totals.into_iter().map(|total| (total.billing_currency, total.billed_cost)).collect()))
}

/// What the readable rows of one scope and currency add up to.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// `BillingAccountId`, empty where the file has none.
    pub billing_account_id: String,
    /// The provider's label.
    pub billing_period_start: NaiveDate,
    /// `BillingCurrency`, empty where the file has none.
    pub billing_currency: String,
    /// Readable rows.
    pub row_count: i64,
    /// Σ BilledCost.
    pub billed_cost: BigDecimal,
    /// Σ EffectiveCost.
    pub effective_cost: BigDecimal,
    /// Σ ListCost, `None` where no row has one.
    pub list_cost: Option<BigDecimal>,
    /// Σ ContractedCost, `None` where no row has one.
    pub contracted_cost: Option<BigDecimal>,
}

/// Keeps the totals of a delivery.
pub async fn insert_totals(conn: &mut PgConnection, delivery_id: i64, totals: &[Total]) -> sqlx::Result<()> {
    for total in totals {
        sqlx::query!(
            "INSERT INTO delivery_total
                (delivery_id, billing_account_id, billing_period_start, billing_currency, row_count, billed_cost,
                 effective_cost, list_cost, contracted_cost)
             VALUES ($1, $2, $3, $4, $5, $6::text::numeric, $7::text::numeric, $8::text::numeric, $9::text::numeric)",
            delivery_id,
            total.billing_account_id,
            total.billing_period_start,
            total.billing_currency,
            total.row_count,
            total.billed_cost.to_plain_string(),
            total.effective_cost.to_plain_string(),
            total.list_cost.as_ref().map(BigDecimal::to_plain_string),
            total.contracted_cost.as_ref().map(BigDecimal::to_plain_string),
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// A row that could not be read.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Rejection {
    /// 1-based line of the file.
    pub line: i64,
    /// The column that decided it.
    pub column_name: String,
    /// What stood there.
    pub value: String,
    /// Why it cannot be read.
    pub reason: String,
}

/// Keeps the first rejections of a delivery.
pub async fn insert_rejections(conn: &mut PgConnection, delivery_id: i64, rows: &[Rejection]) -> sqlx::Result<()> {
    for row in rows {
        sqlx::query!(
            "INSERT INTO delivery_rejection (delivery_id, line, column_name, value, reason)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            delivery_id,
            row.line,
            row.column_name,
            row.value.replace('\0', "\u{fffd}"),
            row.reason,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Remembers who accepted a delivery with what it lacks.
pub async fn set_accepted(db: impl PgExecutor<'_>, delivery_id: i64, by: &str, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE delivery SET accepted_by = $2, accepted_at = $3 WHERE delivery_id = $1", delivery_id, by, now)
        .execute(db)
        .await?;
    Ok(())
}

/// Adds a sentence to what its receipt points out, once.
pub async fn add_warning(db: impl PgExecutor<'_>, delivery_id: i64, warning: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE delivery SET warnings = array_append(warnings, $2::text)
         WHERE delivery_id = $1 AND $2::text <> ALL (warnings)",
        delivery_id,
        warning
    )
    .execute(db)
    .await
    .map(drop)
}

/// How many deliveries wait for a decision and hold a bill of the month with this first day.
pub async fn waiting_in(db: impl PgExecutor<'_>, month: NaiveDate) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM delivery d
           WHERE d.state = 'quarantined'
             AND EXISTS (SELECT FROM generation g
                         WHERE g.delivery_id = d.delivery_id AND g.state = 'ready'
                           AND date_trunc('month', g.billing_period_start::timestamp)::date = $1)"#,
        month
    )
    .fetch_one(db)
    .await
}
