//! Usage metrics from a CSV file: what shared costs are divided by.

use super::mapper;
use super::remap;
use crate::allocate::Catalogue;
use crate::store::metric_points::{self, MetricPoint};
use crate::store::{Pools, audit};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use std::collections::BTreeSet;

/// A file with more lines is given in parts.
const LINE_COUNT_MAX: usize = 2_000_000;
/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;
const FAULTS_SHOWN_MAX: usize = 20;
const NAME_CHARS_MAX: usize = 200;
const VALUE_CHARS_MAX: usize = 60;

/// Why a file was not taken in. Nothing of it is stored then.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// It is no such file.
    #[error("{0}")]
    NotReadable(String),
    /// Lines that are wrong, each with its number and what to do.
    #[error("Nothing was stored. {}", .0.join("\n"))]
    Lines(Vec<String>),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<sqlx::Error> for MetricsError {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

/// What a file brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsReport {
    /// Values that were stored.
    pub point_count: usize,
    /// The metrics that they are of.
    pub metrics: Vec<String>,
}

/// Takes a file in: all of its lines or none, and works shared costs out anew. A value that is there already is
/// replaced; the same file twice changes nothing.
pub async fn import(pools: &Pools, text: &[u8], by: &str, now: DateTime<Utc>) -> Result<MetricsReport, MetricsError> {
    let mut transaction = pools.jobs.begin().await?;
    remap::begin(&mut transaction).await?;
    let catalogue = mapper::catalogue_names(&mut transaction).await?;
    let points = read(text, &catalogue)?;
    metric_points::upsert(&mut transaction, &points, by, now).await?;
    let metrics: BTreeSet<&str> = points.iter().map(|point| point.metric.as_str()).collect();
    let report = MetricsReport { point_count: points.len(), metrics: metrics.into_iter().map(str::to_owned).collect() };
    let details = json!({ "values": report.point_count, "metrics": report.metrics });
    audit::insert(&mut transaction, now, by, "", "metrics.imported", "metrics", details).await?;
    remap::work_out_splits(&mut transaction, by, now).await?;
    transaction.commit().await?;
    Ok(report)
}

struct Columns {
    metric: usize,
    service: usize,
    day: usize,
    value: usize,
    environment: Option<usize>,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self, MetricsError> {
        let find = |name: &str| header.iter().position(|column| column.trim().eq_ignore_ascii_case(name));
        let needed = |name: &str| {
            find(name).ok_or_else(|| {
                MetricsError::NotReadable(format!(
                    "The file has no column “{name}”. It needs metric, service, day and value, and may have environment."
                ))
            })
        };
        Ok(Self {
            metric: needed("metric")?,
            service: needed("service")?,
            day: needed("day")?,
            value: needed("value")?,
            environment: find("environment"),
        })
    }
}

/// The points of a file, or every line that is wrong.
fn read(text: &[u8], catalogue: &Catalogue) -> Result<Vec<MetricPoint>, MetricsError> {
    if text.split(|byte| *byte == b'\n').any(|line| line.len() > LINE_BYTES_MAX) {
        return Err(MetricsError::NotReadable(format!("A line is longer than {LINE_BYTES_MAX} bytes.")));
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text);
    let unreadable =
        |error: csv::Error| MetricsError::NotReadable(format!("The file is not readable as CSV: {error}."));
    let columns = Columns::of(reader.headers().map_err(unreadable)?)?;
    let (mut points, mut faults, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (index, record) in reader.records().enumerate() {
        if index >= LINE_COUNT_MAX {
            return Err(MetricsError::NotReadable(format!("The file has more than {LINE_COUNT_MAX} lines: split it.")));
        }
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        match point(&record, &columns, catalogue) {
            Ok(point) => {
                let place = (point.metric.clone(), point.charge_date, point.service_id, point.environment_id);
                if !seen.insert(place) {
                    faults.push(format!("Line {line}: the same metric, service, environment and day came before."));
                }
                points.push(point);
            }
            Err(fault) => faults.push(format!("Line {line}: {fault}")),
        }
    }
    if faults.is_empty() {
        return if points.is_empty() {
            Err(MetricsError::NotReadable("The file has no lines below its header.".into()))
        } else {
            Ok(points)
        };
    }
    let more = faults.len().saturating_sub(FAULTS_SHOWN_MAX);
    faults.truncate(FAULTS_SHOWN_MAX);
    if more > 0 {
        faults.push(format!("and {more} more"));
    }
    Err(MetricsError::Lines(faults))
}

fn point(record: &csv::StringRecord, columns: &Columns, catalogue: &Catalogue) -> Result<MetricPoint, String> {
    let cell = |column: usize| record.get(column).unwrap_or_default().trim();
    let short = |text: &str| text.chars().take(60).collect::<String>();
    let metric = cell(columns.metric);
    if metric.is_empty() || metric.chars().count() > NAME_CHARS_MAX || metric.chars().any(char::is_control) {
        return Err(format!("a metric has a name of at most {NAME_CHARS_MAX} visible characters."));
    }
    let service = cell(columns.service);
    let missing =
        |what: &str, name: &str| format!("there is no {what} “{}”. Add it to the catalogue first.", short(name));
    let service_id = catalogue.services.find(service).ok_or_else(|| missing("service", service))?;
    let environment_id = match columns.environment.map(cell).filter(|name| !name.is_empty()) {
        None => 0,
        Some(name) => catalogue.environments.find(name).ok_or_else(|| missing("environment", name))?,
    };
    let day = cell(columns.day);
    let charge_date: NaiveDate =
        day.parse().map_err(|_| format!("“{}” is not a day. Write it as 2026-10-31.", short(day)))?;
    let value = cell(columns.value);
    let is_plain = value.len() <= VALUE_CHARS_MAX && value.chars().all(|c| c.is_ascii_digit() || c == '.');
    let value: BigDecimal = is_plain
        .then(|| value.parse().ok())
        .flatten()
        .ok_or_else(|| format!("“{}” is not a value: write digits and a point, 0 or more.", short(value)))?;
    Ok(MetricPoint { metric: metric.to_owned(), service_id, environment_id, charge_date, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Catalogue {
        let mut catalogue = Catalogue::default();
        catalogue.services.insert("shop", 1);
        catalogue.environments.insert("prod", 7);
        catalogue
    }

    #[test]
    fn lines_become_points() {
        let text = "\u{feff}Day,Metric,Service,Value,Environment\n2026-10-01,requests,Shop,12.50,\n2026-10-01,requests,shop,3,PROD\n";
        let points = read(text.as_bytes(), &catalogue()).unwrap();
        assert_eq!(points.len(), 2);
        assert_eq!((points[0].service_id, points[0].environment_id, points[1].environment_id), (1, 0, 7));
        assert_eq!(points[0].value, "12.5".parse::<BigDecimal>().unwrap());
    }

    #[test]
    fn every_wrong_line_is_told_and_nothing_is_taken() {
        let text = "metric,service,day,value\nr,nobody,2026-10-01,1\nr,shop,01.10.2026,1\nr,shop,2026-10-01,-1\n\
                    r,shop,2026-10-01,1\nr,shop,2026-10-01,2\n,shop,2026-10-02,1\nr,shop,2026-10-03,1e9\n";
        let error = read(text.as_bytes(), &catalogue()).unwrap_err().to_string();
        for part in [
            "Line 2: there is no service “nobody”",
            "Line 3: “01.10.2026” is not a day",
            "Line 4: “-1”",
            "Line 6: the same metric",
            "Line 7: a metric has a name",
            "Line 8: “1e9”",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let missing = read(b"metric,service,day\n", &catalogue()).unwrap_err().to_string();
        assert!(missing.contains("no column “value”"), "{missing}");
        assert!(read(b"metric,service,day,value\n", &catalogue()).unwrap_err().to_string().contains("no lines"));
    }
}
