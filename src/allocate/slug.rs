use sha2::{Digest, Sha256};

/// What the database accepts: `^[a-z0-9][a-z0-9._-]{0,99}$`.
const SLUG_CHARS_MAX: usize = 100;
const FINGERPRINT_CHARS: usize = 8;

/// The name as a stable address: `Checkout API` is `checkout-api`.
///
/// The same name in other letters gives the same slug. Where letters cannot be kept (`Zürich`, `支付`), or the name
/// is too long, a fingerprint of the whole name keeps two names apart.
pub fn slug(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let mut kept = String::with_capacity(lower.len().min(SLUG_CHARS_MAX));
    let mut is_lossy = false;
    for c in lower.chars() {
        match c {
            'a'..='z' | '0'..='9' => kept.push(c),
            '.' | '_' if !kept.is_empty() => kept.push(c),
            _ => {
                is_lossy |= c.is_alphanumeric();
                if !kept.is_empty() && !kept.ends_with('-') {
                    kept.push('-');
                }
            }
        }
    }
    let kept = kept.trim_matches(['-', '.', '_']);
    if !is_lossy && !kept.is_empty() && kept.len() <= SLUG_CHARS_MAX {
        return kept.to_owned();
    }
    let fingerprint = &hex::encode(Sha256::digest(lower.as_bytes()))[..FINGERPRINT_CHARS];
    if kept.is_empty() {
        return format!("x-{fingerprint}");
    }
    let head = &kept[..kept.len().min(SLUG_CHARS_MAX - FINGERPRINT_CHARS - 1)];
    format!("{}-{fingerprint}", head.trim_end_matches(['-', '.', '_']))
}

#[cfg(test)]
mod tests {
    use super::slug;
    use proptest::prelude::*;

    #[test]
    fn a_name_becomes_an_address() {
        assert_eq!(slug("Checkout API"), "checkout-api");
        assert_eq!(slug("  checkout_api.v2  "), "checkout_api.v2");
        assert_eq!(slug("team/payments — core"), "team-payments-core");
        assert_eq!(slug("-.x.-"), "x");
        assert_eq!(slug("ACME"), slug("acme"));
    }

    #[test]
    fn letters_that_cannot_be_kept_still_tell_names_apart() {
        assert_ne!(slug("Zürich"), slug("Zärich"));
        assert_ne!(slug("支付"), slug("结账"));
        assert_eq!(slug("ZÜRICH"), slug("zürich"));
        assert!(slug("").starts_with("x-"));
        assert_ne!(slug(&"a".repeat(500)), slug(&"a".repeat(501)));
    }

    proptest! {
        #[test]
        fn every_name_has_a_slug_that_the_database_accepts(name in "\\PC{0,300}") {
            let slug = slug(&name);
            prop_assert!(!slug.is_empty() && slug.len() <= 100, "{slug}");
            prop_assert!(slug.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()), "{slug}");
            prop_assert!(slug.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c)));
        }

        #[test]
        fn a_slug_is_its_own_slug(name in "\\PC{0,300}") {
            prop_assert_eq!(super::slug(&slug(&name)), slug(&name));
        }
    }
}
