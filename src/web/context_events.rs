//! Operational events on charts and in lists: what else happened beside deployments and cost.

use super::charts::{Buckets, Event, Leads, of_days};
use super::daily::Daily;
use super::deployment::safe_url;
use super::filters::grouped;
use super::query::{DAY_COUNT_MAX, Span, VALUE_BYTES_MAX};
use crate::focus::DateRange;
use crate::store::operational_event_lists;
use crate::store::operational_events::{self, Filter, Listed};
use askama::Template;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// The list of all.
pub(super) const PATH: &str = "/events";
/// Shown on one chart.
const EVENT_COUNT_MAX: usize = 10_000;
/// Listed below it.
const ROW_COUNT_MAX: usize = 50;

/// A row of the list. Written into a template as it is.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/context_row.html")]
pub struct ContextRow {
    /// `Orders fail`.
    pub title: String,
    /// The address of its page.
    pub href: String,
    /// `3 Mar 10:00`.
    pub at: String,
    /// `incident, resolved after 12 min, production`.
    pub details: String,
    /// Its sender.
    pub told_by: ToldBy,
}

impl askama::filters::HtmlSafe for ContextRow {}

/// `told by pagerduty`, which leads to its page there. Written into a template as it is.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/told_by.html")]
pub struct ToldBy {
    source: String,
    /// The address of its page at the sender, or nothing.
    href: String,
}

impl askama::filters::HtmlSafe for ToldBy {}

/// Whose events: of services, in an environment or in none that is known.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// The services; of any and of none where nothing is given.
    pub service_ids: Option<&'a [i64]>,
    /// Their addresses.
    pub service_slugs: &'a [&'a str],
    /// The environment; any where none is given.
    pub environment_id: Option<i64>,
    /// Its address; empty where none is given.
    pub environment_slug: &'a str,
}

impl Whose<'_> {
    // The list of theirs, without its days. More services than an address takes are all services.
    fn list_href(&self) -> String {
        let services = self.service_slugs.join(",");
        let services = if services.len() > VALUE_BYTES_MAX { "" } else { services.as_str() };
        let pairs = [("service", services), ("env", self.environment_slug)];
        let pairs: Vec<(&str, &str)> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let query = serde_urlencoded::to_string(&pairs).unwrap_or_default();
        if query.is_empty() { PATH.to_owned() } else { format!("{PATH}?{query}") }
    }
}

/// The list below the charts of a page. Written into a template as it is; nothing where there are none.
#[derive(Debug, Clone, Default, Template)]
#[template(path = "partials/context.html")]
pub struct ContextSection {
    rows: Vec<ContextRow>,
    note: String,
    href: String,
    /// "the services of this team".
    whose: &'static str,
}

impl askama::filters::HtmlSafe for ContextSection {}

/// The operational events of services in some days.
#[derive(Debug, Clone, Default)]
pub struct ContextEvents {
    listed: Vec<Listed>,
    /// There are older ones that are not read.
    is_cut: bool,
    list_href: String,
    days: Option<DateRange>,
}

impl ContextEvents {
    /// Reads those of these services, in this environment or in none that is known.
    pub async fn read(
        conn: &mut PgConnection,
        whose: &Whose<'_>,
        days: DateRange,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Self> {
        let Whose { service_ids, environment_id, .. } = *whose;
        if service_ids.is_some_and(<[i64]>::is_empty) {
            return Ok(Self::default());
        }
        let (from, until) =
            (days.start().and_time(NaiveTime::MIN).and_utc(), days.end().and_time(NaiveTime::MIN).and_utc());
        let filter = Filter { service_ids, environment_id, from, until, now };
        let listed = operational_events::list(conn, &filter, EVENT_COUNT_MAX as i64 + 1).await?;
        Ok(Self::of(listed, whose.list_href(), days))
    }

    /// Reads those of a team's services, in an environment or in any.
    pub async fn of_team(
        conn: &mut PgConnection,
        team_id: i64,
        (environment_id, environment_slug): (Option<i64>, &str),
        days: DateRange,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Self> {
        let services = operational_event_lists::services_of_team(&mut *conn, team_id).await?;
        let ids: Vec<i64> = services.iter().map(|one| one.service_id).collect();
        let slugs: Vec<&str> = services.iter().map(|one| one.slug.as_str()).collect();
        let service_ids = Some(ids.as_slice());
        let whose = Whose { service_ids, service_slugs: &slugs, environment_id, environment_slug };
        Self::read(conn, &whose, days, now).await
    }

    // Of one more than are shown, the oldest only says that there is one.
    fn of(mut listed: Vec<Listed>, list_href: String, days: DateRange) -> Self {
        let is_cut = listed.len() > EVENT_COUNT_MAX;
        listed.truncate(EVENT_COUNT_MAX);
        Self { listed, is_cut, list_href, days: Some(days) }
    }

    /// Marks for the lane below a chart, in order of time. Each leads to its page, several to the list of their days.
    pub fn on_chart(&self, buckets: &Buckets) -> Vec<Event> {
        let event = |one: &Listed| {
            let day = one.started_at.date_naive();
            Some(Event {
                index: buckets.index_of(day)?,
                leads: Leads::Days {
                    list_href: self.list_href.clone(),
                    day,
                    own_href: page_of(one.operational_event_id),
                },
                label: format!("{}, {}: {}", one.started_at.format("%-d %b %H:%M"), one.kind_in_words(), one.title),
            })
        };
        self.listed.iter().rev().filter_map(event).collect()
    }

    /// Charts of daily cost with these marks below their bars.
    pub fn on_charts(&self, charts: Vec<Daily>, span: &Span) -> Vec<Daily> {
        let events = self.on_chart(&Buckets::new(span.chart, span.complete_to));
        charts.into_iter().map(|chart| chart.with_events(&events, span)).collect()
    }

    /// The newest and where all of them are. `whose` is "this service".
    pub fn section(&self, whose: &'static str) -> ContextSection {
        ContextSection { rows: self.rows(), note: self.note(), href: self.href(), whose }
    }

    /// The newest, as a list.
    pub fn rows(&self) -> Vec<ContextRow> {
        self.listed.iter().take(ROW_COUNT_MAX).map(row).collect()
    }

    /// The list that has all of them, with the rules that placed them; empty where there are none.
    pub fn href(&self) -> String {
        match self.days.filter(|_| !self.listed.is_empty()) {
            // From a period long ago until today there are more days than an address takes: then of all days.
            Some(days) if i64::from(days.day_count()) > DAY_COUNT_MAX => self.list_href.clone(),
            Some(days) => of_days(&self.list_href, days.start(), days.last_day()),
            None => String::new(),
        }
    }

    /// What that list has beyond the newest, in a sentence.
    pub fn note(&self) -> String {
        match self.listed.len() {
            _ if self.is_cut => format!(
                "The chart shows the newest {}, the list {ROW_COUNT_MAX}: all of them, with the rules that placed each",
                grouped(&BigDecimal::from(EVENT_COUNT_MAX as i64), 0)
            ),
            count if count > ROW_COUNT_MAX => {
                format!("These are the newest {ROW_COUNT_MAX} of {count}: all of them, with the rules that placed each")
            }
            _ => "By which rules each was placed".into(),
        }
    }
}

/// An event in a list.
pub(super) fn row(one: &Listed) -> ContextRow {
    let mut details = vec![one.kind_in_words().to_owned()];
    details.extend(one.severity.clone());
    let status = one.status.replace('_', " ");
    details.push(match (one.ended_at, one.last_mention_at) {
        (None, None) => format!("{status}, not over"),
        (None, Some(last)) => {
            format!("{status}, its end was never told: last mentioned on {}", last.format("%-d %b %Y"))
        }
        (Some(end), _) if end - one.started_at < TimeDelta::minutes(1) => status,
        (Some(end), _) => format!("{status} after {}", duration(end - one.started_at)),
    });
    details.push(one.environment_name.clone().unwrap_or_else(|| "any environment".into()));
    if one.time_is_received {
        details.push("time of receipt".into());
    }
    ContextRow {
        title: one.title.clone(),
        href: page_of(one.operational_event_id),
        at: one.started_at.format("%-d %b %H:%M").to_string(),
        details: details.join(", "),
        told_by: ToldBy {
            source: one.source_name.clone(),
            href: safe_url(one.url.as_deref()).unwrap_or_default().to_owned(),
        },
    }
}

/// The address of the page of one.
pub(super) fn page_of(operational_event_id: i64) -> String {
    format!("{PATH}/{operational_event_id}")
}

/// "25 min", "2 h 5 min", "2 d 1 h".
pub(super) fn duration(length: TimeDelta) -> String {
    match (length.num_days(), length.num_hours(), length.num_minutes()) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes - hours * 60),
        (days, hours, _) => format!("{days} d {} h", hours - days * 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chart without its oldest marks says so, and one that has all of them does not.
    #[test]
    fn what_the_chart_leaves_out_is_said() {
        let one = Listed {
            operational_event_id: 1,
            kind: "incident".into(),
            status: "resolved".into(),
            severity: None,
            title: "Orders fail".into(),
            started_at: DateTime::UNIX_EPOCH,
            ended_at: None,
            last_mention_at: None,
            time_is_received: false,
            url: None,
            source_name: "pagerduty".into(),
            environment_name: None,
        };
        let of = |count: usize| {
            let days = DateRange::days_to(DateTime::UNIX_EPOCH.date_naive(), 3);
            let events = ContextEvents::of(vec![one.clone(); count], PATH.into(), days);
            (events.note(), events.on_chart(&Buckets::new(days, days.last_day())).len())
        };
        let (note, shown) = of(10_001);
        assert!(note.starts_with("The chart shows the newest 10,000, the list 50: all"), "{note}");
        assert_eq!(shown, 10_000);
        let (note, shown) = of(10_000);
        assert!(note.starts_with("These are the newest 50 of 10000: all"), "{note}");
        assert_eq!((shown, of(2).0.as_str()), (10_000, "By which rules each was placed"));
    }

    #[test]
    fn durations_read_like_durations() {
        assert_eq!(duration(TimeDelta::minutes(12)), "12 min");
        assert_eq!(duration(TimeDelta::minutes(125)), "2 h 5 min");
        assert_eq!(duration(TimeDelta::hours(49)), "2 d 1 h");
    }
}
