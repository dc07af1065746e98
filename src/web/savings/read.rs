//! Everything that could be saved, as the page, its CSV and the API show it.

use super::{bills, words};
use crate::analyze::savings::{
    MONEY_DAYS, MissingBill, Place, PlaceCost, PlaceFacts, PlaceUse, Plan, PlanKind, READ_DAYS, Releases, Saving,
    USE_DAYS, four_decimals, of_commitment, of_place,
};
use crate::focus::DateRange;
use crate::store::freshness::Freshness;
use crate::store::savings::{self, Dismissal, LastDeployed, PlaceCostRow, PlaceUseRow, SavingDays, UnusedRow};
use crate::store::service_plans::{self, ServicePlan};
use crate::store::{Scope, Snapshot, catalogue_mark};
use crate::web::AppState;
use bigdecimal::BigDecimal;
use chrono::{Days, NaiveDate};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A saving with the names that people know.
#[derive(Debug, Clone)]
pub struct Found {
    /// What was found.
    pub saving: Saving,
    /// Address of the service; empty for what is not allocated.
    pub service_slug: String,
    /// Name of the service.
    pub service_name: String,
    /// Name of its team.
    pub team_name: Option<String>,
    /// Address of the environment; empty without one.
    pub environment_slug: String,
    /// Name of the environment.
    pub environment_name: String,
    /// What its traffic is counted in; empty where that is not known.
    pub volume_unit: String,
    /// Who dismissed it, and why.
    pub dismissal: Option<Dismissal>,
}

impl Found {
    /// Whether it is neither held back nor dismissed.
    pub fn is_open(&self) -> bool {
        self.saving.held.is_none() && self.dismissal.is_none()
    }

    /// `open`, `held-back`, `dismissed`.
    pub fn state(&self) -> &'static str {
        match () {
            () if self.dismissal.is_some() => "dismissed",
            () if self.saving.held.is_some() => "held-back",
            () => "open",
        }
    }
}

/// How much of a place's capacity is idle, where a metric tells.
#[derive(Debug, Clone)]
pub struct IdleShare {
    /// The place with its names.
    pub row: PlaceCostRow,
    /// The idle share, four decimals.
    pub idle: BigDecimal,
    /// What the idle share costs in 30 days: exact.
    pub amount: BigDecimal,
    /// What told it.
    pub measure: String,
}

/// Everything that is found.
#[derive(Debug, Clone, Default)]
pub struct Savings {
    /// The last complete day; `None` before the first bill.
    pub complete_to: Option<NaiveDate>,
    /// The largest amount first.
    pub found: Vec<Found>,
    /// Where a metric tells how much is used, the largest idle amount first.
    pub idle: Vec<IdleShare>,
    /// Places with capacity of which no metric tells how much is used.
    pub unknown_count: usize,
}

/// The days that are looked at.
pub fn days(complete_to: NaiveDate) -> SavingDays {
    let back = |days: u64| complete_to - Days::new(days - 1);
    SavingDays { first: back(READ_DAYS), money_from: back(MONEY_DAYS), use_from: back(USE_DAYS), complete_to }
}

/// Reads what could be saved within a scope, by all bills as far as they reach.
pub async fn savings(app: &AppState, all: &Freshness, conn: &mut Snapshot, scope: &Scope) -> sqlx::Result<Savings> {
    let Some(complete_to) = all.complete_to() else { return Ok(Savings::default()) };
    let days = days(complete_to);
    // Whose a place is, what it is called and what kind of environment it is in change without a publication.
    let owners = catalogue_mark::mark(conn).await?;
    let asked = format!("{scope:?} {days:?} {owners}");
    let reading = savings::costs(conn, scope, days);
    let costs = app.kept_costs.place_costs.get_or_read(all.publication_id, asked, reading).await?;
    let uses = savings::uses(conn, days).await?;
    let unused = savings::unused(conn, scope, days).await?;
    let deployed = savings::last_deployed(conn).await?;
    let plans = service_plans::list(conn, None, complete_to).await?;
    let dismissals: HashMap<String, Dismissal> =
        savings::dismissals(conn).await?.into_iter().map(|one| (one.saving_key.clone(), one)).collect();
    let missing_bills = of_services(&costs, all, days);
    let known = Known::new(&costs, &uses, &deployed, &plans);
    let mut read = Savings { complete_to: Some(complete_to), ..Savings::default() };
    for row in costs.iter() {
        let missing_bill = missing_bills.get(&(row.service_id, row.currency.as_str())).cloned();
        let facts = PlaceFacts { missing_bill, ..known.facts(row) };
        if let Some(saving) = of_place(&facts, complete_to) {
            read.found.push(of_row(saving, row, known.volume_unit(row), &dismissals));
        }
        match idle_share(row, &facts, known.volume_unit(row)) {
            Some(idle) => read.idle.push(idle),
            None => read.unknown_count += usize::from(row.capacity > BigDecimal::default()),
        }
    }
    read.found.extend(unused.into_iter().filter_map(|row| commitment(row, &dismissals)));
    read.found.sort_by(|left, right| {
        right.saving.amount.cmp(&left.saving.amount).then_with(|| left.saving.key().cmp(&right.saving.key()))
    });
    read.idle.sort_by(|left, right| {
        right.amount.cmp(&left.amount).then_with(|| left.row.service_slug.cmp(&right.row.service_slug))
    });
    Ok(read)
}

// The bill that each of these services lacks on the days that money is of, a currency each.
fn of_services<'a>(
    costs: &'a [PlaceCostRow],
    all: &Freshness,
    days: SavingDays,
) -> BTreeMap<(i64, &'a str), MissingBill> {
    let Some(days) = DateRange::new(days.money_from, days.complete_to + Days::new(1)) else { return BTreeMap::new() };
    let keys: BTreeSet<(i64, &str)> = costs.iter().map(|row| (row.service_id, row.currency.as_str())).collect();
    keys.into_iter().filter_map(|key| Some((key, bills::missing(all, key.0, key.1, days)?))).collect()
}

fn of_row(saving: Saving, row: &PlaceCostRow, volume_unit: &str, dismissals: &HashMap<String, Dismissal>) -> Found {
    Found {
        dismissal: dismissals.get(&saving.key()).cloned(),
        saving,
        service_slug: row.service_slug.clone(),
        service_name: row.service_name.clone(),
        team_name: row.team_name.clone(),
        environment_slug: row.environment_slug.clone(),
        environment_name: row.environment_name.clone(),
        volume_unit: volume_unit.to_owned(),
    }
}

fn commitment(row: UnusedRow, dismissals: &HashMap<String, Dismissal>) -> Option<Found> {
    let place = Place { service_id: row.service_id, currency: row.currency.clone(), ..Place::default() };
    let saving = of_commitment(place, row.commitment_id, row.provider_name, &row.used, &row.unused)?;
    Some(Found {
        dismissal: dismissals.get(&saving.key()).cloned(),
        saving,
        service_slug: row.service_slug,
        service_name: row.service_name,
        team_name: row.team_name,
        environment_slug: String::new(),
        environment_name: String::new(),
        volume_unit: String::new(),
    })
}

fn idle_share(row: &PlaceCostRow, facts: &PlaceFacts, volume_unit: &str) -> Option<IdleShare> {
    let (used, measure, days) = facts.used.used_share()?;
    let idle = BigDecimal::from(1) - four_decimals(used)?;
    (row.capacity > BigDecimal::default()).then(|| IdleShare {
        amount: &row.capacity * &idle,
        idle,
        row: row.clone(),
        measure: words::measure(measure, days, volume_unit) + &words::lacking(facts.missing_bill.as_ref()),
    })
}

// What is known of every place, by its ids.
struct Known<'a> {
    uses: HashMap<(i64, i64), &'a PlaceUseRow>,
    deployed: HashMap<(i64, i64), NaiveDate>,
    plans: BTreeMap<i64, Vec<Plan>>,
    environments: HashMap<i64, HashSet<i64>>,
}

impl<'a> Known<'a> {
    fn new(costs: &[PlaceCostRow], uses: &'a [PlaceUseRow], deployed: &[LastDeployed], plans: &[ServicePlan]) -> Self {
        let mut by_service: BTreeMap<i64, Vec<Plan>> = BTreeMap::new();
        for plan in plans {
            let Some(kind) = PlanKind::from_key(&plan.kind) else { continue };
            by_service.entry(plan.service_id).or_default().push(Plan {
                kind,
                title: plan.title.clone(),
                first_day: plan.first_day,
                last_day: plan.last_day,
            });
        }
        let mut environments: HashMap<i64, HashSet<i64>> = HashMap::new();
        for row in costs {
            environments.entry(row.service_id).or_default().insert(row.environment_id);
        }
        Self {
            uses: uses.iter().map(|row| ((row.service_id, row.environment_id), row)).collect(),
            deployed: deployed.iter().map(|one| ((one.service_id, one.environment_id), one.day)).collect(),
            plans: by_service,
            environments,
        }
    }

    fn facts(&self, row: &PlaceCostRow) -> PlaceFacts {
        let key = (row.service_id, row.environment_id);
        PlaceFacts {
            place: Place {
                service_id: row.service_id,
                environment_id: row.environment_id,
                environment_kind: row.environment_kind.clone(),
                currency: row.currency.clone(),
            },
            cost: PlaceCost {
                storage: row.storage.clone(),
                capacity: row.capacity.clone(),
                all: row.all.clone(),
                all_recent: row.all_recent.clone(),
                storage_recent: row.storage_recent.clone(),
                last_other_day: row.last_other_day,
                first_day: row.first_day,
            },
            used: self.used(row),
            releases: Releases {
                last_deployed: self.deployed.get(&key).copied(),
                plans: self.plans.get(&row.service_id).cloned().unwrap_or_default(),
            },
            missing_bill: None,
        }
    }

    // What is told of all environments together stands for a service that has one.
    fn told(&self, row: &PlaceCostRow) -> Option<&'a PlaceUseRow> {
        let own = self.uses.get(&(row.service_id, row.environment_id));
        let has_one = self.environments.get(&row.service_id).is_some_and(|all| all.len() == 1);
        let all = || self.uses.get(&(row.service_id, 0)).filter(|_| has_one);
        own.or_else(all).copied()
    }

    fn volume_unit(&self, row: &PlaceCostRow) -> &'a str {
        self.told(row).and_then(|known| known.unit.as_deref()).unwrap_or_default()
    }

    fn used(&self, row: &PlaceCostRow) -> PlaceUse {
        let Some(known) = self.told(row) else { return PlaceUse::default() };
        PlaceUse {
            traffic: known.traffic.filter(|_| known.traffic_days >= 7),
            traffic_usual: known.traffic_usual,
            utilization: known.utilization.map(|percent| (percent, known.utilization_days)),
            load: known.load.zip(known.load_busy).map(|(mean, busy)| (mean, busy, known.load_days)),
        }
    }
}
