//! How much of a day's final cost a bill shows after so many days, learned from what earlier bills said.

#![expect(clippy::float_arithmetic, reason = "shares and medians, no money")]

use std::collections::BTreeMap;

/// Ages that are looked at: what changes later is a correction, not a day that is still arriving.
pub const AGE_DAYS_MAX: u32 = 10;
/// Fewer days at an age tell nothing.
pub const DAY_COUNT_MIN: usize = 7;
/// A day counts as complete once the median bill of that age shows this share of it, and all older ones do.
pub const COMPLETE_SHARE: f64 = 0.98;
/// The age of the bill in which a day can first be complete: the one of the next day.
const NEXT_DAY: u32 = 1;

/// What a bill showed of one day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Days from the day to the bill.
    pub age_days: u32,
    /// Its cost then over its final cost.
    pub share: f64,
}

/// The median of an age.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AgeShare {
    /// Days from a day to the bill.
    pub age_days: u32,
    /// Median share of the final cost; 1 is all of it.
    pub median_share: f64,
    /// Days behind it.
    pub day_count: usize,
}

/// The median share by age, of ages with enough days.
pub fn curve(samples: &[Sample]) -> Vec<AgeShare> {
    let mut by_age: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.age_days <= AGE_DAYS_MAX && sample.share.is_finite()) {
        by_age.entry(sample.age_days).or_default().push(sample.share);
    }
    by_age
        .into_iter()
        .filter(|(_, shares)| shares.len() >= DAY_COUNT_MIN)
        .map(|(age_days, shares)| AgeShare { age_days, day_count: shares.len(), median_share: median(shares) })
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { f64::midpoint(values[middle - 1], values[middle]) } else { values[middle] }
}

/// After how many days a day is complete: the first age from which on all known medians are. `None` where the history
/// does not show it arriving, or not to its end: that days of many days ago are complete says nothing of younger ones
/// that no bill was seen of, as after months that were read at once.
pub fn settles_after_days(curve: &[AgeShare]) -> Option<u32> {
    let is_complete = |age: &AgeShare| (age.median_share - 1.0).abs() <= 1.0 - COMPLETE_SHARE;
    let open = curve.iter().rposition(|age| !is_complete(age));
    match open {
        None => curve.first().map(|age| age.age_days).filter(|age_days| *age_days <= NEXT_DAY),
        Some(last_open) => curve.get(last_open + 1).map(|age| age.age_days),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(by_age: &[(u32, &[f64])]) -> Vec<Sample> {
        by_age
            .iter()
            .flat_map(|(age_days, shares)| shares.iter().map(|share| Sample { age_days: *age_days, share: *share }))
            .collect()
    }

    #[test]
    fn the_median_of_each_age_with_enough_days_counts() {
        let seven = [0.5, 0.6, 0.4, 0.55, 0.45, 0.5, 9.0];
        let known = curve(&samples(&[(0, &[0.0; 3]), (1, &seven), (2, &[0.97; 8]), (3, &[1.0; 9]), (40, &[0.1; 9])]));
        let ages: Vec<(u32, f64, usize)> =
            known.iter().map(|age| (age.age_days, age.median_share, age.day_count)).collect();
        assert_eq!(ages, [(1, 0.5, 7), (2, 0.97, 8), (3, 1.0, 9)]);
        assert_eq!(settles_after_days(&known), Some(3));
    }

    #[test]
    fn a_day_is_complete_from_the_age_after_the_last_open_one() {
        let age = |age_days, median_share| AgeShare { age_days, median_share, day_count: 9 };
        assert_eq!(settles_after_days(&[age(1, 1.0), age(2, 0.9), age(3, 0.99)]), Some(3));
        assert_eq!(settles_after_days(&[age(1, 0.99), age(2, 1.0)]), Some(1));
        assert_eq!(settles_after_days(&[age(1, 0.5), age(2, 1.5)]), None, "too much is not complete either");
        assert_eq!(settles_after_days(&[]), None);
        assert_eq!(settles_after_days(&[age(10, 1.0)]), None, "of what is younger nothing is known");
        assert_eq!(settles_after_days(&[age(0, 0.2), age(10, 1.0)]), Some(10), "known to be late");
    }
}
