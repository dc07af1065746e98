//! What lacks within a source: a billing account that is late while others are there, and billing periods without a bill
//! between others that have one.
//!
//! A billing account whose bills have charges on several days is expected in each billing period, since it costs something
//! every day. It is late while its newest bill is of the period before the source's newest, as long as that one is not
//! complete. Once a whole period is complete without it, it has ended. One whose bills have charges on one day only (tax,
//! support, a domain) comes when it comes: it is neither late nor has it gaps.

use super::Scope;
use super::freshness::{SourceReach, SourceState};
use super::missing_bills::Part;
use crate::focus::BillingPeriod;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// The billing periods of which a billing account has a current bill from a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountBills {
    /// The source.
    pub source_id: i64,
    /// FOCUS BillingAccountId.
    pub account: String,
    /// First days of the periods, in order.
    pub months: Vec<NaiveDate>,
    /// Whether any of its bills has charges on several days.
    pub is_daily: bool,
    /// When the newest of its bills became visible.
    pub read_at: DateTime<Utc>,
}

impl AccountBills {
    fn periods(&self) -> impl Iterator<Item = BillingPeriod> {
        self.months.iter().copied().map(BillingPeriod::containing)
    }

    fn newest(&self) -> Option<BillingPeriod> {
        self.periods().max()
    }
}

/// A billing period without a bill, between others that have one. Its days are not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The source.
    pub source_id: i64,
    /// Whose bill is not there: "acme", or "acme, account 42".
    pub name: String,
    /// The billing account; `None` where the source has no bill at all of the period.
    pub account: Option<String>,
    /// The period.
    pub period: BillingPeriod,
    /// The services that it bills in the periods beside, each with its team.
    pub services: Vec<(i64, Option<i64>)>,
}

impl Gap {
    /// Whether it bills any of these services.
    pub fn is_of_services(&self, service_ids: &[i64]) -> bool {
        self.services.iter().any(|(service_id, _)| service_ids.contains(service_id))
    }

    /// Whether it bills a service of this part of all cost that these readers may see.
    pub fn is_of_part(&self, scope: &Scope, part: &Part<'_>) -> bool {
        self.services.iter().any(|(service_id, team_id)| {
            part.service_id.is_none_or(|asked| asked == *service_id)
                && part.team_id.is_none_or(|asked| asked == team_id.unwrap_or_default())
                && scope.team_ids().is_none_or(|own| team_id.is_some_and(|team| own.contains(&team)))
        })
    }
}

/// "acme, account 42".
fn named(source: &SourceReach, account: &str) -> String {
    match account {
        "" => format!("{}, without an account", source.name),
        account => format!("{}, account {account}", source.name),
    }
}

/// Reads which periods each billing account has bills of. A bill without charges is one too.
pub async fn accounts(conn: &mut PgConnection) -> sqlx::Result<Vec<AccountBills>> {
    sqlx::query_as!(
        AccountBills,
        r#"SELECT g.source_id, g.billing_account_id AS account,
               array_agg(DISTINCT date_trunc('month', g.billing_period_start::timestamp)::date) AS "months!",
               coalesce(bool_or(g.first_charge_date < g.last_charge_date), false) AS "is_daily!",
               max(coalesce(g.published_at, d.received_at)) AS "read_at!"
           FROM generation g JOIN delivery d ON d.delivery_id = g.delivery_id
           WHERE g.state = 'current'
           GROUP BY 1, 2 ORDER BY 1, 2"#
    )
    .fetch_all(conn)
    .await
}

/// The billing accounts that lack while their source is there, each as far as its own bills reach.
pub fn late(
    sources: &[SourceReach],
    accounts: &[AccountBills],
    state: impl Fn(&SourceReach) -> SourceState,
) -> Vec<SourceReach> {
    let mut late = Vec::new();
    for source in sources.iter().filter(|source| state(source) == SourceState::Complete) {
        let id = source.source_id;
        let own = || accounts.iter().filter(move |one| one.source_id == id);
        let Some(newest) = own().filter_map(AccountBills::newest).max() else { continue };
        if newest.days().last_day() <= source.complete_to {
            continue;
        }
        for one in own().filter(|one| one.is_daily && one.newest() == Some(newest.previous())) {
            let last = newest.previous().days().last_day();
            late.push(SourceReach {
                name: named(source, &one.account),
                account: Some(one.account.clone()),
                complete_to: last.min(source.complete_to),
                last_charge_date: last.min(source.last_charge_date),
                read_at: one.read_at,
                ..source.clone()
            });
        }
    }
    late
}

/// The periods that lack, source by source; of the accounts of a source only those in which others have a bill.
pub fn gaps(sources: &[SourceReach], accounts: &[AccountBills]) -> Vec<Gap> {
    let gap = |source: &SourceReach, account: Option<&str>, period| Gap {
        source_id: source.source_id,
        name: account.map_or_else(|| source.name.clone(), |account| named(source, account)),
        account: account.map(str::to_owned),
        period,
        services: Vec::new(),
    };
    let mut gaps = Vec::new();
    for source in sources {
        let id = source.source_id;
        let own = || accounts.iter().filter(move |one| one.source_id == id);
        // A source of which every bill is of one day has gaps as well: it is not known what it bills.
        let whole = between(own().flat_map(AccountBills::periods));
        gaps.extend(whole.iter().map(|period| gap(source, None, *period)));
        for one in own().filter(|one| one.is_daily) {
            let lacking = between(one.periods()).into_iter().filter(|period| !whole.contains(period));
            gaps.extend(lacking.map(|period| gap(source, Some(one.account.as_str()), period)));
        }
    }
    gaps
}

/// The periods of which no source has a bill, between the first and the last that have one.
pub fn unbilled(accounts: &[AccountBills]) -> Vec<BillingPeriod> {
    between(accounts.iter().flat_map(AccountBills::periods)).into_iter().collect()
}

// What lies between the first and the last of these and is none of them.
fn between(periods: impl Iterator<Item = BillingPeriod>) -> BTreeSet<BillingPeriod> {
    let there: BTreeSet<BillingPeriod> = periods.collect();
    let (Some(first), Some(last)) = (there.first(), there.last()) else { return BTreeSet::new() };
    let all = std::iter::successors(Some(*first), |period| Some(period.next())).take_while(|period| period < last);
    all.filter(|period| !there.contains(period)).collect()
}

/// Reads which services those bill whose period lacks, in the periods beside it.
pub async fn read_services(conn: &mut PgConnection, gaps: &mut [Gap]) -> sqlx::Result<()> {
    if gaps.is_empty() {
        return Ok(());
    }
    // Several accounts lack the same period.
    let places: BTreeSet<(i64, NaiveDate)> = gaps.iter().map(|gap| (gap.source_id, gap.period.first_day())).collect();
    let (ids, months): (Vec<i64>, Vec<NaiveDate>) = places.into_iter().unzip();
    let rows = sqlx::query!(
        r#"SELECT DISTINCT gap.source_id AS "source_id!", gap.month AS "month!", g.billing_account_id AS account,
               m.service_id, s.team_id AS "team_id?"
           FROM unnest($1::bigint[], $2::date[]) AS gap (source_id, month)
           JOIN generation g ON g.source_id = gap.source_id AND g.state = 'current'
               AND g.billing_period_start >= gap.month - interval '3 months'
               AND g.billing_period_start < gap.month + interval '4 months'
           JOIN monthly_cost m ON m.generation_id = g.generation_id
           LEFT JOIN service s ON s.service_id = m.service_id"#,
        &ids,
        &months,
    )
    .fetch_all(conn)
    .await?;
    // By source and month: account, service and team.
    type Billed = BTreeSet<(String, i64, Option<i64>)>;
    let mut found: BTreeMap<(i64, NaiveDate), Billed> = BTreeMap::new();
    for row in rows {
        let services = found.entry((row.source_id, row.month)).or_default();
        services.insert((row.account, row.service_id, row.team_id));
    }
    for gap in gaps {
        let beside = found.get(&(gap.source_id, gap.period.first_day())).into_iter().flatten();
        let own = beside.filter(|(account, ..)| gap.account.as_ref().is_none_or(|asked| asked == account));
        let services = own.map(|(_, service_id, team_id)| (*service_id, *team_id));
        gap.services = services.collect::<BTreeSet<_>>().into_iter().collect();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn source(complete_to: &str) -> SourceReach {
        SourceReach {
            source_id: 1,
            name: "acme".into(),
            account: None,
            bills_from: day("2026-09-01"),
            complete_to: day(complete_to),
            last_charge_date: day(complete_to),
            read_at: DateTime::UNIX_EPOCH,
            settles_after_days: None,
        }
    }

    fn bills(account: &str, is_daily: bool, months: &[&str]) -> AccountBills {
        AccountBills {
            source_id: 1,
            account: account.into(),
            months: months.iter().map(|month| day(&format!("{month}-01"))).collect(),
            is_daily,
            read_at: DateTime::UNIX_EPOCH,
        }
    }

    fn late_of(complete_to: &str, accounts: &[AccountBills]) -> Vec<(String, String)> {
        let late = late(&[source(complete_to)], accounts, |_| SourceState::Complete);
        late.into_iter().map(|one| (one.name, one.complete_to.to_string())).collect()
    }

    #[test]
    fn an_account_is_late_until_a_whole_period_is_there_without_it() {
        let there = bills("A", true, &["2026-10", "2026-11"]);
        let accounts = [there.clone(), bills("B", true, &["2026-10"])];
        assert_eq!(late_of("2026-11-20", &accounts), [("acme, account B".to_owned(), "2026-10-31".to_owned())]);
        assert!(late_of("2026-11-30", &accounts).is_empty(), "it has ended");
        let next = bills("A", true, &["2026-10", "2026-11", "2026-12"]);
        assert!(late_of("2026-12-02", &[next, bills("B", true, &["2026-10"])]).is_empty(), "it has ended");
        // What is billed once a period comes when it comes.
        assert!(late_of("2026-11-20", &[there, bills("tax", false, &["2026-10"])]).is_empty());
    }

    #[test]
    fn periods_between_bills_are_gaps() {
        let of = |accounts: &[AccountBills]| -> Vec<String> {
            gaps(&[source("2026-11-20")], accounts).iter().map(|gap| format!("{} {}", gap.name, gap.period)).collect()
        };
        let whole = [bills("A", true, &["2026-09", "2026-11"])];
        assert_eq!(of(&whole), ["acme 2026-10"], "one gap for all accounts of a source");
        let one = [bills("A", true, &["2026-09", "2026-10", "2026-11"]), bills("B", true, &["2026-09", "2026-11"])];
        assert_eq!(of(&one), ["acme, account B 2026-10"]);
        let rare = [bills("A", true, &["2026-09", "2026-10", "2026-11"]), bills("tax", false, &["2026-09", "2026-11"])];
        assert!(of(&rare).is_empty());
        assert_eq!(unbilled(&whole).iter().map(ToString::to_string).collect::<Vec<_>>(), ["2026-10"]);
        assert!(unbilled(&one).is_empty());
    }
}
