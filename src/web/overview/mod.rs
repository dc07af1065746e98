//! `/`: what was spent against the period before, what moved, what waits for someone, and how far the bills are in.

mod begins;
mod completeness;
mod few;
mod findings;
mod main_cause;
mod movers;

use super::anomalies;
use super::display::{Compared, Delta, Line, change_shown, decimals, money, percent};
use super::forecast::ForecastSection;
use super::parts::{Figure, Figures, Filters};
use super::query::{Accepts, NONE, Span, View, range_label};
use super::reporting::{RatedParts, Reporting};
use super::restated::{Looked, RestatedNotice};
use super::service::change_sentences;
use super::services::currencies;
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, drill};
use crate::focus::{BillingPeriod, CostBasis, DateRange};
use crate::store::anomaly_between;
use crate::store::anomaly_lists::{self, OpenSum};
use crate::store::costs::Dimension;
use crate::store::deployment_list::{self, DeploymentFilter, ListedDeployment};
use crate::store::deployment_marks::{self, Whose};
use crate::store::effect_digest::{self, FindingCounts};
use crate::store::environment_costs::{self, OpenItems};
use crate::store::freshness::SourceState;
use crate::store::history::RestatedOf;
use crate::store::service_costs::{self, ServiceCost};
use crate::store::unread_files::{self, POINTED_OUT_DAYS, UnreadFile};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use begins::Begins;
use bigdecimal::BigDecimal;
use chrono::{DateTime, Utc};
use completeness::Completeness;
use few::Few;
use findings::Finding;
pub use main_cause::MainCause;
use main_cause::MainCauses;
use movers::{Mover, Setting};

const ACCEPTS: Accepts = Accepts { texts: &[], by: &[], sort: &[] };
const DEPLOYMENT_COUNT: i64 = 4;
const FINDING_COUNT: i64 = 6;
const FINDING_READ_COUNT: i64 = 200;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/", Policy::SignedIn, show)
}

#[derive(Template, WebTemplate)]
#[template(path = "overview.html")]
struct OverviewPage {
    page: Page,
    filters: Filters,
    facts: Vec<String>,
    answer: String,
    restated: Option<RestatedNotice>,
    cost: Option<CostView>,
    empty: String,
    items: Vec<Item>,
    deployments: Vec<ListedDeployment>,
    findings: Vec<Finding>,
    services_csv: String,
    forecast: ForecastSection,
}

struct CostView {
    figures: Figures,
    reporting: Option<Reporting>,
    movers: Vec<Mover>,
    movers_total: Vec<Line>,
    period_head: String,
    comparison: String,
    few: Vec<Few>,
    completeness: Completeness,
}

/// Something that waits for someone.
#[derive(Clone, Default)]
struct Item {
    text: String,
    href: String,
    amount: String,
    /// The lines of the amount, where it has some.
    lines_href: String,
    note: String,
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    // The start page of those who may not see organisation totals is the first that they may.
    if !Policy::OrganisationMoney.allows(&principal) {
        let start = if Policy::Money.allows(&principal) { "/services" } else { "/deployments" };
        return Ok(Redirect::to(start).into_response());
    }
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::of_view(&app, &principal, &mut snapshot, "Overview", NavItem::Overview, &view).await?;
    let scope = principal.scope();
    let span = view.span(&page.bills);
    // The whole page is of one currency where one is asked for: what it says must not be of more than what it shows.
    let known = view.known_values(&mut snapshot).await?;
    let currency = known.currency.as_deref();
    let is_shown = |one: &str| currency.is_none_or(|currency| currency == one);
    let open = environment_costs::open_items(&mut snapshot, page.now).await?;
    let unread = if page.shows_bills { unread_files::list(&mut *snapshot, None, page.now).await? } else { Vec::new() };
    let unread: Vec<Item> = unread_item(&unread).into_iter().collect();
    let nobody = drill::on_days_of(span.as_ref(), &drill::lines(&view, &[("service", NONE)]));
    let (mut costs, mut cost, mut names, mut begins) = (Vec::new(), None, Vec::new(), Begins::default());
    if let Some(span) = &span {
        let filter = view.filter(&mut snapshot, span.days).await?;
        costs = service_costs::by_service(&mut snapshot, &scope, &filter, span.before).await?;
        names = currencies(&costs);
        if !names.is_empty() {
            if !span.is_compared() {
                // Part of what was before is no part of a change.
                costs.iter_mut().for_each(|cost| cost.cost_before = BigDecimal::default());
            }
            let moved = movers::rank(&costs, &names[0]);
            let weeks = DateRange::days_to(span.complete_to, 7 * movers::WEEK_COUNT);
            let ids: Vec<i64> = moved.iter().map(|service| service.service_id).collect();
            let weekly = service_costs::weekly(&mut snapshot, &scope, &filter.on(weeks), &ids).await?;
            let month = month_to_date(span);
            let shown_month = DateRange::new(
                month.start(),
                page.bills.last_charge_date().unwrap_or(span.complete_to) + chrono::Days::new(1),
            );
            let by_source =
                environment_costs::by_source(&mut snapshot, &scope, shown_month.unwrap_or(month), view.basis).await?;
            let open_anomalies =
                anomaly_between::list(&mut snapshot, &scope, anomaly_between::Whose::default(), span.days).await?;
            begins = Begins::read(&mut snapshot, &page.bills, span, &ids).await?;
            let explained: Vec<&ServiceCost> =
                moved.iter().filter(|service| !begins.has(service.service_id)).copied().collect();
            let causes =
                MainCauses::read(&app, &page.bills, &mut snapshot, &scope, (&filter, span), &explained).await?;
            let cause = |service: &ServiceCost| {
                let begin = begins.of(service.service_id, &view, &service.slug);
                let release = || causes.release_of(service, &view);
                let unusual = || findings::unusual(service, &open_anomalies);
                let main = || causes.of(service, &view);
                let other = || findings::other_cause(service, &view);
                begin.or_else(release).or_else(unusual).or_else(main).unwrap_or_else(other)
            };
            let setting = Setting { currencies: &names, is_compared: span.is_compared(), view: &view, nobody: &nobody };
            let (movers, movers_total) = movers::table(&costs, &moved, &weekly, setting, cause);
            let live = deployment_marks::count(&mut snapshot, Whose::default(), Some(span.days)).await?.live;
            let counts = effect_digest::counts(&mut snapshot, &scope, span.days).await?;
            let shown_month = shown_month.unwrap_or(month);
            let completeness =
                completeness::table(&page.bills, month, shown_month, &by_source, (&names, currency), &view);
            let unmapped = unmapped(&page, &view);
            let ways = Ways {
                lines: drill::on(&drill::lines(&view, &[]), span.days),
                nobody: unmapped.clone().unwrap_or_else(|| nobody.clone()),
            };
            let setting = few::Setting { view: &view, days: span.days, unmapped: unmapped.as_deref() };
            let rated = RatedParts::read(&mut snapshot, &scope, &filter, Dimension::ChargeCategory).await?;
            cost = Some(CostView {
                reporting: rated.as_ref().and_then(Reporting::new),
                figures: figures(span, &costs, &names, &completeness, month, (live, counts), ways),
                movers,
                movers_total,
                period_head: span.short_label(),
                comparison: span.comparison_label(),
                few: few::tables(&costs, &names, &setting),
                completeness,
            });
        }
    }
    let mut unusual = anomaly_lists::open_sums(&mut snapshot, &scope).await?;
    unusual.retain(|sum| is_shown(&sum.billing_currency));
    let forecast = ForecastSection::read(&mut snapshot, &scope, ("total", 0), currency).await?.compact();
    // Some of the newest may be in another currency.
    let read_count = if currency.is_some() { FINDING_READ_COUNT } else { FINDING_COUNT };
    let mut newest = effect_digest::newest(&mut snapshot, &scope, read_count).await?;
    newest.retain(|release| is_shown(&release.effect.billing_currency));
    newest.truncate(FINDING_COUNT as usize);
    let deployments = deployment_list::list(&mut snapshot, &DeploymentFilter::default(), DEPLOYMENT_COUNT).await?;
    let looked =
        Looked { page: "overview", publication_id: page.publication_id, basis: view.basis, of: RestatedOf::default() };
    let restated = RestatedNotice::read(&app, &principal, &mut snapshot, looked).await?;
    Ok(OverviewPage {
        restated,
        answer: format!("{} {}", answer(span.as_ref(), &costs, &names, &page, &begins), forecast.sentence())
            .trim_end()
            .into(),
        filters: Filters::new("/", &view, span.as_ref(), Vec::new()),
        facts: facts(&costs, &page, &view, &names),
        empty: empty(span.as_ref(), &page),
        items: [items(&page, &open, (&costs, &names, nobody), &unusual), unread].concat(),
        forecast,
        services_csv: view.link("/services.csv", &[]),
        page,
        cost,
        deployments,
        findings: findings::rows(&newest),
    }
    .into_response())
}

// Where what is not allocated is given away, if that page has the same figure: it is of EffectiveCost, in all
// currencies.
fn unmapped(page: &Page, view: &View) -> Option<String> {
    let is_same = page.shows_finance && view.basis == CostBasis::Amortized && view.text("cur").is_none();
    let of = |period: &str| format!("/unmapped?period={period}");
    is_same.then(|| view.text("period").map_or_else(|| "/unmapped".into(), of))
}

fn month_to_date(span: &Span) -> DateRange {
    let first = BillingPeriod::containing(span.complete_to).first_day();
    DateRange::new(first, span.complete_to + chrono::Days::new(1)).unwrap_or(span.days)
}

fn total(costs: &[ServiceCost]) -> Compared {
    let mut total = Compared::default();
    for cost in costs {
        total.add(true, &cost.currency, &cost.cost);
        total.add(false, &cost.currency, &cost.cost_before);
    }
    total
}

fn unallocated(costs: &[ServiceCost]) -> Compared {
    let mut sum = Compared::default();
    for cost in costs.iter().filter(|cost| cost.service_id == 0) {
        sum.add(true, &cost.currency, &cost.cost);
    }
    sum
}

/// Where key figures lead.
struct Ways {
    lines: String,
    /// Of what is not allocated.
    nobody: String,
}

fn figures(
    span: &Span,
    costs: &[ServiceCost],
    currencies: &[String],
    completeness: &Completeness,
    month: DateRange,
    (live, counts): (i64, FindingCounts),
    ways: Ways,
) -> Figures {
    let total = total(costs);
    let unallocated = unallocated(costs);
    let empty = |label: String, href: String| Figure { values: Vec::new(), href, ..Figure::plain(label, "", "") };
    let mut spend = empty(format!("Spend, {}", span.label()), ways.lines);
    spend.note = span.no_comparison().unwrap_or_default();
    let mut none = empty("Not allocated".into(), ways.nobody);
    for currency in currencies {
        let (now, before) = (total.cost(currency), total.cost_before(currency));
        let digits = decimals(currency, &now.abs().max(before.abs()));
        spend.values.push(money(&now, currency, digits));
        spend.deltas.extend(span.known(Delta::between(&now, &before, currency, digits)));
        let part = unallocated.cost(currency);
        none.values.extend(percent(&part, &now));
        let amount = money(&part, currency, digits);
        none.note = if none.note.is_empty() { amount } else { format!("{} and {amount}", none.note) };
    }
    let label = format!("{} to date, {} days", month.start().format("%B"), month.day_count());
    let mut to_date = empty(label, completeness.lines_href.clone());
    to_date.values = completeness.totals.clone();
    to_date.note = "complete days only".into();
    if to_date.values.is_empty() {
        to_date.values.push("not yet".into());
        to_date.href = String::new();
    }
    if none.values.is_empty() {
        none.values.push("not yet".into());
        none.href = String::new();
    }
    let deployments = Figure::plain("Deployments gone live", live.to_string(), span.days_label());
    Figures(vec![spend, to_date, findings::figure(&counts, span.days_label()), deployments, none])
}

fn facts(costs: &[ServiceCost], page: &Page, view: &View, currencies: &[String]) -> Vec<String> {
    let count = |mut ids: Vec<String>| {
        ids.sort();
        ids.dedup();
        ids.len()
    };
    let services = count(costs.iter().filter(|cost| cost.service_id != 0).map(|cost| cost.slug.clone()).collect());
    let teams = count(costs.iter().filter_map(|cost| cost.team_slug.clone()).collect());
    let mut facts = vec![format!("{services} services, {teams} teams, {} sources", page.bills.sources.len())];
    let money = if currencies.is_empty() { String::new() } else { format!("{}, ", currencies.join(" and ")) };
    facts.push(format!("{money}{}, tax and credits included", view.basis.label().to_lowercase()));
    if currencies.len() > 1 {
        facts.push("Currencies are shown beside each other, never added".into());
    }
    facts
}

fn answer(span: Option<&Span>, costs: &[ServiceCost], currencies: &[String], page: &Page, begins: &Begins) -> String {
    let Some(span) = span.filter(|_| !currencies.is_empty()) else {
        return if page.bills.sources.is_empty() {
            "No bills yet: cost appears here as soon as the first one is in.".into()
        } else {
            "No complete day of bills in this period yet.".into()
        };
    };
    let total = total(costs);
    let sentence = change_sentences(span, &total, currencies);
    let first = &currencies[0];
    let grew = costs
        .iter()
        .filter(|cost| cost.currency == *first && cost.service_id != 0 && !begins.has(cost.service_id))
        .max_by_key(|cost| &cost.cost - &cost.cost_before)
        .filter(|cost| span.is_compared() && cost.cost > cost.cost_before)
        .map(|cost| {
            // As the table below shows it.
            let digits = decimals(first, &total.cost(first).abs().max(total.cost_before(first).abs()));
            let change = change_shown(&cost.cost, &cost.cost_before, digits);
            format!(" {} grew most, by {}.", cost.name, money(&change, first, digits))
        })
        .unwrap_or_default();
    format!("{sentence} {}.{}{grew}", span.sides(), begins::sentence(&page.bills, span))
}

fn empty(span: Option<&Span>, page: &Page) -> String {
    if page.bills.sources.is_empty() {
        "Import a FOCUS file (CSV, gzip, zstd or Parquet) to see cost. Deployments can be sent at any time.".into()
    } else if span.is_none() {
        format!("{}. Days that are still arriving are not added up.", page.freshness)
    } else {
        "The bills hold no charge in this period.".into()
    }
}

fn items(
    page: &Page,
    open: &OpenItems,
    (costs, currencies, nobody): (&[ServiceCost], &[String], String),
    unusual: &[OpenSum],
) -> Vec<Item> {
    let mut items = Vec::new();
    if !unusual.is_empty() {
        items.push(Item {
            text: "Unusual cost that is open".into(),
            href: "/anomalies?state=open".into(),
            amount: unusual.iter().map(|sum| sum.count).sum::<i64>().to_string(),
            note: anomalies::open_fact(unusual),
            ..Item::default()
        });
    }
    let unallocated = unallocated(costs);
    let amounts: Vec<String> = currencies
        .iter()
        .map(|currency| (currency, unallocated.cost(currency)))
        .filter(|(_, cost)| *cost != BigDecimal::default())
        .map(|(currency, cost)| money(&cost, currency, decimals(currency, &cost)))
        .collect();
    if !amounts.is_empty() {
        items.push(Item {
            text: "Cost that no rule maps to a service".into(),
            href: if page.shows_finance { "/unmapped".into() } else { String::new() },
            amount: amounts.join(" and "),
            lines_href: nobody,
            note: "In these days; a rule takes a minute".into(),
        });
    }
    if open.quarantined_count > 0 {
        items.push(Item {
            text: "Deliveries in quarantine".into(),
            href: if page.shows_bills { "/sources".into() } else { String::new() },
            amount: open.quarantined_count.to_string(),
            note: "Nothing of them is counted until someone accepts them".into(),
            ..Item::default()
        });
    }
    if let Some(delivery_id) = open.late_delivery_id {
        items.push(Item {
            text: "Bills that change a closed month".into(),
            href: match (page.shows_bills, open.late_count) {
                (true, 1) => format!("/deliveries/{delivery_id}"),
                (true, _) => "/sources".into(),
                (false, _) => String::new(),
            },
            amount: open.late_count.to_string(),
            note: "Finance decides: book the difference to the open month, or refuse it".into(),
            ..Item::default()
        });
    }
    for source in page.bills.late() {
        let SourceState::Late(days) = page.bills.state(source) else { continue };
        items.push(Item {
            text: format!("{} is late", source.name),
            href: if page.shows_bills { "/sources".into() } else { String::new() },
            amount: if days == 1 { "1 day".into() } else { format!("{days} days") },
            note: format!("Complete to {}; figures of later days lack it", source.complete_to.format("%-d %b %Y")),
            ..Item::default()
        });
    }
    for gap in &page.bills.gaps {
        items.push(Item {
            text: format!("{} has no bill for {}", gap.name, gap.period.label()),
            href: if page.shows_bills { format!("/sources/{}", gap.source_id) } else { String::new() },
            amount: String::new(),
            note: "Its days are partial: what it bills on them is not known".into(),
            ..Item::default()
        });
    }
    if open.unmapped_deployment_count > 0 {
        items.push(Item {
            text: "Deployments without a service".into(),
            href: "/deployments?service=none".into(),
            amount: open.unmapped_deployment_count.to_string(),
            note: "In the last 90 days; they cannot be compared with cost".into(),
            ..Item::default()
        });
    }
    if open.failed_event_count > 0 {
        items.push(Item {
            text: "Events that could not be read".into(),
            href: if page.shows_admin {
                "/settings/event-sources?state=error#deliveries".into()
            } else {
                String::new()
            },
            amount: open.failed_event_count.to_string(),
            note: "They are kept and can be read again".into(),
            ..Item::default()
        });
    }
    items
}

fn unread_item(files: &[UnreadFile]) -> Option<Item> {
    let newest = files.iter().max_by_key(|file| file.delivery_id)?;
    Some(Item {
        text: "Files of bills that could not be read".into(),
        href: match files {
            [one] => format!("/deliveries/{}", one.delivery_id),
            _ => "/sources".into(),
        },
        amount: files.len().to_string(),
        note: format!(
            "Of the last {POINTED_OUT_DAYS} days, the newest is {}; nothing of them counts",
            newest.file_name
        ),
        ..Item::default()
    })
}

/// `10 Nov`, with the year where it is another one.
fn short_day(at: &DateTime<Utc>, now: &DateTime<Utc>) -> String {
    let same_year = at.format("%Y").to_string() == now.format("%Y").to_string();
    at.format(if same_year { "%-d %b" } else { "%-d %b %Y" }).to_string()
}
