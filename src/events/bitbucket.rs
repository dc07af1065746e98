//! Bitbucket: webhooks for build statuses, pull requests and pushes; and deployments as its API lists them, for
//! Bitbucket sends no webhook about deployments.

use super::change_text::reverted;
use super::fields::{Fields, joined, status_of};
use super::{Commit, Event, EventError, EventKind, Headers, Status, clean};

const EVENT_HEADER: &str = "x-event-key";
const LIST_MAX: usize = 1000;

/// Reads one webhook, one deployment of the API, or a page of these.
pub(super) fn read(headers: &Headers, fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    if fields.root.is_array() {
        return fields.read_each("", LIST_MAX, deployment);
    }
    if fields.has("/values") {
        return fields.read_each("/values", LIST_MAX, deployment);
    }
    if fields.word("/type") == "deployment" || (fields.has("/uuid") && fields.has("/release")) {
        return Ok(vec![deployment(&fields)?]);
    }
    let name = headers.get(EVENT_HEADER).unwrap_or_else(|| infer(&fields));
    Ok(match name {
        "repo:commit_status_created" | "repo:commit_status_updated" => vec![commit_status(&fields)?],
        // The documented sample holds all states at once: the event's name decides.
        "pullrequest:fulfilled" => vec![pull_request(&fields, "merged")?],
        "pullrequest:rejected" => vec![pull_request(&fields, "abandoned")?],
        "repo:push" => pushes(&fields),
        other => vec![fields.ignored(&format!("\"{other}\" events are not used; deselect them in the webhook"))],
    })
}

// The event that a body without a header looks like.
fn infer(fields: &Fields<'_>) -> &'static str {
    match () {
        () if fields.has("/commit_status") => "repo:commit_status_updated",
        () if fields.word("/pullrequest/state") == "MERGED" => "pullrequest:fulfilled",
        () if fields.word("/pullrequest/state") == "DECLINED" => "pullrequest:rejected",
        () if fields.has("/push/changes") => "repo:push",
        () => "unnamed",
    }
}

fn event(fields: &Fields<'_>, kind: EventKind) -> Event {
    Event {
        kind,
        repo: fields.name("/repository/full_name"),
        repo_url: fields.url("/repository/links/html/href"),
        actor: fields.text("/actor/nickname").or_else(|| fields.text("/actor/display_name")),
        ..Event::default()
    }
}

// A status' key is unique for its commit only.
fn commit_status(fields: &Fields<'_>) -> Result<Event, EventError> {
    let of = fields.at("/commit_status");
    let mut event = event(fields, EventKind::PipelineRun);
    let id = of.id("/key")?;
    event.sha = of.sha("/commit/hash");
    let repo = event.repo.clone().unwrap_or_default();
    event.object_key = Some(joined(&[&repo, event.sha.as_deref().unwrap_or_default(), &id]));
    event.external_id = Some(id);
    event.reference = of.text("/refname");
    let status = status_of(of.word("/state"));
    (event.status, event.status_raw) = (Some(status), of.text("/state"));
    event.started_at = of.time("/created_on", &mut event);
    event.occurred_at = Some(of.needed_time("/updated_on", &mut event));
    event.finished_at = event.occurred_at.filter(|_| status.is_terminal());
    event.url = of.url("/url");
    event.pipeline = of.text("/name");
    event.title = of.first_line("/commit/message");
    Ok(event)
}

fn pull_request(fields: &Fields<'_>, state: &str) -> Result<Event, EventError> {
    let of = fields.at("/pullrequest");
    let mut event = event(fields, EventKind::Change);
    event.external_id = Some(format!("{}#{}", event.repo.as_deref().unwrap_or_default(), of.id("/id")?));
    event.status_raw = Some(state.into());
    event.sha = of.sha_prefix("/merge_commit/hash").filter(|_| state == "merged");
    event.reference = of.text("/destination/branch/name");
    event.created_at = of.time("/created_on", &mut event);
    event.finished_at = Some(of.needed_time("/updated_on", &mut event));
    event.occurred_at = event.finished_at;
    event.url = of.url("/links/html/href");
    event.actor = of.text("/author/nickname").or_else(|| of.text("/author/display_name")).or(event.actor);
    event.title = of.text("/title");
    event.reverts = reverted(of.word("/description"), event.repo.as_deref());
    Ok(event)
}

fn pushes(fields: &Fields<'_>) -> Vec<Event> {
    let changes = fields.list("/push/changes").take(LIST_MAX);
    let read = changes.flat_map(|of| {
        let left_out = of.commits_left_out(of.is_true("/truncated"));
        push(fields, &of).into_iter().chain(of.beyond("/commits", "commits", LIST_MAX)).chain(left_out)
    });
    let events: Vec<Event> = read.chain(fields.beyond("/push/changes", "branches and tags", LIST_MAX)).collect();
    if events.is_empty() { vec![fields.ignored("a branch or tag was deleted")] } else { events }
}

// The default branch is named only where the hook sends the whole repository.
fn push(fields: &Fields<'_>, of: &Fields<'_>) -> Option<Event> {
    let mut event = event(fields, EventKind::Push);
    event.sha = Some(of.sha("/new/target/hash")?);
    let name = of.text("/new/name")?;
    let is_branch = of.word("/new/type") != "tag";
    event.is_default_branch = is_branch
        && match fields.text("/repository/mainbranch/name") {
            Some(main) => main == name,
            None => matches!(name.as_str(), "main" | "master"),
        };
    event.reference = Some(format!("refs/{}/{name}", if is_branch { "heads" } else { "tags" }));
    event.finished_at = Some(of.needed_time("/new/target/date", &mut event));
    event.occurred_at = event.finished_at;
    event.url = of.url("/links/html/href");
    event.title = of.first_line("/new/target/message");
    let repo = event.repo.clone();
    let commit = |commit: Fields<'_>| {
        Some(Commit {
            repo: repo.clone()?,
            sha: commit.sha("/hash")?,
            title: commit.first_line("/message"),
            author: commit.text("/author/user/nickname").or_else(|| commit.text("/author/user/display_name")),
            happened_at: clean::time(&commit.root["date"], commit.received_at).map(|(time, _)| time),
            url: commit.url("/links/html/href"),
            reverts: reverted(commit.word("/message"), repo.as_deref()),
        })
    };
    event.commits = of.list("/commits").take(LIST_MAX).filter_map(commit).collect();
    Some(event)
}

fn deployment(fields: &Fields<'_>) -> Result<Event, EventError> {
    let mut event = Event { kind: EventKind::Deployment, ..Event::default() };
    event.external_id = Some(fields.id("/uuid")?);
    event.repo = repo_of(fields);
    event.environment = fields.text("/environment/name");
    event.environment_kind = fields.text("/environment/environment_type/name");
    event.sha = fields.sha("/release/commit/hash");
    event.version = fields.text("/release/name");
    event.url = fields.url("/state/url").or_else(|| fields.url("/release/url"));
    let state = fields.word("/state/name");
    if state == "UNDEPLOYED" {
        event.kind = EventKind::Ignore;
        event.reason = Some("nothing was deployed yet".into());
        return Ok(event);
    }
    let result = fields.word("/state/status/name");
    let status = match (state, result) {
        ("COMPLETED", "") => Status::Succeeded,
        ("COMPLETED", result) => status_of(result),
        (state, _) => status_of(state),
    };
    event.status = Some(status);
    event.status_raw = clean::text(if result.is_empty() { state } else { result });
    event.created_at = fields.time("/release/created_on", &mut event);
    event.started_at = fields.time("/state/started_on", &mut event);
    event.finished_at = fields.time("/state/completed_on", &mut event).filter(|_| status.is_terminal());
    event.occurred_at = event.finished_at.or(event.started_at);
    if event.occurred_at.is_none() {
        event.occurred_at = Some(fields.needed_time("/last_update_time", &mut event));
    }
    Ok(event)
}

// The row does not name its repository; the addresses in it do: https://bitbucket.org/WORKSPACE/REPOSITORY/…
fn repo_of(fields: &Fields<'_>) -> Option<String> {
    let page = fields.url("/release/commit/links/html/href").or_else(|| fields.url("/release/url"))?;
    let mut parts = page.split_once("://")?.1.split('/').skip(1);
    clean::id(&format!("{}/{}", parts.next()?, parts.next()?))
}
