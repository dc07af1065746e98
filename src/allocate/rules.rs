//! Rules made ready to be asked a million times.

use super::attributes::tag_key;
use super::dimension::{DimensionTarget, is_fit_as_value};
use super::names::Names;
use super::rule::{AppliesTo, Condition, NAME_CHARS_MAX, Rule, RuleError, TargetRule};
use super::slug;
use super::test::Test;
use super::validity::{END_DAY, FIRST_DAY, Validity};
use crate::focus::DateRange;
use chrono::NaiveDate;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What is being mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Charges of bills.
    Charges,
    /// Deployments.
    Deployments,
}

/// The names that a rule's "named by" is looked up in.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Services by slug, name and alias.
    pub services: Names,
    /// Environments by slug, name and alias.
    pub environments: Names,
    /// Teams by slug and name.
    pub teams: Names,
    /// What each team's cost without a service is kept under.
    pub team_shares: HashMap<i64, TeamShare>,
}

/// The entry that holds what a rule gives to a team and no rule to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamShare {
    /// The service that stands for it; none before a rule first named the team.
    pub service_id: Option<i64>,
    /// What it is called, or will be.
    pub name: String,
}

/// The rules for one subject, in order, compiled.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<CompiledRule>,
    details: Vec<Condition>,
    catalogue: Catalogue,
}

/// What of the catalogue a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A service.
    Service,
    /// An environment.
    Environment,
}

/// What a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// An entry of the catalogue.
    Known(i64),
    /// A name that the rule adds to the catalogue.
    Add(String),
    /// A name that the catalogue lacks and that the rule does not add: unmapped, and this is why.
    NotFound(String),
}

/// Who something belongs to. An absent target means that no rule names one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The service.
    pub service: Option<Target>,
    /// The rule that named the service.
    pub service_rule_id: Option<i64>,
    /// The environment.
    pub environment: Option<Target>,
    /// The rule that named the environment.
    pub environment_rule_id: Option<i64>,
    /// The values of dimensions, by their names.
    pub dimensions: BTreeMap<String, DimensionValue>,
}

/// What a rule says of a dimension.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct DimensionValue {
    /// The value.
    pub value: String,
    /// The rule that named it.
    pub rule_id: i64,
}

/// Who something belongs to on these days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatedAssignment {
    /// The charge days.
    pub days: DateRange,
    /// Who.
    pub assignment: Assignment,
}

#[derive(Debug, Clone)]
struct CompiledRule {
    mapping_rule_id: i64,
    conditions: Vec<(String, Test)>,
    service: TargetRule,
    environment: TargetRule,
    team: TargetRule,
    dimensions: Vec<DimensionTarget>,
    validity: Validity,
    adds_to_catalogue: bool,
}

impl Rules {
    /// The rules of `subject` in the order given, or the first thing that is wrong with one.
    pub fn compile(rules: &[Rule], subject: Subject, catalogue: Catalogue) -> Result<Self, RuleError> {
        let other = match subject {
            Subject::Charges => AppliesTo::Deployments,
            Subject::Deployments => AppliesTo::Charges,
        };
        let rules: Vec<&Rule> = rules.iter().filter(|rule| rule.applies_to != other).collect();
        let mut details: Vec<Condition> = Vec::new();
        for condition in rules.iter().flat_map(|rule| rule.details()) {
            if !details.contains(&condition) {
                details.push(condition);
            }
        }
        let rules = rules.into_iter().map(compile_rule).collect::<Result<_, _>>()?;
        Ok(Self { rules, details, catalogue })
    }

    /// The keys of the tags that any rule looks at.
    pub fn tag_keys(&self) -> BTreeSet<String> {
        self.attributes().filter_map(tag_key).map(str::to_owned).collect()
    }

    /// What the rules look at beyond the attributes that every rollup key carries: of a value that names something,
    /// that it is there.
    pub fn details(&self) -> Vec<Condition> {
        self.details.clone()
    }

    /// The rules with a condition on this attribute.
    pub fn looking_at(&self, attribute: &str) -> HashSet<i64> {
        let looks = |rule: &&CompiledRule| rule.conditions.iter().any(|(looked_at, _)| looked_at == attribute);
        self.rules.iter().filter(looks).map(|rule| rule.mapping_rule_id).collect()
    }

    /// Whether any rule may leave something unmapped because the catalogue lacks its name.
    pub fn may_miss_names(&self) -> bool {
        let is_named = |target: &TargetRule| matches!(target, TargetRule::NamedBy(_));
        self.rules
            .iter()
            .any(|rule| !rule.adds_to_catalogue && (is_named(&rule.service) || is_named(&rule.environment)))
    }

    /// Whether any rule names a team.
    pub fn names_teams(&self) -> bool {
        self.rules.iter().any(|rule| rule.team != TargetRule::Nothing)
    }

    /// The teams that these answers give something without a service, and that have no entry for it yet.
    pub fn teams_without_entry<'a>(&self, answers: impl Iterator<Item = &'a Assignment>) -> BTreeSet<i64> {
        let missing = self.catalogue.team_shares.iter().filter(|(_, share)| share.service_id.is_none());
        let mut missing: Vec<(i64, &str)> = missing.map(|(team_id, share)| (*team_id, share.name.as_str())).collect();
        let mut named = BTreeSet::new();
        for answer in answers {
            let Some(Target::Add(name)) = &answer.service else { continue };
            missing.retain(|(team_id, share_name)| *share_name != name || !named.insert(*team_id));
        }
        named
    }

    fn attributes(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| {
            let targets =
                [&rule.service, &rule.environment, &rule.team].into_iter().filter_map(|target| match target {
                    TargetRule::NamedBy(attribute) => Some(attribute.as_str()),
                    _ => None,
                });
            let dimensions = rule.dimensions.iter().filter_map(|target| target.from_attribute.as_deref());
            rule.conditions.iter().map(|(attribute, _)| attribute.as_str()).chain(targets).chain(dimensions)
        })
    }
}

/// Who something with these attributes belongs to, whatever the day: for the service, for the environment and for
/// each dimension, the first rule that matches and names one. A rule whose naming attribute is blank names nothing,
/// and the next is asked.
pub fn assign<'a>(rules: &Rules, attribute: impl Fn(&str) -> Option<Cow<'a, str>>) -> Assignment {
    assign_where(rules, |_| true, |_, _| true, &attribute)
}

/// The same for what only stands beside deployments and adds nothing to the catalogue: a rule that names what is not
/// known decides only where no later rule names what is.
pub fn assign_known<'a>(
    rules: &Rules,
    is_known: impl Fn(Entry, &Target) -> bool,
    attribute: impl Fn(&str) -> Option<Cow<'a, str>>,
) -> Assignment {
    assign_where(rules, |_| true, is_known, &attribute)
}

/// Who a charge with these attributes belongs to, for every charge day there can be: in order, without a gap, and
/// with as few ranges as say it.
pub fn assign_by_day<'a>(rules: &Rules, attribute: impl Fn(&str) -> Option<Cow<'a, str>>) -> Vec<DatedAssignment> {
    let dated = rules.rules.iter().filter(|rule| rule.validity != Validity::default());
    let bounds: BTreeSet<NaiveDate> =
        dated.filter(|rule| rule.matches(&attribute)).flat_map(|rule| rule.validity.bounds()).collect();
    let starts = std::iter::once(FIRST_DAY).chain(bounds.iter().copied());
    let ends = bounds.iter().copied().chain(std::iter::once(END_DAY));
    let mut found: Vec<DatedAssignment> = Vec::new();
    for days in starts.zip(ends).filter_map(|(start, end)| DateRange::new(start, end)) {
        let assignment = assign_where(rules, |rule| rule.validity.holds_on(days.start()), |_, _| true, &attribute);
        match found.last_mut() {
            Some(last) if last.assignment == assignment => {
                last.days = DateRange::new(last.days.start(), days.end()).unwrap_or(last.days);
            }
            _ => found.push(DatedAssignment { days, assignment }),
        }
    }
    found
}

fn assign_where<'a>(
    rules: &Rules,
    holds: impl Fn(&CompiledRule) -> bool,
    decides: impl Fn(Entry, &Target) -> bool,
    attribute: &impl Fn(&str) -> Option<Cow<'a, str>>,
) -> Assignment {
    let mut assignment = Assignment::default();
    let mut undecided = Assignment::default();
    let mut team: Option<(Target, i64)> = None;
    for rule in rules.rules.iter().filter(|rule| holds(rule)) {
        let asks_service = assignment.service.is_none() && rule.service != TargetRule::Nothing;
        let asks_environment = assignment.environment.is_none() && rule.environment != TargetRule::Nothing;
        let asks_team = team.is_none() && rule.team != TargetRule::Nothing;
        let asks_dimension = rule.dimensions.iter().any(|one| !assignment.dimensions.contains_key(&one.dimension));
        if !(asks_service || asks_environment || asks_team || asks_dimension) || !rule.matches(attribute) {
            continue;
        }
        if asks_service && let Some(target) = rule.target(&rule.service, &rules.catalogue.services, attribute) {
            let place = if decides(Entry::Service, &target) { &mut assignment } else { &mut undecided };
            place.name_service(target, rule.mapping_rule_id);
        }
        if asks_environment
            && let Some(target) = rule.target(&rule.environment, &rules.catalogue.environments, attribute)
        {
            let place = if decides(Entry::Environment, &target) { &mut assignment } else { &mut undecided };
            place.name_environment(target, rule.mapping_rule_id);
        }
        if asks_team {
            team = rule.team(&rules.catalogue, attribute).map(|target| (target, rule.mapping_rule_id));
        }
        rule.name_dimensions(&mut assignment.dimensions, attribute);
    }
    // A service's cost is its own team's. Only what has no service goes to the team that a rule names.
    if let (None, Some((target, rule_id))) = (&assignment.service, team) {
        assignment.name_service(target, rule_id);
    }
    if let (Some(target), Some(rule_id)) = (undecided.service, undecided.service_rule_id) {
        assignment.name_service(target, rule_id);
    }
    if let (Some(target), Some(rule_id)) = (undecided.environment, undecided.environment_rule_id) {
        assignment.name_environment(target, rule_id);
    }
    assignment
}

impl Assignment {
    // The first that is named stays.
    fn name_service(&mut self, target: Target, rule_id: i64) {
        if self.service.is_none() {
            (self.service, self.service_rule_id) = (Some(target), Some(rule_id));
        }
    }

    fn name_environment(&mut self, target: Target, rule_id: i64) {
        if self.environment.is_none() {
            (self.environment, self.environment_rule_id) = (Some(target), Some(rule_id));
        }
    }
}

fn compile_rule(rule: &Rule) -> Result<CompiledRule, RuleError> {
    rule.check_kept()?;
    let compiled = |condition: &Condition| Ok((condition.attribute.clone(), Test::compile(condition)?));
    Ok(CompiledRule {
        mapping_rule_id: rule.mapping_rule_id,
        conditions: rule.conditions.iter().map(compiled).collect::<Result<_, RuleError>>()?,
        service: rule.service.clone(),
        environment: rule.environment.clone(),
        team: rule.team.clone(),
        dimensions: rule.dimensions.clone(),
        validity: rule.validity,
        adds_to_catalogue: rule.adds_to_catalogue,
    })
}

impl CompiledRule {
    fn matches<'a>(&self, attribute: &impl Fn(&str) -> Option<Cow<'a, str>>) -> bool {
        self.conditions.iter().all(|(name, test)| attribute(name).is_some_and(|value| test.holds(&value)))
    }

    fn target<'a>(
        &self,
        target: &TargetRule,
        names: &Names,
        attribute: &impl Fn(&str) -> Option<Cow<'a, str>>,
    ) -> Option<Target> {
        let by = match target {
            TargetRule::Nothing => return None,
            TargetRule::Fixed(id) => return Some(Target::Known(*id)),
            TargetRule::NamedBy(by) => by,
        };
        let value = attribute(by)?;
        let name = value.trim();
        if name.is_empty() {
            return None;
        }
        Some(match names.find(name) {
            Some(id) => Target::Known(id),
            None if self.adds_to_catalogue && is_fit_to_add(name) => Target::Add(name.to_owned()),
            None => Target::NotFound(name.to_owned()),
        })
    }

    // A team that the catalogue lacks is not added, and the next rule is asked: teams are people.
    fn team<'a>(&self, catalogue: &Catalogue, attribute: &impl Fn(&str) -> Option<Cow<'a, str>>) -> Option<Target> {
        let team_id = match &self.team {
            TargetRule::Nothing => return None,
            TargetRule::Fixed(id) => *id,
            TargetRule::NamedBy(by) => catalogue.teams.find(&attribute(by)?)?,
        };
        let share = catalogue.team_shares.get(&team_id)?;
        Some(share.service_id.map_or_else(|| Target::Add(share.name.clone()), Target::Known))
    }

    fn name_dimensions<'a>(
        &self,
        named: &mut BTreeMap<String, DimensionValue>,
        attribute: &impl Fn(&str) -> Option<Cow<'a, str>>,
    ) {
        for target in self.dimensions.iter().filter(|target| !named.contains_key(&target.dimension)).collect::<Vec<_>>()
        {
            let value = match (&target.value, &target.from_attribute) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(by)) => attribute(by).map(|value| value.trim().to_owned()),
                (None, None) => None,
            };
            if let Some(value) = value.filter(|value| is_fit_as_value(value)) {
                named.insert(target.dimension.clone(), DimensionValue { value, rule_id: self.mapping_rule_id });
            }
        }
    }
}

fn is_fit_to_add(name: &str) -> bool {
    name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control)
}

impl Target {
    /// The entry, where there is one already.
    pub fn known(&self) -> Option<i64> {
        match self {
            Self::Known(id) => Some(*id),
            _ => None,
        }
    }

    /// Two spellings of one new name are one entry.
    pub fn slug(&self) -> Option<String> {
        match self {
            Self::Add(name) => Some(slug::slug(name)),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "rules_test.rs"]
mod tests;
