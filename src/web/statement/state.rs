//! How far the bills of a month have come. Pure.

use crate::focus::BillingPeriod;
use crate::store::month_closing::Closing;
use crate::store::statement_ties::MonthReach;
use chrono::NaiveDate;

/// How far the bills of a month have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MonthState {
    /// The month has not ended. Bills of all its sources reach this day.
    Running(Option<NaiveDate>),
    /// The month is over, and these sources have not billed all of it.
    Arriving(Vec<String>),
    /// Every source has billed the whole month.
    BillsIn,
    /// Finance closed it on this day: figures and rates stay.
    Closed(NaiveDate),
}

impl MonthState {
    /// The state of a month. A source is waited for where it billed the month or the one before.
    pub fn of(month: BillingPeriod, reach: &[MonthReach], closing: Option<&Closing>, today: NaiveDate) -> Self {
        if let Some(closing) = closing {
            return Self::Closed(closing.closed_at.date_naive());
        }
        let of_month = |month: BillingPeriod| reach.iter().filter(move |row| row.month == month.first_day());
        let last_day = month.days().last_day();
        if today <= last_day {
            return Self::Running(of_month(month).map(|row| row.complete_to).min());
        }
        let mut missing: Vec<String> =
            of_month(month).filter(|row| row.complete_to < last_day).map(|row| row.source_name.clone()).collect();
        let has_billed = |name: &str| of_month(month).any(|row| row.source_name == name);
        missing.extend(
            of_month(month.previous()).filter(|row| !has_billed(&row.source_name)).map(|row| row.source_name.clone()),
        );
        missing.sort();
        if missing.is_empty() { Self::BillsIn } else { Self::Arriving(missing) }
    }

    /// The word of the API.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Running(_) => "open",
            Self::Arriving(_) => "bills-missing",
            Self::BillsIn => "bills-in",
            Self::Closed(_) => "closed",
        }
    }

    /// One or two words.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Running(_) => "Open",
            Self::Arriving(_) => "Bills missing",
            Self::BillsIn => "Bills in",
            Self::Closed(_) => "Closed",
        }
    }

    /// The whole sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Running(Some(day)) => format!("The month is open: bills reach {}.", day.format("%-d %b %Y")),
            Self::Running(None) => "The month is open and has no bill yet.".into(),
            Self::Arriving(names) => {
                let (shown, more) = names.split_at(names.len().min(4));
                let rest = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
                format!("The bills of {}{rest} do not reach the end of the month.", shown.join(", "))
            }
            Self::BillsIn => "Every source has billed the whole month.".into(),
            Self::Closed(day) => {
                format!("Finance closed the month on {}: its figures and rates do not change.", day.format("%-d %b %Y"))
            }
        }
    }

    /// Whether figures can still rise because days are missing.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::BillsIn | Self::Closed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(month: &str, source: &str, day: &str) -> MonthReach {
        MonthReach { month: month.parse().unwrap(), source_name: source.into(), complete_to: day.parse().unwrap() }
    }

    #[test]
    fn a_source_that_billed_the_month_before_is_waited_for() {
        let rows = [
            reach("2026-10-01", "aws", "2026-10-31"),
            reach("2026-10-01", "gcp", "2026-10-29"),
            reach("2026-09-01", "aws", "2026-09-30"),
            reach("2026-09-01", "gcp", "2026-09-30"),
            reach("2026-09-01", "datadog", "2026-09-30"),
        ];
        let state =
            |month: &str, today: &str| MonthState::of(month.parse().unwrap(), &rows, None, today.parse().unwrap());
        assert_eq!(state("2026-10", "2026-11-03"), MonthState::Arriving(vec!["datadog".into(), "gcp".into()]));
        assert_eq!(state("2026-09", "2026-11-03"), MonthState::BillsIn);
        assert_eq!(state("2026-10", "2026-10-30"), MonthState::Running("2026-10-29".parse().ok()));
    }
}
