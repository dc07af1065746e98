//! From rows to the history of each service and environment. Pure.

#![expect(clippy::float_arithmetic, reason = "estimates, not amounts of a bill")]

use super::commitments::Steps;
use super::hours::{HourlyStart, Hours};
use super::inputs::Inputs;
use super::placebo_sample::PlaceboDay;
use super::siblings::{self, Around};
use crate::analyze::impact::{
    self, Calibration, HISTORY_DAYS, History, Impact, KnownSize, Model, Note, NoteKind, PriceEvent, PriceEventKind,
    ReleaseDay, SETTLED_DAYS, SiblingSpan, Siblings,
};
use crate::focus::{BillingPeriod, DateRange};
use crate::store::impact_series::{LiveRelease, MetricDay, RuleStep};
use crate::store::service_measures::VolumeUnit;
use chrono::{Days, NaiveDate, Timelike};
use std::collections::{BTreeMap, HashMap};

/// Days of a history beyond those that an estimate looks at.
const MARGIN_DAYS: u32 = 28;
/// Credits and fees below this share of the median cost a day are not noted.
const NOTE_SHARE_MIN: f64 = 0.02;
/// How sure a change of prices is: quantities of that day stand for those of all days.
const PRICE_LOG_SD: f64 = 0.01;
const PRICE_LOG_MIN: f64 = 0.003;

/// Whose history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::jobs) struct Key {
    pub service_id: i64,
    pub environment_id: i64,
    pub billing_currency: String,
}

/// A history with what an answer is kept under.
#[derive(Debug)]
pub(in crate::jobs) struct Series {
    pub key: Key,
    pub history: History,
    /// What its traffic is counted in, where it is known.
    pub volume_unit: Option<VolumeUnit>,
    /// Deployments that went back to an earlier version, and what each took back, in the order of time.
    pub rollbacks: BTreeMap<i64, Vec<i64>>,
    /// Days on which hours of the bill say how much of the cost lay before the release.
    pub starts: BTreeMap<NaiveDate, HourlyStart>,
    /// How the others moved around each day with a release, and around placebos that are asked; where other days are looked
    /// at, by the first of each month. Asked about a day, the last entry up to it counts.
    siblings: BTreeMap<NaiveDate, Around>,
    /// Of a history without cost, whose answers rested on some: the last complete day of the bills that tell of none.
    pub lost_on: Option<NaiveDate>,
}

impl Series {
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// A history by itself.
    #[cfg(test)]
    pub fn bare(history: History) -> Self {
        Self::alone(Key { service_id: 1, environment_id: 1, billing_currency: "USD".into() }, history)
    }

    /// A history of which nothing else is known.
    pub fn alone(key: Key, history: History) -> Self {
        Self {
            key,
            history,
            volume_unit: None,
            rollbacks: BTreeMap::new(),
            starts: BTreeMap::new(),
            siblings: BTreeMap::new(),
            lost_on: None,
        }
    }
}

/// The history of every service and environment that has releases and cost, a currency each, and what tells how the
/// others moved around any of their days.
#[derive(Default)]
pub(super) struct Histories {
    /// Without how the others moved.
    pub series: Vec<Series>,
    costs: Costs,
    traffic: ByPlace,
    range: Option<DateRange>,
}

impl Histories {
    pub fn of(inputs: &Inputs) -> Self {
        let Some(range) = inputs.range else { return Self::default() };
        let (costs, traffic) = (costs(inputs, range), by_place(&inputs.traffic, range));
        let series = histories(inputs, range, (&costs, &traffic), false);
        Self { series, costs, traffic, range: Some(range) }
    }

    /// With how the others moved around each release and around these placebos.
    pub fn told(mut self, placebos: &[PlaceboDay]) -> Vec<Series> {
        let Some(range) = self.range else { return self.series };
        let asked = asked(&self.series, placebos);
        let told = siblings::of(&self.costs, &self.traffic, range, &asked, |day| SiblingSpan::around(day, range));
        add(&mut self.series, told);
        self.series
    }
}

/// The history of every service and environment that has cost, a currency each.
pub(in crate::jobs) fn build_all(inputs: &Inputs) -> Vec<Series> {
    let Some(range) = inputs.range else { return Vec::new() };
    let (costs, traffic) = (costs(inputs, range), by_place(&inputs.traffic, range));
    let mut series = histories(inputs, range, (&costs, &traffic), true);
    // Any of their days may be looked at, each as of itself: they are not told apart within a month.
    let months = std::iter::successors(Some(BillingPeriod::containing(range.start())), |month| Some(month.next()));
    let months = months.take_while(|month| month.first_day() < range.end());
    let asked = months.map(|month| (month.first_day(), costs.keys().cloned().collect())).collect();
    let span = |first| SiblingSpan::of_month(BillingPeriod::containing(first), range);
    add(&mut series, siblings::of(&costs, &traffic, range, &asked, span));
    series
}

fn add(series: &mut [Series], mut told: HashMap<Key, BTreeMap<NaiveDate, Around>>) {
    for one in series {
        one.siblings = told.remove(&one.key).unwrap_or_default();
    }
}

// Whose effects, or whose placebos, are asked on which day.
fn asked(series: &[Series], placebos: &[PlaceboDay]) -> BTreeMap<NaiveDate, Vec<Key>> {
    let mut asked: BTreeMap<NaiveDate, Vec<Key>> = BTreeMap::new();
    let released = series.iter().flat_map(|one| one.history.releases.iter().map(move |release| (one, release.day)));
    let placebos = placebos.iter().map(|(place, day)| (&series[*place], *day));
    for (one, day) in released.chain(placebos) {
        asked.entry(day).or_default().push(one.key.clone());
    }
    asked
}

/// Whether what is told of the others around this placebo may count for a later release around which too few of them are
/// known: only where it reaches to the last day, as the history of that release does. Whoever asks it always says the same,
/// whether anything is learnt or not.
pub(super) fn stands_in(series: &Series, day: NaiveDate) -> bool {
    day + Days::new(u64::from(SETTLED_DAYS + 1)) >= series.history.complete_to
}

fn histories(
    inputs: &Inputs,
    range: DateRange,
    (costs, traffic): (&Costs, &ByPlace),
    without_releases_too: bool,
) -> Vec<Series> {
    let replicas = by_place(&inputs.replicas, range);
    let releases = releases(inputs, range);
    let steps = Steps::of(inputs, costs, traffic, range);
    let hours = Hours::of(inputs);
    let mut series = Vec::new();
    for (key, (usage, other)) in costs {
        let (mut days, rollbacks) = match releases.get(&(key.service_id, key.environment_id)) {
            Some(released) => released.clone(),
            None if without_releases_too => Released::default(),
            None => continue,
        };
        let starts = hours.place(key, &mut days);
        series.push(Series {
            history: History {
                first_day: range.start(),
                complete_to: inputs.complete_to_of(key.service_id, &key.billing_currency),
                cost: usage.clone(),
                traffic: of_place(traffic, key).cloned(),
                // Those around a day are told where it is asked about.
                siblings: None,
                replicas: of_place(&replicas, key).cloned(),
                releases: days,
                price_events: price_events(inputs, key, &steps),
                notes: notes(inputs, key, other, range),
            },
            key: key.clone(),
            volume_unit: inputs.volume_units.get(&key.service_id).cloned(),
            rollbacks,
            starts,
            siblings: BTreeMap::new(),
            lost_on: None,
        });
    }
    series
}

/// Usage by day, and the days on which something else was charged.
pub(super) type Costs = BTreeMap<Key, (Vec<Option<f64>>, BTreeMap<usize, f64>)>;

fn costs(inputs: &Inputs, range: DateRange) -> Costs {
    let length = range.day_count() as usize;
    let mut costs = Costs::new();
    for series in &inputs.days {
        let key = Key {
            service_id: series.service_id,
            environment_id: series.environment_id,
            billing_currency: series.billing_currency.clone(),
        };
        let (usage, other) = costs.entry(key).or_insert_with(|| (vec![None; length], BTreeMap::new()));
        for day in &series.days {
            let Some(index) = index(range, day.charge_date) else { continue };
            usage[index] = Some(day.usage);
            if day.other != 0.0 {
                other.insert(index, day.other);
            }
        }
    }
    for (key, (usage, _)) in &mut costs {
        *usage = filled(std::mem::take(usage));
        inputs.known.blank(key.service_id, &key.billing_currency, range.start(), usage);
    }
    costs
}

/// From the first charge on, a day without one cost nothing, where it is known ([`KnownDays::blank`]). Before it there
/// is no figure.
///
/// [`KnownDays::blank`]: crate::store::known_days::KnownDays::blank
pub(in crate::jobs) fn filled(mut days: Vec<Option<f64>>) -> Vec<Option<f64>> {
    let first = days.iter().position(Option::is_some).unwrap_or_default();
    days[first..].iter_mut().for_each(|day| *day = Some(day.unwrap_or(0.0)));
    days
}

pub(in crate::jobs) fn index(range: DateRange, day: NaiveDate) -> Option<usize> {
    usize::try_from((day - range.start()).num_days()).ok().filter(|index| *index < range.day_count() as usize)
}

/// A metric by service and environment; 0 for all environments together.
pub(super) type ByPlace = HashMap<(i64, i64), Vec<Option<f64>>>;

fn by_place(points: &[MetricDay], range: DateRange) -> ByPlace {
    let mut places = ByPlace::new();
    for point in points {
        let days = places
            .entry((point.service_id, point.environment_id))
            .or_insert_with(|| vec![None; range.day_count() as usize]);
        if let Some(index) = index(range, point.charge_date) {
            days[index] = Some(point.value);
        }
    }
    places
}

/// What is known of the environment itself, else of all environments together.
pub(super) fn of_place<'a>(places: &'a ByPlace, key: &Key) -> Option<&'a Vec<Option<f64>>> {
    places.get(&(key.service_id, key.environment_id)).or_else(|| places.get(&(key.service_id, 0)))
}

type Released = (Vec<ReleaseDay>, BTreeMap<i64, Vec<i64>>);

// Bills know days: what was released on one is one unit.
fn releases(inputs: &Inputs, range: DateRange) -> HashMap<(i64, i64), Released> {
    let mut releases: HashMap<(i64, i64), Released> = HashMap::new();
    let mut live: HashMap<(i64, i64), Vec<&LiveRelease>> = HashMap::new();
    for one in &inputs.releases {
        let day = one.at.date_naive();
        if day < range.start() {
            continue;
        }
        let place = (one.service_id, one.environment_id);
        let (days, rollbacks) = releases.entry(place).or_default();
        let before = live.entry(place).or_default();
        let share = f64::from(one.at.num_seconds_from_midnight()) / 86_400.0;
        let rollout_from = one.began_at.and_then(|began| impact::rollout_from(began, one.at));
        match days.last_mut().filter(|last| last.day == day) {
            Some(last) => {
                last.deployment_ids.push(one.deployment_id);
                last.rollout_from = last.rollout_from.into_iter().chain(rollout_from).min();
            }
            None => days.push(ReleaseDay {
                day,
                deployment_ids: vec![one.deployment_id],
                share_before: (!one.time_is_received).then_some(share),
                rollout_from,
            }),
        }
        if one.is_rollback {
            rollbacks.insert(one.deployment_id, undone(before, one));
        }
        before.push(one);
    }
    releases
}

// All that went live since the version that it went back to; where nobody knows which that was, what was released on the
// last day before.
fn undone(before: &[&LiveRelease], rollback: &LiveRelease) -> Vec<i64> {
    let Some(last) = before.last() else { return Vec::new() };
    let since = match rollback.went_back_to {
        Some(at) if last.at > at => before.partition_point(|other| other.at <= at),
        _ => before.partition_point(|other| other.at.date_naive() < last.at.date_naive()),
    };
    before[since..].iter().map(|other| other.deployment_id).collect()
}

fn price_events(inputs: &Inputs, key: &Key, steps: &Steps<'_>) -> Vec<PriceEvent> {
    let is_own = |service_id: i64, environment_id: i64, currency: &str| {
        (service_id, environment_id, currency) == (key.service_id, key.environment_id, key.billing_currency.as_str())
    };
    let prices = inputs
        .prices
        .iter()
        .filter(|step| is_own(step.service_id, step.environment_id, &step.billing_currency))
        .filter_map(|step| {
            let before = step.cost_total - step.cost + step.cost_before;
            let log_ratio = (step.cost_total / before).ln();
            (log_ratio.is_finite() && log_ratio.abs() >= PRICE_LOG_MIN).then_some(PriceEvent {
                day: step.day,
                kind: PriceEventKind::PriceChange,
                size: Some(KnownSize { log_ratio, log_ratio_sd: PRICE_LOG_SD }),
            })
        });
    steps.events(key).into_iter().chain(prices).collect()
}

fn notes(inputs: &Inputs, key: &Key, other: &BTreeMap<usize, f64>, range: DateRange) -> Vec<Note> {
    let credits = other.iter().map(|(index, amount)| Note {
        day: range.start() + Days::new(*index as u64),
        last_day: None,
        kind: NoteKind::CreditOrFee,
        amount_per_day: Some(*amount),
    });
    let is_own = |step: &&RuleStep| {
        (step.service_id, step.environment_id) == (key.service_id, key.environment_id)
            && step.billing_currency == key.billing_currency
    };
    let note =
        |step: &RuleStep, kind| Note { day: step.day, last_day: None, kind, amount_per_day: Some(step.amount_per_day) };
    let rules = inputs.rules.iter().filter(is_own).map(|step| note(step, NoteKind::AllocationRule));
    let retags = inputs.retags.iter().filter(is_own).map(|step| note(step, NoteKind::Retagging));
    let launches = inputs.plans.iter().filter(|plan| plan.kind == "launch" && plan.service_id == key.service_id);
    let launches = launches.map(|plan| Note {
        day: plan.first_day,
        last_day: Some(plan.last_day),
        kind: NoteKind::Launch,
        amount_per_day: None,
    });
    credits.chain(rules).chain(retags).chain(launches).collect()
}

/// The part of a history that an estimate about a day looks at: what lies outside of it can change without asking anew.
pub(in crate::jobs) fn window(series: &Series, day: NaiveDate) -> History {
    let history = &series.history;
    let before = u64::from(HISTORY_DAYS + MARGIN_DAYS);
    let after = u64::from(SETTLED_DAYS + 1);
    let first = history.first_day.max(day - Days::new(before));
    let last = history.complete_to.min(day + Days::new(after));
    // A release long after the last bill has no day at all.
    let start = usize::try_from((first - history.first_day).num_days()).unwrap_or_default().min(history.cost.len());
    let end = usize::try_from((last - history.first_day).num_days() + 1).unwrap_or_default();
    let end = end.clamp(start, history.cost.len());
    let is_inside = |day: NaiveDate| first <= day && day <= last;
    let is_near = |release: &ReleaseDay| first <= release.day && release.began() <= last;
    // A launch that began before still moves these days.
    let is_noted = |note: &Note| note.day <= last && note.last_day.unwrap_or(note.day) >= first;
    let part = |days: &Vec<Option<f64>>| days[start..end].to_vec();
    let cost = part(&history.cost);
    let median = siblings::median(cost.iter().flatten().copied().collect()).unwrap_or_default();
    let is_worth_noting = |note: &Note| {
        note.kind != NoteKind::CreditOrFee
            || note.amount_per_day.is_some_and(|amount| amount.abs() >= NOTE_SHARE_MIN * median)
    };
    History {
        first_day: first,
        complete_to: last,
        traffic: history.traffic.as_ref().map(part),
        siblings: siblings_of(series, day, first, cost.len()),
        cost,
        replicas: history.replicas.as_ref().map(part),
        // A release of the same day is there although the day may not be complete, and so is one that was on its way.
        releases: history.releases.iter().filter(|one| is_near(one) || one.day == day).cloned().collect(),
        price_events: history.price_events.iter().filter(|one| is_inside(one.day)).cloned().collect(),
        notes: history.notes.iter().filter(|one| is_noted(one) && is_worth_noting(one)).cloned().collect(),
    }
}

/// What the releases of these days did, which share an answer; it waits where days that it would rest on lack a bill.
pub(super) fn estimated(window: &History, days: &[NaiveDate], model: &Model, calibration: &Calibration) -> Impact {
    if window.lacks_bill(days) {
        return impact::without_bill(window, days);
    }
    impact::estimate_joint(window, days, model, calibration)
}

fn siblings_of(series: &Series, day: NaiveDate, first: NaiveDate, length: usize) -> Option<Siblings> {
    let (_, around) = series.siblings.range(..=day).next_back()?;
    let start = usize::try_from((first - around.first_day).num_days()).ok()?;
    let part = |days: &[f64]| days.get(start..start + length).map(<[f64]>::to_vec);
    Some(Siblings { cost: part(&around.cost)?, traffic: part(&around.traffic).unwrap_or_default() })
}

#[cfg(test)]
mod tests;
