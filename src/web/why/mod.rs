//! Why spend changed: read from the ledger, explained by [`crate::analyze::variance`], shown as a walk from the earlier
//! period to the later one. The service, team and month pages show it for what they are about, `/why` for any scope.

mod converted;
mod csv;
mod lines;
mod page;
mod traffic;
mod unusual;
mod volume;
mod words;

pub use converted::{ConvertedParts, Reported};
pub use csv::table;
pub use lines::WalkLines;
pub use page::{ACCEPTS, routes, span};

use super::AppState;
use super::display;
use super::statement::{Bridge, Move, UnusualLink, walk};
use crate::analyze::impact::SETTLED_DAYS;
use crate::analyze::variance::{self, Cause, Input, Line, Place, ReleaseCourse, ServiceFacts, Side};
use crate::focus::DateRange;
use crate::store::effects::{self, ClaimedFilter, ClaimedRelease};
use crate::store::freshness::Freshness;
use crate::store::statements::MonthView;
use crate::store::variance_costs::{self, PlaceLists, Question, Sums, Traffic, VarianceLine};
use crate::store::variance_dimension;
use crate::store::variance_known::Known;
use crate::store::{Scope, Snapshot, catalogue_mark};
use askama::Template;
use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, Zero};
use chrono::Days;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use volume::{VariableShares, place_of};

/// The change of one currency with its causes.
#[derive(Debug, Clone)]
pub struct Explained {
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// Cost of the compared period.
    pub before: BigDecimal,
    /// Cost of the period.
    pub now: BigDecimal,
    /// Causes in their order, "not explained" always among them. They add up to the change exactly.
    pub rows: Vec<ExplainedRow>,
}

impl Explained {
    /// The amounts of the rows as they are shown with so many digits: rounded so that they add up to what is shown of
    /// the change.
    fn shown(&self, decimals: i64) -> Vec<BigDecimal> {
        let change = display::change_shown(&self.now, &self.before, decimals);
        let amounts: Vec<BigDecimal> = self.rows.iter().map(|row| row.amount.clone()).collect();
        display::shown(&amounts, &change, decimals)
    }

    /// The largest cause of those that moved the cost the way it went, with the amount that its row shows. What moved it the
    /// other way is no cause of the change, however large it is.
    pub fn largest(&self, decimals: i64) -> Option<(&ExplainedRow, BigDecimal)> {
        let way = (&self.now - &self.before).sign();
        let rows = self.rows.iter().zip(self.shown(decimals));
        rows.max_by_key(|(row, _)| (way == Sign::NoSign || row.amount.sign() == way, row.amount.abs()))
    }
}

/// One cause of a change.
#[derive(Debug, Clone)]
pub struct ExplainedRow {
    /// Why.
    pub cause: Cause,
    /// Exact.
    pub amount: BigDecimal,
    /// "More used".
    pub label: String,
    /// What it rests on, in a few words.
    pub detail: String,
    /// Where to look further.
    pub href: Option<String>,
    /// Of releases: the one that did most of it.
    pub leading: Option<LeadingRelease>,
    /// Open anomalies in it.
    pub unusual: Vec<UnusualLink>,
}

impl ExplainedRow {
    /// What it rests on, with the anomalies in it: for files.
    pub fn detail_with_anomalies(&self) -> String {
        let unusual = self.unusual.iter().map(UnusualLink::sentence);
        std::iter::once(self.detail.clone())
            .filter(|text| !text.is_empty())
            .chain(unusual)
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// The release that did most of what a cause is, or several that share an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadingRelease {
    /// One of its deployments, of the last day.
    pub deployment_id: i64,
    /// Of which service.
    pub service_id: i64,
    /// Where, unless it was production.
    pub elsewhere: Option<String>,
    /// Releases with answers of their own that did less of it.
    pub other_count: usize,
    /// Whether there is only less of what it did than before: no release of that sign made the change.
    pub is_less_of_it: bool,
}

/// The change of every currency, and of all of them in the reporting currency.
#[derive(Debug, Clone, Default)]
pub struct Why {
    /// One a currency, the one with the largest cost first.
    pub changes: Vec<Explained>,
    /// In the reporting currency; `None` where none is set, or nothing is billed in another.
    pub reported: Option<Reported>,
}

/// What a page states of a currency otherwise than the bills do now: a closed month.
#[derive(Debug, Clone, Default)]
pub struct Stated {
    /// Cost of the period, by currency.
    pub now: BTreeMap<String, BigDecimal>,
    /// Cost of the compared period.
    pub before: BTreeMap<String, BigDecimal>,
    /// The same, apart by billing month.
    pub parts: ConvertedParts,
}

/// Explains the change between two periods. Only days that the bills know, complete and of every source, tell anything
/// of prices, traffic and releases; what the others lack is a cause of its own.
pub async fn read(
    app: &AppState,
    bills: &Freshness,
    conn: &mut Snapshot,
    scope: &Scope,
    question: Question<'_>,
    stated: Option<&Stated>,
) -> sqlx::Result<Why> {
    // Whose cost it is decides what is kept, so the scope is a part of the question.
    let publication_id = bills.publication_id;
    let known = Known::of(bills, question.filter.days.end().max(question.compared.end()));
    let owners = catalogue_mark::mark(conn).await?;
    // Which days are known follows from the publication and these.
    let asked = format!("{scope:?} {question:?} {owners} {:?} {:?}", known.end, known.lacking);
    let reading = variance_costs::lines(conn, scope, question, &known);
    let lines = app.kept_costs.variance_lines.get_or_read(publication_id, asked.clone(), reading).await?;
    let reading = variance_costs::sums(conn, scope, question, &known);
    let sums = app.kept_costs.variance_sums.get_or_read(publication_id, asked, reading).await?;
    // Traffic and verdicts come without a publication.
    let traffic = variance_costs::traffic(conn, question, &known, &PlaceLists::of(&lines)).await?;
    let shares = VariableShares::read(conn, scope, question, &known, &traffic).await?;
    let claimed = claimed(conn, scope, question).await?;
    let facts = Facts { question, lines: &lines, traffic: &traffic, shares: &shares, claimed: &claimed, known: &known };
    let mut changes = explained(&sums, &facts, stated);
    let anomalies = unusual::read(conn, scope, question).await?;
    changes.iter_mut().for_each(|one| unusual::put(one, &anomalies, &facts));
    let reported = converted::read(conn, scope, stated, &changes, &facts).await?;
    Ok(Why { changes, reported })
}

// Verdicts are about EffectiveCost: in another basis they say nothing.
async fn claimed(conn: &mut Snapshot, scope: &Scope, question: Question<'_>) -> sqlx::Result<Vec<ClaimedRelease>> {
    let Question { filter, compared, .. } = question;
    if !question.is_of_whole_usage() {
        return Ok(Vec::new());
    }
    let (first, end) = (compared.start().min(filter.days.start()), compared.end().max(filter.days.end()));
    // What comes or goes little by little after a release may still do so in these days.
    let first = first - Days::new(u64::from(SETTLED_DAYS));
    let of =
        ClaimedFilter { service_id: filter.service_id, environment_id: filter.environment_id, team_id: filter.team_id };
    let mut claimed = effects::claimed(conn, scope, of, first, end).await?;
    if let Some(dimension) = question.dimension.filter(|_| !claimed.is_empty()) {
        let whole = variance_dimension::whole_services(conn, scope, question, dimension).await?;
        claimed.retain(|release| whole.contains(&release.service_id));
    }
    Ok(claimed)
}

struct Facts<'a> {
    question: Question<'a>,
    lines: &'a Arc<Vec<VarianceLine>>,
    traffic: &'a [Traffic],
    shares: &'a VariableShares,
    claimed: &'a [ClaimedRelease],
    known: &'a Known,
}

impl Facts<'_> {
    /// The period and the one that it is compared with.
    fn periods(&self) -> (DateRange, DateRange) {
        (self.question.filter.days, self.question.compared)
    }
}

fn explained(sums: &[Sums], facts: &Facts<'_>, stated: Option<&Stated>) -> Vec<Explained> {
    let mut currencies: BTreeSet<&str> = sums.iter().map(|sum| sum.currency.as_str()).collect();
    if let Some(stated) = stated {
        currencies.extend(stated.now.keys().chain(stated.before.keys()).map(String::as_str));
    }
    let nothing = |currency: &str| Sums {
        currency: currency.to_owned(),
        own: BigDecimal::zero(),
        own_before: BigDecimal::zero(),
        shared: BigDecimal::zero(),
        shared_before: BigDecimal::zero(),
        arriving: BigDecimal::zero(),
        arriving_late: BigDecimal::zero(),
    };
    let mut all: Vec<Explained> = currencies
        .into_iter()
        .map(|currency| {
            let own = sums.iter().find(|sum| sum.currency == currency).cloned();
            in_currency(own.unwrap_or_else(|| nothing(currency)), facts, stated)
        })
        .collect();
    // Sizes only decide the order; amounts of two currencies are not compared otherwise.
    all.sort_by(|left, right| {
        let size = |one: &Explained| one.now.abs().max(one.before.abs());
        size(right).cmp(&size(left)).then_with(|| left.currency.cmp(&right.currency))
    });
    all
}

fn in_currency(sums: Sums, facts: &Facts<'_>, stated: Option<&Stated>) -> Explained {
    let (days, compared) = facts.periods();
    let billed = (&sums.own + &sums.shared, &sums.own_before + &sums.shared_before);
    let (now, before) = match stated {
        Some(stated) => (
            stated.now.get(&sums.currency).cloned().unwrap_or_default(),
            stated.before.get(&sums.currency).cloned().unwrap_or_default(),
        ),
        None => billed.clone(),
    };
    let lines: Vec<Line> =
        facts.lines.iter().filter(|line| line.currency == sums.currency).map(|row| line(row, facts)).collect();
    let under_one_mapping: BigDecimal = lines.iter().map(|line| &line.now.cost - &line.before.cost).sum();
    let change = &now - &before;
    let input = Input {
        days: days.day_count(),
        days_before: compared.day_count(),
        days_to_come: (facts.known.to_come(days), facts.known.to_come(compared)),
        stated: vec![
            (Cause::Restatement, &change - sums.change()),
            (
                Cause::AllocationRules,
                &sums.own - &sums.own_before - under_one_mapping - &sums.arriving - &sums.arriving_late,
            ),
            (Cause::DaysToCome, sums.arriving.clone()),
            (Cause::BillMissing, sums.arriving_late.clone()),
            (Cause::SharedCost, &sums.shared - &sums.shared_before),
        ],
        is_before_commitments: facts.question.filter.basis.is_before_commitments(),
        facts: service_facts(&sums.currency, facts),
        lines,
        change,
    };
    let rows = variance::explain(&input).into_iter().map(|row| words::row(row, Some(&sums.currency), facts)).collect();
    Explained { currency: sums.currency, before, now, rows }
}

fn line(row: &VarianceLine, facts: &Facts<'_>) -> Line {
    let (days, compared) = facts.periods();
    let side = |[cost, effective, list, contracted, quantity]: [&BigDecimal; 5]| Side {
        cost: cost.clone(),
        effective_cost: effective.clone(),
        list_cost: list.clone(),
        contracted_cost: contracted.clone(),
        quantity: quantity.clone(),
    };
    let now = [&row.cost, &row.effective_cost, &row.list_cost, &row.contracted_cost, &row.quantity];
    let before = [
        &row.cost_before,
        &row.effective_cost_before,
        &row.list_cost_before,
        &row.contracted_cost_before,
        &row.quantity_before,
    ];
    Line {
        place: Place { service_id: row.service_id, environment_id: row.environment_id },
        charge_category: row.charge_category.clone(),
        charge_class: row.charge_class.clone(),
        pricing_category: row.pricing_category.clone(),
        commitment_discount_status: row.commitment_discount_status.clone(),
        product: row.product_place,
        sku: row.sku_place,
        now: side(now),
        before: side(before),
        lacking_days: (facts.known.lacking_days(row.lacking, days), facts.known.lacking_days(row.lacking, compared)),
        is_once: row.is_once,
    }
}

fn service_facts(currency: &str, facts: &Facts<'_>) -> BTreeMap<Place, ServiceFacts> {
    let mut by_place: BTreeMap<Place, ServiceFacts> = BTreeMap::new();
    for one in facts.traffic {
        let known = by_place.entry(place_of(one)).or_default();
        known.traffic = Some((one.now, one.before));
        known.variable_share = facts.shares.of(place_of(one), currency).ok().map(|share| share.value);
    }
    for release in facts.claimed.iter().filter(|release| release.billing_currency == currency) {
        let amount = contribution(release, facts);
        if !amount.is_zero() {
            let place = Place { service_id: release.service_id, environment_id: release.environment_id };
            by_place.entry(place).or_default().releases.push(amount);
        }
    }
    by_place
}

/// What a release, or several that share an answer, added to the difference, by what it added on the days of each
/// period that are billed.
fn contribution(release: &ClaimedRelease, facts: &Facts<'_>) -> BigDecimal {
    let (days, compared) = facts.periods();
    let known = |range: DateRange| facts.known.known_of(release.service_id, &release.billing_currency, range);
    let added = |range: DateRange| added(release, facts.known, range);
    variance::release_part((&added(days), &added(compared)), (known(days), known(compared)))
}

fn added(release: &ClaimedRelease, known: &Known, range: DateRange) -> BigDecimal {
    // An answer from before courses were kept says one amount for all days.
    let course = ReleaseCourse {
        after: release.amounts_after.as_deref().unwrap_or_default(),
        lasting: release.lasting_per_day.as_ref().unwrap_or(&release.per_day),
    };
    let day = |place: usize| release.effect_date + Days::new(place as u64);
    let (service_id, currency) = (release.service_id, release.billing_currency.as_str());
    let later_count = known.known_after(day(course.after.len()), service_id, currency, range);
    course.added(|place| known.is_known_on(day(place + 1), service_id, currency, range), later_count)
}

/// A walk from the earlier period to the later one in one currency, with its table. Written into a template as it is.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/why.html")]
pub struct WhyWalk {
    currency: String,
    before_label: String,
    now_label: String,
    /// `None` where a rate is missing, so that there is nothing to walk.
    bridge: Option<Bridge>,
    /// `$1,777`, signed.
    change: String,
    more_href: String,
    csv_href: String,
    /// How it was converted; empty for what bills say themselves.
    converted: String,
}

impl askama::filters::HtmlSafe for WhyWalk {}

/// What a walk says beside its figures.
#[derive(Debug, Clone)]
pub struct WalkLabels<'a> {
    /// "October 2026".
    pub before: &'a str,
    /// "November 2026".
    pub now: &'a str,
    /// The same on `/why`, or nothing there.
    pub more_href: &'a str,
    /// The rows as CSV.
    pub csv_href: &'a str,
    /// The lines of both periods; `None` where the amounts are converted.
    pub lines: Option<&'a WalkLines>,
}

impl WhyWalk {
    /// The walk of one currency, with `decimals` digits after the point. `None` where nothing was spent in either
    /// period.
    pub fn new(explained: &Explained, labels: &WalkLabels<'_>, decimals: i64) -> Option<Self> {
        if explained.now.is_zero() && explained.before.is_zero() {
            return None;
        }
        let rounded = |amount: &BigDecimal| amount.with_scale_round(decimals, bigdecimal::RoundingMode::HalfUp);
        let (now, before) = (rounded(&explained.now), rounded(&explained.before));
        // The figure at the head of the page is this one too.
        let change = display::change_shown(&explained.now, &explained.before, decimals);
        let moves = explained.rows.iter().zip(explained.shown(decimals)).map(|(row, change)| Move {
            change,
            name: row.label.clone(),
            href: row.href.clone(),
            detail: row.detail.clone(),
            unusual: row.unusual.clone(),
            lines: labels.lines.map_or_else(Vec::new, |lines| {
                lines.of_cause(row.cause, &explained.currency, [labels.before, labels.now])
            }),
        });
        let mut bridge = walk(&before, &now, moves.collect(), &explained.currency, decimals);
        if let Some(lines) = labels.lines {
            [bridge.start.href, bridge.end.href] = lines.of_currency(&explained.currency);
        }
        Some(Self {
            bridge: Some(bridge),
            change: display::signed(&change, &explained.currency, decimals),
            currency: explained.currency.clone(),
            before_label: labels.before.to_owned(),
            now_label: labels.now.to_owned(),
            more_href: labels.more_href.to_owned(),
            csv_href: labels.csv_href.to_owned(),
            converted: String::new(),
        })
    }

    /// One a currency and one in the reporting currency, with the digits that suit the amounts of a dashboard.
    pub fn all(why: &Why, labels: &WalkLabels<'_>) -> Vec<Self> {
        let digits = |one: &Explained| display::decimals(&one.currency, &one.now.abs().max(one.before.abs()));
        let mut walks: Vec<Self> = why.changes.iter().filter_map(|one| Self::new(one, labels, digits(one))).collect();
        walks.extend(
            why.reported.as_ref().and_then(|reported| Self::reported(reported, labels, digits(&reported.explained))),
        );
        walks
    }

    /// The walk in the reporting currency, or the sentence that says which rate it lacks.
    pub fn reported(reported: &Reported, labels: &WalkLabels<'_>, digits: i64) -> Option<Self> {
        let one = &reported.explained;
        let labels = WalkLabels { more_href: "", csv_href: "", lines: None, ..labels.clone() };
        let walk = Self::new(one, &labels, digits);
        let missing = || Self {
            currency: one.currency.clone(),
            before_label: String::new(),
            now_label: String::new(),
            bridge: None,
            change: String::new(),
            more_href: String::new(),
            csv_href: String::new(),
            converted: String::new(),
        };
        let converted = reported.sentence();
        if reported.missing.is_empty() {
            walk.map(|walk| Self { converted, ..walk })
        } else {
            Some(Self { converted, ..missing() })
        }
    }
}

/// The question of `/why` by charge day.
pub fn by_day<'a>(filter: &'a crate::store::costs::CostFilter, compared: DateRange) -> Question<'a> {
    Question { filter, compared, view: MonthView::ChargeDay, dimension: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cause: Cause, amount: i64) -> ExplainedRow {
        let (label, detail) = (cause.key().to_owned(), String::new());
        ExplainedRow { cause, amount: amount.into(), label, detail, href: None, leading: None, unusual: Vec::new() }
    }

    #[test]
    fn the_largest_cause_moved_the_cost_the_way_it_went() {
        let of = |now: i64, rows: &[(Cause, i64)]| {
            let rows = rows.iter().map(|(cause, amount)| row(*cause, *amount)).collect();
            let one = Explained { currency: "USD".into(), before: 1000.into(), now: now.into(), rows };
            let (largest, shown) = one.largest(0).unwrap();
            (largest.cause, shown.to_string())
        };
        let rows = [(Cause::ReleasesUp, 486), (Cause::Volume, 3193), (Cause::NotExplained, -575)];
        assert_eq!(of(4104, &rows), (Cause::Volume, "3193".into()), "a claimed release that did less is not the cause");
        let rows = [(Cause::ReleasesUp, 300), (Cause::Volume, 200), (Cause::Efficiency, -400)];
        assert_eq!(of(1100, &rows).0, Cause::ReleasesUp, "what lowered cost is no cause of a rise");
        let even = [(Cause::Volume, 400), (Cause::Mix, -400), (Cause::NotExplained, 0)];
        assert_ne!(of(1000, &even).0, Cause::NotExplained, "of no change every cause is one");
    }
}
