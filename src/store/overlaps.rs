//! Which bills hold the same cost. Exports of one source do where billing account and period are the same and a
//! SubAccountId is in both: two subscriptions of one billing account have none, the same account exported twice has all.
//! Of different billing accounts two bills do where one is a sub account of the other: an Azure subscription exported
//! without its billing account, and all of that account elsewhere.

use chrono::NaiveDate;
use sqlx::PgExecutor;

/// Cost that another export, or another source, counts.
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
    /// The other source; `None` where it is the same.
    pub source_name: Option<String>,
    /// The delivery that is counted there.
    pub delivery_id: i64,
    /// Its generation.
    pub other_generation_id: i64,
    /// `BillingAccountId` of the bill there, which may be another one.
    pub other_account_id: String,
}

/// What other exports of the source count of the cost in this delivery. Files that add up overlap by nature; what
/// someone accepted beside it already is left out. Lines without a SubAccountId could be anyone's. Azure writes account and
/// subscription as paths in FOCUS files and bare elsewhere, and its exports of one resource (`… as type`) are all of it.
pub async fn of_delivery(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<Vec<Overlap>> {
    sqlx::query_as!(
        Overlap,
        // Asked of the own bills first: lines are looked at only where there is another export. The own sub accounts
        // are read once, those of another export up to the first in common. "IS TRUE" keeps the look-up a hash table:
        // a join would compare each with each, since the planner takes both sides for a few rows.
        r#"WITH own AS MATERIALIZED (
             SELECT * FROM generation g
             WHERE g.delivery_id = $1 AND g.charge_count > 0
               AND NOT EXISTS (SELECT FROM source_setting t
                               WHERE t.source_id = g.source_id AND t.restatement = 'append-by-object')
         ), pair AS MATERIALIZED (
             SELECT g.generation_id, g.billing_account_id, g.billing_period_start, o.append_object, o.delivery_id,
                 o.generation_id AS other_generation_id, o.billing_account_id AS other_account_id,
                 split_part(o.append_object, ' as ', 1) = split_part(g.append_object, ' as ', 1) AS is_one_resource
             FROM own g
             JOIN generation o ON o.source_id = g.source_id AND o.billing_period_start = g.billing_period_start
                 AND o.append_object <> g.append_object AND o.delivery_id <> g.delivery_id
                 AND o.state = 'current' AND o.charge_count > 0
                 AND NOT is_accepted_beside(g.generation_id, o.generation_id)
             WHERE split_part(o.append_object, ' as ', 1) = split_part(g.append_object, ' as ', 1)
                OR regexp_replace(lower(o.billing_account_id), '^.*/', '')
                       = regexp_replace(lower(g.billing_account_id), '^.*/', '')
         ), own_account AS MATERIALIZED (
             SELECT DISTINCT g.generation_id, a.sub_account
             FROM (SELECT DISTINCT generation_id FROM pair WHERE NOT is_one_resource) g
             CROSS JOIN LATERAL sub_accounts_of(g.generation_id) AS a (sub_account)
         )
         SELECT p.generation_id AS "generation_id!", p.billing_account_id AS "billing_account_id!",
             p.billing_period_start AS "billing_period_start!", p.append_object AS "export!",
             NULL::text AS "source_name?", p.delivery_id AS "delivery_id!",
             p.other_generation_id AS "other_generation_id!", p.other_account_id AS "other_account_id!"
         FROM pair p
         WHERE p.is_one_resource
            OR EXISTS (SELECT FROM sub_accounts_of(p.other_generation_id) AS a (sub_account)
                       WHERE ((p.generation_id, a.sub_account)
                                  IN (SELECT generation_id, sub_account FROM own_account)) IS TRUE)
         ORDER BY 3, 2, 4"#,
        delivery_id,
    )
    .fetch_all(db)
    .await
}

/// The billing accounts of this delivery, and of whatever counts in its billing periods.
pub async fn billing_accounts(db: impl PgExecutor<'_>, delivery_id: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT DISTINCT billing_account_id FROM generation
         WHERE (delivery_id = $1 OR state = 'current') AND billing_account_id <> ''
           AND billing_period_start IN (SELECT billing_period_start FROM generation WHERE delivery_id = $1)",
        delivery_id
    )
    .fetch_all(db)
    .await
}

/// What counts of the cost in this delivery under another billing account: the account of one of the two bills is a
/// sub account in the other. Given are the accounts, and place by place the SubAccountId that each may be with its key.
pub async fn by_sub_account(
    db: impl PgExecutor<'_>,
    delivery_id: i64,
    billing_account_ids: &[String],
    sub_account_ids: &[String],
    sub_account_keys: &[i32],
) -> sqlx::Result<Vec<Overlap>> {
    sqlx::query_as!(
        Overlap,
        r#"WITH named AS MATERIALIZED (
             SELECT n.account, k.sub_account_key, k.rollup_key_id
             FROM unnest($2::text[], $3::text[], $4::int[]) AS n (account, sub_account_id, sub_account_key)
             JOIN rollup_key k ON k.sub_account_key = n.sub_account_key AND k.sub_account_id = n.sub_account_id
                 AND k.billing_account_id <> n.account
         )
         SELECT DISTINCT g.generation_id AS "generation_id!", g.billing_account_id AS "billing_account_id!",
             g.billing_period_start AS "billing_period_start!", o.append_object AS "export!",
             CASE WHEN o.source_id <> g.source_id THEN s.name END AS "source_name?", o.delivery_id AS "delivery_id!",
             o.generation_id AS "other_generation_id!", o.billing_account_id AS "other_account_id!"
         FROM named n
         JOIN generation g ON g.delivery_id = $1
         JOIN generation o ON o.billing_period_start = g.billing_period_start AND o.state = 'current'
             AND o.billing_account_id <> g.billing_account_id AND o.delivery_id <> g.delivery_id
             AND NOT brings_bill_of(g.delivery_id, o.generation_id)
             AND o.biller_names && g.biller_names
         JOIN source s ON s.source_id = o.source_id
         WHERE n.account IN (g.billing_account_id, o.billing_account_id)
           AND g.charge_count > 0 AND o.charge_count > 0
           AND NOT is_accepted_beside(g.generation_id, o.generation_id)
           AND NOT EXISTS (SELECT FROM source_setting t
                           WHERE t.source_id = g.source_id AND o.source_id = g.source_id
                             AND t.restatement = 'append-by-object')
           AND EXISTS (SELECT FROM daily_cost_by_key d
                       WHERE d.rollup_key_id = n.rollup_key_id AND d.sub_account_key = n.sub_account_key
                         AND d.generation_id = CASE WHEN n.account = g.billing_account_id THEN o.generation_id
                                                    ELSE g.generation_id END)
         ORDER BY 3, 2, 6"#,
        delivery_id,
        billing_account_ids,
        sub_account_ids,
        sub_account_keys,
    )
    .fetch_all(db)
    .await
}
