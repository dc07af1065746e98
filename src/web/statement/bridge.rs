//! The bridge from one month to the next: what each row added, as figures and as bars. Pure.

use super::booked_total::WithBooked;
use super::breakdown::{Breakdown, Row};
use crate::web::display::{self, Delta};
use bigdecimal::{BigDecimal, ToPrimitive, Zero};

/// More contributions than this are one row.
const STEP_COUNT_MAX: usize = 9;

/// A row of the bridge.
#[derive(Debug, Clone)]
pub struct Step {
    /// "Payments", "12 others".
    pub name: String,
    /// Its own page.
    pub href: Option<String>,
    /// "from $148,210.00 to $161,842.00".
    pub detail: String,
    /// `+$13,632.00`.
    pub amount: String,
    /// `+0.4%` of the month before.
    pub of_before: String,
    /// `b-up`, `b-down`.
    pub class: &'static str,
    /// Left end of the bar, percent.
    pub x: String,
    /// Length of the bar, percent.
    pub width: String,
    /// Where the connector from above comes in, percent.
    pub from: String,
    /// Where it goes on, percent.
    pub to: String,
    /// The lines of the bills behind it; may be empty.
    pub lines: Vec<LinesLink>,
    /// Unusual cost in it; may be empty.
    pub unusual: Vec<UnusualLink>,
}

/// A way down to lines of the bills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinesLink {
    /// The address.
    pub href: String,
    /// What stands on the page: "October 2026".
    pub text: String,
    /// What tells it apart for those who hear it: "Credits of October 2026".
    pub name: String,
}

/// Unusual cost that lies in a step: "of which", the link, and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusualLink {
    /// How it lies in the step.
    pub before: String,
    /// Its page.
    pub href: String,
    /// "A-117".
    pub text: String,
    /// Whose it is, and its amount.
    pub after: String,
}

impl UnusualLink {
    /// As text, for files.
    pub fn sentence(&self) -> String {
        format!("{} {} {}", self.before, self.text, self.after)
    }
}

/// A bar of a whole month: first and last row.
#[derive(Debug, Clone)]
pub struct End {
    /// `$1,213,210.16`.
    pub amount: String,
    /// The lines of the bills behind it; may be empty.
    pub href: String,
    /// Right end, percent.
    pub x: String,
}

/// The whole bridge. First amount, plus every step, is the last amount, as shown.
#[derive(Debug, Clone)]
pub struct Bridge {
    /// The month before.
    pub start: End,
    /// What moved.
    pub steps: Vec<Step>,
    /// The month.
    pub end: End,
    /// "$1.195M" where the axis does not start at zero.
    pub axis_start: Option<String>,
    /// Positions and labels of the axis.
    pub ticks: Vec<(String, String)>,
    /// Whether the bars of whole months are shown torn.
    pub is_torn: bool,
}

/// The bridge of a table, or `None` where nothing stood in the month before. Where something is booked to one of the months
/// for closed ones, both ends are the totals with it, and it is the last step.
pub fn bridge(table: &Breakdown, booked: Option<&WithBooked>, currency: &str) -> Option<Bridge> {
    if table.total.before.is_zero() && table.rows.iter().all(|row| row.before.is_zero()) {
        return None;
    }
    let decimals = display::minor_units(currency);
    let mut moves = moves(table);
    moves
        .extend(booked.filter(|booked| !booked.adjustments.change().is_zero()).map(|booked| step(&booked.adjustments)));
    let total = booked.map_or(&table.total, |booked| &booked.total);
    Some(walk(&total.before, &total.now, moves, currency, decimals))
}

/// A contribution before it has a place on the axis. Amounts are rounded as they are shown.
#[derive(Debug, Clone)]
pub struct Move {
    /// What it added.
    pub change: BigDecimal,
    /// What people call it.
    pub name: String,
    /// Its own page.
    pub href: Option<String>,
    /// What stands below the name; may be empty.
    pub detail: String,
    /// The lines of the bills behind it; may be empty.
    pub lines: Vec<LinesLink>,
    /// Unusual cost in it; may be empty.
    pub unusual: Vec<UnusualLink>,
}

/// A bridge in the order of its moves, which must add up to the difference of both ends.
pub fn walk(start: &BigDecimal, now: &BigDecimal, moves: Vec<Move>, currency: &str, decimals: i64) -> Bridge {
    let axis = Axis::new(start, moves.iter().map(|one| &one.change));
    let mut running = start.clone();
    let mut steps = Vec::new();
    for Move { change, name, href, detail, lines, unusual } in moves {
        let next = &running + &change;
        let (left, right) = (axis.at(running.clone().min(next.clone())), axis.at(running.clone().max(next.clone())));
        let delta = Delta::amount(&change, currency, decimals);
        steps.push(Step {
            name,
            href,
            detail,
            class: if change.sign() == bigdecimal::num_bigint::Sign::Minus { "b-down" } else { "b-up" },
            amount: delta.amount,
            of_before: signed_percent(&change, start),
            x: percent(left),
            width: percent(span(left, right)),
            from: percent(axis.at(running.clone())),
            to: percent(axis.at(next.clone())),
            lines,
            unusual,
        });
        running = next;
    }
    let end = |amount: &BigDecimal| End {
        amount: display::money(amount, currency, decimals),
        href: String::new(),
        x: percent(axis.at(amount.clone())),
    };
    Bridge {
        start: end(start),
        steps,
        end: end(now),
        axis_start: axis.is_cut.then(|| axis_label(axis.low, currency)),
        ticks: axis.ticks(currency),
        is_torn: axis.is_cut,
    }
}

// The largest moves by size, then the rest as one; rises before falls, so that the bars read as a walk.
fn moves(table: &Breakdown) -> Vec<Move> {
    let mut rows: Vec<&Row> = table.rows.iter().filter(|row| !row.is_child && !row.change().is_zero()).collect();
    rows.sort_by(|left, right| {
        right.change().abs().cmp(&left.change().abs()).then_with(|| left.node.name.cmp(&right.node.name))
    });
    let shown_count = if rows.len() > STEP_COUNT_MAX { STEP_COUNT_MAX - 1 } else { rows.len() };
    let (shown, others) = rows.split_at(shown_count);
    let mut shown = shown.to_vec();
    shown.sort_by_key(|row| std::cmp::Reverse(row.change()));
    let mut out: Vec<Move> = shown.into_iter().map(step).collect();
    if !others.is_empty() {
        let change = others.iter().map(|row| row.change()).sum();
        // What rounding leaves is nobody's: it goes with them and is not counted.
        let count = others.iter().filter(|row| !row.is_rounding).count();
        let name = display::others(count);
        let (lines, unusual) = (Vec::new(), Vec::new());
        out.push(Move { change, name, href: None, detail: String::new(), lines, unusual });
    }
    out
}

fn step(row: &Row) -> Move {
    Move {
        change: row.change(),
        name: row.node.name.clone(),
        href: row.node.href.clone(),
        detail: format!("from {} to {}", row.before_text, row.now_text),
        lines: Vec::new(),
        unusual: Vec::new(),
    }
}

fn signed_percent(change: &BigDecimal, before: &BigDecimal) -> String {
    display::percent_change(change, before).unwrap_or_default()
}

// Positions on paper only: the amounts beside the bars stay exact.
#[derive(Debug, Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    is_cut: bool,
}

#[expect(clippy::float_arithmetic, reason = "positions on paper")]
impl Axis {
    fn new<'a>(start: &BigDecimal, changes: impl Iterator<Item = &'a BigDecimal>) -> Self {
        let mut running = start.clone();
        let (mut low, mut high) = (running.clone(), running.clone());
        for change in changes {
            running += change;
            low = low.min(running.clone());
            high = high.max(running.clone());
        }
        let (low, high) = (low.to_f64().unwrap_or_default(), high.to_f64().unwrap_or_default());
        let reach = (high - low).max(high.abs() * 0.001).max(1e-9);
        // The axis starts at zero unless the moves would be too small to see.
        let is_cut = low > 0.0 && reach < 0.4 * high;
        if is_cut {
            let low = low - reach * 0.25;
            return Self { low: low.max(0.0), high: high + reach * 0.05, is_cut };
        }
        Self { low: low.min(0.0), high: high.max(0.0) + reach * 0.02, is_cut }
    }

    fn at(self, amount: BigDecimal) -> f64 {
        let amount = amount.to_f64().unwrap_or_default();
        ((amount - self.low) / (self.high - self.low) * 100.0).clamp(0.0, 100.0)
    }

    fn ticks(self, currency: &str) -> Vec<(String, String)> {
        let step = nice_step((self.high - self.low) / 3.5);
        let first = (self.low / step).ceil();
        (0..6)
            .map(|index| (first + f64::from(index)) * step)
            .filter(|value| *value >= self.low && *value <= self.high)
            .map(|value| {
                let position = (value - self.low) / (self.high - self.low) * 100.0;
                (percent(position.clamp(5.0, 95.0)), axis_label(value, currency))
            })
            .collect()
    }
}

#[expect(clippy::float_arithmetic, reason = "positions on paper")]
fn span(left: f64, right: f64) -> f64 {
    (right - left).max(0.25)
}

#[expect(clippy::float_arithmetic, reason = "positions on paper")]
fn nice_step(rough: f64) -> f64 {
    let magnitude = 10f64.powf(rough.max(1e-9).log10().floor());
    let factor = [1.0, 2.0, 4.0, 5.0, 10.0].into_iter().find(|factor| factor * magnitude >= rough).unwrap_or(10.0);
    factor * magnitude
}

fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

/// `$1.20M`, `$340k`, `$20`: for axes only.
#[expect(clippy::float_arithmetic, reason = "labels of an axis")]
fn axis_label(value: f64, currency: &str) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e9 => (value / 1e9, "B"),
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{:.3}", scaled.abs());
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let sign = if scaled < 0.0 { "\u{2212}" } else { "" };
    format!("{sign}{}{text}{unit}", display::symbol(currency).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::breakdown::{Node, breakdown};
    use super::*;

    fn node(name: &str, before: &str, now: &str) -> Node {
        Node { name: name.into(), before: before.parse().unwrap(), now: now.parse().unwrap(), ..Node::default() }
    }

    #[test]
    fn the_steps_lead_from_one_month_to_the_next() {
        let nodes: Vec<Node> =
            (0..14).map(|i| node(&format!("s{i}"), "1000.333", &format!("{}.111", 900 + i * 40))).collect();
        let table = breakdown(&nodes, "USD");
        let bridge = bridge(&table, None, "USD").unwrap();
        assert_eq!(bridge.steps.len(), STEP_COUNT_MAX);
        assert_eq!(bridge.steps.last().unwrap().name, "6 others");
        let sum: BigDecimal = moves(&table).iter().map(|one| &one.change).sum();
        assert_eq!(sum, table.total.change());
        assert_eq!(bridge.steps.last().unwrap().to, bridge.end.x);
    }

    #[test]
    fn a_first_month_has_no_bridge() {
        assert!(bridge(&breakdown(&[node("a", "0", "5")], "USD"), None, "USD").is_none());
    }

    #[test]
    fn axis_labels_are_short() {
        assert_eq!(axis_label(1_195_000.0, "USD"), "$1.195M");
        assert_eq!(axis_label(-4_000.0, "EUR"), "\u{2212}€4k");
        assert_eq!(axis_label(20.0, "CHF"), "20");
    }
}
