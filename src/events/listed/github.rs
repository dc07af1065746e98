//! GitHub's API and webhooks describe deployments, statuses and pull requests alike; only what surrounds them differs.

use super::{Found, Repository, Tells, is_hotfix, text};
use crate::events::Headers;
use serde_json::{Value, json};

pub(super) fn repository(answer: &Value) -> Option<Repository> {
    let name = answer["full_name"].as_str()?.to_owned();
    let default_branch = answer["default_branch"].as_str()?.to_owned();
    let about = json!({
        "full_name": name, "html_url": answer["html_url"], "default_branch": default_branch
    });
    Some(Repository { name, default_branch, about })
}

pub(super) fn deployment(repository: &Repository, row: &Value, statuses: &[Value]) -> Vec<Found> {
    let Some(external_id) = text(&row["id"]) else { return Vec::new() };
    if statuses.is_empty() {
        return vec![Found {
            event_name: "deployment",
            dedupe_key: format!("read/deployment/{external_id}"),
            headers: Headers::redacted([("x-github-event", "deployment")]),
            body: json!({ "deployment": row, "repository": repository.about }),
            tells: Tells::Deployment { external_id, status: None },
        }];
    }
    // They are listed from new to old.
    let found = statuses.iter().rev().filter_map(|status| {
        let id = status["id"].as_i64()?;
        Some(Found {
            event_name: "deployment_status",
            dedupe_key: format!("read/deployment_status/{id}"),
            headers: Headers::redacted([("x-github-event", "deployment_status")]),
            body: json!({ "deployment": row, "deployment_status": status, "repository": repository.about }),
            tells: Tells::Deployment {
                external_id: external_id.clone(),
                status: Some((status["state"].as_str()?.to_owned(), id)),
            },
        })
    });
    found.collect()
}

// A row of the list lacks `merged`, which a webhook has.
pub(super) fn change(repository: &Repository, row: &Value) -> Option<Found> {
    row["merged_at"].as_str()?;
    let number = text(&row["number"])?;
    let updated_at = row["updated_at"].as_str().unwrap_or_default();
    let mut pull_request = row.clone();
    pull_request["merged"] = json!(true);
    Some(Found {
        event_name: "pull_request",
        dedupe_key: format!("read/pull_request/{}/{number}/merged/{updated_at}", repository.name),
        headers: Headers::redacted([("x-github-event", "pull_request")]),
        body: json!({ "action": "closed", "pull_request": pull_request, "repository": repository.about }),
        tells: Tells::Change {
            external_id: format!("{}#{number}", repository.name),
            state: "merged",
            is_hotfix: is_hotfix(row),
        },
    })
}

pub(super) fn push(repository: &Repository, newest: &str, rows: &[&Value]) -> Value {
    let commit = |row: &Value| {
        let made = &row["commit"];
        let login = if row["author"]["login"].is_string() { &row["author"]["login"] } else { &Value::Null };
        json!({
            "id": row["sha"], "message": made["message"], "timestamp": made["committer"]["date"],
            "url": row["html_url"], "distinct": true,
            "author": { "username": login, "name": made["author"]["name"] }
        })
    };
    // A webhook lists them from old to new.
    let commits: Vec<Value> = rows.iter().rev().map(|row| commit(row)).collect();
    json!({
        "ref": format!("refs/heads/{}", repository.default_branch), "after": newest, "deleted": false,
        "head_commit": commits.last(), "commits": commits, "repository": repository.about
    })
}
