//! What a delivery that waits would take the place of: a section of its receipt and of the page that asks.

use super::{display, filters};
use crate::store::receipts::Receipt;
use crate::store::replacements::{Moved, Replacement};
use askama::Template;
use bigdecimal::Signed;
use std::collections::BTreeSet;

/// Deliveries that the sentence names.
const NAMED_MAX: usize = 5;

/// The section: a row each billing period and currency, every digit.
#[derive(Clone, Default, Template)]
#[template(path = "partials/replaced.html")]
pub struct ReplacedSection {
    sentence: String,
    rows: Vec<Row>,
}

impl askama::filters::HtmlSafe for ReplacedSection {}

#[derive(Clone)]
struct Row {
    replacement: Replacement,
    currency: String,
    billed: [String; 3],
    effective: [String; 3],
}

impl ReplacedSection {
    /// The section of a receipt; nothing where nothing of it could count.
    pub fn new(receipt: &Receipt) -> Self {
        Self { sentence: sentence(&receipt.would_replace), rows: receipt.would_replace.iter().map(Row::new).collect() }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Row {
    fn new(replacement: &Replacement) -> Self {
        let currency = replacement.billing_currency.as_deref().unwrap_or_default();
        Self {
            currency: if currency.is_empty() { "none".into() } else { currency.to_owned() },
            billed: amounts(&replacement.BilledCost, currency),
            effective: amounts(&replacement.EffectiveCost, currency),
            replacement: replacement.clone(),
        }
    }
}

// Before, after and the change.
fn amounts(moved: &Moved, currency: &str) -> [String; 3] {
    let plus = if moved.change.is_positive() { "+" } else { "" };
    let [before, after, change] =
        [&moved.before, &moved.after, &moved.change].map(|amount| display::money_exact(amount, currency));
    [before, after, format!("{plus}{change}")]
}

/// "It takes the place of delivery 14: 54 lines instead of 20,000."
fn sentence(rows: &[Replacement]) -> String {
    let ids: BTreeSet<i64> = rows.iter().flat_map(|row| &row.replaced_delivery_ids).copied().collect();
    if ids.is_empty() {
        return "It takes the place of nothing: no bill of the same source, account and period counts now.".into();
    }
    let named: Vec<String> = ids.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = ids.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let deliveries = if ids.len() == 1 { "delivery" } else { "deliveries" };
    let before: i64 = rows.iter().map(|row| row.rows_before).sum();
    let after: i64 = rows.iter().map(|row| row.rows_after).sum();
    format!(
        "It takes the place of {deliveries} {}{more}: {} instead of {}.",
        named.join(", "),
        filters::lines(after),
        filters::grouped(&before.into(), 0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ids: &[i64], rows: (i64, i64)) -> Replacement {
        let moved = Moved::new("444881.81".parse().unwrap(), "910.19384".parse().unwrap());
        Replacement {
            billing_period: "2026-05-01".parse().unwrap(),
            billing_currency: Some("USD".into()),
            replaced_delivery_ids: ids.to_vec(),
            rows_before: rows.0,
            rows_after: rows.1,
            BilledCost: moved.clone(),
            EffectiveCost: moved,
        }
    }

    #[test]
    fn the_sentence_names_what_goes_and_how_many_lines() {
        let one = [row(&[14], (20_000, 1))];
        assert_eq!(sentence(&one), "It takes the place of delivery 14: 1 line instead of 20,000.");
        let many = [row(&[1, 2, 3], (1000, 30)), row(&[3, 4, 5, 6], (500, 24))];
        let words = "It takes the place of deliveries 1, 2, 3, 4, 5 and 1 more: 54 lines instead of 1,500.";
        assert_eq!(sentence(&many), words);
        assert!(sentence(&[row(&[], (0, 3))]).starts_with("It takes the place of nothing"));
        assert_eq!(Row::new(&one[0]).billed, ["$444,881.81", "$910.19384", "\u{2212}$443,971.61616"]);
    }
}
