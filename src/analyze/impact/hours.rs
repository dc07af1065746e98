//! In which hours of a day the cost of a service usually arises, as bills by the hour tell it. Of the day of a release it
//! says how much of the cost could have changed.

#![expect(clippy::float_arithmetic, reason = "shares of a day")]

const HOURS: usize = 24;
/// Days that say what is usual, at least: one may be like no other.
const DAYS_MIN: usize = 2;
/// The part of a day's cost that must be charged by the hour, for the hours to say something of the day.
const HOURLY_PART_MIN: f64 = 0.5;

/// What a service cost on one day, in units of the currency.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DayHours {
    /// What was charged for an hour or less, by the hour in which it began.
    pub by_hour: [f64; HOURS],
    /// What was charged for longer: nobody knows when in the day it arose.
    pub longer: f64,
}

impl DayHours {
    /// The part of each hour; `None` where most of the day is not charged by the hour.
    fn parts(&self) -> Option<[f64; HOURS]> {
        // A refund within usage is no hour's cost.
        let by_hour = self.by_hour.map(|cost| cost.max(0.0));
        let (hourly, longer) = (by_hour.iter().sum::<f64>(), self.longer.max(0.0));
        let all = hourly + longer;
        let is_told = all > 0.0 && all.is_finite() && hourly >= HOURLY_PART_MIN * all;
        // What was charged for longer ran all day, as far as anybody knows.
        is_told.then(|| by_hour.map(|cost| (cost + longer / HOURS as f64) / all))
    }
}

/// The share of a day's cost that usually arises in each hour, from days that say what is usual; they add up to 1. Each
/// day counts alike, whatever it cost. `None` where too few of them are charged by the hour.
pub fn usual_hours(days: &[DayHours]) -> Option<[f64; HOURS]> {
    let parts: Vec<[f64; HOURS]> = days.iter().filter_map(DayHours::parts).collect();
    let mean = |hour: usize| parts.iter().map(|day| day[hour]).sum::<f64>() / parts.len() as f64;
    (parts.len() >= DAYS_MIN).then(|| std::array::from_fn(mean))
}

/// The share of a day's usual cost that lies before a moment of it, where the share of the clock before it is `clock`.
/// `None` where these are no hours of a day.
pub fn usual_share_before(hours: &[f64], clock: f64) -> Option<f64> {
    if hours.len() != HOURS || !clock.is_finite() {
        return None;
    }
    let at = clock.clamp(0.0, 1.0) * HOURS as f64;
    let over = |hour: usize| (at - hour as f64).clamp(0.0, 1.0);
    let before: f64 = hours.iter().enumerate().map(|(hour, share)| share * over(hour)).sum();
    before.is_finite().then(|| before.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day that costs `job` in the hour from two on and `rest` in every other one.
    fn day(job: f64, rest: f64) -> DayHours {
        DayHours { by_hour: std::array::from_fn(|hour| if hour == 2 { job } else { rest }), longer: 0.0 }
    }

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-12
    }

    #[test]
    fn what_a_job_spent_before_a_release_lies_before_it() {
        let hours = usual_hours(&[day(77.0, 1.0), day(77.0, 1.0)]).unwrap();
        assert!(close(hours.iter().sum(), 1.0), "{hours:?}");
        let before = |clock: f64| usual_share_before(&hours, clock).unwrap();
        // Midnight, one, half past two, noon, and the end of the day.
        for (clock, expected) in [(0.0, 0.0), (1.0 / 24.0, 0.01), (2.5 / 24.0, 0.405), (0.5, 0.88), (1.0, 1.0)] {
            assert!(close(before(clock), expected), "{clock}: {}", before(clock));
        }
    }

    #[test]
    fn a_day_that_costs_the_same_in_all_hours_has_the_shares_of_the_clock() {
        let hours = usual_hours(&[day(3.0, 3.0); 4]).unwrap();
        for clock in [0.0, 0.1, 13.0 / 24.0, 0.99, 1.0] {
            assert!(close(usual_share_before(&hours, clock).unwrap(), clock), "{clock}");
        }
    }

    #[test]
    fn each_day_counts_alike() {
        let mut night = day(0.0, 0.0);
        night.by_hour[23] = 1.0;
        let hours = usual_hours(&[day(1000.0, 0.0), night]).unwrap();
        assert_eq!((hours[2], hours[23]), (0.5, 0.5));
    }

    #[test]
    fn what_is_charged_for_longer_is_spread_and_may_be_no_more_than_half() {
        let with = |longer: f64| usual_hours(&[DayHours { longer, ..day(12.0, 0.0) }; 2]);
        let hours = with(12.0).unwrap();
        assert!(close(hours[2], 0.5 + 0.5 / 24.0) && close(hours[0], 0.5 / 24.0), "{hours:?}");
        assert!(close(hours.iter().sum(), 1.0));
        assert_eq!(with(12.1), None);
    }

    #[test]
    fn too_little_says_nothing() {
        let told = day(12.0, 1.0);
        let daily = DayHours { longer: 100.0, ..day(0.0, 0.0) };
        assert_eq!(usual_hours(&[]), None);
        assert_eq!(usual_hours(&[told]), None);
        assert_eq!(usual_hours(&[told, daily, DayHours::default()]), None);
        assert_eq!(usual_hours(&[told, told, daily]), usual_hours(&[told, told]));
        assert_eq!(usual_hours(&[day(f64::NAN, 0.0), day(-5.0, 0.0), day(f64::INFINITY, 1.0)]), None);
        assert_eq!(usual_share_before(&[1.0; 23], 0.5), None);
        assert_eq!(usual_share_before(&[1.0 / 24.0; 24], f64::NAN), None);
    }
}
