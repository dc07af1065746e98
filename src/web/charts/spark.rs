use super::short;
use askama::Template;
use std::fmt::Write;

/// Within this part of the median a week counts as unchanged.
const FLAT_PART: f64 = 0.015;
/// The half height of the plot that a bar may take, of 1000.
const REACH: f64 = 480.0;
/// Every week shows, also one that equals the median.
const BAR_MIN: f64 = 25.0;

/// Weeks against their own median: up, down, or gray where the difference is small.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    source = r#"<svg height="26" aria-hidden="true"><line class="zero" x1="0" x2="100%" y1="13" y2="13"/><svg class="spark-bars" width="100%" height="26" viewBox="0 0 {{ width }} 1000" preserveAspectRatio="none">{% for path in paths %}<path class="{{ path.0 }}" d="{{ path.1 }}"/>{% endfor %}</svg></svg>"#,
    ext = "html"
)]
pub struct SparkBars {
    width: usize,
    paths: Vec<(&'static str, String)>,
}

impl askama::filters::HtmlSafe for SparkBars {}

impl SparkBars {
    /// One bar a week, the oldest first.
    pub fn new(weeks: &[f64]) -> Self {
        let median = median(weeks);
        let reach = weeks.iter().map(|week| (week - median).abs()).fold(0.0, f64::max);
        let mut paths = [("b-up", String::new()), ("b-down", String::new()), ("b-flat", String::new())];
        for (index, week) in weeks.iter().enumerate() {
            let difference = week - median;
            let height = if reach > 0.0 { (difference.abs() / reach * REACH).max(BAR_MIN) } else { BAR_MIN };
            let is_flat = difference.abs() <= median.abs() * FLAT_PART;
            let path = if is_flat { 2 } else { usize::from(difference < 0.0) };
            let top = if difference < 0.0 { 500.0 } else { 500.0 - height };
            // Writing to a String cannot fail.
            let _ = write!(paths[path].1, "M{} {}h8v{}h-8z", index * 10 + 1, short(top), short(height));
        }
        Self { width: weeks.len() * 10, paths: paths.into_iter().filter(|(_, path)| !path.is_empty()).collect() }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_stand_against_their_median() {
        let spark = SparkBars::new(&[100.0, 101.0, 100.0, 80.0, 140.0]);
        insta::assert_snapshot!(format!("{:?}", spark.paths), @r#"[("b-up", "M41 20h8v480h-8z"), ("b-down", "M31 500h8v240h-8z"), ("b-flat", "M1 475h8v25h-8zM11 475h8v25h-8zM21 475h8v25h-8z")]"#);
    }
}
