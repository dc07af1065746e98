//! How a source is set up, and what is wrong with a set-up.

use super::kind::{Kind, LateBills, Layout, Restatement};
use super::place::Place;
use super::schedule::Schedule;

/// A year.
const EXPECTED_HOURS_MAX: i32 = 366 * 24;

/// Everything about a source but its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name, which receipts and the push API use. It stays.
    pub name: String,
    /// Where files come from.
    pub kind: Kind,
    /// How they lie there.
    pub layout: Layout,
    /// What one does to those before it.
    pub restatement: Restatement,
    /// What they are, where their columns do not show it: as `--format` names it.
    pub format: Option<String>,
    /// The place.
    pub place: Place,
    /// When it is looked at.
    pub schedule: Option<Schedule>,
    /// How often something new is expected.
    pub expected_every_hours: Option<i32>,
    /// What happens to one that changes a closed month.
    pub late_bills: LateBills,
}

impl Setting {
    /// What is wrong, in a sentence. Not of the name: who adds it asks about that.
    pub fn fault(&self) -> Option<String> {
        if !self.layout.restatements().contains(&self.restatement) {
            let labels: Vec<&str> = self.layout.restatements().iter().map(|rule| rule.key()).collect();
            return Some(format!("With the layout {} the rule is {}.", self.layout, labels.join(" or ")));
        }
        if !self.kind.is_read() && self.layout != Layout::Files {
            return Some("What is handed in has the layout files.".into());
        }
        if !self.kind.is_read() && self.schedule.is_some() {
            return Some("What is handed in is not read at a time: leave the schedule empty.".into());
        }
        if self.expected_every_hours.is_some_and(|hours| !(1..=EXPECTED_HOURS_MAX).contains(&hours)) {
            return Some(format!("Something new is expected every 1 to {EXPECTED_HOURS_MAX} hours."));
        }
        self.place.fault(self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_set_up_must_fit() {
        let good = Setting {
            name: "aws-main".into(),
            kind: Kind::Directory,
            layout: Layout::AwsCur,
            restatement: Restatement::ReplaceByManifest,
            format: None,
            place: Place { prefix: "/srv/bills".into(), ..Place::default() },
            schedule: "every 1 hour".parse().ok(),
            expected_every_hours: Some(24),
            late_bills: LateBills::Hold,
        };
        assert_eq!(good.fault(), None);
        for wrong in [
            Setting { restatement: Restatement::Overwrite, ..good.clone() },
            Setting { kind: Kind::Push, ..good.clone() },
            Setting { expected_every_hours: Some(0), ..good.clone() },
            Setting { kind: Kind::Push, layout: Layout::Files, restatement: Restatement::Overwrite, ..good.clone() },
        ] {
            assert!(wrong.fault().is_some(), "{wrong:?}");
        }
    }
}
