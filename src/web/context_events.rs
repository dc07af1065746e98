//! Operational events on charts and in lists: what else happened beside deployments and cost.

use super::charts::{Buckets, Event};
use super::deployment::safe_url;
use crate::focus::DateRange;
use crate::store::operational_events::{self, Filter, Listed};
use chrono::{NaiveTime, TimeDelta};
use sqlx::PgConnection;

/// Shown on one chart; more are counted and said.
const EVENT_COUNT_MAX: i64 = 10_000;
/// Listed below it.
const ROW_COUNT_MAX: usize = 50;

/// A row of the list.
#[derive(Debug, Clone)]
pub struct ContextRow {
    /// `Orders fail`.
    pub title: String,
    /// The address of its page at the sender, or nothing.
    pub href: String,
    /// `3 Mar 10:00`.
    pub at: String,
    /// `incident, resolved after 12 min, production, told by pagerduty`.
    pub details: String,
}

/// The operational events of services in some days.
#[derive(Debug, Clone, Default)]
pub struct ContextEvents {
    listed: Vec<Listed>,
}

impl ContextEvents {
    /// Reads those of these services, in this environment or in none that is known.
    pub async fn read(
        conn: &mut PgConnection,
        service_ids: &[i64],
        environment_id: Option<i64>,
        days: DateRange,
    ) -> sqlx::Result<Self> {
        if service_ids.is_empty() {
            return Ok(Self::default());
        }
        let (from, until) =
            (days.start().and_time(NaiveTime::MIN).and_utc(), days.end().and_time(NaiveTime::MIN).and_utc());
        let filter = Filter { service_ids, environment_id, from, until };
        Ok(Self { listed: operational_events::list(conn, &filter, EVENT_COUNT_MAX).await? })
    }

    /// Marks for the lane below a chart, in order of time. All lead to the list.
    pub fn on_chart(&self, buckets: &Buckets, list_href: &str) -> Vec<Event> {
        let event = |one: &Listed| {
            Some(Event {
                index: buckets.index_of(one.started_at.date_naive())?,
                href: list_href.to_owned(),
                label: format!("{}, {}: {}", one.started_at.format("%-d %b %H:%M"), one.kind_in_words(), one.title),
            })
        };
        self.listed.iter().rev().filter_map(event).collect()
    }

    /// The newest, as a list.
    pub fn rows(&self) -> Vec<ContextRow> {
        self.listed.iter().take(ROW_COUNT_MAX).map(row).collect()
    }

    /// What the list leaves out, in a sentence; empty where it leaves out nothing.
    pub fn note(&self) -> String {
        match self.listed.len() {
            count if count > ROW_COUNT_MAX => format!("The newest {ROW_COUNT_MAX} of {count} are listed."),
            _ => String::new(),
        }
    }
}

fn row(one: &Listed) -> ContextRow {
    let mut details = vec![one.kind_in_words().to_owned()];
    details.extend(one.severity.clone());
    details.push(match one.ended_at {
        None => format!("{}, not over", one.status.replace('_', " ")),
        Some(end) if end - one.started_at < TimeDelta::minutes(1) => one.status.replace('_', " "),
        Some(end) => format!("{} after {}", one.status.replace('_', " "), duration(end - one.started_at)),
    });
    details.push(one.environment_name.clone().unwrap_or_else(|| "any environment".into()));
    details.push(format!("told by {}", one.source_name));
    if one.time_is_received {
        details.push("time of receipt".into());
    }
    ContextRow {
        title: one.title.clone(),
        href: safe_url(one.url.as_deref()).unwrap_or_default().to_owned(),
        at: one.started_at.format("%-d %b %H:%M").to_string(),
        details: details.join(", "),
    }
}

fn duration(length: TimeDelta) -> String {
    match (length.num_days(), length.num_hours(), length.num_minutes()) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes - hours * 60),
        (days, hours, _) => format!("{days} d {} h", hours - days * 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_durations() {
        assert_eq!(duration(TimeDelta::minutes(12)), "12 min");
        assert_eq!(duration(TimeDelta::minutes(125)), "2 h 5 min");
        assert_eq!(duration(TimeDelta::hours(49)), "2 d 1 h");
    }
}
