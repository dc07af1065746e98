//! Answers that stand about releases of whose cost no bill tells any more: bills were taken back, or rules gave all of it to
//! others. Nothing else would ever be asked about them, so that one takes their place that says so. Pure.

use super::histories::{Key, Series};
use super::inputs::Inputs;
use crate::analyze::impact::{History, ReleaseDay, SETTLED_DAYS};
use crate::store::effects::Standing;
use chrono::{Days, NaiveDate};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A deployment, a service and an environment.
type Place = (i64, i64, i64);

#[derive(Default)]
struct Lost {
    releases: BTreeMap<NaiveDate, Vec<i64>>,
    asked_on: NaiveDate,
}

/// Histories without cost, of the releases that have an answer and are in none of those that are asked about.
pub(super) fn series<'a>(
    inputs: &Inputs,
    asked: &[Series],
    standing: impl Iterator<Item = &'a Standing>,
) -> Vec<Series> {
    let releases = asked.iter().flat_map(|one| one.history.releases.iter().map(move |release| (one.key(), release)));
    let asked: HashSet<(&Key, i64)> =
        releases.flat_map(|(key, release)| release.deployment_ids.iter().map(move |id| (key, *id))).collect();
    let mut told: HashMap<Place, Vec<&Standing>> = HashMap::new();
    for one in standing {
        told.entry((one.deployment_id, one.service_id, one.environment_id)).or_default().push(one);
    }
    let mut all: BTreeMap<Key, Lost> = BTreeMap::new();
    for release in &inputs.releases {
        let place = (release.deployment_id, release.service_id, release.environment_id);
        for one in told.get(&place).into_iter().flatten() {
            let key = Key {
                service_id: one.service_id,
                environment_id: one.environment_id,
                billing_currency: one.billing_currency.clone(),
            };
            if asked.contains(&(&key, release.deployment_id)) {
                continue;
            }
            let lost = all.entry(key).or_default();
            lost.releases.entry(release.at.date_naive()).or_default().push(release.deployment_id);
            lost.asked_on = lost.asked_on.max(one.asked_on);
        }
    }
    // Without any bill the last one that there was said how far they reached.
    let asked_on = |lost: &Lost| inputs.range.map_or(lost.asked_on, |_| inputs.complete_to);
    all.into_iter().filter_map(|(key, lost)| without_cost(key, asked_on(&lost), lost.releases)).collect()
}

// Its days are those that settled answers look at, however far bills reach: it says the same from then on.
fn without_cost(key: Key, asked_on: NaiveDate, releases: BTreeMap<NaiveDate, Vec<i64>>) -> Option<Series> {
    let (first_day, last_day) = (*releases.keys().next()?, *releases.keys().next_back()?);
    let release = |(day, deployment_ids): (NaiveDate, Vec<i64>)| ReleaseDay {
        day,
        deployment_ids,
        share_before: None,
        rollout_from: None,
    };
    let history = History {
        first_day,
        cost: Vec::new(),
        complete_to: last_day + Days::new(u64::from(SETTLED_DAYS) + 1),
        traffic: None,
        siblings: None,
        replicas: None,
        releases: releases.into_iter().map(release).collect(),
        price_events: Vec::new(),
        notes: Vec::new(),
    };
    let mut series = Series::alone(key, history);
    series.lost_on = Some(asked_on);
    Some(series)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::focus::DateRange;
    use crate::store::impact_series::LiveRelease;

    fn day(index: u64) -> NaiveDate {
        "2026-01-01".parse::<NaiveDate>().unwrap() + Days::new(index)
    }

    fn release(deployment_id: i64, index: u64) -> LiveRelease {
        LiveRelease {
            deployment_id,
            service_id: 1,
            environment_id: 7,
            at: day(index).and_hms_opt(12, 0, 0).unwrap().and_utc(),
            began_at: None,
            time_is_received: false,
            is_rollback: false,
            went_back_to: None,
        }
    }

    fn standing(deployment_id: i64, currency: &str) -> Standing {
        Standing {
            deployment_effect_id: deployment_id,
            deployment_id,
            service_id: 1,
            environment_id: 7,
            billing_currency: currency.into(),
            release_date: day(0),
            asked_on: day(50 + deployment_id.unsigned_abs()),
            publication_id: 1,
            phase: "settled".into(),
            finding: "increase".into(),
            reason: "clear-effect".into(),
            days_after: 14,
            per_day: None,
            per_day_low: None,
            per_day_high: None,
            before_per_day: None,
            is_joint: false,
            fingerprint: String::new(),
            parts: String::new(),
        }
    }

    fn asked(ids: Vec<i64>) -> Series {
        let releases = BTreeMap::from([(day(0), ids)]);
        let key = Key { service_id: 1, environment_id: 7, billing_currency: "USD".into() };
        without_cost(key, day(0), releases).unwrap()
    }

    #[test]
    fn what_has_an_answer_and_is_not_asked_about_is_lost() {
        let mut inputs = Inputs {
            range: DateRange::new(day(0), day(90)),
            complete_to: day(89),
            // Of the last one there was never an answer.
            releases: vec![release(1, 3), release(2, 3), release(3, 40), release(4, 50)],
            ..Inputs::default()
        };
        // Of 9 it is not known any more that it went live here.
        let told = [standing(1, "USD"), standing(2, "USD"), standing(2, "EUR"), standing(3, "USD"), standing(9, "USD")];
        type Lost = (String, Option<NaiveDate>, Vec<(NaiveDate, Vec<i64>)>);
        let lost = |inputs: &Inputs, known: Vec<i64>| -> Vec<Lost> {
            let all = series(inputs, &[asked(known)], told.iter());
            let days = |one: &Series| {
                one.history.releases.iter().map(|release| (release.day, release.deployment_ids.clone())).collect()
            };
            all.iter().map(|one| (one.key.billing_currency.clone(), one.lost_on, days(one))).collect()
        };
        let euros = |on: u64| ("EUR".to_owned(), Some(day(on)), vec![(day(3), vec![2])]);
        assert_eq!(lost(&inputs, vec![1, 2, 3, 4]), [euros(89)], "another currency has cost");
        let dollars = |on: u64| ("USD".to_owned(), Some(day(on)), vec![(day(3), vec![1, 2]), (day(40), vec![3])]);
        assert_eq!(lost(&inputs, Vec::new()), [euros(89), dollars(89)]);
        inputs.range = None;
        assert_eq!(lost(&inputs, Vec::new()), [euros(52), dollars(53)], "without bills, as far as they reached");
    }
}
