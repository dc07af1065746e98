//! What releases, traffic, prices and the calendar do not explain about the last days: for anomalies.

use super::{
    History, Model, Seen,
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
    /// The largest `size` of the days a month before, in log cost; 0 where none of them is known.
    pub(crate) month_before: f64,
}

/// Standard deviation of what a release may have done.
const RELEASE_SD: f64 = 0.3;
/// Days back to what comes once a month, whatever the month.
const MONTH_DAYS: std::ops::RangeInclusive<i32> = 28..=31;
/// Days at the end that are told one by one.
const LAST_DAYS: usize = 7;

impl Surprises {
    /// What surprises in the days up to the last complete one; none where the history is too short or costs nothing.
    pub(crate) fn of(history: &History, model: &Model) -> Option<Self> {
        // Every release may have done something: as a step of any usual size. Courses are of no interest here.
        let model = &Model { neighbours: 0, other_release_sd: RELEASE_SD, ..model.clone() };
        let after = history.complete_to + chrono::Days::new(1);
        let window = Window::until(Seen::whole(history), after, model).ok()?;
        let mut scratch = Scratch::default();
        let mut design = Design::of(&window, model);
        let mut kinds = regression::kinds(model);
        let mut columns = design.base_places();
        let likeliest = search::unannounced(&window, &mut design, model, &mut kinds, &mut columns, &mut scratch);
        let (best, evidence) = (likeliest.index, likeliest.evidence);
        let date = |days: i32| after + chrono::Duration::days(i64::from(days));
        let surprises = kinds[best].innovations(&columns, &evidence);
        let size = |at: usize| size(&window, at, surprises[at].0, &design, &evidence.coefficients);
        let first = window.days.len().saturating_sub(LAST_DAYS);
        let days = (first..window.days.len())
            .map(|at| Surprise {
                day: date(window.days[at]),
                deviations: deviations(size(at), surprises[at].1),
                size: size(at),
                cost: cost(&window, at),
                month_before: (0..at)
                    .filter(|before| MONTH_DAYS.contains(&(window.days[at] - window.days[*before])))
                    .map(size)
                    .fold(0.0, f64::max),
            })
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

/// What a day cost.
#[expect(clippy::float_arithmetic, reason = "residuals")]
fn cost(window: &Window, at: usize) -> f64 {
    window.cost[at] - window.offset
}

#[expect(clippy::float_arithmetic, reason = "residuals")]
fn deviations(size: f64, deviation: f64) -> f64 {
    size / deviation.max(1e-6)
}

/// By how much a day missed what was expected of it, in log cost. A day that became an outlier of its own has no
/// innovation left: what its column took is the surprise.
#[expect(clippy::float_arithmetic, reason = "residuals")]
fn size(window: &Window, at: usize, missed: f64, design: &Design, coefficients: &[f64]) -> f64 {
    let own = design
        .base
        .iter()
        .zip(coefficients)
        .filter(|(column, _)| column.role == super::design::Role::Outlier(window.days[at]))
        .map(|(_, size)| size)
        .sum::<f64>();
    missed + own
}
