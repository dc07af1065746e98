//! Text that adapters write: JSON strings, and the tags of the formats as one flat object.

use crate::normalize::cells::{Cells, present};
use crate::normalize::tags;
use memchr::memmem::Finder;
use rustc_hash::FxHashSet;
use std::fmt::Write;

/// Writes a JSON string.
fn json_string(to: &mut String, value: &str) {
    to.push('"');
    // Each byte is looked at, which is cheaper than to stop at the first.
    let is_special = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if !value.bytes().fold(false, |any, byte| any | is_special(byte)) {
        to.push_str(value);
    } else {
        for c in value.chars() {
            match c {
                '"' => to.push_str("\\\""),
                '\\' => to.push_str("\\\\"),
                c if c < ' ' => {
                    let _ = write!(to, "\\u{:04x}", c as u32);
                }
                c => to.push(c),
            }
        }
    }
    to.push('"');
}

/// The columns that hold a tag each.
pub(super) struct TagColumns {
    /// The first of them.
    from: usize,
    /// From there on, the key of each column as JSON; empty where a column is none.
    keys: Vec<String>,
    /// Whether a key may make tags unreadable whatever its value: by itself, or because two columns have it.
    has_doubtful_keys: bool,
}

impl TagColumns {
    /// Columns and the keys of their tags.
    pub fn of(columns: Vec<(usize, String)>) -> Self {
        let from = columns.iter().map(|(column, _)| *column).min().unwrap_or_default();
        let mut keys = Vec::new();
        for (column, key) in columns {
            let place = column - from;
            if keys.len() <= place {
                keys.resize(place + 1, String::new());
            }
            json_string(&mut keys[place], &key);
        }
        // What is escaped as JSON can be read, but for what looks like a NUL in it.
        let has_doubtful_keys = {
            let mut known = FxHashSet::default();
            let mut own = keys.iter().filter(|key| !key.is_empty());
            own.any(|key| !known.insert(key.as_str()) || !tags::can_be_read(&format!("{{{key}:\"\"}}")))
        };
        Self { from, keys, has_doubtful_keys }
    }

    /// Writes the filled ones as one JSON object; nothing where none is.
    pub fn write(&self, to: &mut String, cells: Cells<'_>) {
        let start = to.len();
        for (key, column) in self.filled(cells) {
            let Some(value) = present(cells.get(column)) else { continue };
            to.push(if to.len() == start { '{' } else { ',' });
            to.push_str(key);
            to.push(':');
            json_string(to, value);
        }
        if to.len() > start {
            to.push('}');
        }
    }

    /// Whether what [`Self::write`] makes of them cannot be read as tags. Nothing is written to find that out where no
    /// backslash stands in the line: it is what texts begin with that cannot be read, and few lines have one.
    pub fn are_unreadable(&self, cells: Cells<'_>) -> bool {
        let has_backslash = || memchr::memchr(b'\\', cells.text.as_bytes()).is_some();
        if self.filled(cells).next().is_none() || !self.has_doubtful_keys && !has_backslash() {
            return false;
        }
        let mut text = String::new();
        self.write(&mut text, cells);
        !text.is_empty() && !tags::can_be_read(&text)
    }

    /// The columns whose cells are not empty, and their keys.
    fn filled<'a>(&'a self, cells: Cells<'a>) -> impl Iterator<Item = (&'a str, usize)> {
        let spans = cells.spans.get(self.from..).unwrap_or_default();
        let columns = self.keys.iter().zip(spans).enumerate();
        let filled = columns.filter(|(_, (key, span))| span.start < span.end && !key.is_empty());
        filled.map(move |(place, (key, _))| (key.as_str(), self.from + place))
    }
}

/// Copies a JSON object and cuts a prefix off its own keys, not off those of objects inside.
pub(super) fn without_key_prefix(to: &mut String, json: &str, prefixes: &[&str]) {
    let bytes = json.as_bytes();
    let (mut copied, mut at, mut depth, mut is_key) = (0, 0, 0_u32, false);
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => {
                depth += 1;
                is_key = bytes[at] == b'{';
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => is_key = depth == 1,
            b'"' => {
                let prefix = prefixes.iter().find(|prefix| bytes[at + 1..].starts_with(prefix.as_bytes()));
                if let Some(prefix) = prefix
                    && is_key
                    && depth == 1
                {
                    to.push_str(&json[copied..=at]);
                    copied = at + 1 + prefix.len();
                }
                is_key = false;
                at = string_end(bytes, at + 1);
            }
            _ => {}
        }
        at += 1;
    }
    to.push_str(&json[copied..]);
}

/// The closing quote of a string that begins here, or the end of the text.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

/// Where the text of a string member of a JSON object lies, if it needs no unescaping.
pub(super) fn string_member(json: &str, member: &Finder<'_>) -> Option<std::ops::Range<usize>> {
    let bytes = json.as_bytes();
    let mut from = 0;
    while let Some(found) = member.find(&bytes[from..]) {
        let (start, end) = (from + found, from + found + member.needle().len());
        from = end;
        if start == 0 || bytes[start - 1] != b'"' || bytes.get(end) != Some(&b'"') {
            continue;
        }
        let rest = json[end + 1..].trim_start();
        let Some(value) = rest.strip_prefix(':').and_then(|rest| rest.trim_start().strip_prefix('"')) else { continue };
        let start = json.len() - value.len();
        let end = string_end(bytes, start);
        return (end < bytes.len() && !json[start..end].contains('\\')).then_some(start..end);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalize::cells::Span;

    #[test]
    fn prefixes_go_from_keys_only() {
        let cut = |json: &str| {
            let mut to = String::new();
            without_key_prefix(&mut to, json, &["user_", "user:"]);
            to
        };
        assert_eq!(
            cut(r#"{"user_a":"user_b","user:c": "1","aws_d":"user_"}"#),
            r#"{"a":"user_b","c": "1","aws_d":"user_"}"#
        );
        assert_eq!(
            cut(r#"{"a\"user_":"x","user_b":{"user_c":1},"user_d":2}"#),
            r#"{"a\"user_":"x","b":{"user_c":1},"d":2}"#
        );
        for broken in ["", "{", r#"{"user_"#, r#"{"a\"#, "[\"user_a\"]", "}}}\"user_a\""] {
            cut(broken);
        }
    }

    #[test]
    fn a_member_is_found_where_it_is_a_key() {
        let json = r#"{"x":"product_name","product_name": "Amazon S3","y":"\"z"}"#;
        assert_eq!(string_member(json, &Finder::new("product_name")).map(|range| &json[range]), Some("Amazon S3"));
        assert_eq!(string_member(json, &Finder::new("y")), None);
        assert_eq!(string_member(json, &Finder::new("z")), None);
    }

    #[test]
    fn tag_columns_are_valid_json() {
        let columns = TagColumns::of(vec![(1, "a\"b".to_owned()), (3, "é".to_owned()), (4, "empty".to_owned())]);
        let text = "xline\nend\\yzlast";
        let places = [(0, 1), (1, 10), (10, 11), (11, 12), (12, 12), (12, 16)];
        let spans = places.map(|(start, end)| Span { start, end });
        let mut to = String::from("before");
        columns.write(&mut to, Cells::of(text, &spans, &[0, 1, 2, 3, 5]));
        let value: serde_json::Value = serde_json::from_str(&to["before".len()..]).unwrap();
        assert_eq!(value, serde_json::json!({"a\"b": "line\nend\\", "é": "z"}));
        let mut nothing = String::new();
        let spans = [(0, 1), (1, 1), (1, 11), (11, 11), (11, 11), (11, 16)].map(|(start, end)| Span { start, end });
        columns.write(&mut nothing, Cells::of(text, &spans, &[0, 2, 5]));
        assert_eq!(nothing, "");
    }

    /// As `resourceTags/user:team` and `resource_tags_user_team` in one file: nobody knows which of two values is meant.
    #[test]
    fn columns_of_one_key_are_read_where_they_agree() {
        let columns = TagColumns::of(vec![(0, "team".to_owned()), (1, "team".to_owned())]);
        for (first, second, is_unreadable) in [("a", "b", true), ("a", "a", false), ("a", "", false), ("", "", false)] {
            let (text, end) = (format!("{first}{second}"), first.len() as u32);
            let spans = [(0, end), (end, text.len() as u32)].map(|(start, end)| Span { start, end });
            let cells = Cells::of(&text, &spans, &[0, 1]);
            let mut made = String::new();
            columns.write(&mut made, cells);
            assert_eq!(tags::read(&made).is_err(), is_unreadable, "{made}");
            assert_eq!(columns.are_unreadable(cells), is_unreadable, "{made}");
        }
    }

    #[test]
    fn tag_columns_that_cannot_be_read_are_told() {
        let of = |key: &str, value: &str| {
            let columns = TagColumns::of(vec![(1, key.to_owned())]);
            let text = format!("x{value}");
            let spans = [Span { start: 0, end: 1 }, Span { start: 1, end: text.len() as u32 }];
            let cells = Cells::of(&text, &spans, &[]);
            let mut made = String::new();
            columns.write(&mut made, cells);
            assert_eq!(columns.are_unreadable(cells), !made.is_empty() && tags::read(&made).is_err(), "{made}");
            columns.are_unreadable(cells)
        };
        let plain = [("team", "shop"), ("team", ""), ("team", "NULL"), ("te\"am", "a\\b"), ("team", "\"\n")];
        let escaped_keys = [("te\\am", "shop"), ("te\\am", "a\\\\u"), ("te\nam", "")];
        for (key, value) in plain.into_iter().chain(escaped_keys) {
            assert!(!of(key, value), "{key} {value}");
        }
        assert!(of("team", "\\u0000") && of("\\u0000", "shop"));
        assert!(!of("\\u0000", ""), "there is no tag");
    }
}
