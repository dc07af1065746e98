//! A month split by team, service and so on, beside the month before. Pure: rows in, rounded rows out.

use super::comparison::{Known, NOT_BILLED};
use crate::focus::{BillingPeriod, Converted, Rates};
use crate::store::statements::StatementRow;
use crate::web::display::{self, Delta, NOT_KNOWN};
use bigdecimal::{BigDecimal, Zero};
use chrono::NaiveDate;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What the rows of the table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what it says")]
pub enum By {
    Team,
    CostCenter,
    Service,
    Environment,
    Provider,
    ChargeCategory,
}

impl By {
    /// Words of the address, the default first.
    pub const KEYS: &'static [&'static str] = &["team", "cost-center", "service", "env", "provider", "charge"];
    const ALL: [Self; 6] =
        [Self::Team, Self::CostCenter, Self::Service, Self::Environment, Self::Provider, Self::ChargeCategory];

    /// The split with this word.
    pub fn from_key(key: &str) -> Self {
        Self::KEYS.iter().position(|word| *word == key).map_or(Self::Team, |index| Self::ALL[index])
    }

    /// The word of the address.
    pub fn key(self) -> &'static str {
        Self::KEYS[Self::ALL.iter().position(|by| *by == self).unwrap_or_default()]
    }

    /// The word on the page.
    pub fn label(self) -> &'static str {
        match self {
            Self::Team => "Team",
            Self::CostCenter => "Cost center",
            Self::Service => "Service",
            Self::Environment => "Environment",
            Self::Provider => "Provider",
            Self::ChargeCategory => "Charge category",
        }
    }

    /// Every split with its word, in the order of the menu.
    pub fn menu() -> impl Iterator<Item = (&'static str, &'static str)> {
        Self::ALL.into_iter().map(|by| (by.key(), by.label()))
    }
}

/// The words for money that no rule gives to a service.
pub const NOT_ALLOCATED: &str = "Not allocated";

/// A row before rounding, with the rows that it is made of.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// What people call it.
    pub name: String,
    /// What else tells it apart: a cost center.
    pub detail: String,
    /// Its own page.
    pub href: Option<String>,
    /// What narrows `/charges` to it: `service=checkout-api`. Empty where nothing does.
    pub lines_query: Vec<(&'static str, String)>,
    /// Last in every order.
    pub is_unallocated: bool,
    /// In the month before.
    pub before: BigDecimal,
    /// In the month.
    pub now: BigDecimal,
    /// The same by the month whose bill it came on: each has its own rate.
    pub now_by_bill: BTreeMap<NaiveDate, BigDecimal>,
    /// Lines of the month.
    pub charge_count: i64,
    /// What it is made of, the dearest first; empty for a leaf.
    pub children: Vec<Self>,
}

impl Node {
    /// The change on the month before.
    pub fn change(&self) -> BigDecimal {
        &self.now - &self.before
    }

    /// The month's amount in the reporting currency.
    pub fn converted(&self, rates: &Rates, currency: &str) -> Converted {
        let mut sum = Converted::default();
        for (month, cost) in &self.now_by_bill {
            sum.add(rates, BillingPeriod::containing(*month), currency, cost);
        }
        sum
    }

    fn add(&mut self, row: &StatementRow, is_now: bool) {
        if is_now {
            self.now += &row.cost;
            *self.now_by_bill.entry(row.billing_month).or_default() += &row.cost;
            self.charge_count += row.charge_count;
        } else {
            self.before += &row.cost;
        }
    }
}

/// The rows of one currency, split. Of months other than `month` all count as the month before.
pub fn nodes(rows: &[StatementRow], month: NaiveDate, by: By, currency: &str) -> Vec<Node> {
    let mut groups: BTreeMap<String, (Node, BTreeMap<String, Node>)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.billing_currency == currency) {
        let is_now = row.month == month;
        let (key, node) = group_of(row, by);
        let (group, children) = groups.entry(key).or_insert_with(|| (node, BTreeMap::new()));
        group.add(row, is_now);
        if let Some((key, child)) = child_of(row, by) {
            children.entry(key).or_insert(child).add(row, is_now);
        }
    }
    let mut out: Vec<Node> = groups
        .into_values()
        .map(|(group, children)| Node { children: in_order(children.into_values().collect()), ..group })
        .collect();
    out = in_order(out);
    out
}

fn in_order(mut nodes: Vec<Node>) -> Vec<Node> {
    nodes.sort_by(|left, right| {
        (left.is_unallocated, Reverse(&left.now), &left.name).cmp(&(
            right.is_unallocated,
            Reverse(&right.now),
            &right.name,
        ))
    });
    nodes
}

fn group_of(row: &StatementRow, by: By) -> (String, Node) {
    match by {
        By::Team if row.service_id == 0 => ("~".into(), unallocated()),
        By::Team => team(row),
        By::CostCenter if row.service_id == 0 => ("~".into(), unallocated()),
        By::CostCenter => {
            let name = row.cost_center.clone().unwrap_or_else(|| "No cost center".into());
            let asked = row.cost_center.clone().unwrap_or_else(|| crate::web::query::NONE.into());
            // What is not allocated is a row of its own.
            let lines_query = vec![("center", asked), ("allocated", "yes".into())];
            (format!("{}{name}", u8::from(row.cost_center.is_none())), Node { name, lines_query, ..Node::default() })
        }
        By::Service => service(row),
        By::Environment => environment(row),
        By::Provider => named(&row.provider_name, "provider", "Provider not named"),
        By::ChargeCategory => named(&row.charge_category, "charge", "Category not named"),
    }
}

fn child_of(row: &StatementRow, by: By) -> Option<(String, Node)> {
    match by {
        By::Team if row.service_id != 0 => Some(service(row)),
        By::CostCenter if row.service_id != 0 => Some(team(row)),
        _ => None,
    }
}

fn unallocated() -> Node {
    Node {
        name: NOT_ALLOCATED.into(),
        lines_query: vec![("service", "none".into())],
        is_unallocated: true,
        ..Node::default()
    }
}

fn team(row: &StatementRow) -> (String, Node) {
    match (&row.team_slug, &row.team_name) {
        (Some(slug), Some(name)) => {
            let detail = row.cost_center.clone().unwrap_or_default();
            let href = Some(format!("/teams/{slug}"));
            let lines_query = vec![("team", slug.clone())];
            (format!("0{slug}"), Node { name: name.clone(), detail, href, lines_query, ..Node::default() })
        }
        _ => {
            let lines_query = vec![("team", crate::web::query::NONE.into()), ("allocated", "yes".into())];
            ("1".into(), Node { name: "No team".into(), lines_query, ..Node::default() })
        }
    }
}

fn service(row: &StatementRow) -> (String, Node) {
    match (&row.service_slug, &row.service_name) {
        (Some(slug), Some(name)) => {
            let href = Some(format!("/services/{slug}"));
            let lines_query = vec![("service", slug.clone())];
            (slug.clone(), Node { name: name.clone(), href, lines_query, ..Node::default() })
        }
        _ => ("~".into(), unallocated()),
    }
}

fn environment(row: &StatementRow) -> (String, Node) {
    match (&row.environment_slug, &row.environment_name) {
        (Some(slug), Some(name)) => {
            let href = Some(format!("/environments/{slug}"));
            let lines_query = vec![("env", slug.clone())];
            (slug.clone(), Node { name: name.clone(), href, lines_query, ..Node::default() })
        }
        _ => {
            let lines_query = vec![("env", "none".into())];
            let name = "No environment".into();
            ("~".into(), Node { name, lines_query, is_unallocated: true, ..Node::default() })
        }
    }
}

fn named(value: &str, key: &'static str, missing: &str) -> (String, Node) {
    let name = if value.is_empty() { missing } else { value };
    let asked = if value.is_empty() { crate::web::query::NONE } else { value };
    let lines_query = vec![(key, asked.to_owned())];
    (value.to_owned(), Node { name: name.into(), lines_query, ..Node::default() })
}

/// A rounded row. Every column of shown rows adds up to its shown total, and `change` is the difference of
/// the two shown amounts.
#[derive(Debug, Clone)]
pub struct Row {
    /// As in [`Node`].
    pub node: Node,
    /// Whether it stands under the row of a group.
    pub is_child: bool,
    /// Whether rows under it follow.
    pub is_group: bool,
    /// Whether it is what rounding leaves between the rows and their sum.
    pub is_rounding: bool,
    /// Shown amount of the month before.
    pub before: BigDecimal,
    /// Shown amount of the month.
    pub now: BigDecimal,
    /// `$468,481.00`.
    pub before_text: String,
    /// `$468,481.00`.
    pub now_text: String,
    /// `+8.5%`.
    pub delta: Delta,
    /// `(+8.5%)`, `new`, …
    pub relative: String,
    /// `30.9%` of the month, of top rows only.
    pub share: String,
    /// Length of the bar, of 100.
    pub bar: String,
}

impl Row {
    /// The shown change.
    pub fn change(&self) -> BigDecimal {
        &self.now - &self.before
    }
}

/// A table whose columns add up as shown.
#[derive(Debug, Clone)]
pub struct Breakdown {
    /// Top rows and the rows under them.
    pub rows: Vec<Row>,
    /// The last row.
    pub total: Row,
}

impl Breakdown {
    /// The same without what is not known: amounts of the month before, amounts of a month of which nothing is billed, and
    /// the changes where the two are not compared.
    pub(super) fn known(mut self, known: &Known) -> Self {
        let is_shown = |row: &Row| (known.now && !row.now.is_zero()) || (known.before && !row.before.is_zero());
        self.rows.retain(|row| !row.is_rounding || is_shown(row));
        for row in self.rows.iter_mut().chain([&mut self.total]) {
            if !known.before {
                row.before_text = NOT_KNOWN.into();
            }
            if !known.now {
                row.now_text = NOT_BILLED.into();
            }
            if !known.is_compared() {
                row.delta = Delta::unknown();
                row.relative = String::new();
            }
        }
        self
    }
}

/// Rounds the rows, each by itself; what that leaves is a row: top rows add up to the total, the rows of a group to the
/// group.
pub fn breakdown(nodes: &[Node], currency: &str) -> Breakdown {
    let decimals = display::minor_units(currency);
    let sum = |pick: fn(&Node) -> &BigDecimal| nodes.iter().map(pick).sum::<BigDecimal>();
    let total = Node {
        name: "Total".into(),
        now: sum(|node| &node.now),
        before: sum(|node| &node.before),
        charge_count: nodes.iter().map(|node| node.charge_count).sum(),
        ..Node::default()
    };
    let shares = display::shares(&nodes.iter().map(|node| node.now.clone()).collect::<Vec<_>>(), &total.now);
    let largest = nodes.iter().map(|node| node.now.abs()).max().unwrap_or_default();
    let round = |amount: &BigDecimal| amount.with_scale_round(decimals, bigdecimal::RoundingMode::HalfUp);
    let (now, before) = (round(&total.now), round(&total.before));
    let (tops, left) = rounded(nodes, &now, &before, decimals);
    let mut rows = Vec::new();
    for (index, (node, (now, before))) in nodes.iter().zip(tops).enumerate() {
        let share = shares.as_ref().map(|all| all[index].clone()).unwrap_or_default();
        let (children, left) = rounded(&node.children, &now, &before, decimals);
        let mut top = row(node, now, before, currency, &largest);
        top.share = share;
        top.is_group = !node.children.is_empty();
        let is_group = top.is_group;
        rows.push(top);
        for (child, (now, before)) in node.children.iter().zip(children) {
            let mut row = row(child, now, before, currency, &largest);
            row.is_child = true;
            rows.push(row);
        }
        rows.extend(rounding(left, currency).filter(|_| is_group).map(|row| Row { is_child: true, ..row }));
    }
    rows.extend(rounding(left, currency));
    Breakdown { rows, total: row(&total, now, before, currency, &BigDecimal::zero()) }
}

type Pair = (BigDecimal, BigDecimal);

// Both columns by themselves, and what is left of each to the sum as it is shown.
fn rounded(nodes: &[Node], now: &BigDecimal, before: &BigDecimal, decimals: i64) -> (Vec<Pair>, Pair) {
    let column = |pick: fn(&Node) -> &BigDecimal| nodes.iter().map(|node| pick(node).clone()).collect::<Vec<_>>();
    let (now, now_left) = display::alone(&column(|node| &node.now), now, decimals);
    let (before, before_left) = display::alone(&column(|node| &node.before), before, decimals);
    (now.into_iter().zip(before).collect(), (now_left, before_left))
}

fn rounding((now, before): Pair, currency: &str) -> Option<Row> {
    let node = Node { name: "Rounding".into(), ..Node::default() };
    let is_even = now.is_zero() && before.is_zero();
    (!is_even).then(|| Row {
        is_rounding: true,
        relative: String::new(),
        ..row(&node, now, before, currency, &BigDecimal::zero())
    })
}

pub(super) fn row(node: &Node, now: BigDecimal, before: BigDecimal, currency: &str, largest: &BigDecimal) -> Row {
    let decimals = display::minor_units(currency);
    let compared = Delta::between(&now, &before, currency, decimals);
    Row {
        is_child: false,
        is_group: false,
        is_rounding: false,
        before_text: display::money(&before, currency, decimals),
        now_text: display::money(&now, currency, decimals),
        delta: Delta::amount(&(&now - &before), currency, decimals),
        relative: compared.relative.trim_matches(['(', ')']).to_owned(),
        share: String::new(),
        bar: bar(&now, largest),
        node: node.clone(),
        now,
        before,
    }
}

// A length on paper, not an amount: four digits are plenty. Credits have none.
fn bar(now: &BigDecimal, largest: &BigDecimal) -> String {
    if largest.is_zero() || now.sign() != bigdecimal::num_bigint::Sign::Plus {
        return "0".into();
    }
    let share = (now * BigDecimal::from(100)).with_prec(12) / largest.with_prec(12);
    share.with_scale_round(2, bigdecimal::RoundingMode::HalfUp).to_plain_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell(month: &str, team: Option<&str>, service: Option<&str>, cost: &str) -> StatementRow {
        StatementRow {
            service_id: i64::from(service.is_some()),
            service_slug: service.map(Into::into),
            service_name: service.map(Into::into),
            team_id: team.map(|_| 1),
            team_slug: team.map(Into::into),
            team_name: team.map(Into::into),
            ..StatementRow::example(month, "USD", cost)
        }
    }

    #[test]
    fn teams_hold_their_services_and_the_rest_comes_last() {
        let rows = [
            cell("2026-10-01", Some("payments"), Some("ledger"), "10.005"),
            cell("2026-10-01", Some("payments"), Some("checkout"), "20.005"),
            cell("2026-09-01", Some("payments"), Some("ledger"), "9"),
            cell("2026-10-01", None, None, "100"),
            cell("2026-10-01", None, Some("orphan"), "1"),
        ];
        let table = breakdown(&nodes(&rows, "2026-10-01".parse().unwrap(), By::Team, "USD"), "USD");
        let seen: Vec<String> =
            table.rows.iter().map(|row| format!("{} {} {}", row.node.name, row.now_text, row.delta.amount)).collect();
        assert_eq!(
            seen,
            [
                "payments $30.01 +$21.01",
                "checkout $20.01 +$20.01",
                "ledger $10.01 +$1.01",
                "Rounding \u{2212}$0.01 \u{2212}$0.01",
                "No team $1.00 +$1.00",
                "orphan $1.00 +$1.00",
                "Not allocated $100.00 +$100.00",
            ]
        );
        assert_eq!(table.total.now_text, "$131.01");
    }

    proptest! {
        #[test]
        fn n09_groups_and_their_rows_add_up_as_shown(
            costs in prop::collection::vec((0usize..4, 0usize..3, any::<bool>(), -9_000_000i64..9_000_000), 1..40),
        ) {
            const NAMES: [&str; 4] = ["a", "b", "c", "d"];
            let rows: Vec<StatementRow> = costs
                .iter()
                .map(|(team, service, is_now, units)| {
                    let month = if *is_now { "2026-10-01" } else { "2026-09-01" };
                    let slug = format!("{}-{service}", NAMES[*team]);
                    let amount = BigDecimal::new((*units).into(), 5).to_plain_string();
                    cell(month, Some(NAMES[*team]), Some(&slug), &amount)
                })
                .collect();
            let table = breakdown(&nodes(&rows, "2026-10-01".parse().unwrap(), By::Team, "USD"), "USD");
            let tops: BigDecimal = table.rows.iter().filter(|row| !row.is_child).map(|row| &row.now).sum();
            prop_assert_eq!(tops, table.total.now.clone());
            let changes: BigDecimal = table.rows.iter().filter(|row| !row.is_child).map(Row::change).sum();
            prop_assert_eq!(changes, table.total.change());
            let mut group: Option<(BigDecimal, BigDecimal)> = None;
            for row in &table.rows {
                if row.is_group {
                    if let Some((shown, sum)) = group.take() { prop_assert_eq!(shown, sum); }
                    group = Some((row.now.clone(), BigDecimal::zero()));
                } else if let Some((_, sum)) = group.as_mut().filter(|_| row.is_child) {
                    *sum += &row.now;
                }
            }
            if let Some((shown, sum)) = group { prop_assert_eq!(shown, sum); }
        }
    }
}
