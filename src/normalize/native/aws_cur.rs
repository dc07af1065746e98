//! AWS Cost and Usage Reports: legacy (`lineItem/UnblendedCost`, a column a tag), 2.0 (`line_item_unblended_cost`,
//! tags and product attributes as maps), and legacy ones in Parquet, which mix the two.

use super::categories::{self, Categories};
use super::columns::ABSENT;
use super::plan::Plan;
use super::row::{Known, MadeCells, Place};
use super::text::{TagColumns, string_member, without_key_prefix};
use super::{Fault, first, has_unreadable_tags};
use crate::focus::Decimal;
use crate::normalize::cells::{Cells, present, trimmed};
use crate::normalize::tags::Readable;
use memchr::memmem::Finder;

/// Tags that users made carry this in front of their keys.
const USER_PREFIXES: [&str; 2] = ["user:", "user_"];
/// Where all kinds of tags are one map, those of resources carry this. Tags of accounts, cost categories and others keep
/// what they carry, which tells them apart.
const RESOURCE_PREFIXES: [&str; 2] = ["resourceTags/user:", "resourceTags/"];

/// Columns of a report that are read for each line, and what is made of them.
pub(super) struct AwsCur {
    line_item_type: usize,
    usage_type: usize,
    unblended_cost: usize,
    savings_plan_effective_cost: usize,
    total_commitment: usize,
    used_commitment: usize,
    reservation_effective_cost: usize,
    unused_upfront_fee: usize,
    unused_recurring_fee: usize,
    savings_plan_arn: usize,
    reservation_arn: usize,
    product_code: usize,
    service_code: usize,
    product_name: usize,
    product_map: usize,
    region_code: usize,
    region: usize,
    location: usize,
    location_type: usize,
    account: usize,
    rate_code: usize,
    rate_id: usize,
    tag_map: usize,
    tag_prefixes: &'static [&'static str],
    tags: TagColumns,
    known_tags: Readable,
    categories: Categories,
    /// What is looked for in texts of each line: a search costs as much to make ready as to do.
    spot: Finder<'static>,
    product_name_member: Finder<'static>,
    to: Computed,
}

struct Computed {
    effective_cost: Place,
    contracted_cost: Place,
    provider: Place,
    account_type: Place,
    sub_account_type: Place,
    charge_category: Place,
    charge_frequency: Place,
    pricing_category: Place,
    commitment_id: Place,
    commitment_category: Place,
    commitment_type: Place,
    commitment_status: Place,
    service_category: Place,
    service_name: Place,
    region: Place,
    region_name: Place,
    sku_price: Place,
    tags: Place,
}

/// What a type of line is in FOCUS terms: category, frequency.
fn line_kind(line_item_type: &str) -> (&'static str, &'static str) {
    match line_item_type {
        "Usage" | "DiscountedUsage" | "SavingsPlanCoveredUsage" => ("Usage", "Usage-Based"),
        // AWS's own FOCUS export nets these into the usage that they belong to.
        "SavingsPlanNegation"
        | "BundledDiscount"
        | "Discount"
        | "PrivateRateDiscount"
        | "EdpDiscount"
        | "SppDiscount"
        | "RiVolumeDiscount" => ("Usage", "Usage-Based"),
        "Fee" | "SavingsPlanUpfrontFee" => ("Purchase", "One-Time"),
        "RIFee" | "SavingsPlanRecurringFee" => ("Purchase", "Recurring"),
        "Tax" => ("Tax", "One-Time"),
        "Credit" | "Refund" => ("Credit", "One-Time"),
        _ => ("Adjustment", ""),
    }
}

impl AwsCur {
    pub fn of(plan: &mut Plan) -> Self {
        let unblended_cost = plan.rename("BilledCost", &["lineitemunblendedcost"]);
        plan.rename("ListCost", &["pricingpublicondemandcost"]);
        plan.rename("BillingCurrency", &["lineitemcurrencycode"]);
        plan.rename("BillingPeriodStart", &["billbillingperiodstartdate"]);
        plan.rename("BillingPeriodEnd", &["billbillingperiodenddate"]);
        plan.rename("ChargePeriodStart", &["lineitemusagestartdate"]);
        plan.rename("ChargePeriodEnd", &["lineitemusageenddate"]);
        let payer = plan.rename("BillingAccountId", &["billpayeraccountid"]);
        plan.rename("BillingAccountName", &["billpayeraccountname"]);
        let account = plan.rename("SubAccountId", &["lineitemusageaccountid"]);
        plan.rename("SubAccountName", &["lineitemusageaccountname"]);
        plan.rename("InvoiceId", &["billinvoiceid"]);
        plan.rename("InvoiceIssuerName", &["billinvoicingentity", "billbillingentity"]);
        plan.rename("PublisherName", &["lineitemlegalentity"]);
        plan.rename("AvailabilityZone", &["lineitemavailabilityzone"]);
        plan.rename("ChargeDescription", &["lineitemlineitemdescription"]);
        plan.rename("ResourceId", &["lineitemresourceid"]);
        plan.rename("SkuId", &["productsku"]);
        plan.rename("ListUnitPrice", &["pricingpublicondemandrate"]);
        let usage_amount = plan.rename("ConsumedQuantity", &["lineitemusageamount"]);
        plan.copy("PricingQuantity", usage_amount);
        let unit = plan.rename("ConsumedUnit", &["pricingunit"]);
        plan.copy("PricingUnit", unit);
        plan.rename("PricingCurrency", &["pricingcurrency"]);
        let line_item_type = plan.native.find(&["lineitemlineitemtype"]);
        let to = Computed::of(plan, unblended_cost, line_item_type, [payer, account]);
        let tag_map = plan.used(&["resourcetags", "tags"]);
        let has_all_tags = plan.native.key(tag_map) == "tags";
        Self {
            line_item_type,
            usage_type: plan.native.find(&["lineitemusagetype"]),
            unblended_cost,
            savings_plan_effective_cost: plan.native.find(&["savingsplansavingsplaneffectivecost"]),
            total_commitment: plan.native.find(&["savingsplantotalcommitmenttodate"]),
            used_commitment: plan.native.find(&["savingsplanusedcommitment"]),
            reservation_effective_cost: plan.native.find(&["reservationeffectivecost"]),
            unused_upfront_fee: plan.native.find(&["reservationunusedamortizedupfrontfeeforbillingperiod"]),
            unused_recurring_fee: plan.native.find(&["reservationunusedrecurringfee"]),
            savings_plan_arn: plan.used(&["savingsplansavingsplanarn"]),
            reservation_arn: plan.used(&["reservationreservationarn"]),
            product_code: plan.native.find(&["lineitemproductcode"]),
            service_code: plan.native.find(&["productservicecode"]),
            product_name: plan.used(&["productproductname"]),
            product_map: plan.native.find(&["product"]),
            region_code: plan.used(&["productregioncode"]),
            region: plan.native.find(&["productregion"]),
            location: plan.native.find(&["productlocation"]),
            location_type: plan.native.find(&["productlocationtype"]),
            account,
            rate_code: plan.used(&["pricingratecode"]),
            rate_id: plan.native.find(&["pricingrateid"]),
            tag_map,
            tag_prefixes: if has_all_tags { &RESOURCE_PREFIXES } else { &USER_PREFIXES },
            tags: TagColumns::of(tag_columns(plan)),
            known_tags: Readable::default(),
            categories: Categories::of(categories::AWS),
            spot: Finder::new("SpotUsage"),
            product_name_member: Finder::new("product_name"),
            to,
        }
    }

    /// Computes the costs that no column says by itself, and looks whether the tags can be read.
    pub fn line(&mut self, cells: Cells<'_>, row: &mut MadeCells, known: &mut Known) -> Result<(), Fault> {
        let line_item_type = trimmed(cells.get(self.line_item_type));
        self.effective_cost(cells, row, line_item_type)?;
        // Reserved usage has no price of its own, and what a savings plan negates is priced on the covered line.
        if !matches!(line_item_type, "DiscountedUsage" | "RIFee" | "SavingsPlanNegation") {
            row.same(self.to.contracted_cost, cells, self.unblended_cost);
        }
        known.has_unreadable_tags = self.has_unreadable_tags(cells);
        Ok(())
    }

    /// Computes what lines of a group share and no column says by itself.
    pub fn shared(&self, cells: Cells<'_>, row: &mut MadeCells) {
        let to = &self.to;
        let line_item_type = trimmed(cells.get(self.line_item_type));
        let (category, frequency) = line_kind(line_item_type);
        row.put(to.provider, "AWS");
        row.put(to.account_type, "Payer Account");
        if present(cells.get(self.account)).is_some() {
            row.put(to.sub_account_type, "Linked Account");
        }
        row.put(to.charge_category, category);
        row.put(to.charge_frequency, frequency);
        self.commitment(cells, row, line_item_type);
        self.service(cells, row);
        self.region(cells, row);
        row.same(to.sku_price, cells, first(cells, self.rate_code, self.rate_id));
        row.write(to.tags, |text| match self.tag_map(cells) {
            Some(map) => without_key_prefix(text, map, self.tag_prefixes),
            None => self.tags.write(text, cells),
        });
    }

    fn effective_cost(&self, cells: Cells<'_>, row: &mut MadeCells, line_item_type: &str) -> Result<(), Fault> {
        let place = self.to.effective_cost;
        match line_item_type {
            "SavingsPlanCoveredUsage" => row.same(place, cells, needed(cells, self.savings_plan_effective_cost)?),
            "DiscountedUsage" => row.same(place, cells, needed(cells, self.reservation_effective_cost)?),
            "SavingsPlanRecurringFee" => {
                let mut unused = amount(cells, needed(cells, self.total_commitment)?)?;
                unused -= &amount(cells, self.used_commitment)?;
                row.show(place, &unused);
            }
            "RIFee" => {
                let mut unused = amount(cells, self.unused_upfront_fee)?;
                unused += &amount(cells, self.unused_recurring_fee)?;
                row.show(place, &unused);
            }
            "SavingsPlanNegation" | "SavingsPlanUpfrontFee" => row.put(place, "0"),
            "Fee" if present(cells.get(self.reservation_arn)).is_some() => row.put(place, "0"),
            _ => row.same(place, cells, self.unblended_cost),
        }
        Ok(())
    }

    fn commitment(&self, cells: Cells<'_>, row: &mut MadeCells, line_item_type: &str) {
        let to = &self.to;
        let is_committed = matches!(line_item_type, "SavingsPlanCoveredUsage" | "DiscountedUsage");
        if is_committed {
            row.put(to.pricing_category, "Committed");
            row.put(to.commitment_status, "Used");
        } else if matches!(line_item_type, "SavingsPlanRecurringFee" | "RIFee") {
            // The EffectiveCost of a fee is the part that was left unused. The status must follow from the type of
            // line alone, because lines of one charge group share it.
            row.put(to.commitment_status, "Unused");
        } else if line_item_type == "Usage" {
            let is_spot = self.spot.find(cells.get(self.usage_type).as_bytes()).is_some();
            row.put(to.pricing_category, if is_spot { "Dynamic" } else { "Standard" });
        }
        if present(cells.get(self.savings_plan_arn)).is_some() {
            row.same(to.commitment_id, cells, self.savings_plan_arn);
            row.put(to.commitment_category, "Spend");
            row.put(to.commitment_type, "Savings Plan");
        } else if present(cells.get(self.reservation_arn)).is_some() {
            row.same(to.commitment_id, cells, self.reservation_arn);
            row.put(to.commitment_category, "Usage");
            row.put(to.commitment_type, "Reserved Instances (RI)");
        }
    }

    fn service(&self, cells: Cells<'_>, row: &mut MadeCells) {
        let to = &self.to;
        let category = self.categories.get(cells.get(self.product_code));
        let category = category.or_else(|| self.categories.get(cells.get(self.service_code)));
        row.put(to.service_category, category.unwrap_or("Other"));
        if present(cells.get(self.product_name)).is_some() {
            row.same(to.service_name, cells, self.product_name);
        } else if let Some(range) = string_member(cells.get(self.product_map), &self.product_name_member) {
            row.part(to.service_name, cells, self.product_map, range);
        } else {
            row.same(to.service_name, cells, first(cells, self.product_code, self.service_code));
        }
    }

    /// Locations are edge locations, zones and the like too: only that of a region is its name.
    fn region(&self, cells: Cells<'_>, row: &mut MadeCells) {
        row.same(self.to.region, cells, first(cells, self.region_code, self.region));
        if trimmed(cells.get(self.location_type)) == "AWS Region" && present(cells.get(self.region_code)).is_some() {
            row.same(self.to.region_name, cells, self.location);
        }
    }

    /// The tags where they are one column, and there are any.
    fn tag_map<'a>(&self, cells: Cells<'a>) -> Option<&'a str> {
        present(cells.get(self.tag_map)).filter(|map| *map != "{}")
    }

    fn has_unreadable_tags(&mut self, cells: Cells<'_>) -> bool {
        match self.tag_map(cells) {
            Some(map) => {
                let prefixes = self.tag_prefixes;
                has_unreadable_tags(&mut self.known_tags, map, |text| without_key_prefix(text, map, prefixes))
            }
            None => self.tags.are_unreadable(cells),
        }
    }
}

impl Computed {
    fn of(plan: &mut Plan, unblended_cost: usize, line_item_type: usize, [payer, account]: [usize; 2]) -> Self {
        let commitment = plan.native.find(&["savingsplansavingsplanarn", "reservationreservationarn"]);
        let product_code = plan.native.find(&["lineitemproductcode", "productservicecode"]);
        let name = plan.native.find(&["productproductname", "product", "lineitemproductcode", "productservicecode"]);
        let region = plan.native.find(&["productregioncode", "productregion"]);
        let rate = plan.native.find(&["pricingratecode", "pricingrateid"]);
        let location = plan.native.find(&["productlocation"]);
        Self {
            effective_cost: plan.compute_from("EffectiveCost", unblended_cost),
            contracted_cost: plan.compute_from("ContractedCost", unblended_cost),
            provider: plan.compute("ProviderName", ABSENT),
            account_type: plan.compute_from("BillingAccountType", payer),
            sub_account_type: plan.compute_from("SubAccountType", account),
            charge_category: plan.compute_from("ChargeCategory", line_item_type),
            charge_frequency: plan.compute_from("ChargeFrequency", line_item_type),
            pricing_category: plan.compute_from("PricingCategory", line_item_type),
            commitment_id: plan.compute_from("CommitmentDiscountId", commitment),
            commitment_category: plan.compute_from("CommitmentDiscountCategory", commitment),
            commitment_type: plan.compute_from("CommitmentDiscountType", commitment),
            commitment_status: plan.compute_from("CommitmentDiscountStatus", line_item_type),
            service_category: plan.compute_from("ServiceCategory", product_code),
            service_name: plan.compute_from("ServiceName", name),
            region: plan.compute_from("RegionId", region),
            region_name: plan.compute_from("RegionName", location),
            sku_price: plan.compute_from("SkuPriceId", rate),
            tags: plan.compute("Tags", ABSENT),
        }
    }
}

/// `resourceTags/user:team` and `resource_tags_user_team` are the tag `team`; what AWS sets keeps its `aws:`.
fn tag_columns(plan: &mut Plan) -> Vec<(usize, String)> {
    let key = |own: &str| match own.strip_prefix("aws_") {
        Some(key) => format!("aws:{key}"),
        None => USER_PREFIXES.iter().find_map(|prefix| own.strip_prefix(prefix)).unwrap_or(own).to_owned(),
    };
    let mut tags = plan.tag_columns("resourceTags/", key);
    tags.extend(plan.tag_columns("resource_tags_", key));
    tags
}

fn needed(cells: Cells<'_>, column: usize) -> Result<usize, Fault> {
    match present(cells.get(column)) {
        Some(_) => Ok(column),
        None => Err(Fault { focus: "EffectiveCost", column, reason: "is null".to_owned() }),
    }
}

/// A null counts as zero.
fn amount(cells: Cells<'_>, column: usize) -> Result<Decimal, Fault> {
    let Some(text) = present(cells.get(column)) else { return Ok(Decimal::ZERO) };
    Decimal::parse(text.trim()).map_err(|error| Fault { focus: "EffectiveCost", column, reason: error.to_string() })
}

/// Columns that differ from line to line: their keys.
pub(super) fn is_measure(key: &str) -> bool {
    const LINE_ITEM: [&str; 8] = [
        "blendedcost",
        "blendedrate",
        "unblendedrate",
        "netunblendedcost",
        "netunblendedrate",
        "normalizationfactor",
        "normalizedusageamount",
        "usageamount",
    ];
    const RESERVATION_TEXTS: [&str; 5] =
        ["availabilityzone", "endtime", "starttime", "modificationstatus", "subscriptionid"];
    const PLAN_TEXTS: [&str; 7] =
        ["endtime", "starttime", "instancetypefamily", "offeringtype", "paymentoption", "purchaseterm", "region"];
    if let Some(rest) = key.strip_prefix("lineitem") {
        return LINE_ITEM.contains(&rest);
    }
    if let Some(rest) = key.strip_prefix("reservation") {
        return !RESERVATION_TEXTS.contains(&rest);
    }
    if let Some(rest) = key.strip_prefix("savingsplan") {
        return !PLAN_TEXTS.contains(&rest);
    }
    if let Some(rest) = key.strip_prefix("splitlineitem") {
        return rest != "parentresourceid";
    }
    key.starts_with("identity") || key.starts_with("discount")
}
