//! Fees of the calendar: taxes, credits and other charges that are no usage.

use super::{Asked, Horizon, Key, OtherDay, Series, Subject};
use chrono::{Datelike, Days, Months, NaiveDate};
use std::collections::BTreeMap;

/// Whole months whose fees say what a month brings.
const FEE_MONTHS: u32 = 3;

impl Series {
    /// Taxes, credits and other fees that the days after the last complete one bring, as they came in the last months: those
    /// of the rest of this month by the day of the month, then those of whole months. Each service's own add up.
    pub(super) fn fees(&self, subject: &Subject, asked: &Asked) -> f64 {
        let next = asked.complete_to + Days::new(1);
        let month = Horizon::Month.first_day(next);
        let whole_months =
            (asked.last_day.year() - month.year()) * 12 + asked.last_day.month() as i32 - month.month() as i32;
        if whole_months < 0 {
            return 0.0;
        }
        let of_service = |key: Key| {
            let Some(days) = self.other.get(&key) else { return 0.0 };
            // Months before it cost anything say nothing, nor do those whose bill is missing.
            let first_place = self.usage[&key].iter().position(Option::is_some).unwrap_or_default();
            let begins = self.range.start() + Days::new(first_place as u64);
            let tells = |first: &NaiveDate| *first >= begins && self.known_days.is_known(key.0, &key.1, *first);
            let earlier: Vec<NaiveDate> =
                (1..=FEE_MONTHS).map(|back| month - Months::new(back)).filter(tells).collect();
            recurring(days, &earlier, next) + f64::from(whole_months) * recurring(days, &earlier, month)
        };
        self.keys(subject).map(of_service).sum()
    }
}

/// What comes from a day of its month on, by what came in these months: of each category what is usual.
fn recurring(days: &[OtherDay], months: &[NaiveDate], from: NaiveDate) -> f64 {
    let mut categories: BTreeMap<&str, Vec<&OtherDay>> = BTreeMap::new();
    for day in days {
        categories.entry(&day.charge_category).or_default().push(day);
    }
    let of_category = |(category, days): (&str, Vec<&OtherDay>)| {
        let sums = months.iter().filter_map(|month| rest_of(&days, *month, from)).collect();
        usual(category, sums)
    };
    categories.into_iter().map(of_category).sum()
}

/// What one category brought in an earlier month from the same day of the month on. A month that ends before that day has
/// its last day instead, so that what comes on the last of every month is found; where this month has had a charge by now
/// on such a day, a charge on it may be the same and not one of the last day, and the earlier month says nothing.
fn rest_of(days: &[&OtherDay], month: NaiveDate, from: NaiveDate) -> Option<f64> {
    let last_day = (month + Months::new(1) - Days::new(1)).day();
    let first_day = from.day().min(last_day);
    let has_come = |day: &&OtherDay| {
        let is_this_month = Horizon::Month.first_day(day.charge_date) == Horizon::Month.first_day(from);
        is_this_month && day.charge_date < from && day.charge_date.day() >= last_day
    };
    if from.day() > last_day && days.iter().any(has_come) {
        return None;
    }
    let is_rest =
        |day: &&&OtherDay| Horizon::Month.first_day(day.charge_date) == month && day.charge_date.day() >= first_day;
    Some(days.iter().filter(is_rest).map(|day| day.cost).sum())
}

/// The median of three months, so that what came in one of them, such as a credit, does not come again. Of two months it is
/// the lesser, where both have it; one month tells of taxes only.
fn usual(charge_category: &str, mut sums: Vec<f64>) -> f64 {
    sums.sort_unstable_by(f64::total_cmp);
    match sums[..] {
        [_, middle, _] => middle,
        [less, _] if less > 0.0 => less,
        [_, less] if less < 0.0 => less,
        [only] if charge_category == "Tax" => only,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(all: &[(&str, &str, f64)]) -> Vec<OtherDay> {
        let day = |(date, category, cost): &(&str, &str, f64)| OtherDay {
            charge_date: date.parse().unwrap(),
            charge_category: (*category).to_owned(),
            cost: *cost,
        };
        all.iter().map(day).collect()
    }

    fn rest(all: &[(&str, &str, f64)], months: &[&str], from: &str) -> f64 {
        let months: Vec<NaiveDate> = months.iter().map(|month| month.parse().unwrap()).collect();
        recurring(&days(all), &months, from.parse().unwrap())
    }

    #[test]
    fn the_last_day_of_a_month_brings_its_tax_although_earlier_months_are_shorter() {
        let taxes = [
            ("2026-01-31", "Tax", 30.0),
            ("2026-02-28", "Tax", 28.0),
            ("2026-03-31", "Tax", 31.0),
            ("2026-04-30", "Tax", 29.0),
        ];
        let may = ["2026-04-01", "2026-03-01", "2026-02-01"];
        assert_eq!(rest(&taxes, &may, "2026-05-31"), 29.0);
        assert_eq!(rest(&taxes, &may, "2026-05-30"), 29.0);
        assert_eq!(rest(&taxes, &may[..1], "2026-05-31"), 29.0, "of one month the tax");
        assert_eq!(rest(&taxes, &["2026-03-01", "2026-02-01", "2026-01-01"], "2026-04-30"), 30.0);
        assert_eq!(rest(&taxes, &["2026-02-01", "2026-01-01"], "2026-03-30"), 28.0, "the lesser of two");
    }

    #[test]
    fn a_fee_of_the_thirtieth_that_has_come_does_not_come_again_on_the_last_day() {
        let fees = [
            ("2026-02-28", "Purchase", 7.0),
            ("2026-03-30", "Purchase", 7.0),
            ("2026-04-30", "Purchase", 7.0),
            ("2026-05-30", "Purchase", 7.0),
        ];
        let may = ["2026-04-01", "2026-03-01", "2026-02-01"];
        assert_eq!(rest(&fees, &may, "2026-05-31"), 0.0);
        assert_eq!(rest(&fees[..3], &may, "2026-05-30"), 7.0, "it has not come");
    }
}
