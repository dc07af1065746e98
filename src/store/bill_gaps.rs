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
    /// Those of them of which it makes a material part, with the FOCUS BillingCurrency in which it does.
    pub material: Vec<(i64, String)>,
    /// The same of their own cost, without shares of split cost.
    pub material_own: Vec<(i64, String)>,
}

impl Gap {
    /// Whether it bills any of these services.
    pub fn is_of_services(&self, service_ids: &[i64]) -> bool {
        self.services.iter().any(|(service_id, _)| service_ids.contains(service_id))
    }

    /// The gap as it is for who looks at own cost.
    pub fn of_own_cost(self) -> Self {
        Self { material: self.material_own.clone(), ..self }
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
        material_own: Vec::new(),
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

    /// The currencies in which the bill that lacks makes a material part of these services together.
    pub fn material_currencies(&self, gap: &Gap, service_ids: &[i64]) -> Vec<String> {
        let own = sums(self.own.get(&gap.key()), service_ids);
        if own.is_empty() {
            return Vec::new();
        }
        let months = gap.beside.map(BillingPeriod::first_day);
        let whole = sums(months.iter().filter_map(|month| self.whole.get(month)), service_ids);
        let is_part_of = |currency: &str, cost: &BigDecimal| {
            whole.get(currency).is_some_and(|whole| missing_bills::is_material(cost, whole))
        };
        let material = own.iter().filter(|(currency, cost)| is_part_of(currency, cost));
        material.map(|(currency, _)| (*currency).to_owned()).collect()
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
    fn add(&mut self, bill: (NaiveDate, i64, String), cost: ServiceCost) {
        *self.whole.entry((bill.0, cost.0, cost.2.clone())).or_default() += &cost.3;
        self.bills.entry(bill).or_default().push(cost);
    }

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
               sum(m.effective_cost) AS "cost!",
               coalesce(sum(m.effective_cost) FILTER (WHERE m.split_id = 0), 0) AS "own_cost!"
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
    let (mut beside, mut own) = (Beside::default(), Beside::default());
    for row in rows {
        let bill = (row.month, row.source_id, row.account);
        own.add(bill.clone(), (row.service_id, row.team_id, row.currency.clone(), row.own_cost));
        beside.add(bill, (row.service_id, row.team_id, row.currency, row.cost));
    }
    for gap in gaps.iter_mut() {
        (gap.services, gap.material) = billed(gap, &beside);
        (_, gap.material_own) = billed(gap, &own);
    }
    Ok(Weights::new(gaps, &beside))
}

/// Services with their teams, and services with a currency each.
type Billed = (Vec<(i64, Option<i64>)>, Vec<(i64, String)>);

// Which services it bills in the periods beside, and of which of them it makes a material part in which currency.
fn billed(gap: &Gap, beside: &Beside) -> Billed {
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
        .map(|((service_id, currency), _)| (*service_id, (*currency).to_owned()));
    (services.into_iter().collect(), material.collect())
}

#[cfg(test)]
mod tests;
