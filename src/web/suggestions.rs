//! Rules that the catalogue suggests for what is unmapped, each with what speaks for it, accepted by one button.

use super::Result;
use super::rules::form::{ConditionFields, RuleForm};
use crate::allocate::{self, Names, TAG_PREFIX};
use crate::store::{Snapshot, catalogue, service_details};
use std::collections::{BTreeMap, BTreeSet};

/// Tags that say whose something is only loosely: the catalogue's own name in one of them is a hint.
const HINT_TAGS: [&str; 8] = [
    "namespace",
    "kubernetes_namespace",
    "app.kubernetes.io/name",
    "component",
    "project",
    "service.name",
    "name",
    "workload",
];

/// Words in names of pipelines and senders' services that say what is done there, not whose it is.
const ORDINARY_WORDS: [&str; 11] =
    ["cd", "ci", "deploy", "deployment", "job", "pipeline", "prod", "production", "release", "run", "service"];

/// A rule that may be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suggestion {
    /// The service that it names.
    pub service: String,
    /// What speaks for it.
    pub evidence: String,
    /// The rule as the form of rules sends it.
    pub fields: Vec<(&'static str, String)>,
}

/// What suggestions are made from.
pub(super) struct Suggester {
    /// Name and address of each service.
    services: BTreeMap<i64, (String, String)>,
    names: Names,
    repositories: BTreeMap<String, BTreeSet<i64>>,
}

impl Suggester {
    /// Reads the catalogue.
    pub async fn read(snapshot: &mut Snapshot) -> Result<Self> {
        let mut names = Names::new();
        for entry in catalogue::service_names(&mut *snapshot).await? {
            names.insert(&entry.name, entry.id);
        }
        let services = catalogue::service::list(&mut *snapshot).await?;
        let services = services.into_iter().map(|one| (one.service_id, (one.name, one.slug))).collect();
        let mut repositories: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
        for detail in service_details::list(snapshot).await? {
            for name in detail.repositories {
                repositories.entry(name.to_lowercase()).or_default().insert(detail.service_id);
            }
        }
        Ok(Self { services, names, repositories })
    }

    /// For deployments of a repository that no service has: by the one service that the catalogue says lives there, else
    /// by the one that is called like it. `more` has to hold too.
    pub fn of_repository(&self, repository: &str, more: Vec<ConditionFields>) -> Option<Suggestion> {
        let conditions = [vec![equals("repo", repository)], more].concat();
        if let Some(owners) = self.repositories.get(&repository.to_lowercase()) {
            // Of several, the repository says of none.
            let (Some(id), 1) = (owners.first(), owners.len()) else { return None };
            let evidence = format!("The catalogue says that {repository} is its only service's repository.");
            return self.suggestion(*id, "deployments", conditions, evidence);
        }
        let name = repository.rsplit('/').next().unwrap_or_default();
        let id = self.names.find(name)?;
        self.suggestion(id, "deployments", conditions, format!("The repository is called like the service: {name}."))
    }

    /// For charges that no rule gives to a service: by a tag that holds the name of one.
    pub fn of_tags<'a>(&self, tags: impl Iterator<Item = (&'a str, String)>) -> Option<Suggestion> {
        let mut hints: Vec<(usize, String, String)> = tags
            .filter_map(|(key, value)| {
                let place = HINT_TAGS.iter().position(|hint| hint.eq_ignore_ascii_case(key))?;
                Some((place, key.to_owned(), value))
            })
            .collect();
        hints.sort();
        hints.into_iter().find_map(|(_, key, value)| {
            let id = self.names.find(&value)?;
            let evidence = format!("Its tag {key} says {value}.");
            self.suggestion(id, "charges", vec![equals(&format!("tag:{key}"), &value)], evidence)
        })
    }

    /// For what a sender told and no rule gives to a service: by the first of these attributes whose value is like the
    /// name of one. `more` has to hold too.
    pub fn of_name<'a>(
        &self,
        told: impl IntoIterator<Item = (&'a str, String)>,
        more: &[ConditionFields],
    ) -> Option<Suggestion> {
        told.into_iter().find_map(|(attribute, value)| {
            let id = self.like(&value)?;
            let own = equals(attribute, value.trim());
            let others = more.iter().filter(|condition| **condition != own).cloned();
            let conditions = std::iter::once(own.clone()).chain(others).collect();
            let evidence = match attribute.strip_prefix(TAG_PREFIX).unwrap_or(attribute) {
                "service" => format!("The sender's name for it is like that of the service: {}.", own.value),
                what => format!("The {what} is called like the service: {}.", own.value),
            };
            self.suggestion(id, "deployments", conditions, evidence)
        })
    }

    // The service of that name: as it is, without what stands in brackets, or without words that say what is done.
    fn like(&self, name: &str) -> Option<i64> {
        let bare = without_brackets(name);
        let address = allocate::slug(&bare);
        let words: Vec<&str> = address.split('-').filter(|word| !ORDINARY_WORDS.contains(word)).collect();
        self.names.find(name).or_else(|| self.names.find(&bare)).or_else(|| self.names.find(&words.join("-")))
    }

    fn suggestion(
        &self,
        service_id: i64,
        applies_to: &str,
        conditions: Vec<ConditionFields>,
        evidence: String,
    ) -> Option<Suggestion> {
        let (name, slug) = self.services.get(&service_id)?;
        let form = RuleForm {
            applies_to: applies_to.into(),
            conditions,
            service: slug.clone(),
            place: "last".into(),
            note: evidence.clone(),
            ..RuleForm::default()
        };
        // The form asks a person for the reason; here the button gives it.
        let mut fields = form.fields();
        fields.push(("reason", format!("Suggested and accepted. {evidence}")));
        Some(Suggestion { service: name.clone(), evidence, fields })
    }
}

// `Checkout (24x7)` is `Checkout`.
fn without_brackets(name: &str) -> String {
    let mut depth = 0_usize;
    let mut kept = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept.trim().to_owned()
}

fn equals(attribute: &str, value: &str) -> ConditionFields {
    ConditionFields { attribute: attribute.into(), operator: "equals".into(), value: value.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggester() -> Suggester {
        let mut names = Names::new();
        names.insert("checkout", 1);
        names.insert("search", 2);
        let services = [(1, ("Checkout".into(), "checkout".into())), (2, ("Search".into(), "search".into()))].into();
        let repositories =
            [("acme/pay".to_owned(), BTreeSet::from([1])), ("acme/checkout".to_owned(), BTreeSet::from([1, 2]))].into();
        Suggester { services, names, repositories }
    }

    #[test]
    fn the_catalogue_speaks_before_a_name_and_of_several_services_none_is_suggested() {
        let service = |repository: &str| suggester().of_repository(repository, Vec::new()).map(|one| one.service);
        assert_eq!(service("Acme/Pay").as_deref(), Some("Checkout"));
        assert_eq!(service("acme/checkout"), None, "two services live there, whatever it is called");
        assert_eq!(service("other/search").as_deref(), Some("Search"));
        assert_eq!(service("other/unheard-of"), None);
    }

    #[test]
    fn a_tag_that_holds_a_name_is_a_hint() {
        let tags =
            [("project", "search".to_owned()), ("namespace", "checkout".to_owned()), ("color", "search".to_owned())];
        let found = suggester().of_tags(tags.iter().map(|(key, value)| (*key, value.clone()))).unwrap();
        assert_eq!((found.service.as_str(), found.evidence.as_str()), ("Checkout", "Its tag namespace says checkout."));
        let has = |name: &str, value: &str| found.fields.iter().any(|(key, text)| *key == name && text == value);
        assert!(has("service", "checkout"));
        assert!(has("reason", "Suggested and accepted. Its tag namespace says checkout."));
        assert!(suggester().of_tags([("color", "search".to_owned())].into_iter()).is_none());
    }
    #[test]
    fn what_a_sender_calls_it_may_be_like_a_name() {
        let of = |attribute: &str, value: &str| {
            suggester().of_name([(attribute, value.to_owned())], &[equals("source", "pager")])
        };
        let named = |value: &str| of("service", value).map(|one| one.service);
        for value in ["Checkout (24x7)", "[P1] checkout", " CHECKOUT ", "Deploy Checkout", "checkout-service (EU)"] {
            assert_eq!(named(value).as_deref(), Some("Checkout"), "{value}");
        }
        for value in ["", "()", "Deploy", "checkout-api", "Checkout and search", "prod"] {
            assert_eq!(named(value), None, "{value}");
        }
        let found = of("service", "Checkout (24x7)").unwrap();
        assert_eq!(found.evidence, "The sender's name for it is like that of the service: Checkout (24x7).");
        let of_field = |name: &str| {
            let fields = found.fields.iter().filter(|(key, _)| *key == name);
            fields.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(of_field("attribute"), ["service", "source"]);
        assert_eq!(of_field("value"), ["Checkout (24x7)", "pager"]);
        assert_eq!(of("tag:app", "search").unwrap().evidence, "The app is called like the service: search.");
        // The first that is like one, in the order that they are given.
        let hints = [("pipeline", "Tests"), ("tag:app", "search"), ("tag:namespace", "checkout")];
        let hints = hints.map(|(attribute, value)| (attribute, value.to_owned()));
        assert_eq!(suggester().of_name(hints, &[]).unwrap().service, "Search");
    }
}
