//! One JSON object as cells: its members by dotted name, without building a tree of it.

use super::cells::{Cells, Filled, Span};
use super::json_members::{Members, ROOT};
use rustc_hash::FxHashSet;
use wide::u8x32;

/// Objects within objects, at most.
const DEPTH_MAX: usize = 64;

/// Bytes of a string that are looked at together.
const BLOCK: usize = 32;

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
    others: String,
    seen: Vec<bool>,
    seen_others: FxHashSet<String>,
    at: usize,
}

/// A member of an object: what it is within, which one it is where that is remembered, and where its name stands in its
/// quotes.
#[derive(Clone, Copy)]
struct Named {
    within: usize,
    member: Option<usize>,
    start: usize,
    end: usize,
}

impl Scanner {
    /// Reads the object that stands in `text`; false where it is none.
    pub fn scan(&mut self, members: &mut Members) -> bool {
        self.spans.clear();
        self.spans.resize(members.count + 1, Span::default());
        self.others.clear();
        self.repeats = false;
        self.seen.clear();
        self.seen.resize(members.count, false);
        self.seen_others.clear();
        self.at = 0;
        let length = self.text.len();
        self.skip_blank();
        if self.object(members, length, 0, ROOT).is_none() {
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

    /// The members of an object, which is itself a member, or the root.
    fn object(&mut self, members: &mut Members, length: usize, depth: usize, within: usize) -> Option<()> {
        self.expect(b'{')?;
        self.skip_blank();
        if self.expect(b'}').is_some() {
            return Some(());
        }
        let mut behind = None;
        loop {
            self.skip_blank();
            let named = self.name(members, within, behind)?;
            self.skip_blank();
            self.expect(b':')?;
            self.skip_blank();
            self.member(members, length, depth, named)?;
            behind = named.member;
            self.skip_blank();
            if self.expect(b',').is_none() {
                return self.expect(b'}');
            }
        }
    }

    /// The name of a member, which is mostly the one that stood there in the object before.
    fn name(&mut self, members: &mut Members, within: usize, behind: Option<usize>) -> Option<Named> {
        let start = self.at;
        let member = match members.expected(within, behind, self.text.as_bytes().get(start..)?) {
            Some((member, length)) => {
                self.at += length;
                Some(member)
            }
            None => {
                self.string()?;
                members.named(within, behind, &self.text[start..self.at])
            }
        };
        Some(Named { within, member, start, end: self.at })
    }

    fn member(&mut self, members: &mut Members, length: usize, depth: usize, named: Named) -> Option<()> {
        let (place, is_object) = members.place(named.member);
        if let Some(member) = named.member
            && is_object
            && self.peek() == Some(b'{')
            && depth < DEPTH_MAX
        {
            return self.object(members, length, depth + 1, member);
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
        let Some(place) = place else {
            let path = members.path(named.within, &self.text[named.start..named.end]);
            if cell.start < cell.end {
                self.others.push_str(if self.others.is_empty() { "{\"" } else { ",\"" });
                self.others.push_str(&path);
                self.others.push_str("\":");
                self.others.push_str(&self.text[start..self.at]);
            }
            self.repeats |= !self.seen_others.insert(path);
            return Some(());
        };
        self.repeats |= std::mem::replace(&mut self.seen[place], true);
        self.spans[place] = cell;
        Some(())
    }

    /// A string; where its text lies, and whether that has escapes.
    fn string(&mut self) -> Option<(Span, bool)> {
        self.expect(b'"')?;
        let start = self.at;
        let mut is_escaped = false;
        loop {
            self.at += quote_or_backslash(self.text.as_bytes().get(self.at..)?)?;
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

/// Where the first of them stands. Most strings are so short that it is within the first bytes, which are looked at
/// together; what makes ready for a longer search costs more than that.
#[inline]
fn quote_or_backslash(text: &[u8]) -> Option<usize> {
    let Some((block, rest)) = text.split_first_chunk::<BLOCK>() else { return memchr::memchr2(b'"', b'\\', text) };
    let bytes = u8x32::new(*block);
    let is = |byte: u8| bytes.simd_eq(u8x32::splat(byte));
    match (is(b'"') | is(b'\\')).to_bitmask() {
        0 => memchr::memchr2(b'"', b'\\', rest).map(|at| BLOCK + at),
        found => Some(found.trailing_zeros() as usize),
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
        scanned(&mut Members::of(&NAMES), json).map(|(cells, _)| cells)
    }

    const NAMES: [&str; 4] = ["id", "service.id", "service.name", "labels"];

    /// The cells of an object, and whether a member stands in it twice.
    fn scanned(members: &mut Members, json: &str) -> Option<(Vec<String>, bool)> {
        let mut scanner = Scanner { text: json.to_owned(), ..Scanner::default() };
        let cell = |scanner: &Scanner, span: &Span| scanner.text[span.start as usize..span.end as usize].to_owned();
        if !scanner.scan(members) {
            return None;
        }
        Some((scanner.spans.iter().map(|span| cell(&scanner, span)).collect(), scanner.repeats))
    }

    #[test]
    fn quotes_and_backslashes_are_found_at_each_place() {
        for length in 0..3 * BLOCK {
            let mut text = vec![b'x'; length];
            assert_eq!(quote_or_backslash(&text), None);
            for at in (0..length).rev() {
                text[at] = if at % 2 == 0 { b'"' } else { b'\\' };
                assert_eq!(quote_or_backslash(&text), Some(at));
            }
        }
    }

    /// An object of these members, some of which are within others, and some the same as another.
    fn object(order: &[usize]) -> String {
        let member = |place: &usize| match place % 8 {
            0 => r#""id":1"#.to_owned(),
            1 => r#""service":{"id":"a","name":"b"}"#.to_owned(),
            2 => r#""service":{"name":"c","id":null,"kind":1}"#.to_owned(),
            3 => r#""labels": []"#.to_owned(),
            4 => r#""other" :{"id":3}"#.to_owned(),
            5 => r#""service":null"#.to_owned(),
            6 => r#""service.id":"d""#.to_owned(),
            _ => format!("\"x{place}\":\"y\""),
        };
        format!("{{{}}}", order.iter().map(member).collect::<Vec<_>>().join(","))
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
            let mut members = Members::of(&["id", "service.id"]);
            let mut scanner = Scanner { text: json.to_owned(), ..Scanner::default() };
            assert!(scanner.scan(&mut members), "{json}");
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
        /// What is remembered of objects changes nothing of what is read of the next.
        #[test]
        fn objects_are_read_as_if_they_were_the_first(
            orders in prop::collection::vec(prop::collection::vec(0..32_usize, 0..8), 1..8), cut in 0..60_usize,
        ) {
            let mut members = Members::of(&NAMES);
            for order in orders {
                let json = object(&order);
                let cut = json.get(..cut.min(json.len())).unwrap_or_default();
                for json in [json.as_str(), cut] {
                    let alone = scanned(&mut Members::of(&NAMES), json);
                    prop_assert_eq!(scanned(&mut members, json), alone, "{}", json);
                }
            }
        }

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
