//! The days around one release, ready for the model: logarithms of cost, days counted from the release.

#![expect(clippy::float_arithmetic, reason = "logarithms of cost, for estimates")]

use super::moves::{Move, moves};
use super::{History, Model, NoteKind, PriceEventKind, SETTLED_DAYS, Seen};
use chrono::{Datelike, NaiveDate};

/// Complete days that an answer needs after the release.
const PROVISIONAL: usize = super::PROVISIONAL_DAYS as usize;

/// The days around one release that have a figure and are complete.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// Days counted from the release: -84 … -1, 0, 1 … 14.
    pub(super) days: Vec<i32>,
    /// How many of them lie before the release.
    pub(super) before: usize,
    /// Cost of each day plus `offset`.
    pub(super) cost: Vec<f64>,
    /// Logarithm of `cost` against the median of the days before.
    pub(super) log_cost: Vec<f64>,
    /// What is added to each day, so that days without cost have a logarithm: 0 where all days before cost something.
    pub(super) offset: f64,
    /// Monday 0 … Sunday 6.
    pub(super) weekdays: Vec<u8>,
    /// Days of the month, from 1.
    pub(super) month_days: Vec<u8>,
    /// Logarithm of traffic.
    pub(super) traffic: Option<Vec<f64>>,
    /// How the other services moved.
    pub(super) siblings: Option<Vec<f64>>,
    /// How the traffic of the others moved.
    pub(super) sibling_traffic: Option<Vec<f64>>,
    /// The other days with releases, counted from this one, and the share of a step on each; the nearest first.
    pub(super) others: Vec<(i32, f64)>,
    /// Days to the nearest other release, from rollout to rollout: 0 where they overlap, 99 where there is none.
    pub(super) nearest: i32,
    /// The share of a step on the day of the release itself.
    pub(super) first_share: f64,
    /// Price events: day, mean and standard deviation of their size.
    pub(super) prices: Vec<(i32, f64, f64, PriceEventKind)>,
    /// Steps that rules and tags made in these days.
    pub(super) moves: Vec<Move>,
    /// Launches that begin or end in these days: first and last day.
    pub(super) launches: Vec<(i32, i32)>,
    /// Cost (plus `offset`) of the days asked, 1 … horizon; a day without a figure has the mean of the others.
    pub(super) asked: Vec<f64>,
    /// Mean cost of the 14 days before.
    pub(super) before_per_day: f64,
}

/// Why there is no window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoWindow {
    TooFewDaysAfter,
    ShortHistory,
    NoCostBefore,
}

impl NoWindow {
    pub(super) fn reason(self) -> super::Reason {
        match self {
            Self::TooFewDaysAfter => super::Reason::TooFewDaysAfter,
            Self::ShortHistory => super::Reason::ShortHistory,
            Self::NoCostBefore => super::Reason::NoCostBefore,
        }
    }
}

impl Window {
    /// The window of a release as far as the history is complete.
    pub(super) fn of(seen: Seen<'_>, day: NaiveDate, model: &Model) -> Result<Self, NoWindow> {
        let window = Self::until(seen, day, model)?;
        match window.days_after() {
            0..PROVISIONAL => Err(NoWindow::TooFewDaysAfter),
            _ => Ok(window),
        }
    }

    /// The days around any day, which may be the one after the last complete one.
    pub(super) fn until(seen: Seen<'_>, day: NaiveDate, model: &Model) -> Result<Self, NoWindow> {
        let history = seen.history;
        let release = (day - history.first_day).num_days();
        let complete = (history.complete_to - history.first_day).num_days().min(history.cost.len() as i64 - 1);
        let after = i32::try_from(complete - release).unwrap_or(i32::MAX).max(0);
        let horizon = horizon(after);
        let first = (release - i64::from(model.history_days)).max(0);
        let last = (release + i64::from(horizon)).min(complete);
        let indexes: Vec<usize> = (first..=last)
            .filter_map(|index| usize::try_from(index).ok())
            .filter(|index| seen.cost(*index).is_some_and(f64::is_finite))
            .collect();
        let days: Vec<i32> = indexes.iter().map(|index| (*index as i64 - release) as i32).collect();
        let before = days.iter().take_while(|day| **day < 0).count();
        if before < super::HISTORY_DAYS_MIN as usize {
            return Err(NoWindow::ShortHistory);
        }
        let raw: Vec<f64> = indexes.iter().map(|index| seen.cost(*index).unwrap_or(0.0).max(0.0)).collect();
        let (offset, floor) = offset_and_floor(&raw[..before]).ok_or(NoWindow::NoCostBefore)?;
        let cost: Vec<f64> = raw.iter().map(|cost| cost + offset).collect();
        let level = median(&cost[..before]);
        let log_cost = cost.iter().map(|cost| (cost.max(floor) / level).ln()).collect();
        let at = |index: &usize| history.day_at(*index);
        let relative = |other: NaiveDate| i32::try_from((other - day).num_days()).unwrap_or(i32::MAX);
        let (opening, end) = (days[0].max(first as i32 - release as i32) + 3, *days.last().unwrap_or(&0));
        let mut others: Vec<(i32, f64)> = history
            .releases
            .iter()
            .filter(|other| other.day != day)
            .map(|other| (relative(other.day), 1.0 - other.share_before.unwrap_or(0.5).clamp(0.0, 1.0)))
            .filter(|(other, _)| *other > opening && *other < end)
            .collect();
        others.sort_by_key(|(other, _)| (other.abs(), *other));
        others.dedup_by_key(|(other, _)| *other);
        let nearest = nearest(history, day, opening, end);
        let prices = history
            .price_events
            .iter()
            .map(|event| {
                let (mean, sd) =
                    event.size.map_or((0.0, model.price_sd), |size| (size.log_ratio, size.log_ratio_sd.max(1e-3)));
                (relative(event.day), mean, sd, event.kind)
            })
            .filter(|(event, mean, sd, _)| *event > opening && *event <= end && mean.is_finite() && sd.is_finite())
            .collect();
        let launches = history
            .notes
            .iter()
            .filter(|note| note.kind == NoteKind::Launch)
            .map(|note| (relative(note.day), relative(note.last_day.unwrap_or(note.day))))
            .filter(|(first, last)| *first <= end && *last >= days[0] && (*first > days[0] || *last < end))
            .collect();
        let moves = moves(history, day, &days, &cost, floor, opening + 1..=end);
        let asked = asked_days(&days, &cost, horizon);
        let fortnight: Vec<f64> =
            days.iter().zip(&raw).filter(|(day, _)| (-14..0).contains(*day)).map(|(_, cost)| *cost).collect();
        let before_per_day = mean(&fortnight);
        // A service that rested for a fortnight has its longer past to be a share of.
        let before_per_day = if before_per_day > 0.0 { before_per_day } else { mean(&raw[..before]) };
        let siblings = history.siblings.as_ref();
        Ok(Self {
            before,
            offset,
            weekdays: indexes.iter().map(|index| at(index).weekday().num_days_from_monday() as u8).collect(),
            month_days: indexes.iter().map(|index| at(index).day() as u8).collect(),
            traffic: history.traffic.as_ref().and_then(|traffic| log_traffic(traffic, &indexes)),
            siblings: siblings.and_then(|siblings| picked(&siblings.cost, &indexes)),
            sibling_traffic: siblings.and_then(|siblings| picked(&siblings.traffic, &indexes)),
            first_share: 1.0
                - history
                    .releases
                    .iter()
                    .find(|release| release.day == day)
                    .and_then(|release| release.share_before)
                    .unwrap_or(0.5)
                    .clamp(0.0, 1.0),
            others,
            nearest,
            prices,
            moves,
            launches,
            asked,
            before_per_day,
            days,
            cost,
            log_cost,
        })
    }

    /// The days after the release that have a figure.
    pub(super) fn days_after(&self) -> usize {
        self.days.iter().filter(|day| **day > 0).count()
    }
}

/// Days between the release of a day and the nearest other one, of those whose rollouts touch the days looked at. One that
/// is still on its way at their end moves them as well.
fn nearest(history: &History, day: NaiveDate, opening: i32, end: i32) -> i32 {
    let relative = |other: NaiveDate| i32::try_from((other - day).num_days()).unwrap_or(i32::MAX);
    let began = relative(history.began(day));
    let others = history.releases.iter().filter(|other| other.day != day);
    others
        .map(|other| (relative(other.began()), relative(other.day)))
        .filter(|(first, last)| *last > opening && *first < end)
        .map(|(first, last)| first.max(began.saturating_sub(last)).max(0))
        .min()
        .unwrap_or(99)
}

/// The days that are asked after a release, by the complete ones: all 14, or while the answer is provisional as many as
/// are complete, but no fewer than five.
fn horizon(after: i32) -> i32 {
    after.clamp(5, SETTLED_DAYS as i32)
}

/// What to add to each day's cost and the least cost of which a logarithm is taken, by the days before the release.
fn offset_and_floor(before: &[f64]) -> Option<(f64, f64)> {
    let level = median(before);
    if level <= 0.0 || !level.is_finite() {
        return None;
    }
    let idle = before.iter().filter(|cost| **cost < 0.02 * level).count();
    // A service that rests on some days: shares of nothing are not defined, shares of a part of the mean are.
    let offset = if idle == 0 { 0.0 } else { 0.25 * mean(before) };
    Some((offset, 1e-3 * level))
}

/// Cost of the days 1 … horizon; a missing one has the mean of the others.
fn asked_days(days: &[i32], cost: &[f64], horizon: i32) -> Vec<f64> {
    let mut asked = vec![None; horizon as usize];
    for (day, cost) in days.iter().zip(cost) {
        if (1..=horizon).contains(day) {
            asked[*day as usize - 1] = Some(*cost);
        }
    }
    let known: Vec<f64> = asked.iter().flatten().copied().collect();
    let fill = mean(&known);
    asked.into_iter().map(|cost| cost.unwrap_or(fill)).collect()
}

/// Logarithms of traffic; days without a figure have the median of their neighbours' weekday. None where more than a
/// fifth lacks one.
fn log_traffic(traffic: &[Option<f64>], indexes: &[usize]) -> Option<Vec<f64>> {
    let values: Vec<Option<f64>> = indexes
        .iter()
        .map(|index| traffic.get(*index).copied().flatten().filter(|value| value.is_finite() && *value >= 0.0))
        .collect();
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    if known.len() * 5 < values.len() * 4 {
        return None;
    }
    let level = median(&known);
    if level <= 0.0 {
        return None;
    }
    let weekday = |index: usize| {
        let same: Vec<f64> = (0..values.len())
            .filter(|other| (indexes[*other] + 7 - indexes[index] % 7).is_multiple_of(7))
            .filter_map(|other| values[other])
            .collect();
        if same.is_empty() { level } else { median(&same) }
    };
    let filled = (0..values.len()).map(|index| values[index].unwrap_or_else(|| weekday(index)));
    Some(filled.map(|value| value.max(1e-3 * level).ln()).collect())
}

/// The entries of an index for some days; none where it is shorter or not a number.
fn picked(index: &[f64], indexes: &[usize]) -> Option<Vec<f64>> {
    indexes.iter().map(|day| index.get(*day).copied().filter(|value| value.is_finite())).collect()
}

/// The mean; 0 of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The median; 0 of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    let middle = sorted.len() / 2;
    if sorted.is_empty() {
        return 0.0;
    }
    let odd = !sorted.len().is_multiple_of(2);
    let (below, upper, _) = sorted.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    if odd { upper } else { (upper + below.iter().copied().fold(f64::NEG_INFINITY, f64::max)) / 2.0 }
}
