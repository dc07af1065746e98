//! What a description changes in the catalogue: worked out before anything is changed, so that a person can look at it.

use super::{Described, DescribedRule, DescribedService, DescribedTeam};
use std::collections::{BTreeMap, BTreeSet};

/// A service as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownService {
    /// What it says of itself, in the words of a description; rules are apart.
    pub values: DescribedService,
    /// Which description it came from last; none where a person or a rule made it.
    pub described_by: Option<String>,
}

/// A rule for one service by values that attributes equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRule {
    /// Its row.
    pub mapping_rule_id: i64,
    /// Which description it came from; none where a person made it, or changed it since.
    pub described_by: Option<String>,
    /// Attribute and value, in any order.
    pub conditions: Vec<(String, String)>,
    /// `charges`, `deployments` or `both`.
    pub applies_to: String,
    /// The short name of its service; none where it names one by an attribute or none at all.
    pub service: Option<String>,
}

/// The catalogue as it stands.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Short names of teams.
    pub teams: BTreeSet<String>,
    /// Services.
    pub services: Vec<KnownService>,
    /// Rules.
    pub rules: Vec<KnownRule>,
    /// Which service each name stands for, names in lower case.
    pub names: BTreeMap<String, String>,
}

/// Something that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A team is added.
    AddTeam(DescribedTeam),
    /// A service is added.
    AddService(DescribedService),
    /// A service gets these values.
    ChangeService {
        /// The short name that the catalogue has for it.
        slug: String,
        /// All its values afterwards.
        values: DescribedService,
        /// What is another than before: field, before, after.
        fields: Vec<(&'static str, String, String)>,
    },
    /// A rule is added for a service.
    AddRule {
        /// The service.
        service: String,
        /// The rule.
        rule: DescribedRule,
    },
}

/// What the description and the catalogue say differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The service.
    pub service: String,
    /// About what.
    pub field: &'static str,
    /// What the catalogue says; it stays.
    pub ours: String,
    /// What the description says.
    pub theirs: String,
}

impl Conflict {
    /// `Shop, team: Web here, Retail there`.
    pub fn sentence(&self) -> String {
        format!("{}, {}: {} here, {} there", self.service, self.field, self.ours, self.theirs)
    }
}

/// A rule that a description said and says no longer. It goes on deciding until somebody takes it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneRule {
    /// Its row.
    pub mapping_rule_id: i64,
    /// What it says: `repo is acme/old → shop`.
    pub words: String,
}

/// Everything that follows from a description.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In the order in which it is done.
    pub changes: Vec<Change>,
    /// What is left as it is, for a person to decide.
    pub conflicts: Vec<Conflict>,
    /// Services without an owner, or with one that nobody knows, and services that the description does not have any
    /// more, in sentences.
    pub orphans: Vec<String>,
    /// Rules that came from this description and are not in it any more.
    pub gone_rules: Vec<GoneRule>,
    /// What was not taken.
    pub notes: Vec<String>,
    /// Services that the description has as the catalogue has them.
    pub unchanged_count: usize,
}

/// Works out what a description changes. What a person said in the catalogue stands before it, unless `takes_theirs`;
/// what came from the same source before follows it.
pub fn plan(described: &Described, known: &Known, source: &str, takes_theirs: bool) -> Plan {
    let mut plan = Plan { notes: described.notes.clone(), ..Plan::default() };
    let mut teams = known.teams.clone();
    for team in described.teams.iter().filter(|team| !team.slug.is_empty()) {
        if teams.insert(team.slug.clone()) {
            plan.changes.push(Change::AddTeam(team.clone()));
        }
    }
    let mut seen = BTreeSet::new();
    let mut stand = BTreeSet::new();
    let own: BTreeSet<&str> = described.services.iter().map(|service| service.slug.as_str()).collect();
    for service in described.services.iter().filter(|service| !service.slug.is_empty()) {
        let slug = known.find(service).unwrap_or_else(|| service.slug.clone());
        // Whose short name it is comes before whom it is a name of too.
        let is_anothers = slug != service.slug && own.contains(slug.as_str());
        if is_anothers || !seen.insert(slug.clone()) {
            plan.notes.push(format!("{} is described more than once: the first description counts.", service.name));
            continue;
        }
        let service = plan.with_known_owner(service, &teams);
        let before = known.services.iter().find(|one| one.values.slug == slug);
        match before {
            None => plan.changes.push(Change::AddService(service.clone())),
            Some(before) => {
                let follows = takes_theirs || before.described_by.as_deref() == Some(source);
                plan.change(&before.values, &service, follows);
            }
        }
        stand.extend(plan.add_rules(&slug, &service, &known.rules));
    }
    let gone = known.services.iter().filter(|one| one.described_by.as_deref() == Some(source));
    for one in gone.filter(|one| !seen.contains(&one.values.slug)) {
        plan.orphans.push(format!("{} came from {source} and is not in it any more.", one.values.name));
    }
    let came = known.rules.iter().filter(|rule| rule.described_by.as_deref() == Some(source));
    plan.gone_rules = came.filter(|rule| !stand.contains(&rule.mapping_rule_id)).map(KnownRule::gone).collect();
    // A name that is given up is free before another one takes it.
    plan.changes.sort_by_key(|change| match change {
        Change::AddTeam(_) => 0,
        Change::ChangeService { .. } => 1,
        Change::AddService(_) | Change::AddRule { .. } => 2,
    });
    plan
}

impl KnownRule {
    fn gone(&self) -> GoneRule {
        let words = format!("{} → {}", in_words(&self.conditions), self.service.as_deref().unwrap_or("nothing"));
        GoneRule { mapping_rule_id: self.mapping_rule_id, words }
    }
}

impl Known {
    fn find(&self, service: &DescribedService) -> Option<String> {
        if self.services.iter().any(|one| one.values.slug == service.slug) {
            return Some(service.slug.clone());
        }
        let names = [&service.slug, &service.name].into_iter();
        names.map(|name| name.to_lowercase()).find_map(|name| self.names.get(&name).cloned())
    }
}

impl Plan {
    // An owner that nobody knows is no team: the service stays without one, and is listed.
    fn with_known_owner(&mut self, service: &DescribedService, teams: &BTreeSet<String>) -> DescribedService {
        let mut service = service.clone();
        match &service.owner {
            None => self.orphans.push(format!("{} has no owner.", service.name)),
            Some(owner) if !teams.contains(owner) => {
                self.orphans.push(format!("{} is owned by {owner}, which is no team here.", service.name));
                service.owner = None;
            }
            Some(_) => {}
        }
        service
    }

    fn change(&mut self, before: &DescribedService, service: &DescribedService, follows: bool) {
        let mut values = before.clone();
        let mut fields = Vec::new();
        let conflicts_before = self.conflicts.len();
        let pairs = fields_of(before).into_iter().zip(fields_of(service));
        for (index, ((field, ours), (_, theirs))) in pairs.enumerate() {
            if theirs.is_empty() || theirs == ours {
                continue;
            }
            if !ours.is_empty() && !follows {
                self.conflicts.push(Conflict { service: before.name.clone(), field, ours, theirs });
                continue;
            }
            set_field(&mut values, index, service);
            fields.push((field, ours, theirs));
        }
        let known: BTreeSet<String> = before.aliases.iter().map(|alias| alias.to_lowercase()).collect();
        let own = [before.slug.to_lowercase(), values.name.to_lowercase()];
        let is_new = |alias: &&String| !known.contains(&alias.to_lowercase()) && !own.contains(&alias.to_lowercase());
        let more: Vec<String> = service.aliases.iter().filter(is_new).cloned().collect();
        if !more.is_empty() {
            fields.push((
                "other names",
                before.aliases.join(", "),
                [before.aliases.clone(), more.clone()].concat().join(", "),
            ));
            values.aliases.extend(more);
        }
        if !fields.is_empty() {
            self.changes.push(Change::ChangeService { slug: before.slug.clone(), values, fields });
        } else if self.conflicts.len() == conflicts_before {
            self.unchanged_count += 1;
        }
    }

    // Gives the rules that stand as they are described.
    fn add_rules(&mut self, slug: &str, service: &DescribedService, known: &[KnownRule]) -> Vec<i64> {
        let mut stand = Vec::new();
        for rule in &service.rules {
            let wanted: BTreeSet<&(String, String)> = rule.conditions.iter().collect();
            let same = known.iter().find(|known| {
                known.conditions.iter().collect::<BTreeSet<_>>() == wanted
                    && (known.applies_to == rule.applies_to || known.applies_to == "both")
            });
            match same.map(|same| (same.service.as_deref(), same.mapping_rule_id)) {
                None => self.changes.push(Change::AddRule { service: slug.to_owned(), rule: rule.clone() }),
                Some((Some(other), id)) if other == slug => stand.push(id),
                Some((other, _)) => self.conflicts.push(Conflict {
                    service: service.name.clone(),
                    field: "rule",
                    ours: format!("{} belongs to {}", written(rule), other.unwrap_or("what another rule says")),
                    theirs: rule.evidence.clone(),
                }),
            }
        }
        stand
    }
}

/// A rule in words: `repo is acme/shop`.
pub fn written(rule: &DescribedRule) -> String {
    in_words(&rule.conditions)
}

fn in_words(conditions: &[(String, String)]) -> String {
    let words: Vec<String> = conditions.iter().map(|(attribute, value)| format!("{attribute} is {value}")).collect();
    words.join(" and ")
}

// In this order by index, for both functions.
fn fields_of(service: &DescribedService) -> Vec<(&'static str, String)> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        ("name", service.name.clone()),
        ("team", text(&service.owner)),
        ("tier", service.tier.map(|tier| tier.to_string()).unwrap_or_default()),
        ("lifecycle", text(&service.lifecycle)),
        ("cost center", text(&service.cost_center)),
        ("product", text(&service.product)),
        ("repositories", service.repositories.join(", ")),
        ("runbook", text(&service.runbook)),
    ]
}

fn set_field(values: &mut DescribedService, index: usize, from: &DescribedService) {
    match index {
        0 => values.name.clone_from(&from.name),
        1 => values.owner.clone_from(&from.owner),
        2 => values.tier = from.tier,
        3 => values.lifecycle.clone_from(&from.lifecycle),
        4 => values.cost_center.clone_from(&from.cost_center),
        5 => values.product.clone_from(&from.product),
        6 => values.repositories.clone_from(&from.repositories),
        _ => values.runbook.clone_from(&from.runbook),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(slug: &str, owner: Option<&str>) -> DescribedService {
        let owner = owner.map(str::to_owned);
        DescribedService { slug: slug.into(), name: slug.into(), owner, ..DescribedService::default() }
    }

    fn described(services: Vec<DescribedService>) -> Described {
        let team = DescribedTeam { slug: "payments".into(), name: "Payments".into(), cost_center: None };
        Described { teams: vec![team], services, notes: Vec::new() }
    }

    fn rule(value: &str) -> DescribedRule {
        DescribedRule {
            applies_to: "deployments".into(),
            conditions: vec![("repo".into(), value.into())],
            evidence: "annotation".into(),
        }
    }

    fn known(services: Vec<(DescribedService, Option<&str>)>) -> Known {
        let names = services.iter().map(|(one, _)| (one.slug.clone(), one.slug.clone())).collect();
        let services = services
            .into_iter()
            .map(|(values, by)| KnownService { values, described_by: by.map(str::to_owned) })
            .collect();
        Known { services, names, ..Known::default() }
    }

    #[test]
    fn what_is_new_is_added_with_its_team_and_rules() {
        let shop = DescribedService { rules: vec![rule("acme/shop")], ..service("shop", Some("payments")) };
        let found = plan(
            &described(vec![shop.clone(), service("lone", Some("nobody")), shop.clone()]),
            &Known::default(),
            "file",
            false,
        );
        assert!(matches!(&found.changes[0], Change::AddTeam(team) if team.slug == "payments"));
        assert!(matches!(&found.changes[1], Change::AddService(one) if one.slug == "shop"));
        assert!(matches!(&found.changes[2], Change::AddRule { service, .. } if service == "shop"));
        assert!(matches!(&found.changes[3], Change::AddService(one) if one.owner.is_none()));
        assert_eq!(found.orphans, ["lone is owned by nobody, which is no team here."]);
        assert!(found.notes[0].contains("more than once"));
    }

    #[test]
    fn what_a_person_said_stays_and_what_the_source_said_follows_it() {
        let ours = DescribedService { tier: Some(2), ..service("shop", Some("web")) };
        let theirs =
            DescribedService { tier: Some(1), product: Some("Shop".into()), ..service("shop", Some("payments")) };
        let mut catalogue = known(vec![(ours.clone(), None)]);
        catalogue.teams.insert("web".into());
        let found = plan(&described(vec![theirs.clone()]), &catalogue, "file", false);
        let fields: Vec<&str> = found.conflicts.iter().map(|conflict| conflict.field).collect();
        assert_eq!(fields, ["team", "tier"]);
        let product = &found.changes[1];
        assert!(
            matches!(product, Change::ChangeService { values, fields, .. }
            if values.tier == Some(2) && *fields == [("product", String::new(), "Shop".into())]),
            "{product:?}"
        );
        for (by, takes_theirs) in [(Some("file"), false), (None, true)] {
            let catalogue = known(vec![(ours.clone(), by)]);
            let found = plan(&described(vec![theirs.clone()]), &catalogue, "file", takes_theirs);
            assert!(found.conflicts.is_empty());
            assert!(matches!(&found.changes[1], Change::ChangeService { values, .. } if values.tier == Some(1)));
        }
    }

    #[test]
    fn a_service_that_differs_is_not_as_it_is_described() {
        let ours = DescribedService { tier: Some(2), ..service("shop", Some("web")) };
        let theirs = DescribedService { tier: Some(1), ..service("shop", Some("web")) };
        let mut catalogue = known(vec![(ours.clone(), None)]);
        catalogue.teams.extend(["web".into(), "payments".into()]);
        for (described_as, counts) in [(theirs, (1, 0)), (ours, (0, 1))] {
            let found = plan(&described(vec![described_as]), &catalogue, "file", false);
            assert!(found.changes.is_empty(), "{:?}", found.changes);
            assert_eq!((found.conflicts.len(), found.unchanged_count), counts);
        }
    }

    #[test]
    fn rules_that_stand_are_not_added_again_and_others_are_told() {
        let shop =
            DescribedService { rules: vec![rule("acme/a"), rule("acme/b")], ..service("shop", Some("payments")) };
        let mut catalogue =
            known(vec![(service("shop", Some("payments")), Some("file")), (service("old", None), Some("file"))]);
        let stands = |value: &str, service: &str| KnownRule {
            mapping_rule_id: 1,
            described_by: None,
            conditions: vec![("repo".into(), value.into())],
            applies_to: "both".into(),
            service: Some(service.into()),
        };
        catalogue.rules = vec![stands("acme/a", "shop"), stands("acme/b", "search")];
        catalogue.teams.insert("payments".into());
        let found = plan(&described(vec![shop]), &catalogue, "file", false);
        assert!(found.changes.is_empty() && found.unchanged_count == 1, "{:?}", found.changes);
        assert_eq!(found.conflicts[0].ours, "repo is acme/b belongs to search");
        assert_eq!(found.orphans, ["old came from file and is not in it any more."]);
    }

    #[test]
    fn rules_that_are_described_no_longer_are_gone() {
        let shop = DescribedService { rules: vec![rule("acme/new")], ..service("shop", Some("payments")) };
        let mut catalogue = known(vec![(service("shop", Some("payments")), Some("file"))]);
        let came = |mapping_rule_id: i64, value: &str, service: &str, by: Option<&str>| KnownRule {
            mapping_rule_id,
            described_by: by.map(str::to_owned),
            conditions: vec![("repo".into(), value.into())],
            applies_to: "deployments".into(),
            service: Some(service.into()),
        };
        catalogue.rules = vec![
            came(1, "acme/old", "shop", Some("file")),
            came(2, "acme/mine", "shop", None),
            came(3, "acme/theirs", "shop", Some("another file")),
            came(4, "acme/new", "shop", Some("file")),
            came(5, "acme/left", "gone", Some("file")),
        ];
        let found = plan(&described(vec![shop]), &catalogue, "file", false);
        let gone: Vec<_> = found.gone_rules.iter().map(|one| (one.mapping_rule_id, one.words.as_str())).collect();
        assert_eq!(gone, [(1, "repo is acme/old → shop"), (5, "repo is acme/left → gone")]);
    }

    /// A component that is called as another one's short name is not that one.
    #[test]
    fn a_short_name_comes_before_another_ones_name() {
        let mut before = service("payments-api", None);
        before.name = "api".into();
        let mut catalogue = known(vec![(before.clone(), Some("file"))]);
        catalogue.names.insert("api".into(), "payments-api".into());
        let mut renamed = before;
        renamed.name = "api (payments)".into();
        let found = plan(&described(vec![service("api", None), renamed]), &catalogue, "file", false);
        assert!(found.notes[0].contains("api is described more than once"), "{:?}", found.notes);
        assert!(
            matches!(&found.changes[1], Change::ChangeService { slug, values, .. }
            if slug == "payments-api" && values.name == "api (payments)"),
            "{:?}",
            found.changes
        );
    }
}
