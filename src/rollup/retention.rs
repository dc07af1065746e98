//! What is thrown away: lines of generations that nobody will go back to, and what dead loads left behind.

use super::partition;
use crate::store::Pools;
use crate::store::deliveries::{self, NewDelivery};
use crate::store::generations::{GENERATIONS_PER_DELIVERY_MAX, first_id};
use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};

/// Locks of loads: this, and the delivery's number.
const LOAD_LOCK: i64 = 0x636f_7374_0000_0000;

/// Records a delivery and marks it as being worked on for as long as the connection lives.
pub(super) async fn begin_delivery(alive: &mut PgConnection, new: &NewDelivery<'_>) -> sqlx::Result<Begun> {
    let mut transaction = alive.begin().await?;
    let (delivery_id, append_object) = deliveries::insert(&mut *transaction, new).await?;
    // A lock of the session, taken before anybody can see the row.
    sqlx::query!("SELECT pg_advisory_lock($1)", LOAD_LOCK + delivery_id).execute(&mut *transaction).await?;
    transaction.commit().await?;
    let version_basis = new.version_basis.to_owned();
    Ok(Begun { delivery_id, version_at: new.version_at, version_basis, append_object })
}

/// A delivery that this process works on.
#[derive(Debug)]
pub(super) struct Begun {
    pub delivery_id: i64,
    pub version_at: DateTime<Utc>,
    pub version_basis: String,
    pub append_object: String,
}

/// Takes up a delivery that waits for its file, or that an earlier try did not bring to an end. None where it did.
pub(super) async fn resume_delivery(
    pools: &Pools,
    alive: &mut PgConnection,
    delivery_id: i64,
) -> anyhow::Result<Option<Begun>> {
    let is_free = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "is_free!""#, LOAD_LOCK + delivery_id)
        .fetch_one(&mut *alive)
        .await?;
    anyhow::ensure!(is_free, "delivery {delivery_id} is being read by another process");
    let mut transaction = alive.begin().await?;
    let Some(delivery) = deliveries::lock(&mut *transaction, delivery_id).await? else {
        anyhow::bail!("there is no delivery {delivery_id}");
    };
    if !matches!(delivery.state.as_str(), "waiting" | "loading" | "failed") {
        return Ok(None);
    }
    deliveries::start_again(&mut transaction, delivery_id).await?;
    transaction.commit().await?;
    discard(pools, delivery_id).await?;
    Ok(Some(Begun {
        delivery_id,
        version_at: delivery.version_at,
        version_basis: delivery.version_basis,
        append_object: delivery.append_object,
    }))
}

/// Takes away what a load left that is not to be counted. What ever counted stays.
pub(super) async fn discard(pools: &Pools, delivery_id: i64) -> sqlx::Result<()> {
    let mut conn = pools.jobs.acquire().await?;
    let (first, end) = (first_id(delivery_id), first_id(delivery_id) + GENERATIONS_PER_DELIVERY_MAX);
    let mut transaction = conn.begin().await?;
    sqlx::query!("DELETE FROM generation WHERE delivery_id = $1 AND state IN ('loading', 'ready')", delivery_id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!(
        "DELETE FROM daily_cost_by_key d WHERE generation_id >= $1 AND generation_id < $2
           AND NOT EXISTS (SELECT FROM generation g WHERE g.generation_id = d.generation_id)",
        first,
        end
    )
    .execute(&mut *transaction)
    .await?;
    // A generation whose lines are not kept any more needs no table either, though its figures stay.
    let has_lines = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM generation WHERE delivery_id = $1 AND has_charges) AS "has_lines!""#,
        delivery_id
    )
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    if has_lines { Ok(()) } else { partition::drop(&mut conn, delivery_id).await }
}

/// Takes away scopes of a delivery that were loaded aside and never counted; others of it are.
pub(super) async fn discard_scopes(conn: &mut PgConnection, generation_ids: &[i64]) -> sqlx::Result<()> {
    if generation_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!("DELETE FROM charge WHERE generation_id = ANY($1)", generation_ids).execute(&mut *conn).await?;
    forget_scopes(conn, generation_ids).await
}

/// Takes away all scopes of a delivery that were loaded aside and never counted, but for their lines: these go with
/// their table when the sweep comes.
pub(super) async fn forget_scopes(conn: &mut PgConnection, generation_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM daily_cost_by_key WHERE generation_id = ANY($1)", generation_ids)
        .execute(&mut *conn)
        .await?;
    sqlx::query!("DELETE FROM generation WHERE generation_id = ANY($1) AND state = 'ready'", generation_ids)
        .execute(conn)
        .await?;
    Ok(())
}

/// Drops the lines and the sums by key of generations older than the current one and the one before it. Their daily
/// and monthly sums stay.
pub async fn drop_old_charges(pools: &Pools) -> sqlx::Result<()> {
    let mut conn = pools.jobs.acquire().await?;
    let old = sqlx::query!(
        "SELECT generation_id, delivery_id FROM (
             SELECT generation_id, delivery_id, state, has_charges,
                 row_number() OVER (
                     PARTITION BY source_id, billing_account_id, billing_period_start, append_object
                     ORDER BY state = 'current' DESC, generation_id DESC) AS place
             FROM generation WHERE state IN ('current', 'superseded', 'withdrawn')
         ) ranked
         WHERE place > 2 AND has_charges AND state <> 'current'
           AND NOT EXISTS (SELECT FROM generation c
                           WHERE c.state = 'current' AND c.replaced_generation_id = ranked.generation_id)"
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<i64> = old.iter().map(|row| row.generation_id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut transaction = conn.begin().await?;
    crate::store::locks::lock_ledger(&mut transaction).await?;
    let dropped: Vec<i64> = sqlx::query_scalar!(
        "UPDATE generation SET has_charges = false WHERE generation_id = ANY($1) AND state <> 'current'
         RETURNING generation_id",
        &ids
    )
    .fetch_all(&mut *transaction)
    .await?;
    sqlx::query!("DELETE FROM daily_cost_by_key WHERE generation_id = ANY($1)", &dropped)
        .execute(&mut *transaction)
        .await?;
    let unused = sqlx::query_scalar!(
        "SELECT DISTINCT delivery_id FROM generation g WHERE generation_id = ANY($1)
           AND NOT EXISTS (SELECT FROM generation o WHERE o.delivery_id = g.delivery_id AND o.has_charges)",
        &dropped
    )
    .fetch_all(&mut *transaction)
    .await?;
    // Where other scopes of the file still need theirs, its partition stays and only these lines go.
    sqlx::query!(
        "DELETE FROM charge WHERE generation_id = ANY($1) AND NOT generation_id / 4096 = ANY($2)",
        &dropped,
        &unused
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    for delivery_id in unused {
        partition::drop(&mut conn, delivery_id).await?;
    }
    Ok(())
}

/// Clears up after loads that died: nothing of them was counted. Gives the number of deliveries that had failed.
pub async fn sweep(pools: &Pools, now: DateTime<Utc>) -> sqlx::Result<u64> {
    let mut conn = pools.jobs.acquire().await?;
    let loading =
        sqlx::query_scalar!("SELECT delivery_id FROM delivery WHERE state = 'loading'").fetch_all(&mut *conn).await?;
    let mut failed = 0;
    for delivery_id in loading {
        if is_alive(&mut conn, delivery_id).await? {
            continue;
        }
        // The load may have ended since the list was made.
        let marked = sqlx::query!(
            "UPDATE delivery SET state = 'failed', finished_at = $2,
                source_id = coalesce(source_id, (SELECT s.source_id FROM source s WHERE s.name = named_source)),
                reason = 'The import was interrupted; nothing of it is counted. Hand the file in again.'
             WHERE delivery_id = $1 AND state = 'loading'",
            delivery_id,
            now
        )
        .execute(&mut *conn)
        .await?;
        failed += marked.rows_affected();
    }
    drop(conn);
    for delivery_id in leftovers(pools).await? {
        discard(pools, delivery_id).await?;
    }
    drop_old_charges(pools).await?;
    Ok(failed)
}

async fn is_alive(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<bool> {
    let is_free = sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_lock($1) AND pg_advisory_unlock($1) AS "is_free!""#,
        LOAD_LOCK + delivery_id
    )
    .fetch_one(conn)
    .await?;
    Ok(!is_free)
}

// Deliveries that are done and not counted, of which something is still stored.
async fn leftovers(pools: &Pools) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"SELECT d.delivery_id FROM delivery d
         WHERE d.state IN ('failed', 'refused', 'unchanged')
           AND (to_regclass('charge_d' || d.delivery_id) IS NOT NULL
                OR EXISTS (SELECT FROM generation g WHERE g.delivery_id = d.delivery_id)
                OR EXISTS (SELECT FROM daily_cost_by_key k
                           WHERE k.generation_id >= d.delivery_id * 4096
                             AND k.generation_id < (d.delivery_id + 1) * 4096))
         UNION
         SELECT substr(c.relname, 9)::bigint FROM pg_class c
         WHERE c.relname ~ '^charge_d[0-9]+$' AND c.relkind = 'r'
           AND NOT EXISTS (SELECT FROM generation g WHERE 'charge_d' || g.delivery_id = c.relname AND g.has_charges)
           AND NOT EXISTS (SELECT FROM delivery d WHERE 'charge_d' || d.delivery_id = c.relname AND d.state = 'loading')
         ORDER BY 1"#
    )
    .fetch_all(&pools.jobs)
    .await
    .map(|ids| ids.into_iter().flatten().collect())
}
