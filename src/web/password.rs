//! Passwords: argon2id, two at a time on threads of their own, so that a flood of sign-ins cannot take the
//! memory or the cores of the pages.

use super::{Error, Result};
use anyhow::anyhow;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use std::sync::LazyLock;
use tokio::sync::Semaphore;

const CHARACTERS_MIN: usize = 12;
const BYTES_MAX: usize = 1024;
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

static HASHING: Semaphore = Semaphore::const_new(2);

// Compared with when the account is unknown, so that an unknown login takes as long as a wrong password.
static DUMMY_HASH: LazyLock<Result<String, String>> = LazyLock::new(|| hash_now("no account has this password"));

/// Whether a new password is good enough: length is what counts.
pub fn check(password: &str, login: &str) -> Result<()> {
    let problem = if password.len() > BYTES_MAX {
        "The password is longer than 1,024 bytes."
    } else if password.chars().count() < CHARACTERS_MIN {
        "The password is too short: use at least 12 characters. A few words in a row are fine."
    } else if password.to_lowercase().contains(login) {
        "The password must not contain the login."
    } else if password.chars().collect::<std::collections::HashSet<_>>().len() < 5 {
        "The password repeats too few characters. A few words in a row are fine."
    } else {
        return Ok(());
    };
    Err(Error::Invalid(problem.into()))
}

/// Hashes a password that [`check`] let pass.
pub async fn hash(password: String) -> Result<String> {
    let hash = blocking(move || hash_now(&password)).await?;
    hash.map_err(|error| Error::Internal(anyhow!("hashing a password: {error}")))
}

/// Whether the password fits the hash; without a hash the same work is done and the answer is no.
pub async fn fits(password: String, hash: Option<String>) -> Result<bool> {
    if password.len() > BYTES_MAX {
        return Ok(false);
    }
    blocking(move || {
        let compared = hash.as_deref().or(DUMMY_HASH.as_deref().ok());
        let is_same = compared.is_some_and(|text| argon2().verify_password(password.as_bytes(), text).is_ok());
        hash.is_some() && is_same
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let permit = HASHING.acquire().await.map_err(|error| Error::Internal(error.into()))?;
    let done = tokio::task::spawn_blocking(move || {
        // Held by the thread: a request that is dropped does not let a third hash start beside it.
        let _permit = permit;
        work()
    });
    done.await.map_err(|error| Error::Internal(error.into()))
}

fn hash_now(password: &str) -> Result<String, String> {
    argon2().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("19 MiB, 2 passes, 1 lane are within the limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_stored_as_argon2id_and_long_ones_count_to_the_last_character() {
        let long = "correct horse battery staple ".repeat(4);
        let stored = hash(long.clone()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(fits(long.clone(), Some(stored.clone())).await.unwrap());
        assert!(!fits(long.trim_end().into(), Some(stored)).await.unwrap());
        assert!(!fits("no account has this password".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_huge_password_is_refused_before_it_is_hashed() {
        let began = std::time::Instant::now();
        assert!(!fits("x".repeat(1 << 20), None).await.unwrap());
        assert!(began.elapsed() < std::time::Duration::from_millis(5));
        assert!(check(&"abcdefgh".repeat(200), "someone").is_err());
    }

    #[test]
    fn weak_passwords_are_refused_with_a_reason() {
        for weak in ["short", "aaaaaaaaaaaaaaaa", "my-name-is-finops-lead"] {
            assert!(check(weak, "finops-lead").is_err(), "{weak}");
        }
        assert!(check("four random words here", "finops-lead").is_ok());
    }
}
