//! Forecasts: written after each publication, kept, and held against what came.

use super::{Scope, limits};
use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::{DateTime, Days, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

/// Forecasts of one day that are read at once.
const STANDING_COUNT_MAX: i64 = 400_000;
/// Rows that one statement writes.
const BATCH: usize = 500;
/// Days after the end of a period for which what came follows restated bills.
const FOLLOWED_DAYS: i32 = 120;

/// A forecast to be written.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "columns of the table, described there")]
pub struct NewForecast {
    pub scope: &'static str,
    pub scope_id: i64,
    pub billing_currency: String,
    pub horizon: &'static str,
    pub first_day: NaiveDate,
    pub last_day: NaiveDate,
    pub asked_on: NaiveDate,
    pub publication_id: i64,
    pub is_hindcast: bool,
    pub rests_on: String,
    pub service_ids: Vec<i64>,
    pub newest_service_id: i64,
    pub known: BigDecimal,
    pub late: BigDecimal,
    pub incomplete: BigDecimal,
    pub rest: BigDecimal,
    pub fees: BigDecimal,
    pub point: Option<BigDecimal>,
    pub low: Option<BigDecimal>,
    pub high: Option<BigDecimal>,
    pub no_forecast: String,
    pub candidate: &'static str,
    pub past_error: Option<f64>,
    pub widening: f64,
    pub origin_count: i32,
    pub restart_count: i32,
    pub provisional_count: i32,
    pub provisional_up_per_day: BigDecimal,
    pub provisional_down_per_day: BigDecimal,
}

/// Writes forecasts; those that were asked on the same day are replaced, but none that was told while its period ran by
/// one that is made afterwards.
pub async fn write(conn: &mut PgConnection, forecasts: &[NewForecast], now: DateTime<Utc>) -> sqlx::Result<()> {
    for batch in forecasts.chunks(BATCH) {
        let rows = serde_json::to_value(batch).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query!(
            "INSERT INTO forecast (late, widening, scope, scope_id, billing_currency, horizon, first_day, last_day, asked_on,
                publication_id, computed_at, is_hindcast, known, incomplete, rest, fees, point, low, high, no_forecast,
                candidate, past_error, origin_count, restart_count, provisional_count, provisional_up_per_day,
                provisional_down_per_day, rests_on, service_ids, newest_service_id)
             SELECT late, widening, scope, scope_id, billing_currency, horizon, first_day, last_day, asked_on,
                publication_id, $2,
                is_hindcast, known, incomplete, rest, fees, point, low, high, no_forecast, candidate, past_error,
                origin_count, restart_count, provisional_count, provisional_up_per_day, provisional_down_per_day,
                rests_on, service_ids, newest_service_id
             FROM jsonb_to_recordset($1) AS r (late numeric, widening double precision, scope text, scope_id bigint,
                billing_currency text, horizon text,
                first_day date, last_day date, asked_on date, publication_id bigint, is_hindcast boolean, known numeric,
                incomplete numeric, rest numeric, fees numeric, point numeric, low numeric, high numeric,
                no_forecast text, candidate text, past_error double precision, origin_count integer,
                restart_count integer, provisional_count integer, provisional_up_per_day numeric,
                provisional_down_per_day numeric, rests_on text, service_ids bigint[], newest_service_id bigint)
             ON CONFLICT (scope, scope_id, billing_currency, horizon, first_day, asked_on) DO UPDATE SET
                late = excluded.late, widening = excluded.widening, publication_id = excluded.publication_id,
                computed_at = excluded.computed_at,
                is_hindcast = excluded.is_hindcast, known = excluded.known, incomplete = excluded.incomplete,
                rest = excluded.rest, fees = excluded.fees, point = excluded.point, low = excluded.low,
                high = excluded.high, no_forecast = excluded.no_forecast, candidate = excluded.candidate,
                past_error = excluded.past_error, origin_count = excluded.origin_count,
                restart_count = excluded.restart_count, provisional_count = excluded.provisional_count,
                provisional_up_per_day = excluded.provisional_up_per_day,
                provisional_down_per_day = excluded.provisional_down_per_day, rests_on = excluded.rests_on,
                service_ids = excluded.service_ids, newest_service_id = excluded.newest_service_id, actual = NULL
             WHERE forecast.is_hindcast OR NOT forecast.is_record OR NOT excluded.is_hindcast",
            rows,
            now
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The months of which a forecast of all cost was told before they were over.
pub async fn told_months(conn: &mut PgConnection) -> sqlx::Result<Vec<NaiveDate>> {
    sqlx::query_scalar!(
        "SELECT DISTINCT first_day FROM forecast
         WHERE scope = 'total' AND horizon = 'month' AND is_record AND NOT is_hindcast ORDER BY 1 LIMIT 10000"
    )
    .fetch_all(conn)
    .await
}

/// A month that was asked about afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hindcast {
    /// The month's first day.
    pub first_day: NaiveDate,
    /// The bills that it was made from ([`rests_on`](super::forecast_series::rests_on)).
    pub rests_on: String,
}

/// The months that were asked about afterwards; one stands twice where its forecasts are of different bills.
pub async fn hindcasts(conn: &mut PgConnection) -> sqlx::Result<Vec<Hindcast>> {
    sqlx::query_as!(
        Hindcast,
        "SELECT DISTINCT first_day, rests_on FROM forecast WHERE is_hindcast AND horizon = 'month'
         ORDER BY first_day, rests_on LIMIT 10000"
    )
    .fetch_all(conn)
    .await
}

/// Deletes what was said afterwards of these months. What was told while they ran stays.
pub async fn delete_hindcasts(conn: &mut PgConnection, first_days: &[NaiveDate]) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM forecast WHERE is_hindcast AND horizon = 'month' AND first_day = ANY($1::date[])",
        first_days
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The periods that forecasts are held against what came in: they are over, and not for long.
pub async fn followed(conn: &mut PgConnection, complete_to: NaiveDate) -> sqlx::Result<Vec<DateRange>> {
    let rows = sqlx::query!(
        "SELECT DISTINCT first_day, last_day FROM forecast WHERE last_day <= $1 AND last_day > $1::date - $2::integer",
        complete_to,
        FOLLOWED_DAYS
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.iter().filter_map(|row| DateRange::new(row.first_day, row.last_day + Days::new(1))).collect())
}

/// A scope that lacks a bill in a period: nobody knows what came.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "columns of the table of forecasts, described there")]
pub struct WithoutBill {
    pub scope: &'static str,
    pub scope_id: i64,
    pub billing_currency: String,
    pub first_day: NaiveDate,
    pub last_day: NaiveDate,
}

/// Writes what came into forecasts whose last day is complete, and follows restated bills for some months, and for those
/// months that were asked about anew, however long ago they were. Of those that lack a bill nothing is written. A team's
/// is held against the services that it had when it was made, and those of now that were made since.
pub async fn hold_against(
    conn: &mut PgConnection,
    complete_to: NaiveDate,
    asked_anew: &[NaiveDate],
    without_bill: &[WithoutBill],
) -> sqlx::Result<()> {
    let without_bill = serde_json::to_value(without_bill).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query!(
        "WITH period AS (
             SELECT DISTINCT first_day, last_day FROM forecast
             WHERE last_day <= $1 AND (last_day > $1::date - $2::integer
                                       OR horizon = 'month' AND first_day = ANY($4::date[]))
         ), cost AS (
             SELECT p.first_day, p.last_day, d.service_id, d.billing_currency, sum(d.effective_cost) AS cost
             FROM period p
             JOIN daily_cost d ON d.charge_date >= p.first_day AND d.charge_date <= p.last_day
             JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
             GROUP BY 1, 2, 3, 4
         ), of_team AS (
             SELECT f.scope_id, f.billing_currency, f.first_day, f.last_day, f.asked_on, f.service_ids,
                    f.newest_service_id
             FROM forecast f JOIN period p USING (first_day, last_day) WHERE f.scope = 'team'
         ), owned AS (
             SELECT t.scope_id, t.billing_currency, t.first_day, t.last_day, t.asked_on, had.service_id
             FROM of_team t CROSS JOIN LATERAL unnest(t.service_ids) AS had (service_id)
             UNION
             SELECT t.scope_id, t.billing_currency, t.first_day, t.last_day, t.asked_on, s.service_id
             FROM of_team t
             JOIN service s ON s.service_id > t.newest_service_id AND coalesce(s.team_id, 0) = t.scope_id
         ), scoped AS (
             SELECT 'service' AS scope, service_id AS scope_id, billing_currency, first_day, last_day,
                    NULL::date AS asked_on, cost
             FROM cost
             UNION ALL
             SELECT 'team', o.scope_id, billing_currency, first_day, last_day, o.asked_on, sum(c.cost)
             FROM owned o JOIN cost c USING (service_id, billing_currency, first_day, last_day)
             GROUP BY 2, 3, 4, 5, 6
             UNION ALL
             SELECT 'total', 0, billing_currency, first_day, last_day, NULL, sum(cost) FROM cost GROUP BY 3, 4, 5
         ), lacking AS (
             SELECT * FROM jsonb_to_recordset($3)
                 AS r (scope text, scope_id bigint, billing_currency text, first_day date, last_day date)
         ), came AS (
             SELECT s.scope, s.scope_id, s.billing_currency, s.first_day, s.last_day, s.asked_on,
                    CASE WHEN l.scope IS NULL THEN s.cost END AS actual
             FROM scoped s LEFT JOIN lacking l USING (scope, scope_id, billing_currency, first_day, last_day)
         )
         UPDATE forecast f SET actual = c.actual FROM came c
         WHERE f.scope = c.scope AND f.scope_id = c.scope_id AND f.billing_currency = c.billing_currency
           AND f.first_day = c.first_day AND f.last_day = c.last_day
           AND (c.asked_on IS NULL OR f.asked_on = c.asked_on) AND f.actual IS DISTINCT FROM c.actual",
        complete_to,
        FOLLOWED_DAYS,
        without_bill,
        asked_anew
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How many intervals of one kind held in one period, of the forecast of each scope that was asked nearest to its middle.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of the table, described there")]
pub struct Kept {
    pub scope: String,
    pub horizon: String,
    pub first_day: NaiveDate,
    pub held_count: i64,
    pub missed_count: i64,
}

/// Periods that nothing was learnt from yet, in order of time.
pub async fn kept(conn: &mut PgConnection) -> sqlx::Result<Vec<Kept>> {
    sqlx::query_as!(
        Kept,
        r#"WITH middle AS (
             SELECT DISTINCT ON (f.scope, f.scope_id, f.billing_currency, f.horizon, f.first_day) f.*
             FROM forecast f LEFT JOIN forecast_level l ON l.scope = f.scope AND l.horizon = f.horizon
             WHERE f.is_record AND f.actual IS NOT NULL AND f.low IS NOT NULL AND f.high IS NOT NULL
               AND (l.learnt_to IS NULL OR f.first_day > l.learnt_to)
             ORDER BY f.scope, f.scope_id, f.billing_currency, f.horizon, f.first_day,
                      abs((f.asked_on - f.first_day) - (f.last_day - f.asked_on)), f.asked_on DESC
           )
           SELECT scope AS "scope!", horizon AS "horizon!", first_day AS "first_day!",
                  count(*) FILTER (WHERE actual BETWEEN low AND high) AS "held_count!",
                  count(*) FILTER (WHERE actual NOT BETWEEN low AND high) AS "missed_count!"
           FROM (SELECT scope, horizon, first_day, actual, low, high FROM middle) m
           GROUP BY 1, 2, 3 ORDER BY 3, 1, 2 LIMIT 10000"#
    )
    .fetch_all(conn)
    .await
}

/// What intervals taught.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "columns of the table, described there")]
pub struct Level {
    pub scope: String,
    pub horizon: String,
    pub level: Value,
    pub held_count: i64,
    pub missed_count: i64,
    pub learnt_to: NaiveDate,
}

/// The levels of all kinds.
pub async fn levels(conn: &mut PgConnection) -> sqlx::Result<Vec<Level>> {
    sqlx::query_as!(
        Level,
        "SELECT scope, horizon, level, held_count, missed_count, learnt_to FROM forecast_level ORDER BY 1, 2 LIMIT 100"
    )
    .fetch_all(conn)
    .await
}

/// Keeps a level.
pub async fn keep_level(conn: &mut PgConnection, level: &Level) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO forecast_level (scope, horizon, level, held_count, missed_count, learnt_to)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (scope, horizon) DO UPDATE SET level = excluded.level, held_count = excluded.held_count,
             missed_count = excluded.missed_count, learnt_to = excluded.learnt_to",
        level.scope,
        level.horizon,
        level.level,
        level.held_count,
        level.missed_count,
        level.learnt_to
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets what months from this one on taught: they are learnt from anew.
pub async fn unlearn_months(conn: &mut PgConnection, first_day: NaiveDate) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM forecast_level WHERE horizon = 'month' AND learnt_to >= $1", first_day)
        .execute(conn)
        .await?;
    Ok(())
}

/// A forecast as pages and the API show it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "columns of the table, described there; the name is that of the catalogue now")]
pub struct ForecastRow {
    pub scope: String,
    pub scope_id: i64,
    pub slug: Option<String>,
    pub name: Option<String>,
    pub billing_currency: String,
    pub horizon: String,
    pub first_day: NaiveDate,
    pub last_day: NaiveDate,
    pub asked_on: NaiveDate,
    pub publication_id: i64,
    pub computed_at: DateTime<Utc>,
    pub is_hindcast: bool,
    pub known: BigDecimal,
    pub late: BigDecimal,
    pub incomplete: BigDecimal,
    pub rest: BigDecimal,
    pub fees: BigDecimal,
    pub point: Option<BigDecimal>,
    pub low: Option<BigDecimal>,
    pub high: Option<BigDecimal>,
    pub no_forecast: String,
    pub candidate: String,
    pub past_error: Option<f64>,
    pub widening: f64,
    pub origin_count: i32,
    pub restart_count: i32,
    pub provisional_count: i32,
    pub provisional_up_per_day: BigDecimal,
    pub provisional_down_per_day: BigDecimal,
    pub actual: Option<BigDecimal>,
}

impl ForecastRow {
    /// Days of the period that were not complete when it was asked.
    pub fn days_left(&self) -> i64 {
        (self.last_day - self.asked_on.max(self.first_day - Days::new(1))).num_days().max(0)
    }

    /// What releases that are still measured and raise cost would be over the days left. An estimate.
    pub fn could_rise(&self) -> BigDecimal {
        &self.provisional_up_per_day * BigDecimal::from(self.days_left())
    }

    /// The same of those that lower it: zero or less.
    pub fn could_fall(&self) -> BigDecimal {
        &self.provisional_down_per_day * BigDecimal::from(self.days_left())
    }
}

/// Which forecasts.
#[derive(Debug, Clone, Copy, Default)]
pub struct ForecastFilter<'a> {
    /// `service`, `team`, `total`.
    pub scope: Option<&'a str>,
    /// The service or team.
    pub scope_id: Option<i64>,
    /// `month`, `quarter`, `year`.
    pub horizon: Option<&'a str>,
    /// One currency.
    pub currency: Option<&'a str>,
}

/// The forecasts that stand, within the scope: those of the last day on which forecasts were asked. Currencies stand apart,
/// the one that most are in first; in each the largest first.
pub async fn standing(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: ForecastFilter<'_>,
) -> sqlx::Result<Vec<ForecastRow>> {
    let rows = sqlx::query_as!(
        ForecastRow,
        r#"WITH newest AS (
             SELECT max(asked_on) AS asked_on FROM forecast WHERE horizon = 'month' AND NOT is_hindcast
           ), currency AS (
             SELECT billing_currency, count(*) AS row_count FROM forecast
             WHERE horizon = 'month' AND NOT is_hindcast AND asked_on = (SELECT asked_on FROM newest) GROUP BY 1
           )
           SELECT f.scope, f.scope_id, coalesce(s.slug, t.slug) AS slug, coalesce(s.name, t.name) AS name,
                  f.billing_currency, f.horizon, f.first_day, f.last_day, f.asked_on, f.publication_id, f.computed_at,
                  f.is_hindcast, f.known, f.late, f.incomplete, f.rest, f.fees, f.point, f.low, f.high, f.no_forecast,
                  f.candidate, f.past_error, f.widening, f.origin_count, f.restart_count, f.provisional_count,
                  f.provisional_up_per_day, f.provisional_down_per_day, f.actual
           FROM forecast f
           LEFT JOIN currency c ON c.billing_currency = f.billing_currency
           LEFT JOIN service s ON f.scope = 'service' AND s.service_id = f.scope_id
           LEFT JOIN team t ON f.scope = 'team' AND t.team_id = f.scope_id
           WHERE NOT f.is_hindcast
             AND f.asked_on = (SELECT asked_on FROM newest)
             AND f.publication_id = (SELECT publication_id FROM analysis_run WHERE analysis = 'forecasts')
             AND ($1::text IS NULL OR f.scope = $1) AND ($2::bigint IS NULL OR f.scope_id = $2)
             AND ($3::text IS NULL OR f.horizon = $3) AND ($4::text IS NULL OR f.billing_currency = $4)
             AND ($5::bigint[] IS NULL OR coalesce(s.team_id, t.team_id) = ANY($5))
           ORDER BY f.scope = 'total' DESC, f.scope = 'team' DESC, f.last_day - f.first_day,
                    c.row_count DESC NULLS LAST, f.billing_currency,
                    coalesce(f.point, f.known) DESC, f.scope_id
           LIMIT $6"#,
        filter.scope,
        filter.scope_id,
        filter.horizon,
        filter.currency,
        scope.team_ids(),
        STANDING_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, STANDING_COUNT_MAX, "forecasts")
}

/// Forecasts of periods that are over, within the scope, with what came: of each the one that was asked nearest to its
/// middle. The newest first. What was worked out when the period was over is none of them, but for what says so.
pub async fn past(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: ForecastFilter<'_>,
    limit: i64,
) -> sqlx::Result<Vec<ForecastRow>> {
    sqlx::query_as!(
        ForecastRow,
        r#"SELECT * FROM (
             SELECT DISTINCT ON (f.scope, f.scope_id, f.billing_currency, f.horizon, f.first_day)
                    f.scope, f.scope_id, coalesce(s.slug, t.slug) AS slug, coalesce(s.name, t.name) AS name,
                    f.billing_currency, f.horizon, f.first_day, f.last_day, f.asked_on, f.publication_id, f.computed_at,
                    f.is_hindcast, f.known, f.late, f.incomplete, f.rest, f.fees, f.point, f.low, f.high, f.no_forecast,
                    f.candidate, f.past_error, f.widening, f.origin_count, f.restart_count, f.provisional_count,
                    f.provisional_up_per_day, f.provisional_down_per_day, f.actual
             FROM forecast f
             LEFT JOIN service s ON f.scope = 'service' AND s.service_id = f.scope_id
             LEFT JOIN team t ON f.scope = 'team' AND t.team_id = f.scope_id
             WHERE f.is_record AND f.actual IS NOT NULL AND f.point IS NOT NULL
               AND ($1::text IS NULL OR f.scope = $1) AND ($2::bigint IS NULL OR f.scope_id = $2)
               AND ($3::text IS NULL OR f.horizon = $3) AND ($4::text IS NULL OR f.billing_currency = $4)
               AND ($5::bigint[] IS NULL OR coalesce(s.team_id, t.team_id) = ANY($5))
             ORDER BY f.scope, f.scope_id, f.billing_currency, f.horizon, f.first_day,
                      abs((f.asked_on - f.first_day) - (f.last_day - f.asked_on)), f.asked_on DESC
           ) nearest
           ORDER BY first_day DESC, billing_currency, scope_id LIMIT $6"#,
        filter.scope,
        filter.scope_id,
        filter.horizon,
        filter.currency,
        scope.team_ids(),
        limit
    )
    .fetch_all(conn)
    .await
}

/// Days for which the forecasts of every day are kept.
const KEPT_DAYS: i32 = 40;
/// Forecasts that one call deletes at most.
const DELETED_MAX: i64 = 50_000;

/// Deletes forecasts that nobody needs any more: those that were asked more than `KEPT_DAYS` before the newest, but for the
/// one of each period that it is held against, which is the one with an interval that was asked nearest to its middle, of
/// those that were told in time.
/// Gives how many went; no more than a bound, so that the next call goes on.
pub async fn delete_old(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "WITH ranked AS (
             SELECT scope, scope_id, billing_currency, horizon, first_day, asked_on,
                    row_number() OVER (
                        PARTITION BY scope, scope_id, billing_currency, horizon, first_day
                        ORDER BY is_record DESC, low IS NULL, point IS NULL,
                                 abs((asked_on - first_day) - (last_day - asked_on)), asked_on DESC
                    ) AS place
             FROM forecast
         ), old AS (
             SELECT * FROM ranked
             WHERE place > 1 AND asked_on < (SELECT max(asked_on) FROM forecast WHERE NOT is_hindcast) - $1::integer
             ORDER BY asked_on LIMIT $2
         )
         DELETE FROM forecast f USING old o
         WHERE f.scope = o.scope AND f.scope_id = o.scope_id AND f.billing_currency = o.billing_currency
           AND f.horizon = o.horizon AND f.first_day = o.first_day AND f.asked_on = o.asked_on",
        KEPT_DAYS,
        DELETED_MAX
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
