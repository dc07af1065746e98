//! `/charges/{generation}/{line}`: one line, followed from the provider's file to who pays.

use super::charge_parts::{self, Parts};
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes, display, filters};
use crate::allocate;
use crate::store::charge_trace::{self, ChargeTrace};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};
use serde_json::Value;
use std::collections::BTreeMap;

/// The routes of the page.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/charges/{generation_id}/{line}", Policy::Money, show)
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path((generation_id, line)): Path<(i64, i64)>,
) -> Result<ChargePage> {
    let mut snapshot = app.pools.snapshot().await?;
    let scope = principal.scope();
    let trace = charge_trace::get(&mut snapshot, &scope, generation_id, line).await?.ok_or(Error::NotFound)?;
    let page = Page::new(&app, &principal, &mut snapshot, format!("Line {line} · Lines"), NavItem::None).await?;
    let costs = costs(&trace);
    let tags = pairs(&trace.tags);
    let mut attributes = pairs(&trace.attributes);
    let measures = trace.measures.as_deref().map(serde_json::from_str).transpose().map_err(anyhow::Error::from)?;
    attributes.extend(measures.iter().flat_map(pairs));
    let parts = charge_parts::read(&mut snapshot, &scope, &trace).await?;
    let shows_receipts = Policy::Bills.allows(&principal);
    let shows_rules = Policy::Finance.allows(&principal);
    Ok(ChargePage {
        page,
        columns: columns(&trace),
        costs,
        tags,
        attributes,
        parts,
        shows_receipts,
        shows_rules,
        trace,
    })
}

fn costs(trace: &ChargeTrace) -> Vec<(&'static str, String)> {
    let text = |amount: Option<&bigdecimal::BigDecimal>| match amount {
        Some(amount) => display::money_exact(amount, &trace.billing_currency),
        None => "not in the file".into(),
    };
    vec![
        ("BilledCost", text(Some(&trace.billed_cost))),
        ("EffectiveCost", text(Some(&trace.effective_cost))),
        ("ListCost", text(trace.list_cost.as_ref())),
        ("ContractedCost", text(trace.contracted_cost.as_ref())),
    ]
}

// What the provider wrote, under FOCUS names; empty columns are left out.
fn columns(trace: &ChargeTrace) -> Vec<(&'static str, String)> {
    let number =
        |value: &Option<bigdecimal::BigDecimal>| value.as_ref().map(|value| value.normalized().to_plain_string());
    let all: [(&'static str, Option<String>); 19] = [
        ("ProviderName", trace.provider_name.clone()),
        ("InvoiceIssuerName", trace.invoice_issuer_name.clone()),
        ("SubAccountId", trace.sub_account_id.clone()),
        ("SubAccountName", trace.sub_account_name.clone()),
        ("ServiceCategory", trace.service_category.clone()),
        ("ServiceName", trace.service_name.clone()),
        ("RegionId", trace.region_id.clone()),
        ("SkuId", trace.sku_id.clone()),
        ("ChargeCategory", trace.charge_category.clone()),
        ("ChargeClass", trace.charge_class.clone()),
        ("PricingCategory", trace.pricing_category.clone()),
        ("CommitmentDiscountStatus", trace.commitment_discount_status.clone()),
        ("ResourceId", trace.resource_id.clone()),
        ("ResourceName", trace.resource_name.clone()),
        ("ResourceType", trace.resource_type.clone()),
        ("ChargeDescription", trace.charge_description.clone()),
        ("PricingQuantity", number(&trace.pricing_quantity)),
        ("ConsumedQuantity", number(&trace.consumed_quantity)),
        ("BillingAccountId", Some(trace.billing_account_id.clone())),
    ];
    all.into_iter().filter_map(|(name, value)| value.filter(|value| !value.is_empty()).map(|v| (name, v))).collect()
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let Value::Object(map) = value else { return Vec::new() };
    map.iter()
        .map(|(key, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (key.clone(), text)
        })
        .collect()
}

/// A rule's conditions in words: `tag:service present, provider_name equals AWS`.
fn conditions(value: &Option<Value>) -> String {
    let Some(Value::Array(all)) = value else { return String::new() };
    let part = |condition: &Value, key: &str| match &condition[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let words: Vec<String> = all
        .iter()
        .map(|one| {
            format!("{} {} {}", part(one, "attribute"), part(one, "operator"), part(one, "value")).trim().to_owned()
        })
        .collect();
    words.join(", ")
}

#[derive(Template, WebTemplate)]
#[template(path = "charge.html")]
struct ChargePage {
    page: Page,
    trace: ChargeTrace,
    costs: Vec<(&'static str, String)>,
    columns: Vec<(&'static str, String)>,
    tags: Vec<(String, String)>,
    attributes: Vec<(String, String)>,
    parts: Parts,
    shows_receipts: bool,
    shows_rules: bool,
}

impl ChargePage {
    /// The charge days on which this is whose it is; empty where it always is.
    fn days(&self) -> String {
        let (first, end) = (self.trace.first_day, self.trace.end_day);
        let first_day = (first != allocate::FIRST_DAY).then_some(first);
        let last_day = (end != allocate::END_DAY).then(|| end - chrono::Days::new(1));
        allocate::Validity { first_day, last_day }.in_words()
    }

    /// Label, value and rule of each dimension.
    fn dimensions(&self) -> Vec<(String, String, i64)> {
        let named: BTreeMap<String, allocate::DimensionValue> =
            serde_json::from_value(self.trace.dimensions.clone()).unwrap_or_default();
        let label = |key: &str| allocate::dimension_label(key);
        named.into_iter().map(|(key, one)| (label(&key), one.value, one.rule_id)).collect()
    }

    /// Then the cost center of the team does not count, and would contradict what stands among the dimensions.
    fn has_cost_center_by_rule(&self) -> bool {
        self.trace.dimensions.get(allocate::COST_CENTER).is_some()
    }

    fn service_rule(&self) -> String {
        conditions(&self.trace.service_rule_conditions)
    }

    fn environment_rule(&self) -> String {
        conditions(&self.trace.environment_rule_conditions)
    }

    // Who owns the service pays only where no split divides the line.
    fn lede(&self) -> String {
        let amount = display::money_exact(&self.trace.effective_cost, &self.trace.billing_currency);
        let whose = match &self.trace.catalogue_service {
            Some(service) => format!("of {service}"),
            None => "that no rule gives to a service yet".to_owned(),
        };
        let who = match (&self.trace.catalogue_service, &self.trace.team_name) {
            _ if !self.parts.rows.is_empty() => {
                ", divided as a shared cost: who pays which part stands below".to_owned()
            }
            (Some(_), Some(team)) if !self.parts.stayed.is_empty() => {
                format!(", paid by {team}, because a split could not divide it: why stands below")
            }
            (Some(_), Some(team)) => format!(", paid by {team}"),
            (Some(_), None) => ", which belongs to no team".to_owned(),
            (None, _) => String::new(),
        };
        format!("{amount} (EffectiveCost) {whose}{who}.")
    }
}
