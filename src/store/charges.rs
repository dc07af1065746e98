//! The lines behind a figure.

use super::charge_conditions::select_lines;
pub use super::charge_filter::{ChargeFilter, ChargePart};
use super::{Scope, own_plan};
use crate::focus::CostBasis;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sqlx::{Executor, PgConnection};
use uuid::Uuid;

/// Pages have five seconds for a statement; this one finds and sorts the lines of a whole file.
pub(super) const STREAM_TIMEOUT: &str = "SET LOCAL statement_timeout = '25s'";

/// A line of a bill, with what was made of it.
#[derive(Debug, Clone)]
pub struct ChargeRow {
    /// The generation that it is part of.
    pub generation_id: i64,
    /// The delivery that brought it.
    pub delivery_id: i64,
    /// 1-based line of the file.
    pub line: i64,
    /// FOCUS BillingPeriodStart.
    pub billing_period_start: NaiveDate,
    /// FOCUS ChargePeriodStart.
    pub charge_period_start: DateTime<Utc>,
    /// FOCUS ChargePeriodEnd.
    pub charge_period_end: DateTime<Utc>,
    /// The charge group.
    pub group_id: Uuid,
    /// FOCUS ProviderName.
    pub provider_name: Option<String>,
    /// FOCUS SubAccountId.
    pub sub_account_id: Option<String>,
    /// FOCUS ServiceName.
    pub service_name: Option<String>,
    /// FOCUS ChargeCategory.
    pub charge_category: Option<String>,
    /// FOCUS ResourceId.
    pub resource_id: Option<String>,
    /// FOCUS ChargeDescription.
    pub charge_description: Option<String>,
    /// Name of the service in the catalogue.
    pub catalogue_service: Option<String>,
    /// Name of the environment.
    pub environment: Option<String>,
    /// FOCUS PricingQuantity.
    pub pricing_quantity: Option<BigDecimal>,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// In the asked basis.
    pub cost: BigDecimal,
}

/// Where a page of lines ends: the next one begins after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// Cost of the last line, in the asked basis.
    pub cost: BigDecimal,
    /// Its generation.
    pub generation_id: i64,
    /// Its line.
    pub line: i64,
}

/// The lines of a filter, the largest cost first, after `after`.
pub async fn lines(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
    basis: CostBasis,
    after: Option<&Cursor>,
    limit: i64,
) -> sqlx::Result<Vec<ChargeRow>> {
    if filter.is_shared_only {
        return Ok(Vec::new());
    }
    let generations = filter.generations(conn).await?;
    own_plan::begin(conn).await?;
    let rows = found(conn, scope, filter, basis, &generations, after, limit).try_collect().await?;
    own_plan::end(conn).await?;
    Ok(rows)
}

/// The same from the first one on, one by one as they come, so that many take no memory. They are found and sorted once,
/// for which the rest of this transaction has more time than a page.
pub async fn stream<'c>(
    conn: &'c mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
    basis: CostBasis,
    limit: i64,
) -> sqlx::Result<BoxStream<'c, sqlx::Result<ChargeRow>>> {
    if filter.is_shared_only {
        return Ok(Box::pin(futures_util::stream::empty()));
    }
    let generations = filter.generations(conn).await?;
    own_plan::begin(conn).await?;
    conn.execute(STREAM_TIMEOUT).await?;
    Ok(found(conn, scope, filter, basis, &generations, None, limit))
}

fn found<'c>(
    conn: &'c mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
    basis: CostBasis,
    generations: &[i64],
    after: Option<&Cursor>,
    limit: i64,
) -> BoxStream<'c, sqlx::Result<ChargeRow>> {
    select_lines!(
        ChargeRow,
        scope,
        filter,
        generations,
        [r#"SELECT d.generation_id AS "generation_id!", g.delivery_id, d.line AS "line!", g.billing_period_start,
                  d.charge_period_start AS "charge_period_start!", d.charge_period_end AS "charge_period_end!",
                  d.group_id AS "group_id!", k.provider_name, k.sub_account_id, k.service_name, k.charge_category,
                  d.resource_id, d.charge_description, service.name AS "catalogue_service?",
                  environment.name AS "environment?", d.pricing_quantity, d.billing_currency AS "billing_currency!",
                  cost.amount AS "cost!"
           FROM charge_line d
           JOIN generation g ON g.generation_id = d.generation_id
           CROSS JOIN LATERAL (SELECT coalesce(cost_in($30::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost), 0) AS amount) cost"#],
        [r#"  AND ($31::numeric IS NULL OR (-cost.amount, d.generation_id, d.line) > (-$31::numeric, $32::bigint, $33::bigint))
           ORDER BY -cost.amount, d.generation_id, d.line
           LIMIT $34"#],
        basis.key(),
        after.map(|cursor| cursor.cost.clone()),
        after.map_or(0, |cursor| cursor.generation_id),
        after.map_or(0, |cursor| cursor.line),
        limit,
    )
    .fetch(conn)
}

/// What the lines of a filter add up to in one currency.
#[derive(Debug, Clone)]
pub struct ChargeTotal {
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Lines.
    pub charge_count: i64,
    /// In the asked basis.
    pub cost: BigDecimal,
}

/// The totals of a filter, added up from the lines themselves, not from a rollup.
pub async fn totals(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
    basis: CostBasis,
) -> sqlx::Result<Vec<ChargeTotal>> {
    if filter.is_shared_only {
        return Ok(Vec::new());
    }
    let generations = filter.generations(conn).await?;
    select_lines!(
        ChargeTotal,
        scope,
        filter,
        &generations,
        [r#"SELECT d.billing_currency AS "billing_currency!", count(*) AS "charge_count!",
                  coalesce(sum(cost_in($30::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)), 0) AS "cost!"
           FROM charge_line d"#],
        ["GROUP BY d.billing_currency ORDER BY d.billing_currency LIMIT 200"],
        basis.key(),
    )
    .fetch_all(conn)
    .await
}
