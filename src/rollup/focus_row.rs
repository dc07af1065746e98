//! A line of the ledger as a row of a FOCUS file, and what such rows add up to.

use crate::focus::columns::Version;
use crate::store::focus_export::{ExportTotal, ExportedCharge, ExtraColumns};
use anyhow::Context;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The columns of an export: those of FOCUS 1.2, then what the files had besides.
pub struct Columns {
    columns: Vec<Column>,
    /// Whether a cost that follows from others is filled in.
    derives: bool,
}

struct Column {
    /// In the header.
    name: String,
    /// Where the value stands in a line's attributes or measures, for what has no field of its own.
    stored_as: String,
    /// Whether a line may have a field of its own for it: that of an attribute of such a name is another value.
    has_field: bool,
}

/// Where a file names the provider by both of its columns, the newer one is the provider and this an attribute.
const OLDER_PROVIDER: &str = "ProviderName";

/// Whose a line is.
const ALLOCATED_SERVICE: &str = "x_AllocatedService";
const ALLOCATED_ENVIRONMENT: &str = "x_AllocatedEnvironment";
const ALLOCATED_TEAM: &str = "x_AllocatedTeam";

impl Columns {
    /// What FOCUS has no name for is named as FOCUS wants it: `x_` columns.
    pub fn new(extra: &ExtraColumns) -> Self {
        Self { derives: true, ..Self::named(extra, own_name, &[]) }
    }

    /// The same, and whose each line is by the rules, before splits. What files have under these names, because they
    /// were exported before, stands behind under a longer one.
    pub fn with_allocation(extra: &ExtraColumns) -> Self {
        let allocation = [ALLOCATED_SERVICE, ALLOCATED_ENVIRONMENT, ALLOCATED_TEAM];
        Self { derives: true, ..Self::named(extra, own_name, &allocation) }
    }

    /// Every column under the name that it is kept by, so that what is read back is the same.
    pub fn as_kept(extra: &ExtraColumns) -> Self {
        Self::named(extra, str::to_owned, &[])
    }

    fn named(extra: &ExtraColumns, own_name: impl Fn(&str) -> String, allocation: &[&str]) -> Self {
        let known = Version::V1_2.columns();
        let focus = known.iter().filter(|name| match **name {
            "ListCost" => extra.has_list_cost,
            "ContractedCost" => extra.has_contracted_cost,
            _ => true,
        });
        let with_field = |name: &&str| Column { name: (*name).into(), stored_as: (*name).into(), has_field: true };
        let mut all: Vec<Column> = focus.map(with_field).collect();
        all.sort_by(|left, right| left.name.cmp(&right.name));
        all.extend(allocation.iter().map(with_field));
        for stored_as in &extra.names {
            // By its own name: what a file has under an old name beside the newer one is a value of its own.
            if known.contains(&stored_as.as_str()) && stored_as != OLDER_PROVIDER {
                continue;
            }
            let mut name = own_name(stored_as);
            while all.iter().any(|column| column.name.eq_ignore_ascii_case(&name)) {
                name.push('_');
            }
            all.push(Column { name, stored_as: stored_as.clone(), has_field: false });
        }
        Self { columns: all, derives: false }
    }

    /// The names, in order.
    pub fn header(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The cells of a line in the order of the header; null is empty.
    pub fn row(&self, charge: &ExportedCharge, row: &mut Vec<String>) -> anyhow::Result<()> {
        let measures: Map<String, Value> = match &charge.measures {
            Some(text) => serde_json::from_str(text).context("other costs of a line cannot be read")?,
            None => Map::new(),
        };
        row.clear();
        row.extend(self.columns.iter().map(|column| {
            let own = if column.has_field { field(charge, &column.stored_as) } else { None };
            let cell = own.unwrap_or_else(|| other(&charge.attributes, &measures, &column.stored_as));
            if cell.is_empty() && self.derives && column.stored_as == "PricingCurrencyEffectiveCost" {
                return if is_priced_as_billed(charge) { charge.effective_cost.clone() } else { cell };
            }
            cell
        }));
        Ok(())
    }
}

/// Where prices are in the billing currency, the effective cost in either is the same.
fn is_priced_as_billed(charge: &ExportedCharge) -> bool {
    charge.attributes.get("PricingCurrency").and_then(Value::as_str) == Some(charge.billing_currency.as_str())
}

// FOCUS wants the columns that it does not know to begin with x_.
fn own_name(name: &str) -> String {
    if name.starts_with("x_") { name.to_owned() } else { format!("x_{name}") }
}

fn other(attributes: &Value, measures: &Map<String, Value>, name: &str) -> String {
    let value = attributes.get(name).or_else(|| measures.get(name));
    value.map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// The value of a column that every line has a field for; `None` where it has none.
fn field(charge: &ExportedCharge, name: &str) -> Option<String> {
    let text = |value: &Option<String>| Some(value.clone().unwrap_or_default());
    match name {
        // PostgreSQL writes no exponents, and FOCUS allows none.
        "BilledCost" => Some(charge.billed_cost.clone()),
        "EffectiveCost" => Some(charge.effective_cost.clone()),
        "ListCost" => text(&charge.list_cost),
        "ContractedCost" => text(&charge.contracted_cost),
        "PricingQuantity" => text(&charge.pricing_quantity),
        "ConsumedQuantity" => text(&charge.consumed_quantity),
        "BillingCurrency" => Some(charge.billing_currency.clone()),
        "BillingAccountId" => Some(charge.billing_account_id.clone()),
        "BillingPeriodStart" => Some(midnight(charge.billing_period_start)),
        "BillingPeriodEnd" => Some(midnight(charge.billing_period_end)),
        "ChargePeriodStart" => Some(moment(charge.charge_period_start)),
        "ChargePeriodEnd" => Some(moment(charge.charge_period_end)),
        "ProviderName" => text(&charge.provider_name),
        "InvoiceIssuerName" => text(&charge.invoice_issuer_name),
        "SubAccountId" => text(&charge.sub_account_id),
        "SubAccountName" => text(&charge.sub_account_name),
        "ServiceCategory" => text(&charge.service_category),
        "ServiceName" => text(&charge.service_name),
        "RegionId" => text(&charge.region_id),
        "SkuId" => text(&charge.sku_id),
        "ChargeCategory" => text(&charge.charge_category),
        "ChargeClass" => text(&charge.charge_class),
        "PricingCategory" => text(&charge.pricing_category),
        "CommitmentDiscountStatus" => text(&charge.commitment_discount_status),
        "ResourceId" => text(&charge.resource_id),
        "ResourceName" => text(&charge.resource_name),
        "ResourceType" => text(&charge.resource_type),
        "ChargeDescription" => text(&charge.charge_description),
        "Tags" => Some(tags(&charge.tags)),
        ALLOCATED_SERVICE => text(&charge.allocated_service),
        ALLOCATED_ENVIRONMENT => text(&charge.allocated_environment),
        ALLOCATED_TEAM => text(&charge.allocated_team),
        _ => None,
    }
}

fn tags(tags: &Value) -> String {
    match tags {
        Value::Object(map) if map.is_empty() => String::new(),
        tags => tags.to_string(),
    }
}

fn midnight(day: NaiveDate) -> String {
    format!("{day}T00:00:00Z")
}

fn moment(at: DateTime<Utc>) -> String {
    at.format(if at.timestamp_subsec_nanos() == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%.fZ" }).to_string()
}

/// What was written, added up apart from the rollups that it is compared with.
#[derive(Default)]
pub struct Sums(BTreeMap<String, ExportTotal>);

impl Sums {
    /// Adds a line.
    pub fn add(&mut self, charge: &ExportedCharge) -> anyhow::Result<()> {
        if !self.0.contains_key(&charge.billing_currency) {
            let none = ExportTotal {
                billing_currency: charge.billing_currency.clone(),
                charge_count: 0,
                billed_cost: 0.into(),
                effective_cost: 0.into(),
                list_cost: 0.into(),
                contracted_cost: 0.into(),
            };
            self.0.insert(charge.billing_currency.clone(), none);
        }
        let Some(total) = self.0.get_mut(&charge.billing_currency) else { return Ok(()) };
        let number = |text: &Option<String>| text.as_deref().unwrap_or("0").parse::<BigDecimal>();
        total.charge_count += 1;
        total.billed_cost += charge.billed_cost.parse::<BigDecimal>()?;
        total.effective_cost += charge.effective_cost.parse::<BigDecimal>()?;
        total.list_cost += number(&charge.list_cost)?;
        total.contracted_cost += number(&charge.contracted_cost)?;
        Ok(())
    }

    /// The totals, by currency.
    pub fn into_totals(self) -> Vec<ExportTotal> {
        self.0.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extra(names: &[&str]) -> ExtraColumns {
        let names = names.iter().map(ToString::to_string).collect();
        ExtraColumns { names, has_list_cost: true, has_contracted_cost: false }
    }

    #[test]
    fn columns_are_those_of_focus_1_2_and_own_ones() {
        let columns = Columns::new(&extra(&["Id", "x_Id", "InvoiceId", "ServiceProviderName", "x_Team"]));
        let header: Vec<&str> = columns.header().collect();
        assert_eq!(header.len(), 56 + 4, "ContractedCost is left out, InvoiceId stands where it belongs");
        assert_eq!(header[56..], ["x_Id", "x_Id_", "x_ServiceProviderName", "x_Team"]);
        assert!(header[..56].is_sorted() && header.contains(&"ListCost") && !header.contains(&"ContractedCost"));
    }

    /// `Region` beside `RegionId`, and `ProviderName` beside `ServiceProviderName`: both values are in the file.
    #[test]
    fn what_stands_under_an_old_name_beside_the_newer_one_is_kept() {
        let columns = Columns::new(&extra(&["InvoiceId", "ProviderName", "Region"]));
        let header: Vec<&str> = columns.header().collect();
        assert_eq!(header[56..], ["x_ProviderName", "x_Region"]);
        let mut charge = charge("USD", None);
        (charge.provider_name, charge.region_id) = (Some("New".into()), Some("eu-1".into()));
        charge.attributes = serde_json::json!({"ProviderName": "Old", "Region": "Europe", "InvoiceId": "I-1"});
        let mut row = Vec::new();
        columns.row(&charge, &mut row).unwrap();
        let cell = |name: &str| row[header.iter().position(|own| *own == name).unwrap()].as_str();
        assert_eq!(["ProviderName", "x_ProviderName"].map(cell), ["New", "Old"]);
        assert_eq!(["RegionId", "x_Region", "InvoiceId"].map(cell), ["eu-1", "Europe", "I-1"]);
    }

    fn charge(pricing_currency: &str, measures: Option<&str>) -> ExportedCharge {
        let (day, moment) = (NaiveDate::default(), DateTime::<Utc>::default());
        ExportedCharge {
            billing_account_id: "1".to_owned(),
            billing_period_start: day,
            billing_period_end: day,
            billing_currency: "USD".to_owned(),
            charge_period_start: moment,
            charge_period_end: moment,
            billed_cost: "2".to_owned(),
            effective_cost: "1.50".to_owned(),
            list_cost: None,
            contracted_cost: None,
            pricing_quantity: None,
            consumed_quantity: None,
            provider_name: None,
            invoice_issuer_name: None,
            sub_account_id: None,
            sub_account_name: None,
            service_category: None,
            service_name: None,
            region_id: None,
            sku_id: None,
            charge_category: None,
            charge_class: None,
            pricing_category: None,
            commitment_discount_status: None,
            resource_id: None,
            resource_name: None,
            resource_type: None,
            charge_description: None,
            tags: serde_json::json!({}),
            attributes: serde_json::json!({ "PricingCurrency": pricing_currency }),
            measures: measures.map(str::to_owned),
            allocated_service: Some("Checkout".to_owned()),
            allocated_environment: None,
            allocated_team: Some("Payments".to_owned()),
        }
    }

    /// Whose a line is now has the plain name, also where the file was exported before; other exports lack it.
    #[test]
    fn whose_a_line_is_stands_behind_the_columns_of_focus() {
        let before = extra(&["x_AllocatedService"]);
        let columns = Columns::with_allocation(&before);
        let header: Vec<&str> = columns.header().collect();
        let own = ["x_AllocatedService", "x_AllocatedEnvironment", "x_AllocatedTeam", "x_AllocatedService_"];
        assert_eq!(header[56..], own);
        let mut charge = charge("USD", None);
        charge.attributes = serde_json::json!({"x_AllocatedService": "Before"});
        let mut row = Vec::new();
        columns.row(&charge, &mut row).unwrap();
        assert_eq!(row[56..], ["Checkout", "", "Payments", "Before"]);
        Columns::new(&before).row(&charge, &mut row).unwrap();
        assert_eq!(row[56..], ["Before"]);
    }

    #[test]
    fn the_cost_in_the_currency_of_prices_is_told_where_it_follows() {
        let cell = |columns: &Columns, charge: &ExportedCharge| {
            let mut row = Vec::new();
            columns.row(charge, &mut row).unwrap();
            row[columns.header().position(|name| name == "PricingCurrencyEffectiveCost").unwrap()].clone()
        };
        let (exported, kept) = (Columns::new(&extra(&[])), Columns::as_kept(&extra(&[])));
        let own = Some(r#"{"PricingCurrencyEffectiveCost":"1.4"}"#);
        assert_eq!(cell(&exported, &charge("USD", None)), "1.50");
        assert_eq!(cell(&exported, &charge("EUR", None)), "");
        assert_eq!(cell(&exported, &charge("USD", own)), "1.4");
        assert_eq!(cell(&kept, &charge("USD", None)), "", "what is read back is what was there");
    }

    #[test]
    fn moments_keep_their_fraction() {
        assert_eq!(moment("2026-10-01T05:06:07Z".parse().unwrap()), "2026-10-01T05:06:07Z");
        assert_eq!(moment("2026-10-01T05:06:07.25Z".parse().unwrap()), "2026-10-01T05:06:07.250Z");
    }
}
