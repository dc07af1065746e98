//! A history as the answer about one release looks at it.

use super::History;
use chrono::NaiveDate;

/// A history, but for the figures of the days on which a release was on its way: part of their cost is of what was there
/// before, part of the release, and nobody knows which. Borrowed: only these days differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) history: &'a History,
    /// The first and the last place of days that are left out; before the history they are negative.
    left_out: Option<(i64, i64)>,
}

impl<'a> Seen<'a> {
    /// By the answer about what was released on a day.
    pub(super) fn of(history: &'a History, day: NaiveDate) -> Self {
        let began = history.began(day);
        let place = |day: NaiveDate| (day - history.first_day).num_days();
        Self { history, left_out: (began < day).then(|| (place(began), place(day))) }
    }

    /// With all of its days.
    pub(super) fn whole(history: &'a History) -> Self {
        Self { history, left_out: None }
    }

    /// What an entry cost. `None` where there is no figure, none that counts, or no such entry.
    pub(super) fn cost(&self, index: usize) -> Option<f64> {
        let is_left_out = self.left_out.is_some_and(|(first, last)| (first..=last).contains(&(index as i64)));
        self.history.cost.get(index).copied().flatten().filter(|_| !is_left_out)
    }

    /// How many days with a figure lie before a day, and how many complete ones after it.
    pub(super) fn complete_days_around(&self, day: NaiveDate) -> (u32, u32) {
        let (mut before, mut after) = (0, 0);
        for index in 0..self.history.cost.len() {
            let at = self.history.day_at(index);
            if self.cost(index).is_none() || at > self.history.complete_to || at == day {
                continue;
            }
            *(if at < day { &mut before } else { &mut after }) += 1;
        }
        (before, after)
    }
}
