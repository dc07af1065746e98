//! Fits the model to one window.

#![expect(clippy::float_arithmetic, reason = "an estimate")]

use super::{
    Model,
    design::{Design, FIRST_COURSES, Role},
    posterior::{NEIGHBOUR_SD, OWN_SD, Posterior},
    regression::{self, Scratch},
    search,
    window::Window,
};

/// The model fitted to one window.
pub(super) struct Fit {
    pub(super) design: Design,
    pub(super) posterior: Posterior,
    /// Coefficients of the base under the likeliest kind of noise, in its order.
    coefficients: Vec<f64>,
    /// Coefficients of the step and the pulse of each near neighbour, under the same.
    neighbour_coefficients: Vec<[f64; 2]>,
    /// What log cost was expected to be on each day from those before it, and the standard deviation of that.
    pub(super) one_day_ahead: Vec<(f64, f64)>,
    /// The elasticity to traffic that the coefficients are differences from.
    pub(super) elasticity_beforehand: f64,
}

impl Fit {
    /// Fits the model.
    pub(super) fn of(window: &Window, model: &Model) -> Self {
        let mut scratch = Scratch::default();
        let mut design = Design::of(window, model);
        let mut kinds = regression::kinds(model);
        // One normal prior for everything, to find what nobody announced and the variance.
        let mut columns = design.base_places();
        let announced = columns.len();
        let tried = design.places_of_tried();
        columns.push((tried[0], OWN_SD));
        for neighbour in 0..design.neighbours.len() {
            for course in FIRST_COURSES {
                columns.push((tried[design.tried_of_neighbour(neighbour, course)], NEIGHBOUR_SD));
            }
        }
        let others = columns.len() - announced;
        let found = search::unannounced(window, &mut design, model, &mut kinds, &mut columns, &mut scratch);
        let (likeliest, evidence) = (found.index, found.evidence);
        let innovations = kinds[likeliest].innovations(&columns, &evidence);
        let one_day_ahead =
            window.log_cost.iter().zip(innovations).map(|(cost, (error, sd))| (cost - error, sd)).collect();
        let mut coefficients = evidence.coefficients;
        let neighbours: Vec<f64> = coefficients.drain(announced..announced + others).skip(1).collect();
        let posterior = Posterior::of(window, &design, model, &mut kinds, &found.weights, &mut scratch);
        Self {
            design,
            posterior,
            coefficients,
            neighbour_coefficients: neighbours.as_chunks::<2>().0.to_vec(),
            one_day_ahead,
            elasticity_beforehand: model.elasticity.0,
        }
    }

    /// What the columns of a role add to log cost, day by day.
    pub(super) fn sizes(&self, role: Role) -> Vec<f64> {
        let mut sizes = vec![0.0; self.design.target.len()];
        for (column, coefficient) in self.design.base.iter().zip(&self.coefficients) {
            if column.role == role {
                add(&mut sizes, *coefficient, &column.values);
            }
        }
        sizes
    }

    /// What another release, by its place in the window's list, adds to log cost.
    pub(super) fn release_sizes(&self, index: usize) -> Vec<f64> {
        let mut sizes = self.sizes(Role::Release(index));
        for (neighbour, coefficients) in self.design.neighbours.iter().zip(&self.neighbour_coefficients) {
            if neighbour.index == index {
                for (course, coefficient) in FIRST_COURSES.iter().zip(coefficients) {
                    if let Some(place) = self.design.courses.iter().position(|other| other == course) {
                        add(&mut sizes, *coefficient, &neighbour.columns[place]);
                    }
                }
            }
        }
        sizes
    }

    /// Whether the effect only takes back a shift before the release that no release explains.
    pub(super) fn undoes_a_shift(&self) -> bool {
        self.shifts().any(|(day, size)| {
            let left = (self.posterior.size + size).abs();
            day < 0 && size.abs() > 0.08 && left < (0.4 * size.abs()).max(0.05)
        })
    }

    /// Shifts that nobody announced: day, counted from the release, and size in log cost.
    pub(super) fn shifts(&self) -> impl Iterator<Item = (i32, f64)> {
        self.design.base.iter().zip(&self.coefficients).filter_map(|(column, size)| match column.role {
            Role::Shift(day) => Some((day, *size)),
            _ => None,
        })
    }
}

fn add(sizes: &mut [f64], coefficient: f64, values: &[f64]) {
    for (size, value) in sizes.iter_mut().zip(values) {
        *size += coefficient * value;
    }
}
