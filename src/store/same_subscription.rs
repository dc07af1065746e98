//! Azure bills of two billing accounts that hold the same subscription: one billing profile of a customer agreement
//! beside another one, or beside the subscription by itself. A subscription that moved in the month is in both and on
//! no day the same, so bills are the same cost only where whole days of it are, or where the cost of a day tells
//! nothing: what a commitment covers is free in one export and costs in another. Sums by subscription and day are kept
//! when a bill is loaded: a page that asks compares a few rows, however many lines the bills have.

use super::overlaps::Overlap;
use sqlx::{PgConnection, PgExecutor};

/// Keeps what these generations hold of each subscription by day, of those that are bills of Azure.
pub async fn add_up(conn: &mut PgConnection, generation_ids: &[i64]) -> sqlx::Result<()> {
    let of_azure = sqlx::query_scalar!(
        "SELECT generation_id FROM generation
         WHERE generation_id = ANY($1) AND charge_count > 0 AND 'microsoft' = ANY(biller_names)",
        generation_ids
    )
    .fetch_all(&mut *conn)
    .await?;
    if of_azure.is_empty() {
        return Ok(());
    }
    sqlx::query!("DELETE FROM subscription_day WHERE generation_id = ANY($1)", &of_azure).execute(&mut *conn).await?;
    sqlx::query!(
        "INSERT INTO subscription_day
             (generation_id, subscription, billing_currency, charge_date, billed_cost, effective_cost, has_commitment)
         SELECT d.generation_id, replace(lower(k.sub_account_id), '/subscriptions/', ''), d.billing_currency,
             d.charge_date, sum(d.billed_cost), sum(d.effective_cost),
             coalesce(bool_or(k.commitment_discount_status IN ('Used', 'Unused')), false)
         FROM daily_cost_by_key d JOIN rollup_key k USING (sub_account_key, rollup_key_id)
         WHERE d.generation_id = ANY($1) AND k.sub_account_id <> ''
         GROUP BY 1, 2, 3, 4
         HAVING sum(d.billed_cost) <> 0 OR sum(d.effective_cost) <> 0
             OR bool_or(k.commitment_discount_status IN ('Used', 'Unused'))",
        &of_azure
    )
    .execute(conn)
    .await
    .map(drop)
}

/// What counts in the billing periods of this delivery under other billing accounts of Azure and holds a subscription
/// with the same cost on two days, or on the only day that one of them has; but for what someone accepted beside it.
/// Exports of one cost differ at most in digits that one of them cuts off. Where one has lines of commitments, two days
/// of the subscription in both are enough, whatever they cost.
pub async fn of_delivery(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<Vec<Overlap>> {
    sqlx::query_as!(
        Overlap,
        r#"WITH pair AS MATERIALIZED (
             SELECT g.generation_id, g.billing_account_id, g.billing_period_start, o.append_object, o.delivery_id,
                 CASE WHEN o.source_id <> g.source_id THEN s.name END AS source_name,
                 o.generation_id AS other_generation_id, o.billing_account_id AS other_account_id
             FROM generation g
             JOIN generation o ON o.billing_period_start = g.billing_period_start AND o.state = 'current'
                 AND o.billing_account_id <> g.billing_account_id AND o.delivery_id <> g.delivery_id
                 AND NOT brings_bill_of(g.delivery_id, o.generation_id)
             JOIN source s ON s.source_id = o.source_id
             WHERE g.delivery_id = $1 AND g.charge_count > 0 AND o.charge_count > 0
               AND 'microsoft' = ANY(g.biller_names) AND 'microsoft' = ANY(o.biller_names)
               AND NOT EXISTS (SELECT FROM source_setting t
                               WHERE t.source_id = g.source_id AND o.source_id = g.source_id
                                 AND t.restatement = 'append-by-object')
               AND NOT is_accepted_beside(g.generation_id, o.generation_id)
         ), day AS MATERIALIZED (
             SELECT generation_id, subscription, billing_currency, charge_date, billed_cost, effective_cost,
                 has_commitment,
                 count(*) FILTER (WHERE billed_cost <> 0 OR effective_cost <> 0)
                     OVER (PARTITION BY generation_id, subscription, billing_currency) AS day_count
             FROM subscription_day
             WHERE generation_id IN (SELECT generation_id FROM pair UNION SELECT other_generation_id FROM pair)
         ), both_days AS (
             SELECT p.generation_id, p.other_generation_id, one.subscription, one.billing_currency,
                 one.has_commitment OR other.has_commitment AS has_commitment,
                 least(2, one.day_count, other.day_count) AS day_count_wanted,
                 one.billed_cost <> 0
                     AND abs(one.billed_cost - other.billed_cost) <= abs(one.billed_cost) / 1000000
                 OR one.effective_cost <> 0
                     AND abs(one.effective_cost - other.effective_cost) <= abs(one.effective_cost) / 1000000
                     AS is_same
             FROM pair p
             JOIN day one ON one.generation_id = p.generation_id
             JOIN day other ON other.generation_id = p.other_generation_id AND other.subscription = one.subscription
                 AND other.billing_currency = one.billing_currency AND other.charge_date = one.charge_date
         ), same AS (
             SELECT DISTINCT generation_id, other_generation_id
             FROM both_days
             GROUP BY generation_id, other_generation_id, subscription, billing_currency, day_count_wanted
             HAVING count(*) FILTER (WHERE is_same) >= greatest(1, day_count_wanted)
                 OR bool_or(has_commitment) AND count(*) >= 2
         )
         SELECT p.generation_id AS "generation_id!", p.billing_account_id AS "billing_account_id!",
             p.billing_period_start AS "billing_period_start!", p.append_object AS "export!",
             p.source_name AS "source_name?", p.delivery_id AS "delivery_id!",
             p.other_generation_id AS "other_generation_id!", p.other_account_id AS "other_account_id!"
         FROM pair p JOIN same USING (generation_id, other_generation_id)
         ORDER BY p.billing_period_start, p.billing_account_id, p.delivery_id"#,
        delivery_id,
    )
    .fetch_all(db)
    .await
}
