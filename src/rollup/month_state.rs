//! How far the bills of a month have come. Pure.

use crate::focus::BillingPeriod;
use crate::store::month_closing::Closing;
use crate::store::statement_ties::{BilledIn, MonthReach};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// More sources than this are a number.
const NAME_COUNT_MAX: usize = 4;

/// How far the bills of a month have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MonthState {
    /// The month has not ended. The bills of each of these sources reach this day, those that reach farthest first.
    Running(Vec<(String, NaiveDate)>),
    /// The month is over, and these sources have not billed all of it.
    Arriving(Vec<String>),
    /// The month is over, and no source has billed any of it. These have billed one before it, each with the last one, the
    /// newest first.
    Unbilled(Vec<(String, BillingPeriod)>),
    /// Every source that is waited for has billed the whole month.
    BillsIn {
        /// Those that billed it.
        billed: Vec<String>,
        /// How many others billed neither it nor the month before.
        other_count: usize,
    },
    /// Finance closed it on this day: figures and rates stay.
    Closed(NaiveDate),
}

/// How far the bills of a month have come in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrencyReach {
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The state in it.
    pub state: MonthState,
    /// The last day that all bills in it hold in full; `None` where there is none yet.
    pub complete_to: Option<NaiveDate>,
}

impl CurrencyReach {
    /// Whether some have come further than others.
    pub fn differ(all: &[Self]) -> bool {
        all.windows(2).any(|two| matches!(two, [one, other] if one.complete_to != other.complete_to))
    }
}

// Whether a source bills in a currency. A bill without a line is in every currency that its source has in these months.
fn is_in(row: &MonthReach, billed_in: &[BilledIn], currency: &str) -> bool {
    let name = row.source_name.as_str();
    let of_source = || billed_in.iter().filter(move |one| one.source_name == name);
    let has_lines = of_source().any(|one| one.month == row.month);
    of_source().any(|one| one.billing_currency == currency && (one.month == row.month || !has_lines))
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
            let mut reached: Vec<(String, NaiveDate)> =
                of_month(month).map(|row| (row.source_name.clone(), row.complete_to)).collect();
            reached.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
            return Self::Running(reached);
        }
        // Without a bill there is none to be complete: whoever billed before has stopped, or is late with all of it.
        if of_month(month).next().is_none() {
            return Self::Unbilled(last_billed(month, reach));
        }
        let mut missing: Vec<String> =
            of_month(month).filter(|row| row.complete_to < last_day).map(|row| row.source_name.clone()).collect();
        let has_billed = |name: &str| of_month(month).any(|row| row.source_name == name);
        missing.extend(
            of_month(month.previous()).filter(|row| !has_billed(&row.source_name)).map(|row| row.source_name.clone()),
        );
        missing.sort();
        if !missing.is_empty() {
            return Self::Arriving(missing);
        }
        let all: BTreeSet<&str> = reach.iter().map(|row| row.source_name.as_str()).collect();
        let billed: Vec<String> = of_month(month).map(|row| row.source_name.clone()).collect();
        Self::BillsIn { other_count: all.len().saturating_sub(billed.len()), billed }
    }

    /// The state of a month in one currency: how far the sources have come that bill in it.
    pub fn in_currency(
        month: BillingPeriod,
        (reach, billed_in): (&[MonthReach], &[BilledIn]),
        currency: &str,
        closing: Option<&Closing>,
        today: NaiveDate,
    ) -> Self {
        let reach: Vec<MonthReach> = reach.iter().filter(|row| is_in(row, billed_in, currency)).cloned().collect();
        Self::of(month, &reach, closing, today)
    }

    /// The same of a month of this state in each currency, by name: in those that it is billed in, and while bills are to
    /// come in those of the month before too.
    pub fn by_currency(
        &self,
        month: BillingPeriod,
        (reach, billed_in): (&[MonthReach], &[BilledIn]),
        today: NaiveDate,
    ) -> Vec<CurrencyReach> {
        let (first, before) = (month.first_day(), month.previous().first_day());
        let recent: Vec<BilledIn> =
            billed_in.iter().filter(|one| one.month == first || one.month == before).cloned().collect();
        let is_told = |one: &&BilledIn| one.month == first || self.is_coming();
        let currencies: BTreeSet<&str> =
            recent.iter().filter(is_told).map(|one| one.billing_currency.as_str()).collect();
        let of = |currency: &str| CurrencyReach {
            billing_currency: currency.to_owned(),
            state: match self.is_coming() {
                true => Self::in_currency(month, (reach, &recent), currency, None, today),
                false => self.clone(),
            },
            complete_to: reach
                .iter()
                .filter(|row| row.month == first && is_in(row, &recent, currency))
                .map(|row| row.complete_to)
                .min(),
        };
        currencies.into_iter().map(of).collect()
    }

    /// The word of the API.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Running(_) => "open",
            Self::Arriving(_) | Self::Unbilled(_) => "bills-missing",
            Self::BillsIn { .. } => "bills-in",
            Self::Closed(_) => "closed",
        }
    }

    /// One or two words.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Running(_) => "Open",
            Self::Arriving(_) => "Bills missing",
            Self::Unbilled(_) => "No bill",
            Self::BillsIn { .. } => "Bills in",
            Self::Closed(_) => "Closed",
        }
    }

    /// The whole sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Running(reached) => running(reached),
            Self::Arriving(names) => {
                format!("The bills of {} do not reach the end of the month.", listed(names))
            }
            Self::Unbilled(sources) => {
                let one = |(name, last): &(String, BillingPeriod)| format!("{name} for {}", last.label());
                let before = match sources.as_slice() {
                    [] => String::new(),
                    sources => {
                        let named: Vec<String> = sources.iter().map(one).collect();
                        format!(" The last bills before it are those of {}.", listed(&named))
                    }
                };
                format!("No source has billed this month.{before}")
            }
            Self::BillsIn { other_count: 0, .. } => "Every source has billed the whole month.".into(),
            Self::BillsIn { billed, other_count } => {
                let have = if billed.len() == 1 { "has" } else { "have" };
                let others = match other_count {
                    1 => "1 other source has no bill of it or of the month before, and is not waited for.".to_owned(),
                    count => {
                        format!(
                            "{count} other sources have no bill of it or of the month before, and are not waited for."
                        )
                    }
                };
                format!("{} {have} billed the whole month. {others}", listed(billed))
            }
            Self::Closed(day) => {
                format!("Finance closed the month on {}: its figures and rates do not change.", day.format("%-d %b %Y"))
            }
        }
    }

    /// The whole sentence, with a day for each currency where some have come further than others.
    pub fn sentence_of(&self, currencies: &[CurrencyReach]) -> String {
        if !matches!(self, Self::Running(reached) if !reached.is_empty()) || !CurrencyReach::differ(currencies) {
            return self.sentence();
        }
        let told = currencies.iter().map(|one| match one.complete_to {
            Some(day) => format!("{} in {}", day.format("%-d %b %Y"), one.billing_currency),
            None => format!("no day in {}", one.billing_currency),
        });
        format!("The month is open: bills reach {}.", told.collect::<Vec<_>>().join(", "))
    }

    /// Whether bills are still waited for.
    pub fn is_coming(&self) -> bool {
        matches!(self, Self::Running(_) | Self::Arriving(_))
    }

    /// Whether figures can still rise because days are missing.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::BillsIn { .. } | Self::Closed(_))
    }

    /// Whether nothing at all is billed.
    pub fn has_no_bill(&self) -> bool {
        match self {
            Self::Running(reached) => reached.is_empty(),
            Self::Unbilled(_) => true,
            Self::Arriving(_) | Self::BillsIn { .. } | Self::Closed(_) => false,
        }
    }

    /// " yet" where the bills are sure to come.
    pub fn yet(&self) -> &'static str {
        if self.is_coming() { " yet" } else { "" }
    }
}

// One source that is behind must not look as if all were: each that is says its own day.
fn running(reached: &[(String, NaiveDate)]) -> String {
    let Some((_, farthest)) = reached.first() else { return "The month is open and has no bill yet.".into() };
    let day = |day: NaiveDate| day.format("%-d %b %Y");
    let behind: Vec<String> =
        reached.iter().filter(|(_, to)| to < farthest).map(|(name, to)| format!("{name} ({})", day(*to))).collect();
    let but = if behind.is_empty() { String::new() } else { format!(", but for those of {}", listed(&behind)) };
    format!("The month is open: bills reach {}{but}.", day(*farthest))
}

// The sources that have billed a month before this one.
fn last_billed(month: BillingPeriod, reach: &[MonthReach]) -> Vec<(String, BillingPeriod)> {
    let mut last: BTreeMap<&str, NaiveDate> = BTreeMap::new();
    for row in reach.iter().filter(|row| row.month < month.first_day()) {
        let newest = last.entry(row.source_name.as_str()).or_insert(row.month);
        *newest = row.month.max(*newest);
    }
    let mut sources: Vec<(String, BillingPeriod)> =
        last.into_iter().map(|(name, month)| (name.to_owned(), BillingPeriod::containing(month))).collect();
    sources.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    sources
}

// "aws, gcp and 3 more".
fn listed(names: &[String]) -> String {
    let (shown, more) = names.split_at(names.len().min(NAME_COUNT_MAX));
    let rest = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    format!("{}{rest}", shown.join(", "))
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
        assert_eq!(state("2026-09", "2026-11-03").sentence(), "Every source has billed the whole month.");
        assert_eq!(
            state("2026-10", "2026-10-30").sentence(),
            "The month is open: bills reach 31 Oct 2026, but for those of gcp (29 Oct 2026)."
        );
    }

    #[test]
    fn sources_that_are_not_waited_for_are_counted_where_bills_are_in() {
        let mut rows = vec![reach("2026-10-01", "aws", "2026-10-31"), reach("2026-05-01", "gcp", "2026-05-31")];
        let said = |rows: &[MonthReach]| {
            let state = MonthState::of("2026-10".parse().unwrap(), rows, None, "2026-11-03".parse().unwrap());
            (state.key(), state.sentence())
        };
        let one = "aws has billed the whole month. 1 other source has no bill of it or of the month before, and is not \
                   waited for.";
        assert_eq!(said(&rows), ("bills-in", one.to_owned()));
        rows.push(reach("2026-11-01", "edge", "2026-11-02"));
        rows.push(reach("2026-10-01", "tools", "2026-10-31"));
        assert!(said(&rows).1.starts_with("aws, tools have billed the whole month. 2 other sources have no bill"));
    }

    #[test]
    fn bills_of_a_currency_reach_as_far_as_those_of_the_sources_that_have_it() {
        let rows = [
            reach("2026-11-01", "aws", "2026-11-27"),
            reach("2026-11-01", "edge", "2026-11-24"),
            reach("2026-11-01", "tools", "2026-11-26"),
            reach("2026-10-01", "edge", "2026-10-31"),
            reach("2026-10-01", "tools", "2026-10-31"),
        ];
        let billed = |month: &str, source: &str, currency: &str| BilledIn {
            month: month.parse().unwrap(),
            source_name: source.into(),
            billing_currency: currency.into(),
        };
        let billed_in = [
            billed("2026-11-01", "aws", "USD"),
            billed("2026-11-01", "edge", "EUR"),
            // Its bill of November has no line.
            billed("2026-10-01", "tools", "GBP"),
            // It was billed in dollars before.
            billed("2026-10-01", "edge", "USD"),
        ];
        let state = |currency: &str| {
            let (month, today) = ("2026-11".parse().unwrap(), "2026-11-28".parse().unwrap());
            MonthState::in_currency(month, (&rows, &billed_in), currency, None, today)
        };
        let to = |source: &str, day: &str| MonthState::Running(vec![(source.into(), day.parse().unwrap())]);
        assert_eq!(state("USD"), to("aws", "2026-11-27"));
        assert_eq!(state("EUR"), to("edge", "2026-11-24"));
        assert_eq!(state("GBP"), to("tools", "2026-11-26"));
        assert_eq!(state("JPY"), MonthState::Running(Vec::new()));
        // Of all of them, two are behind, and the others are not.
        let by_source = MonthState::of("2026-11".parse().unwrap(), &rows, None, "2026-11-28".parse().unwrap());
        let said =
            "The month is open: bills reach 27 Nov 2026, but for those of tools (26 Nov 2026), edge (24 Nov 2026).";
        assert_eq!((by_source.sentence().as_str(), by_source.has_no_bill()), (said, false));
        assert_eq!(state("USD").sentence(), "The month is open: bills reach 27 Nov 2026.");
        assert!(state("JPY").has_no_bill());
        let (month, today) = ("2026-11".parse().unwrap(), "2026-11-28".parse().unwrap());
        let whole = MonthState::of(month, &rows, None, today);
        let all = whole.by_currency(month, (&rows, &billed_in), today);
        let told: Vec<(&str, &MonthState)> =
            all.iter().map(|one| (one.billing_currency.as_str(), &one.state)).collect();
        assert_eq!(told, [("EUR", &state("EUR")), ("GBP", &state("GBP")), ("USD", &state("USD"))]);
        assert_eq!(
            whole.sentence_of(&all),
            "The month is open: bills reach 24 Nov 2026 in EUR, 26 Nov 2026 in GBP, 27 Nov 2026 in USD."
        );
        assert_eq!(whole.sentence_of(&all[..1]), whole.sentence(), "one currency is told by its sources");
        // A closed month is closed in those that it is billed in.
        let closed = MonthState::Closed(today).by_currency(month, (&rows, &billed_in), today);
        let names: Vec<&str> = closed.iter().map(|one| one.billing_currency.as_str()).collect();
        assert_eq!((names, &closed[0].state), (vec!["EUR", "USD"], &MonthState::Closed(today)));
    }

    #[test]
    fn a_month_that_no_source_billed_says_so_and_names_who_billed_before() {
        let rows = [
            reach("2026-11-01", "aws", "2026-11-15"),
            reach("2026-08-01", "aws", "2026-08-31"),
            reach("2026-07-01", "aws", "2026-07-31"),
            reach("2026-06-01", "gcp", "2026-06-30"),
            reach("2026-08-01", "datadog", "2026-08-31"),
        ];
        let state = |month: &str| {
            MonthState::of(month.parse().unwrap(), &rows, None, "2026-11-20".parse::<NaiveDate>().unwrap())
        };
        // Nobody billed the month before either: no source is waited for, and none has billed the whole month.
        let october = state("2026-10");
        assert_eq!((october.key(), october.word(), october.is_open()), ("bills-missing", "No bill", true));
        assert_eq!(
            october.sentence(),
            "No source has billed this month. The last bills before it are those of aws for August 2026, datadog for \
             August 2026, gcp for June 2026."
        );
        assert_eq!(state("2026-09").sentence(), october.sentence());
        assert_eq!(state("2026-05").sentence(), "No source has billed this month.");
        assert_eq!(state("2026-11").sentence(), "The month is open: bills reach 15 Nov 2026.");
        let many: Vec<MonthReach> =
            ["a", "b", "c", "d", "e", "f"].map(|name| reach("2026-08-01", name, "2026-08-31")).into();
        let sentence =
            MonthState::of("2026-10".parse().unwrap(), &many, None, "2026-11-20".parse().unwrap()).sentence();
        assert!(sentence.ends_with("c for August 2026, d for August 2026 and 2 more."), "{sentence}");
    }
}
