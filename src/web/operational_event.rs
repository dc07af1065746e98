//! `/events/{id}`: one operational event, by which rules it belongs where it does, and pinning that.

use super::charts::of_days;
use super::context_events::{self, PATH, ToldBy, duration, page_of};
use super::matched::{MatchSection, PinPlaces};
use super::moments::moment;
use super::unmapped::EventNames;
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes};
use crate::store::operational_event_details::{self, EventDetail};
use crate::store::operational_event_lists::NamedService;
use crate::store::operational_events::Listed;
use crate::store::{catalogue, mapping_rules, service_costs};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};
use chrono::TimeDelta;
use sqlx::PgConnection;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    super::event_pins::routes(routes.get("/events/{id}", Policy::SignedIn, show))
}

#[derive(Template, WebTemplate)]
#[template(path = "operational_event.html")]
struct EventPage {
    page: Page,
    title: String,
    /// `incident`, `page`, `resolved`, …
    facts: Vec<String>,
    told_by: ToldBy,
    answer: String,
    services: Vec<NamedService>,
    /// Address and name.
    environment: Option<(String, String)>,
    /// The others of its day.
    day_href: String,
    match_section: MatchSection,
}

async fn show(State(app): State<AppState>, principal: Principal, Path(id): Path<String>) -> Result<EventPage> {
    let id: i64 = id.parse().map_err(|_| Error::NotFound)?;
    let mut snapshot = app.pools.snapshot().await?;
    let detail = operational_event_details::get(&mut snapshot, id, app.now()).await?.ok_or(Error::NotFound)?;
    let row = context_events::row(&detail.event);
    let title = format!("{} · Events", row.title);
    let page = Page::new(&app, &principal, &mut snapshot, title, NavItem::Deployments).await?;
    let raw = detail.environment_raw.as_deref();
    let mut match_section =
        MatchSection::new(page_of(id), &detail.matching, &detail.service_raw, raw, &detail.attributes);
    if detail.services.is_empty() && detail.matching.pinned_by.is_none() {
        let rules = mapping_rules::list(&mut snapshot).await?;
        match_section = match_section.lacking(names(&detail).reason(detail.matching.service_rule_id, &rules));
    }
    if Policy::Bills.allows(&principal) {
        let places = pin_places(&mut snapshot, &detail).await?;
        match_section = match_section.pinnable(!detail.services.is_empty(), Some(places));
    }
    let day = detail.event.started_at.date_naive();
    Ok(EventPage {
        title: row.title,
        facts: facts(&detail),
        told_by: row.told_by,
        answer: answer(&detail),
        environment: detail.environment_slug.clone().zip(detail.event.environment_name.clone()),
        day_href: of_days(PATH, day, day),
        services: detail.services,
        match_section,
        page,
    })
}

// The known names, with where the event belongs now chosen.
async fn pin_places(conn: &mut PgConnection, detail: &EventDetail) -> Result<PinPlaces> {
    let services = catalogue::service::list(&mut *conn).await?;
    let mut environments = service_costs::choices(conn).await?.environments;
    // Of previews only the newest are offered.
    let own = detail.environment_slug.clone().zip(detail.event.environment_name.clone());
    environments.extend(own.filter(|(slug, _)| environments.iter().all(|(known, _)| known != slug)));
    let rule_href = if detail.services.is_empty() { names(detail).rule_url() } else { String::new() };
    Ok(PinPlaces {
        services: services.into_iter().map(|one| (one.slug, one.name)).collect(),
        service: match detail.services.as_slice() {
            [one] => one.slug.clone(),
            _ => String::new(),
        },
        has_several: detail.services.len() > 1,
        environments,
        environment: detail.environment_slug.clone().unwrap_or_default(),
        no_environment: "any environment",
        rule_href,
    })
}

fn names(detail: &EventDetail) -> EventNames<'_> {
    EventNames {
        source: &detail.event.source_name,
        services: &detail.service_raw,
        environment: detail.environment_raw.as_deref(),
        repo: detail.repo.as_deref(),
    }
}

fn facts(detail: &EventDetail) -> Vec<String> {
    let event = &detail.event;
    let mut facts = vec![event.kind_in_words().to_owned()];
    facts.extend(event.severity.as_ref().map(|severity| format!("severity {severity}")));
    facts.push(event.status.replace('_', " "));
    facts.extend(detail.actor.as_ref().map(|actor| format!("by {actor}")));
    facts.extend(detail.repo.clone());
    facts
}

fn answer(detail: &EventDetail) -> String {
    let names: Vec<&str> = detail.services.iter().map(|one| one.name.as_str()).collect();
    let whose = if names.is_empty() { "no service that a rule knows".into() } else { names.join(" and ") };
    let place = match &detail.event.environment_name {
        Some(name) => format!("in {name}"),
        None => "in any environment".into(),
    };
    format!("It belongs to {whose} {place}. {}", when(&detail.event))
}

fn when(event: &Listed) -> String {
    let began = moment(&event.started_at);
    let sentence = match (event.ended_at, event.last_mention_at) {
        (None, None) => format!("It began on {began} and is still going."),
        (None, Some(last)) => format!(
            "It began on {began}; its end was never told, and it was mentioned last on {}.",
            last.format("%-d %b %Y")
        ),
        (Some(end), _) if end - event.started_at < TimeDelta::minutes(1) => format!("It happened on {began}."),
        (Some(end), _) => {
            let length = duration(end - event.started_at);
            format!("It went on from {began} to {}, {length}.", moment(&end))
        }
    };
    match event.time_is_received {
        true => format!("{sentence} A time is that of receipt: its sender told none."),
        false => sentence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};

    fn minute(number: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_359_200 + number * 60, 0).unwrap()
    }

    #[test]
    fn when_it_was_is_one_sentence() {
        let event = |ended_at: Option<DateTime<Utc>>, last_mention_at: Option<DateTime<Utc>>| Listed {
            operational_event_id: 1,
            kind: "incident".into(),
            status: "resolved".into(),
            severity: None,
            title: "Orders fail".into(),
            started_at: minute(0),
            ended_at,
            last_mention_at,
            time_is_received: false,
            url: None,
            source_name: "pagerduty".into(),
            environment_name: None,
        };
        for (event, sentence) in [
            (event(None, None), "It began on 1 Mar 2026 10:00 UTC and is still going."),
            (event(Some(minute(0)), None), "It happened on 1 Mar 2026 10:00 UTC."),
            (event(Some(minute(25)), None), "It went on from 1 Mar 2026 10:00 UTC to 1 Mar 2026 10:25 UTC, 25 min."),
            (
                event(None, Some(minute(25))),
                "It began on 1 Mar 2026 10:00 UTC; its end was never told, and it was mentioned last on 1 Mar 2026.",
            ),
        ] {
            assert_eq!(when(&event), sentence);
        }
        let received = Listed { time_is_received: true, ..event(None, None) };
        assert!(when(&received).ends_with("is still going. A time is that of receipt: its sender told none."));
    }
}
