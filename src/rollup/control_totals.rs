//! What the sender of a bill says that it holds. Where the files hold something else, the delivery waits for a decision.

use crate::focus::Decimal;
use bigdecimal::BigDecimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Control totals over all files of a delivery; what is not said is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ControlTotals {
    /// Rows, rejected ones included.
    #[schema(example = 17613)]
    pub rows: Option<i64>,
    /// FOCUS BilledCost by BillingCurrency, as exact text. Currencies that are not named must not be there.
    #[schema(example = json!({"USD": "1164784.69"}))]
    pub billed_cost: BTreeMap<String, String>,
}

impl ControlTotals {
    /// Why it is not readable.
    pub fn fault(&self) -> Option<String> {
        if self.rows.is_some_and(|rows| rows < 0) {
            return Some("The expected number of rows is below zero.".into());
        }
        let wrong = |(currency, cost): (&String, &String)| match amount(cost) {
            Some(_) => None,
            None => Some(format!("The expected BilledCost in {currency} is not a number like 1234.56.")),
        };
        self.billed_cost.iter().find_map(wrong)
    }

    /// What the files hold otherwise than these say, or than the rows that a manifest promises; a sentence each.
    pub(super) fn differences(
        &self,
        promised_rows: Option<i64>,
        row_count: i64,
        billed_cost: &BTreeMap<String, BigDecimal>,
    ) -> Vec<String> {
        let mut differences = Vec::new();
        if let Some(rows) = promised_rows.filter(|rows| *rows != row_count) {
            differences.push(format!("The manifest says {rows} rows, and the files hold {row_count}."));
        }
        if let Some(rows) = self.rows.filter(|rows| *rows != row_count) {
            differences.push(format!("{rows} rows were announced, and the files hold {row_count}."));
        }
        for (currency, cost) in &self.billed_cost {
            let expected = amount(cost).unwrap_or_default();
            let found = billed_cost.get(currency).cloned().unwrap_or_default();
            if found != expected {
                let more_or_less = if found > expected { "more" } else { "less" };
                differences.push(format!(
                    "A BilledCost of {} {currency} was announced, and the files hold {}: {} {more_or_less}.",
                    expected.normalized().to_plain_string(),
                    found.normalized().to_plain_string(),
                    (&found - &expected).abs().normalized().to_plain_string()
                ));
            }
        }
        if !self.billed_cost.is_empty() {
            let unnamed = billed_cost.iter().filter(|(currency, _)| !self.billed_cost.contains_key(*currency));
            differences.extend(unnamed.map(|(currency, found)| {
                format!("No BilledCost in {currency} was announced, and the files hold {}.", found.to_plain_string())
            }));
        }
        differences
    }
}

fn amount(text: &str) -> Option<BigDecimal> {
    Decimal::parse(text.trim()).ok().map(|amount| amount.to_big_decimal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_announced_is_held_against_what_came() {
        let announced = |rows, cost: &[(&str, &str)]| ControlTotals {
            rows,
            billed_cost: cost.iter().map(|(currency, cost)| ((*currency).to_owned(), (*cost).to_owned())).collect(),
        };
        let found = BTreeMap::from([("USD".to_owned(), "12.50".parse::<BigDecimal>().unwrap())]);
        assert!(announced(None, &[]).differences(None, 3, &found).is_empty());
        assert!(announced(Some(3), &[("USD", "12.5")]).differences(Some(3), 3, &found).is_empty());
        let differences = announced(Some(4), &[("USD", "12.51"), ("EUR", "1")]).differences(None, 3, &found);
        assert_eq!(
            differences,
            [
                "4 rows were announced, and the files hold 3.",
                "A BilledCost of 1 EUR was announced, and the files hold 0: 1 less.",
                "A BilledCost of 12.51 USD was announced, and the files hold 12.5: 0.01 less.",
            ]
        );
        assert_eq!(
            announced(None, &[("USD", "12")]).differences(None, 3, &found),
            ["A BilledCost of 12 USD was announced, and the files hold 12.5: 0.5 more."]
        );
        assert_eq!(
            announced(None, &[("EUR", "0")]).differences(Some(5), 3, &found),
            [
                "The manifest says 5 rows, and the files hold 3.",
                "No BilledCost in USD was announced, and the files hold 12.50.",
            ]
        );
        assert!(announced(Some(-1), &[]).fault().is_some() && announced(None, &[("USD", "1,5")]).fault().is_some());
        assert_eq!(announced(Some(1), &[("USD", "1e3")]).fault(), None);
    }
}
