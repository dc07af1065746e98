//! From the lines of the bills to the figure that led to them: what was bought for commitments, and what splits moved in
//! and out, by name.

use super::display;
use super::query::View;
use crate::focus::DateRange;
use crate::store::charges::{ChargeFilter, ChargeTotal};
use crate::store::moved_lines::MovedSum;
use bigdecimal::{BigDecimal, Zero};
use std::collections::{BTreeMap, BTreeSet};

/// What lies between the lines of a filter and its figures.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// One a currency in which the figure is not the sum of the lines.
    pub tables: Vec<MovedTable>,
    /// Why no table has what splits moved, although they moved something; may be empty.
    pub note: &'static str,
}

/// The way from the sum of the lines to the figure, in one currency. Every digit is shown, so it adds up.
#[derive(Debug)]
pub(super) struct MovedTable {
    pub currency: String,
    pub lines: String,
    pub line_count: i64,
    /// What was bought for commitments, below zero; empty where the figure has it or there is none.
    pub bought: String,
    /// What splits moved.
    pub rows: Vec<MovedPart>,
    pub total: String,
}

impl MovedTable {
    /// What tells the figure from the sum of the lines.
    pub(super) fn name(&self) -> &'static str {
        match (self.bought.is_empty(), self.rows.is_empty()) {
            (true, _) => "with shared cost",
            (false, true) => "without what was bought for commitments",
            (false, false) => "with shared cost, without what was bought for commitments",
        }
    }
}

/// What one split added or took away.
#[derive(Debug)]
pub(super) struct MovedPart {
    pub name: String,
    pub detail: String,
    pub amount: String,
    /// The lines of the service that is divided; empty where those are the lines of this page.
    pub origin_href: String,
    pub origin_label: String,
    /// Who got which share.
    pub split_href: String,
}

/// What a row of purchases that no figure counts is called.
pub(super) const BOUGHT: &str = "Bought for commitments, in the cost of what uses it";

const LINES_ONLY: &str = "Shared cost is kept by service, environment, provider and charge category. These conditions go \
                          further, so what splits moved is no part of this sum.";
const OWN_ONLY: &str = "What splits moved is left out, as these conditions ask.";
const NO_CHANGE: &str =
    "Splits moved cost between the services of these conditions, which changes nothing of their sum.";

impl Moved {
    /// From what was asked, the sums of its lines and what splits moved.
    pub(super) fn new(view: &View, filter: &ChargeFilter, totals: &[ChargeTotal], sums: &[MovedSum]) -> Self {
        let moved = if filter.is_of_lines_only() { BTreeSet::new() } else { changed_currencies(sums) };
        let note = match (sums.is_empty() || !moved.is_empty(), filter.is_of_lines_only()) {
            (true, _) => "",
            (false, true) if filter.is_own_only => OWN_ONLY,
            (false, true) => LINES_ONLY,
            (false, false) => NO_CHANGE,
        };
        let bought = totals.iter().filter(|total| !total.bought.is_zero()).map(|total| total.billing_currency.as_str());
        let currencies: BTreeSet<&str> = moved.iter().copied().chain(bought).collect();
        let own = |currency: &str| if moved.contains(currency) { sums } else { &[] };
        let tables = currencies.into_iter().map(|currency| table(view, filter, totals, own(currency), currency));
        Self { tables: tables.collect(), note }
    }

    /// The sentence that leads from the lines to the figures; empty where the lines are all.
    pub(super) fn sentence(&self) -> String {
        if self.tables.is_empty() {
            return String::new();
        }
        let totals: Vec<&str> = self.tables.iter().map(|table| table.total.as_str()).collect();
        let has_bought = self.tables.iter().any(|table| !table.bought.is_empty());
        let has_moved = self.tables.iter().any(|table| !table.rows.is_empty());
        let words = match (has_bought, has_moved) {
            (false, _) => "With what splits moved in and out",
            (true, false) => "Without what was bought for commitments, which is in the cost of what uses it,",
            (true, true) => {
                "Without what was bought for commitments, which is in the cost of what uses it, and with what splits moved \
                 in and out"
            }
        };
        format!(" {words} this is {}.", totals.join(" and "))
    }
}

// A split may move the same amount in and out: it then changes no sum.
fn changed_currencies(sums: &[MovedSum]) -> BTreeSet<&str> {
    let mut by_split: BTreeMap<(&str, i64), BigDecimal> = BTreeMap::new();
    for one in sums {
        *by_split.entry((&one.billing_currency, one.split_id)).or_default() += &one.cost;
    }
    by_split.into_iter().filter(|(_, sum)| !sum.is_zero()).map(|((currency, _), _)| currency).collect()
}

fn table(view: &View, filter: &ChargeFilter, totals: &[ChargeTotal], sums: &[MovedSum], currency: &str) -> MovedTable {
    let lines = totals.iter().find(|total| total.billing_currency == currency);
    let own: Vec<&MovedSum> = sums.iter().filter(|one| one.billing_currency == currency).collect();
    let of_lines = lines.map(|total| total.cost.clone()).unwrap_or_default();
    let bought = lines.map(|total| total.bought.clone()).unwrap_or_default();
    let total = own.iter().map(|one| &one.cost).sum::<BigDecimal>() + &of_lines - &bought;
    MovedTable {
        currency: currency.to_owned(),
        lines: display::money_exact(&of_lines, currency),
        line_count: lines.map_or(0, |total| total.charge_count),
        bought: if bought.is_zero() { String::new() } else { display::signed_exact(&-bought, currency) },
        rows: own.into_iter().map(|one| part(view, filter, one)).collect(),
        total: display::money_exact(&total, currency),
    }
}

fn part(view: &View, filter: &ChargeFilter, one: &MovedSum) -> MovedPart {
    let origin = one.origin_name.as_deref().unwrap_or("what is not allocated");
    let slug = one.origin_slug.as_deref().unwrap_or(super::query::NONE);
    let days = fixed_days(view, filter);
    let shared = [("service", ""), ("team", ""), ("cur", one.billing_currency.as_str()), ("page", "")];
    let changes: Vec<(&'static str, &str)> =
        shared.into_iter().chain(days.as_deref().map(|days| ("period", days))).collect();
    let of_origin: Vec<(&'static str, &str)> = changes.iter().copied().chain([("service", slug)]).collect();
    // The page of a split has shared cost alone: it takes no class of lines.
    let of_split: Vec<(&'static str, &str)> = changes.iter().copied().chain([("class", "")]).collect();
    let is_here = view.text("service") == Some(slug);
    MovedPart {
        name: format!("Shared cost: {}", one.split_name),
        detail: if one.is_origin {
            format!("left {origin} for those who share it")
        } else {
            format!("shares of {origin}")
        },
        amount: display::signed_exact(&one.cost, &one.billing_currency),
        origin_href: if is_here { String::new() } else { view.link("/charges", &of_origin) },
        origin_label: format!("Lines of {origin}"),
        split_href: view.link(&format!("/splits/{}", one.split_id), &of_split),
    }
}

/// The days of a filter as a period of an address, unless it names one day or none.
pub(super) fn fixed_days(view: &View, filter: &ChargeFilter) -> Option<String> {
    let days = DateRange::new(filter.first_day?, filter.end_day?)?;
    view.text("day").is_none().then(|| format!("{}..{}", days.start(), days.last_day()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::query::Accepts;

    fn sum(split_id: i64, is_origin: bool, cost: &str) -> MovedSum {
        MovedSum {
            billing_currency: "USD".into(),
            split_id,
            split_name: "Network".into(),
            origin_slug: Some("net".into()),
            origin_name: Some("Network services".into()),
            is_origin,
            cost: cost.parse().unwrap(),
        }
    }

    fn lines(cost: &str) -> ChargeTotal {
        ChargeTotal {
            billing_currency: "USD".into(),
            charge_count: 3,
            cost: cost.parse().unwrap(),
            bought: BigDecimal::zero(),
        }
    }

    fn view(query: &str) -> View {
        View::parse(Some(query), Accepts { texts: &["service", "billing", "day", "env"], by: &[], sort: &[] }).unwrap()
    }

    #[test]
    fn lines_and_what_splits_moved_make_the_figure() {
        let view = view("service=shop&billing=2026-10&env=production");
        let moved = Moved::new(&view, &ChargeFilter::default(), &[lines("40.1")], &[sum(1, false, "0.0000000001")]);
        let table = &moved.tables[0];
        assert_eq!((table.lines.as_str(), table.total.as_str()), ("$40.10", "$40.1000000001"));
        assert_eq!(table.rows[0].amount, "+$0.0000000001");
        assert_eq!(table.rows[0].origin_href, "/charges?billing=2026-10&service=net&env=production&cur=USD");
        assert_eq!(table.rows[0].split_href, "/splits/1?billing=2026-10&env=production&cur=USD");
    }

    #[test]
    fn an_origin_is_left_with_nothing_and_its_lines_are_these() {
        let moved = Moved::new(&view("service=net"), &ChargeFilter::default(), &[lines("12")], &[sum(1, true, "-12")]);
        let table = &moved.tables[0];
        assert_eq!((table.total.as_str(), table.rows[0].origin_href.as_str()), ("$0.00", ""));
        assert_eq!(table.rows[0].amount, "\u{2212}$12.00");
    }

    #[test]
    fn what_was_bought_for_commitments_is_taken_off_with_or_without_splits() {
        let total = ChargeTotal { bought: "12".parse().unwrap(), ..lines("40") };
        let moved =
            Moved::new(&view(""), &ChargeFilter::default(), std::slice::from_ref(&total), &[sum(1, true, "-8")]);
        let table = &moved.tables[0];
        assert_eq!((table.bought.as_str(), table.rows.len(), table.total.as_str()), ("\u{2212}$12.00", 1, "$20.00"));
        assert_eq!(table.name(), "with shared cost, without what was bought for commitments");
        // Splits have no resources, purchases do.
        let of_resource = ChargeFilter { resource_id: Some("vm-1".into()), ..ChargeFilter::default() };
        let moved = Moved::new(&view(""), &of_resource, &[total], &[sum(1, true, "-8")]);
        let table = &moved.tables[0];
        assert_eq!((table.rows.len(), table.total.as_str(), moved.note), (0, "$28.00", LINES_ONLY));
        assert!(moved.sentence().starts_with(" Without what was bought for commitments"), "{}", moved.sentence());
    }

    #[test]
    fn a_sum_that_splits_do_not_change_says_so() {
        let sums = [sum(1, false, "12"), sum(1, true, "-12")];
        let moved = Moved::new(&view(""), &ChargeFilter::default(), &[lines("12")], &sums);
        assert!(moved.tables.is_empty() && moved.note == NO_CHANGE && moved.sentence().is_empty());
        let of_resource = ChargeFilter { resource_id: Some("vm-1".into()), ..ChargeFilter::default() };
        let moved = Moved::new(&view(""), &of_resource, &[lines("12")], &sums[..1]);
        assert!(moved.tables.is_empty() && moved.note == LINES_ONLY);
    }
}
