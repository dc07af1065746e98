//! What changes the figures that readers see: each in one short transaction, under the ledger's lock.

use super::again::Tries;
use super::decision::{Decision, Outcome, Tally, Version};
use super::import::{Limits, Stage};
use super::reader::ESSENTIAL_COLUMNS;
use super::remap::map_new_keys;
use super::timings::{Phase, Timings};
use super::{
    CountedAlready, LedgerError, bill_source, late, learn, level_1, overlaps, retention, smaller, splits, statistics,
    verify,
};
use crate::store::deliveries::{self, Standing};
use crate::store::generations::{self, Scoped};
use crate::store::jobs::{self, Fence};
use crate::store::late_bills::Newer;
use crate::store::receipts::{self, Receipt};
use crate::store::{
    Pools, accepted_beside, audit, billers, booked_costs, history, joined_exports, late_bills, locks, month_closing,
};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, Postgres, Transaction};

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
    /// Whether a person said so: its bills count also where another source counts the same ones.
    pub counts_beside: bool,
    /// Deliveries of the same command or form: it takes the place of none of them without a decision.
    pub together: &'a [i64],
    /// Files that lie in the same folder: it takes the place of none of them without a decision.
    pub lies_beside: &'a [String],
    pub by: &'a str,
    pub now: DateTime<Utc>,
    pub fence: Option<Fence>,
    pub limits: Limits,
    pub timings: &'a Timings,
}

impl Publishing<'_> {
    // What waits with a bill that this one holds anew waits no longer.
    fn newer<'a>(&'a self, generation_ids: &'a [i64]) -> Newer<'a> {
        let Self { delivery_id, together, lies_beside, .. } = *self;
        Newer { delivery_id, generation_ids, is_whole: true, together, lies_beside }
    }
}

/// What became of it.
pub(super) enum Published {
    Yes,
    /// Another source, another export, or a file that came or lies together with it counts the same bill, or it changes a
    /// closed month: it waits for a decision, and the delivery says so already.
    Held,
    /// It is refused or unchanged after all: something else was counted meanwhile.
    No {
        state: &'static str,
        reason: String,
    },
}

/// The scopes of a delivery beside what is counted now.
struct Sorted {
    counting: Vec<Scoped>,
    /// Loaded aside, and older than what is counted.
    refused_ids: Vec<i64>,
    /// Current generations with the same bytes.
    same_ids: Vec<i64>,
    outcome: Outcome,
}

impl Sorted {
    fn of(delivery: &Standing, scopes: Vec<Scoped>) -> Self {
        let version = Version {
            at: delivery.version_at,
            basis: &delivery.version_basis,
            sha256: delivery.content_sha256.as_deref(),
        };
        let mut tally = Tally::default();
        let (mut counting, mut refused_ids) = (Vec::new(), Vec::new());
        for scope in scopes {
            let (account, period) = (&scope.billing_account_id, scope.billing_period_start);
            match tally.add(account, period, scope.current(), &version) {
                Decision::Counts | Decision::Same => counting.push(scope),
                Decision::Older if scope.state == "ready" => refused_ids.push(scope.generation_id),
                Decision::Older => {}
            }
        }
        Self { counting, refused_ids, same_ids: tally.same_generation_ids(), outcome: tally.outcome() }
    }

    // What is counted now and would be replaced.
    fn current_ids(&self) -> Vec<i64> {
        self.counting.iter().filter_map(|scope| scope.current_generation_id).collect()
    }

    fn counting_ids(&self) -> Vec<i64> {
        self.counting.iter().map(|scope| scope.generation_id).collect()
    }

    // The deliveries whose place it takes, in any scope.
    fn replaced_deliveries(&self) -> Vec<i64> {
        let current = self.counting.iter().filter_map(Scoped::current);
        current.map(|current| current.delivery_id).collect()
    }

    // Of what is to count: what is refused counts nothing twice.
    async fn counted_already(&self, conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<CountedAlready> {
        Ok(CountedAlready::of(conn, delivery_id).await?.within(&self.counting_ids()))
    }
}

/// Makes a delivery that was loaded aside the one that counts.
pub(super) async fn publish(pools: &Pools, publishing: &Publishing<'_>) -> Result<Published, LedgerError> {
    let mut tries = Tries::default();
    loop {
        let result = publish_once(pools, publishing).await;
        let may_pass = result.as_ref().err().is_some_and(LedgerError::may_pass);
        if !tries.another(may_pass).await {
            return result;
        }
    }
}

async fn publish_once(pools: &Pools, publishing: &Publishing<'_>) -> Result<Published, LedgerError> {
    let mut transaction = pools.jobs.begin().await?;
    locks::lock_ledger(&mut transaction).await?;
    if let Some(fence) = publishing.fence
        && !jobs::holds(&mut transaction, fence).await?
    {
        return Err(LedgerError::LostJob);
    }
    let delivery = locked(&mut transaction, publishing.delivery_id).await?;
    let scopes = generations::of_delivery(&mut *transaction, publishing.delivery_id).await?;
    // Looked at again, now that nobody else can publish.
    let sorted = Sorted::of(&delivery, scopes);
    match &sorted.outcome {
        Outcome::Refused(reason) => return Ok(Published::No { state: "refused", reason: reason.clone() }),
        Outcome::Unchanged(reason) => {
            generations::renew(&mut *transaction, &sorted.same_ids, delivery.version_at).await?;
            let sha256 = delivery.content_sha256.as_deref().unwrap_or_default();
            joined_exports::renew(&mut *transaction, sha256, delivery.version_at).await?;
            transaction.commit().await?;
            return Ok(Published::No { state: "unchanged", reason: reason.clone() });
        }
        Outcome::Counts(_) => {}
    }
    if joined_exports::is_overtaken(&mut transaction, publishing.delivery_id).await? {
        return Err(LedgerError::Overtaken);
    }
    let counting = sorted.counting_ids();
    if !publishing.together.is_empty() {
        let others = billers::handed_in_together(&mut *transaction, &counting, publishing.together).await?;
        if let Some(reason) = bill_source::handed_in_together(&others) {
            return hold(transaction, publishing, &counting, &reason).await;
        }
    }
    let replaced = sorted.replaced_deliveries();
    let of_folder = deliveries::named(&mut *transaction, &replaced, publishing.lies_beside).await?;
    if let Some(reason) = overlaps::of_one_folder(&of_folder) {
        return hold(transaction, publishing, &counting, &reason).await;
    }
    let already = sorted.counted_already(&mut transaction, publishing.delivery_id).await?;
    if let Some(reason) = already.reason().filter(|_| !publishing.counts_beside) {
        return hold(transaction, publishing, &counting, &reason).await;
    }
    let closed = late::asks_for(&mut transaction, &delivery, &counting).await?;
    if !closed.is_empty() {
        retention::discard_scopes(&mut transaction, &sorted.refused_ids).await?;
        let newer = publishing.newer(&counting);
        late::hold(&mut transaction, &delivery, newer, &closed, publishing.now).await?;
        transaction.commit().await?;
        return Ok(Published::Held);
    }
    already.accept(&mut transaction, publishing.delivery_id).await?;
    publish_scopes(&mut transaction, publishing, &sorted).await?;
    publishing.limits.die_at(Stage::BeforeCommit).map_err(|_| LedgerError::Died)?;
    transaction.commit().await?;
    statistics::of_published(pools).await;
    learn::from_delivery(pools, publishing.delivery_id).await;
    Ok(Published::Yes)
}

// Lets a delivery wait for a decision, in place of older ones that wait with the same bills: only the newest is asked
// about.
async fn hold(
    mut transaction: Transaction<'static, Postgres>,
    publishing: &Publishing<'_>,
    counting: &[i64],
    reason: &str,
) -> Result<Published, LedgerError> {
    let (delivery_id, now) = (publishing.delivery_id, publishing.now);
    deliveries::finish(&mut *transaction, delivery_id, "quarantined", Some(reason), now).await?;
    late::replace_waiting(&mut transaction, publishing.newer(counting), now).await?;
    transaction.commit().await?;
    Ok(Published::Held)
}

async fn publish_scopes(
    conn: &mut PgConnection,
    publishing: &Publishing<'_>,
    sorted: &Sorted,
) -> Result<(), LedgerError> {
    let Publishing { delivery_id, kind, by, now, .. } = *publishing;
    let Outcome::Counts(note) = &sorted.outcome else { return Ok(()) };
    let ids = sorted.counting_ids();
    let timings = publishing.timings;
    retention::discard_scopes(&mut *conn, &sorted.refused_ids).await?;
    timings.of(Phase::Rollup, map_new_keys(&mut *conn)).await?;
    timings.of(Phase::Rollup, level_1::rebuild(&mut *conn, &ids)).await?;
    let days = splits::days_of(&mut *conn, &[ids.clone(), sorted.current_ids()].concat()).await?;
    let levels = ["daily_cost_by_key", "daily_cost", "monthly_cost"];
    let differences = timings.of(Phase::Verify, verify::differences(&mut *conn, &ids, &levels)).await?;
    if let Some(difference) = differences.into_iter().next() {
        return Err(LedgerError::Difference(difference));
    }
    smaller::note(&mut *conn, delivery_id, &sorted.counting).await?;
    let mut touched = vec![delivery_id];
    for scope in &sorted.counting {
        if let Some(current) = scope.current_generation_id {
            generations::retire(&mut *conn, current, "superseded", now).await?;
            touched.extend(scope.current_delivery_id);
        }
        generations::make_current(&mut *conn, scope.generation_id, scope.current_generation_id, now).await?;
        // The same bytes stay as new as they were.
        if let Some(current) = scope.current().filter(|current| sorted.same_ids.contains(&current.generation_id)) {
            generations::renew(&mut *conn, &[scope.generation_id], current.version_at).await?;
        }
    }
    if let Some(days) = days {
        timings.of(Phase::Rollup, splits::work_out(&mut *conn, Some(days))).await?;
        let levels = ["daily_cost", "monthly_cost"];
        let differences = timings.of(Phase::Verify, verify::differences(&mut *conn, &ids, &levels)).await?;
        if let Some(difference) = differences.into_iter().next() {
            return Err(LedgerError::Difference(difference));
        }
    }
    deliveries::finish(&mut *conn, delivery_id, "published", note.as_deref(), now).await?;
    generations::settle_delivery_states(&mut *conn, &touched).await?;
    late::replace_waiting(&mut *conn, publishing.newer(&ids), now).await?;
    // An account that a manifest names no more has ended a bill, too.
    accepted_beside::forget_ended(&mut *conn).await?;
    announce(conn, kind, Some(delivery_id), by, now).await?;
    Ok(())
}

/// Why a file that lacks these columns cannot be counted at all; `None` where someone may accept it.
pub fn cannot_accept(missing_columns: &[String]) -> Option<String> {
    let lacks = missing_columns.iter().map(String::as_str).filter(|column| ESSENTIAL_COLUMNS.contains(column));
    let lacks: Vec<&str> = lacks.collect();
    (!lacks.is_empty())
        .then(|| format!("It has no {}, and without that nothing of it can be counted.", lacks.join(", ")))
}

/// Counts a quarantined delivery with what it lacks, or a withdrawn one again. Repeating it changes nothing.
pub async fn accept(
    pools: &Pools,
    delivery_id: i64,
    by: Person<'_>,
    now: DateTime<Utc>,
) -> Result<Receipt, LedgerError> {
    let mut tries = Tries::default();
    loop {
        let result = accept_once(pools, delivery_id, by, now).await;
        let may_pass = result.as_ref().err().is_some_and(LedgerError::may_pass);
        if !tries.another(may_pass).await {
            result?;
            break;
        }
    }
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
    if let Some(reason) = cannot_accept(&delivery.missing_columns) {
        return Err(LedgerError::CannotAccept(reason));
    }
    let scopes = generations::of_delivery(&mut *transaction, delivery_id).await?;
    if scopes.is_empty() && delivery.state == "quarantined" {
        return Err(LedgerError::CannotAccept("Not one of its rows could be read.".into()));
    }
    let sorted = Sorted::of(&delivery, scopes);
    if let Outcome::Refused(reason) | Outcome::Unchanged(reason) = sorted.outcome {
        return Err(LedgerError::CannotAccept(reason));
    }
    if sorted.counting.is_empty() || sorted.counting.iter().any(|scope| !scope.has_charges) {
        return Err(LedgerError::CannotAccept("Its lines are not kept any more: import the file again.".into()));
    }
    if joined_exports::is_overtaken(&mut transaction, delivery_id).await? {
        let reason = "Its lines are joined with another export of the same bill than the one that counts now: import \
                      the file again.";
        return Err(LedgerError::CannotAccept(reason.into()));
    }
    let already = sorted.counted_already(&mut transaction, delivery_id).await?;
    let (limits, timings) = (Limits::default(), &Timings::default());
    let publishing = Publishing {
        delivery_id,
        kind: "accept",
        counts_beside: true,
        together: &[],
        lies_beside: &[],
        by: by.login,
        now,
        fence: None,
        limits,
        timings,
    };
    let closed = late::months(&late_bills::closed_months(&mut *transaction, &sorted.counting_ids()).await?);
    already.accept(&mut transaction, delivery_id).await?;
    publish_scopes(&mut transaction, &publishing, &sorted).await?;
    deliveries::set_accepted(&mut *transaction, delivery_id, by.login, now).await?;
    let mut details = late::details(&closed);
    if delivery.state == "withdrawn" {
        details["counted_again"] = true.into();
    }
    record(&mut transaction, "delivery.accepted", delivery_id, details, by, now).await?;
    transaction.commit().await?;
    statistics::of_published(pools).await;
    learn::from_delivery(pools, delivery_id).await;
    // It is accepted; what this frees, the sweep would free too.
    if let Err(error) = retention::drop_old_charges(pools).await {
        tracing::warn!("Old charges could not be dropped yet: {error}");
    }
    Ok(())
}

pub(super) async fn locked(conn: &mut PgConnection, delivery_id: i64) -> Result<Standing, LedgerError> {
    deliveries::lock(&mut *conn, delivery_id).await?.ok_or(LedgerError::UnknownDelivery(delivery_id))
}

/// Gives what readers see a new number, and books what it changes in closed months.
pub(super) async fn announce(
    conn: &mut PgConnection,
    kind: &str,
    delivery_id: Option<i64>,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let publication_id = sqlx::query_scalar!(
        "INSERT INTO publication (kind, delivery_id, published_at, published_by) VALUES ($1, $2, $3, $4)
         RETURNING publication_id",
        kind,
        delivery_id,
        now,
        by
    )
    .fetch_one(&mut *conn)
    .await?;
    history::note_counted(conn, publication_id).await?;
    if month_closing::book_adjustments(&mut *conn, publication_id, delivery_id, now).await? > 0 {
        booked_costs::keep_parts(conn, publication_id).await?;
    }
    Ok(())
}

/// What a person did, what is to be known of it, and the totals that it moved.
pub(super) async fn record(
    conn: &mut PgConnection,
    action: &str,
    delivery_id: i64,
    mut details: Value,
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
    details["totals"] = totals.into();
    audit::insert(conn, now, by.login, by.address, action, &subject, details).await?;
    Ok(())
}
