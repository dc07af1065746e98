//! One JSON object as cells: its members by dotted name, without building a tree of it.

use super::cells::{Cells, Filled, Span};
use rustc_hash::{FxHashMap, FxHashSet};

/// Objects within objects, at most.
const DEPTH_MAX: usize = 64;

/// Which members have a cell, and which objects are looked into for more.
pub(super) struct Members {
    places: FxHashMap<&'static str, usize>,
    objects: FxHashSet<&'static str>,
    count: usize,
}

impl Members {
    /// A cell for each of these dotted names.
    pub fn of(names: &[&'static str]) -> Self {
        let places = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
        let objects = names.iter().filter_map(|name| Some(name.rsplit_once('.')?.0)).collect();
        Self { places, objects, count: names.len() }
    }
}

/// The cells of an object. Its buffers are used again for the next.
#[derive(Default)]
pub(super) struct Scanner {
    /// The object, unescaped strings, and at the end what has no cell.
    pub text: String,
    /// One for each member that has a cell, and a last one for all others, as an object by dotted name.
    pub spans: Vec<Span>,
    filled: Filled,
    /// Whether a member stands in it twice: which of both is meant nobody can tell.
    pub repeats: bool,
    path: String,
    others: String,
    seen: Vec<bool>,
    seen_others: FxHashSet<String>,
    at: usize,
}

impl Scanner {
    /// Reads the object that stands in `text`; false where it is none.
    pub fn scan(&mut self, members: &Members) -> bool {
        self.spans.clear();
        self.spans.resize(members.count + 1, Span::default());
        self.path.clear();
        self.others.clear();
        self.repeats = false;
        self.seen.clear();
        self.seen.resize(members.count, false);
        self.seen_others.clear();
        self.at = 0;
        let length = self.text.len();
        self.skip_blank();
        if self.object(members, length, 0).is_none() {
            return false;
        }
        self.skip_blank();
        if self.at < length {
            return false;
        }
        if !self.others.is_empty() {
            self.others.push('}');
            let start = self.text.len();
            self.text.push_str(&self.others);
            self.spans[members.count] = span(start, self.text.len());
        }
        self.filled.of(&self.spans);
        true
    }

    /// The cells of the object that was read last.
    pub fn cells(&self) -> Cells<'_> {
        Cells::of(&self.text, &self.spans, self.filled.columns())
    }

    /// The members of an object, whose own name is the path.
    fn object(&mut self, members: &Members, length: usize, depth: usize) -> Option<()> {
        self.expect(b'{')?;
        let path_length = self.path.len();
        self.skip_blank();
        if self.expect(b'}').is_some() {
            return Some(());
        }
        loop {
            self.skip_blank();
            let (key, _) = self.string()?;
            if path_length > 0 {
                self.path.push('.');
            }
            self.path.push_str(&self.text[key.start as usize..key.end as usize]);
            self.skip_blank();
            self.expect(b':')?;
            self.skip_blank();
            self.member(members, length, depth)?;
            self.path.truncate(path_length);
            self.skip_blank();
            if self.expect(b',').is_none() {
                return self.expect(b'}');
            }
        }
    }

    fn member(&mut self, members: &Members, length: usize, depth: usize) -> Option<()> {
        let is_object = self.peek() == Some(b'{');
        if is_object && members.objects.contains(self.path.as_str()) && depth < DEPTH_MAX {
            return self.object(members, length, depth + 1);
        }
        let start = self.at;
        let cell = if self.peek() == Some(b'"') {
            let (inner, is_escaped) = self.string()?;
            if is_escaped { self.unescaped(start)? } else { inner }
        } else {
            self.value(length)?;
            let is_null = &self.text[start..self.at] == "null";
            if is_null { Span::default() } else { span(start, self.at) }
        };
        let place = members.places.get(self.path.as_str());
        self.repeats |= match place {
            Some(place) => std::mem::replace(&mut self.seen[*place], true),
            None => !self.seen_others.insert(self.path.clone()),
        };
        match place {
            Some(place) => self.spans[*place] = cell,
            None if cell.start < cell.end => {
                self.others.push_str(if self.others.is_empty() { "{\"" } else { ",\"" });
                self.others.push_str(&self.path);
                self.others.push_str("\":");
                self.others.push_str(&self.text[start..self.at]);
            }
            None => {}
        }
        Some(())
    }

    /// A string; where its text lies, and whether that has escapes.
    fn string(&mut self) -> Option<(Span, bool)> {
        self.expect(b'"')?;
        let start = self.at;
        let mut is_escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            self.at += memchr::memchr2(b'"', b'\\', rest)?;
            if self.peek() == Some(b'"') {
                self.at += 1;
                return Some((span(start, self.at - 1), is_escaped));
            }
            is_escaped = true;
            self.at += 2;
        }
    }

    /// The text of the string that begins at `start`, without escapes, behind everything else.
    fn unescaped(&mut self, start: usize) -> Option<Span> {
        let string: String = serde_json::from_str(self.text.get(start..self.at)?).ok()?;
        // No text of PostgreSQL can hold a NUL.
        if string.contains('\0') {
            return None;
        }
        let start = self.text.len();
        self.text.push_str(&string);
        Some(span(start, self.text.len()))
    }

    /// Steps over a value that is no string.
    fn value(&mut self, length: usize) -> Option<()> {
        let start = self.at;
        let mut depth = 0_usize;
        while self.at < length {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => break,
                b'}' | b']' => depth -= 1,
                b',' if depth == 0 => break,
                byte if byte <= b' ' && depth == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        (depth == 0 && self.at > start).then_some(())
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }
}

fn span(start: usize, end: usize) -> Span {
    Span { start: start as u32, end: end as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cells(json: &str) -> Option<Vec<String>> {
        let members = Members::of(&["id", "service.id", "service.name", "labels"]);
        let mut scanner = Scanner { text: json.to_owned(), ..Scanner::default() };
        let cell = |scanner: &Scanner, span: &Span| scanner.text[span.start as usize..span.end as usize].to_owned();
        scanner.scan(&members).then(|| scanner.spans.iter().map(|span| cell(&scanner, span)).collect())
    }

    #[test]
    fn members_are_found_by_dotted_name_in_any_order() {
        let found = cells(
            r#" {"labels": [{"key":"a}","value":"]"}] , "service":{"name":"x \"y\" \u00e9","id":1.50},"id":null} "#,
        );
        assert_eq!(found.unwrap(), ["", "1.50", "x \"y\" é", r#"[{"key":"a}","value":"]"}]"#, ""]);
        let others = cells(r#"{"id":"a","new":{"b":1},"service":{"kind":"c\"","none":null}}"#).unwrap();
        assert_eq!(others[4], r#"{"new":{"b":1},"service.kind":"c\""}"#);
        serde_json::from_str::<serde_json::Value>(&others[4]).unwrap();
        assert_eq!(cells("{}").unwrap(), [""; 5]);
    }

    /// I06: a member that stands twice, also within another one.
    #[test]
    fn a_member_that_stands_twice_is_noticed() {
        let repeats = |json: &str| {
            let members = Members::of(&["id", "service.id"]);
            let mut scanner = Scanner { text: json.to_owned(), ..Scanner::default() };
            assert!(scanner.scan(&members), "{json}");
            scanner.repeats
        };
        for json in [
            r#"{"id":1,"id":2}"#,
            r#"{"id":null,"id":2}"#,
            r#"{"x":1,"x":1}"#,
            r#"{"service":{"id":1},"service":{"id":2}}"#,
        ] {
            assert!(repeats(json), "{json}");
        }
        assert!(!repeats(r#"{"id":"id","service":{"id":1,"name":"id"},"name":2}"#));
    }

    #[test]
    fn what_is_no_object_is_told() {
        for json in [
            "",
            "{",
            "[]",
            "1",
            r#"{"id"}"#,
            r#"{"id":}"#,
            r#"{"id":1"#,
            r#"{"id":"x}"#,
            r#"{"id":1}x"#,
            r#"{"id":"\u0000"}"#,
            r#"{"id":"\q"}"#,
            r#"{"labels":[1}"#,
            "{\"id\":\"\\",
        ] {
            assert_eq!(cells(json), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(json in "[{}\\[\\]\",:\\\\a-bé0 ]{0,40}") {
            cells(&json);
        }

        #[test]
        fn strings_are_what_they_were(text in "\\PC{0,20}") {
            prop_assume!(!text.contains('\0'));
            let json = serde_json::json!({"id": text, "service": {"name": text}}).to_string();
            let found = cells(&json).unwrap();
            prop_assert_eq!(&found[0], &text);
            prop_assert_eq!(&found[2], &text);
        }
    }
}
