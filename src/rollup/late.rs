//! Late bills: what changes a closed month waits until finance decides, unless its source books by itself. All of it
//! happens under the ledger's lock, in the transaction that would otherwise publish.

use super::retention;
use crate::focus::BillingPeriod;
use crate::store::audit;
use crate::store::deliveries::{self, Standing};
use crate::store::late_bills::{self, Newer, Replaced};
use crate::store::replaced_waiting::{self, Older};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Files that a sentence names.
const NAMED_MAX: usize = 3;

/// The closed months that a delivery must not change without a decision; none where its source books by itself.
pub(super) async fn asks_for(
    conn: &mut PgConnection,
    delivery: &Standing,
    generation_ids: &[i64],
) -> sqlx::Result<Vec<BillingPeriod>> {
    // Most deliveries are for open months: nothing is compared then.
    if late_bills::closed_months(&mut *conn, generation_ids).await?.is_empty()
        || late_bills::books_by_itself(&mut *conn, delivery.source_id).await?
    {
        return Ok(Vec::new());
    }
    Ok(months(&late_bills::changed_months(conn, generation_ids).await?))
}

/// Lets a delivery wait for finance, in place of older ones that wait with the same bills.
pub(super) async fn hold(
    conn: &mut PgConnection,
    delivery: &Standing,
    newer: Newer<'_>,
    closed: &[BillingPeriod],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let delivery_id = delivery.delivery_id;
    late_bills::note_waiting(&mut *conn, delivery_id).await?;
    deliveries::finish(&mut *conn, delivery_id, "quarantined", Some(&reason(closed)), now).await?;
    replace_waiting(conn, newer, now).await?;
    let subject = format!("delivery {delivery_id}");
    // Whoever handed the file in did not hold it.
    audit::insert(conn, now, audit::PROGRAM, "", "delivery.held", &subject, details(closed)).await
}

/// Takes away what older deliveries wait with and this one holds anew, so that one question is asked once.
pub(super) async fn replace_waiting(conn: &mut PgConnection, newer: Newer<'_>, now: DateTime<Utc>) -> sqlx::Result<()> {
    let delivery_id = newer.delivery_id;
    // Of these nothing was kept and nothing could count: their files are not to be handed in again either.
    for older in late_bills::unreadable_of(&mut *conn, newer).await? {
        deliveries::finish(&mut *conn, older, "refused", Some(&overtaken(delivery_id)), now).await?;
    }
    let replaced = late_bills::replaced(&mut *conn, newer).await?;
    if replaced.is_empty() {
        return Ok(());
    }
    let (some, whole): (Vec<&Replaced>, Vec<&Replaced>) = replaced.iter().partition(|bill| bill.keeps_waiting);
    let some: Vec<i64> = some.iter().map(|bill| bill.generation_id).collect();
    let whole: Vec<i64> = whole.iter().map(|bill| bill.generation_id).collect();
    retention::discard_scopes(&mut *conn, &some).await?;
    // The lines of a whole delivery go with their table at the next clean-up, not one by one while others wait.
    retention::forget_scopes(&mut *conn, &whole).await?;
    let older: BTreeSet<(i64, bool)> = replaced.iter().map(|bill| (bill.delivery_id, bill.keeps_waiting)).collect();
    let ids: Vec<i64> = older.iter().map(|(older, _)| *older).collect();
    replaced_waiting::note(&mut *conn, delivery_id, &ids).await?;
    for (older, keeps_waiting) in older {
        if keeps_waiting {
            let warning = format!("Delivery {delivery_id} is newer and holds some of these bills; the others wait.");
            deliveries::add_warning(&mut *conn, older, &warning).await?;
        } else {
            deliveries::finish(&mut *conn, older, "refused", Some(&overtaken(delivery_id)), now).await?;
        }
    }
    Ok(())
}

fn overtaken(by_delivery_id: i64) -> String {
    format!("Delivery {by_delivery_id} is newer and holds the same bills: this one waits no longer.")
}

/// What is to be done where a delivery is taken back that had taken the place of others; nothing of them is kept.
pub fn hand_in_again(older: &[Older]) -> Option<String> {
    let files: Vec<String> = older
        .iter()
        .take(NAMED_MAX)
        .map(|older| format!("“{}” (delivery {})", older.file_name, older.delivery_id))
        .collect();
    let more = older.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (named, file, it) = match older.len() {
        0 => return None,
        1 => (files.concat(), "that file", "it is"),
        _ => (files.join(", ") + &more, "those files", "they are"),
    };
    Some(format!(
        "It had taken the place of {named} on the list of what waits, and nothing of that is kept: hand {file} in again \
         if {it} to count."
    ))
}

/// What the audit log keeps of closed months that a decision is about.
pub(super) fn details(closed: &[BillingPeriod]) -> Value {
    if closed.is_empty() {
        return json!({});
    }
    json!({ "closed_months": closed.iter().map(ToString::to_string).collect::<Vec<_>>() })
}

/// What it keeps of a delivery that is taken back: also whose files are to be handed in again.
pub(super) fn details_of_taken_back(closed: &[BillingPeriod], older: &[Older]) -> Value {
    let mut details = details(closed);
    if !older.is_empty() {
        let files = older.iter().map(|older| json!({ "delivery_id": older.delivery_id, "file": older.file_name }));
        details["hand_in_again"] = files.collect();
    }
    details
}

/// First days as months.
pub(super) fn months(first_days: &[NaiveDate]) -> Vec<BillingPeriod> {
    first_days.iter().map(|day| BillingPeriod::containing(*day)).collect()
}

fn reason(closed: &[BillingPeriod]) -> String {
    let labels: Vec<String> = closed.iter().map(|month| month.label()).collect();
    let (are, it) = if closed.len() == 1 { ("is", "it") } else { ("are", "them") };
    format!(
        "{} {are} closed, and this delivery changes {it}. Nothing of it counts until finance decides: book the \
         difference to the open month, reopen what is closed and count it there, or refuse it.",
        labels.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_every_closed_month() {
        let months: Vec<BillingPeriod> = ["2026-09", "2026-10"].map(|month| month.parse().unwrap()).into();
        assert!(reason(&months[..1]).starts_with("September 2026 is closed, and this delivery changes it."));
        assert!(reason(&months).starts_with("September 2026 and October 2026 are closed"));
        assert_eq!(details(&months), json!({ "closed_months": ["2026-09", "2026-10"] }));
        assert_eq!(details(&[]), json!({}));
    }

    #[test]
    fn the_files_to_hand_in_again_are_named() {
        assert_eq!(hand_in_again(&[]), None);
        let older = |delivery_id: i64| Older { delivery_id, file_name: format!("{delivery_id}.csv") };
        let one = hand_in_again(&[older(3)]).unwrap();
        assert!(one.starts_with("It had taken the place of “3.csv” (delivery 3) on the list"), "{one}");
        assert!(one.ends_with("hand that file in again if it is to count."), "{one}");
        let many = hand_in_again(&[5, 4, 3, 2, 1].map(older)).unwrap();
        assert!(
            many.contains("“5.csv” (delivery 5), “4.csv” (delivery 4), “3.csv” (delivery 3) and 2 more on"),
            "{many}"
        );
        assert!(many.ends_with("hand those files in again if they are to count."), "{many}");
        let details = details_of_taken_back(&[], &[older(3)]);
        assert_eq!(details, json!({ "hand_in_again": [{ "delivery_id": 3, "file": "3.csv" }] }));
    }
}
