//! How amounts become text: rounded so that shown rows add up to the shown total, never before.
//!
//! One figure has one rounding. What a page, a row or a total of its own shows (a service, a team, an environment, a
//! source, a month) is rounded by itself, half away from zero: [`alone`], [`figures`]. Where rows so rounded do not add
//! up to their total, a row "Rounding" says by how much. Only parts that stand nowhere else (the cells of a day, causes,
//! percentages) are rounded together, so that they add up without such a row: [`shown`], [`columns`].

use super::filters::grouped;
use super::percents::percentage;
pub use super::percents::{percent, percent_change, shares};
pub use crate::focus::minor_units;
use askama::Template;
use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, RoundingMode, Zero};
use std::collections::BTreeMap;

/// Against less than this, a percentage says nothing.
const SMALL_BASE: i64 = 50;
/// What stands in the place of an amount before, and of a change, that no bill tells of.
pub const NOT_KNOWN: &str = "not known";
/// Below this total, whole units would hide too much: amounts are written with the currency's minor unit.
const WHOLE_UNITS_FROM: i64 = 100;

/// Decimals for a dashboard: whole units, or the minor unit where the total is small.
pub fn decimals(currency: &str, total: &BigDecimal) -> i64 {
    if total.abs() < WHOLE_UNITS_FROM { minor_units(currency) } else { 0 }
}

/// Rounds each value to `decimals` so that they add up to the rounded total (largest remainder).
///
/// Each differs from its exact value by less than one unit. Of equal remainders the larger value, then the
/// earlier one is rounded up, so that another order of the rows gives the same figures.
pub fn shown(values: &[BigDecimal], total: &BigDecimal, decimals: i64) -> Vec<BigDecimal> {
    let unit = BigDecimal::new(1.into(), decimals);
    let mut rounded: Vec<BigDecimal> =
        values.iter().map(|value| value.with_scale_round(decimals, RoundingMode::Floor)).collect();
    let target = total.with_scale_round(decimals, RoundingMode::HalfUp);
    let mut missing = target - rounded.iter().sum::<BigDecimal>();
    let mut order: Vec<(BigDecimal, usize)> =
        values.iter().zip(&rounded).enumerate().map(|(index, (value, floor))| (value - floor, index)).collect();
    order.sort_by(|(left, i), (right, j)| {
        right.cmp(left).then_with(|| values[*j].cmp(&values[*i])).then_with(|| i.cmp(j))
    });
    for (_, index) in order {
        if missing < unit {
            break;
        }
        rounded[index] += &unit;
        missing -= &unit;
    }
    rounded
}

/// Rounds each value by itself, and says what is left to the rounded total: less than half a unit a value.
pub fn alone(values: &[BigDecimal], total: &BigDecimal, decimals: i64) -> (Vec<BigDecimal>, BigDecimal) {
    let round = |value: &BigDecimal| value.with_scale_round(decimals, RoundingMode::HalfUp);
    let rounded: Vec<BigDecimal> = values.iter().map(round).collect();
    let left = round(total) - rounded.iter().sum::<BigDecimal>();
    (rounded, left)
}

/// The change from one amount to another as it is shown: the difference of both as they are shown, so that a reader who
/// takes one from the other finds it. It differs from the exact change by less than one unit.
pub fn change_shown(now: &BigDecimal, before: &BigDecimal, decimals: i64) -> BigDecimal {
    let rounded = |amount: &BigDecimal| amount.with_scale_round(decimals, RoundingMode::HalfUp);
    rounded(now) - rounded(before)
}

/// `1 other`, `12 others`: what a table adds up in one row.
pub fn others(count: usize) -> String {
    if count == 1 { "1 other".into() } else { format!("{count} others") }
}

/// `$1,234`, `−€1.50`, `1,234 CHF`: rounded half away from zero.
pub fn money(amount: &BigDecimal, currency: &str, decimals: i64) -> String {
    let text = grouped(&amount.abs(), decimals);
    let sign = if is_shown_negative(amount, decimals) { "\u{2212}" } else { "" };
    match symbol(currency) {
        Some(symbol) => format!("{sign}{symbol}{text}"),
        None if currency.is_empty() => format!("{sign}{text}"),
        None => format!("{sign}{text} {currency}"),
    }
}

/// An amount with all digits that it has, at least the minor unit's: `$0.0123`.
pub fn money_exact(amount: &BigDecimal, currency: &str) -> String {
    let (_, scale) = amount.normalized().into_bigint_and_exponent();
    money(amount, currency, scale.max(minor_units(currency)))
}

/// An amount with a sign on both sides of zero: `+$1,777`, `±$0`.
pub fn signed(amount: &BigDecimal, currency: &str, decimals: i64) -> String {
    let text = money(amount, currency, decimals);
    match Direction::of(amount, decimals) {
        Direction::Up => format!("+{text}"),
        Direction::Down => text,
        Direction::Flat => format!("±{text}"),
    }
}

/// An amount with all its digits and a sign on both sides of zero: `+$0.0123`.
pub fn signed_exact(amount: &BigDecimal, currency: &str) -> String {
    let (_, scale) = amount.normalized().into_bigint_and_exponent();
    signed(amount, currency, scale.max(minor_units(currency)))
}

/// The sign that people write before or instead of the code; `None` for most currencies.
pub fn symbol(currency: &str) -> Option<&'static str> {
    match currency {
        "USD" => Some("$"),
        "EUR" => Some("€"),
        "GBP" => Some("£"),
        "JPY" => Some("¥"),
        _ => None,
    }
}

fn is_shown_negative(amount: &BigDecimal, decimals: i64) -> bool {
    amount.with_scale_round(decimals, RoundingMode::HalfUp).sign() == Sign::Minus
}

/// Which way a cost went, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each says itself")]
pub enum Direction {
    Up,
    Down,
    Flat,
}

impl Direction {
    fn of(change: &BigDecimal, decimals: i64) -> Self {
        match change.with_scale_round(decimals, RoundingMode::HalfUp).sign() {
            Sign::Plus => Self::Up,
            Sign::Minus => Self::Down,
            Sign::NoSign => Self::Flat,
        }
    }

    /// The class of the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Flat => "flat",
        }
    }

    /// "more", "less", "the same".
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "more",
            Self::Down => "less",
            Self::Flat => "the same",
        }
    }

    /// "rose", "fell", "did not change".
    pub fn verb(self) -> &'static str {
        match self {
            Self::Up => "rose",
            Self::Down => "fell",
            Self::Flat => "did not change",
        }
    }
}

/// A change of a cost that lies within so many of it (two in a hundred) is told as none.
const SAME_ONE_OF: i64 = 50;

/// What a change says, beside its figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// More or less.
    Moved,
    /// Within 2 % of what it was.
    Same,
    /// An estimate that is not told from noise.
    NotClear,
}

/// A change of cost: sign, shape and word, never colour alone. Written into a template as it is.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "partials/delta.html")]
pub struct Delta {
    /// Which way.
    pub direction: Direction,
    /// `+$1,777`.
    pub amount: String,
    /// `(+4.2%)`, `new`, `small base` or empty.
    pub relative: String,
    /// Which word stands for it.
    pub reading: Reading,
}

impl askama::filters::HtmlSafe for Delta {}

impl Delta {
    /// The change from `before` to `now`, with its percentage: the difference of both as they are shown.
    pub fn between(now: &BigDecimal, before: &BigDecimal, currency: &str, decimals: i64) -> Self {
        let change = change_shown(now, before, decimals);
        let is_same = !before.is_zero() && (now - before).abs() * SAME_ONE_OF <= before.abs();
        Self {
            relative: relative(&change, now, before, decimals),
            reading: if is_same { Reading::Same } else { Reading::Moved },
            ..Self::amount(&change, currency, decimals)
        }
    }

    /// A change without a percentage, as tables show it.
    pub fn amount(change: &BigDecimal, currency: &str, decimals: i64) -> Self {
        let direction = Direction::of(change, decimals);
        let amount = signed(change, currency, decimals);
        Self { direction, amount, relative: String::new(), reading: Reading::Moved }
    }

    /// What stands in the place of a change where no bill tells of what was before.
    pub fn unknown() -> Self {
        let (direction, amount) = (Direction::Flat, NOT_KNOWN.into());
        Self { direction, amount, relative: String::new(), reading: Reading::NotClear }
    }

    /// "more", "less", "the same" or "not clear".
    pub fn word(&self) -> &'static str {
        match self.reading {
            Reading::Moved => self.direction.word(),
            Reading::Same => Direction::Flat.word(),
            Reading::NotClear => "not clear",
        }
    }

    /// "the same", "the same (+$12)": for a sentence; `None` where it is more or less.
    pub fn same(&self) -> Option<String> {
        match (self.direction, self.reading) {
            (Direction::Flat, _) => Some(Direction::Flat.word().into()),
            (_, Reading::Same) => Some(format!("{} ({})", Direction::Flat.word(), self.amount)),
            _ => None,
        }
    }

    // Neither the colour nor the shape says more than the word.
    fn class(&self) -> &'static str {
        if self.reading == Reading::Moved { self.direction.class() } else { Direction::Flat.class() }
    }
}

fn relative(change: &BigDecimal, now: &BigDecimal, before: &BigDecimal, decimals: i64) -> String {
    if before.is_zero() {
        return if now.is_zero() { String::new() } else { "new".into() };
    }
    if Direction::of(change, decimals) == Direction::Flat {
        return String::new();
    }
    if before.abs() < SMALL_BASE {
        return "small base".into();
    }
    percent_change(&(now - before), before).map(|text| format!("({text})")).unwrap_or_default()
}

/// What a row of a table cost now and in the comparison, by currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// In the period of the page.
    pub now: BTreeMap<String, BigDecimal>,
    /// In the period it is compared with.
    pub before: BTreeMap<String, BigDecimal>,
}

impl Compared {
    /// Adds an amount to one side.
    pub fn add(&mut self, is_now: bool, currency: &str, amount: &BigDecimal) {
        let side = if is_now { &mut self.now } else { &mut self.before };
        *side.entry(currency.to_owned()).or_default() += amount;
    }

    /// Adds both sides of another row.
    pub fn add_row(&mut self, other: &Self) {
        for (is_now, side) in [(true, &other.now), (false, &other.before)] {
            for (currency, amount) in side {
                self.add(is_now, currency, amount);
            }
        }
    }

    /// The amount of the period in a currency.
    pub fn cost(&self, currency: &str) -> BigDecimal {
        self.now.get(currency).cloned().unwrap_or_default()
    }

    /// The amount of the comparison in a currency.
    pub fn cost_before(&self, currency: &str) -> BigDecimal {
        self.before.get(currency).cloned().unwrap_or_default()
    }

    /// The change in a currency.
    pub fn change(&self, currency: &str) -> BigDecimal {
        self.cost(currency) - self.cost_before(currency)
    }

    fn has(&self, currency: &str) -> bool {
        self.now.contains_key(currency) || self.before.contains_key(currency)
    }
}

/// One currency of one row, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `BillingCurrency`.
    pub currency: String,
    /// `$44,190`.
    pub cost: String,
    /// `$42,413`.
    pub before: String,
    /// `30.9%`, or empty where the total is not above zero.
    pub share: String,
    /// The change.
    pub delta: Delta,
}

/// A table of amounts whose every column adds up as shown, for each currency by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// For each row, its currencies in the page's order; those it has no cost in are left out.
    pub rows: Vec<Vec<Line>>,
    /// What rounding leaves between rows and total, in the currencies in which it leaves anything.
    pub rounding: Vec<Line>,
    /// The last row.
    pub total: Vec<Line>,
}

impl Columns {
    /// The same where bills tell of the days before (`is_compared`); else without amounts before and changes.
    pub fn compared(mut self, is_compared: bool) -> Self {
        if !is_compared {
            let lines = self.rows.iter_mut().flatten().chain(&mut self.rounding).chain(&mut self.total);
            for line in lines {
                line.before = NOT_KNOWN.into();
                line.delta = Delta::unknown();
            }
        }
        self
    }
}

/// Amount and share of rows that a subtotal stands under: they add up to the subtotal as [`figures`] shows it, which is
/// the first of `parts`; the row `rest` takes what rounding leaves.
pub fn under_subtotal(
    values: &[BigDecimal],
    parts: &[BigDecimal],
    rest: usize,
    currency: &str,
) -> Vec<(String, String)> {
    let total: BigDecimal = parts.iter().sum();
    let decimals = decimals(currency, &total);
    let (parts_shown, _) = Rounding::Alone { rest: Some(rest) }.apply(parts, &total, decimals, Some(rest));
    let amounts = shown(values, &parts_shown[0], decimals);
    let of_total = |value: &BigDecimal| percentage(value, &total);
    let shares = (total.sign() == Sign::Plus).then(|| {
        let parts: Vec<BigDecimal> = parts.iter().map(of_total).collect();
        let subtotal = shown(&parts, &parts.iter().sum(), 1).swap_remove(0);
        shown(&values.iter().map(of_total).collect::<Vec<_>>(), &subtotal, 1)
    });
    let share = |index: usize| shares.as_ref().map_or_else(String::new, |all| format!("{}%", grouped(&all[index], 1)));
    amounts.iter().enumerate().map(|(index, amount)| (money(amount, currency, decimals), share(index))).collect()
}

/// Rounds rows that stand nowhere else together, so that they add up without a row for what rounding leaves.
pub fn columns(currencies: &[String], rows: &[Compared]) -> Columns {
    rounded(currencies, rows, &Rounding::Together)
}

/// Rounds rows each by itself, as on the page of its own that a row leads to. What rounding leaves is the row
/// `rounding`, or is taken by the row of the rest (an index), which has no page; by the last row in currencies in which
/// the rest has no cost.
pub fn figures(currencies: &[String], rows: &[Compared], rest: Option<usize>) -> Columns {
    rounded(currencies, rows, &Rounding::Alone { rest })
}

type Shown = (Vec<BigDecimal>, BigDecimal);

enum Rounding {
    Together,
    Alone { rest: Option<usize> },
}

impl Rounding {
    // What is shown of a column, and what is left to its total; `taker` is the row that takes it.
    fn apply(&self, values: &[BigDecimal], total: &BigDecimal, decimals: i64, taker: Option<usize>) -> Shown {
        if let Self::Together = self {
            return (shown(values, total, decimals), BigDecimal::zero());
        }
        let (mut rounded, left) = alone(values, total, decimals);
        let Some(row) = taker.and_then(|index| rounded.get_mut(index)) else { return (rounded, left) };
        *row += left;
        (rounded, BigDecimal::zero())
    }

    fn taker(&self, rows: &[Compared], currency: &str) -> Option<usize> {
        let Self::Alone { rest: Some(rest) } = self else { return None };
        let has = |index: &usize| rows.get(*index).is_some_and(|row| row.has(currency));
        Some(*rest).filter(has).or_else(|| rows.iter().rposition(|row| row.has(currency)))
    }
}

fn rounded(currencies: &[String], rows: &[Compared], rounding: &Rounding) -> Columns {
    let mut out = Columns { rows: vec![Vec::new(); rows.len()], rounding: Vec::new(), total: Vec::new() };
    for currency in currencies {
        let now: Vec<BigDecimal> = rows.iter().map(|row| row.cost(currency)).collect();
        let before: Vec<BigDecimal> = rows.iter().map(|row| row.cost_before(currency)).collect();
        let change: Vec<BigDecimal> = rows.iter().map(|row| row.change(currency)).collect();
        let (now_total, before_total): (BigDecimal, BigDecimal) = (now.iter().sum(), before.iter().sum());
        let decimals = decimals(currency, &now_total.abs().max(before_total.abs()));
        let change_total = change_shown(&now_total, &before_total, decimals);
        let taker = rounding.taker(rows, currency);
        let (now_shown, now_left) = rounding.apply(&now, &now_total, decimals, taker);
        let (before_shown, before_left) = rounding.apply(&before, &before_total, decimals, taker);
        // Rows that are rounded by themselves change by what their two amounts show.
        let change_shown = match rounding {
            Rounding::Together => shown(&change, &change_total, decimals),
            Rounding::Alone { .. } => now_shown.iter().zip(&before_shown).map(|(now, before)| now - before).collect(),
        };
        let share = shares(&now, &now_total);
        let line = |now: &BigDecimal, before: &BigDecimal, change: &BigDecimal, share: String| Line {
            currency: currency.clone(),
            cost: money(now, currency, decimals),
            before: money(before, currency, decimals),
            share,
            delta: Delta::amount(change, currency, decimals),
        };
        for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.has(currency)) {
            let share = share.as_ref().map(|all| all[index].clone()).unwrap_or_default();
            let mut line = line(&now_shown[index], &before_shown[index], &change_shown[index], share);
            if row.cost_before(currency).is_zero() && !row.cost(currency).is_zero() {
                line.delta.relative = "new".into();
            }
            out.rows[index].push(line);
        }
        if !now_left.is_zero() || !before_left.is_zero() {
            out.rounding.push(line(&now_left, &before_left, &(&now_left - &before_left), String::new()));
        }
        let share = if share.is_some() { "100.0%".to_owned() } else { String::new() };
        out.total.push(line(&now_total, &before_total, &change_total, share));
    }
    out
}

#[cfg(test)]
mod tests;
