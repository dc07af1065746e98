use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Timelike, Utc};

/// No zone lies further east than this hour of the day before: its midnight is 14 hours before that of UTC.
const EASTERN_MIDNIGHT_HOUR: u32 = 10;

/// Other years are placeholders such as 0001-01-01, not periods of a bill.
const YEARS: std::ops::RangeInclusive<u32> = 1970..=2199;

/// Reads the moments that bills write: `2024-09-01T00:00:00Z`, with a space, without zone (UTC), with a fraction,
/// without seconds, with an offset, or a plain date. An hour 30 is no moment.
pub(super) fn read(text: &str) -> Option<DateTime<Utc>> {
    let (moment, offset) = parse(text)?;
    if offset.local_minus_utc() == 0 {
        return Some(moment.and_utc());
    }
    Some(offset.from_local_datetime(&moment).single()?.with_timezone(&Utc))
}

/// The same without the offset: the date and time as they are written.
pub(super) fn read_label(text: &str) -> Option<DateTime<Utc>> {
    parse(text).map(|(moment, _)| Utc.from_utc_datetime(&moment))
}

/// A first or last moment of a billing period: as it is written, but for the last hours before the first of a month. A
/// midnight east of Greenwich lies there where it is told in UTC, and so does a last second that belongs to its period:
/// both stand for the first itself.
pub(super) fn read_bound(text: &str) -> Option<DateTime<Utc>> {
    let written = read_label(text)?;
    let next_day = written.date_naive().succ_opt().filter(|day| day.day() == 1);
    Some(match next_day {
        Some(first) if written.hour() >= EASTERN_MIDNIGHT_HOUR => first.and_time(NaiveTime::MIN).and_utc(),
        _ => written,
    })
}

fn parse(text: &str) -> Option<(NaiveDateTime, FixedOffset)> {
    let utc = FixedOffset::east_opt(0)?;
    let bytes = text.as_bytes();
    if let Some(moment) = parse_usual(bytes) {
        return Some((moment, utc));
    }
    let date = read_date(bytes.get(..10)?)?;
    let rest = text.get(10..)?;
    if rest.is_empty() {
        return Some((date.and_time(NaiveTime::MIN), utc));
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let zone_at = rest.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let moment = NaiveDateTime::new(date, read_clock(clock)?);
    match zone.trim() {
        "" | "Z" | "z" | "UTC" => Some((moment, utc)),
        offset => Some((moment, read_offset(offset)?)),
    }
}

/// A day as it is written, and the day: many moments of a column are of one.
#[derive(Default)]
pub(super) struct LastDay {
    text: [u8; 10],
    date: Option<NaiveDate>,
}

impl LastDay {
    /// The moment of a text in the usual form which begins with the last day that was written.
    #[inline]
    pub fn read(&self, text: &str) -> Option<DateTime<Utc>> {
        let (day, clock) = text.as_bytes().split_first_chunk::<10>()?;
        if *day != self.text {
            return None;
        }
        Some(self.date?.and_time(usual_clock(clock)?).and_utc())
    }

    /// Remembers the day of a text.
    pub fn set(&mut self, text: &str) {
        let day = text.as_bytes().first_chunk::<10>();
        *self = day.map(|day| Self { text: *day, date: usual_date(*day) }).unwrap_or_default();
    }
}

/// `2024-09-01T00:00:00Z`, which nearly every bill writes, or the same with a space, without seconds, with a fraction of
/// nothing, without zone, with ` UTC` or with `+00:00`. What is written otherwise is for [`parse`] to read or refuse.
fn parse_usual(bytes: &[u8]) -> Option<NaiveDateTime> {
    let (day, clock) = bytes.split_first_chunk::<10>()?;
    let time = usual_clock(clock)?;
    Some(usual_date(*day)?.and_time(time))
}

fn usual_date(day: [u8; 10]) -> Option<NaiveDate> {
    if (day[4], day[7]) != (b'-', b'-') {
        return None;
    }
    let two = |at: usize| two_digits(day[at], day[at + 1]);
    let year = Some(two(0)? * 100 + two(2)?).filter(|year| YEARS.contains(year))?;
    NaiveDate::from_ymd_opt(year as i32, two(5)?, two(8)?)
}

#[inline]
fn usual_clock(clock: &[u8]) -> Option<NaiveTime> {
    let [b'T' | b' ', clock @ ..] = clock else { return None };
    let (seconds, zone) = match clock.split_first_chunk::<8>().map(|(clock, zone)| (seconds_of_day(*clock), zone)) {
        Some((Some(seconds), zone)) => (seconds, zone.strip_prefix(b".000").unwrap_or(zone)),
        _ => {
            let ([hour_tens, hour_ones, b':', tens, ones], zone) = clock.split_first_chunk::<5>()? else { return None };
            (hour_and_minute(two_digits(*hour_tens, *hour_ones)?, two_digits(*tens, *ones)?)?, zone)
        }
    };
    if !matches!(zone, b"" | b"Z" | b" UTC" | b"+00:00") {
        return None;
    }
    NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0)
}

fn hour_and_minute(hour: u32, minute: u32) -> Option<u32> {
    (hour < 24 && minute < 60).then_some((hour * 60 + minute) * 60)
}

/// What `14:05:09` is of a day. All of it is looked at together, as one number.
#[inline]
fn seconds_of_day(clock: [u8; 8]) -> Option<u32> {
    const COLONS: u64 = 0x0000_ff00_00ff_0000;
    // What is a colon or a zero becomes nothing, a digit its value.
    let values = u64::from_le_bytes(clock) ^ u64::from_le_bytes(*b"00:00:00");
    let is_above_nine = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080 != 0;
    if is_above_nine || values & COLONS != 0 {
        return None;
    }
    let [hour_tens, hour_ones, _, minute_tens, minute_ones, _, tens, ones] = values.to_le_bytes().map(u32::from);
    let second = tens * 10 + ones;
    let before = hour_and_minute(hour_tens * 10 + hour_ones, minute_tens * 10 + minute_ones)?;
    (second < 60).then_some(before + second)
}

#[inline]
fn two_digits(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

fn read_date(bytes: &[u8]) -> Option<NaiveDate> {
    if bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = number(&bytes[..4]).filter(|year| YEARS.contains(year))?;
    NaiveDate::from_ymd_opt(year as i32, number(&bytes[5..7])?, number(&bytes[8..])?)
}

/// `HH:MM`, `HH:MM:SS` or `HH:MM:SS.fraction`.
fn read_clock(text: &str) -> Option<NaiveTime> {
    let bytes = text.as_bytes();
    let (hour, minute) = (number(bytes.get(..2)?)?, number(bytes.get(3..5)?)?);
    if bytes[2] != b':' {
        return None;
    }
    let (second, nanosecond) = match bytes.get(5..)? {
        [] => (0, 0),
        [b':', a, b] => (number(&[*a, *b])?, 0),
        [b':', a, b, b'.', fraction @ ..] if !fraction.is_empty() => (number(&[*a, *b])?, read_fraction(fraction)?),
        _ => return None,
    };
    NaiveTime::from_hms_nano_opt(hour, minute, second, nanosecond)
}

/// Digits beyond nanoseconds are dropped.
fn read_fraction(digits: &[u8]) -> Option<u32> {
    let kept = &digits[..digits.len().min(9)];
    number(&digits[kept.len()..])?;
    Some(number(kept)? * 10_u32.pow(9 - kept.len() as u32))
}

/// `+02:00`, `+0200`, `+02`, `+0000 UTC`.
fn read_offset(text: &str) -> Option<FixedOffset> {
    let text = text.strip_suffix("UTC").unwrap_or(text).trim_end();
    let (sign, digits) = match text.as_bytes() {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [a, b] => (number(&[*a, *b])?, 0),
        [a, b, c, d] | [a, b, b':', c, d] => (number(&[*a, *b])?, number(&[*c, *d])?),
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60) as i32)
}

/// Up to nine digits; none at all are zero.
fn number(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .take(9)
        .try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        read(text).map_or("none".into(), |moment| moment.format("%Y-%m-%d %H:%M:%S%.f").to_string())
    }

    #[test]
    fn every_form_that_bills_write_is_read() {
        let cases = [
            ("2024-09-01T22:05:09Z", "2024-09-01 22:05:09"),
            ("2024-09-01 22:05:09", "2024-09-01 22:05:09"),
            ("2024-09-01T22:05:09.123Z", "2024-09-01 22:05:09.123"),
            ("2024-09-01T22:05:09.1234567891Z", "2024-09-01 22:05:09.123456789"),
            ("2024-01-18T18:00Z", "2024-01-18 18:00:00"),
            ("2024-09-01", "2024-09-01 00:00:00"),
            ("2024-09-01T01:30:00+02:00", "2024-08-31 23:30:00"),
            ("2024-09-01 00:00:00-0530", "2024-09-01 05:30:00"),
            ("2019-02-01 00:00:00 +0000 UTC", "2019-02-01 00:00:00"),
            ("2024-09-01 00:00:00 UTC", "2024-09-01 00:00:00"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn another_clock_of_the_last_day_is_read() {
        let mut day = LastDay::default();
        assert_eq!(day.read("2024-09-01T05:06:07Z"), None);
        day.set("2024-09-01");
        for clock in ["T05:06:07Z", " 05:06:07 UTC", "T05:06:07.000+00:00"] {
            assert_eq!(day.read(&format!("2024-09-01{clock}")), read("2024-09-01T05:06:07Z"), "{clock}");
        }
        for other in ["2024-09-02T05:06:07Z", "2024-09-01T24:00:00Z", "2024-09-01T05:06:07.5Z", "2024-09-01", ""] {
            assert_eq!(day.read(other), None, "{other}");
        }
        day.set("2024-02-31T00:00:00Z");
        assert_eq!(day.read("2024-02-31T05:06:07Z"), None);
    }

    #[test]
    fn a_label_keeps_the_day_that_is_written() {
        let label = read_label("2026-10-01T00:00:00+02:00").unwrap();
        assert_eq!(label.to_rfc3339(), "2026-10-01T00:00:00+00:00");
        assert_eq!(read("2026-10-01T00:00:00+02:00").unwrap().to_rfc3339(), "2026-09-30T22:00:00+00:00");
        assert_eq!(read_label("2026-10-01T00:00:00+99:00"), None);
    }

    /// The bill of October of a provider in Beijing, in Sydney in summer, in Los Angeles; one that ends with its last
    /// second; and periods from the middle of a month on, which stay.
    #[test]
    fn a_billing_period_begins_with_the_month_that_it_is_called_after() {
        for (text, expected) in [
            ("2026-09-30T16:00:00Z", "2026-10-01T00:00:00+00:00"),
            ("2026-09-30 13:00:00", "2026-10-01T00:00:00+00:00"),
            ("2026-09-30T10:00:00Z", "2026-10-01T00:00:00+00:00"),
            ("2026-10-31T23:59:59.999Z", "2026-11-01T00:00:00+00:00"),
            ("2026-12-31T16:00:00Z", "2027-01-01T00:00:00+00:00"),
            ("2028-02-28T16:00:00Z", "2028-02-28T16:00:00+00:00"),
            ("2026-10-01T07:00:00Z", "2026-10-01T07:00:00+00:00"),
            ("2026-10-01T00:00:00+08:00", "2026-10-01T00:00:00+00:00"),
            ("2026-09-30T09:59:59Z", "2026-09-30T09:59:59+00:00"),
            ("2026-09-14T16:00:00Z", "2026-09-14T16:00:00+00:00"),
        ] {
            assert_eq!(read_bound(text).unwrap().to_rfc3339(), expected, "{text}");
        }
        assert_eq!(read_bound("October"), None);
    }

    #[test]
    fn what_is_no_moment_is_not_guessed() {
        for text in [
            "2023-02-01T30:00:00Z",
            "2023-02-30",
            "4/1/25",
            "02/01/2021",
            "2023-13-01",
            "2023-02-01T",
            "2023-02-01T1:00",
            "2023-02-01T10:00:00+25:00",
            "2023-02-01T10:00:00 PST",
            "20230201",
            "0001-01-01T00:00:00Z",
            "9999-12-31",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_usual_form_is_read_as_any_other(
            day in "20[0-9]{2}-[0-3][0-9]-[0-3][0-9]", clock in "[0-2][0-9]:[0-6][0-9]:[0-6][0-9]",
            between in "[T t]", fraction in "(\\.000)?",
            zone in prop_oneof![Just(""), Just("Z"), Just(" UTC"), Just("+00:00")],
        ) {
            let usual = read(&format!("{day}{between}{clock}{fraction}{zone}"));
            // A fraction of another length is the same moment, and not the usual form.
            prop_assert_eq!(usual, read(&format!("{day}{between}{clock}.0{zone}")));
            let (minute, _) = clock.rsplit_once(':').unwrap();
            let whole = read(&format!("{day}{between}{minute}:00.0{zone}"));
            prop_assert_eq!(read(&format!("{day}{between}{minute}{zone}")), whole);
        }

        #[test]
        fn a_moment_of_the_last_day_is_read_as_any_other(
            last in "2024-0[1-3]-[0-3][0-9]", between in "[T t]",
            clock in "[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\\.[0-9]{1,3})?)?",
            zone in prop_oneof![Just(""), Just("Z"), Just(" UTC"), Just("+00:00"), Just("+02:00"), Just(" ")],
        ) {
            let text = format!("{last}{between}{clock}{zone}");
            let mut day = LastDay::default();
            day.set(&format!("{last}T30:00"));
            if let Some(moment) = day.read(&text) {
                prop_assert_eq!((read(&text), read_label(&text)), (Some(moment), Some(moment)));
            }
            prop_assert_eq!(day.read(&format!("2023{}", &text[4..])), None);
            day.set("");
            prop_assert_eq!(day.read(&text), None);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,30}", digits in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.+Z-]{0,20}") {
            let _ = (read(&text), read(&digits));
        }
    }
}
