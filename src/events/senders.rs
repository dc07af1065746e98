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

    const BY_HEADERS: [&str; 3] = ["github", "gitlab", "bitbucket"];
    const BY_BODY_AND_MINUTE: [&str; 5] = ["flux", "atlantis", "grafana", "honeycomb", "devlake"];

    /// The key of a request that is received so many seconds after midnight, as the webhook asks for it.
    fn key_of(sender: &str, headers: &[(&str, &str)], body: &Value, second: i64) -> String {
        let sender = Sender::of(sender).unwrap();
        let headers = Headers::redacted(headers.iter().copied());
        let body_sha256 = hex::encode(Sha256::digest(body.to_string().as_bytes()));
        let root = if is_known_by_headers(sender) { &Value::Null } else { body };
        dedupe_key(sender, &headers, root, &body_sha256, DateTime::from_timestamp(second, 0).unwrap())
    }

    #[test]
    fn a_header_makes_deliveries_one_or_two() {
        for (sender, name) in [
            ("github", "X-GitHub-Delivery"),
            ("gitlab", "Idempotency-Key"),
            ("gitlab", "webhook-id"),
            ("bitbucket", "X-Request-UUID"),
        ] {
            let key = |id: &str, attempt: &str, second: i64| {
                key_of(sender, &[(name, id), ("X-Attempt-Number", attempt)], &json!({"attempt": attempt}), second)
            };
            assert_eq!(key("1", "first", 60), key("1", "second", 4000), "{sender}: {name}");
            assert_ne!(key("1", "first", 60), key("2", "first", 60), "{sender}: {name}");
        }
    }

    #[test]
    fn the_same_body_in_one_minute_is_one_delivery_where_it_has_no_id() {
        for sender in BY_BODY_AND_MINUTE {
            let key = |text: &str, second: i64| key_of(sender, &[], &json!({"text": text, "id": text}), second);
            assert_eq!(key("a", 60), key("a", 119), "{sender}");
            assert_ne!(key("a", 60), key("a", 120), "{sender}: a minute later");
            assert_ne!(key("a", 60), key("b", 60), "{sender}: another body");
        }
    }

    /// A sender, the fields that name a delivery of it, and for each of these what is another delivery.
    fn named_by_body() -> Vec<(&'static str, Value, Vec<Value>)> {
        let alert = |id: &str, from: &str, status: &str| json!({"fingerprint": id, "startsAt": from, "status": status});
        let (one, two) = (alert("a", "10:00", "firing"), alert("b", "10:00", "firing"));
        vec![
            (
                "azure_devops",
                json!({"subscriptionId": "s", "notificationId": 1, "id": "e"}),
                vec![json!({"subscriptionId": "t"}), json!({"notificationId": 2})],
            ),
            // Older ones name the event alone.
            ("azure_devops", json!({"id": "e"}), vec![json!({"id": "f"})]),
            ("circleci", json!({"id": "a"}), vec![json!({"id": "b"})]),
            ("pagerduty", json!({"event": {"id": "a"}}), vec![json!({"event": {"id": "b"}})]),
            ("launchdarkly", json!({"_id": "a"}), vec![json!({"_id": "b"})]),
            (
                "argocd",
                json!({"uid": "a", "finishedAt": "10:00", "phase": "Succeeded", "health": "Degraded"}),
                vec![
                    json!({"uid": "b"}),
                    json!({"finishedAt": "11:00"}),
                    json!({"phase": "Failed"}),
                    json!({"health": "Healthy"}),
                ],
            ),
            (
                "spinnaker",
                json!({"content": {"executionId": "a"}, "details": {"type": "orca:pipeline:starting"}}),
                vec![json!({"content": {"executionId": "b"}}), json!({"details": {"type": "orca:pipeline:complete"}})],
            ),
            (
                "cdevents",
                json!({"context": {"source": "/ci", "id": "a"}}),
                vec![
                    json!({"context": {"source": "/ci", "id": "b"}}),
                    json!({"context": {"source": "/other", "id": "a"}}),
                ],
            ),
            ("cdevents", json!({"source": "/ci", "id": "a"}), vec![json!({"source": "/other"}), json!({"id": "b"})]),
            (
                "terraform",
                json!({"run_id": "a", "notifications": [{"run_status": "applied", "run_updated_at": "10:00"}]}),
                vec![
                    json!({"run_id": "b"}),
                    json!({"notifications": [{"run_status": "errored", "run_updated_at": "10:00"}]}),
                    json!({"notifications": [{"run_status": "applied", "run_updated_at": "11:00"}]}),
                ],
            ),
            (
                "kubernetes",
                json!({"metadata": {"uid": "a"}, "count": 1}),
                vec![json!({"metadata": {"uid": "b"}}), json!({"count": 2})],
            ),
            (
                "alertmanager",
                json!({"alerts": [one, two]}),
                vec![
                    json!({"alerts": [one]}),
                    json!({"alerts": [one, alert("c", "10:00", "firing")]}),
                    json!({"alerts": [one, alert("b", "11:00", "firing")]}),
                    json!({"alerts": [one, alert("b", "10:00", "resolved")]}),
                ],
            ),
        ]
    }

    #[test]
    fn the_fields_of_a_body_make_deliveries_one_or_two() {
        let told = named_by_body();
        for (sender, named, others) in &told {
            let changed = |fields: &Value| {
                let mut body = named.clone();
                body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
                body
            };
            let key = key_of(sender, &[], named, 60);
            let again = changed(&json!({"anything": "else"}));
            assert_eq!(key_of(sender, &[], &again, 4000), key, "{sender}: again, an hour later");
            for fields in others {
                assert_ne!(key_of(sender, &[], &changed(fields), 60), key, "{sender}: {fields}");
            }
        }
        let mut senders: Vec<&str> = told.iter().map(|(sender, ..)| *sender).collect();
        senders.extend(BY_HEADERS.iter().chain(&BY_BODY_AND_MINUTE));
        assert!(ALL.iter().all(|sender| senders.contains(&sender.key)), "a sender without a row: {senders:?}");
    }

    #[test]
    fn what_names_a_delivery_is_looked_for_in_order() {
        let headers = [("ce-source", "/ci"), ("ce-id", "a"), ("x-webhook-id", "w")];
        assert_eq!(key_of("cdevents", &headers, &json!({"id": "b", "source": "/body"}), 60), "/ci/a");
        assert_eq!(key_of("pagerduty", &headers, &json!({"event": {"id": "e"}}), 60), "e");
        assert_eq!(key_of("pagerduty", &headers, &json!({"event": {}}), 60), "w");
        let held_by_another_replica = |first: &str, second: &str| {
            let alert = |id: &str| json!({"fingerprint": id, "startsAt": "10:00", "status": "firing"});
            key_of("alertmanager", &[], &json!({"externalURL": first, "alerts": [alert(first), alert(second)]}), 60)
        };
        assert_eq!(held_by_another_replica("a", "b"), held_by_another_replica("b", "a"), "alerts in any order");
        // Without what names it, the body alone does, whenever it comes.
        let without_id = |text: &str, second: i64| key_of("argocd", &[], &json!({"text": text}), second);
        assert_eq!(without_id("a", 60), without_id("a", 4000));
        assert_ne!(without_id("a", 60), without_id("b", 60));
    }
}
