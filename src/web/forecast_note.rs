//! What may still move a forecast: releases that are measured, in words for pages and the API.

use super::display::{decimals, signed};
use crate::store::forecasts::ForecastRow;
use bigdecimal::{BigDecimal, Zero};

/// "1 effect of a release is still being measured: +$12.40 a day, if it stayed so, would be +$124 over the 10 days left", that
/// this is no estimate of those days (its deployment has that, with an interval), and that a part of it may be in the forecast
/// already: whoever added it would count it twice. Empty where none is measured that claims a change, where there is no
/// forecast, and of a period that is over.
pub fn measured(row: &ForecastRow) -> String {
    if row.provisional_count == 0 || row.point.is_none() || row.actual.is_some() {
        return String::new();
    }
    // Releases that share an answer are one, and a release of several services has one of each.
    let effects = match row.provisional_count {
        1 => "1 effect of a release is".to_owned(),
        count => format!("{count} effects of releases are"),
    };
    let days = match row.days_left() {
        1 => "the day left".to_owned(),
        days => format!("the {days} days left"),
    };
    let text = |amount: &BigDecimal| signed(amount, &row.billing_currency, decimals(&row.billing_currency, amount));
    let all = [(&row.provisional_down_per_day, row.could_fall()), (&row.provisional_up_per_day, row.could_rise())];
    let moves: Vec<String> = all
        .into_iter()
        .filter(|(per_day, _)| !per_day.is_zero())
        .map(|(per_day, of_all)| {
            format!("{} a day, if it stayed so, would be {} over {days}", text(per_day), text(&of_all))
        })
        .collect();
    let whose = if row.provisional_count == 1 { "its" } else { "each" };
    format!(
        "{effects} still being measured: {}. An effect may pass or grow: {whose} deployment tells what is expected over \
         30 days, and how sure that is. The level of the last days may hold a part of that already; it starts anew there \
         once that has settled",
        moves.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, NaiveDate};

    fn row(provisional_count: i32, up: &str, down: &str) -> ForecastRow {
        let zero = BigDecimal::zero;
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        ForecastRow {
            scope: "service".into(),
            scope_id: 7,
            slug: None,
            name: None,
            billing_currency: "USD".into(),
            horizon: "month".into(),
            first_day: day("2026-11-01"),
            last_day: day("2026-11-30"),
            asked_on: day("2026-11-20"),
            publication_id: 1,
            computed_at: DateTime::UNIX_EPOCH,
            is_hindcast: false,
            known: zero(),
            late: zero(),
            incomplete: zero(),
            rest: zero(),
            fees: zero(),
            point: Some(BigDecimal::from(5000)),
            low: None,
            high: None,
            no_forecast: String::new(),
            candidate: String::new(),
            past_error: None,
            widening: 1.0,
            origin_count: 0,
            restart_count: 0,
            provisional_count,
            provisional_up_per_day: up.parse().unwrap(),
            provisional_down_per_day: down.parse().unwrap(),
            actual: None,
        }
    }

    #[test]
    fn what_is_measured_is_told_with_what_it_would_be_over_the_days_left() {
        let settles = |whose: &str| {
            format!(
                "An effect may pass or grow: {whose} deployment tells what is expected over 30 days, and how sure that is. \
                 The level of the last days may hold a part of that already; it starts anew there once that has settled"
            )
        };
        assert_eq!(
            measured(&row(1, "12.4", "0")),
            format!(
                "1 effect of a release is still being measured: +$12.40 a day, if it stayed so, would be +$124 over the \
                 10 days left. {}",
                settles("its")
            )
        );
        assert_eq!(
            measured(&row(3, "12.4", "-2")),
            format!(
                "3 effects of releases are still being measured: \u{2212}$2.00 a day, if it stayed so, would be \u{2212}$20.00 \
                 over the 10 days left, +$12.40 a day, if it stayed so, would be +$124 over the 10 days left. {}",
                settles("each")
            )
        );
        let last = ForecastRow { asked_on: "2026-11-29".parse().unwrap(), ..row(1, "12.4", "0") };
        assert!(
            measured(&last).contains("+$12.40 a day, if it stayed so, would be +$12.40 over the day left."),
            "{}",
            measured(&last)
        );
    }

    #[test]
    fn nothing_is_told_where_nothing_is_measured_or_forecast_or_the_period_is_over() {
        let nothing = row(0, "0", "0");
        let no_forecast = ForecastRow { point: None, ..row(1, "12.4", "0") };
        let over = ForecastRow { actual: Some(BigDecimal::from(5100)), ..row(1, "12.4", "0") };
        for row in [nothing, no_forecast, over] {
            assert_eq!(measured(&row), "");
        }
    }
}
