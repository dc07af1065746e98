//! What the APIs of GitHub, GitLab and Bitbucket list, made into the bodies that their webhooks would have sent: it goes
//! the same way as these, under the same keys. Pure: addresses out, answers in.

mod bitbucket;
mod github;
mod gitlab;

use super::{Headers, change_text};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Rows of a page.
const PAGE_ROWS: usize = 100;

/// An API that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// github.com or an own server.
    GitHub,
    /// gitlab.com or an own server.
    GitLab,
    /// Bitbucket Cloud, which sends no webhook about deployments.
    Bitbucket,
}

/// What is listed of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum List {
    /// Deployments, with their statuses.
    Deployments,
    /// Merged pull or merge requests.
    Changes,
    /// Commits of the default branch.
    Commits,
    /// Environments that were stopped, which no webhook tells where no job does it.
    Environments,
}

/// All that is read of a repository, in this order: commits come before what was deployed of them.
const LISTS: [List; 4] = [List::Commits, List::Changes, List::Deployments, List::Environments];

/// A repository as its API describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// `owner/name`, as webhooks call it.
    pub name: String,
    /// The branch whose commits count.
    pub default_branch: String,
    /// What webhooks say of it in each body.
    pub about: Value,
}

/// What a body tells, to be compared with what is known already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tells {
    /// A status of a deployment; none where it has no status yet.
    Deployment {
        /// The sender's id of the deployment.
        external_id: String,
        /// The sender's word and its rising number, 0 where it has none.
        status: Option<(String, i64)>,
    },
    /// A pull request that was closed.
    Change {
        /// `owner/name#7`.
        external_id: String,
        /// `merged` or `abandoned`.
        state: &'static str,
        /// A label says that it mends what is live; labels may be set after the merge.
        is_hotfix: bool,
    },
    /// An environment was stopped.
    Environment,
}

/// A body as a webhook would have brought it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The sender's name of the event.
    pub event_name: &'static str,
    /// Same key, same delivery.
    pub dedupe_key: String,
    /// What an adapter looks at.
    pub headers: Headers,
    /// The body.
    pub body: Value,
    /// What it tells.
    pub tells: Tells,
}

impl Api {
    /// The API of a kind of event source, where there is one.
    pub fn of(kind: &str) -> Option<Self> {
        match kind {
            "github" => Some(Self::GitHub),
            "gitlab" => Some(Self::GitLab),
            "bitbucket" => Some(Self::Bitbucket),
            _ => None,
        }
    }

    /// The address of the service that everyone uses.
    pub fn public_address(self) -> &'static str {
        match self {
            Self::GitHub => "https://api.github.com",
            Self::GitLab => "https://gitlab.com/api/v4",
            Self::Bitbucket => "https://api.bitbucket.org/2.0",
        }
    }

    /// What a token must allow, for people.
    pub fn token_rights(self) -> &'static str {
        match self {
            Self::GitHub => {
                "a fine-grained token with read access to Deployments, Contents and Pull requests, or a classic one with repo"
            }
            Self::GitLab => "a project or group access token with the scope read_api and the role Reporter or above",
            Self::Bitbucket => "an access token with the permissions to read repositories, pull requests and pipelines",
        }
    }

    /// Headers of each request.
    pub fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::GitHub => &[("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")],
            _ => &[("accept", "application/json")],
        }
    }

    /// Whether this is how the API names a repository.
    pub fn is_repository(self, name: &str) -> bool {
        let parts: Vec<&str> = name.split('/').collect();
        let fits = |part: &&str| {
            !part.is_empty()
                && !matches!(*part, "." | "..")
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+'))
        };
        let count_fits = if self == Self::GitLab { (2..=20).contains(&parts.len()) } else { parts.len() == 2 };
        name.len() <= 200 && count_fits && parts.iter().all(fits)
    }

    /// What is listed of a repository, in the order in which it is read. Only GitLab tells of environments.
    pub fn lists(self) -> &'static [List] {
        if self == Self::GitLab { &LISTS } else { &LISTS[..3] }
    }

    /// Where a repository describes itself.
    pub fn repository_path(self, name: &str) -> String {
        match self {
            Self::GitHub => format!("/repos/{name}"),
            Self::GitLab => format!("/projects/{}", name.replace('/', "%2F").replace('+', "%2B")),
            Self::Bitbucket => format!("/repositories/{name}"),
        }
    }

    /// The repository in an answer; none where the answer is another thing.
    pub fn repository(self, answer: &Value) -> Option<Repository> {
        match self {
            Self::GitHub => github::repository(answer),
            Self::GitLab => gitlab::repository(answer),
            Self::Bitbucket => bitbucket::repository(answer),
        }
    }

    /// The first page of a list, of what happened since a moment where the API takes one.
    pub fn list_path(self, list: List, repository: &str, branch: &str, since: DateTime<Utc>) -> String {
        let base = self.repository_path(repository);
        let branch = urlencoded(branch);
        let since = since.format("%Y-%m-%dT%H:%M:%SZ");
        match (self, list) {
            (Self::GitHub, List::Deployments) => format!("{base}/deployments?per_page={PAGE_ROWS}"),
            (Self::GitHub, List::Changes) => {
                format!("{base}/pulls?state=closed&sort=updated&direction=desc&per_page={PAGE_ROWS}")
            }
            (Self::GitHub, List::Commits) => format!("{base}/commits?sha={branch}&since={since}&per_page={PAGE_ROWS}"),
            (Self::GitLab, List::Deployments) => {
                format!("{base}/deployments?updated_after={since}&order_by=updated_at&sort=asc&per_page={PAGE_ROWS}")
            }
            (Self::GitLab, List::Changes) => format!(
                "{base}/merge_requests?state=merged&updated_after={since}&order_by=updated_at&sort=asc&per_page={PAGE_ROWS}"
            ),
            (Self::GitLab, List::Commits) => {
                format!("{base}/repository/commits?ref_name={branch}&since={since}&per_page={PAGE_ROWS}")
            }
            (_, List::Environments) => format!("{base}/environments?states=stopped&per_page={PAGE_ROWS}"),
            (Self::Bitbucket, List::Deployments) => {
                format!("{base}/deployments/?sort=-state.started_on&pagelen={PAGE_ROWS}")
            }
            (Self::Bitbucket, List::Changes) => {
                format!("{base}/pullrequests?state=MERGED&sort=-updated_on&pagelen=50")
            }
            (Self::Bitbucket, List::Commits) => format!("{base}/commits/{branch}?pagelen={PAGE_ROWS}"),
        }
    }

    /// Where one deployment is asked for again, where lists do not go by when it changed.
    pub fn deployment_path(self, repository: &str, external_id: &str) -> Option<String> {
        let base = self.repository_path(repository);
        match self {
            Self::GitLab => None,
            _ => Some(format!("{base}/deployments/{}", urlencoded(external_id))),
        }
    }

    /// Whether a deployment that went live is told to be over by a status of which no webhook tells.
    pub fn ends_in_silence(self) -> bool {
        self == Self::GitHub
    }

    /// Where the statuses of a listed deployment are, where they are not part of it.
    pub fn statuses_path(self, repository: &str, row: &Value) -> Option<String> {
        let id = row["id"].as_i64().filter(|_| self == Self::GitHub)?;
        Some(format!("{}/deployments/{id}/statuses?per_page={PAGE_ROWS}", self.repository_path(repository)))
    }

    /// Takes the rows out of a page; none where the answer is no page.
    pub fn take_rows(self, answer: &mut Value) -> Option<Vec<Value>> {
        let rows = if self == Self::Bitbucket { answer.get_mut("values")? } else { answer };
        rows.as_array_mut().map(std::mem::take)
    }

    /// The address of the next page, where the answer itself names it.
    pub fn next(self, answer: &Value) -> Option<&str> {
        answer.get("next").and_then(Value::as_str)
    }

    /// When a row changed last, of lists that go from new to old: what is older than asked for ends them.
    pub fn falls_to(self, list: List, row: &Value) -> Option<DateTime<Utc>> {
        let pointer = match (self, list) {
            (Self::GitHub, List::Deployments) => "/created_at",
            (Self::GitHub, List::Changes) => "/updated_at",
            (Self::Bitbucket, List::Deployments) => "/state/started_on",
            (Self::Bitbucket, List::Changes) => "/updated_on",
            (Self::Bitbucket, List::Commits) => "/date",
            _ => return None,
        };
        row.pointer(pointer).and_then(time)
    }

    /// When a listed deployment changed last: where a status of that time is known, and its start, there is nothing to ask
    /// for.
    pub fn changed_at(self, row: &Value) -> Option<DateTime<Utc>> {
        row.get("updated_at").and_then(time).filter(|_| self == Self::GitHub)
    }

    /// The sender's id of a listed deployment.
    pub fn deployment_id(self, row: &Value) -> Option<String> {
        match self {
            Self::Bitbucket => row["uuid"].as_str().map(str::to_owned),
            _ => row["id"].as_i64().map(|id| id.to_string()),
        }
    }

    /// The hash of a listed commit.
    pub fn commit_sha(self, row: &Value) -> Option<&str> {
        let name = match self {
            Self::GitHub => "sha",
            Self::GitLab => "id",
            Self::Bitbucket => "hash",
        };
        row[name].as_str()
    }

    /// The bodies that a deployment and its statuses make, oldest first.
    pub fn deployment(self, repository: &Repository, row: &Value, statuses: &[Value]) -> Vec<Found> {
        match self {
            Self::GitHub => github::deployment(repository, row, statuses),
            Self::GitLab => gitlab::deployment(repository, row).into_iter().collect(),
            Self::Bitbucket => bitbucket::deployment(row).into_iter().collect(),
        }
    }

    /// The body that a merged pull request makes; none for one that was not merged.
    pub fn change(self, repository: &Repository, row: &Value) -> Option<Found> {
        match self {
            Self::GitHub => github::change(repository, row),
            Self::GitLab => gitlab::change(repository, row),
            Self::Bitbucket => bitbucket::change(repository, row),
        }
    }

    /// The body that a stopped environment makes, where it was stopped since a moment.
    pub fn stopped_environment(self, repository: &Repository, row: &Value, since: DateTime<Utc>) -> Option<Found> {
        let stopped_at = row.get("updated_at").and_then(time).filter(|at| *at >= since)?;
        gitlab::stopped_environment(repository, row, stopped_at)
    }

    /// The body that pushes these commits of the default branch, newest first as they are listed. Gives its name, key,
    /// headers and body; none for no commits.
    pub fn commits(self, repository: &Repository, rows: &[&Value]) -> Option<(&'static str, String, Headers, Value)> {
        let newest = self.commit_sha(rows.first()?)?;
        let oldest = self.commit_sha(rows.last()?)?;
        let key = format!("read/commits/{newest}/{oldest}/{}", rows.len());
        let (header, name, body) = match self {
            Self::GitHub => ("x-github-event", "push", github::push(repository, newest, rows)),
            Self::GitLab => ("x-gitlab-event", "push", gitlab::push(repository, newest, rows)),
            Self::Bitbucket => ("x-event-key", "repo:push", bitbucket::push(repository, rows)),
        };
        Some((name, key, Headers::redacted([(header, name)]), body))
    }
}

// The text of a number or a text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(value.as_str()?).ok()?.to_utc())
}

fn urlencoded(text: &str) -> String {
    let pairs = serde_urlencoded::to_string([("", text)]).unwrap_or_default();
    pairs.trim_start_matches('=').replace('+', "%20")
}

// A label is listed by its name, or as what has one.
fn is_hotfix(row: &Value) -> bool {
    let labels = row["labels"].as_array().map_or(&[][..], Vec::as_slice);
    let mut names = labels.iter().filter_map(|label| label.as_str().or_else(|| label["name"].as_str()));
    names.any(change_text::is_hotfix)
}

// What stands in a body where a webhook names a person.
fn person(login: &Value) -> Value {
    json!({ "login": login, "username": login, "nickname": login })
}

#[cfg(test)]
mod tests;
