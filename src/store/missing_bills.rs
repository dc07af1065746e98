//! What late sources leave out: the part of a cost that they usually make, by which it is told what days without them
//! are worth.

use super::Scope;
use super::freshness::SourceReach;
use crate::focus::BillingPeriod;
use bigdecimal::BigDecimal;
use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// In percent: what makes less of a cost than this changes it less than a release has to, to be told of.
pub const MATERIAL_PERCENT: i64 = 5;
/// In percent: without what makes more of all cost than this, figures say nothing.
const MOST_PERCENT: i64 = 50;

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
}

impl Missing {
    /// The first day without it.
    pub fn since(&self) -> NaiveDate {
        self.complete_to + Days::new(1)
    }

    /// Whether days without it mislead about this cost.
    pub fn is_material(&self) -> bool {
        self.percent >= MATERIAL_PERCENT
    }
}

/// EffectiveCost of each service, by source and currency; that of late billing accounts apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shares(BTreeMap<i64, BTreeMap<Whose, BigDecimal>>);

/// A source, its billing account where that is late by itself, and a currency.
type Whose = (i64, Option<String>, String);

impl Shares {
    /// The services that have any.
    pub fn service_ids(&self) -> impl Iterator<Item = i64> {
        self.0.keys().copied()
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
            let whose = (source_id, account.map(str::to_owned), currency.to_owned());
            shares.0.entry(service_id).or_default().insert(whose, cost);
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

/// Reads the two billing periods to the one of this day; of these late billing accounts apart.
pub async fn shares(
    conn: &mut PgConnection,
    scope: &Scope,
    (day, late_accounts): (NaiveDate, &[SourceReach]),
    part: &Part,
) -> sqlx::Result<Shares> {
    let last = BillingPeriod::containing(day);
    let apart = late_accounts.iter().filter_map(|late| Some((late.source_id, late.account.clone()?)));
    let (source_ids, accounts): (Vec<i64>, Vec<String>) = apart.unzip();
    let rows = sqlx::query!(
        r#"SELECT m.service_id, g.source_id, apart.account AS "account?", m.billing_currency,
               sum(m.effective_cost) AS "cost!"
           FROM monthly_cost m JOIN generation g ON g.generation_id = m.generation_id
           LEFT JOIN unnest($10::bigint[], $11::text[]) apart (source_id, account)
               ON apart.source_id = g.source_id AND apart.account = g.billing_account_id
           LEFT JOIN service ON service.service_id = m.service_id
           WHERE g.state = 'current' AND m.billing_period_start BETWEEN $1 AND $2
             AND ($3::bigint[] IS NULL OR service.team_id = ANY($3))
             AND ($4::bigint IS NULL OR m.service_id = $4)
             AND ($5::bigint IS NULL OR m.environment_id = $5)
             AND ($6::bigint IS NULL OR coalesce(service.team_id, 0) = $6)
             AND ($7::text IS NULL OR m.provider_name = $7)
             AND ($8::text IS NULL OR m.charge_category = $8)
             AND ($9::text IS NULL OR m.billing_currency = $9)
           GROUP BY 1, 2, 3, 4"#,
        last.previous().first_day(),
        last.first_day(),
        scope.team_ids(),
        part.service_id,
        part.environment_id,
        part.team_id,
        part.provider_name.as_deref(),
        part.charge_category.as_deref(),
        part.currency.as_deref(),
        &source_ids,
        &accounts,
    )
    .fetch_all(conn)
    .await?;
    let costs = rows.iter().map(|row| {
        (row.service_id, row.source_id, row.account.as_deref(), row.billing_currency.as_str(), row.cost.clone())
    });
    Ok(costs.collect())
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
    for ((source_id, account, currency), cost) in shares.of(service_ids) {
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
        let (percent, currency) = percents.into_iter().max()?;
        Some(Missing {
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

/// The day that all figures wait for: that of late sources which make most of the cost in every currency.
pub fn held_to(missing: &[Missing]) -> Option<NaiveDate> {
    let most = missing.iter().filter(|missing| missing.percent_least > MOST_PERCENT);
    most.map(|missing| missing.complete_to).min()
}

/// Whether days without this part of a cost mislead about it.
pub fn is_material(part: &BigDecimal, whole: &BigDecimal) -> bool {
    percent(part, whole) >= MATERIAL_PERCENT
}

// Where credits make the whole nothing or less, a part of it has no share: it is taken for all.
fn percent(part: &BigDecimal, whole: &BigDecimal) -> BigDecimal {
    let all = BigDecimal::from(100);
    if *whole <= BigDecimal::default() {
        return all;
    }
    (part.abs() * &all / whole).min(all).with_scale_round(1, bigdecimal::RoundingMode::HalfEven)
}
