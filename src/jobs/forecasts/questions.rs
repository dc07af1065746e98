//! From rows to questions: which days are asked, what each scope is made of, what fees the calendar brings.

#![expect(clippy::float_arithmetic, reason = "estimates, not amounts of a bill")]

mod bills;
mod fees;
mod late;
mod releases;

use crate::analyze::forecast::{Part, Question};
use crate::focus::DateRange;
use crate::jobs::effects::histories::{filled, index};
use crate::store::anomaly_watch;
use crate::store::forecast_record::{self, Score};
use crate::store::forecast_series::{self, BilledUsage, ClaimedChange, KnownCost, ServiceDayFigure};
use crate::store::known_days::KnownDays;
use bigdecimal::BigDecimal;
use chrono::{Datelike, Days, Months, NaiveDate};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Horizon {
    Month,
    Quarter,
    Year,
}

impl Horizon {
    pub const ALL: [Self; 3] = [Self::Month, Self::Quarter, Self::Year];

    pub fn key(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    fn months(self) -> u32 {
        match self {
            Self::Month => 1,
            Self::Quarter => 3,
            Self::Year => 12,
        }
    }

    /// The first day of the period that a day lies in.
    pub fn first_day(self, day: NaiveDate) -> NaiveDate {
        let month = day.month0() / self.months() * self.months();
        NaiveDate::from_ymd_opt(day.year(), month + 1, 1).unwrap_or(day)
    }
}

/// A question's days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub horizon: Horizon,
    pub first_day: NaiveDate,
    pub last_day: NaiveDate,
    pub complete_to: NaiveDate,
    pub is_hindcast: bool,
}

impl Asked {
    /// The period that the day after the last complete one lies in: on the last day of a month the next one is asked.
    pub fn now(horizon: Horizon, complete_to: NaiveDate) -> Self {
        let first_day = horizon.first_day(complete_to + Days::new(1));
        let last_day = first_day + Months::new(horizon.months()) - Days::new(1);
        Self { horizon, first_day, last_day, complete_to, is_hindcast: false }
    }

    /// The complete days asked.
    pub fn known_days(&self) -> Option<DateRange> {
        DateRange::new(self.first_day, self.complete_to + Days::new(1))
    }
}

/// Whose forecast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    pub scope: &'static str,
    pub scope_id: i64,
    pub billing_currency: String,
    /// The services that it is made of.
    services: Vec<i64>,
}

type Key = (i64, String);

/// What charges of one category that is no usage cost on a day.
struct OtherDay {
    charge_date: NaiveDate,
    charge_category: String,
    cost: f64,
}

/// Daily cost of all services.
pub(super) struct Series {
    range: DateRange,
    usage: BTreeMap<Key, Vec<Option<f64>>>,
    other: HashMap<Key, Vec<OtherDay>>,
    known: HashMap<Key, BigDecimal>,
    known_days: Arc<KnownDays>,
    /// Usage as bills show it, of services of which a late one makes a part.
    shown: HashMap<Key, Vec<Option<f64>>>,
    teams: HashMap<i64, i64>,
    /// The highest id of a service: one that is made later has a higher one.
    pub newest_service_id: i64,
    changes: Vec<ClaimedChange>,
    record: Vec<Score>,
    /// What is known of a day by the source of a bill and the days from the day to the bill.
    visible_shares: HashMap<(i64, i64), f64>,
    /// Whose bills make the usage of a service.
    billed: HashMap<Key, Vec<BilledUsage>>,
}

impl Series {
    pub async fn read(
        conn: &mut PgConnection,
        known_days: Arc<KnownDays>,
        complete_to: NaiveDate,
        last: NaiveDate,
        days_back: u64,
    ) -> sqlx::Result<Self> {
        let start = complete_to - Days::new(days_back);
        let range = DateRange::new(start, last + Days::new(1)).unwrap_or_else(|| DateRange::days_to(last, 1));
        let mut series = Self {
            range,
            usage: BTreeMap::new(),
            other: HashMap::new(),
            known: HashMap::new(),
            known_days,
            shown: HashMap::new(),
            teams: anomaly_watch::teams(&mut *conn).await?,
            newest_service_id: forecast_series::newest_service_id(&mut *conn).await?,
            changes: forecast_series::claimed_changes(&mut *conn, start).await?,
            record: forecast_record::scores(&mut *conn).await?,
            visible_shares: HashMap::new(),
            billed: HashMap::new(),
        };
        if last > complete_to {
            series.read_arrival(&mut *conn, complete_to).await?;
        }
        let length = range.day_count() as usize;
        for day in forecast_series::days(conn, range).await? {
            let key = (day.service_id, day.billing_currency.clone());
            let Some(place) = index(range, day.charge_date) else { continue };
            let is_usage = day.charge_category == "Usage";
            let usage = &mut series.usage.entry(key.clone()).or_insert_with(|| vec![None; length])[place];
            *usage = Some(usage.unwrap_or_default() + if is_usage { day.cost } else { 0.0 });
            if !is_usage {
                let ServiceDayFigure { charge_date, charge_category, cost, .. } = day;
                series.other.entry(key).or_default().push(OtherDay { charge_date, charge_category, cost });
            }
        }
        for (key, days) in &mut series.usage {
            let (service_id, currency) = key;
            *days = filled(std::mem::take(days));
            if series.known_days.missing_since(*service_id, currency).is_some() {
                series.shown.insert(key.clone(), days.clone());
            }
            series.known_days.blank(*service_id, currency, range.start(), days);
        }
        Ok(series)
    }

    /// What is known of the days asked next.
    pub fn know(&mut self, known: &[KnownCost]) {
        self.known =
            known.iter().map(|one| ((one.service_id, one.billing_currency.clone()), one.cost.clone())).collect();
    }

    /// The exact cost of the complete days asked.
    pub fn known(&self, subject: &Subject) -> BigDecimal {
        self.keys(subject).filter_map(|key| self.known.get(&key)).sum()
    }

    /// Every scope of a kind that has cost, a currency each.
    pub fn subjects(&self, scope: &'static str) -> Vec<Subject> {
        let mut subjects: BTreeMap<Key, Vec<i64>> = BTreeMap::new();
        for (service_id, currency) in self.usage.keys() {
            let scope_id = match scope {
                "total" => Some(0),
                // What no team or service has is not allocated: it has a forecast of its own, to be held against all cost.
                "team" if self.teams.is_empty() => None,
                "team" => Some(self.teams.get(service_id).copied().unwrap_or_default()),
                _ => Some(*service_id),
            };
            if let Some(scope_id) = scope_id {
                subjects.entry((scope_id, currency.clone())).or_default().push(*service_id);
            }
        }
        subjects
            .into_iter()
            .map(|((scope_id, billing_currency), services)| Subject { scope, scope_id, billing_currency, services })
            .collect()
    }

    /// The services that a team has, with and without cost: what comes is told of them. Those that no team has may not be
    /// in the catalogue, and are those with cost.
    pub fn owned(&self, subject: &Subject) -> Vec<i64> {
        if subject.scope != "team" {
            return Vec::new();
        }
        let of_team = self.teams.iter().filter(|(_, team_id)| **team_id == subject.scope_id).map(|(id, _)| *id);
        let with_cost = self.usage.keys().map(|(id, _)| *id).filter(|id| !self.teams.contains_key(id));
        let unallocated = with_cost.filter(|_| subject.scope_id == 0);
        of_team.chain(unallocated).collect::<BTreeSet<i64>>().into_iter().collect()
    }

    fn keys<'a>(&'a self, subject: &'a Subject) -> impl Iterator<Item = Key> + 'a {
        subject.services.iter().map(|id| (*id, subject.billing_currency.clone()))
    }

    /// Whether it cost nothing in the four weeks before the question.
    pub fn is_over(&self, subject: &Subject, asked: &Asked) -> bool {
        let end = self.place(asked.complete_to) + 1;
        self.keys(subject).all(|key| {
            let days = &self.usage[&key];
            let last = &days[end.saturating_sub(28).min(days.len())..end.min(days.len())];
            // What is late is not over.
            self.late_from(&key, asked).is_none() && last.iter().flatten().all(|cost| *cost == 0.0)
        })
    }

    fn place(&self, day: NaiveDate) -> usize {
        usize::try_from((day - self.range.start()).num_days()).unwrap_or_default()
    }

    /// What is asked about a scope.
    pub fn question(&self, subject: &Subject, asked: &Asked) -> Question {
        let visible_shares = if asked.is_hindcast { Vec::new() } else { self.visible_shares(subject, asked) };
        let until = self.place(asked.complete_to) + 1 + visible_shares.len();
        let part = |key: Key| {
            let days = &self.usage[&key];
            Part {
                cost: days[..until.min(days.len())].to_vec(),
                restarts: self.restarts(&key, asked),
                late_from: self.late_from(&key, asked),
                shown: self.shown(&key, asked),
            }
        };
        Question {
            first_day: self.range.start(),
            parts: self.keys(subject).map(part).collect(),
            complete_to: asked.complete_to,
            visible_shares,
            from: asked.first_day,
            to: asked.last_day,
            fees: self.fees(subject, asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::releases::Measured;
    use super::*;
    use crate::focus::BillingPeriod;
    use crate::store::bill_gaps::Gap;

    pub(super) fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_period_after_the_last_complete_day_is_asked() {
        let asked = |horizon, complete_to| {
            let asked = Asked::now(horizon, day(complete_to));
            (asked.first_day, asked.last_day)
        };
        assert_eq!(asked(Horizon::Month, "2026-11-20"), (day("2026-11-01"), day("2026-11-30")));
        assert_eq!(asked(Horizon::Month, "2026-11-30"), (day("2026-12-01"), day("2026-12-31")));
        assert_eq!(asked(Horizon::Quarter, "2026-11-20"), (day("2026-10-01"), day("2026-12-31")));
        assert_eq!(asked(Horizon::Quarter, "2026-12-31"), (day("2027-01-01"), day("2027-03-31")));
        assert_eq!(asked(Horizon::Year, "2026-11-20"), (day("2026-01-01"), day("2026-12-31")));
        assert_eq!(Asked::now(Horizon::Month, day("2026-11-30")).known_days(), None);
    }

    const OTHER: [(&str, &str, f64); 8] = [
        ("2026-08-31", "Tax", 30.0),
        ("2026-09-30", "Tax", 60.0),
        ("2026-10-31", "Tax", 90.0),
        // A monthly fee, and one that came once.
        ("2026-09-25", "Purchase", 7.0),
        ("2026-10-25", "Purchase", 8.0),
        ("2026-08-25", "Purchase", 5000.0),
        // Goodwill.
        ("2026-10-28", "Credit", -30_000.0),
        ("2026-11-02", "Credit", -500.0),
    ];

    pub(super) fn series(first: &str) -> Series {
        let range = DateRange::new(day("2026-08-01"), day("2026-11-21")).unwrap();
        let key = (7, "USD".to_owned());
        let begins = index(range, day(first)).unwrap();
        let usage: Vec<Option<f64>> =
            (0..range.day_count() as usize).map(|place| (place >= begins).then_some(1.0)).collect();
        let known = OTHER.iter().filter(|(date, ..)| day(date) >= day(first));
        let other: Vec<OtherDay> = known
            .map(|(date, category, cost)| OtherDay {
                charge_date: day(date),
                charge_category: (*category).to_owned(),
                cost: *cost,
            })
            .collect();
        Series {
            range,
            usage: [(key.clone(), usage)].into(),
            other: [(key, other)].into(),
            known: HashMap::new(),
            known_days: Arc::default(),
            shown: HashMap::new(),
            teams: HashMap::new(),
            newest_service_id: 8,
            changes: Vec::new(),
            record: Vec::new(),
            visible_shares: HashMap::new(),
            billed: HashMap::new(),
        }
    }

    #[test]
    fn fees_come_by_the_calendar_and_what_came_once_does_not_come_again() {
        // The tax of the last day and the monthly fee of the 25th; of two months the lesser; of one month the tax.
        for (first, month) in [("2026-08-01", 60.0 + 8.0), ("2026-09-01", 60.0 + 7.0), ("2026-10-01", 90.0)] {
            let series = series(first);
            let subject = series.subjects("service").remove(0);
            let fees = |horizon, complete_to| series.fees(&subject, &Asked::now(horizon, day(complete_to)));
            assert!((fees(Horizon::Month, "2026-11-20") - month).abs() < 1e-9, "{first}");
            assert!((fees(Horizon::Quarter, "2026-11-20") - 2.0 * month).abs() < 1e-9, "{first}");
        }
        let series = series("2026-08-01");
        let subject = series.subjects("service").remove(0);
        let late = series.fees(&subject, &Asked::now(Horizon::Month, day("2026-11-27")));
        assert!((late - 60.0).abs() < 1e-9, "the fee has come: {late}");
    }

    #[test]
    fn fees_of_services_add_up() {
        let mut series = series("2026-08-01");
        let other = (8, "USD".to_owned());
        series.usage.insert(other.clone(), vec![Some(1.0); 112]);
        let credit = |date: &str| OtherDay { charge_date: day(date), charge_category: "Credit".into(), cost: -900.0 };
        series.other.insert(other, vec![credit("2026-09-26")]);
        let total = series.subjects("total").remove(0);
        let fees = series.fees(&total, &Asked::now(Horizon::Month, day("2026-11-20")));
        // Each of the two has one credit in another month: neither comes again.
        assert!((fees - 68.0).abs() < 1e-9, "{fees}");
    }

    #[test]
    fn the_level_starts_anew_at_what_has_settled_and_what_is_measured_is_told() {
        let mut series = series("2026-08-01");
        let change = |service_id, currency: &str, date: &str, is_accepted, per_day: i64| ClaimedChange {
            service_id,
            deployment_id: i64::from(day(date).ordinal()),
            billing_currency: currency.into(),
            effect_date: day(date),
            is_accepted,
            per_day: per_day.into(),
        };
        series.changes = vec![
            change(7, "USD", "2026-09-20", true, 20),
            // In another environment on the same day.
            change(7, "USD", "2026-09-20", true, -5),
            change(7, "EUR", "2026-09-21", true, 20),
            change(8, "USD", "2026-09-22", true, 20),
            change(7, "USD", "2026-11-06", true, 20),
            change(7, "USD", "2026-11-10", false, 30),
            change(7, "USD", "2026-11-12", false, 10),
            change(7, "USD", "2026-11-14", false, -4),
            change(7, "EUR", "2026-11-15", false, 1000),
            // Its fourteen days are there: it would have settled if it were asked about still.
            change(7, "USD", "2026-11-05", false, 500),
        ];
        let subject = series.subjects("service").remove(0);
        let restarts = |asked: &Asked| series.question(&subject, asked).parts[0].restarts.clone();
        let now = Asked::now(Horizon::Month, day("2026-11-20"));
        assert_eq!(restarts(&now), [day("2026-09-20"), day("2026-11-06")]);
        assert_eq!(series.restart_count(&subject, &now), 2);
        let later = Asked::now(Horizon::Month, day("2026-12-05"));
        assert_eq!(series.restart_count(&subject, &later), 1, "ten weeks back it matters no more");
        let (up, down) = (BigDecimal::from(40), BigDecimal::from(-4));
        assert_eq!(series.measured(&subject, &now), Measured { count: 3, up, down });
        // Two weeks after it at the earliest, as its answer could not have settled before.
        let earlier = Asked { is_hindcast: true, ..Asked::now(Horizon::Month, day("2026-11-15")) };
        assert_eq!(restarts(&earlier), [day("2026-09-20")]);
        assert_eq!(series.measured(&subject, &earlier), Measured::default());
    }

    #[test]
    fn a_release_of_several_services_is_one() {
        let mut series = series("2026-08-01");
        series.usage.insert((8, "USD".to_owned()), vec![Some(1.0); 112]);
        let change = |service_id, deployment_id, date: &str| ClaimedChange {
            service_id,
            deployment_id,
            billing_currency: "USD".into(),
            effect_date: day(date),
            is_accepted: true,
            per_day: 20.into(),
        };
        series.changes = vec![change(7, 1, "2026-11-04"), change(8, 1, "2026-11-04"), change(8, 2, "2026-11-06")];
        let now = Asked::now(Horizon::Month, day("2026-11-20"));
        let counts = |scope| -> Vec<usize> {
            series.subjects(scope).iter().map(|subject| series.restart_count(subject, &now)).collect()
        };
        assert_eq!((counts("service"), counts("total")), (vec![1, 2], vec![2]));
    }

    #[test]
    fn a_team_is_forecast_with_all_services_that_it_has() {
        let mut series = series("2026-08-01");
        series.usage.insert((0, "USD".to_owned()), vec![Some(1.0); 112]);
        series.usage.insert((5, "EUR".to_owned()), vec![Some(1.0); 112]);
        series.teams = [(7, 3), (8, 3), (9, 4)].into();
        let owned: Vec<(i64, Vec<i64>)> =
            series.subjects("team").iter().map(|one| (one.scope_id, series.owned(one))).collect();
        assert_eq!(owned, [(0, vec![0, 5]), (0, vec![0, 5]), (3, vec![7, 8])]);
        assert!(series.owned(&series.subjects("total")[0]).is_empty());
    }

    // September has no bill that makes much of the service 7.
    fn with_a_gap(first: &str) -> Series {
        let month = |text: &str| text.parse::<BillingPeriod>().unwrap();
        let gap = Gap {
            source_id: 1,
            name: "acme".into(),
            account: None,
            period: month("2026-09"),
            beside: [month("2026-08"), month("2026-10")],
            is_daily: true,
            services: vec![(7, None)],
            material: vec![(7, "USD".into())],
            material_own: vec![(7, "USD".into())],
        };
        Series { known_days: Arc::new(KnownDays::new(BTreeMap::new(), vec![gap])), ..series(first) }
    }

    #[test]
    fn days_of_a_gap_are_told_of_whom_they_concern() {
        let mut series = with_a_gap("2026-08-01");
        let year = DateRange::new(day("2026-01-01"), day("2026-11-21")).unwrap();
        let quarter = DateRange::new(day("2026-10-01"), day("2026-11-21")).unwrap();
        let gaps = |series: &Series, scope| {
            let subject = series.subjects(scope).remove(0);
            [year, quarter].map(|days| series.gap(&subject, days).map(|gap| gap.to_string()))
        };
        assert_eq!(gaps(&series, "service"), [Some("2026-09".to_owned()), None]);
        assert_eq!(gaps(&series, "total"), [Some("2026-09".to_owned()), None]);
        series.usage.insert((8, "USD".to_owned()), vec![Some(100.0); 112]);
        assert_eq!(gaps(&series, "total"), [None, None], "a small part of all");
        assert_eq!(gaps(&series, "service"), [Some("2026-09".to_owned()), None]);
    }

    #[test]
    fn a_month_without_its_bill_has_no_fees_that_count() {
        let series = with_a_gap("2026-08-01");
        let subject = series.subjects("service").remove(0);
        let fees = series.fees(&subject, &Asked::now(Horizon::Month, day("2026-11-20")));
        // Of August and October the lesser: the tax of 30 and the fee of 8.
        assert!((fees - 38.0).abs() < 1e-9, "{fees}");
    }
}
