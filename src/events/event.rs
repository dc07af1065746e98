use crate::focus::repository_name;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The attribute that names a job of a pipeline.
pub const JOB: &str = "job";
/// The attribute that names the run which a job is part of.
pub const RUN: &str = "run";
/// The attribute that lists by which labels a job's machine was chosen, with commas between.
pub const LABELS: &str = "labels";

/// The attribute that says what kind of environment its sender says it is.
pub const ENVIRONMENT_KIND: &str = "environment_kind";

/// The attribute that names what was removed of a service, where another may still run.
pub const REMOVED_ARTIFACT: &str = "removed_artifact";

/// What an event is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A version is going, or went, live.
    Deployment,
    /// A version exists.
    Release,
    /// A pull request was closed.
    Change,
    /// A pipeline ran. It becomes a deployment only where a rule says so.
    PipelineRun,
    /// Commits reached a branch.
    Push,
    /// Something was wrong for a time.
    Incident,
    /// A feature flag was changed.
    FeatureFlag,
    /// Infrastructure was changed.
    InfraChange,
    /// A service runs on more or fewer machines than before.
    Scale,
    /// An environment came, changed or went.
    Environment,
    /// Somebody wrote down that something happened.
    Marker,
    /// Nothing to keep but the delivery; `reason` says why.
    #[default]
    Ignore,
    /// A part of a delivery that could not be read; `reason` says which and why. The other parts count.
    Unreadable,
}

/// How a deployment or a pipeline stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A word of the sender that is not known here.
    Unknown,
    /// Created, queued or waiting for someone.
    Pending,
    /// Under way.
    InProgress,
    /// Live.
    Succeeded,
    /// Ended without going live.
    Failed,
    /// Called off.
    Canceled,
    /// No longer live, since another took its place.
    Superseded,
}

impl EventKind {
    /// As it is stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Release => "release",
            Self::Change => "change",
            Self::PipelineRun => "pipeline_run",
            Self::Push => "push",
            Self::Incident => "incident",
            Self::FeatureFlag => "feature_flag",
            Self::InfraChange => "infra_change",
            Self::Scale => "scale",
            Self::Environment => "environment",
            Self::Marker => "marker",
            Self::Ignore => "ignore",
            Self::Unreadable => "unreadable",
        }
    }

    /// Whether it is context beside deployments and cost.
    pub fn is_context(self) -> bool {
        matches!(
            self,
            Self::Incident | Self::FeatureFlag | Self::InfraChange | Self::Scale | Self::Environment | Self::Marker
        )
    }
}

impl Status {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Superseded => "superseded",
        }
    }

    /// From its stored form.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Unknown,
            Self::Pending,
            Self::InProgress,
            Self::Succeeded,
            Self::Failed,
            Self::Canceled,
            Self::Superseded,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
    }

    /// Which of two at the same instant came later.
    pub fn rank(self) -> u8 {
        match self {
            Self::Unknown | Self::Pending => 0,
            Self::InProgress => 1,
            Self::Succeeded | Self::Failed | Self::Canceled => 2,
            Self::Superseded => 3,
        }
    }

    /// Succeeded, failed or canceled.
    pub fn is_terminal(self) -> bool {
        self.rank() == 2
    }
}

/// A commit that an event names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// `owner/name`, or the address that the sender gives instead.
    pub repo: String,
    /// Full hash where the sender gives it, else at least 8 digits of it.
    pub sha: String,
    /// First line of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Login, else name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub happened_at: Option<DateTime<Utc>>,
    /// Its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What its message says it reverts, commits by hash and requests as `#12` or `!12`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reverts: Vec<String>,
}

/// A part of the traffic went to the new version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Step {
    /// From when on.
    pub at: DateTime<Utc>,
    /// How much of it, in percent.
    pub weight_percent: i64,
}

/// One thing that a sender told. Absent means that the sender did not say; nothing is guessed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// `owner/name`, or the address that the sender gives instead.
    pub repo: Option<String>,
    /// The repository's page.
    pub repo_url: Option<String>,
    /// The environment as the sender names it.
    pub environment: Option<String>,
    /// What kind of environment the sender says it is.
    pub environment_kind: Option<String>,
    /// What the sender calls what it is about, where that is a pipeline, workspace or project and no service.
    pub service_hint: Option<String>,
    /// The services as the sender names them, where it does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Of a deployment or pipeline run.
    pub status: Option<Status>,
    /// The sender's own word; of a release or change the only one.
    pub status_raw: Option<String>,
    /// Commit; never a branch name.
    pub sha: Option<String>,
    /// Version or tag.
    pub version: Option<String>,
    /// What runs: images or a package address with a digest. Never a commit.
    pub artifact: Option<String>,
    /// Branch, tag or full ref.
    pub reference: Option<String>,
    /// The sender's id of the object.
    pub external_id: Option<String>,
    /// What tells this object from all others of its source, where the sender's id alone does not.
    pub object_key: Option<String>,
    /// What the key is one state of, where the sender tells states of an object and not deployments: a state that comes
    /// back after another was live is a deployment of its own.
    pub object: Option<String>,
    /// Of a pipeline run whose id ends in it: which try this is.
    pub attempt: Option<i64>,
    /// The sender's rising number of this status, which orders two of one second.
    pub sequence: i64,
    /// When the object was made.
    pub created_at: Option<DateTime<Utc>>,
    /// When the work began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Of a pipeline run: how many seconds it worked, where its sender says so apart from when it began and ended.
    pub seconds: Option<i64>,
    /// When what this event tells happened.
    pub occurred_at: Option<DateTime<Utc>>,
    /// A time was missing or implausible and is the time of receipt.
    pub time_is_received: bool,
    /// A page for people.
    pub url: Option<String>,
    /// An address for programs, shown where there is no page.
    pub api_url: Option<String>,
    /// Where what was deployed is reached.
    pub environment_url: Option<String>,
    /// Login of who did it.
    pub actor: Option<String>,
    /// Description, release name or pull request title.
    pub title: Option<String>,
    /// Of a change: what its description says it reverts, commits by hash and requests as `#12` or `!12`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reverts: Vec<String>,
    /// Of a change: one of its labels says that it mends what is live.
    pub is_hotfix: bool,
    /// Of an incident, in the sender's words.
    pub severity: Option<String>,
    /// Of a change of a feature flag: its name.
    pub flag: Option<String>,
    /// Workflow or pipeline name.
    pub pipeline: Option<String>,
    /// Path of the workflow file.
    pub path: Option<String>,
    /// Of a release.
    pub prerelease: bool,
    /// Of a release.
    pub draft: bool,
    /// Of a push: whether it reached the default branch.
    pub is_default_branch: bool,
    /// `deploy`, `rollback`, …, where the sender says it.
    pub deployment_kind: Option<String>,
    /// `rolling`, `canary`, …
    pub strategy: Option<String>,
    /// Of a canary: how much traffic it had from when on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Deployments that belong together.
    pub group_id: Option<String>,
    /// Further attributes that mapping rules can look at.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Commits pushed or deployed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<Commit>,
    /// Why it is ignored.
    pub reason: Option<String>,
}

impl Event {
    /// What identifies its object among all of its source.
    pub fn key(&self) -> Option<&str> {
        self.object_key.as_deref().or(self.external_id.as_deref())
    }

    /// With every repository by its name, also where its sender gives an address: rules, changes, deployments and
    /// descriptions of services know it by that.
    pub fn with_repository_names(mut self) -> Self {
        let repos = self.repo.iter_mut().chain(self.commits.iter_mut().map(|commit| &mut commit.repo));
        for repo in repos {
            if let Some(name) = repository_name(repo) {
                *repo = name;
            }
        }
        self
    }

    /// Remembers of a job which run it is part of, and by which labels its machine was chosen.
    pub(super) fn keep_job_of(&mut self, run_id: &str, labels: impl Iterator<Item = String>) {
        self.attributes.insert(RUN.into(), run_id.to_owned());
        let labels: Vec<String> = labels.collect();
        if !labels.is_empty() {
            self.attributes.insert(LABELS.into(), labels.join(","));
        }
    }

    /// Whether it is a job: a part of a pipeline's run.
    pub fn is_job(&self) -> bool {
        self.attributes.contains_key(JOB)
    }

    /// Of a pipeline run: what all its attempts have in common, and the number of this one.
    pub fn run(&self) -> (&str, i64) {
        let key = self.key().unwrap_or_default();
        match self.attempt {
            Some(attempt) => (key.strip_suffix(&format!("/{attempt}")).unwrap_or(key), attempt),
            None => (key, 1),
        }
    }
}
