use super::super::comparison::average;
use super::super::deployed::to_production;
use super::super::display::{Compared, Delta, decimals, money, percent};
use super::super::parts::{Figure, Figures};
use super::super::query::Span;
use super::loaded::{Loaded, add};
use super::usage::UsageRow;
use crate::store::deployment_marks::MarkedDeployment;

/// The key figures of the service.
pub(super) fn figures(
    span: &Span,
    days: &Loaded,
    marked: &[MarkedDeployment],
    usage: Option<&UsageRow>,
    lines_href: String,
) -> Figures {
    let total = days.total(span);
    let mut spend = Figure {
        label: format!("Spend, {}", span.label()),
        values: Vec::new(),
        deltas: Vec::new(),
        note: span.no_comparison().unwrap_or_default(),
        href: lines_href,
    };
    let mut by_day = Figure { values: Vec::new(), ..Figure::plain("A day, on average", "", "") };
    for currency in &days.currencies {
        let (now, before) = (total.cost(currency), total.cost_before(currency));
        let digits = decimals(currency, &now.abs().max(before.abs()));
        spend.values.push(money(&now, currency, digits));
        spend.deltas.extend(span.known(Delta::between(&now, &before, currency, digits)));
        let a_day = average(&now, span.billed_day_count());
        by_day.values.push(money(&a_day, currency, decimals(currency, &a_day)));
        if !span.is_compared() {
            continue;
        }
        let a_day_before = average(&before, span.before.day_count());
        let was = money(&a_day_before, currency, decimals(currency, &a_day_before));
        by_day.note = if by_day.note.is_empty() { format!("{was} before") } else { format!("{}, {was}", by_day.note) };
    }
    // The days lie on the chart, so that all of them are marked there.
    let is_inside = |one: &&MarkedDeployment| span.days.start() <= one.day() && one.day() < span.days.end();
    let inside: Vec<&MarkedDeployment> = marked.iter().filter(is_inside).collect();
    let in_production = inside.iter().filter(|one| one.is_production).count();
    let mut note = to_production(inside.len() as i64, in_production as i64);
    if let Some(newest) = inside.last() {
        note = format!("{note}; last {}, {}", newest.label(), newest.at.format("%-d %b"));
    }
    let count = Figure::plain("Deployments", inside.len().to_string(), note);
    let mut all = vec![spend, by_day, count];
    all.extend(usage.map(unit_cost));
    all.extend(production_share(span, days));
    Figures(all)
}

fn unit_cost(row: &UsageRow) -> Figure {
    Figure {
        label: format!("Unit cost, {}", row.per),
        values: row.costs.iter().map(|line| line.now.clone()).collect(),
        deltas: row.costs.iter().filter_map(|line| line.delta.clone()).collect(),
        note: format!("{} of {}", row.value, row.metric),
        href: String::new(),
    }
}

fn production_share(span: &Span, days: &Loaded) -> Option<Figure> {
    let mut production = Compared::default();
    for row in
        days.kept().filter(|row| days.environment(row.environment_id).is_some_and(|one| one.kind == "production"))
    {
        add(&mut production, span, row);
    }
    let total = days.total(span);
    let mut values = Vec::new();
    let mut amounts = Vec::new();
    for currency in &days.currencies {
        let cost = production.cost(currency);
        values.extend(percent(&cost, &total.cost(currency)));
        amounts.push(money(&cost, currency, decimals(currency, &cost)));
    }
    (!values.is_empty() && !production.now.is_empty()).then(|| Figure {
        label: "In production".into(),
        values,
        deltas: Vec::new(),
        note: amounts.join(" and "),
        href: String::new(),
    })
}
