//! A deployment as a mark on a chart: it leads to its page, several near each other to their list.

use super::charts::{Buckets, Marker, Shape};
use super::comparison::earlier_start;
use crate::store::deployment_marks::MarkedDeployment;
use chrono::NaiveDate;

/// Where the list of deployments is; narrowed by a query, but not to days.
pub const LIST: &str = "/deployments";

/// The mark of a deployment; none where its day is not on the chart.
pub fn deployment_marker(one: &MarkedDeployment, buckets: &Buckets, list_href: &str) -> Option<Marker> {
    let day = one.day();
    let index = buckets.index_of(day)?;
    let environment = one.environment_name.as_deref().unwrap_or("environment not known");
    Some(Marker {
        index,
        from: first_bar(earlier_start(one.started_at, one.at), index, buckets),
        day,
        href: format!("/deployments/{}", one.deployment_id),
        list_href: list_href.to_owned(),
        name: one.label(),
        details: format!("{environment}, {}", when(one)),
        shape: if one.kind == "rollback" { Shape::Rollback } else { Shape::Plain },
    })
}

/// The bar on which a deployment began that went live on the bar `index`. What began before the chart does is shown from
/// its first bar on.
pub fn first_bar(started_on: Option<NaiveDate>, index: usize, buckets: &Buckets) -> usize {
    started_on.map_or(index, |day| buckets.index_of(day).unwrap_or_default().min(index))
}

/// "10 Nov 09:41 UTC"; "8 Nov 09:00 to 10 Nov 09:41 UTC" where it took until another day.
pub fn when(one: &MarkedDeployment) -> String {
    let end = one.at.format("%-d %b %H:%M UTC");
    match one.started_at.filter(|start| start.date_naive() < one.day()) {
        Some(start) => format!("{} to {end}", start.format("%-d %b %H:%M")),
        None => end.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::focus::DateRange;

    #[test]
    fn what_took_days_is_drawn_and_told_from_its_start() {
        let days = DateRange::days_to("2026-11-20".parse().unwrap(), 20);
        let buckets = Buckets::new(days, days.last_day());
        let marker = |start: Option<&str>| {
            let one = MarkedDeployment {
                deployment_id: 7,
                at: "2026-11-10T09:41:00Z".parse().unwrap(),
                started_at: start.map(|at| at.parse().unwrap()),
                kind: "deploy".into(),
                version: Some("v2".into()),
                sha: None,
                environment_id: 1,
                environment_name: Some("Production".into()),
                is_production: true,
                service_names: Vec::new(),
            };
            let marker = deployment_marker(&one, &buckets, LIST).unwrap();
            (marker.from, marker.index, marker.details)
        };
        let same_day = (9, 9, "Production, 10 Nov 09:41 UTC".to_owned());
        assert_eq!(marker(None), same_day);
        assert_eq!(marker(Some("2026-11-10T00:00:00Z")), same_day);
        assert_eq!(
            marker(Some("2026-11-08T09:00:00Z")),
            (7, 9, "Production, 8 Nov 09:00 to 10 Nov 09:41 UTC".to_owned())
        );
        assert_eq!(marker(Some("2026-10-28T09:00:00Z")).0, 0);
        // A night is told and not shaded.
        let night = (9, 9, "Production, 9 Nov 23:55 to 10 Nov 09:41 UTC".to_owned());
        assert_eq!(marker(Some("2026-11-09T23:55:00Z")), night);
    }
}
