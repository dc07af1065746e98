//! What the ledger must say, told by a few lists in memory: no SQL, no rollups, nothing of the crate's own logic.

mod closing;
mod figures;
mod history;
mod late;
mod rules;
mod splits;

pub use rules::Rule;
pub use splits::Split;

use super::{Line, bill};
use bigdecimal::BigDecimal;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// What has no service, or no environment.
pub const NOBODY: &str = "-";
/// The charges' own cost, beside what splits moved.
pub const OWN: &str = "own";
/// The only account of the source whose files add up.
const ACCOUNT_OF_OBJECTS: &str = "oci-7";

/// The content of a file, which may be handed in more than once.
#[derive(Debug, Clone)]
pub struct Content {
    lines: Vec<Line>,
    /// One more line, with an amount that is none.
    has_unreadable_line: bool,
    /// The name of a file that adds up with the others of its source; empty where bills replace each other.
    pub object: &'static str,
    sha256: String,
}

impl Content {
    pub fn new(mut lines: Vec<Line>, has_unreadable_line: bool, object: &'static str) -> Self {
        if !object.is_empty() {
            lines.iter_mut().for_each(|line| line.account = ACCOUNT_OF_OBJECTS.into());
        }
        let mut content = Self { lines, has_unreadable_line, object, sha256: String::new() };
        content.sha256 = hex::encode(Sha256::digest(content.text()));
        content
    }

    pub fn text(&self) -> String {
        let mut lines = self.lines.clone();
        if self.has_unreadable_line {
            let mut unreadable = self.lines[0].clone();
            unreadable.costs[0] = "$1".into();
            lines.push(unreadable);
        }
        bill(&lines)
    }

    /// In the order of their first line.
    fn scopes(&self) -> Vec<Scope> {
        let mut scopes: Vec<Scope> = Vec::new();
        for line in &self.lines {
            if !scopes.contains(&self.scope_of(line)) {
                scopes.push(self.scope_of(line));
            }
        }
        scopes
    }

    fn scope_of(&self, line: &Line) -> Scope {
        Scope { account: line.account.clone(), period: line.period.clone(), object: self.object }
    }

    fn has_bytes_of(&self, other: &Self) -> bool {
        self.sha256 == other.sha256 && self.object == other.object
    }
}

/// A bill: billing account, billing period and, where files add up, the file. That of nothing is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Scope {
    account: String,
    /// `2026-10`.
    period: String,
    object: &'static str,
}

impl Scope {
    // Its first day.
    fn month(&self) -> String {
        format!("{}-01", self.period)
    }
}

/// What orders a delivery: a day of November.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub day: u32,
    /// Told by the person who hands the file in; otherwise it is the day on which that happens.
    pub is_told: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Current,
    Superseded,
    Withdrawn,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Current => "current",
            Self::Superseded => "superseded",
            Self::Withdrawn => "withdrawn",
        }
    }
}

#[derive(Debug, Clone)]
struct Generation {
    delivery: usize,
    scope: Scope,
    state: State,
    replaced: Option<usize>,
    version_day: u32,
    has_lines: bool,
    /// Its own cost as it was mapped when its lines went.
    last_cells: Option<BTreeMap<Cell, Sums>>,
}

#[derive(Debug, Clone, Copy)]
struct Delivery {
    content: usize,
    version: Version,
    state: &'static str,
}

/// What daily cost is kept apart by, beside its owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    scope: Scope,
    day: String,
    environment: &'static str,
    category: &'static str,
    currency: String,
}

/// A row of daily cost without its figures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    /// [`OWN`], or the name of a split.
    split: &'static str,
    service: String,
    place: Place,
}

/// A row of a rollup without its figures: what it is about.
pub type Key = Vec<String>;
/// A row count and the four costs.
pub type Sums = (i64, [BigDecimal; 4]);

/// The whole ledger of two sources.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    pub contents: Vec<Content>,
    deliveries: Vec<Delivery>,
    generations: Vec<Generation>,
    /// The rules that are asked before the tag "service", and those that are asked after it; each in order.
    first_rules: Vec<Rule>,
    last_rules: Vec<Rule>,
    /// The rules that are there, or were.
    looked_at: BTreeSet<Rule>,
    splits: BTreeSet<Split>,
    /// By the first day of the month.
    closings: BTreeMap<String, Closing>,
    /// Which generations counted after each step.
    counted: Vec<Vec<usize>>,
}

/// A closed month: what it said then, and what was booked elsewhere since.
#[derive(Debug, Clone, Default)]
struct Closing {
    statement: BTreeMap<Key, Sums>,
    bills: BTreeMap<Key, Sums>,
    /// The month that it is booked to, the bill, and what it adds.
    booked: Vec<(String, Key, Sums)>,
}

impl Oracle {
    pub fn delivery_count(&self) -> usize {
        self.deliveries.len()
    }

    pub fn delivery_states(&self) -> Vec<&'static str> {
        self.deliveries.iter().map(|delivery| delivery.state).collect()
    }

    /// Takes a file in. Its state is that of the last of [`Self::delivery_states`] then.
    pub fn deliver(&mut self, content: usize, version: Version) {
        let delivery = self.deliveries.len();
        let state = self.state_of_new(delivery, content, version);
        self.deliveries.push(Delivery { content, version, state });
        if state == "published" {
            self.settle();
            self.drop_old_lines();
        }
    }

    fn state_of_new(&mut self, delivery: usize, content: usize, version: Version) -> &'static str {
        if let Some(same) = self.counted_with_same_bytes(content) {
            self.renew(|generation| generation.delivery == same, version.day);
            return "unchanged";
        }
        let new = Delivery { content, version, state: "" };
        let scopes = self.contents[content].scopes();
        let decisions: Vec<Decision> = scopes.iter().map(|scope| self.decide(scope, content, version)).collect();
        if !decisions.contains(&Decision::Counts) {
            if !decisions.contains(&Decision::Same) {
                return "refused";
            }
            let same: Vec<Scope> = scopes_where(&scopes, &decisions, |decision| decision == Decision::Same);
            self.renew(|generation| same.contains(&generation.scope), version.day);
            return "unchanged";
        }
        if self.contents[content].has_unreadable_line {
            for scope in scopes.clone() {
                self.generations.push(Generation::ready(delivery, scope, version));
            }
            self.replace_waiting(delivery, new, &scopes, false);
            return "quarantined";
        }
        let counting = scopes_where(&scopes, &decisions, |decision| decision != Decision::Older);
        let is_late = self.is_late(content, &counting);
        for scope in counting.clone() {
            self.generations.push(Generation::ready(delivery, scope, version));
            if !is_late {
                self.make_current(self.generations.len() - 1, content);
            }
        }
        self.replace_waiting(delivery, new, &counting, true);
        if is_late { "quarantined" } else { "published" }
    }

    /// Counts one that waits, or one that was taken back. False where that is refused.
    pub fn accept(&mut self, delivery: usize) -> bool {
        let Delivery { content, version, state } = self.deliveries[delivery];
        match state {
            "published" => return true,
            "quarantined" | "withdrawn" => {}
            _ => return false,
        }
        let own: Vec<usize> = self.of_delivery(delivery, |_| true);
        let decisions: Vec<Decision> =
            own.iter().map(|index| self.decide(&self.generations[*index].scope.clone(), content, version)).collect();
        let counting: Vec<usize> = own
            .iter()
            .zip(&decisions)
            .filter(|(_, decision)| **decision != Decision::Older)
            .map(|(index, _)| *index)
            .collect();
        let says_no = !decisions.contains(&Decision::Counts);
        if says_no || counting.is_empty() || counting.iter().any(|index| !self.generations[*index].has_lines) {
            return false;
        }
        for index in &own {
            if !counting.contains(index) && self.generations[*index].state == State::Ready {
                // Loaded aside and older than what counts: thrown away.
                self.generations[*index].scope = Scope::default();
                self.generations[*index].has_lines = false;
            }
        }
        let scopes: Vec<Scope> = counting.iter().map(|index| self.generations[*index].scope.clone()).collect();
        for index in counting {
            self.make_current(index, content);
        }
        self.replace_waiting(delivery, self.deliveries[delivery], &scopes, true);
        self.deliveries[delivery].state = "published";
        self.settle();
        self.drop_old_lines();
        true
    }

    /// Leaves the scopes of a delivery without figures.
    pub fn withdraw(&mut self, delivery: usize) -> bool {
        let is_counted = !self.of_delivery(delivery, |state| state == State::Current).is_empty();
        let is_waiting = self.deliveries[delivery].state == "quarantined";
        if !is_counted && !is_waiting {
            return self.deliveries[delivery].state == "withdrawn";
        }
        self.withdraw_generations(delivery);
        for index in self.of_delivery(delivery, |state| state == State::Ready) {
            self.generations[index].scope = Scope::default();
            self.generations[index].has_lines = false;
        }
        self.deliveries[delivery].state = "withdrawn";
        true
    }

    /// Gives the scopes of a delivery back to what counted before it.
    pub fn revert(&mut self, delivery: usize) -> bool {
        let current = self.of_delivery(delivery, |state| state == State::Current);
        match self.deliveries[delivery].state {
            "published" | "withdrawn" if !current.is_empty() => {}
            state => return state == "withdrawn",
        }
        let before: BTreeSet<usize> = current.iter().filter_map(|index| self.before(*index)).collect();
        if before.is_empty() || before.iter().any(|index| !self.generations[*index].has_lines) {
            return false;
        }
        self.withdraw_generations(delivery);
        for index in before {
            self.generations[index].state = State::Current;
        }
        self.deliveries[delivery].state = "withdrawn";
        self.settle();
        true
    }

    // The superseded one that a scope goes back to, over those that were taken back.
    fn before(&self, index: usize) -> Option<usize> {
        let mut seen = BTreeSet::new();
        let mut next = self.generations[index].replaced;
        while let Some(index) = next.filter(|index| seen.insert(*index)) {
            match self.generations[index].state {
                State::Superseded => return Some(index),
                State::Withdrawn => next = self.generations[index].replaced,
                State::Ready | State::Current => return None,
            }
        }
        None
    }

    fn of_delivery(&self, delivery: usize, wanted: impl Fn(State) -> bool) -> Vec<usize> {
        let is_wanted = |index: &usize| {
            let generation = &self.generations[*index];
            generation.delivery == delivery && !generation.scope.account.is_empty() && wanted(generation.state)
        };
        (0..self.generations.len()).filter(is_wanted).collect()
    }

    fn current(&self, scope: &Scope) -> Option<usize> {
        (0..self.generations.len())
            .find(|index| self.generations[*index].state == State::Current && self.generations[*index].scope == *scope)
    }

    fn counted_with_same_bytes(&self, content: usize) -> Option<usize> {
        let scopes = self.contents[content].scopes();
        (0..self.deliveries.len()).rev().find(|index| {
            let delivery = &self.deliveries[*index];
            delivery.state == "published"
                && self.contents[delivery.content].has_bytes_of(&self.contents[content])
                && scopes.iter().all(|scope| {
                    self.current(scope).is_some_and(|current| self.generations[current].delivery == *index)
                })
        })
    }

    fn decide(&self, scope: &Scope, content: usize, version: Version) -> Decision {
        let Some(current) = self.current(scope).map(|index| &self.generations[index]) else { return Decision::Counts };
        let current_sha256 = &self.contents[self.deliveries[current.delivery].content].sha256;
        let sha256 = &self.contents[content].sha256;
        if current_sha256 == sha256 {
            return Decision::Same;
        }
        let is_older = if version.is_told {
            (version.day, sha256) < (current.version_day, current_sha256)
        } else {
            version.day < current.version_day
        };
        if is_older { Decision::Older } else { Decision::Counts }
    }

    fn make_current(&mut self, index: usize, content: usize) {
        let scope = self.generations[index].scope.clone();
        let replaced = self.current(&scope).filter(|replaced| *replaced != index);
        if let Some(replaced) = replaced {
            let same = self.contents[self.deliveries[self.generations[replaced].delivery].content].sha256
                == self.contents[content].sha256;
            let version_day = self.generations[replaced].version_day;
            let generation = &mut self.generations[index];
            generation.replaced = Some(replaced);
            // The same bytes stay as new as they were.
            if same {
                generation.version_day = generation.version_day.max(version_day);
            }
            self.generations[replaced].state = State::Superseded;
        }
        self.generations[index].state = State::Current;
    }

    fn withdraw_generations(&mut self, delivery: usize) {
        for index in self.of_delivery(delivery, |state| matches!(state, State::Current | State::Superseded)) {
            self.generations[index].state = State::Withdrawn;
        }
    }

    fn renew(&mut self, wanted: impl Fn(&Generation) -> bool, day: u32) {
        for generation in &mut self.generations {
            if generation.state == State::Current && wanted(generation) {
                generation.version_day = generation.version_day.max(day);
            }
        }
    }

    fn settle(&mut self) {
        for index in 0..self.deliveries.len() {
            if matches!(self.deliveries[index].state, "published" | "superseded") {
                let counts = !self.of_delivery(index, |state| state == State::Current).is_empty();
                self.deliveries[index].state = if counts { "published" } else { "superseded" };
            }
        }
    }

    /// Lines are kept of what counts, of what it replaced, and of the two newest of a scope.
    pub fn drop_old_lines(&mut self) {
        let scopes: BTreeSet<Scope> = self.generations.iter().map(|generation| generation.scope.clone()).collect();
        let replaced: Vec<usize> = self
            .generations
            .iter()
            .filter(|generation| generation.state == State::Current)
            .filter_map(|generation| generation.replaced)
            .collect();
        for scope in scopes {
            let mut places: Vec<usize> = (0..self.generations.len())
                .filter(|index| {
                    self.generations[*index].scope == scope && self.generations[*index].state != State::Ready
                })
                .collect();
            places.sort_by_key(|index| {
                let generation = &self.generations[*index];
                (generation.state != State::Current, std::cmp::Reverse((generation.delivery, *index)))
            });
            for index in places.into_iter().skip(2) {
                let old = &self.generations[index];
                if old.has_lines && old.state != State::Current && !replaced.contains(&index) {
                    let last_cells = self.own(std::iter::once(old));
                    self.generations[index].last_cells = Some(last_cells);
                    self.generations[index].has_lines = false;
                }
            }
        }
    }

    fn current_generations(&self) -> impl Iterator<Item = &Generation> {
        self.generations.iter().filter(|generation| generation.state == State::Current)
    }

    fn counted_lines(&self) -> impl Iterator<Item = &Line> {
        self.current_generations().flat_map(|generation| self.lines_of(generation))
    }

    fn lines_of<'a>(&'a self, generation: &'a Generation) -> impl Iterator<Item = &'a Line> {
        let content = &self.contents[self.deliveries[generation.delivery].content];
        content.lines.iter().filter(move |line| content.scope_of(line) == generation.scope)
    }
}

fn month_of(line: &Line) -> String {
    format!("{}-01", line.period)
}

fn add<K: Ord>(figures: &mut BTreeMap<K, Sums>, key: K, line: &Line) {
    let sums = figures.entry(key).or_default();
    sums.0 += 1;
    for (sum, cost) in sums.1.iter_mut().zip(&line.costs) {
        *sum += BigDecimal::from_str(cost).unwrap();
    }
}

impl Generation {
    fn ready(delivery: usize, scope: Scope, version: Version) -> Self {
        Self {
            delivery,
            scope,
            state: State::Ready,
            replaced: None,
            version_day: version.day,
            has_lines: true,
            last_cells: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Counts,
    Same,
    Older,
}

fn scopes_where(scopes: &[Scope], decisions: &[Decision], wanted: impl Fn(Decision) -> bool) -> Vec<Scope> {
    scopes.iter().zip(decisions).filter(|(_, decision)| wanted(**decision)).map(|(scope, _)| scope.clone()).collect()
}
