//! How the other services moved, for each of many at once, around a day that is asked about, or around a month.

#![expect(clippy::float_arithmetic, reason = "logarithms of cost, for estimates")]

use super::window::median;
use super::{HISTORY_DAYS, SETTLED_DAYS};
use crate::focus::{BillingPeriod, DateRange};
use chrono::{Days, NaiveDate};
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

/// Others that must have a figure on a day.
const OTHERS_MIN: usize = 2;
/// One in so many is left out at each end: one that went wild does not speak for all.
const TRIMMED: usize = 6;
/// Logarithms are added up in this part of one, as whole numbers: what is left when one is taken out again does not depend
/// on it, not even by rounding, so that a service's own cost moves nothing of what it is told of the others.
const LOG_PARTS: f64 = (1_u64 << 42) as f64;
/// Days of next to nothing count as this share of the median.
const SHARE_MIN: f64 = 1e-4;
/// Days before the one that is asked about, or before a month, on which the index begins: more than an estimate looks at.
const DAYS_BEFORE: u64 = 120;
/// Days after the one that is asked about that its index has: one more than a settled answer looks at.
const DAYS_AFTER: u64 = SETTLED_DAYS as u64 + 1;
/// Days from the first of a month on that its index has.
const DAYS_OF_MONTH: u64 = 50;

/// The days on which it is told how the others moved, each about a level of its own: a median of some of these days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiblingSpan {
    /// The days.
    pub days: DateRange,
    /// The places of those that levels are taken from.
    level: Range<usize>,
}

impl SiblingSpan {
    /// The days around one that is asked about, of those that there are. Levels are those of the days that a settled answer
    /// looks at, as far as they are known: a day that comes later changes nothing of what was said, so that settled
    /// answers need not be worked out again.
    pub fn around(day: NaiveDate, known: DateRange) -> Option<Self> {
        let start = known.start().max(day - Days::new(DAYS_BEFORE));
        let days = DateRange::new(start, known.end().min(day + Days::new(DAYS_AFTER + 1)))?;
        let place = |day: NaiveDate| usize::try_from((day - start).num_days()).unwrap_or_default();
        let first = place(day - Days::new(u64::from(HISTORY_DAYS)));
        let end = place(days.end().min(day + Days::new(u64::from(SETTLED_DAYS) + 1)));
        Some(Self { days, level: first.min(end)..end })
    }

    /// The days of a month, of those that there are, and those before it. Levels are those of the days before the month, so
    /// that no day of it is told about by those behind it.
    pub fn of_month(month: BillingPeriod, known: DateRange) -> Option<Self> {
        let first = month.first_day();
        let start = known.start().max(first - Days::new(DAYS_BEFORE));
        let days = DateRange::new(start, known.end().min(first + Days::new(DAYS_OF_MONTH)))?;
        let before = if first < days.end() { (first - start).num_days() } else { 0 };
        Some(Self { days, level: 0..usize::try_from(before).unwrap_or(0) })
    }

    /// For each of those series of which the places are given, how the others moved: the trimmed mean of the logarithm of
    /// each about its level, an entry a day. What belongs to the same owner as a series is none of its others: a service is
    /// released to several environments at once. A series has an entry for each of the days; it is `None` where nothing is
    /// known of it, and its index where too few others are. Owners are those of all series, in their order.
    pub fn of_each<Owner: Copy + Eq + Hash>(
        &self,
        series: &[Option<&[Option<f64>]>],
        owners: &[Owner],
        wanted: &[usize],
    ) -> Vec<Option<Vec<f64>>> {
        let logs: Vec<Option<Vec<Option<f64>>>> = series.iter().map(|days| self.logs((*days)?)).collect();
        without_own(&logs, owners, wanted, self.days.day_count() as usize)
    }

    // About the level of its days; of what is known on none of them, of all days.
    fn logs(&self, days: &[Option<f64>]) -> Option<Vec<Option<f64>>> {
        let level = |days: &[Option<f64>]| {
            let known: Vec<f64> = days.iter().flatten().copied().collect();
            Some(median(&known)).filter(|level| *level > 0.0)
        };
        let level = days.get(self.level.clone()).and_then(level).or_else(|| level(days))?;
        Some(days.iter().map(|day| day.map(|value| (value / level).max(SHARE_MIN).ln())).collect())
    }
}

// For each series that is wanted the trimmed mean of those of other owners, day by day. Sorted once a day: leaving some out
// is arithmetic.
fn without_own<Owner: Copy + Eq + Hash>(
    series: &[Option<Vec<Option<f64>>>],
    owners: &[Owner],
    wanted: &[usize],
    days: usize,
) -> Vec<Option<Vec<f64>>> {
    let mut places: HashMap<Owner, Vec<usize>> = HashMap::new();
    for (place, owner) in owners.iter().enumerate().filter(|(place, _)| series.get(*place).is_some_and(Option::is_some))
    {
        places.entry(*owner).or_default().push(place);
    }
    let own_of = |place: &usize| owners.get(*place).and_then(|owner| places.get(owner)).map_or(&[][..], Vec::as_slice);
    let own: Vec<&[usize]> = wanted.iter().map(own_of).collect();
    let with_figures = series.iter().flatten().count();
    let mut out: Vec<Option<Vec<f64>>> =
        own.iter().map(|own| (with_figures - own.len() >= OTHERS_MIN).then(|| vec![0.0; days])).collect();
    let mut values: Vec<(i64, usize)> = Vec::with_capacity(series.len());
    let mut sums: Vec<i64> = Vec::with_capacity(series.len() + 1);
    let mut ranks: Vec<Option<usize>> = vec![None; series.len()];
    let mut left_out: Vec<usize> = Vec::new();
    for day in 0..days {
        values.clear();
        values.extend(
            series
                .iter()
                .enumerate()
                .filter_map(|(place, days)| Some((parts(days.as_ref()?.get(day).copied().flatten()?), place))),
        );
        values.sort_unstable();
        sums.clear();
        sums.push(0);
        ranks.fill(None);
        let mut sum = 0;
        for (rank, (value, place)) in values.iter().enumerate() {
            sum += value;
            sums.push(sum);
            ranks[*place] = Some(rank);
        }
        for (own, out) in own.iter().zip(&mut out) {
            if let Some(out) = out {
                left_out.clear();
                left_out.extend(own.iter().filter_map(|place| ranks[*place]));
                left_out.sort_unstable();
                out[day] = trimmed_mean(&values, &sums, &left_out).unwrap_or_default();
            }
        }
    }
    out
}

fn parts(log: f64) -> i64 {
    (log * LOG_PARTS).round() as i64
}

// The ranks that are left out are in order.
fn trimmed_mean(values: &[(i64, usize)], sums: &[i64], left_out: &[usize]) -> Option<f64> {
    let count = values.len() - left_out.len();
    if count < OTHERS_MIN {
        return None;
    }
    let trimmed = count / TRIMMED;
    // Those behind one that is left out move up by one.
    let rank = |place: usize| left_out.iter().fold(place, |rank, own| rank + usize::from(*own <= rank));
    let (first, last) = (rank(trimmed), rank(count - trimmed - 1));
    let own: i64 = left_out.iter().filter(|own| (first..last).contains(*own)).map(|own| values[*own].0).sum();
    let sum = sums[last + 1] - sums[first] - own;
    Some(sum as f64 / LOG_PARTS / (count - 2 * trimmed) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_apart(series: &[Option<Vec<Option<f64>>>], wanted: &[usize], days: usize) -> Vec<Option<Vec<f64>>> {
        let owners: Vec<usize> = (0..series.len()).collect();
        without_own(series, &owners, wanted, days)
    }

    #[test]
    fn each_is_told_of_the_others_only() {
        let series: Vec<Option<Vec<Option<f64>>>> =
            (0..25).map(|index| Some(vec![Some(f64::from(index * index % 17))])).chain([None]).collect();
        let wanted: Vec<usize> = (0..series.len()).collect();
        // One place each, two, three, …: of some owners the first and the last in order, and those between.
        for owner_count in [26, 13, 9, 5, 2] {
            let owners: Vec<usize> = wanted.iter().map(|place| place % owner_count).collect();
            let told = without_own(&series, &owners, &wanted, 1);
            for (own, told) in told.iter().enumerate() {
                let mut others: Vec<f64> = series
                    .iter()
                    .zip(&owners)
                    .filter(|(_, owner)| **owner != owners[own])
                    .filter_map(|(days, _)| days.as_ref()?[0])
                    .collect();
                others.sort_by(f64::total_cmp);
                let trimmed = others.len() / TRIMMED;
                let kept = &others[trimmed..others.len() - trimmed];
                let expected = kept.iter().sum::<f64>() / kept.len() as f64;
                assert!((told.as_ref().unwrap()[0] - expected).abs() < 1e-12, "{owner_count} {own}");
            }
        }
    }

    #[test]
    fn nothing_of_its_owner_moves_what_it_is_told() {
        let told = |own: [f64; 3]| {
            let others = [0.1, 0.3, -0.7, 0.013].map(|log| Some(vec![Some(log)]));
            let series: Vec<Option<Vec<Option<f64>>>> =
                own.map(|log| Some(vec![Some(log)])).into_iter().chain(others).collect();
            without_own(&series, &["checkout", "checkout", "checkout", "search", "ledger", "mail", "media"], &[0, 2], 1)
        };
        for own in [0.2, 1.0 / 3.0, -5.1, 7.7] {
            assert_eq!(told([own, 0.0, own / 7.0]), told([0.0; 3]), "{own}");
        }
    }

    #[test]
    fn two_others_are_needed() {
        let one = || Some(vec![Some(1.0)]);
        assert_eq!(each_apart(&[one(), one()], &[0, 1], 1), [None, None]);
        assert_eq!(each_apart(&[one(), None, one()], &[0, 1, 2], 1), [None, Some(vec![1.0]), None]);
        assert_eq!(each_apart(&[one(), None, one()], &[1], 1), [Some(vec![1.0])], "what is not wanted is not told");
        let of_two = without_own(&[one(), one(), one(), one()], &["a", "a", "a", "b"], &[0, 3], 1);
        assert_eq!(of_two, [None, Some(vec![1.0])], "its own other places are none");
    }

    #[test]
    fn no_day_after_a_settled_answer_moves_what_it_was_told() {
        let first: NaiveDate = "2026-01-01".parse().unwrap();
        let asked = first + Days::new(100);
        let figures = |place: usize, days: usize| -> Vec<Option<f64>> {
            (0..days).map(|day| Some(10.0 + (day * (place + 1)) as f64)).collect()
        };
        let told = |days: usize| {
            let known = DateRange::new(first, first + Days::new(days as u64)).unwrap();
            let span = SiblingSpan::around(asked, known).unwrap();
            let all: Vec<Vec<Option<f64>>> = (0..5).map(|place| figures(place, days)).collect();
            let from = (span.days.start() - first).num_days() as usize;
            let cut: Vec<Option<&[Option<f64>]>> =
                all.iter().map(|days| days.get(from..from + span.days.day_count() as usize)).collect();
            span.of_each(&cut, &[0, 1, 2, 3, 4], &[0]).remove(0).unwrap()
        };
        let settled = told(115);
        assert_eq!(settled.len(), 115, "from the first day that there is to two weeks after it");
        assert_eq!(told(200)[..115], settled[..]);
        assert_ne!(told(110)[..110], settled[..110], "a provisional answer has other levels");
    }
}
