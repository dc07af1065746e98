//! What lacks within a source: a billing account that is late while others are there, and billing periods without a bill
//! between others that have one.
//!
//! A billing account whose bills have charges on several days is expected in each billing period, since it costs something
//! every day. It is late while its newest bill is of the period before the source's newest, as long as that one is not
//! complete. Once a whole period is complete without it, it has ended. One whose bills have charges on one day only (tax,
//! support, a domain) comes when it comes: it is neither late nor has it gaps.

use super::Scope;
use super::freshness::{SourceReach, SourceState};
use super::missing_bills::{self, Part};
use crate::focus::BillingPeriod;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// A bill whose first charge comes later than so many days into its billing period was begun in the middle of it, as an
/// export is that was switched on then. One whose first charge comes earlier had nothing to charge before.
const BILLS_BEGIN_WITHIN_DAYS: i32 = 7;

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
    /// The first day that its bills tell of; `None` without any charge.
    pub bills_from: Option<NaiveDate>,
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
    /// The last period before it that has the bill, and the first one after it.
    pub beside: [BillingPeriod; 2],
    /// Whether it has charges on several days. Of one that has not, the other days lack nothing.
    pub is_daily: bool,
    /// The services that it bills in the periods beside, each with its team.
    pub services: Vec<(i64, Option<i64>)>,
    /// Those of them of which it makes a material part.
    pub material: Vec<i64>,
}

impl Gap {
    /// Whether it bills any of these services.
    pub fn is_of_services(&self, service_ids: &[i64]) -> bool {
        self.services.iter().any(|(service_id, _)| service_ids.contains(service_id))
    }

    fn key(&self) -> GapKey {
        (self.source_id, self.account.clone(), self.period)
    }

    /// Whether it is the bill of this account of this source.
    pub fn is_of_bill(&self, source_id: i64, account: &str) -> bool {
        self.source_id == source_id && self.account.as_ref().is_none_or(|own| own == account)
    }

    /// Whether it bills a service of this part of all cost that these readers may see.
    pub fn is_of_part(&self, scope: &Scope, part: &Part) -> bool {
        self.services.iter().any(|(service_id, team_id)| {
            part.service_id.is_none_or(|asked| asked == *service_id)
                && part.team_id.is_none_or(|asked| asked == team_id.unwrap_or_default())
                && scope.has_team(*team_id)
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

/// Reads which periods each billing account has bills of. A bill without charges is one too. A bill tells of all days of
/// its billing period from the first on, unless it was begun in the middle of it.
pub async fn accounts(conn: &mut PgConnection) -> sqlx::Result<Vec<AccountBills>> {
    sqlx::query_as!(
        AccountBills,
        r#"SELECT g.source_id AS "source_id!", g.billing_account_id AS "account!",
               array_agg(DISTINCT date_trunc('month', g.billing_period_start::timestamp)::date) AS "months!",
               bool_or(g.is_daily) AS "is_daily!",
               min(CASE
                   WHEN g.is_daily AND g.bill_first_date - g.billing_period_start > $1
                       THEN g.bill_first_date
                   ELSE g.billing_period_start
               END) FILTER (WHERE g.last_charge_date IS NOT NULL) AS "bills_from?",
               max(coalesce(g.published_at, d.received_at)) AS "read_at!"
           FROM current_generation g JOIN delivery d ON d.delivery_id = g.delivery_id
           GROUP BY 1, 2 ORDER BY 1, 2"#,
        BILLS_BEGIN_WITHIN_DAYS
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
                bills_from: one.bills_from.unwrap_or(source.bills_from),
                complete_to: last.min(source.complete_to),
                last_charge_date: last.min(source.last_charge_date),
                read_at: one.read_at,
                is_daily: one.is_daily,
                ..source.clone()
            });
        }
    }
    late
}

/// The sources of these late accounts, as their other accounts make them: as old as the oldest of those is. One that
/// ended costs nothing any more, however old it is.
pub fn beside_late(sources: &[SourceReach], accounts: &[AccountBills], late: &[SourceReach]) -> Vec<SourceReach> {
    let has_late = |source: &&SourceReach| late.iter().any(|one| one.source_id == source.source_id);
    let is_late = |one: &AccountBills| {
        late.iter().any(|late| late.source_id == one.source_id && late.account.as_ref() == Some(&one.account))
    };
    let rest_of = |source: &SourceReach| {
        let id = source.source_id;
        let own = || accounts.iter().filter(move |one| one.source_id == id);
        let expected = own().filter_map(AccountBills::newest).max().map(BillingPeriod::previous);
        let rest: Vec<&AccountBills> = own().filter(|one| !is_late(one) && one.newest() >= expected).collect();
        SourceReach {
            bills_from: rest.iter().filter_map(|one| one.bills_from).min().unwrap_or(source.bills_from),
            is_daily: rest.iter().any(|one| one.is_daily),
            ..source.clone()
        }
    };
    sources.iter().filter(has_late).map(rest_of).collect()
}

/// The periods that lack, source by source; of the accounts of a source only those in which others have a bill.
pub fn gaps(sources: &[SourceReach], accounts: &[AccountBills]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for source in sources {
        let id = source.source_id;
        let own = || accounts.iter().filter(move |one| one.source_id == id);
        // A source of which every bill is of one day has gaps as well: it is not known what it bills.
        let any: BTreeSet<BillingPeriod> = own().flat_map(AccountBills::periods).collect();
        let is_daily = own().any(|one| one.is_daily);
        let whole = between(&any);
        gaps.extend(whole.iter().filter_map(|period| gap(source, None, *period, &any, is_daily)));
        for one in own().filter(|one| one.is_daily) {
            let there: BTreeSet<BillingPeriod> = one.periods().collect();
            let lacking = between(&there).into_iter().filter(|period| !whole.contains(period));
            gaps.extend(lacking.filter_map(|period| gap(source, Some(&one.account), period, &there, true)));
        }
    }
    gaps
}

fn gap(
    source: &SourceReach,
    account: Option<&str>,
    period: BillingPeriod,
    there: &BTreeSet<BillingPeriod>,
    is_daily: bool,
) -> Option<Gap> {
    let beside = [*there.range(..period).next_back()?, *there.range(period..).next()?];
    Some(Gap {
        source_id: source.source_id,
        name: account.map_or_else(|| source.name.clone(), |account| named(source, account)),
        account: account.map(str::to_owned),
        period,
        beside,
        is_daily,
        services: Vec::new(),
        material: Vec::new(),
    })
}

/// The periods of which no source has a bill, between the first and the last that have one.
pub fn unbilled(accounts: &[AccountBills]) -> Vec<BillingPeriod> {
    between(&accounts.iter().flat_map(AccountBills::periods).collect()).into_iter().collect()
}

// What lies between the first and the last of these and is none of them.
fn between(there: &BTreeSet<BillingPeriod>) -> BTreeSet<BillingPeriod> {
    let (Some(first), Some(last)) = (there.first(), there.last()) else { return BTreeSet::new() };
    let all = std::iter::successors(Some(*first), |period| Some(period.next())).take_while(|period| period < last);
    all.filter(|period| !there.contains(period)).collect()
}

/// EffectiveCost of a service in one currency.
type ServiceCost = (i64, Option<i64>, String, BigDecimal);

/// Which gap: its source, billing account and period.
type GapKey = (i64, Option<String>, BillingPeriod);
/// EffectiveCost by service and currency.
type CostsByService = BTreeMap<i64, BTreeMap<String, BigDecimal>>;

/// What services cost in the periods beside gaps: by it the days of a gap are weighed for several services together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weights {
    /// Of the bill that lacks.
    own: BTreeMap<GapKey, CostsByService>,
    /// Of all bills, by the first day of the period.
    whole: BTreeMap<NaiveDate, CostsByService>,
}

impl Weights {
    fn new(gaps: &[Gap], beside: &Beside) -> Self {
        let mut weights = Self::default();
        for ((month, service_id, currency), cost) in &beside.whole {
            let of_month = weights.whole.entry(*month).or_default();
            of_month.entry(*service_id).or_default().insert(currency.clone(), cost.clone());
        }
        for gap in gaps {
            let own = weights.own.entry(gap.key()).or_default();
            for (service_id, _, currency, cost) in beside.of(gap) {
                *own.entry(*service_id).or_default().entry(currency.clone()).or_default() += cost;
            }
        }
        weights
    }

    /// Whether the bill that lacks makes a material part of these services together, in one of their currencies.
    pub fn is_material(&self, gap: &Gap, service_ids: &[i64]) -> bool {
        let own = sums(self.own.get(&gap.key()), service_ids);
        if own.is_empty() {
            return false;
        }
        let months = gap.beside.map(BillingPeriod::first_day);
        let whole = sums(months.iter().filter_map(|month| self.whole.get(month)), service_ids);
        let is_part_of = |currency: &str, cost: &BigDecimal| {
            whole.get(currency).is_some_and(|whole| missing_bills::is_material(cost, whole))
        };
        own.iter().any(|(&currency, cost)| is_part_of(currency, cost))
    }
}

// Of these services together, by currency.
fn sums<'a>(costs: impl IntoIterator<Item = &'a CostsByService>, service_ids: &[i64]) -> BTreeMap<&'a str, BigDecimal> {
    let mut sums: BTreeMap<&'a str, BigDecimal> = BTreeMap::new();
    for costs in costs {
        for (currency, cost) in service_ids.iter().filter_map(|id| costs.get(id)).flatten() {
            *sums.entry(currency.as_str()).or_default() += cost;
        }
    }
    sums
}

/// What services cost in the periods beside gaps.
#[derive(Default)]
struct Beside {
    /// By period, source and billing account.
    bills: BTreeMap<(NaiveDate, i64, String), Vec<ServiceCost>>,
    /// Of all bills, by period, service and currency.
    whole: BTreeMap<(NaiveDate, i64, String), BigDecimal>,
}

impl Beside {
    // What the bill of this gap makes in the periods beside it.
    fn of(&self, gap: &Gap) -> impl Iterator<Item = &ServiceCost> {
        let months = gap.beside.map(BillingPeriod::first_day);
        let is_own = move |(month, source_id, account): &(NaiveDate, i64, String)| {
            months.contains(month) && gap.is_of_bill(*source_id, account)
        };
        self.bills.iter().filter(move |(bill, _)| is_own(bill)).flat_map(|(_, costs)| costs)
    }
}

/// Reads which services those bill whose period lacks, in the periods beside it, and of which they make much.
pub async fn read_services(conn: &mut PgConnection, gaps: &mut [Gap]) -> sqlx::Result<Weights> {
    if gaps.is_empty() {
        return Ok(Weights::default());
    }
    let months: BTreeSet<NaiveDate> = gaps.iter().flat_map(|gap| gap.beside).map(BillingPeriod::first_day).collect();
    let months: Vec<NaiveDate> = months.into_iter().collect();
    let rows = sqlx::query!(
        r#"SELECT beside.month AS "month!", g.source_id AS "source_id!", g.billing_account_id AS "account!",
               m.service_id AS "service_id!", s.team_id AS "team_id?", m.billing_currency AS "currency!",
               sum(m.effective_cost) AS "cost!"
           FROM unnest($1::date[]) AS beside (month)
           JOIN monthly_cost m ON m.billing_period_start >= beside.month
               AND m.billing_period_start < beside.month + interval '1 month'
           JOIN generation g ON g.generation_id = m.generation_id AND g.state = 'current'
           LEFT JOIN service s ON s.service_id = m.service_id
           GROUP BY 1, 2, 3, 4, 5, 6"#,
        &months,
    )
    .fetch_all(conn)
    .await?;
    let mut beside = Beside::default();
    for row in rows {
        *beside.whole.entry((row.month, row.service_id, row.currency.clone())).or_default() += &row.cost;
        let bill = beside.bills.entry((row.month, row.source_id, row.account)).or_default();
        bill.push((row.service_id, row.team_id, row.currency, row.cost));
    }
    for gap in gaps.iter_mut() {
        (gap.services, gap.material) = billed(gap, &beside);
    }
    Ok(Weights::new(gaps, &beside))
}

// Which services it bills in the periods beside, and of which of them it makes a material part.
fn billed(gap: &Gap, beside: &Beside) -> (Vec<(i64, Option<i64>)>, Vec<i64>) {
    let months = gap.beside.map(BillingPeriod::first_day);
    let mut services = BTreeSet::new();
    let mut own: BTreeMap<(i64, &str), BigDecimal> = BTreeMap::new();
    for (service_id, team_id, currency, cost) in beside.of(gap) {
        services.insert((*service_id, *team_id));
        *own.entry((*service_id, currency.as_str())).or_default() += cost;
    }
    let whole = |service_id: i64, currency: &str| -> BigDecimal {
        months.iter().filter_map(|month| beside.whole.get(&(*month, service_id, currency.to_owned()))).sum()
    };
    let material = own
        .iter()
        .filter(|((service_id, currency), cost)| missing_bills::is_material(cost, &whole(*service_id, currency)))
        .map(|((service_id, _), _)| *service_id);
    let material: BTreeSet<i64> = material.collect();
    (services.into_iter().collect(), material.into_iter().collect())
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
            is_daily: true,
            settles_after_days: None,
            has_rhythm: true,
        }
    }

    fn bills(account: &str, is_daily: bool, months: &[&str]) -> AccountBills {
        AccountBills {
            source_id: 1,
            account: account.into(),
            months: months.iter().map(|month| day(&format!("{month}-01"))).collect(),
            is_daily,
            bills_from: None,
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
    fn a_late_account_is_as_old_as_its_own_bills() {
        let from = |bills_from: Option<NaiveDate>| {
            let new = AccountBills { bills_from, ..bills("B", true, &["2026-10"]) };
            let accounts = [bills("A", true, &["2026-10", "2026-11"]), new];
            late(&[source("2026-11-20")], &accounts, |_| SourceState::Complete)[0].bills_from
        };
        assert_eq!(from(Some(day("2026-10-22"))), day("2026-10-22"));
        assert_eq!(from(None), day("2026-09-01"), "as the source");
    }

    #[test]
    fn a_source_beside_a_late_account_is_as_old_as_its_other_accounts() {
        let since = |bills: AccountBills, from: &str| AccountBills { bills_from: Some(day(from)), ..bills };
        let beside = |others: &[AccountBills]| -> Vec<(String, bool)> {
            let old = since(bills("A", true, &["2026-09", "2026-10"]), "2026-09-01");
            let accounts: Vec<AccountBills> = std::iter::once(old).chain(others.iter().cloned()).collect();
            let sources = [source("2026-11-19"), SourceReach { source_id: 2, ..source("2026-11-19") }];
            let late = late(&sources, &accounts, |_| SourceState::Complete);
            let rest = beside_late(&sources, &accounts, &late);
            rest.into_iter().map(|one| (one.bills_from.to_string(), one.is_daily)).collect()
        };
        let new = since(bills("B", true, &["2026-11"]), "2026-11-10");
        let tax = since(bills("tax", false, &["2026-10", "2026-11"]), "2026-10-01");
        let ended = since(bills("C", true, &["2026-08", "2026-09"]), "2026-08-01");
        let of = |day: &str, is_daily: bool| vec![(day.to_owned(), is_daily)];
        assert_eq!(beside(&[new.clone(), ended]), of("2026-11-10", true));
        assert_eq!(beside(&[new, tax.clone()]), of("2026-10-01", true));
        assert_eq!(beside(&[tax]), of("2026-10-01", false));
        assert!(beside(&[]).is_empty(), "nothing is late");
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

    #[test]
    fn a_gap_is_material_for_what_its_bill_makes_much_of() {
        let accounts = [
            bills("A", true, &["2026-09", "2026-10", "2026-11", "2026-12"]),
            bills("B", true, &["2026-09", "2026-12"]),
        ];
        let gaps = gaps(&[source("2026-12-20")], &accounts);
        let months = ["2026-09", "2026-12"].map(|month| month.parse::<BillingPeriod>().unwrap());
        assert_eq!(gaps.iter().map(|gap| gap.beside).collect::<Vec<_>>(), [months, months]);
        // Of the first service B makes a twentieth, of the second a little less, of the third all in one currency.
        let mut beside = Beside::default();
        for (account, service_id, currency, cost) in [
            ("A", 1, "USD", 95),
            ("B", 1, "USD", 5),
            ("A", 2, "USD", 96),
            ("B", 2, "USD", 4),
            ("A", 3, "USD", 1000),
            ("B", 3, "EUR", 1),
            ("A", 4, "USD", 7),
        ] {
            let (cost, currency) = (BigDecimal::from(cost), currency.to_owned());
            for month in months.map(BillingPeriod::first_day) {
                *beside.whole.entry((month, service_id, currency.clone())).or_default() += &cost;
                let bill = beside.bills.entry((month, 1, account.to_owned())).or_default();
                bill.push((service_id, None, currency.clone(), cost.clone()));
            }
        }
        let (services, material) = billed(&gaps[0], &beside);
        assert_eq!(services.iter().map(|(service_id, _)| *service_id).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(material, [1, 3]);
        // Of several together it may make less than of one of them.
        let weights = Weights::new(&gaps, &beside);
        let is_material = |service_ids: &[i64]| weights.is_material(&gaps[0], service_ids);
        assert_eq!([1, 2, 3, 4].map(|id| is_material(&[id])), [true, false, true, false]);
        assert!(!is_material(&[1, 2]) && !is_material(&[1, 4]) && is_material(&[2, 3]) && !is_material(&[]));
    }
}
