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

/// The sums of `days` days after the last entry of `history`, one for each of `Candidate::ALL`. `restart` is the place of
/// the last day on which the level changed for good.
pub(super) fn sums(history: &[f64], days: usize, restart: Option<usize>) -> [f64; 3] {
    let count = history.len();
    let profile = profile(history);
    let levelled: Vec<f64> = history.iter().enumerate().map(|(day, cost)| cost / profile[day % 7].max(1e-3)).collect();
    let first = count.saturating_sub(LEVEL_DAYS);
    // Days before a release that changed the level say nothing about it, once two days after it are known.
    let first = restart.map(|day| day + 1).filter(|day| day + 2 <= count).map_or(first, |day| day.max(first));
    let level = median(&levelled[first..]);
    let growth = restart.map_or_else(|| growth(&levelled), |_| 0.0);
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

/// Growth a week, as a natural logarithm; 0 where the history is too short.
fn growth(levelled: &[f64]) -> f64 {
    let count = levelled.len();
    if count < TREND_SPAN + 21 {
        return 0.0;
    }
    let late = median(&levelled[count - 14..]);
    let early = median(&levelled[count - 14 - TREND_SPAN..count - TREND_SPAN]);
    if late <= 0.0 || early <= 0.0 {
        return 0.0;
    }
    ((late / early).ln() * 7.0 / TREND_SPAN as f64).clamp(-TREND_MAX, TREND_MAX)
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
