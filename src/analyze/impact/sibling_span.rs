//! How the other services moved, for each of many at once, around the releases of one month.

#![expect(clippy::float_arithmetic, reason = "logarithms of cost, for estimates")]

use super::window::median;
use crate::focus::{BillingPeriod, DateRange};
use chrono::Days;
use std::collections::HashMap;

/// Others that must have a figure on a day.
const OTHERS_MIN: usize = 2;
/// One in so many is left out at each end: one that went wild does not speak for all.
const TRIMMED: usize = 6;
/// Days of next to nothing count as this share of the median.
const SHARE_MIN: f64 = 1e-4;
/// Days before a month, whose median is the level of each service in it, and on which its index begins.
const DAYS_BEFORE: u64 = 120;
/// Days from the first of a month on that its index has: releases of its last day look two weeks further.
const DAYS_AFTER: u64 = 50;

/// The days around one month on which it is told how the others moved. Levels are medians of the days before the month:
/// a day that comes later changes nothing of what was said, so that settled answers need not be worked out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiblingSpan {
    /// The days.
    pub days: DateRange,
    /// How many of them lie before the month.
    before: usize,
}

impl SiblingSpan {
    /// The days of a month, of those that there are.
    pub fn of(month: BillingPeriod, known: DateRange) -> Option<Self> {
        let first = month.first_day();
        let start = known.start().max(first - Days::new(DAYS_BEFORE));
        let days = DateRange::new(start, known.end().min(first + Days::new(DAYS_AFTER)))?;
        let before = if first < days.end() { (first - start).num_days() } else { 0 };
        Some(Self { days, before: usize::try_from(before).unwrap_or(0) })
    }

    /// For each of these series how the others moved: the trimmed mean of the logarithm of each about its level, an
    /// entry a day. A series has an entry for each of the days; it is `None` where nothing is known of it, and its
    /// index where too few others are.
    pub fn of_each(&self, series: &[Option<&[Option<f64>]>]) -> Vec<Option<Vec<f64>>> {
        let logs: Vec<Option<Vec<Option<f64>>>> = series.iter().map(|days| self.logs((*days)?)).collect();
        without_each(&logs, self.days.day_count() as usize)
    }

    // About the level before the month; of what began in it, about its own.
    fn logs(&self, days: &[Option<f64>]) -> Option<Vec<Option<f64>>> {
        let level = |days: &[Option<f64>]| {
            let known: Vec<f64> = days.iter().flatten().copied().collect();
            Some(median(&known)).filter(|level| *level > 0.0)
        };
        let level = level(&days[..self.before.min(days.len())]).or_else(|| level(days))?;
        Some(days.iter().map(|day| day.map(|value| (value / level).max(SHARE_MIN).ln())).collect())
    }
}

// For each series the trimmed mean of the others, day by day. Sorted once a day: leaving one out is arithmetic.
fn without_each(series: &[Option<Vec<Option<f64>>>], days: usize) -> Vec<Option<Vec<f64>>> {
    let with_figures = series.iter().flatten().count();
    let mut out: Vec<Option<Vec<f64>>> = series
        .iter()
        .map(|own| (with_figures - usize::from(own.is_some()) >= OTHERS_MIN).then(|| vec![0.0; days]))
        .collect();
    for day in 0..days {
        let mut values: Vec<(f64, usize)> = series
            .iter()
            .enumerate()
            .filter_map(|(index, days)| Some((days.as_ref()?.get(day).copied().flatten()?, index)))
            .collect();
        values.sort_by(|left, right| left.0.total_cmp(&right.0));
        let mut sums = vec![0.0; values.len() + 1];
        for (place, (value, _)) in values.iter().enumerate() {
            sums[place + 1] = sums[place] + value;
        }
        let places: HashMap<usize, usize> =
            values.iter().enumerate().map(|(place, (_, index))| (*index, place)).collect();
        for (index, out) in out.iter_mut().enumerate() {
            if let Some(out) = out {
                out[day] = trimmed_mean(&values, &sums, places.get(&index).copied()).unwrap_or_default();
            }
        }
    }
    out
}

fn trimmed_mean(values: &[(f64, usize)], sums: &[f64], left_out: Option<usize>) -> Option<f64> {
    let count = values.len() - usize::from(left_out.is_some());
    if count < OTHERS_MIN {
        return None;
    }
    let trimmed = count / TRIMMED;
    let (first, end) = (trimmed, count - trimmed);
    // Places behind the one that is left out move up by one.
    let sum = match left_out {
        Some(own) if own < first => sums[end + 1] - sums[first + 1],
        Some(own) if own < end => sums[end + 1] - sums[first] - values[own].0,
        _ => sums[end] - sums[first],
    };
    Some(sum / (end - first) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_of_the_others_only() {
        let series: Vec<Option<Vec<Option<f64>>>> =
            (0..25).map(|index| Some(vec![Some(f64::from(index * index % 17))])).chain([None]).collect();
        let told = without_each(&series, 1);
        for (own, told) in told.iter().enumerate() {
            let mut others: Vec<f64> = series
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != own)
                .filter_map(|(_, days)| days.as_ref()?[0])
                .collect();
            others.sort_by(f64::total_cmp);
            let trimmed = others.len() / TRIMMED;
            let kept = &others[trimmed..others.len() - trimmed];
            let expected = kept.iter().sum::<f64>() / kept.len() as f64;
            assert!((told.as_ref().unwrap()[0] - expected).abs() < 1e-12, "{own}");
        }
    }

    #[test]
    fn two_others_are_needed() {
        let one = || Some(vec![Some(1.0)]);
        assert_eq!(without_each(&[one(), one()], 1), [None, None]);
        assert_eq!(without_each(&[one(), None, one()], 1), [None, Some(vec![1.0]), None]);
    }
}
