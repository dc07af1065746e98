//! What a release did to the daily cost of its service: amount, interval, finding and what else may explain it.
//!
//! Pure: a history and a day in, an answer out. Amounts are estimates in binary floating point; they are never added
//! to amounts of bills. `docs/method.md` says how it works.

mod answer;
mod calibration;
mod chart;
mod cholesky;
mod course;
mod design;
mod finding;
mod fit;
mod flags;
mod history;
mod hours;
mod joint;
mod life;
mod mixture;
mod model;
mod money;
mod moves;
mod noise;
mod placebo;
mod placebo_days;
mod posterior;
mod raw;
mod reduced;
mod regression;
mod rollout;
mod search;
mod seen;
mod shape;
mod sibling_span;
mod siblings;
mod slow;
mod surprise;
#[cfg(test)]
mod tests;
mod thirty_days;
mod window;

pub use answer::{
    Effect, ExpectedDay, Finding, Flag, FlagKind, Impact, Phase, Reason, UnitEffect, without_bill, without_cost,
};
pub use calibration::Calibration;
pub use course::EffectCourse;
pub use finding::{claim_probability, smallest_claimed};
pub use history::{History, KnownSize, Note, NoteKind, PriceEvent, PriceEventKind, ReleaseDay, Siblings};
pub use hours::{DayHours, usual_hours, usual_share_before};
pub use joint::{estimate_joint, groups};
pub use life::{CameBack, Returned, came_back, is_revision};
pub use model::{Model, NeighbourCourse};
pub use placebo::{Placebo, placebo};
pub use placebo_days::{PlaceboPurpose, placebo_asked_to, placebo_days};
use raw::Raw;
pub use rollout::{ROLLOUT_DAYS_MAX, rollout_from, took_days};
use seen::Seen;
pub use shape::Shape;
pub use sibling_span::SiblingSpan;
pub use siblings::{PricedService, pooled_commitment_size, pooled_price_size, sibling_index};
pub(crate) use surprise::Surprises;
pub use thirty_days::ThirtyDays;

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
/// release is answered as if there were one without deployments (that is what placebos are). Of a release that took days
/// these are looked at by nobody: before it lies what came before it began.
pub fn estimate(history: &History, day: NaiveDate, model: &Model, calibration: &Calibration) -> Impact {
    let seen = Seen::of(history, day);
    match window::Window::of(seen, day, model) {
        Ok(window) => answer::answered(seen, day, &window, model, calibration),
        Err(none) => Impact::without_effect(seen, day, none.reason()),
    }
}
