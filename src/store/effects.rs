//! Answers about what deployments did to cost: written once, read by pages, lists and the API.

use super::{Scope, limits};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;

/// Rows that one statement writes.
const BATCH: usize = 500;

/// Answers about one deployment that are read at once, those before included.
const OF_DEPLOYMENT_MAX: i64 = 50_000;
/// Answers about a page of deployments that are read at once.
const BRIEF_COUNT_MAX: i64 = 500_000;
/// Releases of one period that are read at once.
const CLAIMED_COUNT_MAX: i64 = 100_000;

/// An answer to be written. Amounts are units of the currency a day.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "columns of the table, described there")]
pub struct NewEffect {
    pub deployment_id: i64,
    pub service_id: i64,
    pub environment_id: i64,
    pub billing_currency: String,
    pub release_date: NaiveDate,
    pub effect_date: NaiveDate,
    pub asked_on: NaiveDate,
    pub publication_id: i64,
    pub phase: &'static str,
    pub finding: &'static str,
    pub reason: &'static str,
    pub days_before: u32,
    pub days_after: u32,
    pub horizon_days: u32,
    pub per_day: Option<BigDecimal>,
    pub per_day_low: Option<BigDecimal>,
    pub per_day_high: Option<BigDecimal>,
    pub before_per_day: Option<BigDecimal>,
    pub smallest_visible: Option<BigDecimal>,
    pub probability: Option<f64>,
    pub per_unit: Option<Value>,
    pub flags: Value,
    pub joint: Option<Value>,
    pub came_back: Option<Value>,
    pub hourly_start: Option<Value>,
    pub method: String,
    pub fingerprint: String,
    pub parts: Value,
    pub what_changed: String,
    pub supersedes: Option<i64>,
    /// For the chart; a table of its own, and longer than all the rest.
    #[serde(skip)]
    pub line: Value,
}

/// An answer to be written, with how its effect lies over the days.
#[derive(Debug, Clone, Serialize)]
pub struct NewAnswer {
    /// The answer.
    #[serde(flatten)]
    pub effect: NewEffect,
    /// Units of the currency on each of the 14 days after the release; `None` where there is no effect.
    pub amounts_after: Option<Vec<BigDecimal>>,
    /// On each day from then on.
    pub lasting_per_day: Option<BigDecimal>,
    /// What the effect adds up to in 30 days; `None` where there is none.
    pub per_30_days: Option<BigDecimal>,
    /// Lower end of its 90 % interval.
    pub per_30_days_low: Option<BigDecimal>,
    /// Upper end of it.
    pub per_30_days_high: Option<BigDecimal>,
}

/// The line that goes with an answer.
#[derive(Serialize)]
struct NewLine<'a> {
    deployment_id: i64,
    service_id: i64,
    environment_id: i64,
    billing_currency: &'a str,
    line: &'a Value,
}

impl<'a> From<&'a NewEffect> for NewLine<'a> {
    fn from(effect: &'a NewEffect) -> Self {
        let NewEffect { deployment_id, service_id, environment_id, billing_currency, line, .. } = effect;
        Self {
            deployment_id: *deployment_id,
            service_id: *service_id,
            environment_id: *environment_id,
            billing_currency,
            line,
        }
    }
}

fn rows(of: impl Serialize) -> sqlx::Result<Value> {
    serde_json::to_value(of).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Writes answers, and the lines that go with them. Each statement is sent what it writes: a line is longer than its answer.
pub async fn append(conn: &mut PgConnection, answers: &[NewAnswer], now: DateTime<Utc>) -> sqlx::Result<()> {
    for batch in answers.chunks(BATCH) {
        let effects = rows(batch)?;
        sqlx::query!(
            "INSERT INTO deployment_effect (deployment_id, service_id, environment_id, billing_currency, release_date,
                effect_date, asked_on, computed_at, publication_id, phase, finding, reason, days_before, days_after,
                horizon_days, per_day, per_day_low, per_day_high, before_per_day, smallest_visible, probability, per_unit,
                flags, joint, came_back, hourly_start, method, fingerprint, parts, what_changed, supersedes,
                amounts_after, lasting_per_day, per_30_days, per_30_days_low, per_30_days_high)
             SELECT deployment_id, service_id, environment_id, billing_currency, release_date, effect_date, asked_on,
                $2, publication_id, phase, finding, reason, days_before, days_after, horizon_days, per_day, per_day_low,
                per_day_high, before_per_day, smallest_visible, probability, nullif(per_unit, 'null'), flags,
                nullif(joint, 'null'), nullif(came_back, 'null'), nullif(hourly_start, 'null'), method, fingerprint, parts,
                what_changed, supersedes, amounts_after, lasting_per_day, per_30_days, per_30_days_low, per_30_days_high
             FROM jsonb_to_recordset($1) AS r (deployment_id bigint, service_id bigint, environment_id bigint,
                billing_currency text, release_date date, effect_date date, asked_on date, publication_id bigint,
                phase text, finding text, reason text, days_before integer, days_after integer, horizon_days integer,
                per_day numeric, per_day_low numeric, per_day_high numeric, before_per_day numeric,
                smallest_visible numeric, probability double precision, per_unit jsonb, flags jsonb,
                joint jsonb, came_back jsonb, hourly_start jsonb, method text, fingerprint text, parts jsonb,
                what_changed text, supersedes bigint, amounts_after numeric[], lasting_per_day numeric,
                per_30_days numeric, per_30_days_low numeric, per_30_days_high numeric)",
            effects,
            now
        )
        .execute(&mut *conn)
        .await?;
        let lines = rows(batch.iter().map(|answer| NewLine::from(&answer.effect)).collect::<Vec<_>>())?;
        sqlx::query!(
            "INSERT INTO deployment_effect_line (deployment_id, service_id, environment_id, billing_currency, days)
             SELECT deployment_id, service_id, environment_id, billing_currency, line
             FROM jsonb_to_recordset($1) AS r (deployment_id bigint, service_id bigint, environment_id bigint,
                billing_currency text, line jsonb)
             ON CONFLICT (deployment_id, service_id, environment_id, billing_currency)
             DO UPDATE SET days = excluded.days",
            lines
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// The answer that stands, as far as the next one must know it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "columns of the table, described there")]
pub struct Standing {
    pub deployment_effect_id: i64,
    pub deployment_id: i64,
    pub service_id: i64,
    pub environment_id: i64,
    pub billing_currency: String,
    pub release_date: NaiveDate,
    pub asked_on: NaiveDate,
    pub publication_id: i64,
    pub phase: String,
    pub finding: String,
    pub reason: String,
    pub days_after: i32,
    pub per_day: Option<BigDecimal>,
    pub per_day_low: Option<BigDecimal>,
    pub per_day_high: Option<BigDecimal>,
    pub before_per_day: Option<BigDecimal>,
    pub is_joint: bool,
    pub fingerprint: String,
    /// JSON, which is read where the next answer is another.
    pub parts: String,
}

/// Every answer that stands. No person reads this: the work in the background does.
pub async fn standing(conn: &mut PgConnection) -> sqlx::Result<Vec<Standing>> {
    sqlx::query_as!(
        Standing,
        r#"SELECT deployment_effect_id AS "deployment_effect_id!", deployment_id AS "deployment_id!",
                  service_id AS "service_id!", environment_id AS "environment_id!",
                  billing_currency AS "billing_currency!", release_date AS "release_date!", asked_on AS "asked_on!",
                  publication_id AS "publication_id!", phase AS "phase!", finding AS "finding!", reason AS "reason!",
                  days_after AS "days_after!", per_day, per_day_low, per_day_high, before_per_day,
                  (joint IS NOT NULL) AS "is_joint!", fingerprint AS "fingerprint!", parts::text AS "parts!"
           FROM current_deployment_effect LIMIT 10000000"#
    )
    .fetch_all(conn)
    .await
}

/// Which answer stands about a deployment, a service, an environment and a currency.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "columns of the table, described there")]
pub struct StandingId {
    pub deployment_effect_id: i64,
    pub deployment_id: i64,
    pub service_id: i64,
    pub environment_id: i64,
    pub billing_currency: String,
}

/// The answers that stand about these deployments.
pub async fn standing_ids(conn: &mut PgConnection, deployment_ids: &[i64]) -> sqlx::Result<Vec<StandingId>> {
    sqlx::query_as!(
        StandingId,
        r#"SELECT deployment_effect_id AS "deployment_effect_id!", deployment_id AS "deployment_id!",
                  service_id AS "service_id!", environment_id AS "environment_id!",
                  billing_currency AS "billing_currency!"
           FROM current_deployment_effect WHERE deployment_id = ANY($1) LIMIT 10000000"#,
        deployment_ids
    )
    .fetch_all(conn)
    .await
}

/// An answer as pages and the API show it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "columns of the table, described there")]
pub struct EffectRow {
    pub deployment_effect_id: i64,
    pub deployment_id: i64,
    pub service_id: i64,
    pub service_slug: String,
    pub service_name: String,
    pub environment_id: i64,
    pub environment_name: String,
    pub billing_currency: String,
    pub release_date: NaiveDate,
    pub asked_on: NaiveDate,
    pub computed_at: DateTime<Utc>,
    pub publication_id: i64,
    pub phase: String,
    pub finding: String,
    pub reason: String,
    pub days_before: i32,
    pub days_after: i32,
    pub horizon_days: i32,
    pub per_day: Option<BigDecimal>,
    pub per_day_low: Option<BigDecimal>,
    pub per_day_high: Option<BigDecimal>,
    pub per_30_days: Option<BigDecimal>,
    pub per_30_days_low: Option<BigDecimal>,
    pub per_30_days_high: Option<BigDecimal>,
    pub before_per_day: Option<BigDecimal>,
    pub smallest_visible: Option<BigDecimal>,
    pub probability: Option<f64>,
    pub per_unit: Option<Value>,
    pub flags: Value,
    pub joint: Option<Value>,
    pub came_back: Option<Value>,
    pub hourly_start: Option<Value>,
    pub method: String,
    pub what_changed: String,
}

/// Every answer that was given about a deployment, the newest first, of services within the scope that it still
/// belongs to.
pub async fn of_deployment(conn: &mut PgConnection, scope: &Scope, deployment_id: i64) -> sqlx::Result<Vec<EffectRow>> {
    let rows = sqlx::query_as!(
        EffectRow,
        r#"SELECT e.deployment_effect_id, e.deployment_id, e.service_id, s.slug AS service_slug, s.name AS service_name,
                  e.environment_id, v.name AS environment_name, e.billing_currency, e.release_date, e.asked_on,
                  e.computed_at, e.publication_id, e.phase, e.finding, e.reason, e.days_before, e.days_after,
                  e.horizon_days, e.per_day, e.per_day_low, e.per_day_high, e.per_30_days, e.per_30_days_low,
                  e.per_30_days_high, e.before_per_day, e.smallest_visible, e.probability, e.per_unit, e.flags, e.joint,
                  e.came_back, e.hourly_start, e.method, e.what_changed
           FROM deployment_effect e
           JOIN deployment d USING (deployment_id)
           JOIN deployment_service ds USING (deployment_id, service_id)
           JOIN service s USING (service_id)
           JOIN environment v ON v.environment_id = e.environment_id
           WHERE e.deployment_id = $1 AND e.environment_id = d.environment_id
             AND ($2::bigint[] IS NULL OR s.team_id = ANY($2))
           ORDER BY e.deployment_effect_id DESC LIMIT $3"#,
        deployment_id,
        scope.team_ids(),
        OF_DEPLOYMENT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, OF_DEPLOYMENT_MAX, "answers about the deployment")
}

/// The answer that stands about a deployment and service, as lists show it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "columns of the table, described there")]
pub struct EffectBrief {
    pub deployment_id: i64,
    pub service_id: i64,
    pub billing_currency: String,
    pub release_date: NaiveDate,
    pub phase: String,
    pub finding: String,
    pub reason: String,
    pub days_after: i32,
    pub per_day: Option<BigDecimal>,
    pub per_day_low: Option<BigDecimal>,
    pub per_day_high: Option<BigDecimal>,
    pub per_30_days: Option<BigDecimal>,
    pub per_30_days_low: Option<BigDecimal>,
    pub per_30_days_high: Option<BigDecimal>,
    pub before_per_day: Option<BigDecimal>,
    pub flags: Value,
    pub joint: Option<Value>,
}

/// The deployments that share an answer, but the one that it is read of, by what is kept of them.
pub fn shared_with(joint: Option<&Value>) -> Vec<i64> {
    let ids = joint.and_then(|joint| joint["deployment_ids"].as_array());
    ids.map(|ids| ids.iter().filter_map(Value::as_i64).collect()).unwrap_or_default()
}

/// The answers that stand about these deployments, of one service where one is named, within the scope. What failed after
/// all, or turned out to deploy the version that was there, has none.
pub async fn briefs(
    conn: &mut PgConnection,
    scope: &Scope,
    deployment_ids: &[i64],
    service_id: Option<i64>,
) -> sqlx::Result<Vec<EffectBrief>> {
    let rows = sqlx::query_as!(
        EffectBrief,
        r#"SELECT e.deployment_id AS "deployment_id!", e.service_id AS "service_id!",
                  e.billing_currency AS "billing_currency!", e.release_date AS "release_date!", e.phase AS "phase!",
                  e.finding AS "finding!", e.reason AS "reason!", e.days_after AS "days_after!", e.per_day,
                  e.per_day_low, e.per_day_high, e.per_30_days, e.per_30_days_low, e.per_30_days_high,
                  e.before_per_day, e.flags AS "flags!", e.joint
           FROM current_deployment_effect e
           JOIN deployment d ON d.deployment_id = e.deployment_id AND d.environment_id = e.environment_id
           JOIN deployment_service ds ON ds.deployment_id = e.deployment_id AND ds.service_id = e.service_id
           JOIN service s ON s.service_id = e.service_id
           WHERE e.deployment_id = ANY($1) AND ($2::bigint IS NULL OR e.service_id = $2)
             AND d.status IN ('succeeded', 'superseded') AND NOT ds.is_noop
             AND ($3::bigint[] IS NULL OR s.team_id = ANY($3))
           ORDER BY e.deployment_id, s.name, e.billing_currency LIMIT $4"#,
        deployment_ids,
        service_id,
        scope.team_ids(),
        BRIEF_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, BRIEF_COUNT_MAX, "answers about these deployments")
}

/// A release that its answer claims to have changed cost, or several that share an answer.
#[derive(Debug, Clone)]
pub struct ClaimedRelease {
    /// One of its deployments, of the last day: what was released on one day to one service has one answer.
    pub deployment_id: i64,
    /// Its version.
    pub version: Option<String>,
    /// The service.
    pub service_id: i64,
    /// Where.
    pub environment_id: i64,
    /// Its name, unless it was production.
    pub elsewhere: Option<String>,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// The day of the release; of the last of several that share the answer.
    pub effect_date: NaiveDate,
    /// Other days on which something was released that shares the answer.
    pub other_day_count: i64,
    /// Units of the currency a day.
    pub per_day: BigDecimal,
    /// On each of the days after the release, in order; `None` of answers from before courses were kept.
    pub amounts_after: Option<Vec<BigDecimal>>,
    /// On each day after those; `None` of the same.
    pub lasting_per_day: Option<BigDecimal>,
}

impl ClaimedRelease {
    /// "v1.42.0", "v1.42.0 in staging", "deployment 7": what it is called among others.
    pub fn name(&self) -> String {
        let version = self.version.clone().unwrap_or_else(|| format!("deployment {}", self.deployment_id));
        self.elsewhere.as_ref().map_or_else(|| version.clone(), |place| format!("{version} in {place}"))
    }
}

/// Which releases.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClaimedFilter {
    /// Of this service.
    pub service_id: Option<i64>,
    /// In this environment.
    pub environment_id: Option<i64>,
    /// Of services of this team; 0 for those without one.
    pub team_id: Option<i64>,
}

/// Claimed increases and decreases of releases on these days, one row an answer: what was released on one day to one
/// service and environment, or within a day of each other, has one. What failed after all, or turned out to deploy the
/// version that was there, claims nothing.
pub async fn claimed(
    conn: &mut PgConnection,
    scope: &Scope,
    filter: ClaimedFilter,
    from: NaiveDate,
    until: NaiveDate,
) -> sqlx::Result<Vec<ClaimedRelease>> {
    let rows = sqlx::query_as!(
        ClaimedRelease,
        r#"SELECT DISTINCT ON (e.service_id, e.environment_id, e.billing_currency, e.effect_date)
                  e.deployment_id AS "deployment_id!", d.version, e.service_id AS "service_id!",
                  e.environment_id AS "environment_id!",
                  CASE WHEN v.kind <> 'production' THEN v.name END AS elsewhere,
                  e.billing_currency AS "billing_currency!", e.effect_date AS "effect_date!",
                  coalesce(jsonb_array_length(e.joint -> 'days') - 1, 0)::bigint AS "other_day_count!",
                  e.per_day AS "per_day!", e.amounts_after AS "amounts_after?",
                  e.lasting_per_day AS "lasting_per_day?"
           FROM current_deployment_effect e
           JOIN deployment d ON d.deployment_id = e.deployment_id AND d.environment_id = e.environment_id
           JOIN deployment_service ds ON ds.deployment_id = e.deployment_id AND ds.service_id = e.service_id
           JOIN service s ON s.service_id = e.service_id
           JOIN environment v ON v.environment_id = e.environment_id
           WHERE e.finding IN ('increase', 'decrease') AND e.effect_date >= $1 AND e.effect_date < $2
             AND d.status IN ('succeeded', 'superseded') AND NOT ds.is_noop
             AND ($3::bigint IS NULL OR e.service_id = $3) AND ($4::bigint IS NULL OR e.environment_id = $4)
             AND ($5::bigint IS NULL OR coalesce(s.team_id, 0) = $5)
             AND ($6::bigint[] IS NULL OR s.team_id = ANY($6))
           ORDER BY e.service_id, e.environment_id, e.billing_currency, e.effect_date, e.release_date DESC,
                    e.deployment_id
           LIMIT $7"#,
        from,
        until,
        filter.service_id,
        filter.environment_id,
        filter.team_id,
        scope.team_ids(),
        CLAIMED_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, CLAIMED_COUNT_MAX, "releases that changed cost")
}

/// A day of the line that cost would have followed without the release. Positions on a chart, not money.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LineDay {
    /// The day.
    pub day: NaiveDate,
    /// The usage cost that it was fitted on, so that a chart of all cost can lift the line by what else was charged.
    #[serde(default)]
    pub actual: Option<f64>,
    /// Units of the currency.
    pub expected: f64,
    /// Lower end of the 90 % band.
    pub low: f64,
    /// Upper end of the 90 % band.
    pub high: f64,
}

/// The line of one service.
#[derive(Debug, Clone)]
pub struct ServiceLine {
    /// The service.
    pub service_id: i64,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// In order of time.
    pub days: Vec<LineDay>,
}

/// The lines of a deployment's services within the scope.
pub async fn lines(conn: &mut PgConnection, scope: &Scope, deployment_id: i64) -> sqlx::Result<Vec<ServiceLine>> {
    let rows = sqlx::query!(
        "SELECT l.service_id, l.billing_currency, l.days
         FROM deployment_effect_line l JOIN service s USING (service_id)
         JOIN deployment d ON d.deployment_id = l.deployment_id AND d.environment_id = l.environment_id
         WHERE l.deployment_id = $1 AND ($2::bigint[] IS NULL OR s.team_id = ANY($2))
         ORDER BY s.name, l.billing_currency LIMIT 1000",
        deployment_id,
        scope.team_ids()
    )
    .fetch_all(conn)
    .await?;
    let line = |row: (i64, String, Value)| {
        let days = serde_json::from_value(row.2).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(ServiceLine { service_id: row.0, billing_currency: row.1, days })
    };
    rows.into_iter().map(|row| line((row.service_id, row.billing_currency, row.days))).collect()
}
