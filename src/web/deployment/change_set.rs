//! What a deployment changed, and which others changed something on the same billing day.

use super::went_live;
use crate::focus::DateRange;
use crate::store::Snapshot;
use crate::store::deployment_beside::{self, Beside};
use crate::store::deployment_list::{ListedDeployment, SAME_VERSION};
use crate::store::deployment_lists::Row;
use chrono::NaiveDate;

/// Others that are named; there may be more.
const NAMED_COUNT_MAX: usize = 50;

/// Nothing changed where each of its services ran this version already.
pub fn is_noop(row: &Row) -> bool {
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

/// The other deployments that the cost of a day cannot be told from.
#[derive(Debug, Clone, Default)]
pub struct ChangeSet {
    /// The newest of them.
    pub named: Vec<ListedDeployment>,
    /// How many there are.
    pub count: i64,
    /// The list of all of the day in the environment.
    pub list_href: String,
}

impl ChangeSet {
    /// Bills know days: of several deployments of one service on one day, none has a cost of its own. One that brought
    /// nothing new is none of them.
    pub async fn read(
        snapshot: &mut Snapshot,
        row: &Row,
        environment_id: Option<i64>,
        day: NaiveDate,
    ) -> sqlx::Result<Self> {
        if !went_live(row) || environment_id.is_none() || is_noop(row) {
            return Ok(Self::default());
        }
        let (deployment_id, days) = (row.deployment_id, DateRange::days_to(day, 1));
        let beside = Beside { deployment_id, days, changed_in: environment_id };
        let mut named = deployment_beside::list(snapshot, beside, NAMED_COUNT_MAX as i64 + 1).await?;
        let count = match named.len() > NAMED_COUNT_MAX {
            true => deployment_beside::count(snapshot, beside).await?,
            false => named.len() as i64,
        };
        named.truncate(NAMED_COUNT_MAX);
        let environment = row.environment_slug.as_deref().unwrap_or_default();
        Ok(Self { named, count, list_href: format!("/deployments?env={environment}&period={day}..{day}") })
    }

    /// How many are not named.
    pub fn more(&self) -> i64 {
        self.count - self.named.len() as i64
    }
}
