//! How many intervals of forecasts held what came, and by how much they missed: of each period the forecast of each scope
//! that was asked nearest to its middle, as [`super::forecasts::past`] shows it.

use sqlx::PgConnection;

/// Rows that are read at most.
const ROW_COUNT_MAX: i64 = 200_000;

/// How many intervals of one kind held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// `service`, `team`, `total`.
    pub scope: String,
    /// `month`, `quarter`, `year`.
    pub horizon: String,
    /// Intervals that were held against what came.
    pub count: i64,
    /// Those of them that hold it.
    pub held_count: i64,
}

/// How many intervals held, by horizon, of services, teams and all cost. It tells of no amount, so that it is the same for all
/// readers.
pub async fn held(conn: &mut PgConnection) -> sqlx::Result<Vec<Held>> {
    sqlx::query_as!(
        Held,
        r#"SELECT scope AS "scope!", horizon AS "horizon!", count(*) AS "count!",
                  count(*) FILTER (WHERE actual BETWEEN low AND high) AS "held_count!"
           FROM (
             SELECT DISTINCT ON (scope, scope_id, billing_currency, horizon, first_day)
                    scope, horizon, actual, low, high
             FROM forecast
             WHERE is_record AND actual IS NOT NULL AND low IS NOT NULL AND high IS NOT NULL
             ORDER BY scope, scope_id, billing_currency, horizon, first_day,
                      abs((asked_on - first_day) - (last_day - asked_on)), asked_on DESC
           ) middle
           GROUP BY 1, 2
           ORDER BY array_position(ARRAY['month', 'quarter', 'year'], horizon),
                    array_position(ARRAY['service', 'team', 'total'], scope)"#
    )
    .fetch_all(conn)
    .await
}

/// How far what came was from what was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// `service`, `team`, `total`.
    pub scope: String,
    /// `month`, `quarter`, `year`.
    pub horizon: String,
    /// As a share of half the interval, as wide as it was before it was widened.
    pub score: f64,
}

/// The distances of all such forecasts whose interval is not empty, the newest first.
pub async fn scores(conn: &mut PgConnection) -> sqlx::Result<Vec<Score>> {
    sqlx::query_as!(
        Score,
        r#"SELECT scope AS "scope!", horizon AS "horizon!",
                  abs(actual - point)::double precision / (high - point)::double precision * widening AS "score!"
           FROM (
             SELECT DISTINCT ON (scope, scope_id, billing_currency, horizon, first_day)
                    scope, horizon, first_day, actual, point, high, widening
             FROM forecast
             WHERE is_record AND actual IS NOT NULL AND point IS NOT NULL AND low IS NOT NULL AND high IS NOT NULL
             ORDER BY scope, scope_id, billing_currency, horizon, first_day,
                      abs((asked_on - first_day) - (last_day - asked_on)), asked_on DESC
           ) middle
           WHERE (high - point)::double precision > 0
           ORDER BY first_day DESC, scope, 3 LIMIT $1"#,
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}
