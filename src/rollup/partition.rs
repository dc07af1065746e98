//! The partition of `charge` that holds one delivery.
//!
//! Its name carries the delivery's number, so these statements cannot be static; numbers are all that is put in.

use super::again;
use crate::store::generations::{GENERATIONS_PER_DELIVERY_MAX, first_id};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// How often a lock that readers stand in the way of is tried for: some fifteen seconds.
const LOCK_TRIES: u32 = 40;
/// The same where another import may hold it until all of its sums are checked: some ten minutes.
const ATTACH_TRIES: u32 = 1200;
/// How long one try may hold up readers that come after it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '50ms'";
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Adds the table, apart from `charge` as yet. The constraint is what lets it be attached without being read again.
/// Its rows come frozen and never change, so that vacuuming it would only take the disk from readers.
pub(super) async fn create(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<()> {
    let (first, end) = (first_id(delivery_id), first_id(delivery_id) + GENERATIONS_PER_DELIVERY_MAX);
    run(
        conn,
        format!(
            "CREATE TABLE charge_d{delivery_id} (LIKE charge,
                CHECK (generation_id IS NOT NULL AND generation_id >= {first} AND generation_id < {end}))
             WITH (autovacuum_enabled = false)"
        ),
    )
    .await
}

/// The table is new in this transaction, so its rows need no later look at their visibility.
pub(super) fn copy_statement(delivery_id: i64) -> String {
    format!(
        "COPY charge_d{delivery_id} (generation_id, sub_account_key, group_id, billing_currency, charge_period_start,
            charge_period_end, billed_cost, effective_cost, list_cost, contracted_cost, pricing_quantity,
            consumed_quantity, measures, line)
         FROM STDIN (FORMAT binary, FREEZE)"
    )
}

/// Indexes the loaded table and makes it a part of `charge`.
pub(super) async fn finish(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<()> {
    run(conn, format!("CREATE INDEX ON charge_d{delivery_id} (group_id, charge_period_start)")).await?;
    let (first, end) = (first_id(delivery_id), first_id(delivery_id) + GENERATIONS_PER_DELIVERY_MAX);
    let attach =
        format!("ALTER TABLE charge ATTACH PARTITION charge_d{delivery_id} FOR VALUES FROM ({first}) TO ({end})");
    with_lock(conn, &[attach], ATTACH_TRIES).await?;
    // The planner joins and narrows by these; nothing asks it about amounts, which take most of the time.
    let columns = "generation_id, sub_account_key, group_id, charge_period_start";
    run(conn, format!("ANALYZE charge_d{delivery_id} ({columns})")).await
}

/// Takes the table away. Where readers stand in the way all the time it stays, and the sweep tries again later.
pub(super) async fn drop(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<()> {
    with_lock(conn, &[format!("DROP TABLE IF EXISTS charge_d{delivery_id}")], LOCK_TRIES).await
}

// Statements that want a lock which readers hold: tried for briefly, again and again, so that nobody waits for long.
async fn with_lock(conn: &mut PgConnection, statements: &[String], tries_max: u32) -> sqlx::Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        // A savepoint where a transaction is open already.
        let mut attempt = conn.begin().await?;
        attempt.execute(LOCK_TIMEOUT).await?;
        let mut result = Ok(());
        for statement in statements {
            result = run(&mut attempt, statement.clone()).await;
            if result.is_err() {
                break;
            }
        }
        match result {
            Ok(()) => {
                attempt.execute("SET LOCAL lock_timeout = 0").await?;
                return attempt.commit().await;
            }
            Err(error) if tries < tries_max && is_lock_timeout(&error) => {
                attempt.rollback().await?;
                tokio::time::sleep(again::wait(tries)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

async fn run(conn: &mut PgConnection, statement: String) -> sqlx::Result<()> {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await.map(std::mem::drop)
}
