//! Azure DevOps service hooks: stage of a pipeline, run, build, classic release, pull request, push.
//!
//! A stage is a deployment whose environment only a rule can tell: its name is "Deploy" as often as "production".

use super::change_text::reverted_commits;
use super::fields::{Fields, joined, status_of};
use super::{Commit, Event, EventError, EventKind, Status, clean};

const COMMITS_MAX: usize = 1000;

/// Reads one service hook.
pub(super) fn read(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    let of = fields.at("/resource");
    Ok(vec![match fields.word("/eventType") {
        "ms.vss-pipelines.stage-state-changed-event" => stage(&of)?,
        "ms.vss-pipelines.run-state-changed-event" => run(&of)?,
        "build.complete" => build(&of)?,
        "ms.vss-release.deployment-started-event" => classic(&fields, &of, Some(Status::InProgress))?,
        "ms.vss-release.deployment-completed-event" => classic(&fields, &of, None)?,
        "git.pullrequest.merged" | "git.pullrequest.updated" => pull_request(&of)?,
        "git.push" => push(&of),
        "" => return Err(EventError::Unfit("eventType is missing: this is no service hook of Azure DevOps".into())),
        other => fields.ignored(&format!("\"{other}\" events are not used; deselect them in the service hook")),
    }])
}

fn stage(of: &Fields<'_>) -> Result<Event, EventError> {
    let mut event = Event { kind: EventKind::Deployment, ..Event::default() };
    let run_id = of.id("/run/id").or_else(|_| of.id("/runId"))?;
    let attempt = of.number("/stage/attempt").unwrap_or(1);
    event.external_id = Some(joined(&[&run_id, &of.id("/stage/id")?, &attempt.to_string()]));
    event.service_hint = of.text("/run/pipeline/name").or_else(|| of.text("/pipeline/name"));
    event.pipeline = event.service_hint.clone();
    let (state, result) = (of.word("/stage/state"), of.word("/stage/result"));
    let status = if state == "completed" { status_of(result) } else { status_of(state) };
    event.status = Some(status);
    event.status_raw = clean::text(if state == "completed" { result } else { state });
    event.repo = of.name("/run/resources/repositories/self/repository/fullName");
    event.repo = event.repo.or_else(|| of.name("/run/resources/repositories/self/repository/id"));
    event.sha = of.sha("/run/resources/repositories/self/version");
    event.reference = of.text("/run/resources/repositories/self/refName");
    event.version = of.text("/run/name");
    event.created_at = of.time("/run/createdDate", &mut event);
    event.started_at = of.time("/stage/startTime", &mut event);
    event.finished_at = of.time("/stage/finishTime", &mut event).filter(|_| status.is_terminal());
    event.occurred_at = event.finished_at.or(event.started_at).or(event.created_at);
    event.url = of.url("/stage/_links/web/href").or_else(|| of.url("/run/_links/web/href"));
    event.title = of.text("/stage/displayName");
    of.keep("stage", "/stage/name", &mut event);
    of.keep("project", "/projectId", &mut event);
    Ok(event)
}

fn run(of: &Fields<'_>) -> Result<Event, EventError> {
    let mut event = Event { kind: EventKind::PipelineRun, ..Event::default() };
    event.external_id = Some(of.id("/run/id").or_else(|_| of.id("/runId"))?);
    event.pipeline = of.text("/pipeline/name").or_else(|| of.text("/run/pipeline/name"));
    event.service_hint.clone_from(&event.pipeline);
    let (state, result) = (of.word("/run/state"), of.word("/run/result"));
    let status = if state == "completed" { status_of(result) } else { status_of(state) };
    event.status = Some(status);
    event.status_raw = clean::text(if state == "completed" { result } else { state });
    event.repo = of.name("/run/resources/repositories/self/repository/id");
    event.sha = of.sha("/run/resources/repositories/self/version");
    event.reference = of.text("/run/resources/repositories/self/refName");
    event.version = of.text("/run/name");
    event.started_at = of.time("/run/createdDate", &mut event);
    event.finished_at = of.time("/run/finishedDate", &mut event).filter(|_| status.is_terminal());
    event.occurred_at = event.finished_at.or(event.started_at);
    event.url = of.url("/run/_links/web/href").or_else(|| of.url("/run/url"));
    Ok(event)
}

// Old builds say "succeeded" as their status, newer ones "completed" and a result beside it.
fn build(of: &Fields<'_>) -> Result<Event, EventError> {
    let mut event = Event { kind: EventKind::PipelineRun, ..Event::default() };
    event.external_id = Some(of.id("/id")?);
    event.pipeline = of.text("/definition/name");
    event.service_hint.clone_from(&event.pipeline);
    let (state, result) = (of.word("/status"), of.word("/result"));
    let word = if result.is_empty() { state } else { result };
    let status = status_of(word);
    (event.status, event.status_raw) = (Some(status), clean::text(word));
    event.repo = of.name("/repository/name").or_else(|| of.name("/repository/id"));
    // "LG:refs/heads/main:<hash>".
    let mut source = of.word("/sourceGetVersion").splitn(3, ':').skip(1);
    let (branch, hash) = (source.next(), source.next());
    event.reference = of.text("/sourceBranch").or_else(|| branch.and_then(clean::text));
    event.sha = of.sha("/sourceVersion").or_else(|| hash.and_then(clean::sha));
    event.version = of.text("/buildNumber");
    event.started_at = of.time("/startTime", &mut event);
    event.finished_at = of.time("/finishTime", &mut event).filter(|_| status.is_terminal());
    event.occurred_at = event.finished_at.or(event.started_at);
    event.url = of.url("/_links/web/href").or_else(|| of.url("/url"));
    event.actor = of.text("/requestedFor/displayName").or_else(|| of.text("/requests/0/requestedFor/displayName"));
    Ok(event)
}

fn classic(fields: &Fields<'_>, of: &Fields<'_>, told: Option<Status>) -> Result<Event, EventError> {
    let mut event = Event { kind: EventKind::Deployment, ..Event::default() };
    event.external_id = Some(joined(&["release", &of.id("/environment/id")?]));
    event.environment = of.text("/environment/name");
    event.service_hint =
        of.text("/environment/releaseDefinition/name").or_else(|| of.text("/release/releaseDefinition/name"));
    event.pipeline.clone_from(&event.service_hint);
    let status = told.unwrap_or_else(|| status_of(of.word("/environment/status")));
    (event.status, event.status_raw) = (Some(status), of.text("/environment/status"));
    event.version = of.text("/environment/release/name").or_else(|| of.text("/release/name"));
    let at = fields.needed_time("/createdDate", &mut event);
    event.occurred_at = Some(at);
    event.started_at = (status == Status::InProgress).then_some(at);
    event.finished_at = status.is_terminal().then_some(at);
    event.url = of.url("/environment/release/_links/web/href").or_else(|| of.url("/release/_links/web/href"));
    event.actor = of.text("/environment/owner/displayName");
    of.keep("project", "/project/name", &mut event);
    Ok(event)
}

// "merged" is sent for each merge that is tried; only a completed request is a change.
fn pull_request(of: &Fields<'_>) -> Result<Event, EventError> {
    let state = match of.word("/status") {
        "completed" => "merged",
        "abandoned" => "abandoned",
        _ => return Ok(of.ignored("a pull request counts once it is completed or abandoned")),
    };
    let mut event = Event { kind: EventKind::Change, ..Event::default() };
    event.external_id = Some(of.id("/pullRequestId")?);
    event.repo = of.name("/repository/name");
    event.repo_url = of.url("/repository/remoteUrl");
    event.status_raw = Some(state.into());
    event.sha = of.sha("/lastMergeCommit/commitId").filter(|_| state == "merged");
    event.reference = of.text("/targetRefName");
    event.created_at = of.time("/creationDate", &mut event);
    event.finished_at = Some(of.needed_time("/closedDate", &mut event));
    event.occurred_at = event.finished_at;
    event.url = of.url("/_links/web/href").or_else(|| of.url("/url"));
    event.actor = of.text("/createdBy/displayName");
    event.title = of.text("/title");
    event.reverts = reverted_commits(of.word("/description"));
    Ok(event)
}

fn push(of: &Fields<'_>) -> Event {
    let mut event = Event { kind: EventKind::Push, ..Event::default() };
    let Some(sha) = of.sha("/refUpdates/0/newObjectId") else { return of.ignored("a branch or tag was deleted") };
    event.sha = Some(sha);
    event.repo = of.name("/repository/name");
    event.repo_url = of.url("/repository/remoteUrl");
    event.reference = of.text("/refUpdates/0/name");
    event.is_default_branch = event.reference.is_some() && event.reference == of.text("/repository/defaultBranch");
    event.finished_at = Some(of.needed_time("/date", &mut event));
    event.occurred_at = event.finished_at;
    event.actor = of.text("/pushedBy/displayName");
    let repo = event.repo.clone();
    let commit = |commit: Fields<'_>| {
        Some(Commit {
            repo: repo.clone()?,
            sha: commit.sha("/commitId")?,
            title: commit.first_line("/comment"),
            author: commit.text("/author/name"),
            happened_at: commit.real_time("/author/date"),
            url: commit.url("/url"),
            reverts: reverted_commits(commit.word("/comment")),
        })
    };
    event.commits = of.list("/commits").take(COMMITS_MAX).filter_map(commit).collect();
    event.title = event.commits.first().and_then(|commit| commit.title.clone());
    event
}
