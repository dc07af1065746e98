//! Environments that end: by a day that somebody named, or because their sender took them away; and what they cost
//! afterwards.

use super::catalogue::ENTRY_READ_MAX;
use super::{Scope, limits};
use crate::focus::CostBasis;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// Services in environments with cost after the end, in currencies, that are read at once.
const COST_COUNT_MAX: i64 = 200_000;

/// When an environment ended, or will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentEnd {
    /// The environment.
    pub environment_id: i64,
    /// Its last day, UTC; from the next one on it should cost nothing.
    pub last_day: NaiveDate,
    /// Its sender told that it went; else somebody named the day.
    pub is_told: bool,
    /// Somebody says that it still runs, though its sender told that it went: it has not ended.
    pub is_refused: bool,
    /// Who said so last; none where nobody did, or somebody took it back.
    pub refused_by: Option<String>,
    /// When: what was told up to then ends nothing.
    pub refused_through: Option<DateTime<Utc>>,
}

/// All environments that have an end; of one where one is given. No money, so no scope. One whose end was refused is
/// among them and says so.
pub async fn list(conn: &mut PgConnection, environment_id: Option<i64>) -> sqlx::Result<Vec<EnvironmentEnd>> {
    let rows = sqlx::query_as!(
        EnvironmentEnd,
        r#"SELECT environment_id AS "environment_id!", last_day AS "last_day!", is_told AS "is_told!",
                  coalesce(is_refused, false) AS "is_refused!", refused_by, refused_through
           FROM environment_end WHERE $1::bigint IS NULL OR environment_id = $1 ORDER BY 1 LIMIT $2"#,
        environment_id,
        ENTRY_READ_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ENTRY_READ_MAX, "environments with an end")
}

/// Lets an environment run on, whatever its sender told up to now. False where somebody had said so already.
pub async fn refuse(conn: &mut PgConnection, environment_id: i64, by: &str, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let refused = sqlx::query!(
        "INSERT INTO environment_end_refusal AS known (environment_id, refused_through, refused_by)
         SELECT $1, $2, $3
         WHERE NOT EXISTS (SELECT FROM environment_end WHERE environment_id = $1 AND is_refused)
         ON CONFLICT (environment_id) DO UPDATE SET refused_through = excluded.refused_through,
             refused_by = excluded.refused_by",
        environment_id,
        now,
        by
    );
    Ok(refused.execute(conn).await?.rows_affected() == 1)
}

/// Lets the sender's word hold again. False where nobody had said otherwise.
pub async fn accept(conn: &mut PgConnection, environment_id: i64) -> sqlx::Result<bool> {
    let gone = sqlx::query!("DELETE FROM environment_end_refusal WHERE environment_id = $1", environment_id);
    Ok(gone.execute(conn).await?.rows_affected() == 1)
}

/// What a service cost in an environment after its end, in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostAfterEnd {
    /// The environment.
    pub environment_id: i64,
    /// The service; 0 where no rule says one.
    pub service_id: i64,
    /// Its name; empty where no rule says one.
    pub service_name: String,
    /// Its address; empty where no rule says one.
    pub service_slug: String,
    /// `BillingCurrency`.
    pub currency: String,
    /// The first day after the end that has cost.
    pub first_charge_date: NaiveDate,
    /// The last.
    pub last_charge_date: NaiveDate,
    /// Charges behind it.
    pub charge_count: i64,
    /// Exact.
    pub cost: BigDecimal,
}

/// What environments cost after their end in the current bills, the dearest first; of one where one is given.
pub async fn costs_after(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    environment_id: Option<i64>,
) -> sqlx::Result<Vec<CostAfterEnd>> {
    let rows = sqlx::query_as!(
        CostAfterEnd,
        r#"
        -- Once for each environment: without figures about fresh tables it was worked out again for each day's cost.
        WITH ended AS MATERIALIZED (
            SELECT environment_id, last_day FROM environment_end
            WHERE is_refused IS NOT TRUE AND last_day IS NOT NULL AND ($3::bigint IS NULL OR environment_id = $3)
        )
        SELECT d.environment_id AS "environment_id!", d.service_id AS "service_id!",
            coalesce(service.name, '') AS "service_name!", coalesce(service.slug, '') AS "service_slug!",
            d.billing_currency AS "currency!",
            min(d.charge_date) AS "first_charge_date!", max(d.charge_date) AS "last_charge_date!",
            sum(d.charge_count)::bigint AS "charge_count!",
            sum(cost_in($1::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS "cost!"
        FROM ended e
        JOIN daily_cell($5::boolean) d ON d.environment_id = e.environment_id AND d.charge_date > e.last_day
        JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
        LEFT JOIN service ON service.service_id = d.service_id
        WHERE $2::bigint[] IS NULL OR service.team_id = ANY($2)
        GROUP BY d.environment_id, d.service_id, service.name, service.slug, d.billing_currency
        ORDER BY 9 DESC, 1, 2, 5
        LIMIT $4
        "#,
        basis.key(),
        scope.team_ids(),
        environment_id,
        COST_COUNT_MAX + 1,
        basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, COST_COUNT_MAX, "services with cost after the end of an environment")
}
