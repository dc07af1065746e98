//! What arrived late for closed months, beside the costs of the month that it is booked to.

use super::costs::{Total, plain};
use crate::focus::{BillingPeriod, Money};
use crate::store::booked_costs::Adjustment;
use crate::store::costs::CostFilter;
use bigdecimal::{BigDecimal, Zero};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeMap;

/// What arrived late for a closed month and is booked to another: a row of `adjustments.csv` of the statement.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BookedAdjustment {
    /// The closed month that it arrived for.
    #[schema(example = "2026-09")]
    pub closed_month: String,
    /// Name of the source.
    pub source: String,
    /// FOCUS BillingAccountId.
    pub billing_account_id: String,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// What it adds, with every digit.
    #[schema(example = "2.9900001")]
    pub cost: String,
    /// Lines more, or fewer where below zero.
    pub charge_count: i64,
    /// The delivery that brought it; `null` where it was none.
    pub delivery_id: Option<i64>,
    /// The publication that brought it.
    pub publication_id: i64,
}

/// The adjustments of a month in the currency that is asked for.
pub(super) struct BookedLate<'a> {
    month: BillingPeriod,
    /// Booked to the month for closed ones.
    here: Vec<&'a Adjustment>,
    /// Booked to other months for this one.
    elsewhere: Vec<&'a Adjustment>,
    /// Whether only a part of the month is asked for. An adjustment is of a whole bill: no part has a share of it.
    is_part: bool,
    /// Whether these readers see bills at all.
    sees_bills: bool,
}

impl<'a> BookedLate<'a> {
    pub(super) fn of(month: BillingPeriod, filter: &CostFilter, all: &'a [Adjustment], sees_bills: bool) -> Self {
        let is_asked =
            |one: &&Adjustment| filter.currency.as_ref().is_none_or(|currency| *currency == one.billing_currency);
        let (here, elsewhere) = all.iter().filter(is_asked).partition(|one| one.booked_month == month.first_day());
        let ids = [filter.service_id, filter.environment_id, filter.team_id];
        let names = [&filter.provider_name, &filter.charge_category];
        let is_part = ids.iter().any(Option::is_some) || names.iter().any(|name| name.is_some());
        Self { month, here, elsewhere, is_part, sees_bills }
    }

    /// A sentence for each other month and currency.
    pub(super) fn notes(&self) -> Vec<String> {
        let label = |day: NaiveDate| BillingPeriod::containing(day).label();
        let mut notes = Vec::new();
        for ((booked, currency), cost) in sums(&self.elsewhere, |one| one.booked_month) {
            notes.push(format!(
                "{} {currency} arrived for {} after it was closed, and is booked in {}.",
                plain(&cost),
                self.month.label(),
                label(booked)
            ));
        }
        let place = match self.is_part {
            true => "It is of whole bills, and in no figure here.",
            false => "It is in adjustments and cost_with_adjustments, and in no row.",
        };
        for ((closed, currency), cost) in sums(&self.here, |one| one.closed_month) {
            notes.push(format!(
                "{} {currency} is booked here for {}, which was closed before it arrived. {place}",
                plain(&cost),
                label(closed)
            ));
        }
        notes
    }

    /// The totals of the rows, with what is booked beside them. A currency that only an adjustment has is there too.
    pub(super) fn totals(&self, mut rows: BTreeMap<String, BigDecimal>) -> Vec<Total> {
        let is_told = self.sees_bills && !self.is_part;
        let mut booked: BTreeMap<&str, BigDecimal> = BTreeMap::new();
        for one in self.here.iter().filter(|_| is_told) {
            *booked.entry(one.billing_currency.as_str()).or_default() += &one.cost;
            rows.entry(one.billing_currency.clone()).or_default();
        }
        let total = |(currency, cost): (String, BigDecimal)| {
            let adjustments = booked.get(currency.as_str()).cloned().unwrap_or_default();
            let both = &cost + &adjustments;
            Total {
                adjustments: is_told.then(|| plain(&adjustments)),
                cost_with_adjustments: is_told.then(|| plain(&both)),
                ..Total::from(Money::new(cost, currency))
            }
        };
        rows.into_iter().map(total).collect()
    }

    /// What is booked to the month, one by one: they add up to `adjustments` of the totals.
    pub(super) fn rows(&self) -> Vec<BookedAdjustment> {
        let row = |one: &&Adjustment| BookedAdjustment {
            closed_month: BillingPeriod::containing(one.closed_month).to_string(),
            source: one.source_name.clone(),
            billing_account_id: one.billing_account_id.clone(),
            billing_currency: one.billing_currency.clone(),
            cost: plain(&one.cost),
            charge_count: one.charge_count,
            delivery_id: one.delivery_id,
            publication_id: one.publication_id,
        };
        self.here.iter().filter(|_| !self.is_part).map(row).collect()
    }
}

// By the other month and currency, oldest first; those that add up to nothing are left out.
fn sums<'a>(
    adjustments: &[&'a Adjustment],
    month: fn(&Adjustment) -> NaiveDate,
) -> BTreeMap<(NaiveDate, &'a str), BigDecimal> {
    let mut sums: BTreeMap<(NaiveDate, &str), BigDecimal> = BTreeMap::new();
    for one in adjustments {
        *sums.entry((month(one), one.billing_currency.as_str())).or_default() += &one.cost;
    }
    sums.retain(|_, cost| !cost.is_zero());
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::focus::CostBasis;

    fn adjustment(closed: &str, booked: &str, currency: &str, cost: &str) -> Adjustment {
        Adjustment {
            closed_month: closed.parse().unwrap(),
            booked_month: booked.parse().unwrap(),
            publication_id: 7,
            delivery_id: Some(3),
            source_name: "aws".into(),
            billing_account_id: "acct-1".into(),
            billing_currency: currency.into(),
            charge_count: 0,
            cost: cost.parse().unwrap(),
            booked_at: "2026-11-11T06:00:00Z".parse().unwrap(),
        }
    }

    fn october(filter: impl FnOnce(&mut CostFilter), sees_bills: bool) -> (Vec<String>, Vec<String>, usize) {
        let month: BillingPeriod = "2026-10".parse().unwrap();
        let all = [
            adjustment("2026-08-01", "2026-10-01", "USD", "1.5"),
            adjustment("2026-09-01", "2026-10-01", "USD", "2.9900001"),
            adjustment("2026-09-01", "2026-10-01", "USD", "-0.99"),
            adjustment("2026-09-01", "2026-10-01", "EUR", "-4"),
            adjustment("2026-10-01", "2026-11-01", "USD", "8"),
            // In another cost, or against each other: they are rows, and nothing is said of them.
            adjustment("2026-07-01", "2026-10-01", "USD", "0"),
            adjustment("2026-06-01", "2026-10-01", "USD", "3"),
            adjustment("2026-06-01", "2026-10-01", "USD", "-3"),
        ];
        let mut asked = CostFilter::new(month.days(), CostBasis::default());
        filter(&mut asked);
        let late = BookedLate::of(month, &asked, if sees_bills { &all } else { &[] }, sees_bills);
        let rows = BTreeMap::from([("USD".to_owned(), "50.5".parse().unwrap())]);
        let text = |total: Total| {
            let known = |text: Option<String>| text.unwrap_or_else(|| "null".into());
            format!(
                "{} {} {} {}",
                total.billing_currency,
                total.cost,
                known(total.adjustments),
                known(total.cost_with_adjustments)
            )
        };
        (late.totals(rows).into_iter().map(text).collect(), late.notes(), late.rows().len())
    }

    #[test]
    fn what_is_booked_stands_beside_the_rows_and_adds_up() {
        let (totals, notes, rows) = october(|_| {}, true);
        assert_eq!(totals, ["EUR 0 -4 -4", "USD 50.5 3.5000001 54.0000001"]);
        assert_eq!(rows, 7);
        assert_eq!(
            notes,
            [
                "8 USD arrived for October 2026 after it was closed, and is booked in November 2026.",
                "1.5 USD is booked here for August 2026, which was closed before it arrived. It is in adjustments and \
                 cost_with_adjustments, and in no row.",
                "-4 EUR is booked here for September 2026, which was closed before it arrived. It is in adjustments and \
                 cost_with_adjustments, and in no row.",
                "2.0000001 USD is booked here for September 2026, which was closed before it arrived. It is in adjustments \
                 and cost_with_adjustments, and in no row.",
            ]
        );
        let (totals, notes, rows) = october(|filter| filter.currency = Some("USD".into()), true);
        assert_eq!((totals, notes.len(), rows), (vec!["USD 50.5 3.5000001 54.0000001".to_owned()], 3, 6));
    }

    #[test]
    fn no_part_of_a_month_has_a_share_of_it() {
        let (totals, notes, rows) = october(|filter| filter.service_id = Some(1), true);
        assert_eq!((totals, rows), (vec!["USD 50.5 null null".to_owned()], 0));
        assert!(notes[1].ends_with("It is of whole bills, and in no figure here."), "{notes:?}");
        let (totals, notes, rows) = october(|_| {}, false);
        assert_eq!((totals, notes.len(), rows), (vec!["USD 50.5 null null".to_owned()], 0, 0));
    }
}
