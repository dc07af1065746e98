//! How far the bills are complete, as every page tells it.

use super::AppParts;
use crate::store::freshness::{self, Freshness};
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
}
