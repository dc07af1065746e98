//! What a field of a body or a parameter of an address takes, in words and with an example: from the description of the
//! API, so that it is said as it is documented.

use super::openapi;
use serde_json::{Value, json};

/// References and alternatives that are followed.
const DEPTH_MAX: usize = 8;

/// A step from a body to a value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The field of an object.
    Field(String),
    /// The place in a list, from 0.
    Place(usize),
}

/// What is taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// `a day`.
    pub words: String,
    /// `"2026-10-31"`, where one helps.
    pub example: Option<Value>,
}

impl Expected {
    /// What a schema of the description takes; nothing where it does not say.
    pub fn of(schema: &'static Value) -> Option<Self> {
        let own = schema;
        let schema = resolved(schema);
        let (words, usual) = words(schema)?;
        let given = [own, schema].into_iter().find_map(|one| one.get("example").or_else(|| one["examples"].get(0)));
        Some(Self { words, example: given.cloned().or(usual) })
    }

    /// For a body, where texts stand in quotes: `a day, for example "2026-10-31"`.
    pub fn as_json(&self) -> String {
        self.with(self.example.as_ref().map(Value::to_string))
    }

    /// For an address: `a day, for example 2026-10-31`.
    pub fn as_text(&self) -> String {
        self.with(
            self.example.as_ref().map(|example| example.as_str().map_or_else(|| example.to_string(), str::to_owned)),
        )
    }

    fn with(&self, example: Option<String>) -> String {
        let words = &self.words;
        example.map_or_else(|| words.clone(), |example| format!("{words}, for example {example}"))
    }
}

/// The schema of a value in a body that has this name in the description.
pub fn schema_at(body: &str, path: &[Step]) -> Option<&'static Value> {
    let mut schema = openapi::document()["components"]["schemas"].get(body)?;
    for step in path {
        let object = resolved(schema);
        schema = match step {
            Step::Field(name) => object["properties"]
                .get(name)
                .or_else(|| object.get("additionalProperties").filter(|more| more.is_object()))?,
            Step::Place(_) => object.get("items")?,
        };
    }
    Some(schema)
}

/// A schema without its `null`, `string`; nothing where it does not say.
pub fn kind(schema: &'static Value) -> Option<&'static str> {
    match &resolved(schema)["type"] {
        Value::String(kind) => Some(kind.as_str()),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ => None,
    }
}

/// The schema behind a reference, or beside `null`.
pub fn resolved(schema: &'static Value) -> &'static Value {
    let mut schema = schema;
    for _ in 0..DEPTH_MAX {
        let next = match schema["$ref"].as_str() {
            Some(reference) => openapi::document().pointer(reference.trim_start_matches('#')),
            None => ["oneOf", "anyOf", "allOf"]
                .into_iter()
                .find_map(|key| schema[key].as_array())
                .and_then(|all| all.iter().find(|one| one["type"] != "null")),
        };
        match next {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

fn words(schema: &'static Value) -> Option<(String, Option<Value>)> {
    if let Some(allowed) = schema["enum"].as_array() {
        let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        return Some((format!("one of {}", allowed.join(", ")), None));
    }
    let (words, usual) = match (kind(schema)?, schema["format"].as_str()) {
        ("string", Some("date")) => ("a day", json!("2026-10-31")),
        ("string", Some("date-time")) => ("a time with its zone, as RFC 3339 writes it", json!("2026-10-31T13:00:00Z")),
        ("string", _) => ("text", json!("text")),
        ("integer", _) => ("a whole number", json!(12)),
        ("number", _) => ("a number", json!(12.5)),
        ("boolean", _) => return Some(("true or false".into(), None)),
        ("array", _) => {
            let item = schema.get("items").and_then(Expected::of).and_then(|item| item.example);
            return Some(("a list".into(), item.map(|item| json!([item]))));
        }
        ("object", _) => return Some(("an object in braces".into(), None)),
        _ => return None,
    };
    Some((words.into(), Some(usual)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_said_as_it_is_described() {
        let field = |name: &str| Step::Field(name.into());
        let said = |body: &str, path: &[Step]| Expected::of(schema_at(body, path).unwrap()).unwrap().as_json();
        assert_eq!(said("NewService", &[field("name")]), "text, for example \"text\"");
        assert_eq!(said("NewService", &[field("tier")]), "a whole number, for example 12");
        assert_eq!(said("NewService", &[field("aliases")]), "a list, for example [\"text\"]");
        assert_eq!(said("NewService", &[field("aliases"), Step::Place(3)]), "text, for example \"text\"");
        assert_eq!(said("NewRule", &[field("first_day")]), "a day, for example \"2026-10-31\"");
        assert_eq!(said("NewRule", &[field("applies_to")]), "one of charges, deployments, both");
        assert_eq!(
            said("NewRule", &[field("conditions"), Step::Place(0), field("value")]),
            "text, for example \"text\""
        );
        assert_eq!(said("NewRate", &[field("rate")]), "text, for example \"0.92017\"");
        assert_eq!(
            said("NewPoints", &[field("complete_through")]),
            "a time with its zone, as RFC 3339 writes it, for example \"2026-10-31T13:00:00Z\""
        );
        assert_eq!(schema_at("NewService", &[field("colour")]), None);
        assert_eq!(schema_at("Nothing", &[]), None);
    }
}
