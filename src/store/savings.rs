//! What savings are found from: cost by what it is for, use, and deployments of every service in every environment; and
//! the ones that somebody dismissed.

use super::metric_points::RUNS_COUNTED_BY;
use super::{Scope, limits};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// Services in environments that are read at most, with cost or use.
const PLACE_COUNT_MAX: i64 = 50_000;
/// The same of those that something was ever deployed to, previews that are long gone included.
const DEPLOYED_COUNT_MAX: i64 = 1_000_000;
/// Unused commitments that are read at most, each once a service.
const UNUSED_COUNT_MAX: i64 = 50_000;
/// Dismissals that hold at most: one that is not read would be a saving again.
const DISMISSAL_COUNT_MAX: i64 = 20_000;
/// The longest reason, in characters.
pub const REASON_LENGTH_MAX: usize = 1000;

/// The days that are looked at; `complete_to` is the last one.
#[derive(Debug, Clone, Copy)]
pub struct SavingDays {
    /// The first day that is read.
    pub first: NaiveDate,
    /// The first of the days that money is of.
    pub money_from: NaiveDate,
    /// The first of the days that use is looked at over.
    pub use_from: NaiveDate,
    /// The last complete day.
    pub complete_to: NaiveDate,
}

/// Usage (EffectiveCost) of a service in an environment in one currency, without unused commitments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceCostRow {
    /// 0 for what is not allocated.
    pub service_id: i64,
    /// Its address; empty for what is not allocated.
    pub service_slug: String,
    /// What people call it.
    pub service_name: String,
    /// The team that owns it.
    pub team_id: Option<i64>,
    /// What people call the team.
    pub team_name: Option<String>,
    /// 0 without one.
    pub environment_id: i64,
    /// Its address; empty without one.
    pub environment_slug: String,
    /// What people call it.
    pub environment_name: String,
    /// `production`, …; empty without one.
    pub environment_kind: String,
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// Storage, on the days that money is of.
    pub storage: BigDecimal,
    /// Compute, databases and machine learning, on the same days.
    pub capacity: BigDecimal,
    /// All of the same days.
    pub all: BigDecimal,
    /// All of the days that use is looked at over.
    pub all_recent: BigDecimal,
    /// Storage of these days.
    pub storage_recent: BigDecimal,
    /// The last day with usage that is no storage.
    pub last_other_day: Option<NaiveDate>,
    /// The first day with usage.
    pub first_day: Option<NaiveDate>,
}

/// Every place with cost on the days that money is of.
pub async fn costs(conn: &mut PgConnection, scope: &Scope, days: SavingDays) -> sqlx::Result<Vec<PlaceCostRow>> {
    let rows = sqlx::query_as!(
        PlaceCostRow,
        r#"
        WITH line AS (
            SELECT m.service_id, m.environment_id, d.billing_currency AS currency, d.charge_date, k.service_category,
                coalesce(k.service_category, '') = 'Storage' AS is_storage, sum(d.effective_cost) AS cost
            FROM daily_cost_by_key d
            JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
            JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
            JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
                AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
            WHERE d.charge_date >= $2 AND d.charge_date <= $5 AND k.charge_category = 'Usage'
              AND k.commitment_discount_status IS DISTINCT FROM 'Unused'
            GROUP BY 1, 2, 3, 4, 5, 6
        )
        SELECT l.service_id, coalesce(s.slug, '') AS "service_slug!", coalesce(s.name, 'Not allocated') AS "service_name!",
            s.team_id AS "team_id?", team.name AS "team_name?", l.environment_id,
            coalesce(e.slug, '') AS "environment_slug!", coalesce(e.name, 'No environment') AS "environment_name!",
            coalesce(e.kind, '') AS "environment_kind!", l.currency,
            coalesce(sum(l.cost) FILTER (WHERE l.is_storage AND l.charge_date >= $3), 0) AS "storage!",
            coalesce(sum(l.cost) FILTER (WHERE l.charge_date >= $3
                AND l.service_category IN ('Compute', 'Databases', 'AI and Machine Learning')), 0) AS "capacity!",
            coalesce(sum(l.cost) FILTER (WHERE l.charge_date >= $3), 0) AS "all!",
            coalesce(sum(l.cost) FILTER (WHERE l.charge_date >= $4), 0) AS "all_recent!",
            coalesce(sum(l.cost) FILTER (WHERE l.is_storage AND l.charge_date >= $4), 0) AS "storage_recent!",
            max(l.charge_date) FILTER (WHERE NOT l.is_storage AND l.cost > 0) AS last_other_day,
            min(l.charge_date) FILTER (WHERE l.cost > 0) AS first_day
        FROM line l
        LEFT JOIN service s ON s.service_id = l.service_id
        LEFT JOIN team ON team.team_id = s.team_id
        LEFT JOIN environment e ON e.environment_id = l.environment_id
        WHERE $1::bigint[] IS NULL OR s.team_id = ANY($1)
        GROUP BY l.service_id, s.slug, s.name, s.team_id, team.name, l.environment_id, e.slug, e.name, e.kind, l.currency
        HAVING sum(l.cost) FILTER (WHERE l.charge_date >= $3) > 0
        ORDER BY 2, 7, l.currency LIMIT $6
        "#,
        scope.team_ids(),
        days.first,
        days.money_from,
        days.use_from,
        days.complete_to,
        PLACE_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, PLACE_COUNT_MAX, "services in environments with cost")
}

/// How a service was used in an environment; 0 for all of them together. No money, so no scope.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaceUseRow {
    /// The service.
    pub service_id: i64,
    /// The environment; 0 where it is not told apart.
    pub environment_id: i64,
    /// What its traffic and load are counted in: `requests`, `orders`. `None` where they are not known.
    pub unit: Option<String>,
    /// Mean traffic a day of the days that use is looked at over.
    pub traffic: Option<f64>,
    /// Days of these with a value.
    pub traffic_days: i64,
    /// Mean traffic a day of the days before.
    pub traffic_usual: Option<f64>,
    /// Mean utilization of the days that use is looked at over, in percent.
    pub utilization: Option<f64>,
    /// Days of these with a value.
    pub utilization_days: i64,
    /// Mean traffic a replica in these days.
    pub load: Option<f64>,
    /// The 95 % quantile of all days that are read.
    pub load_busy: Option<f64>,
    /// Days of the former with a value.
    pub load_days: i64,
}

/// Use of every place with a value: traffic and replicas by the one metric that tells them of the service, utilization as
/// the mean of all. A day on which no counted run ended is no day without use: a longer run may have worked on it.
pub async fn uses(conn: &mut PgConnection, days: SavingDays) -> sqlx::Result<Vec<PlaceUseRow>> {
    let rows = sqlx::query_as!(
        PlaceUseRow,
        r#"
        WITH day AS (
            SELECT p.service_id, p.environment_id, p.charge_date,
                max(told.unit) FILTER (WHERE told.measure = 'volume') AS unit,
                sum(p.value) FILTER (WHERE told.measure = 'volume')::double precision AS traffic,
                avg(p.value) FILTER (WHERE m.meaning = 'utilization')::double precision AS utilization,
                sum(p.value) FILTER (WHERE told.measure = 'replicas')::double precision AS replicas
            FROM metric_value p JOIN metric m USING (metric)
            LEFT JOIN service_measure told ON told.service_id = p.service_id AND told.metric = p.metric
            WHERE p.charge_date >= $1 AND p.charge_date <= $3
              AND (m.meaning = 'utilization' OR told.metric IS NOT NULL)
              AND (p.value > 0 OR p.loaded_by <> $5)
            GROUP BY 1, 2, 3
        )
        SELECT service_id AS "service_id!", environment_id AS "environment_id!", max(unit) AS unit,
            avg(traffic) FILTER (WHERE charge_date >= $2) AS traffic,
            count(traffic) FILTER (WHERE charge_date >= $2) AS "traffic_days!",
            avg(traffic) FILTER (WHERE charge_date < $2) AS traffic_usual,
            avg(utilization) FILTER (WHERE charge_date >= $2) AS utilization,
            count(utilization) FILTER (WHERE charge_date >= $2) AS "utilization_days!",
            avg(traffic / replicas) FILTER (WHERE charge_date >= $2 AND replicas > 0) AS load,
            percentile_cont(0.95) WITHIN GROUP (ORDER BY CASE WHEN replicas > 0 THEN traffic / replicas END) AS load_busy,
            count(traffic) FILTER (WHERE charge_date >= $2 AND replicas > 0) AS "load_days!"
        FROM day GROUP BY service_id, environment_id ORDER BY service_id, environment_id LIMIT $4
        "#,
        days.first,
        days.use_from,
        days.complete_to,
        PLACE_COUNT_MAX + 1,
        RUNS_COUNTED_BY,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, PLACE_COUNT_MAX, "services in environments with usage")
}

/// The last deployment of a service into an environment that went live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastDeployed {
    /// The service.
    pub service_id: i64,
    /// The environment.
    pub environment_id: i64,
    /// Its day, UTC.
    pub day: NaiveDate,
    /// Its number.
    pub deployment_id: i64,
}

/// The last deployment of every place.
pub async fn last_deployed(conn: &mut PgConnection) -> sqlx::Result<Vec<LastDeployed>> {
    let rows = sqlx::query_as!(
        LastDeployed,
        r#"SELECT DISTINCT ON (ds.service_id, d.environment_id) ds.service_id,
                  d.environment_id AS "environment_id!", (d.finished_at AT TIME ZONE 'UTC')::date AS "day!",
                  d.deployment_id
           FROM deployment d JOIN deployment_service ds USING (deployment_id)
           WHERE d.status IN ('succeeded', 'superseded') AND d.finished_at IS NOT NULL AND d.environment_id IS NOT NULL
             AND d.kind <> 'config_sync'
           ORDER BY ds.service_id, d.environment_id, d.finished_at DESC, d.deployment_id DESC LIMIT $1"#,
        DEPLOYED_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, DEPLOYED_COUNT_MAX, "services in environments with deployments")
}

/// What one commitment cost by who bears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedRow {
    /// 0 for what is not allocated.
    pub service_id: i64,
    /// Its address; empty for what is not allocated.
    pub service_slug: String,
    /// What people call it.
    pub service_name: String,
    /// What people call its team.
    pub team_name: Option<String>,
    /// FOCUS CommitmentDiscountId, where the bill names it.
    pub commitment_id: Option<String>,
    /// FOCUS ProviderName.
    pub provider_name: Option<String>,
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// EffectiveCost of what was used, by anyone that the reader may see.
    pub used: BigDecimal,
    /// EffectiveCost of what was left unused and is borne by the service.
    pub unused: BigDecimal,
}

/// Unused commitments of the days that money is of.
pub async fn unused(conn: &mut PgConnection, scope: &Scope, days: SavingDays) -> sqlx::Result<Vec<UnusedRow>> {
    let rows = sqlx::query_as!(
        UnusedRow,
        r#"
        WITH line AS (
            SELECT m.service_id, k.mapping_tags ->> '@column:CommitmentDiscountId' AS commitment_id, k.provider_name,
                d.billing_currency AS currency,
                coalesce(sum(d.effective_cost) FILTER (WHERE k.commitment_discount_status = 'Used'), 0) AS used,
                coalesce(sum(d.effective_cost) FILTER (WHERE k.commitment_discount_status = 'Unused'), 0) AS unused
            FROM daily_cost_by_key d
            JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
            JOIN rollup_key k ON k.sub_account_key = d.sub_account_key AND k.rollup_key_id = d.rollup_key_id
            JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
                AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
            LEFT JOIN service ON service.service_id = m.service_id
            WHERE d.charge_date >= $2 AND d.charge_date <= $3 AND k.commitment_discount_status IN ('Used', 'Unused')
              AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
            GROUP BY 1, 2, 3, 4
        )
        SELECT l.service_id AS "service_id!", coalesce(s.slug, '') AS "service_slug!",
            coalesce(s.name, 'Not allocated') AS "service_name!", team.name AS "team_name?", l.commitment_id,
            l.provider_name, l.currency AS "currency!", l.used_by_all AS "used!", l.unused AS "unused!"
        FROM (SELECT line.*, sum(used) OVER (PARTITION BY commitment_id, provider_name, currency) AS used_by_all
              FROM line) l
        LEFT JOIN service s ON s.service_id = l.service_id LEFT JOIN team ON team.team_id = s.team_id
        WHERE l.unused > 0 ORDER BY l.unused DESC, 2, 5 LIMIT $4
        "#,
        scope.team_ids(),
        days.money_from,
        days.complete_to,
        UNUSED_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, UNUSED_COUNT_MAX, "unused commitments of services")
}

/// A saving that somebody dismissed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dismissal {
    /// What it is about.
    pub saving_key: String,
    /// Why.
    pub reason: String,
    /// What it would have saved in 30 days then.
    pub amount: BigDecimal,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// By whom.
    pub dismissed_by: String,
    /// When.
    pub dismissed_at: DateTime<Utc>,
}

/// The dismissals that hold, the newest first. Which of them a reader may see is decided by the savings that they are of.
pub async fn dismissals(conn: &mut PgConnection) -> sqlx::Result<Vec<Dismissal>> {
    let rows = sqlx::query_as!(
        Dismissal,
        "SELECT saving_key, reason, amount, billing_currency, dismissed_by, dismissed_at FROM saving_dismissal
         WHERE undone_at IS NULL ORDER BY saving_dismissal_id DESC LIMIT $1",
        DISMISSAL_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, DISMISSAL_COUNT_MAX, "dismissed savings")
}

/// Dismisses a saving; one that is dismissed already stays as it is. False where it was.
pub async fn dismiss(conn: &mut PgConnection, dismissal: &Dismissal) -> sqlx::Result<bool> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM saving_dismissal WHERE undone_at IS NULL"#);
    limits::room(count.fetch_one(&mut *conn).await?, DISMISSAL_COUNT_MAX, "dismissed savings")?;
    let done = sqlx::query!(
        "INSERT INTO saving_dismissal (saving_key, reason, amount, billing_currency, dismissed_by, dismissed_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (saving_key) WHERE undone_at IS NULL DO NOTHING",
        dismissal.saving_key,
        dismissal.reason,
        dismissal.amount,
        dismissal.billing_currency,
        dismissal.dismissed_by,
        dismissal.dismissed_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes a dismissal back. False where none holds.
pub async fn undo(conn: &mut PgConnection, saving_key: &str, by: &str, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE saving_dismissal SET undone_by = $2, undone_at = $3 WHERE saving_key = $1 AND undone_at IS NULL",
        saving_key,
        by,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}
