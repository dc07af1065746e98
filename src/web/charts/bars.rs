use super::days::{Buckets, DateTick};
use super::key::{MarkKey, Sign};
use super::markers::{Event, Marker, Placed, PlacedEvent, Shape, center, place, place_events, stretches};
use super::scale::Scale;
use super::{in_percent, short};
use askama::Template;
use std::fmt::Write;

const PLOT_TOP: f64 = 46.0;
const PLOT_HEIGHT: f64 = 232.0;

/// One colour of the stack: a value a bar.
#[derive(Debug, Clone, PartialEq)]
pub struct BarSeries {
    /// A class of the style sheet: `f-production`.
    pub class: String,
    /// Amounts as positions, one a bar.
    pub values: Vec<f64>,
}

/// A horizontal line over some bars: an average.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// The first bar.
    pub from: usize,
    /// The bar after the last.
    pub to: usize,
    /// Where on the axis.
    pub value: f64,
}

/// A point of a line in a band, over the middle of a bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BandPoint {
    /// The bar.
    pub index: usize,
    /// Where on the axis.
    pub value: f64,
    /// The lower edge.
    pub low: f64,
    /// The upper edge.
    pub high: f64,
}

/// Stacked bars by day with deployments above them. Written into a template as it is.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(path = "partials/chart_bars.html")]
pub struct DayBars {
    label: String,
    height: u32,
    ticks: Vec<(String, String)>,
    grid: Vec<String>,
    view_width: usize,
    paths: Vec<(String, String)>,
    provisional: Option<(String, String)>,
    /// Where and how wide: from start to finish of deployments that took longer than a bar.
    rollouts: Vec<(String, String)>,
    zero_y: String,
    date_y: String,
    dates: Vec<(String, DateTick)>,
    boundary: Option<String>,
    levels: Vec<(String, String, String)>,
    /// The band and the line in it.
    band: Option<(String, String)>,
    markers: Vec<Placed>,
    events: Vec<PlacedEvent>,
    has_scrub: bool,
}

impl askama::filters::HtmlSafe for DayBars {}

impl DayBars {
    /// Places bars and markers. `label` names the group of markers for those who cannot see it.
    pub fn new(label: &str, currency: &str, buckets: &Buckets, series: &[BarSeries], markers: &[Marker]) -> Self {
        let count = buckets.len();
        let (lowest, highest) = extremes(series, count);
        let scale = Scale::around(lowest, highest);
        let zero = scale.below_top(0.0);
        let y = |value: f64| PLOT_TOP + PLOT_HEIGHT * scale.below_top(value);
        let ticks = scale.ticks();
        let bottom = PLOT_TOP + PLOT_HEIGHT;
        let first_provisional = buckets.provisional_from();
        Self {
            label: label.to_owned(),
            height: 300,
            ticks: ticks.iter().map(|tick| (short(y(*tick) + 3.5), scale.label(*tick, currency))).collect(),
            grid: ticks.iter().filter(|tick| **tick != 0.0).map(|tick| short(y(*tick))).collect(),
            view_width: count * 10,
            paths: paths(series, count, &scale),
            provisional: (first_provisional < count).then(|| {
                let width = (count - first_provisional) as f64;
                (in_percent(first_provisional as f64, count as f64), in_percent(width, count as f64))
            }),
            rollouts: stretches(markers, count)
                .into_iter()
                .map(|(from, to)| {
                    let width = (to + 1 - from) as f64;
                    (in_percent(from as f64, count as f64), in_percent(width, count as f64))
                })
                .collect(),
            zero_y: short(PLOT_TOP + PLOT_HEIGHT * zero),
            date_y: short(bottom + 16.0),
            dates: buckets
                .ticks()
                .into_iter()
                .map(|tick| (in_percent(center(tick.index), count as f64), tick))
                .collect(),
            boundary: None,
            levels: Vec::new(),
            band: None,
            markers: place(markers, count),
            events: Vec::new(),
            has_scrub: false,
        }
    }

    /// Marks where the compared days end and the page's days begin.
    pub fn with_boundary(mut self, index: Option<usize>, buckets: &Buckets) -> Self {
        self.boundary = index.filter(|index| *index > 0).map(|index| in_percent(index as f64, buckets.len() as f64));
        self
    }

    /// Draws averages over the bars.
    pub fn with_levels(mut self, levels: &[Level], series: &[BarSeries], buckets: &Buckets) -> Self {
        let (lowest, highest) = extremes(series, buckets.len());
        let scale = Scale::around(lowest, highest);
        let count = buckets.len() as f64;
        let place = |level: &Level| {
            let y = short(PLOT_TOP + PLOT_HEIGHT * scale.below_top(level.value));
            (in_percent(level.from as f64, count), in_percent(level.to as f64, count), y)
        };
        self.levels = levels.iter().map(place).collect();
        self
    }

    /// Draws a line in its band over the bars: what is expected.
    pub fn with_band(mut self, points: &[BandPoint], series: &[BarSeries], buckets: &Buckets) -> Self {
        let (lowest, highest) = extremes(series, buckets.len());
        let scale = Scale::around(lowest, highest);
        // What lies outside of the plot is drawn at its edge.
        let y = |value: f64| short(scale.below_top(value).clamp(0.0, 1.0) * 1000.0);
        let at = |point: &BandPoint, value: f64| format!("{} {}", short(center(point.index) * 10.0), y(value));
        let join = |points: Vec<String>| points.join("L");
        let line = join(points.iter().map(|point| at(point, point.value)).collect());
        let upper = points.iter().map(|point| at(point, point.high));
        let lower = points.iter().rev().map(|point| at(point, point.low));
        let edge = join(upper.chain(lower).collect());
        self.band = (points.len() > 1).then(|| (format!("M{edge}z"), format!("M{line}")));
        self
    }

    /// Adds a lane below the axis with what else happened.
    pub fn with_events(mut self, events: &[Event], buckets: &Buckets) -> Self {
        self.events = place_events(events, buckets.len());
        self.height = if self.events.is_empty() { 300 } else { 328 };
        self
    }

    /// Adds the slider that reads one day; it needs the script and a table with the id `daily`.
    pub fn with_scrub(mut self) -> Self {
        self.has_scrub = true;
        self
    }

    /// The legend of its marks: of deployments and their time, of where the period begins, and of what else happened.
    pub fn key(&self) -> MarkKey {
        MarkKey::new(&self.markers, &self.events)
            .with(Sign::Rollout, !self.rollouts.is_empty())
            .with(Sign::Boundary, self.boundary.is_some())
    }

    fn bottom(&self) -> f64 {
        PLOT_TOP + PLOT_HEIGHT
    }
}

fn extremes(series: &[BarSeries], count: usize) -> (f64, f64) {
    let sum = |index: usize, keep: fn(f64) -> bool| -> f64 {
        series
            .iter()
            .map(|series| series.values.get(index).copied().unwrap_or_default())
            .filter(|value| keep(*value))
            .sum()
    };
    let lowest = (0..count).map(|index| sum(index, |value| value < 0.0)).fold(0.0, f64::min);
    let highest = (0..count).map(|index| sum(index, |value| value > 0.0)).fold(0.0, f64::max);
    (lowest, highest)
}

// Costs stack upwards from zero, credits downwards; a bar is 8 of 10 wide.
fn paths(series: &[BarSeries], count: usize, scale: &Scale) -> Vec<(String, String)> {
    let mut above = vec![0.0; count];
    let mut below = vec![0.0; count];
    let mut out = Vec::with_capacity(series.len());
    for one in series {
        let mut path = String::with_capacity(count * 26);
        for (index, value) in one.values.iter().copied().enumerate().take(count).filter(|(_, value)| *value != 0.0) {
            let side = if value > 0.0 { &mut above } else { &mut below };
            let (from, to) = (side[index], side[index] + value);
            side[index] = to;
            // A thousandth of the height is a quarter of a pixel. Edges are rounded, not heights: stacked bars touch.
            let edge = |value: f64| (scale.below_top(value) * 1000.0).round();
            let (top, height) = (edge(from.max(to)), edge(from.min(to)) - edge(from.max(to)));
            if height > 0.0 {
                // Writing to a String cannot fail.
                let _ = write!(path, "M{} {top}h8v{height}h-8z", index * 10 + 1);
            }
        }
        if !path.is_empty() {
            out.push((one.class.clone(), path));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::focus::DateRange;

    #[test]
    fn bars_stack_from_zero_and_credits_hang_below() {
        let start: chrono::NaiveDate = "2026-11-01".parse().unwrap();
        let days = DateRange::days_to("2026-11-03".parse().unwrap(), 3);
        assert_eq!(days.start(), start);
        let buckets = Buckets::new(days, "2026-11-02".parse().unwrap());
        let series = [
            BarSeries { class: "f-production".into(), values: vec![100.0, 200.0, 50.0] },
            BarSeries { class: "f-staging".into(), values: vec![100.0, -100.0, 0.0] },
        ];
        let marker = |index: usize, name: &str| Marker {
            index,
            from: 0,
            day: start,
            href: format!("/deployments/{name}"),
            list_href: "/deployments".into(),
            name: name.into(),
            details: "production".into(),
            shape: Shape::Plain,
        };
        let chart = DayBars::new("Deployments", "USD", &buckets, &series, &[marker(1, "1"), marker(1, "2")]);
        insta::assert_snapshot!(format!("{:?}", chart.paths), @r#"[("f-production", "M1 333h8v334h-8zM11 0h8v667h-8zM21 500h8v167h-8z"), ("f-staging", "M1 0h8v333h-8zM11 667h8v333h-8z")]"#);
        insta::assert_snapshot!(format!("{:?}", chart.ticks), @r#"[("281.5", "−$100"), ("204.17", "0"), ("126.83", "$100"), ("49.5", "$200")]"#);
        assert_eq!(chart.provisional, Some(("66.67%".into(), "33.33%".into())));
        assert_eq!(chart.markers.len(), 1);
        assert_eq!((chart.markers[0].count, chart.markers[0].x.as_str()), (2, "50%"));
        let html = chart.to_string();
        assert!(html.contains(r#"aria-label="2 deployments: 1, production; 2, production""#), "{html}");
        assert!(chart.key().to_string().contains("deployment from start to finish"));
        assert!(html.contains(r#"<rect class="rollout" x="0%" y="46" width="66.67%" height="232"/>"#), "{html}");
    }

    #[test]
    fn a_label_from_data_is_escaped() {
        let days = DateRange::days_to("2026-11-03".parse().unwrap(), 1);
        let buckets = Buckets::new(days, days.last_day());
        let marker = Marker {
            index: 0,
            from: 0,
            day: days.start(),
            href: "/deployments/1".into(),
            list_href: String::new(),
            name: "\"><script>alert(1)</script>".into(),
            details: String::new(),
            shape: Shape::Measuring,
        };
        let html = DayBars::new("Deployments", "USD", &buckets, &[], &[marker]).to_string();
        assert!(!html.contains("<script"), "{html}");
    }
}
