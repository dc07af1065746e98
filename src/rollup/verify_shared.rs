//! Proof of shared costs: what splits move adds up to zero, is what they would move now, and every total stays.

use super::splits;
use super::verify::{Check, shortened};
use crate::allocate::all_days;
use crate::allocate::split::{Costs, RowKey};
use crate::store::splits as stored_splits;
use bigdecimal::{BigDecimal, Zero};
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Every check of shared costs.
pub(super) async fn checks(conn: &mut PgConnection) -> anyhow::Result<Vec<Check>> {
    Ok(vec![
        mapped_days(&mut *conn).await?,
        conserved(&mut *conn).await?,
        adds_up_to_zero(&mut *conn).await?,
        months(&mut *conn).await?,
        as_worked_out(conn).await?,
    ])
}

async fn mapped_days(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "checked!", count(*) FILTER (WHERE is_whole IS NOT TRUE) AS "broken!"
           FROM (
               SELECT min(m.first_day) = '0001-01-01' AND max(m.end_day) = '9999-12-31'
                   AND sum(m.end_day - m.first_day) = '9999-12-31'::date - '0001-01-01'::date AS is_whole
               FROM rollup_key k LEFT JOIN key_mapping m USING (sub_account_key, rollup_key_id)
               WHERE k.is_mapped GROUP BY k.sub_account_key, k.rollup_key_id
           ) key"#
    )
    .fetch_one(conn)
    .await?;
    let differences = if row.broken > 0 {
        vec![format!("{} rollup keys have no owner, or two, on some days.", row.broken)]
    } else {
        vec![]
    };
    Ok(Check { name: "Every rollup key has one owner on every charge day", checked: row.checked, differences })
}

// The issue's sentence: own, shared and not allocated cost, by source, billing period and currency, in all columns.
async fn conserved(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"WITH told AS (
             SELECT g.source_id, g.billing_period_start, t.billing_currency, sum(t.billed_cost) AS billed_cost,
                 sum(t.effective_cost) AS effective_cost, sum(coalesce(t.list_cost, 0)) AS list_cost,
                 sum(coalesce(t.contracted_cost, 0)) AS contracted_cost
             FROM generation g
             JOIN delivery_total t USING (delivery_id, billing_account_id, billing_period_start)
             WHERE g.state = 'current' GROUP BY 1, 2, 3
         ), shown AS (
             SELECT g.source_id, g.billing_period_start, d.billing_currency,
                 coalesce(sum(d.billed_cost) FILTER (WHERE d.service_id <> 0), 0)
                     + coalesce(sum(d.billed_cost) FILTER (WHERE d.service_id = 0), 0) AS billed_cost,
                 coalesce(sum(d.effective_cost) FILTER (WHERE d.service_id <> 0), 0)
                     + coalesce(sum(d.effective_cost) FILTER (WHERE d.service_id = 0), 0) AS effective_cost,
                 coalesce(sum(d.list_cost) FILTER (WHERE d.service_id <> 0), 0)
                     + coalesce(sum(d.list_cost) FILTER (WHERE d.service_id = 0), 0) AS list_cost,
                 coalesce(sum(d.contracted_cost) FILTER (WHERE d.service_id <> 0), 0)
                     + coalesce(sum(d.contracted_cost) FILTER (WHERE d.service_id = 0), 0) AS contracted_cost
             FROM daily_cost d JOIN generation g USING (generation_id)
             WHERE g.state = 'current' GROUP BY 1, 2, 3
         )
         SELECT count(*) AS "checked!",
             coalesce(array_agg(format('Source %s, period %s in %s: charges say %s / %s / %s / %s, allocated and not allocated together %s / %s / %s / %s.',
                 source_id, billing_period_start, billing_currency,
                 t.billed_cost, t.effective_cost, t.list_cost, t.contracted_cost,
                 s.billed_cost, s.effective_cost, s.list_cost, s.contracted_cost)
                 ORDER BY billing_period_start, source_id)
             FILTER (WHERE (t.billed_cost, t.effective_cost, t.list_cost, t.contracted_cost)
                 IS DISTINCT FROM (s.billed_cost, s.effective_cost, s.list_cost, s.contracted_cost)), '{}')
                 AS "differences!: Vec<String>"
         FROM told t FULL JOIN shown s USING (source_id, billing_period_start, billing_currency)"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Check {
        name: "Allocated and not allocated cost, shared cost included, add up to the charges of each source, period and currency",
        checked: row.checked,
        differences: shortened(row.differences),
    })
}

async fn adds_up_to_zero(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "checked!",
             coalesce(array_agg(format('Split %s on %s, generation %s in %s: %s / %s / %s / %s are left over.', split_id,
                 charge_date, generation_id, billing_currency, billed, effective, list, contracted) ORDER BY charge_date)
             FILTER (WHERE (billed, effective, list, contracted) <> (0, 0, 0, 0)), '{}') AS "differences!: Vec<String>"
         FROM (
             SELECT split_id, charge_date, generation_id, billing_currency, sum(billed_cost) AS billed,
                 sum(effective_cost) AS effective, sum(list_cost) AS list, sum(contracted_cost) AS contracted
             FROM daily_cost WHERE split_id <> 0
             GROUP BY split_id, charge_date, generation_id, billing_currency, environment_id, provider_name,
                 charge_category, is_used
         ) moved"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Check {
        name: "What a split gives away is what its services get, on every day",
        checked: row.checked,
        differences: shortened(row.differences),
    })
}

async fn months(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"WITH by_day AS (
             SELECT generation_id, service_id, split_id, billing_currency, sum(billed_cost) AS billed,
                 sum(effective_cost) AS effective, sum(list_cost) AS list, sum(contracted_cost) AS contracted
             FROM daily_cost WHERE split_id <> 0 GROUP BY 1, 2, 3, 4
         ), by_month AS (
             SELECT generation_id, service_id, split_id, billing_currency, sum(billed_cost) AS billed,
                 sum(effective_cost) AS effective, sum(list_cost) AS list, sum(contracted_cost) AS contracted
             FROM monthly_cost WHERE split_id <> 0 GROUP BY 1, 2, 3, 4
         )
         SELECT count(*) AS "checked!",
             coalesce(array_agg(format('Split %s, service %s, generation %s: days say %s, months %s (EffectiveCost).',
                 split_id, service_id, generation_id, d.effective, m.effective) ORDER BY generation_id)
             FILTER (WHERE (d.billed, d.effective, d.list, d.contracted)
                 IS DISTINCT FROM (m.billed, m.effective, m.list, m.contracted)), '{}') AS "differences!: Vec<String>"
         FROM by_day d FULL JOIN by_month m USING (generation_id, service_id, split_id, billing_currency)"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Check {
        name: "Shared cost by month adds up to shared cost by day",
        checked: row.checked,
        differences: shortened(row.differences),
    })
}

type Rows = BTreeMap<(i64, i64, RowKey), Costs>;

async fn as_worked_out(conn: &mut PgConnection) -> anyhow::Result<Check> {
    let stored = stored_splits::list(&mut *conn).await?;
    let plan = splits::plan(&mut *conn, &stored).await?;
    let (moved, _) = splits::worked_out(&mut *conn, &plan, all_days()).await?;
    let mut wanted: Rows = moved.into_iter().map(|one| ((one.split_id, one.service_id, one.key), one.costs)).collect();
    let (mut checked, mut differences) = (0, Vec::new());
    let mut rows = sqlx::query!(
        "SELECT d.* FROM daily_cost d JOIN generation g USING (generation_id)
         WHERE d.split_id <> 0 AND g.state = 'current'"
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await? {
        checked += 1;
        let key = RowKey {
            charge_date: row.charge_date,
            generation_id: row.generation_id,
            environment_id: row.environment_id,
            provider_name: row.provider_name,
            charge_category: row.charge_category,
            billing_currency: row.billing_currency,
            is_used: row.is_used,
        };
        let costs = [row.billed_cost, row.effective_cost, row.list_cost, row.contracted_cost];
        let place = (row.split_id, row.service_id, key);
        let worked_out = wanted.remove(&place).unwrap_or_else(|| std::array::from_fn(|_| BigDecimal::zero()));
        if worked_out != costs {
            differences.push(told(&place, &worked_out[1], &costs[1]));
        }
    }
    differences.extend(wanted.iter().map(|(place, costs)| told(place, &costs[1], &BigDecimal::zero())));
    checked += wanted.len() as i64;
    Ok(Check {
        name: "Shared cost is what the splits make of the bills as they stand",
        checked,
        differences: shortened(differences),
    })
}

fn told((split_id, service_id, key): &(i64, i64, RowKey), worked_out: &BigDecimal, stored: &BigDecimal) -> String {
    let (day, currency) = (key.charge_date, &key.billing_currency);
    format!(
        "Split {split_id}, service {service_id} on {day} in {currency}: worked out {worked_out}, stored {stored} (EffectiveCost)."
    )
}
