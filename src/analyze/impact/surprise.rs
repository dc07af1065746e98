//! What releases, traffic, prices and the calendar do not explain about the last days: for anomalies.

use super::{
    History, Model,
    design::Design,
    regression::{self, Scratch},
    search, slow,
    window::Window,
};
use chrono::NaiveDate;

/// What is left of the last complete days when all that is known was taken off.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surprises {
    /// The last days, in order: by how many standard deviations each missed what was expected of it from the days
    /// before, by how much in log cost, and what it cost.
    pub(crate) days: Vec<Surprise>,
    /// Shifts of the level that nothing announced, over all days looked at: the day, and the size in log cost.
    pub(crate) shifts: Vec<(NaiveDate, f64)>,
    /// The likeliest rise that is still going on: the day on which it began, what it has come to in log cost, and the
    /// logarithm of how much more likely the days are with it.
    pub(crate) slope: Option<(NaiveDate, f64, f64)>,
    /// The median cost of a day.
    pub(crate) usual_per_day: f64,
}

/// What is left of one day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surprise {
    pub(crate) day: NaiveDate,
    pub(crate) deviations: f64,
    pub(crate) size: f64,
    pub(crate) cost: f64,
}

/// Standard deviation of what a release may have done.
const RELEASE_SD: f64 = 0.3;
/// Days at the end that are told one by one.
const LAST_DAYS: usize = 7;

impl Surprises {
    /// What surprises in the days up to the last complete one; none where the history is too short or costs nothing.
    pub(crate) fn of(history: &History, model: &Model) -> Option<Self> {
        // Every release may have done something: as a step of any usual size. Courses are of no interest here.
        let model = &Model { neighbours: 0, other_release_sd: RELEASE_SD, ..model.clone() };
        let after = history.complete_to + chrono::Days::new(1);
        let window = Window::until(history, after, model).ok()?;
        let mut scratch = Scratch::default();
        let mut design = Design::of(&window, model);
        let mut kinds = regression::kinds(model);
        let mut columns = design.base_places();
        let likeliest = search::unannounced(&window, &mut design, model, &mut kinds, &mut columns, &mut scratch);
        let (best, evidence) = (likeliest.index, likeliest.evidence);
        let date = |days: i32| after + chrono::Duration::days(i64::from(days));
        let surprises = kinds[best].innovations(&columns, &evidence);
        let first = window.days.len().saturating_sub(LAST_DAYS);
        let days = (first..window.days.len())
            .map(|at| surprise(&window, at, surprises[at], date(window.days[at]), &design, &evidence.coefficients))
            .collect();
        let shifts = design
            .base
            .iter()
            .zip(&evidence.coefficients)
            .filter_map(|(column, size)| match column.role {
                super::design::Role::Shift(day) => Some((date(day), *size)),
                _ => None,
            })
            .collect();
        let usual_per_day = super::window::median(&window.cost);
        let slope = slow::slope(&window, &design, model).map(|found| (date(found.day), found.size, found.log_factor));
        Some(Self { days, shifts, slope, usual_per_day })
    }
}

/// A day that became an outlier of its own has no innovation left: what its column took is the surprise.
#[expect(clippy::float_arithmetic, reason = "residuals")]
fn surprise(
    window: &Window,
    at: usize,
    (missed, deviation): (f64, f64),
    day: NaiveDate,
    design: &Design,
    coefficients: &[f64],
) -> Surprise {
    let own: f64 = design
        .base
        .iter()
        .zip(coefficients)
        .filter(|(column, _)| column.role == super::design::Role::Outlier(window.days[at]))
        .map(|(_, size)| size)
        .sum();
    let size = missed + own;
    Surprise { day, deviations: size / deviation.max(1e-6), size, cost: window.cost[at] - window.offset }
}
