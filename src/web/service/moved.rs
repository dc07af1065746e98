//! Cost that a rule moved to the service, or from it, between the two ranges of days: nothing was spent for it.

use super::super::display;
use crate::store::moved_by_rules::MovedByRule;

/// What one rule moved.
pub struct MovedRow {
    pub label: String,
    /// Where the rule's history is; empty where no rule decides any more.
    pub href: String,
    pub amount: String,
}

/// One row a rule and currency, of the currencies that the page shows.
pub fn rows(moved: &[MovedByRule], currencies: &[String]) -> Vec<MovedRow> {
    let row = |one: &MovedByRule| {
        let verb = if one.cost.sign() == bigdecimal::num_bigint::Sign::Minus { "Moved away" } else { "Moved here" };
        let label = match (one.rule_id, one.rule_number.filter(|number| *number > 0)) {
            (None, _) => format!("{verb}, where no rule holds"),
            (Some(_), Some(number)) => format!("{verb} by rule {number}"),
            (Some(_), None) => format!("{verb} by a rule that is deleted"),
        };
        MovedRow {
            label,
            href: one.rule_id.map(|id| format!("/rules/{id}/history")).unwrap_or_default(),
            amount: display::signed(&one.cost, &one.currency, display::minor_units(&one.currency)),
        }
    };
    moved.iter().filter(|one| currencies.contains(&one.currency)).map(row).collect()
}
