//! What was said at each delivery, as the oracle remembers it.

use super::{Oracle, State};
use bigdecimal::BigDecimal;
use std::collections::BTreeMap;

impl Oracle {
    /// Remembers which bills count after a step.
    pub fn note_counted(&mut self) {
        let is_current = |index: &usize| self.generations[*index].state == State::Current;
        let counted: Vec<usize> = (0..self.generations.len()).filter(is_current).collect();
        self.counted.push(counted);
    }

    /// EffectiveCost by currency of a month (`2026-10`) by its bills, or of a charge day (`2026-10-03`), each time that
    /// other bills counted which are about it.
    pub fn said(&self, when: &str) -> Vec<BTreeMap<String, BigDecimal>> {
        let mut before: Vec<usize> = Vec::new();
        let mut said = Vec::new();
        for counted in &self.counted {
            let now: Vec<usize> = counted.iter().copied().filter(|index| self.is_about(*index, when)).collect();
            if now != before {
                said.push(self.sums_of(&now, when));
                before = now;
            }
        }
        said
    }

    // A bill is about all days from its first to its last one.
    fn is_about(&self, index: usize, when: &str) -> bool {
        let generation = &self.generations[index];
        if is_month(when) {
            return generation.scope.period == when;
        }
        let days = || self.lines_of(generation).map(|line| line.day.as_str());
        days().min().is_some_and(|first| first <= when) && days().max().is_some_and(|last| when <= last)
    }

    fn sums_of(&self, indexes: &[usize], when: &str) -> BTreeMap<String, BigDecimal> {
        let mut sums: BTreeMap<String, BigDecimal> = BTreeMap::new();
        let lines = indexes.iter().flat_map(|index| self.lines_of(&self.generations[*index]));
        for line in lines.filter(|line| is_month(when) || line.day == when) {
            *sums.entry(line.currency.clone()).or_default() += line.costs[1].parse::<BigDecimal>().unwrap();
        }
        sums
    }
}

fn is_month(when: &str) -> bool {
    when.len() == "2026-10".len()
}
