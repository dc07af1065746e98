//! Files that are deliveries by themselves.

use super::{Head, LeftOut, Object};

pub(super) const ENDINGS: [&str; 13] = [
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

/// A file that can be a bill by its name, or a part of one that has nothing in it. Hidden ones and marks such as
/// `_SUCCESS` are none.
pub(super) fn head(object: &Object) -> Option<Head> {
    let name = object.key.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_bill = ENDINGS.iter().any(|ending| name.ends_with(ending))
        && !name.ends_with("manifest.json")
        && !name.starts_with(['.', '_']);
    is_bill.then(|| of(object))
}

/// `FOCUS Reports/2026/10/01/….csv.gz` and `reports/cost-csv/….csv.gz`; usage reports are no bills.
pub(super) fn oci_head(object: &Object) -> Option<Head> {
    (is_oci_bill(object) && object.bytes > 0).then(|| of(object))
}

/// A report of Oracle's with nothing in it.
pub(super) fn is_empty_oci(object: &Object) -> bool {
    is_oci_bill(object) && object.bytes == 0
}

fn is_oci_bill(object: &Object) -> bool {
    let key = object.key.to_ascii_lowercase();
    (key.ends_with(".csv.gz") || key.ends_with(".csv")) && !key.contains("usage-csv")
}

/// What an OCI report reports, by where it lies. Oracle's own bucket has both of the same usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OciReport {
    Focus,
    Cost,
    Elsewhere,
}

impl OciReport {
    fn of(key: &str) -> Self {
        let key = key.to_ascii_lowercase();
        match (key.contains("focus reports/"), key.contains("cost-csv/")) {
            (true, _) => Self::Focus,
            (_, true) => Self::Cost,
            _ => Self::Elsewhere,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Focus => "FOCUS Reports",
            Self::Cost => "reports/cost-csv",
            Self::Elsewhere => "other folders",
        }
    }
}

/// Of the OCI reports of one place those of one kind: of the kind that counts already, else of FOCUS.
pub(super) fn oci_once(heads: Vec<Head>, counted_key: Option<&str>) -> (Vec<Head>, Option<LeftOut>) {
    let has = |report: OciReport| heads.iter().any(|head| OciReport::of(&head.object.key) == report);
    let counted = counted_key.map(OciReport::of).filter(|report| *report != OciReport::Elsewhere);
    let found = [OciReport::Focus, OciReport::Cost].into_iter().find(|report| has(*report));
    let report = counted.or(found).unwrap_or(OciReport::Elsewhere);
    let (counting, others): (Vec<Head>, Vec<Head>) =
        heads.into_iter().partition(|head| OciReport::of(&head.object.key) == report);
    if others.is_empty() {
        return (counting, None);
    }
    let why = format!(
        "It lies outside {}, which this source counts: the same usage is reported there, and would count twice.",
        report.words()
    );
    (counting, Some(LeftOut { heads: others, why }))
}

fn of(object: &Object) -> Head {
    Head { subject: object.key.clone(), version_at: object.modified, object: object.clone(), shards: Vec::new() }
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

    #[test]
    fn empty_files_are_no_deliveries_and_are_named() {
        let object = |(key, bytes): &(&str, u64)| Object {
            key: (*key).into(),
            bytes: *bytes,
            etag: "e".into(),
            modified: Default::default(),
        };
        let of = |layout: Layout, files: &[(&str, u64)]| {
            let objects: Vec<Object> = files.iter().map(object).collect();
            (layout.heads(&objects).len(), layout.empty_files(&objects))
        };
        let files = [("empty.csv", 0), ("a.csv", 1), ("notes.txt", 0), ("_SUCCESS", 0)];
        assert_eq!(of(Layout::Files, &files), (1, vec!["empty.csv".to_owned()]));
        let reports = [("reports/cost-csv/c.csv.gz", 0), ("reports/usage-csv/u.csv.gz", 0)];
        assert_eq!(of(Layout::Oci, &reports), (0, vec!["reports/cost-csv/c.csv.gz".to_owned()]));
        assert_eq!(of(Layout::AwsCur, &files), (0, vec![]));
    }

    #[test]
    fn one_kind_of_oci_report_counts() {
        let (focus, cost, other) = ("FOCUS Reports/2026/10/01/f.csv.gz", "reports/cost-csv/c.csv.gz", "x/c.csv");
        let counting = |keys: &[&str], counted_key: Option<&str>| {
            let object =
                |key: &&str| Object { key: (*key).into(), bytes: 1, etag: "e".into(), modified: Default::default() };
            let objects: Vec<Object> = keys.iter().map(object).collect();
            let (heads, left_out) = Layout::Oci.once(Layout::Oci.heads(&objects), counted_key);
            let left_out = left_out.map_or(0, |left_out| left_out.heads.len());
            (heads.into_iter().map(|head| head.subject).collect::<Vec<_>>(), left_out)
        };
        assert_eq!(counting(&[cost, focus, other], None), (vec![focus.to_owned()], 2));
        assert_eq!(counting(&[cost, focus], Some("reports/cost-csv/b.csv")), (vec![cost.to_owned()], 1));
        assert_eq!(counting(&[cost, focus], Some("pushed.csv")), (vec![focus.to_owned()], 1));
        assert_eq!(counting(&[focus], Some(cost)), (vec![], 1), "what counts is not joined by the other kind");
        assert_eq!(counting(&[cost], None), (vec![cost.to_owned()], 0));
        assert_eq!(counting(&[other], None), (vec![other.to_owned()], 0));
    }
}
