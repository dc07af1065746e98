//! The causes of what a month moved against the one before.

use super::Asked;
use super::section::Section;
use crate::store::costs::CostFilter;
use crate::store::statements::MonthView;
use crate::store::variance_costs::Question;
use crate::store::{Scope, Snapshot};
use crate::web::why::{self, Explained, Stated, WalkLabels, WhyWalk};
use crate::web::{AppState, display};

/// The causes by currency. What a closed month states otherwise than its bills do now is a cause of its own.
pub(super) async fn causes(
    app: &AppState,
    publication_id: i64,
    conn: &mut Snapshot,
    scope: &Scope,
    asked: &Asked,
    sections: &[Section],
) -> sqlx::Result<Vec<Explained>> {
    let filter = CostFilter { currency: asked.currency.clone(), ..CostFilter::new(asked.month.days(), asked.basis) };
    let question = Question { filter: &filter, compared: asked.before.days(), view: asked.view };
    let mut stated = Stated::default();
    for section in sections {
        stated.now.insert(section.currency.clone(), section.exact.0.clone());
        stated.before.insert(section.currency.clone(), section.exact.1.clone());
    }
    why::read(app, publication_id, conn, scope, question, Some(&stated)).await
}

/// The walk of one currency.
pub(super) fn walk_of(causes: &[Explained], asked: &Asked, currency: &str) -> Option<WhyWalk> {
    let own = causes.iter().find(|one| one.currency == currency)?;
    let (before, now) = (asked.before.label(), asked.month.label());
    let more = match asked.view {
        MonthView::ChargeDay => format!("/why?period={}&basis={}", asked.month, asked.basis.key()),
        MonthView::BillingPeriod => String::new(),
    };
    let labels = WalkLabels { before: &before, now: &now, more_href: &more, csv_href: "" };
    WhyWalk::new(own, &labels, display::minor_units(currency))
}
