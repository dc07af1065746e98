//! `/sources/{id}`: one source: what counts now, and everything that ever came from it.

use super::csv::{Table, split_id};
use super::paged_file::note_limit;
use super::source_standing::Standing;
use super::sources::{Reach, lacking, reach};
use super::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes, display, filters, unknown_keys};
use crate::store::completeness::{self, LearnedAge};
use crate::store::removed_sources;
use crate::store::sources::{self, AuditRow, CurrentBill, DeliveryRow, SourceRow};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bigdecimal::BigDecimal;
use serde::Deserialize;

/// Deliveries a page.
const DELIVERY_COUNT: i64 = 50;

/// The routes of the page.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/sources/{id}", Policy::Bills, show)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Paging {
    /// Deliveries older than this one.
    before: Option<i64>,
}

async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Path(last): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Response> {
    let (source_id, is_csv) = split_id(&last)?;
    let mut snapshot = app.pools.snapshot().await?;
    let source = sources::get(&mut snapshot, source_id).await?.ok_or(Error::NotFound)?;
    let scope = principal.scope();
    let bills = sources::current_bills(&mut snapshot, &scope, source_id).await?;
    if is_csv {
        return Ok(bills_csv(&bills).into_response(&format!("source-{}.csv", source.name)));
    }
    let title = format!("{} · Sources", source.name);
    let page = Page::new(&app, &principal, &mut snapshot, title, NavItem::Sources).await?;
    let page = page.noting(unknown_keys::of::<Paging>());
    let mut deliveries = sources::deliveries(&mut snapshot, Some(source_id), paging.before, DELIVERY_COUNT + 1).await?;
    let has_more = deliveries.len() > DELIVERY_COUNT as usize;
    deliveries.truncate(DELIVERY_COUNT as usize);
    let older = deliveries.last().filter(|_| has_more).map(|delivery| delivery.delivery_id);
    let mut subjects: Vec<String> =
        deliveries.iter().map(|delivery| format!("delivery {}", delivery.delivery_id)).collect();
    subjects.push(format!("source {source_id}"));
    let audit = sources::audit_of(&mut snapshot, &subjects).await?;
    let reach = reach(&page, source_id);
    let lacking = lacking(&page.bills, source_id);
    let learned = completeness::learned(&mut snapshot, source_id).await?;
    let settles_after_days =
        page.bills.sources.iter().find(|one| one.source_id == source_id).and_then(|one| one.settles_after_days);
    let shows_amounts = scope.is_everything();
    let is_finance = principal.is_finance();
    let standing = Standing::load(&page, &mut snapshot, &scope, source_id).await?;
    let is_admin = principal.is_admin();
    let held = removed_sources::held(&mut *snapshot, source_id).await?;
    let can_remove = is_admin && !source.is_removed && held.is_some_and(|held| held.obstacle().is_none());
    let bills = bills.into_iter().map(Bill::new).collect();
    Ok(SourcePage {
        page,
        source,
        reach,
        lacking,
        standing,
        shows_amounts,
        is_finance,
        is_admin,
        can_remove,
        bills,
        deliveries,
        older,
        audit,
        learned,
        settles_after_days,
    }
    .into_response())
}

fn bills_csv(bills: &[CurrentBill]) -> Table {
    let mut table = Table::new(&[
        "BillingPeriodStart",
        "BillingAccountId",
        "BillingCurrency",
        "Lines",
        "BilledCost",
        "EffectiveCost",
        "DeliveryId",
    ]);
    for bill in bills {
        table.row(&[
            bill.billing_period_start.to_string().into(),
            (&bill.billing_account_id).into(),
            (&bill.billing_currency).into(),
            bill.charge_count.into(),
            (&bill.billed_cost).into(),
            (&bill.effective_cost).into(),
            bill.delivery_id.into(),
        ]);
    }
    note_limit(&mut table, bills.len(), sources::CURRENT_BILLS_MAX, "older months are on the pages of statements");
    table
}

struct Bill {
    billed: String,
    effective: String,
    bill: CurrentBill,
}

impl Bill {
    fn new(bill: CurrentBill) -> Self {
        let text = |amount: &BigDecimal| {
            display::money(amount, &bill.billing_currency, display::minor_units(&bill.billing_currency))
        };
        Self { billed: text(&bill.billed_cost), effective: text(&bill.effective_cost), bill }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "source.html")]
struct SourcePage {
    page: Page,
    source: SourceRow,
    reach: Reach,
    /// What lacks within it, although it is there.
    lacking: Vec<String>,
    standing: Standing,
    shows_amounts: bool,
    is_finance: bool,
    is_admin: bool,
    /// Whether this person may remove it although nobody set it up: nothing of it counts or waits.
    can_remove: bool,
    bills: Vec<Bill>,
    deliveries: Vec<DeliveryRow>,
    older: Option<i64>,
    audit: Vec<AuditRow>,
    learned: Vec<LearnedAge>,
    settles_after_days: Option<i32>,
}

impl SourcePage {
    fn settling(&self) -> String {
        match self.settles_after_days {
            Some(1) => "A day is taken for complete 1 day after it; younger ones are marked as still arriving.".into(),
            Some(days) => {
                format!("A day is taken for complete {days} days after it; younger ones are marked as still arriving.")
            }
            None => "Its deliveries do not show from when on its days are complete.".into(),
        }
    }

    #[expect(clippy::float_arithmetic, reason = "a median share, no money")]
    fn percent(&self, age: &LearnedAge) -> String {
        format!("{:.1}%", age.median_share * 100.0)
    }
}
