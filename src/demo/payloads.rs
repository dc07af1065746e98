use super::deployments::{Change, Release};
use super::organisation::{ENVIRONMENTS, SERVICES};
use super::random::stream;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rand::RngExt;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

/// A webhook request of GitHub.
struct Delivery {
    sent_at: DateTime<Utc>,
    event: &'static str,
    body: Value,
}

/// Writes every webhook request in the order in which GitHub sent it; returns their number.
pub fn write(path: &Path, releases: &[Release], seed: u64) -> anyhow::Result<usize> {
    let mut deliveries = Vec::new();
    for (position, release) in releases.iter().enumerate() {
        let previous = releases[..position].iter().rfind(|other| {
            (other.service, other.environment) == (release.service, release.environment) && other.succeeded
        });
        deliveries.extend(of_release(release, previous));
    }
    deliveries.sort_by_key(|delivery| delivery.sent_at);
    let mut random = stream(seed, "webhook deliveries");
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for delivery in &deliveries {
        let id: u128 = random.random();
        let id = uuid::Uuid::from_u128(id).to_string();
        let headers = json!({
            "X-GitHub-Event": delivery.event,
            "X-GitHub-Delivery": id,
            "User-Agent": "GitHub-Hookshot/demo",
            "Content-Type": "application/json",
        });
        let line = json!({ "sender": "github", "headers": headers, "body": delivery.body.to_string() });
        writeln!(file, "{line}")?;
    }
    file.flush()?;
    Ok(deliveries.len())
}

fn of_release(release: &Release, previous: Option<&Release>) -> Vec<Delivery> {
    let mut deliveries: Vec<_> = release.changes.iter().map(|change| merged(release, change)).collect();
    deliveries.push(deployment(release));
    deliveries.push(status(release, "queued", release.created_at + TimeDelta::seconds(20)));
    deliveries.push(status(release, "in_progress", release.created_at + TimeDelta::minutes(3)));
    let outcome = if release.succeeded { "success" } else { "failure" };
    deliveries.push(status(release, outcome, release.finished_at()));
    if release.environment == 0 {
        deliveries.push(workflow_run(release));
        if release.succeeded {
            deliveries.push(published(release));
        }
        if let (Some(previous), true) = (previous, release.succeeded) {
            deliveries.push(status(previous, "inactive", release.finished_at() + TimeDelta::seconds(1)));
        }
    }
    deliveries
}

fn repository(release: &Release) -> Value {
    let name = SERVICES[release.service].slug;
    json!({
        "id": 77_000_000 + release.service,
        "name": name,
        "full_name": format!("acme-shop/{name}"),
        "html_url": format!("https://github.com/acme-shop/{name}"),
        "default_branch": "main",
    })
}

fn url(release: &Release, rest: &str) -> String {
    format!("https://github.com/acme-shop/{}/{rest}", SERVICES[release.service].slug)
}

fn actor(release: &Release) -> &'static str {
    release.changes.last().map_or("release-bot", |change| change.author)
}

fn deployment_object(release: &Release) -> Value {
    let name = SERVICES[release.service].slug;
    let environment = ENVIRONMENTS[release.environment].0;
    json!({
        "url": format!("https://api.github.com/repos/acme-shop/{name}/deployments/{}", release.external_id),
        "id": release.external_id,
        "sha": release.sha,
        "ref": release.version,
        "task": "deploy",
        "payload": { "service": name, "version": release.version },
        "original_environment": environment,
        "environment": environment,
        "description": release.changes.first().map(|change| change.title.clone()),
        "creator": { "login": actor(release) },
        "created_at": text(release.created_at),
        "updated_at": text(release.created_at),
        "transient_environment": false,
        "production_environment": environment == "production",
    })
}

fn deployment(release: &Release) -> Delivery {
    let body = json!({
        "action": "created",
        "deployment": deployment_object(release),
        "repository": repository(release),
        "sender": { "login": actor(release) },
    });
    Delivery { sent_at: release.created_at, event: "deployment", body }
}

fn status(release: &Release, state: &str, happened_at: DateTime<Utc>) -> Delivery {
    let body = json!({
        "action": "created",
        "deployment_status": {
            "id": release.external_id * 10 + happened_at.timestamp() % 10,
            "state": state,
            "creator": { "login": actor(release) },
            "description": "",
            "environment": ENVIRONMENTS[release.environment].0,
            "target_url": url(release, &format!("actions/runs/{}", release.external_id * 3)),
            "log_url": url(release, &format!("actions/runs/{}", release.external_id * 3)),
            "created_at": text(happened_at),
            "updated_at": text(happened_at),
        },
        "deployment": deployment_object(release),
        "repository": repository(release),
        "sender": { "login": actor(release) },
    });
    Delivery { sent_at: happened_at, event: "deployment_status", body }
}

fn workflow_run(release: &Release) -> Delivery {
    let finished_at = release.finished_at() + TimeDelta::seconds(5);
    let body = json!({
        "action": "completed",
        "workflow_run": {
            "id": release.external_id * 3,
            "name": "Deploy",
            "display_title": release.changes.last().map(|change| change.title.clone()),
            "head_branch": "main",
            "head_sha": release.sha,
            "run_attempt": 1,
            "status": "completed",
            "conclusion": if release.succeeded { "success" } else { "failure" },
            "html_url": url(release, &format!("actions/runs/{}", release.external_id * 3)),
            "created_at": text(release.created_at),
            "run_started_at": text(release.created_at),
            "updated_at": text(finished_at),
            "actor": { "login": actor(release) },
        },
        "repository": repository(release),
        "sender": { "login": actor(release) },
    });
    Delivery { sent_at: finished_at, event: "workflow_run", body }
}

fn published(release: &Release) -> Delivery {
    let published_at = release.created_at - TimeDelta::minutes(4);
    let body = json!({
        "action": "published",
        "release": {
            "id": release.external_id + 3,
            "tag_name": release.version,
            "target_commitish": "main",
            "name": release.version,
            "draft": false,
            "prerelease": false,
            "author": { "login": actor(release) },
            "created_at": text(published_at),
            "published_at": text(published_at),
            "html_url": url(release, &format!("releases/tag/{}", release.version)),
            "body": "",
        },
        "repository": repository(release),
        "sender": { "login": actor(release) },
    });
    Delivery { sent_at: published_at, event: "release", body }
}

fn merged(release: &Release, change: &Change) -> Delivery {
    let body = json!({
        "action": "closed",
        "number": change.number,
        "pull_request": {
            "id": change.number * 13 + release.service as i64,
            "number": change.number,
            "state": "closed",
            "title": change.title,
            "user": { "login": change.author },
            "html_url": url(release, &format!("pull/{}", change.number)),
            "created_at": text(change.merged_at - TimeDelta::hours(20)),
            "updated_at": text(change.merged_at),
            "closed_at": text(change.merged_at),
            "merged_at": text(change.merged_at),
            "merged": true,
            "merge_commit_sha": change.sha,
            "base": { "ref": "main" },
            "head": { "ref": format!("change-{}", change.number), "sha": change.sha },
            "labels": [],
        },
        "repository": repository(release),
        "sender": { "login": change.author },
    });
    Delivery { sent_at: change.merged_at, event: "pull_request", body }
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
