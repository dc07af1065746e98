//! The tables below the chart.

use super::super::charts::{ChangeBar, environment_class, position};
use super::super::comparison::{Around, Averages, WEEK, days_needed, rollout_from};
use super::super::display::{Columns, Compared, Delta, change_shown, columns, decimals, money};
use super::super::effects::{Answer, Estimate, Mark, Whisker};
use super::super::query::Span;
use super::loaded::{Loaded, add, first_day};
use super::series::KINDS;
use crate::store::deployment_list::ListedDeployment;
use crate::store::effects::EffectBrief;
use bigdecimal::Zero;
use std::collections::BTreeMap;

/// Causes that are not among the largest are one row.
const CAUSE_COUNT_MAX: usize = 7;

/// A deployment with the plain comparison around it.
pub struct DeploymentRow {
    pub deployment: ListedDeployment,
    pub class: &'static str,
    /// One a currency; empty where nothing can be compared.
    pub comparison: Vec<Delta>,
    /// `$1,016 to $1,154 a day`, or why there is no comparison.
    pub note: String,
    /// What is said of its effect; where it is there, it stands instead of the comparison.
    pub answers: Vec<AnswerCell>,
}

/// An answer in a row.
pub struct AnswerCell {
    pub mark: Mark,
    pub whisker: Whisker,
    pub amount: String,
    pub note: String,
}

/// Deployments, each with the week after it against the week before, in its own environment.
pub fn deployments(
    all: &[ListedDeployment],
    span: Option<&Span>,
    days: &Loaded,
    effects: &[EffectBrief],
) -> Vec<DeploymentRow> {
    let mut cells = answer_cells(all, effects);
    all.iter()
        .map(|deployment| {
            let (comparison, note) = match span {
                Some(span) if !days.currencies.is_empty() => compare(deployment, span, days),
                _ => (Vec::new(), String::new()),
            };
            let class = environment_class(deployment.environment_kind.as_deref());
            let answers = cells.remove(&deployment.deployment_id).unwrap_or_default();
            DeploymentRow { deployment: deployment.clone(), class, comparison, note, answers }
        })
        .collect()
}

/// The answers about these deployments by deployment, all whiskers on one scale.
pub fn answer_cells(shown: &[ListedDeployment], effects: &[EffectBrief]) -> BTreeMap<i64, Vec<AnswerCell>> {
    let is_shown = |effect: &&EffectBrief| shown.iter().any(|one| one.deployment_id == effect.deployment_id);
    let own: Vec<&EffectBrief> = effects.iter().filter(is_shown).collect();
    let answers: Vec<Answer> = own.iter().map(|effect| Answer::from(*effect)).collect();
    let estimates: Vec<Estimate> = answers
        .iter()
        .map(|one| Estimate { values: one.positions(), class: one.class(), is_open: one.phase == "provisional" })
        .collect();
    let mut cells: BTreeMap<i64, Vec<AnswerCell>> = BTreeMap::new();
    for ((effect, answer), whisker) in own.iter().zip(answers).zip(Whisker::rows(&estimates)) {
        cells.entry(effect.deployment_id).or_default().push(AnswerCell {
            mark: answer.mark(),
            whisker,
            amount: answer.amount().unwrap_or_default(),
            note: note(&answer),
        });
    }
    cells
}

fn note(answer: &Answer) -> String {
    let note = answer.interval_told().unwrap_or_else(|| answer.progress());
    match answer.shared_note() {
        Some(shared) => format!("{note}, {shared}"),
        None => note,
    }
}

fn compare(deployment: &ListedDeployment, span: &Span, days: &Loaded) -> (Vec<Delta>, String) {
    if let Some(words) = deployment.not_live() {
        return (Vec::new(), words.into());
    }
    let day = deployment.at.date_naive();
    let (bills_from, bills_to) = span.billed_around(day);
    // What took days began before days that are read here; those are no days without cost.
    let known_from = bills_from.max(Some(first_day(span)));
    let around = Around::new(day, rollout_from(deployment.started_at, deployment.at), known_from, bills_to, WEEK);
    if around.days_after() < WEEK {
        let after = around.days_after();
        let needed = days_needed(deployment.environment_kind.as_deref(), deployment.is_noop, after);
        return (Vec::new(), format!("not yet: {after} of {needed} complete days"));
    }
    if around.before.is_none() {
        let lacking = match around.has_rollout() {
            true => "nothing is known here of the days before it began, so nothing to compare with",
            false => "no bills before it, so nothing to compare with",
        };
        return (Vec::new(), lacking.into());
    }
    let own =
        days.kept().filter(|row| deployment.environment_id == 0 || row.environment_id == deployment.environment_id);
    let averages = Averages::over(&around, own.map(|row| (row.charge_date, row.currency.as_str(), &row.cost)));
    let (mut deltas, mut notes) = (Vec::new(), Vec::new());
    for average in averages.rows() {
        let digits = decimals(&average.currency, &average.before.abs().max(average.after.abs()));
        deltas.push(Delta::between(&average.after, &average.before, &average.currency, digits));
        notes.push(format!(
            "{} to {}",
            money(&average.before, &average.currency, digits),
            money(&average.after, &average.currency, digits)
        ));
    }
    if deltas.is_empty() {
        return (deltas, "no cost in its environment".into());
    }
    if around.days_before() < WEEK {
        notes.push(around.days_label());
    }
    (deltas, notes.join(", "))
}

/// Why the cost of one currency changed: parts by environment and charge type that add up to the change.
pub struct WhyTable {
    /// `BillingCurrency`.
    pub currency: String,
    pub rows: Vec<WhyRow>,
    /// The change of the whole.
    pub total: String,
    main: String,
}

/// One part of the change.
pub struct WhyRow {
    pub label: String,
    pub bar: ChangeBar,
    pub amount: String,
    /// `$31,506 now, $30,677 before`.
    pub note: String,
}

impl WhyTable {
    /// The largest part in a sentence; none where nothing changed.
    pub fn main_cause(&self) -> Option<String> {
        (!self.main.is_empty()).then(|| format!(" {}", self.main))
    }
}

/// One table a currency; none where there is no comparison.
pub fn why(span: &Span, days: &Loaded) -> Vec<WhyTable> {
    if !span.is_compared() {
        return Vec::new();
    }
    let mut parts: BTreeMap<(usize, String), Compared> = BTreeMap::new();
    for row in days.kept() {
        let kind = days.environment(row.environment_id).map_or("", |one| one.kind.as_str());
        let rank = KINDS.iter().position(|(name, _)| *name == kind).unwrap_or(KINDS.len());
        add(parts.entry((rank, row.charge_category.clone())).or_default(), span, row);
    }
    days.currencies.iter().map(|currency| why_in(currency, &parts)).collect()
}

fn why_in(currency: &str, parts: &BTreeMap<(usize, String), Compared>) -> WhyTable {
    let mut ranked: Vec<(String, &Compared)> = parts
        .iter()
        .filter(|(_, compared)| !compared.change(currency).is_zero())
        .map(|((rank, category), compared)| {
            let environment = KINDS.get(*rank).map_or("No environment", |(_, name)| name);
            (format!("{environment} {}", category_name(category)), compared)
        })
        .collect();
    ranked.sort_by(|left, right| {
        right.1.change(currency).abs().cmp(&left.1.change(currency).abs()).then_with(|| left.0.cmp(&right.0))
    });
    let mut labels: Vec<String> = Vec::new();
    let mut rows: Vec<Compared> = Vec::new();
    for (index, (label, compared)) in ranked.iter().enumerate() {
        if index < CAUSE_COUNT_MAX || ranked.len() == CAUSE_COUNT_MAX + 1 {
            labels.push(label.clone());
            rows.push((*compared).clone());
        } else if index == CAUSE_COUNT_MAX {
            labels.push(format!("{} smaller parts", ranked.len() - CAUSE_COUNT_MAX));
            rows.push((*compared).clone());
        } else if let Some(others) = rows.last_mut() {
            others.add_row(compared);
        }
    }
    let table = columns(&[currency.to_owned()], &rows);
    let bars = ChangeBar::rows(&rows.iter().map(|row| position(&row.change(currency))).collect::<Vec<_>>());
    let main = main_sentence(ranked.first(), currency);
    let Columns { rows: lines, total, .. } = table;
    let rows = labels
        .into_iter()
        .zip(lines)
        .zip(bars)
        .filter_map(|((label, lines), bar)| {
            let line = lines.into_iter().next()?;
            let note = format!("{} now, {} before", line.cost, line.before);
            Some(WhyRow { label, bar, amount: line.delta.amount, note })
        })
        .collect();
    let total = total.into_iter().next().map(|line| line.delta.amount).unwrap_or_default();
    WhyTable { currency: currency.to_owned(), rows, total, main }
}

fn main_sentence(first: Option<&(String, &Compared)>, currency: &str) -> String {
    let Some((label, compared)) = first else { return String::new() };
    let change = compared.change(currency);
    let digits = decimals(currency, &compared.cost(currency).abs().max(compared.cost_before(currency).abs()));
    let delta = Delta::amount(&change, currency, digits);
    format!("The largest part is {}: {}.", lower_first(label), delta.amount)
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

fn category_name(category: &str) -> String {
    if category.is_empty() { "charge type not named".into() } else { category.to_lowercase() }
}

/// "Spend rose $1,777 (4.2%) to $44,190", and the same for each further currency; what was spent, where there is no
/// comparison.
pub fn change_sentences(span: &Span, total: &Compared, currencies: &[String]) -> String {
    let sentences: Vec<String> = currencies
        .iter()
        .enumerate()
        .map(|(index, currency)| {
            let sentence = match span.is_compared() {
                true => change_sentence(total, currency),
                false => spend_sentence(total, currency),
            };
            if index == 0 { sentence } else { format!("in {currency}, {}", lower_first(&sentence)) }
        })
        .collect();
    sentences.join("; ")
}

/// "Spend was $44,190".
fn spend_sentence(total: &Compared, currency: &str) -> String {
    let now = total.cost(currency);
    format!("Spend was {}", money(&now, currency, decimals(currency, &now)))
}

/// "Spend rose $1,777 (4.2%) to $44,190".
fn change_sentence(total: &Compared, currency: &str) -> String {
    let (now, before) = (total.cost(currency), total.cost_before(currency));
    let digits = decimals(currency, &now.abs().max(before.abs()));
    let delta = Delta::between(&now, &before, currency, digits);
    let change = money(&change_shown(&now, &before, digits).abs(), currency, digits);
    let to = money(&now, currency, digits);
    let relative = delta.relative.replace(['+', '\u{2212}'], "");
    match relative.as_str() {
        _ if before.is_zero() && now.is_zero() => format!("No spend in {currency}"),
        "new" => format!("Spend is {to}, all of it new"),
        _ if delta.direction == super::super::display::Direction::Flat => format!("Spend did not change: {to}"),
        "small base" => format!("Spend {} {change} to {to}", delta.direction.verb()),
        relative => format!("Spend {} {change} {relative} to {to}", delta.direction.verb()),
    }
}
