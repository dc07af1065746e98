//! Lines of a closed month: they are those of today's bills, and its statement says what the bills said at closing. What
//! lies between them is told where the lines are shown.

use super::query::View;
use super::{Result, display, drill};
use crate::focus::{BillingPeriod, CostBasis};
use crate::store::charges::{ChargeFilter, ChargeTotal};
use crate::store::month_closing::{self, Closing};
use crate::store::moved_lines::MovedSum;
use crate::store::statements::{self, StatedCost};
use crate::store::{Scope, Snapshot};
use askama::Template;
use bigdecimal::BigDecimal;
use std::collections::BTreeMap;

/// The state of a page of lines whose month is closed. Written into a template as it is.
#[derive(Debug, Template)]
#[template(path = "partials/closed_lines.html")]
pub(super) struct ClosedLines {
    month: BillingPeriod,
    closing: Closing,
    statement_href: String,
    adjustments_href: String,
    shows_adjustments: bool,
    /// One a currency. `None` where the conditions go further than what statements are kept by.
    rows: Option<Vec<ClosedRow>>,
}

impl askama::filters::HtmlSafe for ClosedLines {}

/// From the statement to the lines, with every digit.
#[derive(Debug, PartialEq, Eq)]
struct ClosedRow {
    currency: String,
    stated: String,
    difference: String,
    now: String,
    is_even: bool,
}

impl ClosedLines {
    fn is_even(&self) -> bool {
        self.rows.as_ref().is_some_and(|rows| rows.iter().all(|row| row.is_even))
    }
}

/// What to say of these lines; nothing where they are not those of one closed billing month.
pub(super) async fn notice(
    conn: &mut Snapshot,
    scope: &Scope,
    view: &View,
    filter: &ChargeFilter,
    (totals, moved): (&[ChargeTotal], &[MovedSum]),
) -> Result<Option<ClosedLines>> {
    let Some(month) = filter.billing_start.map(BillingPeriod::containing) else { return Ok(None) };
    let Some(closing) = month_closing::current(conn, month).await? else { return Ok(None) };
    let mut rows = None;
    if filter.is_of_a_statement() {
        let stated = statements::stated(conn, scope, view.basis, month, filter).await?;
        rows = Some(compared(&stated, totals, moved));
    }
    let statement = format!("/finance/statements/{month}");
    let basis = Some(view.basis.key()).filter(|_| view.basis != CostBasis::default()).map(|basis| ("basis", basis));
    let currency = filter.billing_currency.as_deref().map(|currency| ("cur", currency));
    Ok(Some(ClosedLines {
        statement_href: drill::with_query(&statement, basis.into_iter()),
        // A file of what these lines are of, as the statement leads to one of its own.
        adjustments_href: drill::with_query(&format!("{statement}/adjustments.csv"), currency.into_iter().chain(basis)),
        shows_adjustments: scope.is_everything(),
        month,
        closing,
        rows,
    }))
}

fn compared(stated: &[StatedCost], totals: &[ChargeTotal], moved: &[MovedSum]) -> Vec<ClosedRow> {
    let mut by_currency: BTreeMap<&str, (BigDecimal, BigDecimal)> = BTreeMap::new();
    for one in stated {
        by_currency.entry(&one.billing_currency).or_default().0 += &one.cost;
    }
    let lines = totals.iter().map(|one| (one.billing_currency.as_str(), one.counted()));
    for (currency, cost) in lines.chain(moved.iter().map(|one| (one.billing_currency.as_str(), one.cost.clone()))) {
        by_currency.entry(currency).or_default().1 += cost;
    }
    let row = |(currency, (stated, now)): (&str, (BigDecimal, BigDecimal))| ClosedRow {
        is_even: stated == now,
        difference: display::signed_exact(&(&now - &stated), currency),
        stated: display::money_exact(&stated, currency),
        now: display::money_exact(&now, currency),
        currency: currency.to_owned(),
    };
    by_currency.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrived_since_leads_from_the_statement_to_the_lines() {
        let stated = [StatedCost { billing_currency: "USD".into(), cost: "10.125".parse().unwrap() }];
        let total = |currency: &str, cost: &str| ChargeTotal {
            billing_currency: currency.into(),
            charge_count: 1,
            cost: cost.parse().unwrap(),
            bought: BigDecimal::default(),
        };
        let rows = compared(&stated, &[total("USD", "12.5"), total("EUR", "1")], &[]);
        let shown: Vec<(&str, &str, &str)> =
            rows.iter().map(|row| (row.stated.as_str(), row.difference.as_str(), row.now.as_str())).collect();
        assert_eq!(shown[1], ("$10.125", "+$2.375", "$12.50"));
        assert_eq!(rows[0].currency, "EUR", "what was not there at closing is told too");
        assert!(compared(&stated, &[total("USD", "10.1250")], &[])[0].is_even);
    }
}
