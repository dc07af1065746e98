//! `/finance/history`: what a month or a day said at each delivery, and what the difference is made of.

use super::csv::{Cell, Table};
use super::display::{Delta, alone, change_shown, minor_units, money};
use super::query::{Accepts, View, is_supported};
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes};
use crate::focus::{BillingPeriod, CostBasis};
use crate::store::history::{self, DifferenceRow, Step, Subject};
use crate::store::{Scope, Snapshot, statements};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bigdecimal::{BigDecimal, RoundingMode};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

const ACCEPTS: Accepts = Accepts { texts: &["month", "day", "from", "to"], by: &["service", "charge"], sort: &[] };

/// The routes of the page.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/finance/history", Policy::OrganisationMoney, show)
        .get("/finance/history.csv", Policy::OrganisationMoney, download)
        .get("/finance/history/difference.csv", Policy::OrganisationMoney, download_difference)
}

/// Everything that was asked for, read from one snapshot.
struct Read {
    view: View,
    subject: Subject,
    steps: Vec<Step>,
    /// The publications that the difference lies between, the earlier first.
    compared: Option<(i64, i64)>,
    difference: Vec<DifferenceRow>,
}

impl Read {
    async fn new(snapshot: &mut Snapshot, scope: &Scope, query: Option<&str>) -> Result<Self> {
        let view = View::parse(query, ACCEPTS)?;
        let subject = subject(snapshot, &view).await?;
        let mut steps = history::steps(snapshot, scope, view.basis, subject).await?;
        let own = steps.iter().filter_map(|step| step.billing_currency.clone()).collect();
        let currency = view.currency_among(snapshot, own).await?;
        let is_asked = |own: &str| currency.as_deref().is_none_or(|asked| asked == own);
        steps.retain(|step| step.billing_currency.as_deref().is_none_or(is_asked));
        let compared = compared(&view, &steps)?;
        let mut difference = match compared {
            Some((earlier, later)) => history::difference(snapshot, scope, view.basis, subject, earlier, later).await?,
            None => Vec::new(),
        };
        difference.retain(|row| is_asked(&row.billing_currency));
        Ok(Self { view, subject, steps, compared, difference })
    }

    fn label(&self) -> String {
        match self.subject {
            Subject::Month(month) => month.label(),
            Subject::Day(day) => day.format("%-d %b %Y").to_string(),
        }
    }
}

async fn subject(snapshot: &mut Snapshot, view: &View) -> Result<Subject> {
    if let Some(text) = view.text("day") {
        let day: Option<NaiveDate> = text.parse().ok().filter(|day| is_supported(*day));
        return day
            .map(Subject::Day)
            .ok_or_else(|| Error::Invalid(format!("day={text} is not known. Give a day like 2026-11-03.")));
    }
    let month = match view.text("month") {
        Some(text) => text
            .parse::<BillingPeriod>()
            .ok()
            .filter(|month| is_supported(month.first_day()))
            .ok_or_else(|| Error::Invalid(format!("month={text} is not known. Give a month like 2026-10.")))?,
        None => match statements::month_range(snapshot).await? {
            Some((_, last)) => last,
            None => BillingPeriod::supported().0,
        },
    };
    Ok(Subject::Month(month))
}

// Without a choice: the last change against what was said before it.
fn compared(view: &View, steps: &[Step]) -> Result<Option<(i64, i64)>> {
    let number = |key: &'static str| -> Result<Option<i64>> {
        let Some(text) = view.text(key) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| *number > 0);
        number.map(Some).ok_or_else(|| Error::Invalid(format!("{key}={text} is not the number of a publication.")))
    };
    let (from, to) = (number("from")?, number("to")?);
    let points: BTreeSet<i64> = steps.iter().map(|step| step.publication_id).collect();
    let Some(to) = to.or_else(|| points.last().copied()) else { return Ok(None) };
    let Some(from) = from.or_else(|| points.range(..to).next_back().copied()) else { return Ok(None) };
    match from.cmp(&to) {
        std::cmp::Ordering::Less => Ok(Some((from, to))),
        std::cmp::Ordering::Greater => Ok(Some((to, from))),
        std::cmp::Ordering::Equal => Ok(None),
    }
}

async fn show(State(app): State<AppState>, who: Principal, RawQuery(query): RawQuery) -> Result<HistoryPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &who, &mut snapshot, "What bills said", NavItem::Statements).await?;
    let read = Read::new(&mut snapshot, &who.scope(), query.as_deref()).await?;
    let page = page.noting(read.view.note());
    let shows_receipts = Policy::Bills.allows(&who);
    let (sections, tables) = (sections(&read.steps), tables(&read));
    Ok(HistoryPage { page, read, sections, tables, shows_receipts })
}

async fn download(State(app): State<AppState>, who: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let read = Read::new(&mut snapshot, &who.scope(), query.as_deref()).await?;
    let column = read.view.basis.focus_column();
    let mut table =
        Table::new(&["Publication", "PublishedAt", "Kind", "Delivery", "By", "BillingCurrency", column, "Change"]);
    for section in series(&read.steps) {
        let mut before: Option<BigDecimal> = None;
        for (step, cost) in &section.points {
            let change = before.as_ref().map(|before| cost - before);
            table.row(&[
                step.publication_id.into(),
                step.published_at.format("%Y-%m-%dT%H:%M:%SZ").to_string().into(),
                (&step.kind).into(),
                step.delivery_id.map_or(Cell::Empty, Cell::Count),
                (&step.published_by).into(),
                section.currency.as_str().into(),
                cost.into(),
                (&change).into(),
            ]);
            before = Some(cost.clone());
        }
    }
    Ok(table.into_response("history.csv"))
}

async fn download_difference(
    State(app): State<AppState>,
    who: Principal,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let read = Read::new(&mut snapshot, &who.scope(), query.as_deref()).await?;
    let column = read.view.basis.focus_column();
    let mut table = Table::new(&["Service", "ChargeCategory", "BillingCurrency", "Before", column, "Change"]);
    for row in &read.difference {
        let change = &row.after - &row.before;
        table.row(&[
            service_name(row).into(),
            (&row.charge_category).into(),
            (&row.billing_currency).into(),
            (&row.before).into(),
            (&row.after).into(),
            (&change).into(),
        ]);
    }
    Ok(table.into_response("difference.csv"))
}

fn service_name(row: &DifferenceRow) -> String {
    match &row.service_name {
        Some(name) => name.clone(),
        None if row.service_id == 0 => "Not allocated".into(),
        None => format!("Removed service {}", row.service_id),
    }
}

/// What was said in one currency, at every publication.
struct Series<'a> {
    currency: String,
    points: Vec<(&'a Step, BigDecimal)>,
}

// A currency that a publication took away altogether is zero there.
fn series(steps: &[Step]) -> Vec<Series<'_>> {
    let currencies: BTreeSet<&str> = steps.iter().filter_map(|step| step.billing_currency.as_deref()).collect();
    let points: BTreeMap<i64, &Step> = steps.iter().map(|step| (step.publication_id, step)).collect();
    let of = |currency: &str, publication_id: i64| {
        let same =
            |step: &&Step| step.publication_id == publication_id && step.billing_currency.as_deref() == Some(currency);
        steps.iter().find(same).and_then(|step| step.cost.clone()).unwrap_or_default()
    };
    currencies
        .into_iter()
        .map(|currency| Series {
            currency: currency.to_owned(),
            points: points.iter().map(|(id, step)| (*step, of(currency, *id))).collect(),
        })
        .collect()
}

/// One currency on the page, the newest publication first.
struct Section {
    currency: String,
    rows: Vec<Row>,
}

struct Row {
    step: Step,
    cost: String,
    change: Option<Delta>,
}

fn sections(steps: &[Step]) -> Vec<Section> {
    series(steps)
        .into_iter()
        .map(|series| {
            let decimals = minor_units(&series.currency);
            let mut rows = Vec::new();
            let mut before: Option<BigDecimal> = None;
            for (step, cost) in series.points {
                // Rounded levels: the shown changes are those between the shown figures.
                let level = cost.with_scale_round(decimals, RoundingMode::HalfUp);
                let change =
                    before.as_ref().map(|before| Delta::amount(&(&level - before), &series.currency, decimals));
                rows.push(Row { step: step.clone(), cost: money(&cost, &series.currency, decimals), change });
                before = Some(level);
            }
            rows.reverse();
            Section { currency: series.currency, rows }
        })
        .collect()
}

/// The difference in one currency by service or by charge category; every column adds up as shown.
struct Difference {
    currency: String,
    rows: Vec<DifferenceLine>,
    before: String,
    after: String,
    change: Delta,
}

struct DifferenceLine {
    name: String,
    href: Option<String>,
    before: String,
    after: String,
    change: Delta,
}

fn tables(read: &Read) -> Vec<Difference> {
    let currencies: BTreeSet<&str> = read.difference.iter().map(|row| row.billing_currency.as_str()).collect();
    currencies.into_iter().map(|currency| table(read, currency)).collect()
}

fn table(read: &Read, currency: &str) -> Difference {
    let by_charge = read.view.by() == "charge";
    let mut sums: BTreeMap<String, (Option<String>, BigDecimal, BigDecimal)> = BTreeMap::new();
    for row in read.difference.iter().filter(|row| row.billing_currency == currency) {
        let (name, href) = if by_charge {
            (row.charge_category.clone(), None)
        } else {
            (service_name(row), row.service_slug.as_ref().map(|slug| format!("/services/{slug}")))
        };
        let sum = sums.entry(name).or_insert_with(|| (href, BigDecimal::default(), BigDecimal::default()));
        sum.1 += &row.before;
        sum.2 += &row.after;
    }
    let decimals = minor_units(currency);
    let mut rows: Vec<_> = sums.into_iter().collect();
    rows.sort_by_key(|(_, (_, before, after))| std::cmp::Reverse((after - before).abs()));
    let column = |pick: fn(&(Option<String>, BigDecimal, BigDecimal)) -> BigDecimal| {
        let values: Vec<BigDecimal> = rows.iter().map(|(_, sum)| pick(sum)).collect();
        let total: BigDecimal = values.iter().sum();
        let (rounded, left) = alone(&values, &total, decimals);
        (rounded, left, total)
    };
    let (before, before_left, before_total) = column(|sum| sum.1.clone());
    let (after, after_left, after_total) = column(|sum| sum.2.clone());
    let change_total = change_shown(&after_total, &before_total, decimals);
    let text = |amount: &BigDecimal| money(amount, currency, decimals);
    let line = |name: &str, href: Option<String>, before: &BigDecimal, after: &BigDecimal| DifferenceLine {
        name: if name.is_empty() { "Category not named".into() } else { name.to_owned() },
        href,
        before: text(before),
        after: text(after),
        change: Delta::amount(&(after - before), currency, decimals),
    };
    let rounding = (before_left != after_left || before_left != BigDecimal::default())
        .then(|| line("Rounding", None, &before_left, &after_left));
    let lines = rows.iter().enumerate();
    let lines = lines.map(|(index, (name, (href, ..)))| line(name, href.clone(), &before[index], &after[index]));
    Difference {
        rows: lines.chain(rounding).collect(),
        currency: currency.to_owned(),
        before: text(&before_total),
        after: text(&after_total),
        change: Delta::amount(&change_total, currency, decimals),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "history.html")]
struct HistoryPage {
    page: Page,
    read: Read,
    sections: Vec<Section>,
    tables: Vec<Difference>,
    shows_receipts: bool,
}

impl HistoryPage {
    fn link(&self, path: &str, changes: &[(&'static str, &str)]) -> String {
        self.read.view.link(path, changes)
    }

    fn compare_href(&self, publication_id: &i64) -> String {
        self.link("/finance/history", &[("from", ""), ("to", &publication_id.to_string())]) + "#difference"
    }

    fn lede(&self) -> String {
        let label = self.read.label();
        let points: BTreeSet<i64> = self.read.steps.iter().map(|step| step.publication_id).collect();
        match points.len() {
            0 => format!("No bill of {label} was ever counted."),
            1 => format!("The bills of {label} were counted once and have not changed since."),
            count => format!("The figures of {label} were published {count} times; each time is kept."),
        }
    }
}
