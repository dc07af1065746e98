//! Which source a file belongs to, and whether another one counts its bills already.

use super::reader::Found;
use crate::store::billers::{self, Beside, HandedIn};
use crate::store::sources;
use chrono::NaiveDate;
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Characters of a name that a file gives its source.
const NAME_CHARS_MAX: usize = 200;
/// Bills that a sentence names.
const NAMED_MAX: usize = 3;

/// The source of a file: the one that was named, else the one that its bills came to before, else a new one.
pub(super) async fn source(conn: &mut PgConnection, named: Option<&str>, found: &Found) -> sqlx::Result<Option<i64>> {
    let scopes = found.scopes.list();
    // Of a file without a bill no source is made; one that is there already shows what became of it.
    if scopes.is_empty() {
        return match named {
            Some(name) => sources::id(conn, name).await,
            None => Ok(None),
        };
    }
    let providers: BTreeSet<&str> = scopes.iter().flat_map(|scope| &scope.providers).map(String::as_str).collect();
    let provider = one(&providers);
    if let Some(name) = named {
        return billers::source(conn, name, provider, false).await.map(Some);
    }
    let accounts: BTreeSet<&str> = scopes.iter().map(|scope| scope.billing_account_id.as_str()).collect();
    let account_ids: Vec<String> = accounts.iter().map(ToString::to_string).collect();
    let biller_names: BTreeSet<String> = scopes.iter().flat_map(|scope| scope.biller_names()).collect();
    let biller_names: Vec<String> = biller_names.into_iter().collect();
    if let Some(source_id) = billers::source_of(&mut *conn, &account_ids, &biller_names).await? {
        return Ok(Some(source_id));
    }
    // Who invoices is one where many provide, as on a marketplace.
    let issuers: BTreeSet<&str> = scopes.iter().flat_map(|scope| &scope.issuers).map(String::as_str).collect();
    let biller = provider.or(one(&issuers)).or(providers.first().copied()).unwrap_or("unknown provider");
    let account = one(&accounts).filter(|account| !account.is_empty()).unwrap_or("consolidated");
    let name: String = format!("{biller} {account}").chars().take(NAME_CHARS_MAX).collect();
    billers::source(conn, &name, provider, true).await.map(Some)
}

fn one<'a>(names: &BTreeSet<&'a str>) -> Option<&'a str> {
    names.first().copied().filter(|_| names.len() == 1)
}

/// Why a delivery must not be counted without a decision, where other sources count its bills.
pub(super) fn counted_twice(beside: &[Beside]) -> Option<String> {
    beside.first()?;
    Some(format!(
        "{} this bill already: {}. Counting it here too would count it twice. Accept it if both are meant; otherwise \
         withdraw it here, or the other one first and import this file again.",
        sources_count(beside),
        beside_bills(beside),
    ))
}

/// Why a delivery waits where a file that was handed in together with it holds the same bill.
pub(super) fn handed_in_together(others: &[HandedIn]) -> Option<String> {
    others.first()?;
    let named = others.iter().map(|bill| (&*bill.billing_account_id, bill.billing_period_start, bill.delivery_id));
    Some(format!(
        "Another file that was handed in together with it holds the same bill: {}. Counted, this file would take its \
         place. Parts of one bill are imported together, with --parts or as parts on the upload page: withdraw this one \
         then. Accept it if it is meant to take the other's place.",
        bills(named.collect()),
    ))
}

/// What the receipt says where a person decided that both are meant.
pub(super) fn counted_beside(beside: &[Beside]) -> Option<String> {
    beside.first()?;
    let both = if source_names(beside).len() > 1 { "in all of them" } else { "in both" };
    Some(format!(
        "{} this bill too: {}. It is counted {both}, as was decided; withdraw one of them if they are the same bill.",
        sources_count(beside),
        beside_bills(beside),
    ))
}

// A bill that was accepted beside another one is named too: counting a third would count the cost thrice.
fn sources_count(beside: &[Beside]) -> String {
    let names: Vec<String> = source_names(beside).into_iter().map(|name| format!("“{name}”")).collect();
    let (source, count) = if names.len() > 1 { ("Sources", "count") } else { ("Source", "counts") };
    format!("{source} {} {count}", names.join(" and "))
}

fn source_names(beside: &[Beside]) -> BTreeSet<&str> {
    beside.iter().map(|bill| bill.source_name.as_str()).collect()
}

fn beside_bills(beside: &[Beside]) -> String {
    bills(beside.iter().map(|bill| (&*bill.billing_account_id, bill.billing_period_start, bill.delivery_id)).collect())
}

fn bills(all: Vec<(&str, NaiveDate, i64)>) -> String {
    let bills: Vec<String> = all
        .iter()
        .take(NAMED_MAX)
        .map(|(account, period, delivery_id)| {
            let of_account = if account.is_empty() { String::new() } else { format!(" of account {account}") };
            format!("{}{of_account} (delivery {delivery_id})", period.format("%Y-%m"))
        })
        .collect();
    let more = all.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    bills.join(", ") + &more
}

/// What the receipt should say of billing accounts that are probably one whose id was damaged on the way.
pub(super) async fn warnings(conn: &mut PgConnection, source_id: i64, found: &Found) -> sqlx::Result<Vec<String>> {
    let mut warnings = Vec::new();
    for scope in found.scopes.list() {
        let (account, period) = (&scope.billing_account_id, scope.billing_period_start);
        if let Some(other) = billers::alike(&mut *conn, source_id, account, period).await? {
            warnings.push(format!(
                "BillingAccountId {account} differs only by leading zeros or letter case from {other}, which this \
                 source counts for {} too: both are counted. Withdraw one if they are the same account.",
                period.format("%Y-%m")
            ));
        }
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_same_call_is_named_and_what_to_do() {
        assert_eq!(handed_in_together(&[]), None);
        let bill = |account: &str, delivery_id| HandedIn {
            billing_account_id: account.into(),
            billing_period_start: "2026-10-01".parse().unwrap(),
            delivery_id,
        };
        let reason = handed_in_together(&[bill("A1", 7), bill("", 8)]).unwrap();
        assert!(reason.contains("2026-10 of account A1 (delivery 7), 2026-10 (delivery 8)."), "{reason}");
        assert!(reason.contains("--parts") && reason.contains("upload page"), "{reason}");
        let many: Vec<HandedIn> = (1..6).map(|id| bill("A1", id)).collect();
        assert!(handed_in_together(&many).unwrap().contains("(delivery 3) and 2 more."));
    }

    #[test]
    fn every_source_that_counts_the_bill_is_named() {
        let bill = |source_name: &str, delivery_id| Beside {
            generation_id: 1,
            billing_account_id: "A1".into(),
            billing_period_start: "2026-10-01".parse().unwrap(),
            source_name: source_name.into(),
            delivery_id,
            other_generation_id: 2,
        };
        let reason = counted_twice(&[bill("one", 7)]).unwrap();
        assert!(reason.starts_with("Source “one” counts this bill already: 2026-10 of account A1 (delivery 7)."));
        let both = [bill("one", 7), bill("two", 8)];
        let reason = counted_twice(&both).unwrap();
        assert!(
            reason.starts_with("Sources “one” and “two” count this bill already: 2026-10 of account A1"),
            "{reason}"
        );
        assert!(counted_beside(&both).unwrap().contains("It is counted in all of them, as was decided"));
    }
}
