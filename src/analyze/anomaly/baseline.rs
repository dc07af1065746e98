//! What the days of an anomaly would have cost: the level, the weekdays and the traffic of the days before it, at the
//! prices of each day.

#![expect(clippy::float_arithmetic, reason = "estimates in units of the currency")]

use crate::analyze::impact::History;
use chrono::NaiveDate;

/// What was expected of a day, in units of the currency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpectedDay {
    /// The day.
    pub day: NaiveDate,
    /// What is likeliest.
    pub expected: f64,
    /// Nine days of ten before cost more than this share of what was expected of them, as an amount of this day.
    pub low: f64,
    /// The upper end of the same.
    pub high: f64,
}

/// Days before the anomaly that weekdays, traffic and the band come from.
const BEFORE_DAYS: usize = 56;
/// Days before it that the level comes from.
const LEVEL_DAYS: usize = 14;
/// Fewer days with a figure say nothing.
const BEFORE_DAYS_MIN: usize = 14;
/// The share of days that lie outside of the band on each side.
const OUTSIDE: f64 = 0.05;

/// What was expected of each day from `BEFORE_DAYS` before `start` up to `end`; nothing where too few days before are known
/// or they cost nothing. Days before are told too, so that a chart shows how well it holds.
pub fn expected_days(history: &History, start: NaiveDate, end: NaiveDate) -> Vec<ExpectedDay> {
    let Some(at) = history.index_of(start) else { return Vec::new() };
    let last = history.index_of(end).unwrap_or(history.cost.len().saturating_sub(1));
    let first = at.saturating_sub(BEFORE_DAYS);
    let before = &history.cost[first..at];
    if before.iter().flatten().count() < BEFORE_DAYS_MIN {
        return Vec::new();
    }
    let prices = prices(history);
    let alike: Vec<Option<f64>> =
        history.cost.iter().zip(&prices).map(|(cost, price)| cost.map(|cost| cost / price)).collect();
    let weekdays = weekdays(&alike, first, at);
    let even: Vec<Option<f64>> = (first..at).map(|index| alike[index].map(|cost| cost / weekdays[index % 7])).collect();
    let level = median(even[even.len().saturating_sub(LEVEL_DAYS)..].iter().flatten().copied().collect());
    let Some(level) = level.filter(|level| *level > 0.0) else { return Vec::new() };
    let pull = history.traffic.as_ref().and_then(|traffic| Pull::of(traffic, &even, first, at));
    let expected = |index: usize| {
        let moved = pull.as_ref().map_or(1.0, |pull| pull.factor(history.traffic.as_deref(), index));
        level * weekdays[index % 7] * moved * prices[index]
    };
    let mut shares: Vec<f64> = (first..at)
        .filter_map(|index| Some(history.cost[index]? / expected(index)))
        .filter(|share| share.is_finite())
        .collect();
    shares.sort_unstable_by(f64::total_cmp);
    let place = |share: f64| shares[((shares.len() - 1) as f64 * share).round() as usize];
    let (low, high) = (place(OUTSIDE).min(1.0), place(1.0 - OUTSIDE).max(1.0));
    let day = |index: usize| {
        let expected = expected(index);
        ExpectedDay { day: history.day_at(index), expected, low: expected * low, high: expected * high }
    };
    (first..=last).map(day).collect()
}

/// What each day cost for its prices, against the first one: changes of price and commitment whose size is known.
fn prices(history: &History) -> Vec<f64> {
    let known: Vec<(NaiveDate, f64)> = history
        .price_events
        .iter()
        .filter_map(|event| Some((event.day, event.size?.log_ratio)))
        .filter(|(_, log_ratio)| log_ratio.is_finite())
        .collect();
    let price = |day: NaiveDate| known.iter().filter(|(from, _)| *from <= day).map(|(_, size)| size).sum::<f64>().exp();
    (0..history.cost.len()).map(|index| price(history.day_at(index))).collect()
}

/// What each weekday costs against the week around it, by place modulo seven; 1 on average.
fn weekdays(cost: &[Option<f64>], first: usize, end: usize) -> [f64; 7] {
    let mut ratios: [Vec<f64>; 7] = Default::default();
    for middle in first + 3..end.saturating_sub(3) {
        let week: Vec<f64> = cost[middle - 3..=middle + 3].iter().flatten().copied().collect();
        let mean = week.iter().sum::<f64>() / 7.0;
        if week.len() == 7 && mean > 0.0 {
            ratios[middle % 7].push(cost[middle].unwrap_or_default() / mean);
        }
    }
    let profile = ratios.map(|ratios| median(ratios).unwrap_or(1.0));
    let mean = profile.iter().sum::<f64>() / 7.0;
    profile.map(|share| if mean > 0.0 { (share / mean).max(1e-3) } else { 1.0 })
}

/// How cost followed traffic before.
struct Pull {
    elasticity: f64,
    level: f64,
    weekdays: [f64; 7],
}

impl Pull {
    fn of(traffic: &[Option<f64>], even: &[Option<f64>], first: usize, at: usize) -> Option<Self> {
        if traffic.get(first..at)?.iter().flatten().filter(|units| **units > 0.0).count() < BEFORE_DAYS_MIN {
            return None;
        }
        let weekdays = weekdays(traffic, first, at);
        let units = |index: usize| traffic[index].filter(|units| *units > 0.0).map(|units| units / weekdays[index % 7]);
        let level = median((at.saturating_sub(LEVEL_DAYS).max(first)..at).filter_map(units).collect())?;
        let pairs: Vec<(f64, f64)> = (first..at)
            .filter_map(|index| Some((units(index)?.ln(), even[index - first].filter(|cost| *cost > 0.0)?.ln())))
            .collect();
        let count = pairs.len() as f64;
        let mean = |pick: fn(&(f64, f64)) -> f64| pairs.iter().map(pick).sum::<f64>() / count;
        let (traffic_mean, cost_mean) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let spread: f64 = pairs.iter().map(|pair| (pair.0 - traffic_mean).powi(2)).sum();
        let together: f64 = pairs.iter().map(|pair| (pair.0 - traffic_mean) * (pair.1 - cost_mean)).sum();
        let elasticity = if spread > 1e-6 { (together / spread).clamp(0.0, 1.0) } else { 0.0 };
        Some(Self { elasticity, level, weekdays })
    }

    // A day without a figure of traffic is taken for a usual one.
    fn factor(&self, traffic: Option<&[Option<f64>]>, index: usize) -> f64 {
        let units = traffic.and_then(|traffic| traffic.get(index).copied().flatten()).filter(|units| *units > 0.0);
        units.map_or(1.0, |units| (units / self.weekdays[index % 7] / self.level).powf(self.elasticity))
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count.is_multiple_of(2) => Some(f64::midpoint(values[middle - 1], values[middle])),
        _ => Some(values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::impact::{KnownSize, PriceEvent, PriceEventKind};

    const DAYS: usize = 70;

    fn history(cost: impl Fn(usize) -> f64, traffic: Option<fn(usize) -> f64>) -> History {
        History {
            first_day: NaiveDate::from_ymd_opt(2026, 1, 5).unwrap(),
            cost: (0..DAYS).map(|index| Some(cost(index))).collect(),
            complete_to: NaiveDate::from_ymd_opt(2026, 1, 5).unwrap() + chrono::Days::new(DAYS as u64 - 1),
            traffic: traffic.map(|units| (0..DAYS).map(|index| Some(units(index))).collect()),
            siblings: None,
            replicas: None,
            releases: Vec::new(),
            price_events: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn weekday(index: usize) -> f64 {
        if index % 7 >= 5 { 0.5 } else { 1.0 }
    }

    #[test]
    fn the_weekdays_of_before_go_on_and_what_lies_above_is_the_anomaly() {
        let history = history(|index| 100.0 * weekday(index) + if index >= 60 { 40.0 } else { 0.0 }, None);
        let days = expected_days(&history, history.day_at(60), history.day_at(69));
        assert_eq!(days.len(), 66);
        for day in &days {
            let index = history.index_of(day.day).unwrap();
            assert!((day.expected - 100.0 * weekday(index)).abs() < 2.0, "{day:?}");
            assert!(day.low <= day.expected && day.expected <= day.high);
        }
        let above: f64 =
            days[56..].iter().map(|day| history.cost[history.index_of(day.day).unwrap()].unwrap() - day.expected).sum();
        assert!((above - 400.0).abs() < 15.0, "{above}");
    }

    #[test]
    fn cost_that_follows_its_traffic_is_expected() {
        let units: fn(usize) -> f64 =
            |index| 1000.0 * (1.0 + 0.2 * ((index / 7) % 2) as f64) * if index >= 60 { 1.5 } else { 1.0 };
        let history = history(move |index| units(index) / 10.0, Some(units));
        let days = expected_days(&history, history.day_at(60), history.day_at(69));
        for day in &days[56..] {
            let actual = history.cost[history.index_of(day.day).unwrap()].unwrap();
            assert!((day.expected / actual - 1.0).abs() < 0.1, "{day:?} {actual}");
        }
    }

    #[test]
    fn a_price_of_known_size_is_expected_from_its_day_on() {
        for from in [40, 58, 60, 62] {
            let price = |index: usize| if index >= from { 1.2 } else { 1.0 };
            let mut dearer =
                history(|index| 100.0 * weekday(index) * price(index) + if index >= 60 { 40.0 } else { 0.0 }, None);
            let size = Some(KnownSize { log_ratio: 1.2_f64.ln(), log_ratio_sd: 0.01 });
            let (day, kind) = (dearer.day_at(from), PriceEventKind::PriceChange);
            dearer.price_events.push(PriceEvent { day, kind, size });
            for day in expected_days(&dearer, dearer.day_at(60), dearer.day_at(69)) {
                let index = dearer.index_of(day.day).unwrap();
                let usual = 100.0 * weekday(index) * price(index);
                assert!((day.expected - usual).abs() < 2.0, "{from}: {day:?} for {usual}");
            }
        }
    }

    #[test]
    fn too_few_days_before_tell_nothing() {
        let history = history(|_| 10.0, None);
        assert_eq!(expected_days(&history, history.day_at(13), history.day_at(20)), []);
        assert_eq!(expected_days(&self::history(|_| 0.0, None), history.day_at(40), history.day_at(50)), []);
    }
}
