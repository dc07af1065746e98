//! Ways down from a figure: the addresses of the lines that make it and of the page that it is a part of. They are made
//! here for all pages, so that none of them loses a filter of the page on the way.

use super::query::{Span, View};
use crate::focus::DateRange;
use std::collections::BTreeMap;

/// What narrows the figures of a page narrows their lines too. Other keys of a page order it or lay it out.
const OF_LINES: [&str; 8] = ["service", "env", "team", "provider", "charge", "dimension", "cur", "basis"];
/// What a page about one service, team or environment takes over from the page that led to it.
const OF_PAGES: [&str; 7] = ["period", "vs", "env", "provider", "charge", "cur", "basis"];

/// The lines behind a figure of a page: its filters and basis, narrowed by what the figure is about, on any day.
/// [`on`] adds the days.
pub(super) fn lines(view: &View, about: &[(&'static str, &str)]) -> String {
    address("/charges", view, &OF_LINES, about)
}

/// The same lines on these days, which may be still arriving: given days are taken as they are.
pub(super) fn on(lines: &str, days: DateRange) -> String {
    let mark = if lines.contains('?') { '&' } else { '?' };
    match days.day_count() {
        1 => format!("{lines}{mark}day={}", days.start()),
        _ => format!("{lines}{mark}period={}..{}", days.start(), days.last_day()),
    }
}

/// The same lines on the days of a page's figures; on any day where none of them is complete.
pub(super) fn on_days_of(span: Option<&Span>, lines: &str) -> String {
    span.map_or_else(|| lines.to_owned(), |span| on(lines, span.days))
}

/// Lines that no page's filters narrow: `resource=vm-1&service=checkout-api`.
pub(super) fn lines_of(about: &[(&str, &str)]) -> String {
    with_query("/charges", about.iter().filter(|(_, value)| !value.is_empty()).copied())
}

/// A page about a part of this one, with its period, comparison and filters: `/services/checkout-api?env=production`.
pub(super) fn page(path: &str, view: &View, about: &[(&'static str, &str)]) -> String {
    address(path, view, &OF_PAGES, about)
}

fn address(path: &str, view: &View, kept: &[&'static str], about: &[(&'static str, &str)]) -> String {
    let mut values: BTreeMap<&str, &str> =
        kept.iter().filter_map(|key| view.text(key).map(|value| (*key, value))).collect();
    for (key, value) in about {
        if value.is_empty() {
            values.remove(key)
        } else {
            values.insert(key, value)
        };
    }
    // What it is about stands first, then the filters in their order.
    let rest = kept.iter().filter(|key| about.iter().all(|(own, _)| own != *key));
    let keys = about.iter().map(|(key, _)| key).chain(rest);
    with_query(path, keys.filter_map(|key| values.get(key).map(|value| (*key, *value))))
}

/// A page with these keys, or as it is without any.
pub(super) fn with_query<'a>(path: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<(&str, &str)> = pairs.collect();
    let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::query::Accepts;

    const ACCEPTS: Accepts = Accepts { texts: &["env", "q"], by: &["env", "charge"], sort: &["-cost", "name"] };

    fn view(query: &str) -> View {
        View::parse(Some(query), ACCEPTS).unwrap()
    }

    fn days(text: &str, count: u32) -> DateRange {
        DateRange::days_to(text.parse().unwrap(), count)
    }

    #[test]
    fn lines_keep_what_narrows_and_drop_what_lays_out() {
        let view = view("env=production&basis=billed&by=charge&sort=name&q=x&period=60d&vs=py");
        let lines = lines(&view, &[("service", "checkout-api")]);
        assert_eq!(lines, "/charges?service=checkout-api&env=production&basis=billed");
        assert_eq!(on(&lines, days("2026-11-03", 1)), format!("{lines}&day=2026-11-03"));
        assert_eq!(on("/charges", days("2026-11-03", 3)), "/charges?period=2026-11-01..2026-11-03");
    }

    #[test]
    fn a_page_of_a_part_is_of_the_same_days_and_filters() {
        let view = view("env=production&basis=billed&by=charge&q=x&period=60d&vs=py");
        let same = "period=60d&vs=py&env=production&basis=billed";
        assert_eq!(page("/services/checkout-api", &view, &[]), format!("/services/checkout-api?{same}"));
        let of_environment = page("/services/checkout-api", &view, &[("env", "staging")]);
        assert_eq!(of_environment, "/services/checkout-api?env=staging&period=60d&vs=py&basis=billed");
        assert_eq!(
            page("/environments/production", &view, &[("env", "")]),
            "/environments/production?period=60d&vs=py&basis=billed"
        );
    }

    #[test]
    fn what_is_not_known_narrows_nothing() {
        assert_eq!(lines_of(&[("resource", "vm 1&2"), ("service", "")]), "/charges?resource=vm+1%262");
        assert_eq!(lines_of(&[]), "/charges");
    }
}
