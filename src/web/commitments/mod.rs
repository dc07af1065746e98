//! `/commitments`: what was bought ahead, what of it was used, how much usage it covers, and who bears the rest.

pub mod trend;

use super::csv::{Cell, Table};
use super::drill;
use super::paged_file::note_limit;
use super::query::{self, Accepts, View};
use super::rules::form::{ConditionFields, RuleForm};
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, charts, display, moves, rules};
use crate::focus::{BillingPeriod, CostBasis, DateRange};
use crate::store::Scope;
use crate::store::charges::ChargePart;
use crate::store::commitment_costs::{
    self, CommitmentCost, CommitmentCoverage, CommitmentDay, ROW_COUNT_MAX, UnusedCost,
};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bigdecimal::BigDecimal;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use trend::{Step, TrendRow};

/// What the page, its file and the API take: `by` is what a row of the file is.
pub const ACCEPTS: Accepts = Accepts { texts: &[], by: &["commitment", "buyer", "bought", "day", "month"], sort: &[] };

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/commitments", Policy::Money, show).get("/commitments.csv", Policy::Money, export)
}

struct CommitmentRow {
    name: String,
    provider: String,
    amortized: String,
    used: String,
    used_href: String,
    unused: String,
    unused_href: String,
    purchased: String,
    purchased_href: String,
    utilization: String,
}

struct CoverageRow {
    name: String,
    provider: String,
    covered: String,
    covered_href: String,
    usage: String,
    usage_href: String,
    coverage: String,
}

struct UnusedRow {
    buyer: String,
    name: String,
    href: String,
    is_divided: bool,
    unused: String,
    lines_href: String,
    rule_url: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "commitments.html")]
struct CommitmentsPage {
    page: Page,
    answer: String,
    rows: Vec<CommitmentRow>,
    coverage: Vec<CoverageRow>,
    unused: Vec<UnusedRow>,
    can_edit: bool,
    days: String,
    /// Such as `period=60d`, to be put behind other parts of an address; empty for the default.
    period: String,
    charts: Vec<(String, charts::DayBars)>,
    months: Vec<TrendRow>,
    by_day: Vec<TrendRow>,
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<CommitmentsPage> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Commitments", NavItem::Rules).await?;
    let page = page.noting(view.note());
    let days = days(&view, &page);
    let Read { commitments, coverage, unused, by_day, months, .. } =
        read(&mut snapshot, &principal.scope(), days, &view).await?;
    let month_label = |days: &DateRange| BillingPeriod::containing(days.start()).label();
    Ok(CommitmentsPage {
        answer: answer(&by_day),
        rows: commitments.iter().map(|one| commitment(one, days)).collect(),
        coverage: coverage.iter().map(|one| coverage_row(one, days)).collect(),
        unused: unused.iter().map(|one| unused_row(one, days)).collect(),
        can_edit: Policy::Bills.allows(&principal),
        days: format!("{} to {}", days.start(), days.last_day()),
        period: view.text("period").map_or_else(String::new, |period| format!("period={period}")),
        charts: trend::charts(&by_day, days),
        months: trend::rows(&months, month_label),
        by_day: trend::rows(&by_day, |days| days.start().format("%a %-d %b %Y").to_string()),
        page,
    })
}

/// Everything that is said of commitments on some days.
pub struct Read {
    /// Commitments, who bears the rest and coverage as they were read, before a currency narrowed them.
    row_counts: [usize; 3],
    /// What was bought.
    pub commitments: Vec<CommitmentCost>,
    /// What of it covers usage.
    pub coverage: Vec<CommitmentCoverage>,
    /// Who bears the rest.
    pub unused: Vec<UnusedCost>,
    /// The same sums by day.
    pub by_day: Vec<Step>,
    /// The months up to the last day, further back than the days.
    pub months: Vec<Step>,
}

impl Read {
    /// Whether a list may go on behind its last row.
    pub fn is_cut(&self) -> bool {
        self.row_counts.iter().any(|count| *count as i64 >= ROW_COUNT_MAX)
    }
}

/// Reads it, in one currency where the view asks for one.
pub async fn read(conn: &mut PgConnection, scope: &Scope, days: DateRange, view: &View) -> Result<Read> {
    let currency = view.currency(&mut *conn).await?;
    let year = trend::months_to(days.last_day());
    let by_day = trend::by_day(commitment_costs::by_day(&mut *conn, scope, days).await?);
    let months = trend::by_month(&commitment_costs::by_day(&mut *conn, scope, year).await?, year);
    let mut read = Read {
        row_counts: [0; 3],
        commitments: commitment_costs::commitments(&mut *conn, scope, days).await?,
        coverage: commitment_costs::coverage(&mut *conn, scope, days).await?,
        unused: commitment_costs::unused(conn, scope, days).await?,
        by_day,
        months,
    };
    read.row_counts = [read.commitments.len(), read.unused.len(), read.coverage.len()];
    let is_asked = |own: &str| currency.as_ref().is_none_or(|currency| currency == own);
    read.commitments.retain(|one| is_asked(&one.currency));
    read.coverage.retain(|one| is_asked(&one.currency));
    read.unused.retain(|one| is_asked(&one.currency));
    read.by_day.retain(|one| is_asked(&one.sums.currency));
    read.months.retain(|one| is_asked(&one.sums.currency));
    Ok(read)
}

/// The complete days that an address asks for; the last thirty where there is no bill yet.
fn days(view: &View, page: &Page) -> DateRange {
    view.span(&page.bills).map_or_else(|| rules::ranges(page).0, |span| span.days)
}

// "$120.00 of commitments, 87.5% used", one part a currency. Of the days, which are all of it: the list has a limit.
fn answer(by_day: &[Step]) -> String {
    let mut sums: BTreeMap<&str, (BigDecimal, BigDecimal)> = BTreeMap::new();
    let zero = BigDecimal::default();
    // Days with nothing but usage that commitments could cover are none of their cost.
    let is_of_commitment =
        |one: &&CommitmentDay| [&one.used, &one.unused, &one.purchased].into_iter().any(|cost| *cost != zero);
    for one in by_day.iter().map(|step| &step.sums).filter(is_of_commitment) {
        let (used, whole) = sums.entry(&one.currency).or_default();
        *used += &one.used;
        *whole += &one.used + &one.unused;
    }
    let part = |(currency, (used, whole)): (&str, (BigDecimal, BigDecimal))| {
        let share = display::percent(&used, &whole).map_or_else(String::new, |share| format!(", {share} of it used"));
        format!("{} of commitments{share}", moves::text(&whole, currency))
    };
    let parts: Vec<String> = sums.into_iter().map(part).collect();
    if parts.is_empty() { "No commitment has cost on these days.".into() } else { format!("{}.", parts.join("; ")) }
}

// The lines of a commitment with this status, or those of its purchase.
fn lines_href(one: &CommitmentCost, status: &str, purchase: (&str, &str), days: DateRange) -> String {
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| query::NONE.into());
    let lines = drill::lines_of(&[
        ("commitment", &or_none(&one.commitment_id)),
        ("commitment_status", status),
        ("provider", &or_none(&one.provider_name)),
        ("charge", purchase.0),
        ("cur", &one.currency),
        ("basis", purchase.1),
    ]);
    drill::on(&lines, days)
}

fn commitment(one: &CommitmentCost, days: DateRange) -> CommitmentRow {
    let whole = &one.used + &one.unused;
    // Rounded so that used and unused add up to the amortized cost as shown.
    let digits = display::minor_units(&one.currency);
    let shown = display::shown(&[one.used.clone(), one.unused.clone()], &whole, digits);
    let text = |amount: &BigDecimal| moves::text(amount, &one.currency);
    CommitmentRow {
        name: one.commitment_id.clone().unwrap_or_else(|| "not named in the bill".into()),
        provider: one.provider_name.clone().unwrap_or_default(),
        amortized: text(&whole),
        used: shown.first().map(text).unwrap_or_default(),
        unused: shown.get(1).map(text).unwrap_or_default(),
        used_href: lines_href(one, "Used", ("", ""), days),
        unused_href: lines_href(one, "Unused", ("", ""), days),
        purchased_href: lines_href(one, "", ("Purchase", "billed"), days),
        purchased: text(&one.purchased),
        utilization: display::percent(&one.used, &whole).unwrap_or_else(|| "no use".into()),
    }
}

fn coverage_row(one: &CommitmentCoverage, days: DateRange) -> CoverageRow {
    let lines = |part: ChargePart| {
        let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| query::NONE.into());
        let lines = drill::lines_of(&[
            ("part", part.key()),
            ("bought", &or_none(&one.service_name)),
            ("provider", &or_none(&one.provider_name)),
            ("cur", &one.currency),
            ("basis", CostBasis::List.key()),
        ]);
        drill::on(&lines, days)
    };
    CoverageRow {
        covered_href: lines(ChargePart::Covered),
        usage_href: lines(ChargePart::Usage),
        name: one.service_name.clone().unwrap_or_else(|| "not named in the bill".into()),
        provider: one.provider_name.clone().unwrap_or_default(),
        covered: moves::text(&one.covered, &one.currency),
        usage: moves::text(&one.usage, &one.currency),
        coverage: display::percent(&one.covered, &one.usage).unwrap_or_else(|| "no list prices".into()),
    }
}

fn unused_row(one: &UnusedCost, days: DateRange) -> UnusedRow {
    let condition = |attribute: &str, value: &str| ConditionFields {
        attribute: attribute.into(),
        operator: "equals".into(),
        value: value.into(),
    };
    let mut conditions = vec![condition("commitment_discount_status", "Unused")];
    conditions.extend(one.sub_account_id.as_deref().map(|id| condition("sub_account_id", id)));
    let form = RuleForm { applies_to: "charges".into(), conditions, place: "first".into(), ..RuleForm::default() };
    let buyer = one.sub_account_name.clone().or_else(|| one.sub_account_id.clone());
    UnusedRow {
        buyer: buyer.unwrap_or_else(|| "not named in the bill".into()),
        name: one.name.clone(),
        href: if one.slug.is_empty() { "/unmapped".into() } else { format!("/services/{}", one.slug) },
        is_divided: one.is_divided,
        unused: moves::text(&one.unused, &one.currency),
        lines_href: drill::on(
            &drill::lines_of(&[
                ("commitment_status", "Unused"),
                ("service", if one.slug.is_empty() { query::NONE } else { &one.slug }),
                ("account", one.sub_account_id.as_deref().unwrap_or(query::NONE)),
                ("cur", &one.currency),
            ]),
            days,
        ),
        rule_url: form.url("/rules/new"),
    }
}

async fn export(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Commitments", NavItem::Rules).await?;
    let read = read(&mut snapshot, &principal.scope(), days(&view, &page), &view).await?;
    let [commitments, unused, coverage] = read.row_counts;
    let (mut table, row_count) = match view.by() {
        "buyer" => (unused_table(&read.unused), unused),
        "bought" => (coverage_table(&read.coverage), coverage),
        "day" => (trend_table(&read.by_day), 0),
        "month" => (trend_table(&read.months), 0),
        _ => (commitment_table(&read.commitments), commitments),
    };
    note_limit(&mut table, row_count, ROW_COUNT_MAX, "the largest are here: ask for fewer days with period");
    Ok(table.into_response("commitments.csv"))
}

fn commitment_table(commitments: &[CommitmentCost]) -> Table {
    let mut table =
        Table::new(&["CommitmentDiscountId", "ProviderName", "BillingCurrency", "Used", "Unused", "Purchased"]);
    for one in commitments {
        table.row(&[
            (&one.commitment_id).into(),
            (&one.provider_name).into(),
            (&one.currency).into(),
            Cell::Amount(&one.used),
            Cell::Amount(&one.unused),
            Cell::Amount(&one.purchased),
        ]);
    }
    table
}

fn unused_table(unused: &[UnusedCost]) -> Table {
    let mut table = Table::new(&["SubAccountId", "SubAccountName", "Service", "BillingCurrency", "Unused"]);
    for one in unused {
        table.row(&[
            (&one.sub_account_id).into(),
            (&one.sub_account_name).into(),
            (&one.slug).into(),
            (&one.currency).into(),
            Cell::Amount(&one.unused),
        ]);
    }
    table
}

fn coverage_table(coverage: &[CommitmentCoverage]) -> Table {
    let mut table = Table::new(&["ProviderName", "ServiceName", "BillingCurrency", "Covered", "Usage"]);
    for one in coverage {
        table.row(&[
            (&one.provider_name).into(),
            (&one.service_name).into(),
            (&one.currency).into(),
            Cell::Amount(&one.covered),
            Cell::Amount(&one.usage),
        ]);
    }
    table
}

fn trend_table(steps: &[Step]) -> Table {
    let mut table =
        Table::new(&["FirstDay", "LastDay", "BillingCurrency", "Used", "Unused", "Covered", "Usage", "Purchased"]);
    for Step { days, sums } in steps {
        table.row(&[
            days.start().to_string().into(),
            days.last_day().to_string().into(),
            (&sums.currency).into(),
            Cell::Amount(&sums.used),
            Cell::Amount(&sums.unused),
            Cell::Amount(&sums.covered),
            Cell::Amount(&sums.usage),
            Cell::Amount(&sums.purchased),
        ]);
    }
    table
}
