//! The order in which splits are worked out: one that brings cost to a service before the one that divides that
//! service's cost. Only splits that hold on the same day feed each other, so there is an order for each stretch of days
//! on which the same splits hold, and a loop is one only where all of it holds on one day.

use super::{Split, SplitError};
use crate::allocate::validity::{FIRST_DAY, Validity};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// Days on which the same splits hold, up to where the next stretch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub first_day: NaiveDate,
    /// The splits that hold, as places in their list, in the order in which they are worked out.
    pub order: Vec<usize>,
    /// Whose cost they divide.
    pub sources: BTreeSet<i64>,
}

/// All stretches, or why the splits have no order. `name` gives a service's name for the message about a loop.
pub(super) fn stretches(splits: &[Split], name: impl Fn(i64) -> String) -> Result<Vec<Stretch>, SplitError> {
    for (index, one) in splits.iter().enumerate() {
        for other in &splits[index + 1..] {
            if one.source == other.source && overlap(one.validity, other.validity) {
                return Err(SplitError::SameSource(one.name.clone(), other.name.clone()));
            }
        }
    }
    let bounds = splits.iter().flat_map(|split| split.validity.bounds());
    let first_days: BTreeSet<NaiveDate> = std::iter::once(FIRST_DAY).chain(bounds).collect();
    let stretch = |first_day: NaiveDate| {
        let hold: Vec<usize> = (0..splits.len()).filter(|index| splits[*index].validity.holds_on(first_day)).collect();
        let walked = Walk::over(splits, &hold);
        match walked.cycle {
            Some(cycle) => {
                let sources = cycle.iter().map(|index| name(splits[*index].source));
                Err(SplitError::Loop(sources.collect::<Vec<_>>().join(" → ")))
            }
            None => {
                let sources = hold.iter().map(|index| splits[*index].source).collect();
                Ok(Stretch { first_day, order: walked.order, sources })
            }
        }
    };
    first_days.into_iter().map(stretch).collect()
}

/// All splits in one list, for people. Where no order fits all days, that of some days gives way.
pub(super) fn listed(splits: &[Split]) -> Vec<usize> {
    Walk::over(splits, &(0..splits.len()).collect::<Vec<_>>()).order
}

fn overlap(one: Validity, other: Validity) -> bool {
    let starts_before_end = |a: Validity, b: Validity| match (a.first_day, b.last_day) {
        (Some(first), Some(last)) => first <= last,
        _ => true,
    };
    starts_before_end(one, other) && starts_before_end(other, one)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    New,
    Open,
    Done,
}

struct Walk<'a> {
    splits: &'a [Split],
    by_source: BTreeMap<i64, Vec<usize>>,
    state: Vec<Visit>,
    // While walking, each split behind those that it feeds; then the other way round.
    order: Vec<usize>,
    // The first one that was met, from a split back to itself.
    cycle: Option<Vec<usize>>,
}

impl<'a> Walk<'a> {
    // In the order of the list, but for what feeds something before it.
    fn over(splits: &'a [Split], among: &[usize]) -> Self {
        let mut by_source: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for index in among {
            by_source.entry(splits[*index].source).or_default().push(*index);
        }
        let state = vec![Visit::New; splits.len()];
        let mut walk = Self { splits, by_source, state, order: Vec::with_capacity(among.len()), cycle: None };
        for index in among.iter().rev() {
            walk.visit(*index, &mut Vec::new());
        }
        walk.order.reverse();
        walk
    }

    fn visit(&mut self, index: usize, path: &mut Vec<usize>) {
        match self.state[index] {
            Visit::Done => return,
            Visit::Open => {
                if self.cycle.is_none() {
                    let start = path.iter().position(|one| *one == index).unwrap_or(0);
                    self.cycle = Some(path[start..].iter().copied().chain([index]).collect());
                }
                return;
            }
            Visit::New => {}
        }
        self.state[index] = Visit::Open;
        path.push(index);
        for next in self.fed_by(index).into_iter().rev() {
            self.visit(next, path);
        }
        path.pop();
        self.state[index] = Visit::Done;
        self.order.push(index);
    }

    fn fed_by(&self, index: usize) -> BTreeSet<usize> {
        let split = &self.splits[index];
        let divided = split.targets.iter().filter_map(|target| self.by_source.get(&target.service_id)).flatten();
        divided.copied().filter(|other| overlap(split.validity, self.splits[*other].validity)).collect()
    }
}
