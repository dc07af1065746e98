//! Whether a body comes from someone who knows the secret that sender and receiver share. Compared in constant time.

use super::senders::Proof;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

/// How far the sender's clock may be off where it signs the time, in seconds.
const CLOCK_SECONDS_MAX: u64 = 300;
/// More signatures in one header are not looked at.
const SIGNATURES_MAX: usize = 10;
/// Of HMAC-SHA512, the longest.
const SIGNATURE_BYTES_MAX: usize = 64;
/// Secrets of the Standard Webhooks scheme begin with this; base64 follows.
const STANDARD_WEBHOOKS: &str = "whsec_";
/// Where a sender that cannot sign may put the secret.
const TOKEN_HEADER: &str = "x-costwake-token";

/// The headers of which one must be there before anything of a body is read.
pub fn proof_headers(proof: Proof) -> &'static [&'static str] {
    match proof {
        Proof::Sha256Prefixed("x-hub-signature-256") => &["x-hub-signature-256"],
        Proof::Sha256Prefixed(_) => &["x-hub-signature"],
        Proof::NamedAlgorithm(_) => &["x-signature"],
        Proof::Versioned("circleci-signature") => &["circleci-signature"],
        Proof::Versioned(_) => &["x-pagerduty-signature"],
        Proof::Sha256Plain(_) => &["x-ld-signature"],
        Proof::Sha512Plain(_) => &["x-tfe-notification-signature"],
        Proof::Gitlab => &["webhook-signature", "x-gitlab-token"],
        Proof::Token => &["authorization", TOKEN_HEADER],
        Proof::HoneycombTeam => &["x-honeycomb-team", "authorization", TOKEN_HEADER],
    }
}

/// Why a request does not prove who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproven {
    /// It carries nothing that would prove it.
    Missing,
    /// Its signature is another than the secret and the body make.
    Wrong,
    /// Its token is not the secret.
    UnknownToken,
    /// It says that it was signed more than five minutes ago, or ahead.
    TooOld,
}

impl Unproven {
    const ALL: [Self; 4] = [Self::Missing, Self::Wrong, Self::UnknownToken, Self::TooOld];

    /// In the database.
    pub fn key(self) -> &'static str {
        match self {
            Self::Missing => "signature_missing",
            Self::Wrong => "signature_wrong",
            Self::UnknownToken => "token_unknown",
            Self::TooOld => "too_old",
        }
    }

    /// The one of this key.
    pub fn of(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.key() == key)
    }

    /// In a sentence about a request of a sender that proves itself in this way.
    pub fn words(self, proof: Proof) -> &'static str {
        match self {
            Self::Missing if matches!(proof, Proof::Token | Proof::HoneycombTeam) => "the token is missing",
            Self::Missing => "the signature is missing",
            Self::Wrong => "the signature does not fit",
            Self::UnknownToken => "the token is unknown",
            Self::TooOld => "the signature is too old, or a clock is wrong",
        }
    }
}

/// Why a request is not proven, of one that is not.
pub fn unproven<'a>(proof: Proof, header: impl Fn(&str) -> Option<&'a str>, now: DateTime<Utc>) -> Unproven {
    let has = |name: &str| header(name).is_some_and(|value| !value.trim().is_empty());
    if !proof_headers(proof).iter().any(|name| has(name)) {
        return Unproven::Missing;
    }
    match proof {
        Proof::Token | Proof::HoneycombTeam => Unproven::UnknownToken,
        Proof::Gitlab if header("webhook-signature").is_none() => Unproven::UnknownToken,
        Proof::Gitlab if header("webhook-timestamp").is_some_and(|time| !is_recent(time, now)) => Unproven::TooOld,
        _ => Unproven::Wrong,
    }
}

/// A secret in the form that the sender takes, from 32 random bytes.
pub fn new_secret(proof: Proof, random: &[u8; 32]) -> String {
    match proof {
        Proof::Gitlab => format!("{STANDARD_WEBHOOKS}{}", BASE64.encode(random)),
        _ => hex::encode(random),
    }
}

/// Whether a request carries a signature where its sender may show a plain token instead.
pub fn is_signed<'a>(proof: Proof, header: impl Fn(&str) -> Option<&'a str>) -> bool {
    matches!(proof, Proof::Gitlab) && header("webhook-signature").is_some()
}

/// Whether one of these secrets fits. `header` gives a header's value by lower-case name.
pub fn is_proven<'a>(
    proof: Proof,
    secrets: &[Vec<u8>],
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
    now: DateTime<Utc>,
) -> bool {
    // An empty secret would let anyone in.
    let mut secrets = secrets.iter().map(Vec::as_slice).filter(|secret| !secret.is_empty());
    match proof {
        Proof::Sha256Prefixed(name) => {
            header(name).is_some_and(|value| secrets.any(|secret| is_signed_by(secret, body, value)))
        }
        Proof::NamedAlgorithm(name) => {
            header(name).is_some_and(|value| secrets.any(|secret| fits_named(secret, body, value)))
        }
        Proof::Versioned(name) => {
            header(name).is_some_and(|value| secrets.any(|secret| fits_versioned(secret, body, value)))
        }
        Proof::Sha256Plain(name) => {
            header(name).is_some_and(|value| secrets.any(|secret| fits::<Hmac<Sha256>>(secret, body, value)))
        }
        Proof::Sha512Plain(name) => {
            header(name).is_some_and(|value| secrets.any(|secret| fits::<Hmac<Sha512>>(secret, body, value)))
        }
        // A delivery that carries a signature must carry one that fits, also where its token would.
        Proof::Gitlab => match header("webhook-signature") {
            Some(signature) => {
                let told = header("webhook-id").zip(header("webhook-timestamp"));
                told.is_some_and(|(id, time)| {
                    is_recent(time, now) && secrets.any(|secret| fits_standard(secret, id, time, body, signature))
                })
            }
            None => {
                header("x-gitlab-token").is_some_and(|token| secrets.any(|secret| is_same(secret, token.as_bytes())))
            }
        },
        Proof::Token => has_token(secrets, header),
        Proof::HoneycombTeam => match header("x-honeycomb-team") {
            Some(team) => secrets.any(|secret| is_same(secret, team.as_bytes())),
            None => has_token(secrets, header),
        },
    }
}

/// Whether `header` (`sha256=<hex>`) is the HMAC-SHA256 of the raw body under this secret. Other algorithms, SHA-1
/// among them, are not accepted.
pub fn is_signed_by(secret: &[u8], body: &[u8], header: &str) -> bool {
    header.trim().strip_prefix("sha256=").is_some_and(|digits| fits::<Hmac<Sha256>>(secret, body, digits))
}

fn fits<M: Mac + KeyInit>(secret: &[u8], body: &[u8], digits: &str) -> bool {
    let mut bytes = [0; SIGNATURE_BYTES_MAX];
    let digits = digits.trim();
    let Some(signature) = bytes.get_mut(..digits.len() / 2) else { return false };
    if secret.is_empty() || hex::decode_to_slice(digits, signature).is_err() {
        return false;
    }
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(secret) else { return false };
    mac.update(body);
    mac.verify_slice(signature).is_ok()
}

fn fits_named(secret: &[u8], body: &[u8], header: &str) -> bool {
    match header.trim().split_once('=') {
        Some(("sha256", digits)) => fits::<Hmac<Sha256>>(secret, body, digits),
        Some(("sha384", digits)) => fits::<Hmac<Sha384>>(secret, body, digits),
        Some(("sha512", digits)) => fits::<Hmac<Sha512>>(secret, body, digits),
        _ => false,
    }
}

// Several signatures stand there while the sender changes its secret. Versions that are not known prove nothing.
fn fits_versioned(secret: &[u8], body: &[u8], header: &str) -> bool {
    let mut signatures = header.split(',').take(SIGNATURES_MAX).filter_map(|part| part.trim().strip_prefix("v1="));
    signatures.any(|digits| fits::<Hmac<Sha256>>(secret, body, digits))
}

// Standard Webhooks: base64 of the HMAC-SHA256 of "id.timestamp.body".
fn fits_standard(secret: &[u8], id: &str, time: &str, body: &[u8], header: &str) -> bool {
    let key = match secret.strip_prefix(STANDARD_WEBHOOKS.as_bytes()) {
        Some(encoded) => match BASE64.decode(encoded) {
            Ok(key) if !key.is_empty() => key,
            _ => return false,
        },
        None => secret.to_vec(),
    };
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(&key) else { return false };
    mac.update(format!("{id}.{time}.").as_bytes());
    mac.update(body);
    let parts = header.split_whitespace().take(SIGNATURES_MAX).filter_map(|part| part.strip_prefix("v1,"));
    parts.filter_map(|part| BASE64.decode(part).ok()).any(|signature| mac.clone().verify_slice(&signature).is_ok())
}

fn is_recent(time: &str, now: DateTime<Utc>) -> bool {
    time.trim().parse::<i64>().is_ok_and(|seconds| seconds.abs_diff(now.timestamp()) <= CLOCK_SECONDS_MAX)
}

fn has_token<'a, 'b>(mut secrets: impl Iterator<Item = &'b [u8]>, header: impl Fn(&str) -> Option<&'a str>) -> bool {
    let Some(token) =
        header(TOKEN_HEADER).map(|token| token.as_bytes().to_vec()).or_else(|| authorized(header("authorization")?))
    else {
        return false;
    };
    secrets.any(|secret| is_same(secret, &token))
}

// The token of "Bearer …", or the password of "Basic …" under any name.
fn authorized(header: &str) -> Option<Vec<u8>> {
    let (scheme, value) = header.trim().split_once(' ')?;
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(value.trim().as_bytes().to_vec()),
        "basic" => {
            let pair = BASE64.decode(value.trim()).ok()?;
            let colon = pair.iter().position(|byte| *byte == b':')?;
            Some(pair[colon + 1..].to_vec())
        }
        _ => None,
    }
}

// By digest, so that not even the length is told.
fn is_same(secret: &[u8], given: &[u8]) -> bool {
    !secret.is_empty() && Sha256::digest(secret).ct_eq(&Sha256::digest(given)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4231, test case 2.
    const DIGITS: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

    #[test]
    fn only_the_right_secret_and_the_same_bytes_fit() {
        let (secret, body) = (b"Jefe", b"what do ya want for nothing?");
        assert!(is_signed_by(secret, body, &format!("sha256={DIGITS}")));
        assert!(is_signed_by(secret, body, &format!("sha256={}", DIGITS.to_uppercase())));
        assert!(!is_signed_by(b"jefe", body, &format!("sha256={DIGITS}")));
        assert!(!is_signed_by(secret, b"what do ya want for nothing? ", &format!("sha256={DIGITS}")));
        for header in [
            "",
            "sha256=",
            DIGITS,
            "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            "sha256=zz",
            &format!("sha256={}", &DIGITS[..62]),
        ] {
            assert!(!is_signed_by(secret, body, header), "{header}");
        }
        assert!(!is_signed_by(b"", b"", "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"));
    }

    fn proven(proof: Proof, secret: &str, headers: &[(&str, &str)], body: &[u8], now: i64) -> bool {
        let header = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        is_proven(proof, &[secret.as_bytes().to_vec()], header, body, DateTime::from_timestamp(now, 0).unwrap())
    }

    /// Whoever sends nothing that proves it is not told that something does not fit.
    #[test]
    fn what_is_missing_is_told_from_what_does_not_fit() {
        let why = |proof: Proof, headers: &[(&str, &str)]| {
            let header = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            unproven(proof, header, DateTime::from_timestamp(1_614_265_330, 0).unwrap())
        };
        for sender in &crate::events::WEBHOOK_SENDERS {
            assert_eq!(why(sender.proof, &[("x-other", "1")]), Unproven::Missing, "{}", sender.key);
            for name in proof_headers(sender.proof) {
                assert_eq!(why(sender.proof, &[(*name, " ")]), Unproven::Missing, "{}: {name}", sender.key);
                let is_token = *name == "x-gitlab-token" || matches!(sender.proof, Proof::Token | Proof::HoneycombTeam);
                let expected = if is_token { Unproven::UnknownToken } else { Unproven::Wrong };
                assert_eq!(why(sender.proof, &[(*name, "sha256=00")]), expected, "{}: {name}", sender.key);
            }
        }
        let signed = |time| [("webhook-signature", "v1,AAAA"), ("webhook-timestamp", time)];
        assert_eq!(why(Proof::Gitlab, &signed("1614265330")), Unproven::Wrong);
        assert_eq!(why(Proof::Gitlab, &signed("1614265029")), Unproven::TooOld);
        for one in Unproven::ALL {
            assert_eq!(Unproven::of(one.key()), Some(one));
        }
    }

    // The example of the Standard Webhooks specification.
    #[test]
    fn gitlab_signs_id_time_and_body_or_shows_its_token() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let (id, time, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", br#"{"test": 2432232314}"#);
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let signed = [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signature)];
        assert!(proven(Proof::Gitlab, secret, &signed, body, 1_614_265_330));
        assert!(proven(Proof::Gitlab, secret, &signed, body, 1_614_265_629));
        assert!(!proven(Proof::Gitlab, secret, &signed, body, 1_614_265_631));
        // A time that is still to come is no better than one that is past.
        assert!(proven(Proof::Gitlab, secret, &signed, body, 1_614_265_030));
        assert!(!proven(Proof::Gitlab, secret, &signed, body, 1_614_265_029));
        assert!(!proven(Proof::Gitlab, secret, &signed, body, 0));
        assert!(!proven(Proof::Gitlab, secret, &signed, b"{}", 1_614_265_330));
        let token = [("x-gitlab-token", secret)];
        assert!(proven(Proof::Gitlab, secret, &token, body, 0));
        assert!(!proven(Proof::Gitlab, secret, &[("x-gitlab-token", "whsec_")], body, 0));
        // A signature that does not fit is not saved by a token that does.
        let both = [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", "v1,AAAA"), token[0]];
        assert!(!proven(Proof::Gitlab, secret, &both, body, 1_614_265_330));
    }

    #[test]
    fn a_token_in_any_of_its_places() {
        let basic = format!("Basic {}", BASE64.encode("anyone:s3:cret"));
        for header in
            [("authorization", "Bearer s3:cret"), ("authorization", basic.as_str()), (TOKEN_HEADER, "s3:cret")]
        {
            assert!(proven(Proof::Token, "s3:cret", &[header], b"", 0), "{header:?}");
            assert!(!proven(Proof::Token, "s3:crex", &[header], b"", 0), "{header:?}");
            assert!(!proven(Proof::Token, "", &[header], b"", 0), "{header:?}");
        }
        for header in [("authorization", "s3:cret"), ("authorization", "Digest s3:cret"), ("authorization", "Basic !")]
        {
            assert!(!proven(Proof::Token, "s3:cret", &[header], b"", 0), "{header:?}");
        }
        assert!(proven(Proof::HoneycombTeam, "s", &[("x-honeycomb-team", "s")], b"", 0));
    }

    #[test]
    fn one_of_several_versioned_signatures_is_enough() {
        let proof = Proof::Versioned("x-pagerduty-signature");
        let body = b"what do ya want for nothing?";
        let two = format!("v1={}, v1={DIGITS}", "0".repeat(64));
        assert!(proven(proof, "Jefe", &[("x-pagerduty-signature", &two)], body, 0));
        assert!(!proven(proof, "Jefe", &[("x-pagerduty-signature", &format!("v2={DIGITS}"))], body, 0));
    }

    // RFC 4231, test case 2, in the other algorithms.
    #[test]
    fn longer_hashes() {
        let body = b"what do ya want for nothing?";
        let sha512 = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737";
        let sha384 = "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649";
        assert!(proven(Proof::Sha512Plain("x"), "Jefe", &[("x", sha512)], body, 0));
        assert!(!proven(Proof::Sha512Plain("x"), "Jefe", &[("x", sha384)], body, 0));
        assert!(proven(Proof::NamedAlgorithm("x"), "Jefe", &[("x", &format!("sha384={sha384}"))], body, 0));
        assert!(proven(Proof::Sha256Plain("x"), "Jefe", &[("x", DIGITS)], body, 0));
        assert!(!proven(Proof::NamedAlgorithm("x"), "Jefe", &[("x", &format!("sha1={DIGITS}"))], body, 0));
    }
}
