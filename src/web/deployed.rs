//! The deployments on the pages of teams and environments: the newest as a list, and all of the chart's days as its marks.

use super::query::range_label;
use crate::focus::DateRange;
use crate::store::Snapshot;
use crate::store::deployment_list::{self, DeploymentFilter, ListedDeployment};
use crate::store::deployment_marks::{self, MarkedDeployment, Whose};

/// Which deployments a page shows.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Whose.
    pub whose: Whose<'a>,
    /// The days of the list; all where none are given.
    pub listed_on: Option<DateRange>,
    /// At most as many.
    pub row_count_max: usize,
    /// The days of the chart; none where there is no chart.
    pub chart: Option<DateRange>,
    /// Into which kind of environment those went that the chart marks; any where none is given.
    pub marked_kind: Option<&'a str>,
}

/// What is read of them.
#[derive(Debug, Clone, Default)]
pub struct Deployed {
    /// The newest.
    pub listed: Vec<ListedDeployment>,
    /// Which of them the list lacks; may be empty.
    pub note: String,
    /// All that went live on the days of the chart, in order of time.
    pub marked: Vec<MarkedDeployment>,
}

impl Deployed {
    /// Reads them.
    pub async fn read(snapshot: &mut Snapshot, asked: Asked<'_>) -> sqlx::Result<Self> {
        let Asked { whose, listed_on, row_count_max, chart, marked_kind } = asked;
        let filter = DeploymentFilter {
            environment_id: whose.environment_id,
            team_id: whose.team_id,
            from: listed_on.map(DateRange::start),
            until: listed_on.map(DateRange::end),
            ..DeploymentFilter::default()
        };
        let mut listed = deployment_list::list(snapshot, &filter, row_count_max as i64 + 1).await?;
        let mut note = String::new();
        if listed.len() > row_count_max {
            listed.truncate(row_count_max);
            let counts = deployment_marks::count(snapshot, whose, listed_on).await?;
            note = newest_note(listed.len(), counts.listed, listed_on);
        }
        let marked = match chart {
            Some(days) => {
                let whose = Whose { environment_kind: marked_kind, ..whose };
                deployment_marks::list(snapshot, whose, days).await?
            }
            None => Vec::new(),
        };
        Ok(Self { listed, note, marked })
    }
}

/// "The newest 20 of 412 from 1 Mar to 23 Nov 2026."; nothing where all are shown.
pub fn newest_note(shown: usize, count: i64, days: Option<DateRange>) -> String {
    match days.map(|days| format!(" from {}", range_label(days))) {
        _ if count <= shown as i64 => String::new(),
        days => format!("The newest {shown} of {count}{}.", days.unwrap_or_default()),
    }
}

/// Beside how many went live in all environments, how many of them to production: only those are changes of "Delivery".
pub fn to_production(live: i64, in_production: i64) -> String {
    match (live, in_production) {
        (0, _) => "none in these days".into(),
        (live, to) if live == to => "that went live, all to production".into(),
        (_, 0) => "that went live, none to production".into(),
        (_, to) => format!("that went live in all environments, {to} of them to production"),
    }
}

#[cfg(test)]
mod tests {
    use super::to_production;

    #[test]
    fn a_count_of_all_environments_says_how_many_are_of_production() {
        assert_eq!(to_production(15, 10), "that went live in all environments, 10 of them to production");
        assert_eq!(
            [(0, 0), (3, 3), (3, 0)].map(|(live, to)| to_production(live, to)),
            ["none in these days", "that went live, all to production", "that went live, none to production"]
        );
    }
}
