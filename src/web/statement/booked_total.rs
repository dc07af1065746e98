//! What is booked to a month for closed ones, beside what its own bills say. Pure.
//!
//! The net cost of a month and all its rows are of its own bills. What is booked to it is one row below the net cost, and
//! the total with adjustments is both, on the page, in its files, in the list of months and in the reporting currency: so
//! totals with adjustments of all months add up to the bills.

use super::Asked;
use super::breakdown::{Breakdown, Node, Row, row};
use super::comparison::Known;
use crate::store::booked_costs::BookedCost;
use crate::web::display::{self, Delta, NOT_KNOWN};
use bigdecimal::{BigDecimal, Zero};

/// The name of the row.
pub(super) const ADJUSTMENTS_BOOKED: &str = "Adjustments booked";

/// The rows below the net cost. Both columns add up as shown.
#[derive(Debug, Clone)]
pub struct WithBooked {
    /// What is booked to the two months.
    pub adjustments: Row,
    /// The net cost with it.
    pub total: Row,
    /// What is booked to the month itself; `None` where something is to the month before alone.
    pub booked: Option<Delta>,
}

/// What is booked to the month and to the one that it is compared with; `None` where that is nothing in the asked cost.
pub(super) fn booked_node(asked: &Asked, booked: &[BookedCost], currency: &str) -> Option<Node> {
    let mut node = Node { name: ADJUSTMENTS_BOOKED.into(), ..Node::default() };
    for one in booked.iter().filter(|one| one.billing_currency == currency) {
        if one.booked_month == asked.month.first_day() {
            node.now += &one.cost;
            // The rate of the bills that it is of.
            *node.now_by_bill.entry(one.closed_month).or_default() += &one.cost;
            node.charge_count += one.charge_count;
        } else if one.booked_month == asked.before.first_day() {
            node.before += &one.cost;
        }
    }
    (!node.now.is_zero() || !node.before.is_zero()).then_some(node)
}

/// The rows below a table of these nodes.
pub(super) fn with_booked(
    booked: &Node,
    nodes: &[Node],
    table: &Breakdown,
    known: &Known,
    currency: &str,
) -> WithBooked {
    let decimals = display::minor_units(currency);
    let whole = |pick: fn(&Node) -> &BigDecimal| {
        let exact: BigDecimal = nodes.iter().chain([booked]).map(pick).sum();
        exact.with_scale_round(decimals, bigdecimal::RoundingMode::HalfUp)
    };
    let (now, before) = (whole(|node| &node.now), whole(|node| &node.before));
    let (booked_now, booked_before) = (&now - &table.total.now, &before - &table.total.before);
    let is_of_month = !booked.now.is_zero();
    let delta = is_of_month.then(|| Delta::amount(&booked_now, currency, decimals));
    let mut adjustments = row(booked, booked_now, booked_before, currency, &BigDecimal::zero());
    adjustments.relative = String::new();
    let both = Node {
        name: "Total with adjustments".into(),
        charge_count: table.total.node.charge_count + booked.charge_count,
        ..Node::default()
    };
    let mut total = row(&both, now, before, currency, &BigDecimal::zero());
    if !known.before {
        total.before_text = NOT_KNOWN.into();
    }
    if !known.is_compared() {
        total.delta = Delta::unknown();
        total.relative = String::new();
    }
    WithBooked { adjustments, total, booked: delta }
}

#[cfg(test)]
mod tests {
    use super::super::By;
    use super::super::breakdown::breakdown;
    use super::super::bridge::bridge;
    use super::*;
    use crate::focus::{BillingPeriod, CostBasis};
    use crate::store::statements::MonthView;

    fn asked() -> Asked {
        let october: BillingPeriod = "2026-10".parse().unwrap();
        Asked {
            month: october,
            before: october.previous(),
            view: MonthView::BillingPeriod,
            basis: CostBasis::default(),
            by: By::Service,
            currency: None,
        }
    }

    fn booked(month: &str, cost: &str) -> BookedCost {
        BookedCost {
            booked_month: month.parse().unwrap(),
            closed_month: "2026-08-01".parse().unwrap(),
            billing_currency: "USD".into(),
            charge_count: 2,
            cost: cost.parse().unwrap(),
        }
    }

    #[test]
    fn the_rows_below_the_net_cost_and_the_bridge_add_up_as_shown() {
        let node = |name: &str, before: &str, now: &str| Node {
            name: name.into(),
            before: before.parse().unwrap(),
            now: now.parse().unwrap(),
            ..Node::default()
        };
        let nodes = [node("checkout", "100", "50.504"), node("ledger", "7.004", "7")];
        let table = breakdown(&nodes, "USD");
        let all = [booked("2026-10-01", "2.993"), booked("2026-09-01", "1.003"), booked("2026-11-01", "9")];
        let late = booked_node(&asked(), &all, "USD").unwrap();
        assert_eq!((late.charge_count, late.now_by_bill.len()), (2, 1));
        let known = Known { before: true, now: true, invoiced: true, no_comparison: None };
        let both = with_booked(&late, &nodes, &table, &known, "USD");
        let texts = |row: &Row| [row.before_text.clone(), row.now_text.clone(), row.delta.amount.clone()];
        assert_eq!(texts(&table.total), ["$107.00", "$57.50", "\u{2212}$49.50"]);
        assert_eq!(texts(&both.adjustments), ["$1.01", "$3.00", "+$1.99"], "what leads to the total as shown");
        assert_eq!(texts(&both.total), ["$108.01", "$60.50", "\u{2212}$47.51"]);
        let bridge = bridge(&table, Some(&both), "USD").unwrap();
        let last = bridge.steps.last().unwrap();
        assert_eq!((last.name.as_str(), last.amount.as_str()), (ADJUSTMENTS_BOOKED, "+$1.99"));
        assert_eq!((bridge.start.amount.as_str(), bridge.end.amount.as_str()), ("$108.01", "$60.50"));
        assert_eq!(last.to, bridge.end.x);
    }

    #[test]
    fn what_adds_up_to_nothing_is_no_row() {
        let all = [booked("2026-10-01", "4"), booked("2026-10-01", "-4"), booked("2026-11-01", "9")];
        assert!(booked_node(&asked(), &all, "USD").is_none());
        assert!(booked_node(&asked(), &[booked("2026-10-01", "4")], "EUR").is_none());
    }
}
