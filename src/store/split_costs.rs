//! What splits moved: by split, and by service.

use super::{Scope, limits};
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use sqlx::PgConnection;

/// What a split moved to or from one service in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitCost {
    /// The split.
    pub split_id: i64,
    /// The service; 0 for what is not allocated.
    pub service_id: i64,
    /// Its address; empty for what is not allocated.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// `BillingCurrency`.
    pub currency: String,
    /// `EffectiveCost`: below zero where it came from.
    pub cost: BigDecimal,
}

/// Services in currencies, once a split, that are read at once.
const MOVED_COUNT_MAX: i64 = 200_000;

/// What each split, or this one, moved on these days, within the scope: the origin's rows first.
pub async fn moved(
    conn: &mut PgConnection,
    scope: &Scope,
    split_id: Option<i64>,
    days: DateRange,
) -> sqlx::Result<Vec<SplitCost>> {
    let rows = sqlx::query_as!(
        SplitCost,
        r#"SELECT d.split_id, d.service_id, coalesce(service.slug, '') AS "slug!",
                  coalesce(service.name, CASE WHEN d.service_id = 0 THEN 'Not allocated' ELSE 'Removed service' END)
                      AS "name!",
                  d.billing_currency AS currency, sum(d.effective_cost) AS "cost!"
           FROM daily_cost d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           LEFT JOIN service ON service.service_id = d.service_id
           WHERE d.split_id <> 0 AND ($2::bigint IS NULL OR d.split_id = $2)
             AND d.charge_date >= $3 AND d.charge_date < $4
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
           GROUP BY d.split_id, d.service_id, service.slug, service.name, d.billing_currency
           ORDER BY d.split_id, d.billing_currency, 6 DESC, 4 LIMIT $5"#,
        scope.team_ids(),
        split_id,
        days.start(),
        days.end(),
        MOVED_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, MOVED_COUNT_MAX, "services that splits moved cost of")
}
