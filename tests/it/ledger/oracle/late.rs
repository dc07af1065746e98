//! Late bills as the oracle sees them: what would change a closed month waits for a decision.

use super::{Content, Delivery, Key, Oracle, Scope, State, Sums, Version, add, scope_of};
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

    /// Whether these scopes of a file change a closed month.
    pub(super) fn is_late(&self, content: usize, scopes: &[Scope]) -> bool {
        scopes.iter().filter(|scope| self.closings.contains_key(&format!("{}-01", scope.1))).any(|scope| {
            let current = self.current(scope).map(|index| &self.generations[index]);
            let counted = current.map(|current| &self.contents[self.deliveries[current.delivery].content]);
            sums(Some(&self.contents[content]), scope) != sums(counted, scope)
        })
    }

    /// What older deliveries wait with and this one holds anew waits no longer; where this one has an unreadable line,
    /// only what has one too, and no more lines that can be read.
    pub(super) fn replace_waiting(&mut self, delivery: usize, newer: Delivery, scopes: &[Scope], is_whole: bool) {
        let version = newer.version;
        let lines = |content: usize, scope: &Scope| {
            self.contents[content].lines.iter().filter(|line| scope_of(line) == *scope).count()
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
            generation.scope = (String::new(), String::new());
            generation.has_lines = false;
            older.insert(generation.delivery);
        }
        for delivery in older {
            if self.own(delivery, |state| state == State::Ready).is_empty() {
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

// By all that a rollup keeps apart.
fn sums(content: Option<&Content>, scope: &Scope) -> BTreeMap<Key, Sums> {
    let mut sums = BTreeMap::new();
    for line in content.iter().flat_map(|content| &content.lines).filter(|line| scope_of(line) == *scope) {
        let key = [line.service.as_str(), &line.day, line.category, &line.currency];
        add(&mut sums, key.map(str::to_owned).to_vec(), line);
    }
    sums
}
