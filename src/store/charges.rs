//! The lines behind a figure.

use super::charge_conditions::{select_by_key, select_lines};
pub use super::charge_filter::{ChargeFilter, ChargePart};
use super::{Scope, own_plan};
use crate::focus::CostBasis;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::stream::BoxStream;
use sqlx::{Executor, PgConnection};
use uuid::Uuid;

/// Pages have five seconds for a statement; these find and sort the lines of a whole file.
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
    let places = places(conn, scope, filter, basis, &generations, after, limit).await?;
    let rows = at(conn, basis, &places).await?;
    own_plan::end(conn).await?;
    Ok(rows)
}

/// What tells a line from all others, and where its partition has it.
#[derive(Debug)]
struct LinePlace {
    generation_id: i64,
    line: i64,
    group_id: Uuid,
    charge_period_start: DateTime<Utc>,
}

// The lines of a page alone, without what they show: sorting a whole bill with its descriptions would read every
// charge group, and most of them for nothing.
async fn places(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
    basis: CostBasis,
    generations: &[i64],
    after: Option<&Cursor>,
    limit: i64,
) -> sqlx::Result<Vec<LinePlace>> {
    select_lines!(
        LinePlace,
        scope,
        filter,
        generations,
        [r#"SELECT d.generation_id AS "generation_id!", d.line AS "line!", d.group_id AS "group_id!",
                  d.charge_period_start AS "charge_period_start!"
           FROM charge_line d
           CROSS JOIN LATERAL (SELECT coalesce(cost_in($34::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost), 0) AS amount) cost"#],
        [r#"  AND ($35::numeric IS NULL OR (-cost.amount, d.generation_id, d.line) > (-$35::numeric, $36::bigint, $37::bigint))
           ORDER BY -cost.amount, d.generation_id, d.line
           LIMIT $38"#],
        basis.key(),
        after.map(|cursor| cursor.cost.clone()),
        after.map_or(0, |cursor| cursor.generation_id),
        after.map_or(0, |cursor| cursor.line),
        limit,
    )
    .fetch_all(conn)
    .await
}

// The same lines as they are shown, in the same order. The filter was asked already, the scope with it.
async fn at(conn: &mut PgConnection, basis: CostBasis, places: &[LinePlace]) -> sqlx::Result<Vec<ChargeRow>> {
    let generation_ids: Vec<i64> = places.iter().map(|place| place.generation_id).collect();
    let lines: Vec<i64> = places.iter().map(|place| place.line).collect();
    let group_ids: Vec<Uuid> = places.iter().map(|place| place.group_id).collect();
    let starts: Vec<DateTime<Utc>> = places.iter().map(|place| place.charge_period_start).collect();
    sqlx::query_as!(
        ChargeRow,
        r#"SELECT d.generation_id AS "generation_id!", g.delivery_id, d.line AS "line!", g.billing_period_start,
                  d.charge_period_start AS "charge_period_start!", d.charge_period_end AS "charge_period_end!",
                  d.group_id AS "group_id!", k.provider_name, k.sub_account_id, k.service_name, k.charge_category,
                  d.resource_id, d.charge_description, service.name AS "catalogue_service?",
                  environment.name AS "environment?", d.pricing_quantity, d.billing_currency AS "billing_currency!",
                  coalesce(cost_in($1::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost), 0) AS "cost!"
           FROM unnest($2::bigint[], $3::bigint[], $4::uuid[], $5::timestamptz[])
                WITH ORDINALITY AS place (generation_id, line, group_id, charge_period_start, number)
           JOIN charge_line d ON d.generation_id = place.generation_id AND d.group_id = place.group_id
               AND d.charge_period_start = place.charge_period_start AND d.line = place.line
           JOIN generation g ON g.generation_id = d.generation_id
           JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
           JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
               AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
           LEFT JOIN service ON service.service_id = m.service_id
           LEFT JOIN environment ON environment.environment_id = m.environment_id
           WHERE d.generation_id = ANY($2::bigint[])
           ORDER BY place.number"#,
        basis.key(),
        &generation_ids,
        &lines,
        &group_ids,
        &starts,
    )
    .fetch_all(conn)
    .await
}

/// The lines from the first one on, one by one as they come, so that many take no memory. They are found and sorted
/// once, for which the rest of this transaction has more time than a page.
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
    Ok(found(conn, scope, filter, basis, &generations, limit))
}

fn found<'c>(
    conn: &'c mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
    basis: CostBasis,
    generations: &[i64],
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
           CROSS JOIN LATERAL (SELECT coalesce(cost_in($34::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost), 0) AS amount) cost"#],
        ["ORDER BY -cost.amount, d.generation_id, d.line LIMIT $35"],
        basis.key(),
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
    /// In the asked basis, as the lines say it.
    pub cost: BigDecimal,
    /// Of it, what was bought for commitments, in a price that what uses them has by itself; nothing in others.
    pub bought: BigDecimal,
}

impl ChargeTotal {
    /// What figures are made of: without what the use of commitments has in its cost already.
    pub fn counted(&self) -> BigDecimal {
        &self.cost - &self.bought
    }
}

/// The totals of a filter. From the daily sums by key, which say the same to the last digit and are a fraction of the
/// lines; where it asks for what these are not kept by (a resource, an invoice, a tag), from the lines themselves.
pub async fn totals(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
    basis: CostBasis,
) -> sqlx::Result<Vec<ChargeTotal>> {
    if filter.is_of_single_lines() {
        return totals_of_lines(conn, scope, filter, basis).await;
    }
    if filter.is_shared_only {
        return Ok(Vec::new());
    }
    let generations = filter.generations(conn).await?;
    own_plan::begin(conn).await?;
    let totals = select_by_key!(
        ChargeTotal,
        scope,
        filter,
        &generations,
        [r#"SELECT d.billing_currency, sum(d.charge_count)::bigint AS "charge_count!",
                  coalesce(sum(cost_in($27::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)), 0) AS "cost!",
                  coalesce(sum(cost_in($27::text, 0, 0, d.list_cost, d.contracted_cost))
                      FILTER (WHERE is_commitment_purchase(k.charge_category, k.mapping_tags)), 0) AS "bought!"
           FROM daily_cost_by_key d"#],
        [r#"  AND ($28::date IS NULL OR d.charge_date >= $28)
             AND ($29::date IS NULL OR d.charge_date < $29)
           GROUP BY d.billing_currency ORDER BY d.billing_currency LIMIT 200"#],
        basis.key(),
        filter.first_day,
        filter.end_day,
    )
    .fetch_all(&mut *conn)
    .await?;
    own_plan::end(conn).await?;
    Ok(totals)
}

/// The totals of any filter, added up from the lines themselves.
pub async fn totals_of_lines(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
    basis: CostBasis,
) -> sqlx::Result<Vec<ChargeTotal>> {
    if filter.is_shared_only {
        return Ok(Vec::new());
    }
    let generations = filter.generations(conn).await?;
    own_plan::begin(conn).await?;
    let totals = select_lines!(
        ChargeTotal,
        scope,
        filter,
        &generations,
        [r#"SELECT d.billing_currency AS "billing_currency!", count(*) AS "charge_count!",
                  coalesce(sum(cost_in($34::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)), 0) AS "cost!",
                  coalesce(sum(cost_in($34::text, 0, 0, d.list_cost, d.contracted_cost))
                      FILTER (WHERE is_commitment_purchase(k.charge_category, k.mapping_tags)), 0) AS "bought!"
           FROM charge_line d"#],
        ["GROUP BY d.billing_currency ORDER BY d.billing_currency LIMIT 200"],
        basis.key(),
    )
    .fetch_all(&mut *conn)
    .await?;
    own_plan::end(conn).await?;
    Ok(totals)
}
