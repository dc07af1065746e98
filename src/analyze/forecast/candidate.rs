//! Ways to forecast the days after the last known one.

#![expect(clippy::float_arithmetic, reason = "estimates")]

/// A way to forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Candidate {
    /// Each day costs what the same weekday did last.
    SeasonalNaive,
    /// A profile of weekdays on the level of the last week.
    Profile,
    /// The same, and a third of the growth of the last ten weeks goes on.
    ProfileWithTrend,
}

impl Candidate {
    /// All, the one that is taken without a past to try them on first.
    pub(super) const ALL: [Self; 3] = [Self::ProfileWithTrend, Self::Profile, Self::SeasonalNaive];
}

/// Days that the profile of weekdays comes from.
const PROFILE_DAYS: usize = 56;
/// Days that the level comes from.
const LEVEL_DAYS: usize = 7;
/// The share of the growth that goes on.
const TREND_KEPT: f64 = 0.3;
/// The most growth a week that is believed, as a natural logarithm.
const TREND_MAX: f64 = 0.05;
/// Days between the two fortnights that growth is measured by.
const TREND_SPAN: usize = 56;
/// The fewest of them, where the level changed since.
const TREND_SPAN_MIN: usize = 28;
/// Days of each of the two.
const FORTNIGHT: usize = 14;
/// Days that growth looks at: a change of the level before them does not matter.
pub(super) const TREND_DAYS: usize = TREND_SPAN + FORTNIGHT;
/// Days from a release on within which what it does may pass.
const PASSING_DAYS: usize = 5;
/// Days after those that tell whether it did.
const LATER_DAYS_MIN: usize = 3;
/// What is left of what passes is less than this share of what those days moved by.
const PASSED_SHARE: f64 = 0.5;

/// The sums of `days` days after the last entry of `history`, one for each of `Candidate::ALL`. `restarts` are the places
/// of days on which a release changed the level.
pub(super) fn sums(history: &[f64], days: usize, restarts: &[usize]) -> [f64; 3] {
    let count = history.len();
    let profile = profile(history);
    let levelled: Vec<f64> = history.iter().enumerate().map(|(day, cost)| cost / profile[day % 7].max(1e-3)).collect();
    let first = count.saturating_sub(LEVEL_DAYS);
    // Days before a release that changed the level say nothing about it, once two days after it are known.
    let restart = restarts.iter().copied().filter(|day| day + 2 < count && lasts(&levelled, *day)).max();
    let level = median(&levelled[restart.map_or(first, |day| first.max(day + 1))..]);
    let growth = growth(&levelled, restart);
    let (mut flat, mut trending, mut naive) = (0.0, 0.0, 0.0);
    for ahead in 0..days {
        let share = profile[(count + ahead) % 7];
        flat += share;
        trending += share * (TREND_KEPT * growth * (ahead as f64 + 4.0) / 7.0).exp();
        naive += history[count - 7 + ahead % 7];
    }
    [level * trending, level * flat, naive]
}

/// What each weekday costs against the mean of the seven days around it; by place modulo seven, 1 on average.
fn profile(history: &[f64]) -> [f64; 7] {
    let first = history.len().saturating_sub(PROFILE_DAYS);
    let mut ratios: [Vec<f64>; 7] = Default::default();
    for (place, week) in history[first..].windows(7).enumerate() {
        let mean = week.iter().sum::<f64>() / 7.0;
        if mean > 0.0 {
            ratios[(first + place + 3) % 7].push(week[3] / mean);
        }
    }
    let mut profile = ratios.map(|ratios| if ratios.is_empty() { 1.0 } else { median(&ratios) });
    let mean = profile.iter().sum::<f64>() / 7.0;
    profile.iter_mut().for_each(|share| *share = if mean > 0.0 { *share / mean } else { 1.0 });
    profile
}

/// Whether what a release changed is still there a week later: what passes (a pulse) starts no level anew. It is taken to
/// last until enough days say otherwise.
fn lasts(levelled: &[f64], day: usize) -> bool {
    let later = day + PASSING_DAYS + 1;
    if day < LEVEL_DAYS || levelled.len() < later + LATER_DAYS_MIN {
        return true;
    }
    let before = median(&levelled[day - LEVEL_DAYS..day]);
    let moved = levelled[day..day + PASSING_DAYS].iter().sum::<f64>() / PASSING_DAYS as f64 - before;
    let left = median(&levelled[later..levelled.len().min(later + LEVEL_DAYS)]) - before;
    left * moved.signum() >= PASSED_SHARE * moved.abs()
}

/// Growth a week, as a natural logarithm; 0 where the history is too short, or a release changed the level too lately: such
/// a change is no growth, and only days after it tell.
fn growth(levelled: &[f64], restart: Option<usize>) -> f64 {
    let count = levelled.len();
    let after = restart.map_or(count, |day| count.saturating_sub(day + 1));
    let span = after.saturating_sub(FORTNIGHT).min(TREND_SPAN);
    if count < TREND_DAYS + LEVEL_DAYS || span < TREND_SPAN_MIN {
        return 0.0;
    }
    let late = median(&levelled[count - FORTNIGHT..]);
    let early = median(&levelled[count - FORTNIGHT - span..count - span]);
    if late <= 0.0 || early <= 0.0 {
        return 0.0;
    }
    ((late / early).ln() * 7.0 / span as f64).clamp(-TREND_MAX, TREND_MAX)
}

pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length.is_multiple_of(2) => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}
