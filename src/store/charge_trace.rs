//! One line of a bill, followed all the way: what the provider wrote, and which rules decided who pays.

use super::Scope;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// A line with everything that is known of it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "FOCUS columns under their own names, and the rules that mapped them")]
pub struct ChargeTrace {
    pub generation_id: i64,
    pub generation_state: String,
    pub delivery_id: i64,
    pub file_name: String,
    pub line: i64,
    pub source_id: i64,
    pub source_name: String,
    pub billing_account_id: String,
    pub billing_period_start: NaiveDate,
    pub charge_period_start: DateTime<Utc>,
    pub charge_period_end: DateTime<Utc>,
    pub billing_currency: String,
    pub billed_cost: BigDecimal,
    pub effective_cost: BigDecimal,
    pub list_cost: Option<BigDecimal>,
    pub contracted_cost: Option<BigDecimal>,
    pub pricing_quantity: Option<BigDecimal>,
    pub consumed_quantity: Option<BigDecimal>,
    pub group_id: Uuid,
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
    pub is_bought_for_commitment: bool,
    pub resource_id: Option<String>,
    pub resource_name: Option<String>,
    pub resource_type: Option<String>,
    pub charge_description: Option<String>,
    pub tags: serde_json::Value,
    pub attributes: serde_json::Value,
    /// Every other cost and quantity of the line, as a JSON object of strings.
    pub measures: Option<String>,
    pub service_id: i64,
    pub environment_id: i64,
    pub first_day: NaiveDate,
    pub end_day: NaiveDate,
    pub dimensions: serde_json::Value,
    pub catalogue_service: Option<String>,
    pub catalogue_service_slug: Option<String>,
    pub team_name: Option<String>,
    pub team_slug: Option<String>,
    pub cost_center: Option<String>,
    pub environment: Option<String>,
    pub environment_slug: Option<String>,
    pub service_rule_id: Option<i64>,
    pub service_rule_number: Option<i64>,
    pub service_rule_note: Option<String>,
    pub service_rule_conditions: Option<serde_json::Value>,
    pub environment_rule_id: Option<i64>,
    pub environment_rule_number: Option<i64>,
    pub environment_rule_note: Option<String>,
    pub environment_rule_conditions: Option<serde_json::Value>,
}

/// The line, where the scope may see it.
pub async fn get(
    conn: &mut PgConnection,
    scope: &Scope,
    generation_id: i64,
    line: i64,
) -> sqlx::Result<Option<ChargeTrace>> {
    sqlx::query_as!(
        ChargeTrace,
        r#"SELECT c.generation_id, g.state AS generation_state, g.delivery_id, d.file_name, c.line, g.source_id,
                  source.name AS source_name, g.billing_account_id, g.billing_period_start, c.charge_period_start,
                  c.charge_period_end, c.billing_currency, c.billed_cost, c.effective_cost, c.list_cost,
                  c.contracted_cost, c.pricing_quantity, c.consumed_quantity, c.group_id, k.provider_name,
                  k.invoice_issuer_name, k.sub_account_id, k.sub_account_name, k.service_category, k.service_name,
                  k.region_id, k.sku_id, k.charge_category, k.charge_class, k.pricing_category,
                  k.commitment_discount_status,
                  is_commitment_purchase(k.charge_category, k.mapping_tags) IS TRUE AS "is_bought_for_commitment!",
                  cg.resource_id, cg.resource_name, cg.resource_type,
                  cg.charge_description, cg.tags, cg.attributes, c.measures,
                  m.service_id, m.environment_id, m.first_day, m.end_day, m.dimensions,
                  service.name AS "catalogue_service?", service.slug AS "catalogue_service_slug?",
                  team.name AS "team_name?", team.slug AS "team_slug?", team.cost_center AS "cost_center?",
                  environment.name AS "environment?", environment.slug AS "environment_slug?",
                  m.service_rule_id, (SELECT count(*) FROM mapping_rule o WHERE o.position <= sr.position HAVING count(*) > 0)
                      AS "service_rule_number?", sr.note AS "service_rule_note?",
                  sr.conditions AS "service_rule_conditions?",
                  m.environment_rule_id, (SELECT count(*) FROM mapping_rule o WHERE o.position <= er.position HAVING count(*) > 0)
                      AS "environment_rule_number?", er.note AS "environment_rule_note?",
                  er.conditions AS "environment_rule_conditions?"
           FROM charge c
           JOIN generation g ON g.generation_id = c.generation_id
           JOIN delivery d ON d.delivery_id = g.delivery_id
           JOIN source ON source.source_id = g.source_id
           JOIN charge_group cg ON cg.sub_account_key = c.sub_account_key AND cg.group_id = c.group_id
           JOIN rollup_key k ON k.sub_account_key = cg.sub_account_key AND k.rollup_key_id = cg.rollup_key_id
           JOIN key_mapping m ON m.sub_account_key = k.sub_account_key AND m.rollup_key_id = k.rollup_key_id
               AND (c.charge_period_start AT TIME ZONE 'UTC')::date >= m.first_day
               AND (c.charge_period_start AT TIME ZONE 'UTC')::date < m.end_day
           LEFT JOIN service ON service.service_id = m.service_id
           LEFT JOIN team ON team.team_id = service.team_id
           LEFT JOIN environment ON environment.environment_id = m.environment_id
           LEFT JOIN mapping_rule sr ON sr.mapping_rule_id = m.service_rule_id
           LEFT JOIN mapping_rule er ON er.mapping_rule_id = m.environment_rule_id
           WHERE c.generation_id = $2 AND c.line = $3
             AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
           LIMIT 1"#,
        scope.team_ids(),
        generation_id,
        line
    )
    .fetch_optional(conn)
    .await
}
