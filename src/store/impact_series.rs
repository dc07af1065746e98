//! What the effect of a deployment is estimated from: daily usage by service and environment, releases, traffic, and
//! what else the ledger knows to have happened. Read by the work in the background only; no person sees these rows.

use super::limits;
use super::metric_points::RUNS_COUNTED_BY;
use super::service_measures::Measure;
use super::variance_known::Known;
use crate::focus::DateRange;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::TryStreamExt;
use sqlx::PgConnection;

/// Rows of one kind that are read at most.
const ROW_COUNT_MAX: i64 = 20_000_000;
/// Days of cost that are read at most, of all services together: five years of 7,000 places are a third of that. Each takes
/// 24 bytes.
const DAY_COUNT_MAX: i64 = 40_000_000;

/// A release that went live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRelease {
    /// The deployment.
    pub deployment_id: i64,
    /// The service.
    pub service_id: i64,
    /// The environment.
    pub environment_id: i64,
    /// When it went live.
    pub at: DateTime<Utc>,
    /// When it began, where that is known.
    pub began_at: Option<DateTime<Utc>>,
    /// Only when it was told is known, not when it was.
    pub time_is_received: bool,
    /// It went back to an earlier version.
    pub is_rollback: bool,
    /// When that version went live last, where it is known which it was.
    pub went_back_to: Option<DateTime<Utc>>,
}

/// Which environments: those of the kind production, or all others but previews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environments {
    /// Of the kind production.
    Production,
    /// Staging, test, development and others; cost without an environment too.
    Others,
}

impl Environments {
    /// Both of them, each of which is estimated by itself.
    pub const ALL: [Self; 2] = [Self::Production, Self::Others];

    /// Those that an environment of this kind is among.
    pub fn of_kind(kind: Option<&str>) -> Self {
        if kind == Some("production") { Self::Production } else { Self::Others }
    }

    /// The word that the database knows them by.
    pub fn key(self) -> &'static str {
        if self.is_production() { "production" } else { "others" }
    }

    fn is_production(self) -> bool {
        self == Self::Production
    }
}

/// Every deployment that went live in these environments with another version than before, in order of time.
pub async fn releases(conn: &mut PgConnection, environments: Environments) -> sqlx::Result<Vec<LiveRelease>> {
    let rows = sqlx::query_as!(
        LiveRelease,
        r#"SELECT d.deployment_id, ds.service_id, e.environment_id,
                  coalesce(d.finished_at, d.started_at, d.created_at) AS "at!", d.started_at AS "began_at?",
                  d.time_is_received,
                  -- Of several services one may have gone back, unless their sender says so of all.
                  (ds.is_rollback OR d.kind_told IS NOT DISTINCT FROM 'rollback') AS "is_rollback!",
                  target.at AS "went_back_to?"
           FROM deployment d
           JOIN deployment_service ds USING (deployment_id)
           JOIN environment e ON e.environment_id = d.environment_id AND e.kind <> 'preview'
               AND (e.kind = 'production') = $2
           LEFT JOIN LATERAL (
               SELECT o.finished_at AS at
               FROM deployment_service os JOIN deployment o ON o.deployment_id = os.deployment_id
               WHERE (ds.is_rollback OR d.kind_told IS NOT DISTINCT FROM 'rollback')
                 AND os.service_id = ds.service_id AND o.environment_id = d.environment_id
                 AND o.status IN ('succeeded', 'superseded') AND o.finished_at < d.finished_at
                 -- A version may be the name of a branch.
                 AND coalesce(o.version = d.version, is_same_commit(o.sha, d.sha), o.artifact = d.artifact)
                 AND is_same_commit(o.sha, d.sha) IS NOT FALSE
               ORDER BY o.finished_at DESC LIMIT 1
           ) target ON true
           WHERE d.status IN ('succeeded', 'superseded') AND NOT ds.is_noop
           ORDER BY 4, 1, 2 LIMIT $1"#,
        ROW_COUNT_MAX + 1,
        environments.is_production()
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ROW_COUNT_MAX, "releases")
}

/// What one service in one environment cost in one currency: whose it is stands once beside all days, of which there may be
/// millions.
#[derive(Debug, Clone, PartialEq)]
pub struct DaySeries {
    /// The service.
    pub service_id: i64,
    /// The environment.
    pub environment_id: i64,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The days with cost, in order of time.
    pub days: Vec<DayFigure>,
}

/// What it cost on one day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DayFigure {
    /// The charge day.
    pub charge_date: NaiveDate,
    /// EffectiveCost of usage, corrections and what commitments left unused left out: for estimates only.
    pub usage: f64,
    /// EffectiveCost of everything else but tax: credits, fees, corrections, unused commitments.
    pub other: f64,
}

/// Daily cost of services in these environments: own cost, without shares of shared costs.
pub async fn days(
    conn: &mut PgConnection,
    range: DateRange,
    environments: Environments,
) -> sqlx::Result<Vec<DaySeries>> {
    let mut rows = sqlx::query!(
        r#"SELECT d.service_id, d.environment_id, d.billing_currency, d.charge_date,
                  coalesce(sum(d.effective_cost) FILTER (WHERE d.is_used), 0)::double precision
                      AS "usage!",
                  coalesce(sum(d.effective_cost) FILTER (WHERE NOT d.is_used AND d.charge_category <> 'Tax'), 0)
                      ::double precision AS "other!"
           FROM daily_cost d
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           LEFT JOIN environment e ON e.environment_id = d.environment_id
           WHERE d.split_id = 0 AND d.service_id <> 0 AND d.charge_date >= $1 AND d.charge_date < $2
             AND coalesce(e.kind, '') <> 'preview' AND (coalesce(e.kind, '') = 'production') = $4
           GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 LIMIT $3"#,
        range.start(),
        range.end(),
        DAY_COUNT_MAX + 1,
        environments.is_production()
    )
    .fetch(conn);
    let mut all: Vec<DaySeries> = Vec::new();
    let mut count = 0;
    while let Some(row) = rows.try_next().await? {
        count += 1;
        let figure = DayFigure { charge_date: row.charge_date, usage: row.usage, other: row.other };
        let is_own = |series: &&mut DaySeries| {
            (series.service_id, series.environment_id) == (row.service_id, row.environment_id)
                && series.billing_currency == row.billing_currency
        };
        match all.last_mut().filter(is_own) {
            Some(series) => series.days.push(figure),
            None => {
                if let Some(last) = all.last_mut() {
                    last.days.shrink_to_fit();
                }
                all.push(DaySeries {
                    service_id: row.service_id,
                    environment_id: row.environment_id,
                    billing_currency: row.billing_currency,
                    days: vec![figure],
                });
            }
        }
    }
    limits::count_within(count, DAY_COUNT_MAX, "days of the cost of services")?;
    Ok(all)
}

/// The days that bills hold.
pub async fn reach(conn: &mut PgConnection) -> sqlx::Result<Option<DateRange>> {
    let row = sqlx::query!(
        "SELECT min(first_charge_date) AS first, max(last_charge_date) AS last FROM generation WHERE state = 'current'"
    )
    .fetch_one(conn)
    .await?;
    Ok(row.first.zip(row.last).and_then(|(first, last)| DateRange::new(first, last + chrono::Days::new(1))))
}

/// A metric's value of one service on one day.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricDay {
    /// The service.
    pub service_id: i64,
    /// 0 for all environments together.
    pub environment_id: i64,
    /// The day.
    pub charge_date: NaiveDate,
    /// Units. Not money.
    pub value: f64,
}

/// The values on these days of the metric that tells this of each service. A day on which no counted run ended tells nothing
/// of what there was to do: it is no figure.
pub async fn measured(conn: &mut PgConnection, measure: Measure, range: DateRange) -> sqlx::Result<Vec<MetricDay>> {
    let rows = sqlx::query_as!(
        MetricDay,
        r#"SELECT p.service_id AS "service_id!", p.environment_id AS "environment_id!", p.charge_date AS "charge_date!",
                  p.value::double precision AS "value!"
           FROM service_measure told
           JOIN metric_value p ON p.service_id = told.service_id AND p.metric = told.metric
           WHERE told.measure = $1 AND p.charge_date >= $2 AND p.charge_date < $3
             AND (p.value > 0 OR p.loaded_by <> $5)
           ORDER BY 1, 2, 3 LIMIT $4"#,
        measure.key(),
        range.start(),
        range.end(),
        ROW_COUNT_MAX + 1,
        RUNS_COUNTED_BY
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ROW_COUNT_MAX, "days of usage")
}

/// A day on which the share of a service's usage that commitments cover changed by a fifth or more, and stayed so.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitmentStep {
    /// The service.
    pub service_id: i64,
    /// The environment.
    pub environment_id: i64,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The first day with the new share.
    pub day: NaiveDate,
    /// Whether more is covered than before.
    pub is_start: bool,
    /// By how much the share changed, 0 to 1.
    pub share_change: f64,
}

/// Commitments that began or ended, as the charges of each service show it: the mean of a week against the week before.
/// Only what is committed is read by key; the rest of a service is in its daily sums.
pub async fn commitment_steps(
    conn: &mut PgConnection,
    range: DateRange,
    environments: Environments,
) -> sqlx::Result<Vec<CommitmentStep>> {
    let rows = sqlx::query_as!(
        CommitmentStep,
        r#"WITH committed AS (
             SELECT m.service_id, m.environment_id, d.billing_currency, d.charge_date,
                    sum(d.list_cost) FILTER (WHERE k.commitment_discount_status = 'Used') AS used,
                    sum(d.list_cost) FILTER (WHERE k.commitment_discount_status = 'Unused') AS unused
             FROM rollup_key k
             JOIN daily_cost_by_key d USING (sub_account_key, rollup_key_id)
             JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
             JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
                 AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
             JOIN environment e ON e.environment_id = m.environment_id AND e.kind <> 'preview'
                 AND (e.kind = 'production') = $4
             WHERE k.charge_category = 'Usage' AND k.commitment_discount_status IN ('Used', 'Unused')
               AND m.service_id <> 0 AND d.charge_date >= $1 AND d.charge_date < $2
             GROUP BY 1, 2, 3, 4
           ), daily AS (
             SELECT d.service_id, d.environment_id, d.billing_currency, d.charge_date, max(c.used) AS used,
                    sum(d.list_cost) - coalesce(max(c.unused), 0) AS total
             FROM daily_cost d
             JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
             LEFT JOIN committed c ON c.service_id = d.service_id AND c.environment_id = d.environment_id
                 AND c.billing_currency = d.billing_currency AND c.charge_date = d.charge_date
             WHERE d.split_id = 0 AND d.charge_category = 'Usage' AND d.charge_date >= $1 AND d.charge_date < $2
               AND (d.service_id, d.environment_id, d.billing_currency)
                   IN (SELECT service_id, environment_id, billing_currency FROM committed)
             GROUP BY 1, 2, 3, 4
           ), shares AS (
             SELECT service_id, environment_id, billing_currency, charge_date,
                    coalesce(used, 0) / total AS share,
                    lag(coalesce(used, 0) / total) OVER days AS share_before,
                    avg(coalesce(used, 0) / total) OVER (days ROWS BETWEEN CURRENT ROW AND 6 FOLLOWING) AS week,
                    avg(coalesce(used, 0) / total) OVER (days ROWS BETWEEN 7 PRECEDING AND 1 PRECEDING) AS week_before
             FROM daily WHERE total > 0
             WINDOW days AS (PARTITION BY service_id, environment_id, billing_currency ORDER BY charge_date)
           )
           SELECT service_id AS "service_id!", environment_id AS "environment_id!", billing_currency AS "billing_currency!",
                  charge_date AS "day!", week > week_before AS "is_start!",
                  abs(week - week_before)::double precision AS "share_change!"
           FROM shares
           WHERE abs(week - week_before) >= 0.2 AND abs(share - share_before) >= 0.2
           ORDER BY 1, 2, 3, 4 LIMIT $3"#,
        range.start(),
        range.end(),
        ROW_COUNT_MAX + 1,
        environments.is_production()
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ROW_COUNT_MAX, "changes of commitments")
}

/// A day on which list prices of what a service buys changed, or negotiated ones.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceStep {
    /// The service.
    pub service_id: i64,
    /// The environment.
    pub environment_id: i64,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The first day at the new price.
    pub day: NaiveDate,
    /// Cost of that day and SKUs at the new prices: ListCost, or ContractedCost of what was negotiated.
    pub cost: f64,
    /// The same quantities at the old ones.
    pub cost_before: f64,
    /// The same cost of all usage of the service on that day.
    pub cost_total: f64,
}

/// Changes of prices (see [`super::price_changes`]), and what they mean for who buys the SKUs: one row a service,
/// environment and day for list prices, one for negotiated ones. Only what changed is read by key; the rest of a service
/// is in its daily sums: at list prices where it has no contracted cost. Each step is made whole before the next one: the
/// planner takes what meets in four columns for one row, and what it then repeats for that row took a minute.
pub async fn price_steps(
    conn: &mut PgConnection,
    range: DateRange,
    environments: Environments,
) -> sqlx::Result<Vec<PriceStep>> {
    let rows = sqlx::query_as!(
        PriceStep,
        r#"WITH bought AS MATERIALIZED (
             SELECT c.*, k.sub_account_key, k.rollup_key_id
             FROM price_change c
             JOIN rollup_key k ON k.sku_id = c.sku_id AND k.billing_account_id = c.billing_account_id
                 AND k.provider_name IS NOT DISTINCT FROM c.provider_name
                 AND k.region_id IS NOT DISTINCT FROM c.region_id AND k.charge_category = 'Usage'
                 AND (NOT c.is_contracted OR (coalesce(k.commitment_discount_status, '') = ''
                                              AND coalesce(k.pricing_category, 'Standard') = 'Standard'))
             WHERE c.charge_date >= $1 AND c.charge_date < $2
           ), own AS MATERIALIZED (
             SELECT m.service_id, m.environment_id, d.billing_currency, d.charge_date, b.is_contracted,
                    sum(CASE WHEN b.is_contracted THEN d.contracted_cost ELSE d.list_cost END) AS now,
                    sum(CASE WHEN b.is_contracted THEN d.contracted_cost ELSE d.list_cost END * b.price_before / b.price)
                        AS before
             FROM bought b
             JOIN daily_cost_by_key d ON d.sub_account_key = b.sub_account_key AND d.rollup_key_id = b.rollup_key_id
                 AND d.charge_date = b.charge_date AND d.billing_currency = b.billing_currency
             JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
             JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
                 AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
             JOIN environment e ON e.environment_id = m.environment_id AND e.kind <> 'preview'
                 AND (e.kind = 'production') = $4
             WHERE m.service_id <> 0
             GROUP BY 1, 2, 3, 4, 5
           )
           SELECT service_id AS "service_id!", environment_id AS "environment_id!", billing_currency AS "billing_currency!",
                  charge_date AS "day!", now::double precision AS "cost!", before::double precision AS "cost_before!",
                  total::double precision AS "cost_total!"
           FROM own
           CROSS JOIN LATERAL (
             SELECT sum(CASE WHEN own.is_contracted AND d.contracted_cost > 0 THEN d.contracted_cost ELSE d.list_cost END)
                        AS total
             FROM daily_cost d
             JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
             WHERE d.service_id = own.service_id AND d.environment_id = own.environment_id
               AND d.billing_currency = own.billing_currency AND d.charge_date = own.charge_date
               AND d.split_id = 0 AND d.charge_category = 'Usage'
           ) whole
           WHERE now > 0 AND total > 0 ORDER BY 1, 2, 3, 4, is_contracted LIMIT $3"#,
        range.start(),
        range.end(),
        ROW_COUNT_MAX + 1,
        environments.is_production()
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ROW_COUNT_MAX, "changes of prices")
}

/// A day from which on rules gave a service other cost than before.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleStep {
    /// The service.
    pub service_id: i64,
    /// The environment.
    pub environment_id: i64,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The first day.
    pub day: NaiveDate,
    /// Mean over the complete days of the week from it on, of each bill its own, of what came, less what went. An amount a
    /// day, for estimates only.
    pub amount_per_day: f64,
}

/// What dated rules moved to services and away from them: of usage, as in [`days`]. `range` ends with the last complete
/// day, after which amounts are still arriving; those of a late bill, of which no later day is known, are of its own days.
pub async fn rule_steps(conn: &mut PgConnection, range: DateRange, known: &Known) -> sqlx::Result<Vec<RuleStep>> {
    let lacking = known.lists();
    let rows = sqlx::query_as!(
        RuleStep,
        r#"WITH steps AS (
             SELECT later.sub_account_key, later.rollup_key_id, later.first_day AS day,
                    later.service_id AS to_service, later.environment_id AS to_environment,
                    earlier.service_id AS from_service, earlier.environment_id AS from_environment
             FROM key_mapping later
             JOIN key_mapping earlier ON earlier.sub_account_key = later.sub_account_key
                 AND earlier.rollup_key_id = later.rollup_key_id AND earlier.end_day = later.first_day
             WHERE later.first_day >= $1 AND later.first_day < $2::date
               AND (later.service_id, later.environment_id) <> (earlier.service_id, earlier.environment_id)
           ), moved AS (
             SELECT s.day, s.to_service, s.to_environment, s.from_service, s.from_environment, d.billing_currency,
                    sum(d.effective_cost)::double precision / least(7, least($2::date, bill.since) - s.day) AS amount
             FROM steps s
             JOIN rollup_key k ON k.sub_account_key = s.sub_account_key AND k.rollup_key_id = s.rollup_key_id
                 AND is_charge_part('used', k.charge_category, k.charge_class, k.commitment_discount_status,
                                    k.pricing_category)
             JOIN daily_cost_by_key d ON d.sub_account_key = s.sub_account_key AND d.rollup_key_id = s.rollup_key_id
                 AND d.charge_date >= s.day AND d.charge_date < least(s.day + 7, $2::date)
             JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
             LEFT JOIN lacking_bills($4, $5, $6, $7) bill ON bill.generation_id = g.generation_id
             WHERE d.charge_date < least($2::date, bill.since)
             GROUP BY 1, 2, 3, 4, 5, 6, bill.since
           )
           SELECT service_id AS "service_id!", environment_id AS "environment_id!", billing_currency AS "billing_currency!",
                  day AS "day!", sum(amount) AS "amount_per_day!"
           FROM (SELECT to_service AS service_id, to_environment AS environment_id, billing_currency, day, amount FROM moved
                 UNION ALL
                 SELECT from_service, from_environment, billing_currency, day, -amount FROM moved) sides
           WHERE service_id <> 0
           GROUP BY 1, 2, 3, 4 HAVING sum(amount) <> 0 ORDER BY 1, 2, 3, 4 LIMIT $3"#,
        range.start(),
        range.end(),
        ROW_COUNT_MAX + 1,
        &lacking.source_ids,
        &lacking.accounts,
        &lacking.is_whole,
        &lacking.since,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, ROW_COUNT_MAX, "moves by rules")
}
