//! A split in words.

use crate::allocate::Validity;
use crate::allocate::split::{Method, NOT_ALLOCATED, Split};
use std::collections::HashMap;

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
