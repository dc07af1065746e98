//! Deployments whose sender tells states of an object: which of its deployments each status belongs to.

use crate::events;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// Puts each status that was told of the objects of these deployments to the deployment that it belongs to, whatever
/// came first. Returns all deployments that are to be made anew. Others than those of such a sender stay as they are.
pub async fn part(conn: &mut PgConnection, deployment_ids: Vec<i64>) -> sqlx::Result<Vec<i64>> {
    let objects = sqlx::query!(
        r#"SELECT DISTINCT event_source_id, object AS "object!" FROM deployment
           WHERE deployment_id = ANY($1) AND object IS NOT NULL"#,
        &deployment_ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut touched: BTreeSet<i64> = deployment_ids.into_iter().collect();
    for of in objects {
        touched.extend(part_object(conn, of.event_source_id, &of.object).await?);
    }
    Ok(touched.into_iter().collect())
}

async fn part_object(conn: &mut PgConnection, event_source_id: i64, object: &str) -> sqlx::Result<BTreeSet<i64>> {
    // At one instant a success comes last, as where a deployment is derived; of two states the key decides.
    let told = sqlx::query!(
        r#"SELECT s.deployment_status_id, s.deployment_id, d.external_id, s.facts ->> 'object_key' AS "key!", s.status
           FROM deployment d JOIN deployment_status s ON s.deployment_id = d.deployment_id
           WHERE d.event_source_id = $1 AND d.object = $2
           ORDER BY s.occurred_at, s.status = 'succeeded', s.facts ->> 'object_key', s.deployment_status_id"#,
        event_source_id,
        object
    )
    .fetch_all(&mut *conn)
    .await?;
    let rounds = events::rounds(told.iter().map(|status| (status.key.as_str(), status.status == "succeeded")));
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
        touched.insert(put(conn, event_source_id, object, &external_id, &status_ids).await?);
    }
    Ok(touched)
}

// The deployment is made what its statuses say afterwards.
async fn put(
    conn: &mut PgConnection,
    event_source_id: i64,
    object: &str,
    external_id: &str,
    status_ids: &[i64],
) -> sqlx::Result<i64> {
    let deployment_id = sqlx::query_scalar!(
        "INSERT INTO deployment (event_source_id, external_id, object, status, status_at, created_at)
         SELECT $1, $2, $3, status, occurred_at, occurred_at FROM deployment_status
         WHERE deployment_status_id = ANY($4) LIMIT 1
         ON CONFLICT (event_source_id, external_id) DO UPDATE SET external_id = excluded.external_id
         RETURNING deployment_id",
        event_source_id,
        external_id,
        object,
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
