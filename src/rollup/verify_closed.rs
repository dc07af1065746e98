//! The proof for closed months: what they said, with what was booked since, is what their bills say now.

use super::verify::{Check, shortened};
use crate::focus::BillingPeriod;
use crate::store::{month_closing, rates};
use sqlx::PgConnection;

/// Closed figures and adjustments against the current ledger, for each bill, currency and cost column.
pub(super) async fn closed_months(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"WITH side AS (
             SELECT k.month, c.source_id, c.billing_account_id, c.billing_currency, true AS is_said, c.charge_count,
                    c.billed_cost, c.effective_cost, c.list_cost, c.contracted_cost
             FROM closed_cost c JOIN month_closing k USING (closing_id) WHERE k.reopened_at IS NULL
             UNION ALL
             SELECT k.month, a.source_id, a.billing_account_id, a.billing_currency, true, a.charge_count,
                    a.billed_cost, a.effective_cost, a.list_cost, a.contracted_cost
             FROM month_adjustment a JOIN month_closing k USING (closing_id) WHERE k.reopened_at IS NULL
             UNION ALL
             SELECT k.month, g.source_id, g.billing_account_id, m.billing_currency, false, -m.charge_count,
                    -m.billed_cost, -m.effective_cost, -m.list_cost, -m.contracted_cost
             FROM month_closing k
             JOIN generation g ON g.state = 'current' AND date_trunc('month', g.billing_period_start::timestamp)::date = k.month
             JOIN monthly_cost m USING (generation_id)
             WHERE k.reopened_at IS NULL
         ), bill AS (
             SELECT month, source_id, billing_account_id, billing_currency, sum(charge_count) AS charge_count,
                    sum(billed_cost) AS billed_cost, sum(effective_cost) AS effective_cost,
                    sum(list_cost) AS list_cost, sum(contracted_cost) AS contracted_cost
             FROM side GROUP BY 1, 2, 3, 4
         )
         SELECT count(*) AS "checked!",
             coalesce(array_agg(format('%s, source %s, account %s in %s: closed figures and adjustments are %s lines and %s / %s / %s / %s more than the bills (BilledCost / EffectiveCost / ListCost / ContractedCost).',
                 to_char(month, 'YYYY-MM'), source_id, billing_account_id, billing_currency, charge_count, billed_cost,
                 effective_cost, list_cost, contracted_cost) ORDER BY month, source_id)
             FILTER (WHERE (charge_count, billed_cost, effective_cost, list_cost, contracted_cost) <> (0, 0, 0, 0, 0)),
             '{}') AS "differences!: Vec<String>"
         FROM bill"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Check {
        name: "Closed months and what was booked for them since add up to their bills",
        checked: row.checked,
        differences: shortened(row.differences),
    })
}

/// The rates of closed months are what they were at closing.
pub(super) async fn closed_rates(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let kept = month_closing::closed_rates(conn).await?;
    let mut differences = Vec::new();
    for one in &kept {
        let month = BillingPeriod::containing(one.month);
        let rates = rates::into(conn, &one.reporting_currency, month, month).await?;
        let now = rates.get(month, &one.billing_currency).map(|rate| &rate.value);
        if now != Some(&one.rate) {
            let now = now.map_or_else(|| "none".into(), |rate| rate.to_plain_string());
            differences.push(format!(
                "{month}: the rate from {} to {} was {} at closing and is {now}.",
                one.billing_currency,
                one.reporting_currency,
                one.rate.to_plain_string()
            ));
        }
    }
    Ok(Check {
        name: "The rates of closed months are those of their closing",
        checked: kept.len() as i64,
        differences: shortened(differences),
    })
}

/// Exactly the current generations count now.
pub(super) async fn counted_spans(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "checked!",
             coalesce(array_agg(format('Generation %s is %s and has %s publication since which it counts.',
                 g.generation_id, g.state, CASE WHEN s.generation_id IS NULL THEN 'no' ELSE 'a' END)
                 ORDER BY g.generation_id)
             FILTER (WHERE (g.state = 'current') <> (s.generation_id IS NOT NULL)), '{}') AS "differences!: Vec<String>"
         FROM generation g
         LEFT JOIN counted_span s ON s.generation_id = g.generation_id AND s.end_publication_id IS NULL"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Check {
        name: "What counts now is what the history of publications says",
        checked: row.checked,
        differences: shortened(row.differences),
    })
}
