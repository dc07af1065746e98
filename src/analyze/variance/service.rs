//! The usage of one service in one environment: days, prices, discounts, commitments, traffic, mix, efficiency, and its releases.

#![expect(
    clippy::float_arithmetic,
    reason = "LMDI; the exact change of the lines is what the parts are made to add up to"
)]

use super::coverage::{self, Bought, Paid};
use super::lmdi::{Factor, effects};
use super::{Amounts, Cause, Days, Line, ServiceFacts};
use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, FromPrimitive, ToPrimitive, Zero};
use std::collections::BTreeMap;

/// Significant digits of a part that is not exact by itself.
pub(super) const PART_DIGITS: u64 = 15;

/// Adds the causes of its usage to `amounts`.
pub(super) fn explain(
    lines: &[&Line],
    facts: &ServiceFacts,
    days: &Days,
    is_before_commitments: bool,
    amounts: &mut Amounts,
) {
    let now: BigDecimal = lines.iter().map(|line| &line.now.cost).sum();
    let before: BigDecimal = lines.iter().map(|line| &line.before.cost).sum();
    let (priced, odd): (Vec<&Line>, Vec<&Line>) = lines.iter().copied().partition(|line| is_divisible(line));
    let bought = coverage::bought(&priced, is_before_commitments);
    // What a commitment covers may cost nothing by itself, as it is billed, and is used all the same.
    let is_new = before.is_zero() && !bought.iter().any(|one| one.before.is_covered);
    let is_ended = now.is_zero() && !bought.iter().any(|one| one.now.is_covered);
    if is_new || is_ended {
        let cause = if is_new { Cause::NewServices } else { Cause::EndedServices };
        amounts.add(cause, &(now - before));
        return;
    }
    let mut own = Amounts::default();
    for line in odd {
        own.add(Cause::NotExplained, &line.change());
    }
    let usual = coverage::usual_shares(&bought);
    let (once, daily): (Vec<&Bought>, Vec<&Bought>) = bought.iter().partition(|one| one.is_once);
    for (all, days) in [(daily, days), (once, &Days::ONE)] {
        let (counted, uncounted): (Vec<&Bought>, Vec<&Bought>) = all.into_iter().partition(|one| has_quantity(one));
        for (all, is_counted) in [(counted, true), (uncounted, false)] {
            let priced: Vec<Priced<'_>> =
                all.into_iter().map(|one| Priced::new(one, is_counted, usual[&one.product])).collect();
            divide(&priced, facts, days, is_counted, &mut own);
        }
    }
    take_out_releases(facts, &mut own);
    for (cause, amount) in own.0 {
        amounts.add(cause, &amount);
    }
}

// A line that is a refund on balance in either period has no factors.
fn is_divisible(line: &Line) -> bool {
    line.now.cost.sign() != Sign::Minus && line.before.cost.sign() != Sign::Minus
}

pub(super) fn is_above_zero(amount: &BigDecimal) -> bool {
    amount.sign() == Sign::Plus
}

// Where it costs something it must say how much of it was bought.
fn has_quantity(one: &Bought) -> bool {
    [&one.now, &one.before].into_iter().all(|paid| paid.without.is_zero() || is_above_zero(&paid.side.quantity))
}

/// The factors of what is bought beside days, traffic, quantity and mix.
struct Priced<'a> {
    bought: &'a Bought,
    /// What it was used for, at the prices before and without commitments.
    used: Factor,
    list_price: Factor,
    discount: Factor,
    /// The share of the price without commitments that is paid.
    commitment: Factor,
    /// Of what is covered and there in one period only: what the commitment made of it, beyond what it made of the same
    /// product in the other period.
    commitment_alone: f64,
}

impl<'a> Priced<'a> {
    /// `usual` is the share that is paid of its product.
    fn new(bought: &'a Bought, is_counted: bool, usual: Factor) -> Self {
        let (now, before) = (float(&bought.now.without), float(&bought.before.without));
        let mut priced = Self {
            bought,
            used: Factor::new(now, before),
            list_price: Factor::ONE,
            discount: Factor::ONE,
            commitment: Factor::ONE,
            commitment_alone: 0.0,
        };
        if now != 0.0 && before != 0.0 {
            priced.set_rates((now, before), is_counted);
        } else if bought.now.is_covered || bought.before.is_covered {
            let share = if before == 0.0 { usual.before } else { usual.now };
            priced.commitment = Factor::new(share, share);
            let beyond = |paid: &Paid, without: f64| float(&paid.side.cost) - without * share;
            priced.commitment_alone = beyond(&bought.now, now) - beyond(&bought.before, before);
        }
        priced
    }

    // From the quantity by way of list and contracted cost to the cost without commitments: each step is a rate, where both
    // ends are given in both periods. From there to the cost is what commitments do.
    fn set_rates(&mut self, (now, before): (f64, f64), is_counted: bool) {
        let bought = self.bought;
        let (side_now, side_before) = (&bought.now.side, &bought.before.side);
        let mut chain: Vec<(f64, f64, Step)> = Vec::new();
        if is_counted {
            chain.push((float(&side_now.quantity), float(&side_before.quantity), Step::Quantity));
        }
        for (step, now, before) in [
            (Step::List, &side_now.list_cost, &side_before.list_cost),
            (Step::Contracted, &side_now.contracted_cost, &side_before.contracted_cost),
        ] {
            if is_above_zero(now) && is_above_zero(before) {
                chain.push((float(now), float(before), step));
            }
        }
        chain.push((now, before, Step::Cost));
        let is_committed = bought.is_only_committed;
        for pair in chain.windows(2) {
            let rate = Factor::new(pair[1].0 / pair[0].0, pair[1].1 / pair[0].1);
            let target = match (pair[0].2, pair[1].2) {
                (_, Step::Cost) if is_committed => &mut self.commitment,
                (Step::Quantity, _) => &mut self.list_price,
                _ => &mut self.discount,
            };
            *target = Factor::new(target.now * rate.now, target.before * rate.before);
        }
        self.used = Factor::new(before * chain[0].0 / chain[0].1, before);
        // Rates are relative to those before, at which `used` is written.
        for rate in [&mut self.list_price, &mut self.discount, &mut self.commitment] {
            *rate = Factor::new(rate.now / rate.before, 1.0);
        }
        let paid = Factor::new(float(&side_now.cost) / now, float(&side_before.cost) / before);
        self.commitment = Factor::new(self.commitment.now * paid.now, paid.before);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Quantity,
    List,
    Contracted,
    Cost,
}

const CAUSES: [Cause; 9] = [
    Cause::CalendarDays,
    Cause::DaysToCome,
    Cause::BillMissing,
    Cause::Volume,
    Cause::Efficiency,
    Cause::Mix,
    Cause::ListPrice,
    Cause::Discount,
    Cause::Commitments,
];

// Cost = days × share of them that is complete × share of those that is billed × what follows traffic × quantity for
// the traffic × share of the line × list price × discount × commitment. Up to the discount all is at prices without
// commitments, so that what is covered now and was not before is as much of the same as it was.
fn divide(lines: &[Priced<'_>], facts: &ServiceFacts, days: &Days, is_counted: bool, own: &mut Amounts) {
    let change: BigDecimal = lines.iter().map(|line| line.bought.change()).sum();
    let priced: Vec<(&Priced<'_>, Factor)> = lines.iter().map(|line| (line, billed_days(line.bought, days))).collect();
    let a_day = Factor::new(
        priced.iter().map(|(line, billed)| line.used.now / billed.now).sum(),
        priced.iter().map(|(line, billed)| line.used.before / billed.before).sum(),
    );
    // Of lines that say no quantity, how much was used is not known: it is not told apart from the rest.
    let unknown = |cause: Cause| if is_counted { cause } else { Cause::NotExplained };
    let mut parts: BTreeMap<Cause, f64> = BTreeMap::new();
    if a_day.now == 0.0 || a_day.before == 0.0 {
        let alone: f64 = lines.iter().map(|line| line.commitment_alone).sum();
        parts.insert(unknown(Cause::Mix), float(&change) - alone);
        parts.insert(Cause::Commitments, alone);
        return add_exactly(&parts, &change, own);
    }
    let calendar = Factor::new(f64::from(days.all.0), f64::from(days.all.1));
    let complete = Factor::new(f64::from(days.complete.0), f64::from(days.complete.1));
    let (volume, efficiency) = match facts.traffic {
        Some((now, before)) => {
            // What a day before would have cost with this traffic: its fixed part stays, the rest follows.
            let variable = facts.variable_share.unwrap_or(1.0);
            let followed = 1.0 - variable + variable * now / before;
            (Factor::new(followed, 1.0), Factor::new(a_day.now / followed, a_day.before))
        }
        None => (a_day, Factor::ONE),
    };
    for (line, billed) in &priced {
        let own_a_day = Factor::new(line.used.now / billed.now, line.used.before / billed.before);
        let share = own_a_day.over(a_day);
        let factors = [
            calendar,
            complete.over(calendar),
            billed.over(complete),
            volume,
            efficiency,
            share,
            line.list_price,
            line.discount,
            line.commitment,
        ];
        match effects(factors) {
            Some(effects) => {
                *parts.entry(Cause::Commitments).or_default() += line.commitment_alone;
                for (cause, effect) in CAUSES.into_iter().zip(effects) {
                    let cause = match cause {
                        Cause::Volume if facts.traffic.is_none() => unknown(cause),
                        Cause::Efficiency | Cause::Mix => unknown(cause),
                        _ => cause,
                    };
                    *parts.entry(cause).or_default() += effect;
                }
            }
            None => *parts.entry(Cause::NotExplained).or_default() += float(&line.bought.change()),
        }
    }
    add_exactly(&parts, &change, own);
}

// Days that it is known on; what is known on none never comes here.
fn billed_days(one: &Bought, days: &Days) -> Factor {
    let billed = |complete: u32, lacking: u32| f64::from(complete.saturating_sub(lacking).max(1));
    Factor::new(billed(days.complete.0, one.lacking_days.0), billed(days.complete.1, one.lacking_days.1))
}

// Parts as decimals; the largest takes what rounding leaves, so that they are the change to the last digit.
fn add_exactly(parts: &BTreeMap<Cause, f64>, change: &BigDecimal, own: &mut Amounts) {
    let largest = parts.iter().max_by(|left, right| left.1.abs().total_cmp(&right.1.abs())).map(|(cause, _)| *cause);
    let Some(largest) = largest else { return own.add(Cause::NotExplained, change) };
    let mut rest = change.clone();
    for (cause, part) in parts.iter().filter(|(cause, _)| **cause != largest) {
        // Less than a billionth of the largest is noise of the arithmetic, not a cause.
        if part.abs() <= parts[&largest].abs() * 1e-9 {
            continue;
        }
        let amount = BigDecimal::from_f64(*part).unwrap_or_default().with_prec(PART_DIGITS);
        rest -= &amount;
        own.add(*cause, &amount);
    }
    own.add(largest, &rest);
}

// A release changes how much is used: it is part of the efficiency where traffic is known, else of the quantity, else
// of what is not explained.
fn take_out_releases(facts: &ServiceFacts, own: &mut Amounts) {
    let from = [Cause::Efficiency, Cause::Volume]
        .into_iter()
        .find(|cause| own.0.contains_key(cause) && (*cause == Cause::Efficiency) == facts.traffic.is_some())
        .unwrap_or(Cause::NotExplained);
    for release in &facts.releases {
        let cause = if release.sign() == Sign::Minus { Cause::ReleasesDown } else { Cause::ReleasesUp };
        own.add(cause, release);
        own.add(from, &-release);
    }
}

pub(super) fn float(amount: &BigDecimal) -> f64 {
    amount.to_f64().unwrap_or(f64::NAN)
}
