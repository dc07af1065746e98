//! A split in words.

use super::super::display;
use crate::allocate::Validity;
use crate::allocate::split::{Method, NOT_ALLOCATED, Split};
use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::Sign;
use std::collections::HashMap;

/// More names of metrics than these are counted.
const NAMES_MAX: usize = 20;

/// The name of a service, or what stands for none.
pub(super) fn service_name(names: &HashMap<i64, String>, id: i64) -> String {
    match id {
        NOT_ALLOCATED => "Not allocated".into(),
        id => names.get(&id).cloned().unwrap_or_else(|| "a service that is gone".into()),
    }
}

/// `in proportion to their own cost, in each environment`.
pub(super) fn method(split: &Split) -> String {
    let by = match &split.method {
        Method::Even => "evenly".to_owned(),
        Method::Fixed => "by fixed percentages".to_owned(),
        Method::DirectCost => "in proportion to their own cost of the day".to_owned(),
        Method::Metric(name) => format!("in proportion to {name} of the day"),
    };
    if split.by_environment { format!("{by}, in each environment by itself") } else { by }
}

/// Who of them gets a share on a day, where that depends on what they cost; else empty.
pub(super) fn who(split: &Split) -> String {
    let only = "On each day only those with cost of their own";
    match &split.method {
        Method::Fixed if split.by_environment => format!(
            "{only} in an environment, in any currency, get a share of its cost: in proportion to their percentages."
        ),
        Method::Even if split.by_environment => {
            format!("{only} in an environment, in any currency, get a share of its cost: the same for each.")
        }
        Method::Even if split.targets.is_empty() => format!("{only}, in any currency, get a share."),
        Method::DirectCost => {
            let place = if split.by_environment { " and environment" } else { "" };
            format!("{only} in the currency{place} of what is divided get a share of it.")
        }
        Method::Even | Method::Fixed | Method::Metric(_) => String::new(),
    }
}

/// Why cost stays with its source: `nobody among them has …`.
pub(in crate::web) fn why_stayed(split: &Split) -> String {
    let place = if split.by_environment { " in that environment" } else { "" };
    match &split.method {
        Method::Even | Method::Fixed if split.by_environment || split.targets.is_empty() => {
            format!("nobody among them has cost of their own{place} on such a day, in any currency")
        }
        Method::Even | Method::Fixed => "nobody among them is in the catalogue any more".into(),
        Method::DirectCost => {
            format!("nobody among them has cost of their own in that currency{place} on such a day")
        }
        Method::Metric(name) => format!("nobody among them has a value of {name}{place} on such a day"),
    }
}

/// That nobody ever sent a value of a metric: it may come later, or be a slip.
pub(in crate::web) fn unknown_metric(name: &str, known: &[String]) -> String {
    let listed = known.get(..NAMES_MAX).unwrap_or(known).join(", ");
    let known = match known.len() {
        0 => "No metric has any yet.".to_owned(),
        1..=NAMES_MAX => format!("Metrics with values are {listed}."),
        count => format!("Metrics with values are {listed} and {} more.", count - NAMES_MAX),
    };
    format!("No value of a metric “{name}” is known, so nothing is divided by it until one comes. {known}")
}

/// Who gets a share, each with its percentage where it is fixed.
pub(super) fn targets(split: &Split, names: &HashMap<i64, String>) -> Vec<String> {
    if split.targets.is_empty() {
        return vec!["every service with cost of its own that is not divided itself".into()];
    }
    let target = |one: &crate::allocate::split::SplitTarget| {
        let name = service_name(names, one.service_id);
        match &one.percent {
            Some(percent) => format!("{name} {}%", percent.normalized().to_plain_string()),
            None => name,
        }
    };
    split.targets.iter().map(target).collect()
}

/// The charge days that it holds on; empty where it always does.
pub(super) fn days(validity: Validity) -> String {
    validity.in_words()
}

/// A part of what a split gives, in percent; empty where it gives nothing. Of credits, which are below zero, it is a part
/// as of a cost.
pub(in crate::web) fn share(part: &BigDecimal, all: &BigDecimal) -> String {
    let part = if all.sign() == Sign::Minus { -part } else { part.clone() };
    display::percent(&part, all).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_credit_is_a_part() {
        let text = |part: &str, all: &str| share(&part.parse().unwrap(), &all.parse().unwrap());
        assert_eq!([text("1", "4"), text("-1", "-4"), text("0", "0")], ["25.0%", "25.0%", ""]);
    }

    #[test]
    fn an_unknown_metric_is_told_with_those_that_there_are() {
        let names: Vec<String> = (0..22).map(|number| format!("m{number}")).collect();
        assert!(unknown_metric("reqests", &[]).ends_with("No metric has any yet."));
        assert!(unknown_metric("reqests", &names[..2]).ends_with("Metrics with values are m0, m1."));
        assert!(unknown_metric("reqests", &names).ends_with("m19 and 2 more."));
    }
}
