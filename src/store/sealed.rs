//! Which keys the secrets in the database are sealed with, and the key file that has to fit them.

use super::seal::{Key, SealError};
use sqlx::PgExecutor;
use std::io;
use std::path::Path;

/// Secrets that are sealed with one key.
#[derive(Debug)]
pub struct SealedWith {
    /// Which key: its id in hexadecimal digits.
    pub key: String,
    /// How many there are.
    pub count: i64,
}

/// The keys of all secrets that are kept, the most used one first.
pub async fn keys(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<SealedWith>> {
    sqlx::query_as!(
        SealedWith,
        r#"SELECT encode(substring(sealed FROM 2 FOR 8), 'hex') AS "key!", count(*) AS "count!"
           FROM (SELECT credentials_sealed AS sealed FROM source_setting
                 UNION ALL SELECT secret_current_sealed FROM event_source
                 UNION ALL SELECT secret_previous_sealed FROM event_source
                 UNION ALL SELECT token_sealed FROM event_read
                 UNION ALL SELECT token_sealed FROM catalogue_source
                 UNION ALL SELECT bearer_token_sealed FROM metric_query) secrets
           WHERE sealed IS NOT NULL
           GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100"#
    )
    .fetch_all(db)
    .await
}

/// The key of this file, which has to be there: for opening what was sealed.
pub async fn load(path: &Path) -> Result<Key, SealError> {
    let file = path.to_owned();
    blocking(path, move || Key::load(&file)).await
}

/// The key of this file, for sealing. Where there is none, one is made, unless secrets are sealed with one already: a
/// second key would leave them behind unnoticed.
pub async fn key(db: impl PgExecutor<'_>, path: &Path) -> Result<Key, SealError> {
    match load(path).await {
        Err(SealError::Missing { .. }) => {}
        loaded => return loaded,
    }
    if let Some(sealed) = keys(db).await?.into_iter().next() {
        return Err(SealError::Lost { path: path.to_owned(), sealed_with: sealed.key });
    }
    let file = path.to_owned();
    blocking(path, move || Key::load_or_create(&file)).await
}

/// What is wrong with the key file for the secrets that are kept, in a sentence.
pub async fn problem(db: impl PgExecutor<'_>, path: &Path) -> sqlx::Result<Option<String>> {
    let sealed = keys(db).await?;
    let Some(first) = sealed.first() else { return Ok(None) };
    let key = match load(path).await {
        Ok(key) => key,
        Err(SealError::Missing { .. }) => {
            return Ok(Some(SealError::Lost { path: path.to_owned(), sealed_with: first.key.clone() }.to_string()));
        }
        Err(error) => return Ok(Some(error.to_string())),
    };
    let at_hand = hex::encode(key.id());
    let others: Vec<&SealedWith> = sealed.iter().filter(|one| one.key != at_hand).collect();
    let Some(other) = others.first() else { return Ok(None) };
    let count: i64 = others.iter().map(|one| one.count).sum();
    Ok(Some(format!(
        "{count} of the secrets that are kept were sealed with another key ({}) than the one in {} ({at_hand}), and \
         cannot be opened: put the right key file back, or enter them anew",
        other.key,
        path.display()
    )))
}

async fn blocking(
    path: &Path,
    load: impl FnOnce() -> Result<Key, SealError> + Send + 'static,
) -> Result<Key, SealError> {
    let loaded = tokio::task::spawn_blocking(load).await;
    loaded.unwrap_or_else(|error| Err(SealError::Io { path: path.to_owned(), error: io::Error::other(error) }))
}
