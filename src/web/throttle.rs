//! How long a sign-in has to wait. Delays double and end: nobody is shut out for good, and what others try on an
//! account does not hold up a person at an address from which they have signed in before. A browser in which a person
//! has signed in before waits for what was tried in it alone: behind a proxy that the settings do not name everyone has
//! the same address.

use crate::store::seal;
use crate::store::sign_in_failures::{Failures, History};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::LazyLock;

/// Failures older than this are forgotten.
pub const WINDOW: TimeDelta = TimeDelta::hours(1);

/// Of this process only: after a new start failed tries on accounts count from the beginning, those from an
/// address do not.
static KEY: LazyLock<[u8; 32]> = LazyLock::new(seal::random);

/// What stands for a login among the failed tries. The login itself is not kept there: what somebody types into
/// the wrong field may be a password.
pub fn account_key(login: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&*KEY).expect("a key of any length will do");
    mac.update(login.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// What stands for a known browser in the place of an address.
pub fn browser_key(browser_sha256: &[u8]) -> String {
    format!("browser {}", hex::encode(browser_sha256))
}

const PAIR_FREE: i64 = 5;
const ADDRESS_FREE: i64 = 20;
const ACCOUNT_FREE: i64 = 10;
const DELAY_MAX_SECONDS: i64 = 15 * 60;
const ACCOUNT_DELAY_MAX_SECONDS: i64 = 60;

/// Seconds until the next try is looked at; none when it may be now.
pub fn wait_seconds(history: &History, now: DateTime<Utc>) -> Option<u64> {
    let account = if history.known_address { None } else { Some(history.account) };
    let waits = [
        remaining(history.pair, PAIR_FREE, DELAY_MAX_SECONDS, now),
        remaining(history.address, ADDRESS_FREE, DELAY_MAX_SECONDS, now),
        account.map_or(0, |account| remaining(account, ACCOUNT_FREE, ACCOUNT_DELAY_MAX_SECONDS, now)),
    ];
    waits.into_iter().max().filter(|seconds| *seconds > 0).and_then(|seconds| seconds.try_into().ok())
}

// After the free tries 1 s, 2 s, 4 s … counted from the last failure.
fn remaining(failures: Failures, free: i64, max_seconds: i64, now: DateTime<Utc>) -> i64 {
    let (Some(last), true) = (failures.last, failures.count >= free) else { return 0 };
    let doublings = u32::try_from(failures.count - free).unwrap_or(u32::MAX).min(20);
    let delay = TimeDelta::seconds((1_i64 << doublings).min(max_seconds));
    let left_ms = (last + delay - now).num_milliseconds();
    left_ms.max(0).div_euclid(1000) + i64::from(left_ms > 0 && left_ms % 1000 > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(count: i64, seconds_ago: i64) -> Failures {
        Failures { count, last: Some(DateTime::UNIX_EPOCH - TimeDelta::seconds(seconds_ago)) }
    }

    fn wait(pair: Failures, address: Failures, account: Failures, known_address: bool) -> Option<u64> {
        wait_seconds(&History { pair, address, account, known_address }, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn delays_double_and_end() {
        let none = Failures::default();
        assert_eq!(wait(failures(4, 0), none, none, false), None);
        assert_eq!(wait(failures(5, 0), none, none, false), Some(1));
        assert_eq!(wait(failures(8, 0), none, none, false), Some(8));
        assert_eq!(wait(failures(8, 8), none, none, false), None);
        assert_eq!(wait(failures(5000, 0), none, none, false), Some(900));
        assert_eq!(wait(none, failures(20, 0), none, false), Some(1));
    }

    #[test]
    fn others_cannot_shut_a_person_out_of_where_they_usually_are() {
        let none = Failures::default();
        assert_eq!(wait(none, none, failures(5000, 0), false), Some(60));
        assert_eq!(wait(none, none, failures(5000, 0), true), None);
    }
}
