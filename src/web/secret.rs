//! Secrets that a person or program holds: made here, shown once, stored as SHA-256.

use sha2::{Digest, Sha256};

/// 256 random bits as hexadecimal digits.
pub fn random() -> String {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    hex::encode(bytes)
}

/// What is stored of a secret.
pub fn sha256(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}
