//! Usage metrics from a CSV file: what shared costs are divided by.

use super::mapper;
use super::usage::{Taking, UsageError};
use super::usage_point::RawPoint;
use crate::allocate::Catalogue;
use crate::store::metric_points::{MetricPoint, Write};
use crate::store::{Pools, audit};
use chrono::{DateTime, Utc};
use serde_json::json;
use std::collections::BTreeSet;

/// A file with more lines is given in parts.
const LINE_COUNT_MAX: usize = 2_000_000;
/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Faults that are told one by one.
pub const FAULTS_SHOWN_MAX: usize = 20;

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
pub async fn import(
    pools: &Pools,
    text: &[u8],
    by: &str,
    client_address: &str,
    now: DateTime<Utc>,
) -> Result<MetricsReport, UsageError> {
    let mut taking = Taking::begin(pools, None).await?;
    let catalogue = mapper::catalogue_names(taking.conn()).await?;
    let points = read(text, &catalogue, now)?;
    taking.write(&points, Write::Replace, None, by, now).await?;
    let metrics: BTreeSet<&str> = points.iter().map(|point| point.metric.as_str()).collect();
    let report = MetricsReport { point_count: points.len(), metrics: metrics.into_iter().map(str::to_owned).collect() };
    let details = json!({ "values": report.point_count, "metrics": report.metrics });
    audit::insert(taking.conn(), now, by, client_address, "metrics.imported", "metrics", details).await?;
    taking.finish(by, now).await?;
    Ok(report)
}

struct Columns {
    metric: usize,
    service: usize,
    when: usize,
    value: usize,
    environment: Option<usize>,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self, UsageError> {
        let find = |name: &str| header.iter().position(|column| column.trim().eq_ignore_ascii_case(name));
        let needed = |name: &str| {
            find(name).ok_or_else(|| {
                UsageError::Refused(format!(
                    "The file has no column “{name}”. It needs metric, service, day and value, and may have environment; \
                     instead of day it may have hour."
                ))
            })
        };
        Ok(Self {
            metric: needed("metric")?,
            service: needed("service")?,
            when: find("hour").map_or_else(|| needed("day"), Ok)?,
            value: needed("value")?,
            environment: find("environment"),
        })
    }
}

/// The points of a file, or every line that is wrong.
fn read(text: &[u8], catalogue: &Catalogue, now: DateTime<Utc>) -> Result<Vec<MetricPoint>, UsageError> {
    if text.split(|byte| *byte == b'\n').any(|line| line.len() > LINE_BYTES_MAX) {
        return Err(UsageError::Refused(format!("A line is longer than {LINE_BYTES_MAX} bytes.")));
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text);
    let unreadable = |error: csv::Error| UsageError::Refused(format!("The file is not readable as CSV: {error}."));
    let columns = Columns::of(reader.headers().map_err(unreadable)?)?;
    let (mut points, mut faults, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (index, record) in reader.records().enumerate() {
        if index >= LINE_COUNT_MAX {
            return Err(UsageError::Refused(format!("The file has more than {LINE_COUNT_MAX} lines: split it.")));
        }
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        match point(&record, &columns).read(catalogue, now) {
            Ok(point) => {
                let place = (point.metric.clone(), point.slot, point.service_id, point.environment_id);
                if !seen.insert(place) {
                    faults.push(format!("Line {line}: the same metric, service, environment and time came before."));
                }
                points.push(point);
            }
            Err(fault) => faults.push(format!("Line {line}: {fault}")),
        }
    }
    if faults.is_empty() {
        return if points.is_empty() {
            Err(UsageError::Refused("The file has no lines below its header.".into()))
        } else {
            Ok(points)
        };
    }
    Err(UsageError::Lines(told(faults)))
}

/// The first faults, and how many more there are.
pub fn told(mut faults: Vec<String>) -> Vec<String> {
    let more = faults.len().saturating_sub(FAULTS_SHOWN_MAX);
    faults.truncate(FAULTS_SHOWN_MAX);
    if more > 0 {
        faults.push(format!("and {more} more"));
    }
    faults
}

fn point<'a>(record: &'a csv::StringRecord, columns: &Columns) -> RawPoint<'a> {
    let cell = move |column: usize| record.get(column).unwrap_or_default();
    RawPoint {
        metric: cell(columns.metric),
        service: cell(columns.service),
        environment: columns.environment.map(cell).unwrap_or_default(),
        when: cell(columns.when),
        value: cell(columns.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<MetricPoint>, UsageError> {
        super::read(text, &catalogue(), "2026-11-02T08:00:00Z".parse().unwrap())
    }

    fn catalogue() -> Catalogue {
        let mut catalogue = Catalogue::default();
        catalogue.services.insert("shop", 1);
        catalogue.environments.insert("prod", 7);
        catalogue
    }

    #[test]
    fn lines_become_points() {
        let text = "\u{feff}Day,Metric,Service,Value,Environment\n2026-10-01,requests,Shop,12.50,\n2026-10-01,requests,shop,3,PROD\n";
        let points = read(text.as_bytes()).unwrap();
        assert_eq!(points.len(), 2);
        assert_eq!((points[0].service_id, points[0].environment_id, points[1].environment_id), (1, 0, 7));
        assert_eq!(points[0].value, "12.5".parse::<bigdecimal::BigDecimal>().unwrap());
    }

    #[test]
    fn every_wrong_line_is_told_and_nothing_is_taken() {
        let text = "metric,service,day,value\nr,nobody,2026-10-01,1\nr,shop,01.10.2026,1\nr,shop,2026-10-01,-1\n\
                    r,shop,2026-10-01,1\nr,shop,2026-10-01,2\n,shop,2026-10-02,1\nr,shop,2026-10-03,-1e9\n\
                    r,shop,2031-11-21,1\n";
        let error = read(text.as_bytes()).unwrap_err().to_string();
        for part in [
            "Line 2: there is no service “nobody”",
            "Line 3: “01.10.2026” is not a day",
            "Line 4: “-1”",
            "Line 6: the same metric",
            "Line 7: a metric has a name",
            "Line 8: “-1e9”",
            "Line 9: “2031-11-21” is still to come",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let missing = read(b"metric,service,day\n").unwrap_err().to_string();
        assert!(missing.contains("no column “value”"), "{missing}");
        assert!(read(b"metric,service,day,value\n").unwrap_err().to_string().contains("no lines"));
    }
}
