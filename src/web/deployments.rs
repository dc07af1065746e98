//! `/deployments`: what was deployed, the newest first. Everyone may read it; what a deployment did to cost stands there
//! for those who may see the service's money.

use super::charts::environment_class;
use super::csv::{Cell, Table};
use super::effects::FINDINGS;
use super::paged_file::{self, Pages, Turn};
use super::parts::{Filters, Select};
use super::query::{Accepts, NONE, Period, View, range_label};
use super::service::{AnswerCell, answer_cells};
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes};
use crate::focus::{BillingPeriod, DateRange};
use crate::store::deployment_list::{self, DeploymentFilter, ListedDeployment};
use crate::store::deployment_lists::STANDINGS;
use crate::store::effects::{self, EffectBrief};
use crate::store::{Scope, Snapshot, service_costs};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use chrono::{DateTime, Months, NaiveDate, Utc};
use std::collections::BTreeMap;

const ACCEPTS: Accepts =
    Accepts { texts: &["service", "env", "team", "status", "finding", "page"], by: &[], sort: &[] };
const PAGE_ROW_COUNT: usize = 50;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/deployments", Policy::SignedIn, show).get("/deployments.csv", Policy::SignedIn, export)
}

#[derive(Template, WebTemplate)]
#[template(path = "deployments.html")]
struct DeploymentsPage {
    page: Page,
    filters: Filters,
    answer: String,
    rows: Vec<(ListedDeployment, &'static str, Vec<AnswerCell>)>,
    /// Whether any row has an answer that the reader may see.
    has_answers: bool,
    is_filtered: bool,
    next_href: String,
    first_href: String,
    csv_href: String,
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<DeploymentsPage> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Deployments", NavItem::Deployments).await?;
    let page = page.noting(view.note());
    let filter = filter(&view, &mut snapshot, page.now.date_naive(), &principal).await?;
    let mut rows = deployment_list::list(&mut snapshot, &filter, PAGE_ROW_COUNT as i64 + 1).await?;
    let choices = service_costs::choices(&mut snapshot).await?;
    let has_more = rows.len() > PAGE_ROW_COUNT;
    rows.truncate(PAGE_ROW_COUNT);
    let mut answers = BTreeMap::new();
    if Policy::Money.allows(&principal) {
        let ids: Vec<i64> = rows.iter().map(|row| row.deployment_id).collect();
        let effects = effects::briefs(&mut snapshot, &principal.scope(), &ids, filter.service_id).await?;
        answers = answer_cells(&rows, &effects);
    }
    let cursor = rows.last().filter(|_| has_more).map(|last| cursor_text(last.at, last.deployment_id));
    let next_href = cursor.map(|cursor| view.link("/deployments", &[("page", &cursor)])).unwrap_or_default();
    let is_filtered = view.is_filtered() || view.text("period").is_some();
    Ok(DeploymentsPage {
        answer: answer(&rows, &filter, is_filtered, has_more, view.text("page").is_some()),
        filters: Filters::plain("/deployments", &view, selects(&view, choices, Policy::Money.allows(&principal))),
        has_answers: !answers.is_empty(),
        is_filtered,
        next_href,
        first_href: if view.text("page").is_some() {
            view.link("/deployments", &[("page", "")])
        } else {
            String::new()
        },
        csv_href: view.link("/deployments.csv", &[("page", "")]),
        rows: rows
            .into_iter()
            .map(|row| {
                let cells = answers.remove(&row.deployment_id).unwrap_or_default();
                let class = environment_class(row.environment_kind.as_deref());
                (row, class, cells)
            })
            .collect(),
        page,
    })
}

/// One row a deployment, and one for each answer about it where the reader may see its money: amounts a day and over
/// 30 days in the currency of the answer. What is still measured has the finding `cannot-tell` and the phase `measuring`,
/// as in the API.
const COLUMNS: [&str; 26] = [
    "Id",
    "ReleasedAt",
    "Services",
    "Environment",
    "Version",
    "Title",
    "Status",
    "Kind",
    "SameVersionAgain",
    "Actor",
    "Repository",
    "Commit",
    "Commits",
    "Finding",
    "Phase",
    "Reason",
    "CompleteDaysAfter",
    "EffectPerDay",
    "EffectPerDayLow",
    "EffectPerDayHigh",
    "EffectPer30Days",
    "EffectPer30DaysLow",
    "EffectPer30DaysHigh",
    "BillingCurrency",
    "SharesAnswerWith",
    "Flags",
];

async fn export(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let turn = Turn::take(&app, &principal).await?;
    let mut snapshot = app.pools.snapshot().await?;
    let filter = filter(&view, &mut snapshot, app.now().date_naive(), &principal).await?;
    let scope = Policy::Money.allows(&principal).then(|| principal.scope());
    turn.answer(&app, Table::new(&COLUMNS), DeploymentPages { snapshot, filter, scope }, "deployments.csv").await
}

/// The deployments of a filter, the latest first, each with its answers.
struct DeploymentPages {
    snapshot: Snapshot,
    /// Goes on behind the last one that was read.
    filter: DeploymentFilter,
    /// Whose answers are told; none where the reader may see no money.
    scope: Option<Scope>,
}

impl Pages for DeploymentPages {
    async fn next(&mut self, table: &mut Table) -> anyhow::Result<usize> {
        let limit = paged_file::PAGE_ROW_COUNT as i64;
        let rows = deployment_list::list(&mut self.snapshot, &self.filter, limit).await?;
        let mut answers: BTreeMap<i64, Vec<EffectBrief>> = BTreeMap::new();
        if let Some(scope) = &self.scope {
            let ids: Vec<i64> = rows.iter().map(|row| row.deployment_id).collect();
            for answer in effects::briefs(&mut self.snapshot, scope, &ids, self.filter.service_id).await? {
                answers.entry(answer.deployment_id).or_default().push(answer);
            }
        }
        for row in &rows {
            let own = answers.get(&row.deployment_id).map_or(&[] as &[EffectBrief], Vec::as_slice);
            let first = own.first().map_or_else(|| vec![Cell::Empty; 13], answer_cells_of);
            table.row(&[deployment_cells(row), first].concat());
            for answer in own.iter().skip(1) {
                table.row(&[deployment_cells(row), answer_cells_of(answer)].concat());
            }
        }
        let last = rows.last().map(|row| (row.at, row.deployment_id));
        self.filter.older_than = last.or(self.filter.older_than);
        Ok(rows.len())
    }

    fn how_to_narrow(&self) -> &'static str {
        "ask for fewer days with period, or for one service"
    }
}

fn deployment_cells(row: &ListedDeployment) -> Vec<Cell<'_>> {
    vec![
        row.deployment_id.into(),
        row.at.format("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
        row.service_names.join(", ").into(),
        (&row.environment_name).into(),
        (&row.version).into(),
        (&row.title).into(),
        row.status.as_str().into(),
        row.kind.as_str().into(),
        if row.is_noop { "true" } else { "false" }.into(),
        (&row.actor).into(),
        (&row.repo).into(),
        (&row.sha).into(),
        row.commits.join(" ").into(),
    ]
}

fn answer_cells_of(answer: &EffectBrief) -> Vec<Cell<'_>> {
    let shared: Vec<String> = effects::shared_with(answer.joint.as_ref()).iter().map(i64::to_string).collect();
    vec![
        answer.finding.as_str().into(),
        answer.phase.as_str().into(),
        answer.reason.as_str().into(),
        i64::from(answer.days_after).into(),
        (&answer.per_day).into(),
        (&answer.per_day_low).into(),
        (&answer.per_day_high).into(),
        (&answer.per_30_days).into(),
        (&answer.per_30_days_low).into(),
        (&answer.per_30_days_high).into(),
        answer.billing_currency.as_str().into(),
        shared.join(" ").into(),
        flags_of(answer).into(),
    ]
}

// "launch of 2026-11-05: 12.5; traffic: -3.1": units of the currency a day.
fn flags_of(answer: &EffectBrief) -> String {
    let flags = answer.flags.as_array().map(Vec::as_slice).unwrap_or_default();
    let flag = |flag: &serde_json::Value| {
        let day = flag["day"].as_str().map(|day| format!(" of {day}")).unwrap_or_default();
        let amount = flag["amount_per_day"].as_str().unwrap_or("not known");
        format!("{}{day}: {amount}", flag["kind"].as_str().unwrap_or_default())
    };
    flags.iter().map(flag).collect::<Vec<_>>().join("; ")
}

async fn filter(
    view: &View,
    snapshot: &mut Snapshot,
    today: NaiveDate,
    principal: &Principal,
) -> Result<DeploymentFilter> {
    let days = days(view, today);
    let named = view.filter(snapshot, days.unwrap_or(DateRange::days_to(today, 1))).await?;
    if let Some(status) = view.text("status").filter(|status| !STANDINGS.contains(status)) {
        return Err(Error::Invalid(format!("status={status} is not known. Allowed: {}.", STANDINGS.join(", "))));
    }
    let finding = view.text("finding");
    if let Some(finding) = finding.filter(|finding| FINDINGS.iter().all(|(known, _)| known != finding)) {
        let known: Vec<&str> = FINDINGS.iter().map(|(known, _)| *known).collect();
        return Err(Error::Invalid(format!("finding={finding} is not known. Allowed: {}.", known.join(", "))));
    }
    if finding.is_some() && !Policy::Money.allows(principal) {
        return Err(Error::Forbidden);
    }
    Ok(DeploymentFilter {
        finding: finding.map(|finding| (finding.to_owned(), principal.scope())),
        service_id: named.service_id,
        environment_id: named.environment_id,
        team_id: named.team_id,
        status: view.text("status").map(str::to_owned),
        from: days.map(DateRange::start),
        until: days.map(DateRange::end),
        older_than: view.text("page").map(cursor).transpose()?,
    })
}

/// The days of a list of what was told. It is as complete as it will be: days are counted to today, and without a period
/// all are listed.
pub(super) fn days(view: &View, today: NaiveDate) -> Option<DateRange> {
    view.text("period")?;
    match view.period {
        Period::LastDays(count) => Some(DateRange::days_to(today, count)),
        Period::TwelveMonths => DateRange::new(today - Months::new(12), today + chrono::Days::new(1)),
        Period::MonthToDate => Some(BillingPeriod::containing(today).days()),
        Period::Month(month) => Some(month.days()),
        Period::Days(range) => Some(range),
    }
}

fn cursor_text(at: DateTime<Utc>, id: i64) -> String {
    format!("{}-{id}", at.timestamp_micros())
}

/// The place in a list by time that an address gives.
pub(super) fn cursor(text: &str) -> Result<(DateTime<Utc>, i64)> {
    let wrong = || Error::Invalid("page is not one that this list gave. Begin at the first page.".into());
    let (micros, id) = text.rsplit_once('-').ok_or_else(wrong)?;
    let at = micros.parse().ok().and_then(DateTime::from_timestamp_micros).ok_or_else(wrong)?;
    Ok((at, id.parse().map_err(|_| wrong())?))
}

fn selects(view: &View, choices: service_costs::Choices, shows_money: bool) -> Vec<Select> {
    let all = || vec![(String::new(), "All".to_owned())];
    let none = (NONE.to_owned(), "Not mapped".to_owned());
    let statuses = STANDINGS.iter().map(|status| ((*status).to_owned(), status.replace('_', " ")));
    let mut selects = vec![
        Select::new("team", "Team", view.field("team"), [all(), choices.teams].concat()),
        Select::new(
            "env",
            "Environment",
            view.field("env"),
            [all(), choices.environments, vec![none.clone()]].concat(),
        ),
        Select::new("status", "State", view.field("status"), all().into_iter().chain(statuses).collect()),
    ];
    if shows_money {
        let findings = FINDINGS.iter().map(|(key, word)| ((*key).to_owned(), (*word).to_owned()));
        let choices = all().into_iter().chain(findings).collect();
        selects.push(Select::new("finding", "Effect on cost", view.field("finding"), choices));
    }
    if view.text("service").is_some() {
        selects.insert(0, Select::new("service", "Service", view.field("service"), [all(), vec![none]].concat()));
    }
    if view.text("period").is_some() {
        selects.push(Select::new("period", "Days", view.field("period"), all()));
    }
    selects
}

fn answer(
    rows: &[ListedDeployment],
    filter: &DeploymentFilter,
    is_filtered: bool,
    has_more: bool,
    is_later: bool,
) -> String {
    let days = filter
        .from
        .zip(filter.until)
        .and_then(|(from, until)| DateRange::new(from, until))
        .map(|days| format!(" from {}", range_label(days)))
        .unwrap_or_default();
    match (rows.first(), is_filtered) {
        (None, true) => format!("No deployment matches these filters{days}."),
        (None, false) if is_later => "There are no older deployments.".into(),
        (None, false) => "No deployments seen yet.".into(),
        (Some(newest), _) => {
            let count = if has_more {
                format!("The newest {} deployments", rows.len())
            } else {
                format!("{} deployments", rows.len())
            };
            let count = if rows.len() == 1 && !has_more { "One deployment".into() } else { count };
            let services =
                if newest.service_names.is_empty() { "no service".into() } else { newest.service_names.join(", ") };
            format!(
                "{count}{days}; the last was {} of {services} on {}.",
                newest.label(),
                newest.at.format("%-d %b %Y at %H:%M UTC")
            )
        }
    }
}
