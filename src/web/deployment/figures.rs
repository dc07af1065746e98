//! The key figures of a plain comparison: averages a day before and after, and the days that they are of.

use super::super::comparison::{Around, Average, Averages, WEEK};
use super::super::display::{Delta, decimals, money};
use super::super::parts::{Figure, Figures};
use super::super::query::range_label;
use crate::store::deployment_costs::ServiceDayCost;
use crate::store::deployment_list::not_live;
use crate::store::deployment_lists::Row;
use bigdecimal::BigDecimal;

/// Averages of both sides.
pub(super) fn averages(days: &[ServiceDayCost], around: &Around) -> Averages {
    Averages::over(around, days.iter().map(|day| (day.charge_date, day.currency.as_str(), &day.cost)))
}

/// What did not go live has no sides, so that no day of it is counted and none is waited for.
pub(super) fn figures(row: &Row, days: &[ServiceDayCost], around: &Around, is_comparable: bool) -> Figures {
    let rows = averages(days, around).rows();
    let digits = |average: &Average| decimals(&average.currency, &average.before.abs().max(average.after.abs()));
    let side = |pick: fn(&Average) -> &BigDecimal| -> Vec<String> {
        rows.iter().map(|row| money(pick(row), &row.currency, digits(row))).collect()
    };
    let figure = |label: &str, values: Vec<String>, note: String| Figure {
        label: label.into(),
        values,
        deltas: Vec::new(),
        note,
        href: String::new(),
    };
    let mut all = vec![match around.before {
        Some(before) => figure("Before, a day", side(|row| &row.before), range_label(before)),
        None => Figure::plain("Before, a day", "not known", "no bill tells of days before"),
    }];
    if let Some(words) = not_live(&row.status) {
        all.push(Figure::plain("After, a day", "none", words));
        return Figures(all);
    }
    match around.after {
        Some(after) if is_comparable => {
            all.push(figure("After, a day", side(|row| &row.after), range_label(after)));
            let deltas: Vec<Delta> =
                rows.iter().map(|row| Delta::between(&row.after, &row.before, &row.currency, digits(row))).collect();
            let values = deltas.iter().map(|delta| delta.amount.clone()).collect();
            let notes: Vec<String> =
                deltas.iter().map(|delta| format!("{} {}", delta.relative, delta.word()).trim().to_owned()).collect();
            all.push(figure("Difference, a day", values, notes.join(", ")));
        }
        Some(after) if around.before.is_none() => {
            all.push(figure("After, a day", side(|row| &row.after), range_label(after)));
        }
        _ => all.push(Figure::plain(
            "After, a day",
            "not yet",
            format!("{} of the {WEEK} complete days that a comparison needs", around.days_after()),
        )),
    }
    let left_out = match around.has_rollout() {
        true => "the days from its start to its finish are on neither side",
        false => "the day itself is on neither side",
    };
    all.push(Figure::plain(
        "Days compared",
        format!("{} and {}", around.days_before(), around.days_after()),
        if around.days_before() < around.wanted {
            format!("{}: bills tell of no more; {left_out}", around.days_label())
        } else {
            left_out.to_owned()
        },
    ));
    Figures(all)
}
