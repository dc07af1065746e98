//! Stores the charge groups and rollup keys of a load that are not stored yet.
//!
//! They are named by their content, so most of a bill's are there from the bill before. New ones go in by COPY, which
//! is several times cheaper than a staging table and an upsert, and fails where another load was faster: then the
//! chunk is looked at again.

use super::again;
use super::group_rows::{KeyedRow, KeyedRows, StagedRows};
use super::import::ImportError;
use super::staging::{copy, rules_fingerprint};
use crate::store::locks;
use rustc_hash::FxHashSet;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

const UNIQUE_VIOLATION: &str = "23505";
/// How often a chunk is looked at again. Each time at least one other load has moved on.
const TRIES_MAX: u32 = 20;

/// Writes one chunk, of which the keys follow from the rules that are named.
pub(super) async fn write(conn: &mut PgConnection, rows: &StagedRows, rules: &str) -> Result<(), ImportError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match write_once(conn, rows, rules).await {
            Err(ImportError::Database(error)) if tries < TRIES_MAX && is_unique_violation(&error) => {}
            Err(ImportError::Database(error)) if tries < TRIES_MAX && again::may_pass(&error) => {
                tokio::time::sleep(again::wait(tries)).await;
            }
            result => return result,
        }
    }
}

// Another load was faster.
fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == UNIQUE_VIOLATION)
}

// A chunk is there for good whatever becomes of the load: its groups must have keys of rules that hold.
async fn write_once(conn: &mut PgConnection, rows: &StagedRows, rules: &str) -> Result<(), ImportError> {
    let mut transaction = conn.begin().await?;
    locks::share_keys(&mut transaction).await?;
    if rules_fingerprint(&mut transaction).await? != rules {
        transaction.rollback().await?;
        return Err(ImportError::RulesChanged);
    }
    write_rollup_keys(&mut transaction, &rows.rollup_keys).await?;
    write_groups(&mut transaction, &rows.groups).await?;
    Ok(transaction.commit().await?)
}

async fn write_rollup_keys(conn: &mut PgConnection, keys: &KeyedRows) -> sqlx::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let rows = keys.in_order();
    let (accounts, ids) = names(&rows);
    let known = sqlx::query_scalar!(
        "SELECT k.rollup_key_id FROM unnest($1::integer[], $2::uuid[]) AS n (sub_account_key, rollup_key_id)
         JOIN rollup_key k USING (sub_account_key, rollup_key_id)",
        &accounts,
        &ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let known: FxHashSet<Uuid> = known.into_iter().collect();
    copy_new(
        conn,
        "COPY rollup_key (sub_account_key, rollup_key_id, provider_name, invoice_issuer_name, billing_account_id,
            sub_account_id, sub_account_name, service_category, service_name, region_id, sku_id, charge_category,
            charge_class, pricing_category, commitment_discount_status, mapping_tags)
         FROM STDIN (FORMAT binary)",
        keys,
        &rows,
        &known,
    )
    .await
}

async fn write_groups(conn: &mut PgConnection, groups: &KeyedRows) -> sqlx::Result<()> {
    let rows = groups.in_order();
    let (accounts, ids) = names(&rows);
    // One that is there has its key already: whoever changes what rules look at gives every group its new one.
    let known = sqlx::query_scalar!(
        "SELECT g.group_id FROM unnest($1::integer[], $2::uuid[]) AS n (sub_account_key, group_id)
         JOIN charge_group g USING (sub_account_key, group_id)",
        &accounts,
        &ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let known: FxHashSet<Uuid> = known.into_iter().collect();
    copy_new(
        conn,
        "COPY charge_group (sub_account_key, group_id, rollup_key_id, resource_id, resource_name, resource_type,
            charge_description, tags, attributes)
         FROM STDIN (FORMAT binary)",
        groups,
        &rows,
        &known,
    )
    .await
}

fn names(rows: &[KeyedRow]) -> (Vec<i32>, Vec<Uuid>) {
    rows.iter().map(|row| (row.sub_account_key, row.id)).unzip()
}

async fn copy_new(
    conn: &mut PgConnection,
    statement: &str,
    keyed: &KeyedRows,
    rows: &[KeyedRow],
    known: &FxHashSet<Uuid>,
) -> sqlx::Result<()> {
    let new: Vec<KeyedRow> = rows.iter().filter(|row| !known.contains(&row.id)).copied().collect();
    if new.is_empty() {
        return Ok(());
    }
    copy(conn, statement, keyed.copy_stream(&new)).await
}
