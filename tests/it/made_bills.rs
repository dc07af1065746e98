//! Daily FOCUS bills of made services: each line costs on a day what a function says, so that what is true is known.

use super::finance::{HEADER, World, time};
use chrono::{Days, Months, NaiveDate};
use costwake::rollup::metrics_import;

/// One line a day; what the tests do not look at is the same on each.
pub struct Made<'a> {
    service: &'a str,
    environment: &'a str,
    resource: String,
    service_category: &'a str,
    charge_category: &'a str,
    has_one_unit: bool,
    cents: Box<dyn Fn(NaiveDate) -> i64 + Send + Sync + 'a>,
}

impl<'a> Made<'a> {
    /// Computing of a service in production on a machine of its own. On days of no cents there is no line.
    pub fn new(service: &'a str, cents: impl Fn(NaiveDate) -> i64 + Send + Sync + 'a) -> Self {
        Self {
            service,
            environment: "production",
            resource: format!("vm-{service}"),
            service_category: "Compute",
            charge_category: "Usage",
            has_one_unit: false,
            cents: Box::new(cents),
        }
    }

    /// A line of one day.
    pub fn once(service: &'a str, day: &str, cents: i64) -> Self {
        let on = self::day(day);
        Self::new(service, move |at| if at == on { cents } else { 0 })
    }

    /// FOCUS ResourceId.
    pub fn on(self, resource: &str) -> Self {
        Self { resource: resource.to_owned(), ..self }
    }

    /// Another environment.
    pub fn within(self, environment: &'a str) -> Self {
        Self { environment, ..self }
    }

    /// FOCUS ServiceCategory.
    pub fn of(self, service_category: &'a str) -> Self {
        Self { service_category, ..self }
    }

    /// FOCUS ChargeCategory.
    pub fn charged_as(self, charge_category: &'a str) -> Self {
        Self { charge_category, ..self }
    }

    /// One unit a day, so that its price moves as its cost does. Else the price is always the same, and no step is a
    /// change of prices.
    pub fn of_one_unit(self) -> Self {
        Self { has_one_unit: true, ..self }
    }

    /// What it costs on a day, in units of the currency.
    #[expect(clippy::float_arithmetic, reason = "what estimates are held against")]
    pub fn cost(&self, at: NaiveDate) -> f64 {
        (self.cents)(at) as f64 / 100.0
    }

    fn line(&self, first: NaiveDate, at: NaiveDate) -> Option<String> {
        let cents = (self.cents)(at);
        let sign = if cents < 0 { "-" } else { "" };
        let cost = format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100);
        let quantity = if self.has_one_unit || self.charge_category != "Usage" { "1" } else { cost.as_str() };
        let (next, end) = (first + Months::new(1), at + Days::new(1));
        let Self { service, environment, resource, service_category, charge_category, .. } = self;
        (cents != 0).then(|| {
            format!(
                "{cost},{cost},{cost},{cost},USD,acct-1,{first}T00:00:00Z,{next}T00:00:00Z,{at}T00:00:00Z,\
                 {end}T00:00:00Z,{charge_category},,Some use,Usage-Based,Cloud One,Cloud One,Cloud One,,\
                 {service_category},Machines,sub-1,{resource},eu-1,sku-1,{quantity},Hours,\
                 \"{{\"\"service\"\":\"\"{service}\"\",\"\"environment\"\":\"\"{environment}\"\"}}\"\n"
            )
        })
    }
}

/// `2026-11-18`.
pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// All days from one to another, both included.
pub fn days(from: NaiveDate, to: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    from.iter_days().take_while(move |at| *at <= to)
}

/// Cents that a service costs on a day, with a thousandth of noise and no weekdays: what its level is shows exactly.
pub fn even_cents(service: usize, at: NaiveDate) -> i64 {
    let days = at.signed_duration_since(day("2026-01-01")).num_days();
    10_000 + (days * 7919 + service as i64 * 104_729).rem_euclid(11) - 5
}

/// The bill of the month `2026-11` up to a day.
pub fn bill(month: &str, last: &str, made: &[Made<'_>]) -> String {
    let first = day(&format!("{month}-01"));
    let end = day(last).min(first + Months::new(1) - Days::new(1));
    let lines = days(first, end).flat_map(|at| made.iter().filter_map(move |one| one.line(first, at)));
    format!("{HEADER}\n{}", lines.collect::<String>())
}

/// Imports the bill of a month up to a day, as it was made at 6 o'clock of another day: the day before that is the last
/// one that can be complete in it.
pub async fn import_month(world: &World, month: &str, last: &str, made_on: &str, made: &[Made<'_>]) {
    world.import_text(&bill(month, last, made), &format!("{made_on}T06:00:00Z")).await;
}

/// Imports the bills of all months from one on up to a day, each made on the morning after its last day.
pub async fn import(world: &World, first_month: &str, last: &str, made: &[Made<'_>]) {
    let mut first = day(&format!("{first_month}-01"));
    while first <= day(last) {
        let next = first + Months::new(1);
        let made_on = next.min(day(last) + Days::new(1));
        import_month(world, &first.format("%Y-%m").to_string(), last, &made_on.to_string(), made).await;
        first = next;
    }
}

/// Takes in how many requests a service had in an environment on each of these days.
pub async fn requests(
    world: &World,
    (service, environment): (&str, &str),
    (from, to): (&str, &str),
    units: impl Fn(NaiveDate) -> i64,
) {
    let lines = days(day(from), day(to)).map(|at| format!("requests,{service},{at},{},{environment}\n", units(at)));
    let text = format!("metric,service,day,value,environment\n{}", lines.collect::<String>());
    let now = time("2026-11-19T07:00:00Z");
    metrics_import::import(&world.app.state.pools, text.as_bytes(), "test", "", now).await.unwrap();
}
