//! `/unmapped`: cost, deployments and operational events that belong to nobody yet, each one click from a rule.

mod files;
mod told;

use super::parts::Filters;
use super::query::{self, Accepts, Span, View};
use super::rules::form::{ConditionFields, RuleForm};
use super::suggestions::{Suggester, Suggestion};
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes, beside, display, drill, moves};
use crate::focus::DateRange;
use crate::rollup::mapped_keys::tag;
use crate::store::mapping_rules::{self, MappingRule};
use crate::store::operational_event_pins::{self, Which};
use crate::store::pins::Pin;
use crate::store::unmapped::{self, ROW_COUNT_MAX, UnmappedCharges};
use crate::store::{Scope, Snapshot};
use crate::store::{event_deliveries, operational_events};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use bigdecimal::{BigDecimal, Zero};
use chrono::Days;
use std::collections::BTreeMap;
pub(super) use told::EventNames;
use told::{DeploymentRow, EventRow, PipelineRow, deployment_row, event_row, pipeline_row};

/// The routes of this file. Whoever does not see the whole organisation's cost sees the deployments only.
pub fn routes(routes: Routes) -> Routes {
    files::routes(routes.get("/unmapped", Policy::SignedIn, show))
}

/// What the page and its files take.
const ACCEPTS: Accepts = Accepts { texts: &["show"], by: &[], sort: &[] };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Charges,
    Deployments,
    Pipelines,
    Events,
}

impl Show {
    fn of(view: &View) -> Result<Self> {
        match view.text("show") {
            None | Some("charges") => Ok(Self::Charges),
            Some("deployments") => Ok(Self::Deployments),
            Some("pipelines") => Ok(Self::Pipelines),
            Some("events") => Ok(Self::Events),
            Some(other) => Err(Error::Invalid(format!(
                "show={other} is not known. Allowed: charges, deployments, pipelines, events."
            ))),
        }
    }
}

/// Charges of one kind.
struct ChargeRow {
    provider: String,
    account: String,
    service_name: String,
    tags: Vec<String>,
    reason: String,
    cost: String,
    charge_count: i64,
    /// Its lines.
    lines_href: String,
    rule_url: String,
    suggestion: Option<Suggestion>,
}

#[derive(Template, WebTemplate)]
#[template(path = "unmapped.html")]
struct UnmappedPage {
    page: Page,
    show: Show,
    sees_charges: bool,
    can_edit: bool,
    charges: Vec<ChargeRow>,
    /// What rounding leaves between the rows and their total, of each currency where it leaves anything.
    rounding: Vec<String>,
    charge_rows_in_all: i64,
    totals: Vec<String>,
    lines_href: String,
    deployments: Vec<DeploymentRow>,
    deployment_count: i64,
    deployment_rows_in_all: i64,
    pipelines: Vec<PipelineRow>,
    /// Those of which each run is told as a deployment by its sender already: no rule is to be made for them.
    told_pipelines: Vec<PipelineRow>,
    pipeline_rows_in_all: i64,
    events: Vec<EventRow>,
    event_count: i64,
    event_rows_in_all: i64,
    /// Pins whose event nothing tells of any more.
    waiting_pins: Vec<Pin<Option<i64>>>,
    has_more_pins: bool,
    /// Events that could not be read: whatever they told is in none of the lists.
    failed_event_count: i64,
    /// "22 Oct to 20 Nov 2026"; empty where none of the days is complete.
    days: String,
    /// "30 days".
    day_count: String,
    filters: Filters,
    view: View,
}

impl UnmappedPage {
    /// The same days, with another list.
    fn list(&self, show: &str) -> String {
        self.view.link("/unmapped", &[("show", show)])
    }

    /// "these 30 days", "this day".
    fn these_days(&self) -> String {
        if self.day_count == "1 day" { "this day".into() } else { format!("these {}", self.day_count) }
    }

    fn charge_rows(&self) -> String {
        rows(self.charge_rows_in_all)
    }

    fn deployment_rows(&self) -> String {
        rows(self.deployment_rows_in_all)
    }

    fn event_rows(&self) -> String {
        rows(self.event_rows_in_all)
    }

    /// Rows of pipelines that are shown.
    fn pipeline_count(&self) -> usize {
        self.pipelines.len() + self.told_pipelines.len()
    }

    fn csv(&self) -> String {
        self.view.link("/unmapped.csv", &[("show", "")])
    }

    fn xlsx(&self) -> String {
        beside::xlsx(self.csv())
    }

    fn json(&self) -> String {
        beside::json(self.csv())
    }
}

// Beside a list's name. They add up to the number in the navigation.
fn rows(count: i64) -> String {
    match count {
        0 => String::new(),
        1 => " (1 row)".into(),
        count => format!(" ({count} rows)"),
    }
}

// The days of a view. Before the first bill they end with the last day that is over, so that the page can say of which
// days nothing is there.
fn span(view: &View, page: &Page) -> Option<Span> {
    match page.bills.complete_to() {
        Some(_) => view.span(&page.bills),
        None => view.span_to(page.now.date_naive() - Days::new(1)),
    }
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<UnmappedPage> {
    let view = View::parse(query.as_deref(), ACCEPTS)?.of_period_only();
    let show = Show::of(&view)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::of_view(&app, &principal, &mut snapshot, "Unmapped", NavItem::Unmapped, &view).await?;
    let span = span(&view, &page);
    let days = span.map(|span| span.days);
    let scope = principal.scope();
    let stored = mapping_rules::list(&mut snapshot).await?;
    let charges = charges(&mut snapshot, &scope, days, ROW_COUNT_MAX).await?;
    let totals = totals(&mut snapshot, &scope, days).await?;
    let (costs, rounding) = shown(&charges);
    let suggester = Suggester::read(&mut snapshot).await?;
    let deployments = unmapped::deployments(&mut snapshot, ROW_COUNT_MAX).await?;
    let pipelines = unmapped::pipelines(&mut snapshot, ROW_COUNT_MAX).await?;
    let pipeline_rows_in_all = pipelines.first().map_or(0, |row| row.row_count);
    let (told_pipelines, pipelines): (Vec<_>, Vec<_>) =
        pipelines.into_iter().map(|row| pipeline_row(row, &stored, &suggester)).partition(|row| row.pipeline.is_told());
    let events = unmapped::events(&mut snapshot, ROW_COUNT_MAX).await?;
    let mut waiting_pins = match show {
        Show::Events => operational_event_pins::list(&mut snapshot, Which::Waiting, ROW_COUNT_MAX + 1).await?,
        _ => Vec::new(),
    };
    let has_more_pins = waiting_pins.len() as i64 > ROW_COUNT_MAX;
    waiting_pins.truncate(ROW_COUNT_MAX as usize);
    let (_, event_count) = operational_events::counts(&mut snapshot).await?;
    let failed_event_count = event_deliveries::counts(&mut snapshot).await?.failed;
    Ok(UnmappedPage {
        show,
        sees_charges: scope.is_everything(),
        can_edit: Policy::Bills.allows(&principal),
        charge_rows_in_all: charges.first().map_or(0, |row| row.row_count),
        charges: charges
            .iter()
            .zip(costs)
            .map(|(row, cost)| charge_row(row, (cost, days), &stored, &suggester))
            .collect(),
        rounding,
        lines_href: on(drill::lines_of(&[("service", query::NONE)]), days),
        totals,
        failed_event_count,
        deployment_count: deployments.iter().map(|row| row.deployment_count).sum(),
        deployment_rows_in_all: deployments.first().map_or(0, |row| row.row_count),
        deployments: deployments.iter().map(|row| deployment_row(row, &stored, &suggester)).collect(),
        event_count,
        event_rows_in_all: events.first().map_or(0, |row| row.row_count),
        events: events.iter().map(|row| event_row(row, &stored, &suggester)).collect(),
        waiting_pins,
        has_more_pins,
        pipeline_rows_in_all,
        pipelines,
        told_pipelines,
        days: days.map(query::range_label).unwrap_or_default(),
        day_count: days.map(day_count).unwrap_or_default(),
        filters: Filters::of_period("/unmapped", &view, span.as_ref()),
        view,
        page,
    })
}

fn day_count(days: DateRange) -> String {
    match days.day_count() {
        1 => "1 day".into(),
        count => format!("{count} days"),
    }
}

fn on(lines: String, days: Option<DateRange>) -> String {
    match days {
        Some(days) => drill::on(&lines, days),
        None => lines,
    }
}

// None where no day is complete.
async fn charges(
    snapshot: &mut Snapshot,
    scope: &Scope,
    days: Option<DateRange>,
    limit: i64,
) -> Result<Vec<UnmappedCharges>> {
    match days {
        Some(days) => Ok(unmapped::charges(snapshot, scope, days, limit).await?),
        None => Ok(Vec::new()),
    }
}

// The whole, also where the list is cut: the same figure as "Not allocated" elsewhere.
async fn totals(snapshot: &mut Snapshot, scope: &Scope, days: Option<DateRange>) -> Result<Vec<String>> {
    use crate::focus::CostBasis;
    use crate::store::costs::{self, CostFilter};
    let Some(days) = days else { return Ok(Vec::new()) };
    let filter = CostFilter { service_id: Some(0), ..CostFilter::new(days, CostBasis::Amortized) };
    let totals = costs::totals(snapshot, scope, &filter).await?;
    Ok(totals.iter().map(|money| moves::text(&money.amount, &money.currency)).collect())
}

// Each row is rounded by itself, as the same figure is on other pages. What that leaves to the total of a currency stands
// after the rows, where all of them are there.
fn shown(rows: &[UnmappedCharges]) -> (Vec<String>, Vec<String>) {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        places.entry(&row.billing_currency).or_default().push(index);
    }
    let is_whole = rows.first().is_none_or(|row| row.row_count == rows.len() as i64);
    let (mut texts, mut rounding) = (vec![String::new(); rows.len()], Vec::new());
    for (currency, indexes) in places {
        let values: Vec<BigDecimal> = indexes.iter().map(|index| rows[*index].effective_cost.clone()).collect();
        let (rounded, left) = display::alone(&values, &values.iter().sum(), display::minor_units(currency));
        for (index, value) in indexes.into_iter().zip(&rounded) {
            texts[index] = moves::text(value, currency);
        }
        if is_whole && !left.is_zero() {
            rounding.push(moves::text(&left, currency));
        }
    }
    (texts, rounding)
}

// The lines of a row: no narrower where its tags do not fit into an address.
fn lines_href(row: &UnmappedCharges, days: Option<DateRange>) -> String {
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| query::NONE.into());
    let (provider, account, bought) =
        (or_none(&row.provider_name), or_none(&row.sub_account_id), or_none(&row.service_name));
    let tags = row.mapping_tags.to_string();
    let lines = drill::lines_of(&[
        ("service", query::NONE),
        ("provider", &provider),
        ("account", &account),
        ("bought", &bought),
        ("tags", if tags.len() <= query::VALUE_BYTES_MAX { &tags } else { "" }),
        ("cur", &row.billing_currency),
    ]);
    on(lines, days)
}

fn charge_row(
    row: &UnmappedCharges,
    (cost, days): (String, Option<DateRange>),
    stored: &[MappingRule],
    suggester: &Suggester,
) -> ChargeRow {
    let account = match (&row.sub_account_name, &row.sub_account_id) {
        (Some(name), Some(id)) if name != id => format!("{name} ({id})"),
        (Some(one), _) | (None, Some(one)) => one.clone(),
        (None, None) => "no sub account".into(),
    };
    ChargeRow {
        provider: row.provider_name.clone().unwrap_or_else(|| "no provider".into()),
        account,
        service_name: row.service_name.clone().unwrap_or_else(|| "no service name".into()),
        tags: tags(row).map(|(key, value)| format!("{key}: {value}")).collect(),
        reason: charge_reason(row, stored),
        cost,
        charge_count: row.charge_count,
        lines_href: lines_href(row, days),
        rule_url: charge_rule(row).url("/rules/new"),
        suggestion: suggester.of_tags(tags(row)),
    }
}

fn tags(row: &UnmappedCharges) -> impl Iterator<Item = (&str, String)> {
    let tags = row.mapping_tags.as_object().into_iter().flatten();
    tags.filter_map(|(key, _)| Some((key.as_str(), tag(&row.mapping_tags, key)?.into_owned())))
        .filter(|(key, value)| !key.starts_with('@') && !value.trim().is_empty())
}

fn charge_reason(row: &UnmappedCharges, stored: &[MappingRule]) -> String {
    let attribute = |name: &str| match crate::allocate::tag_key(name) {
        Some(key) => tag(&row.mapping_tags, key).map(|value| value.into_owned()),
        None => match name {
            "provider_name" => row.provider_name.clone(),
            "sub_account_id" => row.sub_account_id.clone(),
            "sub_account_name" => row.sub_account_name.clone(),
            "service_name" => row.service_name.clone(),
            _ => None,
        },
    };
    reason(row.service_rule_id, stored, attribute)
}

// Without a rule's id no rule matched; with one, the catalogue lacks the name that the rule found.
fn reason(rule_id: Option<i64>, stored: &[MappingRule], value: impl Fn(&str) -> Option<String>) -> String {
    let Some(rule_id) = rule_id else { return "no rule matches".into() };
    let Some(index) = stored.iter().position(|rule| rule.mapping_rule_id == rule_id) else {
        return "no rule matches".into();
    };
    let named = stored[index].values.service_from_attribute.as_deref().and_then(value);
    match named {
        Some(name) => format!("no service named “{}” (rule {})", name.trim(), index + 1),
        None => format!("the catalogue lacks the name that rule {} found", index + 1),
    }
}

/// A rule that takes exactly such charges, last in order: a person makes it wider or narrower.
fn charge_rule(row: &UnmappedCharges) -> RuleForm {
    let mut conditions = Vec::new();
    let columns = [
        ("provider_name", &row.provider_name),
        ("sub_account_id", &row.sub_account_id),
        ("service_name", &row.service_name),
    ];
    // The provider says nothing that account and service do not.
    let skip = usize::from(row.sub_account_id.is_some() || row.service_name.is_some());
    conditions.extend(columns.into_iter().skip(skip).filter_map(|(name, value)| equals(name, value.as_deref()?)));
    if let Some((key, value)) = tags(row).next() {
        conditions.extend(equals(&format!("tag:{key}"), &value));
    }
    RuleForm { applies_to: "charges".into(), conditions, place: "last".into(), ..RuleForm::default() }
}

fn equals(attribute: &str, value: &str) -> Option<ConditionFields> {
    let value = value.trim();
    let fields = ConditionFields { attribute: attribute.into(), operator: "equals".into(), value: value.into() };
    (!value.is_empty()).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charges(cost: &str, row_count: i64) -> UnmappedCharges {
        UnmappedCharges {
            provider_name: None,
            sub_account_id: None,
            sub_account_name: None,
            service_name: None,
            mapping_tags: serde_json::json!({}),
            service_rule_id: None,
            billing_currency: "USD".into(),
            effective_cost: cost.parse().unwrap(),
            charge_count: 1,
            row_count,
        }
    }

    // A statement shows the same amount in a row of its own: both round half away from zero.
    #[test]
    fn rows_are_rounded_by_themselves_and_the_rest_is_a_row() {
        let rows = |row_count| [charges("-4408.125", row_count), charges("1.004", row_count)];
        let texts = vec!["\u{2212}$4,408.13".to_owned(), "$1.00".to_owned()];
        assert_eq!(shown(&rows(2)), (texts.clone(), vec!["$0.01".to_owned()]));
        // Of a list that is cut no total is shown.
        assert_eq!(shown(&rows(3)), (texts, Vec::new()));
    }
}
