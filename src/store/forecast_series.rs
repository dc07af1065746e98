//! What forecasts are made from: daily cost of services with shares of shared cost, as pages show it. Read by the work in the
//! background only; no person sees these rows.

use crate::focus::DateRange;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// Rows that are read at most.
const ROW_COUNT_MAX: i64 = 20_000_000;

/// What charges of one category of a service cost on one day in one currency.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceDayFigure {
    /// The service; 0 for cost that no rule gives to one.
    pub service_id: i64,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The charge day.
    pub charge_date: NaiveDate,
    /// FOCUS ChargeCategory; `Usage, not used` for corrections of usage and what commitments left unused.
    pub charge_category: String,
    /// EffectiveCost, for estimates only.
    pub cost: f64,
}

/// Daily cost of every service by charge category.
pub async fn days(conn: &mut PgConnection, range: DateRange) -> sqlx::Result<Vec<ServiceDayFigure>> {
    sqlx::query_as!(
        ServiceDayFigure,
        r#"SELECT d.service_id, d.billing_currency, d.charge_date,
                  CASE WHEN d.charge_category = 'Usage' AND NOT d.is_used THEN 'Usage, not used'
                       ELSE d.charge_category END AS "charge_category!",
                  sum(d.effective_cost)::double precision AS "cost!"
           FROM daily_cost d JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           WHERE d.charge_date >= $1 AND d.charge_date < $2
           GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 LIMIT $3"#,
        range.start(),
        range.end(),
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}

/// Exact cost of one service on some days in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCost {
    /// The service; 0 for cost that no rule gives to one.
    pub service_id: i64,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// EffectiveCost.
    pub cost: BigDecimal,
}

/// Exact cost of every service on these days.
pub async fn known(conn: &mut PgConnection, range: DateRange) -> sqlx::Result<Vec<KnownCost>> {
    sqlx::query_as!(
        KnownCost,
        r#"SELECT d.service_id, d.billing_currency, sum(d.effective_cost) AS "cost!"
           FROM daily_cost d JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           WHERE d.charge_date >= $1 AND d.charge_date < $2
           GROUP BY 1, 2 ORDER BY 1, 2 LIMIT $3"#,
        range.start(),
        range.end(),
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}

/// The current bills that hold some days of each of these ranges, as a hash, in their order: it is another one when a bill
/// comes, changes or goes. `None` where no bill does.
pub async fn rests_on(conn: &mut PgConnection, ranges: &[DateRange]) -> sqlx::Result<Vec<Option<String>>> {
    let (starts, ends): (Vec<NaiveDate>, Vec<NaiveDate>) =
        ranges.iter().map(|range| (range.start(), range.end())).unzip();
    sqlx::query_scalar!(
        r#"SELECT md5(string_agg(g.generation_id::text, ' ' ORDER BY g.generation_id)) AS "rests_on?"
           FROM unnest($1::date[], $2::date[]) WITH ORDINALITY AS t (first_day, end_day, place)
           LEFT JOIN generation g ON g.state = 'current'
               AND g.first_charge_date < t.end_day AND g.last_charge_date >= t.first_day
           GROUP BY t.place ORDER BY t.place"#,
        &starts,
        &ends
    )
    .fetch_all(conn)
    .await
}

/// The highest id of a service, of which each has a higher one than those before; 0 without any.
pub async fn newest_service_id(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT coalesce(max(service_id), 0) AS "service_id!" FROM service"#).fetch_one(conn).await
}

/// A release whose answer claims that it changed the cost of a service; whether for good, only the days after it tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedChange {
    /// The service.
    pub service_id: i64,
    /// The deployment; of several that share an answer one of the last day.
    pub deployment_id: i64,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The day of the release; of the last of several that share an answer.
    pub effect_date: NaiveDate,
    /// Whether the answer has settled, or was revised since; otherwise it is provisional.
    pub is_accepted: bool,
    /// Units of the currency a day.
    pub per_day: BigDecimal,
}

/// Releases to production whose answers claim a change, since a day, one row an answer. What a release changes elsewhere
/// is too little of a service to start its level anew.
pub async fn claimed_changes(conn: &mut PgConnection, since: NaiveDate) -> sqlx::Result<Vec<ClaimedChange>> {
    sqlx::query_as!(
        ClaimedChange,
        r#"SELECT DISTINCT ON (f.service_id, f.environment_id, f.billing_currency, f.effect_date)
                  f.service_id AS "service_id!", f.deployment_id AS "deployment_id!",
                  f.billing_currency AS "billing_currency!",
                  f.effect_date AS "effect_date!", (f.phase IN ('settled', 'revised')) AS "is_accepted!",
                  f.per_day AS "per_day!"
           FROM current_deployment_effect f
           JOIN environment e ON e.environment_id = f.environment_id AND e.kind = 'production'
           JOIN deployment d ON d.deployment_id = f.deployment_id AND d.environment_id = f.environment_id
           JOIN deployment_service ds ON ds.deployment_id = f.deployment_id AND ds.service_id = f.service_id
           WHERE f.finding IN ('increase', 'decrease') AND f.phase IN ('provisional', 'settled', 'revised')
             AND f.per_day IS NOT NULL AND f.effect_date >= $1
             AND d.status IN ('succeeded', 'superseded') AND NOT ds.is_noop
           ORDER BY f.service_id, f.environment_id, f.billing_currency, f.effect_date, f.release_date DESC,
                    f.deployment_id
           LIMIT $2"#,
        since,
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}

/// What share of a day's final cost the bills of a source show at an age.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisibleShare {
    /// The source.
    pub source_id: i64,
    /// Days from the day to the bill.
    pub age_days: i32,
    /// 0 to 1.
    pub share: f64,
}

/// Visible shares by age, of all sources that have learnt how their days arrive.
pub async fn visible_shares(conn: &mut PgConnection) -> sqlx::Result<Vec<VisibleShare>> {
    sqlx::query_as!(
        VisibleShare,
        "SELECT source_id, age_days, median_share AS share FROM source_completeness ORDER BY 1, 2 LIMIT $1",
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}

/// What the bills of one billing account make of a service's usage, and how new they are.
#[derive(Debug, Clone, PartialEq)]
pub struct BilledUsage {
    /// The service; 0 for cost that no rule gives to one.
    pub service_id: i64,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The source of the bills.
    pub source_id: i64,
    /// The day of the newest of them.
    pub newest_bill: NaiveDate,
    /// EffectiveCost without its sign, as a weight only.
    pub cost: f64,
}

/// Usage of every service on these days by source, and by the day of the newest bill of the billing account.
pub async fn billed_usage(conn: &mut PgConnection, range: DateRange) -> sqlx::Result<Vec<BilledUsage>> {
    sqlx::query_as!(
        BilledUsage,
        r#"WITH bill AS (
             SELECT g.source_id, g.billing_account_id, max((d.version_at AT TIME ZONE 'UTC')::date) AS newest_bill
             FROM generation g JOIN delivery d USING (delivery_id)
             WHERE g.state = 'current' GROUP BY 1, 2
           )
           SELECT d.service_id, d.billing_currency, g.source_id, b.newest_bill AS "newest_bill!",
                  sum(abs(d.effective_cost))::double precision AS "cost!"
           FROM daily_cost d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           JOIN bill b ON b.source_id = g.source_id AND b.billing_account_id = g.billing_account_id
           WHERE d.is_used AND d.charge_date >= $1 AND d.charge_date < $2
           GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 LIMIT $3"#,
        range.start(),
        range.end(),
        ROW_COUNT_MAX
    )
    .fetch_all(conn)
    .await
}
