//! What people decided about bills, in words: "accepted a held bill", "closed June 2025".

use super::audit::action_words;
use crate::focus::BillingPeriod;
use crate::store::sources::AuditRow;

/// What was decided; who did it stands beside it.
pub(super) fn words(row: &AuditRow) -> String {
    let words = match row.action.as_str() {
        "delivery.accepted" if row.counted_again => "counted a withdrawn bill again",
        "delivery.accepted" => "accepted a held bill",
        "delivery.reverted" => "went back to the bill before",
        "delivery.withdrawn" => "withdrew a bill",
        "delivery.refused" => "refused a bill of a closed month",
        "delivery.retried" => "had the file read again",
        "source.added" => "set the source up",
        "source.changed" => "changed how the source is set up",
        "source.paused" => "paused the source",
        "source.resumed" => "let the source go on",
        "source.removed" => "removed the source",
        "month.closed" => return format!("closed {}", month(&row.subject)),
        "month.reopened" => return format!("reopened {}", month(&row.subject)),
        other => return action_words(other),
    };
    words.into()
}

fn month(subject: &str) -> String {
    subject.parse::<BillingPeriod>().map_or_else(|_| subject.to_owned(), |month| month.label())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn decisions_are_told_in_words() {
        let told = |action: &str, subject: &str, counted_again: bool| {
            words(&AuditRow {
                happened_at: DateTime::UNIX_EPOCH,
                actor: "ann".into(),
                action: action.into(),
                subject: subject.into(),
                counted_again,
            })
        };
        assert_eq!(told("month.closed", "2025-06", false), "closed June 2025");
        assert_eq!(told("month.reopened", "2025-06", false), "reopened June 2025");
        assert_eq!(told("delivery.accepted", "delivery 7", false), "accepted a held bill");
        assert_eq!(told("delivery.accepted", "delivery 7", true), "counted a withdrawn bill again");
        assert_eq!(told("source.novel_deed", "source 7", false), "source novel deed");
    }
}
