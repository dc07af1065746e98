//! What the days say about the release and its near neighbours, all else integrated out, and every combination of what
//! they may have done.

#![expect(clippy::float_arithmetic, reason = "probabilities")]

use super::{
    Model, NeighbourCourse, Shape,
    design::Design,
    regression::{Noise, Scratch},
};

/// Terms that are less likely than the likeliest by more than this (natural logarithm) are left out.
const TERM_LOG_RANGE: f64 = 9.0;
/// The most near neighbours.
pub(super) const NEIGHBOURS: usize = 3;

/// One term of the posterior before it is turned into money.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) log_weight: f64,
    /// Mean and variance of the effect's size.
    pub(super) mean: f64,
    pub(super) variance: f64,
    /// How precisely the days tell the size: one over its variance without a prior.
    pub(super) information: f64,
    /// Places among the model's shapes and sizes, and the kind of noise.
    pub(super) shape: usize,
    pub(super) size: usize,
    pub(super) noise: usize,
    /// Which of the near neighbours did something.
    pub(super) neighbours: [bool; NEIGHBOURS],
}

/// Terms that are likely enough to matter.
pub(super) struct Terms {
    all: Vec<Term>,
    best: f64,
    /// Of the likeliest combination of noise and neighbours, had the release done nothing: its logarithm, and how precisely
    /// the days tell the size of a step under it.
    step: Option<(f64, f64)>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { all: Vec::with_capacity(4096), best: f64::NEG_INFINITY, step: None }
    }
}

impl Terms {
    /// Those that are likely enough beside the likeliest of all.
    pub(super) fn likely(mut self) -> Vec<Term> {
        let least = self.best - TERM_LOG_RANGE;
        self.all.retain(|term| term.log_weight > least);
        self.all
    }

    /// How precisely the days tell the size of a step, also where no term of a step is likely enough to be kept: after a
    /// pulse that leaves no doubt, say. `None` where the model has no step.
    pub(super) fn step_information(&self) -> Option<f64> {
        self.step.map(|(_, information)| information)
    }

    fn see_step(&mut self, log_likelihood: f64, information: f64) {
        if self.step.is_none_or(|(likeliest, _)| log_likelihood > likeliest) {
            self.step = Some((log_likelihood, information));
        }
    }

    fn is_lost(&self, log_weight: f64) -> bool {
        log_weight < self.best - TERM_LOG_RANGE
    }
}

/// What the regression under one kind of noise says about shapes and neighbours' courses, all else integrated out.
pub(super) struct Reduced {
    log_likelihood: f64,
    /// Information between shapes and neighbours' courses.
    information: Vec<f64>,
    /// What the days say of each.
    score: Vec<f64>,
    width: usize,
    noise: usize,
}

/// A state that a neighbour may be in, with all that the enumeration needs of it.
struct State {
    /// Its place among shapes and courses.
    place: usize,
    sd: f64,
    log_prior: f64,
    did_something: bool,
    /// Scaled information between it and each shape.
    cross: Vec<f64>,
}

/// Where the enumeration stands: some neighbours' states are chosen.
#[derive(Clone)]
struct Level {
    log_likelihood: f64,
    /// What is left of information and score of each shape.
    information: Vec<f64>,
    pull: Vec<f64>,
    /// The row that the last chosen neighbour added to the factor, and what is solved for it.
    row: [f64; NEIGHBOURS],
    solved: f64,
    cross: Vec<f64>,
    place: usize,
    sd: f64,
    did: [bool; NEIGHBOURS],
}

impl Reduced {
    pub(super) fn of(kind: &Noise, index: usize, design: &Design, scratch: &mut Scratch) -> Self {
        let base = design.base_places();
        let factor = kind.factor(&base, scratch);
        let tried = design.places_of_tried();
        let width = tried.len();
        let solved = |column: usize| {
            let mut right: Vec<f64> = base.iter().map(|(place, sd)| sd * kind.product(*place, column)).collect();
            factor.solve_lower(&mut right);
            right
        };
        let target = solved(0);
        let columns: Vec<Vec<f64>> = tried.iter().map(|place| solved(*place)).collect();
        let mut information = vec![0.0; width * width];
        for row in 0..width {
            for column in 0..=row {
                let value =
                    kind.product(tried[row], tried[column]) - super::cholesky::dot(&columns[row], &columns[column]);
                information[row * width + column] = value / kind.variance;
                information[column * width + row] = value / kind.variance;
            }
        }
        let score = (0..width)
            .map(|row| (kind.product(tried[row], 0) - super::cholesky::dot(&columns[row], &target)) / kind.variance)
            .collect();
        let log_likelihood = kind.log_likelihood_at(base.len(), &factor, &target);
        Self { log_likelihood, information, score, width, noise: index }
    }

    /// Adds a term for each combination of neighbours, course and size. Neighbours are chosen one after the other, so
    /// that combinations share what they have in common.
    pub(super) fn enumerate(&self, design: &Design, model: &Model, terms: &mut Terms) {
        let shapes = design.shapes.len();
        let states: Vec<Vec<State>> =
            (0..design.neighbours.len()).map(|neighbour| self.states(neighbour, design, model)).collect();
        let start = Level {
            log_likelihood: self.log_likelihood,
            information: (0..shapes).map(|shape| self.information[shape * self.width + shape]).collect(),
            pull: self.score[..shapes].to_vec(),
            row: [0.0; NEIGHBOURS],
            solved: 0.0,
            cross: vec![0.0; shapes],
            place: 0,
            sd: 0.0,
            did: [false; NEIGHBOURS],
        };
        let log_priors = LogPriors::of(model);
        let mut levels = vec![start; states.len() + 1];
        self.choose(0, &states, &mut levels, &log_priors, terms);
    }

    /// What a neighbour may have done.
    fn states(&self, neighbour: usize, design: &Design, model: &Model) -> Vec<State> {
        let state = |(course, sd, prior): &(NeighbourCourse, f64, f64)| {
            let did_something = *course != NeighbourCourse::Nothing;
            let course = if did_something { *course } else { NeighbourCourse::Step };
            let place = design.tried_of_neighbour(neighbour, course);
            let row = &self.information[place * self.width..(place + 1) * self.width];
            let cross = row[..design.shapes.len()].iter().map(|value| sd * value).collect();
            State { place, sd: *sd, log_prior: prior.ln(), did_something, cross }
        };
        model.neighbour_states.iter().map(state).collect()
    }

    fn choose(&self, depth: usize, states: &[Vec<State>], levels: &mut [Level], priors: &LogPriors, terms: &mut Terms) {
        let Some(options) = states.get(depth) else {
            self.add_terms(&levels[depth], priors, terms);
            return;
        };
        for state in options {
            let (chosen, rest) = levels.split_at_mut(depth + 1);
            self.extend(chosen, state, &mut rest[0]);
            self.choose(depth + 1, states, levels, priors, terms);
        }
    }

    /// Adds a neighbour to those chosen: a row of the factor of `1 + D I D`, with D the standard deviations.
    fn extend(&self, chosen: &[Level], state: &State, next: &mut Level) {
        let depth = chosen.len() - 1;
        let (last, chosen) = (&chosen[depth], &chosen[1..]);
        let information = &self.information[state.place * self.width..(state.place + 1) * self.width];
        let mut row = [0.0; NEIGHBOURS];
        let mut pivot = 1.0 + state.sd * state.sd * information[state.place];
        let mut solved = state.sd * self.score[state.place];
        next.cross.copy_from_slice(&state.cross);
        for (column, other) in chosen.iter().enumerate() {
            let before: f64 = row[..column].iter().zip(&other.row).map(|(left, right)| left * right).sum();
            let value = (state.sd * other.sd * information[other.place] - before) * other.row[column];
            row[column] = value;
            pivot -= value * value;
            solved -= value * other.solved;
            for (cross, shared) in next.cross.iter_mut().zip(&other.cross) {
                *cross -= value * shared;
            }
        }
        let pivot = pivot.max(1e-9);
        let reciprocal = pivot.sqrt().recip();
        // The diagonal is kept as its reciprocal, which is what everything divides by.
        row[depth] = reciprocal;
        next.row = row;
        next.solved = solved * reciprocal;
        next.log_likelihood =
            last.log_likelihood + 0.5 * next.solved * next.solved - 0.5 * pivot.ln() + state.log_prior;
        for (shape, cross) in next.cross.iter_mut().enumerate() {
            *cross *= reciprocal;
            next.information[shape] = last.information[shape] - *cross * *cross;
            next.pull[shape] = last.pull[shape] - *cross * next.solved;
        }
        (next.place, next.sd, next.did) = (state.place, state.sd, last.did);
        next.did[depth] = state.did_something;
    }

    /// The terms of one combination of neighbours.
    fn add_terms(&self, level: &Level, priors: &LogPriors, terms: &mut Terms) {
        let least = terms.best - TERM_LOG_RANGE;
        for (shape, log_prior) in priors.shapes.iter().enumerate() {
            let (information, pull) = (level.information[shape].max(1e-9), level.pull[shape]);
            let prior = level.log_likelihood + log_prior;
            if priors.step == Some(shape) {
                terms.see_step(prior, information);
            }
            // No size can gain more than half of `pull² / information`: most terms need no logarithm and no division.
            let lacking = least - prior;
            if lacking > 0.0 && pull * pull < 2.0 * information * lacking {
                continue;
            }
            for (size, (square, log_size)) in priors.sizes.iter().enumerate() {
                let spread = 1.0 + square * information;
                let variance = square / spread;
                let mean = pull * variance;
                let most = prior + log_size + 0.5 * mean * pull;
                if terms.is_lost(most) {
                    continue;
                }
                let log_weight = most - 0.5 * spread.ln();
                terms.best = terms.best.max(log_weight);
                if !terms.is_lost(log_weight) {
                    let (noise, neighbours) = (self.noise, level.did);
                    terms.all.push(Term { log_weight, mean, variance, information, shape, size, noise, neighbours });
                }
            }
        }
    }
}

/// Logarithms of what is likely beforehand.
struct LogPriors {
    shapes: Vec<f64>,
    /// The place of the step among the shapes.
    step: Option<usize>,
    /// Variance of each size, and the logarithm.
    sizes: Vec<(f64, f64)>,
}

impl LogPriors {
    fn of(model: &Model) -> Self {
        Self {
            shapes: model.shapes.iter().map(|(_, prior)| prior.ln()).collect(),
            step: model.shapes.iter().position(|(shape, _)| *shape == Shape::Step),
            sizes: model.sizes.iter().map(|(sd, prior)| (sd * sd, prior.ln())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_days_say_of_a_step_is_known_where_none_of_its_terms_is_kept() {
        let model = Model { shapes: vec![(Shape::Pulse(2), 0.5), (Shape::Step, 0.5)], ..Model::default() };
        let reduced = Reduced { log_likelihood: 0.0, information: Vec::new(), score: Vec::new(), width: 2, noise: 0 };
        let level = |log_likelihood, of_step| Level {
            log_likelihood,
            information: vec![900.0, of_step],
            pull: vec![900.0, 0.0],
            row: [0.0; NEIGHBOURS],
            solved: 0.0,
            cross: vec![0.0; 2],
            place: 0,
            sd: 0.0,
            did: [false; NEIGHBOURS],
        };
        let mut terms = Terms::default();
        assert!(terms.step_information().is_none());
        for (log_likelihood, of_step) in [(-8.0, 100.0), (-3.0, 400.0), (-5.0, 250.0)] {
            reduced.add_terms(&level(log_likelihood, of_step), &LogPriors::of(&model), &mut terms);
        }
        assert_eq!(terms.step_information(), Some(400.0), "of the likeliest");
        let kept = terms.likely();
        assert!(!kept.is_empty() && kept.iter().all(|term| term.shape == 0), "{kept:?}");
    }
}
