use super::super::charts::{Pareto, position};
use super::super::display::{Compared, Line, columns, others as others_label, under_subtotal};
use crate::store::service_costs::ServiceCost;
use bigdecimal::{BigDecimal, Zero};
use std::collections::BTreeMap;

const TEAM_COUNT_MAX: usize = 5;

/// The few services that make four fifths of the cost of one currency, and the teams that own them.
pub struct Few {
    /// `BillingCurrency`.
    pub currency: String,
    pub title: String,
    pub summary: String,
    pub chart: Pareto,
    pub teams: Vec<FewTeam>,
    pub few_label: String,
    pub few: Line,
    pub others: Vec<(String, Line)>,
    pub total: Line,
}

/// What a team's services among the few cost.
pub struct FewTeam {
    pub name: String,
    pub services: String,
    pub cost: String,
    pub share: String,
}

/// One a currency that has cost above zero.
pub fn tables(costs: &[ServiceCost], currencies: &[String]) -> Vec<Few> {
    currencies.iter().filter_map(|currency| table(costs, currency)).collect()
}

fn table(costs: &[ServiceCost], currency: &str) -> Option<Few> {
    let mut ranked: Vec<&ServiceCost> = costs
        .iter()
        .filter(|cost| cost.currency == currency && cost.service_id != 0 && cost.cost > BigDecimal::zero())
        .collect();
    ranked.sort_by(|left, right| right.cost.cmp(&left.cost).then_with(|| left.name.cmp(&right.name)));
    if ranked.is_empty() {
        return None;
    }
    let positions: Vec<f64> = ranked.iter().map(|cost| position(&cost.cost)).collect();
    let few = Pareto::few(&positions);
    let sum = |costs: &[&ServiceCost]| -> BigDecimal { costs.iter().map(|cost| &cost.cost).sum() };
    let mut teams: BTreeMap<String, (usize, BigDecimal)> = BTreeMap::new();
    for cost in &ranked[..few] {
        let team = teams.entry(cost.team_name.clone().unwrap_or_else(|| "No team".into())).or_default();
        team.0 += 1;
        team.1 += &cost.cost;
    }
    let mut teams: Vec<(String, usize, BigDecimal)> =
        teams.into_iter().map(|(name, (count, cost))| (name, count, cost)).collect();
    teams.sort_by(|left, right| right.2.cmp(&left.2).then_with(|| left.0.cmp(&right.0)));
    if teams.len() > TEAM_COUNT_MAX {
        let rest = teams.split_off(TEAM_COUNT_MAX - 1);
        let count = rest.iter().map(|team| team.1).sum();
        teams.push(("Other teams".into(), count, rest.iter().map(|team| &team.2).sum()));
    }
    // Rows that add up: the teams of the few, the other services, credits of others, what is not allocated.
    let others: Vec<&ServiceCost> =
        costs.iter().filter(|cost| cost.currency == currency && cost.service_id != 0).collect();
    let other_count = others.len() - few;
    let other_cost = sum(&others) - sum(&ranked[..few]);
    let none: BigDecimal =
        costs.iter().filter(|cost| cost.currency == currency && cost.service_id == 0).map(|cost| &cost.cost).sum();
    let parts = [sum(&ranked[..few]), other_cost, none.clone()];
    let columns = columns(&[currency.to_owned()], &parts.each_ref().map(|part| single(currency, part)));
    let line = |index: usize| columns.rows[index].first().cloned();
    let few_line = line(0)?;
    let share = &few_line.share;
    let shown = under_subtotal(&teams.iter().map(|team| team.2.clone()).collect::<Vec<_>>(), &parts, currency);
    let mut other_rows = Vec::new();
    if other_count > 0 {
        other_rows.push((others_label(other_count), line(1)?));
    }
    if !none.is_zero() {
        other_rows.push(("Not allocated".to_owned(), line(2)?));
    }
    let services = |count: usize| if count == 1 { "1 service".to_owned() } else { format!("{count} services") };
    Some(Few {
        currency: currency.to_owned(),
        title: format!("{} {} {share} of cost", services(few), if few == 1 { "makes" } else { "make" }),
        summary: format!("{} ranked by cost in {currency}. The first {few} make {share}.", services(ranked.len())),
        chart: Pareto::new(&positions, format!("{}, {share}", services(few))),
        few_label: services(few),
        teams: teams
            .iter()
            .zip(shown)
            .map(|((name, count, _), (cost, share))| FewTeam {
                name: name.clone(),
                services: services(*count),
                cost,
                share,
            })
            .collect(),
        few: few_line,
        others: other_rows,
        total: columns.total.into_iter().next()?,
    })
}

fn single(currency: &str, cost: &BigDecimal) -> Compared {
    let mut row = Compared::default();
    row.add(true, currency, cost);
    row
}
