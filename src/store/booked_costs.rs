//! What is booked to months for closed ones: whose cost it is, and what it adds to the totals of the months.
//!
//! One rule holds for every total by billing period: the net cost of a month is what its bills say, as closed where it is
//! closed; what is booked to it for closed months is no part of any row of it, but a row of its own below the net cost;
//! the total with adjustments is both. So the totals with adjustments of all months add up to what the bills say now. In
//! the view by charge day there is nothing booked: it shows the bills as they are. In list and contracted prices both are
//! without what was bought for commitments ([`super::commitment_purchases`]).

use super::{Scope, limits};
use crate::focus::{BillingPeriod, CostBasis};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// Adjustments of one month that are read at once.
const ADJUSTMENT_COUNT_MAX: i64 = 100_000;
/// Parts of adjustments that are read at once.
const PART_COUNT_MAX: i64 = 100_000;
/// Sums by both months and currency that are read at once.
const SUM_COUNT_MAX: i64 = 50_000;

/// Keeps whose cost the adjustments of a publication are: what its bills say less what those that they replaced said, by
/// service and environment. Both are mapped by the rules of this moment, so that a rule that was changed since the month
/// was closed moves nothing. The caller holds the ledger's lock and has just booked them.
pub async fn keep_parts(conn: &mut PgConnection, publication_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH moved AS (
             SELECT a.adjustment_id, a.billing_currency, g.generation_id,
                    CASE WHEN s.first_publication_id = $1 THEN 1 ELSE -1 END AS sign
             FROM month_adjustment a
             JOIN month_closing k ON k.closing_id = a.closing_id
             JOIN generation g ON g.source_id = a.source_id AND g.billing_account_id = a.billing_account_id
                 AND g.billing_period_start >= k.month AND g.billing_period_start < k.month + interval '1 month'
             JOIN counted_span s ON s.generation_id = g.generation_id
                 AND (s.first_publication_id = $1 OR s.end_publication_id = $1)
             WHERE a.publication_id = $1
         )
         INSERT INTO month_adjustment_cost (adjustment_id, service_id, service_name, team_id, team_name, cost_center,
             environment_id, environment_name, charge_count, billed_cost, effective_cost, list_cost, contracted_cost,
             commitment_list_cost, commitment_contracted_cost)
         SELECT part.adjustment_id, part.service_id, service.name, team.team_id, team.name, team.cost_center,
                part.environment_id, environment.name, part.charge_count, part.billed_cost, part.effective_cost,
                part.list_cost, part.contracted_cost, part.commitment_list_cost, part.commitment_contracted_cost
         FROM (SELECT side.adjustment_id, side.service_id, side.environment_id,
                      sum(side.sign * side.charge_count) AS charge_count,
                      sum(side.sign * side.billed_cost) AS billed_cost,
                      sum(side.sign * side.effective_cost) AS effective_cost,
                      sum(side.sign * side.list_cost) AS list_cost,
                      sum(side.sign * side.contracted_cost) AS contracted_cost,
                      sum(side.sign * side.commitment_list_cost) AS commitment_list_cost,
                      sum(side.sign * side.commitment_contracted_cost) AS commitment_contracted_cost
               FROM (SELECT moved.adjustment_id, moved.sign, m.service_id, m.environment_id, m.charge_count,
                            m.billed_cost, m.effective_cost, m.list_cost, m.contracted_cost,
                            0::numeric AS commitment_list_cost, 0::numeric AS commitment_contracted_cost
                     FROM moved JOIN monthly_cost m ON m.generation_id = moved.generation_id
                         AND m.billing_currency = moved.billing_currency
                     UNION ALL
                     SELECT moved.adjustment_id, moved.sign, bought.service_id, bought.environment_id, 0, 0, 0, 0, 0,
                            bought.list_cost, bought.contracted_cost
                     FROM moved
                     CROSS JOIN LATERAL (SELECT p.service_id, p.environment_id, sum(p.list_cost) AS list_cost,
                                                sum(p.contracted_cost) AS contracted_cost
                                         FROM commitment_purchase p
                                         WHERE p.generation_id = moved.generation_id
                                           AND p.billing_currency = moved.billing_currency
                                         GROUP BY p.service_id, p.environment_id) bought) side
               GROUP BY side.adjustment_id, side.service_id, side.environment_id) part
         LEFT JOIN service ON service.service_id = part.service_id
         LEFT JOIN team ON team.team_id = service.team_id
         LEFT JOIN environment ON environment.environment_id = part.environment_id
         WHERE (part.charge_count, part.billed_cost, part.effective_cost, part.list_cost, part.contracted_cost,
                part.commitment_list_cost, part.commitment_contracted_cost) <> (0, 0, 0, 0, 0, 0, 0)",
        publication_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Something that arrived late for a closed month.
#[derive(Debug, Clone)]
pub struct Adjustment {
    /// First day of the closed month.
    pub closed_month: NaiveDate,
    /// First day of the month that it is booked to.
    pub booked_month: NaiveDate,
    /// The publication that brought it.
    pub publication_id: i64,
    /// The delivery, where it was one.
    pub delivery_id: Option<i64>,
    /// Name of the source.
    pub source_name: String,
    /// FOCUS BillingAccountId.
    pub billing_account_id: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Lines more, or fewer where below zero.
    pub charge_count: i64,
    /// What it adds, in the asked basis.
    pub cost: BigDecimal,
    /// When it was booked.
    pub booked_at: DateTime<Utc>,
}

/// What is booked to a month for closed ones, and what is booked elsewhere for this month, oldest first.
/// Organisation only: a bill belongs to no team, so a restricted scope sees none.
pub async fn adjustments(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    month: BillingPeriod,
) -> sqlx::Result<Vec<Adjustment>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        Adjustment,
        r#"SELECT a.closed_month AS "closed_month!", a.booked_month AS "booked_month!",
                  a.publication_id AS "publication_id!", a.delivery_id AS "delivery_id?",
                  a.source_name AS "source_name!", a.billing_account_id AS "billing_account_id!",
                  a.billing_currency AS "billing_currency!", a.charge_count AS "charge_count!",
                  cost_in($2::text, a.billed_cost, a.effective_cost, a.list_cost, a.contracted_cost) AS "cost!",
                  a.booked_at AS "booked_at!"
           FROM booked_adjustment a
           WHERE a.closed_month = $1 OR a.booked_month = $1
           ORDER BY a.adjustment_id LIMIT $3"#,
        month.first_day(),
        basis.key(),
        ADJUSTMENT_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ADJUSTMENT_COUNT_MAX, "adjustments of closed months")
}

/// A part of an adjustment: of one service in one environment.
#[derive(Debug, Clone)]
pub struct AdjustmentPart {
    /// First day of the closed month.
    pub closed_month: NaiveDate,
    /// First day of the month that it is booked to.
    pub booked_month: NaiveDate,
    /// The publication that brought it.
    pub publication_id: i64,
    /// The delivery, where it was one.
    pub delivery_id: Option<i64>,
    /// Name of the source.
    pub source_name: String,
    /// FOCUS BillingAccountId.
    pub billing_account_id: String,
    /// 0 where no rule named a service; `None` where it is not known, because it was booked before that was kept.
    pub service_id: Option<i64>,
    /// Name of the service when it was booked.
    pub service_name: Option<String>,
    /// The team that owned it then.
    pub team_name: Option<String>,
    /// The team's cost center then.
    pub cost_center: Option<String>,
    /// Name of the environment, where a rule named one.
    pub environment_name: Option<String>,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Lines more, or fewer where below zero.
    pub charge_count: i64,
    /// What it adds, in the asked basis.
    pub cost: BigDecimal,
    /// When it was booked.
    pub booked_at: DateTime<Utc>,
}

/// The same adjustments by service and environment.
pub async fn parts(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    month: BillingPeriod,
) -> sqlx::Result<Vec<AdjustmentPart>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        AdjustmentPart,
        r#"SELECT a.closed_month AS "closed_month!", a.booked_month AS "booked_month!",
                  a.publication_id AS "publication_id!", a.delivery_id AS "delivery_id?",
                  a.source_name AS "source_name!", a.billing_account_id AS "billing_account_id!", p.service_id AS "service_id?",
                  p.service_name AS "service_name?", p.team_name AS "team_name?", p.cost_center AS "cost_center?",
                  p.environment_name AS "environment_name?", a.billing_currency AS "billing_currency!",
                  p.charge_count AS "charge_count!",
                  cost_in($2::text, p.billed_cost, p.effective_cost, p.list_cost - p.commitment_list_cost,
                          p.contracted_cost - p.commitment_contracted_cost) AS "cost!",
                  a.booked_at AS "booked_at!"
           FROM booked_adjustment a
           JOIN adjustment_part p ON p.adjustment_id = a.adjustment_id
           WHERE a.closed_month = $1 OR a.booked_month = $1
           ORDER BY a.adjustment_id, p.service_name NULLS LAST, p.service_id, p.environment_name NULLS LAST LIMIT $3"#,
        month.first_day(),
        basis.key(),
        PART_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, PART_COUNT_MAX, "parts of adjustments")
}

/// What is booked to a month for one closed month, in one currency.
#[derive(Debug, Clone)]
pub struct BookedCost {
    /// First day of the month that it is booked to.
    pub booked_month: NaiveDate,
    /// First day of the closed month: its rate converts it, as that of its bills.
    pub closed_month: NaiveDate,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Lines more, or fewer where below zero.
    pub charge_count: i64,
    /// In the asked basis; may be zero where it differs in another cost only.
    pub cost: BigDecimal,
}

/// What is booked to every month, the oldest first. Organisation only, as the adjustments.
pub async fn all(conn: &mut PgConnection, scope: &Scope, basis: CostBasis) -> sqlx::Result<Vec<BookedCost>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        BookedCost,
        r#"SELECT a.booked_month AS "booked_month!", a.closed_month AS "closed_month!",
                  a.billing_currency AS "billing_currency!", sum(a.charge_count)::bigint AS "charge_count!",
                  sum(cost_in($1::text, a.billed_cost, a.effective_cost, a.list_cost, a.contracted_cost)) AS "cost!"
           FROM booked_adjustment a
           GROUP BY a.booked_month, a.closed_month, a.billing_currency
           ORDER BY a.booked_month, a.closed_month, a.billing_currency LIMIT $2"#,
        basis.key(),
        SUM_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, SUM_COUNT_MAX, "sums of adjustments")
}
