//! `/finance/invoices/{id}`: why an invoice differs from its lines: items that people add, and the deliveries behind it.

use super::display::{minor_units, money_exact};
use super::invoice_compared::{Compared, IssuerTotal, difference_words, one};
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, detached, filters};
use crate::analyze::invoices::InvoiceState;
use crate::rollup::Person;
use crate::rollup::invoice_items::{self as actions, ItemForm};
use crate::store::invoice_deliveries::{self, InvoiceDelivery};
use crate::store::invoice_items::InvoiceItem;
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use bigdecimal::{BigDecimal, RoundingMode, Zero};
use serde::Deserialize;

/// The routes of the page and its forms.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/finance/invoices/{id}", Policy::OrganisationMoney, show)
        .post("/finance/invoices/{id}/items", Policy::Finance, add)
        .post("/finance/invoices/{id}/items/remove", Policy::Finance, remove)
}

async fn show(State(app): State<AppState>, who: Principal, Path(id): Path<String>) -> Result<InvoicePage> {
    page(&app, &who, parsed(&id)?, None, String::new()).await
}

fn parsed(id: &str) -> Result<i64> {
    id.parse().map_err(|_| Error::NotFound)
}

async fn page(
    app: &AppState,
    principal: &Principal,
    key: i64,
    form: Option<ItemForm>,
    message: String,
) -> Result<InvoicePage> {
    let mut snapshot = app.pools.snapshot().await?;
    let scope = principal.scope();
    let one = one(&mut snapshot, &scope, key, app.now().date_naive()).await?.ok_or(Error::NotFound)?;
    let title = format!("{} · Invoices", one.row.invoice_id);
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Invoices).await?;
    let shows_deliveries = Policy::Bills.allows(principal);
    let deliveries =
        if shows_deliveries { invoice_deliveries::list(&mut snapshot, &scope, one.lines()).await? } else { Vec::new() };
    let earlier = earlier(&one, &deliveries);
    let rest = one.whole().rest.as_ref().filter(|rest| !rest.is_zero());
    let form = form.unwrap_or_else(|| ItemForm {
        amount: rest.map(|rest| rest.normalized().to_plain_string()).unwrap_or_default(),
        ..ItemForm::default()
    });
    Ok(InvoicePage {
        page,
        key,
        rows: rows(&one),
        current: deliveries.into_iter().filter(|row| row.is_current).collect(),
        earlier,
        shows_deliveries,
        may_change: Policy::Finance.allows(principal),
        form,
        message,
        tolerance: money_exact(&one.whole().tolerance, &one.row.billing_currency),
        one,
    })
}

async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<String>,
    Form(form): Form<ItemForm>,
) -> Result<Response> {
    let key = parsed(&id)?;
    let work = {
        let (app, login, form) = (app.clone(), principal.login.clone(), form.clone());
        async move {
            let (now, from) = (app.now(), address.to_string());
            actions::add(&app.pools.web, key, &form, Person { login: &login, address: &from }, now).await
        }
    };
    match detached(work).await.map_err(Error::from) {
        Ok(()) => Ok(Redirect::to(&format!("/finance/invoices/{key}")).into_response()),
        Err(error @ Error::Invalid(_)) => {
            let (status, message) = (error.status(), error.to_string());
            Ok((status, page(&app, &principal, key, Some(form), message).await?).into_response())
        }
        Err(error) => Err(error),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TakeBackForm {
    item_id: i64,
}

async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<String>,
    Form(form): Form<TakeBackForm>,
) -> Result<Redirect> {
    let key = parsed(&id)?;
    detached(async move {
        let (now, from) = (app.now(), address.to_string());
        let by = Person { login: &principal.login, address: &from };
        actions::remove(&app.pools.web, key, form.item_id, by, now).await
    })
    .await?;
    Ok(Redirect::to(&format!("/finance/invoices/{key}")))
}

/// A row on the way from the lines to what is left to explain.
struct Row {
    what: String,
    note: String,
    href: String,
    amount: String,
    is_total: bool,
    /// The item that it is.
    item: Option<InvoiceItem>,
}

fn rows(one: &Compared) -> Vec<Row> {
    let currency = &one.row.billing_currency;
    let row = |what: String, note: String, amount: &BigDecimal| Row {
        what,
        note,
        href: String::new(),
        amount: money_exact(amount, currency),
        is_total: false,
        item: None,
    };
    let lines = match &one.issuer_month {
        Some(of) => Some((&of.month.billed, of.month.charge_count)),
        None => one.row.billed.as_ref().map(|billed| (billed, one.row.charge_count)),
    };
    let mut rows = Vec::new();
    if let Some((billed, count)) = lines {
        let note = match count {
            1 => "1 line".to_owned(),
            count => format!("{} lines", filters::grouped(&BigDecimal::from(count), 0)),
        };
        rows.push(Row { href: one.lines_href(), ..row("Lines of bills".into(), note, billed) });
    }
    rows.extend(invoiced_rows(one, &row));
    let whole = one.whole();
    if let Some(difference) = &whole.difference {
        rows.push(Row {
            is_total: true,
            ..row("Difference".into(), difference_words(difference, currency), difference)
        });
    }
    for item in &one.items {
        let note = format!("by {} on {}", item.added_by, item.added_at.format("%-d %b %Y"));
        rows.push(Row { item: Some(item.clone()), ..row(item.reason.clone(), note, &item.amount) });
    }
    if let Some(rest) = whole.rest.as_ref().filter(|_| !one.items.is_empty()) {
        let note = "the difference less these items".to_owned();
        rows.push(Row { is_total: true, ..row("Rest".into(), note, rest) });
    }
    rows
}

// What is invoiced: with a minus, so that the rows above the difference add up to it.
fn invoiced_rows(one: &Compared, row: &impl Fn(String, String, &BigDecimal) -> Row) -> Vec<Row> {
    let Some(of) = &one.issuer_month else {
        let note = if one.is_voided() { "voided: not taken off" } else { "" };
        let sign = |invoiced: &BigDecimal| if one.is_voided() { invoiced.clone() } else { -invoiced };
        let invoiced = one.row.invoiced.as_ref().map(sign);
        return invoiced.iter().map(|invoiced| row("Invoiced".into(), note.into(), invoiced)).collect();
    };
    let total = |total: &IssuerTotal| {
        let is_other = Some(total.invoice_key) != one.row.invoice_key;
        let href = if is_other { format!("/finance/invoices/{}", total.invoice_key) } else { String::new() };
        Row { href, ..row("Invoiced".into(), total.invoice_id.clone(), &-&total.invoiced) }
    };
    of.totals.iter().map(total).collect()
}

/// A delivery that was replaced, and held what is invoiced.
struct Earlier {
    delivery_id: i64,
    /// What follows its number.
    sentence: String,
}

fn earlier(one: &Compared, deliveries: &[InvoiceDelivery]) -> Option<Earlier> {
    let differs = one.whole().difference.as_ref().is_none_or(|difference| !difference.is_zero());
    let invoiced = one.invoiced().filter(|_| differs)?;
    let current: Vec<&InvoiceDelivery> = deliveries.iter().filter(|row| row.is_current).collect();
    let is_source = |source_id: i64| current.is_empty() || current.iter().any(|current| current.source_id == source_id);
    let replaced: Vec<&InvoiceDelivery> =
        deliveries.iter().filter(|row| row.is_replaced && is_source(row.source_id)).collect();
    let currency = &one.row.billing_currency;
    let rounded = |billed: &BigDecimal| billed.with_scale_round(minor_units(currency), RoundingMode::HalfUp);
    let exact = replaced.iter().find(|row| row.billed == invoiced);
    let found = exact.or_else(|| replaced.iter().find(|row| rounded(&row.billed) == invoiced))?;
    let held = if exact.is_some() {
        "had exactly the invoiced total".to_owned()
    } else {
        format!("had {}, which is the invoiced total when rounded", money_exact(&found.billed, currency))
    };
    let of_source = current.iter().filter(|row| row.source_id == found.source_id);
    let now: Vec<String> = of_source.map(|row| row.delivery_id.to_string()).collect();
    let now = if now.is_empty() {
        "nothing counts in its place".to_owned()
    } else {
        format!("{} counts now", now.join(", "))
    };
    let sentence = format!("of {} {held}. It was replaced: {now}.", found.source_name);
    Some(Earlier { delivery_id: found.delivery_id, sentence })
}

#[derive(Template, WebTemplate)]
#[template(path = "invoice.html")]
struct InvoicePage {
    page: Page,
    /// The number of the recorded total.
    key: i64,
    one: Compared,
    rows: Vec<Row>,
    /// Deliveries that count now.
    current: Vec<InvoiceDelivery>,
    earlier: Option<Earlier>,
    shows_deliveries: bool,
    may_change: bool,
    form: ItemForm,
    message: String,
    tolerance: String,
}

impl InvoicePage {
    fn lede(&self) -> String {
        let together = self.one.together_with();
        let who = if together.is_empty() {
            "This invoice".to_owned()
        } else {
            format!("Together with {} this invoice", together.join(", "))
        };
        let words = self.one.difference_words();
        let rest = self.one.whole().rest.as_ref().map(|rest| self.exact(rest)).unwrap_or_default();
        match self.one.whole().state {
            InvoiceState::Differs if self.one.items.is_empty() => format!("{who} differs from its lines: {words}."),
            InvoiceState::Differs => {
                format!("{who} differs from its lines: {words}, of which {rest} is not explained.")
            }
            InvoiceState::Explained => format!("{who} differs from its lines: {words}. Items explain it."),
            InvoiceState::WithinTolerance => format!("{who} ties to its lines but for rounding: {words}."),
            InvoiceState::Tied => format!("{who} ties to its lines, to the last digit."),
            InvoiceState::Voided => format!("{who} is voided, and no line says that it counts."),
            _ => "No line of any current bill names this invoice, and none can be told by its issuer and month."
                .to_owned(),
        }
    }

    fn exact(&self, amount: &BigDecimal) -> String {
        money_exact(amount, &self.one.row.billing_currency)
    }
}
