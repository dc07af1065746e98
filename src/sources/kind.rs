//! What a source is: where its files lie, how they lie there, and what a new one does to those before it.

use std::fmt;
use std::str::FromStr;

/// Where bills of a source come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A person hands them in: upload page and `costwake import`.
    Upload,
    /// A program hands them in: the push API.
    Push,
    /// A folder of the server.
    Directory,
    /// Amazon S3, or what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

/// How files lie at a source's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Each file is a delivery of its own.
    Files,
    /// AWS Data Exports (FOCUS, CUR 2.0): overwriting or with a folder a version, a manifest each.
    AwsDataExport,
    /// Legacy AWS Cost and Usage Reports: a manifest beside the period's files.
    AwsCur,
    /// Azure cost exports: a folder a run, with `manifest.json`.
    AzureExport,
    /// OCI cost reports: files that each add to the ones before.
    Oci,
}

/// What a delivery does to the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Restatement {
    /// The newest whole manifest of a period replaces the period.
    ReplaceByManifest,
    /// A newer file replaces the accounts and periods that it holds.
    Overwrite,
    /// A file adds to the others; only one of the same name replaces it.
    AppendByObject,
}

/// What happens to a delivery that changes a closed month.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LateBills {
    /// Nothing of it counts until finance decides.
    #[default]
    Hold,
    /// It counts at once, and the difference is booked to the first open month.
    Book,
}

/// A word that is none of those.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given} is not known. Allowed: {allowed}.")]
pub struct UnknownWord {
    given: String,
    allowed: String,
}

fn parse<T: Copy>(given: &str, all: &[T], key: impl Fn(T) -> &'static str) -> Result<T, UnknownWord> {
    all.iter().copied().find(|one| key(*one) == given).ok_or_else(|| UnknownWord {
        given: given.chars().take(60).collect(),
        allowed: all.iter().map(|one| key(*one)).collect::<Vec<_>>().join(", "),
    })
}

impl Kind {
    /// Each of them.
    pub const ALL: [Self; 6] = [Self::Upload, Self::Push, Self::Directory, Self::S3, Self::Gcs, Self::Azure];

    /// As it is stored and written in addresses.
    pub fn key(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Push => "push",
            Self::Directory => "directory",
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
        }
    }

    /// What a page calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Upload => "Upload",
            Self::Push => "Push API",
            Self::Directory => "Folder on the server",
            Self::S3 => "Amazon S3 or compatible",
            Self::Gcs => "Google Cloud Storage",
            Self::Azure => "Azure Blob Storage",
        }
    }

    /// Whether Costwake looks for files by itself.
    pub fn is_read(self) -> bool {
        !matches!(self, Self::Upload | Self::Push)
    }

    /// Whether it is an object store.
    pub fn is_object_store(self) -> bool {
        matches!(self, Self::S3 | Self::Gcs | Self::Azure)
    }
}

impl Layout {
    /// Each of them.
    pub const ALL: [Self; 5] = [Self::Files, Self::AwsDataExport, Self::AwsCur, Self::AzureExport, Self::Oci];

    /// As it is stored.
    pub fn key(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::AwsDataExport => "aws-data-export",
            Self::AwsCur => "aws-cur",
            Self::AzureExport => "azure-export",
            Self::Oci => "oci",
        }
    }

    /// What a page calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Files => "Single files",
            Self::AwsDataExport => "AWS Data Exports (FOCUS or CUR 2.0, overwriting or a folder a version)",
            Self::AwsCur => "AWS Cost and Usage Report, legacy, with manifest",
            Self::AzureExport => "Azure export with manifest.json",
            Self::Oci => "OCI cost reports",
        }
    }

    /// What its files can mean, the usual first.
    pub fn restatements(self) -> &'static [Restatement] {
        match self {
            Self::Files => &[Restatement::Overwrite, Restatement::AppendByObject],
            Self::AwsDataExport | Self::AwsCur | Self::AzureExport => &[Restatement::ReplaceByManifest],
            Self::Oci => &[Restatement::AppendByObject],
        }
    }
}

impl Restatement {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::ReplaceByManifest, Self::Overwrite, Self::AppendByObject];

    /// As it is stored.
    pub fn key(self) -> &'static str {
        match self {
            Self::ReplaceByManifest => "replace-by-manifest",
            Self::Overwrite => "overwrite",
            Self::AppendByObject => "append-by-object",
        }
    }

    /// What a page calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::ReplaceByManifest => "The newest whole manifest replaces its period",
            Self::Overwrite => "A newer file replaces the accounts and periods that it holds",
            Self::AppendByObject => "A file adds to the others; the same name replaces itself",
        }
    }
}

impl LateBills {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Hold, Self::Book];

    /// As it is stored.
    pub fn key(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Book => "book",
        }
    }

    /// What a page calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Hold => "Waits until finance decides",
            Self::Book => "Counts at once; the difference is booked to the open month",
        }
    }
}

macro_rules! words {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.key())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                parse(text, &Self::ALL, Self::key)
            }
        }
    )*};
}

words!(Kind, Layout, Restatement, LateBills);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_themselves() {
        for kind in Kind::ALL {
            assert_eq!(kind.key().parse(), Ok(kind));
        }
        for layout in Layout::ALL {
            assert_eq!(layout.key().parse(), Ok(layout));
            assert!(!layout.restatements().is_empty());
        }
        for rule in Restatement::ALL {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        for rule in LateBills::ALL {
            assert_eq!(rule.key().parse(), Ok(rule));
        }
        let error = "ftp".parse::<Kind>().unwrap_err().to_string();
        assert_eq!(error, "ftp is not known. Allowed: upload, push, directory, s3, gcs, azure.");
    }
}
