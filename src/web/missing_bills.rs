//! The state of a page whose figures lack a late source, or a bill between others: which, since when, and what it makes of
//! them.

use crate::store::bill_gaps::Gap;
use crate::store::freshness::Freshness;
use crate::store::missing_bills::{Missing, WEIGHED_DAYS};
use askama::Template;
use bigdecimal::{BigDecimal, Zero};

// Why all figures wait for a late source. Credits count as cost does, so that it is more than half of no total.
fn held_by() -> String {
    format!(
        ", because it makes more than half of what all sources bill and credit a day, each weighed by its own last \
         {WEIGHED_DAYS} days"
    )
}

/// A box for each late source that the page's cost is partly made of, and for each gap; nothing where all is there on the
/// page's days.
#[derive(Template)]
#[template(path = "partials/missing_bills.html")]
pub struct MissingBills<'a> {
    /// How far the bills of the page reach.
    pub bills: &'a Freshness,
    /// Whether the reader may see sources.
    pub shows_sources: bool,
}

impl askama::filters::HtmlSafe for MissingBills<'_> {}

impl MissingBills<'_> {
    fn consequence(&self, missing: &Missing) -> String {
        let part = format!("It makes {}", made(missing));
        if let Some(last) = self.bills.complete_to().filter(|_| self.bills.waits_for(missing)) {
            // It tells of all cost, which is no matter of those who see a part of it.
            let why = if self.shows_sources && self.bills.is_held_by(missing) { held_by() } else { String::new() };
            let last = last.format("%a %-d %b");
            return format!("{part}: figures end with {last}, and later days are not added up{why}.");
        }
        let change = match missing.material_currencies().collect::<Vec<_>>().as_slice() {
            [] => String::new(),
            // What it makes of one currency changes nothing in another.
            material if missing.currency.is_some() => {
                format!(", and part of what changed in {} is that it is not there", material.join(" and "))
            }
            _ => ", and part of what changed is that it is not there".into(),
        };
        format!("{part}: totals of days without it are marked partial{change}.")
    }
}

// "97.2% of this cost in EUR and less than 0.1% in USD": of each currency that it bills, the most first.
fn made(missing: &Missing) -> String {
    let percent = |percent: &BigDecimal| match percent.is_zero() {
        true => "less than 0.1%".to_owned(),
        false => format!("{percent}%"),
    };
    let Some(most) = &missing.currency else { return format!("{} of this cost", percent(&missing.percent)) };
    let first = format!("{} of this cost in {most}", percent(&missing.percent));
    let others = missing.percents.iter().filter(|(currency, _)| *currency != most);
    let others = others.map(|(currency, part)| format!("{} in {currency}", percent(part)));
    std::iter::once(first).chain(others).collect::<Vec<_>>().join(" and ")
}

/// The same in sentences, for the API; nothing where all is there.
pub fn sentence(bills: &Freshness) -> Option<String> {
    let one = |missing: &Missing| {
        let what = if bills.waits_for(missing) { "figures end before" } else { "totals with later days are partial" };
        format!("{} is missing since {}: {what}.", missing.name, missing.since())
    };
    let gap = |gap: &Gap| format!("{} has no bill for {}: totals with its days are partial.", gap.name, gap.period);
    let all: Vec<String> = bills.missing_told().map(one).chain(bills.gaps_told().map(gap)).collect();
    (!all.is_empty()).then(|| all.join(" "))
}
