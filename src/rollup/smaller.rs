//! Bills that are much smaller than those whose place they take. They count as any newer bill does, since a month can
//! be restated to less; but a file that was cut off at the end of a line looks the same, so somebody is told to check.

use crate::store::deliveries;
use crate::store::generations::{self, Scoped};
use crate::store::replacements::{self, ReplacedBill};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Bills that a receipt names; the page of their source names more.
const NAMED_MAX: usize = 5;

/// Notes which of these bills have less than half of the lines or of the cost of what they replace. To be asked before
/// they are current.
pub(super) async fn note(conn: &mut PgConnection, delivery_id: i64, counting: &[Scoped]) -> sqlx::Result<()> {
    // What it said when it counted before holds no longer.
    generations::forget_sizes(&mut *conn, delivery_id).await?;
    // The other one of two exports of an Azure bill is joined with this one: neither is a cut of the other.
    let replacing = counting.iter().filter(|scope| scope.current_generation_id.is_some() && !scope.is_of_other_side);
    let ids: Vec<i64> = replacing.map(|scope| scope.generation_id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let bills = replacements::by_bill(&mut *conn, delivery_id, &ids).await?;
    let mut by_generation: BTreeMap<i64, Vec<&ReplacedBill>> = BTreeMap::new();
    for bill in &bills {
        by_generation.entry(bill.generation_id).or_default().push(bill);
    }
    let mut notes = Vec::new();
    for (generation_id, currencies) in &by_generation {
        if let Some(note) = sentence(delivery_id, currencies) {
            generations::note_size(&mut *conn, *generation_id, &note).await?;
            notes.push(note);
        }
    }
    for note in notes.iter().take(NAMED_MAX) {
        deliveries::add_warning(&mut *conn, delivery_id, note).await?;
    }
    if notes.len() > NAMED_MAX {
        let more = format!("{} more bills are much smaller than what they replace.", notes.len() - NAMED_MAX);
        deliveries::add_warning(&mut *conn, delivery_id, &more).await?;
    }
    Ok(())
}

/// What is to be checked of a bill, given in all its currencies. What a complete export leaves out has no line at all,
/// and its receipt says so already.
fn sentence(delivery_id: i64, currencies: &[&ReplacedBill]) -> Option<String> {
    let bill = currencies.first()?;
    let before: i64 = currencies.iter().map(|bill| bill.rows_before).sum();
    let after: i64 = currencies.iter().map(|bill| bill.rows_after).sum();
    let costs_less =
        currencies.iter().any(|bill| bill.billed.is_less_than_half() || bill.effective.is_less_than_half());
    if after == 0 || (after * 2 >= before && !costs_less) {
        return None;
    }
    let account = match bill.billing_account_id.as_str() {
        "" => String::new(),
        account => format!(" of account {account}"),
    };
    let lines = if before == 1 { "line" } else { "lines" };
    let less = if costs_less { ", with less than half of the cost" } else { "" };
    let again = bill.replaced_delivery_id.map_or_else(String::new, |replaced| {
        format!(
            " To count delivery {replaced} again, go back to it on the page of this delivery or by `costwake delivery \
             revert {delivery_id}`."
        )
    });
    let period = bill.billing_period.format("%Y-%m");
    Some(format!("{period}{account} replaces {before} {lines} by {after}{less}: check that the file is whole.{again}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::replacements::Moved;

    fn bill(rows: (i64, i64), billed: (&str, &str)) -> ReplacedBill {
        let moved = Moved::new(billed.0.parse().unwrap(), billed.1.parse().unwrap());
        ReplacedBill {
            generation_id: 1,
            billing_account_id: "A1".into(),
            billing_period: "2026-05-01".parse().unwrap(),
            billing_currency: Some("USD".into()),
            replaced_delivery_id: Some(14),
            rows_before: rows.0,
            rows_after: rows.1,
            billed: moved.clone(),
            effective: moved,
        }
    }

    #[test]
    fn less_than_half_of_lines_or_cost_is_to_be_checked() {
        let told = |rows, billed| sentence(79, &[&bill(rows, billed)]);
        assert_eq!(
            told((100, 5), ("1157.49", "1.55")).unwrap(),
            "2026-05 of account A1 replaces 100 lines by 5, with less than half of the cost: check that the file is \
             whole. To count delivery 14 again, go back to it on the page of this delivery or by `costwake delivery \
             revert 79`."
        );
        assert!(told((100, 49), ("10", "9")).unwrap().contains("100 lines by 49: check"));
        assert!(told((100, 100), ("10", "4.99")).unwrap().contains("by 100, with less than half"));
        assert!(told((1, 1), ("-10", "-4")).unwrap().contains("1 line by 1, with"));
        assert_eq!(told((100, 50), ("10", "5")), None);
        assert_eq!(told((100, 400), ("10", "11")), None);
        // A manifest proved that the account is gone.
        assert_eq!(told((100, 0), ("10", "0")), None);
    }

    #[test]
    fn a_currency_that_is_gone_is_to_be_checked() {
        let (kept, gone) = (bill((10, 12), ("5", "6")), bill((3, 0), ("7", "0")));
        assert!(sentence(79, &[&kept, &gone]).unwrap().contains("replaces 13 lines by 12, with less than half"));
    }
}
