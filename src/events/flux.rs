//! Flux notification-controller (`generic` and `generic-hmac` providers): what a Kustomization or a HelmRelease
//! came to. The same event is sent again, and silence is normal too: Flux limits the rate.

use super::fields::{Fields, joined};
use super::{Event, EventError, EventKind, Status, clean};
use serde_json::Value;

/// Reads one event.
pub(super) fn read(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    let of = fields.at("/involvedObject");
    let kind = of.text("/kind").ok_or_else(|| EventError::Unfit("involvedObject.kind is missing".into()))?;
    if !matches!(kind.as_str(), "Kustomization" | "HelmRelease") {
        return Ok(vec![fields.ignored(&format!("a {kind} runs nothing by itself"))]);
    }
    let reason = fields.word("/reason");
    let Some(status) = status(reason, fields.word("/severity")) else {
        return Ok(vec![fields.ignored(&format!("\"{reason}\" does not say that anything changed"))]);
    };
    let mut event = Event { kind: EventKind::Deployment, ..Event::default() };
    let (name, namespace) = (of.id("/name")?, of.text("/namespace").unwrap_or_default());
    let external_id = joined(&[&kind, &namespace, &name]);
    event.services = clean::text(&name).into_iter().collect();
    event.status = Some(status);
    (event.status_raw, event.reason) = (clean::text(reason), clean::text(reason));
    event.deployment_kind = (reason == "RollbackSucceeded").then(|| "rollback".to_owned());
    let revision = revision(&fields);
    if let Some(revision) = &revision {
        (event.reference, event.sha, event.version) = revision_parts(revision, &kind);
    }
    let at = fields.needed_time("/timestamp", &mut event);
    event.occurred_at = Some(at);
    event.started_at = (status == Status::InProgress).then_some(at);
    event.finished_at = status.is_terminal().then_some(at);
    // The same revision rolled out twice is one deployment with two attempts; without one the moment tells them apart.
    let which = revision.unwrap_or_else(|| at.timestamp_micros().to_string());
    event.object_key = Some(format!("{external_id}@{}", joined(&[&which])));
    event.external_id = Some(external_id);
    event.title = fields.first_line("/message");
    keep_metadata(&fields, &mut event);
    event.attributes.extend([("namespace".to_owned(), namespace), ("kind".to_owned(), kind)]);
    event.environment = ["environment", "env"].iter().find_map(|name| event.attributes.get(*name).cloned());
    Ok(vec![event])
}

fn status(reason: &str, severity: &str) -> Option<Status> {
    match (reason, severity) {
        ("ReconciliationSucceeded" | "InstallSucceeded" | "UpgradeSucceeded" | "RollbackSucceeded", _) => {
            Some(Status::Succeeded)
        }
        (_, "error") => Some(Status::Failed),
        ("Progressing" | "ReconciliationStarted" | "ProgressingWithRetry", _) => Some(Status::InProgress),
        _ => None,
    }
}

// `kustomize.toolkit.fluxcd.io/revision`, or the same without a prefix.
fn revision(fields: &Fields<'_>) -> Option<String> {
    let metadata = fields.root.get("metadata")?.as_object()?;
    let named = |wanted: &str| {
        metadata.iter().find(|(key, _)| key.rsplit('/').next() == Some(wanted)).and_then(|(_, value)| value.as_str())
    };
    named("revision").or_else(|| named("originRevision")).or_else(|| named("commit")).and_then(clean::text)
}

// "main@sha1:<hash>", the older "main/<hash>", or a chart's version.
fn revision_parts(revision: &str, kind: &str) -> (Option<String>, Option<String>, Option<String>) {
    let parts = revision.rsplit_once('@').or_else(|| revision.rsplit_once('/'));
    let (reference, hash) = match parts {
        Some((reference, hash)) => (clean::text(reference), hash),
        None => (None, revision),
    };
    let sha = clean::sha(hash.strip_prefix("sha1:").unwrap_or(hash)).filter(|_| !hash.starts_with("sha256:"));
    let version = match (&sha, kind) {
        (None, "HelmRelease") => clean::text(revision),
        (None, _) => reference.clone(),
        _ => None,
    };
    (reference, sha, version)
}

// What the Alert's `eventMetadata` adds (env, cluster, region), under its last name.
fn keep_metadata(fields: &Fields<'_>, event: &mut Event) {
    let Some(Value::Object(metadata)) = fields.root.get("metadata") else { return };
    for (key, value) in metadata.iter().take(super::ATTRIBUTES_MAX) {
        let name = key.rsplit('/').next().and_then(clean::text);
        event.attributes.extend(name.zip(value.as_str().and_then(clean::text)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_in_all_forms() {
        let hash = "a".repeat(40);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(revision_parts(&format!("main@sha1:{hash}"), "Kustomization"), (some("main"), some(&hash), None));
        assert_eq!(revision_parts(&format!("main/{hash}"), "Kustomization"), (some("main"), some(&hash), None));
        assert_eq!(revision_parts("1.2.3", "HelmRelease"), (None, None, some("1.2.3")));
        let digest = format!("v2@sha256:{}", "b".repeat(64));
        assert_eq!(revision_parts(&digest, "Kustomization"), (some("v2"), None, some("v2")));
    }
}
