//! How often the method is wrong here: the same question asked on days without a release. Pure.

use super::histories::{Series, window};
use super::{METHOD, in_parallel};
use crate::analyze::impact::{self, Calibration, Finding, HISTORY_DAYS_MIN, Model, SETTLED_DAYS};
use crate::store::effect_runs::StoredCalibration;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

/// Placebos that are asked at most: the rate is then known to about two points.
const PLACEBO_COUNT_MAX: usize = 600;
/// Days to the nearest release.
const DISTANCE_DAYS: i64 = 3;
/// How long what was learnt stands.
const STANDS_DAYS: i64 = 7;

/// What was learnt, anew where it is old or of another method. `None` where what is stored stands.
pub(super) fn learn(
    stored: Option<&StoredCalibration>,
    series: &[Series],
    model: &Model,
    calibration: &Calibration,
    now: DateTime<Utc>,
) -> Option<StoredCalibration> {
    let stands = stored.is_some_and(|stored| {
        stored.method == METHOD && stored.placebo_count > 0 && now - stored.computed_at < TimeDelta::days(STANDS_DAYS)
    });
    if stands {
        return None;
    }
    let all: Vec<(&Series, NaiveDate)> =
        series.iter().flat_map(|series| placebo_days(series).into_iter().map(move |day| (series, day))).collect();
    let step = all.len().div_ceil(PLACEBO_COUNT_MAX).max(1);
    let asked: Vec<(&Series, NaiveDate)> = all.into_iter().step_by(step).collect();
    let answers = in_parallel(&asked, |(series, day)| {
        let impact = impact::estimate(&window(series, *day), *day, model, calibration);
        let effect = impact.effect?;
        let is_claimed = matches!(impact.finding, Finding::Increase | Finding::Decrease);
        Some((is_claimed, effect.low > 0.0 || effect.high < 0.0))
    });
    let answers: Vec<(bool, bool)> = answers.into_iter().flatten().collect();
    let count = |keep: fn(&(bool, bool)) -> bool| answers.iter().filter(|answer| keep(answer)).count() as i64;
    (!answers.is_empty()).then(|| StoredCalibration {
        constants: serde_json::to_value(calibration).unwrap_or_default(),
        method: METHOD.into(),
        placebo_count: answers.len() as i64,
        claimed_count: count(|answer| answer.0),
        outside_count: count(|answer| answer.1),
        computed_at: now,
    })
}

// One a week, so that placebos share few days.
fn placebo_days(series: &Series) -> Vec<NaiveDate> {
    let history = &series.history;
    let Some(first) = history.cost.iter().position(Option::is_some) else { return Vec::new() };
    let first = history.day_at(first) + Days::new(u64::from(HISTORY_DAYS_MIN));
    let last = history.complete_to - Days::new(u64::from(SETTLED_DAYS));
    let is_apart =
        |day: &NaiveDate| history.releases.iter().all(|release| (release.day - *day).num_days().abs() >= DISTANCE_DAYS);
    first.iter_days().take_while(|day| *day <= last).step_by(7).filter(is_apart).collect()
}
