//! What the list of rules says of the one that somebody saved just now, also by a button that shows no preview: what it
//! took, and what undoes it.

use super::super::Result;
use super::RuleRow;
use crate::store::Snapshot;
use crate::store::unmapped::{self, Taken};
use serde::Deserialize;

/// The address of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// The rule that was saved.
    saved: String,
}

/// The notice above the list.
pub(super) struct Saved {
    pub sentence: String,
    /// Where it is undone, and what that is called.
    pub undo: (String, &'static str),
}

/// The list of rules, at the rule that was saved.
pub(super) fn address(id: i64) -> String {
    format!("/rules?saved={id}#rule-{id}")
}

/// The notice that the address asks for; none where no such rule is there (any more).
pub(super) async fn read(snapshot: &mut Snapshot, asked: &Asked, rows: &[RuleRow]) -> Result<Option<Saved>> {
    let Some(row) = asked.saved.parse::<i64>().ok().and_then(|id| rows.iter().find(|row| row.id == id)) else {
        return Ok(None);
    };
    let event_count = unmapped::events_taken(snapshot, row.id).await?;
    // Only what names nothing but a service says of all that it takes whose it is.
    let service = row.service_name.as_deref().filter(|_| row.targets.len() == 1);
    let whose = match service {
        Some(name) => Whose::Service(name),
        None => Whose::Targets(&row.targets),
    };
    let undo = if row.version == 1 {
        (format!("/rules/{}/change?to=delete", row.id), "Undo it: delete the rule")
    } else {
        (format!("/rules/{}/history", row.id), "Undo it: put an earlier version back")
    };
    Ok(Some(Saved { sentence: sentence(row.number, &row.taken, event_count, &whose), undo }))
}

enum Whose<'a> {
    Service(&'a str),
    Targets(&'a [String]),
}

fn sentence(number: usize, taken: &Taken, event_count: i64, whose: &Whose<'_>) -> String {
    let counts = [
        (taken.key_count, "kind of charge", "kinds of charge"),
        (taken.deployment_count, "deployment", "deployments"),
        (event_count, "operational event", "operational events"),
    ];
    let are = if counts.iter().map(|(count, ..)| count).sum::<i64>() == 1 { "is" } else { "are" };
    let parts: Vec<String> = counts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
    let all = match parts.split_last() {
        None => {
            return format!(
                "Rule {number} is saved. It takes nothing now: nothing matches it, or rules before it and pins decide."
            );
        }
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    };
    match whose {
        Whose::Service(name) => format!("Rule {number} is saved: {all} {are} {name}'s now."),
        Whose::Targets(targets) => format!("Rule {number} is saved: it takes {all} ({}).", targets.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_took_is_one_sentence() {
        let taken = |key_count, deployment_count| Taken { key_count, deployment_count, ..Taken::default() };
        let shop = Whose::Service("shop");
        for (taken, event_count, expected) in [
            (taken(0, 4), 0, "Rule 13 is saved: 4 deployments are shop's now."),
            (taken(0, 1), 0, "Rule 13 is saved: 1 deployment is shop's now."),
            (
                taken(2, 1),
                3,
                "Rule 13 is saved: 2 kinds of charge, 1 deployment and 3 operational events are shop's now.",
            ),
            (
                taken(0, 0),
                0,
                "Rule 13 is saved. It takes nothing now: nothing matches it, or rules before it and pins decide.",
            ),
        ] {
            assert_eq!(sentence(13, &taken, event_count, &shop), expected);
        }
        let targets = ["service shop".to_owned(), "environment production".to_owned()];
        assert_eq!(
            sentence(2, &taken(1, 0), 0, &Whose::Targets(&targets)),
            "Rule 2 is saved: it takes 1 kind of charge (service shop, environment production)."
        );
    }
}
