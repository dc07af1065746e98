use super::DemoPin;
use super::cost_model::Anomaly;
use super::deployments::{self, Release};
use super::organisation::SERVICES;
use chrono::{DateTime, Days, NaiveDate, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

/// PagerDuty's id of the service that is paged for payments; a rule of the demo knows it.
pub const PAYMENTS_PAGER: &str = "PAYGW01";
/// LaunchDarkly's project of the shop; a rule of the demo gives its flags to one service.
pub const FLAG_PROJECT: &str = "storefront";
/// A flag of that project which is another service's.
const PINNED_FLAG: &str = "New ranking";
/// What a sender calls a service that the catalogue lacks.
const UNKNOWN_SERVICE: &str = "storefront-legacy";

/// A webhook request of a sender that tells of what stands beside deployments and cost.
struct Told {
    sender: &'static str,
    sent_at: DateTime<Utc>,
    body: Value,
}

/// Writes every request in the order in which it was sent; returns their number. Nothing here is drawn: all of it lies
/// where the releases and anomalies are.
pub fn write(path: &Path, releases: &[Release], anomalies: &[Anomaly], last_day: NaiveDate) -> anyhow::Result<usize> {
    let mut told = of_anomalies(anomalies);
    told.extend(of_releases(releases, last_day));
    told.extend(of_other_days(last_day));
    told.sort_by_key(|one| one.sent_at);
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for one in &told {
        let headers = json!({ "Content-Type": "application/json" });
        let line = json!({ "sender": one.sender, "headers": headers, "body": one.body.to_string() });
        writeln!(file, "{line}")?;
    }
    file.flush()?;
    Ok(told.len())
}

/// What somebody pinned afterwards: a flag that its project's rule gives to the wrong service.
pub fn pins() -> Vec<DemoPin> {
    vec![DemoPin {
        title: flag_title(PINNED_FLAG, true),
        service_slug: "search-api".into(),
        environment_slug: "production".into(),
    }]
}

fn of_anomalies(anomalies: &[Anomaly]) -> Vec<Told> {
    let mut told = Vec::new();
    for anomaly in anomalies {
        let last_day = anomaly.first_day + Days::new(anomaly.day_count - 1);
        match SERVICES[anomaly.service].slug {
            "payment-gateway" => {
                let until = at(last_day, 16, 40);
                let name = "CrossRegionTrafficHigh";
                told.extend(alert(name, "payment-gateway", at(anomaly.first_day, 3, 12), Some(until)));
                told.extend(incident(&Incident {
                    service: (PAYMENTS_PAGER, "Payments (24x7)"),
                    title: "Payments answer slowly from another region",
                    priority: "P2",
                    began_at: at(last_day, 13, 5),
                    minutes: 220,
                }));
                let tags = ["service:payment-gateway", "env:production"];
                told.push(annotation("Routing table corrected", &tags, at(last_day, 16, 32), None));
            }
            // It still fires: the job still runs twice.
            "warehouse-etl" => {
                let began_at = at(anomaly.first_day + Days::new(1), 2, 20);
                told.extend(alert("NightlyJobOverlaps", "warehouse-etl", began_at, None));
            }
            "ci-runners" => {
                let message = "New size: 140; reason: external metric queue_length(nil) above target";
                told.push(rescale("ci-runners", message, at(anomaly.first_day, 4, 5), 1));
                let message = "New size: 58; reason: All metrics below target";
                told.push(rescale("ci-runners", message, at(last_day, 8, 30), 2));
            }
            _ => {}
        }
    }
    told
}

fn of_releases(releases: &[Release], last_day: NaiveDate) -> Vec<Told> {
    let live = |slug: &str| {
        let slug = slug.to_owned();
        releases.iter().filter(move |release| {
            release.succeeded && release.environment == 0 && SERVICES[release.service].slug == slug
        })
    };
    let mut told = Vec::new();
    let showcase_day = deployments::showcase_day(last_day);
    if let Some(shown) = live("checkout-api").find(|release| release.created_at.date_naive() == showcase_day) {
        let after = |hours: i64| shown.finished_at() + TimeDelta::hours(hours);
        let message = "New size: 14; reason: cpu resource utilization (percentage of request) above target";
        told.push(rescale("checkout-api", message, after(5), 7));
        told.push(flag("Express checkout", true, after(26)));
        told.extend(run("checkout-api", "Larger connection pool for the orders database", after(71)));
    }
    if let Some(last) = live("search-api").next_back() {
        let after = |minutes: i64| last.finished_at() + TimeDelta::minutes(minutes);
        // So soon after a release it makes that a failed change.
        told.extend(incident(&Incident {
            service: ("PSEARCH", "search-api"),
            title: "Search answers 5xx",
            priority: "P1",
            began_at: after(40),
            minutes: 52,
        }));
        told.push(flag(PINNED_FLAG, true, after(180)));
    }
    told
}

fn of_other_days(last_day: NaiveDate) -> Vec<Told> {
    let day = |days_before: u64| last_day - Days::new(days_before);
    let mut told = vec![
        flag("Gift cards", true, at(day(140), 9, 15)),
        flag("Gift cards", false, at(day(139), 14, 50)),
        flag("Gift cards", true, at(day(96), 9, 40)),
    ];
    let load_test = ["service:search-api", "env:staging", "load-test"];
    for days_before in [181, 90, 6] {
        let (from, until) = (at(day(days_before), 10, 0), at(day(days_before), 12, 0));
        told.push(annotation("Load test with three times the usual requests", &load_test, from, Some(until)));
    }
    told.extend(run("identity", "Rotate the signing keys", at(day(58), 7, 45)));
    // Of a service that nobody added to the catalogue: it waits among what is not mapped.
    told.extend(alert("CertificateExpiresSoon", UNKNOWN_SERVICE, at(day(20), 6, 0), Some(at(day(19), 9, 25))));
    told
}

struct Incident {
    /// PagerDuty's id and name.
    service: (&'static str, &'static str),
    title: &'static str,
    priority: &'static str,
    began_at: DateTime<Utc>,
    minutes: i64,
}

// As PagerDuty tells it: triggered, acknowledged, resolved.
fn incident(of: &Incident) -> Vec<Told> {
    let id = format!("Q{:X}", of.began_at.timestamp());
    let address = format!("https://acme-shop.pagerduty.com/incidents/{id}");
    let told = |(status, minutes): (&str, i64)| {
        let sent_at = of.began_at + TimeDelta::minutes(minutes);
        let body = json!({ "event": {
            "id": format!("{id}-{status}"),
            "event_type": format!("incident.{status}"),
            "resource_type": "incident",
            "occurred_at": text(sent_at),
            "agent": { "type": "service_reference", "summary": "Prometheus" },
            "data": {
                "id": id,
                "type": "incident",
                "html_url": address,
                "status": status,
                "created_at": text(of.began_at),
                "title": of.title,
                "service": { "id": of.service.0, "summary": of.service.1, "type": "service_reference" },
                "priority": { "summary": of.priority },
                "urgency": "high",
            },
        }});
        Told { sender: "pagerduty", sent_at, body }
    };
    [("triggered", 0), ("acknowledged", 4), ("resolved", of.minutes)].map(told).into()
}

// As Alertmanager tells it, once when it fires and once when it is over.
fn alert(name: &str, service: &str, from: DateTime<Utc>, until: Option<DateTime<Utc>>) -> Vec<Told> {
    let told = |status: &str, sent_at: DateTime<Utc>, ends_at: String| {
        let labels = json!({ "alertname": name, "service": service, "env": "production", "severity": "warning" });
        let alert = json!({
            "status": status,
            "labels": labels,
            "annotations": { "summary": name },
            "startsAt": text(from),
            "endsAt": ends_at,
            "generatorURL": format!("https://prometheus.acme-shop.example/alerts?search={name}"),
            "fingerprint": format!("{:016x}", from.timestamp()),
        });
        let body = json!({
            "version": "4",
            "receiver": "costwake",
            "status": status,
            "groupKey": format!("{{}}:{{alertname=\"{name}\"}}"),
            "externalURL": "https://alertmanager.acme-shop.example",
            "alerts": [alert],
        });
        Told { sender: "alertmanager", sent_at, body }
    };
    // The year 1 stands for "not yet".
    let fires = told("firing", from, "0001-01-01T00:00:00Z".into());
    let is_over = until.map(|until| told("resolved", until, text(until)));
    std::iter::once(fires).chain(is_over).collect()
}

fn flag_title(name: &str, is_on: bool) -> String {
    format!("release-bot turned {} the flag {name} in Production", if is_on { "on" } else { "off" })
}

fn flag(name: &str, is_on: bool, changed_at: DateTime<Utc>) -> Told {
    let key = name.to_lowercase().replace(' ', "-");
    let resource = format!("proj/{FLAG_PROJECT}:env/production:flag/{key}");
    let body = json!({
        "_id": format!("{:024x}", changed_at.timestamp()),
        "kind": "flag",
        "name": name,
        "date": changed_at.timestamp_millis(),
        "titleVerb": if is_on { "turned on the flag" } else { "turned off the flag" },
        "title": flag_title(name, is_on),
        "member": { "email": "release-bot@acme-shop.example" },
        "accesses": [{ "action": "updateOn", "resource": resource }],
        "target": { "name": name, "resources": [resource] },
        "_links": { "site": { "href": format!("https://app.launchdarkly.com/{FLAG_PROJECT}/production/features/{key}") } },
    });
    Told { sender: "launchdarkly", sent_at: changed_at, body }
}

fn rescale(workload: &str, message: &str, happened_at: DateTime<Utc>, count: i64) -> Told {
    let body = json!({
        "metadata": { "name": format!("{workload}.rescale"), "namespace": "shop", "uid": format!("scaler-of-{workload}") },
        "reason": "SuccessfulRescale",
        "message": message,
        "count": count,
        "lastTimestamp": text(happened_at),
        "involvedObject": {
            "kind": "HorizontalPodAutoscaler",
            "name": workload,
            "namespace": "shop",
            "labels": { "app.kubernetes.io/name": workload },
        },
    });
    Told { sender: "kubernetes", sent_at: happened_at, body }
}

fn annotation(words: &str, tags: &[&str], from: DateTime<Utc>, until: Option<DateTime<Utc>>) -> Told {
    let mut body = json!({ "time": from.timestamp_millis(), "tags": tags, "text": words });
    if let Some(until) = until {
        body["timeEnd"] = json!(until.timestamp_millis());
    }
    Told { sender: "grafana", sent_at: until.unwrap_or(from), body }
}

// A run of HCP Terraform that applies for eight minutes. Its workspaces are called like the services.
fn run(workspace: &str, message: &str, began_at: DateTime<Utc>) -> Vec<Told> {
    let id = format!("run-{:x}", began_at.timestamp());
    let told = |(status, minutes): (&str, i64)| {
        let sent_at = began_at + TimeDelta::minutes(minutes);
        let notification = json!({
            "message": format!("Run {status}"),
            "trigger": format!("run:{status}"),
            "run_status": status,
            "run_updated_at": text(sent_at),
        });
        let body = json!({
            "payload_version": 1,
            "run_id": id,
            "run_url": format!("https://app.terraform.io/app/acme-shop/workspaces/{workspace}/runs/{id}"),
            "run_message": message,
            "run_created_at": text(began_at),
            "run_created_by": "platform-ci",
            "workspace_name": workspace,
            "organization_name": "acme-shop",
            "notifications": [notification],
        });
        Told { sender: "terraform", sent_at, body }
    };
    [("applying", 1), ("applied", 9)].map(told).into()
}

fn at(day: NaiveDate, hour: u32, minute: u32) -> DateTime<Utc> {
    day.and_hms_opt(hour, minute, 0).expect("an hour of the day").and_utc()
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
