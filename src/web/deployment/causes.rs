//! What the difference of the days before and after is made of: causes that add up to it exactly, the releases by their
//! verdicts among them.

use super::went_live;
use crate::focus::DateRange;
use crate::store::costs::CostFilter;
use crate::store::deployment_costs::ServedService;
use crate::store::deployment_lists::Row;
use crate::store::freshness::Freshness;
use crate::store::{Scope, Snapshot};
use crate::web::comparison::{Around, WEEK};
use crate::web::query::{View, range_label};
use crate::web::why::{self, WalkLabels, WalkLines, WhyWalk};
use crate::web::{AppState, drill};
use chrono::Days;

/// The causes for one service.
pub struct Causes {
    /// Whose cost.
    pub service_name: String,
    /// "5 to 18 Nov 2026 against 19 Oct to 1 Nov 2026".
    pub comparison: String,
    /// One a currency.
    pub walks: Vec<WhyWalk>,
}

/// As many days before as there are complete ones after, so that no cause is one of more days. Of the service that the
/// page is about, where there are several; none while a week is not complete, nor where bills do not tell of as many.
pub(super) async fn read(
    app: &AppState,
    bills: &Freshness,
    snapshot: &mut Snapshot,
    scope: &Scope,
    asked: (&Row, Option<i64>, &View, &Around),
    service: Option<&ServedService>,
) -> sqlx::Result<Option<Causes>> {
    let (row, environment_id, view, around) = asked;
    let after = around.after.filter(|after| after.day_count() >= WEEK && went_live(row));
    let (Some(after), Some(service)) = (after, service) else { return Ok(None) };
    let Some(before) = DateRange::new(around.began - Days::new(after.day_count().into()), around.began) else {
        return Ok(None);
    };
    if around.before.is_none_or(|billed| before.start() < billed.start()) {
        return Ok(None);
    }
    let filter =
        CostFilter { service_id: Some(service.service_id), environment_id, ..CostFilter::new(after, view.basis) };
    let why = why::read(app, bills, snapshot, scope, why::by_day(&filter, before), None).await?;
    let (now, then) = (range_label(after), range_label(before));
    let env = row.environment_slug.as_deref().unwrap_or_default();
    let lines = WalkLines::on(&drill::lines(view, &[("service", &service.slug), ("env", env)]), before, after);
    let labels = WalkLabels { before: &then, now: &now, more_href: "", csv_href: "", lines: Some(&lines) };
    Ok(Some(Causes {
        service_name: service.name.clone(),
        comparison: format!("{now} against {then}"),
        walks: WhyWalk::all(&why, &labels),
    }))
}
