//! Azure cost exports: a folder a run with `manifest.json`, which is written last.

use super::{Head, Manifest, ManifestError, Object, Part, dates, export, unreadable};
use serde::Deserialize;

/// `…/20261001-20261031/[202611010115/]<run>/manifest.json`.
pub(super) fn head(object: &Object) -> Option<Head> {
    let folders: Vec<&str> = object.key.split('/').collect();
    if folders.last() != Some(&"manifest.json") {
        return None;
    }
    let place = folders.iter().rposition(|folder| dates::is_period(folder))?;
    Some(Head {
        subject: folders[..=place].join("/"),
        version_at: object.modified,
        object: object.clone(),
        shards: Vec::new(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Export {
    export_config: Option<ExportConfig>,
    run_info: RunInfo,
    blobs: Vec<Blob>,
    blob_count: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExportConfig {
    resource_id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl ExportConfig {
    fn side(&self) -> Option<&'static str> {
        match self.kind.as_deref()?.to_ascii_lowercase().as_str() {
            "actualcost" => Some("actual"),
            "amortizedcost" => Some("amortized"),
            _ => None,
        }
    }

    // Subscription or billing account, whatever the export is called: one of the month to date and one of the last
    // month are versions of one bill. Actual and amortized cost are two sides of it, FOCUS is all of it once more.
    fn name(&self) -> Option<String> {
        let resource = self.resource_id.as_deref()?.trim_matches('/').to_lowercase();
        if resource.is_empty() {
            return None;
        }
        let kind = self.kind.as_deref().unwrap_or_default().to_lowercase();
        let is_side = matches!(kind.as_str(), "" | "actualcost" | "amortizedcost" | "usage");
        export(if is_side { resource } else { format!("{resource} as {kind}") })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunInfo {
    run_id: String,
    submitted_time: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    blob_name: String,
    byte_count: Option<u64>,
    data_row_count: Option<i64>,
}

pub(super) fn manifest(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let found: Export =
        serde_json::from_slice(bytes).map_err(|error| unreadable("a manifest of an Azure export", &error))?;
    if found.blob_count.is_some_and(|count| count != found.blobs.len()) {
        return Err(ManifestError("It counts other files than it names.".into()));
    }
    // One that is not known makes the sum unknown.
    let counts: Option<Vec<i64>> = found.blobs.iter().map(|blob| blob.data_row_count).collect();
    let row_count = counts.and_then(|counts| counts.into_iter().try_fold(0_i64, i64::checked_add));
    let part = |blob: Blob| Part { key: blob.blob_name.trim_start_matches('/').to_owned(), bytes: blob.byte_count };
    Ok(Manifest {
        identity: found.run_info.run_id,
        export: found.export_config.as_ref().and_then(ExportConfig::name),
        side: found.export_config.as_ref().and_then(ExportConfig::side),
        version_at: found.run_info.submitted_time.as_deref().and_then(dates::time),
        parts: found.blobs.into_iter().map(part).collect(),
        row_count,
    })
}

#[cfg(test)]
mod tests {
    use crate::sources::kind::Layout;

    #[test]
    fn a_manifest_tells_files_sizes_rows_and_time() {
        let text = r#"{"manifestVersion":"2024-04-01","byteCount":3,"blobCount":2,"dataRowCount":3,
            "exportConfig":{"exportName":"focus","type":"FocusCost"},
            "runInfo":{"runId":"r1","submittedTime":"2026-11-01T01:15:00.1234567Z","startDate":"2026-10-01T00:00:00"},
            "blobs":[{"blobName":"e/focus/20261001-20261031/r1/part_0_0001.csv","byteCount":2,"dataRowCount":1},
                     {"blobName":"e/focus/20261001-20261031/r1/part_1_0001.csv","byteCount":1,"dataRowCount":2}]}"#;
        let manifest = Layout::AzureExport.manifest(text.as_bytes()).unwrap();
        assert_eq!((manifest.row_count, manifest.parts.len(), manifest.parts[0].bytes), (Some(3), 2, Some(2)));
        assert_eq!(manifest.version_at.unwrap().timestamp(), 1_793_495_700);
        let fewer = text.replace("\"blobCount\":2", "\"blobCount\":3");
        assert!(Layout::AzureExport.manifest(fewer.as_bytes()).is_err());
        assert_eq!(manifest.export, None);
        let named = |kind: &str| {
            let config = format!(r#""resourceId":"/Subscriptions/AB-1","type":"{kind}""#);
            let text = text.replace(r#""exportName":"focus","type":"FocusCost""#, &config);
            let manifest = Layout::AzureExport.manifest(text.as_bytes()).unwrap();
            (manifest.export.unwrap(), manifest.side)
        };
        assert_eq!(named("ActualCost"), ("subscriptions/ab-1".to_owned(), Some("actual")));
        assert_eq!(named("AmortizedCost"), ("subscriptions/ab-1".to_owned(), Some("amortized")));
        assert_eq!(named("FocusCost"), ("subscriptions/ab-1 as focuscost".to_owned(), None));
        let unknown = text.replace(",\"dataRowCount\":1}", "}");
        assert_eq!(Layout::AzureExport.manifest(unknown.as_bytes()).unwrap().row_count, None);
    }
}
