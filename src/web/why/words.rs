//! What each cause is called, and what it rests on.

use super::{ExplainedRow, Facts, LeadingRelease, contribution, traffic};
use crate::analyze::variance::{Cause, Place, Row};
use crate::focus::{BillingPeriod, DateRange};
use crate::store::effects::ClaimedRelease;
use crate::store::variance_costs::VarianceLine;
use crate::store::variance_known::LackingBill;
use crate::web::display::percent;
use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, Zero};
use std::collections::{BTreeMap, BTreeSet};

/// Names that are written out; more are counted.
pub(super) const NAME_COUNT_MAX: usize = 3;

/// A row with its words, in one currency, or in all of them together.
pub(super) fn row(row: Row, currency: Option<&str>, facts: &Facts<'_>) -> ExplainedRow {
    let rises = row.amount.sign() != Sign::Minus;
    let either = |up: &str, down: &str| if rises { up.to_owned() } else { down.to_owned() };
    let (label, detail) = match row.cause {
        Cause::ExchangeRate => ("Exchange rates".into(), "the same amounts at other rates".into()),
        Cause::Restatement => {
            ("Restated after closing".into(), "the bills of a closed month say something else now".into())
        }
        Cause::AllocationRules => ("Allocation rules".into(), "the same charges, given to someone else".into()),
        Cause::SharedCost => ("Shared costs".into(), "what splits moved here, less what they moved away".into()),
        Cause::Credits => ("Credits".into(), either("fewer than before", "more than before")),
        Cause::Tax => ("Tax".into(), String::new()),
        Cause::Corrections => ("Corrections and adjustments".into(), "of what was invoiced before".into()),
        Cause::Commitments => ("Commitments and purchases".into(), commitments(facts, currency)),
        Cause::NewServices => services(facts, currency, true),
        Cause::EndedServices => services(facts, currency, false),
        Cause::CalendarDays => days(facts),
        Cause::DaysToCome => days_to_come(facts),
        Cause::BillMissing => ("Bill missing".into(), bill_missing(facts)),
        Cause::ListPrice => {
            ("List prices".into(), either("higher for the same quantity", "lower for the same quantity"))
        }
        Cause::Discount => ("Discounts".into(), either("less taken off list prices", "more taken off list prices")),
        Cause::ReleasesUp => releases(facts, currency, true),
        Cause::ReleasesDown => releases(facts, currency, false),
        Cause::Volume => traffic::volume(facts, currency, rises),
        Cause::Mix => ("Mix".into(), either("more of what is dear", "more of what is cheap")),
        Cause::Efficiency => traffic::left(facts, currency, rises),
        Cause::NotExplained => ("Not explained".into(), not_explained(facts, currency)),
    };
    let href = match row.cause {
        Cause::AllocationRules => Some("/rules"),
        Cause::SharedCost => Some("/splits"),
        Cause::Commitments => Some("/commitments"),
        Cause::ReleasesUp | Cause::ReleasesDown => Some("/deployments"),
        Cause::ExchangeRate => Some("/finance/rates"),
        _ => None,
    };
    let leading = match row.cause {
        Cause::ReleasesUp => leading(facts, currency, true),
        Cause::ReleasesDown => leading(facts, currency, false),
        _ => None,
    };
    let href = href.map(str::to_owned);
    ExplainedRow { cause: row.cause, amount: row.amount, label, detail, href, leading, unusual: Vec::new() }
}

fn days(facts: &Facts<'_>) -> (String, String) {
    let (now, before) = (facts.question.filter.days.day_count(), facts.question.compared.day_count());
    let difference = i64::from(now) - i64::from(before);
    let (count, word) = (difference.unsigned_abs(), if difference > 0 { "more" } else { "fewer" });
    let days = if count == 1 { "day" } else { "days" };
    (format!("{count} {days} {word}"), format!("{now} days against {before}"))
}

fn days_to_come(facts: &Facts<'_>) -> (String, String) {
    let (days, compared) = facts.periods();
    let (to_come, to_come_before) = (facts.known.to_come(days), facts.known.to_come(compared));
    let label = match (to_come, to_come_before) {
        (1, 0) => "1 day still to come".to_owned(),
        (count, 0) => format!("{count} days still to come"),
        _ => "Days still to come".into(),
    };
    let of = |days: DateRange, to_come: u32| format!("{} of {}", days.day_count() - to_come, days.day_count());
    let before = match to_come_before {
        0 => String::new(),
        count => format!(" against {} before", of(compared, count)),
    };
    (label, format!("bills are complete for {} days{before}; less what has arrived of the others", of(days, to_come)))
}

fn bill_missing(facts: &Facts<'_>) -> String {
    let (days, compared) = facts.periods();
    let places: BTreeSet<i64> = facts.lines.iter().filter_map(|line| line.lacking).collect();
    let bills = places.iter().filter_map(|place| facts.known.lacking_bill(*place));
    let name = |bill: &LackingBill| {
        let since = bill.since.filter(|since| *since < days.end().max(compared.end()));
        let late = since.map(|since| format!("{} since {}", bill.name, since.format("%-d %b")));
        let is_asked = |gap: &&BillingPeriod| [days, compared].into_iter().any(|days| overlap(days, gap.days()));
        let gaps = bill.gaps.iter().filter(is_asked).map(|gap| format!("{} for {}", bill.name, gap.label()));
        late.into_iter().chain(gaps).collect::<Vec<String>>()
    };
    format!("{}; these days say nothing of the other causes", listed(bills.flat_map(name).collect()))
}

fn overlap(days: DateRange, others: DateRange) -> bool {
    days.start() < others.end() && others.start() < days.end()
}

fn not_explained(facts: &Facts<'_>, currency: Option<&str>) -> String {
    let has_quantity = facts.lines.iter().any(|line| !line.quantity.is_zero() || !line.quantity_before.is_zero());
    if has_quantity && traffic::is_known(facts, currency) {
        "what no line of the bills and no verdict proves; what is left for the same traffic is a row of its own".into()
    } else if has_quantity {
        "what no line of the bills and no verdict proves".into()
    } else {
        "the bills give no quantities, so that use and price cannot be told apart".into()
    }
}

// With the coverage of both periods, where one has some: that of one currency, since amounts of two do not add up.
fn commitments(facts: &Facts<'_>, currency: Option<&str>) -> String {
    let words = "bought, left unused, and what they took off prices";
    match currency.and_then(|currency| coverage(facts, currency)) {
        Some([now, before]) => format!("{words}; they cover {now} of usage at list prices, {before} before"),
        None => words.into(),
    }
}

// The share of ListCost of usage that commitments cover, in the period and in the compared one, as on their own page.
fn coverage(facts: &Facts<'_>, currency: &str) -> Option<[String; 2]> {
    let is_used = |line: &&VarianceLine| {
        line.currency == currency && line.charge_category == "Usage" && line.commitment_discount_status != "Unused"
    };
    let (mut all, mut covered) = ([BigDecimal::zero(), BigDecimal::zero()], [BigDecimal::zero(), BigDecimal::zero()]);
    for line in facts.lines.iter().filter(is_used) {
        for (side, list_cost) in [&line.list_cost, &line.list_cost_before].into_iter().enumerate() {
            all[side] += list_cost;
            if is_covered(line) {
                covered[side] += list_cost;
            }
        }
    }
    if covered.iter().all(Zero::is_zero) {
        return None;
    }
    Some([percent(&covered[0], &all[0])?, percent(&covered[1], &all[1])?])
}

fn is_covered(line: &VarianceLine) -> bool {
    let status = line.commitment_discount_status.as_str();
    status == "Used" || line.pricing_category == "Committed" && status != "Unused"
}

/// Usage of a service, or of one in an environment, in both periods.
#[derive(Default)]
struct Used<'a> {
    service: Option<&'a str>,
    environment: Option<&'a str>,
    now: BigDecimal,
    before: BigDecimal,
}

impl<'a> Used<'a> {
    fn add(&mut self, line: &'a VarianceLine) {
        self.service = line.service_name.as_deref();
        self.environment = line.environment_name.as_deref();
        self.now += &line.cost;
        self.before += &line.cost_before;
        // As it is billed, what a commitment covers costs nothing and is used all the same.
        if is_covered(line) {
            self.now += &line.quantity;
            self.before += &line.quantity_before;
        }
    }

    fn is_only(&self, is_now: bool) -> bool {
        let (there, gone) = if is_now { (&self.now, &self.before) } else { (&self.before, &self.now) };
        !there.is_zero() && gone.is_zero()
    }

    fn service(&self) -> String {
        self.service.unwrap_or("what is not allocated").to_owned()
    }
}

// Services that are new or ended as a whole, and the environments in which others are.
fn services(facts: &Facts<'_>, currency: Option<&str>, is_new: bool) -> (String, String) {
    let mut usage: BTreeMap<i64, Used<'_>> = BTreeMap::new();
    let mut by_place: BTreeMap<Place, Used<'_>> = BTreeMap::new();
    let own = facts
        .lines
        .iter()
        .filter(|line| currency.is_none_or(|currency| line.currency == currency) && line.charge_category == "Usage");
    for line in own {
        let place = Place { service_id: line.service_id, environment_id: line.environment_id };
        usage.entry(line.service_id).or_default().add(line);
        by_place.entry(place).or_default().add(line);
    }
    let whole: Vec<String> = usage.values().filter(|one| one.is_only(is_new)).map(Used::service).collect();
    let is_whole = |place: &Place| usage.get(&place.service_id).is_some_and(|one| one.is_only(is_new));
    let parts = by_place.iter().filter(|&(place, one)| one.is_only(is_new) && !is_whole(place)).map(|(_, one)| {
        let environment = one.environment.map(|name| format!("in {name}"));
        format!("{} {}", one.service(), environment.unwrap_or_else(|| "without an environment".into()))
    });
    let parts: Vec<String> = parts.collect();
    let word = if is_new { "New" } else { "Ended" };
    let what = match (whole.is_empty(), parts.is_empty()) {
        (_, true) => "services",
        (true, false) => "environments",
        (false, false) => "services and environments",
    };
    (format!("{word} {what}"), listed([whole, parts].concat()))
}

// The releases that moved cost this way between the periods, with what each did.
fn moved_by<'a>(facts: &Facts<'a>, currency: Option<&str>, is_up: bool) -> Vec<(BigDecimal, &'a ClaimedRelease)> {
    let wanted = if is_up { Sign::Plus } else { Sign::Minus };
    let own =
        facts.claimed.iter().filter(|release| currency.is_none_or(|currency| release.billing_currency == currency));
    own.map(|release| (contribution(release, facts), release)).filter(|(amount, _)| amount.sign() == wanted).collect()
}

fn leading(facts: &Facts<'_>, currency: Option<&str>, is_up: bool) -> Option<LeadingRelease> {
    let moved = moved_by(facts, currency, is_up);
    let (amount, release) = moved.iter().max_by_key(|(amount, _)| amount.abs())?;
    Some(LeadingRelease {
        deployment_id: release.deployment_id,
        service_id: release.service_id,
        elsewhere: release.elsewhere.clone(),
        other_count: moved.len() - 1,
        is_less_of_it: release.per_day.sign() == -amount.sign(),
    })
}

// What a release did passes, as a pulse does: then the period is cheaper by an increase that is over, which is no release
// that lowered cost.
fn releases(facts: &Facts<'_>, currency: Option<&str>, is_up: bool) -> (String, String) {
    let mut sized: Vec<(BigDecimal, String, bool)> = moved_by(facts, currency, is_up)
        .into_iter()
        .map(|(amount, release)| {
            let others = match release.other_day_count {
                0 => String::new(),
                1 => " with one a day before".to_owned(),
                count => format!(" with those of {count} days before"),
            };
            let is_less_of_it = release.per_day.sign() == -amount.sign();
            let told = match (is_less_of_it, is_up) {
                (false, _) => "",
                (true, true) => " (a decrease, less of it than before)",
                (true, false) => " (an increase, less of it than before)",
            };
            let service = service_of(release, facts);
            let name = format!("{service}{} of {}{others}{told}", release.name(), release.effect_date.format("%-d %b"));
            (amount.abs(), name, is_less_of_it)
        })
        .collect();
    sized.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| left.1.cmp(&right.1)));
    let is_all_less = !sized.is_empty() && sized.iter().all(|(.., is_less_of_it)| *is_less_of_it);
    let label = match (is_all_less, is_up) {
        (false, true) => "Releases that raised cost",
        (false, false) => "Releases that lowered cost",
        (true, true) => "Less saved by releases",
        (true, false) => "Less added by releases",
    };
    let names = listed(sized.into_iter().map(|(_, name, _)| name).collect());
    (label.to_owned(), format!("{names}, by their verdicts"))
}

// Many services have a version of one name: where several are asked about, a release is told with its own.
fn service_of(release: &ClaimedRelease, facts: &Facts<'_>) -> String {
    if facts.question.filter.service_id.is_some() {
        return String::new();
    }
    let line = facts.lines.iter().find(|line| line.service_id == release.service_id);
    line.and_then(|line| line.service_name.as_deref()).map(|name| format!("{name} ")).unwrap_or_default()
}

pub(super) fn listed(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(NAME_COUNT_MAX);
    names.truncate(NAME_COUNT_MAX);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
