//! What pages and tables must say, added up line by line.

use super::closing::plus;
use super::{Cell, Generation, Key, OWN, Oracle, Place, State, Sums, add, month_of};
use std::collections::BTreeMap;

impl Oracle {
    /// What pages show by day, by billing period, and how many lines a scope has.
    pub fn figures(&self) -> BTreeMap<Key, Sums> {
        let mut figures: BTreeMap<Key, Sums> = BTreeMap::new();
        for (Cell { split, service, place }, sums) in self.cells() {
            let Place { scope, day, environment, category, currency } = place;
            for (kind, when) in [("day", &day), ("month", &scope.month())] {
                let key = [kind, split, &service, environment, when, &scope.account, category, &currency];
                plus(figures.entry(key.map(str::to_owned).to_vec()).or_default(), &sums, 1);
            }
        }
        for line in self.counted_lines() {
            let key = ["lines", &line.account, &month_of(line), &line.currency];
            add(&mut figures, key.map(str::to_owned).to_vec(), line);
        }
        figures
    }

    /// What bills said that count no more, by their delivery: own cost as the rules map it while its lines are kept,
    /// and then as they mapped it last.
    pub fn kept(&self) -> BTreeMap<Key, Sums> {
        let mut figures: BTreeMap<Key, Sums> = BTreeMap::new();
        let counted_once = |one: &&Generation| matches!(one.state, State::Superseded | State::Withdrawn);
        for generation in self.generations.iter().filter(counted_once) {
            let cells = generation.last_cells.clone().unwrap_or_else(|| self.own(std::iter::once(generation)));
            for (Cell { service, place, .. }, sums) in cells {
                let Place { scope, day, environment, category, currency } = place;
                let delivery = generation.delivery.to_string();
                let key = ["kept", &delivery, &service, environment, &day, &scope.account, category, &currency];
                plus(figures.entry(key.map(str::to_owned).to_vec()).or_default(), &sums, 1);
            }
        }
        figures
    }

    /// The bills that are stored: delivery, account, month, object, state, and how many lines of them are.
    pub fn stored_bills(&self) -> Vec<Key> {
        let is_there = |one: &&Generation| !one.scope.account.is_empty();
        let row = |one: &Generation| {
            let line_count = if one.has_lines { self.lines_of(one).count() } else { 0 };
            let (delivery, lines) = (one.delivery.to_string(), line_count.to_string());
            let scope = &one.scope;
            let row = [delivery.as_str(), &scope.account, &scope.month(), scope.object, one.state.word(), &lines];
            row.map(str::to_owned).to_vec()
        };
        let mut rows: Vec<Key> = self.generations.iter().filter(is_there).map(row).collect();
        rows.sort();
        rows
    }

    /// Every row of daily cost: own cost, and what splits moved.
    pub(super) fn cells(&self) -> BTreeMap<Cell, Sums> {
        let own = self.own(self.current_generations());
        let mut cells = self.shared(&own);
        cells.extend(own);
        cells
    }

    /// Own cost of these bills, as the rules map it now.
    pub(super) fn own<'a>(&'a self, generations: impl Iterator<Item = &'a Generation>) -> BTreeMap<Cell, Sums> {
        let mut cells: BTreeMap<Cell, Sums> = BTreeMap::new();
        for generation in generations {
            for line in self.lines_of(generation) {
                let place = Place {
                    scope: generation.scope.clone(),
                    day: line.day.clone(),
                    environment: self.environment(line),
                    category: line.category,
                    currency: line.currency.clone(),
                };
                add(&mut cells, Cell { split: OWN, service: self.service(line).to_owned(), place }, line);
            }
        }
        cells
    }
}
