//! GitLab's API names things in other words than its webhooks; of a deployment it lists the last status only.

use super::{Found, Repository, Tells, is_hotfix, person, text};
use crate::events::Headers;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

pub(super) fn repository(answer: &Value) -> Option<Repository> {
    let name = answer["path_with_namespace"].as_str()?.to_owned();
    let default_branch = answer["default_branch"].as_str().unwrap_or("main").to_owned();
    let about = json!({
        "path_with_namespace": name, "web_url": answer["web_url"], "default_branch": default_branch
    });
    Some(Repository { name, default_branch, about })
}

// The row as it is listed is what the adapter reads; it does not name its project where no job made it.
pub(super) fn deployment(repository: &Repository, row: &Value) -> Option<Found> {
    let external_id = text(&row["id"])?;
    let status = row["status"].as_str()?.to_owned();
    let mut body = row.clone();
    body["project"] = repository.about.clone();
    Some(Found {
        event_name: "deployment",
        dedupe_key: format!(
            "read/deployment/{external_id}/{status}/{}",
            row["updated_at"].as_str().unwrap_or_default()
        ),
        headers: Headers::default(),
        body,
        tells: Tells::Deployment { external_id, status: Some((status, 0)) },
    })
}

// The row tells no moment of its own for the stop. Later changes of a stopped environment move it, so that each is told and
// the first counts.
pub(super) fn stopped_environment(repository: &Repository, row: &Value, at: DateTime<Utc>) -> Option<Found> {
    let id = text(&row["id"]).filter(|_| row["state"].as_str() == Some("stopped"))?;
    let mut body = row.clone();
    body["project"] = repository.about.clone();
    Some(Found {
        event_name: "environment",
        dedupe_key: format!("read/environment/{id}/stopped/{}", at.timestamp()),
        headers: Headers::default(),
        body,
        tells: Tells::Environment,
    })
}

pub(super) fn change(repository: &Repository, row: &Value) -> Option<Found> {
    let number = text(&row["iid"]).filter(|_| row["state"].as_str() == Some("merged"))?;
    let updated_at = row["updated_at"].as_str().unwrap_or_default();
    let attributes = json!({
        "iid": row["iid"], "state": "merged", "merge_commit_sha": row["merge_commit_sha"],
        "squash_commit_sha": row["squash_commit_sha"], "last_commit": { "id": row["sha"] },
        "target_branch": row["target_branch"], "created_at": row["created_at"], "merged_at": row["merged_at"],
        "updated_at": row["updated_at"], "url": row["web_url"], "title": row["title"],
        "description": row["description"], "labels": row["labels"]
    });
    Some(Found {
        event_name: "merge_request",
        dedupe_key: format!("read/merge_request/{}/{number}/merged/{updated_at}", repository.name),
        headers: Headers::redacted([("x-gitlab-event", "Merge Request Hook")]),
        body: json!({
            "object_kind": "merge_request", "object_attributes": attributes, "project": repository.about,
            "user": person(&row["author"]["username"])
        }),
        tells: Tells::Change {
            external_id: format!("{}!{number}", repository.name),
            state: "merged",
            is_hotfix: is_hotfix(row),
        },
    })
}

pub(super) fn push(repository: &Repository, newest: &str, rows: &[&Value]) -> Value {
    let commit = |row: &Value| {
        json!({
            "id": row["id"], "message": row["message"], "timestamp": row["committed_date"], "url": row["web_url"],
            "author": { "name": row["author_name"] }
        })
    };
    let commits: Vec<Value> = rows.iter().rev().map(|row| commit(row)).collect();
    json!({
        "object_kind": "push", "ref": format!("refs/heads/{}", repository.default_branch), "after": newest,
        "commits": commits, "project": repository.about
    })
}
