//! The cost of a cluster's machines by namespace: charges that bills have, split by what the cluster reported.
//!
//! Nothing is stored and nothing is added: the parts of a machine's day are its charges of that day, to the last digit.

use crate::allocate::split;
use crate::store::Scope;
use crate::store::cluster_usage::{self, DailyUsage, MachineCost};
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What stands for the part of a machine that nobody used.
pub const NOT_USED: &str = "(not used)";
/// How OpenCost calls it.
const IDLE: &str = "__idle__";

/// What the machines of one cluster cost, by one kind of usage.
#[derive(Debug, Clone, Serialize)]
pub struct ClusterCosts {
    /// As the report or the person who handed it in named it.
    pub cluster_id: String,
    /// `pods`, `volumes` or `allocations`.
    pub kind: String,
    /// By currency.
    pub totals: BTreeMap<String, Costs>,
    /// By currency and namespace; each currency adds up to its total.
    pub namespaces: BTreeMap<String, BTreeMap<String, Costs>>,
    /// The machines whose charges were split, the dearest first; each currency adds up to its total.
    pub machines: Vec<MachineCosts>,
    /// Machines of which the bills have no charge on days on which they were used: they count nothing.
    pub without_charge: Vec<WithoutCharge>,
}

/// Costs under their FOCUS names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[expect(non_snake_case, missing_docs, reason = "FOCUS columns under their own names")]
pub struct Costs {
    /// Charges that were split; of a namespace, those that it has a part of.
    pub charges: i64,
    #[serde(serialize_with = "plain")]
    pub BilledCost: BigDecimal,
    #[serde(serialize_with = "plain")]
    pub EffectiveCost: BigDecimal,
}

/// The charges of a machine on days that follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineCosts {
    /// FOCUS ResourceId, as the bills have it.
    pub resource_id: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The first of the days.
    pub first_day: NaiveDate,
    /// The last of them, included.
    pub last_day: NaiveDate,
    /// What the bills say of them.
    pub costs: Costs,
}

/// A machine without charges.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct WithoutCharge {
    /// As the cluster names it.
    pub node: String,
    /// What a bill would name it by; empty where the report does not say.
    pub resource_id: String,
    /// Days on which it was used.
    pub days: usize,
}

fn plain<S: serde::Serializer>(value: &BigDecimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_plain_string())
}

impl Costs {
    fn add(&mut self, charges: i64, billed_cost: &BigDecimal, effective_cost: &BigDecimal) {
        self.charges += charges;
        self.BilledCost += billed_cost;
        self.EffectiveCost += effective_cost;
    }
}

/// One machine on one day.
type MachineDay = (NaiveDate, String, String);

/// The costs of all clusters over the days from `from` to before `to`.
pub async fn cluster_costs(
    conn: &mut PgConnection,
    scope: &Scope,
    from: NaiveDate,
    to: NaiveDate,
) -> sqlx::Result<Vec<ClusterCosts>> {
    let usage = cluster_usage::daily(&mut *conn, from, to).await?;
    let keys: BTreeSet<&str> =
        usage.iter().map(|usage| usage.resource_id.as_str()).filter(|id| !id.is_empty()).collect();
    let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    let mut costs: HashMap<(String, NaiveDate), Vec<MachineCost>> = HashMap::new();
    for cost in cluster_usage::machine_costs(&mut *conn, scope, &keys, from, to).await? {
        costs.entry((cost.resource_key.clone(), cost.day)).or_default().push(cost);
    }
    let mut capacities: HashMap<(String, String, MachineDay), BigDecimal> = HashMap::new();
    for capacity in cluster_usage::capacities(conn, from, to).await? {
        let machine = (capacity.day, capacity.resource_id, capacity.node);
        capacities.insert((capacity.cluster_id, capacity.kind, machine), capacity.capacity);
    }
    let mut clusters: BTreeMap<(String, String), BTreeMap<MachineDay, Vec<DailyUsage>>> = BTreeMap::new();
    for usage in with_idle_named(usage) {
        let machine = (usage.day, usage.resource_id.clone(), usage.node.clone());
        let cluster = (usage.cluster_id.clone(), usage.kind.clone());
        clusters.entry(cluster).or_default().entry(machine).or_default().push(usage);
    }
    Ok(clusters
        .into_iter()
        .map(|((cluster_id, kind), machines)| {
            let capacity =
                |machine: &MachineDay| capacities.get(&(cluster_id.clone(), kind.clone(), machine.clone())).cloned();
            of_cluster(cluster_id.clone(), kind.clone(), &machines, capacity, &costs)
        })
        .collect())
}

// Idle that names its node only is that of the machine that other usage of the day knows the node by.
fn with_idle_named(mut usage: Vec<DailyUsage>) -> Vec<DailyUsage> {
    let key = |usage: &DailyUsage| (usage.cluster_id.clone(), usage.kind.clone(), usage.day, usage.node.clone());
    let is_named = |usage: &&DailyUsage| !usage.node.is_empty() && !usage.resource_id.is_empty();
    let ids: HashMap<_, String> =
        usage.iter().filter(is_named).map(|usage| (key(usage), usage.resource_id.clone())).collect();
    for usage in usage.iter_mut().filter(|usage| usage.namespace == IDLE && usage.resource_id.is_empty()) {
        if let Some(id) = ids.get(&key(usage)) {
            usage.resource_id.clone_from(id);
        }
    }
    usage
}

fn of_cluster(
    cluster_id: String,
    kind: String,
    machines: &BTreeMap<MachineDay, Vec<DailyUsage>>,
    capacity: impl Fn(&MachineDay) -> Option<BigDecimal>,
    costs: &HashMap<(String, NaiveDate), Vec<MachineCost>>,
) -> ClusterCosts {
    let mut found = ClusterCosts {
        cluster_id,
        kind,
        totals: BTreeMap::new(),
        namespaces: BTreeMap::new(),
        machines: Vec::new(),
        without_charge: Vec::new(),
    };
    let spread = SpreadIdle::of(machines);
    // A volume or machine that two nodes report on one day is one: its cost is split once.
    let mut resources: BTreeMap<(NaiveDate, &str), Shares> = BTreeMap::new();
    let mut without: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (machine, usage) in machines {
        let (day, resource_id, node) = machine;
        if spread.is_spread(machine, usage) {
            continue;
        }
        if !costs.contains_key(&(resource_id.clone(), *day)) {
            *without.entry((node.clone(), resource_id.clone())).or_default() += 1;
            continue;
        }
        let shares = resources.entry((*day, resource_id)).or_default();
        let mut used = BigDecimal::default();
        for usage in usage {
            used += &usage.usage;
            let namespace = if usage.namespace == IDLE { NOT_USED } else { &usage.namespace };
            *shares.entry(namespace.to_owned()).or_default() += &usage.usage;
        }
        let idle = capacity(machine).map(|capacity| capacity - used).filter(|idle| *idle > BigDecimal::default());
        if let Some(idle) = idle {
            *shares.entry(NOT_USED.to_owned()).or_default() += idle;
        }
    }
    let mut by_machine: BTreeMap<(&str, &str), Vec<(NaiveDate, &MachineCost)>> = BTreeMap::new();
    for ((day, resource_id), mut shares) in resources {
        spread.add(day, &mut shares);
        for cost in costs.get(&(resource_id.to_owned(), day)).into_iter().flatten() {
            found.add(cost, &shares);
            by_machine.entry((&cost.resource_id, &cost.billing_currency)).or_default().push((day, cost));
        }
    }
    found.machines = by_machine.into_values().flat_map(|days| runs(&days)).collect();
    found.machines.sort_by(|left, right| right.costs.EffectiveCost.cmp(&left.costs.EffectiveCost));
    let without = without.into_iter().map(|((node, resource_id), days)| WithoutCharge { node, resource_id, days });
    found.without_charge = without.collect();
    found
}

// The days of one machine in one currency, in their order, as runs of days without a gap.
fn runs(days: &[(NaiveDate, &MachineCost)]) -> Vec<MachineCosts> {
    let mut runs: Vec<MachineCosts> = Vec::new();
    for (day, cost) in days {
        let follows = |run: &&mut MachineCosts| run.last_day.succ_opt() == Some(*day) || run.last_day == *day;
        match runs.last_mut().filter(follows) {
            Some(run) => {
                run.last_day = *day;
                run.costs.add(cost.charge_count, &cost.billed_cost, &cost.effective_cost);
            }
            None => runs.push(MachineCosts {
                resource_id: cost.resource_id.clone(),
                billing_currency: cost.billing_currency.clone(),
                first_day: *day,
                last_day: *day,
                costs: Costs {
                    charges: cost.charge_count,
                    BilledCost: cost.billed_cost.clone(),
                    EffectiveCost: cost.effective_cost.clone(),
                },
            }),
        }
    }
    runs
}

/// What OpenCost calls idle of a whole cluster, without naming a machine: each machine of the day bears it in proportion
/// to what was used of it, so that the same share of each is not used.
struct SpreadIdle {
    /// By day: idle of the whole cluster, and all that its machines were used.
    days: HashMap<NaiveDate, (BigDecimal, BigDecimal)>,
}

impl SpreadIdle {
    fn of(machines: &BTreeMap<MachineDay, Vec<DailyUsage>>) -> Self {
        let mut days: HashMap<NaiveDate, (BigDecimal, BigDecimal)> = HashMap::new();
        for ((day, resource_id, _), usage) in machines {
            let (idle, used) = days.entry(*day).or_default();
            for usage in usage {
                match (resource_id.is_empty(), usage.namespace == IDLE) {
                    (true, true) => *idle += &usage.usage,
                    (false, false) => *used += &usage.usage,
                    _ => {}
                }
            }
        }
        days.retain(|_, (idle, used)| *idle > BigDecimal::default() && *used > BigDecimal::default());
        Self { days }
    }

    /// Whether this is nothing but such idle, and there are machines to bear it.
    fn is_spread(&self, (day, resource_id, _): &MachineDay, usage: &[DailyUsage]) -> bool {
        resource_id.is_empty() && self.days.contains_key(day) && usage.iter().all(|usage| usage.namespace == IDLE)
    }

    /// Adds a machine's part. All shares grow by the same factor, so that the part is exact without a division.
    fn add(&self, day: NaiveDate, shares: &mut Shares) {
        let Some((idle, all)) = self.days.get(&day) else { return };
        let own: BigDecimal = shares.iter().filter(|(name, _)| name.as_str() != NOT_USED).map(|(_, usage)| usage).sum();
        for usage in shares.values_mut() {
            *usage = &*usage * all;
        }
        *shares.entry(NOT_USED.to_owned()).or_default() += idle * own;
    }
}

type Shares = BTreeMap<String, BigDecimal>;

impl ClusterCosts {
    /// The part that nobody used, where the reports say what machines had.
    pub fn not_used(&self, currency: &str) -> Option<&Costs> {
        self.namespaces.get(currency)?.get(NOT_USED)
    }

    fn add(&mut self, cost: &MachineCost, shares: &Shares) {
        let weights = split::whole_weights(&shares.values().cloned().collect::<Vec<_>>());
        let currency = &cost.billing_currency;
        let total = self.totals.entry(currency.clone()).or_default();
        total.add(cost.charge_count, &cost.billed_cost, &cost.effective_cost);
        let namespaces = self.namespaces.entry(currency.clone()).or_default();
        let parts = split::shares(&cost.billed_cost, &weights).zip(split::shares(&cost.effective_cost, &weights));
        let Some((billed, effective)) = parts else {
            // Nobody used anything: zero shares divide nothing, and the cost is not dropped.
            let not_used = namespaces.entry(NOT_USED.to_owned()).or_default();
            not_used.add(cost.charge_count, &cost.billed_cost, &cost.effective_cost);
            return;
        };
        for (namespace, (billed, effective)) in shares.keys().zip(billed.iter().zip(&effective)) {
            namespaces.entry(namespace.clone()).or_default().add(cost.charge_count, billed, effective);
        }
    }
}
