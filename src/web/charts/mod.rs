//! Charts as server-side SVG: numbers in, positions out, drawn by `templates/partials/chart_*.html`.
//!
//! The outer `<svg>` has no viewBox: heights are pixels, x is in percent, so text never scales and nothing
//! shifts. Bars are one path a series in a nested `<svg>` with `preserveAspectRatio="none"`. Colours come
//! from classes of a closed list, never from data. Floats are for positions only; figures stay exact.

#![expect(clippy::float_arithmetic, reason = "positions on a screen, never amounts")]

mod bars;
mod cells;
mod days;
mod key;
mod markers;
mod months;
mod pareto;
mod scale;
mod series;
mod spark;

pub use bars::{BandPoint, BarSeries, DayBars, Level};
pub use cells::{CellBars, ChangeBar, DayCells, DayState, ShareBar};
pub use days::Buckets;
pub use key::MarkKey;
pub use markers::{Event, Leads, Marker, NAMED_MAX, Shape, of_days};
pub use months::{MonthBar, MonthBars};
pub use pareto::Pareto;
pub use series::{Series, environment_class, ranked_class};
pub use spark::SparkBars;

use bigdecimal::{BigDecimal, ToPrimitive};

/// An amount as a position: a float is exact enough for a screen.
pub fn position(amount: &BigDecimal) -> f64 {
    amount.to_f64().unwrap_or_default()
}

/// At most two decimals, without trailing zeros: `468.69`, `8`.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

/// `96.67%`.
fn in_percent(part: f64, whole: f64) -> String {
    format!("{}%", short(if whole == 0.0 { 0.0 } else { 100.0 * part / whole }))
}
