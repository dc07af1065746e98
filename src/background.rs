//! Work that nobody waits for on a page gives way to readers, where processors are few.
//!
//! While a bill is loaded and what follows the last one is worked out, more wants to run than a small machine has
//! processors. A page asks its queries one after another, and would wait for its turn with each of them. So what loads and
//! analyses runs at a lower priority: it takes all that readers leave, and loses nothing where there is room for all.

use rustix::process::{Pid, setpriority_process};
use std::{fs, panic, thread};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};

/// A tenth of the share of a reader, where both want the same processor (`sched(7)`: 1.25 to the power of this).
const NICENESS: i32 = 10;

/// Runs what takes long on a thread of its own that gives way, with all threads that it starts itself. Threads of the
/// runtime cannot be used for it: what was lowered may not be raised again, and they go on to serve readers.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let runtime = Handle::current();
    spawn_blocking(move || {
        thread::scope(|scope| {
            let working = scope.spawn(move || {
                let _of_runtime = runtime.enter();
                // Linux takes no number for the thread that asks.
                let lowered = setpriority_process(None, NICENESS);
                tracing::debug!(?lowered, "works in the background");
                work()
            });
            working.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        })
    })
}

/// Lets a process of this machine give way: a backend of the own cluster.
pub fn lower_process(process: i32) {
    let lowered = setpriority_process(Pid::from_raw(process), NICENESS);
    // Linux weighs sessions against each other first, each with a niceness of its own, where nobody made other groups of
    // processes (`sched(7)`, autogrouping); each backend of PostgreSQL is a session.
    let session = fs::write(format!("/proc/{process}/autogroup"), NICENESS.to_string());
    // Where that is not allowed, or there is no such file, it only runs as before.
    tracing::debug!(process, ?lowered, ?session, "gives way to readers");
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;

    #[tokio::test]
    async fn work_gives_way_and_the_runtime_does_not() {
        let before = getpriority_process(None).unwrap();
        let own = spawn(|| (getpriority_process(None).unwrap(), Handle::try_current().is_ok()));
        assert_eq!(own.await.unwrap(), ((before + NICENESS).min(19), true));
        let of_its_own = || thread::spawn(|| getpriority_process(None).unwrap()).join().unwrap();
        assert_eq!(spawn(of_its_own).await.unwrap(), (before + NICENESS).min(19));
        assert_eq!(spawn_blocking(|| getpriority_process(None).unwrap()).await.unwrap(), before);
        assert!(spawn(|| panic!("it ends")).await.unwrap_err().is_panic());
    }
}
