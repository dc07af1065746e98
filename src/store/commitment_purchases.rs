//! What was bought for commitments: in list and contracted prices it is in the cost of what uses it already, so that
//! statements leave it out.

use super::statements::MonthView;
use super::{Scope, limits};
use crate::focus::{BillingPeriod, CostBasis};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// Months in currencies that are read at once.
const MONTH_COUNT_MAX: i64 = 50_000;

/// What the statement of a month leaves out in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// First day of the month.
    pub month: NaiveDate,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// In the asked basis.
    pub cost: BigDecimal,
}

/// What statements of the months `first` to `last` leave out. Nothing in a basis that commitments are paid in.
pub async fn left_out(
    conn: &mut PgConnection,
    scope: &Scope,
    view: MonthView,
    basis: CostBasis,
    first: BillingPeriod,
    last: BillingPeriod,
) -> sqlx::Result<Vec<LeftOut>> {
    if !basis.is_before_commitments() {
        return Ok(Vec::new());
    }
    let (start, end) = (first.first_day(), last.next().first_day());
    let rows = match view {
        MonthView::BillingPeriod => {
            sqlx::query_as!(
                LeftOut,
                r#"SELECT s.month AS "month!", s.billing_currency AS "billing_currency!",
                          -sum(cost_in($2::text, s.billed_cost, s.effective_cost, s.list_cost, s.contracted_cost)) AS "cost!"
                   FROM statement_left_out s
                   WHERE s.month >= $3 AND s.month < $4 AND ($1::bigint[] IS NULL OR s.team_id = ANY($1))
                   GROUP BY 1, 2 ORDER BY 1, 2 LIMIT $5"#,
                scope.team_ids(),
                basis.key(),
                start,
                end,
                MONTH_COUNT_MAX + 1,
            )
            .fetch_all(conn)
            .await?
        }
        MonthView::ChargeDay => {
            sqlx::query_as!(
                LeftOut,
                r#"SELECT date_trunc('month', p.charge_date::timestamp)::date AS "month!",
                          p.billing_currency AS "billing_currency!",
                          sum(cost_in($2::text, 0, 0, p.list_cost, p.contracted_cost)) AS "cost!"
                   FROM commitment_purchase p LEFT JOIN service ON service.service_id = p.service_id
                   WHERE p.state = 'current' AND p.charge_date >= $3 AND p.charge_date < $4
                     AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
                   GROUP BY 1, 2 ORDER BY 1, 2 LIMIT $5"#,
                scope.team_ids(),
                basis.key(),
                start,
                end,
                MONTH_COUNT_MAX + 1,
            )
            .fetch_all(conn)
            .await?
        }
    };
    limits::within(rows, MONTH_COUNT_MAX, "months in currencies")
}

/// Keeps with a closing what was bought for commitments, as its bills say it now.
pub(super) async fn keep(conn: &mut PgConnection, closing_id: i64, month: BillingPeriod) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE closed_cost c
         SET commitment_list_cost = p.list_cost, commitment_contracted_cost = p.contracted_cost
         FROM (SELECT b.source_id, b.billing_account_id, b.service_id, b.environment_id, b.provider_name,
                      b.charge_category, b.billing_currency, sum(b.list_cost) AS list_cost,
                      sum(b.contracted_cost) AS contracted_cost
               FROM commitment_purchase b
               WHERE b.state = 'current' AND b.billing_period_start >= $2 AND b.billing_period_start < $3
               GROUP BY 1, 2, 3, 4, 5, 6, 7) p
         WHERE c.closing_id = $1 AND c.source_id = p.source_id AND c.billing_account_id = p.billing_account_id
           AND c.service_id = p.service_id AND c.environment_id = p.environment_id
           AND c.provider_name = p.provider_name AND c.charge_category = p.charge_category
           AND c.billing_currency = p.billing_currency",
        closing_id,
        month.first_day(),
        month.next().first_day()
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Keeps with what a publication booked for closed months what of it was bought for commitments: what their bills say now
/// beyond what they said at closing and what was booked since.
pub(super) async fn book(conn: &mut PgConnection, publication_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE month_adjustment a
         SET (commitment_list_cost, commitment_contracted_cost) = (
             SELECT coalesce(sum(one.list_cost), 0), coalesce(sum(one.contracted_cost), 0)
             FROM (SELECT p.list_cost, p.contracted_cost
                   FROM commitment_purchase p
                   WHERE p.state = 'current' AND p.source_id = a.source_id
                     AND p.billing_account_id = a.billing_account_id AND p.billing_currency = a.billing_currency
                     AND p.billing_period_start >= k.month AND p.billing_period_start < k.month + interval '1 month'
                   UNION ALL
                   SELECT -c.commitment_list_cost, -c.commitment_contracted_cost
                   FROM closed_cost c
                   WHERE c.closing_id = a.closing_id AND c.source_id = a.source_id
                     AND c.billing_account_id = a.billing_account_id AND c.billing_currency = a.billing_currency
                   UNION ALL
                   SELECT -o.commitment_list_cost, -o.commitment_contracted_cost
                   FROM month_adjustment o
                   WHERE o.closing_id = a.closing_id AND o.source_id = a.source_id
                     AND o.billing_account_id = a.billing_account_id AND o.billing_currency = a.billing_currency
                     AND o.publication_id <> a.publication_id) one)
         FROM month_closing k
         WHERE a.publication_id = $1 AND k.closing_id = a.closing_id",
        publication_id
    )
    .execute(conn)
    .await
    .map(drop)
}
