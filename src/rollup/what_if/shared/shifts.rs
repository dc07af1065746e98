//! The own cost that would change hands, in rows as the rollups keep them.

use super::super::Asked;
use super::Ids;
use crate::allocate::split::{Costs, RowKey};
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Service and environment.
type Pair = (i64, i64);

/// Cost that would go from one pair to another.
pub(super) struct Shift {
    from: Pair,
    to: Pair,
    // Its environment is the one of either end.
    key: RowKey,
    costs: Costs,
}

impl Shift {
    /// Service, row and cost of both ends: taken where it is, added where it would be.
    pub(super) fn ends(&self) -> [(i64, RowKey, Costs); 2] {
        let row = |environment_id| RowKey { environment_id, ..self.key.clone() };
        let taken = self.costs.clone().map(|cost| -cost);
        [(self.from.0, row(self.from.1), taken), (self.to.0, row(self.to.1), self.costs.clone())]
    }
}

/// What would go from pair to pair, numbered, so that the database adds up what goes the same way.
#[derive(Default)]
struct Ways {
    numbers: HashMap<(Pair, Pair), i32>,
    pairs: Vec<(Pair, Pair)>,
}

impl Ways {
    fn number(&mut self, from: Pair, to: Pair) -> i32 {
        let next = self.pairs.len() as i32;
        let number = *self.numbers.entry((from, to)).or_insert(next);
        if number == next {
            self.pairs.push((from, to));
        }
        number
    }
}

/// Keys or charge groups on some days, each with the number of its way.
#[derive(Default)]
struct Wanted {
    numbers: Vec<i32>,
    ids: Vec<Uuid>,
    first_days: Vec<NaiveDate>,
    end_days: Vec<NaiveDate>,
}

impl Wanted {
    fn push(&mut self, number: i32, id: Uuid, days: DateRange) {
        self.numbers.push(number);
        self.ids.push(id);
        self.first_days.push(days.start());
        self.end_days.push(days.end());
    }
}

struct ShiftRow {
    number: i32,
    charge_date: NaiveDate,
    generation_id: i64,
    provider_name: String,
    charge_category: String,
    billing_currency: String,
    is_used: bool,
    billed_cost: BigDecimal,
    effective_cost: BigDecimal,
    list_cost: BigDecimal,
    contracted_cost: BigDecimal,
}

/// All of it on these days.
pub(super) async fn read(
    conn: &mut PgConnection,
    asked: &[Asked],
    ids: &Ids<'_>,
    days: DateRange,
) -> sqlx::Result<Vec<Shift>> {
    let whole = asked.iter().filter(|one| one.group_ids.is_empty());
    let goes: HashMap<(Uuid, DateRange), Pair> =
        whole.map(|one| ((one.rollup_key_id, one.days), ids.pair(&one.to))).collect();
    let mut ways = Ways::default();
    let (mut keys, mut groups) = (Wanted::default(), Wanted::default());
    for one in asked {
        let to = ids.pair(&one.to);
        let of_key = goes.get(&(one.rollup_key_id, one.days)).copied();
        // All of a key goes with it; what its groups take elsewhere is taken from there.
        let from = if one.group_ids.is_empty() { one.from } else { of_key.unwrap_or(one.from) };
        if from == to {
            continue;
        }
        let number = ways.number(from, to);
        if one.group_ids.is_empty() {
            keys.push(number, one.rollup_key_id, one.days);
        }
        one.group_ids.iter().for_each(|group_id| groups.push(number, *group_id, one.days));
    }
    let mut rows = Vec::new();
    if !keys.ids.is_empty() {
        rows.extend(key_rows(&mut *conn, &keys, days).await?);
    }
    if !groups.ids.is_empty() {
        rows.extend(group_rows(conn, &groups, days).await?);
    }
    Ok(rows.into_iter().filter_map(|row| shift(&ways, row)).collect())
}

fn shift(ways: &Ways, row: ShiftRow) -> Option<Shift> {
    let (from, to) = *ways.pairs.get(usize::try_from(row.number).ok()?)?;
    let key = RowKey {
        charge_date: row.charge_date,
        generation_id: row.generation_id,
        environment_id: 0,
        provider_name: row.provider_name,
        charge_category: row.charge_category,
        billing_currency: row.billing_currency,
        is_used: row.is_used,
    };
    Some(Shift { from, to, key, costs: [row.billed_cost, row.effective_cost, row.list_cost, row.contracted_cost] })
}

/// Cost by way, in rows as the rollups keep them. What is given finds by the id of `n` the cost `c`, its `day` and its key
/// (`k`).
macro_rules! select_shifts {
    ($wanted:ident, $days:ident, $found:tt) => {
        sqlx::query_as!(
            ShiftRow,
            r#"SELECT n.number AS "number!", day.charge_date AS "charge_date!", c.generation_id,
                  coalesce(k.provider_name, '') AS "provider_name!",
                  coalesce(k.charge_category, '') AS "charge_category!", c.billing_currency,
                  is_charge_part('used', k.charge_category, k.charge_class, k.commitment_discount_status,
                      k.pricing_category) AS "is_used!",
                  sum(c.billed_cost) AS "billed_cost!", sum(c.effective_cost) AS "effective_cost!",
                  coalesce(sum(c.list_cost), 0) AS "list_cost!",
                  coalesce(sum(c.contracted_cost), 0) AS "contracted_cost!"
           FROM unnest($1::integer[], $2::uuid[], $3::date[], $4::date[]) AS n (number, id, first_day, end_day)"#
                + $found
                + r#"
           JOIN generation g ON g.generation_id = c.generation_id AND g.state = 'current'
           WHERE day.charge_date >= $5 AND day.charge_date < $6
             AND day.charge_date >= n.first_day AND day.charge_date < n.end_day
           GROUP BY 1, 2, 3, 4, 5, 6, 7"#,
            &$wanted.numbers,
            &$wanted.ids,
            &$wanted.first_days,
            &$wanted.end_days,
            $days.start(),
            $days.end(),
        )
    };
}

async fn key_rows(conn: &mut PgConnection, wanted: &Wanted, days: DateRange) -> sqlx::Result<Vec<ShiftRow>> {
    select_shifts!(
        wanted,
        days,
        r#"
           JOIN rollup_key k ON k.rollup_key_id = n.id
           JOIN daily_cost_by_key c ON c.sub_account_key = k.sub_account_key AND c.rollup_key_id = k.rollup_key_id
           CROSS JOIN LATERAL (SELECT c.charge_date) day"#
    )
    .fetch_all(conn)
    .await
}

async fn group_rows(conn: &mut PgConnection, wanted: &Wanted, days: DateRange) -> sqlx::Result<Vec<ShiftRow>> {
    select_shifts!(
        wanted,
        days,
        r#"
           JOIN charge_group q ON q.group_id = n.id
           JOIN rollup_key k ON k.sub_account_key = q.sub_account_key AND k.rollup_key_id = q.rollup_key_id
           JOIN charge c ON c.sub_account_key = q.sub_account_key AND c.group_id = q.group_id
           CROSS JOIN LATERAL (SELECT (c.charge_period_start AT TIME ZONE 'UTC')::date AS charge_date) day"#
    )
    .fetch_all(conn)
    .await
}
