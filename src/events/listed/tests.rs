use super::*;
use crate::events::{Event, EventKind, Status, read};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn events(kind: &str, found: &Found) -> Vec<Event> {
    let body = serde_json::to_vec(&found.body).unwrap();
    read(kind, &found.headers, &body, at("2026-11-20T12:00:00Z")).unwrap()
}

fn github() -> Repository {
    let answer =
        json!({"full_name": "acme/shop", "html_url": "https://github.com/acme/shop", "default_branch": "main"});
    Api::GitHub.repository(&answer).unwrap()
}

/// A listed status is read as its webhook would be: same object, same number, same times.
#[test]
fn a_listed_deployment_is_what_its_webhooks_say() {
    let row = json!({
        "id": 7, "environment": "production", "sha": "a".repeat(40), "ref": "main", "payload": {"service": "checkout"},
        "created_at": "2026-11-19T10:00:00Z", "updated_at": "2026-11-19T10:05:00Z", "creator": {"login": "octo"}
    });
    let statuses = [
        json!({"id": 12, "state": "success", "created_at": "2026-11-19T10:05:00Z"}),
        json!({"id": 11, "state": "in_progress", "created_at": "2026-11-19T10:01:00Z"}),
    ];
    let found = Api::GitHub.deployment(&github(), &row, &statuses);
    assert_eq!(found[0].tells, Tells::Deployment { external_id: "7".into(), status: Some(("in_progress".into(), 11)) });
    let event = &events("github", &found[1])[0];
    assert_eq!((event.kind, event.status, event.sequence), (EventKind::Deployment, Some(Status::Succeeded), 12));
    assert_eq!((event.external_id.as_deref(), event.repo.as_deref()), (Some("7"), Some("acme/shop")));
    assert_eq!((event.finished_at, &event.services), (Some(at("2026-11-19T10:05:00Z")), &vec!["checkout".to_owned()]));
    assert_eq!(Api::GitHub.changed_at(&row), event.finished_at);
    // One that has no status yet is a deployment that waits.
    let waiting = Api::GitHub.deployment(&github(), &row, &[]);
    assert_eq!(events("github", &waiting[0])[0].status, Some(Status::Pending));
}

#[test]
fn only_merged_requests_are_changes() {
    let row = |merged_at: Value| {
        json!({"number": 5, "title": "Faster", "merged_at": merged_at, "closed_at": "2026-11-18T09:00:00Z",
               "merge_commit_sha": "b".repeat(40), "user": {"login": "ann"}, "base": {"ref": "main"}})
    };
    assert_eq!(Api::GitHub.change(&github(), &row(Value::Null)), None);
    let event =
        events("github", &Api::GitHub.change(&github(), &row(json!("2026-11-18T09:00:00Z"))).unwrap()).remove(0);
    assert_eq!((event.kind, event.external_id.as_deref()), (EventKind::Change, Some("acme/shop#5")));
    assert_eq!((event.sha, event.status_raw.as_deref()), (Some("b".repeat(40)), Some("merged")));
    let answer = json!({"path_with_namespace": "acme/group/shop", "default_branch": "trunk"});
    let project = Api::GitLab.repository(&answer).unwrap();
    let row = json!({"iid": 9, "state": "merged", "sha": "c".repeat(40), "merge_commit_sha": null, "title": "Faster",
        "merged_at": "2026-11-18T09:00:00.000Z", "updated_at": "2026-11-19T09:00:00.000Z", "author": {"username": "ann"}});
    let event = events("gitlab", &Api::GitLab.change(&project, &row).unwrap()).remove(0);
    assert_eq!((event.external_id.as_deref(), event.sha), (Some("acme/group/shop!9"), Some("c".repeat(40))));
    assert_eq!(event.finished_at, Some(at("2026-11-18T09:00:00Z")));
    assert_eq!(event.actor.as_deref(), Some("ann"));
}

#[test]
fn a_label_that_is_listed_later_is_told_anew() {
    let row = |updated_at: &str, labels: Value| json!({"number": 5, "merged_at": "2026-11-18T09:00:00Z", "updated_at": updated_at, "labels": labels});
    let before = Api::GitHub.change(&github(), &row("2026-11-18T09:00:00Z", json!([]))).unwrap();
    let after = Api::GitHub.change(&github(), &row("2026-11-19T09:00:00Z", json!([{"name": "hotfix"}]))).unwrap();
    assert_ne!(before.dedupe_key, after.dedupe_key);
    let is_hotfix = |found: &Found| matches!(found.tells, Tells::Change { is_hotfix: true, .. });
    assert_eq!((is_hotfix(&before), is_hotfix(&after)), (false, true));
    let event = events("github", &after).remove(0);
    assert_eq!((event.is_hotfix, event.finished_at), (true, Some(at("2026-11-18T09:00:00Z"))));
    assert_eq!(event.occurred_at, Some(at("2026-11-19T09:00:00Z")));
    let answer = json!({"path_with_namespace": "acme/shop", "default_branch": "main"});
    let row = json!({"iid": 9, "state": "merged", "merged_at": "2026-11-18T09:00:00.000Z", "labels": ["type::hotfix"],
        "updated_at": "2026-11-19T09:00:00.000Z"});
    let listed = Api::GitLab.change(&Api::GitLab.repository(&answer).unwrap(), &row).unwrap();
    assert!(is_hotfix(&listed) && events("gitlab", &listed)[0].is_hotfix);
}

#[test]
fn listed_commits_are_a_push_to_the_default_branch() {
    let github_row = |digit: &str, minute: u32| {
        json!({"sha": digit.repeat(40), "html_url": "https://github.com/acme/shop/commit/1", "author": {"login": "ann"},
               "commit": {"message": "One\n\ntwo", "author": {"name": "Ann"}, "committer": {"date": format!("2026-11-18T09:{minute:02}:00Z")}}})
    };
    let rows = [github_row("e", 9), github_row("d", 1)];
    let rows: Vec<&Value> = rows.iter().collect();
    let (name, key, headers, body) = Api::GitHub.commits(&github(), &rows).unwrap();
    let body = serde_json::to_vec(&body).unwrap();
    let event = read("github", &headers, &body, at("2026-11-20T12:00:00Z")).unwrap().remove(0);
    assert_eq!((name, event.kind, event.is_default_branch), ("push", EventKind::Push, true));
    assert!(key.ends_with("/2"), "{key}");
    let commits: Vec<_> = event.commits.iter().map(|c| (c.sha.as_str(), c.title.as_deref(), c.happened_at)).collect();
    assert_eq!(commits[0], (&*"d".repeat(40), Some("One"), Some(at("2026-11-18T09:01:00Z"))));
    assert_eq!(commits.len(), 2);
    assert_eq!(Api::GitHub.commits(&github(), &[]), None);
    let answer = json!({"full_name": "acme/shop", "mainbranch": {"name": "main"}});
    let repository = Api::Bitbucket.repository(&answer).unwrap();
    let row = json!({"hash": "f".repeat(40), "date": "2026-11-18T09:00:00+00:00", "message": "Two"});
    let (_, _, headers, body) = Api::Bitbucket.commits(&repository, &[&row]).unwrap();
    let body = serde_json::to_vec(&body).unwrap();
    let event = read("bitbucket", &headers, &body, at("2026-11-20T12:00:00Z")).unwrap().remove(0);
    assert_eq!((event.is_default_branch, event.commits.len()), (true, 1));
}

#[test]
fn a_listed_deployment_of_gitlab_names_its_project() {
    let project = Api::GitLab.repository(&json!({"path_with_namespace": "acme/shop"})).unwrap();
    let row = json!({"id": 42, "status": "success", "sha": "a".repeat(40), "ref": "main", "environment": {"name": "production"},
        "created_at": "2026-11-19T10:00:00Z", "updated_at": "2026-11-19T11:00:00Z", "deployable": null});
    let found = Api::GitLab.deployment(&project, &row, &[]).unwrap_found();
    let event = events("gitlab", &found).remove(0);
    assert_eq!((event.repo.as_deref(), event.external_id.as_deref()), (Some("acme/shop"), Some("42")));
    assert_eq!(event.status, Some(Status::Succeeded));
}

#[test]
fn names_are_names_of_repositories_only() {
    for name in ["acme/shop", "a.b/c-d_e"] {
        assert!(Api::GitHub.is_repository(name), "{name}");
    }
    for name in ["acme", "acme/", "acme/shop/x", "acme/../x", "acme/..", "acme/sh op", "acme/shop?x=1", "https://x/y"] {
        assert!(!Api::GitHub.is_repository(name), "{name}");
    }
    assert!(Api::GitLab.is_repository("acme/group/shop"));
    assert_eq!(Api::GitLab.repository_path("acme/group/shop"), "/projects/acme%2Fgroup%2Fshop");
    assert_eq!(Api::Bitbucket.deployment_path("a/b", "{1-2}").unwrap(), "/repositories/a/b/deployments/%7B1-2%7D");
}

trait One {
    fn unwrap_found(self) -> Found;
}

impl One for Vec<Found> {
    fn unwrap_found(mut self) -> Found {
        assert_eq!(self.len(), 1);
        self.remove(0)
    }
}
