use crate::sources::SourceError;

/// Why a file is not read as a bill at all. Each is a sentence for the receipt.
#[derive(Debug, thiserror::Error)]
pub enum BillError {
    /// It is some other export, or no export.
    #[error(
        "This is not a FOCUS cost and usage file nor another bill that Costwake reads: it looks like {looks_like}, which \
         is not read yet. Costwake reads FOCUS 1.0 to 1.4, AWS Cost and Usage Reports, Azure cost exports, Google \
         Cloud billing exports and OCI cost reports, as CSV, .csv.gz, .csv.zst or Parquet, Google Cloud's also as JSON \
         lines; docs/formats.md names all."
    )]
    NotABill {
        /// What it looks like, with its article.
        looks_like: String,
    },
    /// It is JSON, and its objects do not stand on a line each.
    #[error(
        "This is JSON that does not have one object a line. Costwake reads Google Cloud's billing export as JSON lines, each \
         object on a line of its own, as BigQuery writes it: `jq -c '{filter}' FILE` makes such lines of it."
    )]
    NotJsonLines {
        /// What takes the objects out of it.
        filter: &'static str,
    },
    /// Handed in as a report of how a cluster was used, it is something else.
    #[error(
        "This is no report of how a cluster was used: it looks like {looks_like}. Costwake reads OpenShift usage reports, \
         a file or the whole archive, and OpenCost allocations, as JSON or CSV. Hand bills to `costwake import`."
    )]
    NotAClusterReport {
        /// What it looks like, with its article.
        looks_like: String,
    },
    /// It holds totals of invoices.
    #[error(
        "This is no bill but {looks_like}: it says what invoices add up to, and is held against the lines of bills. Hand \
         it to `costwake invoices import`; no total changes by it."
    )]
    Invoices {
        /// What it is, with its article.
        looks_like: String,
    },
    /// It says how a cluster was used.
    #[error(
        "This is no bill but {looks_like}: it says how a cluster was used, and splits costs that bills have. Hand it to \
         `costwake clusters import`; no total changes by it."
    )]
    ClusterUsage {
        /// What it is, with its article.
        looks_like: String,
    },
    /// It has nothing, not even column names.
    #[error("The file is empty: not even column names stand in it.")]
    Empty,
    /// It is damaged, or not what its first bytes say.
    #[error("The file cannot be read as a bill: {0}.")]
    Malformed(String),
    /// It exceeds a limit that protects the server.
    #[error("The file is refused: {0}.")]
    OutOfBounds(String),
    /// It could not be read from the disk.
    // The sentence holds the system's own: as a source it would be said twice.
    #[error("The file could not be read: {0}.")]
    Io(std::io::Error),
}

impl From<SourceError> for BillError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::OutOfBounds(reason) => Self::OutOfBounds(reason),
            SourceError::Malformed(reason) => Self::Malformed(reason),
            SourceError::Io(error) => Self::Io(error),
        }
    }
}

/// Reads through a decompressor answer with `io::Error`; the source's own errors ride inside.
impl From<std::io::Error> for BillError {
    fn from(error: std::io::Error) -> Self {
        SourceError::from(error).into()
    }
}
