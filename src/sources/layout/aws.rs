//! AWS: Data Exports (FOCUS, CUR 2.0) and the legacy Cost and Usage Report. The manifest is written last.

use super::{Head, Manifest, ManifestError, Object, Part, dates, export, unreadable};
use serde::Deserialize;
use uuid::Uuid;

/// `…/metadata/BILLING_PERIOD=2026-10/[<time>-<execution>/]name-Manifest.json`.
pub(super) fn data_export_head(object: &Object) -> Option<Head> {
    if !object.key.ends_with("Manifest.json") {
        return None;
    }
    let folders: Vec<&str> = object.key.split('/').collect();
    let is_period = |folder: &&str| folder.strip_prefix("BILLING_PERIOD=").is_some_and(dates::is_month);
    let place = folders.iter().rposition(is_period)?;
    if place == 0 || folders[place - 1] != "metadata" {
        return None;
    }
    let subject = folders[..=place].join("/");
    let told = folders.get(place + 1).and_then(|folder| dates::leading_time(folder));
    Some(Head { subject, version_at: told.unwrap_or(object.modified), object: object.clone(), shards: Vec::new() })
}

/// `…/20261001-20261101/[<assembly>/]name-Manifest.json`.
pub(super) fn cur_head(object: &Object) -> Option<Head> {
    if !object.key.ends_with("-Manifest.json") {
        return None;
    }
    let folders: Vec<&str> = object.key.split('/').collect();
    let place = folders.iter().rposition(|folder| dates::is_period(folder))?;
    // In the folder of the period, or one below it.
    if folders.len() - place > 3 {
        return None;
    }
    Some(Head {
        subject: folders[..=place].join("/"),
        version_at: object.modified,
        object: object.clone(),
        shards: Vec::new(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataExport {
    execution_id: String,
    export_arn: Option<String>,
    data_files: Vec<String>,
}

/// The manifest of a Data Export.
pub(super) fn data_export(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let found: DataExport =
        serde_json::from_slice(bytes).map_err(|error| unreadable("a manifest of AWS Data Exports", &error))?;
    let name = found.export_arn.and_then(|arn| export(without_id(&arn).to_owned()));
    Ok(manifest(found.execution_id, name, found.data_files))
}

// `arn:aws:bcm-data-exports:us-east-1:111122223333:export/name-<uuid>`: one that is made again has another id.
fn without_id(arn: &str) -> &str {
    let split = arn.len().checked_sub(36).and_then(|place| arn.split_at_checked(place));
    match split {
        Some((name, id)) if Uuid::parse_str(id).is_ok() => name.trim_end_matches('-'),
        _ => arn,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cur {
    assembly_id: String,
    report_keys: Vec<String>,
}

/// The manifest of a Cost and Usage Report.
pub(super) fn cur(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let report: Cur =
        serde_json::from_slice(bytes).map_err(|error| unreadable("a manifest of a Cost and Usage Report", &error))?;
    Ok(manifest(report.assembly_id, None, report.report_keys))
}

fn manifest(identity: String, export: Option<String>, names: Vec<String>) -> Manifest {
    let parts = names.into_iter().map(|name| Part { key: key(&name), bytes: None }).collect();
    Manifest { identity, export, side: None, version_at: None, parts, row_count: None }
}

// `s3://bucket/key`, `/key` or `key`.
fn key(name: &str) -> String {
    let name = match name.strip_prefix("s3://") {
        Some(rest) => rest.split_once('/').map_or("", |(_, key)| key),
        None => name,
    };
    name.trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::kind::Layout;

    fn object(key: &str) -> Object {
        Object { key: key.into(), bytes: 1, etag: "e".into(), modified: "2026-11-02T00:00:00Z".parse().unwrap() }
    }

    #[test]
    fn heads_of_both_modes_share_their_subject() {
        let heads = Layout::AwsDataExport.heads(&[
            object("p/x/metadata/BILLING_PERIOD=2026-10/x-Manifest.json"),
            object("p/x/metadata/BILLING_PERIOD=2026-10/2026-11-01T05:00:00.000Z-e1/x-Manifest.json"),
            object("p/x/data/BILLING_PERIOD=2026-10/x-00001.csv.gz"),
            object("p/x/data/BILLING_PERIOD=2026-10/x-Manifest.json"),
            object("BILLING_PERIOD=2026-10/x-Manifest.json"),
        ]);
        assert_eq!(heads.len(), 2);
        assert!(heads.iter().all(|head| head.subject == "p/x/metadata/BILLING_PERIOD=2026-10"));
        assert_eq!(heads[1].version_at.to_rfc3339(), "2026-11-01T05:00:00+00:00");
        let heads = Layout::AwsCur.heads(&[
            object("p/r/20261001-20261101/r-Manifest.json"),
            object("p/r/20261001-20261101/a1/r-Manifest.json"),
            object("p/r/20261001-20261101/a1/b/r-Manifest.json"),
            object("p/r/20261001-20261101/a1/r-1.csv.gz"),
        ]);
        assert_eq!(heads.len(), 2);
        assert_eq!(heads[0].subject, heads[1].subject);
    }

    #[test]
    fn exports_are_told_apart() {
        let arn = "arn:aws:bcm-data-exports:us-east-1:147303435917:export/daily-1-0e818247-daba-463a-9819-0f9f647e956a";
        assert_eq!(without_id(arn), "arn:aws:bcm-data-exports:us-east-1:147303435917:export/daily-1");
        assert_eq!(without_id("arn:x"), "arn:x");
        assert_eq!(without_id("ü0e818247-daba-463a-9819-0f9f647e956"), "ü0e818247-daba-463a-9819-0f9f647e956");
        let heads = Layout::AwsDataExport.heads(&[object("p/x/metadata/BILLING_PERIOD=2026-10/x-Manifest.json")]);
        assert_eq!(heads[0].export_folder(), "p/x");
        let heads = Layout::AwsCur.heads(&[object("p/r/20261001-20261101/a1/r-Manifest.json")]);
        assert_eq!(heads[0].export_folder(), "p/r");
        let heads = Layout::AwsCur.heads(&[object("20261001-20261101/r-Manifest.json")]);
        assert_eq!(heads[0].export_folder(), "");
    }

    #[test]
    fn manifests_name_keys_without_their_bucket() {
        let text = br#"{"executionId":"e1","exportArn":"x","dataFiles":["s3://b/p/x/data/f-00001.csv.gz"]}"#;
        let manifest = Layout::AwsDataExport.manifest(text).unwrap();
        assert_eq!((manifest.identity.as_str(), manifest.parts[0].key.as_str()), ("e1", "p/x/data/f-00001.csv.gz"));
        assert_eq!(manifest.export.as_deref(), Some("x"));
        let text = br#"{"assemblyId":"a1","reportKeys":["/r/20180801-20180901/a1/r-1.csv.gz"]}"#;
        assert_eq!(Layout::AwsCur.manifest(text).unwrap().parts[0].key, "r/20180801-20180901/a1/r-1.csv.gz");
        let twice = br#"{"assemblyId":"a1","reportKeys":["r-1.csv","/r-1.csv"]}"#;
        assert!(Layout::AwsCur.manifest(twice).unwrap_err().to_string().contains("twice"));
        let error = Layout::AwsCur.manifest(b"{\"assemblyId\":").unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
