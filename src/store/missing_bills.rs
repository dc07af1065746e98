//! What late sources leave out: the part of a cost that they usually make, by which it is told what days without them
//! are worth.
//!
//! Each source is weighed by what it costs a day, over its own last days, of which a new one has fewer: a week at
//! least, since what is billed on the first of them may be of a whole month. Days that all have in common would lack
//! those of the late one, or those of sources that began after it: one that stopped before them would be all of what
//! was there. Of each day's cost of a service the sign does not count, so that credits take nothing away from what a
//! source makes, and one whose cost is about nothing makes about nothing.

use super::Scope;
use super::freshness::SourceReach;
use bigdecimal::{BigDecimal, Zero};
use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// In percent: what makes less of a cost than this changes it less than a release has to, to be told of.
pub const MATERIAL_PERCENT: i64 = 5;
/// In percent: without what makes more of all cost than this, figures say nothing.
const MOST_PERCENT: i64 = 50;
/// By so many of its last days at most a source is weighed, as pages say: whole weeks, and at least one charge of what
/// is billed once a month.
pub const WEIGHED_DAYS: i32 = 28;
/// Fewer days say too little of what the others cost: a fee of the month may be on one of them.
const WEIGHED_DAYS_LEAST: i32 = 7;

/// A late source, or a late billing account of one, beside the cost that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The source.
    pub source_id: i64,
    /// The source's name.
    pub name: String,
    /// Its last complete day.
    pub complete_to: NaiveDate,
    /// When its newest bill became visible.
    pub read_at: DateTime<Utc>,
    /// What it makes of this cost, in percent with one decimal: of the currency in which that is most.
    pub percent: BigDecimal,
    /// That currency, where this cost is in several.
    pub currency: Option<String>,
    /// The same of the currency in which it is least; 0 where it does not bill one of them.
    pub percent_least: BigDecimal,
    /// The same of each currency that it bills: what it makes of one says nothing of another.
    pub percents: BTreeMap<String, BigDecimal>,
}

impl Missing {
    /// The first day without it.
    pub fn since(&self) -> NaiveDate {
        self.complete_to + Days::new(1)
    }

    /// The currencies in which days without it mislead about this cost.
    pub fn material_currencies(&self) -> impl Iterator<Item = &str> {
        let material = self.percents.iter().filter(|(_, percent)| **percent >= MATERIAL_PERCENT);
        material.map(|(currency, _)| currency.as_str())
    }
}

/// EffectiveCost of each service's days without its sign, as [`WEIGHED_DAYS`] of them cost, by source and currency;
/// that of late billing accounts apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shares(BTreeMap<i64, BTreeMap<Whose, BigDecimal>>);

/// A source, its billing account where that is late by itself, and a currency.
type Whose = (i64, Option<String>, String);

/// What sources make of services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weighed {
    /// Of all their cost, as pages show it: with the shares of split cost that they have.
    pub all: Shares,
    /// Of their own cost, without shares: what estimates look at.
    pub own: Shares,
}

impl Shares {
    /// The services that have any.
    pub fn service_ids(&self) -> impl Iterator<Item = i64> {
        self.0.keys().copied()
    }

    fn add(&mut self, service_id: i64, whose: Whose, cost: BigDecimal) {
        self.0.entry(service_id).or_default().insert(whose, cost);
    }

    // Of these services, or of all.
    fn of<'a>(&'a self, service_ids: Option<&'a [i64]>) -> impl Iterator<Item = (&'a Whose, &'a BigDecimal)> {
        let asked = service_ids.map(|ids| ids.iter().filter_map(|id| self.0.get(id)));
        let all = service_ids.is_none().then(|| self.0.values());
        asked.into_iter().flatten().chain(all.into_iter().flatten()).flatten()
    }
}

impl<'a> FromIterator<(i64, i64, Option<&'a str>, &'a str, BigDecimal)> for Shares {
    fn from_iter<I: IntoIterator<Item = (i64, i64, Option<&'a str>, &'a str, BigDecimal)>>(rows: I) -> Self {
        let mut shares = Self::default();
        for (service_id, source_id, account, currency, cost) in rows {
            shares.add(service_id, (source_id, account.map(str::to_owned), currency.to_owned()), cost);
        }
        shares
    }
}

/// Which part of all cost is looked at; what is absent narrows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// 0 for what no rule gives to a service.
    pub service_id: Option<i64>,
    /// 0 for what no rule gives to an environment.
    pub environment_id: Option<i64>,
    /// 0 for services without a team.
    pub team_id: Option<i64>,
    /// FOCUS ProviderName.
    pub provider_name: Option<String>,
    /// FOCUS ChargeCategory.
    pub charge_category: Option<String>,
    /// FOCUS BillingCurrency.
    pub currency: Option<String>,
}

// Of how many days its cost of the last `WEIGHED_DAYS` is told to be. What is billed on one day of a period is billed
// for all of it, and is not what a day costs.
fn day_count(weighed: &SourceReach) -> i32 {
    let known = (last_day(weighed) - weighed.bills_from).num_days() + 1;
    let known = i32::try_from(known).unwrap_or(WEIGHED_DAYS).clamp(WEIGHED_DAYS_LEAST, WEIGHED_DAYS);
    if weighed.is_daily { known } else { WEIGHED_DAYS }
}

// A bill of one charge a month is complete to the end of its month, and its charge lies before that.
fn last_day(weighed: &SourceReach) -> NaiveDate {
    weighed.complete_to.min(weighed.last_charge_date)
}

// What so many days cost, told of `WEIGHED_DAYS`; multiplied first, so that what is of all of them stays as it is.
fn of_all_days(cost: &BigDecimal, day_count: i32) -> BigDecimal {
    cost * BigDecimal::from(WEIGHED_DAYS) / BigDecimal::from(day_count)
}

/// Reads the last days of each of these sources, and of late billing accounts apart.
pub async fn shares(
    conn: &mut PgConnection,
    scope: &Scope,
    weighed: &[&SourceReach],
    part: &Part,
) -> sqlx::Result<Weighed> {
    let last_days: Vec<NaiveDate> = weighed.iter().map(|one| last_day(one)).collect();
    let source_ids: Vec<i64> = weighed.iter().map(|one| one.source_id).collect();
    let accounts: Vec<Option<String>> = weighed.iter().map(|one| one.account.clone()).collect();
    let day_counts: BTreeMap<(i64, Option<&str>), i32> =
        weighed.iter().map(|one| ((one.source_id, one.account.as_deref()), day_count(one))).collect();
    let rows = sqlx::query!(
        r#"SELECT of_day.service_id AS "service_id!", of_day.source_id AS "source_id!", of_day.account AS "account?",
               of_day.billing_currency AS "billing_currency!", sum(abs(of_day.cost)) AS "cost!",
               coalesce(sum(abs(of_day.own_cost)), 0) AS "own_cost!"
           FROM (
               SELECT d.service_id, g.source_id, weighed.account, d.billing_currency, d.charge_date,
                   sum(d.effective_cost) AS cost,
                   sum(d.effective_cost) FILTER (WHERE d.split_id = 0) AS own_cost
               FROM generation g
               -- Of a late billing account the row of its own, else that of its source, which is without it.
               CROSS JOIN LATERAL (
                   SELECT w.account, w.last_day
                   FROM unnest($1::bigint[], $2::text[], $3::date[]) w (source_id, account, last_day)
                   WHERE w.source_id = g.source_id AND (w.account IS NULL OR w.account = g.billing_account_id)
                   ORDER BY w.account NULLS LAST
                   LIMIT 1
               ) weighed
               JOIN daily_cost d ON d.generation_id = g.generation_id
                   AND d.charge_date > weighed.last_day - $4::int AND d.charge_date <= weighed.last_day
               LEFT JOIN service ON service.service_id = d.service_id
               -- First by days that are the same for all, so that bills of other months are not looked at.
               WHERE g.state = 'current'
                 AND g.last_charge_date > $12::date - $4::int AND g.first_charge_date <= $13::date
                 AND g.first_charge_date <= weighed.last_day
                 AND g.last_charge_date > weighed.last_day - $4::int
                 AND ($5::bigint[] IS NULL OR service.team_id = ANY($5))
                 AND ($6::bigint IS NULL OR d.service_id = $6)
                 AND ($7::bigint IS NULL OR d.environment_id = $7)
                 AND ($8::bigint IS NULL OR coalesce(service.team_id, 0) = $8)
                 AND ($9::text IS NULL OR d.provider_name = $9)
                 AND ($10::text IS NULL OR d.charge_category = $10)
                 AND ($11::text IS NULL OR d.billing_currency = $11)
               GROUP BY 1, 2, 3, 4, 5
           ) of_day
           GROUP BY 1, 2, 3, 4"#,
        &source_ids,
        &accounts as &[Option<String>],
        &last_days,
        WEIGHED_DAYS,
        scope.team_ids(),
        part.service_id,
        part.environment_id,
        part.team_id,
        part.provider_name.as_deref(),
        part.charge_category.as_deref(),
        part.currency.as_deref(),
        last_days.iter().min().copied(),
        last_days.iter().max().copied(),
    )
    .fetch_all(conn)
    .await?;
    let mut read = Weighed::default();
    for row in rows {
        let day_count = day_counts.get(&(row.source_id, row.account.as_deref())).copied().unwrap_or(WEIGHED_DAYS);
        let whose = (row.source_id, row.account, row.billing_currency);
        read.own.add(row.service_id, whose.clone(), of_all_days(&row.own_cost, day_count));
        read.all.add(row.service_id, whose, of_all_days(&row.cost, day_count));
    }
    Ok(read)
}

/// What these late sources leave out of the cost of these services, or of all. A source that makes nothing of it is not
/// there.
pub fn of<'a>(
    shares: &Shares,
    late: impl Iterator<Item = &'a SourceReach>,
    service_ids: Option<&[i64]>,
) -> Vec<Missing> {
    let mut totals: BTreeMap<&str, BigDecimal> = BTreeMap::new();
    let mut by_source: BTreeMap<(i64, Option<&str>, &str), BigDecimal> = BTreeMap::new();
    // A currency in which nothing costs anything is none.
    for ((source_id, account, currency), cost) in shares.of(service_ids).filter(|(_, cost)| !cost.is_zero()) {
        *totals.entry(currency).or_default() += cost;
        *by_source.entry((*source_id, account.as_deref(), currency)).or_default() += cost;
    }
    let percents = |late: &SourceReach| -> Vec<(BigDecimal, &str)> {
        let whose = (late.source_id, late.account.as_deref());
        let own = by_source.iter().filter(|((source_id, account, _), _)| (*source_id, *account) == whose);
        own.map(|((.., currency), cost)| (percent(cost, &totals[currency]), *currency)).collect()
    };
    late.filter_map(|source| {
        let percents = percents(source);
        let is_everywhere = percents.len() == totals.len();
        let least = percents.iter().map(|(percent, _)| percent).min();
        let percent_least = least.filter(|_| is_everywhere).cloned().unwrap_or_default();
        let by_currency = percents.iter().map(|(percent, currency)| ((*currency).to_owned(), percent.clone()));
        let by_currency = by_currency.collect();
        let (percent, currency) = percents.into_iter().max()?;
        Some(Missing {
            percents: by_currency,
            percent_least,
            percent,
            currency: (totals.len() > 1).then(|| currency.to_owned()),
            source_id: source.source_id,
            name: source.name.clone(),
            complete_to: source.complete_to,
            read_at: source.read_at,
        })
    })
    .collect()
}

/// What all figures wait for: late sources that make most of the cost in every currency. Each currency is weighed by
/// itself, so that no rate is needed.
pub fn holding(missing: &[Missing]) -> Vec<Missing> {
    missing.iter().filter(|missing| missing.percent_least > MOST_PERCENT).cloned().collect()
}

/// Whether days without this part of a cost mislead about it.
pub fn is_material(part: &BigDecimal, whole: &BigDecimal) -> bool {
    percent(part, whole) >= MATERIAL_PERCENT
}

// Where credits make the whole nothing or less, a part of it has no share: it is taken for all, unless it is nothing.
fn percent(part: &BigDecimal, whole: &BigDecimal) -> BigDecimal {
    if part.is_zero() {
        return BigDecimal::default();
    }
    let all = BigDecimal::from(100);
    if *whole <= BigDecimal::default() {
        return all;
    }
    (part.abs() * &all / whole).min(all).with_scale_round(1, bigdecimal::RoundingMode::HalfEven)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(source_id: i64) -> SourceReach {
        let day: NaiveDate = "2026-10-20".parse().unwrap();
        SourceReach {
            source_id,
            name: format!("source {source_id}"),
            account: None,
            bills_from: day,
            complete_to: day,
            last_charge_date: day,
            read_at: DateTime::UNIX_EPOCH,
            is_daily: true,
            settles_after_days: None,
            has_rhythm: true,
        }
    }

    // What source 1, which is late, makes of all, and whether all figures wait for it. Costs are of service 7.
    fn weighed(costs: &[(i64, &str, &str)]) -> (Vec<BigDecimal>, bool) {
        let rows = costs.iter().map(|(source, currency, cost)| (7, *source, None, *currency, cost.parse().unwrap()));
        let missing = of(&rows.collect(), [late(1)].iter(), None);
        let percents = missing.iter().map(|one| one.percent.clone()).collect();
        (percents, !holding(&missing).is_empty())
    }

    #[test]
    fn only_what_makes_most_of_all_cost_is_waited_for() {
        let tiny = "0.00000007";
        let one = |percent: &str, holds: bool| (vec![percent.parse().unwrap()], holds);
        assert_eq!(weighed(&[(1, "USD", tiny), (2, "USD", "100")]), one("0.0", false));
        assert_eq!(weighed(&[(1, "USD", "50"), (2, "USD", "50")]), one("50.0", false));
        assert_eq!(weighed(&[(1, "USD", "60"), (2, "USD", "40")]), one("60.0", true));
        // Where all is tiny, most of it is still most of it.
        assert_eq!(weighed(&[(1, "USD", tiny), (2, "USD", "0.00000003")]), one("70.0", true));
        assert_eq!(weighed(&[(1, "USD", "0.00000003"), (2, "USD", tiny)]), one("30.0", false));
        // Of two currencies it has to make most of both; one in which nothing costs anything is none.
        assert_eq!(weighed(&[(1, "USD", tiny), (2, "EUR", "100")]), one("100.0", false));
        assert_eq!(weighed(&[(1, "USD", "60"), (1, "EUR", tiny), (2, "EUR", "1")]), one("100.0", false));
        assert_eq!(weighed(&[(1, "USD", "60"), (2, "EUR", "0")]), one("100.0", true));
    }

    /// All of a few EUR of a service says nothing of its USD.
    #[test]
    fn what_a_source_makes_is_told_of_each_currency_by_itself() {
        let cost = |source, currency, cost: &str| (7, source, None, currency, cost.parse::<BigDecimal>().unwrap());
        let rows = [cost(1, "EUR", "13"), cost(2, "USD", "31948"), cost(1, "USD", "100")];
        let missing = of(&rows.into_iter().collect(), [late(1)].iter(), None);
        let percents: Vec<(&str, String)> =
            missing[0].percents.iter().map(|(currency, percent)| (currency.as_str(), percent.to_string())).collect();
        assert_eq!(percents, [("EUR", "100.0".to_owned()), ("USD", "0.3".to_owned())]);
        assert_eq!(missing[0].material_currencies().collect::<Vec<_>>(), ["EUR"]);
    }

    #[test]
    fn a_source_that_is_new_is_weighed_by_the_days_that_it_has() {
        let from = |bills_from: &str| SourceReach { bills_from: bills_from.parse().unwrap(), ..late(1) };
        assert_eq!(day_count(&from("2026-10-10")), 11);
        assert_eq!(day_count(&from("2026-10-13")), 8);
        assert_eq!(day_count(&from("2026-09-23")), 28);
        assert_eq!(day_count(&from("2026-01-01")), 28);
        // What is billed once is billed for its period, on whichever day of it.
        assert_eq!(day_count(&SourceReach { is_daily: false, ..from("2026-10-20") }), 28);
        // Days after the last charge are not of it.
        let charged = SourceReach { last_charge_date: "2026-10-18".parse().unwrap(), ..from("2026-10-10") };
        assert_eq!(day_count(&charged), 9);
        assert_eq!(of_all_days(&1500.into(), 12), BigDecimal::from(3_500));
        let cost: BigDecimal = "0.1234567890123".parse().unwrap();
        assert_eq!(of_all_days(&cost, WEIGHED_DAYS), cost);
    }

    /// A fee of the month on the first of two days is not billed every other day.
    #[test]
    fn less_than_a_week_counts_as_a_week() {
        let from = |bills_from: &str| SourceReach { bills_from: bills_from.parse().unwrap(), ..late(1) };
        assert_eq!(["2026-10-14", "2026-10-18", "2026-10-20"].map(|day| day_count(&from(day))), [7, 7, 7]);
        let fee = of_all_days(&3_010.into(), day_count(&from("2026-10-19")));
        assert_eq!(fee, BigDecimal::from(12_040));
        // Beside a source of $600 a day it makes 41.7 % of all, and holds nothing; as of two days it would be 71.5 %.
        let costs = [(1, fee), (2, BigDecimal::from(28 * 600))];
        let rows = costs.into_iter().map(|(source, cost)| (7, source, None, "USD", cost));
        let missing = of(&rows.collect(), [late(1)].iter(), None);
        let percent: BigDecimal = "41.7".parse().unwrap();
        assert_eq!(missing[0].percent, percent);
        assert!(holding(&missing).is_empty());
    }

    #[test]
    fn what_costs_nothing_leaves_nothing_out() {
        assert_eq!(weighed(&[(1, "USD", "0"), (2, "USD", "100")]), (Vec::new(), false));
        assert_eq!(weighed(&[(1, "USD", "0"), (2, "USD", "0")]), (Vec::new(), false));
        let nothing = BigDecimal::default();
        assert!(!is_material(&nothing, &nothing) && is_material(&1.into(), &nothing));
    }
}
