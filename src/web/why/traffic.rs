//! What is said of traffic: how much of it there is, which part of cost counts as following it, and what is left for the
//! same traffic.

use super::Facts;
use super::volume::place_of;
use super::words::{NAME_COUNT_MAX, listed};
use crate::analyze::unit_economics::{CannotTell, VariableShare};
use crate::analyze::variance::Place;
use crate::store::variance_costs::{Traffic, VarianceLine};
use crate::web::filters::grouped;
use bigdecimal::{BigDecimal, FromPrimitive};
use std::collections::{BTreeMap, BTreeSet};

/// The share of one place in one currency.
type Share = Result<VariableShare, CannotTell>;

/// A service in an environment that has traffic.
struct Told<'a> {
    traffic: &'a Traffic,
    environment: &'a str,
    /// In each currency that it is billed in, of those that are asked about.
    shares: Vec<(&'a str, Share)>,
}

/// Places of usage in a currency, or in any: the row of a walk is of no others.
struct Places<'a> {
    told: Vec<Told<'a>>,
    /// Whether some of its usage has no traffic.
    has_others: bool,
}

impl<'a> Places<'a> {
    fn of(facts: &Facts<'a>, currency: Option<&str>) -> Self {
        let mut billed: BTreeMap<Place, (&str, BTreeSet<&str>)> = BTreeMap::new();
        for line in usage(facts, currency) {
            let place = Place { service_id: line.service_id, environment_id: line.environment_id };
            let entry = billed.entry(place).or_default();
            entry.0 = line.environment_name.as_deref().unwrap_or("without an environment");
            entry.1.insert(&line.currency);
        }
        let place_count = billed.len();
        let told = |one: &'a Traffic| {
            let (environment, currencies) = billed.remove(&place_of(one))?;
            let shares = currencies.into_iter().map(|currency| (currency, facts.shares.of(place_of(one), currency)));
            Some(Told { traffic: one, environment, shares: shares.collect() })
        };
        let mut told: Vec<Told<'a>> = facts.traffic.iter().filter_map(told).collect();
        told.sort_by(|left, right| right.traffic.now.total_cmp(&left.traffic.now));
        let has_others = told.len() < place_count;
        Self { told, has_others }
    }

    fn service_ids(&self) -> BTreeSet<i64> {
        self.told.iter().map(|one| one.traffic.service_id).collect()
    }

    // What they are counted in.
    fn units(&self) -> String {
        let units: BTreeSet<&str> = self.told.iter().map(|one| one.traffic.unit.as_str()).collect();
        listed(units.into_iter().map(str::to_owned).collect())
    }
}

fn usage<'a>(facts: &Facts<'a>, currency: Option<&str>) -> impl Iterator<Item = &'a VarianceLine> {
    let is_asked = move |line: &&VarianceLine| currency.is_none_or(|currency| line.currency == currency);
    facts.lines.iter().filter(|line| line.charge_category == "Usage").filter(is_asked)
}

/// Label and detail of what more or less traffic made.
pub(super) fn volume(facts: &Facts<'_>, currency: Option<&str>, rises: bool) -> (String, String) {
    let word = if rises { "More" } else { "Less" };
    let places = Places::of(facts, currency);
    let service_ids = places.service_ids();
    if service_ids.is_empty() {
        let detail = "quantities at former prices; no traffic is known to tell it from efficiency";
        return (format!("{word} used"), detail.into());
    }
    // Said of the one service that is asked about: beside others its traffic is not the whole of the row.
    if facts.question.filter.service_id.is_some_and(|asked| service_ids.len() == 1 && service_ids.contains(&asked)) {
        let label = if places.has_others { "traffic or use" } else { "traffic" };
        return (format!("{word} {label}"), of_one(&places, facts.question.dimension.is_some()));
    }
    let services = if service_ids.len() == 1 { "service" } else { "services" };
    let detail = format!(
        "{} of {} {services}, quantities of the others{}",
        places.units(),
        service_ids.len(),
        fixed_cost(&places.told)
    );
    (format!("{word} traffic or use"), detail)
}

// Each environment by itself, since each follows the traffic of its own.
fn of_one(places: &Places<'_>, is_of_dimension: bool) -> String {
    let of_place = |one: &Told<'_>| {
        let (now, before) = (whole(one.traffic.now), whole(one.traffic.before));
        let name = if places.told.len() > 1 { format!("{}: ", one.environment) } else { String::new() };
        format!("{name}{now} {} a day against {before}, {}", one.traffic.unit, follows(&one.shares, is_of_dimension))
    };
    let mut texts: Vec<String> = places.told.iter().take(NAME_COUNT_MAX).map(of_place).collect();
    match places.told.len().saturating_sub(NAME_COUNT_MAX) {
        0 => {}
        1 => texts.push("1 more environment by its own traffic".into()),
        more => texts.push(format!("{more} more environments by their own traffic")),
    }
    if places.has_others {
        texts.push("quantities where no traffic is known".into());
    }
    texts.join("; ")
}

fn follows(shares: &[(&str, Share)], is_of_dimension: bool) -> String {
    if is_of_dimension {
        return "all of its cost counts as following it: a part of a service has no traffic of its own".into();
    }
    match shares {
        [(_, share)] => followed(*share),
        shares => {
            let of_currency = |(currency, share): &(&str, Share)| format!("in {currency} {}", followed(*share));
            shares.iter().map(of_currency).collect::<Vec<_>>().join(", ")
        }
    }
}

// Which part of the cost of one place counts as following its traffic: what the days do not tell is an assumption.
#[expect(clippy::float_arithmetic, reason = "a share, no amount")]
fn followed(share: Share) -> String {
    let VariableShare { value, low, high, day_count } = match share {
        Ok(share) => share,
        Err(reason) => {
            let why = why_not(reason);
            return format!("how much of its cost follows it is not known ({why}): all is counted as following");
        }
    };
    // By what is written: "100%, the rest counts as fixed" would tell of a rest that there is none of.
    let [value, low, high] = [value, low, high].map(|share| (100.0 * share).round());
    if value >= 100.0 && low >= 100.0 {
        format!("all of its cost followed it on {day_count} days before")
    } else if value >= 100.0 {
        format!("all of its cost counts as following it; {low:.0}% at least did on {day_count} days before")
    } else if high <= 0.0 {
        format!("none of its cost followed it on {day_count} days before")
    } else {
        format!(
            "about {value:.0}% of its cost followed it on {day_count} days before ({low:.0}% to {high:.0}%), the rest \
             counts as fixed"
        )
    }
}

fn why_not(reason: CannotTell) -> &'static str {
    match reason {
        CannotTell::TooFewDays => "fewer than 14 days before tell both",
        CannotTell::SteadyVolume => "it moved by less than 5% before",
        CannotTell::DoesNotFollow => "the noise of the days before hides it",
        CannotTell::NoLine => "cost moved by more than in proportion before",
    }
}

// Of how many services with traffic it is known which part of their cost is fixed: in each environment and currency of
// the row, as they are divided.
fn fixed_cost(told: &[Told<'_>]) -> String {
    let mut services: BTreeMap<i64, (bool, bool)> = BTreeMap::new();
    for one in told {
        let (is_some_known, is_some_unknown) = services.entry(one.traffic.service_id).or_default();
        for (_, share) in &one.shares {
            *is_some_known |= share.is_ok();
            *is_some_unknown |= share.is_err();
        }
    }
    let count = |wanted: (bool, bool)| services.values().filter(|known| **known == wanted).count();
    let (known, partly, unknown) = (count((true, false)), count((true, true)), count((false, true)));
    if known == services.len() {
        return "; fixed cost is left out".into();
    }
    if unknown == services.len() {
        return "; how much of their cost follows traffic is not known: all is counted as following".into();
    }
    let left_out = match (known, partly) {
        (0, partly) => format!("fixed cost is left out of a part of {partly}"),
        (known, 0) => format!("fixed cost is left out of {known}"),
        (known, partly) => format!("fixed cost is left out of {known}, and of a part of {partly}"),
    };
    format!("; {left_out}: how much of the rest follows traffic is not known, all of it is counted as following")
}

/// Label and detail of what is left for the same traffic: what it is comes from no line and no verdict.
pub(super) fn left(facts: &Facts<'_>, currency: Option<&str>, rises: bool) -> (String, String) {
    let places = Places::of(facts, currency);
    let are_requests = places.told.iter().all(|one| one.traffic.unit == "requests");
    let used = if are_requests { "each request" } else { "the same volume" };
    let knows_fixed = places.told.iter().any(|one| one.shares.iter().any(|(_, share)| share.is_ok()));
    let beside = if knows_fixed { "traffic, fixed cost, prices and releases" } else { "traffic, prices and releases" };
    (
        format!("{} used for {used}, or an untold cause", if rises { "More" } else { "Less" }),
        format!("what is left beside {beside}: use for {used} changed, or something else that nobody told"),
    )
}

/// Whether something is left for the same traffic where any is known.
pub(super) fn is_known(facts: &Facts<'_>, currency: Option<&str>) -> bool {
    !Places::of(facts, currency).told.is_empty()
}

fn whole(value: f64) -> String {
    grouped(&BigDecimal::from_f64(value).unwrap_or_default(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(value: f64, low: f64, high: f64) -> Share {
        Ok(VariableShare { value, low, high, day_count: 56 })
    }

    #[test]
    fn what_follows_traffic_is_told_as_surely_as_it_is_known() {
        assert_eq!(followed(share(1.0, 1.0, 1.0)), "all of its cost followed it on 56 days before");
        assert_eq!(
            followed(share(1.0, 0.82, 1.0)),
            "all of its cost counts as following it; 82% at least did on 56 days before"
        );
        assert_eq!(
            followed(share(0.62, 0.5, 0.744)),
            "about 62% of its cost followed it on 56 days before (50% to 74%), the rest counts as fixed"
        );
        assert_eq!(followed(share(0.0, 0.0, 0.0)), "none of its cost followed it on 56 days before");
        assert!(followed(share(0.0, 0.0, 0.3)).contains("followed it on 56 days before (0% to 30%)"));
        for reason in [CannotTell::TooFewDays, CannotTell::NoLine, CannotTell::DoesNotFollow, CannotTell::SteadyVolume]
        {
            let text = followed(Err(reason));
            assert!(text.contains("is not known") && text.ends_with("all is counted as following"), "{text}");
            assert!(!text.contains("followed it on"), "no fact is made of it: {text}");
        }
    }

    /// A service in two currencies counts by both: as known where both are told, in part where one is.
    #[test]
    fn services_are_counted_by_each_currency_and_environment_of_the_row() {
        let traffic =
            |service_id| Traffic { service_id, environment_id: 1, unit: "requests".into(), now: 12.0, before: 10.0 };
        let (one, two, three) = (traffic(1), traffic(2), traffic(3));
        let of = |traffic, shares: [Share; 2]| {
            let [usd, eur] = shares;
            Told { traffic, environment: "production", shares: vec![("USD", usd), ("EUR", eur)] }
        };
        let (known, unknown) = (share(0.5, 0.4, 0.6), Err(CannotTell::NoLine));
        let both = [of(&one, [known, known]), of(&two, [known, known])];
        assert_eq!(fixed_cost(&both), "; fixed cost is left out");
        let mixed = [of(&one, [known, known]), of(&two, [known, unknown]), of(&three, [unknown, unknown])];
        let text = fixed_cost(&mixed);
        assert!(text.contains("left out of 1, and of a part of 1: how much of the rest"), "{text}");
        assert!(fixed_cost(&mixed[2..]).contains("all is counted as following"));
        assert_eq!(
            follows(&mixed[1].shares, false),
            format!("in USD {}, in EUR {}", followed(known), followed(unknown))
        );
    }
}
