//! Whether a body was signed with a secret that sender and receiver share.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Whether `header` (`sha256=<hex>`) is the HMAC-SHA256 of the raw body under this secret.
/// Compared in constant time. Other algorithms, SHA-1 among them, are not accepted.
pub fn is_signed_by(secret: &[u8], body: &[u8], header: &str) -> bool {
    let Some(digits) = header.trim().strip_prefix("sha256=") else { return false };
    let Ok(signature) = hex::decode(digits) else { return false };
    // An empty secret would let anyone sign.
    if secret.is_empty() {
        return false;
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
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
}
