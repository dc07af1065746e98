//! The regression of one window under every kind of noise: whitened columns, their inner products, and the evidence.

#![expect(clippy::float_arithmetic, reason = "linear algebra")]

use super::{
    Model,
    cholesky::{Cholesky, dot},
    noise::{Filter, LANES},
};

/// One kind of noise with the columns that it whitened.
pub(super) struct Noise {
    autocorrelation: f64,
    drift: f64,
    /// Its place in the grid of autocorrelations and drifts.
    pub(super) place: (usize, usize),
    /// Made when the kind is started.
    filter: Option<Filter>,
    /// The logarithm of how likely it is beforehand.
    pub(super) log_prior: f64,
    /// Whitened columns, one after the other.
    columns: Vec<f64>,
    /// How many days each has.
    days: usize,
    /// Inner products of whitened columns, row after row: row r holds those with the columns 0 … r.
    products: Vec<f64>,
    /// Variance of a day as the last evidence found it.
    pub(super) variance: f64,
    /// So unlikely that it is not looked at again.
    pub(super) ruled_out: bool,
}

/// What a regression on some columns says.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// Logarithm of the marginal likelihood, up to a constant that is the same for all.
    pub(super) log_likelihood: f64,
    /// Variance of a day.
    pub(super) variance: f64,
    /// Means of the coefficients, in the order of the columns asked.
    pub(super) coefficients: Vec<f64>,
    /// The factor of `D X D + variance`, with D the standard deviations.
    pub(super) factor: Cholesky,
}

/// Space for one regression after the other.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The lower half of `D X D`, row after row.
    lower: Vec<f64>,
    factor: Cholesky,
    inverse: Vec<f64>,
    /// The scaled products with what is explained.
    right: Vec<f64>,
    solved: Vec<f64>,
}

/// The most rounds in which the variance is found.
const ITERATIONS: usize = 8;
/// Variance is found when it moves by less than this share: what is left is taken off by how fast it moved.
const SETTLED: f64 = 0.01;
/// Columns for which there is space from the beginning.
const COLUMNS: usize = 80;
/// Where the variance of a day is looked for first.
const VARIANCE_BEFOREHAND: f64 = 1e-3;
/// Weight of the weak prior of the variance: two days with a noise of 0.3 %.
const PRIOR_SQUARES: f64 = 1e-5;

/// All kinds of noise that the model averages over; none is started.
pub(super) fn kinds(model: &Model) -> Vec<Noise> {
    let mut kinds = Vec::with_capacity(model.autocorrelations.len() * model.drifts.len());
    for (row, autocorrelation) in model.autocorrelations.iter().enumerate() {
        for (column, (drift, prior)) in model.drifts.iter().enumerate() {
            kinds.push(Noise {
                autocorrelation: *autocorrelation,
                drift: *drift,
                place: (row, column),
                filter: None,
                log_prior: prior.ln(),
                columns: Vec::new(),
                days: 0,
                products: Vec::new(),
                variance: VARIANCE_BEFOREHAND,
                ruled_out: false,
            });
        }
    }
    kinds
}

impl Noise {
    /// Makes it ready for the days of a window, with a variance to begin with.
    pub(super) fn start<'a>(
        &mut self,
        days: &[i32],
        variance: Option<f64>,
        columns: impl IntoIterator<Item = &'a [f64]>,
    ) {
        self.filter = Some(Filter::new(days, self.autocorrelation, self.drift));
        self.days = days.len();
        self.columns.reserve(COLUMNS * days.len());
        self.products.reserve(COLUMNS * COLUMNS / 2);
        self.variance = variance.unwrap_or(VARIANCE_BEFOREHAND);
        self.add(columns);
    }

    /// Whether it was started.
    pub(super) fn is_started(&self) -> bool {
        self.filter.is_some()
    }

    /// Adds columns: whitens them and makes their inner products with all that are there.
    pub(super) fn add<'a>(&mut self, columns: impl IntoIterator<Item = &'a [f64]>) {
        let mut row = self.columns.len() / self.days;
        self.whiten_into(columns, |noise, whitened| noise.columns.extend_from_slice(whitened));
        while row * self.days < self.columns.len() {
            let (above, column) = self.columns[..(row + 1) * self.days].split_at(row * self.days);
            let first = column.iter().position(|value| *value != 0.0).unwrap_or(column.len());
            let column = &column[first..];
            let others = above.chunks_exact(self.days);
            self.products.extend(others.map(|other| dot(&other[first..], column)));
            self.products.push(dot(column, column));
            row += 1;
        }
    }

    /// Whitens columns without keeping them: one after the other.
    pub(super) fn whitened<'a>(&mut self, columns: impl IntoIterator<Item = &'a [f64]>) -> Vec<f64> {
        let mut all = Vec::new();
        self.whiten_into(columns, |_, whitened| all.extend_from_slice(whitened));
        all
    }

    fn whiten_into<'a>(
        &mut self,
        columns: impl IntoIterator<Item = &'a [f64]>,
        mut keep: impl FnMut(&mut Self, &[f64]),
    ) {
        let Some(filter) = self.filter.take() else { return };
        let mut columns = columns.into_iter();
        let mut lanes = vec![[0.0; LANES]; self.days];
        let mut whitened = vec![0.0; self.days];
        loop {
            let mut filled = 0;
            for (lane, column) in columns.by_ref().take(LANES).enumerate() {
                lanes.iter_mut().zip(column).for_each(|(values, value)| values[lane] = *value);
                filled = lane + 1;
            }
            if filled == 0 {
                break;
            }
            filter.whiten(&mut lanes);
            for lane in 0..filled {
                whitened.iter_mut().zip(&lanes).for_each(|(value, values)| *value = values[lane]);
                keep(self, &whitened);
            }
        }
        self.filter = Some(filter);
    }

    fn half_log_determinant(&self) -> f64 {
        self.filter.as_ref().map_or(0.0, |filter| filter.half_log_determinant)
    }

    /// A whitened column.
    pub(super) fn column(&self, index: usize) -> &[f64] {
        &self.columns[index * self.days..(index + 1) * self.days]
    }

    /// The inner product of two columns.
    pub(super) fn product(&self, left: usize, right: usize) -> f64 {
        let (row, column) = if left >= right { (left, right) } else { (right, left) };
        self.products[row * (row + 1) / 2 + column]
    }

    /// Days that have a figure.
    pub(super) fn days(&self) -> usize {
        self.days
    }

    /// Integrates the coefficients of some columns out, each normal about 0 with its standard deviation; column 0 is
    /// what is explained. The variance is found by iteration from where it stood.
    pub(super) fn evidence(&mut self, columns: &[(usize, f64)], scratch: &mut Scratch) -> Evidence {
        let size = columns.len();
        let count = self.days() as f64;
        let total = self.product(0, 0);
        self.scale(columns, scratch);
        let (mut variance, mut next, mut moved) = (self.variance, self.variance, 0.0);
        let (mut squares, mut penalty, mut half_log_determinant) = (0.0, 0.0, 0.0);
        // Where the trace of the inverse was known last: variance, trace, half the logarithm of the determinant.
        let mut known: Option<(f64, f64, f64)> = None;
        for _ in 0..ITERATIONS {
            variance = next;
            scratch.factor.factor(size, &scratch.lower, variance);
            scratch.solved.clone_from(&scratch.right);
            scratch.factor.solve_lower(&mut scratch.solved);
            let explained = dot(&scratch.solved, &scratch.solved);
            scratch.factor.solve_upper(&mut scratch.solved);
            penalty = dot(&scratch.solved, &scratch.solved);
            squares = total - explained - variance * penalty;
            half_log_determinant = scratch.factor.half_log_determinant();
            let trace = match known {
                // The trace is how fast the logarithm of the determinant grows with the variance: between two variances
                // that are near, its mean is known without inverting anything.
                Some((other, trace, half))
                    if (variance / other - 1.0).abs() > 1e-4 && (variance / other - 1.0).abs() < 0.25 =>
                {
                    (4.0 * (half_log_determinant - half) / (variance - other) - trace).max(0.0)
                }
                _ => scratch.factor.trace_of_inverse(&mut scratch.inverse),
            };
            known = Some((variance, trace, half_log_determinant));
            let freedom = size as f64 - variance * trace;
            next = (squares + 2.0 * PRIOR_SQUARES).max(1e-7) / (count - freedom + 2.0).max(5.0);
            let step = next - variance;
            // Each step is about the same part of the one before: where they lead is known after two.
            let part: f64 = if moved == 0.0 { 0.0 } else { step / moved };
            if part > 0.0 && part < 0.7 {
                next += step * part / (1.0 - part);
            }
            moved = step;
            if step.abs() < SETTLED * variance {
                break;
            }
        }
        half_log_determinant -= 0.5 * size as f64 * variance.ln();
        variance = next;
        self.variance = variance;
        let log_likelihood = -0.5 * squares / variance
            - 0.5 * count * variance.ln()
            - self.half_log_determinant()
            - 0.5 * penalty
            - half_log_determinant
            - PRIOR_SQUARES / variance
            - variance.ln();
        let coefficients = columns.iter().zip(&scratch.solved).map(|((_, sd), value)| sd * value).collect();
        Evidence { log_likelihood, variance, coefficients, factor: std::mem::take(&mut scratch.factor) }
    }

    /// Writes inner products, scaled by the columns' standard deviations, into the space for a regression.
    fn scale(&self, columns: &[(usize, f64)], scratch: &mut Scratch) {
        scratch.lower.clear();
        scratch.right.clear();
        for (row, (left, left_sd)) in columns.iter().enumerate() {
            let products = &self.products[left * (left + 1) / 2..];
            for (right, right_sd) in &columns[..=row] {
                let product = if right <= left { products[*right] } else { self.product(*left, *right) };
                scratch.lower.push(product * left_sd * right_sd);
            }
            scratch.right.push(left_sd * products[0]);
        }
    }

    /// The factor of `D X D + variance` at the variance found.
    pub(super) fn factor(&self, columns: &[(usize, f64)], scratch: &mut Scratch) -> Cholesky {
        self.scale(columns, scratch);
        let mut factor = Cholesky::default();
        factor.factor(columns.len(), &scratch.lower, self.variance);
        factor
    }

    /// The logarithm of the marginal likelihood of some columns alone, at the variance found, given their factor and what
    /// it made of the products with what is explained.
    pub(super) fn log_likelihood_at(&self, count: usize, factor: &Cholesky, solved: &[f64]) -> f64 {
        let variance = self.variance;
        -0.5 * (self.product(0, 0) - dot(solved, solved)) / variance
            - 0.5 * (self.days() as f64 - count as f64) * variance.ln()
            - self.half_log_determinant()
            - factor.half_log_determinant()
            - PRIOR_SQUARES / variance
            - variance.ln()
            + self.log_prior
    }

    /// What the columns leave of the target, whitened.
    pub(super) fn residual(&self, columns: &[(usize, f64)], evidence: &Evidence) -> Vec<f64> {
        let mut residual = self.column(0).to_vec();
        for ((column, _), coefficient) in columns.iter().zip(&evidence.coefficients) {
            for (value, explained) in residual.iter_mut().zip(self.column(*column)) {
                *value -= coefficient * explained;
            }
        }
        residual
    }

    /// By how much each day missed what was expected of it from the days before, and the standard deviation of that.
    pub(super) fn innovations(&self, columns: &[(usize, f64)], evidence: &Evidence) -> Vec<(f64, f64)> {
        let deviation = evidence.variance.sqrt();
        let residual = self.residual(columns, evidence);
        residual
            .iter()
            .zip(self.filter.iter().flat_map(Filter::spreads))
            .map(|(value, spread)| (value * spread, deviation * spread))
            .collect()
    }
}
