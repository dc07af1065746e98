//! `/deployments/{id}`: what the services cost before and after a deployment. A comparison, not an estimate.

mod causes;
mod change_set;
mod chart;
mod course;
mod effect;
mod export;
mod failure;
mod figure_changes;
mod figures;
pub(crate) mod matching;
mod others;
mod resources;
mod state;
mod units;

use super::charts::Buckets;
use super::comparison::{Around, FOUR_WEEKS, WEEK, earlier_start, rollout_from};
use super::context_events::{ContextEvents, ContextRow, Whose};
use super::csv;
use super::display::Line;
use super::drill;
use super::matched::MatchSection;
use super::parts::Figures;
use super::query::{Accepts, View, range_label};
use super::unit_costs::UnitSection;
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes};
use crate::events;
use crate::focus::CostBasis;
use crate::store::change_failures;
use crate::store::changes::{self, ChangeList, DeployedCommit};
use crate::store::deployment_costs::{self, ServedService, Sides};
use crate::store::deployment_list::label_of;
use crate::store::deployment_lists::{self, Row};
use crate::store::deployment_notes::{self, DeploymentNote};
use crate::store::deployment_pins;
use crate::store::effect_runs;
use crate::store::impact_series::Environments;
use crate::store::pipeline_runs::{self, ListedRun};
use crate::store::release_lists::{self, ListedRelease};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use causes::Causes;
use change_set::ChangeSet;
use chart::BeforeAfter;
use effect::EffectView;
pub use effect::{FlagRow, flags, standing};
use export::{estimates, export};
use failure::FailureSection;
pub use failure::sentence as failure_sentence;
use figure_changes::FigureChangeRow;
use figures::figures;
use others::Others;
use resources::ResourceTable;
use state::{answer, no_effect, state};
pub use units::unit_costs;

const ACCEPTS: Accepts = Accepts { texts: &[], by: &[], sort: &[] };
const RESOURCE_COUNT_MAX: i64 = 15;
const COMMIT_COUNT_MAX: i64 = 50;
/// Releases and runs of its version and commit.
const BESIDE_COUNT_MAX: i64 = 20;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    matching::routes(failure::routes(routes.get("/deployments/{id}", Policy::SignedIn, show))).get(
        "/deployments/{id}/unit-costs.csv",
        Policy::Money,
        units::export,
    )
}

#[derive(Template, WebTemplate)]
#[template(path = "deployment.html")]
struct DeploymentPage {
    page: Page,
    row: Row,
    label: String,
    services: Vec<ServedService>,
    environment: String,
    answer: String,
    /// In progress for more than a day.
    is_stale: bool,
    /// What stands in the way of a comparison, or nothing.
    state: Option<(&'static str, String)>,
    cost: Option<CostView>,
    effect: Option<EffectView>,
    /// What the difference of both sides is made of.
    causes: Option<Causes>,
    /// What a unit cost before and after.
    units: Option<UnitSection>,
    /// Why there is no estimate, where there is a comparison.
    no_effect: String,
    notes: Vec<DeploymentNote>,
    can_write_note: bool,
    json_href: String,
    others: Others,
    figure_changes: Vec<FigureChangeRow>,
    context: Vec<ContextRow>,
    context_note: String,
    context_href: String,
    failure: FailureSection,
    match_section: MatchSection,
    /// Others of the same billing day, which its cost cannot be told from.
    change_set: ChangeSet,
    /// When it began and how long it took; may be empty.
    course: String,
    window: String,
    /// Where it brought to a service what was live there already.
    same_version: String,
    changes: ChangeList,
    commits: Vec<DeployedCommit>,
    commits_are_cut: bool,
    releases: Vec<ListedRelease>,
    runs: Vec<ListedRun>,
    /// The days of the comparison and the environment, for the pages of its services.
    service_query: String,
    csv_href: String,
}

struct CostView {
    figures: Figures,
    charts: Vec<BeforeAfter>,
    by_service: Vec<(ServedService, Vec<Line>)>,
    resources: Vec<ResourceTable>,
    basis: &'static str,
    days_before: u32,
    days_after: u32,
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(last): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let (id, is_csv) = csv::split_id(&last)?;
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let row = deployment_lists::get(&mut snapshot, id).await?.ok_or(Error::NotFound)?;
    let label = label(&row);
    let title = format!("{label} · Deployments");
    let page = Page::new(&app, &principal, &mut snapshot, title, NavItem::Deployments).await?.noting(view.note());
    let services = deployment_costs::services(&mut snapshot, id).await?;
    let environment_id = deployment_costs::environment_id(&mut snapshot, id).await?;
    let scope = principal.scope();
    let allowed = |service: &&ServedService| Policy::Money.allows(&principal) && scope.has_team(service.team_id);
    let open: Vec<ServedService> = services.iter().filter(allowed).cloned().collect();
    let ids: Vec<i64> = open.iter().map(|service| service.service_id).collect();
    let context_ids: Vec<i64> = services.iter().map(|service| service.service_id).collect();
    let page = page.of_services(&context_ids);
    let day = at(&row).date_naive();
    let complete_to = page.bills.complete_to();
    let (bills_from, bills_to) = page.bills.billed_around(day);
    let began = rollout_from(row.started_at, at(&row));
    let around = Around::new(day, began, bills_from, bills_to.unwrap_or(day), FOUR_WEEKS);
    let others = Others::read(&mut snapshot, id, &context_ids, around.until(page.now.date_naive())).await?;
    let change_set = ChangeSet::read(&mut snapshot, &row, environment_id, day).await?;
    let figure_changes = deployment_costs::figure_changes(&mut snapshot, around.whole()).await?;
    let env = row.environment_slug.as_deref().unwrap_or_default();
    let slugs: Vec<&str> = services.iter().map(|service| service.slug.as_str()).collect();
    let service_ids = Some(context_ids.as_slice());
    let whose = Whose { service_ids, service_slugs: &slugs, environment_id, environment_slug: env };
    let shown = chart::shown(&around, &page.bills);
    let buckets = Buckets::new(shown, complete_to.unwrap_or(day));
    let context = ContextEvents::read(&mut snapshot, &whose, around.whole(), Some(&buckets), page.now).await?;
    let mut days = Vec::new();
    if complete_to.is_some() && !ids.is_empty() {
        days = deployment_costs::days(&mut snapshot, &scope, &ids, environment_id, around.whole(), view.basis).await?;
    }
    let asked = (id, !ids.is_empty());
    let (answers, lines) = estimates(&mut snapshot, &scope, asked, view.basis).await?;
    if is_csv {
        if ids.is_empty() {
            return Err(Error::Forbidden);
        }
        let table = export(&days, &open, &around, (&answers, &lines), view.basis);
        return Ok(table.into_response(&format!("deployment-{id}-{}.csv", view.basis.focus_column())));
    }
    let matching = deployment_pins::matching(&mut snapshot, id).await?.unwrap_or_default();
    let is_pinned = matching.pinned_by.is_some();
    let state = state(&row, (services.as_slice(), is_pinned), &open, &around, complete_to.is_some(), &days);
    let environments = Environments::of_kind(row.environment_kind.as_deref());
    let calibration = effect_runs::calibration(&mut snapshot, environments).await?;
    let mut effect = effect::view(&answers, calibration.as_ref());
    if let (Some(effect), Some(main)) = (&mut effect, effect::standing(&answers).first()) {
        effect.flags = others.flags(&mut snapshot, &scope, main).await?;
    }
    let notes = if ids.is_empty() { Vec::new() } else { deployment_notes::of_deployment(&mut snapshot, id).await? };
    let lines_href = match open.as_slice() {
        [one] => drill::lines(&view, &[("service", &one.slug), ("env", env)]),
        _ => String::new(),
    };
    let period = format!("{}..{}", around.whole().start(), around.whole().last_day());
    let service_query = drill::page("", &view, &[("period", &period), ("env", env)]);
    let mut cost = None;
    if !days.is_empty() {
        let both = around.before.zip(around.after);
        let resources = match both.filter(|(_, after)| after.day_count() >= WEEK && went_live(&row)) {
            Some((before, after)) => {
                let sides = Sides { service_ids: &ids, environment_id, before, after, basis: view.basis };
                deployment_costs::resources(&mut snapshot, &scope, sides, RESOURCE_COUNT_MAX).await?
            }
            None => Vec::new(),
        };
        let chart = chart::Setting {
            around: &around,
            shown,
            buckets: &buckets,
            label: &label,
            others: &others.marked,
            started_on: earlier_start(row.started_at, at(&row)),
            figure_changes: &figure_changes,
            context: &context,
            shows_bills: page.shows_bills,
            lines_href: &lines_href,
            lines: &lines,
        };
        // As the figures above: days that are not there yet are no days without cost.
        let has_after = went_live(&row) && around.after.is_some() && (state.is_none() || around.before.is_none());
        cost = Some(CostView {
            figures: figures(&row, &days, &around, state.is_none()),
            charts: chart::charts(&days, &chart),
            by_service: if has_after { resources::by_service(&days, &open, &around) } else { Vec::new() },
            resources: resources::tables(&resources, &days, &around, &lines_href),
            basis: view.basis.label(),
            days_before: around.days_before(),
            days_after: around.days_after(),
        });
    }
    let mut causes = None;
    if cost.is_some() {
        let main = effect::standing(&answers)
            .first()
            .map(|row| row.service_id)
            .and_then(|id| open.iter().find(|one| one.service_id == id));
        let asked = (&row, environment_id, &view, &around);
        let whose = main.or(open.first());
        causes = causes::read(&app, &page.bills, &mut snapshot, &scope, asked, whose).await?;
    }
    let mut units = None;
    if cost.is_some() && view.basis == CostBasis::Amortized {
        let workloads = units::of_days(&mut snapshot, &row, &open, environment_id, &around, &days, &page.bills).await?;
        units = units::section(&workloads, &around, id);
    }
    let changes = changes::changes_of(&mut snapshot, id).await?;
    let mut commits = changes::commits_of(&mut snapshot, id, COMMIT_COUNT_MAX + 1).await?;
    let commits_are_cut = commits.len() as i64 > COMMIT_COUNT_MAX;
    commits.truncate(COMMIT_COUNT_MAX as usize);
    let releases = release_lists::of_deployment(&mut snapshot, id, BESIDE_COUNT_MAX).await?;
    let runs = pipeline_runs::of_deployment(&mut snapshot, id, BESIDE_COUNT_MAX).await?;
    let failures = change_failures::of_deployment(&mut snapshot, id).await?;
    let dispute = change_failures::dispute_of(&mut snapshot, id).await?;
    let match_section = matching::section(&mut snapshot, &principal, &row, &services, &matching).await?;
    let environment = row.environment_name.clone().or_else(|| row.environment_raw.clone());
    Ok(DeploymentPage {
        is_stale: events::is_stale(&row.status, row.status_at, page.now),
        answer: match &effect {
            Some(effect) => effect.sentence.clone(),
            None => answer(&row, &open, &days, &around, state.as_ref()),
        },
        no_effect: no_effect(&row, effect.is_some()),
        can_write_note: !ids.is_empty() && Policy::Review.allows(&principal),
        json_href: if ids.is_empty() { String::new() } else { format!("/api/v1/deployments/{id}/impact") },
        effect,
        causes,
        units,
        notes,
        window: range_label(around.until(page.now.date_naive())),
        context: context.rows(),
        context_note: context.note(),
        context_href: context.href(),
        failure: FailureSection::new(&failures, dispute),
        match_section,
        change_set,
        course: course::course(&row),
        same_version: change_set::same_version(&row),
        figure_changes: figure_changes::rows(&figure_changes),
        environment: environment.unwrap_or_else(|| "environment not known".into()),
        service_query,
        csv_href: if days.is_empty() { String::new() } else { view.link(&format!("/deployments/{id}.csv"), &[]) },
        page,
        row,
        label,
        services,
        state,
        cost,
        others,
        changes,
        commits,
        commits_are_cut,
        releases,
        runs,
    }
    .into_response())
}

fn label(row: &Row) -> String {
    label_of(row.deployment_id, row.version.as_deref(), row.sha.as_deref())
}

fn at(row: &Row) -> chrono::DateTime<chrono::Utc> {
    row.finished_at.or(row.started_at).unwrap_or(row.created_at)
}

/// Whether it went live: only then it is a change of what is live.
pub fn went_live(row: &Row) -> bool {
    matches!(row.status.as_str(), "succeeded" | "superseded")
}

/// An address that a browser may be sent to; senders can write anything.
pub fn safe_url(url: Option<&str>) -> Option<&str> {
    url.filter(|url| url.starts_with("https://") || url.starts_with("http://"))
}
