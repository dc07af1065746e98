use super::{in_percent, short};
use askama::Template;
use std::fmt::Write;

const HEIGHT: f64 = 112.0;
/// Part of the cost that "the few" make.
const PART: f64 = 0.8;

/// Services ranked by cost with their running total, and the few that make four fifths.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = r#"<div class="chart"><svg class="ylab" height="120" aria-hidden="true"><text x="100%" dx="-8" y="8">100%</text><text x="100%" dx="-8" y="112">0</text></svg><svg height="120" aria-hidden="true"><svg class="bars flush" width="100%" height="112" viewBox="0 0 {{ width }} 1000" preserveAspectRatio="none"><path class="b-actual" d="{{ few }}"/><path class="f-spark" d="{{ many }}"/></svg><svg width="100%" height="112" viewBox="0 0 {{ width }} 1000" preserveAspectRatio="none"><path class="line" d="{{ line }}"/></svg><line class="target" x1="{{ x }}" x2="{{ x }}" y1="{{ y }}" y2="112"/><text class="strong" x="{{ x }}" dx="10" y="{{ label_y }}">{{ label }}</text><line class="base" x1="0" x2="100%" y1="112" y2="112"/></svg></div>"#,
    ext = "html"
)]
pub struct Pareto {
    width: usize,
    few: String,
    many: String,
    line: String,
    x: String,
    y: String,
    label_y: String,
    label: String,
}

impl askama::filters::HtmlSafe for Pareto {}

impl Pareto {
    /// How many of these costs, the largest first, make at least four fifths of their sum.
    pub fn few(ranked: &[f64]) -> usize {
        let total: f64 = ranked.iter().sum();
        let mut sum = 0.0;
        ranked
            .iter()
            .position(|cost| {
                sum += cost;
                sum >= total * PART
            })
            .map_or(ranked.len(), |index| index + 1)
    }

    /// Draws costs that are not negative, the largest first. `label` names the few.
    pub fn new(ranked: &[f64], label: String) -> Self {
        let few = Self::few(ranked);
        let total: f64 = ranked.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let largest = ranked.first().copied().unwrap_or_default().max(f64::MIN_POSITIVE);
        let (mut dark, mut pale, mut line) = (String::new(), String::new(), String::from("M0 1000"));
        let mut sum = 0.0;
        let mut few_top = 0.0;
        for (index, cost) in ranked.iter().enumerate() {
            let path = if index < few { &mut dark } else { &mut pale };
            // The tallest bar leaves room for the line above it. Writing to a String cannot fail.
            let _ = write!(path, "M{} {}h8V1000h-8z", index * 10 + 1, short(1000.0 - cost / largest * 971.0));
            sum += cost;
            let _ = write!(line, "L{} {}", (index + 1) * 10, short(1000.0 - 1000.0 * sum / total));
            if index + 1 == few {
                few_top = HEIGHT * (1.0 - sum / total);
            }
        }
        Self {
            width: ranked.len() * 10,
            few: dark,
            many: pale,
            line,
            x: in_percent(few as f64, ranked.len() as f64),
            y: short(few_top),
            label_y: short(few_top + 24.0),
            label,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_few_make_four_fifths() {
        let ranked = [50.0, 30.0, 10.0, 10.0];
        assert_eq!(Pareto::few(&ranked), 2);
        let chart = Pareto::new(&ranked, "2 services, 80.0%".into());
        insta::assert_snapshot!(chart.line, @"M0 1000L10 500L20 200L30 100L40 0");
        assert_eq!((chart.x.as_str(), chart.y.as_str()), ("50%", "22.4"));
        assert_eq!(Pareto::few(&[]), 0);
    }
}
