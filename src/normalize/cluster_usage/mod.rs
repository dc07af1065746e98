//! How clusters were used, as OpenShift's operator and OpenCost report it: by machine, namespace and interval.
//!
//! Such a report is no bill. It says which part of a machine each namespace used, and so splits a cost that a cloud
//! provider's bill has already.

mod members;
mod opencost;
mod openshift;

use super::cells::Cells;
use super::error::BillError;
use super::recognize;
use super::records::{Record, Records};
use super::timestamp;
use crate::focus::Decimal;
use crate::sources::SourceFile;
use bigdecimal::BigDecimal;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Different machines, namespaces and intervals of one report: half a kilobyte each, so that a report needs 150 MiB at
/// most.
const ENTRIES_MAX: usize = 300_000;

/// No interval is longer: it counts on the day on which it begins. The database looks for what overlaps no further back.
pub const INTERVAL_HOURS_MAX: i64 = 24;

/// Rows that could not be read which an error names.
const NAMED_MAX: usize = 5;

/// What the numbers of a report are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageKind {
    /// CPU core-seconds of pods: what they used or asked for, the greater of the two.
    Pods,
    /// Byte-seconds of volumes.
    Volumes,
    /// Costs that OpenCost estimated from prices; here they are shares only.
    Allocations,
}

impl UsageKind {
    /// As the database and the command line have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Volumes => "volumes",
            Self::Allocations => "allocations",
        }
    }
}

/// What tells the entries of a report apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageKey {
    /// What was measured.
    pub kind: UsageKind,
    /// The cluster, where the report itself says so.
    pub cluster_id: Option<String>,
    /// The interval.
    pub interval_start: DateTime<Utc>,
    /// The machine or volume as a bill names it: the last part of its id, in lower case. Empty where unknown.
    pub resource_id: String,
    /// The machine as the cluster names it.
    pub node: String,
    /// The namespace, or `__idle__` and the like of OpenCost.
    pub namespace: String,
    /// Which file of its payload says so, by its place in the order of their names. 0 where there is no payload.
    pub payload_file: i16,
}

/// What one namespace used of one machine in one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// End of the interval, exclusive.
    pub interval_end: DateTime<Utc>,
    /// In the unit of the kind.
    pub usage: BigDecimal,
    /// All that the machine had, in the same unit, where the report says so.
    pub capacity: Option<BigDecimal>,
}

/// What OpenShift's operator uploads at once. A large payload comes as several archives, each with some of its files; all
/// of them name all files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Its name, which all its archives have.
    pub uuid: String,
    /// Files in all.
    pub file_count: i16,
    /// Those that are in this archive, by their places in the order of names.
    pub files: Vec<i16>,
}

/// One report.
#[derive(Debug, Default)]
pub struct ClusterReport {
    /// Data rows, or allocations.
    pub row_count: u64,
    /// Rows of a part that splits nothing: labels, GPUs, virtual machines.
    pub unused_row_count: u64,
    /// The entries.
    pub entries: BTreeMap<UsageKey, Usage>,
    /// What it is a part of, or all.
    pub payload: Option<Payload>,
    rejections: Vec<String>,
    rejected_count: u64,
}

impl ClusterReport {
    /// Sum of what was used, by kind.
    pub fn sums(&self) -> BTreeMap<UsageKind, BigDecimal> {
        let mut sums = BTreeMap::new();
        for (key, usage) in &self.entries {
            *sums.entry(key.kind).or_insert_with(BigDecimal::default) += &usage.usage;
        }
        sums
    }

    fn add(&mut self, key: UsageKey, usage: Usage) -> Result<(), BillError> {
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&key) {
            return Err(BillError::OutOfBounds(format!(
                "it has more than {ENTRIES_MAX} pairs of namespace and machine by interval: hand in fewer days at once"
            )));
        }
        match self.entries.get_mut(&key) {
            None => {
                self.entries.insert(key, usage);
            }
            Some(known) => {
                known.usage += usage.usage;
                known.interval_end = known.interval_end.max(usage.interval_end);
                // The machine's own, which each of its rows repeats.
                known.capacity = known.capacity.take().max(usage.capacity);
            }
        }
        Ok(())
    }

    fn reject(&mut self, place: &str, line: u64, reason: &str) {
        self.rejected_count += 1;
        if self.rejections.len() < NAMED_MAX {
            self.rejections.push(format!("line {line}{place}: {reason}"));
        }
    }

    /// A report with a row that cannot be read would split a cost wrongly.
    fn checked(self) -> Result<Self, BillError> {
        if self.rejected_count == 0 {
            return Ok(self);
        }
        let Self { rejected_count, row_count, rejections, .. } = self;
        let reasons = rejections.join("; ");
        Err(BillError::OutOfBounds(format!("{rejected_count} of {row_count} rows could not be read ({reasons})")))
    }
}

/// Reads a report: a file of OpenShift's operator or its whole tar.gz, or what OpenCost exports as JSON or CSV.
pub fn read_cluster_report(path: &Path) -> Result<ClusterReport, BillError> {
    let source = SourceFile::open(path)?;
    let mut report = ClusterReport::default();
    let head = source.head.trim_ascii_start();
    if head.is_empty() {
        return Err(BillError::Empty);
    }
    if head.starts_with(b"{") || head.starts_with(b"[") {
        let read = opencost::read_json(source.content, &mut report);
        if report.entries.is_empty() && openshift::is_manifest(path)? {
            let looks_like = "the manifest of an upload of OpenShift, which only names the tables beside it".to_owned();
            return Err(BillError::NotAClusterReport { looks_like });
        }
        read?;
    } else if openshift::is_archive(path)? {
        openshift::read_archive(path, &mut report)?;
    } else {
        read_table(source.content, Origin::default(), &mut report)?;
    }
    report.checked()
}

/// What is known of a table beside it.
#[derive(Debug, Clone, Copy, Default)]
struct Origin<'a> {
    /// Its file, in the words of an error.
    place: &'a str,
    cluster_id: Option<&'a str>,
    payload_file: i16,
}

/// A table of either; its columns say which.
fn read_table(content: impl Read, origin: Origin<'_>, report: &mut ClusterReport) -> Result<(), BillError> {
    let place = origin.place;
    let mut records = Records::new(content);
    let names: Vec<String> = match records.next()? {
        None => return Err(BillError::Empty),
        Some(Record::Unreadable { reason, .. }) => return Err(BillError::Malformed(reason.to_owned())),
        Some(Record::Cells { cells, .. }) => {
            (0..cells.spans.len()).map(|column| cells.get(column).trim().to_ascii_lowercase()).collect()
        }
    };
    let table = Table::of(&names).ok_or_else(|| BillError::NotAClusterReport {
        looks_like: match recognize::format(&names) {
            Ok(format) => format!("a bill ({})", format.label()),
            Err(looks_like) => looks_like,
        },
    })?;
    // Which of the two is meant nobody can tell.
    let is_repeated = |name: &&String| names.iter().filter(|other| other == name).count() > 1;
    if let Some(name) = table.columns().into_iter().map(|column| &names[column]).find(is_repeated) {
        return Err(BillError::Malformed(format!("column {name}{place} stands in it twice")));
    }
    while let Some(record) = records.next()? {
        report.row_count += 1;
        match record {
            Record::Unreadable { line, reason, .. } => report.reject(place, line, reason),
            Record::Cells { line, cells } if cells.spans.len() != names.len() => {
                let reason = format!("it has {} cells, the header {}", cells.spans.len(), names.len());
                report.reject(place, line, &reason);
            }
            Record::Cells { line, cells } => match table.entry(cells, origin) {
                Ok(Some((key, usage))) => report.add(key, usage)?,
                Ok(None) => report.unused_row_count += 1,
                Err(reason) => report.reject(place, line, &reason),
            },
        }
    }
    Ok(())
}

enum Table {
    OpenShift(openshift::Columns),
    OpenCost(opencost::Columns),
    /// Of OpenShift, and nothing that splits a cost.
    Unused,
}

impl Table {
    fn of(names: &[String]) -> Option<Self> {
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        if let Some(columns) = openshift::Columns::of(names) {
            return Some(Self::OpenShift(columns));
        }
        if let Some(columns) = opencost::Columns::of(names) {
            return Some(Self::OpenCost(columns));
        }
        (has("report_period_start") && has("interval_start")).then_some(Self::Unused)
    }

    /// The columns that are read.
    fn columns(&self) -> Vec<usize> {
        match self {
            Self::OpenShift(columns) => columns.all(),
            Self::OpenCost(columns) => columns.all(),
            Self::Unused => Vec::new(),
        }
    }

    fn entry(&self, cells: Cells<'_>, origin: Origin<'_>) -> Result<Option<(UsageKey, Usage)>, String> {
        match self {
            Self::OpenShift(columns) => columns.entry(cells, origin).map(Some),
            Self::OpenCost(columns) => columns.entry(cells).map(Some),
            Self::Unused => Ok(None),
        }
    }
}

fn position(names: &[String], wanted: &str) -> Option<usize> {
    names.iter().position(|name| name == wanted)
}

/// A quantity; nothing is none. A negative one has no share.
fn quantity(text: &str, name: &str) -> Result<BigDecimal, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(BigDecimal::default());
    }
    let value = Decimal::parse(text).map_err(|error| format!("{name} {error}: {text}"))?.to_big_decimal();
    if value < BigDecimal::default() { Err(format!("{name} is negative: {text}")) } else { Ok(value) }
}

fn moment(text: &str, name: &str) -> Result<DateTime<Utc>, String> {
    timestamp::read(text.trim()).ok_or_else(|| format!("{name} is no moment: {text}"))
}

/// An interval that can be told to a day.
fn check_interval(start: DateTime<Utc>, end: DateTime<Utc>, instead: &str) -> Result<(), String> {
    if end <= start {
        return Err("its interval does not end after it begins".to_owned());
    }
    if end - start > TimeDelta::hours(INTERVAL_HOURS_MAX) {
        return Err(format!("its interval is longer than {INTERVAL_HOURS_MAX} hours: {instead}"));
    }
    Ok(())
}

/// What a bill and a cluster both call a machine: `i-0abc` of `aws:///eu-west-1a/i-0abc`.
pub fn resource_key(id: &str) -> String {
    id.trim().rsplit('/').next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<ClusterReport, BillError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read_cluster_report(&path)
    }

    const PODS: &str = "report_period_start,interval_start,interval_end,pod,namespace,node,resource_id,\
        pod_usage_cpu_core_seconds,pod_request_cpu_core_seconds,node_capacity_cpu_core_seconds";

    #[test]
    fn pods_count_with_what_they_used_or_asked_for() {
        let row = |pod: &str, used: &str, asked: &str| {
            format!(
                "x,2026-05-01 00:00:00 +0000 UTC,2026-05-01 00:59:59 +0000 UTC,{pod},shop,node-1,\
                 aws:///a/I-0AB,{used},{asked},7200\n"
            )
        };
        let text = format!("{PODS}\n{}{}{}", row("a", "100.5", "90"), row("b", "", "30.25"), row("c", "1e1", "0"));
        let report = read("pods.csv", &text).unwrap();
        assert_eq!((report.row_count, report.entries.len()), (3, 1));
        let (key, usage) = report.entries.first_key_value().unwrap();
        assert_eq!((key.resource_id.as_str(), key.node.as_str(), key.namespace.as_str()), ("i-0ab", "node-1", "shop"));
        assert_eq!(usage.usage, "140.75".parse::<BigDecimal>().unwrap());
        assert_eq!(usage.capacity, Some(7200.into()));
        assert_eq!(usage.interval_end.to_rfc3339(), "2026-05-01T01:00:00+00:00");
        let error = read("pods.csv", &format!("{PODS}\n{}", row("a", "-1", "0"))).unwrap_err().to_string();
        assert!(
            error.contains("1 of 1 rows could not be read (line 2: pod_usage_cpu_core_seconds is negative"),
            "{error}"
        );
    }

    #[test]
    fn a_manifest_by_itself_is_told_as_one() {
        let manifest = r#"{"uuid": "a1", "cluster_id": "one", "version": "4", "files": ["a1_pods.csv"]}"#;
        let error = read("manifest.json", manifest).unwrap_err().to_string();
        assert!(error.contains("the manifest of an upload of OpenShift") && error.contains("whole archive"), "{error}");
    }

    #[test]
    fn allocations_are_read_from_json_and_csv() {
        let json = r#"{"code":200,"data":[{
            "shop": {"name": "shop", "properties": {"cluster": "one", "node": "n1", "namespace": "shop",
                "providerID": "aws:///eu/i-1"}, "window": {"start": "2026-05-01T00:00:00Z", "end": "2026-05-02T00:00:00Z"},
                "totalCost": 1.10000000000000000001},
            "__idle__": {"name": "__idle__", "properties": {"cluster": "one"},
                "start": "2026-05-01T00:00:00Z", "end": "2026-05-02T00:00:00Z", "totalCost": 0.5}}, null]}"#;
        let report = read("allocation.json", json).unwrap();
        assert_eq!(report.sums()[&UsageKind::Allocations], "1.60000000000000000001".parse::<BigDecimal>().unwrap());
        let namespaces: Vec<_> = report.entries.keys().map(|key| key.namespace.as_str()).collect();
        assert_eq!(namespaces, ["__idle__", "shop"]);
        assert!(report.entries.keys().all(|key| key.cluster_id.as_deref() == Some("one")));
        let csv = "Date,Namespace,ControllerKind,Pod,TotalCost\n2026-05-01,shop,Deployment,a,1.5\n\
                   2026-05-01,shop,Deployment,b,0.25\n";
        let report = read("allocation.csv", csv).unwrap();
        assert_eq!((report.row_count, report.entries.len()), (2, 1));
        assert_eq!(report.sums()[&UsageKind::Allocations], "1.75".parse::<BigDecimal>().unwrap());
        for (text, says) in [("{\"a\":", "JSON"), ("[1]", "allocation"), ("a,b\n1,2\n", "columns a, b")] {
            let error = read("odd", text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    /// The first of two was read, and the other passed over without a word.
    #[test]
    fn a_column_that_is_read_stands_in_a_table_once() {
        let refused = |text: &str, says: &str| {
            let error = read("odd.csv", text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        };
        refused(
            "Date,Namespace,Pod,TotalCost,totalcost\n2026-05-01,shop,a,1,2\n",
            "column totalcost stands in it twice",
        );
        refused(&format!("{PODS}, Node\n"), "column node stands in it twice");
        let other = "Date,Namespace,Pod,app,TotalCost,app\n2026-05-01,shop,a,x,1.5,y\n";
        assert_eq!(read("odd.csv", other).unwrap().row_count, 1);
    }
}
