//! Mixtures of normals: moments and quantiles.

#![expect(clippy::float_arithmetic, reason = "probabilities")]

/// One normal of a mixture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    pub(super) weight: f64,
    pub(super) mean: f64,
    pub(super) sd: f64,
}

/// A mixture of normals; its weights add up to one. Empty where there is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Mixture {
    parts: Vec<Part>,
    /// The mean of all.
    pub(super) mean: f64,
    /// The standard deviation of all.
    pub(super) sd: f64,
}

/// Parts that weigh less than this share of the heaviest, or in all less than this, are left out of quantiles.
const LEAST_WEIGHT: f64 = 1e-4;
/// Normals are merged to about so many before quantiles are looked for.
const PARTS: usize = 128;

impl Mixture {
    /// From parts of any total weight.
    pub(super) fn of(mut parts: Vec<Part>) -> Self {
        let heaviest = parts.iter().map(|part| part.weight).fold(0.0, f64::max);
        parts.retain(|part| part.weight > LEAST_WEIGHT * heaviest);
        let total: f64 = parts.iter().map(|part| part.weight).sum();
        if total <= 0.0 {
            return Self::default();
        }
        parts.iter_mut().for_each(|part| part.weight /= total);
        let mean = parts.iter().map(|part| part.weight * part.mean).sum::<f64>();
        let second = parts.iter().map(|part| part.weight * (part.sd.powi(2) + (part.mean - mean).powi(2)));
        let sd = second.sum::<f64>().sqrt();
        Self { parts: merged(parts), mean, sd }
    }

    /// The value below which a share of the mixture lies.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        if self.parts.is_empty() {
            return 0.0;
        }
        let ends = self.parts.iter().map(|part| (part.mean - 6.0 * part.sd, part.mean + 6.0 * part.sd));
        let (mut low, mut high) =
            ends.fold((f64::INFINITY, f64::NEG_INFINITY), |all, part| (all.0.min(part.0), all.1.max(part.1)));
        let mut at = (self.mean + if share < 0.5 { -self.sd } else { self.sd }).clamp(low, high);
        // Newton's steps, held between ends that close in.
        for _ in 0..60 {
            let (below, density) = self.below(at);
            if below < share {
                low = at;
            } else {
                high = at;
            }
            let step = at - (below - share) / density;
            let next = if density > 0.0 && step > low && step < high { step } else { (low + high) / 2.0 };
            if (next - at).abs() <= 1e-5 * self.sd {
                return next;
            }
            at = next;
        }
        at
    }

    /// The share of the mixture below a value, and the density there.
    pub(super) fn below(&self, value: f64) -> (f64, f64) {
        let (mut below, mut density) = (0.0, 0.0);
        for part in &self.parts {
            let sd = part.sd.max(1e-12);
            let (share, slope) = normal((value - part.mean) / sd);
            below += part.weight * share;
            density += part.weight * slope / sd;
        }
        (below, density)
    }
}

/// Merges neighbours of nearly the same mean and spread, keeping weight, mean and variance.
fn merged(mut parts: Vec<Part>) -> Vec<Part> {
    if parts.len() <= PARTS {
        return parts;
    }
    parts.sort_unstable_by(|left, right| left.mean.total_cmp(&right.mean));
    let mut merged: Vec<Part> = Vec::with_capacity(2 * PARTS);
    for part in parts {
        match merged.last_mut() {
            Some(last)
                if last.weight + part.weight < 2.0 / PARTS as f64
                    && (part.mean - last.mean).abs() < 0.3 * last.sd.min(part.sd) =>
            {
                let weight = last.weight + part.weight;
                let mean = (last.weight * last.mean + part.weight * part.mean) / weight;
                let second = last.weight * (last.sd.powi(2) + (last.mean - mean).powi(2))
                    + part.weight * (part.sd.powi(2) + (part.mean - mean).powi(2));
                *last = Part { weight, mean, sd: (second / weight).sqrt() };
            }
            _ => merged.push(part),
        }
    }
    merged
}

/// The normal distribution function, by a logistic curve good to 0.0002, and its density.
fn normal(value: f64) -> (f64, f64) {
    let square = value * value;
    let below = 1.0 / (1.0 + (-value * (1.5976 + 0.070_566 * square)).clamp(-60.0, 60.0).exp());
    (below, below * (1.0 - below) * (1.5976 + 0.211_698 * square))
}

#[cfg(test)]
mod tests {
    use super::{Mixture, Part};

    #[test]
    fn quantiles_of_one_normal_are_its_own() {
        let one = Mixture::of(vec![Part { weight: 3.0, mean: 10.0, sd: 2.0 }]);
        assert!((one.quantile(0.95) - 13.29).abs() < 0.02);
        assert!((one.quantile(0.05) - 6.71).abs() < 0.02);
        assert!((one.quantile(0.5) - 10.0).abs() < 1e-3);
    }

    #[test]
    fn two_far_normals_have_their_quantiles_on_their_own_sides() {
        let parts = vec![Part { weight: 0.5, mean: -100.0, sd: 1.0 }, Part { weight: 0.5, mean: 100.0, sd: 1.0 }];
        let two = Mixture::of(parts);
        assert!((two.quantile(0.25) + 100.0).abs() < 0.01);
        assert!((two.quantile(0.75) - 100.0).abs() < 0.01);
        assert!((two.sd - 100.005).abs() < 0.001);
    }
}
