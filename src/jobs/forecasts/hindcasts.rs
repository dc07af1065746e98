//! Months of which nobody was told a forecast while they ran, asked about afterwards to know how far the method is off: such
//! as those of an installation that took in a year of bills. They are asked about anew when the bills of the days change
//! that they rest on: bills of one month come from several sources, and some of them later.

use super::questions::{Asked, Horizon, Series};
use super::{READ_DAYS, answers};
use crate::background;
use crate::focus::DateRange;
use crate::store::forecast_series;
use crate::store::forecasts::{self, Hindcast, Level, NewForecast};
use crate::store::freshness::Freshness;
use anyhow::Context;
use chrono::{Days, NaiveDate};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::sync::Arc;

/// So many months back from the one that is asked about now.
const MONTH_COUNT: usize = 3;
/// The day of such a month up to which its bills are looked at.
const DAY: u64 = 14;

/// What is to be done about months that are over.
#[derive(Debug, Default)]
pub(super) struct Hindcasts {
    /// Those to ask about, each with the bills that it rests on.
    pub asked: Vec<(Asked, String)>,
    /// Those of which what was said rests on other bills than there are now.
    pub outdated: Vec<NaiveDate>,
}

impl Hindcasts {
    pub async fn read(conn: &mut PgConnection, complete_to: NaiveDate) -> sqlx::Result<Self> {
        let told_months = forecasts::told_months(&mut *conn).await?;
        let kept = forecasts::hindcasts(&mut *conn).await?;
        let mut found = Self::default();
        let months: Vec<Asked> = months(complete_to, &told_months, &kept).into_iter().map(asked).collect();
        let looked_at: Vec<DateRange> = months.iter().map(looked_at).collect();
        let bills = forecast_series::rests_on(conn, &looked_at).await?;
        for (asked, rests_on) in months.into_iter().zip(bills) {
            let first_day = asked.first_day;
            let mut said = kept.iter().filter(|one| one.first_day == first_day).peekable();
            let is_said = said.peek().is_some();
            if is_said && said.all(|one| Some(&one.rests_on) == rests_on.as_ref()) {
                continue;
            }
            if is_said {
                found.outdated.push(first_day);
            }
            let is_over = asked.last_day <= complete_to;
            if let Some(rests_on) = rests_on.filter(|_| is_over && !told_months.contains(&first_day)) {
                found.asked.push((asked, rests_on));
            }
        }
        Ok(found)
    }

    /// The months to ask about, by their first days.
    pub fn first_days(&self) -> Vec<NaiveDate> {
        self.asked.iter().map(|(asked, _)| asked.first_day).collect()
    }

    /// The months to ask about.
    pub fn periods(&self) -> impl Iterator<Item = DateRange> + '_ {
        self.asked.iter().filter_map(|(asked, _)| DateRange::new(asked.first_day, asked.last_day + Days::new(1)))
    }

    /// Answers them, each from the bills of its days and those before.
    pub async fn answers(
        &self,
        conn: &mut PgConnection,
        bills: &Freshness,
        levels: &Arc<Vec<Level>>,
    ) -> anyhow::Result<Vec<NewForecast>> {
        let mut all = Vec::new();
        for (asked, rests_on) in self.asked.clone() {
            let (known, last) = (bills.known.clone(), asked.complete_to);
            let mut series = Series::read(&mut *conn, known, last, last, READ_DAYS).await?;
            if let Some(days) = asked.known_days() {
                series.know(&forecast_series::known(&mut *conn, days).await?);
            }
            let (levels, publication_id) = (levels.clone(), bills.publication_id);
            let work = move || answers(&series, &asked, &levels, publication_id);
            let answers = background::spawn(work).await.context("forecasts of a month that is over")?;
            all.extend(answers.into_iter().map(|one| NewForecast { rests_on: rests_on.clone(), ..one }));
        }
        Ok(all)
    }

    /// Takes what does not hold any more out of what is written, and out of what was learnt. What months teach is learnt in
    /// their order, so that all after the first of them are learnt from anew.
    pub async fn make_room(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        forecasts::delete_hindcasts(&mut *conn, &self.outdated).await?;
        let changed = self.outdated.iter().copied().chain(self.first_days());
        match changed.min() {
            Some(first_day) => forecasts::unlearn_months(conn, first_day).await,
            None => Ok(()),
        }
    }
}

fn asked(first_day: NaiveDate) -> Asked {
    Asked { is_hindcast: true, ..Asked::now(Horizon::Month, first_day + Days::new(DAY)) }
}

// All days whose bills an answer is made from.
fn looked_at(asked: &Asked) -> DateRange {
    let end = asked.complete_to + Days::new(1);
    DateRange::new(asked.complete_to - Days::new(READ_DAYS), end).unwrap_or_else(|| DateRange::days_to(end, 1))
}

// The last months that nobody was told of in time, and all others that something was said of afterwards. The newest first.
fn months(complete_to: NaiveDate, told_months: &[NaiveDate], kept: &[Hindcast]) -> Vec<NaiveDate> {
    // From the month that is asked about now: on the last day of a month that is the next one, and the month itself is over.
    let asked_now = Horizon::Month.first_day(complete_to + Days::new(1));
    let back = std::iter::successors(Some(asked_now), |first| Some(Horizon::Month.first_day(*first - Days::new(1))));
    let last = back.skip(1).take(MONTH_COUNT).filter(|first| !told_months.contains(first));
    let all: BTreeSet<NaiveDate> = last.chain(kept.iter().map(|one| one.first_day)).collect();
    all.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_whose_last_day_is_the_last_complete_one_is_asked_about_afterwards_too() {
        let months = |complete_to: &str, told: &[NaiveDate]| -> Vec<String> {
            months(day(complete_to), told, &[]).iter().map(|first| first.format("%Y-%m").to_string()).collect()
        };
        assert_eq!(months("2026-07-30", &[]), ["2026-06", "2026-05", "2026-04"]);
        assert_eq!(months("2026-07-31", &[]), ["2026-07", "2026-06", "2026-05"]);
        assert_eq!(months("2026-07-31", &[day("2026-07-01")]), ["2026-06", "2026-05"]);
        assert_eq!(months("2026-01-31", &[]), ["2026-01", "2025-12", "2025-11"]);
    }

    #[test]
    fn what_was_said_of_older_months_is_looked_at_too() {
        let said = |first: &str| Hindcast { first_day: day(first), rests_on: "bills".into() };
        let kept = [said("2025-11-01"), said("2026-06-01")];
        let first_days = ["2026-06-01", "2026-05-01", "2026-04-01", "2025-11-01"].map(day);
        assert_eq!(months(day("2026-07-30"), &[], &kept), first_days);
    }
}
