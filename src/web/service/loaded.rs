use super::super::Result;
use super::super::comparison::WEEK;
use super::super::cost_columns::CostColumns;
use super::super::csv::{Cell, Table};
use super::super::display::Compared;
use super::super::parts::Select;
use super::super::query::{NONE, Span, View};
use super::kept::KeptCosts;
use crate::focus::{BillingPeriod, Converted, DateRange, Rates};
use crate::store::costs::CostFilter;
use crate::store::rates;
use crate::store::service_costs::{self, EnvironmentLabel, ServiceDay, ServiceHead};
use crate::store::{Scope, Snapshot};
use bigdecimal::BigDecimal;
use chrono::{Days, NaiveDate};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The service's days, with what its filters keep of them.
#[derive(Clone, Default)]
pub(super) struct Loaded {
    rows: Arc<Vec<ServiceDay>>,
    pub environments: Vec<EnvironmentLabel>,
    pub environment_id: Option<i64>,
    pub provider_name: Option<String>,
    pub charge_category: Option<String>,
    pub currency: Option<String>,
    pub currencies: Vec<String>,
}

/// The first day that is read: deployments at the start of the chart are compared with the week before it.
pub(super) fn first_day(span: &Span) -> NaiveDate {
    span.chart.start().min(span.days.start()) - Days::new(u64::from(WEEK) + 1)
}

/// Reads the days of the chart, of the comparison, and of the week before the chart.
pub(super) async fn load(
    kept: &KeptCosts,
    publication_id: i64,
    snapshot: &mut Snapshot,
    scope: &Scope,
    service: &ServiceHead,
    view: &View,
    span: &Span,
) -> Result<Loaded> {
    // A filter that names nothing of this service keeps nothing; one that the catalogue lacks is refused.
    let named = view.filter(snapshot, span.days).await?;
    let read = DateRange::new(first_day(span), span.chart.end()).unwrap_or(span.chart);
    let filter = CostFilter { currency: named.currency.clone(), ..CostFilter::new(read, view.basis) };
    let question = format!("{} {filter:?} {:?}", service.service_id, span.before);
    let reading = service_costs::days(snapshot, scope, service.service_id, &filter, span.before);
    let rows = kept.days.get_or_read(publication_id, question, reading).await?;
    let mut ids: Vec<i64> = rows.iter().map(|row| row.environment_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let environments = service_costs::environment_labels(snapshot, &ids).await?;
    let mut loaded = Loaded {
        rows,
        environments,
        environment_id: named.environment_id,
        provider_name: named.provider_name,
        charge_category: named.charge_category,
        currency: named.currency,
        currencies: Vec::new(),
    };
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for row in loaded.kept() {
        *counts.entry(&row.currency).or_default() -= 1;
    }
    let mut ranked: Vec<(i64, &str)> = counts.into_iter().map(|(currency, count)| (count, currency)).collect();
    ranked.sort_unstable();
    loaded.currencies = ranked.into_iter().map(|(_, currency)| currency.to_owned()).collect();
    Ok(loaded)
}

impl Loaded {
    /// The rows that the filters keep.
    pub fn kept(&self) -> impl Iterator<Item = &ServiceDay> {
        self.rows.iter().filter(|row| {
            self.environment_id.is_none_or(|id| row.environment_id == id)
                && self.provider_name.as_ref().is_none_or(|name| row.provider_name == *name)
                && self.charge_category.as_ref().is_none_or(|name| row.charge_category == *name)
                && self.currency.as_ref().is_none_or(|code| row.currency == *code)
        })
    }

    /// Whether there is anything to say: any row, but not only from before a late source left out all of the page's days.
    pub fn has_cost(&self, span: &Span) -> bool {
        let is_unknown = span.partial_from.is_some_and(|first| first <= span.days.start());
        self.kept().any(|row| !is_unknown || span.days.start() <= row.charge_date)
    }

    pub fn environment(&self, id: i64) -> Option<&EnvironmentLabel> {
        self.environments.iter().find(|environment| environment.environment_id == id)
    }

    /// All kept rows as one line, now and before.
    pub fn total(&self, span: &Span) -> Compared {
        let mut total = Compared::default();
        for row in self.kept() {
            add(&mut total, span, row);
        }
        total
    }

    /// A select over what the service has; the filters' own choices stay open.
    pub fn selects(&self, view: &View) -> Vec<Select> {
        let mut environments = vec![(String::new(), "All".to_owned())];
        environments.extend(self.environments.iter().map(|one| (one.slug.clone(), one.name.clone())));
        if self.rows.iter().any(|row| row.environment_id == 0) {
            environments.push((NONE.into(), "Not allocated".into()));
        }
        let mut selects = vec![Select::new("env", "Environment", view.field("env"), environments)];
        for (key, label, name) in [
            ("provider", "Provider", provider_of as fn(&ServiceDay) -> &str),
            ("charge", "Charge type", charge_of as fn(&ServiceDay) -> &str),
        ] {
            let mut names: Vec<&str> = self.rows.iter().map(name).filter(|name| !name.is_empty()).collect();
            names.sort_unstable();
            names.dedup();
            if names.len() > 1 || view.text(key).is_some() {
                let mut pairs = vec![(String::new(), "All".to_owned())];
                pairs.extend(names.into_iter().map(|name| (name.to_owned(), name.to_owned())));
                selects.push(Select::new(key, label, view.field(key), pairs));
            }
        }
        selects
    }

    /// A row a day, environment, provider, kind of charge and currency; converted where there are rates.
    pub fn csv(&self, span: &Span, rates: Option<&Rates>, costs: &CostColumns) -> Table {
        let mut columns = vec!["ChargeDate", "Environment", "ProviderName", "ChargeCategory", "BillingCurrency"];
        columns.extend([costs.cost, "Status"]);
        if rates.is_some() {
            columns.extend(costs.reporting());
        }
        let mut table = Table::new(&columns);
        let inside =
            self.kept().filter(|row| span.days.start() <= row.charge_date && row.charge_date < span.chart.end());
        let inside: Vec<&ServiceDay> = inside.collect();
        // The bills of several months on one day are one row.
        for rows in inside.chunk_by(|left, right| same_row(left) == same_row(right)) {
            let row = rows[0];
            let cost: BigDecimal = rows.iter().map(|row| &row.cost).sum();
            let environment = self.environment(row.environment_id).map_or("Not allocated", |one| &one.name);
            let status = span.day_status(row.charge_date);
            let mut converted = Converted::default();
            let mut cells: Vec<Cell<'_>> = vec![
                row.charge_date.to_string().into(),
                environment.into(),
                row.provider_name.as_str().into(),
                row.charge_category.as_str().into(),
                row.currency.as_str().into(),
                (&cost).into(),
                status.into(),
            ];
            if let Some(rates) = rates {
                for row in rows {
                    converted.add(rates, BillingPeriod::containing(row.billing_month), &row.currency, &row.cost);
                }
                cells.push(rates.reporting_currency().into());
                // Empty where a rate is missing: never a guess.
                cells.push(converted.known().map_or(Cell::Empty, Cell::from));
            }
            table.row(&cells);
        }
        table
    }

    /// The rates that the rows need; `None` where no reporting currency is set.
    pub async fn rates(&self, conn: &mut PgConnection) -> sqlx::Result<Option<Rates>> {
        let months = || self.rows.iter().map(|row| BillingPeriod::containing(row.billing_month));
        match (months().min(), months().max()) {
            (Some(first), Some(last)) => rates::reporting(conn, first, last).await,
            _ => Ok(rates::reporting_currency(conn).await?.map(Rates::into_currency)),
        }
    }
}

fn same_row(row: &ServiceDay) -> (NaiveDate, i64, &str, &str, &str) {
    (row.charge_date, row.environment_id, &row.provider_name, &row.charge_category, &row.currency)
}

pub(super) fn provider_of(row: &ServiceDay) -> &str {
    &row.provider_name
}

pub(super) fn charge_of(row: &ServiceDay) -> &str {
    &row.charge_category
}

/// Adds a day to the side that it lies on.
pub(super) fn add(compared: &mut Compared, span: &Span, row: &ServiceDay) {
    for (is_now, range) in [(true, span.days), (false, span.before)] {
        if range.start() <= row.charge_date && row.charge_date < range.end() {
            compared.add(is_now, &row.currency, &row.cost);
        }
    }
}
