//! Files that are deliveries by themselves.

use super::{Head, Object};

const ENDINGS: [&str; 13] = [
    ".csv",
    ".csv.gz",
    ".csv.zst",
    ".parquet",
    ".json",
    ".json.gz",
    ".json.zst",
    ".jsonl",
    ".jsonl.gz",
    ".jsonl.zst",
    ".ndjson",
    ".ndjson.gz",
    ".ndjson.zst",
];

/// A file that can be a bill by its name. Hidden ones and marks such as `_SUCCESS` are none.
pub(super) fn head(object: &Object) -> Option<Head> {
    let name = object.key.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_bill = ENDINGS.iter().any(|ending| name.ends_with(ending))
        && !name.ends_with("manifest.json")
        && !name.starts_with(['.', '_'])
        && object.bytes > 0;
    is_bill.then(|| of(object))
}

/// `FOCUS Reports/2026/10/01/….csv.gz` and `reports/cost-csv/….csv.gz`; usage reports are no bills.
pub(super) fn oci_head(object: &Object) -> Option<Head> {
    let key = object.key.to_ascii_lowercase();
    let is_bill = (key.ends_with(".csv.gz") || key.ends_with(".csv")) && !key.contains("usage-csv") && object.bytes > 0;
    is_bill.then(|| of(object))
}

fn of(object: &Object) -> Head {
    Head { subject: object.key.clone(), version_at: object.modified, object: object.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::kind::Layout;

    #[test]
    fn only_what_can_be_a_bill_is_read() {
        let object = |key: &str| Object { key: key.into(), bytes: 1, etag: "e".into(), modified: Default::default() };
        let heads = |layout: Layout, keys: &[&str]| {
            let objects: Vec<Object> = keys.iter().map(|key| object(key)).collect();
            layout.heads(&objects).into_iter().map(|head| head.subject).collect::<Vec<_>>()
        };
        let found =
            heads(Layout::Files, &["a.CSV", "a/b.parquet", "_SUCCESS", ".x.csv", "manifest.json", "a.txt", "_x.csv"]);
        assert_eq!(found, ["a.CSV", "a/b.parquet"]);
        let found = heads(
            Layout::Oci,
            &["FOCUS Reports/2026/10/01/f.csv.gz", "reports/usage-csv/u.csv.gz", "reports/cost-csv/c.csv.gz", "x.json"],
        );
        assert_eq!(found, ["FOCUS Reports/2026/10/01/f.csv.gz", "reports/cost-csv/c.csv.gz"]);
    }
}
