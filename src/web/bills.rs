//! How far the bills are complete, as every page tells it.

use super::AppParts;
use super::query::DAY_COUNT;
use crate::focus::DateRange;
use crate::store::freshness::{self, Freshness};
use crate::store::{Scope, unmapped};
use sqlx::PgConnection;
use std::sync::Arc;

impl AppParts {
    /// How far the bills of this view of the database are complete: read once for all views that see the same rows.
    pub async fn bills(&self, conn: &mut PgConnection) -> sqlx::Result<Freshness> {
        let seen = freshness::seen(&mut *conn).await?;
        let kept = &self.kept_costs.bills;
        if let Some(bills) = kept.get(&seen.transactions, "") {
            return Ok(Arc::unwrap_or_clone(bills));
        }
        let bills = Arc::new(freshness::read_of(conn, seen).await?);
        kept.keep(bills.seen.clone(), String::new(), &bills, 0);
        Ok(Arc::unwrap_or_clone(bills))
    }

    /// How many rows "Unmapped" lists as open when it is opened: on the days that pages begin with.
    pub async fn unmapped_count(&self, conn: &mut PgConnection, scope: &Scope, bills: &Freshness) -> sqlx::Result<i64> {
        let days = bills.complete_to().map(|last| DateRange::days_to(last, DAY_COUNT));
        let question = format!("{days:?} {}", scope.is_everything());
        let kept = &self.kept_costs.unmapped;
        if let Some(count) = kept.get(&bills.seen, &question) {
            return Ok(*count);
        }
        // Daily sums are asked once a publication: webhooks change what is seen all the time.
        let kept_charges = &self.kept_costs.unmapped_charges;
        let charges = match kept_charges.get(&bills.publication_id, &question) {
            Some(charges) => charges,
            None => {
                let charges = Arc::new(unmapped::charge_row_count(&mut *conn, scope, days).await?);
                kept_charges.keep(bills.publication_id, question.clone(), &charges, 0);
                charges
            }
        };
        let count = *charges + unmapped::event_row_count(conn).await?;
        kept.keep(bills.seen.clone(), question, &Arc::new(count), 0);
        Ok(count)
    }
}
