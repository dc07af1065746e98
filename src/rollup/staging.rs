//! What a load writes beside its charges: rollup keys, charge groups, daily sums by key.

use super::group_rows::StagedRows;
use super::groups;
use super::import::ImportError;
use super::reader::{Found, day_row};
use super::timings::{Phase, Timings};
use crate::store::copy_binary::CopyBuffer;
use crate::store::generations;
use sqlx::{Executor, PgConnection};
use tokio::sync::mpsc::Receiver;

const CHUNK_BYTES: usize = 1024 * 1024;
const DAY_COLUMNS: &str = "generation_id, sub_account_key, rollup_key_id, charge_date, billing_currency, charge_count,
    billed_cost, effective_cost, list_cost, contracted_cost, pricing_quantity";

/// What the rules keep apart now. Where it differs after a load, the load used keys of the past.
pub(super) async fn rules_fingerprint(conn: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar!(
        r#"SELECT coalesce((SELECT string_agg(tag_key, ' ' ORDER BY tag_key) FROM mapping_tag_key), '') ||
            ' ' || (SELECT count(*) FROM mapping_detail) AS "rules!""#
    )
    .fetch_one(conn)
    .await
}

/// Writes staged rows until the reader is done, or the rules are others than these.
pub(super) async fn take(
    conn: &mut PgConnection,
    mut staged: Receiver<StagedRows>,
    rules: &str,
    timings: &Timings,
) -> Result<(), ImportError> {
    while let Some(mut rows) = staged.recv().await {
        if !rows.days.is_empty() {
            conn.execute(
                "CREATE TEMPORARY TABLE IF NOT EXISTS staged_day AS SELECT * FROM daily_cost_by_key WITH NO DATA",
            )
            .await?;
            copy(
                conn,
                &format!("COPY staged_day ({DAY_COLUMNS}) FROM STDIN (FORMAT binary)"),
                std::mem::take(&mut rows.days),
            )
            .await?;
        }
        if !rows.groups.is_empty() {
            timings.of(Phase::Groups, groups::write(conn, &rows, rules)).await?;
        }
    }
    Ok(())
}

/// Forgets what an earlier load on this connection set aside.
pub(super) async fn clear_partial_days(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("DROP TABLE IF EXISTS pg_temp.staged_day").await.map(drop)
}

/// Writes the daily sums by key, those that were set aside included.
pub(super) async fn write_days(conn: &mut PgConnection, delivery_id: i64, found: &Found) -> Result<(), ImportError> {
    if found.has_partial_days {
        conn.execute(
            "INSERT INTO daily_cost_by_key (generation_id, sub_account_key, rollup_key_id, charge_date,
                billing_currency, charge_count, billed_cost, effective_cost, list_cost, contracted_cost,
                pricing_quantity)
             SELECT generation_id, sub_account_key, rollup_key_id, charge_date, billing_currency, sum(charge_count),
                sum(billed_cost), sum(effective_cost), sum(list_cost), sum(contracted_cost), sum(pricing_quantity)
             FROM staged_day
             GROUP BY generation_id, rollup_key_id, charge_date, billing_currency, sub_account_key
             ORDER BY generation_id, rollup_key_id, charge_date, billing_currency, sub_account_key",
        )
        .await?;
        return Ok(clear_partial_days(conn).await?);
    }
    // In the order of the primary key, which then fills its pages and is written once.
    let mut order: Vec<u32> = (0..found.days.len() as u32).collect();
    order.sort_unstable_by_key(|&index| {
        let key = &found.days[index as usize].0;
        (key.scope, found.rollup_keys[key.rollup_key as usize].0, key.day, key.currency)
    });
    let first_generation_id = generations::first_id(delivery_id);
    let statement = format!("COPY daily_cost_by_key ({DAY_COLUMNS}) FROM STDIN (FORMAT binary)");
    let mut copying = conn.copy_in_raw(&statement).await?;
    let mut buffer = CopyBuffer::with_capacity(CHUNK_BYTES + 4096);
    buffer.header();
    for index in order {
        let (key, sums) = &found.days[index as usize];
        day_row(&mut buffer, first_generation_id, found, key, sums)?;
        if buffer.len() >= CHUNK_BYTES {
            copying.send(buffer.take()).await?;
        }
    }
    buffer.trailer();
    copying.send(buffer.take()).await?;
    copying.finish().await?;
    Ok(())
}

pub(super) async fn copy(conn: &mut PgConnection, statement: &str, bytes: Vec<u8>) -> sqlx::Result<()> {
    let mut copying = conn.copy_in_raw(statement).await?;
    copying.send(bytes).await?;
    copying.finish().await.map(drop)
}
