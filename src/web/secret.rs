//! Secrets that a person or program holds: made here, shown once, stored as SHA-256.

use sha2::{Digest, Sha256};

/// 256 random bits as hexadecimal digits.
pub fn random() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    hex::encode(bytes)
}

/// What a form says of a secret that is kept: `None` leaves it, an empty text forgets it, another takes its place.
pub fn entered(field: &str, is_to_be_forgotten: bool) -> Option<String> {
    match (field.trim(), is_to_be_forgotten) {
        ("", false) => None,
        (entered, _) => Some(entered.to_owned()),
    }
}

/// What is stored of a secret.
pub fn sha256(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}
