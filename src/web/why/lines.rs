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
        let both = self.of_currency(currency);
        let of_one = |(index, told): (usize, Told)| {
            let link = move |(lines, label): (&String, &str)| LinesLink {
                href: if told.key.is_empty() { lines.clone() } else { narrowed(lines, told.key, told.value) },
                // The first ones need no name beside that of their row.
                text: if index == 0 { label.to_owned() } else { format!("{} of {label}", told.what.to_lowercase()) },
                name: format!("{} of {label}", told.what),
            };
            both.iter().zip(labels).map(link).collect::<Vec<_>>()
        };
        narrowings(cause).into_iter().enumerate().flat_map(of_one).collect()
    }
}

fn narrowed(lines: &str, key: &str, value: &str) -> String {
    let mark = if lines.contains('?') { '&' } else { '?' };
    format!("{lines}{mark}{key}={value}")
}

// What narrows the lines of a period to those of a cause, and what they are called.
#[derive(Debug, Clone, Copy)]
struct Told {
    key: &'static str,
    value: &'static str,
    what: &'static str,
}

fn narrowings(cause: Cause) -> Vec<Told> {
    let told = |key, value, what| Told { key, value, what };
    let part = |part: ChargePart, what| told("part", part.key(), what);
    match cause {
        Cause::Credits => vec![part(ChargePart::Credits, "Credits")],
        Cause::Tax => vec![part(ChargePart::Tax, "Tax")],
        Cause::Corrections => vec![part(ChargePart::Corrections, "Corrections")],
        // What is bought or left unused is this cause; of what is covered, what it costs less than without.
        Cause::Commitments => vec![
            part(ChargePart::Commitments, "Purchases and unused commitments"),
            part(ChargePart::Covered, "Usage under commitment"),
        ],
        Cause::SharedCost => vec![told("class", "shared", "Shared cost")],
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
        | Cause::Efficiency => vec![part(ChargePart::Used, "Usage")],
        Cause::NotExplained => vec![told("", "", "Lines")],
        // The same lines, given to someone else, said otherwise or converted at another rate.
        Cause::AllocationRules | Cause::Restatement | Cause::ExchangeRate => Vec::new(),
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
        assert_eq!(
            hrefs(Cause::Commitments)[1..3],
            ["/charges?billing=2026-10&cur=USD&part=commitments", "/charges?billing=2026-09&cur=USD&part=covered"]
        );
        let texts = lines.of_cause(Cause::Commitments, "USD", ["September", "October"]);
        let texts: Vec<(&str, &str)> = texts.iter().map(|link| (link.text.as_str(), link.name.as_str())).collect();
        assert_eq!(texts[0], ("September", "Purchases and unused commitments of September"));
        assert_eq!(texts[3], ("usage under commitment of October", "Usage under commitment of October"));
        assert_eq!(hrefs(Cause::NotExplained)[0], "/charges?billing=2026-09&cur=USD");
        assert!(hrefs(Cause::AllocationRules).is_empty());
        let of_one = WalkLines::new("/charges?cur=EUR".into(), "/charges?cur=EUR".into());
        assert_eq!(of_one.of_currency("EUR"), ["/charges?cur=EUR", "/charges?cur=EUR"], "it is said once");
    }
}
