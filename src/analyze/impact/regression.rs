//! The regression of one window under every kind of noise: whitened columns, their inner products, and the evidence.

#![expect(clippy::float_arithmetic, reason = "linear algebra")]

use super::{
    Model,
    cholesky::{Cholesky, dot},
    noise::{Filter, LANES},
};

/// One kind of noise with the columns that it whitened.
pub(super) struct Noise {
    filter: Filter,
    /// The logarithm of how likely it is beforehand.
    pub(super) log_prior: f64,
    columns: Vec<Vec<f64>>,
    /// Inner products of whitened columns: row r holds those with the columns 0 … r.
    products: Vec<Vec<f64>>,
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
    /// The factor of `1 + D X D / variance`, with D the standard deviations.
    pub(super) factor: Cholesky,
}

/// Space for one regression after the other.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    factor: Cholesky,
    inverse: Vec<f64>,
    right: Vec<f64>,
}

/// The most rounds in which the variance is found.
const ITERATIONS: usize = 8;
/// Variance is found when it moves by less than this share.
const SETTLED: f64 = 1e-3;
/// Weight of the weak prior of the variance: two days with a noise of 0.3 %.
const PRIOR_SQUARES: f64 = 1e-5;

/// All kinds of noise that the model averages over.
pub(super) fn kinds(days: &[i32], model: &Model) -> Vec<Noise> {
    let mut kinds = Vec::with_capacity(model.autocorrelations.len() * model.drifts.len());
    for autocorrelation in &model.autocorrelations {
        for (drift, prior) in &model.drifts {
            kinds.push(Noise {
                filter: Filter::new(days, *autocorrelation, *drift),
                log_prior: prior.ln(),
                columns: Vec::with_capacity(80),
                products: Vec::with_capacity(80),
                variance: 1e-3,
                ruled_out: false,
            });
        }
    }
    kinds
}

impl Noise {
    /// Adds columns: whitens them and makes their inner products with all that are there.
    pub(super) fn add<'a>(&mut self, columns: impl IntoIterator<Item = &'a [f64]>) {
        let whitened = self.whitened(columns);
        for column in whitened {
            let first = column.iter().position(|value| *value != 0.0).unwrap_or(column.len());
            let mut row: Vec<f64> = self.columns.iter().map(|other| dot(&other[first..], &column[first..])).collect();
            row.push(dot(&column[first..], &column[first..]));
            self.products.push(row);
            self.columns.push(column);
        }
    }

    /// Whitens columns without keeping them.
    pub(super) fn whitened<'a>(&self, columns: impl IntoIterator<Item = &'a [f64]>) -> Vec<Vec<f64>> {
        let columns: Vec<&[f64]> = columns.into_iter().collect();
        let mut whitened = Vec::with_capacity(columns.len());
        let mut lanes = Vec::new();
        for block in columns.chunks(LANES) {
            lanes.clear();
            lanes.extend(
                (0..block[0].len()).map(|day| std::array::from_fn(|lane| block.get(lane).map_or(0.0, |c| c[day]))),
            );
            self.filter.whiten(&mut lanes);
            whitened
                .extend((0..block.len()).map(|lane| lanes.iter().map(|values: &[f64; LANES]| values[lane]).collect()));
        }
        whitened
    }

    /// A whitened column.
    pub(super) fn column(&self, index: usize) -> &[f64] {
        &self.columns[index]
    }

    /// The inner product of two columns.
    pub(super) fn product(&self, left: usize, right: usize) -> f64 {
        if left >= right { self.products[left][right] } else { self.products[right][left] }
    }

    /// Days that have a figure.
    pub(super) fn days(&self) -> usize {
        self.columns[0].len()
    }

    /// Integrates the coefficients of some columns out, each normal about 0 with its standard deviation; column 0 is
    /// what is explained. The variance is found by iteration from where it stood.
    pub(super) fn evidence(&mut self, columns: &[(usize, f64)], scratch: &mut Scratch) -> Evidence {
        let size = columns.len();
        let count = self.days() as f64;
        let total = self.product(0, 0);
        let mut variance = self.variance;
        let mut next = variance;
        let (mut squares, mut penalty) = (0.0, 0.0);
        for _ in 0..ITERATIONS {
            variance = next;
            self.factor(columns, variance, &mut scratch.factor);
            scratch.right.clear();
            scratch.right.extend(columns.iter().map(|(column, sd)| sd * self.product(*column, 0) / variance));
            let scaled: Vec<f64> = scratch.right.clone();
            scratch.factor.solve_lower(&mut scratch.right);
            scratch.factor.solve_upper(&mut scratch.right);
            penalty = dot(&scratch.right, &scratch.right);
            let explained = variance * dot(&scratch.right, &scaled);
            squares = total - explained - variance * penalty;
            let freedom = size as f64 - scratch.factor.trace_of_inverse(&mut scratch.inverse);
            next = (squares + 2.0 * PRIOR_SQUARES).max(1e-7) / (count - freedom + 2.0).max(5.0);
            if (next - variance).abs() < SETTLED * variance {
                break;
            }
        }
        variance = next;
        self.variance = variance;
        let log_likelihood = -0.5 * squares / variance
            - 0.5 * count * variance.ln()
            - self.filter.half_log_determinant
            - 0.5 * penalty
            - scratch.factor.half_log_determinant()
            - PRIOR_SQUARES / variance
            - variance.ln();
        let coefficients = columns.iter().zip(&scratch.right).map(|((_, sd), value)| sd * value).collect();
        Evidence { log_likelihood, variance, coefficients, factor: scratch.factor.clone() }
    }

    /// The factor of `1 + D X D / variance`.
    pub(super) fn factor(&self, columns: &[(usize, f64)], variance: f64, factor: &mut Cholesky) {
        factor.factor(columns.len(), |row, column| {
            let ((left, left_sd), (right, right_sd)) = (columns[row], columns[column]);
            let one = if row == column { 1.0 } else { 0.0 };
            self.product(left, right) * left_sd * right_sd / variance + one
        });
    }

    /// The logarithm of the marginal likelihood of the base columns alone, at the variance found, given the factor and
    /// the solved right side.
    pub(super) fn log_likelihood_at(&self, factor: &Cholesky, solved: &[f64]) -> f64 {
        let variance = self.variance;
        -0.5 * (self.product(0, 0) / variance - dot(solved, solved))
            - 0.5 * self.days() as f64 * variance.ln()
            - self.filter.half_log_determinant
            - factor.half_log_determinant()
            - PRIOR_SQUARES / variance
            - variance.ln()
            + self.log_prior
    }

    /// What the columns leave of the target, whitened.
    pub(super) fn residual(&self, columns: &[(usize, f64)], evidence: &Evidence) -> Vec<f64> {
        let mut residual = self.columns[0].clone();
        for ((column, _), coefficient) in columns.iter().zip(&evidence.coefficients) {
            for (value, explained) in residual.iter_mut().zip(&self.columns[*column]) {
                *value -= coefficient * explained;
            }
        }
        residual
    }

    /// By how much each day missed what was expected of it from the days before, and the standard deviation of that.
    pub(super) fn innovations(&self, columns: &[(usize, f64)], evidence: &Evidence) -> Vec<(f64, f64)> {
        let deviation = evidence.variance.sqrt();
        let residual = self.residual(columns, evidence);
        residual.iter().zip(self.filter.spreads()).map(|(value, spread)| (value * spread, deviation * spread)).collect()
    }
}
