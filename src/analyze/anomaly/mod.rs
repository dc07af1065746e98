//! Cost that nothing known explains: spikes, shifts, cost that leaves its traffic, environments that rest and cost.
//!
//! Pure: what is known of a service and environment on a day in, anomalies that begin to be seen on that day out. Only
//! complete days are looked at. `docs/method.md` says how it works.

mod baseline;
mod beside;
mod idle;

use super::impact::{History, Model, ReleaseDay, Surprises};
pub use baseline::{ExpectedDay, expected_days};
pub use beside::{Beside, releases_beside};
use chrono::NaiveDate;
pub use idle::{Idle, LOOKED_DAYS, Rest, idle, no_use, still_idle};

/// Something about the cost of a service in an environment that nothing known explains.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// What it is.
    pub kind: AnomalyKind,
    /// The first day of it.
    pub start: NaiveDate,
    /// The last day of it that is known.
    pub end: NaiveDate,
    /// What it moved, in units of the currency a day.
    pub amount_per_day: f64,
    /// The same as a share of the usual cost of a day: 0.3 is 30 % more.
    pub share: f64,
}

/// Kinds of anomalies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnomalyKind {
    /// One day or a few, and over.
    Spike,
    /// Cost went up for good, and traffic does not explain it.
    FasterThanTraffic,
    /// Cost went up for good without a release beside it; traffic is not known.
    WithoutRelease,
    /// Cost went up for good within three days after a release, by more than its own estimate takes.
    AfterRelease,
    /// An environment costs what it does and nobody uses it.
    Idle,
    /// Cost went down for good: worth knowing.
    Drop,
}

/// How readily something is called an anomaly. What people say about anomalies moves it: see `Sensitivity::taught`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sensitivity {
    /// The least size of a shift, as a share of cost.
    pub shift_share: f64,
    /// The least logarithm of the Bayes factor of a shift.
    pub shift_log_factor: f64,
    /// The least size of a spike, as a share of cost.
    pub spike_share: f64,
    /// The least size of a spike in standard deviations of a day.
    pub spike_deviations: f64,
    /// The least amount, in units of the currency a day.
    pub amount_per_day: f64,
}

impl Default for Sensitivity {
    fn default() -> Self {
        Self { shift_share: 0.2, shift_log_factor: 8.0, spike_share: 0.25, spike_deviations: 6.0, amount_per_day: 0.0 }
    }
}

/// Days back from the last complete one within which a shift is still news.
const NEWS_DAYS: i64 = 21;
/// What a shift that takes another one back may leave of it, in log cost and as a share of it.
const LEFT_SIZE: f64 = 0.18;
const LEFT_SHARE: f64 = 0.5;
/// Days after a release within which a shift is put to it.
const AFTER_RELEASE_DAYS: i64 = 3;

/// The least share of a spike that a day a month before must have been off by, so that the spike is that day's again.
const RHYTHM_SHARE: f64 = 0.5;

/// How much more is asked of a slow rise than of a shift.
const SLOPE_ASKS: f64 = 1.5;

impl Sensitivity {
    /// A series' own sensitivity, after so many false alarms and so many that were right: each false alarm asks for a
    /// tenth more, each right one takes a twentieth off, within half and three times the usual.
    #[expect(clippy::float_arithmetic, reason = "thresholds")]
    pub fn taught(self, false_alarms: u32, right: u32) -> Self {
        let factor = (1.1_f64.powi(false_alarms.min(50) as i32) * 0.95_f64.powi(right.min(50) as i32)).clamp(0.5, 3.0);
        Self {
            shift_share: self.shift_share * factor,
            shift_log_factor: self.shift_log_factor * factor,
            spike_share: self.spike_share * factor,
            spike_deviations: self.spike_deviations * factor,
            amount_per_day: self.amount_per_day,
        }
    }
}

/// What the complete days of a history show that nothing known explains, as of its last complete day. The same cause is
/// told on every day on which it is still news: whoever keeps anomalies keeps one for each cause (see [`same_cause`]).
pub fn detect(history: &History, model: &Model, sensitivity: &Sensitivity) -> Vec<Anomaly> {
    let model = Model { shift_log_factor: sensitivity.shift_log_factor, ..model.clone() };
    let Some(surprises) = Surprises::of(history, &model) else { return Vec::new() };
    let mut found: Vec<Anomaly> = spike(history, &surprises, sensitivity).into_iter().collect();
    found.extend(shifts(history, &surprises, sensitivity));
    // A rise that was told as a shift is not told twice.
    let is_over = |one: &Anomaly| one.end < history.complete_to;
    if found.iter().all(|one| one.kind == AnomalyKind::Drop || one.kind == AnomalyKind::Spike || is_over(one)) {
        found.extend(slope(history, &surprises, sensitivity));
    }
    found
}

/// A rise that is still going on: cost that leaves its traffic, or a leak.
#[expect(clippy::float_arithmetic, reason = "estimates in units of the currency")]
fn slope(history: &History, surprises: &Surprises, sensitivity: &Sensitivity) -> Option<Anomaly> {
    let (start, size, log_factor) = surprises.slope?;
    let share = size.exp() - 1.0;
    // On average over its days it is half of what it has come to.
    let amount_per_day = share / 2.0 * surprises.usual_per_day;
    // Much moves slowly and means nothing: more is asked of a rise than of a shift.
    let out = log_factor > SLOPE_ASKS * sensitivity.shift_log_factor
        && share > SLOPE_ASKS * sensitivity.shift_share
        && amount_per_day >= sensitivity.amount_per_day;
    let kind = match () {
        () if beside_a_release(history, start) => AnomalyKind::AfterRelease,
        () if history.traffic.is_some() => AnomalyKind::FasterThanTraffic,
        () => AnomalyKind::WithoutRelease,
    };
    out.then_some(Anomaly { kind, start, end: history.complete_to, amount_per_day, share })
}

/// Whether something was released within three days before, or was on its way.
fn beside_a_release(history: &History, day: NaiveDate) -> bool {
    history.releases.iter().any(|release| is_within(release, day, AFTER_RELEASE_DAYS))
}

/// Whether a day is one of a rollout, or one of so many after it.
fn is_within(release: &ReleaseDay, day: NaiveDate, days_after: i64) -> bool {
    release.is_on_its_way(day) || (1..=days_after).contains(&(day - release.day).num_days())
}

/// Whether an anomaly is the one that was opened before: they overlap, or lie within so many days of each other.
pub fn same_cause(open: &Anomaly, new: &Anomaly, days: i64) -> bool {
    same_kind(open, new) && (new.start - open.end).num_days() <= days && (open.start - new.end).num_days() <= days
}

/// Whether both are rises, both falls, or both environments that rest.
pub fn same_kind(one: &Anomaly, other: &Anomaly) -> bool {
    (one.kind == AnomalyKind::Drop) == (other.kind == AnomalyKind::Drop)
        && (one.kind == AnomalyKind::Idle) == (other.kind == AnomalyKind::Idle)
}

/// The last complete day, where it alone stands out.
#[expect(clippy::float_arithmetic, reason = "estimates in units of the currency")]
fn spike(history: &History, surprises: &Surprises, sensitivity: &Sensitivity) -> Option<Anomaly> {
    let last = surprises.days.last()?;
    let share = last.size.exp() - 1.0;
    let amount_per_day = last.cost * (1.0 - (-last.size).exp());
    let news = last.day == history.complete_to && !explained_on(history, last.day, amount_per_day);
    let out = last.deviations > sensitivity.spike_deviations
        && share > sensitivity.spike_share
        && amount_per_day >= sensitivity.amount_per_day;
    // What came a month ago as well is a bill's or a job's rhythm, and no news.
    let is_monthly = last.month_before >= RHYTHM_SHARE * last.size;
    (news && out && !is_monthly).then_some(Anomaly {
        kind: AnomalyKind::Spike,
        start: last.day,
        end: last.day,
        amount_per_day,
        share,
    })
}

/// Whether a release, a price event, a rule or other tags of that day or the day before explain a jump of so much, or a
/// release that was on its way. Of rules and tags the amount is known, and was taken off: beyond it they explain what they
/// may be wrong by, no more.
#[expect(clippy::float_arithmetic, reason = "estimates in units of the currency")]
fn explained_on(history: &History, day: NaiveDate, amount_per_day: f64) -> bool {
    let near = |other: NaiveDate| (0..=1).contains(&(day - other).num_days());
    let explains = |moved: Option<f64>| moved.is_none_or(|moved| moved >= amount_per_day / 2.0);
    let mut moves = history.notes.iter().filter(|note| note.kind.moves_cost() && near(note.day));
    history.releases.iter().any(|release| is_within(release, day, 1))
        || history.price_events.iter().any(|event| near(event.day))
        || moves.any(|note| explains(note.amount_per_day))
}

/// The last day of a level of some days that another shift took back, where that is still news. A few days alone may tell no
/// level: with the way back it is one, and without it the way back would pass for a change.
#[expect(clippy::float_arithmetic, reason = "sizes in log cost")]
fn taken_back(history: &History, surprises: &Surprises, (day, size): (NaiveDate, f64)) -> Option<NaiveDate> {
    let back = surprises.shifts.iter().filter(|(back, other)| {
        (1..=NEWS_DAYS).contains(&(*back - day).num_days())
            && (history.complete_to - *back).num_days() <= NEWS_DAYS
            && size * other < 0.0
            && (size + other).abs() <= LEFT_SIZE.min(LEFT_SHARE * size.abs())
    });
    back.map(|(back, _)| *back).min()?.pred_opt()
}

/// Shifts that are still news, and those that were taken back by one that is.
#[expect(clippy::float_arithmetic, reason = "estimates in units of the currency")]
fn shifts(history: &History, surprises: &Surprises, sensitivity: &Sensitivity) -> Vec<Anomaly> {
    let is_news = |day: NaiveDate| (history.complete_to - day).num_days() <= NEWS_DAYS;
    let is_large = |size: f64| {
        let share = size.exp() - 1.0;
        let floor = if size > 0.0 {
            sensitivity.shift_share
        } else {
            sensitivity.shift_share / (1.0 + sensitivity.shift_share)
        };
        share.abs() >= floor && share.abs() * surprises.usual_per_day >= sensitivity.amount_per_day
    };
    let end = |day: NaiveDate, size: f64| {
        if is_news(day) { Some(history.complete_to) } else { taken_back(history, surprises, (day, size)) }
    };
    surprises
        .shifts
        .iter()
        .filter(|(_, size)| is_large(*size))
        .filter_map(|(day, size)| Some((day, size, end(*day, *size)?)))
        .map(|(day, size, end)| {
            let share = size.exp() - 1.0;
            let kind = match () {
                () if *size < 0.0 => AnomalyKind::Drop,
                () if beside_a_release(history, *day) => AnomalyKind::AfterRelease,
                () if history.traffic.is_some() => AnomalyKind::FasterThanTraffic,
                () => AnomalyKind::WithoutRelease,
            };
            let amount_per_day = share * surprises.usual_per_day;
            Anomaly { kind, start: *day, end, amount_per_day, share }
        })
        .collect()
}

#[cfg(test)]
mod tests;
