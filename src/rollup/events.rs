//! What senders told becomes deployments, changes, releases and pipeline runs: stored deliveries are read by their
//! adapter, written down, mapped to services and environments, and judged beside their neighbors in time.
//!
//! The result does not depend on the order in which deliveries came, nor on how often one came or was read.

use super::map_deployments::map_deployments;
use super::map_operational_events::map_operational_events;
use super::pipeline_deployments;
use crate::events::{self, Event, EventError, EventKind, Headers};
use crate::store::deployment_history::{self, Places};
use crate::store::event_deliveries::{self, Unread};
use crate::store::{changes, deployments, event_sources, locks, operational_events, pipeline_runs, releases};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

/// After so many failures that might have passed, a delivery is an error.
const FAILURES_MAX: i32 = 5;

/// How reading went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Deliveries that told something.
    pub done: u64,
    /// Deliveries of no use.
    pub ignored: u64,
    /// Deliveries that could not be read; each says why.
    pub failed: u64,
}

/// Reads all deliveries that were not read yet, each in a transaction of its own.
///
/// One that cannot be written down holds up no other. Where the reason may pass it is tried again later, and the
/// first such reason is the error that comes back once all others were read.
pub async fn read_new(pool: &PgPool) -> anyhow::Result<Reading> {
    let mut reading = Reading::default();
    let mut put_off = Vec::new();
    let mut first_error = None;
    loop {
        match read_next(pool, &put_off).await? {
            Step::Read("done") => reading.done += 1,
            Step::Read("ignored") => reading.ignored += 1,
            Step::Read(_) => reading.failed += 1,
            Step::PutOff(event_delivery_id, error) => {
                put_off.push(event_delivery_id);
                first_error.get_or_insert(error);
            }
            Step::NothingLeft => return first_error.map_or(Ok(reading), Err),
        }
    }
}

enum Step {
    // The state that the delivery has now.
    Read(&'static str),
    PutOff(i64, anyhow::Error),
    NothingLeft,
}

async fn read_next(pool: &PgPool, put_off: &[i64]) -> anyhow::Result<Step> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    let Some(unread) = event_deliveries::next_unread(&mut transaction, put_off).await? else {
        return Ok(Step::NothingLeft);
    };
    match record_delivery(&mut transaction, &unread).await {
        Ok(state) => {
            transaction.commit().await?;
            Ok(Step::Read(state))
        }
        Err(error) => {
            transaction.rollback().await?;
            failed(pool, unread.event_delivery_id, error).await
        }
    }
}

async fn failed(pool: &PgPool, event_delivery_id: i64, error: anyhow::Error) -> anyhow::Result<Step> {
    let fault = fault_of(&error);
    if fault == Fault::NotItsOwn {
        return Err(error);
    }
    let mut connection = pool.acquire().await?;
    if fault == Fault::MayPass {
        let failures = event_deliveries::count_failure(&mut connection, event_delivery_id).await?;
        if failures < FAILURES_MAX {
            return Ok(Step::PutOff(event_delivery_id, error));
        }
    }
    let reason = format!("{error:#}");
    event_deliveries::set_state(&mut connection, event_delivery_id, "error", Some(&reason)).await?;
    Ok(Step::Read("error"))
}

/// Waits until nobody else changes rules or writes down events. The first statement of a transaction that
/// records something.
pub async fn lock(conn: &mut PgConnection) -> sqlx::Result<()> {
    locks::share_mapping(conn).await?;
    locks::lock_events(conn).await
}

// Whose fault it is that a delivery could not be written down.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    // The delivery's: it never will be.
    ItsOwn,
    // The next try may do it.
    MayPass,
    // The database is away, or the rules cannot be read: no delivery is to blame.
    NotItsOwn,
}

fn fault_of(error: &anyhow::Error) -> Fault {
    if error.is::<EventError>() {
        return Fault::ItsOwn;
    }
    match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(error)) => fault_of_code(&error.code().unwrap_or_default()),
        Some(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_)) => Fault::ItsOwn,
        _ => Fault::NotItsOwn,
    }
}

// SQLSTATE: 08 is the connection, 57P the server's own coming and going, 40 a deadlock, 53 a lack of room, 57014 and
// 55P03 a wait that took too long. All others come again with the same values.
fn fault_of_code(code: &str) -> Fault {
    match code {
        "" => Fault::NotItsOwn,
        _ if code.starts_with("08") || code.starts_with("57P") => Fault::NotItsOwn,
        _ if ["40", "53", "57"].iter().any(|class| code.starts_with(class)) || code == "55P03" => Fault::MayPass,
        _ => Fault::ItsOwn,
    }
}

async fn record_delivery(conn: &mut PgConnection, unread: &Unread) -> anyhow::Result<&'static str> {
    let headers: Headers = serde_json::from_value(unread.headers.clone())
        .map_err(|error| EventError::Unfit(format!("its headers are not readable: {error}")))?;
    let events = events::read(&unread.sender, &headers, &unread.body, unread.received_at)?;
    record(conn, unread.event_source_id, unread.event_delivery_id, unread.received_at, &events).await?;
    let is_ignored = events.iter().all(|event| event.kind == EventKind::Ignore);
    let reason = events.iter().find_map(|event| event.reason.as_deref());
    let (state, reason) = if is_ignored { ("ignored", reason) } else { ("done", None) };
    event_deliveries::set_state(conn, unread.event_delivery_id, state, reason).await?;
    Ok(state)
}

/// Writes down what a delivery told, instead of what it told when it was read before. The caller holds [`lock`].
/// Returns the deployments that it told of.
pub async fn record(
    conn: &mut PgConnection,
    event_source_id: i64,
    event_delivery_id: i64,
    received_at: DateTime<Utc>,
    events: &[Event],
) -> anyhow::Result<Vec<i64>> {
    let mut told = deployments::forget_delivery(conn, event_delivery_id).await?;
    let mut context = operational_events::forget_delivery(conn, event_delivery_id).await?;
    for event in events {
        match event.kind {
            EventKind::Deployment => {
                told.push(deployments::tell(conn, event_source_id, event_delivery_id, event, received_at).await?);
            }
            EventKind::Change => {
                let closed_at = event.finished_at.or(event.occurred_at).unwrap_or(received_at);
                changes::upsert(conn, repo(event)?, event, closed_at).await?;
            }
            EventKind::Push if event.is_default_branch => {
                let pushed_at = event.finished_at.unwrap_or(received_at);
                changes::insert_commits(conn, repo(event)?, &event.commits, pushed_at).await?;
            }
            EventKind::Release => {
                releases::upsert(conn, repo(event)?, event, received_at).await?;
            }
            EventKind::PipelineRun => {
                pipeline_runs::upsert(conn, event_source_id, event_delivery_id, event, received_at).await?;
                let source_name = event_sources::name(conn, event_source_id).await?;
                for event in pipeline_deployments::deployments_of(conn, &source_name, event).await? {
                    told.push(deployments::tell(conn, event_source_id, event_delivery_id, &event, received_at).await?);
                }
            }
            kind if kind.is_context() => {
                context.push(
                    operational_events::tell(conn, event_source_id, event_delivery_id, event, received_at).await?,
                );
            }
            // What is pushed to another branch counts once it is merged.
            _ => {}
        }
    }
    settle_context(conn, context).await?;
    told.sort_unstable();
    told.dedup();
    settle(conn, told).await
}

fn repo(event: &Event) -> Result<&str, EventError> {
    event.repo.as_deref().ok_or_else(|| EventError::Unfit("the repository is not named".into()))
}

// Makes these operational events what was told of them, and maps them.
async fn settle_context(conn: &mut PgConnection, mut operational_event_ids: Vec<i64>) -> anyhow::Result<()> {
    operational_event_ids.sort_unstable();
    operational_event_ids.dedup();
    let mut kept = Vec::new();
    for operational_event_id in operational_event_ids {
        if operational_events::refresh(conn, operational_event_id).await? {
            kept.push(operational_event_id);
        }
    }
    if kept.is_empty() { Ok(()) } else { map_operational_events(conn, &kept).await }
}

/// Makes these deployments what their statuses say, maps them, and judges them beside their neighbors in time.
/// Returns those that there still are.
pub(super) async fn settle(conn: &mut PgConnection, deployment_ids: Vec<i64>) -> anyhow::Result<Vec<i64>> {
    let mut places = Places::default();
    deployment_history::add_places(conn, &mut places, &deployment_ids).await?;
    let mut kept = Vec::new();
    for deployment_id in deployment_ids {
        if deployments::refresh(conn, deployment_id).await? {
            kept.push(deployment_id);
        }
    }
    if !kept.is_empty() {
        map_deployments(conn, &kept).await?;
    }
    deployment_history::add_places(conn, &mut places, &kept).await?;
    deployment_history::judge_places(conn, &places, &kept).await?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for code in ["40P01", "40001", "53100", "57014", "55P03"] {
            assert_eq!(fault_of_code(code), Fault::MayPass, "{code}");
        }
        for code in ["54000", "22P02", "23505", "42804", "55000"] {
            assert_eq!(fault_of_code(code), Fault::ItsOwn, "{code}");
        }
        for code in ["08006", "57P01", "57P03", ""] {
            assert_eq!(fault_of_code(code), Fault::NotItsOwn, "{code}");
        }
        assert_eq!(fault_of(&EventError::Unfit("x".into()).into()), Fault::ItsOwn);
        assert_eq!(fault_of(&sqlx::Error::PoolTimedOut.into()), Fault::NotItsOwn);
        assert_eq!(fault_of(&anyhow::anyhow!("a rule is not readable")), Fault::NotItsOwn);
    }
}
