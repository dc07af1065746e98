//! CDEvents, bare or in CloudEvents over HTTP: binary, structured and in batches.
//!
//! Senders are loose, and versions move on: the type is split at its dots and its version is no matter, fields are
//! read by name, and what is not known is left alone. A service event is a success by itself, and its artifact is a
//! digest, never a commit; what the standard has no field for may stand in `customData`. A service that was removed has no
//! deployment of its own: it ends whichever stood there, and an artifact that was published is a version that exists.

use super::fields::{Fields, joined, status_of};
use super::{Commit, Event, EventError, EventKind, Headers, JOB, REMOVED_ARTIFACT, Status, clean, without_credentials};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use serde_json::Value;

const BATCH_MAX: usize = 1000;
const SERVICE: &str = "/subject/content/service/id";
/// The subject of runs of pipelines, as their keys begin.
const PIPELINE_RUN: &str = "pipelinerun";

/// Reads one request: an event of its own, within a CloudEvent, or several of these.
pub(super) fn read(headers: &Headers, fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    if !fields.root.is_array() {
        return one(headers, fields).map(|event| vec![event]);
    }
    fields.read_each("", BATCH_MAX, |member| one(headers, *member))
}

/// Source and id, which identify a CloudEvent; of a batch there are none.
pub(super) fn identity(headers: &Headers, root: &Value) -> Option<String> {
    let text = |pointer: &str| root.pointer(pointer).and_then(Value::as_str);
    let source = headers.get("ce-source").or_else(|| text("/source")).or_else(|| text("/context/source"))?;
    let id = headers.get("ce-id").or_else(|| text("/id")).or_else(|| text("/context/id"))?;
    Some(joined(&[&clean::whole(source)?, &clean::whole(id)?]))
}

/// The type of the event, for the list of deliveries.
pub(super) fn event_name(headers: &Headers, root: &Value) -> Option<String> {
    let text = |pointer: &str| root.pointer(pointer).and_then(Value::as_str);
    headers.get("ce-type").or_else(|| text("/type")).or_else(|| text("/context/type")).and_then(clean::text)
}

fn one(headers: &Headers, fields: Fields<'_>) -> Result<Event, EventError> {
    // In structured mode the event is the data.
    let unpacked = unpacked(&fields)?;
    let data = match unpacked.as_ref().or_else(|| fields.root.get("data").filter(|_| fields.has("/specversion"))) {
        Some(data) => Fields::new(data, fields.received_at),
        None => fields,
    };
    let kind = [data.word("/context/type"), fields.word("/type"), headers.get("ce-type").unwrap_or_default()];
    let kind = kind.into_iter().find(|word| !word.is_empty()).unwrap_or_default();
    let Some((subject, predicate)) = split(kind) else {
        return Ok(fields.ignored(&format!("\"{kind}\" is not a CDEvent")));
    };
    let source = data.text("/context/source").or_else(|| fields.text("/source")).unwrap_or_default();
    Subject { data, source, subject, predicate }.event()
}

// Some senders put the data there as text, and what is sent as bytes stands there in base64. Bodies that were stored
// before these were looked into have credentials in addresses there.
fn unpacked(fields: &Fields<'_>) -> Result<Option<Value>, EventError> {
    if !fields.has("/specversion") {
        return Ok(None);
    }
    let json = match (fields.root.get("data"), fields.root.get("data_base64")) {
        (Some(Value::String(text)), _) => text.clone().into_bytes(),
        (None | Some(Value::Null), Some(Value::String(text))) => {
            let bytes = BASE64.decode(text.trim());
            let bytes = bytes.map_err(|error| EventError::Unfit(format!("data_base64 is not base64: {error}")))?;
            without_credentials(&bytes).into_owned()
        }
        _ => return Ok(None),
    };
    serde_json::from_slice(&json).map(Some).map_err(|error| EventError::NotJson(error.to_string()))
}

// `dev.cdevents.service.deployed.0.3.0` without its version.
fn split(kind: &str) -> Option<(&str, &str)> {
    let mut parts = kind.strip_prefix("dev.cdevents.")?.split('.');
    Some((parts.next()?, parts.next()?))
}

struct Subject<'a> {
    data: Fields<'a>,
    source: String,
    subject: &'a str,
    predicate: &'a str,
}

impl Subject<'_> {
    fn event(&self) -> Result<Event, EventError> {
        match (self.subject, self.predicate) {
            ("service", "deployed" | "upgraded" | "rolledback") => self.service(),
            ("service", "removed") => self.removed(),
            ("service", "published") => self.published(),
            ("artifact", "published") => self.artifact(),
            ("incident", _) => self.incident(),
            ("change", "merged" | "abandoned") => self.change(),
            ("environment", _) => self.environment(),
            (PIPELINE_RUN, "queued" | "started" | "finished") => self.run(),
            ("taskrun", "started" | "finished") => self.task(),
            (subject, predicate) => {
                Ok(self.data.ignored(&format!("\"{subject}.{predicate}\" says nothing about what is live")))
            }
        }
    }

    fn at(&self, event: &mut Event) -> DateTime<Utc> {
        self.data.needed_time("/context/timestamp", event)
    }

    fn told(&self, kind: EventKind) -> Result<Event, EventError> {
        let mut event = Event { kind, ..Event::default() };
        event.external_id = Some(self.data.id("/subject/id")?);
        event.occurred_at = Some(self.at(&mut event));
        event.environment = self.data.text("/subject/content/environment/id");
        event.artifact = self.data.text("/subject/content/artifactId");
        event.url = self.data.url("/subject/content/uri").or_else(|| self.data.url("/customData/url"));
        self.data.keep_attributes("/customData", &mut event);
        self.data.keep("chain", "/context/chainId", &mut event);
        Ok(event)
    }

    // The event has no id of the deployment. The same artifact may go live again later, so that its moment is part
    // of the key; a repetition has the same.
    fn service(&self) -> Result<Event, EventError> {
        let mut event = self.told(EventKind::Deployment)?;
        let id = event.external_id.clone().unwrap_or_default();
        event.services = clean::text(&id).into_iter().collect();
        event.status = Some(Status::Succeeded);
        event.status_raw = Some(self.predicate.to_owned());
        event.deployment_kind = (self.predicate == "rolledback").then(|| "rollback".to_owned());
        event.object_key = Some(self.data.text("/customData/id").unwrap_or_else(|| self.key_of(&event)));
        event.version = self.version(&event);
        event.sha = self.data.sha("/customData/sha");
        event.started_at = self.data.time("/customData/started_at", &mut event);
        let repo = self.data.name("/customData/repo");
        event.commits = repo
            .iter()
            .zip(&event.sha)
            .map(|(repo, sha)| Commit { repo: repo.clone(), sha: sha.clone(), ..Commit::default() })
            .collect();
        event.repo = repo;
        Ok(event)
    }

    // What tells it apart from another of the same source and kind.
    fn key_of(&self, event: &Event) -> String {
        let source = self.source_of("/subject/source");
        let at = event.occurred_at.unwrap_or(self.data.received_at).timestamp_micros().to_string();
        let [id, environment, artifact] =
            [&event.external_id, &event.environment, &event.artifact].map(|part| part.as_deref().unwrap_or_default());
        joined(&[&source, id, environment, artifact, &at])
    }

    // What numbers something is its own source, where that is named, else that of the event.
    fn source_of(&self, pointer: &str) -> String {
        self.data.text(pointer).unwrap_or_else(|| self.source.clone())
    }

    fn version(&self, event: &Event) -> Option<String> {
        self.data.text("/customData/version").or_else(|| event.artifact.as_deref().and_then(artifact_version))
    }

    // Something of a service that is no deployment: context, and what it says of the deployments is derived from it.
    fn of_service(&self, kind: EventKind) -> Result<Event, EventError> {
        let mut event = self.told(kind)?;
        event.services = event.external_id.as_deref().and_then(clean::text).into_iter().collect();
        event.status_raw = Some(self.predicate.to_owned());
        event.object_key = Some(joined(&[self.predicate, &self.key_of(&event)]));
        let name = event.services.first().cloned().unwrap_or_default();
        event.title = clean::text(&format!("{name} was {}", self.predicate));
        Ok(event)
    }

    fn removed(&self) -> Result<Event, EventError> {
        let mut event = self.of_service(EventKind::Environment)?;
        // Where one artifact is named, another one that runs there stays.
        self.data.keep(REMOVED_ARTIFACT, "/subject/content/artifactId", &mut event);
        Ok(event)
    }

    // It can be reached. Where what can be reached is named, that is live, and is the same once more where it was deployed
    // before; where it is not, a second deployment would be made up beside the first.
    fn published(&self) -> Result<Event, EventError> {
        let event = self.service()?;
        let is_named = event.version.is_some() || event.artifact.is_some() || event.sha.is_some();
        if is_named { Ok(event) } else { self.of_service(EventKind::Marker) }
    }

    // `pkg:oci/acme/shop@sha256%3A…` or what `customData` says. It never goes live by itself.
    fn artifact(&self) -> Result<Event, EventError> {
        let mut event = self.told(EventKind::Release)?;
        event.artifact.clone_from(&event.external_id);
        let repo = self.data.name("/customData/repo").or_else(|| self.data.name("/subject/content/repository/id"));
        let Some(repo) = repo.or_else(|| event.artifact.as_deref().and_then(artifact_name)) else {
            return Ok(self.data.ignored("an artifact's repository is not named: customData.repo may name it"));
        };
        event.repo = Some(repo);
        event.version = self.version(&event);
        event.sha = self.data.sha("/customData/sha");
        event.status_raw = Some(self.predicate.to_owned());
        event.finished_at = event.occurred_at;
        Ok(event)
    }

    fn incident(&self) -> Result<Event, EventError> {
        let mut event = self.told(EventKind::Incident)?;
        event.services = self.data.text(SERVICE).into_iter().collect();
        event.status_raw = Some(if self.predicate == "resolved" { "resolved" } else { "open" }.to_owned());
        event.finished_at = event.occurred_at.filter(|_| self.predicate == "resolved");
        event.title = self.data.text("/subject/content/description");
        event.severity = self.data.text("/customData/severity");
        event.object_key = event.external_id.as_deref().map(|id| joined(&["incident", &self.source, id]));
        Ok(event)
    }

    fn change(&self) -> Result<Event, EventError> {
        let mut event = self.told(EventKind::Change)?;
        let repo = self.data.name("/subject/content/repository/id");
        event.repo = Some(repo.ok_or_else(|| EventError::Unfit("subject.content.repository.id is missing".into()))?);
        event.status_raw = Some(self.predicate.to_owned());
        event.title = self.data.text("/subject/content/description").or_else(|| self.data.text("/customData/title"));
        event.sha = self.data.sha("/customData/sha");
        Ok(event)
    }

    fn environment(&self) -> Result<Event, EventError> {
        let mut event = self.told(EventKind::Environment)?;
        event.status_raw = clean::text(self.predicate);
        event.title = self.data.text("/subject/content/name").or_else(|| event.external_id.clone());
        event.url = self.data.url("/subject/content/url");
        event.object_key = event.external_id.as_deref().map(|id| joined(&["environment", &self.source, id]));
        // Deployments name the environment by the same id: what went is the one that they are in.
        event.environment = event.external_id.clone().filter(|_| self.predicate == "deleted");
        Ok(event)
    }

    // Each source numbers its own runs.
    fn run(&self) -> Result<Event, EventError> {
        let mut event = self.told(EventKind::PipelineRun)?;
        let id = event.external_id.as_deref().unwrap_or_default();
        event.object_key = Some(joined(&[self.subject, &self.source_of("/subject/source"), id]));
        event.pipeline = self.data.text("/subject/content/pipelineName");
        let outcome = self.data.word("/subject/content/outcome");
        let status = match self.predicate {
            "queued" => Status::Pending,
            "started" => Status::InProgress,
            _ => status_of(outcome),
        };
        event.status = Some(status);
        event.status_raw = clean::text(outcome).or_else(|| clean::text(self.predicate));
        event.started_at = event.occurred_at.filter(|_| status == Status::InProgress);
        event.finished_at = event.occurred_at.filter(|_| self.predicate == "finished");
        Ok(event)
    }

    // A part of a pipeline's run, which has its own start and end.
    fn task(&self) -> Result<Event, EventError> {
        let mut event = self.run()?;
        let name = self.data.text("/subject/content/taskName").or_else(|| event.external_id.clone());
        event.attributes.extend(name.map(|name| (JOB.to_owned(), name)));
        if let Ok(run_id) = self.data.id("/subject/content/pipelineRun/id") {
            let source = self.source_of("/subject/content/pipelineRun/source");
            event.keep_job_of(&joined(&[PIPELINE_RUN, &source, &run_id]), std::iter::empty());
        }
        Ok(event)
    }
}

// `pkg:oci/acme/shop@sha256%3A…?tag=1.4` is `acme/shop`.
fn artifact_name(purl: &str) -> Option<String> {
    let (_, name) = purl.strip_prefix("pkg:")?.split_once('/')?;
    clean::id(name.split(['@', '?', '#']).next()?)
}

// `pkg:oci/checkout@sha256%3A…?tag=1.4`: the tag, else the version behind the @.
fn artifact_version(purl: &str) -> Option<String> {
    let (path, query) = purl.split_once('?').unwrap_or((purl, ""));
    let tag = query.split('&').find_map(|pair| pair.strip_prefix("tag="));
    let version = tag.or_else(|| path.rsplit_once('@').map(|(_, version)| version))?;
    clean::text(&version.replace("%3A", ":").replace("%3a", ":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> Value {
        json!({"context": {"id": "1", "source": "/ci", "type": "dev.cdevents.service.deployed.9.7.0-draft",
                "timestamp": "1772359200000", "anything": 1},
            "subject": {"id": "checkout", "content": {"environment": {"id": "production"}, "more": {"fields": []},
                "artifactId": "pkg:oci/checkout@sha256%3Aaa?tag=1.4"}}})
    }

    fn read_all(root: &Value) -> Vec<Event> {
        read(&Headers::default(), Fields::new(root, "2026-03-02T12:00:00Z".parse().unwrap())).unwrap()
    }

    #[test]
    fn all_three_content_modes_say_the_same() {
        let bare = read_all(&event());
        assert_eq!((bare[0].services[0].as_str(), bare[0].version.as_deref()), ("checkout", Some("1.4")));
        assert_eq!(bare[0].occurred_at.unwrap().to_rfc3339(), "2026-03-01T10:00:00+00:00");
        let structured = json!({"specversion": "1.0", "type": "dev.cdevents.service.deployed.9.7.0-draft", "id": "1",
            "source": "/ci", "datacontenttype": "application/json", "data": event()});
        assert_eq!(read_all(&structured), bare);
        let mut text = structured.clone();
        text["data"] = json!(event().to_string());
        assert_eq!(read_all(&text), bare);
        let mut packed = structured.clone();
        packed.as_object_mut().unwrap().remove("data");
        packed["data_base64"] = json!(BASE64.encode(event().to_string()));
        assert_eq!(read_all(&packed), bare);
        assert_eq!(read_all(&json!([structured, event()])), [bare.clone(), bare].concat());
        assert_eq!(read_all(&json!([]))[0].kind, EventKind::Ignore);
    }

    #[test]
    fn what_is_packed_is_read_without_credentials_or_refused() {
        let packed = |data: &str| {
            let root =
                json!({"specversion": "1.0", "type": "dev.cdevents.service.deployed.0.3.0", "data_base64": data});
            read(&Headers::default(), Fields::new(&root, "2026-03-02T12:00:00Z".parse().unwrap()))
        };
        let mut told = event();
        told["customData"] = json!({"log": "https://bot:hush@ci.example.com/7"});
        let read = packed(&BASE64.encode(told.to_string())).unwrap().remove(0);
        assert_eq!(read.attributes["log"], "https://ci.example.com/7");
        assert!(matches!(packed("no base64!"), Err(EventError::Unfit(_))));
        assert!(matches!(packed(&BASE64.encode("no JSON")), Err(EventError::NotJson(_))));
    }

    fn of_kind(kind: &str, content: &Value) -> Event {
        let mut told = event();
        told["context"]["type"] = json!(format!("dev.cdevents.{kind}.0.3.0"));
        told["subject"]["content"] = content.clone();
        read_all(&told).remove(0)
    }

    #[test]
    fn what_was_removed_is_no_deployment_and_names_where_it_was() {
        let place = json!({"environment": {"id": "production"}});
        let removed = of_kind("service.removed", &place);
        assert_eq!((removed.kind, removed.status), (EventKind::Environment, None));
        assert_eq!((removed.services[0].as_str(), removed.environment.as_deref()), ("checkout", Some("production")));
        assert_eq!(
            (removed.status_raw.as_deref(), removed.title.as_deref()),
            (Some("removed"), Some("checkout was removed"))
        );
        assert!(removed.attributes.is_empty());
        let one = json!({"environment": {"id": "production"}, "artifactId": "pkg:oci/checkout@sha256%3Aaa"});
        assert_eq!(of_kind("service.removed", &one).attributes[REMOVED_ARTIFACT], "pkg:oci/checkout@sha256%3Aaa");
        assert_ne!(of_kind("service.removed", &one).key(), removed.key());
    }

    #[test]
    fn what_was_published_is_live_where_it_is_named() {
        let place = json!({"environment": {"id": "production"}});
        assert_eq!(of_kind("service.published", &place).kind, EventKind::Marker);
        let named = json!({"environment": {"id": "production"}, "artifactId": "pkg:oci/checkout@sha256%3Aaa?tag=2"});
        let live = of_kind("service.published", &named);
        assert_eq!(
            (live.kind, live.status, live.version.as_deref()),
            (EventKind::Deployment, Some(Status::Succeeded), Some("2"))
        );
    }

    #[test]
    fn an_artifact_that_was_published_is_a_version_that_exists() {
        let mut told = event();
        told["context"]["type"] = json!("dev.cdevents.artifact.published.0.2.0");
        told["subject"] = json!({"id": "pkg:oci/acme/shop@sha256%3Aaa?tag=1.4", "content": {}});
        let release = read_all(&told).remove(0);
        assert_eq!((release.kind, release.repo.as_deref()), (EventKind::Release, Some("acme/shop")));
        assert_eq!((release.version.as_deref(), release.finished_at), (Some("1.4"), release.occurred_at));
        told["customData"] = json!({"repo": "https://github.com/acme/web", "version": "2", "sha": "b".repeat(40)});
        let release = read_all(&told).remove(0);
        assert_eq!(
            (release.repo.as_deref(), release.version.as_deref()),
            (Some("https://github.com/acme/web"), Some("2"))
        );
        assert_eq!(release.sha, Some("b".repeat(40)));
        told = json!({"context": told["context"], "subject": {"id": "shop"}});
        let unnamed = read_all(&told).remove(0);
        assert!(unnamed.kind == EventKind::Ignore && unnamed.reason.unwrap().contains("customData.repo"));
    }

    #[test]
    fn each_source_numbers_its_own_runs_and_tasks_are_their_parts() {
        let told = |kind: &str, source: &str, subject: Value| {
            let mut told = event();
            told["context"]["type"] = json!(format!("dev.cdevents.{kind}.0.3.0"));
            told["context"]["source"] = json!(source);
            told["subject"] = subject;
            read_all(&told).remove(0)
        };
        let run =
            |source: &str| told("pipelinerun.finished", source, json!({"id": "7", "content": {"outcome": "success"}}));
        assert_ne!(run("/ci/a").key(), run("/ci/b").key());
        assert_eq!(run("/ci/a").external_id, run("/ci/b").external_id);
        let named = json!({"id": "7", "source": "/ci/b", "content": {}});
        assert_eq!(told("pipelinerun.started", "/gateway", named).key(), run("/ci/b").key());
        let task = |source: &str, pipeline_run: Value| {
            let content = json!({"taskName": "train", "outcome": "failure", "pipelineRun": pipeline_run});
            told("taskrun.finished", source, json!({"id": "7", "content": content}))
        };
        let one = task("/ci/a", json!({"id": "7"}));
        assert_eq!(
            (one.kind, one.status, one.finished_at),
            (EventKind::PipelineRun, Some(Status::Failed), one.occurred_at)
        );
        assert!(one.is_job() && one.attributes[JOB] == "train" && one.key() != run("/ci/a").key());
        assert_eq!(one.attributes.get(super::super::RUN).map(String::as_str), run("/ci/a").key());
        let elsewhere = task("/ci/a", json!({"id": "7", "source": "/ci/b"}));
        assert_eq!(elsewhere.attributes.get(super::super::RUN).map(String::as_str), run("/ci/b").key());
        let started = told("taskrun.started", "/ci/a", json!({"id": "7", "content": {"taskName": "train"}}));
        assert_eq!((started.key(), started.started_at), (one.key(), started.occurred_at));
        assert!(!started.attributes.contains_key(super::super::RUN));
    }

    #[test]
    fn other_events_are_of_no_use_and_no_error() {
        for kind in ["dev.cdeventsx.tool.thing.0.1.0", "com.example.other", "", "dev.cdevents.build.started.1.0.0"] {
            let mut other = event();
            other["context"]["type"] = json!(kind);
            assert_eq!(read_all(&other)[0].kind, EventKind::Ignore, "{kind}");
        }
    }
}
