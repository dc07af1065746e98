//! The lines behind a figure.

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
    sqlx::query_as!(
        ChargeRow,
        r#"SELECT c.generation_id, g.delivery_id, c.line, g.billing_period_start, c.charge_period_start,
                  c.charge_period_end, c.group_id, k.provider_name, k.sub_account_id, k.service_name,
                  k.charge_category, cg.resource_id, cg.charge_description, service.name AS "catalogue_service?",
                  environment.name AS "environment?", c.pricing_quantity, c.billing_currency, cost.amount AS "cost!"
           FROM charge c
           JOIN charge_group cg ON cg.sub_account_key = c.sub_account_key AND cg.group_id = c.group_id
           JOIN rollup_key k ON k.sub_account_key = cg.sub_account_key AND k.rollup_key_id = cg.rollup_key_id
           JOIN generation g ON g.generation_id = c.generation_id
           JOIN key_mapping m ON m.sub_account_key = k.sub_account_key AND m.rollup_key_id = k.rollup_key_id
               AND (c.charge_period_start AT TIME ZONE 'UTC')::date >= m.first_day
               AND (c.charge_period_start AT TIME ZONE 'UTC')::date < m.end_day
           LEFT JOIN service ON service.service_id = m.service_id
           LEFT JOIN team ON team.team_id = service.team_id
           LEFT JOIN environment ON environment.environment_id = m.environment_id
           CROSS JOIN LATERAL (SELECT coalesce(cost_in($2::text, c.billed_cost, c.effective_cost, c.list_cost, c.contracted_cost), 0) AS amount) cost
           WHERE c.generation_id = ANY($3::bigint[])
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
             AND ($4::timestamptz IS NULL OR c.charge_period_start >= $4)
             AND ($5::timestamptz IS NULL OR c.charge_period_start < $5)
             AND ($6::bigint IS NULL OR m.service_id = $6)
             AND ($7::bigint IS NULL OR m.environment_id = $7)
             AND ($8::bigint IS NULL OR coalesce(service.team_id, 0) = $8)
             AND ($9::text IS NULL OR coalesce(k.provider_name, '') = $9)
             AND ($10::text IS NULL OR coalesce(k.charge_category, '') = $10)
             AND ($11::text IS NULL OR c.billing_currency = $11)
             AND ($12::text IS NULL OR coalesce(cg.resource_id, '') = $12)
             AND ($13::text IS NULL OR coalesce(k.sub_account_id, '') = $13)
             AND ($14::uuid IS NULL OR c.group_id = $14)
             AND ($15::text IS NULL OR coalesce(k.service_name, '') = $15)
             AND ($16::text IS NULL OR k.region_id = $16)
             AND ($17::text IS NULL OR k.sku_id = $17)
             AND ($18::bool IS NULL OR (coalesce(k.charge_class, '') = 'Correction') = $18)
             AND ($23::text IS NULL OR coalesce(cg.attributes->>'InvoiceId', '') = $23)
             AND ($24::text IS NULL OR lower(btrim(coalesce(k.invoice_issuer_name, ''))) = lower(btrim($24)))
             AND ($25::jsonb IS NULL OR k.mapping_tags = $25)
             AND ($26::text IS NULL OR coalesce(m.dimensions -> $26 ->> 'value',
                      CASE WHEN $26 = 'cost_center' THEN team.cost_center END, '') = $27::text)
             AND ($28::text IS NULL OR coalesce(k.mapping_tags ->> '@column:CommitmentDiscountId', '') = $28)
             AND ($29::text IS NULL OR k.commitment_discount_status = $29)
             AND ($30::text IS NULL
                  OR $30 = 'committed' AND (coalesce(k.provider_name, ''), coalesce(k.service_name, ''))
                          IN (SELECT provider_name, service_name FROM committed_service)
                      AND is_charge_part('usage', k.charge_category, k.charge_class, k.commitment_discount_status,
                          k.pricing_category)
                  OR is_charge_part($30, k.charge_category, k.charge_class, k.commitment_discount_status,
                      k.pricing_category))
             AND ($31::text IS NULL OR coalesce(team.cost_center, '') = $31)
             AND ($32::bool IS NULL OR (m.service_id <> 0) = $32)
             AND ($33::text IS NULL OR coalesce(cg.tags ->> $33, '') = $34::text)
             AND ($19::numeric IS NULL OR (-cost.amount, c.generation_id, c.line) > (-$19::numeric, $20::bigint, $21::bigint))
           ORDER BY -cost.amount, c.generation_id, c.line
           LIMIT $22"#,
        scope.team_ids(),
        basis.key(),
        generations,
        filter.start(),
        filter.end(),
        filter.service_id,
        filter.environment_id,
        filter.team_id,
        filter.provider_name,
        filter.charge_category,
        filter.billing_currency,
        filter.resource_id,
        filter.sub_account_id,
        filter.group_id,
        filter.service_name,
        filter.region_id,
        filter.sku_id,
        filter.is_correction,
        after.map(|cursor| cursor.cost.clone()),
        after.map_or(0, |cursor| cursor.generation_id),
        after.map_or(0, |cursor| cursor.line),
        limit,
        filter.invoice_id,
        filter.invoice_issuer_name,
        filter.mapping_tags,
        filter.dimension.as_ref().map(|(name, _)| name),
        filter.dimension.as_ref().map(|(_, value)| value),
        filter.commitment_id,
        filter.commitment_status,
        filter.part.map(ChargePart::key),
        filter.cost_center,
        filter.is_allocated,
        filter.tag.as_ref().map(|(key, _)| key),
        filter.tag.as_ref().map(|(_, value)| value)
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
    sqlx::query_as!(
        ChargeTotal,
        r#"SELECT c.billing_currency, count(*) AS "charge_count!",
                  coalesce(sum(cost_in($2::text, c.billed_cost, c.effective_cost, c.list_cost, c.contracted_cost)), 0) AS "cost!"
           FROM charge c
           JOIN charge_group cg ON cg.sub_account_key = c.sub_account_key AND cg.group_id = c.group_id
           JOIN rollup_key k ON k.sub_account_key = cg.sub_account_key AND k.rollup_key_id = cg.rollup_key_id
           JOIN key_mapping m ON m.sub_account_key = k.sub_account_key AND m.rollup_key_id = k.rollup_key_id
               AND (c.charge_period_start AT TIME ZONE 'UTC')::date >= m.first_day
               AND (c.charge_period_start AT TIME ZONE 'UTC')::date < m.end_day
           LEFT JOIN service ON service.service_id = m.service_id
           LEFT JOIN team ON team.team_id = service.team_id
           WHERE c.generation_id = ANY($3::bigint[])
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
             AND ($4::timestamptz IS NULL OR c.charge_period_start >= $4)
             AND ($5::timestamptz IS NULL OR c.charge_period_start < $5)
             AND ($6::bigint IS NULL OR m.service_id = $6)
             AND ($7::bigint IS NULL OR m.environment_id = $7)
             AND ($8::bigint IS NULL OR coalesce(service.team_id, 0) = $8)
             AND ($9::text IS NULL OR coalesce(k.provider_name, '') = $9)
             AND ($10::text IS NULL OR coalesce(k.charge_category, '') = $10)
             AND ($11::text IS NULL OR c.billing_currency = $11)
             AND ($12::text IS NULL OR coalesce(cg.resource_id, '') = $12)
             AND ($13::text IS NULL OR coalesce(k.sub_account_id, '') = $13)
             AND ($14::uuid IS NULL OR c.group_id = $14)
             AND ($15::text IS NULL OR coalesce(k.service_name, '') = $15)
             AND ($16::text IS NULL OR k.region_id = $16)
             AND ($17::text IS NULL OR k.sku_id = $17)
             AND ($18::bool IS NULL OR (coalesce(k.charge_class, '') = 'Correction') = $18)
             AND ($19::text IS NULL OR coalesce(cg.attributes->>'InvoiceId', '') = $19)
             AND ($20::text IS NULL OR lower(btrim(coalesce(k.invoice_issuer_name, ''))) = lower(btrim($20)))
             AND ($21::jsonb IS NULL OR k.mapping_tags = $21)
             AND ($22::text IS NULL OR coalesce(m.dimensions -> $22 ->> 'value',
                      CASE WHEN $22 = 'cost_center' THEN team.cost_center END, '') = $23::text)
             AND ($24::text IS NULL OR coalesce(k.mapping_tags ->> '@column:CommitmentDiscountId', '') = $24)
             AND ($25::text IS NULL OR k.commitment_discount_status = $25)
             AND ($26::text IS NULL
                  OR $26 = 'committed' AND (coalesce(k.provider_name, ''), coalesce(k.service_name, ''))
                          IN (SELECT provider_name, service_name FROM committed_service)
                      AND is_charge_part('usage', k.charge_category, k.charge_class, k.commitment_discount_status,
                          k.pricing_category)
                  OR is_charge_part($26, k.charge_category, k.charge_class, k.commitment_discount_status,
                      k.pricing_category))
             AND ($27::text IS NULL OR coalesce(team.cost_center, '') = $27)
             AND ($28::bool IS NULL OR (m.service_id <> 0) = $28)
             AND ($29::text IS NULL OR coalesce(cg.tags ->> $29, '') = $30::text)
           GROUP BY c.billing_currency ORDER BY c.billing_currency LIMIT 200"#,
        scope.team_ids(),
        basis.key(),
        &generations,
        filter.start(),
        filter.end(),
        filter.service_id,
        filter.environment_id,
        filter.team_id,
        filter.provider_name,
        filter.charge_category,
        filter.billing_currency,
        filter.resource_id,
        filter.sub_account_id,
        filter.group_id,
        filter.service_name,
        filter.region_id,
        filter.sku_id,
        filter.is_correction,
        filter.invoice_id,
        filter.invoice_issuer_name,
        filter.mapping_tags,
        filter.dimension.as_ref().map(|(name, _)| name),
        filter.dimension.as_ref().map(|(_, value)| value),
        filter.commitment_id,
        filter.commitment_status,
        filter.part.map(ChargePart::key),
        filter.cost_center,
        filter.is_allocated,
        filter.tag.as_ref().map(|(key, _)| key),
        filter.tag.as_ref().map(|(_, value)| value)
    )
    .fetch_all(conn)
    .await
}
