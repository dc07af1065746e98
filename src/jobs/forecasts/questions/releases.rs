//! Releases whose answers claim a change when a forecast is made: its level starts anew at those that have settled, and not
//! at those that are still measured.

use super::{Asked, Key, Series, Subject};
use crate::analyze::forecast::RESTART_DAYS;
use crate::analyze::impact::SETTLED_DAYS;
use crate::store::forecast_series::ClaimedChange;
use bigdecimal::BigDecimal;
use chrono::{Days, NaiveDate};
use std::collections::BTreeSet;

/// Releases that are still measured. Units of the currency a day.
#[derive(Debug, Default, PartialEq)]
pub(in crate::jobs::forecasts) struct Measured {
    pub count: usize,
    /// What those that raise cost add.
    pub up: BigDecimal,
    /// What those that lower it take away: zero or less.
    pub down: BigDecimal,
}

impl Series {
    /// The days at which the level of a service starts anew.
    pub(super) fn restarts(&self, key: &Key, asked: &Asked) -> Vec<NaiveDate> {
        let days: BTreeSet<NaiveDate> = self.settled(key, asked).map(|one| one.effect_date).collect();
        days.into_iter().collect()
    }

    /// How many releases these are, as far back as one matters: one of several services is one, and so are several that
    /// share an answer.
    pub fn restart_count(&self, subject: &Subject, asked: &Asked) -> usize {
        let first = asked.complete_to - Days::new(RESTART_DAYS as u64);
        let mut deployment_ids = BTreeSet::new();
        for key in self.keys(subject) {
            let own = self.settled(&key, asked).filter(|one| one.effect_date >= first);
            deployment_ids.extend(own.map(|one| one.deployment_id));
        }
        deployment_ids.len()
    }

    // Those that have settled, and had so when it is asked.
    fn settled(&self, key: &Key, asked: &Asked) -> impl Iterator<Item = &ClaimedChange> {
        let last = asked.complete_to - Days::new(u64::from(SETTLED_DAYS));
        self.changes_of(key).filter(move |one| one.is_accepted && one.effect_date <= last)
    }

    fn changes_of(&self, (service_id, currency): &Key) -> impl Iterator<Item = &ClaimedChange> {
        self.changes.iter().filter(move |one| one.service_id == *service_id && one.billing_currency == *currency)
    }

    /// The releases whose answers claim a change and are provisional. What was so at an earlier time nobody knows now.
    pub fn measured(&self, subject: &Subject, asked: &Asked) -> Measured {
        let mut measured = Measured::default();
        if asked.is_hindcast {
            return measured;
        }
        for key in self.keys(subject) {
            let last = self.settled_to(&key, asked);
            for one in self.changes_of(&key).filter(|one| !one.is_accepted && one.effect_date > last) {
                measured.count += 1;
                *(if one.per_day > BigDecimal::default() { &mut measured.up } else { &mut measured.down }) +=
                    &one.per_day;
            }
        }
        measured
    }

    // The last day whose releases have all days that are asked after them. An answer about one of them that is provisional
    // still is asked no more: its deployment failed after all, or was nothing new.
    fn settled_to(&self, (service_id, currency): &Key, asked: &Asked) -> NaiveDate {
        let late = self.known_days.missing_since(*service_id, currency).map(|since| since - Days::new(1));
        let known_to = late.map_or(asked.complete_to, |late| late.min(asked.complete_to));
        known_to - Days::new(u64::from(SETTLED_DAYS))
    }
}
