//! `/unit-costs`: what a request, an order, a run or a job costs, by service, environment or product; and the sections of
//! other pages that say it of one deployment or service.

mod builds;
mod goals;
mod groups;
mod read;
mod resources;
mod table;
mod words;

pub use builds::{groups_apart, left_out};
pub use goals::{StatedGoal, form as goal_form, state as state_goal};
pub use groups::{ACCEPTS, GroupUnit, Groups, groups, lacking};
pub use read::{Duration, NoDuration, ServiceCosts, Sides, Workload, workloads};
pub use resources::{Resource, ResourceRow};
pub use table::{GoalForm, UnitSection, csv, decimal, figure, per_unit};
pub use words::{no_cost, verdict as verdict_words};

use super::cost_columns::CostColumns;
use super::csv::{Cell, Table};
use super::parts::{Filters, Select, Switch};
use super::query::{NONE, View, range_label};
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, filters};
use crate::analyze::unit_economics::Side;
use crate::store::service_costs;
use crate::store::unit_costs::UnitGroup;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bigdecimal::BigDecimal;
use words::Unit;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/unit-costs", Policy::Money, show)
        .get("/unit-costs.csv", Policy::Money, export)
        .post("/services/{slug}/goals", Policy::Review, goals::add)
        .post("/services/{slug}/goals/remove", Policy::Review, goals::remove)
}

struct GroupRow {
    name: String,
    href: String,
    currency: String,
    cost: String,
    usage: String,
    before: String,
    now: String,
    change: String,
    interval: String,
    class: &'static str,
    volume: String,
    parts: String,
    unknown: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "unit_costs.html")]
struct UnitCostsPage {
    page: Page,
    filters: Filters,
    switches: Vec<Switch>,
    answer: String,
    comparison: String,
    group: &'static str,
    per: String,
    rows: Vec<GroupRow>,
    /// Groups without a row that have cost and usage; may be empty.
    left_out: String,
    has_metrics: bool,
    csv_href: String,
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<UnitCostsPage> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::of_view(&app, &principal, &mut snapshot, "Unit costs", NavItem::UnitCosts, &view).await?;
    let read = groups(&mut snapshot, &principal.scope(), &view, &page.bills).await?;
    let choices = service_costs::choices(&mut snapshot).await?;
    let span = read.span;
    let rows: Vec<GroupRow> =
        read.units.iter().filter_map(|unit| Some(row(unit, read.metric.as_ref()?, read.group))).collect();
    Ok(UnitCostsPage {
        answer: answer(&read),
        left_out: read.left_out_words(),
        filters: Filters::new("/unit-costs", &view, span.as_ref(), selects(&view, choices, &read)),
        switches: UnitGroup::ALL
            .iter()
            .map(|&(group, label)| Switch {
                label,
                href: view.link("/unit-costs", &[("by", if group == UnitGroup::Service { "" } else { group.key() })]),
                is_current: group == read.group,
            })
            .collect(),
        comparison: span.map(|span| span.both_label()).unwrap_or_default(),
        group: UnitGroup::ALL.iter().find(|(group, _)| *group == read.group).map_or("Service", |(_, label)| *label),
        per: read.metric.as_ref().map(super::service::usage::per).unwrap_or_default(),
        // Of a part there may be none, and some of the whole.
        has_metrics: !read.metrics.is_empty() || view.is_filtered(),
        rows,
        csv_href: view.link("/unit-costs.csv", &[]),
        page,
    })
}

fn selects(view: &View, choices: service_costs::Choices, read: &Groups) -> Vec<Select> {
    let all = || vec![(String::new(), "All".to_owned())];
    let metrics = read.metrics.iter().map(|metric| (metric.clone(), metric.clone())).collect();
    let chosen = read.metric.as_ref().map(|metric| metric.metric.clone()).unwrap_or_default();
    vec![
        Select::new("metric", "Unit", &chosen, metrics),
        Select::new("team", "Team", view.field("team"), [all(), choices.teams].concat()),
        Select::new(
            "env",
            "Environment",
            view.field("env"),
            [all(), choices.environments, vec![(NONE.to_owned(), "None".to_owned())]].concat(),
        ),
    ]
}

fn row(one: &GroupUnit, metric: &crate::store::metrics::Metric, group: UnitGroup) -> GroupRow {
    let (before, now) = (&one.comparison.before, &one.comparison.after);
    let unit = Unit::new(metric, &one.currency, [before, now]);
    let (change, interval, class) = unit.change(one.comparison.change, one.comparison.relative);
    let digits = super::display::decimals(&one.currency, &now.unit.cost);
    let unknown = now.unit.unknown_days.len();
    GroupRow {
        name: one.label.clone(),
        href: match group {
            UnitGroup::Service => format!("/services/{}", one.key),
            UnitGroup::Environment => format!("/environments/{}", one.key),
            UnitGroup::Product => String::new(),
        },
        currency: one.currency.clone(),
        cost: super::display::money(&now.unit.cost, &one.currency, digits),
        usage: super::metrics::written(&now.unit.usage),
        before: unit.exact(before),
        now: unit.exact(now),
        change,
        interval,
        class,
        volume: unit.volume(one.comparison.change, one.comparison.from_volume),
        parts: unit.parts(now),
        unknown: match unknown {
            0 => String::new(),
            1 => "1 day is not known, and left out with its cost".into(),
            count => format!("{count} days are not known, and left out with their cost"),
        },
    }
}

fn answer(read: &Groups) -> String {
    let (Some(span), Some(metric)) = (&read.span, &read.metric) else {
        return match read.span {
            None => "No complete day of bills lies in this period yet.".into(),
            Some(_) => "No metric that adds up has values on these days, so that no unit has a cost.".into(),
        };
    };
    let per = super::service::usage::per(metric);
    if read.units.is_empty() {
        return format!("Nothing here has a cost {per} from {}.", range_label(span.days));
    }
    let clear = |rises: bool| {
        let is = |one: &&GroupUnit| {
            one.comparison.change.is_some_and(|change| if rises { change.low > 0.0 } else { change.high < 0.0 })
        };
        read.units.iter().filter(is).count()
    };
    format!(
        "What {} cost {per} from {}, against {}: clearly more for {}, clearly less for {}, of {}.",
        metric.metric,
        range_label(span.days),
        span.before_label(),
        clear(true),
        clear(false),
        filters::grouped(&BigDecimal::from(read.units.len() as i64), 0)
    )
}

async fn export(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let bills = app.bills(&mut snapshot).await?;
    let read = groups(&mut snapshot, &principal.scope(), &view, &bills).await?;
    let costs = CostColumns::new(view.basis, read.span);
    let own = [
        "Group",
        "Name",
        "Metric",
        "BillingCurrency",
        "Side",
        costs.cost,
        "Usage",
        "KnownDays",
        "UnknownDays",
        "CostPerUnit",
        "FixedPerDay",
        "VariablePerUnit",
        "RSquared",
        "CannotTell",
        "NoInterval",
    ];
    let mut table = Table::new(&own);
    let metric = read.metric.as_ref().map(|metric| metric.metric.clone()).unwrap_or_default();
    let told = read.units.iter().map(|one| (one, false));
    for (one, is_left_out) in told.chain(read.left_out.iter().map(|one| (one, true))) {
        for (name, side) in [("before", &one.comparison.before), ("now", &one.comparison.after)] {
            unit_row(&mut table, one, &metric, (name, side), is_left_out);
        }
    }
    Ok(table.into_response(&costs.file_name("unit-costs")))
}

// What is left out has its cost and usage, and no cost of a unit.
fn unit_row(table: &mut Table, one: &GroupUnit, metric: &str, (name, side): (&str, &Side), is_left_out: bool) {
    let parts = side.parts.as_ref().ok().filter(|_| !is_left_out);
    let per_unit = side.per(1).filter(|_| !is_left_out).map(|cost| cost.with_prec(30).normalized());
    let of = |value: Option<f64>| value.map(decimal);
    let (fixed, variable, fit) = (
        of(parts.map(|parts| parts.fixed_per_day.value)),
        of(parts.map(|parts| parts.variable_per_unit.value)),
        of(parts.map(|parts| parts.r_squared)),
    );
    let (cannot_tell, no_interval) = match is_left_out {
        true => (builds::OWN_BUILDS, builds::OWN_BUILDS),
        false => (
            side.parts.as_ref().err().map_or("", |reason| reason.key()),
            side.per_unit.err().map_or("", |reason| reason.key()),
        ),
    };
    table.row(&[
        (&one.key).into(),
        (&one.label).into(),
        metric.into(),
        (&one.currency).into(),
        name.into(),
        (&side.unit.cost).into(),
        (&side.unit.usage).into(),
        (side.unit.day_count as i64).into(),
        (side.unit.unknown_days.len() as i64).into(),
        Cell::from(&per_unit),
        Cell::from(&fixed),
        Cell::from(&variable),
        Cell::from(&fit),
        cannot_tell.into(),
        no_interval.into(),
    ]);
}
