//! Releases that are still measured when a forecast is made: its level does not start anew at them.

use super::{Asked, Series, Subject};
use crate::analyze::impact::SETTLED_DAYS;
use bigdecimal::BigDecimal;
use chrono::{Days, NaiveDate};

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
    /// The releases whose answers claim a change and are provisional. What was so at an earlier time nobody knows now.
    pub fn measured(&self, subject: &Subject, asked: &Asked) -> Measured {
        let mut measured = Measured::default();
        if asked.is_hindcast {
            return measured;
        }
        for key in self.keys(subject) {
            let last = self.settled_to(key.0, asked);
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
    fn settled_to(&self, service_id: i64, asked: &Asked) -> NaiveDate {
        let late = self.known_days.missing_since(service_id).map(|since| since - Days::new(1));
        let known_to = late.map_or(asked.complete_to, |late| late.min(asked.complete_to));
        known_to - Days::new(u64::from(SETTLED_DAYS))
    }
}
