use super::super::charts::{DayCells, DayState};
use super::super::display::{decimals, money, shown};
use crate::focus::DateRange;
use crate::store::environment_costs::SourceDay;
use crate::store::freshness::{Freshness, SourceReach, SourceState};
use crate::web::drill;
use crate::web::query::View;
use bigdecimal::{BigDecimal, Zero};
use std::collections::{BTreeMap, BTreeSet};

/// How far each source is in, this month.
pub struct Completeness {
    /// "1 to 22 Nov 2026".
    pub days: String,
    pub rows: Vec<SourceRow>,
    /// One a currency: the month's complete days.
    pub totals: Vec<String>,
    /// The lines of the totals.
    pub lines_href: String,
}

/// One source.
pub struct SourceRow {
    pub source_id: i64,
    pub name: String,
    pub cells: DayCells,
    pub state: SourceState,
    pub state_text: String,
    pub complete_to: String,
    /// What lacks of it although it is there: accounts that are late, and billing periods between others.
    pub lacking: Vec<String>,
    /// One a currency.
    pub costs: Vec<String>,
    /// Their lines, which are those of the same complete days.
    pub lines_href: String,
}

impl SourceRow {
    /// What the link of its amounts is called: "aws: $1,234 to date".
    pub fn amounts_name(&self) -> String {
        format!("{}: {} to date", self.name, self.costs.join(" and "))
    }
}

fn lacking(bills: &Freshness, source: &SourceReach) -> Vec<String> {
    let accounts = bills.late().filter(|late| late.source_id == source.source_id);
    let late = accounts.filter_map(|late| {
        Some(format!("account {} to {}", late.account.as_ref()?, late.complete_to.format("%-d %b %Y")))
    });
    let gaps = bills.gaps.iter().filter(|gap| gap.source_id == source.source_id).map(|gap| match &gap.account {
        Some(account) => format!("no bill of account {account} for {}", gap.period.label()),
        None => format!("no bill for {}", gap.period.label()),
    });
    late.chain(gaps).collect()
}

/// Sources that have not ended, over the days of the month; costs of complete days only.
pub fn table(
    bills: &Freshness,
    month: DateRange,
    days: DateRange,
    costs: &[SourceDay],
    (currencies, only): (&[String], Option<&str>),
    view: &View,
) -> Completeness {
    let lines_of = |about: &[(&'static str, &str)]| drill::on(&drill::lines(view, about), month);
    let kept: Vec<_> = bills
        .sources
        .iter()
        .filter(|source| {
            bills.state(source) != SourceState::Ended || costs.iter().any(|cost| cost.source_id == source.source_id)
        })
        .collect();
    let mut sums: BTreeMap<(String, i64), BigDecimal> = BTreeMap::new();
    let mut seen: BTreeSet<(i64, chrono::NaiveDate)> = BTreeSet::new();
    for cost in costs {
        seen.insert((cost.source_id, cost.charge_date));
        if cost.charge_date < month.end() {
            *sums.entry((cost.currency.clone(), cost.source_id)).or_default() += &cost.cost;
        }
    }
    let mut rows: Vec<SourceRow> = kept
        .iter()
        .map(|source| {
            let state = bills.state(source);
            let lacking = lacking(bills, source);
            let cell = |day: chrono::NaiveDate| match day {
                _ if day <= source.complete_to => DayState::Complete,
                _ if seen.contains(&(source.source_id, day)) => DayState::Arriving,
                _ => DayState::Missing,
            };
            SourceRow {
                source_id: source.source_id,
                name: source.name.clone(),
                cells: DayCells::new(&days.days().map(cell).collect::<Vec<_>>()),
                state,
                state_text: match state {
                    SourceState::Complete if !lacking.is_empty() => "Partly there".into(),
                    SourceState::Complete => "Complete".into(),
                    SourceState::Late(1) => "Late by 1 day".into(),
                    SourceState::Late(late) => format!("Late by {late} days"),
                    SourceState::Ended => source.ended_word().into(),
                },
                complete_to: source.complete_to.format("to %-d %b %Y").to_string(),
                lacking,
                costs: Vec::new(),
                lines_href: lines_of(&[("source", source.source_id.to_string().as_str())]),
            }
        })
        .collect();
    // The page's currencies first, then those that only this month has.
    let mut ordered = currencies.to_vec();
    ordered.extend(sums.keys().map(|(currency, _)| currency.clone()).filter(|one| !currencies.contains(one)));
    ordered.dedup();
    // Days are those of the whole source; amounts are of the currency that the page is narrowed to.
    ordered.retain(|currency| only.is_none_or(|only| only == currency));
    ordered.retain(|currency| sums.keys().any(|(one, _)| one == currency));
    let mut totals = Vec::new();
    for currency in ordered {
        let of = |source_id: i64| sums.get(&(currency.clone(), source_id)).cloned().unwrap_or_default();
        let values: Vec<BigDecimal> = rows.iter().map(|row| of(row.source_id)).collect();
        let total: BigDecimal = values.iter().sum();
        let digits = decimals(&currency, &total);
        for (row, (exact, rounded)) in rows.iter_mut().zip(values.iter().zip(shown(&values, &total, digits))) {
            if !exact.is_zero() {
                row.costs.push(money(&rounded, &currency, digits));
            }
        }
        totals.push(money(&total, &currency, digits));
    }
    Completeness { days: super::range_label(days), rows, totals, lines_href: lines_of(&[]) }
}
