//! What a workload is for: a change that is faster and dearer is better for one and worse for another.

#![expect(clippy::float_arithmetic, reason = "weights of estimates")]

use super::Figure;

/// A movement smaller than this share is none that anyone cares for.
const MATERIAL: f64 = 0.02;

impl Figure {
    /// Whether all of a change's interval, as a share, is none that anyone cares for.
    pub fn is_immaterial(&self) -> bool {
        self.low > -MATERIAL && self.high < MATERIAL
    }
}

/// What someone stated for a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Only the duration counts.
    Latency,
    /// Only the cost of a unit counts.
    Cost,
    /// Both count: cost so many percent, duration the rest; 1 to 99.
    Weighted {
        /// Weight of cost in percent.
        cost_percent: u8,
    },
}

impl Goal {
    /// In forms, CSV and JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Cost => "cost",
            Self::Weighted { .. } => "weight",
        }
    }

    /// The goal of a form's or a row's words.
    pub fn new(key: &str, cost_percent: Option<i16>) -> Option<Self> {
        match (key, cost_percent) {
            ("latency", _) => Some(Self::Latency),
            ("cost", _) => Some(Self::Cost),
            ("weight", Some(percent)) => {
                let percent = u8::try_from(percent).ok().filter(|percent| (1..=99).contains(percent))?;
                Some(Self::Weighted { cost_percent: percent })
            }
            _ => None,
        }
    }

    /// Weight of cost in percent; `None` where only one of both counts.
    pub fn cost_percent(self) -> Option<i16> {
        match self {
            Self::Weighted { cost_percent } => Some(i16::from(cost_percent)),
            _ => None,
        }
    }

    /// For people: "low latency", "30% cost, 70% latency".
    pub fn words(self) -> String {
        match self {
            Self::Latency => "latency alone".into(),
            Self::Cost => "cost alone".into(),
            Self::Weighted { cost_percent } => {
                format!("{cost_percent}% cost and {}% latency", 100 - u16::from(cost_percent))
            }
        }
    }

    fn cost_weight(self) -> f64 {
        match self {
            Self::Latency => 0.0,
            Self::Cost => 1.0,
            Self::Weighted { cost_percent } => f64::from(cost_percent) / 100.0,
        }
    }
}

/// How cost and duration of a unit moved, as shares of before. `None` where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measure {
    /// Cost of a unit.
    pub cost: Option<Figure>,
    /// Duration of a unit.
    pub latency: Option<Figure>,
}

/// What a change is for a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Better.
    Better,
    /// Worse.
    Worse,
    /// No difference that counts: less than 2 %, 90 % sure.
    Same,
    /// The days do not say.
    Unclear,
    /// What the goal looks at is not known.
    NotKnown,
}

impl Verdict {
    /// In CSV and JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Same => "same",
            Self::Unclear => "unclear",
            Self::NotKnown => "not-known",
        }
    }
}

/// The verdict on a change. Changes are weighed as logarithms, so that half as fast and twice as dear undo each other.
pub fn verdict(goal: Goal, measure: &Measure) -> Verdict {
    let weight = goal.cost_weight();
    let parts = [(weight, measure.cost), (1.0 - weight, measure.latency)];
    let (mut value, mut up, mut down) = (0.0, 0.0f64, 0.0f64);
    for (weight, figure) in parts.into_iter().filter(|(weight, _)| *weight > 0.0) {
        let Some(figure) = figure else { return Verdict::NotKnown };
        let [middle, low, high] = [figure.value, figure.low, figure.high].map(|share| (1.0 + share).max(1e-9).ln());
        value += weight * middle;
        up = up.hypot(weight * (high - middle));
        down = down.hypot(weight * (middle - low));
    }
    let (low, high, material) = (value - down, value + up, (1.0 + MATERIAL).ln());
    match () {
        () if low > -material && high < material => Verdict::Same,
        () if high < 0.0 => Verdict::Better,
        () if low > 0.0 => Verdict::Worse,
        () => Verdict::Unclear,
    }
}
