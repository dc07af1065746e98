//! The senders: what each is called, how it proves that a body is its own, and what makes two deliveries one.

use super::Headers;
use super::{cdevents, clean, fields::joined, gitlab};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How a sender proves that it knows the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The HMAC-SHA256 of the body in this header, as `sha256=<hex>`.
    Sha256Prefixed(&'static str),
    /// The HMAC of the body in this header, as `<algorithm>=<hex>`: SHA-256, SHA-384 or SHA-512.
    NamedAlgorithm(&'static str),
    /// One or several HMAC-SHA256 of the body in this header, as `v1=<hex>` between commas.
    Versioned(&'static str),
    /// The HMAC-SHA256 of the body in this header, as hexadecimal digits.
    Sha256Plain(&'static str),
    /// The HMAC-SHA512 of the body in this header, as hexadecimal digits.
    Sha512Plain(&'static str),
    /// GitLab: a signature of id, time and body, or the secret itself in `X-Gitlab-Token`.
    Gitlab,
    /// The sender cannot sign: the secret itself, as a bearer token, as the password of basic authentication, or in
    /// `X-Costwake-Token`.
    Token,
    /// Honeycomb's own header with the secret, or a token as above.
    HoneycombTeam,
}

/// A sender that can be read and that posts to an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// In addresses and in the database.
    pub key: &'static str,
    /// As people write it.
    pub label: &'static str,
    /// How it proves who it is.
    pub proof: Proof,
    /// The header that names the event, where there is one.
    pub event_header: Option<&'static str>,
    /// What it tells of, in a few words.
    pub tells: &'static str,
}

/// Every sender with an address of its own, in the order in which people are offered them.
pub const ALL: [Sender; 18] = [
    sender(
        "github",
        "GitHub",
        Proof::Sha256Prefixed("x-hub-signature-256"),
        Some("x-github-event"),
        "deployments, releases, changes, workflow runs",
    ),
    sender(
        "gitlab",
        "GitLab",
        Proof::Gitlab,
        Some("x-gitlab-event"),
        "deployments, releases, changes, pipelines, feature flags",
    ),
    sender(
        "bitbucket",
        "Bitbucket",
        Proof::Sha256Prefixed("x-hub-signature"),
        Some("x-event-key"),
        "changes and pipelines; deployments as its API lists them",
    ),
    sender("azure_devops", "Azure DevOps", Proof::Token, None, "stages, builds, classic releases, changes"),
    sender(
        "circleci",
        "CircleCI",
        Proof::Versioned("circleci-signature"),
        Some("circleci-event-type"),
        "workflows and jobs",
    ),
    sender("argocd", "Argo CD", Proof::Token, None, "syncs that went live or failed"),
    sender("flux", "Flux", Proof::NamedAlgorithm("x-signature"), None, "Kustomizations and Helm releases"),
    sender("spinnaker", "Spinnaker", Proof::Token, None, "pipelines and builds"),
    sender(
        "cdevents",
        "CDEvents",
        Proof::Token,
        Some("ce-type"),
        "deployments, releases, incidents, changes, environments, pipelines",
    ),
    sender("devlake", "DevLake webhook", Proof::Token, None, "deployments as they are posted to Apache DevLake"),
    sender("terraform", "HCP Terraform", Proof::Sha512Plain("x-tfe-notification-signature"), None, "runs, as context"),
    sender("atlantis", "Atlantis", Proof::Token, None, "applies, as context"),
    sender("pagerduty", "PagerDuty", Proof::Versioned("x-pagerduty-signature"), None, "incidents, as context"),
    sender("alertmanager", "Alertmanager", Proof::Token, None, "alerts, as context"),
    sender("launchdarkly", "LaunchDarkly", Proof::Sha256Plain("x-ld-signature"), None, "feature flags, as context"),
    sender("kubernetes", "Kubernetes events", Proof::Token, None, "autoscaling, as context"),
    sender("grafana", "Grafana annotations", Proof::Token, None, "annotations, as context"),
    sender("honeycomb", "Honeycomb markers", Proof::HoneycombTeam, None, "markers, as context"),
];

const fn sender(
    key: &'static str,
    label: &'static str,
    proof: Proof,
    event_header: Option<&'static str>,
    tells: &'static str,
) -> Sender {
    Sender { key, label, proof, event_header, tells }
}

impl Sender {
    /// The sender of this key.
    pub fn of(key: &str) -> Option<&'static Self> {
        ALL.iter().find(|sender| sender.key == key)
    }
}

/// The sender's name of the event, for the list of deliveries.
pub fn event_name(sender: &Sender, headers: &Headers, root: &Value) -> String {
    let text = |pointer: &str| root.pointer(pointer).and_then(Value::as_str).and_then(clean::text);
    let named = match sender.key {
        "gitlab" => gitlab::event_name(headers, root),
        "cdevents" => cdevents::event_name(headers, root),
        "azure_devops" => text("/eventType"),
        "circleci" => text("/type"),
        "pagerduty" => text("/event/event_type"),
        "flux" | "kubernetes" => text("/reason"),
        "spinnaker" => text("/details/type"),
        "terraform" => text("/notifications/0/trigger"),
        "launchdarkly" => text("/accesses/0/action"),
        "alertmanager" => text("/status"),
        "argocd" => text("/phase"),
        _ => sender.event_header.and_then(|name| headers.get(name)).and_then(clean::text),
    };
    named.unwrap_or_else(|| sender.key.to_owned())
}

/// Whether a delivery's name and key are in its headers, so that its body is not looked at before it is stored.
pub fn is_known_by_headers(sender: &Sender) -> bool {
    matches!(sender.key, "github" | "bitbucket")
}

/// The key that repetitions of a delivery share.
///
/// Senders without an id send the same body again for the same thing: then the body and, where it has no time in it,
/// the minute of receipt are the key.
pub fn dedupe_key(
    sender: &Sender,
    headers: &Headers,
    root: &Value,
    body_sha256: &str,
    received_at: DateTime<Utc>,
) -> String {
    named_key(sender, headers, root, body_sha256).unwrap_or_else(|| {
        if matches!(sender.key, "flux" | "atlantis" | "grafana" | "honeycomb" | "devlake") {
            format!("{body_sha256}/{}", received_at.timestamp() / 60)
        } else {
            body_sha256.to_owned()
        }
    })
}

fn named_key(sender: &Sender, headers: &Headers, root: &Value, body_sha256: &str) -> Option<String> {
    let header = |name: &str| headers.get(name).and_then(clean::id);
    let text = |pointer: &str| match root.pointer(pointer)? {
        Value::String(text) => clean::id(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let all = |pointers: &[&str]| {
        let parts: Option<Vec<String>> = pointers.iter().map(|pointer| text(pointer)).collect();
        parts.map(|parts| joined(&parts.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    match sender.key {
        "github" => header("x-github-delivery"),
        // The first of both is signed: with another of the second, what was sent once would count again.
        "gitlab" => header("webhook-id").or_else(|| header("idempotency-key")).or_else(|| {
            // The event's number is shared by all hooks that it is sent to, by what a hook causes in turn, and by several
            // events of one request. Before 16.2 it is the only one there is, and the body tells these apart.
            let delivery = header("x-gitlab-webhook-uuid").unwrap_or_else(|| body_sha256.to_owned());
            Some(joined(&[&header("x-gitlab-event-uuid")?, &delivery]))
        }),
        "bitbucket" => header("x-request-uuid"),
        "azure_devops" => all(&["/subscriptionId", "/notificationId"]).or_else(|| text("/id")),
        "circleci" => text("/id"),
        "pagerduty" => text("/event/id").or_else(|| header("x-webhook-id")),
        "cdevents" => cdevents::identity(headers, root),
        "launchdarkly" => text("/_id"),
        "terraform" => all(&["/run_id", "/notifications/0/run_status", "/notifications/0/run_updated_at"]),
        "argocd" => all(&["/uid", "/finishedAt", "/phase"]).map(|key| {
            // Healthy and degraded are told one after the other of one sync.
            joined(&[&key, text("/health").as_deref().unwrap_or_default()])
        }),
        "kubernetes" => all(&["/metadata/uid", "/count"]),
        "spinnaker" => all(&["/content/executionId", "/details/type"]),
        // A group comes again with the alerts that it holds then.
        "alertmanager" => alerts_key(root),
        _ => None,
    }
}

fn alerts_key(root: &Value) -> Option<String> {
    let alerts = root.get("alerts")?.as_array()?;
    let part = |alert: &Value| {
        let text = |name: &str| alert.get(name).and_then(Value::as_str).unwrap_or_default();
        format!("{}/{}/{}", text("fingerprint"), text("startsAt"), text("status"))
    };
    let mut parts: Vec<String> = alerts.iter().map(part).collect();
    parts.sort();
    Some(hex::encode(Sha256::digest(parts.join("\n").as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use serde_json::json;

    /// What is said to be in the headers is not taken from the body where that has more.
    #[test]
    fn a_body_changes_nothing_where_headers_tell() {
        let root = json!({"id": 1, "eventType": "a", "type": "b", "reason": "c", "status": "d", "phase": "e",
                          "object_kind": "f", "event_name": "g"});
        for sender in ALL.iter().filter(|sender| is_known_by_headers(sender)) {
            for names in [vec![], vec![("x-github-delivery", "1"), ("x-request-uuid", "2"), ("x-github-event", "push")]]
            {
                let headers = Headers::redacted(names);
                assert_eq!(event_name(sender, &headers, &root), event_name(sender, &headers, &Value::Null));
                let key = |root| dedupe_key(sender, &headers, root, "sha", DateTime::UNIX_EPOCH);
                assert_eq!(key(&root), key(&Value::Null), "{}", sender.key);
            }
        }
    }

    /// A request that somebody recorded has the signature of its own id only.
    #[test]
    fn a_signed_request_of_gitlab_is_the_same_whatever_else_it_says() {
        let gitlab = Sender::of("gitlab").unwrap();
        let key = |headers: &[(&str, &str)]| {
            let headers = Headers::redacted(headers.iter().copied());
            dedupe_key(gitlab, &headers, &Value::Null, "sha", DateTime::UNIX_EPOCH)
        };
        let signed = ("Webhook-Id", "msg-1");
        assert_eq!(key(&[signed, ("Idempotency-Key", "msg-1")]), key(&[signed, ("Idempotency-Key", "another")]));
        assert_eq!(key(&[signed]), "msg-1");
        assert_eq!(key(&[("Idempotency-Key", "msg-2")]), "msg-2", "an older GitLab sends no other");
    }

    /// A flag that is on, off and on again has the same body twice.
    #[test]
    fn a_state_of_an_old_gitlab_that_comes_back_is_another_delivery() {
        let gitlab = Sender::of("gitlab").unwrap();
        let key = |headers: &[(&str, &str)], body_sha256: &str| {
            let headers = Headers::redacted(headers.iter().copied());
            dedupe_key(gitlab, &headers, &Value::Null, body_sha256, DateTime::UNIX_EPOCH)
        };
        let event = |number: &'static str| [("X-Gitlab-Event-UUID", number)];
        let (on, off, on_again) = (key(&event("1"), "on"), key(&event("2"), "off"), key(&event("3"), "on"));
        assert!(on != off && off != on_again && on != on_again);
        assert_eq!(key(&event("3"), "on"), on_again, "a repetition");
        // What one request or a hook causes shares the number.
        assert_ne!(key(&event("1"), "off"), on);
        let newer = [("X-Gitlab-Event-UUID", "1"), ("X-Gitlab-Webhook-UUID", "a")];
        assert_eq!(key(&newer, "on"), "1/a");
    }
}
