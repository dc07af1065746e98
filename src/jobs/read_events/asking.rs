//! One request after the other: limits are kept, and an answer that is none says what to do.

use crate::events::listed::Api;
use crate::sources::objects::{Answer, AnswerError, Budget, Listing};
use crate::store::Pools;
use crate::store::event_reads::ReadRun;
use crate::store::jobs::Fence;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// Requests of one read; what is left is read a minute later.
const REQUESTS_MAX: i32 = 3_000;
/// Requests that are left to others who use the same token, at most, and as a part of the limit.
const RESERVE_MAX: i64 = 50;
const RESERVE_PART: i64 = 10;
/// How long is waited where a limit does not say.
const WAIT_UNTOLD: TimeDelta = TimeDelta::minutes(15);
const WAIT_MIN: TimeDelta = TimeDelta::minutes(1);
const WAIT_MAX: TimeDelta = TimeDelta::hours(24);

/// A read under way.
pub(super) struct Asking<'a> {
    pub pools: &'a Pools,
    pub api: Api,
    pub listing: Listing,
    pub event_source_id: i64,
    pub fence: Fence,
    /// As the last answer told it.
    pub budget: Option<Budget>,
    pub run: ReadRun,
}

/// Something over there is wrong.
#[derive(Debug)]
pub(super) struct Problem {
    pub error: String,
    pub remedy: String,
    /// Whether there is no use in asking for other repositories.
    pub is_of_all: bool,
    /// Whether what was asked for is not there.
    pub is_gone: bool,
    pub continues_at: Option<DateTime<Utc>>,
}

impl Problem {
    pub fn of_all(error: impl Into<String>, remedy: &str) -> Self {
        Self { is_of_all: true, ..Self::of_one(error, remedy) }
    }

    pub fn of_one(error: impl Into<String>, remedy: &str) -> Self {
        Self { error: error.into(), remedy: remedy.to_owned(), is_of_all: false, is_gone: false, continues_at: None }
    }
}

/// Why a read does not go on.
pub(super) enum Stop {
    Problem(Problem),
    /// Of our own database.
    Fault(sqlx::Error),
    /// Another worker has the job.
    Lost,
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error)
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Asking<'_> {
    /// Asks for a path or the address of a next page, with the mark of the last answer where there is one. Gives the
    /// answer, new or unchanged.
    pub async fn get(&mut self, path: &str, mark: Option<&str>) -> Result<Answer, Stop> {
        let now = Utc::now();
        self.keep_limits(now)?;
        self.run.request_count += 1;
        let answer = self.listing.get(path, mark, now).await.map_err(|error| not_answered(&error))?;
        self.budget = Some(answer.budget);
        if answer.is_unchanged() {
            self.run.unchanged_count += 1;
            return Ok(answer);
        }
        if answer.status == 200 {
            return Ok(answer);
        }
        Err(self.refused(path, &answer, now).into())
    }

    /// The JSON of an answer.
    pub fn json(&self, answer: &Answer) -> Result<Value, Problem> {
        serde_json::from_slice(&answer.body).map_err(|_| self.not_the_api())
    }

    /// What an answer is told by that is JSON, but not of this API.
    pub fn not_the_api(&self) -> Problem {
        let error = format!("What {} answers is not what this API answers.", self.listing.host());
        Problem::of_all(error, &format!("Correct the address; everyone's is {}.", self.api.public_address()))
    }

    // Whoever shares the token must be able to work: a read stops before the last request is used up.
    fn keep_limits(&self, now: DateTime<Utc>) -> Result<(), Problem> {
        if self.run.request_count >= REQUESTS_MAX {
            return Err(Problem {
                continues_at: Some(now + WAIT_MIN),
                ..Problem::of_all(
                    format!("{REQUESTS_MAX} requests were made and there is more to read."),
                    "Nothing to do: the read goes on by itself in a minute.",
                )
            });
        }
        let Some(Budget { remaining: Some(remaining), limit, resets_at: Some(resets_at), .. }) = self.budget else {
            return Ok(());
        };
        let reserve = limit.map_or(0, |limit| (limit / RESERVE_PART).min(RESERVE_MAX));
        if remaining > reserve || resets_at <= now {
            return Ok(());
        }
        Err(self.limited(now, resets_at, &format!("only {remaining} requests are left")))
    }

    fn limited(&self, now: DateTime<Utc>, until: DateTime<Utc>, why: &str) -> Problem {
        let until = until.clamp(now + WAIT_MIN, now + WAIT_MAX);
        let error = format!("{} limits how often it is asked: {why}.", self.listing.host());
        let remedy = format!(
            "Nothing to do: the read goes on by itself at {} UTC. A token that nobody else uses is limited later.",
            until.format("%H:%M")
        );
        Problem { continues_at: Some(until), ..Problem::of_all(error, &remedy) }
    }

    fn refused(&self, path: &str, answer: &Answer, now: DateTime<Utc>) -> Problem {
        let (host, status, rights) = (self.listing.host(), answer.status, self.api.token_rights());
        if answer.is_limited() {
            // Where some are left, it is another limit than the one whose end is told.
            let Budget { remaining, resets_at, wait_until, .. } = answer.budget;
            let told = wait_until.or(resets_at.filter(|_| remaining.is_none_or(|remaining| remaining <= 0)));
            return self.limited(now, told.unwrap_or(now + WAIT_UNTOLD), "the limit is used up");
        }
        let path = path.split('?').next().unwrap_or_default();
        match status {
            401 => Problem::of_all(
                format!("{host} answers 401: the token is missing, wrong or expired."),
                &format!("Make {rights}, and enter it below."),
            ),
            403 => Problem::of_one(
                format!("{host} answers 403 to {path}: the token may not read this."),
                &format!("Use {rights}."),
            ),
            404 | 410 => Problem {
                is_gone: true,
                ..Problem::of_one(
                    format!("{host} answers {status} to {path}: it is not there, or the token may not see it."),
                    &format!("Check how the repository is written, and use {rights}."),
                )
            },
            300..=399 => Problem::of_one(
                format!("{host} answers {status} to {path}: it was renamed or moved."),
                "Enter the new name of the repository, or the address that the API has now.",
            ),
            500.. => Problem::of_all(
                format!("{host} answers {status}."),
                "Nothing to do: the next read asks again, from where this one ended.",
            ),
            _ => {
                Problem::of_one(format!("{host} answers {status} to {path}."), "Check the address and the repository.")
            }
        }
    }
}

fn not_answered(error: &AnswerError) -> Problem {
    let remedy = match error {
        AnswerError::Refused(_) | AnswerError::NoAddress(_) => "Correct the address, or allow its network.",
        AnswerError::Elsewhere { .. } => "Enter the address that the server itself names.",
        _ => "Check the address and the network; the next read asks again, from where this one ended.",
    };
    Problem::of_all(error.to_string(), remedy)
}
