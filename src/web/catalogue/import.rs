//! `/catalogue/import`: services and teams from a description that is kept elsewhere, looked at before it counts.

use super::super::mapping_change::{self, MappingChange};
use super::super::rules::{conditions_in_words, targets_in_words};
use super::super::spool::form_error;
use super::super::{AppState, ClientAddress, Error, NavItem, Page, Principal, Result, moments};
use super::refresh::RefreshForm;
use crate::described::{self, Change, Conflict, GoneRule, Known, Plan, written};
use crate::rollup::catalogue_import::{self, Importer};
use crate::store::catalogue_sources::{self, CatalogueSource};
use crate::store::mapping_rule_versions::TargetNames;
use crate::store::{Snapshot, mapping_rules};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Multipart, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;

/// A file; the second form carries it as text.
pub(super) const FILE_BYTES_MAX: usize = 4 << 20;
/// The same as a field of a form, every byte escaped.
pub(super) const FORM_BYTES_MAX: usize = 3 * FILE_BYTES_MAX + 4096;
const SOURCE_CHARS_MAX: usize = 100;

/// What was given: the file's text travels with the page from the look to the deed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ImportForm {
    /// `backstage`, `table` or `codeowners`.
    kind: String,
    /// What the description is called: what it said before is known by it.
    source: String,
    /// Of CODEOWNERS: the repository that it lies in.
    repository: String,
    takes_theirs: String,
    text: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "catalogue_import.html")]
pub(super) struct ImportPage {
    page: Page,
    form: ImportForm,
    plan: Option<Plan>,
    faults: Vec<String>,
    /// Descriptions that are fetched every night.
    refreshes: Vec<CatalogueSource>,
    /// Rules that came from descriptions: by number, the description's name and what the rule says.
    described_rules: HashMap<i64, (String, String)>,
    refresh_form: RefreshForm,
    refresh_message: String,
}

struct GoneRules {
    rules: Vec<GoneRule>,
    /// Their numbers, with commas between.
    numbers: String,
}

/// The page with a form about fetching that could not be kept, and why.
pub(super) async fn with_refresh(
    app: &AppState,
    principal: &Principal,
    refresh_form: RefreshForm,
    refresh_message: String,
) -> Result<ImportPage> {
    let page = page(app, principal, ImportForm::first(), None, Vec::new()).await?;
    Ok(ImportPage { refresh_form, refresh_message, ..page })
}

pub(super) async fn form(State(app): State<AppState>, principal: Principal) -> Result<ImportPage> {
    page(&app, &principal, ImportForm::first(), None, Vec::new()).await
}

async fn page(
    app: &AppState,
    principal: &Principal,
    form: ImportForm,
    plan: Option<Plan>,
    faults: Vec<String>,
) -> Result<ImportPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(app, principal, &mut snapshot, "Import · Catalogue", NavItem::Catalogue).await?;
    let refreshes = catalogue_sources::list(&mut *snapshot).await?;
    let described_rules = described_rules(&mut snapshot).await?;
    let refresh_form = RefreshForm { kind: "backstage".into(), ..RefreshForm::default() };
    let refresh_message = String::new();
    Ok(ImportPage { page, form, plan, faults, refreshes, described_rules, refresh_form, refresh_message })
}

async fn described_rules(snapshot: &mut Snapshot) -> Result<HashMap<i64, (String, String)>> {
    let mut described = mapping_rules::described(snapshot).await?;
    let rules = mapping_rules::list(snapshot).await?;
    let in_words = |rule: &mapping_rules::MappingRule| {
        let source = described.remove(&rule.mapping_rule_id)?;
        let targets = targets_in_words(&rule.values, &TargetNames::of(rule)).join(", ");
        let words = format!("{} → {targets}", conditions_in_words(&rule.values).join(" and "));
        Some((rule.mapping_rule_id, (source, words)))
    };
    Ok(rules.iter().filter_map(in_words).collect())
}

/// Shows what a file would change. Nothing is written.
pub(super) async fn look(
    State(app): State<AppState>,
    principal: Principal,
    mut multipart: Multipart,
) -> Result<Response> {
    let mut form = ImportForm::default();
    while let Some(field) = multipart.next_field().await.map_err(|error| form_error(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        let bytes = field.bytes().await.map_err(|error| form_error(&error))?;
        let text =
            String::from_utf8(bytes.to_vec()).map_err(|_| Error::Invalid("The file is not text in UTF-8.".into()))?;
        match name.as_str() {
            "kind" => form.kind = text,
            "source" => form.source = text,
            "repository" => form.repository = text,
            "takes_theirs" => form.takes_theirs = text,
            "file" => form.text = text,
            _ => {}
        }
    }
    let mut snapshot = app.pools.snapshot().await?;
    let known = catalogue_import::known(&mut snapshot).await?;
    drop(snapshot);
    match form.plan(&known) {
        Ok(plan) => Ok(page(&app, &principal, form, Some(plan), Vec::new()).await?.into_response()),
        Err(faults) => {
            let page = page(&app, &principal, form, None, faults).await?;
            Ok((StatusCode::BAD_REQUEST, page).into_response())
        }
    }
}

/// Does what was looked at; what has changed since then is worked out anew.
pub(super) async fn take_in(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<ImportForm>,
) -> Result<Response> {
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let known = catalogue_import::known(change.conn()).await?;
        let plan = form.plan(&known).map_err(|faults| Error::Invalid(faults.join(" ")))?;
        let (by, now) = (change.actor().to_owned(), change.now());
        let takes_over = !form.takes_theirs.is_empty();
        let importer = Importer { by: &by, source: form.source.trim(), now, takes_over };
        catalogue_import::apply(change.conn(), &plan, importer).await?;
        let details = json!({ "kind": form.kind, "changes": plan.changes.len(), "conflicts": plan.conflicts.len(),
            "takes_theirs": takes_over });
        change.audit("catalogue.imported", form.source.trim(), details).await?;
        change.finish().await
    });
    Ok(done.await?.redirect(|_| "/catalogue".into()))
}

impl ImportForm {
    fn first() -> Self {
        Self { kind: "backstage".into(), source: "catalog-info.yaml".into(), ..Self::default() }
    }

    fn plan(&self, known: &Known) -> std::result::Result<Plan, Vec<String>> {
        let source = self.source.trim();
        if source.is_empty() || source.chars().count() > SOURCE_CHARS_MAX || source.chars().any(char::is_control) {
            return Err(vec![format!("Name the description with 1 to {SOURCE_CHARS_MAX} visible characters.")]);
        }
        if self.text.trim().is_empty() {
            return Err(vec!["No file was chosen, or it is empty.".into()]);
        }
        let described = described::read(&self.kind, &self.text, &self.repository, known)?;
        Ok(described::plan(&described, known, source, !self.takes_theirs.is_empty()))
    }
}

impl ImportPage {
    fn sentence(&self, change: &Change) -> String {
        match change {
            Change::AddTeam(team) => format!("Add the team {}", team.name),
            Change::AddService(service) => {
                let owner = service.owner.as_deref().map(|owner| format!(", of {owner}")).unwrap_or_default();
                format!("Add the service {}{owner}", service.name)
            }
            Change::ChangeService { values, fields, .. } => {
                let parts: Vec<String> = fields
                    .iter()
                    .map(|(field, before, after)| match before.is_empty() {
                        true => format!("{field} {after}"),
                        false => format!("{field} {after} instead of {before}"),
                    })
                    .collect();
                format!("Change {}: {}", values.name, parts.join("; "))
            }
            Change::AddRule { service, rule } => format!("Add a rule: {} is {service}", written(rule)),
        }
    }

    fn evidence<'a>(&self, change: &'a Change) -> &'a str {
        match change {
            Change::AddRule { rule, .. } => &rule.evidence,
            _ => "",
        }
    }

    fn conflict(&self, conflict: &Conflict) -> String {
        conflict.sentence()
    }

    /// Rules of a description that it says no longer and that are still there.
    fn gone_rules(&self, one: &CatalogueSource) -> Option<GoneRules> {
        let is_its = |id: &i64| self.described_rules.get(id).filter(|(source, _)| *source == one.name);
        let rule = |id: &i64| is_its(id).map(|(_, words)| GoneRule { mapping_rule_id: *id, words: words.clone() });
        let rules: Vec<GoneRule> = one.gone_rule_ids.iter().filter_map(rule).collect();
        let numbers: Vec<String> = rules.iter().map(|rule| rule.mapping_rule_id.to_string()).collect();
        (!rules.is_empty()).then(|| GoneRules { rules, numbers: numbers.join(",") })
    }
}
