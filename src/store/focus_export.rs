//! The lines of bills as a FOCUS export reads them, one generation after the other.

use super::charges::{self, ChargeFilter, ChargePart};
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
           LEFT JOIN team ON team.team_id = service.team_id
           WHERE c.generation_id = $2
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
             AND ($3::uuid IS NULL OR c.group_id = $3)
             AND ($4::bigint IS NULL OR m.service_id = $4)
             AND ($5::bigint IS NULL OR m.environment_id = $5)
             AND ($6::bigint IS NULL OR coalesce(service.team_id, 0) = $6)
             AND ($7::text IS NULL OR coalesce(k.provider_name, '') = $7)
             AND ($8::text IS NULL OR coalesce(k.charge_category, '') = $8)
             AND ($9::text IS NULL OR c.billing_currency = $9)
             AND ($10::text IS NULL OR coalesce(k.sub_account_id, '') = $10)
             AND ($11::text IS NULL OR coalesce(k.service_name, '') = $11)
             AND ($12::text IS NULL OR k.region_id = $12)
             AND ($13::text IS NULL OR k.sku_id = $13)
             AND ($14::bool IS NULL OR (coalesce(k.charge_class, '') = 'Correction') = $14)
             AND ($15::text IS NULL OR lower(btrim(coalesce(k.invoice_issuer_name, ''))) = lower(btrim($15)))
             AND ($16::jsonb IS NULL OR k.mapping_tags = $16)
             AND ($17::text IS NULL OR coalesce(m.dimensions -> $17 ->> 'value',
                      CASE WHEN $17 = 'cost_center' THEN team.cost_center END, '') = $18::text)
             AND ($19::text IS NULL OR coalesce(k.mapping_tags ->> '@column:CommitmentDiscountId', '') = $19)
             AND ($20::text IS NULL OR k.commitment_discount_status = $20)
             AND ($21::text IS NULL
                  OR $21 = 'committed' AND (coalesce(k.provider_name, ''), coalesce(k.service_name, ''))
                          IN (SELECT provider_name, service_name FROM committed_service)
                      AND is_charge_part('usage', k.charge_category, k.charge_class, k.commitment_discount_status,
                          k.pricing_category)
                  OR is_charge_part($21, k.charge_category, k.charge_class, k.commitment_discount_status,
                      k.pricing_category))
             AND ($22::text IS NULL OR coalesce(team.cost_center, '') = $22)
             AND ($23::bool IS NULL OR (m.service_id <> 0) = $23)
             AND ($24::date IS NULL OR (c.charge_period_start AT TIME ZONE 'UTC')::date >= $24)
             AND ($25::date IS NULL OR (c.charge_period_start AT TIME ZONE 'UTC')::date < $25)
             AND ($26::text IS NULL OR coalesce(cg.resource_id, '') = $26)
             AND ($27::text IS NULL OR coalesce(cg.attributes->>'InvoiceId', '') = $27)
             AND ($28::text IS NULL OR coalesce(cg.tags ->> $28, '') = $29::text)
           ORDER BY c.line"#,
        scope.team_ids() as Option<&[i64]>,
        generation_id,
        filter.group_id,
        filter.service_id,
        filter.environment_id,
        filter.team_id,
        filter.provider_name,
        filter.charge_category,
        filter.billing_currency,
        filter.sub_account_id,
        filter.service_name,
        filter.region_id,
        filter.sku_id,
        filter.is_correction,
        filter.invoice_issuer_name,
        filter.mapping_tags,
        filter.dimension.as_ref().map(|(name, _)| name),
        filter.dimension.as_ref().map(|(_, value)| value),
        filter.commitment_id,
        filter.commitment_status,
        filter.part.map(ChargePart::key),
        filter.cost_center,
        filter.is_allocated,
        filter.first_day,
        filter.end_day,
        filter.resource_id,
        filter.invoice_id,
        filter.tag.as_ref().map(|(key, _)| key),
        filter.tag.as_ref().map(|(_, value)| value)
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
    sqlx::query_as!(
        ExportTotal,
        r#"SELECT d.billing_currency, sum(d.charge_count)::bigint AS "charge_count!", sum(d.billed_cost) AS "billed_cost!",
                  sum(d.effective_cost) AS "effective_cost!", sum(d.list_cost) AS "list_cost!",
                  sum(d.contracted_cost) AS "contracted_cost!"
           FROM daily_cost_by_key d
           JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
           JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
               AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
           LEFT JOIN service ON service.service_id = m.service_id
           LEFT JOIN team ON team.team_id = service.team_id
           WHERE d.generation_id = ANY($2)
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
             AND ($3::bigint IS NULL OR m.service_id = $3)
             AND ($4::bigint IS NULL OR m.environment_id = $4)
             AND ($5::bigint IS NULL OR coalesce(service.team_id, 0) = $5)
             AND ($6::text IS NULL OR coalesce(k.provider_name, '') = $6)
             AND ($7::text IS NULL OR coalesce(k.charge_category, '') = $7)
             AND ($8::text IS NULL OR d.billing_currency = $8)
             AND ($9::text IS NULL OR coalesce(k.sub_account_id, '') = $9)
             AND ($10::text IS NULL OR coalesce(k.service_name, '') = $10)
             AND ($11::text IS NULL OR k.region_id = $11)
             AND ($12::text IS NULL OR k.sku_id = $12)
             AND ($13::bool IS NULL OR (coalesce(k.charge_class, '') = 'Correction') = $13)
             AND ($14::text IS NULL OR lower(btrim(coalesce(k.invoice_issuer_name, ''))) = lower(btrim($14)))
             AND ($15::jsonb IS NULL OR k.mapping_tags = $15)
             AND ($16::text IS NULL OR coalesce(m.dimensions -> $16 ->> 'value',
                      CASE WHEN $16 = 'cost_center' THEN team.cost_center END, '') = $17::text)
             AND ($18::text IS NULL OR coalesce(k.mapping_tags ->> '@column:CommitmentDiscountId', '') = $18)
             AND ($19::text IS NULL OR k.commitment_discount_status = $19)
             AND ($20::text IS NULL
                  OR $20 = 'committed' AND (coalesce(k.provider_name, ''), coalesce(k.service_name, ''))
                          IN (SELECT provider_name, service_name FROM committed_service)
                      AND is_charge_part('usage', k.charge_category, k.charge_class, k.commitment_discount_status,
                          k.pricing_category)
                  OR is_charge_part($20, k.charge_category, k.charge_class, k.commitment_discount_status,
                      k.pricing_category))
             AND ($21::text IS NULL OR coalesce(team.cost_center, '') = $21)
             AND ($22::bool IS NULL OR (m.service_id <> 0) = $22)
             AND ($23::date IS NULL OR d.charge_date >= $23)
             AND ($24::date IS NULL OR d.charge_date < $24)
           GROUP BY d.billing_currency ORDER BY d.billing_currency COLLATE "C""#,
        scope.team_ids(),
        generation_ids,
        filter.service_id,
        filter.environment_id,
        filter.team_id,
        filter.provider_name,
        filter.charge_category,
        filter.billing_currency,
        filter.sub_account_id,
        filter.service_name,
        filter.region_id,
        filter.sku_id,
        filter.is_correction,
        filter.invoice_issuer_name,
        filter.mapping_tags,
        filter.dimension.as_ref().map(|(name, _)| name),
        filter.dimension.as_ref().map(|(_, value)| value),
        filter.commitment_id,
        filter.commitment_status,
        filter.part.map(ChargePart::key),
        filter.cost_center,
        filter.is_allocated,
        filter.first_day,
        filter.end_day
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
