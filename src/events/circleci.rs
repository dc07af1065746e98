//! CircleCI webhooks: a workflow or a job has ended. Neither is a deployment unless a rule says so.
//!
//! A job's event has no status of its workflow. Pipelines of GitLab and of GitHub's app have no `vcs`.

use super::fields::{Fields, status_of};
use super::{Event, EventError, EventKind, clean};

/// Reads one webhook.
pub(super) fn read(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    let (object, start) = match fields.word("/type") {
        "workflow-completed" => ("/workflow", "/created_at"),
        "job-completed" => ("/job", "/started_at"),
        "ping" => return Ok(vec![fields.ignored("CircleCI says that the webhook is set up")]),
        other => return Ok(vec![fields.ignored(&format!("\"{other}\" events are not used"))]),
    };
    let of = fields.at(object);
    let mut event = Event { kind: EventKind::PipelineRun, ..Event::default() };
    event.external_id = Some(of.id("/id")?);
    event.service_hint = fields.text("/project/name");
    event.pipeline = fields.text("/workflow/name");
    let status = status_of(of.word("/status"));
    (event.status, event.status_raw) = (Some(status), of.text("/status"));
    let vcs = fields.at("/pipeline/vcs");
    let git = fields.at("/pipeline/trigger_parameters/git");
    // What is no web address may name a repository all the same (`git@github.com:acme/shop.git`), and is no link.
    event.repo_url = vcs.url("/origin_repository_url").or_else(|| git.url("/repo_url"));
    event.repo = event.repo_url.as_deref().and_then(clean::id).or_else(|| git.name("/repo_url"));
    event.sha = vcs.sha("/revision").or_else(|| git.sha("/checkout_sha"));
    event.reference = vcs.text("/branch").or_else(|| git.text("/branch"));
    event.version = vcs.text("/tag").or_else(|| git.text("/tag"));
    event.started_at = of.time(start, &mut event);
    event.finished_at = Some(of.needed_time("/stopped_at", &mut event));
    event.occurred_at = event.finished_at;
    event.url = fields.url("/workflow/url");
    event.actor = vcs.text("/commit/author/name").or_else(|| git.text("/commit_author_name"));
    event.title = vcs.text("/commit/subject");
    fields.keep("job", "/job/name", &mut event);
    if let Some(run_id) = fields.text("/workflow/id").filter(|_| event.is_job()) {
        event.keep_job_of(&run_id, std::iter::empty());
    }
    fields.keep("project", "/project/slug", &mut event);
    Ok(vec![event])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_web_address_becomes_a_link() {
        let repo_of = |url: &str| {
            let body = json!({"type": "workflow-completed", "workflow": {"id": "w1", "status": "success"},
                "pipeline": {"trigger_parameters": {"git": {"repo_url": url}}}});
            let event = read(Fields::new(&body, "2026-03-01T12:00:00Z".parse().unwrap())).unwrap().remove(0);
            (event.repo.unwrap(), event.repo_url)
        };
        let address = "https://github.com/acme/shop";
        assert_eq!(repo_of(address), (address.to_owned(), Some(address.to_owned())));
        for other in ["git@github.com:acme/shop.git", "javascript://x/%0aalert(1)"] {
            assert_eq!(repo_of(other), (other.to_owned(), None));
        }
    }
}
