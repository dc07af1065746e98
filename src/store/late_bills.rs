//! Deliveries that change a closed month and wait until finance decides: what they would change there, by service and
//! charge category, beside what counts now.

use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::{PgConnection, PgExecutor};

/// Whether a source's late bills are booked to the open month without asking.
pub async fn books_by_itself(db: impl PgExecutor<'_>, source_id: Option<i64>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM source_setting WHERE source_id = $1 AND late_bills = 'book') AS "books!""#,
        source_id
    )
    .fetch_one(db)
    .await
}

/// First days of the closed months of these generations, oldest first.
pub async fn closed_months(db: impl PgExecutor<'_>, generation_ids: &[i64]) -> sqlx::Result<Vec<NaiveDate>> {
    sqlx::query_scalar!(
        "SELECT DISTINCT k.month FROM generation g
         JOIN month_closing k ON k.reopened_at IS NULL
             AND k.month = date_trunc('month', g.billing_period_start::timestamp)::date
         WHERE g.generation_id = ANY($1) ORDER BY 1",
        generation_ids
    )
    .fetch_all(db)
    .await
}

/// The closed months, oldest first, in which these generations say anything else than what counts now: any daily sum
/// of any key.
pub async fn changed_months(db: impl PgExecutor<'_>, generation_ids: &[i64]) -> sqlx::Result<Vec<NaiveDate>> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT month AS "month!" FROM (
             SELECT month FROM late_side WHERE generation_id = ANY($1)
             GROUP BY month, generation_id, rollup_key_id, charge_date, billing_currency
             HAVING (sum(charge_count), sum(billed_cost), sum(effective_cost), sum(list_cost), sum(contracted_cost))
                 <> (0, 0, 0, 0, 0)
         ) changed ORDER BY 1"#,
        generation_ids
    )
    .fetch_all(db)
    .await
}

/// Notes that a delivery waits because of a closed month.
pub async fn note_waiting(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<()> {
    sqlx::query!("UPDATE delivery SET waits_for_closed_month = true WHERE delivery_id = $1", delivery_id)
        .execute(db)
        .await
        .map(drop)
}

/// A delivery that older ones wait no longer beside.
#[derive(Debug, Clone, Copy)]
pub struct Newer<'a> {
    /// The delivery.
    pub delivery_id: i64,
    /// What of it counts, or waits itself.
    pub generation_ids: &'a [i64],
    /// Whether it is not faulty, or somebody took it as it is. Otherwise it only stands for what is faulty too.
    pub is_whole: bool,
    /// Deliveries of the same command or form: they may be other parts of the bill.
    pub together: &'a [i64],
    /// Files that lie in the same folder: so may they.
    pub lies_beside: &'a [String],
}

/// A bill of an older delivery that waits, which a newer one holds anew.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// The older delivery.
    pub delivery_id: i64,
    /// Its generation.
    pub generation_id: i64,
    /// Whether another bill of that delivery still waits.
    pub keeps_waiting: bool,
}

/// Which waiting bills a delivery holds anew, in a newer version: whatever they wait for, they could not count after
/// it. Of those that wait because of a closed month, and of versions of an export, one of the same version goes, too.
/// Of an Azure bill that comes as two exports, only the same export does.
pub async fn replaced(db: impl PgExecutor<'_>, newer: Newer<'_>) -> sqlx::Result<Vec<Replaced>> {
    sqlx::query_as!(
        Replaced,
        r#"WITH anew AS (
             SELECT w.delivery_id, w.generation_id
             FROM generation n
             JOIN delivery nd ON nd.delivery_id = n.delivery_id
             JOIN generation w ON w.source_id = n.source_id AND w.billing_account_id = n.billing_account_id
                 AND w.billing_period_start = n.billing_period_start AND w.append_object = n.append_object
                 AND w.state = 'ready' AND w.delivery_id <> n.delivery_id
             JOIN delivery wd ON wd.delivery_id = w.delivery_id AND wd.state = 'quarantined'
                 AND (wd.version_at < nd.version_at
                      OR wd.version_at = nd.version_at
                         AND (wd.waits_for_closed_month
                              OR wd.version_basis = 'manifest' AND nd.version_basis = 'manifest'))
                 AND ($3 OR wd.is_faulty AND w.charge_count <= n.charge_count)
                 AND wd.delivery_id <> ALL($4)
                 AND NOT (wd.version_basis = 'object' AND wd.file_name = ANY($5))
             WHERE n.delivery_id = $1 AND n.generation_id = ANY($2)
               AND (SELECT array_agg(side ORDER BY side) FROM joined_export e
                    WHERE e.generation_id = w.generation_id AND e.delivery_id = w.delivery_id)
                   IS NOT DISTINCT FROM
                   (SELECT array_agg(side ORDER BY side) FROM joined_export e
                    WHERE e.generation_id = n.generation_id AND e.delivery_id = n.delivery_id)
         )
         SELECT delivery_id, generation_id,
             EXISTS (SELECT FROM generation o
                     WHERE o.delivery_id = anew.delivery_id AND o.state = 'ready'
                       AND o.generation_id NOT IN (SELECT generation_id FROM anew)) AS "keeps_waiting!"
         FROM anew ORDER BY generation_id"#,
        newer.delivery_id,
        newer.generation_ids,
        newer.is_whole,
        newer.together,
        newer.lies_beside,
    )
    .fetch_all(db)
    .await
}

/// Deliveries that wait and hold nothing that could ever count, since their files lack a column: none of their lines was
/// kept. Nobody has to decide about them once a newer delivery holds each of their bills whole.
pub async fn unreadable_of(db: impl PgExecutor<'_>, newer: Newer<'_>) -> sqlx::Result<Vec<i64>> {
    if !newer.is_whole {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        "SELECT w.delivery_id FROM delivery n
         JOIN delivery w ON w.source_id = n.source_id AND w.state = 'quarantined' AND w.version_at < n.version_at
         WHERE n.delivery_id = $1 AND w.delivery_id <> ALL($3)
           AND NOT (w.version_basis = 'object' AND w.file_name = ANY($4))
           AND NOT EXISTS (SELECT FROM generation g WHERE g.delivery_id = w.delivery_id)
           AND EXISTS (SELECT FROM delivery_total t WHERE t.delivery_id = w.delivery_id)
           AND NOT EXISTS (
               SELECT FROM delivery_total t
               WHERE t.delivery_id = w.delivery_id AND NOT EXISTS (
                   SELECT FROM generation g
                   WHERE g.delivery_id = n.delivery_id AND g.generation_id = ANY($2)
                     AND g.billing_account_id = t.billing_account_id
                     AND g.billing_period_start = t.billing_period_start AND g.append_object = w.append_object
                     AND NOT EXISTS (SELECT FROM joined_export e WHERE e.generation_id = g.generation_id)))
         ORDER BY w.delivery_id",
        newer.delivery_id,
        newer.generation_ids,
        newer.together,
        newer.lies_beside,
    )
    .fetch_all(db)
    .await
}

/// What a waiting delivery would change in a closed month: one service, charge category and currency.
#[derive(Debug, Clone)]
pub struct Difference {
    /// First day of the closed month.
    pub month: NaiveDate,
    /// FOCUS BillingCurrency; empty where the file has none.
    pub billing_currency: String,
    /// The service of the catalogue: 0 where no rule gives it one, `None` where the rules are asked only once it counts.
    pub service_id: Option<i64>,
    /// Its name.
    pub service_name: Option<String>,
    /// FOCUS ChargeCategory.
    pub charge_category: String,
    /// Lines more, or fewer where below zero.
    pub charge_count: i64,
    /// Σ BilledCost after, less before.
    pub billed_cost: BigDecimal,
    /// Σ EffectiveCost.
    pub effective_cost: BigDecimal,
    /// Σ ListCost.
    pub list_cost: BigDecimal,
    /// Σ ContractedCost.
    pub contracted_cost: BigDecimal,
}

/// What a delivery that waits would change in closed months, exact; the largest change of EffectiveCost first. Shared
/// costs are left out: they move no total.
pub async fn differences(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<Vec<Difference>> {
    sqlx::query_as!(
        Difference,
        r#"WITH summed AS (
             SELECT side.month, side.billing_currency, m.service_id, coalesce(k.charge_category, '') AS charge_category,
                 sum(charge_count)::bigint AS charge_count, sum(billed_cost) AS billed_cost,
                 sum(effective_cost) AS effective_cost, sum(list_cost) AS list_cost,
                 sum(contracted_cost) AS contracted_cost
             FROM late_side side
             JOIN delivery w ON w.delivery_id = side.delivery_id AND w.state = 'quarantined'
             JOIN rollup_key k USING (sub_account_key, rollup_key_id)
             LEFT JOIN key_mapping m ON m.sub_account_key = side.sub_account_key
                 AND m.rollup_key_id = side.rollup_key_id
                 AND side.charge_date >= m.first_day AND side.charge_date < m.end_day
             WHERE side.delivery_id = $1
             GROUP BY 1, 2, 3, 4
         )
         SELECT month AS "month!", billing_currency AS "billing_currency!", s.service_id AS "service_id?",
             service.name AS "service_name?", charge_category AS "charge_category!", charge_count AS "charge_count!",
             billed_cost AS "billed_cost!", effective_cost AS "effective_cost!", list_cost AS "list_cost!",
             contracted_cost AS "contracted_cost!"
         FROM summed s LEFT JOIN service ON service.service_id = s.service_id
         WHERE (charge_count, billed_cost, effective_cost, list_cost, contracted_cost) <> (0, 0, 0, 0, 0)
         ORDER BY month, billing_currency, abs(effective_cost) DESC, service.name, charge_category"#,
        delivery_id
    )
    .fetch_all(conn)
    .await
}

/// A delivery that waits because it changes a closed month.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The delivery.
    pub delivery_id: i64,
    /// Its source.
    pub source_name: String,
    /// The file.
    pub file_name: String,
}

/// The deliveries that wait for a decision and hold a bill of this month, newest first. For finance: no amounts.
pub async fn waiting_for(conn: &mut PgConnection, month: NaiveDate) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as!(
        Waiting,
        "SELECT d.delivery_id, s.name AS source_name, d.file_name
         FROM delivery d JOIN source s USING (source_id)
         WHERE d.state = 'quarantined' AND d.waits_for_closed_month
           AND EXISTS (SELECT FROM generation g
                       WHERE g.delivery_id = d.delivery_id AND g.state = 'ready'
                         AND date_trunc('month', g.billing_period_start::timestamp)::date = $1)
         ORDER BY d.delivery_id DESC LIMIT 100",
        month
    )
    .fetch_all(conn)
    .await
}
