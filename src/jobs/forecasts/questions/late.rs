//! Days that are not complete: whose bill is late, and what bills show of them.

use super::{Asked, Key, Series, Subject};
use crate::analyze::forecast::widening;
use crate::focus::DateRange;
use chrono::{Days, NaiveDate};

impl Series {
    /// The first day that is not known of a service, where it comes before the question.
    pub(super) fn late_from(&self, key: &Key, asked: &Asked) -> Option<NaiveDate> {
        self.known_days.missing_since(key.0, &key.1).filter(|from| *from <= asked.complete_to)
    }

    /// Usage that other bills show of a service on the complete days asked whose bill is late.
    pub(super) fn shown(&self, key: &Key, asked: &Asked) -> f64 {
        let Some((from, days)) = self.late_from(key, asked).zip(self.shown.get(key)) else { return 0.0 };
        let (from, end) = (self.place(from.max(asked.first_day)), self.place(asked.complete_to) + 1);
        days.get(from..end.min(days.len())).map_or(0.0, |days| days.iter().flatten().sum())
    }

    /// Days after the last complete one that bills show in part; nothing where a source does not know how it arrives.
    pub(super) fn visible_shares(&self, complete_to: NaiveDate) -> Vec<f64> {
        let Some(newest) = self.newest_bill else { return Vec::new() };
        let days = (complete_to + Days::new(1)).iter_days().take_while(|day| *day < self.range.end());
        let share = |day: NaiveDate| {
            let age = (newest - day).num_days();
            self.shares.iter().find(|one| i64::from(one.age_days) == age).map(|one| one.share)
        };
        days.map_while(share).map(|share| share.clamp(0.0, 1.0)).collect()
    }

    /// Whether a bill that makes a material part of a service in the scope is late on some of these days: what came then
    /// is not known.
    pub(in crate::jobs::forecasts) fn is_late(&self, subject: &Subject, days: DateRange) -> bool {
        let from = |key: Key| self.known_days.missing_since(key.0, &key.1);
        self.keys(subject).filter_map(from).any(|from| from < days.end())
    }

    /// By how much intervals of a kind are widened because earlier ones held less than they were meant to: as the record
    /// says of this scope and horizon, else of this horizon, else of all, where it says anything.
    pub(in crate::jobs::forecasts) fn widening(&self, scope: &str, asked: &Asked) -> f64 {
        // Who asked then did not know what came.
        if asked.is_hindcast {
            return 1.0;
        }
        let of = |is_of: &dyn Fn(&str, &str) -> bool| -> Vec<f64> {
            let all = self.record.iter().filter(|score| is_of(&score.scope, &score.horizon));
            all.map(|score| score.score).collect()
        };
        let horizon = asked.horizon.key();
        let kinds = [
            of(&|one_scope, one_horizon| one_scope == scope && one_horizon == horizon),
            of(&|_, one_horizon| one_horizon == horizon),
            of(&|_, _| true),
        ];
        let enough = kinds.iter().find(|scores| scores.len() >= crate::analyze::forecast::RECORD_MIN);
        enough.map_or(1.0, |scores| widening(scores))
    }
}
