//! `/tags`: the tags that the organisation asks for, and how much of the cost has them.

mod csv;
mod form;

use super::charge_filter::gap_text;
use super::mapping_change::{self, MappingChange};
use super::parts::Filters;
use super::query::{self, Accepts, Span, View, range_label};
use super::rules::form::checked_reason;
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, display, drill, moves};
use crate::allocate::{EnvironmentKind, TagState};
use crate::focus::{BillingPeriod, DateRange};
use crate::rollup::tag_coverage::{self, Coverage, CoverageKey, Offender, TagGap};
use crate::store::mapping_rule_versions::Author;
use crate::store::tag_rules;
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bigdecimal::{BigDecimal, Zero};
use chrono::{Days, Months};
use form::TagForm;
use serde_json::json;
use std::collections::BTreeMap;

/// Months that coverage is shown over.
const MONTH_COUNT: u32 = 6;
const OFFENDER_ROWS_MAX: usize = 50;
/// What the page and its files take. The team is one by name, as rows have it.
const ACCEPTS: Accepts = Accepts { texts: &["team"], by: &[], sort: &[] };

/// The routes of this folder.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/tags", Policy::Money, show)
        .get("/tags.csv", Policy::Money, csv::offenders)
        .get("/tags/required.csv", Policy::Money, csv::required)
        .get("/tags/teams.csv", Policy::Money, csv::teams)
        .get("/tags/months.csv", Policy::Money, csv::months)
        .get("/tags/new", Policy::Bills, new_form)
        .post("/tags", Policy::Bills, save)
        .get("/tags/{id}/edit", Policy::Bills, edit_form)
        .post("/tags/{id}/delete", Policy::Bills, delete)
}

/// A rule and how much of the cost meets it, in one currency.
struct StandardRow {
    id: i64,
    key: String,
    asked: String,
    changed_by: String,
    reason: String,
    /// One a currency: coverage and the four sums.
    sums: Vec<SumRow>,
}

struct SumRow {
    coverage: String,
    amounts: Vec<Amount>,
}

/// What of the cost meets a rule in one way.
struct Amount {
    text: String,
    /// Its lines; empty where there is none.
    href: String,
}

/// Coverage of one team or month in one currency, a text a rule.
struct CoverageRow {
    label: String,
    currency: String,
    coverage: Vec<String>,
}

struct OffenderRow {
    key: String,
    state: &'static str,
    value: String,
    team: String,
    service: String,
    href: String,
    account: String,
    provider_service: String,
    cost: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "tags.html")]
struct TagsPage {
    page: Page,
    rows: Vec<StandardRow>,
    keys: Vec<String>,
    teams: Vec<CoverageRow>,
    months: Vec<CoverageRow>,
    /// Whose months are shown; empty for all together.
    team: String,
    offenders: Vec<OffenderRow>,
    offender_count: usize,
    can_edit: bool,
    days: String,
    filters: Filters,
    view: View,
}

/// The months that end with the recent days, and those days.
pub(crate) fn ranges(page_days: DateRange) -> (DateRange, DateRange) {
    let last = BillingPeriod::containing(page_days.last_day());
    let first = last.first_day() - Months::new(MONTH_COUNT - 1);
    let first = first.min(page_days.start());
    (DateRange::new(first, page_days.end()).unwrap_or(page_days), page_days)
}

/// What stands for services without a team.
const NO_TEAM: &str = "No team";

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<TagsPage> {
    let Read { page, view, span, recent, coverage } = read(&app, &principal, query.as_deref()).await?;
    let keys = coverage.rules.iter().map(|rule| rule.values.tag_key.clone()).collect();
    let by_month = |key: &CoverageKey| key.month.format("%Y-%m").to_string();
    let teams = table(&coverage, &coverage.recent, team_of);
    let of_months = of_months(&coverage, &view)?;
    Ok(TagsPage {
        rows: standard(&coverage, recent),
        keys,
        teams,
        months: table(&coverage, &of_months, by_month),
        team: view.field("team").to_owned(),
        offenders: coverage.offenders.iter().take(OFFENDER_ROWS_MAX).map(|one| offender(one, recent)).collect(),
        offender_count: coverage.offenders.len(),
        can_edit: Policy::Bills.allows(&principal),
        days: range_label(recent),
        filters: Filters::of_period("/tags", &view, Some(&span)),
        view,
        page,
    })
}

/// How much of the cost meets what is asked, within the reader's scope.
struct Read {
    page: Page,
    view: View,
    span: Span,
    recent: DateRange,
    coverage: Coverage,
}

async fn read(app: &AppState, principal: &Principal, query: Option<&str>) -> Result<Read> {
    let view = View::parse(query, ACCEPTS)?.of_period_only();
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(app, principal, &mut snapshot, "Tags", NavItem::Rules).await?.noting(view.note());
    // Before the first bill they end with the last day that is over.
    let span = match page.bills.complete_to() {
        Some(_) => view.span(&page.bills),
        None => view.span_to(page.now.date_naive() - Days::new(1)),
    };
    let nothing_yet = || Error::Invalid("No complete day of bills lies in this period yet.".into());
    let span = span.ok_or_else(nothing_yet)?;
    let (months, recent) = ranges(span.days);
    let coverage = tag_coverage::read(&mut snapshot, &principal.scope(), months, recent).await?;
    Ok(Read { page, view, span, recent, coverage })
}

fn team_of(key: &CoverageKey) -> String {
    key.team.clone().unwrap_or_else(|| NO_TEAM.into())
}

// The months of the team that is asked for, or of all together.
fn of_months(coverage: &Coverage, view: &View) -> Result<BTreeMap<CoverageKey, BigDecimal>> {
    let team = view.field("team");
    let of_team = |key: &CoverageKey| team.is_empty() || team_of(key) == team;
    let is_known = team.is_empty() || coverage.by_month.keys().chain(coverage.recent.keys()).any(of_team);
    if !is_known {
        return Err(Error::Invalid(format!("team={team} has no cost that a tag is asked of.")));
    }
    let own = coverage.by_month.iter().filter(|(key, _)| of_team(key));
    Ok(own.map(|(key, cost)| (key.clone(), cost.clone())).collect())
}

impl TagsPage {
    fn months_csv(&self) -> String {
        self.view.canonical("/tags/months.csv")
    }

    /// A table of all teams as a file of this form, on the page's days.
    fn file(&self, path: &str) -> String {
        self.view.link(path, &[("team", "")])
    }

    /// The months of a team; of all for no name.
    fn team_href(&self, name: &str) -> String {
        format!("{}#h-months", self.view.link("/tags", &[("team", name)]))
    }
}

fn standard(coverage: &Coverage, recent: DateRange) -> Vec<StandardRow> {
    let row = |rule: &tag_rules::StoredTagRule| {
        let sums = sums_of(coverage, rule).into_iter().map(|(currency, sums)| {
            let total: BigDecimal = sums.iter().sum();
            let covered = &sums[0] + &sums[1];
            let shown = display::shown(&sums, &total, display::minor_units(currency));
            let amounts = TagState::ALL.into_iter().zip(&sums).zip(&shown).map(|((state, cost), shown)| Amount {
                text: moves::text(shown, currency),
                href: if cost.is_zero() { String::new() } else { cell_href(rule, state, currency, recent) },
            });
            SumRow {
                coverage: display::percent(&covered, &total).unwrap_or_else(|| "no cost".into()),
                amounts: amounts.collect(),
            }
        });
        let kinds = &rule.values.environment_kinds;
        StandardRow {
            id: rule.tag_rule_id,
            key: rule.values.tag_key.clone(),
            asked: if kinds.is_empty() { "everywhere".into() } else { format!("in {}", kinds.join(", ")) },
            changed_by: rule.changed_by.clone(),
            reason: rule.reason.clone(),
            sums: sums.collect(),
        }
    };
    coverage.rules.iter().map(row).collect()
}

// What of the recent cost meets a rule in each way, in the order of the states, by currency.
fn sums_of<'a>(coverage: &'a Coverage, rule: &tag_rules::StoredTagRule) -> BTreeMap<&'a str, [BigDecimal; 4]> {
    let mut sums: BTreeMap<&str, [BigDecimal; 4]> = BTreeMap::new();
    for (key, cost) in coverage.recent.iter().filter(|(key, _)| key.tag_rule_id == rule.tag_rule_id) {
        let place = TagState::ALL.iter().position(|state| *state == key.state).unwrap_or(3);
        sums.entry(&key.currency).or_default()[place] += cost;
    }
    sums
}

// One row a label and currency: the covered part of the cost for each rule.
fn table(
    coverage: &Coverage,
    sums: &BTreeMap<CoverageKey, BigDecimal>,
    label: impl Fn(&CoverageKey) -> String,
) -> Vec<CoverageRow> {
    let mut found: BTreeMap<(String, String), BTreeMap<i64, (BigDecimal, BigDecimal)>> = BTreeMap::new();
    for (key, cost) in sums {
        let place = found.entry((label(key), key.currency.clone())).or_default();
        let (covered, total) = place.entry(key.tag_rule_id).or_default();
        *total += cost;
        if key.state.is_covered() {
            *covered += cost;
        }
    }
    let text = |(covered, total): &(BigDecimal, BigDecimal)| display::percent(covered, total).unwrap_or_default();
    let row = |((label, currency), by_rule): ((String, String), BTreeMap<i64, (BigDecimal, BigDecimal)>)| CoverageRow {
        label,
        currency,
        coverage: coverage
            .rules
            .iter()
            .map(|rule| by_rule.get(&rule.tag_rule_id).filter(|(_, total)| !total.is_zero()))
            .map(|sums| sums.map_or_else(|| "no cost".into(), text))
            .collect(),
    };
    found.into_iter().map(row).collect()
}

// The lines of what meets a rule in one way, in one currency.
fn cell_href(rule: &tag_rules::StoredTagRule, state: TagState, currency: &str, recent: DateRange) -> String {
    let gap = gap_text(&TagGap { state, tag_key: rule.values.tag_key.clone(), value: None });
    drill::on(&drill::lines_of(&[("gap", &gap), ("cur", currency)]), recent)
}

fn lines_of(one: &Offender, recent: DateRange) -> String {
    let gap = TagGap { state: one.state, tag_key: one.tag_key.clone(), value: one.value.clone() };
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| query::NONE.into());
    let lines = drill::lines_of(&[
        ("service", &or_none(&one.service_slug)),
        ("account", &or_none(&one.sub_account_id)),
        ("bought", &or_none(&one.provider_service)),
        ("gap", &gap_text(&gap)),
        ("cur", &one.currency),
    ]);
    drill::on(&lines, recent)
}

fn offender((one, cost): &(Offender, BigDecimal), recent: DateRange) -> OffenderRow {
    OffenderRow {
        key: one.tag_key.clone(),
        state: one.state.label(),
        value: one.value.clone().unwrap_or_default(),
        team: one.team.clone().unwrap_or_else(|| "No team".into()),
        service: one.service.clone().unwrap_or_else(|| "Not allocated".into()),
        href: lines_of(one, recent),
        account: one.sub_account_id.clone().unwrap_or_default(),
        provider_service: one.provider_service.clone().unwrap_or_default(),
        cost: moves::text(cost, &one.currency),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "tag_form.html")]
struct TagFormPage {
    page: Page,
    form: TagForm,
    message: String,
}

impl TagFormPage {
    fn kinds(&self) -> [EnvironmentKind; 6] {
        EnvironmentKind::ALL
    }
}

async fn new_form(State(app): State<AppState>, principal: Principal) -> Result<TagFormPage> {
    form_page(&app, &principal, TagForm::default(), String::new()).await
}

async fn edit_form(State(app): State<AppState>, principal: Principal, Path(id): Path<i64>) -> Result<TagFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let rules = tag_rules::list(&mut snapshot).await?;
    let rule = rules.into_iter().find(|rule| rule.tag_rule_id == id).ok_or(Error::NotFound)?;
    drop(snapshot);
    form_page(&app, &principal, TagForm::of(id, &rule.values), String::new()).await
}

async fn form_page(app: &AppState, principal: &Principal, form: TagForm, message: String) -> Result<TagFormPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let title = if form.id.is_some() { "Change a required tag" } else { "Require a tag" };
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Rules).await?;
    Ok(TagFormPage { page, form, message })
}

async fn save(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response> {
    let form = TagForm::read(fields)?;
    let work = {
        let (app, principal, form) = (app.clone(), principal.clone(), form.clone());
        async move {
            let values = form.values()?;
            let reason = checked_reason(&form.reason)?;
            let mut change = MappingChange::begin(&app, &principal, address).await?;
            let (login, now) = (change.actor().to_owned(), change.now());
            let author = Author { login: &login, now, reason: &reason };
            let saved = tag_rules::save(change.conn(), form.id, &values, author).await?;
            let id = saved.ok_or_else(|| {
                Error::Conflict(format!("The tag “{}” is asked for already, or the rule is gone.", values.tag_key))
            })?;
            let action = if form.id.is_some() { "tag_rule.changed" } else { "tag_rule.added" };
            change.audit(action, &id.to_string(), json!({ "rule": values, "reason": reason })).await?;
            // The keys of the tag become part of the rollup keys, so that its cost can be added up.
            change.finish().await
        }
    };
    match mapping_change::run(work).await {
        Ok(done) => Ok(done.redirect(|_| "/tags".into())),
        Err(error) => {
            let status = error.status();
            let message = mapping_change::sentence(error)?;
            let page = form_page(&app, &principal, form, message).await?;
            Ok((StatusCode::max(status, StatusCode::BAD_REQUEST), page).into_response())
        }
    }
}

async fn delete(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
) -> Result<Response> {
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let rules = tag_rules::list(change.conn()).await?;
        let rule = rules.into_iter().find(|rule| rule.tag_rule_id == id).ok_or(Error::NotFound)?;
        tag_rules::delete(change.conn(), id).await?;
        change.audit("tag_rule.deleted", &id.to_string(), json!({ "rule": rule.values })).await?;
        change.finish_without_remap().await
    });
    Ok(done.await?.redirect(|()| "/tags".into()))
}
