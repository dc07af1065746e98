//! The fixed and the variable part of a daily cost: regression on the volume, said only where the days can tell.

#![expect(clippy::float_arithmetic, reason = "a regression")]

use super::{Figure, KnownDay, long_run_variance};

/// Known days below which nothing is said.
pub const DAY_COUNT_MIN: usize = 14;
/// The least spread of usage, as a share of its mean: below it every day looks alike.
const SPREAD_MIN: f64 = 0.05;

/// Steps in which a share is told, from none to all.
const SHARE_STEPS: f64 = 1e6;

/// The parts of a daily cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FixedVariable {
    /// What a day costs without any usage, in units of the currency.
    pub fixed_per_day: Figure,
    /// What one more unit costs.
    pub variable_per_unit: Figure,
    /// The share of the movement of daily cost that usage explains, 0 to 1.
    pub r_squared: f64,
    /// Days behind it.
    pub day_count: usize,
    /// The fixed part came out below zero by no more than noise, and was taken as none.
    pub is_through_zero: bool,
}

impl FixedVariable {
    /// The fixed part as a share of the cost of a day with so much usage.
    pub fn fixed_share(&self, usage_a_day: f64) -> Option<f64> {
        let cost = self.fixed_per_day.value + self.variable_per_unit.value * usage_a_day;
        (cost > 0.0).then(|| self.fixed_per_day.value / cost)
    }
}

/// Why the parts cannot be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CannotTell {
    /// Fewer than 14 days have both cost and usage.
    TooFewDays,
    /// Usage hardly moves.
    SteadyVolume,
    /// Cost does not move with usage: more of it may cost nothing, or noise hides it.
    DoesNotFollow,
    /// The fixed part would lie below zero by more than noise: cost does not follow usage along a line.
    NoLine,
}

impl CannotTell {
    /// In JSON and CSV.
    pub fn key(self) -> &'static str {
        match self {
            Self::TooFewDays => "too-few-days",
            Self::SteadyVolume => "steady-volume",
            Self::DoesNotFollow => "does-not-follow",
            Self::NoLine => "no-line",
        }
    }

    /// For people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::TooFewDays => "fewer than 14 days have both cost and usage",
            Self::SteadyVolume => "usage moves by less than 5%, so that every day looks alike",
            Self::DoesNotFollow => "daily cost does not move with usage, or too little to be told from noise",
            Self::NoLine => "daily cost does not follow usage along a line",
        }
    }
}

/// Daily cost as a line over usage.
struct Line {
    /// Means of the days.
    usage: f64,
    cost: f64,
    /// What one more unit costs, and a day without any.
    variable: Figure,
    fixed: Figure,
    /// What each day lies off the line.
    off: Vec<f64>,
}

impl Line {
    fn of(days: &[KnownDay]) -> Result<Self, CannotTell> {
        if days.len() < DAY_COUNT_MIN {
            return Err(CannotTell::TooFewDays);
        }
        let count = days.len() as f64;
        let usage = days.iter().map(|day| day.usage).sum::<f64>() / count;
        let cost = days.iter().map(|day| day.cost).sum::<f64>() / count;
        let spread: f64 = days.iter().map(|day| (day.usage - usage).powi(2)).sum();
        if usage <= 0.0 || (spread / count).sqrt() < SPREAD_MIN * usage {
            return Err(CannotTell::SteadyVolume);
        }
        let together: f64 = days.iter().map(|day| (day.usage - usage) * (day.cost - cost)).sum();
        let slope = together / spread;
        let fixed = cost - slope * usage;
        let off: Vec<f64> = days.iter().map(|day| day.cost - fixed - slope * day.usage).collect();
        let error = |weights: &dyn Fn(&KnownDay) -> f64| {
            // A coefficient is a weighted sum of the days' costs: its error is that of the same sum of what they lie
            // off.
            let parts: Vec<f64> = days.iter().zip(&off).map(|(day, off)| weights(day) * off).collect();
            (long_run_variance(&parts) * count * count / (count - 2.0)).sqrt()
        };
        let slope_error = error(&|day| (day.usage - usage) / spread);
        let fixed_error = error(&|day| 1.0 / count - usage * (day.usage - usage) / spread);
        let variable = Figure::around(slope, slope_error, count - 2.0);
        let fixed = Figure::around(fixed, fixed_error, count - 2.0);
        Ok(Self { usage, cost, variable, fixed, off })
    }

    /// The share of the mean cost that is left beside so large a fixed part. What arithmetic leaves of a cost that never
    /// moves, or moves in proportion, is no share.
    fn share_beside(&self, fixed: f64) -> f64 {
        ((1.0 - fixed / self.cost) * SHARE_STEPS).round() / SHARE_STEPS
    }

    /// Whether a day without usage would cost less than nothing, by more than noise.
    fn starts_below_zero(&self) -> bool {
        self.fixed.high < 0.0 && (self.cost <= 0.0 || self.share_beside(self.fixed.high) > 1.0)
    }
}

/// The parts of the cost of these days.
pub fn split(days: &[KnownDay]) -> Result<FixedVariable, CannotTell> {
    let line = Line::of(days)?;
    if line.variable.low <= 0.0 {
        return Err(CannotTell::DoesNotFollow);
    }
    if line.starts_below_zero() {
        return Err(CannotTell::NoLine);
    }
    let Line { usage, cost, variable, fixed, off } = line;
    let total: f64 = days.iter().map(|day| (day.cost - cost).powi(2)).sum();
    let left: f64 = off.iter().map(|off| off * off).sum();
    let r_squared = if total > 0.0 { 1.0 - left / total } else { 0.0 };
    if fixed.value < 0.0 {
        let (variable, fixed) = (Figure { value: cost / usage, ..variable }, Figure { value: 0.0, low: 0.0, ..fixed });
        let variable = Figure { low: variable.low.min(variable.value), ..variable };
        return Ok(FixedVariable {
            fixed_per_day: fixed,
            variable_per_unit: variable,
            r_squared,
            day_count: days.len(),
            is_through_zero: true,
        });
    }
    let fixed = Figure { low: fixed.low.max(0.0), ..fixed };
    Ok(FixedVariable {
        fixed_per_day: fixed,
        variable_per_unit: variable,
        r_squared,
        day_count: days.len(),
        is_through_zero: false,
    })
}

/// The share of the cost of a day that follows usage, 0 to 1, and what is plausible of its 90 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VariableShare {
    /// The likeliest.
    pub value: f64,
    /// Not below none.
    pub low: f64,
    /// Not above all.
    pub high: f64,
    /// The days that it was learnt from: another count of days before may tell another share.
    pub day_count: usize,
}

/// The share of the cost of these days that follows usage. A cost that surely follows less than in proportion has one
/// too, though it may be none: it is not told where the days tell neither that some of it follows nor that some does not,
/// and where it moves by more than in proportion, as if more than all of it followed.
pub fn variable_share(days: &[KnownDay]) -> Result<VariableShare, CannotTell> {
    let line = Line::of(days)?;
    if line.cost <= 0.0 {
        return Err(CannotTell::DoesNotFollow);
    }
    if line.starts_below_zero() {
        return Err(CannotTell::NoLine);
    }
    let (low, high) = (line.share_beside(line.fixed.high), line.share_beside(line.fixed.low));
    if low <= 0.0 && high >= 1.0 {
        return Err(CannotTell::DoesNotFollow);
    }
    let plausible = |share: f64| share.clamp(0.0, 1.0);
    Ok(VariableShare {
        value: plausible(line.share_beside(line.fixed.value)),
        low: plausible(low),
        high: plausible(high),
        day_count: days.len(),
    })
}
