//! A value of a metric as people and programs write it.

use crate::allocate::Catalogue;
use crate::store::metric_points::{MetricPoint, Slot};
use bigdecimal::BigDecimal;
use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};

const NAME_CHARS_MAX: usize = 200;
const VALUE_CHARS_MAX: usize = 60;
/// Zeros that an exponent adds at most, in front or behind: far more than anybody counts.
const EXPONENT_MAX: u64 = 60;
/// How far ahead a time may lie: the day has begun somewhere, and clocks differ.
const AHEAD_MAX: Duration = Duration::days(1);

/// A value with everything as text.
#[derive(Debug, Clone, Copy)]
pub struct RawPoint<'a> {
    /// The metric's name.
    pub metric: &'a str,
    /// A name of the service.
    pub service: &'a str,
    /// A name of the environment; empty where it is not told apart.
    pub environment: &'a str,
    /// `2026-10-31`, or the hour that begins at `2026-10-31T13:00:00Z`.
    pub when: &'a str,
    /// Digits and a point.
    pub value: &'a str,
}

/// The name of a metric, or what is wrong with it.
pub fn metric_name(name: &str) -> Result<&str, String> {
    let name = name.trim();
    let fits = !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control);
    // The page on which a metric is added has this address.
    if !fits || name == "new" {
        return Err(format!("a metric has a name of at most {NAME_CHARS_MAX} visible characters, other than “new”."));
    }
    Ok(name)
}

impl RawPoint<'_> {
    /// The point, or what is wrong.
    pub fn read(&self, catalogue: &Catalogue, now: DateTime<Utc>) -> Result<MetricPoint, String> {
        let metric = metric_name(self.metric)?.to_owned();
        let missing =
            |what: &str, name: &str| format!("there is no {what} “{}”. Add it to the catalogue first.", short(name));
        let service_id =
            catalogue.services.find(self.service).ok_or_else(|| missing("service", self.service.trim()))?;
        let environment_id = match self.environment.trim() {
            "" => 0,
            name => catalogue.environments.find(name).ok_or_else(|| missing("environment", name))?,
        };
        let slot = slot(self.when)?;
        if is_ahead(begin(slot), now) {
            return Err(format!("“{}” is still to come: usage is sent once it was.", short(self.when.trim())));
        }
        let text = self.value.trim();
        let value = value(text)
            .ok_or_else(|| format!("“{}” is not a value: write digits and a point, 0 or more.", short(text)))?;
        Ok(MetricPoint { metric, service_id, environment_id, slot, value })
    }
}

/// A day, or an hour by its beginning.
pub fn slot(text: &str) -> Result<Slot, String> {
    let text = text.trim();
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(Slot::Day(day));
    }
    let Ok(at) = text.parse::<DateTime<Utc>>() else {
        return Err(format!(
            "“{}” is not a day and no hour. Write a day as 2026-10-31, an hour as 2026-10-31T13:00:00Z.",
            short(text)
        ));
    };
    match Slot::hour_of(at) {
        Slot::Hour(hour) if hour == at => Ok(Slot::Hour(hour)),
        _ => Err(format!("“{}” is not the beginning of an hour: values are kept by the hour.", short(text))),
    }
}

/// Whether a time lies more than a day ahead. Nothing is known up to there, and what said so could hide what lacks.
pub fn is_ahead(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    at > now + AHEAD_MAX
}

fn begin(slot: Slot) -> DateTime<Utc> {
    match slot {
        Slot::Day(day) => day.and_time(NaiveTime::MIN).and_utc(),
        Slot::Hour(hour) => hour,
    }
}

/// A value of 0 or more, exact. Programs write large numbers with an exponent: `1e+16`.
pub fn value(text: &str) -> Option<BigDecimal> {
    let (digits, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(digits, rest)| (digits, Some(rest)));
    let is_plain = text.len() <= VALUE_CHARS_MAX
        && digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !is_plain {
        return None;
    }
    let exponent: i64 = exponent.map_or(Some(0), |text| text.parse().ok())?;
    if exponent.unsigned_abs() > EXPONENT_MAX {
        return None;
    }
    let (digits, scale) = digits.parse::<BigDecimal>().ok()?.into_bigint_and_exponent();
    let scale = scale - exponent;
    let value = BigDecimal::new(digits, scale);
    // The database keeps digits, not powers of ten.
    Some(if scale < 0 { value.with_scale(0) } else { value })
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_hours_are_told_apart_and_halves_of_hours_refused() {
        assert_eq!(slot("2026-10-31"), Ok(Slot::Day("2026-10-31".parse().unwrap())));
        assert_eq!(slot("2026-10-31T13:00:00Z"), Ok(Slot::Hour("2026-10-31T13:00:00Z".parse().unwrap())));
        assert_eq!(slot("2026-10-31T15:00:00+02:00"), Ok(Slot::Hour("2026-10-31T13:00:00Z".parse().unwrap())));
        assert!(slot("2026-10-31T13:30:00Z").unwrap_err().contains("beginning of an hour"));
        assert!(slot("31.10.2026").unwrap_err().contains("not a day"));
        assert_eq!(
            slot("2026-10-31T13:00:00Z").unwrap().end(),
            "2026-10-31T14:00:00Z".parse::<DateTime<Utc>>().unwrap()
        );
        let at: DateTime<Utc> = "2026-10-31T13:59:59.999Z".parse().unwrap();
        assert_eq!(Slot::hour_of(at), slot("2026-10-31T13:00:00Z").unwrap());
    }

    #[test]
    fn what_is_still_to_come_is_refused() {
        let mut catalogue = Catalogue::default();
        catalogue.services.insert("shop", 1);
        let now: DateTime<Utc> = "2026-11-02T08:00:00Z".parse().unwrap();
        let read = |when: &str| {
            RawPoint { metric: "requests", service: "shop", environment: "", when, value: "1" }.read(&catalogue, now)
        };
        for when in ["2026-11-03", "2026-11-03T08:00:00Z", "1999-01-01"] {
            assert!(read(when).is_ok(), "{when}");
        }
        for when in ["2026-11-04", "2026-11-03T09:00:00Z", "2031-11-21"] {
            let fault = read(when).unwrap_err();
            assert_eq!(fault, format!("“{when}” is still to come: usage is sent once it was."));
        }
        // The last day that a calendar has ends nowhere.
        assert!(read("+262142-12-31").is_err());
    }

    #[test]
    fn values_are_exact_and_never_below_zero() {
        assert_eq!(value("12.50"), Some("12.5".parse().unwrap()));
        let plain = |text: &str| value(text).unwrap().to_plain_string();
        for (text, expected) in [
            ("1e25", "10000000000000000000000000"),
            ("1e+16", "10000000000000000"),
            ("1.5E3", "1500"),
            ("12.5e-3", "0.0125"),
            ("9007199254740993e0", "9007199254740993"),
            ("12345678901234567890.123e2", "1234567890123456789012.3"),
            ("0e5", "0"),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
        let wrong = [
            "",
            "-1",
            ".5",
            "NaN",
            "1,5",
            "1.2.3",
            "e5",
            "-1e9",
            "1e",
            "1e1e1",
            "1e1.5",
            "1e61",
            "1e-9223372036854775808",
        ];
        for wrong in wrong {
            assert_eq!(value(wrong), None, "{wrong}");
        }
    }
}
