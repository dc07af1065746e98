//! What releases added to the difference of two periods, by the days of each that lie after them.

#![expect(clippy::float_arithmetic, reason = "a share of days that differ in number")]

use super::lmdi::logarithmic_mean;
use super::service::PART_DIGITS;
use bigdecimal::{BigDecimal, FromPrimitive, Zero};

/// What a release adds to cost on each day after it.
#[derive(Debug, Clone, Copy)]
pub struct ReleaseCourse<'a> {
    /// On the days after it, in order; empty where all days have the same.
    pub after: &'a [BigDecimal],
    /// On each day after those.
    pub lasting: &'a BigDecimal,
}

impl ReleaseCourse<'_> {
    /// What it added on the known days of a period. `is_known` says whether the day at a place of `after` is one of
    /// them; `later_count` is how many of them come after those.
    pub fn added(&self, is_known: impl Fn(usize) -> bool, later_count: u32) -> BigDecimal {
        let near = self.after.iter().enumerate().filter(|(place, _)| is_known(*place));
        let near: BigDecimal = near.map(|(_, amount)| amount).sum();
        near + self.lasting * BigDecimal::from(later_count)
    }
}

/// What a release added to the difference of two periods: what it added to a day of the period on average, less the
/// same of the compared one. More and fewer days are causes of their own, which come before it; so it is that of the
/// days that both periods have alike, their logarithmic mean, by which LMDI weighs them too. `added` and `known` are of
/// the known days of the period and of the compared one. Exact where both know as many days.
pub fn release_part(added: (&BigDecimal, &BigDecimal), known: (u32, u32)) -> BigDecimal {
    if known.0 == 0 || known.1 == 0 {
        return BigDecimal::zero();
    }
    if known.0 == known.1 {
        return added.0 - added.1;
    }
    // Exact, so that what is the same on all days of both is no difference at all.
    let difference = added.0 * BigDecimal::from(known.1) - added.1 * BigDecimal::from(known.0);
    let days = (f64::from(known.0), f64::from(known.1));
    let share = logarithmic_mean(days.0, days.1) / (days.0 * days.1);
    (difference * BigDecimal::from_f64(share).unwrap_or_default()).with_prec(PART_DIGITS)
}
