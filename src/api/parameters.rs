//! Holds the query of a request against the description of the API, before its handler runs: a parameter that an operation
//! does not know is refused by its name with those that it knows, as is one that is given more than once.

use super::expected::{Expected, kind, resolved};
use super::openapi;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

/// Unknown parameters that are named.
const NAMED_MAX: usize = 5;
/// Of a name or a value that is told.
const CHARS_MAX: usize = 60;

/// Why an operation does not take this query, in a sentence. `path` is as the routes write it.
pub fn fault(method: &str, path: &str, query: Option<&str>) -> Option<String> {
    // What has an address of its own is made by exporters of OTLP, which know no such rules.
    let query = query.filter(|query| !query.is_empty() && path.starts_with("/api/"))?;
    let Ok(pairs) = serde_urlencoded::from_str::<Vec<(String, String)>>(query) else {
        return Some("The address has a query that cannot be read.".into());
    };
    let operation = openapi::document()["paths"].get(path)?.get(method.to_ascii_lowercase())?;
    let known: Vec<(&'static str, &'static Value)> = parameters(operation).collect();
    let find = |name: &str| known.iter().find(|(one, _)| *one == name);
    let mut unknown: Vec<String> = Vec::new();
    for (name, _) in pairs.iter().filter(|(name, _)| find(name).is_none()) {
        if unknown.len() < NAMED_MAX && !unknown.contains(&cut(name)) {
            unknown.push(cut(name));
        }
    }
    if !unknown.is_empty() {
        return Some(format!("This does not know {}. {}", unknown.join(", "), takes(&known)));
    }
    for (place, (name, value)) in pairs.iter().enumerate() {
        if pairs.iter().take(place).any(|(before, _)| before == name) {
            return Some(format!("{name} is given more than once. {}", takes(&known)));
        }
        if let Some(fault) = find(name).and_then(|&(_, schema)| value_fault(name, value, schema)) {
            return Some(fault);
        }
    }
    None
}

/// The names that an operation takes in its query, with what each takes.
fn parameters(operation: &'static Value) -> impl Iterator<Item = (&'static str, &'static Value)> {
    let all = operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "query");
    all.filter_map(|one| Some((one["name"].as_str()?, &one["schema"])))
}

fn takes(known: &[(&'static str, &'static Value)]) -> String {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    match names.as_slice() {
        [] => "It takes no parameters.".into(),
        names => format!("It takes, once each: {}.", names.join(", ")),
    }
}

// What the extractors read, which tell a wrong value in words of the parser.
fn value_fault(name: &str, value: &str, schema: &'static Value) -> Option<String> {
    let format = resolved(schema)["format"].as_str();
    let fits = match (kind(schema)?, format) {
        ("string", Some("date")) => value.parse::<NaiveDate>().is_ok(),
        ("string", Some("date-time")) => value.parse::<DateTime<Utc>>().is_ok(),
        ("integer", Some("int32")) => value.parse::<i32>().is_ok(),
        ("integer", _) => value.parse::<i64>().is_ok(),
        ("boolean", _) => value.parse::<bool>().is_ok(),
        _ => true,
    };
    if fits {
        return None;
    }
    let expected = Expected::of(schema)?.as_text();
    // A plus sign of an address is a blank.
    let hint = if format == Some("date-time") && value.contains(' ') { " Write + as %2B in an address." } else { "" };
    Some(format!("{name}={} is not {expected}.{hint}", cut(value)))
}

fn cut(text: &str) -> String {
    text.chars().take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn an_operation_takes_what_it_knows_once_and_as_it_is_described() {
        let asked = |query: &str| fault("GET", "/api/v1/deployments", Some(query));
        for fine in
            ["", "service=shop&limit=10&unmapped=true", "from=2026-11-01T00:00:00Z&until=2026-11-02T00:00:00%2B01:00"]
        {
            assert_eq!(asked(fine), None, "{fine}");
        }
        for (query, said) in [
            (
                "from=2026-11-01",
                "from=2026-11-01 is not a time with its zone, as RFC 3339 writes it, for example 2026-",
            ),
            ("from=2026-11-01T00:00:00+01:00", "Write + as %2B in an address."),
            ("limit=many", "limit=many is not a whole number, for example 12."),
            ("unmapped=maybe", "unmapped=maybe is not true or false."),
            ("colour=red&colour=blue&x", "This does not know colour, x. It takes, once each: service, environment,"),
            ("service=a&service=b", "service is given more than once. It takes, once each: service,"),
        ] {
            let told = asked(query).unwrap();
            assert!(told.contains(said), "{query}: {told}");
        }
        let none = fault("GET", "/api/v1/teams", Some("a=b"));
        assert_eq!(none.as_deref(), Some("This does not know a. It takes no parameters."));
        assert_eq!(fault("POST", "/v1/metrics", Some("a=b")), None);
    }
}
