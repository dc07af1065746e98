//! HCP Terraform run notifications. A run is a change of infrastructure: context, not a deployment.

use super::fields::Fields;
use super::{Event, EventError, EventKind, Status, clean};

const NOTIFICATIONS_MAX: usize = 1000;

/// Reads one notification; it may tell of several statuses of its run.
pub(super) fn read(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    if !fields.has("/run_id") {
        let verifies = fields.list("/notifications").next().is_some_and(|of| of.word("/trigger") == "verification");
        let reason = match verifies {
            true => "HCP Terraform says that the notification is set up",
            false => "the notification names no run",
        };
        return Ok(vec![fields.ignored(reason)]);
    }
    let run_id = fields.id("/run_id")?;
    let read = fields.list("/notifications").take(NOTIFICATIONS_MAX).map(|of| told(&fields, &of, &run_id));
    let beyond = fields.beyond("/notifications", "notifications", NOTIFICATIONS_MAX);
    let events: Vec<Event> = read.chain(beyond).collect();
    if events.is_empty() { Ok(vec![fields.ignored("the notification tells nothing")]) } else { Ok(events) }
}

fn told(fields: &Fields<'_>, of: &Fields<'_>, run_id: &str) -> Event {
    let word = of.word("/run_status");
    let mut event = Event { kind: EventKind::InfraChange, ..Event::default() };
    event.external_id = Some(run_id.to_owned());
    event.service_hint = fields.text("/workspace_name");
    // The trigger run:errored comes with canceled runs too: the status decides. A plan that applied nothing is an end
    // too: what was told to begin would last for ever. One that was saved begins again once it is applied.
    let status = match word {
        "applied" | "planned_and_finished" | "planned_and_saved" => Status::Succeeded,
        "errored" | "policy_soft_failed" => Status::Failed,
        "canceled" | "force_canceled" | "discarded" => Status::Canceled,
        "applying" | "planning" | "confirmed" | "cost_estimating" | "policy_checking" => Status::InProgress,
        "pending" | "queuing" | "plan_queued" | "apply_queued" | "planned" | "cost_estimated" | "policy_checked"
        | "policy_override" | "fetching" => Status::Pending,
        _ => Status::Unknown,
    };
    (event.status, event.status_raw) = (Some(status), clean::text(word));
    event.started_at = fields.time("/run_created_at", &mut event);
    event.occurred_at = Some(of.needed_time("/run_updated_at", &mut event));
    event.finished_at = event.occurred_at.filter(|_| status.is_terminal());
    event.url = fields.url("/run_url");
    event.actor = fields.text("/run_created_by");
    event.title = fields.text("/run_message").or_else(|| of.text("/message"));
    fields.keep("workspace", "/workspace_name", &mut event);
    fields.keep("organization", "/organization_name", &mut event);
    event
}

#[cfg(test)]
mod tests {
    use super::super::{Context, Told, derive_context};
    use super::*;
    use chrono::{DateTime, Utc};
    use serde_json::json;

    fn minute(number: usize) -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_359_200 + number as i64 * 60, 0).unwrap()
    }

    // What the statuses of a run come to, each a minute after the one before.
    fn course(statuses: &[&str]) -> Context {
        let told = statuses.iter().enumerate().map(|(number, status)| {
            let body = json!({"run_id": "run-1", "workspace_name": "checkout", "run_created_at": minute(0),
                "notifications": [{"run_status": status, "run_updated_at": minute(number)}]});
            let received_at = minute(1000);
            Told { event: read(Fields::new(&body, received_at)).unwrap().remove(0), received_at }
        });
        derive_context(&told.collect::<Vec<_>>()).unwrap()
    }

    /// Notifications of a workspace (drift, a failed check) have no run: they verify nothing.
    #[test]
    fn what_has_no_run_is_told_from_what_only_verifies() {
        let ignored = |trigger: &str| {
            let body = json!({"payload_version": 1, "run_id": null, "notifications": [{"trigger": trigger}]});
            read(Fields::new(&body, minute(0))).unwrap().remove(0).reason
        };
        let verified = ignored("verification").unwrap();
        assert!(verified.contains("is set up"), "{verified}");
        assert_eq!(ignored("assessment:drifted").as_deref(), Some("the notification names no run"));
    }

    #[test]
    fn a_run_that_changed_nothing_is_over() {
        for last in ["planned_and_finished", "planned_and_saved", "policy_soft_failed", "discarded"] {
            let run = course(&["pending", "planning", last]);
            assert_eq!((run.started_at, run.ended_at, run.status.as_str()), (minute(0), Some(minute(2)), last));
        }
        assert_eq!(course(&["pending", "planning"]).ended_at, None);
    }

    #[test]
    fn a_plan_that_was_saved_lasts_again_once_it_is_applied() {
        let saved = ["pending", "planning", "planned_and_saved", "applying", "applied"];
        assert_eq!(course(&saved[..4]).ended_at, None);
        assert_eq!(course(&saved).ended_at, Some(minute(4)));
    }
}
