//! The first days of a month's statement: what a month that is not over can be compared by.

use super::statements::{MonthView, StatementRow};
use super::{Scope, limits};
use crate::focus::{BillingPeriod, CostBasis};
use chrono::{Days, NaiveDate};
use sqlx::PgConnection;

/// Cells that are read at once: a statement adds them up.
const CELL_COUNT_MAX: i64 = 200_000;

/// Every cell of what a month holds of its first `day_count` days and of days before it, as the bills are now. The same
/// cells as [`super::statements::rows`] has of all days, also of a closed month, which keeps no days.
pub async fn rows(
    conn: &mut PgConnection,
    scope: &Scope,
    view: MonthView,
    basis: CostBasis,
    month: BillingPeriod,
    day_count: u32,
) -> sqlx::Result<Vec<StatementRow>> {
    let (start, end) = (month.first_day(), month.next().first_day());
    let until: NaiveDate = start + Days::new(u64::from(day_count));
    let rows = sqlx::query_as!(
        StatementRow,
        r#"SELECT $3::date AS "month!", date_trunc('month', d.billing_period_start::timestamp)::date AS "billing_month!",
                  d.service_id AS "service_id!", d.service_slug AS "service_slug?", d.service_name AS "service_name?",
                  d.team_id AS "team_id?", d.team_slug AS "team_slug?", d.team_name AS "team_name?",
                  d.cost_center AS "cost_center?", d.environment_id AS "environment_id!",
                  d.environment_slug AS "environment_slug?", d.environment_name AS "environment_name?",
                  d.provider_name AS "provider_name!", d.charge_category AS "charge_category!",
                  d.billing_currency AS "billing_currency!", sum(d.charge_count)::bigint AS "charge_count!",
                  sum(cost_in($2::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
           FROM charged_cell($8::boolean) d
           WHERE d.charge_date < $5
             AND (NOT $6::boolean OR (d.billing_period_start >= $3 AND d.billing_period_start < $4))
             AND ($6::boolean OR (d.charge_date >= $3 AND d.charge_date < $4))
             AND ($1::bigint[] IS NULL OR d.team_id = ANY($1))
           GROUP BY 2, d.service_id, d.service_slug, d.service_name, d.team_id, d.team_slug, d.team_name,
                    d.cost_center, d.environment_id, d.environment_slug, d.environment_name,
                    d.provider_name, d.charge_category, d.billing_currency
           LIMIT $7"#,
        scope.team_ids(),
        basis.key(),
        start,
        end,
        until,
        view == MonthView::BillingPeriod,
        CELL_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, CELL_COUNT_MAX, "cells of statements")
}
