//! What arrived late: booked to this month for closed ones, or booked elsewhere for this one. Pure.

use crate::focus::BillingPeriod;
use crate::store::month_closing::Adjustment;
use crate::web::display::{self, Delta};
use bigdecimal::BigDecimal;
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
    /// The other months, oldest first.
    pub months: Vec<BillingPeriod>,
    /// "Adjusted by +$2.99 in October 2026." One sentence a month.
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
