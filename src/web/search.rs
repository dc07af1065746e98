//! `/search?q=`: a thing by a piece of its name.

use super::deployment::safe_url;
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, unknown_keys};
use crate::store::release_lists::FoundRelease;
use crate::store::search::{self, DeploymentHit, Hit};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use serde::Deserialize;

/// Results of a kind.
const HIT_COUNT: i64 = 12;
/// Longer questions are cut.
const QUESTION_CHARS_MAX: usize = 200;

/// The routes of the page.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/search", Policy::SignedIn, show)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    q: String,
}

/// Results of one kind.
struct Group {
    heading: &'static str,
    hits: Vec<Found>,
}

struct Found {
    href: String,
    name: String,
    detail: String,
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Query(question): Query<Question>,
) -> Result<SearchPage> {
    let q: String = question.q.trim().chars().filter(|c| !c.is_control()).take(QUESTION_CHARS_MAX).collect();
    let mut snapshot = app.pools.snapshot().await?;
    let title = if q.is_empty() { "Search".into() } else { format!("{q} · Search") };
    let page = Page::new(&app, &principal, &mut snapshot, title, NavItem::None).await?;
    let page = page.noting(unknown_keys::of::<Question>());
    let mut groups = Vec::new();
    if !q.is_empty() {
        let shows_money = Policy::Money.allows(&principal);
        if shows_money {
            groups.push(group("Services", "/services/", search::services(&mut snapshot, &q, HIT_COUNT).await?));
            groups.push(group("Teams", "/teams/", search::teams(&mut snapshot, &q, HIT_COUNT).await?));
            let found = search::environments(&mut snapshot, &q, HIT_COUNT).await?;
            groups.push(group("Environments", "/environments/", found));
        }
        groups.push(deployments(search::deployments(&mut snapshot, &q, HIT_COUNT).await?));
        groups.push(releases(search::releases(&mut snapshot, &q, HIT_COUNT).await?, shows_money));
        if shows_money {
            groups.push(resources(search::resources(&mut snapshot, &principal.scope(), &q, HIT_COUNT).await?));
        }
        if Policy::Bills.allows(&principal) {
            groups.push(group("Deliveries", "/deliveries/", search::deliveries(&mut snapshot, &q, HIT_COUNT).await?));
        }
    }
    groups.retain(|group| !group.hits.is_empty());
    Ok(SearchPage { page, q, groups })
}

fn group(heading: &'static str, path: &str, hits: Vec<Hit>) -> Group {
    let found = |hit: Hit| Found { href: format!("{path}{}", hit.key), name: hit.name, detail: hit.detail };
    Group { heading, hits: hits.into_iter().map(found).collect() }
}

fn deployments(hits: Vec<DeploymentHit>) -> Group {
    let found = |hit: DeploymentHit| Found {
        href: format!("/deployments/{}", hit.deployment_id),
        name: hit.name,
        detail: format!("{} to {}, {} UTC", hit.services, hit.environment, hit.happened_at.format("%-d %b %Y %H:%M")),
    };
    Group { heading: "Deployments", hits: hits.into_iter().map(found).collect() }
}

// A release has no page of its own: it leads to its deployment, else to the service, else to the sender.
fn releases(hits: Vec<FoundRelease>, shows_money: bool) -> Group {
    let found = |hit: FoundRelease| {
        let release = hit.release;
        let deployment = release.deployment_id.map(|id| format!("/deployments/{id}"));
        let service = hit.service_slug.filter(|_| shows_money).map(|slug| format!("/services/{slug}#h-rel"));
        let sender = safe_url(release.url.as_deref()).map(str::to_owned);
        let seen = if release.deployment_id.is_some() { "deployed" } else { "no deployment of it was seen" };
        let at = release.at.format("%-d %b %Y %H:%M");
        Found {
            href: deployment.or(service).or(sender).unwrap_or_else(|| "/deployments".into()),
            name: release.tag,
            detail: format!("{}, {} {at} UTC, {seen}", release.repo, release.state.replace('_', " ")),
        }
    };
    Group { heading: "Releases", hits: hits.into_iter().map(found).collect() }
}

fn resources(hits: Vec<Hit>) -> Group {
    let found = |hit: Hit| {
        let query = serde_urlencoded::to_string([("resource", &hit.key)]).unwrap_or_default();
        Found { href: format!("/charges?{query}"), name: hit.name, detail: hit.detail }
    };
    Group { heading: "Resources", hits: hits.into_iter().map(found).collect() }
}

#[derive(Template, WebTemplate)]
#[template(path = "search.html")]
struct SearchPage {
    page: Page,
    q: String,
    groups: Vec<Group>,
}
