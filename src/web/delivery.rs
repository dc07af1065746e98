//! `/deliveries/{id}`: the receipt: what a file held, what it lacked, and what it did to the totals.

use super::csv::Table;
use super::csv::split_id;
use super::delivery_decision::accept_words;
use super::delivery_late::{self, LateSection};
use super::delivery_replaced::ReplacedSection;
use super::paged_file::note_cut;
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes, display, filters};
use crate::focus::BillingPeriod;
use crate::rollup;
use crate::store::receipts::{self, Movement, Receipt, Total};
use crate::store::rejected_totals::RejectedTotal;
use crate::store::sources::{self, AuditRow};
use crate::store::unread_files::INCOMPLETE;
use crate::store::{generations, jobs};
use askama::Template;
use askama_web::WebTemplate;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bigdecimal::BigDecimal;

/// What stands in the place of a value of a bill for those who may not see money.
const HIDDEN: &str = "open to finance";

/// The routes of the page.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/deliveries/{id}", Policy::Bills, show)
}

async fn show(State(app): State<AppState>, principal: Principal, Path(last): Path<String>) -> Result<Response> {
    if let Some(id) = last.strip_suffix(".json") {
        return json(&app, &principal, id).await;
    }
    let (delivery_id, is_csv) = split_id(&last)?;
    let mut snapshot = app.pools.snapshot().await?;
    let mut receipt = receipts::get(&mut snapshot, delivery_id).await?.ok_or(Error::NotFound)?;
    let scope = principal.scope();
    // The value that could not be read is mostly an amount.
    if !scope.is_everything() {
        receipt.rejections.iter_mut().for_each(|row| row.value = HIDDEN.into());
    }
    if is_csv {
        return Ok(rejections_csv(&receipt).into_response(&format!("delivery-{delivery_id}-rejected.csv")));
    }
    let title = format!("Delivery {delivery_id} · Sources");
    let page = Page::new(&app, &principal, &mut snapshot, title, NavItem::Sources).await?;
    // Who closed a month that it is of decided about it, too.
    let months = receipt.billing_periods.iter().map(|first_day| BillingPeriod::containing(*first_day).to_string());
    let subjects: Vec<String> = std::iter::once(format!("delivery {delivery_id}")).chain(months).collect();
    let audit = sources::audit_of(&mut snapshot, &subjects).await?;
    let job = jobs::find(&mut *snapshot, "import_upload", &delivery_id.to_string()).await?;
    let current = sources::consequences(&mut snapshot, &scope, delivery_id).await?;
    if !scope.is_everything() {
        receipt.totals.clear();
        receipt.rejected_totals.clear();
        receipt.movements.clear();
        receipt.would_replace.clear();
        receipt.closed_months.iter_mut().for_each(|month| month.differences.clear());
    }
    let late = if scope.is_everything() { LateSection::new(&receipt) } else { LateSection::default() };
    let has_lines = generations::has_lines(&mut *snapshot, delivery_id).await?;
    let can_accept = has_lines && rollup::cannot_accept(&receipt.missing_columns).is_none();
    let replaced = if can_accept { ReplacedSection::new(&receipt) } else { ReplacedSection::default() };
    let job_state = job.as_ref().map_or("", |job| job.state.as_str());
    let is_retried = receipt.state == "failed" && matches!(job_state, "waiting" | "running");
    let is_running = is_retried || matches!(receipt.state.as_str(), "waiting" | "loading");
    Ok(DeliveryPage {
        is_running,
        can_retry: receipt.state == "failed" && job_state == "failed",
        can_count_again: receipt.state == "withdrawn" && has_lines,
        can_accept,
        progress: job.as_ref().map(|job| job.progress.clone()).unwrap_or_default(),
        last_error: job.and_then(|job| job.last_error).filter(|_| is_running),
        lede: lede(&receipt),
        totals: receipt.totals.iter().map(TotalRow::new).collect(),
        movements: receipt.movements.iter().map(MovementRow::new).collect(),
        shows_amounts: scope.is_everything(),
        is_finance: principal.is_finance(),
        is_counted: !current.is_empty() || receipt.state == "published",
        can_revert: current.iter().any(|row| row.earlier_delivery_id.is_some()),
        page,
        receipt,
        audit,
        late,
        replaced,
    }
    .into_response())
}

async fn json(app: &AppState, principal: &Principal, id: &str) -> Result<Response> {
    let (delivery_id, _) = split_id(id)?;
    if !principal.scope().is_everything() {
        return Err(Error::Forbidden);
    }
    let mut snapshot = app.pools.snapshot().await?;
    let receipt = receipts::get(&mut snapshot, delivery_id).await?.ok_or(Error::NotFound)?;
    Ok(Json(receipt).into_response())
}

fn rejections_csv(receipt: &Receipt) -> Table {
    let mut table = Table::new(&["Line", "Column", "Value", "Reason"]);
    for row in &receipt.rejections {
        table.row(&[row.line.into(), (&row.column_name).into(), (&row.value).into(), (&row.reason).into()]);
    }
    // No more of them are kept.
    let how = "these are kept; mend the file and hand it in again";
    note_cut(&mut table, receipt.rejections.len(), receipt.rejected_rows, how);
    table
}

fn lede(receipt: &Receipt) -> String {
    let rows = filters::grouped(&receipt.rows.into(), 0);
    let rejected = filters::grouped(&receipt.rejected_rows.into(), 0);
    match receipt.state.as_str() {
        "waiting" => "The file is safely stored and waits to be read.".into(),
        "loading" => "The file is being read. Nothing of it counts until all of it was read and checked.".into(),
        "published" if receipt.reason.is_some() => "Counted in part.".into(),
        "published" if receipt.rejected_rows > 0 => {
            format!("Counted, with {rejected} of {rows} lines missing: someone accepted it so.")
        }
        "published" => format!("All {rows} lines count."),
        "unchanged" => "The same bytes count already, so nothing changed.".into(),
        "quarantined" if rollup::cannot_accept(&receipt.missing_columns).is_some() => {
            "Nothing of this file can be counted.".into()
        }
        "quarantined" if receipt.rejected_rows > 0 => {
            format!("{rejected} of {rows} lines cannot be read, so nothing of this file counts until someone decides.")
        }
        "quarantined" => "Nothing of this file counts until someone decides.".into(),
        "refused" => "Nothing of this file counts.".into(),
        "failed" => "The file could not be taken in. Nothing of it counts; you can hand it in again.".into(),
        "withdrawn" => "The delivery was withdrawn: nothing of it counts any more.".into(),
        "superseded" => "A later delivery replaced this one. Its totals are kept as the history of the figures.".into(),
        other => format!("State: {other}."),
    }
}

/// What can be read of the amounts of rejected lines: "$12.34 BilledCost and $11 EffectiveCost on 3 lines", one a currency.
pub(super) fn missing_amounts(receipt: &Receipt) -> Vec<String> {
    let words = |total: &RejectedTotal| {
        let currency = total.billing_currency.as_deref().unwrap_or_default();
        let amount = |amount: &BigDecimal| display::money_exact(amount, currency);
        let (billed, effective) = (amount(&total.BilledCost), amount(&total.EffectiveCost));
        format!("{billed} BilledCost and {effective} EffectiveCost on {}", filters::lines(total.rows))
    };
    receipt.rejected_totals.iter().map(words).collect()
}

/// An exact amount, or that the file lacks the column.
fn exact(amount: &Option<BigDecimal>, currency: &Option<String>) -> String {
    match amount {
        Some(amount) => display::money_exact(amount, currency.as_deref().unwrap_or_default()),
        None => "not in the file".into(),
    }
}

struct TotalRow {
    period: chrono::NaiveDate,
    currency: String,
    rows: i64,
    amounts: [String; 4],
}

impl TotalRow {
    fn new(total: &Total) -> Self {
        let text = |amount| exact(amount, &total.billing_currency);
        Self {
            period: total.billing_period,
            currency: total.billing_currency.clone().unwrap_or_else(|| "none".into()),
            rows: total.rows,
            amounts: total.costs.each().map(text),
        }
    }
}

struct MovementRow {
    movement: Movement,
    currency: String,
    amounts: [String; 4],
}

impl MovementRow {
    fn new(movement: &Movement) -> Self {
        let text = |amount: &Option<BigDecimal>| {
            let plus = amount.as_ref().is_some_and(|amount| amount > &BigDecimal::from(0));
            format!("{}{}", if plus { "+" } else { "" }, exact(amount, &movement.billing_currency))
        };
        Self {
            currency: movement.billing_currency.clone().unwrap_or_else(|| "none".into()),
            amounts: movement.costs.each().map(text),
            movement: movement.clone(),
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    page: Page,
    receipt: Receipt,
    lede: String,
    is_running: bool,
    can_retry: bool,
    can_count_again: bool,
    can_accept: bool,
    progress: String,
    last_error: Option<String>,
    totals: Vec<TotalRow>,
    movements: Vec<MovementRow>,
    shows_amounts: bool,
    is_finance: bool,
    is_counted: bool,
    can_revert: bool,
    audit: Vec<AuditRow>,
    late: LateSection,
    replaced: ReplacedSection,
}

impl DeliveryPage {
    fn accept_words(&self) -> String {
        accept_words(&self.receipt)
    }

    // Of a file that could not be read to its end nobody knows the rest.
    fn none_rejected(&self) -> &'static str {
        let is_incomplete = self.receipt.warnings.iter().any(|warning| warning == INCOMPLETE);
        match (self.is_running, self.receipt.rows, is_incomplete) {
            (true, ..) => "until now",
            (_, 0, _) => "no line was read",
            (.., true) => "of the lines up to where it could be read",
            _ => "every line could be read",
        }
    }

    fn closed_labels(&self) -> String {
        delivery_late::closed_labels(&self.receipt)
    }

    fn booked_labels(&self) -> String {
        delivery_late::booked_labels(&self.receipt)
    }

    fn missing_lines(&self) -> String {
        let are = if self.receipt.rejected_rows == 1 { "is" } else { "are" };
        format!("{} {are} missing", filters::lines(self.receipt.rejected_rows))
    }

    // Of very many rejected lines only the first are kept.
    fn is_cut(&self) -> bool {
        (self.receipt.rejections.len() as i64) < self.receipt.rejected_rows
    }
}
