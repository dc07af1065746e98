//! In which hours of a day the cost of a service usually arises, for each release of which bills by the hour tell it.
//! Shares, no amounts. They are read from the lines of bills, and again only where the days that they are of changed.

use super::charge_conditions::select_lines;
use super::charges::{ChargeFilter, ChargePart};
use super::{Scope, own_plan};
use chrono::{Days, NaiveDate};
use sqlx::PgConnection;

/// The database's code for what another transaction changed after the view of this one was taken.
const SERIALIZATION_FAILURE: &str = "40001";
/// Rows of one kind that are read at most.
const ROW_COUNT_MAX: i64 = 1_000_000;

/// A service in an environment, in one currency, on a day on which something was released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The service.
    pub service_id: i64,
    /// The environment.
    pub environment_id: i64,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The day, UTC.
    pub day: NaiveDate,
    /// A digest of the days that its hours are to be made from. `None` where no bill by the hour counts on them now.
    pub made_from: Option<String>,
}

impl Place {
    /// The days that say what is usual: the same weekday of the four weeks before.
    pub fn usual_days(&self) -> [NaiveDate; 4] {
        [7, 14, 21, 28].map(|days| self.day - Days::new(days))
    }
}

/// Where hours are to be read, or to be forgotten: what they were made from is another than it is now. The newest come
/// first. Only deployments that bills by the hour can tell something of are looked at: from a week after the first of
/// their days to four weeks after the last; none where there are no such bills.
pub async fn stale(conn: &mut PgConnection) -> sqlx::Result<Vec<Place>> {
    sqlx::query_as!(
        Place,
        r#"WITH hourly AS MATERIALIZED (
             SELECT min(first_charge_date) + 7 AS first_day, max(last_charge_date) + 28 AS last_day
             FROM generation WHERE state = 'current' AND has_hourly_charges
           ), released AS (
             SELECT DISTINCT ds.service_id, d.environment_id,
                    (coalesce(d.finished_at, d.started_at, d.created_at) AT TIME ZONE 'UTC')::date AS day
             FROM deployment d
             JOIN deployment_service ds USING (deployment_id)
             JOIN environment e ON e.environment_id = d.environment_id AND e.kind <> 'preview'
             WHERE d.status IN ('succeeded', 'superseded') AND NOT ds.is_noop AND NOT d.time_is_received
               AND coalesce(d.finished_at, d.started_at, d.created_at)
                   >= (SELECT first_day FROM hourly)::timestamp AT TIME ZONE 'UTC'
               AND coalesce(d.finished_at, d.started_at, d.created_at)
                   < (SELECT last_day + 1 FROM hourly)::timestamp AT TIME ZONE 'UTC'
           ), asked AS MATERIALIZED (
             SELECT service_id, environment_id, day, day - back.days AS charge_date
             FROM released CROSS JOIN generate_series(7, 28, 7) AS back (days)
           ), usual AS (
             SELECT a.service_id, a.environment_id, c.billing_currency, a.day, c.charge_date,
                    trim_scale(sum(c.effective_cost)) AS cost, sum(c.charge_count) AS charge_count,
                    bool_or(g.has_hourly_charges) AS is_hourly
             FROM asked a
             JOIN daily_cost c ON c.service_id = a.service_id AND c.charge_date = a.charge_date
                 AND c.environment_id = a.environment_id AND c.split_id = 0 AND c.is_used
             JOIN generation g ON g.generation_id = c.generation_id AND g.state = 'current'
             GROUP BY 1, 2, 3, 4, 5
           ), wanted AS (
             SELECT service_id, environment_id, billing_currency, day,
                    md5(string_agg(concat_ws(' ', charge_date, cost, charge_count), ' ' ORDER BY charge_date))
                        AS made_from
             FROM usual GROUP BY 1, 2, 3, 4 HAVING bool_or(is_hourly)
           )
           SELECT service_id AS "service_id!", environment_id AS "environment_id!",
                  billing_currency AS "billing_currency!", day AS "day!", w.made_from AS "made_from?"
           FROM wanted w FULL JOIN release_hours h USING (service_id, environment_id, billing_currency, day)
           WHERE w.made_from IS DISTINCT FROM h.made_from
           ORDER BY 4 DESC, 1, 2, 3 LIMIT $1"#,
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}

/// The digest of the days of a place as they are in this view, by the same rule as the list of what is stale. `None` where
/// no bill by the hour counts on them.
pub async fn made_from(conn: &mut PgConnection, place: &Place) -> sqlx::Result<Option<String>> {
    let days = place.usual_days();
    let digest = sqlx::query_scalar!(
        r#"SELECT md5(string_agg(concat_ws(' ', charge_date, cost, charge_count), ' ' ORDER BY charge_date))
                      AS "made_from?"
           FROM (
             SELECT c.charge_date, trim_scale(sum(c.effective_cost)) AS cost, sum(c.charge_count) AS charge_count,
                    bool_or(g.has_hourly_charges) AS is_hourly
             FROM daily_cost c
             JOIN generation g ON g.generation_id = c.generation_id AND g.state = 'current'
             WHERE c.service_id = $1 AND c.environment_id = $2 AND c.billing_currency = $3
               AND c.charge_date = ANY($4) AND c.split_id = 0 AND c.is_used
             GROUP BY 1
           ) usual
           HAVING bool_or(is_hourly)"#,
        place.service_id,
        place.environment_id,
        place.billing_currency,
        &days[..]
    )
    .fetch_optional(conn)
    .await?;
    Ok(digest.flatten())
}

/// Whether another transaction wrote the same place after the view of this one was taken.
pub fn is_overtaken(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == SERIALIZATION_FAILURE)
}

/// What was charged for one hour of a day, or for longer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HourCost {
    /// 0 to 23; `None` for what was charged for longer than an hour.
    pub hour: Option<i32>,
    /// EffectiveCost of usage, as in daily figures: for estimates only.
    pub cost: f64,
}

/// What a place cost on a day by hour, one row an hour: the lines that its daily figure is made of. In a transaction.
pub async fn costs(conn: &mut PgConnection, place: &Place, day: NaiveDate) -> sqlx::Result<Vec<HourCost>> {
    let scope = Scope::everything();
    let filter = ChargeFilter {
        first_day: Some(day),
        end_day: Some(day + Days::new(1)),
        service_id: Some(place.service_id),
        environment_id: Some(place.environment_id),
        billing_currency: Some(place.billing_currency.clone()),
        part: Some(ChargePart::Used),
        ..ChargeFilter::default()
    };
    let generations = filter.generations(conn).await?;
    own_plan::begin(conn).await?;
    let costs = select_lines!(
        HourCost,
        scope,
        filter,
        &generations,
        [r#"SELECT CASE WHEN d.charge_period_end > d.charge_period_start
                        AND d.charge_period_end <= d.charge_period_start + interval '1 hour'
                   THEN extract(hour FROM d.charge_period_start AT TIME ZONE 'UTC')::integer END AS "hour?",
                  coalesce(sum(d.effective_cost), 0)::double precision AS "cost!"
           FROM charge_line d"#],
        ["GROUP BY 1 ORDER BY 1 LIMIT 25"],
    )
    .fetch_all(&mut *conn)
    .await?;
    own_plan::end(conn).await?;
    Ok(costs)
}

/// Keeps the hours of a place; none where its days are not charged by the hour.
pub async fn keep(conn: &mut PgConnection, place: &Place, made_from: &str, hours: &[f64]) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO release_hours (service_id, environment_id, billing_currency, day, made_from, hours)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (service_id, environment_id, billing_currency, day)
         DO UPDATE SET made_from = excluded.made_from, hours = excluded.hours",
        place.service_id,
        place.environment_id,
        place.billing_currency,
        place.day,
        made_from,
        hours
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Forgets the hours of a place.
pub async fn forget(conn: &mut PgConnection, place: &Place) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM release_hours
         WHERE service_id = $1 AND environment_id = $2 AND billing_currency = $3 AND day = $4",
        place.service_id,
        place.environment_id,
        place.billing_currency,
        place.day
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The hours around one release.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseHours {
    /// The service.
    pub service_id: i64,
    /// The environment.
    pub environment_id: i64,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The day of the release, UTC.
    pub day: NaiveDate,
    /// The share of a day's usual cost in each hour from midnight on: 24 that add up to 1.
    pub hours: Vec<f64>,
}

/// The hours around releases from a day on, where bills tell them.
pub async fn list(conn: &mut PgConnection, since: NaiveDate) -> sqlx::Result<Vec<ReleaseHours>> {
    sqlx::query_as!(
        ReleaseHours,
        "SELECT service_id, environment_id, billing_currency, day, hours FROM release_hours
         WHERE day >= $1 AND hours <> '{}' ORDER BY 1, 2, 3, 4 LIMIT $2",
        since,
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}
