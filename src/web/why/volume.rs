//! Which part of the cost of a service in an environment followed its traffic before: the rest is fixed, which is no
//! efficiency.

use crate::analyze::unit_economics::{CannotTell, KnownDay, VariableShare, variable_share};
use crate::analyze::variance::Place;
use crate::focus::DateRange;
use crate::store::variance_costs::{PlaceLists, Question, Traffic};
use crate::store::variance_known::Known;
use crate::store::variance_volume;
use crate::store::{Scope, Snapshot};
use bigdecimal::ToPrimitive;
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Days up to the end of the compared period that are looked at, however long it is.
const DAY_COUNT: u32 = 56;

/// The share of cost that follows traffic, or why it is not told, by place and currency.
#[derive(Debug, Default)]
pub(super) struct VariableShares(BTreeMap<Place, BTreeMap<String, Result<VariableShare, CannotTell>>>);

impl VariableShares {
    /// Of the places with traffic, by the last eight weeks before the change.
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
        let places = PlaceLists {
            service_ids: traffic.iter().map(|one| one.service_id).collect(),
            environment_ids: traffic.iter().map(|one| one.environment_id).collect(),
        };
        let mut usage: HashMap<(Place, NaiveDate), f64> = HashMap::new();
        for day in variance_volume::traffic_days(conn, &places, days).await? {
            let place = Place { service_id: day.service_id, environment_id: day.environment_id };
            usage.insert((place, day.charge_date), day.value);
        }
        let service_ids: BTreeSet<i64> = places.service_ids.iter().copied().collect();
        let service_ids: Vec<i64> = service_ids.into_iter().collect();
        let with_traffic: BTreeSet<Place> = traffic.iter().map(place_of).collect();
        let mut costs: BTreeMap<(Place, String), HashMap<NaiveDate, f64>> = BTreeMap::new();
        for day in variance_volume::usage_days(conn, scope, question, &service_ids, days).await? {
            let place = Place { service_id: day.service_id, environment_id: day.environment_id };
            if with_traffic.contains(&place) {
                let cost = day.cost.to_f64().unwrap_or_default();
                costs.entry((place, day.currency)).or_default().insert(day.charge_date, cost);
            }
        }
        let mut shares = Self::default();
        for ((place, currency), costs) in costs {
            let of_day = |day: NaiveDate| {
                let is_known = known.is_known_on(day, place.service_id, &currency, days);
                let used = is_known.then(|| usage.get(&(place, day)))??;
                Some(KnownDay { cost: costs.get(&day).copied().unwrap_or_default(), usage: *used })
            };
            // Before its first cost a service was not there.
            let began = costs.keys().min().copied().unwrap_or(days.end());
            let known_days: Vec<KnownDay> = days.days().skip_while(|day| *day < began).filter_map(of_day).collect();
            shares.0.entry(place).or_default().insert(currency, variable_share(&known_days));
        }
        Ok(shares)
    }

    /// Of a place in one currency. One without a day of cost before has too few of them.
    pub fn of(&self, place: Place, currency: &str) -> Result<VariableShare, CannotTell> {
        let own = self.0.get(&place).and_then(|shares| shares.get(currency)).copied();
        own.unwrap_or(Err(CannotTell::TooFewDays))
    }
}

/// Where traffic is.
pub(super) fn place_of(traffic: &Traffic) -> Place {
    Place { service_id: traffic.service_id, environment_id: traffic.environment_id }
}
