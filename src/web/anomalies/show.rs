//! `/anomalies/{id}`: one anomaly beside the inbox.

use super::causes::{Causes, Near, causes, kept_traffic};
use super::chart::{self, AnomalyChart, Parts};
use super::{ACCEPTS, Inbox, words};
use crate::focus::DateRange;
use crate::store::anomalies::{self, AnomalyEvent};
use crate::store::anomaly_lists::{self, ListedAnomaly};
use crate::store::deployment_list::{self, ListedDeployment};
use crate::store::deployment_marks;
use crate::store::effects;
use crate::store::environment_costs;
use crate::store::service_measures::{self, VolumeAround};
use crate::web::context_events::{ContextEvents, ContextRow, Whose};
use crate::web::deployed::newest_note;
use crate::web::display::{decimals, money, signed};
use crate::web::drill;
use crate::web::parts::{Figure, Figures};
use crate::web::query::{NONE, View};
use crate::web::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bigdecimal::BigDecimal;
use chrono::{Days, NaiveDate};

const DEPLOYMENT_COUNT_MAX: i64 = 200;
/// Days before its begin whose traffic the days of an anomaly are compared with.
const TRAFFIC_DAYS_BEFORE: u64 = 14;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/anomalies/{id}", Policy::Money, show)
}

#[derive(Template, WebTemplate)]
#[template(path = "anomaly.html")]
struct AnomalyPage {
    page: Page,
    inbox: Inbox,
    one: ListedAnomaly,
    title: String,
    lede: String,
    facts: Vec<String>,
    figures: Figures,
    chart: Option<AnomalyChart>,
    causes: Causes,
    parts: Parts,
    deployments: Vec<ListedDeployment>,
    deployments_note: String,
    context: Vec<ContextRow>,
    context_note: String,
    context_href: String,
    /// Of a team's: the deployments of its services on the days of the chart.
    team_deployments_href: String,
    history: Vec<AnomalyEvent>,
    can_answer: bool,
    lesson: String,
    today: NaiveDate,
}

impl AnomalyPage {
    fn is_answered(&self) -> bool {
        matches!(self.one.state.as_str(), "acknowledged" | "explained" | "planned" | "false-alarm")
    }

    fn days_word(&self) -> String {
        if self.one.day_count == 1 { "1 day".into() } else { format!("{} days", self.one.day_count) }
    }
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let id: i64 = id.parse().map_err(|_| Error::NotFound)?;
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let scope = principal.scope();
    let one = anomaly_lists::get(&mut snapshot, &scope, id).await?.ok_or(Error::NotFound)?;
    let detail = anomaly_lists::detail(&mut snapshot, &scope, id).await?.ok_or(Error::NotFound)?;
    let title = format!("{} {}", words::number(&one), words::subject(&one));
    let page = Page::new(&app, &principal, &mut snapshot, format!("{title} · Anomalies"), NavItem::Anomalies).await?;
    let page = page.noting(view.note());
    let inbox = super::inbox(&mut snapshot, &scope, &view, &page, Some(id)).await?;
    let days = chart::days(&detail);
    let window = window(&one, &days);
    let (mut deployments, mut marked) = (Vec::new(), Vec::new());
    let environment_slug = environment_slug(&mut snapshot, &one).await?;
    let mut context = ContextEvents::default();
    let mut estimates = Vec::new();
    if let Some(service_id) = one.service_id {
        let is_there = |environment_id: i64| one.environment_id.is_none_or(|own| own == environment_id);
        let (from, until) = (window.start(), window.end());
        deployments = deployment_list::of_service(&mut snapshot, service_id, from, until, DEPLOYMENT_COUNT_MAX).await?;
        deployments.retain(|deployment| deployment.went_live() && is_there(deployment.environment_id));
        marked = deployment_marks::of_services(&mut snapshot, &[service_id], window).await?;
        marked.retain(|deployment| is_there(deployment.environment_id));
        let slug = one.service_slug.as_deref();
        let own = [service_id];
        let whose = Whose {
            service_ids: Some(own.as_slice()),
            service_slugs: slug.as_slice(),
            environment_id: one.environment_id,
            environment_slug: &environment_slug,
        };
        context = ContextEvents::read(&mut snapshot, &whose, window, chart::buckets(&days).as_ref(), page.now).await?;
        let ids: Vec<i64> = marked.iter().map(|deployment| deployment.deployment_id).collect();
        estimates = effects::briefs(&mut snapshot, &scope, &ids, Some(service_id)).await?;
    }
    let repeated: Vec<i64> = deployments.iter().filter(|one| one.is_noop).map(|one| one.deployment_id).collect();
    let near = Near::of(&marked, &repeated, one.start_date);
    let volume = volume_since(&mut snapshot, &one).await?;
    let causes = causes(&one, &near, &estimates, volume.as_ref());
    let history = anomalies::events(&mut snapshot, id).await?;
    let lines_href = lines_href(&one, &environment_slug);
    let lesson = lesson(&mut snapshot, &scope, &one).await?;
    Ok(AnomalyPage {
        lede: lede(&one, &causes),
        facts: facts(&one),
        figures: figures(&one),
        chart: chart::chart(&one, &days, &marked, &context, &lines_href),
        parts: chart::parts(&one, &detail, &lines_href),
        context: context.rows(),
        context_note: context.note(),
        context_href: context.href(),
        team_deployments_href: team_deployments_href(&one, window),
        can_answer: Policy::Review.allows(&principal),
        today: page.now.date_naive(),
        causes,
        deployments_note: newest_note(deployments.len(), marked.len() as i64, Some(window)),
        deployments,
        history,
        lesson,
        title,
        inbox,
        page,
        one,
    }
    .into_response())
}

// The usage of a service in an environment, before splits. A team's kind of cost leaves previews out, which no address of
// lines can say.
fn lines_href(one: &ListedAnomaly, environment_slug: &str) -> String {
    let service = match (&one.service_slug, one.service_id) {
        (Some(slug), Some(_)) => slug.as_str(),
        (None, Some(0)) => NONE,
        _ => return String::new(),
    };
    drill::lines_of(&[
        ("service", service),
        ("env", environment_slug),
        ("charge", "Usage"),
        ("cur", &one.billing_currency),
    ])
}

// Deployments are known by service: those of a team's services are a list of their own.
fn team_deployments_href(one: &ListedAnomaly, days: DateRange) -> String {
    let team = one.team_slug.as_deref().filter(|_| one.is_of_team());
    team.map(|team| format!("/deployments?period={}..{}&team={team}", days.start(), days.last_day()))
        .unwrap_or_default()
}

// Its environment as addresses name it; nothing where it is of all.
async fn environment_slug(conn: &mut crate::store::Snapshot, one: &ListedAnomaly) -> Result<String> {
    Ok(match one.environment_id {
        None => String::new(),
        Some(0) => NONE.to_owned(),
        Some(id) => {
            let all = environment_costs::environments(conn, None).await?;
            all.into_iter().find(|environment| environment.environment_id == id).map(|one| one.slug).unwrap_or_default()
        }
    })
}

// What is known by now of how much there was to do, where nothing of it was noted: it may have come in since.
async fn volume_since(conn: &mut crate::store::Snapshot, one: &ListedAnomaly) -> Result<Option<VolumeAround>> {
    let days = DateRange::new(one.start_date - Days::new(TRAFFIC_DAYS_BEFORE), one.end_date + Days::new(1));
    let (Some(service_id), Some(days), None) = (one.service_id, days, kept_traffic(one)) else { return Ok(None) };
    let place = (service_id, one.environment_id.unwrap_or_default());
    Ok(service_measures::volume_around(conn, place, days, one.start_date).await?)
}

fn window(one: &ListedAnomaly, days: &[chart::Day]) -> DateRange {
    let first = days.first().map_or(one.start_date - Days::new(42), |day| day.day);
    let last = days.last().map_or(one.end_date, |day| day.day);
    DateRange::new(first, last + Days::new(1)).unwrap_or_else(|| DateRange::days_to(last, 1))
}

fn lede(one: &ListedAnomaly, causes: &Causes) -> String {
    let cause = match (&causes.likely, one.is_drop()) {
        (Some((label, _)), false) => format!(" Likely cause: {label}."),
        (Some((label, _)), true) => format!(" It goes with {label}."),
        (None, _) if one.kind == "idle" => String::new(),
        (None, _) if one.is_of_team() => " Causes are looked for by service.".into(),
        (None, _) => " No cause was found yet.".into(),
    };
    words::sentence(one) + &cause
}

fn facts(one: &ListedAnomaly) -> Vec<String> {
    let mut facts = vec![words::kind_label(&one.kind).to_owned()];
    let days = if one.day_count == 1 { "1 complete day".into() } else { format!("{} complete days", one.day_count) };
    facts.push(format!("From {}, {days}", one.start_date.format("%-d %b %Y")));
    facts.push(words::state_label(one).to_owned());
    if let Some(until) = one.planned_until.filter(|_| one.state == "planned") {
        facts.push(format!("until {}", until.format("%-d %b %Y")));
    }
    facts.push("Usage cost (EffectiveCost); tax, credits and fees are apart".into());
    facts
}

fn figures(one: &ListedAnomaly) -> Figures {
    let currency = &one.billing_currency;
    let excess = one.excess();
    let text = |amount: &BigDecimal| money(amount, currency, decimals(currency, amount));
    let (actual_day, expected_day, above_day) = (
        words::per_day(&one.actual_total, one),
        words::per_day(&one.expected_total, one),
        words::per_day(&excess, one),
    );
    let band = match (&one.expected_low, &one.expected_high) {
        (Some(low), Some(high)) if one.kind != "idle" => format!("a day; {} to {}, 90%", text(low), text(high)),
        _ => "a day".into(),
    };
    let found_after = (one.found_on - one.start_date).num_days() + 1;
    let found = if found_after == 1 { "1 complete day".into() } else { format!("{found_after} complete days") };
    Figures(vec![
        Figure::plain(
            if one.is_drop() { "Saved so far" } else { "Cost so far" },
            text(&excess.abs()),
            format!("to {}, {} came in all", one.end_date.format("%-d %b"), text(&one.actual_total)),
        ),
        Figure::plain(
            if one.is_drop() { "Below expected" } else { "Above expected" },
            signed(&above_day, currency, decimals(currency, &above_day)),
            format!("a day; {} came", text(&actual_day)),
        ),
        Figure::plain("Expected", text(&expected_day), band),
        Figure::plain("Found", one.found_on.format("%-d %b").to_string(), format!("with {found} of it")),
    ])
}

async fn lesson(conn: &mut crate::store::Snapshot, scope: &crate::store::Scope, one: &ListedAnomaly) -> Result<String> {
    let lesson = words::lesson_of(&one.kind);
    let own = if one.service_id.is_some() { 0 } else { one.team_id.unwrap_or_default() };
    let known = anomaly_lists::lessons(conn, scope).await?.into_iter().find(|known| {
        (known.service_id, known.team_id, known.lesson.as_str()) == (one.service_id.unwrap_or_default(), own, lesson)
    });
    let (false_alarms, right) = known.map_or((0, 0), |known| (known.false_alarm_count, known.right_count));
    let count = false_alarms + right;
    Ok(format!(
        "Closes it and asks for a tenth more here next time; {false_alarms} of {count} answers so far. Told now: {}",
        words::threshold(lesson, false_alarms, right)
    ))
}
