//! What services have in common: how the others moved, and by how much a change of price moved them.

#![expect(clippy::float_arithmetic, reason = "logarithms of cost, for estimates")]

use super::{KnownSize, window::median};

/// How the other services moved over some days: the trimmed mean of the logarithm of each about its own median, an
/// entry a day. A sixth is left out at each end. Days on which none has a figure are 0.
///
/// `others` holds a series for each of the other services, all over the same days.
/// [`SiblingSpan::around`](super::SiblingSpan::around) is the same for many services at once, about levels that do not move
/// with days after a settled answer.
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

/// Variance of a change of price beforehand.
const PRICE_VARIANCE: f64 = 0.01;
/// Variance beforehand of what a commitment takes off all that it covers: a fifth to a half is usual.
const COMMITMENT_VARIANCE: f64 = 0.16;
/// Services that something can be learnt from.
const SERVICES_MIN: usize = 3;

/// A service that a change of price concerns.
#[derive(Debug, Clone, Copy)]
pub struct PricedService<'a> {
    /// Usage cost a day, in units of any currency.
    pub cost: &'a [Option<f64>],
    /// Traffic a day over the same days, where it is known.
    pub traffic: Option<&'a [Option<f64>]>,
    /// The share of its usage that the change concerns: 1 for all of it.
    pub share: f64,
}

/// By how much a change of price moved the cost of the other services of its category: the median over them of the first
/// week against the same weekdays before, shrunk towards nothing where they disagree. For where no bill says the prices.
///
/// `day` is the place of the first day on which it counts, `last` that of the last complete day. Without two days after
/// it or three services it is unknown: 0 with a standard deviation of 0.1.
pub fn pooled_price_size(others: &[PricedService<'_>], day: usize, last: usize) -> KnownSize {
    let Some(moved) = Moved::of(others, day, last) else { return KnownSize { log_ratio: 0.0, log_ratio_sd: 0.1 } };
    moved.size(1.25 * moved.spread / moved.count.sqrt() + 0.01, PRICE_VARIANCE)
}

/// By how much a commitment that began or ended moved the cost of a service that has it on `share` of its usage: told by
/// the others that it began or ended for, each by the share of its own. What it takes off differs from one to the other,
/// so that the size is no surer than they are alike. None where nothing can be learnt, as in [`pooled_price_size`].
pub fn pooled_commitment_size(others: &[PricedService<'_>], share: f64, day: usize, last: usize) -> Option<KnownSize> {
    let moved = Moved::of(others, day, last)?;
    let of_all = moved.size(moved.spread + 0.01, COMMITMENT_VARIANCE);
    Some(KnownSize { log_ratio: share * of_all.log_ratio, log_ratio_sd: share * of_all.log_ratio_sd })
}

/// How some services moved with a change.
struct Moved {
    /// The median.
    middle: f64,
    /// The standard deviation about it, of those that are alike.
    spread: f64,
    count: f64,
}

impl Moved {
    fn of(others: &[PricedService<'_>], day: usize, last: usize) -> Option<Self> {
        let end = (day + 7).min(last + 1);
        if end < day + 2 || day < 7 {
            return None;
        }
        let mut movements: Vec<f64> = others.iter().filter_map(|service| movement(service, day, end)).collect();
        if movements.len() < SERVICES_MIN {
            return None;
        }
        let middle = median(&movements);
        movements.iter_mut().for_each(|value| *value = (*value - middle).abs());
        Some(Self { middle, spread: 1.4826 * median(&movements), count: movements.len() as f64 })
    }

    fn size(&self, error: f64, variance: f64) -> KnownSize {
        let kept = variance / (variance + error * error);
        KnownSize { log_ratio: kept * self.middle, log_ratio_sd: kept.sqrt() * error }
    }
}

/// Mean log cost of some days less that of the same weekdays of the week before, with seven tenths of what traffic did
/// taken off, for all that the change concerns.
fn movement(service: &PricedService<'_>, day: usize, end: usize) -> Option<f64> {
    let change = |series: &[Option<f64>]| {
        let log = |index: usize| series.get(index).copied().flatten().filter(|value| *value > 0.0).map(f64::ln);
        let changes: Option<Vec<f64>> = (day..end).map(|index| Some(log(index)? - log(index - 7)?)).collect();
        changes.map(|changes| super::window::mean(&changes))
    };
    let cost = change(service.cost)?;
    let traffic = service.traffic.and_then(change).unwrap_or(0.0);
    (service.share > 0.0).then(|| (cost - 0.7 * traffic) / service.share)
}

#[cfg(test)]
mod tests {
    use super::*;

    // A week at 100, a week moved by this logarithm.
    fn stepped(log: f64) -> Vec<Option<f64>> {
        (0..14).map(|day| Some(if day < 7 { 100.0 } else { 100.0 * log.exp() })).collect()
    }

    /// Each has it on another share of its usage; none is surer of it than they are alike.
    #[test]
    fn a_commitment_is_learnt_by_the_share_that_it_covers() {
        let series = [(stepped(-0.1), 0.25), (stepped(-0.2), 0.5), (stepped(-0.4), 1.0)];
        let others = |count: usize| -> Vec<PricedService<'_>> {
            series[..count].iter().map(|(cost, share)| PricedService { cost, traffic: None, share: *share }).collect()
        };
        let size = pooled_commitment_size(&others(3), 0.75, 7, 13).unwrap();
        assert!((size.log_ratio + 0.3).abs() < 0.001 && size.log_ratio_sd < 0.01, "{size:?}");
        assert_eq!(pooled_commitment_size(&others(2), 0.75, 7, 13), None, "two say nothing of a third");
        assert_eq!(pooled_commitment_size(&others(3), 0.75, 7, 7), None, "one day does not either");
        let apart = [stepped(-0.1), stepped(-0.4), stepped(-0.8)];
        let apart: Vec<PricedService<'_>> =
            apart.iter().map(|cost| PricedService { cost, traffic: None, share: 1.0 }).collect();
        let (unlike, alike) = (pooled_commitment_size(&apart, 1.0, 7, 13).unwrap(), pooled_price_size(&apart, 7, 13));
        assert!(unlike.log_ratio_sd > 0.25, "{unlike:?}");
        assert!(alike.log_ratio_sd < 0.1, "of one price the mean is surer: {alike:?}");
    }
}
