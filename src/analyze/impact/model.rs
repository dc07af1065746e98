//! Every number that the estimate assumes, in one place.

use super::Shape;

/// What the estimate assumes: priors, windows, thresholds. Sizes are of natural logarithms of cost: 0.1 is about 10 %.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Days before the release that are looked at.
    pub history_days: u32,
    /// Autocorrelations of the noise that are averaged over.
    pub autocorrelations: Vec<f64>,
    /// Drifts that are averaged over: variance that the level gains a day, against the variance of a day's noise; and
    /// how likely each is before the days are looked at.
    pub drifts: Vec<(f64, f64)>,
    /// Courses of an effect, and how likely each is beforehand.
    pub shapes: Vec<(Shape, f64)>,
    /// Standard deviations of an effect's size (nothing, small, large), and how likely each is beforehand. The first
    /// stands for nothing.
    pub sizes: [(f64, f64); 3],
    /// The nearest neighbours, of which everything is tried that `neighbour_states` says.
    pub neighbours: usize,
    /// What a near neighbour may have done: course, standard deviation of its size, how likely beforehand.
    pub neighbour_states: Vec<(NeighbourCourse, f64, f64)>,
    /// Days before the release within which a neighbour is near.
    pub neighbour_reach_days: i32,
    /// Standard deviation of the effect of any other release.
    pub other_release_sd: f64,
    /// Standard deviation of each weekday.
    pub weekday_sd: f64,
    /// Elasticity of cost to traffic: mean and standard deviation.
    pub elasticity: (f64, f64),
    /// Standard deviation of the part of the elasticity that comes a day late; none without.
    pub late_elasticity_sd: Option<f64>,
    /// Standard deviation of how much a service follows the others.
    pub sibling_sd: f64,
    /// Standard deviation of how much it follows the traffic of the others; none without.
    pub sibling_traffic_sd: Option<f64>,
    /// Standard deviation of the trend over ten weeks; none without.
    pub slope_sd: Option<f64>,
    /// Standard deviation of the first two days of a month; none without.
    pub month_start_sd: Option<f64>,
    /// Standard deviation of a change of price of which nothing is known.
    pub price_sd: f64,
    /// Standard deviation of what a launch adds on its days, beyond what traffic explains.
    pub launch_sd: f64,
    /// The least logarithm of a Bayes factor with which a day becomes a shift that nobody announced.
    pub shift_log_factor: f64,
    /// The least size of a residual, in robust standard deviations, with which a day becomes an outlier.
    pub outlier_deviations: f64,
}

/// The course of a near neighbour's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeighbourCourse {
    /// It did nothing.
    Nothing,
    /// A step.
    Step,
    /// A ramp over five days.
    Ramp,
    /// A pulse of three days, or one that ends as the release begins.
    Pulse,
    /// A pulse of five days, or one that ends a day after the release.
    LongPulse,
    /// A ramp over four weeks.
    Leak,
}

impl NeighbourCourse {
    /// All that change the cost, in the order of their columns.
    pub(super) const COLUMNS: [Self; 5] = [Self::Step, Self::Ramp, Self::Pulse, Self::LongPulse, Self::Leak];

    /// The course of a neighbour that lies `days` after the release (before it, where negative).
    pub(super) fn shape(self, days: i32) -> Shape {
        let ends_at_the_release = match days {
            -7..=-2 => u8::try_from(-days).ok(),
            _ => None,
        };
        match self {
            Self::Nothing | Self::Step => Shape::Step,
            Self::Ramp => Shape::Ramp(5),
            Self::Pulse => Shape::Pulse(ends_at_the_release.unwrap_or(3)),
            Self::LongPulse => Shape::Pulse(ends_at_the_release.map_or(5, |length| length + 1)),
            Self::Leak => Shape::Ramp(28),
        }
    }
}

impl Default for Model {
    /// The model that answers are made with.
    fn default() -> Self {
        use NeighbourCourse::{Leak, LongPulse, Nothing, Pulse, Ramp, Step};
        Self {
            // Between these three lies nothing that the days could tell apart.
            autocorrelations: vec![0.0, 0.4, 0.8],
            sizes: [(1e-4, 0.5), (0.12, 0.3), (0.35, 0.2)],
            neighbour_states: vec![
                (Nothing, 0.01, 0.5),
                (Step, 0.2, 0.22),
                (Ramp, 0.2, 0.08),
                (Pulse, 0.3, 0.07),
                (LongPulse, 0.3, 0.07),
                (Leak, 0.2, 0.06),
            ],
            late_elasticity_sd: None,
            ..Self::reference()
        }
    }
}

impl Model {
    /// The model that the first measurements were made with, number by number.
    pub fn reference() -> Self {
        use NeighbourCourse::{LongPulse, Nothing, Pulse, Ramp, Step};
        Self {
            history_days: super::HISTORY_DAYS,
            autocorrelations: vec![0.0, 0.3, 0.6, 0.85],
            drifts: vec![(0.0, 0.4), (0.005, 0.2), (0.03, 0.25), (0.15, 0.15)],
            shapes: vec![
                (Shape::Step, 0.58),
                (Shape::Ramp(3), 0.05),
                (Shape::Ramp(5), 0.05),
                (Shape::Ramp(7), 0.05),
                (Shape::Ramp(14), 0.12),
                (Shape::Pulse(2), 0.05),
                (Shape::Pulse(3), 0.05),
                (Shape::Pulse(5), 0.05),
            ],
            sizes: [(1e-4, 0.5), (0.15, 0.2), (0.5, 0.3)],
            neighbours: 3,
            neighbour_states: vec![
                (Nothing, 0.01, 0.5),
                (Step, 0.3, 0.26),
                (Ramp, 0.3, 0.08),
                (Pulse, 0.4, 0.08),
                (LongPulse, 0.4, 0.08),
            ],
            neighbour_reach_days: 21,
            other_release_sd: 0.12,
            weekday_sd: 0.15,
            elasticity: (0.5, 0.4),
            late_elasticity_sd: Some(0.2),
            sibling_sd: 0.5,
            sibling_traffic_sd: Some(0.3),
            slope_sd: Some(0.12),
            month_start_sd: Some(0.15),
            price_sd: 0.1,
            launch_sd: 0.15,
            shift_log_factor: 8.0,
            outlier_deviations: 4.0,
        }
    }
}
