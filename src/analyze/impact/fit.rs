//! Fits the model to one window.

#![expect(clippy::float_arithmetic, reason = "an estimate")]

use super::{
    Model, NeighbourCourse,
    design::{Design, Role},
    posterior::{NEIGHBOUR_SD, OWN_SD, Posterior},
    regression::{self, Evidence, Scratch},
    search,
    window::Window,
};

/// The model fitted to one window.
pub(super) struct Fit {
    pub(super) design: Design,
    pub(super) posterior: Posterior,
    /// Coefficients of the base under the likeliest kind of noise, in its order.
    pub(super) coefficients: Vec<f64>,
}

impl Fit {
    /// Fits the model.
    pub(super) fn of(window: &Window, model: &Model) -> Self {
        let mut scratch = Scratch::default();
        let mut design = Design::of(window, model);
        let mut kinds = regression::kinds(&window.days, model);
        for kind in &mut kinds {
            kind.add(design.columns());
        }
        // One normal prior for everything, to find what nobody announced and the variance.
        let mut columns = design.base_places();
        let announced = columns.len();
        columns.push((design.place_of_shape(0), OWN_SD));
        for neighbour in 0..design.neighbours.len() {
            for course in [NeighbourCourse::Step, NeighbourCourse::Pulse] {
                columns.push((design.place_of_neighbour(neighbour, course), NEIGHBOUR_SD));
            }
        }
        let others = columns.len() - announced;
        search::unannounced(window, &mut design, model, &mut kinds, &mut columns, &mut scratch);
        let mut best: Option<(f64, Evidence)> = None;
        let mut weights = Vec::with_capacity(kinds.len());
        for kind in &mut kinds {
            let evidence = kind.evidence(&columns, &mut scratch);
            let weight = evidence.log_likelihood + kind.log_prior;
            weights.push(weight);
            if best.as_ref().is_none_or(|(highest, _)| weight > *highest) {
                best = Some((weight, evidence));
            }
        }
        let mut coefficients = best.map(|(_, evidence)| evidence.coefficients).unwrap_or_default();
        coefficients.drain(announced..announced + others);
        let posterior = Posterior::of(window, &design, model, &kinds, &weights);
        Self { design, posterior, coefficients }
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
