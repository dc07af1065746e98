use super::in_percent;
use askama::Template;

/// Bars in a table cell: dark now, light before, on one scale for the whole table.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = r#"<svg height="18" aria-hidden="true"><rect class="b-prior" x="0" y="3" width="{{ before }}" height="12"/><rect class="b-actual" x="0" y="6" width="{{ now }}" height="6"/></svg>"#,
    ext = "html"
)]
pub struct CellBars {
    now: String,
    before: String,
}

impl askama::filters::HtmlSafe for CellBars {}

impl CellBars {
    /// One a row. A credit has no bar; its figure stands beside.
    pub fn rows(rows: &[(f64, f64)]) -> Vec<Self> {
        let largest = rows.iter().map(|(now, before)| now.max(*before)).fold(0.0, f64::max);
        let width = |value: f64| in_percent(value.max(0.0), largest);
        rows.iter().map(|(now, before)| Self { now: width(*now), before: width(*before) }).collect()
    }
}

/// A change as a bar to the right (more) or left (less) of zero, on one scale for the whole table.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = r#"<svg height="20" aria-hidden="true"><line class="zero" x1="50%" x2="50%" y1="0" y2="20"/><rect class="{{ class }}" x="{{ x }}" y="4" width="{{ width }}" height="12"/></svg>"#,
    ext = "html"
)]
pub struct ChangeBar {
    class: &'static str,
    x: String,
    width: String,
}

impl askama::filters::HtmlSafe for ChangeBar {}

impl ChangeBar {
    /// One a row.
    pub fn rows(changes: &[f64]) -> Vec<Self> {
        let largest = changes.iter().map(|change| change.abs()).fold(0.0, f64::max);
        let bar = |change: &f64| Self {
            class: if *change < 0.0 { "b-down" } else { "b-up" },
            x: in_percent(if *change < 0.0 { largest + change } else { largest }, largest * 2.0),
            width: in_percent(change.abs(), largest * 2.0),
        };
        changes.iter().map(bar).collect()
    }
}

/// A share of the largest row.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = r#"<svg height="18" aria-hidden="true"><rect class="b-actual" x="0" y="5" width="{{ width }}" height="8"/></svg>"#,
    ext = "html"
)]
pub struct ShareBar {
    width: String,
}

impl askama::filters::HtmlSafe for ShareBar {}

impl ShareBar {
    /// One a row.
    pub fn rows(values: &[f64]) -> Vec<Self> {
        let largest = values.iter().copied().fold(0.0, f64::max);
        values.iter().map(|value| Self { width: in_percent(value.max(0.0), largest) }).collect()
    }
}

/// Whether a day's bill is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayState {
    /// In full.
    Complete,
    /// Some of it.
    Arriving,
    /// Nothing.
    Missing,
}

impl DayState {
    fn class(self) -> &'static str {
        match self {
            Self::Complete => "d-ok",
            Self::Arriving => "d-part",
            Self::Missing => "d-none",
        }
    }
}

/// A row of day cells.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = r#"<svg height="18" aria-hidden="true">{% for cell in cells %}<rect class="{{ cell.1 }}" x="{{ cell.0 }}" y="4" width="{{ width }}" height="10"/>{% endfor %}</svg>"#,
    ext = "html"
)]
pub struct DayCells {
    cells: Vec<(String, &'static str)>,
    width: String,
}

impl askama::filters::HtmlSafe for DayCells {}

impl DayCells {
    /// One cell a day, in order.
    pub fn new(days: &[DayState]) -> Self {
        let count = days.len() as f64;
        let cells = days.iter().enumerate().map(|(index, state)| (in_percent(index as f64, count), state.class()));
        Self { cells: cells.collect(), width: in_percent(0.79, count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_share_one_scale() {
        let bars = CellBars::rows(&[(50.0, 100.0), (-5.0, 25.0)]);
        assert_eq!((bars[0].now.as_str(), bars[0].before.as_str()), ("50%", "100%"));
        assert_eq!((bars[1].now.as_str(), bars[1].before.as_str()), ("0%", "25%"));
        let changes = ChangeBar::rows(&[100.0, -50.0]);
        assert_eq!((changes[0].x.as_str(), changes[0].width.as_str()), ("50%", "50%"));
        assert_eq!((changes[1].x.as_str(), changes[1].width.as_str()), ("25%", "25%"));
        assert_eq!(ChangeBar::rows(&[0.0])[0].width, "0%");
    }
}
