//! Taking in reports of how clusters were used: by command, page and API alike.

use super::namespace_usage::COUNT_NAMESPACES;
use super::publish::Person;
use crate::background;
use crate::normalize::BillError;
use crate::normalize::cluster_usage::{ClusterReport, Usage, UsageKey, read_cluster_report};
use crate::sources::Fingerprint;
use crate::store::audit;
use crate::store::cluster_usage::{self, NewReport};
use crate::store::jobs;
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Longer names are refused.
const NAME_BYTES_MAX: usize = 200;

/// Why a report was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ClusterReportError {
    /// Neither the file nor its sender names the cluster.
    #[error("The file does not name its cluster: name it beside the file.")]
    Unnamed,
    /// Not a name.
    #[error("A cluster's name has at most 200 bytes and no control characters.")]
    Name,
    /// Not a report, or one that cannot be read.
    // Both sentences hold what they are about: as a source it would be said twice.
    #[error("{}", file_words(.0))]
    File(BillError),
    /// The file is gone, or the disk failed.
    #[error("The file cannot be read: {0}.")]
    Disk(std::io::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<BillError> for ClusterReportError {
    fn from(error: BillError) -> Self {
        Self::File(error)
    }
}

impl From<std::io::Error> for ClusterReportError {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error)
    }
}

// It was never taken for a bill.
fn file_words(error: &BillError) -> String {
    match error {
        BillError::Malformed(reason) => format!("The report cannot be read: {reason}."),
        other => other.to_string(),
    }
}

/// What became of a report.
#[derive(Debug)]
pub struct TakenReport {
    /// What it holds.
    pub report: ClusterReport,
    /// The clusters, in the order of their names.
    pub clusters: Vec<String>,
    /// Files of its payload that have not come yet.
    pub missing_file_count: u64,
    /// Intervals longer than its own that it replaced without filling them.
    pub longer_interval_count: u64,
    /// Entries that were left out, because a newer report holds their intervals.
    pub left_out_count: u64,
}

impl TakenReport {
    /// What whoever handed it in should know, in sentences; usually nothing.
    pub fn notes(&self) -> Vec<String> {
        self.waiting().into_iter().chain(self.shortened()).chain(self.left_out()).collect()
    }

    fn shortened(&self) -> Option<String> {
        match self.longer_interval_count {
            0 => None,
            1 => Some("A longer interval was replaced whole: what it held beside these rows is gone.".to_owned()),
            count => {
                Some(format!("{count} longer intervals were replaced whole: what they held beside these rows is gone."))
            }
        }
    }

    fn left_out(&self) -> Option<String> {
        match self.left_out_count {
            0 => None,
            1 => Some("1 entry was left out: a newer report holds its interval.".to_owned()),
            count => Some(format!("{count} entries were left out: newer reports hold their intervals.")),
        }
    }

    /// What is not here yet, as a sentence; nothing where all is.
    pub fn waiting(&self) -> Option<String> {
        match self.missing_file_count {
            0 => None,
            1 => Some("1 file of its payload is not here yet: it comes in another archive.".to_owned()),
            count => Some(format!("{count} files of its payload are not here yet: they come in other archives.")),
        }
    }
}

/// Takes a report in. It replaces what its clusters had for intervals that overlap with its own, but for other files of
/// its payload and what is newer than its payload, and changes no total. `cluster` is the name for what the
/// file does not name.
pub async fn import(
    pool: &PgPool,
    path: PathBuf,
    file_name: &str,
    cluster: Option<&str>,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<TakenReport, ClusterReportError> {
    let cluster = cluster.map(str::trim).filter(|name| !name.is_empty());
    if cluster.is_some_and(|name| name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control)) {
        return Err(ClusterReportError::Name);
    }
    let reading = background::spawn(move || -> Result<_, ClusterReportError> {
        Ok((read_cluster_report(&path)?, Fingerprint::of(&path)?.sha256))
    });
    let (report, sha256) = reading.await.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))??;
    let named = |(key, usage)| match name_of(key, cluster) {
        Some(name) => Ok((name, key, usage)),
        None => Err(ClusterReportError::Unnamed),
    };
    let entries: Vec<(&str, &UsageKey, &Usage)> = report.entries.iter().map(named).collect::<Result<_, _>>()?;
    let new = NewReport {
        file_name,
        content_sha256: &sha256,
        row_count: report.row_count.cast_signed(),
        unused_row_count: report.unused_row_count.cast_signed(),
        payload: report.payload.as_ref(),
        received_at: now,
        received_by: by.login,
    };
    let mut transaction = pool.begin().await?;
    let replaced = cluster_usage::replace(&mut transaction, &new, &entries).await?;
    let missing = match &report.payload {
        Some(payload) => cluster_usage::missing_files(&mut transaction, payload).await?,
        None => 0,
    };
    let clusters: BTreeSet<&str> = entries.iter().map(|(name, _, _)| *name).collect();
    let clusters: Vec<String> = clusters.into_iter().map(str::to_owned).collect();
    let details = json!({
        "file": file_name, "clusters": clusters, "rows": report.row_count, "unused_rows": report.unused_row_count,
    });
    let subject = format!("cluster report {}", replaced.report_id);
    audit::insert(&mut transaction, now, by.login, by.address, "cluster_report.imported", &subject, details).await?;
    jobs::enqueue(&mut transaction, COUNT_NAMESPACES, "", &json!({})).await?;
    transaction.commit().await?;
    Ok(TakenReport {
        report,
        clusters,
        missing_file_count: u64::try_from(missing).unwrap_or_default(),
        longer_interval_count: replaced.longer_interval_count.cast_unsigned(),
        left_out_count: replaced.left_out_count as u64,
    })
}

/// The cluster of an entry: as the report names it, else as its sender does.
fn name_of<'a>(key: &'a UsageKey, cluster: Option<&'a str>) -> Option<&'a str> {
    key.cluster_id.as_deref().filter(|own| !own.is_empty()).or(cluster)
}

/// What the numbers of a kind of usage are, in words.
pub fn unit(kind: &str) -> &'static str {
    match kind {
        "pods" => "CPU core-seconds of pods",
        "volumes" => "byte-seconds of volumes",
        _ => "cost as OpenCost estimates it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_said_once() {
        let other = BillError::NotAClusterReport { looks_like: "a bill (OCI cost report)".into() };
        let said = format!("{:#}", anyhow::Error::from(ClusterReportError::from(other)));
        assert!(said.starts_with("This is no report of how a cluster was used: it looks like a bill (OCI"), "{said}");
        assert_eq!(said.matches("OCI cost report").count(), 1, "{said}");
        let twice = BillError::Malformed("column node stands in it twice".into());
        let said = format!("{:#}", anyhow::Error::from(ClusterReportError::from(twice)));
        assert_eq!(said, "The report cannot be read: column node stands in it twice.");
        let gone = std::io::Error::other("gone");
        let said = format!("{:#}", anyhow::Error::from(ClusterReportError::from(gone)));
        assert_eq!(said, "The file cannot be read: gone.");
    }
}
