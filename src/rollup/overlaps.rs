//! What is said where two exports or two files of one source hold the same cost.

use crate::store::overlaps::Overlap;

/// Bills that a sentence names.
const NAMED_MAX: usize = 3;

/// Why a delivery must not be counted without a decision, where another export of its source counts the same cost.
pub fn counted_by_another_export(overlaps: &[Overlap]) -> Option<String> {
    let first = overlaps.first()?;
    let other =
        if first.export.is_empty() { "what was handed in".to_owned() } else { format!("“{}”", first.export) };
    Some(format!(
        "Another export of this source counts the same cost already: {other} with {}. Counting this one too would count \
         it twice. Keep one of both at the place of the source: withdraw this one, or the other first and import this \
         one again. Accept it only if both are meant.",
        bills(overlaps),
    ))
}

/// What the receipt says where a person decided beforehand that both are meant.
pub(super) fn counted_beside(overlaps: &[Overlap]) -> Option<String> {
    overlaps.first()?;
    Some(format!(
        "Another export of this source counts the same accounts too: {}. It is counted in both, as was asked for; \
         withdraw one of them if they are the same cost.",
        bills(overlaps),
    ))
}

/// Why a file waits that would take the place of another one of its folder.
pub(super) fn of_one_folder(others: &[(i64, String)]) -> Option<String> {
    let (delivery_id, name) = others.first()?;
    Some(format!(
        "“{name}” (delivery {delivery_id}) lies in the same folder and counts the same billing account and period. \
         Counted, this file would take its place. If both are parts of one bill, add the source anew with files that add \
         up, or have them written as shards (name-000000000000.csv). If this one is a newer version of all of it, accept \
         it; to have newer versions count by themselves, write each to a folder of its own, or take the older one away."
    ))
}

fn bills(overlaps: &[Overlap]) -> String {
    let named: Vec<String> = overlaps
        .iter()
        .take(NAMED_MAX)
        .map(|overlap| {
            let (period, account) = (overlap.billing_period_start.format("%Y-%m"), &overlap.billing_account_id);
            format!("{period} of account {account} (delivery {})", overlap.delivery_id)
        })
        .collect();
    let more = overlaps.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_export_is_named() {
        assert_eq!(counted_by_another_export(&[]), None);
        let overlap = |export: &str, delivery_id| Overlap {
            generation_id: 1,
            billing_account_id: "A1".into(),
            billing_period_start: "2026-10-01".parse().unwrap(),
            export: export.into(),
            delivery_id,
        };
        let reason = counted_by_another_export(&[overlap("p/focus", 7)]).unwrap();
        assert!(reason.contains("already: “p/focus” with 2026-10 of account A1 (delivery 7)."), "{reason}");
        let many: Vec<Overlap> = (1..6).map(|id| overlap("", id)).collect();
        let reason = counted_by_another_export(&many).unwrap();
        assert!(reason.contains("what was handed in") && reason.contains("(delivery 3) and 2 more."), "{reason}");
    }
}
