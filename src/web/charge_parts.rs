//! Who pays which part of a line, after every split.

use super::splits::words;
use super::{Result, display};
use crate::allocate::split::{Part, Plan, Split, Step, follow};
use crate::rollup::splits as rollup_splits;
use crate::store::charge_shares::{self, Payer, Place, ShareRow};
use crate::store::charge_trace::ChargeTrace;
use crate::store::{Scope, Snapshot, splits};
use bigdecimal::{BigDecimal, Zero};
use chrono::NaiveDate;
use std::collections::{BTreeMap, HashMap};

/// A part as the page shows it.
pub(super) struct PartRow {
    pub name: String,
    /// Empty where the reader may not open it.
    pub href: String,
    pub team: String,
    pub amount: String,
    /// Its percentage of the line.
    pub share: String,
    /// Number and name of each split on the way.
    pub by: Vec<(i64, String)>,
}

/// A split that would divide the line, or a part of it, and could not.
pub(super) struct StayedRow {
    pub split_id: i64,
    pub split: String,
    /// Whose it stays.
    pub name: String,
    pub why: String,
}

/// What became of a line by splits.
#[derive(Default)]
pub(super) struct Parts {
    /// Of its `EffectiveCost`; empty where no split divides it.
    pub rows: Vec<PartRow>,
    /// The splits that could not divide it.
    pub stayed: Vec<StayedRow>,
}

/// The parts of the line, and why what stayed did.
pub(super) async fn read(snapshot: &mut Snapshot, scope: &Scope, trace: &ChargeTrace) -> Result<Parts> {
    let stored = splits::list(snapshot).await?;
    if stored.is_empty() {
        return Ok(Parts::default());
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
    // What does not count any more keeps the shares that it had, by splits that may have been others.
    let counts = trace.generation_state == "current";
    let undivided = if counts { undivided(&plan, place.charge_date, &rows, &parts) } else { Vec::new() };
    let is_divided = parts.iter().any(|part| !part.split_ids.is_empty());
    if !is_divided && undivided.is_empty() {
        return Ok(Parts::default());
    }
    let ids: Vec<i64> = parts.iter().map(|part| part.service_id).collect();
    let payers = charge_shares::payers(snapshot, scope, &ids).await?;
    let payers: HashMap<i64, Payer> = payers.into_iter().map(|one| (one.service_id, one)).collect();
    let is_seen = |id: i64| scope.is_everything() || payers.get(&id).is_some_and(|payer| payer.is_in_scope);
    let stayed = undivided.into_iter().filter(|split| is_seen(split.source)).map(|split| StayedRow {
        split_id: split.split_id,
        split: split.name.clone(),
        name: payers.get(&split.source).map_or_else(|| "what is not allocated".into(), |payer| payer.name.clone()),
        why: words::why_stayed(split),
    });
    let stayed = stayed.collect();
    if !is_divided {
        return Ok(Parts { rows: Vec::new(), stayed });
    }
    let names: HashMap<i64, String> = stored.into_iter().map(|one| (one.split_id, one.values.name)).collect();
    let mut shown = Vec::new();
    let mut others = BigDecimal::zero();
    for part in parts {
        let payer = payers.get(&part.service_id);
        if !is_seen(part.service_id) {
            others += part.cost;
            continue;
        }
        let by = part.split_ids.iter().map(|id| (*id, names.get(id).cloned().unwrap_or_default())).collect();
        shown.push(PartRow {
            name: payer.map_or_else(|| "Not allocated".into(), |payer| payer.name.clone()),
            href: payer.map(|payer| format!("/services/{}", payer.slug)).unwrap_or_default(),
            team: payer.and_then(|payer| payer.team_name.clone()).unwrap_or_else(|| "no team".into()),
            amount: display::money_exact(&part.cost, &trace.billing_currency),
            share: words::share(&part.cost, &trace.effective_cost),
            by,
        });
    }
    if !others.is_zero() {
        shown.push(PartRow {
            name: "Services of other teams".into(),
            href: String::new(),
            team: String::new(),
            amount: display::money_exact(&others, &trace.billing_currency),
            share: words::share(&others, &trace.effective_cost),
            by: Vec::new(),
        });
    }
    Ok(Parts { rows: shown, stayed })
}

// The splits that hold on the day and whose source keeps a part of the line, because nobody got anything of its cost.
fn undivided<'a>(plan: &'a Plan, day: NaiveDate, rows: &[ShareRow], parts: &[Part]) -> Vec<&'a Split> {
    let gave = |split: &Split| rows.iter().any(|row| row.split_id == split.split_id);
    let keeps_some = |split: &Split| {
        let own = rows.iter().filter(|row| row.service_id == split.source);
        let (billed, effective) = own.fold((BigDecimal::zero(), BigDecimal::zero()), |(billed, effective), row| {
            (billed + &row.billed_cost, effective + &row.effective_cost)
        });
        // What adds up to nothing is not divided either, whoever has something to divide by.
        !(billed.is_zero() && effective.is_zero())
    };
    let has_part = |split: &Split| parts.iter().any(|part| part.service_id == split.source && !part.cost.is_zero());
    let holding = plan.splits().iter().filter(|split| split.validity.holds_on(day));
    holding.filter(|split| has_part(split) && !gave(split) && keeps_some(split)).collect()
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
