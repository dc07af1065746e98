//! From a cause to the lines of the bills that it is made of, in both periods.

use crate::analyze::variance::Cause;
use crate::focus::DateRange;
use crate::store::charges::ChargePart;
use crate::web::drill;
use crate::web::statement::LinesLink;

/// The lines of both periods, all of them: addresses that can be narrowed further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkLines {
    before: String,
    now: String,
}

impl WalkLines {
    /// Addresses that name their days already.
    pub fn new(before: String, now: String) -> Self {
        Self { before, now }
    }

    /// The same lines on the days of both periods.
    pub fn on(lines: &str, before: DateRange, now: DateRange) -> Self {
        Self { before: drill::on(lines, before), now: drill::on(lines, now) }
    }

    /// The lines of each period in one currency, the earlier first.
    pub(super) fn of_currency(&self, currency: &str) -> [String; 2] {
        [&self.before, &self.now].map(|lines| match lines.contains("cur=") {
            true => lines.clone(),
            false => narrowed(lines, "cur", currency),
        })
    }

    /// The lines that a cause is made of, or worked out from; none for what no line tells.
    pub(super) fn of_cause(&self, cause: Cause, currency: &str, labels: [&str; 2]) -> Vec<LinesLink> {
        let Some((key, value, what)) = narrowing(cause) else { return Vec::new() };
        let link = |(lines, label): (String, &str)| LinesLink {
            href: if key.is_empty() { lines } else { narrowed(&lines, key, value) },
            text: label.to_owned(),
            name: format!("{what} of {label}"),
        };
        self.of_currency(currency).into_iter().zip(labels).map(link).collect()
    }
}

fn narrowed(lines: &str, key: &str, value: &str) -> String {
    let mark = if lines.contains('?') { '&' } else { '?' };
    format!("{lines}{mark}{key}={value}")
}

// What narrows the lines of a period to those of a cause, and what they are called.
fn narrowing(cause: Cause) -> Option<(&'static str, &'static str, &'static str)> {
    let part = |part: ChargePart, what| Some(("part", part.key(), what));
    match cause {
        Cause::Credits => part(ChargePart::Credits, "Credits"),
        Cause::Tax => part(ChargePart::Tax, "Tax"),
        Cause::Corrections => part(ChargePart::Corrections, "Corrections"),
        Cause::Commitments => part(ChargePart::Commitments, "Purchases and unused commitments"),
        Cause::SharedCost => Some(("class", "shared", "Shared cost")),
        Cause::NewServices
        | Cause::EndedServices
        | Cause::CalendarDays
        | Cause::DaysToCome
        | Cause::BillMissing
        | Cause::ListPrice
        | Cause::Discount
        | Cause::ReleasesUp
        | Cause::ReleasesDown
        | Cause::Volume
        | Cause::Mix
        | Cause::Efficiency => part(ChargePart::Used, "Usage"),
        Cause::NotExplained => Some(("", "", "Lines")),
        // The same lines, given to someone else, said otherwise or converted at another rate.
        Cause::AllocationRules | Cause::Restatement | Cause::ExchangeRate => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_leads_to_its_lines_in_both_periods() {
        let lines = WalkLines::new("/charges?billing=2026-09".into(), "/charges?billing=2026-10".into());
        let hrefs = |cause| -> Vec<String> {
            lines.of_cause(cause, "USD", ["September", "October"]).into_iter().map(|link| link.href).collect()
        };
        assert_eq!(
            hrefs(Cause::Credits),
            ["/charges?billing=2026-09&cur=USD&part=credits", "/charges?billing=2026-10&cur=USD&part=credits"]
        );
        assert_eq!(hrefs(Cause::Volume)[1], "/charges?billing=2026-10&cur=USD&part=used");
        assert_eq!(hrefs(Cause::NotExplained)[0], "/charges?billing=2026-09&cur=USD");
        assert!(hrefs(Cause::AllocationRules).is_empty());
        let of_one = WalkLines::new("/charges?cur=EUR".into(), "/charges?cur=EUR".into());
        assert_eq!(of_one.of_currency("EUR"), ["/charges?cur=EUR", "/charges?cur=EUR"], "it is said once");
    }
}
