//! Where bills come from, and what each delivery did. Totals of bills belong to no team: only an unrestricted
//! scope reads them.

use super::{Scope, audit, limits};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// Sources that are read at once. Files may name more than people set up.
const SOURCE_COUNT_MAX: i64 = 20_000;

/// A source and how it stands.
#[derive(Debug, Clone)]
pub struct SourceRow {
    /// The source.
    pub source_id: i64,
    /// Its name.
    pub name: String,
    /// Its provider, where one is known.
    pub provider_name: Option<String>,
    /// Last day with a charge in its current bills.
    pub last_charge_date: Option<NaiveDate>,
    /// When its last delivery came.
    pub last_received_at: Option<DateTime<Utc>>,
    /// What became of that delivery.
    pub last_state: Option<String>,
    /// That delivery.
    pub last_delivery_id: Option<i64>,
    /// Lines in its current bills.
    pub charge_count: i64,
    /// Files that came, all told.
    pub delivery_count: i64,
    /// Files that wait for a decision.
    pub quarantined_count: i64,
    /// Whether it was removed: then only its receipts are there, as history.
    pub is_removed: bool,
}

/// Every source that was not removed.
pub async fn list(conn: &mut PgConnection) -> sqlx::Result<Vec<SourceRow>> {
    read(conn, None).await
}

/// One source, also one that was removed.
pub async fn get(conn: &mut PgConnection, source_id: i64) -> sqlx::Result<Option<SourceRow>> {
    Ok(read(conn, Some(source_id)).await?.into_iter().next())
}

async fn read(conn: &mut PgConnection, source_id: Option<i64>) -> sqlx::Result<Vec<SourceRow>> {
    let rows = sqlx::query_as!(
        SourceRow,
        r#"SELECT s.source_id, s.name, s.provider_name,
                  (SELECT max(g.last_charge_date) FROM generation g
                   WHERE g.source_id = s.source_id AND g.state = 'current') AS last_charge_date,
                  latest.received_at AS "last_received_at?", latest.state AS "last_state?",
                  latest.delivery_id AS "last_delivery_id?",
                  (SELECT coalesce(sum(g.charge_count), 0)::bigint FROM generation g
                   WHERE g.source_id = s.source_id AND g.state = 'current') AS "charge_count!",
                  (SELECT count(*) FROM delivery d WHERE d.source_id = s.source_id) AS "delivery_count!",
                  (SELECT count(*) FROM delivery d
                   WHERE d.source_id = s.source_id AND d.state = 'quarantined') AS "quarantined_count!",
                  removed.is_removed AS "is_removed!"
           FROM source s
           CROSS JOIN LATERAL (SELECT s.removed_at IS NOT NULL AND is_removed(s.source_id) AS is_removed) removed
           LEFT JOIN LATERAL (SELECT delivery_id, received_at, state FROM delivery d
                              WHERE d.source_id = s.source_id
                              ORDER BY received_at DESC, delivery_id DESC LIMIT 1) latest ON true
           WHERE CASE WHEN $2::bigint IS NULL THEN NOT removed.is_removed ELSE s.source_id = $2 END
           ORDER BY s.name LIMIT $1"#,
        SOURCE_COUNT_MAX + 1,
        source_id,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, SOURCE_COUNT_MAX, "sources")
}

/// The current bill of one billing account and period of a source, in one currency.
#[derive(Debug, Clone)]
pub struct CurrentBill {
    /// The generation.
    pub generation_id: i64,
    /// The delivery that brought it: its receipt.
    pub delivery_id: i64,
    /// FOCUS BillingAccountId.
    pub billing_account_id: String,
    /// FOCUS BillingPeriodStart.
    pub billing_period_start: NaiveDate,
    /// Last day with a charge.
    pub last_charge_date: Option<NaiveDate>,
    /// When it became current.
    pub published_at: Option<DateTime<Utc>>,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Lines.
    pub charge_count: i64,
    /// FOCUS BilledCost.
    pub billed_cost: BigDecimal,
    /// FOCUS EffectiveCost.
    pub effective_cost: BigDecimal,
    /// Whether its delivery took the place of one that can count again.
    pub can_revert: bool,
}

/// Bills of one delivery in currencies that are read at once.
const CONSEQUENCE_COUNT_MAX: i64 = 100_000;
/// Rows of [`current_bills`].
pub const CURRENT_BILLS_MAX: i64 = 1_000;

/// What a source's current bills hold, newest period first, at most [`CURRENT_BILLS_MAX`].
pub async fn current_bills(conn: &mut PgConnection, scope: &Scope, source_id: i64) -> sqlx::Result<Vec<CurrentBill>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    sqlx::query_as!(
        CurrentBill,
        r#"SELECT g.generation_id, g.delivery_id, g.billing_account_id, g.billing_period_start, g.last_charge_date,
                  g.published_at, m.billing_currency, sum(m.charge_count)::bigint AS "charge_count!",
                  sum(m.billed_cost) AS "billed_cost!", sum(m.effective_cost) AS "effective_cost!",
                  coalesce((SELECT bool_and(b.has_charges) FROM counted_before(g.delivery_id) b), false)
                      AS "can_revert!"
           FROM generation g JOIN monthly_cost m ON m.generation_id = g.generation_id
           WHERE g.source_id = $1 AND g.state = 'current'
           GROUP BY g.generation_id, m.billing_currency
           ORDER BY g.billing_period_start DESC, g.billing_account_id, m.billing_currency LIMIT $2"#,
        source_id,
        CURRENT_BILLS_MAX
    )
    .fetch_all(conn)
    .await
}

/// One file that was handed in.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    /// The delivery.
    pub delivery_id: i64,
    /// Its source, once known.
    pub source_id: Option<i64>,
    /// Name of the source.
    pub source_name: Option<String>,
    /// Name of the file.
    pub file_name: String,
    /// What became of it.
    pub state: String,
    /// Why, where there is a reason.
    pub reason: Option<String>,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// Who handed it in.
    pub received_by: String,
    /// Lines read.
    pub row_count: i64,
    /// Lines that could not be read.
    pub rejected_row_count: i64,
}

/// Deliveries, newest first, before `before` where given: of one source, or of all.
pub async fn deliveries(
    conn: &mut PgConnection,
    source_id: Option<i64>,
    before: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<DeliveryRow>> {
    sqlx::query_as!(
        DeliveryRow,
        r#"SELECT d.delivery_id, d.source_id, source.name AS "source_name?", d.file_name, d.state, d.reason,
                  d.received_at, d.received_by, d.row_count, d.rejected_row_count
           FROM delivery d LEFT JOIN source ON source.source_id = d.source_id
           WHERE ($1::bigint IS NULL OR d.source_id = $1) AND ($2::bigint IS NULL OR d.delivery_id < $2)
           ORDER BY d.delivery_id DESC LIMIT $3"#,
        source_id,
        before,
        limit
    )
    .fetch_all(conn)
    .await
}

/// What withdrawing or reverting a delivery does to one total.
#[derive(Debug, Clone)]
pub struct Consequence {
    /// FOCUS BillingPeriodStart.
    pub billing_period_start: NaiveDate,
    /// FOCUS BillingAccountId.
    pub billing_account_id: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// EffectiveCost that is counted now.
    pub current: BigDecimal,
    /// The delivery that would count again after going back; `None` where there is none.
    pub earlier_delivery_id: Option<i64>,
    /// EffectiveCost that would be counted after going back.
    pub earlier: BigDecimal,
}

/// For every scope in which the delivery is current: what it counts, and what it replaced.
pub async fn consequences(conn: &mut PgConnection, scope: &Scope, delivery_id: i64) -> sqlx::Result<Vec<Consequence>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        Consequence,
        r#"WITH replaced AS (
               SELECT current_generation_id AS start, generation_id, delivery_id FROM counted_before($1)
           ), side AS (
               SELECT g.generation_id, m.billing_currency, m.effective_cost AS current, 0::numeric AS earlier
               FROM generation g JOIN monthly_cost m ON m.generation_id = g.generation_id
               WHERE g.delivery_id = $1 AND g.state = 'current'
               UNION ALL
               SELECT r.start, m.billing_currency, 0::numeric, m.effective_cost
               FROM replaced r JOIN monthly_cost m ON m.generation_id = r.generation_id)
           SELECT g.billing_period_start, g.billing_account_id, side.billing_currency AS "billing_currency!",
                  earlier.delivery_id AS "earlier_delivery_id?",
                  sum(side.current) AS "current!", sum(side.earlier) AS "earlier!"
           FROM side JOIN generation g ON g.generation_id = side.generation_id
           LEFT JOIN replaced earlier ON earlier.start = g.generation_id
           GROUP BY g.generation_id, earlier.delivery_id, side.billing_currency
           ORDER BY g.billing_period_start, g.billing_account_id, side.billing_currency LIMIT $2"#,
        delivery_id,
        CONSEQUENCE_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, CONSEQUENCE_COUNT_MAX, "bills of the delivery")
}

/// What a person decided about a delivery, a source or a month, as the audit log has it.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// When.
    pub happened_at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// What: `delivery.accept`.
    pub action: String,
    /// On what.
    pub subject: String,
    /// Of an accepted delivery: whether it had been withdrawn, and did not wait.
    pub counted_again: bool,
}

/// What people decided about these deliveries, sources and months, newest first; `subjects` as the audit log writes them.
/// Handing a file in is no decision, and what the program does by itself is none of theirs.
pub async fn audit_of(conn: &mut PgConnection, subjects: &[String]) -> sqlx::Result<Vec<AuditRow>> {
    sqlx::query_as!(
        AuditRow,
        r#"SELECT happened_at, actor, action, subject,
             coalesce((details ->> 'counted_again')::boolean, false) AS "counted_again!"
           FROM audit_log
           WHERE subject = ANY($1) AND actor <> $2
             AND action = ANY(ARRAY['delivery.accepted', 'delivery.reverted', 'delivery.withdrawn', 'delivery.refused',
                 'delivery.retried', 'source.added', 'source.changed', 'source.paused', 'source.resumed',
                 'source.removed', 'month.closed', 'month.reopened'])
           ORDER BY happened_at DESC, audit_log_id DESC LIMIT 200"#,
        subjects,
        audit::PROGRAM,
    )
    .fetch_all(conn)
    .await
}

/// A file that was uploaded.
#[derive(Debug)]
pub struct Upload<'a> {
    /// The name under which it was sent.
    pub file_name: &'a str,
    /// Its size.
    pub file_bytes: i64,
    /// The source that was named.
    pub named_source: Option<&'a str>,
    /// Who sent it.
    pub received_by: &'a str,
    /// Orders deliveries of one scope.
    pub version_at: DateTime<Utc>,
    /// `as-of` or `receipt`.
    pub version_basis: &'a str,
    /// When it came.
    pub now: DateTime<Utc>,
}

/// Puts a file that was uploaded on the list, to be read by a job.
pub async fn insert_upload(conn: &mut PgConnection, upload: &Upload<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO delivery (file_name, file_bytes, named_source, received_by, version_at, version_basis,
            received_at, state, append_object)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting',
            CASE WHEN EXISTS (SELECT FROM source s JOIN source_setting USING (source_id)
                              WHERE s.name = $3 AND restatement = 'append-by-object') THEN $1 ELSE '' END)
         RETURNING delivery_id",
        upload.file_name,
        upload.file_bytes,
        upload.named_source,
        upload.received_by,
        upload.version_at,
        upload.version_basis,
        upload.now
    )
    .fetch_one(conn)
    .await
}

/// The source with this name.
pub async fn id(conn: &mut PgConnection, name: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("SELECT source_id FROM source WHERE name = $1", name).fetch_optional(conn).await
}
