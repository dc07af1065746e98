//! What else may explain a movement of cost, each with its own amount.

#![expect(clippy::float_arithmetic, reason = "estimates in units of the currency")]

use super::{
    Flag, FlagKind, History, NoteKind, Phase, Seen,
    design::Role,
    fit::Fit,
    window::{Window, mean},
};
use chrono::NaiveDate;

/// The share of cost below which what is always there (traffic, siblings) is not worth a flag.
const LEAST_SHARE: f64 = 0.02;
/// Days before the release within which something may still explain what came after.
const REACH_DAYS: i32 = 21;
/// A change of replicas that is worth a flag.
const REPLICAS_SHARE: f64 = 0.1;

/// All flags, the largest amount first; those without an amount last.
pub(super) fn flags(seen: Seen<'_>, day: NaiveDate, window: &Window, fit: &Fit, phase: Phase) -> Vec<Flag> {
    let history = seen.history;
    let mut flags = Vec::new();
    let least = LEAST_SHARE * window.before_per_day;
    let date = |days: i32| day + chrono::Duration::days(i64::from(days));
    for (kind, role) in [(FlagKind::Traffic, Role::Traffic), (FlagKind::SiblingsMoved, Role::Siblings)] {
        let amount = moved(window, &movement(window, fit, role));
        if amount.abs() >= least {
            flags.push(plain(kind, Some(amount), None));
        }
    }
    let horizon = window.asked.len() as i32;
    for (index, (days, _)) in window.others.iter().enumerate() {
        let amount = moved(window, &fit.release_sizes(index));
        if (-REACH_DAYS..=horizon).contains(days) && (*days >= -7 || amount.abs() >= least) {
            let deployment_ids = history.deployments_of(date(*days));
            flags.push(Flag { deployment_ids, ..plain(FlagKind::Neighbour, Some(amount), Some(date(*days))) });
        }
    }
    for (index, (days, mean, ..)) in window.prices.iter().enumerate() {
        let found = fit.sizes(Role::Price(index));
        let known = window.days.iter().map(|day| if day >= days { *mean } else { 0.0 });
        let sizes: Vec<f64> = known.zip(&found).map(|(known, found)| known + found).collect();
        if *days >= -REACH_DAYS {
            flags.push(plain(FlagKind::PriceOrCommitment, Some(moved(window, &sizes)), Some(date(*days))));
        }
    }
    for (index, (first, last)) in window.launches.iter().enumerate() {
        if (-REACH_DAYS..=horizon).contains(first) || (-REACH_DAYS..=horizon).contains(last) {
            let amount = moved(window, &fit.sizes(Role::Launch(index)));
            flags.push(plain(FlagKind::Launch, Some(amount), Some(date(*first))));
        }
    }
    for (days, _) in fit.shifts().filter(|(days, _)| (-REACH_DAYS..0).contains(days)) {
        let amount = moved(window, &fit.sizes(Role::Shift(days)));
        flags.push(plain(FlagKind::ShiftBefore, Some(amount), Some(date(days))));
    }
    flags.extend(autoscaling(seen, day, window));
    let estimated: Vec<NaiveDate> = window.launches.iter().map(|(first, _)| date(*first)).collect();
    flags.extend(notes(history, day, horizon, &estimated));
    if phase != Phase::Settled {
        flags.push(plain(FlagKind::IncompleteDays, None, Some(history.complete_to + chrono::Days::new(1))));
    }
    let size = |flag: &Flag| flag.amount_per_day.map_or(-1.0, f64::abs);
    flags.sort_by(|left, right| size(right).total_cmp(&size(left)).then(left.day.cmp(&right.day)));
    flags
}

fn plain(kind: FlagKind, amount_per_day: Option<f64>, day: Option<NaiveDate>) -> Flag {
    Flag { kind, amount_per_day, day, deployment_ids: Vec::new() }
}

/// What something moved in log cost on each day, against the same weekdays of the 14 days before the release: few days after
/// it are other weekdays than a fortnight has, and would seem to move by the week alone. A weekday of which the fortnight has
/// no figure is held against all of it.
fn movement(window: &Window, fit: &Fit, role: Role) -> Vec<f64> {
    let mut sizes = fit.sizes(role);
    if let (Role::Traffic, Some(traffic)) = (role, &window.traffic) {
        for (size, traffic) in sizes.iter_mut().zip(traffic) {
            *size += fit.elasticity_beforehand * traffic;
        }
    }
    let days = window.days.iter().zip(&window.weekdays).zip(&sizes);
    let fortnight: Vec<(u8, f64)> =
        days.filter(|((day, _), _)| (-14..0).contains(*day)).map(|((_, weekday), size)| (*weekday, *size)).collect();
    let of = |is_of: &dyn Fn(u8) -> bool| -> Vec<f64> {
        fortnight.iter().filter(|(weekday, _)| is_of(*weekday)).map(|(_, size)| *size).collect()
    };
    let whole = mean(&of(&|_| true));
    for (size, weekday) in sizes.iter_mut().zip(&window.weekdays) {
        let same = of(&|other| other == *weekday);
        *size -= if same.is_empty() { whole } else { mean(&same) };
    }
    sizes
}

/// The money that a movement of log cost is, as a mean over the days after the release.
fn moved(window: &Window, sizes: &[f64]) -> f64 {
    let days = window.days.iter().zip(&window.cost).zip(sizes).filter(|((day, _), _)| **day > 0);
    let amounts: Vec<f64> = days.map(|((_, cost), size)| cost * (1.0 - (-size.clamp(-5.0, 5.0)).exp())).collect();
    mean(&amounts)
}

/// Replicas moved, and cost for each did not: the change of cost is one of scale.
fn autoscaling(seen: Seen<'_>, day: NaiveDate, window: &Window) -> Option<Flag> {
    let history = seen.history;
    let replicas = history.replicas.as_ref()?;
    let over = |from: i64, to: i64| {
        let days = (from..=to).filter_map(|days| history.index_of(day + chrono::Duration::days(days)));
        let (mut count, mut cost) = (Vec::new(), Vec::new());
        for index in days.filter(|index| history.day_at(*index) <= history.complete_to) {
            if let (Some(Some(replicas)), Some(day_cost)) = (replicas.get(index), seen.cost(index)) {
                count.push(*replicas);
                cost.push(day_cost);
            }
        }
        (mean(&count), mean(&cost))
    };
    let ((count, cost), (later, later_cost)) = (over(-14, -1), over(1, window.asked.len() as i64));
    if count <= 0.0 || later <= 0.0 || cost <= 0.0 || later_cost <= 0.0 {
        return None;
    }
    let (scale, for_each) = (later / count - 1.0, (later_cost / later) / (cost / count) - 1.0);
    (scale.abs() >= REPLICAS_SHARE && for_each.abs() <= scale.abs() / 2.0)
        .then(|| plain(FlagKind::Autoscaling, Some((later - count) * cost / count), None))
}

/// What was noted; of launches those that the days say nothing of, since they begin later. What rules and tags moved is
/// told as the bill has it: the days can only be less sure of it.
fn notes(history: &History, day: NaiveDate, horizon: i32, estimated: &[NaiveDate]) -> Vec<Flag> {
    let near = |note: &&super::Note| {
        let days = (note.day - day).num_days();
        (i64::from(-REACH_DAYS)..=i64::from(horizon)).contains(&days)
    };
    let kind = |kind: NoteKind| match kind {
        NoteKind::Launch => FlagKind::Launch,
        NoteKind::CreditOrFee => FlagKind::CreditOrFee,
        NoteKind::AllocationRule => FlagKind::AllocationRule,
        NoteKind::Retagging => FlagKind::Retagging,
    };
    let amount = |note: &super::Note| {
        // A rule or a tag lasts: it moved the days asked from its day on.
        let from = (note.day - day).num_days().clamp(1, i64::from(horizon) + 1);
        let share = (i64::from(horizon) + 1 - from) as f64 / f64::from(horizon.max(1));
        note.amount_per_day.filter(|amount| amount.is_finite()).map(|amount| amount * share)
    };
    let mut flags: Vec<Flag> = history
        .notes
        .iter()
        .filter(near)
        .filter(|note| note.kind != NoteKind::CreditOrFee)
        .filter(|note| note.kind != NoteKind::Launch || !estimated.contains(&note.day))
        .map(|note| plain(kind(note.kind), amount(note), Some(note.day)))
        .collect();
    flags.extend(credits(history, day, horizon));
    flags
}

/// Credits and fees of the days asked, as one: a one-off amount is the mean over these days, as all others are.
fn credits(history: &History, day: NaiveDate, horizon: i32) -> Option<Flag> {
    let is_asked = |note: &&super::Note| {
        note.kind == NoteKind::CreditOrFee && (1..=i64::from(horizon)).contains(&(note.day - day).num_days())
    };
    let asked: Vec<&super::Note> = history.notes.iter().filter(is_asked).collect();
    let total: f64 = asked.iter().filter_map(|note| note.amount_per_day).filter(|amount| amount.is_finite()).sum();
    let first = asked.iter().map(|note| note.day).min()?;
    Some(plain(FlagKind::CreditOrFee, Some(total / f64::from(horizon.max(1))), Some(first)))
}
