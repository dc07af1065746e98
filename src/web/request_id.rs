//! The number that joins an answer, its error page and its log lines.

tokio::task_local! {
    static CURRENT: (String, bool);
}

/// A new id.
pub fn new() -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    hex::encode(bytes)
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
