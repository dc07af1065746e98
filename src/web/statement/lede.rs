//! What a currency of a statement begins with: the figure, what is booked beside it, and what moved it. Pure.

use super::Asked;
use super::MonthState;
use super::adjustments::Booked;
use super::breakdown::{Breakdown, NOT_ALLOCATED, Node, Row};
use super::comparison::Known;
use super::like::Like;
use crate::focus::BillingPeriod;
use crate::web::display;
use bigdecimal::{BigDecimal, Zero};

/// What the sentences are made of.
pub(super) struct Told<'a> {
    pub asked: &'a Asked,
    pub state: &'a MonthState,
    pub currency: &'a str,
    pub table: &'a Breakdown,
    /// What is compared: the table, or its first days.
    pub compared: &'a Breakdown,
    /// These days, where days of the month are still to come.
    pub like: Option<&'a Like>,
    pub nodes: &'a [Node],
    /// What is known of both months.
    pub known: &'a Known,
    /// What arrived late for closed months and is booked here, where that makes another figure.
    pub booked: Option<&'a Booked>,
    /// What was bought for commitments, where the figures leave it out.
    pub left_out: Option<String>,
}

/// The sentences. The first one gives the net cost and, where something is booked late, the figure with it: it is no
/// part of any row, so that who reads one figure only must not miss it.
pub(super) fn lede(told: &Told<'_>) -> String {
    if !told.known.now {
        return nothing_billed(told);
    }
    let so_far = if matches!(told.state, MonthState::Running(_)) { " so far" } else { "" };
    let mut text = format!("{}{so_far} was {}", told.asked.basis.total_name(), told.table.total.now_text);
    if let Some(booked) = told.booked {
        text.push_str(&format!(", and {} with what arrived late for {}", booked.end, closed_months(&booked.months)));
    }
    let has_before = told.nodes.iter().any(|node| !node.before.is_zero());
    if let Some(why) = &told.known.no_comparison {
        text.push_str(&format!("; {why}."));
    } else if !has_before {
        text.push_str(&format!("; there is no bill for {} to compare it with.", told.asked.before.label()));
    } else if let Some(like) = told.like {
        text.push_str(&change_of_days(told, like));
    } else {
        text.push_str(&change(told));
        text.push_str(&movers(told.table));
    }
    if let Some(amount) = &told.left_out {
        let price = told.asked.basis.label().to_lowercase();
        text.push_str(&format!(
            " {amount} that was bought for commitments is left out, since what uses them is in these figures at its own \
             {price}."
        ));
    }
    if told.asked.by.key() == "team" && told.nodes.len() == 1 && told.nodes[0].is_unallocated {
        text.push_str(" No rule gives any of it to a service yet.");
    }
    text
}

// Nothing is no figure, and no fall from the month before.
fn nothing_billed(told: &Told<'_>) -> String {
    let booked = told.booked.map(|booked| {
        let months = closed_months(&booked.months);
        format!("; {} is booked in it for {months}", booked.end)
    });
    let (currency, month, yet) = (told.currency, told.asked.month.label(), told.state.yet());
    format!("Nothing is billed in {currency} for {month}{yet}{}.", booked.unwrap_or_default())
}

// The change is that of the net cost, as the table and the bridge have it: what is booked late has no month before.
fn change(told: &Told<'_>) -> String {
    let total = &told.table.total;
    let before = told.asked.before.label();
    let change = total.change().abs();
    let amount = display::money(&change, told.currency, display::minor_units(told.currency));
    let relative = display::percent(&change, &total.before).map(|p| format!(" ({p})")).unwrap_or_default();
    // To the cent: what ties to invoices is not "the same" within some percent.
    match (total.delta.direction.word(), told.booked.is_some()) {
        ("the same", false) => format!(", the same as in {before}."),
        ("the same", true) => format!(". Without that, it is the same as in {before}."),
        (word, false) => format!(", which is {amount}{relative} {word} than {before}."),
        (word, true) => format!(". Without that, it is {amount}{relative} {word} than {before}."),
    }
}

// The same days of both months: what falls only because days are still to come is no fall.
fn change_of_days(told: &Told<'_>, like: &Like) -> String {
    let (before, total) = (told.asked.before.label(), &told.compared.total);
    if like.day_count == 0 {
        return format!(". No day of it is whole yet, so that it is not compared with {before}.");
    }
    let days = like.days();
    let cost = format!(". Its {days} of {} cost {}", like.days_in_all, total.now_text);
    if told.compared.rows.iter().all(|row| row.before.is_zero()) {
        return format!("{cost}; the {days} of {before} have no cost to compare that with.");
    }
    let change = total.change().abs();
    let amount = display::money(&change, told.currency, display::minor_units(told.currency));
    let relative = display::percent(&change, &total.before).map(|p| format!(" ({p})")).unwrap_or_default();
    let change = match total.delta.word() {
        "the same" => format!(", the same as the {days} of {before}."),
        word => format!(", which is {amount}{relative} {word} than the {days} of {before}."),
    };
    format!("{cost}{change}{}", movers(told.compared))
}

/// "September 2026", "August 2026 and September 2026", "3 closed months".
fn closed_months(months: &[BillingPeriod]) -> String {
    match months {
        [] => "closed months".into(),
        [one] => one.label(),
        [first, second] => format!("{} and {}", first.label(), second.label()),
        more => format!("{} closed months", more.len()),
    }
}

// The row that rose most and the one that fell most, by name: facts, no causes.
fn movers(table: &Breakdown) -> String {
    let tops = || table.rows.iter().filter(|row| !row.is_child && !row.is_rounding);
    let rise = tops().filter(|row| row.change() > BigDecimal::zero()).max_by_key(|row| row.change());
    let fall = tops().filter(|row| row.change() < BigDecimal::zero()).min_by_key(|row| row.change());
    let name = |row: &Row| {
        if row.node.name == NOT_ALLOCATED { "what is not allocated".to_owned() } else { row.node.name.clone() }
    };
    match (rise, fall) {
        (Some(rise), Some(fall)) => {
            format!(
                " The largest rise: {} ({}); the largest fall: {} ({}).",
                name(rise),
                rise.delta.amount,
                name(fall),
                fall.delta.amount
            )
        }
        (Some(rise), None) => format!(" The largest rise: {} ({}).", name(rise), rise.delta.amount),
        (None, Some(fall)) => format!(" The largest fall: {} ({}).", name(fall), fall.delta.amount),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::By;
    use super::super::breakdown::breakdown;
    use super::*;
    use crate::focus::CostBasis;
    use crate::store::statements::MonthView;

    fn month(text: &str) -> BillingPeriod {
        text.parse().unwrap()
    }

    fn booked(end: &str, months: &[&str]) -> Booked {
        let months = months.iter().map(|text| month(text)).collect();
        Booked { start: String::new(), rows: Vec::new(), end: end.into(), months, sentences: Vec::new() }
    }

    fn known(no_comparison: Option<&str>) -> Known {
        Known { before: true, now: true, invoiced: true, no_comparison: no_comparison.map(str::to_owned) }
    }

    // The sentences of October by service, of a service that cost 100 before.
    fn said(now: &str, known: &Known, booked: Option<&Booked>) -> String {
        said_in(CostBasis::default(), None, now, (known, booked))
    }

    fn said_in(
        basis: CostBasis,
        left_out: Option<String>,
        now: &str,
        (known, booked): (&Known, Option<&Booked>),
    ) -> String {
        let october = month("2026-10");
        let asked = Asked {
            month: october,
            before: october.previous(),
            view: MonthView::BillingPeriod,
            basis,
            by: By::Service,
            currency: None,
        };
        let (before, now) = ("100".parse().unwrap(), now.parse().unwrap());
        let nodes = [Node { name: "checkout".into(), before, now, ..Node::default() }];
        let table = breakdown(&nodes, "USD");
        let state = MonthState::Arriving(Vec::new());
        lede(&Told {
            asked: &asked,
            state: &state,
            currency: "USD",
            table: &table,
            nodes: &nodes,
            known,
            booked,
            compared: &table,
            like: None,
            left_out,
        })
    }

    #[test]
    fn the_first_sentence_has_the_figure_with_what_is_booked_late() {
        let late = booked("$53.49", &["2026-09"]);
        assert_eq!(
            said("50.5", &known(None), Some(&late)),
            "Net cost was $50.50, and $53.49 with what arrived late for September 2026. Without that, it is $49.50 (49.5%) \
             less than September 2026. The largest fall: checkout (\u{2212}$49.50)."
        );
        let of_three = booked("$101.00", &["2026-06", "2026-07", "2026-09"]);
        assert_eq!(
            said("100", &known(None), Some(&of_three)),
            "Net cost was $100.00, and $101.00 with what arrived late for 3 closed months. Without that, it is the same as \
             in September 2026."
        );
        let of_two = booked("$1.00", &["2026-08", "2026-09"]);
        assert_eq!(
            said("2", &known(Some("no bills for September 2026, so nothing to compare with")), Some(&of_two)),
            "Net cost was $2.00, and $1.00 with what arrived late for August 2026 and September 2026; no bills for \
             September 2026, so nothing to compare with."
        );
        assert!(
            said("150", &known(None), None)
                .starts_with("Net cost was $150.00, which is $50.00 (50.0%) more than September")
        );
    }

    #[test]
    fn a_total_is_named_by_its_basis_and_says_what_it_leaves_out() {
        let said = said_in(CostBasis::List, Some("$60.00".into()), "100", (&known(None), None));
        assert_eq!(
            said,
            "List cost was $100.00, the same as in September 2026. $60.00 that was bought for commitments is left out, since \
             what uses them is in these figures at its own list price."
        );
    }

    #[test]
    fn nothing_billed_is_no_figure_and_no_fall() {
        let known = Known { now: false, ..known(Some("no bills for October 2026 yet, so nothing to compare with")) };
        assert_eq!(said("0", &known, None), "Nothing is billed in USD for October 2026 yet.");
        let late = booked("\u{2212}$110.13", &["2026-08"]);
        assert_eq!(
            said("0", &known, Some(&late)),
            "Nothing is billed in USD for October 2026 yet; \u{2212}$110.13 is booked in it for August 2026."
        );
    }
}
