use super::super::charts::{SparkBars, position};
use super::super::display::{Columns, Compared, Line, figures};
use super::findings::Cause;
use crate::store::service_costs::{ServiceCost, WeekCost};
use crate::web::drill;
use crate::web::query::View;
use std::collections::BTreeMap;

/// Weeks of a spark.
pub const WEEK_COUNT: u32 = 12;
const MOVER_COUNT_MAX: usize = 7;

/// One service that moved, or the others together.
pub struct Mover {
    pub name: String,
    pub href: String,
    pub team: String,
    pub spark: Option<SparkBars>,
    pub lines: Vec<Line>,
    pub cause: Option<Cause>,
}

/// What the table is shown in.
pub struct Setting<'a> {
    pub currencies: &'a [String],
    pub is_compared: bool,
    /// Pages of services show the same days and filters.
    pub view: &'a View,
    /// The lines of what is not allocated.
    pub nobody: &'a str,
}

/// The services whose cost changed most in the first currency; the dearest, where there is no comparison. What is not
/// allocated is never a mover.
pub fn rank<'a>(costs: &'a [ServiceCost], currency: &str) -> Vec<&'a ServiceCost> {
    let mut moved: Vec<&ServiceCost> = costs
        .iter()
        .filter(|cost| cost.service_id != 0 && cost.currency == currency && cost.cost != cost.cost_before)
        .collect();
    let size = |cost: &ServiceCost| (&cost.cost - &cost.cost_before).abs();
    moved.sort_by(|left, right| size(right).cmp(&size(left)).then_with(|| left.name.cmp(&right.name)));
    moved.truncate(MOVER_COUNT_MAX);
    // The dearest rise first, the largest saving last.
    moved.sort_by_key(|cost| std::cmp::Reverse(&cost.cost - &cost.cost_before));
    moved
}

/// The movers, the others in one row, what is not allocated in one, and the total that they add up to.
pub fn table(
    costs: &[ServiceCost],
    moved: &[&ServiceCost],
    weekly: &[WeekCost],
    Setting { currencies, is_compared, view, nobody }: Setting<'_>,
    cause: impl Fn(&ServiceCost) -> Cause,
) -> (Vec<Mover>, Vec<Line>) {
    let mut by_id: BTreeMap<i64, Compared> = BTreeMap::new();
    for cost in costs {
        let row = by_id.entry(cost.service_id).or_default();
        row.add(true, &cost.currency, &cost.cost);
        row.add(false, &cost.currency, &cost.cost_before);
    }
    let mut movers: Vec<Mover> = Vec::new();
    let mut rows: Vec<Compared> = Vec::new();
    for service in moved {
        rows.push(by_id.remove(&service.service_id).unwrap_or_default());
        movers.push(Mover {
            name: service.name.clone(),
            href: match service.slug.as_str() {
                "" => String::new(),
                slug => drill::page(&format!("/services/{slug}"), view, &[]),
            },
            team: service.team_name.clone().unwrap_or_else(|| "no team".into()),
            spark: Some(spark(service.service_id, &currencies[0], weekly)),
            lines: Vec::new(),
            cause: Some(cause(service)),
        });
    }
    let unallocated = by_id.remove(&0);
    let mut rest = None;
    if !by_id.is_empty() {
        let mut others = Compared::default();
        by_id.values().for_each(|row| others.add_row(row));
        rest = Some(rows.len());
        movers.push(row(format!("{} other services", by_id.len()), &drill::page("/services", view, &[])));
        rows.push(others);
    }
    if let Some(unallocated) = unallocated {
        movers.push(row("Not allocated".into(), nobody));
        rows.push(unallocated);
    }
    // The row of the others takes what rounding leaves: it has no page of its own.
    let rest = rest.or(rows.len().checked_sub(1));
    let Columns { rows: lines, total, .. } = figures(currencies, &rows, rest).compared(is_compared);
    for (mover, lines) in movers.iter_mut().zip(lines) {
        mover.lines = lines;
    }
    (movers, total)
}

fn row(name: String, href: &str) -> Mover {
    Mover { name, href: href.into(), team: String::new(), spark: None, lines: Vec::new(), cause: None }
}

fn spark(service_id: i64, currency: &str, weekly: &[WeekCost]) -> SparkBars {
    let mut weeks = vec![0.0; WEEK_COUNT as usize];
    for week in weekly.iter().filter(|week| week.service_id == service_id && week.currency == currency) {
        let slot = usize::try_from(week.week).ok().and_then(|index| weeks.get_mut(index));
        if let Some(slot) = slot {
            *slot = position(&week.cost);
        }
    }
    SparkBars::new(&weeks)
}
