//! Azure cost exports, actual and amortized, of enterprise agreements, customer agreements and pay-as-you-go, with
//! the column names of any of them and in any language.

use super::azure_prices::Prices;
use super::categories::{self, Categories};
use super::columns::ABSENT;
use super::days::{Day, Days};
use super::plan::Plan;
use super::row::{Known, MadeCells, Place};
use super::{Fault, first};
use crate::normalize::cells::{Cells, present, trimmed};

/// What the receipt says of every such file that is not joined with its counterpart.
pub const ONE_COST: &str = "An Azure cost export has one cost: BilledCost and EffectiveCost are both that. In an \
                                  actual export commitments count where they were bought, in an amortized one where \
                                  they were used. Once the other one of the two comes into the same source, they are joined.";

const NOT_A_DAY: &str = "is not a day like 10/31/2026 or 2026-10-31";

pub(super) struct AzureExport {
    date: usize,
    period_start: usize,
    period_end: usize,
    billing_account: usize,
    subscription: usize,
    charge_type: usize,
    frequency: usize,
    pricing_model: usize,
    meter_category: usize,
    consumed_service: usize,
    service_family: usize,
    benefit_id: usize,
    reservation_id: usize,
    benefit_name: usize,
    reservation_name: usize,
    location: usize,
    other_location: usize,
    own_list_cost: usize,
    prices: Prices,
    days: Days,
    first_days: Days,
    last_days: Days,
    categories: Categories,
    to: Computed,
}

struct Computed {
    billing_account: Place,
    sub_account_type: Place,
    provider: Place,
    issuer: Place,
    list_cost: Place,
    contracted_cost: Place,
    charge_category: Place,
    charge_frequency: Place,
    pricing_category: Place,
    commitment_id: Place,
    commitment_name: Place,
    commitment_category: Place,
    commitment_type: Place,
    commitment_status: Place,
    service_category: Place,
    service_name: Place,
    region: Place,
}

impl AzureExport {
    pub fn of(plan: &mut Plan) -> Self {
        let cost = plan.rename("BilledCost", &["costinbillingcurrency", "cost", "pretaxcost", "extendedcost"]);
        plan.copy("EffectiveCost", cost);
        let own_list_cost = plan.used_for_line(&["paygcostinbillingcurrency"]);
        let prices = Prices::of(plan, cost);
        plan.rename("BillingCurrency", &["billingcurrency", "billingcurrencycode", "currency"]);
        plan.rename("PricingCurrency", &["pricingcurrency", "pricingcurrencycode"]);
        plan.rename("BillingAccountName", &["billingaccountname"]);
        let subscription = plan.rename("SubAccountId", &["subscriptionid", "subscriptionguid"]);
        plan.rename("SubAccountName", &["subscriptionname"]);
        plan.rename("InvoiceId", &["invoiceid"]);
        plan.rename("PublisherName", &["publishername"]);
        plan.rename("ResourceId", &["resourceid", "instanceid", "instancename"]);
        plan.rename("ResourceName", &["resourcename"]);
        plan.rename("ResourceType", &["resourcetype"]);
        plan.rename("AvailabilityZone", &["availabilityzone"]);
        plan.rename("SkuId", &["meterid"]);
        plan.rename("SkuMeter", &["metername"]);
        plan.rename("SkuPriceId", &["partnumber"]);
        plan.rename("ChargeDescription", &["productname", "product"]);
        plan.rename("ConsumedQuantity", &["quantity", "usagequantity", "consumedquantity"]);
        plan.rename("ConsumedUnit", &["unitofmeasure"]);
        plan.rename("ListUnitPrice", &["paygprice"]);
        plan.rename("ContractedUnitPrice", &["unitprice"]);
        plan.rename("Tags", &["tags"]);
        let date = plan.used_for_line(&["date", "usagedatetime", "usagedate"]);
        let location = plan.used(&["resourcelocation", "location"]);
        Self {
            date,
            period_start: plan.used_for_line(&["billingperiodstartdate", "billingperiodstart"]),
            period_end: plan.used_for_line(&["billingperiodenddate", "billingperiodend"]),
            billing_account: plan.used(&["billingaccountid", "billingaccountnumber"]),
            subscription,
            charge_type: plan.native.find(&["chargetype"]),
            frequency: plan.native.find(&["frequency"]),
            pricing_model: plan.native.find(&["pricingmodel"]),
            meter_category: plan.native.find(&["metercategory"]),
            consumed_service: plan.native.find(&["consumedservice"]),
            service_family: plan.native.find(&["servicefamily"]),
            benefit_id: plan.used(&["benefitid"]),
            reservation_id: plan.native.find(&["reservationid"]),
            benefit_name: plan.used(&["benefitname"]),
            reservation_name: plan.native.find(&["reservationname"]),
            location,
            other_location: plan.native.find(&["location", "meterregion"]),
            days: Days::default(),
            first_days: Days::default(),
            last_days: Days::default(),
            categories: Categories::of(categories::AZURE),
            to: Computed::of(plan, date, subscription, own_list_cost, &prices),
            own_list_cost,
            prices,
        }
    }

    /// Computes periods and costs, and whose bill it is.
    pub fn line(&mut self, cells: Cells<'_>, row: &mut MadeCells, known: &mut Known) -> Result<(), Fault> {
        self.periods(cells, known)?;
        row.same(self.to.billing_account, cells, first(cells, self.billing_account, self.subscription));
        self.other_costs(cells, row, known);
        Ok(())
    }

    /// Computes what lines of a group share and no column says by itself.
    pub fn shared(&self, cells: Cells<'_>, row: &mut MadeCells) {
        let to = &self.to;
        if present(cells.get(self.subscription)).is_some() {
            row.put(to.sub_account_type, "Subscription");
        }
        row.put(to.provider, "Microsoft");
        row.put(to.issuer, "Microsoft");
        row.same(to.region, cells, first(cells, self.location, self.other_location));
        self.charge(cells, row);
        self.commitment(cells, row);
        self.service(cells, row);
    }

    /// The last day of a period belongs to it; the billing period is the day's month where the file has none.
    fn periods(&mut self, cells: Cells<'_>, known: &mut Known) -> Result<(), Fault> {
        let Self { days, first_days, last_days, .. } = self;
        let day = read_day(days, cells, self.date, "ChargePeriodStart")?;
        known.charge_period(day.start, day.end);
        let first_day = first_days.read(cells.get(self.period_start));
        let last_day = last_days.read(cells.get(self.period_end));
        if let (Some(first_day), Some(last_day)) = (first_day, last_day) {
            known.billing_period(first_day.start, last_day.end);
        } else if present(cells.get(self.period_start)).is_some() && present(cells.get(self.period_end)).is_some() {
            read_day(first_days, cells, self.period_start, "BillingPeriodStart")?;
            read_day(last_days, cells, self.period_end, "BillingPeriodEnd")?;
        } else {
            known.billing_period(day.month_start, day.month_end);
        }
        Ok(())
    }

    fn charge(&self, cells: Cells<'_>, row: &mut MadeCells) {
        let charge_type = trimmed(cells.get(self.charge_type));
        let is = |wanted: &str| charge_type.eq_ignore_ascii_case(wanted);
        let category = if charge_type.is_empty() || is("Usage") || is("UnusedReservation") || is("UnusedSavingsPlan") {
            "Usage"
        } else if is("Purchase") {
            "Purchase"
        } else if is("Tax") {
            "Tax"
        } else if is("Refund") {
            "Credit"
        } else {
            "Adjustment"
        };
        row.put(self.to.charge_category, category);
        let frequency = match trimmed(cells.get(self.frequency)).as_bytes() {
            [b'O' | b'o', ..] => "One-Time",
            [b'R' | b'r', ..] => "Recurring",
            [b'U' | b'u', ..] => "Usage-Based",
            _ => "",
        };
        row.put(self.to.charge_frequency, frequency);
    }

    /// What a commitment left unused was priced as nothing's use.
    fn other_costs(&self, cells: Cells<'_>, row: &mut MadeCells, known: &mut Known) {
        let to = &self.to;
        let has_own_list_cost = present(cells.get(self.own_list_cost)).is_some();
        if has_own_list_cost {
            row.same(to.list_cost, cells, self.own_list_cost);
        }
        if (to.list_cost, to.contracted_cost) == (ABSENT, ABSENT) || is_unused(trimmed(cells.get(self.charge_type))) {
            return;
        }
        let Some([list_cost, contracted_cost]) = self.prices.derive(cells, known) else { return };
        if !has_own_list_cost {
            known.list_cost = list_cost.and_then(|cost| row.known_or_shown(to.list_cost, cost));
        }
        known.contracted_cost = contracted_cost.and_then(|cost| row.known_or_shown(to.contracted_cost, cost));
    }

    fn commitment(&self, cells: Cells<'_>, row: &mut MadeCells) {
        let to = &self.to;
        let model = trimmed(cells.get(self.pricing_model));
        let is = |wanted: &str| model.eq_ignore_ascii_case(wanted);
        let (is_reservation, is_plan) = (is("Reservation"), is("SavingsPlan") || is("Savings Plan"));
        let category = match model {
            "" => "",
            _ if is_reservation || is_plan => "Committed",
            _ if is("OnDemand") || is("On Demand") => "Standard",
            _ if is("Spot") => "Dynamic",
            _ => "Other",
        };
        row.put(to.pricing_category, category);
        let id = first(cells, self.benefit_id, self.reservation_id);
        row.same(to.commitment_id, cells, id);
        row.same(to.commitment_name, cells, first(cells, self.benefit_name, self.reservation_name));
        if is_reservation {
            row.put(to.commitment_category, "Usage");
            row.put(to.commitment_type, "Reservation");
        } else if is_plan {
            row.put(to.commitment_category, "Spend");
            row.put(to.commitment_type, "Savings Plan");
        }
        let charge_type = trimmed(cells.get(self.charge_type));
        if is_unused(charge_type) {
            row.put(to.commitment_status, "Unused");
        } else if (is_reservation || is_plan) && charge_type.eq_ignore_ascii_case("Usage") {
            row.put(to.commitment_status, "Used");
        }
    }

    fn service(&self, cells: Cells<'_>, row: &mut MadeCells) {
        let category = self.categories.get(cells.get(self.meter_category));
        let category = category.or_else(|| self.categories.get(cells.get(self.service_family)));
        row.put(self.to.service_category, category.unwrap_or("Other"));
        row.same(self.to.service_name, cells, first(cells, self.meter_category, self.consumed_service));
    }
}

impl Computed {
    fn of(plan: &mut Plan, date: usize, subscription: usize, own_list_cost: usize, prices: &Prices) -> Self {
        let find = |keys: &[&str]| plan.native.find(keys);
        let start = find(&["billingperiodstartdate", "billingperiodstart"]);
        let end = find(&["billingperiodenddate", "billingperiodend"]);
        let account = find(&["billingaccountid", "billingaccountnumber"]);
        let charge_type = find(&["chargetype"]);
        let (frequency, pricing_model) = (find(&["frequency"]), find(&["pricingmodel"]));
        let commitment = find(&["benefitid", "reservationid"]);
        let commitment_name = find(&["benefitname", "reservationname"]);
        let service = find(&["metercategory", "consumedservice"]);
        let location = find(&["resourcelocation", "location"]);
        let either = |column: usize, other: usize| if column == ABSENT { other } else { column };
        plan.known("BillingPeriodStart", either(start, date));
        plan.known("BillingPeriodEnd", either(end, date));
        plan.known("ChargePeriodStart", date);
        plan.known("ChargePeriodEnd", date);
        Self {
            billing_account: plan.compute_from("BillingAccountId", either(account, subscription)),
            sub_account_type: plan.compute_from("SubAccountType", subscription),
            provider: plan.compute("ProviderName", ABSENT),
            issuer: plan.compute("InvoiceIssuerName", ABSENT),
            list_cost: plan.compute_from("ListCost", either(own_list_cost, prices.list_column())),
            contracted_cost: plan.compute_from("ContractedCost", prices.contracted_column()),
            charge_category: plan.compute("ChargeCategory", charge_type),
            charge_frequency: plan.compute_from("ChargeFrequency", frequency),
            pricing_category: plan.compute_from("PricingCategory", pricing_model),
            commitment_id: plan.compute_from("CommitmentDiscountId", commitment),
            commitment_name: plan.compute_from("CommitmentDiscountName", commitment_name),
            commitment_category: plan.compute_from("CommitmentDiscountCategory", pricing_model),
            commitment_type: plan.compute_from("CommitmentDiscountType", pricing_model),
            commitment_status: plan.compute_from("CommitmentDiscountStatus", either(pricing_model, charge_type)),
            service_category: plan.compute_from("ServiceCategory", service),
            service_name: plan.compute_from("ServiceName", service),
            region: plan.compute_from("RegionId", location),
        }
    }
}

/// `UnusedReservation` and `UnusedSavingsPlan`.
fn is_unused(charge_type: &str) -> bool {
    charge_type.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("Unused"))
}

#[inline]
fn read_day<'a>(days: &'a mut Days, cells: Cells<'_>, column: usize, focus: &'static str) -> Result<&'a Day, Fault> {
    let cell = cells.get(column);
    days.read(cell).ok_or_else(|| {
        let reason = if present(cell).is_none() { "is null" } else { NOT_A_DAY };
        Fault { focus, column, reason: reason.to_owned() }
    })
}

/// Columns that differ from line to line: their keys.
pub(super) fn is_measure(key: &str) -> bool {
    const ENDINGS: [&str; 4] = ["cost", "costinusd", "costinpricingcurrency", "effectiveprice"];
    ENDINGS.iter().any(|ending| key.ends_with(ending))
        || key.starts_with("exchangerate")
        || key.starts_with("serviceperiod")
        || key == "resourcerate"
}
