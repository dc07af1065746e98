//! A description of services taken into the catalogue: entries, their details, and the rules that follow.

use crate::described::{Change, DescribedRule, DescribedService, Known, KnownRule, KnownService, Plan, written};
use crate::store::catalogue::service::{self, Service, ServiceValues};
use crate::store::catalogue::team::{self, TeamValues};
use crate::store::catalogue::{self, CatalogueError};
use crate::store::mapping_rule_versions::{self, Action, Author};
use crate::store::mapping_rules::{self, MappingRule, Place, RuleValues};
use crate::store::service_details::{self, ServiceDetail};
use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashMap};

/// The catalogue and the rules as they stand.
pub async fn known(conn: &mut PgConnection) -> anyhow::Result<Known> {
    let services = service::list(&mut *conn).await?;
    let details: HashMap<i64, ServiceDetail> =
        service_details::list(&mut *conn).await?.into_iter().map(|detail| (detail.service_id, detail)).collect();
    let slugs: HashMap<i64, String> = services.iter().map(|one| (one.service_id, one.slug.clone())).collect();
    let mut names = BTreeMap::new();
    for entry in catalogue::service_names(&mut *conn).await? {
        if let Some(slug) = slugs.get(&entry.id) {
            names.entry(entry.name.to_lowercase()).or_insert_with(|| slug.clone());
        }
    }
    let teams = team::list(&mut *conn).await?.into_iter().map(|team| team.slug).collect();
    let described = mapping_rules::described(&mut *conn).await?;
    let rules = mapping_rules::list(conn).await?;
    let rules = rules.iter().filter_map(|rule| known_rule(rule, &slugs, &described)).collect();
    let services = services.iter().map(|one| known_service(one, details.get(&one.service_id))).collect();
    Ok(Known { teams, services, rules, names })
}

fn known_service(service: &Service, detail: Option<&ServiceDetail>) -> KnownService {
    let detail = detail.cloned().unwrap_or_default();
    let values = DescribedService {
        slug: service.slug.clone(),
        name: service.name.clone(),
        owner: service.team_slug.clone(),
        lifecycle: Some(service.lifecycle.clone()),
        tier: service.tier,
        cost_center: detail.cost_center,
        product: detail.product,
        repositories: detail.repositories,
        runbook: detail.runbook,
        aliases: service.aliases.clone(),
        rules: Vec::new(),
    };
    KnownService { values, described_by: detail.described_by }
}

fn known_rule(rule: &MappingRule, slugs: &HashMap<i64, String>, described: &HashMap<i64, String>) -> Option<KnownRule> {
    let mut conditions = Vec::new();
    for condition in rule.values.conditions.as_array()? {
        if condition["operator"] != "equals" {
            return None;
        }
        conditions.push((condition["attribute"].as_str()?.to_owned(), condition["value"].as_str()?.to_owned()));
    }
    let service = rule.values.service_id.and_then(|id| slugs.get(&id).cloned());
    let mapping_rule_id = rule.mapping_rule_id;
    let described_by = described.get(&mapping_rule_id).cloned();
    Some(KnownRule { mapping_rule_id, described_by, conditions, applies_to: rule.values.applies_to.clone(), service })
}

/// Who takes a description in, and which.
#[derive(Debug, Clone, Copy)]
pub struct Importer<'a> {
    /// The person.
    pub by: &'a str,
    /// The name of the description.
    pub source: &'a str,
    /// When.
    pub now: DateTime<Utc>,
    /// A person wants what it says before what is said already.
    pub takes_over: bool,
}

/// Does what the plan says within the caller's transaction, after `remap::begin`. The caller maps everything again.
pub async fn apply(conn: &mut PgConnection, plan: &Plan, importer: Importer<'_>) -> Result<(), CatalogueError> {
    for change in &plan.changes {
        match change {
            Change::AddTeam(new) => {
                let values = TeamValues { name: new.name.clone(), cost_center: new.cost_center.clone() };
                team::insert(&mut *conn, &new.slug, &values).await?;
            }
            Change::AddService(new) => {
                let id = service::insert(&mut *conn, &new.slug, &values_of(new), "api").await?;
                keep_detail(&mut *conn, id, new, Some(importer.source), importer).await?;
            }
            Change::ChangeService { slug, values, .. } => {
                let Some(before) = service::get(&mut *conn, slug).await? else { continue };
                service::update(&mut *conn, &before, &values_of(values)).await?;
                let kept = service_details::find(&mut *conn, before.service_id).await?;
                let described_by = described_by(&before, kept, importer);
                keep_detail(&mut *conn, before.service_id, values, described_by.as_deref(), importer).await?;
            }
            Change::AddRule { service, rule } => add_rule(&mut *conn, service, rule, importer).await?,
        }
    }
    Ok(())
}

// Whose a service is that a description filled in. What a person wrote stays a person's, and what another description said
// that one's unless a person takes it over: only then does the next time list what differs. Who has no details was made by
// a person, or by a rule, which gives a name and no more.
fn described_by(before: &Service, kept: Option<ServiceDetail>, importer: Importer<'_>) -> Option<String> {
    let source = importer.source.to_owned();
    match kept {
        None => Some(source).filter(|_| before.origin == "rule" && before.team_slug.is_none() && before.tier.is_none()),
        Some(kept) => kept.described_by.map(|other| if importer.takes_over { source } else { other }),
    }
}

fn values_of(described: &DescribedService) -> ServiceValues {
    ServiceValues {
        name: described.name.clone(),
        team_slug: described.owner.clone(),
        tier: described.tier.filter(|tier| (1..=9).contains(tier)),
        lifecycle: described.lifecycle.clone().unwrap_or_else(|| "production".into()),
        aliases: described.aliases.clone(),
    }
}

async fn keep_detail(
    conn: &mut PgConnection,
    service_id: i64,
    described: &DescribedService,
    described_by: Option<&str>,
    importer: Importer<'_>,
) -> sqlx::Result<()> {
    let detail = ServiceDetail {
        service_id,
        cost_center: described.cost_center.clone(),
        product: described.product.clone(),
        repositories: described.repositories.clone(),
        runbook: described.runbook.clone(),
        described_by: described_by.map(str::to_owned),
    };
    service_details::put(conn, &detail, importer.by, importer.now).await
}

async fn add_rule(
    conn: &mut PgConnection,
    slug: &str,
    rule: &DescribedRule,
    importer: Importer<'_>,
) -> Result<(), CatalogueError> {
    let Some(service) = service::get(&mut *conn, slug).await? else { return Ok(()) };
    let condition =
        |(attribute, value): &(String, String)| json!({ "attribute": attribute, "operator": "equals", "value": value });
    let values = RuleValues {
        applies_to: rule.applies_to.clone(),
        conditions: rule.conditions.iter().map(condition).collect(),
        service_id: Some(service.service_id),
        note: format!("{}: {}", importer.source, rule.evidence).chars().take(1000).collect(),
        ..RuleValues::default()
    };
    let place = place_of(&mut *conn, rule).await?;
    let id = mapping_rules::insert(&mut *conn, &values, place, importer.by, importer.now).await?;
    mapping_rules::set_described_by(&mut *conn, id, importer.source).await?;
    let kept = mapping_rules::get(&mut *conn, id).await?.context("the rule that was added").map_err(internal)?;
    let reason = format!("{} says that {} is {}.", importer.source, written(rule), service.name);
    let author = Author { login: importer.by, now: importer.now, reason: &reason };
    Ok(mapping_rule_versions::keep(conn, &kept, Action::Added, author).await?)
}

// Argo CD's events call their service what a label says, or like the application: a guess, which the annotation corrects.
// Its rule is asked before the one that believes that name; all others take what is left.
async fn place_of(conn: &mut PgConnection, rule: &DescribedRule) -> sqlx::Result<Place> {
    let is_of_application = |(attribute, _): &(String, String)| attribute == "tag:app";
    if rule.applies_to == "charges" || !rule.conditions.iter().any(is_of_application) {
        return Ok(Place::Last);
    }
    let believes = |known: &MappingRule| {
        known.values.applies_to != "charges" && known.values.service_from_attribute.as_deref() == Some("service")
    };
    let at = mapping_rules::list(conn).await?.iter().position(believes);
    Ok(at.map_or(Place::Last, |index| Place::Number(index + 1)))
}

fn internal(error: anyhow::Error) -> CatalogueError {
    CatalogueError::Database(sqlx::Error::Protocol(error.to_string()))
}
