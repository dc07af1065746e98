use bigdecimal::BigDecimal;
use chrono::{DateTime, Duration, Utc};

/// Growth of a series that was not seen before counts only where it began to count no longer ago than this: else it is
/// spread over days that nobody knows.
const FIRST_AGE_MAX: Duration = Duration::hours(1);

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
    /// It came before, or an other one of a later time did.
    Repeated,
}

/// How much a count that runs from its start has grown since the last value. Where it began anew (another start, or
/// less than before), all of it is growth.
pub fn growth(last: Option<&LastValue>, now: &LastValue) -> Growth {
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

    proptest! {
        /// However often a process restarts and a value comes twice, the growth is what was counted.
        #[test]
        fn nothing_is_lost_or_counted_twice(steps in prop::collection::vec((0u64..1000, prop::bool::weighted(0.2), prop::bool::weighted(0.3)), 1..60)) {
            let (mut last, mut total, mut counted, mut running, mut started) = (None, BigDecimal::from(0), 0u64, 0u64, 0);
            for (minute, (step, restarts, repeats)) in steps.into_iter().enumerate() {
                let minute = minute as i64 + 1;
                if restarts {
                    (running, started) = (0, minute - 1);
                }
                running += step;
                counted += step;
                let now = value(Some(started), minute, running);
                for _ in 0..=usize::from(repeats) {
                    if let Growth::Added(more) = growth(last.as_ref(), &now) {
                        total += more;
                    }
                    last = Some(now.clone());
                }
            }
            prop_assert_eq!(total, BigDecimal::from(counted));
        }
    }
}
