//! Workloads on two sides as the section of a page and as CSV.

use super::read::Workload;
use super::resources::{self, Resource, ResourceRow};
use super::words::{UnitRow, row};
use crate::analyze::unit_economics::{Figure, Side};
use crate::web::csv::{Cell, Table};
use askama::Template;
use bigdecimal::{BigDecimal, FromPrimitive};

/// The section "What a unit costs". Written into a template as it is.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/unit_economics.html")]
pub struct UnitSection {
    /// Rows.
    pub rows: Vec<UnitRow>,
    /// How long runs took and what they used.
    pub resources: Vec<ResourceRow>,
    /// "28 days before against 12 after".
    pub sides: String,
    /// Whether rows name their service.
    pub names_services: bool,
    /// The rows as CSV.
    pub csv_href: String,
    /// The form that states a goal; `None` where the reader may not.
    pub goal_form: Option<GoalForm>,
}

impl askama::filters::HtmlSafe for UnitSection {}

/// What a goal can be stated for.
#[derive(Debug, Clone)]
pub struct GoalForm {
    /// The service.
    pub slug: String,
    /// Metrics whose units can have a goal.
    pub metrics: Vec<String>,
    /// Metrics that may tell a duration.
    pub durations: Vec<String>,
    /// Goals that are stated: metric, words, by whom and when.
    pub stated: Vec<(String, String, String)>,
}

impl UnitSection {
    /// The section of some workloads.
    pub fn new(workloads: &[Workload], sides: String, csv_href: String) -> Self {
        let first = workloads.first().map(|one| one.service.service_id);
        Self {
            rows: known_first(workloads).map(row).collect(),
            resources: resources::rows(workloads),
            sides,
            names_services: workloads.iter().any(|one| Some(one.service.service_id) != first),
            csv_href,
            goal_form: None,
        }
    }
}

// Those whose change is known, then those with both sides, then the others; the order in each is kept.
fn known_first(workloads: &[Workload]) -> impl Iterator<Item = &Workload> {
    let unknown = |one: &Workload| {
        let sides = [&one.comparison.before, &one.comparison.after];
        let lacking = sides.iter().filter(|side| side.unit.day_count == 0).count();
        if one.comparison.change.is_some() { 0 } else { 1 + lacking }
    };
    (0..=3).flat_map(move |count| workloads.iter().filter(move |one| unknown(one) == count))
}

/// The workloads as CSV. Unit costs are exact quotients with at most a hundred digits; intervals and fits are estimates.
pub fn csv(workloads: &[Workload]) -> Table {
    let mut table = Table::new(&[
        "Service",
        "Metric",
        "BillingCurrency",
        "Side",
        "EffectiveCost",
        "Usage",
        "KnownDays",
        "UnknownDays",
        "CostPerUnit",
        "CostPerUnitLow",
        "CostPerUnitHigh",
        "FixedPerDay",
        "VariablePerUnit",
        "RSquared",
        "CannotTell",
        "Resources",
        "Goal",
        "Verdict",
        "NoInterval",
    ]);
    for one in workloads {
        type OfSide = fn(&Resource) -> Option<Figure>;
        let sides: [(&str, &Side, OfSide); 2] = [
            ("before", &one.comparison.before, |resource| resource.before),
            ("after", &one.comparison.after, |resource| resource.after),
        ];
        for (name, side, of_side) in sides {
            let per_unit = side.per(1).map(|cost| cost.with_prec(30).normalized());
            let interval = side.per_unit.ok().map(|figure| (decimal(figure.low), decimal(figure.high)));
            let parts = side.parts.as_ref().ok();
            let fixed = parts.map(|parts| decimal(parts.fixed_per_day.value));
            let variable = parts.map(|parts| decimal(parts.variable_per_unit.value));
            let fit = parts.map(|parts| decimal(parts.r_squared));
            let goal = one.stated().map(|goal| goal.key().to_owned()).unwrap_or_default();
            table.row(&[
                (&one.service.slug).into(),
                (&one.metric.metric).into(),
                (&one.currency).into(),
                name.into(),
                (&side.unit.cost).into(),
                (&side.unit.usage).into(),
                (side.unit.day_count as i64).into(),
                (side.unit.unknown_days.len() as i64).into(),
                Cell::from(&per_unit),
                Cell::from(&interval.as_ref().map(|(low, _)| low.clone())),
                Cell::from(&interval.as_ref().map(|(_, high)| high.clone())),
                Cell::from(&fixed),
                Cell::from(&variable),
                Cell::from(&fit),
                side.parts.as_ref().err().map_or("", |reason| reason.key()).into(),
                resources::cell(&one.resources, of_side).into(),
                goal.into(),
                one.verdict.map_or("", |verdict| verdict.key()).into(),
                side.per_unit.err().map_or("", |reason| reason.key()).into(),
            ]);
        }
    }
    table
}

/// An estimate as text with twelve significant digits.
pub fn decimal(value: f64) -> BigDecimal {
    BigDecimal::from_f64(value).unwrap_or_default().with_prec(12).normalized()
}

/// An estimate with its interval, for JSON.
pub fn figure(figure: Figure) -> [String; 3] {
    [figure.value, figure.low, figure.high].map(|value| decimal(value).to_plain_string())
}

/// Cost of one unit of a side with all digits that mean something.
pub fn per_unit(side: &Side) -> Option<String> {
    side.per(1).map(|cost| cost.with_prec(30).normalized().to_plain_string())
}
