//! What a unit of a metric cost on each of the last days: the services that it is known of, together.

use super::super::csv::{Cell, Table};
use super::super::display::{decimals, money};
use super::super::service::unit_chart::{Days, UnitChart};
use super::super::service::usage::{per, unit_decimals};
use super::super::unit_costs::{groups_apart, lacking, left_out, no_cost};
use super::super::{AppState, Error, Policy, Principal, Result};
use super::{href, written};
use crate::analyze::unit_cost::UnitCost;
use crate::analyze::unit_economics::Side;
use crate::focus::{CostBasis, DateRange};
use crate::store::costs::CostFilter;
use crate::store::freshness::Freshness;
use crate::store::known_days::Lacking;
use crate::store::metrics::{self, Metric};
use crate::store::unit_costs::{self, UnitGroup};
use crate::store::{Scope, Snapshot};
use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// Complete days that are looked at.
const DAYS: u32 = 90;

/// The section of the metric's page.
#[derive(Template)]
#[template(path = "partials/metric_unit_cost.html")]
pub(super) struct UnitCostSection {
    /// The days, in words; empty before the first bill.
    label: String,
    per: String,
    /// One a currency.
    totals: Vec<Total>,
    chart: Option<UnitChart>,
    csv_href: String,
    services_href: String,
    /// Services that are not in it, counted and named; may be empty.
    left_out: String,
    /// Why there is nothing, and what to do.
    empty: &'static str,
}

impl askama::filters::HtmlSafe for UnitCostSection {}

struct Total {
    unit_cost: String,
    cost: String,
    usage: String,
    known_days: usize,
    unknown_days: usize,
}

/// Cost and usage by day, of those services and days of which both are known.
#[derive(Default)]
struct Sums {
    costs: BTreeMap<NaiveDate, BigDecimal>,
    usage: BTreeMap<NaiveDate, BigDecimal>,
    charge_days: usize,
}

// By service and day.
type ByService = BTreeMap<String, BTreeMap<NaiveDate, BigDecimal>>;

struct Read {
    days: DateRange,
    // By currency.
    costs: BTreeMap<String, ByService>,
    usage: ByService,
    bills: Freshness,
    // Services of which a bill that lacks makes a material part, each with the days without it.
    lacking: BTreeMap<String, Lacking>,
    // Services that cost and use something, and whose cost is not that of the units.
    apart: BTreeSet<String>,
}

impl Read {
    async fn of(conn: &mut Snapshot, scope: &Scope, metric: &Metric, bills: &Freshness) -> Result<Option<Self>> {
        let Some(last) = bills.complete_to() else { return Ok(None) };
        let days = DateRange::days_to(last, DAYS);
        let filter = CostFilter::new(days, CostBasis::default());
        let group = UnitGroup::Service;
        let lacking = lacking(conn, group, days, bills).await?;
        let apart = groups_apart(conn, scope, &filter, metric, group, days).await?;
        let (costs, usage, bills) = (BTreeMap::new(), BTreeMap::new(), bills.clone());
        let mut read = Self { days, costs, usage, bills, lacking, apart };
        for row in unit_costs::costs(conn, scope, &filter, &metric.metric, group, days).await? {
            let of = read.costs.entry(row.currency).or_default().entry(row.key).or_default();
            *of.entry(row.charge_date).or_default() += row.cost;
        }
        let usage = unit_costs::usage(conn, scope, &filter, &metric.metric, group, days).await?;
        for row in usage.into_iter().filter(|row| row.is_whole) {
            read.usage.entry(row.key).or_default().insert(row.charge_date, row.value);
        }
        Ok(Some(read))
    }

    // Whether everything that bills the service in this currency is there.
    fn is_billed(&self, service: &str, currency: &str, day: &NaiveDate) -> bool {
        self.bills.has_bill(*day) && self.lacking.get(service).is_none_or(|lacking| !lacking.has(currency, *day))
    }

    // A service's day counts where its usage is known, with its cost; all others are left out, with theirs.
    fn sums(&self, currency: &str, costs: &ByService) -> Sums {
        let mut sums = Sums::default();
        for (service, by_day) in costs.iter().filter(|(service, _)| !self.apart.contains(*service)) {
            sums.charge_days += by_day.len();
            for (day, value) in
                self.usage.get(service).into_iter().flatten().filter(|(day, _)| self.is_billed(service, currency, day))
            {
                *sums.usage.entry(*day).or_default() += value;
                *sums.costs.entry(*day).or_default() += by_day.get(day).cloned().unwrap_or_default();
            }
        }
        sums
    }
}

/// The section; none for whoever sees no money.
pub(super) async fn section(
    conn: &mut Snapshot,
    principal: &Principal,
    metric: &Metric,
    bills: &Freshness,
) -> Result<Option<UnitCostSection>> {
    if !Policy::Money.allows(principal) {
        return Ok(None);
    }
    let mut section = UnitCostSection {
        label: String::new(),
        per: per(metric),
        totals: Vec::new(),
        chart: None,
        csv_href: format!("{}/unit-costs.csv", href(&metric.metric)),
        services_href: format!(
            "/unit-costs?{}",
            serde_urlencoded::to_string([("metric", &metric.metric)]).unwrap_or_default()
        ),
        left_out: String::new(),
        empty: "",
    };
    if !metric.is_summed() {
        section.empty = "Values of this metric do not add up, so that no cost can be divided by them.";
        return Ok(Some(section));
    }
    if !metric.has_unit_cost() {
        section.empty = "Nobody has said yet what this metric counts, and in which unit: once somebody does, the cost of a unit \
                         stands here.";
        return Ok(Some(section));
    }
    let Some(read) = Read::of(conn, &principal.scope(), metric, bills).await? else {
        section.empty = "No complete day of bills is known yet. Once there is one, the cost of a unit stands here.";
        return Ok(Some(section));
    };
    section.label = format!("{} to {}", written_day(read.days.start()), written_day(read.days.last_day()));
    let mut all: Vec<(&String, Sums)> =
        read.costs.iter().map(|(currency, costs)| (currency, read.sums(currency, costs))).collect();
    // The currency of most days is the one of the chart.
    all.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.charge_days));
    for (currency, sums) in &all {
        let side = Side::of(read.days, &sums.costs, &sums.usage);
        let cost = side.per(metric.unit_cost_per);
        if cost.is_some() || side.has_too_few_units() {
            let text = |cost: &BigDecimal| money(cost, currency, unit_decimals(&cost.abs(), currency));
            section.totals.push(Total {
                unit_cost: cost.as_ref().map_or_else(|| no_cost(&side).to_owned(), text),
                cost: money(&side.unit.cost, currency, decimals(currency, &side.unit.cost)),
                usage: written(&side.unit.usage),
                known_days: side.unit.day_count,
                unknown_days: side.unit.unknown_days.len(),
            });
        }
    }
    section.left_out = left_out(UnitGroup::Service, &read.apart);
    if let Some((currency, sums)) = all.first() {
        let (range, units) = (read.days, metric.unit_cost_per);
        let days = Days { range, costs: &sums.costs, usage: &sums.usage, units, currency };
        section.chart = UnitChart::new(&metric.metric, per(metric), &days);
    }
    if section.totals.is_empty() && !section.left_out.is_empty() {
        section.empty = "No unit cost is told: all that these services cost is not the cost of being built. Choose the metric as the \
                         unit of a service on its page where it is.";
    } else if section.totals.is_empty() {
        section.empty = "No unit cost is known of these days: no service has both cost and a value that is not zero on one of \
                         them. Values count for the service that they name, and cost for the one that the rules name.";
    }
    Ok(Some(section))
}

fn written_day(day: NaiveDate) -> String {
    day.format("%-d %b %Y").to_string()
}

/// Every service, day and currency behind the chart; a unit cost only where the usage is known.
pub(super) async fn export(
    State(app): State<AppState>,
    principal: Principal,
    Path(name): Path<String>,
) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let metric = metrics::get(&mut snapshot, &name).await?.ok_or(Error::NotFound)?;
    let bills = app.bills(&mut snapshot).await?;
    let mut table = Table::new(&[
        "Metric",
        "Service",
        "Day",
        "BillingCurrency",
        "EffectiveCost",
        "Usage",
        "UnitCostPer",
        "UnitCost",
    ]);
    let read =
        if metric.has_unit_cost() { Read::of(&mut snapshot, &principal.scope(), &metric, &bills).await? } else { None };
    for read in read.iter() {
        for (currency, costs) in &read.costs {
            for (service, by_day) in costs {
                let (none, is_told) = (BTreeMap::new(), !read.apart.contains(service));
                let used = read.usage.get(service).unwrap_or(&none);
                let days: BTreeSet<&NaiveDate> = by_day.keys().chain(used.keys()).collect();
                for day in days {
                    let unit = UnitCost::of(DateRange::days_to(*day, 1), by_day, used);
                    let known =
                        unit.per(metric.unit_cost_per).filter(|_| is_told && read.is_billed(service, currency, day));
                    let unit_cost = known.map(|cost| cost.with_prec(30).normalized());
                    let (cost, usage) = (by_day.get(day).cloned(), used.get(day).cloned());
                    table.row(&[
                        (&name).into(),
                        service.into(),
                        day.to_string().into(),
                        currency.into(),
                        Cell::from(&cost),
                        Cell::from(&usage),
                        i64::from(metric.unit_cost_per).into(),
                        Cell::from(&unit_cost),
                    ]);
                }
            }
        }
    }
    Ok(table.into_response(&format!("unit-costs-{name}.csv")))
}
