//! What arrived late: booked to this month for closed ones, or booked elsewhere for this one. Pure.

use crate::focus::BillingPeriod;
use crate::store::booked_costs::Adjustment;
use crate::web::display::{self, Delta};
use bigdecimal::{BigDecimal, Zero};
use std::collections::BTreeMap;

/// Adjustments between two totals; the rows add up as shown.
#[derive(Debug, Clone)]
pub struct Booked {
    /// What stands before the adjustments: the bills of the month, or the closed figure.
    pub start: String,
    /// The adjustments.
    pub rows: Vec<BookedRow>,
    /// What both are together.
    pub end: String,
    /// The other months whose adjustments add up to something, oldest first. An adjustment may differ in another cost only.
    pub months: Vec<BillingPeriod>,
    /// "Adjusted by +$2.99 in October 2026." One sentence for each of `months`.
    pub sentences: Vec<String>,
}

/// One adjustment.
#[derive(Debug, Clone)]
pub struct BookedRow {
    /// The other month: the closed one, or the one that it is booked to.
    pub month: BillingPeriod,
    /// The adjustment.
    pub adjustment: Adjustment,
    /// What it adds.
    pub amount: Delta,
}

impl Booked {
    /// Whether the figure with the adjustments is another than the one without, as both are written.
    pub(super) fn is_another_figure(&self) -> bool {
        !self.months.is_empty() && self.start != self.end
    }
}

/// Those of one currency: booked to `month` for other months, or booked to other months for it.
pub fn booked(
    month: BillingPeriod,
    all: &[Adjustment],
    start: &BigDecimal,
    currency: &str,
    is_elsewhere: bool,
) -> Option<Booked> {
    let own = |adjustment: &&Adjustment| {
        let this = if is_elsewhere { adjustment.closed_month } else { adjustment.booked_month };
        this == month.first_day() && adjustment.billing_currency == currency
    };
    let rows: Vec<&Adjustment> = all.iter().filter(own).collect();
    if rows.is_empty() {
        return None;
    }
    let decimals = display::minor_units(currency);
    let other = |adjustment: &Adjustment| {
        let day = if is_elsewhere { adjustment.booked_month } else { adjustment.closed_month };
        BillingPeriod::containing(day)
    };
    let mut by_month: BTreeMap<BillingPeriod, BigDecimal> = BTreeMap::new();
    rows.iter().for_each(|row| *by_month.entry(other(row)).or_default() += &row.cost);
    by_month.retain(|_, cost| !cost.is_zero());
    let end = start + rows.iter().map(|row| &row.cost).sum::<BigDecimal>();
    let round = |amount: &BigDecimal| amount.with_scale_round(decimals, bigdecimal::RoundingMode::HalfUp);
    let costs: Vec<BigDecimal> = rows.iter().map(|row| row.cost.clone()).collect();
    let shown = display::shown(&costs, &(round(&end) - round(start)), decimals);
    let sentences = by_month.iter().map(|(month, cost)| {
        let amount = display::signed(cost, currency, decimals);
        if is_elsewhere {
            format!("Adjusted by {amount} in {}.", month.label())
        } else {
            format!("{amount} is booked here for {}, which was closed before it arrived.", month.label())
        }
    });
    Some(Booked {
        start: display::money(start, currency, decimals),
        end: display::money(&end, currency, decimals),
        months: by_month.keys().copied().collect(),
        sentences: sentences.collect(),
        rows: rows
            .iter()
            .zip(shown)
            .map(|(row, amount)| BookedRow {
                month: other(row),
                adjustment: (*row).clone(),
                amount: Delta::amount(&amount, currency, decimals),
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn october(costs: &[(&str, &str)]) -> Booked {
        let one = |(closed, cost): &(&str, &str)| Adjustment {
            closed_month: closed.parse().unwrap(),
            booked_month: "2026-10-01".parse().unwrap(),
            publication_id: 7,
            delivery_id: Some(3),
            source_name: "aws".into(),
            billing_account_id: "acct-1".into(),
            billing_currency: "USD".into(),
            charge_count: 1,
            cost: cost.parse().unwrap(),
            booked_at: "2026-11-11T06:00:00Z".parse().unwrap(),
        };
        let all: Vec<Adjustment> = costs.iter().map(one).collect();
        booked("2026-10".parse().unwrap(), &all, &"50.5".parse().unwrap(), "USD", false).unwrap()
    }

    #[test]
    fn what_adds_up_to_nothing_has_rows_and_no_month() {
        for costs in [&[("2026-09-01", "0")][..], &[("2026-09-01", "4"), ("2026-09-01", "-4")]] {
            let none = october(costs);
            assert_eq!((none.rows.len(), none.months.len(), none.sentences.len()), (costs.len(), 0, 0));
            assert_eq!((none.end.as_str(), none.is_another_figure()), ("$50.50", false));
        }
        let one = october(&[("2026-08-01", "0"), ("2026-09-01", "2.99")]);
        assert_eq!(one.months, ["2026-09".parse::<BillingPeriod>().unwrap()]);
        assert_eq!((one.end.as_str(), one.is_another_figure()), ("$53.49", true));
        // Two months may add up to nothing together: each is told, and there is no second figure.
        let two = october(&[("2026-08-01", "4"), ("2026-09-01", "-4")]);
        assert_eq!((two.months.len(), two.is_another_figure()), (2, false));
    }
}
