use super::without_credentials;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const VALUE_LENGTH_MAX: usize = 500;
/// Of a longer value, what stays of it as it is.
const VALUE_BEGINNING: usize = VALUE_LENGTH_MAX - 65;
const SECRET_PARTS: [&str; 9] =
    ["authorization", "cookie", "token", "secret", "signature", "password", "api-key", "apikey", "x-honeycomb-team"];

/// Request headers by lower-case name, without the values that are secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// Takes over names and values; a value that could let someone in is replaced.
    pub fn redacted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.insert(name, value);
        }
        headers
    }

    /// Adds one, redacted where its name says that it is a secret, and without credentials in addresses.
    pub fn insert(&mut self, name: &str, value: &str) {
        let name = name.trim().to_ascii_lowercase();
        let kept = if is_secret(&name) {
            "[redacted]".to_owned()
        } else {
            let plain = without_credentials(value.trim().as_bytes());
            let text = String::from_utf8_lossy(&plain);
            if text.len() <= VALUE_LENGTH_MAX && !text.contains(char::is_control) {
                text.into_owned()
            } else {
                shortened(text.chars().filter(|c| !c.is_control()).collect())
            }
        };
        self.0.insert(name, kept);
    }

    /// The value of a header, by lower-case name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

// Ids stand in headers: two that differ stay different.
fn shortened(text: String) -> String {
    if text.chars().count() <= VALUE_LENGTH_MAX {
        return text;
    }
    let beginning: String = text.chars().take(VALUE_BEGINNING).collect();
    format!("{beginning}~{}", hex::encode(Sha256::digest(text.as_bytes())))
}

// Whether a part stands anywhere in a lower-case name. Names are short and few have one: a search for each part would take
// longer to begin than to end.
fn is_secret(name: &str) -> bool {
    let begins = |rest: &[u8]| {
        SECRET_PARTS.iter().any(|part| rest.first() == part.as_bytes().first() && rest.starts_with(part.as_bytes()))
    };
    (0..name.len()).any(|at| name.as_bytes().get(at..).is_some_and(begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_name_makes_it_secret_wherever_it_stands() {
        for part in SECRET_PARTS {
            for name in [part.to_owned(), format!("x-{part}"), format!("{part}-x"), format!("x-{part}-y")] {
                assert!(is_secret(&name), "{name}");
            }
            let cut = &part[..part.len() - 1];
            assert!(!is_secret(cut) && !is_secret(&format!("{cut}-")), "{cut}");
        }
        for name in ["", "host", "content-type", "x-github-event", "x-github-delivery", "accept", "toke", "\u{e9}"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn long_values_stay_different_and_no_header_is_left_out() {
        let of = |end: &str| Headers::redacted([("ce-id", format!("{}{end}", "x".repeat(600)).as_str())]);
        let (one, other) = (of("1"), of("2"));
        assert_ne!(one, other);
        assert_eq!(one.get("ce-id").unwrap().chars().count(), VALUE_LENGTH_MAX);
        let whole = "é".repeat(VALUE_LENGTH_MAX);
        assert_eq!(Headers::redacted([("ce-id", whole.as_str())]).get("ce-id"), Some(whole.as_str()));
        let names: Vec<String> = (0..99).map(|number| format!("x-{number}")).collect();
        let pairs = names.iter().map(|name| (name.as_str(), "1")).chain([("x-github-event", "push")]);
        assert_eq!(Headers::redacted(pairs).get("x-github-event"), Some("push"));
    }

    #[test]
    fn secrets_are_not_kept() {
        let headers = Headers::redacted([
            ("X-GitHub-Event", "push"),
            ("Authorization", "Bearer abc"),
            ("X-Gitlab-Token", "abc"),
            ("Cookie", "session=abc"),
            ("X-Hub-Signature-256", "sha256=abc"),
            ("Ce-Source", "https://bot:abc@ci.example.com/7"),
        ]);
        assert_eq!(headers.get("x-github-event"), Some("push"));
        assert!(!serde_json::to_string(&headers).unwrap().contains("abc"));
    }
}
