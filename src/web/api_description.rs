//! `/docs/api`: the API for people, made from the same description that programs read. A page a subject, because
//! the whole is more than a page may weigh. No scripts.

use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, RouteEntry, Routes, transport};
use crate::api::openapi;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Nested examples deeper than this are left out.
const DEPTH_MAX: usize = 4;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/docs/api", Policy::SignedIn, show).get("/docs/api/{subject}", Policy::SignedIn, show_subject)
}

/// Operations about one thing: a tag of the description.
struct Subject {
    name: String,
    operations: Vec<Operation>,
}

struct Operation {
    method: String,
    path: String,
    anchor: String,
    summary: String,
    description: String,
    scope: &'static str,
    who: &'static str,
    parameters: Vec<Field>,
    body: String,
    responses: Vec<Answer>,
    curl: String,
}

struct Field {
    name: String,
    place: String,
    kind: String,
    is_required: bool,
    description: String,
}

struct Answer {
    status: String,
    description: String,
    schema: String,
    is_list: bool,
}

struct Schema {
    name: String,
    description: String,
    fields: Vec<Field>,
}

#[derive(Template, WebTemplate)]
#[template(path = "api_description.html")]
struct ApiPage {
    page: Page,
    introduction: String,
    operation_count: usize,
    subjects: Vec<Subject>,
}

#[derive(Template, WebTemplate)]
#[template(path = "api_subject.html")]
struct SubjectPage {
    page: Page,
    subject: Subject,
    schemas: Vec<Schema>,
}

async fn show(State(app): State<AppState>, principal: Principal) -> Result<ApiPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "API", NavItem::Api).await?;
    let subjects = subjects(&app, openapi::document());
    let operation_count = subjects.iter().map(|subject| subject.operations.len()).sum();
    Ok(ApiPage { page, introduction: text(&openapi::document()["info"], "description"), operation_count, subjects })
}

async fn show_subject(
    State(app): State<AppState>,
    principal: Principal,
    Path(name): Path<String>,
) -> Result<SubjectPage> {
    let subject =
        subjects(&app, openapi::document()).into_iter().find(|subject| subject.name == name).ok_or(Error::NotFound)?;
    let mut snapshot = app.pools.snapshot().await?;
    let title = format!("{name} · API");
    let page = Page::new(&app, &principal, &mut snapshot, title, NavItem::Api).await?;
    let schemas = schemas(openapi::document(), &subject);
    Ok(SubjectPage { page, subject, schemas })
}

fn subjects(app: &AppState, spec: &Value) -> Vec<Subject> {
    // The same for every state.
    static ENTRIES: OnceLock<Vec<RouteEntry>> = OnceLock::new();
    let entries = ENTRIES.get_or_init(|| super::routes(app.clone()).entries().to_vec());
    let scheme = if transport::is_https(&app.config) { "https" } else { "http" };
    let site = app.config.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", app.config.listen));
    let mut subjects: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for (tag, operation) in operations(spec, entries, site.trim_end_matches('/')) {
        subjects.entry(tag).or_default().push(operation);
    }
    subjects.into_iter().map(|(name, operations)| Subject { name, operations }).collect()
}

/// Each with the name of its subject.
fn operations(spec: &Value, entries: &[RouteEntry], site: &str) -> Vec<(String, Operation)> {
    let empty = Map::new();
    let paths = spec["paths"].as_object().unwrap_or(&empty);
    let mut operations = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap_or(&empty) {
            let method = method.to_uppercase();
            let entry = entries.iter().find(|entry| entry.method == method && entry.path == path);
            let tag = list(&operation["tags"]).first().and_then(Value::as_str).unwrap_or("other").to_owned();
            operations.push((tag, Operation::read(spec, &method, path, operation, entry, site)));
        }
    }
    operations
}

impl Operation {
    fn read(spec: &Value, method: &str, path: &str, operation: &Value, entry: Option<&RouteEntry>, site: &str) -> Self {
        let parameters = list(&operation["parameters"]).iter().map(|parameter| parameter_field(spec, parameter));
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let responses = operation["responses"].as_object().into_iter().flatten();
        // What every operation may answer is said once.
        let responses = responses.filter(|(_, response)| response.get("$ref").is_none());
        let responses = responses.map(|(status, response)| {
            let schema = &response["content"]["application/json"]["schema"];
            let is_list = type_of(schema) == "array";
            let schema = name_of(if is_list { &schema["items"] } else { schema });
            Answer { status: status.clone(), description: text(response, "description"), schema, is_list }
        });
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            anchor: anchor(method, path),
            summary: text(operation, "summary"),
            description: text(operation, "description"),
            scope: entry.and_then(|entry| entry.token_scope).map_or("read", |scope| scope.as_str()),
            who: entry.map_or("", |entry| who(entry.policy)),
            parameters: parameters.collect(),
            body: name_of(body),
            responses: responses.collect(),
            curl: curl(spec, method, path, body, site),
        }
    }
}

// Unlike the names of handlers, method and path are never the same twice.
fn anchor(method: &str, path: &str) -> String {
    let plain = path.trim_start_matches("/api/v1/").replace(['{', '}'], "").replace('/', "-");
    format!("{plain}-{}", method.to_lowercase())
}

fn who(policy: Policy) -> &'static str {
    match policy {
        Policy::Public | Policy::SignedIn => "any role",
        Policy::Money => "viewer, member, finance",
        Policy::OrganisationMoney => "viewer, finance",
        Policy::Review => "member, finance",
        Policy::Finance => "finance",
        Policy::Bills => "finance, admin",
        Policy::Admin => "admin",
    }
}

fn parameter_field(spec: &Value, parameter: &Value) -> Field {
    Field {
        name: text(parameter, "name"),
        place: text(parameter, "in"),
        kind: kind_of(spec, &parameter["schema"]),
        is_required: parameter["required"].as_bool().unwrap_or(false),
        description: text(parameter, "description"),
    }
}

// Those that the subject's operations name, and those that these are made of.
fn schemas(spec: &Value, subject: &Subject) -> Vec<Schema> {
    let empty = Map::new();
    let all = spec["components"]["schemas"].as_object().unwrap_or(&empty);
    let answers = subject.operations.iter().flat_map(|operation| &operation.responses);
    let mut waiting: Vec<String> = answers.map(|answer| answer.schema.clone()).collect();
    waiting.extend(subject.operations.iter().map(|operation| operation.body.clone()));
    let mut named = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if let Some(schema) = all.get(&name)
            && named.insert(name)
        {
            collect_names(schema, &mut waiting);
        }
    }
    let read = |(name, schema): (&String, &Value)| Schema {
        name: name.clone(),
        description: text(schema, "description"),
        fields: fields(spec, schema),
    };
    all.iter().filter(|(name, _)| named.contains(*name)).map(read).collect()
}

// A body that is part of another one, and written flat, stands in `allOf`.
fn fields(spec: &Value, schema: &Value) -> Vec<Field> {
    let required = list(&schema["required"]);
    let own = schema["properties"].as_object().into_iter().flatten().map(|(field, property)| Field {
        name: field.clone(),
        place: String::new(),
        kind: kind_of(spec, property),
        is_required: required.iter().any(|name| name == field),
        description: text(property, "description"),
    });
    let flat = list(&schema["allOf"]).iter().flat_map(|part| fields(spec, resolved(spec, part)));
    own.chain(flat).collect()
}

fn collect_names(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(name) = object.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
                names.push(name.to_owned());
            }
            object.values().for_each(|value| collect_names(value, names));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_names(value, names)),
        _ => {}
    }
}

fn curl(spec: &Value, method: &str, path: &str, body: &Value, site: &str) -> String {
    let mut line = String::from("curl");
    if method != "GET" {
        line += &format!(" -X {method}");
    }
    line += " -H \"Authorization: Bearer $COSTWAKE_TOKEN\"";
    if !body.is_null() {
        let example = serde_json::to_string(&example(spec, body, 0)).unwrap_or_default();
        line += &format!(" \\\n  -H \"Content-Type: application/json\" -d '{}'", example.replace('\'', "'\\''"));
    }
    format!("{line} \\\n  \"{site}{}\"", path.replace('{', "$").replace('}', ""))
}

// What a body may look like: the example that a field names, else a value of its type; optional fields without
// an example are left out.
fn example(spec: &Value, schema: &Value, depth: usize) -> Value {
    let schema = resolved(spec, schema);
    if let Some(given) = schema.get("example").or_else(|| list(&schema["examples"]).first()) {
        return given.clone();
    }
    if let Some(first) = list(&schema["enum"]).first() {
        return first.clone();
    }
    match type_of(schema).as_str() {
        "object" if depth < DEPTH_MAX => {
            let required = list(&schema["required"]);
            let properties = schema["properties"].as_object().into_iter().flatten();
            let shown = properties.filter(|(name, property)| {
                required.iter().any(|field| field == *name) || property.get("example").is_some()
            });
            shown.map(|(name, property)| (name.clone(), example(spec, property, depth + 1))).collect()
        }
        "array" if depth < DEPTH_MAX => json!([example(spec, &schema["items"], depth + 1)]),
        "integer" | "number" => json!(1),
        "boolean" => json!(true),
        "string" if schema["format"] == "date-time" => json!("2026-01-31T12:00:00Z"),
        "string" if schema["format"] == "date" => json!("2026-01-31"),
        "string" => json!("text"),
        _ => json!({}),
    }
}

// `string`, `integer`, `list of Deployment`, `one of published, refused`.
fn kind_of(spec: &Value, schema: &Value) -> String {
    let values: Vec<&str> = list(&resolved(spec, schema)["enum"]).iter().filter_map(Value::as_str).collect();
    if !values.is_empty() {
        return format!("one of {}", values.join(", "));
    }
    let name = name_of(schema);
    if !name.is_empty() {
        return name;
    }
    match (type_of(schema).as_str(), schema["format"].as_str()) {
        ("array", _) => format!("list of {}", kind_of(spec, &schema["items"])),
        ("string", Some("date-time")) => "time, RFC 3339".into(),
        ("string", Some("date")) => "date, YYYY-MM-DD".into(),
        ("string", _) => "text".into(),
        (other, _) => other.into(),
    }
}

// The name of a component, of one wrapped as "this or null", or of a list of it.
fn name_of(schema: &Value) -> String {
    let direct = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    let wrapped = || list(&schema["oneOf"]).iter().map(name_of).find(|name| !name.is_empty());
    direct.map(str::to_owned).or_else(wrapped).unwrap_or_default()
}

fn resolved<'a>(spec: &'a Value, schema: &'a Value) -> &'a Value {
    match name_of(schema).as_str() {
        "" => schema,
        name => spec["components"]["schemas"].get(name).unwrap_or(schema),
    }
}

// The first type that is not null: an optional field has two.
fn type_of(schema: &Value) -> String {
    let first = list(&schema["type"]).iter().filter_map(Value::as_str).find(|kind| *kind != "null");
    schema["type"].as_str().or(first).unwrap_or("any").to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
