use super::{in_percent, short};
use chrono::NaiveDate;

/// The narrowest plot that markers are kept apart on, in pixels.
const PLOT_WIDTH_MIN: f64 = 520.0;
/// Nearer than this, markers become one with a count: each has a target of this size.
const TARGET_SIZE: f64 = 24.0;
/// How many of a cluster are named; the others are counted.
pub const NAMED_MAX: usize = 5;

/// What a marker's shape says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A deployment.
    Plain,
    /// One with too few complete days after it.
    Measuring,
    /// One that is claimed to have raised cost.
    Increase,
    /// One that is claimed to have lowered it.
    Decrease,
    /// One that went back to an earlier version.
    Rollback,
    /// The one that the page is about.
    This,
}

/// A deployment on a chart: a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The bar it belongs to.
    pub index: usize,
    /// The bar on which it began: an earlier one where it took that long.
    pub from: usize,
    /// When it was.
    pub day: NaiveDate,
    /// Where it leads.
    pub href: String,
    /// The list that a cluster which begins with it leads to, without its days.
    pub list_href: String,
    /// `v2026.11.3`.
    pub name: String,
    /// `production, 10 Nov 09:41 UTC`.
    pub details: String,
    /// Its shape.
    pub shape: Shape,
}

/// Something else on the time axis: a restated bill, a changed rule. Or several of one bar that were only counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The bar it belongs to.
    pub index: usize,
    /// Where it leads.
    pub leads: Leads,
    /// How many there are.
    pub count: usize,
    /// The sentence of each for those who cannot see it; of more than [`NAMED_MAX`], of the first so many.
    pub labels: Vec<String>,
}

impl Event {
    /// A single one.
    pub fn single(index: usize, leads: Leads, label: String) -> Self {
        Self { index, leads, count: 1, labels: vec![label] }
    }
}

/// Where an event leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leads {
    /// To this address.
    To(String),
    /// To its own page where it has the mark to itself, else to this list, on the days of all events that share it.
    Days {
        /// The list's address without its days.
        list_href: String,
        /// When the event was, or the first of several.
        first: NaiveDate,
        /// When the last of several was.
        last: NaiveDate,
        /// The page of a single one.
        own_href: String,
    },
}

/// The address of a list on some days, the last included.
pub fn of_days(list_href: &str, first: NaiveDate, last: NaiveDate) -> String {
    let joint = if list_href.contains('?') { '&' } else { '?' };
    format!("{list_href}{joint}period={first}..{last}")
}

/// A marker or several that are too near to each other, placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub x: String,
    pub class: &'static str,
    pub href: String,
    pub label: String,
    pub count: usize,
    pub shape: Shape,
}

/// Puts markers on an axis of `bar_count` bars, in order of time.
pub(super) fn place(markers: &[Marker], bar_count: usize) -> Vec<Placed> {
    let mut sorted: Vec<&Marker> = markers.iter().filter(|marker| marker.index < bar_count).collect();
    sorted.sort_by_key(|marker| (marker.index, marker.day));
    let mut groups: Vec<Vec<&Marker>> = Vec::new();
    for marker in sorted {
        let joins = groups.last().is_some_and(|group| {
            let apart = (center(marker.index) - center(group[0].index)) / bar_count as f64 * PLOT_WIDTH_MIN;
            // The page's own deployment stands alone.
            apart < TARGET_SIZE && marker.shape != Shape::This && group[0].shape != Shape::This
        });
        match groups.last_mut() {
            Some(group) if joins => group.push(marker),
            _ => groups.push(vec![marker]),
        }
    }
    groups.iter().map(|group| placed(group, bar_count)).collect()
}

fn placed(group: &[&Marker], bar_count: usize) -> Placed {
    let x =
        in_percent(group.iter().map(|marker| center(marker.index)).sum::<f64>() / group.len() as f64, bar_count as f64);
    let [single] = group else {
        let named = group.iter().take(NAMED_MAX).map(|marker| format!("{}, {}", marker.name, marker.details));
        let mut names = named.collect::<Vec<_>>().join("; ");
        if group.len() > NAMED_MAX {
            names.push_str(&format!("; and {} more", group.len() - NAMED_MAX));
        }
        let shape = shared_shape(group);
        return Placed {
            x,
            class: match shape {
                Shape::Increase => "cluster up",
                Shape::Decrease => "cluster down",
                _ => "cluster",
            },
            // In order of time: the last is of the last day.
            href: of_days(&group[0].list_href, group[0].day, group[group.len() - 1].day),
            label: format!("{} deployments: {names}", group.len()),
            count: group.len(),
            shape,
        };
    };
    let class = match single.shape {
        Shape::Plain | Shape::Rollback => "flat",
        Shape::Increase => "up",
        Shape::Decrease => "down",
        Shape::Measuring => "measuring",
        Shape::This => "this",
    };
    let label = format!("{}, {}", single.name, single.details);
    Placed { x, class, href: single.href.clone(), label, count: 1, shape: single.shape }
}

// What is claimed of one of them is seen on all, unless another is claimed to have done the opposite.
fn shared_shape(group: &[&Marker]) -> Shape {
    let has = |shape: Shape| group.iter().any(|marker| marker.shape == shape);
    match (has(Shape::Increase), has(Shape::Decrease)) {
        (true, false) => Shape::Increase,
        (false, true) => Shape::Decrease,
        _ => Shape::Plain,
    }
}

/// From which to which bar deployments took longer than one, the last included. Where they overlap it is one stretch.
pub(super) fn stretches(markers: &[Marker], bar_count: usize) -> Vec<(usize, usize)> {
    let is_long = |marker: &&Marker| marker.from < marker.index && marker.index < bar_count;
    let mut all: Vec<(usize, usize)> = markers.iter().filter(is_long).map(|one| (one.from, one.index)).collect();
    all.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (from, to) in all {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// The middle of a bar, in bars.
pub(super) fn center(index: usize) -> f64 {
    index as f64 + 0.5
}

/// An event or several that are too near to each other, placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlacedEvent {
    pub x: String,
    pub href: String,
    pub label: String,
    pub count: usize,
}

/// Puts events on an axis of `bar_count` bars. A year of thousands comes to some dozen marks.
pub(super) fn place_events(events: &[Event], bar_count: usize) -> Vec<PlacedEvent> {
    let mut sorted: Vec<&Event> = events.iter().filter(|event| event.index < bar_count).collect();
    sorted.sort_by_key(|event| event.index);
    let mut groups: Vec<Vec<&Event>> = Vec::new();
    for event in sorted {
        let apart =
            |group: &Vec<&Event>| (center(event.index) - center(group[0].index)) / bar_count as f64 * PLOT_WIDTH_MIN;
        match groups.last_mut() {
            Some(group) if apart(group) < TARGET_SIZE => group.push(event),
            _ => groups.push(vec![event]),
        }
    }
    groups.iter().map(|group| placed_event(group, bar_count)).collect()
}

fn placed_event(group: &[&Event], bar_count: usize) -> PlacedEvent {
    let count: usize = group.iter().map(|event| event.count).sum();
    let middle = group.iter().map(|event| center(event.index) * event.count as f64).sum::<f64>() / count as f64;
    let all = group.iter().flat_map(|event| &event.labels);
    let named: Vec<&str> = all.take(NAMED_MAX).map(String::as_str).collect();
    let label = match (count, count.saturating_sub(named.len())) {
        (1, _) => named.concat(),
        (_, 0) => format!("{count} events: {}", named.join("; ")),
        (_, more) => format!("{count} events: {}; and {more} more", named.join("; ")),
    };
    PlacedEvent {
        x: format!("{}%", short(100.0 * middle / bar_count as f64)),
        href: address(group, count),
        label,
        count,
    }
}

// Where one of them leads to a list, the list has what the mark stands for.
fn address(group: &[&Event], count: usize) -> String {
    if let ([Event { leads: Leads::Days { own_href, .. }, .. }], 1) = (group, count) {
        return own_href.clone();
    }
    let mut listed: Option<(&str, NaiveDate, NaiveDate)> = None;
    for event in group {
        if let Leads::Days { list_href, first, last, .. } = &event.leads {
            let (href, earliest, latest) = listed.unwrap_or((list_href.as_str(), *first, *last));
            listed = Some((href, earliest.min(*first), latest.max(*last)));
        }
    }
    match (listed, &group[0].leads) {
        (Some((list_href, first, last)), _) => of_days(list_href, first, last),
        (None, Leads::To(href)) => href.clone(),
        (None, Leads::Days { list_href, first, last, .. }) => of_days(list_href, *first, *last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(from: usize, index: usize) -> Marker {
        let first: NaiveDate = "2026-03-01".parse().unwrap();
        Marker {
            index,
            from,
            day: first + chrono::Days::new(index as u64),
            href: "/deployments/1".into(),
            list_href: "/deployments?env=a".into(),
            name: "v1".into(),
            details: "production".into(),
            shape: Shape::Plain,
        }
    }

    #[test]
    fn several_marks_lead_to_all_of_their_days_and_name_some() {
        let markers: Vec<Marker> = (0..8).map(|number| plain(number / 3, number / 3)).collect();
        let placed = place(&markers, 60);
        assert_eq!(placed.len(), 1);
        assert_eq!(placed[0].href, "/deployments?env=a&period=2026-03-01..2026-03-03");
        assert!(placed[0].label.ends_with("v1, production; and 3 more"), "{}", placed[0].label);
        assert_eq!(placed[0].label.matches("v1").count(), 5);
    }

    #[test]
    fn what_took_longer_than_a_bar_is_a_stretch_and_overlaps_are_one() {
        let markers = [plain(3, 3), plain(5, 7), plain(0, 2), plain(6, 9), plain(11, 12), plain(58, 61)];
        assert_eq!(stretches(&markers, 60), [(0, 2), (5, 9), (11, 12)]);
    }

    #[test]
    fn a_finding_is_seen_although_it_shares_its_place() {
        let marker = |index: usize, shape: Shape| Marker { shape, ..plain(index, index) };
        let classes = |shapes: &[Shape]| -> Vec<&str> {
            let markers: Vec<Marker> = shapes.iter().map(|shape| marker(7, *shape)).collect();
            place(&markers, 60).iter().map(|one| one.class).collect()
        };
        assert_eq!(classes(&[Shape::Plain, Shape::Increase]), ["cluster up"]);
        assert_eq!(classes(&[Shape::Decrease, Shape::Measuring]), ["cluster down"]);
        assert_eq!(classes(&[Shape::Decrease, Shape::Increase]), ["cluster"]);
        assert_eq!(classes(&[Shape::Plain, Shape::Plain]), ["cluster"]);
    }

    #[test]
    fn a_mark_leads_to_the_days_of_all_that_it_stands_for() {
        let event = |index: usize, leads: Leads| Event::single(index, leads, String::new());
        let between = |first: &str, last: &str| Leads::Days {
            list_href: "/events?env=a".into(),
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
            own_href: format!("/events/{first}"),
        };
        let on = |day: &str| between(day, day);
        let to = Leads::To("/deliveries/1".into());
        let events = [
            event(0, on("2026-03-03")),
            event(1, to.clone()),
            event(2, on("2026-03-01")),
            event(50, on("2026-03-09")),
            Event { count: 2, ..event(70, between("2026-03-11", "2026-03-12")) },
            event(90, to),
        ];
        let hrefs: Vec<String> = place_events(&events, 100).into_iter().map(|one| one.href).collect();
        let expected = [
            "/events?env=a&period=2026-03-01..2026-03-03",
            "/events/2026-03-09",
            "/events?env=a&period=2026-03-11..2026-03-12",
            "/deliveries/1",
        ];
        assert_eq!(hrefs, expected);
        let day = "2026-03-09".parse().unwrap();
        assert_eq!(of_days("/events", day, day), "/events?period=2026-03-09..2026-03-09");
    }

    #[test]
    fn a_year_of_events_is_some_dozen_marks_and_none_is_lost() {
        let event =
            |number: usize| Event::single(number % 365, Leads::To("#context".into()), format!("event {number}"));
        let events: Vec<Event> = (0..6_000).map(event).collect();
        let start = std::time::Instant::now();
        let placed = place_events(&events, 365);
        let took = start.elapsed();
        assert!(placed.len() <= 22, "{}", placed.len());
        assert_eq!(placed.iter().map(|one| one.count).sum::<usize>(), 6_000);
        assert!(took.as_millis() < 50, "{took:?}");
        assert!(placed[0].label.contains("and") && placed[0].label.len() < 300, "{}", placed[0].label);
        assert_eq!(place_events(&events[..1], 365)[0].label, "event 0");
    }

    /// Events that were counted bar by bar come to the marks that they would come to one by one.
    #[test]
    fn counted_events_are_marked_as_each_would_be() {
        let numbers = [0, 0, 0, 1, 1, 7, 7, 7, 7, 7, 7, 7, 20, 31, 33, 33, 59];
        let leads = |first: usize, last: usize, own: usize| {
            let day = |index: usize| NaiveDate::default() + chrono::Days::new(index as u64);
            Leads::Days { list_href: "/events".into(), first: day(first), last: day(last), own_href: own.to_string() }
        };
        let label = |number: usize| format!("event {number}");
        let each: Vec<Event> = numbers
            .iter()
            .enumerate()
            .map(|(number, index)| Event::single(*index, leads(*index, *index, number), label(number)))
            .collect();
        let counted: Vec<Event> = each
            .chunk_by(|left, right| left.index == right.index)
            .map(|bar| Event {
                count: bar.len(),
                labels: bar.iter().flat_map(|one| one.labels.clone()).take(NAMED_MAX).collect(),
                ..bar[0].clone()
            })
            .collect();
        assert_eq!(counted.len(), 7);
        assert_eq!(place_events(&counted, 60), place_events(&each, 60));
    }
}
