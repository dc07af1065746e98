use crate::web::display::symbol;
use crate::web::filters::grouped;
use bigdecimal::{BigDecimal, FromPrimitive};

/// A vertical axis: from `low` to `high` in equal steps, always with zero on it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    pub low: f64,
    pub high: f64,
    step: f64,
}

const STEP_COUNT: f64 = 4.0;

impl Scale {
    /// Nice numbers around these extremes.
    pub fn around(lowest: f64, highest: f64) -> Self {
        let (lowest, highest) = (lowest.min(0.0), highest.max(0.0));
        let highest = if highest - lowest > 0.0 { highest } else { 1.0 };
        let spread = highest - lowest;
        let step = nice(spread / STEP_COUNT);
        let high = (highest / step).ceil().max(if lowest < 0.0 { 0.0 } else { 1.0 }) * step;
        Self { low: (lowest / step).floor() * step, high, step }
    }

    /// Where a value lies, 0 at the top and 1 at the bottom.
    pub fn below_top(&self, value: f64) -> f64 {
        (self.high - value) / (self.high - self.low)
    }

    /// The values that get a line and a label, from low to high.
    pub fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round();
        (0..=count as usize).map(|index| self.low + self.step * index as f64).collect()
    }

    /// `$1,500`, `$1.05M`, `0`: k and M stand on axes only, and all of an axis has the same.
    pub fn label(&self, value: f64, currency: &str) -> String {
        if value == 0.0 {
            return "0".into();
        }
        let (unit, suffix, decimals) = match self.high.max(-self.low) {
            top if top >= 1e9 => (1e9, "B", 2),
            top if top >= 1e6 => (1e6, "M", 2),
            top if top >= 1e5 => (1e3, "k", 0),
            top if top >= 10.0 => (1.0, "", 0),
            top if top >= 0.1 => (1.0, "", 2),
            _ => (1.0, "", 4),
        };
        let number = grouped(&BigDecimal::from_f64(value.abs() / unit).unwrap_or_default(), decimals);
        let sign = if value < 0.0 { "\u{2212}" } else { "" };
        format!("{sign}{}{number}{suffix}", symbol(currency).unwrap_or_default())
    }
}

// 1, 2, 2.5 or 5 times a power of ten, not less than `raw`.
fn nice(raw: f64) -> f64 {
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= raw * 0.999_999);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_nice_numbers_and_zero() {
        let labels = |low, high, currency| -> Vec<String> {
            let scale = Scale::around(low, high);
            scale.ticks().into_iter().map(|tick| scale.label(tick, currency)).collect()
        };
        assert_eq!(labels(0.0, 1699.0, "USD"), ["0", "$500", "$1,000", "$1,500", "$2,000"]);
        assert_eq!(labels(-320.0, 1100.0, "EUR"), ["\u{2212}€500", "0", "€500", "€1,000", "€1,500"]);
        assert_eq!(labels(0.0, 0.0, "USD"), ["0", "$0.25", "$0.50", "$0.75", "$1.00"]);
        assert_eq!(labels(0.0, 1_301_000.0, "CHF"), ["0", "0.50M", "1.00M", "1.50M"]);
    }
}
