//! Deliveries for programs: those of a source, a state or a billing period, the newest first. No amounts.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgExecutor;

/// What becomes of a delivery.
pub const STATES: [&str; 9] =
    ["waiting", "loading", "published", "unchanged", "quarantined", "refused", "failed", "withdrawn", "superseded"];

/// Which deliveries.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Name of their source, or the one that they were handed in for.
    pub source: Option<String>,
    /// One of [`STATES`].
    pub state: Option<String>,
    /// First day of a month: those with lines of a billing period that begins in it.
    pub month: Option<NaiveDate>,
    /// Only those before this one.
    pub before: Option<i64>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct ListedDelivery {
    /// Its number.
    pub delivery_id: i64,
    /// Its source, once known.
    pub source_id: Option<i64>,
    /// The name of the source, or of the one that it was handed in for.
    pub source: Option<String>,
    /// Name of the file.
    pub file_name: String,
    /// As recognised.
    pub format: Option<String>,
    /// One of [`STATES`].
    pub state: String,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// First days of the billing periods that its readable lines are of.
    pub billing_periods: Vec<NaiveDate>,
    /// Lines read.
    pub row_count: i64,
    /// Lines that could not be read.
    pub rejected_row_count: i64,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// Who handed it in.
    pub received_by: String,
    /// Whether it waits for finance because it changes a closed month, or did.
    pub waits_for_closed_month: bool,
}

/// Deliveries, newest first.
pub async fn list(db: impl PgExecutor<'_>, filter: &DeliveryFilter, limit: i64) -> sqlx::Result<Vec<ListedDelivery>> {
    sqlx::query_as!(
        ListedDelivery,
        r#"SELECT d.delivery_id, d.source_id, coalesce(s.name, d.named_source) AS "source?", d.file_name, d.format,
             d.state, d.reason, d.row_count, d.rejected_row_count, d.received_at, d.received_by,
             d.waits_for_closed_month,
             ARRAY(SELECT DISTINCT t.billing_period_start FROM delivery_total t WHERE t.delivery_id = d.delivery_id
                   ORDER BY t.billing_period_start) AS "billing_periods!"
           FROM delivery d LEFT JOIN source s ON s.source_id = d.source_id
           WHERE ($1::text IS NULL OR coalesce(s.name, d.named_source) = $1)
             AND ($2::text IS NULL OR d.state = $2)
             AND ($3::date IS NULL OR EXISTS (
                 SELECT FROM delivery_total t
                 WHERE t.delivery_id = d.delivery_id
                   AND date_trunc('month', t.billing_period_start::timestamp)::date = $3))
             AND ($4::bigint IS NULL OR d.delivery_id < $4)
           ORDER BY d.delivery_id DESC LIMIT $5"#,
        filter.source,
        filter.state,
        filter.month,
        filter.before,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Whether a source has this name, or a file was handed in for one of it.
pub async fn has_source(db: impl PgExecutor<'_>, name: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM source WHERE name = $1)
             OR EXISTS (SELECT FROM delivery WHERE named_source = $1) AS "has_source!""#,
        name
    )
    .fetch_one(db)
    .await
}
