//! Lists and objects as Python prints them, which tables made by scripts hold in place of JSON:
//! `[{'name': 'a', 'amount': -5e-06, 'full_name': None}]`.

/// Whether the first text in it is in single quotes.
pub(super) fn is_python(text: &str) -> bool {
    memchr::memchr2(b'\'', b'"', text.as_bytes()).is_some_and(|at| text.as_bytes()[at] == b'\'')
}

/// Writes the same as JSON. What is not Python either becomes text that is no JSON.
pub(super) fn write_json(to: &mut String, text: &str) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '\'' || c == '"' {
            rest = write_string(to, &rest[1..], c);
            continue;
        }
        let word = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (json, length) = match &rest[..word] {
            "None" => ("null", word),
            "True" => ("true", word),
            "False" => ("false", word),
            "" => (&rest[..c.len_utf8()], c.len_utf8()),
            other => (other, word),
        };
        to.push_str(json);
        rest = &rest[length..];
    }
}

/// Writes a string up to its closing quote; what stands behind that.
fn write_string<'a>(to: &mut String, text: &'a str, quote: char) -> &'a str {
    to.push('"');
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            _ if c == quote => {
                to.push('"');
                return &text[at + c.len_utf8()..];
            }
            '"' => to.push_str("\\\""),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('\'') => to.push('\''),
                Some('x') => to.push_str("\\u00"),
                Some(c) => to.extend(['\\', c]),
                None => {}
            },
            c => to.push(c),
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_python_prints_becomes_json() {
        let cases = [
            ("[{'k': 'a', 'n': -5e-06, 'x': None, 'y': True}]", r#"[{"k": "a", "n": -5e-06, "x": null, "y": true}]"#),
            (r#"{'a': "it's", 'b': 'say "hi"'}"#, r#"{"a": "it's", "b": "say \"hi\""}"#),
            (r"{'a': 'it\'s \\ \xe9\n'}", r#"{"a": "it's \\ \u00e9\n"}"#),
        ];
        for (python, json) in cases {
            let mut written = String::new();
            write_json(&mut written, python);
            assert_eq!(written, json);
            assert!(is_python(python) && !is_python(json));
            serde_json::from_str::<serde_json::Value>(&written).unwrap();
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "['\"\\\\a-zé{}\\[\\]:, ]{0,30}") {
            write_json(&mut String::new(), &text);
        }
    }
}
