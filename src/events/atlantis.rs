//! Atlantis "apply" webhooks: a change of infrastructure. The payload has no time, and its clone address holds the
//! credentials of Atlantis, which are cut out before anything is stored.

use super::fields::{Fields, joined};
use super::{Event, EventError, EventKind, Status};

/// Reads one webhook.
pub(super) fn read(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    let mut event = Event { kind: EventKind::InfraChange, ..Event::default() };
    let repo = fields.name("/Repo/FullName").ok_or_else(|| EventError::Unfit("Repo.FullName is missing".into()))?;
    event.sha = fields.sha("/Pull/HeadCommit");
    let commit: String = event.sha.as_deref().unwrap_or_default().chars().take(12).collect();
    let (directory, workspace) = (fields.text("/Directory"), fields.text("/Workspace"));
    let project = fields.text("/ProjectName");
    let change = format!("{repo}#{}@{commit}", fields.text("/Pull/Num").unwrap_or_default());
    let parts = [directory.as_deref(), workspace.as_deref(), project.as_deref()].map(Option::unwrap_or_default);
    event.external_id = Some(joined(&[&change, parts[0], parts[1], parts[2]]));
    event.service_hint = project.or_else(|| directory.clone());
    let success = fields.is_true("/Success");
    event.status = Some(if success { Status::Succeeded } else { Status::Failed });
    event.status_raw = Some(if success { "success" } else { "failure" }.into());
    event.reference = fields.text("/Pull/BaseBranch");
    event.finished_at = Some(fields.received_at);
    event.occurred_at = event.finished_at;
    event.time_is_received = true;
    event.url = fields.url("/Pull/URL");
    event.actor = fields.text("/User/Username");
    event.title = fields.first_line("/Pull/Body");
    fields.keep("workspace", "/Workspace", &mut event);
    fields.keep("project", "/ProjectName", &mut event);
    event.path = directory;
    event.repo = Some(repo);
    Ok(vec![event])
}
