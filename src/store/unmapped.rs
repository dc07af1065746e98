//! What belongs to nobody yet, with its money or its events; and what each rule takes.

use super::Scope;
use crate::focus::{DateRange, Money};
use bigdecimal::BigDecimal;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Rows of a list; the rest is counted.
pub const ROW_COUNT_MAX: i64 = 500;
/// Rows of a file: more than anybody has. One that is cut says so.
pub const FILE_ROW_COUNT_MAX: i64 = 1_000_000;

/// Charges of one kind that no service has, in one currency.
#[derive(Debug, Clone)]
pub struct UnmappedCharges {
    /// `ProviderName`.
    pub provider_name: Option<String>,
    /// `SubAccountId`.
    pub sub_account_id: Option<String>,
    /// `SubAccountName`.
    pub sub_account_name: Option<String>,
    /// `ServiceName`: the provider's.
    pub service_name: Option<String>,
    /// The tags that rules look at.
    pub mapping_tags: serde_json::Value,
    /// The rule that named a service which the catalogue lacks.
    pub service_rule_id: Option<i64>,
    /// `BillingCurrency`.
    pub billing_currency: String,
    /// `EffectiveCost` of the days.
    pub effective_cost: BigDecimal,
    /// Charges behind it.
    pub charge_count: i64,
    /// Rows there are in all.
    pub row_count: i64,
}

/// Charges without a service on these days, the dearest first. Nothing for whoever does not see the whole.
pub async fn charges(
    conn: &mut PgConnection,
    scope: &Scope,
    days: DateRange,
    limit: i64,
) -> sqlx::Result<Vec<UnmappedCharges>> {
    sqlx::query_as!(
        UnmappedCharges,
        r#"SELECT k.provider_name, k.sub_account_id, k.sub_account_name, k.service_name, k.mapping_tags,
                  m.service_rule_id, d.billing_currency, sum(d.effective_cost) AS "effective_cost!",
                  sum(d.charge_count)::bigint AS "charge_count!", count(*) OVER () AS "row_count!"
           FROM key_mapping m
           JOIN rollup_key k USING (sub_account_key, rollup_key_id)
           JOIN daily_cost_by_key d ON d.sub_account_key = m.sub_account_key AND d.rollup_key_id = m.rollup_key_id
               AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
           JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           WHERE m.service_id = 0 AND d.charge_date >= $1 AND d.charge_date < $2 AND $3::bigint[] IS NULL
           GROUP BY 1, 2, 3, 4, 5, 6, 7
           ORDER BY abs(sum(d.effective_cost)) DESC, 1, 2, 3, 4, 5, 7
           LIMIT $4"#,
        days.start(),
        days.end(),
        scope.team_ids(),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Attributes that tell the deployments of one repository apart.
pub const HINTS: [&str; 5] = ["pipeline", "stage", "job", "app", "namespace"];

/// Deployments of one kind that lack a service or an environment.
#[derive(Debug, Clone)]
pub struct UnmappedDeployments {
    /// The event source.
    pub source_name: String,
    /// `owner/name`.
    pub repo: Option<String>,
    /// As the sender names it.
    pub environment_raw: Option<String>,
    /// As the sender names them.
    pub service_raw: Vec<String>,
    /// Of these, the ones that no service was found for.
    pub service_unmapped: Vec<String>,
    /// What its sender says of [`HINTS`]: where names are missing, this tells one kind of deployment from another.
    pub hints: serde_json::Value,
    /// Whether no service has them, or one that they name is not known.
    pub lacks_service: bool,
    /// Whether they are in no environment.
    pub lacks_environment: bool,
    /// The rule that named a service which the catalogue lacks.
    pub service_rule_id: Option<i64>,
    /// The one deployment that this row is of, where somebody pinned it: each of these has a row of its own.
    pub pinned_deployment_id: Option<i64>,
    /// Who did.
    pub pinned_by: Option<String>,
    /// How many.
    pub deployment_count: i64,
    /// The newest.
    pub last_deployment_id: i64,
    /// When the newest was.
    pub last_at: DateTime<Utc>,
    /// Rows there are in all.
    pub row_count: i64,
}

/// Deployments without a service or an environment, the newest first. They hold no money.
pub async fn deployments(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<UnmappedDeployments>> {
    sqlx::query_as!(
        UnmappedDeployments,
        r#"SELECT s.name AS "source_name!", d.repo, d.environment_raw, d.service_raw AS "service_raw!",
                  d.service_unmapped AS "service_unmapped!", h.hints AS "hints!", d.service_unmapped <> '{}'
                      OR NOT EXISTS (SELECT FROM deployment_service x WHERE x.deployment_id = d.deployment_id)
                      AS "lacks_service!",
                  d.environment_id IS NULL AS "lacks_environment!", d.service_rule_id,
                  p.deployment_id AS "pinned_deployment_id?", p.pinned_by AS "pinned_by?",
                  count(*) AS "deployment_count!", max(d.deployment_id) AS "last_deployment_id!",
                  max(coalesce(d.finished_at, d.started_at, d.created_at)) AS "last_at!",
                  count(*) OVER () AS "row_count!"
           FROM deployment d JOIN event_source s USING (event_source_id)
           LEFT JOIN deployment_pin p ON p.deployment_id = d.deployment_id
           CROSS JOIN LATERAL (SELECT coalesce(jsonb_object_agg(a.key, a.value), '{}') AS hints
                               FROM jsonb_each(d.attributes) a WHERE a.key = ANY($2)) h
           WHERE d.environment_id IS NULL OR d.service_unmapped <> '{}'
              OR NOT EXISTS (SELECT FROM deployment_service x WHERE x.deployment_id = d.deployment_id)
           GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
           ORDER BY 14 DESC, 1, 2, 3, 4, 6, 10
           LIMIT $1"#,
        limit,
        &HINTS.map(str::to_owned)
    )
    .fetch_all(conn)
    .await
}

/// So many of a pipeline's latest runs say whether its deployments are told already.
const LATEST_RUNS: i64 = 20;

/// Runs of one pipeline that are no deployments.
#[derive(Debug, Clone)]
pub struct UnmappedPipeline {
    /// The event source.
    pub source_name: String,
    /// `owner/name`.
    pub repo: Option<String>,
    /// The pipeline.
    pub name: String,
    /// How often it ran.
    pub run_count: i64,
    /// When it ran last.
    pub last_at: DateTime<Utc>,
    /// Of its latest runs, so many are looked at.
    pub latest_count: i64,
    /// So many of these stand beside a deployment of the same commit or version that was told by its sender.
    pub told_count: i64,
    /// Rows there are in all.
    pub row_count: i64,
}

impl UnmappedPipeline {
    /// Whether each of its latest runs is told as a deployment already.
    pub fn is_told(&self) -> bool {
        self.told_count > 0 && self.told_count == self.latest_count
    }
}

/// Pipelines whose runs no rule makes a deployment, the newest first. Most are none: they build and test. Jobs are parts of
/// a run and no runs. Whose a run is nobody knows yet, so that any deployment of its commit about its time tells of it.
///
/// `rollup::told_already` decides the same once a rule says whose a run is: a change of one is a change of both. It is no
/// place for this list, since it takes deployments by whose they are, and of all told for a run only what is read anew;
/// and here the indexes find what lies beside the latest runs, where all deployments of their time would have to be read.
pub async fn pipelines(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<UnmappedPipeline>> {
    sqlx::query_as!(
        UnmappedPipeline,
        r#"WITH run AS (
               SELECT s.name AS source_name, p.repo, p.name, p.run_id, p.sha, p.facts ->> 'version' AS version,
                   p.started_at, p.finished_at, coalesce(p.finished_at, p.started_at, p.received_at) AS at,
                   row_number() OVER (
                       PARTITION BY s.name, p.repo, p.name
                       ORDER BY coalesce(p.finished_at, p.started_at, p.received_at) DESC, p.pipeline_run_id DESC
                   ) <= $2 AS is_latest
               FROM pipeline_run p JOIN event_source s USING (event_source_id)
               WHERE NOT EXISTS (SELECT FROM deployment d
                                 WHERE d.event_source_id = p.event_source_id
                                   AND d.external_id = 'workflow_run/' || p.run_id)
                 AND NOT coalesce(jsonb_exists(p.facts -> 'attributes', 'job'), false)),
           beside AS (
               SELECT run.*, CASE WHEN run.is_latest THEN EXISTS (
                   SELECT FROM deployment d JOIN event_source o USING (event_source_id)
                   CROSS JOIN LATERAL (SELECT coalesce(d.finished_at, d.started_at, d.created_at) AS at) e
                   WHERE coalesce(d.finished_at, d.started_at, d.created_at)
                         >= least(run.started_at, run.finished_at - interval '1 hour')
                     AND coalesce(d.finished_at, d.started_at, d.created_at)
                         <= coalesce(run.finished_at + interval '1 hour', 'infinity')
                     AND (e.at >= run.finished_at - interval '1 hour'
                          OR coalesce(d.started_at, d.created_at) >= run.started_at)
                     AND NOT (o.kind <> 'api' AND d.external_id LIKE 'workflow\_run/%')
                     AND d.environment_id IS NOT NULL
                     AND EXISTS (SELECT FROM deployment_service x WHERE x.deployment_id = d.deployment_id)
                     AND (is_same_commit(d.sha, run.sha)
                          OR (d.sha IS NULL AND EXISTS (
                                  SELECT FROM deployment_commit k
                                  WHERE k.deployment_id = d.deployment_id AND is_same_commit(k.sha, run.sha)))
                          OR ((run.sha IS NULL
                               OR (d.sha IS NULL AND NOT EXISTS (
                                       SELECT FROM deployment_commit k WHERE k.deployment_id = d.deployment_id)))
                              AND d.version = run.version))
               ) ELSE false END AS is_told
               FROM run)
           SELECT source_name AS "source_name!", repo, name AS "name!", count(DISTINCT run_id) AS "run_count!",
                  max(at) AS "last_at!", count(*) FILTER (WHERE is_latest) AS "latest_count!",
                  count(*) FILTER (WHERE is_told) AS "told_count!", count(*) OVER () AS "row_count!"
           FROM beside GROUP BY 1, 2, 3 ORDER BY 5 DESC, 1, 2, 3 LIMIT $1"#,
        limit,
        LATEST_RUNS
    )
    .fetch_all(conn)
    .await
}

/// Operational events of one kind that belong to no service.
#[derive(Debug, Clone)]
pub struct UnmappedEvents {
    /// The event source.
    pub source_name: String,
    /// `incident`, `feature_flag`, …
    pub kind: String,
    /// Services as the sender names them.
    pub service_raw: Vec<String>,
    /// The environment as the sender names it.
    pub environment_raw: Option<String>,
    /// `owner/name`.
    pub repo: Option<String>,
    /// The rule that named a service which the catalogue lacks.
    pub service_rule_id: Option<i64>,
    /// How many.
    pub event_count: i64,
    /// The number of the newest.
    pub last_id: i64,
    /// One line about the newest.
    pub last_title: String,
    /// When the newest began.
    pub last_at: DateTime<Utc>,
    /// Rows there are in all.
    pub row_count: i64,
}

/// Operational events without a service, the newest first.
pub async fn events(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<UnmappedEvents>> {
    sqlx::query_as!(
        UnmappedEvents,
        r#"SELECT s.name AS source_name, o.kind, o.service_raw, o.environment_raw, o.repo, o.service_rule_id,
                  count(*) AS "event_count!", max(o.started_at) AS "last_at!",
                  (array_agg(o.title ORDER BY o.started_at DESC, o.operational_event_id DESC))[1] AS "last_title!",
                  (array_agg(o.operational_event_id ORDER BY o.started_at DESC, o.operational_event_id DESC))[1]
                      AS "last_id!",
                  count(*) OVER () AS "row_count!"
           FROM operational_event o JOIN event_source s USING (event_source_id)
           WHERE NOT EXISTS (SELECT FROM operational_event_service os
                             WHERE os.operational_event_id = o.operational_event_id)
           GROUP BY 1, 2, 3, 4, 5, 6
           ORDER BY 8 DESC, 1, 2, 3, 4, 5 LIMIT $1"#,
        limit
    )
    .fetch_all(conn)
    .await
}

/// Rows of the list of charges of these days. They change with a publication only.
pub async fn charge_row_count(conn: &mut PgConnection, scope: &Scope, days: Option<DateRange>) -> sqlx::Result<i64> {
    let Some(days) = days else { return Ok(0) };
    Ok(charges(conn, scope, days, 1).await?.first().map_or(0, |row| row.row_count))
}

/// Rows of the lists of deployments and operational events. Pipelines are not counted, since most of them need no rule.
pub async fn event_row_count(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let deployments = deployments(&mut *conn, 1).await?.first().map_or(0, |row| row.row_count);
    Ok(deployments + events(conn, 1).await?.first().map_or(0, |row| row.row_count))
}

/// What a rule takes now.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// Kinds of charge: rollup keys.
    pub key_count: i64,
    /// Deployments.
    pub deployment_count: i64,
    /// Operational events.
    pub event_count: i64,
    /// `EffectiveCost` of the days, one amount a currency.
    pub cost: Vec<Money>,
}

/// How many operational events this rule gives a service or an environment.
pub async fn events_taken(conn: &mut PgConnection, mapping_rule_id: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM operational_event
           WHERE service_rule_id = $1::bigint OR environment_rule_id = $1"#,
        mapping_rule_id
    )
    .fetch_one(conn)
    .await
}

/// What each rule takes, by its id. A key that a rule gives both a service and an environment counts once.
pub async fn taken_by_rules(
    conn: &mut PgConnection,
    scope: &Scope,
    days: DateRange,
) -> sqlx::Result<std::collections::HashMap<i64, Taken>> {
    let mut taken: std::collections::HashMap<i64, Taken> = std::collections::HashMap::new();
    let keys = sqlx::query!(
        r#"SELECT r.rule_id AS "rule_id!", count(DISTINCT (m.sub_account_key, m.rollup_key_id)) AS "key_count!"
           FROM key_mapping m
           CROSS JOIN LATERAL (SELECT DISTINCT x AS rule_id
                               FROM (SELECT unnest(ARRAY[m.service_rule_id, m.environment_rule_id]) AS x
                                     UNION ALL SELECT (v.value ->> 'rule_id')::bigint FROM jsonb_each(m.dimensions) v) y) r
           WHERE r.rule_id IS NOT NULL GROUP BY 1"#
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in keys {
        taken.entry(row.rule_id).or_default().key_count = row.key_count;
    }
    let deployments = sqlx::query!(
        r#"SELECT r.rule_id AS "rule_id!", count(*) AS "deployment_count!"
           FROM deployment d
           CROSS JOIN LATERAL (SELECT DISTINCT x AS rule_id
                               FROM unnest(ARRAY[d.service_rule_id, d.environment_rule_id]) x) r
           WHERE r.rule_id IS NOT NULL GROUP BY 1"#
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in deployments {
        taken.entry(row.rule_id).or_default().deployment_count = row.deployment_count;
    }
    let events = sqlx::query!(
        r#"SELECT r.rule_id AS "rule_id!", count(*) AS "event_count!"
           FROM operational_event o
           CROSS JOIN LATERAL (SELECT DISTINCT x AS rule_id
                               FROM unnest(ARRAY[o.service_rule_id, o.environment_rule_id]) x) r
           WHERE r.rule_id IS NOT NULL GROUP BY 1"#
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in events {
        taken.entry(row.rule_id).or_default().event_count = row.event_count;
    }
    let costs = sqlx::query!(
        r#"SELECT r.rule_id AS "rule_id!", d.billing_currency, sum(d.effective_cost) AS "cost!"
           FROM (SELECT d.sub_account_key, d.rollup_key_id, m.first_day, d.billing_currency,
                     sum(d.effective_cost) AS effective_cost
                 FROM daily_cost_by_key d
                 JOIN generation g USING (generation_id)
                 JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
               AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
                 WHERE g.state = 'current' AND d.charge_date >= $1 AND d.charge_date < $2
                 GROUP BY 1, 2, 3, 4) d
           JOIN key_mapping m USING (sub_account_key, rollup_key_id, first_day)
           LEFT JOIN service ON service.service_id = m.service_id
           CROSS JOIN LATERAL (SELECT DISTINCT x AS rule_id
                               FROM (SELECT unnest(ARRAY[m.service_rule_id, m.environment_rule_id]) AS x
                                     UNION ALL SELECT (v.value ->> 'rule_id')::bigint FROM jsonb_each(m.dimensions) v) y) r
           WHERE r.rule_id IS NOT NULL AND ($3::bigint[] IS NULL OR service.team_id = ANY($3))
           GROUP BY 1, 2 ORDER BY 1, 2"#,
        days.start(),
        days.end(),
        scope.team_ids(),
    )
    .fetch_all(conn)
    .await?;
    for row in costs {
        taken.entry(row.rule_id).or_default().cost.push(Money::new(row.cost, row.billing_currency));
    }
    Ok(taken)
}
