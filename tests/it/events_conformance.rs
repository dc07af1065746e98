//! Real payloads of the senders that can be read, against what each should be read as.

use crate::support;
use costwake::events::{self, Headers};
use serde_json::Value;
use std::{fs, path::PathBuf};

const COMPARED: [&str; 12] = [
    "kind",
    "repo",
    "environment",
    "status",
    "sha",
    "version",
    "external_id",
    "started_at",
    "finished_at",
    "occurred_at",
    "url",
    "items",
];

fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("COSTWAKE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let events = folder.join("data/events");
    if !events.is_dir() {
        support::skipped(&format!("{} is not there", events.display()));
        return None;
    }
    Some(events)
}

#[test]
fn payloads_are_read_as_expected() {
    let Some(folder) = shared() else { return };
    let entries: Vec<Value> = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let (mut compared, mut differences) = (0, Vec::new());
    for entry in &entries {
        let (file, sender) = (entry["file"].as_str().unwrap(), entry["source"].as_str().unwrap());
        if !events::SENDERS.contains(&sender) {
            continue;
        }
        let headers = entry["headers"].as_object().unwrap();
        let headers = Headers::redacted(headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
        let body = fs::read(folder.join(file)).unwrap();
        let read = events::read(sender, &headers, &body, "2026-11-23T00:00:00Z".parse().unwrap()).unwrap();
        let report = events::report(&read);
        for key in COMPARED {
            let (is, expected) = (&report[key], &entry["expected"][key]);
            if is != expected {
                differences.push(format!("{file}: {key} is {is}, expected {expected}"));
            }
        }
        compared += 1;
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(compared >= 16, "only {compared} payloads were compared");
}

#[test]
fn signature_vectors_verify() {
    let Some(folder) = shared() else { return };
    let vectors: Vec<Value> =
        serde_json::from_slice(&fs::read(folder.join("signature_vectors.json")).unwrap()).unwrap();
    for vector in vectors.iter().filter(|vector| vector["alg"] == "HMAC-SHA256") {
        let text = |key: &str| vector[key].as_str().unwrap();
        let header = format!("sha256={}", text("hex"));
        assert!(events::is_signed_by(text("secret").as_bytes(), text("body").as_bytes(), &header));
        assert!(!events::is_signed_by(b"another", text("body").as_bytes(), &header));
    }
}
