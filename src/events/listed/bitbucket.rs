//! Bitbucket lists pull requests and commits as its webhooks show them; of deployments it sends no webhook at all.

use super::{Found, Repository, Tells, text};
use crate::events::Headers;
use serde_json::{Value, json};

pub(super) fn repository(answer: &Value) -> Option<Repository> {
    let name = answer["full_name"].as_str()?.to_owned();
    let default_branch = answer["mainbranch"]["name"].as_str().unwrap_or("main").to_owned();
    let about = json!({
        "full_name": name, "mainbranch": { "name": default_branch },
        "links": { "html": { "href": answer["links"]["html"]["href"] } }
    });
    Some(Repository { name, default_branch, about })
}

pub(super) fn deployment(row: &Value) -> Option<Found> {
    let external_id = row["uuid"].as_str()?.to_owned();
    let state = row["state"]["name"].as_str()?;
    let status = row["state"]["status"]["name"].as_str().unwrap_or(state).to_owned();
    if state == "UNDEPLOYED" {
        return None;
    }
    let at = row["state"]["completed_on"].as_str().or_else(|| row["state"]["started_on"].as_str()).unwrap_or_default();
    Some(Found {
        event_name: "deployment",
        dedupe_key: format!("read/deployment/{external_id}/{status}/{at}"),
        headers: Headers::default(),
        body: row.clone(),
        tells: Tells::Deployment { external_id, status: Some((status, 0)) },
    })
}

pub(super) fn change(repository: &Repository, row: &Value) -> Option<Found> {
    let number = text(&row["id"]).filter(|_| row["state"].as_str() == Some("MERGED"))?;
    Some(Found {
        event_name: "pullrequest:fulfilled",
        dedupe_key: format!("read/pullrequest/{}/{number}/merged", repository.name),
        headers: Headers::redacted([("x-event-key", "pullrequest:fulfilled")]),
        body: json!({ "pullrequest": row, "repository": repository.about }),
        tells: Tells::Change {
            external_id: format!("{}#{number}", repository.name),
            state: "merged",
            // There are no labels.
            is_hotfix: false,
        },
    })
}

pub(super) fn push(repository: &Repository, rows: &[&Value]) -> Value {
    let commits: Vec<&Value> = rows.to_vec();
    json!({
        "push": { "changes": [{
            "new": { "type": "branch", "name": repository.default_branch, "target": rows.first() },
            "commits": commits
        }] },
        "repository": repository.about
    })
}
