//! A closed statement beside the bills as they are now: what came after closing, and where that is booked. Pure.

use crate::focus::BillingPeriod;
use crate::store::booked_costs::Adjustment;
use crate::store::closed_ties::ClosedTie;
use crate::web::display;
use bigdecimal::{BigDecimal, Zero};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// The bills of a closed month in one currency. Each column, and each row from the statement to the bills, adds up as
/// shown.
pub(super) struct ClosedTies {
    pub rows: Vec<ClosedTieRow>,
    /// Lines of the closed statement.
    pub closed_count: i64,
    pub closed: String,
    pub after: String,
    pub billed: String,
    /// What rounding leaves between the rows and the total, in the same columns.
    pub rounding: Option<[String; 3]>,
    /// Whether the bills are what was delivered, and the closed figure with what is booked is what they say.
    pub is_even: bool,
    /// Whether anything came after closing.
    pub has_come: bool,
    pub delivery_count: i64,
}

/// One bill.
pub(super) struct ClosedTieRow {
    pub tie: ClosedTie,
    pub closed: String,
    pub after: String,
    pub billed: String,
    /// "all of it is +$0.0004": what the shown amount hides.
    pub hidden: Option<String>,
    /// The months that what came after closing is booked to, with what is booked there.
    pub booked: Vec<(BillingPeriod, String)>,
    /// What came and is booked nowhere: it must be nothing.
    pub not_booked: Option<String>,
    /// What was delivered, where the bills do not say just that.
    pub delivered: Option<String>,
}

/// The bills of one currency, with what is booked elsewhere for the month.
pub(super) fn closed_ties(
    all: &[ClosedTie],
    adjustments: &[Adjustment],
    closed_month: NaiveDate,
    currency: &str,
) -> ClosedTies {
    let decimals = display::minor_units(currency);
    let ties: Vec<&ClosedTie> = all.iter().filter(|tie| tie.billing_currency == currency).collect();
    let column = |pick: fn(&ClosedTie) -> &BigDecimal| {
        let exact: Vec<BigDecimal> = ties.iter().map(|tie| pick(tie).clone()).collect();
        let total: BigDecimal = exact.iter().sum();
        let (shown, left) = display::alone(&exact, &total, decimals);
        (shown, left, total.with_scale_round(decimals, bigdecimal::RoundingMode::HalfUp))
    };
    let (closed, closed_left, closed_total) = column(|tie| &tie.closed);
    let (billed, billed_left, billed_total) = column(|tie| &tie.billed);
    let text = |amount: &BigDecimal| display::money(amount, currency, decimals);
    let signed = |amount: &BigDecimal| display::signed(amount, currency, decimals);
    let own = |tie: &ClosedTie| {
        let mut months: BTreeMap<BillingPeriod, BigDecimal> = BTreeMap::new();
        let is_own = |one: &&Adjustment| {
            one.closed_month == closed_month
                && one.source_name == tie.source_name
                && one.billing_account_id == tie.billing_account_id
                && one.billing_currency == tie.billing_currency
        };
        for one in adjustments.iter().filter(is_own) {
            *months.entry(BillingPeriod::containing(one.booked_month)).or_default() += &one.cost;
        }
        months.retain(|_, cost| !cost.is_zero());
        months
    };
    let mut rows = Vec::new();
    for (tie, (closed, billed)) in ties.iter().zip(closed.iter().zip(&billed)) {
        let (came, shown) = (&tie.billed - &tie.closed, billed - closed);
        let months = own(tie);
        let not_booked = &came - months.values().sum::<BigDecimal>();
        rows.push(ClosedTieRow {
            closed: text(closed),
            after: signed(&shown),
            billed: text(billed),
            hidden: (shown.is_zero() && !came.is_zero())
                .then(|| format!("all of it is {}", display::signed_exact(&came, currency))),
            booked: months.iter().map(|(month, cost)| (*month, signed(cost))).collect(),
            not_booked: (!not_booked.is_zero()).then(|| display::signed_exact(&not_booked, currency)),
            delivered: (tie.delivered.clone().unwrap_or_default() != tie.billed).then(|| {
                tie.delivered
                    .as_ref()
                    .map_or_else(|| "not delivered".into(), |cost| display::money_exact(cost, currency))
            }),
            tie: (*tie).clone(),
        });
    }
    let has_rounding = !closed_left.is_zero() || !billed_left.is_zero();
    ClosedTies {
        closed_count: ties.iter().map(|tie| tie.closed_count).sum(),
        closed: text(&closed_total),
        after: signed(&(&billed_total - &closed_total)),
        billed: text(&billed_total),
        rounding: has_rounding
            .then(|| [text(&closed_left), signed(&(&billed_left - &closed_left)), text(&billed_left)]),
        is_even: rows.iter().all(|row| row.not_booked.is_none() && row.delivered.is_none()),
        has_come: ties.iter().any(|tie| tie.billed != tie.closed),
        delivery_count: ties.iter().map(|tie| tie.delivery_count).sum(),
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tie(account: &str, closed: &str, billed: &str) -> ClosedTie {
        ClosedTie {
            source_id: 1,
            source_name: "aws".into(),
            provider_name: None,
            billing_account_id: account.into(),
            billing_currency: "USD".into(),
            closed_count: 3,
            closed: closed.parse().unwrap(),
            billed: billed.parse().unwrap(),
            delivered: billed.parse().ok(),
            delivery_id: Some(77),
            delivery_count: 1,
        }
    }

    fn booked(account: &str, cost: &str) -> Adjustment {
        Adjustment {
            closed_month: "2026-06-01".parse().unwrap(),
            booked_month: "2026-07-01".parse().unwrap(),
            publication_id: 7,
            delivery_id: Some(77),
            source_name: "aws".into(),
            billing_account_id: account.into(),
            billing_currency: "USD".into(),
            charge_count: 1,
            cost: cost.parse().unwrap(),
            booked_at: "2026-08-11T06:00:00Z".parse().unwrap(),
        }
    }

    fn june(ties: &[ClosedTie], adjustments: &[Adjustment]) -> ClosedTies {
        closed_ties(ties, adjustments, "2026-06-01".parse().unwrap(), "USD")
    }

    #[test]
    fn what_came_after_closing_leads_from_the_statement_to_the_bills() {
        let told = june(&[tie("a", "0.77", "1.83"), tie("b", "5", "5")], &[booked("a", "1.06"), booked("c", "9")]);
        let row = &told.rows[0];
        assert_eq!((row.closed.as_str(), row.after.as_str(), row.billed.as_str()), ("$0.77", "+$1.06", "$1.83"));
        assert_eq!(row.booked, [("2026-07".parse().unwrap(), "+$1.06".to_owned())]);
        assert_eq!((told.closed.as_str(), told.after.as_str(), told.billed.as_str()), ("$5.77", "+$1.06", "$6.83"));
        assert!(told.is_even && told.has_come && told.rows[1].booked.is_empty());
    }

    #[test]
    fn what_is_booked_nowhere_or_not_delivered_does_not_tie() {
        let nowhere = june(&[tie("a", "0.77", "1.83")], &[booked("a", "1")]);
        assert_eq!((nowhere.is_even, nowhere.rows[0].not_booked.as_deref()), (false, Some("+$0.06")));
        let other = ClosedTie { delivered: "2".parse().ok(), ..tie("a", "1", "1") };
        let other = june(&[other], &[]);
        assert_eq!((other.is_even, other.rows[0].delivered.as_deref()), (false, Some("$2.00")));
        let hidden = june(&[tie("a", "1", "1.0004")], &[booked("a", "0.0004")]);
        assert_eq!(hidden.rows[0].hidden.as_deref(), Some("all of it is +$0.0004"));
    }
}
