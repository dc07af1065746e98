//! What a split would move from whom to whom on the days on which it holds, and the total that does not move.

use super::super::query::range_label;
use super::super::{AppState, NavItem, Page, Principal, Result, display, mapping_change, moves};
use super::edit::page_of_address;
use super::form::SplitForm;
use super::{planned, service_names, texts, unknown_metrics, words};
use crate::allocate::split::{Plan, Split};
use crate::allocate::{Validity, all_days};
use crate::focus::{CostBasis, DateRange};
use crate::rollup::splits as rollup_splits;
use crate::rollup::splits_compared::{self, Compared, MONTHS_MAX, Pairs};
use crate::store::costs::{self, CostFilter};
use crate::store::{Snapshot, splits};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bigdecimal::{BigDecimal, Zero};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The id that a split has before it is saved.
pub(super) const UNSAVED: i64 = -1;

/// What goes from one service to another.
struct MoveRow {
    from: String,
    to: String,
    now: String,
    then: String,
    /// Its part of what leaves the origin then; empty where nothing does.
    share: String,
    change: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "split_preview.html")]
struct SplitPreviewPage {
    page: Page,
    form: SplitForm,
    source: String,
    method: String,
    who: String,
    why_stayed: String,
    /// That its metric has no value; else empty.
    unknown_metric: String,
    targets: Vec<String>,
    days: String,
    rows: Vec<MoveRow>,
    stayed: Vec<String>,
    totals: Vec<String>,
    order: Vec<String>,
    shows_money: bool,
    /// The days that the amounts are of; empty where no bill has any on which it holds.
    range: String,
    /// Whether any amount of any column would be another.
    is_changed: bool,
    /// How far was looked, where bills are older; else empty.
    cut: String,
    /// What becomes of closed months in which something would be another; empty where there are none.
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
    let names = service_names(snapshot).await?;
    let id = form.id.unwrap_or(UNSAVED);
    let split = rollup_splits::split_of(id, &values)?;
    let scope = principal.scope();
    let shows_money = scope.is_everything();
    let (mut compared, mut totals) = (Compared::default(), Vec::new());
    if shows_money {
        compared = compared_with_now(snapshot, (&plan, &split)).await?;
        if let Some(days) = compared.days {
            totals = costs::totals(snapshot, &scope, &CostFilter::new(days, CostBasis::Amortized)).await?;
        }
    }
    let metrics: BTreeSet<&str> = values.metric.as_deref().into_iter().collect();
    let unknown_metric = unknown_metrics(snapshot, &metrics).await?.into_values().collect();
    let order = plan.splits().iter().map(|one| one.name.clone()).collect();
    Ok(SplitPreviewPage {
        page,
        form: form.clone(),
        source: words::service_name(&names, split.source),
        method: words::method(&split),
        who: words::who(&split),
        why_stayed: words::why_stayed(&split),
        unknown_metric,
        targets: words::targets(&split, &names),
        days: words::days(split.validity),
        rows: rows(&compared.pairs, &names),
        stayed: texts(&compared.stayed),
        totals: totals.iter().map(|money| moves::text(&money.amount, &money.currency)).collect(),
        order,
        shows_money,
        range: compared.days.map(range_label).unwrap_or_default(),
        is_changed: compared.is_changed,
        cut: if compared.is_cut { cut_sentence() } else { String::new() },
        closed: moves::closed_sentence(&compared.closed_months),
    })
}

fn cut_sentence() -> String {
    format!(
        "It holds on older days of bills, too. Only the newest {MONTHS_MAX} months of charges were looked at: what would \
         be different before them is not told, and closed months before them are not named."
    )
}

/// Looks at the days on which the split holds now or would hold: on others nothing can be different.
async fn compared_with_now(snapshot: &mut Snapshot, (plan, split): (&Plan, &Split)) -> Result<Compared> {
    let stored = splits::list(snapshot).await?;
    let present = rollup_splits::plan(snapshot, &stored).await?;
    let before = present.splits().iter().find(|one| one.split_id == split.split_id);
    let days = days_of_both(split.validity, before.map(|one| one.validity));
    Ok(splits_compared::compare(snapshot, (&present, plan), split.split_id, days).await?)
}

fn days_of_both(then: Validity, now: Option<Validity>) -> DateRange {
    let days = [Some(then), now].into_iter().flatten().filter_map(Validity::days);
    days.reduce(DateRange::spanning).unwrap_or_else(all_days)
}

/// What would be another amount than now, that which changes most first.
fn rows(pairs: &Pairs, names: &HashMap<i64, String>) -> Vec<MoveRow> {
    let mut given: BTreeMap<(i64, &str), BigDecimal> = BTreeMap::new();
    for ((from, _, currency), [_, then]) in pairs {
        *given.entry((*from, currency.as_str())).or_default() += then;
    }
    let mut found: Vec<(BigDecimal, MoveRow)> = Vec::new();
    for ((from, to, currency), [now, then]) in pairs {
        let change = then - now;
        if change.is_zero() {
            continue;
        }
        let digits = display::minor_units(currency);
        let row = MoveRow {
            from: words::service_name(names, *from),
            to: words::service_name(names, *to),
            now: moves::text(now, currency),
            then: moves::text(then, currency),
            share: given.get(&(*from, currency.as_str())).map(|all| words::share(then, all)).unwrap_or_default(),
            change: display::signed(&change, currency, digits),
        };
        found.push((change.abs(), row));
    }
    found.sort_by(|left, right| right.0.cmp(&left.0));
    found.into_iter().map(|(_, row)| row).collect()
}
