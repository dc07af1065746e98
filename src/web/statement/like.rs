//! Like for like: while days of a month are still to come, its first days are compared with as many of the month before.

use super::comparison::Comparison;
use super::{Asked, Read};
use crate::focus::BillingPeriod;
use crate::store::statements::StatementRow;
use crate::store::{Scope, Snapshot, statement_days};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// The days of a currency that both months are compared by.
#[derive(Debug, Clone)]
pub(super) struct Like {
    /// The first so many days of each month; 0 where the bills hold no day of the month in full yet.
    pub day_count: u32,
    /// Days of the month.
    pub days_in_all: u32,
    /// Of these days, in both months.
    pub rows: Vec<StatementRow>,
}

impl Like {
    /// "first day", "first 24 days".
    pub(super) fn days(&self) -> String {
        if self.day_count == 1 { "first day".into() } else { format!("first {} days", self.day_count) }
    }
}

/// What is compared of each currency whose bills do not hold the whole month yet.
pub(super) async fn read(
    conn: &mut Snapshot,
    scope: &Scope,
    comparison: &Comparison<'_>,
    read: &Read,
) -> sqlx::Result<BTreeMap<String, Like>> {
    let Comparison { asked, state, .. } = *comparison;
    let mut like = BTreeMap::new();
    if !state.is_open() {
        return Ok(like);
    }
    let days_in_all = asked.month.days().day_count();
    let currencies: BTreeSet<&str> = read.rows.iter().map(|row| row.billing_currency.as_str()).collect();
    let counts: Vec<(&str, u32)> = currencies
        .into_iter()
        .filter(|currency| comparison.of(currency).is_compared())
        .filter_map(|currency| Some((currency, day_count(asked, read, currency)?)))
        .filter(|(_, day_count)| *day_count < days_in_all)
        .map(|(currency, day_count)| (currency, day_count.min(asked.before.days().day_count())))
        .collect();
    let distinct: BTreeSet<u32> = counts.iter().map(|(_, day_count)| *day_count).collect();
    let mut rows_of: BTreeMap<u32, Vec<StatementRow>> = BTreeMap::new();
    for day_count in distinct.into_iter().filter(|day_count| *day_count > 0) {
        let mut rows = of(conn, scope, asked, asked.before, day_count).await?;
        rows.extend(of(conn, scope, asked, asked.month, day_count).await?);
        rows_of.insert(day_count, rows);
    }
    for (currency, day_count) in counts {
        let rows = rows_of.get(&day_count).into_iter().flatten();
        let rows = rows.filter(|row| row.billing_currency == currency).cloned().collect();
        like.insert(currency.to_owned(), Like { day_count, days_in_all, rows });
    }
    Ok(like)
}

async fn of(
    conn: &mut Snapshot,
    scope: &Scope,
    asked: &Asked,
    month: BillingPeriod,
    day_count: u32,
) -> sqlx::Result<Vec<StatementRow>> {
    statement_days::rows(conn, scope, asked.view, asked.basis, month, day_count).await
}

// The first days that all bills of a currency hold in full; `None` where no bill of the month says how far it reaches.
// Bills that hold no day of the month in full yet are not waited for, unless all are such: one of a license that came on
// the first day would leave nothing to compare.
fn day_count(asked: &Asked, read: &Read, currency: &str) -> Option<u32> {
    let month = asked.month.first_day();
    let of_currency: BTreeSet<&str> =
        read.ties.iter().filter(|tie| tie.billing_currency == currency).map(|tie| tie.source_name.as_str()).collect();
    // Whoever sees some teams only sees no bills: all of them are looked at.
    let is_of_currency = |name: &str| of_currency.is_empty() || of_currency.contains(name);
    let reach: Vec<NaiveDate> = read
        .reach
        .iter()
        .filter(|row| row.month == month && is_of_currency(&row.source_name))
        .map(|row| row.complete_to)
        .collect();
    if reach.is_empty() {
        return None;
    }
    let last = reach.into_iter().filter(|day| *day >= month).min();
    Some(last.map_or(0, |day| u32::try_from((day - month).num_days() + 1).unwrap_or_default()))
}
