//! What stands in the way of a comparison, and what the page says of it.

use super::super::comparison::{Around, WEEK, days_needed};
use super::super::display::{Delta, change_shown, decimals, money};
use super::super::query::range_label;
use super::figures::averages;
use super::{change_set, went_live};
use crate::store::deployment_costs::{ServedService, ServiceDayCost};
use crate::store::deployment_lists::Row;

/// The title and sentence of it; nothing where both sides can be compared.
pub(super) fn state(
    row: &Row,
    (services, is_pinned): (&[ServedService], bool),
    open: &[ServedService],
    around: &Around,
    has_bills: bool,
    days: &[ServiceDayCost],
) -> Option<(&'static str, String)> {
    if services.is_empty() && is_pinned {
        return Some((
            "No service",
            "It is pinned to no service, so there is no cost to compare, and rules do not move it.".into(),
        ));
    }
    if services.is_empty() {
        return Some((
            "No service",
            "No rule maps this deployment to a service, so there is no cost to compare.".into(),
        ));
    }
    if open.is_empty() {
        return Some((
            "Cost is open to the owners",
            "You can see this deployment, not the cost of its services: that is open to their team and to finance."
                .into(),
        ));
    }
    if matches!(row.status.as_str(), "pending" | "in_progress") {
        return Some((
            "It is not live yet",
            format!("Its state is {}. Cost is compared once it is live.", row.status.replace('_', " ")),
        ));
    }
    if !went_live(row) {
        return Some((
            "It did not go live",
            format!("Its state is {}, so that there is nothing to compare.", row.status.replace('_', " ")),
        ));
    }
    if !has_bills {
        return Some(("No billing data yet", "Import a FOCUS file to see cost around this deployment.".into()));
    }
    if days.is_empty() {
        return Some((
            "No cost in these days",
            format!("The bills hold no cost of its services in this environment from {}.", range_label(around.whole())),
        ));
    }
    if around.before.is_none() {
        return Some((
            "Nothing to compare with",
            format!("No bill tells of the days before {}.", around.began.format("%-d %B %Y")),
        ));
    }
    let after = around.days_after();
    let needed = needed(row, around);
    let then = match needed < WEEK {
        true => format!(
            "The estimate follows then. Before and after are compared once {WEEK} are complete: they have the same weekdays."
        ),
        false => format!(
            "Once {} more are complete, before and after have the same weekdays and can be compared.",
            needed.saturating_sub(after)
        ),
    };
    (after < WEEK).then(|| ("Still measuring", format!("{after} of {needed} complete days so far. {then}")))
}

fn needed(row: &Row, around: &Around) -> u32 {
    days_needed(row.environment_kind.as_deref(), change_set::is_noop(row), around.days_after())
}

/// What is not estimated says why: nothing is left to be guessed.
pub(super) fn no_effect(row: &Row, is_there: bool) -> String {
    match row.environment_kind.as_deref() {
        _ if is_there || !went_live(row) => String::new(),
        None => "Effects are estimated where the environment is known.".into(),
        Some("preview") => "Effects are not estimated for previews: they end before there is enough to compare.".into(),
        Some(_) => "The estimate follows once bills and this deployment are worked in; a deployment of the version that was live before has none.".into(),
    }
}

/// The first sentence, where there is no estimate.
pub(super) fn answer(
    row: &Row,
    open: &[ServedService],
    days: &[ServiceDayCost],
    around: &Around,
    state: Option<&(&'static str, String)>,
) -> String {
    if let Some((title, _)) = state {
        let environment =
            row.environment_name.as_deref().or(row.environment_raw.as_deref()).unwrap_or("an environment not known");
        return match *title {
            "Still measuring" => format!(
                "Not yet known: {} of {} complete days since this deployment to {environment}.",
                around.days_after(),
                needed(row, around)
            ),
            "It did not go live" => {
                format!("This deployment to {environment} did not go live: nothing to compare.")
            }
            _ => format!("{title}: this deployment to {environment} has no cost comparison."),
        };
    }
    let names: Vec<&str> = open.iter().map(|service| service.name.as_str()).collect();
    let who = if names.len() > 3 { format!("{} services", names.len()) } else { names.join(" and ") };
    let parts: Vec<String> = averages(days, around)
        .rows()
        .iter()
        .map(|average| {
            let digits = decimals(&average.currency, &average.before.abs().max(average.after.abs()));
            let delta = Delta::between(&average.after, &average.before, &average.currency, digits);
            let now = money(&average.after, &average.currency, digits);
            if let Some(same) = delta.same() {
                return format!("{now} a day, {same}");
            }
            let change = money(&change_shown(&average.after, &average.before, digits).abs(), &average.currency, digits);
            format!("{now} a day, {change} {} {}", delta.relative, delta.word()).replace("  ", " ")
        })
        .collect();
    format!(
        "In the {} complete days after, {who} cost {}, compared with the {} days before.",
        around.days_after(),
        parts.join(", and "),
        around.days_before()
    )
}
