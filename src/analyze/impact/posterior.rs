//! The posterior of the release's effect: a finite mixture of normals over kinds of noise, what near neighbours did,
//! the course of the effect and its scale; and what it means in money.

#![expect(clippy::float_arithmetic, reason = "probabilities, and estimates in units of the currency")]

use super::{
    Model, NeighbourCourse, Shape,
    cholesky::Cholesky,
    design::Design,
    mixture::{Mixture, Part},
    regression::Noise,
    window::Window,
};

/// Standard deviation of the release's step in the regression that finds the variance.
pub(super) const OWN_SD: f64 = 0.2;
/// Standard deviation of steps and pulses of near neighbours there.
pub(super) const NEIGHBOUR_SD: f64 = 0.141_421_356_237_309_5;
/// Kinds of noise, and terms, that are less likely than the likeliest by more than this (natural logarithm) are left out.
const NOISE_LOG_RANGE: f64 = 7.0;
const TERM_LOG_RANGE: f64 = 9.0;

/// What is known of the effect after the days were looked at.
#[derive(Debug, Clone)]
pub(super) struct Posterior {
    /// The mean of the effect, in units of the currency a day.
    pub(super) estimate: f64,
    /// The probability of an effect.
    pub(super) probability: f64,
    /// The effect given that there is one.
    pub(super) given: Mixture,
    /// The mean size of the effect in log cost, given that there is one.
    pub(super) size: f64,
    /// Standard deviation of a day's noise.
    pub(super) noise: f64,
    /// How precisely the days tell the size of a lasting effect: one over its variance without a prior.
    pub(super) information: f64,
    /// Weights of the courses, given an effect, in the order of the model.
    pub(super) courses: Vec<f64>,
    /// For each near neighbour, how likely it did something.
    pub(super) neighbours: Vec<f64>,
}

/// One term of the posterior before it is turned into money.
struct Term {
    log_weight: f64,
    mean: f64,
    variance: f64,
    information: f64,
    shape: usize,
    size: usize,
    states: usize,
    noise: usize,
}

/// What the regression under one kind of noise says about the effect and near neighbours, all else integrated out.
struct Reduced {
    log_likelihood: f64,
    /// Information between shapes and neighbours' courses.
    information: Vec<f64>,
    /// What the days say of each.
    score: Vec<f64>,
    width: usize,
    noise: usize,
}

impl Posterior {
    /// Sums over everything that is not integrated in closed form.
    pub(super) fn of(window: &Window, design: &Design, model: &Model, kinds: &[Noise], weights: &[f64]) -> Self {
        let highest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut terms = Vec::new();
        let mut best = f64::NEG_INFINITY;
        let states = combinations(model, design.neighbours.len());
        for (index, kind) in kinds.iter().enumerate() {
            if weights[index] > highest - NOISE_LOG_RANGE {
                let reduced = Reduced::of(kind, index, design);
                reduced.enumerate(design, model, &states, &mut terms, &mut best);
            }
        }
        terms.retain(|term| term.log_weight > best - TERM_LOG_RANGE);
        Self::in_money(window, model, kinds, &states, &terms, best)
    }

    fn in_money(window: &Window, model: &Model, kinds: &[Noise], states: &[States], terms: &[Term], best: f64) -> Self {
        let money: Vec<Money> = model.shapes.iter().map(|(shape, _)| Money::of(*shape, &window.asked)).collect();
        let neighbours = states.first().map_or(0, |state| state.choice.len());
        let mut given = Vec::with_capacity(terms.len());
        let mut posterior = Self {
            estimate: 0.0,
            probability: 0.0,
            given: Mixture::default(),
            size: 0.0,
            noise: 0.0,
            information: 0.0,
            courses: vec![0.0; model.shapes.len()],
            neighbours: vec![0.0; neighbours],
        };
        let (mut total, mut effect, mut variance, mut lasting) = (0.0, 0.0, 0.0, 0.0);
        for term in terms {
            let weight = (term.log_weight - best).exp();
            let (amount, slope) = money[term.shape].at(term.mean);
            total += weight;
            posterior.estimate += weight * amount;
            variance += weight * kinds[term.noise].variance;
            for (sum, choice) in posterior.neighbours.iter_mut().zip(&states[term.states].choice) {
                *sum += if model.neighbour_states[*choice].0 == NeighbourCourse::Nothing { 0.0 } else { weight };
            }
            if model.shapes[term.shape].0 == Shape::Step {
                lasting += weight;
                posterior.information += weight * term.information;
            }
            if term.size > 0 {
                effect += weight;
                posterior.size += weight * term.mean;
                posterior.courses[term.shape] += weight;
                given.push(Part { weight, mean: amount, sd: term.variance.sqrt() * slope.abs() });
            }
        }
        posterior.estimate /= total;
        posterior.probability = effect / total;
        posterior.information /= f64::max(lasting, 1e-12);
        posterior.noise = (variance / total).sqrt();
        posterior.neighbours.iter_mut().for_each(|sum| *sum /= total);
        if effect > 0.0 {
            posterior.size /= effect;
            posterior.courses.iter_mut().for_each(|sum| *sum /= effect);
        }
        posterior.given = Mixture::of(given);
        posterior
    }
}

/// What one combination of near neighbours did.
struct States {
    /// For each neighbour, its place in the model's states.
    choice: Vec<usize>,
    log_prior: f64,
}

/// All combinations of what near neighbours may have done.
fn combinations(model: &Model, neighbours: usize) -> Vec<States> {
    let mut all = vec![States { choice: Vec::new(), log_prior: 0.0 }];
    for _ in 0..neighbours {
        let mut longer = Vec::with_capacity(all.len() * model.neighbour_states.len());
        for states in &all {
            for (index, (_, _, prior)) in model.neighbour_states.iter().enumerate() {
                let choice = states.choice.iter().copied().chain([index]).collect();
                longer.push(States { choice, log_prior: states.log_prior + prior.ln() });
            }
        }
        all = longer;
    }
    all
}

impl Reduced {
    fn of(kind: &Noise, index: usize, design: &Design) -> Self {
        let base = design.base_places();
        let mut factor = Cholesky::default();
        kind.factor(&base, kind.variance, &mut factor);
        let first = design.place_of_shape(0);
        let width = design.shapes.len() + design.courses.len() * design.neighbours.len();
        let solved = |column: usize| {
            let mut right: Vec<f64> =
                base.iter().map(|(place, sd)| sd * kind.product(*place, column) / kind.variance).collect();
            factor.solve_lower(&mut right);
            right
        };
        let target = solved(0);
        let columns: Vec<Vec<f64>> = (0..width).map(|column| solved(first + column)).collect();
        let mut information = vec![0.0; width * width];
        for row in 0..width {
            for column in 0..=row {
                let value = kind.product(first + row, first + column) / kind.variance
                    - super::cholesky::dot(&columns[row], &columns[column]);
                information[row * width + column] = value;
                information[column * width + row] = value;
            }
        }
        let score = (0..width)
            .map(|row| kind.product(first + row, 0) / kind.variance - super::cholesky::dot(&columns[row], &target))
            .collect();
        Self { log_likelihood: kind.log_likelihood_at(&factor, &target), information, score, width, noise: index }
    }

    /// Adds a term for each combination of neighbours, course and scale. Given a combination, the effect's information
    /// and score come from a matrix as small as there are neighbours.
    fn enumerate(&self, design: &Design, model: &Model, states: &[States], terms: &mut Vec<Term>, best: &mut f64) {
        let shapes = design.shapes.len();
        let mut factor = Cholesky::default();
        let mut picked: Vec<(usize, f64)> = Vec::new();
        let (mut score, mut cross) = (Vec::new(), Vec::new());
        for (index, state) in states.iter().enumerate() {
            picked.clear();
            picked.extend(state.choice.iter().enumerate().map(|(neighbour, choice)| {
                let (course, sd, _) = model.neighbour_states[*choice];
                let course = if course == NeighbourCourse::Nothing { NeighbourCourse::Step } else { course };
                (design.place_of_neighbour(neighbour, course) - design.place_of_shape(0), sd)
            }));
            factor.factor(picked.len(), |row, column| {
                let ((left, left_sd), (right, right_sd)) = (picked[row], picked[column]);
                self.information[left * self.width + right] * left_sd * right_sd + f64::from(u8::from(row == column))
            });
            score.clear();
            score.extend(picked.iter().map(|(place, sd)| sd * self.score[*place]));
            factor.solve_lower(&mut score);
            let squares: f64 = score.iter().map(|value| value * value).sum();
            let likelihood = self.log_likelihood + 0.5 * squares - factor.half_log_determinant() + state.log_prior;
            for shape in 0..shapes {
                cross.clear();
                cross.extend(picked.iter().map(|(place, sd)| sd * self.information[shape * self.width + place]));
                factor.solve_lower(&mut cross);
                let (mut information, mut pull) = (self.information[shape * self.width + shape], self.score[shape]);
                for (value, score) in cross.iter().zip(&score) {
                    information -= value * value;
                    pull -= value * score;
                }
                let information = information.max(1e-9);
                let prior = likelihood + model.shapes[shape].1.ln();
                // No scale can gain more than this: most terms need no logarithm.
                if prior + 0.5 * pull * pull / information < *best - TERM_LOG_RANGE {
                    continue;
                }
                for (size, (sd, size_prior)) in model.sizes.iter().enumerate() {
                    let spread = 1.0 + sd * sd * information;
                    let variance = sd * sd / spread;
                    let mean = pull * variance;
                    let log_weight = prior + size_prior.ln() + 0.5 * mean * pull - 0.5 * spread.ln();
                    *best = best.max(log_weight);
                    if log_weight > *best - TERM_LOG_RANGE {
                        let noise = self.noise;
                        terms.push(Term { log_weight, mean, variance, information, shape, size, states: index, noise });
                    }
                }
            }
        }
    }
}

/// Turns a size in log cost into money a day, for one course.
struct Money {
    /// For each share of the effect that occurs: the cost of the days that have it, as a part of a day's mean.
    parts: Vec<(f64, f64)>,
}

impl Money {
    fn of(shape: Shape, asked: &[f64]) -> Self {
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
        Self { parts }
    }

    /// The amount a day for a size, and how fast it grows with the size.
    fn at(&self, size: f64) -> (f64, f64) {
        let size = size.clamp(-5.0, 5.0);
        let (mut amount, mut slope) = (0.0, 0.0);
        for (share, cost) in &self.parts {
            let without = (-size * share).exp();
            amount += cost * (1.0 - without);
            slope += cost * without * share;
        }
        (amount, slope)
    }
}
