use super::super::charts::{Pareto, position};
use super::super::display::{Compared, Line, figures, others as others_label, under_subtotal};
use crate::focus::DateRange;
use crate::store::service_costs::ServiceCost;
use crate::web::drill;
use crate::web::query::{NONE, View};
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
    /// The list that begins with the few.
    pub services_href: String,
    pub others: Vec<OtherRow>,
    pub total: Line,
    /// The lines of everything.
    pub total_href: String,
}

/// What a team's services among the few cost.
pub struct FewTeam {
    pub name: String,
    /// The page that lists them.
    pub href: String,
    pub services: String,
    pub cost: String,
    pub share: String,
}

/// What is not of the few.
pub struct OtherRow {
    pub name: String,
    pub href: String,
    pub line: Line,
}

/// What the tables are shown in.
pub struct Setting<'a> {
    /// Other pages show the same days and filters.
    pub view: &'a View,
    pub days: DateRange,
    /// Where what is not allocated is given away; its lines, where that page has another figure.
    pub unmapped: Option<&'a str>,
}

/// Ways out of the table of one currency.
struct Ways<'a> {
    setting: &'a Setting<'a>,
    /// Empty where there is no other.
    currency: &'a str,
}

impl Ways<'_> {
    fn page(&self, path: &str, about: &[(&'static str, &str)]) -> String {
        drill::page(path, self.setting.view, &[about, &[("cur", self.currency)]].concat())
    }

    fn lines(&self, about: &[(&'static str, &str)]) -> String {
        let lines = drill::lines(self.setting.view, &[about, &[("cur", self.currency)]].concat());
        drill::on(&lines, self.setting.days)
    }

    fn team(&self, slug: Option<&str>) -> String {
        match slug {
            Some(slug) => self.page(&format!("/teams/{slug}"), &[]),
            None => self.page("/services", &[("team", NONE)]),
        }
    }
}

/// One a currency that has cost above zero.
pub fn tables(costs: &[ServiceCost], currencies: &[String], setting: &Setting<'_>) -> Vec<Few> {
    let is_only = currencies.len() == 1;
    let of_currency = |currency: &String| {
        let ways = Ways { setting, currency: if is_only { setting.view.field("cur") } else { currency } };
        table(costs, currency, &ways)
    };
    currencies.iter().filter_map(of_currency).collect()
}

fn table(costs: &[ServiceCost], currency: &str, ways: &Ways<'_>) -> Option<Few> {
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
    let teams = teams(&ranked[..few], ways);
    // Rows that add up, in cost and in count: the teams of the few, the other services that are ranked, those that are not
    // since they cost nothing or are credited more than they cost, and what is not allocated.
    let other_count = ranked.len() - few;
    let unranked: Vec<&ServiceCost> = costs
        .iter()
        .filter(|cost| cost.currency == currency && cost.service_id != 0 && cost.cost <= BigDecimal::zero())
        .collect();
    let none: BigDecimal =
        costs.iter().filter(|cost| cost.currency == currency && cost.service_id == 0).map(|cost| &cost.cost).sum();
    let parts = [sum(&ranked[..few]), sum(&ranked[few..]), sum(&unranked), none.clone()];
    // What rounding leaves is taken by a row without a page of the same figure.
    let rest = usize::from(other_count > 0);
    let rows = parts.each_ref().map(|part| single(currency, part));
    let columns = figures(&[currency.to_owned()], &rows, Some(rest));
    let line = |index: usize| columns.rows[index].first().cloned();
    let few_line = line(0)?;
    let share = &few_line.share;
    let shown = under_subtotal(&teams.iter().map(|team| team.cost.clone()).collect::<Vec<_>>(), &parts, rest, currency);
    let services_href = ways.page("/services", &[]);
    let mut other_rows = Vec::new();
    if other_count > 0 {
        other_rows.push(OtherRow { name: others_label(other_count), href: services_href.clone(), line: line(1)? });
    }
    if !unranked.is_empty() {
        let name = format!("{} without cost above zero", services(unranked.len()));
        other_rows.push(OtherRow { name, href: services_href.clone(), line: line(2)? });
    }
    if !none.is_zero() {
        let href = ways.setting.unmapped.map_or_else(|| ways.lines(&[("service", NONE)]), str::to_owned);
        other_rows.push(OtherRow { name: "Not allocated".to_owned(), href, line: line(3)? });
    }
    Some(Few {
        currency: currency.to_owned(),
        title: format!("{} {} {share} of cost", services(few), if few == 1 { "makes" } else { "make" }),
        summary: summary(currency, ranked.len(), unranked.len(), (few, share.as_str())),
        chart: Pareto::new(&positions, format!("{}, {share}", services(few))),
        few_label: services(few),
        teams: teams.into_iter().zip(shown).map(|(team, shown)| team.row(shown)).collect(),
        few: few_line,
        services_href,
        others: other_rows,
        total: columns.total.into_iter().next()?,
        total_href: ways.lines(&[]),
    })
}

fn summary(currency: &str, ranked: usize, unranked: usize, (few, share): (usize, &str)) -> String {
    let left_out = match unranked {
        0 => String::new(),
        1 => " 1 more has no cost above zero and no rank.".to_owned(),
        count => format!(" {count} more have no cost above zero and no rank."),
    };
    let make = if few == 1 { "makes" } else { "make" };
    format!("{} ranked by cost in {currency}.{left_out} The first {few} {make} {share}.", services(ranked))
}

fn services(count: usize) -> String {
    if count == 1 { "1 service".to_owned() } else { format!("{count} services") }
}

struct TeamSum {
    name: String,
    href: String,
    count: usize,
    cost: BigDecimal,
}

impl TeamSum {
    fn row(self, (cost, share): (String, String)) -> FewTeam {
        FewTeam { name: self.name, href: self.href, services: services(self.count), cost, share }
    }
}

// The teams of the few, the dearest first; those that are too many in one row.
fn teams(few: &[&ServiceCost], ways: &Ways<'_>) -> Vec<TeamSum> {
    let mut by_slug: BTreeMap<Option<&str>, TeamSum> = BTreeMap::new();
    for cost in few {
        let slug = cost.team_slug.as_deref();
        let team = by_slug.entry(slug).or_insert_with(|| TeamSum {
            name: cost.team_name.clone().unwrap_or_else(|| "No team".into()),
            href: ways.team(slug),
            count: 0,
            cost: BigDecimal::zero(),
        });
        team.count += 1;
        team.cost += &cost.cost;
    }
    let mut teams: Vec<TeamSum> = by_slug.into_values().collect();
    teams.sort_by(|left, right| right.cost.cmp(&left.cost).then_with(|| left.name.cmp(&right.name)));
    if teams.len() > TEAM_COUNT_MAX {
        let rest = teams.split_off(TEAM_COUNT_MAX - 1);
        teams.push(TeamSum {
            name: "Other teams".into(),
            href: ways.page("/teams", &[]),
            count: rest.iter().map(|team| team.count).sum(),
            cost: rest.iter().map(|team| &team.cost).sum(),
        });
    }
    teams
}

fn single(currency: &str, cost: &BigDecimal) -> Compared {
    let mut row = Compared::default();
    row.add(true, currency, cost);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(service_id: i64, amount: i64) -> ServiceCost {
        ServiceCost {
            service_id,
            slug: format!("s{service_id}"),
            name: format!("s{service_id}"),
            team_slug: None,
            team_name: None,
            currency: "USD".into(),
            charge_count: 1,
            cost: BigDecimal::from(amount),
            cost_before: BigDecimal::zero(),
        }
    }

    fn number(text: &str) -> usize {
        text.split_once(' ').and_then(|(first, _)| first.parse().ok()).unwrap()
    }

    /// A service that is credited more than it costs has no rank, and is no other one that has.
    #[test]
    fn the_few_and_the_others_are_as_many_as_are_ranked() {
        let view = View::parse(None, crate::web::unit_costs::ACCEPTS).unwrap();
        let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
        let setting = Setting { view: &view, days: DateRange::days_to(day, 30), unmapped: Some("/unmapped") };
        let amounts = [500, 300, 100, 40, 30, 20, 10, -5, 0];
        let costs: Vec<ServiceCost> = (1..).zip(amounts).map(|(id, amount)| cost(id, amount)).collect();
        let few = tables(&costs, &["USD".to_owned()], &setting).remove(0);
        assert!(few.summary.starts_with("7 services ranked by cost in USD. 2 more have no cost"), "{}", few.summary);
        let names: Vec<&str> = few.others.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(number(&few.few_label) + number(names[0]), 7, "{} and {names:?}", few.few_label);
        assert_eq!(names[1..], ["2 services without cost above zero"]);
        assert_eq!(few.others[1].line.cost, "\u{2212}$5");
        // Without such services there is no such row.
        let few = tables(&costs[..7], &["USD".to_owned()], &setting).remove(0);
        assert_eq!((few.others.len(), few.summary.contains("more")), (1, false));
    }
}
