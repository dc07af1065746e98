//! Figures in the reporting currency, beside those in the currencies of the bills: which rate made which part.

use super::Result;
use super::csv::Cell;
use super::display::{alone, minor_units, money, money_exact, shown};
use crate::focus::{BillingPeriod, Converted, CostBasis, MissingRate, Rate, RateOrigin, Rates};
use crate::store::converted_costs::{self, CostPart};
use crate::store::costs::{CostFilter, Dimension};
use crate::store::service_costs::ServiceCost;
use crate::store::{Scope, rates};
use askama::Template;
use bigdecimal::{BigDecimal, Zero};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// Parts by their billing month and currency, with the rates of those months.
#[derive(Debug, Clone)]
pub struct RatedParts {
    /// The rates.
    pub rates: Rates,
    /// The parts.
    pub parts: Vec<CostPart>,
    /// What is booked beside them for closed months, each at the rate of the month that it is for; in no sum of the parts.
    pub booked: Vec<CostPart>,
}

impl RatedParts {
    /// Reads the rates that parts need; `None` where no reporting currency is set.
    pub async fn of(conn: &mut PgConnection, parts: Vec<CostPart>) -> sqlx::Result<Option<Self>> {
        Self::with_booked(conn, parts, Vec::new()).await
    }

    /// The same with what is booked beside the parts for closed months.
    pub async fn with_booked(
        conn: &mut PgConnection,
        parts: Vec<CostPart>,
        booked: Vec<CostPart>,
    ) -> sqlx::Result<Option<Self>> {
        let months = || parts.iter().chain(&booked).map(|part| BillingPeriod::containing(part.billing_month));
        let (Some(first), Some(last)) = (months().min(), months().max()) else {
            let currency = rates::reporting_currency(conn).await?;
            return Ok(currency.map(|currency| Self { rates: Rates::into_currency(currency), parts, booked }));
        };
        Ok(rates::reporting(conn, first, last).await?.map(|rates| Self { rates, parts, booked }))
    }

    /// What a filter's charges are made of by a dimension; `None` where no reporting currency is set.
    pub async fn read(
        conn: &mut PgConnection,
        scope: &Scope,
        filter: &CostFilter,
        dimension: Dimension,
    ) -> Result<Option<Self>> {
        if rates::reporting_currency(&mut *conn).await?.is_none() {
            return Ok(None);
        }
        let parts = converted_costs::parts(conn, scope, filter, dimension).await?;
        Ok(Self::of(conn, parts).await?)
    }

    /// The sum of the parts of one key and currency; of any where it is `None`.
    pub fn sum(&self, key: Option<&str>, currency: Option<&str>) -> Converted {
        let mut sum = Converted::default();
        self.add(&mut sum, self.parts.iter(), key, currency);
        sum
    }

    /// The same with what is booked beside the parts for closed months.
    pub fn sum_with_booked(&self, key: Option<&str>, currency: Option<&str>) -> Converted {
        let mut sum = self.sum(key, currency);
        // What is nothing in the asked cost needs no rate.
        self.add(&mut sum, self.booked.iter().filter(|part| !part.cost.is_zero()), key, currency);
        sum
    }

    fn add<'a>(
        &self,
        sum: &mut Converted,
        parts: impl Iterator<Item = &'a CostPart>,
        key: Option<&str>,
        currency: Option<&str>,
    ) {
        for part in parts {
            if key.is_none_or(|key| part.key == key) && currency.is_none_or(|currency| part.currency == currency) {
                sum.add(&self.rates, BillingPeriod::containing(part.billing_month), &part.currency, &part.cost);
            }
        }
    }

    /// The sums of every key and currency: what a table with many rows looks up.
    pub fn sums(&self) -> BTreeMap<(&str, &str), Converted> {
        let mut sums: BTreeMap<(&str, &str), Converted> = BTreeMap::new();
        for part in &self.parts {
            let sum = sums.entry((&part.key, &part.currency)).or_default();
            sum.add(&self.rates, BillingPeriod::containing(part.billing_month), &part.currency, &part.cost);
        }
        sums
    }
}

/// What a table with a row a service and currency says of them in the reporting currency.
impl RatedParts {
    /// The sum of a service in its currency, where the parts are by service.
    pub fn of_service(&self, service: &ServiceCost) -> Converted {
        self.sum(Some(&service.service_id.to_string()), Some(&service.currency))
    }

    /// The cells of the currency and the cost in it. Empty where a rate is missing: never a guess.
    pub fn cells<'a>(rated: Option<&'a Self>, converted: Option<&'a Converted>) -> Vec<Cell<'a>> {
        rated.zip(converted).map_or_else(Vec::new, |(rated, converted)| {
            vec![rated.rates.reporting_currency().into(), converted.known().map_or(Cell::Empty, Cell::from)]
        })
    }
}

/// A total in the reporting currency with the way to it. Written into a template as it is.
#[derive(Debug, Clone, Template)]
#[template(path = "partials/reporting.html")]
pub struct Reporting {
    currency: String,
    sentence: String,
    rows: Vec<Row>,
    /// What rounding leaves between the rows and their total as shown.
    rounding: Option<String>,
    /// What the rows are together, as shown, where something is booked beside them; `None` where a rate is missing.
    net: Option<String>,
    /// What that is called: "Net cost", "List cost".
    net_name: &'static str,
    /// What is booked for closed months, by closed month.
    booked: Vec<Row>,
    /// As shown, with what is booked; `None` where a rate is missing.
    total: Option<String>,
}

impl askama::filters::HtmlSafe for Reporting {}

/// One billing month and currency.
#[derive(Debug, Clone)]
struct Row {
    month: String,
    original: String,
    rate: String,
    origin: String,
    /// Rounded by itself, as the same figure is elsewhere; of what is booked, so that it leads from the one total to the
    /// other. Empty where no rate is known.
    amount: String,
}

impl Reporting {
    /// The total of all parts, and where something is booked beside them, the total with that.
    pub fn new(rated: &RatedParts) -> Option<Self> {
        let (parts, booked) = (sums(&rated.parts), sums(&rated.booked));
        let booked: Sums<'_> = booked.into_iter().filter(|(_, cost)| !cost.is_zero()).collect();
        if parts.is_empty() && booked.is_empty() {
            return None;
        }
        let currency = rated.rates.reporting_currency();
        let decimals = minor_units(currency);
        let text = |sum: &BigDecimal| money(sum, currency, decimals);
        let round = |sum: &BigDecimal| sum.with_scale_round(decimals, bigdecimal::RoundingMode::HalfUp);
        let (net, both) = (rated.sum(None, None), rated.sum_with_booked(None, None));
        // What leads from the one total to the other as both are shown.
        let late = net.known().ok().zip(both.known().ok()).map(|(net, both)| round(both) - round(net));
        let sentence = match (both.known(), net.known()) {
            (Err(missing), _) => {
                format!("In {currency} this is not known: {}. Nothing is guessed or left out.", missing_text(missing))
            }
            (Ok(both), _) if parts.is_empty() => {
                format!("In {currency} this is {}, {BOOKED_ONLY}, {EACH_BILL}", text(both))
            }
            (Ok(both), Ok(net)) if !booked.is_empty() => {
                format!("In {currency} this is {}, and {} with adjustments booked, {EACH_BILL}", text(net), text(both))
            }
            (Ok(both), _) => format!("In {currency} this is {}, {EACH_BILL}", text(both)),
        };
        let (exact, late_exact) = (converted(rated, &parts), converted(rated, &booked));
        let known: Vec<BigDecimal> = exact.iter().flatten().cloned().collect();
        let (rounded, left) = alone(&known, &known.iter().sum(), decimals);
        let late_known: Vec<BigDecimal> = late_exact.iter().flatten().cloned().collect();
        let late = shown(&late_known, &late.unwrap_or_else(|| late_known.iter().sum()), decimals);
        Some(Self {
            sentence,
            rows: rows(rated, &parts, &exact, rounded),
            // Without their total there is nothing that the rows could miss.
            rounding: (net.known().is_ok() && !left.is_zero()).then(|| text(&left)),
            net: net.known().ok().map(text).filter(|_| !parts.is_empty() && !booked.is_empty()),
            net_name: CostBasis::default().total_name(),
            booked: rows(rated, &booked, &late_exact, late),
            total: both.known().ok().map(text),
            currency: currency.to_owned(),
        })
    }

    /// The same with the name that the total without what is booked has in its cost: "Net cost" where none is given.
    pub fn named(self, net_name: &'static str) -> Self {
        Self { net_name, ..self }
    }
}

const EACH_BILL: &str = "each bill at the one rate of its billing month.";
const BOOKED_ONLY: &str = "all of it booked for closed months";

type Sums<'a> = BTreeMap<(BillingPeriod, &'a str), BigDecimal>;

fn sums(parts: &[CostPart]) -> Sums<'_> {
    let mut sums = Sums::new();
    for part in parts {
        *sums.entry((BillingPeriod::containing(part.billing_month), &part.currency)).or_default() += &part.cost;
    }
    sums
}

// `None` where a rate is missing.
fn converted(rated: &RatedParts, sums: &Sums<'_>) -> Vec<Option<BigDecimal>> {
    sums.iter().map(|((month, from), cost)| rated.rates.convert(*month, from, cost)).collect()
}

// `rounded` has what is known of `exact`, as it is shown.
fn rows(rated: &RatedParts, sums: &Sums<'_>, exact: &[Option<BigDecimal>], rounded: Vec<BigDecimal>) -> Vec<Row> {
    let currency = rated.rates.reporting_currency();
    let mut rounded = rounded.into_iter();
    let rows = sums.iter().zip(exact).map(|(((month, from), cost), converted)| Row {
        month: month.label(),
        original: money_exact(cost, from),
        rate: rate_text(&rated.rates, *month, from),
        origin: origin_text(&rated.rates, *month, from),
        amount: converted
            .as_ref()
            .and_then(|_| rounded.next())
            .map(|amount| money(&amount, currency, minor_units(currency)))
            .unwrap_or_default(),
    });
    rows.collect()
}

/// "there is no rate for USD in October 2026 and for JPY in November 2026".
pub fn missing_text(missing: &[MissingRate]) -> String {
    let names: Vec<String> =
        missing.iter().map(|(month, currency)| format!("for {currency} in {}", month.label())).collect();
    let (shown, more) = names.split_at(names.len().min(6));
    let more = if more.is_empty() { String::new() } else { format!(", and {} more", more.len()) };
    format!("there is no rate {}{more}", shown.join(", "))
}

/// "1 USD = 0.92 EUR"; nothing for the currency itself.
pub fn rate_text(rates: &Rates, month: BillingPeriod, from: &str) -> String {
    let to = rates.reporting_currency();
    match rates.get(month, from) {
        _ if from == to => String::new(),
        Some(rate) => format!("1 {from} = {} {to}", rate.value.normalized().to_plain_string()),
        None => "no rate".into(),
    }
}

/// Where a rate comes from, in words.
pub fn origin_text(rates: &Rates, month: BillingPeriod, from: &str) -> String {
    if from == rates.reporting_currency() {
        return "not converted".into();
    }
    rates.get(month, from).map_or_else(|| "enter one or import reference rates".into(), origin_of)
}

/// "entered", "reference rate of 30 Oct 2026".
pub fn origin_of(rate: &Rate) -> String {
    match rate.origin {
        RateOrigin::Entered => "entered for the month".into(),
        RateOrigin::Market(day) => format!("reference rate of {}", day.format("%-d %b %Y")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(month: &str, currency: &str, cost: &str) -> CostPart {
        CostPart {
            key: "1".into(),
            billing_month: month.parse().unwrap(),
            currency: currency.into(),
            cost: cost.parse().unwrap(),
        }
    }

    fn rated(parts: Vec<CostPart>) -> RatedParts {
        let mut rates = Rates::into_currency("EUR");
        let origin = RateOrigin::Market("2026-10-30".parse().unwrap());
        rates.add("2026-10".parse().unwrap(), "USD", Rate { value: "0.333".parse().unwrap(), origin });
        RatedParts { rates, parts, booked: Vec::new() }
    }

    #[test]
    fn shown_rows_add_up_and_name_their_rates() {
        let parts =
            vec![part("2026-10-01", "USD", "1"), part("2026-10-01", "USD", "1.01"), part("2026-10-01", "EUR", "2.006")];
        let reporting = Reporting::new(&rated(parts)).unwrap();
        let rows: Vec<String> =
            reporting.rows.iter().map(|row| format!("{} | {} | {}", row.original, row.rate, row.amount)).collect();
        assert_eq!(rows, ["€2.006 |  | €2.01", "$2.01 | 1 USD = 0.333 EUR | €0.67"]);
        assert_eq!((reporting.total.as_deref(), reporting.rounding.as_deref()), (Some("€2.68"), None));
        assert_eq!(reporting.rows[1].origin, "reference rate of 30 Oct 2026");
    }

    // What is not converted says the same amount as everywhere else: a row of its own says what rounding leaves.
    #[test]
    fn each_row_is_rounded_by_itself() {
        let parts = vec![part("2026-10-01", "EUR", "130.144"), part("2026-09-01", "EUR", "1.004")];
        let reporting = Reporting::new(&rated(parts)).unwrap();
        let amounts: Vec<&str> = reporting.rows.iter().map(|row| row.amount.as_str()).collect();
        assert_eq!(amounts, ["€1.00", "€130.14"]);
        assert_eq!((reporting.total.as_deref(), reporting.rounding.as_deref()), (Some("€131.15"), Some("€0.01")));
        let table = reporting.render().unwrap();
        assert!(table.contains("In the bill's currency") && table.contains("Rounding"), "{table}");
        assert!(!table.contains("As billed"), "{table}");
    }

    #[test]
    fn a_missing_rate_leaves_the_total_unknown() {
        let parts = vec![part("2026-10-01", "USD", "1"), part("2026-09-01", "JPY", "5")];
        let reporting = Reporting::new(&rated(parts)).unwrap();
        assert_eq!(reporting.total, None);
        assert!(reporting.sentence.contains("there is no rate for JPY in September 2026"));
        assert_eq!(reporting.rows[0].amount, "");
    }

    #[test]
    fn what_is_booked_is_a_row_of_its_own_at_the_rate_of_its_month() {
        let mut rated = rated(vec![part("2026-11-01", "EUR", "5.004")]);
        rated.booked = vec![part("2026-10-01", "USD", "3.003"), part("2026-09-01", "JPY", "0")];
        let reporting = Reporting::new(&rated).unwrap();
        let row = &reporting.booked[0];
        assert_eq!((reporting.booked.len(), row.month.as_str(), row.amount.as_str()), (1, "October 2026", "€1.00"));
        assert_eq!((reporting.net.as_deref(), reporting.total.as_deref()), (Some("€5.00"), Some("€6.00")));
        assert!(reporting.sentence.contains("this is €5.00, and €6.00 with adjustments booked, each bill"));
        rated.parts.push(part("2026-09-01", "EUR", "1.004"));
        rated.parts.push(part("2026-08-01", "EUR", "1.004"));
        let left = Reporting::new(&rated).unwrap().named("List cost");
        assert_eq!((left.rounding.as_deref(), left.net.as_deref()), (Some("€0.01"), Some("€7.01")));
        assert_eq!((left.booked[0].amount.as_str(), left.total.as_deref()), ("€1.00", Some("€8.01")));
        let table = left.render().unwrap();
        let places =
            ["Rounding", "List cost", "Adjustments booked", "Total with adjustments"].map(|row| table.find(row));
        assert!(places.is_sorted() && places[0].is_some(), "{table}");
        rated.parts.clear();
        let alone = Reporting::new(&rated).unwrap();
        assert_eq!((alone.net, alone.total.as_deref()), (None, Some("€1.00")));
    }
}
