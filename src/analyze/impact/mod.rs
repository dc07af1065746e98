//! What a release did to the daily cost of its service: amount, interval, finding and what else may explain it.
//!
//! Pure: a history and a day in, an answer out. Amounts are estimates in binary floating point; they are never added
//! to amounts of bills. `docs/method.md` says how it works.

mod answer;
mod calibration;
mod cholesky;
mod design;
mod finding;
mod fit;
mod history;
mod life;
mod mixture;
mod model;
mod noise;
mod posterior;
mod regression;
mod search;
mod shape;
mod siblings;
mod window;

pub use answer::{Effect, ExpectedDay, Finding, Flag, FlagKind, Impact, NotSeparable, Phase, Reason, UnitEffect};
pub use calibration::Calibration;
pub use history::{History, KnownSize, Note, NoteKind, PriceEvent, PriceEventKind, ReleaseDay, Siblings};
pub use life::{CameBack, Returned, came_back, is_revision};
pub use model::{Model, NeighbourCourse};
pub use shape::Shape;
pub use siblings::{PricedService, pooled_price_size, sibling_index};

use chrono::NaiveDate;

/// Complete days after a release that a provisional answer needs.
pub const PROVISIONAL_DAYS: u32 = 3;
/// Complete days after a release with which the answer is settled.
pub const SETTLED_DAYS: u32 = 14;
/// Complete days before a release that an answer needs.
pub const HISTORY_DAYS_MIN: u32 = 28;
/// Complete days before a release that an answer looks at, where there are so many.
pub const HISTORY_DAYS: u32 = 84;

/// What the releases of `day` did to the cost of this service, as far as the complete days of its history say.
///
/// Never fails: what cannot be answered is `Finding::CannotTell` with its reason. A day on which the history names no
/// release is answered as if there were one without deployments (that is what placebos are).
pub fn estimate(history: &History, day: NaiveDate, model: &Model, calibration: &Calibration) -> Impact {
    match window::Window::of(history, day, model) {
        Ok(window) => answered(history, day, &window, &fit::Fit::of(&window, model), calibration),
        Err(none) => Impact::without_effect(history, day, none.reason()),
    }
}

fn answered(
    history: &History,
    day: NaiveDate,
    window: &window::Window,
    fit: &fit::Fit,
    calibration: &Calibration,
) -> Impact {
    let mut impact = Impact::without_effect(history, day, Reason::TooUncertain);
    let (low, high) = calibration.interval(impact.phase, &fit.posterior, window.nearest());
    let grounds = finding::Grounds {
        estimate: fit.posterior.estimate,
        low,
        high,
        before_per_day: window.before_per_day,
        probability: fit.posterior.probability,
        nearest: window.nearest(),
        undoes_a_shift: fit.undoes_a_shift(),
    };
    (impact.finding, impact.reason) = finding::finding(&grounds);
    impact.horizon_days = window.asked.len() as u32;
    impact.effect = Some(Effect::of(&grounds));
    impact
}
