//! Unit costs of services, environments or products in a period, against the one before.

use super::builds;
use crate::analyze::unit_cost::billed;
use crate::analyze::unit_economics::{Comparison, Side, compare};
use crate::focus::DateRange;
use crate::store::costs::CostFilter;
use crate::store::freshness::Freshness;
use crate::store::known_days::Lacking;
use crate::store::metrics::{self, Metric};
use crate::store::unit_costs::{self, GroupUsage, UnitGroup};
use crate::store::{Scope, Snapshot};
use crate::web::query::{Accepts, Span, View};
use crate::web::{Error, Result};
use bigdecimal::{BigDecimal, Zero};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// What the page and the API take.
pub const ACCEPTS: Accepts =
    Accepts { texts: &["metric", "service", "env", "team"], by: &["service", "env", "product"], sort: &[] };

/// One group in one currency.
#[derive(Debug, Clone)]
pub struct GroupUnit {
    /// Slug, or name of the product.
    pub key: String,
    /// What people call it.
    pub label: String,
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// The period after, the one before it before.
    pub comparison: Comparison,
}

/// Where a unit has a cost, since something was used there. Of two metrics the later is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HasCost {
    Nowhere,
    BeforeAlone,
    InThePeriod,
}

impl HasCost {
    fn of(units: &[GroupUnit]) -> Self {
        let is_used = |side: &Side| !side.unit.usage.is_zero();
        if units.iter().any(|one| is_used(&one.comparison.after)) {
            Self::InThePeriod
        } else if units.iter().any(|one| is_used(&one.comparison.before)) {
            Self::BeforeAlone
        } else {
            Self::Nowhere
        }
    }
}

/// All groups of a view.
pub struct Groups {
    /// The days; `None` before the first bill.
    pub span: Option<Span>,
    /// How they are told apart.
    pub group: UnitGroup,
    /// What is counted; `None` where nothing is.
    pub metric: Option<Metric>,
    /// Metrics that could be.
    pub metrics: Vec<String>,
    /// The dearest first.
    pub units: Vec<GroupUnit>,
    /// Those that have usage and cost, and of which the cost is not that of the units: builds of services that do
    /// something else.
    pub left_out: Vec<GroupUnit>,
}

impl Groups {
    /// What is left out, counted and named; empty where nothing is.
    pub fn left_out_words(&self) -> String {
        builds::left_out(self.group, &self.left_out.iter().map(|one| one.label.clone()).collect())
    }
}

// What people call each group, by its key and currency, and its cost by day.
type GroupCosts = BTreeMap<(String, String), (String, BTreeMap<NaiveDate, BigDecimal>)>;

/// Reads the groups of a view.
pub async fn groups(conn: &mut Snapshot, scope: &Scope, view: &View, bills: &Freshness) -> Result<Groups> {
    let group = UnitGroup::from_key(view.by());
    let Some(span) = view.span(bills) else {
        let (units, left_out) = (Vec::new(), Vec::new());
        return Ok(Groups { span: None, group, metric: None, metrics: Vec::new(), units, left_out });
    };
    let (start, end) = (span.days.start().min(span.before.start()), span.days.end().max(span.before.end()));
    let both = DateRange::new(start, end).unwrap_or(span.days);
    let filter = view.filter(conn, span.days).await?;
    let mut names = metrics::units_of_all(conn, scope, &filter, both).await?;
    let mut asked_for = asked_for(conn, view, &mut names).await?;
    let tried: Vec<String> = match &asked_for {
        Some(metric) => vec![metric.metric.clone()],
        None => names.iter().take(metrics::UNITS_TRIED_MAX).cloned().collect(),
    };
    let mut read =
        Groups { span: Some(span), group, metric: None, metrics: names, units: Vec::new(), left_out: Vec::new() };
    if tried.is_empty() {
        return Ok(read);
    }
    let lacking = lacking(conn, group, both, bills).await?;
    let asked = Asked { scope, filter, group, span, both, lacking };
    // The best one may have values and no unit cost, all zeros say, or one of before alone; where none has, it is told
    // all the same.
    let (mut told, mut costs) = (HasCost::Nowhere, None::<GroupCosts>);
    for name in tried {
        let given = asked_for.take();
        let metric = if given.is_some() { given } else { metrics::get(conn, &name).await? };
        let Some(metric) = metric else { continue };
        // By service they are those of services that the metric is told for, else of all: read once for all metrics.
        let own = match costs.take().filter(|_| group != UnitGroup::Service) {
            Some(known) => known,
            None => costs_of(conn, &asked, &metric.metric).await?,
        };
        let all = units_of(conn, &asked, &metric.metric, costs.insert(own)).await?;
        let apart = builds::groups_apart(conn, scope, &asked.filter, &metric, group, both).await?;
        let (left_out, units): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| apart.contains(&one.key));
        let has_cost = HasCost::of(&units);
        if read.metric.is_none() || has_cost > told {
            (read.metric, read.units, read.left_out, told) = (Some(metric), units, left_out, has_cost);
        }
        if told == HasCost::InThePeriod {
            break;
        }
    }
    Ok(read)
}

// The metric that is asked for. It joins these, whatever it has values of.
async fn asked_for(conn: &mut Snapshot, view: &View, names: &mut Vec<String>) -> Result<Option<Metric>> {
    let Some(name) = view.text("metric") else { return Ok(None) };
    let metric = metrics::get(conn, name).await?.filter(Metric::has_unit_cost);
    let metric = metric.ok_or_else(|| {
        Error::Invalid(format!(
            "metric={name} has no unit cost. Allowed: a metric of /metrics whose values add up and whose meaning is \
             stated, such as requests."
        ))
    })?;
    if !names.contains(&metric.metric) {
        names.push(metric.metric.clone());
    }
    Ok(Some(metric))
}

// What unit costs are asked of, whatever the metric.
struct Asked<'a> {
    scope: &'a Scope,
    filter: CostFilter,
    group: UnitGroup,
    span: Span,
    // The days of both periods, and those between.
    both: DateRange,
    lacking: BTreeMap<String, Lacking>,
}

async fn costs_of(conn: &mut Snapshot, asked: &Asked<'_>, metric: &str) -> Result<GroupCosts> {
    let Asked { scope, filter, group, both, .. } = asked;
    let mut by_group = GroupCosts::new();
    for row in unit_costs::costs(conn, scope, filter, metric, *group, *both).await? {
        let entry = by_group.entry((row.key, row.currency)).or_insert_with(|| (row.label, BTreeMap::new()));
        *entry.1.entry(row.charge_date).or_default() += row.cost;
    }
    Ok(by_group)
}

// The groups that this metric is known for, the dearest first.
async fn units_of(conn: &mut Snapshot, asked: &Asked<'_>, metric: &str, costs: &GroupCosts) -> Result<Vec<GroupUnit>> {
    let Asked { scope, filter, group, span, both, lacking } = asked;
    let usage = whole_days(unit_costs::usage(conn, scope, filter, metric, *group, *both).await?);
    let mut units: Vec<GroupUnit> = costs
        .iter()
        .filter_map(|((key, currency), (label, costs))| {
            let lacks = |day| lacking.get(key).is_some_and(|own| own.has(currency, day));
            let used = billed(usage.get(key)?.clone(), |day| span.has_bill(day) && !lacks(day));
            let side = |days| Side::of(days, costs, &used);
            let comparison = compare(side(span.before), side(span.days));
            let is_known = comparison.before.unit.day_count + comparison.after.unit.day_count > 0;
            let (key, label, currency) = (key.clone(), label.clone(), currency.clone());
            is_known.then_some(GroupUnit { key, label, currency, comparison })
        })
        .filter(|one| !(one.comparison.after.unit.cost.is_zero() && one.comparison.before.unit.cost.is_zero()))
        .collect();
    units.sort_by(|left, right| {
        let cost = |one: &GroupUnit| one.comparison.after.unit.cost.clone();
        cost(right).cmp(&cost(left)).then_with(|| (&left.label, &left.currency).cmp(&(&right.label, &right.currency)))
    });
    Ok(units)
}

/// The groups of whose cost a late source, or a bill that lacks between others, makes a material part, each with the days
/// without it.
pub async fn lacking(
    conn: &mut Snapshot,
    group: UnitGroup,
    days: DateRange,
    bills: &Freshness,
) -> Result<BTreeMap<String, Lacking>> {
    if bills.late().next().is_none() && bills.known.gaps().is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut services: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (key, service_id) in unit_costs::services(conn, group, days).await? {
        services.entry(key).or_default().push(service_id);
    }
    Ok(services.into_iter().map(|(key, ids)| (key, bills.lacking(&ids))).collect())
}

// A day on which a service is missing says less than there was: it is not known.
fn whole_days(rows: Vec<GroupUsage>) -> BTreeMap<String, BTreeMap<NaiveDate, BigDecimal>> {
    let mut most: BTreeMap<String, i64> = BTreeMap::new();
    for row in &rows {
        let count = most.entry(row.key.clone()).or_default();
        *count = row.service_count.max(*count);
    }
    let mut usage: BTreeMap<String, BTreeMap<NaiveDate, BigDecimal>> = BTreeMap::new();
    for row in rows {
        if row.is_whole && row.service_count == most[&row.key] {
            usage.entry(row.key).or_default().insert(row.charge_date, row.value);
        }
    }
    usage
}
