//! `/clusters`: what the machines of clusters cost by namespace, what nobody used, and the reports behind it. Parts of
//! charges that bills have: no total changes.

use super::csv::Table;
use super::display::{minor_units, money, percent, shown};
use super::drill;
use super::spool::{self, form_error};
use super::{
    AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, detached, filters, unknown_keys,
};
use crate::focus::{BillingPeriod, DateRange};
use crate::rollup::Person;
use crate::rollup::cluster_costs::{ClusterCosts, Costs, MachineCosts, NOT_USED, WithoutCharge, cluster_costs};
use crate::rollup::cluster_reports::{self, ClusterReportError, unit};
use crate::rollup::namespace_usage::{Namespaces, metric_name};
use crate::store::Snapshot;
use crate::store::cluster_usage::{self, StoredReport};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Multipart, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use bigdecimal::BigDecimal;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Machines that are listed one by one.
const MACHINE_COUNT_MAX: usize = 200;

/// A report, packed or not.
const FILE_BYTES_MAX: usize = 1 << 30;

/// The routes of the page and its form.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/clusters", Policy::OrganisationMoney, show)
        .get("/clusters.csv", Policy::OrganisationMoney, download)
        .post_upload("/clusters/import", Policy::Bills, FILE_BYTES_MAX, import)
}

impl From<ClusterReportError> for Error {
    fn from(error: ClusterReportError) -> Self {
        match error {
            ClusterReportError::Database(error) => error.into(),
            ClusterReportError::Disk(error) => Self::Internal(error.into()),
            other => Self::Invalid(other.to_string()),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    month: String,
    /// What was just taken in.
    done: String,
}

/// The clusters of a month.
pub struct List {
    /// The month; `None` before the first report.
    pub month: Option<BillingPeriod>,
    /// What the machines of each cluster cost, by kind of usage.
    pub clusters: Vec<ClusterCosts>,
    /// Whose each namespace of them is, as rules and catalogue say now.
    pub owners: Namespaces,
    /// Every cluster with its first and last interval.
    pub known: Vec<(String, DateTime<Utc>, DateTime<Utc>)>,
}

/// Reads the clusters of a month; without one, of the newest that has reports.
pub async fn read(snapshot: &mut Snapshot, principal: &Principal, month: &str) -> Result<List> {
    let known = cluster_usage::clusters(snapshot).await?;
    let month = match month.trim() {
        "" => known
            .iter()
            .map(|(_, _, last)| BillingPeriod::containing((*last - chrono::Duration::seconds(1)).date_naive()))
            .max(),
        text => Some(
            text.parse::<BillingPeriod>()
                .map_err(|_| Error::Invalid(format!("month={text} is not known. Give a month like 2026-10.")))?,
        ),
    };
    let clusters = match month {
        Some(month) => {
            let scope = principal.scope();
            cluster_costs(snapshot, &scope, month.first_day(), month.next().first_day()).await?
        }
        None => Vec::new(),
    };
    // All rules are compiled for it.
    let owners = if clusters.is_empty() { Namespaces::default() } else { Namespaces::load(snapshot).await? };
    Ok(List { month, clusters, owners, known })
}

async fn show(State(app): State<AppState>, principal: Principal, Query(asked): Query<Asked>) -> Result<ClustersPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Clusters", NavItem::Rules).await?;
    let page = page.noting(unknown_keys::of::<Asked>());
    let list = read(&mut snapshot, &principal, &asked.month).await?;
    let reports = cluster_usage::reports(&mut snapshot).await?;
    Ok(ClustersPage {
        page,
        month: list.month.map(|month| month.to_string()).unwrap_or_default(),
        lede: lede(&list),
        sections: list.clusters.iter().enumerate().map(|(anchor, one)| section(anchor, one, &list.owners)).collect(),
        reports,
        done: asked.done.chars().take(300).collect(),
        may_change: Policy::Bills.allows(&principal),
    })
}

async fn download(State(app): State<AppState>, principal: Principal, Query(asked): Query<Asked>) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let list = read(&mut snapshot, &principal, &asked.month).await?;
    let mut table = Table::new(&[
        "Cluster",
        "SplitBy",
        "Namespace",
        "BillingCurrency",
        "BilledCost",
        "EffectiveCost",
        "Charges",
        "Service",
    ]);
    for cluster in &list.clusters {
        for (currency, namespaces) in &cluster.namespaces {
            for (namespace, costs) in namespaces {
                table.row(&[
                    cluster.cluster_id.as_str().into(),
                    cluster.kind.as_str().into(),
                    namespace.as_str().into(),
                    currency.as_str().into(),
                    (&costs.BilledCost).into(),
                    (&costs.EffectiveCost).into(),
                    costs.charges.into(),
                    list.owners.slug(&cluster.cluster_id, namespace).unwrap_or_default().into(),
                ]);
            }
        }
    }
    Ok(table.into_response("clusters.csv").into_response())
}

async fn import(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    mut multipart: Multipart,
) -> Result<Redirect> {
    let folder = app.config.data_dir().join("spool");
    let (mut file, mut cluster) = (None, String::new());
    while let Some(field) = multipart.next_field().await.map_err(|error| form_error(&error))? {
        match field.name() {
            Some("file") => file = Some(spool::receive(&folder, field).await?).filter(|file| file.file_bytes > 0),
            Some("cluster") => cluster = field.text().await.map_err(|error| form_error(&error))?,
            _ => {}
        }
    }
    let file = file.ok_or_else(|| Error::Invalid("No file was chosen. Choose a report of a cluster.".into()))?;
    let taken = detached(async move {
        let (now, from) = (app.now(), address.to_string());
        let by = Person { login: &principal.login, address: &from };
        let (pool, path, name) = (&app.pools.jobs, file.path.clone(), file.file_name.clone());
        cluster_reports::import(pool, path, &name, Some(&cluster), by, now).await
    })
    .await?;
    let said = format!("{} rows of {} were taken in.", taken.report.row_count, named(&taken.clusters));
    let done = std::iter::once(said).chain(taken.notes()).collect::<Vec<_>>().join(" ");
    let query = serde_urlencoded::to_string([("done", done)]).unwrap_or_default();
    Ok(Redirect::to(&format!("/clusters?{query}")))
}

// "no cluster" where a report holds labels only.
fn named(clusters: &[String]) -> String {
    if clusters.is_empty() { "no cluster".into() } else { clusters.join(", ") }
}

fn lede(list: &List) -> String {
    let Some(month) = list.month else {
        return "No cluster was reported on yet. A report splits what bills say of its machines by namespace.".into();
    };
    if list.clusters.is_empty() {
        let known = list.known.iter().map(|(name, first, last)| {
            format!("{name} from {} to {}", first.format("%-d %b %Y"), last.format("%-d %b %Y"))
        });
        let known: Vec<String> = known.collect();
        let there = if known.is_empty() { String::new() } else { format!(" There is {}.", known.join(", ")) };
        return format!("No cluster was reported on in {}.{there}", month.label());
    }
    let mut sums: BTreeMap<&str, (BigDecimal, BigDecimal)> = BTreeMap::new();
    for cluster in &list.clusters {
        for (currency, total) in &cluster.totals {
            let (whole, idle) = sums.entry(currency).or_default();
            *whole += &total.EffectiveCost;
            *idle += cluster.not_used(currency).map(|costs| costs.EffectiveCost.clone()).unwrap_or_default();
        }
    }
    let part = |(currency, (whole, idle)): (&str, (BigDecimal, BigDecimal))| {
        let text = |amount: &BigDecimal| money(amount, currency, minor_units(currency));
        let share = percent(&idle, &whole).map_or_else(String::new, |share| format!(" ({share})"));
        format!("{} of machines were split, {}{share} of it used by nobody", text(&whole), text(&idle))
    };
    let parts: Vec<String> = sums.into_iter().map(part).collect();
    match parts.is_empty() {
        true => format!("In {}, the bills have no charge of the machines that were reported on.", month.label()),
        false => format!("In {}, {}.", month.label(), parts.join("; ")),
    }
}

/// One cluster, split by one kind of usage.
struct Section {
    cluster_id: String,
    /// In the addresses within the page.
    anchor: usize,
    /// What its namespaces used, as a metric.
    metric: String,
    unit: &'static str,
    tables: Vec<NamespaceTable>,
    without_charge: Vec<WithoutCharge>,
}

/// Its namespaces in one currency; the columns add up as shown.
struct NamespaceTable {
    currency: String,
    rows: Vec<NamespaceRow>,
    machines: Vec<MachineRow>,
    billed: String,
    effective: String,
    charge_count: i64,
}

/// The charges of a machine that were split; without an address, those of all machines that are not listed.
struct MachineRow {
    name: String,
    days: String,
    href: String,
    charge_count: i64,
    billed: String,
    effective: String,
}

struct NamespaceRow {
    name: String,
    /// The slug of its service; empty where it has none.
    service: String,
    is_not_used: bool,
    billed: String,
    effective: String,
    share: String,
}

fn section(anchor: usize, cluster: &ClusterCosts, owners: &Namespaces) -> Section {
    Section {
        anchor,
        metric: metric_name(&cluster.cluster_id, &cluster.kind),
        cluster_id: cluster.cluster_id.clone(),
        unit: unit(&cluster.kind),
        tables: cluster.totals.iter().map(|(currency, total)| namespaces(cluster, owners, currency, total)).collect(),
        without_charge: cluster.without_charge.clone(),
    }
}

fn namespaces(cluster: &ClusterCosts, owners: &Namespaces, currency: &str, total: &Costs) -> NamespaceTable {
    let mut parts: Vec<(&String, &Costs)> = cluster.namespaces.get(currency).into_iter().flatten().collect();
    parts.sort_by(|left, right| right.1.EffectiveCost.cmp(&left.1.EffectiveCost).then_with(|| left.0.cmp(right.0)));
    let decimals = minor_units(currency);
    let text = |amount: &BigDecimal| money(amount, currency, decimals);
    let column = |pick: fn(&Costs) -> &BigDecimal| {
        let values: Vec<BigDecimal> = parts.iter().map(|(_, costs)| pick(costs).clone()).collect();
        shown(&values, pick(total), decimals)
    };
    let (billed, effective) = (column(|costs| &costs.BilledCost), column(|costs| &costs.EffectiveCost));
    let rows = parts.iter().zip(billed.iter().zip(&effective)).map(|((name, costs), (billed, effective))| {
        let is_not_used = name.as_str() == NOT_USED;
        NamespaceRow {
            name: if is_not_used { "Not used".into() } else { (*name).clone() },
            is_not_used,
            service: owners.slug(&cluster.cluster_id, name).unwrap_or_default().to_owned(),
            billed: text(billed),
            effective: text(effective),
            share: percent(&costs.EffectiveCost, &total.EffectiveCost).unwrap_or_default(),
        }
    });
    NamespaceTable {
        rows: rows.collect(),
        machines: machines(cluster, currency, total),
        billed: text(&total.BilledCost),
        effective: text(&total.EffectiveCost),
        charge_count: total.charges,
        currency: currency.to_owned(),
    }
}

// The dearest, and what the others are together; the columns add up as shown.
fn machines(cluster: &ClusterCosts, currency: &str, total: &Costs) -> Vec<MachineRow> {
    let mut all: Vec<MachineCosts> =
        cluster.machines.iter().filter(|one| one.billing_currency == currency).cloned().collect();
    let rest = all.split_off(all.len().min(MACHINE_COUNT_MAX));
    let rest_count = rest.len();
    let decimals = minor_units(currency);
    if let Some(sum) = rest.into_iter().reduce(|mut sum, one| {
        sum.costs.charges += one.costs.charges;
        sum.costs.BilledCost += one.costs.BilledCost;
        sum.costs.EffectiveCost += one.costs.EffectiveCost;
        sum
    }) {
        all.push(MachineCosts { resource_id: String::new(), ..sum });
    }
    let column = |pick: fn(&Costs) -> &BigDecimal| {
        let values: Vec<BigDecimal> = all.iter().map(|one| pick(&one.costs).clone()).collect();
        shown(&values, pick(total), decimals)
    };
    let (billed, effective) = (column(|costs| &costs.BilledCost), column(|costs| &costs.EffectiveCost));
    let rows = all.iter().zip(billed.iter().zip(&effective)).map(|(one, (billed, effective))| {
        let is_rest = one.resource_id.is_empty();
        MachineRow {
            name: if is_rest { format!("{rest_count} more") } else { one.resource_id.clone() },
            days: if is_rest { String::new() } else { days_label(one) },
            href: if is_rest { String::new() } else { lines_href(one) },
            charge_count: one.costs.charges,
            billed: money(billed, currency, decimals),
            effective: money(effective, currency, decimals),
        }
    });
    rows.collect()
}

fn days_label(one: &MachineCosts) -> String {
    let first = one.first_day.format("%-d %b");
    if one.first_day == one.last_day {
        first.to_string()
    } else {
        format!("{first} to {}", one.last_day.format("%-d %b"))
    }
}

fn lines_href(one: &MachineCosts) -> String {
    let lines = drill::lines_of(&[("resource", &one.resource_id), ("cur", &one.billing_currency)]);
    let days = one.last_day.succ_opt().and_then(|end| DateRange::new(one.first_day, end));
    days.map_or_else(|| lines.clone(), |days| drill::on(&lines, days))
}

#[derive(Template, WebTemplate)]
#[template(path = "clusters.html")]
struct ClustersPage {
    page: Page,
    /// `2026-10`; empty before the first report.
    month: String,
    lede: String,
    sections: Vec<Section>,
    reports: Vec<StoredReport>,
    done: String,
    may_change: bool,
}
