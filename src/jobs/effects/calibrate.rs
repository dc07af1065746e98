//! How often the method is wrong here: the same question asked on days without a release; and by how much intervals
//! have to be wider or narrower here than elsewhere. What is learnt and how often it is wrong come from different days.
//! Pure.

use super::histories::{Series, window};
use super::placebo_sample::sampled;
use super::{METHOD, in_parallel};
use crate::analyze::impact::{self, Calibration, Finding, Model, Placebo, PlaceboPurpose};
use crate::store::effect_runs::StoredCalibration;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

/// Answered placebos below which nothing is learnt from them.
const PLACEBO_COUNT_MIN: usize = 50;
/// How long what was learnt stands.
const STANDS_DAYS: i64 = 7;

/// The calibration that answers are made with here: what stands, or what the organisation's own placebos say once there
/// are half as many more of them as it was learnt from. It changes seldom, since every change asks for all answers anew.
pub(super) fn calibration(stored: Option<&StoredCalibration>, series: &[Series], model: &Model) -> Calibration {
    let standing: Option<Calibration> = stored
        .filter(|stored| stored.method == METHOD)
        .and_then(|stored| serde_json::from_value(stored.constants.clone()).ok());
    let asked = sampled(series, PlaceboPurpose::Learn);
    let questions = 2 * asked.len();
    if let Some(standing) = standing
        && questions * 2 < standing.placebo_count() * 3
    {
        return standing;
    }
    let numbered: Vec<(usize, (&Series, NaiveDate))> = asked.into_iter().enumerate().collect();
    let placebos = in_parallel(&numbered, |(place, (series, day))| {
        let mut history = window(series, *day);
        impact::placebo_asked_to(*day).map(|last| {
            history.complete_to = last;
            impact::placebo(&history, *day, *place, model)
        })
    });
    let placebos: Vec<Placebo> = placebos.into_iter().flatten().flatten().collect();
    if placebos.len() < PLACEBO_COUNT_MIN {
        return Calibration::default();
    }
    Calibration::default().learnt(&placebos, questions)
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
    let answers = in_parallel(&sampled(series, PlaceboPurpose::Tell), |(series, day)| {
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
