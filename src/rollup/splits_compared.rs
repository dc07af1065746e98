//! What other splits would move than the present ones do: asked before anything is saved, written nowhere.

use super::splits;
use crate::allocate::split::{Costs, Moved, Plan, RowKey};
use crate::focus::{BillingPeriod, DateRange};
use crate::store::month_closing;
use bigdecimal::{BigDecimal, Zero};
use chrono::{Days, NaiveDate};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Of charges in more months than these, the newest are looked at.
pub const MONTHS_MAX: usize = 36;

/// `EffectiveCost` from whom to whom, and in which currency: as it is, and as it would be.
pub type Pairs = BTreeMap<(i64, i64, String), [BigDecimal; 2]>;

/// The answer.
#[derive(Debug, Default)]
pub struct Compared {
    /// What goes from one service to another, changed or not.
    pub pairs: Pairs,
    /// What the split in question could not divide, by currency.
    pub stayed: BTreeMap<String, BigDecimal>,
    /// Whether any amount of any column would be another.
    pub is_changed: bool,
    /// Closed months in whose bills an amount of any column would be another, the oldest first.
    pub closed_months: Vec<BillingPeriod>,
    /// The days that were looked at; none where no bill has any of those asked for.
    pub days: Option<DateRange>,
    /// Whether bills have older days among those asked for, which were not looked at.
    pub is_cut: bool,
}

/// Works out what the plan would make of these days, beside what the present one makes of them: month by month, since no
/// cost leaves its day and the days may be years. `split_id` is the split whose undivided cost is told.
pub async fn compare(
    conn: &mut PgConnection,
    (present, plan): (&Plan, &Plan),
    split_id: i64,
    days: DateRange,
) -> sqlx::Result<Compared> {
    let Some(days) = billed_days(&mut *conn).await?.and_then(|billed| billed.common(days)) else {
        return Ok(Compared::default());
    };
    let mut months = days.months();
    let skipped = months.len().saturating_sub(MONTHS_MAX);
    months.drain(..skipped);
    let looked = months.iter().copied().reduce(DateRange::spanning);
    let mut answer = Compared { days: looked, is_cut: skipped > 0, ..Compared::default() };
    let mut changed = BTreeSet::new();
    for month in months {
        let Some((rows, drivers)) = splits::input(&mut *conn, &[present, plan], month).await? else { continue };
        let (now, _) = present.work_out(rows.clone(), &drivers);
        let (then, stayed) = plan.work_out(rows, &drivers);
        add_pairs(&mut answer.pairs, 0, present, &now);
        add_pairs(&mut answer.pairs, 1, plan, &then);
        for one in stayed.into_iter().filter(|one| one.split_id == split_id) {
            let [_, effective, ..] = one.costs;
            *answer.stayed.entry(one.key.billing_currency).or_default() += effective;
        }
        changed.extend(changed_generations(&now, &then));
    }
    answer.stayed.retain(|_, sum| !sum.is_zero());
    answer.is_changed = !changed.is_empty();
    let closed = month_closing::closed_of(conn, &changed.into_iter().collect::<Vec<_>>()).await?;
    let closed: BTreeSet<NaiveDate> = closed.into_values().collect();
    answer.closed_months = closed.into_iter().map(BillingPeriod::containing).collect();
    Ok(answer)
}

/// From the first to the last day that any bill has cost on.
async fn billed_days(conn: &mut PgConnection) -> sqlx::Result<Option<DateRange>> {
    let row = sqlx::query!(
        "SELECT min(first_charge_date) AS first_day, max(last_charge_date) AS last_day FROM generation
         WHERE state = 'current'"
    )
    .fetch_one(conn)
    .await?;
    Ok(row.first_day.zip(row.last_day).and_then(|(first, last)| DateRange::new(first, last + Days::new(1))))
}

fn add_pairs(pairs: &mut Pairs, side: usize, plan: &Plan, moved: &[Moved]) {
    let sources: HashMap<i64, i64> = plan.splits().iter().map(|split| (split.split_id, split.source)).collect();
    for one in moved {
        let Some(source) = sources.get(&one.split_id).filter(|source| **source != one.service_id) else { continue };
        let sides = pairs.entry((*source, one.service_id, one.key.billing_currency.clone())).or_default();
        sides[side] += &one.costs[1];
    }
}

/// The bills in which some service would have another amount, whichever split brings it.
fn changed_generations(now: &[Moved], then: &[Moved]) -> BTreeSet<i64> {
    let mut sums: HashMap<(i64, &RowKey), Costs> = HashMap::new();
    for one in then {
        let sum = sums.entry((one.service_id, &one.key)).or_default();
        sum.iter_mut().zip(&one.costs).for_each(|(sum, cost)| *sum += cost);
    }
    for one in now {
        let sum = sums.entry((one.service_id, &one.key)).or_default();
        sum.iter_mut().zip(&one.costs).for_each(|(sum, cost)| *sum -= cost);
    }
    let changed = sums.into_iter().filter(|(_, costs)| costs.iter().any(|cost| !cost.is_zero()));
    changed.map(|((_, key), _)| key.generation_id).collect()
}
