//! Revert and withdraw: what a person takes back stays taken back, until a person counts it again.

use super::again::Tries;
use super::publish::{Person, announce, locked, record};
use super::{CountedAlready, LedgerError, late, level_1, partition, retention, splits, verify};
use crate::store::generations::{self, Scoped};
use crate::store::replaced_waiting::{self, Older};
use crate::store::{Pools, accepted_beside, deliveries, late_bills, locks};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Gives the scopes of a delivery back to what was counted before it. Repeating it changes nothing.
pub async fn revert(pools: &Pools, delivery_id: i64, by: Person<'_>, now: DateTime<Utc>) -> Result<(), LedgerError> {
    let mut tries = Tries::default();
    loop {
        let result = revert_once(pools, delivery_id, by, now).await;
        let may_pass = result.as_ref().err().is_some_and(LedgerError::may_pass);
        if !tries.another(may_pass).await {
            return result;
        }
    }
}

async fn revert_once(pools: &Pools, delivery_id: i64, by: Person<'_>, now: DateTime<Utc>) -> Result<(), LedgerError> {
    let mut transaction = pools.jobs.begin().await?;
    locks::lock_ledger(&mut transaction).await?;
    let delivery = locked(&mut transaction, delivery_id).await?;
    let scopes = current_scopes(&mut transaction, delivery_id).await?;
    match delivery.state.as_str() {
        "published" | "withdrawn" if !scopes.is_empty() => {}
        "withdrawn" => return Ok(()),
        state => return Err(LedgerError::wrong_state(delivery_id, state, "nothing of it is counted")),
    }
    let before = generations::earlier(&mut *transaction, delivery_id).await?;
    if before.iter().any(|generation| !generation.has_charges) {
        return Err(LedgerError::NothingBefore(
            "The lines of the delivery before it are not kept any more: import that file again with --as-of.".into(),
        ));
    }
    if before.is_empty() {
        return Err(LedgerError::NothingBefore("Nothing was counted before it: withdraw it instead.".into()));
    }
    let before: Vec<i64> = before.iter().map(|generation| generation.generation_id).collect();
    if let Some(other) = counted_elsewhere(&mut transaction, &before).await? {
        return Err(LedgerError::NothingBefore(format!(
            "What counted before it is counted by delivery {other} of another source or export by now, and would count \
             twice: withdraw that one first."
        )));
    }
    generations::withdraw_all(&mut *transaction, delivery_id, now).await?;
    for generation_id in &before {
        generations::make_current(&mut *transaction, *generation_id, None, now).await?;
    }
    accepted_beside::forget_ended(&mut *transaction).await?;
    // The rules may have changed since the one before was counted last.
    level_1::rebuild(&mut transaction, &before).await?;
    let gone = generations::of_delivery(&mut *transaction, delivery_id).await?;
    let gone: Vec<i64> = gone.iter().map(|scope| scope.generation_id).collect();
    let days = splits::days_of(&mut transaction, &[before.clone(), gone].concat()).await?;
    splits::work_out(&mut transaction, days).await?;
    let levels = ["daily_cost", "monthly_cost"];
    if let Some(difference) = verify::differences(&mut transaction, &before, &levels).await?.first() {
        return Err(LedgerError::Difference(difference.clone()));
    }
    let older = replaced_waiting::of(&mut transaction, delivery_id).await?;
    let reason = told(format!("Reverted by {}.", by.login), &older);
    deliveries::finish(&mut *transaction, delivery_id, "withdrawn", Some(&reason), now).await?;
    let touched: Vec<i64> = before.iter().map(|id| id / generations::GENERATIONS_PER_DELIVERY_MAX).collect();
    generations::settle_delivery_states(&mut transaction, &touched).await?;
    announce(&mut transaction, "revert", Some(delivery_id), by.login, now).await?;
    let closed = late::months(&late_bills::closed_months(&mut *transaction, &before).await?);
    let details = late::details_of_taken_back(&closed, &older);
    record(&mut transaction, "delivery.reverted", delivery_id, details, by, now).await?;
    transaction.commit().await?;
    Ok(())
}

/// Leaves the scopes of a delivery without any figures, or throws away one that waits for a decision. Repeating it
/// changes nothing.
pub async fn withdraw(pools: &Pools, delivery_id: i64, by: Person<'_>, now: DateTime<Utc>) -> Result<(), LedgerError> {
    let mut tries = Tries::default();
    loop {
        let result = withdraw_once(pools, delivery_id, by, now).await;
        let may_pass = result.as_ref().err().is_some_and(LedgerError::may_pass);
        if !tries.another(may_pass).await {
            return result;
        }
    }
}

async fn withdraw_once(pools: &Pools, delivery_id: i64, by: Person<'_>, now: DateTime<Utc>) -> Result<(), LedgerError> {
    let mut transaction = pools.jobs.begin().await?;
    locks::lock_ledger(&mut transaction).await?;
    let delivery = locked(&mut transaction, delivery_id).await?;
    let is_counted = !current_scopes(&mut transaction, delivery_id).await?.is_empty();
    let is_waiting = delivery.state == "quarantined";
    match delivery.state.as_str() {
        _ if is_counted || is_waiting => {}
        "withdrawn" => return Ok(()),
        state => return Err(LedgerError::wrong_state(delivery_id, state, "nothing of it is counted")),
    }
    let scopes = generations::of_delivery(&mut *transaction, delivery_id).await?;
    let all: Vec<i64> = scopes.iter().map(|scope| scope.generation_id).collect();
    let closed = late::months(&late_bills::closed_months(&mut *transaction, &all).await?);
    generations::withdraw_all(&mut *transaction, delivery_id, now).await?;
    accepted_beside::forget_ended(&mut *transaction).await?;
    if is_waiting {
        let ready = scopes.iter().filter(|scope| scope.state == "ready");
        let ready: Vec<i64> = ready.map(|scope| scope.generation_id).collect();
        retention::discard_scopes(&mut transaction, &ready).await?;
    }
    // Who says no to a late bill leaves the closed figures as they are.
    let (action, reason) = if is_waiting && delivery.waits_for_closed_month {
        ("delivery.refused", format!("Refused by {}: nothing of it counts.", by.login))
    } else {
        ("delivery.withdrawn", format!("Withdrawn by {}.", by.login))
    };
    let older = replaced_waiting::of(&mut transaction, delivery_id).await?;
    let reason = told(reason, &older);
    deliveries::finish(&mut *transaction, delivery_id, "withdrawn", Some(&reason), now).await?;
    if is_counted {
        let days = splits::days_of(&mut transaction, &all).await?;
        splits::work_out(&mut transaction, days).await?;
        announce(&mut transaction, "withdraw", Some(delivery_id), by.login, now).await?;
    }
    let details = late::details_of_taken_back(&closed, &older);
    record(&mut transaction, action, delivery_id, details, by, now).await?;
    transaction.commit().await?;
    if !is_counted {
        drop_partition(pools, delivery_id).await;
    }
    Ok(())
}

// What waited before it waits nowhere: whoever takes it back is told.
fn told(reason: String, older: &[Older]) -> String {
    match late::hand_in_again(older) {
        Some(again) => format!("{reason} {again}"),
        None => reason,
    }
}

// The delivery that counts the cost of these generations while they do not.
async fn counted_elsewhere(conn: &mut PgConnection, generation_ids: &[i64]) -> sqlx::Result<Option<i64>> {
    let deliveries = generation_ids.iter().map(|id| id / generations::GENERATIONS_PER_DELIVERY_MAX);
    for delivery_id in deliveries.collect::<BTreeSet<i64>>() {
        let already = CountedAlready::of(&mut *conn, delivery_id).await?.within(generation_ids);
        if let Some(other) = already.delivery_id() {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

async fn current_scopes(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<Vec<Scoped>> {
    let mut scopes = generations::of_delivery(conn, delivery_id).await?;
    scopes.retain(|scope| scope.state == "current");
    Ok(scopes)
}

// It is withdrawn; where readers stand in the way of this, the sweep does it later.
async fn drop_partition(pools: &Pools, delivery_id: i64) {
    let dropped = async { partition::drop(&mut *pools.jobs.acquire().await?, delivery_id).await };
    if let Err(error) = dropped.await {
        tracing::warn!("The lines of delivery {delivery_id} could not be dropped yet: {error}");
    }
}
