use std::sync::LazyLock;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

static RUNNING: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// Runs a write so that a client which hangs up cannot cut it in the middle: axum drops a handler when its
/// connection closes, and sqlx 0.9.0 then loses the next writer's write (see `store::pools`).
///
/// A panic in `work` goes on in the handler, where it becomes the neutral error page.
pub async fn detached<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match RUNNING.spawn(work.in_current_span()).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime cancels it, and then nobody waits for the answer.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Waits until all detached work is done: the last thing before the process ends.
pub async fn wait_for_detached() {
    RUNNING.close();
    RUNNING.wait().await;
    RUNNING.reopen();
}
