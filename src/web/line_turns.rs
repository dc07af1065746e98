//! Turns of those who read the lines of bills for a page. Lines that no rollup is kept by are looked for in whole bills,
//! and may hold a connection for far longer than other pages do: without turns a few such readers would take every
//! connection that pages have.

use super::error::{Error, Result};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

/// One of so many connections of pages is for lines. Exports and the recording of deployments have as many each, so that
/// a quarter is always left.
const SHARE: u32 = 4;
/// A reader waits no longer for a turn: holding none, it keeps nobody waiting meanwhile.
const WAIT: Duration = Duration::from_secs(3);
/// When another try is worth it, in seconds.
const RETRY_AFTER_SECONDS: u64 = 10;

/// The turns of one pool.
#[derive(Clone, Debug)]
pub struct LineTurns(Arc<Semaphore>);

impl LineTurns {
    /// A quarter of the connections of this pool, and one at least.
    pub fn of(pool: &PgPool) -> Self {
        let connections = pool.options().get_max_connections();
        Self(Arc::new(Semaphore::new((connections / SHARE).max(1) as usize)))
    }

    /// How many more may read now.
    pub fn free(&self) -> usize {
        self.0.available_permits()
    }

    /// A turn, which ends when it is dropped. Waits a moment for it.
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit> {
        let turn = tokio::time::timeout(WAIT, Arc::clone(&self.0).acquire_owned()).await;
        turn.ok().and_then(std::result::Result::ok).ok_or_else(|| Error::Crowded {
            message: format!("Others are finding lines just now, which may take a while. {NARROW}"),
            retry_after_seconds: RETRY_AFTER_SECONDS,
        })
    }

    /// Reads with a turn. A client that hangs up does not end the statement that the database is at, so that the turn and
    /// the connection end together, with the reading: calling a page again and again takes no second connection.
    pub async fn read<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let turn = self.enter().await?;
        let reading = async move {
            let read = work.await;
            drop(turn);
            read
        };
        match tokio::spawn(reading.in_current_span()).await {
            Ok(read) => read,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime cancels it, and then nobody waits for the answer.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// How to ask for fewer lines.
pub const NARROW: &str = "Narrow them: to a day, a service, an environment or an account; or take all lines of a bill \
                          with \u{201c}costwake export focus\u{201d}.";

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::postgres::PgPoolOptions;

    fn turns(connections: u32) -> LineTurns {
        let pool = PgPoolOptions::new().max_connections(connections).connect_lazy("postgres://localhost/none");
        LineTurns::of(&pool.unwrap())
    }

    #[tokio::test]
    async fn lines_have_a_part_of_the_connections() {
        assert_eq!([16, 5, 2].map(|connections| turns(connections).free()), [4, 1, 1]);
    }

    #[tokio::test]
    async fn a_turn_lasts_as_long_as_the_reading_although_the_client_has_gone() {
        let turns = turns(4);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let client = tokio::time::timeout(Duration::from_millis(50), {
            let turns = turns.clone();
            async move { turns.read(async move { Ok(ended.await.is_ok()) }).await }
        });
        assert!(client.await.is_err(), "it hung up");
        assert_eq!(turns.free(), 0);
        let refused = turns.enter().await.unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.retry_after_seconds()), (503, Some(RETRY_AFTER_SECONDS)));
        assert!(refused.to_string().contains("Narrow them"), "{refused}");
        end.send(()).unwrap();
        assert!(turns.read(async { Ok(true) }).await.unwrap());
        assert_eq!(turns.free(), 1);
    }
}
