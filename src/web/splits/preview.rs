//! What a split would move from whom to whom in the last three months, and the total that does not move.

use super::super::query::range_label;
use super::super::{AppState, NavItem, Page, Principal, Result, display, mapping_change, moves, rules};
use super::edit::page_of_address;
use super::form::SplitForm;
use super::{planned, service_names, stayed_of, texts, words};
use crate::allocate::split::{Moved, Plan};
use crate::focus::{BillingPeriod, CostBasis};
use crate::rollup::splits as rollup_splits;
use crate::store::costs::{self, CostFilter};
use crate::store::{Snapshot, month_closing, splits};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bigdecimal::{BigDecimal, Zero};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The id that a split has before it is saved.
pub(super) const UNSAVED: i64 = -1;

/// What goes from one service to another.
struct MoveRow {
    from: String,
    to: String,
    now: String,
    then: String,
    change: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "split_preview.html")]
struct SplitPreviewPage {
    page: Page,
    form: SplitForm,
    source: String,
    method: String,
    targets: Vec<String>,
    days: String,
    rows: Vec<MoveRow>,
    stayed: Vec<String>,
    totals: Vec<String>,
    order: Vec<String>,
    shows_money: bool,
    range: String,
    /// What becomes of closed months in which something moves on these days; empty where nothing does.
    closed: String,
}

pub(super) async fn show(
    State(app): State<AppState>,
    principal: Principal,
    Query(fields): Query<Vec<(String, String)>>,
) -> Result<Response> {
    let form = SplitForm::read(fields)?;
    let mut snapshot = app.pools.snapshot().await?;
    match preview_page(&app, &principal, &mut snapshot, &form).await {
        Ok(page) => Ok(page.into_response()),
        Err(error) => {
            let status = error.status();
            let message = mapping_change::sentence(error)?;
            drop(snapshot);
            Ok((status, page_of_address(&app, &principal, form, message).await?).into_response())
        }
    }
}

async fn preview_page(
    app: &AppState,
    principal: &Principal,
    snapshot: &mut Snapshot,
    form: &SplitForm,
) -> Result<SplitPreviewPage> {
    let values = form.values(snapshot).await?;
    let plan = planned(snapshot, form.id, &values).await?;
    let page = Page::new(app, principal, snapshot, "What the split would move", NavItem::Rules).await?;
    let page = page.noting(String::new());
    let (_, long) = rules::ranges(&page);
    let names = service_names(snapshot).await?;
    let id = form.id.unwrap_or(UNSAVED);
    let split = rollup_splits::split_of(id, &values)?;
    let scope = principal.scope();
    let shows_money = scope.is_everything();
    let (mut rows, mut stayed, mut totals) = (Vec::new(), Vec::new(), Vec::new());
    let mut closed = String::new();
    if shows_money {
        let stored = splits::list(snapshot).await?;
        let present = rollup_splits::plan(snapshot, &stored).await?;
        let (now, _) = rollup_splits::worked_out(snapshot, &present, long).await?;
        let (moved, left) = rollup_splits::worked_out(snapshot, &plan, long).await?;
        rows = compare(&paired(&present, &now), &paired(&plan, &moved), &names);
        stayed = texts(&stayed_of(id, &left));
        let months = changed_closed_months(snapshot, (&present, &now), (&plan, &moved), &names).await?;
        closed = moves::closed_sentence(&months);
        let filter = CostFilter::new(long, CostBasis::Amortized);
        totals = costs::totals(snapshot, &scope, &filter).await?;
    }
    let order = plan.splits().iter().map(|one| one.name.clone()).collect();
    Ok(SplitPreviewPage {
        page,
        form: form.clone(),
        source: words::service_name(&names, split.source),
        method: words::method(&split),
        targets: words::targets(&split, &names),
        days: words::days(split.validity),
        rows,
        stayed,
        totals: totals.iter().map(|money| moves::text(&money.amount, &money.currency)).collect(),
        order,
        shows_money,
        range: range_label(long),
        closed,
    })
}

// From, to, currency.
type Pairs = BTreeMap<(i64, i64, String), BigDecimal>;

/// The closed months in whose bills something else would go from one service to another than does now, the oldest
/// first. Of the same days as the rows above: what a split moves in older bills is not worked out for a preview.
async fn changed_closed_months(
    snapshot: &mut Snapshot,
    (present, now): (&Plan, &[Moved]),
    (plan, then): (&Plan, &[Moved]),
    names: &HashMap<i64, String>,
) -> Result<Vec<BillingPeriod>> {
    let ids: BTreeSet<i64> = now.iter().chain(then).map(|one| one.key.generation_id).collect();
    let month_of = month_closing::closed_of(snapshot, &ids.into_iter().collect::<Vec<_>>()).await?;
    let months: BTreeSet<NaiveDate> = month_of.values().copied().collect();
    let changes = |month: NaiveDate| {
        let is_of = |one: &&Moved| month_of.get(&one.key.generation_id) == Some(&month);
        let (now, then) = (now.iter().filter(is_of), then.iter().filter(is_of));
        !compare(&paired(present, now), &paired(plan, then), names).is_empty()
    };
    Ok(months.into_iter().filter(|month| changes(*month)).map(BillingPeriod::containing).collect())
}

/// `EffectiveCost` by origin and receiver.
fn paired<'a>(plan: &Plan, moved: impl IntoIterator<Item = &'a Moved>) -> Pairs {
    let sources: HashMap<i64, i64> = plan.splits().iter().map(|split| (split.split_id, split.source)).collect();
    let mut pairs = Pairs::new();
    for one in moved {
        let Some(source) = sources.get(&one.split_id).filter(|source| **source != one.service_id) else { continue };
        let key = (*source, one.service_id, one.key.billing_currency.clone());
        *pairs.entry(key).or_default() += &one.costs[1];
    }
    pairs
}

fn compare(now: &Pairs, then: &Pairs, names: &HashMap<i64, String>) -> Vec<MoveRow> {
    let zero = BigDecimal::zero();
    let keys: BTreeSet<&(i64, i64, String)> = now.keys().chain(then.keys()).collect();
    let mut found: Vec<(BigDecimal, MoveRow)> = Vec::new();
    for key in keys {
        let (from, to, currency) = key;
        let (before, after) = (now.get(key).unwrap_or(&zero), then.get(key).unwrap_or(&zero));
        let change = after - before;
        if change.is_zero() {
            continue;
        }
        let digits = display::minor_units(currency);
        found.push((
            change.abs(),
            MoveRow {
                from: words::service_name(names, *from),
                to: words::service_name(names, *to),
                now: moves::text(before, currency),
                then: moves::text(after, currency),
                change: display::signed(&change, currency, digits),
            },
        ));
    }
    found.sort_by(|left, right| right.0.cmp(&left.0));
    found.into_iter().map(|(_, row)| row).collect()
}
