//! What a sender tells, in one shape: bytes in, [`Event`]s out. Pure, one file a sender, so that everything
//! received can be read again after an adapter was mended.
//!
//! Nothing here decides whether an event counts: a pipeline that succeeded is not a deployment, and a release
//! does not go live by itself.

mod api;
mod argocd;
mod atlantis;
mod azure;
mod bitbucket;
mod body;
mod bounds;
mod cdevents;
mod change_text;
mod circleci;
mod clean;
mod context;
mod context_state;
mod credentials;
mod devlake;
mod event;
mod fields;
mod flux;
mod github;
mod gitlab;
mod headers;
mod history;
mod incidents;
pub mod listed;
mod packed;
mod report;
mod rounds;
mod senders;
mod signature;
mod spinnaker;
mod state;
mod terraform;

pub use api::{EVENT_HEADER, EXTERNAL_ID_HEADER};
pub use body::plain_body;
pub use clean::{TEXT_LENGTH_MAX, text as clean_text, time as clean_time, url as clean_url};
pub use context_state::{Context, derive_context};
pub use credentials::without_credentials;
pub use event::{Commit, ENVIRONMENT_KIND, Event, EventKind, JOB, LABELS, REMOVED_ARTIFACT, RUN, Status, Step};
pub use headers::Headers;
pub use history::{Live, Removal, Verdict, judge};
pub use packed::stored_body;
pub use report::{report, unreadable_parts};
pub use rounds::{Standing, key_of_round, round_of_key, rounds};
pub use senders::{ALL as WEBHOOK_SENDERS, Proof, Sender, dedupe_key, event_name, is_known_by_headers};
pub use signature::{Unproven, is_proven, is_signed, is_signed_by, new_secret, proof_headers, unproven};
pub use state::{Derived, Told, derive, is_stale};

use chrono::{DateTime, Utc};
use fields::Fields;

/// The senders that can be read: those with an address of their own, what is posted to the API, and deployments as
/// the APIs of GitLab and Bitbucket list them.
pub const SENDERS: [&str; 21] = [
    "github",
    "gitlab",
    "bitbucket",
    "azure_devops",
    "circleci",
    "argocd",
    "flux",
    "spinnaker",
    "cdevents",
    "devlake",
    "terraform",
    "atlantis",
    "pagerduty",
    "alertmanager",
    "launchdarkly",
    "kubernetes",
    "grafana",
    "honeycomb",
    "api",
    "gitlab_api",
    "bitbucket_api",
];

/// Why a body could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EventError {
    /// No adapter of that name.
    #[error("\"{0}\" is not a sender that can be read; these can: {senders}", senders = SENDERS.join(", "))]
    UnknownSender(String),
    /// Neither JSON nor a form with JSON in it.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// JSON, but not what the sender's documentation says.
    #[error("{0}")]
    Unfit(String),
}

/// Reads one delivery. An uninteresting one gives a single event of kind `ignore` that says why, and a part of one
/// that cannot be read, or that goes beyond a bound, one of kind `unreadable`.
pub fn read(
    sender: &str,
    headers: &Headers,
    body: &[u8],
    received_at: DateTime<Utc>,
) -> Result<Vec<Event>, EventError> {
    if !SENDERS.contains(&sender) {
        return Err(EventError::UnknownSender(sender.to_owned()));
    }
    let plain = plain_body(body)?;
    let root = serde_json::from_slice(&plain).map_err(|error| EventError::NotJson(error.to_string()))?;
    let fields = Fields::new(&root, received_at);
    let events = match sender {
        "github" => github::read(headers, &root, received_at),
        "gitlab" | "gitlab_api" => gitlab::read(headers, fields),
        "bitbucket" | "bitbucket_api" => bitbucket::read(headers, fields),
        "azure_devops" => azure::read(fields),
        "circleci" => circleci::read(fields),
        "argocd" => argocd::read(fields),
        "flux" => flux::read(fields),
        "spinnaker" => spinnaker::read(fields),
        "cdevents" => cdevents::read(headers, fields),
        "devlake" => devlake::read(fields),
        "terraform" => terraform::read(fields),
        "atlantis" => atlantis::read(fields),
        "pagerduty" => incidents::read_pagerduty(fields),
        "alertmanager" => incidents::read_alertmanager(fields),
        "launchdarkly" => context::read_launchdarkly(fields),
        "kubernetes" => context::read_kubernetes(fields),
        "grafana" => context::read_grafana(fields),
        "honeycomb" => context::read_honeycomb(fields),
        _ => api::read(headers, &root, received_at),
    };
    events.map(bounds::bounded)
}

/// The event's name that a GitHub body without an `X-GitHub-Event` header looks like.
pub fn infer_github_event(body: &[u8]) -> Option<&'static str> {
    github::infer(&serde_json::from_slice(&plain_body(body).ok()?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_can_be_read_of_a_list_is_read() {
        let deployed = |id: Value| {
            json!({"context": {"id": "1", "source": "/ci", "type": "dev.cdevents.service.deployed.0.3.0",
                "timestamp": "2026-03-01T10:00:00Z"}, "subject": {"id": id, "content": {}}})
        };
        let scaled = |id: Value| json!({"metadata": {"uid": id}, "reason": "SuccessfulRescale"});
        let alert = |id: Value| json!({"fingerprint": id, "status": "firing", "startsAt": "2026-03-01T10:00:00Z"});
        let row = |id: Value| json!({"id": id, "status": "success", "environment": {"name": "production"}});
        let page = |id: Value| json!({"uuid": id, "state": {"name": "COMPLETED"}});
        let both = |one: &dyn Fn(Value) -> Value| json!([one(json!("a")), one(json!(null))]);
        let odd = json!([deployed(json!("a")), {"specversion": "1.0", "data": "not JSON"}]);
        for (sender, body, reason) in [
            ("cdevents", both(&deployed), "part 2: subject.id is missing"),
            ("cdevents", odd, "part 2: the body is not JSON"),
            ("kubernetes", both(&scaled), "part 2: metadata.uid is missing"),
            ("alertmanager", json!({"alerts": both(&alert)}), "part 2: fingerprint is missing"),
            ("gitlab_api", both(&row), "part 2: id is missing"),
            ("bitbucket_api", both(&page), "part 2: uuid is missing"),
            ("bitbucket_api", json!({"values": both(&page)}), "part 2: uuid is missing"),
        ] {
            let read = read(sender, &Headers::default(), body.to_string().as_bytes(), DateTime::UNIX_EPOCH).unwrap();
            assert_eq!((read.len(), read[0].external_id.as_deref()), (2, Some("a")), "{sender}");
            let said = unreadable_parts(&read).unwrap();
            assert!(read[1].kind == EventKind::Unreadable && said.contains(reason), "{sender}: {said}");
        }
    }

    fn sent(sender: &str, header: (&str, &str), body: &Value) -> Vec<Event> {
        let headers = Headers::redacted([header]);
        read(sender, &headers, body.to_string().as_bytes(), DateTime::UNIX_EPOCH).unwrap()
    }

    /// What a delivery lists beyond a bound is told, and what is within it is read.
    #[test]
    fn a_list_beyond_its_bound_is_told() {
        let sha = |number: usize| format!("{:040}", number + 1);
        let github = |count: usize| {
            let commits: Vec<Value> = (0..count).map(|number| json!({"id": sha(number)})).collect();
            json!({"ref": "refs/heads/main", "after": sha(0), "commits": commits, "repository": {"full_name": "a/b"}})
        };
        let bitbucket = |count: usize| {
            let commits: Vec<Value> = (0..count).map(|number| json!({"hash": sha(number)})).collect();
            let new = json!({"type": "branch", "name": "main", "target": {"hash": sha(0)}});
            json!({"push": {"changes": [{"new": new, "commits": commits}]}, "repository": {"full_name": "a/b"}})
        };
        let devlake = |count: usize| {
            let commit = |number| json!({"repoUrl": "https://example.com/a/b", "commitSha": sha(number)});
            let commits: Vec<Value> = (0..count).map(commit).collect();
            json!({"id": "1", "environment": "PRODUCTION", "result": "SUCCESS", "deploymentCommits": commits})
        };
        let push = ("X-GitHub-Event", "push");
        for (sender, header, body, most) in [
            ("github", push, &github as &dyn Fn(usize) -> Value, 2048),
            ("bitbucket", ("X-Event-Key", "repo:push"), &bitbucket as &dyn Fn(usize) -> Value, 1000),
            ("devlake", ("", ""), &devlake as &dyn Fn(usize) -> Value, 1000),
        ] {
            let all = sent(sender, header, &body(most));
            assert_eq!((all.len(), all[0].commits.len()), (1, most), "{sender}");
            let cut = sent(sender, header, &body(most + 2));
            assert_eq!((cut.len(), cut[0].commits.len()), (2, most), "{sender}");
            let reason = format!("commits {} to {}: at most {most} are read of one delivery", most + 1, most + 2);
            assert_eq!((cut[1].kind, cut[1].reason.as_ref()), (EventKind::Unreadable, Some(&reason)), "{sender}");
        }
        let nowhere = json!({"id": "1", "environment": "PRODUCTION", "result": "SUCCESS",
            "deploymentCommits": [{"repoUrl": "https://example.com/a/b", "commitSha": sha(0)}, {"commitSha": sha(1)}]});
        let deployed = sent("devlake", ("", ""), &nowhere);
        assert_eq!((deployed.len(), deployed[0].commits.len()), (2, 1));
        assert!(unreadable_parts(&deployed).unwrap().contains("1 of 2 commits"));
        let told = vec![json!({"run_status": "planning", "run_updated_at": "2026-03-01T10:00:00Z"}); 1001];
        let runs = sent("terraform", ("", ""), &json!({"run_id": "r", "notifications": told}));
        assert_eq!(runs.iter().filter(|event| event.kind == EventKind::InfraChange).count(), 1000);
        assert!(unreadable_parts(&runs).unwrap().contains("notifications 1001 to 1001"));
        let images: Vec<String> = (0..1001).map(|number| format!("shop/image{number}:1")).collect();
        let sync = json!({"schema": "argocd.v1", "app": "shop", "uid": "u", "phase": "Succeeded", "health": "Healthy",
            "startedAt": "2026-03-01T10:00:00Z", "images": images});
        let synced = sent("argocd", ("", ""), &sync);
        assert_eq!(synced[0].artifact.as_ref().unwrap().split(' ').count(), 1000);
        assert!(unreadable_parts(&synced).unwrap().contains("images 1001 to 1001"));
    }

    /// Rules look at services and attributes: the last of many counts as the first, and long values are compared whole.
    #[test]
    fn many_and_long_attributes_are_kept() {
        let deployed = |count: usize, length: usize, services: usize| {
            let mut payload: serde_json::Map<String, Value> =
                (0..count).map(|number| (format!("key{number:04}"), json!("x".repeat(length)))).collect();
            let services: Vec<String> = (0..services).map(|number| format!("service{number}")).collect();
            payload.insert("services".into(), json!(services));
            let body = json!({"deployment": {"id": 7, "environment": "production", "payload": payload}});
            sent("github", ("X-GitHub-Event", "deployment"), &body)
        };
        let all = deployed(100, 600, 100);
        assert_eq!((all.len(), all[0].services.len(), all[0].attributes.len()), (1, 100, 100));
        assert_eq!(all[0].attributes["key0099"].len(), 600);
        let cut = deployed(1003, 10, 1001);
        assert_eq!((cut.len(), cut[0].services.len(), cut[0].attributes.len()), (3, 1000, 1000));
        let said = unreadable_parts(&cut).unwrap();
        for part in ["of 7, 1000 of 1003 attributes are kept", "of 7, 1000 of 1001 services are kept"] {
            assert!(said.contains(part), "{said}");
        }
        // 7 of the name and 16,377 of the value: four fill the room.
        assert_eq!(deployed(4, 16_377, 1).len(), 1);
        let long = deployed(5, 16_377, 1);
        assert_eq!((long.len(), long[0].attributes.len()), (2, 4));
        let body = json!({"deployment": {"id": 7, "environment": "production",
            "payload": {"a_log": "x".repeat(100_000), "region": "eu"}}});
        let beside = sent("github", ("X-GitHub-Event", "deployment"), &body);
        assert_eq!((beside.len(), beside[0].attributes.len(), beside[0].attributes["region"].as_str()), (2, 1, "eu"));
        let labels: serde_json::Map<String, Value> =
            (0..60).map(|number| (format!("label{number}"), json!("v"))).collect();
        let alert =
            json!({"fingerprint": "a", "status": "firing", "startsAt": "2026-03-01T10:00:00Z", "labels": labels});
        assert_eq!(sent("alertmanager", ("", ""), &json!({"alerts": [alert]}))[0].attributes.len(), 60);
    }

    #[test]
    fn what_is_reverted_is_kept_within_a_bound() {
        let pushed = |counts: [usize; 2]| {
            let text = |count: usize| -> String {
                (0..count).map(|number| format!("This reverts commit {number:040}.\n")).collect()
            };
            let commits: Vec<Value> = (1..)
                .zip(counts)
                .map(|(number, count)| json!({"id": format!("{number:040}"), "message": text(count)}))
                .collect();
            let body = json!({"ref": "refs/heads/main", "after": format!("{:040}", 1), "commits": commits,
                "repository": {"full_name": "a/b", "default_branch": "main"}});
            sent("github", ("X-GitHub-Event", "push"), &body)
        };
        let reverts =
            |events: &[Event]| -> Vec<usize> { events[0].commits.iter().map(|commit| commit.reverts.len()).collect() };
        let all = pushed([4000, 96]);
        assert_eq!((all.len(), reverts(&all)), (1, vec![4000, 96]));
        let cut = pushed([4000, 98]);
        assert_eq!((cut.len(), reverts(&cut)), (2, vec![4000, 96]));
        let said = unreadable_parts(&cut).unwrap();
        assert!(said.contains("4096 of 4098 reverted changes are kept"), "{said}");
    }
}
