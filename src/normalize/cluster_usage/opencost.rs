//! Allocations of OpenCost: the JSON of its `/allocation` and the CSV that it exports by day.

use super::members::{Cell, Members, NUMBER, ObjectOf};
use super::{ClusterReport, Usage, UsageKey, UsageKind, check_interval, moment, position, quantity, resource_key};
use crate::normalize::cells::Cells;
use crate::normalize::error::BillError;
use chrono::Days;
use rustc_hash::FxHashSet;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::io::{self, BufReader, Read};
use xxhash_rust::xxh3::xxh3_128;

/// Longest JSON that is read.
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

    /// Those that are read.
    pub fn all(&self) -> Vec<usize> {
        vec![self.date, self.namespace, self.total_cost]
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
            payload_file: 0,
        };
        Ok((key, Usage { interval_end: start + Days::new(1), usage, capacity: None }))
    }
}

/// The answer of `/allocation`, its `data`, or one set of it: maps of allocations by their names. One allocation at a
/// time is in memory.
pub(super) fn read_json(content: impl Read, report: &mut ClusterReport) -> Result<(), BillError> {
    let mut content = BufReader::with_capacity(64 * 1024, content.take(JSON_BYTES_MAX + 1));
    let mut reading = Reading { report, failed: None, names: FxHashSet::default() };
    let mut json = serde_json::Deserializer::from_reader(&mut content);
    let read = Part { reading: &mut reading, level: Level::Answer }.deserialize(&mut json).and_then(|()| json.end());
    drop(json);
    let failed = reading.failed;
    let read = match read {
        Err(error) if error.is_io() => return Err(io::Error::from(error).into()),
        read => read,
    };
    // A longer one is told as such, wherever it is damaged.
    io::copy(&mut content, &mut io::sink())?;
    if content.get_ref().limit() == 0 {
        return Err(BillError::OutOfBounds("its JSON is longer than 64 MiB: ask OpenCost for fewer days".to_owned()));
    }
    match (read, failed) {
        (Err(error), _) => Err(BillError::Malformed(format!("its JSON is damaged ({error})"))),
        (Ok(()), Some(error)) => Err(error),
        (Ok(()), None) => Ok(()),
    }
}

/// What was read so far.
struct Reading<'r> {
    report: &'r mut ClusterReport,
    /// Why it is no report. The rest is read all the same: that it is damaged would be told first.
    failed: Option<BillError>,
    /// Hashes of the names of the set that is read.
    names: FxHashSet<u128>,
}

impl Reading<'_> {
    fn refuse(&mut self) {
        let looks_like = "JSON that is no allocation of OpenCost".to_owned();
        self.failed.get_or_insert(BillError::NotAClusterReport { looks_like });
    }

    fn allocation(&mut self, name: &str, allocation: Allocation) {
        if self.failed.is_some() {
            return;
        }
        self.report.row_count += 1;
        let number = self.report.row_count;
        let is_first = self.names.insert(xxh3_128(name.as_bytes()));
        // Which of the two counts nobody can tell.
        let entry = if is_first { allocation.entry(name) } else { Err("it stands twice in its set".to_owned()) };
        match entry {
            Ok((key, usage)) => self.failed = self.report.add(key, usage).err(),
            Err(reason) => self.report.reject(&format!(" (allocation {name})"), number, &reason),
        }
    }
}

/// How deep a value lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The whole file.
    Answer,
    /// What an answer has as its data.
    Data,
    /// One of several sets.
    Set,
}

/// Reads a value of the file.
struct Part<'p, 'r> {
    reading: &'p mut Reading<'r>,
    level: Level,
}

impl<'de> DeserializeSeed<'de> for Part<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("allocations of OpenCost")
    }

    /// An interval in which nothing ran.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.reading.refuse();
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.reading.refuse();
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.reading.refuse();
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.reading.refuse();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.level == Level::Set {
            self.reading.refuse();
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        while seq.next_element_seed(Part { reading: &mut *self.reading, level: Level::Set })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { reading, level } = self;
        reading.names.clear();
        let mut has_data = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == NUMBER {
                map.next_value::<IgnoredAny>()?;
                reading.refuse();
            } else if name == "data" && level == Level::Answer {
                // What stands beside the data of an answer is no allocation.
                (*reading.report, reading.failed, has_data) = (ClusterReport::default(), None, true);
                map.next_value_seed(Part { reading: &mut *reading, level: Level::Data })?;
            } else if has_data {
                map.next_value::<IgnoredAny>()?;
            } else {
                let allocation = map.next_value_seed(ObjectOf::<Allocation>::default())?;
                reading.allocation(&name, allocation);
            }
        }
        Ok(())
    }
}

/// What is looked at of an allocation.
#[derive(Default)]
struct Allocation {
    properties: Properties,
    window: Window,
    own: Window,
    total_cost: Cell,
}

#[derive(Default)]
struct Properties {
    cluster: Cell,
    node: Cell,
    namespace: Cell,
    provider_id: Cell,
}

#[derive(Default)]
struct Window {
    start: Cell,
    end: Cell,
}

impl Members for Allocation {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "properties" => self.properties = map.next_value_seed(ObjectOf::<Properties>::default())?,
            "window" => self.window = map.next_value_seed(ObjectOf::<Window>::default())?,
            "totalCost" => self.total_cost = map.next_value()?,
            _ => self.own.member(name, map)?,
        }
        Ok(())
    }
}

impl Members for Properties {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "cluster" => self.cluster = map.next_value()?,
            "node" => self.node = map.next_value()?,
            "namespace" => self.namespace = map.next_value()?,
            "providerID" => self.provider_id = map.next_value()?,
            _ => _ = map.next_value::<IgnoredAny>()?,
        }
        Ok(())
    }
}

impl Members for Window {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "start" => self.start = map.next_value()?,
            "end" => self.end = map.next_value()?,
            _ => _ = map.next_value::<IgnoredAny>()?,
        }
        Ok(())
    }
}

impl Allocation {
    fn entry(self, name: &str) -> Result<(UsageKey, Usage), String> {
        let Self { properties, window, own, total_cost } = self;
        let at = |within: Cell, own: Cell, which: &str| {
            let found = within.text().or_else(|| own.text());
            moment(&found.ok_or_else(|| format!("it has no {which}"))?, which)
        };
        let Cell::Number(cost) = total_cost else { return Err("it has no totalCost".to_owned()) };
        // What belongs to no namespace is named by the allocation itself: __idle__, __unallocated__.
        let namespace =
            properties.namespace.text().unwrap_or_else(|| name.rsplit('/').next().unwrap_or(name).to_owned());
        let key = UsageKey {
            kind: UsageKind::Allocations,
            cluster_id: properties.cluster.text(),
            interval_start: at(window.start, own.start, "start")?,
            resource_id: resource_key(&properties.provider_id.text().unwrap_or_default()),
            node: properties.node.text().unwrap_or_default(),
            namespace,
            payload_file: 0,
        };
        let interval_end = at(window.end, own.end, "end")?;
        // Without a step OpenCost makes one set of the whole window, which all would count on its first day.
        check_interval(key.interval_start, interval_end, "ask OpenCost with step=1d and without accumulate")?;
        Ok((key, Usage { interval_end, usage: quantity(&cost, "totalCost")?, capacity: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// What one report says, or why it is none.
    type Said = Result<(u64, Vec<(UsageKey, Usage)>), String>;

    fn said(report: ClusterReport, read: Result<(), BillError>) -> Said {
        let report = read.and_then(|()| report.checked()).map_err(|error| error.to_string())?;
        Ok((report.row_count, report.entries.into_iter().collect()))
    }

    fn streamed(text: &str) -> Said {
        let mut report = ClusterReport::default();
        let read = read_json(text.as_bytes(), &mut report);
        said(report, read)
    }

    /// The same by way of the whole value.
    fn whole(text: &str) -> Said {
        let mut report = ClusterReport::default();
        let read = read_whole(text, &mut report);
        said(report, read)
    }

    fn read_whole(text: &str, report: &mut ClusterReport) -> Result<(), BillError> {
        let value: Value = serde_json::from_str(text)
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
            let Value::Object(allocations) = set else {
                if set.is_null() {
                    continue;
                }
                let looks_like = "JSON that is no allocation of OpenCost".to_owned();
                return Err(BillError::NotAClusterReport { looks_like });
            };
            for (name, value) in &allocations {
                report.row_count += 1;
                match entry_of(name, value) {
                    Ok((key, usage)) => report.add(key, usage)?,
                    Err(reason) => report.reject(&format!(" (allocation {name})"), report.row_count, &reason),
                }
            }
        }
        Ok(())
    }

    fn entry_of(name: &str, value: &Value) -> Result<(UsageKey, Usage), String> {
        let cell = |value: &Value| match value {
            Value::String(text) => Cell::Text(text.clone()),
            Value::Number(number) => Cell::Number(number.to_string()),
            _ => Cell::Nothing,
        };
        let window = |value: &Value| Window { start: cell(&value["start"]), end: cell(&value["end"]) };
        let properties = &value["properties"];
        let allocation = Allocation {
            properties: Properties {
                cluster: cell(&properties["cluster"]),
                node: cell(&properties["node"]),
                namespace: cell(&properties["namespace"]),
                provider_id: cell(&properties["providerID"]),
            },
            window: window(&value["window"]),
            own: window(value),
            total_cost: cell(&value["totalCost"]),
        };
        allocation.entry(name)
    }

    const SHOP: &str = r#""shop": {"name": "shop", "labels": {"a": [1, {"b": "\"}"}]}, "properties": {"cluster": "one",
        "node": "n1", "namespace": "shop", "providerID": "aws:///eu/I-1", "labels": {"node": "no"}},
        "window": {"start": "2026-05-01T00:00:00Z", "end": "2026-05-02T00:00:00Z"}, "start": 5, "minutes": 1.5e3,
        "totalCost": 1.10000000000000000001}"#;
    const IDLE: &str = r#""n1/__idle__": {"start": "2026-05-01T00:00:00Z", "end": "2026-05-02T00:00:00Z",
        "window": {"start": null}, "properties": "none", "totalCost": 2E-1}"#;

    #[test]
    fn one_at_a_time_says_what_the_whole_says() {
        let both = format!("{SHOP}, {IDLE}");
        for text in [
            format!("{{{both}}}"),
            format!("[{{{both}}}, null, {{{SHOP}}}]"),
            format!(r#"{{"code": 200, "status": "success", "data": [{{{both}}}], "message": {{"x": [1]}}}}"#),
            format!(r#"{{"data": {{{both}}}, "code": 200}}"#),
            // Only the outermost data is that of an answer.
            format!(r#"{{{SHOP}, "data": [{{"data": 1, {IDLE}}}]}}"#),
            format!(r#"{{"code": 200, "data": [[{{{both}}}]]}}"#),
            format!("[{{{both}, \"x\": []}}, 7]"),
            format!("[{{{both}, \"x\": {{\"totalCost\": \"1\"}}, \"y\": {{\"totalCost\": 1}}}}]"),
            format!("[{{{both}}}, 7, true]"),
            format!("[true, {{{both}"),
            format!("{{{both}}} ]"),
            both.replace("1.1000", "-1.1000"),
            format!("{{{both}}}").replace("1.1000", "-1.1000"),
            format!("{{{both}}}").replace("2026-05-02T", "2026-05-02x"),
            format!("[{{{both}}}]").replace("2E-1", "2E-"),
        ]
        .iter()
        .map(String::as_str)
        .chain(["{}", "[]", "[1]", "[\"a\"]", "[null]", r#"{"code": 200}"#, r#"{"data": null}"#, r#"{"data": 5}"#])
        .chain(["[{\"a\": 1}]", "{\"a\":", "[[]]", "{\"a\": {\"totalCost\": {\"b\": 1}}}", "{\"a\" 1}"])
        {
            assert_eq!(streamed(text), whole(text), "{text}");
        }
        let (rows, entries) = streamed(&format!("{{{both}}}")).unwrap();
        assert_eq!((rows, entries.len()), (2, 2));
    }

    /// Of two values of one name the last one counted, and the first was passed over without a word.
    #[test]
    fn a_name_that_stands_twice_is_refused() {
        let told = streamed(&format!("{{{SHOP}, {SHOP}}}")).unwrap_err();
        assert!(told.contains("line 2 (allocation shop): it stands twice in its set"), "{told}");
        assert!(streamed(&format!("[{{{SHOP}}}, {{{SHOP}}}]")).is_ok());
    }

    #[test]
    fn a_set_of_several_days_is_refused_with_how_to_ask() {
        let until = |end: &str| streamed(&format!("{{{}}}", SHOP.replace("2026-05-02T00:00:00Z", end)));
        let told = until("2026-05-08T00:00:00Z").unwrap_err();
        assert!(told.contains("(allocation shop): its interval is longer than 24 hours"), "{told}");
        assert!(told.contains("step=1d"), "{told}");
        assert!(until("2026-05-02T00:00:01Z").is_err());
        assert!(until("2026-05-01T01:00:00Z").is_ok());
        let told = until("2026-05-01T00:00:00Z").unwrap_err();
        assert!(told.contains("does not end after it begins"), "{told}");
    }

    #[test]
    fn more_than_the_longest_is_refused_wherever_it_is_damaged() {
        let text = "[x".as_bytes().chain(io::repeat(b' ').take(JSON_BYTES_MAX));
        let told = read_json(text, &mut ClusterReport::default()).unwrap_err().to_string();
        assert!(told.contains("longer than 64 MiB"), "{told}");
    }
}
