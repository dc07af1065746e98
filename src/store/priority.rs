//! Work that nobody waits for on a page gives way to readers, where processors are few.
//!
//! While a bill is loaded and what follows the last one is worked out, more wants to run than a small machine has
//! processors. A page asks its queries one after another, and would wait for its turn with each of them. So what loads and
//! analyses runs at a lower priority: it takes all that readers leave, and loses nothing where there is room for all.

use rustix::process::{Pid, setpriority_process};
use sqlx::PgConnection;
use std::fs;

/// A tenth of the share of a reader, where both want the same processor (`sched(7)`: 1.25 to the power of this).
const NICENESS: i32 = 10;

/// Lets the backend of a connection give way. Only for a server on this machine: its processes are named by number.
pub(super) async fn lower_backend(conn: &mut PgConnection) -> sqlx::Result<()> {
    let backend = sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "pid!""#).fetch_one(conn).await?;
    let lowered = setpriority_process(Pid::from_raw(backend), NICENESS);
    // Linux weighs sessions against each other first, each with a niceness of its own, where nobody made other groups of
    // processes (`sched(7)`, autogrouping); each backend of PostgreSQL is a session.
    let session = fs::write(format!("/proc/{backend}/autogroup"), NICENESS.to_string());
    // Where that is not allowed, or there is no such file, it only runs as before.
    tracing::debug!(backend, ?lowered, ?session, "gives way to readers");
    Ok(())
}
