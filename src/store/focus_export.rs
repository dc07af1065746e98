//! The lines of bills as a FOCUS export reads them, one generation after the other.

use super::charge_conditions::{select_by_key, select_lines};
use super::charges::{self, ChargeFilter};
use super::{Scope, own_plan};
use crate::focus::CostBasis;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::Stream;
use sqlx::{Executor, PgConnection};
use std::collections::BTreeMap;

/// A line with everything that its file said of it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "FOCUS columns under their own names")]
pub struct ExportedCharge {
    pub billing_account_id: String,
    pub billing_period_start: NaiveDate,
    pub billing_period_end: NaiveDate,
    pub billing_currency: String,
    pub charge_period_start: DateTime<Utc>,
    pub charge_period_end: DateTime<Utc>,
    /// As text, like all numbers of a line: with the digits and the scale of the file.
    pub billed_cost: String,
    pub effective_cost: String,
    pub list_cost: Option<String>,
    pub contracted_cost: Option<String>,
    pub pricing_quantity: Option<String>,
    pub consumed_quantity: Option<String>,
    pub provider_name: Option<String>,
    pub invoice_issuer_name: Option<String>,
    pub sub_account_id: Option<String>,
    pub sub_account_name: Option<String>,
    pub service_category: Option<String>,
    pub service_name: Option<String>,
    pub region_id: Option<String>,
    pub sku_id: Option<String>,
    pub charge_category: Option<String>,
    pub charge_class: Option<String>,
    pub pricing_category: Option<String>,
    pub commitment_discount_status: Option<String>,
    pub resource_id: Option<String>,
    pub resource_name: Option<String>,
    pub resource_type: Option<String>,
    pub charge_description: Option<String>,
    pub tags: serde_json::Value,
    /// Every other column that says what was charged, as an object of strings.
    pub attributes: serde_json::Value,
    /// Every other cost and quantity, as the text of an object of strings.
    pub measures: Option<String>,
    /// The service of the catalogue that the line is mapped to, before splits; none where it is not allocated.
    pub allocated_service: Option<String>,
    /// Its environment.
    pub allocated_environment: Option<String>,
    /// The team of that service.
    pub allocated_team: Option<String>,
}

/// The generations that hold lines of the filter, in the order of their bills.
pub async fn generations(conn: &mut PgConnection, filter: &ChargeFilter) -> sqlx::Result<Vec<i64>> {
    if filter.is_shared_only {
        return Ok(Vec::new());
    }
    let found = filter.generations(conn).await?;
    sqlx::query_scalar!(
        "SELECT generation_id FROM generation WHERE generation_id = ANY($1)
         ORDER BY billing_period_start, source_id, billing_account_id, generation_id",
        &found,
    )
    .fetch_all(conn)
    .await
}

/// From here on each statement of the transaction is planned for its own conditions.
pub async fn plan_for_each(conn: &mut PgConnection) -> sqlx::Result<()> {
    own_plan::begin(conn).await
}

/// From here on a statement of the transaction has more time than one of a page.
pub async fn take_time(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute(charges::STREAM_TIMEOUT).await.map(drop)
}

/// The lines of one generation in the order of its file.
pub fn charges(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
    generation_id: i64,
) -> impl Stream<Item = sqlx::Result<ExportedCharge>> {
    select_lines!(
        ExportedCharge,
        scope,
        filter,
        std::slice::from_ref(&generation_id),
        [r#"SELECT g.billing_account_id, g.billing_period_start, g.billing_period_end,
                  d.billing_currency AS "billing_currency!", d.charge_period_start AS "charge_period_start!",
                  d.charge_period_end AS "charge_period_end!", d.billed_cost::text AS "billed_cost!",
                  d.effective_cost::text AS "effective_cost!", d.list_cost::text, d.contracted_cost::text,
                  d.pricing_quantity::text, d.consumed_quantity::text, k.provider_name, k.invoice_issuer_name,
                  k.sub_account_id, k.sub_account_name, k.service_category, k.service_name, k.region_id, k.sku_id,
                  k.charge_category, k.charge_class, k.pricing_category, k.commitment_discount_status, d.resource_id,
                  d.resource_name, d.resource_type, d.charge_description, d.tags AS "tags!",
                  d.attributes AS "attributes!", d.measures, service.name AS "allocated_service?",
                  environment.name AS "allocated_environment?", team.name AS "allocated_team?"
           FROM charge_line d
           JOIN generation g ON g.generation_id = d.generation_id"#],
        // Its own partition, also where generations share a plan.
        ["AND d.generation_id = $34 ORDER BY d.line"],
        generation_id,
    )
    .fetch(conn)
}

/// What the lines carry beside the columns that every line has.
#[derive(Debug, Clone, Default)]
pub struct ExtraColumns {
    /// Names of attributes and of other costs and quantities, in order.
    pub names: Vec<String>,
    /// Whether any line had a ListCost.
    pub has_list_cost: bool,
    /// Whether any line had a ContractedCost.
    pub has_contracted_cost: bool,
}

/// Reads the names over these generations, of lines in the scope; other costs and quantities are looked for in the
/// lines themselves.
pub async fn extra_columns(
    conn: &mut PgConnection,
    scope: &Scope,
    generation_ids: &[i64],
) -> sqlx::Result<ExtraColumns> {
    let names = sqlx::query_scalar!(
        r#"SELECT name AS "name!" FROM (
             SELECT DISTINCT json_object_keys(cg.attributes) AS name
             FROM (SELECT DISTINCT sub_account_key, group_id FROM charge WHERE generation_id = ANY($1)) c
             JOIN charge_group cg ON cg.sub_account_key = c.sub_account_key AND cg.group_id = c.group_id
             WHERE $2::bigint[] IS NULL
                OR EXISTS (SELECT FROM key_mapping m JOIN service ON service.service_id = m.service_id
                           WHERE m.sub_account_key = cg.sub_account_key AND m.rollup_key_id = cg.rollup_key_id
                             AND service.team_id = ANY($2))
             UNION
             SELECT DISTINCT json_object_keys(c.measures::json) FROM charge c
             WHERE c.generation_id = ANY($1) AND c.measures IS NOT NULL
               AND ($2::bigint[] IS NULL
                    OR EXISTS (SELECT FROM charge_group cg
                               JOIN key_mapping m ON m.sub_account_key = cg.sub_account_key
                                   AND m.rollup_key_id = cg.rollup_key_id
                               JOIN service ON service.service_id = m.service_id
                               WHERE cg.sub_account_key = c.sub_account_key AND cg.group_id = c.group_id
                                 AND service.team_id = ANY($2)))
         ) names ORDER BY name COLLATE "C""#,
        generation_ids,
        scope.team_ids(),
    )
    .fetch_all(&mut *conn)
    .await?;
    let costs = sqlx::query!(
        r#"SELECT coalesce(bool_or(t.list_cost IS NOT NULL), false) AS "has_list_cost!",
             coalesce(bool_or(t.contracted_cost IS NOT NULL), false) AS "has_contracted_cost!"
           FROM generation g
           JOIN delivery_total t USING (delivery_id, billing_account_id, billing_period_start)
           WHERE g.generation_id = ANY($1)"#,
        generation_ids,
    )
    .fetch_one(conn)
    .await?;
    Ok(ExtraColumns { names, has_list_cost: costs.has_list_cost, has_contracted_cost: costs.has_contracted_cost })
}

/// What the exported lines must add up to in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "FOCUS columns under their own names")]
pub struct ExportTotal {
    pub billing_currency: String,
    pub charge_count: i64,
    pub billed_cost: BigDecimal,
    pub effective_cost: BigDecimal,
    pub list_cost: BigDecimal,
    pub contracted_cost: BigDecimal,
}

/// The totals of the filter by the rollups that pages read, to compare an export with; where it asks for what rollups
/// are not kept by (a resource, an invoice, a tag), by the lines, added up by the database.
pub async fn totals(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
    generation_ids: &[i64],
) -> sqlx::Result<Vec<ExportTotal>> {
    if filter.is_of_single_lines() {
        return totals_of_lines(conn, scope, filter).await;
    }
    select_by_key!(
        ExportTotal,
        scope,
        filter,
        generation_ids,
        [r#"SELECT d.billing_currency, sum(d.charge_count)::bigint AS "charge_count!", sum(d.billed_cost) AS "billed_cost!",
                  sum(d.effective_cost) AS "effective_cost!", sum(d.list_cost) AS "list_cost!",
                  sum(d.contracted_cost) AS "contracted_cost!"
           FROM daily_cost_by_key d"#],
        [r#"  AND ($27::date IS NULL OR d.charge_date >= $27)
             AND ($28::date IS NULL OR d.charge_date < $28)
           GROUP BY d.billing_currency ORDER BY d.billing_currency COLLATE "C""#],
        filter.first_day,
        filter.end_day,
    )
    .fetch_all(conn)
    .await
}

async fn totals_of_lines(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &ChargeFilter,
) -> sqlx::Result<Vec<ExportTotal>> {
    let mut sums: BTreeMap<String, ExportTotal> = BTreeMap::new();
    for basis in CostBasis::ALL {
        for total in charges::totals(&mut *conn, scope, filter, basis).await? {
            let sum = sums.entry(total.billing_currency.clone()).or_insert_with(|| ExportTotal {
                billing_currency: total.billing_currency,
                charge_count: total.charge_count,
                billed_cost: BigDecimal::default(),
                effective_cost: BigDecimal::default(),
                list_cost: BigDecimal::default(),
                contracted_cost: BigDecimal::default(),
            });
            match basis {
                CostBasis::Billed => sum.billed_cost = total.cost,
                CostBasis::Amortized => sum.effective_cost = total.cost,
                CostBasis::List => sum.list_cost = total.cost,
                CostBasis::Contracted => sum.contracted_cost = total.cost,
            }
        }
    }
    Ok(sums.into_values().collect())
}

/// A `ProviderName` of the bills as they write it, whatever the letter case it is asked for in; `Err` with those that
/// there are where it is none of them.
pub async fn provider(conn: &mut PgConnection, asked: &str) -> sqlx::Result<Result<String, Vec<String>>> {
    let names = sqlx::query_scalar!(
        r#"SELECT DISTINCT provider_name AS "provider_name!" FROM rollup_key WHERE provider_name IS NOT NULL ORDER BY 1"#
    )
    .fetch_all(conn)
    .await?;
    // The same letters first: two providers may differ by case alone.
    let exact = names.iter().find(|name| *name == asked);
    let found = exact.or_else(|| names.iter().find(|name| name.to_lowercase() == asked.trim().to_lowercase()));
    Ok(found.cloned().ok_or(names))
}
