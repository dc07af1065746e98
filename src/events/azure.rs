//! Azure DevOps service hooks: stage of a pipeline, run, build, classic release, pull request, push.
//!
//! A stage is a deployment whose environment only a rule can tell: its name is "Deploy" as often as "production".

use super::change_text::reverted;
use super::fields::{Fields, joined, status_of};
use super::{Commit, Event, EventError, EventKind, Status, clean};
use crate::focus::repository_name;

const LIST_MAX: usize = 1000;

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
        "git.push" => return Ok(pushes(&of)),
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
    read_source(of, &mut event);
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
    read_source(of, &mut event);
    event.version = of.text("/run/name");
    event.started_at = of.time("/run/createdDate", &mut event);
    event.finished_at = of.time("/run/finishedDate", &mut event).filter(|_| status.is_terminal());
    event.occurred_at = event.finished_at.or(event.started_at);
    event.url = of.url("/run/_links/web/href").or_else(|| of.url("/run/url"));
    Ok(event)
}

// What was built. The run knows its repository by a number, and the list beside it by an address.
fn read_source(of: &Fields<'_>, event: &mut Event) {
    let own = of.at("/run/resources/repositories/self");
    let id = own.name("/repository/id");
    let is_own = |one: &Fields<'_>| one.word("/alias") == "self" || (id.is_some() && one.name("/id") == id);
    event.repo_url = of.list("/repositories").find(is_own).and_then(|one| one.url("/url"));
    let named = own.name("/repository/fullName").or_else(|| repository_name(event.repo_url.as_deref()?));
    event.repo = named.or(id);
    event.sha = own.sha("/version");
    event.reference = own.text("/refName");
}

// The repository that a change or build names, by the key that stages have it under: `project/name`, for the name alone
// is another one in each project. Without an address, project and name stand in for it as it writes them.
fn read_repository(of: &Fields<'_>, project: &str, event: &mut Event) {
    // That of the API names a number.
    let page = |pointer: &str| of.url(pointer).filter(|url| !url.contains("/_apis/"));
    event.repo_url = page("/repository/remoteUrl").or_else(|| page("/repository/url"));
    let (id, name) = (of.name("/repository/id"), of.name("/repository/name"));
    let of_project = || Some(format!("{}/{}", of.name(project)?, name.as_deref()?).replace(' ', "%20"));
    let key = match &event.repo_url {
        Some(url) => repository_name(url),
        None => name.clone().filter(|name| name.contains('/')).or_else(|| clean::id(&of_project()?)),
    };
    event.repo = key.or(id).or(name);
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
    read_repository(of, "/project/name", &mut event);
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
    read_repository(of, "/repository/project/name", &mut event);
    event.status_raw = Some(state.into());
    event.sha = of.sha("/lastMergeCommit/commitId").filter(|_| state == "merged");
    event.reference = of.text("/targetRefName");
    event.created_at = of.time("/creationDate", &mut event);
    event.finished_at = Some(of.needed_time("/closedDate", &mut event));
    event.occurred_at = event.finished_at;
    event.url = of.url("/_links/web/href").or_else(|| of.url("/url"));
    event.actor = of.text("/createdBy/displayName");
    event.title = of.text("/title");
    event.reverts = reverted(of.word("/description"), event.repo.as_deref());
    Ok(event)
}

// Each branch or tag is a push of its own. The list of commits does not say to which of them one belongs: it counts once,
// with the default branch where that is among them.
fn pushes(of: &Fields<'_>) -> Vec<Event> {
    let mut events: Vec<Event> = of.list("/refUpdates").take(LIST_MAX).map(|update| push(of, &update)).collect();
    if events.is_empty() {
        events.push(of.ignored("no branch or tag is named"));
    }
    events.sort_by_key(|event| (event.kind != EventKind::Push, !event.is_default_branch));
    if let Some(event) = events.first_mut().filter(|event| event.kind == EventKind::Push) {
        event.commits = commits(of, event.repo.as_deref());
        event.title = event.commits.first().and_then(|commit| commit.title.clone());
    }
    events.extend(of.beyond("/refUpdates", "branches and tags", LIST_MAX));
    events.extend(of.beyond("/commits", "commits", LIST_MAX));
    events
}

fn push(of: &Fields<'_>, update: &Fields<'_>) -> Event {
    let mut event = Event { kind: EventKind::Push, ..Event::default() };
    let Some(sha) = update.sha("/newObjectId") else { return of.ignored("a branch or tag was deleted") };
    event.sha = Some(sha);
    read_repository(of, "/repository/project/name", &mut event);
    event.reference = update.text("/name");
    event.is_default_branch = event.reference.is_some() && event.reference == of.text("/repository/defaultBranch");
    event.finished_at = Some(of.needed_time("/date", &mut event));
    event.occurred_at = event.finished_at;
    event.actor = of.text("/pushedBy/displayName");
    event
}

fn commits(of: &Fields<'_>, repo: Option<&str>) -> Vec<Commit> {
    let commit = |commit: Fields<'_>| {
        Some(Commit {
            repo: repo?.to_owned(),
            sha: commit.sha("/commitId")?,
            title: commit.first_line("/comment"),
            author: commit.text("/author/name"),
            happened_at: commit.real_time("/author/date"),
            url: commit.url("/url"),
            reverts: reverted(commit.word("/comment"), repo),
        })
    };
    of.list("/commits").take(LIST_MAX).filter_map(commit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NUMBER: &str = "487e28f0-8046-41cf-8eee-a566eeca25e3";

    fn repo_of(kind: &str, resource: Value) -> Option<String> {
        let body = json!({"eventType": kind, "resource": resource});
        let read = read(Fields::new(&body, "2026-03-01T12:00:00Z".parse().unwrap())).unwrap();
        for commit in &read[0].commits {
            assert_eq!(Some(&commit.repo), read[0].repo.as_ref());
        }
        read[0].repo.clone()
    }

    fn run_of(repositories: Value) -> Value {
        json!({"run": {"id": 1, "resources": {"repositories": {"self": {"repository": {"id": NUMBER}}}}},
            "stage": {"id": "s", "state": "completed", "result": "succeeded"}, "repositories": repositories})
    }

    #[test]
    fn a_repository_has_one_key_whatever_tells_of_it() {
        let address = "https://acme@dev.azure.com/acme/Web%20Shop/_git/api";
        let listed = json!([{"alias": "lib", "id": "other", "url": "https://dev.azure.com/acme/ci/_git/lib"},
            {"alias": "self", "id": NUMBER, "url": address}]);
        let api = format!("https://dev.azure.com/acme/_apis/git/repositories/{NUMBER}");
        let told = |more: Value| {
            let mut repository = json!({"id": NUMBER, "name": "api", "url": api, "project": {"name": "Web Shop"}});
            repository.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            repository
        };
        let sha = "a".repeat(40);
        for repository in [told(json!({"remoteUrl": address})), told(json!({}))] {
            let request = json!({"pullRequestId": 7, "status": "completed", "repository": repository});
            let push = json!({"refUpdates": [{"name": "refs/heads/main", "newObjectId": sha}], "repository": repository,
                "commits": [{"commitId": sha}]});
            let build = json!({"id": 3, "status": "completed", "result": "succeeded", "project": {"name": "Web Shop"},
                "repository": repository});
            for (kind, resource) in [
                ("ms.vss-pipelines.stage-state-changed-event", run_of(listed.clone())),
                ("ms.vss-pipelines.run-state-changed-event", run_of(listed.clone())),
                ("git.pullrequest.merged", request),
                ("git.push", push),
                ("build.complete", build),
            ] {
                assert_eq!(repo_of(kind, resource).as_deref(), Some("Web%20Shop/api"), "{kind}");
            }
        }
    }

    #[test]
    fn each_branch_of_a_push_is_read() {
        let of_push = |updates: Value| {
            let resource = json!({"refUpdates": updates, "commits": [{"commitId": "c".repeat(40), "comment": "Mend it"}],
                "repository": {"id": NUMBER, "name": "acme/shop", "defaultBranch": "refs/heads/main"}});
            let body = json!({"eventType": "git.push", "resource": resource});
            let events = read(Fields::new(&body, "2026-03-01T12:00:00Z".parse().unwrap())).unwrap();
            let told = |event: &Event| {
                (event.kind, event.reference.clone().unwrap_or_default(), event.is_default_branch, event.commits.len())
            };
            (events.iter().map(told).collect::<Vec<_>>(), events.last().unwrap().reason.clone())
        };
        let update = |name: &str, digit: &str| json!({"name": name, "newObjectId": digit.repeat(40)});
        let (old, tag) = (update("refs/heads/old", "0"), update("refs/tags/v1", "b"));
        let (told, _) = of_push(json!([old, tag, update("refs/heads/main", "a")]));
        let expected = [
            (EventKind::Push, "refs/heads/main".to_owned(), true, 1),
            (EventKind::Push, "refs/tags/v1".to_owned(), false, 0),
            (EventKind::Ignore, String::new(), false, 0),
        ];
        assert_eq!(told, expected);
        assert_eq!(of_push(json!([tag])).0, [(EventKind::Push, "refs/tags/v1".to_owned(), false, 1)]);
        let deleted =
            (vec![(EventKind::Ignore, String::new(), false, 0)], Some("a branch or tag was deleted".to_owned()));
        assert_eq!(of_push(json!([old])), deleted);
        let many: Vec<Value> = (0..=LIST_MAX).map(|number| update(&format!("refs/heads/{number}"), "a")).collect();
        let (told, reason) = of_push(json!(many));
        assert_eq!(told.len(), LIST_MAX + 1);
        let cut = "branches and tags 1001 to 1001: at most 1000 are read of one delivery";
        assert_eq!(reason.as_deref(), Some(cut));
    }

    #[test]
    fn without_an_address_the_number_is_the_key() {
        let stage = |listed: Value| repo_of("ms.vss-pipelines.stage-state-changed-event", run_of(listed));
        assert_eq!(stage(json!(null)).as_deref(), Some(NUMBER));
        assert_eq!(stage(json!([{"alias": "self", "url": "javascript://x"}])).as_deref(), Some(NUMBER));
        let request = json!({"pullRequestId": 7, "status": "completed", "repository": {"id": NUMBER, "name": "api"}});
        assert_eq!(repo_of("git.pullrequest.merged", request).as_deref(), Some(NUMBER));
        let github = json!({"id": 3, "status": "completed", "repository": {"id": "acme/shop", "name": "acme/shop"}});
        assert_eq!(repo_of("build.complete", github).as_deref(), Some("acme/shop"));
    }
}
