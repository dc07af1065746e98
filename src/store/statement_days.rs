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
        r#"SELECT $3::date AS "month!", date_trunc('month', g.billing_period_start::timestamp)::date AS "billing_month!",
                  d.service_id AS "service_id!", service.slug AS "service_slug?", service.name AS "service_name?",
                  team.team_id AS "team_id?", team.slug AS "team_slug?", team.name AS "team_name?",
                  team.cost_center AS "cost_center?", d.environment_id AS "environment_id!",
                  environment.slug AS "environment_slug?", environment.name AS "environment_name?",
                  d.provider_name AS "provider_name!", d.charge_category AS "charge_category!",
                  d.billing_currency AS "billing_currency!", sum(d.charge_count)::bigint AS "charge_count!",
                  sum(cost_in($2::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
           FROM (SELECT generation_id, service_id, environment_id, provider_name, charge_category, billing_currency,
                        charge_date, charge_count, billed_cost, effective_cost, list_cost, contracted_cost
                 FROM daily_cost
                 UNION ALL
                 SELECT generation_id, service_id, environment_id, provider_name, charge_category, billing_currency,
                        charge_date, 0, 0, 0, -list_cost, -contracted_cost
                 FROM commitment_purchase WHERE state = 'current' AND $2::text IN ('list', 'contracted')) d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           LEFT JOIN service ON service.service_id = d.service_id
           LEFT JOIN team ON team.team_id = service.team_id
           LEFT JOIN environment ON environment.environment_id = d.environment_id
           WHERE d.charge_date < $5
             AND (NOT $6::boolean OR (g.billing_period_start >= $3 AND g.billing_period_start < $4))
             AND ($6::boolean OR (d.charge_date >= $3 AND d.charge_date < $4))
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
           GROUP BY 2, d.service_id, service.slug, service.name, team.team_id, team.slug, team.name, team.cost_center,
                    d.environment_id, environment.slug, environment.name,
                    d.provider_name, d.charge_category, d.billing_currency
           LIMIT $7"#,
        scope.team_ids(),
        basis.key(),
        start,
        end,
        until,
        view == MonthView::BillingPeriod,
        CELL_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, CELL_COUNT_MAX, "cells of statements")
}
