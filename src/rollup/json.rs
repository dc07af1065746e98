//! JSON that PostgreSQL's `jsonb` takes: no NUL, no number that it could not hold.

use serde_json::Value;

/// Longest number in tags that stays a number.
const NUMBER_CHARS_MAX: usize = 40;

/// Pairs as an object of strings, written into `to`; empty where there are none.
pub(super) fn of_pairs<'a>(to: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    to.clear();
    for (name, value) in pairs {
        to.push(if to.is_empty() { '{' } else { ',' });
        string(to, name);
        to.push(':');
        string(to, value);
    }
    if !to.is_empty() {
        to.push('}');
    }
}

/// A value that `jsonb` takes; keys of objects in order, so that equal values are equal texts.
pub(super) fn storable(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Number(number) if number.to_string().len() > NUMBER_CHARS_MAX || has_exponent(number) => {
            *value = Value::String(number.to_string());
        }
        Value::Array(items) => items.iter_mut().for_each(storable),
        Value::Object(map) => {
            if map.keys().any(|key| key.contains('\0')) {
                let mended = std::mem::take(map).into_iter().map(|(key, value)| (key.replace('\0', "\u{fffd}"), value));
                *map = mended.collect();
            }
            map.sort_keys();
            map.values_mut().for_each(storable);
        }
        _ => {}
    }
}

fn has_exponent(number: &serde_json::Number) -> bool {
    number.to_string().contains(['e', 'E'])
}

fn string(to: &mut String, text: &str) {
    to.push('"');
    // Nearly all text stands as it is. Each byte is looked at, which is cheaper than to stop at the first.
    let is_special = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if !text.bytes().fold(false, |any, byte| any | is_special(byte)) {
        to.push_str(text);
        to.push('"');
        return;
    }
    for character in text.chars() {
        match character {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\0' => to.push('\u{fffd}'),
            control if control < ' ' => to.push_str(&format!("\\u{:04x}", control as u32)),
            other => to.push(other),
        }
    }
    to.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jsonb_refuses_is_mended() {
        let mut value = serde_json::from_str(r#"{"b":"x\u0000","a\u0000":1e999999,"a":1.5}"#).unwrap();
        storable(&mut value);
        assert_eq!(value.to_string(), "{\"a\":1.5,\"a\u{fffd}\":\"1e+999999\",\"b\":\"x\u{fffd}\"}");
        let mut text = String::new();
        of_pairs(&mut text, [("a\"b", "c\\d\ne"), ("f", "\0")].into_iter());
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, serde_json::json!({"a\"b": "c\\d\ne", "f": "\u{fffd}"}));
        of_pairs(&mut text, std::iter::empty());
        assert_eq!(text, "");
    }
}
