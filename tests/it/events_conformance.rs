//! Real payloads of the senders that can be read, against what each should be read as.

use crate::support;
use costwake::events::{self, Event, Headers, Proof, Sender};
use serde_json::{Map, Value, json};
use std::{fs, path::PathBuf};

const RECEIVED_AT: &str = "2026-11-23T00:00:00Z";
/// Keys that the data set uses for remarks to people.
const REMARKS: [&str; 6] = ["note", "note2", "env_note", "spec", "subject", "level"];

/// The folder of payloads; where there is none, that is said.
pub fn shared() -> Option<PathBuf> {
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
        let headers = entry["headers"].as_object().unwrap();
        let headers = Headers::redacted(headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
        let body = fs::read(folder.join(file)).unwrap();
        let read = events::read(sender, &headers, &body, RECEIVED_AT.parse().unwrap());
        let read = read.unwrap_or_else(|error| panic!("{file}: {error}"));
        let report = events::report(&read);
        let expected = entry["expected"].as_object().unwrap();
        // A pipeline's jobs are read beside it; those that deploy are compared below.
        let is_list = expected.contains_key("items") || expected.contains_key("deploy_jobs");
        if !is_list && !report["items"].is_null() {
            differences.push(format!("{file}: several things were read instead of one"));
        }
        for (_, key) in READ_OTHERWISE.iter().filter(|(excepted, _)| *excepted == file) {
            let one = Map::from_iter([((*key).to_owned(), expected[*key].clone())]);
            assert!(!differing(&report, &one).is_empty(), "{file}: {key} is as expected by now and needs no exception");
        }
        let expected = &without_read_otherwise(file, expected);
        differences.extend(differing(&report, expected).into_iter().map(|text| format!("{file}: {text}")));
        differences
            .extend(differing_in_kind(sender, &headers, &body, &read, expected).map(|text| format!("{file}: {text}")));
        compared += 1;
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(compared, entries.len());
    assert!(compared >= 51, "only {compared} payloads were compared");
}

/// What is read otherwise than the data set says; docs/decisions.md says why.
const READ_OTHERWISE: [(&str, &str); 5] = [
    ("azure_devops/git_pullrequest_merged.json", "repo"),
    ("azure_devops/pipelines_stage_state_changed_deploy_succeeded.json", "repo"),
    ("github/deployment_created_pages_with_workflow_run.json", "actor"),
    ("github/deployment_status_in_progress_pages.json", "actor"),
    ("github/workflow_run_completed_success.json", "pipeline"),
];

fn without_read_otherwise(file: &str, expected: &Map<String, Value>) -> Map<String, Value> {
    let is_compared = |key: &str| !READ_OTHERWISE.contains(&(file, key));
    expected.clone().into_iter().filter(|(key, _)| is_compared(key)).collect()
}

fn differing(report: &Value, expected: &Map<String, Value>) -> Vec<String> {
    let is_compared =
        |key: &str| !REMARKS.contains(&key) && !["event_id", "ce_type", "commits", "deploy_jobs"].contains(&key);
    let mut differences = Vec::new();
    for (key, expected) in expected.iter().filter(|(key, _)| is_compared(key)) {
        if key == "items" {
            let (is, expected) = (report[key].as_array().unwrap(), expected.as_array().unwrap());
            assert_eq!(is.len(), expected.len());
            let pairs = is.iter().zip(expected);
            differences.extend(pairs.flat_map(|(is, expected)| differing(is, expected.as_object().unwrap())));
            continue;
        }
        let expected = plain(expected);
        if report[key] != expected {
            differences.push(format!("{key} is {}, expected {expected}", report[key]));
        }
    }
    differences
}

// Three values of the data set are sentences that say what a value is to be.
fn plain(expected: &Value) -> Value {
    match expected.as_str() {
        Some("image digest, not a git sha") => Value::Null,
        Some("received_at (payload has no time)") => json!(RECEIVED_AT),
        Some("updateOn: direction only in titleVerb (\"turned off the flag\")") => json!("off"),
        _ => expected.clone(),
    }
}

// What the report does not show: the delivery's own id and type, and the parts of a deployment or pipeline.
fn differing_in_kind(
    sender: &str,
    headers: &Headers,
    body: &[u8],
    read: &[Event],
    expected: &Map<String, Value>,
) -> impl Iterator<Item = String> {
    let root: Value = serde_json::from_slice(body).unwrap();
    let mut differences = Vec::new();
    if let Some(sender) = Sender::of(sender) {
        let key = events::dedupe_key(sender, headers, &root, "no id", RECEIVED_AT.parse().unwrap());
        if let Some(id) = expected.get("event_id").and_then(Value::as_str) {
            // Where a service hook numbers its notifications, these stay when one is sent again.
            let part =
                |name: &str| Some(root.get(name)?).map(|part| part.as_str().map_or(part.to_string(), str::to_owned));
            let is_azure = sender.key == "azure_devops";
            let id = match part("subscriptionId").zip(part("notificationId")).filter(|_| is_azure) {
                Some((subscription, notification)) => format!("{subscription}/{notification}"),
                None => id.to_owned(),
            };
            if !key.ends_with(&id) {
                differences.push(format!("the delivery's key is {key}, expected {id}"));
            }
        }
        let name = events::event_name(sender, headers, &root);
        if let Some(kind) = expected.get("ce_type").and_then(Value::as_str)
            && name != kind
        {
            differences.push(format!("the event is named {name}, expected {kind}"));
        }
    }
    if let Some(commits) = expected.get("commits") {
        let pairs: Vec<_> = read[0].commits.iter().map(|commit| json!([commit.repo, commit.sha])).collect();
        // Of a push only how many there are.
        if json!(pairs) != *commits && json!(pairs.len()) != *commits {
            differences.push(format!("the commits are {pairs:?}"));
        }
    }
    if let Some(jobs) = expected.get("deploy_jobs") {
        let deploying = read[1..].iter().filter(|event| event.environment.is_some());
        let names: Vec<&str> =
            deploying.map(|event| event.attributes.get(events::JOB).map_or("", String::as_str)).collect();
        if json!(names) != *jobs {
            differences.push(format!("of {} jobs {names:?} deploy, expected {jobs}", read.len() - 1));
        }
    }
    differences.into_iter()
}

#[test]
fn signature_vectors_verify() {
    let Some(folder) = shared() else { return };
    let vectors: Vec<Value> =
        serde_json::from_slice(&fs::read(folder.join("signature_vectors.json")).unwrap()).unwrap();
    for vector in &vectors {
        let text = |key: &str| vector[key].as_str().unwrap();
        let sender = Sender::of(text("source")).unwrap();
        let Proof::Versioned(header) = sender.proof else { panic!("{sender:?}") };
        let value = format!("v2=00,v1={}", text("hex"));
        let proven = |secrets: &[&str], body: &str| {
            let secrets: Vec<_> = secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
            let given = |name: &str| (name == header).then_some(value.as_str());
            events::is_proven(sender.proof, &secrets, given, body.as_bytes(), RECEIVED_AT.parse().unwrap())
        };
        assert!(proven(&[text("secret")], text("body")));
        // While one secret replaces the other, both are valid.
        assert!(proven(&["another", text("secret")], text("body")));
        assert!(!proven(&["another"], text("body")));
        assert!(!proven(&[text("secret")], "another body"));
    }
    assert!(vectors.len() >= 4);
}
