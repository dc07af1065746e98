//! Closed months and what is booked of them, as the oracle sees them.

use super::{Cell, Closing, Key, Oracle, Sums, add, month_of};
use std::collections::{BTreeMap, BTreeSet};

impl Oracle {
    /// Closes a month that has bills. False where it has none, or is closed.
    pub fn close(&mut self, month: &str) -> bool {
        let of_month = |figures: BTreeMap<Key, Sums>| -> BTreeMap<Key, Sums> {
            figures.into_iter().filter(|(key, _)| key.contains(&month.to_owned())).collect()
        };
        let closing =
            Closing { statement: of_month(self.statement()), bills: of_month(self.bills()), booked: Vec::new() };
        if closing.bills.is_empty() || self.closings.contains_key(month) {
            return false;
        }
        self.closings.insert(month.to_owned(), closing);
        true
    }

    /// Opens it again. False where it is open, or what arrived late for it is booked in a closed month.
    pub fn reopen(&mut self, month: &str) -> bool {
        let Some(closing) = self.closings.get(month) else { return false };
        if closing.booked.iter().any(|(booked_month, ..)| self.closings.contains_key(booked_month)) {
            return false;
        }
        self.closings.remove(month);
        true
    }

    /// What bills of closed months say beyond what they said goes to the first open month after each.
    pub fn book(&mut self) {
        let bills = self.bills();
        let closed: BTreeSet<String> = self.closings.keys().cloned().collect();
        for (month, closing) in &mut self.closings {
            let mut open_month = next_month(month);
            while closed.contains(&open_month) {
                open_month = next_month(&open_month);
            }
            let mut differences: BTreeMap<Key, Sums> = BTreeMap::new();
            for (key, sums) in bills.iter().filter(|(key, _)| key.contains(month)) {
                plus(differences.entry(key.clone()).or_default(), sums, 1);
            }
            let booked = closing.booked.iter().map(|(_, key, sums)| (key, sums));
            for (key, sums) in closing.bills.iter().chain(booked) {
                plus(differences.entry(key.clone()).or_default(), sums, -1);
            }
            differences.retain(|_, sums| *sums != Sums::default());
            closing.booked.extend(differences.into_iter().map(|(key, sums)| (open_month.clone(), key, sums)));
        }
    }

    /// What a month's statement says: that of its closing where it is closed.
    pub fn statement(&self) -> BTreeMap<Key, Sums> {
        let mut figures: BTreeMap<Key, Sums> = BTreeMap::new();
        for (Cell { service, place, .. }, sums) in self.cells() {
            let month = place.scope.month();
            if self.closings.contains_key(&month) {
                continue;
            }
            let key = ["statement", &service, place.environment, &month, place.category, &place.currency];
            plus(figures.entry(key.map(str::to_owned).to_vec()).or_default(), &sums, 1);
        }
        figures.extend(self.closings.values().flat_map(|closing| closing.statement.clone()));
        figures
    }

    /// What is booked to other months than its own.
    pub fn booked(&self) -> BTreeMap<Key, Sums> {
        let mut figures: BTreeMap<Key, Sums> = BTreeMap::new();
        for (booked_month, key, sums) in self.closings.values().flat_map(|closing| &closing.booked) {
            let key = [&["booked".to_owned(), booked_month.clone()], &key[1..]].concat();
            plus(figures.entry(key).or_default(), sums, 1);
        }
        figures
    }

    fn bills(&self) -> BTreeMap<Key, Sums> {
        let mut figures: BTreeMap<Key, Sums> = BTreeMap::new();
        for line in self.counted_lines() {
            let key = ["bill", &month_of(line), &line.account, &line.currency];
            add(&mut figures, key.map(str::to_owned).to_vec(), line);
        }
        figures
    }
}

fn next_month(month: &str) -> String {
    let (year, number): (u32, u32) = (month[..4].parse().unwrap(), month[5..7].parse().unwrap());
    if number == 12 { format!("{}-01-01", year + 1) } else { format!("{year}-{:02}-01", number + 1) }
}

pub(super) fn plus(sums: &mut Sums, other: &Sums, sign: i64) {
    sums.0 += sign * other.0;
    for (sum, cost) in sums.1.iter_mut().zip(&other.1) {
        *sum += cost * sign;
    }
}
