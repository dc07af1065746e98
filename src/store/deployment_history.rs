//! The deployments of one service in one environment, side by side: which replaced which, which changed nothing,
//! which went back, and which was taken away.

use crate::events::{Live, REMOVED_ARTIFACT, Removal, judge};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// How many deployments before a changed one are looked at: as many as a rollback may reach back, for the one
/// before it too.
const CONTEXT_MAX: i64 = 22;

/// A service in an environment, and since when its history is to be judged again; `None` is all of it.
#[derive(Debug, Clone, Default)]
pub struct Places(BTreeMap<(i64, i64), Option<DateTime<Utc>>>);

impl Places {
    fn add(&mut self, service_id: i64, environment_id: i64, since: Option<DateTime<Utc>>) {
        let place = self.0.entry((service_id, environment_id)).or_insert(since);
        *place = (*place).min(since);
    }
}

/// Adds the places where these deployments are now. Called before and after they change.
pub async fn add_places(conn: &mut PgConnection, places: &mut Places, deployment_ids: &[i64]) -> sqlx::Result<()> {
    let rows = sqlx::query!(
        r#"SELECT ds.service_id, d.environment_id AS "environment_id!", d.finished_at AS "finished_at!"
           FROM deployment d JOIN deployment_service ds USING (deployment_id)
           WHERE d.deployment_id = ANY($1) AND d.environment_id IS NOT NULL AND d.finished_at IS NOT NULL"#,
        deployment_ids
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        places.add(row.service_id, row.environment_id, Some(row.finished_at));
    }
    Ok(())
}

/// Adds the places from which these operational events say that a service was removed. Called before and after they
/// change.
pub async fn add_removals(
    conn: &mut PgConnection,
    places: &mut Places,
    operational_event_ids: &[i64],
) -> sqlx::Result<()> {
    let rows = sqlx::query!(
        r#"SELECT os.service_id, o.environment_id AS "environment_id!", o.started_at
           FROM operational_event o JOIN operational_event_service os USING (operational_event_id)
           WHERE o.operational_event_id = ANY($1) AND o.kind = 'environment' AND o.status = 'removed'
             AND o.environment_id IS NOT NULL"#,
        operational_event_ids
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        places.add(row.service_id, row.environment_id, Some(row.started_at));
    }
    Ok(())
}

/// Judges the history of these places, and writes it down for the deployments there and for `deployment_ids`.
pub async fn judge_places(conn: &mut PgConnection, places: &Places, deployment_ids: &[i64]) -> sqlx::Result<()> {
    if places.0.is_empty() && deployment_ids.is_empty() {
        return Ok(());
    }
    let mut touched: BTreeSet<i64> = deployment_ids.iter().copied().collect();
    reset(conn, deployment_ids).await?;
    for ((service_id, environment_id), since) in &places.0 {
        touched.extend(judge_place(conn, *service_id, *environment_id, *since).await?);
    }
    let touched: Vec<i64> = touched.into_iter().collect();
    sum_up(conn, &touched).await
}

// A deployment that is not live, or in no environment, has no neighbors.
async fn reset(conn: &mut PgConnection, deployment_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE deployment_service ds SET is_noop = false, is_rollback = false, is_config_sync = false,
             superseded_at = NULL
         FROM deployment d WHERE d.deployment_id = ds.deployment_id AND d.deployment_id = ANY($1)
           AND (d.environment_id IS NULL OR d.finished_at IS NULL OR d.status NOT IN ('succeeded', 'superseded'))
           AND (ds.is_noop OR ds.is_rollback OR ds.is_config_sync OR ds.superseded_at IS NOT NULL)",
        deployment_ids
    )
    .execute(conn)
    .await
    .map(drop)
}

// When the first of those went live that a verdict about `since` looks back at. Asked beforehand: years of a place are not
// read for the last of it.
async fn context_start(
    conn: &mut PgConnection,
    service_id: i64,
    environment_id: i64,
    since: DateTime<Utc>,
) -> sqlx::Result<DateTime<Utc>> {
    let first = sqlx::query_scalar!(
        r#"SELECT min(b.finished_at) AS first FROM (
               SELECT d.finished_at FROM deployment_service ds JOIN deployment d USING (deployment_id)
               WHERE ds.service_id = $1 AND d.environment_id = $2 AND d.finished_at < $3
                 AND d.status IN ('succeeded', 'superseded')
               ORDER BY d.finished_at DESC LIMIT $4) b"#,
        service_id,
        environment_id,
        since,
        CONTEXT_MAX,
    )
    .fetch_one(conn)
    .await?;
    Ok(first.unwrap_or(since))
}

async fn judge_place(
    conn: &mut PgConnection,
    service_id: i64,
    environment_id: i64,
    since: Option<DateTime<Utc>>,
) -> sqlx::Result<Vec<i64>> {
    let from = match since {
        Some(since) => Some(context_start(conn, service_id, environment_id, since).await?),
        None => None,
    };
    // The tie of two at one instant is decided by the sender's id, which does not depend on the order of arrival.
    let lives = sqlx::query_as!(
        Live,
        r#"SELECT d.deployment_id AS "deployment_id!", d.finished_at AS "finished_at!", d.version,
                  -- Of several commits one may be as before and another new.
                  coalesce((SELECT string_agg(k.sha, ' ' ORDER BY k.sha) FROM deployment_commit k
                            WHERE k.deployment_id = d.deployment_id), d.sha) AS sha, d.artifact
           FROM deployment_service ds JOIN deployment d USING (deployment_id)
           WHERE ds.service_id = $1 AND d.environment_id = $2 AND d.finished_at IS NOT NULL
             AND d.status IN ('succeeded', 'superseded') AND ($3::timestamptz IS NULL OR d.finished_at >= $3)
           ORDER BY d.finished_at, d.event_source_id, d.external_id"#,
        service_id,
        environment_id,
        from,
    )
    .fetch_all(&mut *conn)
    .await?;
    let removals = match lives.first() {
        Some(first) => removals(&mut *conn, service_id, environment_id, first.finished_at).await?,
        None => Vec::new(),
    };
    let verdicts = judge(&lives, &removals);
    // What stands before `since` is context, and the first of it may lack context itself: of these only the last
    // is written, for it may have a new successor. Its own verdict has as much context as that of any other.
    let first = lives.partition_point(|live| since.is_some_and(|since| live.finished_at < since)).saturating_sub(1);
    let ids: Vec<i64> = lives[first..].iter().map(|live| live.deployment_id).collect();
    let superseded: Vec<_> = verdicts[first..].iter().map(|verdict| verdict.superseded_at).collect();
    let noops: Vec<bool> = verdicts[first..].iter().map(|verdict| verdict.is_noop).collect();
    let syncs: Vec<bool> = verdicts[first..].iter().map(|verdict| verdict.is_config_sync).collect();
    let rollbacks: Vec<bool> = verdicts[first..].iter().map(|verdict| verdict.is_rollback).collect();
    sqlx::query_scalar!(
        "UPDATE deployment_service ds
         SET superseded_at = v.superseded_at, is_noop = v.is_noop, is_rollback = v.is_rollback,
             is_config_sync = v.is_config_sync
         FROM unnest($2::bigint[], $3::timestamptz[], $4::boolean[], $5::boolean[], $6::boolean[])
             AS v (deployment_id, superseded_at, is_noop, is_rollback, is_config_sync)
         WHERE ds.service_id = $1 AND ds.deployment_id = v.deployment_id
           AND (ds.superseded_at, ds.is_noop, ds.is_rollback, ds.is_config_sync)
               IS DISTINCT FROM (v.superseded_at, v.is_noop, v.is_rollback, v.is_config_sync)
         RETURNING ds.deployment_id",
        service_id,
        &ids,
        &superseded as &[Option<DateTime<Utc>>],
        &noops,
        &rollbacks,
        &syncs,
    )
    .fetch_all(conn)
    .await
}

async fn removals(
    conn: &mut PgConnection,
    service_id: i64,
    environment_id: i64,
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<Removal>> {
    sqlx::query_as!(
        Removal,
        "SELECT o.started_at AS removed_at, o.attributes ->> $4::text AS artifact
         FROM operational_event o JOIN operational_event_service os USING (operational_event_id)
         WHERE os.service_id = $1 AND o.environment_id = $2 AND o.kind = 'environment' AND o.status = 'removed'
           AND o.started_at >= $3",
        service_id,
        environment_id,
        since,
        REMOVED_ARTIFACT,
    )
    .fetch_all(conn)
    .await
}

// A deployment of several services is superseded once each of them is, went back if one did, and changed nothing but
// configuration if that is so of all.
async fn sum_up(conn: &mut PgConnection, deployment_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE deployment d SET superseded_at = s.superseded_at, kind = coalesce(d.kind_told, s.kind)
         FROM (SELECT t.deployment_id,
                      CASE WHEN bool_and(ds.superseded_at IS NOT NULL) THEN max(ds.superseded_at) END AS superseded_at,
                      CASE WHEN bool_or(ds.is_rollback) THEN 'rollback'
                           WHEN bool_and(ds.is_config_sync) THEN 'config_sync' ELSE 'deploy' END AS kind
               FROM unnest($1::bigint[]) AS t (deployment_id)
               LEFT JOIN deployment_service ds USING (deployment_id) GROUP BY t.deployment_id) s
         WHERE d.deployment_id = s.deployment_id
           AND (d.superseded_at, d.kind) IS DISTINCT FROM (s.superseded_at, coalesce(d.kind_told, s.kind))",
        deployment_ids
    )
    .execute(conn)
    .await
    .map(drop)
}
