//! Changes of the figures that a reader of the window must know of: restated bills, and rules that moved cost.

use crate::store::deployment_costs::FigureChange;
use chrono::{DateTime, Utc};

/// A line of "What else happened".
pub(super) struct FigureChangeRow {
    pub sentence: String,
    /// The delivery that did it.
    pub delivery_id: Option<i64>,
    /// The last time, where it happened several times on one day.
    pub at: DateTime<Utc>,
    /// "Publication 7", "Publications 1 to 6, 6 times".
    pub publications: String,
}

/// One row each; what people did to rules several times on one day is one row.
pub(super) fn rows(changes: &[FigureChange]) -> Vec<FigureChangeRow> {
    changes.chunk_by(are_one).filter_map(row).collect()
}

fn are_one(one: &FigureChange, next: &FigureChange) -> bool {
    let is_by_hand = ["remap", "split"].contains(&one.kind.as_str());
    is_by_hand && one.kind == next.kind && one.published_at.date_naive() == next.published_at.date_naive()
}

fn row(changes: &[FigureChange]) -> Option<FigureChangeRow> {
    let (first, last) = (changes.first()?, changes.last()?);
    let publications = match changes.len() {
        1 => format!("Publication {}", last.publication_id),
        count => format!("Publications {} to {}, {count} times", first.publication_id, last.publication_id),
    };
    Some(FigureChangeRow {
        sentence: sentence(last),
        delivery_id: last.delivery_id,
        at: last.published_at,
        publications,
    })
}

/// What happened, in words.
pub(super) fn sentence(change: &FigureChange) -> String {
    let source = change.source_name.as_deref().unwrap_or("a source");
    match (change.kind.as_str(), change.billing_period_start) {
        ("remap", _) => "Rules or catalogue changed: cost was mapped again".into(),
        ("split", _) => "Shared costs changed: they were divided again".into(),
        ("accept", _) => format!("A delivery of {source} was accepted with what it lacks"),
        ("revert", _) => format!("{source} went back to the delivery before"),
        ("withdraw", _) => format!("A delivery of {source} was withdrawn"),
        (_, Some(month)) => format!("{source} restated {}", month.format("%B %Y")),
        _ => format!("{source} was published again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(publication_id: i64, kind: &str, day: u32) -> FigureChange {
        let at = format!("2026-11-{day:02}T10:00:00Z").parse().unwrap();
        FigureChange {
            publication_id,
            kind: kind.to_owned(),
            published_at: at,
            delivery_id: None,
            source_name: Some("aws".into()),
            billing_period_start: None,
        }
    }

    #[test]
    fn rules_changed_several_times_a_day_are_one_row() {
        let changes = [change(1, "remap", 3), change(2, "remap", 3), change(4, "remap", 4), change(5, "revert", 4)];
        let rows: Vec<_> = rows(&changes).into_iter().map(|row| (row.sentence, row.publications)).collect();
        let mapped = "Rules or catalogue changed: cost was mapped again".to_owned();
        assert_eq!(rows[0], (mapped.clone(), "Publications 1 to 2, 2 times".to_owned()));
        assert_eq!(rows[1], (mapped, "Publication 4".to_owned()));
        assert_eq!(rows[2].0, "aws went back to the delivery before");
        assert_eq!(super::rows(&[change(1, "revert", 3), change(2, "revert", 3)]).len(), 2);
    }
}
