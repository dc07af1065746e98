//! What entities are called here: two of one name may lie in two namespaces.

use super::entity::{Entity, Metadata};
use crate::allocate::slug;
use std::collections::{BTreeMap, BTreeSet};

/// The namespace of what names none.
const DEFAULT: &str = "default";

impl Metadata {
    /// The short name: with the namespace in front, unless that is the usual one.
    pub(super) fn slug(&self) -> String {
        slug_in(&self.namespace, &self.name)
    }

    fn is_in_default(&self) -> bool {
        is_default(&self.namespace)
    }
}

fn is_default(namespace: &str) -> bool {
    let namespace = namespace.trim();
    namespace.is_empty() || namespace.eq_ignore_ascii_case(DEFAULT)
}

fn slug_in(namespace: &str, name: &str) -> String {
    if is_default(namespace) || name.trim().is_empty() {
        return slug(name);
    }
    slug(&format!("{}-{}", namespace.trim(), name.trim()))
}

/// The short name of what a reference names: `group:default/payments` is `payments`, `team-a/api` is `team-a-api`.
/// Without a namespace it is in that of the entity that refers to it.
pub(super) fn referred(text: &str, namespace: &str) -> String {
    let path = text.rsplit(':').next().unwrap_or_default();
    let (namespace, name) = path.split_once('/').unwrap_or((namespace, path));
    slug_in(namespace, name)
}

/// The resource that a reference of a component names, where it names one: without a kind it is a component.
pub(super) fn referred_resource(text: &str, namespace: &str) -> Option<String> {
    let (kind, _) = text.split_once(':')?;
    kind.trim().eq_ignore_ascii_case("resource").then(|| referred(text, namespace))
}

/// How many components are called by each name or title, in lower case.
pub(super) struct Names(BTreeMap<String, usize>);

impl Names {
    /// Those of all components.
    pub(super) fn of(entities: &[Entity]) -> Self {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for metadata in entities.iter().filter(|entity| entity.kind == "Component").map(|entity| &entity.metadata) {
            for name in BTreeSet::from([metadata.name.to_lowercase(), metadata.shown().to_lowercase()]) {
                *counts.entry(name).or_default() += 1;
            }
        }
        Self(counts)
    }

    /// Whether one component alone is called so.
    pub(super) fn is_only(&self, name: &str) -> bool {
        self.0.get(&name.to_lowercase()).is_none_or(|count| *count <= 1)
    }

    /// What people call it: of several of one name, the one outside the usual namespace says where it is.
    pub(super) fn shown(&self, metadata: &Metadata) -> String {
        let shown = metadata.shown();
        if metadata.is_in_default() || self.is_only(shown) {
            return shown.to_owned();
        }
        format!("{shown} ({})", metadata.namespace.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_by_namespace() {
        for (text, namespace, expected) in [
            ("payments", "", "payments"),
            ("group:default/payments", "team-a", "payments"),
            ("payments", "team-a", "team-a-payments"),
            ("component:Team-A/api", "default", "team-a-api"),
            ("group:payments", "Default", "payments"),
            ("", "team-a", ""),
        ] {
            assert_eq!(referred(text, namespace), if expected.is_empty() { slug("") } else { expected.to_owned() });
        }
        assert_eq!(referred_resource("resource:db", "team-a").as_deref(), Some("team-a-db"));
        assert_eq!(referred_resource("db", "team-a"), None);
    }
}
