//! The days of a key, cut wherever its owner changes: now, or as it would be.

use crate::allocate::{self, Assignment, DatedAssignment};
use crate::focus::DateRange;
use crate::rollup::mapped_keys::KeyMapping;
use chrono::NaiveDate;
use std::collections::BTreeSet;

/// Some days of a key on which it has one owner now and one as it would be.
pub(super) struct Segment<'a> {
    pub days: DateRange,
    /// None where the key was never mapped.
    pub now: Option<&'a KeyMapping>,
    pub then: &'a Assignment,
}

/// The segments of each of the answers, all cut on the same days.
pub(super) fn segments<'a>(stored: &'a [KeyMapping], answers: &'a [Vec<DatedAssignment>]) -> Vec<Vec<Segment<'a>>> {
    let starts = stored.iter().map(|one| one.days.start());
    let then = answers.iter().flatten().map(|one| one.days.start());
    let starts: BTreeSet<NaiveDate> = starts.chain(then).chain([allocate::FIRST_DAY]).collect();
    let ends = starts.iter().skip(1).copied().chain([allocate::END_DAY]);
    let cuts: Vec<DateRange> = starts.iter().zip(ends).filter_map(|(start, end)| DateRange::new(*start, end)).collect();
    answers.iter().map(|answers| cut(&cuts, stored, answers)).collect()
}

fn cut<'a>(cuts: &[DateRange], stored: &'a [KeyMapping], answers: &'a [DatedAssignment]) -> Vec<Segment<'a>> {
    let holds = |days: DateRange, day: NaiveDate| days.start() <= day && day < days.end();
    let segment = |days: &DateRange| {
        let now = stored.iter().find(|one| holds(one.days, days.start()));
        let then = &answers.iter().find(|one| holds(one.days, days.start()))?.assignment;
        Some(Segment { days: *days, now, then })
    };
    cuts.iter().filter_map(segment).collect()
}
