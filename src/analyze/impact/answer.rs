//! What the estimate says.

use chrono::NaiveDate;

/// The answer about what was released to one service and environment on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct Impact {
    /// The day of the release; of the last of several that share the answer.
    pub day: NaiveDate,
    /// The deployments of that day, or of all days that share the answer: one answer for all of them.
    pub deployment_ids: Vec<i64>,
    /// How far the answer is.
    pub phase: Phase,
    /// Complete days after the release that the answer rests on (0 to 14).
    pub days_after: u32,
    /// Complete days before the release that the answer rests on (0 to 84).
    pub days_before: u32,
    /// The days after the release that the effect is a mean over: 14, or fewer while the answer is provisional.
    pub horizon_days: u32,
    /// What is said of it.
    pub finding: Finding,
    /// Why that is said.
    pub reason: Reason,
    /// The effect with its interval. `None` while measuring and where nothing can be estimated.
    pub effect: Option<Effect>,
    /// What it adds up to in the 30 days after the release. `None` where there is no effect.
    pub over_30_days: Option<super::ThirtyDays>,
    /// How it lies over the days after the release. `None` where there is no effect, or none to spread.
    pub course: Option<super::EffectCourse>,
    /// The smallest lasting change of cost that could have been seen here, in units of the currency a day, by how precisely
    /// the days tell its size. It may be less than [`super::smallest_claimed`]. `None` where there is no effect, and where
    /// the days tell so little that no change of a usual size would have been seen.
    pub smallest_visible_per_day: Option<f64>,
    /// The line that the cost would have followed without this release, a day each over the days before and after that
    /// the answer rests on, in order. Empty where there is no effect.
    pub expected: Vec<ExpectedDay>,
    /// The days of all releases that this is the one answer about, in order; empty where it is about one day only.
    pub joint_days: Vec<NaiveDate>,
    /// What else may explain it, the largest amount first.
    pub flags: Vec<Flag>,
}

/// How far an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Fewer than three complete days after the release, or a bill is missing that days of the answer lie in.
    Measuring,
    /// Three to thirteen complete days.
    Provisional,
    /// Fourteen complete days.
    Settled,
}

/// What is said of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// The service costs more because of it.
    Increase,
    /// The service costs less because of it.
    Decrease,
    /// Whatever it did is too small to matter.
    NoMaterialChange,
    /// The days do not say.
    CannotTell,
}

/// Why a finding is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The cost moved with the release by more than noise, neighbours and traffic explain.
    ClearEffect,
    /// The whole interval lies within a tenth of the cost of the two weeks before.
    WithinATenth,
    /// Fewer than three complete days after the release.
    TooFewDaysAfter,
    /// Fewer than four weeks of complete days before the release.
    ShortHistory,
    /// The service cost nothing on most of the days before.
    NoCostBefore,
    /// It is likelier that there is no effect, and the interval reaches beyond a tenth of cost. It may leave out zero: it
    /// always holds the estimate, however unlikely an effect is.
    TooUncertain,
    /// An effect is likelier than none, and not as likely as a claim needs.
    LikelyNotCertain,
    /// An effect is likely, and its estimate smaller than what is ever claimed (5 % of cost).
    TooSmallToClaim,
    /// Another release within a day, or one that was on its way then, may have moved the cost.
    NeighbourTooNear,
    /// The cost only went back to what it was before a shift that no release explains.
    UndoesAShift,
    /// A bill is missing that days of the answer lie in.
    BillMissing,
    /// It had an answer, and no bill tells of its cost any more: they were taken back, or rules gave it to others.
    CostGone,
}

/// An effect with its 90 % interval: actual cost less what the days would have cost without this one release and with
/// all others in place, as a mean over the days asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// In units of the currency a day.
    pub per_day: f64,
    /// Lower end of the 90 % interval, in units of the currency a day.
    pub low: f64,
    /// Upper end of the 90 % interval, in units of the currency a day.
    pub high: f64,
    /// Mean cost a day of the 14 days before the release, in units of the currency: what shares are shares of.
    pub before_per_day: f64,
    /// `per_day` as a share of `before_per_day`: 0.1 is 10 % more.
    pub relative: f64,
    /// `low` as a share of `before_per_day`.
    pub relative_low: f64,
    /// `high` as a share of `before_per_day`.
    pub relative_high: f64,
    /// The probability that the release did anything, 0 to 1, as the model sees it.
    pub probability: f64,
    /// The effect for each unit of traffic, where traffic is known on all days that it needs.
    pub per_unit: Option<UnitEffect>,
}

impl Effect {
    #[expect(clippy::float_arithmetic, reason = "shares of cost")]
    pub(super) fn of(raw: &super::Raw, per_day: f64, (low, high): (f64, f64)) -> Self {
        let share = |amount: f64| amount / raw.before_per_day;
        Self {
            per_day,
            low,
            high,
            before_per_day: raw.before_per_day,
            relative: share(per_day),
            relative_low: share(low),
            relative_high: share(high),
            probability: raw.probability,
            per_unit: None,
        }
    }

    /// The effect as it is told beside this finding. The interval is that of an effect given that there is one, and beside
    /// "no material change" none is likelier than any: there it holds zero, or it would promise that something changed.
    /// It is only ever widened.
    pub(super) fn told_as(self, finding: Finding) -> Self {
        if finding != Finding::NoMaterialChange {
            return self;
        }
        let (low, high) = holding_zero((self.low, self.high));
        let (relative_low, relative_high) = holding_zero((self.relative_low, self.relative_high));
        Self { low, high, relative_low, relative_high, ..self }
    }
}

/// An interval, widened to hold zero where it does not.
pub(super) fn holding_zero((low, high): (f64, f64)) -> (f64, f64) {
    (low.min(0.0), high.max(0.0))
}

/// An effect for one unit of traffic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitEffect {
    /// Currency for one unit, added by the release.
    pub per_unit: f64,
    /// Lower end of the 90 % interval.
    pub low: f64,
    /// Upper end of the 90 % interval.
    pub high: f64,
    /// Currency for one unit in the 14 days before.
    pub before: f64,
    /// Units a day after the release.
    pub units_per_day: f64,
}

/// A day of the chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpectedDay {
    /// The day.
    pub day: NaiveDate,
    /// What it cost; `None` where there is no figure.
    pub actual: Option<f64>,
    /// What it would have cost without this release, in units of the currency.
    pub expected: f64,
    /// Lower end of the 90 % band of `expected`.
    pub low: f64,
    /// Upper end of the 90 % band of `expected`.
    pub high: f64,
}

/// Something beside the release that may explain a movement of cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Flag {
    /// What it is.
    pub kind: FlagKind,
    /// What it moved, in units of the currency a day: the mean over the days asked against the same days without it.
    /// `None` where it cannot be said.
    pub amount_per_day: Option<f64>,
    /// The day on which it happened, where it has one.
    pub day: Option<NaiveDate>,
    /// The deployments that it is about, for neighbours.
    pub deployment_ids: Vec<i64>,
}

/// Kinds of flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlagKind {
    /// Traffic after the release differs from before.
    Traffic,
    /// Another release of the service within the days asked, or three weeks before.
    Neighbour,
    /// Replicas moved while cost for a replica did not.
    Autoscaling,
    /// A credit, refund or fee.
    CreditOrFee,
    /// A change of price or commitment.
    PriceOrCommitment,
    /// Days after the release that are not complete yet.
    IncompleteDays,
    /// A launch or campaign.
    Launch,
    /// A shift before the release that no release explains.
    ShiftBefore,
    /// The other services moved alike.
    SiblingsMoved,
    /// An allocation rule or split changed.
    AllocationRule,
    /// Resources got other tags.
    Retagging,
}

impl Phase {
    /// The phase that so many complete days after the release are.
    pub fn of(days_after: u32) -> Self {
        match days_after {
            0..super::PROVISIONAL_DAYS => Self::Measuring,
            super::PROVISIONAL_DAYS..super::SETTLED_DAYS => Self::Provisional,
            _ => Self::Settled,
        }
    }
}

impl Impact {
    /// The answer that says nothing but how many days there are, and why that is not enough.
    pub(super) fn without_effect(seen: super::Seen<'_>, day: NaiveDate, reason: Reason) -> Self {
        let (days_before, days_after) = seen.complete_days_around(day);
        Self {
            day,
            deployment_ids: seen.history.deployments_of(day),
            phase: Phase::of(days_after),
            days_after: days_after.min(super::SETTLED_DAYS),
            days_before: days_before.min(super::HISTORY_DAYS),
            horizon_days: 0,
            finding: Finding::CannotTell,
            reason,
            effect: None,
            over_30_days: None,
            course: None,
            smallest_visible_per_day: None,
            expected: Vec::new(),
            joint_days: Vec::new(),
            flags: Vec::new(),
        }
    }
}

/// The answer about the releases of these days while a bill is missing that days of it lie in: it waits for that bill,
/// however many of the other days are known.
pub fn without_bill(history: &super::History, days: &[NaiveDate]) -> Impact {
    let day = days.last().copied().unwrap_or(history.complete_to);
    Impact {
        phase: Phase::Measuring,
        deployment_ids: days.iter().flat_map(|day| history.deployments_of(*day)).collect(),
        joint_days: if days.len() > 1 { days.to_vec() } else { Vec::new() },
        ..Impact::without_effect(super::Seen::whole(history), day, Reason::BillMissing)
    }
}

/// The answer about the releases of these days that takes the place of one whose cost is in no bill any more.
pub fn without_cost(history: &super::History, days: &[NaiveDate]) -> Impact {
    Impact { reason: Reason::CostGone, ..without_bill(history, days) }
}

/// The whole answer about a window.
pub(super) fn answered(
    seen: super::Seen<'_>,
    day: NaiveDate,
    window: &super::window::Window,
    model: &super::Model,
    calibration: &super::Calibration,
) -> Impact {
    let mut impact = Impact::without_effect(seen, day, Reason::TooUncertain);
    let fit = super::fit::Fit::of(window, model);
    let raw = super::Raw::of(window, &fit);
    let days = impact.days_after;
    let given = Effect::of(&raw, calibration.estimate(days, &raw), calibration.interval(days, &raw));
    (impact.finding, impact.reason) = super::finding::finding(&raw, &given, impact.phase);
    let effect = given.told_as(impact.finding);
    impact.horizon_days = window.asked.len() as u32;
    impact.smallest_visible_per_day = smallest_visible(&fit, model, raw.before_per_day, impact.phase);
    impact.expected = super::chart::expected(seen, day, window, &fit, model, &effect);
    let counts = (days, impact.horizon_days);
    let sum = super::thirty_days::of(&raw, &fit.posterior, counts, calibration, &given);
    impact.over_30_days = Some(sum.told_as(impact.finding));
    impact.course = super::course::of(window, &fit, model, effect.per_day);
    impact.flags = super::flags::flags(seen, day, window, &fit, impact.phase);
    impact.effect = Some(Effect { per_unit: per_unit(seen.history, day, window, &effect), ..effect });
    impact
}

/// The largest size, in log cost, that is told as the smallest that would have been seen: ten times the cost. Beyond it the
/// days say nothing about sizes, and a figure would only look like one.
const SMALLEST_VISIBLE_MOST: f64 = std::f64::consts::LN_10;

#[expect(clippy::float_arithmetic, reason = "an estimate in units of the currency")]
fn smallest_visible(fit: &super::fit::Fit, model: &super::Model, before_per_day: f64, phase: Phase) -> Option<f64> {
    let size = super::finding::smallest_visible(fit.posterior.information?, model.sizes[1].0, phase);
    (size <= SMALLEST_VISIBLE_MOST).then(|| size.exp_m1() * before_per_day)
}

/// The effect for each unit of traffic, where traffic is known on every day asked and on the 14 days before.
#[expect(clippy::float_arithmetic, reason = "an estimate in units of the currency")]
fn per_unit(
    history: &super::History,
    day: NaiveDate,
    window: &super::window::Window,
    effect: &Effect,
) -> Option<UnitEffect> {
    let traffic = history.traffic.as_ref()?;
    let over = |from: i32, to: i32| -> Option<f64> {
        let days = window.days.iter().filter(|days| (from..=to).contains(*days));
        let units: Option<Vec<f64>> = days
            .map(|days| history.index_of(day + chrono::Duration::days(i64::from(*days))).and_then(|at| traffic[at]))
            .collect();
        units.map(|units| super::window::mean(&units)).filter(|units| units.is_finite() && *units > 0.0)
    };
    let (before, after) = (over(-14, -1)?, over(1, window.asked.len() as i32)?);
    Some(UnitEffect {
        per_unit: effect.per_day / after,
        low: effect.low / after,
        high: effect.high / after,
        before: effect.before_per_day / before,
        units_per_day: after,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cut at the estimate, the interval given an effect leaves zero out although an effect is less likely than none.
    #[test]
    fn the_interval_of_no_material_change_holds_zero_and_is_never_narrower() {
        let raw = super::super::Raw {
            estimate: 5.0,
            probability: 0.188,
            given_mean: 27.0,
            given_low: 5.0,
            given_high: 49.0,
            noise: 0.02,
            nearest: 99,
            neighbour: 0.0,
            before_per_day: 1000.0,
            undoes_a_shift: false,
        };
        let ends = |interval: (f64, f64), finding: Finding| {
            let told = Effect::of(&raw, 5.0, interval).told_as(finding);
            ((told.low, told.high), (told.relative_low, told.relative_high))
        };
        let quiet = Finding::NoMaterialChange;
        assert_eq!(ends((5.0, 49.0), quiet), ((0.0, 49.0), (0.0, 0.049)));
        assert_eq!(ends((-48.0, -4.0), quiet), ((-48.0, 0.0), (-0.048, 0.0)));
        assert_eq!(ends((-3.0, 7.0), quiet), ((-3.0, 7.0), (-0.003, 0.007)));
        for other in [Finding::Increase, Finding::Decrease, Finding::CannotTell] {
            assert_eq!(ends((5.0, 49.0), other), ((5.0, 49.0), (0.005, 0.049)), "{other:?}");
        }
    }
}
