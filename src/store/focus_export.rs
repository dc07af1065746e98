//! The lines of bills as a FOCUS export reads them, one generation after the other.

use super::Scope;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::Stream;
use sqlx::PgConnection;

/// Which lines. What is `None` is not restricted; `Some(0)` is what no rule maps.
#[derive(Debug, Clone, Default)]
pub struct ExportFilter {
    /// Of this source.
    pub source_id: Option<i64>,
    /// Of bills of this period.
    pub billing_period_start: Option<NaiveDate>,
    /// Of this service.
    pub service_id: Option<i64>,
    /// Of services of this team.
    pub team_id: Option<i64>,
    /// Of this `ProviderName`.
    pub provider_name: Option<String>,
}

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
}

/// The current generations that hold lines of the filter, in the order of their bills.
pub async fn generations(conn: &mut PgConnection, filter: &ExportFilter) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "SELECT generation_id FROM generation
         WHERE state = 'current' AND ($1::bigint IS NULL OR source_id = $1)
           AND ($2::date IS NULL OR billing_period_start = $2)
         ORDER BY billing_period_start, source_id, billing_account_id",
        filter.source_id,
        filter.billing_period_start,
    )
    .fetch_all(conn)
    .await
}

/// The lines of one generation in the order of its file.
pub fn charges(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &ExportFilter,
    generation_id: i64,
) -> impl Stream<Item = sqlx::Result<ExportedCharge>> {
    sqlx::query_as!(
        ExportedCharge,
        r#"SELECT g.billing_account_id, g.billing_period_start, g.billing_period_end, c.billing_currency,
                  c.charge_period_start, c.charge_period_end, c.billed_cost::text AS "billed_cost!",
                  c.effective_cost::text AS "effective_cost!", c.list_cost::text, c.contracted_cost::text,
                  c.pricing_quantity::text, c.consumed_quantity::text, k.provider_name, k.invoice_issuer_name,
                  k.sub_account_id, k.sub_account_name, k.service_category, k.service_name, k.region_id, k.sku_id,
                  k.charge_category, k.charge_class, k.pricing_category, k.commitment_discount_status, cg.resource_id,
                  cg.resource_name, cg.resource_type, cg.charge_description, cg.tags, cg.attributes, c.measures
           FROM charge c
           JOIN generation g ON g.generation_id = c.generation_id
           JOIN charge_group cg ON cg.sub_account_key = c.sub_account_key AND cg.group_id = c.group_id
           JOIN rollup_key k ON k.sub_account_key = cg.sub_account_key AND k.rollup_key_id = cg.rollup_key_id
           JOIN key_mapping m ON m.sub_account_key = k.sub_account_key AND m.rollup_key_id = k.rollup_key_id
               AND (c.charge_period_start AT TIME ZONE 'UTC')::date >= m.first_day
               AND (c.charge_period_start AT TIME ZONE 'UTC')::date < m.end_day
           LEFT JOIN service ON service.service_id = m.service_id
           WHERE c.generation_id = $2
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
             AND ($3::bigint IS NULL OR m.service_id = $3)
             AND ($4::bigint IS NULL OR coalesce(service.team_id, 0) = $4)
             AND ($5::text IS NULL OR coalesce(k.provider_name, '') = $5)
           ORDER BY c.line"#,
        scope.team_ids() as Option<&[i64]>,
        generation_id,
        filter.service_id,
        filter.team_id,
        filter.provider_name.as_deref() as Option<&str>,
    )
    .fetch(conn)
}

/// What the lines carry beside the columns that every line has.
#[derive(Debug, Clone, Default)]
pub struct ExtraColumns {
    /// Names of attributes and of other costs and quantities, in order.
    pub names: Vec<String>,
    /// Whether any file had a ListCost.
    pub has_list_cost: bool,
    /// Whether any file had a ContractedCost.
    pub has_contracted_cost: bool,
}

/// Reads the names over these generations; other costs and quantities are looked for in the lines themselves.
pub async fn extra_columns(conn: &mut PgConnection, generation_ids: &[i64]) -> sqlx::Result<ExtraColumns> {
    let names = sqlx::query_scalar!(
        r#"SELECT name AS "name!" FROM (
             SELECT DISTINCT json_object_keys(cg.attributes) AS name
             FROM (SELECT DISTINCT sub_account_key, group_id FROM charge WHERE generation_id = ANY($1)) c
             JOIN charge_group cg USING (sub_account_key, group_id)
             UNION
             SELECT DISTINCT json_object_keys(measures::json) FROM charge
             WHERE generation_id = ANY($1) AND measures IS NOT NULL
         ) names ORDER BY name COLLATE "C""#,
        generation_ids,
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

/// The totals of the filter by the rollups that pages read, to compare an export with.
pub async fn totals(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: &ExportFilter,
    generation_ids: &[i64],
) -> sqlx::Result<Vec<ExportTotal>> {
    sqlx::query_as!(
        ExportTotal,
        r#"SELECT m.billing_currency, sum(m.charge_count)::bigint AS "charge_count!", sum(m.billed_cost) AS "billed_cost!",
                  sum(m.effective_cost) AS "effective_cost!", sum(m.list_cost) AS "list_cost!",
                  sum(m.contracted_cost) AS "contracted_cost!"
           FROM monthly_cost m
           LEFT JOIN service ON service.service_id = m.service_id
           WHERE m.generation_id = ANY($2)
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
             AND ($3::bigint IS NULL OR m.service_id = $3)
             AND ($4::bigint IS NULL OR coalesce(service.team_id, 0) = $4)
             AND ($5::text IS NULL OR m.provider_name = $5)
           GROUP BY m.billing_currency ORDER BY m.billing_currency COLLATE "C""#,
        scope.team_ids(),
        generation_ids,
        filter.service_id,
        filter.team_id,
        filter.provider_name,
    )
    .fetch_all(conn)
    .await
}
