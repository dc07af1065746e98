//! Usage reports of OpenShift's cost management operator: tables of one cluster, or all of them in a tar.gz.

use super::{ClusterReport, Origin, Payload, Usage, UsageKey, UsageKind};
use super::{check_interval, moment, position, quantity, read_table, resource_key};
use crate::normalize::cells::Cells;
use crate::normalize::error::BillError;
use crate::sources::SourceFile;
use bigdecimal::BigDecimal;
use chrono::{DurationRound, TimeDelta};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

/// Longest manifest that is read.
const MANIFEST_BYTES_MAX: u64 = 1024 * 1024;

/// Most files of one archive.
const FILES_MAX: usize = 1000;

/// Longest name of a payload.
const UUID_BYTES_MAX: usize = 200;

/// Where the magic of a tar archive stands in its first block.
const TAR_MAGIC_AT: usize = 257;

/// The columns of one of the tables that split a cost.
pub(super) struct Columns {
    kind: UsageKind,
    interval_start: usize,
    interval_end: usize,
    namespace: usize,
    node: Option<usize>,
    resource_id: Option<usize>,
    /// The greater of these was used.
    usage: Vec<(usize, &'static str)>,
    capacity: Option<usize>,
}

impl Columns {
    /// Of lower-case names; `None` where it is no such table.
    pub fn of(names: &[String]) -> Option<Self> {
        let find = |wanted: &str| position(names, wanted);
        let kept = |wanted: &[&'static str]| -> Vec<(usize, &'static str)> {
            wanted.iter().filter_map(|name| Some((find(name)?, *name))).collect()
        };
        let pods = kept(&["pod_usage_cpu_core_seconds", "pod_request_cpu_core_seconds"]);
        let volumes = kept(&["persistentvolumeclaim_usage_byte_seconds"]);
        let (kind, usage, resource_id, capacity) = if !pods.is_empty() {
            (UsageKind::Pods, pods, find("resource_id"), find("node_capacity_cpu_core_seconds"))
        } else if !volumes.is_empty() {
            let capacity = find("persistentvolumeclaim_capacity_byte_seconds");
            // Older operators do not name the provider's volume; then the cluster's own name stands there.
            (UsageKind::Volumes, volumes, find("csi_volume_handle").or_else(|| find("persistentvolume")), capacity)
        } else {
            return None;
        };
        Some(Self {
            kind,
            interval_start: find("interval_start")?,
            interval_end: find("interval_end")?,
            namespace: find("namespace")?,
            node: find("node"),
            resource_id,
            usage,
            capacity,
        })
    }

    /// Those that are read.
    pub fn all(&self) -> Vec<usize> {
        let kept = [self.node, self.resource_id, self.capacity].into_iter().flatten();
        let usage = self.usage.iter().map(|(column, _)| *column);
        [self.interval_start, self.interval_end, self.namespace].into_iter().chain(kept).chain(usage).collect()
    }

    pub fn entry(&self, cells: Cells<'_>, origin: Origin<'_>) -> Result<(UsageKey, Usage), String> {
        let cell = |column: Option<usize>| column.map(|column| cells.get(column)).unwrap_or_default();
        let mut usage = BigDecimal::default();
        for (column, name) in &self.usage {
            usage = usage.max(quantity(cells.get(*column), name)?);
        }
        let capacity = self.capacity.map(|column| quantity(cells.get(column), "the capacity")).transpose()?;
        let interval_end = moment(cells.get(self.interval_end), "interval_end")?;
        let key = UsageKey {
            kind: self.kind,
            cluster_id: origin.cluster_id.map(str::to_owned),
            interval_start: moment(cells.get(self.interval_start), "interval_start")?,
            resource_id: resource_key(cell(self.resource_id)),
            node: cell(self.node).to_owned(),
            namespace: cells.get(self.namespace).to_owned(),
            payload_file: origin.payload_file,
        };
        // An interval ends with its last second, or with the first of the next.
        let interval_end = interval_end.duration_round(TimeDelta::minutes(1)).unwrap_or(interval_end);
        check_interval(key.interval_start, interval_end, "hand in a report by the hour")?;
        Ok((key, Usage { interval_end, usage, capacity }))
    }
}

/// Whether a file, unpacked, is a tar archive.
pub(super) fn is_archive(path: &Path) -> Result<bool, BillError> {
    let mut block = Vec::new();
    SourceFile::open(path)?.content.take(512).read_to_end(&mut block)?;
    Ok(block.get(TAR_MAGIC_AT..TAR_MAGIC_AT + 5) == Some(b"ustar"))
}

#[derive(serde::Deserialize)]
struct Manifest {
    cluster_id: String,
    files: Vec<String>,
    uuid: Option<String>,
}

/// Whether the file is a manifest without its tables.
pub(super) fn is_manifest(path: &Path) -> Result<bool, BillError> {
    let content = SourceFile::open(path)?.content;
    Ok(serde_json::from_reader::<_, Manifest>(content.take(MANIFEST_BYTES_MAX)).is_ok())
}

/// Reads the tables that the manifest of an archive names. The manifest may stand behind them: the archive is gone
/// through twice. The operator packs each file of a large payload into an archive of its own, all with the same manifest:
/// a file that is not here comes in another one.
pub(super) fn read_archive(path: &Path, report: &mut ClusterReport) -> Result<(), BillError> {
    let Manifest { cluster_id, files, uuid } = manifest(path)?;
    // In order, so that a file has the same place whichever archive of its payload it is in.
    let files: Vec<String> = BTreeSet::from_iter(files).into_iter().collect();
    if files.len() > FILES_MAX {
        return Err(BillError::OutOfBounds(format!("its manifest names more than {FILES_MAX} files")));
    }
    let mut here = BTreeSet::new();
    let mut archive = tar::Archive::new(SourceFile::open(path)?.content);
    for entry in archive.entries()? {
        let entry = entry?;
        let name = file_name(&entry);
        let Ok(place) = files.binary_search(&name) else { continue };
        if here.insert(place) {
            let words = format!(" of {name}");
            let origin = Origin { place: &words, cluster_id: Some(&cluster_id), payload_file: place as i16 };
            read_table(entry, origin, report)?;
        }
    }
    let uuid = uuid.filter(|uuid| !uuid.is_empty() && uuid.len() <= UUID_BYTES_MAX && !uuid.contains('\0'));
    // Without the name of the payload nothing tells what belongs together.
    if let Some((_, name)) = files.iter().enumerate().find(|(place, _)| !here.contains(place))
        && (here.is_empty() || uuid.is_none())
    {
        return Err(BillError::Malformed(format!("its manifest names {name}, which is not in the archive")));
    }
    report.payload = uuid.map(|uuid| Payload {
        uuid,
        file_count: files.len() as i16,
        files: here.into_iter().map(|place| place as i16).collect(),
    });
    Ok(())
}

fn manifest(path: &Path) -> Result<Manifest, BillError> {
    let mut archive = tar::Archive::new(SourceFile::open(path)?.content);
    for entry in archive.entries()? {
        let entry = entry?;
        if file_name(&entry) != "manifest.json" {
            continue;
        }
        let mut text = String::new();
        entry.take(MANIFEST_BYTES_MAX).read_to_string(&mut text)?;
        return serde_json::from_str(&text).map_err(|error| {
            BillError::Malformed(format!("its manifest.json is not as the operator writes it ({error})"))
        });
    }
    Err(BillError::Malformed("it is a tar archive without manifest.json".to_owned()))
}

fn file_name<R: Read>(entry: &tar::Entry<'_, R>) -> String {
    let path = entry.path().unwrap_or_default();
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
