//! Cholesky factors of small symmetric matrices, without allocation where they are made over and over.

#![expect(clippy::float_arithmetic, reason = "linear algebra")]

/// The lower factor of a positive definite matrix; rows of `size` values.
#[derive(Debug, Clone, Default)]
pub(super) struct Cholesky {
    size: usize,
    values: Vec<f64>,
}

impl Cholesky {
    /// Factors the matrix whose lower half `lower` holds row after row, with `added` added to its diagonal.
    pub(super) fn factor(&mut self, size: usize, lower: &[f64], added: f64) {
        self.size = size;
        self.values.clear();
        self.values.resize(size * size, 0.0);
        let mut rest = lower;
        for row in 0..size {
            let (entries, after) = rest.split_at(row + 1);
            rest = after;
            let (above, current) = self.values.split_at_mut(row * size);
            let current = &mut current[..row + 1];
            for (column, other) in above.chunks_exact(size).enumerate() {
                let (done, open) = current.split_at_mut(column);
                open[0] = (entries[column] - dot(done, &other[..column])) * other[column];
            }
            // A matrix of ours has something added to its diagonal: less can only come of rounding. The diagonal is
            // kept as its reciprocal, which is what everything divides by.
            let done = &current[..row];
            let pivot = (entries[row] + added - dot(done, done)).max(1e-9 * added);
            current[row] = pivot.sqrt().recip();
        }
    }

    /// Half the logarithm of the determinant.
    pub(super) fn half_log_determinant(&self) -> f64 {
        // A logarithm of a product of a few is as good as a sum of theirs, and these are far from the ends of the range.
        let diagonal: Vec<f64> = (0..self.size).map(|row| self.values[row * self.size + row]).collect();
        diagonal.chunks(4).map(|some| -some.iter().product::<f64>().ln()).sum()
    }

    /// Solves `L x = b` in place.
    pub(super) fn solve_lower(&self, values: &mut [f64]) {
        for row in 0..self.size {
            let factors = &self.values[row * self.size..row * self.size + row + 1];
            values[row] = (values[row] - dot(&factors[..row], &values[..row])) * factors[row];
        }
    }

    /// Solves `L' x = b` in place.
    pub(super) fn solve_upper(&self, values: &mut [f64]) {
        for row in (0..self.size).rev() {
            let factors = &self.values[row * self.size..row * self.size + row + 1];
            let value = values[row] * factors[row];
            values[row] = value;
            for (other, factor) in values[..row].iter_mut().zip(factors) {
                *other -= value * factor;
            }
        }
    }

    /// The trace of the inverse matrix.
    pub(super) fn trace_of_inverse(&self, inverse: &mut Vec<f64>) -> f64 {
        // Row by row of the factor's inverse: row r is -(1/L_rr) sum over c < r of L_rc times row c.
        let size = self.size;
        inverse.clear();
        inverse.resize(size * size, 0.0);
        let mut trace = 0.0;
        for row in 0..size {
            let (above, current) = inverse.split_at_mut(row * size);
            let current = &mut current[..row + 1];
            let factors = &self.values[row * size..row * size + row + 1];
            for (column, factor) in factors[..row].iter().enumerate() {
                let other = &above[column * size..column * size + column + 1];
                for (value, other) in current.iter_mut().zip(other) {
                    *value -= factor * other;
                }
            }
            for value in current[..row].iter_mut() {
                *value *= factors[row];
                trace += *value * *value;
            }
            current[row] = factors[row];
            trace += factors[row] * factors[row];
        }
        trace
    }
}

/// The inner product, in four sums, so that the processor can make them at once.
pub(super) fn dot(left: &[f64], right: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (left_blocks, left_rest) = left.as_chunks::<4>();
    let (right_blocks, right_rest) = right.as_chunks::<4>();
    for (left, right) in left_blocks.iter().zip(right_blocks) {
        for lane in 0..4 {
            sums[lane] += left[lane] * right[lane];
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum();
    sums[0] + sums[1] + sums[2] + sums[3] + rest
}

#[cfg(test)]
mod tests {
    use super::Cholesky;

    #[test]
    fn a_factor_solves_and_tells_the_trace() {
        let matrix = [[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]];
        let mut factor = Cholesky::default();
        factor.factor(3, &[3.0, 1.0, 2.0, 0.5, 0.25, 1.0], 1.0);
        let mut solution = [1.0, 2.0, 3.0];
        factor.solve_lower(&mut solution);
        factor.solve_upper(&mut solution);
        for (row, expected) in matrix.iter().zip([1.0, 2.0, 3.0]) {
            let product: f64 = row.iter().zip(&solution).map(|(entry, value)| entry * value).sum();
            assert!((product - expected).abs() < 1e-12, "{product} for {expected}");
        }
        // Determinant 4 (6 - 0.0625) - (2 - 0.125) + 0.5 (0.25 - 1.5); adjugates of the diagonal over it.
        let determinant: f64 = 4.0 * 5.9375 - 1.875 + 0.5 * -1.25;
        assert!((factor.half_log_determinant() - 0.5 * determinant.ln()).abs() < 1e-12);
        let trace = (5.9375 + 7.75 + 11.0) / determinant;
        assert!((factor.trace_of_inverse(&mut Vec::new()) - trace).abs() < 1e-12);
    }
}
