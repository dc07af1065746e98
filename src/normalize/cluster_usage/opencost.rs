//! Allocations of OpenCost: the JSON of its `/allocation` and the CSV that it exports by day.

use super::{ClusterReport, Usage, UsageKey, UsageKind, moment, position, quantity, resource_key};
use crate::normalize::cells::Cells;
use crate::normalize::error::BillError;
use chrono::Days;
use serde_json::{Map, Value};
use std::io::Read;

/// Longest JSON that is read; it is held in memory.
const JSON_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The columns of an export by day.
pub(super) struct Columns {
    date: usize,
    namespace: usize,
    total_cost: usize,
}

impl Columns {
    /// Of lower-case names; `None` where it is no such table.
    pub fn of(names: &[String]) -> Option<Self> {
        let find = |wanted: &str| position(names, wanted);
        find("controllerkind").or_else(|| find("pod"))?;
        Some(Self { date: find("date")?, namespace: find("namespace")?, total_cost: find("totalcost")? })
    }

    pub fn entry(&self, cells: Cells<'_>) -> Result<(UsageKey, Usage), String> {
        let start = moment(cells.get(self.date), "Date")?;
        let usage = quantity(cells.get(self.total_cost), "TotalCost")?;
        let key = UsageKey {
            kind: UsageKind::Allocations,
            cluster_id: None,
            interval_start: start,
            resource_id: String::new(),
            node: String::new(),
            namespace: cells.get(self.namespace).to_owned(),
        };
        Ok((key, Usage { interval_end: start + Days::new(1), usage, capacity: None }))
    }
}

/// The answer of `/allocation`, its `data`, or one set of it: maps of allocations by their names.
pub(super) fn read_json(content: impl Read, report: &mut ClusterReport) -> Result<(), BillError> {
    let mut bytes = Vec::new();
    content.take(JSON_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > JSON_BYTES_MAX {
        return Err(BillError::OutOfBounds("its JSON is longer than 64 MiB: ask OpenCost for fewer days".to_owned()));
    }
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|error| BillError::Malformed(format!("its JSON is damaged ({error})")))?;
    let data = match value {
        Value::Object(mut map) if map.contains_key("data") => map.remove("data").unwrap_or_default(),
        other => other,
    };
    let sets = match data {
        Value::Array(sets) => sets,
        set => vec![set],
    };
    for set in sets {
        match set {
            // An interval in which nothing ran.
            Value::Null => {}
            Value::Object(allocations) => read_set(&allocations, report)?,
            _ => return Err(BillError::NotABill { looks_like: "JSON that is no allocation of OpenCost".to_owned() }),
        }
    }
    Ok(())
}

fn read_set(allocations: &Map<String, Value>, report: &mut ClusterReport) -> Result<(), BillError> {
    for (name, allocation) in allocations {
        report.row_count += 1;
        let number = report.row_count;
        match entry(name, allocation) {
            Ok((key, usage)) => report.add(key, usage)?,
            Err(reason) => report.reject(&format!(" (allocation {name})"), number, &reason),
        }
    }
    Ok(())
}

fn entry(name: &str, allocation: &Value) -> Result<(UsageKey, Usage), String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let properties = &allocation["properties"];
    let at = |which: &str| {
        let found = text(&allocation["window"][which]).or_else(|| text(&allocation[which]));
        moment(&found.ok_or_else(|| format!("it has no {which}"))?, which)
    };
    let cost = match &allocation["totalCost"] {
        Value::Number(number) => number.to_string(),
        _ => return Err("it has no totalCost".to_owned()),
    };
    // What belongs to no namespace is named by the allocation itself: __idle__, __unallocated__.
    let namespace =
        text(&properties["namespace"]).unwrap_or_else(|| name.rsplit('/').next().unwrap_or(name).to_owned());
    let key = UsageKey {
        kind: UsageKind::Allocations,
        cluster_id: text(&properties["cluster"]),
        interval_start: at("start")?,
        resource_id: resource_key(&text(&properties["providerID"]).unwrap_or_default()),
        node: text(&properties["node"]).unwrap_or_default(),
        namespace,
    };
    Ok((key, Usage { interval_end: at("end")?, usage: quantity(&cost, "totalCost")?, capacity: None }))
}
