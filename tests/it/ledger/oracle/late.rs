//! Late bills as the oracle sees them: what would change a closed month waits for a decision.

use super::{Content, Delivery, Key, Oracle, Scope, State, Sums, Version, add};
use std::collections::{BTreeMap, BTreeSet};

impl Oracle {
    /// What became of the last delivery: its state, or that it waits because of a closed month.
    pub fn outcome(&self) -> &'static str {
        match self.deliveries.last() {
            Some(_) if self.is_waiting(self.deliveries.len() - 1) => "late",
            Some(last) => last.state,
            None => "",
        }
    }

    /// Whether these scopes of a file change a closed month, and somebody has to say so first: files that add up are
    /// booked without asking.
    pub(super) fn is_late(&self, content: usize, scopes: &[Scope]) -> bool {
        let is_changed = |scope: &Scope| {
            let current = self.current(scope).map(|index| &self.generations[index]);
            let counted = current.map(|current| &self.contents[self.deliveries[current.delivery].content]);
            self.sums(Some(&self.contents[content]), scope) != self.sums(counted, scope)
        };
        let mut closed = scopes.iter().filter(|scope| self.closings.contains_key(&scope.month()));
        self.contents[content].object.is_empty() && closed.any(is_changed)
    }

    // By all that a rollup keeps apart.
    fn sums(&self, content: Option<&Content>, scope: &Scope) -> BTreeMap<Key, Sums> {
        let mut sums = BTreeMap::new();
        let Some(content) = content else { return sums };
        for line in content.lines.iter().filter(|line| content.scope_of(line) == *scope) {
            let lane = self.lane_in_key(line);
            let key = [line.service.as_str(), lane, &line.day, line.category, &line.currency];
            add(&mut sums, key.map(str::to_owned).to_vec(), line);
        }
        sums
    }

    /// What older deliveries wait with and this one holds anew waits no longer; where this one has an unreadable line,
    /// only what has one too, and no more lines that can be read.
    pub(super) fn replace_waiting(&mut self, delivery: usize, newer: Delivery, scopes: &[Scope], is_whole: bool) {
        let version = newer.version;
        let lines = |content: usize, scope: &Scope| {
            let content = &self.contents[content];
            content.lines.iter().filter(|line| content.scope_of(line) == *scope).count()
        };
        let replaced: Vec<usize> = (0..self.generations.len())
            .filter(|index| {
                let generation = &self.generations[*index];
                generation.state == State::Ready
                    && generation.delivery != delivery
                    && self.is_replaced(generation.delivery, version, is_whole)
                    && scopes.contains(&generation.scope)
                    && (is_whole
                        || lines(self.deliveries[generation.delivery].content, &generation.scope)
                            <= lines(newer.content, &generation.scope))
            })
            .collect();
        let mut older: BTreeSet<usize> = BTreeSet::new();
        for index in replaced {
            let generation = &mut self.generations[index];
            generation.scope = Scope::default();
            generation.has_lines = false;
            older.insert(generation.delivery);
        }
        for delivery in older {
            if self.of_delivery(delivery, |state| state == State::Ready).is_empty() {
                self.deliveries[delivery].state = "refused";
            }
        }
    }

    fn is_replaced(&self, delivery: usize, version: Version, by_whole: bool) -> bool {
        let older = &self.deliveries[delivery];
        if self.is_waiting(delivery) {
            by_whole && older.version.day <= version.day
        } else {
            older.state == "quarantined" && older.version.day < version.day
        }
    }

    // A file with an unreadable line waits because of that.
    fn is_waiting(&self, delivery: usize) -> bool {
        let delivery = &self.deliveries[delivery];
        delivery.state == "quarantined" && !self.contents[delivery.content].has_unreadable_line
    }
}
