//! Oracle Cloud's own cost reports (`reports/cost-csv`). Its FOCUS reports are read as FOCUS.

use super::categories::{self, Categories};
use super::columns::ABSENT;
use super::days::Days;
use super::first;
use super::plan::Plan;
use super::row::{Known, MadeCells, Place};
use super::text::TagColumns;
use crate::normalize::cells::{Cells, present};

pub(super) struct OciReport {
    usage_start: usize,
    subscription: usize,
    tenant: usize,
    service: usize,
    is_correction: usize,
    tags: TagColumns,
    days: Days,
    categories: Categories,
    to: Computed,
}

struct Computed {
    billing_period_start: Place,
    billing_period_end: Place,
    billing_account: Place,
    account_type: Place,
    sub_account_type: Place,
    provider: Place,
    issuer: Place,
    charge_category: Place,
    charge_frequency: Place,
    charge_class: Place,
    service_category: Place,
    tags: Place,
}

impl OciReport {
    pub fn of(plan: &mut Plan) -> Self {
        let cost = plan.rename("BilledCost", &["costmycost"]);
        plan.copy("EffectiveCost", cost);
        plan.copy("ContractedCost", cost);
        let currency = plan.rename("BillingCurrency", &["costcurrencycode"]);
        // The unit price is in the currency of the cost: quantity times price is the cost.
        plan.copy("PricingCurrency", currency);
        let usage_start = plan.rename("ChargePeriodStart", &["lineitemintervalusagestart"]);
        plan.rename("ChargePeriodEnd", &["lineitemintervalusageend"]);
        let tenant = plan.rename("SubAccountId", &["lineitemtenantid"]);
        plan.rename("AvailabilityZone", &["productavailabilitydomain"]);
        plan.rename("ChargeDescription", &["productdescription"]);
        plan.rename("RegionId", &["productregion"]);
        plan.rename("ResourceId", &["productresourceid"]);
        plan.rename("SkuId", &["costproductsku"]);
        plan.rename("ContractedUnitPrice", &["costunitprice"]);
        let quantity = plan.rename("ConsumedQuantity", &["usagebilledquantity"]);
        plan.copy("PricingQuantity", quantity);
        let unit = plan.rename("ConsumedUnit", &["costskuunitdescription"]);
        plan.copy("PricingUnit", unit);
        let service = plan.rename("ServiceName", &["productservice"]);
        let subscription = plan.used(&["costsubscriptionid"]);
        let is_correction = plan.used(&["lineitemiscorrection"]);
        let account = if subscription == ABSENT { tenant } else { subscription };
        Self {
            usage_start,
            subscription,
            tenant,
            service,
            is_correction,
            tags: TagColumns::of(plan.tag_columns("tags/", |own| own.to_owned())),
            days: Days::default(),
            categories: Categories::of(categories::ORACLE),
            to: Computed {
                billing_period_start: plan.compute_from("BillingPeriodStart", usage_start),
                billing_period_end: plan.compute_from("BillingPeriodEnd", usage_start),
                billing_account: plan.compute_from("BillingAccountId", account),
                account_type: plan.compute_from("BillingAccountType", account),
                sub_account_type: plan.compute_from("SubAccountType", tenant),
                provider: plan.compute("ProviderName", ABSENT),
                issuer: plan.compute("InvoiceIssuerName", ABSENT),
                charge_category: plan.compute("ChargeCategory", ABSENT),
                charge_frequency: plan.compute("ChargeFrequency", ABSENT),
                charge_class: plan.compute_from("ChargeClass", is_correction),
                service_category: plan.compute_from("ServiceCategory", service),
                tags: plan.compute("Tags", ABSENT),
            },
        }
    }

    /// The report has no billing period: it is the month, in UTC, in which the usage begins.
    pub fn line(&mut self, cells: Cells<'_>, row: &mut MadeCells, known: &mut Known) {
        let to = &self.to;
        // What is no moment is rejected where ChargePeriodStart is read, with the cell as it stands.
        if let Some(day) = self.days.read(cells.get(self.usage_start).get(..10).unwrap_or_default()) {
            known.billing_period(day.month_start, day.month_end);
        } else {
            row.same(to.billing_period_start, cells, self.usage_start);
            row.same(to.billing_period_end, cells, self.usage_start);
        }
        row.same(to.billing_account, cells, first(cells, self.subscription, self.tenant));
        known.has_unreadable_tags = self.tags.are_unreadable(cells);
    }

    /// Computes what lines of a group share and no column says by itself.
    pub fn shared(&self, cells: Cells<'_>, row: &mut MadeCells) {
        let to = &self.to;
        let has_subscription = present(cells.get(self.subscription)).is_some();
        row.put(to.account_type, if has_subscription { "Subscription" } else { "Tenancy" });
        if present(cells.get(self.tenant)).is_some() {
            row.put(to.sub_account_type, "Tenancy");
        }
        row.put(to.provider, "Oracle");
        row.put(to.issuer, "Oracle");
        row.put(to.charge_category, "Usage");
        row.put(to.charge_frequency, "Usage-Based");
        if present(cells.get(self.is_correction)).is_some_and(|text| text.trim().eq_ignore_ascii_case("true")) {
            row.put(to.charge_class, "Correction");
        }
        row.put(to.service_category, self.categories.get(cells.get(self.service)).unwrap_or("Other"));
        row.write(to.tags, |text| self.tags.write(text, cells));
    }
}

/// Columns that differ from line to line: their keys.
pub(super) fn is_measure(key: &str) -> bool {
    const OTHERS: [&str; 4] =
        ["lineitemreferenceno", "lineitembackreferenceno", "usageattributedusage", "usageconsumedquantity"];
    key.ends_with("overage") || key.ends_with("cost") || OTHERS.contains(&key)
}
