//! What a month cost: by billing period (what the invoices say) and by charge day (when it was used). In list and
//! contracted prices without what was bought for commitments ([`super::commitment_purchases`]).

use super::charges::ChargeFilter;
use super::{Scope, limits};
use crate::focus::{BillingPeriod, CostBasis};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Cells that are read at once: a statement adds them up.
const CELL_COUNT_MAX: i64 = 200_000;
/// Months in currencies that are read at once, apart by the month of the bills.
const MONTH_COUNT_MAX: i64 = 50_000;

/// Which label of a charge puts it into a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MonthView {
    /// The provider's billing period: the month adds up to the invoices.
    #[default]
    BillingPeriod,
    /// The day on which the charge arose, whatever bill it came on.
    ChargeDay,
}

impl MonthView {
    /// The word in a URL: `view=billing`.
    pub fn key(self) -> &'static str {
        match self {
            Self::BillingPeriod => "billing",
            Self::ChargeDay => "charge",
        }
    }
}

/// The cost of one service in one environment from one provider, within a month. No name is known where
/// nothing is allocated.
#[derive(Debug, Clone)]
pub struct StatementRow {
    /// First day of the month.
    pub month: NaiveDate,
    /// First day of the month whose bill it came on: that month's rate converts it.
    pub billing_month: NaiveDate,
    /// 0 where no rule names a service.
    pub service_id: i64,
    /// In the service's address.
    pub service_slug: Option<String>,
    /// Name of the service.
    pub service_name: Option<String>,
    /// The team that owns the service.
    pub team_id: Option<i64>,
    /// In the team's address.
    pub team_slug: Option<String>,
    /// Name of the team that owns the service.
    pub team_name: Option<String>,
    /// The team's cost center.
    pub cost_center: Option<String>,
    /// 0 where no rule names an environment.
    pub environment_id: i64,
    /// In the environment's address.
    pub environment_slug: Option<String>,
    /// Name of the environment.
    pub environment_name: Option<String>,
    /// FOCUS ProviderName.
    pub provider_name: String,
    /// FOCUS ChargeCategory.
    pub charge_category: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Lines behind the amount.
    pub charge_count: i64,
    /// In the asked basis.
    pub cost: BigDecimal,
}

/// Every cell of the months `first` to `last`, both included.
pub async fn rows(
    conn: &mut PgConnection,
    scope: &Scope,
    view: MonthView,
    basis: CostBasis,
    first: BillingPeriod,
    last: BillingPeriod,
) -> sqlx::Result<Vec<StatementRow>> {
    let (start, end) = (first.first_day(), last.next().first_day());
    match view {
        MonthView::BillingPeriod => billed_rows(conn, scope, basis, start, end).await,
        MonthView::ChargeDay => charged_rows(conn, scope, basis, start, end).await,
    }
}

async fn billed_rows(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    start: NaiveDate,
    end: NaiveDate,
) -> sqlx::Result<Vec<StatementRow>> {
    let rows = sqlx::query_as!(
        StatementRow,
        r#"SELECT s.month AS "month!", s.month AS "billing_month!", s.service_id AS "service_id!",
                  s.service_slug AS "service_slug?", s.service_name AS "service_name?",
                  s.team_id AS "team_id?", s.team_slug AS "team_slug?", s.team_name AS "team_name?",
                  s.cost_center AS "cost_center?", s.environment_id AS "environment_id!",
                  s.environment_slug AS "environment_slug?", s.environment_name AS "environment_name?",
                  s.provider_name AS "provider_name!", s.charge_category AS "charge_category!",
                  s.billing_currency AS "billing_currency!", sum(s.charge_count)::bigint AS "charge_count!",
                  sum(cost_in($2::text, s.billed_cost, s.effective_cost, s.list_cost, s.contracted_cost)) AS "cost!"
           FROM statement_cell($6::boolean) s
           WHERE s.month >= $3 AND s.month < $4 AND ($1::bigint[] IS NULL OR s.team_id = ANY($1))
           GROUP BY s.month, s.service_id, s.service_slug, s.service_name, s.team_id, s.team_slug, s.team_name,
                    s.cost_center, s.environment_id, s.environment_slug, s.environment_name,
                    s.provider_name, s.charge_category, s.billing_currency
           LIMIT $5"#,
        scope.team_ids(),
        basis.key(),
        start,
        end,
        CELL_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, CELL_COUNT_MAX, "cells of statements")
}

async fn charged_rows(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    start: NaiveDate,
    end: NaiveDate,
) -> sqlx::Result<Vec<StatementRow>> {
    let rows = sqlx::query_as!(
        StatementRow,
        r#"SELECT date_trunc('month', d.charge_date::timestamp)::date AS "month!",
                  date_trunc('month', d.billing_period_start::timestamp)::date AS "billing_month!",
                  d.service_id AS "service_id!", d.service_slug AS "service_slug?", d.service_name AS "service_name?",
                  d.team_id AS "team_id?", d.team_slug AS "team_slug?", d.team_name AS "team_name?",
                  d.cost_center AS "cost_center?", d.environment_id AS "environment_id!",
                  d.environment_slug AS "environment_slug?", d.environment_name AS "environment_name?",
                  d.provider_name AS "provider_name!", d.charge_category AS "charge_category!",
                  d.billing_currency AS "billing_currency!", sum(d.charge_count)::bigint AS "charge_count!",
                  sum(cost_in($2::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
           FROM charged_cell($6::boolean) d
           WHERE d.charge_date >= $3 AND d.charge_date < $4 AND ($1::bigint[] IS NULL OR d.team_id = ANY($1))
           GROUP BY 1, 2, d.service_id, d.service_slug, d.service_name, d.team_id, d.team_slug, d.team_name,
                    d.cost_center, d.environment_id, d.environment_slug, d.environment_name,
                    d.provider_name, d.charge_category, d.billing_currency
           LIMIT $5"#,
        scope.team_ids(),
        basis.key(),
        start,
        end,
        CELL_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, CELL_COUNT_MAX, "cells of statements")
}

/// A month's totals in one currency.
#[derive(Debug, Clone)]
pub struct MonthTotal {
    /// First day of the month.
    pub month: NaiveDate,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Everything, tax and credits included.
    pub cost: BigDecimal,
    /// ChargeCategory Tax.
    pub tax: BigDecimal,
    /// ChargeCategory Credit.
    pub credit: BigDecimal,
    /// What no rule gives to a service.
    pub unallocated: BigDecimal,
    /// Lines behind it.
    pub charge_count: i64,
}

/// The totals of a month, of the bills of one month: one rate converts them.
#[derive(Debug, Clone)]
pub struct MonthPart {
    /// First day of the month of the bills.
    pub billing_month: NaiveDate,
    /// What they add to the month.
    pub total: MonthTotal,
}

/// The totals of the months `first` to `last`, newest first.
pub async fn months(
    conn: &mut PgConnection,
    scope: &Scope,
    view: MonthView,
    basis: CostBasis,
    first: BillingPeriod,
    last: BillingPeriod,
) -> sqlx::Result<Vec<MonthTotal>> {
    let mut totals: BTreeMap<(NaiveDate, String), MonthTotal> = BTreeMap::new();
    for MonthPart { total: part, .. } in month_parts(conn, scope, view, basis, first, last).await? {
        match totals.entry((part.month, part.billing_currency.clone())) {
            Entry::Vacant(place) => {
                place.insert(part);
            }
            Entry::Occupied(mut sum) => sum.get_mut().add(part),
        }
    }
    let mut totals: Vec<MonthTotal> = totals.into_values().collect();
    totals.sort_by(|left, right| right.month.cmp(&left.month).then_with(|| right.cost.cmp(&left.cost)));
    Ok(totals)
}

/// The same, apart by the month of the bills.
pub async fn month_parts(
    conn: &mut PgConnection,
    scope: &Scope,
    view: MonthView,
    basis: CostBasis,
    first: BillingPeriod,
    last: BillingPeriod,
) -> sqlx::Result<Vec<MonthPart>> {
    let (start, end) = (first.first_day(), last.next().first_day());
    match view {
        MonthView::BillingPeriod => {
            let totals = billed_months(conn, scope, basis, start, end).await?;
            Ok(totals.into_iter().map(|total| MonthPart { billing_month: total.month, total }).collect())
        }
        MonthView::ChargeDay => charged_months(conn, scope, basis, start, end).await,
    }
}

impl MonthTotal {
    fn add(&mut self, other: Self) {
        self.cost += other.cost;
        self.tax += other.tax;
        self.credit += other.credit;
        self.unallocated += other.unallocated;
        self.charge_count += other.charge_count;
    }
}

/// The first and the last month that any current bill is for or has charges in, or that is closed; `None` before the
/// first bill.
pub async fn month_range(conn: &mut PgConnection) -> sqlx::Result<Option<(BillingPeriod, BillingPeriod)>> {
    let row = sqlx::query!(
        "SELECT least(min(billing_period_start), min(first_charge_date), (SELECT min(month) FROM month_closing
                      WHERE reopened_at IS NULL)) AS first,
                greatest(max(billing_period_start), max(last_charge_date), (SELECT max(month) FROM month_closing
                         WHERE reopened_at IS NULL)) AS last
         FROM generation WHERE state = 'current'"
    )
    .fetch_one(conn)
    .await?;
    Ok(row.first.zip(row.last).map(|(first, last)| (BillingPeriod::containing(first), BillingPeriod::containing(last))))
}

async fn billed_months(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    start: NaiveDate,
    end: NaiveDate,
) -> sqlx::Result<Vec<MonthTotal>> {
    let rows = sqlx::query_as!(
        MonthTotal,
        r#"WITH cell AS (
               SELECT s.month, s.billing_currency, s.charge_category, s.service_id, s.charge_count,
                      cost_in($2::text, s.billed_cost, s.effective_cost, s.list_cost, s.contracted_cost) AS cost
               FROM statement_cell($6::boolean) s
               WHERE s.month >= $3 AND s.month < $4 AND ($1::bigint[] IS NULL OR s.team_id = ANY($1)))
           SELECT month AS "month!", billing_currency AS "billing_currency!", sum(cost) AS "cost!",
                  coalesce(sum(cost) FILTER (WHERE charge_category = 'Tax'), 0) AS "tax!",
                  coalesce(sum(cost) FILTER (WHERE charge_category = 'Credit'), 0) AS "credit!",
                  coalesce(sum(cost) FILTER (WHERE service_id = 0), 0) AS "unallocated!",
                  sum(charge_count)::bigint AS "charge_count!"
           FROM cell GROUP BY month, billing_currency ORDER BY month DESC, sum(cost) DESC LIMIT $5"#,
        scope.team_ids(),
        basis.key(),
        start,
        end,
        MONTH_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, MONTH_COUNT_MAX, "months in currencies")
}

async fn charged_months(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    start: NaiveDate,
    end: NaiveDate,
) -> sqlx::Result<Vec<MonthPart>> {
    let rows = sqlx::query!(
        r#"WITH cell AS (
               SELECT date_trunc('month', d.charge_date::timestamp)::date AS month,
                      date_trunc('month', d.billing_period_start::timestamp)::date AS billing_month,
                      d.billing_currency, d.charge_category, d.service_id, d.charge_count,
                      cost_in($2::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost) AS cost
               FROM charged_cell($6::boolean) d
               WHERE d.charge_date >= $3 AND d.charge_date < $4 AND ($1::bigint[] IS NULL OR d.team_id = ANY($1)))
           SELECT month AS "month!", billing_month AS "billing_month!", billing_currency AS "billing_currency!",
                  sum(cost) AS "cost!",
                  coalesce(sum(cost) FILTER (WHERE charge_category = 'Tax'), 0) AS "tax!",
                  coalesce(sum(cost) FILTER (WHERE charge_category = 'Credit'), 0) AS "credit!",
                  coalesce(sum(cost) FILTER (WHERE service_id = 0), 0) AS "unallocated!",
                  sum(charge_count)::bigint AS "charge_count!"
           FROM cell GROUP BY month, billing_month, billing_currency
           ORDER BY month DESC, billing_month, billing_currency LIMIT $5"#,
        scope.team_ids(),
        basis.key(),
        start,
        end,
        MONTH_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    let rows = limits::within(rows, MONTH_COUNT_MAX, "months in currencies")?;
    let parts = rows.into_iter().map(|row| MonthPart {
        billing_month: row.billing_month,
        total: MonthTotal {
            month: row.month,
            billing_currency: row.billing_currency,
            cost: row.cost,
            tax: row.tax,
            credit: row.credit,
            unallocated: row.unallocated,
            charge_count: row.charge_count,
        },
    });
    Ok(parts.collect())
}

/// What a month's statement says of a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedCost {
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// In the asked basis, shared cost included.
    pub cost: BigDecimal,
}

/// What the statement of a billing month says of the cost of a filter, as closed where the month is closed. Only what
/// statements are kept by is looked at: service, environment, team, cost center, provider, charge category, currency.
pub async fn stated(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    month: BillingPeriod,
    filter: &ChargeFilter,
) -> sqlx::Result<Vec<StatedCost>> {
    sqlx::query_as!(
        StatedCost,
        r#"SELECT s.billing_currency AS "billing_currency!",
                  sum(cost_in($2::text, s.billed_cost, s.effective_cost, s.list_cost, s.contracted_cost)) AS "cost!"
           FROM statement_cost s
           WHERE s.month = $3 AND ($1::bigint[] IS NULL OR s.team_id = ANY($1))
             AND ($4::bigint IS NULL OR s.service_id = $4)
             AND ($5::bigint IS NULL OR s.environment_id = $5)
             AND ($6::bigint IS NULL OR coalesce(s.team_id, 0) = $6)
             AND ($7::text IS NULL OR coalesce(s.cost_center, '') = $7)
             AND ($8::bool IS NULL OR (s.service_id <> 0) = $8)
             AND ($9::text IS NULL OR s.provider_name = $9)
             AND ($10::text IS NULL OR s.charge_category = $10)
             AND ($11::text IS NULL OR s.billing_currency = $11)
           GROUP BY s.billing_currency ORDER BY s.billing_currency LIMIT 200"#,
        scope.team_ids(),
        basis.key(),
        month.first_day(),
        filter.service_id,
        filter.environment_id,
        filter.team_id,
        filter.cost_center,
        filter.is_allocated,
        filter.provider_name,
        filter.charge_category,
        filter.billing_currency,
    )
    .fetch_all(conn)
    .await
}

#[cfg(test)]
impl StatementRow {
    /// Usage for tests that no rule names a service for, billed in the month that it was used in.
    pub(crate) fn example(month: &str, currency: &str, cost: &str) -> Self {
        Self {
            month: month.parse().unwrap(),
            billing_month: month.parse().unwrap(),
            service_id: 0,
            service_slug: None,
            service_name: None,
            team_id: None,
            team_slug: None,
            team_name: None,
            cost_center: None,
            environment_id: 0,
            environment_slug: None,
            environment_name: None,
            provider_name: "Cloud".into(),
            charge_category: "Usage".into(),
            billing_currency: currency.into(),
            charge_count: 1,
            cost: cost.parse().unwrap(),
        }
    }
}
