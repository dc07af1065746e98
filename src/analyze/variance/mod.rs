//! Why spend changed between two periods: causes whose amounts add up exactly to the change. Pure.
//!
//! An amount goes to the first cause that can claim it, in the order of [`Cause::ALL`], so that nothing is counted
//! twice. What the ledger proves line by line comes first (credits, tax, corrections, commitments, new and ended
//! services); what is left is divided by LMDI with analytic limits into days, use, mix, prices, discounts and what
//! commitments took off: list prices first, then negotiated discounts on all usage, covered or not, then what commitments
//! leave of that price. Use and mix are told at prices without commitments, so that one that begins or ends is none of
//! both. What stored verdicts say that releases did is taken out of the use that it is part of. "Not explained" is always
//! there.

mod coverage;
mod lmdi;
mod release;
mod service;
#[cfg(test)]
mod tests;

pub use release::{ReleaseCourse, release_part};

use bigdecimal::{BigDecimal, Zero};
use std::collections::BTreeMap;

/// Why an amount changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The same amounts at another rate between currencies.
    ExchangeRate,
    /// Bills of the periods that say something else than they did, where a period shows what they said.
    Restatement,
    /// Rules of allocation gave the same charges to someone else.
    AllocationRules,
    /// Shared costs that splits moved here or away.
    SharedCost,
    /// Charges of the category Credit.
    Credits,
    /// Charges of the category Tax.
    Tax,
    /// Charges that correct an invoiced period, and adjustments.
    Corrections,
    /// Purchases, of commitments and of others (keys of cost do not tell them apart); what commitments left unused, and
    /// what they took off the price: by how much of the usage they cover, and by their discount.
    Commitments,
    /// Services without usage before, in an environment or at all.
    NewServices,
    /// Services without usage now, in an environment or at all.
    EndedServices,
    /// More or fewer days.
    CalendarDays,
    /// Days of a period that are not complete yet.
    DaysToCome,
    /// Days whose bill is late.
    BillMissing,
    /// List prices.
    ListPrice,
    /// Discounts on list prices.
    Discount,
    /// Releases that raised cost, by their verdicts.
    ReleasesUp,
    /// Releases that lowered it.
    ReleasesDown,
    /// More or less traffic a day, for the part of cost that follows it; where no traffic is known, more or less of
    /// what was bought, at former prices.
    Volume,
    /// More of the dear and less of the cheap, or the other way round.
    Mix,
    /// Quantity for the same traffic, beside what is fixed.
    Efficiency,
    /// What nothing above proves.
    NotExplained,
}

impl Cause {
    /// In the order in which causes claim an amount.
    pub const ALL: [Self; 21] = [
        Self::ExchangeRate,
        Self::Restatement,
        Self::AllocationRules,
        Self::SharedCost,
        Self::Credits,
        Self::Tax,
        Self::Corrections,
        Self::Commitments,
        Self::NewServices,
        Self::EndedServices,
        Self::CalendarDays,
        Self::DaysToCome,
        Self::BillMissing,
        Self::ListPrice,
        Self::Discount,
        Self::ReleasesUp,
        Self::ReleasesDown,
        Self::Volume,
        Self::Mix,
        Self::Efficiency,
        Self::NotExplained,
    ];

    /// In an address, in CSV and JSON: `calendar-days`.
    pub fn key(self) -> &'static str {
        match self {
            Self::ExchangeRate => "exchange-rate",
            Self::Restatement => "restatement",
            Self::AllocationRules => "allocation-rules",
            Self::SharedCost => "shared-cost",
            Self::Credits => "credits",
            Self::Tax => "tax",
            Self::Corrections => "corrections",
            Self::Commitments => "commitments",
            Self::NewServices => "new-services",
            Self::EndedServices => "ended-services",
            Self::CalendarDays => "calendar-days",
            Self::DaysToCome => "days-to-come",
            Self::BillMissing => "bill-missing",
            Self::ListPrice => "list-price",
            Self::Discount => "discount",
            Self::ReleasesUp => "releases-up",
            Self::ReleasesDown => "releases-down",
            Self::Volume => "volume",
            Self::Mix => "mix",
            Self::Efficiency => "efficiency",
            Self::NotExplained => "not-explained",
        }
    }
}

/// A service in an environment: what usage is divided for, since each follows the traffic of its own. The causes of a
/// service are the sum of those of its environments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// 0 is what no rule maps.
    pub service_id: i64,
    /// 0 is what has none.
    pub environment_id: i64,
}

/// One side of a line: sums over a period. Zero stands for "not given" in all but the cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    /// In the basis of the page.
    pub cost: BigDecimal,
    /// FOCUS EffectiveCost.
    pub effective_cost: BigDecimal,
    /// FOCUS ListCost.
    pub list_cost: BigDecimal,
    /// FOCUS ContractedCost.
    pub contracted_cost: BigDecimal,
    /// FOCUS PricingQuantity, in the unit of the SKU.
    pub quantity: BigDecimal,
}

/// What is bought and how it is priced: one SKU of one service in one environment and region under one pricing, in both
/// periods, under one and the same mapping of owners.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Whose it is.
    pub place: Place,
    /// FOCUS ChargeCategory.
    pub charge_category: String,
    /// FOCUS ChargeClass.
    pub charge_class: String,
    /// FOCUS PricingCategory.
    pub pricing_category: String,
    /// FOCUS CommitmentDiscountStatus.
    pub commitment_discount_status: String,
    /// What it is of: lines of a place with the same number are of one service of one provider, in one currency.
    pub product: i64,
    /// Of it the SKU in a region: lines with the same number are the same thing, under whatever pricing. 0 without a SKU.
    pub sku: i64,
    /// In the period.
    pub now: Side,
    /// In the one that it is compared with.
    pub before: Side,
    /// Complete days of both periods that lack the bill of this line: of the period, of the compared one.
    pub lacking_days: (u32, u32),
    /// Charged on the first day of a month and on no other, in both periods: it is known whole, however many days of the
    /// month are still to come.
    pub is_once: bool,
}

impl Line {
    fn change(&self) -> BigDecimal {
        &self.now.cost - &self.before.cost
    }

    // What the ledger proves by a line's own words; `None` for usage that the rest of the method divides.
    fn proven_cause(&self) -> Option<Cause> {
        if self.charge_class == "Correction" {
            return Some(Cause::Corrections);
        }
        match self.charge_category.as_str() {
            "Credit" => Some(Cause::Credits),
            "Tax" => Some(Cause::Tax),
            "Adjustment" => Some(Cause::Corrections),
            "Purchase" => Some(Cause::Commitments),
            "Usage" if self.commitment_discount_status == "Unused" => Some(Cause::Commitments),
            "Usage" => None,
            // A charge that does not say what it is proves nothing.
            _ => Some(Cause::NotExplained),
        }
    }

    // What lies on no day that is known says nothing of prices, traffic or releases. `is_charged` tells of both periods
    // whether there is anything of it.
    fn unknown_cause(&self, complete: (u32, u32), is_charged: (bool, bool)) -> Option<Cause> {
        let is_unknown = |days: u32, lacking: u32, is_charged: bool| lacking > 0 && (lacking >= days || !is_charged);
        if is_unknown(complete.0, self.lacking_days.0, is_charged.0)
            || is_unknown(complete.1, self.lacking_days.1, is_charged.1)
        {
            return Some(Cause::BillMissing);
        }
        (complete.0 == 0 || complete.1 == 0).then_some(Cause::DaysToCome)
    }

    // What a commitment covers may cost nothing by itself, as it is billed.
    fn is_charged(&self, side: &Side) -> bool {
        let used = [&side.list_cost, &side.contracted_cost, &side.quantity];
        !side.cost.is_zero() || self.is_committed() && !used.into_iter().all(Zero::is_zero)
    }

    fn is_committed(&self) -> bool {
        self.commitment_discount_status == "Used" || self.pricing_category == "Committed"
    }

    // Under a commitment, or what it would be without one: what a market makes the price of (Dynamic) is another thing.
    fn has_standard_price(&self) -> bool {
        self.is_committed() || matches!(self.pricing_category.as_str(), "" | "Standard")
    }
}

/// What is known of a service in an environment beside its lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceFacts {
    /// Average traffic a day, now and before; both above zero. `None` where it is not known in both periods.
    pub traffic: Option<(f64, f64)>,
    /// The share of cost that followed traffic before, 0 to 1; the rest is fixed. `None` where it is not known: then
    /// all of it counts as following.
    pub variable_share: Option<f64>,
    /// What releases added to the difference of the two periods, each by its verdict.
    pub releases: Vec<BigDecimal>,
}

/// Everything that a change is explained from, in one currency.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Input {
    /// What the page says: cost of the period less cost of the one before.
    pub change: BigDecimal,
    /// Days of the period.
    pub days: u32,
    /// Days of the one before.
    pub days_before: u32,
    /// Days of both that are not complete yet: of the period, of the one before. No line holds cost of them.
    pub days_to_come: (u32, u32),
    /// The lines of both periods.
    pub lines: Vec<Line>,
    /// Costs are those before commitments (ListCost, ContractedCost), which take nothing off them.
    pub is_before_commitments: bool,
    /// Amounts that the ledger states as they are: moved by rules, moved by splits, restated.
    pub stated: Vec<(Cause, BigDecimal)>,
    /// By service and environment.
    pub facts: BTreeMap<Place, ServiceFacts>,
}

impl Input {
    fn complete_days(&self) -> (u32, u32) {
        (self.days.saturating_sub(self.days_to_come.0), self.days_before.saturating_sub(self.days_to_come.1))
    }
}

/// Days of the period and of the one before.
#[derive(Debug, Clone, Copy)]
struct Days {
    /// Of the calendar.
    all: (u32, u32),
    /// Those of them that are complete.
    complete: (u32, u32),
}

impl Days {
    /// Of what is charged once in each period.
    const ONE: Self = Self { all: (1, 1), complete: (1, 1) };
}

/// One cause and its amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Why.
    pub cause: Cause,
    /// Its part of the change; positive where it made spend rise.
    pub amount: BigDecimal,
}

/// The causes of a change in their order; those of no amount are left out, "not explained" never. The amounts add up
/// to the change exactly.
pub fn explain(input: &Input) -> Vec<Row> {
    let mut amounts = Amounts::default();
    for (cause, amount) in &input.stated {
        amounts.add(*cause, amount);
    }
    let mut usage: BTreeMap<Place, Vec<&Line>> = BTreeMap::new();
    let charged = coverage::Charged::of(&input.lines);
    for line in &input.lines {
        let unknown = || line.unknown_cause(input.complete_days(), charged.in_periods(line));
        match line.proven_cause().or_else(unknown) {
            Some(cause) => amounts.add(cause, &line.change()),
            None => usage.entry(line.place).or_default().push(line),
        }
    }
    let nothing = ServiceFacts::default();
    let days = Days { all: (input.days, input.days_before), complete: input.complete_days() };
    for (place, lines) in &usage {
        let facts = input.facts.get(place).unwrap_or(&nothing);
        service::explain(lines, facts, &days, input.is_before_commitments, &mut amounts);
    }
    // A release where a service has no usage in these periods changes nothing here, so that nothing is taken out twice.
    let told: BigDecimal = amounts.0.values().sum();
    amounts.add(Cause::NotExplained, &(&input.change - told));
    amounts.rows()
}

/// Amounts by cause under construction.
#[derive(Debug, Default)]
struct Amounts(BTreeMap<Cause, BigDecimal>);

impl Amounts {
    fn add(&mut self, cause: Cause, amount: &BigDecimal) {
        *self.0.entry(cause).or_default() += amount;
    }

    fn rows(self) -> Vec<Row> {
        let Self(mut amounts) = self;
        amounts.entry(Cause::NotExplained).or_default();
        let rows = amounts.into_iter().map(|(cause, amount)| Row { cause, amount });
        rows.filter(|row| row.cause == Cause::NotExplained || !row.amount.is_zero()).collect()
    }
}
