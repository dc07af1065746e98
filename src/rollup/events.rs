//! What senders told becomes deployments, changes, releases and pipeline runs: stored deliveries are read by their
//! adapter, written down, mapped to services and environments, and judged beside their neighbors in time.
//!
//! The result does not depend on the order in which deliveries came, nor on how often one came or was read: read again,
//! each tells what its adapter makes of it now, and nothing else.

use super::map_deployments::map_deployments;
use super::map_operational_events::map_operational_events;
use super::pipeline_deployments::{self, Attempt, RunRules};
use super::told_already::{self, ToldDeployment};
use super::told_rows::{Origin, ToldRows};
use crate::events::{self, Event, EventError, EventKind, Headers};
use crate::store::deployment_history::{self, Places};
use crate::store::deployments::Touched;
use crate::store::event_deliveries::{self, End, Unread};
use crate::store::{deployment_rounds, deployments, event_sources, locks, operational_events};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// After so many failures that might have passed, a delivery is an error.
const FAILURES_MAX: i32 = 5;

/// Deliveries read in one transaction: what they have in common is done once, and others wait no longer than that for
/// the lock.
const BATCH_MAX: i64 = 50;
/// Bodies in memory at once.
const BATCH_BYTES_MAX: i64 = 8 << 20;
/// How fast they come is told by so many of the last.
const LAST: i64 = 1_000;
/// As many as can be read a second while they come, with some room. From twice as many on reading rests once as long as it
/// worked, and once more for each so many more.
const A_SECOND_A_REST: i64 = 500;
/// How long reading rests in a flood, as a multiple of how long it worked, and at most.
const RESTS_MAX: i64 = 19;
const REST_MAX: Duration = Duration::from_secs(2);

/// How reading went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Deliveries that told something.
    pub done: u64,
    /// Deliveries of no use.
    pub ignored: u64,
    /// Deliveries that could not be read, or a part of which could not; each says why.
    pub failed: u64,
}

impl Reading {
    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.ignored += other.ignored;
        self.failed += other.failed;
    }

    fn count(&mut self, state: &str) {
        match state {
            "done" => self.done += 1,
            "ignored" => self.ignored += 1,
            _ => self.failed += 1,
        }
    }
}

/// Reads all deliveries that were not read yet, many in a transaction.
///
/// One that cannot be written down holds up no other: what was read with it is read again, each in a transaction of its
/// own. Where the reason may pass it is tried again later, and the first such reason is the error that comes back once
/// all others were read. While many wait, all deliveries of a year say, what has just come does not wait behind them:
/// they are read from both ends in turn.
pub async fn read_new(pool: &PgPool) -> anyhow::Result<Reading> {
    let mut reader = Reader { pool, reading: Reading::default(), put_off: Vec::new(), first_error: None };
    let mut alone = 0;
    let mut end = End::Oldest;
    loop {
        let began = Instant::now();
        let count_max = if alone > 0 { 1 } else { BATCH_MAX };
        match reader.read_next(end, count_max).await? {
            Step::Read { is_full } => {
                alone = i64::max(0, alone - 1);
                // Those that are read alone stand at one end.
                if alone == 0 {
                    end = if end == End::Oldest { End::Newest } else { End::Oldest };
                }
                if is_full {
                    let_others_work(pool, began.elapsed()).await?;
                }
            }
            Step::OneByOne(count) => alone = count,
            Step::NothingLeft => return reader.first_error.map_or(Ok(reader.reading), Err),
        }
    }
}

// While a flood lasts, taking it in comes first: what is stored can be read afterwards. What can be read as it comes is no
// flood, so that nothing falls behind for good, and what waited is read at full speed beside it.
async fn let_others_work(pool: &PgPool, worked: Duration) -> anyhow::Result<()> {
    let since = event_deliveries::last_came_since(&mut *pool.acquire().await?, LAST).await?;
    let rests = since.map_or(0, rests);
    if rests > 0 {
        tokio::time::sleep((worked * rests).min(REST_MAX)).await;
    }
    Ok(())
}

// How many times as long as it worked reading rests where the last came within this time. One that is still to come tells
// nothing: the clocks differ.
fn rests(since: TimeDelta) -> u32 {
    let a_second = (LAST * 1_000).checked_div(since.num_milliseconds()).unwrap_or_default();
    u32::try_from((a_second / A_SECOND_A_REST - 1).clamp(0, RESTS_MAX)).unwrap_or_default()
}

enum Step {
    // As many as there might be at once, or fewer.
    Read { is_full: bool },
    // So many could not be read together.
    OneByOne(i64),
    NothingLeft,
}

struct Reader<'a> {
    pool: &'a PgPool,
    reading: Reading,
    put_off: Vec<i64>,
    first_error: Option<anyhow::Error>,
}

impl Reader<'_> {
    async fn read_next(&mut self, end: End, count_max: i64) -> anyhow::Result<Step> {
        let mut transaction = self.pool.begin().await?;
        lock(&mut transaction).await?;
        let unread =
            event_deliveries::next_unread(&mut transaction, end, &self.put_off, count_max, BATCH_BYTES_MAX).await?;
        let count = unread.len() as i64;
        let Some(first) = unread.first() else { return Ok(Step::NothingLeft) };
        match record_deliveries(&mut transaction, &unread).await {
            Ok(reading) => {
                transaction.commit().await?;
                self.reading.add(reading);
                Ok(Step::Read { is_full: count > 1 && count == count_max })
            }
            Err(error) => {
                transaction.rollback().await?;
                if count > 1 && fault_of(&error) != Fault::NotItsOwn {
                    return Ok(Step::OneByOne(count));
                }
                self.failed(first.event_delivery_id, error).await?;
                Ok(Step::Read { is_full: false })
            }
        }
    }

    async fn failed(&mut self, event_delivery_id: i64, error: anyhow::Error) -> anyhow::Result<()> {
        let reason = format!("{error:#}");
        match fault_of(&error) {
            Fault::NotItsOwn => return Err(error),
            Fault::MayPass => {
                let mut connection = self.pool.acquire().await?;
                let failures = event_deliveries::count_failure(&mut connection, event_delivery_id).await?;
                if failures < FAILURES_MAX {
                    self.put_off.push(event_delivery_id);
                    self.first_error.get_or_insert(error);
                    return Ok(());
                }
                event_deliveries::set_state(&mut connection, event_delivery_id, "error", Some(&reason)).await?;
            }
            Fault::ItsOwn => self.take_back(event_delivery_id, &reason).await?,
        }
        self.reading.failed += 1;
        Ok(())
    }

    // Read again, it tells nothing any more: what it told when it was read before is forgotten, and what others told of
    // the same stays. Where that cannot be done either, it is an error all the same, and holds up no other.
    async fn take_back(&self, event_delivery_id: i64, reason: &str) -> anyhow::Result<()> {
        let mut transaction = self.pool.begin().await?;
        lock(&mut transaction).await?;
        // Between the failure and here another instance may have read it.
        if !event_deliveries::lock_unread(&mut transaction, event_delivery_id).await? {
            return Ok(());
        }
        let forgotten = forget(&mut transaction, event_delivery_id).await;
        let reason = match forgotten {
            Ok(()) => {
                event_deliveries::set_state(&mut transaction, event_delivery_id, "error", Some(reason)).await?;
                return Ok(transaction.commit().await?);
            }
            Err(error) if fault_of(&error) == Fault::NotItsOwn => return Err(error),
            Err(error) => format!("{reason}; what it told before stays: {error:#}"),
        };
        transaction.rollback().await?;
        let mut connection = self.pool.acquire().await?;
        Ok(event_deliveries::set_state(&mut connection, event_delivery_id, "error", Some(&reason)).await?)
    }
}

async fn forget(conn: &mut PgConnection, event_delivery_id: i64) -> anyhow::Result<()> {
    let mut told = Told::default();
    told.forget(conn, &[event_delivery_id]).await?;
    told.settle(conn).await.map(drop)
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

// What several deliveries told of one deployment is put together once.
async fn record_deliveries(conn: &mut PgConnection, all: &[Unread]) -> anyhow::Result<Reading> {
    let mut told = Told::default();
    let mut reading = Reading::default();
    let ids: Vec<i64> = all.iter().map(|unread| unread.event_delivery_id).collect();
    told.forget(conn, &ids).await?;
    for unread in all {
        let headers: Headers = serde_json::from_value(unread.headers.clone())
            .map_err(|error| EventError::Unfit(format!("its headers are not readable: {error}")))?;
        let events = events::read(&unread.sender, &headers, &unread.body, unread.received_at)?;
        let from = Origin {
            event_source_id: unread.event_source_id,
            event_delivery_id: unread.event_delivery_id,
            received_at: unread.received_at,
        };
        write_down(conn, &mut told, from, &events).await?;
        let (state, reason) = outcome(&events);
        event_deliveries::set_state(conn, unread.event_delivery_id, state, reason.as_deref()).await?;
        reading.count(state);
    }
    told.settle(conn).await?;
    Ok(reading)
}

// A delivery of which a part could not be read is an error that says which: somebody has to know. The rest is there. What
// is of no use in one that tells something is told beside it.
fn outcome(events: &[Event]) -> (&'static str, Option<String>) {
    if let Some(reason) = events::unreadable_parts(events) {
        return ("error", Some(reason));
    }
    let ignored = || events.iter().filter(|event| event.kind == EventKind::Ignore);
    let reason = ignored().find_map(|event| event.reason.clone());
    if ignored().count() == events.len() { ("ignored", reason) } else { ("done", reason) }
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
    let mut told = Told::default();
    told.forget(conn, &[event_delivery_id]).await?;
    write_down(conn, &mut told, Origin { event_source_id, event_delivery_id, received_at }, events).await?;
    told.settle(conn).await
}

// What deliveries told something of, or no longer do.
#[derive(Default)]
struct Told {
    deployments: Vec<Touched>,
    operational_event_ids: Vec<i64>,
    rows: ToldRows,
    // Runs that may be told as deployments by others already.
    attempts: BTreeSet<Attempt>,
    // As they are while these deliveries are read: none changes them, and what is added to the catalogue comes later.
    run_rules: Option<RunRules>,
}

impl Told {
    // Forgets what deliveries told when they were read before.
    async fn forget(&mut self, conn: &mut PgConnection, event_delivery_ids: &[i64]) -> sqlx::Result<()> {
        self.deployments.extend(deployments::forget_deliveries(conn, event_delivery_ids).await?);
        self.operational_event_ids.extend(operational_events::forget_deliveries(conn, event_delivery_ids).await?);
        self.rows.forget(conn, event_delivery_ids).await
    }

    async fn settle(mut self, conn: &mut PgConnection) -> anyhow::Result<Vec<i64>> {
        self.attempts.extend(self.rows.forgotten_attempts(conn).await?);
        self.rows.settle(conn).await?;
        let rules = match self.run_rules {
            Some(rules) => rules,
            None => RunRules::load(conn).await?,
        };
        // Deployments may add an environment, where what happened beside them belongs.
        let kept = if rules.are_any() {
            let (kept, changed) = settle_watching(conn, &self.deployments).await?;
            pipeline_deployments::derive_beside(conn, self.attempts, &changed).await?;
            kept
        } else {
            settle(conn, &self.deployments).await?
        };
        settle_context(conn, self.operational_event_ids).await?;
        Ok(kept)
    }
}

async fn write_down(conn: &mut PgConnection, told: &mut Told, from: Origin, events: &[Event]) -> anyhow::Result<()> {
    let Origin { event_source_id, event_delivery_id, received_at } = from;
    let deployments = &mut told.deployments;
    let context = &mut told.operational_event_ids;
    for event in events {
        let event = &event.clone().with_repository_names();
        match event.kind {
            EventKind::Deployment => {
                let told = deployments::tell(conn, event_source_id, event_delivery_id, event, received_at).await?;
                deployments.push(told);
            }
            EventKind::Change | EventKind::Release => told.rows.tell(conn, from, event).await?,
            EventKind::Push if event.is_default_branch => told.rows.tell(conn, from, event).await?,
            EventKind::PipelineRun => {
                told.rows.tell(conn, from, event).await?;
                let source_name = event_sources::name(conn, event_source_id).await?;
                let rules = match &mut told.run_rules {
                    Some(rules) => rules,
                    none => none.insert(RunRules::load(conn).await?),
                };
                if rules.are_any() {
                    told.attempts.insert(pipeline_deployments::attempt_of(event_source_id, event));
                }
                for event in rules.deployments_of(&source_name, event) {
                    let told = deployments::tell(conn, event_source_id, event_delivery_id, &event, received_at).await?;
                    deployments.push(told);
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
    Ok(())
}

// Makes these operational events what was told of them, and maps them. A service that one takes away is live no longer.
async fn settle_context(conn: &mut PgConnection, mut operational_event_ids: Vec<i64>) -> anyhow::Result<()> {
    operational_event_ids.sort_unstable();
    operational_event_ids.dedup();
    let mut places = Places::default();
    deployment_history::add_removals(conn, &mut places, &operational_event_ids).await?;
    let mut kept = Vec::new();
    for operational_event_id in operational_event_ids {
        if operational_events::refresh(conn, operational_event_id).await? {
            kept.push(operational_event_id);
        }
    }
    if !kept.is_empty() {
        map_operational_events(conn, &kept).await?;
    }
    deployment_history::add_removals(conn, &mut places, &kept).await?;
    Ok(deployment_history::judge_places(conn, &places, &[]).await?)
}

/// Makes these deployments what their statuses say, maps them, and judges them beside their neighbors in time.
/// Returns those that there still are.
pub(super) async fn settle(conn: &mut PgConnection, touched: &[Touched]) -> anyhow::Result<Vec<i64>> {
    let deployment_ids = deployment_rounds::part(conn, touched).await?;
    settle_parted(conn, &deployment_ids).await
}

// The same; and those that were told as deployments, as they were and as they are, where that is not the same: runs of
// pipelines may be told by them, or are no longer.
async fn settle_watching(
    conn: &mut PgConnection,
    touched: &[Touched],
) -> anyhow::Result<(Vec<i64>, Vec<ToldDeployment>)> {
    let deployment_ids = deployment_rounds::part(conn, touched).await?;
    let before = told_already::load(conn, Some(&deployment_ids), (None, None)).await?;
    let kept = settle_parted(conn, &deployment_ids).await?;
    let after = told_already::load(conn, Some(&deployment_ids), (None, None)).await?;
    Ok((kept, told_already::changed(before, after)))
}

async fn settle_parted(conn: &mut PgConnection, deployment_ids: &[i64]) -> anyhow::Result<Vec<i64>> {
    let mut places = Places::default();
    deployment_history::add_places(conn, &mut places, deployment_ids).await?;
    let mut kept = Vec::new();
    for deployment_id in deployment_ids.iter().copied() {
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
    fn reading_rests_the_longer_the_faster_they_come_and_not_while_it_keeps_up() {
        for (milliseconds, expected) in
            [(60_000, 0), (1_001, 0), (1_000, 1), (500, 3), (200, 9), (100, 19), (10, 19), (0, 0), (-5_000, 0)]
        {
            assert_eq!(rests(TimeDelta::milliseconds(milliseconds)), expected, "{milliseconds} ms");
        }
    }

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
