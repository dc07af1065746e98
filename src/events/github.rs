//! GitHub webhooks: deployment, deployment_status, release, pull_request, push, workflow_run, workflow_job, ping.
//!
//! The object is believed, never `action`: a captured `in_progress` holds a run that had completed. An
//! unmerged pull request has a `merge_commit_sha` too (of the test merge), and `target_commitish` of a release
//! is a branch name as often as a hash.

use super::change_text::{is_hotfix, reverted};
use super::clean;
use super::fields::Fields;
use super::{Commit, Event, EventError, EventKind, Headers, JOB, Status};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Deref;

const EVENT_HEADER: &str = "x-github-event";
/// GitHub names no more of one push.
const COMMITS_MAX: usize = 2048;

/// Reads one webhook. Which event it is stands in a header, so one without it is refused.
pub(super) fn read(headers: &Headers, root: &Value, received_at: DateTime<Utc>) -> Result<Vec<Event>, EventError> {
    let name =
        headers.get(EVENT_HEADER).ok_or_else(|| EventError::Unfit("the header X-GitHub-Event is missing".into()))?;
    if !root.is_object() {
        return Err(EventError::Unfit(format!("a GitHub {name} event is a JSON object")));
    }
    let payload = Payload(Fields::new(root, received_at));
    let event = match name {
        "deployment" => payload.deployment("/deployment/created_at"),
        "deployment_status" => payload.deployment_status(),
        "release" => payload.release(),
        "pull_request" => payload.pull_request(),
        "push" => payload.push(),
        "workflow_run" => payload.workflow_run(),
        "workflow_job" => payload.workflow_job(),
        "ping" => Ok(payload.ignored("GitHub says that the webhook is set up")),
        other => Ok(payload.ignored(&format!("\"{other}\" events are not used; deselect them in the webhook"))),
    };
    let beyond = (name == "push").then(|| payload.beyond("/commits", "commits", COMMITS_MAX)).flatten();
    event.map(|event| std::iter::once(event).chain(beyond).collect())
}

/// The event that a body without a header looks like.
pub(super) fn infer(root: &Value) -> Option<&'static str> {
    let has = |key: &str| root.get(key).is_some_and(|value| !value.is_null());
    [
        ("deployment_status", has("deployment_status")),
        ("deployment", has("deployment")),
        ("release", has("release")),
        ("pull_request", has("pull_request") && has("number")),
        ("workflow_job", has("workflow_job")),
        ("workflow_run", has("workflow_run")),
        ("push", has("after") && has("ref")),
        ("ping", has("zen")),
    ]
    .into_iter()
    .find_map(|(name, fits)| fits.then_some(name))
}

struct Payload<'a>(Fields<'a>);

impl<'a> Deref for Payload<'a> {
    type Target = Fields<'a>;

    fn deref(&self) -> &Fields<'a> {
        &self.0
    }
}

impl Payload<'_> {
    // A repository's name is part of keys, like an id.
    fn repo(&self) -> Option<String> {
        self.name("/repository/full_name")
    }

    fn event(&self, kind: EventKind) -> Event {
        Event {
            kind,
            repo: self.repo(),
            repo_url: self.url("/repository/html_url"),
            actor: self.text("/sender/login"),
            ..Event::default()
        }
    }

    fn ignored(&self, reason: &str) -> Event {
        Event { reason: clean::text(reason), reference: self.text("/ref"), ..self.event(EventKind::Ignore) }
    }

    // The part that a deployment and each of its statuses share.
    fn deployment(&self, occurred_at: &str) -> Result<Event, EventError> {
        let mut event = self.event(EventKind::Deployment);
        event.external_id = Some(self.id("/deployment/id")?);
        event.environment =
            self.text("/deployment/environment").or_else(|| self.text("/deployment_status/environment"));
        event.status = Some(Status::Pending);
        event.status_raw = Some("created".into());
        event.sha = self.sha("/deployment/sha");
        event.reference = self.text("/deployment/ref");
        let default_branch = self.text("/repository/default_branch");
        event.version = event.reference.as_deref().and_then(|name| version_of(name, default_branch.as_deref()));
        event.created_at = self.time("/deployment/created_at", &mut event);
        event.started_at = event.created_at;
        event.occurred_at = Some(self.needed_time(occurred_at, &mut event));
        event.url = self.url("/workflow_run/html_url");
        event.api_url = self.url("/deployment/url");
        event.actor = self.text("/deployment/creator/login").or(event.actor);
        event.title = self.text("/deployment/description");
        event.pipeline = self.text("/workflow/name").or_else(|| self.text("/workflow_run/name"));
        event.path = self.text("/workflow/path");
        event.environment_kind = self.environment_kind();
        self.deployment_payload(&mut event);
        Ok(event)
    }

    // GitHub knows two kinds, and says "no" of any other.
    fn environment_kind(&self) -> Option<String> {
        let kinds =
            [("/deployment/production_environment", "production"), ("/deployment/transient_environment", "preview")];
        kinds.into_iter().find_map(|(pointer, kind)| self.is_true(pointer).then(|| kind.to_owned()))
    }

    // `deployment.payload` is the sender's own: an object, or a string with one in it. "service", "services"
    // and "version" are taken as what they say, other plain values as attributes for mapping rules.
    fn deployment_payload(&self, event: &mut Event) {
        let parsed;
        let fields = match self.root.pointer("/deployment/payload") {
            Some(Value::Object(fields)) => fields,
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(Value::Object(fields)) => {
                    parsed = fields;
                    &parsed
                }
                _ => return,
            },
            _ => return,
        };
        let mut attributes = BTreeMap::new();
        for (key, value) in fields {
            match (key.as_str(), value) {
                ("service", Value::String(name)) => event.services.extend(clean::text(name)),
                ("services", Value::Array(names)) => {
                    event.services.extend(names.iter().filter_map(Value::as_str).filter_map(clean::text));
                }
                ("version", Value::String(version)) => event.version = clean::text(version).or(event.version.take()),
                (_, Value::String(text)) => attributes.extend(clean::whole(key).zip(clean::whole(text))),
                (_, Value::Number(_) | Value::Bool(_)) => {
                    attributes.extend(clean::whole(key).zip(clean::text(&value.to_string())));
                }
                _ => {}
            }
        }
        event.attributes = attributes;
    }

    fn deployment_status(&self) -> Result<Event, EventError> {
        let mut event = self.deployment("/deployment_status/created_at")?;
        let state = self.text("/deployment_status/state");
        event.status = Some(match state.as_deref() {
            Some("pending" | "queued" | "waiting") => Status::Pending,
            Some("in_progress") => Status::InProgress,
            Some("success") => Status::Succeeded,
            Some("failure" | "error") => Status::Failed,
            Some("canceled" | "cancelled") => Status::Canceled,
            // Both say that what was deployed is not there any more.
            Some("inactive" | "destroyed") => Status::Superseded,
            _ => Status::Unknown,
        });
        event.status_raw = state;
        event.sequence = self.root.pointer("/deployment_status/id").and_then(Value::as_i64).unwrap_or(0);
        if event.status.is_some_and(Status::is_terminal) {
            event.finished_at = event.occurred_at;
        }
        let page = self.url("/deployment_status/log_url").or_else(|| self.url("/deployment_status/target_url"));
        event.url = page.or(event.url);
        event.environment_url = self.url("/deployment_status/environment_url");
        event.title = self.text("/deployment_status/description").or(event.title);
        Ok(event)
    }

    fn release(&self) -> Result<Event, EventError> {
        let mut event = self.event(EventKind::Release);
        event.external_id = Some(self.id("/release/id")?);
        event.status_raw = self.text("/action");
        event.version = self.text("/release/tag_name");
        event.sha = self.sha("/release/target_commitish");
        event.reference = self.text("/release/target_commitish");
        event.finished_at = self.time("/release/published_at", &mut event);
        event.created_at = self.time("/release/created_at", &mut event);
        // Older payloads have no updated_at; then the rank of the action decides between two.
        event.occurred_at = self.time("/release/updated_at", &mut event);
        event.url = self.url("/release/html_url");
        event.actor = self.text("/release/author/login").or(event.actor);
        event.title = self.text("/release/name");
        event.prerelease = self.is_true("/release/prerelease");
        event.draft = self.is_true("/release/draft");
        Ok(event)
    }

    fn pull_request(&self) -> Result<Event, EventError> {
        let is_merged = self.is_true("/pull_request/merged");
        // A merged one may be labelled or worded anew: each action tells all of it.
        if !is_merged && self.text("/action").as_deref() != Some("closed") {
            return Ok(self.ignored("a pull request counts once it is closed"));
        }
        let mut event = self.event(EventKind::Change);
        let number = self.id("/pull_request/number")?;
        event.external_id = Some(format!("{}#{number}", event.repo.as_deref().unwrap_or_default()));
        event.status_raw = Some(if is_merged { "merged" } else { "abandoned" }.into());
        event.sha = self.sha("/pull_request/merge_commit_sha").filter(|_| is_merged);
        event.reference = self.text("/pull_request/base/ref");
        event.created_at = self.time("/pull_request/created_at", &mut event);
        let ended = if is_merged { "/pull_request/merged_at" } else { "/pull_request/closed_at" };
        event.finished_at = Some(self.needed_time(ended, &mut event));
        event.occurred_at = self.real_time("/pull_request/updated_at").max(event.finished_at);
        event.url = self.url("/pull_request/html_url");
        event.actor = self.text("/pull_request/user/login").or(event.actor);
        event.title = self.text("/pull_request/title");
        event.reverts = reverted(self.word("/pull_request/body"), event.repo.as_deref());
        event.is_hotfix = self.list("/pull_request/labels").any(|label| is_hotfix(label.word("/name")));
        Ok(event)
    }

    fn push(&self) -> Result<Event, EventError> {
        let Some(sha) = self.sha("/after").filter(|_| !self.is_true("/deleted")) else {
            return Ok(self.ignored("a branch or tag was deleted"));
        };
        let mut event = self.event(EventKind::Push);
        event.sha = Some(sha);
        event.reference = self.text("/ref");
        let branch = event.reference.as_ref().and_then(|name| name.strip_prefix("refs/heads/"));
        event.is_default_branch = branch.is_some() && branch == self.text("/repository/default_branch").as_deref();
        event.finished_at = Some(self.needed_time("/head_commit/timestamp", &mut event));
        event.occurred_at = event.finished_at;
        event.url = self.url("/compare");
        event.actor = event.actor.or_else(|| self.text("/pusher/name"));
        event.title = self.text("/head_commit/message").and_then(|message| first_line(&message));
        let commits = self.root.get("commits").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        // What was on another branch before was pushed there, and came here by a merge that counts itself.
        let new = commits.iter().take(COMMITS_MAX).filter(|commit| commit["distinct"].as_bool() != Some(false));
        event.commits = new.filter_map(|commit| self.commit(commit, &event)).collect();
        Ok(event)
    }

    fn commit(&self, commit: &Value, push: &Event) -> Option<Commit> {
        let text = |pointer: &str| commit.pointer(pointer)?.as_str().and_then(clean::text);
        let first_line = |message: &Value| message.as_str()?.lines().next().and_then(clean::text);
        Some(Commit {
            repo: push.repo.clone()?,
            sha: clean::sha(commit["id"].as_str()?)?,
            title: first_line(&commit["message"]),
            author: text("/author/username").or_else(|| text("/author/name")),
            happened_at: clean::time(&commit["timestamp"], self.received_at).map(|(time, _)| time),
            url: commit["url"].as_str().and_then(clean::url),
            reverts: reverted(commit["message"].as_str().unwrap_or_default(), push.repo.as_deref()),
        })
    }

    // A job counts once it has ended, for what it took.
    fn workflow_job(&self) -> Result<Event, EventError> {
        if self.text("/workflow_job/status").as_deref() != Some("completed") {
            return Ok(self.ignored("a job counts once it has ended"));
        }
        let mut event = self.event(EventKind::PipelineRun);
        let attempt = self.root.pointer("/workflow_job/run_attempt").and_then(Value::as_i64).unwrap_or(1);
        let run_id = format!("{}/{attempt}", self.id("/workflow_job/run_id")?);
        event.external_id = Some(format!("{run_id}/jobs/{}", self.id("/workflow_job/id")?));
        event.status_raw = self.text("/workflow_job/conclusion");
        event.status = Some(ended(event.status_raw.as_deref()));
        event.sha = self.sha("/workflow_job/head_sha");
        event.reference = self.text("/workflow_job/head_branch");
        event.created_at = self.time("/workflow_job/created_at", &mut event);
        event.started_at = self.time("/workflow_job/started_at", &mut event);
        event.occurred_at = Some(self.needed_time("/workflow_job/completed_at", &mut event));
        event.finished_at = event.occurred_at;
        event.url = self.url("/workflow_job/html_url");
        event.pipeline = self.text("/workflow_job/workflow_name");
        self.keep(JOB, "/workflow_job/name", &mut event);
        event.keep_job_of(&run_id, self.list("/workflow_job/labels").filter_map(|label| label.text("")));
        Ok(event)
    }

    fn workflow_run(&self) -> Result<Event, EventError> {
        let mut event = self.event(EventKind::PipelineRun);
        let attempt = self.root.pointer("/workflow_run/run_attempt").and_then(Value::as_i64).unwrap_or(1);
        event.external_id = Some(format!("{}/{attempt}", self.id("/workflow_run/id")?));
        event.attempt = Some(attempt);
        let has_completed = self.text("/workflow_run/status").as_deref() == Some("completed");
        let conclusion = self.text("/workflow_run/conclusion");
        event.status = Some(if has_completed { ended(conclusion.as_deref()) } else { Status::InProgress });
        event.status_raw = conclusion.or_else(|| self.text("/workflow_run/status"));
        event.sha = self.sha("/workflow_run/head_sha");
        event.reference = self.text("/workflow_run/head_branch");
        event.created_at = self.time("/workflow_run/created_at", &mut event);
        // created_at is that of the first attempt, which may be a day before.
        event.started_at = self.time("/workflow_run/run_started_at", &mut event).or(event.created_at);
        event.occurred_at = Some(self.needed_time("/workflow_run/updated_at", &mut event));
        event.finished_at = event.occurred_at.filter(|_| has_completed);
        event.url = self.url("/workflow_run/html_url");
        event.actor = self.text("/workflow_run/actor/login").or(event.actor);
        event.title = self.text("/workflow_run/display_title");
        event.pipeline = self.text("/workflow_run/name").or_else(|| self.text("/workflow/name"));
        event.path = self.text("/workflow_run/path").or_else(|| self.text("/workflow/path"));
        Ok(event)
    }
}

// GitHub takes a tag's plain name as ref as well, and does not say whether it is one: `v1.4.2` is taken for a tag,
// unless the repository's default branch is called so.
fn version_of(reference: &str, default_branch: Option<&str>) -> Option<String> {
    let tag = reference.strip_prefix("refs/tags/");
    let plain = || Some(reference).filter(|name| Some(*name) != default_branch && is_version(name));
    tag.or_else(plain).map(str::to_owned)
}

// `v1.4.2`, `2026.11`, `1.0-rc.1`: numbers with a dot between them, and what may follow. `v9.5.x` is a branch of many.
fn is_version(name: &str) -> bool {
    let Some((major, rest)) = name.strip_prefix(['v', 'V']).unwrap_or(name).split_once('.') else { return false };
    let is_number = !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        && !rest.ends_with(".x")
        && rest.starts_with(|first: char| first.is_ascii_digit())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte))
}

fn ended(conclusion: Option<&str>) -> Status {
    match conclusion {
        Some("success") => Status::Succeeded,
        Some("failure" | "timed_out" | "startup_failure") => Status::Failed,
        Some("cancelled" | "skipped" | "stale") => Status::Canceled,
        _ => Status::Unknown,
    }
}

fn first_line(message: &str) -> Option<String> {
    message.lines().next().and_then(clean::text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_one(name: &str, root: &Value) -> Event {
        let headers = Headers::redacted([("X-GitHub-Event", name)]);
        let received_at = "2026-03-01T12:00:00Z".parse().unwrap();
        read(&headers, root, received_at).unwrap().remove(0)
    }

    fn deployment(state: &str) -> Value {
        json!({
            "deployment": {
                "id": 7, "environment": "production", "sha": "a".repeat(40), "ref": "refs/tags/v2",
                "created_at": "2026-02-28T10:00:00Z", "creator": {"login": "octo"},
                "payload": "{\"service\":\"checkout\",\"region\":\"eu\",\"nested\":{\"a\":1}}",
                "url": "https://api.example.com/deployments/7"
            },
            "deployment_status": {"id": 9, "state": state, "created_at": "2026-02-28T10:05:00Z", "log_url": "javascript:alert(1)"},
            "repository": {"full_name": "acme/shop", "html_url": "https://joe:secret@example.com/acme/shop"}
        })
    }

    #[test]
    fn a_success_is_a_finished_deployment() {
        let event = read_one("deployment_status", &deployment("success"));
        assert_eq!((event.status, event.sequence), (Some(Status::Succeeded), 9));
        assert_eq!(event.finished_at, event.occurred_at);
        assert_eq!(event.services, ["checkout"]);
        assert_eq!(event.version.as_deref(), Some("v2"));
        assert_eq!(event.attributes.get("region").map(String::as_str), Some("eu"));
        assert_eq!(event.attributes.len(), 1);
        assert_eq!(event.repo_url.as_deref(), Some("https://example.com/acme/shop"));
        assert_eq!((event.url, event.api_url.is_some()), (None, true));
    }

    #[test]
    fn a_plain_tag_is_the_version_and_a_branch_is_none() {
        let version = |reference: &str, default_branch: &str| {
            let mut root = deployment("success");
            root["deployment"]["ref"] = json!(reference);
            root["repository"]["default_branch"] = json!(default_branch);
            read_one("deployment_status", &root).version
        };
        for tag in ["v1.4.2", "1.4", "V2.0.0-rc.1", "2026.11.20+build_7"] {
            assert_eq!(version(tag, "main").as_deref(), Some(tag));
        }
        assert_eq!(version("refs/tags/nightly", "main").as_deref(), Some("nightly"));
        for branch in ["main", "refs/heads/v1.4.2", "release/1.4", "v2", "1.x", "v9.5.x", ".5", "v.5", "deadbeef"] {
            assert_eq!(version(branch, "main"), None, "{branch}");
        }
        assert_eq!(version("2.0", "2.0"), None, "the default branch");
        let mut root = deployment("success");
        root["deployment"]["ref"] = json!("v1.4.2");
        root["deployment"]["payload"] = json!({"version": "1.4.2-hotfix"});
        assert_eq!(read_one("deployment_status", &root).version.as_deref(), Some("1.4.2-hotfix"));
    }

    #[test]
    fn a_word_that_is_not_known_is_no_error() {
        let event = read_one("deployment_status", &deployment("teleported"));
        assert_eq!((event.status, event.status_raw.as_deref()), (Some(Status::Unknown), Some("teleported")));
        assert_eq!(event.finished_at, None);
    }

    #[test]
    fn events_of_no_use_say_why() {
        assert_eq!(read_one("star", &json!({})).kind, EventKind::Ignore);
        assert!(read_one("ping", &json!({"zen": "x"})).reason.is_some());
        assert_eq!(read_one("pull_request", &json!({"action": "opened"})).kind, EventKind::Ignore);
        let deleted = json!({"ref": "refs/heads/x", "after": "0".repeat(40), "deleted": true});
        assert_eq!(read_one("push", &deleted).kind, EventKind::Ignore);
    }

    #[test]
    fn only_new_commits_of_a_push_count() {
        let commit = |digit: &str, distinct: bool| json!({"id": digit.repeat(40), "distinct": distinct, "message": "One\n\ntwo", "timestamp": "2026-02-01T01:00:00+01:00"});
        let root = json!({
            "ref": "refs/heads/main", "after": "b".repeat(40), "commits": [commit("a", false), commit("b", true)],
            "head_commit": {"timestamp": "2026-02-01T01:00:00+01:00", "message": "One"},
            "repository": {"full_name": "acme/shop", "default_branch": "main"}
        });
        let event = read_one("push", &root);
        assert!(event.is_default_branch);
        assert_eq!(event.commits.len(), 1);
        assert_eq!(event.commits[0].title.as_deref(), Some("One"));
        assert_eq!(event.finished_at, Some("2026-02-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_change_tells_what_it_mends_and_reverts() {
        let reverts = format!("Too slow.\n\nThis reverts commit {}.", "a".repeat(40));
        let change = read_one(
            "pull_request",
            &json!({"action": "closed", "repository": {"full_name": "acme/shop"}, "pull_request": {
                "number": 7, "merged": true, "merge_commit_sha": "b".repeat(40), "title": "Old cache", "body": reverts,
                "merged_at": "2026-02-28T10:00:00Z", "labels": [{"name": "area/cache"}, {"name": "type: hotfix"}]}}),
        );
        assert_eq!((change.is_hotfix, change.reverts.as_slice()), (true, &["a".repeat(40)][..]));
        let commit = json!({"id": "b".repeat(40), "message": format!("Old cache\n\n{reverts}")});
        let push = read_one(
            "push",
            &json!({"ref": "refs/heads/main", "after": "b".repeat(40), "commits": [commit],
                    "repository": {"full_name": "acme/shop", "default_branch": "main"}}),
        );
        assert_eq!(push.commits[0].reverts, ["a".repeat(40)]);
    }

    #[test]
    fn labels_of_a_merged_request_are_told_with_their_own_time() {
        let told = |action: &str, merged: bool, updated_at: &str| {
            let request = json!({"number": 7, "merged": merged, "title": "Cache", "merged_at": "2026-02-27T10:00:00Z",
                "updated_at": updated_at, "labels": [{"name": "hotfix"}]});
            read_one("pull_request", &json!({"action": action, "pull_request": request, "label": {"name": "hotfix"}}))
        };
        let at = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
        for action in ["labeled", "unlabeled", "edited"] {
            let event = told(action, true, "2026-02-28T10:00:00Z");
            assert_eq!((event.kind, event.is_hotfix), (EventKind::Change, true), "{action}");
            assert_eq!(event.finished_at, at("2026-02-27T10:00:00Z"));
            assert_eq!(event.occurred_at, at("2026-02-28T10:00:00Z"));
            assert_eq!(told(action, false, "2026-02-28T10:00:00Z").kind, EventKind::Ignore, "{action}");
        }
        // Of a time that cannot be, the merge is what is known.
        assert_eq!(told("labeled", true, "0001-01-01T00:00:00Z").occurred_at, at("2026-02-27T10:00:00Z"));
    }

    #[test]
    fn bodies_that_do_not_fit_are_errors_and_never_panics() {
        let headers = Headers::redacted([("X-GitHub-Event", "deployment")]);
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        for root in [json!([]), json!({}), json!({"deployment": 7}), json!({"deployment": {"id": null}})] {
            assert!(read(&headers, &root, now).is_err(), "{root}");
        }
        assert!(read(&Headers::default(), &json!({}), now).is_err());
    }

    #[test]
    fn an_id_is_short_and_plain() {
        let headers = Headers::redacted([("X-GitHub-Event", "deployment")]);
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let with_id = |id: &str| {
            let mut root = deployment("success");
            root["deployment"]["id"] = json!(id);
            read(&headers, &root, now)
        };
        assert_eq!(with_id(" a\nb ").unwrap()[0].external_id.as_deref(), Some("ab"));
        let error = with_id(&"x".repeat(9_000)).unwrap_err().to_string();
        assert_eq!(error, "deployment.id is longer than 200 characters");
        assert_eq!(with_id("\n").unwrap_err().to_string(), "deployment.id is missing");
    }
}
