//! Adds everything up again from the charges, in SQL: an independent way to what the loader counted.

use super::{LedgerError, level_1, publish, rekey, remap, splits, verify};
use crate::store::{Pools, locks, same_subscription};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Rebuilds both rollup levels of every generation whose lines are there, and publishes them together. A generation
/// whose sums would not be the file's blocks it: nothing is changed then. Charge groups under keys of rules of the past
/// get their own before. Gives the number of generations.
pub async fn rebuild(
    pools: &Pools,
    by: &str,
    now: DateTime<Utc>,
    progress: impl Fn(usize, usize),
) -> Result<usize, LedgerError> {
    let mut transaction = pools.jobs.begin().await?;
    locks::lock_ledger(&mut transaction).await?;
    if rekey::put_right(&mut transaction).await?.group_count > 0 {
        remap::remap_within(&mut transaction, by, now).await?;
    }
    let ids = sqlx::query_scalar!(
        "SELECT generation_id FROM generation WHERE has_charges AND state IN ('current', 'superseded', 'withdrawn')
         ORDER BY generation_id"
    )
    .fetch_all(&mut *transaction)
    .await?;
    for (done, generation_id) in ids.iter().enumerate() {
        progress(done, ids.len());
        level_2(&mut transaction, *generation_id).await?;
        level_1::rebuild(&mut transaction, &[*generation_id]).await?;
        invoice_sums(&mut transaction, *generation_id).await?;
        same_subscription::add_up(&mut transaction, &[*generation_id]).await?;
    }
    splits::work_out(&mut transaction, None).await?;
    let levels = ["charge", "daily_cost_by_key", "daily_cost", "monthly_cost"];
    if let Some(difference) = verify::differences(&mut transaction, &ids, &levels).await?.into_iter().next() {
        return Err(LedgerError::Difference(difference));
    }
    publish::announce(&mut transaction, "rebuild", None, by, now).await?;
    transaction.commit().await?;
    Ok(ids.len())
}

async fn level_2(conn: &mut PgConnection, generation_id: i64) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM daily_cost_by_key WHERE generation_id = $1", generation_id).execute(&mut *conn).await?;
    sqlx::query!(
        "INSERT INTO daily_cost_by_key (generation_id, sub_account_key, rollup_key_id, charge_date, billing_currency,
             charge_count, billed_cost, effective_cost, list_cost, contracted_cost, pricing_quantity)
         SELECT c.generation_id, c.sub_account_key, g.rollup_key_id, (c.charge_period_start AT TIME ZONE 'UTC')::date,
             c.billing_currency, count(*), sum(c.billed_cost), sum(c.effective_cost),
             coalesce(sum(c.list_cost), 0), coalesce(sum(c.contracted_cost), 0), coalesce(sum(c.pricing_quantity), 0)
         FROM charge c JOIN charge_group g USING (sub_account_key, group_id)
         WHERE c.generation_id = $1
         GROUP BY 1, 2, 3, 4, 5
         ORDER BY 3, 4, 5",
        generation_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

// Lines are grouped by invoice as a load does it: an absent name is an empty one.
async fn invoice_sums(conn: &mut PgConnection, generation_id: i64) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM invoice_cost WHERE generation_id = $1", generation_id).execute(&mut *conn).await?;
    sqlx::query!(
        "INSERT INTO invoice_cost
             (generation_id, invoice_id, invoice_issuer_name, billing_currency, charge_count, billed_cost)
         SELECT c.generation_id, coalesce(g.attributes->>'InvoiceId', ''), coalesce(k.invoice_issuer_name, ''),
             c.billing_currency, count(*), sum(c.billed_cost)
         FROM charge c JOIN charge_group g USING (sub_account_key, group_id)
         JOIN rollup_key k USING (sub_account_key, rollup_key_id)
         WHERE c.generation_id = $1 GROUP BY 1, 2, 3, 4",
        generation_id
    )
    .execute(conn)
    .await?;
    Ok(())
}
