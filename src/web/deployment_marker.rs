//! A deployment as a mark on a chart of one service: it leads to its page, several near each other to their list.

use super::charts::{Buckets, Marker, Shape};
use crate::store::deployment_list::ListedDeployment;
use chrono::Days;

/// The mark of a deployment; none where its day is not on the chart.
pub fn deployment_marker(one: &ListedDeployment, buckets: &Buckets) -> Option<Marker> {
    let day = one.at.date_naive();
    Some(Marker {
        index: buckets.index_of(day)?,
        href: format!("/deployments/{}", one.deployment_id),
        cluster_href: format!("/deployments?period={day}..{}", day + Days::new(3)),
        name: one.label(),
        details: format!(
            "{}, {}",
            one.environment_name.as_deref().unwrap_or("environment not known"),
            one.at.format("%-d %b %H:%M UTC")
        ),
        shape: if one.kind == "rollback" { Shape::Rollback } else { Shape::Plain },
    })
}
