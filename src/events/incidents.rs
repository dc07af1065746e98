//! Incidents: PagerDuty's webhooks (version 3) and Alertmanager's. Context beside deployments and cost.

use super::fields::{Fields, joined, unreadable};
use super::{Event, EventError, EventKind};

const ALERTS_MAX: usize = 1000;

/// Reads one webhook of PagerDuty. Older ones do not say when the incident began.
pub(super) fn read_pagerduty(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    let of = fields.at("/event/data");
    let name = fields.word("/event/event_type");
    if name.is_empty() {
        return Err(EventError::Unfit("event.event_type is missing: this is no webhook of PagerDuty".into()));
    }
    let is_incident = matches!(fields.word("/event/resource_type"), "" | "incident") && of.word("/type") == "incident";
    if !name.starts_with("incident.") || !is_incident {
        return Ok(vec![fields.ignored(&format!("\"{name}\" events are not used; deselect them in PagerDuty"))]);
    }
    let mut event = Event { kind: EventKind::Incident, ..Event::default() };
    event.external_id = Some(of.id("/id")?);
    event.services = of.text("/service/summary").into_iter().collect();
    event.status_raw = of.text("/status");
    event.severity = of.text("/priority/summary").or_else(|| of.text("/urgency"));
    let at = fields.needed_time("/event/occurred_at", &mut event);
    event.occurred_at = Some(at);
    event.started_at = of.time("/created_at", &mut event).or_else(|| (name == "incident.triggered").then_some(at));
    event.finished_at = (of.word("/status") == "resolved").then_some(at);
    event.url = of.url("/html_url");
    event.actor = fields.text("/event/agent/summary");
    event.title = of.text("/title");
    of.keep("team", "/teams/0/summary", &mut event);
    // What Backstage calls pagerduty.com/service-id: rules know it, whatever the service is called there.
    of.keep("service_id", "/service/id", &mut event);
    Ok(vec![event])
}

/// Reads one webhook of Alertmanager: an incident for each of its alerts.
pub(super) fn read_alertmanager(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    if !fields.root.get("alerts").is_some_and(serde_json::Value::is_array) {
        return Err(EventError::Unfit("alerts is missing: this is no webhook of Alertmanager".into()));
    }
    let mut events = fields.read_each("/alerts", ALERTS_MAX, |of| alert(&fields, of))?;
    let cut_count = fields.number("/truncatedAlerts").filter(|count| *count > 0);
    events.extend(cut_count.map(|count| {
        unreadable(&format!("{count} of the alerts: Alertmanager leaves them out by max_alerts of its webhook"))
    }));
    Ok(events)
}

fn alert(fields: &Fields<'_>, of: &Fields<'_>) -> Result<Event, EventError> {
    let mut event = Event { kind: EventKind::Incident, ..Event::default() };
    let id = of.id("/fingerprint")?;
    event.object_key = Some(joined(&[&id, of.word("/startsAt")]));
    event.external_id = Some(id);
    let label = |names: &[&str]| names.iter().find_map(|name| of.text(&format!("/labels/{name}")));
    event.services = label(&["service", "app", "app_kubernetes_io_name", "job"]).into_iter().collect();
    event.environment = label(&["environment", "env", "deployment_environment_name"]);
    event.status_raw = of.text("/status");
    event.severity = label(&["severity"]);
    event.started_at = Some(of.needed_time("/startsAt", &mut event));
    // The year 1 stands for "not yet", and comes with resolved alerts too.
    let resolved = of.word("/status") == "resolved";
    event.finished_at = resolved.then(|| of.real_time("/endsAt").unwrap_or(fields.received_at));
    event.occurred_at = event.finished_at.or(event.started_at);
    event.url = of.url("/generatorURL").or_else(|| fields.url("/externalURL"));
    event.title = label(&["alertname"]).or_else(|| of.text("/annotations/summary"));
    of.keep_attributes("/labels", &mut event);
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_service_of_pagerduty_is_known_by_its_id() {
        let body = json!({"event": {"event_type": "incident.triggered", "resource_type": "incident",
            "occurred_at": "2026-03-01T10:00:00Z", "data": {"id": "Q1", "type": "incident", "status": "triggered",
                "title": "Orders fail", "service": {"id": "PT4KHLK", "summary": "Checkout (24x7)"}}}});
        let event = read_pagerduty(Fields::new(&body, "2026-03-01T12:00:00Z".parse().unwrap())).unwrap().remove(0);
        assert_eq!(
            (event.attributes["service_id"].as_str(), event.services[0].as_str()),
            ("PT4KHLK", "Checkout (24x7)")
        );
    }

    #[test]
    fn alerts_that_alertmanager_leaves_out_are_told() {
        let read = |count: i64| {
            let alert = json!({"status": "firing", "fingerprint": "a", "startsAt": "2026-03-01T10:00:00Z"});
            let body = json!({"alerts": [alert], "truncatedAlerts": count});
            read_alertmanager(Fields::new(&body, "2026-03-01T12:00:00Z".parse().unwrap())).unwrap()
        };
        assert_eq!(read(0).len(), 1);
        let events = read(3);
        assert_eq!((events.len(), events[1].kind), (2, EventKind::Unreadable));
        assert!(events[1].reason.as_deref().unwrap().starts_with("3 of the alerts"));
    }

    #[test]
    fn an_alert_that_is_over_has_an_end_even_in_the_year_one() {
        let received = "2026-03-01T12:00:00Z".parse().unwrap();
        let body = json!({"alerts": [{"status": "resolved", "fingerprint": "a", "labels": {"job": "checkout"},
            "startsAt": "2026-03-01T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}]});
        let event = read_alertmanager(Fields::new(&body, received)).unwrap().remove(0);
        assert_eq!((event.finished_at, event.services[0].as_str()), (Some(received), "checkout"));
        assert_eq!(event.object_key.as_deref(), Some("a/2026-03-01T10:00:00Z"));
    }
}
