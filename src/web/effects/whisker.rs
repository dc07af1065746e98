//! An estimate as a dot on its interval, all rows of a table on one scale.

#![expect(clippy::float_arithmetic, reason = "positions on a screen")]

use askama::Template;

/// Ends farther out than so many times the largest estimate are cut off: one wide interval must not flatten the rest.
const REACH: f64 = 4.0;

/// A dot-and-whisker cell. Written into a template as it is.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = r#"<svg height="28" aria-hidden="true" class="{{ class }}"><line class="zero" x1="{{ zero }}" x2="{{ zero }}" y1="0" y2="28"/>{% if let Some(mark) = mark %}<g class="whisker"><line x1="{{ mark.low }}" x2="{{ mark.high }}" y1="14" y2="14"/>{% if mark.ends_low %}<line x1="{{ mark.low }}" x2="{{ mark.low }}" y1="10" y2="18"/>{% endif %}{% if mark.ends_high %}<line x1="{{ mark.high }}" x2="{{ mark.high }}" y1="10" y2="18"/>{% endif %}</g><circle class="dot{% if hollow %} hollow{% endif %}" cx="{{ mark.at }}" cy="14" r="4"/>{% endif %}</svg>"#,
    ext = "html"
)]
pub struct Whisker {
    class: &'static str,
    zero: String,
    mark: Option<Placed>,
    hollow: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    low: String,
    high: String,
    at: String,
    ends_low: bool,
    ends_high: bool,
}

impl askama::filters::HtmlSafe for Whisker {}

/// A row before it has a place: estimate, low, high; none where nothing was estimated.
#[derive(Debug, Clone, Copy)]
pub struct Estimate {
    /// Amounts as positions.
    pub values: Option<(f64, f64, f64)>,
    /// `up`, `down`, `flat`.
    pub class: &'static str,
    /// Whether the answer may still change.
    pub is_open: bool,
}

impl Whisker {
    /// One a row.
    pub fn rows(rows: &[Estimate]) -> Vec<Self> {
        let values = || rows.iter().filter_map(|row| row.values);
        let limit = REACH * values().map(|(at, ..)| at.abs()).fold(0.0, f64::max);
        let low = values().map(|(_, low, _)| low.max(-limit)).fold(0.0, f64::min);
        let high = values().map(|(.., high)| high.min(limit)).fold(0.0, f64::max);
        let spread = if high - low > 0.0 { high - low } else { 1.0 };
        let place = |value: f64| format!("{:.1}%", 3.0 + 94.0 * ((value - low) / spread).clamp(0.0, 1.0));
        rows.iter()
            .map(|row| Self {
                class: row.class,
                zero: place(0.0),
                mark: row.values.map(|(at, from, to)| Placed {
                    low: place(from),
                    high: place(to),
                    at: place(at),
                    ends_low: from >= low,
                    ends_high: to <= high,
                }),
                hollow: row.is_open,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(values: Option<(f64, f64, f64)>) -> Estimate {
        Estimate { values, class: "flat", is_open: false }
    }

    #[test]
    fn rows_share_a_scale_with_zero_on_it_and_a_wide_one_is_cut() {
        let rows =
            Whisker::rows(&[estimate(Some((10.0, 0.0, 20.0))), estimate(None), estimate(Some((0.0, -500.0, 500.0)))]);
        let mark = |index: usize| rows[index].mark.clone().unwrap();
        assert_eq!(rows[0].zero, "50.0%");
        assert_eq!((mark(0).at.as_str(), mark(0).ends_low), ("61.8%", true));
        assert!(rows[1].mark.is_none());
        assert_eq!((mark(2).low.as_str(), mark(2).ends_low, mark(2).ends_high), ("3.0%", false, false));
        assert!(Whisker::rows(&[estimate(Some((0.0, 0.0, 0.0)))])[0].mark.is_some());
    }
}
