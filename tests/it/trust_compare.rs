//! Secrets are compared in constant time (S16): by the source, since a measurement on a busy machine says little.

use std::path::PathBuf;

fn source(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src").join(path);
    let text = std::fs::read_to_string(&path).unwrap();
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

/// A signature is compared by its MAC, a token by `subtle`; an equality sign beside either would end at the first byte
/// that differs.
#[test]
fn signatures_and_tokens_are_compared_in_constant_time() {
    let text = source("events/signature.rs");
    assert!(text.contains(".verify_slice(") && text.contains(".ct_eq("));
    let words = ["secret", "signature", "given", "token", "mac"];
    let wrong: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .filter(|line| line.contains(" == ") || line.contains(" != "))
        .filter(|line| words.iter().any(|word| line.contains(word)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Tokens of the API, sessions and links are looked up by their hash, so that no comparison sees them.
#[test]
fn tokens_and_sessions_are_looked_up_by_their_hash() {
    for path in ["store/tokens.rs", "store/sessions.rs", "store/sign_in_links.rs"] {
        let text = source(path);
        assert!(text.contains("sha256"), "{path}");
        for wrong in ["WHERE secret =", "WHERE token =", "WHERE link ="] {
            assert!(!text.contains(wrong), "{path}: {wrong}");
        }
    }
    assert!(source("web/session.rs").contains("secret::sha256"));
}
