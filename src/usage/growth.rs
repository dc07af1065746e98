//! What a value of a series adds to what is known of it.

use bigdecimal::BigDecimal;
use chrono::{DateTime, Duration, Utc};

/// Growth of a series that was not seen before counts only where it began to count no longer ago than this: else it is
/// spread over days that nobody knows.
const FIRST_AGE_MAX: Duration = Duration::hours(1);
/// Values of a series that are remembered: of one that says what is new, 5 minutes of every ten seconds, for as long
/// as an exporter tries again; of a running count, the last one of each process that counts.
const RECENT_MAX: usize = 32;

/// The value of a series that came last.
#[derive(Debug, Clone, PartialEq)]
pub struct LastValue {
    /// Since when it counted, where its sender says so.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was measured.
    pub at: DateTime<Utc>,
    /// How much it was.
    pub value: BigDecimal,
}

/// What a value of a running count adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Growth {
    /// So much.
    Added(BigDecimal),
    /// Nothing yet: the next one is counted from it.
    Baseline,
    /// It came before. Of a count that runs, a later one that holds it did.
    Repeated,
    /// It is older than all that is remembered: whether it came before cannot be told.
    TooLate,
}

/// The last values of a series, the oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recent(Vec<LastValue>);

impl Recent {
    /// Those that were kept, in any order.
    pub fn of(mut values: Vec<LastValue>) -> Self {
        values.sort_by_key(|one| one.at);
        Self(values)
    }

    /// All of them, the oldest first.
    pub fn values(&self) -> &[LastValue] {
        &self.0
    }

    /// What was counted since the last value, or is measured now: all of it is new, unless it came before.
    pub fn add(&mut self, now: &LastValue) -> Growth {
        if self.0.iter().any(|one| (one.started_at, one.at) == (now.started_at, now.at)) {
            return Growth::Repeated;
        }
        if self.0.len() >= RECENT_MAX && self.0.first().is_some_and(|oldest| now.at < oldest.at) {
            return Growth::TooLate;
        }
        // It is known by its times; how much it was is never asked again.
        self.keep(LastValue { value: BigDecimal::from(0), ..now.clone() });
        Growth::Added(now.value.clone())
    }

    /// What a count that runs from its start has grown by. Processes that began at different times and count at the
    /// same time are told apart by that, although nothing else tells them apart; where no start is told, they are
    /// not.
    pub fn count(&mut self, now: &LastValue) -> Growth {
        let own = self.0.iter().position(|one| one.started_at == now.started_at);
        let last = own.map_or(self.0.last(), |at| Some(&self.0[at]));
        let runs_beside = last.is_some_and(|last| {
            let began = now.started_at.filter(|_| last.started_at.is_some());
            own.is_none() && began.is_some_and(|began| began < last.at)
        });
        let grown = growth(last.filter(|_| !runs_beside), now);
        if grown != Growth::Repeated {
            if let Some(at) = own {
                self.0.remove(at);
            }
            self.keep(now.clone());
        }
        grown
    }

    fn keep(&mut self, value: LastValue) {
        let place = self.0.partition_point(|one| one.at <= value.at);
        self.0.insert(place, value);
        if self.0.len() > RECENT_MAX {
            self.0.remove(0);
        }
    }
}

/// How much a count that runs from its start has grown since the last value. Where it began anew (another start, or
/// less than before), all of it is growth.
fn growth(last: Option<&LastValue>, now: &LastValue) -> Growth {
    let Some(last) = last else {
        let is_young = now.started_at.is_some_and(|started| started <= now.at && now.at - started <= FIRST_AGE_MAX);
        return if is_young { Growth::Added(now.value.clone()) } else { Growth::Baseline };
    };
    if now.at <= last.at {
        return Growth::Repeated;
    }
    let began_anew = matches!((now.started_at, last.started_at), (Some(now), Some(last)) if now > last);
    if began_anew || now.value < last.value {
        return Growth::Added(now.value.clone());
    }
    Growth::Added(&now.value - &last.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(minute: i64) -> DateTime<Utc> {
        "2026-10-31T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + Duration::minutes(minute)
    }

    fn value(started: Option<i64>, minute: i64, value: u64) -> LastValue {
        LastValue { started_at: started.map(at), at: at(minute), value: value.into() }
    }

    fn added(value: u64) -> Growth {
        Growth::Added(value.into())
    }

    #[test]
    fn growth_is_counted_through_restarts() {
        assert_eq!(growth(None, &value(Some(0), 1, 5)), added(5), "it has just begun");
        assert_eq!(growth(None, &value(Some(0), 600, 5)), Growth::Baseline, "most of it was long ago");
        assert_eq!(growth(None, &value(None, 1, 5)), Growth::Baseline);
        let last = value(Some(0), 10, 100);
        assert_eq!(growth(Some(&last), &value(Some(0), 11, 130)), added(30));
        assert_eq!(growth(Some(&last), &value(Some(0), 10, 130)), Growth::Repeated);
        assert_eq!(growth(Some(&last), &value(Some(0), 9, 90)), Growth::Repeated, "late");
        assert_eq!(growth(Some(&last), &value(Some(0), 11, 7)), added(7), "less than before");
        assert_eq!(growth(Some(&last), &value(Some(11), 12, 140)), added(140), "another start");
        assert_eq!(growth(Some(&value(None, 10, 100)), &value(None, 11, 7)), added(7));
    }

    #[test]
    fn what_comes_late_counts_once() {
        let mut recent = Recent::default();
        let delta = |minute: i64| value(Some(minute - 1), minute, 3);
        for (minute, expected) in [(2, added(3)), (1, added(3)), (2, Growth::Repeated), (1, Growth::Repeated)] {
            assert_eq!(recent.add(&delta(minute)), expected, "{minute}");
        }
        assert_eq!(recent.add(&value(None, 2, 4)), added(4), "another one of the same time");
        for minute in 100..100 + RECENT_MAX as i64 {
            assert_eq!(recent.add(&delta(minute)), added(3));
        }
        assert_eq!((recent.add(&delta(100)), recent.values().len()), (Growth::Repeated, RECENT_MAX));
        assert_eq!(recent.add(&delta(99)), Growth::TooLate);
    }

    #[test]
    fn processes_that_count_at_the_same_time_are_told_apart_by_their_starts() {
        let mut recent = Recent::default();
        let steps = [
            (Some(0), 1, 100, added(100)),
            // Another one began while the first one counts.
            (Some(1), 2, 10, added(10)),
            (Some(0), 2, 150, added(50)),
            (Some(1), 3, 15, added(5)),
            (Some(0), 3, 150, added(0)),
            (Some(0), 2, 150, Growth::Repeated),
            // One that counts since long ago is seen for the first time.
            (Some(-600), 4, 9000, Growth::Baseline),
            (Some(-600), 5, 9001, added(1)),
            // One that began after all that is known began anew, however long ago that was.
            (Some(6), 600, 7, added(7)),
            // Without a start nothing tells them apart.
            (None, 601, 8, added(1)),
        ];
        for (started, minute, amount, expected) in steps {
            assert_eq!(recent.count(&value(started, minute, amount)), expected, "{started:?} {minute}");
        }
    }

    proptest! {
        /// However often a process restarts and a value comes twice, the growth is what was counted.
        #[test]
        fn nothing_is_lost_or_counted_twice(steps in prop::collection::vec((0u64..1000, prop::bool::weighted(0.2), prop::bool::weighted(0.3)), 1..60)) {
            let (mut recent, mut total) = (Recent::default(), BigDecimal::from(0));
            let (mut counted, mut running, mut started) = (0u64, 0u64, 0);
            for (minute, (step, restarts, repeats)) in steps.into_iter().enumerate() {
                let minute = minute as i64 + 1;
                if restarts {
                    (running, started) = (0, minute - 1);
                }
                running += step;
                counted += step;
                let now = value(Some(started), minute, running);
                for _ in 0..=usize::from(repeats) {
                    if let Growth::Added(more) = recent.count(&now) {
                        total += more;
                    }
                }
            }
            prop_assert_eq!(total, BigDecimal::from(counted));
        }
    }
}
