//! Whether the cost of a delivery is counted already: by another export or file of its source, as a sub account of
//! another bill, or as the same subscription in a bill of another billing account; and what is said then.

use super::{bill_source, fingerprint};
use crate::store::accepted_beside::{self, Pair};
use crate::store::billers::{self, Beside};
use crate::store::overlaps::{self, Overlap};
use crate::store::{deliveries, same_subscription};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Bills that a sentence names.
const NAMED_MAX: usize = 3;
/// What FOCUS files of Azure write before the subscription that other exports name by itself.
const SUBSCRIPTION: &str = "/subscriptions/";

/// What counts already of the cost in a delivery, but for what someone accepted beside it. It is read here alone, so that
/// who asks, who decides and what the receipt says afterwards are about the same bills.
#[derive(Debug)]
pub struct CountedAlready {
    /// The same bill in other sources.
    beside: Vec<Beside>,
    /// The same cost in other exports, or under other billing accounts.
    overlapping: Vec<Overlap>,
}

impl CountedAlready {
    /// Of all that the delivery holds.
    pub async fn of(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<Self> {
        let beside = billers::beside(&mut *conn, delivery_id).await?;
        let overlapping = overlapping(conn, delivery_id).await?;
        Ok(Self { beside, overlapping })
    }

    /// Of these generations of it.
    pub(super) fn within(mut self, generation_ids: &[i64]) -> Self {
        self.beside.retain(|bill| generation_ids.contains(&bill.generation_id));
        self.overlapping.retain(|overlap| generation_ids.contains(&overlap.generation_id));
        self
    }

    /// Why the delivery must not be counted without a decision: every bill that holds its cost already is named, since a
    /// decision is about all of them.
    pub fn reason(&self) -> Option<String> {
        let reasons = [bill_source::counted_twice(&self.beside), counted_by_another_export(&self.overlapping)];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        (!reasons.is_empty()).then(|| reasons.join(" "))
    }

    /// A delivery that counts some of it.
    pub(super) fn delivery_id(&self) -> Option<i64> {
        let beside = self.beside.first().map(|bill| bill.delivery_id);
        beside.or_else(|| self.overlapping.first().map(|overlap| overlap.delivery_id))
    }

    /// Keeps that a person wants the delivery to count all the same, and says so on its receipt.
    pub(super) async fn accept(&self, conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<()> {
        let pairs = self.pairs();
        if pairs.is_empty() {
            return Ok(());
        }
        accepted_beside::accept(&mut *conn, &pairs).await?;
        for warning in self.warnings() {
            deliveries::add_warning(&mut *conn, delivery_id, &warning).await?;
        }
        Ok(())
    }

    fn pairs(&self) -> Vec<Pair> {
        let beside = self.beside.iter().map(|bill| (bill.generation_id, bill.other_generation_id));
        beside.chain(self.overlapping.iter().map(pair)).collect()
    }

    fn warnings(&self) -> Vec<String> {
        let warnings = [bill_source::counted_beside(&self.beside), counted_beside(&self.overlapping)];
        warnings.into_iter().flatten().collect()
    }
}

async fn overlapping(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<Vec<Overlap>> {
    let mut found = overlaps::of_delivery(&mut *conn, delivery_id).await?;
    let (mut accounts, mut names) = (Vec::new(), Vec::new());
    for account in overlaps::billing_accounts(&mut *conn, delivery_id).await? {
        let other = match account.strip_prefix(SUBSCRIPTION) {
            Some(subscription) => subscription.to_owned(),
            None => format!("{SUBSCRIPTION}{account}"),
        };
        accounts.extend([account.clone(), account.clone()]);
        names.extend([account, other]);
    }
    let keys: Vec<i32> = names.iter().map(|name| fingerprint::sub_account_key(Some(name))).collect();
    found.extend(overlaps::by_sub_account(&mut *conn, delivery_id, &accounts, &names, &keys).await?);
    let known: BTreeSet<Pair> = found.iter().map(pair).collect();
    let others = same_subscription::of_delivery(conn, delivery_id).await?;
    found.extend(others.into_iter().filter(|overlap| !known.contains(&pair(overlap))));
    Ok(found)
}

fn pair(overlap: &Overlap) -> Pair {
    (overlap.generation_id, overlap.other_generation_id)
}

// Where another export counts the same cost.
fn counted_by_another_export(overlaps: &[Overlap]) -> Option<String> {
    let first = overlaps.first()?;
    let other = match (&first.source_name, first.export.as_str()) {
        (Some(name), _) => format!("source “{name}”"),
        (None, "") => "what was handed in to this source".to_owned(),
        (None, export) => format!("the export “{export}” of this source"),
    };
    Some(format!(
        "The same cost is counted already by {other}: {}. Counting this one too would count it twice. Keep one of both: \
         withdraw this one, or withdraw the other first and accept this one then. Accept it beside the other only if both \
         are meant.",
        bills(overlaps),
    ))
}

// What the receipt says where a person decided that both are meant.
fn counted_beside(overlaps: &[Overlap]) -> Option<String> {
    overlaps.first()?;
    Some(format!(
        "Another export counts the same accounts too: {}. They are counted in both, as was decided; withdraw one of \
         them if they are the same cost.",
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
            let there = match bare(account) == bare(&overlap.other_account_id) {
                true => String::new(),
                false => format!(", there of account {}", overlap.other_account_id),
            };
            format!("{period} of account {account} (delivery {}){there}", overlap.delivery_id)
        })
        .collect();
    let more = overlaps.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    named.join(", ") + &more
}

// Azure writes accounts as paths in FOCUS files and bare elsewhere.
fn bare(account: &str) -> String {
    account.rsplit('/').next().unwrap_or_default().to_lowercase()
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
            source_name: (delivery_id == 9).then(|| "azure".into()),
            delivery_id,
            other_generation_id: 2,
            other_account_id: "/providers/a1".into(),
        };
        let elsewhere = Overlap { other_account_id: "B2".into(), ..overlap("", 7) };
        let said = "2026-10 of account A1 (delivery 7), there of account B2.";
        assert!(counted_by_another_export(&[elsewhere]).unwrap().contains(said));
        let reason = counted_by_another_export(&[overlap("p/focus", 7)]).unwrap();
        assert!(
            reason.contains("the export “p/focus” of this source: 2026-10 of account A1 (delivery 7)."),
            "{reason}"
        );
        assert!(counted_by_another_export(&[overlap("x", 9)]).unwrap().contains("already by source “azure”: 2026-10"));
        let already = CountedAlready { beside: Vec::new(), overlapping: vec![overlap("p/focus", 7)] };
        assert!(already.warnings()[0].contains("2026-10 of account A1 (delivery 7)"), "{:?}", already.warnings());
        assert_eq!((already.pairs(), already.delivery_id()), (vec![(1, 2)], Some(7)));
        let others = already.within(&[9]);
        assert_eq!((others.reason(), others.warnings(), others.pairs()), (None, vec![], vec![]));
        let many: Vec<Overlap> = (1..6).map(|id| overlap("", id)).collect();
        let reason = counted_by_another_export(&many).unwrap();
        assert!(reason.contains("by what was handed in") && reason.contains("(delivery 3) and 2 more."), "{reason}");
    }
}
