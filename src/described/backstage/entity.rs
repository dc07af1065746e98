//! Entities of Backstage's catalog as they are written: most keys may lack, or stand there without a value.

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

/// Entities of one text.
pub(super) const ENTITIES_MAX: usize = 20_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Entity {
    #[serde(deserialize_with = "or_default")]
    pub(super) api_version: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) kind: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    pub(super) spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Metadata {
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) namespace: String,
    pub(super) title: Option<String>,
    #[serde(deserialize_with = "texts")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "texts")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "list")]
    pub(super) links: Vec<Link>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Link {
    #[serde(deserialize_with = "or_default")]
    pub(super) url: String,
    pub(super) title: Option<String>,
    pub(super) r#type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Spec {
    pub(super) r#type: Option<String>,
    pub(super) lifecycle: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) system: Option<String>,
    pub(super) domain: Option<String>,
    #[serde(deserialize_with = "list")]
    pub(super) dependency_of: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub(super) depends_on: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) profile: Profile,
    #[serde(flatten)]
    _rest: BTreeMap<String, IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Profile {
    pub(super) display_name: Option<String>,
}

// People leave keys without a value, which YAML reads as null: those are as good as not there.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let all = Option::<Vec<Option<T>>>::deserialize(deserializer)?;
    Ok(all.into_iter().flatten().flatten().collect())
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let all = Option::<BTreeMap<String, Option<String>>>::deserialize(deserializer)?;
    Ok(all.into_iter().flatten().filter_map(|(key, value)| Some((key, value?))).collect())
}

// One entity, or a list of them, as the catalog's API gives it.
#[derive(Debug)]
struct Document(Vec<Entity>);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entity or a list of entities")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Document, A::Error> {
        Ok(Document(vec![Entity::deserialize(MapAccessDeserializer::new(map))?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Document, A::Error> {
        let mut entities = Vec::new();
        while let Some(entity) = all.next_element::<Option<Entity>>()? {
            // One too many is enough to refuse the text.
            if entities.len() <= ENTITIES_MAX {
                entities.extend(entity);
            }
        }
        Ok(Document(entities))
    }
}

/// The entities of a text: documents of YAML, or JSON. That is YAML too; read as what it is, a large catalog stays within
/// the budgets for YAML.
pub(super) fn read(text: &str) -> Result<Vec<Entity>, String> {
    if let Ok(Document(entities)) = serde_json::from_str(text) {
        return Ok(entities);
    }
    let documents: Vec<Document> = serde_saphyr::from_multiple(text)
        .map_err(|error| format!("The text is not readable as YAML: {}", first_lines(&error.to_string())))?;
    Ok(documents.into_iter().flat_map(|document| document.0).collect())
}

// The excerpt that goes with it may be long.
fn first_lines(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_without_a_value_are_as_good_as_not_there() {
        for keys in ["annotations", "labels", "links", "title", "name", "namespace", "tags"] {
            let text = format!(
                "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  {keys}:\nspec:\n  owner: a\n"
            );
            let found = read(&text).unwrap_or_else(|error| panic!("{keys}: {error}"));
            assert_eq!(found[0].spec.owner.as_deref(), Some("a"), "{keys}");
        }
        for keys in ["dependsOn", "dependencyOf", "profile", "system", "type", "lifecycle", "domain", "children"] {
            let text = format!("kind: Component\nmetadata:\n  name: shop\nspec:\n  {keys}:\n  owner: a\n");
            let found = read(&text).unwrap_or_else(|error| panic!("{keys}: {error}"));
            assert_eq!(
                (found[0].metadata.name.as_str(), found[0].spec.owner.as_deref()),
                ("shop", Some("a")),
                "{keys}"
            );
        }
        for text in ["kind: Component\nmetadata:\nspec:\n", "kind:\napiVersion: ~\nmetadata: null\n"] {
            assert_eq!(read(text).unwrap()[0].metadata.name, "", "{text}");
        }
    }

    #[test]
    fn values_that_lack_inside_lists_and_maps_are_left_out() {
        let text = "metadata:\n  annotations: {a: , b: ~, c: null, d: 1}\n  labels:\n    tier: 2\n    zone:\n  links:\n    -\n    - {url: , title: Runbook}\nspec:\n  dependsOn: [resource:db, ~]\n";
        let found = &read(text).unwrap()[0];
        assert_eq!(found.metadata.annotations, BTreeMap::from([("d".to_owned(), "1".to_owned())]));
        assert_eq!(found.metadata.labels, BTreeMap::from([("tier".to_owned(), "2".to_owned())]));
        assert_eq!((found.metadata.links.len(), found.metadata.links[0].url.as_str()), (1, ""));
        assert_eq!(found.spec.depends_on, ["resource:db"]);
    }

    #[test]
    fn a_list_of_entities_is_read_as_json_and_as_yaml() {
        let json = r#"[{"apiVersion":"backstage.io/v1alpha1","kind":"Component","relations":[],"metadata":{"name":"shop",
            "annotations":{"a":null},"labels":null},"spec":{"owner":"payments","dependsOn":null}},null,
            {"kind":"Group","metadata":{"name":"payments"},"spec":{"profile":null,"children":[]}}]"#;
        let yaml = "- kind: Component\n  metadata: {name: shop}\n  spec: {owner: payments}\n-\n- kind: Group\n  metadata: {name: payments}\n";
        let no_json = json.replace("null,", "~,");
        for text in [json, yaml, no_json.as_str()] {
            let names: Vec<String> = read(text).unwrap().into_iter().map(|entity| entity.metadata.name).collect();
            assert_eq!(names, ["shop", "payments"], "{text}");
        }
        let many = format!("[{}]", vec!["{}"; ENTITIES_MAX + 1].join(","));
        assert_eq!(read(&many).unwrap().len(), ENTITIES_MAX + 1);
    }
}
