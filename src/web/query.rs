//! The query string that every page shares: the same key means the same thing everywhere, every view is a link.
//!
//! Unknown keys are ignored and named in a note; a wrong value is refused with the list of what is allowed.

use super::closed_lists::canonical;
use super::error::{Error, Result, UNSTORABLE};
use super::ignored_keys;
pub use super::span::{Span, range_label};
use crate::focus::{BillingPeriod, CostBasis, DateRange};
use chrono::{Datelike, Days, NaiveDate};
use std::collections::BTreeMap;

/// The complete days that a page is of where its address says nothing.
pub(super) const DAY_COUNT: u32 = 30;
/// No period is longer than this.
pub(super) const DAY_COUNT_MAX: i64 = 800;
/// No value is longer than this.
pub(super) const VALUE_BYTES_MAX: usize = 400;

/// The order of keys in a canonical address.
#[rustfmt::skip]
const KEYS: [&str; 47] = [
    "period", "vs", "show", "view", "billing", "service", "env", "team", "provider", "charge", "metric", "status",
    "finding", "kind", "source", "delivery", "resource", "account", "group", "bought",
    "service_category", "pricing", "region", "sku", "class", "part", "center",
    "allocated", "tags",
    "tag", "gap",
    "dimension", "commitment", "commitment_status", "invoice", "issuer", "state", "month", "from", "to", "day", "q",
    "cur", "basis", "by", "sort", "page",
];

/// The keys that all pages have.
const SHARED: [&str; 4] = ["period", "vs", "cur", "basis"];

/// What a page takes beside the keys that all pages have (`SHARED`).
#[derive(Debug, Clone, Copy, Default)]
pub struct Accepts {
    /// Further keys with a text value, of `KEYS`. With `vs` among them, days may be compared with a month or other days.
    pub texts: &'static [&'static str],
    /// Values of `by`, the default first.
    pub by: &'static [&'static str],
    /// Values of `sort`, the default first.
    pub sort: &'static [&'static str],
}

/// The days of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// The last complete days.
    LastDays(u32),
    /// The last twelve months, to the last complete day.
    TwelveMonths,
    /// The month of the last complete day, up to it.
    MonthToDate,
    /// A calendar month.
    Month(BillingPeriod),
    /// These days.
    Days(DateRange),
}

/// What a page's days are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Versus {
    /// The days before.
    #[default]
    Previous,
    /// The same days a year before.
    PreviousYear,
    /// This calendar month.
    Month(BillingPeriod),
    /// These days.
    Days(DateRange),
}

/// A query string, checked.
#[derive(Debug, Clone)]
pub struct View {
    /// The days.
    pub period: Period,
    /// What they are compared with.
    pub versus: Versus,
    /// The cost column of the whole page.
    pub basis: CostBasis,
    /// Keys that the page does not know.
    pub ignored: Vec<String>,
    /// Values that are not the default, by key: the canonical query.
    values: BTreeMap<&'static str, String>,
    accepts: Accepts,
    /// What it takes of the keys that all pages have.
    shared: &'static [&'static str],
}

impl View {
    /// Reads a query string.
    pub fn parse(query: Option<&str>, accepts: Accepts) -> Result<Self> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query.unwrap_or_default())
            .map_err(|_| Error::Invalid("The address has a query that cannot be read.".into()))?;
        let mut view = Self {
            period: Period::LastDays(DAY_COUNT),
            versus: Versus::default(),
            basis: CostBasis::default(),
            ignored: Vec::new(),
            values: BTreeMap::new(),
            accepts,
            shared: &SHARED,
        };
        for (key, value) in pairs {
            view.set(&key, value.trim())?;
        }
        Ok(view)
    }

    /// The same view on a page that takes of the keys of all pages the period alone: the others are named as ignored.
    pub fn of_period_only(mut self) -> Self {
        for key in SHARED.into_iter().skip(1) {
            self.ignored.extend(self.values.remove(key).map(|_| key.to_owned()));
        }
        Self { versus: Versus::default(), basis: CostBasis::default(), shared: &["period"], ..self }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let known = KEYS.into_iter().find(|key| *key == name).filter(|key| match *key {
            shared if SHARED.contains(&shared) => true,
            "by" => !self.accepts.by.is_empty(),
            "sort" => !self.accepts.sort.is_empty(),
            text => self.accepts.texts.contains(&text),
        });
        let Some(key) = known else {
            self.ignored.push(ignored_keys::named(name));
            return Ok(());
        };
        if value.len() > VALUE_BYTES_MAX {
            return Err(Error::Invalid(format!("{key} is longer than {VALUE_BYTES_MAX} bytes.")));
        }
        if value.contains('\0') {
            return Err(Error::Invalid(UNSTORABLE.into()));
        }
        if value.is_empty() {
            self.values.remove(key);
            return Ok(());
        }
        let value = canonical(key, value)?;
        let value = value.as_str();
        let is_default = match key {
            "period" => {
                self.period = parse_period(value)?;
                self.period == Period::LastDays(DAY_COUNT)
            }
            "vs" => {
                self.versus = parse_versus(value, self.accepts.texts.contains(&"vs"))?;
                self.versus == Versus::default()
            }
            "basis" => {
                let words = CostBasis::ALL.map(CostBasis::key);
                self.basis = CostBasis::ALL[one_of("basis", value, &words)?];
                self.basis == CostBasis::default()
            }
            "by" => one_of("by", value, self.accepts.by)? == 0,
            "sort" => one_of("sort", value, self.accepts.sort)? == 0,
            _ => false,
        };
        if is_default {
            self.values.remove(key)
        } else {
            self.values.insert(key, value.to_owned())
        };
        Ok(())
    }

    /// The value of a text key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The value of a text key, or nothing: for a form field.
    pub fn field(&self, key: &str) -> &str {
        self.text(key).unwrap_or_default()
    }

    /// What rows or bars are split by.
    pub fn by(&self) -> &str {
        self.text("by").or(self.accepts.by.first().copied()).unwrap_or_default()
    }

    /// The order of the rows.
    pub fn sort(&self) -> &str {
        self.text("sort").or(self.accepts.sort.first().copied()).unwrap_or_default()
    }

    /// The canonical address of this view.
    pub fn canonical(&self, path: &str) -> String {
        self.link(path, &[])
    }

    /// The address of this view with some values changed; an empty value removes the key.
    pub fn link(&self, path: &str, changes: &[(&'static str, &str)]) -> String {
        let mut values: BTreeMap<&str, &str> = self.values.iter().map(|(key, value)| (*key, value.as_str())).collect();
        // Another filter or order begins at its first page.
        if changes.iter().any(|(key, _)| *key != "page") {
            values.remove("page");
        }
        for (key, value) in changes {
            if value.is_empty() {
                values.remove(key)
            } else {
                values.insert(key, value)
            };
        }
        let pairs: Vec<(&str, &str)> =
            KEYS.iter().filter_map(|key| values.get(key).map(|value| (*key, *value))).collect();
        let query = serde_urlencoded::to_string(&pairs).unwrap_or_default();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// Whether anything but the period and the basis narrows the page.
    pub fn is_filtered(&self) -> bool {
        ["service", "env", "team", "provider", "charge", "dimension", "status", "finding", "q", "cur"]
            .iter()
            .any(|key| self.values.contains_key(key))
    }

    /// Every value of this address that another filter does not change, in the order of keys: all but the page of a
    /// list, since another filter begins at its first.
    pub fn kept(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let keys = KEYS.into_iter().filter(|key| *key != "page");
        keys.filter_map(move |key| self.text(key).map(|value| (key, value)))
    }

    /// The sentence that names ignored keys, or nothing.
    pub fn note(&self) -> String {
        if self.ignored.is_empty() {
            return String::new();
        }
        let mut known = self.shared.to_vec();
        known.extend(self.accepts.texts.iter().filter(|text| **text != "vs"));
        known.extend((!self.accepts.by.is_empty()).then_some("by"));
        known.extend((!self.accepts.sort.is_empty()).then_some("sort"));
        ignored_keys::sentence(&self.ignored, &known)
    }

    /// The word of the period in the address.
    pub fn period_key(&self) -> String {
        self.text("period").unwrap_or("30d").to_owned()
    }
}

/// The slug that stands for "not allocated" in a filter.
pub const NONE: &str = "none";

fn one_of(key: &str, value: &str, allowed: &[&str]) -> Result<usize> {
    allowed
        .iter()
        .position(|word| *word == value)
        .ok_or_else(|| Error::Invalid(format!("{key}={value} is not known. Allowed: {}.", allowed.join(", "))))
}

fn parse_versus(text: &str, takes_days: bool) -> Result<Versus> {
    match text {
        "prev" => return Ok(Versus::Previous),
        "py" => return Ok(Versus::PreviousYear),
        _ => {}
    }
    let more = if takes_days { ", 2026-09, 2026-08-01..2026-08-15" } else { "" };
    let wrong = || Error::Invalid(format!("vs={text} is not known. Allowed: prev, py{more}."));
    match parse_period(text).ok().filter(|_| takes_days) {
        Some(Period::Month(month)) => Ok(Versus::Month(month)),
        Some(Period::Days(days)) => Ok(Versus::Days(days)),
        _ => Err(wrong()),
    }
}

fn parse_period(text: &str) -> Result<Period> {
    let wrong = || {
        Error::Invalid(format!(
            "period={text} is not known. Allowed: 30d, 60d, 90d (up to 400d), 12m, mtd, 2026-10, 2026-09-01..2026-10-15."
        ))
    };
    match text {
        "12m" => return Ok(Period::TwelveMonths),
        "mtd" => return Ok(Period::MonthToDate),
        _ => {}
    }
    if let Some(count) = text.strip_suffix('d') {
        let count = count.parse().ok().filter(|count| (1..=400).contains(count)).ok_or_else(wrong)?;
        return Ok(Period::LastDays(count));
    }
    if let Some((first, last)) = text.split_once("..") {
        let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| is_supported(*day));
        let (first, last) = day(first).zip(day(last)).ok_or_else(wrong)?;
        let range = DateRange::new(first, last + Days::new(1)).ok_or_else(wrong)?;
        if i64::from(range.day_count()) > DAY_COUNT_MAX {
            return Err(Error::Invalid(format!("period={text} is longer than {DAY_COUNT_MAX} days.")));
        }
        return Ok(Period::Days(range));
    }
    let month: BillingPeriod = text.parse().map_err(|_| wrong())?;
    if !is_supported(month.first_day()) {
        return Err(wrong());
    }
    Ok(Period::Month(month))
}

/// Far from the ends of the calendar, so that a comparison with the year before exists.
pub fn is_supported(day: NaiveDate) -> bool {
    (1990..=2100).contains(&day.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTS: Accepts = Accepts { texts: &["env", "page"], by: &["env", "charge"], sort: &[] };

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn defaults_are_left_out_and_the_order_of_keys_is_fixed() {
        let view =
            View::parse(Some("by=charge&period=30d&basis=billed&env=production&vs=prev&page=x"), ACCEPTS).unwrap();
        assert_eq!(view.canonical("/services/a"), "/services/a?env=production&basis=billed&by=charge&page=x");
        assert_eq!(view.link("/services/a", &[("by", "")]), "/services/a?env=production&basis=billed");
    }

    #[test]
    fn unknown_keys_are_named_and_wrong_values_refused_with_the_list() {
        let view = View::parse(Some("tier=1&env="), ACCEPTS).unwrap();
        assert!(view.note().starts_with("Ignored: tier."));
        let refused = View::parse(Some("by=moon"), ACCEPTS).unwrap_err();
        assert_eq!(refused.to_string(), "by=moon is not known. Allowed: env, charge.");
        for wrong in ["period=0d", "period=2026-13", "period=2026-02-30..2026-03-01", "period=9999-01", "basis=free"] {
            assert!(View::parse(Some(wrong), ACCEPTS).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_page_of_the_period_alone_names_what_it_passes_over() {
        let view = View::parse(Some("period=2026-10&vs=py&basis=billed&env=live"), ACCEPTS).unwrap().of_period_only();
        assert_eq!(view.note(), "Ignored: vs, basis. This page knows period, env, page, by.");
        assert_eq!(view.canonical("/unmapped"), "/unmapped?period=2026-10&env=live");
        assert_eq!((view.versus, view.basis), (Versus::Previous, CostBasis::default()));
    }

    #[test]
    fn days_are_compared_with_a_month_or_other_days_where_a_page_takes_them() {
        const DAYS: Accepts = Accepts { texts: &["vs"], by: &[], sort: &[] };
        let versus = |text: &str| View::parse(Some(text), DAYS).map(|view| view.versus);
        assert_eq!(versus("vs=2026-08").unwrap(), Versus::Month("2026-08".parse().unwrap()));
        let days = DateRange::new(day("2026-08-01"), day("2026-08-16")).unwrap();
        assert_eq!(versus("vs=2026-08-01..2026-08-15").unwrap(), Versus::Days(days));
        assert_eq!(versus("vs=py").unwrap(), Versus::PreviousYear);
        for wrong in ["30d", "2026-13", "2026-08-15..2026-08-01", "later"] {
            let refused = versus(&format!("vs={wrong}")).unwrap_err().to_string();
            assert!(
                refused.ends_with("is not known. Allowed: prev, py, 2026-09, 2026-08-01..2026-08-15."),
                "{refused}"
            );
        }
        let elsewhere = View::parse(Some("vs=2026-08"), ACCEPTS).unwrap_err().to_string();
        assert_eq!(elsewhere, "vs=2026-08 is not known. Allowed: prev, py.");
    }

    #[test]
    fn a_range_names_each_part_once() {
        assert_eq!(range_label(DateRange::new(day("2026-11-01"), day("2026-11-21")).unwrap()), "1 to 20 Nov 2026");
        assert_eq!(range_label(DateRange::new(day("2026-10-28"), day("2026-11-21")).unwrap()), "28 Oct to 20 Nov 2026");
    }
}
