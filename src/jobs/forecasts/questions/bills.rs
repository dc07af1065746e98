//! Whether bills tell of the days that a forecast rests on.

use super::{Series, Subject};
use crate::focus::{BillingPeriod, DateRange};
use crate::store::missing_bills::MATERIAL_PERCENT;

impl Series {
    /// The billing period without a bill that these days lie in, where the services that lack it are a material part of
    /// the scope: what they cost on the days that are read is held against all.
    pub fn gap(&self, subject: &Subject, days: DateRange) -> Option<BillingPeriod> {
        let (mut all, mut lacking, mut first) = (0.0, 0.0, None);
        for key in self.keys(subject) {
            let cost: f64 = self.usage.get(&key).into_iter().flatten().flatten().sum();
            all += cost;
            if let Some(gap) = self.known_days.first_gap(key.0, &key.1, days) {
                lacking += cost;
                first = Some(first.map_or(gap, |first: BillingPeriod| first.min(gap)));
            }
        }
        first.filter(|_| 100.0 * lacking >= MATERIAL_PERCENT as f64 * all)
    }

    /// Whether bills tell of these days: there is a line of the scope on one of them, in its currency, and no source lacks
    /// that makes a material part of it. Else a forecast that is made afterwards rests on nothing.
    pub fn is_told(&self, subject: &Subject, days: DateRange) -> bool {
        let has_line = self.keys(subject).any(|key| self.known.contains_key(&key));
        let (mut all, mut lacking, mut is_late) = (0.0, 0.0, false);
        for key in self.keys(subject) {
            let cost: f64 = self.usage.get(&key).into_iter().flatten().flatten().sum();
            all += cost;
            if self.known_days.missing_since(key.0, &key.1).is_some_and(|since| since < days.end()) {
                lacking += cost;
                is_late = true;
            }
        }
        has_line && !(is_late && 100.0 * lacking >= MATERIAL_PERCENT as f64 * all)
    }
}
