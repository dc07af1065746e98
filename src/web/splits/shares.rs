//! Who got which share of a split, with every digit: the proof of the rows that `/charges` shows for shared cost.

use super::super::charge_filter;
use super::super::moved_lines::fixed_days;
use super::super::query::{Accepts, View};
use super::super::{Result, display};
use super::words;
use crate::focus::DateRange;
use crate::store::freshness::Freshness;
use crate::store::moved_lines;
use crate::store::{Scope, Snapshot};
use bigdecimal::BigDecimal;
use std::collections::BTreeMap;

const ACCEPTS: Accepts = Accepts {
    texts: &["day", "billing", "env", "provider", "charge", "source", "delivery", "center", "allocated"],
    by: &[],
    sort: &[],
};

/// What a service got or gave.
pub(super) struct ShareRow {
    pub name: String,
    pub href: String,
    pub recent: String,
    /// Its part of what left the origin; empty for the origin.
    pub share: String,
    pub currency: String,
    /// Its lines and what splits moved, on the same days.
    pub lines_href: String,
}

/// The shares of a split within what an address asks for.
#[derive(Default)]
pub(super) struct Shares {
    pub rows: Vec<ShareRow>,
    /// What they add up to: nothing, where the reader may see all of them. One text a currency.
    pub totals: Vec<(String, String)>,
    /// "EffectiveCost, billed in October 2026".
    pub words: String,
    /// Names the keys of the address that are not known.
    pub note: String,
}

/// Reads the shares that an address asks for; without a question those of the recent days.
pub(super) async fn read(
    snapshot: &mut Snapshot,
    scope: &Scope,
    (split_id, source): (i64, Option<i64>),
    query: Option<&str>,
    (bills, recent): (&Freshness, DateRange),
) -> Result<Shares> {
    let fallback = format!("period={}..{}", recent.start(), recent.last_day());
    let asked = query.filter(|text| !text.is_empty()).unwrap_or(&fallback);
    let view = View::parse(Some(asked), ACCEPTS)?;
    let (filter, conditions) = charge_filter::filter(snapshot, &view, bills).await?;
    let mut sums: BTreeMap<(String, i64), Sum> = BTreeMap::new();
    for row in moved_lines::rows(snapshot, scope, &filter, view.basis, Some(split_id)).await? {
        let removed = if row.service_id == 0 { "Not allocated" } else { "Removed service" };
        let sum = sums.entry((row.billing_currency, row.service_id)).or_insert_with(|| Sum {
            name: row.service_name.unwrap_or_else(|| removed.into()),
            slug: row.service_slug,
            cost: BigDecimal::default(),
        });
        sum.cost += row.cost;
    }
    let mut totals: BTreeMap<&str, BigDecimal> = BTreeMap::new();
    for ((currency, _), sum) in &sums {
        *totals.entry(currency).or_default() += &sum.cost;
    }
    let totals = totals.into_iter().map(|(currency, sum)| (currency.to_owned(), display::money_exact(&sum, currency)));
    let totals = totals.collect();
    let days = fixed_days(&view, &filter);
    let mut ordered: Vec<((String, i64), Sum)> = sums.into_iter().collect();
    ordered.sort_by(|((left_currency, _), left), ((right_currency, _), right)| {
        (left_currency, &right.cost, &left.name).cmp(&(right_currency, &left.cost, &right.name))
    });
    let source = source.filter(|_| scope.is_everything());
    let of_source = |((_, id), _): &&((String, i64), Sum)| Some(*id) == source;
    let left = ordered.iter().filter(of_source).map(|((currency, _), sum)| (currency.clone(), -&sum.cost));
    let left: BTreeMap<String, BigDecimal> = left.collect();
    let rows = ordered.into_iter().map(|((currency, id), sum)| {
        let all = left.get(&currency).filter(|_| Some(id) != source);
        let share = all.map(|all| words::share(&sum.cost, all)).unwrap_or_default();
        ShareRow { share, ..row(&view, days.as_deref(), &currency, id, sum) }
    });
    let rows = rows.collect();
    let asked: Vec<String> = conditions.into_iter().map(|condition| condition.text).collect();
    let words = format!("{}, {}", view.basis.focus_column(), asked.join(", "));
    Ok(Shares { rows, totals, words, note: view.note() })
}

struct Sum {
    name: String,
    slug: Option<String>,
    cost: BigDecimal,
}

fn row(view: &View, days: Option<&str>, currency: &str, service_id: i64, sum: Sum) -> ShareRow {
    let slug = match (&sum.slug, service_id) {
        (Some(slug), _) => slug.as_str(),
        (None, 0) => super::super::query::NONE,
        (None, _) => "",
    };
    let mut narrowed = vec![("service", slug), ("cur", currency)];
    narrowed.extend(days.map(|days| ("period", days)));
    ShareRow {
        href: match (&sum.slug, days) {
            (None, _) => "/unmapped".into(),
            (Some(slug), Some(days)) => format!("/services/{slug}?period={days}"),
            (Some(slug), None) => format!("/services/{slug}"),
        },
        recent: display::signed_exact(&sum.cost, currency),
        share: String::new(),
        lines_href: if slug.is_empty() { String::new() } else { view.link("/charges", &narrowed) },
        currency: currency.to_owned(),
        name: sum.name,
    }
}
