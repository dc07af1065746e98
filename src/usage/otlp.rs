//! OTLP metrics over HTTP: protobuf and JSON. Sums, gauges, and the counts of histograms are values; what else comes is
//! told by name.

use super::message::{
    AnyValue, ExportRequest, ExportResponse, HistogramPoint, KeyValue, Metric, NumberPoint, PartialSuccess,
};
use super::number::exact;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bigdecimal::BigDecimal;
use chrono::{DateTime, Utc};
use prost::Message;
use serde_json::{Number, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Values of one request.
pub const VALUES_MAX: usize = 100_000;
/// Of a metric's name. Those that values are taken of are shorter, so that none is taken for another.
const NAME_CHARS_MAX: usize = 1000;
const NO_RECORDED_VALUE: u32 = 1;
const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;

/// How a value is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was counted since the last one.
    Delta,
    /// What was counted since the start.
    Cumulative,
    /// What it is now.
    Gauge,
}

/// A value of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The metric's name as its sender writes it.
    pub name: String,
    /// Which of the resources of the request it is of.
    pub resource: usize,
    /// Names its series: resource, scope, metric, kind and attributes.
    pub series: [u8; 16],
    /// How it is meant.
    pub kind: Kind,
    /// Since when it was counted.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was measured.
    pub at: DateTime<Utc>,
    /// 0 or more.
    pub value: BigDecimal,
}

/// Why a value is none that can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unusable {
    /// Of a kind that no value can be taken from.
    Kind,
    /// No number of zero or more, or without a time.
    Value,
}

/// What a request says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decoded {
    /// The attributes of each resource, whole: rules compare them to their end.
    pub resources: Vec<BTreeMap<String, String>>,
    /// Values, in the order in which they came.
    pub values: Vec<Measured>,
    /// What no value can be taken from, by resource and name: how many.
    pub unusable: BTreeMap<(usize, String, Unusable), i64>,
}

/// Reads a request of `application/x-protobuf`.
pub fn protobuf(body: &[u8]) -> Result<Decoded, String> {
    let request = ExportRequest::decode(body).map_err(|error| format!("The body is no OTLP metrics: {error}."))?;
    decoded(request)
}

/// Reads a request of `application/json`.
pub fn json(body: &[u8]) -> Result<Decoded, String> {
    let request = serde_json::from_slice(body).map_err(|error| format!("The body is no OTLP metrics: {error}."))?;
    decoded(request)
}

/// The answer as protobuf.
pub fn answer(rejected: i64, message: &str) -> Vec<u8> {
    let partial = PartialSuccess { rejected_data_points: rejected, error_message: message.to_owned() };
    ExportResponse { partial_success: (rejected > 0).then_some(partial) }.encode_to_vec()
}

fn decoded(request: ExportRequest) -> Result<Decoded, String> {
    let mut decoded = Decoded::default();
    for of_resource in request.resource_metrics {
        let attributes = texts(&of_resource.resource.unwrap_or_default().attributes);
        let resource = decoded.resources.len();
        let mut name = Sha256::new();
        hash_pairs(&mut name, &attributes);
        decoded.resources.push(attributes);
        for scope in of_resource.scope_metrics {
            let mut name = name.clone();
            hash_text(&mut name, &scope.scope.unwrap_or_default().name);
            for metric in scope.metrics {
                read_metric(&mut decoded, resource, &name, metric);
                if decoded.values.len() > VALUES_MAX {
                    return Err(format!("A request holds at most {VALUES_MAX} values: send it in parts."));
                }
            }
        }
    }
    Ok(decoded)
}

fn read_metric(decoded: &mut Decoded, resource: usize, scope: &Sha256, metric: Metric) {
    let mut scope = scope.clone();
    hash_text(&mut scope, &metric.name);
    let mut of = Reader { decoded, resource, name: short(&metric.name), scope };
    for point in metric.gauge.unwrap_or_default().data_points {
        of.number(Some(Kind::Gauge), &point);
    }
    let sum = metric.sum.unwrap_or_default();
    let kind = match (sum.aggregation_temporality, sum.is_monotonic) {
        (DELTA, true) => Some(Kind::Delta),
        (CUMULATIVE, true) => Some(Kind::Cumulative),
        // What goes up and down is what it is now.
        (CUMULATIVE, false) => Some(Kind::Gauge),
        _ => None,
    };
    for point in sum.data_points {
        of.number(kind, &point);
    }
    for histogram in [metric.histogram, metric.exponential_histogram].into_iter().flatten() {
        let kind = match histogram.aggregation_temporality {
            DELTA => Some(Kind::Delta),
            CUMULATIVE => Some(Kind::Cumulative),
            _ => None,
        };
        for point in histogram.data_points {
            of.count(kind, &point);
        }
    }
    for _ in metric.summary.unwrap_or_default().data_points {
        of.unusable(Unusable::Kind);
    }
}

struct Reader<'a> {
    decoded: &'a mut Decoded,
    resource: usize,
    name: String,
    scope: Sha256,
}

/// When a value was: since, and at.
type Times = (Option<u64>, Option<u64>);

impl Reader<'_> {
    fn number(&mut self, kind: Option<Kind>, point: &NumberPoint) {
        let value = match (point.as_int, point.as_double) {
            (Some(whole), _) if whole >= 0 => Some(BigDecimal::from(whole)),
            (None, Some(float)) => exact(float),
            _ => None,
        };
        let times = (point.start_time_unix_nano, point.time_unix_nano);
        self.value(kind, value, times, point.flags, &point.attributes);
    }

    fn count(&mut self, kind: Option<Kind>, point: &HistogramPoint) {
        let times = (point.start_time_unix_nano, point.time_unix_nano);
        self.value(kind, point.count.map(BigDecimal::from), times, point.flags, &point.attributes);
    }

    fn value(
        &mut self,
        kind: Option<Kind>,
        value: Option<BigDecimal>,
        (started, at): Times,
        flags: u32,
        attributes: &[KeyValue],
    ) {
        // Its sender says that there is none: that is missing, and no fault.
        if flags & NO_RECORDED_VALUE != 0 {
            return;
        }
        let Some(kind) = kind else { return self.unusable(Unusable::Kind) };
        let (Some(value), Some(at)) = (value, at.and_then(moment)) else { return self.unusable(Unusable::Value) };
        let mut name = self.scope.clone();
        name.update([kind as u8]);
        hash_pairs(&mut name, &texts(attributes));
        let mut series = [0; 16];
        series.copy_from_slice(&name.finalize()[..16]);
        let started_at = started.and_then(moment);
        let (name, resource) = (self.name.clone(), self.resource);
        self.decoded.values.push(Measured { name, resource, series, kind, started_at, at, value });
    }

    fn unusable(&mut self, why: Unusable) {
        *self.decoded.unusable.entry((self.resource, self.name.clone(), why)).or_default() += 1;
    }
}

// Zero stands for "not known". The database keeps microseconds: with more, what came before would look like later.
fn moment(nanoseconds: u64) -> Option<DateTime<Utc>> {
    let nanoseconds = i64::try_from(nanoseconds).ok().filter(|nanoseconds| *nanoseconds > 0)?;
    DateTime::from_timestamp_micros(nanoseconds / 1000)
}

// In full: what tells two series apart may stand at the end of a long text.
fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let pair = |pair: &KeyValue| (pair.key.clone(), pair.value.as_ref().map(text).unwrap_or_default());
    attributes.iter().map(pair).collect()
}

// Lists and maps are JSON and bytes base64, as OpenTelemetry has them where there is only text.
fn text(value: &AnyValue) -> String {
    let whole = || value.int_value.map(|value| value.to_string());
    let float = || value.double_value.map(|value| value.to_string());
    let truth = || value.bool_value.map(|value| value.to_string());
    let plain = value.string_value.clone().or_else(whole).or_else(float).or_else(truth);
    plain.unwrap_or_else(|| match structure(value) {
        Value::Null => String::new(),
        Value::String(bytes) => bytes,
        structure => structure.to_string(),
    })
}

// One text for what is the same: a map has no order of its own.
fn structure(value: &AnyValue) -> Value {
    if let Some(list) = &value.array_value {
        return list.values.iter().map(inner).collect();
    }
    if let Some(map) = &value.kvlist_value {
        let pair = |pair: &KeyValue| (pair.key.clone(), pair.value.as_ref().map_or(Value::Null, inner));
        let sorted: BTreeMap<String, Value> = map.values.iter().map(pair).collect();
        return sorted.into_iter().collect();
    }
    value.bytes_value.as_ref().map_or(Value::Null, |bytes| STANDARD.encode(bytes).into())
}

fn inner(value: &AnyValue) -> Value {
    let text = value.string_value.clone().map(Value::from);
    let whole = || value.int_value.map(Value::from);
    // JSON has no number for what is none.
    let float = |float: f64| Number::from_f64(float).map_or_else(|| float.to_string().into(), Value::Number);
    let float = || value.double_value.map(float);
    let truth = || value.bool_value.map(Value::from);
    text.or_else(whole).or_else(float).or_else(truth).unwrap_or_else(|| structure(value))
}

fn short(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).collect()
}

fn hash_pairs(hash: &mut Sha256, pairs: &BTreeMap<String, String>) {
    hash.update((pairs.len() as u64).to_le_bytes());
    for (key, value) in pairs {
        hash_text(hash, key);
        hash_text(hash, value);
    }
}

fn hash_text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"resourceMetrics": [{
      "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}},
                                  {"key": "replica", "value": {"intValue": "7"}}]},
      "scopeMetrics": [{"scope": {"name": "s"}, "metrics": [
        {"name": "orders", "unit": "1", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
          {"startTimeUnixNano": "1790000000000000000", "timeUnixNano": "1790000060000000000", "asInt": "12",
           "attributes": [{"key": "country", "value": {"stringValue": "DE"}}]},
          {"startTimeUnixNano": 1790000000000000000, "timeUnixNano": 1790000060000000000, "asDouble": 0.1}]}},
        {"name": "load", "gauge": {"dataPoints": [
          {"timeUnixNano": "1790000060000000000", "asDouble": "NaN"},
          {"timeUnixNano": "1790000060000000000", "asDouble": 0.5, "flags": 1},
          {"timeUnixNano": "1790000060000000000", "asInt": -3}]}},
        {"name": "queue", "sum": {"aggregationTemporality": "AGGREGATION_TEMPORALITY_CUMULATIVE", "dataPoints": [
          {"timeUnixNano": "1790000060000000000", "asInt": "4"}]}},
        {"name": "duration", "histogram": {"aggregationTemporality": 1, "dataPoints": [
          {"timeUnixNano": "1790000060000000000", "count": "9", "sum": 1.5, "bucketCounts": ["9"]}]}},
        {"name": "old", "summary": {"dataPoints": [{"timeUnixNano": "1"}]}}]}]}]}"#;

    #[test]
    fn sums_gauges_and_counts_are_values_and_the_rest_is_told() {
        let found = json(BODY.as_bytes()).unwrap();
        let text = |one: &Measured| format!("{} {:?} {}", one.name, one.kind, one.value);
        let values: Vec<String> = found.values.iter().map(text).collect();
        assert_eq!(values, ["orders Cumulative 12", "orders Cumulative 0.1", "queue Gauge 4", "duration Delta 9"]);
        assert_ne!(found.values[0].series, found.values[1].series, "attributes tell series apart");
        assert_eq!(found.values[0].at, "2026-09-21T14:14:20Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(found.resources[0]["replica"], "7");
        let unusable: Vec<_> =
            found.unusable.iter().map(|((_, name, why), count)| (name.as_str(), *why, *count)).collect();
        assert_eq!(unusable, [("load", Unusable::Value, 2), ("old", Unusable::Kind, 1)]);
    }

    #[test]
    fn protobuf_says_the_same_as_json() {
        let request: ExportRequest = serde_json::from_str(BODY).unwrap();
        assert_eq!(protobuf(&request.encode_to_vec()).unwrap(), json(BODY.as_bytes()).unwrap());
    }

    #[test]
    fn attributes_of_every_kind_tell_series_apart() {
        let long = |end: &str| format!(r#"{{"stringValue": "{}{end}"}}"#, "x".repeat(1000));
        let map = |pairs: &str| format!(r#"{{"kvlistValue": {{"values": [{pairs}]}}}}"#);
        let (a, b) =
            (r#"{"key": "a", "value": {"boolValue": true}}"#, r#"{"key": "b", "value": {"doubleValue": "NaN"}}"#);
        let values = [
            r#"{"arrayValue": {"values": [{"stringValue": "1"}, {"intValue": "2"}]}}"#.to_owned(),
            r#"{"arrayValue": {"values": [{"intValue": "2"}, {"stringValue": "1"}]}}"#.to_owned(),
            r#"{"arrayValue": {"values": [{"intValue": "1"}, {"intValue": "2"}]}}"#.to_owned(),
            r#"{"arrayValue": {"values": [{"arrayValue": {"values": []}}]}}"#.to_owned(),
            map(&format!("{a}, {b}")),
            map(b),
            r#"{"bytesValue": "-_8="}"#.to_owned(),
            r#"{"bytesValue": "AAE"}"#.to_owned(),
            "{}".to_owned(),
            long("1"),
            long("2"),
            // The same as one before.
            map(&format!("{b}, {a}")),
            r#"{"bytesValue": "+/8"}"#.to_owned(),
        ];
        let point = |value: &String| {
            format!(r#"{{"timeUnixNano": "1", "asInt": "1", "attributes": [{{"key": "k", "value": {value}}}]}}"#)
        };
        let points: Vec<String> = values.iter().map(point).collect();
        let resource = |value: &String| format!(r#"{{"key": "{}", "value": {value}}}"#, value.len());
        let resource = [&values[0], &values[4], &values[6], &values[9]].map(resource);
        let body = format!(
            r#"{{"resourceMetrics": [{{"resource": {{"attributes": [{}]}}, "scopeMetrics": [{{"metrics": [
                {{"name": "load", "gauge": {{"dataPoints": [{}]}}}}]}}]}}]}}"#,
            resource.join(","),
            points.join(",")
        );
        let request: ExportRequest = serde_json::from_str(&body).unwrap();
        let found = json(body.as_bytes()).unwrap();
        assert_eq!(protobuf(&request.encode_to_vec()).unwrap(), found);
        let series: Vec<[u8; 16]> = found.values.iter().map(|value| value.series).collect();
        let distinct: std::collections::BTreeSet<&[u8; 16]> = series.iter().collect();
        assert_eq!((series.len(), distinct.len()), (13, 11));
        assert_eq!((series[4], series[6]), (series[11], series[12]));
        let mut texts: Vec<&str> = found.resources[0].values().map(String::as_str).collect();
        texts.sort_unstable();
        let whole = format!("{}1", "x".repeat(1000));
        assert_eq!(texts, ["+/8=", r#"["1",2]"#, &whole, r#"{"a":true,"b":"NaN"}"#]);
    }

    /// Bytes as another program writes them: one gauge of 1.5 for the service "a", by the tags of the specification.
    #[test]
    fn bytes_of_the_specification_are_read() {
        let double = [vec![0x21], 1.5f64.to_le_bytes().to_vec()].concat();
        let time = [vec![0x19], 1_790_000_060_000_000_000u64.to_le_bytes().to_vec()].concat();
        let field = |tag: u8, inside: Vec<u8>| [vec![tag << 3 | 2, inside.len() as u8], inside].concat();
        let gauge = field(5, field(1, [time, double].concat()));
        let metric = field(2, [field(1, b"load".to_vec()), field(3, b"1".to_vec()), gauge].concat());
        let value = field(2, field(1, b"a".to_vec()));
        let attribute = field(1, [field(1, b"service.name".to_vec()), value].concat());
        let body = field(1, [field(1, attribute), field(2, metric)].concat());
        let found = protobuf(&body).unwrap();
        assert_eq!(found.resources[0]["service.name"], "a");
        assert_eq!((found.values[0].name.as_str(), found.values[0].value.to_string()), ("load", "1.5".into()));
        assert!(protobuf(b"\xff\xff").is_err() && json(b"{").is_err());
        assert!(answer(0, "").is_empty() && !answer(3, "x").is_empty());
    }
}
