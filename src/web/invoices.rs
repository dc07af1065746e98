//! `/finance/invoices`: what invoices total beside Σ BilledCost of the lines that name them.

use super::csv::{Cell, Table};
use super::display::{alone, minor_units, money, money_exact};
use super::invoice_list::{Compared, List, read};
use super::paged_file::note_limit;
use super::query::NONE;
use super::spool::form_error;
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, detached, filters};
use crate::analyze::invoices::InvoiceState;
use crate::focus::BillingPeriod;
use crate::rollup::Person;
use crate::rollup::invoices::{self as actions, InvoiceError, InvoiceForm};
use crate::store::invoices::{INVOICE_COUNT_MAX, WithoutInvoice};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Multipart, RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use bigdecimal::{BigDecimal, Zero};
use chrono::NaiveDate;
use serde::Deserialize;

/// A list of invoices.
const FILE_BYTES_MAX: usize = 64 << 20;

/// The routes of the page and its forms.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/finance/invoices", Policy::OrganisationMoney, show)
        .get("/finance/invoices.csv", Policy::OrganisationMoney, download)
        .post("/finance/invoices", Policy::Finance, enter)
        .post("/finance/invoices/remove", Policy::Finance, remove)
        .post_upload("/finance/invoices/import", Policy::Finance, FILE_BYTES_MAX, import)
}

impl From<InvoiceError> for Error {
    fn from(error: InvoiceError) -> Self {
        match error {
            InvoiceError::Database(error) => error.into(),
            InvoiceError::NotRecorded | InvoiceError::NoItem => Self::Conflict(error.to_string()),
            other => Self::Invalid(other.to_string()),
        }
    }
}

async fn show(State(app): State<AppState>, who: Principal, RawQuery(query): RawQuery) -> Result<InvoicesPage> {
    page(&app, &who, query.as_deref(), None, String::new()).await
}

async fn page(
    app: &AppState,
    principal: &Principal,
    query: Option<&str>,
    form: Option<InvoiceForm>,
    message: String,
) -> Result<InvoicesPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(app, principal, &mut snapshot, "Invoices", NavItem::Invoices).await?;
    let list = read(app, &mut snapshot, principal, query).await?;
    let view = &list.view;
    let page = page.noting(view.note());
    let form = form.unwrap_or_else(|| InvoiceForm {
        invoice_id: view.field("invoice").into(),
        issuer: view.field("issuer").into(),
        currency: list.currency.clone().unwrap_or_default(),
        month: view.field("month").into(),
        ..InvoiceForm::default()
    });
    let may_change = Policy::Finance.allows(principal);
    Ok(InvoicesPage { sections: sections(&list.rows), page, list, form, message, may_change })
}

async fn download(State(app): State<AppState>, who: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let list = read(&app, &mut snapshot, &who, query.as_deref()).await?;
    let mut table = Table::new(&[
        "InvoiceId",
        "InvoiceIssuerName",
        "BillingCurrency",
        "BillingMonth",
        "Invoiced",
        "BilledCost",
        "Difference",
        "Tolerance",
        "State",
        "AgeDays",
        "Lines",
        "InvoiceIssueDate",
        "PaymentDueDate",
        "Origin",
        "InvoiceIssueStatus",
        "Explained",
        "Rest",
        "ComparedBy",
        "TogetherWith",
    ]);
    let text = |day: Option<NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
    for one in &list.rows {
        table.row(&[
            (&one.row.invoice_id).into(),
            (&one.row.invoice_issuer_name).into(),
            (&one.row.billing_currency).into(),
            one.month().map(|month| month.to_string()).unwrap_or_default().into(),
            (&one.row.invoiced).into(),
            (&one.row.billed).into(),
            (&one.comparison.difference).into(),
            (&one.comparison.tolerance).into(),
            one.comparison.state.key().into(),
            one.age_days.map_or(Cell::Empty, Cell::Count),
            one.row.charge_count.into(),
            text(one.row.issue_date).into(),
            text(one.row.due_date).into(),
            (&one.row.origin).into(),
            (&one.row.issue_status).into(),
            (&one.explained()).into(),
            (&one.comparison.rest).into(),
            one.compared_by().into(),
            one.together_with().join(", ").into(),
        ]);
    }
    note_limit(&mut table, list.read_count, INVOICE_COUNT_MAX, "ask for one month with month");
    Ok(table.into_response("invoices.csv"))
}

async fn enter(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<InvoiceForm>,
) -> Result<Response> {
    let work = {
        let (app, login, form) = (app.clone(), principal.login.clone(), form.clone());
        async move {
            let (now, from) = (app.now(), address.to_string());
            actions::enter(&app.pools.web, &form, Person { login: &login, address: &from }, now).await
        }
    };
    match detached(work).await.map_err(Error::from) {
        Ok(()) => Ok(Redirect::to("/finance/invoices").into_response()),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let (status, message) = (error.status(), error.to_string());
            Ok((status, page(&app, &principal, None, Some(form), message).await?).into_response())
        }
        Err(error) => Err(error),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RemoveForm {
    invoice_key: i64,
}

async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<RemoveForm>,
) -> Result<Redirect> {
    detached(async move {
        let (now, from) = (app.now(), address.to_string());
        let by = Person { login: &principal.login, address: &from };
        actions::remove(&app.pools.web, form.invoice_key, by, now).await
    })
    .await?;
    Ok(Redirect::to("/finance/invoices"))
}

async fn import(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    mut multipart: Multipart,
) -> Result<Redirect> {
    let mut file: Option<(String, Vec<u8>)> = None;
    while let Some(field) = multipart.next_field().await.map_err(|error| form_error(&error))? {
        if field.name() != Some("file") {
            continue;
        }
        let name: String = field.file_name().unwrap_or_default().chars().take(200).collect();
        let bytes = field.bytes().await.map_err(|error| form_error(&error))?;
        file = Some((name, bytes.to_vec())).filter(|(_, bytes)| !bytes.is_empty());
    }
    let (name, bytes) =
        file.ok_or_else(|| Error::Invalid("No file was chosen. Choose a CSV list of invoices.".into()))?;
    detached(async move {
        let (now, from) = (app.now(), address.to_string());
        actions::import(&app.pools.jobs, &name, bytes, Person { login: &principal.login, address: &from }, now).await
    })
    .await?;
    Ok(Redirect::to("/finance/invoices"))
}

/// The invoices of one currency: those that have both sides, and those that have one. What is missing in the other column
/// adds up to nothing that could be compared, so that each has its own total.
struct Section {
    currency: String,
    groups: Vec<Group>,
}

/// Rows whose columns add up as shown.
struct Group {
    has_both_sides: bool,
    rows: Vec<Shown>,
    /// With all digits.
    invoiced: String,
    billed: String,
    /// Lines less invoices, where both are there.
    difference: String,
    /// What rounding leaves between the rows and the total: invoiced and billed.
    rounding: Option<(String, String)>,
    /// Voided totals, which are shown without being added up: they ask for nothing.
    voided_count: i64,
}

/// One invoice as text.
struct Shown {
    /// Where in the list it stands.
    index: usize,
    invoiced: String,
    billed: String,
    difference: String,
    /// What explains it, and what is left; empty where nothing does.
    explained: String,
    tolerance: String,
}

fn sections(rows: &[Compared]) -> Vec<Section> {
    let mut currencies: Vec<&str> = rows.iter().map(|one| one.row.billing_currency.as_str()).collect();
    currencies.sort_unstable();
    currencies.dedup();
    currencies.into_iter().map(|currency| section(rows, currency)).collect()
}

fn section(all: &[Compared], currency: &str) -> Section {
    let of_currency = all.iter().enumerate().filter(|(_, one)| one.row.billing_currency == currency);
    let (both, one): (Vec<Indexed>, Vec<Indexed>) = of_currency.partition(|(_, one)| one.has_both_sides());
    let groups = [(true, both), (false, one)].into_iter().filter(|(_, rows)| !rows.is_empty());
    Section {
        groups: groups.map(|(has_both_sides, rows)| group(&rows, has_both_sides, currency)).collect(),
        currency: currency.to_owned(),
    }
}

/// An invoice, and where in the list it stands.
type Indexed<'a> = (usize, &'a Compared);

fn group(rows: &[Indexed<'_>], has_both_sides: bool, currency: &str) -> Group {
    let decimals = minor_units(currency);
    let column = |pick: fn(&Compared) -> Option<&BigDecimal>| {
        let values: Vec<BigDecimal> = rows.iter().map(|(_, one)| pick(one).cloned().unwrap_or_default()).collect();
        let sum: BigDecimal = values.iter().sum();
        let (rounded, _) = alone(&values, &sum, decimals);
        let left = &sum - rounded.iter().sum::<BigDecimal>();
        (sum, left)
    };
    let (invoiced, invoiced_left) = column(|one| one.row.invoiced.as_ref().filter(|_| !one.is_voided()));
    let (billed, billed_left) = column(|one| one.row.billed.as_ref());
    let exact = |amount: &BigDecimal| money_exact(amount, currency);
    Group {
        has_both_sides,
        rows: rows.iter().map(|(index, one)| shown(*index, one, currency)).collect(),
        difference: if has_both_sides { exact(&(&billed - &invoiced)) } else { String::new() },
        rounding: (!invoiced_left.is_zero() || !billed_left.is_zero())
            .then(|| (exact(&invoiced_left), exact(&billed_left))),
        invoiced: exact(&invoiced),
        billed: exact(&billed),
        voided_count: rows.iter().filter(|(_, one)| one.is_voided()).count() as i64,
    }
}

fn shown(index: usize, one: &Compared, currency: &str) -> Shown {
    let rounded = |amount: &BigDecimal| money(amount, currency, minor_units(currency));
    let exact = |amount: &BigDecimal| money_exact(amount, currency);
    let text = |amount: &Option<BigDecimal>| amount.as_ref().map(rounded).unwrap_or_default();
    let explained = one.explained().zip(one.comparison.rest.as_ref());
    Shown {
        index,
        invoiced: text(&one.row.invoiced),
        billed: text(&one.row.billed),
        difference: one.comparison.difference.as_ref().map(exact).unwrap_or_default(),
        explained: explained
            .map(|(explained, rest)| format!("{} explained, rest {}", exact(&explained), exact(rest)))
            .unwrap_or_default(),
        tolerance: rounded(&one.comparison.tolerance),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "invoices.html")]
struct InvoicesPage {
    page: Page,
    list: List,
    sections: Vec<Section>,
    form: InvoiceForm,
    message: String,
    may_change: bool,
}

impl InvoicesPage {
    fn lede(&self) -> String {
        let of = self.list.month.map(|month| format!(" of {}", month.label())).unwrap_or_default();
        let open: usize = self.list.counts.iter().filter(|(state, _)| state.is_open()).map(|(_, count)| count).sum();
        let not_entered = |state: InvoiceState| state == InvoiceState::NotEntered;
        let count = |is_asked: &dyn Fn(InvoiceState) -> bool| -> usize {
            self.list.counts.iter().filter(|(state, _)| is_asked(*state)).map(|(_, count)| count).sum()
        };
        let all = count(&|state| !not_entered(state));
        let invoices = match (all, open) {
            (0, _) => format!("No invoice{of} is known: no line names one, and no total was recorded."),
            (1, 0) => format!("The one invoice{of} ties to its lines, or what it differs by is explained."),
            (all, 0) => format!("All {all} invoices{of} tie to their lines, or what they differ by is explained."),
            (all, 1) => format!("1 of {all} invoices{of} needs someone."),
            (all, open) => format!("{open} of {all} invoices{of} need someone."),
        };
        match count(&not_entered) {
            0 => invoices,
            1 => format!("{invoices} Of one month of an issuer whose lines name no invoice none is entered."),
            months => format!("{invoices} Of {months} months of issuers whose lines name no invoice none is entered."),
        }
    }

    fn one(&self, row: &Shown) -> &Compared {
        &self.list.rows[row.index]
    }

    fn link(&self, key: &'static str, value: &str) -> String {
        self.list.view.link("/finance/invoices", &[(key, value)])
    }

    fn exact(&self, amount: &BigDecimal, currency: &str) -> String {
        money_exact(amount, currency)
    }

    fn without_href(&self, one: &WithoutInvoice) -> String {
        let month = BillingPeriod::containing(one.month).to_string();
        let query =
            [("billing", month.as_str()), ("invoice", NONE), ("cur", &one.billing_currency), ("basis", "billed")];
        format!("/charges?{}", serde_urlencoded::to_string(query).unwrap_or_default())
    }
}
