//! Days that are not complete: whose bill is late, and what bills show of them.

use super::{Asked, Key, Series, Subject};
use crate::analyze::forecast::{NOWCAST_SHARE_MIN, widening};
use crate::focus::DateRange;
use crate::store::forecast_series;
use chrono::{Days, NaiveDate};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Days that say whose bills make a scope.
const WEIGHED_DAYS: u32 = 28;

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

    /// Reads whose bills make the usage of each service, and how much of a day those show at an age.
    pub(super) async fn read_arrival(&mut self, conn: &mut PgConnection, complete_to: NaiveDate) -> sqlx::Result<()> {
        let shares = forecast_series::visible_shares(&mut *conn).await?;
        self.visible_shares = shares.iter().map(|one| ((one.source_id, i64::from(one.age_days)), one.share)).collect();
        for one in forecast_series::billed_usage(conn, DateRange::days_to(complete_to, WEIGHED_DAYS)).await? {
            self.billed.entry((one.service_id, one.billing_currency.clone())).or_default().push(one);
        }
        Ok(())
    }

    /// What bills show of the days after the last complete one, up to the first that one of those which make the scope does
    /// not show nearly whole, by its own age: what it lacks of that day is forecast, with all others. Each weighs what it
    /// makes of the scope. Services whose bill is late have no such days anyway.
    pub(super) fn visible_shares(&self, subject: &Subject, asked: &Asked) -> Vec<f64> {
        let mut weights: BTreeMap<(i64, NaiveDate), f64> = BTreeMap::new();
        for key in self.keys(subject).filter(|key| self.late_from(key, asked).is_none()) {
            for one in self.billed.get(&key).into_iter().flatten().filter(|one| one.cost > 0.0) {
                *weights.entry((one.source_id, one.newest_bill)).or_default() += one.cost;
            }
        }
        if weights.is_empty() {
            return Vec::new();
        }
        let all: f64 = weights.values().sum();
        let share = |day: NaiveDate| {
            let mut visible = 0.0;
            for ((source_id, newest_bill), cost) in &weights {
                let age = (*newest_bill - day).num_days();
                let share = self.visible_shares.get(&(*source_id, age))?;
                if *share < NOWCAST_SHARE_MIN {
                    return None;
                }
                visible += cost * share.min(1.0);
            }
            Some(visible / all)
        };
        let days = (asked.complete_to + Days::new(1)).iter_days().take_while(|day| *day < self.range.end());
        days.map_while(share).collect()
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

#[cfg(test)]
mod tests {
    use super::super::tests::{day, series};
    use super::super::{Asked, Horizon};
    use crate::store::forecast_series::BilledUsage;

    #[test]
    fn a_day_is_as_old_as_the_bills_of_the_scope_are() {
        let mut series = series("2026-08-01");
        series.usage.insert((8, "USD".to_owned()), vec![Some(1.0); 112]);
        for source_id in [1, 2] {
            let curve = [(0, 0.1), (1, 0.5), (2, 0.93), (3, 0.99), (4, 1.0), (5, 1.02)];
            series.visible_shares.extend(curve.map(|(age, share)| ((source_id, age), share)));
        }
        let billed = |service_id, source_id, newest_bill: &str, cost| BilledUsage {
            service_id,
            billing_currency: "USD".into(),
            source_id,
            newest_bill: day(newest_bill),
            cost,
        };
        let mut shares = |of_seven: Vec<BilledUsage>, of_eight: Vec<BilledUsage>| -> Vec<Vec<f64>> {
            series.billed = [((7, "USD".to_owned()), of_seven), ((8, "USD".to_owned()), of_eight)].into();
            let asked = Asked::now(Horizon::Month, day("2026-11-16"));
            let subjects = ["service", "total"].into_iter().flat_map(|scope| series.subjects(scope));
            subjects.map(|subject| series.visible_shares(&subject, &asked)).collect()
        };
        let one = billed(7, 1, "2026-11-20", 300.0);
        // Of the other the day before the newest is two days old only, and the next one half there.
        let both = (0.99 * 300.0 + 0.93 * 100.0) / 400.0;
        let answers = shares(vec![one.clone()], vec![billed(8, 2, "2026-11-19", 100.0)]);
        assert_eq!(answers, [vec![0.99, 0.93], vec![0.93], vec![both]]);
        // Two days behind it shows nothing of the first day that is nearly there of the first.
        let answers = shares(vec![one.clone()], vec![billed(8, 2, "2026-11-18", 100.0)]);
        assert_eq!(answers, [vec![0.99, 0.93], Vec::new(), Vec::new()]);
        // A service of both.
        let answers = shares(vec![one.clone(), billed(7, 2, "2026-11-19", 100.0)], Vec::new());
        assert_eq!(answers, [vec![both], Vec::new(), vec![both]]);
        let unknown = shares(vec![one, billed(7, 3, "2026-11-20", 1.0)], Vec::new());
        assert_eq!(unknown[0], [0.0; 0], "of a source that has not learnt how its days arrive nothing is known");
    }
}
