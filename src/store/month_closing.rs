//! Closed billing months: their figures as they were at closing, and what arrived late for them.

use super::{Scope, commitment_purchases, limits};
use crate::focus::{BillingPeriod, CostBasis};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use std::collections::HashMap;

/// Rates of closed months that are read at once.
const RATE_COUNT_MAX: i64 = 100_000;

/// A closing of a month.
#[derive(Debug, Clone)]
pub struct Closing {
    /// Newer closings have larger numbers.
    pub closing_id: i64,
    /// First day of the month.
    pub month: NaiveDate,
    /// When it was closed.
    pub closed_at: DateTime<Utc>,
    /// By whom.
    pub closed_by: String,
    /// Why.
    pub close_reason: String,
    /// The last publication that its figures include.
    pub publication_id: i64,
    /// When it was reopened; `None` while it is closed.
    pub reopened_at: Option<DateTime<Utc>>,
    /// By whom.
    pub reopened_by: Option<String>,
    /// Why.
    pub reopen_reason: Option<String>,
}

/// The closing that holds now; `None` where the month is open.
pub async fn current(conn: &mut PgConnection, month: BillingPeriod) -> sqlx::Result<Option<Closing>> {
    Ok(history(conn, month).await?.into_iter().find(|closing| closing.reopened_at.is_none()))
}

/// Every closing of a month, the newest first.
pub async fn history(conn: &mut PgConnection, month: BillingPeriod) -> sqlx::Result<Vec<Closing>> {
    sqlx::query_as!(
        Closing,
        "SELECT closing_id, month, closed_at, closed_by, close_reason, publication_id,
                reopened_at, reopened_by, reopen_reason
         FROM month_closing WHERE month = $1 ORDER BY closing_id DESC LIMIT 500",
        month.first_day()
    )
    .fetch_all(conn)
    .await
}

/// The first day of the closed month of each of these generations that is of one.
pub async fn closed_of(conn: &mut PgConnection, generation_ids: &[i64]) -> sqlx::Result<HashMap<i64, NaiveDate>> {
    let rows = sqlx::query!(
        "SELECT g.generation_id, k.month FROM generation g
         JOIN month_closing k ON k.reopened_at IS NULL
             AND k.month = date_trunc('month', g.billing_period_start::timestamp)::date
         WHERE g.generation_id = ANY($1)",
        generation_ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.generation_id, row.month)).collect())
}

/// Every month that is closed now, oldest first.
pub async fn closed(conn: &mut PgConnection) -> sqlx::Result<Vec<Closing>> {
    sqlx::query_as!(
        Closing,
        "SELECT closing_id, month, closed_at, closed_by, close_reason, publication_id,
                reopened_at, reopened_by, reopen_reason
         FROM month_closing WHERE reopened_at IS NULL ORDER BY month LIMIT 2000"
    )
    .fetch_all(conn)
    .await
}

/// First day of the first open month after a closed one: what arrives late for it is booked there.
pub fn first_open_after(closed: &[Closing], month: NaiveDate) -> NaiveDate {
    let mut open = BillingPeriod::containing(month).next();
    while closed.iter().any(|closing| closing.month == open.first_day()) {
        open = open.next();
    }
    open.first_day()
}

/// Whether any current bill is for the month.
pub async fn has_bills(conn: &mut PgConnection, month: BillingPeriod) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM generation WHERE state = 'current'
               AND billing_period_start >= $1 AND billing_period_start < $2) AS "has_bills!""#,
        month.first_day(),
        month.next().first_day()
    )
    .fetch_one(conn)
    .await
}

/// Closes a month with the figures that it has now. The caller holds the ledger's lock. Gives the closing.
pub async fn close(
    conn: &mut PgConnection,
    month: BillingPeriod,
    reason: &str,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let closing_id = sqlx::query_scalar!(
        "INSERT INTO month_closing (month, closed_at, closed_by, close_reason, publication_id)
         SELECT $1, $2, $3, $4, coalesce(max(publication_id), 0) FROM publication RETURNING closing_id",
        month.first_day(),
        now,
        by,
        reason
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO closed_cost (closing_id, source_id, billing_account_id, service_id, service_name, team_id,
             team_name, cost_center, environment_id, environment_name, provider_name, charge_category,
             billing_currency, charge_count, billed_cost, effective_cost, list_cost, contracted_cost)
         SELECT $1, g.source_id, g.billing_account_id, m.service_id, service.name, team.team_id, team.name,
                team.cost_center, m.environment_id, environment.name, m.provider_name, m.charge_category,
                m.billing_currency, sum(m.charge_count), sum(m.billed_cost), sum(m.effective_cost),
                sum(m.list_cost), sum(m.contracted_cost)
         FROM monthly_cost m
         JOIN generation g ON g.generation_id = m.generation_id AND g.state = 'current'
         LEFT JOIN service ON service.service_id = m.service_id
         LEFT JOIN team ON team.team_id = service.team_id
         LEFT JOIN environment ON environment.environment_id = m.environment_id
         WHERE m.billing_period_start >= $2 AND m.billing_period_start < $3
         GROUP BY g.source_id, g.billing_account_id, m.service_id, service.name, team.team_id, team.name,
                  team.cost_center, m.environment_id, environment.name, m.provider_name, m.charge_category,
                  m.billing_currency",
        closing_id,
        month.first_day(),
        month.next().first_day()
    )
    .execute(&mut *conn)
    .await?;
    commitment_purchases::keep(conn, closing_id, month).await?;
    Ok(closing_id)
}

/// The currencies of a closing's figures, and of what arrived for it later and is booked to a month that is closed too.
pub async fn currencies(conn: &mut PgConnection, closing_id: i64) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"SELECT billing_currency AS "billing_currency!" FROM closed_cost WHERE closing_id = $1
           UNION
           SELECT a.billing_currency FROM month_adjustment a
           JOIN month_closing b ON b.month = a.booked_month AND b.reopened_at IS NULL
           WHERE a.closing_id = $1
           ORDER BY 1"#,
        closing_id
    )
    .fetch_all(conn)
    .await
}

/// Keeps a rate as it is, where none is kept.
pub async fn keep_rate(
    conn: &mut PgConnection,
    closing_id: i64,
    billing_currency: &str,
    reporting_currency: &str,
    rate: &BigDecimal,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO closed_rate (closing_id, billing_currency, reporting_currency, rate) VALUES ($1, $2, $3, $4)
         ON CONFLICT (closing_id, billing_currency, reporting_currency) DO NOTHING",
        closing_id,
        billing_currency,
        reporting_currency,
        rate
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A rate of a closed month as it was at closing.
#[derive(Debug, Clone)]
pub struct ClosedRate {
    /// First day of the month.
    pub month: NaiveDate,
    /// The currency of bills.
    pub billing_currency: String,
    /// The currency that it led to.
    pub reporting_currency: String,
    /// The rate.
    pub rate: BigDecimal,
}

/// Whether the rate of a closed month is kept.
pub async fn keeps_rate(
    conn: &mut PgConnection,
    closing_id: i64,
    billing_currency: &str,
    reporting_currency: &str,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM closed_rate
               WHERE closing_id = $1 AND billing_currency = $2 AND reporting_currency = $3) AS "keeps!""#,
        closing_id,
        billing_currency,
        reporting_currency
    )
    .fetch_one(conn)
    .await
}

/// The rates of all months that are closed now, as they were at closing.
pub async fn closed_rates(conn: &mut PgConnection) -> sqlx::Result<Vec<ClosedRate>> {
    let rows = sqlx::query_as!(
        ClosedRate,
        "SELECT k.month, r.billing_currency, r.reporting_currency, r.rate
         FROM closed_rate r JOIN month_closing k ON k.closing_id = r.closing_id AND k.reopened_at IS NULL
         ORDER BY 1, 2, 3 LIMIT $1",
        RATE_COUNT_MAX + 1
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, RATE_COUNT_MAX, "rates of closed months")
}

/// Ends a closing. What was booked for it elsewhere ends to count with it.
pub async fn reopen(
    conn: &mut PgConnection,
    closing_id: i64,
    reason: &str,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE month_closing SET reopened_at = $2, reopened_by = $3, reopen_reason = $4
         WHERE closing_id = $1 AND reopened_at IS NULL",
        closing_id,
        now,
        by,
        reason
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Closed months that hold an adjustment for this closing: they must be reopened before it.
pub async fn closed_months_with_adjustments(conn: &mut PgConnection, closing_id: i64) -> sqlx::Result<Vec<NaiveDate>> {
    sqlx::query_scalar!(
        "SELECT DISTINCT a.booked_month FROM month_adjustment a
         JOIN month_closing k ON k.month = a.booked_month AND k.reopened_at IS NULL
         WHERE a.closing_id = $1 ORDER BY 1",
        closing_id
    )
    .fetch_all(conn)
    .await
}

/// Books what the bills of closed months say now beyond what they said at closing and what was booked since: to the
/// first open month after each. A bill that says the same and calls another part of it bought for commitments is booked too:
/// in list and contracted prices it says something else. The caller holds the ledger's lock and has just numbered the
/// publication.
pub async fn book_adjustments(
    conn: &mut PgConnection,
    publication_id: i64,
    delivery_id: Option<i64>,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let booked = sqlx::query!(
        "WITH closed AS (
             SELECT k.closing_id, k.month,
                    (SELECT min(c.month)::date
                     FROM generate_series(k.month + interval '1 month',
                              (SELECT max(month) FROM month_closing WHERE reopened_at IS NULL) + interval '1 month',
                              interval '1 month') AS c (month)
                     WHERE NOT EXISTS (SELECT FROM month_closing o
                                       WHERE o.reopened_at IS NULL AND o.month = c.month::date)) AS open_month
             FROM month_closing k WHERE k.reopened_at IS NULL
         ), ledger AS (
             SELECT k.closing_id, g.source_id, g.billing_account_id, m.billing_currency,
                    sum(m.charge_count) AS charge_count, sum(m.billed_cost) AS billed_cost,
                    sum(m.effective_cost) AS effective_cost, sum(m.list_cost) AS list_cost,
                    sum(m.contracted_cost) AS contracted_cost
             FROM closed k
             JOIN generation g ON g.state = 'current' AND g.billing_period_start >= k.month
                  AND g.billing_period_start < k.month + interval '1 month'
             JOIN monthly_cost m ON m.generation_id = g.generation_id
             GROUP BY 1, 2, 3, 4
         ), said AS (
             SELECT closing_id, source_id, billing_account_id, billing_currency,
                    sum(charge_count) AS charge_count, sum(billed_cost) AS billed_cost,
                    sum(effective_cost) AS effective_cost, sum(list_cost) AS list_cost,
                    sum(contracted_cost) AS contracted_cost
             FROM (SELECT closing_id, source_id, billing_account_id, billing_currency, charge_count, billed_cost,
                          effective_cost, list_cost, contracted_cost FROM closed_cost
                   UNION ALL
                   SELECT closing_id, source_id, billing_account_id, billing_currency, charge_count, billed_cost,
                          effective_cost, list_cost, contracted_cost FROM month_adjustment) one
             JOIN closed USING (closing_id)
             GROUP BY 1, 2, 3, 4
         ), renamed AS (
             SELECT side.closing_id, side.source_id, side.billing_account_id, bought.billing_currency
             FROM (SELECT k.closing_id, g.source_id, g.billing_account_id, g.generation_id,
                          CASE WHEN c.first_publication_id = $1 THEN 1 ELSE -1 END AS sign
                   FROM counted_span c
                   JOIN generation g ON g.generation_id = c.generation_id
                   JOIN closed k ON g.billing_period_start >= k.month
                       AND g.billing_period_start < k.month + interval '1 month'
                   WHERE c.first_publication_id = $1 OR c.end_publication_id = $1) side
             CROSS JOIN LATERAL (SELECT p.billing_currency, sum(p.list_cost) AS list_cost,
                                        sum(p.contracted_cost) AS contracted_cost
                                 FROM commitment_purchase p WHERE p.generation_id = side.generation_id
                                 GROUP BY p.billing_currency) bought
             GROUP BY 1, 2, 3, 4
             HAVING (sum(side.sign * bought.list_cost), sum(side.sign * bought.contracted_cost)) <> (0, 0)
         )
         INSERT INTO month_adjustment (closing_id, booked_month, publication_id, delivery_id, source_id,
             billing_account_id, billing_currency, charge_count, billed_cost, effective_cost, list_cost,
             contracted_cost, booked_at)
         SELECT closed.closing_id, closed.open_month, $1, $2, source_id, billing_account_id, billing_currency,
                coalesce(l.charge_count, 0) - coalesce(s.charge_count, 0),
                coalesce(l.billed_cost, 0) - coalesce(s.billed_cost, 0),
                coalesce(l.effective_cost, 0) - coalesce(s.effective_cost, 0),
                coalesce(l.list_cost, 0) - coalesce(s.list_cost, 0),
                coalesce(l.contracted_cost, 0) - coalesce(s.contracted_cost, 0), $3
         FROM ledger l FULL JOIN said s USING (closing_id, source_id, billing_account_id, billing_currency)
         JOIN closed USING (closing_id)
         WHERE (coalesce(l.charge_count, 0), coalesce(l.billed_cost, 0), coalesce(l.effective_cost, 0),
                coalesce(l.list_cost, 0), coalesce(l.contracted_cost, 0))
            <> (coalesce(s.charge_count, 0), coalesce(s.billed_cost, 0), coalesce(s.effective_cost, 0),
                coalesce(s.list_cost, 0), coalesce(s.contracted_cost, 0))
            OR (closing_id, source_id, billing_account_id, billing_currency)
                IN (SELECT closing_id, source_id, billing_account_id, billing_currency FROM renamed)",
        publication_id,
        delivery_id,
        now
    )
    .execute(&mut *conn)
    .await?;
    if booked.rows_affected() > 0 {
        commitment_purchases::book(conn, publication_id).await?;
    }
    Ok(booked.rows_affected())
}

/// What the bills of a closed month say now beyond its figures, within a scope.
#[derive(Debug, Clone)]
pub struct MovedSince {
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Lines more, or fewer where below zero.
    pub charge_count: i64,
    /// In the asked basis.
    pub cost: BigDecimal,
}

/// What arrived for a closed month since, and what rules moved in or out of the scope. Nothing for an open month.
pub async fn moved_since(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    month: BillingPeriod,
) -> sqlx::Result<Vec<MovedSince>> {
    sqlx::query_as!(
        MovedSince,
        r#"SELECT billing_currency AS "billing_currency!", sum(charge_count)::bigint AS "charge_count!",
                  sum(cost) AS "cost!"
           FROM (SELECT b.billing_currency, b.charge_count,
                        cost_in($2::text, b.billed_cost, b.effective_cost, b.list_cost, b.contracted_cost) AS cost
                 FROM bill_cell($5::boolean) b
                 JOIN generation g ON g.generation_id = b.generation_id AND g.state = 'current'
                 LEFT JOIN service ON service.service_id = b.service_id
                 WHERE b.billing_period_start >= $3 AND b.billing_period_start < $4
                   AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
                 UNION ALL
                 SELECT s.billing_currency, -s.charge_count,
                        -cost_in($2::text, s.billed_cost, s.effective_cost, s.list_cost, s.contracted_cost)
                 FROM statement_cell($5::boolean) s
                 WHERE s.month = $3 AND ($1::bigint[] IS NULL OR s.team_id = ANY($1))) side
           WHERE EXISTS (SELECT FROM month_closing WHERE reopened_at IS NULL AND month = $3)
           GROUP BY 1 HAVING sum(cost) <> 0 OR sum(charge_count) <> 0 ORDER BY 1"#,
        scope.team_ids(),
        basis.key(),
        month.first_day(),
        month.next().first_day(),
        basis.is_before_commitments()
    )
    .fetch_all(conn)
    .await
}
