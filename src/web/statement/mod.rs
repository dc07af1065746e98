//! `/finance/statements/{yyyy-mm}`: what the month cost, why it moved, and that it ties to the bills.

mod adjustments;
mod booked_total;
mod breakdown;
mod bridge;
mod closed_ties;
mod comparison;
mod csv;
mod lede;
mod like;
mod section;
mod views;
mod why;
mod year;

pub use crate::rollup::month_state::{CurrencyReach, MonthState};
pub use breakdown::{Breakdown, By, Node, breakdown, nodes};
pub use bridge::{Bridge, LinesLink, Move, UnusualLink, walk};
pub use why::{MonthWhy, month_why};
pub use year::{Span, Year, year};

use super::csv::split_suffix;
use super::forecast::ForecastSection;
use super::query::{Accepts, Versus, View};
use super::reporting::{RatedParts, Reporting};
use super::restated::{Looked, RestatedNotice};
use super::why::WhyWalk;
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes};
use super::{filters, invoice_list};
use crate::analyze::invoices::InvoiceState;
use crate::focus::{BillingPeriod, CostBasis};
use crate::store::booked_costs::{self, Adjustment, BookedCost};
use crate::store::closed_ties::{self as ties_of_closed, ClosedTie};
use crate::store::commitment_purchases::{self, LeftOut};
use crate::store::converted_costs::CostPart;
use crate::store::history::RestatedOf;
use crate::store::late_bills::Waiting;
use crate::store::month_closing::{Closing, MovedSince};
use crate::store::shifted_costs::{self, ShiftedCost};
use crate::store::statement_ties::{BilledIn, Restatement, SourceTie};
use crate::store::statements::{MonthTotal, MonthView, StatementRow};
use crate::store::{Scope, Snapshot, late_bills, month_closing, statement_ties, statements};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;
pub(super) use comparison::NOT_BILLED;
use comparison::{Billed, Comparison};
use section::Section;

/// Months in the chart.
const CHART_MONTH_COUNT: u32 = 12;

/// What the page takes.
const ACCEPTS: Accepts = Accepts { texts: &["view"], by: By::KEYS, sort: &[] };

/// The routes of the page.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/finance/statements/{month}", Policy::Money, show)
        .get("/finance/statements/{month}/adjustments.csv", Policy::OrganisationMoney, csv::adjustments)
        .get("/finance/statements/{month}/causes.csv", Policy::Money, why::export)
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(last): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let (month, is_csv) = split_suffix(&last);
    let month: BillingPeriod = month.parse().map_err(|error| Error::Invalid(format!("{month}: {error}.")))?;
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let asked = Asked::read(&mut snapshot, month, &view).await?;
    let scope = principal.scope();
    let read = Read::new(&mut snapshot, &scope, &asked, app.now().date_naive()).await?;
    let state = MonthState::of(month, &read.reach, read.closing(), app.now().date_naive());
    let billed = billed(&mut snapshot, &asked, &state).await?;
    if is_csv {
        let bills = app.bills(&mut snapshot).await?;
        let comparison = Comparison::new(&bills, &asked, &state, &read.rows, &billed);
        let table = csv::table(&comparison, &read.booked, read.rated.as_ref());
        return Ok(table.into_response(&format!("statement-{month}.csv")));
    }
    let title = format!("{} · Statements", month.label());
    let page = Page::new(&app, &principal, &mut snapshot, title, NavItem::Statements).await?;
    let page = page.noting(view.note());
    let comparison = Comparison::new(&page.bills, &asked, &state, &read.rows, &billed);
    let like = like::read(&mut snapshot, &scope, &comparison, &read).await?;
    let mut sections = section::sections(&comparison, &read, &like, scope.is_everything());
    let causes = why::causes(&app, &page.bills, &mut snapshot, &scope, &comparison).await?;
    sections.iter_mut().for_each(|section| section.why = why::walk_of(&causes, &asked, &section.currency));
    let word = format!("statement {month}");
    let (publication_id, basis) = (page.publication_id, asked.basis);
    let looked =
        Looked { page: &word, publication_id, basis, of: RestatedOf { month: Some(month), ..RestatedOf::default() } };
    let restated = RestatedNotice::read(&app, &principal, &mut snapshot, looked).await?;
    let forecast =
        ForecastSection::of_month(&mut snapshot, &scope, month.first_day(), asked.currency.as_deref()).await?;
    let shows_receipts = Policy::Bills.allows(&principal);
    let waiting =
        if shows_receipts { late_bills::waiting_for(&mut snapshot, month.first_day()).await? } else { Vec::new() };
    Ok(StatementPage {
        page,
        month,
        state,
        shows_receipts,
        waiting,
        shows_organisation: scope.is_everything(),
        view,
        sections,
        restated,
        can_close: Policy::Finance.allows(&principal) && month.next().first_day() <= app.now().date_naive(),
        closings: read.closings.clone(),
        invoices: read.invoices.clone(),
        forecast,
        reporting: read.rated.as_ref().and_then(Reporting::new).map(|all| all.named(asked.basis.total_name())),
        reported_why: why::reported_walk(&causes, &asked),
        asked,
    }
    .into_response())
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The month.
    pub month: BillingPeriod,
    /// The month that it is compared with.
    pub before: BillingPeriod,
    /// Which label puts a charge into a month.
    pub view: MonthView,
    /// The cost column.
    pub basis: CostBasis,
    /// The split.
    pub by: By,
    /// One currency only, as the bills write it.
    pub currency: Option<String>,
}

impl Asked {
    async fn read(conn: &mut Snapshot, month: BillingPeriod, view: &View) -> Result<Self> {
        let before = match view.versus {
            Versus::Previous => month.previous(),
            // A statement does not take named days (`ACCEPTS`).
            Versus::PreviousYear | Versus::Month(_) | Versus::Days(_) => {
                (0..12).fold(month, |month, _| month.previous())
            }
        };
        Ok(Self {
            month,
            before,
            view: month_view(view.text("view"))?,
            basis: view.basis,
            by: By::from_key(view.by()),
            currency: view.currency(conn).await?,
        })
    }
}

/// Reads `view=billing|charge`; billing is the default.
pub fn month_view(word: Option<&str>) -> Result<MonthView> {
    match word {
        None | Some("billing") => Ok(MonthView::BillingPeriod),
        Some("charge") => Ok(MonthView::ChargeDay),
        Some(other) => Err(Error::Invalid(format!("view={other} is not known. Allowed: billing, charge."))),
    }
}

/// Everything that the page is made of, from one snapshot.
struct Read {
    rows: Vec<StatementRow>,
    totals: Vec<MonthTotal>,
    reach: Vec<statement_ties::MonthReach>,
    /// In which currencies which sources billed the month and the one before.
    billed_in: Vec<BilledIn>,
    shifted: Vec<ShiftedCost>,
    /// Of an open month.
    ties: Vec<SourceTie>,
    /// Of a closed one.
    closed_ties: Vec<ClosedTie>,
    /// What the month leaves out in list and contracted prices.
    left_out: Vec<LeftOut>,
    restatements: Vec<Restatement>,
    /// Every closing of the month, the newest first.
    closings: Vec<Closing>,
    /// Booked to this month, or elsewhere for it.
    adjustments: Vec<Adjustment>,
    /// What is booked to any month for closed ones, in the asked currency. Nothing by charge day: there each bill is in its
    /// own month.
    booked: Vec<BookedCost>,
    /// What the bills of a closed month say now beyond its figures.
    moved: Vec<MovedSince>,
    /// How the invoices of the month stand.
    invoices: Vec<(InvoiceState, usize)>,
    /// The month's rows, apart by billing month. `None` where no reporting currency is set.
    rated: Option<RatedParts>,
    today: NaiveDate,
}

impl Read {
    async fn new(conn: &mut Snapshot, scope: &Scope, asked: &Asked, today: NaiveDate) -> sqlx::Result<Self> {
        let Asked { month, before, view, basis, .. } = *asked;
        let first = (1..CHART_MONTH_COUNT).fold(month, |month, _| month.previous());
        let mut rows = statements::rows(conn, scope, view, basis, before, before).await?;
        rows.extend(statements::rows(conn, scope, view, basis, month, month).await?);
        if let Some(currency) = &asked.currency {
            rows.retain(|row| row.billing_currency == *currency);
        }
        let booked = match view {
            MonthView::BillingPeriod => booked_costs::all(conn, scope, basis).await?,
            MonthView::ChargeDay => Vec::new(),
        };
        let is_asked = |one: &BookedCost| asked.currency.as_ref().is_none_or(|own| *own == one.billing_currency);
        let booked: Vec<BookedCost> = booked.into_iter().filter(is_asked).collect();
        let parts = rows.iter().filter(|row| row.month == month.first_day()).map(part).collect();
        let late = booked.iter().filter(|one| one.booked_month == month.first_day()).map(booked_part).collect();
        let closings = month_closing::history(conn, month).await?;
        let is_closed = closings.iter().any(|closing| closing.reopened_at.is_none());
        let (mut ties, mut closed_ties) = (Vec::new(), Vec::new());
        if is_closed {
            closed_ties = ties_of_closed::closed_ties(conn, scope, basis, month).await?;
        } else {
            ties = statement_ties::ties(conn, scope, basis, month).await?;
        }
        Ok(Self {
            rated: RatedParts::with_booked(conn, parts, late).await?,
            rows,
            totals: statements::months(conn, scope, view, basis, first, month).await?,
            reach: statement_ties::reach(conn).await?,
            billed_in: statement_ties::billed_in(conn, month.previous(), month).await?,
            today,
            shifted: shifted_costs::shifted(conn, scope, basis, month).await?,
            left_out: commitment_purchases::left_out(conn, scope, view, basis, month, month).await?,
            ties,
            closed_ties,
            booked,
            restatements: statement_ties::restatements(conn, scope, basis, month).await?,
            invoices: invoice_list::states(conn, scope, month, today).await?,
            closings,
            adjustments: booked_costs::adjustments(conn, scope, basis, month).await?,
            moved: month_closing::moved_since(conn, scope, basis, month).await?,
        })
    }
}

impl Read {
    fn closing(&self) -> Option<&Closing> {
        self.closings.iter().find(|closing| closing.reopened_at.is_none())
    }

    // How far the bills of one currency have come.
    fn state_in(&self, month: BillingPeriod, currency: &str) -> MonthState {
        MonthState::in_currency(month, (&self.reach, &self.billed_in), currency, self.closing(), self.today)
    }
}

// What the whole organisation has, also for those who see the cost of some teams only.
async fn billed(conn: &mut Snapshot, asked: &Asked, state: &MonthState) -> sqlx::Result<Billed> {
    if !state.is_open() {
        return Ok(Billed::default());
    }
    let invoiced = statement_ties::billed_currencies(conn, MonthView::BillingPeriod, asked.month).await?;
    let shown = match asked.view {
        MonthView::BillingPeriod => invoiced.clone(),
        MonthView::ChargeDay => statement_ties::billed_currencies(conn, asked.view, asked.month).await?,
    };
    Ok(Billed { shown, invoiced })
}

// The key plays no part: a statement converts its whole month.
fn part(row: &StatementRow) -> CostPart {
    CostPart {
        key: String::new(),
        billing_month: row.billing_month,
        currency: row.billing_currency.clone(),
        cost: row.cost.clone(),
    }
}

/// What is booked to a month is converted as the bills that it is of: by the rate of the closed month.
pub(super) fn booked_part(booked: &BookedCost) -> CostPart {
    CostPart {
        key: booked.booked_month.to_string(),
        billing_month: booked.closed_month,
        currency: booked.billing_currency.clone(),
        cost: booked.cost.clone(),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "statement.html")]
struct StatementPage {
    page: Page,
    month: BillingPeriod,
    state: MonthState,
    shows_receipts: bool,
    /// Deliveries that would change the closed month.
    waiting: Vec<Waiting>,
    shows_organisation: bool,
    view: View,
    asked: Asked,
    sections: Vec<Section>,
    reporting: Option<Reporting>,
    /// The causes in the reporting currency.
    reported_why: Option<WhyWalk>,
    can_close: bool,
    restated: Option<RestatedNotice>,
    closings: Vec<Closing>,
    invoices: Vec<(InvoiceState, usize)>,
    forecast: ForecastSection,
}

impl StatementPage {
    fn path(&self) -> String {
        format!("/finance/statements/{}", self.month)
    }

    fn link(&self, key: &'static str, value: &str) -> String {
        self.view.link(&self.path(), &[(key, value)])
    }

    fn csv(&self) -> String {
        self.view.link(&format!("{}.csv", self.path()), &[])
    }

    /// What is booked, of the currency and in the cost column of the page: its file takes no more of the address.
    fn adjustments(&self) -> String {
        let others = [("period", ""), ("vs", ""), ("view", ""), ("by", "")];
        self.view.link(&format!("{}/adjustments.csv", self.path()), &others)
    }

    /// The same month by cost center as the bills and the rules have it.
    fn before_splits(&self) -> String {
        let month = self.month.to_string();
        let changes = [("period", month.as_str()), ("vs", ""), ("view", ""), ("by", "")];
        self.view.link("/dimensions/cost_center", &changes)
    }

    fn is_closed(&self) -> bool {
        matches!(self.state, MonthState::Closed(_))
    }

    fn is_by_charge(&self) -> bool {
        self.asked.view == MonthView::ChargeDay
    }
}
