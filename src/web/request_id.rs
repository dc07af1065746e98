//! The number that joins an answer, its error page and its log lines.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::Span;

tokio::task_local! {
    static CURRENT: (String, bool);
}

/// Where this process began.
static FIRST: OnceLock<u64> = OnceLock::new();
static COUNT: AtomicU64 = AtomicU64::new(0);
/// Odd, so that all numbers come before one comes again; large, so that those after each other do not look alike.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A new id. It tells requests apart and is no secret: the operating system is asked for a random one once.
pub fn new() -> String {
    let first = FIRST.get_or_init(|| {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
        u64::from_ne_bytes(bytes)
    });
    format!("{:016x}", first.wrapping_add(COUNT.fetch_add(STEP, Ordering::Relaxed)))
}

/// Runs work under an id. `is_read` says that the request changes nothing, so that it may be sent again.
pub async fn with<T>(id: String, is_read: bool, work: impl Future<Output = T>) -> T {
    CURRENT.scope((id, is_read), work).await
}

/// The id of the request being worked on; empty outside of one.
pub fn current() -> String {
    CURRENT.try_with(|(id, _)| id.clone()).unwrap_or_default()
}

/// Whether the request being worked on changes nothing; false outside of one.
pub fn is_read() -> bool {
    CURRENT.try_with(|(_, is_read)| *is_read).unwrap_or_default()
}

/// Says something within the span of the request being worked on, also where none was made for it before: most webhooks
/// need none.
pub fn told<T>(tell: impl FnOnce() -> T) -> T {
    match CURRENT.try_with(|(id, _)| id.clone()) {
        Ok(id) if Span::current().is_none() => tracing::info_span!("request", request.id = %id).in_scope(tell),
        _ => tell(),
    }
}

#[cfg(test)]
mod tests {
    use super::{told, with};
    use futures_util::FutureExt;
    use tracing::{Instrument, Span};

    #[test]
    fn what_is_told_has_a_span_where_its_request_has_none() {
        let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry());
        let asked = |span: Span| {
            let telling = async { told(|| Span::current().id()) };
            with("0123456789abcdef".into(), false, telling).instrument(span).now_or_never().flatten()
        };
        assert!(asked(Span::none()).is_some(), "it would not name its request");
        let own = tracing::info_span!("own");
        assert_eq!(asked(own.clone()), own.id());
        assert_eq!(told(|| Span::current().id()), None, "nothing was asked");
    }

    #[test]
    fn ids_have_one_length_and_tell_requests_apart() {
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| super::new()).collect();
        assert!(ids.len() == 1000 && ids.iter().all(|id| id.len() == 16));
    }
}
