//! Operational events on charts and in lists: what else happened beside deployments and cost.

use super::charts::{Buckets, Event, Leads, NAMED_MAX, of_days};
use super::daily::Daily;
use super::deployment::safe_url;
use super::filters::grouped;
use super::query::{DAY_COUNT_MAX, Span, VALUE_BYTES_MAX};
use crate::focus::DateRange;
use crate::store::operational_event_lists;
use crate::store::operational_event_marks::{self, CountedEvents, EventCounts, NamedEvent, Steps};
use crate::store::operational_events::{self, Filter, Listed, kind_in_words};
use askama::Template;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use sqlx::PgConnection;

/// The list of all.
pub(super) const PATH: &str = "/events";
/// Counted on one chart.
const EVENT_COUNT_MAX: i64 = 10_000;
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
    /// The newest.
    listed: Vec<Listed>,
    /// All of them, by the bars of the chart.
    counts: EventCounts,
    list_href: String,
    days: Option<DateRange>,
}

impl ContextEvents {
    /// Reads those of these services, in this environment or in none that is known; `chart` are the bars that
    /// [`Self::on_chart`] is asked for.
    pub async fn read(
        conn: &mut PgConnection,
        whose: &Whose<'_>,
        days: DateRange,
        chart: Option<&Buckets>,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Self> {
        let Whose { service_ids, environment_id, .. } = *whose;
        if service_ids.is_some_and(<[i64]>::is_empty) {
            return Ok(Self::default());
        }
        let filter =
            Filter { service_ids, environment_id, from: midnight(days.start()), until: midnight(days.end()), now };
        let listed = operational_events::list(&mut *conn, &filter, ROW_COUNT_MAX as i64 + 1).await?;
        // Few are marked as they are listed; of many, only those are read that a mark names.
        let counts = if listed.len() > ROW_COUNT_MAX {
            let steps = steps(chart, days);
            operational_event_marks::counts(conn, &filter, steps, EVENT_COUNT_MAX, NAMED_MAX as i32).await?
        } else {
            one_by_one(&listed)
        };
        Ok(Self { listed, counts, list_href: whose.list_href(), days: Some(days) })
    }

    /// Reads those of a team's services, in an environment or in any.
    pub async fn of_team(
        conn: &mut PgConnection,
        team_id: i64,
        (environment_id, environment_slug): (Option<i64>, &str),
        days: DateRange,
        chart: Option<&Buckets>,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Self> {
        let services = operational_event_lists::services_of_team(&mut *conn, team_id).await?;
        let ids: Vec<i64> = services.iter().map(|one| one.service_id).collect();
        let slugs: Vec<&str> = services.iter().map(|one| one.slug.as_str()).collect();
        let service_ids = Some(ids.as_slice());
        let whose = Whose { service_ids, service_slugs: &slugs, environment_id, environment_slug };
        Self::read(conn, &whose, days, chart, now).await
    }

    /// Marks for the lane below a chart, in order of time. Each leads to its page, several to the list of their days.
    pub fn on_chart(&self, buckets: &Buckets) -> Vec<Event> {
        let event = |one: &CountedEvents| {
            let (first, last) = (one.first_at.date_naive(), one.last_at.date_naive());
            Some(Event {
                index: buckets.index_of(first)?,
                leads: Leads::Days {
                    list_href: self.list_href.clone(),
                    first,
                    last,
                    own_href: one.named.first().map(|named| page_of(named.operational_event_id)).unwrap_or_default(),
                },
                count: one.count,
                labels: one.named.iter().map(label).collect(),
            })
        };
        self.counts.steps.iter().filter_map(event).collect()
    }

    /// Charts of daily cost with these marks below their bars.
    pub fn on_charts(&self, charts: Vec<Daily>, span: &Span) -> Vec<Daily> {
        let events = self.on_chart(&span.buckets());
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
        let grouped = |count: i64| grouped(&BigDecimal::from(count), 0);
        match self.counts.count() {
            _ if self.counts.is_cut => format!(
                "The chart shows the newest {}, the list {ROW_COUNT_MAX}: all of them, with the rules that placed each",
                grouped(EVENT_COUNT_MAX)
            ),
            count if count > ROW_COUNT_MAX => {
                format!(
                    "These are the newest {ROW_COUNT_MAX} of {}: all of them, with the rules that placed each",
                    grouped(count as i64)
                )
            }
            _ => "By which rules each was placed".into(),
        }
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

// Where there are no bars nothing is on the chart, and all are counted as one.
fn steps(chart: Option<&Buckets>, days: DateRange) -> Steps {
    let bars = chart.and_then(|chart| Some((chart.ranges().first()?, chart.ranges().last()?, chart.steps()?)));
    let (from, until, (origin, day_count)) = match bars {
        Some((first, last, steps)) => (first.start(), last.end(), steps),
        None => (days.start(), days.start(), (days.start(), 1)),
    };
    Steps {
        from: midnight(from),
        until: midnight(until),
        origin: midnight(origin),
        day_count: i32::try_from(day_count).unwrap_or(1),
    }
}

// The oldest first.
fn one_by_one(listed: &[Listed]) -> EventCounts {
    let counted = |one: &Listed| CountedEvents {
        count: 1,
        first_at: one.started_at,
        last_at: one.started_at,
        named: vec![NamedEvent {
            operational_event_id: one.operational_event_id,
            kind: one.kind.clone(),
            title: one.title.clone(),
            started_at: one.started_at,
        }],
    };
    EventCounts { steps: listed.iter().rev().map(counted).collect(), is_cut: false }
}

fn label(one: &NamedEvent) -> String {
    format!("{}, {}: {}", one.started_at.format("%-d %b %H:%M"), kind_in_words(&one.kind), one.title)
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

    fn listed(operational_event_id: i64, at: &str) -> Listed {
        Listed {
            operational_event_id,
            kind: "incident".into(),
            status: "resolved".into(),
            severity: None,
            title: "Orders fail".into(),
            started_at: at.parse().unwrap(),
            ended_at: None,
            last_mention_at: None,
            time_is_received: false,
            url: None,
            source_name: "pagerduty".into(),
            environment_name: None,
        }
    }

    /// A chart without its oldest marks says so, and one that has all of them does not.
    #[test]
    fn what_the_chart_leaves_out_is_said() {
        let one = listed(1, "2026-03-01T10:00:00Z");
        let of = |count: usize, is_cut: bool| {
            let mut counts = one_by_one(std::slice::from_ref(&one));
            (counts.steps[0].count, counts.is_cut) = (count, is_cut);
            ContextEvents { listed: vec![one.clone()], counts, ..ContextEvents::default() }.note()
        };
        let note = of(10_000, true);
        assert!(note.starts_with("The chart shows the newest 10,000, the list 50: all"), "{note}");
        let note = of(10_000, false);
        assert!(note.starts_with("These are the newest 50 of 10,000: all"), "{note}");
        assert_eq!(of(2, false), "By which rules each was placed");
    }

    /// The earlier first, each on its day and leading to its own page; what began before the chart has no mark.
    #[test]
    fn few_events_are_marked_one_by_one() {
        let days = DateRange::days_to("2026-03-03".parse().unwrap(), 3);
        let at = ["2026-03-03T09:00:00Z", "2026-03-01T10:00:00Z", "2026-02-27T10:00:00Z"];
        let listed: Vec<Listed> = at.iter().zip(7..).map(|(at, id)| listed(id, at)).collect();
        let events = ContextEvents { counts: one_by_one(&listed), listed, list_href: PATH.into(), days: Some(days) };
        let marks = events.on_chart(&Buckets::new(days, days.last_day()));
        let told: Vec<(usize, usize, &str)> =
            marks.iter().map(|one| (one.index, one.count, one.labels[0].as_str())).collect();
        let expected = [(0, 1, "1 Mar 10:00, incident: Orders fail"), (2, 1, "3 Mar 09:00, incident: Orders fail")];
        assert_eq!(told, expected);
        let day = "2026-03-01".parse().unwrap();
        let leads = Leads::Days { list_href: PATH.into(), first: day, last: day, own_href: "/events/8".into() };
        assert_eq!(marks[0].leads, leads);
    }

    #[test]
    fn durations_read_like_durations() {
        assert_eq!(duration(TimeDelta::minutes(12)), "12 min");
        assert_eq!(duration(TimeDelta::minutes(125)), "2 h 5 min");
        assert_eq!(duration(TimeDelta::hours(49)), "2 d 1 h");
    }
}
