//! Which part of the cost of a service followed its traffic before: the rest is fixed, which is no efficiency.

use crate::analyze::unit_economics::{KnownDay, variable_share};
use crate::focus::DateRange;
use crate::store::variance_costs::{Question, Traffic};
use crate::store::variance_known::Known;
use crate::store::variance_volume;
use crate::store::{Scope, Snapshot};
use bigdecimal::ToPrimitive;
use chrono::NaiveDate;
use std::collections::{BTreeMap, HashMap};

/// Days up to the end of the compared period that are looked at, however long it is.
const DAY_COUNT: u32 = 56;

/// The share of cost that follows traffic, by service and currency, where the days tell it.
#[derive(Debug, Default)]
pub(super) struct VariableShares(BTreeMap<i64, BTreeMap<String, f64>>);

impl VariableShares {
    /// Of these services, by the last eight weeks before the change.
    pub async fn read(
        conn: &mut Snapshot,
        scope: &Scope,
        question: Question<'_>,
        known: &Known,
        traffic: &[Traffic],
    ) -> sqlx::Result<Self> {
        // A part of a service, by a dimension, has no traffic of its own.
        let before = known.complete(question.compared).filter(|_| question.dimension.is_none() && !traffic.is_empty());
        let Some(before) = before else { return Ok(Self::default()) };
        let days = DateRange::days_to(before.last_day(), DAY_COUNT);
        let ids: Vec<i64> = traffic.iter().map(|one| one.service_id).collect();
        let mut usage: HashMap<(i64, NaiveDate), f64> = HashMap::new();
        for day in variance_volume::traffic_days(conn, question, &ids, days).await? {
            usage.insert((day.service_id, day.charge_date), day.value);
        }
        let mut costs: BTreeMap<(i64, String), HashMap<NaiveDate, f64>> = BTreeMap::new();
        for day in variance_volume::usage_days(conn, scope, question, &ids, days).await? {
            let cost = day.cost.to_f64().unwrap_or_default();
            costs.entry((day.service_id, day.currency)).or_default().insert(day.charge_date, cost);
        }
        let mut shares = Self::default();
        for ((service_id, currency), costs) in costs {
            let of_day = |day: NaiveDate| {
                let used = known.is_known_on(day, service_id, days).then(|| usage.get(&(service_id, day)))??;
                Some(KnownDay { cost: costs.get(&day).copied().unwrap_or_default(), usage: *used })
            };
            // Before its first cost a service was not there.
            let began = costs.keys().min().copied().unwrap_or(days.end());
            let known_days: Vec<KnownDay> = days.days().skip_while(|day| *day < began).filter_map(of_day).collect();
            if let Some(share) = variable_share(&known_days) {
                shares.0.entry(service_id).or_default().insert(currency, share);
            }
        }
        Ok(shares)
    }

    /// Of a service in one currency.
    pub fn of(&self, service_id: i64, currency: &str) -> Option<f64> {
        self.0.get(&service_id)?.get(currency).copied()
    }

    /// The same, or of its one currency where none is named.
    pub fn said(&self, service_id: i64, currency: Option<&str>) -> Option<f64> {
        match currency {
            Some(currency) => self.of(service_id, currency),
            None => self.0.get(&service_id).filter(|shares| shares.len() == 1)?.values().next().copied(),
        }
    }
}
