//! What a load writes beside its charges: rollup keys, charge groups, daily sums by key.

use super::group_rows::StagedRows;
use super::import::ImportError;
use super::reader::{Found, day_row};
use super::timings::{Phase, Timings};
use crate::store::copy_binary::CopyBuffer;
use crate::store::generations;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::mpsc::Receiver;

const CHUNK_BYTES: usize = 1024 * 1024;
const DAY_COLUMNS: &str = "generation_id, sub_account_key, rollup_key_id, charge_date, billing_currency, charge_count,
    billed_cost, effective_cost, list_cost, contracted_cost";

/// What the rules keep apart now. Where it differs after a load, the load used keys of the past.
pub(super) async fn rules_fingerprint(conn: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar!(
        r#"SELECT coalesce((SELECT string_agg(tag_key, ' ' ORDER BY tag_key) FROM mapping_tag_key), '') ||
            coalesce((SELECT string_agg(conditions::text, ' ' ORDER BY mapping_rule_id) FROM mapping_rule
                      WHERE conditions::text LIKE '%"resource_id"%'), '') AS "rules!""#
    )
    .fetch_one(conn)
    .await
}

/// Writes staged rows until the reader is done.
pub(super) async fn take(
    conn: &mut PgConnection,
    mut staged: Receiver<StagedRows>,
    timings: &Timings,
) -> sqlx::Result<()> {
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
            timings.of(Phase::Groups, write_groups(conn, rows)).await?;
        }
    }
    Ok(())
}

// The staging tables are temporary, which compile-time checked queries cannot see: hence plain statements. Rows are
// inserted in the order of their keys, so that two loads never wait for each other.
async fn write_groups(conn: &mut PgConnection, rows: StagedRows) -> sqlx::Result<()> {
    let mut transaction = conn.begin().await?;
    transaction
        .execute("CREATE TEMPORARY TABLE staged_key ON COMMIT DROP AS SELECT * FROM rollup_key WITH NO DATA")
        .await?;
    copy(
        &mut transaction,
        "COPY staged_key (sub_account_key, rollup_key_id, provider_name, invoice_issuer_name, billing_account_id,
            sub_account_id, sub_account_name, service_category, service_name, region_id, sku_id, charge_category,
            charge_class, pricing_category, commitment_discount_status, mapping_tags)
         FROM STDIN (FORMAT binary)",
        rows.rollup_keys,
    )
    .await?;
    transaction
        .execute(
            "INSERT INTO rollup_key (sub_account_key, rollup_key_id, provider_name, invoice_issuer_name,
                billing_account_id, sub_account_id, sub_account_name, service_category, service_name, region_id, sku_id,
                charge_category, charge_class, pricing_category, commitment_discount_status, mapping_tags)
             SELECT sub_account_key, rollup_key_id, provider_name, invoice_issuer_name, billing_account_id,
                sub_account_id, sub_account_name, service_category, service_name, region_id, sku_id, charge_category,
                charge_class, pricing_category, commitment_discount_status, mapping_tags
             FROM staged_key ORDER BY sub_account_key, rollup_key_id
             ON CONFLICT DO NOTHING",
        )
        .await?;
    transaction
        .execute("CREATE TEMPORARY TABLE staged_group ON COMMIT DROP AS SELECT * FROM charge_group WITH NO DATA")
        .await?;
    copy(
        &mut transaction,
        "COPY staged_group (sub_account_key, group_id, rollup_key_id, resource_id, resource_name, resource_type,
            charge_description, tags, attributes)
         FROM STDIN (FORMAT binary)",
        rows.groups,
    )
    .await?;
    transaction
        .execute(
            "INSERT INTO charge_group AS g (sub_account_key, group_id, rollup_key_id, resource_id, resource_name,
                resource_type, charge_description, tags, attributes)
             SELECT DISTINCT ON (sub_account_key, group_id) sub_account_key, group_id, rollup_key_id, resource_id,
                resource_name, resource_type, charge_description, tags, attributes
             FROM staged_group ORDER BY sub_account_key, group_id
             ON CONFLICT (sub_account_key, group_id) DO UPDATE SET rollup_key_id = excluded.rollup_key_id
             WHERE g.rollup_key_id <> excluded.rollup_key_id",
        )
        .await?;
    transaction.commit().await
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
                billing_currency, charge_count, billed_cost, effective_cost, list_cost, contracted_cost)
             SELECT generation_id, sub_account_key, rollup_key_id, charge_date, billing_currency, sum(charge_count),
                sum(billed_cost), sum(effective_cost), sum(list_cost), sum(contracted_cost)
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

async fn copy(conn: &mut PgConnection, statement: &str, bytes: Vec<u8>) -> sqlx::Result<()> {
    let mut copying = conn.copy_in_raw(statement).await?;
    copying.send(bytes).await?;
    copying.finish().await.map(drop)
}
