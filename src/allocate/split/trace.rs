//! One line's cost, followed through the splits: who pays which part of it in the end.

use super::shares::{shares, whole_weights};
use bigdecimal::{BigDecimal, Zero};
use std::collections::BTreeMap;

/// What one split made of the rows that a line is part of.
#[derive(Debug, Clone)]
pub struct Step {
    /// The split.
    pub split_id: i64,
    /// Whose cost was divided.
    pub source: i64,
    /// What stayed with it, as a weight.
    pub stayed: BigDecimal,
    /// Who got how much, as weights.
    pub given: Vec<(i64, BigDecimal)>,
}

/// A part of the line's cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Who pays it.
    pub service_id: i64,
    /// The splits that brought it there, in order.
    pub split_ids: Vec<i64>,
    /// How much; the parts add up to the line's cost exactly.
    pub cost: BigDecimal,
}

/// Follows a cost of `service_id` through the steps, which are in the order of the splits.
pub fn follow(cost: &BigDecimal, service_id: i64, steps: &[Step]) -> Vec<Part> {
    let mut held: BTreeMap<(i64, Vec<i64>), BigDecimal> = BTreeMap::from([((service_id, Vec::new()), cost.clone())]);
    for step in steps {
        let here: Vec<(i64, Vec<i64>)> = held.keys().filter(|(who, _)| *who == step.source).cloned().collect();
        for place in here {
            let Some(amount) = held.remove(&place) else { continue };
            // Rows of credits are below zero throughout: their sizes are the weights.
            let weights = std::iter::once(&step.stayed).chain(step.given.iter().map(|(_, weight)| weight));
            let weights: Vec<BigDecimal> = weights.map(BigDecimal::abs).collect();
            let Some(parts) = shares(&amount, &whole_weights(&weights)) else {
                held.insert(place, amount);
                continue;
            };
            let mut parts = parts.into_iter();
            let stayed = parts.next().unwrap_or_default();
            if !stayed.is_zero() {
                held.insert(place.clone(), stayed);
            }
            for ((target, _), part) in step.given.iter().zip(parts).filter(|(_, part)| !part.is_zero()) {
                let mut path = place.1.clone();
                path.push(step.split_id);
                *held.entry((*target, path)).or_default() += part;
            }
        }
    }
    held.into_iter().map(|((service_id, split_ids), cost)| Part { service_id, split_ids, cost }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> BigDecimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_line_is_followed_through_a_chain_to_the_last_digit() {
        let steps = [
            Step { split_id: 8, source: 1, stayed: number("0"), given: vec![(2, number("30")), (3, number("60"))] },
            Step { split_id: 9, source: 2, stayed: number("10"), given: vec![(3, number("10")), (4, number("10"))] },
        ];
        let parts = follow(&number("1"), 1, &steps);
        let text = |part: &Part| format!("{} {:?} {}", part.service_id, part.split_ids, part.cost.normalized());
        assert_eq!(
            parts.iter().map(text).collect::<Vec<_>>(),
            ["2 [8] 0.1111111111", "3 [8] 0.6666666667", "3 [8, 9] 0.1111111111", "4 [8, 9] 0.1111111111"]
        );
        assert_eq!(parts.iter().map(|part| &part.cost).sum::<BigDecimal>(), number("1"));
        assert_eq!(follow(&number("-2.5"), 7, &steps).len(), 1, "a service that nobody divides");
    }
}
