//! Billing periods and times in the names of folders.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, Utc};

/// `2026-10`.
pub(super) fn is_month(text: &str) -> bool {
    text.len() == 7 && NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").is_ok()
}

/// `20261001-20261101`.
pub(super) fn is_period(text: &str) -> bool {
    let is_day = |text: &str| text.len() == 8 && NaiveDate::parse_from_str(text, "%Y%m%d").is_ok();
    text.split_once('-').is_some_and(|(start, end)| is_day(start) && is_day(end))
}

/// The first day of `2026-10`, `20261001-20261031` or `20261001-20261101`; `None` for any other span.
pub(super) fn whole_month(text: &str) -> Option<NaiveDate> {
    if is_month(text) {
        return NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok();
    }
    let (start, end) = text.split_once('-').filter(|_| is_period(text))?;
    let start = NaiveDate::parse_from_str(start, "%Y%m%d").ok().filter(|start| start.day() == 1)?;
    let end = NaiveDate::parse_from_str(end, "%Y%m%d").ok()?;
    let next = start.checked_add_months(Months::new(1))?;
    (end == next || end.succ_opt() == Some(next)).then_some(start)
}

/// The time at the start of `2026-04-16T15:24:15.653Z-04e9e487-…`.
pub(super) fn leading_time(text: &str) -> Option<DateTime<Utc>> {
    let (time, _) = text.split_once("Z-")?;
    DateTime::parse_from_rfc3339(&format!("{time}Z")).ok().map(|time| time.to_utc())
}

/// A time as manifests write it, with or without zone.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    zoned.or_else(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|time| time.and_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_name_periods_and_times() {
        assert!(is_month("2026-10") && !is_month("2026-13") && !is_month("2026-1") && !is_month("ü026-1"));
        assert!(is_period("20261001-20261101") && !is_period("20261001") && !is_period("20261001-2026110"));
        for text in ["2026-10", "20261001-20261031", "20261001-20261101"] {
            assert_eq!(whole_month(text), "2026-10-01".parse().ok(), "{text}");
        }
        for text in ["20261001-20261007", "20261005-20261105", "20261001-20261201", "x", ""] {
            assert_eq!(whole_month(text), None, "{text}");
        }
        let time_of = leading_time("2026-04-16T15:24:15.653Z-04e9e487").unwrap();
        assert_eq!(time_of, "2026-04-16T15:24:15.653Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(leading_time("04e9e487"), None);
        assert!(time("2026-11-01T01:15:00.1234567Z").is_some() && time("2026-11-01T01:15:00").is_some());
    }
}
