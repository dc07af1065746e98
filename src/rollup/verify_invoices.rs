//! The proof for invoices: the sums by invoice are the lines of their bill, and items are those that people added.

use super::verify::{Check, shortened};
use sqlx::PgConnection;

/// Σ by invoice against the monthly costs of the same generation.
pub(super) async fn invoice_sums(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"WITH side AS (
             SELECT m.generation_id, m.billing_currency, m.charge_count, m.billed_cost
             FROM monthly_cost m JOIN generation g USING (generation_id) WHERE g.state = 'current'
             UNION ALL
             SELECT c.generation_id, c.billing_currency, -c.charge_count, -c.billed_cost
             FROM invoice_cost c JOIN generation g USING (generation_id) WHERE g.state = 'current'
         ), bill AS (
             SELECT generation_id, billing_currency, sum(charge_count) AS charge_count, sum(billed_cost) AS billed_cost
             FROM side GROUP BY 1, 2
         )
         SELECT count(*) AS "checked!",
             coalesce(array_agg(format('Generation %s in %s: its lines are %s lines and %s BilledCost more than its sums by invoice.',
                 generation_id, billing_currency, charge_count, billed_cost) ORDER BY generation_id)
             FILTER (WHERE charge_count <> 0 OR billed_cost <> 0), '{}') AS "differences!: Vec<String>"
         FROM bill"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Check {
        name: "Sums by invoice, lines without one included, add up to each bill",
        checked: row.checked,
        differences: shortened(row.differences),
    })
}

/// The items that explain differences against what the audit log, which nobody can change, says was added and taken
/// back.
pub(super) async fn invoice_items(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"WITH logged AS (
             SELECT (details ->> 'item')::bigint AS item_id,
                    sum(CASE action WHEN 'invoice.item_added' THEN 1 ELSE -1 END * (details ->> 'amount')::numeric)
                        AS amount
             FROM audit_log WHERE action IN ('invoice.item_added', 'invoice.item_removed') GROUP BY 1
         )
         SELECT count(i.invoice_item_id) AS "checked!",
             coalesce(array_agg(format('Item %s of an invoice is %s, and %s by the audit log.',
                 coalesce(i.invoice_item_id, l.item_id), coalesce(i.amount, 0), coalesce(l.amount, 0))
                 ORDER BY coalesce(i.invoice_item_id, l.item_id))
             FILTER (WHERE coalesce(i.amount, 0) <> coalesce(l.amount, 0)), '{}') AS "differences!: Vec<String>"
         FROM invoice_item i FULL JOIN logged l ON l.item_id = i.invoice_item_id"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Check {
        name: "Items that explain differences of invoices are those in the audit log",
        checked: row.checked,
        differences: shortened(row.differences),
    })
}
