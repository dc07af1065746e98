//! What splits move along with a change of rules or of the catalogue, as tables show it.

use super::display;
use super::moves::text;
use crate::rollup::what_if::{AfterSplits, Cost, Owner, Shared, SplitMove};
use bigdecimal::BigDecimal;
use std::collections::{BTreeMap, BTreeSet};

/// A split among many services changes as many shares: those that change most are listed, the others added up.
const ROW_COUNT_MAX: usize = 100;

/// A share that would be another than now.
#[derive(Debug, PartialEq, Eq)]
pub struct ShareRow {
    /// The split; none for a row of others.
    pub split: Option<(i64, String)>,
    /// Whose cost it divides.
    pub from: String,
    /// Who gets the share.
    pub to: String,
    /// How much more, of the shorter range.
    pub recent: String,
    /// How much more, of the longer range.
    pub long: String,
}

/// What somebody has after all splits.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnerRow {
    /// Who.
    pub owner: String,
    /// Shorter range now and then, longer range now and then.
    pub amounts: Vec<String>,
}

/// The tables of it; empty where every share stays.
#[derive(Debug, Default)]
pub struct SharedMoves {
    /// One row a share and currency.
    pub shares: Vec<ShareRow>,
    /// One row an owner and currency.
    pub owners: Vec<OwnerRow>,
    /// What the owners have together: one row a currency, the same now and then.
    pub totals: Vec<Vec<String>>,
}

/// The tables of this answer.
pub fn tables(shared: &Shared, label: impl Fn(&Owner) -> String) -> SharedMoves {
    let (owners, totals) = owners(&shared.owners, &label);
    SharedMoves { shares: shares(&shared.moves, &label), owners, totals }
}

fn shares(moves: &[SplitMove], label: impl Fn(&Owner) -> String) -> Vec<ShareRow> {
    let (listed, others) = moves.split_at(moves.len().min(ROW_COUNT_MAX));
    let row = |one: &SplitMove| ShareRow {
        split: Some((one.split_id, one.split.clone())),
        from: label(&one.from),
        to: label(&one.to),
        recent: change(&one.change, &one.change.recent),
        long: change(&one.change, &one.change.long),
    };
    let mut rows: Vec<ShareRow> = listed.iter().map(row).collect();
    let mut sums: BTreeMap<&str, (usize, Cost)> = BTreeMap::new();
    for SplitMove { change, .. } in others {
        let (count, sum) = sums.entry(&change.currency).or_insert_with(|| (0, none_of(&change.currency)));
        *count += 1;
        sum.recent += &change.recent;
        sum.long += &change.long;
    }
    rows.extend(sums.into_values().map(|(count, sum)| ShareRow {
        split: None,
        from: String::new(),
        to: display::others(count),
        recent: change(&sum, &sum.recent),
        long: change(&sum, &sum.long),
    }));
    rows
}

fn change(cost: &Cost, amount: &BigDecimal) -> String {
    display::signed(amount, &cost.currency, display::minor_units(&cost.currency))
}

fn none_of(currency: &str) -> Cost {
    Cost { currency: currency.to_owned(), recent: BigDecimal::default(), long: BigDecimal::default() }
}

/// Shorter range now and then, longer range now and then, in one currency.
struct Figures {
    owner: String,
    currency: String,
    amounts: [BigDecimal; 4],
}

fn owners(all: &[AfterSplits], label: impl Fn(&Owner) -> String) -> (Vec<OwnerRow>, Vec<Vec<String>>) {
    let (listed, others) = all.split_at(all.len().min(ROW_COUNT_MAX));
    let amounts = |AfterSplits { now, then, .. }: &AfterSplits| {
        [now.recent.clone(), then.recent.clone(), now.long.clone(), then.long.clone()]
    };
    let mut rows: Vec<Figures> = listed
        .iter()
        .map(|one| Figures { owner: label(&one.owner), currency: one.now.currency.clone(), amounts: amounts(one) })
        .collect();
    let mut sums: BTreeMap<&str, (usize, [BigDecimal; 4])> = BTreeMap::new();
    for one in others {
        let (count, sum) = sums.entry(&one.now.currency).or_default();
        *count += 1;
        for (sum, amount) in sum.iter_mut().zip(amounts(one)) {
            *sum += amount;
        }
    }
    rows.extend(sums.into_iter().map(|(currency, (count, amounts))| Figures {
        owner: display::others(count),
        currency: currency.to_owned(),
        amounts,
    }));
    in_texts(rows)
}

// Rounded so that the rows add up to the totals.
fn in_texts(rows: Vec<Figures>) -> (Vec<OwnerRow>, Vec<Vec<String>>) {
    let currencies: BTreeSet<String> = rows.iter().map(|row| row.currency.clone()).collect();
    let mut shown: Vec<OwnerRow> =
        rows.iter().map(|row| OwnerRow { owner: row.owner.clone(), amounts: Vec::new() }).collect();
    let mut totals = Vec::new();
    for currency in &currencies {
        let digits = display::minor_units(currency);
        let mut total_texts = Vec::new();
        for column in 0..4 {
            let of_currency = rows.iter().enumerate().filter(|(_, row)| row.currency == *currency);
            let (places, values): (Vec<usize>, Vec<BigDecimal>) =
                of_currency.map(|(place, row)| (place, row.amounts[column].clone())).unzip();
            let total: BigDecimal = values.iter().sum();
            for (place, value) in places.into_iter().zip(display::shown(&values, &total, digits)) {
                shown[place].amounts.push(text(&value, currency));
            }
            total_texts.push(text(&total, currency));
        }
        totals.push(total_texts);
    }
    (shown, totals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::what_if::Side;

    fn owner(service_id: i64) -> Owner {
        Owner { service: Side::Known(service_id), environment: Side::Nobody, dimensions: BTreeMap::new() }
    }

    fn cost(amount: &str) -> Cost {
        Cost { currency: "USD".into(), recent: amount.parse().unwrap(), long: amount.parse().unwrap() }
    }

    fn named(owner: &Owner) -> String {
        format!("{:?}", owner.service)
    }

    #[test]
    fn rows_add_up_to_a_total_that_stays() {
        let after = |id, now: &str, then: &str| AfterSplits { owner: owner(id), now: cost(now), then: cost(then) };
        let shared = Shared { owners: vec![after(1, "0.335", "0"), after(2, "0.335", "0.67")], ..Shared::default() };
        let tables = tables(&shared, named);
        let amounts: Vec<&str> = tables.owners.iter().map(|row| row.amounts[0].as_str()).collect();
        assert_eq!(amounts, ["$0.34", "$0.33"]);
        assert_eq!(tables.totals, [["$0.67"; 4]]);
    }

    #[test]
    fn the_many_others_are_one_row() {
        let share = |id| SplitMove {
            split_id: 1,
            split: "Network".into(),
            from: owner(0),
            to: owner(id),
            change: cost("0.25"),
        };
        let shared = Shared { moves: (1..=104).map(share).collect(), ..Shared::default() };
        let shares = tables(&shared, named).shares;
        assert_eq!(shares.len(), ROW_COUNT_MAX + 1);
        let last = &shares[ROW_COUNT_MAX];
        assert_eq!((last.to.as_str(), last.long.as_str(), &last.split), ("4 others", "+$1.00", &None));
    }
}
