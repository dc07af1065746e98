use super::markers::{Placed, PlacedEvent, Shape};
use askama::Template;
use std::collections::BTreeSet;

/// A mark as the legend shows it, in the order of the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    This,
    Deployment,
    Increase,
    Decrease,
    Measuring,
    Rollback,
    Several,
    SeveralIncrease,
    SeveralDecrease,
    Rollout,
    Boundary,
    Event,
    Events,
}

/// The legend of the marks that a chart has, and of no others. Written into a template as it is.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "partials/chart_marks.html")]
pub struct MarkKey {
    signs: BTreeSet<Sign>,
}

impl askama::filters::HtmlSafe for MarkKey {}

impl MarkKey {
    pub(super) fn new(markers: &[Placed], events: &[PlacedEvent]) -> Self {
        let markers = markers.iter().flat_map(signs);
        let events = events.iter().map(|event| if event.count > 1 { Sign::Events } else { Sign::Event });
        Self { signs: markers.chain(events).collect() }
    }

    /// With this one too, where it is drawn.
    pub(super) fn with(mut self, sign: Sign, is_drawn: bool) -> Self {
        if is_drawn {
            self.signs.insert(sign);
        }
        self
    }
}

// What is claimed of one in a cluster stands above it, as a mark of its own.
fn signs(marker: &Placed) -> Vec<Sign> {
    match (marker.count > 1, marker.shape) {
        (true, Shape::Increase) => vec![Sign::Several, Sign::SeveralIncrease],
        (true, Shape::Decrease) => vec![Sign::Several, Sign::SeveralDecrease],
        (true, _) => vec![Sign::Several],
        (false, Shape::Plain) => vec![Sign::Deployment],
        (false, Shape::Measuring) => vec![Sign::Measuring],
        (false, Shape::Increase) => vec![Sign::Increase],
        (false, Shape::Decrease) => vec![Sign::Decrease],
        (false, Shape::Rollback) => vec![Sign::Rollback],
        (false, Shape::This) => vec![Sign::This],
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Buckets, DayBars, Event, Leads, Marker};
    use super::*;
    use crate::focus::DateRange;

    #[test]
    fn the_legend_has_the_marks_that_are_drawn_and_no_others() {
        let days = DateRange::days_to("2026-11-20".parse().unwrap(), 60);
        let buckets = Buckets::new(days, days.last_day());
        let marker = |index: usize, shape: Shape| Marker {
            index,
            from: index,
            day: days.start(),
            href: "/deployments/1".into(),
            list_href: "/deployments".into(),
            name: "v1".into(),
            details: "production".into(),
            shape,
        };
        let told = |markers: &[Marker], events: &[usize], boundary: Option<usize>| {
            let event = |index: &usize| Event::single(*index, Leads::To("/events/1".into()), "an event".into());
            let events: Vec<Event> = events.iter().map(event).collect();
            let chart = DayBars::new("Deployments", "USD", &buckets, &[], markers);
            let key = chart.with_boundary(boundary, &buckets).with_events(&events, &buckets).key().to_string();
            let words = key.split("</svg>").skip(1).map(|rest| rest.split("</span>").next().unwrap().to_owned());
            words.collect::<Vec<String>>()
        };
        assert_eq!(told(&[], &[], None), Vec::<String>::new());
        let markers = [marker(3, Shape::Plain), marker(20, Shape::Increase), marker(40, Shape::Rollback)];
        assert_eq!(
            told(&markers, &[5], Some(30)),
            [
                "deployment",
                "raised cost, as measured",
                "roll-back",
                "the period of this page begins",
                "what else happened"
            ]
        );
        let near = [marker(3, Shape::Plain), marker(3, Shape::Decrease), marker(40, Shape::This)];
        assert_eq!(
            told(&near, &[5, 5, 50], None),
            [
                "this deployment",
                "several, count inside",
                "one of them lowered cost",
                "what else happened",
                "several of these, counted"
            ]
        );
        assert_eq!(told(&[Marker { from: 1, ..marker(3, Shape::Measuring) }], &[], None).len(), 2);
    }
}
