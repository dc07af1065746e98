//! The days of the comparison as a table, with the estimate of each service beside them.

use super::super::comparison::Around;
use super::super::csv::{Cell, Table};
use super::super::unit_costs::decimal;
use super::{chart, effect};
use crate::focus::CostBasis;
use crate::store::deployment_costs::{ServedService, ServiceDayCost};
use crate::store::effects::{self, EffectRow, LineDay, ServiceLine};
use crate::store::{Scope, Snapshot};
use bigdecimal::{BigDecimal, Zero};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// What was answered of a deployment, the newest first, and the lines that its services' cost was expected to follow. The
/// estimate is of amortized cost: beside another basis there is no line.
pub(super) async fn estimates(
    snapshot: &mut Snapshot,
    scope: &Scope,
    (deployment_id, has_services): (i64, bool),
    basis: CostBasis,
) -> sqlx::Result<(Vec<EffectRow>, Vec<ServiceLine>)> {
    if !has_services {
        return Ok((Vec::new(), Vec::new()));
    }
    let answers = effects::of_deployment(&mut *snapshot, scope, deployment_id).await?;
    if basis != CostBasis::Amortized {
        return Ok((answers, Vec::new()));
    }
    Ok((answers, effects::lines(&mut *snapshot, scope, deployment_id).await?))
}

/// One row a day, service and currency. What was expected of the day, and the standing answer of the service, are in the
/// columns at the end.
pub(super) fn export(
    days: &[ServiceDayCost],
    open: &[ServedService],
    around: &Around,
    (answers, lines): (&[EffectRow], &[ServiceLine]),
    basis: CostBasis,
) -> Table {
    let mut table = Table::new(&[
        "ChargeDate",
        "Service",
        "BillingCurrency",
        basis.focus_column(),
        "Side",
        "ExpectedCost",
        "ExpectedLow",
        "ExpectedHigh",
        "Phase",
        "Finding",
        "EffectPerDay",
        "EffectPerDayLow",
        "EffectPerDayHigh",
    ]);
    let standing = effect::standing(answers);
    let expected = expected(lines);
    for day in with_free_days(days, open, around, &expected) {
        let service = open.iter().find(|service| service.service_id == day.service_id);
        let line = expected.get(&key(&day)).map(|line| lifted(line, &day.cost));
        let is_own = |row: &&&EffectRow| (row.service_id, &row.billing_currency) == (day.service_id, &day.currency);
        let answer = standing.iter().find(is_own).copied();
        let of_line = |index: usize| line.as_ref().map_or(Cell::Empty, |ends| Cell::Amount(&ends[index]));
        let of_answer = |pick: fn(&EffectRow) -> &Option<BigDecimal>| {
            answer.and_then(|answer| pick(answer).as_ref()).map_or(Cell::Empty, Cell::Amount)
        };
        table.row(&[
            day.charge_date.to_string().into(),
            service.map(|service| service.name.as_str()).unwrap_or_default().into(),
            day.currency.as_str().into(),
            (&day.cost).into(),
            chart::side(around, day.charge_date).into(),
            of_line(0),
            of_line(1),
            of_line(2),
            answer.map_or(Cell::Empty, |answer| answer.phase.as_str().into()),
            answer.map_or(Cell::Empty, |answer| answer.finding.as_str().into()),
            of_answer(|answer| &answer.per_day),
            of_answer(|answer| &answer.per_day_low),
            of_answer(|answer| &answer.per_day_high),
        ]);
    }
    table
}

// The day, the service and the currency.
type Key<'a> = (NaiveDate, i64, &'a str);

fn key(day: &ServiceDayCost) -> Key<'_> {
    (day.charge_date, day.service_id, &day.currency)
}

fn expected(lines: &[ServiceLine]) -> BTreeMap<Key<'_>, &LineDay> {
    let mut days = BTreeMap::new();
    for line in lines {
        days.extend(line.days.iter().map(|day| ((day.day, line.service_id, line.billing_currency.as_str()), day)));
    }
    days
}

// A day that something was expected of, and that cost nothing, has a row too.
fn with_free_days(
    days: &[ServiceDayCost],
    open: &[ServedService],
    around: &Around,
    expected: &BTreeMap<Key<'_>, &LineDay>,
) -> Vec<ServiceDayCost> {
    let told: BTreeSet<Key<'_>> = days.iter().map(key).collect();
    let whole = around.whole();
    let is_free = |(day, service_id, _): &&Key<'_>| {
        whole.start() <= *day && *day < whole.end() && open.iter().any(|service| service.service_id == *service_id)
    };
    let free = expected.keys().filter(|key| !told.contains(*key)).filter(is_free);
    let row = |&(charge_date, service_id, currency): &Key<'_>| ServiceDayCost {
        charge_date,
        service_id,
        currency: currency.to_owned(),
        cost: BigDecimal::zero(),
    };
    let mut all: Vec<ServiceDayCost> = days.iter().cloned().chain(free.map(row)).collect();
    all.sort_by_key(|day| day.charge_date);
    all
}

/// What was expected of a day with the ends of its band. The line is of usage; cost holds tax, credits and shared costs too,
/// and lifts it, as on the chart.
pub(super) fn lifted(line: &LineDay, cost: &BigDecimal) -> [BigDecimal; 3] {
    let lift = line.actual.map_or_else(BigDecimal::zero, |actual| cost - decimal(actual));
    [line.expected, line.low, line.high].map(|end| decimal(end) + &lift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// A chart of all cost lifts the line of usage by what else was charged, and so does the table.
    #[test]
    fn the_line_is_lifted_by_what_is_no_usage() {
        let of = |actual| LineDay { day: day("2026-11-02"), actual, expected: 90.5, low: 80.0, high: 101.0 };
        let cost: BigDecimal = "112.5".parse().unwrap();
        let text = |line: &LineDay| lifted(line, &cost).map(|end| end.normalized().to_plain_string());
        assert_eq!(text(&of(Some(100.0))), ["103", "92.5", "113.5"]);
        assert_eq!(text(&of(None)), ["90.5", "80", "101"]);
    }

    #[test]
    fn a_day_that_cost_nothing_is_there_where_something_was_expected_of_it() {
        let around = Around::new(day("2026-11-10"), None, Some(day("2026-10-01")), day("2026-11-20"), 7);
        let open = |service_id: i64| ServedService {
            service_id,
            slug: "checkout".into(),
            name: "checkout".into(),
            team_id: None,
        };
        let cost = |text: &str| ServiceDayCost {
            charge_date: day(text),
            service_id: 1,
            currency: "USD".into(),
            cost: BigDecimal::from(5),
        };
        let of = |text: &str| LineDay { day: day(text), actual: None, expected: 1.0, low: 0.0, high: 2.0 };
        let line = |service_id: i64| ServiceLine {
            service_id,
            billing_currency: "USD".into(),
            days: ["2026-10-02", "2026-11-11", "2026-11-12"].map(of).into(),
        };
        let lines = [line(1), line(2)];
        let days = [cost("2026-11-11"), cost("2026-11-13")];
        let all = with_free_days(&days, &[open(1)], &around, &expected(&lines));
        let told: Vec<String> =
            all.iter().map(|day| format!("{} {} {}", day.charge_date, day.service_id, day.cost)).collect();
        assert_eq!(told, ["2026-11-11 1 5", "2026-11-12 1 0", "2026-11-13 1 5"]);
    }
}
