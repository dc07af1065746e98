//! One currency of a statement: sentence, figures, bridge, table, chart, ties. Pure.

use super::MonthState;
use super::adjustments::{Booked, booked};
use super::booked_total::{WithBooked, booked_node, with_booked};
use super::breakdown::{Breakdown, Node, breakdown, nodes};
use super::bridge::{Bridge, bridge};
use super::closed_ties::{ClosedTies, closed_ties};
use super::comparison::{Comparison, NOT_BILLED};
use super::lede::{Told, lede};
use super::like::Like;
use super::views::{Views, views};
use super::year::{Span, Year, year};
use super::{Asked, CHART_MONTH_COUNT, Read};
use crate::focus::BillingPeriod;
use crate::store::commitment_purchases::LeftOut;
use crate::store::statement_ties::{Restatement, SourceTie};
use crate::store::statements::{MonthTotal, MonthView};
use crate::web::display::{self, Delta};
use crate::web::why::WhyWalk;
use bigdecimal::{BigDecimal, Zero};
use std::collections::BTreeMap;

/// One currency of a statement.
pub(super) struct Section {
    pub currency: String,
    /// How far the bills in it have come.
    pub state: MonthState,
    /// The same in a sentence.
    pub reached: String,
    pub lede: String,
    pub net: String,
    pub net_delta: Option<Delta>,
    pub tax: String,
    pub credit: String,
    pub allocated_share: String,
    pub unallocated: String,
    pub views: Views,
    /// Whether anything is billed, or nothing more is to come.
    pub is_billed: bool,
    /// The month before, where it is known and not compared.
    pub before: Option<String>,
    /// "first 24 days": of these the change is, where days of the month are still to come.
    pub like_days: Option<String>,
    /// Why the month is compared with none.
    pub no_comparison: Option<String>,
    pub bridge: Option<Bridge>,
    pub table: Breakdown,
    /// What is booked for closed months and the total with it, where anything is.
    pub with_booked: Option<WithBooked>,
    pub year: Year,
    /// Of an open month.
    pub ties: Option<Ties>,
    /// Of a closed one.
    pub closed_ties: Option<ClosedTies>,
    pub restatements: Vec<RestatementRow>,
    /// What arrived late for closed months and is booked here.
    pub booked_here: Option<Booked>,
    /// What arrived late for this month and is booked elsewhere.
    pub booked_elsewhere: Option<Booked>,
    /// What narrows `/charges` to the whole section.
    pub lines_query: String,
    /// Why it differs from the month before; `None` where nothing was spent in either.
    pub why: Option<WhyWalk>,
}

/// Deliveries beside the statement. Each column adds up as shown.
pub(super) struct Ties {
    pub rows: Vec<TieRow>,
    pub charge_count: i64,
    pub delivered: String,
    pub stated: String,
    pub difference: String,
    pub is_even: bool,
    /// What rounding leaves between the rows and the total: stated and delivered.
    pub rounding: Option<(String, String)>,
}

pub(super) struct TieRow {
    pub tie: SourceTie,
    pub delivered: String,
    pub stated: String,
    pub difference: String,
    pub is_even: bool,
}

pub(super) struct RestatementRow {
    pub restatement: Restatement,
    pub earlier: String,
    pub later: String,
    pub delta: Delta,
}

/// One section a currency, the one with most lines first.
pub(super) fn sections(
    comparison: &Comparison<'_>,
    read: &Read,
    like: &BTreeMap<String, Like>,
    is_whole: bool,
) -> Vec<Section> {
    let asked = comparison.asked;
    let month = asked.month.first_day();
    let mut lines: Vec<(String, i64)> = Vec::new();
    for row in &read.rows {
        let count = if row.month == month { row.charge_count } else { 0 };
        match lines.iter_mut().find(|(currency, _)| *currency == row.billing_currency) {
            Some((_, sum)) => *sum += count,
            None => lines.push((row.billing_currency.clone(), count)),
        }
    }
    // A month without bills in a currency still shows what is booked to it.
    for adjustment in &read.adjustments {
        let is_asked = asked.currency.as_ref().is_none_or(|currency| *currency == adjustment.billing_currency);
        if is_asked && lines.iter().all(|(currency, _)| *currency != adjustment.billing_currency) {
            lines.push((adjustment.billing_currency.clone(), 0));
        }
    }
    let months = [month, asked.before.first_day()];
    for booked in read.booked.iter().filter(|one| months.contains(&one.booked_month) && !one.cost.is_zero()) {
        if lines.iter().all(|(currency, _)| *currency != booked.billing_currency) {
            lines.push((booked.billing_currency.clone(), 0));
        }
    }
    lines.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    lines.iter().map(|(currency, _)| section(comparison, read, like.get(currency), is_whole, currency)).collect()
}

fn section(comparison: &Comparison<'_>, read: &Read, like: Option<&Like>, is_whole: bool, currency: &str) -> Section {
    let Comparison { asked, state, .. } = *comparison;
    let state_in = read.state_in(asked.month, currency);
    let known = comparison.of(currency);
    let decimals = display::minor_units(currency);
    let nodes = nodes(&read.rows, asked.month.first_day(), asked.by, currency);
    let table = breakdown(&nodes, currency).known(&known);
    let days = like.map(|like| self::nodes(&like.rows, asked.month.first_day(), asked.by, currency));
    let of_days = days.as_ref().map(|days| breakdown(days, currency).known(&known));
    let compared = of_days.as_ref().unwrap_or(&table);
    let late = booked_node(asked, &read.booked, currency);
    let booked_beside =
        |nodes: &[Node], table: &Breakdown| late.as_ref().map(|late| with_booked(late, nodes, table, &known, currency));
    let with_booked = booked_beside(&nodes, &table);
    // What is booked has no days: it is the last step of the bridge, whichever days the other steps are of.
    let last_step = booked_beside(days.as_ref().unwrap_or(&nodes), compared);
    let bridge = bridge(compared, last_step.as_ref(), currency).filter(|_| known.is_compared());
    let exact: BigDecimal = nodes.iter().map(|node| &node.now).sum();
    let total =
        read.totals.iter().find(|total| total.month == asked.month.first_day() && total.billing_currency == currency);
    let amount = |pick: fn(&MonthTotal) -> &BigDecimal| match known.now {
        true => display::money(&total.map(pick).cloned().unwrap_or_default(), currency, decimals),
        false => NOT_BILLED.into(),
    };
    let unallocated = total.map(|total| total.unallocated.clone()).unwrap_or_default();
    let by_bill = asked.view == MonthView::BillingPeriod;
    let booked = |is_elsewhere| {
        by_bill.then(|| booked(asked.month, &read.adjustments, &exact, currency, is_elsewhere)).flatten()
    };
    let mut booked_here = booked(false);
    if let Some(booked) = booked_here.as_mut().filter(|_| !known.now) {
        booked.start = NOT_BILLED.into();
    }
    let views = views(asked, &exact, &read.shifted, &read.moved, currency).known(asked.view, &known);
    // The month before stands beside a figure that it is not compared with, where it is known.
    let has_before = nodes.iter().any(|node| !node.before.is_zero());
    let is_compared = known.is_compared() && like.is_none_or(|like| like.day_count > 0);
    let before = (!is_compared && known.before && has_before).then(|| table.total.before_text.clone());
    let is_closed = matches!(state, MonthState::Closed(_));
    let today_open = |month: BillingPeriod| month == asked.month && state.is_open();
    Section {
        currency: currency.into(),
        reached: reached(state, &state_in, currency),
        state: state_in,
        lede: lede(&Told {
            asked,
            state,
            currency,
            table: &table,
            compared,
            like,
            nodes: &nodes,
            known: &known,
            booked: booked_here.as_ref().filter(|booked| booked.is_another_figure()),
            left_out: left_out(&read.left_out, currency),
        }),
        net: table.total.now_text.clone(),
        net_delta: bridge
            .is_some()
            .then(|| Delta::between(&compared.total.now, &compared.total.before, currency, decimals)),
        like_days: like.filter(|like| like.day_count > 0).map(Like::days),
        tax: amount(|total| &total.tax),
        credit: amount(|total| &total.credit),
        allocated_share: display::percent(&(&exact - &unallocated), &exact).unwrap_or_else(|| "none".into()),
        unallocated: display::money(&unallocated, currency, decimals),
        views,
        is_billed: known.now,
        before,
        year: year(
            &read.totals,
            &read.booked,
            currency,
            &Span {
                last: asked.month,
                count: CHART_MONTH_COUNT,
                current: Some(asked.month),
                total_name: asked.basis.total_name(),
            },
            today_open,
            |month| month_link(asked, month),
        ),
        ties: (is_whole && !is_closed).then(|| ties(&read.ties, currency)),
        closed_ties: (is_whole && is_closed)
            .then(|| closed_ties(&read.closed_ties, &read.adjustments, asked.month.first_day(), currency)),
        with_booked,
        restatements: restatements(&read.restatements, currency),
        booked_elsewhere: booked(true),
        booked_here,
        lines_query: lines_query(asked, currency),
        why: None,
        no_comparison: known.no_comparison.or_else(|| like.and_then(|like| no_day(asked, like))),
        bridge,
        table,
    }
}

// Where no source has a bill in it, others may have billed the month.
fn reached(whole: &MonthState, state: &MonthState, currency: &str) -> String {
    match (whole.has_no_bill(), state.has_no_bill()) {
        (true, _) => whole.sentence(),
        (false, true) => format!("No source has billed this month in {currency}{}.", whole.yet()),
        (false, false) => state.sentence(),
    }
}

// Why a month is compared with none of which no bill holds a day in full.
fn no_day(asked: &Asked, like: &Like) -> Option<String> {
    let month = asked.month.label();
    (like.day_count == 0)
        .then(|| format!("bills for {month}, but they hold no whole day yet, so nothing to compare with"))
}

fn month_link(asked: &Asked, month: BillingPeriod) -> String {
    let mut query: Vec<(&str, &str)> = Vec::new();
    if asked.basis != crate::focus::CostBasis::default() {
        query.push(("basis", asked.basis.key()));
    }
    if asked.view == MonthView::ChargeDay {
        query.push(("view", "charge"));
    }
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/finance/statements/{month}{mark}{query}")
}

pub(super) fn lines_query(asked: &Asked, currency: &str) -> String {
    // Days, not a month: the whole month counts here, also days that other pages leave out as provisional.
    let (key, value) = match asked.view {
        MonthView::BillingPeriod => ("billing", asked.month.to_string()),
        MonthView::ChargeDay => ("period", days_of(asked.month)),
    };
    let mut query = vec![(key, value.as_str()), ("cur", currency)];
    if asked.basis != crate::focus::CostBasis::default() {
        query.push(("basis", asked.basis.key()));
    }
    serde_urlencoded::to_string(query).unwrap_or_default()
}

/// Every day of a month, as a period of an address.
pub(super) fn days_of(month: BillingPeriod) -> String {
    format!("{}..{}", month.first_day(), month.days().last_day())
}

impl Section {
    /// A month of the bridge: "October 2026", or "October 2026, first 24 days".
    pub(super) fn of_days(&self, month: &BillingPeriod) -> String {
        match &self.like_days {
            Some(days) => format!("{}, {days}", month.label()),
            None => month.label(),
        }
    }

    /// The lines behind a row of the table.
    pub(super) fn lines(&self, node: &Node) -> Option<String> {
        if node.lines_query.is_empty() {
            return None;
        }
        let narrowed = serde_urlencoded::to_string(&node.lines_query).unwrap_or_default();
        Some(format!("/charges?{}&{narrowed}", self.lines_query))
    }
}

fn ties(all: &[SourceTie], currency: &str) -> Ties {
    let decimals = display::minor_units(currency);
    let rows: Vec<&SourceTie> = all.iter().filter(|tie| tie.billing_currency == currency).collect();
    let stated: Vec<BigDecimal> = rows.iter().map(|tie| tie.stated.clone()).collect();
    let delivered: Vec<BigDecimal> = rows.iter().map(|tie| tie.delivered.clone().unwrap_or_default()).collect();
    let (stated_total, delivered_total): (BigDecimal, BigDecimal) = (stated.iter().sum(), delivered.iter().sum());
    let (stated_shown, stated_left) = display::alone(&stated, &stated_total, decimals);
    let (delivered_shown, delivered_left) = display::alone(&delivered, &delivered_total, decimals);
    let text = |amount: &BigDecimal| display::money(amount, currency, decimals);
    let difference = |stated: &BigDecimal, delivered: &BigDecimal| {
        let difference = stated - delivered;
        // A difference that rounding would hide is written with all its digits.
        if difference.is_zero() { text(&difference) } else { display::money_exact(&difference, currency) }
    };
    let tie_rows = rows.iter().enumerate().map(|(index, tie)| TieRow {
        tie: (*tie).clone(),
        delivered: match tie.delivered {
            Some(_) => text(&delivered_shown[index]),
            None => "not delivered".into(),
        },
        stated: text(&stated_shown[index]),
        difference: difference(&stated[index], &delivered[index]),
        is_even: stated[index] == delivered[index],
    });
    Ties {
        rounding: (!stated_left.is_zero() || !delivered_left.is_zero())
            .then(|| (text(&stated_left), text(&delivered_left))),
        rows: tie_rows.collect(),
        charge_count: rows.iter().map(|tie| tie.charge_count).sum(),
        delivered: text(&delivered_total),
        stated: text(&stated_total),
        difference: difference(&stated_total, &delivered_total),
        is_even: stated == delivered,
    }
}

// `$99,000.00`; `None` where nothing is left out.
fn left_out(all: &[LeftOut], currency: &str) -> Option<String> {
    let one = all.iter().find(|one| one.billing_currency == currency && !one.cost.is_zero())?;
    Some(display::money(&one.cost, currency, display::minor_units(currency)))
}

fn restatements(all: &[Restatement], currency: &str) -> Vec<RestatementRow> {
    let decimals = display::minor_units(currency);
    all.iter()
        .filter(|row| row.billing_currency == currency)
        .map(|row| RestatementRow {
            earlier: display::money(&row.earlier, currency, decimals),
            later: display::money(&row.later, currency, decimals),
            delta: Delta::between(&row.later, &row.earlier, currency, decimals),
            restatement: row.clone(),
        })
        .collect()
}
