//! What the deployment API takes, and the sentence for whatever it does not take.

use crate::api::{Error, Result};
use crate::events;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

const SERVICES_MAX: usize = 50;
const COMMITS_MAX: usize = 500;
const ATTRIBUTES_MAX: usize = 50;
const STEPS_MAX: usize = 100;
/// Times of deployments that have happened; a clock may be a little ahead.
const AHEAD_MAX: TimeDelta = TimeDelta::days(1);
const STATUSES: [&str; 6] = ["pending", "in_progress", "succeeded", "failed", "canceled", "superseded"];
const KINDS: [&str; 6] = ["deploy", "rollback", "config_sync", "restart", "scale", "infra"];

/// A commit that was deployed.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployedCommit {
    /// `owner/name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(example = "acme/checkout")]
    pub repo: String,
    /// Hash, at least 8 digits.
    #[schema(example = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e")]
    pub sha: String,
}

/// A part of the traffic went to the new version.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewDeploymentStep)]
pub struct DeploymentStep {
    /// From when on.
    #[schema(value_type = String, example = "2026-11-23T10:01:00Z")]
    pub at: Value,
    /// How much of it, in percent.
    #[schema(example = 20)]
    pub weight_percent: u8,
}

/// A deployment to record. Times are RFC 3339, or an epoch in seconds, milliseconds, microseconds or nanoseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewDeployment {
    /// Your own id of it, for example of the run, the service and the environment. With it, sending again is harmless,
    /// and PATCH can name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The service, by a name that the catalogue or a mapping rule knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "checkout")]
    pub service: Option<String>,
    /// Several services at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// The environment. Required: none is assumed.
    #[schema(example = "production", required = true)]
    pub environment: String,
    /// `pending`, `in_progress`, `succeeded` (default), `failed`, `canceled` or `superseded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Version, tag or image.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2.14.0")]
    pub version: Option<String>,
    /// What was deployed; the first is shown as the deployment's commit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<DeployedCommit>,
    /// Repository, where no commit names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Branch or tag.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2026-11-23T10:00:00Z")]
    pub started_at: Option<Value>,
    /// When it ended; the time of receipt where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "2026-11-23T10:04:00Z")]
    pub finished_at: Option<Value>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The run's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A line about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `rolling`, `canary`, `blue_green` or another word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// `deploy`, `rollback`, `config_sync`, `restart`, `scale` or `infra`. A rollback is recognized without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Of a canary: how much of the traffic it has from when on. Steps are added to those told before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<DeploymentStep>,
    /// Deployments that belong together share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// Anything else that mapping rules should look at, as `tag:<name>`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// What became of a deployment. Everything absent stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeploymentUpdate {
    /// Where given, those of the deployment: another service is another deployment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Where given, that of the deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// `pending`, `in_progress`, `succeeded`, `failed`, `canceled` or `superseded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Version, tag or image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What was deployed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<DeployedCommit>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub started_at: Option<Value>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub finished_at: Option<Value>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The run's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A line about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `rolling`, `canary`, `blue_green` or another word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// `deploy`, `rollback`, `config_sync`, `restart`, `scale` or `infra`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Of a canary: how much of the traffic it has from when on. Steps are added to those told before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<DeploymentStep>,
    /// Added to those it has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl NewDeployment {
    /// Whether it can be recorded.
    pub fn check(&self, now: DateTime<Utc>) -> Result<()> {
        if events::clean_text(&self.environment).is_none() {
            return Err(wrong("environment is missing: name the environment, for example \"production\"."));
        }
        let services = self.service.iter().chain(&self.services).filter(|name| events::clean_text(name).is_some());
        if services.count() != usize::from(self.service.is_some()) + self.services.len() {
            return Err(wrong("service must not be empty."));
        }
        if self.service.is_none() && self.services.is_empty() && self.repo.is_none() && self.commits.is_empty() {
            return Err(wrong("service is missing: name the service, or a repo that a mapping rule knows."));
        }
        if self.services.len() > SERVICES_MAX {
            return Err(wrong(&format!("services takes at most {SERVICES_MAX}.")));
        }
        is_plain_id(self.id.as_deref())?;
        length("environment", &self.environment)?;
        self.services.iter().try_for_each(|name| length("services", name))?;
        texts(&[
            ("id", &self.id),
            ("service", &self.service),
            ("version", &self.version),
            ("repo", &self.repo),
            ("ref", &self.reference),
            ("actor", &self.actor),
            ("title", &self.title),
            ("strategy", &self.strategy),
            ("group_id", &self.group_id),
        ])?;
        common(&self.status, &self.kind, &self.url, &self.commits, &self.attributes)?;
        times(&self.started_at, &self.finished_at, now)?;
        steps(&self.steps, now)?;
        if self.finished_at.is_some() && self.status.as_deref().is_some_and(is_open) {
            return Err(wrong("finished_at does not go with a status that has not ended."));
        }
        Ok(())
    }
}

impl DeploymentUpdate {
    /// Whether it can be recorded.
    pub fn check(&self, now: DateTime<Utc>) -> Result<()> {
        texts(&[
            ("version", &self.version),
            ("actor", &self.actor),
            ("title", &self.title),
            ("strategy", &self.strategy),
        ])?;
        common(&self.status, &self.kind, &self.url, &self.commits, &self.attributes)?;
        times(&self.started_at, &self.finished_at, now)?;
        steps(&self.steps, now)?;
        if self.finished_at.is_some() && self.status.as_deref().is_none_or(is_open) {
            return Err(wrong("finished_at needs the status that it ended with: succeeded, failed or canceled."));
        }
        Ok(())
    }
}

fn is_open(status: &str) -> bool {
    matches!(status, "pending" | "in_progress")
}

fn texts(fields: &[(&str, &Option<String>)]) -> Result<()> {
    for (name, value) in fields {
        let Some(value) = value else { continue };
        length(name, value)?;
        if events::clean_text(value).is_none() {
            return Err(wrong(&format!("{name} must not be empty; leave it out.")));
        }
    }
    Ok(())
}

// What is longer would be cut, and two could then be one.
pub(super) fn length(name: &str, value: &str) -> Result<()> {
    if value.trim().chars().count() > events::TEXT_LENGTH_MAX {
        return Err(wrong(&format!("{name} is longer than {} characters.", events::TEXT_LENGTH_MAX)));
    }
    Ok(())
}

// The id that is kept is the one that is looked up again.
pub(super) fn is_plain_id(id: Option<&str>) -> Result<()> {
    let is_plain = |id: &str| events::clean_text(id).is_none_or(|clean| clean == id.trim());
    match id {
        Some(id) if id.chars().count() <= events::TEXT_LENGTH_MAX && !is_plain(id) => {
            Err(wrong("id must not have control characters in it, nor such as change the direction of writing."))
        }
        _ => Ok(()),
    }
}

fn common(
    status: &Option<String>,
    kind: &Option<String>,
    url: &Option<String>,
    commits: &[DeployedCommit],
    attributes: &BTreeMap<String, String>,
) -> Result<()> {
    for (name, value, known) in [("status", status, &STATUSES), ("kind", kind, &KINDS)] {
        if let Some(value) = value.as_deref().filter(|value| !known.contains(value)) {
            return Err(wrong(&format!("{name} \"{value}\" is not known; it is one of {}.", known.join(", "))));
        }
    }
    if url.as_deref().is_some_and(|url| events::clean_url(url).is_none()) {
        return Err(wrong("url must be an http or https address."));
    }
    if commits.len() > COMMITS_MAX {
        return Err(wrong(&format!("commits takes at most {COMMITS_MAX}.")));
    }
    let is_hash = |sha: &str| (8..=64).contains(&sha.len()) && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(commit) = commits.iter().find(|commit| !is_hash(&commit.sha)) {
        return Err(wrong(&format!("commits: sha \"{}\" is not a hash of 8 to 64 hexadecimal digits.", commit.sha)));
    }
    commits.iter().try_for_each(|commit| length("commits: repo", &commit.repo))?;
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(wrong(&format!("attributes takes at most {ATTRIBUTES_MAX}.")));
    }
    for (name, value) in attributes {
        length("attributes: a name", name)?;
        length(&format!("attributes: {name}"), value)?;
    }
    Ok(())
}

// A time that is wrong is refused here, for the caller can mend it; webhooks cannot.
fn times(started_at: &Option<Value>, finished_at: &Option<Value>, now: DateTime<Utc>) -> Result<()> {
    let mut read = Vec::new();
    for (name, value) in [("started_at", started_at), ("finished_at", finished_at)] {
        let Some(value) = value else { continue };
        match events::clean_time(value, now) {
            Some((time, false)) => read.push(time),
            _ => {
                return Err(wrong(&format!(
                    "{name} {value} is not a time from 2000 to tomorrow ({}): send RFC 3339 or an epoch.",
                    (now + AHEAD_MAX).format("%Y-%m-%d")
                )));
            }
        }
    }
    if started_at.is_some() && finished_at.is_some() && read[0] > read[1] {
        return Err(wrong("finished_at is before started_at."));
    }
    Ok(())
}

fn steps(steps: &[DeploymentStep], now: DateTime<Utc>) -> Result<()> {
    if steps.len() > STEPS_MAX {
        return Err(wrong(&format!("steps takes at most {STEPS_MAX}.")));
    }
    for step in steps {
        if step.weight_percent > 100 {
            return Err(wrong("steps: weight_percent is from 0 to 100."));
        }
        if !matches!(events::clean_time(&step.at, now), Some((_, false))) {
            return Err(wrong(&format!("steps: at {} is not a time: send RFC 3339 or an epoch.", step.at)));
        }
    }
    Ok(())
}

fn wrong(sentence: &str) -> Error {
    Error::Unprocessable(sentence.to_owned())
}
