//! Says of each operational event which services and which environment it belongs to, by the rules for deployments.
//! What is only context adds nothing to the catalogue, so that a rule which names what the catalogue lacks leaves it to the
//! next. Of those that somebody pinned no rule is asked: they are where the pin says.

use super::map_deployments::{DeploymentRow, assign_known};
use super::mapper::Mapper;
use crate::store::deployment_history::{self, Places};
use crate::store::locks;
use sqlx::PgConnection;

/// Maps these operational events by the present rules and writes it down.
pub async fn map_operational_events(conn: &mut PgConnection, operational_event_ids: &[i64]) -> anyhow::Result<()> {
    locks::share_mapping(conn).await?;
    let mapper = Mapper::load(conn).await?;
    map(conn, &mapper, Some(operational_event_ids)).await
}

/// Maps those again that name a service or an environment which these rules have just added: deployments and bills add
/// some, and which came first must not matter.
pub(super) async fn map_naming_added(conn: &mut PgConnection, mapper: &Mapper) -> anyhow::Result<()> {
    let ids = naming_added(&mut *conn, mapper).await?;
    if ids.is_empty() { Ok(()) } else { map(conn, mapper, Some(&ids)).await }
}

/// Maps all of them again, after rules or the catalogue changed.
pub(super) async fn map_all(conn: &mut PgConnection, mapper: &Mapper) -> anyhow::Result<()> {
    map(conn, mapper, None).await
}

async fn map(conn: &mut PgConnection, mapper: &Mapper, operational_event_ids: Option<&[i64]>) -> anyhow::Result<()> {
    let mut moves = Vec::new();
    for row in rows(conn, operational_event_ids).await? {
        let assignment = assign_known(mapper, &row);
        let first = assignment.first();
        let environment_id = first.and_then(|one| mapper.environment_id(one.environment.as_ref()));
        let environment_rule_id = first.and_then(|one| one.environment_rule_id);
        let service_rule_id = assignment.answers.iter().find_map(|one| one.service_rule_id);
        let service_ids = assignment.service_ids(mapper);
        let is_as_before = (environment_id, environment_rule_id, service_rule_id)
            == (row.environment_id, row.environment_rule_id, row.service_rule_id)
            && service_ids == row.service_ids;
        if !is_as_before {
            let operational_event_id = row.deployment_id;
            moves.push(Move {
                operational_event_id,
                environment_id,
                environment_rule_id,
                service_rule_id,
                service_ids,
            });
        }
    }
    moves.extend(pinned_moves(conn, operational_event_ids).await?);
    apply(conn, &moves).await
}

struct Move {
    operational_event_id: i64,
    environment_id: Option<i64>,
    environment_rule_id: Option<i64>,
    service_rule_id: Option<i64>,
    service_ids: Vec<i64>,
}

// Those that are not where somebody pinned them to: just now, or because the row was made anew. A rule goes on being shown
// for what it decided as the pin does.
async fn pinned_moves(conn: &mut PgConnection, operational_event_ids: Option<&[i64]>) -> sqlx::Result<Vec<Move>> {
    let rows = sqlx::query!(
        r#"SELECT o.operational_event_id AS "operational_event_id!", o.environment_id, o.environment_rule_id,
                  o.service_rule_id, p.environment_id AS pinned_environment_id,
                  coalesce((SELECT array_agg(os.service_id ORDER BY os.service_id) FROM operational_event_service os
                            WHERE os.operational_event_id = o.operational_event_id), '{}') AS "service_ids!",
                  coalesce((SELECT array_agg(ps.service_id ORDER BY ps.service_id) FROM operational_event_pin_service ps
                            WHERE ps.event_source_id = p.event_source_id AND ps.external_id = p.external_id), '{}')
                      AS "pinned_service_ids!"
           FROM operational_event_pin p
           JOIN operational_event o ON o.event_source_id = p.event_source_id AND o.external_id = p.external_id
           WHERE $1::bigint[] IS NULL OR o.operational_event_id = ANY($1)
           ORDER BY o.operational_event_id"#,
        operational_event_ids
    )
    .fetch_all(conn)
    .await?;
    let moves = rows.into_iter().filter_map(|row| {
        let keeps_environment = row.environment_id == row.pinned_environment_id;
        let keeps_services = row.service_ids == row.pinned_service_ids;
        (!keeps_environment || !keeps_services).then(|| Move {
            operational_event_id: row.operational_event_id,
            environment_id: row.pinned_environment_id,
            environment_rule_id: row.environment_rule_id.filter(|_| keeps_environment),
            service_rule_id: row.service_rule_id.filter(|_| keeps_services),
            service_ids: row.pinned_service_ids,
        })
    });
    Ok(moves.collect())
}

// Where a service that was removed is another one now, the deployments of both places are judged again.
async fn apply(conn: &mut PgConnection, moves: &[Move]) -> anyhow::Result<()> {
    let ids: Vec<i64> = moves.iter().map(|one| one.operational_event_id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut places = Places::default();
    deployment_history::add_removals(conn, &mut places, &ids).await?;
    for one in moves {
        write(conn, one).await?;
    }
    deployment_history::add_removals(conn, &mut places, &ids).await?;
    Ok(deployment_history::judge_places(conn, &places, &[]).await?)
}

async fn write(conn: &mut PgConnection, one: &Move) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE operational_event SET environment_id = $2, environment_rule_id = $3, service_rule_id = $4
         WHERE operational_event_id = $1",
        one.operational_event_id,
        one.environment_id,
        one.environment_rule_id,
        one.service_rule_id,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "DELETE FROM operational_event_service WHERE operational_event_id = $1 AND NOT service_id = ANY($2)",
        one.operational_event_id,
        &one.service_ids,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO operational_event_service (operational_event_id, service_id, started_at)
         SELECT o.operational_event_id, named.service_id, o.started_at
         FROM operational_event o CROSS JOIN unnest($2::bigint[]) AS named (service_id)
         WHERE o.operational_event_id = $1 ON CONFLICT DO NOTHING",
        one.operational_event_id,
        &one.service_ids,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Those that name a service or an environment which these rules have just added.
pub(super) async fn naming_added(conn: &mut PgConnection, mapper: &Mapper) -> sqlx::Result<Vec<i64>> {
    let mut services = sqlx::query_scalar!(
        r#"SELECT DISTINCT named.service AS "service!"
           FROM operational_event o CROSS JOIN LATERAL unnest(o.service_raw) AS named (service)"#
    )
    .fetch_all(&mut *conn)
    .await?;
    services.retain(|name| mapper.has_added_service(name));
    let mut environments = sqlx::query_scalar!(
        r#"SELECT DISTINCT environment_raw AS "environment!" FROM operational_event WHERE environment_raw IS NOT NULL"#
    )
    .fetch_all(&mut *conn)
    .await?;
    environments.retain(|name| mapper.has_added_environment(name));
    if services.is_empty() && environments.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        "SELECT operational_event_id FROM operational_event WHERE service_raw && $1 OR environment_raw = ANY($2)",
        &services,
        &environments
    )
    .fetch_all(conn)
    .await
}

// Rules see an operational event as they see a deployment: under its own number here. Those that are pinned they do not.
async fn rows(conn: &mut PgConnection, operational_event_ids: Option<&[i64]>) -> sqlx::Result<Vec<DeploymentRow>> {
    sqlx::query_as!(
        DeploymentRow,
        r#"SELECT o.operational_event_id AS deployment_id, s.name AS source_name, o.repo, NULL::text AS git_ref,
                  o.environment_raw, o.service_raw, o.attributes, o.environment_id, o.environment_rule_id,
                  o.service_rule_id, '{}'::text[] AS "service_unmapped!",
                  coalesce((SELECT array_agg(os.service_id ORDER BY os.service_id) FROM operational_event_service os
                            WHERE os.operational_event_id = o.operational_event_id), '{}') AS "service_ids!",
                  false AS "is_run!"
           FROM operational_event o JOIN event_source s USING (event_source_id)
           WHERE ($1::bigint[] IS NULL OR o.operational_event_id = ANY($1))
             AND NOT EXISTS (SELECT FROM operational_event_pin p
                             WHERE p.event_source_id = o.event_source_id AND p.external_id = o.external_id)
           ORDER BY o.operational_event_id"#,
        operational_event_ids
    )
    .fetch_all(conn)
    .await
}
