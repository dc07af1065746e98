//! What people answer about an anomaly, and forgetting what answers taught.

use super::words;
use crate::store::anomalies::{self, AnomalyEvent, REASON_LENGTH_MAX};
use crate::store::anomaly_lists::ListedAnomaly;
use crate::store::{anomaly_lists, anomaly_watch, audit};
use crate::web::{AppState, ClientAddress, Error, Policy, Principal, Result, Routes, detached};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{Months, NaiveDate};
use serde::Deserialize;
use serde_json::json;

/// A plan may reach so many months ahead.
const PLAN_MONTHS_MAX: u32 = 24;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.post("/anomalies/{id}/state", Policy::Review, answer_form).post(
        "/anomalies/thresholds/reset",
        Policy::Review,
        forget,
    )
}

/// What a person says about an anomaly.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AnswerForm {
    /// `acknowledged`, `explained`, `planned`, `false-alarm`, or `open`, which takes an answer back: what was closed before it
    /// is closed again.
    pub state: String,
    /// Why; needed for all but `acknowledged` and `open`.
    pub reason: String,
    /// The last day of what is planned, no earlier than the last known one of the anomaly: 2026-11-30.
    pub until: String,
}

struct Checked {
    state: &'static str,
    sentence: String,
    until: Option<NaiveDate>,
    reason: String,
}

impl AnswerForm {
    // `end` is its last day that is known.
    fn checked(&self, end: NaiveDate, today: NaiveDate) -> Result<Checked> {
        let wrong = |text: String| Err(Error::Invalid(format!("{text} Go back to change it.")));
        let reason = self.reason.trim().to_owned();
        let length = reason.chars().count();
        if length > REASON_LENGTH_MAX || reason.contains('\0') {
            return wrong(format!("A reason has up to {REASON_LENGTH_MAX} characters of text; this one has {length}."));
        }
        let (state, sentence, needs_reason) = match self.state.as_str() {
            "acknowledged" => ("acknowledged", "Acknowledged; it stays open.", false),
            "explained" => ("explained", "Explained: it was right to tell.", true),
            "planned" => ("planned", "Planned", true),
            "false-alarm" => ("false-alarm", "False alarm: such changes are told less readily from now on.", true),
            "open" => ("open", "The answer was taken back.", false),
            other => {
                return wrong(format!(
                    "The state {other:?} is not known. Allowed: acknowledged, explained, planned, false-alarm, open."
                ));
            }
        };
        if needs_reason && reason.is_empty() {
            return wrong("Say in a few words why: whoever looks at it next will want to know.".into());
        }
        if state != "planned" {
            return Ok(Checked { state, sentence: sentence.into(), until: None, reason });
        }
        let Ok(until) = self.until.trim().parse::<NaiveDate>() else {
            return wrong(
                "What is planned needs its last day, like 2026-11-30: after it the cost is measured again.".into(),
            );
        };
        let latest = today + Months::new(PLAN_MONTHS_MAX);
        // A plan that was over before is no answer to the days since: it would silence them.
        if until < end {
            return wrong(format!(
                "It was seen until {end}, so that what was planned until {until} does not explain it. Give a last day from {end} on, or say that it is explained."
            ));
        }
        if until > latest {
            return wrong(format!("The last day of a plan lies between {end} and {latest}; this one is {until}."));
        }
        let sentence = format!("Planned until {}.", until.format("%-d %B %Y"));
        Ok(Checked { state, sentence, until: Some(until), reason })
    }
}

impl Checked {
    // What this answer means for this anomaly: one that was closed before it was answered cannot be kept open, and is closed
    // again where its answer is taken back.
    fn about(mut self, one: &ListedAnomaly) -> Result<Self> {
        if matches!(self.state, "acknowledged" | "planned") && one.was_closed() {
            return Err(Error::Invalid("It is closed already. Say that it is explained, or a false alarm.".into()));
        }
        if self.state == "open" && matches!(one.state.as_str(), "open" | "closed") {
            return Err(Error::Invalid("There is no answer to take back.".into()));
        }
        if self.state == "open" && one.was_closed() {
            self.state = "closed";
            self.sentence = "The answer was taken back; it is closed as it was before.".into();
        }
        Ok(self)
    }
}

async fn answer_form(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<AnswerForm>,
) -> Result<Response> {
    answer(app, principal, address, id, form).await?;
    Ok(Redirect::to(&format!("/anomalies/{id}#h-history")).into_response())
}

/// Writes an answer about an anomaly of the person's own teams, with its history and an audit row.
pub async fn answer(
    app: AppState,
    principal: Principal,
    address: ClientAddress,
    id: i64,
    form: AnswerForm,
) -> Result<()> {
    let today = app.now().date_naive();
    detached(async move {
        let mut transaction = app.pools.jobs.begin().await?;
        anomalies::lock(&mut transaction, id).await?.ok_or(Error::NotFound)?;
        let one = anomaly_lists::get(&mut transaction, &principal.scope(), id).await?.ok_or(Error::NotFound)?;
        let checked = form.checked(one.end_date, today)?.about(&one)?;
        anomalies::answer(&mut transaction, id, checked.state, checked.until, app.now()).await?;
        let event = AnomalyEvent {
            state: checked.state.into(),
            sentence: checked.sentence,
            reason: checked.reason,
            done_by: principal.login.clone(),
            happened_at: app.now(),
        };
        anomalies::add_event(&mut transaction, id, &event).await?;
        let details = json!({
            "before": one.state, "state": checked.state, "reason": event.reason, "until": checked.until,
        });
        let (login, from) = (principal.login.as_str(), address.to_string());
        audit::insert(&mut transaction, app.now(), login, &from, "anomaly.answered", &words::number(&one), details)
            .await?;
        transaction.commit().await?;
        Ok(())
    })
    .await
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ForgetForm {
    service: i64,
    team: i64,
    lesson: String,
}

async fn forget(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<ForgetForm>,
) -> Result<Response> {
    detached(async move {
        let mut transaction = app.pools.jobs.begin().await?;
        let lessons = anomaly_lists::lessons(&mut transaction, &principal.scope()).await?;
        let known = lessons.iter().find(|one| {
            (one.service_id, one.team_id, one.lesson.as_str()) == (form.service, form.team, form.lesson.as_str())
        });
        let known = known.ok_or(Error::NotFound)?;
        let of = (known.service_id, known.team_id);
        anomaly_watch::forget_lesson(&mut transaction, of, &known.lesson, &principal.login, app.now()).await?;
        let details =
            json!({ "lesson": known.lesson, "false_alarms": known.false_alarm_count, "right": known.right_count });
        let (login, from) = (principal.login.as_str(), address.to_string());
        audit::insert(&mut transaction, app.now(), login, &from, "anomaly.threshold_reset", &known.name, details)
            .await?;
        transaction.commit().await?;
        Ok::<(), Error>(())
    })
    .await?;
    Ok(Redirect::to("/anomalies#h-taught").into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_was_over_before_the_last_known_day_is_no_answer() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let answered = |until: &str| {
            let form = AnswerForm { state: "planned".into(), reason: "A load test.".into(), until: until.into() };
            form.checked(day("2026-11-27"), day("2026-11-28")).map(|checked| checked.until).ok()
        };
        assert_eq!(answered("2026-11-26"), None, "it ran on");
        assert_eq!(answered("2026-11-27"), Some(Some(day("2026-11-27"))));
        assert_eq!(answered("2026-12-24"), Some(Some(day("2026-12-24"))));
        assert_eq!(answered("2029-01-01"), None);
    }
}
