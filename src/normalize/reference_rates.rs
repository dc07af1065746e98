//! Euro foreign exchange reference rates as the European Central Bank publishes them: a row a day, a column a
//! currency, units of it for one euro. The history (`2026-11-24,1.0867,…`) and the file of one day
//! (`24 November 2026, 1.0867, …`) have the same shape.

use crate::focus::Decimal;
use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, One};
use chrono::NaiveDate;

/// Rates of all days since 1999 are some 300,000.
const RATE_COUNT_MAX: usize = 2_000_000;

/// One published rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceRate {
    /// The day of the market.
    pub day: NaiveDate,
    /// ISO 4217.
    pub currency: String,
    /// Units of the currency for one euro; above zero.
    pub units_per_euro: BigDecimal,
}

/// Why a file gives no rates. Nothing of it is taken then.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceRatesError {
    /// It is something else.
    #[error(
        "This is not a file of euro reference rates: its first line must be \"Date\" and then currencies, as in the European Central Bank's eurofxref-hist.csv."
    )]
    NotReferenceRates,
    /// A cell cannot be read.
    #[error(
        "Line {line}, {column}: {value:?} {reason}. Nothing was imported; mend the line and import the file again."
    )]
    Cell {
        /// 1-based.
        line: u64,
        /// `Date` or the currency.
        column: String,
        /// As it stands.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not text, or a quote that does not end.
    #[error("Line {line} cannot be read as CSV. Nothing was imported.")]
    Record {
        /// 1-based.
        line: u64,
    },
    /// The same day and currency twice, with two rates.
    #[error("{day} has two different rates for {currency}. Nothing was imported.")]
    Twice {
        /// The day.
        day: NaiveDate,
        /// The currency.
        currency: String,
    },
    /// Only a header, or only N/A.
    #[error("The file has no rate in it.")]
    Empty,
    /// More than any market publishes.
    #[error("The file has more than {RATE_COUNT_MAX} rates.")]
    TooMany,
}

/// Reads a file of rates, in order of day and currency. `N/A` and empty cells give none.
pub fn reference_rates(bytes: &[u8]) -> Result<Vec<ReferenceRate>, ReferenceRatesError> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).has_headers(false).flexible(true).from_reader(bytes);
    let mut records = reader.records();
    let header = records.next().and_then(Result::ok).ok_or(ReferenceRatesError::NotReferenceRates)?;
    let currencies = currencies(&header)?;
    let mut rates = Vec::new();
    for record in records {
        let record = record
            .map_err(|error| ReferenceRatesError::Record { line: error.position().map_or(0, csv::Position::line) })?;
        if record.iter().all(str::is_empty) {
            continue;
        }
        row(&record, &currencies, &mut rates)?;
        if rates.len() > RATE_COUNT_MAX {
            return Err(ReferenceRatesError::TooMany);
        }
    }
    rates.sort_by(|left, right| (left.day, &left.currency).cmp(&(right.day, &right.currency)));
    if let Some(pair) = rates.windows(2).find(|pair| {
        (pair[0].day, &pair[0].currency) == (pair[1].day, &pair[1].currency)
            && pair[0].units_per_euro != pair[1].units_per_euro
    }) {
        return Err(ReferenceRatesError::Twice { day: pair[0].day, currency: pair[0].currency.clone() });
    }
    rates.dedup_by(|right, left| (left.day, &left.currency) == (right.day, &right.currency));
    if rates.is_empty() { Err(ReferenceRatesError::Empty) } else { Ok(rates) }
}

// The lines of the file end with a comma: a last column without a name is none.
fn currencies(header: &csv::StringRecord) -> Result<Vec<Option<String>>, ReferenceRatesError> {
    if header.get(0).is_none_or(|first| !first.eq_ignore_ascii_case("date")) {
        return Err(ReferenceRatesError::NotReferenceRates);
    }
    let mut names: Vec<Option<String>> = Vec::new();
    for name in header.iter().skip(1) {
        let is_code = name.len() == 3 && name.bytes().all(|byte| byte.is_ascii_uppercase());
        if !is_code && !name.is_empty() || names.iter().flatten().any(|known| known == name) {
            return Err(ReferenceRatesError::NotReferenceRates);
        }
        names.push(is_code.then(|| name.to_owned()));
    }
    if names.iter().flatten().next().is_none() { Err(ReferenceRatesError::NotReferenceRates) } else { Ok(names) }
}

fn row(
    record: &csv::StringRecord,
    currencies: &[Option<String>],
    rates: &mut Vec<ReferenceRate>,
) -> Result<(), ReferenceRatesError> {
    let line = record.position().map_or(0, csv::Position::line);
    let wrong = |column: &str, value: &str, reason: String| ReferenceRatesError::Cell {
        line,
        column: column.to_owned(),
        value: value.chars().take(80).collect(),
        reason,
    };
    let text = record.get(0).unwrap_or_default();
    let day = ["%Y-%m-%d", "%d %B %Y"]
        .iter()
        .find_map(|format| NaiveDate::parse_from_str(text, format).ok())
        .ok_or_else(|| wrong("Date", text, "is not a day like 2026-11-24 or 24 November 2026".into()))?;
    for (index, value) in record.iter().skip(1).enumerate() {
        if value.is_empty() || value.eq_ignore_ascii_case("n/a") {
            continue;
        }
        let Some(Some(currency)) = currencies.get(index) else {
            return Err(wrong("a column without a name", value, "belongs to no currency".into()));
        };
        let number = Decimal::parse(value).map_err(|error| wrong(currency, value, error.to_string()))?;
        let units_per_euro = number.to_big_decimal().normalized();
        if units_per_euro.sign() != Sign::Plus {
            return Err(wrong(currency, value, "is not above zero".into()));
        }
        if currency == "EUR" && !units_per_euro.is_one() {
            return Err(wrong(currency, value, "is not 1, and a euro is worth one euro".into()));
        }
        rates.push(ReferenceRate { day, currency: currency.clone(), units_per_euro });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, ReferenceRatesError> {
        let rates = reference_rates(text.as_bytes())?;
        Ok(rates.iter().map(|rate| format!("{} {} {}", rate.day, rate.currency, rate.units_per_euro)).collect())
    }

    #[test]
    fn the_history_and_the_file_of_a_day_are_read() {
        let history = "Date,USD,JPY,CYP,\r\n2026-11-24,1.0867,164.54,N/A,\r\n2026-11-23,1.0830,,N/A,\r\n";
        let rates = ["2026-11-23 USD 1.083", "2026-11-24 JPY 164.54", "2026-11-24 USD 1.0867"];
        assert_eq!(read(history).unwrap(), rates);
        let day = "Date, USD, JPY, \n24 November 2026, 1.0867, 164.54, \n";
        assert_eq!(read(day).unwrap(), rates[1..]);
    }

    #[test]
    fn a_wrong_cell_is_named_and_nothing_is_taken() {
        for (text, says) in [
            ("Date,USD\n2026-11-24,1.1\n2026-11-23,1;08", "Line 3, USD: \"1;08\" is not a number"),
            ("Date,USD\n2026-11-24,-1", "Line 2, USD: \"-1\" is not above zero"),
            ("Date,USD\n24.11.2026,1", "Line 2, Date: \"24.11.2026\" is not a day"),
            ("Date,USD\n2026-11-24,1,2", "Line 2, a column without a name: \"2\" belongs to no currency"),
            ("Date,EUR\n2026-11-24,2", "Line 2, EUR: \"2\" is not 1"),
            ("Date,USD\n2026-11-24,1\n2026-11-24,2", "2026-11-24 has two different rates for USD"),
            ("Date,USD\n2026-11-24,N/A", "no rate in it"),
            ("BilledCost,EffectiveCost\n1,2", "not a file of euro reference rates"),
            ("Date,USD,USD\n", "not a file of euro reference rates"),
            ("", "not a file of euro reference rates"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
        assert_eq!(read("Date,USD\n2026-11-24,1\n2026-11-24,1").unwrap().len(), 1);
    }
}
