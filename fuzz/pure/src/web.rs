//! What a page is asked for.

#[path = "../../../src/web/closed_lists.rs"]
mod closed_lists;
#[path = "../../../src/web/ignored_keys.rs"]
mod ignored_keys;
#[path = "../../../src/web/query.rs"]
pub mod query;
#[path = "../../../src/web/span.rs"]
pub mod span;

/// What a query string can fail with; a page has more.
pub mod error {
    pub const UNSTORABLE: &str = "A value has the character NUL in it.";

    pub type Result<T, E = Error> = std::result::Result<T, E>;

    #[derive(Debug)]
    pub enum Error {
        Invalid(String),
    }
}
