//! The rules as they stand, ready to be asked, and the catalogue entries that their answers need.

use crate::allocate::{
    AppliesTo, Assignment, Catalogue, EnvironmentKind, Names, Rule, Rules, Subject, Target, TargetRule, TeamShare,
    Validity,
};
use crate::store::catalogue::{self, NewEnvironment, NewService, team_share};
use crate::store::mapping_rules::{self, MappingRule, RuleValues};
use anyhow::Context;
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashMap};

/// The rules, compiled for both subjects over one state of the catalogue.
#[derive(Debug)]
pub struct Mapper {
    /// Rules for charges.
    pub charges: Rules,
    /// Rules for deployments.
    pub deployments: Rules,
    // Ids of the entries that were added since, by slug.
    added_services: HashMap<String, i64>,
    added_environments: HashMap<String, i64>,
}

impl Mapper {
    /// Reads rules and catalogue. The caller holds a lock that keeps both as they are.
    pub async fn load(conn: &mut PgConnection) -> anyhow::Result<Self> {
        let rules = rules_of(&mapping_rules::list(&mut *conn).await?)?;
        Self::compile(&rules, catalogue_names(conn).await?)
    }

    /// Rules over a catalogue.
    pub fn compile(rules: &[Rule], catalogue: Catalogue) -> anyhow::Result<Self> {
        Ok(Self {
            charges: Rules::compile(rules, Subject::Charges, catalogue.clone())?,
            deployments: Rules::compile(rules, Subject::Deployments, catalogue)?,
            added_services: HashMap::new(),
            added_environments: HashMap::new(),
        })
    }

    /// Adds to the catalogue whatever these assignments name anew. Returns how many entries that were.
    pub async fn add_missing<'a>(
        &mut self,
        conn: &mut PgConnection,
        assignments: impl Iterator<Item = &'a Assignment>,
    ) -> sqlx::Result<usize> {
        let (services, environments) = self.new_of(assignments.map(|assignment| (assignment, None)));
        self.add(conn, &services, &environments).await
    }

    /// The same, each with what kind of environment its sender says it is.
    pub async fn add_missing_of_kinds(
        &mut self,
        conn: &mut PgConnection,
        assignments: &[(&Assignment, Option<EnvironmentKind>)],
    ) -> sqlx::Result<usize> {
        let (services, environments) = self.new_of(assignments.iter().copied());
        self.add(conn, &services, &environments).await
    }

    // Of several kinds of one new environment the first of a menu is taken, so that the order of rows is no matter.
    fn new_of<'a>(
        &self,
        assignments: impl Iterator<Item = (&'a Assignment, Option<EnvironmentKind>)>,
    ) -> (Vec<NewService>, Vec<NewEnvironment>) {
        let (mut services, mut environments) = (BTreeMap::new(), BTreeMap::new());
        let mut kinds: BTreeMap<String, EnvironmentKind> = BTreeMap::new();
        for (assignment, kind) in assignments {
            collect_new(&assignment.service, &self.added_services, &mut services);
            collect_new(&assignment.environment, &self.added_environments, &mut environments);
            if let (Some(Target::Add(name)), Some(kind)) = (&assignment.environment, kind) {
                let told = kinds.entry(crate::allocate::slug(name)).or_insert(kind);
                *told = kind.min(*told);
            }
        }
        let environment = |(slug, name): (String, String)| {
            let kind = EnvironmentKind::of_new(&name, kinds.get(&slug).copied()).key().to_owned();
            NewEnvironment { slug, name, kind }
        };
        let services = services.into_iter().map(|(slug, name)| NewService { slug, name });
        (services.collect(), environments.into_iter().map(environment).collect())
    }

    async fn add(
        &mut self,
        conn: &mut PgConnection,
        services: &[NewService],
        environments: &[NewEnvironment],
    ) -> sqlx::Result<usize> {
        if !services.is_empty() {
            self.added_services.extend(catalogue::add_services(conn, services).await?);
        }
        if !environments.is_empty() {
            self.added_environments.extend(catalogue::add_environments(conn, environments).await?);
        }
        Ok(services.len() + environments.len())
    }

    /// The teams that these assignments give something without a service, and that have no entry for it yet.
    pub fn teams_without_entry<'a>(&self, assignments: impl Iterator<Item = &'a Assignment>) -> Vec<i64> {
        self.charges.teams_without_entry(assignments).into_iter().collect()
    }

    /// How many entries the rules have added.
    pub fn entries_added(&self) -> usize {
        self.added_services.len() + self.added_environments.len()
    }

    /// Whether this is the name of a service that the rules have added.
    pub fn has_added_service(&self, name: &str) -> bool {
        self.added_services.contains_key(&crate::allocate::slug(name))
    }

    /// Whether this is the name of an environment that the rules have added.
    pub fn has_added_environment(&self, name: &str) -> bool {
        self.added_environments.contains_key(&crate::allocate::slug(name))
    }

    /// The service's id, after [`Self::add_missing`]. `None` where none is named or the catalogue lacks it.
    pub fn service_id(&self, target: Option<&Target>) -> Option<i64> {
        id_of(target, &self.added_services)
    }

    /// The environment's id, after [`Self::add_missing`].
    pub fn environment_id(&self, target: Option<&Target>) -> Option<i64> {
        id_of(target, &self.added_environments)
    }
}

/// All names of the catalogue.
pub async fn catalogue_names(conn: &mut PgConnection) -> sqlx::Result<Catalogue> {
    catalogue_names_without(conn, None, None).await
}

/// All names of the catalogue but those of one service or environment.
pub async fn catalogue_names_without(
    conn: &mut PgConnection,
    service_id: Option<i64>,
    environment_id: Option<i64>,
) -> sqlx::Result<Catalogue> {
    let mut services = Names::new();
    for entry in catalogue::service_names(&mut *conn).await?.iter().filter(|entry| Some(entry.id) != service_id) {
        services.insert(&entry.name, entry.id);
    }
    let mut environments = Names::new();
    let named = catalogue::environment_names(&mut *conn).await?;
    for entry in named.iter().filter(|entry| Some(entry.id) != environment_id) {
        environments.insert(&entry.name, entry.id);
    }
    let mut teams = Names::new();
    let mut team_shares = HashMap::new();
    for team in team_share::list(conn).await? {
        teams.insert(&team.slug, team.team_id);
        teams.insert(&team.name, team.team_id);
        let service_id = team.service_id.filter(|id| Some(*id) != service_id);
        team_shares.insert(team.team_id, TeamShare { service_id, name: team.share_name });
    }
    Ok(Catalogue { services, environments, teams, team_shares })
}

/// Stored rules as `allocate` understands them.
pub fn rules_of(stored: &[MappingRule]) -> anyhow::Result<Vec<Rule>> {
    let rule = |stored: &MappingRule| {
        rule_of(stored.mapping_rule_id, &stored.values)
            .with_context(|| format!("reading mapping rule {}", stored.mapping_rule_id))
    };
    stored.iter().map(rule).collect()
}

/// One stored rule as `allocate` understands it.
pub fn rule_of(mapping_rule_id: i64, values: &RuleValues) -> anyhow::Result<Rule> {
    Ok(Rule {
        mapping_rule_id,
        applies_to: AppliesTo::from_key(&values.applies_to).context("it applies to an unknown subject")?,
        conditions: serde_json::from_value(values.conditions.clone()).context("its conditions are not readable")?,
        service: target_of(values.service_id, values.service_from_attribute.as_deref()),
        environment: target_of(values.environment_id, values.environment_from_attribute.as_deref()),
        team: target_of(values.team_id, values.team_from_attribute.as_deref()),
        dimensions: serde_json::from_value(values.dimensions.clone()).context("its dimensions are not readable")?,
        validity: Validity { first_day: values.first_day, last_day: values.last_day },
        adds_to_catalogue: values.adds_to_catalogue,
    })
}

fn target_of(id: Option<i64>, attribute: Option<&str>) -> TargetRule {
    match (id, attribute) {
        (Some(id), _) => TargetRule::Fixed(id),
        (None, Some(attribute)) => TargetRule::NamedBy(attribute.to_owned()),
        (None, None) => TargetRule::Nothing,
    }
}

// Of several spellings of one new name the first in the alphabet is kept, so that the order of rows is no matter.
fn collect_new(target: &Option<Target>, added: &HashMap<String, i64>, new: &mut BTreeMap<String, String>) {
    let Some(Target::Add(name)) = target else { return };
    let slug = crate::allocate::slug(name);
    if added.contains_key(&slug) {
        return;
    }
    let kept = new.entry(slug).or_insert_with(|| name.clone());
    if name < kept {
        kept.clone_from(name);
    }
}

fn id_of(target: Option<&Target>, added: &HashMap<String, i64>) -> Option<i64> {
    match target? {
        Target::Known(id) => Some(*id),
        Target::Add(name) => added.get(&crate::allocate::slug(name)).copied(),
        Target::NotFound(_) => None,
    }
}
