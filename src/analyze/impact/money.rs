//! Turns a size in log cost into money a day, for one course.

#![expect(clippy::float_arithmetic, reason = "estimates in units of the currency")]

use super::Shape;

/// What a size means in money, over the days asked.
pub(super) struct Money {
    /// For each share of the effect that occurs: the cost of the days that have it, as a part of a day's mean.
    parts: Vec<(f64, f64)>,
    /// The same as a power series of the size, from its first power on.
    series: [f64; POWERS],
}

/// Powers of the series: for sizes below `SMALL` what is left out is less than a millionth.
const POWERS: usize = 7;
/// Sizes below it are looked up in the series.
const SMALL: f64 = 0.4;
/// Sizes beyond it mean the same as it.
const LARGEST: f64 = 5.0;

impl Money {
    pub(super) fn of(shape: Shape, asked: &[f64]) -> Self {
        let mut parts: Vec<(f64, f64)> = Vec::new();
        for (index, cost) in asked.iter().enumerate() {
            let share = shape.share(index as i32 + 1, 1.0);
            let cost = cost / asked.len() as f64;
            match parts.last_mut() {
                Some(last) if last.0 == share => last.1 += cost,
                _ => parts.push((share, cost)),
            }
        }
        parts.retain(|(share, _)| *share > 0.0);
        let mut series = [0.0; POWERS];
        for (share, cost) in &parts {
            let mut term = -cost;
            for (power, sum) in series.iter_mut().enumerate() {
                term *= -share / (power as f64 + 1.0);
                *sum += term;
            }
        }
        Self { parts, series }
    }

    /// The amount a day for a size, and how fast it grows with the size.
    pub(super) fn at(&self, size: f64) -> (f64, f64) {
        if size.abs() < SMALL {
            let (mut amount, mut slope) = (0.0, 0.0);
            for (power, factor) in self.series.iter().enumerate().rev() {
                amount = (amount + factor) * size;
                slope = slope * size + factor * (power as f64 + 1.0);
            }
            return (amount, slope);
        }
        let size = size.clamp(-LARGEST, LARGEST);
        let (mut amount, mut slope) = (0.0, 0.0);
        for (share, cost) in &self.parts {
            let without = (-size * share).exp();
            amount += cost * (1.0 - without);
            slope += cost * without * share;
        }
        (amount, slope)
    }
}

#[cfg(test)]
mod tests {
    use super::{Money, SMALL, Shape};

    #[test]
    fn the_series_is_the_sum_over_days() {
        let asked: Vec<f64> = (0..14).map(|day| 100.0 + f64::from(day)).collect();
        for shape in [Shape::Step, Shape::Ramp(14), Shape::Pulse(3)] {
            let money = Money::of(shape, &asked);
            for size in [-0.9 * SMALL, -0.05, 0.0, 0.2, 0.99 * SMALL] {
                let days = asked.iter().enumerate().map(|(day, cost)| (cost, shape.share(day as i32 + 1, 1.0)));
                let amount: f64 = days.clone().map(|(cost, share)| cost * (1.0 - (-size * share).exp()) / 14.0).sum();
                let slope: f64 = days.map(|(cost, share)| cost * share * (-size * share).exp() / 14.0).sum();
                let (found, found_slope) = money.at(size);
                assert!((found - amount).abs() < 1e-5, "{found} for {amount}");
                assert!((found_slope - slope).abs() < 1e-3, "{found_slope} for {slope}");
            }
        }
    }
}
