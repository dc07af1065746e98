//! The change in the reporting currency: every cause at the rate from before, and what other rates made of the same
//! amounts as a cause of its own. Exact: amounts times rates.

use super::{Explained, ExplainedRow, Facts, Stated, words};
use crate::analyze::variance::{Cause, Row};
use crate::focus::{BillingPeriod, Converted, DateRange, MissingRate, Rates};
use crate::store::converted_costs::{self, CostPart};
use crate::store::costs::Dimension;
use crate::store::variance_costs::Question;
use crate::store::{Scope, Snapshot, rates, variance_dimension};
use crate::web::reporting::missing_text;
use bigdecimal::{BigDecimal, Zero};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

/// Digits of a rate that are written into a sentence; the pages of rates have all.
const RATE_DIGITS: NonZeroU64 = NonZeroU64::new(6).unwrap();

/// Costs of both periods, apart by billing month and currency: each part has one rate.
#[derive(Debug, Clone, Default)]
pub struct ConvertedParts {
    /// Of the period.
    pub now: Vec<CostPart>,
    /// Of the compared period.
    pub before: Vec<CostPart>,
}

/// The change of all currencies together.
#[derive(Debug, Clone)]
pub struct Reported {
    /// In the reporting currency. Of no meaning where a rate is missing.
    pub explained: Explained,
    /// Months and currencies without a rate: then nothing is said, and nothing guessed.
    pub missing: Vec<MissingRate>,
}

impl Reported {
    /// How it was converted, or why not.
    pub fn sentence(&self) -> String {
        let currency = &self.explained.currency;
        if self.missing.is_empty() {
            return format!(
                "In {currency}: each bill at the one rate of its billing month. What other rates made of the same amounts is the cause \"exchange rates\"; all other causes stand at the rates from before."
            );
        }
        let missing = missing_text(&self.missing);
        format!("In {currency} the causes are not known: {missing}. Nothing is guessed or left out.")
    }
}

/// Reads rates and parts, where a reporting currency is set and something is billed in another.
pub(super) async fn read(
    conn: &mut Snapshot,
    scope: &Scope,
    stated: Option<&Stated>,
    changes: &[Explained],
    facts: &Facts<'_>,
) -> sqlx::Result<Option<Reported>> {
    let Some(currency) = rates::reporting_currency(&mut **conn).await? else { return Ok(None) };
    if changes.iter().all(|one| one.currency == currency) {
        return Ok(None);
    }
    let parts = match stated {
        Some(stated) => stated.parts.clone(),
        None => {
            let (filter, compared) = (facts.question.filter, facts.question.compared);
            ConvertedParts {
                now: parts(conn, scope, facts.question, filter.days).await?,
                before: parts(conn, scope, facts.question, compared).await?,
            }
        }
    };
    let months = || parts.now.iter().chain(&parts.before).map(|part| BillingPeriod::containing(part.billing_month));
    let (Some(first), Some(last)) = (months().min(), months().max()) else { return Ok(None) };
    let rates = rates::into(conn, &currency, first, last).await?;
    Ok(Some(reported(&rates, &parts, changes, facts)))
}

// The same charges as the sums of the question.
async fn parts(
    conn: &mut Snapshot,
    scope: &Scope,
    question: Question<'_>,
    days: DateRange,
) -> sqlx::Result<Vec<CostPart>> {
    match question.dimension {
        Some(dimension) => variance_dimension::parts(conn, scope, question, dimension, days).await,
        None => converted_costs::parts(conn, scope, &question.filter.on(days), Dimension::ChargeCategory).await,
    }
}

fn reported(rates: &Rates, parts: &ConvertedParts, changes: &[Explained], facts: &Facts<'_>) -> Reported {
    let mut amounts: BTreeMap<Cause, BigDecimal> = BTreeMap::from([(Cause::NotExplained, BigDecimal::zero())]);
    let (mut all_now, mut all_before) = (Converted::default(), Converted::default());
    for one in changes {
        let (now, before) = (sum(rates, &parts.now, &one.currency), sum(rates, &parts.before, &one.currency));
        let rate = rate_before(rates, parts, &one.currency);
        for row in &one.rows {
            *amounts.entry(row.cause).or_default() += &row.amount * &rate;
        }
        if let (Ok(now), Ok(before)) = (now.known(), before.known()) {
            *amounts.entry(Cause::ExchangeRate).or_default() += now - before - (&one.now - &one.before) * &rate;
        }
        add(rates, &mut all_now, &parts.now, &one.currency);
        add(rates, &mut all_before, &parts.before, &one.currency);
    }
    let missing: BTreeSet<MissingRate> =
        [&all_now, &all_before].into_iter().filter_map(|sum| sum.known().err()).flatten().cloned().collect();
    let known = |sum: &Converted| sum.known().cloned().unwrap_or_default();
    let rows = amounts.into_iter().filter(|(cause, amount)| *cause == Cause::NotExplained || !amount.is_zero()).map(
        |(cause, amount)| {
            let row = words::row(Row { cause, amount }, None, facts);
            match cause {
                Cause::ExchangeRate => ExplainedRow { detail: rates_in_words(rates, parts), ..row },
                _ => row,
            }
        },
    );
    let explained = Explained {
        currency: rates.reporting_currency().to_owned(),
        before: known(&all_before),
        now: known(&all_now),
        rows: rows.collect(),
    };
    Reported { explained, missing: missing.into_iter().collect() }
}

fn sum(rates: &Rates, parts: &[CostPart], currency: &str) -> Converted {
    let mut sum = Converted::default();
    add(rates, &mut sum, parts, currency);
    sum
}

fn add(rates: &Rates, sum: &mut Converted, parts: &[CostPart], currency: &str) {
    for part in parts.iter().filter(|part| part.currency == currency) {
        sum.add(rates, BillingPeriod::containing(part.billing_month), currency, &part.cost);
    }
}

// The rate that causes stand at: of the last bill of the compared period, of the first bill of a currency that is new.
fn rate_before(rates: &Rates, parts: &ConvertedParts, currency: &str) -> BigDecimal {
    let months = |parts: &[CostPart]| -> Vec<BillingPeriod> {
        let own = parts.iter().filter(|part| part.currency == currency);
        own.map(|part| BillingPeriod::containing(part.billing_month)).collect()
    };
    let month = months(&parts.before).into_iter().max().or_else(|| months(&parts.now).into_iter().min());
    month.and_then(|month| rates.convert(month, currency, &BigDecimal::from(1))).unwrap_or_default()
}

// "1 USD was 0.92 EUR in September 2026 and 0.95 EUR in October 2026".
fn rates_in_words(rates: &Rates, parts: &ConvertedParts) -> String {
    let to = rates.reporting_currency();
    let mut months: BTreeMap<&str, BTreeSet<BillingPeriod>> = BTreeMap::new();
    for part in parts.before.iter().chain(&parts.now).filter(|part| part.currency != to) {
        months.entry(&part.currency).or_default().insert(BillingPeriod::containing(part.billing_month));
    }
    let sentences = months.iter().map(|(from, months)| {
        let each: Vec<String> = months
            .iter()
            .filter_map(|month| {
                let rate =
                    rates.get(*month, from)?.value.with_precision_round(RATE_DIGITS, bigdecimal::RoundingMode::HalfUp);
                Some(format!("{} {to} in {}", rate.normalized().to_plain_string(), month.label()))
            })
            .collect();
        format!("1 {from} was {}", each.join(", "))
    });
    sentences.collect::<Vec<_>>().join("; ")
}
