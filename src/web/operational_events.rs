//! `/events`: operational events, the newest first, each with the rules that placed it. The marks below charts lead here,
//! to their own days.

use super::context_events::{self, ContextRow, PATH};
use super::csv::{Cell, Table};
use super::deployment::safe_url;
use super::deployments::{cursor, days};
use super::filters::grouped;
use super::matched::{self, RuleRow};
use super::moments::machine;
use super::paged_file::{self, Pages, Turn};
use super::parts::{Filters, Select};
use super::query::{Accepts, NONE, View, range_label};
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes};
use crate::focus::DateRange;
use crate::store::operational_event_lists::{self, ListFilter, MatchedEvent, NamedService};
use crate::store::{Snapshot, service_costs};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use chrono::{DateTime, NaiveTime, Utc};
use sqlx::PgConnection;

const ACCEPTS: Accepts = Accepts { texts: &["service", "env", "page"], by: &[], sort: &[] };
const CSV_PATH: &str = "/events.csv";
const PAGE_ROW_COUNT: usize = 50;
/// Beyond so many nobody wants to know how many there are.
const COUNT_MAX: i64 = 1_000;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get(PATH, Policy::SignedIn, show).get(CSV_PATH, Policy::SignedIn, export)
}

#[derive(Template, WebTemplate)]
#[template(path = "operational_events.html")]
struct EventsPage {
    page: Page,
    filters: Filters,
    answer: String,
    rows: Vec<EventRow>,
    next_href: String,
    first_href: String,
    csv_href: String,
}

struct EventRow {
    event: ContextRow,
    services: String,
    /// Who pinned it, and when.
    pinned: Option<String>,
    rules: Vec<RuleRow>,
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<EventsPage> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Events", NavItem::Deployments).await?;
    let page = page.noting(view.note());
    let days = days(&view, page.now.date_naive());
    let services = services(&view, &mut snapshot).await?;
    let filter = filter(&view, &mut snapshot, services.as_deref(), page.now).await?;
    let older_than = view.text("page").map(cursor).transpose()?;
    let count = operational_event_lists::count(&mut snapshot, &filter, COUNT_MAX + 1).await?;
    let mut events =
        operational_event_lists::list(&mut snapshot, &filter, older_than, PAGE_ROW_COUNT as i64 + 1).await?;
    let choices = service_costs::choices(&mut snapshot).await?;
    let has_more = events.len() > PAGE_ROW_COUNT;
    events.truncate(PAGE_ROW_COUNT);
    let last = events.last().filter(|_| has_more).map(|last| &last.event);
    let next = last.map(|last| format!("{}-{}", last.started_at.timestamp_micros(), last.operational_event_id));
    Ok(EventsPage {
        answer: answer(count, services.as_deref(), days),
        filters: Filters::plain(PATH, &view, selects(&view, choices.environments)),
        next_href: next.map(|next| view.link(PATH, &[("page", &next)])).unwrap_or_default(),
        first_href: if older_than.is_some() { view.link(PATH, &[("page", "")]) } else { String::new() },
        csv_href: view.link(CSV_PATH, &[("page", "")]),
        rows: events.iter().map(row).collect(),
        page,
    })
}

const COLUMNS: [&str; 16] = [
    "EventId",
    "Kind",
    "Status",
    "Severity",
    "Title",
    "StartedAt",
    "EndedAt",
    "LastMentionedAt",
    "TimeIsReceived",
    "Services",
    "Environment",
    "Source",
    "Url",
    "ServiceRuleId",
    "EnvironmentRuleId",
    "PlacedBy",
];

async fn export(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let turn = Turn::take(&app, &principal).await?;
    let mut snapshot = app.pools.snapshot().await?;
    let services = services(&view, &mut snapshot).await?;
    let filter = filter(&view, &mut snapshot, services.as_deref(), app.now()).await?;
    let events = EventPages { snapshot, filter, older_than: None };
    turn.answer(&app, Table::new(&COLUMNS), events, "events.csv").await
}

/// The events of a filter, the latest first.
struct EventPages {
    snapshot: Snapshot,
    filter: ListFilter,
    /// The last one that was read.
    older_than: Option<(DateTime<Utc>, i64)>,
}

impl Pages for EventPages {
    async fn next(&mut self, table: &mut Table) -> anyhow::Result<usize> {
        let limit = paged_file::PAGE_ROW_COUNT as i64;
        let rows = operational_event_lists::list(&mut self.snapshot, &self.filter, self.older_than, limit).await?;
        rows.iter().for_each(|row| table.row(&cells(row)));
        let last = rows.last().map(|row| (row.event.started_at, row.event.operational_event_id));
        self.older_than = last.or(self.older_than);
        Ok(rows.len())
    }

    fn how_to_narrow(&self) -> &'static str {
        "ask for fewer days with period, or for one service"
    }
}

fn cells(matched: &MatchedEvent) -> Vec<Cell<'_>> {
    let MatchedEvent { event, matching, .. } = matched;
    let moment = |at: &Option<DateTime<Utc>>| at.as_ref().map_or(Cell::Empty, |at| machine(at).into());
    let id = |id: Option<i64>| id.map_or(Cell::Empty, Cell::Count);
    let rules = matched::rows(matching);
    let by_rules = rules.iter().map(|rule| format!("{} by {}", rule.what, rule.note));
    let placed: Vec<String> = matched::pinned(matching).into_iter().chain(by_rules).collect();
    vec![
        event.operational_event_id.into(),
        event.kind_in_words().into(),
        (&event.status).into(),
        (&event.severity).into(),
        (&event.title).into(),
        machine(&event.started_at).into(),
        moment(&event.ended_at),
        moment(&event.last_mention_at),
        if event.time_is_received { "true" } else { "false" }.into(),
        matched.service_names.join(", ").into(),
        (&event.environment_name).into(),
        (&event.source_name).into(),
        safe_url(event.url.as_deref()).map_or(Cell::Empty, Cell::from),
        id(matching.service_rule_id),
        id(matching.environment_rule_id),
        placed.join("; ").into(),
    ]
}

// What the page and its file are of.
async fn filter(
    view: &View,
    conn: &mut PgConnection,
    services: Option<&[NamedService]>,
    now: DateTime<Utc>,
) -> Result<ListFilter> {
    let days = days(view, now.date_naive());
    Ok(ListFilter {
        service_ids: services.map(|all| all.iter().map(|one| one.service_id).collect()),
        environment_id: environment_id(view, conn).await?,
        from: days.map(|days| days.start().and_time(NaiveTime::MIN).and_utc()),
        until: days.map(|days| days.end().and_time(NaiveTime::MIN).and_utc()),
        now,
    })
}

// The services that are asked for: one, or several with commas between.
async fn services(view: &View, conn: &mut PgConnection) -> Result<Option<Vec<NamedService>>> {
    let Some(text) = view.text("service") else { return Ok(None) };
    let slugs: Vec<String> = text.split(',').map(str::to_owned).collect();
    let found = operational_event_lists::services(conn, &slugs).await?;
    match slugs.iter().find(|slug| found.iter().all(|one| one.slug != **slug)) {
        None => Ok(Some(found)),
        Some(unknown) => Err(Error::Invalid(format!(
            "service={unknown} is not in the catalogue. Allowed: names listed at /services, with commas between."
        ))),
    }
}

async fn environment_id(view: &View, conn: &mut PgConnection) -> Result<Option<i64>> {
    let id = view.part(conn).await?.environment_id;
    match view.text("env") {
        Some(slug) if id.is_none() => Err(Error::Invalid(format!(
            "env={slug} is not in the catalogue. Allowed: a name listed at /environments, or \"{NONE}\" for what is of none that is known."
        ))),
        _ => Ok(id),
    }
}

fn row(matched: &MatchedEvent) -> EventRow {
    let event = context_events::row(&matched.event);
    EventRow {
        event: ContextRow { at: matched.event.started_at.format("%-d %b %Y %H:%M").to_string(), ..event },
        services: matched.service_names.join(", "),
        pinned: matched::pinned(&matched.matching),
        rules: matched::rows(&matched.matching),
    }
}

fn selects(view: &View, environments: Vec<(String, String)>) -> Vec<Select> {
    let all = || vec![(String::new(), "All".to_owned())];
    let none = vec![(NONE.to_owned(), "Not known".to_owned())];
    let mut selects = vec![Select::new("env", "Environment", view.field("env"), [all(), environments, none].concat())];
    for (key, label) in [("service", "Service"), ("period", "Days")] {
        if view.text(key).is_some() {
            selects.push(Select::new(key, label, view.field(key), all()));
        }
    }
    selects
}

fn answer(count: i64, services: Option<&[NamedService]>, days: Option<DateRange>) -> String {
    let names: Vec<&str> = services.unwrap_or_default().iter().map(|one| one.name.as_str()).collect();
    let whose = if names.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
    let days = days.map(|days| format!(", {}", range_label(days))).unwrap_or_default();
    match count {
        0 => format!("No operational event{whose}{days}."),
        1 => format!("One operational event{whose}{days}."),
        _ if count > COUNT_MAX => {
            format!("More than {} operational events{whose}{days}.", grouped(&COUNT_MAX.into(), 0))
        }
        _ => format!("{count} operational events{whose}{days}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_events_are_not_counted() {
        for (count, text) in [
            (0, "No operational event."),
            (1, "One operational event."),
            (120, "120 operational events."),
            (COUNT_MAX + 1, "More than 1,000 operational events."),
        ] {
            assert_eq!(answer(count, None, None), text);
        }
    }
}
