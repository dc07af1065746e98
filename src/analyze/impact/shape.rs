//! How much of an effect is there on each day.

#![expect(clippy::float_arithmetic, reason = "shares of an effect")]

/// The course of an effect over the days after a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// There at once and for good.
    Step,
    /// Comes in equal parts over so many days (a canary, a slow leak).
    Ramp(u8),
    /// There at once, gone after so many days.
    Pulse(u8),
}

impl Shape {
    /// The share of the full effect that is there `days` after the release. `first` is the share of a step on its own
    /// day: the part of the day that lay after the release.
    pub(super) fn share(self, days: i32, first: f64) -> f64 {
        match self {
            _ if days < 0 => 0.0,
            Self::Step if days == 0 => first,
            Self::Step => 1.0,
            Self::Ramp(length) => (f64::from(days) / f64::from(length)).min(1.0),
            Self::Pulse(length) if days < i32::from(length) => 1.0,
            Self::Pulse(_) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn a_shape_has_its_share_of_each_day() {
        let shares = |shape: Shape| (-1..6).map(|days| shape.share(days, 0.5)).collect::<Vec<_>>();
        assert_eq!(shares(Shape::Step), [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(shares(Shape::Ramp(4)), [0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0]);
        assert_eq!(shares(Shape::Pulse(2)), [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
