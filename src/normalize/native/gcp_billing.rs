//! Google Cloud's detailed usage cost export, as a table with dotted names or as one JSON object a line.

use super::categories::{self, Categories};
use super::columns::ABSENT;
use super::days::Days;
use super::plan::Plan;
use super::python;
use super::row::{Known, MadeCells, Place};
use super::{Fault, first, has_unreadable_tags};
use crate::focus::Decimal;
use crate::normalize::cells::{Cells, present, trimmed};
use crate::normalize::tags::Readable;
use serde::Deserialize;
use serde_json::Value;

/// What the receipt of a flattened table says: its rows do not tell whether one line of the bill stands in several.
pub(super) const ONE_CREDIT_A_ROW: &str = "The table has one credit a row (credits.amount). Where a line of the bill \
    has several credits and a row for each, its cost stands on each of them and counts as often: compare the total \
    with the invoice, and flatten so that a line stays one row.";

pub(super) struct GcpBilling {
    cost: usize,
    credits: usize,
    /// The credits of tables that were flattened: one amount a row.
    credit_amount: usize,
    invoice_month: usize,
    cost_type: usize,
    service: usize,
    region: usize,
    location: usize,
    seller: usize,
    project: usize,
    labels: usize,
    months: Days,
    known_labels: Readable,
    categories: Categories,
    scratch: String,
    to: Computed,
}

struct Computed {
    cost: Place,
    account_type: Place,
    sub_account_type: Place,
    provider: Place,
    issuer: Place,
    publisher: Place,
    charge_category: Place,
    charge_frequency: Place,
    service_category: Place,
    region: Place,
    tags: Place,
}

#[derive(Deserialize)]
struct Credit {
    amount: Value,
}

impl GcpBilling {
    pub fn of(plan: &mut Plan) -> Self {
        let cost = plan.rename("ContractedCost", &["cost"]);
        plan.rename("ListCost", &["costatlist"]);
        plan.rename("BillingCurrency", &["currency"]);
        plan.rename("ChargePeriodStart", &["usagestarttime"]);
        plan.rename("ChargePeriodEnd", &["usageendtime"]);
        let account = plan.rename("BillingAccountId", &["billingaccountid"]);
        let project = plan.rename("SubAccountId", &["projectid"]);
        plan.rename("SubAccountName", &["projectname"]);
        plan.rename("AvailabilityZone", &["locationzone"]);
        plan.rename("SkuId", &["skuid"]);
        plan.rename("ChargeDescription", &["skudescription"]);
        plan.rename("ConsumedQuantity", &["usageamount"]);
        plan.rename("ConsumedUnit", &["usageunit"]);
        plan.rename("PricingQuantity", &["usageamountinpricingunits"]);
        plan.rename("PricingUnit", &["usagepricingunit"]);
        plan.rename("ContractedUnitPrice", &["priceeffectiveprice"]);
        plan.rename("ResourceId", &["resourceglobalname"]);
        plan.rename("ResourceName", &["resourcename"]);
        let service = plan.rename("ServiceName", &["servicedescription", "serviceid"]);
        let invoice_month = plan.used_for_line(&["invoicemonth"]);
        let labels = plan.used(&["labels"]);
        let (region, location) = (plan.used(&["locationregion"]), plan.native.find(&["locationlocation"]));
        let billed = plan.compute_from("BilledCost", cost);
        plan.again("EffectiveCost", billed, cost);
        plan.known("BillingPeriodStart", invoice_month);
        plan.known("BillingPeriodEnd", invoice_month);
        Self {
            cost,
            credits: plan.native.find(&["credits"]),
            credit_amount: plan.native.find(&["creditsamount"]),
            invoice_month,
            cost_type: plan.native.find(&["costtype"]),
            service,
            region,
            location,
            seller: plan.used(&["sellername"]),
            project,
            labels,
            months: Days::default(),
            known_labels: Readable::default(),
            categories: Categories::of(categories::GOOGLE),
            scratch: String::new(),
            to: Computed {
                cost: billed,
                account_type: plan.compute_from("BillingAccountType", account),
                sub_account_type: plan.compute_from("SubAccountType", project),
                provider: plan.compute("ProviderName", ABSENT),
                issuer: plan.compute("InvoiceIssuerName", ABSENT),
                publisher: plan.compute("PublisherName", ABSENT),
                charge_category: plan.compute("ChargeCategory", ABSENT),
                charge_frequency: plan.compute("ChargeFrequency", ABSENT),
                service_category: plan.compute_from("ServiceCategory", service),
                region: plan.compute_from("RegionId", if region == ABSENT { location } else { region }),
                tags: plan.compute_from("Tags", labels),
            },
        }
    }

    /// Whether credits were flattened into a column of their own.
    pub fn has_one_credit_a_row(&self) -> bool {
        self.credit_amount != ABSENT
    }

    /// Computes cost and billing period, and looks whether the labels can be read.
    pub fn line(&mut self, cells: Cells<'_>, row: &mut MadeCells, known: &mut Known) -> Result<(), Fault> {
        self.cost(cells, row, known)?;
        self.period(cells, known)?;
        // Python's lists are no JSON.
        known.has_unreadable_tags = self.labels(cells).is_some_and(|labels| {
            has_unreadable_tags(&mut self.known_labels, labels, |text| {
                if python::is_python(labels) { python::write_json(text, labels) } else { text.push_str(labels) }
            })
        });
        Ok(())
    }

    /// Computes what lines of a group share and no column says by itself.
    pub fn shared(&self, cells: Cells<'_>, row: &mut MadeCells) {
        let to = &self.to;
        row.put(to.provider, "Google Cloud");
        row.put(to.issuer, "Google Cloud");
        match present(cells.get(self.seller)) {
            Some(_) => row.same(to.publisher, cells, self.seller),
            None => row.put(to.publisher, "Google Cloud"),
        }
        row.put(to.account_type, "Billing Account");
        if present(cells.get(self.project)).is_some() {
            row.put(to.sub_account_type, "Project");
        }
        // What an adjustment adjusts may have come once or every month: the export does not say.
        let (category, frequency) = match trimmed(cells.get(self.cost_type)) {
            "tax" => ("Tax", "One-Time"),
            "adjustment" | "rounding_error" => ("Adjustment", ""),
            "credit" => ("Credit", "One-Time"),
            _ => ("Usage", "Usage-Based"),
        };
        row.put(to.charge_category, category);
        row.put(to.charge_frequency, frequency);
        row.put(to.service_category, self.categories.get(cells.get(self.service)).unwrap_or("Other"));
        row.same(to.region, cells, first(cells, self.region, self.location));
        match self.labels(cells) {
            Some(labels) if python::is_python(labels) => row.write(to.tags, |text| python::write_json(text, labels)),
            Some(_) => row.same(to.tags, cells, self.labels),
            None => {}
        }
    }

    /// The labels, where there are any.
    fn labels<'a>(&self, cells: Cells<'a>) -> Option<&'a str> {
        list(cells, self.labels).map(trimmed)
    }

    /// The cost and the credits against it, which are negative.
    fn cost(&mut self, cells: Cells<'_>, row: &mut MadeCells, known: &mut Known) -> Result<(), Fault> {
        let filled = |column: usize| list(cells, column).map(|credits| (credits, column));
        let credits = filled(self.credits).or_else(|| filled(self.credit_amount));
        // A cost that cannot be read is rejected as one that no credit stands against.
        let cost = credits.and_then(|credits| Some((credits, Decimal::parse(trimmed(cells.get(self.cost))).ok()?)));
        let Some(((credits, column), mut cost)) = cost else {
            row.same(self.to.cost, cells, self.cost);
            return Ok(());
        };
        let fault = |reason: &str| Fault { focus: "BilledCost", column, reason: reason.to_owned() };
        if column == self.credit_amount && !credits.trim_start().starts_with('[') {
            cost += &Decimal::parse(credits.trim()).map_err(|_| fault("is not a number"))?;
            known.billed_cost = row.known_or_shown(self.to.cost, cost);
            return Ok(());
        }
        let mut json = credits;
        if python::is_python(credits) {
            self.scratch.clear();
            python::write_json(&mut self.scratch, credits);
            json = &self.scratch;
        }
        let credits: Vec<Credit> =
            serde_json::from_str(json).map_err(|_| fault("is not a list of credits with an amount each"))?;
        for credit in credits {
            let amount = match &credit.amount {
                Value::Number(number) => Decimal::parse(number.as_str()),
                Value::String(text) => Decimal::parse(text.trim()),
                _ => return Err(fault("has a credit without an amount")),
            };
            cost += &amount.map_err(|_| fault("has a credit whose amount is not a number"))?;
        }
        known.billed_cost = row.known_or_shown(self.to.cost, cost);
        Ok(())
    }

    /// The month of the invoice is the provider's own name for it; it begins at midnight in UTC here as all do.
    fn period(&mut self, cells: Cells<'_>, known: &mut Known) -> Result<(), Fault> {
        let cell = cells.get(self.invoice_month);
        let month = self.months.read_month(cell);
        if month.is_none() && self.invoice_month != ABSENT {
            let reason = if present(cell).is_none() { "is null" } else { "is not a month like 202610" };
            return Err(Fault { focus: "BillingPeriodStart", column: self.invoice_month, reason: reason.to_owned() });
        }
        if let Some(month) = month {
            known.billing_period(month.month_start, month.month_end);
        }
        Ok(())
    }
}

/// A list, unless it is null or empty, as most are.
#[inline]
fn list(cells: Cells<'_>, column: usize) -> Option<&str> {
    if cells.bytes(column) == b"[]" {
        return None;
    }
    present(cells.get(column)).filter(|text| trimmed(text) != "[]")
}

/// Columns that differ from line to line: their keys.
pub(super) fn is_measure(key: &str) -> bool {
    matches!(key, "exporttime" | "partitiondate" | "partitiontime" | "credits" | "currencyconversionrate")
        || key.ends_with("cost")
        || key.ends_with("amount") && key != "pricetierstartamount"
}
