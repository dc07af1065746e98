//! Late bills: what changes a closed month waits until finance decides, unless its source books by itself. All of it
//! happens under the ledger's lock, in the transaction that would otherwise publish.

use super::retention;
use crate::focus::BillingPeriod;
use crate::store::audit;
use crate::store::deliveries::{self, Standing};
use crate::store::late_bills::{self, Newer, Replaced};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use sqlx::PgConnection;
use std::collections::BTreeSet;

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
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let delivery_id = delivery.delivery_id;
    late_bills::note_waiting(&mut *conn, delivery_id).await?;
    deliveries::finish(&mut *conn, delivery_id, "quarantined", Some(&reason(closed)), now).await?;
    replace_waiting(conn, newer, now).await?;
    let subject = format!("delivery {delivery_id}");
    audit::insert(conn, now, by, "", "delivery.held", &subject, details(closed)).await
}

/// Takes away what older deliveries wait with and this one holds anew, so that one question is asked once.
pub(super) async fn replace_waiting(conn: &mut PgConnection, newer: Newer<'_>, now: DateTime<Utc>) -> sqlx::Result<()> {
    let delivery_id = newer.delivery_id;
    let replaced = late_bills::replaced(&mut *conn, newer).await?;
    let (some, whole): (Vec<&Replaced>, Vec<&Replaced>) = replaced.iter().partition(|bill| bill.keeps_waiting);
    let some: Vec<i64> = some.iter().map(|bill| bill.generation_id).collect();
    let whole: Vec<i64> = whole.iter().map(|bill| bill.generation_id).collect();
    retention::discard_scopes(&mut *conn, &some).await?;
    // The lines of a whole delivery go with their table at the next clean-up, not one by one while others wait.
    retention::forget_scopes(&mut *conn, &whole).await?;
    let older: BTreeSet<(i64, bool)> = replaced.iter().map(|bill| (bill.delivery_id, bill.keeps_waiting)).collect();
    for (older, keeps_waiting) in older {
        if keeps_waiting {
            let warning = format!("Delivery {delivery_id} is newer and holds some of these bills; the others wait.");
            deliveries::add_warning(&mut *conn, older, &warning).await?;
        } else {
            let reason = format!("Delivery {delivery_id} is newer and holds the same bills: this one waits no longer.");
            deliveries::finish(&mut *conn, older, "refused", Some(&reason), now).await?;
        }
    }
    Ok(())
}

/// What the audit log keeps of closed months that a decision is about.
pub(super) fn details(closed: &[BillingPeriod]) -> serde_json::Value {
    json!({ "closed_months": closed.iter().map(ToString::to_string).collect::<Vec<_>>() })
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
    }
}
