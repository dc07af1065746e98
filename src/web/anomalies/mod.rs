//! `/anomalies` and `/anomalies/{id}`: what is unusual, whose it is, whether it still costs.

pub mod answer;
mod causes;
mod chart;
mod show;
pub mod words;

use super::charts::{Buckets, Event, Leads};
use super::csv::{Cell, Table};
use super::display::{decimals, money};
use super::paged_file::note_limit;
use super::parts::{Filters, Select};
use super::query::{Accepts, View};
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes};
use crate::store::anomaly_lists::{self, AnomalyFilter, ListedAnomaly, OpenSum};
use crate::store::{Scope, Snapshot, catalogue_names, team_heads};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use chrono::Days;

const ACCEPTS: Accepts = Accepts { texts: &["state", "team", "kind", "service"], by: &[], sort: &["cost", "newest"] };
const ROW_COUNT_MAX: i64 = 500;
/// In a CSV file.
const EXPORT_COUNT_MAX: i64 = 100_000;
/// Closed ones that stand below the open ones.
const CLOSED_DAYS: u64 = 30;

/// The routes of this folder.
pub fn routes(routes: Routes) -> Routes {
    let routes = routes.get("/anomalies", Policy::Money, list).get("/anomalies.csv", Policy::Money, export);
    answer::routes(show::routes(routes))
}

/// A row of the inbox.
pub struct InboxRow {
    /// Where it leads.
    pub href: String,
    /// `A-117 payment-gateway`.
    pub title: String,
    /// What it cost so far.
    pub amount: String,
    /// The rest.
    pub sub: String,
    /// Whether it is the one that is shown.
    pub is_shown: bool,
}

impl InboxRow {
    /// A row of the page of its service or team.
    pub fn of_subject(one: &ListedAnomaly) -> Self {
        Self::new(one, None)
    }

    fn new(one: &ListedAnomaly, shown: Option<i64>) -> Self {
        Self {
            href: format!("/anomalies/{}", one.anomaly_id),
            title: format!("{} {}", words::number(one), words::subject(one)),
            amount: words::excess(one),
            sub: words::sub(one),
            is_shown: shown == Some(one.anomaly_id),
        }
    }
}

/// Marks for the lane below a chart, where anomalies begin.
pub fn events_on_chart(anomalies: &[ListedAnomaly], buckets: &Buckets) -> Vec<Event> {
    let is_withdrawn = |one: &ListedAnomaly| one.state == "closed" && one.close_reason.as_deref() == Some("withdrawn");
    let is_told = |one: &&ListedAnomaly| one.state != "false-alarm" && !is_withdrawn(one);
    let event = |one: &ListedAnomaly| {
        let label = format!("{}, {}: {}", words::number(one), one.start_date.format("%-d %b"), words::sentence(one));
        let leads = Leads::To(format!("/anomalies/{}", one.anomaly_id));
        Some(Event::single(buckets.index_of(one.start_date)?, leads, label))
    };
    anomalies.iter().filter(is_told).filter_map(event).collect()
}

/// The two lists at the left.
pub struct Inbox {
    /// Waiting for an answer or an end.
    pub open: Vec<InboxRow>,
    /// All others that were asked for.
    pub closed: Vec<InboxRow>,
    /// `Closed in the last 30 days`.
    pub closed_head: String,
    /// What is said where there is nothing open.
    pub quiet: String,
    /// The filters, for links that keep them.
    pub filters: Filters,
    /// The address of the CSV file.
    pub csv_href: String,
    /// `3 open, $8,608 so far`.
    pub facts: Vec<String>,
}

struct Lesson {
    service_id: i64,
    team_id: i64,
    lesson: String,
    name: String,
    href: String,
    label: &'static str,
    answers: String,
    threshold: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "anomalies.html")]
struct AnomaliesPage {
    page: Page,
    inbox: Inbox,
    lessons: Vec<Lesson>,
    can_answer: bool,
}

async fn list(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Anomalies", NavItem::Anomalies).await?;
    let page = page.noting(view.note());
    let scope = principal.scope();
    let inbox = inbox(&mut snapshot, &scope, &view, &page, None).await?;
    let lessons = anomaly_lists::lessons(&mut snapshot, &scope).await?.into_iter().map(|one| Lesson {
        label: words::lesson_label(&one.lesson),
        answers: answers(one.false_alarm_count, one.right_count),
        threshold: words::threshold(&one.lesson, one.false_alarm_count, one.right_count),
        service_id: one.service_id,
        team_id: one.team_id,
        lesson: one.lesson,
        name: one.name,
        href: one.href,
    });
    let lessons = lessons.collect();
    Ok(AnomaliesPage { page, inbox, lessons, can_answer: Policy::Review.allows(&principal) }.into_response())
}

fn answers(false_alarms: i64, right: i64) -> String {
    let plural = |count: i64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    format!("{}, {} explained", plural(false_alarms, "false alarm", "false alarms"), right)
}

/// What an address asks for: names become ids.
pub async fn filter_of<'a>(
    conn: &mut Snapshot,
    view: &'a View,
    default_state: Option<&'a str>,
) -> Result<AnomalyFilter<'a>> {
    let known = |key: &'static str, allowed: &[(&str, &str)]| match view.text(key) {
        Some(value) if !allowed.iter().any(|(word, _)| *word == value) => {
            let words: Vec<&str> = allowed.iter().map(|(word, _)| *word).collect();
            Err(Error::Invalid(format!("{key}={value} is not known. Allowed: {}.", words.join(", "))))
        }
        value => Ok(value),
    };
    let state = known("state", &words::STATES)?.or(default_state).filter(|state| *state != "all");
    let kind = known("kind", &words::KINDS)?;
    let (service, team) = (view.text("service"), view.text("team"));
    let ids = catalogue_names::ids(conn, service, None, team.filter(|team| *team != "none")).await?;
    let found = |key: &str, text: Option<&str>, id: Option<i64>| match (text, id) {
        (Some("none"), _) => Ok(Some(0)),
        (Some(text), None) => Err(Error::Invalid(format!("{key}={text} is not known."))),
        (_, id) => Ok(id),
    };
    Ok(AnomalyFilter {
        state,
        kind,
        service_id: found("service", service, ids.service_id)?,
        team_id: found("team", team, ids.team_id)?,
        ..AnomalyFilter::default()
    })
}

async fn inbox(conn: &mut Snapshot, scope: &Scope, view: &View, page: &Page, shown: Option<i64>) -> Result<Inbox> {
    let mut filter = filter_of(conn, view, None).await?;
    // Without a state: what is open, and what was closed lately.
    if view.text("state").is_none() {
        filter.from = Some(page.bills.complete_to().unwrap_or(page.now.date_naive()) - Days::new(CLOSED_DAYS));
    }
    let mut rows = anomaly_lists::list(conn, scope, filter, ROW_COUNT_MAX).await?;
    if view.sort() == "newest" {
        rows.sort_by_key(|one| (std::cmp::Reverse(one.start_date), std::cmp::Reverse(one.anomaly_id)));
    }
    let sums = anomaly_lists::open_sums(conn, scope).await?;
    let (open, closed): (Vec<&ListedAnomaly>, Vec<&ListedAnomaly>) = rows.iter().partition(|one| one.is_open());
    let teams = team_heads::list(conn, scope).await?;
    let to_pairs = |list: &[(&str, &str)]| {
        list.iter().map(|(key, label)| ((*key).to_owned(), (*label).to_owned())).collect::<Vec<_>>()
    };
    let all = |label: &str| vec![(String::new(), label.to_owned())];
    let teams: Vec<(String, String)> = teams.into_iter().map(|team| (team.slug, team.name)).collect();
    let selects = vec![
        Select::new(
            "state",
            "State",
            view.field("state"),
            [all("Open and lately closed"), to_pairs(&words::STATES)].concat(),
        ),
        Select::new("team", "Team", view.field("team"), [all("All teams"), teams].concat()),
        Select::new("kind", "Kind", view.field("kind"), [all("All kinds"), to_pairs(&words::KINDS)].concat()),
        Select::new("sort", "Order", view.sort(), to_pairs(&[("cost", "Cost so far"), ("newest", "Newest")])),
    ];
    let mut facts = vec![open_fact(&sums)];
    if i64::try_from(rows.len()) == Ok(ROW_COUNT_MAX) {
        facts.push(format!("The largest {ROW_COUNT_MAX} are listed"));
    }
    Ok(Inbox {
        closed_head: if view.text("state").is_none() {
            format!("Closed, over in the last {CLOSED_DAYS} days")
        } else {
            "Closed".into()
        },
        quiet: quiet(page, view, &closed),
        open: open.into_iter().map(|one| InboxRow::new(one, shown)).collect(),
        closed: closed.into_iter().map(|one| InboxRow::new(one, shown)).collect(),
        filters: Filters::plain("/anomalies", view, selects),
        csv_href: view.link("/anomalies.csv", &[]),
        facts,
    })
}

/// `3 open, $8,608 so far`.
pub fn open_fact(sums: &[OpenSum]) -> String {
    let count: i64 = sums.iter().map(|sum| sum.count).sum();
    if count == 0 {
        return "None open".into();
    }
    let amount =
        |sum: &OpenSum| money(&sum.excess, &sum.billing_currency, decimals(&sum.billing_currency, &sum.excess));
    let amounts: Vec<String> = sums.iter().map(amount).collect();
    format!("{count} open, {} so far", amounts.join(" and "))
}

fn quiet(page: &Page, view: &View, closed: &[&ListedAnomaly]) -> String {
    if page.bills.sources.is_empty() {
        return "No bills yet. Once four weeks of them are in, every new day is looked at.".into();
    }
    if view.is_filtered() || view.text("state").is_some() || view.text("kind").is_some() {
        return "Nothing open matches these filters.".into();
    }
    if closed.is_empty() {
        return "Nothing unusual was found on the complete days of the bills.".into();
    }
    // What was answered while it ran may run on.
    let over = closed.iter().filter(|one| one.was_closed()).map(|one| one.end_date).max();
    let over = over.map(|last| format!(" The last one was over on {}.", last.format("%-d %B %Y")));
    let today = page.now.date_naive();
    let planned = closed.iter().filter(|one| one.state == "planned").filter_map(|one| one.planned_until);
    let planned = planned.filter(|until| *until >= today).min();
    let planned =
        planned.map(|until| format!(" What is planned is measured again after {}.", until.format("%-d %B %Y")));
    format!("Nothing unusual is open.{}{}", over.unwrap_or_default(), planned.unwrap_or_default())
}

async fn export(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let filter = filter_of(&mut snapshot, &view, None).await?;
    let rows = anomaly_lists::list(&mut snapshot, &principal.scope(), filter, EXPORT_COUNT_MAX).await?;
    let mut table = Table::new(&[
        "Anomaly",
        "Kind",
        "State",
        "CloseReason",
        "Service",
        "Environment",
        "Team",
        "ServiceCategory",
        "FirstDay",
        "LastDay",
        "FoundOn",
        "BillingCurrency",
        "ActualCost",
        "ExpectedCost",
        "Above",
        "Reason",
        "AnsweredBy",
    ]);
    for one in &rows {
        let (above, text) = (one.excess(), |day: chrono::NaiveDate| day.to_string());
        table.row(&[
            words::number(one).into(),
            (&one.kind).into(),
            (&one.state).into(),
            (&one.close_reason).into(),
            (&one.service_slug).into(),
            (&one.environment_name).into(),
            (&one.team_slug).into(),
            (&one.service_category).into(),
            text(one.start_date).into(),
            text(one.end_date).into(),
            text(one.found_on).into(),
            (&one.billing_currency).into(),
            Cell::Amount(&one.actual_total),
            Cell::Amount(&one.expected_total),
            Cell::Amount(&above),
            (&one.last_reason).into(),
            (&one.last_done_by).into(),
        ]);
    }
    note_limit(&mut table, rows.len(), EXPORT_COUNT_MAX, "ask for one service, team, state or kind");
    Ok(table.into_response("anomalies.csv"))
}
