//! How often and how fast a service or team delivers, and how often that fails: a section of both pages.

use super::Result;
use super::filters::grouped;
use super::query::Span;
use crate::analyze::delivery::{Delivery, Failure, Live};
use crate::store::Snapshot;
use crate::store::live_deployments::{self, LiveDeployment, LiveFailure};
use askama::Template;
use bigdecimal::{BigDecimal, RoundingMode};
use chrono::{DateTime, Duration, Utc};

/// Digits after the point of a figure: finer than it means anything.
const VALUE_DIGITS: i64 = 6;

/// The section. It says how each figure is made, and what it lacks.
#[derive(Clone, Default, Template)]
#[template(path = "partials/delivery.html")]
pub struct DeliverySection {
    rows: Vec<DeliveryMetric>,
    label: String,
    before_label: String,
    /// Its table; empty where the reader may not have it.
    csv_href: String,
}

impl askama::filters::HtmlSafe for DeliverySection {}

impl DeliverySection {
    /// The same with a way to its table, where there is one for this reader.
    pub fn leading_to(self, csv_href: Option<String>) -> Self {
        Self { csv_href: csv_href.unwrap_or_default(), ..self }
    }
}

/// What was delivered in the days of a view and in those that they are compared with.
pub struct DeliveryFigures {
    /// The days.
    pub span: Span,
    /// In the days themselves.
    pub now: Delivery,
    /// In those that they are compared with.
    pub before: Delivery,
}

/// One of the four figures: the same on pages, in files and in the API.
#[derive(Clone)]
pub struct DeliveryMetric {
    /// Its name for programs.
    pub key: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What its value counts.
    pub unit: &'static str,
    /// In the days.
    pub now: DeliverySide,
    /// In those that they are compared with.
    pub before: DeliverySide,
    /// How it is made, and what it lacks now.
    pub definition: String,
}

/// One of them on one side.
#[derive(Clone)]
pub struct DeliverySide {
    /// In its unit; none where there is nothing to make it from.
    pub value: Option<BigDecimal>,
    /// What it was made from: changes, those whose commit is known, those that failed, or failures whose time is known.
    pub count: Option<i64>,
    /// Of how many: of changes, or for the time to restore of failures.
    pub of: Option<i64>,
    /// As pages show it.
    pub shown: String,
}

/// What is known of a service's or a team's deployments to production.
#[derive(Clone, Default)]
pub struct Deliveries {
    live: Vec<Live>,
    failures: Vec<Failure>,
}

impl Deliveries {
    /// Reads what both ranges of a page need.
    pub async fn read(
        snapshot: &mut Snapshot,
        service_id: Option<i64>,
        team_id: Option<i64>,
        span: &Span,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let since = span.days.start().min(span.before.start());
        let rows = live_deployments::in_production(snapshot, service_id, team_id, since).await?;
        let failures = live_deployments::failures(snapshot, service_id, team_id, since, now).await?;
        Ok(Self { live: rows.into_iter().map(live).collect(), failures: failures.into_iter().map(failure).collect() })
    }

    /// The section for all of them.
    pub fn section(&self, span: &Span) -> DeliverySection {
        let figures = self.figures(span);
        if figures.now.change_count + figures.before.change_count == 0 {
            return DeliverySection::default();
        }
        DeliverySection {
            rows: figures.metrics(),
            label: span.days_label(),
            before_label: span.before_label(),
            csv_href: String::new(),
        }
    }

    /// The figures of all of them.
    pub fn figures(&self, span: &Span) -> DeliveryFigures {
        let of = |days| Delivery::of(&self.live, &self.failures, days);
        DeliveryFigures { span: *span, now: of(span.days), before: of(span.before) }
    }

    /// The figures of one service in the period of the page.
    pub fn of_service(&self, service_id: i64, span: &Span) -> Delivery {
        let own: Vec<Live> = self.live.iter().filter(|one| one.service_id == service_id).cloned().collect();
        let failures: Vec<Failure> = self.failures.iter().filter(|one| one.service_id == service_id).cloned().collect();
        Delivery::of(&own, &failures, span.days)
    }
}

fn live(row: LiveDeployment) -> Live {
    Live {
        deployment_id: row.deployment_id,
        service_id: row.service_id,
        environment_id: row.environment_id,
        at: row.at,
        is_rollback: row.is_rollback,
        is_noop: row.is_noop,
        committed_at: row.committed_at,
    }
}

fn failure(row: LiveFailure) -> Failure {
    Failure {
        deployment_id: row.deployment_id,
        service_id: row.service_id,
        is_incident: row.is_incident,
        began_at: row.began_at,
        ended_at: row.ended_at,
        is_end_unknown: row.is_end_unknown,
    }
}

impl DeliveryFigures {
    /// The four of them. What the days lack is said with the definition.
    pub fn metrics(&self) -> Vec<DeliveryMetric> {
        let (now, before) = (&self.now, &self.before);
        let unknown = now.change_count - now.lead_count;
        let lead = match unknown {
            0 => String::new(),
            1 => " One change is left out: no repository told of its commit.".into(),
            count => format!(" {count} changes are left out: no repository told of their commits."),
        };
        let open = match now.open_count {
            0 => String::new(),
            1 => " One failure is not over yet and left out.".into(),
            count => format!(" {count} failures are not over yet and left out."),
        };
        let lost = match now.unknown_count {
            0 => String::new(),
            1 => " Of one failure the end was never told, and it is left out.".into(),
            count => format!(" Of {count} failures the end was never told, and they are left out."),
        };
        vec![
            DeliveryMetric {
                key: "deployment_frequency",
                name: "Deployment frequency",
                unit: "changes a week",
                now: DeliverySide::frequency(now),
                before: DeliverySide::frequency(before),
                definition: "Deployments to production that brought a version which was not live before.".into(),
            },
            DeliveryMetric {
                key: "lead_time_for_changes",
                name: "Lead time for changes",
                unit: "seconds",
                now: DeliverySide::lead(now),
                before: DeliverySide::lead(before),
                definition: format!(
                    "From the merge or push of the commit that was deployed, of several the first that was new, to being live, the \
                     median.{lead}"
                ),
            },
            DeliveryMetric {
                key: "change_failure_rate",
                name: "Change failure rate",
                unit: "share of changes",
                now: DeliverySide::failures(now),
                before: DeliverySide::failures(before),
                definition:
                    "Changes that were rolled back or reverted, that an incident of the service followed within a day \
                             and before another took their place, that a hotfix replaced, or that somebody marked as \
                             failed, of all changes."
                        .into(),
            },
            DeliveryMetric {
                key: "time_to_restore",
                name: "Time to restore",
                unit: "seconds",
                now: DeliverySide::restore(now),
                before: DeliverySide::restore(before),
                definition: format!(
                    "From the start of the incident to its end; where none is told, from the failed change being live to the \
                     deployment that took its place. The median.{open}{lost}"
                ),
            },
        ]
    }
}

impl DeliverySide {
    fn frequency(delivery: &Delivery) -> Self {
        let count = delivery.change_count;
        Self::new((count > 0).then(|| a_week(delivery)), (count, count), frequency(delivery))
    }

    fn lead(delivery: &Delivery) -> Self {
        let counts = (delivery.lead_count, delivery.change_count);
        Self::new(seconds(delivery.lead_time), counts, time_or(delivery.lead_time, "not known"))
    }

    fn failures(delivery: &Delivery) -> Self {
        let (failed, all) = (delivery.failure_count, delivery.change_count);
        let rate = (all > 0).then(|| BigDecimal::from(failed as u64) / BigDecimal::from(all as u64));
        Self::new(rate, (failed, all), failures(delivery))
    }

    fn restore(delivery: &Delivery) -> Self {
        let all = delivery.failure_count;
        let known = all - delivery.open_count - delivery.unknown_count;
        Self::new(seconds(delivery.restore_time), (known, all), restore(delivery))
    }

    // Of nothing there is no count either: zero would say that something was looked at.
    fn new(value: Option<BigDecimal>, (count, of): (usize, usize), shown: String) -> Self {
        let told = |number: usize| (of > 0).then_some(number as i64);
        let value = value.map(|value| value.with_scale_round(VALUE_DIGITS, RoundingMode::HalfUp).normalized());
        Self { value, count: told(count), of: told(of), shown }
    }
}

fn a_week(delivery: &Delivery) -> BigDecimal {
    let days = BigDecimal::from(delivery.day_count.max(1));
    BigDecimal::from(delivery.change_count as u64) * BigDecimal::from(7) / days
}

fn seconds(time: Option<Duration>) -> Option<BigDecimal> {
    time.map(|time| time.num_seconds().into())
}

/// `12, 2.8 a week`.
pub fn frequency(delivery: &Delivery) -> String {
    if delivery.change_count == 0 {
        return "none".into();
    }
    format!("{}, {} a week", delivery.change_count, grouped(&a_week(delivery), 1))
}

/// `8.3%, 1 of 12`.
pub fn failures(delivery: &Delivery) -> String {
    let (failed, all) = (delivery.failure_count as u64, delivery.change_count as u64);
    match super::display::percent(&failed.into(), &all.into()) {
        None => "no change".into(),
        Some(rate) => format!("{rate}, {failed} of {all}"),
    }
}

/// `1 h 30 min`, or why there is none.
pub fn restore(delivery: &Delivery) -> String {
    let none = match delivery {
        Delivery { failure_count: 0, .. } => "no failure",
        Delivery { open_count: 0, .. } => "not known",
        _ => "not over yet",
    };
    time_or(delivery.restore_time, none)
}

/// A time in the two largest units that say something: `3 d 4 h`, `25 min`.
pub fn time_or(time: Option<Duration>, none: &str) -> String {
    let Some(time) = time else { return none.to_owned() };
    let minutes = time.num_minutes();
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => "under a minute".into(),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_with_what_they_are_made_of() {
        let delivery = Delivery { change_count: 12, day_count: 30, failure_count: 1, ..Delivery::default() };
        assert_eq!((frequency(&delivery), failures(&delivery)), ("12, 2.8 a week".into(), "8.3%, 1 of 12".into()));
        assert_eq!(failures(&Delivery::default()), "no change");
        let open = |open_count, unknown_count| Delivery { open_count, unknown_count, ..delivery.clone() };
        assert_eq!([open(1, 0), open(0, 1)].map(|one| restore(&one)), ["not over yet", "not known"]);
        assert_eq!(restore(&Delivery::default()), "no failure");
        let time = |minutes| time_or(Some(Duration::minutes(minutes)), "");
        assert_eq!(
            [time(0), time(25), time(61), time(1440), time(1500)],
            ["under a minute", "25 min", "1 h 1 min", "1 d", "1 d 1 h"]
        );
    }
}
