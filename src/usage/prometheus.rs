//! What a Prometheus answers to a query over a range.

use bigdecimal::BigDecimal;
use chrono::{DateTime, Duration, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Series of one answer.
pub const SERIES_MAX: usize = 10_000;

/// A series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The hours that it has a value for, by their beginning.
    pub hours: Vec<(DateTime<Utc>, BigDecimal)>,
    /// Values that are no number of zero or more.
    pub unusable: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    /// Of a cluster of VictoriaMetrics: some of its stores did not answer.
    #[serde(default)]
    is_partial: bool,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Matrix {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(serde_json::Number, String)>,
}

/// Reads an answer whose steps are the ends of hours: the value at 14:00 is that of the hour from 13:00. A value that is
/// not a number stands for none.
pub fn hours(body: &[u8]) -> Result<Vec<Series>, String> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| format!("The answer is not that of a Prometheus: {error}. Check the address."))?;
    if answer.status != "success" {
        return Err(format!("Prometheus refuses the query: {}", short(&answer.error)));
    }
    // Sums of a part are too small, and what another store has would look as if it were gone.
    if answer.is_partial {
        return Err("The answer is of a part of the stores only. The next pull asks again for these hours.".into());
    }
    let data = answer.data.filter(|data| data.result_type == "matrix");
    let data = data.ok_or("The query gives no series over time: it has to be an instant vector or a number.")?;
    let found: Vec<Matrix> = serde_json::from_value(data.result)
        .map_err(|error| format!("The answer of the query is not readable: {error}."))?;
    if found.len() > SERIES_MAX {
        return Err(format!("The query gives {} series, more than {SERIES_MAX}: add them up by service.", found.len()));
    }
    Ok(found.into_iter().map(series).collect())
}

fn series(found: Matrix) -> Series {
    let (mut hours, mut unusable) = (Vec::new(), 0);
    for (at, text) in &found.values {
        // Seconds since 1970, with a fraction where the step has one.
        let at = at.as_f64().and_then(|seconds| DateTime::from_timestamp(seconds.round() as i64, 0));
        let value = text.parse::<f64>().ok();
        match (at, value, value.and_then(|_| exact(text))) {
            (Some(at), _, Some(value)) => hours.push((at - Duration::hours(1), value)),
            (_, Some(value), _) if value.is_nan() => {}
            _ => unusable += 1,
        }
    }
    Series { labels: found.metric, hours, unusable }
}

// As it is written, exponents included.
fn exact(text: &str) -> Option<BigDecimal> {
    super::number::exact(text.parse().ok()?)?;
    text.trim_start_matches('+').parse().ok()
}

fn short(text: &str) -> String {
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_the_ends_of_hours_and_no_number_is_no_value() {
        let body = r#"{"status": "success", "data": {"resultType": "matrix", "result": [
            {"metric": {"service": "shop"}, "values": [[1793451600, "1.5e+06"], [1793455200, "NaN"], [1793458800.0, "0.25"]]},
            {"metric": {}, "values": [[1793451600, "-1"], [1793455200, "+Inf"]]}]}}"#;
        let found = hours(body.as_bytes()).unwrap();
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let expected = vec![
            (at("2026-10-31T12:00:00Z") + Duration::hours(0), "1500000".parse().unwrap()),
            (at("2026-10-31T14:00:00Z"), "0.25".parse().unwrap()),
        ];
        assert_eq!(found[0].hours, expected);
        assert_eq!((found[0].unusable, found[1].unusable, found[1].hours.len()), (0, 2, 0));
    }

    #[test]
    fn what_is_refused_is_told() {
        let refused = br#"{"status": "error", "errorType": "bad_data", "error": "parse error at char 5"}"#;
        assert!(hours(refused).unwrap_err().contains("parse error at char 5"));
        let partial = br#"{"status": "success", "isPartial": true, "data": {"resultType": "matrix", "result": []}}"#;
        assert!(hours(partial).unwrap_err().contains("a part of the stores"));
        let whole = br#"{"status": "success", "isPartial": false, "data": {"resultType": "matrix", "result": []}}"#;
        assert_eq!(hours(whole), Ok(Vec::new()));
        assert!(hours(b"<html>").unwrap_err().contains("Check the address"));
        let scalar = br#"{"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}"#;
        assert!(hours(scalar).unwrap_err().contains("no series"));
    }
}
