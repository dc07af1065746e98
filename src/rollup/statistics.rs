//! What the planner knows of tables that grew. PostgreSQL looks after that by itself, once a minute: until then, pages
//! that are opened right after the first bill would be planned for tables without rows, and take a second.

use crate::store::Pools;
use sqlx::{Executor, PgConnection};

/// What a load writes before anybody sees it, by the columns that queries join and narrow by: nothing asks the planner
/// about amounts, which take most of the time.
const LOADED: [Grown; 3] = [
    Grown("rollup_key", "ANALYZE rollup_key"),
    Grown("charge_group", "ANALYZE charge_group (sub_account_key, group_id, rollup_key_id, resource_id)"),
    Grown(
        "daily_cost_by_key",
        "ANALYZE daily_cost_by_key (generation_id, sub_account_key, rollup_key_id, charge_date, billing_currency)",
    ),
];
/// What publishing writes.
const PUBLISHED: [Grown; 3] = [
    Grown("key_mapping", "ANALYZE key_mapping"),
    Grown(
        "daily_cost",
        "ANALYZE daily_cost (service_id, charge_date, environment_id, generation_id, provider_name, charge_category,
            billing_currency, split_id)",
    ),
    Grown("monthly_cost", "ANALYZE monthly_cost"),
];

/// A table, and the statement that has it looked at.
struct Grown(&'static str, &'static str);

/// Has the planner look at what a load wrote, where it knows nothing of it, or less than half.
pub(super) async fn of_loaded(conn: &mut PgConnection) {
    tell(look(conn, &LOADED).await);
}

/// The same of what a publication wrote.
pub(super) async fn of_published(pools: &Pools) {
    tell(async { look(&mut *pools.jobs.acquire().await?, &PUBLISHED).await }.await);
}

// Figures are the same without, so that nothing fails by it.
fn tell(looked: sqlx::Result<()>) {
    if let Err(error) = looked {
        tracing::warn!("Tables that grew could not be looked at: {error}");
    }
}

async fn look(conn: &mut PgConnection, tables: &[Grown]) -> sqlx::Result<()> {
    let names: Vec<String> = tables.iter().map(|table| table.0.to_owned()).collect();
    let grown = sqlx::query_scalar!(
        r#"SELECT name AS "name!" FROM unnest($1::text[]) AS t (name) JOIN pg_class c ON c.oid = to_regclass(name)
           WHERE c.reltuples < 0
              OR pg_relation_size(c.oid) > 2 * c.relpages::bigint * current_setting('block_size')::bigint"#,
        &names
    )
    .fetch_all(&mut *conn)
    .await?;
    for Grown(name, statement) in tables {
        if grown.iter().any(|grown| grown == name) {
            conn.execute(*statement).await?;
        }
    }
    Ok(())
}
