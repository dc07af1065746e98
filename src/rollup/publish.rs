//! What changes the figures that readers see: each in one short transaction, under the ledger's lock.

use super::import::{Limits, Stage};
use super::reader::ESSENTIAL_COLUMNS;
use super::remap::map_new_keys;
use super::timings::{Phase, Timings};
use super::{LedgerError, level_1, retention, verify};
use crate::store::deliveries::{self, Standing};
use crate::store::generations::{self, Scoped};
use crate::store::jobs::{self, Fence};
use crate::store::receipts::{self, Receipt};
use crate::store::{Pools, audit, locks};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use sqlx::PgConnection;

/// Who decides about a delivery, from where.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// The login.
    pub login: &'a str,
    /// The address that the decision came from; empty on the command line.
    pub address: &'a str,
}

/// Who counts what, on whose behalf.
pub(super) struct Publishing<'a> {
    pub delivery_id: i64,
    /// `publish` or `accept`.
    pub kind: &'a str,
    pub by: &'a str,
    pub now: DateTime<Utc>,
    pub fence: Option<Fence>,
    pub limits: Limits,
    pub timings: &'a Timings,
}

/// What became of it.
pub(super) enum Published {
    Yes,
    /// It is refused or unchanged after all: something else was counted meanwhile.
    No {
        state: &'static str,
        reason: String,
    },
}

/// The reason on the receipt of a file that brings nothing new.
pub(super) fn same_bytes(delivery_id: i64) -> String {
    format!("The same bytes are counted already: delivery {delivery_id}.")
}

/// The reason on the receipt of a file that is older than what is counted.
pub(super) fn older(
    billing_account_id: &str,
    billing_period_start: NaiveDate,
    current_delivery_id: i64,
    current_version_at: DateTime<Utc>,
    version_at: DateTime<Utc>,
) -> String {
    let account =
        if billing_account_id.is_empty() { String::new() } else { format!(" of account {billing_account_id}") };
    format!(
        "Billing period {}{account} is counted from delivery {current_delivery_id} of {}, and this one is older ({}).",
        billing_period_start.format("%Y-%m"),
        current_version_at.format("%Y-%m-%d %H:%M:%S UTC"),
        version_at.format("%Y-%m-%d %H:%M:%S UTC"),
    )
}

/// Makes a delivery that was loaded aside the one that counts.
pub(super) async fn publish(pools: &Pools, publishing: &Publishing<'_>) -> Result<Published, LedgerError> {
    let mut transaction = pools.jobs.begin().await?;
    locks::lock_ledger(&mut transaction).await?;
    if let Some(fence) = publishing.fence
        && !jobs::holds(&mut transaction, fence).await?
    {
        return Err(LedgerError::LostJob);
    }
    let delivery = locked(&mut transaction, publishing.delivery_id).await?;
    let scopes = generations::of_delivery(&mut *transaction, publishing.delivery_id).await?;
    if let Some(no) = objection(&delivery, &scopes) {
        return Ok(no);
    }
    publish_scopes(&mut transaction, publishing, &scopes).await?;
    publishing.limits.die_at(Stage::BeforeCommit).map_err(|_| LedgerError::Died)?;
    transaction.commit().await?;
    Ok(Published::Yes)
}

async fn publish_scopes(
    conn: &mut PgConnection,
    publishing: &Publishing<'_>,
    scopes: &[Scoped],
) -> Result<(), LedgerError> {
    let Publishing { delivery_id, kind, by, now, .. } = *publishing;
    let ids: Vec<i64> = scopes.iter().map(|scope| scope.generation_id).collect();
    let timings = publishing.timings;
    timings.of(Phase::Rollup, map_new_keys(&mut *conn)).await?;
    timings.of(Phase::Rollup, level_1::rebuild(&mut *conn, &ids)).await?;
    let levels = ["daily_cost_by_key", "daily_cost", "monthly_cost"];
    let differences = timings.of(Phase::Verify, verify::differences(&mut *conn, &ids, &levels)).await?;
    if let Some(difference) = differences.into_iter().next() {
        return Err(LedgerError::Difference(difference));
    }
    let mut touched = vec![delivery_id];
    for scope in scopes {
        if let Some(current) = scope.current_generation_id {
            generations::retire(&mut *conn, current, "superseded", now).await?;
            touched.extend(scope.current_delivery_id);
        }
        generations::make_current(&mut *conn, scope.generation_id, scope.current_generation_id, now).await?;
    }
    deliveries::finish(&mut *conn, delivery_id, "published", None, now).await?;
    generations::settle_delivery_states(&mut *conn, &touched).await?;
    announce(conn, kind, Some(delivery_id), by, now).await?;
    Ok(())
}

// Same bytes or an older version: looked at again, now that nobody else can publish.
fn objection(delivery: &Standing, scopes: &[Scoped]) -> Option<Published> {
    let is_same = |scope: &Scoped| scope.current_sha256.is_some() && scope.current_sha256 == delivery.content_sha256;
    if !scopes.is_empty() && scopes.iter().all(is_same) {
        let reason = same_bytes(scopes[0].current_delivery_id.unwrap_or_default());
        return Some(Published::No { state: "unchanged", reason });
    }
    let newer =
        |scope: &&Scoped| !is_same(scope) && scope.current_version_at.is_some_and(|at| at > delivery.version_at);
    let scope = scopes.iter().find(newer)?;
    let reason = older(
        &scope.billing_account_id,
        scope.billing_period_start,
        scope.current_delivery_id?,
        scope.current_version_at?,
        delivery.version_at,
    );
    Some(Published::No { state: "refused", reason })
}

/// Counts a quarantined delivery with what it lacks, or a withdrawn one again. Repeating it changes nothing.
pub async fn accept(
    pools: &Pools,
    delivery_id: i64,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<Receipt, LedgerError> {
    accept_once(pools, delivery_id, by, now).await?;
    let mut conn = pools.jobs.acquire().await?;
    receipts::get(&mut conn, delivery_id).await?.ok_or(LedgerError::UnknownDelivery(delivery_id))
}

async fn accept_once(pools: &Pools, delivery_id: i64, by: Person<'_>, now: DateTime<Utc>) -> Result<(), LedgerError> {
    let mut transaction = pools.jobs.begin().await?;
    locks::lock_ledger(&mut transaction).await?;
    let delivery = locked(&mut transaction, delivery_id).await?;
    match delivery.state.as_str() {
        "published" => return Ok(()),
        "quarantined" | "withdrawn" => {}
        state => return Err(LedgerError::wrong_state(delivery_id, state, "only a quarantined one can be accepted")),
    }
    let lacks: Vec<&str> = delivery.missing_columns.iter().map(String::as_str).collect();
    let lacks: Vec<&str> = lacks.into_iter().filter(|column| ESSENTIAL_COLUMNS.contains(column)).collect();
    if !lacks.is_empty() {
        let reason = format!("It has no {}, and without that nothing of it can be counted.", lacks.join(", "));
        return Err(LedgerError::CannotAccept(reason));
    }
    let scopes = generations::of_delivery(&mut *transaction, delivery_id).await?;
    if scopes.is_empty() {
        return Err(LedgerError::CannotAccept("Not one of its rows could be read.".into()));
    }
    if scopes.iter().any(|scope| !scope.has_charges) {
        return Err(LedgerError::CannotAccept("Its lines are not kept any more: import the file again.".into()));
    }
    if let Some(Published::No { reason, .. }) = objection(&delivery, &scopes) {
        return Err(LedgerError::CannotAccept(reason));
    }
    let (limits, timings) = (Limits::default(), &Timings::default());
    let publishing = Publishing { delivery_id, kind: "accept", by: by.login, now, fence: None, limits, timings };
    publish_scopes(&mut transaction, &publishing, &scopes).await?;
    deliveries::set_accepted(&mut *transaction, delivery_id, by.login, now).await?;
    record(&mut transaction, "delivery.accepted", delivery_id, by, now).await?;
    transaction.commit().await?;
    retention::drop_old_charges(pools).await?;
    Ok(())
}

/// Gives the scopes of a delivery back to what was counted before it. Repeating it changes nothing.
pub async fn revert(pools: &Pools, delivery_id: i64, by: Person<'_>, now: DateTime<Utc>) -> Result<(), LedgerError> {
    take_back(pools, delivery_id, by, now, true).await
}

/// Leaves the scopes of a delivery without any figures. Repeating it changes nothing.
pub async fn withdraw(pools: &Pools, delivery_id: i64, by: Person<'_>, now: DateTime<Utc>) -> Result<(), LedgerError> {
    take_back(pools, delivery_id, by, now, false).await
}

async fn take_back(
    pools: &Pools,
    delivery_id: i64,
    by: Person<'_>,
    now: DateTime<Utc>,
    to_the_one_before: bool,
) -> Result<(), LedgerError> {
    let mut transaction = pools.jobs.begin().await?;
    locks::lock_ledger(&mut transaction).await?;
    let delivery = locked(&mut transaction, delivery_id).await?;
    match delivery.state.as_str() {
        "published" => {}
        "withdrawn" => return Ok(()),
        state => return Err(LedgerError::wrong_state(delivery_id, state, "nothing of it is counted")),
    }
    let scopes = generations::of_delivery(&mut *transaction, delivery_id).await?;
    let scopes: Vec<Scoped> = scopes.into_iter().filter(|scope| scope.state == "current").collect();
    let before: Vec<i64> = if to_the_one_before {
        let before: Vec<i64> = scopes.iter().filter_map(|scope| scope.replaced_generation_id).collect();
        generations::with_charges(&mut *transaction, &before).await?
    } else {
        Vec::new()
    };
    if to_the_one_before && before.len() < scopes.iter().filter(|scope| scope.replaced_generation_id.is_some()).count()
    {
        return Err(LedgerError::NothingBefore(
            "The lines of the delivery before it are not kept any more: import that file again with --as-of.",
        ));
    }
    if to_the_one_before && before.is_empty() {
        return Err(LedgerError::NothingBefore("Nothing was counted before it: withdraw it instead."));
    }
    for scope in &scopes {
        generations::retire(&mut *transaction, scope.generation_id, "withdrawn", now).await?;
    }
    for generation_id in &before {
        generations::make_current(&mut *transaction, *generation_id, None, now).await?;
    }
    // The rules may have changed since the one before was counted last.
    level_1::rebuild(&mut transaction, &before).await?;
    if let Some(difference) =
        verify::differences(&mut transaction, &before, &["daily_cost", "monthly_cost"]).await?.first()
    {
        return Err(LedgerError::Difference(difference.clone()));
    }
    let (kind, action) =
        if to_the_one_before { ("revert", "delivery.reverted") } else { ("withdraw", "delivery.withdrawn") };
    let word = if to_the_one_before { "Reverted" } else { "Withdrawn" };
    let reason = format!("{word} by {}.", by.login);
    deliveries::finish(&mut *transaction, delivery_id, "withdrawn", Some(&reason), now).await?;
    let touched: Vec<i64> = before.iter().map(|id| id / generations::GENERATIONS_PER_DELIVERY_MAX).collect();
    generations::settle_delivery_states(&mut transaction, &touched).await?;
    announce(&mut transaction, kind, Some(delivery_id), by.login, now).await?;
    record(&mut transaction, action, delivery_id, by, now).await?;
    transaction.commit().await?;
    Ok(())
}

async fn locked(conn: &mut PgConnection, delivery_id: i64) -> Result<Standing, LedgerError> {
    deliveries::lock(&mut *conn, delivery_id).await?.ok_or(LedgerError::UnknownDelivery(delivery_id))
}

/// Gives what readers see a new number.
pub(super) async fn announce(
    conn: &mut PgConnection,
    kind: &str,
    delivery_id: Option<i64>,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO publication (kind, delivery_id, published_at, published_by) VALUES ($1, $2, $3, $4)",
        kind,
        delivery_id,
        now,
        by
    )
    .execute(conn)
    .await?;
    Ok(())
}

// What a person did, and the totals that it moved.
async fn record(
    conn: &mut PgConnection,
    action: &str,
    delivery_id: i64,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<(), LedgerError> {
    let totals = sqlx::query!(
        r#"SELECT billing_period_start, billing_currency, sum(billed_cost)::text AS "billed_cost!",
            sum(effective_cost)::text AS "effective_cost!"
         FROM delivery_total WHERE delivery_id = $1 GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 100"#,
        delivery_id
    )
    .fetch_all(&mut *conn)
    .await?;
    let totals: Vec<_> = totals
        .into_iter()
        .map(|total| {
            json!({
                "billing_period": total.billing_period_start,
                "billing_currency": total.billing_currency,
                "BilledCost": total.billed_cost,
                "EffectiveCost": total.effective_cost,
            })
        })
        .collect();
    let subject = format!("delivery {delivery_id}");
    audit::insert(conn, now, by.login, by.address, action, &subject, json!({ "totals": totals })).await?;
    Ok(())
}
