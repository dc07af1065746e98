//! Figures in the reporting currency, beside those in the currencies of the bills: which rate made which part.

use super::Result;
use super::csv::Cell;
use super::display::{alone, minor_units, money, money_exact};
use crate::focus::{BillingPeriod, Converted, MissingRate, Rate, RateOrigin, Rates};
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
}

impl RatedParts {
    /// Reads the rates that parts need; `None` where no reporting currency is set.
    pub async fn of(conn: &mut PgConnection, parts: Vec<CostPart>) -> sqlx::Result<Option<Self>> {
        let months = || parts.iter().map(|part| BillingPeriod::containing(part.billing_month));
        let (Some(first), Some(last)) = (months().min(), months().max()) else {
            let currency = rates::reporting_currency(conn).await?;
            return Ok(currency.map(|currency| Self { rates: Rates::into_currency(currency), parts: Vec::new() }));
        };
        Ok(rates::reporting(conn, first, last).await?.map(|rates| Self { rates, parts }))
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
        for part in &self.parts {
            if key.is_none_or(|key| part.key == key) && currency.is_none_or(|currency| part.currency == currency) {
                sum.add(&self.rates, BillingPeriod::containing(part.billing_month), &part.currency, &part.cost);
            }
        }
        sum
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
    /// The columns; none where no reporting currency is set.
    pub fn columns(rated: Option<&Self>) -> &'static [&'static str] {
        if rated.is_some() { &["ReportingCurrency", "ReportingCost"] } else { &[] }
    }

    /// The sum of a service in its currency, where the parts are by service.
    pub fn of_service(&self, service: &ServiceCost) -> Converted {
        self.sum(Some(&service.service_id.to_string()), Some(&service.currency))
    }

    /// The cells under [`Self::columns`]. Empty where a rate is missing: never a guess.
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
    /// What rounding leaves between the rows and the total.
    rounding: Option<String>,
    /// As shown; `None` where a rate is missing.
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
    /// Rounded by itself, as the same figure is elsewhere; empty where no rate is known.
    amount: String,
}

impl Reporting {
    /// The total of all parts.
    pub fn new(rated: &RatedParts) -> Option<Self> {
        let mut sums: BTreeMap<(BillingPeriod, &str), BigDecimal> = BTreeMap::new();
        for part in &rated.parts {
            *sums.entry((BillingPeriod::containing(part.billing_month), &part.currency)).or_default() += &part.cost;
        }
        if sums.is_empty() {
            return None;
        }
        let currency = rated.rates.reporting_currency();
        let decimals = minor_units(currency);
        let mut total = Converted::default();
        sums.iter().for_each(|((month, from), cost)| total.add(&rated.rates, *month, from, cost));
        let exact: Vec<Option<BigDecimal>> =
            sums.iter().map(|((month, from), cost)| rated.rates.convert(*month, from, cost)).collect();
        let known: Vec<BigDecimal> = exact.iter().flatten().cloned().collect();
        let (rounded, left) = alone(&known, &known.iter().sum(), decimals);
        let mut rounded = rounded.into_iter();
        let rows = sums.iter().zip(&exact).map(|(((month, from), cost), converted)| Row {
            month: month.label(),
            original: money_exact(cost, from),
            rate: rate_text(&rated.rates, *month, from),
            origin: origin_text(&rated.rates, *month, from),
            amount: converted
                .as_ref()
                .and_then(|_| rounded.next())
                .map(|amount| money(&amount, currency, decimals))
                .unwrap_or_default(),
        });
        let rows = rows.collect();
        let (sentence, total) = match total.known() {
            Ok(sum) => {
                let text = money(sum, currency, decimals);
                (format!("In {currency} this is {text}, each bill at the one rate of its billing month."), Some(text))
            }
            Err(missing) => (
                format!("In {currency} this is not known: {}. Nothing is guessed or left out.", missing_text(missing)),
                None,
            ),
        };
        // Without a total there is nothing that the rows could miss.
        let rounding = (total.is_some() && !left.is_zero()).then(|| money(&left, currency, decimals));
        Some(Self { currency: currency.to_owned(), sentence, rows, rounding, total })
    }
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
        RatedParts { rates, parts }
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
}
