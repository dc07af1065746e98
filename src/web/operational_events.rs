//! `/events`: operational events, the newest first, each with the rules that placed it. The marks below charts lead here,
//! to their own days.

use super::context_events::{self, ContextRow, PATH};
use super::deployment::matching::{self, RuleRow};
use super::deployments::{cursor, days};
use super::filters::grouped;
use super::parts::{Filters, Select};
use super::query::{Accepts, NONE, View, range_label};
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes};
use crate::focus::DateRange;
use crate::store::operational_event_lists::{self, ListFilter, MatchedEvent, NamedService};
use crate::store::service_costs;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use chrono::NaiveTime;
use sqlx::PgConnection;

const ACCEPTS: Accepts = Accepts { texts: &["service", "env", "page"], by: &[], sort: &[] };
const PAGE_ROW_COUNT: usize = 50;
/// Beyond so many nobody wants to know how many there are.
const COUNT_MAX: i64 = 1_000;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get(PATH, Policy::SignedIn, show)
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
}

struct EventRow {
    event: ContextRow,
    services: String,
    rules: Vec<RuleRow>,
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<EventsPage> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Events", NavItem::Deployments).await?;
    let page = page.noting(view.note());
    let days = days(&view, page.now.date_naive());
    let services = services(&view, &mut snapshot).await?;
    let filter = ListFilter {
        service_ids: services.as_ref().map(|all| all.iter().map(|one| one.service_id).collect()),
        environment_id: environment_id(&view, &mut snapshot).await?,
        from: days.map(|days| days.start().and_time(NaiveTime::MIN).and_utc()),
        until: days.map(|days| days.end().and_time(NaiveTime::MIN).and_utc()),
        now: page.now,
    };
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
        rows: events.iter().map(row).collect(),
        page,
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
        rules: matching::rows(&matched.matching),
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
