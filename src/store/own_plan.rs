//! Plans for the values that a statement is asked with.
//!
//! PostgreSQL plans a prepared statement once for all values, as soon as it takes that for no worse. Where filters may
//! be absent and days may be any, it is wrong about that: it expects a handful of rows and looks each of them up in a
//! loop. Measured on the demo organisation, cost by charge type took 85 ms so, and 2 ms with a plan of its own.

use sqlx::{Executor, PgConnection};

/// From here on each statement of this transaction is planned for its values. Without a transaction it changes nothing.
pub async fn begin(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("SET LOCAL plan_cache_mode = force_custom_plan").await.map(drop)
}

/// From here on plans may be shared again: most statements are planned longer than they run.
pub async fn end(conn: &mut PgConnection) -> sqlx::Result<()> {
    conn.execute("RESET plan_cache_mode").await.map(drop)
}
