//! Azure bills of two billing accounts that hold the same subscription: one billing profile of a customer agreement
//! beside another one, or beside the subscription by itself. A subscription that moved in the month is in both and on
//! no day the same, so bills are the same cost only where whole days of it are.

use super::overlaps::Overlap;
use sqlx::PgExecutor;

/// What counts in the billing periods of this delivery under other billing accounts of Azure that ever had one of its
/// subscriptions, but for what someone accepted beside it. Whether it is the same cost, [`with_equal_days`] tells.
pub async fn other_accounts(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<Vec<Overlap>> {
    sqlx::query_as!(
        Overlap,
        // Keys are looked through only where there is another billing account at all.
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
         ), named AS MATERIALIZED (
             SELECT DISTINCT k.billing_account_id,
                 replace(lower(k.sub_account_id), '/subscriptions/', '') AS subscription
             FROM rollup_key k
             WHERE k.sub_account_id <> ''
               AND k.billing_account_id IN (SELECT billing_account_id FROM pair UNION SELECT other_account_id FROM pair)
         )
         SELECT p.generation_id AS "generation_id!", p.billing_account_id AS "billing_account_id!",
             p.billing_period_start AS "billing_period_start!", p.append_object AS "export!",
             p.source_name AS "source_name?", p.delivery_id AS "delivery_id!",
             p.other_generation_id AS "other_generation_id!"
         FROM pair p
         WHERE EXISTS (SELECT FROM named own JOIN named other USING (subscription)
                       WHERE own.billing_account_id = p.billing_account_id
                         AND other.billing_account_id = p.other_account_id)
         ORDER BY p.billing_period_start, p.billing_account_id, p.delivery_id"#,
        delivery_id,
    )
    .fetch_all(db)
    .await
}

/// Those of these pairs, place by place, that hold a subscription with the same cost on two days, or on the only day
/// that one of them has. Exports of one cost differ at most in digits that one of them cuts off.
pub async fn with_equal_days(
    db: impl PgExecutor<'_>,
    generation_ids: &[i64],
    other_generation_ids: &[i64],
) -> sqlx::Result<Vec<(i64, i64)>> {
    let pairs = sqlx::query!(
        r#"WITH day AS MATERIALIZED (
             SELECT d.generation_id, replace(lower(k.sub_account_id), '/subscriptions/', '') AS subscription,
                 d.billing_currency, d.charge_date, sum(d.billed_cost) AS billed, sum(d.effective_cost) AS effective
             FROM daily_cost_by_key d JOIN rollup_key k USING (sub_account_key, rollup_key_id)
             WHERE d.generation_id = ANY($1::bigint[] || $2::bigint[]) AND k.sub_account_id <> ''
             GROUP BY 1, 2, 3, 4
             HAVING sum(d.billed_cost) <> 0 OR sum(d.effective_cost) <> 0
         ), counted AS (
             SELECT *, count(*) OVER (PARTITION BY generation_id, subscription, billing_currency) AS day_count FROM day
         )
         SELECT pair.one_id AS "one_id!", pair.other_id AS "other_id!"
         FROM unnest($1::bigint[], $2::bigint[]) AS pair (one_id, other_id)
         WHERE EXISTS (
             SELECT FROM counted one JOIN counted other USING (subscription, billing_currency, charge_date)
             WHERE one.generation_id = pair.one_id AND other.generation_id = pair.other_id
               AND (one.billed <> 0 AND abs(one.billed - other.billed) <= abs(one.billed) / 1000000
                    OR one.effective <> 0 AND abs(one.effective - other.effective) <= abs(one.effective) / 1000000)
             GROUP BY subscription, billing_currency, one.day_count, other.day_count
             HAVING count(*) >= least(2, one.day_count, other.day_count))"#,
        generation_ids,
        other_generation_ids,
    )
    .fetch_all(db)
    .await?;
    Ok(pairs.into_iter().map(|pair| (pair.one_id, pair.other_id)).collect())
}
