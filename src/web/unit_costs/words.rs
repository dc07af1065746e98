//! Unit costs in words and figures, the same on every page.

use super::read::{NoDuration, Workload};
use crate::analyze::unit_economics::{CannotTell, Figure, FixedVariable, NoInterval, Side, Verdict};
use crate::store::metrics::Metric;
use crate::web::display::{change_shown, decimals, money, percent, percent_change, signed};
use crate::web::metrics as metric_pages;
use crate::web::service::usage::{per, unit_decimals};
use bigdecimal::{BigDecimal, FromPrimitive, RoundingMode};

/// One workload as a row.
#[derive(Debug, Clone)]
pub struct UnitRow {
    /// "checkout-api".
    pub service_name: String,
    /// Its page.
    pub service_href: String,
    /// "requests".
    pub metric: String,
    /// Its page.
    pub metric_href: String,
    /// `per 1,000 requests`.
    pub per: String,
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// `$24.40`.
    pub before: String,
    /// The same after.
    pub after: String,
    /// `+$1.20`, or why there is none.
    pub change: String,
    /// `+$0.40 to +$2.00, 90%`.
    pub interval: String,
    /// `up`, `down`, `flat`.
    pub class: &'static str,
    /// What of the change other volume alone makes.
    pub volume: String,
    /// Fixed and variable part before.
    pub parts_before: String,
    /// The same after.
    pub parts_after: String,
    /// "Faster by 20.0%, dearer by 8.0% a run: better for its goal (latency alone)."
    pub verdict: String,
    /// `up` where it is worse, `down` where it is better.
    pub verdict_class: &'static str,
}

/// A workload in words.
pub fn row(one: &Workload) -> UnitRow {
    let unit = Unit::new(&one.metric, &one.currency, [&one.comparison.before, &one.comparison.after]);
    let (change, interval, class) = unit.change(one.comparison.change, one.comparison.relative);
    let service_href = format!("/services/{}", one.service.slug);
    let (verdict, verdict_class) = verdict(one);
    UnitRow {
        service_name: one.service.name.clone(),
        service_href,
        metric: one.metric.metric.clone(),
        metric_href: metric_pages::href(&one.metric.metric),
        per: per(&one.metric),
        currency: one.currency.clone(),
        before: unit.exact(&one.comparison.before),
        after: unit.exact(&one.comparison.after),
        change,
        interval,
        class,
        volume: unit.volume(one.comparison.change, one.comparison.from_volume),
        parts_before: unit.parts(&one.comparison.before),
        parts_after: unit.parts(&one.comparison.after),
        verdict,
        verdict_class,
    }
}

/// How amounts for so many units of a metric are written.
pub struct Unit<'a> {
    metric: &'a Metric,
    currency: &'a str,
    digits: i64,
    /// The change as both sides show it; `None` where one is not known.
    change: Option<BigDecimal>,
    /// Why there is no interval of the change.
    no_interval: NoInterval,
}

impl<'a> Unit<'a> {
    /// With digits that suit both sides, the one before and the one after.
    pub fn new(metric: &'a Metric, currency: &'a str, sides: [&Side; 2]) -> Self {
        let [before, after] = sides.map(|side| side.per(metric.unit_cost_per));
        // A side without days says least.
        let lacks = sides.iter().filter_map(|side| side.per_unit.err()).min();
        let larger = [&before, &after].into_iter().flatten().map(BigDecimal::abs).max().unwrap_or_default();
        let digits = unit_decimals(&larger, currency);
        let change = before.zip(after).map(|(before, after)| change_shown(&after, &before, digits));
        Self { metric, currency, digits, change, no_interval: lacks.unwrap_or(NoInterval::TooFewDays) }
    }

    /// The exact quotient of a side, rounded for the page.
    pub fn exact(&self, side: &Side) -> String {
        let cost = side.per(self.metric.unit_cost_per);
        cost.map_or_else(|| no_cost(side).into(), |cost| money(&cost, self.currency, self.digits))
    }

    fn amount(&self, for_one: f64) -> BigDecimal {
        BigDecimal::from_f64(for_one).unwrap_or_default() * BigDecimal::from(self.metric.unit_cost_per)
    }

    fn signed(&self, for_one: f64) -> String {
        signed(&self.amount(for_one), self.currency, self.digits)
    }

    /// Amount, interval and class of a change.
    pub fn change(&self, change: Option<Figure>, relative: Option<Figure>) -> (String, String, &'static str) {
        let Some(change) = change else {
            return ("not known".into(), self.no_interval.sentence().into(), "flat");
        };
        let share = relative.map(|one| format!(" ({})", share_text(one.value))).unwrap_or_default();
        let class = match () {
            () if change.low > 0.0 => "up",
            () if change.high < 0.0 => "down",
            () => "flat",
        };
        let interval = format!("{} to {}, 90%", self.signed(change.low), self.signed(change.high));
        let shown = self.change.clone().unwrap_or_else(|| self.amount(change.value));
        (format!("{}{share}", signed(&shown, self.currency, self.digits)), interval, class)
    }

    /// What of the change other volume alone makes.
    pub fn volume(&self, change: Option<Figure>, from_volume: Option<f64>) -> String {
        match change.zip(from_volume) {
            Some((change, volume)) => {
                // Both parts as they are shown make the change as it is shown.
                let volume = self.amount(volume).with_scale_round(self.digits, RoundingMode::HalfUp);
                let all = self.change.clone().unwrap_or_else(|| self.amount(change.value));
                let text = |amount: &BigDecimal| signed(amount, self.currency, self.digits);
                format!("{} of it from other volume alone, {} from the rest", text(&volume), text(&(all - &volume)))
            }
            None => String::new(),
        }
    }

    /// The parts of a side, with the fit, or why they cannot be told.
    pub fn parts(&self, side: &Side) -> String {
        match &side.parts {
            Ok(parts) => self.told(parts, side),
            Err(CannotTell::TooFewDays) if side.unit.day_count == 0 => "no day is known".into(),
            Err(reason) => format!("cannot tell: {}", reason.sentence()),
        }
    }

    fn told(&self, parts: &FixedVariable, side: &Side) -> String {
        let fixed = BigDecimal::from_f64(parts.fixed_per_day.value).unwrap_or_default();
        let fit = format!("usage explains {} of how {} days differ", share_only(parts.r_squared), parts.day_count);
        let variable = money(&self.amount(parts.variable_per_unit.value), self.currency, self.digits);
        if parts.is_through_zero {
            return format!("nothing fixed to be seen, {variable} variable {}; {fit}", per(self.metric));
        }
        let digits = decimals(self.currency, &fixed);
        let fixed_share = usage_a_day(side)
            .and_then(|usage| parts.fixed_share(usage))
            .map(|share| format!(" ({} of its cost)", share_only(share)))
            .unwrap_or_default();
        format!(
            "{} fixed a day{fixed_share}, {variable} variable {}; {fit}",
            money(&fixed, self.currency, digits),
            per(self.metric)
        )
    }
}

/// What stands in the place of a unit cost that a side does not tell.
pub fn no_cost(side: &Side) -> &'static str {
    if side.has_too_few_units() { "too few to tell" } else { "not known" }
}

#[expect(clippy::float_arithmetic, reason = "a mean for an estimate")]
fn usage_a_day(side: &Side) -> Option<f64> {
    use bigdecimal::ToPrimitive;
    (side.unit.day_count > 0).then(|| side.unit.usage.to_f64().map(|usage| usage / side.unit.day_count as f64))?
}

fn share_only(share: f64) -> String {
    let share = BigDecimal::from_f64(share).unwrap_or_default();
    percent(&share, &BigDecimal::from(1)).unwrap_or_default()
}

// "+8.0%".
pub(super) fn share_text(share: f64) -> String {
    let share = BigDecimal::from_f64(share).unwrap_or_default();
    percent_change(&share, &BigDecimal::from(1)).unwrap_or_default()
}

// "faster by 20.0%", "about as dear (+1.2%, not clear)".
fn moved(figure: Option<Figure>, [down, up, same]: [&str; 3], unknown: &str) -> String {
    let Some(figure) = figure else { return unknown.to_owned() };
    let size = share_text(figure.value).replace(['+', '\u{2212}'], "");
    match () {
        () if !figure.is_clear() => format!("{same} ({}, within its noise)", share_text(figure.value)),
        () if figure.value < 0.0 => format!("{down} by {size}"),
        () => format!("{up} by {size}"),
    }
}

// A run, a job; of what is counted by the thousand, the unit itself.
fn each(metric: &Metric) -> &'static str {
    match metric.meaning.as_str() {
        "requests" => "a request",
        "orders" => "an order",
        "pipeline-runs" => "a run",
        "training-jobs" => "a job",
        _ => "a unit",
    }
}

fn unknown_duration(one: &Workload) -> &'static str {
    match one.duration {
        Err(NoDuration::NoMinutes) => {
            "duration not known, since runs of these days are known and their minutes are not"
        }
        Err(NoDuration::FewMinutes) => {
            "duration not known, since minutes of runs are known on fewer than three days of a side"
        }
        _ => "duration not known",
    }
}

/// The verdict in a sentence, and its class. Without a goal it says what moved, and that nobody said what it is for.
pub fn verdict(one: &Workload) -> (String, &'static str) {
    let measure = one.measure();
    let cost = moved(measure.cost, ["cheaper", "dearer", "about as dear"], "cost not comparable");
    let pace = moved(measure.latency, ["faster", "slower", "about as fast"], unknown_duration(one));
    let changes = if measure.latency.is_none() && one.stated().is_none() {
        format!("{cost} {}", each(&one.metric))
    } else {
        format!("{pace}, {cost} {}", each(&one.metric))
    };
    let mut changes = changes;
    if let Some(first) = changes.get(..1).map(str::to_uppercase) {
        changes.replace_range(..1, &first);
    }
    let (Some(goal), Some(verdict)) = (one.stated(), one.verdict) else {
        return (format!("{changes}. No goal is stated for {}.", one.metric.metric), "flat");
    };
    let (word, class) = match verdict {
        Verdict::Better => ("better for its goal", "down"),
        Verdict::Worse => ("worse for its goal", "up"),
        Verdict::Same => ("the same for its goal", "flat"),
        Verdict::Unclear => ("not clear whether better or worse for its goal", "flat"),
        Verdict::NotKnown => ("what its goal looks at is not known", "flat"),
    };
    (format!("{changes}: {word} ({}).", goal.words()), class)
}
