//! Who pays which part of a line, after every split.

use super::{Result, display};
use crate::allocate::split::{Step, follow};
use crate::rollup::splits as rollup_splits;
use crate::store::charge_shares::{self, Payer, Place, ShareRow};
use crate::store::charge_trace::ChargeTrace;
use crate::store::{Scope, Snapshot, splits};
use bigdecimal::{BigDecimal, Zero};
use std::collections::{BTreeMap, HashMap};

/// A part as the page shows it.
pub(super) struct PartRow {
    pub name: String,
    /// Empty where the reader may not open it.
    pub href: String,
    pub team: String,
    pub amount: String,
    /// Number and name of each split on the way.
    pub by: Vec<(i64, String)>,
}

/// The parts of the line's `EffectiveCost`; empty where no split divides it.
pub(super) async fn read(snapshot: &mut Snapshot, scope: &Scope, trace: &ChargeTrace) -> Result<Vec<PartRow>> {
    let stored = splits::list(snapshot).await?;
    if stored.is_empty() {
        return Ok(Vec::new());
    }
    let plan = rollup_splits::plan(snapshot, &stored).await?;
    let sources: Vec<i64> = plan.sources().iter().copied().collect();
    let place = Place {
        generation_id: trace.generation_id,
        charge_date: trace.charge_period_start.date_naive(),
        environment_id: trace.environment_id,
        provider_name: trace.provider_name.as_deref().unwrap_or_default(),
        charge_category: trace.charge_category.as_deref().unwrap_or_default(),
        billing_currency: &trace.billing_currency,
    };
    let rows = charge_shares::rows(snapshot, place, &sources).await?;
    let order = plan.splits_on(place.charge_date).map(|split| (split.split_id, split.source));
    let order: Vec<(i64, i64)> = order.collect();
    let parts = follow(&trace.effective_cost, trace.service_id, &steps(&rows, &order));
    if parts.iter().all(|part| part.split_ids.is_empty()) {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = parts.iter().map(|part| part.service_id).collect();
    let payers = charge_shares::payers(snapshot, scope, &ids).await?;
    let payers: HashMap<i64, Payer> = payers.into_iter().map(|one| (one.service_id, one)).collect();
    let names: HashMap<i64, String> = stored.into_iter().map(|one| (one.split_id, one.values.name)).collect();
    let mut shown = Vec::new();
    let mut others = BigDecimal::zero();
    for part in parts {
        let payer = payers.get(&part.service_id);
        if !scope.is_everything() && !payer.is_some_and(|payer| payer.is_in_scope) {
            others += part.cost;
            continue;
        }
        let by = part.split_ids.iter().map(|id| (*id, names.get(id).cloned().unwrap_or_default())).collect();
        shown.push(PartRow {
            name: payer.map_or_else(|| "Not allocated".into(), |payer| payer.name.clone()),
            href: payer.map(|payer| format!("/services/{}", payer.slug)).unwrap_or_default(),
            team: payer.and_then(|payer| payer.team_name.clone()).unwrap_or_else(|| "no team".into()),
            amount: display::money_exact(&part.cost, &trace.billing_currency),
            by,
        });
    }
    if !others.is_zero() {
        shown.push(PartRow {
            name: "Services of other teams".into(),
            href: String::new(),
            team: String::new(),
            amount: display::money_exact(&others, &trace.billing_currency),
            by: Vec::new(),
        });
    }
    Ok(shown)
}

// What each split made of these rows, in the order of the splits.
fn steps(rows: &[ShareRow], order: &[(i64, i64)]) -> Vec<Step> {
    // Where nothing is amortized on that day, the billed cost tells the proportions.
    let is_effective = rows.iter().any(|row| row.split_id != 0 && !row.effective_cost.is_zero());
    let cost = |row: &ShareRow| if is_effective { row.effective_cost.clone() } else { row.billed_cost.clone() };
    let mut held: BTreeMap<i64, BigDecimal> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.split_id == 0) {
        *held.entry(row.service_id).or_default() += cost(row);
    }
    let mut steps = Vec::new();
    for (split_id, source) in order {
        let of_split: Vec<&ShareRow> = rows.iter().filter(|row| row.split_id == *split_id).collect();
        let given: Vec<(i64, BigDecimal)> =
            of_split.iter().filter(|row| row.service_id != *source).map(|row| (row.service_id, cost(row))).collect();
        for row in &of_split {
            *held.entry(row.service_id).or_default() += cost(row);
        }
        if !given.is_empty() {
            let stayed = held.get(source).cloned().unwrap_or_default();
            steps.push(Step { split_id: *split_id, source: *source, stayed, given });
        }
    }
    steps
}
