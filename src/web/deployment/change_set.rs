//! What a deployment changed, and which others changed something on the same billing day.

use super::went_live;
use crate::store::deployment_list::{ListedDeployment, SAME_VERSION};
use crate::store::deployment_lists::Row;

// Nothing changed where each of its services ran this version already.
fn is_noop(row: &Row) -> bool {
    !row.services.is_empty() && row.services.iter().all(|service| service.is_noop)
}

/// What the page says where a version came again.
pub fn same_version(row: &Row) -> String {
    let same: Vec<&str> = row.services.iter().filter(|one| one.is_noop).map(|one| one.name.as_str()).collect();
    match same.len() {
        0 => String::new(),
        count if count == row.services.len() => SAME_VERSION.to_owned(),
        _ => format!("{SAME_VERSION} for {}", same.join(", ")),
    }
}

/// Bills know days: of several deployments of one service on one day, none has a cost of its own. One that brought
/// nothing new is none of them.
pub fn change_set(
    row: &Row,
    environment_id: Option<i64>,
    day: chrono::NaiveDate,
    others: &[ListedDeployment],
) -> Vec<ListedDeployment> {
    if !went_live(row) || environment_id.is_none() || is_noop(row) {
        return Vec::new();
    }
    let is_beside = |one: &&ListedDeployment| Some(one.environment_id) == environment_id && one.at.date_naive() == day;
    others.iter().filter(is_beside).filter(|one| one.kind != "config_sync" && !one.is_noop).cloned().collect()
}
