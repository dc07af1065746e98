use super::scale::Scale;
use super::{in_percent, short};
use askama::Template;
use std::fmt::Write;

const TOP: f64 = 16.0;
const HEIGHT: f64 = 160.0;

/// One month.
#[derive(Debug, Clone, PartialEq)]
pub struct MonthBar {
    /// `Oct`, or `Oct 2026` for the first of a year.
    pub label: String,
    /// Its cost as a position.
    pub value: f64,
    /// Hatched: bills are still arriving.
    pub is_provisional: bool,
    /// The month that the page is about.
    pub is_open: bool,
}

/// Bars by month. Written into a template as it is.
#[derive(Debug, Clone, PartialEq, Template)]
#[template(
    source = r#"<div class="chart"><svg class="ylab" height="200" aria-hidden="true">{% for tick in ticks %}<text x="100%" dx="-8" y="{{ tick.0 }}">{{ tick.1 }}</text>{% endfor %}</svg><svg height="200" aria-hidden="true"><g class="grid">{% for y in grid %}<line x1="0" x2="100%" y1="{{ y }}" y2="{{ y }}"/>{% endfor %}</g><svg class="bars flush" y="16" width="100%" height="160" viewBox="0 0 {{ width }} 1000" preserveAspectRatio="none"><path class="f-spark" d="{{ others }}"/><path class="b-actual" d="{{ open }}"/></svg>{% for band in hatched %}<rect x="{{ band }}" y="16" width="{{ band_width }}" height="160" fill="url(#hatch)"/>{% endfor %}<line class="base" x1="0" x2="100%" y1="{{ zero_y }}" y2="{{ zero_y }}"/>{% for label in labels %}<text class="mid{% if label.2 %} tick-2{% endif %}" x="{{ label.0 }}" y="192">{{ label.1 }}</text>{% endfor %}</svg></div>"#,
    ext = "html"
)]
pub struct MonthBars {
    ticks: Vec<(String, String)>,
    grid: Vec<String>,
    width: usize,
    others: String,
    open: String,
    hatched: Vec<String>,
    band_width: String,
    zero_y: String,
    labels: Vec<(String, String, bool)>,
}

impl askama::filters::HtmlSafe for MonthBars {}

impl MonthBars {
    /// One bar a month, the oldest first.
    pub fn new(months: &[MonthBar], currency: &str) -> Self {
        let values = || months.iter().map(|month| month.value);
        let scale = Scale::around(values().fold(0.0, f64::min), values().fold(0.0, f64::max));
        let y = |value: f64| TOP + HEIGHT * scale.below_top(value);
        let (mut others, mut open) = (String::new(), String::new());
        for (index, month) in months.iter().enumerate() {
            let (high, low) = (month.value.max(0.0), month.value.min(0.0));
            // A thousandth of the height is less than a quarter of a pixel.
            let (top, bottom) = ((scale.below_top(high) * 1000.0).round(), (scale.below_top(low) * 1000.0).round());
            let path = if month.is_open { &mut open } else { &mut others };
            // Writing to a String cannot fail.
            let _ = write!(path, "M{}.5 {top}h7v{}h-7z", index * 10 + 1, bottom - top);
        }
        let count = months.len() as f64;
        let ticks = scale.ticks();
        Self {
            ticks: ticks.iter().map(|tick| (short(y(*tick) + 3.5), scale.label(*tick, currency))).collect(),
            grid: ticks.iter().filter(|tick| **tick != 0.0).map(|tick| short(y(*tick))).collect(),
            width: months.len() * 10,
            others,
            open,
            hatched: months
                .iter()
                .enumerate()
                .filter(|(_, month)| month.is_provisional)
                .map(|(index, _)| in_percent(index as f64, count))
                .collect(),
            band_width: in_percent(1.0, count),
            zero_y: short(y(0.0)),
            labels: months
                .iter()
                .enumerate()
                // Of many bars only some have a label.
                .filter(|(_, month)| !month.label.is_empty())
                .map(|(index, month)| (in_percent(index as f64 + 0.5, count), month.label.clone(), index % 2 == 1))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_a_bar() {
        let month =
            |label: &str, value, is_open| MonthBar { label: label.into(), value, is_provisional: is_open, is_open };
        let chart = MonthBars::new(&[month("Oct", 100.0, false), month("Nov", 50.0, true)], "USD");
        insta::assert_snapshot!(format!("{} | {}", chart.others, chart.open), @"M1.5 0h7v1000h-7z | M11.5 500h7v500h-7z");
        assert_eq!(chart.hatched, ["50%"]);
    }
}
