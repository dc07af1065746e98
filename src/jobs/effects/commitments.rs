//! By how much a commitment that began or ended moved the cost of a service: learnt from the others at the same step. Pure.

use super::histories::{ByPlace, Costs, Key, index, of_place};
use super::inputs::Inputs;
use crate::analyze::impact::{KnownSize, PriceEvent, PriceEventKind, PricedService, pooled_commitment_size};
use crate::focus::DateRange;
use crate::store::impact_series::CommitmentStep;
use chrono::{Days, NaiveDate};
use std::collections::HashMap;

/// Days from a step on that the others must have: those that it is learnt from.
const LEARNT_DAYS: u64 = 7;

/// A day, whether more is covered from it on, and the currency.
type At<'a> = (NaiveDate, bool, &'a str);

/// All steps, with the services that took each.
pub(super) struct Steps<'a> {
    inputs: &'a Inputs,
    costs: &'a Costs,
    traffic: &'a ByPlace,
    range: DateRange,
    together: HashMap<At<'a>, Vec<&'a CommitmentStep>>,
}

impl<'a> Steps<'a> {
    pub fn of(inputs: &'a Inputs, costs: &'a Costs, traffic: &'a ByPlace, range: DateRange) -> Self {
        let mut together: HashMap<At<'a>, Vec<&'a CommitmentStep>> = HashMap::new();
        for step in &inputs.commitments {
            together.entry((step.day, step.is_start, step.billing_currency.as_str())).or_default().push(step);
        }
        Self { inputs, costs, traffic, range, together }
    }

    /// The steps of one service and environment.
    pub fn events(&self, key: &Key) -> Vec<PriceEvent> {
        let is_own = |step: &&CommitmentStep| {
            (step.service_id, step.environment_id, &step.billing_currency)
                == (key.service_id, key.environment_id, &key.billing_currency)
        };
        let event = |step: &CommitmentStep| PriceEvent {
            day: step.day,
            kind: if step.is_start { PriceEventKind::CommitmentStart } else { PriceEventKind::CommitmentEnd },
            size: self.size(step),
        };
        self.inputs.commitments.iter().filter(is_own).map(event).collect()
    }

    // None where too few others took the step, or too few days are complete.
    fn size(&self, step: &CommitmentStep) -> Option<KnownSize> {
        let complete_to = self.inputs.complete_to;
        let needed = complete_to.min(step.day + Days::new(LEARNT_DAYS - 1));
        let others: Vec<PricedService<'_>> = self
            .together
            .get(&(step.day, step.is_start, step.billing_currency.as_str()))?
            .iter()
            .filter(|other| other.service_id != step.service_id)
            .filter(|other| self.inputs.complete_to_of(other.service_id, &other.billing_currency) >= needed)
            .filter_map(|other| {
                let key = Key {
                    service_id: other.service_id,
                    environment_id: other.environment_id,
                    billing_currency: other.billing_currency.clone(),
                };
                let (cost, _) = self.costs.get(&key)?;
                let traffic = of_place(self.traffic, &key).map(Vec::as_slice);
                Some(PricedService { cost, traffic, share: other.share_change })
            })
            .collect();
        let (day, last) = (index(self.range, step.day)?, index(self.range, complete_to)?);
        pooled_commitment_size(&others, step.share_change, day, last)
    }
}
