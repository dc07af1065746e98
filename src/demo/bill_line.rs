use super::components::Component;
use super::focus_file::FocusFile;
use super::organisation::Cloud;
use crate::focus::columns::Version;
use chrono::{Days, Months, NaiveDate};

/// One unit of currency in the scale that costs are kept in here.
pub const ONE: i128 = 100_000_000_000_000;
pub const COST_SCALE: usize = 14;
pub const SAVINGS_PLAN_ID: &str = "arn:aws:savingsplans::210987654321:savingsplan/8f1c0a52";

/// What a provider's bill looks like.
pub struct Biller {
    pub source: &'static str,
    pub file_stem: &'static str,
    pub provider_name: &'static str,
    pub invoice_issuer_name: &'static str,
    pub billing_account_id: &'static str,
    pub billing_account_name: &'static str,
    pub currency: &'static str,
    /// The version of FOCUS that it writes.
    pub version: Version,
    pub extension: &'static str,
    pub kind: Kind,
    /// Days that the provider is behind.
    pub lag_days: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Cloud(Cloud),
    Monitoring,
    Network,
}

/// A charge before it becomes text. Costs are in 1e-14 of the currency.
#[derive(Default)]
pub struct Line<'a> {
    pub first_day: NaiveDate,
    pub end_day: Option<NaiveDate>,
    pub category: &'a str,
    pub class: &'a str,
    pub description: &'a str,
    pub frequency: &'a str,
    pub pricing_category: &'a str,
    pub part: Option<&'a Component>,
    pub service_name: &'a str,
    pub service_category: &'a str,
    pub resource_id: &'a str,
    pub resource_name: &'a str,
    pub sub_account: &'a str,
    pub sub_account_name: &'a str,
    pub tags: &'a str,
    /// In 1e-4 of the unit.
    pub quantity: i128,
    pub list: i128,
    pub billed: i128,
    pub effective: i128,
    pub commitment_status: &'a str,
}

/// A bill being written.
pub struct Bill<'a> {
    pub biller: &'a Biller,
    pub month: NaiveDate,
    pub file: FocusFile,
    pub seed: u64,
    /// What the savings plan costs a day.
    pub plan_fee: i128,
    /// What its lines add up to so far.
    pub billed: i128,
}

impl Bill<'_> {
    pub fn write_line(&mut self, line: &Line<'_>) -> anyhow::Result<()> {
        let timestamp = |day: NaiveDate| format!("{day}T00:00:00Z");
        let (start, end) =
            (timestamp(line.first_day), timestamp(line.end_day.unwrap_or(line.first_day + Days::new(1))));
        let (period_start, period_end) = (timestamp(self.month), timestamp(self.month + Months::new(1)));
        let cost = |amount: i128| decimal(amount, COST_SCALE);
        let unit_price = line.part.map_or_else(String::new, |part| decimal(i128::from(part.unit_price), 10));
        let quantity = decimal(line.quantity, 4);
        let unit = line.part.map_or("", |part| part.unit);
        let meter = line.part.map_or("", |part| part.meter);
        let sku = if meter.is_empty() { String::new() } else { format!("{}-{:x}", self.biller.file_stem, key(meter)) };
        let has_plan = !line.commitment_status.is_empty();
        let invoice = self.invoice_id();
        self.billed += line.billed;
        let region = self.region();
        let is_purchase = line.category == "Purchase";
        self.file.write(&[
            ("BilledCost", &cost(line.billed)),
            ("EffectiveCost", &cost(line.effective)),
            ("ListCost", &cost(line.list)),
            ("ContractedCost", &cost(if self.biller.kind == Kind::Monitoring { line.billed } else { line.list })),
            ("BillingAccountId", self.biller.billing_account_id),
            ("BillingAccountName", self.biller.billing_account_name),
            ("BillingAccountType", "BillingAccount"),
            ("BillingCurrency", self.biller.currency),
            ("BillingPeriodStart", &period_start),
            ("BillingPeriodEnd", &period_end),
            ("ChargePeriodStart", &start),
            ("ChargePeriodEnd", &end),
            ("ChargeCategory", line.category),
            ("ChargeClass", line.class),
            ("ChargeDescription", line.description),
            ("ChargeFrequency", line.frequency),
            ("PricingCategory", line.pricing_category),
            ("CommitmentDiscountId", if has_plan || is_purchase { SAVINGS_PLAN_ID } else { "" }),
            ("CommitmentDiscountName", if has_plan || is_purchase { "compute savings plan" } else { "" }),
            ("CommitmentDiscountCategory", if has_plan || is_purchase { "Spend" } else { "" }),
            ("CommitmentDiscountType", if has_plan || is_purchase { "Savings Plan" } else { "" }),
            ("CommitmentDiscountStatus", line.commitment_status),
            ("ConsumedQuantity", if line.category == "Usage" && line.part.is_some() { &quantity } else { "" }),
            ("ConsumedUnit", if line.category == "Usage" && line.part.is_some() { unit } else { "" }),
            ("PricingQuantity", &quantity),
            ("PricingUnit", unit),
            ("ListUnitPrice", &unit_price),
            ("ContractedUnitPrice", &unit_price),
            ("PricingCurrency", self.biller.currency),
            ("HostProviderName", self.biller.provider_name),
            ("InvoiceId", &invoice),
            ("InvoiceIssuerName", self.biller.invoice_issuer_name),
            ("ProviderName", self.biller.provider_name),
            ("PublisherName", self.biller.provider_name),
            ("RegionId", if line.resource_id.is_empty() { "" } else { region.0 }),
            ("RegionName", if line.resource_id.is_empty() { "" } else { region.1 }),
            ("ResourceId", line.resource_id),
            ("ResourceName", line.resource_name),
            ("ResourceType", line.part.map_or("", |part| part.resource_type)),
            ("ServiceCategory", line.service_category),
            ("ServiceName", line.service_name),
            ("ServiceProviderName", self.biller.provider_name),
            ("SkuId", &sku),
            ("SkuPriceId", &sku),
            ("SkuMeter", meter),
            ("SubAccountId", line.sub_account),
            ("SubAccountName", line.sub_account_name),
            ("SubAccountType", if line.sub_account.is_empty() { "" } else { "Account" }),
            ("Tags", line.tags),
        ])
    }

    /// FOCUS InvoiceId of all its lines.
    pub fn invoice_id(&self) -> String {
        format!("{}-{}", self.biller.file_stem.to_uppercase(), self.month.format("%Y%m"))
    }

    fn region(&self) -> (&'static str, &'static str) {
        match self.biller.kind {
            Kind::Cloud(Cloud::Amazon) => ("us-east-1", "US East (N. Virginia)"),
            Kind::Cloud(Cloud::Google) => ("us-central1", "Iowa"),
            Kind::Cloud(Cloud::Azure) => ("westeurope", "West Europe"),
            Kind::Monitoring | Kind::Network => ("", ""),
        }
    }
}

/// A stable number for a name.
pub fn key(name: &str) -> u64 {
    name.bytes().fold(14_695_981_039_346_656_037, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211))
}

/// `1234500` at scale 4 is `123.45`: no trailing zeros.
pub fn decimal(amount: i128, scale: usize) -> String {
    let digits = format!("{:0width$}", amount.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    let sign = if amount < 0 { "-" } else { "" };
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_exactly() {
        assert_eq!(decimal(1_234_500, 4), "123.45");
        assert_eq!(decimal(-5, 4), "-0.0005");
        assert_eq!(decimal(0, 14), "0");
        assert_eq!(decimal(30_000, 4), "3");
    }
}
