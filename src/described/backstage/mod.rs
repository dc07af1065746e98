mod entity;
mod names;

use super::{Described, DescribedRule, DescribedService, DescribedTeam};
use crate::focus::repository_name;
use entity::{ENTITIES_MAX, Entity, Link, Metadata};
use names::{Names, referred, referred_resource};
use std::collections::{BTreeMap, BTreeSet};

/// Reads `catalog-info.yaml`, one or many documents, or the JSON of the catalog's API: components are services, groups are
/// teams, a system (or its domain) is the product, a resource counts for the one component that needs it. Annotations
/// become rules.
pub fn backstage(text: &str) -> Result<Described, String> {
    let entities = entity::read(text)?;
    if entities.len() > ENTITIES_MAX {
        return Err(format!("There are more than {ENTITIES_MAX} entities: give them in parts."));
    }
    let (entities, others): (Vec<Entity>, Vec<Entity>) =
        entities.into_iter().partition(|entity| entity.api_version.starts_with("backstage.io/"));
    let mut described = Described::default();
    if !others.is_empty() {
        described.notes.push(match others.len() {
            1 => "One document is not of Backstage and was left out.".into(),
            count => format!("{count} documents are not of Backstage and were left out."),
        });
    }
    let (products, names) = (products(&entities), Names::of(&entities));
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for entity in &entities {
        match entity.kind.as_str() {
            "Component" => described.services.push(service(entity, &products, &names)),
            "Group" => described.teams.push(team(entity)),
            "System" | "Domain" | "Resource" => {}
            other => *left.entry(other).or_default() += 1,
        }
    }
    for (kind, count) in left {
        described.notes.push(format!("{count} of kind {kind} say nothing about services and were left out."));
    }
    add_resources(&entities, &mut described);
    only_one_a_repository(&mut described);
    Ok(described)
}

/// The product of each system: its domain, else itself.
fn products(entities: &[Entity]) -> BTreeMap<String, String> {
    let titles: BTreeMap<(&str, String), &str> = entities
        .iter()
        .filter(|entity| matches!(entity.kind.as_str(), "System" | "Domain"))
        .map(|entity| ((entity.kind.as_str(), entity.metadata.slug()), entity.metadata.shown()))
        .collect();
    let systems = entities.iter().filter(|entity| entity.kind == "System");
    systems
        .map(|system| {
            let domain = system.spec.domain.as_deref().map(|domain| {
                let title = titles.get(&("Domain", referred(domain, &system.metadata.namespace)));
                title.map_or_else(|| domain.to_owned(), |title| (*title).to_owned())
            });
            (system.metadata.slug(), domain.unwrap_or_else(|| system.metadata.shown().to_owned()))
        })
        .collect()
}

impl Metadata {
    fn shown(&self) -> &str {
        self.title.as_deref().filter(|title| !title.trim().is_empty()).unwrap_or(&self.name)
    }

    /// A label or annotation by the last part of its key, in any spelling: `example.com/cost-center`, `costCenter`.
    fn said(&self, name: &str) -> Option<String> {
        let plain = |key: &str| -> String {
            let last = key.rsplit('/').next().unwrap_or_default();
            last.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
        };
        let pairs = self.labels.iter().chain(&self.annotations);
        let found = pairs.filter(|(key, _)| plain(key) == name).map(|(_, value)| value.trim().to_owned());
        found.into_iter().find(|value| !value.is_empty())
    }
}

fn team(entity: &Entity) -> DescribedTeam {
    let name = entity.spec.profile.display_name.clone().filter(|name| !name.trim().is_empty());
    DescribedTeam {
        slug: entity.metadata.slug(),
        name: name.unwrap_or_else(|| entity.metadata.shown().to_owned()),
        cost_center: entity.metadata.said("costcenter"),
    }
}

fn service(entity: &Entity, products: &BTreeMap<String, String>, names: &Names) -> DescribedService {
    let (metadata, spec) = (&entity.metadata, &entity.spec);
    let system = spec.system.as_deref().map(|system| {
        products
            .get(&referred(system, &metadata.namespace))
            .cloned()
            .unwrap_or_else(|| system.rsplit(['/', ':']).next().unwrap_or(system).to_owned())
    });
    let lifecycle = spec.lifecycle.as_deref().map(|text| match text.trim().to_lowercase().as_str() {
        "deprecated" | "retired" => "deprecated".to_owned(),
        "experimental" | "development" | "alpha" => "experimental".to_owned(),
        _ => "production".to_owned(),
    });
    let runbook = metadata.said("runbook").or_else(|| metadata.said("runbookurl")).or_else(|| runbook_link(metadata));
    let mut described = DescribedService {
        slug: metadata.slug(),
        name: names.shown(metadata),
        owner: spec
            .owner
            .as_deref()
            .map(|owner| referred(owner, &metadata.namespace))
            .filter(|owner| !owner.is_empty()),
        lifecycle,
        tier: metadata.said("tier").and_then(|tier| tier.trim_start_matches(['T', 't']).parse().ok()),
        cost_center: metadata.said("costcenter"),
        product: metadata.said("product").or(system),
        runbook: runbook.filter(|address| address.starts_with("https://") || address.starts_with("http://")),
        ..DescribedService::default()
    };
    read_annotations(&mut described, metadata);
    if described.name != metadata.name && names.is_only(&metadata.name) {
        described.aliases.push(metadata.name.clone());
    }
    described
}

fn runbook_link(metadata: &Metadata) -> Option<String> {
    let is_runbook = |link: &&Link| {
        let named = [&link.r#type, &link.title].into_iter().flatten();
        named.into_iter().any(|text| text.to_lowercase().contains("runbook"))
    };
    metadata.links.iter().find(is_runbook).map(|link| link.url.clone())
}

fn read_annotations(service: &mut DescribedService, metadata: &Metadata) {
    let mut repositories = BTreeSet::new();
    for key in ["github.com/project-slug", "gitlab.com/project-slug", "backstage.io/source-location"] {
        let Some(value) = metadata.annotations.get(key) else { continue };
        if let Some(name) = repository_name(value)
            && repositories.insert(name.clone())
        {
            service.repositories.push(name.clone());
            service.rules.push(DescribedRule {
                applies_to: "deployments".into(),
                conditions: vec![("repo".into(), name)],
                evidence: format!("{key}: {value}"),
            });
        }
    }
    if let Some(value) = metadata.annotations.get("backstage.io/kubernetes-id") {
        service.rules.push(DescribedRule {
            applies_to: "charges".into(),
            conditions: vec![("tag:backstage.io/kubernetes-id".into(), value.trim().to_owned())],
            evidence: format!("backstage.io/kubernetes-id: {value}"),
        });
    }
    if let Some(value) = metadata.annotations.get("backstage.io/kubernetes-label-selector") {
        service.rules.extend(selector_rule(value));
    }
    if let Some(value) = metadata.annotations.get("pagerduty.com/service-id").filter(|value| !value.trim().is_empty()) {
        service.rules.push(DescribedRule {
            applies_to: "deployments".into(),
            conditions: vec![("tag:service_id".into(), value.trim().to_owned())],
            evidence: format!("pagerduty.com/service-id: {value}"),
        });
    }
    // Argo CD's notification tells the application's name, whatever its labels call the service.
    if let Some(value) = metadata.annotations.get("argocd/app-name").filter(|value| !value.trim().is_empty()) {
        service.rules.push(DescribedRule {
            applies_to: "deployments".into(),
            conditions: vec![("tag:app".into(), value.trim().to_owned())],
            evidence: format!("argocd/app-name: {value}"),
        });
    }
}

/// `app=shop,tier=web` as one rule. Selectors that exclude or list values are left to people.
fn selector_rule(selector: &str) -> Option<DescribedRule> {
    let mut conditions = Vec::new();
    for part in selector.split(',') {
        let (key, value) = part.split_once('=')?;
        let (key, value) = (key.trim(), value.trim_start_matches('=').trim());
        let is_fit = |text: &str| !text.is_empty() && !text.contains([' ', '!', '(', ')']);
        if !is_fit(key) || !is_fit(value) {
            return None;
        }
        conditions.push((format!("tag:{key}"), value.to_owned()));
    }
    let evidence = format!("backstage.io/kubernetes-label-selector: {selector}");
    Some(DescribedRule { applies_to: "charges".into(), conditions, evidence })
}

/// What only one component needs belongs to it, by the name of the resource.
fn add_resources(entities: &[Entity], described: &mut Described) {
    let mut shared = 0;
    // Either side may say it: the component that it depends on the resource, or the resource whose dependency it is.
    let mut needed_by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for component in entities.iter().filter(|entity| entity.kind == "Component") {
        let of = &component.metadata.namespace;
        for resource in component.spec.depends_on.iter().filter_map(|name| referred_resource(name, of)) {
            needed_by.entry(resource).or_default().insert(component.metadata.slug());
        }
    }
    for resource in entities.iter().filter(|entity| entity.kind == "Resource") {
        let of = &resource.metadata.namespace;
        let mut users: BTreeSet<String> = resource.spec.dependency_of.iter().map(|user| referred(user, of)).collect();
        users.extend(needed_by.remove(&resource.metadata.slug()).unwrap_or_default());
        let only = if users.len() == 1 { users.first() } else { None };
        let service = only.and_then(|only| described.services.iter_mut().find(|service| service.slug == *only));
        let Some(service) = service else {
            shared += 1;
            continue;
        };
        service.rules.push(DescribedRule {
            applies_to: "charges".into(),
            conditions: vec![("resource_id".into(), resource.metadata.name.clone())],
            evidence: format!(
                "Resource {} ({}), which only this component needs",
                resource.metadata.name,
                resource.spec.r#type.as_deref().unwrap_or("no type")
            ),
        });
    }
    if shared > 0 {
        let (resources, their) = match shared {
            1 => ("One resource is".to_owned(), "its"),
            count => (format!("{count} resources are"), "their"),
        };
        described.notes.push(format!(
            "{resources} needed by no component of the text or by several: divide {their} cost as shared cost."
        ));
    }
}

/// A repository of several components says of none of them whose a deployment is.
fn only_one_a_repository(described: &mut Described) {
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    for name in described.services.iter().flat_map(|service| &service.repositories) {
        *users.entry(name.to_lowercase()).or_default() += 1;
    }
    for service in &mut described.services {
        let is_own = |rule: &DescribedRule| {
            rule.conditions.iter().all(|(key, value)| key != "repo" || users.get(&value.to_lowercase()) == Some(&1))
        };
        service.rules.retain(is_own);
    }
    for (name, count) in users.into_iter().filter(|(_, count)| *count > 1) {
        described.notes.push(format!(
            "{count} components share the repository {name}: their deployments have to name their service."
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: checkout
  title: Checkout API
  annotations:
    github.com/project-slug: acme/checkout
    backstage.io/source-location: url:https://github.com/acme/checkout/tree/main/
    backstage.io/kubernetes-label-selector: app=checkout,part=api
    argocd/app-name: checkout-prod
    pagerduty.com/service-id: PT4KHLK
    example.com/cost-center: "4711"
  labels: {tier: "1"}
  links:
    - {url: https://wiki.example.com/checkout, title: Runbook}
spec:
  type: service
  lifecycle: production
  owner: group:default/payments
  system: shop
  dependsOn: [resource:checkout-db]
  providesApis: [x]
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: cart, annotations: {github.com/project-slug: acme/web}}
spec: {type: service, lifecycle: experimental, owner: payments, dependsOn: ["resource:default/cart-cache", "Resource:queue", component:search]}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: search, annotations: {github.com/project-slug: acme/web}}
spec: {type: service, lifecycle: old, owner: user:jane, dependsOn: [resource:queue]}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: ads}
spec: {type: service, lifecycle: production, owner: payments, dependsOn: }
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: shop}
spec: {owner: payments, domain: commerce}
---
apiVersion: backstage.io/v1alpha1
kind: Domain
metadata: {name: commerce, title: Commerce}
spec: {owner: payments}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: payments}
spec: {type: team, profile: {displayName: Payments Team}, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: {name: checkout-db}
spec: {type: database, owner: payments, dependencyOf: [component:checkout]}
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: {name: cart-cache}
spec: {type: cache, owner: payments}
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: {name: queue}
spec: {type: queue, owner: payments}
---
apiVersion: backstage.io/v1alpha1
kind: Location
metadata: {name: all}
spec: {targets: [./a.yaml]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: x}
"#;

    #[test]
    fn components_groups_systems_and_annotations_are_read() {
        let found = backstage(TEXT).unwrap();
        let checkout = &found.services[0];
        assert_eq!((checkout.slug.as_str(), checkout.name.as_str()), ("checkout", "Checkout API"));
        assert_eq!(checkout.owner.as_deref(), Some("payments"));
        assert_eq!((checkout.tier, checkout.product.as_deref()), (Some(1), Some("Commerce")));
        assert_eq!(checkout.cost_center.as_deref(), Some("4711"));
        assert_eq!(checkout.runbook.as_deref(), Some("https://wiki.example.com/checkout"));
        assert_eq!(checkout.repositories, ["acme/checkout"]);
        assert_eq!(checkout.aliases, ["checkout"]);
        let rules: Vec<String> =
            checkout.rules.iter().map(|rule| format!("{} {:?}", rule.applies_to, rule.conditions)).collect();
        assert_eq!(
            rules,
            [
                r#"deployments [("repo", "acme/checkout")]"#,
                r#"charges [("tag:app", "checkout"), ("tag:part", "api")]"#,
                r#"deployments [("tag:service_id", "PT4KHLK")]"#,
                r#"deployments [("tag:app", "checkout-prod")]"#,
                r#"charges [("resource_id", "checkout-db")]"#,
            ]
        );
        assert_eq!(
            found.teams[0],
            DescribedTeam { slug: "payments".into(), name: "Payments Team".into(), cost_center: None }
        );
        assert_eq!(found.services[1].lifecycle.as_deref(), Some("experimental"));
    }

    #[test]
    fn a_shared_repository_says_of_nobody_and_what_is_left_out_is_told() {
        let found = backstage(TEXT).unwrap();
        // What only the component says counts too; a queue of two belongs to neither.
        assert_eq!(found.services[1].rules.len(), 1);
        assert_eq!(found.services[1].rules[0].conditions, [("resource_id".to_owned(), "cart-cache".to_owned())]);
        assert!(found.services[2].rules.is_empty());
        assert_eq!(found.services[1].repositories, ["acme/web"]);
        let notes = found.notes.join("\n");
        for part in [
            "One document is not of Backstage and was",
            "1 of kind Location",
            "2 components share the repository acme/web",
            "One resource is needed by no component of the text or by several: divide its cost",
        ] {
            assert!(notes.contains(part), "{part}: {notes}");
        }
        assert!(backstage("a: [").unwrap_err().contains("not readable as YAML"));
        assert!(selector_rule("app in (a, b)").is_none() && selector_rule("app!=x").is_none());
    }

    #[test]
    fn a_project_of_gitlab_and_an_id_in_kubernetes_become_rules() {
        let annotations = "{gitlab.com/project-slug: acme/finance/ledger, backstage.io/kubernetes-id: ' ledger-api '}";
        let text = format!(
            "apiVersion: backstage.io/v1alpha1\nkind: Component\n\
             metadata: {{name: ledger, annotations: {annotations}}}\nspec: {{}}\n"
        );
        let found = backstage(&text).unwrap();
        let ledger = &found.services[0];
        assert_eq!(ledger.repositories, ["acme/finance/ledger"]);
        let rules: Vec<_> =
            ledger.rules.iter().map(|rule| (rule.applies_to.as_str(), rule.conditions.clone())).collect();
        let is = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        let expected = [
            ("deployments", is("repo", "acme/finance/ledger")),
            ("charges", is("tag:backstage.io/kubernetes-id", "ledger-api")),
        ];
        assert_eq!(rules, expected);
        assert_eq!(ledger.rules[0].evidence, "gitlab.com/project-slug: acme/finance/ledger");
    }

    /// Two components of one name in two namespaces are two services; what names no namespace is in the one's own.
    #[test]
    fn namespaces_tell_entities_of_one_name_apart() {
        let entity = |kind: &str, namespace: &str, name: &str, spec: &str| {
            format!(
                "apiVersion: backstage.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
                 spec: {spec}\n---\n"
            )
        };
        let text = [
            entity("Component", "default", "api", "{owner: web, system: shop}"),
            entity("Component", "payments", "api", "{owner: web, system: shop, dependsOn: [resource:db]}"),
            entity("Component", "payments", "ledger", "{owner: group:default/web, system: default/shop}"),
            entity("System", "default", "shop", "{domain: commerce}"),
            entity("Domain", "default", "commerce", "{}"),
            entity("Group", "payments", "web", "{}"),
            entity("Resource", "payments", "db", "{type: database}"),
            entity("Resource", "default", "db", "{type: database, dependencyOf: [api]}"),
        ];
        let found = backstage(text.concat().trim_end_matches("---\n")).unwrap();
        let services: Vec<_> = found
            .services
            .iter()
            .map(|one| (one.slug.as_str(), one.name.as_str(), one.owner.as_deref(), one.product.as_deref()))
            .collect();
        let expected = [
            ("api", "api", Some("web"), Some("commerce")),
            // There is no system of this name beside it.
            ("payments-api", "api (payments)", Some("payments-web"), Some("shop")),
            ("payments-ledger", "ledger", Some("web"), Some("commerce")),
        ];
        assert_eq!(services, expected);
        assert_eq!(found.teams[0].slug, "payments-web");
        assert!(found.services.iter().all(|service| service.aliases.is_empty()), "“api” would mean both");
        let rules: Vec<usize> = found.services.iter().map(|service| service.rules.len()).collect();
        assert_eq!(rules, [1, 1, 0], "each has the resource of its own namespace");
    }

    /// Aliases that grow without end are refused, not followed.
    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let before = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        assert!(backstage(&text).is_err());
    }
}
