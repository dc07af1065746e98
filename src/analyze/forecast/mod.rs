//! What a month, quarter or year will cost: known days, what incomplete days will still gain and days without their bill
//! cost, and a forecast of the rest, with an interval on the sum.
//!
//! Pure. Amounts are estimates in binary floating point; they are never added to amounts of bills. `docs/method.md`
//! says how it works.

mod candidate;
mod interval;
mod rolling;

pub use candidate::Candidate;
pub use interval::{Adaptive, RECORD_MIN, widening};

use chrono::NaiveDate;

/// Days with a figure that a forecast needs.
pub const HISTORY_DAYS_MIN: usize = 28;
/// Days back from the last one within which a release that changed the level matters.
pub const RESTART_DAYS: usize = candidate::TREND_DAYS;
/// An incomplete day counts, scaled up, when at least this share of it is expected to be visible.
pub const NOWCAST_SHARE_MIN: f64 = 0.9;

/// What is asked about one scope: a service, a team, everything. All questions of one batch ask for the same days.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The day of the first entry of every part.
    pub first_day: NaiveDate,
    /// The parts of the scope (the services of a team), each with its usage cost a day in units of the currency, up to
    /// the day on which it is asked. `None` is a day without a figure.
    pub parts: Vec<Part>,
    /// The last complete day.
    pub complete_to: NaiveDate,
    /// The share of a day that is expected to be visible, for the days after `complete_to`, in order: 0 to 1.
    pub visible_shares: Vec<f64>,
    /// The first day asked.
    pub from: NaiveDate,
    /// The last day asked.
    pub to: NaiveDate,
    /// Fees that the calendar brings between the day after `complete_to` and `to`, in units of the currency.
    pub fees: f64,
}

/// A part of a scope.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Part {
    /// Usage cost a day, in units of the currency.
    pub cost: Vec<Option<f64>>,
    /// Days on which a release changed the cost, as far as findings say: the level starts anew where the change lasts.
    pub restarts: Vec<NaiveDate>,
    /// The first day whose bill is late: that day and those after it are not known.
    pub late_from: Option<NaiveDate>,
    /// What other bills show of the complete days asked from then on, in units of the currency.
    pub shown: f64,
}

/// A forecast of the cost of the days asked, in units of the currency.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The sum: `known + incomplete + late + rest + fees`.
    pub point: f64,
    /// Lower end of the interval, which is meant to hold what comes in 90 of 100 cases; `None` where too few past days could
    /// be forecast to know.
    pub low: Option<f64>,
    /// Upper end of it.
    pub high: Option<f64>,
    /// Cost of the complete days asked.
    pub known: f64,
    /// Cost of the incomplete days asked that show nearly all of it, scaled up.
    pub incomplete: f64,
    /// What is expected of days asked before those whose bill is late, beside what other bills show of them.
    pub late: f64,
    /// Forecast of the days asked after those.
    pub rest: f64,
    /// Calendar fees.
    pub fees: f64,
    /// By how much the interval was widened because earlier ones held less than they were meant to.
    pub widening: f64,
    /// How the rest was forecast: what did best on the past.
    pub candidate: Candidate,
    /// Mean error of that on the past, as a share of what was forecast; `None` where none could be tried.
    pub past_error: Option<f64>,
    /// How many past days it was tried from.
    pub origins: usize,
}

/// Why there is no forecast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoForecast {
    /// Too few days with a figure.
    #[error("History too short: {days} days with a figure, and a forecast needs {HISTORY_DAYS_MIN}")]
    HistoryTooShort {
        /// Days with a figure in the longest part.
        days: usize,
    },
}

/// Forecasts a batch of scopes for the same days. How far forecasts went wrong is learnt from all of them together, each
/// against its own scale, so that a batch should hold scopes of one kind, and as many as there are.
pub fn forecast(questions: &[Question], adaptive: &Adaptive) -> Vec<Result<Forecast, NoForecast>> {
    let tried: Vec<Result<rolling::Tried, NoForecast>> = questions.iter().map(rolling::Tried::of).collect();
    let pool = interval::Pool::of(tried.iter().flatten(), adaptive);
    let answer = |(question, tried): (&Question, Result<rolling::Tried, NoForecast>)| {
        tried.map(|tried| answered(question, &tried, &pool))
    };
    questions.iter().zip(tried).map(answer).collect()
}

#[expect(clippy::float_arithmetic, reason = "an estimate, not an amount of a bill")]
fn answered(question: &Question, tried: &rolling::Tried, pool: &interval::Pool) -> Forecast {
    let point = tried.known + tried.incomplete + tried.late + tried.rest + question.fees;
    let half_width = pool.half_width(tried);
    Forecast {
        point,
        // What is known cannot get less.
        low: half_width.map(|half| point - half.min((tried.late + tried.rest).max(0.0))),
        high: half_width.map(|half| point + half),
        known: tried.known,
        incomplete: tried.incomplete,
        late: tried.late,
        rest: tried.rest,
        fees: question.fees,
        widening: pool.widening,
        candidate: tried.candidate,
        past_error: tried.past_error(),
        origins: tried.errors.len(),
    }
}

#[cfg(test)]
mod tests;
