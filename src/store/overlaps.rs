//! Which exports of one source hold the same cost: the same billing account and period, and a SubAccountId in common.
//! Two subscriptions of one billing account have none; the same account exported twice has all.

use chrono::NaiveDate;
use sqlx::PgExecutor;

/// Cost that another export of the same source counts.
#[derive(Debug, Clone)]
pub struct Overlap {
    /// This delivery's generation.
    pub generation_id: i64,
    /// `BillingAccountId`.
    pub billing_account_id: String,
    /// The provider's label.
    pub billing_period_start: NaiveDate,
    /// The other export; empty where what counts came without one.
    pub export: String,
    /// The delivery that is counted there.
    pub delivery_id: i64,
}

/// What other exports of the source count of the cost in this delivery. Files that add up overlap by nature; what
/// someone accepted already is left out. Lines without a SubAccountId could be anyone's.
pub async fn of_delivery(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<Vec<Overlap>> {
    sqlx::query_as!(
        Overlap,
        "SELECT g.generation_id, g.billing_account_id, g.billing_period_start, o.append_object AS export, o.delivery_id
         FROM generation g
         JOIN generation o ON o.source_id = g.source_id AND o.billing_account_id = g.billing_account_id
             AND o.billing_period_start = g.billing_period_start AND o.append_object <> g.append_object
             AND o.delivery_id <> g.delivery_id AND o.state = 'current'
         WHERE g.delivery_id = $1 AND NOT g.is_accepted_beside AND NOT o.is_accepted_beside
           AND NOT EXISTS (SELECT FROM source_setting t
                           WHERE t.source_id = g.source_id AND t.restatement = 'append-by-object')
           AND NOT EXISTS (SELECT FROM generation c
                           WHERE c.source_id = g.source_id AND c.billing_account_id = g.billing_account_id
                             AND c.billing_period_start = g.billing_period_start AND c.append_object = g.append_object
                             AND c.state = 'current' AND c.is_accepted_beside)
           AND EXISTS (SELECT k.sub_account_id FROM daily_cost_by_key d
                           JOIN rollup_key k USING (sub_account_key, rollup_key_id)
                           WHERE d.generation_id = g.generation_id
                       INTERSECT
                       SELECT k.sub_account_id FROM daily_cost_by_key d
                           JOIN rollup_key k USING (sub_account_key, rollup_key_id)
                           WHERE d.generation_id = o.generation_id)
         ORDER BY g.billing_period_start, g.billing_account_id, o.append_object",
        delivery_id,
    )
    .fetch_all(db)
    .await
}
