//! How far the bills are complete, and which publication a page is computed from.

use super::Scope;
use super::bill_gaps::{self, Gap, Weights};
use super::known_days::{KnownDays, Lacking, MissingSince};
use super::missing_bills::{self, Missing, Part, Shares, Weighed};
pub use super::source_reach::{SourceReach, SourceState};
use crate::focus::{BillingPeriod, DateRange};
use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A source that is at most this many days behind the newest one still counts as arriving.
const LAG_DAYS_USUAL: u64 = 2;
/// A source that is further behind than this has ended: it is neither late nor waited for.
const LAG_DAYS_LATE_MAX: u64 = 45;

/// A gap that ended so many days before the newest complete day is told no more.
const GAP_DAYS_MAX: u64 = 400;

/// How far all bills together reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// One a source that has current bills, in order of names.
    pub sources: Vec<SourceReach>,
    /// Billing accounts that are late while their source is not ([`bill_gaps`]).
    pub late_accounts: Vec<SourceReach>,
    /// The sources of these, as what is there of them is weighed ([`bill_gaps::beside_late`]).
    pub beside_late: Vec<SourceReach>,
    /// Billing periods that lack a bill between others, of the services that are looked at.
    pub gaps: Vec<Gap>,
    /// Billing periods of which no source has a bill, between others.
    pub unbilled: Vec<BillingPeriod>,
    /// The number of the last visible change; 0 before the first.
    pub publication_id: i64,
    /// What late sources leave out of the services that are looked at: all, or those of [`Self::of_services`].
    pub missing: Vec<Missing>,
    /// The late sources that make most of all cost: all figures wait for them.
    pub held_by: Vec<Missing>,
    /// Which days of which service are known, whatever is looked at: of its cost with shares of split cost.
    pub known: Arc<KnownDays>,
    /// The same of its own cost, without shares: what effects, anomalies, causes and savings look at.
    pub known_own: Arc<KnownDays>,
    /// What each source has of each service's cost in its last days; read only where a source is late.
    pub weighed: Arc<Weighed>,
    /// What the bills of gaps make of services.
    pub weights: Arc<Weights>,
    /// The days that are looked at ([`Self::of_days`]); empty for all.
    pub days: Vec<DateRange>,
    /// The transactions that the view of the database sees. Two views that say the same see the same rows.
    pub seen: String,
}

impl Freshness {
    /// The last day on which every source that keeps up is complete, and every late one that makes most of all cost. It
    /// is the same for every page, so that a figure is the same wherever it stands; what other late sources leave out of
    /// it is in [`Self::partial_from`]. What costs next to nothing is waited for while it keeps up: two days at most.
    pub fn complete_to(&self) -> Option<NaiveDate> {
        let newest = self.newest()?;
        let keeping_up = self.sources.iter().map(|source| source.complete_to);
        let held_to = self.held_by.iter().map(|missing| missing.complete_to);
        keeping_up.filter(|day| *day + Days::new(LAG_DAYS_USUAL) >= newest).chain(held_to).min()
    }

    /// The first day whose figures lack a late source.
    pub fn partial_from(&self) -> Option<NaiveDate> {
        let first = self.missing.iter().map(Missing::since).min()?;
        self.complete_to().filter(|last| first <= *last).map(|_| first)
    }

    /// Whether all figures end before the first day without this source.
    pub fn waits_for(&self, missing: &Missing) -> bool {
        self.complete_to().is_some_and(|last| last < missing.since())
    }

    /// Whether they do because it makes most of all cost.
    pub fn is_held_by(&self, missing: &Missing) -> bool {
        self.held_by.iter().any(|one| one.name == missing.name)
    }

    /// How far the bills of these services reach.
    pub fn of_services(&self, service_ids: &[i64]) -> Self {
        let missing = missing_bills::of(&self.weighed.all, self.late(), Some(service_ids));
        let gaps = self.gaps.iter().filter(|gap| gap.is_of_services(service_ids)).cloned().collect();
        Self { missing, gaps, ..self.clone() }
    }

    /// How far the bills of this part of all cost reach, as far as these readers may see it.
    pub async fn of_part(mut self, conn: &mut PgConnection, scope: &Scope, part: Part) -> sqlx::Result<Self> {
        if part == Part::default() && scope.is_everything() {
            return Ok(self);
        }
        self.gaps.retain(|gap| gap.is_of_part(scope, &part));
        if self.late().next().is_some() {
            let weighed = missing_bills::shares(conn, scope, &self.among(), &part).await?;
            self.missing = missing_bills::of(&weighed.all, self.late(), None);
        }
        Ok(self)
    }

    /// How far the bills reach, looked at on these days: what lacks on other days only is no matter of them.
    pub fn of_days(self, days: Vec<DateRange>) -> Self {
        Self { days, ..self }
    }

    /// What late sources leave out of the days that are looked at.
    pub fn missing_told(&self) -> impl Iterator<Item = &Missing> {
        self.missing.iter().filter(|missing| self.is_looked_at_from(missing.since()))
    }

    /// The gaps that hold some of the days that are looked at.
    pub fn gaps_told(&self) -> impl Iterator<Item = &Gap> {
        let is_in = |gap: &Gap, days: &DateRange| {
            let period = gap.period.days();
            period.start() < days.end() && days.start() < period.end()
        };
        self.gaps.iter().filter(move |gap| self.days.is_empty() || self.days.iter().any(|days| is_in(gap, days)))
    }

    // Whether a day that is looked at is this one or comes after it.
    fn is_looked_at_from(&self, day: NaiveDate) -> bool {
        self.days.is_empty() || self.days.iter().any(|days| day < days.end())
    }

    /// The services that a late source makes a material part of, each with the first day without it in each currency; those
    /// only of whose days some that are looked at lack it.
    pub fn missing_since(&self) -> MissingSince {
        let mut since = self.missing_since_in(&self.weighed.all);
        since.values_mut().for_each(|days| days.retain(|_, day| self.is_looked_at_from(*day)));
        since.retain(|_, days| !days.is_empty());
        since
    }

    fn missing_since_in(&self, shares: &Shares) -> MissingSince {
        let of = |id: i64| Some((id, self.missing_since_of(shares, &[id]))).filter(|(_, days)| !days.is_empty());
        shares.service_ids().filter_map(of).collect()
    }

    // The first complete day without a late source that makes a material part of these services together, in each currency
    // by itself: a few EUR that are late leave USD known.
    fn missing_since_of(&self, shares: &Shares, service_ids: &[i64]) -> BTreeMap<String, NaiveDate> {
        let mut first: BTreeMap<String, NaiveDate> = BTreeMap::new();
        let is_complete = |day: NaiveDate| self.complete_to().is_some_and(|last| day <= last);
        for missing in missing_bills::of(shares, self.late(), Some(service_ids)) {
            let since = missing.since();
            for currency in missing.material_currencies().filter(|_| is_complete(since)) {
                let day = first.entry(currency.to_owned()).or_insert(since);
                *day = since.min(*day);
            }
        }
        first
    }

    /// The days that lack a bill which makes a material part of these services together: they have no unit cost, since
    /// part of their cost is not known.
    pub fn lacking(&self, service_ids: &[i64]) -> Lacking {
        let mut without_bill: BTreeMap<String, BTreeSet<BillingPeriod>> = BTreeMap::new();
        for gap in self.known.gaps().iter().filter(|gap| gap.is_daily) {
            for currency in self.weights.material_currencies(gap, service_ids) {
                without_bill.entry(currency).or_default().insert(gap.period);
            }
        }
        Lacking { missing_since: self.missing_since_of(&self.weighed.all, service_ids), without_bill }
    }

    /// The first day that any bill tells of.
    pub fn bills_from(&self) -> Option<NaiveDate> {
        self.sources.iter().map(|source| source.bills_from).min()
    }

    /// Whether any bill tells of this day, of whatever cost. It stands beside [`KnownDays::is_known`] because neither
    /// tells the other. That one is of a service, within the reach of bills: on a day it does not know, other bills may
    /// be there. This one is of no service: where it says no, all bills lack, also those of services that began later
    /// or are billed on one day a month, of which that one lacks nothing. Averages, comparisons and months ask it, and
    /// unit costs with [`Self::lacking`], which weighs a late bill and a gap for several services together as their
    /// groups have them.
    pub fn has_bill(&self, day: NaiveDate) -> bool {
        self.bills_from().is_none_or(|first| first <= day) && !self.unbilled.contains(&BillingPeriod::containing(day))
    }

    /// The first day from which on bills tell of all days to this one, and the last complete one to which they do.
    pub fn billed_around(&self, day: NaiveDate) -> (Option<NaiveDate>, Option<NaiveDate>) {
        let (past, to_come): (Vec<BillingPeriod>, Vec<BillingPeriod>) =
            self.unbilled.iter().copied().partition(|period| period.first_day() <= day);
        let from = past.iter().map(|period| period.next().first_day()).max();
        let to = to_come.iter().map(|period| period.first_day() - Days::new(1)).min();
        (self.bills_from().max(from), self.complete_to().map(|last| to.unwrap_or(last).min(last)))
    }

    /// The last day that any source is complete to.
    pub fn newest(&self) -> Option<NaiveDate> {
        self.sources.iter().map(|source| source.complete_to).max()
    }

    /// The last day that has any charge: what lies after [`Self::complete_to`] is provisional.
    pub fn last_charge_date(&self) -> Option<NaiveDate> {
        self.sources.iter().map(|source| source.last_charge_date).max()
    }

    /// When the newest bill became visible.
    pub fn read_at(&self) -> Option<DateTime<Utc>> {
        self.sources.iter().map(|source| source.read_at).max()
    }

    /// Whether this source keeps up.
    pub fn state(&self, source: &SourceReach) -> SourceState {
        let Some(newest) = self.newest() else { return SourceState::Complete };
        let lag = (newest - source.complete_to).num_days().unsigned_abs();
        let is_of_older_month = BillingPeriod::containing(source.complete_to) < BillingPeriod::containing(newest);
        match lag {
            0..=LAG_DAYS_USUAL => SourceState::Complete,
            _ if !source.has_rhythm && is_of_older_month => SourceState::Ended,
            _ if lag <= LAG_DAYS_LATE_MAX => SourceState::Late(u32::try_from(lag - LAG_DAYS_USUAL).unwrap_or(u32::MAX)),
            _ => SourceState::Ended,
        }
    }

    /// The sources that are late, and the billing accounts that are while their source is not.
    pub fn late(&self) -> impl Iterator<Item = &SourceReach> {
        let all = self.sources.iter().chain(&self.late_accounts);
        all.filter(|source| matches!(self.state(source), SourceState::Late(_)))
    }

    // What late sources are weighed among: one that has ended makes no part of cost any more. A late account has a row
    // of its own, so that of its source is without it.
    fn among(&self) -> Vec<&SourceReach> {
        let beside = |id: i64| self.beside_late.iter().find(move |one| one.source_id == id);
        let sources = self.sources.iter().map(|source| beside(source.source_id).unwrap_or(source));
        let all = sources.chain(&self.late_accounts);
        all.filter(|source| self.state(source) != SourceState::Ended).collect()
    }
}

/// What a view of the database sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The transactions ([`Freshness::seen`]).
    pub transactions: String,
    /// The number of the last visible change; 0 before the first.
    pub publication_id: i64,
}

/// What is visible now: the same for two views that see the same rows.
pub async fn seen(conn: &mut PgConnection) -> sqlx::Result<Seen> {
    sqlx::query_as!(
        Seen,
        r#"SELECT pg_current_snapshot()::text AS "transactions!",
               (SELECT coalesce(max(publication_id), 0) FROM publication) AS "publication_id!""#
    )
    .fetch_one(conn)
    .await
}

/// Reads what is visible now.
pub async fn read(conn: &mut PgConnection) -> sqlx::Result<Freshness> {
    let seen = seen(&mut *conn).await?;
    read_of(conn, seen).await
}

/// Reads how far the bills of this view are complete.
///
/// A day that had not ended when a bill was made cannot be complete in it. A source whose every bill has charges on one
/// day only is a monthly one: it is complete to the end of its billing period. Files that add up are one bill, so that
/// one that holds a day each is daily from the third day on: two may be a monthly bill and its correction. Where a source's history shows that its days keep arriving for longer, they are
/// complete only after that.
pub async fn read_of(conn: &mut PgConnection, seen: Seen) -> sqlx::Result<Freshness> {
    let rows = sqlx::query!(
        r#"
        SELECT
            s.source_id,
            s.name,
            CASE
                WHEN bool_and(NOT g.is_daily)
                    THEN max(least(g.billing_period_end - 1, (d.version_at AT TIME ZONE 'UTC')::date - 1))
                ELSE max(least(g.last_charge_date,
                               (d.version_at AT TIME ZONE 'UTC')::date - greatest(1, coalesce(l.settles_after_days, 1))))
            END AS "complete_to!",
            max(g.last_charge_date) AS "last_charge_date!",
            max(coalesce(g.published_at, d.received_at)) AS "read_at!",
            bool_or(g.is_daily) AS "is_daily!",
            max(l.settles_after_days) AS settles_after_days,
            CASE
                WHEN count(DISTINCT g.billing_period_start) > 1 THEN true
                WHEN EXISTS (SELECT FROM source_setting t WHERE t.source_id = s.source_id
                             AND (t.kind <> 'upload' OR t.expected_every_hours IS NOT NULL)) THEN true
                ELSE (SELECT count(DISTINCT (o.received_at AT TIME ZONE 'UTC')::date) > 1 FROM delivery o
                      WHERE o.source_id = s.source_id AND o.state IN ('published', 'superseded'))
            END AS "has_rhythm!"
        FROM current_generation g
        JOIN source s ON s.source_id = g.source_id
        JOIN delivery d ON d.delivery_id = g.delivery_id
        LEFT JOIN source_settling l ON l.source_id = g.source_id
        WHERE g.last_charge_date IS NOT NULL
        GROUP BY s.source_id, s.name
        ORDER BY s.name
        "#
    )
    .fetch_all(&mut *conn)
    .await?;
    let accounts = bill_gaps::accounts(&mut *conn).await?;
    let bills_from = |id: i64| accounts.iter().filter(|one| one.source_id == id).filter_map(|one| one.bills_from).min();
    // Without a view of its own, all bills of a source may have gone since its row was read: it is not there either.
    let sources = rows.into_iter().filter_map(|row| {
        Some(SourceReach {
            bills_from: bills_from(row.source_id)?,
            source_id: row.source_id,
            name: row.name,
            account: None,
            complete_to: row.complete_to,
            last_charge_date: row.last_charge_date,
            read_at: row.read_at,
            is_daily: row.is_daily,
            settles_after_days: row.settles_after_days,
            has_rhythm: row.has_rhythm,
        })
    });
    let mut bills = Freshness {
        sources: sources.collect(),
        publication_id: seen.publication_id,
        seen: seen.transactions,
        ..Freshness::default()
    };
    bills.late_accounts = bill_gaps::late(&bills.sources, &accounts, |source| bills.state(source));
    bills.beside_late = bill_gaps::beside_late(&bills.sources, &accounts, &bills.late_accounts);
    bills.unbilled = bill_gaps::unbilled(&accounts);
    let mut gaps = bill_gaps::gaps(&bills.sources, &accounts);
    bills.weights = Arc::new(bill_gaps::read_services(&mut *conn, &mut gaps).await?);
    if bills.late().next().is_some() {
        let weighed = missing_bills::shares(&mut *conn, &Scope::everything(), &bills.among(), &Part::default()).await?;
        bills.weighed = Arc::new(weighed);
        bills.missing = missing_bills::of(&bills.weighed.all, bills.late(), None);
        bills.held_by = missing_bills::holding(&bills.missing);
    }
    let newest = bills.newest();
    let is_told =
        |gap: &&Gap| newest.is_none_or(|newest| newest < gap.period.next().first_day() + Days::new(GAP_DAYS_MAX));
    bills.gaps = gaps.iter().filter(is_told).cloned().collect();
    let own_gaps = gaps.iter().cloned().map(Gap::of_own_cost).collect();
    bills.known_own = Arc::new(KnownDays::new(bills.missing_since_in(&bills.weighed.own), own_gaps));
    bills.known = Arc::new(KnownDays::new(bills.missing_since_in(&bills.weighed.all), gaps));
    Ok(bills)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bigdecimal::BigDecimal;

    fn source(name: &str, day: u32) -> SourceReach {
        let complete_to = NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        let read_at = DateTime::UNIX_EPOCH;
        SourceReach {
            source_id: 1,
            name: name.into(),
            account: None,
            bills_from: NaiveDate::from_ymd_opt(2026, 10, 1).unwrap(),
            complete_to,
            last_charge_date: complete_to,
            read_at,
            is_daily: true,
            settles_after_days: None,
            has_rhythm: true,
        }
    }

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
    }

    // What the late source has of the first service in EUR, and of the second in USD, where others have 100 and 1,000.
    fn with(share: &str, of_second: &str) -> Freshness {
        let mut cloudflare = source("cloudflare", 18);
        cloudflare.source_id = 3;
        let mut freshness =
            Freshness { sources: vec![source("aws", 22), source("gcp", 20), cloudflare], ..Freshness::default() };
        let part: BigDecimal = share.parse().unwrap();
        let rest = BigDecimal::from(100) - &part;
        let second = of_second.parse().unwrap();
        let first = [(7, 3, "EUR", part), (7, 1, "EUR", rest), (8, 1, "USD", 1000.into())];
        let rows = first.into_iter().chain([(8, 3, "USD", second)]);
        let kept = rows.filter(|row| row.3 != BigDecimal::default());
        let all = kept.map(|(id, source, currency, cost)| (id, source, None, currency, cost));
        freshness.weighed = Arc::new(Weighed { all: all.collect(), ..Weighed::default() });
        freshness.missing = missing_bills::of(&freshness.weighed.all, freshness.late(), None);
        freshness.held_by = missing_bills::holding(&freshness.missing);
        freshness
    }

    #[test]
    fn a_late_source_is_named_and_what_it_leaves_out_is_partial() {
        let freshness = with("60", "0");
        assert_eq!(freshness.complete_to(), Some(day(20)));
        assert_eq!(freshness.partial_from(), Some(day(19)));
        let late: Vec<&str> = freshness.late().map(|source| source.name.as_str()).collect();
        assert_eq!(late, ["cloudflare"]);
        assert_eq!(freshness.state(&freshness.sources[2]), SourceState::Late(2));
    }

    #[test]
    fn a_source_that_makes_most_of_every_currency_holds_all_figures_back() {
        let freshness = with("60", "2000");
        assert_eq!((freshness.complete_to(), freshness.partial_from()), (Some(day(18)), None));
        assert!(freshness.is_held_by(&freshness.missing[0]));
        let other = freshness.of_services(&[9]);
        assert_eq!(other.complete_to(), Some(day(18)), "the same days on every page");
    }

    #[test]
    fn a_source_that_costs_next_to_nothing_holds_nothing_back() {
        let freshness = with("0.00000007", "0.00000007");
        assert_eq!((freshness.complete_to(), freshness.partial_from()), (Some(day(20)), Some(day(19))));
        assert!(!freshness.waits_for(&freshness.missing[0]) && freshness.missing_since().is_empty());
    }

    #[test]
    fn the_only_source_is_late_for_nobody() {
        let freshness = Freshness { sources: vec![source("aws", 4)], ..Freshness::default() };
        assert_eq!((freshness.complete_to(), freshness.late().count()), (Some(day(4)), 0));
    }

    #[test]
    fn one_bill_of_a_month_that_is_over_promises_no_other() {
        let october: NaiveDate = "2026-10-15".parse().unwrap();
        let once = SourceReach { complete_to: october, has_rhythm: false, ..source("once", 22) };
        let monthly = SourceReach { has_rhythm: true, ..once.clone() };
        let begun = SourceReach { has_rhythm: false, ..source("begun", 18) };
        let freshness = Freshness { sources: vec![source("aws", 22)], ..Freshness::default() };
        assert_eq!((freshness.state(&once), once.ended_word()), (SourceState::Ended, "One bill so far"));
        assert_eq!(freshness.state(&monthly), SourceState::Late(36));
        assert_eq!(freshness.state(&begun), SourceState::Late(2), "its month is not over");
    }

    #[test]
    fn what_lacks_on_other_days_is_not_told() {
        let october: BillingPeriod = "2026-10".parse().unwrap();
        let gap = Gap {
            source_id: 1,
            name: "acme".into(),
            account: None,
            period: october,
            beside: [october.previous(), october.next()],
            is_daily: true,
            services: vec![(7, None)],
            material: vec![(7, "USD".into())],
            material_own: vec![(7, "USD".into())],
        };
        let freshness = Freshness { gaps: vec![gap], ..with("10", "0") };
        let told = |days: Vec<DateRange>| {
            let freshness = freshness.clone().of_days(days);
            let services = freshness.missing_since().len();
            (freshness.missing_told().count(), services, freshness.gaps_told().count())
        };
        let range = |first: NaiveDate, last: NaiveDate| DateRange::new(first, last + Days::new(1)).unwrap();
        assert_eq!(told(Vec::new()), (1, 1, 1), "all days are looked at");
        assert_eq!(told(vec![range(day(1), day(18))]), (0, 0, 0), "it is late since the 19th");
        assert_eq!(told(vec![range(day(1), day(19))]), (1, 1, 0));
        assert_eq!(told(vec![range(day(1), day(18)), october.days()]), (0, 0, 1), "days that are compared count too");
        assert_eq!(told(vec![october.previous().days()]), (0, 0, 0));
        assert_eq!(told(vec![range("2026-09-20".parse().unwrap(), "2026-10-01".parse().unwrap())]), (0, 0, 1));
    }

    #[test]
    fn a_billing_period_without_a_bill_parts_the_days_around_it() {
        let october = "2026-10".parse().unwrap();
        let sources = vec![SourceReach { bills_from: "2026-09-01".parse().unwrap(), ..source("aws", 22) }];
        let freshness = Freshness { sources, unbilled: vec![october], ..Freshness::default() };
        let around = |day: &str| freshness.billed_around(day.parse().unwrap());
        let some = |day: &str| Some(day.parse::<NaiveDate>().unwrap());
        assert_eq!(around("2026-09-20"), (some("2026-09-01"), some("2026-09-30")));
        assert_eq!(around("2026-10-20"), (some("2026-11-01"), some("2026-11-22")));
        assert_eq!(around("2026-11-10"), (some("2026-11-01"), some("2026-11-22")));
        let has_bill = |day: &str| freshness.has_bill(day.parse().unwrap());
        let days = ["2026-08-31", "2026-09-01", "2026-10-01", "2026-10-31", "2026-11-01"];
        assert_eq!(days.map(has_bill), [false, true, false, false, true]);
    }

    #[test]
    fn a_service_is_partial_where_the_late_source_bills_it() {
        let freshness = with("4.9", "0");
        let other = freshness.of_services(&[8]);
        assert_eq!((other.complete_to(), other.partial_from()), (Some(day(20)), None));
        let own = freshness.of_services(&[7]);
        assert_eq!((own.complete_to(), own.partial_from()), (Some(day(20)), Some(day(19))));
        assert!(freshness.missing_since().is_empty(), "a small part is no reason to wait");
        let of_eur = BTreeMap::from([("EUR".to_owned(), day(19))]);
        assert_eq!(with("5", "0").missing_since(), BTreeMap::from([(7, of_eur)]));
    }
}
