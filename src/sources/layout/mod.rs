//! How deliveries lie at a place: which object begins one, what it names, whether all of it is there. Pure, and no
//! bytes of a manifest make it panic.

mod aws;
mod azure;
mod choose;
mod dates;
mod files;
mod parts;
mod shards;

pub use choose::{Candidate, Choice, Chosen, Standing, choose};
pub use parts::{Part, resolve};

use super::kind::Layout;
use chrono::{DateTime, NaiveDate, Utc};

/// Bytes of what tells an export: no provider's names are longer.
const EXPORT_BYTES_MAX: usize = 1000;
/// Files that a manifest may name.
pub const PARTS_MAX: usize = 10_000;

/// One object at a place, as it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name: of an object store the whole one, of a folder that below it.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// The store's mark of its content.
    pub etag: String,
    /// When it was written.
    pub modified: DateTime<Utc>,
}

/// An object that begins a delivery: a manifest, or a file where there are none. A set of shards has one that stands for
/// all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// It.
    pub object: Object,
    /// What it says something about: of all heads of a subject the newest whole one counts.
    pub subject: String,
    /// Its version as the path tells it, else the time at which it was written.
    pub version_at: DateTime<Utc>,
    /// The shards that it stands for, in order; none of a manifest or a single file.
    pub shards: Vec<Object>,
}

impl Head {
    /// Why its shards are not whole, in a sentence.
    pub fn shards_fault(&self, now: DateTime<Utc>) -> Option<String> {
        shards::fault(&self.shards, now)
    }

    /// What tells the export where its manifest does not: the folder above its periods.
    pub fn export_folder(&self) -> &str {
        let above = self.subject.rsplit_once('/').map_or("", |(above, _)| above);
        above.strip_suffix("/metadata").unwrap_or(above)
    }

    /// The month that the folder of a manifest is called after, where it is a whole one: its files are all of it.
    pub fn month(&self) -> Option<NaiveDate> {
        let folder = self.subject.rsplit('/').next().unwrap_or_default();
        dates::whole_month(folder.strip_prefix("BILLING_PERIOD=").unwrap_or(folder))
    }
}

/// Heads that are not counted, because others of the same place report the same cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// They.
    pub heads: Vec<Head>,
    /// Why, in a sentence about one of them.
    pub why: String,
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The export's own id of this version.
    pub identity: String,
    /// What tells the export from others of the same place, where it says so: two exports are two scopes.
    pub export: Option<String>,
    /// Which of the two costs of an Azure bill its files have, where it says so: `actual` or `amortized`.
    pub side: Option<&'static str>,
    /// When it was made, where it says so.
    pub version_at: Option<DateTime<Utc>>,
    /// Its files.
    pub parts: Vec<Part>,
    /// Rows of all of them, where it says so.
    pub row_count: Option<i64>,
}

/// Why a manifest cannot be used, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ManifestError(pub(crate) String);

impl Layout {
    /// Whether a delivery is what a manifest names.
    pub fn has_manifests(self) -> bool {
        matches!(self, Self::AwsDataExport | Self::AwsCur | Self::AzureExport)
    }

    /// The objects that begin a delivery.
    pub fn heads(self, objects: &[Object]) -> Vec<Head> {
        if self == Self::Files {
            return files_by_content(objects).0;
        }
        let head = |object: &Object| match self {
            Self::AwsDataExport => aws::data_export_head(object),
            Self::AwsCur => aws::cur_head(object),
            Self::AzureExport => azure::head(object),
            Self::Files => files::head(object),
            Self::Oci => files::oci_head(object),
        };
        objects.iter().filter_map(head).collect()
    }

    /// The names of files that would each be a delivery and have nothing in them, as an export leaves them that failed.
    pub fn empty_files(self, objects: &[Object]) -> Vec<String> {
        let name = |object: &Object| object.key.clone();
        match self {
            Self::Files => files_by_content(objects).1.iter().map(|head| name(&head.object)).collect(),
            Self::Oci => objects.iter().filter(|object| files::is_empty_oci(object)).map(name).collect(),
            Self::AwsDataExport | Self::AwsCur | Self::AzureExport => Vec::new(),
        }
    }

    /// Whether a place can hold the same cost twice, in files of two kinds.
    pub fn has_kinds(self) -> bool {
        self == Self::Oci
    }

    /// Takes out what would count cost twice. `counted_key` is the name of an object that counts already.
    pub fn once(self, heads: Vec<Head>, counted_key: Option<&str>) -> (Vec<Head>, Option<LeftOut>) {
        if self.has_kinds() { files::oci_once(heads, counted_key) } else { (heads, None) }
    }

    /// Reads a manifest.
    pub fn manifest(self, bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let manifest = match self {
            Self::AwsDataExport => aws::data_export(bytes)?,
            Self::AwsCur => aws::cur(bytes)?,
            Self::AzureExport => azure::manifest(bytes)?,
            Self::Files | Self::Oci => return Err(ManifestError("This layout has no manifests.".into())),
        };
        parts::check(&manifest.parts)?;
        Ok(manifest)
    }

    /// What is wrong where nothing at a place begins a delivery, in a sentence.
    pub fn nothing_found(self) -> &'static str {
        match self {
            Self::Files => "Nothing there ends in .csv, .csv.gz, .csv.zst, .parquet, .json or .jsonl.",
            Self::AwsDataExport => {
                "There is no …/metadata/BILLING_PERIOD=YYYY-MM/…Manifest.json. The prefix is that of the export, above \
                 data and metadata."
            }
            Self::AwsCur => "There is no …/yyyymmdd-yyyymmdd/…-Manifest.json. The prefix is that of the report.",
            Self::AzureExport => "There is no …/yyyymmdd-yyyymmdd/…/manifest.json. The prefix is that of the export.",
            Self::Oci => "There is no .csv.gz file below “FOCUS Reports” or “reports/cost-csv”.",
        }
    }
}

// Those with something in them, and the empty ones, which are none yet; among shards an empty one is the one that no line
// fell to.
fn files_by_content(objects: &[Object]) -> (Vec<Head>, Vec<Head>) {
    let heads = shards::joined(objects.iter().filter_map(files::head).collect());
    heads.into_iter().partition(|head| head.object.bytes > 0)
}

// The name of an export as it is stored.
fn export(name: String) -> Option<String> {
    let is_name = !name.is_empty() && name.len() <= EXPORT_BYTES_MAX && !name.chars().any(char::is_control);
    is_name.then_some(name)
}

fn unreadable(what: &str, error: &serde_json::Error) -> ManifestError {
    ManifestError(format!("It is not {what} (line {}, column {}).", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_a_manifest_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), layout in 0..5_usize) {
            let _ = Layout::ALL[layout].manifest(&bytes);
        }

        #[test]
        fn no_json_makes_a_manifest_panic(
            name in "(dataFiles|reportKeys|blobs|runInfo|executionId|assemblyId|submittedTime|exportArn|exportConfig)",
            value in "(\\[\"[a-z/:.]{0,20}\"\\]|\"[0-9TZ:.+-]{0,30}\"|\\{\"blobName\":\"a\",\"byteCount\":-?[0-9]{1,25}\\}|null|1e999)",
            layout in 0..5_usize,
        ) {
            let text = format!(r#"{{"executionId":"x","assemblyId":"y","{name}":{value}}}"#);
            let _ = Layout::ALL[layout].manifest(text.as_bytes());
        }

        #[test]
        fn no_name_makes_a_head_panic(key in "[ -~é€]{0,60}", layout in 0..5_usize) {
            let object = Object { key, bytes: 1, etag: "e".into(), modified: DateTime::UNIX_EPOCH };
            let _ = Layout::ALL[layout].heads(&[object]);
        }
    }
}
