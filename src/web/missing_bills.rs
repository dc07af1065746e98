//! The state of a page whose figures lack a late source, or a bill between others: which, since when, and what it makes of
//! them.

use crate::store::bill_gaps::Gap;
use crate::store::freshness::Freshness;
use crate::store::missing_bills::Missing;
use askama::Template;
use bigdecimal::Zero;

// Why all figures wait for a late source: `WEIGHED_DAYS` of `store::missing_bills`.
const HELD_BY: &str = ", because it makes more than half of all cost, each source weighed by its own last 28 days";

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
        let percent = if missing.percent.is_zero() { "less than 0.1".into() } else { missing.percent.to_string() };
        let part = format!("It makes {percent}% of this cost{currency}");
        if let Some(last) = self.bills.complete_to().filter(|_| self.bills.waits_for(missing)) {
            let why = if self.bills.is_held_by(missing) { HELD_BY } else { "" };
            let last = last.format("%a %-d %b");
            return format!("{part}: figures end with {last}, and later days are not added up{why}.");
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
