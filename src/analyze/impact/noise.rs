//! The noise of daily cost: an autocorrelated part and a level that drifts. Its covariance is `phi^|i-j| + q min(i, j)`
//! times the variance of a day.
//!
//! A series is whitened by the innovations of a Kalman filter with two states, which are exactly those of the
//! covariance's Cholesky factor, for a cost that grows with the days and not with their square. Days without a figure
//! are stepped over.

#![expect(clippy::float_arithmetic, reason = "noise, no money")]

/// How many columns are whitened at a time.
pub(super) const LANES: usize = 4;

/// The filter for one autocorrelation and one drift, over the days of one window.
pub(super) struct Filter {
    steps: Vec<Step>,
    /// Half the logarithm of the covariance's determinant.
    pub(super) half_log_determinant: f64,
}

struct Step {
    gain: [f64; 2],
    /// One over the standard deviation of the innovation.
    weight: f64,
    /// What remains of the autocorrelated part until the next day that has a figure.
    decay: f64,
}

impl Filter {
    /// For days in order, numbered from any day on.
    pub(super) fn new(days: &[i32], autocorrelation: f64, drift: f64) -> Self {
        let first = days.first().copied().unwrap_or(0);
        let (mut near, mut cross, mut level) = (1.0, 0.0, drift);
        let (mut half_log_determinant, mut product) = (0.0, 1.0_f64);
        let mut steps = Vec::with_capacity(days.len());
        for (index, day) in days.iter().enumerate() {
            debug_assert!(*day >= first);
            let gap = days.get(index + 1).map_or(1, |next| next - day);
            let variance = near + 2.0 * cross + level + 1e-9;
            let gain = [(near + cross) / variance, (cross + level) / variance];
            product *= variance;
            // One logarithm for some days: variances are near one another and near one.
            if index % 8 == 7 || index + 1 == days.len() {
                half_log_determinant += 0.5 * product.ln();
                product = 1.0;
            }
            let decay = autocorrelation.powi(gap);
            let after = [
                near - gain[0] * gain[0] * variance,
                cross - gain[0] * gain[1] * variance,
                level - gain[1] * gain[1] * variance,
            ];
            near = decay * decay * after[0] + 1.0 - decay * decay;
            cross = decay * after[1];
            level = after[2] + drift * f64::from(gap);
            steps.push(Step { gain, weight: variance.sqrt().recip(), decay });
        }
        Self { steps, half_log_determinant }
    }

    /// The standard deviation of each day's innovation, against that of a day's noise.
    pub(super) fn spreads(&self) -> impl Iterator<Item = f64> {
        self.steps.iter().map(|step| step.weight.recip())
    }

    /// Whitens columns that lie interleaved, `LANES` values a day, in place.
    pub(super) fn whiten(&self, columns: &mut [[f64; LANES]]) {
        let mut near = [0.0; LANES];
        let mut level = [0.0; LANES];
        for (step, values) in self.steps.iter().zip(columns) {
            for lane in 0..LANES {
                let innovation = values[lane] - near[lane] - level[lane];
                near[lane] = step.decay * (near[lane] + step.gain[0] * innovation);
                level[lane] += step.gain[1] * innovation;
                values[lane] = innovation * step.weight;
            }
        }
    }
}
