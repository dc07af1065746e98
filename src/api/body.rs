//! Reads the body of a request: one JSON object. What does not fit is told by the field, by what is expected there and by an
//! example, in no words of the parser.

use super::error::{Error, Result};
use super::expected::{Expected, Step, kind, resolved, schema_at};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use utoipa::ToSchema;

/// What was found is named with so many characters.
const FOUND_CHARS_MAX: usize = 60;

/// Reads a body.
pub fn parse<T: DeserializeOwned + ToSchema>(body: &[u8]) -> Result<T> {
    // A derived reader takes an array too, by position.
    match body.trim_ascii_start().first() {
        Some(b'{') => {}
        Some(_) => return Err(Error::Unprocessable("The body does not fit: send one JSON object, in braces.".into())),
        None => return Err(Error::Unprocessable("The body is empty: send one JSON object, in braces.".into())),
    }
    serde_json::from_slice(body).map_err(|error| {
        Error::Unprocessable(format!("The body does not fit: {}.", complaint(&T::name(), body, &error)))
    })
}

fn complaint(name: &str, body: &[u8], error: &serde_json::Error) -> String {
    let told = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let told = told.strip_suffix(place.as_str()).unwrap_or(&told);
    match error.classify() {
        Category::Data => in_words(name, path_at(body, offset(body, error.line(), error.column())), told),
        Category::Syntax | Category::Eof | Category::Io => format!("it is no JSON, {told}{place}"),
    }
}

// The sentences of serde, each as one about a field.
fn in_words(name: &str, mut path: Vec<Step>, told: &str) -> String {
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<String>>();
    if let Some((field, known)) = told.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        leave(&mut path, field);
        let known = quoted(known).join(", ");
        let known = if known.is_empty() { "there are no fields".into() } else { format!("the fields are {known}") };
        return format!("{}unknown field `{}`; {known}", before(&path), cut(field));
    }
    if let Some(field) = told.strip_prefix("duplicate field `").and_then(|rest| rest.strip_suffix('`')) {
        leave(&mut path, field);
        return format!("{}{field} is there twice", before(&path));
    }
    if let Some(field) = told.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        path.push(Step::Field(field.to_owned()));
        let expected = schema_at(name, &path).and_then(Expected::of);
        let expected = expected.map(|expected| format!(": {}", expected.as_json())).unwrap_or_default();
        return format!("{} is missing{expected}", written(&path));
    }
    if let Some((variant, known)) = told.strip_prefix("unknown variant `").and_then(|rest| rest.split_once('`')) {
        return format!(
            "{} `{}` is not known; it is one of {}",
            subject(&path),
            cut(variant),
            quoted(known).join(", ")
        );
    }
    let schema = schema_at(name, &path);
    let expected = schema.and_then(Expected::of).map(|expected| expected.as_json());
    let faults = ["invalid type: ", "invalid value: "];
    if let Some((found, wanted)) =
        faults.iter().find_map(|fault| told.strip_prefix(*fault)).and_then(|rest| rest.rsplit_once(", expected "))
    {
        let expected = expected.unwrap_or_else(|| wanted.to_owned());
        return format!("{} is {}, and takes {expected}", subject(&path), found_words(found));
    }
    // A day or a time says of itself only where its text ends.
    let is_time = schema.is_some_and(|schema| kind(schema) == Some("string") && resolved(schema)["format"].is_string());
    match expected.filter(|_| is_time) {
        Some(expected) => format!("{} takes {expected}", subject(&path)),
        None => format!("{}{}", before(&path), told.trim_end_matches('.')),
    }
}

// A name that cannot stand there is told beside its object.
fn leave(path: &mut Vec<Step>, field: &str) {
    if path.last() == Some(&Step::Field(field.to_owned())) {
        path.pop();
    }
}

fn found_words(found: &str) -> String {
    match found {
        "map" => "an object".into(),
        "sequence" => "a list".into(),
        "number" => "a number".into(),
        "null" | "unit value" | "Option value" => "null".into(),
        _ => match found.split_once(' ') {
            Some(("string", text)) => format!("the text {}", cut(text)),
            Some(("integer" | "floating" | "boolean", _)) => cut(found.split('`').nth(1).unwrap_or(found)),
            _ => cut(found),
        },
    }
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(FOUND_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn subject(path: &[Step]) -> String {
    if path.is_empty() { "A value".into() } else { written(path) }
}

fn before(path: &[Step]) -> String {
    if path.is_empty() { String::new() } else { format!("{}: ", written(path)) }
}

// `conditions[0].value`.
fn written(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(&cut(name)),
            Step::Field(name) => text.push_str(&format!(".{}", cut(name))),
            Step::Place(place) => text.push_str(&format!("[{place}]")),
        }
    }
    text
}

fn offset(body: &[u8], line: usize, column: usize) -> usize {
    let lines = body.split_inclusive(|byte| *byte == b'\n');
    lines.take(line.saturating_sub(1)).map(<[u8]>::len).sum::<usize>() + column
}

// Where in a body an offset lies. What is before it is JSON: the parser read it.
fn path_at(body: &[u8], end: usize) -> Vec<Step> {
    // One for each open object or list; nothing where no field of the object is begun.
    let mut open: Vec<Option<Step>> = Vec::new();
    let mut is_name_next = false;
    let mut at = 0;
    while let Some(byte) = body.get(at).filter(|_| at < end) {
        at += 1;
        match byte {
            b'{' => {
                open.push(None);
                is_name_next = true;
            }
            b'[' => {
                open.push(Some(Step::Place(0)));
                is_name_next = false;
            }
            b'}' | b']' => {
                open.pop();
                is_name_next = false;
            }
            b',' => match open.last_mut() {
                Some(Some(Step::Place(place))) => *place += 1,
                Some(field) => {
                    *field = None;
                    is_name_next = true;
                }
                None => {}
            },
            b'"' => {
                let first = at - 1;
                at = end_of_text(body, at);
                let name = body.get(first..at).and_then(|text| serde_json::from_slice::<String>(text).ok());
                if let Some(field) = open.last_mut().filter(|_| is_name_next) {
                    *field = name.map(Step::Field);
                }
                is_name_next = false;
            }
            _ => {}
        }
    }
    open.into_iter().flatten().collect()
}

// Behind the quote that ends a text which began before `at`.
fn end_of_text(body: &[u8], mut at: usize) -> usize {
    while let Some(byte) = body.get(at) {
        at += 1;
        match byte {
            b'\\' => at += 1,
            b'"' => break,
            _ => {}
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::catalogue::{NewService, ServiceChange};
    use crate::api::rules::NewRule;

    fn said<T: DeserializeOwned + ToSchema>(body: &str) -> String {
        match parse::<T>(body.as_bytes()) {
            Ok(_) => panic!("{body} was taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_does_not_fit_is_told_by_its_field() {
        for (body, told) in [
            ("", "The body is empty: send one JSON object, in braces."),
            (r#"["a", "b", null]"#, "The body does not fit: send one JSON object, in braces."),
            ("{", "The body does not fit: it is no JSON, EOF while parsing an object at line 1 column 1."),
            ("{}", r#"The body does not fit: name is missing: text, for example "text"."#),
            (r#"{"name": {}}"#, r#"The body does not fit: name is an object, and takes text, for example "text"."#),
            (
                r#"{"name": "a", "tier": "one"}"#,
                "The body does not fit: tier is the text \"one\", and takes a whole number, for example 12.",
            ),
            (
                "{\"name\": \"a\",\n \"aliases\": [\"b\", \"c\\\",[\", 3]}",
                r#"The body does not fit: aliases[2] is 3, and takes text, for example "text"."#,
            ),
            (r#"{"name": "a", "name": "b"}"#, "The body does not fit: name is there twice."),
        ] {
            assert_eq!(said::<NewService>(body), told, "{body}");
        }
        let unknown = said::<ServiceChange>(r#"{"nam": "a"}"#);
        assert!(
            unknown.starts_with("The body does not fit: unknown field `nam`; the fields are name, team, tier"),
            "{unknown}"
        );
    }

    #[test]
    fn what_lies_deeper_is_told_by_its_path() {
        let rule = |conditions: &str, more: &str| {
            said::<NewRule>(&format!(r#"{{"applies_to": "charges", "conditions": {conditions}{more}}}"#))
        };
        let good = r#"{"attribute": "repo", "operator": "equals", "value": "x"}"#;
        assert_eq!(
            rule(&format!(r#"[{good}, {{"operator": "present"}}]"#), ""),
            r#"The body does not fit: conditions[1].attribute is missing: text, for example "text"."#
        );
        assert_eq!(
            rule(r#"[{"attribute": "repo", "operator": "equals", "value": 3}]"#, ""),
            r#"The body does not fit: conditions[0].value is 3, and takes text, for example "text"."#
        );
        let unknown = rule(r#"[{"attribut": "repo"}]"#, "");
        assert!(
            unknown.contains("conditions[0]: unknown field `attribut`; the fields are attribute, operator, value"),
            "{unknown}"
        );
        let unknown = rule(r#"[{"attribute": "repo", "operator": "is"}]"#, "");
        assert!(unknown.contains("conditions[0].operator `is` is not known; it is one of "), "{unknown}");
        assert_eq!(
            rule("[]", r#", "first_day": "October""#),
            r#"The body does not fit: first_day takes a day, for example "2026-10-31"."#
        );
    }
}
