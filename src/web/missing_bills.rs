//! The state of a page whose figures lack a late source, or a bill between others: which, since when, and what it makes of
//! them.

use crate::store::bill_gaps::Gap;
use crate::store::freshness::Freshness;
use crate::store::missing_bills::Missing;
use askama::Template;

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
        let currency = missing.currency.as_ref().map_or_else(String::new, |currency| format!(" in {currency}"));
        let part = format!("It makes {}% of this cost{currency}", missing.percent);
        if self.bills.waits_for(missing) {
            let last = missing.complete_to.format("%a %-d %b");
            return format!("{part}: figures end with {last}, and later days are not added up.");
        }
        let change = if missing.is_material() { ", and part of what changed is that it is not there" } else { "" };
        format!("{part}: totals of days without it are marked partial{change}.")
    }
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
