//! What splits would move along, because they divide cost that changes hands, or divide by it.
//!
//! The cost is taken from where it is and added where it would be, in rows as the rollups keep them; the splits are
//! worked out over that as they are after a save. So the answer is what pages show then, to the last digit.

mod shifts;

use super::{Asked, Cost, Owner, Side};
use crate::allocate::split::{Costs, Day, Drivers, Moved, NOT_ALLOCATED, Plan, RowKey, SourceRow};
use crate::focus::DateRange;
use crate::rollup::splits as rollup_splits;
use crate::store::splits;
use bigdecimal::{BigDecimal, Zero};
use chrono::NaiveDate;
use shifts::Shift;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A share that would be another than now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitMove {
    /// The split.
    pub split_id: i64,
    /// Its name.
    pub split: String,
    /// Whose cost it divides.
    pub from: Owner,
    /// Who gets the share.
    pub to: Owner,
    /// How much more it would be; below zero, less.
    pub change: Cost,
}

/// What somebody has after all splits, where that would be another amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterSplits {
    /// Who.
    pub owner: Owner,
    /// As it is.
    pub now: Cost,
    /// As it would be.
    pub then: Cost,
}

/// What splits would move along. Both are empty where every share stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// Shares, those that change most first.
    pub moves: Vec<SplitMove>,
    /// Everyone whose cost would be another, own cost included; those who change most first.
    pub owners: Vec<AfterSplits>,
}

/// The shorter and the longer range.
type Ranges = (DateRange, DateRange);

/// Works the splits out for the longer range as they would be.
pub(super) async fn ask(
    conn: &mut PgConnection,
    asked: &[Asked],
    added: &BTreeMap<String, String>,
    removed_service: Option<i64>,
    ranges: Ranges,
) -> anyhow::Result<Shared> {
    let stored = splits::list(&mut *conn).await?;
    if stored.is_empty() {
        return Ok(Shared::default());
    }
    let ids = Ids { added: added.keys().map(String::as_str).collect() };
    let shifts = shifts::read(&mut *conn, asked, &ids, ranges.1).await?;
    if shifts.is_empty() && removed_service.is_none() {
        return Ok(Shared::default());
    }
    let plan = rollup_splits::plan_without(&mut *conn, &stored, removed_service).await?;
    let moved = worked_out(&mut *conn, (&plan, removed_service), &shifts, ranges.1).await?;
    let now = present(&mut *conn, ranges).await?;
    let then = then(&now, &shifts, &moved, ranges.0.start());
    let moves = split_moves(&plan, &ids, &now, &then);
    if moves.is_empty() {
        return Ok(Shared::default());
    }
    Ok(Shared { moves, owners: owners(&ids, &now, &then) })
}

/// Ids of entries before they are saved. They come after those that there are and in the order of slugs, as a save
/// gives them: of equal remainders of shares, the one of the first is rounded up.
struct Ids<'a> {
    added: Vec<&'a str>,
}

const FIRST_ADDED: i64 = 1 << 62;

impl Ids<'_> {
    fn pair(&self, (service, environment): &(Side, Side)) -> (i64, i64) {
        (self.id(service), self.id(environment))
    }

    fn id(&self, side: &Side) -> i64 {
        match side {
            Side::Nobody => 0,
            Side::Known(id) => *id,
            Side::Added(slug) => {
                FIRST_ADDED + self.added.binary_search(&slug.as_str()).unwrap_or_else(|place| place) as i64
            }
        }
    }

    fn side(&self, id: i64) -> Side {
        let place = id.checked_sub(FIRST_ADDED).and_then(|place| usize::try_from(place).ok());
        match place.and_then(|place| self.added.get(place)) {
            Some(slug) => Side::Added((*slug).to_owned()),
            None => super::side_of_id(id),
        }
    }

    fn owner(&self, service_id: i64, environment_id: i64) -> Owner {
        let (service, environment) = (self.side(service_id), self.side(environment_id));
        Owner { service, environment, dimensions: BTreeMap::new() }
    }
}

async fn worked_out(
    conn: &mut PgConnection,
    (plan, removed_service): (&Plan, Option<i64>),
    shifts: &[Shift],
    days: DateRange,
) -> sqlx::Result<Vec<Moved>> {
    let sources: Vec<i64> = plan.sources().iter().copied().collect();
    let rows = rollup_splits::source_rows(&mut *conn, &sources, days).await?;
    let mut own: BTreeMap<(i64, RowKey), Costs> =
        rows.into_iter().map(|row| ((row.service_id, row.key), row.costs)).collect();
    let mut direct = rollup_splits::direct_costs(&mut *conn, days).await?;
    let mut metrics = rollup_splits::metrics(conn, &plan.metrics(), days).await?;
    if let Some(service_id) = removed_service {
        // Its values go with it.
        metrics.values_mut().for_each(|values| drop(values.remove(&service_id)));
    }
    for (service_id, key, costs) in shifts.iter().flat_map(Shift::ends) {
        if service_id != NOT_ALLOCATED {
            let day = Day { charge_date: key.charge_date, environment_id: key.environment_id };
            rollup_splits::add_driver(&mut direct, &key.billing_currency, day, service_id, costs[1].clone());
        }
        if plan.sources().contains(&service_id) {
            add(own.entry((service_id, key)).or_insert_with(zeros), costs);
        }
    }
    let rows =
        own.into_iter().map(|((service_id, key), costs)| SourceRow { service_id, key, costs: costs.map(as_stored) });
    Ok(plan.work_out(rows.collect(), &Drivers { direct, metrics }).0)
}

fn zeros() -> Costs {
    [BigDecimal::zero(), BigDecimal::zero(), BigDecimal::zero(), BigDecimal::zero()]
}

fn add(sums: &mut Costs, costs: Costs) {
    for (sum, cost) in sums.iter_mut().zip(costs) {
        *sum += cost;
    }
}

/// With the decimal places that the database would give it with: as few as it needs, in groups of four. How far a share
/// is counted depends on them.
fn as_stored(amount: BigDecimal) -> BigDecimal {
    let amount = amount.normalized();
    let places = amount.fractional_digit_count().max(0);
    amount.with_scale(places + (-places).rem_euclid(4))
}

/// Of the shorter and of the longer range.
type Sum = (BigDecimal, BigDecimal);
/// By split (0: own cost), service, environment and currency.
type Amounts = BTreeMap<(i64, i64, i64, String), Sum>;

async fn present(conn: &mut PgConnection, (recent, long): Ranges) -> sqlx::Result<Amounts> {
    let rows = sqlx::query!(
        r#"SELECT d.split_id, d.service_id, d.environment_id, d.billing_currency,
                  coalesce(sum(d.effective_cost) FILTER (WHERE d.charge_date >= $1), 0) AS "recent!",
                  sum(d.effective_cost) AS "long!"
           FROM daily_cost d JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           WHERE d.charge_date >= $2 AND d.charge_date < $3
           GROUP BY 1, 2, 3, 4"#,
        recent.start(),
        long.start(),
        long.end(),
    )
    .fetch_all(conn)
    .await?;
    let amounts = rows
        .into_iter()
        .map(|row| ((row.split_id, row.service_id, row.environment_id, row.billing_currency), (row.recent, row.long)));
    Ok(amounts.collect())
}

fn then(now: &Amounts, shifts: &[Shift], moved: &[Moved], recent_start: NaiveDate) -> Amounts {
    let own = now.iter().filter(|((split_id, ..), _)| *split_id == 0);
    let mut then: Amounts = own.map(|(key, amounts)| (key.clone(), amounts.clone())).collect();
    let mut add = |split_id: i64, service_id: i64, key: &RowKey, cost: &BigDecimal| {
        let key_then = (split_id, service_id, key.environment_id, key.billing_currency.clone());
        let (recent, long) = then.entry(key_then).or_default();
        *long += cost;
        if key.charge_date >= recent_start {
            *recent += cost;
        }
    };
    for (service_id, key, costs) in shifts.iter().flat_map(Shift::ends) {
        add(0, service_id, &key, &costs[1]);
    }
    for one in moved {
        add(one.split_id, one.service_id, &one.key, &one.costs[1]);
    }
    then
}

fn split_moves(plan: &Plan, ids: &Ids<'_>, now: &Amounts, then: &Amounts) -> Vec<SplitMove> {
    let splits: HashMap<i64, (&str, i64)> =
        plan.splits().iter().map(|split| (split.split_id, (split.name.as_str(), split.source))).collect();
    let mut moves = Vec::new();
    let keys: BTreeSet<_> = now.keys().chain(then.keys()).collect();
    for key in keys {
        let (split_id, service_id, environment_id, currency) = key;
        let Some((name, source)) = splits.get(split_id).filter(|(_, source)| source != service_id) else { continue };
        let (before, after) = (amounts_of(now, key), amounts_of(then, key));
        let change = Cost { currency: currency.clone(), recent: after.0 - before.0, long: after.1 - before.1 };
        if change.recent.is_zero() && change.long.is_zero() {
            continue;
        }
        moves.push(SplitMove {
            split_id: *split_id,
            split: (*name).to_owned(),
            from: ids.owner(*source, *environment_id),
            to: ids.owner(*service_id, *environment_id),
            change,
        });
    }
    moves.sort_by_key(|one| std::cmp::Reverse(one.change.long.abs()));
    moves
}

fn amounts_of(amounts: &Amounts, key: &(i64, i64, i64, String)) -> Sum {
    amounts.get(key).cloned().unwrap_or_default()
}

/// Service, environment and currency.
type Holder<'a> = (i64, i64, &'a str);

fn owners(ids: &Ids<'_>, now: &Amounts, then: &Amounts) -> Vec<AfterSplits> {
    let (now, then) = (by_holder(now), by_holder(then));
    let holders: BTreeSet<&Holder<'_>> = now.keys().chain(then.keys()).collect();
    let mut owners = Vec::new();
    for holder in holders {
        let (before, after) = (cost_of(&now, holder), cost_of(&then, holder));
        if before != after {
            owners.push(AfterSplits { owner: ids.owner(holder.0, holder.1), now: before, then: after });
        }
    }
    owners.sort_by_key(|one| std::cmp::Reverse((&one.then.long - &one.now.long).abs()));
    owners
}

fn cost_of<'a>(all: &BTreeMap<Holder<'a>, Sum>, holder: &Holder<'a>) -> Cost {
    let (recent, long) = all.get(holder).cloned().unwrap_or_default();
    Cost { currency: holder.2.to_owned(), recent, long }
}

fn by_holder(amounts: &Amounts) -> BTreeMap<Holder<'_>, Sum> {
    let mut sums: BTreeMap<Holder<'_>, Sum> = BTreeMap::new();
    for ((_, service_id, environment_id, currency), (recent, long)) in amounts {
        let sum = sums.entry((*service_id, *environment_id, currency.as_str())).or_default();
        sum.0 += recent;
        sum.1 += long;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_places_that_the_database_gives_them() {
        for (amount, places) in [("0", 0), ("120", 0), ("0.50", 4), ("0.12345", 8), ("-1.000000000000000001", 20)] {
            let amount: BigDecimal = amount.parse().unwrap();
            let stored = as_stored(amount.clone());
            assert_eq!((stored.fractional_digit_count(), stored), (places, amount));
        }
    }

    #[test]
    fn entries_that_would_be_added_come_last_in_the_order_of_slugs() {
        let ids = Ids { added: vec!["a", "b"] };
        let sides = [Side::Nobody, Side::Known(7), Side::Added("a".into()), Side::Added("b".into())];
        let numbers: Vec<i64> = sides.iter().map(|side| ids.id(side)).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
        assert_eq!(numbers.iter().map(|id| ids.side(*id)).collect::<Vec<_>>(), sides);
    }
}
