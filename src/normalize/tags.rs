//! `Tags`, as the providers write them.

use crate::focus::Decimal;
use rustc_hash::{FxBuildHasher, FxHashMap};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;
use std::hash::BuildHasher;

/// Texts that are remembered as readable or not.
const KNOWN_MAX: usize = 65_536;

/// Keys that are compared with each other. Of the hundred thousand that a line has room for, that would take minutes.
const COMPARED_KEYS_MAX: usize = 64;

/// The text is neither a JSON object nor one of the other forms, or it gives one key two values.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the tags are not a JSON object")]
pub struct UnreadableTags;

/// Reads a JSON object, one without its braces (`"k": "v","k2": "v2"`), or a list of key-value objects. A tag
/// without a value is `true`, as FOCUS has it. A key with two values cannot be read: FOCUS has keys be unique, and nobody
/// knows which of them rules should go by.
pub fn read(text: &str) -> Result<Map<String, Value>, UnreadableTags> {
    let text = text.trim();
    // No text of PostgreSQL can hold a NUL.
    if text.contains("\\u0000") {
        return Err(UnreadableTags);
    }
    let tags = match text.as_bytes().first() {
        None => return Ok(Map::new()),
        // Two quotes with nothing between them are what some exports write for nothing.
        Some(b'"') if text == "\"\"" => return Ok(Map::new()),
        Some(b'{') => from_object(text)?,
        Some(b'"') => from_object(&format!("{{{text}}}"))?,
        Some(b'[') => from_pairs(serde_json::from_str(text).map_err(|_| UnreadableTags)?)?,
        Some(_) => return Err(UnreadableTags),
    };
    Ok(tags.into_iter().map(|(key, value)| (key, storable(value))).collect())
}

/// Whether texts can be read, remembered by their hashes: a bill repeats few sets of tags.
#[derive(Default)]
pub(super) struct Readable(FxHashMap<u64, bool>);

impl Readable {
    /// Whether a text can be read, which `look` says where that is not remembered.
    pub fn is(&mut self, text: &str, look: impl FnOnce() -> bool) -> bool {
        if self.0.len() > KNOWN_MAX {
            self.0.clear();
        }
        *self.0.entry(FxBuildHasher.hash_one(text)).or_insert_with(look)
    }
}

/// Whether a text can be read. Nothing is kept of it.
pub(super) fn can_be_read(text: &str) -> bool {
    is_plain(text) || read(text).is_ok()
}

/// Whether a text is surely such an object: of nothing but texts without escapes, under keys that stand once, as most are.
/// No object is built to find that out. What is not plain may be readable all the same.
fn is_plain<'a>(text: &'a str) -> bool {
    let blank = |rest: &mut &'a [u8]| *rest = rest.trim_ascii_start();
    let take = |rest: &mut &'a [u8], wanted: u8| match *rest {
        [first, others @ ..] if *first == wanted => {
            *rest = others;
            true
        }
        _ => false,
    };
    let string = |rest: &mut &'a [u8]| {
        let inside = rest.strip_prefix(b"\"")?;
        let end = inside.iter().position(|byte| *byte < b' ' || matches!(byte, b'"' | b'\\'))?;
        *rest = &inside[end..];
        take(rest, b'"').then(|| &inside[..end])
    };
    let mut keys: Vec<&[u8]> = Vec::new();
    let mut rest = text.as_bytes();
    if !take(&mut rest, b'{') {
        return false;
    }
    loop {
        blank(&mut rest);
        match string(&mut rest) {
            Some(key) if keys.len() < COMPARED_KEYS_MAX && !keys.contains(&key) => keys.push(key),
            _ => return false,
        }
        blank(&mut rest);
        if !take(&mut rest, b':') {
            return false;
        }
        blank(&mut rest);
        if string(&mut rest).is_none() {
            return false;
        }
        blank(&mut rest);
        if !take(&mut rest, b',') {
            return rest == b"}";
        }
    }
}

/// Null is `true`; a number beyond what a bill can mean becomes its text, because no column could hold it.
fn storable(value: Value) -> Value {
    match value {
        Value::Null => Value::Bool(true),
        Value::Number(number) if Decimal::parse(number.as_str()).is_err() => Value::String(number.to_string()),
        Value::Object(_) | Value::Array(_) => Value::String(value.to_string()),
        other => other,
    }
}

fn from_object(text: &str) -> Result<Map<String, Value>, UnreadableTags> {
    serde_json::from_str::<OneValueEach>(text).map(|tags| tags.0).map_err(|_| UnreadableTags)
}

/// An object whose keys have one value each. Of a key that stands twice, serde_json would keep the last without a word.
struct OneValueEach(Map<String, Value>);

impl<'de> Deserialize<'de> for OneValueEach {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneValueEachVisitor)
    }
}

struct OneValueEachVisitor;

impl<'de> Visitor<'de> for OneValueEachVisitor {
    type Value = OneValueEach;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<OneValueEach, A::Error> {
        let mut tags = Map::new();
        while let Some((key, value)) = members.next_entry()? {
            add(&mut tags, key, value).map_err(A::Error::custom)?;
        }
        Ok(OneValueEach(tags))
    }
}

fn add(tags: &mut Map<String, Value>, key: String, value: Value) -> Result<(), UnreadableTags> {
    if tags.get(&key).is_some_and(|known| *known != value) {
        return Err(UnreadableTags);
    }
    tags.insert(key, value);
    Ok(())
}

fn from_pairs(pairs: Vec<OneValueEach>) -> Result<Map<String, Value>, UnreadableTags> {
    let mut tags = Map::new();
    for OneValueEach(mut pair) in pairs {
        let Some(Value::String(key)) = pair.remove("key").or_else(|| pair.remove("Key")) else {
            return Err(UnreadableTags);
        };
        let value = pair.remove("value").or_else(|| pair.remove("Value")).unwrap_or(Value::Null);
        add(&mut tags, key, value)?;
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_plain_can_be_read(text in "\\{[ \"a:,\\\\\u{c}\n}é]{0,24}\\}?") {
            prop_assert!(!is_plain(&text) || read(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn plain_objects_are_told_from_others() {
        for text in [r#"{"a":"b"}"#, r#"{ "a" : "b" , "é":"" }"#] {
            assert!(is_plain(text) && read(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "{}",
            r#"{"a":1}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"a":"b",}"#,
            r#"{"a":"b"}x"#,
            r#""a":"b""#,
            r#"{"a":"b","a":"c"}"#,
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn not_each_of_very_many_keys_is_compared_with_all_others() {
        let of = |count: usize| {
            let members: Vec<String> = (0..count).map(|number| format!("\"{number}\":\"\"")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(is_plain(&of(COMPARED_KEYS_MAX)) && !is_plain(&of(COMPARED_KEYS_MAX + 1)));
        assert_eq!(read(&of(100_000)).unwrap().len(), 100_000);
        assert!(can_be_read(&of(100_000)));
    }

    #[test]
    fn a_text_is_looked_at_once() {
        let mut readable = Readable::default();
        let mut looks = 0;
        for (text, expected) in [("a", true), ("b", false), ("a", true), ("b", false)] {
            let is_readable = readable.is(text, || {
                looks += 1;
                text == "a"
            });
            assert_eq!(is_readable, expected, "{text}");
        }
        assert_eq!(looks, 2);
        for number in 0..=KNOWN_MAX {
            readable.is(&number.to_string(), || true);
        }
        assert!(readable.0.len() <= KNOWN_MAX + 1, "what is remembered is bounded");
    }

    fn shown(text: &str) -> String {
        read(text).map_or_else(|error| error.to_string(), |tags| Value::Object(tags).to_string())
    }

    #[test]
    fn every_form_that_providers_write_is_read() {
        let cases = [
            (r#"{"env":"prod","spot":null,"tier":1}"#, r#"{"env":"prod","spot":true,"tier":1}"#),
            (r#""env": "prod","app": "shop""#, r#"{"env":"prod","app":"shop"}"#),
            (r#"[{"key":"env","value":"prod"},{"key":"spot"}]"#, r#"{"env":"prod","spot":true}"#),
            (r#"{"n":1e400000,"m":1.50}"#, r#"{"n":"1e+400000","m":1.50}"#),
            (r#"{"flat":{"not":[1]}}"#, r#"{"flat":"{\"not\":[1]}"}"#),
            (r#"{"env":"prod","env":"prod"}"#, r#"{"env":"prod"}"#),
            ("{}", "{}"),
            ("  ", "{}"),
            (r#""""#, "{}"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn other_text_is_unreadable() {
        for text in [
            "env=prod",
            "{'env': 'prod'}",
            r#"{"env":"prod""#,
            "[1,2]",
            r#""env""#,
            r#"{"a":"\u0000"}"#,
            r#"{"env":"prod","env":"test"}"#,
            r#"{"env":"prod","\u0065nv":null}"#,
            r#""env": "prod","env": "test""#,
            r#"[{"key":"env","value":"prod"},{"key":"env","value":"test"}]"#,
            r#"[{"key":"env","value":"prod","value":"test"}]"#,
            &"[".repeat(10_000),
        ] {
            assert_eq!(read(text), Err(UnreadableTags), "{text}");
        }
    }
}
