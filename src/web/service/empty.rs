//! Why a page of a service has no cost to show. Pure.

use super::super::query::{Span, View, range_label};
use crate::store::service_details::CostReach;
use chrono::NaiveDate;

/// The sentence; `freshness` is the page's own on how far bills are complete.
pub(super) fn empty(view: &View, span: Option<&Span>, has_bills: bool, freshness: &str, reach: &CostReach) -> String {
    let Some(span) = span.filter(|_| has_bills) else {
        return match has_bills {
            false => "No billing data yet. Import a FOCUS file to see cost.".into(),
            true => format!(
                "None of these days is complete yet: {freshness}. Cost of days that are still arriving is not added up."
            ),
        };
    };
    let (days, own) = (range_label(span.days), own_days(reach));
    match span.bills_from {
        Some(first) if span.days.last_day() < first => {
            format!("There was no bill yet from {days}: bills begin on {}.{own}", day(first))
        }
        Some(first) if span.days.start() < first => {
            format!("No cost from {days}. Bills begin on {}; before it nothing is known.{own}", day(first))
        }
        _ if span.is_partial() => format!(
            "No cost from {days} is known yet: a source is late, and what it bills of these days is not there.{own}"
        ),
        _ if view.is_filtered() => {
            format!("No cost matches these filters from {days}. Bills are complete for these days.{own}")
        }
        Some(_) if !span.is_compared() => format!(
            "No cost from {days}: {}. This is a true zero where bills are complete; if the service should have cost, see \
             what is not mapped.{own}",
            span.no_comparison().unwrap_or_default()
        ),
        _ => format!(
            "No cost from {days} nor in {}. This is a true zero where bills are complete; if the service should have \
             cost, see what is not mapped.{own}",
            span.before_label()
        ),
    }
}

// When the service has cost at all.
fn own_days(reach: &CostReach) -> String {
    match reach.first_day.zip(reach.last_day) {
        None => " No bill has cost of this service.".into(),
        Some((first, last)) if first == last => format!(" The service has cost on {} only.", day(first)),
        Some((first, last)) => format!(" The service has cost from {} to {}.", day(first), day(last)),
    }
}

fn day(day: NaiveDate) -> impl std::fmt::Display {
    day.format("%-d %b %Y")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::freshness::{Freshness, SourceReach};
    use crate::web::query::Accepts;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn sentence(query: &str, own: Option<(&str, &str)>) -> String {
        let source = SourceReach {
            source_id: 1,
            name: "aws".into(),
            account: None,
            bills_from: date("2026-10-01"),
            complete_to: date("2026-11-20"),
            last_charge_date: date("2026-11-20"),
            read_at: chrono::DateTime::UNIX_EPOCH,
            is_daily: true,
            settles_after_days: None,
            has_rhythm: true,
        };
        let bills = Freshness { sources: vec![source], ..Freshness::default() };
        let view = View::parse(Some(query), Accepts { texts: &["env"], by: &[], sort: &[] }).unwrap();
        let reach =
            CostReach { first_day: own.map(|(first, _)| date(first)), last_day: own.map(|(_, last)| date(last)) };
        empty(&view, view.span(&bills).as_ref(), true, "Bills complete to Fri 20 Nov", &reach)
    }

    #[test]
    fn days_before_the_first_bill_are_not_called_complete() {
        let own = Some(("2026-10-05", "2026-11-20"));
        assert_eq!(
            sentence("period=2026-08&env=production", own),
            "There was no bill yet from 1 to 31 Aug 2026: bills begin on 1 Oct 2026. The service has cost from 5 Oct \
             2026 to 20 Nov 2026."
        );
        assert!(sentence("period=2026-09-20..2026-10-03", own).contains("before it nothing is known."));
        let filtered = sentence("period=2026-10&env=test", own);
        assert!(filtered.contains("Bills are complete for these days. The service has cost from 5 Oct"), "{filtered}");
        assert!(sentence("period=2026-10", None).ends_with("No bill has cost of this service."));
    }
}
