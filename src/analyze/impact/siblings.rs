//! What services have in common: how the others moved, and by how much a change of price moved them.

#![expect(clippy::float_arithmetic, reason = "logarithms of cost, for estimates")]

use super::{KnownSize, window::median};

/// How the other services moved over some days: the trimmed mean of the logarithm of each about its own median, an
/// entry a day. A sixth is left out at each end. Days on which none has a figure are 0.
///
/// `others` holds a series for each of the other services, all over the same days.
pub fn sibling_index(others: &[&[Option<f64>]]) -> Vec<f64> {
    let days = others.iter().map(|series| series.len()).max().unwrap_or(0);
    let mut movements: Vec<Vec<f64>> = vec![Vec::with_capacity(others.len()); days];
    for series in others {
        let known: Vec<f64> = series.iter().flatten().copied().filter(|value| value.is_finite()).collect();
        let level = median(&known);
        if level <= 0.0 {
            continue;
        }
        for (day, value) in series.iter().enumerate() {
            if let Some(value) = value.filter(|value| value.is_finite()) {
                movements[day].push((value / level).max(1e-4).ln());
            }
        }
    }
    movements.iter_mut().map(|movements| trimmed_mean(movements)).collect()
}

fn trimmed_mean(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.sort_unstable_by(f64::total_cmp);
    let trimmed = values.len() / 6;
    super::window::mean(&values[trimmed..values.len() - trimmed])
}

/// A service of the category that a change of price concerns.
#[derive(Debug, Clone, Copy)]
pub struct PricedService<'a> {
    /// Usage cost a day, in units of any currency.
    pub cost: &'a [Option<f64>],
    /// Traffic a day over the same days, where it is known.
    pub traffic: Option<&'a [Option<f64>]>,
}

/// By how much a change of price or commitment moved the cost of the other services of its category: the median over
/// them of the first week against the same weekdays before, shrunk towards nothing where they disagree.
///
/// `day` is the place of the first day on which it counts, `last` that of the last complete day. Without two days after
/// it or three services it is unknown: 0 with a standard deviation of 0.1.
pub fn pooled_price_size(others: &[PricedService<'_>], day: usize, last: usize) -> KnownSize {
    let unknown = KnownSize { log_ratio: 0.0, log_ratio_sd: 0.1 };
    let end = (day + 7).min(last + 1);
    if end < day + 2 || day < 7 {
        return unknown;
    }
    let mut movements: Vec<f64> = others.iter().filter_map(|service| movement(service, day, end)).collect();
    if movements.len() < 3 {
        return unknown;
    }
    let middle = median(&movements);
    let count = movements.len() as f64;
    movements.iter_mut().for_each(|value| *value = (*value - middle).abs());
    let error = 1.25 * 1.4826 * median(&movements) / count.sqrt() + 0.01;
    let kept = 0.01 / (0.01 + error * error);
    KnownSize { log_ratio: kept * middle, log_ratio_sd: kept.sqrt() * error }
}

/// Mean log cost of some days less that of the same weekdays of the week before, with seven tenths of what traffic did
/// taken off.
fn movement(service: &PricedService<'_>, day: usize, end: usize) -> Option<f64> {
    let change = |series: &[Option<f64>]| {
        let log = |index: usize| series.get(index).copied().flatten().filter(|value| *value > 0.0).map(f64::ln);
        let changes: Option<Vec<f64>> = (day..end).map(|index| Some(log(index)? - log(index - 7)?)).collect();
        changes.map(|changes| super::window::mean(&changes))
    };
    let cost = change(service.cost)?;
    let traffic = service.traffic.and_then(change).unwrap_or(0.0);
    Some(cost - 0.7 * traffic)
}
