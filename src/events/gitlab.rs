//! GitLab webhooks: deployment, release, pipeline with its jobs, job, feature flag, tag push, push, merge request;
//! and deployments and environments as GitLab's API lists them.
//!
//! A pipeline that succeeded may hold a deploy job that was skipped, so that each job with an environment is a run
//! of its own. "Approved" is not live. Times come in two forms. That an environment was stopped, no webhook of its own
//! tells: the job that stopped it does, and the list of environments.

use super::change_text::{is_hotfix, reverted};
use super::clean;
use super::fields::{Fields, joined, status_of};
use super::{Commit, Event, EventError, EventKind, Headers, Status};
use serde_json::Value;

const EVENT_HEADER: &str = "x-gitlab-event";
const LIST_MAX: usize = 1000;
const STOPPED: &str = "stopped";

/// Reads one webhook, one deployment of the API, or a list of these.
pub(super) fn read(headers: &Headers, fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    if fields.root.is_array() {
        return fields.read_each("", LIST_MAX, deployment_of_api);
    }
    let is_stopped_environment = fields.word("/state") == "stopped" && fields.has("/name") && !fields.has("/sha");
    let kind = fields.word("/object_kind");
    Ok(match kind {
        "deployment" => vec![deployment(&fields)?],
        "release" => vec![release(&fields)?],
        "pipeline" => pipeline(&fields)?,
        "build" => vec![job(&fields)?],
        "feature_flag" => vec![feature_flag(&fields)?],
        "push" | "tag_push" => {
            let beyond = fields.beyond("/commits", "commits", LIST_MAX);
            std::iter::once(push(&fields)).chain(beyond).chain(commits_left_out(&fields)).collect()
        }
        "merge_request" => vec![merge_request(&fields)?],
        "" if fields.has("/deployable") || (fields.has("/environment/name") && fields.has("/sha")) => {
            vec![deployment_of_api(&fields)?]
        }
        "" if is_stopped_environment => vec![environment_of_api(&fields)],
        _ => {
            let name = if kind.is_empty() { headers.get(EVENT_HEADER).unwrap_or("unnamed") } else { kind };
            vec![fields.ignored(&format!("\"{name}\" events are not used; deselect them in the webhook"))]
        }
    })
}

fn event(fields: &Fields<'_>, kind: EventKind) -> Event {
    Event {
        kind,
        repo: fields.name("/project/path_with_namespace"),
        repo_url: fields.url("/project/web_url"),
        actor: fields.text("/user/username").or_else(|| fields.text("/user_username")),
        ..Event::default()
    }
}

fn deployment(fields: &Fields<'_>) -> Result<Event, EventError> {
    let mut event = event(fields, EventKind::Deployment);
    event.external_id = Some(fields.id("/deployment_id")?);
    event.environment = fields.text("/environment");
    event.environment_kind = fields.text("/environment_tier");
    event.environment_url = fields.url("/environment_external_url");
    let status = status_of(fields.word("/status"));
    (event.status, event.status_raw) = (Some(status), fields.text("/status"));
    // The payload has only the first digits of the hash; the address of the commit ends in all of them.
    event.sha = fields.word("/commit_url").rsplit('/').next().and_then(clean::sha);
    event.reference = fields.text("/ref");
    let at = fields.needed_time("/status_changed_at", &mut event);
    event.occurred_at = Some(at);
    event.started_at = (status == Status::InProgress).then_some(at);
    event.finished_at = status.is_terminal().then_some(at);
    event.url = fields.url("/deployable_url");
    event.title = fields.text("/commit_title");
    fields.keep("tier", "/environment_tier", &mut event);
    Ok(event)
}

fn release(fields: &Fields<'_>) -> Result<Event, EventError> {
    let mut event = event(fields, EventKind::Release);
    event.external_id = Some(fields.id("/id")?);
    event.status_raw = fields.text("/action");
    event.version = fields.text("/tag");
    event.sha = fields.sha("/commit/id");
    event.finished_at = fields.time("/released_at", &mut event);
    event.created_at = fields.time("/created_at", &mut event);
    event.url = fields.url("/url");
    event.title = fields.text("/name");
    Ok(event)
}

fn pipeline(fields: &Fields<'_>) -> Result<Vec<Event>, EventError> {
    let of = fields.at("/object_attributes");
    let mut run = event(fields, EventKind::PipelineRun);
    let id = of.id("/id")?;
    run.external_id = Some(id.clone());
    run.pipeline = of.text("/name").or_else(|| run.repo.clone());
    run.sha = of.sha("/sha");
    run.reference = of.text("/ref");
    run.version = run.reference.clone().filter(|_| of.is_true("/tag"));
    run.url = of.url("/url");
    run.title = fields.first_line("/commit/message");
    let status = status_of(of.word("/status"));
    (run.status, run.status_raw) = (Some(status), of.text("/status"));
    run.created_at = of.time("/created_at", &mut run);
    run.started_at = run.created_at;
    run.finished_at = of.time("/finished_at", &mut run).filter(|_| status.is_terminal());
    run.occurred_at = run.finished_at.or(run.started_at);
    // A job that is tried again days later ends the pipeline then, and most of the days nothing worked.
    run.seconds = of.number("/duration").filter(|seconds| *seconds >= 0 && run.finished_at.is_some());
    let jobs: Vec<Event> = fields.list("/builds").take(LIST_MAX).filter_map(|job| job_of(&run, &id, &job)).collect();
    Ok(std::iter::once(run).chain(jobs).chain(fields.beyond("/builds", "jobs", LIST_MAX)).collect())
}

// A job that puts something into an environment, or takes one away; any other once it has run, for what it took.
fn job_of(run: &Event, pipeline_id: &str, job: &Fields<'_>) -> Option<Event> {
    let status = status_of(job.word("/status"));
    let environment = job.text("/environment/name");
    match (&environment, job.word("/environment/action")) {
        (None, _) | (Some(_), "" | "start") => {}
        (Some(environment), "stop") if status == Status::Succeeded => return Some(stop_of(run, environment, job)),
        // What prepares, checks or enters an environment changes nothing of it, nor does a stop that is not done.
        _ => return None,
    }
    let mut event = Event {
        external_id: Some(joined(&[pipeline_id, "jobs", &job.text("/id")?])),
        environment,
        environment_kind: job.text("/environment/deployment_tier"),
        status: Some(status),
        status_raw: job.text("/status"),
        actor: job.text("/user/username").or_else(|| run.actor.clone()),
        seconds: None,
        ..run.clone()
    };
    event.created_at = job.time("/created_at", &mut event);
    event.started_at = job.time("/started_at", &mut event);
    event.finished_at = job.time("/finished_at", &mut event).filter(|_| status.is_terminal());
    event.occurred_at = event.finished_at.or(event.started_at).or(event.created_at);
    if event.environment.is_none() && (event.started_at.is_none() || event.finished_at.is_none()) {
        return None;
    }
    job.keep("job", "/name", &mut event);
    job.keep("stage", "/stage", &mut event);
    event.keep_job_of(pipeline_id, job.list("/runner/tags").filter_map(|tag| tag.text("")));
    Some(event)
}

fn stop_of(run: &Event, environment: &str, job: &Fields<'_>) -> Event {
    let by = job.text("/user/username").or_else(|| run.actor.clone());
    let mut event = stopped(run.repo.clone(), environment.to_owned());
    (event.repo_url, event.actor, event.url) = (run.repo_url.clone(), by, run.url.clone());
    event.environment_kind = job.text("/environment/deployment_tier");
    event.occurred_at = Some(job.needed_time("/finished_at", &mut event));
    job.keep("job", "/name", &mut event);
    event
}

// One environment of a project is one thing, however often it is stopped and started again.
fn stopped(repo: Option<String>, environment: String) -> Event {
    Event {
        kind: EventKind::Environment,
        object_key: Some(joined(&["environment", repo.as_deref().unwrap_or_default(), &environment])),
        status_raw: Some(STOPPED.into()),
        title: Some(format!("{environment} was stopped")),
        repo,
        environment: Some(environment),
        ..Event::default()
    }
}

// The pipeline's own event tells of its jobs with more beside each. A stop may come days after it, in a job alone.
fn job(fields: &Fields<'_>) -> Result<Event, EventError> {
    let is_stop = fields.word("/environment/action") == "stop";
    let Some(environment) = fields.text("/environment/name").filter(|_| is_stop) else {
        return Ok(fields.ignored("jobs are read from pipeline events; only one that stops an environment counts"));
    };
    if status_of(fields.word("/build_status")) != Status::Succeeded {
        return Ok(fields.ignored("an environment is stopped once the job that stops it has succeeded"));
    }
    let of = event(fields, EventKind::Environment);
    let mut event = Event { repo_url: of.repo_url, actor: of.actor, ..stopped(of.repo, environment) };
    event.environment_kind = fields.text("/environment/deployment_tier");
    event.external_id = Some(fields.id("/build_id")?);
    event.occurred_at = Some(fields.needed_time("/build_finished_at", &mut event));
    fields.keep("job", "/build_name", &mut event);
    Ok(event)
}

// Stopped by hand or by its time, where there is no job that does it.
fn environment_of_api(fields: &Fields<'_>) -> Event {
    let mut event = stopped(fields.name("/project/path_with_namespace"), fields.text("/name").unwrap_or_default());
    event.external_id = fields.text("/id");
    event.repo_url = fields.url("/project/web_url");
    event.environment_kind = fields.text("/tier");
    event.environment_url = fields.url("/external_url");
    event.occurred_at = Some(fields.needed_time("/updated_at", &mut event));
    event
}

// Neither an environment nor a time is told.
fn feature_flag(fields: &Fields<'_>) -> Result<Event, EventError> {
    let mut event = event(fields, EventKind::FeatureFlag);
    let id = fields.id("/object_attributes/id")?;
    event.flag = fields.name("/object_attributes/name");
    event.status_raw = Some(if fields.is_true("/object_attributes/active") { "on" } else { "off" }.into());
    event.title = event.flag.clone();
    event.url = fields.url("/project/web_url").map(|page| format!("{page}/-/feature_flags"));
    event.occurred_at = Some(fields.received_at);
    event.time_is_received = true;
    event.object_key = Some(joined(&[&id, &fields.received_at.timestamp_micros().to_string()]));
    event.external_id = Some(id);
    Ok(event)
}

// GitLab lists the newest twenty commits of a push, and says how many there are.
fn commits_left_out(fields: &Fields<'_>) -> Option<Event> {
    let listed = fields.list("/commits").count();
    let all = fields.number("/total_commits_count").and_then(|count| usize::try_from(count).ok());
    fields.commits_left_out(all.is_some_and(|all| all > listed))
}

fn push(fields: &Fields<'_>) -> Event {
    let Some(sha) = fields.sha("/after") else {
        return Event {
            repo: fields.name("/project/path_with_namespace"),
            ..fields.ignored("a branch or tag was deleted")
        };
    };
    let mut event = event(fields, EventKind::Push);
    event.reference = fields.text("/ref");
    let branch = event.reference.as_ref().and_then(|name| name.strip_prefix("refs/heads/"));
    event.is_default_branch = branch.is_some() && branch == fields.text("/project/default_branch").as_deref();
    let repo = event.repo.clone();
    let commit = |commit: Fields<'_>| {
        Some(Commit {
            repo: repo.clone()?,
            sha: commit.sha("/id")?,
            title: commit.first_line("/message"),
            author: commit.text("/author/name"),
            happened_at: clean::time(&commit.root["timestamp"], commit.received_at).map(|(time, _)| time),
            url: commit.url("/url"),
            reverts: reverted(commit.word("/message"), repo.as_deref()),
        })
    };
    event.commits = fields.list("/commits").take(LIST_MAX).filter_map(commit).collect();
    event.finished_at = event.commits.iter().filter_map(|commit| commit.happened_at).max();
    event.time_is_received = event.finished_at.is_none();
    event.occurred_at = event.finished_at.or(Some(fields.received_at));
    event.url = event.commits.iter().find(|commit| commit.sha == sha).and_then(|commit| commit.url.clone());
    event.title = event.commits.last().and_then(|commit| commit.title.clone());
    event.sha = Some(sha);
    event
}

fn merge_request(fields: &Fields<'_>) -> Result<Event, EventError> {
    let of = fields.at("/object_attributes");
    let state = match of.word("/state") {
        "merged" => "merged",
        "closed" => "abandoned",
        _ => return Ok(fields.ignored("a merge request counts once it is merged or closed")),
    };
    let mut event = event(fields, EventKind::Change);
    let number = of.id("/iid")?;
    event.external_id = Some(format!("{}!{number}", event.repo.as_deref().unwrap_or_default()));
    event.status_raw = Some(state.into());
    let merged =
        of.sha("/merge_commit_sha").or_else(|| of.sha("/squash_commit_sha")).or_else(|| of.sha("/last_commit/id"));
    event.sha = merged.filter(|_| state == "merged");
    event.reference = of.text("/target_branch");
    event.created_at = of.time("/created_at", &mut event);
    let ended = of.time("/merged_at", &mut event).or_else(|| of.time("/closed_at", &mut event));
    // A webhook may say only when the request was changed last: of several that tell of the merge, the first was it.
    event.finished_at = Some(ended.unwrap_or_else(|| of.needed_time("/updated_at", &mut event)));
    event.occurred_at = of.real_time("/updated_at").max(event.finished_at);
    event.url = of.url("/url");
    event.title = of.text("/title");
    event.reverts = reverted(of.word("/description"), event.repo.as_deref());
    // A webhook tells each with its title, the API lists titles.
    let mut labels = of.list("/labels").chain(fields.list("/labels"));
    event.is_hotfix = labels.any(|label| is_hotfix(label.word("/title")) || is_hotfix(label.word("")));
    Ok(event)
}

// `updated_at` moves when a later deployment takes this one's place, so that the times are those of the job.
fn deployment_of_api(fields: &Fields<'_>) -> Result<Event, EventError> {
    let mut event = Event { kind: EventKind::Deployment, ..Event::default() };
    event.external_id = Some(fields.id("/id")?);
    event.repo = project_of(fields);
    event.environment = fields.text("/environment/name");
    event.environment_kind = fields.text("/environment/tier");
    event.environment_url = fields.url("/environment/external_url");
    let status = status_of(fields.word("/status"));
    (event.status, event.status_raw) = (Some(status), fields.text("/status"));
    event.sha = fields.sha("/sha");
    event.reference = fields.text("/ref");
    event.created_at = fields.time("/created_at", &mut event);
    event.started_at = fields.time("/deployable/started_at", &mut event);
    event.finished_at = fields.time("/deployable/finished_at", &mut event).filter(|_| status.is_terminal());
    event.occurred_at = event.finished_at.or(event.started_at).or(event.created_at);
    if event.occurred_at.is_none() {
        event.occurred_at = Some(fields.needed_time("/updated_at", &mut event));
    }
    event.url = fields.url("/deployable/web_url");
    event.actor = fields.text("/user/username");
    event.title = fields.text("/deployable/commit/title");
    fields.keep("job", "/deployable/name", &mut event);
    fields.keep("stage", "/deployable/stage", &mut event);
    Ok(event)
}

// The API's row does not name its project unless whoever asked put it there; the addresses in it do.
fn project_of(fields: &Fields<'_>) -> Option<String> {
    if let Some(project) = fields.name("/project/path_with_namespace") {
        return Some(project);
    }
    let page = fields.url("/deployable/web_url").or_else(|| fields.url("/deployable/pipeline/web_url"))?;
    let (_, path) = page.split_once("://")?.1.split_once('/')?;
    clean::id(path.split_once("/-/")?.0)
}

/// The sender's name of the event, for the list of deliveries.
pub(super) fn event_name(headers: &Headers, root: &Value) -> Option<String> {
    root.get("object_kind").and_then(Value::as_str).or_else(|| headers.get(EVENT_HEADER)).and_then(clean::text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// It began on Monday, and its last job was tried again on Wednesday.
    #[test]
    fn a_pipeline_took_as_long_as_it_worked() {
        let body = |status: &str| {
            json!({"object_kind": "pipeline", "project": {"path_with_namespace": "acme/shop"},
                "object_attributes": {"id": 31, "status": status, "duration": 63, "created_at": "2026-02-23 10:00:00 UTC",
                    "finished_at": "2026-02-25 10:00:00 UTC"},
                "builds": [{"id": 7, "name": "build", "status": "success", "started_at": "2026-02-25 09:59:00 UTC",
                    "finished_at": "2026-02-25 10:00:00 UTC"}]})
        };
        let read = |status: &str| {
            let body = body(status);
            read(&Headers::default(), Fields::new(&body, "2026-03-01T12:00:00Z".parse().unwrap())).unwrap()
        };
        let events = read("success");
        assert_eq!(events.iter().map(|event| event.seconds).collect::<Vec<_>>(), [Some(63), None]);
        assert_eq!(read("running")[0].seconds, None);
    }

    #[test]
    fn commits_that_gitlab_leaves_out_are_told() {
        let events = |total: u64| {
            let sha = "82b3d5ae55f7080f1e6022629cdb57bfae7cccc7";
            let body = json!({"object_kind": "push", "after": sha, "ref": "refs/heads/main",
                "project": {"path_with_namespace": "acme/shop"},
                "commits": [{"id": sha, "message": "One", "timestamp": "2026-02-25T10:00:00Z"}],
                "total_commits_count": total});
            read(&Headers::default(), Fields::new(&body, "2026-03-01T12:00:00Z".parse().unwrap())).unwrap()
        };
        assert_eq!(events(1).len(), 1);
        let events = events(31);
        let told = events[1].reason.as_deref().unwrap();
        assert_eq!((events.len(), events[1].kind), (2, EventKind::Ignore));
        assert!(told.starts_with("the sender names 1 of the commits"), "{told}");
    }

    #[test]
    fn jobs_beyond_those_that_are_read_are_told() {
        let events = |count: usize| {
            let jobs: Vec<Value> = (0..count)
                .map(|id| json!({"id": id, "status": "running", "environment": {"name": "production"}}))
                .collect();
            let body = json!({"object_kind": "pipeline", "project": {"path_with_namespace": "acme/shop"},
                "object_attributes": {"id": 31, "status": "running"}, "builds": jobs});
            read(&Headers::default(), Fields::new(&body, "2026-03-01T12:00:00Z".parse().unwrap())).unwrap()
        };
        assert_eq!(events(LIST_MAX).len(), LIST_MAX + 1);
        let events = events(LIST_MAX + 2);
        let last = events.last().unwrap();
        assert_eq!((events.len(), last.kind), (LIST_MAX + 2, EventKind::Unreadable));
        assert_eq!(last.reason.as_deref(), Some("jobs 1001 to 1002: at most 1000 are read of one delivery"));
    }
}
