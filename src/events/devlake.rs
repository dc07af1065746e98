//! Deployments as they are posted to Apache DevLake's webhook: one deployment, many commits in many repositories.

use super::fields::{Fields, status_of, unreadable};
use super::{Commit, Event, EventError, EventKind, clean};

const COMMITS_MAX: usize = 1000;

/// Reads one body. Environment and result are never made up, as DevLake does.
pub(super) fn read(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    if fields.has("/issue_key") || fields.has("/issueKey") {
        return Ok(vec![fields.ignored("incidents are taken from the incident's own sender")]);
    }
    let mut event = Event { kind: EventKind::Deployment, ..Event::default() };
    event.external_id =
        Some(either(&fields, "/id", "/pipeline_id", |f, p| f.id(p).ok()).map_or_else(|| fields.id("/id"), Ok)?);
    event.environment = either(&fields, "/originalEnvironment", "/environment", |f, p| f.text(p));
    event.environment_kind = fields.text("/environment").map(|kind| kind.to_lowercase());
    if event.environment.is_none() {
        return Err(EventError::Unfit("environment is missing".into()));
    }
    let status = status_of(fields.word("/result"));
    (event.status, event.status_raw) = (Some(status), fields.text("/result"));
    event.title = either(&fields, "/displayTitle", "/display_title", |f, p| f.text(p)).or_else(|| fields.text("/name"));
    event.created_at = moment(&fields, ["/createdDate", "/create_time"], &mut event);
    event.started_at = moment(&fields, ["/startedDate", "/start_time"], &mut event);
    event.finished_at = moment(&fields, ["/finishedDate", "/end_time"], &mut event).filter(|_| status.is_terminal());
    event.occurred_at = event.finished_at.or(event.started_at).or(event.created_at);
    if event.occurred_at.is_none() {
        (event.occurred_at, event.time_is_received) = (Some(fields.received_at), true);
    }
    event.url = fields.url("/url");
    let list = if fields.has("/deploymentCommits") { "/deploymentCommits" } else { "/deployment_commits" };
    event.commits = fields.list(list).take(COMMITS_MAX).filter_map(|of| commit(&of)).collect();
    let name = fields.list(list).find_map(|of| either(&of, "/refName", "/ref_name", |f, p| f.text(p)));
    (event.version, event.reference) = (name.clone(), name);
    if let [only] = event.commits.as_slice() {
        (event.repo, event.sha) = (Some(only.repo.clone()), Some(only.sha.clone()));
    }
    let unread = unread(&fields, list, event.commits.len());
    Ok(std::iter::once(event).chain(unread).chain(fields.beyond(list, "commits", COMMITS_MAX)).collect())
}

// What stands beside the deployment for commits of which it is not known where they are.
fn unread(fields: &Fields<'_>, list: &str, read_count: usize) -> Option<Event> {
    let count = fields.list(list).take(COMMITS_MAX).count();
    let unread_count = count - read_count;
    (unread_count > 0)
        .then(|| unreadable(&format!("{unread_count} of {count} commits: without a repository or a commit's hash")))
}

fn commit(of: &Fields<'_>) -> Option<Commit> {
    Some(Commit {
        repo: either(of, "/repoUrl", "/repo_url", |f, p| f.text(p)).map(|repo| clean::url(&repo).unwrap_or(repo))?,
        sha: either(of, "/commitSha", "/commit_sha", |f, p| f.text(p))?.to_ascii_lowercase(),
        title: either(of, "/commitMsg", "/commit_msg", |f, p| f.first_line(p)),
        ..Commit::default()
    })
}

// Newer bodies are written in camel case, older ones in snake case.
fn either<T>(of: &Fields<'_>, new: &str, old: &str, read: impl Fn(&Fields<'_>, &str) -> Option<T>) -> Option<T> {
    read(of, new).or_else(|| read(of, old))
}

fn moment(fields: &Fields<'_>, names: [&str; 2], event: &mut Event) -> Option<chrono::DateTime<chrono::Utc>> {
    names.into_iter().find_map(|name| fields.time(name, event))
}
