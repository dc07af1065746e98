use crate::background;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, Postgres, Row, Transaction};
use std::time::Duration;

/// A read-only transaction in which every query sees the same data: one a page.
pub type Snapshot = Transaction<'static, Postgres>;

/// Separate pools, so that jobs cannot starve pages and neither can starve the health check.
#[derive(Clone, Debug)]
pub struct Pools {
    /// Pages and API.
    pub web: PgPool,
    /// Imports and background work: no statement timeout.
    pub jobs: PgPool,
    /// Storing what senders post, by tasks that are never cancelled. A connection each, whose statements stay prepared.
    pub intake: PgPool,
    /// `/readyz` only.
    pub health: PgPool,
}

// `fitness::SERVER_CONNECTIONS` is the sum of all.
const WEB_CONNECTIONS_MAX: u32 = 16;
const JOB_CONNECTIONS_MAX: u32 = 8;
/// As many as write at once.
pub const INTAKE_CONNECTIONS: u32 = 3;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection for storing what senders post that rested longer is asked whether it still works.
const UNASKED_MAX: Duration = Duration::from_secs(1);

impl Pools {
    /// Opens the pools; connections are made when first needed.
    pub fn connect_lazy(options: PgConnectOptions) -> Self {
        Self::with(options, guarded(JOB_CONNECTIONS_MAX))
    }

    /// The same, of a server on this machine and for nobody else: there background work gives way to readers.
    pub fn of_own_cluster(options: PgConnectOptions) -> Self {
        let giving_way = guarded(JOB_CONNECTIONS_MAX).after_connect(|connection, _| {
            Box::pin(async move {
                check_settings(connection).await?;
                let backend: i32 = connection.fetch_one("SELECT pg_backend_pid()").await?.try_get(0)?;
                background::lower_process(backend);
                Ok(())
            })
        });
        Self::with(options, giving_way)
    }

    fn with(options: PgConnectOptions, of_jobs: PgPoolOptions) -> Self {
        // The ROLLBACK of `guarded` mostly has nothing to end, and the server would say so each time.
        let options = options.options([("client_min_messages", "error")]);
        let web = options.clone().options([
            ("statement_timeout", "5000"),
            ("idle_in_transaction_session_timeout", "15000"),
            ("timezone", "UTC"),
        ]);
        let jobs = options.options([("timezone", "UTC")]);
        // Its one statement is long, and what is bound to it changes nothing of its plan: it is planned once.
        let intake = web.clone().options([("plan_cache_mode", "force_generic_plan")]);
        Self {
            web: guarded(WEB_CONNECTIONS_MAX).connect_lazy_with(web.clone()),
            jobs: of_jobs.acquire_timeout(Duration::from_secs(30)).connect_lazy_with(jobs),
            intake: unguarded(INTAKE_CONNECTIONS).connect_lazy_with(intake),
            health: guarded(2).connect_lazy_with(web),
        }
    }

    /// Each with its name in metrics.
    pub fn by_name(&self) -> [(&'static str, &PgPool); 4] {
        [("web", &self.web), ("jobs", &self.jobs), ("intake", &self.intake), ("health", &self.health)]
    }

    /// One consistent view for a page: REPEATABLE READ, READ ONLY.
    pub async fn snapshot(&self) -> sqlx::Result<Snapshot> {
        self.web.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }
}

/// Options of a pool that is safe to use from handlers which may be dropped at any time.
///
/// sqlx 0.9.0 can hand back a connection inside a transaction when a request was cancelled (transact-rs/sqlx
/// #4385); the next writer's acknowledged write would then be lost. So whoever borrows a connection first ends
/// what is open on it. A plain ROLLBACK each time would do too, but writes a warning into the server's log.
pub fn guarded(connections_max: u32) -> PgPoolOptions {
    of_all(connections_max)
        .test_before_acquire(true)
        .before_acquire(|connection, _| Box::pin(end_open_transaction(connection)))
}

/// Options of a pool for tasks that end what they began. In a flood nothing is asked before a connection is used, since
/// none rests; one that rested may have lost its server meanwhile, and is asked within the time for getting one.
fn unguarded(connections_max: u32) -> PgPoolOptions {
    of_all(connections_max).test_before_acquire(false).before_acquire(|connection, about| {
        let has_rested = about.idle_for > UNASKED_MAX;
        Box::pin(async move {
            if has_rested {
                connection.ping().await?;
            }
            Ok(true)
        })
    })
}

fn of_all(connections_max: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| Box::pin(check_settings(connection)))
}

// Outside of a transaction a statement begins its own, at the same instant. Unprepared on purpose: the parts of a
// prepared statement have instants of their own. In a transaction that failed the question fails too.
async fn end_open_transaction(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let row = connection.fetch_one("SELECT now() <> statement_timestamp()").await;
    let is_open = match row {
        Ok(row) => row.try_get::<bool, _>(0)?,
        Err(sqlx::Error::Database(_)) => true,
        Err(error) => return Err(error),
    };
    if is_open {
        tracing::warn!("Ended a transaction that a cancelled request had left open");
        connection.execute("ROLLBACK").await?;
    }
    Ok(true)
}

// A connection pooler in between may drop what is asked for at the start of a connection, and days would then
// begin at another hour.
async fn check_settings(connection: &mut PgConnection) -> sqlx::Result<()> {
    let row = connection.fetch_one("SELECT current_setting('TimeZone'), current_setting('server_encoding')").await?;
    let (zone, encoding): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    if zone != "UTC" || encoding != "UTF8" {
        let problem = format!(
            "the database connection has time zone {zone} and encoding {encoding}; Costwake needs UTC and UTF8. \
             A connection pooler must pass the options of a connection on, and the database must be made with UTF8."
        );
        return Err(sqlx::Error::Configuration(problem.into()));
    }
    Ok(())
}
