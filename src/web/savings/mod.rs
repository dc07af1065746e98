//! `/savings`: what is paid for and not used, with its money, evidence and what to do; and what waits for a release or a
//! bill.

mod bills;
mod plans;
mod read;
pub(crate) mod words;

pub use plans::{NewPlan, PlanSection, add_plan, remove_plan, section as plan_section};
pub use read::{Found, IdleShare, Savings, savings};

use super::csv::{Cell, Table};
use super::display::{decimals, minor_units, money, percent, shown};
use super::parts::{Filters, Select};
use super::query::{Accepts, NONE, View};
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, detached};
use crate::analyze::savings::Held;
use crate::focus::DateRange;
use crate::store::savings::{self as stored, Dismissal};
use crate::store::{Snapshot, audit, service_costs};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What the page and the API take.
pub const ACCEPTS: Accepts = Accepts { texts: &["service", "env", "team", "kind"], by: &[], sort: &[] };

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/savings", Policy::Money, show)
        .get("/savings.csv", Policy::Money, export)
        .post("/savings/dismiss", Policy::Review, dismiss)
        .post("/savings/undo", Policy::Review, undo)
        .post("/services/{slug}/plans", Policy::Review, plans::add)
        .post("/services/{slug}/plans/remove", Policy::Review, plans::remove)
}

struct Row {
    key: String,
    kind: &'static str,
    service_name: String,
    service_href: String,
    environment: String,
    team: String,
    amount: String,
    evidence: String,
    computed: String,
    playbook: &'static str,
    held: String,
    dismissed: String,
}

struct IdleRow {
    service_name: String,
    service_href: String,
    environment: String,
    idle: String,
    amount: String,
    capacity: String,
    measure: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "savings.html")]
struct SavingsPage {
    page: Page,
    filters: Filters,
    answer: String,
    facts: String,
    open: Vec<Row>,
    open_totals: Vec<String>,
    held: Vec<Row>,
    held_totals: Vec<String>,
    dismissed: Vec<Row>,
    idle: Vec<IdleRow>,
    unknown_count: usize,
    can_decide: bool,
    csv_href: String,
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<SavingsPage> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Savings", NavItem::Savings).await?;
    let page = page.noting(view.note());
    let scope = principal.scope();
    let complete_to = page.bills.complete_to();
    let mut read = savings(&app, &page.bills, &mut snapshot, &scope).await?;
    narrow(&mut read, &mut snapshot, &view, app.now().date_naive()).await?;
    let choices = service_costs::choices(&mut snapshot).await?;
    let of = |state: &str| -> Vec<&Found> { read.found.iter().filter(|one| one.state() == state).collect() };
    let (open, held, dismissed) = (of("open"), of("held-back"), of("dismissed"));
    Ok(SavingsPage {
        answer: answer(&read, &open, &held),
        facts: complete_to.map_or_else(String::new, |day| {
            format!("30 complete days to {}, amortized (EffectiveCost)", day.format("%-d %b %Y"))
        }),
        filters: Filters::plain("/savings", &view, selects(&view, choices)),
        open_totals: totals(&open),
        held_totals: totals(&held),
        open: rows(&open, &read),
        held: rows(&held, &read),
        dismissed: rows(&dismissed, &read),
        idle: read.idle.iter().map(idle_row).collect(),
        unknown_count: read.unknown_count,
        can_decide: Policy::Review.allows(&principal),
        csv_href: view.link("/savings.csv", &[]),
        page,
    })
}

/// Name of the team that a view narrows to.
async fn team_of(snapshot: &mut Snapshot, view: &View) -> Result<Option<String>> {
    let Some(slug) = view.text("team").filter(|slug| *slug != NONE) else { return Ok(None) };
    let teams = service_costs::choices(snapshot).await?.teams;
    Ok(teams.into_iter().find(|(key, _)| key == slug).map(|(_, name)| name))
}

/// Keeps what a view asks for. A name that the catalogue lacks is refused, as is a currency that no bill has.
pub async fn narrow(read: &mut Savings, snapshot: &mut Snapshot, view: &View, today: NaiveDate) -> Result<()> {
    if let Some(kind) = view.text("kind").filter(|kind| words::KINDS.iter().all(|(key, _)| key != kind)) {
        let allowed = words::KINDS.map(|(key, _)| key).join(", ");
        return Err(Error::Invalid(format!("kind={kind} is not known. Allowed: {allowed}.")));
    }
    // The days play no part: only the names are looked up.
    let currency = view.filter(snapshot, DateRange::days_to(today, 1)).await?.currency;
    let team = team_of(snapshot, view).await?;
    let is =
        |asked: Option<&str>, slug: &str| asked.is_none_or(|asked| asked == slug || asked == NONE && slug.is_empty());
    let has_team = |name: Option<&str>| match view.text("team") {
        None => true,
        Some(NONE) => name.is_none(),
        Some(_) => name == team.as_deref(),
    };
    let (service, environment, kind) = (view.text("service"), view.text("env"), view.text("kind"));
    let has_currency = |own: &str| currency.as_ref().is_none_or(|currency| currency == own);
    read.found.retain(|one| {
        is(service, &one.service_slug)
            && is(environment, &one.environment_slug)
            && kind.is_none_or(|kind| one.saving.waste.kind() == kind)
            && has_currency(&one.saving.place.currency)
            && has_team(one.team_name.as_deref())
    });
    read.idle.retain(|one| {
        is(service, &one.row.service_slug)
            && is(environment, &one.row.environment_slug)
            && has_currency(&one.row.currency)
            && has_team(one.row.team_name.as_deref())
    });
    Ok(())
}

fn selects(view: &View, choices: service_costs::Choices) -> Vec<Select> {
    let all = || vec![(String::new(), "All".to_owned())];
    let kinds = words::KINDS.iter().map(|(key, label)| ((*key).to_owned(), (*label).to_owned())).collect();
    let mut selects = vec![
        Select::new("kind", "Kind", view.field("kind"), [all(), kinds].concat()),
        Select::new("team", "Team", view.field("team"), [all(), choices.teams].concat()),
        Select::new("env", "Environment", view.field("env"), [all(), choices.environments].concat()),
    ];
    if view.text("service").is_some() {
        selects.push(Select::new("service", "Service", view.field("service"), all()));
    }
    selects
}

// The sums of each currency, exact, then rounded as its rows are.
fn sums(found: &[&Found]) -> BTreeMap<String, BigDecimal> {
    let mut sums: BTreeMap<String, BigDecimal> = BTreeMap::new();
    for one in found {
        *sums.entry(one.saving.place.currency.clone()).or_default() += &one.saving.amount;
    }
    sums
}

fn totals(found: &[&Found]) -> Vec<String> {
    sums(found).iter().map(|(currency, sum)| money(sum, currency, decimals(currency, sum))).collect()
}

fn answer(read: &Savings, open: &[&Found], held: &[&Found]) -> String {
    if read.complete_to.is_none() {
        return "No complete day of bills yet. What is paid for and not used shows here once bills are in.".into();
    }
    let waiting = waiting(held);
    if open.is_empty() {
        return format!("Nothing is known to be paid for and not used.{waiting}");
    }
    let count = if open.len() == 1 { "One finding".to_owned() } else { format!("{} findings", open.len()) };
    format!("{count}: {} in 30 days is paid for and not used.{waiting}", totals(open).join(" and "))
}

fn waiting(held: &[&Found]) -> String {
    let of_bill = held.iter().filter(|one| matches!(one.saving.held, Some(Held::Bill(_)))).count();
    let said = |count: usize, one: &str, several: &str| match count {
        0 => String::new(),
        1 => format!(" One more waits for {one}."),
        count => format!(" {count} more wait for {several}."),
    };
    said(held.len() - of_bill, "a release", "releases") + &said(of_bill, "a bill", "bills")
}

// Rounded so that the rows of a currency add up to its total as it is shown.
fn rows(found: &[&Found], read: &Savings) -> Vec<Row> {
    let mut amounts: BTreeMap<usize, String> = BTreeMap::new();
    for (currency, sum) in sums(found) {
        let own: Vec<usize> =
            (0..found.len()).filter(|index| found[*index].saving.place.currency == currency).collect();
        let values: Vec<BigDecimal> = own.iter().map(|index| found[*index].saving.amount.clone()).collect();
        let digits = decimals(&currency, &sum);
        for (index, amount) in own.iter().zip(shown(&values, &sum, digits)) {
            amounts.insert(*index, money(&amount, &currency, digits));
        }
    }
    let complete_to = read.complete_to.unwrap_or_default();
    let row = |(index, one): (usize, &&Found)| Row {
        key: one.saving.key(),
        kind: words::kind_label(one.saving.waste.kind()),
        service_name: one.service_name.clone(),
        service_href: href(&one.service_slug, &one.environment_slug),
        environment: one.environment_name.clone(),
        team: one.team_name.clone().unwrap_or_default(),
        amount: amounts.get(&index).cloned().unwrap_or_default(),
        evidence: words::evidence(one, complete_to),
        computed: words::computed(one),
        playbook: words::playbook(&one.saving.waste),
        held: one.saving.held.as_ref().map(words::held).unwrap_or_default(),
        dismissed: one
            .dismissal
            .as_ref()
            .map(|by| {
                let then = money(&by.amount, &by.billing_currency, minor_units(&by.billing_currency));
                format!("{} by {} on {}, at {then}", by.reason, by.dismissed_by, by.dismissed_at.format("%-d %b %Y"))
            })
            .unwrap_or_default(),
    };
    found.iter().enumerate().map(row).collect()
}

// An estimate leads to the days that it is worked out from, in its environment.
fn href(slug: &str, environment: &str) -> String {
    match (slug, environment) {
        ("", _) => "/unmapped".into(),
        (slug, "") => format!("/services/{slug}"),
        (slug, environment) => format!("/services/{slug}?env={environment}"),
    }
}

fn idle_row(one: &IdleShare) -> IdleRow {
    let text = |amount: &BigDecimal| money(amount, &one.row.currency, decimals(&one.row.currency, &one.row.capacity));
    IdleRow {
        service_name: one.row.service_name.clone(),
        service_href: href(&one.row.service_slug, &one.row.environment_slug),
        environment: one.row.environment_name.clone(),
        idle: percent(&one.idle, &BigDecimal::from(1)).unwrap_or_default(),
        amount: text(&one.amount),
        capacity: text(&one.row.capacity),
        measure: one.measure.clone(),
    }
}

async fn export(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let bills = app.bills(&mut snapshot).await?;
    let complete_to = bills.complete_to();
    let mut read = savings(&app, &bills, &mut snapshot, &principal.scope()).await?;
    narrow(&mut read, &mut snapshot, &view, app.now().date_naive()).await?;
    let mut table = Table::new(&[
        "Kind",
        "State",
        "Service",
        "Environment",
        "Team",
        "BillingCurrency",
        "CostIn30Days",
        "Saving",
        "Evidence",
        "HowComputed",
        "HeldBack",
        "Dismissed",
        "Key",
    ]);
    for one in &read.found {
        table.row(&[
            one.saving.waste.kind().into(),
            one.state().into(),
            (&one.service_slug).into(),
            (&one.environment_slug).into(),
            Cell::from(&one.team_name),
            (&one.saving.place.currency).into(),
            (&one.saving.base).into(),
            (&one.saving.amount).into(),
            words::evidence(one, complete_to.unwrap_or_default()).into(),
            words::computed(one).into(),
            one.saving.held.as_ref().map(words::held).unwrap_or_default().into(),
            one.dismissal.as_ref().map(|by| by.reason.clone()).unwrap_or_default().into(),
            one.saving.key().into(),
        ]);
    }
    Ok(table.into_response("savings.csv"))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DecisionForm {
    key: String,
    reason: String,
}

/// Dismisses a saving that the person may see, or takes that back. Writes the audit log.
pub async fn decide(
    app: &AppState,
    principal: &Principal,
    address: &ClientAddress,
    key: &str,
    reason: Option<&str>,
) -> Result<()> {
    let mut snapshot = app.pools.snapshot().await?;
    let bills = app.bills(&mut snapshot).await?;
    let read = savings(app, &bills, &mut snapshot, &principal.scope()).await?;
    drop(snapshot);
    let found = read.found.into_iter().find(|one| one.saving.key() == key).ok_or_else(|| {
        Error::Invalid("This saving is not there any more, or not yours to decide on. Nothing was changed.".into())
    })?;
    let reason = reason.map(|reason| reason.trim().to_owned());
    if let Some(reason) = &reason {
        let length = reason.chars().count();
        if length == 0 || length > stored::REASON_LENGTH_MAX {
            return Err(Error::Invalid(format!(
                "A saving is dismissed with a reason of 1 to {} characters; this one has {length}. Go back to write it.",
                stored::REASON_LENGTH_MAX
            )));
        }
    }
    let (app, login, from) = (app.clone(), principal.login.clone(), address.to_string());
    detached(async move {
        let mut transaction = app.pools.jobs.begin().await?;
        let key = found.saving.key();
        let details = serde_json::json!({ "amount": found.saving.amount.to_plain_string(),
            "billing_currency": found.saving.place.currency, "reason": reason });
        let (action, is_done) = match reason {
            Some(reason) => {
                let dismissal = Dismissal {
                    saving_key: key.clone(),
                    reason,
                    amount: found.saving.amount.clone(),
                    billing_currency: found.saving.place.currency.clone(),
                    dismissed_by: login.clone(),
                    dismissed_at: app.now(),
                };
                ("saving.dismissed", stored::dismiss(&mut transaction, &dismissal).await?)
            }
            None => ("saving.dismissal_undone", stored::undo(&mut transaction, &key, &login, app.now()).await?),
        };
        // Twice is once: nothing changes, and nothing is written.
        if is_done {
            audit::insert(&mut transaction, app.now(), &login, &from, action, &key, details).await?;
        }
        transaction.commit().await
    })
    .await?;
    Ok(())
}

async fn dismiss(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<DecisionForm>,
) -> Result<Response> {
    decide(&app, &principal, &address, &form.key, Some(&form.reason)).await?;
    Ok(Redirect::to("/savings").into_response())
}

async fn undo(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<DecisionForm>,
) -> Result<Response> {
    decide(&app, &principal, &address, &form.key, None).await?;
    Ok(Redirect::to("/savings").into_response())
}
