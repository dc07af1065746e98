//! HCP Terraform run notifications. A run is a change of infrastructure: context, not a deployment.

use super::fields::Fields;
use super::{Event, EventError, EventKind, Status, clean};

/// Reads one notification; it may tell of several statuses of its run.
pub(super) fn read(fields: Fields<'_>) -> Result<Vec<Event>, EventError> {
    if !fields.has("/run_id") {
        return Ok(vec![fields.ignored("HCP Terraform says that the notification is set up")]);
    }
    let run_id = fields.id("/run_id")?;
    let events: Vec<Event> = fields.list("/notifications").take(100).map(|of| told(&fields, &of, &run_id)).collect();
    if events.is_empty() { Ok(vec![fields.ignored("the notification tells nothing")]) } else { Ok(events) }
}

fn told(fields: &Fields<'_>, of: &Fields<'_>, run_id: &str) -> Event {
    let word = of.word("/run_status");
    if matches!(word, "planned_and_finished" | "planned_and_saved" | "policy_soft_failed") {
        return fields.ignored("the plan applied nothing");
    }
    let mut event = Event { kind: EventKind::InfraChange, ..Event::default() };
    event.external_id = Some(run_id.to_owned());
    event.service_hint = fields.text("/workspace_name");
    // The trigger run:errored comes with canceled runs too: the status decides.
    let status = match word {
        "applied" => Status::Succeeded,
        "errored" => Status::Failed,
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
