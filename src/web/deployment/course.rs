//! When a deployment began and how long it took.

use super::super::context_events::duration;
use crate::store::deployment_lists::Row;
use chrono::{DateTime, TimeDelta, Utc};

/// "started 8 Nov 2026 09:00 UTC, took 2 d 0 h"; nothing where the start is not known, or the end.
pub fn course(row: &Row) -> String {
    sentence(row.started_at, row.finished_at)
}

fn sentence(start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> String {
    let Some((start, end)) = start.zip(end).filter(|(start, end)| start < end) else { return String::new() };
    let took = match end - start {
        short if short < TimeDelta::minutes(1) => "less than a minute".into(),
        length => duration(length),
    };
    format!("started {}, took {took}", start.format("%-d %b %Y %H:%M UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_and_length_are_told_where_both_ends_are_known() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().ok();
        let start = at("2026-11-08T09:00:00Z");
        let of = |end: &str| sentence(start, at(end));
        assert_eq!(of("2026-11-10T10:30:00Z"), "started 8 Nov 2026 09:00 UTC, took 2 d 1 h");
        assert_eq!(of("2026-11-08T09:25:00Z"), "started 8 Nov 2026 09:00 UTC, took 25 min");
        assert_eq!(of("2026-11-08T09:00:40Z"), "started 8 Nov 2026 09:00 UTC, took less than a minute");
        assert_eq!([of("2026-11-08T09:00:00Z"), of("")], ["", ""]);
    }
}
