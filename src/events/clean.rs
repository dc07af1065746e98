//! Payloads come from outside: texts are capped, addresses are http or https, times are plausible.

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Utc};
use serde_json::Value;

/// The longest text that is kept, in characters.
pub const TEXT_LENGTH_MAX: usize = 500;
const URL_LENGTH_MAX: usize = 2000;
/// The longest id. Ids are looked up by an index, which takes no row of more than some 2,700 bytes.
pub const ID_LENGTH_MAX: usize = 200;

/// A text without control and direction-changing characters, trimmed and capped; nothing where nothing is left. One that
/// was cut ends with "…".
pub fn text(raw: &str) -> Option<String> {
    let raw = raw.trim();
    // As nearly all are: copied once.
    if raw.len() <= TEXT_LENGTH_MAX && raw.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return (!raw.is_empty()).then(|| raw.to_owned());
    }
    let mut plain = raw.chars().filter(|c| is_plain(*c));
    let mut kept: String = plain.by_ref().take(TEXT_LENGTH_MAX).collect();
    if plain.next().is_some() {
        kept.pop();
        return Some(format!("{}…", kept.trim_end()));
    }
    let kept = kept.trim_end();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// An id without what [`text`] leaves out; nothing where nothing is left. One that is longer than
/// [`ID_LENGTH_MAX`] is none: cut, it could be that of another object.
pub fn id(raw: &str) -> Option<String> {
    text(raw).filter(|_| raw.trim().chars().count() <= ID_LENGTH_MAX)
}

/// A text of any length without what [`text`] leaves out: no column takes a NUL. Nothing where nothing is left.
pub fn whole(raw: &str) -> Option<String> {
    let kept: String = raw.trim().chars().filter(|c| is_plain(*c)).collect();
    (!kept.is_empty()).then_some(kept)
}

// Direction marks can make a name on a page look like another.
fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// An http or https address without credentials; anything else is not kept, for it would become a link.
pub fn url(raw: &str) -> Option<String> {
    let raw = raw.trim();
    let (scheme, rest) = raw.split_once("://")?;
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if !is_web || raw.len() > URL_LENGTH_MAX || raw.chars().any(|c| c.is_whitespace() || !is_plain(c)) {
        return None;
    }
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then(|| format!("{}://{host}{path}", scheme.to_ascii_lowercase()))
}

/// A full commit hash, lower case: 40 or 64 hexadecimal digits that are not all zero.
pub fn sha(raw: &str) -> Option<String> {
    let raw = raw.trim();
    let is_hash = matches!(raw.len(), 40 | 64) && raw.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hash && raw.bytes().any(|byte| byte != b'0')).then(|| raw.to_ascii_lowercase())
}

/// A time as senders write it, and whether it had to be replaced by the time of receipt: year before 2000,
/// more than a day ahead, or not readable. Nothing where the sender said nothing.
pub fn time(value: &Value, received_at: DateTime<Utc>) -> Option<(DateTime<Utc>, bool)> {
    let raw = match value {
        Value::String(raw) if !raw.trim().is_empty() => raw.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let plausible = parse_time(&raw).filter(|time| time.year() >= 2000 && *time <= received_at + TimeDelta::days(1));
    Some(plausible.map_or((received_at, true), |time| (time, false)))
}

/// RFC 3339, the forms with a space that some senders use, or an epoch in s, ms, µs or ns. Cut to microseconds.
pub fn parse_time(raw: &str) -> Option<DateTime<Utc>> {
    let time = epoch(raw)
        .or_else(|| DateTime::parse_from_rfc3339(raw).ok().map(|time| time.to_utc()))
        .or_else(|| DateTime::parse_from_str(raw, "%Y-%m-%d %H:%M:%S%.f %z").ok().map(|time| time.to_utc()))
        .or_else(|| {
            let raw = raw.strip_suffix(" UTC")?;
            Some(NaiveDateTime::parse_from_str(raw, "%Y-%m-%d %H:%M:%S%.f").ok()?.and_utc())
        })?;
    DateTime::from_timestamp_micros(time.timestamp_micros())
}

// The unit shows in the magnitude: seconds reach 10^11 in the year 5138, milliseconds pass it in 1973.
fn epoch(raw: &str) -> Option<DateTime<Utc>> {
    let (whole, fraction) = raw.split_once('.').unwrap_or((raw, ""));
    let number: i64 = whole.parse().ok()?;
    let micros_each: i64 = match number.unsigned_abs() {
        0..100_000_000_000 => 1_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1,
        _ => return DateTime::from_timestamp_micros(number / 1000),
    };
    let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let fraction_micros = digits.parse::<i64>().ok()? * micros_each / 1_000_000;
    DateTime::from_timestamp_micros(number.checked_mul(micros_each)?.checked_add(fraction_micros)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn received() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn times_in_every_unit_and_form() {
        let expected = Some("2026-02-28T10:11:12.345678Z".parse().unwrap());
        for raw in [
            "2026-02-28T10:11:12.345678Z",
            "2026-02-28T11:11:12.345678912+01:00",
            "2026-02-28 10:11:12.345678 UTC",
            "2026-02-28 10:11:12.345678 +0000",
            "1772273472.345678",
            "1772273472345.678",
            "1772273472345678",
            "1772273472345678999",
        ] {
            assert_eq!(parse_time(raw), expected, "{raw}");
        }
    }

    #[test]
    fn implausible_times_become_the_time_of_receipt() {
        for raw in [json!("0001-01-01T00:00:00Z"), json!("2026-03-03T00:00:00Z"), json!("soon"), json!(12)] {
            assert_eq!(time(&raw, received()), Some((received(), true)), "{raw}");
        }
        assert_eq!(time(&json!(null), received()), None);
        assert_eq!(time(&json!(""), received()), None);
    }

    #[test]
    fn only_web_addresses_are_kept() {
        assert_eq!(url("https://u:p@example.com/a?b=c@d").as_deref(), Some("https://example.com/a?b=c@d"));
        assert_eq!(url("HTTP://example.com").as_deref(), Some("http://example.com"));
        for raw in
            ["javascript:alert(1)", "javascript://x/%0aalert(1)", "data:text/html,x", "https://", "", "https://a b"]
        {
            assert_eq!(url(raw), None, "{raw}");
        }
    }

    #[test]
    fn texts_are_capped_and_plain() {
        assert_eq!(text(" a\u{0}b\u{202e}c\n ").as_deref(), Some("abc"));
        assert_eq!(text(" \u{0} "), None);
        assert_eq!(
            (text("  "), text(" a b~ ").as_deref(), text("a\u{7f}b").as_deref()),
            (None, Some("a b~"), Some("ab"))
        );
        assert_eq!(text(&"e".repeat(600)).unwrap().chars().count(), TEXT_LENGTH_MAX);
        assert_eq!(text(&"é".repeat(600)).unwrap().chars().count(), TEXT_LENGTH_MAX);
        assert_eq!(text(&"é".repeat(500)), Some("é".repeat(500)));
        assert_eq!(text(&"e".repeat(501)), Some(format!("{}…", "e".repeat(499))));
    }

    #[test]
    fn a_branch_name_or_zeros_are_no_hash() {
        assert_eq!(sha("main"), None);
        assert_eq!(sha(&"0".repeat(40)), None);
        assert_eq!(sha(&"A".repeat(40)), Some("a".repeat(40)));
    }
}
