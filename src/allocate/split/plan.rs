//! Working out splits over days.

use super::order::{self, Stretch};
use super::shares::{shares, whole_weights};
use super::{Method, Split, SplitError};
use bigdecimal::num_bigint::BigUint;
use bigdecimal::{BigDecimal, Zero};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The four costs: billed, effective, list, contracted.
pub type Costs = [BigDecimal; 4];

/// What a row of cost is kept apart by, beside the service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the column of that name")]
pub struct RowKey {
    pub charge_date: NaiveDate,
    pub generation_id: i64,
    pub environment_id: i64,
    pub provider_name: String,
    pub charge_category: String,
    pub billing_currency: String,
    /// Usage that estimates are made from.
    pub is_used: bool,
}

/// Cost of a service that is divided.
#[derive(Debug, Clone)]
pub struct SourceRow {
    /// The service; 0 for what is not allocated.
    pub service_id: i64,
    /// Of what.
    pub key: RowKey,
    /// How much.
    pub costs: Costs,
}

/// A day of a service in one environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the column of that name")]
pub struct Day {
    pub charge_date: NaiveDate,
    pub environment_id: i64,
}

/// What costs are divided by.
#[derive(Debug, Clone, Default)]
pub struct Drivers {
    /// Own `EffectiveCost`, by currency and day: of each service.
    pub direct: HashMap<(String, Day), BTreeMap<i64, BigDecimal>>,
    /// Values of metrics, by name and day: of each service.
    pub metrics: HashMap<(String, Day), BTreeMap<i64, BigDecimal>>,
}

/// Drivers, and where services run by them.
struct Known<'a> {
    drivers: &'a Drivers,
    // Who has own cost that is not zero, in whatever currency. Empty where no split asks.
    costs: HashMap<Day, BTreeSet<i64>>,
    currencies: BTreeSet<&'a str>,
}

/// A row that a split makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The split.
    pub split_id: i64,
    /// Who gets it, or, below, whose it was.
    pub service_id: i64,
    /// Of what.
    pub key: RowKey,
    /// How much; of the origin, the exact negative of all shares together.
    pub costs: Costs,
}

/// Cost that a split could not divide, because nobody had anything to divide by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stayed {
    /// The split.
    pub split_id: i64,
    /// Of what.
    pub key: RowKey,
    /// How much.
    pub costs: Costs,
}

/// Splits in the order in which they are worked out.
#[derive(Debug, Clone)]
pub struct Plan {
    splits: Vec<Split>,
    // In order of time, without a gap. Places are those in `splits`.
    stretches: Vec<Stretch>,
    sources: BTreeSet<i64>,
    // Services that splits name and the catalogue lacks.
    gone: BTreeSet<i64>,
}

// Who gets a share, and how many of all. `None` stands for what stays with the source.
type Weights = Option<(Vec<Option<i64>>, Vec<BigUint>)>;

impl Plan {
    /// The splits in their order, or why they have none.
    pub fn new(splits: &[Split], name: impl Fn(i64) -> String) -> Result<Self, SplitError> {
        splits.iter().try_for_each(Split::check)?;
        Self::ordered(splits, BTreeSet::new(), name)
    }

    /// The splits as they are stored, of which services may be gone since: what was meant for one that is gone stays.
    pub fn lenient(
        splits: &[Split],
        services: &BTreeSet<i64>,
        name: impl Fn(i64) -> String,
    ) -> Result<Self, SplitError> {
        let gone = splits.iter().flat_map(|split| &split.targets).map(|target| target.service_id);
        Self::ordered(splits, gone.filter(|id| !services.contains(id)).collect(), name)
    }

    fn ordered(splits: &[Split], gone: BTreeSet<i64>, name: impl Fn(i64) -> String) -> Result<Self, SplitError> {
        let mut stretches = order::stretches(splits, name)?;
        let listed = order::listed(splits);
        let mut places = vec![0; splits.len()];
        for (place, index) in listed.iter().enumerate() {
            places[*index] = place;
        }
        for index in stretches.iter_mut().flat_map(|stretch| &mut stretch.order) {
            *index = places[*index];
        }
        let sources = splits.iter().map(|split| split.source).collect();
        Ok(Self { splits: listed.into_iter().map(|index| splits[index].clone()).collect(), stretches, sources, gone })
    }

    /// The splits in their order.
    pub fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// The splits in the order of this day; those that do not hold on it come behind.
    pub fn splits_on(&self, day: NaiveDate) -> impl Iterator<Item = &Split> {
        let order = &self.stretches[self.stretch_at(day)].order;
        let others = self.splits.iter().filter(move |split| !split.validity.holds_on(day));
        order.iter().map(move |place| &self.splits[*place]).chain(others)
    }

    // There is one from the first day on, also where there are no splits.
    fn stretch_at(&self, day: NaiveDate) -> usize {
        self.stretches.partition_point(|stretch| stretch.first_day <= day).saturating_sub(1)
    }

    /// The services whose cost is divided.
    pub fn sources(&self) -> &BTreeSet<i64> {
        &self.sources
    }

    /// The metrics that costs are divided by.
    pub fn metrics(&self) -> BTreeSet<&str> {
        let metrics = self.splits.iter().filter_map(|split| match &split.method {
            Method::Metric(name) => Some(name.as_str()),
            _ => None,
        });
        metrics.collect()
    }

    /// What the splits make of the sources' own rows.
    pub fn work_out(&self, rows: Vec<SourceRow>, drivers: &Drivers) -> (Vec<Moved>, Vec<Stayed>) {
        // No cost leaves its day, so each stretch stands by itself.
        let mut by_stretch: Vec<Vec<SourceRow>> = vec![Vec::new(); self.stretches.len()];
        for row in rows {
            by_stretch[self.stretch_at(row.key.charge_date)].push(row);
        }
        let (mut moved, mut stayed) = (Vec::new(), Vec::new());
        let known = self.known(drivers);
        for (stretch, rows) in self.stretches.iter().zip(by_stretch) {
            self.work_out_stretch(stretch, rows, &known, (&mut moved, &mut stayed));
        }
        (moved, stayed)
    }

    fn known<'a>(&self, drivers: &'a Drivers) -> Known<'a> {
        let mut costs: HashMap<Day, BTreeSet<i64>> = HashMap::new();
        if self.splits.iter().any(|split| split.by_environment && matches!(split.method, Method::Metric(_))) {
            // A free line is no cost, nor is what a preview moved away. Sums over all environments are not asked: they
            // may be zero where two of them are not.
            let of_one = drivers.direct.iter().filter(|((_, day), _)| day.environment_id != ALL_ENVIRONMENTS);
            for ((_, day), of_services) in of_one {
                for (service_id, _) in of_services.iter().filter(|(_, cost)| !cost.is_zero()) {
                    costs.entry(*day).or_default().insert(*service_id);
                    costs.entry(Day { environment_id: ALL_ENVIRONMENTS, ..*day }).or_default().insert(*service_id);
                }
            }
        }
        let currencies = drivers.direct.keys().map(|(currency, _)| currency.as_str()).collect();
        Known { drivers, costs, currencies }
    }

    fn work_out_stretch(
        &self,
        stretch: &Stretch,
        rows: Vec<SourceRow>,
        known: &Known<'_>,
        (moved, stayed): (&mut Vec<Moved>, &mut Vec<Stayed>),
    ) {
        // What each source holds: its own rows, and those that splits before bring.
        let mut pools: BTreeMap<i64, BTreeMap<RowKey, Costs>> = BTreeMap::new();
        for row in rows {
            add(pools.entry(row.service_id).or_default(), row.key, row.costs);
        }
        for split in stretch.order.iter().map(|place| &self.splits[*place]) {
            let taken = pools.remove(&split.source).unwrap_or_default();
            let mut weights: HashMap<(String, Day), Weights> = HashMap::new();
            for (key, costs) in taken {
                let day = Day {
                    charge_date: key.charge_date,
                    environment_id: if split.by_environment { key.environment_id } else { 0 },
                };
                let weights = weights
                    .entry((key.billing_currency.clone(), day))
                    .or_insert_with(|| self.weights(split, &key, known));
                let Some((to, weights)) = weights else {
                    stayed.push(Stayed { split_id: split.split_id, key, costs });
                    continue;
                };
                for (service_id, key, share) in divided(split, &key, &costs, to, weights) {
                    if service_id != split.source && self.sources.contains(&service_id) {
                        add(pools.entry(service_id).or_default(), key.clone(), share.clone());
                    }
                    moved.push(Moved { split_id: split.split_id, service_id, key, costs: share });
                }
            }
        }
    }

    fn weights(&self, split: &Split, key: &RowKey, known: &Known<'_>) -> Weights {
        let drivers = known.drivers;
        let (to, weights): (Vec<Option<i64>>, Vec<BigDecimal>) = match &split.method {
            Method::Fixed => {
                let mut all: Vec<(Option<i64>, BigDecimal)> = split
                    .targets
                    .iter()
                    .filter(|target| !self.gone.contains(&target.service_id))
                    .map(|target| (Some(target.service_id), target.percent.clone().unwrap_or_default()))
                    .collect();
                // What was meant for a service that is gone stays.
                let rest = BigDecimal::from(100) - all.iter().map(|(_, percent)| percent).sum::<BigDecimal>();
                if split.by_environment {
                    let there = self.those_with_cost(split, key, known);
                    all.retain(|(who, _)| who.is_some_and(|id| there.contains(&id)));
                }
                if rest > BigDecimal::zero() {
                    all.push((None, rest));
                }
                all.into_iter().unzip()
            }
            Method::Even if !split.targets.is_empty() && !split.by_environment => {
                let there = split.targets.iter().filter(|target| !self.gone.contains(&target.service_id));
                there.map(|target| (Some(target.service_id), BigDecimal::from(1))).unzip()
            }
            Method::Even => {
                let there = self.those_with_cost(split, key, known);
                there.into_iter().map(|id| (Some(id), BigDecimal::from(1))).unzip()
            }
            Method::DirectCost => {
                let direct = self.driver(split, &key.billing_currency, key, &drivers.direct);
                direct.into_iter().map(|(id, value)| (Some(id), value)).unzip()
            }
            Method::Metric(name) => {
                let mut values = self.driver(split, name, key, &drivers.metrics);
                if split.by_environment {
                    // Usage that is not told apart by environment counts for each that the service may run in.
                    let untold = RowKey { environment_id: NO_ENVIRONMENT, ..key.clone() };
                    for (id, value) in self.driver(split, name, &untold, &drivers.metrics) {
                        if known.may_run_in(id, key) {
                            values.entry(id).or_insert(value);
                        }
                    }
                }
                values.into_iter().map(|(id, value)| (Some(id), value)).unzip()
            }
        };
        let weights = whole_weights(&weights);
        let gets_any = to.iter().zip(&weights).any(|(who, weight)| who.is_some() && !weight.is_zero());
        gets_any.then_some((to, weights))
    }

    // Of those that may get a share, who has cost above zero on the day, and where it is asked in the environment: in
    // whatever currency, since whoever is there is there for cost in any.
    fn those_with_cost(&self, split: &Split, key: &RowKey, known: &Known<'_>) -> BTreeSet<i64> {
        let of_currency = |currency: &&str| self.driver(split, currency, key, &known.drivers.direct).into_keys();
        known.currencies.iter().flat_map(of_currency).collect()
    }

    // Of those that may get a share, what each has above zero: on the day, and where it is asked in the environment.
    fn driver(
        &self,
        split: &Split,
        name: &str,
        key: &RowKey,
        values: &HashMap<(String, Day), BTreeMap<i64, BigDecimal>>,
    ) -> BTreeMap<i64, BigDecimal> {
        let environment_id = if split.by_environment { key.environment_id } else { ALL_ENVIRONMENTS };
        let day = Day { charge_date: key.charge_date, environment_id };
        let Some(all) = values.get(&(name.to_owned(), day)) else { return BTreeMap::new() };
        let divided = &self.stretches[self.stretch_at(key.charge_date)].sources;
        let may_get = |id: i64| {
            if split.targets.is_empty() {
                id != super::NOT_ALLOCATED && !divided.contains(&id)
            } else {
                split.targets.iter().any(|target| target.service_id == id)
            }
        };
        let above_zero = all.iter().filter(|(id, value)| **value > BigDecimal::zero() && may_get(**id));
        above_zero.map(|(id, value)| (*id, value.clone())).collect()
    }
}

impl Known<'_> {
    // Whether a service runs in an environment, by what it costs on the day in any currency: unknown, so that it may,
    // where some of that is of no environment, or where it costs nothing anywhere.
    fn may_run_in(&self, service_id: i64, key: &RowKey) -> bool {
        let costs_in = |environment_id: i64| {
            let day = Day { charge_date: key.charge_date, environment_id };
            self.costs.get(&day).is_some_and(|services| services.contains(&service_id))
        };
        costs_in(key.environment_id) || costs_in(NO_ENVIRONMENT) || !costs_in(ALL_ENVIRONMENTS)
    }
}

/// The environment under which drivers hold the sum over all environments.
pub const ALL_ENVIRONMENTS: i64 = -1;
/// What no rule gives to an environment.
const NO_ENVIRONMENT: i64 = 0;

fn add(pool: &mut BTreeMap<RowKey, Costs>, key: RowKey, costs: Costs) {
    match pool.entry(key) {
        std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(costs)),
        std::collections::btree_map::Entry::Occupied(mut entry) => {
            for (sum, cost) in entry.get_mut().iter_mut().zip(costs) {
                *sum += cost;
            }
        }
    }
}

// The shares of one row, and the exact negative of what left the source.
fn divided(
    split: &Split,
    key: &RowKey,
    costs: &Costs,
    to: &[Option<i64>],
    weights: &[BigUint],
) -> Vec<(i64, RowKey, Costs)> {
    let zero = || [BigDecimal::zero(), BigDecimal::zero(), BigDecimal::zero(), BigDecimal::zero()];
    let mut by_target: Vec<Costs> = to.iter().map(|_| zero()).collect();
    let mut left = zero();
    for (column, cost) in costs.iter().enumerate().filter(|(_, cost)| !cost.is_zero()) {
        let Some(shares) = shares(cost, weights) else { continue };
        for ((target, share), who) in by_target.iter_mut().zip(shares).zip(to) {
            if who.is_some() {
                left[column] -= &share;
                target[column] = share;
            }
        }
    }
    let mut rows = Vec::with_capacity(to.len() + 1);
    for (who, costs) in to.iter().zip(by_target) {
        if let Some(service_id) = who.filter(|_| costs.iter().any(|cost| !cost.is_zero())) {
            rows.push((service_id, key.clone(), costs));
        }
    }
    if !rows.is_empty() {
        rows.push((split.source, key.clone(), left));
    }
    rows
}
