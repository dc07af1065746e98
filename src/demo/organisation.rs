use super::operations::{FLAG_PROJECT, PAYMENTS_PAGER};
use super::{DemoEnvironment, DemoRule, DemoService, DemoSplit, DemoTeam};

/// What kind of work a service does: decides what it buys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    Web,
    Data,
    Training,
    Platform,
    Edge,
}

/// Where a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    Amazon,
    Google,
    Azure,
}

/// A service with the size of its bill.
#[derive(Debug, Clone, Copy)]
pub struct ServicePlan {
    pub slug: &'static str,
    pub team: &'static str,
    pub tier: i16,
    pub workload: Workload,
    pub cloud: Cloud,
    /// US dollars a day over all environments in the first month.
    pub daily_cost: f64,
    /// Change of the bill a month from growth alone.
    pub monthly_growth: f64,
    /// Production releases a month.
    pub releases_a_month: f64,
}

#[expect(clippy::too_many_arguments, reason = "a table reads best with one row a service")]
const fn service(
    slug: &'static str,
    team: &'static str,
    tier: i16,
    workload: Workload,
    cloud: Cloud,
    daily_cost: f64,
    monthly_growth: f64,
    releases_a_month: f64,
) -> ServicePlan {
    ServicePlan { slug, team, tier, workload, cloud, daily_cost, monthly_growth, releases_a_month }
}

pub const SERVICES: [ServicePlan; 24] = {
    use Cloud::{Amazon, Azure, Google};
    use Workload::{Data, Edge, Platform, Training, Web};
    [
        service("checkout-api", "payments", 1, Web, Amazon, 1250.0, 0.012, 2.2),
        service("payment-gateway", "payments", 1, Web, Amazon, 1480.0, 0.010, 1.4),
        service("fraud-scoring", "payments", 1, Training, Amazon, 980.0, 0.021, 1.2),
        service("invoicing", "payments", 2, Web, Azure, 420.0, 0.006, 0.7),
        service("search-api", "catalog", 1, Web, Amazon, 3350.0, 0.014, 1.8),
        service("catalog-api", "catalog", 1, Web, Amazon, 2050.0, 0.008, 1.5),
        service("image-resizer", "catalog", 2, Edge, Amazon, 760.0, 0.011, 0.6),
        service("pricing-engine", "catalog", 2, Web, Google, 690.0, 0.009, 1.0),
        service("recommendations", "intelligence", 2, Training, Google, 2480.0, 0.018, 1.1),
        service("ranker-train", "intelligence", 2, Training, Google, 1900.0, 0.027, 0.8),
        service("feature-store", "intelligence", 2, Data, Google, 1350.0, 0.016, 0.9),
        service("warehouse-etl", "data-platform", 2, Data, Google, 3150.0, 0.012, 1.2),
        service("event-stream", "data-platform", 1, Data, Amazon, 2260.0, 0.010, 0.8),
        service("reporting", "data-platform", 3, Data, Azure, 880.0, 0.007, 0.9),
        service("customer-360", "data-platform", 3, Data, Azure, 1120.0, 0.019, 0.6),
        service("k8s-platform", "core-platform", 1, Platform, Amazon, 2890.0, 0.009, 0.7),
        service("ci-runners", "core-platform", 2, Platform, Amazon, 1130.0, 0.004, 0.6),
        service("observability", "core-platform", 2, Platform, Amazon, 960.0, 0.008, 0.4),
        service("identity", "core-platform", 1, Web, Azure, 730.0, 0.006, 0.8),
        service("edge-cdn", "core-platform", 1, Edge, Amazon, 640.0, 0.013, 0.4),
        service("orders-api", "fulfilment", 1, Web, Amazon, 1720.0, 0.011, 1.5),
        service("inventory", "fulfilment", 2, Web, Amazon, 1180.0, 0.007, 1.0),
        service("shipping-labels", "fulfilment", 3, Web, Azure, 350.0, 0.005, 0.5),
        service("route-planner", "fulfilment", 2, Training, Google, 870.0, 0.015, 0.8),
    ]
};

/// Environment, kind, share of a service's bill.
pub const ENVIRONMENTS: [(&str, &str, f64); 5] = [
    ("production", "production", 0.74),
    ("staging", "staging", 0.11),
    ("test", "test", 0.04),
    ("development", "development", 0.05),
    ("preview", "preview", 0.06),
];

/// The service that shared support cost goes to before it is divided.
const SHARED_SUPPORT: &str = "aws-support";

/// Support is nobody's own cost: each service bears it by the size of its bill.
pub fn splits() -> Vec<DemoSplit> {
    vec![DemoSplit {
        name: "AWS support by own cost".into(),
        source_slug: SHARED_SUPPORT.into(),
        method: "direct-cost".into(),
        reason: "AWS asks for support by what is spent, so it is divided by what each service spends.".into(),
    }]
}

pub fn teams() -> Vec<DemoTeam> {
    let team = |slug: &str, name: &str, cost_center: &str| DemoTeam {
        slug: slug.into(),
        name: name.into(),
        cost_center: cost_center.into(),
    };
    vec![
        team("payments", "Payments", "4120"),
        team("catalog", "Catalog and search", "4140"),
        team("intelligence", "Intelligence", "6110"),
        team("data-platform", "Data platform", "5220"),
        team("core-platform", "Core platform", "5210"),
        team("fulfilment", "Fulfilment", "4310"),
    ]
}

pub fn services() -> Vec<DemoService> {
    let entry =
        |plan: &ServicePlan| DemoService { slug: plan.slug.into(), team_slug: plan.team.into(), tier: plan.tier };
    let shared = DemoService { slug: SHARED_SUPPORT.into(), team_slug: "core-platform".into(), tier: 3 };
    SERVICES.iter().map(entry).chain([shared]).collect()
}

pub fn environments() -> Vec<DemoEnvironment> {
    ENVIRONMENTS.iter().map(|(slug, kind, _)| DemoEnvironment { slug: (*slug).into(), kind: (*kind).into() }).collect()
}

pub fn rules() -> Vec<DemoRule> {
    let rule = |attribute: &str, operator: &str, value: &str, service: &str, note: &str| DemoRule {
        applies_to: "charges".into(),
        attribute: attribute.into(),
        operator: operator.into(),
        value: value.into(),
        service_slug: Some(service.into()),
        environment_slug: Some("production".into()),
        note: note.into(),
    };
    let of_events = |attribute: &str, value: &str, service: &str, note: &str, environment: Option<&str>| DemoRule {
        applies_to: "deployments".into(),
        environment_slug: environment.map(str::to_owned),
        ..rule(attribute, "equals", value, service, note)
    };
    vec![
        rule(
            "provider_name",
            "equals",
            "Cloudflare",
            "edge-cdn",
            "The network bill carries no tags; it is all edge traffic.",
        ),
        rule(
            "sub_account_name",
            "prefix",
            "shared-",
            "k8s-platform",
            "Shared accounts hold the clusters that everyone runs on.",
        ),
        rule(
            "service_name",
            "equals",
            "AWS Support (Enterprise On-Ramp)",
            SHARED_SUPPORT,
            "Support is for everything that runs on AWS; it is divided under shared costs.",
        ),
        of_events(
            "tag:service_id",
            PAYMENTS_PAGER,
            "payment-gateway",
            "Whoever is paged for payments is paged for the gateway in production.",
            Some("production"),
        ),
        of_events(
            "tag:project",
            FLAG_PROJECT,
            "checkout-api",
            "Flags of the storefront are those of the checkout.",
            None,
        ),
    ]
}
