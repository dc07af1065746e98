//! `/api/v1/clusters`: what the machines of clusters cost by namespace, and reports handed in.

use super::costs::plain;
use super::error::{ErrorBody, Result};
use crate::rollup::Person;
use crate::rollup::cluster_costs::{ClusterCosts, Costs, MachineCosts};
use crate::rollup::cluster_reports;
use crate::rollup::namespace_usage::Namespaces;
use crate::web::{ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes, clusters, detached, spool};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// A report, packed or not.
const FILE_BYTES_MAX: usize = 1 << 30;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    let (read, ingest) = (ApiPolicy::read(Policy::OrganisationMoney), ApiPolicy::ingest(Policy::Bills));
    routes.api_get("/api/v1/clusters", read, list).api_put_upload(
        "/api/v1/cluster-reports/{name}",
        ingest,
        FILE_BYTES_MAX,
        put,
    )
}

/// The clusters of a month.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ClustersBody {
    /// The month; `null` before the first report.
    #[schema(example = "2026-10")]
    pub month: Option<String>,
    /// One a cluster and kind of usage.
    pub clusters: Vec<ClusterBody>,
}

/// What the machines of one cluster cost, split by one kind of usage. Parts of charges that bills have.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ClusterBody {
    /// As the report or its sender named it.
    pub cluster: String,
    /// `pods`, `volumes` or `allocations`.
    pub kind: String,
    /// One a currency.
    pub totals: Vec<NamespaceCostBody>,
    /// One a currency and namespace; those of a currency add up to its total.
    pub namespaces: Vec<NamespaceCostBody>,
    /// The machines whose charges were split, the dearest first; those of a currency add up to its total.
    pub machines: Vec<MachineCostBody>,
    /// Machines of which the bills have no charge: they count nothing.
    pub without_charge: Vec<WithoutChargeBody>,
}

/// The part of a namespace; amounts are strings, exact.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct NamespaceCostBody {
    /// The namespace; `(not used)` for capacity that nobody used, `null` in a total.
    pub namespace: Option<String>,
    /// The slug of the service that it belongs to; `null` for none, and in a total.
    pub service: Option<String>,
    /// FOCUS `BillingCurrency`.
    pub billing_currency: String,
    /// FOCUS `BilledCost`.
    pub billed_cost: String,
    /// FOCUS `EffectiveCost`.
    pub effective_cost: String,
    /// Charges that it is a part of.
    pub charge_count: i64,
}

/// The charges of a machine, or of a volume, on days that follow each other; amounts are strings, exact.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct MachineCostBody {
    /// FOCUS `ResourceId`, as the bills have it.
    pub resource_id: String,
    /// FOCUS `BillingCurrency`.
    pub billing_currency: String,
    /// The first of the days.
    pub first_day: NaiveDate,
    /// The last of them, included.
    pub last_day: NaiveDate,
    /// FOCUS `BilledCost`.
    pub billed_cost: String,
    /// FOCUS `EffectiveCost`.
    pub effective_cost: String,
    /// Charges that were split.
    pub charge_count: i64,
}

/// A machine without a charge.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct WithoutChargeBody {
    /// As the cluster names it.
    pub node: String,
    /// What a bill would name it by; empty where the report does not say.
    pub resource_id: String,
    /// Days on which it was used.
    pub days: usize,
}

/// What became of a report.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TakenReportBody {
    /// The clusters that it is about.
    pub clusters: Vec<String>,
    /// Its rows.
    pub row_count: u64,
    /// Rows that split nothing: labels, GPUs, virtual machines.
    pub unused_row_count: u64,
    /// Files of its payload that have not come yet: OpenShift's operator packs each file of a large payload into an
    /// archive of its own.
    pub missing_file_count: u64,
    /// Intervals longer than its own (days, of a report by the hour) that it replaced without filling them.
    pub longer_interval_count: u64,
    /// Entries that were left out, because a report that is newer than its payload holds their intervals.
    pub left_out_count: u64,
}

/// The month that is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    month: String,
}

/// The cluster, where the report does not name it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Named {
    cluster: String,
}

/// List what the machines of each cluster cost, by namespace and by machine.
#[utoipa::path(get, path = "/api/v1/clusters", tag = "clusters",
    params(("month" = Option<String>, Query, description = "Like 2026-10; the newest with a report when absent")),
    responses((status = 200, body = ClustersBody),
        (status = 400, description = "The month is wrong", body = ErrorBody)))]
pub(super) async fn list(
    State(app): State<AppState>,
    principal: Principal,
    Query(asked): Query<Asked>,
) -> Result<Json<ClustersBody>> {
    let mut snapshot = app.pools.snapshot().await?;
    let list = clusters::read(&mut snapshot, &principal, &asked.month).await?;
    let month = list.month.map(|month| month.to_string());
    let clusters = list.clusters.into_iter().map(|one| ClusterBody::new(one, &list.owners));
    Ok(Json(ClustersBody { month, clusters: clusters.collect() }))
}

/// Take in how a cluster was used. It replaces what its clusters had for overlapping intervals, but for other files of its
/// payload, and changes no total; sending it again changes nothing.
#[utoipa::path(put, path = "/api/v1/cluster-reports/{name}", tag = "clusters",
    params(("name" = String, Path, description = "What the file is called"),
        ("cluster" = Option<String>, Query, description = "The cluster, where the file does not name it")),
    request_body(content = String, content_type = "application/octet-stream",
        description = "What OpenShift's operator uploads (the tar.gz or its tables), or OpenCost's allocations as JSON or CSV"),
    responses((status = 200, body = TakenReportBody),
        (status = 422, description = "It is no report that can be read, or names no cluster", body = ErrorBody)))]
pub(super) async fn put(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(name): Path<String>,
    Query(named): Query<Named>,
    body: Body,
) -> Result<Response> {
    let folder = app.config.data_dir().join("spool");
    let (file, _) = spool::receive_body(&folder, &name, body).await?;
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    let work = async move {
        let (now, from) = (app.now(), address.to_string());
        let by = Person { login: &principal.login, address: &from };
        let path = file.path.clone();
        cluster_reports::import(&app.pools.jobs, path, &name, Some(&named.cluster), by, now).await
    };
    let taken = detached(work).await.map_err(|error| super::catalogue::unprocessable(error.into()))?;
    let body = TakenReportBody {
        clusters: taken.clusters,
        row_count: taken.report.row_count,
        unused_row_count: taken.report.unused_row_count,
        missing_file_count: taken.missing_file_count,
        longer_interval_count: taken.longer_interval_count,
        left_out_count: taken.left_out_count,
    };
    Ok((StatusCode::OK, Json(body)).into_response())
}

impl ClusterBody {
    fn new(cluster: ClusterCosts, owners: &Namespaces) -> Self {
        let body = |namespace: Option<&str>, currency: &str, costs: &Costs| NamespaceCostBody {
            namespace: namespace.map(str::to_owned),
            service: namespace.and_then(|name| owners.slug(&cluster.cluster_id, name)).map(str::to_owned),
            billing_currency: currency.to_owned(),
            billed_cost: plain(&costs.BilledCost),
            effective_cost: plain(&costs.EffectiveCost),
            charge_count: costs.charges,
        };
        let namespaces = cluster.namespaces.iter().flat_map(|(currency, parts)| {
            parts.iter().map(move |(namespace, costs)| body(Some(namespace), currency, costs))
        });
        Self {
            totals: cluster.totals.iter().map(|(currency, costs)| body(None, currency, costs)).collect(),
            namespaces: namespaces.collect(),
            machines: cluster.machines.into_iter().map(MachineCostBody::from).collect(),
            without_charge: cluster
                .without_charge
                .into_iter()
                .map(|one| WithoutChargeBody { node: one.node, resource_id: one.resource_id, days: one.days })
                .collect(),
            cluster: cluster.cluster_id,
            kind: cluster.kind,
        }
    }
}

impl From<MachineCosts> for MachineCostBody {
    fn from(machine: MachineCosts) -> Self {
        Self {
            billed_cost: plain(&machine.costs.BilledCost),
            effective_cost: plain(&machine.costs.EffectiveCost),
            charge_count: machine.costs.charges,
            resource_id: machine.resource_id,
            billing_currency: machine.billing_currency,
            first_day: machine.first_day,
            last_day: machine.last_day,
        }
    }
}
