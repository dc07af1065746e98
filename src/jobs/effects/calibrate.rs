//! How often the method is wrong here: the same question asked on days without a release; and by how much intervals
//! have to be wider or narrower here than elsewhere. What is learnt and how often it is wrong come from different days.
//! Pure.

use super::histories::{Series, lacks_bill, window};
use super::{METHOD, in_parallel};
use crate::analyze::impact::{self, Calibration, Finding, HISTORY_DAYS_MIN, Model, Placebo, SETTLED_DAYS};
use crate::store::effect_runs::StoredCalibration;
use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Utc};

/// Placebos that are asked at most: the rate is then known to about two points.
const PLACEBO_COUNT_MAX: usize = 600;
/// Answered placebos below which nothing is learnt from them.
const PLACEBO_COUNT_MIN: usize = 50;
/// Days to the nearest release.
const DISTANCE_DAYS: i64 = 3;
/// How long what was learnt stands.
const STANDS_DAYS: i64 = 7;

/// Days from one placebo of a series to the next, in turn one to learn from and one to tell by. Few of their days are
/// shared, and either kind comes to every weekday: sixteen days later it is two weekdays on.
const STEP_DAYS: i32 = 8;

/// What a placebo is for. Factors that were learnt from a day would flatter the rate that is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Learn,
    Tell,
}

impl Purpose {
    /// Whether a day is for it: a matter of the calendar, so that a day changes sides with no bill.
    fn holds(self, day: NaiveDate) -> bool {
        let offset = if self == Self::Learn { 0 } else { STEP_DAYS };
        day.num_days_from_ce().rem_euclid(2 * STEP_DAYS) == offset
    }
}

/// Complete days after a placebo's day that the provisional question is asked with.
const PROVISIONAL_DAYS: u64 = 4;

/// The calibration that answers are made with here: what stands, or what the organisation's own placebos say once there
/// are half as many more of them as it was learnt from. It changes seldom, since every change asks for all answers anew.
pub(super) fn calibration(stored: Option<&StoredCalibration>, series: &[Series], model: &Model) -> Calibration {
    let standing: Option<Calibration> = stored
        .filter(|stored| stored.method == METHOD)
        .and_then(|stored| serde_json::from_value(stored.constants.clone()).ok());
    let asked = sampled(series, Purpose::Learn);
    let questions = 2 * asked.len();
    if let Some(standing) = standing
        && questions * 2 < standing.placebo_count() * 3
    {
        return standing;
    }
    let numbered: Vec<(usize, (&Series, NaiveDate))> = asked.into_iter().enumerate().collect();
    let placebos = in_parallel(&numbered, |(place, (series, day))| {
        let settled = window(series, *day);
        let mut provisional = settled.clone();
        provisional.complete_to = *day + Days::new(PROVISIONAL_DAYS);
        [settled, provisional].map(|history| impact::placebo(&history, *day, *place, model))
    });
    let placebos: Vec<Placebo> = placebos.into_iter().flatten().flatten().collect();
    if placebos.len() < PLACEBO_COUNT_MIN {
        return Calibration::default();
    }
    Calibration::default().learnt(&placebos, questions)
}

/// Days without a release near, at most so many as are asked, spread over all series.
fn sampled(series: &[Series], purpose: Purpose) -> Vec<(&Series, NaiveDate)> {
    let all: Vec<(&Series, NaiveDate)> = series
        .iter()
        .flat_map(|series| placebo_days(series, purpose).into_iter().map(move |day| (series, day)))
        .collect();
    let step = all.len().div_ceil(PLACEBO_COUNT_MAX).max(1);
    all.into_iter().step_by(step).collect()
}

/// How often placebos are claimed, anew where it is old, or of another method or calibration. `None` where what is stored stands.
pub(super) fn learn(
    stored: Option<&StoredCalibration>,
    series: &[Series],
    model: &Model,
    calibration: &Calibration,
    now: DateTime<Utc>,
) -> Option<StoredCalibration> {
    let stands = stored.is_some_and(|stored| {
        stored.method == METHOD
            && stored.placebo_count > 0
            && now - stored.computed_at < TimeDelta::days(STANDS_DAYS)
            && serde_json::from_value(stored.constants.clone())
                .is_ok_and(|constants: Calibration| constants == *calibration)
    });
    if stands {
        return None;
    }
    let answers = in_parallel(&sampled(series, Purpose::Tell), |(series, day)| {
        let impact = impact::estimate(&window(series, *day), *day, model, calibration);
        let effect = impact.effect?;
        let is_claimed = matches!(impact.finding, Finding::Increase | Finding::Decrease);
        Some((is_claimed, effect.low > 0.0 || effect.high < 0.0, effect.probability))
    });
    let answers: Vec<(bool, bool, f64)> = answers.into_iter().flatten().collect();
    let count = |keep: fn(&(bool, bool, f64)) -> bool| answers.iter().filter(|answer| keep(answer)).count() as i64;
    (!answers.is_empty()).then(|| StoredCalibration {
        constants: serde_json::to_value(calibration).unwrap_or_default(),
        method: METHOD.into(),
        placebo_count: answers.len() as i64,
        claimed_count: count(|answer| answer.0),
        outside_count: count(|answer| answer.1),
        claimed_probabilities: answers.iter().filter(|answer| answer.0).map(|answer| answer.2).collect(),
        computed_at: now,
    })
}

fn placebo_days(series: &Series, purpose: Purpose) -> Vec<NaiveDate> {
    let history = &series.history;
    let Some(first) = history.cost.iter().position(Option::is_some) else { return Vec::new() };
    let first = history.day_at(first) + Days::new(u64::from(HISTORY_DAYS_MIN));
    let last = history.complete_to - Days::new(u64::from(SETTLED_DAYS));
    // A rollout may move the cost on each of its days.
    let is_apart = |day: &NaiveDate| {
        history.releases.iter().all(|release| {
            (release.began() - *day).num_days() >= DISTANCE_DAYS || (*day - release.day).num_days() >= DISTANCE_DAYS
        })
    };
    let is_known = |day: &NaiveDate| !lacks_bill(history, &[*day]);
    let all = first.iter_days().take_while(|day| *day <= last).filter(|day| purpose.holds(*day));
    all.filter(is_apart).filter(is_known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::impact::{History, ReleaseDay};
    use std::collections::BTreeSet;

    #[test]
    fn placebos_come_to_every_weekday_and_none_both_teaches_and_tells() {
        let first_day: NaiveDate = "2026-01-01".parse().unwrap();
        let released = first_day + Days::new(100);
        let series = Series::bare(History {
            first_day,
            cost: vec![Some(1.0); 240],
            complete_to: first_day + Days::new(239),
            traffic: None,
            siblings: None,
            replicas: None,
            releases: vec![ReleaseDay {
                day: released,
                deployment_ids: vec![1],
                share_before: None,
                rollout_from: None,
            }],
            price_events: Vec::new(),
            notes: Vec::new(),
        });
        let [learnt, told] = [Purpose::Learn, Purpose::Tell].map(|purpose| placebo_days(&series, purpose));
        for days in [&learnt, &told] {
            let weekdays: BTreeSet<u32> = days.iter().map(|day| day.weekday().num_days_from_monday()).collect();
            assert_eq!(weekdays.len(), 7, "{days:?}");
            assert!(days.iter().all(|day| (*day - released).num_days().abs() >= DISTANCE_DAYS), "{days:?}");
            assert!(days.first() >= Some(&(first_day + Days::new(28))), "{days:?}");
            assert!(days.last() <= Some(&(first_day + Days::new(225))), "{days:?}");
        }
        let apart = |one: &NaiveDate| told.iter().all(|other| (*one - *other).num_days().abs() >= 8);
        assert!(learnt.iter().all(apart), "{learnt:?} {told:?}");
        // More days in front, as when older bills come in, change no day's side.
        let mut longer = series;
        longer.history.first_day = first_day - Days::new(5);
        longer.history.cost = vec![Some(1.0); 245];
        let again = placebo_days(&longer, Purpose::Learn);
        assert!(learnt.iter().all(|day| again.contains(day)), "{again:?}");
    }
}
