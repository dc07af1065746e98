//! How often the method is wrong here: the same question asked on days without a release; and by how much intervals
//! have to be wider or narrower here than elsewhere. What is learnt and how often it is wrong come from different days.
//! Pure.

use super::histories::{Series, stands_in, window};
use super::placebo_sample::{PlaceboDay, sampled};
use super::{METHOD, in_parallel};
use crate::analyze::impact::{self, Calibration, Finding, Model, Placebo, PlaceboPurpose};
use crate::store::effect_runs::StoredCalibration;
use chrono::{DateTime, TimeDelta, Utc};

/// Answered placebos below which nothing is learnt from them.
const PLACEBO_COUNT_MIN: usize = 50;
/// How long what was learnt stands.
const STANDS_DAYS: i64 = 7;

/// The placebos of a run, and what is due to be learnt from them. It changes seldom, since every change asks for all
/// answers anew.
pub(super) struct Due {
    /// What was learnt last by this method.
    stored: Option<Calibration>,
    /// Whether there are half as many more placebos than that was learnt from, or there is none.
    learns: bool,
    /// Whether how often placebos are claimed is known, and not for long, where the calibration stays what it was.
    is_told: bool,
    to_learn: Vec<PlaceboDay>,
    to_tell: Vec<PlaceboDay>,
}

impl Due {
    /// Of these series, which need not tell yet how the others moved.
    pub fn of(stored: Option<&StoredCalibration>, series: &[Series], now: DateTime<Utc>) -> Self {
        let stored = stored.filter(|stored| stored.method == METHOD);
        let constants = stored.and_then(|stored| serde_json::from_value::<Calibration>(stored.constants.clone()).ok());
        let to_learn = sampled(series, PlaceboPurpose::Learn);
        let are_more = |standing: &Calibration| questions(&to_learn) * 2 >= standing.placebo_count() * 3;
        Self {
            learns: constants.as_ref().is_none_or(are_more),
            is_told: stored.is_some_and(|stored| {
                stored.placebo_count > 0 && now - stored.computed_at < TimeDelta::days(STANDS_DAYS)
            }),
            stored: constants,
            to_learn,
            to_tell: sampled(series, PlaceboPurpose::Tell),
        }
    }

    /// The placebos around which it has to be told how the others moved: those that are asked, and those that stand in for
    /// a release.
    pub fn placebos(&self, series: &[Series]) -> Vec<PlaceboDay> {
        let tells = self.learns || !self.is_told;
        let of_purpose = |days: &[PlaceboDay], is_asked: bool| {
            let is_meant = |(place, day): &PlaceboDay| is_asked || stands_in(&series[*place], *day);
            days.iter().copied().filter(is_meant).collect::<Vec<_>>()
        };
        [of_purpose(&self.to_learn, self.learns), of_purpose(&self.to_tell, tells)].concat()
    }
}

// Each is asked settled and provisional.
fn questions(placebos: &[PlaceboDay]) -> usize {
    2 * placebos.len()
}

/// The calibration that answers are made with here: what stands, or what the organisation's own placebos say.
pub(super) fn calibration(due: &Due, series: &[Series], model: &Model) -> Calibration {
    if let Some(standing) = due.stored.as_ref().filter(|_| !due.learns) {
        return standing.clone();
    }
    let numbered: Vec<(usize, PlaceboDay)> = due.to_learn.iter().copied().enumerate().collect();
    let placebos = in_parallel(&numbered, |(number, (place, day))| {
        let mut history = window(&series[*place], *day);
        impact::placebo_asked_to(*day).map(|last| {
            history.complete_to = last;
            impact::placebo(&history, *day, *number, model)
        })
    });
    let placebos: Vec<Placebo> = placebos.into_iter().flatten().flatten().collect();
    if placebos.len() < PLACEBO_COUNT_MIN {
        return Calibration::default();
    }
    Calibration::default().learnt(&placebos, questions(&due.to_learn))
}

/// How often placebos are claimed, anew where it is old, or of another method or calibration. `None` where what is stored stands.
pub(super) fn learn(
    due: &Due,
    series: &[Series],
    model: &Model,
    calibration: &Calibration,
    now: DateTime<Utc>,
) -> Option<StoredCalibration> {
    if due.is_told && due.stored.as_ref() == Some(calibration) {
        return None;
    }
    let answers = in_parallel(&due.to_tell, |(place, day)| {
        let impact = impact::estimate(&window(&series[*place], *day), *day, model, calibration);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::impact::History;
    use chrono::{Days, NaiveDate};

    fn now() -> DateTime<Utc> {
        "2026-09-01T06:00:00Z".parse().unwrap()
    }

    // 240 days without a release.
    fn series() -> [Series; 1] {
        let first_day: NaiveDate = "2026-01-01".parse().unwrap();
        [Series::bare(History {
            first_day,
            cost: vec![Some(1.0); 240],
            complete_to: first_day + Days::new(239),
            traffic: None,
            siblings: None,
            replicas: None,
            releases: Vec::new(),
            price_events: Vec::new(),
            notes: Vec::new(),
        })]
    }

    fn stored(placebo_count: usize, days_ago: i64) -> StoredCalibration {
        let mut constants = serde_json::to_value(Calibration::default()).unwrap();
        constants["placebo_count"] = placebo_count.into();
        StoredCalibration {
            constants,
            method: METHOD.into(),
            placebo_count: 50,
            claimed_count: 2,
            outside_count: 3,
            claimed_probabilities: vec![0.9, 0.95],
            computed_at: now() - TimeDelta::days(days_ago),
        }
    }

    #[test]
    fn the_others_are_told_only_around_placebos_that_are_asked() {
        let series = series();
        let [learn, tell] = [PlaceboPurpose::Learn, PlaceboPurpose::Tell].map(|purpose| sampled(&series, purpose));
        let told = |stored: Option<&StoredCalibration>| Due::of(stored, &series, now()).placebos(&series);
        let all = [learn.clone(), tell.clone()].concat();
        assert!(learn.len() > 10 && tell.len() > 10, "{all:?}");
        // A placebo of the last two days that can be asked stands in for a release; no other one does.
        let stand_in = |days: &[PlaceboDay]| -> Vec<PlaceboDay> {
            days.iter().filter(|(_, day)| *day + Days::new(15) >= series[0].history.complete_to).copied().collect()
        };
        assert!(stand_in(&all).len() <= 1);
        assert_eq!(told(None), all, "nothing was learnt yet");
        assert_eq!(told(Some(&stored(1000, 6))), stand_in(&all), "what was learnt stands");
        assert_eq!(told(Some(&stored(1000, 8))), [stand_in(&learn), tell.clone()].concat(), "how often is asked anew");
        assert_eq!(told(Some(&stored(2, 6))), all, "there are many more placebos");
        let of_another = StoredCalibration { method: "impact-1".into(), ..stored(1000, 6) };
        assert_eq!(told(Some(&of_another)), all);
    }
}
