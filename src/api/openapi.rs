//! The description of the API for programs: `/api/v1/openapi.json`. The page for people is made from it.

use super::error::ErrorBody;
use crate::web::{ApiPolicy, Policy, Routes};
use axum::Json;
use std::sync::LazyLock;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, Ref, ResponseBuilder};

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.api_get("/api/v1/openapi.json", ApiPolicy::read(Policy::SignedIn), show)
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Costwake", version = "v1", description = "Deployments in, costs out. Names of columns are those of FOCUS; money is a string, so that no digit is lost. A token of scope read opens the files of pages too, as its owner would: /services.csv?period=2026-10, with .xlsx or .json in place of .csv, or /charges.focus.csv.gz; pages themselves answer 401."),
    // One handler a line, in the order of the alphabet; a test compares the list with the routes.
    paths(
        super::anomalies::change,
        super::anomalies::list,
        super::anomalies::show,
        super::catalogue::add_service,
        super::catalogue::add_team,
        super::catalogue::change_service,
        super::catalogue::change_team,
        super::catalogue::delete_service,
        super::catalogue::delete_team,
        super::catalogue::list_services,
        super::catalogue::list_teams,
        super::catalogue_refreshes::list,
        super::catalogue_refreshes::now,
        super::catalogue_refreshes::remove,
        super::catalogue_refreshes::set,
        super::clusters::list,
        super::clusters::put,
        super::commitments::show,
        super::costs::download,
        super::costs::show,
        super::deliveries::accept,
        super::deliveries::list,
        super::deliveries::revert,
        super::deliveries::show,
        super::deliveries::withdraw,
        super::delivery_metrics::show,
        super::deployment_pins::list,
        super::deployment_pins::pin,
        super::deployment_pins::unpin,
        super::deployments::create,
        super::deployments::list,
        super::deployments::show,
        super::deployments::update,
        super::dimensions::list,
        super::dimensions::show,
        super::environments::add,
        super::environments::change,
        super::environments::delete,
        super::environments::list,
        super::event_pins::list,
        super::event_pins::pin,
        super::event_pins::remove,
        super::event_pins::unpin,
        super::event_sources::list,
        super::event_sources::now,
        super::event_sources::set,
        super::event_sources::stop,
        super::forecast::list,
        super::impact::show,
        super::invoice_items::add,
        super::invoice_items::list,
        super::invoice_items::remove,
        super::invoices::delete,
        super::invoices::enter,
        super::invoices::list,
        super::job_kinds::add,
        super::job_kinds::delete,
        super::job_kinds::list,
        super::job_kinds::restore,
        super::job_runs::create,
        super::metrics::define,
        super::metrics::list,
        super::metrics::points,
        super::metrics::write,
        super::months::close,
        super::months::list,
        super::months::reopen,
        super::months::show,
        super::rates::enter,
        super::rates::list,
        super::rates::remove,
        super::rates::set_reporting_currency,
        super::otlp::export,
        super::rules::add,
        super::rules::change,
        super::rules::delete,
        super::rules::list,
        super::source_deliveries::commit,
        super::savings::add_plan,
        super::savings::delete_plan,
        super::savings::dismiss,
        super::savings::list_plans,
        super::savings::show,
        super::savings::undo,
        super::source_deliveries::discard,
        super::source_deliveries::put,
        super::source_deliveries::show,
        super::sources::list,
        super::sources::remove,
        super::splits::add,
        super::splits::change,
        super::splits::delete,
        super::splits::list,
        super::splits::restore,
        super::tags::coverage,
        super::unit_costs::delete_goal,
        super::unit_costs::list_goals,
        super::unit_costs::of_deployment,
        super::unit_costs::put_goal,
        super::unit_costs::show,
        super::why::show,
        super::why::show_month,
        show,
    ),
    components(schemas(ErrorBody)),
)]
struct Description;

/// What every operation may answer: status, name, and what it means.
const OF_ALL: [(&str, &str, &str); 3] = [
    ("400", "WrongAddress", "The address has an unknown parameter or a wrong value; the sentence names it"),
    ("401", "NoToken", "No valid token"),
    ("403", "NotIncluded", "The token, or the role of its owner, does not include this"),
];

/// The description as it is served: made once, since it is the same for everybody.
pub fn description() -> &'static utoipa::openapi::OpenApi {
    static MADE: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(make);
    &MADE
}

/// The same as it is written, for whoever looks something up in it.
pub fn document() -> &'static serde_json::Value {
    static WRITTEN: LazyLock<serde_json::Value> =
        LazyLock::new(|| serde_json::to_value(description()).unwrap_or_default());
    &WRITTEN
}

fn make() -> utoipa::openapi::OpenApi {
    let mut description = Description::openapi();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = description.components.get_or_insert_default();
    components.add_security_scheme("token", bearer);
    for (_, name, sentence) in OF_ALL {
        let body = Content::new(Some(Ref::from_schema_name("ErrorBody")));
        let response = ResponseBuilder::new().description(sentence).content("application/json", body).build();
        components.responses.insert(name.into(), response.into());
    }
    description.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    for (path, item) in &mut description.paths.paths {
        let operations = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("put", &mut item.put),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                operation.operation_id = Some(operation_id(method, path));
                for (status, name, _) in OF_ALL {
                    let response = Ref::from_response_name(name).into();
                    operation.responses.responses.entry(status.into()).or_insert(response);
                }
            }
        }
    }
    description
}

// `get_deployments_id`: handlers of several files share their names, and an id must be the only one of its kind.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.trim_start_matches("/api/v1/").split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!("{method}_{}", words.join("_"))
}

/// This description.
#[utoipa::path(
    get, operation_id = "show_openapi", path = "/api/v1/openapi.json", tag = "description",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
)]
pub async fn show() -> Json<&'static utoipa::openapi::OpenApi> {
    Json(description())
}
