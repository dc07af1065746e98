//! What a service bought and how it was priced, and what splits moved: each row with the way to what makes it.

use super::super::charts::{CellBars, position};
use super::super::display::{Columns, Compared, Line, figures};
use super::super::drill;
use super::super::query::{NONE, Span, View};
use crate::store::service_costs::Bought;
use std::collections::BTreeMap;

/// What was bought, the dearest first.
pub struct BoughtTable {
    pub rows: Vec<BoughtRow>,
    /// What rounding leaves: each row shows what the page that it leads to makes of it.
    pub rounding: Vec<Line>,
    pub total: Vec<Line>,
    /// The lines of the whole, with what splits moved.
    pub total_href: String,
}

/// One row of it.
pub struct BoughtRow {
    pub label: String,
    /// The lines of the row; of shared cost the split's page, with who got what.
    pub href: String,
    pub lines: Vec<Line>,
    /// One a currency of `lines`.
    pub bars: Vec<CellBars>,
}

/// The table of a service on the days of its page.
pub fn table(slug: &str, view: &View, span: &Span, rows: &[Bought], currencies: &[String]) -> BoughtTable {
    let mut by_kind: BTreeMap<Kind, Compared> = BTreeMap::new();
    for row in rows {
        let part = by_kind.entry(Kind::of(row)).or_default();
        part.add(true, &row.currency, &row.cost);
        if span.is_compared() {
            part.add(false, &row.currency, &row.cost_before);
        }
    }
    let mut parts: Vec<(String, String, Compared)> =
        by_kind.into_iter().map(|(kind, part)| (kind.label(), kind.href(slug, view, span), part)).collect();
    let rank = |part: &Compared| currencies.first().map(|first| part.cost(first)).unwrap_or_default();
    parts.sort_by(|left, right| rank(&right.2).cmp(&rank(&left.2)).then_with(|| left.0.cmp(&right.0)));
    let compared: Vec<Compared> = parts.iter().map(|part| part.2.clone()).collect();
    let Columns { rows: lines, rounding, total } = figures(currencies, &compared, None).compared(span.is_compared());
    let bars = bars(&compared, &lines, currencies);
    let rows = parts.into_iter().zip(lines).zip(bars);
    BoughtTable {
        rows: rows.map(|(((label, href, _), lines), bars)| BoughtRow { label, href, lines, bars }).collect(),
        rounding,
        total,
        total_href: drill::on(&drill::lines(view, &[("service", slug)]), span.days),
    }
}

// The bars of each row, all of a currency on one scale.
fn bars(compared: &[Compared], lines: &[Vec<Line>], currencies: &[String]) -> Vec<Vec<CellBars>> {
    let scales: Vec<Vec<CellBars>> = currencies
        .iter()
        .map(|currency| {
            let pair = |row: &Compared| (position(&row.cost(currency)), position(&row.cost_before(currency)));
            CellBars::rows(&compared.iter().map(pair).collect::<Vec<_>>())
        })
        .collect();
    let bar = |index: usize, line: &Line| {
        let column = currencies.iter().position(|currency| *currency == line.currency).unwrap_or_default();
        scales[column][index].clone()
    };
    lines.iter().enumerate().map(|(index, lines)| lines.iter().map(|line| bar(index, line)).collect()).collect()
}

/// What makes a row: what the lines behind it have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Usage of a `ServiceCategory`, by how it was priced: `ChargeFilter::pricing`.
    Usage { of: String, pricing: String },
    /// Another `ChargeCategory`.
    Other(String),
    /// What a split moved here or away.
    Shared { split_id: i64, name: Option<String> },
}

impl Kind {
    fn of(row: &Bought) -> Self {
        if row.split_id != 0 {
            return Self::Shared { split_id: row.split_id, name: row.split_name.clone() };
        }
        if row.charge_category != "Usage" {
            return Self::Other(row.charge_category.clone());
        }
        let pricing = match row.commitment_discount_status.as_deref() {
            Some("Unused") => "Unused".to_owned(),
            Some("Used") => "Committed".to_owned(),
            _ => row.pricing_category.clone().unwrap_or_default(),
        };
        Self::Usage { of: row.service_category.clone().unwrap_or_default(), pricing }
    }

    fn label(&self) -> String {
        let (of, pricing) = match self {
            Self::Shared { name, .. } => {
                return format!("Shared cost: {}", name.as_deref().unwrap_or("a split that is deleted"));
            }
            Self::Other(category) if category.is_empty() => return "Charge type not named".into(),
            Self::Other(category) => return category.clone(),
            Self::Usage { of, pricing } => (if of.is_empty() { "Usage" } else { of.as_str() }, pricing.as_str()),
        };
        let how = match pricing {
            "" => return of.to_owned(),
            "Unused" => "unused commitment",
            "Committed" => "under commitment",
            "Standard" => "on demand",
            "Dynamic" => "spot",
            "Other" => "other pricing",
            other => other,
        };
        format!("{of}, {how}")
    }

    fn href(&self, slug: &str, view: &View, span: &Span) -> String {
        let lines = match self {
            Self::Shared { split_id, .. } => {
                // Days alone: the page has no comparison, and takes a period as it is.
                let days = span.fixed();
                return drill::page(&format!("/splits/{split_id}"), view, &[("period", days.as_str()), ("vs", "")]);
            }
            // Shared cost has a charge category too, and rows of its own.
            Self::Other(category) => {
                drill::lines(view, &[("service", slug), ("charge", or_none(category)), ("class", "own")])
            }
            Self::Usage { of, pricing } => {
                let usage = [("service_category", or_none(of)), ("pricing", or_none(pricing))];
                drill::lines(view, &[[("service", slug), ("charge", "Usage")], usage].concat())
            }
        };
        drill::on(&lines, span.days)
    }
}

// An address has no empty values.
fn or_none(text: &str) -> &str {
    if text.is_empty() { NONE } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::query::{Accepts, Period, Versus};

    fn row(category: &str, of: Option<&str>, status: Option<&str>, pricing: Option<&str>, split_id: i64) -> Bought {
        Bought {
            charge_category: category.into(),
            service_category: of.map(Into::into),
            pricing_category: pricing.map(Into::into),
            commitment_discount_status: status.map(Into::into),
            currency: "USD".into(),
            cost: "12.345".parse().unwrap(),
            cost_before: "1".parse().unwrap(),
            split_id,
            split_name: (split_id != 0).then(|| "Network".into()),
        }
    }

    #[test]
    fn each_row_leads_to_what_makes_it() {
        let rows = [
            row("Usage", Some("Compute"), None, Some("Standard"), 0),
            row("Usage", Some("Compute"), Some("Used"), Some("Standard"), 0),
            row("Usage", Some("Compute"), None, Some("Committed"), 0),
            row("Usage", None, None, None, 0),
            row("Tax", Some("Other"), None, None, 0),
            row("", None, None, None, 0),
            row("", None, None, None, 7),
        ];
        const ACCEPTS: Accepts = Accepts { texts: &["env", "charge"], by: &["env", "charge"], sort: &[] };
        let view = View::parse(Some("period=2026-10&env=production&basis=billed&by=charge"), ACCEPTS).unwrap();
        let last = "2026-10-31".parse().unwrap();
        let span = Span::new(Period::Month("2026-10".parse().unwrap()), Versus::Previous, last, last).unwrap();
        let table = table("shop", &view, &span, &rows, &["USD".into()]);
        let found: Vec<(&str, &str)> = table.rows.iter().map(|row| (row.label.as_str(), row.href.as_str())).collect();
        let end = "env=production&basis=billed&period=2026-10-01..2026-10-31";
        let usage = |of: &str, how: &str| {
            format!("/charges?service=shop&charge=Usage&service_category={of}&pricing={how}&{end}")
        };
        let other = |category: &str| format!("/charges?service=shop&charge={category}&class=own&{end}");
        let shared = "/splits/7?period=2026-10-01..2026-10-31&env=production&basis=billed";
        // Both commitments are one row, which is the dearest.
        assert_eq!(
            found,
            [
                ("Compute, under commitment", usage("Compute", "Committed").as_str()),
                ("Charge type not named", other("none").as_str()),
                ("Compute, on demand", usage("Compute", "Standard").as_str()),
                ("Shared cost: Network", shared),
                ("Tax", other("Tax").as_str()),
                ("Usage", usage("none", "none").as_str()),
            ]
        );
        assert_eq!(table.total_href, format!("/charges?service=shop&{end}"));
        // Each amount is rounded by itself: 24.69 + 5 * 12.345 = 86.415.
        let costs: Vec<&str> = table.rows.iter().map(|row| row.lines[0].cost.as_str()).collect();
        assert_eq!((costs[0], costs[1], table.total[0].cost.as_str()), ("$24.69", "$12.35", "$86.42"));
        assert_eq!(table.rounding[0].cost, "\u{2212}$0.02");
    }
}
