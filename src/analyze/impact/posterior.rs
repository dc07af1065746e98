//! The posterior of the release's effect: a finite mixture of normals over kinds of noise, what near neighbours did,
//! the course of the effect and its scale; and what it means in money.

#![expect(clippy::float_arithmetic, reason = "probabilities, and estimates in units of the currency")]

use super::{
    Model, Shape,
    design::Design,
    mixture::{Mixture, Part},
    money::Money,
    reduced::{Reduced, Term, Terms},
    regression::{Noise, Scratch},
    thirty_days,
    window::Window,
};

/// Standard deviation of the release's step in the regression that finds the variance.
pub(super) const OWN_SD: f64 = 0.2;
/// Standard deviation of steps and pulses of near neighbours there.
pub(super) const NEIGHBOUR_SD: f64 = 0.141_421_356_237_309_5;
/// Kinds of noise that are less likely than the likeliest by more than this (natural logarithm) are left out.
const NOISE_LOG_RANGE: f64 = 7.0;

/// What is known of the effect after the days were looked at.
#[derive(Debug, Clone)]
pub(super) struct Posterior {
    /// The mean of the effect, in units of the currency a day.
    pub(super) estimate: f64,
    /// The probability of an effect.
    pub(super) probability: f64,
    /// The effect given that there is one.
    pub(super) given: Mixture,
    /// What it adds up to in 30 days, in units of the currency.
    pub(super) over_30_days: f64,
    /// The same given that there is one: the parts of a mixture, which answers alone make of them.
    pub(super) given_over_30_days: Vec<Part>,
    /// The mean size of the effect in log cost, given that there is one.
    pub(super) size: f64,
    /// Standard deviation of a day's noise.
    pub(super) noise: f64,
    /// How precisely the days tell the size of a lasting effect: one over its variance without a prior. `None` where the
    /// model knows no lasting effect.
    pub(super) information: Option<f64>,
    /// Weights of the courses, given an effect, in the order of the model.
    pub(super) courses: Vec<f64>,
    /// What each course adds to the estimate, in the order of the model.
    pub(super) amounts: Vec<f64>,
    /// For each near neighbour, how likely it did something.
    pub(super) neighbours: Vec<f64>,
}

impl Posterior {
    /// Sums over everything that is not integrated in closed form.
    pub(super) fn of(
        window: &Window,
        design: &Design,
        model: &Model,
        kinds: &mut [Noise],
        weights: &[f64],
        scratch: &mut Scratch,
    ) -> Self {
        let highest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut likely: Vec<usize> =
            (0..kinds.len()).filter(|kind| weights[*kind] > highest - NOISE_LOG_RANGE).collect();
        // The likeliest first: what it says rules out most of what the others could add.
        likely.sort_by(|left, right| weights[*right].total_cmp(&weights[*left]));
        let mut terms = Terms::default();
        for index in likely {
            kinds[index].add(design.late_columns());
            Reduced::of(&kinds[index], index, design, scratch).enumerate(design, model, &mut terms);
        }
        // Where some other course leaves no step likely enough, the days still tell how large a step would have been seen.
        let of_step = terms.step_information();
        let posterior = Self::in_money(window, design, model, kinds, &terms.likely());
        Self { information: posterior.information.or(of_step), ..posterior }
    }

    fn in_money(window: &Window, design: &Design, model: &Model, kinds: &[Noise], terms: &[Term]) -> Self {
        let money: Vec<Money> = model.shapes.iter().map(|(shape, _)| Money::of(*shape, &window.asked)).collect();
        let days: Vec<f64> = model.shapes.iter().map(|(shape, _)| thirty_days::factor(*shape, &window.asked)).collect();
        let best = terms.iter().map(|term| term.log_weight).fold(f64::NEG_INFINITY, f64::max);
        let neighbours = design.neighbours.len();
        let mut given = Vec::with_capacity(terms.len());
        let mut posterior = Self {
            estimate: 0.0,
            probability: 0.0,
            given: Mixture::default(),
            over_30_days: 0.0,
            given_over_30_days: Vec::with_capacity(terms.len()),
            size: 0.0,
            noise: 0.0,
            information: None,
            courses: vec![0.0; model.shapes.len()],
            amounts: vec![0.0; model.shapes.len()],
            neighbours: vec![0.0; neighbours],
        };
        let (mut total, mut effect, mut variance) = (0.0, 0.0, 0.0);
        let (mut lasting, mut information) = (0.0, 0.0);
        for term in terms {
            let weight = (term.log_weight - best).exp();
            let (amount, slope) = money[term.shape].at(term.mean);
            total += weight;
            let days = days[term.shape];
            posterior.estimate += weight * amount;
            posterior.over_30_days += weight * days * amount;
            posterior.amounts[term.shape] += weight * amount;
            variance += weight * kinds[term.noise].variance;
            for (sum, did) in posterior.neighbours.iter_mut().zip(term.neighbours) {
                *sum += if did { weight } else { 0.0 };
            }
            if model.shapes[term.shape].0 == Shape::Step {
                lasting += weight;
                information += weight * term.information;
            }
            if term.size > 0 {
                effect += weight;
                posterior.size += weight * term.mean;
                posterior.courses[term.shape] += weight;
                let sd = term.variance.sqrt() * slope.abs();
                given.push(Part { weight, mean: amount, sd });
                posterior.given_over_30_days.push(Part { weight, mean: days * amount, sd: days * sd });
            }
        }
        posterior.estimate /= total;
        posterior.over_30_days /= total;
        posterior.amounts.iter_mut().for_each(|sum| *sum /= total);
        posterior.probability = effect / total;
        posterior.information = (lasting > 0.0).then(|| information / lasting);
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
