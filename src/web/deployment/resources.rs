use super::super::charts::{ChangeBar, position};
use super::super::comparison::{Around, Averages, average};
use super::super::display::{Compared, Line, columns};
use super::super::drill;
use crate::focus::DateRange;
use crate::store::deployment_costs::{ResourceCost, ServedService, ServiceDayCost};

/// The change of one currency by resource: the largest, the others, the total.
pub struct ResourceTable {
    /// `BillingCurrency`.
    pub currency: String,
    pub rows: Vec<ResourceRow>,
    pub total: Option<Line>,
}

/// One resource, averages a day.
pub struct ResourceRow {
    pub name: String,
    pub note: String,
    pub line: Line,
    /// The lines of the days before, and of those after; empty for the row of the others.
    pub before_href: String,
    pub after_href: String,
    pub bar: ChangeBar,
}

/// A row of averages: after is now.
pub fn compared<'a>(
    rows: impl Iterator<Item = (&'a str, &'a bigdecimal::BigDecimal, &'a bigdecimal::BigDecimal)>,
) -> Compared {
    let mut compared = Compared::default();
    for (currency, after, before) in rows {
        compared.add(true, currency, after);
        compared.add(false, currency, before);
    }
    compared
}

/// Averages of each service, where there are several.
pub fn by_service(days: &[ServiceDayCost], open: &[ServedService], around: &Around) -> Vec<(ServedService, Vec<Line>)> {
    if open.len() < 2 {
        return Vec::new();
    }
    let mut currencies: Vec<String> = days.iter().map(|day| day.currency.clone()).collect();
    currencies.sort();
    currencies.dedup();
    let compared: Vec<Compared> = open
        .iter()
        .map(|service| {
            let own = days.iter().filter(|day| day.service_id == service.service_id);
            let averages = Averages::over(around, own.map(|day| (day.charge_date, day.currency.as_str(), &day.cost)));
            compared(averages.rows().iter().map(|row| (row.currency.as_str(), &row.after, &row.before)))
        })
        .collect();
    open.iter().cloned().zip(columns(&currencies, &compared).compared(around.before.is_some()).rows).collect()
}

/// One table a currency. What the largest do not explain is the row of the others, so that the rows add up to
/// the change of the whole.
pub fn tables(
    resources: &[ResourceCost],
    days: &[ServiceDayCost],
    around: &Around,
    lines_href: &str,
) -> Vec<ResourceTable> {
    if resources.is_empty() {
        return Vec::new();
    }
    let whole = Averages::over(around, days.iter().map(|day| (day.charge_date, day.currency.as_str(), &day.cost)));
    whole
        .rows()
        .iter()
        .map(|total| {
            let own: Vec<&ResourceCost> = resources.iter().filter(|one| one.currency == total.currency).collect();
            let mut labels: Vec<(String, String)> = own.iter().map(|one| label(one)).collect();
            let links: Vec<(String, String)> = own.iter().map(|one| links(one, around, lines_href)).collect();
            let mut rows: Vec<Compared> = own
                .iter()
                .map(|one| {
                    let after = average(&one.cost_after, around.days_after());
                    let before = average(&one.cost_before, around.days_before());
                    compared(std::iter::once((total.currency.as_str(), &after, &before)))
                })
                .collect();
            let listed_after: bigdecimal::BigDecimal = rows.iter().map(|row| row.cost(&total.currency)).sum();
            let listed_before: bigdecimal::BigDecimal = rows.iter().map(|row| row.cost_before(&total.currency)).sum();
            let (after, before) = (&total.after - listed_after, &total.before - listed_before);
            // Averages are cut after twenty digits: less than a millionth is no other resource.
            let tiny = bigdecimal::BigDecimal::new(1.into(), 6);
            if after.abs() > tiny || before.abs() > tiny {
                labels.push(("Other resources".into(), String::new()));
                rows.push(compared(std::iter::once((total.currency.as_str(), &after, &before))));
            }
            table(&total.currency, labels, &links, &rows)
        })
        .collect()
}

// An average has no lines of its own: its days do, which it is an average of.
fn links(resource: &ResourceCost, around: &Around, lines_href: &str) -> (String, String) {
    if lines_href.is_empty() {
        return Default::default();
    }
    let id = if resource.resource_id.is_empty() { super::super::query::NONE } else { &resource.resource_id };
    let narrowed = serde_urlencoded::to_string([("resource", id), ("cur", &resource.currency)]).unwrap_or_default();
    let lines = format!("{lines_href}&{narrowed}");
    let on = |side: Option<DateRange>| side.map(|days| drill::on(&lines, days)).unwrap_or_default();
    (on(around.before), on(around.after))
}

fn table(
    currency: &str,
    labels: Vec<(String, String)>,
    links: &[(String, String)],
    rows: &[Compared],
) -> ResourceTable {
    let bars = ChangeBar::rows(&rows.iter().map(|row| position(&row.change(currency))).collect::<Vec<_>>());
    let columns = columns(&[currency.to_owned()], rows);
    let rows = labels
        .into_iter()
        .zip(columns.rows)
        .zip(bars)
        .enumerate()
        .filter_map(|(index, (((name, note), lines), bar))| {
            let (before_href, after_href) = links.get(index).cloned().unwrap_or_default();
            Some(ResourceRow { name, note, line: lines.into_iter().next()?, before_href, after_href, bar })
        })
        .collect();
    ResourceTable { currency: currency.to_owned(), rows, total: columns.total.into_iter().next() }
}

fn label(resource: &ResourceCost) -> (String, String) {
    let what = resource.service_name.clone().unwrap_or_default();
    match (&resource.resource_name, resource.resource_id.as_str()) {
        (_, "") => ("Charges that name no resource".into(), what),
        (Some(name), id) if !name.is_empty() && name != id => (name.clone(), format!("{what} {id}").trim().to_owned()),
        (_, id) => (id.to_owned(), what),
    }
}
