//! Who would get what from whom, as tables show it.

use super::display;
use super::query::range_label;
use super::shared_moves::{self, SharedMoves};
use crate::allocate;
use crate::focus::BillingPeriod;
use crate::rollup::what_if::{Cost, DeploymentMove, Owner, Side, WhatIf};
use crate::store::catalogue;
use bigdecimal::BigDecimal;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The names behind ids.
#[derive(Debug, Default)]
pub struct Labels {
    services: HashMap<i64, String>,
    environments: HashMap<i64, String>,
}

/// What goes from one owner to another.
#[derive(Debug, PartialEq, Eq)]
pub struct MoveRow {
    /// Whose it is.
    pub from: String,
    /// Whose it would be.
    pub to: String,
    /// Kinds of charge.
    pub key_count: i64,
    /// Cost of the shorter range, one text a currency.
    pub recent: Vec<String>,
    /// Cost of the longer range, one text a currency.
    pub long: Vec<String>,
}

/// Deployments that would belong elsewhere.
#[derive(Debug, PartialEq, Eq)]
pub struct DeploymentRow {
    /// Repository and environment as the sender names them.
    pub what: String,
    /// Where they belong.
    pub from: String,
    /// Where they would belong.
    pub to: String,
    /// How many.
    pub count: i64,
}

/// The tables of a preview.
#[derive(Debug, Default)]
pub struct Moves {
    /// The days that its amounts are of.
    pub days: LookedAt,
    /// One row a pair of owners.
    pub rows: Vec<MoveRow>,
    /// What the rows add up to, shorter range.
    pub recent: Vec<String>,
    /// What the rows add up to, longer range.
    pub long: Vec<String>,
    /// Kinds of charge in all.
    pub key_count: i64,
    /// What splits move along.
    pub shared: SharedMoves,
    /// Deployments.
    pub deployments: Vec<DeploymentRow>,
    /// Names that would be added to the catalogue.
    pub added: Vec<String>,
    /// What becomes of closed months among the days; empty where there are none.
    pub closed: String,
}

/// The days that amounts of a preview are of, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LookedAt {
    /// The shorter range; empty where it is the longer one.
    pub recent: String,
    /// The longer range.
    pub long: String,
    /// Whether they are not the last ones, but those on which cost changes hands.
    pub are_others: bool,
}

impl LookedAt {
    fn of(answer: &WhatIf) -> Self {
        let Some((recent, long)) = answer.other_days else {
            return Self { recent: "Last 30 days".into(), long: "Last 90 days".into(), are_others: false };
        };
        let shorter = if recent == long { String::new() } else { range_label(recent) };
        Self { recent: shorter, long: range_label(long), are_others: true }
    }
}

impl Labels {
    /// All names.
    pub async fn load(conn: &mut PgConnection) -> sqlx::Result<Self> {
        let services = catalogue::service::list(&mut *conn).await?.into_iter().map(|one| (one.service_id, one.name));
        let environments = catalogue::environment::list(conn).await?;
        Ok(Self {
            services: services.collect(),
            environments: environments.into_iter().map(|one| (one.environment_id, one.name)).collect(),
        })
    }

    fn side(&self, names: &HashMap<i64, String>, side: &Side, added: &BTreeMap<String, String>) -> Option<String> {
        match side {
            Side::Nobody => None,
            Side::Known(id) => Some(names.get(id).cloned().unwrap_or_else(|| "a deleted entry".into())),
            Side::Added(slug) => Some(format!("{} (new)", added.get(slug).unwrap_or(slug))),
        }
    }

    fn owner(&self, owner: &Owner, added: &BTreeMap<String, String>) -> String {
        let service = self.side(&self.services, &owner.service, added);
        let environment = self.side(&self.environments, &owner.environment, added);
        let mut text = in_words(service, environment);
        for (key, value) in &owner.dimensions {
            text.push_str(&format!(", {} {value}", allocate::dimension_label(key)));
        }
        text
    }

    fn owners(&self, (services, environment): &(BTreeSet<Side>, Side), added: &BTreeMap<String, String>) -> String {
        let services: Vec<String> = services.iter().filter_map(|side| self.side(&self.services, side, added)).collect();
        let services = (!services.is_empty()).then(|| services.join(", "));
        in_words(services, self.side(&self.environments, environment, added))
    }
}

fn in_words(service: Option<String>, environment: Option<String>) -> String {
    match (service, environment) {
        (Some(service), Some(environment)) => format!("{service} in {environment}"),
        (Some(service), None) => format!("{service}, no environment"),
        (None, Some(environment)) => format!("Not allocated, in {environment}"),
        (None, None) => "Not allocated".into(),
    }
}

/// The tables of this answer. The amounts are rounded so that the rows add up to the totals.
pub fn tables(answer: &WhatIf, labels: &Labels) -> Moves {
    let costs: Vec<&[Cost]> = answer.moves.iter().map(|one| one.costs.as_slice()).collect();
    let (recent, recent_total) = rounded(&costs, |cost| &cost.recent);
    let (long, long_total) = rounded(&costs, |cost| &cost.long);
    let rows = answer.moves.iter().zip(recent).zip(long).map(|((one, recent), long)| MoveRow {
        from: labels.owner(&one.from, &answer.added),
        to: labels.owner(&one.to, &answer.added),
        key_count: one.key_count,
        recent,
        long,
    });
    Moves {
        days: LookedAt::of(answer),
        rows: rows.collect(),
        recent: recent_total,
        long: long_total,
        key_count: answer.moves.iter().map(|one| one.key_count).sum(),
        shared: shared_moves::tables(&answer.shared, |owner| labels.owner(owner, &answer.added)),
        deployments: answer.deployment_moves.iter().map(|one| deployment_row(one, labels, &answer.added)).collect(),
        added: answer.added.values().cloned().collect(),
        closed: closed_sentence(&answer.closed_months),
    }
}

/// What becomes of these closed months when cost changes hands in them; empty where there are none. Their statements
/// are copies, and what is booked to open months is what bills say, which no rule and no split changes.
pub fn closed_sentence(months: &[BillingPeriod]) -> String {
    let labels: Vec<String> = months.iter().map(|month| month.label()).collect();
    let [others @ .., last] = labels.as_slice() else { return String::new() };
    if others.is_empty() {
        return format!(
            "{last} is closed: its statement stays as it is, and nothing is booked to an open month; what changes hands \
             in it shows on lines and where cost is told by charge day, and in its statement only if the month is \
             reopened."
        );
    }
    format!(
        "{} and {last} are closed: their statements stay as they are, and nothing is booked to an open month; what \
         changes hands in them shows on lines and where cost is told by charge day, and in a statement only if its \
         month is reopened.",
        others.join(", ")
    )
}

/// Amounts of several currencies, each as one text.
pub fn in_texts(costs: &[Cost], pick: impl Fn(&Cost) -> &BigDecimal) -> Vec<String> {
    costs.iter().map(|cost| text(pick(cost), &cost.currency)).collect()
}

/// An amount to the smallest unit of its currency.
pub fn text(amount: &BigDecimal, currency: &str) -> String {
    display::money(amount, currency, display::minor_units(currency))
}

fn rounded(rows: &[&[Cost]], pick: impl Fn(&Cost) -> &BigDecimal) -> (Vec<Vec<String>>, Vec<String>) {
    let currencies: BTreeSet<&str> =
        rows.iter().flat_map(|row| row.iter()).map(|cost| cost.currency.as_str()).collect();
    let mut texts = vec![Vec::new(); rows.len()];
    let mut totals = Vec::new();
    for currency in currencies {
        let found: Vec<(usize, BigDecimal)> = rows
            .iter()
            .enumerate()
            .filter_map(|(index, row)| {
                row.iter().find(|cost| cost.currency == currency).map(|cost| (index, pick(cost).clone()))
            })
            .collect();
        let values: Vec<BigDecimal> = found.iter().map(|(_, value)| value.clone()).collect();
        let total: BigDecimal = values.iter().sum();
        let shown = display::shown(&values, &total, display::minor_units(currency));
        for ((index, _), value) in found.iter().zip(&shown) {
            texts[*index].push(text(value, currency));
        }
        totals.push(text(&total, currency));
    }
    (texts, totals)
}

fn deployment_row(one: &DeploymentMove, labels: &Labels, added: &BTreeMap<String, String>) -> DeploymentRow {
    let repo = one.repo.as_deref().unwrap_or("no repository");
    let environment = one.environment_raw.as_deref().unwrap_or("no environment");
    DeploymentRow {
        what: format!("{repo} to {environment}"),
        from: labels.owners(&one.from, added),
        to: labels.owners(&one.to, added),
        count: one.count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::what_if::Move;

    #[test]
    fn closed_months_are_named() {
        let months: Vec<BillingPeriod> = ["2026-07", "2026-08", "2026-09"].map(|one| one.parse().unwrap()).to_vec();
        assert_eq!(closed_sentence(&[]), "");
        assert!(closed_sentence(&months[..1]).starts_with("July 2026 is closed: its statement stays as it is,"));
        assert!(closed_sentence(&months).starts_with("July 2026, August 2026 and September 2026 are closed: their"));
    }

    #[test]
    fn rows_add_up_and_owners_read_well() {
        let cost =
            |amount: &str| Cost { currency: "USD".into(), recent: amount.parse().unwrap(), long: "1".parse().unwrap() };
        let owner = |service, environment| Owner { service, environment, dimensions: BTreeMap::new() };
        let one =
            |to, amount| Move { from: owner(Side::Nobody, Side::Nobody), to, key_count: 1, costs: vec![cost(amount)] };
        let answer = WhatIf {
            moves: vec![
                one(owner(Side::Known(1), Side::Nobody), "0.335"),
                one(owner(Side::Added("b".into()), Side::Known(9)), "0.335"),
            ],
            added: BTreeMap::from([("b".to_owned(), "B!".to_owned())]),
            ..WhatIf::default()
        };
        let mut labels = Labels::default();
        labels.services.insert(1, "checkout".into());
        let tables = tables(&answer, &labels);
        assert_eq!(tables.recent, ["$0.67"]);
        let shown: Vec<&str> = tables.rows.iter().map(|row| row.recent[0].as_str()).collect();
        assert_eq!(shown, ["$0.34", "$0.33"]);
        assert_eq!(tables.rows[0].to, "checkout, no environment");
        assert_eq!(tables.rows[1].to, "B! (new) in a deleted entry");
        assert_eq!(tables.rows[0].from, "Not allocated");
    }
}
