//! Flux notification-controller (`generic` and `generic-hmac` providers): what a Kustomization or a HelmRelease
//! came to. The same event is sent again, and silence is normal too: Flux limits the rate.
//!
//! Flux tells how an object stands and not what was deployed, so that a deployment is one state of one object: of its
//! name, its cluster, and its revision.

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
    // An OCI artifact is known by its digest, and remembers the commit that it was built from.
    event.sha = event.sha.or_else(|| revision_parts(told(&fields, "originRevision")?, &kind).1);
    let at = fields.needed_time("/timestamp", &mut event);
    event.occurred_at = Some(at);
    event.started_at = (status == Status::InProgress).then_some(at);
    event.finished_at = status.is_terminal().then_some(at);
    event.title = fields.first_line("/message");
    keep_metadata(&fields, &mut event);
    event.artifact = artifact(&kind, revision.as_deref(), &event);
    // The same revision tried twice is one deployment with two attempts; without one the moment tells them apart.
    let which = revision.unwrap_or_else(|| at.timestamp_micros().to_string());
    let values = event.artifact.as_deref().filter(|artifact| *artifact != which).unwrap_or_default();
    let state = [which.as_str(), values, rollback(reason)];
    let object = object(&external_id, of.text("/uid"), &event);
    event.object_key = Some(format!("{object}@{}", known(&state)));
    event.object = Some(object);
    event.external_id = Some(external_id);
    event.attributes.extend([("namespace".to_owned(), namespace), ("kind".to_owned(), kind)]);
    event.environment = environment(&event);
    Ok(vec![event])
}

// Clusters have objects of the same name; the id that Kubernetes gave it is of one cluster, unless that was copied.
fn object(external_id: &str, uid: Option<String>, event: &Event) -> String {
    let cluster = event.attributes.get("cluster").map(String::as_str).unwrap_or_default();
    let environment = environment(event).unwrap_or_default();
    known(&[external_id, uid.as_deref().unwrap_or_default(), cluster, &environment])
}

fn known(parts: &[&str]) -> String {
    joined(&parts.iter().copied().filter(|part| !part.is_empty()).collect::<Vec<_>>())
}

fn environment(event: &Event) -> Option<String> {
    ["environment", "env"].iter().find_map(|name| event.attributes.get(*name)).and_then(|name| clean::text(name))
}

// Going back to what is live already, after another did not go live, is not what made it live.
fn rollback(reason: &str) -> &'static str {
    if reason == "RollbackSucceeded" { "rollback" } else { "" }
}

// A chart of one version runs with other values: they are known by their digest, which newer controllers leave out, else
// by the number that Helm gave the release. Of an OCI artifact, its digest.
fn artifact(kind: &str, revision: Option<&str>, event: &Event) -> Option<String> {
    let revision = revision?;
    if kind != "HelmRelease" {
        return clean::text(revision).filter(|revision| revision.contains("@sha256:"));
    }
    let is_digest = |token: &&String| token.starts_with("sha256:") && token.len() <= clean::ID_LENGTH_MAX;
    let values = event.attributes.get("token").filter(is_digest);
    let values = values.map(|digest| format!("{revision} {digest}"));
    values.or_else(|| event.title.as_deref().and_then(numbered_release).map(str::to_owned))
}

// "Helm upgrade succeeded for release shop/checkout.v7 with chart checkout@1.0.0".
fn numbered_release(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once(" release ")?;
    let name = rest.split(' ').next()?;
    let (_, number) = name.rsplit_once(".v")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
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
    ["revision", "originRevision", "commit"].iter().find_map(|name| told(fields, name)).and_then(clean::text)
}

// Of the metadata, by its last name.
fn told<'a>(fields: &Fields<'a>, wanted: &str) -> Option<&'a str> {
    let metadata = fields.root.get("metadata")?.as_object()?;
    metadata.iter().find(|(key, _)| key.rsplit('/').next() == Some(wanted)).and_then(|(_, value)| value.as_str())
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
    for (key, value) in metadata {
        let name = key.rsplit('/').next().and_then(clean::whole);
        event.attributes.extend(name.zip(value.as_str().and_then(clean::whole)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_one(kind: &str, reason: &str, uid: &str, metadata: &Value, message: &str) -> Event {
        let body = json!({"involvedObject": {"kind": kind, "name": "checkout", "namespace": "shop", "uid": uid},
            "metadata": metadata, "severity": "info", "reason": reason, "message": message,
            "timestamp": "2026-03-01T10:00:00Z"});
        read(Fields::new(&body, "2026-03-01T12:00:00Z".parse().unwrap())).unwrap().remove(0)
    }

    #[test]
    fn clusters_and_environments_are_told_apart() {
        let of = |uid: &str, metadata: Value| {
            read_one("Kustomization", "ReconciliationSucceeded", uid, &metadata, "").object_key.unwrap()
        };
        let revision = |more: &str, value: &str| {
            let mut metadata = json!({"revision": format!("main@sha1:{}", "a".repeat(40))});
            metadata[more] = json!(value);
            metadata
        };
        let one = of("u1", revision("summary", "a"));
        assert_eq!(one, of("u1", revision("summary", "b")));
        for other in [
            of("u2", revision("summary", "a")),
            of("u1", revision("cluster", "west")),
            of("u1", revision("env", "staging")),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn other_values_of_a_chart_are_another_deployment() {
        let upgraded = |metadata: Value, message: &str| {
            let event = read_one("HelmRelease", "UpgradeSucceeded", "u1", &metadata, message);
            assert_eq!((event.version.as_deref(), event.sha), (Some("1.0.0"), None));
            (event.object_key.unwrap(), event.artifact.unwrap())
        };
        let revision = json!({"revision": "1.0.0"});
        let message = |number: i64| {
            format!("Helm upgrade succeeded for release shop/checkout.v{number} with chart checkout@1.0.0")
        };
        let (seventh, eighth) = (upgraded(revision.clone(), &message(7)), upgraded(revision.clone(), &message(8)));
        assert_eq!(seventh, upgraded(revision.clone(), &message(7)));
        assert!(seventh.0 != eighth.0 && seventh.1 != eighth.1, "{seventh:?} {eighth:?}");
        let token = |digit: &str| json!({"revision": "1.0.0", "token": format!("sha256:{}", digit.repeat(64))});
        let (one, other) = (upgraded(token("a"), &message(7)), upgraded(token("b"), &message(8)));
        assert!(one.0 != other.0 && one.1 != other.1, "{one:?} {other:?}");
        // What is no digest tells nothing.
        let long = json!({"revision": "1.0.0", "token": format!("sha256:{}", "a".repeat(9_000))});
        assert_eq!(upgraded(long, &message(7)).1, seventh.1);
        // Back to what is live already.
        let back = read_one("HelmRelease", "RollbackSucceeded", "u1", &token("a"), "");
        assert_eq!((back.deployment_kind.as_deref(), back.artifact.as_ref()), (Some("rollback"), Some(&one.1)));
        assert_ne!(back.object_key.as_ref(), Some(&one.0));
        for none in
            ["Helm upgrade succeeded", "Helm test failed for release shop/checkout with", "for release a.v", "x"]
        {
            assert_eq!(numbered_release(none), None, "{none}");
        }
    }

    #[test]
    fn an_artifact_remembers_its_commit() {
        let digest = format!("v2@sha256:{}", "b".repeat(64));
        let of = |metadata: Value| read_one("Kustomization", "ReconciliationSucceeded", "u1", &metadata, "");
        let plain = of(json!({"revision": digest}));
        let origin = format!("main@sha1:{}", "a".repeat(40));
        let built = of(json!({"revision": digest, "kustomize.toolkit.fluxcd.io/originRevision": origin}));
        assert_eq!((plain.sha, built.sha), (None, Some("a".repeat(40))));
        assert_eq!((&plain.version, &plain.artifact), (&built.version, &built.artifact));
        assert_eq!(plain.object_key, built.object_key, "it is the same state");
    }

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
