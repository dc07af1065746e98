//! Says of each rollup key whose it is, again after a rule, a name or the catalogue changed.
//!
//! Bills are not read for that: a key's daily costs move as they are. Only a rule that looks at a tag or a resource
//! that keys do not carry yet makes `rekey` look at the charges.

use super::again::{self, Tries};
use super::mapped_keys::{self, KeyChange, Which};
use super::mapper::Mapper;
use super::moved_costs::{self, Moves};
use super::{map_deployments, map_operational_events, pipeline_deployments, rekey, splits};
use crate::store::catalogue::team_share;
use crate::store::{Pools, jobs, locks};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// What a remap did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct RemapReport {
    /// Keys that the rules were asked about.
    pub keys_asked: u64,
    /// Keys that have another service or environment now.
    pub keys_moved: u64,
    /// Entries that rules added to the catalogue.
    pub entries_added: u64,
    /// Entries of teams for what has no service that nothing is under any more.
    pub entries_removed: u64,
    /// Deployments that have other services or another environment now, or that are one, or none, since a rule says
    /// so of a pipeline's run.
    pub deployments_moved: u64,
    /// Charge groups that were keyed again, because a rule looks at something new.
    pub groups_keyed: u64,
    /// Generations whose rollups were added up again.
    pub generations_rebuilt: u64,
    /// The number under which readers see the change; none where nothing moved.
    pub publication_id: Option<i64>,
}

/// Maps the keys that no rule was asked about yet, and adds the catalogue entries that the rules call for.
///
/// A load calls it in its transaction after it inserted its keys and before it adds up `daily_cost`. From here to
/// the end of that transaction no rule changes: the ledger's lock is held.
pub async fn map_new_keys(conn: &mut PgConnection) -> anyhow::Result<usize> {
    locks::lock_ledger(conn).await?;
    let mut mapper = Mapper::load(conn).await?;
    let (_, changes) = mapped_keys::changes_with_teams(conn, &mut mapper, Which::NotMappedYet).await?;
    let added = mapper.add_missing(conn, changes.iter().flat_map(KeyChange::assignments)).await?;
    mapped_keys::apply(conn, &mapper, &changes).await?;
    // A rule that only knows names may have missed one that another rule has just added, and so may what stands beside
    // deployments, which adds none.
    let may_miss = mapper.charges.may_miss_names() || mapper.deployments.may_miss_names();
    if added > 0 && (may_miss || !map_operational_events::naming_added(conn, &mapper).await?.is_empty()) {
        jobs::enqueue(conn, "remap", "", &serde_json::json!({})).await?;
    }
    Ok(changes.len())
}

/// Maps everything again in a transaction of its own. Run twice, the second changes nothing.
pub async fn remap(pools: &Pools, by: &str, now: DateTime<Utc>) -> anyhow::Result<RemapReport> {
    let mut tries = Tries::default();
    loop {
        let result = remap_once(pools, by, now).await;
        let may_pass = result.as_ref().err().and_then(|error| error.downcast_ref()).is_some_and(again::may_pass);
        if !tries.another(may_pass).await {
            return result;
        }
    }
}

async fn remap_once(pools: &Pools, by: &str, now: DateTime<Utc>) -> anyhow::Result<RemapReport> {
    let mut transaction = pools.jobs.begin().await?;
    begin(&mut transaction).await?;
    let report = remap_within(&mut transaction, by, now).await?;
    transaction.commit().await?;
    Ok(report)
}

/// Takes the locks of a change of rules or names. Whoever makes one calls it first, then changes, then calls
/// [`remap_within`]: readers see the rule and its effect together.
pub async fn begin(conn: &mut PgConnection) -> sqlx::Result<()> {
    locks::lock_ledger(&mut *conn).await?;
    locks::lock_mapping(&mut *conn).await?;
    locks::tell_progress(conn, "waiting for the rules").await
}

/// Maps everything again within the caller's transaction, after [`begin`].
pub async fn remap_within(conn: &mut PgConnection, by: &str, now: DateTime<Utc>) -> anyhow::Result<RemapReport> {
    let mut mapper = Mapper::load(&mut *conn).await?;
    let rekeyed = rekey::rekey(&mut *conn, &mapper.charges).await?;

    locks::tell_progress(&mut *conn, "asking the rules").await?;
    let (keys_asked, changes) = mapped_keys::changes_with_teams(&mut *conn, &mut mapper, Which::All).await?;
    mapper.add_missing(&mut *conn, changes.iter().flat_map(KeyChange::assignments)).await?;
    mapped_keys::apply(&mut *conn, &mapper, &changes).await?;

    locks::tell_progress(&mut *conn, "adding up").await?;
    let mut moves = Moves { pairs: rekeyed.pairs, generation_ids: rekeyed.generation_ids, ..Moves::default() };
    for change in &changes {
        moves.add(change, &mapper);
    }
    let generations_rebuilt = moved_costs::rebuild(&mut *conn, &moves).await?;
    // A service that is gone may have had a share and no cost of its own: no key moved then.
    let shares_are_gone = splits::names_gone(&mut *conn).await?;
    if generations_rebuilt > 0 || shares_are_gone {
        splits::work_out(&mut *conn, None).await?;
    }

    let moved = map_deployments::map_all(&mut *conn, &mut mapper).await?.len();
    let made_or_gone = pipeline_deployments::derive_again(&mut *conn, &mapper).await?;
    map_operational_events::map_all(&mut *conn, &mapper).await?;
    // The entry of a team is no longer needed where the rule that gave it cost is gone.
    let entries_removed = team_share::remove_unused(&mut *conn).await?;
    let deployments_moved = (moved + made_or_gone) as u64;
    let mut report = RemapReport {
        keys_asked,
        keys_moved: moves.rollup_key_ids.len() as u64,
        entries_added: mapper.entries_added() as u64,
        entries_removed,
        deployments_moved,
        groups_keyed: rekeyed.group_count,
        generations_rebuilt,
        publication_id: None,
    };
    let moves_cost = shares_are_gone || report.keys_moved > 0 || generations_rebuilt > 0;
    if moves_cost {
        report.publication_id = Some(publish_as(conn, "remap", by, now).await?);
    } else if !changes.is_empty() || report.entries_added + report.entries_removed + report.deployments_moved > 0 {
        // Which rule gives a key to its service, and the values of its dimensions, are shown as well.
        report.publication_id = Some(publish_without_cost(conn, by, now).await?);
    }
    Ok(report)
}

/// Works all shared costs out anew after a change of splits, within the caller's transaction after
/// [`begin`], and gives readers' pages a new number.
pub async fn work_out_splits(conn: &mut PgConnection, by: &str, now: DateTime<Utc>) -> anyhow::Result<()> {
    locks::tell_progress(&mut *conn, "working out shared costs").await?;
    splits::work_out(&mut *conn, None).await?;
    publish_splits(conn, by, now).await?;
    Ok(())
}

/// Works all shared costs out anew in a transaction of its own. Run twice, the second changes nothing.
pub async fn work_out_splits_again(pools: &Pools, by: &str, now: DateTime<Utc>) -> anyhow::Result<()> {
    let mut transaction = pools.jobs.begin().await?;
    begin(&mut transaction).await?;
    let before = splits::moved_mark(&mut transaction).await?;
    splits::work_out(&mut transaction, None).await?;
    if splits::moved_mark(&mut transaction).await? != before {
        publish_splits(&mut transaction, by, now).await?;
    }
    Ok(transaction.commit().await?)
}

/// Gives readers' pages a new number after shared costs were worked out anew.
pub async fn publish_splits(conn: &mut PgConnection, by: &str, now: DateTime<Utc>) -> sqlx::Result<i64> {
    publish_as(conn, "split", by, now).await
}

/// Gives readers' pages a new number: names, owners, deployments or values of dimensions have changed, and no cost of a
/// service.
pub async fn publish_without_cost(conn: &mut PgConnection, by: &str, now: DateTime<Utc>) -> sqlx::Result<i64> {
    publish_as(conn, "catalogue", by, now).await
}

async fn publish_as(conn: &mut PgConnection, kind: &str, by: &str, now: DateTime<Utc>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO publication (kind, published_at, published_by) VALUES ($3, $1, $2) RETURNING publication_id",
        now,
        by,
        kind,
    )
    .fetch_one(conn)
    .await
}
