//! Deployments whose sender tells states of an object: which of its deployments each status belongs to.
//!
//! What happened before anything that was told now stays where it is, so that only what came after that is looked at:
//! an object has a status for each of its changes, of years.

use super::deployments::Touched;
use crate::events::{self, Standing};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// Puts each status that was told of the objects of these deployments to the deployment that it belongs to, whatever
/// came first. Returns all deployments that are to be made anew. Others than those of such a sender stay as they are.
pub async fn part(conn: &mut PgConnection, touched: &[Touched]) -> sqlx::Result<Vec<i64>> {
    let objects = sqlx::query!(
        r#"SELECT d.event_source_id, d.object AS "object!", min(t.occurred_at) AS "since!"
           FROM deployment d JOIN unnest($1::bigint[], $2::timestamptz[]) AS t (deployment_id, occurred_at)
               ON t.deployment_id = d.deployment_id
           WHERE d.object IS NOT NULL GROUP BY d.event_source_id, d.object ORDER BY d.event_source_id, d.object"#,
        &touched.iter().map(|one| one.deployment_id).collect::<Vec<_>>(),
        &touched.iter().map(|one| one.occurred_at).collect::<Vec<_>>(),
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut deployment_ids: BTreeSet<i64> = touched.iter().map(|one| one.deployment_id).collect();
    for of in objects {
        let object = Object { event_source_id: of.event_source_id, name: of.object };
        deployment_ids.extend(part_object(conn, &object, of.since).await?);
    }
    Ok(deployment_ids.into_iter().collect())
}

struct Object {
    event_source_id: i64,
    name: String,
}

struct Status {
    deployment_status_id: i64,
    deployment_id: i64,
    external_id: String,
    key: String,
    is_success: bool,
}

async fn part_object(conn: &mut PgConnection, object: &Object, since: DateTime<Utc>) -> sqlx::Result<BTreeSet<i64>> {
    let told = told_since(conn, object, since).await?;
    let standing = standing(conn, object, &told, since).await?;
    let rounds = events::rounds(&standing, told.iter().map(|status| (status.key.as_str(), status.is_success)));
    let mut moved: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut touched = BTreeSet::new();
    for (status, round) in told.iter().zip(rounds) {
        let external_id = events::key_of_round(&status.key, round);
        if external_id != status.external_id {
            touched.insert(status.deployment_id);
            moved.entry(external_id).or_default().push(status.deployment_status_id);
        }
    }
    for (external_id, status_ids) in moved {
        touched.insert(put(conn, object, &external_id, &status_ids).await?);
    }
    Ok(touched)
}

// At one instant a success comes last, as where a deployment is derived; of two states the key decides.
async fn told_since(conn: &mut PgConnection, object: &Object, since: DateTime<Utc>) -> sqlx::Result<Vec<Status>> {
    sqlx::query_as!(
        Status,
        r#"SELECT s.deployment_status_id, s.deployment_id, d.external_id, s.facts ->> 'object_key' AS "key!",
                  s.status = 'succeeded' AS "is_success!"
           FROM deployment_status s JOIN deployment d ON d.deployment_id = s.deployment_id
           WHERE s.facts ->> 'object' = $2 AND d.event_source_id = $1 AND s.occurred_at >= $3
           ORDER BY s.occurred_at, s.status = 'succeeded', s.facts ->> 'object_key', s.deployment_status_id"#,
        object.event_source_id,
        object.name,
        since
    )
    .fetch_all(conn)
    .await
}

// How the object stood right before, by where its statuses were put then: of each state that is told of since, the round in
// which it was live last, and one more where another took its place.
async fn standing(
    conn: &mut PgConnection,
    object: &Object,
    told: &[Status],
    since: DateTime<Utc>,
) -> sqlx::Result<Standing> {
    let live = sqlx::query_scalar!(
        r#"SELECT s.facts ->> 'object_key' AS "key!"
           FROM deployment_status s JOIN deployment d ON d.deployment_id = s.deployment_id
           WHERE s.facts ->> 'object' = $2 AND d.event_source_id = $1 AND s.occurred_at < $3 AND s.status = 'succeeded'
           ORDER BY s.occurred_at DESC, s.facts ->> 'object_key' DESC LIMIT 1"#,
        object.event_source_id,
        object.name,
        since
    )
    .fetch_optional(&mut *conn)
    .await?;
    let mut keys: BTreeSet<&str> = told.iter().map(|status| status.key.as_str()).collect();
    keys.extend(live.as_deref());
    let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    let rows = sqlx::query!(
        r#"SELECT k.key AS "key!", last.external_id AS "external_id!"
           FROM unnest($4::text[]) AS k (key) CROSS JOIN LATERAL (
               SELECT d.external_id FROM deployment_status s JOIN deployment d ON d.deployment_id = s.deployment_id
               WHERE s.facts ->> 'object_key' = k.key AND s.facts ->> 'object' = $2 AND d.event_source_id = $1
                 AND s.occurred_at < $3 AND s.status = 'succeeded'
               ORDER BY s.occurred_at DESC LIMIT 1) last"#,
        object.event_source_id,
        object.name,
        since,
        &keys
    )
    .fetch_all(conn)
    .await?;
    let left = rows.into_iter().filter_map(|row| {
        let round = events::round_of_key(&row.external_id, &row.key)?;
        let is_left = live.as_ref() != Some(&row.key);
        Some((row.key, round + usize::from(is_left)))
    });
    Ok(Standing { left: left.collect(), live })
}

// The deployment is made what its statuses say afterwards.
async fn put(conn: &mut PgConnection, object: &Object, external_id: &str, status_ids: &[i64]) -> sqlx::Result<i64> {
    let deployment_id = sqlx::query_scalar!(
        "INSERT INTO deployment (event_source_id, external_id, object, status, status_at, created_at)
         SELECT $1, $2, $3, status, occurred_at, occurred_at FROM deployment_status
         WHERE deployment_status_id = ANY($4) LIMIT 1
         ON CONFLICT (event_source_id, external_id) DO UPDATE SET external_id = excluded.external_id
         RETURNING deployment_id",
        object.event_source_id,
        external_id,
        object.name,
        status_ids
    )
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE deployment_status SET deployment_id = $1 WHERE deployment_status_id = ANY($2)",
        deployment_id,
        status_ids
    )
    .execute(conn)
    .await?;
    Ok(deployment_id)
}
