//! The parts that a converted figure is made of: cost by billing month and currency, each of which has one rate.
//!
//! The multiplication itself happens in [`crate::focus::Converted`], on these exact sums. They come from the same
//! queries as the figures in the currencies of the bills, so that both are made of the same charges.

use super::Scope;
use super::costs::{self, CostFilter, Dimension};
use super::statements::{self, MonthView};
use crate::focus::{BillingPeriod, CostBasis};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// The cost of one key, billing month and currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostPart {
    /// An id or a name; "0" is what is not allocated.
    pub key: String,
    /// First day of the billing month: its rate counts, whatever day the charge arose on.
    pub billing_month: NaiveDate,
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// Exact.
    pub cost: BigDecimal,
}

/// The same charges as [`super::costs::by_dimension`], apart by billing month.
pub async fn parts(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &CostFilter,
    dimension: Dimension,
) -> sqlx::Result<Vec<CostPart>> {
    let cells = costs::cells(conn, scope, filter, Some(dimension), false).await?;
    let part = |cell: costs::Cell| CostPart {
        key: cell.key,
        billing_month: cell.billing_month,
        currency: cell.currency,
        cost: cell.cost,
    };
    Ok(cells.into_iter().map(part).collect())
}

/// The totals of months, apart by billing month: `key` is the month that a statement has them in (`2026-10-01`).
pub async fn of_months(
    conn: &mut PgConnection,
    scope: &Scope,
    view: MonthView,
    basis: CostBasis,
    first: BillingPeriod,
    last: BillingPeriod,
) -> sqlx::Result<Vec<CostPart>> {
    let parts = statements::month_parts(conn, scope, view, basis, first, last).await?;
    let part = |part: statements::MonthPart| CostPart {
        key: part.total.month.to_string(),
        billing_month: part.billing_month,
        currency: part.total.billing_currency,
        cost: part.total.cost,
    };
    Ok(parts.into_iter().map(part).collect())
}
