//! What a delivery that does not count yet would take the place of: the deliveries, their lines and their costs.

use super::generations;
use super::receipts::{currency, number};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Serialize, Serializer};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// A sum that counts now and the one that would count instead.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = ReplacedAmount)]
pub struct Moved {
    /// What counts now; zero where nothing does.
    #[serde(serialize_with = "exact")]
    #[schema(value_type = String)]
    pub before: BigDecimal,
    /// What would count instead.
    #[serde(serialize_with = "exact")]
    #[schema(value_type = String)]
    pub after: BigDecimal,
    /// After, less before.
    #[serde(serialize_with = "exact")]
    #[schema(value_type = String)]
    pub change: BigDecimal,
}

/// What a delivery would take the place of in one billing period and currency.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[expect(non_snake_case, reason = "the names of FOCUS, as the JSON has them")]
pub struct Replacement {
    /// First day of the period.
    pub billing_period: NaiveDate,
    /// `BillingCurrency`; `None` where the file has no currency.
    pub billing_currency: Option<String>,
    /// The deliveries that count now; empty where none does.
    pub replaced_delivery_ids: Vec<i64>,
    /// Their lines.
    pub rows_before: i64,
    /// The lines that would count instead.
    pub rows_after: i64,
    /// Σ BilledCost.
    pub BilledCost: Moved,
    /// Σ EffectiveCost.
    pub EffectiveCost: Moved,
}

/// The same for one bill: a billing account and period, in one currency.
#[derive(Debug, Clone)]
pub struct ReplacedBill {
    /// The generation that would count.
    pub generation_id: i64,
    /// `BillingAccountId`.
    pub billing_account_id: String,
    /// First day of the period.
    pub billing_period: NaiveDate,
    /// `BillingCurrency`; `None` where the file has no currency.
    pub billing_currency: Option<String>,
    /// The delivery that counts now, if one does.
    pub replaced_delivery_id: Option<i64>,
    /// Its lines.
    pub rows_before: i64,
    /// The lines that would count instead.
    pub rows_after: i64,
    /// Σ BilledCost.
    pub billed: Moved,
    /// Σ EffectiveCost.
    pub effective: Moved,
}

/// What orders a delivery that waits.
#[derive(Debug, Clone, Copy)]
pub struct WaitingVersion<'a> {
    /// Its version.
    pub at: DateTime<Utc>,
    /// `manifest`, `object`, `as-of` or `receipt`.
    pub basis: &'a str,
    /// SHA-256 of its bytes.
    pub sha256: Option<&'a str>,
}

/// What accepting a delivery would do, by billing period and currency. Nothing where its lines are not kept; what is
/// newer than it stays, so it is left out.
pub async fn of_waiting(
    conn: &mut PgConnection,
    delivery_id: i64,
    version: WaitingVersion<'_>,
) -> sqlx::Result<Vec<Replacement>> {
    let scopes = generations::of_delivery(&mut *conn, delivery_id).await?;
    if scopes.iter().any(|scope| !scope.has_charges) {
        return Ok(Vec::new());
    }
    let stays = |current: &generations::Current| current.is_newer_than(version.at, version.basis, version.sha256);
    let counting = scopes.iter().filter(|scope| !scope.current().as_ref().is_some_and(stays));
    let ids: Vec<i64> = counting.map(|scope| scope.generation_id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(by_period(&by_bill(conn, delivery_id, &ids).await?))
}

/// What these generations of a delivery would take the place of, a row each bill and currency.
pub async fn by_bill(
    conn: &mut PgConnection,
    delivery_id: i64,
    generation_ids: &[i64],
) -> sqlx::Result<Vec<ReplacedBill>> {
    // NUMERIC travels as text: the scale that the sums have is kept.
    let rows = sqlx::query!(
        r#"WITH scope AS (
             SELECT g.generation_id, g.billing_account_id, g.billing_period_start,
                 c.delivery_id AS replaced_delivery_id
             FROM generation g
             LEFT JOIN generation c ON c.source_id = g.source_id AND c.billing_account_id = g.billing_account_id
                 AND c.billing_period_start = g.billing_period_start AND c.append_object = g.append_object
                 AND c.state = 'current'
             WHERE g.delivery_id = $1 AND g.generation_id = ANY($2)
         ), amount AS (
             SELECT s.generation_id, t.billing_currency, 0::bigint AS rows_before, t.row_count AS rows_after,
                 0::numeric AS billed_before, t.billed_cost AS billed_after,
                 0::numeric AS effective_before, t.effective_cost AS effective_after
             FROM scope s JOIN delivery_total t ON t.delivery_id = $1
                 AND t.billing_account_id = s.billing_account_id
                 AND t.billing_period_start = s.billing_period_start
             UNION ALL
             SELECT s.generation_id, t.billing_currency, t.row_count, 0::bigint,
                 t.billed_cost, 0::numeric, t.effective_cost, 0::numeric
             FROM scope s JOIN delivery_total t ON t.delivery_id = s.replaced_delivery_id
                 AND t.billing_account_id = s.billing_account_id
                 AND t.billing_period_start = s.billing_period_start
         )
         SELECT s.generation_id AS "generation_id!", s.billing_account_id AS "billing_account_id!",
             s.billing_period_start AS "billing_period_start!",
             s.replaced_delivery_id AS "replaced_delivery_id?", a.billing_currency AS "billing_currency!",
             sum(a.rows_before)::bigint AS "rows_before!", sum(a.rows_after)::bigint AS "rows_after!",
             sum(a.billed_before)::text AS "billed_before!", sum(a.billed_after)::text AS "billed_after!",
             sum(a.effective_before)::text AS "effective_before!", sum(a.effective_after)::text AS "effective_after!"
         FROM scope s JOIN amount a USING (generation_id)
         GROUP BY s.generation_id, s.billing_account_id, s.billing_period_start, s.replaced_delivery_id,
             a.billing_currency
         ORDER BY s.billing_period_start, s.billing_account_id, a.billing_currency"#,
        delivery_id,
        generation_ids,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ReplacedBill {
                generation_id: row.generation_id,
                billing_account_id: row.billing_account_id,
                billing_period: row.billing_period_start,
                billing_currency: currency(row.billing_currency),
                replaced_delivery_id: row.replaced_delivery_id,
                rows_before: row.rows_before,
                rows_after: row.rows_after,
                billed: Moved::read(row.billed_before, row.billed_after)?,
                effective: Moved::read(row.effective_before, row.effective_after)?,
            })
        })
        .collect()
}

fn by_period(bills: &[ReplacedBill]) -> Vec<Replacement> {
    let mut periods: BTreeMap<(NaiveDate, &Option<String>), Vec<&ReplacedBill>> = BTreeMap::new();
    for bill in bills {
        periods.entry((bill.billing_period, &bill.billing_currency)).or_default().push(bill);
    }
    periods.into_iter().map(|((period, currency), bills)| Replacement::of(period, currency.clone(), &bills)).collect()
}

impl Replacement {
    fn of(billing_period: NaiveDate, billing_currency: Option<String>, bills: &[&ReplacedBill]) -> Self {
        let replaced: BTreeSet<i64> = bills.iter().filter_map(|bill| bill.replaced_delivery_id).collect();
        Self {
            billing_period,
            billing_currency,
            replaced_delivery_ids: replaced.into_iter().collect(),
            rows_before: bills.iter().map(|bill| bill.rows_before).sum(),
            rows_after: bills.iter().map(|bill| bill.rows_after).sum(),
            BilledCost: Moved::sum(bills.iter().map(|bill| &bill.billed)),
            EffectiveCost: Moved::sum(bills.iter().map(|bill| &bill.effective)),
        }
    }
}

impl Moved {
    /// From one sum to another.
    pub fn new(before: BigDecimal, after: BigDecimal) -> Self {
        Self { change: &after - &before, before, after }
    }

    /// Whether less than half is left, credits counted as what they are worth.
    pub fn is_less_than_half(&self) -> bool {
        self.after.abs() * BigDecimal::from(2) < self.before.abs()
    }

    fn read(before: String, after: String) -> sqlx::Result<Self> {
        Ok(Self::new(number(Some(before))?.unwrap_or_default(), number(Some(after))?.unwrap_or_default()))
    }

    fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        let (mut before, mut after) = (BigDecimal::default(), BigDecimal::default());
        for one in all {
            before += &one.before;
            after += &one.after;
        }
        Self::new(before, after)
    }
}

fn exact<S: Serializer>(value: &BigDecimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_plain_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(before: &str, after: &str) -> Moved {
        Moved::new(before.parse().unwrap(), after.parse().unwrap())
    }

    #[test]
    fn half_is_told_by_what_amounts_are_worth() {
        assert!(moved("100", "49.99").is_less_than_half());
        assert!(!moved("100", "50").is_less_than_half());
        assert!(moved("-100", "-3").is_less_than_half() && !moved("100", "-60").is_less_than_half());
        assert!(!moved("0", "0").is_less_than_half());
    }

    #[test]
    fn bills_of_a_period_are_added_up_with_all_that_they_replace() {
        let bill = |delivery: Option<i64>, before: &str, after: &str| ReplacedBill {
            generation_id: 1,
            billing_account_id: "A".into(),
            billing_period: "2026-05-01".parse().unwrap(),
            billing_currency: Some("USD".into()),
            replaced_delivery_id: delivery,
            rows_before: 20,
            rows_after: 3,
            billed: moved(before, after),
            effective: moved(before, after),
        };
        let all = by_period(&[bill(Some(7), "10.25", "1"), bill(None, "0", "2.5"), bill(Some(4), "3", "0.125")]);
        let [one] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((one.rows_before, one.rows_after, one.replaced_delivery_ids.as_slice()), (60, 9, &[4, 7][..]));
        let json = serde_json::to_value(one).unwrap();
        assert_eq!(json["BilledCost"], serde_json::json!({"before": "13.25", "after": "3.625", "change": "-9.625"}));
    }
}
